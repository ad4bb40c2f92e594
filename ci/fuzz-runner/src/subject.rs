//! VectorVisor, the subject of the test: its answers in the VMs of two tiles.

use crate::case::{Answer, Case, Request, Setup};
use std::borrow::Cow;
use std::collections::BTreeMap;
use vectorvisor::translate::link::{Instance, Linker};
use vectorvisor::{Call, End, Engine, Entry, Fleet, Input, Instances, Program, Returned, TrapKind, Value};

/// A call that some VM makes.
struct Step<'a> {
    case: usize,
    entry: &'a Entry,
    args: &'a [Value],
}

/// The answers by case and VM: to the instantiation and, unless that traps, to each call.
///
/// # Errors
/// The program cannot be translated, compiled or run.
pub fn answers(engine: &Engine, setup: &Setup, cases: &[Case]) -> Result<Vec<Vec<Vec<Answer>>>, String> {
    let text = |e: vectorvisor::Error| e.to_string();
    let (wasm, linked) = bytes(setup, cases)?;
    let program = Program::new(engine, &wasm, &setup.program(), &mut |_| {}).map_err(text)?;
    if setup.natural {
        return fleets(&program, setup, &cases[0]).map(|answers| vec![answers]);
    }
    let vms = setup.vms();
    let mut instances = Instances::new(&program, vms as u32, &Setup::fleet()).map_err(text)?;
    let mut answers = vec![vec![Vec::new(); vms]; cases.len()];
    let begun = instances.instantiate().map_err(text)?;
    if linked.is_empty() {
        for (vm, returned) in begun.into_iter().enumerate() {
            answers[0][vm].push(answer(returned));
        }
    }
    let entry = |name: &str| program.entry(name).ok_or_else(|| format!("there is no export {name:?}"));
    let mut steps = Vec::new();
    for vm in 0..vms {
        steps.push(steps_of(vm, cases, &linked, &entry)?);
    }
    for time in 0..steps.iter().map(Vec::len).max().unwrap_or(0) {
        let now = |vm: usize| {
            let step: &Step = steps[vm].get(time)?;
            let dead = matches!(answers[step.case][vm].first(), Some(Answer::Trap(_) | Answer::Other(_)));
            (!dead).then_some(step)
        };
        let now: Vec<Option<&Step>> = (0..vms).map(now).collect();
        let calls: Vec<Option<Call>> =
            now.iter().map(|step| step.map(|s| Call { entry: s.entry, args: s.args })).collect();
        for (vm, returned) in instances.call(&calls).map_err(text)?.into_iter().enumerate() {
            if let (Some(step), Some(returned)) = (now[vm], returned) {
                answers[step.case][vm].push(answer(returned));
            }
        }
    }
    Ok(answers)
}

/// A fleet's answer to the call of each VM, which is an input. Each export has a new fleet, because a fleet that met a
/// broken alignment hint continues with the other translation.
fn fleets(program: &Program, setup: &Setup, case: &Case) -> Result<Vec<Vec<Answer>>, String> {
    let mut answers = vec![Vec::new(); setup.vms()];
    let mut exports: BTreeMap<&str, Vec<(usize, &Request)>> = BTreeMap::new();
    for vm in 0..setup.vms() {
        match case.calls(vm) {
            [call] => exports.entry(&call.export).or_default().push((vm, call)),
            calls => return Err(format!("{} calls of a VM that makes one only", calls.len())),
        }
    }
    for (export, calls) in exports {
        let mut fleet = Fleet::new(program, &Setup::fleet(), Some(calls.len())).map_err(|e| e.to_string())?;
        let mut inputs = calls.iter().map(|(_, call)| Input::args(call.args.clone()));
        let ran = fleet.run(export, &mut inputs, &mut |outcome| {
            let returned = Returned { end: outcome.end, values: outcome.values };
            answers[calls[outcome.index].0] = vec![answer(returned)];
        });
        ran.map_err(|e| e.to_string())?;
    }
    Ok(answers)
}

fn trap(kind: TrapKind) -> Answer {
    // Wasmtime has one kind for both.
    Answer::Trap(if kind == TrapKind::UndefinedElement { TrapKind::OutOfBoundsTable } else { kind })
}

/// One binary of all cases, and the instances in it if they were linked.
fn bytes<'a>(setup: &Setup, cases: &'a [Case]) -> Result<(Cow<'a, [u8]>, Vec<Instance>), String> {
    if let ([case], false) = (cases, setup.linked) {
        return Ok((Cow::Borrowed(&case.wasm), Vec::new()));
    }
    let mut linker = Linker::default();
    let instances: Result<Vec<Instance>, _> = cases.iter().map(|case| linker.add(&case.wasm)).collect();
    let instances = instances.map_err(|e| e.to_string())?;
    let wasm = linker.link(&instances).map_err(|e| e.to_string())?;
    Ok((Cow::Owned(wasm), instances))
}

/// The steps of a VM. VMs begin with different modules, so that neighbouring lanes run different code.
fn steps_of<'a>(
    vm: usize,
    cases: &'a [Case],
    linked: &[Instance],
    entry: &impl Fn(&str) -> Result<&'a Entry, String>,
) -> Result<Vec<Step<'a>>, String> {
    let mut steps = Vec::new();
    for i in 0..cases.len() {
        let case = (vm + i) % cases.len();
        let instance = linked.get(case);
        if let Some(instance) = instance {
            steps.push(Step { case, entry: entry(&Linker::instantiate(*instance))?, args: &[] });
        }
        for request in cases[case].calls(vm) {
            let name = match instance {
                Some(instance) => Linker::export(*instance, &request.export),
                None => request.export.clone(),
            };
            steps.push(Step { case, entry: entry(&name)?, args: &request.args });
        }
    }
    Ok(steps)
}

fn answer(returned: Returned) -> Answer {
    match returned.end {
        End::Exit(0) => Answer::Values(returned.values),
        End::Trap(at) => trap(at.kind),
        end => Answer::Other(end.to_string()),
    }
}
