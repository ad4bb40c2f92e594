//! In-order queues: one thread each, which also runs tiles of its launches.

use crate::host;
use crate::pool::{Job, Pool, lock, thread};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use vectorvisor_driver::memory::HostMemory;
use vectorvisor_driver::{Error, Result};

/// One piece of work.
pub enum Task {
    /// Copies `bytes`; one side lies in `_memory`, the other is the caller's and valid until the event.
    Copy { src: *const u8, dst: *mut u8, bytes: usize, _memory: Arc<HostMemory> },
    /// Runs a kernel.
    Launch(Arc<Job>),
    /// Does nothing but reach its event.
    Marker,
}

// SAFETY: `Device::write` and `Device::read` oblige their callers to keep the pointers valid until the event.
unsafe impl Send for Task {}

/// A point in a queue: when its work began and ended, once it has.
#[derive(Default)]
pub struct Event {
    times: OnceLock<(u64, u64)>,
    ended: (Mutex<()>, Condvar),
}

impl Event {
    /// Begin and end, if it was reached.
    pub fn times(&self) -> Option<(u64, u64)> {
        self.times.get().copied()
    }
    /// Blocks until it is reached.
    pub fn wait(&self) {
        let mut guard = lock(&self.ended.0);
        while self.times.get().is_none() {
            guard = self.ended.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
    fn reach(&self, times: (u64, u64)) {
        // Under the lock, so that no waiter is between reading `times` and waiting.
        let _guard = lock(&self.ended.0);
        self.times.get_or_init(|| times);
        self.ended.1.notify_all();
    }
}

/// A task and the event that it reaches.
type Enqueued = (Task, Arc<Event>);

/// A queue and its thread. Dropping the queue waits for its work.
pub struct Queue {
    tasks: Mutex<Option<Sender<Enqueued>>>,
    /// Closed when the last thread of the queue has ended.
    ended: Mutex<Receiver<()>>,
}

/// What a queue's thread has.
struct Tasks {
    tasks: Receiver<Enqueued>,
    /// Dropped when the last thread ends.
    _alive: Sender<()>,
}

/// The loop of a queue's thread.
fn serve(pool: Arc<Pool>, tasks: Tasks) {
    let worker = pool.enlist();
    while let Ok((task, event)) = tasks.tasks.recv() {
        let begin = host::now();
        match &task {
            // SAFETY: both sides have `bytes` bytes (checked, or the caller's promise). They may be in the same buffer
            // when the caller copies from shared memory, hence not `copy_nonoverlapping`.
            Task::Copy { src, dst, bytes, .. } => unsafe { std::ptr::copy(*src, *dst, *bytes) },
            Task::Launch(job) => pool.run(job, &worker),
            Task::Marker => {}
        }
        // Before the event is reached: after a wait for it, memory that was freed must be available again.
        drop(task);
        event.reach((begin, host::now()));
        if worker.replaced() {
            let successor = pool.clone();
            return pool.succeed(move || serve(successor, tasks));
        }
    }
    pool.dismiss(&worker);
}

impl Queue {
    /// Starts the thread.
    pub fn new(pool: Arc<Pool>) -> Result<Self> {
        let (sender, tasks) = channel();
        let (_alive, ended) = channel();
        let tasks = Tasks { tasks, _alive };
        thread("vv-queue", move || serve(pool, tasks))?;
        Ok(Self { tasks: Mutex::new(Some(sender)), ended: Mutex::new(ended) })
    }
    /// Adds work at the end.
    pub fn push(&self, task: Task) -> Result<Arc<Event>> {
        let event = Arc::new(Event::default());
        let tasks = lock(&self.tasks);
        let sent = tasks.as_ref().and_then(|tasks| tasks.send((task, event.clone())).ok());
        sent.map(|()| event).ok_or_else(|| Error::Device("the queue's thread has ended".into()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The thread ends when the channel is closed and empty.
        lock(&self.tasks).take();
        // An error: the other end was dropped, which is what this waits for.
        _ = lock(&self.ended).recv();
    }
}
