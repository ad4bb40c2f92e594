//! What crosses the border between host and plugin. `vectorvisor_plugin.h` says the same in C.
//!
//! Rules for both sides:
//! - Nothing unwinds across it: a plugin turns a panic into [`PANIC`], and callbacks never panic.
//! - [`Table`] and [`Info`] say their size, and may grow at their end within a version. The host takes a smaller one, of an
//!   older plugin, whose missing fields read as 0 (so a field that comes later means by 0 what was true before it came),
//!   and of a larger one, of a newer plugin, what it knows. All other structs stay as they are.
//! - [`Bytes`] belong to whoever passes them and are valid during the call only (a table's name: for ever); texts are UTF-8.
//! - Objects are named by numbers as in [`Device`](crate::Device), but never 0: in a launch that stands for no buffer. No two
//!   of a kind that live have the same number, nor do two pieces of the host's memory overlap. The host passes none that it
//!   was not given, or has given back.
//! - All entries may be called from any thread, several at once.
//! - An entry returns [`OK`], or another code after it has told the reason; what it would give back is then not set.

use std::ffi::c_void;
use std::mem::offset_of;

/// The version that this file describes. A table may grow at its end within a version; all else needs a new one.
pub const VERSION: u32 = 2;

/// Success.
pub const OK: i32 = 0;
/// [`Error::Unavailable`](crate::Error::Unavailable), with advice.
pub const UNAVAILABLE: i32 = 1;
/// [`Error::Compile`](crate::Error::Compile); the text is the log.
pub const COMPILE: i32 = 2;
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory); the text says of what.
pub const OUT_OF_MEMORY: i32 = 3;
/// [`Error::Invalid`](crate::Error::Invalid).
pub const INVALID: i32 = 4;
/// [`Error::Device`](crate::Error::Device).
pub const DEVICE: i32 = 5;
/// The plugin panicked. The call had no result; the device may be used no more, but closing it is safe.
pub const PANIC: i32 = 6;

/// Feature: [`Device::publish`](crate::Device::publish) does something. Without it the host never calls that entry.
pub const PUBLISH: u64 = 1;

/// A slice.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    /// The first byte; anything if there is none.
    pub data: *const u8,
    /// How many.
    pub len: usize,
}

/// Where an entry tells why it failed, at most once and before it returns.
#[repr(C)]
pub struct Why {
    /// For `tell`.
    pub context: *mut c_void,
    /// Takes a text, advice (of [`UNAVAILABLE`]) and the bytes wanted (of [`OUT_OF_MEMORY`]).
    pub tell: unsafe extern "C" fn(context: *mut c_void, text: Bytes, advice: Bytes, wanted: u64),
}

/// [`DeviceInfo`](crate::DeviceInfo). Numbers of kinds and languages are their places in the enums, from 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Info {
    /// Its size in bytes, [`Info::LEAST`] or more.
    pub size: u32,
    /// The kind of device.
    pub kind: u32,
    /// The language of its compiler.
    pub language: u32,
    /// The bits `1 << n`, in the order of the fields: thread_exit, timer, live_shared, zeroed, nvidia, patch.
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
    /// What the first plugins of this version tell.
    pub const LEAST: usize = offset_of!(Self, identity) + size_of::<Bytes>();
}

/// Receives facts, each during the call.
pub type Each = unsafe extern "C" fn(context: *mut c_void, info: *const Info);
/// Hears of the progress of a compilation, on the thread that asked for it.
pub type Progress = unsafe extern "C" fn(context: *mut c_void, done: usize, total: usize);
/// Receives a binary, once.
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
    /// Bytes of spills.
    pub spills: u32,
    /// Bytes of stack.
    pub stack: u32,
}
/// Receives what a unit cost, on the thread that asked for it.
pub type Costs =
    unsafe extern "C" fn(context: *mut c_void, unit: usize, seconds: f64, functions: *const Cost, count: usize);
/// A plugin's only exported function.
pub type Query = unsafe extern "C" fn(highest: u32) -> *const Table;

/// Compiles for an architecture without a device.
pub type Examine = unsafe extern "C" fn(
    driver: *const c_void,
    architecture: Bytes,
    header: Bytes,
    units: *const Bytes,
    count: usize,
    costs: Costs,
    context: *mut c_void,
    why: *const Why,
) -> i32;

/// Two bits each for `nvidia` (low) and `patch`: 0 the driver decides, 1 off, 2 on.
pub type QuirkBits = u32;

