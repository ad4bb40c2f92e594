//! Instances whose state lasts from call to call, and modules that are linked into one program.

mod common;

use std::time::Duration;
use vectorvisor::translate::link::{LinkError, Linker};
use vectorvisor::{
    CachePolicy, Call, End, Engine, Error, Fleet, FleetOptions, Input, Instances, Program, ProgramOptions, Returned,
    TrapKind, Traps, Value, to_wasm,
};

fn program(wasm: &[u8], force_framed: bool) -> Program {
    program_on(&common::engine(|_| ()).0, wasm, force_framed)
}

fn program_on(engine: &Engine, wasm: &[u8], force_framed: bool) -> Program {
    let options = ProgramOptions {
        lanes: Some(32),
        cache: CachePolicy::Off,
        heap: Some(1 << 20),
        traps: Traps::Exact,
        linked: true,
        force_framed,
        ..Default::default()
    };
    Program::new(engine, wasm, &options, &mut |_| {}).expect("the program compiles")
}

fn instances(wasm: &[u8], count: u32) -> Instances {
    Instances::new(&program(wasm, false), count, &FleetOptions::default()).expect("there is room")
}

fn trap(returned: &Returned) -> Option<TrapKind> {
    match &returned.end {
        End::Trap(trap) => Some(trap.kind),
        _ => None,
    }
}

const COUNTER: &str = r#"(module
  (memory 1)
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 8) "\05")
  (func $start (i32.store (i32.const 0) (i32.load (i32.const 8))))
  (start $start)
  (func (export "add") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
    (if (i32.eqz (local.get 0)) (then unreachable))
    (i32.load (i32.const 0)))
  (func (export "calls") (result i32) (global.get $calls)))"#;

#[test]
fn state_lasts_from_call_to_call() -> Result<(), Error> {
    for force_framed in [false, true] {
        let mut all = Instances::new(&program(COUNTER.as_bytes(), force_framed), 40, &FleetOptions::default())?;
        assert!(all.instantiate()?.iter().all(|r| r.end == End::Exit(0)));
        let args: Vec<Vec<Value>> = (0..40).map(|vm| vec![Value::I32(vm)]).collect();
        for round in 1..=3 {
            for (vm, returned) in all.invoke("add", &args)?.iter().enumerate() {
                // VM 0 traps after it has stored, and goes on all the same.
                match vm {
                    0 => assert_eq!(trap(returned), Some(TrapKind::Unreachable)),
                    _ => assert_eq!(returned.values, [Value::I32(5 + round * vm as i32)]),
                }
            }
            let calls = all.invoke("calls", &vec![Vec::new(); 40])?;
            assert!(calls.iter().all(|r| r.values == [Value::I32(round)]), "{calls:?}");
        }
        // Instantiating again resets the VMs.
        all.instantiate()?;
        assert_eq!(all.invoke("add", &args)?[39].values, [Value::I32(44)]);
    }
    Ok(())
}

#[test]
fn each_vm_may_call_something_else() -> Result<(), Error> {
    let mut all = instances(COUNTER.as_bytes(), 33);
    all.instantiate()?;
    let program = all.program().clone();
    let (add, calls) = (program.entry("add").expect("add"), program.entry("calls").expect("calls"));
    let one = [Value::I32(1)];
    let each: Vec<Option<Call<'_>>> = (0..33)
        .map(|vm| match vm % 3 {
            0 => None,
            1 => Some(Call { entry: add, args: &one }),
            _ => Some(Call { entry: calls, args: &[] }),
        })
        .collect();
    for (vm, returned) in all.call(&each)?.into_iter().enumerate() {
        let values = returned.map(|r| r.values);
        assert_eq!(values, [None, Some(vec![Value::I32(6)]), Some(vec![Value::I32(0)])][vm % 3]);
    }
    let wrong = [Some(Call { entry: add, args: &[] })];
    assert!(matches!(all.call(&wrong), Err(Error::Option(_))));
    assert!(matches!(all.invoke("none", &[]), Err(Error::NoEntry { .. })));
    Ok(())
}

/// Loops `n` times; for ever if `n` is 0.
const COUNT: &str = r#"(module (func (export "count") (param $n i32) (result i32) (local $i i32)
  (loop $more
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i32.ne (local.get $i) (local.get $n))) (br_if $more (i32.eqz (local.get $n))))
  (local.get $i)))"#;

