//! Figures of a fleet while its runs go on.

use crate::Visits;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Counts what a fleet's runs do while they go on; clones share it ([`crate::FleetOptions::meter`]).
#[derive(Clone, Default)]
pub struct Meter(Arc<Counts>);

type Observer = Box<dyn Fn(usize) + Send + Sync>;

#[derive(Default)]
struct Counts {
    launches: AtomicU64,
    kernel: AtomicU64,
    transfer: AtomicU64,
    calls: AtomicU64,
    visits: [AtomicU64; 2],
    now: [AtomicU64; 5],
    observer: OnceLock<Observer>,
}

/// What is so now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// VMs that there are.
    pub vms: u64,
    /// Those that launches in flight run.
    pub busy: u64,
    /// Those that have an input and are in no launch: they sleep, or wait for others or for their group's next launch.
    pub waiting: u64,
    /// Bytes of device memory that the VMs have, and the buffers that grow with them.
    pub device_bytes: u64,
    /// Bytes of page-locked host memory for transfers.
    pub pinned_bytes: u64,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("launches", &self.launches()).field("now", &self.now()).finish_non_exhaustive()
    }
}

fn add(to: &AtomicU64, time: Duration) {
    to.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
}

impl Meter {
    /// Calls `observer` with the number of VMs of each launch that has ended. Only the first observer counts.
    pub fn observe(&self, observer: impl Fn(usize) + Send + Sync + 'static) {
        _ = self.0.observer.set(Box::new(observer));
    }

    /// Launches of the program's kernel that have ended.
    pub fn launches(&self) -> u64 {
        self.0.launches.load(Relaxed)
    }

    /// Time in the program's kernel, added up: launches overlap. Zero where the driver cannot tell.
    pub fn kernel(&self) -> Duration {
        Duration::from_nanos(self.0.kernel.load(Relaxed))
    }

    /// Time of transfers between the host and the device, added up: they overlap with launches. Zero where the driver
    /// cannot tell.
    pub fn transfer(&self) -> Duration {
        Duration::from_nanos(self.0.transfer.load(Relaxed))
    }

    /// Time in which the host answered calls of guests.
    pub fn host_calls(&self) -> Duration {
        Duration::from_nanos(self.0.calls.load(Relaxed))
    }

    /// How often VMs and warps entered functions and turned loops, if the program counts that
    /// ([`crate::ProgramOptions::profile`]).
    pub fn visits(&self) -> Visits {
        let [lanes, warps] = [0, 1].map(|at| self.0.visits[at].load(Relaxed));
        Visits { lanes, warps }
    }

    /// What is so now.
    pub fn now(&self) -> Gauges {
        let [vms, busy, waiting, device_bytes, pinned_bytes] = [0, 1, 2, 3, 4].map(|at| self.0.now[at].load(Relaxed));
        Gauges { vms, busy, waiting, device_bytes, pinned_bytes }
    }

    /// A launch of so many VMs ended.
    pub(crate) fn launch(&self, kernel: (u64, u64), vms: usize) {
        self.0.launches.fetch_add(1, Relaxed);
        self.0.kernel.fetch_add(kernel.1.saturating_sub(kernel.0), Relaxed);
        if let Some(observer) = self.0.observer.get() {
            observer(vms);
        }
    }

    pub(crate) fn add_transfer(&self, time: Duration) {
        add(&self.0.transfer, time);
    }

    pub(crate) fn add_host_calls(&self, time: Duration) {
        add(&self.0.calls, time);
    }

    pub(crate) fn add_visits(&self, visits: Visits) {
        for (all, more) in self.0.visits.iter().zip([visits.lanes, visits.warps]) {
            all.fetch_add(more, Relaxed);
        }
    }

    pub(crate) fn set(&self, now: Gauges) {
        let Gauges { vms, busy, waiting, device_bytes, pinned_bytes } = now;
        for (at, value) in [vms, busy, waiting, device_bytes, pinned_bytes].into_iter().enumerate() {
            self.0.now[at].store(value, Relaxed);
        }
    }
}
