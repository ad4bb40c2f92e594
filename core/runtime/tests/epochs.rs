//! Inputs that run again after their guests have changed files on a disk: each change is made once, and what the guest
//! saw stays as it was.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;
use vectorvisor::{
    Alignment, Autotuning, CachePolicy, CancelHandle, DeviceKind, Devices, End, Engine, Files, FilesAt, Fleet,
    FleetOptions, Input, Opt, Outcome, Program, ProgramOptions, TrapKind,
};

const GUEST: &str = include_str!("guests/appends.wat");

/// A cpu with room for few VMs that have all memory.
fn scarce() -> Engine {
    common::engine(|info| info.memory = 300 << 20).0
}

fn options() -> ProgramOptions {
    ProgramOptions {
        lanes: Some(8),
        alignment: Some(Alignment::Natural),
        cache: CachePolicy::Off,
        files: FilesAt::Disk,
        ..ProgramOptions::default()
    }
}

fn program(engine: &Engine, options: &ProgramOptions) -> Program {
    Program::new(engine, GUEST.as_bytes(), options, &mut |_| {}).expect("the program compiles")
}

/// Gives guests the folder, which they may change.
fn given(folder: &Path) -> FleetOptions {
    let mut files = Files::new();
    files.add_folder(folder, "given", true).expect("a folder");
    files.take_snapshot(1 << 20);
    assert_eq!(files.at(), FilesAt::Disk);
    FleetOptions { files: Some(Arc::new(files)), vms: Some(64), seed: Some(3), ..FleetOptions::default() }
}

/// Runs inputs, which are also the names of their files; gives outcomes in their order and the number of reruns.
fn run(fleet: &mut Fleet, names: &[String]) -> (Vec<Outcome>, u64) {
    let mut outcomes = BTreeMap::new();
    let mut inputs = names.iter().map(|name| Input::stdin(name.clone()));
    let summary = fleet.run("_start", &mut inputs, &mut |outcome| {
        let before = outcomes.insert(outcome.index, outcome);
        assert!(before.is_none(), "delivered twice: {before:?}");
    });
    let summary = summary.expect("the run ends");
    assert_eq!((outcomes.len(), summary.inputs), (names.len(), names.len()));
    (outcomes.into_values().collect(), summary.reruns)
}

/// What a guest has left in the folder, and told, is what it does when it runs once; `middle` is what it writes between.
fn did_it_once(folder: &Path, name: &str, middle: &[u8], outcome: &Outcome) {
    assert_eq!(outcome.end, End::Exit(0), "{name}");
    let told = outcome.stdout.last_chunk::<24>().expect("what it tells");
    let file = fs::read(folder.join(format!("F{name}"))).expect("its file");
    let expected = [name.as_bytes(), &told[..16], middle, name.as_bytes()].concat();
    assert!(file == expected, "{name}: {file:?} instead of {expected:?}");
    assert_eq!(told[16..], (file.len() as u64).to_le_bytes(), "{name}");
    assert!(folder.join(format!("D{name}")).is_dir() && !folder.join(name).exists(), "{name}");
}

/// Names that begin with these letters by turns.
fn names(letters: &str, count: usize) -> Vec<String> {
    letters.chars().cycle().take(count).enumerate().map(|(n, letter)| format!("{letter}-{n}")).collect()
}

const LETTERS: &str = "auUmosrd";

/// What a guest writes in the middle.
fn middle(name: &str) -> &'static [u8] {
    if name.starts_with(['U', 'm']) { b"what" } else { b"" }
}

#[test]
fn what_runs_again_changes_files_once() {
    let engine = scarce();
    let with = |opts: &[Opt]| opts.iter().copied().collect();
    let interpreted = ProgramOptions { interpret: true, ..options() };
    let shared = ProgramOptions { with: with(&[Opt::SharedData]), ..options() };
    let framed = ProgramOptions { without: with(&[Opt::NativeRecursion]), ..options() };
    let linear = ProgramOptions { lanes: Some(1), ..framed.clone() };
    // Those that run again for each reason alone, too.
    let ways = [(interpreted, "m"), (shared, "uUmosd"), (framed, "r"), (linear, "")];
    for (options, alone) in ways {
        let cache = tempfile::tempdir().expect("a folder");
        let cache = CachePolicy::Dir(cache.path().into());
        let program = program(&engine, &ProgramOptions { cache, ..options });
        for letters in std::iter::once(LETTERS).chain(alone.split("").filter(|letter| !letter.is_empty())) {
            let temp = tempfile::tempdir().expect("a folder");
            let mut fleet = Fleet::new(&program, &given(temp.path()), None).expect("there is room");
            let names = names(letters, if letters == LETTERS { 200 } else { 40 });
            let (outcomes, reruns) = run(&mut fleet, &names);
            for (name, outcome) in names.iter().zip(&outcomes) {
                did_it_once(temp.path(), name, middle(name), outcome);
                let more = if name.starts_with('o') { 16 * 40_000 } else { 0 };
                assert_eq!(outcome.stdout.len(), more + 24, "{name}");
            }
            assert!(reruns >= 8, "{letters}: {reruns} ran again");
        }
    }
}

