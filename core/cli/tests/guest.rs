//! Programs that serve requests in a loop, made with the SDK and its bindings: in 33 VMs, on `cpu`, OpenCL and HIP.

mod common;

use common::{folder, missing, vv, write};
use std::path::Path;

/// A file beside the SDK.
fn path(program: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wasi/guest").join(program);
    path.to_str().expect("UTF-8").into()
}

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
    let program = path(program);
    let temp = folder();
    let lines: String = (0..33).map(|n| format!("{}\n", serde_json::json!({ "stdin": request(n) }))).collect();
    let inputs = write(temp.path().join("in.jsonl"), lines);
    for state in states {
        let words = ["map", "--backend", backend, "--lanes", "32", "--state", state, "--in", &inputs, "--out", "-"];
        let ran = vv(&[&words[..], &[&program]].concat());
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

/// What VMs of a tile have passed meanwhile none of them sees: all end, rightly.
fn barriers(backend: &str) {
    let request = |n| format!("{} of {n}", n % 7);
    serves(backend, &["fresh", "keep"], "../../core/cli/tests/guests/barriers.wat", request, |n| {
        Ok(format!("{} of {n}", n % 7))
    });
}

/// All that a handler does is in direct functions.
#[test]
fn only_the_way_to_the_calls_can_suspend() {
    for (program, framed) in [
        ("examples/means.wasm", "<vectorvisor_guest::Service>::run"),
        ("bindings/c/histogram.wasm", "__original_main"),
        ("bindings/assemblyscript/reverse.wasm", "func[18]"),
    ] {
        let ran = vv(&["inspect", "--emit", "calls", &path(program)]);
        let others: Vec<&str> = ran.out.lines().filter(|line| line.contains('\t') && line.contains("framed")).collect();
        let only = format!("{framed}\tframed: makes the remote call serverless_invoke");
        assert_eq!(others.iter().filter(|line| line.contains(": ")).collect::<Vec<_>>(), [&only], "{program}");
        for count in ["functions that can suspend (framed)\t1", "others that are framed in some calls\t0"] {
            assert!(others.contains(&count), "{program}: {}", ran.out);
        }
    }
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
    cpu: means histogram reverse barriers;
    opencl: histogram reverse barriers;
    hip: barriers;
}
