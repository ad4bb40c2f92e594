//! What happened when in a run, in Chrome's trace format, which Perfetto (<https://ui.perfetto.dev>) shows.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Spans that are kept: the first of a long run.
const MOST: usize = 1 << 20;

/// Where runs of a fleet record what they do; clones share it ([`crate::FleetOptions::trace`]).
#[derive(Debug, Clone)]
pub struct Trace {
    spans: Arc<Mutex<Spans>>,
    /// Which of the devices the runs are on.
    device: usize,
}

#[derive(Debug)]
struct Spans {
    begun: Instant,
    host: Vec<Span>,
    launches: Vec<Span>,
    parts: Vec<Part>,
    devices: Vec<Device>,
}

/// A part of what became of something that the caller numbers.
#[derive(Debug)]
struct Part {
    name: &'static str,
    number: u64,
    begin: Instant,
    end: Instant,
}

#[derive(Debug)]
struct Device {
    name: String,
    /// The least nanoseconds from an end by the device's clock to when the host saw it, which tells that clock's zero.
    zero: i128,
}

impl Device {
    fn named(name: &str) -> Self {
        Self { name: name.into(), zero: i128::MAX }
    }
}

/// Nanoseconds of one of the two clocks.
#[derive(Debug)]
struct Span {
    name: &'static str,
    device: usize,
    group: usize,
    begin: i128,
    end: i128,
    vms: usize,
    per_warp: u32,
}

impl Default for Trace {
    fn default() -> Self {
        Self::of_devices(&["device".into()])
    }
}

impl Trace {
    fn with<T>(&self, what: impl FnOnce(&mut Spans) -> T) -> T {
        what(&mut self.spans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A trace of runs on devices with these names.
    pub fn of_devices(names: &[String]) -> Self {
        let devices = names.iter().map(|name| Device::named(name)).collect();
        let spans = Spans { begun: Instant::now(), host: Vec::new(), launches: Vec::new(), parts: Vec::new(), devices };
        Self { spans: Arc::new(Mutex::new(spans)), device: 0 }
    }

    /// The same trace, for runs on the device of this number.
    pub fn on(&self, device: usize) -> Self {
        Self { spans: self.spans.clone(), device }
    }

    /// The caller did something until now: what comes before a run, and after it.
    pub fn span(&self, name: &'static str, begin: Instant) {
        self.host(name, 0, begin, 0);
    }

    /// A part of what became of the caller's request of this number.
    pub fn part(&self, name: &'static str, number: u64, begin: Instant, end: Instant) {
        self.with(|spans| {
            if spans.parts.len() < MOST {
                spans.parts.push(Part { name, number, begin, end });
            }
        });
    }

    /// The host did something for a group of VMs until now.
    pub(crate) fn host(&self, name: &'static str, group: usize, begin: Instant, vms: usize) {
        self.with(|spans| {
            let since = |at: Instant| at.saturating_duration_since(spans.begun).as_nanos() as i128;
            let (begin, end) = (since(begin), since(Instant::now()));
            let span = Span { name, device: self.device, group, begin, end, vms, per_warp: 0 };
            if spans.host.len() < MOST {
                spans.host.push(span);
            }
        });
    }

    /// A launch, in nanoseconds of the device's clock, which ended before now.
    pub(crate) fn device(&self, group: usize, (begin, end): (u64, u64), vms: usize, per_warp: u32) {
        self.with(|spans| {
            let (begin, end) = (begin.into(), end.into());
            let now = spans.begun.elapsed().as_nanos() as i128;
            let Some(device) = spans.devices.get_mut(self.device) else { return };
            device.zero = device.zero.min(now - end);
            if spans.launches.len() < MOST {
                spans.launches.push(Span { name: "launch", device: self.device, group, begin, end, vms, per_warp });
            }
        });
    }

    /// All of it as a JSON text: a thread a group of VMs; process 0 is the host, process 1 the device. With several
    /// devices there are two processes a device, the host's work for it and its launches. Requests are one more, each with
    /// a track of its own.
    pub fn json(&self) -> String {
        self.with(|spans| {
            let several = spans.devices.len() > 1;
            let processes = spans.devices.iter().flat_map(|Device { name, .. }| match several {
                true => [format!("host for {name}"), name.clone()],
                false => ["host".into(), name.clone()],
            });
            let mut text = String::from("[");
            for (process, name) in processes.enumerate() {
                let begin = if process == 0 { "" } else { ",\n" };
                _ = write!(
                    text,
                    r#"{begin}{{"ph":"M","name":"process_name","pid":{process},"args":{{"name":"{name}"}}}}"#
                );
            }
            let host = spans.host.iter().map(|span| (0, 0, span));
            let launches = spans.launches.iter().map(|span| (1, spans.devices[span.device].zero, span));
            for (process, zero, span) in host.chain(launches) {
                let Span { name, device, group, begin, end, vms, per_warp } = span;
                let process = 2 * device + process;
                let (at, lasts) = ((begin + zero) as f64 / 1e3, (end - begin) as f64 / 1e3);
                let what = format!(r#""pid":{process},"tid":{group},"args":{{"vms":{vms},"vms_per_warp":{per_warp}}}"#);
                _ = write!(text, ",\n{{\"ph\":\"X\",\"name\":\"{name}\",\"ts\":{at:.3},\"dur\":{lasts:.3},{what}}}");
            }
            let process = 2 * spans.devices.len();
            if !spans.parts.is_empty() {
                let what = format!(r#""pid":{process},"args":{{"name":"requests"}}"#);
                _ = write!(text, ",\n{{\"ph\":\"M\",\"name\":\"process_name\",{what}}}");
            }
            for Part { name, number, begin, end } in &spans.parts {
                for (phase, at) in [("b", begin), ("e", end)] {
                    let at = at.saturating_duration_since(spans.begun).as_nanos() as f64 / 1e3;
                    let what = format!(r#""cat":"request","id":{number},"name":"{name}","pid":{process},"tid":0"#);
                    _ = write!(text, ",\n{{\"ph\":\"{phase}\",\"ts\":{at:.3},{what}}}");
                }
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
