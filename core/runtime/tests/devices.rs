//! One run on several devices, which are the cpu's: each input is delivered once, whatever fails.

mod common;

use common::Faults;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use vectorvisor::{
    Autotuning, CachePolicy, CancelHandle, DeviceRun, Devices, End, Error, Fleet, FleetOptions, Input, Outcome,
    Program, ProgramOptions, Ready, Result, Stage, Summary,
};

/// Prints its input and eight random bytes; `l` at its begin loops for ever.
const GUEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 1000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 108)) (then (loop $ever (br $ever))))
    (drop (call $random (i32.add (i32.const 100) (i32.load (i32.const 8))) (i32.const 8)))
    (i32.store (i32.const 4) (i32.add (i32.const 8) (i32.load (i32.const 8))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))"#;

struct Tested {
    names: Vec<String>,
    fleets: Vec<Result<(Fleet, Autotuning)>>,
    faults: Vec<Arc<Faults>>,
    cancel: CancelHandle,
}

const SEED: Option<u64> = Some(7);

/// What a run gave: outcomes by input, and warnings by device.
#[derive(Debug)]
struct Ran {
    result: Result<(Summary, Vec<DeviceRun>)>,
    outcomes: BTreeMap<usize, Outcome>,
    warnings: Vec<(usize, String)>,
}

impl Tested {
    /// Devices with so many VMs each.
    fn new(vms: &[u32]) -> Self {
        Self::of(GUEST, vms)
    }

    fn of(guest: &str, vms: &[u32]) -> Self {
        let cancel = CancelHandle::default();
        let (mut fleets, mut faults) = (Vec::new(), Vec::new());
        for &vms in vms {
            let (engine, its) = common::engine(|info| info.parallel_tiles = 2);
            let cache = CachePolicy::Dir(env!("CARGO_TARGET_TMPDIR").into());
            let options = ProgramOptions { cache, heap: Some(1 << 20), ..Default::default() };
            let program = Program::new(&engine, guest.as_bytes(), &options, &mut |_| {}).expect("it compiles");
            let options = FleetOptions { vms: Some(vms), seed: SEED, ..Default::default() };
            let fleet = Fleet::with_cancel(&program, &options, None, cancel.clone()).expect("there is room");
            fleets.push(Ok((fleet, Autotuning::Auto)));
            faults.push(its);
        }
        let names = (0..vms.len()).map(|i| format!("test:{i}")).collect();
        Self { names, fleets, faults, cancel }
    }

    fn fail(&self, device: usize, after: i64) {
        self.faults[device].launches.store(after, Ordering::SeqCst);
    }

    fn run(mut self, count: usize, total: Option<usize>) -> Ran {
        let (ready, fleets) = channel();
        for come in self.fleets.drain(..).enumerate() {
            ready.send(come).expect("it waits");
        }
        self.run_as_they_come(&fleets, count, total)
    }

    fn run_as_they_come(&self, fleets: &Receiver<Ready>, count: usize, total: Option<usize>) -> Ran {
        let (mut outcomes, mut warnings) = (BTreeMap::new(), Vec::new());
        let devices = Devices { names: &self.names, fleets, cancel: &self.cancel, seed: SEED };
        let result = devices.run(
            "_start",
            total,
            &mut (0..count).map(|i| Input::stdin(format!("input {i}"))),
            &mut |outcome| {
                let before = outcomes.insert(outcome.index, outcome);
                assert!(before.is_none(), "delivered twice: {before:?}");
            },
            &mut |device, stage| {
                if let Stage::Warning(text) = stage {
                    warnings.push((device, text.to_string()));
                }
            },
        );
        Ran { result, outcomes, warnings }
    }
}

/// What one device gives, with the same seed.
fn alone(count: usize) -> BTreeMap<usize, Outcome> {
    let Ok((mut fleet, _)) = Tested::new(&[16]).fleets.remove(0) else { panic!("a fleet") };
    let (mut outcomes, mut inputs) = (BTreeMap::new(), (0..count).map(|i| Input::stdin(format!("input {i}"))));
    let ran = fleet.run("_start", &mut inputs, &mut |outcome| _ = outcomes.insert(outcome.index, outcome));
    assert_eq!((ran.expect("it ends").delivered, outcomes.len()), (count, count));
    outcomes
}

