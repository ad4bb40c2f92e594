//! Figures for Prometheus.

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

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
    const ALL: [Self; 13] = [
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
    requests: IntCounterVec,
    seconds: HistogramVec,
    waited: HistogramVec,
    waiting: IntGaugeVec,
    launches: IntGaugeVec,
    kernel: GaugeVec,
}

/// The figures of one program.
pub struct Meters {
    /// Requests by how they ended, in the order of [`Reason`].
    ended: [IntCounter; Reason::ALL.len()],
    /// Seconds from a request to its answer.
    pub seconds: Histogram,
    /// Seconds that a request waited for a VM.
    pub waited: Histogram,
    /// Requests that wait.
    pub waiting: IntGauge,
    /// Launches of the program's kernel.
    pub launches: IntGauge,
    /// Seconds of the device in them.
    pub kernel: Gauge,
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
            waiting: IntGaugeVec::new(opts("queue_length", "Requests that wait for a VM."), &["program"])?,
            launches: IntGaugeVec::new(opts("launches_total", "Launches of the program's kernel."), &["program"])?,
            kernel: GaugeVec::new(opts("kernel_seconds_total", "Seconds of the device in them."), &["program"])?,
            registry,
        };
        let r = &metrics.registry;
        r.register(Box::new(metrics.requests.clone()))?;
        r.register(Box::new(metrics.seconds.clone()))?;
        r.register(Box::new(metrics.waited.clone()))?;
        r.register(Box::new(metrics.waiting.clone()))?;
        r.register(Box::new(metrics.launches.clone()))?;
        r.register(Box::new(metrics.kernel.clone()))?;
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
            launches: self.launches.with_label_values(labels),
            kernel: self.kernel.with_label_values(labels),
        }
    }

    /// As Prometheus reads them.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Meters {
    /// A request ended so.
    pub fn ended(&self, reason: Reason) {
        self.ended[reason as usize].inc();
    }
}
