//! Whole programs from input to outcome, on the cpu in tiles of 32 (and 1, and 64) VMs.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use vectorvisor::translate::abi::Counted;
use vectorvisor::{
    CachePolicy, DeviceKind, Edges, End, Engine, Error, Fleet, FleetOptions, Input, Outcome, Place, Program,
    ProgramOptions, Stage, Summary, Trap, TrapKind, Value,
};

type Outcomes = (Vec<Outcome>, Summary);

fn options(lanes: u32) -> ProgramOptions {
    ProgramOptions { lanes: Some(lanes), cache: CachePolicy::Off, heap: Some(1 << 20), ..Default::default() }
}

fn cpu() -> Engine {
    common::engine(|_| ()).0
}

fn program(engine: &Engine, text: &str, options: &ProgramOptions) -> Program {
    Program::new(engine, text.as_bytes(), options, &mut |_| {}).expect("the program compiles")
}

/// Runs inputs and returns their outcomes in the order of the inputs, each exactly once.
fn run(fleet: &mut Fleet, entry: &str, inputs: Vec<Input>) -> Outcomes {
    let count = inputs.len();
    let mut outcomes = Vec::new();
    let summary = fleet.run(entry, &mut inputs.into_iter(), &mut |o| outcomes.push(o)).expect("the run ends");
    outcomes.sort_by_key(|o| o.index);
    assert_eq!(outcomes.iter().map(|o| o.index).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
    (outcomes, summary)
}

fn fleet(text: &str, lanes: u32, fleet: &FleetOptions) -> Fleet {
    Fleet::new(&program(&cpu(), text, &options(lanes)), fleet, None).expect("there is room")
}

const FACTORIAL: &str = include_str!("../../examples/factorial.wat");

#[test]
fn a_fleet_that_has_gone_has_no_vms() {
    let options = FleetOptions { vms: Some(32), ..Default::default() };
    let mut fleet = fleet(FACTORIAL, 32, &options);
    run(&mut fleet, "factorial", vec![Input::args(vec![Value::I64(5)])]);
    assert_eq!((options.meter.now().vms, options.meter.launches()), (32, 1));
    drop(fleet);
    assert_eq!(options.meter.now(), vectorvisor::Gauges::default());
}

/// Copies stdin to stdout through memory; then what the first byte says: `l` loops as long as the second byte is not
/// `0`, `o` reads beyond memory, `u` is unreachable, `b` writes 64 KiB, `x` exits with the second byte, `m` writes
/// to memory and global, and says whether it found them as they are at first.
const GUEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $dirty (mut i32) (i32.const 0))
  (data (i32.const 4096) "clean")
  (func $put (param $fd i32) (param $at i32) (param $bytes i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $bytes))
    (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $spin (result i32) (local $n i32)
    (loop $again (result i32)
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.ne (i32.load8_u (i32.const 101)) (i32.const 48)))
      (local.get $n)))
  (func $far (drop (i32.load (i32.const 0x7fffff00))))
  (func $never unreachable)
  (func (export "_start") (local $c i32) (local $i i32)
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 3000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $put (i32.const 1) (i32.const 100) (i32.load (i32.const 8)))
    (call $put (i32.const 2) (i32.const 4096) (i32.const 5))
    (local.set $c (i32.load8_u (i32.const 100)))
    (if (i32.eq (local.get $c) (i32.const 108)) (then (drop (call $spin))))
    (if (i32.eq (local.get $c) (i32.const 111)) (then (call $far)))
    (if (i32.eq (local.get $c) (i32.const 117)) (then (call $never)))
    (if (i32.eq (local.get $c) (i32.const 120)) (then (call $exit (i32.load8_u (i32.const 101)))))
    (if (i32.eq (local.get $c) (i32.const 114)) (then
      (drop (call $random (i32.const 200) (i32.const 8)))
      (call $put (i32.const 1) (i32.const 200) (i32.const 8))))
    (if (i32.eq (local.get $c) (i32.const 98)) (then
      (memory.fill (i32.const 65536) (i32.const 46) (i32.const 4096))
      (loop $more
        (call $put (i32.const 1) (i32.const 65536) (i32.const 4096))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16))))))
    (if (i32.eq (local.get $c) (i32.const 109)) (then
      (if (i32.or (global.get $dirty) (i32.load (i32.const 70000))) (then unreachable))
      (global.set $dirty (i32.const 1))
      (i32.store8 (i32.const 4096) (i32.const 33))
      (i32.store (i32.const 70000) (i32.const 1))))))"#;

#[test]
fn each_vm_gets_its_own_arguments() {
    for lanes in [1, 32, 64] {
        let mut fleet = fleet(FACTORIAL, lanes, &FleetOptions { vms: Some(100), ..Default::default() });
        let inputs = (0..500).map(|n| Input::args(vec![Value::I64(n % 21)])).collect();
        for outcome in run(&mut fleet, "factorial", inputs).0 {
            let n = outcome.index as i64 % 21;
            assert_eq!((outcome.end, outcome.values), (End::Exit(0), vec![Value::I64((1..=n).product())]));
        }
    }
}

#[test]
fn vms_do_not_see_each_other() {
    for (lanes, vms_per_warp) in [(1, None), (32, None), (32, Some(3)), (64, Some(1)), (64, Some(99))] {
        let mut fleet = fleet(GUEST, lanes, &FleetOptions { vms: Some(70), vms_per_warp, ..Default::default() });
        let texts = ["echo", "x7", "unreachable", "memory", "", "eagain and again", "m", "b"];
        let inputs = (0..1000).map(|i| Input::stdin(texts[i % texts.len()])).collect();
        let (outcomes, summary) = run(&mut fleet, "_start", inputs);
        assert!(vms_per_warp.is_none_or(|most| summary.vms_per_warp == most.min(lanes)), "{summary:?}");
        for outcome in outcomes {
            let text = texts[outcome.index % texts.len()];
            assert_eq!(outcome.stderr, b"clean", "{text}");
            assert!(outcome.stdout.starts_with(text.as_bytes()), "{text}");
            let more = outcome.stdout.len() - text.len();
            match text.bytes().next() {
                Some(b'u') => assert_eq!(outcome.end.to_string().split(',').next(), Some("trap: unreachable in never")),
                Some(b'x') => assert_eq!(outcome.end, End::Exit(b'7'.into())),
                Some(b'b') => assert_eq!((outcome.end, more), (End::Exit(0), 65536)),
                _ => assert_eq!((outcome.end, more), (End::Exit(0), 0), "{text}"),
            }
        }
    }
}

/// A GPU's VMs are several groups, whose launches end in any order.
#[test]
fn several_groups_are_in_flight_at_once() {
    let (gpu, _) = common::engine(|info| (info.kind, info.parallel_tiles) = (vectorvisor::DeviceKind::Gpu, 16));
    let options = ProgramOptions { interleave: Some(8), ..options(8) };
    let mut fleet = Fleet::new(&program(&gpu, GUEST, &options), &FleetOptions::default(), None).expect("there is room");
    assert_eq!(fleet.vms(), 64 * 8);
    // A few long ones among many short.
    let inputs = (0..3000).map(|i| Input::stdin(if i % 211 == 0 { "b" } else { "echo" })).collect();
    let (outcomes, summary) = run(&mut fleet, "_start", inputs);
    assert!(summary.launches >= 3000_u64.div_ceil(64 * 8 / 4), "{summary:?}");
    assert!(summary.kernel <= summary.elapsed, "time that launches share counts once: {summary:?}");
    for outcome in outcomes {
        let long = outcome.index % 211 == 0;
        assert_eq!(
            (outcome.end, outcome.stdout.len()),
            (End::Exit(0), if long { 65537 } else { 4 }),
            "{}",
            outcome.index
        );
    }
}

