//! Autotuning: the candidates, when measuring them is worth its time, and what the cache keeps. `fleet/autotune.rs`
//! measures.
//!
//! No tuning is best for all programs: the interleave cell alone doubles some programs' times and cuts others' to a thirtieth
//! (`bench/RESULTS.md`).

use crate::{DeviceInfo, DeviceKind, Error, Opt, Program, ProgramOptions, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Candidate interleave cells in bytes. A cell of 4 was never faster than one of 8 by more than 1%.
const CELLS: [u32; 4] = [8, 16, 32, 0];
/// Those that [`Autotuning::Auto`] tries: lanes that go the same way share what a cell's neighbours hold, lanes that go
/// different ways want contiguous memory, and nothing tells beforehand which a program's do.
const EXTREMES: [u32; 2] = [8, 0];
/// Those with which sharing read-only data is tried, too.
const SHARING: u32 = 8;
/// A measurement shorter than this is repeated, since a first launch includes the driver's lazy initialisation.
pub const SHORT: Duration = Duration::from_secs(1);
/// Shortest kernel time by which candidates can be told apart: clocks and launches vary by tens of microseconds.
pub const TELLING: Duration = Duration::from_millis(1);
/// A candidate is rejected when it takes this many times as long as the best so far.
const SLOWER: f64 = 1.5;
/// [`Autotuning::Auto`] tries cells if the work of inputs deviates from its mean by no more than this fraction. It did by
/// more in all programs that were faster in linear memory, but sort.
const ALIKE: f64 = 1.0 / 20.0;
/// [`Autotuning::Auto`] costs at most this fraction of the rest of the run: it halves the time of many programs.
const PART: f64 = 1.0 / 2.0;

/// [`Autotuning::Auto`] needs the device's `parallel_tiles` divided by this many tiles: times on a nearly idle device
/// say little about a busy one. On a GPU this is about a tile for every second multiprocessor.
const FILLED: u32 = 128;

/// When [`crate::Fleet::run_autotuned`] autotunes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autotuning {
    /// Never.
    Never,
    /// Once for each program, options and device, where it costs little compared with the run: on a GPU with thousands
    /// of VMs, with a cache that holds no choice yet, if the rest of the run takes longer than compiling, which happens
    /// meanwhile, if measuring costs at most half of it, and if all inputs are about the same work. If the number of
    /// inputs is not known, the rest is assumed to last as long as the run did so far. It tries linear memory, a cell of
    /// 8 bytes, and that with shared read-only data.
    Auto,
    /// With the first inputs, whatever the cache holds.
    Now,
}

impl Autotuning {
    /// Checks that [`Autotuning::Now`] has candidates to choose between.
    ///
    /// # Errors
    /// [`Error::Option`] if it has not.
    pub fn check(self, options: &ProgramOptions, info: &DeviceInfo) -> Result<()> {
        match Tuning::fixed(options, options.for_device(info).lanes).filter(|_| self == Self::Now) {
            Some(why) => {
                Err(Error::Option(format!("autotuning has no interleave cells to choose between, since {why}")))
            }
            None => Ok(()),
        }
    }
}

/// The translation options that autotuning chooses, and that the cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Interleave cell in bytes; 0 is linear.
    pub interleave: u32,
    /// Read-only data is shared, though the options do not ask for it ([`Opt::SharedData`]).
    pub shared: bool,
}

/// A candidate, and the time that the inputs took in the kernel, or why it was rejected.
pub type Measured = (Tuning, std::result::Result<Duration, String>);

impl Tuning {
    /// The candidates for a program, its present tuning first. Empty if there is no choice.
    pub(crate) fn candidates(program: &Program, when: Autotuning) -> Vec<Self> {
        let (now, lanes) = (program.meta().plan.cell, program.meta().plan.lanes);
        if Self::fixed(program.asked(), lanes).is_some() {
            return Vec::new();
        }
        let cells = if when == Autotuning::Now { &CELLS[..] } else { &EXTREMES };
        let shared = program.tuning().is_some_and(|tuning| tuning.shared);
        let mut all = vec![Self { interleave: now, shared }];
        all.extend(cells.iter().filter(|cell| **cell != now).map(|cell| Self { interleave: *cell, shared: false }));
        // Whether there is something to share shows when it is tried; where there is not, the text is another's.
        let asked = program.asked();
        let decided = asked.with.contains(&Opt::SharedData) || asked.without.contains(&Opt::SharedData);
        let sharing = Self { interleave: SHARING, shared: true };
        if !decided && program.may_share() && all[0] != sharing {
            all.push(sharing);
        }
        all
    }

