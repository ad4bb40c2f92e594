//! What the user reads on standard error: progress, traps, failures.

mod feed;

use anyhow::Result;
use feed::Feed;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};
use vectorvisor::{End, Measured, Outcome, Place, Program, Stage, TrapKind, Tuning};

/// Silence before the first plain progress line, and between two of them.
const PLAIN: Duration = Duration::from_secs(2);
/// Most failures that a list shows.
const SHOWN: usize = 10;
/// Most lines of a guest's standard error that a list shows.
const SHOWN_LINES: usize = 3;

/// Writes a line to standard error, and ignores that it may be closed.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error and its causes, each once: some messages already contain their cause.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            _ = write!(text, ": {cause}");
        }
    }
    text
}

/// A text of several lines as one.
pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// A count with its noun in singular or plural.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Like [`line`], unless `quiet`.
pub fn note(quiet: bool, text: &str) {
    if !quiet {
        line(&format!("vectorvisor: {text}"));
    }
}

/// Beside a failure: says that the program opens files, if it was given none.
pub fn hint_of_files(quiet: bool, program: &Program, files: bool) {
    if program.meta().opens_files && !files {
        note(
            quiet,
            "the program can open files, and was given none; --dir HOST gives it a folder, --scratch SIZE an empty one",
        );
    }
}

/// A bar on a terminal, a line now and then elsewhere, nothing with `--quiet`.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
    plain: bool,
    started: Instant,
    told: Instant,
    total: Option<usize>,
    done: usize,
    feed: Option<Feed>,
    /// Inputs run.
    begun: bool,
}

