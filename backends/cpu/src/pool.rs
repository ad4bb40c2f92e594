//! The threads that run the tiles of launches.
//!
//! There are as many as keep the cores busy: the thread of each queue, and helpers. A tile that takes much longer than
//! others of its kernel did may never end; if others wait, its thread gets a low priority, and another takes its place.
//! While something compiles for longer than a moment, which then likely is what those who run wait for, all threads get a
//! lower priority than the compiler's, and new ones take their places when it has ended.

use crate::host;
use libloading::Library;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vectorvisor_driver::memory::HostMemory;
use vectorvisor_driver::{Error, Result, threads};

/// The type of a kernel: runs all lanes of one tile.
pub type KernelFn = unsafe extern "C" fn(args: *const *mut c_void, tile: u32, lanes: u32);

/// Bytes of a thread's stack, on which guests' direct functions run. The translator bounds their depth; untouched pages
/// cost nothing.
const STACK: usize = 64 << 20;
/// A tile is long, in nanoseconds, after this and so many times what its kernel's tiles take on average; and after the
/// last where none has ended yet.
const LONG: u64 = 20_000_000;
const LONG_TIMES: u64 = 4;
const LONG_AT_FIRST: u64 = 250_000_000;
/// Nanoseconds after which threads let a compiler go first.
const COMPILES_LONG: u64 = 2_000_000_000;
/// How often threads are watched, and how many times without work before they are no longer.
const WATCH: Duration = Duration::from_millis(10);
const IDLE: u32 = 100;

/// How long a kernel's tiles took.
#[derive(Default)]
pub struct Stats {
    tiles: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Stats {
    /// After how many nanoseconds a tile is long.
    fn long(&self) -> u64 {
        let average = self.nanoseconds.load(Ordering::Relaxed).checked_div(self.tiles.load(Ordering::Relaxed));
        average.map_or(LONG_AT_FIRST, |average| LONG + average * LONG_TIMES)
    }
}

/// One launch.
pub struct Job {
    entry: KernelFn,
    args: Vec<*mut c_void>,
    tiles: u32,
    lanes: u32,
    stats: Arc<Stats>,
    /// The next tile to run. 64 bits, because threads that find no tile left count it up too.
    next: AtomicU64,
    /// Tiles that have ended.
    ended: AtomicU32,
    all_ended: (Mutex<bool>, Condvar),
    // Keep alive what the kernel uses, even if the caller frees its handles early.
    _library: Arc<Library>,
    _buffers: Vec<Option<Arc<HostMemory>>>,
}

// SAFETY: the pointers in `args` go to `_buffers`, which are `Send` and `Sync`.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    pub fn new(
        entry: KernelFn,
        stats: Arc<Stats>,
        library: Arc<Library>,
        buffers: Vec<Option<Arc<HostMemory>>>,
        tiles: u32,
        lanes: u32,
    ) -> Arc<Self> {
        let args = buffers.iter().map(|b| b.as_ref().map_or(std::ptr::null_mut(), |b| b.pointer().cast())).collect();
        Arc::new(Self {
            entry,
            args,
            tiles,
            lanes,
            stats,
            next: AtomicU64::new(0),
            ended: AtomicU32::new(0),
            all_ended: Default::default(),
            _library: library,
            _buffers: buffers,
        })
    }
    fn exhausted(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= u64::from(self.tiles)
    }
    /// Runs tiles until none is left to begin, or until the thread has another in its place; but one at least, since nobody
    /// else may know of the job.
    fn work(&self, worker: &Worker) {
        loop {
            let tile = self.next.fetch_add(1, Ordering::Relaxed);
            if tile >= u64::from(self.tiles) {
                return;
            }
            let begin = host::now();
            worker.long_at.store(begin + self.stats.long(), Ordering::Relaxed);
            // SAFETY: the library is loaded, its kernels have this type, and the arguments live as long as `self`.
            unsafe { (self.entry)(self.args.as_ptr(), tile as u32, self.lanes) };
            worker.long_at.store(u64::MAX, Ordering::Relaxed);
            if !worker.replaced() {
                self.stats.nanoseconds.fetch_add(host::now() - begin, Ordering::Relaxed);
                self.stats.tiles.fetch_add(1, Ordering::Relaxed);
            }
            // AcqRel: the thread that counts the last tile also sees what all tiles wrote.
            if self.ended.fetch_add(1, Ordering::AcqRel) + 1 == self.tiles {
                *lock(&self.all_ended.0) = true;
                self.all_ended.1.notify_all();
            }
            if worker.replaced() {
                return;
            }
        }
    }
}

