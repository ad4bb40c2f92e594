//! Measures one program on one device: compiles it once, runs it in many VMs several times, and compares every output.

use crate::guests::Guest;
use crate::native::Case;
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};
use vectorvisor::{Bytes, DeviceKind, End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions};

/// A compiled guest.
#[derive(Debug)]
pub struct Compiled {
    /// The program, loaded.
    pub program: Program,
    /// The time from the module to the loaded program.
    pub took: Duration,
}

/// Bytes of a cell on a GPU where the options leave it open: the guests' VMs go the same way.
const CELL: u32 = 8;

/// Translates and compiles a guest. Its memory does not grow unless the options' heap is larger than its initial
/// memory.
///
/// # Errors
/// The options make no sense, or the device's compiler fails.
pub fn compile(engine: &Engine, guest: &Guest, options: &ProgramOptions) -> Result<Compiled> {
    let heap = Some(options.heap.unwrap_or(guest.memory()?));
    let interleave = options.interleave.or((engine.info().kind == DeviceKind::Gpu).then_some(CELL));
    let options = ProgramOptions { heap, interleave, roots: vec!["_start".into()], ..options.clone() };
    let begin = Instant::now();
    let program = Program::new(engine, guest.wasm, &options, &mut |_| {}).context(guest.name)?;
    Ok(Compiled { program, took: begin.elapsed() })
}

/// Times of a run.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Kernel time.
    pub kernel: Duration,
    /// The number of launches.
    pub launches: u64,
}

/// VMs that can run the same inputs several times.
#[derive(Debug)]
pub struct Vms {
    fleet: Fleet,
    cases: Vec<Case>,
    count: usize,
}

impl Vms {
    /// VM k takes case k modulo the number of cases.
    ///
    /// # Errors
    /// The VMs do not fit, or there are no cases.
    pub fn new(program: &Program, cases: Vec<Case>, count: u32) -> Result<Self> {
        let capacity = cases.iter().map(|(_, output)| output.len()).max().context("there are no inputs")?;
        let options = options(count, Some(u32::try_from(capacity)?));
        Ok(Self { fleet: Fleet::new(program, &options, Some(count as usize))?, cases, count: count as usize })
    }

    /// Runs every VM once.
    ///
    /// # Errors
    /// A VM fails, or its output is not the expected one.
    pub fn run(&mut self) -> Result<Times> {
        let (cases, mut wrong) = (&self.cases, None);
        let mut inputs = cases.iter().cycle().take(self.count).map(|(stdin, _)| input(stdin));
        let summary = self.fleet.run("_start", &mut inputs, &mut |outcome| {
            let expected = &cases[outcome.index % cases.len()].1;
            if outcome.end != End::Exit(0) || outcome.stdout != *expected {
                wrong.get_or_insert(outcome);
            }
        })?;
        if let Some(outcome) = wrong {
            let printed = String::from_utf8_lossy(&outcome.stdout[..outcome.stdout.len().min(80)]).into_owned();
            bail!("VM {} is wrong: {}; it printed {printed:?}", outcome.index, outcome.end);
        }
        ensure!(summary.delivered == self.count, "only {} of {} VMs ended", summary.delivered, self.count);
        Ok(Times { kernel: summary.kernel, launches: summary.launches })
    }
}

/// The first `count` inputs of a guest, with its outputs on the program's device.
///
/// # Errors
/// The VMs do not fit, or one fails.
pub fn outputs(program: &Program, guest: &Guest, count: u32) -> Result<Vec<Case>> {
    outputs_of(program, (0..count).map(|seed| guest.input(seed.into()))).context(guest.name)
}

/// Inputs of a program, with its outputs on its device.
///
/// # Errors
/// The VMs do not fit, or one fails.
pub fn outputs_of(program: &Program, inputs: impl Iterator<Item = Vec<u8>>) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = inputs.map(|input| (input.into(), Vec::new())).collect();
    let inputs: Vec<_> = cases.iter().map(|(stdin, _)| input(stdin)).collect();
    let options = options(u32::try_from(inputs.len())?, None);
    let (mut fleet, mut wrong) = (Fleet::new(program, &options, Some(inputs.len()))?, None);
    fleet.run("_start", &mut inputs.into_iter(), &mut |outcome| {
        if outcome.end != End::Exit(0) {
            wrong.get_or_insert(outcome.end);
        }
        cases[outcome.index].1 = outcome.stdout;
    })?;
    match wrong {
        Some(end) => bail!("an input ended with {end}"),
        None => Ok(cases),
    }
}

fn options(vms: u32, out_capacity: Option<u32>) -> FleetOptions {
    FleetOptions { vms: Some(vms), args: vec!["guest".into()], seed: Some(1), out_capacity, ..Default::default() }
}

fn input(stdin: &Bytes) -> Input {
    Input { stdin: stdin.clone(), ..Input::default() }
}
