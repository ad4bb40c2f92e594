//! The outcome of an input, and the figures of a run.

use crate::Value;
use std::fmt;
use std::time::Duration;
use vectorvisor_translate::abi::TrapKind;

/// The result of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The input's number in this run, from 0.
    pub index: usize,
    /// How it ended.
    pub end: End,
    /// What it wrote to standard output, also if it trapped later.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// The entry's results, if it returned.
    pub values: Vec<Value>,
    /// Loop iterations, calls and bulk work that were charged.
    pub fuel_used: u64,
    /// `memory.grow` was refused beyond this many bytes, the most for a VM, although the module allows more: a larger
    /// [`crate::ProgramOptions::heap`] may help.
    pub refused_at: Option<u64>,
    /// The device had no memory for a call stack of more than this many bytes, fewer than
    /// [`crate::ProgramOptions::stack`], for which the input asked: fewer VMs may help.
    pub stack_at: Option<u64>,
    /// With `profile`: loop back-edges by kind of function.
    pub edges: Option<Edges>,
    /// What is in those files of [`crate::Input::collect`] that there are, if it exited.
    pub files: Vec<(String, Vec<u8>)>,
}

/// How often VMs entered functions or turned loops, in a program made with [`crate::ProgramOptions::profile`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visits {
    /// Each VM counts.
    pub lanes: u64,
    /// Those of a warp that came together count once. 0 on a device that does not tell.
    pub warps: u64,
}

impl Visits {
    /// How many lanes of a warp came together, in the mean.
    pub fn active_lanes(self) -> Option<f64> {
        (self.warps > 0).then(|| self.lanes as f64 / self.warps as f64)
    }
}

impl std::ops::AddAssign for Visits {
    fn add_assign(&mut self, more: Self) {
        self.lanes += more.lanes;
        self.warps += more.warps;
    }
}

/// How an input ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The entry returned (0), or the program called `proc_exit`.
    Exit(i32),
    /// A trap.
    Trap(Trap),
    /// The fuel ran out.
    OutOfFuel(Place),
    /// The time ran out.
    Timeout(Place),
    /// The program serves requests in a loop, and takes none as long as this one.
    TooLong {
        /// The most bytes that it takes.
        most: u64,
    },
    /// The input could not be run at all, or its output does not fit on the device.
    Failed(String),
}

/// Where in the program something happened, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The function's name, or those of all functions that have the same code and became one.
    pub function: Option<String>,
    /// Its index in the module, imports counted.
    pub function_index: Option<u32>,
    /// Byte offset in the module.
    pub offset: Option<u32>,
}

/// A trap and where it happened.
///
/// ```
/// use vectorvisor::{Place, Trap, TrapKind};
/// let place = Place { function: Some("main".into()), function_index: Some(3), offset: Some(0x1f) };
/// let trap = Trap { kind: TrapKind::OutOfBoundsMemory, place, exact: false };
/// assert_eq!(trap.to_string(), "out of bounds memory access at or before main, offset 0x1f");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Why.
    pub kind: TrapKind,
    /// Where.
    pub place: Place,
    /// The place is the trapping instruction; otherwise the trap happened there or before.
    pub exact: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.function, self.function_index) {
            (Some(name), _) => write!(f, "{name}")?,
            (None, Some(index)) => write!(f, "function {index}")?,
            (None, None) => write!(f, "an unknown function")?,
        }
        match self.offset {
            Some(offset) => write!(f, ", offset {offset:#x}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.exact { "in" } else { "at or before" };
        write!(f, "{} {at} {}", self.kind.text(), self.place)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Trap(trap) => write!(f, "trap: {trap}"),
            Self::OutOfFuel(place) => write!(f, "out of fuel in {place}"),
            Self::Timeout(place) => write!(f, "out of time in {place}"),
            Self::TooLong { most } => write!(f, "the request is longer than the {most} bytes that the program takes"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// Figures of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inputs taken from the iterator.
    pub inputs: usize,
    /// Outcomes delivered; fewer than `inputs` only after a cancellation.
    pub delivered: usize,
    /// How many of them were interpreted, before the program was compiled ([`crate::Program::tiered`]).
    pub interpreted: usize,
    /// Launches of the program's kernel.
    pub launches: u64,
    /// The most VMs that shared a warp in a launch.
    pub vms_per_warp: u32,
    /// Reruns of inputs (larger output, more memory, alone in its warp, exact place of a trap).
    pub reruns: u64,
    /// The run was cancelled by its [`crate::CancelHandle`].
    pub cancelled: bool,
    /// Duration of the run.
    pub elapsed: Duration,
    /// Time that the device spent in the program's kernel, where the driver can measure it.
    pub kernel: Duration,
}

/// Adds the figures of a later part of the same run.
impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, more: Self) {
        self.inputs += more.inputs;
        self.delivered += more.delivered;
        self.interpreted += more.interpreted;
        self.launches += more.launches;
        self.vms_per_warp = self.vms_per_warp.max(more.vms_per_warp);
        self.reruns += more.reruns;
        self.cancelled |= more.cancelled;
        self.elapsed += more.elapsed;
        self.kernel += more.kernel;
    }
}

/// Loop back-edges that were executed, by where they lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edges {
    /// In direct functions.
    pub direct: u64,
    /// Inside one state of a framed function, where they are as fast as in a direct one.
    pub state: u64,
    /// From state to state, through the trampoline.
    pub framed: u64,
}