#[test]
fn output_that_is_too_long_runs_again() {
    for lanes in [1, 32] {
        // All at once, so that none begins with the room that earlier ones needed.
        let options = FleetOptions { vms: Some(200), out_capacity: Some(64), seed: Some(1), ..Default::default() };
        let mut fleet = fleet(GUEST, lanes, &options);
        let inputs = (0..200).map(|i| Input::stdin(if i % 3 == 0 { "b" } else { "r" })).collect();
        let (outcomes, summary) = run(&mut fleet, "_start", inputs);
        assert!(summary.reruns >= 67, "{summary:?}");
        for outcome in outcomes {
            assert_eq!(outcome.stdout.len(), if outcome.index % 3 == 0 { 65537 } else { 9 });
        }
    }
}

#[test]
fn random_numbers_belong_to_the_input() {
    let draw = |lanes, vms| {
        let options = FleetOptions { seed: Some(7), vms: Some(vms), ..Default::default() };
        let inputs = (0..100).map(|_| Input::stdin("r")).collect();
        run(&mut fleet(GUEST, lanes, &options), "_start", inputs).0.into_iter().map(|o| o.stdout).collect::<Vec<_>>()
    };
    let first = draw(32, 32);
    assert_eq!(first, draw(1, 100));
    assert_ne!(first[0], first[1]);
}

#[test]
fn functions_of_the_same_code_are_one_of_many_names() {
    let divide = "(param i32) (result i32) (i32.div_u (i32.const 840) (local.get 0))";
    let peek = "(param i32) (result i32) (i32.load offset=65535 (local.get 0))";
    let text = format!(
        "(module (type $t (func (param i32) (result i32))) (table funcref (elem $one $other $third $two $peer)) (memory 1)
           (func $peek {peek}) (func $peer {peek})
           (func $one {divide}) (func $third (param i32) (result i32) (i32.mul (local.get 0) (call $other (i32.const 5))))
           (func $other {divide}) (func $two (param i32 i32) (result i32) (i32.div_u (i32.const 840) (local.get 0)))
           (func (export \"go\") (param $i i32) (param $n i32) (result i32)
             (call_indirect (type $t) (local.get $n) (local.get $i))))"
    );
    let program = program(&cpu(), &text, &options(32));
    let names = |program: &Program| program.meta().functions.clone();
    assert_eq!(names(&program)[..4], ["peek or peer", "peer", "one or other", "third"]);
    let options = FleetOptions { vms: Some(64), exact_reruns: 1, ..Default::default() };
    let mut fleet = Fleet::new(&program, &options, None).expect("there is room");
    let inputs: Vec<(i32, i32)> = (0..200).map(|n| (n % 5, n % 7)).collect();
    let (outcomes, _) =
        run(&mut fleet, "go", inputs.iter().map(|(i, n)| Input::args(vec![Value::I32(*i), Value::I32(*n)])).collect());
    let mut exact = 0;
    for (outcome, (i, n)) in outcomes.iter().zip(inputs) {
        match (&outcome.end, i, n) {
            (End::Trap(trap), 3, _) => assert_eq!(trap.kind, TrapKind::IndirectCallType),
            (End::Trap(trap), 0 | 1, 0) => {
                assert_eq!((trap.kind, trap.place.function.as_deref()), (TrapKind::DivideByZero, Some("one or other")));
            }
            (End::Trap(trap), 4, _) => {
                let name = if trap.exact { "peer" } else { "peek or peer" };
                assert_eq!((trap.kind, trap.place.function.as_deref()), (TrapKind::OutOfBoundsMemory, Some(name)));
                exact += usize::from(trap.exact);
            }
            (_, 2, _) => assert_eq!(outcome.values, [Value::I32(n * 168)]),
            _ => assert_eq!(outcome.values, [Value::I32(840 / n)]),
        }
    }
    assert_eq!(exact, 1);
}

#[test]
fn an_access_out_of_bounds_is_placed_exactly() {
    for lanes in [1, 32] {
        let mut fleet = fleet(GUEST, lanes, &FleetOptions { exact_reruns: 3, ..Default::default() });
        let (outcomes, _) = run(&mut fleet, "_start", (0..10).map(|_| Input::stdin("o")).collect());
        let mut offsets = Vec::new();
        for outcome in outcomes {
            let End::Trap(Trap { kind, place: Place { function, offset, .. }, exact }) = outcome.end else {
                panic!("{}", outcome.end);
            };
            assert_eq!(kind, TrapKind::OutOfBoundsMemory);
            if exact {
                assert_eq!(function.as_deref(), Some("far"));
                offsets.push(offset);
            }
        }
        assert_eq!(offsets.len(), 3);
        assert!(offsets[0].is_some() && offsets.iter().all(|o| *o == offsets[0]));
    }
}

/// Whether a device has a timer, and sees the host's stores: the time is the device's, the host's, or fuel stands for
/// it.
const TIMES: [(bool, bool); 3] = [(true, true), (false, true), (false, false)];

/// Inputs of which every eighth loops for ever come to the right ends; returns how often inputs ran again.
fn eighth_loops(engine: &Engine, options: &ProgramOptions, fleet_options: &FleetOptions) -> u64 {
    let fleet_options = FleetOptions { timeout: Some(Duration::from_millis(100)), ..fleet_options.clone() };
    let mut fleet = Fleet::new(&program(engine, GUEST, options), &fleet_options, Some(64)).expect("there is room");
    let inputs = (0..64).map(|i| Input::stdin(if i % 8 == 4 { "l1" } else { "l0" })).collect();
    let (outcomes, summary) = run(&mut fleet, "_start", inputs);
    for outcome in outcomes {
        match outcome.end {
            End::Timeout(place) => assert_eq!((outcome.index % 8, place.function.as_deref()), (4, Some("spin"))),
            end => assert_eq!((end, outcome.stdout.as_slice()), (End::Exit(0), &b"l0"[..])),
        }
    }
    summary.reruns
}

#[test]
fn loops_without_end_are_the_only_ones_to_time_out() {
    for (timer, live) in TIMES {
        let (engine, _) = common::engine(move |info| (info.timer, info.live_shared) = (timer, live));
        for (lanes, force_framed) in [(1, false), (1, true), (32, false), (32, true)] {
            let options = ProgramOptions { force_framed, ..options(lanes) };
            let reruns = eighth_loops(&engine, &options, &FleetOptions::default());
            assert!(reruns == 0 || !timer && !live, "{lanes} {timer} {live}: {reruns}");
        }
    }
}

