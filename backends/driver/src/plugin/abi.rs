//! The ABI between host and plugin. `vectorvisor_plugin.h` is the same in C.
//!
//! Rules for both sides:
//! - Nothing unwinds across the boundary: a plugin turns a panic into [`PANIC`], and callbacks never panic.
//! - [`Table`] and [`Info`] hold their size, and may get more fields at their end within a version.
//!   Of an older plugin's smaller struct the missing fields read as 0, so 0 in a new field has to mean what was true
//!   before the field existed. Of a newer plugin's larger struct the host reads the fields that it knows. All other
//!   structs stay as they are within a version.
//! - [`Bytes`] belong to whoever passes them and are valid during the call only (a table's name: for ever); texts are
//!   UTF-8.
//! - Handles are numbers, as in [`Device`](crate::Device), and never 0, which in a launch stands for no buffer. No two
//!   live handles of one kind are the same, and no two live pieces of host memory overlap. The host passes only live
//!   handles: those that the plugin gave out and that were not freed since.
//! - All entries may be called from any thread, several at once.
//! - An entry returns [`OK`], or another code after it has given the reason by [`Why::tell`]; its results are then not
//!   set.

use std::ffi::c_void;
use std::mem::offset_of;

/// The version that this file describes. [`Table`] and [`Info`] may get more fields at their end within a version;
/// every other change needs a new one.
pub const VERSION: u32 = 4;

/// Success.
pub const OK: i32 = 0;
/// [`Error::Unavailable`](crate::Error::Unavailable), with advice.
pub const UNAVAILABLE: i32 = 1;
/// [`Error::Compile`](crate::Error::Compile); the text is the log.
pub const COMPILE: i32 = 2;
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory); the text says which memory.
pub const OUT_OF_MEMORY: i32 = 3;
/// [`Error::Invalid`](crate::Error::Invalid).
pub const INVALID: i32 = 4;
/// [`Error::Device`](crate::Error::Device).
pub const DEVICE: i32 = 5;
/// The plugin panicked. The call has no result. The host must not use the device any more, except to close it.
pub const PANIC: i32 = 6;

/// Feature: [`Device::publish`](crate::Device::publish) does something. Without it the host never calls that entry.
pub const PUBLISH: u64 = 1;

/// A slice.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    /// The first byte; any value if `len` is 0.
    pub data: *const u8,
    /// The number of bytes.
    pub len: usize,
}

/// How an entry says why it failed: it calls `tell` at most once, before it returns.
#[repr(C)]
pub struct Why {
    /// The first argument of `tell`.
    pub context: *mut c_void,
    /// Takes a text, advice (of [`UNAVAILABLE`]) and the bytes wanted (of [`OUT_OF_MEMORY`]).
    pub tell: unsafe extern "C" fn(context: *mut c_void, text: Bytes, advice: Bytes, wanted: u64),
}

/// [`DeviceInfo`](crate::DeviceInfo). Kinds and languages are numbered in the order of their enums, from 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Info {
    /// Its size in bytes, [`Info::LEAST`] or more.
    pub size: u32,
    /// The kind of device.
    pub kind: u32,
    /// The language of its compiler.
    pub language: u32,
    /// The bits `1 << n`, in the order of the fields: thread_exit, timer, live_shared, zeroed, nvidia, patch,
    /// recursion.
    pub flags: u32,
    /// Lanes in lockstep.
    pub lane_width: u32,
    /// Tiles at a time.
    pub parallel_tiles: u32,
    /// Number within its driver.
    pub index: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the largest allocation.
    pub max_alloc: u64,
    /// The device's name.
    pub name: Bytes,
    /// What compiled kernels depend on.
    pub identity: Bytes,
}

impl Info {
    /// The size that it had when this version began.
    pub const LEAST: usize = offset_of!(Self, identity) + size_of::<Bytes>();
}

