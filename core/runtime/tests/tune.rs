//! Autotuning: no outcome is lost, doubled or changed by it, and the choice is remembered.

mod common;

use common::Faults;
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use vectorvisor::{
    Autotuning, CachePolicy, DeviceInfo, DeviceKind, End, Engine, Error, Fleet, FleetOptions, Input, Measured, Outcome,
    Program, ProgramOptions, Stage, Summary, Tuner, Tuning, Value,
};

const FACTORIAL: &str = include_str!("../../examples/factorial.wat");

/// Returns a random number, after as many iterations of a loop as it is told.
const DRAW: &str = r#"(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "draw") (param $iterations i64) (result i64)
    (loop $more
      (i64.store (i32.const 16) (i64.add (i64.load (i32.const 16)) (local.get $iterations)))
      (br_if $more (i64.gt_s (local.tee $iterations (i64.sub (local.get $iterations) (i64.const 1))) (i64.const 0))))
    (drop (call $random (i32.const 8) (i32.const 8)))
    (i64.load (i32.const 8))))"#;

/// A device whose every launch takes long enough to tell candidates apart.
fn engine(change: impl Fn(&mut DeviceInfo) + Send + Sync + 'static) -> (Engine, Arc<Faults>) {
    let (engine, faults) = common::engine(change);
    faults.launches_take(|| 10_000_000);
    (engine, faults)
}

fn options(cache: &Path) -> ProgramOptions {
    ProgramOptions { lanes: Some(32), cache: CachePolicy::Dir(cache.into()), heap: Some(1 << 17), ..Default::default() }
}

fn program(engine: &Engine, text: &str, options: &ProgramOptions) -> Program {
    Program::new(engine, text.as_bytes(), options, &mut |_| {}).expect("the program compiles")
}

/// The results of a run.
struct Ran {
    summary: Summary,
    /// In the order of the inputs, one for each.
    outcomes: Vec<Outcome>,
    autotuned: Option<(Vec<Measured>, Tuning)>,
    remembered: bool,
    vms: usize,
}

fn run(
    program: &Program,
    options: &FleetOptions,
    entry: &str,
    when: Autotuning,
    total: Option<usize>,
    args: &[i64],
) -> vectorvisor::Result<Ran> {
    run_in(&mut Fleet::new(program, options, Some(args.len()))?, entry, when, total, args)
}

fn run_in(
    fleet: &mut Fleet,
    entry: &str,
    when: Autotuning,
    total: Option<usize>,
    args: &[i64],
) -> vectorvisor::Result<Ran> {
    // Not all taken before the other candidates are ready.
    let pause = Duration::from_millis(if when == Autotuning::Auto { 1 } else { 0 });
    let mut inputs = args.iter().inspect(|_| thread::sleep(pause)).map(|n| Input::args(vec![Value::I64(*n)]));
    let (mut outcomes, mut autotuned, mut kept) = (Vec::new(), None, false);
    let mut progress = |stage: Stage<'_>| {
        if let Stage::Autotuned { candidates, chosen, remembered } = stage {
            assert!(autotuned.replace((candidates.to_vec(), chosen)).is_none(), "autotuning once");
            kept = remembered;
        }
    };
    let mut sink = |outcome| outcomes.push(outcome);
    let summary = fleet.run_autotuned(entry, when, total, &mut inputs, &mut sink, &mut progress)?;
    outcomes.sort_by_key(|o| o.index);
    assert_eq!(outcomes.iter().map(|o| o.index).collect::<Vec<_>>(), (0..args.len()).collect::<Vec<_>>());
    assert_eq!((summary.inputs, summary.delivered), (args.len(), args.len()));
    Ok(Ran { summary, outcomes, autotuned, remembered: kept, vms: fleet.vms() })
}

fn ends(ran: &Ran) -> Vec<(&End, &[Value])> {
    ran.outcomes.iter().map(|o| (&o.end, &o.values[..])).collect()
}

