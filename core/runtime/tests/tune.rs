//! Trials of several ways to make a program: the choice is remembered, and used by whoever left it open.

mod common;

use std::path::Path;
use std::time::Duration;
use vectorvisor::{CachePolicy, End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions, Trial, Value};

const FACTORIAL: &str = include_str!("../../examples/factorial.wat");

fn options(cache: &Path) -> ProgramOptions {
    ProgramOptions { lanes: Some(32), cache: CachePolicy::Dir(cache.into()), heap: Some(1 << 17), ..Default::default() }
}

fn program(engine: &Engine, options: &ProgramOptions) -> Program {
    Program::new(engine, FACTORIAL.as_bytes(), options, &mut |_| {}).expect("the program compiles")
}

fn tune(program: &Program, fleet: &FleetOptions) -> vectorvisor::Result<Trial> {
    let inputs: Vec<_> = (0..40).map(|n| Input::args(vec![Value::I64(n % 20)])).collect();
    program.tune(fleet, "factorial", &inputs, &mut |_| {})
}

#[test]
fn the_choice_is_remembered_and_used() {
    let (engine, _) = common::engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let open = options(temp.path());
    let first = program(&engine, &open);
    assert!(first.tunable() && first.tuning().is_none() && first.compile_time().is_some());
    assert_eq!(first.options().interleave, Some(8));
    let trial = tune(&first, &FleetOptions::default()).expect("a trial");
    let tried: Vec<_> = trial.tried.iter().map(|(tuning, time)| (tuning.interleave, time.is_ok())).collect();
    assert_eq!(tried, [8, 16, 4, 32, 0].map(|cell| (cell, true)));
    assert_eq!(trial.program.options().interleave, Some(trial.tuning.interleave));

    // On the cpu any may win; what counts is that later programs follow it.
    let later = program(&engine, &open);
    assert_eq!((later.tuning(), later.options().interleave), (Some(trial.tuning), Some(trial.tuning.interleave)));
    assert!(later.cached());
    let mut fleet = Fleet::new(&later, &FleetOptions::default(), None).expect("there is room");
    let mut ends = Vec::new();
    let mut inputs = (0..40).map(|_| Input::args(vec![Value::I64(5)]));
    fleet.run("factorial", &mut inputs, &mut |o| ends.push((o.end, o.values))).expect("a run");
    assert_eq!(ends, vec![(End::Exit(0), vec![Value::I64(120)]); 40]);

    // Options that leave nothing open, or other options, do not know of it.
    let fixed = program(&engine, &ProgramOptions { interleave: Some(8), ..open.clone() });
    assert_eq!((fixed.tunable(), fixed.tuning(), fixed.options().interleave), (false, None, Some(8)));
    assert!(tune(&fixed, &FleetOptions::default()).is_err_and(|e| e.to_string().contains("nothing to try")));
    let other = program(&engine, &ProgramOptions { heap: Some(1 << 20), ..open });
    assert_eq!(other.tuning(), None);
}

#[test]
fn a_tile_of_one_has_no_layout_to_choose() {
    let (engine, _) = common::engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let alone = program(&engine, &ProgramOptions { lanes: Some(1), ..options(temp.path()) });
    assert!(!alone.tunable());
}

#[test]
fn a_trial_unasked_needs_a_gpu_and_thousands_of_inputs_and_a_cache() {
    let temp = tempfile::tempdir().expect("a folder");
    let open = options(temp.path());
    let (cpu, _) = common::engine(|_| ());
    assert!(!program(&cpu, &open).worth_tuning(1 << 20));
    let (gpu, _) = common::engine(|info| info.kind = vectorvisor::DeviceKind::Gpu);
    let first = program(&gpu, &open);
    assert!(first.worth_tuning(1 << 20) && !first.worth_tuning(100));
    assert!(program(&gpu, &open).worth_tuning(1 << 20), "its time to compile is in the cache");
    assert!(!program(&gpu, &ProgramOptions { cache: CachePolicy::Off, ..open.clone() }).worth_tuning(1 << 20));
    tune(&first, &FleetOptions::default()).expect("a trial");
    assert!(!program(&gpu, &open).worth_tuning(1 << 20));
}

#[test]
fn what_a_trial_runs_ends_as_the_options_say() {
    let (engine, _) = common::engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let stopped = FleetOptions { fuel: Some(3), timeout: Some(Duration::from_secs(60)), ..Default::default() };
    let trial = tune(&program(&engine, &options(temp.path())), &stopped).expect("a trial");
    assert!(trial.tried.iter().all(|(_, time)| time.is_ok()), "{:?}", trial.tried);
}

#[test]
fn other_outcomes_than_the_defaults_are_out() {
    let (engine, _) = common::engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let text = r#"(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (memory (export "memory") 1 1)
      (func (export "now") (result i64)
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8)))
        (i64.load (i32.const 8))))"#;
    let program =
        Program::new(&engine, text.as_bytes(), &options(temp.path()), &mut |_| {}).expect("the program compiles");
    let trial = program.tune(&FleetOptions::default(), "now", &[Input::default()], &mut |_| {}).expect("a trial");
    let kept: Vec<_> =
        trial.tried.iter().filter(|(_, time)| time.is_ok()).map(|(tuning, _)| tuning.interleave).collect();
    assert_eq!((kept, trial.tuning.interleave), (vec![8], 8));
}
