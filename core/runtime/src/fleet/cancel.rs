//! Ending a run early, and telling it that there are inputs, from another thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vectorvisor_driver::HostVisible;

/// Ends the runs of a fleet early, from any thread; for Ctrl-C. Clones refer to the same fleet.
///
/// ```no_run
/// # fn f(fleet: &vectorvisor::Fleet) {
/// let handle = fleet.cancel_handle();
/// std::thread::spawn(move || handle.cancel());
/// # }
/// ```
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    stops: Mutex<Vec<Arc<HostVisible>>>,
    /// The source may have inputs, and was not asked since.
    woken: Mutex<bool>,
    wake: Condvar,
}

/// Tells a fleet's run that its [`crate::Source`], which had no input, may have one now; from any thread.
#[derive(Clone)]
pub struct Waker(Arc<Inner>);

impl Waker {
    /// Lets the run ask its source again.
    pub fn wake(&self) {
        let mut woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        // If it was, a sleeper is on its way; and each notification is a system call.
        if !std::mem::replace(&mut *woken, true) {
            self.0.wake.notify_all();
        }
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle").field("cancelled", &self.cancelled()).finish_non_exhaustive()
    }
}

impl CancelHandle {
    /// Ends the present run, and lets no later one begin. A running kernel is stopped where the device sees the host's
    /// stop word; otherwise the run waits until the kernel ends.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for stop in self.0.stops.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            stop.store(1);
        }
        let _guard = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.wake.notify_all();
    }

    pub(super) fn waker(&self) -> Waker {
        Waker(self.0.clone())
    }

    /// Whether [`Self::cancel`] was called.
    pub fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Adds a group's stop word.
    pub(super) fn watch(&self, stop: &Arc<HostVisible>) {
        self.0.stops.lock().unwrap_or_else(PoisonError::into_inner).push(stop.clone());
    }

    /// Forgets a group's stop word.
    pub(super) fn forget(&self, stop: &Arc<HostVisible>) {
        self.0.stops.lock().unwrap_or_else(PoisonError::into_inner).retain(|s| !Arc::ptr_eq(s, stop));
    }

    /// Sleeps until a time, if there is one, or until [`Self::cancel`] or [`Waker::wake`] is called, also if it was since
    /// the last sleep. Whether it was woken.
    pub(super) fn sleep_until(&self, time: Option<Instant>) -> bool {
        let mut woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        while !*woken && !self.cancelled() {
            woken = match time.map(|time| time.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => self.0.wake.wait_timeout(woken, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.0.wake.wait(woken).unwrap_or_else(PoisonError::into_inner),
            };
        }
        std::mem::take(&mut *woken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_wakes_when_cancelled() {
        let handle = CancelHandle::default();
        let begin = Instant::now();
        assert!(!handle.sleep_until(Some(begin + Duration::from_millis(5))));
        assert!(begin.elapsed() >= Duration::from_millis(5));
        handle.waker().wake();
        assert!(handle.sleep_until(None));
        let other = handle.clone();
        let thread = std::thread::spawn(move || other.cancel());
        assert!(!handle.sleep_until(Some(begin + Duration::from_secs(60))));
        assert!(begin.elapsed() < Duration::from_secs(30) && handle.cancelled());
        assert!(thread.join().is_ok());
    }
}
