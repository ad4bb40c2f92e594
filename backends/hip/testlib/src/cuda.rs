//! HIP on CUDA: the functions that differ (devices, and compiling with NVRTC). All others are CUDA's under other names.

use crate::{INVALID_VALUE, Object};
use cust::sys::CUdevice_attribute_enum::*;
use hip_sys::hiprt::hipDeviceAttribute_t as hip;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_uint};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};
use vectorvisor_cuda::nvrtc::nvrtc;
use vectorvisor_cuda::sys::Cuda;
use vectorvisor_driver::Error;
use vectorvisor_driver::gpu::{Code, SUCCESS};

thread_local! {
    /// The thread's current device.
    static CURRENT: Cell<c_int> = const { Cell::new(0) };
}

pub unsafe fn count(cuda: &Cuda, count: *mut c_int) -> Code {
    // SAFETY: the caller's promise.
    unsafe { (cuda.own.cuDeviceGetCount)(count) }
}

/// Makes the device's primary context current on this thread, as HIP does.
pub unsafe fn set(cuda: &Cuda, device: c_int) -> Code {
    /// Contexts by device, as numbers since pointers are not `Send`; never released.
    static CONTEXTS: Mutex<BTreeMap<c_int, usize>> = Mutex::new(BTreeMap::new());
    let mut contexts = CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut context = null_mut();
    // SAFETY: a local to fill; contexts live for ever.
    unsafe {
        match contexts.get(&device) {
            Some(known) => context = std::ptr::with_exposed_provenance_mut(*known),
            None => match (cuda.own.cuDevicePrimaryCtxRetain)(&mut context, device) {
                SUCCESS => _ = contexts.insert(device, (context as Object).expose_provenance()),
                code => return code,
            },
        }
        CURRENT.set(device);
        (cuda.own.cuCtxSetCurrent)(context)
    }
}

pub unsafe fn name(cuda: &Cuda, name: *mut c_char, bytes: c_int, device: c_int) -> Code {
    // SAFETY: the caller's promise.
    unsafe { (cuda.own.cuDeviceGetName)(name, bytes, device) }
}

pub unsafe fn total(cuda: &Cuda, bytes: *mut usize, device: c_int) -> Code {
    // SAFETY: the caller's promise.
    unsafe { (cuda.own.cuDeviceTotalMem_v2)(bytes, device) }
}

pub unsafe fn memory(cuda: &Cuda, free: *mut usize, total: *mut usize) -> Code {
    // SAFETY: the caller's promise.
    unsafe { (cuda.own.cuMemGetInfo_v2)(free, total) }
}

pub unsafe fn attribute(cuda: &Cuda, value: *mut c_int, attribute: c_uint, device: c_int) -> Code {
    let attributes = [
        (hip::hipDeviceAttributeWarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE),
        (hip::hipDeviceAttributeMultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        (hip::hipDeviceAttributeMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
        (hip::hipDeviceAttributeMaxThreadsPerMultiProcessor, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR),
        (hip::hipDeviceAttributeComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
        (hip::hipDeviceAttributeComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
    ];
    match attributes.iter().find(|(hip, _)| *hip as c_uint == attribute) {
        // SAFETY: the caller's promise.
        Some((_, cuda_attribute)) => unsafe { (cuda.own.cuDeviceGetAttribute)(value, *cuda_attribute, device) },
        None => INVALID_VALUE,
    }
}

/// Compiles for the thread's current device.
pub fn compile(cuda: &Cuda, text: &str, options: &[String]) -> Result<Vec<u8>, String> {
    let ask = |which: hip| {
        let mut value = 0;
        // SAFETY: a local to fill.
        match unsafe { attribute(cuda, &mut value, which as c_uint, CURRENT.get()) } {
            SUCCESS => Ok(value),
            code => Err(cuda.text("asking for the compute capability", code)),
        }
    };
    let major = ask(hip::hipDeviceAttributeComputeCapabilityMajor)?;
    compile_for(major * 10 + ask(hip::hipDeviceAttributeComputeCapabilityMinor)?, text, options)
}

/// Compiles for a compute capability, 90 for 9.0. Of the options only definitions count.
fn compile_for(capability: c_int, text: &str, options: &[String]) -> Result<Vec<u8>, String> {
    let nvrtc = nvrtc().map_err(|error| error.to_string())?;
    let own = vectorvisor_cuda::OPTIONS.into_iter().map(str::to_owned);
    let defines = options.iter().filter(|option| option.starts_with("-D")).cloned();
    let target = nvrtc.target(capability).map_err(|error| error.to_string())?;
    let options: Vec<_> = own.chain(defines).chain([target]).collect();
    let text = [include_str!("cuda.h"), text].concat();
    match nvrtc.compiler.compile(&[text], &options, &|| Ok(()), &mut |_, _| ()) {
        Ok(binaries) => Ok(binaries.concat()),
        Err(Error::Compile { log }) => Err(log),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs NVRTC, but no device.
    #[test]
    fn nvrtc_takes_the_text_of_the_drivers_probe() {
        if let Err(error) = nvrtc() {
            return println!("skipped: {error}");
        }
        let text = include_str!("../../src/probe.hip");
        let binary = compile_for(90, text, &["-O2".into(), "-DVV_PATCH=1".into()]).expect("a binary");
        assert!(binary.starts_with(b"\x7fELF"));
        let refused = compile_for(90, "#line 4711\nnonsense;", &[]).expect_err("a log");
        assert!(refused.contains("4711"), "{refused}");
    }
}