/// Writes the table twice: as it crosses the border, where an entry may be null, and as the host uses it.
macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        /// What a plugin gives out; it never changes and lives for ever.
        #[repr(C)]
        pub struct Table {
            /// The version that it follows, at most what the host asked for.
            pub version: u32,
            /// Its size in bytes.
            pub size: u32,
            /// The driver's name, as in the file's.
            pub name: Bytes,
            /// The features that it has, such as [`PUBLISH`]. Bits that the host does not know mean nothing to it.
            pub features: u64,
            /// For `devices` and `open`: the plugin's own, or null.
            pub driver: *const c_void,
            $($(#[$doc])* pub $name: Option<unsafe extern "C" fn($($argument: $type),*) -> i32>,)*
            /// Not in the first tables, and may be null: [`Driver::examine`](crate::Driver::examine).
            pub examine: Option<Examine>,
        }
        /// A table's entries, none of them missing.
        #[derive(Clone, Copy)]
        pub(super) struct Entries {
            $(pub $name: unsafe extern "C" fn($($argument: $type),*) -> i32,)*
        }
        impl Table {
            /// What the first plugins of this version have.
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
    /// Opens a device, which is never null.
    open(driver: *const c_void, index: u64, quirks: QuirkBits, device: *mut *const c_void, why: *const Why);
    /// Closes it. Everything of it was given back, and no other call on it runs or follows.
    close(device: *const c_void, why: *const Why);
    /// Tells the facts about an open device.
    info(device: *const c_void, each: Each, context: *mut c_void, why: *const Why);
    /// Compiles text; both callbacks get `context`.
    compile(
        device: *const c_void, header: Bytes, units: *const Bytes, count: usize,
        progress: Progress, output: Output, context: *mut c_void, why: *const Why
    );
    /// Loads a binary, which is one that `compile` gave on such a device, or bytes that are none: the host answers for
    /// that ([`Device::load`](crate::Device::load)).
    load(device: *const c_void, binary: Bytes, module: *mut u64, why: *const Why);
    /// Forgets it.
    unload(device: *const c_void, module: u64, why: *const Why);
    /// Finds a kernel.
    kernel(device: *const c_void, module: u64, name: Bytes, kernel: *mut u64, why: *const Why);
    /// Counts the tiles in which it runs at the same time.
    resident(device: *const c_void, kernel: u64, lanes: u32, tiles: *mut u32, why: *const Why);
    /// Allocates device memory.
    alloc(device: *const c_void, bytes: u64, buffer: *mut u64, why: *const Why);
    /// Gives it, or shared memory, back.
    free(device: *const c_void, buffer: u64, why: *const Why);
    /// Allocates page-locked memory.
    alloc_pinned(device: *const c_void, bytes: usize, pinned: *mut u64, pointer: *mut *mut u8, why: *const Why);
    /// Gives it back.
    free_pinned(device: *const c_void, pinned: u64, why: *const Why);
    /// Allocates memory that host and device share.
    alloc_shared(device: *const c_void, bytes: usize, buffer: *mut u64, pointer: *mut *mut u8, why: *const Why);
    /// Brings the host's stores to the device; needs the feature [`PUBLISH`].
    publish(device: *const c_void, shared: u64, why: *const Why);
    /// Makes a queue.
    queue(device: *const c_void, queue: *mut u64, why: *const Why);
    /// Waits for its work and forgets it.
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
    /// Waits for it.
    wait(device: *const c_void, event: u64, why: *const Why);
    /// Tells begin and end of its work.
    times(device: *const c_void, event: u64, begin: *mut u64, end: *mut u64, why: *const Why);
    /// Forgets it.
    free_event(device: *const c_void, event: u64, why: *const Why);
}

impl Bytes {
    /// Of a slice; the caller keeps it alive.
    pub fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }
    /// The slice, empty if it cannot be one.
    ///
    /// # Safety
    /// The bytes live as long as `'a`, which the caller chooses: during the call that passed them.
    pub unsafe fn slice<'a>(self) -> &'a [u8] {
        if self.len > isize::MAX as usize || self.data.is_null() {
            return &[];
        }
        // SAFETY: the other side promises so many initialised bytes.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
    /// A copy of the text; bytes that are no UTF-8 are replaced, and a text that cannot be is empty.
    ///
    /// # Safety
    /// As [`Bytes::slice`].
    pub unsafe fn text(self) -> String {
        // SAFETY: the caller's promise.
        String::from_utf8_lossy(unsafe { self.slice() }).into_owned()
    }
}
