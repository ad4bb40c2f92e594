//! Read-only data that all VMs share: the same results as without, also of programs that store there after all.

mod common;

use std::path::Path;
use std::process::Command;
use vectorvisor::translate::translate;
use vectorvisor::{
    Alignment, Autotuning, CachePolicy, Choice, End, Engine, Fleet, FleetOptions, Input, Opt, Outcome, Program,
    ProgramOptions, Stage, Traps, Value,
};

/// Each entry looks numbers up in a table in `.rodata`, accesses address `p` in one way, and looks them up again.
const ENTRIES: [(&str, &str); 8] = [
    ("nothing", ""),
    ("store", "(i32.store (local.get $p) (local.get $n))"),
    ("store64", "(i64.store offset=8 (local.get $p) (i64.const -1))"),
    ("neighbours", "(i32.store8 (local.get $p) (i32.const 7)) (i32.store8 offset=3 (local.get $p) (i32.const 9))"),
    ("masked", "(i32.store8 (i32.and (local.get $p) (i32.const 2047)) (local.get $n))"),
    (
        "fill",
        "(loop $l (memory.fill (local.get $p) (i32.const 5) (i32.and (local.get $n) (i32.const 63)))
       (br_if $l (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 3))))",
    ),
    ("copy", "(memory.copy (local.get $p) (i32.const 4096) (i32.and (local.get $n) (i32.const 63)))"),
    ("host", "(drop (call $clock (i32.const 0) (local.get $p)))"),
];

fn text(start: &str) -> String {
    let table: String = (0..1024u32).map(|i| format!("\\{:02x}", i.wrapping_mul(0x9e37_79b1) >> 24)).collect();
    let mut text = format!(
        "(module (import \"wasi_snapshot_preview1\" \"clock_res_get\" (func $clock (param i32 i32) (result i32)))
           (memory (export \"memory\") 1 1)
           (data $.rodata (i32.const 1024) \"{table}\") (data $.data (i32.const 4096) \"{table}\") {start}
           (func $look (param $n i32) (result i32) (local $k i32) (local $s i32)
             (loop $l
               (local.set $s (i32.add (i32.rotl (local.get $s) (i32.const 5)) (i32.xor (i32.load8_s (i32.const 1030))
                 (i32.load offset=1024 (i32.shl (i32.and (i32.add (local.get $n) (local.get $k)) (i32.const 255)) (i32.const 2))))))
               (br_if $l (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 300))))
             (local.get $s))\n"
    );
    for (name, act) in ENTRIES {
        text += &format!(
            "(func (export \"{name}\") (param $p i32) (param $n i32) (result i32) (local $s i32) (local $k i32)
               (local.set $s (call $look (local.get $n))) {act}
               (i32.add (i32.mul (local.get $s) (i32.const 31)) (call $look (local.get $n))))\n"
        );
    }
    text + ")"
}

fn compiled(text: &str, entry: &str, with: &[Opt]) -> Program {
    let (engine, _) = common::engine(|_| ());
    let options = ProgramOptions {
        alignment: Some(if with.is_empty() { Alignment::Any } else { Alignment::Natural }),
        with: with.iter().copied().collect(),
        lanes: Some(32),
        cache: CachePolicy::Off,
        roots: vec![entry.into()],
        ..Default::default()
    };
    let program = Program::new(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles");
    assert_eq!(program.meta().shared.is_some(), !with.is_empty());
    program
}

fn ends(text: &str, entry: &str, with: &[Opt], inputs: &[(i32, i32)]) -> (Vec<Option<Value>>, u64) {
    run(&compiled(text, entry, with), entry, inputs)
}

/// How each input ended, and the number of reruns.
fn run(program: &Program, entry: &str, inputs: &[(i32, i32)]) -> (Vec<Option<Value>>, u64) {
    let mut fleet =
        Fleet::new(program, &FleetOptions { vms: Some(96), ..Default::default() }, None).expect("there is room");
    let mut ends = vec![None; inputs.len()];
    let mut inputs = inputs.iter().map(|(p, n)| Input::args(vec![Value::I32(*p), Value::I32(*n)]));
    let summary = fleet
        .run(entry, &mut inputs, &mut |outcome| match outcome.end {
            End::Exit(0) => ends[outcome.index] = Some(outcome.values[0]),
            end => panic!("input {}: {end}", outcome.index),
        })
        .expect("the run ends");
    (ends, summary.reruns)
}

#[test]
fn who_stores_into_shared_data_runs_again() {
    // Around both ends of the table and inside, and far away; multiples of 8, so that only the assumption of shared
    // data can be violated.
    let far = (0..70).map(|i| (8192 + 8 * i, i));
    let near = [1024 - 72, 1024 - 8, 1024, 1032, 1500 & !7, 2040, 2048, 2056];
    let near: Vec<(i32, i32)> = near.into_iter().flat_map(|p| (0..9).map(move |n| (p, n * 8))).collect();
    let far: Vec<(i32, i32)> = far.collect();
    for (entry, act) in ENTRIES {
        let [with, without] = [&[Opt::SharedData][..], &[]].map(|with| compiled(&text(""), entry, with));
        for (inputs, stores) in [(&far, false), (&near, !act.is_empty())] {
            let (shared, reruns) = run(&with, entry, inputs);
            assert_eq!(shared, run(&without, entry, inputs).0, "{entry}");
            assert_eq!(reruns > 0, stores, "{entry}: {reruns} ran again");
        }
    }
}

#[test]
fn what_lies_between_two_stores_is_not_stored_to() {
    // Offsets from one address whose access needs no check, to before the table and behind it.
    let around = "(func (export \"around\") (param $p i32) (param $n i32) (result i32) (local $q i32)
        (local.set $q (i32.and (local.get $p) (i32.const 120)))
        (i32.store offset=960 (local.get $q) (local.get $n)) (i32.store offset=2000 (local.get $q) (local.get $n))
        (call $look (local.get $n)))";
    let text = text("").strip_suffix(')').expect("a module").to_owned() + around + ")";
    for (p, stores) in [(48, false), (56, false), (40, true), (64, true)] {
        let inputs: Vec<(i32, i32)> = (0..40).map(|n| (p, n)).collect();
        let (shared, reruns) = ends(&text, "around", &[Opt::SharedData], &inputs);
        assert_eq!(shared, ends(&text, "around", &[], &inputs).0, "{p}");
        assert_eq!(reruns > 0, stores, "{p}: {reruns} ran again");
    }
}

/// A program with a cache, and its message about shared data.
fn made(engine: &Engine, text: &str, shared: bool, cache: &Path) -> (Program, String) {
    let options = ProgramOptions {
        alignment: Some(Alignment::Natural),
        with: shared.then_some(Opt::SharedData).into_iter().collect(),
        lanes: Some(32),
        cache: CachePolicy::Dir(cache.into()),
        ..Default::default()
    };
    let mut said = String::new();
    let mut note = |stage: Stage<'_>| {
        if let Stage::Warning(text) = stage {
            said += text;
        }
    };
    let program = Program::new(engine, text.as_bytes(), &options, &mut note).expect("the program compiles");
    let choice = Choice::new(engine.backend(), engine.info(), program.wasm(), &options);
    assert_eq!(choice.translation.alignment, program.options().alignment.expect("it is chosen"));
    assert_eq!(choice.shared(program.meta()).is_some(), shared);
    (program, said)
}