/// Neither those of their launch wait for them, nor those that come later; whether all inputs have VMs at once or not.
#[test]
fn loops_without_end_hold_nobody_back() {
    for (vms, inputs) in [(Some(200), 200), (None, 240)] {
        let options_ = FleetOptions { vms, timeout: Some(Duration::from_secs(1)), ..Default::default() };
        let mut fleet = Fleet::new(&program(&cpu(), GUEST, &options(1)), &options_, None).expect("there is room");
        let mut ends = Vec::new();
        let mut inputs = (0..inputs).map(|i| Input::stdin(if i % 40 == 0 { "l1" } else { "l0" }));
        let summary = fleet.run("_start", &mut inputs, &mut |outcome| ends.push(outcome.end)).expect("it ends");
        let late = |end: &End| matches!(end, End::Timeout(_));
        let (others, loops) = ends.split_at(summary.inputs / 40 * 39);
        assert!(others.iter().all(|end| *end == End::Exit(0)) && loops.iter().all(late), "{ends:?}");
        assert_eq!(summary.reruns, 0);
    }
}

/// Where VMs of a warp take each other's time, those that are over it run again, each in a warp of its own.
#[test]
fn victims_of_a_loop_without_end_run_again_side_by_side() {
    let (engine, faults) = common::engine(|info| info.kind = DeviceKind::Gpu);
    faults.in_step.store(true, Ordering::SeqCst);
    for (interleave, vms_per_warp, reruns) in [(8, Some(8), 8), (0, Some(8), 8), (0, Some(1), 0)] {
        let options = ProgramOptions { interleave: Some(interleave), ..options(32) };
        let fleet_options = FleetOptions { vms: Some(64), vms_per_warp, ..Default::default() };
        let again = eighth_loops(&engine, &options, &fleet_options);
        // And more if the time was over when the others of a warp had their turns.
        assert!(if reruns == 0 { again == 0 } else { again >= reruns }, "{again} of {reruns}");
    }
}

/// What a start function makes of arguments holds for no other input, if inputs have their own.
#[test]
fn a_start_function_reads_the_arguments_of_each_input() {
    const TEXT: &str = r#"(module
        (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func $read (drop (call $args (i32.const 16) (i32.const 64))))
        (start $read)
        (func (export "_start")
            (i32.store (i32.const 0) (i32.load (i32.const 16)))
            (i32.store (i32.const 4) (i32.const 2))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let (engine, _) = common::engine(|_| ());
    let program = program(&engine, TEXT, &options(32));
    let fleet_options = FleetOptions { own_arguments: true, ..FleetOptions::default() };
    let mut fleet = Fleet::new(&program, &fleet_options, Some(40)).expect("there is room");
    let own = |n| Input { program_args: Some(vec![format!("{n:02}")]), ..Input::default() };
    let (outcomes, _) = run(&mut fleet, "_start", (0..40).map(own).collect());
    for outcome in outcomes {
        let want = format!("{:02}", outcome.index).into_bytes();
        assert_eq!((outcome.end, outcome.stdout), (End::Exit(0), want), "{}", outcome.index);
    }
}

/// The three clocks: the device's, a word that the host keeps current, and a call to the host.
#[test]
fn a_guest_sees_time_pass_wherever_it_comes_from() {
    const SPIN: &str = include_str!("../../cli/tests/cases/spin_clock.wat");
    for (timer, live) in TIMES {
        for (lanes, force_framed, interpret) in
            [(1, false, false), (32, false, false), (32, true, false), (1, false, true), (32, false, true)]
        {
            let (engine, _) = common::engine(move |info| (info.timer, info.live_shared) = (timer, live));
            let options = ProgramOptions { force_framed, interpret, ..options(lanes) };
            let program = program(&engine, SPIN, &options);
            assert_eq!((program.meta().kept_time, program.meta().remote), (!timer && live, !timer && !live));
            let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(10)).expect("there is room");
            let begun = Instant::now();
            let (outcomes, _) = run(&mut fleet, "_start", (0..10).map(|_| Input::stdin("")).collect());
            assert!(begun.elapsed() >= Duration::from_millis(28), "a step of the clock is 1 ms, and two may be cut");
            assert!(
                outcomes.iter().all(|o| (&o.end, &o.stdout[..]) == (&End::Exit(0), &b"done\n"[..])),
                "{outcomes:?}"
            );
        }
    }
}

/// Each instruction or host call that can do much work at once.
const WORK: &str = include_str!("../../cli/tests/cases/work_for_ever.wat");
/// Those that can be done for ever.
const KINDS: i32 = 13;

#[test]
fn work_of_every_kind_times_out() {
    for (lanes, (timer, live)) in [(1, TIMES[0]), (32, TIMES[0]), (32, TIMES[1]), (32, TIMES[2])] {
        let (engine, _) = common::engine(move |info| (info.timer, info.live_shared) = (timer, live));
        let options_ = FleetOptions { timeout: Some(Duration::from_millis(100)), ..Default::default() };
        let begun = Instant::now();
        let program = program(&engine, WORK, &options(lanes));
        let mut fleet = Fleet::new(&program, &options_, Some(KINDS as usize)).expect("there is room");
        let inputs = (0..KINDS).map(|kind| Input::args(vec![Value::I32(kind)])).collect();
        for outcome in run(&mut fleet, "work", inputs).0 {
            match outcome.end {
                End::Timeout(place) => assert_eq!(place.function.as_deref(), Some("work")),
                end => panic!("kind {}: {end}", outcome.index),
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}

/// Doing it once costs at least a unit for each 16 bytes, or for each byte where it goes byte by byte.
#[test]
fn work_of_every_kind_is_charged() {
    const NOTHING: i32 = 15;
    let text = |length: usize| "x".repeat(length - 1);
    let least = [
        0x100000 / 16, // memory.fill
        0xfffff / 16,  // memory.copy, up and down
        0xfffff / 16,
        100 / 16,       // memory.init
        19999 * 4 / 16, // table.copy
        16 * 4 / 16,    // table.init
        0x100000,       // random_get
        5000 + 300,     // args_get
        40_000,         // environ_get
        0x1fff0,        // fd_read and fd_write of empty buffers
        0x1fff0,
        (8 << 16) / 16, // memory.grow
        100_000 / 16,   // fd_read
        100_000 / 16,   // fd_write to standard output
        100_000,        // and to standard error, whose bytes lie backwards
    ];
    for lanes in [1, 32] {
        let roomy = ProgramOptions { heap: Some(2 << 20), ..options(lanes) };
        let roomy = program(&cpu(), WORK, &roomy);
        let options = FleetOptions {
            args: vec![text(5000), text(300)],
            env: vec![("NAME".into(), text(40_000 - "NAME=".len()))],
            ..Default::default()
        };
        let mut fleet = Fleet::new(&roomy, &options, None).expect("there is room");
        let input = |kind| Input { stdin: vec![1; 100_000].into(), ..Input::args(vec![Value::I32(kind)]) };
        let (outcomes, _) = run(&mut fleet, "once", (0..=NOTHING).map(input).collect());
        assert!(outcomes.iter().all(|outcome| outcome.end == End::Exit(0)), "{outcomes:?}");
        let nothing = outcomes[NOTHING as usize].fuel_used;
        for (outcome, least) in outcomes.iter().zip(least) {
            let used = outcome.fuel_used - nothing;
            assert!(used >= least, "{lanes} lanes, kind {}: {used} of at least {least}", outcome.index);
        }
    }
}

#[test]
fn work_of_every_kind_is_charged_the_same_in_every_tile() {
    let charged = |lanes| {
        let inputs = (0..KINDS).map(|kind| Input::args(vec![Value::I32(kind)])).collect();
        let mut fleet = fleet(WORK, lanes, &FleetOptions { fuel: Some(100_000), ..Default::default() });
        let (outcomes, _) = run(&mut fleet, "work", inputs);
        outcomes.into_iter().map(|o| (o.end, o.fuel_used)).collect::<Vec<_>>()
    };
    let alone = charged(1);
    assert!(alone.iter().all(|(end, used)| matches!(end, End::OutOfFuel(_)) && *used == 100_000), "{alone:?}");
    assert_eq!(charged(32), alone);
}

#[test]
fn work_of_every_kind_is_cancelled() {
    let program = program(&cpu(), WORK, &options(1));
    for kind in 0..KINDS {
        let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(1)).expect("there is room");
        let handle = fleet.cancel_handle();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            handle.cancel();
        });
        let mut input = std::iter::once(Input::args(vec![Value::I32(kind)]));
        let summary = fleet.run("work", &mut input, &mut |o| panic!("{}", o.end)).expect("the run ends");
        assert!(summary.cancelled && thread.join().is_ok());
    }
}

