//! The contract between the VectorVisor runtime and a device driver.
//!
//! A [`Driver`] lists and opens devices. A [`Device`] compiles kernel text, loads binaries, owns memory, copies
//! asynchronously, launches kernels, and reports times. Everything that a device owns is named by an integer handle, so
//! that the same contract can cross a C ABI ([`plugin`]); [`Buffer`], [`Pinned`], [`HostVisible`], [`Queue`] and
//! [`Module`] are the safe owners that the runtime uses.

pub mod conformance;
pub mod failing;
pub mod gpu;
pub mod handles;
pub mod identity;
pub mod memory;
mod owned;
pub mod plugin;
pub mod temporary;
pub mod threads;
pub mod trust;
pub use owned::{Buffer, Event, HostVisible, Mapped, Module, Pinned, Queue};

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

/// What can go wrong in a driver. Every message names the thing, the reason and, where there is one, the next step.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The driver cannot work here: no vendor library, no device.
    #[error("{what}; {advice}")]
    Unavailable {
        /// What is missing and why.
        what: String,
        /// What the user can do about it.
        advice: String,
    },
    /// The kernel compiler refused the text. `log` is its own output.
    #[error("the kernel compiler failed:\n{log}")]
    Compile {
        /// The compiler's log, unshortened.
        log: String,
    },
    /// The device (or the host, for pinned memory) has not this much memory left.
    #[error("out of memory: {wanted} bytes of {what}")]
    OutOfMemory {
        /// Bytes asked for.
        wanted: u64,
        /// Which memory.
        what: &'static str,
    },
    /// The caller asked for something that does not exist (a range, a name, a handle).
    #[error("invalid request to the driver: {0}")]
    Invalid(String),
    /// The device or its runtime reported an error; the text has the vendor's error name.
    #[error("{0}")]
    Device(String),
}

/// The result of every driver call.
pub type Result<T> = std::result::Result<T, Error>;

/// The kernel language that a device's compiler takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// C99 for the system's C compiler.
    C,
    /// OpenCL C 1.2.
    OpenCl,
    /// CUDA C++ for NVRTC.
    Cuda,
    /// HIP C++ for hipRTC.
    Hip,
}

/// What sort of device it is; `--backend auto` only takes a GPU by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Runs on the host's processors.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// Anything else.
    Accelerator,
}

/// Quirks that the user can force; `None` leaves the decision to the driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks {
    /// `--nvidia`: vendor intrinsics, per-thread exit, pinned mapping kept.
    pub nvidia: Option<bool>,
    /// `--patch`: software versions of math builtins that the vendor never implemented.
    pub patch: Option<bool>,
}

/// What a device is and can do. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Number within its driver, as in `--backend opencl:1`.
    pub index: usize,
    /// The device's own name.
    pub name: String,
    /// Everything that a compiled kernel depends on: device, driver and compiler with their versions, options, and what
    /// the compiler reads in the environment. The cache keeps binaries by it: a binary is loaded wherever, and
    /// whenever, the identity is the same.
    pub identity: String,
    /// What sort of device.
    pub kind: DeviceKind,
    /// The language of [`Device::compile`].
    pub language: Language,
    /// Memory that VMs can use, all allocations together.
    pub memory: u64,
    /// The largest single allocation.
    pub max_alloc: u64,
    /// Lanes that run in lockstep, hence the default number of lanes in a tile (NVIDIA 32, AMD's CDNA 64, cpu 1).
    pub lane_width: u32,
    /// Tiles that run at the same time, at most (on a CPU its cores). A hint for how many VMs to launch.
    pub parallel_tiles: u32,
    /// One thread of a launch can end itself from inside a function.
    pub thread_exit: bool,
    /// Kernels can read a clock in nanoseconds. Where they cannot, the host keeps the time of guests and of their
    /// deadlines in memory of [`Device::alloc_shared`], or is asked if they would not see it change.
    pub timer: bool,
    /// A kernel that already runs sees the host's stores into memory of [`Device::alloc_shared`] (probed, not assumed).
    pub live_shared: bool,
    /// [`Device::alloc`] returns zeroed memory at no cost.
    pub zeroed: bool,
    /// The `nvidia` quirk is on.
    pub nvidia: bool,
    /// The `patch` quirk is on.
    pub patch: bool,
    /// Functions of a kernel with `#define VV_RECURSES 1` in its header may recurse: its stack has room for `VV_STACK`
    /// bytes, and for what lies between two functions that look how deep it is (`VV_DEEP_HERE`).
    pub recursion: bool,
}