/// Locks, ignoring poison: no panic can leave the guarded values half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that runs tiles.
pub struct Worker {
    /// The system's number of it.
    thread: i32,
    helper: bool,
    /// When the tile that it runs will be long, by [`host::now`]; `u64::MAX` if it runs none.
    long_at: AtomicU64,
    /// It lets compilers go first.
    yields: AtomicBool,
    replaced: AtomicBool,
}

impl Worker {
    /// It has a low priority, which it cannot raise, so another thread takes its place; it ends after its tile.
    pub fn replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }
}

/// All workers of a device. The thread that submits a job works on it too, so a job never waits for a worker that is
/// busy with another one, and there is one helper fewer than cores, or one more where a worker was replaced.
pub struct Pool(Arc<Shared>);

/// A compiler is at work.
pub struct Compiling(Arc<Shared>);

impl Drop for Compiling {
    fn drop(&mut self) {
        lock(&self.0.state).compilers -= 1;
        self.0.wake_watch();
    }
}

/// What the threads share.
struct Shared {
    state: Mutex<State>,
    /// There is another job, or the pool stops.
    more: Condvar,
    /// The same, for the thread that watches the others.
    watch: Condvar,
    watching: AtomicBool,
    cores: usize,
}

#[derive(Default)]
struct State {
    /// Jobs that may have tiles left to begin, oldest first.
    jobs: Vec<Arc<Job>>,
    /// All that were not replaced.
    workers: Vec<Arc<Worker>>,
    /// What new threads shall do, for those that were replaced: a thread inherits the priority of the one that starts it.
    successors: Vec<Box<dyn FnOnce() + Send>>,
    /// Compilers at work, and since when there are any.
    compilers: usize,
    compiling_since: u64,
    stop: bool,
}