/// Two neighbours of a warp that are slow, but not too slow each: the second is stopped and runs alone, and only then
/// proves to write more than the buffer holds. By then the first group is in flight, so that it runs again in the
/// second.
#[test]
fn who_runs_alone_may_run_again_in_any_group() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory 1 1)
      (func $now (result i64) (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 16))) (i64.load (i32.const 16)))
      (func (export "work") (param $for i64) (param $bytes i32) (local $end i64)
        (local.set $end (i64.add (call $now) (local.get $for)))
        (loop $more (br_if $more (i64.lt_u (call $now) (local.get $end))))
        (i32.store (i32.const 4) (local.get $bytes))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let (engine, faults) = common::engine(|info| (info.kind, info.max_alloc) = (DeviceKind::Gpu, 3 << 20));
    faults.in_step.store(true, Ordering::SeqCst);
    let fleet_options = FleetOptions {
        vms: Some(64),
        vms_per_warp: Some(32),
        out_capacity: Some(1024),
        timeout: Some(Duration::from_secs(1)),
        ..Default::default()
    };
    let program = program(&engine, text, &options(32));
    let mut fleet = Fleet::new(&program, &fleet_options, None).expect("there is room");
    let work = |i: i64| match i {
        0 => (600_000_000, 10),
        1 => (600_000_000, 3000),
        _ => (0, 10),
    };
    // When the last few inputs fill the first group, the second is free.
    let inputs = (0..165).map(work).map(|(time, bytes)| Input::args(vec![Value::I64(time), Value::I32(bytes)]));
    let (outcomes, summary) = run(&mut fleet, "work", inputs.collect());
    for outcome in outcomes {
        assert_eq!((outcome.end, outcome.stdout.len()), (End::Exit(0), work(outcome.index as i64).1 as usize));
    }
    assert!(summary.reruns >= 2, "{summary:?}");
}

/// Recursion has the stack that the options name, and is stopped like a loop.
#[test]
fn recursion_is_as_deep_as_the_stack() {
    const GUEST: &str = r#"(module
      (table funcref (elem $table $sink))
      (global $depth (export "depth") (mut i32) (i32.const 0))
      (func $table (export "table") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (call_indirect (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
          (else (i32.const 7))))
      (func $sink (export "sink") (param i32) (result i32)
        (if (local.get 0) (then (return (call $sink (i32.sub (local.get 0) (i32.const 1))))))
        (i32.const 7))
      (func $tree (export "tree") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then
            (i32.add
              (call $tree (i32.sub (local.get 0) (i32.const 1)))
              (call $tree (i32.sub (local.get 0) (i32.const 1)))))
          (else (i32.const 1)))))"#;
    for (lanes, stack, shallow, deep) in [
        (1, None, 10_000, 1_000_000),
        (8, None, 10_000, 1_000_000),
        (1, Some(8 << 20), 80_000, 4_000_000),
        (1, Some(16 << 20), 200_000, 4_000_000),
    ] {
        let program = program(&cpu(), GUEST, &ProgramOptions { stack, ..options(lanes) });
        let options = FleetOptions { vms: Some(8), fuel: Some(10_000_000), ..Default::default() };
        let mut fleet = Fleet::new(&program, &options, None).expect("there is room");
        for entry in ["table", "sink"] {
            let depth = |i: usize| if i.is_multiple_of(2) { shallow } else { deep };
            let inputs = (0..32).map(|i| Input::args(vec![Value::I32(depth(i))])).collect();
            for outcome in run(&mut fleet, entry, inputs).0 {
                match &outcome.end {
                    End::Trap(trap) if depth(outcome.index) == deep => {
                        let function = trap.place.function.as_deref();
                        assert_eq!((trap.kind, function), (TrapKind::StackExhausted, Some(entry)));
                    }
                    end => {
                        assert_eq!((end, &outcome.values[..]), (&End::Exit(0), &[Value::I32(7)][..]), "{outcome:?}")
                    }
                }
                assert_eq!(matches!(outcome.end, End::Trap(_)), depth(outcome.index) == deep, "{outcome:?}");
            }
        }
        let inputs = [10, 60].map(|depth| Input::args(vec![Value::I32(depth)])).to_vec();
        let (outcomes, _) = run(&mut fleet, "tree", inputs);
        assert_eq!((&outcomes[0].end, &outcomes[0].values[..]), (&End::Exit(0), &[Value::I32(1024)][..]));
        assert!(matches!(outcomes[1].end, End::OutOfFuel(_)), "{:?}", outcomes[1]);
    }
}

/// `deep` writes, and recurses as deep as it is told; `twice` doubles what that gives.
const RECURSES: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory 1 1)
  (data (i32.const 0) "\08\00\00\00\05\00\00\00begun")
  (func $deep (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0))))
  (func (export "deep") (param i32) (result i32)
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (call $deep (local.get 0)))
  (func (export "twice") (param i32) (result i32)
    (i32.mul (i32.const 2) (call $deep (local.get 0)))))"#;

/// The device gives no memory for larger call stacks.
#[test]
fn recursion_ends_as_a_trap_where_memory_is_short() {
    for lanes in [16, 32] {
        let (engine, faults) = common::engine(|_| ());
        // More than recursion has on a thread's own stack.
        let program = program(&engine, RECURSES, &ProgramOptions { stack: Some(9 << 20), ..options(lanes) });
        let options = FleetOptions { vms: Some(64), ..Default::default() };
        let mut fleet = Fleet::new(&program, &options, None).expect("there is room");
        let plan = &program.meta().plan;
        faults.largest.store(plan.region(plan.memory_first, plan.frames) * 64, Ordering::SeqCst);
        let depth = |i: usize| [10, 1_000_000, 10_000][i % 3];
        let (outcomes, _) = run(&mut fleet, "deep", (0..99).map(|i| Input::args(vec![Value::I32(depth(i))])).collect());
        for outcome in &outcomes {
            assert_eq!(outcome.stdout, b"begun", "{outcome:?}");
            match depth(outcome.index) {
                10 => assert_eq!((&outcome.end, &outcome.values[..]), (&End::Exit(0), &[Value::I32(10)][..])),
                _ => {
                    let End::Trap(trap) = &outcome.end else { panic!("{outcome:?}") };
                    assert_eq!((trap.kind, trap.place.function.as_deref()), (TrapKind::StackExhausted, Some("deep")));
                    assert_eq!(outcome.stack_at, Some(plan.frames), "{outcome:?}");
                }
            }
        }
        // Once there is memory again, later runs get it.
        faults.largest.store(u64::MAX, Ordering::SeqCst);
        let (outcomes, _) = run(&mut fleet, "deep", vec![Input::args(vec![Value::I32(10_000)])]);
        assert_eq!((&outcomes[0].end, outcomes[0].stack_at), (&End::Exit(0), None));
    }
}

