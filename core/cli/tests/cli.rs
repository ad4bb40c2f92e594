//! The command as a user types it, on the `cpu` backend.

mod common;

use common::{ended, example, folder, missing, start, start_with, text, vv, vv_in, write};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn wrong_command_lines_end_with_2() {
    let factorial = example("factorial.wat");
    let misbehave = example("misbehave.wasm");
    let empty = folder();
    for (words, says) in [
        (vec![], "Usage"),
        (vec!["fly"], "fly"),
        (vec!["run"], "no program"),
        (vec!["run", "--lanes", "7", &factorial], "1, 8, 32 or 64"),
        (vec!["run", "--opt", "loads-first", &factorial], "[possible values: shared-data]"),
        (vec!["run", "--without", "all", &factorial], "merge-checks, wide-checks, store-after-load, "),
        (vec!["run", "--dir", "no/such", &misbehave], "--dir no/such: the folder cannot be opened"),
        (vec!["run", "--dir", "::x", &factorial], "a folder is HOST, or HOST::GUEST"),
        (vec!["run", "--scratch", "lots", &factorial], "lots"),
        (vec!["run", "--backend", "abacus", &factorial], "abacus"),
        (vec!["run", "--backend", "cpu,cpu", &factorial], "only `map` and `serve` take several devices"),
        (
            vec!["inspect", "--emit", "plan", "--backend", "cpu:all", &factorial],
            "only `map` and `serve` take several devices",
        ),
        (vec!["map", "--backend", "cpu,auto", &misbehave, "--in", "-", "--out", "-"], "names no backend"),
        (vec!["map", "--backend", "cpu,abacus", &misbehave, "--in", "-", "--out", "-"], "abacus"),
        (vec!["run", "--driver-path", "no/such", &factorial], "--driver-path no/such: there is no such file or folder"),
        (vec!["devices", "--driver-path", text(empty.path())], "the folder has no plugin, as libvectorvisor_NAME.so"),
        (vec!["devices", "--backend", "abacus"], "abacus"),
        (vec!["run", "--vms", "2", "--vm", "2", "--invoke", "factorial", &factorial, "1"], "from 0 to 1"),
        (vec!["run", &factorial], "--invoke"),
        (vec!["run", "--invoke", "nothing", &factorial], "factorial"),
        (vec!["run", "--invoke", "factorial", &factorial], "1 argument"),
        (vec!["run", "--invoke", "factorial", &factorial, "ten"], "ten"),
        (vec!["run", "--invoke", "factorial", &factorial, "5..5"], "empty"),
        (vec!["map", &misbehave, "--in", &misbehave, "--out", "x"], "neither a folder nor"),
        (vec!["map", &misbehave, "--in", &misbehave, "--out", "x"], "`--in - < "),
        (vec!["map", &misbehave, "--in", text(empty.path()), "--out", text(empty.path())], "name another"),
        (vec!["map", &misbehave, "--in", "-", "--out", &misbehave], "neither a folder nor a .jsonl (or .ndjson) file"),
        (
            vec!["map", &misbehave, "--in", "-", "--out", "no/res.json"],
            "for JSON lines write no/res.jsonl, for a folder no/res.json/",
        ),
        (vec!["profile", &misbehave, "--in", &misbehave], "neither a folder nor"),
        (vec!["profile", "--interleave", "tune", &misbehave, "--range", "0..3"], "without profile chose"),
        (vec!["profile", "--interpret", &misbehave, "--range", "0..3"], "an interpreter counts nothing"),
        (vec!["serve", "--profile", "--interpret", &misbehave], "an interpreter counts nothing"),
        (vec!["inspect", "--emit", "plan", "--invoke", "nothing", &misbehave], "call an export with --invoke"),
        (vec!["inspect", "--emit", "ir", "--arch", "sm_90", &misbehave], "--emit plan"),
        (vec!["inspect", "--emit", "plan", "--backend", "abacus", &misbehave], "known are: auto, cpu, "),
        (vec!["inspect", "--emit", "cuda", "--backend", "abacus", &misbehave], "known are: auto, cpu, "),
        (vec!["inspect", "--emit", "cuda", "--backend", "opencl:7", &misbehave], "device 7 does not matter; write "),
        (
            vec!["inspect", "--emit", "plan", "--arch", "sm_90", "--backend", "cuda:1", &misbehave],
            "opens no device, so ",
        ),
        (vec!["inspect", "--emit", "c", "--driver-path", "no/such", &misbehave], "there is no such file or folder"),
        (vec!["inspect", "--emit", "cuda", "--driver-path", "no/such", &misbehave], "there is no such file or folder"),
        (vec!["inspect", "--emit", "plan", "--interleave", "tune", &misbehave], "measures during a run"),
    ] {
        let ran = vv(&words);
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{words:?}: {}", ran.err);
    }
}

#[test]
fn missing_things_are_named_and_end_with_1() {
    let misbehave = example("misbehave.wasm");
    for (words, says) in [
        (vec!["run", "no/such.wasm"], "no/such.wasm"),
        (vec!["map", &misbehave, "--in", "no/such", "--out", "x"], "no/such"),
        (vec!["run", "--backend", "cpu:7", &misbehave], "cpu:7"),
        (
            vec!["map", "--backend", "cpu,cpu:7", &misbehave, "--in", "-", "--out", "-"],
            "leave out what is not: backend cpu:7: there is no such device among its 1",
        ),
    ] {
        let ran = vv(&words);
        assert_eq!(ran.code, Some(1), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{words:?}: {}", ran.err);
    }
}

#[test]
fn a_bad_program_is_named() {
    let temp = folder();
    let program = write(temp.path().join("bad.wat"), "(module (func (export \"_start\") (i32.add)))");
    let ran = vv(&["run", &program]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("bad.wat"), "{}", ran.err);
    let program = write(temp.path().join("worse.wat"), "(module\n  (func (i32.bad)))");
    for command in [&["run"][..], &["inspect", "--emit", "plan"]] {
        let ran = vv(&[command, &[&program]].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains(&format!("{program}:2:10")), "{}", ran.err);
    }
}

#[test]
fn equal_results_are_counted() {
    let ran = vv(&["run", "--vms", "4096", "--invoke", "factorial", &example("factorial.wat"), "20"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "2432902008176640000  (4096 VMs)\n"), "{}", ran.err);
}

#[test]
fn a_range_spreads_over_the_vms() {
    let factorial = example("factorial.wat");
    let ran = vv(&["run", "--invoke", "factorial", &factorial, "0..5"]);
    assert_eq!(ran.out, "1  (2 VMs)\n2  (1 VM)\n6  (1 VM)\n24  (1 VM)\n", "{}", ran.err);
    let ran = vv(&["run", "--all", "--lanes", "8", "--vms", "6", "--invoke", "factorial", &factorial, "2..=4"]);
    assert_eq!(ran.out, "[0] 2\n[1] 6\n[2] 24\n[3] 2\n[4] 6\n[5] 24\n", "{}", ran.err);
}

#[test]
fn options_of_the_original() {
    for words in [vec!["-i"], vec!["run", "-i"]] {
        let factorial = example("factorial.wat");
        let words = [words.as_slice(), &[factorial.as_str(), "--printreturn=true", "5"]].concat();
        let ran = vv(&words);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "120\n"), "{}", ran.err);
    }
}