#[test]
fn the_choice_is_remembered_and_used() {
    let (engine, faults) = engine(|_| ());
    faults.ever_faster();
    let temp = tempfile::tempdir().expect("a folder");
    let open = options(temp.path());
    let first = program(&engine, FACTORIAL, &open);
    assert_eq!((first.tuning(), first.options().interleave), (None, Some(8)));
    let args: Vec<i64> = (0..200).map(|n| n % 20).collect();
    let few = FleetOptions { vms: Some(64), ..Default::default() };
    let ran = run(&first, &few, "factorial", Autotuning::Now, None, &args).expect("a run");
    let (measured, chosen) = ran.autotuned.as_ref().expect("autotuning");
    let candidates: Vec<_> = measured.iter().map(|(tuning, time)| (tuning.interleave, time.is_ok())).collect();
    assert_eq!(candidates, [8, 16, 32, 0].map(|cell| (cell, true)));
    for (outcome, n) in ran.outcomes.iter().zip(&args) {
        assert_eq!((&outcome.end, &outcome.values[..]), (&End::Exit(0), &[Value::I64((1..=*n).product())][..]));
    }
    assert_eq!((ran.vms, chosen.interleave, ran.remembered), (64, 0, true));

    // Later programs use the choice, and `Auto` measures nothing.
    let later = program(&engine, FACTORIAL, &open);
    assert_eq!((later.tuning(), later.options().interleave), (Some(*chosen), Some(chosen.interleave)));
    assert!(later.cached());
    let again = run(&later, &few, "factorial", Autotuning::Auto, Some(1 << 40), &args).expect("a run");
    assert!(again.autotuned.is_none());
    assert_eq!(ends(&again), ends(&ran));

    // The choice does not apply to options that leave nothing open, nor to other options.
    let fixed = program(&engine, FACTORIAL, &ProgramOptions { interleave: Some(8), ..open.clone() });
    assert_eq!((fixed.tuning(), fixed.options().interleave), (None, Some(8)));
    let refused = run(&fixed, &few, "factorial", Autotuning::Now, None, &args).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|text| text.contains("the options choose already")));
    let other = program(&engine, FACTORIAL, &ProgramOptions { heap: Some(1 << 20), ..open });
    assert_eq!(other.tuning(), None);
}

/// Runs what a tuner lets run of these inputs; gives the sum of the results, how many ran, and the tuner.
fn serve(fleet: &mut Fleet, args: &mut dyn Iterator<Item = i64>) -> (i64, usize, Option<Tuner>) {
    let tuner = RefCell::new(fleet.tuner());
    let (mut sum, mut count) = (0, 0);
    let mut source = std::iter::from_fn(|| {
        let mut tuner = tuner.borrow_mut();
        let next = if tuner.as_ref().is_some_and(Tuner::is_ready) { None } else { args.next() };
        let input = Input::args(vec![Value::I64(next?)]);
        if let Some(tuner) = &mut *tuner {
            tuner.begin(&input);
        }
        Some(input)
    });
    let mut sink = |outcome: Outcome| {
        if let Some(tuner) = &mut *tuner.borrow_mut() {
            tuner.end(&outcome);
        }
        let [Value::I64(value)] = outcome.values[..] else { panic!("{outcome:?}") };
        (sum, count) = (sum + value, count + 1);
    };
    fleet.serve("factorial", &mut source, &mut sink).expect("a run");
    (sum, count, tuner.into_inner())
}

#[test]
fn a_fleet_that_serves_autotunes_where_inputs_are_alike() {
    let (engine, faults) = engine(|info| info.kind = DeviceKind::Gpu);
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    let few = FleetOptions { vms: Some(64), ..Default::default() };
    let mut fleet = Fleet::new(&program, &few, None).expect("there is room");
    // Inputs that differ begin no compiler.
    let (_, count, tuner) = serve(&mut fleet, &mut (0..1000).map(|n| n % 20));
    assert!(count == 1000 && tuner.is_some_and(|tuner| !tuner.is_ready()));
    // As many as it takes until the other candidate is compiled.
    let (sum, count, tuner) = serve(&mut fleet, &mut std::iter::repeat(5).inspect(|_| thread::yield_now()));
    assert_eq!(sum, 120 * count as i64);
    let mut chosen = None;
    let mut progress = |stage: Stage<'_>| {
        if let Stage::Autotuned { chosen: this, remembered, .. } = stage {
            chosen = Some((this.interleave, remembered));
        }
    };
    faults.ever_faster();
    fleet.tune("factorial", tuner.filter(Tuner::is_ready).expect("it is ready"), &mut progress).expect("it tunes");
    assert_eq!(chosen, Some((8, true)));
    assert_eq!((fleet.program().options().interleave, fleet.vms()), (Some(8), 64));
    let (sum, count, tuner) = serve(&mut fleet, &mut (0..1000).map(|_| 5));
    assert_eq!((sum, count, tuner.is_none()), (120_000, 1000, true), "it is chosen once");
}

