//! Memory that grows, on a cpu that has too little for all VMs to have the most they may.

mod common;

use std::sync::atomic::Ordering;
use vectorvisor::{
    CachePolicy, End, Engine, Error, Fleet, FleetOptions, Input, Instances, Outcome, Program, ProgramOptions, Summary,
    TrapKind, Traps, Value,
};

const PAGE: u64 = 65536;
const VMS: u32 = 64;
/// Pages that a VM has at first, and the most.
const FIRST: i32 = 5;
const LIMIT: i32 = 64;

/// `fill` grows the memory by a page until it has `pages`, writes to both ends of each new page, which it expects to be
/// zero, and returns the sum of all it wrote. `poke` has `pages`, stores at its size and `above` it, and returns what
/// the end of memory then holds; `around` what a store at `address` leaves there and before it; `far` stores at a
/// constant offset beyond the first memory.
const GUEST: &str = r#"(module
  (memory 1)
  (func $fill (export "fill") (param $pages i32) (param $value i32) (result i32) (local $n i32) (local $sum i32)
    (local.set $n (i32.const 1))
    (block $full
      (loop $more
        (br_if $full (i32.ge_u (local.get $n) (local.get $pages)))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const -1))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (call $mark (i32.sub (i32.shl (local.get $n) (i32.const 16)) (i32.const 65536)) (local.get $value))
        (call $mark (i32.sub (i32.shl (local.get $n) (i32.const 16)) (i32.const 4)) (local.get $n))
        (br $more)))
    (local.set $n (i32.const 1))
    (loop $sums
      (if (i32.lt_u (local.get $n) (local.get $pages))
        (then
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (local.set $sum (i32.add (local.get $sum) (i32.add
            (i32.load (i32.sub (i32.shl (local.get $n) (i32.const 16)) (i32.const 65536)))
            (i32.load (i32.sub (i32.shl (local.get $n) (i32.const 16)) (i32.const 4))))))
          (br $sums))))
    (local.get $sum))
  (func $mark (param $at i32) (param $value i32)
    (if (i32.load (local.get $at)) (then unreachable))
    (i32.store (local.get $at) (local.get $value)))
  (func (export "poke") (param $pages i32) (param $above i32) (result i32)
    (drop (call $fill (local.get $pages) (i32.const 7)))
    (i32.store (i32.add (i32.shl (memory.size) (i32.const 16)) (local.get $above)) (i32.const 0x01020304))
    (i32.load (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4))))
  (func (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages)))
  (func (export "store") (param $at i32) (i64.store (local.get $at) (i64.const -1)))
  (func (export "store_field") (param $at i32) (i64.store offset=2000 (local.get $at) (i64.const -1)))
  (func (export "store_far") (param $at i32) (i64.store offset=200000 (local.get $at) (i64.const -1)))
  (func (export "load") (param $at i32) (result i32) (i32.load8_u (local.get $at)))
  (func (export "load_far") (param $at i32) (result i64)
    (i64.add (i64.load offset=200000 (local.get $at)) (i64.load offset=200008 (local.get $at)))))"#;

/// A cpu that has room for `VMS` with the first capacity.
fn scarce() -> Engine {
    common::engine(|info| info.memory = u64::from(VMS) * 10 * PAGE).0
}

fn options(lanes: u32) -> ProgramOptions {
    ProgramOptions {
        lanes: Some(lanes),
        cache: CachePolicy::Off,
        heap: Some(LIMIT as u64 * PAGE),
        ..Default::default()
    }
}

/// All ways to translate it.
fn ways() -> Vec<ProgramOptions> {
    let mut ways = Vec::new();
    for (lanes, force_framed) in [(8, false), (32, true), (32, false), (1, false)] {
        for traps in [Traps::Sticky, Traps::Exact] {
            ways.push(ProgramOptions { traps, force_framed, ..options(lanes) });
        }
        ways.push(ProgramOptions { interpret: true, ..options(lanes) });
    }
    ways
}

