//! Programs that serve requests in a loop, on the cpu in tiles of 1 and 32 VMs.

mod common;

use std::time::Duration;
use vectorvisor::translate::Alignment;
use vectorvisor::{
    CachePolicy, End, Fleet, FleetOptions, Input, Outcome, Program, ProgramOptions, Summary, TrapKind, Value,
};

/// Before its first request: grows its memory, writes a line, and keeps 7 in a local, 5 in a global and "echo: " in the
/// new memory. A request of up to 100 bytes is then answered according to its first byte:
/// `c` how many requests the VM has had by now; `n` with nothing at all; `t` twice; `b` 64 KiB; `p` after a line on
/// standard output; `w` after a barrier, if the second byte is not `0`; `u` unreachable; `x` exits with 3; `y` answers and
/// exits; `z` answers and is unreachable; `l` loops for ever; `r` returns from its entry; others with "echo: " and itself.
const GUEST: &str = r#"(module
  (import "env" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "serverless_response" (func $response (param i32 i32)))
  (import "env" "vectorvisor_barrier" (func $barrier))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  SEES
  (memory (export "memory") 2)
  (global $five (mut i32) (i32.const 0))
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 64) "line\n")
  (data (i32.const 96) "echo: ")
  (func $line (param $fd i32)
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 5))
    (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $serve (param $seven i32) (result i32) (local $n i32) (local $c i32) (local $buffer i32)
    (local.set $buffer (i32.const 140000))
    (loop $next (result i32)
      (local.set $n (call $invoke (i32.add (local.get $buffer) (i32.const 6)) (i32.const 100)))
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (if (i32.ne (local.get $seven) (i32.const 7)) (then unreachable))
      (if (i32.ne (global.get $five) (i32.const 5)) (then unreachable))
      (if (i32.ne (memory.size) (i32.const 3)) (then unreachable))
      (local.set $c (i32.load8_u (i32.const 140006)))
      (if (i32.eq (local.get $c) (i32.const 110)) (then (br $next)))
      (if (i32.eq (local.get $c) (i32.const 117)) (then (unreachable)))
      (if (i32.eq (local.get $c) (i32.const 120)) (then (call $exit (i32.const 3))))
      (if (i32.eq (local.get $c) (i32.const 108)) (then (loop (br 0))))
      (if (i32.eq (local.get $c) (i32.const 114)) (then (return (i32.const 1))))
      (if (i32.eq (local.get $c) (i32.const 112)) (then (call $line (i32.const 1))))
      (if (i32.eq (local.get $c) (i32.const 119)) (then
        (if (i32.ne (i32.load8_u (i32.const 140007)) (i32.const 48)) (then (call $barrier)))))
      (if (i32.eq (local.get $c) (i32.const 99)) (then
        (i32.store8 (i32.const 140006) (i32.add (global.get $count) (i32.const 48)))))
      (if (i32.eq (local.get $c) (i32.const 98)) (then
        (call $response (i32.const 65536) (i32.const 65536))
        (br $next)))
      (call $response (local.get $buffer) (i32.add (local.get $n) (i32.const 6)))
      (if (i32.eq (local.get $c) (i32.const 116)) (then (call $response (local.get $buffer) (i32.const 2))))
      (if (i32.eq (local.get $c) (i32.const 121)) (then (call $exit (i32.const 4))))
      (if (i32.eq (local.get $c) (i32.const 122)) (then (unreachable)))
      (br $next)))
  (func (export "_start") (local $seven i32)
    (drop (memory.grow (i32.const 1)))
    (global.set $five (i32.const 5))
    (memory.copy (i32.const 140000) (i32.const 96) (i32.const 6))
    (call $line (i32.const 2))
    SEE
    (call $response (i32.const 0) (i32.const 4))
    (drop (call $serve (i32.const 7)))))"#;

/// The guest, which may read a random number before its first request.
fn guest(sees_input: bool) -> String {
    let random = r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let see = "(drop (call $random (i32.const 200) (i32.const 8)))";
    let (import, see) = if sees_input { (random, see) } else { ("", "") };
    GUEST.replace("SEES", import).replace("SEE", see)
}

