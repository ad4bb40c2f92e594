//! Figures for Prometheus.

use crate::Service;
use prometheus::{
    Counter, CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::{Mutex, PoisonError};
use vectorvisor::{Gauges, Meter, Visits};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Ok,
    Exit,
    Trap,
    Timeout,
    Fuel,
    /// The program takes no request as long.
    TooLong,
    /// The runtime could not run it, or its output has no room.
    Failed,
    /// The device failed, or the server ended.
    Lost,
    /// There was no room in the queue, or no device.
    Refused,
    /// The client has gone.
    Gone,
    /// It is no request.
    Bad,
    /// Its body is over the limit.
    Large,
    /// Its body did not arrive in time.
    Slow,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Exit,
        Self::Trap,
        Self::Timeout,
        Self::Fuel,
        Self::TooLong,
        Self::Failed,
        Self::Lost,
        Self::Refused,
        Self::Gone,
        Self::Bad,
        Self::Large,
        Self::Slow,
    ];

    /// As in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exit => "exit",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Fuel => "fuel",
            Self::TooLong => "too_long",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Bad => "bad",
            Self::Large => "large",
            Self::Slow => "slow",
        }
    }
}

/// The figures of all programs.
pub struct Metrics {
    registry: Registry,
    /// Held while those that the runtime counts are brought up to date.
    scrape: Mutex<()>,
    requests: IntCounterVec,
    seconds: HistogramVec,
    waited: HistogramVec,
    packets: HistogramVec,
    waiting: IntGaugeVec,
    counts: [CounterVec; 4],
    gauges: [IntGaugeVec; 5],
    visits: [IntCounterVec; 2],
    ready: IntGaugeVec,
}

const ON_DEVICE: [&str; 2] = ["program", "device"];
/// What the runtime counts: names, and what they are.
const COUNTS: [(&str, &str); 4] = [
    ("launches_total", "Launches of the program's kernel."),
    ("kernel_seconds_total", "Seconds in the program's kernel, added up; launches overlap."),
    ("transfer_seconds_total", "Seconds of transfers between the host and the device, added up."),
    ("host_call_seconds_total", "Seconds in which the host answered calls of guests."),
];
const GAUGES: [(&str, &str); 5] = [
    ("vms", "VMs that there are."),
    ("vms_busy", "VMs that launches in flight run, each on a lane of its own."),
    ("vms_waiting", "VMs that have a request and are in no launch: they sleep, or wait for others."),
    ("device_bytes", "Bytes of device memory of the VMs and of the buffers that grow with them."),
    ("pinned_bytes", "Bytes of page-locked host memory for transfers."),
];

/// Of programs that count them; there are no others.
const VISITS: [(&str, &str); 2] = [
    ("lane_visits_total", "Entries of functions and turns of loops by VMs, each on a lane of its own."),
    (
        "warp_visits_total",
        "The same by warps: of the lanes that came together one counts. The quotient of both rates is the active lanes.",
    ),
];

/// The figures of one program.
pub struct Meters {
    /// Requests by how they ended, in the order of [`Reason`].
    ended: [IntCounter; Reason::ALL.len()],
    /// Seconds from a request to its answer.
    pub seconds: Histogram,
    /// Seconds that a request waited for a VM.
    pub waited: Histogram,
    waiting: IntGauge,
}

/// The figures of one program on one device.
pub struct OnDevice {
    /// What the runtime counts.
    pub meter: Meter,
    /// VMs of a launch.
    pub packets: Histogram,
    counts: [Counter; 4],
    gauges: [IntGauge; 5],
    /// If the program counts them: visits of VMs, and of warps.
    visits: Option<[IntCounter; 2]>,
    ready: IntGauge,
}