#[test]
fn a_tuner_keeps_no_inputs_that_are_too_long() {
    let (engine, _) = engine(|info| info.kind = DeviceKind::Gpu);
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    let fleet = Fleet::new(&program, &FleetOptions { vms: Some(64), ..Default::default() }, None).expect("room");
    let mut tuner = fleet.tuner().expect("there is a choice");
    let input = Input::stdin(vec![0; 8 << 20]);
    (0..32).for_each(|_| tuner.begin(&input));
    assert!(!input.stdin.is_unique(), "256 MiB");
    tuner.begin(&input);
    assert!(input.stdin.is_unique());
    (0..40).for_each(|_| tuner.begin(&input));
    assert!(input.stdin.is_unique());
}

#[test]
fn a_fleet_may_autotune_twice() {
    let (engine, faults) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(40)).expect("there is room");
    let mut run = |when| {
        faults.ever_faster();
        let ran = run_in(&mut fleet, "factorial", when, Some(1 << 40), &[5; 40]).expect("a run");
        ran.autotuned.map(|(candidates, chosen)| {
            (candidates.iter().map(|(tuning, _)| tuning.interleave).collect(), chosen.interleave)
        })
    };
    assert_eq!(run(Autotuning::Now), Some((vec![8, 16, 32, 0], 0)));
    assert_eq!(run(Autotuning::Auto), None);
    assert_eq!(run(Autotuning::Now), Some((vec![0, 8, 16, 32], 32)));
}

#[test]
fn without_a_cache_nothing_is_remembered() {
    let (engine, faults) = engine(|_| ());
    faults.ever_faster();
    let open = ProgramOptions { cache: CachePolicy::Off, ..options(Path::new("")) };
    let program = program(&engine, FACTORIAL, &open);
    let ran = run(&program, &FleetOptions::default(), "factorial", Autotuning::Now, None, &[5; 40]).expect("a run");
    assert!(ran.autotuned.is_some_and(|(_, chosen)| chosen.interleave == 0) && !ran.remembered);
}

/// A candidate that is faster by less than 3% or 0.1 ms is not chosen, and nothing is where kernel times are too short.
#[test]
fn noise_chooses_nothing() {
    let (engine, faults) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    let run = || run(&program, &FleetOptions::default(), "factorial", Autotuning::Now, None, &[5; 40]).expect("a run");
    faults.launches_take(|| 1000);
    let ran = run();
    assert_eq!(ran.autotuned.map(|(candidates, chosen)| (candidates.len(), chosen.interleave)), Some((1, 8)));
    assert!(!ran.remembered && self::program(&engine, FACTORIAL, &options(temp.path())).tuning().is_none());
    for (mut nanoseconds, less) in [(100_000_000, 100_000), (1_500_000, 3000)] {
        faults.launches_take(move || {
            nanoseconds -= less;
            nanoseconds
        });
        let ran = run();
        assert_eq!(ran.autotuned.map(|(candidates, chosen)| (candidates.len(), chosen.interleave)), Some((4, 8)));
        assert!(ran.remembered);
    }
}

#[test]
fn a_tile_of_one_has_no_layout_to_choose() {
    let (engine, _) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let alone = program(&engine, FACTORIAL, &ProgramOptions { lanes: Some(1), ..options(temp.path()) });
    let refused = run(&alone, &FleetOptions::default(), "factorial", Autotuning::Now, None, &[1, 2]).err();
    assert!(refused.is_some_and(|e| e.to_string().contains("a tile has one VM; make it more with --lanes 8")));
}

