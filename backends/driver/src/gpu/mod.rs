//! What drivers for CUDA and HIP share: the two have the same functions, with the same arguments and the same codes of errors,
//! under other names. Such a driver says how to find the functions, what a code means, and how text is compiled; it gets a
//! [`Device`](crate::Device).
//!
//! A tile is one row of a thread block: `threadIdx.x` is the lane and `blockIdx.x * blockDim.y + threadIdx.y` the tile. A vendor whose
//! units hold as many blocks as warps has one row in each ([`Setup::block`]).

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

/// Something of the vendor's: a stream, an event, a module or a kernel.
type Object = *mut c_void;

library::functions! {
    /// Memory, streams, events, modules and launches.
    pub struct Functions -> Code;
    MemAlloc(pointer: *mut u64, bytes: usize);
    MemFree(pointer: u64);
    HostAlloc(pointer: *mut *mut c_void, bytes: usize, flags: c_uint);
    HostFree(pointer: *mut c_void);
    HostGetDevicePointer(device: *mut u64, host: *mut c_void, flags: c_uint);
    MemcpyHtoDAsync(dst: u64, src: *const c_void, bytes: usize, stream: Object);
    MemcpyDtoHAsync(dst: *mut c_void, src: u64, bytes: usize, stream: Object);
    StreamCreate(stream: *mut Object, flags: c_uint);
    StreamDestroy(stream: Object);
    StreamSynchronize(stream: Object);
    EventCreate(event: *mut Object, flags: c_uint);
    EventDestroy(event: Object);
    EventRecord(event: Object, stream: Object);
    EventQuery(event: Object);
    EventSynchronize(event: Object);
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
    /// Makes the device the current one of this thread. An error if a fault has ended what was open of it.
    fn enter(&self) -> Result<()>;
    /// Turns a code into an error with the vendor's name for it, and notes a fault that ends what is open of the device.
    fn check(&self, what: &str, code: Code) -> Result<()>;
    /// Compiles text to a binary, and says how many of the units are done.
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
    /// Makes a call that gives something back. A device that was lost has given everything back already.
    fn release(&self, call: impl FnOnce(&Functions) -> Code) {
        _ = self.code(call);
    }
}

/// How [`GpuDevice`] uses a device.
pub struct Setup {
    /// The device.
    pub vendor: Arc<dyn Vendor>,
    /// What is known of it; `live_shared` is not yet.
    pub info: crate::DeviceInfo,
    /// Begins each binary of this driver, so that nothing else reaches the vendor, who believes what a binary says of its size.
    pub mark: &'static [u8],
    /// The most threads of a block, hence lanes of a tile.
    pub max_lanes: u32,
    /// Tiles are stacked into blocks of at most this many threads, if enough blocks are left for all units of the device; 1 if
    /// kernels expect a block to be one tile.
    pub block: u32,
    /// Units of the device that run blocks.
    pub units: u32,
    /// A binary with the kernel `listen(page)`: it stores 1 into the second word of the page, waits until the first is not 0
    /// but not for ever, and stores the first into the third.
    pub probe: Vec<u8>,
}
