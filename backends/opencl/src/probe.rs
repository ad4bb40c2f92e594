//! Probes whether a running kernel sees a store of the host.

use crate::program::{Kernel, Program};
use crate::queue::{Memory, Queue};
use crate::sys::{Id, Owned};
use opencl3::event::CL_RUNNING;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vectorvisor_driver::Result;

/// Records the first value of a word, and reads it again until it is not 0, a limited number of times.
const TEXT: &str = "
__kernel void listen(volatile __global uint *word, __global uint *seen) {
    uint first = word[0], last = first;
    for (uint left = seen[2]; last == 0 && left != 0; left--) last = word[0];
    seen[0] = first;
    seen[1] = last;
}";

/// `memory` is a page of shared memory, published through the queue `service`. The kernel reads it `max_reads` times at
/// most.
pub fn is_live(context: &Owned, id: Id, service: &Queue, memory: &Arc<Memory>, max_reads: u32) -> Result<bool> {
    let queue = &Queue::new(context, id)?;
    let program = Arc::new(Program::from_text(context, id, TEXT, c"-cl-std=CL1.2")?);
    let kernel = Kernel::new(&program, "listen")?;
    let seen = Arc::new(Memory::device(context, 12)?);
    // SAFETY: the local outlives the wait.
    unsafe { queue.write(&seen, 8, (&raw const max_reads).cast(), 4) }?.wait()?;
    let args = [Some(memory.clone()), Some(seen.clone())];
    // SAFETY: a page has room for a word, is aligned, and lives as long as `memory`.
    let word = unsafe { &*memory.pointer().cast::<AtomicU32>() };
    let store = |value| {
        word.store(value, Ordering::SeqCst);
        memory.publish(service)
    };
    // Many vendors finish compiling at the first launch, so the first one is a warm-up.
    store(1)?;
    queue.launch(&kernel, &args, 1, 1)?.wait()?;
    for delay in [1, 4, 16] {
        store(0)?;
        let event = queue.launch(&kernel, &args, 1, 1)?;
        let deadline = Instant::now() + Duration::from_millis(delay);
        while event.status()? > CL_RUNNING && Instant::now() < deadline {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(delay));
        store(1)?;
        event.wait()?;
        let mut answer = [0u8; 8];
        // SAFETY: the local outlives the wait.
        unsafe { queue.read(&seen, 0, answer.as_mut_ptr(), answer.len()) }?.wait()?;
        let [a, b, c, d, last @ ..] = answer;
        match (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes(last)) {
            // The kernel saw the old value, then the new one.
            (0, 1) => return Ok(true),
            // It saw the old value only, until it gave up.
            (0, _) => return Ok(false),
            // It began after the store, so this says nothing: try again with a longer delay.
            _ => {}
        }
    }
    Ok(false)
}