/// Random numbers show by which seed an input ran, so outcomes are those of a run without autotuning only if nothing
/// was mixed up.
#[test]
fn auto_needs_a_gpu_a_long_run_and_a_cache_and_changes_no_outcome() {
    let temp = tempfile::tempdir().expect("a folder");
    let open = options(temp.path());
    let few = FleetOptions { vms: Some(64), seed: Some(7), ..Default::default() };
    // Inputs that differ, but not in their work, and enough of them that autotuning does not start with the first.
    let args: Vec<i64> = (0..700).map(|n| 20_000 + n * 31 % 500).collect();
    let (gpu, _) = engine(|info| info.kind = DeviceKind::Gpu);
    let (huge, _) = engine(|info| (info.kind, info.parallel_tiles) = (DeviceKind::Gpu, 128 * 3));
    let (cpu, _) = engine(|_| ());
    let draw = |engine, options: &_, total| {
        run(&program(engine, DRAW, options), &few, "draw", Autotuning::Auto, total, &args).expect("a run")
    };
    let plain = draw(&gpu, &open, Some(args.len()));
    assert!(plain.autotuned.is_none(), "the run is short");
    assert!(draw(&gpu, &open, None).autotuned.is_none(), "the run was short so far");
    assert!(draw(&gpu, &ProgramOptions { cache: CachePolicy::Off, ..open.clone() }, Some(1 << 40)).autotuned.is_none());
    assert!(draw(&cpu, &open, Some(1 << 40)).autotuned.is_none(), "no GPU");
    assert!(draw(&huge, &open, Some(1 << 40)).autotuned.is_none(), "few VMs for the device");

    let unlike: Vec<i64> = args.iter().map(|n| n % 7 * 5000).collect();
    let unlike = run(&program(&gpu, DRAW, &open), &few, "draw", Autotuning::Auto, Some(1 << 40), &unlike);
    assert!(unlike.expect("a run").autotuned.is_none(), "its VMs do not go the same way");

    program_of_cells(&gpu, DRAW, temp.path());
    let measured = draw(&gpu, &open, Some(1 << 40));
    let (candidates, chosen) = measured.autotuned.as_ref().expect("autotuning");
    assert!(candidates.iter().all(|(_, time)| time.is_ok()), "{candidates:?}");
    assert_eq!(ends(&measured), ends(&plain));
    assert!(measured.summary.kernel > Duration::ZERO);
    assert_eq!(program(&gpu, DRAW, &open).tuning(), Some(*chosen));
    assert!(draw(&gpu, &open, Some(1 << 40)).autotuned.is_none(), "it is known");
}

#[test]
fn limits_hold_while_autotuning() {
    let (engine, _) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let stopped = FleetOptions { fuel: Some(3), timeout: Some(Duration::from_secs(60)), ..Default::default() };
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    let ran = run(&program, &stopped, "factorial", Autotuning::Now, None, &[1, 2, 19, 20]).expect("a run");
    let (candidates, _) = ran.autotuned.expect("autotuning");
    assert!(candidates.iter().all(|(_, time)| time.is_ok()), "{candidates:?}");
    assert!(matches!(ran.outcomes[3].end, End::OutOfFuel(_)) && ran.outcomes[0].end == End::Exit(0));
}

#[test]
fn other_outcomes_are_out() {
    let (engine, _) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let text = r#"(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (memory (export "memory") 1 1)
      (func (export "now") (param i64) (result i64)
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8)))
        (i64.load (i32.const 8))))"#;
    let program = program(&engine, text, &options(temp.path()));
    let ran = run(&program, &FleetOptions::default(), "now", Autotuning::Now, None, &[1]).expect("a run");
    let (candidates, chosen) = ran.autotuned.expect("autotuning");
    let kept: Vec<_> =
        candidates.iter().filter(|(_, time)| time.is_ok()).map(|(tuning, _)| tuning.interleave).collect();
    assert_eq!((kept, chosen.interleave), (vec![8], 8));
}