#[test]
fn two_devices_give_what_one_gives() {
    let expected = alone(500);
    for total in [Some(500), None, Some(3), Some(100_000)] {
        let Ran { result, outcomes, warnings } = Tested::new(&[16, 8]).run(500, total);
        let (summary, devices) = result.expect("it ends");
        assert!(outcomes == expected && warnings.is_empty(), "{total:?}: {warnings:?}");
        assert_eq!((summary.inputs, summary.delivered, summary.cancelled), (500, 500, false));
        assert_eq!(devices.iter().map(|device| device.summary.delivered).sum::<usize>(), 500);
        assert!(devices.iter().all(|device| device.failed.is_none() && device.fleet.is_some()));
    }
    assert!(Tested::new(&[16, 8]).run(0, Some(0)).result.is_ok_and(|(summary, _)| summary.inputs == 0));
}

#[test]
fn a_device_whose_vms_sleep_takes_what_another_gives_back() {
    // Sleeps for as many times 0.3 s as its input says.
    let guest = r#"(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (i32.store (i32.const 0) (i32.const 100))
        (i32.store (i32.const 4) (i32.const 1))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 216) (i32.const 1))
        (i64.store (i32.const 224)
          (i64.mul (i64.const 300000000) (i64.sub (i64.load8_u (i32.const 100)) (i64.const 48))))
        (drop (call $poll (i32.const 200) (i32.const 300) (i32.const 1) (i32.const 400)))))"#;
    let mut tested = Tested::of(guest, &[2, 2]);
    // After two groups have begun, and one of them goes on.
    tested.fail(0, 3);
    let (ready, fleets) = channel();
    let mut come = tested.fleets.drain(..);
    let mut late = Some((ready.clone(), come.next().expect("a fleet")));
    ready.send((1, come.next().expect("a fleet"))).expect("it waits");
    drop((ready, come));
    // That one begins when the second has an input.
    let mut inputs = ["9", "1", "2", "2"].into_iter().map(|input| {
        if let Some((ready, fleet)) = late.take() {
            ready.send((0, fleet)).expect("it waits");
        }
        Input::stdin(input)
    });
    let devices = Devices { names: &tested.names, fleets: &fleets, cancel: &tested.cancel, seed: SEED };
    let (begin, mut ended) = (Instant::now(), Vec::new());
    let mut sink = |outcome: Outcome| ended.push((outcome.index, begin.elapsed(), outcome.end));
    let ran = devices.run("_start", Some(4), &mut inputs, &mut sink, &mut |_, _| ());
    let (_, devices) = ran.expect("the second goes on");
    assert!(devices[0].failed.is_some() && devices[1].summary.delivered == 4, "{devices:?}");
    assert!(ended.iter().all(|(_, _, end)| *end == End::Exit(0)), "{ended:?}");
    assert!(ended.iter().all(|(index, when, _)| *index == 0 || *when < Duration::from_millis(2600)), "{ended:?}");
}

#[test]
fn others_run_what_a_device_that_fails_had_not_ended() {
    let expected = alone(300);
    for after in [0, 1, 2, 3, 4, 5, 6, 9, 20] {
        let devices = Tested::new(&[16, 8, 8]);
        devices.fail(1, after);
        devices.faults[0].slow.store(200, Ordering::SeqCst);
        let Ran { result, outcomes, warnings } = devices.run(300, Some(300));
        let (summary, devices) = result.expect("the others go on");
        assert!(outcomes == expected, "after {after} launches");
        assert_eq!((summary.inputs, summary.delivered), (300, 300));
        let failed = devices[1].failed.as_deref();
        assert_eq!(failed, (!warnings.is_empty()).then_some("the device fell off the bus"), "{warnings:?}");
        if after < 6 {
            let [(1, warning)] = &warnings[..] else { panic!("after {after} launches: {warnings:?}") };
            assert!(warning.starts_with("failed: the device fell off the bus; the other devices "), "{warning}");
        }
    }
}

