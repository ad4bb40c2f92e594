//! A trial on the device: a program compiled in several ways, the same inputs through each, and the fastest is remembered.
//!
//! No way is best for all programs: the interleave cell alone changes times by up to 1.5, in either direction.

use crate::{DeviceKind, Error, Fleet, FleetOptions, Input, Outcome, Program, ProgramOptions, Result, Stage, Summary};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Interleave cells that are tried; the first is the default.
const CELLS: [u32; 5] = [8, 16, 4, 32, 0];
/// Inputs that a trial takes at most: enough to fill a large GPU.
const INPUTS: usize = 8192;
/// Bytes of standard input that they have at most.
const BYTES: usize = 1 << 30;
/// The longest that one candidate runs.
const LIMIT: Duration = Duration::from_secs(10);
/// Candidates that took less run once more: a first launch includes what a driver does late.
const SHORT: Duration = Duration::from_secs(1);
/// No trial unasked of a program that took longer than this to compile once.
const COMPILE: Duration = Duration::from_secs(30);

/// What a trial chooses, and what is remembered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Interleave cell in bytes; 0 is linear.
    pub interleave: u32,
}

impl Tuning {
    /// What may be chosen for options that leave something open; the first is the default.
    fn candidates(options: &ProgramOptions, lanes: u32) -> Vec<Self> {
        match options.interleave {
            None if lanes > 1 => CELLS.map(|interleave| Self { interleave }).to_vec(),
            _ => Vec::new(),
        }
    }

    /// Whether options leave anything to choose.
    pub(crate) fn open(options: &ProgramOptions) -> bool {
        options.interleave.is_none()
    }

    /// Chooses what options leave open.
    pub(crate) fn apply(self, options: &mut ProgramOptions) {
        options.interleave.get_or_insert(self.interleave);
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--interleave {}", self.interleave)
    }
}

/// What a trial found.
#[derive(Debug)]
pub struct Trial {
    /// The program, made the fastest way.
    pub program: Program,
    /// How it was made.
    pub tuning: Tuning,
    /// Every way that was tried: the time that the inputs took in the kernel, or why it is out.
    pub tried: Vec<(Tuning, std::result::Result<Duration, String>)>,
}

/// The first inputs, as many as [`Program::tune`] makes use of: a few thousand, and at most 1 GiB and one input more.
pub fn trial_inputs(inputs: &mut dyn Iterator<Item = Input>) -> Vec<Input> {
    let mut sample: Vec<Input> = Vec::new();
    let mut bytes = 0;
    while sample.len() < INPUTS
        && bytes < BYTES
        && let Some(input) = inputs.next()
    {
        bytes += input.stdin.len();
        sample.push(input);
    }
    sample
}

impl Program {
    /// Whether [`Program::tune`] has something to choose: tiles of several VMs, and options that leave it open.
    pub fn tunable(&self) -> bool {
        !Tuning::candidates(self.asked(), self.meta().plan.lanes).is_empty()
    }

    /// Whether a trial is likely to pay, and cannot cost much: there are thousands of inputs for a GPU, nothing is remembered
    /// yet but will be, and the program compiles within half a minute.
    pub fn worth_tuning(&self, inputs: usize) -> bool {
        inputs >= INPUTS
            && self.tunable()
            && self.tuning().is_none()
            && self.remembers()
            && self.engine().info().kind == DeviceKind::Gpu
            && self.compile_time().is_some_and(|time| time <= COMPILE)
    }

