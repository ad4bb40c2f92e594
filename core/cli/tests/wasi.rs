//! The cases of `wasi/cases`: every VM does what Wasmtime does, whose output is recorded there, in folders on a disk and
//! in memory.

mod common;

use common::{folder, missing, text, vv, write};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Numbers from 0, each of which is an input.
const NUMBERS: usize = 33;

fn cases(name: &str) -> String {
    format!("{}/../../wasi/cases/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What is recorded: for each case its name, the hash of all outputs, and that of number 1.
fn expected(program: &str) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(cases(&format!("expected/{program}.txt"))).expect("recorded");
    let parts = text.split("== ").skip(1).map(|part| {
        let (head, first) = part.split_once('\n').expect("a line");
        let (name, hash) = head.split_once(' ').expect("a hash");
        (name.to_string(), hash.to_string(), first.to_string())
    });
    parts.collect()
}

/// Runs all cases of a program with all numbers in these places; all must do what is recorded.
fn as_recorded(backend: &str, program: &str, places: &[&str]) {
    let temp = folder();
    let disk = temp.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    let (given, disk) = (format!("{}::given", cases("given")), format!("{}::disk:rw", disk.display()));
    as_recorded_with(backend, program, places, &["--dir", &given, "--dir", &disk, "--scratch", "16MiB"]);
}

/// The same with a folder that is only read: `copied` to the device, or with the host. One file of it is made here, since
/// tools quote its name in different ways.
fn as_recorded_of_reads(backend: &str, copied: bool) {
    let temp = folder();
    let read = temp.path().join("read");
    let copy = std::process::Command::new("cp").arg("-a").arg(cases("read")).arg(&read).status();
    assert!(copy.expect("there is a cp").success());
    write(read.join("größe"), "wide\n");
    let given = format!("{}::given", read.display());
    let most = if copied { "64MiB" } else { "0" };
    as_recorded_with(backend, "reads", &["disk"], &["--dir", &given, "--dir-copy", most]);
}

fn as_recorded_with(backend: &str, program: &str, places: &[&str], files: &[&str]) {
    if missing(backend) {
        return;
    }
    let (temp, expected) = (folder(), expected(program));
    let mut lines = String::new();
    for place in places {
        for (case, ..) in &expected {
            for number in 0..NUMBERS {
                let args = [case, &number.to_string(), *place];
                lines += &json!({ "args": args, "stdin": format!("input of number {number}\n") }).to_string();
                lines.push('\n');
            }
        }
    }
    let (input, output) = (write(temp.path().join("in.jsonl"), lines), temp.path().join("out.jsonl"));
    let program = cases(&format!("{program}.wasm"));
    let words = ["map", "-q", "--backend", backend, &program, "--in", &input, "--out", text(&output)];
    let ran = vv(&[&words, files].concat());
    let output = fs::read_to_string(output).unwrap_or_else(|e| panic!("{e}\n{}", ran.err));
    let mut outputs = output.lines().map(|line| serde_json::from_str::<HashMap<String, Value>>(line).expect("JSON"));
    for place in places {
        for (case, hash, first) in &expected {
            let mut now = 0xcbf2_9ce4_8422_2325_u64;
            for number in 0..NUMBERS {
                let output = outputs.next().expect("an output of each");
                let of = |name| output.get(name).and_then(Value::as_str).unwrap_or_default();
                let exit = output.get("exit").and_then(Value::as_i64).unwrap_or(255);
                assert!(exit != 255, "{backend} {place} {case} {number}: {}", of("error"));
                if number == 1 && first.len() < 4000 {
                    assert_eq!(of("stdout").trim_end(), first.trim_end(), "{backend} {place} {case}");
                }
                for byte in of("stdout").bytes().chain(of("stderr").bytes()).chain([exit as u8]) {
                    now = (now ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                }
            }
            assert_eq!(format!("{now:016x}"), *hash, "{backend} {place} {case}: not with every number");
        }
    }
}

#[test]
fn calls_do_what_they_do_in_wasmtime() {
    as_recorded("cpu", "calls", &["disk", "memory"]);
}

#[test]
fn programs_do_what_they_do_in_wasmtime() {
    as_recorded("cpu", "library", &["disk", "memory"]);
    as_recorded("cpu", "script", &["disk", "memory"]);
}

#[test]
fn calls_that_only_read_do_what_they_do_in_wasmtime() {
    as_recorded_of_reads("cpu", true);
    as_recorded_of_reads("cpu", false);
}

#[test]
#[ignore = "PoCL compiles it for a minute; ci/wasi runs it"]
fn calls_that_only_read_do_what_they_do_in_wasmtime_on_opencl() {
    as_recorded_of_reads("opencl", true);
    as_recorded_of_reads("opencl", false);
}

#[test]
#[ignore = "PoCL compiles it for a minute; ci/wasi runs it"]
fn calls_do_what_they_do_in_wasmtime_on_opencl() {
    as_recorded("opencl", "calls", &["memory"]);
}

#[test]
#[ignore = "PoCL compiles it for a minute; ci/wasi runs it"]
fn programs_do_what_they_do_in_wasmtime_on_opencl() {
    as_recorded("opencl", "library", &["disk"]);
    as_recorded("opencl", "script", &["disk", "memory"]);
}

#[test]
fn the_older_version_has_its_own_layouts() {
    assert!(Path::new(&cases("given/text")).is_file());
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        let given = format!("{}::given", cases("given"));
        for copy in ["64MiB", "0"] {
            let words = ["run", "--vms", "33", "--backend", backend, "--dir", &given, "--dir-copy", copy];
            let ran = vv(&[&words[..], &[&*cases("unstable.wat")]].concat());
            assert_eq!(ran.code, Some(0), "{backend} {copy}: {}", ran.err);
        }
    }
}