#[test]
fn a_call_that_loops_comes_to_its_timeout_and_no_other() -> Result<(), Error> {
    for live in [true, false] {
        let engine = common::engine(move |info| (info.timer, info.live_shared) = (false, live)).0;
        let program = program_on(&engine, COUNT.as_bytes(), false);
        // All calls together take longer than the timeout of one.
        let (timeout, iterations) = if live { (1000, 50_000_000) } else { (20, 1) };
        let timeout = Some(Duration::from_millis(timeout));
        let mut all = Instances::new(&program, 40, &FleetOptions { timeout, ..Default::default() })?;
        assert!(all.instantiate()?.iter().all(|r| r.end == End::Exit(0)));
        let args: Vec<Vec<Value>> =
            (0..40).map(|vm| vec![Value::I32(if vm == 3 { 0 } else { iterations + vm })]).collect();
        for (vm, returned) in all.invoke("count", &args)?.iter().enumerate() {
            match vm {
                3 => assert!(matches!(returned.end, End::Timeout(_)), "{returned:?}"),
                _ => assert_eq!(returned.values, [Value::I32(iterations + vm as i32)]),
            }
        }
        // The VM goes on all the same, as after a trap.
        assert_eq!(all.invoke("count", &vec![vec![Value::I32(1)]; 40])?[3].values, [Value::I32(1)]);
    }
    Ok(())
}

#[test]
fn calls_can_be_cancelled() -> Result<(), Error> {
    let mut all = instances(COUNT.as_bytes(), 33);
    all.instantiate()?;
    let handle = all.cancel_handle();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        handle.cancel();
    });
    for n in [0, 1] {
        let ends = all.invoke("count", &vec![vec![Value::I32(n)]; 33])?;
        assert!(ends.iter().all(|returned| matches!(returned.end, End::Failed(_))), "{ends:?}");
    }
    assert!(thread.join().is_ok());
    Ok(())
}

#[test]
fn a_segment_that_does_not_fit_traps_when_it_is_instantiated() -> Result<(), Error> {
    let data = br#"(module (memory 1) (data (i32.const 65535) "ab") (func (export "f")))"#;
    let element = br#"(module (table 1 funcref) (memory 1) (elem (i32.const 1) $f) (data (i32.const 65536) "a") (func $f (export "f")))"#;
    for (text, kind) in [(&data[..], TrapKind::OutOfBoundsMemory), (element, TrapKind::OutOfBoundsTable)] {
        let program = program(text, false);
        let ended = Instances::new(&program, 2, &FleetOptions::default())?.instantiate()?;
        assert_eq!(ended.iter().map(trap).collect::<Vec<_>>(), [Some(kind); 2]);
        let mut ends = Vec::new();
        let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(1))?;
        fleet.run("f", &mut std::iter::once(Input::default()), &mut |outcome| ends.push(outcome.end))?;
        assert!(matches!(&ends[..], [End::Trap(trap)] if trap.kind == kind), "{ends:?}");
    }
    Ok(())
}

#[test]
fn a_segment_is_written_before_a_later_one_traps() -> Result<(), Box<dyn std::error::Error>> {
    let owner = to_wasm(
        br#"(module (memory (export "m") 1)
          (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0))))"#,
    )?;
    let user = to_wasm(
        br#"(module (import "owner" "m" (memory 1)) (memory (export "none") 0)
          (data (i32.const 7) "a") (data (i32.const 65536) "b"))"#,
    );
    assert!(user.is_ok_and(|wasm| Linker::default().add(&wasm).is_err()), "several memories are for linked modules");
    let user =
        to_wasm(br#"(module (import "owner" "m" (memory 1)) (data (i32.const 7) "a") (data (i32.const 65536) "b"))"#)?;
    let mut linker = Linker::default();
    let first = linker.add(&owner)?;
    linker.register("owner", &[first]);
    let second = linker.add(&user)?;
    assert!(matches!(linker.link(&[second]), Err(LinkError::Incomplete(1, 0))));
    let mut all = instances(&linker.link(&[first, second])?, 33);
    all.instantiate()?;
    let nothing = vec![Vec::new(); 33];
    let get = vec![vec![Value::I32(7)]; 33];
    all.invoke(&Linker::instantiate(first), &nothing)?;
    assert_eq!(all.invoke(&Linker::export(first, "get"), &get)?[32].values, [Value::I32(0)]);
    assert_eq!(trap(&all.invoke(&Linker::instantiate(second), &nothing)?[32]), Some(TrapKind::OutOfBoundsMemory));
    assert_eq!(all.invoke(&Linker::export(first, "get"), &get)?[32].values, [Value::I32(97)]);
    Ok(())
}

