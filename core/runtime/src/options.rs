//! What callers choose: how a program is translated, how a fleet runs, and what one VM is given.

use crate::{Bytes, CachePolicy, Meter, Trace, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use vectorvisor_driver::DeviceInfo;
use vectorvisor_translate::host::FilesAt;
use vectorvisor_translate::{Alignment, Bounds, Clock, Language, Opt, Options, Target, Traps};
use vectorvisor_wasi::Files;

/// How to translate a program. The default suits the device.
///
/// ```
/// let options = vectorvisor::ProgramOptions { lanes: Some(32), ..Default::default() };
/// assert_eq!(options.interleave, None);
/// ```
#[derive(Debug, Clone)]
pub struct ProgramOptions {
    /// VMs in a tile (1 to 1024, a power of two); `None` is the device's own lane width.
    pub lanes: Option<u32>,
    /// Interleave cell in bytes (0, 4, 8, 16 or 32); `None` is what autotuning chose earlier
    /// ([`crate::Fleet::run_autotuned`]), or else 0 on a GPU and where a tile has one VM, and 8 elsewhere.
    pub interleave: Option<u32>,
    /// Most bytes that linear memory may grow to; `None` is the initial size and 16 MiB. Where many VMs would need more
    /// than there is, they begin with less, and an input that needs more runs again.
    pub heap: Option<u64>,
    /// Most bytes for the frames of a recursive program; `None` is 1 MiB. On the `cpu` backend they lie on the thread's
    /// stack, up to 8 MiB. Elsewhere a VM begins with 64 KiB, or on CUDA with 24 KiB of the thread's own, and an input
    /// that needs more runs again; [`crate::Instances`], and VMs that keep their state, begin with all of it.
    pub stack: Option<u32>,
    /// When a bad memory access is reported.
    pub traps: Traps,
    /// What the bounds check of an access to growable memory compares with.
    pub bounds: Bounds,
    /// The alignment that accesses are assumed to have; `None` is [`Alignment::Natural`] on GPUs and [`Alignment::Any`]
    /// on processors, where alignment costs nothing. A program that violates the assumption is compiled again without
    /// it, which the cache remembers.
    pub alignment: Option<Alignment>,
    /// Optimisations to leave out, to measure their effect.
    pub without: BTreeSet<Opt>,
    /// Optimisations to add to the usual ones. A program that turns out to store into [`Opt::SharedData`] is compiled
    /// again without, and that is remembered in the cache.
    pub with: BTreeSet<Opt>,
    /// The module comes from [`crate::translate::link::Linker`], so it may have several memories.
    pub linked: bool,
    /// Divide functions larger than this, in statements and nodes of expressions; `None` is
    /// [`LARGE`](vectorvisor_translate::LARGE) on GPUs, whose compilers take long for them, and no limit on processors.
    pub divide: Option<u32>,
    /// VMs of a program that serves requests in a loop keep their state from one request to the next. Else each request
    /// begins with the state in which the program first asked for one.
    pub keep: bool,
    /// Interpret the program's code instead of translating it: compiled in 1 to 3 s, however large it is, but it runs
    /// many times as long.
    pub interpret: bool,
    /// Frame every function and suspend at every call (tests).
    pub force_framed: bool,
    /// Count how often VMs and warps enter functions and turn loops ([`crate::Fleet::visits`], [`crate::Meter::visits`]),
    /// and turns by kind of function. The cache keeps such a program apart; what earlier runs found out holds for it, too.
    pub profile: bool,
    /// For `call_indirect` instructions, by their offset in the module: the functions that they usually call, by their indices
    /// ([`vectorvisor_translate::Options::usual_targets`]). `vectorvisor profile` finds them.
    pub usual_targets: BTreeMap<u32, Vec<u32>>,
    /// Where the files of guests are ([`FleetOptions::files`]; [`Files::at`]). Programs that use none are the same either
    /// way.
    pub files: FilesAt,
    /// Exports that may be entered; empty means all.
    pub roots: Vec<String>,
    /// Where compiled programs are kept.
    pub cache: CachePolicy,
    /// Largest size of the cache in bytes; 0 is no limit. The least recently used entry is evicted.
    pub cache_limit: u64,
}

impl Default for ProgramOptions {
    fn default() -> Self {
        Self {
            lanes: None,
            interleave: None,
            heap: None,
            stack: None,
            traps: Traps::Sticky,
            bounds: Bounds::Size,
            alignment: None,
            without: BTreeSet::new(),
            with: BTreeSet::new(),
            linked: false,
            divide: None,
            keep: false,
            interpret: false,
            force_framed: false,
            profile: false,
            usual_targets: BTreeMap::new(),
            files: FilesAt::Nowhere,
            roots: Vec::new(),
            cache: CachePolicy::Default,
            cache_limit: CACHE_LIMIT,
        }
    }
}

/// Default of the largest size of the cache in bytes: ccache's.
const CACHE_LIMIT: u64 = 5 << 30;

/// Bytes of a GPU's stacks on which functions recurse. Each thread that can run at once has one: 270,336 on an H200.
const NATIVE_STACKS: [u32; 2] = [24 << 10, 8 << 10];
/// They take one in so many bytes of the device's memory, at most.
const STACKS_SHARE: u64 = 16;
/// Paths of calls below one direct function on PoCL, whose compile time grows with them (lz4: 31 s at 40, 43 s at 300).
const POCL_PATHS: u32 = 64;
/// Default of the largest call stack in bytes of a recursive program: what runs in Wasmtime, which gives 512 KiB,
/// runs here (a frame here is up to twice as large, since each value takes 8 bytes).
const STACK: u32 = 1 << 20;

impl ProgramOptions {
    /// These options as the translator takes them, for a device.
    pub fn for_device(&self, info: &DeviceInfo) -> Options {
        let lanes = self.lanes.unwrap_or(info.lane_width).max(1);
        let cpu = info.kind == vectorvisor_driver::DeviceKind::Cpu;
        Options {
            target: Target {
                language: match info.language {
                    vectorvisor_driver::Language::C => Language::C,
                    vectorvisor_driver::Language::OpenCl => Language::OpenCl,
                    vectorvisor_driver::Language::Cuda => Language::Cuda,
                    vectorvisor_driver::Language::Hip => Language::Hip,
                },
                thread_exit: info.thread_exit,
                cheap_branches: cpu,
                call_paths: (cpu && info.language == vectorvisor_driver::Language::OpenCl).then_some(POCL_PATHS),
                clock: match (info.timer, info.live_shared) {
                    (true, _) => Clock::Device,
                    (false, true) => Clock::Kept,
                    (false, false) => Clock::Asked,
                },
            },
            lanes,
            cell: self.interleave.unwrap_or(if lanes == 1 || !cpu { 0 } else { 8 }),
            heap: self.heap,
            stack: self.stack.unwrap_or(STACK),
            native_stack: native_stack(info),
            traps: self.traps,
            bounds: self.bounds,
            alignment: self.alignment.unwrap_or(if cpu { Alignment::Any } else { Alignment::Natural }),
            without: self.without.clone(),
            with: self.with.clone(),
            linked: self.linked,
            divide: self.divide.or((!cpu).then_some(vectorvisor_translate::LARGE)),
            keep: self.keep,
            interpret: self.interpret,
            force_framed: self.force_framed,
            profile: self.profile,
            usual_targets: self.usual_targets.clone(),
            files: self.files,
            roots: self.roots.clone(),
        }
    }
}

/// Bytes of a device's own stack on which functions recurse.
fn native_stack(info: &DeviceInfo) -> u32 {
    let threads = u64::from(info.parallel_tiles) * u64::from(info.lane_width);
    let share = info.memory / STACKS_SHARE / threads.max(1);
    let fits = |bytes: &u32| info.recursion && u64::from(*bytes) <= share;
    NATIVE_STACKS.into_iter().find(fits).unwrap_or(0)
}

/// How a fleet runs.
///
/// ```
/// use std::time::Duration;
/// let options = vectorvisor::FleetOptions {
///     args: vec!["sha256".into()],
///     timeout: Some(Duration::from_secs(10)),
///     ..Default::default()
/// };
/// assert_eq!(options.exact_reruns, 8);
/// ```
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Number of VMs, rounded up to whole tiles; `None` is as many as inputs, memory and device make sensible.
    pub vms: Option<u32>,
    /// VMs that one warp runs (on a processor: one tile), 1 to the tile's lanes; the other lanes are idle. `None` is as
    /// few as keep the device busy, since lanes wait for each other.
    pub vms_per_warp: Option<u32>,
    /// The program's arguments, its own name first.
    pub args: Vec<String>,
    /// The program's environment.
    pub env: Vec<(String, String)>,
    /// Makes random numbers the same in every run; `None` draws a seed for each run.
    pub seed: Option<u64>,
    /// Loop iterations and calls that one input may use; calls of small functions do not count. Every 16 bytes of bulk
    /// memory, input and standard output count as one more, and so does every byte of standard error, arguments,
    /// environment and random numbers. `None` is unlimited.
    pub fuel: Option<u64>,
    /// Time that one input may compute, over all its launches, and time that it may sleep. On `cpu` it is processor
    /// time.
    pub timeout: Option<Duration>,
    /// Initial capacity of a VM's output in bytes, stdout and stderr together; grows as inputs need it.
    pub out_capacity: Option<u32>,
    /// Most bytes of an input's output, about: an input that writes more fails. `None` is as much as there is room for,
    /// and at most 1 GiB of a program that waits for the host.
    pub most_output: Option<u64>,
    /// Outcomes also have the standard output of inputs that did not exit (a trap, a timeout), which may be long.
    pub output_of_failures: bool,
    /// How many inputs of one run may run again, with exact traps, to name the place of an out-of-bounds access
    /// exactly.
    pub exact_reruns: usize,
    /// Records what runs do when.
    pub trace: Option<Trace>,
    /// Counts launches while runs go on.
    pub meter: Meter,
    /// So many fleets share the device: each takes that part of the memory that VMs may have.
    pub sharers: u32,
    /// So many of them run the same program on inputs of the same kind: each takes that part of the VMs that one would
    /// have, where [`Self::vms`] leaves their number open.
    pub parts: u32,
    /// The folders that guests are given, for a program made with [`ProgramOptions::files`].
    pub files: Option<Arc<Files>>,
    /// Inputs may have arguments or variables of their own, so a start function that reads any runs in each VM.
    pub own_arguments: bool,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            vms: None,
            vms_per_warp: None,
            args: Vec::new(),
            env: Vec::new(),
            seed: None,
            fuel: None,
            timeout: None,
            out_capacity: None,
            most_output: None,
            output_of_failures: true,
            exact_reruns: 8,
            trace: None,
            meter: Meter::default(),
            sharers: 1,
            parts: 1,
            files: None,
            own_arguments: false,
        }
    }
}