fn program(engine: &Engine, options: &ProgramOptions) -> Program {
    Program::new(engine, GUEST.as_bytes(), options, &mut |_| {}).expect("the program compiles")
}

fn fleet(program: &Program) -> Fleet {
    let options = FleetOptions { vms: Some(VMS), out_capacity: Some(64), exact_reruns: 0, ..Default::default() };
    Fleet::new(program, &options, None).expect("there is room")
}

fn call(fleet: &mut Fleet, entry: &str, args: impl Iterator<Item = (i32, i32)>) -> (Vec<Outcome>, Summary) {
    let mut inputs = args.map(|(a, b)| Input::args(vec![Value::I32(a), Value::I32(b)]));
    let mut outcomes = Vec::new();
    let summary = fleet.run(entry, &mut inputs, &mut |o| outcomes.push(o)).expect("the run ends");
    outcomes.sort_by_key(|o| o.index);
    assert!(outcomes.iter().map(|o| o.index).eq(0..summary.inputs));
    (outcomes, summary)
}

/// What `fill` returns.
fn sum(pages: i32, value: i32) -> i32 {
    (2..=pages).map(|n| n + value).sum()
}

fn fill(fleet: &mut Fleet, count: i32, pages: impl Fn(i32) -> i32) -> Summary {
    let (outcomes, summary) = call(fleet, "fill", (0..count).map(|i| (pages(i), i)));
    for (outcome, i) in outcomes.iter().zip(0..) {
        let want = if pages(i) > LIMIT { -1 } else { sum(pages(i), i) };
        assert_eq!((&outcome.end, &outcome.values[..]), (&End::Exit(0), &[Value::I32(want)][..]), "{i}");
        assert_eq!(outcome.refused_at, (pages(i) > LIMIT).then_some(LIMIT as u64 * PAGE), "{i}");
    }
    summary
}

#[test]
fn inputs_that_outgrow_their_memory_run_again_with_more() {
    let engine = scarce();
    for options in ways() {
        let program = program(&engine, &options);
        assert_eq!(program.meta().plan.memory_first, FIRST as u64 * PAGE);
        let framed = options.force_framed;
        let none = fill(&mut fleet(&program), 200, |_| FIRST);
        assert_eq!(none.reruns, 0, "{none:?}");
        // A few, each with its own need; one needs all there is, and one more than that.
        let few = fill(&mut fleet(&program), 300, |i| match i % 100 {
            7 => 6 + i / 20,
            50 => LIMIT + i / 250,
            _ => 1 + i % FIRST,
        });
        // Five must: the one that asks for more than there is gets -1 at once.
        assert!((5..=20).contains(&few.reruns), "{few:?}");
        assert!(framed || few.launches <= 16, "{few:?}");
        let many = fill(&mut fleet(&program), 300, |i| if i % 3 == 0 { 10 } else { 2 });
        assert!((22..=110).contains(&many.reruns), "{many:?}");
        // After the first launches everybody has more.
        let mut fleet = fleet(&program);
        let all = fill(&mut fleet, 640, |i| 8 + i % 3);
        assert!((64..=128).contains(&all.reruns), "{all:?}");
        let again = fill(&mut fleet, 640, |i| 8 + i % 3);
        assert_eq!(again.reruns, 0, "{again:?}");
    }
}

#[test]
fn few_inputs_have_all_memory_from_the_start() {
    let program = program(&scarce(), &options(8));
    let options = FleetOptions { out_capacity: Some(64), ..Default::default() };
    let mut fleet = Fleet::new(&program, &options, Some(5)).expect("there is room");
    assert_eq!(fill(&mut fleet, 5, |_| 40).reruns, 0);
    let mut roomy = Fleet::new(
        &Program::new(&common::engine(|_| ()).0, GUEST.as_bytes(), &self::options(8), &mut |_| {})
            .expect("it compiles"),
        &FleetOptions { vms: Some(VMS), ..options },
        None,
    )
    .expect("there is room");
    assert_eq!(fill(&mut roomy, 200, |i| i % LIMIT).reruns, 0);
}

