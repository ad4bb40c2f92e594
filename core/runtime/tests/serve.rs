//! Inputs that come now and then.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};
use vectorvisor::{
    Alignment, CachePolicy, DeviceKind, End, Engine, Fleet, FleetOptions, Input, Outcome, Polled, Program,
    ProgramOptions, Source, Summary, Value,
};

/// Counts down from its argument in as many steps, and returns it.
const COUNT: &str = r#"(module (func (export "count") (param i64) (result i64) (local i64)
  (local.set 1 (local.get 0))
  (block (loop
    (br_if 1 (i64.eqz (local.get 1)))
    (local.set 1 (i64.sub (local.get 1) (i64.const 1)))
    (br 0)))
  (local.get 0)))"#;

struct Channel(Receiver<i64>);

impl Source<Input> for Channel {
    fn poll(&mut self) -> Polled<Input> {
        match self.0.try_recv() {
            Ok(n) => Polled::Ready(Input::args(vec![Value::I64(n)])),
            Err(TryRecvError::Empty) => Polled::NotYet(None),
            Err(TryRecvError::Disconnected) => Polled::Ended,
        }
    }
}

/// Writes 64 KiB.
const WRITE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "write") (param i64) (result i64)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 65536))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.get 0)))"#;

fn fleet(options: &FleetOptions) -> Fleet {
    fleet_of(COUNT, options)
}

fn fleet_of(program: &str, options: &FleetOptions) -> Fleet {
    fleet_on(&common::engine(|_| ()).0, program, options)
}

fn fleet_on(engine: &Engine, program: &str, options: &FleetOptions) -> Fleet {
    let options_of_program = ProgramOptions { lanes: Some(1), cache: CachePolicy::Off, ..Default::default() };
    let program = Program::new(engine, program.as_bytes(), &options_of_program, &mut |_| {}).expect("a program");
    Fleet::new(&program, options, None).expect("room")
}

/// Serves an entry to a client, which asks one question after another.
fn answered(fleet: &mut Fleet, entry: &str, client: impl FnOnce(&dyn Fn(i64) -> Outcome) + Send + 'static) -> Summary {
    let (waker, (send, inputs), (answer, answers)) = (fleet.waker(), channel(), channel::<Outcome>());
    let client = thread::spawn(move || {
        client(&|n| {
            send.send(n).expect("a server");
            waker.wake();
            answers.recv_timeout(Duration::from_secs(60)).expect("an answer before the next question")
        });
        drop(send);
        waker.wake();
    });
    let mut deliver = |outcome| answer.send(outcome).expect("a client");
    let summary = fleet.serve(entry, &mut Channel(inputs), &mut deliver).expect("a run");
    client.join().expect("all answers");
    summary
}

#[test]
fn each_input_is_answered_when_it_comes() {
    let summary = answered(&mut fleet(&FleetOptions::default()), "count", |ask| {
        for n in 0..200 {
            let outcome = ask(n);
            assert_eq!((outcome.index, outcome.values), (n as usize, vec![Value::I64(n)]));
        }
    });
    assert_eq!((summary.inputs, summary.delivered, summary.cancelled), (200, 200, false));
}

/// On a device whose VMs are several groups, others are answered while one input takes long.
#[test]
fn a_long_one_does_not_hold_back_those_that_come_later() {
    let mut fleet = fleet(&FleetOptions { timeout: Some(Duration::from_secs(2)), ..Default::default() });
    let (waker, (send, inputs), (answer, answers)) = (fleet.waker(), channel(), channel::<Outcome>());
    let client = thread::spawn(move || {
        let ask = |n| {
            send.send(n).expect("a server");
            waker.wake();
        };
        ask(i64::MAX);
        thread::sleep(Duration::from_millis(20));
        let begin = Instant::now();
        for n in 1..50 {
            ask(n);
            assert_eq!(answers.recv_timeout(Duration::from_secs(30)).expect("an answer").index, n as usize);
        }
        assert!(begin.elapsed() < Duration::from_millis(1900), "before the long one ended");
        drop(send);
        waker.wake();
        assert!(matches!(answers.recv().expect("an answer").end, End::Timeout(_)));
    });
    let mut deliver = |outcome| answer.send(outcome).expect("a client");
    fleet.serve("count", &mut Channel(inputs), &mut deliver).expect("a run");
    client.join().expect("all answers");
}