impl Metrics {
    /// Registers them.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(format!("vectorvisor_{name}"), help);
        // 50 us to 26 s.
        let buckets = || prometheus::exponential_buckets(50e-6, 2.0, 20);
        let histogram = |name: &str, help: &str| -> prometheus::Result<HistogramVec> {
            HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(buckets()?), &["program"])
        };
        let metrics = Self {
            requests: IntCounterVec::new(opts("requests_total", "Requests by how they ended."), &["program", "end"])?,
            seconds: histogram("request_seconds", "Seconds from a request to its answer.")?,
            waited: histogram("queue_seconds", "Seconds that a request waited for a VM.")?,
            packets: HistogramVec::new(
                HistogramOpts::from(opts("packet_vms", "VMs of a launch."))
                    .buckets(prometheus::exponential_buckets(1.0, 4.0, 11)?),
                &ON_DEVICE,
            )?,
            waiting: IntGaugeVec::new(opts("queue_length", "Requests that wait for a VM."), &["program"])?,
            counts: all(COUNTS.map(|(name, help)| CounterVec::new(opts(name, help), &ON_DEVICE)))?,
            gauges: all(GAUGES.map(|(name, help)| IntGaugeVec::new(opts(name, help), &ON_DEVICE)))?,
            visits: all(VISITS.map(|(name, help)| IntCounterVec::new(opts(name, help), &ON_DEVICE)))?,
            ready: IntGaugeVec::new(opts("device_ready", "1 while the device takes requests."), &ON_DEVICE)?,
            scrape: Mutex::new(()),
            registry,
        };
        let r = &metrics.registry;
        r.register(Box::new(metrics.requests.clone()))?;
        r.register(Box::new(metrics.seconds.clone()))?;
        r.register(Box::new(metrics.waited.clone()))?;
        r.register(Box::new(metrics.packets.clone()))?;
        r.register(Box::new(metrics.waiting.clone()))?;
        for counts in &metrics.counts {
            r.register(Box::new(counts.clone()))?;
        }
        for gauges in &metrics.gauges {
            r.register(Box::new(gauges.clone()))?;
        }
        for visits in &metrics.visits {
            r.register(Box::new(visits.clone()))?;
        }
        r.register(Box::new(metrics.ready.clone()))?;
        Ok(metrics)
    }

    /// Those of one program.
    pub fn of(&self, program: &str) -> Meters {
        let labels = &[program];
        Meters {
            ended: Reason::ALL.map(|reason| self.requests.with_label_values(&[program, reason.name()])),
            seconds: self.seconds.with_label_values(labels),
            waited: self.waited.with_label_values(labels),
            waiting: self.waiting.with_label_values(labels),
        }
    }

    /// Those of one program on one device, whose launches the meter counts; a program that is `profiled` counts visits.
    pub fn on_device(&self, program: &str, device: &str, meter: Meter, profiled: bool) -> OnDevice {
        let labels = &[program, device];
        let packets = self.packets.with_label_values(labels);
        let observed = packets.clone();
        meter.observe(move |vms| observed.observe(vms as f64));
        OnDevice {
            meter,
            packets,
            counts: self.counts.each_ref().map(|counts| counts.with_label_values(labels)),
            gauges: self.gauges.each_ref().map(|gauges| gauges.with_label_values(labels)),
            visits: profiled.then(|| self.visits.each_ref().map(|visits| visits.with_label_values(labels))),
            ready: self.ready.with_label_values(labels),
        }
    }

    /// As Prometheus reads them, after those of these programs were brought up to date.
    pub fn text<'a>(&self, programs: impl Iterator<Item = &'a Service>) -> prometheus::Result<String> {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        for Service { queue, devices, .. } in programs {
            queue.meters.waiting.set(queue.len() as i64);
            for (worker, device) in devices.iter().enumerate() {
                device.figures.update(queue.runs(worker));
            }
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl OnDevice {
    fn update(&self, ready: bool) {
        let meter = &self.meter;
        let seconds = [meter.kernel(), meter.transfer(), meter.host_calls()].map(|time| time.as_secs_f64());
        let counts = [meter.launches() as f64, seconds[0], seconds[1], seconds[2]];
        for (counter, now) in self.counts.iter().zip(counts) {
            counter.inc_by((now - counter.get()).max(0.0));
        }
        let Gauges { vms, busy, waiting, device_bytes, pinned_bytes } = meter.now();
        for (gauge, now) in self.gauges.iter().zip([vms, busy, waiting, device_bytes, pinned_bytes]) {
            gauge.set(now as i64);
        }
        let Visits { lanes, warps } = meter.visits();
        for (counter, now) in self.visits.iter().flatten().zip([lanes, warps]) {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        self.ready.set(ready.into());
    }

    /// If the program counts them: visits of VMs, and of warps.
    pub fn visits(&self) -> Option<Visits> {
        self.visits.as_ref().map(|_| self.meter.visits())
    }
}

impl Meters {
    /// How many requests ended so.
    pub fn count(&self, reason: Reason) -> u64 {
        self.ended[reason as usize].get()
    }

    /// So many requests ended whose client has gone.
    pub fn gone(&self, requests: usize) {
        if requests > 0 {
            self.ended[Reason::Gone as usize].inc_by(requests as u64);
        }
    }

    /// A request ended so.
    pub fn ended(&self, reason: Reason) {
        self.ended[reason as usize].inc();
    }
}

/// All of them, or the first error.
fn all<T, const N: usize>(made: [prometheus::Result<T>; N]) -> prometheus::Result<[T; N]> {
    let made: Vec<T> = made.into_iter().collect::<prometheus::Result<_>>()?;
    made.try_into().map_err(|_| prometheus::Error::Msg("one is missing".into()))
}