impl Progress {
    /// Shows nothing yet. Without `shown` it prints notes, but no progress.
    pub fn new(quiet: bool, shown: bool) -> Self {
        let (terminal, shown) = (std::io::stderr().is_terminal(), shown && !quiet);
        let target = if !shown || !terminal { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        let now = Instant::now();
        Self {
            bar,
            quiet,
            plain: shown && !terminal,
            started: now,
            told: now,
            total: None,
            done: 0,
            feed: None,
            begun: false,
        }
    }

    /// Tells it as JSON lines, also if `quiet`, until this is dropped.
    pub fn json(quiet: bool) -> Result<Self> {
        Ok(Self { feed: Some(Feed::new()?), ..Self::new(quiet, false) })
    }

    /// The program is being prepared.
    pub fn stage(&mut self, stage: Stage<'_>) {
        self.stage_of(None, stage);
    }

    /// The program is being prepared for one of several devices.
    pub fn stage_of(&mut self, device: Option<&str>, stage: Stage<'_>) {
        // Of several devices some may run already.
        if let Some(feed) = self.feed.as_ref().filter(|_| !self.begun || device.is_none()) {
            feed.stage(&stage);
        }
        let named = |text: String| device.map_or(text.clone(), |name| format!("{name}: {text}"));
        let text = match stage {
            Stage::Translating => "translating".to_string(),
            Stage::Compiling { done, total } => format!("compiling, unit {done} of {total}"),
            Stage::Loading { .. } => "loading".to_string(),
            Stage::Interpreting => "interpreting while it is compiled".to_string(),
            // Keeps the bar of the inputs.
            Stage::Autotuning { done, total } => {
                return self.tell(named(format!("trying memory layouts, {done} of {total} done")));
            }
            Stage::Autotuned { candidates, chosen, remembered } => {
                self.bar.set_message("");
                return self.bar.suspend(|| note(self.quiet, &named(autotuned(candidates, chosen, remembered))));
            }
            Stage::Warning(text) => return self.bar.suspend(|| note(self.quiet, &named(text.into()))),
        };
        // Of several devices some may run already.
        if !self.begun {
            self.bar.set_style(ProgressStyle::default_spinner());
        }
        self.tell(named(text));
    }

    /// Inputs begin to run.
    pub fn begin(&mut self, total: Option<usize>) {
        (self.total, self.begun) = (total, true);
        if let Some(feed) = &self.feed {
            feed.begin(total);
        }
        if let Some(total) = total {
            self.bar.set_length(total as u64);
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {elapsed}, {eta} left  {msg}");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        } else {
            let style = ProgressStyle::with_template("{spinner} {pos} done  {elapsed}  {msg}");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        }
        self.bar.set_message("");
        self.bar.reset_elapsed();
        self.started = Instant::now();
        self.told = self.started;
    }

    /// One more input has ended.
    pub fn step(&mut self, failures: usize) {
        self.done += 1;
        if let Some(feed) = &self.feed {
            feed.step(self.done, failures);
        }
        self.bar.inc(1);
        if failures > 0 {
            self.bar.set_message(format!("{failures} failed"));
        }
        if self.plain && self.told.elapsed() >= PLAIN {
            let of = self.total.map(|n| format!(" of {n}")).unwrap_or_default();
            let failed = if failures > 0 { format!(", {failures} failed") } else { String::new() };
            self.tell(format!("{}{of} inputs done{failed}", self.done));
        }
    }

    /// So many failed in the end.
    pub fn failed(&self, failures: usize) {
        if let Some(feed) = &self.feed {
            feed.step(self.done, failures);
        }
    }

    /// Calls `print` while the bar is hidden.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Tells no more as JSON lines.
    pub fn close(&mut self) {
        self.feed = None;
    }

    /// Takes the bar away; the time since [`Progress::begin`].
    pub fn end(&self) -> Duration {
        self.bar.finish_and_clear();
        self.started.elapsed()
    }

    fn tell(&mut self, text: String) {
        if self.plain && self.told.elapsed() >= PLAIN {
            line(&format!("vectorvisor: {text}"));
            self.told = Instant::now();
        }
        self.bar.set_message(text);
        self.bar.tick();
    }
}

/// The result of autotuning.
fn autotuned(candidates: &[Measured], chosen: Tuning, remembered: bool) -> String {
    let each = candidates.iter().map(|(tuning, time)| match time {
        Ok(time) => format!("{tuning}: {:.3} ms", time.as_secs_f64() * 1e3),
        Err(why) => format!("{tuning}: {why}"),
    });
    let tried = each.collect::<Vec<_>>().join(", ");
    let [(present, _), others @ ..] = candidates else { return tried };
    if others.is_empty() {
        return format!(
            "{tried} in the kernel, too little to tell memory layouts apart, so no other is tried; give more VMs or longer inputs"
        );
    }
    let chosen = if chosen == *present {
        format!("none is clearly faster than {chosen}, which stays")
    } else {
        format!("{chosen} is clearly faster, and used from here on")
    };
    let later = if remembered { "remembered for later runs" } else { "not remembered" };
    format!("tried {tried}; {chosen} ({later})")
}

/// Why an input failed, and what may help; `None` if it ended with exit code 0.
pub fn failure(outcome: &Outcome) -> Option<String> {
    let why = why(&outcome.end)?;
    Some(match advice(outcome) {
        Some(advice) => format!("{why}\n    {advice}"),
        None => why,
    })
}

/// A hint for a program that failed with an error of its own.
pub fn advice(outcome: &Outcome) -> Option<String> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    if let End::Trap(trap) = &outcome.end
        && trap.kind == TrapKind::StackExhausted
        && let Some(bytes) = outcome.stack_at
    {
        let mib = mib(bytes);
        return Some(format!(
            "the device had no memory for call stacks of more than {mib} MiB, whatever --stack allows; try fewer --vms"
        ));
    }
    let bytes = outcome.refused_at.filter(|_| outcome.end != End::Exit(0))?;
    let mib = mib(bytes);
    Some(format!("memory.grow was refused: a VM's memory grows to {mib} MiB at most; a larger --heap allows more"))
}

