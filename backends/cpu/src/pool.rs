//! A thread pool that runs the tiles of launches.

use libloading::Library;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use vectorvisor_driver::memory::HostMemory;
use vectorvisor_driver::{Error, Result};

/// The type of a kernel: runs all lanes of one tile.
pub type KernelFn = unsafe extern "C" fn(args: *const *mut c_void, tile: u32, lanes: u32);

/// Bytes of a thread's stack, on which guests' direct functions run. The translator bounds their depth; untouched pages
/// cost nothing.
const STACK: usize = 64 << 20;

/// One launch.
pub struct Job {
    entry: KernelFn,
    args: Vec<*mut c_void>,
    tiles: u32,
    lanes: u32,
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
    /// Runs tiles until none is left to begin.
    fn work(&self) {
        loop {
            let tile = self.next.fetch_add(1, Ordering::Relaxed);
            if tile >= u64::from(self.tiles) {
                return;
            }
            // SAFETY: the library is loaded, its kernels have this type, and the arguments live as long as `self`.
            unsafe { (self.entry)(self.args.as_ptr(), tile as u32, self.lanes) };
            // AcqRel: the thread that counts the last tile also sees what all tiles wrote.
            if self.ended.fetch_add(1, Ordering::AcqRel) + 1 == self.tiles {
                *lock(&self.all_ended.0) = true;
                self.all_ended.1.notify_all();
            }
        }
    }
}

/// Locks, ignoring poison: no panic can leave the guarded values half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All workers of a device. The thread that submits a job works on it too, so a job never waits for a worker that is
/// busy with another one, and there is one worker fewer than cores.
pub struct Pool {
    list: Arc<JobList>,
    helpers: u32,
}

/// What the workers share.
#[derive(Default)]
struct JobList {
    /// Jobs that may have tiles left to begin, oldest first.
    jobs: Mutex<Vec<Arc<Job>>>,
    more: Condvar,
    stop: AtomicBool,
}

impl Pool {
    /// Starts the workers.
    pub fn new(cores: u32) -> Result<Self> {
        let pool = Self { list: Arc::default(), helpers: cores.saturating_sub(1) };
        for _ in 0..pool.helpers {
            let list = pool.list.clone();
            thread("vv-worker", move || list.help())?;
        }
        Ok(pool)
    }
    /// Runs a job to its end.
    pub fn run(&self, job: &Arc<Job>) {
        if job.tiles == 0 {
            return;
        }
        let helped = job.tiles > 1 && self.helpers > 0;
        if helped {
            lock(&self.list.jobs).push(job.clone());
            self.list.more.notify_all();
        }
        job.work();
        let mut ended = lock(&job.all_ended.0);
        while !*ended {
            ended = job.all_ended.1.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
        drop(ended);
        if helped {
            lock(&self.list.jobs).retain(|other| !Arc::ptr_eq(other, job));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Under the lock, so that no worker is between reading `stop` and waiting. The workers are not joined: all
        // queues are gone, so there is no job.
        let _jobs = lock(&self.list.jobs);
        self.list.stop.store(true, Ordering::Relaxed);
        self.list.more.notify_all();
    }
}

impl JobList {
    /// A worker's loop.
    fn help(&self) {
        let mut jobs = lock(&self.jobs);
        while !self.stop.load(Ordering::Relaxed) {
            jobs.retain(|job| !job.exhausted());
            if let Some(job) = jobs.first().cloned() {
                drop(jobs);
                job.work();
                drop(job);
                jobs = lock(&self.jobs);
            } else {
                jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Starts a named thread with a stack for kernels.
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.into()).stack_size(STACK);
    builder.spawn(body).map_err(|error| Error::Device(format!("cannot start a thread: {error}")))
}
