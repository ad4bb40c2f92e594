//! `map` left alone: what ends it early, on the `cpu` backend.

mod common;

use common::{example, folder, text, vv, vv_in, write};
use std::fs;

/// Runs `map` of `misbehave.wasm`, in single VMs and so in the order of the inputs, or with many.
fn map(vms: &str, stdin: &str, words: &[&str]) -> common::Ran {
    let program = example("misbehave.wasm");
    vv_in(stdin.as_bytes(), &[&["map", "--lanes", "1", "--vms", vms, &program], words].concat())
}

#[test]
fn the_first_failure_ends_the_run() {
    let temp = folder();
    let (output, lines) = (temp.path().join("out"), temp.path().join("out.jsonl"));
    let inputs = "{\"stdin\":\"ok\\nA\"}\nexit 3\nloop\n{\"stdin\":\"ok\\nB\"}\n";
    let ran = map("1", inputs, &["--fail-fast", "--in", "-", "--out", text(&output)]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("1 of 2 inputs failed") && ran.err.contains("first failure (--fail-fast)"), "{}", ran.err);
    assert_eq!(fs::read(output.join("0")).expect("an output"), b"A");
    assert_eq!(fs::read_dir(&output).expect("a folder").count(), 1);
    let ran = map("1", "ok\ntrap\nloop\n", &["--fail-fast", "--in", "-", "--out", text(&lines)]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("out.jsonl.partial") && !lines.exists(), "{}", ran.err);
    let ran = map("4", "ok\nok\n", &["--fail-fast", "--in", "-", "--out", text(&lines), "-q"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn the_first_input_found_ends_the_run() {
    let temp = folder();
    let (input, output, lines) = (temp.path().join("in"), temp.path().join("out"), temp.path().join("out.jsonl"));
    for i in 0..100 {
        let say = match i {
            7 => "trap".into(),
            70 => "loop".into(),
            71 => "exit 3".into(),
            _ => format!("ok\nfirst\nneedle {i}\n"),
        };
        write(input.join(format!("{i:02}")), say);
    }
    let until = |until: &str, more: &[&str]| {
        map("100", "", &[&["--until", until, "--in", text(&input), "--timeout", "500ms"], more].concat())
    };
    // It does not count as failed, so its output stands.
    let ran = until("exit=3", &["--out", text(&output), "-q"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("found (--until): 71 ended with exit code 3"), "{}", ran.err);
    assert!(!ran.err.contains("  71: ") && output.join("71").exists(), "{}", ran.err);
    let ran = until("^needle 4.$", &["--out", text(&lines)]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains(" printed \"needle 4"), "{}", ran.err);
    let got = fs::read_to_string(&lines).expect("lines");
    assert!(got.contains("needle 4"), "{got}");
    for (what, more) in [("exit=4", &[][..]), ("^first.needle", &["--fail-fast"])] {
        let ran = until(what, &[more, &["--out", text(&output)]].concat());
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        assert!(ran.err.contains("no input was found (--until)"), "{}", ran.err);
    }
}

#[test]
fn what_to_stop_at_is_checked() {
    for (until, says) in [("exit=x", "as exit=3"), ("exit=", "as exit=3"), ("a(b", "unclosed group")] {
        let ran = vv(&["map", "--until", until, "--in", "-", "--out", "-", &example("misbehave.wasm")]);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(says), "{until}: {}", ran.err);
    }
}
