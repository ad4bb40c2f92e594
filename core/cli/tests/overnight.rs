//! `map` left alone: what ends it early, on the `cpu` backend.

mod common;

use common::{example, folder, start, text, vv, vv_in, write};
use std::fs;
use std::path::Path;
use std::time::Duration;

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
    assert_eq!(fs::read_dir(&output).expect("a folder").count(), 1 + 1, "and the journal");
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

/// 1,000 inputs, some of which fail; what each should print.
fn thousand(folder: &Path) -> Vec<Option<String>> {
    let outputs = (0..1000).map(|i| (i % 100 != 50).then(|| format!("output {i}\n{}", "x".repeat(i * 7 % 500))));
    let outputs: Vec<_> = outputs.collect();
    for (i, output) in outputs.iter().enumerate() {
        let text = output.as_ref().map_or("exit 3".into(), |output| format!("ok\n{output}"));
        write(folder.join(format!("{}/{i:03}", i / 100)), text);
    }
    outputs
}

/// Starts a command and kills it after so many milliseconds, unless it ended before.
fn killed(words: &[&str], after: u64) {
    let mut child = start(words);
    drop(child.stdin.take());
    std::thread::sleep(Duration::from_millis(after));
    child.kill().expect("SIGKILL");
    child.wait().expect("dead");
}