#[test]
fn run_gives_stdin_to_the_guest() {
    let ran = vv_in(b"abc", &["run", &example("sha256.wasm")]);
    let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), want), "{}", ran.err);
}

#[test]
fn run_prints_the_chosen_vm_or_all() {
    let misbehave = example("misbehave.wasm");
    let input = b"ok\none\ntwo";
    assert_eq!(vv_in(input, &["run", "--vms", "40", &misbehave]).out, "one\ntwo");
    assert_eq!(vv_in(input, &["run", "--vms", "40", "--vm", "39", &misbehave]).out, "one\ntwo");
    assert_eq!(vv_in(input, &["run", "--vms", "2", "--all", &misbehave]).out, "[0] one\n[0] two\n[1] one\n[1] two\n");
    let ran = vv_in(b"warn\ncareful\n", &["run", "--quiet", &misbehave]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "careful\n"));
}

#[test]
fn exit_codes_are_the_guests() {
    let misbehave = example("misbehave.wasm");
    assert_eq!(vv_in(b"exit 3", &["run", &misbehave]).code, Some(3));
    let ran = vv_in(b"exit 3", &["run", "--vms", "40", "--lanes", "32", &misbehave]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.contains("all 40 VMs: exit code 3"), "{}", ran.err);
    let temp = folder();
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "exit") (param i32) (call $exit (local.get 0))))"#;
    let program = write(temp.path().join("exit.wat"), text);
    for (code, status) in [("0", 0), ("255", 255), ("256", 1), ("259", 3), ("-1", 255)] {
        let ran = vv(&["run", "--invoke", "exit", &program, code]);
        // A status that says less than the code is explained.
        assert_eq!((ran.code, ran.err.contains(code)), (Some(status), code != status.to_string()), "{}", ran.err);
    }
}

#[test]
fn a_trap_ends_with_134_and_names_its_place() {
    for (command, why) in [
        ("trap", "unreachable"),
        ("divzero", "integer divide by zero"),
        ("oob", "out of bounds memory access"),
        ("recurse", "call stack exhausted"),
        ("mismatch", "indirect call type mismatch"),
    ] {
        let ran = vv_in(command.as_bytes(), &["run", &example("misbehave.wasm")]);
        assert_eq!(ran.code, Some(134), "{command}: {}", ran.err);
        assert!(ran.err.contains(&format!("wasm trap: {why}")), "{command}: {}", ran.err);
        assert!(ran.err.contains("in `"), "{command}: {}", ran.err);
        assert!(ran.err.contains(" wasm offset 0x"), "{command}: {}", ran.err);
    }
}

#[test]
fn a_loop_ends_at_the_limit() {
    let misbehave = example("misbehave.wasm");
    let ran = vv_in(b"loop", &["run", "--timeout", "300ms", &misbehave]);
    assert_eq!(ran.code, Some(134), "{}", ran.err);
    assert!(ran.err.contains("--timeout"), "{}", ran.err);
    let ran = vv_in(b"loop", &["run", "--fuel", "100000", &misbehave]);
    assert_eq!(ran.code, Some(134), "{}", ran.err);
    assert!(ran.err.contains("--fuel"), "{}", ran.err);
}

/// Exits with the number of its arguments.
const COUNT_ARGUMENTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (call $exit (i32.load (i32.const 0)))))"#;