/// Nobody waits while a program compiles without an assumption that one input violated; then it runs that.
#[test]
fn what_violates_an_assumption_runs_elsewhere_until_the_program_is_without_it() {
    const LOAD: &str = r#"(module (memory 1) (data (i32.const 0) "\01\02\03\04\05\06\07\08")
      (func (export "load") (param i64) (result i64) (i64.load32_u (i32.wrap_i64 (local.get 0)))))"#;
    let cache = tempfile::tempdir().expect("a folder");
    let options = ProgramOptions {
        alignment: Some(Alignment::Natural),
        cache: CachePolicy::Dir(cache.path().into()),
        ..Default::default()
    };
    let make = || Program::new(&common::engine(|_| ()).0, LOAD.as_bytes(), &options, &mut |_| {}).expect("a program");
    let mut fleet = Fleet::new(&make(), &FleetOptions::default(), None).expect("room");
    let mut serve = || {
        let summary = answered(&mut fleet, "load", |ask| {
            for (n, value) in [(0, 0x0403_0201), (1, 0x0504_0302), (4, 0x0807_0605), (3, 0x0706_0504)] {
                assert_eq!(ask(n).values, [Value::I64(value)]);
            }
        });
        summary.reruns
    };
    assert!(serve() > 0, "the program is for aligned accesses");
    let begin = Instant::now();
    while serve() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the other program is never taken");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(make().options().alignment, Some(Alignment::Any), "later programs begin so");
}

/// Also where all VMs are one group, which then waits for nothing else.
#[test]
fn an_input_that_runs_again_is_answered_though_no_other_comes() {
    for vms in [Some(8), None] {
        let mut fleet = fleet_of(WRITE, &FleetOptions { vms, out_capacity: Some(64), ..Default::default() });
        let summary = answered(&mut fleet, "write", |ask| assert_eq!(ask(1).stdout.len(), 65536));
        assert_eq!(summary.delivered, 1);
        assert!(summary.reruns > 0);
    }
}

/// Writes its argument times 64 bytes.
const WRITE_SOME: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "write") (param i64) (result i64)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 64))
    (loop $more
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $more (i64.ne (i64.const 0) (local.tee 0 (i64.sub (local.get 0) (i64.const 1))))))
    (local.get 0)))"#;

/// After the first of them there is room, and others keep the memory that they have.
#[test]
fn inputs_that_write_without_end_allocate_nothing() {
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        let (engine, faults) = common::engine(move |info| (info.kind, info.parallel_tiles) = (kind, 64));
        let allocated = move || faults.allocated.load(Ordering::SeqCst);
        let options = FleetOptions { most_output: Some(1 << 20), ..Default::default() };
        answered(&mut fleet_on(&engine, WRITE_SOME, &options), "write", move |ask| {
            let mut before = 0;
            for turn in 0..20 {
                assert_eq!(ask(2).stdout.len(), 128);
                assert!(matches!(ask(0).end, End::Failed(why) if why.contains("longer than")));
                if turn == 1 {
                    before = allocated();
                }
            }
            assert_eq!(allocated(), before, "{kind:?}");
            // One that may write as much does.
            assert_eq!(ask(1000).stdout.len(), 64000);
        });
    }
}

/// So many fleets share the device that none may have further groups.
#[test]
fn an_input_that_needs_more_runs_again_where_no_group_can_be_made_for_it() {
    let (engine, _) = common::engine(|info| (info.kind, info.parallel_tiles) = (DeviceKind::Gpu, 64));
    let options = FleetOptions { out_capacity: Some(64), sharers: 9, ..Default::default() };
    answered(&mut fleet_on(&engine, WRITE_SOME, &options), "write", |ask| {
        for n in [1, 2, 1, 3] {
            assert_eq!(ask(n).stdout.len(), 64 * n as usize);
        }
    });
}

/// A source that has nothing at first, then an input that writes more than there is room for, and others until that has
/// ended.
struct Saturated {
    polled: u32,
    ended: Rc<Cell<bool>>,
    since: Instant,
}

