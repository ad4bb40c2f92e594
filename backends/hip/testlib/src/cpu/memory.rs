//! Device and host memory, both memory of this process, by address.

use crate::{INVALID_VALUE, OUT_OF_MEMORY};
use std::collections::BTreeMap;
use std::ffi::{c_uint, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vectorvisor_driver::gpu::{Code, SUCCESS};
use vectorvisor_driver::memory::HostMemory;

/// Bytes of device memory.
pub const TOTAL: usize = 16 << 30;
/// How many bytes at the start of new memory are set to a value that is not 0, as a GPU's may be.
const DIRTY: usize = 1 << 20;

struct Space {
    live: BTreeMap<u64, HostMemory>,
    used: u64,
}

static DEVICE: Mutex<Space> = Mutex::new(Space { live: BTreeMap::new(), used: 0 });
static HOST: Mutex<Space> = Mutex::new(Space { live: BTreeMap::new(), used: 0 });

fn lock(space: &Mutex<Space>) -> MutexGuard<'_, Space> {
    space.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Allocates; returns the address, or nothing if more than `limit` bytes would be used.
fn take(space: &Mutex<Space>, bytes: usize, limit: u64) -> Option<u64> {
    let mut space = lock(space);
    let used = space.used.checked_add(bytes as u64).filter(|used| *used <= limit)?;
    let memory = HostMemory::new(bytes as u64).ok()?;
    let address = memory.pointer().expose_provenance() as u64;
    space.used = used;
    space.live.insert(address, memory);
    Some(address)
}

fn give(space: &Mutex<Space>, address: u64) -> Code {
    let mut space = lock(space);
    match space.live.remove(&address) {
        Some(memory) => {
            space.used -= memory.bytes();
            SUCCESS
        }
        None => INVALID_VALUE,
    }
}

/// The host's pointer to an address of the device.
pub fn pointer(address: u64) -> *mut u8 {
    ptr::with_exposed_provenance_mut(address as usize)
}

pub unsafe extern "C" fn alloc(to: *mut u64, bytes: usize) -> Code {
    let Some(address) = take(&DEVICE, bytes, TOTAL as u64) else { return OUT_OF_MEMORY };
    // SAFETY: just allocated, and not shared yet; the caller's promise.
    unsafe {
        pointer(address).write_bytes(0xa5, bytes.min(DIRTY));
        to.write(address);
    }
    SUCCESS
}

pub unsafe extern "C" fn free(address: u64) -> Code {
    give(&DEVICE, address)
}

pub unsafe extern "C" fn host_alloc(to: *mut *mut c_void, bytes: usize, _: c_uint) -> Code {
    let Some(address) = take(&HOST, bytes, u64::MAX) else { return OUT_OF_MEMORY };
    // SAFETY: the caller's promise.
    unsafe { to.write(pointer(address).cast()) };
    SUCCESS
}

pub unsafe extern "C" fn host_free(host: *mut c_void) -> Code {
    give(&HOST, host.expose_provenance() as u64)
}

pub unsafe extern "C" fn write(dst: u64, src: *const c_void, bytes: usize) -> Code {
    // SAFETY: the caller's promise.
    unsafe { pointer(dst).copy_from(src.cast(), bytes) };
    SUCCESS
}

pub unsafe extern "C" fn device_pointer(device: *mut u64, host: *mut c_void, _: c_uint) -> Code {
    // SAFETY: the caller's promise.
    unsafe { device.write(host.expose_provenance() as u64) };
    SUCCESS
}

pub unsafe fn memory(free: *mut usize, total: *mut usize) -> Code {
    let used = lock(&DEVICE).used as usize;
    // SAFETY: the caller's promise.
    unsafe {
        free.write(TOTAL - used);
        total.write(TOTAL);
    }
    SUCCESS
}
