//! Guests with files: `--dir` and `--scratch`.

mod common;

use common::{folder, missing, text, vv, write};
use std::fs;

fn guest(name: &str) -> String {
    format!("{}/tests/guests/{name}.wat", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a guest in 33 VMs; what all of them print, which is the same, and their exit code.
fn run(backend: &str, options: &[&str], guest_and_args: &[&str]) -> (Option<i32>, String) {
    let words = [&["run", "-q", "--vms", "33", "--all", "--backend", backend], options, guest_and_args].concat();
    let ran = vv(&words);
    let mut printed = vec![String::new(); 33];
    for line in ran.out.lines() {
        let (vm, line) = line.strip_prefix('[').and_then(|line| line.split_once("] ")).expect("a label");
        let text = &mut printed[vm.parse::<usize>().expect("a number")];
        *text = if text.is_empty() { line.into() } else { std::mem::take(text) + "\n" + line };
    }
    let first = printed.swap_remove(0);
    assert!(printed.iter().all(|text| *text == first), "{words:?}\n{}", ran.err);
    (ran.code, first)
}

#[test]
fn a_guest_reads_the_file_that_its_argument_names() {
    let temp = folder();
    let lines: Vec<String> = (0..20_000).map(|n| format!("line {n}")).collect();
    let (short, long) = (lines[..9].join("\n"), lines.join("\n"));
    write(temp.path().join("data/short.txt"), &short);
    write(temp.path().join("data/below/long.txt"), &long);
    write(temp.path().join("secret.txt"), "secret");
    std::os::unix::fs::symlink("../secret.txt", temp.path().join("data/out.txt")).expect("a link");
    let cat = guest("cat");
    let dir = format!("{}::data", temp.path().join("data").display());
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        let host = ["--dir-copy", "0"];
        for more in [&[][..], &host, &["--lanes", "32"], &["--force-framed"], &["--interpret"]] {
            let given = [&["--dir", &dir], more].concat();
            let read = |name| run(backend, &given, &[&cat, name]);
            assert_eq!(read("short.txt"), (Some(0), short.clone()), "{backend} {more:?}");
            assert!(read("below/long.txt") == (Some(0), long.clone()), "{backend} {more:?}");
            // `noent`, and `perm` for what lies outside.
            for (name, errno) in [("none", 44), ("../secret.txt", 63), ("out.txt", 63), ("/etc/passwd", 63)] {
                assert_eq!(read(name), (Some(errno), String::new()), "{backend} {more:?} {name}");
            }
        }
        assert_eq!(run(backend, &[], &[&cat, "short.txt"]), (Some(8), String::new()), "{backend} without --dir");
        assert_eq!(run(backend, &["--scratch", "1MiB"], &[&cat, "short.txt"]), (Some(44), String::new()));
    }
    fs::remove_dir_all(temp.path().join("data")).expect("nothing holds it");
    let gone = vv(&["run", "--dir", text(&temp.path().join("data")), &cat, "x"]);
    assert!(gone.code == Some(2) && gone.err.contains("the folder cannot be opened"), "{}", gone.err);
}

#[test]
fn map_gives_each_guest_its_own_arguments() {
    let temp = folder();
    let input = temp.path().join("in");
    for n in 0..40 {
        write(input.join(format!("below{}/f{n}.tar.gz", n % 3)), format!("content {n}"));
    }
    let (cat, out) = (guest("cat"), temp.path().join("out"));
    let library = format!("{}/../../wasi/cases/library.wasm", env!("CARGO_MANIFEST_DIR"));
    // Under the name that the folder has on the command line, and under that of the --dir it lies in.
    let dir = format!("{}::given", temp.path().display());
    for more in [&[][..], &["--dir", &dir]] {
        let words = ["map", "-q", &library, "--in", text(&input), "--out", text(&out)];
        let ran = vv(&[&words[..], more, &["--", "cat", "{}"]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        for n in 0..40 {
            let name = format!("below{}/f{n}.tar.gz", n % 3);
            assert_eq!(fs::read_to_string(out.join(name)).expect("an output"), format!("content {n}"));
        }
        fs::remove_dir_all(&out).expect("removed");
    }
    let below = input.join("below1");
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        let words = ["map", "-q", "--backend", backend, "--dir", text(&below), &cat, "--in", text(&below), "--out"];
        let ran = vv(&[&words[..], &[text(&out), "--", "{/}"]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        for n in (0..40).filter(|n| n % 3 == 1) {
            let content = fs::read_to_string(out.join(format!("f{n}.tar.gz"))).expect("an output");
            assert_eq!(content, format!("content {n}"));
        }
        fs::remove_dir_all(&out).expect("removed");
    }
    // Without a folder the errno of the guest, and what would help.
    let ran = vv(&["map", &cat, "--in", text(&below), "--out", text(&out), "--", "{/}"]);
    assert!(ran.code == Some(1) && ran.err.contains("--dir HOST gives it a folder"), "{}", ran.err);
}

#[test]
fn lines_give_arguments_files_and_collect_them() {
    let temp = folder();
    let lines: Vec<String> = (0..35)
        .map(|n| {
            let file =
                format!("\"dir/f{n}\":\"text {n}\",\"b\":{{\"base64\":\"/{}A=\"}}", if n % 2 == 0 { "w" } else { "x" });
            format!("{{\"args\":[\"dir/f{n}\"],\"files\":{{{file}}},\"env\":{{\"N\":\"{n}\"}}}}\n")
        })
        .collect();
    let (input, output) = (write(temp.path().join("in.jsonl"), lines.concat()), temp.path().join("out.jsonl"));
    let cat = guest("cat");
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        let words = ["map", "-q", "--backend", backend, "--scratch", "1MiB", "--collect", "dir/f{#}", "--collect", "b"];
        let ran = vv(&[&words[..], &[&cat, "--in", &input, "--out", text(&output)]].concat());
        // File `f{#}` counts from 1, so no guest has it.
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let words = ["map", "-q", "--backend", backend, "--scratch", "1MiB", "--collect", "b"];
        let ran = vv(&[&words[..], &[&cat, "--in", &input, "--out", text(&output)]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let lines = fs::read_to_string(&output).expect("outputs");
        for (n, line) in lines.lines().enumerate() {
            let b = if n % 2 == 0 { "/wA=" } else { "/xA=" };
            let expected = format!(
                "{{\"index\":{n},\"exit\":0,\"stdout\":\"text {n}\",\"files\":{{\"b\":{{\"base64\":\"{b}\"}}}}}}"
            );
            assert_eq!(line, expected);
        }
        let without = vv(&["map", "-q", "--backend", backend, &cat, "--in", &input, "--out", text(&output)]);
        assert!(without.code == Some(1) && without.err.contains("--scratch SIZE"), "{}", without.err);
    }
}

#[test]
fn a_guest_that_never_ends_takes_no_other_with_it() {
    let temp = folder();
    let input = temp.path().join("in");
    for n in 0..40 {
        write(input.join(format!("f{n}")), format!("content {n}"));
    }
    write(input.join("loop"), "");
    let (cat, out) = (guest("cat"), temp.path().join("out"));
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        for copy in ["64MiB", "0"] {
            let words =
                ["map", "-q", "--backend", backend, "--lanes", "32", "--timeout", "2s", "--dir", text(&input), &cat];
            let more = ["--dir-copy", copy, "--in", text(&input), "--out", text(&out), "--", "{/}"];
            let ran = vv(&[&words[..], &more].concat());
            assert!(ran.code == Some(1) && ran.err.contains("1 of 41 inputs failed"), "{backend}: {}", ran.err);
            for n in 0..40 {
                assert_eq!(fs::read_to_string(out.join(format!("f{n}"))).expect("an output"), format!("content {n}"));
            }
            fs::remove_dir_all(&out).expect("removed");
        }
    }
}

#[test]
fn folders_that_are_only_read_are_copied_to_the_device() {
    let temp = folder();
    let data = temp.path().join("data");
    write(data.join("f"), "content");
    let (cat, sha256) = (guest("cat"), common::example("sha256.wasm"));
    let (dir, written) = (format!("{}::data", data.display()), format!("{}::data:rw", data.display()));
    let plan = |options: &[&str]| vv(&[&["inspect", "--emit", "plan"], options].concat()).out;
    assert!(plan(&["--dir", &dir, &cat]).contains("\nfiles             on the device: 2 files in "));
    assert!(plan(&["--dir", &dir, &cat]).contains("none suspends the VM"));
    assert!(!plan(&["--dir", &dir, &sha256]).contains("\nfiles "));
    let refused: &[(&[&str], &str)] = &[
        (&["--dir", &written], "guests may change data (:rw)"),
        (&["--dir", &dir, "--scratch", "1MiB"], "each has a folder in memory (--scratch)"),
        (&["--dir", &dir, "--dir-copy", "0"], "no copy is wanted"),
        (&["--dir", &dir, "--dir-copy", "6"], "the files have more than 6 bytes"),
    ];
    for (options, why) in refused {
        let text = plan(&[*options, &[&*cat][..]].concat());
        assert!(text.contains(&format!("\nfiles             with the host: {why}\n")), "{why}: {text}");
        assert!(text.contains("some suspend the VM"), "{why}");
    }
    let (stats, out) = (temp.path().join("stats.json"), temp.path().join("out.jsonl"));
    let ran = |program: &str, copy: &str| {
        let words = ["map", "-q", "--dir", &dir, "--dir-copy", copy, "--range", "0..3", "--out", text(&out)];
        assert_eq!(vv(&[&words[..], &["--stats", text(&stats), program, "--", "f"]].concat()).code, Some(0));
        let stats: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&stats).expect("figures")).expect("JSON");
        (stats["files"].clone(), stats["files_why"].clone(), stats["launches"].clone())
    };
    assert_eq!(ran(&cat, "7"), ("device".into(), serde_json::Value::Null, 1.into()));
    let (place, why, launches) = ran(&cat, "6");
    assert_eq!((place, why), ("host".into(), "the files have more than 6 bytes".into()));
    assert!(launches.as_u64() > Some(1));
    assert!(ran(&sha256, "7").0.is_null());
    // What is no file, and names that no guest could use.
    std::os::unix::net::UnixListener::bind(data.join("socket")).expect("a socket");
    assert!(plan(&["--dir", &dir, &cat]).contains("data/socket is no file, folder or link"));
    fs::remove_file(data.join("socket")).expect("removed");
    use std::os::unix::ffi::OsStrExt as _;
    fs::write(data.join(std::ffi::OsStr::from_bytes(b"\xff")), "x").expect("a file");
    assert!(plan(&["--dir", &dir, &cat]).contains("has a name or target that is not UTF-8"));
}

#[test]
fn files_on_the_device_are_those_of_the_host() {
    let temp = folder();
    let data = temp.path().join("data");
    write(data.join("f"), "content");
    // One link more than a path may lead through.
    for n in 0..41 {
        let target = if n == 0 { "f".into() } else { format!("l{}", n - 1) };
        std::os::unix::fs::symlink(target, data.join(format!("l{n}"))).expect("a link");
    }
    for n in 0..300 {
        write(data.join(format!("many/{}", "x".repeat(n % 200 + 1) + &n.to_string())), "x");
    }
    write(data.join("large"), "0123456789abcdef".repeat(20_000));
    // Which root may read all the same.
    let locked = write(data.join("locked"), "content");
    fs::set_permissions(locked, std::os::unix::fs::PermissionsExt::from_mode(0o0)).expect("it is ours");
    let cat = guest("cat");
    let dir = format!("{}::data", data.display());
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        let read = |copy: &str, name: &str| run(backend, &["--dir", &dir, "--dir-copy", copy], &[&cat, name]);
        assert_eq!(read("64MiB", "l39"), (Some(0), "content".into()), "{backend}");
        assert_eq!(read("64MiB", "l40"), (Some(32), String::new()), "{backend}");
        assert_eq!(read("64MiB", &format!("many/{}17", "x".repeat(18))), (Some(0), "x".into()), "{backend}");
        for name in ["l40", "large", "locked", "many/x", "l0/x", "many/../l1"] {
            assert!(read("64MiB", name) == read("0", name), "{backend} {name}");
        }
        // So many descriptors: 64, of which 4 are there at first.
        assert_eq!(run(backend, &["--dir", &dir], &[&guest("open-many")]).0, Some(60), "{backend}");
        assert_eq!(run(backend, &["--dir", &dir, "--dir", "/"], &[&cat, "f"]), (Some(0), "content".into()));
    }
}

#[test]
fn what_a_guest_opened_before_its_first_request_is_open_at_each() {
    let temp = folder();
    write(temp.path().join("data/f"), "0123456789");
    let dir = format!("{}::data", temp.path().join("data").display());
    let requests: String = (0..40).map(|n| if n == 17 { "trap\n".into() } else { format!("request {n}\n") }).collect();
    let (input, output) = (write(temp.path().join("in.jsonl"), requests), temp.path().join("out.jsonl"));
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        for more in [&[][..], &["--interpret"]] {
            let words = ["map", "-q", "--backend", backend, "--dir", &dir, "--in", &input, "--out", text(&output)];
            let ran = vv(&[&words[..], more, &[&*guest("requests")]].concat());
            assert_eq!(ran.code, Some(1), "{backend}: {}", ran.err);
            for (n, line) in fs::read_to_string(&output).expect("outputs").lines().enumerate() {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                // A trap's exact place is that of another run, which has the same files.
                match n {
                    17 => assert!(line["error"].as_str().expect("a trap").contains("out of bounds memory"), "{line}"),
                    _ => assert_eq!(line["stdout"], "1234", "{backend} {n}: {line}"),
                }
            }
        }
    }
}

