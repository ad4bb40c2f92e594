//! Figures of a `map`, as a JSON object in a file.

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use vectorvisor::{DeviceRun, FilesAt, Fleet, Summary};

/// What the command counted itself.
pub struct Inputs {
    /// Inputs that ended.
    pub done: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Bytes of standard input and output.
    pub bytes: (u64, u64),
}

/// The help of `--stats` says what each is.
#[derive(Serialize)]
struct Stats<'a> {
    version: &'a str,
    #[serde(flatten)]
    device: Option<Device<'a>>,
    inputs: usize,
    failed: usize,
    interpreted: usize,
    bytes_in: u64,
    bytes_out: u64,
    seconds: f64,
    run_seconds: f64,
    kernel_seconds: f64,
    launches: u64,
    reruns: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<OneOfSeveral<'a>>,
}

/// A device and the VMs on it.
#[derive(Serialize)]
struct Device<'a> {
    backend: String,
    device: &'a str,
    compile_seconds: f64,
    cached: bool,
    vms: usize,
    vms_per_warp: u32,
    lanes: u32,
    cell: u32,
    vm_bytes: u64,
    device_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_why: Option<&'a str>,
}

/// What one of several devices did.
#[derive(Serialize)]
struct OneOfSeveral<'a> {
    name: &'a str,
    #[serde(flatten)]
    device: Option<Device<'a>>,
    inputs: usize,
    run_seconds: f64,
    kernel_seconds: f64,
    launches: u64,
    reruns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Device<'a> {
    fn of(fleet: &'a Fleet, summary: &Summary) -> Self {
        let program = fleet.program();
        let (engine, plan) = (program.engine(), &program.meta().plan);
        let files = match program.meta().files {
            FilesAt::Nowhere => None,
            FilesAt::Device => Some("device"),
            FilesAt::Host | FilesAt::Disk => Some("host"),
        };
        Self {
            backend: format!("{}:{}", engine.backend(), engine.info().index),
            device: &engine.info().name,
            compile_seconds: program.compile_time().as_secs_f64(),
            cached: program.cached(),
            vms: fleet.vms(),
            vms_per_warp: summary.vms_per_warp,
            lanes: plan.lanes,
            cell: plan.cell,
            vm_bytes: fleet.vm_memory(),
            device_bytes: fleet.memory(),
            files,
            files_why: fleet.files().filter(|_| files.is_some()).and_then(|files| files.snapshot().err()),
        }
    }
}

/// Writes the figures of a run of a command that began at `begin`.
pub fn write(path: &Path, begin: Instant, fleet: &Fleet, summary: &Summary, inputs: Inputs) -> Result<()> {
    write_all(path, begin, Some(Device::of(fleet, summary)), Vec::new(), summary, inputs)
}

/// The same of a run on several devices.
pub fn write_several(
    path: &Path,
    begin: Instant,
    names: &[String],
    devices: &[DeviceRun],
    summary: &Summary,
    inputs: Inputs,
) -> Result<()> {
    let all = names.iter().zip(devices).map(|(name, run)| OneOfSeveral {
        name,
        device: run.fleet.as_ref().map(|fleet| Device::of(fleet, &run.summary)),
        inputs: run.summary.delivered,
        run_seconds: run.summary.elapsed.as_secs_f64(),
        kernel_seconds: run.summary.kernel.as_secs_f64(),
        launches: run.summary.launches,
        reruns: run.summary.reruns,
        error: run.failed.as_deref(),
    });
    write_all(path, begin, None, all.collect(), summary, inputs)
}

fn write_all(
    path: &Path,
    begin: Instant,
    device: Option<Device<'_>>,
    devices: Vec<OneOfSeveral<'_>>,
    summary: &Summary,
    inputs: Inputs,
) -> Result<()> {
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        device,
        inputs: inputs.done,
        failed: inputs.failed,
        interpreted: summary.interpreted,
        bytes_in: inputs.bytes.0,
        bytes_out: inputs.bytes.1,
        seconds: begin.elapsed().as_secs_f64(),
        run_seconds: summary.elapsed.as_secs_f64(),
        kernel_seconds: summary.kernel.as_secs_f64(),
        launches: summary.launches,
        reruns: summary.reruns,
        devices,
    };
    let text = serde_json::to_string_pretty(&stats).context("cannot write the figures")?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write the figures (--stats) {}", path.display()))
}