#[test]
fn what_follows_the_program_is_the_guests() {
    let temp = folder();
    let program = write(temp.path().join("count.wat"), COUNT_ARGUMENTS);
    assert_eq!(vv(&["run", &program]).code, Some(1));
    let ran = vv(&["run", "--seed", "1", &program, "--vms", "-x", "--"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.err.contains("--vms stands after the program, so it goes to the guest"), "{}", ran.err);
    assert_eq!(vv(&["run", &program, "--verbose", "--", "--vms"]).err, "");
    assert_eq!(vv(&["run", "--", &program, "--vms"]).err, "");
    assert_eq!(vv(&["run", "-i", &program, "--", "--vms"]).err, "");
    write(temp.path().join("in/a"), "");
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    let ran = vv(&["map", &program, "--in", text(&input), "--out", text(&output), "--", "-x", "y"]);
    assert!(ran.err.contains("exit code 3"), "{}", ran.err);
}

#[test]
fn map_writes_a_file_for_each_file() {
    let temp = folder();
    let (input, output) = (temp.path().join("in"), temp.path().join("deep/out"));
    let name = |i: usize| format!("{}{i}.txt", ["", "sub/", "sub/sub 2/"][i % 3]);
    for i in 0..100 {
        write(input.join(name(i)), format!("ok\nfile {i}\n{}", "x".repeat(i * 37)));
    }
    for lanes in ["1", "32"] {
        let words =
            ["map", &example("misbehave.wasm"), "--in", text(&input), "--out", text(&output), "--lanes", lanes, "-q"];
        let (stats, trace) = (temp.path().join("stats"), temp.path().join("trace"));
        let ran = vv(&[&words[..], &["--stats", text(&stats), "--trace", text(&trace)]].concat());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
        let [stats, trace] = [stats, trace].map(|path| -> serde_json::Value {
            serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
        });
        let launch = |event: &&serde_json::Value| event["pid"] == 1 && event["name"] == "launch";
        let launched = trace.as_array().into_iter().flatten().filter(launch).map(|event| &event["args"]["vms"]);
        assert!(launched.filter_map(serde_json::Value::as_u64).sum::<u64>() >= 100, "{trace}");
        let figure = |name: &str| stats[name].as_u64().unwrap_or_else(|| panic!("no {name} in {stats}"));
        assert_eq!((figure("inputs"), figure("failed"), figure("lanes").to_string().as_str()), (100, 0, lanes));
        assert_eq!(figure("bytes_in") - figure("bytes_out"), 3 * 100, "{stats}");
        assert!(figure("device_bytes") >= figure("vms") * figure("vm_bytes"), "{stats}");
        assert!(stats["seconds"].as_f64() >= stats["run_seconds"].as_f64(), "{stats}");
        for i in 0..100 {
            let got = fs::read_to_string(output.join(name(i))).expect("an output");
            assert_eq!(got, format!("file {i}\n{}", "x".repeat(i * 37)), "{lanes} lanes");
        }
        let names = fs::read_dir(&output).expect("a folder").count();
        assert_eq!(names, 34 + 1, "nothing else lies there");
        fs::remove_dir_all(&output).expect("removed");
    }
}

#[test]
fn map_goes_on_after_failures_and_lists_them() {
    let temp = folder();
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    for i in 0..40 {
        let text = if i < 10 {
            "trap".into()
        } else if i < 20 {
            "exit 3".into()
        } else {
            format!("ok\n{i}")
        };
        write(input.join(format!("{i:02}")), text);
    }
    fs::create_dir_all(output.join("39")).expect("a folder in the way");
    write(output.join("00"), "of an earlier run");
    write(output.join("other"), "of somebody else");
    let ran = vv(&["map", &example("misbehave.wasm"), "--in", text(&input), "--out", text(&output)]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("21 of 40 inputs failed"), "{}", ran.err);
    assert!(ran.err.contains("  00: wasm trap: unreachable"), "{}", ran.err);
    assert!(ran.err.contains("… and 11 more"), "{}", ran.err);
    for i in 0..39 {
        let got = fs::read_to_string(output.join(format!("{i:02}"))).ok();
        assert_eq!(got, (i >= 20).then(|| i.to_string()), "{i}");
    }
    assert!(output.join("other").exists(), "what is not of an input stays");
}

#[test]
fn what_cannot_be_read_or_written_fails_alone() {
    let temp = folder();
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    for i in 0..500 {
        write(input.join(format!("{}/{i:03}", i / 100)), format!("ok\n{i}"));
    }
    for i in [3, 250] {
        let path = input.join(format!("{}/{i:03}", i / 100));
        fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("nowhere", path).expect("a link");
    }
    write(output.join("4"), "a file where a folder should be");
    let ran = vv(&["map", &example("misbehave.wasm"), "--in", text(&input), "--out", text(&output)]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("102 of 500 inputs failed"), "{}", ran.err);
    assert!(ran.err.contains("398 of 500 inputs succeeded"), "{}", ran.err);
    assert!(ran.err.contains("  0/003: cannot read the input: No such file"), "{}", ran.err);
    let in_the_way = output.join("4/400");
    let says = format!("  4/400: cannot write {}: ", in_the_way.display());
    assert!(ran.err.contains(&says) && ran.err.contains("  4/407: "), "{}", ran.err);
    for i in 0..400 {
        let got = fs::read_to_string(output.join(format!("{}/{i:03}", i / 100))).ok();
        assert_eq!(got, (i != 3 && i != 250).then(|| i.to_string()), "{i}");
    }
    assert_eq!(fs::read_dir(&output).expect("a folder").count(), 5 + 1, "nothing else lies there but the journal");
}

#[test]
fn map_of_json_lines() {
    let temp = folder();
    let lines = concat!(
        "ok\n",
        r#"{"stdin":"ok\nhi\n","other":1}"#,
        "\n",
        r#"{"stdin":"trap"}"#,
        "\n",
        r#"{"stdin":"exit 3"}"#,
        "\n",
        r#"{"stdin":7}"#,
        "\n",
        r#"{"stdin_base64":"b2sK/w=="}"#
    );
    let input = write(temp.path().join("in.jsonl"), lines);
    let output = temp.path().join("out.jsonl");
    let ran = vv(&["map", &example("misbehave.wasm"), "--in", &input, "--out", text(&output)]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("line 5: `stdin` of this line is not a string"), "{}", ran.err);
    let got = fs::read_to_string(&output).expect("output");
    let got: Vec<serde_json::Value> = got.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(got.len(), 6);
    for (i, line) in got.iter().enumerate() {
        assert_eq!(line["index"], i);
    }
    assert_eq!((&got[0]["exit"], &got[0]["stdout"]), (&0.into(), &"".into()));
    assert_eq!(got[1]["stdout"], "hi\n");
    assert!(got[2]["error"].as_str().is_some_and(|e| e.starts_with("wasm trap: unreachable in `")), "{}", got[2]);
    assert_eq!((&got[3]["exit"], got[3].get("error")), (&3.into(), None));
    assert!(got[4]["error"].is_string());
    assert_eq!((&got[5]["stdout_base64"], got[5].get("stdout")), (&"/w==".into(), None));
    assert!(!temp.path().join("out.jsonl.partial").exists());
}

#[test]
fn map_joins_folders_and_lines() {
    let temp = folder();
    let misbehave = example("misbehave.wasm");
    write(temp.path().join("in/a"), "ok\nA");
    write(temp.path().join("in/b/c"), "ok\nC");
    let ran = vv(&["map", &misbehave, "--in", text(&temp.path().join("in")), "--out", "-", "-q"]);
    let want = "{\"index\":0,\"name\":\"a\",\"exit\":0,\"stdout\":\"A\"}\n{\"index\":1,\"name\":\"b/c\",\"exit\":0,\"stdout\":\"C\"}\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), want), "{}", ran.err);
    let output = temp.path().join("out");
    let ran = vv_in(b"{\"stdin\":\"ok\\nX\"}\n", &["map", &misbehave, "--in", "-", "--out", text(&output)]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(fs::read_to_string(output.join("0")).expect("output"), "X");
}

#[test]
fn the_name_says_lines_or_a_folder() {
    let temp = folder();
    let misbehave = example("misbehave.wasm");
    let map = |output: &str| {
        let output = format!("{}/{output}", text(temp.path()));
        let ran = vv_in(b"ok\n", &["map", &misbehave, "--in", "-", "--out", &output, "-q"]);
        assert_eq!(ran.code, Some(0), "{output}: {}", ran.err);
    };
    let there = |name: &str| temp.path().join(name);
    for lines in ["a.jsonl", "b.ndjson", "C.JSONL"] {
        map(lines);
        assert!(there(lines).is_file(), "{lines}");
    }
    // An existing folder stays a folder.
    for (output, folder) in
        [("d", "d"), ("v1.2/", "v1.2"), ("v1.2", "v1.2"), ("e.jsonl/", "e.jsonl"), ("e.jsonl", "e.jsonl")]
    {
        map(output);
        assert!(there(folder).join("0").is_file(), "{output}");
    }
}

#[test]
fn a_full_disk_is_named() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let temp = folder();
    let input = write(temp.path().join("in.jsonl"), "ok\nok\n");
    let output = temp.path().join("full.jsonl");
    std::os::unix::fs::symlink("/dev/full", &output).expect("a link");
    let ran = vv(&["map", &example("misbehave.wasm"), "--in", &input, "--out", text(&output)]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("full.jsonl: No space left"), "{}", ran.err);
}

#[test]
fn nothing_to_do_is_no_error() {
    let temp = folder();
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    fs::create_dir(&input).expect("a folder");
    let ran = vv(&["map", &example("misbehave.wasm"), "--in", text(&input), "--out", text(&output)]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(output.is_dir());
}

#[test]
fn inspect_prints_text_and_plan() {
    let factorial = example("factorial.wat");
    for language in ["c", "opencl", "cuda", "hip"] {
        let ran = vv(&["inspect", "--emit", language, &factorial]);
        assert_eq!(ran.code, Some(0), "{language}: {}", ran.err);
        assert!(ran.out.contains("vv_run"), "{language}");
    }
    let ran = vv(&["inspect", "--emit", "plan", "--lanes", "32", &factorial]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("lanes             32\n"), "{}", ran.out);
    assert!(ran.out.contains("factorial (i64) -> (i64)"), "{}", ran.out);
    assert_eq!(ran.out.lines().filter(|line| line.as_bytes().get(17) != Some(&b' ')).count(), 0, "{}", ran.out);
}

/// One load whose address does not have the alignment of its hint.
const ODD: &str = r#"(module
  (memory (export "memory") 1 1)
  (func (export "_start") (drop (i32.load (i32.add (i32.load8_u (i32.const 8)) (i32.const 17))))))"#;

#[test]
fn the_plan_is_what_run_does() {
    let temp = folder();
    let program = write(temp.path().join("odd.wat"), ODD);
    let cache = temp.path().join("cache");
    let options = ["--lanes", "8", "--alignment", "natural", "--cache-dir", text(&cache), &program];
    let plan = || vv(&[&["inspect", "--emit", "plan"], &options[..]].concat()).out;
    let says = |plan: &str, row: &str| {
        plan.lines().any(|line| line.split_once(' ').is_some_and(|(a, b)| format!("{a} {}", b.trim()) == row))
    };
    assert!(says(&plan(), "alignment natural"), "{}", plan());
    assert_eq!(vv(&[&["run"], &options[..]].concat()).code, Some(0));
    assert!(says(&plan(), "alignment any, since an earlier run broke natural alignment"), "{}", plan());
    let suspends = vv(&["inspect", "--emit", "plan", "--alignment", "natural", &example("sleep.wasm")]).out;
    assert!(says(&suspends, "alignment natural") && suspends.contains("some suspend the VM"), "{suspends}");
    let cuda = ["inspect", "--emit", "plan", "--backend", "cuda", &example("factorial.wat")];
    let (native, framed) = (vv(&cuda).out, vv(&[&cuda[..], &["--without", "native-recursion"]].concat()).out);
    assert!(says(&native, "recursion on 24576 bytes of a thread's own stack"), "{native}");
    assert!(says(&framed, "recursion in frames"), "{framed}");
}

#[test]
fn the_plan_shares_what_run_shares() {
    let temp = folder();
    let table: String = (0..128).map(|n| char::from(b'a' + n % 26)).collect();
    let look_up = format!(
        r#"(module (memory 1 1) (data $.rodata (i32.const 1024) "{table}")
          (func (export "f") (param i32) (result i32)
            (i32.load8_u offset=1024 (i32.and (local.get 0) (i32.const 127)))))"#
    );
    let program = write(temp.path().join("table.wat"), look_up);
    for backend in ["cpu", "opencl"] {
        for more in [&[][..], &["--alignment", "natural"], &["--alignment", "natural", "--traps", "exact"]] {
            if missing(backend) {
                continue;
            }
            let options =
                [&["--backend", backend, "--no-cache", "--opt", "shared-data", "--invoke", "f"], more].concat();
            let plan = vv(&[&["inspect", "--emit", "plan"], &options[..], &[&program]].concat());
            let row = plan.out.lines().find_map(|line| line.strip_prefix("shared data")).expect("a row").trim();
            let ran = vv(&[&["run"], &options[..], &[&program, "27"]].concat());
            assert_eq!(ran.out, "98\n", "{options:?}: {}", ran.err);
            assert_eq!(
                row.starts_with("128 bytes of .rodata"),
                more == ["--alignment", "natural"],
                "{options:?}: {row}"
            );
            let said = match row.strip_prefix("none: ") {
                Some(why) => format!("shared-data has no effect: {why}\n"),
                None => format!("shared-data: {row}\n"),
            };
            assert!(ran.err.contains(&said), "{options:?}: {said}{}", ran.err);
        }
    }
}