/// Receives the facts about one device.
pub type Each = unsafe extern "C" fn(context: *mut c_void, info: *const Info);
/// Receives the progress of a compilation, on the thread that called the entry.
pub type Progress = unsafe extern "C" fn(context: *mut c_void, done: usize, total: usize);
/// Receives the binary, once.
pub type Output = unsafe extern "C" fn(context: *mut c_void, binary: Bytes);
/// [`FunctionCost`](crate::FunctionCost).
#[repr(C)]
pub struct Cost {
    /// Its name.
    pub name: Bytes,
    /// Seconds.
    pub seconds: f64,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of code.
    pub bytes: u32,
    /// Bytes of spills.
    pub spills: u32,
    /// Bytes of stack.
    pub stack: u32,
}
/// Receives what one unit cost, on the thread that called the entry.
pub type Costs =
    unsafe extern "C" fn(context: *mut c_void, unit: usize, seconds: f64, functions: *const Cost, count: usize);
/// A plugin's only exported function.
pub type Query = unsafe extern "C" fn(highest: u32) -> *const Table;

/// [`Driver::examine`](crate::Driver::examine).
pub type Examine = unsafe extern "C" fn(
    driver: *const c_void,
    architecture: Bytes,
    header: Bytes,
    units: *const Bytes,
    count: usize,
    registers: u32,
    costs: Costs,
    context: *mut c_void,
    why: *const Why,
) -> i32;

/// [`Device::alloc_mapped`](crate::Device::alloc_mapped); the buffer 0 if the device has no such memory.
pub type AllocMapped = unsafe extern "C" fn(
    device: *const c_void,
    bytes: usize,
    buffer: *mut u64,
    pointer: *mut *mut u8,
    why: *const Why,
) -> i32;

/// Two bits each for `nvidia` (low) and `patch`: 0 the driver decides, 1 off, 2 on.
pub type QuirkBits = u32;

/// Declares the entries twice: as they cross the ABI boundary, where one may be null, and as the host uses them.
macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        /// A plugin's table; it never changes and lives for ever.
        #[repr(C)]
        pub struct Table {
            /// The version that it follows, at most what the host asked for.
            pub version: u32,
            /// Its size in bytes.
            pub size: u32,
            /// The driver's name, as in the name of its file.
            pub name: Bytes,
            /// The features that it has, such as [`PUBLISH`]. The host ignores bits that it does not know.
            pub features: u64,
            /// The plugin's own pointer, or null: the first argument of `devices`, `open` and `examine`.
            pub driver: *const c_void,
            $($(#[$doc])* pub $name: Option<unsafe extern "C" fn($($argument: $type),*) -> i32>,)*
            /// Added after this version began, and may be null: [`Driver::examine`](crate::Driver::examine).
            pub examine: Option<Examine>,
            /// Likewise: [`Device::alloc_mapped`](crate::Device::alloc_mapped).
            pub alloc_mapped: Option<AllocMapped>,
        }
        /// A table's entries, none of them missing.
        #[derive(Clone, Copy)]
        pub(super) struct Entries {
            $(pub $name: unsafe extern "C" fn($($argument: $type),*) -> i32,)*
        }
        impl Table {
            /// The size that it had when this version began.
            pub const LEAST: usize = offset_of!(Self, examine);
            /// The entries, or the name of one that is missing.
            pub(super) fn entries(&self) -> Result<Entries, &'static str> {
                Ok(Entries { $($name: self.$name.ok_or(stringify!($name))?,)* })
            }
        }
    };
}