/// What `core/runtime/tests/epochs.rs` tests in detail, on every backend.
#[test]
fn what_runs_again_changes_a_folder_once() {
    let temp = folder();
    let guest = format!("{}/../runtime/tests/guests/appends.wat", env!("CARGO_MANIFEST_DIR"));
    let letters = ["a", "u", "U", "m", "o", "s", "r", "d", "t"];
    let names: Vec<String> = (0..90).map(|n| format!("{}-{n}", letters[n % letters.len()])).collect();
    let input = temp.path().join("in");
    names.iter().for_each(|name| _ = write(input.join(name), name));
    for backend in ["cpu", "opencl"].into_iter().filter(|backend| !missing(backend)) {
        let [disk, out, stats] = ["disk", "out", "stats"].map(|name| temp.path().join(format!("{backend}-{name}")));
        fs::create_dir(&disk).expect("a folder");
        let dir = format!("{}::given:rw", disk.display());
        let words = ["map", "-q", "--backend", backend, "--dir", &dir, "--alignment", "natural", "--no-cache"];
        // Not all of them have so much memory.
        let more = ["--opt", "shared-data", "--lanes", "8", "--vms", "96", "--heap", "256MiB"];
        let places = ["--in", text(&input), "--out", text(&out), "--stats", text(&stats)];
        let ran = vv(&[&words[..], &more, &places, &[&guest]].concat());
        assert_eq!(ran.code, Some(1), "{backend}: {}", ran.err);
        assert!(ran.err.contains("10 of 90 inputs failed"), "{backend}: {}", ran.err);
        for name in &names {
            if name.starts_with('t') {
                let file = fs::read(disk.join(name)).expect("its file");
                assert_eq!(file.len(), name.len() + 16, "{backend} {name}");
                continue;
            }
            let told = fs::read(out.join(name)).expect("an output");
            let told = told.last_chunk::<24>().expect("what it tells");
            let middle = if name.starts_with(['U', 'm']) { "what" } else { "" };
            let expected = [name.as_bytes(), &told[..16], middle.as_bytes(), name.as_bytes()].concat();
            assert_eq!(fs::read(disk.join(format!("F{name}"))).expect("its file"), expected, "{backend} {name}");
            assert_eq!(told[16..], (expected.len() as u64).to_le_bytes(), "{backend} {name}");
        }
        let stats: serde_json::Value = serde_json::from_slice(&fs::read(&stats).expect("figures")).expect("JSON");
        assert!(stats["reruns"].as_u64().is_some_and(|reruns| reruns >= 20), "{backend}: {stats}");
    }
}