    /// Why the options leave no choice; `None` if they do.
    pub(crate) fn fixed(options: &ProgramOptions, lanes: u32) -> Option<&'static str> {
        if options.interleave.is_some() {
            Some("the options choose already; leave out --interleave tune")
        } else if lanes == 1 {
            Some("a tile has one VM; make it more with --lanes 8, or leave out --interleave tune")
        } else {
            None
        }
    }

    /// Fills in the options that the caller left open.
    pub(crate) fn apply(self, options: &mut ProgramOptions) {
        options.interleave.get_or_insert(self.interleave);
        if self.shared {
            options.with.insert(Opt::SharedData);
        }
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--interleave {}{}", self.interleave, if self.shared { " --opt shared-data" } else { "" })
    }
}

/// How much the inputs of a run had VMs do, in fuel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    inputs: f64,
    mean: f64,
    /// Sum of squares of the differences from the mean.
    squares: f64,
}

impl Work {
    /// With another input.
    pub fn and(self, fuel: u64) -> Self {
        let (inputs, fuel) = (self.inputs + 1.0, fuel as f64);
        let mean = self.mean + (fuel - self.mean) / inputs;
        Self { inputs, mean, squares: self.squares + (fuel - self.mean) * (fuel - mean) }
    }

    /// Whether it was nearly the same for all. Only then VMs can go the same way.
    pub fn is_alike(self) -> bool {
        self.squares <= self.inputs * (self.mean * ALIKE).powi(2)
    }
}

/// The progress of a run, from which its rest is estimated.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time in the kernel so far.
    pub ran: Duration,
    /// Inputs that ended in that time.
    pub done: usize,
    /// All inputs, if their number is known.
    pub total: Option<usize>,
}

impl Pace {
    /// Estimated time of so many inputs.
    pub fn of(&self, inputs: usize) -> Duration {
        seconds(self.ran.as_secs_f64() * inputs as f64 / self.done.max(1) as f64)
    }

    fn ahead(&self) -> Duration {
        self.total.map_or(self.ran, |total| self.of(total.saturating_sub(self.done)))
    }
}

/// Saturates where a duration cannot hold it.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// How long a candidate may take for inputs that took `best` with the best so far.
pub fn limit(best: Duration) -> Duration {
    seconds(best.as_secs_f64() * SLOWER).max(SHORT)
}

impl Program {
    /// Whether [`Autotuning::Auto`] can pay at all with a sample of so many inputs.
    pub(crate) fn may_autotune(&self, sample: usize) -> bool {
        let (info, tiles) = (self.engine().info(), sample / self.meta().plan.lanes.max(1) as usize);
        info.kind == DeviceKind::Gpu
            && tiles >= (info.parallel_tiles / FILLED) as usize
            && self.tuning().is_none()
            && self.remembers()
    }
}

/// Whether measuring so many candidates with inputs that take `once` costs little compared with the rest of the run,
/// even if each candidate takes as long as it may. The gain is not known beforehand, but later runs have it too. Before
/// that the candidates `compile`, beside the run.
pub fn pays(candidates: usize, compile: Duration, once: Duration, pace: Pace) -> bool {
    let cost = once.as_secs_f64() + limit(once).as_secs_f64() * candidates.saturating_sub(1) as f64;
    cost <= (pace.ahead().as_secs_f64() - compile.as_secs_f64()) * PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_work_is_alike() {
        let alike = |all: &[u64]| all.iter().fold(Work::default(), |work, fuel| work.and(*fuel)).is_alike();
        assert!(alike(&[]) && alike(&[0, 0]) && alike(&[7; 100]) && alike(&[1000, 1040, 960, 1090]));
        assert!(!alike(&[0, 1]) && !alike(&[1000, 1000, 1000, 1200]) && !alike(&[u64::MAX, 1]));
    }

    fn pays(compile: u64, once: f64, total: Option<usize>, ran: u64) -> bool {
        // 500 inputs a second.
        let pace = Pace { ran: Duration::from_secs(ran), done: ran as usize * 500, total };
        super::pays(4, Duration::from_secs(compile), seconds(once), pace)
    }

    #[test]
    fn autotuning_is_short_compared_with_the_run() {
        // 2 s with the present tuning and 3 * 3 s with the others, which is half of what is left after 10 s of compiling.
        assert!(pays(10, 2.0, Some(17_000), 2));
        assert!(!pays(10, 2.0, Some(16_000), 2));
        assert!(!pays(10, 2.0, Some(1000), 2), "nothing is left");
        assert!(pays(10, 2.0, None, 33));
        assert!(!pays(10, 2.0, None, 31));
        // However fast it compiles, a few times the sample are too little; and a slow candidate is rejected only after
        // a second.
        assert!(!pays(0, 2.0, Some(11_900), 2));
        assert!(pays(0, 2.0, Some(12_100), 2));
        assert!(!pays(0, 0.0, Some(3900), 2));
        assert!(pays(0, 0.0, Some(4100), 2));
        // A sample that takes longer than the inputs before it.
        assert!(!pays(0, 20.0, Some(29_000), 2));
        assert!(super::pays(4, Duration::ZERO, SHORT, Pace { ran: SHORT, done: 1, total: Some(usize::MAX) }));
    }
}
