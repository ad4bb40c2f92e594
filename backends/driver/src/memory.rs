//! Memory helpers that several drivers need: zeroed host memory, and a count of what a device has given out.

use crate::{Error, Result};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

/// One anonymous mapping: page aligned and zeroed; the system commits a page at its first touch.
pub struct HostMemory {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value; as with any device's memory, the caller orders the accesses.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// Maps `bytes`, at least one, in large pages, where the system has them: fewer first touches.
    pub fn new(bytes: u64) -> Result<Self> {
        Self::map(bytes, libc::MADV_HUGEPAGE)
    }
    /// Maps `bytes`, at least one, in small pages, which show what was touched.
    pub fn in_small_pages(bytes: u64) -> Result<Self> {
        Self::map(bytes, libc::MADV_NOHUGEPAGE)
    }
    fn map(bytes: u64, pages: i32) -> Result<Self> {
        let full = Error::OutOfMemory { wanted: bytes, what: "address space" };
        let Ok(bytes) = usize::try_from(bytes.max(1)) else { return Err(full) };
        // MAP_NORESERVE: VMs rarely touch all of their heap, and a `Budget` limits what a device gives out.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the system's choice touches nothing else.
        let start = unsafe { libc::mmap(null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(full);
        }
        // SAFETY: the mapping is ours; a system that does not know large pages says so, which changes nothing.
        unsafe { libc::madvise(start, bytes, pages) };
        Ok(Self { start: start.cast(), bytes })
    }
    /// Its first byte.
    pub fn pointer(&self) -> *mut u8 {
        self.start
    }
    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing uses it any more.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// Counts the bytes that a device has given out, against a limit. Systems and some vendors overcommit and then fail
/// during a launch; a driver refuses the allocation instead.
pub struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// All of `limit` is free.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }
    /// Reserves `bytes` and runs `allocate`; releases them if that fails.
    pub fn take<T>(&self, bytes: u64, allocate: impl FnOnce() -> Result<T>) -> Result<T> {
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(Error::OutOfMemory { wanted: bytes, what: "device memory" });
        }
        allocate().inspect_err(|_| self.give(bytes))
    }
    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Refuses a copy of `bytes` at `offset` that does not lie inside a buffer of `size` bytes.
pub fn check_range(offset: u64, bytes: usize, size: u64) -> Result<()> {
    match offset.checked_add(bytes as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Error::Invalid(format!("{bytes} bytes at {offset} in a buffer of {size}"))),
    }
}