/// As on a GPU, whose stacks are small.
#[test]
fn inputs_that_recurse_deeper_than_the_stack_run_again() {
    for (deep, of) in [(1, 40), (2, 3), (0, 2)] {
        let cache = tempfile::tempdir().expect("a folder");
        let engine = common::engine(|info| info.recursion = true).0;
        let cached = ProgramOptions { cache: CachePolicy::Dir(cache.path().into()), ..options(4) };
        let made = program(&engine, RECURSES, &cached);
        let mut fleet = Fleet::new(&made, &FleetOptions::default(), None).expect("there is room");
        // Of each `of` so many recurse deep, and one in 500 without end.
        let depth = |i: usize| match (i % 500, i % of < deep) {
            (7, _) if deep > 0 => -1,
            (_, true) => 5000 + i as i32,
            _ => 10 + i as i32 % 7,
        };
        let inputs = (0..3000).map(|i| Input::args(vec![Value::I32(depth(i))])).collect();
        let (outcomes, summary) = run(&mut fleet, "deep", inputs);
        assert_eq!(outcomes.len(), 3000);
        for outcome in &outcomes {
            assert_eq!(outcome.stdout, b"begun", "{outcome:?}");
            match depth(outcome.index) {
                -1 => assert!(
                    matches!(&outcome.end, End::Trap(trap) if trap.kind == TrapKind::StackExhausted),
                    "{outcome:?}"
                ),
                depth => {
                    assert_eq!((&outcome.end, &outcome.values[..]), (&End::Exit(0), &[Value::I32(depth)][..]));
                }
            }
        }
        let again = outcomes.iter().filter(|outcome| !(0..100).contains(&depth(outcome.index))).count();
        assert_eq!(summary.reruns, again as u64, "{summary:?}");
        // Later programs recurse in frames if they are many, and then nothing runs again.
        let later = program(&engine, RECURSES, &cached);
        let many = 16 * again > 3000;
        assert_eq!(later.options().without.contains(&vectorvisor::translate::Opt::NativeRecursion), many, "{again}");
        // Another export of the same fleet.
        let (twice, _) = run(&mut fleet, "twice", vec![Input::args(vec![Value::I32(6000)]); 3]);
        assert!(twice.iter().all(|outcome| outcome.values == [Value::I32(12_000)]), "{twice:?}");
    }
}

#[test]
fn a_start_function_that_recurses_deep_runs_with_each_input() {
    let text = r#"(module
      (global $depth (mut i32) (i32.const 0))
      (func $deep (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
          (else (i32.const 0))))
      (func $init (global.set $depth (call $deep (i32.const 5000))))
      (start $init)
      (func (export "depth") (result i32) (global.get $depth)))"#;
    let program = program(&common::engine(|info| info.recursion = true).0, text, &options(4));
    let mut fleet = Fleet::new(&program, &FleetOptions::default(), None).expect("there is room");
    let (outcomes, _) = run(&mut fleet, "depth", vec![Input::default(); 40]);
    assert!(outcomes.iter().all(|o| o.end == End::Exit(0) && o.values == [Value::I32(5000)]), "{:?}", outcomes[0]);
}

/// A program whose `deep` calls itself so many times.
const DEEP: &str = r#"(module
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0)))))"#;

#[test]
fn no_more_inputs_that_recurse_deep_wait_than_have_room() {
    let (engine, _) = common::engine(|info| (info.recursion, info.memory) = (true, 64 << 20));
    let vms = FleetOptions { vms: Some(64), ..Default::default() };
    let mut fleet = Fleet::new(&program(&engine, DEEP, &options(4)), &vms, None).expect("there is room");
    let (held, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let mut inputs = (0..8000).map(|_| {
        held.set(held.get() + 1);
        most.set(most.get().max(held.get()));
        Input::args(vec![Value::I32(3000)])
    });
    let mut count = 0;
    let mut sink = |outcome: Outcome| {
        assert_eq!(outcome.values, [Value::I32(3000)], "{outcome:?}");
        (count, ()) = (count + 1, held.set(held.get() - 1));
    };
    fleet.run("deep", &mut inputs, &mut sink).expect("the run ends");
    assert!(count == 8000 && most.get() < 3000, "{count} {most:?}");
}

#[test]
fn a_device_that_fails_also_gives_deep_inputs_back() {
    // The first 16 launches find that they are deep, and gather that; those after them run there.
    for after in [15, 16, 17, 20] {
        let (engine, faults) = common::engine(|info| info.recursion = true);
        let vms = FleetOptions { vms: Some(64), ..Default::default() };
        let mut fleet = Fleet::new(&program(&engine, DEEP, &options(4)), &vms, None).expect("there is room");
        let mut ended = Vec::new();
        let mut inputs = (0..500).map(|_| Input::args(vec![Value::I32(3000)]));
        faults.launches.store(after, Ordering::SeqCst);
        let ran = fleet.run("deep", &mut inputs, &mut |outcome| ended.push(outcome));
        let Err(Error::Lost { lost, .. }) = ran else { panic!("after {after}: {ended:?}") };
        assert!(ended.iter().all(|outcome| outcome.end == End::Exit(0)), "after {after}: {ended:?}");
        assert!(lost.iter().all(|lost| ended.iter().all(|outcome| outcome.index != *lost)), "after {after}");
    }
}

#[test]
fn more_vms_than_fit_are_refused_with_their_number() {
    let many = FleetOptions { vms: Some(1 << 30), ..Default::default() };
    let refused = Fleet::new(&program(&cpu(), GUEST, &options(32)), &many, None);
    let refused = refused.map(drop).expect_err("no room").to_string();
    assert!(
        refused.starts_with("1073741824 VMs need ") && refused.ends_with("fewer --vms, or a smaller --heap or --stack"),
        "{refused}"
    );
}

#[test]
fn fuel_ends_a_loop() {
    let mut fleet = fleet(GUEST, 32, &FleetOptions { fuel: Some(10_000), ..Default::default() });
    let (outcomes, _) = run(&mut fleet, "_start", vec![Input::stdin("l1"), Input::stdin("l0")]);
    assert!(matches!(&outcomes[0].end, End::OutOfFuel(place) if place.function.as_deref() == Some("spin")));
    assert_eq!(outcomes[1].end, End::Exit(0));
    assert!(outcomes[1].fuel_used < 10_000);
}

#[test]
fn loops_are_counted_for_each_input() {
    let text = r#"(module (func (export "count") (param $n i64)
      (loop $more (br_if $more (i64.gt_s (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))))"#;
    for force_framed in [false, true] {
        let options = ProgramOptions { profile: true, force_framed, ..options(32) };
        let vms = FleetOptions { vms: Some(32), ..Default::default() };
        let mut fleet = Fleet::new(&program(&cpu(), text, &options), &vms, None).expect("there is room");
        // Each VM has several of them, one after another.
        for outcome in run(&mut fleet, "count", vec![Input::args(vec![Value::I64(9)]); 100]).0 {
            let Edges { direct, state, framed } = outcome.edges.expect("they are counted");
            let counted = if force_framed { [0, 8, 0] } else { [8, 0, 0] };
            assert_eq!([direct, state, framed], counted, "input {}", outcome.index);
        }
    }
}

#[test]
fn visits_are_those_of_all_vms() {
    let text = r#"(module
      (func $leaf (param i64) (result i64) (i64.sub (local.get 0) (i64.const 1)))
      (func $unused (drop (call $leaf (i64.const 1))))
      (func (export "count") (param $n i64)
        (loop $more (br_if $more (i64.gt_s (local.tee $n (call $leaf (local.get $n))) (i64.const 0))))))"#;
    for force_framed in [false, true] {
        let program = program(&cpu(), text, &ProgramOptions { profile: true, force_framed, ..options(32) });
        let options = FleetOptions { vms: Some(64), ..Default::default() };
        let mut fleet = Fleet::new(&program, &options, None).expect("there is room");
        for runs in 1..=2 {
            run(&mut fleet, "count", (1..=100).map(|n| Input::args(vec![Value::I64(n)])).collect());
            // Where the loop became states it counts at its head.
            let turns = if force_framed { 5050 } else { 4950 };
            let points =
                program.meta().points.iter().map(|point| (point.function, matches!(point.what, Counted::Turn(_))));
            let visits = fleet.visits().expect("they are there");
            let counted: Vec<_> = points.zip(visits.iter().map(|visits| visits.lanes)).collect();
            let expected = [((0, false), 5050 * runs), ((2, false), 100 * runs), ((2, true), turns * runs)];
            assert_eq!(counted, expected, "{force_framed}");
            assert!(visits.iter().all(|visits| visits.active_lanes() == Some(1.0)), "{visits:?}");
            let all = options.meter.visits();
            assert_eq!((all.lanes, all.warps), ((5150 + turns) * runs, (5150 + turns) * runs), "{force_framed}");
        }
    }
    let mut fleet = fleet(text, 32, &FleetOptions::default());
    run(&mut fleet, "count", vec![Input::args(vec![Value::I64(3)])]);
    assert_eq!(fleet.visits().expect("a list"), [], "only a program that is made for it counts");
}