fn alignment(program: &Program) -> Alignment {
    program.options().alignment.expect("it is chosen")
}

#[test]
fn who_stores_there_is_remembered_as_that_alone() {
    // Each group has one tile, so that launches which began before the program changed end after the change.
    let (engine, _) = common::engine(|info| info.max_alloc = 3 << 20);
    let cache = tempfile::tempdir().expect("a folder");
    let text = text("");
    let made = |shared| made(&engine, &text, shared, cache.path());
    let far: Vec<(i32, i32)> = (0..200).map(|n| (8192, n)).collect();
    let near: Vec<(i32, i32)> = (0..200).map(|n| (1032, n)).collect();
    let plain = made(false).0;
    let (want_far, want_near) = (run(&plain, "store", &far).0, run(&plain, "store", &near).0);
    assert_ne!(want_far, want_near, "what is stored is looked up");

    let (sharing, said) = made(true);
    assert!(said.contains("1024 bytes of .rodata"), "{said}");
    assert_eq!(run(&sharing, "store", &far), (want_far.clone(), 0));
    assert!(made(true).1.contains("1024 bytes"), "nothing was broken");
    let (got, reruns) = run(&sharing, "store", &near);
    assert!(got == want_near && reruns >= 96, "{reruns} ran again");

    let later = made(false).0;
    assert_eq!((alignment(&later), later.cached()), (Alignment::Natural, true));
    assert_eq!(run(&later, "store", &near), (want_near.clone(), 0));
    let (unshared, said) = made(true);
    assert!(said.contains("shared-data has no effect: an earlier input stored into it"), "{said}");
    assert_eq!((alignment(&unshared), unshared.meta().shared.is_none()), (Alignment::Natural, true));
    assert_eq!((run(&unshared, "store", &near), run(&unshared, "store", &far)), ((want_near, 0), (want_far, 0)));
}

