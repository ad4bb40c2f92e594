//! A program that is interpreted until it is compiled: every input ends once, and as if nothing had happened.

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectorvisor::{
    Autotuning, CachePolicy, End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions, Stage, Value,
};

/// A program with so much code that one core compiles for seconds: `work` counts to its argument and calls one of many
/// functions. Calls are what interpreters are slowest at.
fn text() -> String {
    text_with("")
}

/// The same, with more in the module.
fn text_with(more: &str) -> String {
    let mut text = String::from("(module (memory (export \"memory\") 1) (type $t (func (param i64) (result i64)))\n");
    let names: Vec<String> = (0..160).map(|n| format!("$f{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        _ = write!(text, "(func {name} (param i64) (result i64) (local i64)");
        for step in 0..12 {
            let at = n * 64 + step * 8;
            _ = write!(
                text,
                "(local.set 1 (i64.xor (i64.mul (local.get 0) (i64.const {})) (i64.load (i32.const {at}))))
                 (i64.store (i32.const {at}) (i64.rotl (local.get 1) (i64.const {step})))",
                n * 1_000_003 + step
            );
        }
        text.push_str("(local.get 1))\n");
    }
    _ = write!(text, "(table funcref (elem {}))", names.join(" "));
    text.push_str(
        r#"(func $step (param i64 i64) (result i64)
             (i64.rotl (i64.add (local.get 0) (local.get 1)) (i64.const 7)))
           (func $work (export "work") (param $times i64) (result i64) (local $n i64) (local $sum i64)
             (loop $more
               (local.set $sum (call $step (call $step (local.get $sum) (local.get $n)) (local.get $times)))
               (local.set $n (i64.add (local.get $n) (i64.const 1)))
               (br_if $more (i64.lt_u (local.get $n) (local.get $times))))
             (i64.add (local.get $sum)
               (call_indirect (type $t) (local.get $n)
                 (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 160))))))"#,
    );
    text + more + ")"
}

fn engine() -> Engine {
    common::engine(|info| info.parallel_tiles = 1).0
}

fn options(cache: &Path) -> ProgramOptions {
    ProgramOptions { cache: CachePolicy::Dir(cache.into()), heap: Some(1 << 17), ..Default::default() }
}

/// The program, and whether it is interpreted for now.
fn tiered(engine: &Engine, options: &ProgramOptions) -> (Program, bool) {
    tiered_of(engine, &text(), options)
}

fn tiered_of(engine: &Engine, text: &str, options: &ProgramOptions) -> (Program, bool) {
    let mut interpreting = false;
    let program = Program::tiered(engine, text.as_bytes(), options, &mut |stage| {
        interpreting |= stage == Stage::Interpreting;
    });
    (program.expect("the program compiles"), interpreting)
}

fn input(times: i64) -> Input {
    Input::args(vec![Value::I64(times)])
}

/// The results of inputs, each of which must end once, by exiting.
fn run(fleet: &mut Fleet, times: &[i64]) -> (Vec<Value>, usize) {
    let mut values = vec![None; times.len()];
    let mut inputs = times.iter().map(|times| input(*times));
    let mut sink = |outcome: vectorvisor::Outcome| {
        assert_eq!(outcome.end, End::Exit(0), "input {}", outcome.index);
        assert_eq!(values[outcome.index].replace(outcome.values[0]), None, "input {} ends once", outcome.index);
    };
    let ran = fleet.run_autotuned("work", Autotuning::Auto, Some(times.len()), &mut inputs, &mut sink, &mut |_| {});
    let summary = ran.expect("the run ends");
    assert_eq!((summary.inputs, summary.delivered), (times.len(), times.len()));
    (values.into_iter().map(|value| value.expect("a value")).collect(), summary.interpreted)
}

/// Inputs that take an interpreter far longer than the compiler, and more than the time that they may take; between them
/// many that are short.
const TIMES: [i64; 8] = [300_000_000, 3, 300_000_001, 5, 1, 2, 300_000_007, 4];