impl Pool {
    /// Starts the helpers.
    pub fn new(cores: u32) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            watch: Condvar::new(),
            watching: AtomicBool::new(true),
            cores: cores as usize,
        });
        let pool = Self(shared.clone());
        for _ in 1..cores {
            shared.start_helper()?;
        }
        thread("vv-watch", move || shared.watch())?;
        Ok(pool)
    }
    /// This thread will run tiles.
    pub fn enlist(&self) -> Arc<Worker> {
        self.0.enlist(false)
    }
    /// It will not.
    pub fn dismiss(&self, worker: &Arc<Worker>) {
        self.0.dismiss(worker);
    }
    /// Lets a new thread go on in place of this one, which was replaced.
    pub fn succeed(&self, body: impl FnOnce() + Send + 'static) {
        lock(&self.0.state).successors.push(Box::new(body));
        self.0.wake_watch();
    }
    /// Something compiles until this is dropped.
    pub fn yield_to_compiler(&self) -> Compiling {
        let mut state = lock(&self.0.state);
        if state.compilers == 0 {
            state.compiling_since = host::now();
        }
        state.compilers += 1;
        drop(state);
        self.0.wake_watch();
        Compiling(self.0.clone())
    }
    /// Runs a job to its end.
    pub fn run(&self, job: &Arc<Job>, worker: &Worker) {
        if job.tiles == 0 {
            return;
        }
        let helped = job.tiles > 1;
        if helped {
            lock(&self.0.state).jobs.push(job.clone());
            self.0.more.notify_all();
        }
        if !self.0.watching.load(Ordering::Relaxed) {
            self.0.wake_watch();
        }
        job.work(worker);
        let mut ended = lock(&job.all_ended.0);
        while !*ended {
            ended = job.all_ended.1.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
        drop(ended);
        if helped {
            lock(&self.0.state).jobs.retain(|other| !Arc::ptr_eq(other, job));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Under the lock, so that no thread is between reading `stop` and waiting. They are not joined: all queues are
        // gone, so there is no job.
        lock(&self.0.state).stop = true;
        self.0.more.notify_all();
        self.0.watch.notify_all();
    }
}

impl Shared {
    fn enlist(&self, helper: bool) -> Arc<Worker> {
        let worker = Arc::new(Worker {
            thread: threads::number(),
            helper,
            long_at: AtomicU64::new(u64::MAX),
            yields: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
        });
        lock(&self.state).workers.push(worker.clone());
        worker
    }
    fn dismiss(&self, worker: &Arc<Worker>) {
        lock(&self.state).workers.retain(|other| !Arc::ptr_eq(other, worker));
    }
    fn wake_watch(&self) {
        // Under the lock, so that it does not fall asleep just now.
        let _state = lock(&self.state);
        self.watching.store(true, Ordering::Relaxed);
        self.watch.notify_all();
    }
    fn start_helper(self: &Arc<Self>) -> Result<()> {
        let shared = self.clone();
        thread("vv-worker", move || shared.help()).map(drop)
    }
    /// A helper's loop.
    fn help(&self) {
        let worker = self.enlist(true);
        let mut state = lock(&self.state);
        while !state.stop && !worker.replaced() {
            state.jobs.retain(|job| !job.exhausted());
            if let Some(job) = state.jobs.first().cloned() {
                drop(state);
                job.work(&worker);
                drop(job);
                state = lock(&self.state);
            } else {
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(state);
        self.dismiss(&worker);
    }
    /// The loop of the thread that watches the others.
    fn watch(self: &Arc<Self>) {
        let (mut state, mut idle) = (lock(&self.state), 0);
        while !state.stop {
            for body in std::mem::take(&mut state.successors) {
                // If it fails, the queue is closed, and says so.
                _ = thread("vv-queue", body);
            }
            let busy = state.workers.iter().filter(|worker| worker.long_at.load(Ordering::Relaxed) < u64::MAX).count();
            idle = if busy == 0 && state.compilers == 0 { idle + 1 } else { 0 };
            self.yield_or_not(&mut state);
            if busy > self.cores || busy > 0 && state.jobs.iter().any(|job| !job.exhausted()) {
                self.replace_long(&mut state);
            }
            state = if idle < IDLE {
                self.watch.wait_timeout(state, WATCH).unwrap_or_else(PoisonError::into_inner).0
            } else {
                idle = 0;
                self.watching.store(false, Ordering::Relaxed);
                self.watch.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
    /// Lets a compiler that works for long go first, or starts others in place of the threads that did.
    fn yield_or_not(self: &Arc<Self>, state: &mut State) {
        if state.compilers == 0 {
            if state.workers.iter().any(|worker| worker.yields.load(Ordering::Relaxed)) {
                self.replace(state, |worker| worker.yields.load(Ordering::Relaxed));
            }
        } else if host::now().saturating_sub(state.compiling_since) > COMPILES_LONG {
            for worker in state.workers.iter().filter(|worker| !worker.yields.load(Ordering::Relaxed)) {
                let yields = threads::lower_priority(worker.thread, threads::BELOW_NORMAL);
                worker.yields.store(yields, Ordering::Relaxed);
            }
        }
    }
    /// Gives those whose tile is long a low priority, and starts others in their place.
    fn replace_long(self: &Arc<Self>, state: &mut State) {
        let now = host::now();
        self.replace(state, |worker| {
            worker.long_at.load(Ordering::Relaxed) <= now && threads::lower_priority(worker.thread, threads::LOW)
        });
    }
    /// Starts others in place of some.
    fn replace(self: &Arc<Self>, state: &mut State, which: impl Fn(&Worker) -> bool) {
        let before = state.workers.len();
        state.workers.retain(|worker| {
            if which(worker) {
                worker.replaced.store(true, Ordering::Relaxed);
            }
            !worker.replaced()
        });
        let helpers = state.workers.iter().filter(|worker| worker.helper).count();
        for _ in 0..(before - state.workers.len()).min(self.cores.saturating_sub(helpers)) {
            // Without it the others go on.
            _ = self.start_helper();
        }
    }
}

/// Starts a named thread with a stack for kernels.
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.into()).stack_size(STACK);
    builder.spawn(body).map_err(|error| Error::Device(format!("cannot start a thread: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    unsafe extern "C" fn nothing(_: *const *mut c_void, _: u32, _: u32) {}

    /// A compiler that ends while the thread of a queue has nothing to do has the thread replaced.
    #[test]
    fn a_thread_that_was_replaced_before_a_launch_still_runs_it() {
        let pool = Pool::new(2).expect("threads start");
        let library = Arc::new(Library::from(libloading::os::unix::Library::this()));
        let (ended, ends) = channel();
        thread("test", move || {
            for tiles in 1..4 {
                let worker = pool.enlist();
                worker.replaced.store(true, Ordering::Relaxed);
                pool.run(&Job::new(nothing, Arc::default(), library.clone(), Vec::new(), tiles, 1), &worker);
                pool.dismiss(&worker);
            }
            _ = ended.send(());
        })
        .expect("a thread starts");
        assert_eq!(ends.recv_timeout(Duration::from_secs(60)), Ok(()));
    }
}
