//! Small programs whose right answers are known (Wasmtime's, where it runs them): each in 33 VMs, so two tiles, with
//! both modes of traps, as it is and framed, on `cpu`. On OpenCL, whose compiler takes seconds, each runs in two of the
//! four ways: half of the programs in the one pair, half in the other.
//!
//! A program in `cases/` says what is expected of it in lines that begin with `;;!`:
//!
//! | Key | Meaning |
//! |---|---|
//! | `invoke`, `args` | `run` calls this export with these arguments; without it `map` gives each VM its own standard input |
//! | `stdin` | that input; `input {n}` unless said |
//! | `value` | what the export returns |
//! | `exit`, `stdout`, `stderr`, `error`, `note` | what a line of `map` says; `exit` is 0 unless there is an `error`; a part of `error` and `note` will do |
//! | `KEY-odd` | the same for VMs of odd number, where they differ |
//! | `options` | more options, in front of the program |
//! | `says` | a part of what the command writes on standard error |
//! | `seconds` | how long it may take at most, 60 unless said: far more than it needs, for what would never end |
//!
//! `{n}` stands for the VM's number; `\n` and `\\` are as in C.

mod common;

use common::{Ran, ended, folder, missing, start, text, write};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const VMS: usize = 33;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

macro_rules! cases {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        mod cpu { $(#[test] fn $name() { super::case("cpu", stringify!($name)); })* }
        mod opencl { $(#[test] fn $name() { super::case("opencl", stringify!($name)); })* }
    };
}
cases! {
    deep_nesting
    else_if_400
    errnos
    events_answer
    events_end
    events_keep
    global_constants
    half_done
    heap_refused
    named_memcpy
    poll
    recursion_10000
    spin_clock
    start_alone
    start_exits
    start_loops
    start_reads
    start_traps
    unstable
    work_for_ever
    write_one
}

#[test]
fn every_case_is_tested() {
    let mut files: Vec<_> = fs::read_dir(cases())
        .expect("cases")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8").replace(".wat", ""))
        .collect();
    let mut names = NAMES.to_vec();
    files.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, files);
}

struct Case {
    keys: BTreeMap<String, String>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let program = fs::read_to_string(path).expect("a case");
        let lines = program.lines().filter_map(|line| line.strip_prefix(";;!"));
        let pair = |line: &str| {
            let (key, value) = line.split_once(':').expect("key: value");
            (key.trim().to_owned(), unescaped(value.trim()))
        };
        Self { keys: lines.map(pair).collect() }
    }

    fn get(&self, key: &str, n: usize) -> Option<String> {
        let odd = if n % 2 == 1 { self.keys.get(&format!("{key}-odd")) } else { None };
        odd.or_else(|| self.keys.get(key)).map(|value| value.replace("{n}", &n.to_string()))
    }
}

fn unescaped(value: &str) -> String {
    value.replace("\\\\", "\0").replace("\\n", "\n").replace('\0', "\\")
}

fn case(backend: &str, name: &str) {
    if missing(backend) {
        return;
    }
    let path = cases().join(format!("{name}.wat"));
    let case = Case::read(&path);
    let temp = folder();
    let inputs: String = (0..VMS)
        .map(|n| {
            let stdin = case.get("stdin", n).unwrap_or_else(|| format!("input {n}"));
            format!("{}\n", serde_json::json!({ "stdin": stdin }))
        })
        .collect();
    let inputs = write(temp.path().join("in.jsonl"), inputs);
    let options = case.get("options", 0).unwrap_or_default();
    let arguments = case.get("args", 0).unwrap_or_default();
    let number = NAMES.iter().position(|other| *other == name).expect("a case");
    for (i, traps) in ["sticky", "exact"].into_iter().enumerate() {
        for (j, framed) in [&[][..], &["--force-framed"]].into_iter().enumerate() {
            if backend == "opencl" && (i + j + number) % 2 == 1 {
                continue;
            }
            let mut words = vec!["--backend", backend, "--lanes", "32", "--traps", traps];
            words.extend(framed);
            words.extend(options.split_whitespace());
            let invoke = case.get("invoke", 0);
            if let Some(invoke) = &invoke {
                words.splice(0..0, ["run", "--vms", "33", "--all", "--invoke", invoke]);
                words.push(text(&path));
                words.extend(arguments.split_whitespace());
            } else {
                words.splice(0..0, ["map", "--in", &inputs, "--out", "-"]);
                words.push(text(&path));
            }
            let seconds = case.get("seconds", 0).map_or(60, |s| s.parse().expect("seconds"));
            let ran = within(Duration::from_secs(seconds), &words);
            let shown = format!("{words:?}: {:?}\n{}{}", ran.code, ran.out, ran.err);
            if let Some(says) = case.get("says", 0) {
                assert!(ran.err.contains(&says), "{shown}");
            }
            match invoke {
                Some(_) => called(&case, &ran, &shown),
                None => mapped(&case, &ran, &shown),
            }
        }
    }
}

/// What `run --all` printed.
fn called(case: &Case, ran: &Ran, shown: &str) {
    let value = |n| case.get("value", n).map(|value| format!("[{n}] {value}\n"));
    let want: String = (0..VMS).filter_map(value).collect();
    assert_eq!(ran.out, want, "{shown}");
    if let Some(error) = case.get("error", 0) {
        assert!(ran.err.contains(&error), "{shown}");
    }
    let code = if case.keys.contains_key("error") { 134 } else { 0 };
    assert_eq!(ran.code, Some(code), "{shown}");
}

/// What `map` wrote.
fn mapped(case: &Case, ran: &Ran, shown: &str) {
    assert_eq!(ran.out.lines().count(), VMS, "{shown}");
    for (n, line) in ran.out.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).expect(shown);
        let field = |key: &str| line.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        match case.get("error", n) {
            Some(error) => assert!(field("error").contains(&error), "{error}: {shown}"),
            None => {
                let exit = case.get("exit", n).map_or(0, |code| code.parse().expect("a number"));
                assert_eq!(line.get("exit").and_then(serde_json::Value::as_i64), Some(exit), "{shown}");
                assert_eq!(field("stdout"), case.get("stdout", n).unwrap_or_default(), "{shown}");
            }
        }
        let (note, want) = (field("note"), case.get("note", n).unwrap_or_default());
        assert!(note.contains(&want) && note.is_empty() == want.is_empty(), "{note}: {shown}");
        assert_eq!(field("stderr"), case.get("stderr", n).unwrap_or_default(), "{shown}");
    }
}

/// Runs the command, which must end in time.
fn within(most: Duration, words: &[&str]) -> Ran {
    let mut child = start(words);
    let _ = child.stdin.take().expect("a pipe").flush();
    let (pid, begun) = (child.id(), Instant::now());
    let (done, ends) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = ends.recv_timeout(most) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        late
    });
    let ran = ended(child);
    drop(done);
    let late = watch.join().expect("the watch");
    assert!(!late, "{words:?} did not end within {most:?}, {:?}", begun.elapsed());
    ran
}