/// Nothing is left of what a guest did in its own folder, so it begins afresh, with another clock.
#[test]
fn a_folder_in_memory_begins_anew() {
    let mut files = Files::new();
    files.add_scratch("given", 1 << 20);
    assert_eq!(files.at(), FilesAt::Host);
    let given = FleetOptions { files: Some(Arc::new(files)), vms: Some(64), ..FleetOptions::default() };
    let program = program(&scarce(), &ProgramOptions { files: FilesAt::Host, ..options() });
    let mut fleet = Fleet::new(&program, &given, None).expect("there is room");
    let names = names("auUmos", 60);
    let mut outcomes = BTreeMap::new();
    let mut inputs = names.iter().map(|name| Input { collect: vec![format!("F{name}")], ..Input::stdin(name.clone()) });
    let ran =
        fleet.run("_start", &mut inputs, &mut |outcome| assert!(outcomes.insert(outcome.index, outcome).is_none()));
    assert!(ran.expect("the run ends").reruns >= 20);
    for (name, outcome) in names.iter().zip(outcomes.values()) {
        let told = outcome.stdout.last_chunk::<24>().expect("what it tells");
        let expected = [name.as_bytes(), &told[..16], middle(name), name.as_bytes()].concat();
        assert_eq!(outcome.files, [(format!("F{name}"), expected)]);
    }
}

#[test]
fn the_exact_place_of_a_trap_is_found_without_doing_anything_again() {
    let temp = tempfile::tempdir().expect("a folder");
    let mut fleet = Fleet::new(&program(&scarce(), &options()), &given(temp.path()), None).expect("there is room");
    let names = names("ta", 40);
    let (outcomes, _) = run(&mut fleet, &names);
    let mut exact = 0;
    for (name, outcome) in names.iter().zip(&outcomes) {
        if name.starts_with('a') {
            did_it_once(temp.path(), name, b"", outcome);
            continue;
        }
        let End::Trap(trap) = &outcome.end else { panic!("{name}: {}", outcome.end) };
        assert_eq!(trap.kind, TrapKind::OutOfBoundsMemory);
        exact += usize::from(trap.exact);
        assert_eq!(fs::read(temp.path().join(name)).expect("its file").len(), name.len() + 16, "{name}");
    }
    assert_eq!(exact, FleetOptions::default().exact_reruns);
}

#[test]
fn who_is_told_too_much_to_log_runs_again_where_it_need_not_once_more() {
    let engine = scarce();
    let temp = tempfile::tempdir().expect("a folder");
    let mut fleet = Fleet::new(&program(&engine, &options()), &given(temp.path()), None).expect("there is room");
    let names = names("al", 6);
    for name in names.iter().filter(|name| name.starts_with('l')) {
        fs::write(temp.path().join(name), vec![7; 1 << 20]).expect("a file to append to");
    }
    let (outcomes, reruns) = run(&mut fleet, &names);
    for (name, outcome) in names.iter().zip(&outcomes) {
        if name.starts_with('a') {
            did_it_once(temp.path(), name, b"", outcome);
            continue;
        }
        assert_eq!(outcome.end, End::Exit(0), "{name}");
        let file = fs::read(temp.path().join(format!("F{name}"))).expect("its file");
        assert_eq!(file.len(), (1 << 20) + 2 * name.len() + 16, "{name}");
    }
    // Of each of the others one run for more memory at first, and one since its log was full.
    assert!((3..=9).contains(&reruns), "{reruns} ran again");
}

/// Only a caller who says that guests cannot change files, and then lets them, has a guest that sees another clock.
#[test]
fn who_does_something_else_the_second_time_fails() {
    let temp = tempfile::tempdir().expect("a folder");
    let options = ProgramOptions { files: FilesAt::Host, ..options() };
    let mut fleet = Fleet::new(&program(&scarce(), &options), &given(temp.path()), None).expect("there is room");
    let names = names("au", 20);
    let (outcomes, _) = run(&mut fleet, &names);
    for (name, outcome) in names.iter().zip(&outcomes) {
        if name.starts_with('a') {
            did_it_once(temp.path(), name, b"", outcome);
            continue;
        }
        let End::Failed(why) = &outcome.end else { panic!("{name}: {}", outcome.end) };
        assert!(why.starts_with("not repeatable: ") && why.ends_with("fd_write with other arguments"), "{why}");
    }
}