impl Source<Input> for Saturated {
    fn poll(&mut self) -> Polled<Input> {
        assert!(self.since.elapsed() < Duration::from_secs(30), "the first input has ended");
        self.polled += 1;
        match self.polled {
            _ if self.ended.get() => Polled::Ended,
            1 => Polled::NotYet(Some(Instant::now())),
            2 => Polled::Ready(Input::args(vec![Value::I64(3)])),
            _ => Polled::Ready(Input::args(vec![Value::I64(1)])),
        }
    }
}

#[test]
fn an_input_that_needs_more_runs_again_however_many_others_come() {
    for (kind, sharers) in [(DeviceKind::Cpu, 1), (DeviceKind::Gpu, 1), (DeviceKind::Gpu, 9)] {
        let (engine, _) = common::engine(move |info| (info.kind, info.parallel_tiles) = (kind, 64));
        let options = FleetOptions { out_capacity: Some(64), sharers, ..Default::default() };
        let mut fleet = fleet_on(&engine, WRITE_SOME, &options);
        let ended = Rc::new(Cell::new(false));
        let mut source = Saturated { polled: 0, ended: ended.clone(), since: Instant::now() };
        let mut deliver = |outcome: Outcome| {
            if outcome.index == 0 {
                assert_eq!(outcome.stdout.len(), 3 * 64);
                ended.set(true);
            }
        };
        fleet.serve("write", &mut source, &mut deliver).expect("a run");
        assert!(ended.get(), "{kind:?} {sharers}");
    }
}

/// Where one allocation has no room for the output of as many VMs as there may be, fewer have some.
#[test]
fn an_input_that_writes_much_has_room_where_all_together_would_not() {
    let (engine, faults) = common::engine(|info| info.parallel_tiles = 2);
    let options = FleetOptions { out_capacity: Some(64), ..Default::default() };
    answered(&mut fleet_on(&engine, WRITE_SOME, &options), "write", move |ask| {
        assert_eq!(ask(1).stdout.len(), 64);
        faults.largest.store(3 << 20, Ordering::SeqCst);
        let outcome = ask(10_000);
        assert_eq!((outcome.end, outcome.stdout.len()), (End::Exit(0), 640_000));
    });
}

#[test]
fn a_server_that_waits_ends_when_it_is_cancelled() {
    let mut fleet = fleet(&FleetOptions::default());
    let (cancel, (_send, inputs)) = (fleet.cancel_handle(), channel());
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    let summary = fleet.serve("count", &mut Channel(inputs), &mut |_| ()).expect("a run");
    other.join().expect("no panic");
    assert!(summary.cancelled);
}

/// What a client asked, until one of them has ended.
struct Until {
    first: Option<i64>,
    ended: Rc<Cell<bool>>,
    polled: u32,
}

impl Source<Input> for Until {
    fn poll(&mut self) -> Polled<Input> {
        self.polled += 1;
        let ask = |n| Polled::Ready(Input::args(vec![Value::I64(n)]));
        match self.polled {
            _ if self.ended.get() => Polled::Ended,
            // Nothing now and then, as of a server.
            n if n % 8 == 0 => Polled::NotYet(None),
            n if n > 200 => self.first.take().map_or_else(|| ask(1), ask),
            _ => ask(1),
        }
    }
}

/// On a GPU the others of its group would wait for it.
#[test]
fn one_that_loops_for_ever_runs_aside_and_is_late_once() {
    let (engine, _) = common::engine(|info| (info.kind, info.parallel_tiles) = (DeviceKind::Gpu, 64));
    let options = FleetOptions { timeout: Some(Duration::from_millis(500)), ..Default::default() };
    let mut fleet = fleet_on(&engine, COUNT, &options);
    let ended = Rc::new(Cell::new(false));
    let mut source = Until { first: Some(i64::MAX), ended: ended.clone(), polled: 0 };
    let (mut late, mut right) = (0, 0);
    let summary = fleet.serve("count", &mut source, &mut |outcome: Outcome| match outcome.end {
        End::Timeout(_) => {
            ended.set(true);
            late += 1;
        }
        End::Exit(0) => right += 1,
        end => panic!("{end:?}"),
    });
    let summary = summary.expect("a run");
    assert_eq!((late, late + right), (1, summary.inputs));
    assert_eq!(summary.reruns, 1, "of the one that takes long only");
}
