//! The target "decoder": translates broken and hostile modules, which must cause no panic or crash and take little time
//! and memory.
//!
//! A child process translates the input of one seed after another and prints each seed before it begins. So a stack
//! overflow ends the child and not the fuzzer, and a translation that does not end can be killed.

use crate::{generate, heap, hostile};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use vectorvisor::translate::host::FilesAt;
use vectorvisor::translate::{Alignment, Bounds, Clock, LARGE, Language, Options, Target, Traps, translate};

/// The longest time that translating a module of at most [`LARGEST`] bytes may take.
const TIME: Duration = Duration::from_secs(30);
/// Bytes of the largest input.
const LARGEST: usize = 256 << 10;
/// The most bytes of heap for each byte of input, beyond [`BASE`].
const FACTOR: usize = 64;
/// Bytes of heap that any input may use.
const BASE: usize = 96 << 20;
/// The option by which the child is started; its value is the first seed.
pub const CHILD: &str = "--decoder-child";

/// The input of a seed, and what it is.
pub fn input(seed: u64) -> (String, Vec<u8>) {
    let mut rng = Rng::with_seed(seed);
    let (name, mut bytes) = match rng.u32(..8) {
        0 | 1 => {
            let (name, bytes) = hostile::module(&mut rng);
            (name.into(), bytes)
        }
        2 => {
            let mut bytes = b"\0asm\x01\0\0\0".to_vec();
            bytes.extend((0..rng.usize(..300)).map(|_| rng.u8(..)));
            ("random bytes".into(), bytes)
        }
        _ => {
            let small = rng.u32(..4) != 0;
            match generate::smith(&mut rng, small, 100) {
                Ok((bytes, _)) => mutated(&mut rng, bytes),
                Err(error) => (error, Vec::new()),
            }
        }
    };
    bytes.truncate(LARGEST);
    (name, bytes)
}

/// A valid module with a few changes.
fn mutated(rng: &mut Rng, mut bytes: Vec<u8>) -> (String, Vec<u8>) {
    let original = bytes.clone();
    for _ in 0..rng.usize(..4) {
        let at = rng.usize(..bytes.len());
        match rng.u32(..6) {
            0 => bytes[at] ^= 1 << rng.u32(..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at.max(8)),
            3 => {
                bytes.remove(at);
            }
            // The largest count or index in LEB128.
            4 => {
                bytes.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0x0f]);
            }
            _ => {
                let from = rng.usize(..original.len());
                let length = rng.usize(..64.min(original.len() - from) + 1);
                let end = (at + rng.usize(..64)).min(bytes.len());
                bytes.splice(at..end, original[from..from + length].iter().copied());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    ("a mutated module".into(), bytes)
}

/// The options of a seed.
fn options(seed: u64) -> Options {
    let mut rng = Rng::with_seed(!seed);
    let language = [Language::C, Language::OpenCl, Language::Cuda, Language::Hip][rng.usize(..4)];
    Options {
        target: Target {
            language,
            thread_exit: language != Language::OpenCl,
            clock: [Clock::Device, Clock::Kept, Clock::Asked][rng.usize(..3)],
            cheap_branches: rng.bool(),
            call_paths: (language == Language::OpenCl).then_some(64),
        },
        lanes: 32,
        cell: 8,
        alignment: if rng.bool() { Alignment::Any } else { Alignment::Natural },
        without: BTreeSet::new(),
        with: BTreeSet::new(),
        heap: None,
        stack: 65536,
        native_stack: if rng.bool() { 0 } else { 4096 },
        traps: if rng.bool() { Traps::Sticky } else { Traps::Exact },
        bounds: if rng.bool() { Bounds::Size } else { Bounds::Capacity },
        linked: rng.u32(..8) == 0,
        divide: rng.bool().then_some(LARGE),
        keep: rng.bool(),
        interpret: rng.u32(..4) == 0,
        force_framed: rng.u32(..4) == 0,
        usual_targets: Default::default(),
        profile: rng.u32(..8) == 0,
        files: [FilesAt::Nowhere, FilesAt::Device, FilesAt::Host, FilesAt::Disk][rng.usize(..4)],
        roots: Vec::new(),
    }
}

/// Translates a module; returns what went wrong.
fn wrong(bytes: &[u8], options: &Options) -> Option<String> {
    let mut panic = None;
    let begin = Instant::now();
    let most = heap::most(|| panic = catch_unwind(AssertUnwindSafe(|| drop(translate(bytes, options)))).err());
    let allowed = FACTOR * bytes.len() + BASE;
    if let Some(panic) = panic {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| t.to_string()));
        return Some(format!("it panics: {}", text.unwrap_or_default()));
    }
    if most > allowed {
        return Some(format!("it takes {most} bytes of memory, more than {allowed}"));
    }
    let took = begin.elapsed();
    (took > TIME).then(|| format!("it takes {took:.1?}"))
}