/// A program that tests for what a profile saw calls everything else, too, and traps as before.
#[test]
fn targets_that_a_profile_never_saw_are_called() {
    let text = r#"(module (table 6 funcref) (elem (i32.const 0) $inc $dec $down $other)
      (type $t (func (param i32) (result i32)))
      (func $inc (type $t) (i32.add (local.get 0) (i32.const 1)))
      (func $dec (type $t) (i32.sub (local.get 0) (i32.const 1)))
      (func $down (type $t)
        (if (result i32) (local.get 0)
          (then (call $call (i32.const 2) (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 99))))
      (func $other)
      (func $call (export "call") (param i32 i32) (result i32)
        (call_indirect (type $t) (local.get 1) (local.get 0))))"#;
    let vms = FleetOptions { vms: Some(32), ..Default::default() };
    let input = |target: i32| Input::args(vec![Value::I32(target), Value::I32(10)]);
    for force_framed in [false, true] {
        let with = |options: ProgramOptions| program(&cpu(), text, &ProgramOptions { force_framed, ..options });
        let counts = with(ProgramOptions { profile: true, ..options(32) });
        let mut fleet = Fleet::new(&counts, &vms, None).expect("there is room");
        // Calls that trap count nothing; the other function calls itself in the same place.
        run(&mut fleet, "call", [0, 0, 0, 1, 2, 3, 4, 77].map(input).to_vec());
        let visits = fleet.visits().expect("they are there");
        let calls = counts.meta().points.iter().zip(visits).filter_map(|(point, visits)| match point.what {
            Counted::Call(at, target) => Some((at, target, visits.lanes)),
            _ => None,
        });
        let calls: Vec<_> = calls.collect();
        let at = calls[0].0;
        assert_eq!(calls, [(at, 0, 3), (at, 1, 1), (at, 2, 11)], "{force_framed}");
        let all = || [0, 1, 2, 3, 4, 77, -1].repeat(10).into_iter().map(input).collect();
        let mut ends = Vec::new();
        for usual in [&[][..], &[0], &[2, 0]] {
            let usual_targets = [(at, usual.to_vec())].into();
            let program = with(ProgramOptions { usual_targets, ..options(32) });
            let mut fleet = Fleet::new(&program, &vms, None).expect("there is room");
            let outcomes = run(&mut fleet, "call", all()).0;
            ends.push(outcomes.into_iter().map(|o| (o.end, o.values)).collect::<Vec<_>>());
        }
        let values: Vec<_> = ends[0][..3].iter().map(|(_, values)| values.clone()).collect();
        assert_eq!(values, [11, 9, 99].map(|value| vec![Value::I32(value)]), "{force_framed}");
        assert!(ends[0][3..7].iter().all(|(end, _)| matches!(end, End::Trap(_))), "{:?}", &ends[0][..7]);
        assert!(ends[1] == ends[0] && ends[2] == ends[0], "{force_framed}: {ends:?}");
    }
}

#[test]
fn a_run_can_be_cancelled() {
    let mut fleet = fleet(GUEST, 32, &FleetOptions::default());
    let handle = fleet.cancel_handle();
    let begin = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        handle.cancel();
    });
    let summary = fleet.run("_start", &mut (0..40).map(|_| Input::stdin("l1")), &mut |_| {}).expect("it ends");
    assert!(summary.cancelled && summary.delivered == 0 && begin.elapsed() < Duration::from_secs(20));
    assert!(thread.join().is_ok());
}

#[test]
fn a_device_that_fails_names_what_it_lost() {
    let (engine, faults) = common::engine(|info| info.max_alloc = 64 << 20);
    let program = program(&engine, GUEST, &options(32));
    let mut fleet =
        Fleet::new(&program, &FleetOptions { vms: Some(96), ..Default::default() }, None).expect("there is room");
    for after in 0..12 {
        faults.launches.store(after, Ordering::SeqCst);
        let mut seen = Vec::new();
        let result = fleet.run("_start", &mut (0..1000).map(|_| Input::stdin("e")), &mut |o| seen.push(o.index));
        let Err(Error::Lost { lost, .. }) = result else { panic!("{result:?}") };
        seen.extend(lost);
        seen.sort_unstable();
        assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>(), "each input is delivered or lost");
        faults.launches.store(-1, Ordering::SeqCst);
        run(&mut fleet, "_start", (0..100).map(|_| Input::stdin("e")).collect());
    }
}