#[test]
fn victims_of_a_timeout_change_files_once() {
    let (engine, faults) = common::engine(|info| info.kind = DeviceKind::Gpu);
    faults.in_step.store(true, Ordering::SeqCst);
    let temp = tempfile::tempdir().expect("a folder");
    let more = given(temp.path());
    let limited = FleetOptions { timeout: Some(Duration::from_secs(1)), vms: Some(8), vms_per_warp: Some(8), ..more };
    let mut fleet = Fleet::new(&program(&engine, &options()), &limited, None).expect("there is room");
    let names: Vec<String> = "eaaaaaaa".chars().enumerate().map(|(n, letter)| format!("{letter}-{n}")).collect();
    let (outcomes, reruns) = run(&mut fleet, &names);
    assert!(matches!(outcomes[0].end, End::Timeout(_)), "{}", outcomes[0].end);
    assert_eq!(fs::read(temp.path().join(&names[0])).expect("its file").len(), names[0].len() + 16);
    for (name, outcome) in names.iter().zip(&outcomes).skip(1) {
        did_it_once(temp.path(), name, b"", outcome);
    }
    assert!(reruns >= 8, "{reruns} ran again");
}

#[test]
fn who_changed_files_goes_on_compiled() {
    // With so much code that one core compiles for seconds.
    let body =
        |n: usize| (0..150).map(move |step| format!("(local.set 0 (i64.rotl (local.get 0) (i64.const {})))", n + step));
    let functions = (0..160).map(|n| {
        let steps: String = body(n).collect();
        format!("(func $f{n} (export \"f{n}\") (param i64) (result i64) {steps} (local.get 0))")
    });
    let text = GUEST.trim_end().strip_suffix(')').expect("a module").to_owned() + &functions.collect::<String>() + ")";
    let (engine, _) = common::engine(|info| info.parallel_tiles = 1);
    let (temp, cache) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
    let options = ProgramOptions { cache: CachePolicy::Dir(cache.path().into()), ..options() };
    let program = Program::tiered(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles");
    assert!(program.options().interpret);
    let limited = FleetOptions { timeout: Some(Duration::from_secs(2)), ..given(temp.path()) };
    let mut fleet = Fleet::new(&program, &limited, None).expect("there is room");
    let names = names("az", 4);
    let (outcomes, _) = run(&mut fleet, &names);
    for (name, outcome) in names.iter().zip(&outcomes) {
        did_it_once(temp.path(), name, b"", outcome);
    }
    assert!(!fleet.program().options().interpret, "it is compiled by then");
}

#[test]
fn what_a_device_that_fails_had_begun_is_not_done_again() {
    for after in [6, 20] {
        let temp = tempfile::tempdir().expect("a folder");
        let cancel = CancelHandle::default();
        let (ready, fleets) = channel();
        for device in 0..2 {
            let (engine, faults) = common::engine(|info| info.parallel_tiles = 2);
            let cache = CachePolicy::Dir(env!("CARGO_TARGET_TMPDIR").into());
            let program = program(&engine, &ProgramOptions { cache, ..options() });
            let fleet_options = FleetOptions { vms: Some(16), ..given(temp.path()) };
            let fleet = Fleet::with_cancel(&program, &fleet_options, None, cancel.clone()).expect("there is room");
            if device == 0 {
                faults.launches.store(after, Ordering::SeqCst);
            } else {
                faults.slow.store(500, Ordering::SeqCst);
            }
            ready.send((device, Ok((fleet, Autotuning::Auto)))).expect("it waits");
        }
        drop(ready);
        let device_names: Vec<String> = (0..2).map(|i| format!("test:{i}")).collect();
        let devices = Devices { names: &device_names, fleets: &fleets, cancel: &cancel, seed: Some(3) };
        let names = names(LETTERS, 100);
        let mut outcomes = BTreeMap::new();
        let ran = devices.run(
            "_start",
            Some(names.len()),
            &mut names.iter().map(|name| Input::stdin(name.clone())),
            &mut |outcome| assert!(outcomes.insert(outcome.index, outcome).is_none()),
            &mut |_, _| (),
        );
        let (summary, devices) = ran.expect("the other goes on");
        assert!(devices[0].failed.is_some() && summary.delivered == names.len(), "after {after}: {devices:?}");
        for (name, outcome) in names.iter().zip(outcomes.values()) {
            did_it_once(temp.path(), name, middle(name), outcome);
        }
    }
}