/// Kills `map` several times and lets it end; `seen` is called after each time.
fn kill_and_go_on(words: &[&str], seen: &dyn Fn()) {
    for round in 0..6 {
        killed(&if round == 0 { words.to_vec() } else { [words, &["--resume"]].concat() }, 20 + 35 * round);
        seen();
    }
    let ran = vv(&[words, &["--resume"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let ran = vv(&[words, &["--resume"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("1000 inputs were done before, 10 of them failed"), "{}", ran.err);
}

#[test]
fn a_killed_run_goes_on_in_a_folder() {
    let temp = folder();
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    let outputs = thousand(&input);
    let right = |whole: bool| {
        for (i, want) in outputs.iter().enumerate() {
            let got = fs::read_to_string(output.join(format!("{}/{i:03}", i / 100))).ok();
            assert!(got == *want || got.is_none() && !whole, "{i}: {got:?}");
        }
    };
    let program = example("misbehave.wasm");
    let words = ["map", "--lanes", "1", "--vms", "20", &program, "--in", text(&input), "--out", text(&output)];
    kill_and_go_on(&words, &|| right(false));
    right(true);
    let names = fs::read_dir(&output).expect("a folder").count();
    assert_eq!(names, 10 + 1, "nothing but the journal");

    // What is gone, changed or new runs, and what failed if that is asked for.
    fs::remove_file(output.join("0/007")).expect("removed");
    write(input.join("0/008"), "ok\nchanged");
    write(input.join("new"), "ok\nnew");
    write(input.join("1/150"), "trap");
    let ran = vv(&[&words[..], &["--resume"]].concat());
    assert!(ran.err.contains("3 of 4 inputs succeeded"), "{}", ran.err);
    assert_eq!(fs::read(output.join("0/008")).expect("an output"), b"changed");
    assert_eq!(fs::read_to_string(output.join("0/007")).ok(), outputs[7]);
    assert_eq!(fs::read(output.join("new")).expect("an output"), b"new");
    let ran = vv(&[&words[..], &["--retry-failed"]].concat());
    assert!(ran.err.contains("0 of 10 inputs succeeded"), "{}", ran.err);
    let ran = vv(&[&words[..], &["--resume"]].concat());
    assert!(ran.err.contains("1001 inputs were done before, 10 of them failed"), "{}", ran.err);

    let other = vv(&[&words[..], &["--resume", "--", "argument"]].concat());
    assert_eq!(other.code, Some(2), "{}", other.err);
    assert!(other.err.contains("the guest's arguments are not those of the run"), "{}", other.err);
}

#[test]
fn a_killed_run_goes_on_in_a_file() {
    let temp = folder();
    let at = |name: &str| temp.path().join(name);
    let outputs = thousand(&at("in"));
    let lines: String = outputs
        .iter()
        .map(|output| match output {
            Some(output) => format!("{}\n", serde_json::json!({ "stdin": format!("ok\n{output}") })),
            None => "exit 3\n".into(),
        })
        .collect();
    write(at("in.jsonl"), lines);
    let program = example("misbehave.wasm");
    for input in ["in.jsonl", "in"] {
        let (input, output) = (at(input), at(&format!("{input}.out.jsonl")));
        // A file of an earlier run stays until the new one is whole, and is not taken for a part of it.
        write(output.clone(), "{\"index\":0,\"exit\":0,\"stdout\":\"old\"}\n");
        let words = ["map", "--lanes", "1", "--vms", "20", &program, "--in", text(&input), "--out", text(&output)];
        kill_and_go_on(&words, &|| ());
        let right = || {
            let got = fs::read_to_string(&output).expect("lines");
            assert_eq!(got.lines().count(), 1000);
            for (i, line) in got.lines().enumerate() {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(
                    (line["index"].as_u64(), line["exit"].as_i64()),
                    (Some(i as u64), Some(if outputs[i].is_some() { 0 } else { 3 }))
                );
                assert_eq!(line["stdout"], outputs[i].clone().unwrap_or_default(), "{i}");
            }
        };
        right();
        let ran = vv(&[&words[..], &["--retry-failed"]].concat());
        assert!(ran.err.contains("0 of 10 inputs succeeded"), "{}", ran.err);
        right();
        let left = ["partial", "earlier", "merged"].map(|end| at(&format!("{}.{end}", text(&output))).exists());
        assert_eq!(left, [false; 3]);
    }
    write(at("in.jsonl"), "ok\n");
    let (input, output) = (at("in.jsonl"), at("in.jsonl.out.jsonl"));
    let ran = map("1", "", &["--resume", "--in", text(&input), "--out", text(&output)]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("changed since the first run began"), "{}", ran.err);
}

#[test]
fn what_cannot_go_on_is_refused() {
    let temp = folder();
    let output = temp.path().join("out");
    for (words, says) in [
        (["--resume", "--out", "-"], "needs outputs that stay"),
        (["--retry-failed", "--out", "/dev/null"], "neither a folder nor"),
        (["--resume", "--seed=1", "--out=out"], "cannot be used with"),
    ] {
        let ran = map("1", "ok\n", &[&["--in", "-"], &words[..]].concat());
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{words:?}: {}", ran.err);
    }
    // Where all succeeds nothing is left but outputs, unless it may be gone on with.
    for (option, names) in [("--quiet", 1), ("--resume", 2), ("--resume", 2), ("--retry-failed", 2)] {
        let ran = map("1", "ok\n", &["--in", "-", "--out", text(&output), option]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(fs::read_dir(&output).expect("a folder").count(), names, "{option}");
    }
}

#[test]
fn numbers_are_inputs() {
    let temp = folder();
    let (output, lines) = (temp.path().join("out"), temp.path().join("out.jsonl"));
    // Prints its input: as many bytes as it read.
    let echo = r#"(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\40\00\00\00\e8\03\00\00")
      (func (export "_start")
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let program = write(temp.path().join("echo.wat"), echo);
    let map = |range: &str, more: &[&str]| vv(&[&["map", "--lanes", "1", &program, "--range", range], more].concat());
    let ran = map("-2..3", &["--out", text(&output), "--resume"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // A longer range is a new file in the folder, so to speak.
    let ran = map("-2..=3", &["--out", text(&output), "--resume"]);
    assert!(ran.err.contains("5 inputs were done before") && ran.err.contains("1 of 1 inputs"), "{}", ran.err);
    for i in -2..=3 {
        assert_eq!(fs::read_to_string(output.join(i.to_string())).ok(), Some(i.to_string()));
    }
    let ran = map("9223372036854775806..=9223372036854775807", &["--out", "-", "-q"]);
    let line = |index, n: i64| format!("{{\"index\":{index},\"name\":\"{n}\",\"exit\":0,\"stdout\":\"{n}\"}}\n");
    assert_eq!(ran.out, line(0, i64::MAX - 1) + &line(1, i64::MAX), "{}", ran.err);
    for range in ["0..50", "0..100"] {
        let ran = map(range, &["--out", text(&lines), "--resume"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    let want: String = (0..100).map(|i| line(i, i as i64)).collect();
    assert_eq!(fs::read_to_string(&lines).ok(), Some(want));
    for (range, more, says) in [
        ("5..5", &["--out", "-"][..], "it is empty"),
        ("5", &["--out", "-"], "a range is two integers"),
        ("0..x", &["--out", "-"], "a range is two integers"),
        ("0..3", &["--out", "-", "--in", "-"], "cannot be used with"),
        ("1..100", &["--out", text(&lines), "--resume"], "are not those of the run that wrote"),
    ] {
        let ran = map(range, more);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(says), "{range}: {}", ran.err);
    }
}

#[test]
fn programs_can_read_the_progress() {
    let temp = folder();
    let inputs: String = (0..100).map(|i| if i < 30 { "trap\n" } else { "ok\n" }).collect();
    let input = write(temp.path().join("in.jsonl"), inputs);
    let told = |words: &[&str]| {
        let ran = map("10", "", &[&["--progress", "json", "-q", "--out", "-"], words].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let lines = ran.err.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<serde_json::Value>>()
    };
    let lines = told(&["--in", &input, "--no-cache"]);
    assert_eq!((&lines[0]["now"], &lines[0]["done"]), (&"starting".into(), &0.into()));
    assert!(lines.iter().any(|line| line["now"] == "compiling"), "{lines:?}");
    let last = &lines[lines.len() - 1];
    assert_eq!((&last["now"], &last["done"], &last["failed"]), (&"ended".into(), &100.into(), &30.into()));
    let seconds = last["seconds"].as_f64().expect("seconds");
    assert!(last.get("total").is_none() && last["per_second"].as_f64() >= Some(100.0 / seconds), "{last}");
    assert!(lines.len() as f64 <= seconds * 10.0 + 2.0, "{lines:?}");
    // Also where nothing runs.
    let lines = told(&["--in", "no/such.jsonl"]);
    assert_eq!(lines[lines.len() - 1]["now"], "ended");
}
