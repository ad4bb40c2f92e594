//! What people see: a page that shows the state of the server, and that state as JSON.

use crate::metrics::Reason;
use crate::{Member, Server, Service};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use prometheus::core::Metric as _;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The page: one file that asks for the state and needs nothing else.
const PAGE: &str = include_str!("page.html");
/// Errors that are kept, and bytes of the reason of one.
const KEPT: usize = 20;
const LONGEST: usize = 500;

/// The last requests that failed.
#[derive(Debug, Default)]
pub struct Errors(Mutex<VecDeque<Value>>);

impl Errors {
    pub fn add(&self, program: &str, request: &str, reason: Reason, why: &str) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let why = &why[..why.floor_char_boundary(LONGEST)];
        let error =
            json!({ "time": time, "program": program, "request": request, "reason": reason.name(), "why": why });
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.truncate(KEPT - 1);
        errors.push_front(error);
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The page for a browser, and the state for others.
pub fn page(server: &Server, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut response = match accepted.into_iter().any(|types| types.contains("text/html")) {
        true => Html(PAGE).into_response(),
        false => {
            let kind = (header::CONTENT_TYPE, "application/json");
            ([kind], format!("{}\n", state(server))).into_response()
        }
    };
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    response
}

fn state(server: &Server) -> Value {
    let programs: Vec<Value> = server.services.iter().map(|(name, service)| of_program(name, service)).collect();
    json!({
        "seconds": server.begun.elapsed().as_secs_f64(),
        "device": models(server),
        "programs": programs,
        "errors": server.errors.all(),
    })
}

/// What vendors call the devices, each with how many there are.
fn models(server: &Server) -> String {
    let mut models: Vec<(&str, usize)> = Vec::new();
    let devices = server.services.values().next().into_iter().flat_map(|service| &service.devices);
    // Further fleets of a device have its name and a number.
    for device in devices.filter(|device| !device.name.contains(" (no. ")) {
        match models.iter_mut().find(|(model, _)| *model == device.model) {
            Some((_, count)) => *count += 1,
            None => models.push((&device.model, 1)),
        }
    }
    let text =
        |(model, count): &(&str, usize)| if *count == 1 { model.to_string() } else { format!("{count} × {model}") };
    models.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn of_device(device: &Member, ready: bool) -> Value {
    let (meter, now, visits) = (&device.figures.meter, device.figures.meter.now(), device.figures.visits());
    json!({
        "name": device.name,
        "ready": ready,
        "vms": now.vms,
        "vms_busy": now.busy,
        "vms_waiting": now.waiting,
        "launches": meter.launches(),
        "launched_vms": device.figures.packets.get_sample_sum(),
        "kernel_seconds": meter.kernel().as_secs_f64(),
        "device_bytes": now.device_bytes,
        "pinned_bytes": now.pinned_bytes,
        "lane_visits": visits.map(|visits| visits.lanes),
        "warp_visits": visits.map(|visits| visits.warps),
    })
}

fn of_program(name: &str, service: &Service) -> Value {
    let Service { queue, devices, .. } = service;
    let meters = &queue.meters;
    let requests: serde_json::Map<String, Value> =
        Reason::ALL.iter().map(|reason| (reason.name().into(), meters.count(*reason).into())).collect();
    let latency = meters.seconds.metric();
    let latency = latency.get_histogram();
    let bounds: Vec<f64> = latency.get_bucket().iter().map(|bucket| bucket.upper_bound()).collect();
    let mut before = 0;
    let up_to = latency.get_bucket().iter().map(|bucket| bucket.cumulative_count()).chain([latency.get_sample_count()]);
    let counts: Vec<u64> = up_to.map(|all| all.saturating_sub(std::mem::replace(&mut before, all))).collect();
    let devices: Vec<Value> =
        devices.iter().enumerate().map(|(worker, device)| of_device(device, queue.runs(worker))).collect();
    json!({
        "name": name,
        "ready": queue.ready(),
        "queue": queue.len(),
        "requests": requests,
        "latency": { "bounds": bounds, "counts": counts },
        "devices": devices,
    })
}