/// A device that fails with one of the other candidates: that candidate is rejected, and the run goes on.
#[test]
fn a_way_that_fails_is_only_out() {
    let (engine, faults) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    // The present tuning runs twice, with three launches each (reset, run, gather), and the next fails in its second.
    faults.launches.store(7, Ordering::SeqCst);
    let ran = run(&program, &FleetOptions::default(), "factorial", Autotuning::Now, None, &[5; 40]).expect("a run");
    let (candidates, _) = ran.autotuned.as_ref().expect("autotuning");
    let ok: Vec<_> = candidates.iter().map(|(_, time)| time.is_ok()).collect();
    assert_eq!(ok, [true, false, true, true], "{candidates:?}");
    assert!(ran.outcomes.iter().all(|o| o.values == [Value::I64(120)]));
}

/// A device that fails with the present tuning: no outcome is delivered twice, and each input that was taken
/// has one or is named.
#[test]
fn a_run_that_fails_while_autotuning_names_what_it_lost() {
    let (engine, faults) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    for left in 0..3 {
        let mut fleet =
            Fleet::new(&program, &FleetOptions { vms: Some(64), ..Default::default() }, None).expect("room");
        faults.launches.store(left, Ordering::SeqCst);
        let mut inputs = (0..100).map(|_| Input::args(vec![Value::I64(5)]));
        let mut seen = Vec::new();
        let mut sink = |outcome: Outcome| seen.push(outcome.index);
        let ran = fleet.run_autotuned("factorial", Autotuning::Now, None, &mut inputs, &mut sink, &mut |_| ());
        let Err(Error::Lost { lost, .. }) = ran else { panic!("{ran:?}") };
        seen.extend(lost);
        seen.sort_unstable();
        assert_eq!((seen, inputs.len()), ((0..64).collect(), 36));
    }
}

#[test]
fn cancelled_autotuning_loses_nothing_that_was_delivered() {
    let (engine, _) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(40)).expect("there is room");
    let handle = fleet.cancel_handle();
    let mut inputs = (0..1000).map(|_| Input::args(vec![Value::I64(5)]));
    let mut delivered = 0;
    let mut progress = |stage: Stage<'_>| match stage {
        Stage::Autotuning { done: 2, .. } => handle.cancel(),
        Stage::Autotuned { .. } => panic!("nothing is chosen"),
        _ => (),
    };
    let mut sink = |_| delivered += 1;
    let summary = fleet.run_autotuned("factorial", Autotuning::Now, None, &mut inputs, &mut sink, &mut progress);
    let summary = summary.expect("a run");
    assert!(summary.cancelled);
    assert_eq!((delivered, summary.delivered, inputs.len()), (64, 64, 936));
    assert_eq!(self::program(&engine, FACTORIAL, &options(temp.path())).tuning(), None);
}

#[test]
fn places_of_traps_are_counted_for_the_whole_run() {
    let (engine, _) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let text = r#"(module (memory 1 1)
      (func (export "far") (param i64) (result i64) (i64.load (i32.const 0x7fffff00))))"#;
    let program = program(&engine, text, &options(temp.path()));
    let few = FleetOptions { vms: Some(32), exact_reruns: 3, ..Default::default() };
    let ran = run(&program, &few, "far", Autotuning::Now, None, &[0; 100]).expect("a run");
    assert!(ran.autotuned.is_some());
    let exact = ran.outcomes.iter().filter(|o| matches!(&o.end, End::Trap(trap) if trap.exact));
    assert_eq!(exact.count(), 3);
}

