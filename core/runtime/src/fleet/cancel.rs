//! Ending a run early from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;
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
    // Guards nothing: a condition variable needs a mutex.
    sleep: Mutex<()>,
    wake: Condvar,
}

impl CancelHandle {
    /// Ends the present run, and lets no later one begin. A running kernel is stopped where the device sees the host's
    /// stop word; otherwise the run waits until the kernel ends.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for stop in self.0.stops.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            stop.store(1);
        }
        let _guard = self.0.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.wake.notify_all();
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

    /// Sleeps until a time, or until [`Self::cancel`] is called.
    pub(super) fn sleep_until(&self, time: Instant) {
        let mut guard = self.0.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() || self.cancelled() {
                return;
            }
            guard = self.0.wake.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_sleeper_wakes_when_cancelled() {
        let handle = CancelHandle::default();
        let begin = Instant::now();
        handle.sleep_until(begin + Duration::from_millis(5));
        assert!(begin.elapsed() >= Duration::from_millis(5));
        let other = handle.clone();
        let thread = std::thread::spawn(move || other.cancel());
        handle.sleep_until(begin + Duration::from_secs(60));
        assert!(begin.elapsed() < Duration::from_secs(30) && handle.cancelled());
        assert!(thread.join().is_ok());
    }
}