/// Bad stores right at the size, just beyond it and beyond the capacity, before and after growth, beside good ones in
/// neighbouring VMs.
#[test]
fn bad_stores_trap_and_change_nothing_else() {
    let engine = scarce();
    for options in ways() {
        let mut fleet = fleet(&program(&engine, &options));
        let above = [-8, -7, -4, -3, -1, 0, 1, 4, 8, 63, 1020, 1024, 65535, 65536, 400_000, 4_300_000, -70_000_000];
        let pages = [1, 2, FIRST, 6, 11, LIMIT];
        let args: Vec<_> =
            pages.iter().flat_map(|p| above.map(|a| (*p, a))).chain((0..200).map(|i| (1 + i % 7, -4))).collect();
        for (outcome, (pages, above)) in call(&mut fleet, "poke", args.iter().copied()).0.iter().zip(&args) {
            let end = if *pages > 1 { *pages } else { 0 };
            match above {
                -8 | -4 | -7 => {
                    let want = match above {
                        -4 => 0x01020304,
                        -7 => (end & !0xff) | 1,
                        _ => end,
                    };
                    assert_eq!(
                        (&outcome.end, &outcome.values[..]),
                        (&End::Exit(0), &[Value::I32(want)][..]),
                        "{above}"
                    );
                }
                _ => {
                    let End::Trap(trap) = &outcome.end else { panic!("{pages} {above}: {outcome:?}") };
                    assert_eq!(trap.kind, TrapKind::OutOfBoundsMemory);
                }
            }
        }
        // What they left is not seen by those that come after them.
        fill(&mut fleet, 200, |i| 1 + i % 12);
    }
}

/// An instance keeps its memory after a trap: a bad store is neither seen in it nor in what it grows to.
#[test]
fn bad_stores_are_not_seen_after_growth() -> Result<(), Error> {
    let (engine, _) = common::engine(|_| ());
    for options in ways() {
        let program = program(&engine, &options);
        let mut all = Instances::new(&program, 40, &FleetOptions::default())?;
        all.instantiate()?;
        let mut invoke = |name: &str, arg: &dyn Fn(i32) -> i32| {
            let args: Vec<_> = (0..40).map(|i| vec![Value::I32(arg(i))]).collect();
            all.invoke(name, &args)
        };
        let trapped = |end: &End| matches!(end, End::Trap(trap) if trap.kind == TrapKind::OutOfBoundsMemory);
        for round in 1..4 {
            let size = round * 65536;
            assert!(invoke("store", &|i| size - 7 + 8 * i)?.iter().all(|r| trapped(&r.end)));
            assert!(invoke("store_field", &|i| size - 2007 + i)?.iter().all(|r| trapped(&r.end)));
            assert!(invoke("store_far", &|i| size - 200_007 + i)?.iter().all(|r| trapped(&r.end)));
            assert!(invoke("store_far", &|i| -1 - i)?.iter().all(|r| trapped(&r.end)));
            assert!(invoke("load_far", &|i| size - 200_015 + i)?.iter().all(|r| trapped(&r.end)));
            for before in [8, 7, 4, 1] {
                assert!(invoke("load", &|_| size - before)?.iter().all(|r| r.values == [Value::I32(0)]));
            }
            assert!(invoke("grow", &|_| 1)?.iter().all(|r| r.values == [Value::I32(round)]));
            for above in [0, 1, 7, 8, 100, 1000, 2000, 65535] {
                assert!(
                    invoke("load", &|i| size + (above + i).min(65535))?.iter().all(|r| r.values == [Value::I32(0)])
                );
            }
        }
        assert!(invoke("store_far", &|i| 4 * 65536 - 200_008 - i)?.iter().all(|r| r.end == End::Exit(0)));
        assert!(invoke("load", &|i| 4 * 65536 - 8 - i)?.iter().all(|r| r.values == [Value::I32(255)]));
        assert!(invoke("load_far", &|_| 4 * 65536 - 200_016)?.iter().all(|r| r.end == End::Exit(0)));
    }
    Ok(())
}

