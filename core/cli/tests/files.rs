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
        for more in [&[][..], &["--lanes", "32"], &["--force-framed"]] {
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
