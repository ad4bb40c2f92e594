//! What the drivers for CUDA and HIP share: the two APIs have the same functions under other names, with the same
//! arguments and the same error codes. Such a driver implements [`Vendor`] (how to find the functions, what a code
//! means, how text is compiled), and [`GpuDevice`] is its [`Device`](crate::Device).
//!
//! A tile is one row of a thread block: `threadIdx.x` is the lane and `blockIdx.x * blockDim.y + threadIdx.y` the tile.
//! On a GPU whose multiprocessors hold as many blocks as warps, a block has one row ([`Setup::block_threads`]).

pub mod compiler;
mod device;
mod errors;
pub mod library;
mod objects;
mod probe;
pub use device::GpuDevice;
pub use errors::{Codes, Fault};

use crate::{Result, Source};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::Arc;

/// What every function returns.
pub type Code = u32;
/// It worked.
pub const SUCCESS: Code = 0;
const INVALID_VALUE: Code = 1;
const OUT_OF_MEMORY: Code = 2;
const NOT_FOUND: Code = 500;
const NOT_READY: Code = 600;

/// A handle of the vendor's: of a stream, an event, a module or a kernel.
type Object = *mut c_void;

library::functions! {
    /// Memory, streams, events, modules and launches.
    pub struct Functions -> Code;
    MemAlloc(pointer: *mut u64, bytes: usize);
    MemFree(pointer: u64);
    HostAlloc(pointer: *mut *mut c_void, bytes: usize, flags: c_uint);
    HostFree(pointer: *mut c_void);
    HostGetDevicePointer(device: *mut u64, host: *mut c_void, flags: c_uint);
    MemcpyHtoD(dst: u64, src: *const c_void, bytes: usize);
    MemcpyHtoDAsync(dst: u64, src: *const c_void, bytes: usize, stream: Object);
    MemcpyDtoHAsync(dst: *mut c_void, src: u64, bytes: usize, stream: Object);
    StreamCreateWithPriority(stream: *mut Object, flags: c_uint, priority: c_int);
    StreamDestroy(stream: Object);
    StreamSynchronize(stream: Object);
    EventCreate(event: *mut Object, flags: c_uint);
    EventDestroy(event: Object);
    EventRecord(event: Object, stream: Object);
    EventQuery(event: Object);
    EventElapsedTime(milliseconds: *mut f32, from: Object, to: Object);
    ModuleLoadData(module: *mut Object, image: *const c_void);
    ModuleUnload(module: Object);
    ModuleGetFunction(function: *mut Object, module: Object, name: *const c_char);
    OccupancyMaxActiveBlocksPerMultiprocessor(blocks: *mut c_int, function: Object, threads: c_int, shared_bytes: usize);
    LaunchKernel(
        function: Object,
        grid_x: c_uint, grid_y: c_uint, grid_z: c_uint,
        block_x: c_uint, block_y: c_uint, block_z: c_uint,
        shared_bytes: c_uint, stream: Object, arguments: *mut *mut c_void, extra: *mut *mut c_void
    );
}

/// One device as its vendor shows it.
pub trait Vendor: Send + Sync {
    /// The vendor's functions.
    fn functions(&self) -> &Functions;
    /// Makes the device the current one of this thread. An error if a fault has made its context unusable.
    fn enter(&self) -> Result<()>;
    /// Turns a code into an error with the vendor's name for it, and records a fault that makes the context unusable.
    fn check(&self, what: &str, code: Code) -> Result<()>;
    /// Allocates device memory, and sets its address. Neither this nor [`Vendor::free_memory`] waits for kernels that run,
    /// where the vendor can do that: launches of others would stand still meanwhile.
    fn alloc_memory(&self, address: &mut u64, bytes: usize) -> Code {
        // SAFETY: a local of the caller's to fill.
        unsafe { (self.functions().MemAlloc)(address, bytes) }
    }
    /// Frees what [`Vendor::alloc_memory`] allocated; work with it has ended.
    fn free_memory(&self, address: u64) -> Code {
        // SAFETY: allocated by the function above.
        unsafe { (self.functions().MemFree)(address) }
    }
    /// Compiles text to a binary; `progress(done, total)` counts units.
    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>>;
}

impl dyn Vendor {
    /// Makes a call and gives its code.
    fn code(&self, call: impl FnOnce(&Functions) -> Code) -> Result<Code> {
        self.enter()?;
        Ok(call(self.functions()))
    }
    /// Makes a call that must succeed.
    fn call(&self, what: &str, call: impl FnOnce(&Functions) -> Code) -> Result<()> {
        self.check(what, self.code(call)?)
    }
    /// Makes a call that frees something. Its error is ignored: after a fault everything is freed already.
    fn release(&self, call: impl FnOnce(&Functions) -> Code) {
        _ = self.code(call);
    }
}

/// How [`GpuDevice`] uses a device.
pub struct Setup {
    /// The device.
    pub vendor: Arc<dyn Vendor>,
    /// Its facts, except `live_shared`, which [`GpuDevice::new`] probes.
    pub info: crate::DeviceInfo,
    /// The first bytes of each binary of this driver. Other bytes are refused, because the vendor's loader trusts the
    /// size that a binary's header claims.
    pub magic: &'static [u8],
    /// The most threads of a block, hence lanes of a tile.
    pub max_lanes: u32,
    /// Several tiles go into one block of at most this many threads, if enough blocks are left for all multiprocessors and
    /// more tiles then run at once; 1 if kernels expect a block to be one tile.
    pub block_threads: u32,
    /// Multiprocessors of the device (AMD: compute units), which run blocks.
    pub multiprocessors: u32,
    /// A binary with the kernel `listen(page)`: it stores 1 into the page's second word, reads the first word until it
    /// is not 0 (a limited number of times), and stores what it read last into the third.
    pub probe: Vec<u8>,
}