/// Needs no GPU, but NVRTC.
#[test]
fn inspect_tells_what_compiling_costs() {
    let words = |backend| ["inspect", "--emit", "plan", "--backend", backend, "--arch", "sm_90", "--lanes", "32"];
    let factorial = example("factorial.wat");
    let ran = vv(&[&words("cpu")[..], &[&factorial]].concat());
    assert!(ran.code == Some(1) && ran.err.contains("that of cuda does"), "{}", ran.err);
    let ran = vv(&[&words("cuda")[..], &[&factorial]].concat());
    if ran.code != Some(0) {
        assert!(ran.err.contains("NVRTC") || ran.err.contains("no plugin"), "{}", ran.err);
        return println!("skipped: {}", ran.err);
    }
    let row = ran.out.lines().find(|line| line.ends_with("vv_run")).unwrap_or_default();
    let registers = row.split_whitespace().nth(1).and_then(|registers| registers.parse::<u32>().ok());
    assert!(registers.is_some_and(|registers| registers > 0), "{}", ran.out);
}

#[test]
fn inspect_counts_functions_and_calls() {
    let temp = folder();
    let text = r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $sleep (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (table 1 funcref) (elem (i32.const 0) $leaf)
        (func $leaf) (func $unreached (call $leaf))
        (func $waits (drop (call $sleep (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
        (func (export "_start") (call $leaf) (call $leaf) (call_indirect (i32.const 0)) (call $waits)))"#;
    let ran = vv(&["inspect", "--emit", "calls", &write(temp.path().join("program.wat"), text)]);
    let counts: Vec<_> =
        ran.out.rsplit("\n\n").next().unwrap_or_default().lines().filter_map(|l| l.split('\t').nth(1)).collect();
    assert_eq!(counts, ["3", "3", "1", "1", "2", "0"], "{}{}", ran.out, ran.err);
}

/// Each input has so many turns as it has bytes, and a line of its own.
#[test]
fn a_profile_tells_what_was_entered_and_turned() {
    let temp = folder();
    let text = r#"(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\00\10\00\00")
        (func $turns (param $n i32) (result i32)
          (loop $more (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.get $n))
        (func $unused (drop (call $turns (i32.const 3))))
        (func $main (export "_start")
          (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          (if (i32.load (i32.const 8)) (then (drop (call $turns (i32.load (i32.const 8))))) (else unreachable))))"#;
    let program = write(temp.path().join("program.wat"), text);
    let inputs = temp.path().join("in");
    std::fs::create_dir(&inputs).expect("a folder");
    for bytes in [1, 10, 100, 1000] {
        write(inputs.join(bytes.to_string()), "x".repeat(bytes));
    }
    let file = temp.path().join("profile.json").to_string_lossy().into_owned();
    let words = ["profile", "--no-cache", &program, "--in", &inputs.to_string_lossy(), "-o", &file];
    let ran = vv(&words);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let rows: Vec<Vec<_>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["99.6%", "1.00", "4", "1107", "turns"], "{}", ran.out);
    assert_eq!(rows[2], ["0.4%", "1.00", "4", "0", "main"], "{}", ran.out);
    assert_eq!(rows[3][..5], ["100.0%", "1.00", "8", "1107", "all,"], "{}", ran.out);
    assert!(ran.out.ends_with("loop turns: 1107 in direct functions, 0 inside a state of a framed one, 0 through the trampoline (100.00% direct)\n"), "{}", ran.out);
    assert!(ran.err.contains("one lane at a time"), "{}", ran.err);
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).expect("it was written")).expect("it is JSON");
    let turns = &json["functions"][0];
    assert_eq!((&turns["name"], &turns["entries"]["visits"]), (&"turns".into(), &4.into()), "{json}");
    assert_eq!((&turns["loops"][0]["visits"], &json["active_lanes"]), (&1107.into(), &1.0.into()), "{json}");

    // An input that fails counts, too.
    write(inputs.join("0"), "");
    let ran = vv(&words);
    assert!(
        ran.code == Some(1) && ran.out.contains(" 9 ") && ran.err.contains("unreachable"),
        "{}{}",
        ran.out,
        ran.err
    );
}

/// Inputs are digits, each of which is the place of a function in the table; the profile has only seen ones.
#[test]
fn outputs_are_the_same_with_a_profile() {
    let temp = folder();
    let text = r#"(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\40\00\00\00\01\00\00\00")
        (type $t (func (param i32) (result i32)))
        (table funcref (elem $a $b $c))
        (func $a (type $t) (i32.const 97)) (func $b (type $t) (i32.add (local.get 0) (i32.const 7)))
        (func $c (type $t) (i32.const 99))
        (func (export "_start")
          (loop $more
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (i32.load (i32.const 8)) (then
              (i32.store8 (i32.const 64)
                (call_indirect (type $t) (i32.const 91) (i32.sub (i32.load8_u (i32.const 64)) (i32.const 48))))
              (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
              (br $more)))))
        NOTE)"#;
    let path = |name: &str| temp.path().join(name).to_string_lossy().into_owned();
    let (program, file) = (path("program.wat"), path("profile.json"));
    write(temp.path().join("program.wat"), text.replace("NOTE", ""));
    for (name, inputs) in [("seen", &["1111", "0", "111"][..]), ("all", &["0", "1", "2", "012210", "", "9"])] {
        std::fs::create_dir(path(name)).expect("a folder");
        inputs.iter().enumerate().for_each(|(n, input)| _ = write(temp.path().join(name).join(n.to_string()), input));
    }
    let ran = vv(&["profile", "--no-cache", &program, "--in", &path("seen"), "-o", &file]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).expect("it was written")).expect("it is JSON");
    let targets = &json["functions"][0]["calls"][0]["targets"];
    let counted = |n: usize| (targets[n]["name"].as_str(), targets[n]["calls"].as_u64());
    assert_eq!([counted(0), counted(1)], [(Some("b"), Some(7)), (Some("a"), Some(1))], "{json}");

    let map = |out: &str, options: &[&str]| {
        let ran =
            vv(&[&["map", "--no-cache"], options, &[&program, "--in", &path("all"), "--out", &path(out)]].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains("undefined element"), "{}", ran.err);
        (0..5).map(|n| std::fs::read_to_string(temp.path().join(out).join(n.to_string())).expect("a result")).collect()
    };
    let outputs: Vec<String> = map("with", &["--profile-use", &file]);
    assert_eq!(outputs, ["a", "b", "c", "abccba", ""]);
    assert_eq!(outputs, map("without", &[]));
    let guarded = vv(&["inspect", "--emit", "c", "--profile-use", &file, &program]);
    assert!(guarded.out != vv(&["inspect", "--emit", "c", &program]).out, "{}", guarded.out);

    // It is of that module only.
    write(temp.path().join("program.wat"), text.replace("NOTE", "(func (export \"other\"))"));
    for command in [&["run"][..], &["inspect", "--emit", "c"], &["serve", "--listen", "127.0.0.1:0"]] {
        let ran = vv(&[command, &["--profile-use", &file, &program]].concat());
        assert_eq!(ran.code, Some(2), "{command:?}: {}", ran.err);
        assert!(ran.err.contains("make its profile anew with vectorvisor profile"), "{command:?}: {}", ran.err);
    }
    let ran = vv(&["run", "--profile-use", &program, &program]);
    assert!(ran.code == Some(1) && ran.err.contains("no profile of this version"), "{}", ran.err);
    let ran = vv(&["profile", "--profile-use", &file, &program, "--in", &path("seen")]);
    assert!(ran.code == Some(2) && ran.err.contains("leave out --profile-use"), "{}", ran.err);
}