fn why(end: &End) -> Option<String> {
    match end {
        End::Exit(0) => None,
        End::Exit(code) => Some(format!("exit code {code}")),
        End::Trap(trap) => {
            let near = if trap.exact { "at" } else { "at or before" };
            let advice = if trap.kind == TrapKind::StackExhausted {
                "; raise --stack if it does not recurse for ever"
            } else {
                ""
            };
            Some(format!("wasm trap: {}{advice}{}", trap.kind.text(), place(&trap.place, near)))
        }
        End::OutOfFuel(at) => Some(format!("stopped: all fuel consumed; raise --fuel{}", place(at, "near"))),
        End::Timeout(at) => Some(format!("stopped: out of time; raise --timeout{}", place(at, "near"))),
        End::TooLong { .. } => Some(end.to_string()),
        End::Failed(why) => Some(why.clone()),
    }
}

/// The function and the offset in the wasm file, on a line of their own.
fn place(place: &Place, near: &str) -> String {
    let function = match (&place.function, place.function_index) {
        (Some(name), Some(index)) => format!("in `{name}` (function {index})"),
        (Some(name), None) => format!("in `{name}`"),
        (None, Some(index)) => format!("in function {index}"),
        (None, None) => String::new(),
    };
    let offset = place.offset.map(|o| format!("{near} wasm offset {o:#x}")).unwrap_or_default();
    let comma = if function.is_empty() || offset.is_empty() { "" } else { ", " };
    let text = format!("{function}{comma}{offset}");
    if text.is_empty() { text } else { format!("\n    {text}") }
}

/// Says for VMs that failed alike which ones and why: `VM 3 and 17 more: wasm trap: …`. First VM -> why, how many.
pub fn failed_vms(groups: BTreeMap<usize, (String, usize)>, vms: usize) {
    let kinds = groups.len();
    for (first, (why, count)) in groups.into_iter().take(SHOWN) {
        line(&match count {
            _ if vms == 1 => format!("vectorvisor: {why}"),
            1 => format!("vectorvisor: VM {first}: {why}"),
            n if n == vms => format!("vectorvisor: all {n} VMs: {why}"),
            n => format!("vectorvisor: VM {first} and {} more: {why}", n - 1),
        });
    }
    if kinds > SHOWN {
        line(&format!("vectorvisor: … and {} more kinds of failure", kinds - SHOWN));
    }
}

/// The failures of a `map`: how many, and the first few by number of the input.
#[derive(Default)]
pub struct Failures {
    /// How many.
    pub count: usize,
    shown: BTreeMap<usize, String>,
}

impl Failures {
    /// One more.
    pub fn add(&mut self, index: usize, name: &str, why: &str, stderr: &[u8]) {
        self.count += 1;
        let late = self.shown.last_key_value().is_some_and(|(last, _)| self.shown.len() >= SHOWN && index > *last);
        if late {
            return;
        }
        let mut text = format!("  {name}: {}", why.replace('\n', "\n  "));
        let said = String::from_utf8_lossy(stderr);
        let mut lines = said.lines();
        for line in lines.by_ref().take(SHOWN_LINES) {
            _ = write!(text, "\n      | {line}");
        }
        if lines.next().is_some() {
            text.push_str("\n      | …");
        }
        self.shown.insert(index, text);
        if self.shown.len() > SHOWN {
            self.shown.pop_last();
        }
    }

    /// Prints the list, if there is one.
    pub fn print(&self, done: usize) {
        if self.count == 0 {
            return;
        }
        line(&format!("vectorvisor: {} of {done} inputs failed:", self.count));
        for text in self.shown.values() {
            line(text);
        }
        if self.count > self.shown.len() {
            line(&format!("  … and {} more", self.count - self.shown.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failures_are_kept() {
        let mut failures = Failures::default();
        for index in (0..30).rev() {
            failures.add(index, &format!("f{index}"), "exit code 3", b"one\ntwo\nthree\nfour\n");
        }
        assert_eq!(failures.count, 30);
        assert_eq!(failures.shown.keys().copied().collect::<Vec<_>>(), (0..SHOWN).collect::<Vec<_>>());
        assert_eq!(failures.shown[&0], "  f0: exit code 3\n      | one\n      | two\n      | three\n      | …");
    }
}