fn fleet(text: &str, program: ProgramOptions, fleet: FleetOptions) -> Fleet {
    let engine = common::engine(|_| ()).0;
    let options = ProgramOptions { cache: CachePolicy::Off, heap: Some(1 << 20), ..program };
    let program = Program::new(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles");
    Fleet::new(&program, &fleet, None).expect("there is room")
}

fn run(fleet: &mut Fleet, inputs: Vec<Input>) -> (Vec<Outcome>, Summary) {
    let (count, mut outcomes) = (inputs.len(), Vec::new());
    let summary = fleet.run("_start", &mut inputs.into_iter(), &mut |o| outcomes.push(o)).expect("the run ends");
    outcomes.sort_by_key(|o| o.index);
    assert_eq!(outcomes.iter().map(|o| o.index).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
    (outcomes, summary)
}

fn texts(fleet: &mut Fleet, texts: &[&str]) -> Vec<String> {
    let outcomes = run(fleet, texts.iter().map(Input::stdin).collect()).0;
    outcomes.into_iter().map(|o| o.end.to_string() + "/" + &String::from_utf8_lossy(&o.stdout)).collect()
}

const MANY: [&str; 12] = ["hello", "b", "n", "c", "u", "two", "p", "x", "w", "y", "z", "r"];

/// Whether a request ended as it should. `keep`: what the VM did before may show.
fn check(request: &str, outcome: &Outcome, keep: bool) {
    let (end, stdout) = (outcome.end.to_string(), String::from_utf8_lossy(&outcome.stdout).into_owned());
    let failed = |why: &str| assert!(end.contains(why) && stdout.is_empty(), "{request}: {end} {stdout}");
    match request.as_bytes().first() {
        Some(b'n') => failed("had not answered this one"),
        Some(b'u') => assert!(matches!(&outcome.end, End::Trap(trap) if trap.kind == TrapKind::Unreachable), "{end}"),
        Some(b'x') => failed("ended with exit code 3 and had not answered"),
        Some(b'r') => failed("ended with exit code 0 and had not answered"),
        _ if request.len() > 100 => assert_eq!(outcome.end, End::TooLong { most: 100 }, "{end}"),
        Some(b'b') => assert_eq!((&outcome.end, stdout.len()), (&End::Exit(0), 65536)),
        Some(b'c') if keep => assert_eq!((&outcome.end, stdout.len()), (&End::Exit(0), 7)),
        Some(b'c') => assert_eq!((&outcome.end, &*stdout), (&End::Exit(0), "echo: 1")),
        _ => assert_eq!((&outcome.end, stdout), (&End::Exit(0), format!("echo: {request}"))),
    }
    let line = if request.starts_with('p') { "line\n" } else { "" };
    assert_eq!(String::from_utf8_lossy(&outcome.stderr), line, "{request}, {end}");
}

fn ways() -> Vec<ProgramOptions> {
    let natural = Some(Alignment::Natural);
    let of = |lanes, interleave| ProgramOptions { lanes: Some(lanes), interleave, ..Default::default() };
    vec![
        of(1, None),
        of(32, Some(8)),
        ProgramOptions { alignment: natural, ..of(32, Some(0)) },
        ProgramOptions { alignment: natural, ..of(4, Some(16)) },
        ProgramOptions { force_framed: true, ..of(32, Some(4)) },
    ]
}

#[test]
fn each_request_is_answered_or_says_why_not() {
    for sees_input in [false, true] {
        for keep in [false, true] {
            for way in ways() {
                let way = ProgramOptions { keep, ..way };
                let mut fleet = fleet(&guest(sees_input), way, FleetOptions { vms: Some(33), ..Default::default() });
                let long = "a".repeat(101);
                // An empty one finds the last in the buffer, where state is kept.
                let requests: Vec<&str> =
                    MANY.into_iter().chain([if keep { "a" } else { "" }, &long]).cycle().take(400).collect();
                let (outcomes, _) = run(&mut fleet, requests.iter().map(Input::stdin).collect());
                for (request, outcome) in requests.iter().zip(&outcomes) {
                    check(request, outcome, keep);
                }
            }
        }
    }
}

/// The way to its first request is gone once.
#[test]
fn a_snapshot_saves_the_start() {
    let fuel = |sees_input| {
        let text = guest(sees_input).replace(
            "(global.set $five",
            "(loop (br_if 0 (i32.lt_u (global.get $five) (i32.const 100000))
               (global.set $five (i32.add (global.get $five) (i32.const 1)))))
             (global.set $five",
        );
        let mut fleet = fleet(&text, ProgramOptions::default(), FleetOptions::default());
        let outcome = run(&mut fleet, vec![Input::stdin("a")]).0.remove(0);
        assert_eq!(outcome.stdout, b"echo: a");
        outcome.fuel_used
    };
    assert!(fuel(true) >= 100_000);
    assert!(fuel(false) < 1000);
}

#[test]
fn state_is_kept_or_not() {
    for (keep, sees_input) in [(true, false), (true, true), (false, false), (false, true)] {
        let options = ProgramOptions { keep, lanes: Some(1), ..Default::default() };
        let mut fleet = fleet(&guest(sees_input), options, FleetOptions { vms: Some(1), ..Default::default() });
        let got = texts(&mut fleet, &["c", "c", "hello", "c"]);
        let want = if keep { ["1", "2", "hello", "4"] } else { ["1", "1", "hello", "1"] };
        assert_eq!(got, want.map(|text| format!("exit code 0/echo: {text}")));
        // What fails begins anew.
        let got = texts(&mut fleet, &["c", "u", "c", "y", "c"]);
        let end = |i: usize| got[i].rsplit(' ').next().unwrap_or_default().to_owned();
        assert_eq!([end(0), end(2), end(4)], if keep { ["5", "1", "1"] } else { ["1"; 3] });
    }
}

/// A request that never ends costs no other its answer.
#[test]
fn an_endless_request_times_out() {
    for lanes in [1, 32] {
        let timeout = Some(Duration::from_millis(300));
        let options = ProgramOptions { lanes: Some(lanes), ..Default::default() };
        let mut fleet = fleet(&guest(false), options, FleetOptions { vms: Some(33), timeout, ..Default::default() });
        let requests: Vec<&str> = (0..100).map(|n| if n == 40 { "l" } else { "hello" }).collect();
        for (n, outcome) in run(&mut fleet, requests.iter().map(Input::stdin).collect()).0.into_iter().enumerate() {
            match n {
                40 => assert!(matches!(outcome.end, End::Timeout(_)), "{}", outcome.end),
                _ => check("hello", &outcome, false),
            }
        }
    }
}

/// Passes a barrier as often as its argument says; the least that all VMs of a tile have come to is seen by none of them,
/// so what can be tested is that all end.
#[test]
fn barriers_end_with_those_that_come() {
    let text = r#"(module
      (import "env" "vectorvisor_barrier" (func $barrier))
      (func (export "f") (param $n i32) (result i32) (local $passed i32)
        (block $out (loop $more
          (br_if $out (i32.eq (local.get $passed) (local.get $n)))
          (call $barrier)
          (local.set $passed (i32.add (local.get $passed) (i32.const 1)))
          (br $more)))
        (local.get $passed)))"#;
    for lanes in [1, 32] {
        let options = ProgramOptions { lanes: Some(lanes), ..Default::default() };
        let mut fleet = fleet(text, options, FleetOptions { vms: Some(33), ..Default::default() });
        let inputs = (0..100).map(|n| Input::args(vec![Value::I32(n % 7)]));
        let (mut outcomes, mut inputs) = (Vec::new(), inputs);
        let summary = fleet.run("f", &mut inputs, &mut |o| outcomes.push(o)).expect("the run ends");
        assert_eq!((outcomes.len(), summary.reruns), (100, 0));
        for outcome in outcomes {
            assert_eq!(outcome.values, [Value::I32((outcome.index % 7) as i32)]);
        }
    }
}

/// A program that ends before it asks has one end for all requests.
#[test]
fn a_program_that_never_asks_answers_nobody() {
    let text =
        guest(false).replace("(call $line (i32.const 2))", "(call $line (i32.const 2)) (call $exit (i32.const 9))");
    let mut fleet = fleet(&text, ProgramOptions::default(), FleetOptions::default());
    for outcome in run(&mut fleet, vec![Input::stdin("a"); 40]).0 {
        assert!(outcome.end.to_string().contains("exit code 9"), "{}", outcome.end);
        assert_eq!(outcome.stderr, b"line\n");
    }
}