#[test]
fn autotuning_goes_on_without_shared_data() {
    let (engine, faults) = common::engine(|_| ());
    faults.ever_faster();
    let options = ProgramOptions {
        alignment: Some(Alignment::Natural),
        with: [Opt::SharedData].into(),
        lanes: Some(32),
        cache: CachePolicy::Off,
        roots: vec!["store".into()],
        ..Default::default()
    };
    let text = text("");
    let program = Program::new(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles");
    let vms = FleetOptions { vms: Some(96), ..Default::default() };
    let mut fleet = Fleet::new(&program, &vms, None).expect("there is room");
    let near: Vec<(i32, i32)> = (0..200).map(|n| (1032, n)).collect();
    let mut inputs = near.iter().map(|(p, n)| Input::args(vec![Value::I32(*p), Value::I32(*n)]));
    let (mut got, mut measured) = (vec![None; near.len()], 0);
    let mut sink = |outcome: Outcome| got[outcome.index] = outcome.values.first().copied();
    let mut progress = |stage: Stage<'_>| {
        if let Stage::Autotuned { candidates, chosen, .. } = stage {
            measured = candidates.iter().filter(|(_, time)| time.is_ok()).count();
            assert_ne!(chosen, candidates[0].0);
        }
    };
    let summary =
        fleet.run_autotuned("store", Autotuning::Now, None, &mut inputs, &mut sink, &mut progress).expect("it ends");
    assert_eq!(got, ends(&text, "store", &[], &near).0);
    assert_eq!((measured, summary.reruns), (4, 96), "each of the first inputs ran again, and no later one");
}

#[test]
fn autotuning_tries_sharing_and_the_choice_is_remembered() {
    let (engine, faults) = common::engine(|_| ());
    faults.ever_faster();
    let cache = tempfile::tempdir().expect("a folder");
    let text = text("");
    let options = ProgramOptions {
        alignment: Some(Alignment::Natural),
        lanes: Some(32),
        cache: CachePolicy::Dir(cache.path().into()),
        ..Default::default()
    };
    let made = || Program::new(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles");
    let mut fleet = Fleet::new(&made(), &FleetOptions { vms: Some(96), ..Default::default() }, None).expect("room");
    // Some of the sample store into what is shared, and run again.
    let args: Vec<(i32, i32)> = (0..200).map(|n| (if n == 7 { 1032 } else { 8192 }, n)).collect();
    let mut inputs = args.iter().map(|(p, n)| Input::args(vec![Value::I32(*p), Value::I32(*n)]));
    let (mut got, mut tried) = (vec![None; args.len()], Vec::new());
    let mut sink = |outcome: Outcome| got[outcome.index] = outcome.values.first().copied();
    let mut progress = |stage: Stage<'_>| {
        if let Stage::Autotuned { candidates, chosen, remembered } = stage {
            tried = candidates.iter().map(|(tuning, time)| (tuning.interleave, tuning.shared, time.is_ok())).collect();
            assert_eq!((chosen.shared, remembered), (true, true));
        }
    };
    fleet.run_autotuned("store", Autotuning::Now, None, &mut inputs, &mut sink, &mut progress).expect("it ends");
    assert_eq!(got, ends(&text, "store", &[], &args).0);
    let cells = [(8, false), (16, false), (32, false), (0, false), (8, true)];
    assert_eq!(tried, cells.map(|(cell, shared)| (cell, shared, true)));
    // Since one input stored there, nothing is shared any more, though it was chosen.
    let later = made();
    assert!(later.tuning().is_some_and(|tuning| tuning.shared) && later.meta().shared.is_none());
}

#[test]
fn who_breaks_alignment_beside_shared_data_is_remembered_as_that() {
    let (engine, _) = common::engine(|info| info.max_alloc = 3 << 20);
    let cache = tempfile::tempdir().expect("a folder");
    let text = text("");
    let made = |shared| made(&engine, &text, shared, cache.path());
    let odd: Vec<(i32, i32)> = (0..200).map(|n| (if n % 3 == 0 { 1034 } else { 8193 }, n)).collect();
    let want = ends(&text, "store", &[], &odd).0;
    let (sharing, _) = made(true);
    let (got, reruns) = run(&sharing, "store", &odd);
    assert!(got == want && reruns >= 96, "{reruns} ran again");
    for shared in [false, true] {
        let (later, said) = made(shared);
        assert_eq!(alignment(&later), Alignment::Any);
        assert_eq!(said.contains("--alignment natural"), shared, "{said}");
        assert_eq!(run(&later, "store", &odd), (want.clone(), 0));
    }
}