/// What one VM is given.
///
/// ```
/// use vectorvisor::{Input, Value};
/// let text = Input::stdin("some text");
/// let call = Input::args(vec![Value::I32(20)]);
/// assert_eq!((text.stdin.len(), call.args.len()), (9, 1));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Bytes of its standard input, which may be a part of others' (those of one request that has many, say).
    pub stdin: Bytes,
    /// Arguments of the entry; their types must be the entry's.
    pub args: Vec<Value>,
    /// The program's arguments, its own name first, if they are not those of all ([`FleetOptions::args`]).
    pub program_args: Option<Vec<String>>,
    /// Variables besides those of all ([`FleetOptions::env`]), or in their place.
    pub env: Vec<(String, String)>,
    /// Files in its folder in memory ([`Files::add_scratch`]): their paths below it, and what is in them.
    pub files: Vec<(String, Arc<[u8]>)>,
    /// Paths below that folder of files that the outcome has ([`crate::Outcome::files`]).
    pub collect: Vec<String>,
}

impl Input {
    /// Only standard input.
    pub fn stdin(bytes: impl AsRef<[u8]>) -> Self {
        Self { stdin: Bytes::copy_from_slice(bytes.as_ref()), ..Self::default() }
    }
    /// Only arguments.
    pub fn args(args: Vec<Value>) -> Self {
        Self { args, ..Self::default() }
    }
}