#[test]
fn memories_of_linked_modules_are_apart() -> Result<(), Box<dyn std::error::Error>> {
    let text = |seed: u8| {
        format!(
            r#"(module (memory 1 3) (data (i32.const 65535) "\{seed:02x}")
              (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
              (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
              (func (export "put") (param i32 i32) (i32.store (local.get 0) (local.get 1))))"#
        )
    };
    let (a, b) = (to_wasm(text(1).as_bytes())?.into_owned(), to_wasm(text(2).as_bytes())?.into_owned());
    let mut linker = Linker::default();
    let (a, b) = (linker.add(&a)?, linker.add(&b)?);
    let mut all = instances(&linker.link(&[a, b])?, 33);
    all.instantiate()?;
    let mut call = |name: String, args: &[i32]| {
        let args = vec![args.iter().map(|v| Value::I32(*v)).collect(); 33];
        all.invoke(&name, &args).map(|mut returned| returned.swap_remove(32))
    };
    call(Linker::instantiate(a), &[])?;
    call(Linker::instantiate(b), &[])?;
    assert_eq!(call(Linker::export(a, "grow"), &[1])?.values, [Value::I32(1)]);
    assert_eq!(call(Linker::export(a, "grow"), &[2])?.values, [Value::I32(-1)]);
    // An access beyond the first memory's page does not reach the second memory.
    for at in [65536, 131068] {
        assert_eq!(call(Linker::export(a, "put"), &[at, -1])?.end, End::Exit(0));
    }
    assert_eq!(trap(&call(Linker::export(a, "put"), &[131069, -1])?), Some(TrapKind::OutOfBoundsMemory));
    assert_eq!(trap(&call(Linker::export(b, "get"), &[65536])?), Some(TrapKind::OutOfBoundsMemory));
    assert_eq!(call(Linker::export(b, "get"), &[65535])?.values, [Value::I32(2)]);
    assert_eq!(call(Linker::export(b, "get"), &[0])?.values, [Value::I32(0)]);
    Ok(())
}

#[test]
fn what_cannot_be_linked_says_why() -> Result<(), Box<dyn std::error::Error>> {
    let owner = to_wasm(
        br#"(module (func (export "f") (param i32)) (table (export "t") 2 5 funcref) (memory (export "m") 1)
          (global (export "g") (mut i32) (i32.const 0)))"#,
    )?;
    let cases = [
        (r#"(func (param i32))"#, "x", "unknown import \"owner\" \"x\""),
        (r#"(func (param i64))"#, "f", "is a function [I32] -> [], and a function [I64] -> [] is wanted"),
        (r#"(table 3 funcref)"#, "t", "is a table of 2 to 5, and a table of 3 or more is wanted"),
        (r#"(table 1 4 funcref)"#, "t", "incompatible import type"),
        (r#"(memory 1 2)"#, "m", "is a memory of 1 or more, and a memory of 1 to 2 is wanted"),
        (r#"(global i32)"#, "g", "is a mutable global I32, and a constant global I32 is wanted"),
        (r#"(global f32)"#, "f", "incompatible import type"),
    ];
    for (import, name, message) in cases {
        let user = to_wasm(format!(r#"(module (import "owner" "{name}" {import}))"#).as_bytes())?.into_owned();
        let mut linker = Linker::default();
        let first = linker.add(&owner)?;
        linker.register("owner", &[first]);
        let error = linker.add(&user).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(message), "{import}: {error}");
    }
    Ok(())
}

/// Growing takes time as well, and memory that has not been cleared must not become accessible.
#[test]
fn memory_that_could_not_be_paid_for_did_not_grow() -> Result<(), Error> {
    let text = r#"(module
      (memory 1 16)
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "size") (result i32) (memory.size))
      (func (export "last") (result i32)
        (i32.load (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)))))"#;
    for force_framed in [false, true] {
        let options = FleetOptions { fuel: Some(20_000), ..Default::default() };
        let mut all = Instances::new(&program(text.as_bytes(), force_framed), 33, &options)?;
        all.instantiate()?;
        let mut invoke =
            |name, args: &[Value]| -> Result<Vec<Returned>, Error> { all.invoke(name, &vec![args.to_vec(); 33]) };
        assert!(invoke("grow", &[Value::I32(15)])?.iter().all(|r| matches!(r.end, End::OutOfFuel(_))));
        assert!(invoke("size", &[])?.iter().all(|r| r.values == [Value::I32(1)]));
        assert!(invoke("grow", &[Value::I32(4)])?.iter().all(|r| r.values == [Value::I32(1)]));
        assert!(invoke("size", &[])?.iter().all(|r| r.values == [Value::I32(5)]));
        assert!(invoke("last", &[])?.iter().all(|r| r.values == [Value::I32(0)]));
    }
    Ok(())
}