/// The start function writes memory and a global; with `draw` it also draws a random number, which differs by VM.
fn with_start(draw: bool) -> String {
    let draw = if draw { "(drop (call $random (i32.const 16) (i32.const 8)))" } else { "" };
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory 1) (global $g (mut i32) (i32.const 1))
        (func $init {draw} (global.set $g (i32.const 40)) (i32.store (i32.const 5000) (i32.const 2)))
        (start $init)
        (func (export "random") (result i64) (i64.load (i32.const 16)))
        (func (export "sum") (result i32)
            (global.set $g (i32.add (global.get $g) (i32.load (i32.const 5000))))
            (i32.store (i32.const 5000) (i32.const 100))
            (global.get $g)))"#
    )
}

#[test]
fn the_start_function_runs_before_every_entry() {
    for draw in [false, true] {
        for lanes in [1, 32] {
            // Several groups of VMs.
            let (engine, _) = common::engine(|info| info.max_alloc = 64 << 20);
            let program = program(&engine, &with_start(draw), &options(lanes));
            let vms = FleetOptions { vms: Some(96), ..Default::default() };
            let mut fleet = Fleet::new(&program, &vms, None).expect("there is room");
            for outcome in run(&mut fleet, "sum", vec![Input::default(); 200]).0 {
                assert_eq!((outcome.end, outcome.values), (End::Exit(0), vec![Value::I32(42)]));
            }
            let mut seen: Vec<_> =
                run(&mut fleet, "random", vec![Input::default(); 50]).0.into_iter().map(|o| o.values).collect();
            seen.dedup();
            assert_eq!(seen.len(), if draw { 50 } else { 1 });
        }
    }
}

#[test]
fn a_clock_that_the_start_function_reads_is_each_vms_own() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (memory 1)
      (func $init (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8))))
      (start $init)
      (func (export "then") (result i64) (i64.load (i32.const 8))))"#;
    let mut fleet = fleet(text, 32, &FleetOptions { vms: Some(32), ..Default::default() });
    let mut last = 0;
    for _ in 0..2 {
        let (outcomes, _) = run(&mut fleet, "then", vec![Input::default(); 40]);
        let times = outcomes.iter().map(|o| if let [Value::I64(time)] = o.values[..] { time } else { 0 });
        let (first, until) = times.fold((i64::MAX, 0), |(first, until), time| (first.min(time), until.max(time)));
        assert!(first > last, "{first} {last}");
        last = until;
    }
}

#[test]
fn a_start_function_that_traps_is_the_outcome_of_each_input() {
    let mut fleet = fleet(
        "(module (func $bad unreachable) (start $bad) (func (export \"f\")))",
        32,
        &FleetOptions { vms: Some(32), ..Default::default() },
    );
    let (outcomes, summary) = run(&mut fleet, "f", vec![Input::default(); 100]);
    let traps = outcomes
        .iter()
        .filter(|o| matches!(&o.end, End::Trap(t) if t.to_string() == "unreachable in bad, offset 0x22"));
    assert_eq!((traps.count(), summary.launches), (100, 0), "{:?}", outcomes[0].end);
}

/// The start function never ends.
const ENDLESS: &str = "(module (func $init (loop $more (br $more))) (start $init) (func (export \"f\")))";

#[test]
fn a_start_function_without_end_costs_its_time_once() {
    for (timer, live) in TIMES {
        let (engine, _) = common::engine(move |info| (info.timer, info.live_shared) = (timer, live));
        let timeout = Some(Duration::from_millis(200));
        let options = FleetOptions { vms: Some(64), timeout, ..Default::default() };
        let mut fleet =
            Fleet::new(&program(&engine, ENDLESS, &self::options(32)), &options, None).expect("there is room");
        let begin = Instant::now();
        let (outcomes, _) = run(&mut fleet, "f", vec![Input::default(); 1000]);
        assert!(outcomes.iter().all(|o| matches!(&o.end, End::Timeout(at) if at.to_string().contains("init"))));
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }
    let options = FleetOptions { vms: Some(64), fuel: Some(1000), ..Default::default() };
    let (outcomes, _) = run(&mut fleet(ENDLESS, 32, &options), "f", vec![Input::default(); 100]);
    assert!(outcomes.iter().all(|o| matches!(&o.end, End::OutOfFuel(_)) && o.fuel_used == 1000));
}

#[test]
fn a_start_function_can_be_cancelled() {
    let program = program(&cpu(), ENDLESS, &options(32));
    for pause in [0, 50] {
        let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(40)).expect("there is room");
        let handle = fleet.cancel_handle();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(pause));
            handle.cancel();
        });
        let summary = fleet.run("f", &mut (0..40).map(|_| Input::default()), &mut |_| {}).expect("it ends");
        assert!(summary.cancelled && summary.delivered == 0);
        assert!(thread.join().is_ok());
    }
}

#[test]
fn sleepers_wake_at_their_own_times() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (memory 1)
      (func $now (result i64) (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 8))) (i64.load (i32.const 8)))
      (func (export "nap") (param $ms i64) (result i64 i32) (local $begin i64) (local $errno i32)
        (local.set $begin (call $now))
        (i64.store (i32.const 64) (i64.const 123))
        (i32.store (i32.const 80) (i32.const 1))
        (i64.store (i32.const 88) (i64.mul (local.get $ms) (i64.const 1000000)))
        (local.set $errno (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)))
        (i64.div_u (i64.sub (call $now) (local.get $begin)) (i64.const 1000000))
        (i32.add (local.get $errno) (i32.mul (i32.load (i32.const 512)) (i32.load (i32.const 256))))))"#;
    for lanes in [1, 32] {
        let mut fleet = fleet(text, lanes, &FleetOptions { vms: Some(64), ..Default::default() });
        let times = [0, 10, 150];
        let inputs = (0..128).map(|i| Input::args(vec![Value::I64(times[i % 3])])).collect();
        let begin = Instant::now();
        for outcome in run(&mut fleet, "nap", inputs).0 {
            let asked = times[outcome.index % 3];
            let [Value::I64(slept), Value::I32(event)] = outcome.values[..] else { panic!("{outcome:?}") };
            assert_eq!((event, outcome.end), (123, End::Exit(0)));
            assert!(slept >= asked, "slept {slept} of {asked} ms");
        }
        // One after another they would take seconds.
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        let (outcomes, _) = run(&mut fleet, "nap", vec![Input::args(vec![])]);
        assert!(matches!(outcomes[0].end, End::Failed(_)));
    }
}

#[test]
fn a_sleep_counts_against_the_timeout() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory 1)
      (func (export "_start")
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))))"#;
    let mut fleet = fleet(text, 32, &FleetOptions { timeout: Some(Duration::from_millis(100)), ..Default::default() });
    let (outcomes, _) = run(&mut fleet, "_start", vec![Input::default()]);
    assert!(matches!(outcomes[0].end, End::Timeout(_)));
}

#[test]
fn calls_without_end_come_to_their_timeout() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory 1)
      (func (export "poll") (param $for_ever i32)
        (loop $again
          (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))
          (br_if $again (local.get $for_ever)))))"#;
    let mut fleet = fleet(text, 32, &FleetOptions { timeout: Some(Duration::from_millis(30)), ..Default::default() });
    let (outcomes, _) = run(&mut fleet, "poll", [0, 1, 0].map(|n| Input::args(vec![Value::I32(n)])).into());
    assert!(matches!(outcomes[1].end, End::Timeout(_)), "{:?}", outcomes[1].end);
    assert_eq!((&outcomes[0].end, &outcomes[2].end), (&End::Exit(0), &End::Exit(0)));
}

