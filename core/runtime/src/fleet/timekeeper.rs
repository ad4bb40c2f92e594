//! A thread that keeps the time for guests on a device without a clock.

use crate::{Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vectorvisor_driver::HostVisible;
use vectorvisor_translate::abi::{STOP_TIME, TIME_STEP};

#[derive(Default, Clone, Copy, PartialEq)]
enum Mode {
    /// No kernel runs.
    #[default]
    Idle,
    Running,
    Quit,
}

/// The mode, and what wakes the thread when it changes.
type Both = (Mutex<Mode>, Condvar);

/// The thread, and the memory in which one group's kernels see the time.
pub struct Timekeeper {
    mode: Arc<Both>,
    begun: Instant,
    shared: Arc<HostVisible>,
    thread: Option<JoinHandle<()>>,
}

fn lock(mode: &Both) -> MutexGuard<'_, Mode> {
    mode.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(shared: &HostVisible, begun: Instant) {
    shared.store_word(STOP_TIME / 8, u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
}

fn keep(both: &Both, shared: &HostVisible, begun: Instant) {
    let mut mode = lock(both);
    loop {
        mode = match *mode {
            Mode::Quit => return,
            Mode::Idle => both.1.wait(mode).unwrap_or_else(PoisonError::into_inner),
            Mode::Running => {
                tell(shared, begun);
                let step = Duration::from_nanos(TIME_STEP);
                both.1.wait_timeout(mode, step).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

impl Timekeeper {
    /// Starts the thread.
    pub fn new(shared: &Arc<HostVisible>) -> Result<Self> {
        let (mode, begun, shared) = (Arc::new(Both::default()), Instant::now(), shared.clone());
        let (both, word) = (mode.clone(), shared.clone());
        let thread =
            std::thread::Builder::new().name("vv-timekeeper".into()).spawn(move || keep(&both, &word, begun)).map_err(
                |e| Error::System { what: "cannot start the thread that keeps the time", reason: e.to_string() },
            )?;
        Ok(Self { mode, begun, shared, thread: Some(thread) })
    }

    fn enter(&self, mode: Mode) {
        *lock(&self.mode) = mode;
        self.mode.1.notify_all();
    }

    /// A launch begins, and finds the time there.
    pub fn start(&self) {
        tell(&self.shared, self.begun);
        self.enter(Mode::Running);
    }

    /// It has ended.
    pub fn stop(&self) {
        self.enter(Mode::Idle);
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        self.enter(Mode::Quit);
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; if it had, the time is no longer needed.
            _ = thread.join();
        }
    }
}
