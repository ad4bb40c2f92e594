//! What happened when in a run, in Chrome's trace format, which Perfetto (<https://ui.perfetto.dev>) shows.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Spans that are kept: the first of a long run.
const MOST: usize = 1 << 20;

/// Where runs of a fleet record what they do; clones share it ([`crate::FleetOptions::trace`]).
#[derive(Debug, Clone)]
pub struct Trace(Arc<Mutex<Spans>>);

#[derive(Debug)]
struct Spans {
    begun: Instant,
    host: Vec<Span>,
    device: Vec<Span>,
    /// The least nanoseconds from an end by the device's clock to when the host saw it, which tells that clock's zero.
    zero: i128,
}

/// Nanoseconds of one of the two clocks.
#[derive(Debug)]
struct Span {
    name: &'static str,
    group: usize,
    begin: i128,
    end: i128,
    vms: usize,
    per_warp: u32,
}

/// Counts the launches of a fleet's runs while they go on; clones share it ([`crate::FleetOptions::meter`]).
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    launches: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Meter {
    /// Launches of the program's kernel that have ended.
    pub fn launches(&self) -> u64 {
        self.0.launches.load(Ordering::Relaxed)
    }

    /// Time in the program's kernel, added up: launches overlap. Zero where the driver cannot tell.
    pub fn kernel(&self) -> Duration {
        Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed))
    }

    /// A launch ended.
    pub(crate) fn launch(&self, kernel: (u64, u64)) {
        self.0.launches.fetch_add(1, Ordering::Relaxed);
        self.0.nanoseconds.fetch_add(kernel.1.saturating_sub(kernel.0), Ordering::Relaxed);
    }
}

impl Default for Trace {
    fn default() -> Self {
        let spans = Spans { begun: Instant::now(), host: Vec::new(), device: Vec::new(), zero: i128::MAX };
        Self(Arc::new(Mutex::new(spans)))
    }
}

impl Trace {
    fn with<T>(&self, what: impl FnOnce(&mut Spans) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The caller did something until now: what comes before a run, and after it.
    pub fn span(&self, name: &'static str, begin: Instant) {
        self.host(name, 0, begin, 0);
    }

    /// The host did something for a group of VMs until now.
    pub(crate) fn host(&self, name: &'static str, group: usize, begin: Instant, vms: usize) {
        self.with(|spans| {
            let since = |at: Instant| at.saturating_duration_since(spans.begun).as_nanos() as i128;
            let span = Span { name, group, begin: since(begin), end: since(Instant::now()), vms, per_warp: 0 };
            if spans.host.len() < MOST {
                spans.host.push(span);
            }
        });
    }

    /// A launch, in nanoseconds of the device's clock, which ended before now.
    pub(crate) fn device(&self, group: usize, (begin, end): (u64, u64), vms: usize, per_warp: u32) {
        self.with(|spans| {
            let (begin, end) = (begin.into(), end.into());
            spans.zero = spans.zero.min(spans.begun.elapsed().as_nanos() as i128 - end);
            if spans.device.len() < MOST {
                spans.device.push(Span { name: "launch", group, begin, end, vms, per_warp });
            }
        });
    }

    /// All of it as a JSON text: process 0 is the host, process 1 the device, and a thread a group of VMs.
    pub fn json(&self) -> String {
        self.with(|spans| {
            let mut text = String::from("[");
            for (process, name) in ["host", "device"].iter().enumerate() {
                let end = if process == 0 { ",\n" } else { "" };
                _ = write!(
                    text,
                    r#"{{"ph":"M","name":"process_name","pid":{process},"args":{{"name":"{name}"}}}}{end}"#
                );
            }
            let host = spans.host.iter().map(|span| (0, 0, span));
            for (process, zero, span) in host.chain(spans.device.iter().map(|span| (1, spans.zero, span))) {
                let Span { name, group, begin, end, vms, per_warp } = span;
                let (at, lasts) = ((begin + zero) as f64 / 1e3, (end - begin) as f64 / 1e3);
                let what = format!(r#""pid":{process},"tid":{group},"args":{{"vms":{vms},"vms_per_warp":{per_warp}}}"#);
                _ = write!(text, ",\n{{\"ph\":\"X\",\"name\":\"{name}\",\"ts\":{at:.3},\"dur\":{lasts:.3},{what}}}");
            }
            text + "]\n"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_has_a_clock_of_its_own() {
        let trace = Trace::default();
        trace.device(1, (5_000_000_000_000, 5_000_000_001_000), 64, 32);
        trace.host("settle", 1, Instant::now(), 64);
        let text = trace.json();
        // Not seconds away, which is where the device's clock is.
        let (_, launch) = text.split_once(r#""name":"launch","ts":"#).expect("a launch");
        let at: f64 = launch.split(',').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!((-1.0..4e9).contains(&at), "{text}");
        assert!(text.contains(r#""dur":1.000,"pid":1,"tid":1,"args":{"vms":64,"vms_per_warp":32}"#), "{text}");
    }
}
