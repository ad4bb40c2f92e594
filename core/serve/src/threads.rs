//! The threads that read requests and write answers. Each has a runtime and connections of its own: none waits for a lock
//! of another's, or takes what another has in its caches.

use std::io::Result;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, available_parallelism};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// One for each core would leave those of fleets to wait for a core, with every request that they have, and answer no more
/// requests a second.
pub fn usual() -> usize {
    (available_parallelism().map_or(1, Into::into) / 2).max(2)
}

/// Dropping it ends the threads, and what they have.
pub struct Threads {
    all: Vec<Thread>,
    next: AtomicUsize,
}

struct Thread {
    runtime: Handle,
    /// Its runtime runs until this is dropped.
    runs: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Threads {
    pub fn new(count: usize) -> Result<Self> {
        let thread = |_| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (handle, (runs, ended)) = (runtime.handle().clone(), oneshot::channel());
            let work = move || _ = runtime.block_on(ended);
            let thread = Builder::new().name("vv-http".into()).spawn(work)?;
            Ok(Thread { runtime: handle, runs: Some(runs), thread: Some(thread) })
        };
        Ok(Self { all: (0..count.max(1)).map(thread).collect::<Result<_>>()?, next: AtomicUsize::new(0) })
    }

    /// Begins a task on the thread whose turn it is.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len();
        self.all[turn].runtime.spawn(task);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.all.iter_mut().for_each(|thread| _ = thread.runs.take());
        for thread in self.all.iter_mut().filter_map(|thread| thread.thread.take()) {
            // If it panicked, it has said so.
            _ = thread.join();
        }
    }
}
