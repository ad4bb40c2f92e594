//! What a trial may choose between, when one is worth its time, and what is remembered of it. `fleet/trial.rs` carries it out.
//!
//! No way to make a program is best for all: the interleave cell alone changes times by up to 1.7, in either direction
//! (`bench/RESULTS.md`).

use crate::{DeviceInfo, DeviceKind, Error, Program, ProgramOptions, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Interleave cells that are tried; the first is the usual one. One of 4 was never faster than one of 8 by more than 1%.
const CELLS: [u32; 4] = [8, 16, 32, 0];
/// What ran for less than this runs once more: a first launch includes what a driver does late.
pub const SHORT: Duration = Duration::from_secs(1);
/// Inputs that take less in the kernel say nothing of it: clocks and launches vary by tens of microseconds.
pub const TELLING: Duration = Duration::from_millis(1);
/// A way is out when it takes so many times as long as the best so far.
const SLOWER: f64 = 1.5;
/// No trial unasked of a program that took longer than this to compile: all the others compile at the same time.
const COMPILE: Duration = Duration::from_secs(30);
/// A trial unasked costs at most this part of what the run has still ahead of it.
const PART: f64 = 1.0 / 5.0;

/// No trial unasked on a device that has less than this part of the tiles that it can work at: it would say little about a busy one. On a
/// GPU this is about a tile for every second multiprocessor.
const FILLED: u32 = 128;

/// When [`crate::Fleet::run_with_trial`] makes a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trials {
    /// Never.
    Never,
    /// Once for each program, options and device, where it costs little beside the run. It has to be a GPU with thousands of VMs,
    /// nothing is remembered yet but will be, the program compiled within 30 s, and a trial costs at most a fifth of the time that is
    /// still ahead: with a number of inputs that is not known, as much as the run lasted so far.
    Auto,
    /// With the first inputs, whatever is remembered.
    Now,
}

impl Trials {
    /// Whether a trial that is asked for has something to choose between.
    ///
    /// # Errors
    /// [`Error::Option`] if it has not.
    pub fn check(self, options: &ProgramOptions, info: &DeviceInfo) -> Result<()> {
        match Tuning::fixed(options, options.for_device(info).lanes).filter(|_| self == Self::Now) {
            Some(why) => Err(Error::Option(format!("a trial has no interleave cells to choose between, since {why}"))),
            None => Ok(()),
        }
    }
}

/// A way to make a program: what a trial chooses, and what is remembered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Interleave cell in bytes; 0 is linear.
    pub interleave: u32,
}

/// A way that was tried: the time that the inputs took in the kernel, or why it is out.
pub type Tried = (Tuning, std::result::Result<Duration, String>);

impl Tuning {
    /// What may be chosen for a program; first comes how it is made. Empty if there is no choice.
    pub(crate) fn candidates(program: &Program) -> Vec<Self> {
        let (now, lanes) = (program.meta().plan.cell, program.meta().plan.lanes);
        if Self::fixed(program.asked(), lanes).is_some() {
            return Vec::new();
        }
        let others = CELLS.into_iter().filter(|cell| *cell != now);
        std::iter::once(now).chain(others).map(|interleave| Self { interleave }).collect()
    }

    /// Why options leave nothing to choose, if they do not.
    pub(crate) fn fixed(options: &ProgramOptions, lanes: u32) -> Option<&'static str> {
        if options.interleave.is_some() {
            Some("the options choose already; leave out --interleave trial")
        } else if lanes == 1 {
            Some("a tile has one VM; make it more with --lanes 8, or leave out --interleave trial")
        } else {
            None
        }
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

/// How long a run takes, as far as it has come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time in the kernel so far.
    pub ran: Duration,
    /// Inputs of that time.
    pub done: usize,
    /// All inputs, if their number is known.
    pub total: Option<usize>,
}

impl Pace {
    /// How long so many inputs take.
    pub fn of(&self, inputs: usize) -> Duration {
        seconds(self.ran.as_secs_f64() * inputs as f64 / self.done.max(1) as f64)
    }

    fn ahead(&self) -> Duration {
        self.total.map_or(self.ran, |total| self.of(total.saturating_sub(self.done)))
    }
}

/// As near as can be said.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// How long a way may take for inputs that took so long in the best so far.
pub fn limit(best: Duration) -> Duration {
    seconds(best.as_secs_f64() * SLOWER).max(SHORT)
}

impl Program {
    /// Whether a trial unasked with so many VMs can pay at all.
    pub(crate) fn may_try(&self, vms: usize) -> bool {
        let (info, tiles) = (self.engine().info(), vms / self.meta().plan.lanes.max(1) as usize);
        info.kind == DeviceKind::Gpu
            && tiles >= (info.parallel_tiles / FILLED) as usize
            && self.tuning().is_none()
            && self.remembers()
            && self.compile_time() <= COMPILE
    }
}

/// Whether a trial of so many ways with inputs that take `once` is short beside what is ahead, also if each way takes as long as it may. It
/// cannot be known how much faster a run becomes; but later runs become that too.
pub fn pays(ways: usize, compile: Duration, once: Duration, pace: Pace) -> bool {
    // As if the compiler made one after another.
    let each = compile.as_secs_f64() + limit(once).as_secs_f64();
    let cost = once.as_secs_f64() + each * ways.saturating_sub(1) as f64;
    cost <= pace.ahead().as_secs_f64() * PART
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pays(compile: u64, once: f64, total: Option<usize>, ran: u64) -> bool {
        // 500 inputs a second.
        let pace = Pace { ran: Duration::from_secs(ran), done: ran as usize * 500, total };
        super::pays(4, Duration::from_secs(compile), seconds(once), pace)
    }

    #[test]
    fn a_trial_is_short_beside_the_run() {
        // 3 * 10 s of compiling, 2 s in the present way and 3 * 3 s in others, which is a fifth of 205 s.
        assert!(pays(10, 2.0, Some(104_000), 2));
        assert!(!pays(10, 2.0, Some(103_000), 2));
        assert!(!pays(10, 2.0, Some(1000), 2), "nothing is left");
        assert!(pays(10, 2.0, None, 206));
        assert!(!pays(10, 2.0, None, 204));
        // However fast it compiles, a few times the sample are too little; and a way that takes long is only out after a second.
        assert!(!pays(0, 2.0, Some(28_000), 2));
        assert!(pays(0, 2.0, Some(29_000), 2));
        assert!(!pays(0, 0.0, Some(8000), 2));
        assert!(pays(0, 0.0, Some(9000), 2));
        // A sample that takes longer than the inputs before it.
        assert!(!pays(0, 20.0, Some(29_000), 2));
        assert!(super::pays(4, Duration::ZERO, SHORT, Pace { ran: SHORT, done: 1, total: Some(usize::MAX) }));
    }
}
