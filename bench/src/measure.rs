//! One program on one device: compile it once, run it in many VMs several times, compare every output.

use crate::guests::Guest;
use crate::native::Case;
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};
use vectorvisor::{End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions};

/// A compiled guest.
#[derive(Debug)]
pub struct Compiled {
    /// The program, loaded.
    pub program: Program,
    /// From the module to the loaded program.
    pub took: Duration,
}

/// Translates and compiles a guest. Its memory does not grow unless the options' heap is larger than what it begins with.
///
/// # Errors
/// The options make no sense, or the device's compiler fails.
pub fn compile(engine: &Engine, guest: &Guest, options: &ProgramOptions) -> Result<Compiled> {
    let heap = Some(options.heap.unwrap_or(guest.memory()?));
    let options = ProgramOptions { heap, roots: vec!["_start".into()], ..options.clone() };
    let begin = Instant::now();
    let program = Program::new(engine, guest.wasm, &options, &mut |_| {}).context(guest.name)?;
    Ok(Compiled { program, took: begin.elapsed() })
}

/// Times of the best run.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// In the program's kernel.
    pub kernel: Duration,
    /// Launches that this was made of.
    pub launches: u64,
}

/// Runs an input in each of `vms` VMs, `repeat` times; VM k takes case k, over again from the first when there are more VMs.
///
/// # Errors
/// The VMs do not fit, or one ends otherwise or prints something else than it must.
pub fn run(program: &Program, cases: &[Case], vms: u32, repeat: usize) -> Result<Times> {
    let room = cases.iter().map(|(_, output)| output.len()).max().context("there are no inputs")?;
    let options = FleetOptions {
        vms: Some(vms),
        args: vec!["guest".into()],
        seed: Some(1),
        out_capacity: Some(u32::try_from(room)?),
        ..FleetOptions::default()
    };
    let mut fleet = Fleet::new(program, &options, Some(vms as usize))?;
    let mut best: Option<Times> = None;
    for _ in 0..repeat.max(1) {
        let mut inputs =
            cases.iter().cycle().take(vms as usize).map(|(stdin, _)| Input { stdin: stdin.clone(), args: vec![] });
        let mut wrong = None;
        let summary = fleet.run("_start", &mut inputs, &mut |outcome| {
            let expected = &cases[outcome.index % cases.len()].1;
            if outcome.end != End::Exit(0) || outcome.stdout != *expected {
                wrong.get_or_insert(outcome);
            }
        })?;
        if let Some(outcome) = wrong {
            let printed = String::from_utf8_lossy(&outcome.stdout[..outcome.stdout.len().min(80)]).into_owned();
            bail!("VM {} is wrong: {}; it printed {printed:?}", outcome.index, outcome.end);
        }
        ensure!(summary.delivered == vms as usize, "only {} of {vms} VMs ended", summary.delivered);
        let times = Times { kernel: summary.kernel, launches: summary.launches };
        if best.is_none_or(|best| times.kernel < best.kernel) {
            best = Some(times);
        }
    }
    best.context("there was no run")
}
