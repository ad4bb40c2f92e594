//! Figures of a `map`, as a JSON object in a file.

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use vectorvisor::{Fleet, Summary};

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
    backend: String,
    device: &'a str,
    inputs: usize,
    failed: usize,
    bytes_in: u64,
    bytes_out: u64,
    seconds: f64,
    run_seconds: f64,
    kernel_seconds: f64,
    compile_seconds: f64,
    cached: bool,
    launches: u64,
    reruns: u64,
    vms: usize,
    vms_per_warp: u32,
    lanes: u32,
    cell: u32,
    vm_bytes: u64,
    device_bytes: u64,
}

/// Writes the figures of a run of a command that began at `begin`.
pub fn write(path: &Path, begin: Instant, fleet: &Fleet, summary: &Summary, inputs: Inputs) -> Result<()> {
    let program = fleet.program();
    let (engine, plan) = (program.engine(), &program.meta().plan);
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        backend: format!("{}:{}", engine.backend(), engine.info().index),
        device: &engine.info().name,
        inputs: inputs.done,
        failed: inputs.failed,
        bytes_in: inputs.bytes.0,
        bytes_out: inputs.bytes.1,
        seconds: begin.elapsed().as_secs_f64(),
        run_seconds: summary.elapsed.as_secs_f64(),
        kernel_seconds: summary.kernel.as_secs_f64(),
        compile_seconds: program.compile_time().as_secs_f64(),
        cached: program.cached(),
        launches: summary.launches,
        reruns: summary.reruns,
        vms: fleet.vms(),
        vms_per_warp: summary.vms_per_warp,
        lanes: plan.lanes,
        cell: plan.cell,
        vm_bytes: fleet.vm_memory(),
        device_bytes: fleet.memory(),
    };
    let text = serde_json::to_string_pretty(&stats).context("cannot write the figures")?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write the figures (--stats) {}", path.display()))
}
