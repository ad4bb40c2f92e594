//! Copying many pieces, by several threads where it is worth it: one core does not fill the memory's bandwidth, and
//! nothing else of a group goes on meanwhile.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// Bytes that are worth another thread.
const EACH: usize = 1 << 20;
/// More threads copy little faster.
const MOST: usize = 8;
/// Pieces that a thread takes at once.
const CHUNK: usize = 64;

/// Does `work`, which copies so many `bytes` in all, to each of `pieces`.
pub fn spread<T: Send>(pieces: &mut [T], bytes: usize, work: impl Fn(&mut T) + Sync) {
    share(pieces, (bytes / EACH).min(MOST), CHUNK, work);
}

/// Does `work` to each of `pieces` with so many threads, if there are so many cores, of which each takes a `chunk` at once.
pub fn share<T: Send>(pieces: &mut [T], threads: usize, chunk: usize, work: impl Fn(&mut T) + Sync) {
    /// Kept, since asking reads files.
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = CORES.get_or_init(|| thread::available_parallelism().map_or(1, Into::into));
    let threads = threads.min(*cores);
    if threads <= 1 {
        return pieces.iter_mut().for_each(work);
    }
    let chunks = Mutex::new(pieces.chunks_mut(chunk));
    let run = || {
        loop {
            let chunk = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(chunk) = chunk else { return };
            chunk.iter_mut().for_each(&work);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // If there can be no more threads, those that there are do everything.
            _ = thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_worked_on_once() {
        for bytes in [0, 100 << 20] {
            let mut pieces: Vec<usize> = (0..10_000).collect();
            spread(&mut pieces, bytes, |piece| *piece *= 2);
            assert!(pieces.iter().enumerate().all(|(i, piece)| *piece == 2 * i));
        }
    }
}