/// The child: translates the inputs from a seed on, for ever. Prints `SEED` before each, and `SEED REASON` after a bad
/// one.
pub fn child(first: u64) -> ! {
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = std::io::stdout().lock();
    for seed in first.. {
        let (_, bytes) = input(seed);
        let begun = writeln!(out, "{seed}");
        let reason = wrong(&bytes, &options(seed));
        let reported = reason.map_or(Ok(()), |reason| writeln!(out, "{seed} {}", reason.replace('\n', " ")));
        // The parent process has ended.
        if begun.and(reported).and(out.flush()).is_err() {
            break;
        }
    }
    std::process::exit(0)
}

/// The results of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub inputs: u64,
    /// Seed and reason of each bad one.
    pub bad: Vec<(u64, String)>,
}

/// Runs the inputs of `count` seeds from `first` on, or as many as `time` allows.
///
/// # Errors
/// The program cannot start itself.
pub fn run(first: u64, count: u64, time: Duration) -> Result<Report, String> {
    let end = Instant::now() + time;
    let mut report = Report::default();
    let mut seed = first;
    let last = first.saturating_add(count);
    while seed < last && Instant::now() < end {
        let (mut process, lines) = start(seed).map_err(|e| format!("the decoder's child process: {e}"))?;
        let reason = watch(&lines, &mut seed, last, end, &mut report);
        // An error means that the child has ended already.
        let _ = process.kill();
        let status = process.wait().map_err(|e| e.to_string())?;
        if let Some(reason) = reason {
            report.bad.push((seed, reason.unwrap_or_else(|| format!("it ends the process: {status}"))));
            seed += 1;
        }
    }
    report.inputs = seed - first;
    Ok(report)
}

/// Reads a child's output until the run ends (`None`) or the child must be replaced: `Some` with the reason, or
/// `Some(None)` if it has crashed.
fn watch(
    lines: &Receiver<String>,
    seed: &mut u64,
    last: u64,
    end: Instant,
    report: &mut Report,
) -> Option<Option<String>> {
    // Longer than the child's own limit, which gives a better report if the child is still alive.
    let limit = TIME + Duration::from_secs(5);
    loop {
        match lines.recv_timeout(limit) {
            Ok(line) => match line.split_once(' ') {
                Some((_, reason)) => report.bad.push((*seed, reason.into())),
                None => {
                    *seed = line.parse().unwrap_or(*seed);
                    if *seed >= last || Instant::now() >= end {
                        return None;
                    }
                }
            },
            Err(RecvTimeoutError::Timeout) => return Some(Some(format!("it has not ended after {limit:?}"))),
            Err(RecvTimeoutError::Disconnected) => return Some(None),
        }
    }
}

fn start(seed: u64) -> std::io::Result<(Child, Receiver<String>)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg(CHILD).arg(seed.to_string()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (sender, lines) = channel();
    let read =
        move |out: ChildStdout| BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| sender.send(l));
    if let Some(out) = child.stdout.take() {
        std::thread::spawn(move || read(out));
    }
    Ok((child, lines))
}
