//! A thread that sets stop words when their time has come.

use crate::{Error, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use vectorvisor_driver::HostVisible;

struct Alarm {
    group: usize,
    at: Instant,
    stop: Arc<HostVisible>,
}

#[derive(Default)]
struct Alarms {
    list: Vec<Alarm>,
    quit: bool,
}

/// The alarms, and what wakes the thread when they change.
type Both = (Mutex<Alarms>, Condvar);

/// The thread and its alarms, at most one a group.
pub struct Watchdog {
    alarms: Arc<Both>,
    thread: Option<JoinHandle<()>>,
}

fn lock(alarms: &Both) -> MutexGuard<'_, Alarms> {
    alarms.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(both: &Both) {
    let mut alarms = lock(both);
    while !alarms.quit {
        let now = Instant::now();
        alarms.list.retain(|alarm| {
            let due = alarm.at <= now;
            if due {
                // Under the lock: once `disarm` has returned, no alarm of the past sets the word.
                alarm.stop.store(1);
            }
            !due
        });
        alarms = match alarms.list.iter().map(|a| a.at).min() {
            Some(at) => {
                both.1.wait_timeout(alarms, at.saturating_duration_since(now)).unwrap_or_else(PoisonError::into_inner).0
            }
            None => both.1.wait(alarms).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

impl Watchdog {
    /// Starts the thread.
    pub fn new() -> Result<Self> {
        let alarms = Arc::new(Both::default());
        let shared = alarms.clone();
        let thread =
            std::thread::Builder::new().name("vv-watchdog".into()).spawn(move || watch(&shared)).map_err(|e| {
                Error::System { what: "cannot start the thread that watches the time", reason: e.to_string() }
            })?;
        Ok(Self { alarms, thread: Some(thread) })
    }

    /// At a time, sets a group's stop word.
    pub fn arm(&self, group: usize, at: Instant, stop: &Arc<HostVisible>) {
        let mut alarms = lock(&self.alarms);
        alarms.list.retain(|a| a.group != group);
        alarms.list.push(Alarm { group, at, stop: stop.clone() });
        self.alarms.1.notify_all();
    }

    /// Forgets a group's alarm.
    pub fn disarm(&self, group: usize) {
        lock(&self.alarms).list.retain(|a| a.group != group);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        lock(&self.alarms).quit = true;
        self.alarms.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; if it had, there is nothing left to stop.
            _ = thread.join();
        }
    }
}