#[test]
fn a_program_without_start_only_runs_its_start_function() {
    let temp = folder();
    let start = "(func $f unreachable) (start $f)";
    for (body, code, says) in [
        ("", 0, ""),
        ("(func $f) (start $f) (func (export \"other\") unreachable)", 0, ""),
        ("(func (export \"_initialize\")) (func (export \"other\") unreachable)", 0, ""),
        (start, 134, "wasm trap: unreachable"),
        ("(memory 1) (data (i32.const 65536) \"a\")", 134, "wasm trap: out of bounds memory access"),
        ("(func (export \"other\"))", 2, "--invoke"),
    ] {
        let program = write(temp.path().join("program.wat"), format!("(module {body})"));
        let ran = vv(&["run", "--no-cache", &program]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{body}: {}", ran.err);
        assert!(ran.err.contains(says), "{body}: {}", ran.err);
    }
    let program = write(temp.path().join("export.wat"), format!("(module {start} (func (export \"other\")))"));
    assert_eq!(vv(&["run", "--no-cache", "--invoke", "other", &program]).code, Some(134));
}

#[test]
fn unknown_imports_are_named() {
    let folder = folder();
    let unknown = "(module (import \"env\" \"foo\" (func)) (func (export \"f\")))";
    let unknown = write(folder.path().join("unknown.wat"), unknown);
    let ran = vv(&["run", "--invoke", "f", &unknown]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("unknown import \"env\" \"foo\""), "{}", ran.err);
}

#[test]
fn the_cache_keeps_to_its_size() {
    let temp = folder();
    let cache = temp.path().join("cache");
    let factorial = example("factorial.wat");
    let run = |size: &str, n: &str| {
        let ran =
            vv(&["run", "--cache-dir", text(&cache), "--cache-size", size, "--invoke", "factorial", &factorial, n]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        fs::read_dir(&cache).map_or(0, Iterator::count)
    };
    assert_eq!((run("1", "5"), run("0", "5"), run("1GiB", "6")), (0, 2, 2));
    let ran = vv(&["run", "--cache-size", "much", "--invoke", "factorial", &factorial, "5"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

/// 0 / 0 is NaN, whatever options `CC` asks for; and each list of the compiler's arguments has its own cache entry.
#[test]
fn the_cache_knows_the_compilers_arguments() {
    let temp = folder();
    let cache = temp.path().join("cache");
    let nan = "(module (func (export \"f\") (param f64) (result i32)
        (local.set 0 (f64.div (local.get 0) (local.get 0)))
        (f64.ne (local.get 0) (local.get 0))))";
    let nan = write(temp.path().join("nan.wat"), nan);
    let run =
        |cc: &str| ended(start_with(&[("CC", cc)], &["run", "--cache-dir", text(&cache), "--invoke", "f", &nan, "0"]));
    let binaries = || {
        let names = fs::read_dir(&cache).expect("the cache").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("bin-")).count()
    };
    for (place, cc) in ["cc", "cc -ffast-math", "cc -Ofast", "cc -ffinite-math-only", "cc -DX"].iter().enumerate() {
        for _ in 0..2 {
            let ran = run(cc);
            assert_eq!((ran.code, ran.out.trim(), binaries()), (Some(0), "1", place + 1), "{cc}: {}", ran.err);
        }
    }
    // A wrapper's options come after the driver's.
    let wrapper = temp.path().join("fast");
    write(wrapper.clone(), "#!/bin/sh\nexec cc \"$@\" -ffast-math\n");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("a mode");
    let ran = run(text(&wrapper));
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.err.contains("computes with fast math") && ran.err.contains("or name another in CC"), "{}", ran.err);
}

#[test]
fn programs_are_compiled_where_others_may_write() {
    let temp = folder();
    let tmp = temp.path().join("tmp");
    fs::create_dir(&tmp).expect("a folder");
    for (path, mode) in [(temp.path(), 0o755), (&tmp, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let words = ["run", "--no-cache", "--invoke", "factorial", &example("factorial.wat"), "5"];
    let ran = ended(start_with(&[("TMPDIR", text(&tmp))], &words));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "120\n"), "{}", ran.err);
    assert_eq!(fs::read_dir(&tmp).expect("a folder").count(), 0);
}

#[test]
fn a_cache_that_others_may_write_is_not_used() {
    let temp = folder();
    let cache = temp.path().join("cache");
    let factorial = example("factorial.wat");
    let nothing = write(temp.path().join("nothing.wat"), r#"(module (func (export "_start")))"#);
    let run = || vv(&["run", "--cache-dir", text(&cache), "--invoke", "factorial", &factorial, "5"]);
    assert_eq!(run().out, "120\n");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(&cache, 0o777);
    let ran = run();
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "120\n"), "{}", ran.err);
    let advice = format!("chmod go-w {}. Or choose another folder with --cache-dir", cache.display());
    // A slow machine also reports progress.
    assert_eq!(ran.err.matches(&advice).count(), 1, "{}", ran.err);
    let variable = [("VECTORVISOR_CACHE_DIR", text(&cache))];
    for (more, times) in [(&[][..], 1), (&["--no-cache"], 0), (&["--cache-dir", text(&temp.path().join("other"))], 0)] {
        let words = [&["run"], more, &["--invoke", "factorial", &factorial, "5"]].concat();
        let ran = ended(start_with(&variable, &words));
        assert_eq!(
            (ran.out.as_str(), ran.err.matches(&advice).count()),
            (
                "120
", times
            ),
            "{more:?}: {}",
            ran.err
        );
    }
    let line = vv_in(b"x\n", &["map", "--cache-dir", text(&cache), "--in", "-", "--out", "-", &nothing]);
    assert!(line.err.contains(&advice), "also where outputs go to standard output: {}", line.err);
    mode(&cache, 0o700);
    assert_eq!(run().err, "");
}

