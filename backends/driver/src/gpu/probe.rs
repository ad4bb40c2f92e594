//! Probes whether a running kernel sees the host's stores into page-locked memory.

use super::Vendor;
use super::objects::{Kernel, Memory, Module, Stream};
use crate::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Whether the kernel of [`Setup::probe`](super::Setup::probe) saw a word change while it ran.
pub fn is_live(vendor: &Arc<dyn Vendor>, image: &[u8]) -> Result<bool> {
    let (stream, page) = (Stream::new(vendor, false)?, Arc::new(Memory::host(vendor, 4096)?));
    // SAFETY: the binary is the driver's own.
    let kernel = Kernel::new(&Arc::new(unsafe { Module::load(vendor, image) }?), "listen")?;
    // SAFETY: the page holds three words, is aligned, and lives until the kernel has ended.
    let [word, runs, saw] = unsafe { &*page.pointer().cast::<[AtomicU32; 3]>() };
    let event = stream.launch(&kernel, &[Some(page.clone())], 1, [1, 1])?;
    let deadline = Instant::now() + Duration::from_secs(1);
    while runs.load(Ordering::SeqCst) == 0 && !event.reached()? && Instant::now() < deadline {
        std::thread::yield_now();
    }
    word.store(7, Ordering::SeqCst);
    event.wait()?;
    Ok(saw.load(Ordering::SeqCst) == 7)
}