/// Sleeps, then copies standard input to standard output.
const LATE_COPY: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory 2 2)
  (data (i32.const 0) "\00\10\00\00\00\10\00\00")
  (func (export "_start") (local $n i32)
    (i64.store (i32.const 88) (i64.const 20000000))
    (drop (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)))
    (loop $more
      (i32.store (i32.const 4) (i32.const 4096))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (local.tee $n (i32.load (i32.const 8))) (then
        (i32.store (i32.const 4) (local.get $n))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (br $more))))))"#;

/// 20 MB of inputs, on a device that allocates at most 8 MiB at once: for VMs that all wait before they read, and for
/// VMs that cannot wait and so run again when their output is too long.
#[test]
fn large_inputs_are_sent_a_part_at_a_time() {
    let (engine, _) = common::engine(|info| (info.memory, info.max_alloc) = (64 << 20, 8 << 20));
    let poll = "(drop (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)))";
    for text in [LATE_COPY, &LATE_COPY.replace(poll, "")] {
        let program = program(&engine, text, &options(8));
        let vms = FleetOptions { vms: Some(64), ..Default::default() };
        let mut fleet = Fleet::new(&program, &vms, None).expect("there is room");
        let long = |i: usize| vec![i as u8; 300_000 + i];
        let inputs = (0..70).map(|i| Input::stdin(long(i))).collect();
        for outcome in run(&mut fleet, "_start", inputs).0 {
            assert_eq!(outcome.end, End::Exit(0));
            assert!(outcome.stdout == long(outcome.index), "{} bytes", outcome.stdout.len());
        }
    }
}

/// Wasmtime's results.
#[test]
fn a_closed_descriptor_is_bad_and_the_others_stay() {
    const BADF: i32 = 8;
    let text = r#"(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
      (memory 1)
      (data (i32.const 0) "\40\00\00\00\02\00\00\00")
      (func $say (param $fd i32) (result i32) (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 16)))
      (func $get (result i32) (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
      (func (export "close") (param $fd i32) (result i32 i32 i32 i32 i32 i32 i32)
        (drop (call $get))
        (drop (call $say (i32.const 1)))
        (call $close (local.get $fd))
        (call $get)
        (call $say (i32.const 1))
        (call $say (i32.const 2))
        (call $stat (local.get $fd) (i32.const 128))
        (call $seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 128))
        (call $close (local.get $fd))))"#;
    for force_framed in [false, true] {
        let program = program(&cpu(), text, &ProgramOptions { force_framed, ..options(32) });
        let mut fleet = Fleet::new(&program, &FleetOptions::default(), None).expect("there is room");
        let inputs =
            (0..40).map(|i| Input { stdin: (&b"abcd"[..]).into(), ..Input::args(vec![Value::I32(i % 4)]) }).collect();
        for outcome in run(&mut fleet, "close", inputs).0 {
            let fd = outcome.index as i32 % 4;
            let bad = |this| if fd == this { BADF } else { 0 };
            let after = if fd == 3 { BADF } else { 0 };
            let errors = [after, bad(0), bad(1), bad(2), BADF, BADF, BADF];
            assert_eq!(outcome.values, errors.map(Value::I32), "closed {fd}, framed: {force_framed}");
            // The second read took the second half of the input, unless its descriptor was closed.
            let second: &[u8] = if fd == 0 { b"ab" } else { b"cd" };
            let first: &[u8] = b"ab";
            let wrote = if fd == 1 { first.to_vec() } else { [first, second].concat() };
            let complained = if fd == 2 { &[][..] } else { second };
            assert_eq!((&outcome.stdout[..], &outcome.stderr[..]), (&wrote[..], complained), "closed {fd}");
        }
    }
}

/// In a program that can suspend, a write of two buffers is complete even where the output buffer ends; only one that
/// is larger than the buffer is short.
#[test]
fn writes_are_whole_across_a_flush() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory 1)
      (data (i32.const 0) "\40\00\00\00\14\00\00\00\60\00\00\00\0a\00\00\00")
      (data (i32.const 64) "abcdefghijklmnopqrstuvwxyz012345ABCDEFGHIJ")
      (func (export "work") (param $times i32) (result i32 i32) (local $whole i32)
        (loop $next
          (drop (call $write (i32.add (i32.const 1) (i32.and (local.get $times) (i32.const 1)))
            (i32.const 0) (i32.const 2) (i32.const 16)))
          (local.set $whole (i32.add (local.get $whole) (i32.eq (i32.load (i32.const 16)) (i32.const 30))))
          (br_if $next (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
        (i32.store (i32.const 4) (i32.const 100))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (drop (call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (local.get $whole) (i32.load (i32.const 16))))"#;
    let mut fleet = fleet(text, 32, &FleetOptions { out_capacity: Some(64), ..Default::default() });
    let inputs = (1..34).map(|i| Input::args(vec![Value::I32(i)])).collect();
    for outcome in run(&mut fleet, "work", inputs).0 {
        let times = outcome.index + 1;
        assert_eq!(outcome.values, [times as i32, 64].map(Value::I32));
        let line = b"abcdefghijklmnopqrstABCDEFGHIJ";
        assert_eq!(outcome.stdout[..times / 2 * 30], line.repeat(times / 2));
        assert_eq!(outcome.stdout.len(), times / 2 * 30 + 64);
        assert_eq!(outcome.stderr, line.repeat(times.div_ceil(2)));
    }
}

#[test]
fn a_warm_start_translates_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = ProgramOptions { cache: CachePolicy::Dir(dir.path().into()), ..options(32) };
    let make = || {
        let mut stages = Vec::new();
        let program = Program::new(&cpu(), FACTORIAL.as_bytes(), &options, &mut |s| {
            stages.push(match s {
                Stage::Translating => "translating",
                Stage::Compiling { .. } => "compiling",
                Stage::Loading { cached: false } => "loading",
                Stage::Loading { cached: true } => "cached",
                Stage::Autotuning { .. } | Stage::Autotuned { .. } => "autotuning",
                Stage::Interpreting => "interpreting",
                Stage::Warning(_) => "warning",
            });
        });
        stages.dedup();
        let program = program.expect("the program compiles");
        let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(1)).expect("there is room");
        let (outcomes, _) = run(&mut fleet, "factorial", vec![Input::args(vec![Value::I64(5)])]);
        assert_eq!(outcomes[0].values, [Value::I64(120)]);
        (stages, program.cached())
    };
    assert_eq!(make(), (vec!["translating", "compiling", "loading"], false));
    assert_eq!(make(), (vec!["cached"], true));
    for entry in std::fs::read_dir(dir.path()).expect("the folder").flatten() {
        let mut bytes = std::fs::read(entry.path()).expect("an entry");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(entry.path(), bytes).expect("an entry");
    }
    assert_eq!(make(), (vec!["translating", "compiling", "loading"], false));
    assert_eq!(make(), (vec!["cached"], true));
}