/// Copies the first 1000 bytes of its input, after enough work to tell memory layouts apart.
const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\e8\03\00\00")
  (func (export "_start") (local $iterations i32)
    (loop $more
      (i32.store (i32.const 2048) (i32.add (i32.load (i32.const 2048)) (local.get $iterations)))
      (br_if $more (i32.lt_u (local.tee $iterations (i32.add (local.get $iterations) (i32.const 1))) (i32.const 100000))))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[test]
fn autotuning_is_remembered() {
    let temp = folder();
    let cache = temp.path().join("cache");
    let program = write(temp.path().join("echo.wat"), ECHO);
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    for i in 0..100 {
        write(input.join(i.to_string()), format!("message {i}"));
    }
    let map = |interleave: &str| {
        let mut words = vec!["map", "--vms", "64", "--lanes", "32", "--cache-dir", text(&cache), &program];
        words.extend(["--in", text(&input), "--out", text(&output), "--interleave", interleave]);
        let ran = vv(&words);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let entries = fs::read_dir(&cache).expect("the cache").count();
        let outputs: Vec<_> = (0..100).map(|i| fs::read(output.join(i.to_string())).expect("an output")).collect();
        fs::remove_dir_all(&output).expect("removed");
        (ran.err, entries, outputs)
    };
    let (says, before, plain) = map("default");
    assert_eq!(plain[7], b"message 7");
    assert!(!says.contains("tried"), "{says}");
    let (says, after, tuned) = map("tune");
    assert_eq!(says.matches("--interleave").count(), 5, "{says}");
    assert!(says.contains(" (remembered for later runs)"), "{says}");
    assert!(says.contains("100 of 100 inputs succeeded"), "{says}");
    // Text and binary of three more candidates, and the choice.
    assert_eq!((tuned, after), (plain.clone(), before + 7));
    let (says, entries, outputs) = map("auto");
    assert!(!says.contains("--interleave"), "{says}");
    assert_eq!((outputs, entries), (plain, after));
    for (interleave, remembered) in [("auto", true), ("default", false)] {
        let words = ["--lanes", "32", "--cache-dir", text(&cache), "--interleave", interleave, &program];
        let plan = vv(&[&["inspect", "--emit", "plan"], &words[..]].concat()).out;
        assert_eq!(plan.contains(", by earlier autotuning\n"), remembered, "{plan}");
    }
}

#[test]
fn autotuning_without_candidates_says_so() {
    let temp = folder();
    let output = temp.path().join("out.jsonl");
    let misbehave = example("misbehave.wasm");
    let tune = ["--interleave", "tune", &misbehave];
    let map = ["--in", text(temp.path()), "--out", text(&output)];
    write(temp.path().join("in"), "ok\n");
    for words in [[&["run"], &tune[..]].concat(), [&["map"], &tune[..], &map].concat()] {
        let ran = vv(&words);
        assert_eq!((ran.code, ran.err.lines().count()), (Some(2), 1), "{}", ran.err);
        assert!(ran.err.contains("a tile has one VM; make it more with --lanes 8"), "{}", ran.err);
    }
    assert!(!output.with_extension("jsonl.partial").exists());

    let factorial = example("factorial.wat");
    let words =
        ["run", "--no-cache", "--lanes", "8", "--interleave", "trial", "--invoke", "factorial", &factorial, "5"];
    let ran = vv(&words);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "120\n"), "{}", ran.err);
    assert!(ran.err.contains("too little to tell") && !ran.err.contains("remembered"), "{}", ran.err);
}