/// Where bulk memory and host calls write, in a memory of almost 4 GiB, which would take seconds to fill: only the test of
/// the range is compiled and called.
#[test]
fn a_range_of_any_length_is_tested() {
    let (engine, _) = common::engine(|_| ());
    let table = "x".repeat(0x2_0000);
    let text = format!(
        r#"(module (memory 65535 65535) (data $.rodata (i32.const 1024) "{table}")
             (func (export "f") (param i32) (result i32)
               (memory.fill (i32.const 0) (i32.const 9) (local.get 0))
               (i32.load8_u offset=1024 (i32.and (local.get 0) (i32.const 0xffff)))))"#
    );
    let options = ProgramOptions {
        alignment: Some(Alignment::Natural),
        with: [Opt::SharedData].into(),
        heap: Some(65535 << 16),
        ..Default::default()
    };
    let wasm = vectorvisor::to_wasm(text.as_bytes()).expect("a module");
    let kernel = translate(&wasm, &options.for_device(engine.info())).expect("a kernel");
    assert!(matches!(kernel.meta.shared, Some(Ok(_))));

    let (at, end, size) = (1024, 1024 + 0x2_0000, 65535u64 << 16);
    let places = [0, 1, at - 1, at, at + 1, end - 1, end, end + 1, size - 1, size, 0xffff_ffff];
    let ranges: Vec<(u64, u64)> = places.iter().flat_map(|from| places.map(|length| (*from, length))).collect();
    let expected = ranges.iter().map(|(from, length)| {
        let good = from + length <= size;
        let touches = good && *length > 0 && *from < end && from + length > at;
        format!("{from} {length} {} {}", u32::from(good), u32::from(touches))
    });
    let calls: String = ranges.iter().map(|(from, length)| format!("try({from}u, {length}u);\n")).collect();
    let main = format!(
        "#include <stdio.h>\nstatic void try(u32 p, u32 n) {{ VM vm = {{0}}; vm.size = {size}u; u32 good = vv_writable(&vm, p, n);
           printf(\"%u %u %u %u\\n\", p, n, good, vm.fuel >= VV_VIOLATION); }}\nint main(void) {{ {calls} return 0; }}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let (source, binary) = (folder.path().join("ranges.c"), folder.path().join("ranges"));
    std::fs::write(&source, kernel.header + &main).expect("the source is written");
    let compiled = Command::new("cc").args(["-w", "-o"]).args([&binary, &source]).arg("-lm").output().expect("cc runs");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let said = Command::new(&binary).output().expect("the program runs").stdout;
    assert_eq!(String::from_utf8_lossy(&said).lines().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn a_start_function_may_store_there() {
    for start in
        ["(i32.store (i32.const 1100) (i32.const 77))", "(memory.fill (i32.const 1024) (i32.const 0) (i32.const 512))"]
    {
        let start = format!("(func $start {start}) (start $start)");
        let inputs: Vec<(i32, i32)> = (0..40).map(|n| (8192, n)).collect();
        let entry = "nothing";
        let (shared, _) = ends(&text(&start), entry, &[Opt::SharedData], &inputs);
        assert_eq!(shared, ends(&text(&start), entry, &[], &inputs).0);
        assert_ne!(shared, ends(&text(""), entry, &[], &inputs).0, "what it stores is looked up");
    }
}

#[test]
fn what_is_shared_or_why_nothing_is() {
    let (engine, _) = common::engine(|_| ());
    let shared = |text: &str, traps: Traps, alignment: Alignment| {
        let with = [Opt::SharedData].into();
        let (cache, alignment) = (CachePolicy::Off, Some(alignment));
        let options = ProgramOptions { with, cache, traps, alignment, ..Default::default() };
        let program = Program::new(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles");
        program.meta().shared.clone().expect("an answer")
    };
    let unshared = |text, traps, alignment| shared(text, traps, alignment).expect_err("nothing is shared");
    let named = text("");
    let data = shared(&named, Traps::Sticky, Alignment::Natural).expect("data is shared");
    assert_eq!(
        (data.at, data.bytes, data.loads > 0, data.constants > 0, data.stores > 0),
        (1024, 1024, true, true, true)
    );
    assert!(unshared(&named, Traps::Sticky, Alignment::Any).contains("--alignment natural"));
    assert!(unshared(&named, Traps::Exact, Alignment::Natural).contains("--traps sticky"));
    let stripped = named.replace("$.rodata", "");
    assert!(unshared(&stripped, Traps::Sticky, Alignment::Natural).contains("strip"));
    let import =
        r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;
    let call = r#"(func (export "p") (drop (call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))"#;
    let suspends = named.strip_suffix(')').expect("a module").replacen("(module", import, 1) + call;
    assert_eq!(shared(&suspends, Traps::Sticky, Alignment::Natural).map(|data| data.at), Ok(1024));
}
