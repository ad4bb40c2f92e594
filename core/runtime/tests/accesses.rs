//! Accesses to the ends of memory and beyond them, with checks made once for many iterations of a loop or for several
//! neighbours, and with one at each access.

mod common;

use vectorvisor::{
    Alignment, CachePolicy, End, Fleet, FleetOptions, Input, Opt, Program, ProgramOptions, TrapKind, Value,
};

/// Loops of one page, or of memory that has grown to two: words upwards, bytes downwards, two words far apart near the
/// capacity, and an address that is two variables, of which one is set in front of the load.
fn text(memory: &str) -> String {
    let fill = "(local $i i32) (loop $fill (i32.store (i32.mul (local.get $i) (i32.const 4)) (i32.mul (local.get $i) (i32.const 40503)))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.mul (memory.size) (i32.const 16384)))))";
    let loops = [
        "(i32.load (local.get $p))|4",
        "(i32.load8_u offset=3 (local.get $p))|-1",
        "(i32.add (i32.load offset=65000 (local.get $p)) (i32.load offset=65000 (i32.add (local.get $p) (i32.const 400))))|8",
        "(i32.load16_u (i32.add (local.tee $q (i32.add (local.get $q) (i32.const 6))) (i32.sub (local.get $p) (i32.const 20))))|-2",
        "(i64.load32_u offset=8 (i32.shl (local.get $p) (i32.const 2))) i32.wrap_i64|-7",
    ];
    let mut text = format!("(module (memory (export \"memory\") {memory})\n");
    for (n, one) in loops.into_iter().enumerate() {
        let (load, step) = one.split_once('|').expect("a load and a step");
        text += &format!(
            "(func (export \"f{n}\") (param $p i32) (param $n i32) (result i32) (local $s i32) (local $q i32)
               (if (i32.eqz (memory.size)) (then (drop (memory.grow (i32.const 2))))) (call $fill)
               (loop $more
                 (local.set $s (i32.add (i32.mul (local.get $s) (i32.const 31)) {load}))
                 (local.set $p (i32.add (local.get $p) (i32.const {step})))
                 (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
               (local.get $s))\n"
        );
    }
    text + &format!("(func $fill {fill}))")
}

fn compiled(text: &str, options: ProgramOptions) -> Program {
    let (engine, _) = common::engine(|_| ());
    let options = ProgramOptions { lanes: Some(32), cache: CachePolicy::Off, heap: Some(2 << 16), ..options };
    Program::new(&engine, text.as_bytes(), &options, &mut |_| {}).expect("the program compiles")
}

/// How each input ends: a value, or nothing for an access out of memory.
fn ends(program: &Program, entry: &str, inputs: &[(i32, i32)]) -> Vec<Option<Value>> {
    let mut fleet = Fleet::new(program, &FleetOptions::default(), None).expect("there is room");
    let mut ends = vec![None; inputs.len()];
    let mut inputs = inputs.iter().map(|(p, n)| Input::args(vec![Value::I32(*p), Value::I32(*n)]));
    fleet
        .run(entry, &mut inputs, &mut |outcome| {
            ends[outcome.index] = match outcome.end {
                End::Exit(0) => Some(outcome.values[0]),
                End::Trap(trap) if trap.kind == TrapKind::OutOfBoundsMemory => None,
                end => panic!("input {}: {end}", outcome.index),
            }
        })
        .expect("the run ends");
    ends
}

#[test]
fn loops_to_the_ends_of_memory_and_beyond() {
    let places =
        [0, 3, 4, 40, 128, 536, 2048, 16380, 16384, 32764, 65128, 65132, 65536, 131_064, 131_072, -4, -20, i32::MIN];
    let inputs: Vec<(i32, i32)> = places
        .into_iter()
        .flat_map(|place| (-9..9).map(move |by| i32::wrapping_add(place, by)))
        .flat_map(|p| [1, 2, 3, 17, 300].map(|n| (p, n)))
        .collect();
    for memory in ["1 1", "0 2"] {
        let text = text(memory);
        let natural = ProgramOptions { alignment: Some(Alignment::Natural), ..Default::default() };
        let any = ProgramOptions { without: [Opt::HoistChecks].into(), ..Default::default() };
        let (natural, any) = (compiled(&text, natural), compiled(&text, any));
        for entry in ["f0", "f1", "f2", "f3", "f4"] {
            let (one, other) = (ends(&natural, entry, &inputs), ends(&any, entry, &inputs));
            assert!(one.iter().any(Option::is_some) && one.contains(&None), "{entry}");
            for ((one, other), input) in one.iter().zip(&other).zip(&inputs) {
                assert_eq!(one, other, "memory {memory}, {entry}{input:?}");
            }
        }
    }
}

/// The sum of several loads, each `KIND offset=OFFSET` of the parameter and a constant.
fn neighbours(loads: &[(&str, u32, i32)]) -> String {
    let one = |(kind, offset, plus): &(&str, u32, i32)| {
        format!(
            "(local.set $s (i32.add (i32.mul (local.get $s) (i32.const 31))
               ({kind} offset={offset} (i32.add (local.get $p) (i32.const {plus})))))"
        )
    };
    let loads: String = loads.iter().map(one).collect();
    format!(
        "(module (memory 1 1) (data (i32.const 0) \"{0}\") (data (i32.const 65408) \"{0}\")
           (func (export \"f\") (param $p i32) (param $n i32) (result i32) (local $s i32) {loads} (local.get $s)))",
        (0..128).map(|n| format!("\\{:02x}", (n * 7) & 255)).collect::<String>()
    )
}

#[test]
fn neighbours_at_the_ends_of_memory_and_beyond() {
    let (word, byte, half) = ("i32.load", "i32.load8_u", "i32.load16_u");
    let cases = [
        neighbours(&[(word, 0, 8), (word, 0, 4), (word, 0, -4), (byte, 0, 0)]),
        // The first is in memory; the base of the second has wrapped, so the second is far out of memory.
        neighbours(&[(byte, 0, 8), (byte, 8, 4), (byte, 4, 0), (byte, 12, -8)]),
        neighbours(&[(half, 20, -20), (byte, 0, 3), (half, 2, -2), (word, 100, -40)]),
        neighbours(&[(byte, 0, -1), (byte, 1, 0), (word, 4, 200), (word, 300, -20)]),
        neighbours(&[(byte, 65532, 1), (byte, 0, 65532), (byte, 65530, 4)]),
    ];
    let inputs: Vec<(i32, i32)> =
        [0, 64, 65200, 65336, 65536].into_iter().flat_map(|p| (p - 50..p + 50).map(|p| (p, 0))).collect();
    for text in cases {
        let natural = ProgramOptions { alignment: Some(Alignment::Natural), ..Default::default() };
        let each = ProgramOptions { without: [Opt::MergeChecks].into(), ..Default::default() };
        let (one, other) = (ends(&compiled(&text, natural), "f", &inputs), ends(&compiled(&text, each), "f", &inputs));
        assert!(one.iter().any(Option::is_some) && one.contains(&None), "{text}");
        for ((one, other), input) in one.iter().zip(&other).zip(&inputs) {
            assert_eq!(one, other, "{text}, f{input:?}");
        }
    }
}

/// A surely bad one of these accesses traps; one that is not reached, behind a branch or a call, does not, though the check
/// of the first covers it.
#[test]
fn a_check_covers_what_may_follow() {
    let text = "(module (memory 1 1)
      (func $call (param i32))
      (func (export \"f\") (param $p i32) (param $n i32) (result i32) (local $s i32)
        (i32.store offset=4 (local.get $p) (i32.const 7))
        (call $call (local.get $n))
        (if (i32.and (local.get $n) (i32.const 1))
          (then (local.set $s (i32.load offset=24 (local.get $p)))
            (if (i32.and (local.get $n) (i32.const 2)) (then (local.set $s (i32.load8_u offset=99 (local.get $p)))))))
        (if (i32.and (local.get $n) (i32.const 4)) (then (i64.store (local.get $p) (i64.const 9))))
        (if (i32.and (local.get $n) (i32.const 8))
          (then (local.set $s (i32.load16_u (i32.sub (local.get $p) (i32.const 12))))))
        (i32.add (local.get $s) (i32.load8_u offset=4 (local.get $p)))))";
    let ends_at = [-8, 0, 8, 16, 4000, 65400, 65424, 65432, 65500, 65512, 65520, 65528, 65536, 65540];
    let inputs: Vec<(i32, i32)> = ends_at.into_iter().flat_map(|p| (0..16).map(move |n| (p, n))).collect();
    let linear = ProgramOptions { interleave: Some(0), ..Default::default() };
    let natural = ProgramOptions { alignment: Some(Alignment::Natural), ..linear.clone() };
    let each = ProgramOptions { without: [Opt::MergeChecks].into(), ..linear };
    let (one, other) = (ends(&compiled(text, natural), "f", &inputs), ends(&compiled(text, each), "f", &inputs));
    assert!(one.iter().any(Option::is_some) && one.contains(&None));
    for ((one, other), input) in one.iter().zip(&other).zip(&inputs) {
        assert_eq!(one, other, "f{input:?}");
    }
}

/// Copies twelve words from one place to another, in an order that is neither up nor down, computes with them in
/// between, and adds up what is there then.
fn words(kind: &str, bytes: u32) -> String {
    let order = [0u32, 3, 1, 2, 5, 4, 7, 6, 11, 9, 10, 8];
    let (mut loads, mut stores, mut sum) = (String::new(), String::new(), String::new());
    for (n, place) in order.into_iter().enumerate() {
        let (at, other) = (place * bytes, (n + 5) % 12);
        loads += &format!("(local.set $v{n} ({kind}.load offset={at} (local.get $p)))\n");
        stores += &format!(
            "({kind}.store offset={at} (local.get $q) ({kind}.xor (local.get $v{n}) (local.get $v{other})))\n"
        );
        // Some instructions change what an earlier store needs, or what a later load sets.
        let change = format!("(local.set $v{other} ({kind}.add (local.get $v{n}) (local.get $v{})))\n", n / 2);
        loads += if n % 4 == 1 { &change } else { "(local.set $s (i32.add (local.get $s) (i32.const 3)))\n" };
        stores += if n % 5 == 3 { &change } else { "" };
        sum += &format!(
            "(local.set $s (i32.add (i32.mul (local.get $s) (i32.const 31)) (i32.load offset={at} (local.get $q))))\n"
        );
    }
    let locals: String = (0..12).map(|n| format!("(local $v{n} {kind})")).collect();
    format!(
        "(module (memory 1 1) (data (i32.const 0) \"{}\")
           (func (export \"f\") (param $p i32) (param $q i32) (result i32) (local $s i32) {locals}
             {loads} (if (local.get $q) (then {stores})) (if (local.get $q) (then {sum})) (local.get $s)))",
        (0..256).map(|n| format!("\\{:02x}", (n * 7 + n / 5) & 255)).collect::<String>()
    )
}

#[test]
fn words_side_by_side_at_any_place() {
    let inputs: Vec<(i32, i32)> = (0..18).flat_map(|p| (0..12).map(move |q| (8 * p, 240 + 8 * q))).collect();
    for (kind, bytes) in [("i32", 4), ("i64", 8)] {
        let text = words(kind, bytes);
        let any = ProgramOptions { without: [Opt::MergeChecks].into(), ..Default::default() };
        let any = ends(&compiled(&text, any), "f", &inputs);
        for cell in [0, 8, 16, 32] {
            let natural =
                ProgramOptions { alignment: Some(Alignment::Natural), interleave: Some(cell), ..Default::default() };
            assert_eq!(ends(&compiled(&text, natural), "f", &inputs), any, "{kind}, cells of {cell}");
        }
    }
}