/// Large memories are cleared where they were touched: each input marks pages of its own, in the memory that it begins
/// with and in what it grows by, and counts the words that are not zero.
#[test]
fn an_input_sees_nothing_of_earlier_ones() {
    const GUEST: &str = r#"(module
      (memory 40)
      (data (i32.const 1234560) "\01\00\00\00")
      (func $marks (param $first i32) (param $step i32) (param $from i32) (param $to i32) (result i32)
        (local $at i32) (local $found i32)
        (local.set $at (local.get $from))
        (loop $words
          (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
            (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
          (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $to))))
        (local.set $at (i32.add (local.get $from) (local.get $first)))
        (loop $stores
          (i64.store (local.get $at) (i64.const -1))
          (br_if $stores (i32.lt_u (local.tee $at (i32.add (local.get $at) (local.get $step))) (local.get $to))))
        (local.get $found))
      (func (export "marks") (param $first i32) (param $step i32) (result i32) (local $found i32)
        (local.set $found (call $marks (local.get $first) (local.get $step) (i32.const 0) (i32.const 2621440)))
        (if (i32.ne (memory.grow (i32.const 20)) (i32.const 40)) (then unreachable))
        (i32.add (local.get $found)
          (call $marks (local.get $first) (local.get $step) (i32.const 2621440) (i32.const 3932160)))))"#;
    let engine = common::engine(|_| ()).0;
    for lanes in [1, 8] {
        let program = Program::new(&engine, GUEST.as_bytes(), &options(lanes), &mut |_| {}).expect("it compiles");
        let options = FleetOptions { vms: Some(8), ..Default::default() };
        let mut fleet = Fleet::new(&program, &options, None).expect("there is room");
        let args = (0..64).map(|i| (i * 4096 + 8 * (i % 3) * 255, 8 + (i % 5) * 40_000));
        for outcome in call(&mut fleet, "marks", args).0 {
            assert_eq!((&outcome.end, &outcome.values[..]), (&End::Exit(0), &[Value::I32(1)][..]), "{outcome:?}");
        }
    }
}

/// The device gives less memory than the options allow.
#[test]
fn an_input_that_finds_no_memory_fails_alone() {
    let (engine, faults) = common::engine(|info| info.memory = u64::from(VMS) * 10 * PAGE);
    let program = program(&engine, &options(32));
    let plan = &program.meta().plan;
    faults.largest.store(plan.region(20 * PAGE, plan.frames) * 32, Ordering::SeqCst);
    let (outcomes, _) =
        call(&mut fleet(&program), "fill", (0..200).map(|i| (if i % 50 == 9 { 40 } else { 1 + i % 9 }, i)));
    for (outcome, i) in outcomes.iter().zip(0..) {
        match (&outcome.end, i % 50) {
            (End::Failed(why), 9) => assert!(why.contains("no room") && why.contains("fewer --lanes"), "{why}"),
            (end, _) => assert_eq!((end, &outcome.values[..]), (&End::Exit(0), &[Value::I32(sum(1 + i % 9, i))][..])),
        }
    }
}

#[test]
fn what_was_enough_is_remembered() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let engine = scarce();
    let options = ProgramOptions { cache: CachePolicy::Dir(folder.path().into()), ..options(8) };
    let mut reruns = Vec::new();
    for _ in 0..2 {
        let program = program(&engine, &options);
        reruns.push(fill(&mut fleet(&program), 640, |i| if i == 600 { 60 } else { 8 + i % 3 }).reruns);
    }
    assert!(reruns[0] >= 64 && reruns[1] <= 4, "{reruns:?}");
    Ok(())
}
