//! HIP on the processor: streams are threads, device memory is memory of the process, and modules are shared libraries
//! that the C++ compiler makes.

mod kernels;
mod memory;
mod stream;

pub use kernels::compile;
pub use memory::memory;

use crate::INVALID_VALUE;
use hip_sys::hiprt::hipDeviceAttribute_t as hip;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;
use vectorvisor_driver::gpu::{Code, Functions, SUCCESS};

/// The functions that CUDA has too.
pub static FUNCTIONS: Functions = Functions {
    MemAlloc: memory::alloc,
    MemFree: memory::free,
    HostAlloc: memory::host_alloc,
    HostFree: memory::host_free,
    HostGetDevicePointer: memory::device_pointer,
    MemcpyHtoD: memory::write,
    MemcpyHtoDAsync: stream::write,
    MemcpyDtoHAsync: stream::read,
    StreamCreateWithPriority: stream::create,
    StreamDestroy: stream::destroy,
    StreamSynchronize: stream::synchronize,
    EventCreate: stream::event_create,
    EventDestroy: stream::event_destroy,
    EventRecord: stream::event_record,
    EventQuery: stream::event_query,
    EventElapsedTime: stream::event_elapsed_time,
    ModuleLoadData: kernels::load,
    ModuleUnload: kernels::unload,
    ModuleGetFunction: kernels::function,
    OccupancyMaxActiveBlocksPerMultiprocessor: occupancy,
    LaunchKernel: kernels::launch,
};

/// The most threads of a block.
const BLOCK: c_uint = 1024;

/// Always one: blocks run one after another.
unsafe extern "C" fn occupancy(
    blocks: *mut c_int,
    _function: *mut c_void,
    _threads: c_int,
    _shared_bytes: usize,
) -> Code {
    // SAFETY: the caller's promise.
    unsafe { blocks.write(1) };
    SUCCESS
}

pub unsafe fn count(count: *mut c_int) -> Code {
    // SAFETY: the caller's promise.
    unsafe { count.write(1) };
    SUCCESS
}

pub unsafe fn set(device: c_int) -> Code {
    if device == 0 { SUCCESS } else { INVALID_VALUE }
}

pub unsafe fn name(name: *mut c_char, bytes: c_int, _: c_int) -> Code {
    let text = c"the processor, as an AMD GPU for tests".to_bytes_with_nul();
    if text.len() > bytes as usize {
        return INVALID_VALUE;
    }
    // SAFETY: the caller's promise.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), name.cast(), text.len()) };
    SUCCESS
}

pub unsafe fn total(bytes: *mut usize, _: c_int) -> Code {
    // SAFETY: the caller's promise.
    unsafe { bytes.write(memory::TOTAL) };
    SUCCESS
}

pub unsafe fn attribute(value: *mut c_int, attribute: c_uint, _: c_int) -> Code {
    let attributes = [
        (hip::hipDeviceAttributeWarpSize, 64),
        (hip::hipDeviceAttributeMultiprocessorCount, 2),
        (hip::hipDeviceAttributeMaxThreadsPerBlock, BLOCK as c_int),
        (hip::hipDeviceAttributeMaxThreadsPerMultiProcessor, 2048),
        (hip::hipDeviceAttributeComputeCapabilityMajor, 9),
        (hip::hipDeviceAttributeComputeCapabilityMinor, 0),
    ];
    match attributes.iter().find(|(of, _)| *of as c_uint == attribute) {
        Some((_, is)) => {
            // SAFETY: the caller's promise.
            unsafe { value.write(*is) };
            SUCCESS
        }
        None => INVALID_VALUE,
    }
}