    /// Compiles the program in several ways, runs inputs (thousands, see [`trial_inputs`]) through each, and takes the one whose time in
    /// the kernel is shortest among those that gave the same outcomes as the default. It is remembered in the cache for later
    /// [`Program::new`] with the same module, options and device. Nothing of the inputs' outcomes is delivered.
    ///
    /// # Errors
    /// The default way fails. Another that fails is only out.
    pub fn tune(
        &self,
        options: &FleetOptions,
        entry: &str,
        inputs: &[Input],
        progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Trial> {
        let candidates = Tuning::candidates(self.asked(), self.meta().plan.lanes);
        if candidates.is_empty() {
            return Err(Error::Option("there is nothing to try: the options leave nothing open".into()));
        }
        let total = candidates.len();
        progress(Stage::Trying { done: 0, total });
        let made: Vec<Result<Self>> = thread::scope(|scope| {
            let threads: Vec<_> = candidates.iter().map(|tuning| scope.spawn(|| self.made_by(*tuning))).collect();
            let fault = || Error::System { what: "compiling for a trial", reason: "its thread panicked".into() };
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(fault()))).collect()
        });
        let options = FleetOptions { seed: options.seed.or(Some(0)), exact_reruns: 0, ..options.clone() };
        let mut best: Option<(Self, Tuning, Measured)> = None;
        let mut expected = None;
        let mut tried = Vec::new();
        for (done, (tuning, program)) in candidates.into_iter().zip(made).enumerate() {
            // A candidate that takes longer than the best so far need not end.
            let limit = best.as_ref().map_or(LIMIT, |(.., best)| (best.elapsed * 2).clamp(SHORT, LIMIT));
            let ran = program.and_then(|program| Ok((measure(&program, &options, entry, inputs, limit)?, program)));
            progress(Stage::Trying { done: done + 1, total });
            let (ran, program) = match ran {
                Ok(ran) => ran,
                Err(error) if done == 0 => return Err(error),
                Err(error) => {
                    tried.push((tuning, Err(error.to_string())));
                    continue;
                }
            };
            let measured = match ran {
                Some((measured, outcomes)) if *expected.get_or_insert_with(|| outcomes.clone()) == outcomes => measured,
                Some(_) => {
                    tried.push((tuning, Err("its outcomes were not those of the default".into())));
                    continue;
                }
                None => {
                    tried.push((tuning, Err(format!("it took longer than {} s", limit.as_secs_f32()))));
                    if done > 0 {
                        continue;
                    }
                    // The inputs are too long for a trial.
                    return Ok(self.chose(Trial { program, tuning, tried }));
                }
            };
            tried.push((tuning, Ok(measured.kernel)));
            if best.as_ref().is_none_or(|(.., best)| measured.kernel < best.kernel) {
                best = Some((program, tuning, measured));
            }
        }
        // The default is there, or there was an error.
        let (program, tuning, _) = best.ok_or_else(|| Error::Option("nothing was tried".into()))?;
        Ok(self.chose(Trial { program, tuning, tried }))
    }

    fn made_by(&self, tuning: Tuning) -> Result<Self> {
        if self.options().interleave == Some(tuning.interleave) {
            return Ok(self.clone());
        }
        let mut options = self.asked().clone();
        tuning.apply(&mut options);
        Self::new(self.engine(), self.wasm(), &options, &mut |_| {})
    }

    fn chose(&self, trial: Trial) -> Trial {
        self.remember_tuning(trial.tuning);
        trial
    }
}

/// How long a candidate took.
struct Measured {
    /// In the kernel, or all of it where the driver cannot say.
    kernel: Duration,
    elapsed: Duration,
}

/// Runs the inputs; `None` if that takes longer than `limit`.
fn measure(
    program: &Program,
    options: &FleetOptions,
    entry: &str,
    inputs: &[Input],
    limit: Duration,
) -> Result<Option<(Measured, Vec<Outcome>)>> {
    let mut fleet = Fleet::new(program, options, Some(inputs.len()))?;
    let (mut summary, outcomes) = run_within(&mut fleet, entry, inputs, limit)?;
    if !summary.cancelled && summary.elapsed < SHORT {
        let (again, _) = run_within(&mut fleet, entry, inputs, limit)?;
        if !again.cancelled && again.kernel < summary.kernel {
            summary = again;
        }
    }
    let kernel = if summary.kernel.is_zero() { summary.elapsed } else { summary.kernel };
    Ok((!summary.cancelled).then_some((Measured { kernel, elapsed: summary.elapsed }, outcomes)))
}

/// Runs the inputs, and cancels that after `limit`. The outcomes are in the order of the inputs.
fn run_within(fleet: &mut Fleet, entry: &str, inputs: &[Input], limit: Duration) -> Result<(Summary, Vec<Outcome>)> {
    let handle = fleet.cancel_handle();
    let (ended, wait) = channel::<()>();
    let mut outcomes = Vec::with_capacity(inputs.len());
    let summary = thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                handle.cancel();
            }
        });
        let summary = fleet.run(entry, &mut inputs.iter().cloned(), &mut |outcome| outcomes.push(outcome));
        drop(ended);
        summary
    })?;
    outcomes.sort_unstable_by_key(|outcome| outcome.index);
    Ok((summary, outcomes))
}
