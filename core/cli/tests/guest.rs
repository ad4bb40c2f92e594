//! Programs that serve requests in a loop, made with the SDK and its bindings: in 33 VMs, on `cpu` and OpenCL.

mod common;

use common::{folder, missing, vv, write};
use std::path::Path;

/// Runs 33 requests, each a line of its own, with fresh or kept state, and compares answers or errors.
fn serves(
    backend: &str,
    states: &[&str],
    program: &str,
    request: fn(usize) -> String,
    answer: fn(usize) -> Result<String, &'static str>,
) {
    if missing(backend) {
        return;
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wasi/guest").join(program);
    let program = program.to_str().expect("UTF-8");
    let temp = folder();
    let lines: String = (0..33).map(|n| format!("{}\n", serde_json::json!({ "stdin": request(n) }))).collect();
    let inputs = write(temp.path().join("in.jsonl"), lines);
    for state in states {
        let words = ["map", "--backend", backend, "--lanes", "32", "--state", state, "--in", &inputs, "--out", "-"];
        let ran = vv(&[&words[..], &[program]].concat());
        assert_eq!(ran.out.lines().count(), 33, "{}", ran.err);
        for (n, line) in ran.out.lines().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            match answer(n) {
                Ok(text) => assert_eq!((&line["exit"], &line["stdout"]), (&0.into(), &text.into()), "{n}, {state}"),
                Err(why) => assert!(line["error"].as_str().is_some_and(|error| error.contains(why)), "{line}"),
            }
        }
    }
}

/// The SDK: a value that is not one is answered, one that is too long is refused.
fn means(backend: &str) {
    let request = |n| match n {
        5 => "nonsense".to_string(),
        6 => "7".repeat(70_000),
        n => format!("{{\"numbers\": [{n}, {n}, {n}]}}"),
    };
    serves(backend, &["fresh"], "examples/means.wasm", request, |n| match n {
        5 => Ok(r#"{"error":"expected ident at line 1 column 2"}"#.into()),
        6 => Err("longer than the 65536 bytes"),
        n => Ok(format!("{{\"mean\":{n}.0,\"deviation\":0.0}}")),
    });
}

fn histogram(backend: &str) {
    let answer = |n| Ok(if n == 0 { String::new() } else { format!("97 {n}\n98 {}\n", 2 * n) });
    // PoCL takes long to compile each.
    let states = if backend == "cpu" { &["fresh", "keep"][..] } else { &["keep"] };
    serves(backend, states, "bindings/c/histogram.wasm", |n| "abb".repeat(n), answer);
}

fn reverse(backend: &str) {
    serves(
        backend,
        &["keep"],
        "bindings/assemblyscript/reverse.wasm",
        |n| format!("{n} two three"),
        |n| Ok(format!("three two {n}")),
    );
}

macro_rules! on {
    ($($backend:ident: $($guest:ident)*;)*) => {
        $(mod $backend {
            $(#[test]
            fn $guest() { super::$guest(stringify!($backend)); })*
        })*
    };
}
// PoCL takes half a minute to compile the one in Rust.
on! {
    cpu: means histogram reverse;
    opencl: histogram reverse;
}
