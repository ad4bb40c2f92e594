//! `--progress json`: progress for programs, as JSON lines on standard error.

use anyhow::{Context, Result};
use serde::Serialize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use vectorvisor::Stage;

/// From one line to the next, if something changed, and if nothing did.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(1);

/// Writes the lines, by a thread, until it is dropped.
pub struct Feed {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    began: Instant,
    running: Option<Instant>,
    line: Line,
    changed: bool,
    ended: bool,
}

#[derive(Serialize)]
struct Line {
    done: usize,
    failed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    seconds: f64,
    per_second: f64,
    now: &'static str,
}

impl Feed {
    /// Begins.
    pub fn new() -> Result<Self> {
        let line = Line { done: 0, failed: 0, total: None, seconds: 0.0, per_second: 0.0, now: "starting" };
        let state = State { began: Instant::now(), running: None, line, changed: true, ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new() });
        let write = shared.clone();
        let thread = thread::Builder::new().name("progress".into()).spawn(move || write.lines());
        Ok(Self { shared, thread: Some(thread.context("cannot start the thread that tells progress")?) })
    }

    /// The program is being prepared.
    pub fn stage(&self, stage: &Stage<'_>) {
        self.shared.change(|state| match stage {
            Stage::Translating => state.line.now = "translating",
            Stage::Compiling { .. } => state.line.now = "compiling",
            Stage::Loading { .. } => state.line.now = "loading",
            Stage::Autotuning { .. } => state.line.now = "autotuning",
            Stage::Autotuned { .. } => state.line.now = "running",
            // It runs.
            Stage::Interpreting | Stage::Warning(_) => {}
        });
    }

    /// Inputs begin to run.
    pub fn begin(&self, total: Option<usize>) {
        self.shared.change(|state| {
            (state.line.now, state.line.total, state.running) = ("running", total, Some(Instant::now()));
        });
    }

    /// So many are done.
    pub fn step(&self, done: usize, failed: usize) {
        // Also after a compilation during the run.
        self.shared.change(|state| (state.line.done, state.line.failed, state.line.now) = (done, failed, "running"));
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.change(|state| (state.line.now, state.ended) = ("ended", true));
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.changed = true;
    }

    /// What the thread does.
    fn lines(&self) {
        let mut state = self.state();
        let mut told: Option<Instant> = None;
        loop {
            if state.ended || state.changed || told.is_none_or(|told| told.elapsed() >= LATEST) {
                state.changed = false;
                let (text, ended) = (state.text(), state.ended);
                // Standard error may be a pipe that is full.
                drop(state);
                super::line(&text);
                if ended {
                    return;
                }
                told = Some(Instant::now());
                state = self.state();
            }
            // Not sooner, whatever changes meanwhile.
            let waited = self.ended.wait_timeout_while(state, SOONEST, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn text(&mut self) -> String {
        let thousandths = |number: f64| (number * 1e3).round() / 1e3;
        let running = self.running.map_or(0.0, |since| since.elapsed().as_secs_f64());
        self.line.seconds = thousandths(self.began.elapsed().as_secs_f64());
        self.line.per_second = if running > 0.0 { thousandths(self.line.done as f64 / running) } else { 0.0 };
        // Numbers and short words always can be written.
        serde_json::to_string(&self.line).unwrap_or_default()
    }
}
