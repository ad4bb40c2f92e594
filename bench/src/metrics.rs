//! What a server's `/metrics` tell.

use crate::http::Connection;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A server's figures at one moment.
#[derive(Debug)]
pub struct Metrics {
    /// Sums over programs and devices, by name.
    sums: BTreeMap<String, f64>,
    /// Whether each device takes requests, by name.
    pub ready: BTreeMap<String, bool>,
}

impl Metrics {
    /// Asks a server.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask(address: SocketAddr) -> Result<Self> {
        let (_, text) = Connection::open(address)?.get("/metrics")?;
        Ok(Self::read(&String::from_utf8_lossy(&text)))
    }

    fn read(text: &str) -> Self {
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{")) {
            if let Some((name, value)) = line.rsplit_once(' ') {
                let name = name.split('{').next().unwrap_or_default().to_owned();
                *sums.entry(name).or_insert(0.0) += value.parse::<f64>().unwrap_or(0.0);
            }
        }
        let ready = |line: &str| {
            let rest = line.strip_prefix("vectorvisor_device_ready{device=\"")?;
            Some((rest.split('"').next()?.to_owned(), rest.ends_with(" 1")))
        };
        Self { sums, ready: text.lines().filter_map(ready).collect() }
    }

    /// Where the time of requests went since an earlier moment. Launches and their seconds are sums over devices, whose
    /// launches overlap. `mean_...` is of a request: it waits for its launches, so it has the mean seconds of one, times
    /// how many a request is in.
    pub fn since(&self, before: &Self) -> Value {
        let sum = |name: &str| {
            let name = format!("vectorvisor_{name}");
            self.sums.get(&name).copied().unwrap_or(0.0) - before.sums.get(&name).copied().unwrap_or(0.0)
        };
        let of = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let (requests, launches) = (sum("request_seconds_count"), sum("launches_total"));
        let (kernel, transfer) = (sum("kernel_seconds_total"), sum("transfer_seconds_total"));
        let host_calls = sum("host_call_seconds_total");
        // A launch runs as many VMs as it has; all launches of all requests, for each request.
        let each = of(sum("packet_vms_sum"), requests).unwrap_or(0.0);
        let mean = |seconds: f64| of(seconds, launches).unwrap_or(0.0) * each;
        json!({
            "requests": requests,
            "launches": launches,
            "launches_of_a_request": each,
            "kernel_seconds": kernel,
            "transfer_seconds": transfer,
            "host_call_seconds": host_calls,
            "device_per_second": of(requests, kernel),
            "mean_seconds": of(sum("request_seconds_sum"), requests).unwrap_or(0.0),
            "mean_queue_seconds": of(sum("queue_seconds_sum"), requests).unwrap_or(0.0),
            "mean_kernel_seconds": mean(kernel),
            "mean_transfer_seconds": mean(transfer),
            "mean_host_call_seconds": mean(host_calls),
            "active_lanes": of(sum("lane_visits_total"), sum("warp_visits_total")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_split() {
        let text = |requests: u32, visits: &str| {
            let seconds = f64::from(requests) * 0.5;
            format!(
                "# HELP vectorvisor_request_seconds Seconds.\n\
                 vectorvisor_request_seconds_bucket{{program=\"a\",le=\"1\"}} 7\n\
                 vectorvisor_request_seconds_sum{{program=\"a\"}} {seconds}\n\
                 vectorvisor_request_seconds_count{{program=\"a\"}} {requests}\n\
                 vectorvisor_queue_seconds_sum{{program=\"a\"}} {}\n\
                 vectorvisor_packet_vms_sum{{device=\"cuda:0\",program=\"a\"}} {}\n\
                 vectorvisor_launches_total{{device=\"cuda:0\",program=\"a\"}} {}\n\
                 vectorvisor_launches_total{{device=\"cuda:1\",program=\"a\"}} {}\n\
                 vectorvisor_kernel_seconds_total{{device=\"cuda:0\",program=\"a\"}} {seconds}\n\
                 vectorvisor_host_call_seconds_total{{device=\"cuda:1\",program=\"a\"}} {}\n\
                 vectorvisor_device_ready{{device=\"cuda:0\",program=\"a\"}} 1\n\
                 vectorvisor_device_ready{{device=\"cuda:1\",program=\"a\"}} 0\n{visits}",
                seconds / 4.0,
                requests * 2,
                requests / 10,
                requests / 10,
                seconds / 10.0,
            )
        };
        let counted = "vectorvisor_lane_visits_total{} 90\nvectorvisor_warp_visits_total{} 30\n";
        let (before, after) = (Metrics::read(&text(100, "")), Metrics::read(&text(200, counted)));
        assert_eq!(after.ready, BTreeMap::from([("cuda:0".into(), true), ("cuda:1".into(), false)]));
        let split = after.since(&before);
        // 50 s of kernels in 20 launches, of which a request is in two.
        for (name, value) in [
            ("requests", 100.0),
            ("launches", 20.0),
            ("mean_seconds", 0.5),
            ("mean_queue_seconds", 0.125),
            ("mean_kernel_seconds", 5.0),
            ("mean_host_call_seconds", 0.5),
            ("mean_transfer_seconds", 0.0),
            ("device_per_second", 2.0),
            ("active_lanes", 3.0),
        ] {
            assert_eq!(split[name].as_f64(), Some(value), "{name}: {split}");
        }
        assert!(before.since(&before)["active_lanes"].is_null());
    }
}
