//! Runs a program's steps in every VM of two tiles.
//!
//! VM `v` begins `v` steps after VM 0. So every VM runs every step, and at each moment neighbouring lanes are at
//! different steps, with different memory: a lane that uses another's memory gives a wrong result. With framed
//! functions every call is a launch, and VMs are only 0 to 3 steps behind: scripts that recurse would otherwise take as
//! many launches as all VMs make calls.

use crate::plan::{Program, Step, Verdicts};
use crate::script::Expect;
use vectorvisor::{Call, End, Engine, FleetOptions, Instances, ProgramOptions, Returned, Value};

/// Fuel of a call: the suite's loops are short, so one that does not end fails soon.
const FUEL: u64 = 1 << 24;

/// Runs a program; returns the verdict on each of its directives.
pub fn run(engine: &Engine, program: &Program, options: &ProgramOptions, vms: u32) -> Verdicts {
    let mut verdicts: Verdicts = program.steps.iter().map(|s| (s.directive, Ok(()))).collect();
    if let Err(error) = steps(engine, program, options, vms, &mut verdicts) {
        for verdict in verdicts.values_mut().filter(|v| v.is_ok()) {
            *verdict = Err(error.clone());
        }
    }
    verdicts
}

fn steps(
    engine: &Engine,
    program: &Program,
    options: &ProgramOptions,
    vms: u32,
    verdicts: &mut Verdicts,
) -> Result<(), String> {
    let text = |e: vectorvisor::Error| e.to_string();
    let compiled = vectorvisor::Program::new(engine, &program.wasm, options, &mut |_| {}).map_err(text)?;
    let fleet = FleetOptions { fuel: Some(FUEL), out_capacity: Some(64), seed: Some(1), ..FleetOptions::default() };
    let mut instances = Instances::new(&compiled, vms, &fleet).map_err(text)?;
    let mut judge = |step: &Step, vm: usize, returned: &Returned| {
        if let (Err(wrong), Some(verdict)) = (judge(&step.expect, returned), verdicts.get_mut(&step.directive))
            && verdict.is_ok()
        {
            *verdict = Err(format!("VM {vm}: {wrong}"));
        }
    };
    let ended = instances.instantiate().map_err(text)?;
    let (first, steps) = match program.steps.split_first() {
        Some((first, rest)) if first.entry.is_none() => (Some(first), rest),
        _ => (None, &program.steps[..]),
    };
    for (vm, returned) in ended.iter().enumerate() {
        match first {
            Some(step) => judge(step, vm, returned),
            None if returned.end != End::Exit(0) => return Err(format!("VM {vm}: {}", returned.end)),
            None => {}
        }
    }
    let mut entries = Vec::with_capacity(steps.len());
    for step in steps {
        let name = step.entry.as_deref().unwrap_or_default();
        entries.push(compiled.entry(name).ok_or_else(|| format!("there is no export {name:?}"))?);
    }
    let count = vms as usize;
    let behind = if options.force_framed { count.min(4) } else { count };
    for time in 0..steps.len() + behind - 1 {
        let at = |vm: usize| time.checked_sub(vm % behind).filter(|i| *i < steps.len());
        let call = |vm: usize| at(vm).map(|i| Call { entry: entries[i], args: &steps[i].args });
        let calls: Vec<_> = (0..count).map(call).collect();
        let returned = instances.call(&calls).map_err(text)?;
        for (vm, returned) in returned.iter().enumerate() {
            if let (Some(i), Some(returned)) = (at(vm), returned) {
                judge(&steps[i], vm, returned);
            }
        }
    }
    Ok(())
}

fn judge(expect: &Expect, returned: &Returned) -> Result<(), String> {
    let wrong = |wanted: &str| {
        Err(match &returned.end {
            End::Exit(0) => {
                format!("returned {:?}, not {wanted}", returned.values.iter().map(show).collect::<Vec<_>>())
            }
            end => format!("{end}, not {wanted}"),
        })
    };
    match (expect, &returned.end) {
        (Expect::Returns, End::Exit(0)) => Ok(()),
        (Expect::Values(wants), End::Exit(0))
            if wants.len() == returned.values.len()
                && wants.iter().zip(&returned.values).all(|(want, value)| want.accepts(*value)) =>
        {
            Ok(())
        }
        // The suite's text may be longer, with an element's number for example, or shorter.
        (Expect::Trap(message), End::Trap(trap))
            if message.starts_with(trap.kind.text()) || trap.kind.text().starts_with(message) =>
        {
            Ok(())
        }
        (Expect::Returns, _) => wrong("a return"),
        (Expect::Values(wants), _) => wrong(&format!("{wants:?}")),
        (Expect::Trap(message), _) => wrong(&format!("trap {message:?}")),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::F32(bits) => format!("{value} ({bits:#010x})"),
        Value::F64(bits) => format!("{value} ({bits:#018x})"),
        _ => value.to_string(),
    }
}