#[test]
fn a_run_fails_when_all_devices_have() {
    for (first, second) in [(0, 0), (0, 7), (4, 10)] {
        let devices = Tested::new(&[16, 8]);
        devices.fail(0, first);
        devices.fail(1, second);
        let Ran { result, outcomes, .. } = devices.run(2000, Some(2000));
        let Err(Error::Lost { lost, source }) = result else { panic!("{result:?}") };
        assert_eq!(source.to_string(), "the device fell off the bus", "both say the same");
        let mut all: Vec<usize> = outcomes.into_keys().chain(lost).collect();
        all.sort_unstable();
        assert_eq!(all, (0..all.len()).collect::<Vec<_>>(), "each input is delivered or lost");
    }
}

#[test]
fn a_device_that_cannot_begin_is_left_out() {
    let expected = alone(100);
    let no_room = || Err(Error::Memory("there is no room".into()));
    let mut devices = Tested::new(&[16, 8]);
    devices.fleets[0] = no_room();
    let Ran { result, outcomes, warnings } = devices.run(100, None);
    let (_, devices) = result.expect("the other goes on");
    assert!(outcomes == expected);
    assert_eq!(warnings, [(0, "failed: there is no room; the other devices go on".into())]);
    assert!(devices[0].fleet.is_none() && devices[0].failed.is_some());

    let mut devices = Tested::new(&[16, 8]);
    devices.fleets = vec![no_room(), no_room()];
    let result = devices.run(100, None).result;
    assert!(matches!(result, Err(Error::Memory(_))), "{result:?}");
    let mut devices = Tested::new(&[16, 8]);
    devices.fleets = vec![no_room(), Err(Error::Memory("no memory".into()))];
    let text = devices.run(100, None).result.expect_err("none is left").to_string();
    assert_eq!(text, "all devices failed:\n  test:0: there is no room\n  test:1: no memory");
}

#[test]
fn the_first_that_is_ready_begins() {
    let mut devices = Tested::new(&[8, 8]);
    let (ready, fleets) = channel();
    let late = devices.fleets.pop().expect("two");
    ready.send((0, devices.fleets.pop().expect("one"))).expect("it waits");
    let Ran { result, outcomes, .. } = devices.run_as_they_come(&fleets, 200, Some(200));
    assert_eq!(outcomes.len(), 200);
    assert!(result.is_ok_and(|(_, devices)| devices[1].fleet.is_none() && devices[1].failed.is_none()));
    drop(fleets);
    assert!(ready.send((1, late)).is_err(), "nobody wants it any more");
}

/// A launch with all VMs of the slow device would take five seconds; the other ends the rest in less.
#[test]
fn a_slow_device_takes_little_near_the_end() {
    for total in [Some(400), None] {
        let devices = Tested::new(&[16, 256]);
        // A launch is three: reset, run and gather.
        devices.faults[0].slow.store(1000, Ordering::SeqCst);
        devices.faults[1].slow.store(7000, Ordering::SeqCst);
        let begin = Instant::now();
        let Ran { result, outcomes, .. } = devices.run(400, total);
        let took = begin.elapsed();
        let (_, devices) = result.expect("it ends");
        let ended: Vec<usize> = devices.iter().map(|device| device.summary.delivered).collect();
        assert_eq!(outcomes.len(), 400);
        assert!(took < Duration::from_secs(4) && ended[1] > 1 && ended[1] < 200, "{total:?}: {took:?}, {ended:?}");
    }
}

#[test]
fn cancelling_ends_all() {
    let Tested { names, fleets, cancel, .. } = Tested::new(&[4, 4]);
    let (ready, coming) = channel();
    fleets.into_iter().enumerate().for_each(|come| ready.send(come).expect("it waits"));
    let handle = cancel.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        handle.cancel();
    });
    let mut ended = 0;
    let devices = Devices { names: &names, fleets: &coming, cancel: &cancel, seed: SEED };
    let ran = devices.run(
        "_start",
        None,
        &mut (0..100).map(|i| Input::stdin(if i < 2 { "ok" } else { "loop" })),
        &mut |outcome| {
            assert_eq!(outcome.end, End::Exit(0));
            ended += 1;
        },
        &mut |_, _| (),
    );
    assert!(ran.is_ok_and(|(summary, _)| summary.cancelled && summary.inputs < 20) && ended <= 2);
    thread.join().expect("no panic");
}