entries! {
    /// Lists the devices.
    devices(driver: *const c_void, each: Each, context: *mut c_void, why: *const Why);
    /// Opens a device; the result must not be null.
    open(driver: *const c_void, index: u64, quirks: QuirkBits, device: *mut *const c_void, why: *const Why);
    /// Closes a device. All its objects were freed before, and no other call on it runs now or follows.
    close(device: *const c_void, why: *const Why);
    /// Tells the facts about an open device.
    info(device: *const c_void, each: Each, context: *mut c_void, why: *const Why);
    /// Compiles text; both callbacks get `context`.
    compile(
        device: *const c_void, header: Bytes, units: *const Bytes, count: usize, registers: u32,
        progress: Progress, output: Output, context: *mut c_void, why: *const Why
    );
    /// Loads a binary. The host guarantees what [`Device::load`](crate::Device::load) demands: it is one that `compile`
    /// gave for such a device, or bytes that are no binary at all.
    load(device: *const c_void, binary: Bytes, module: *mut u64, why: *const Why);
    /// Forgets a module and its kernels.
    unload(device: *const c_void, module: u64, why: *const Why);
    /// Finds a kernel.
    kernel(device: *const c_void, module: u64, name: Bytes, kernel: *mut u64, why: *const Why);
    /// The number of tiles of `lanes` lanes in which the kernel can run at the same time.
    resident(device: *const c_void, kernel: u64, lanes: u32, tiles: *mut u32, why: *const Why);
    /// Allocates device memory.
    alloc(device: *const c_void, bytes: u64, buffer: *mut u64, why: *const Why);
    /// Frees device memory, shared or mapped memory.
    free(device: *const c_void, buffer: u64, why: *const Why);
    /// Allocates page-locked memory.
    alloc_pinned(device: *const c_void, bytes: usize, pinned: *mut u64, pointer: *mut *mut u8, why: *const Why);
    /// Frees page-locked memory.
    free_pinned(device: *const c_void, pinned: u64, why: *const Why);
    /// Allocates memory that host and device share.
    alloc_shared(device: *const c_void, bytes: usize, buffer: *mut u64, pointer: *mut *mut u8, why: *const Why);
    /// Brings the host's stores to the device; needs the feature [`PUBLISH`].
    publish(device: *const c_void, shared: u64, why: *const Why);
    /// Makes a queue, an urgent one if that is not 0.
    queue(device: *const c_void, urgent: u32, queue: *mut u64, why: *const Why);
    /// Waits for a queue's work and forgets the queue.
    free_queue(device: *const c_void, queue: u64, why: *const Why);
    /// Copies to the device.
    write(
        device: *const c_void, queue: u64, dst: u64, offset: u64, src: *const u8, bytes: usize,
        event: *mut u64, why: *const Why
    );
    /// Copies from the device.
    read(
        device: *const c_void, queue: u64, src: u64, offset: u64, dst: *mut u8, bytes: usize,
        event: *mut u64, why: *const Why
    );
    /// Launches a kernel with `count` buffers.
    launch(
        device: *const c_void, queue: u64, kernel: u64, args: *const u64, count: usize, tiles: u32, lanes: u32,
        event: *mut u64, why: *const Why
    );
    /// Waits for all work of a queue.
    finish(device: *const c_void, queue: u64, why: *const Why);
    /// Whether an event was reached: 0 or 1.
    reached(device: *const c_void, event: u64, reached: *mut u32, why: *const Why);
    /// Waits until an event was reached.
    wait(device: *const c_void, event: u64, why: *const Why);
    /// When an event's work began and ended, in nanoseconds of the device's clock.
    times(device: *const c_void, event: u64, begin: *mut u64, end: *mut u64, why: *const Why);
    /// Forgets an event.
    free_event(device: *const c_void, event: u64, why: *const Why);
}

impl Bytes {
    /// Borrows a slice; the caller keeps it alive.
    pub fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }
    /// The slice; empty if the pointer is null or the length is impossible.
    ///
    /// # Safety
    /// The bytes are valid during `'a`. The caller chooses `'a`: the call that passed them, at most.
    pub unsafe fn slice<'a>(self) -> &'a [u8] {
        if self.len > isize::MAX as usize || self.data.is_null() {
            return &[];
        }
        // SAFETY: the other side promises so many initialised bytes.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
    /// A copy of the text; bytes that are not UTF-8 are replaced. Empty where [`Bytes::slice`] is.
    ///
    /// # Safety
    /// As [`Bytes::slice`].
    pub unsafe fn text(self) -> String {
        // SAFETY: the caller's promise.
        String::from_utf8_lossy(unsafe { self.slice() }).into_owned()
    }
}