/// A device where each launch is faster than the one before, so that the last candidate wins; and then its memory is
/// gone.
#[test]
fn a_choice_without_memory_leaves_the_present_way() {
    let (engine, faults) = engine(|_| ());
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, FACTORIAL, &options(temp.path()));
    for fail in [true, false] {
        faults.ever_faster();
        let few = FleetOptions { vms: Some(64), ..Default::default() };
        let mut fleet = Fleet::new(&program, &few, None).expect("there is room");
        let mut inputs = (0..200).map(|_| Input::args(vec![Value::I64(5)]));
        let (mut delivered, mut autotuned) = (0, None);
        let mut progress = |stage: Stage<'_>| match stage {
            Stage::Autotuning { done: 2, .. } => faults.allocations.store(1000, Ordering::SeqCst),
            Stage::Autotuning { done: 3, .. } => {
                // The last candidate allocates as often as the one before it.
                let allocations = 1000 - faults.allocations.swap(-1, Ordering::SeqCst);
                faults.allocations.store(if fail { allocations } else { -1 }, Ordering::SeqCst);
            }
            Stage::Autotuned { candidates, chosen, .. } => autotuned = Some((candidates.to_vec(), chosen)),
            _ => (),
        };
        let mut sink = |outcome: Outcome| {
            assert_eq!(outcome.values, [Value::I64(120)]);
            delivered += 1;
        };
        let ran = fleet.run_autotuned("factorial", Autotuning::Now, None, &mut inputs, &mut sink, &mut progress);
        let ran = ran.expect("a run");
        assert_eq!((delivered, ran.delivered, fleet.vms()), (200, 200, 64));
        let (candidates, chosen) = autotuned.expect("autotuning");
        let (last, time) = &candidates[3];
        assert!(candidates[..3].iter().all(|(_, time)| time.is_ok()), "{candidates:?}");
        assert_eq!(chosen.interleave, if fail { 8 } else { last.interleave });
        match time {
            Err(why) => assert!(fail && why.contains("out of memory"), "{why}"),
            Ok(_) => assert!(!fail, "{candidates:?}"),
        }
        // A candidate without memory in this run may have it in the next.
        let later = self::program(&engine, FACTORIAL, &options(temp.path()));
        assert_eq!(later.tuning(), if fail { None } else { Some(*last) });
    }
}

/// A device that does not see the time, so that fuel stands for it.
#[test]
fn how_fast_fuel_burns_is_found_out_once() {
    let (engine, _) = engine(|info| (info.timer, info.live_shared) = (false, false));
    let temp = tempfile::tempdir().expect("a folder");
    let program = program(&engine, DRAW, &options(temp.path()));
    let half = Duration::from_millis(500);
    let few = FleetOptions { vms: Some(32), timeout: Some(half), ..Default::default() };
    // More iterations than the initial estimate for half a second.
    let ran = run(&program, &few, "draw", Autotuning::Now, None, &[1_000_000; 96]).expect("a run");
    assert!(ran.autotuned.is_some() && ran.outcomes.iter().all(|o| o.end == End::Exit(0)));
    assert!((32..64).contains(&ran.summary.reruns), "{:?}", ran.summary);
}

/// Inputs that take no time in the kernel make autotuning pay, and then inputs follow that sleep.
#[test]
fn a_sample_that_takes_too_long_is_not_measured() {
    let (engine, faults) = engine(|info| info.kind = DeviceKind::Gpu);
    let temp = tempfile::tempdir().expect("a folder");
    let text = r#"(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "nap") (param $ns i64) (result i64)
        (i32.store (i32.const 80) (i32.const 1))
        (i64.store (i32.const 88) (local.get $ns))
        (i64.extend_i32_u (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)))))"#;
    let program = program(&engine, text, &options(temp.path()));
    program_of_cells(&engine, text, temp.path());
    let few = FleetOptions { vms: Some(32), ..Default::default() };
    // The first launch takes all the time, since a loaded machine makes more launches of sleepers. Some 10 s of the
    // kernel seem to be ahead after the sample, of which half may be spent on autotuning.
    for (nap, autotuned) in [(3_000_000_000, false), (0, true)] {
        let mut left = 4_000_000;
        faults.launches_take(move || std::mem::take(&mut left));
        let args: Vec<i64> = (0..400).map(|n| if n < 64 { 0 } else { nap }).collect();
        let args = if autotuned { &args[..] } else { &args[..160] };
        let ran = run(&program, &few, "nap", Autotuning::Auto, Some(300_000), args).expect("a run");
        assert_eq!(ran.autotuned.is_some(), autotuned, "{:?}", ran.summary);
    }
}

/// Puts the other candidate of [`Autotuning::Auto`] into the cache, so that it is ready before the inputs end.
fn program_of_cells(engine: &Engine, text: &str, cache: &Path) {
    program(engine, text, &ProgramOptions { interleave: Some(8), ..options(cache) });
}