#[test]
fn several_devices_give_what_one_gives() {
    let temp = folder();
    let at = |name: &str| temp.path().join(name);
    let words = ["ok\nhi\n", "ok\n", "trap", "exit 3", "ok\nlonger\n"];
    let lines: String = (0..400).map(|i| format!("{}\n", serde_json::json!({"stdin": words[i % 5]}))).collect();
    let input = write(at("in.jsonl"), &lines);
    for i in 0..400 {
        write(at("in").join(format!("{}/{i}", i % 3)), words[i % 5]);
    }
    let mut given = Vec::new();
    for backend in ["cpu", "cpu,cpu", "opencl,cpu", "opencl:all"] {
        if backend.contains("opencl") && missing("opencl") {
            continue;
        }
        let (lines, files) = (at(&format!("{backend}.jsonl")), at(&format!("{backend}/")));
        let (stats, trace) = (at("stats.json"), at("trace.json"));
        for (from, to) in [(Path::new(&input), &lines), (at("in").as_path(), &files)] {
            let all = ["--in", text(from), "--out", text(to), "--stats", text(&stats), "--trace", text(&trace)];
            let ran = vv(&[&["map", "--backend", backend, &example("misbehave.wasm")], &all[..]].concat());
            assert_eq!(ran.code, Some(1), "{}", ran.err);
            assert!(ran.err.contains("160 of 400 inputs failed") && !ran.err.contains("then failed"), "{}", ran.err);
        }
        let mut outputs = vec![fs::read_to_string(&lines).expect("lines")];
        outputs.extend((0..400).filter_map(|i| fs::read_to_string(files.join(format!("{}/{i}", i % 3))).ok()));
        assert_eq!(outputs.len(), 241);
        given.push(outputs);

        let json = |path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).expect("a file")).expect("JSON");
        let (stats, trace) = (json(&stats), json(&trace));
        assert_eq!((&stats["inputs"], &stats["failed"]), (&400.into(), &160.into()));
        if let Some((one, other)) = backend.split_once(',') {
            let devices = stats["devices"].as_array().expect("a list");
            let inputs: Vec<_> = devices.iter().filter_map(|device| device["inputs"].as_u64()).collect();
            assert_eq!((inputs.len(), inputs.iter().sum::<u64>()), (2, 400), "{stats}");
            let second = if one == other { "cpu:0 (no. 2)" } else { "cpu:0" };
            assert_eq!(devices[1]["name"], second);
            assert_eq!(trace[3]["args"]["name"], second);
        } else {
            assert!(stats["backend"].is_string() || stats["devices"].is_array(), "{stats}");
        }
    }
    assert!(given.iter().all(|outputs| *outputs == given[0]), "{given:?}");
}

#[test]
fn a_device_that_fails_loses_no_input() {
    let temp = folder();
    let at = |name: &str| temp.path().join(name);
    for i in 0..400 {
        write(at("in").join(format!("{i}")), format!("ok\ninput {i}\n"));
    }
    for (backend, after) in [("cpu,cpu", 0), ("cpu,cpu", 4), ("cpu,cpu", 13), ("opencl,cpu", 7)] {
        if backend.contains("opencl") && missing("opencl") {
            continue;
        }
        let (out, program, inputs) = (at(&format!("{backend}-{after}")), example("misbehave.wasm"), at("in"));
        let words = ["map", "--backend", backend, "--vms", "16", &program, "--in", text(&inputs), "--out", text(&out)];
        let fails = format!("cuda:3=7,{}:0={after}", backend.split(',').next().unwrap_or_default());
        let ran = ended(start_with(&[("VECTORVISOR_FAIL_AFTER", &fails)], &words));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        // Where the other device ends all before, none fails.
        let failed = ran.err.matches("is lost, as VECTORVISOR_FAIL_AFTER says; the other devices ").count();
        assert!(failed == 1 || failed == 0 && !ran.err.contains("then failed"), "{}", ran.err);
        assert_eq!(fs::read_dir(&out).expect("outputs").count(), 400);
        for i in 0..400 {
            assert_eq!(fs::read_to_string(out.join(format!("{i}"))).expect("an output"), format!("input {i}\n"));
        }
    }
}