#[test]
fn goes_on_compiled_and_later_runs_begin_so() {
    let cache = tempfile::tempdir().expect("a folder");
    let (engine, options) = (engine(), options(cache.path()));
    let limited = FleetOptions { timeout: Some(Duration::from_secs(3)), vms: Some(3), ..FleetOptions::default() };
    let (program, interpreting) = tiered(&engine, &options);
    assert!(interpreting);
    let mut fleet = Fleet::new(&program, &limited, Some(TIMES.len())).expect("a fleet");
    let (values, interpreted) = run(&mut fleet, &TIMES);
    assert!(interpreted < TIMES.len(), "{interpreted}");
    assert!(!fleet.program().options().interpret);
    // The same fleet goes on, and a later one is compiled from the beginning.
    assert_eq!(run(&mut fleet, &TIMES), (values.clone(), 0));
    let (program, interpreting) = tiered(&engine, &options);
    assert!(!interpreting && program.cached());
    let mut fleet = Fleet::new(&program, &limited, Some(TIMES.len())).expect("a fleet");
    assert_eq!(run(&mut fleet, &TIMES), (values, 0));
}

#[test]
fn a_start_function_that_is_too_slow_for_the_interpreter_waits_for_the_compiler() {
    let cache = tempfile::tempdir().expect("a folder");
    let start = "(func $start (drop (call $work (i64.const 300000000)))) (start $start)";
    let (program, interpreting) = tiered_of(&engine(), &text_with(start), &options(cache.path()));
    assert!(interpreting);
    // Less than the compiler takes, too.
    let limited = FleetOptions { timeout: Some(Duration::from_millis(400)), ..FleetOptions::default() };
    let mut fleet = Fleet::new(&program, &limited, Some(2)).expect("a fleet");
    assert_eq!(run(&mut fleet, &[1, 2]).1, 0);
}

#[test]
fn a_compiler_that_fails_beside_a_run_is_told() {
    let cache = tempfile::tempdir().expect("a folder");
    let (engine, faults) = common::engine(|info| info.parallel_tiles = 1);
    // After the interpreter.
    faults.compiles.store(1, Ordering::SeqCst);
    let (program, interpreting) = tiered(&engine, &options(cache.path()));
    assert!(interpreting);
    let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(1)).expect("a fleet");
    let mut warnings = Vec::new();
    while warnings.is_empty() {
        let mut tell = |stage: Stage<'_>| {
            if let Stage::Warning(text) = stage {
                warnings.push(text.to_string());
            }
        };
        let ran = fleet.run_autotuned(
            "work",
            Autotuning::Auto,
            Some(1),
            &mut std::iter::once(input(1)),
            &mut |_| {},
            &mut tell,
        );
        assert_eq!(ran.expect("the run ends").interpreted, 1);
    }
    assert!(warnings[0].contains("the compiler is broken"), "{warnings:?}");
    assert!(fleet.program().options().interpret);
}

#[test]
fn short_runs_are_interpreted_for_as_long_as_compiling_takes() {
    let cache = tempfile::tempdir().expect("a folder");
    let options = options(cache.path());
    let times: Vec<i64> = (0..200).collect();
    let mut first = None;
    // Each in a process of its own, as it were: none has the compiler's work of the one before. (They all compile, so the
    // first that ends may put it into the cache.)
    for _ in 0..4 {
        let engine = engine();
        let (program, interpreting) = tiered(&engine, &options);
        let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(times.len())).expect("a fleet");
        let (values, interpreted) = run(&mut fleet, &times);
        assert_eq!(first.get_or_insert_with(|| values.clone()), &values);
        assert!(interpreting || interpreted == 0);
    }
    let entries = std::fs::read_dir(cache.path()).expect("the cache").flatten();
    assert!(entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("interpreted-")));
}

#[test]
fn what_is_short_or_asked_for_otherwise_has_one_tier() {
    let cache = tempfile::tempdir().expect("a folder");
    let engine = engine();
    let stages = |text: &str, options: &ProgramOptions| {
        let mut interpreting = false;
        let program = Program::tiered(&engine, text.as_bytes(), options, &mut |stage| {
            interpreting |= stage == Stage::Interpreting
        });
        (program.expect("the program compiles").options().interpret, interpreting)
    };
    let usual = options(cache.path());
    assert_eq!(stages("(module (func (export \"f\")))", &usual), (false, false));
    assert_eq!(stages(&text(), &ProgramOptions { interpret: true, ..usual }), (true, false));
}