/// Kernel text to compile. The whole program is `header` followed by all `units`; a backend that can link may
/// compile `header + units[i]` separately and in parallel, with the macro `VV_UNITS` defined to 1.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Prelude, small inline functions, and declarations of everything in the units.
    pub header: &'a str,
    /// Function bodies in pieces of bounded size; the kernels are in the last one.
    pub units: &'a [String],
    /// The most registers of a thread, for compilers that take such a limit; 0 is none. With fewer, more threads run at
    /// once.
    pub registers: u32,
}

/// The order in which to compile texts in parallel, as indices: the longest first, so that the last to end is a short
/// one.
pub fn longest_first(texts: &[String]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|index| Reverse(texts[*index].len()));
    order
}

/// What compiling one function cost.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionCost {
    /// Its name in the text.
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of code.
    pub bytes: u32,
    /// Bytes of register spills to memory.
    pub spills: u32,
    /// Bytes of its frame on the stack.
    pub stack: u32,
    /// Seconds in the compiler's last stage, the only one that reports times by function.
    pub seconds: f64,
}

/// What compiling one unit cost.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitCost {
    /// Its index in [`Source::units`].
    pub unit: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Its functions that were not inlined.
    pub functions: Vec<FunctionCost>,
}

macro_rules! handle {
    ($($(#[$m:meta])* $name:ident),*) => {$(
        $(#[$m])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(transparent)]
        pub struct $name(pub u64);
    )*};
}
handle!(
    /// Names device memory.
    BufferId,
    /// Names page-locked host memory.
    PinnedId,
    /// Names an in-order queue of work (a CUDA stream).
    QueueId,
    /// Names a point in a queue.
    EventId,
    /// Names a loaded binary.
    ModuleId,
    /// Names a kernel of a loaded binary; lives as long as its module.
    KernelId
);

/// No tile of any device has more lanes. (The runtime uses up to 64.)
pub const MAX_LANES: u32 = 1024;

/// One family of devices.
pub trait Driver: Send + Sync {
    /// The name in `--backend NAME`.
    fn name(&self) -> &'static str;
    /// All devices, in the order of their indices. [`Error::Unavailable`] if the vendor's library or a device is
    /// missing.
    fn devices(&self) -> Result<Vec<DeviceInfo>>;
    /// Opens one device.
    fn open(&self, index: usize, quirks: Quirks) -> Result<Arc<dyn Device>>;
    /// Compiles text for an architecture, by the vendor's name for it (`sm_90`; no device is needed) or `native`, that
    /// of the first device. Calls `each` with what a unit cost as soon as it is compiled. [`Error::Unavailable`] if the
    /// driver cannot report costs.
    fn examine(&self, _architecture: &str, _source: Source<'_>, _each: &mut dyn FnMut(UnitCost)) -> Result<()> {
        Err(costs_unavailable(self.name()))
    }
    /// The plugin's file, unless the driver is linked into the program.
    fn origin(&self) -> Option<&Path> {
        None
    }
}

/// The error of a driver without [`Driver::examine`].
fn costs_unavailable(driver: &str) -> Error {
    Error::Unavailable {
        what: format!("the driver {driver} does not report what compiling costs"),
        advice: "that of cuda does".into(),
    }
}

/// One open device. All calls may come from any thread. Handles are never 0; one that was freed or never given out is
/// [`Error::Invalid`].
pub trait Device: Send + Sync {
    /// What it is and can do.
    fn info(&self) -> &DeviceInfo;

    /// Compiles text to a binary that [`Device::load`] takes, now or in another process on the same device.
    /// `progress(done, total)` counts units.
    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>>;
    /// Loads a binary. A driver refuses bytes that are evidently not its own binary, but need not validate a binary
    /// completely.
    ///
    /// # Safety
    /// Loading a binary can run its code in this process. So the bytes are either exactly what [`Device::compile`] gave
    /// on a device of the same driver with the same [`DeviceInfo::identity`], or no binary at all. If they were stored
    /// in between, only this user and root could change them there ([`trust`]); a checksum finds damage, not malice.
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId>;
    /// Forgets a binary and its kernels.
    fn unload(&self, module: ModuleId);
    /// Finds a kernel by name.
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId>;
    /// The occupancy of a kernel: how many tiles of `lanes` lanes of it the device runs at the same time. A launch of a
    /// multiple of it keeps the whole device busy. By default [`DeviceInfo::parallel_tiles`].
    fn resident(&self, _kernel: KernelId, _lanes: u32) -> Result<u32> {
        Ok(self.info().parallel_tiles)
    }

    /// Device memory, aligned to 256 bytes at least; zeroed if [`DeviceInfo::zeroed`].
    fn alloc(&self, bytes: u64) -> Result<BufferId>;
    /// Frees device memory, shared or mapped memory. Work that uses it must have ended.
    fn free(&self, buffer: BufferId);
    /// Page-locked host memory, zeroed.
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)>;
    /// Frees page-locked memory.
    fn free_pinned(&self, pinned: PinnedId);
    /// Shared memory: memory that the host and kernels both see, zeroed. The handle is passed to kernels, the pointer
    /// is the host's view. The host stores, then calls [`Device::publish`]. Freed by [`Device::free`].
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)>;
    /// Makes the host's stores into shared memory visible to kernels, also to one that already runs if
    /// [`DeviceInfo::live_shared`]. Does nothing where host and device use the same memory.
    fn publish(&self, _shared: BufferId) -> Result<()> {
        Ok(())
    }
    /// Mapped memory: page-locked memory of the host, zeroed, which kernels load from and store to over the bus, without
    /// a copy; `None` where they cannot (the default). A kernel sees what the host stored before its launch. The host
    /// sees what it stored when the launch has ended, and before that once the kernel has passed a fence for the host.
    /// The handle is passed to kernels, the pointer is the host's view. Freed by [`Device::free`].
    fn alloc_mapped(&self, _bytes: usize) -> Result<Option<(BufferId, *mut u8)>> {
        Ok(None)
    }

    /// A new in-order queue. Different queues may overlap. Kernels of an `urgent` one run before those of others that
    /// wait for room on the device, where the device can do that.
    fn queue(&self, urgent: bool) -> Result<QueueId>;
    /// Waits for its work, then forgets the queue.
    fn free_queue(&self, queue: QueueId);
    /// Copies host memory to the device, asynchronously.
    ///
    /// # Safety
    /// `src..src + bytes` stays readable and unchanged until the event is reached.
    unsafe fn write(&self, queue: QueueId, dst: BufferId, offset: u64, src: *const u8, bytes: usize)
    -> Result<EventId>;
    /// Copies device memory to the host, asynchronously.
    ///
    /// # Safety
    /// `dst..dst + bytes` stays writable, and nothing else accesses it, until the event is reached.
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId>;
    /// Runs `kernel` on `tiles * lanes` threads in blocks of `lanes`; thread i is lane `i % lanes` of tile `i / lanes`.
    /// Every argument is a buffer; `None` passes a null pointer. With 0 tiles or 0 lanes nothing runs. More lanes than
    /// the device supports in a tile, at most [`MAX_LANES`], are [`Error::Invalid`].
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId>;
    /// Blocks until everything in the queue is done; errors of that work are reported here.
    fn finish(&self, queue: QueueId) -> Result<()>;

    /// Whether the event was reached.
    fn reached(&self, event: EventId) -> Result<bool>;
    /// Blocks until the event is reached.
    fn wait(&self, event: EventId) -> Result<()>;
    /// When the event's work began and ended, in nanoseconds of a clock of the device, whose zero means nothing.
    /// [`Error::Invalid`] before the event is reached.
    fn times(&self, event: EventId) -> Result<(u64, u64)>;
    /// Forgets an event, reached or not.
    fn free_event(&self, event: EventId);
}