#[test]
fn a_server_goes_on_without_a_device_that_fails() {
    let program = example("misbehave.wasm");
    let words = ["serve", "--backend", "cpu,cpu", "--fleets", "2", "--vms", "16", "--listen", "127.0.0.1:0", &program];
    let mut server = start_with(&[("VECTORVISOR_FAIL_AFTER", "cpu:0=12")], &words);
    let mut log = BufReader::new(server.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("listening") {
        assert!(log.read_line(&mut said).expect("it writes") > 0, "{said}");
    }
    let address = said.split_once("http://").and_then(|(_, rest)| rest.split_once(';')).expect("an address").0;
    let ask = |head: &str, body: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let length = body.len();
        write!(stream, "{head} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    let lines: String = (0..1000).map(|i| format!("{}\n", serde_json::json!({"stdin": format!("ok\n{i}.")}))).collect();
    let batch = "POST /batch HTTP/1.1\r\ncontent-type: application/x-ndjson\r\nx-a:";
    let answers = ask(batch, &lines);
    for i in 0..1000 {
        assert_eq!(answers.matches(&format!("\"stdout\":\"{i}.\"")).count(), 1, "{i}: {answers}");
    }
    let metrics = ask("GET /metrics", "");
    let ready = metrics.lines().filter(|line| line.starts_with("vectorvisor_device_ready{") && line.ends_with(" 1"));
    assert_eq!(ready.count(), 2, "{metrics}");
    let kill = std::process::Command::new("kill").arg(server.id().to_string()).status();
    assert!(kill.expect("there is a kill").success());
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
    log.read_to_string(&mut said).expect("UTF-8");
    assert!(said.contains("is lost, as VECTORVISOR_FAIL_AFTER says"), "{said}");
}

/// As under `nohup`; what these tests start ignores them, too.
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask").trim();
    u64::from_str_radix(ignored, 16).expect("a number") & 1 != 0
}

#[test]
fn what_was_delivered_before_an_interrupt_stands() {
    for (folder_out, signal, backend) in [
        (true, "-INT", "cpu"),
        (false, "-TERM", "cpu"),
        (true, "-INT", "cpu,cpu"),
        (true, "-HUP", "cpu"),
        (true, "-TERM", "opencl"),
        (false, "-INT", "opencl"),
    ] {
        if missing(backend) || signal == "-HUP" && hangups_are_ignored() {
            continue;
        }
        let temp = folder();
        let at = |name: &str| temp.path().join(name);
        write(at("in/1"), "ok\nfirst\n");
        write(at("in/2"), "loop");
        let (out, seen) = if folder_out { ("out", "out/1") } else { ("out.jsonl", "out.jsonl.partial") };
        let child = start(&[
            "map",
            "--backend",
            backend,
            "--lanes",
            "1",
            "--vms",
            "1",
            &example("misbehave.wasm"),
            "--in",
            text(&at("in")),
            "--out",
            text(&at(out)),
        ]);
        for _ in 0..2400 {
            if at(seen).exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.expect("there is a kill").success());
        let ran = ended(child);
        assert_eq!(ran.code, Some(130), "{}", ran.err);
        if folder_out {
            assert!(ran.err.contains("inputs that had ended: 1, that had begun: 1"), "{}", ran.err);
            assert_eq!(fs::read_to_string(at(seen)).expect("an output"), "first\n");
        } else {
            assert!(ran.err.contains("incomplete") && at(seen).exists() && !at(out).exists(), "{}", ran.err);
        }
    }
}

/// Reads a byte: `l` loops for ever, all but `a` spin for 2 s, all but `m` recurse deeper than a VM's first call stack.
/// Prints its data segment, and what a counter in memory that was zero has become.
const RUNS_AGAIN: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\01\00\00\10\00\00\00")
  (data (i32.const 64) "data is here\n")
  (data (i32.const 32) "\40\00\00\00\0d\00\00\00")
  (func $now (result i64) (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 512))) (i64.load (i32.const 512)))
  (func $deep (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0))))
  (func $spin (local $t i64)
    (local.set $t (i64.add (call $now) (i64.const 2000000000)))
    (loop $l (br_if $l (i64.lt_u (call $now) (local.get $t)))))
  (func (export "_start") (local $c i32)
    (i32.store (i32.const 16) (i32.const 256))
    (i32.store (i32.const 20) (i32.const 1))
    (drop (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
    (local.set $c (i32.load8_u (i32.const 256)))
    (if (i32.eq (local.get $c) (i32.const 108)) (then (loop $ever (br $ever))))
    (if (i32.ne (local.get $c) (i32.const 97)) (then (call $spin)))
    (if (i32.ne (local.get $c) (i32.const 109)) (then (drop (call $deep (i32.const 10000)))))
    (i32.store (i32.const 48) (i32.add (i32.load (i32.const 48)) (i32.const 1)))
    (i32.store (i32.const 52) (i32.load (i32.const 48)))
    (i32.store (i32.const 52) (i32.add (i32.const 48) (i32.load (i32.const 48))))
    (i32.store (i32.const 40) (i32.const 52)) (i32.store (i32.const 44) (i32.const 1))
    (drop (call $fd_write (i32.const 1) (i32.const 32) (i32.const 2) (i32.const 24)))))"#;

#[test]
fn what_runs_again_for_several_reasons_begins_with_fresh_memory() {
    let temp = folder();
    let program = write(temp.path().join("again.wat"), RUNS_AGAIN);
    let input = b"{\"stdin\":\"a\"}\n{\"stdin\":\"l\"}\n{\"stdin\":\"m\"}\n{\"stdin\":\"s\"}\n";
    let ran = vv_in(input, &["map", "-q", "--timeout", "3s", "--lanes", "1", "--in", "-", "--out", "-", &program]);
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}{}", ran.out, ran.err);
    for line in [lines[0], lines[2], lines[3]] {
        assert!(line.contains(r#""stdout":"data is here\n1""#), "{line}");
    }
    assert!(lines[1].contains("out of time"), "{}", lines[1]);
}
