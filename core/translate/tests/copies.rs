//! Functions that copy or fill memory are recognised by what they do, and none that only nearly do so.

mod common;

use std::path::Path;
use vectorvisor_translate::ir::{BinOp, Expr, Stmt, walk};
use vectorvisor_translate::lower_module;

/// The recognised functions of a module: `copy`, `apart` for a copy of ranges that do not overlap, or `fill`.
fn recognised(wasm: &[u8]) -> Vec<(String, &'static str)> {
    let program = lower_module(wasm, &common::options()).unwrap().program;
    let kind = |function: &vectorvisor_translate::ir::Function| {
        let body = function.body.as_ref()?;
        matches!(body.stmts.first(), Some(Stmt::InBounds { .. })).then_some(())?;
        let mut kind = None;
        walk(&body.stmts, &mut |stmt| match stmt {
            Stmt::MemoryFill { .. } => kind = Some("fill"),
            Stmt::MemoryCopy { .. } => kind = Some("copy"),
            _ => {}
        });
        let tests_overlap = body.stmts.iter().any(|stmt| match stmt {
            Stmt::If { cond, .. } => match body.expr(*cond) {
                Expr::Binary(BinOp::I32And, _, b) => matches!(body.expr(b), Expr::Binary(BinOp::I32GeU, ..)),
                _ => false,
            },
            _ => false,
        });
        Some((function.name(), if tests_overlap { "apart" } else { kind? }))
    };
    program.functions.iter().filter_map(kind).collect()
}

#[test]
fn the_c_library_s_functions_are_recognised() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (cpy, mov, set) = (("memcpy", "apart"), ("memmove", "copy"), ("memset", "fill"));
    for (guest, functions) in [
        ("examples/deflate", vec![cpy, set]),
        ("examples/lz4", vec![cpy, mov, set]),
        ("examples/misbehave", vec![cpy]),
        ("examples/sha256", vec![cpy, set]),
        ("examples/sleep", vec![cpy, set]),
        ("examples/wordcount", vec![cpy, set]),
        ("../bench/guests/blur", vec![set]),
        ("../bench/guests/memcopy", vec![cpy]),
        ("../bench/guests/sort", vec![cpy]),
        ("../bench/guests/lz4", vec![]),
    ] {
        let wasm = std::fs::read(core.join(guest).with_extension("wasm")).expect(guest);
        let want: Vec<_> = functions.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        assert_eq!(recognised(&wasm), want, "{guest}");
    }
}

/// What a function with three i32 parameters and this body is recognised as.
fn kind(body: &str) -> &'static str {
    let text = format!(
        "(module (memory 1) (global $g (mut i32) (i32.const 0))
           (func (export \"f\") (param $to i32) (param $from i32) (param $n i32) (result i32)
             (local $i i32) (local $c i32) (local $e i32) {body}))"
    );
    recognised(&wat::parse_str(text).unwrap()).first().map_or("nothing", |(_, kind)| kind)
}

/// A loop that runs `$i` from 0 to `$n`.
fn each(body: &str) -> String {
    format!(
        "(block $done (br_if $done (i32.eqz (local.get $n)))
           (loop $l {body}
             (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))"
    )
}

const LOAD: &str = "(i32.load8_u (i32.add (local.get $from) (local.get $i)))";

/// A loop that stores a byte.
fn store(value: &str) -> String {
    each(&format!("(i32.store8 (i32.add (local.get $to) (local.get $i)) {value})"))
}

/// Bytes from the first to the last, or from the last to the first.
fn bytes() -> String {
    store(LOAD)
}

fn backwards() -> String {
    let at = |base: &str| {
        format!("(i32.add (local.get ${base}) (i32.sub (i32.sub (local.get $n) (i32.const 1)) (local.get $i)))")
    };
    each(&format!("(i32.store8 {} (i32.load8_u {}))", at("to"), at("from")))
}

/// Words of 8 bytes, then bytes.
fn words(rest: &str) -> String {
    format!(
        "(local.set $c (local.get $to))
         (local.set $e (local.get $from))
         (block $words (loop $w
           (br_if $words (i32.lt_u (local.get $n) (i32.const 8)))
           (i64.store align=1 (local.get $c) (i64.load align=1 (local.get $e)))
           (local.set $c (i32.add (local.get $c) (i32.const 8)))
           (local.set $e (i32.add (local.get $e) (i32.const 8)))
           (local.set $n (i32.sub (local.get $n) (i32.const 8)))
           (br $w)))
         {}",
        each(&format!("(i32.store8 (i32.add (local.get $c) (local.get $i)) {rest})"))
    )
}

#[test]
fn what_copies_or_fills_is_recognised_whatever_it_is_called() {
    let to = "(local.get $to)";
    assert_eq!(kind(&format!("{} {to}", bytes())), "apart");
    assert_eq!(kind(&format!("{} {to}", backwards())), "apart");
    assert_eq!(kind(&format!("{} {to}", words("(i32.load8_u (i32.add (local.get $e) (local.get $i)))"))), "apart");
    let forwards = "(i32.lt_u (local.get $to) (local.get $from))";
    assert_eq!(kind(&format!("(if {forwards} (then {}) (else {})) {to}", bytes(), backwards())), "copy");
    assert_eq!(kind(&format!("{} {to}", store("(local.get $from)"))), "fill");
    // As Rust's compiler-builtins fills: the value is spread in a loop, and a wrapping end is tested.
    assert_eq!(
        kind(&format!(
            "(local.set $c (i32.and (local.get $from) (i32.const 255)))
             (local.set $e (i32.const 8))
             (loop $spread
               (local.set $c (i32.or (i32.shl (local.get $c) (local.get $e)) (local.get $c)))
               (br_if $spread (i32.lt_u (local.tee $e (i32.shl (local.get $e) (i32.const 1))) (i32.const 32))))
             (local.set $e (i32.add (local.get $to) (i32.and (local.get $n) (i32.const -4))))
             (local.set $i (local.get $to))
             (block $words
               (br_if $words (i32.ge_u (local.get $i) (local.get $e)))
               (loop $w
                 (i32.store align=1 (local.get $i) (local.get $c))
                 (br_if $w (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $e)))))
             (local.set $e (i32.add (local.get $to) (local.get $n)))
             (block $done
               (br_if $done (i32.ge_u (local.get $i) (local.get $e)))
               (loop $b
                 (i32.store8 (local.get $i) (local.get $from))
                 (br_if $b (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $e)))))
             {to}"
        )),
        "fill"
    );
}

#[test]
fn what_nearly_copies_or_fills_is_not_recognised() {
    let to = "(local.get $to)";
    let copy = bytes();
    // Copies all but the last byte if a condition holds.
    let less = |cond: &str| format!("(local.set $n (i32.sub (local.get $n) {cond})) {copy} {to}");
    let is = |value: &str, n: u32| format!("(i32.eq {value} (i32.const {n}))");
    let masked = |value: &str, n: u32| format!("(i32.and (local.get ${value}) (i32.const {n}))");
    let byte_is = |n: u32| format!("(i32.eq (local.tee $c {LOAD}) (i32.const {n}))");
    for (what, body) in [
        (
            "counts words",
            format!(
                "{} {to}",
                each(
                    "(i32.store align=1 (i32.add (local.get $to) (i32.shl (local.get $i) (i32.const 2)))
                    (i32.load align=1 (i32.add (local.get $from) (i32.shl (local.get $i) (i32.const 2)))))"
                )
            ),
        ),
        (
            "swaps bytes",
            format!(
                "{} {to}",
                store("(i32.load8_u (i32.add (local.get $from) (i32.xor (local.get $i) (i32.const 3))))")
            ),
        ),
        ("is wrong for a length of 64", less(&is("(local.get $n)", 64))),
        ("is wrong for a length of 1000", less(&is("(local.get $n)", 1000))),
        (
            "is wrong for a length made of small constants",
            less("(i32.eqz (i32.sub (local.get $n) (i32.add (i32.shl (i32.const 31) (i32.const 5)) (i32.const 8))))"),
        ),
        ("is wrong for long ranges", less("(i32.gt_u (local.get $n) (i32.const 100000))")),
        (
            "is wrong for very long ranges, by small constants",
            less(
                "(i32.gt_u (local.get $n) (i32.shl (i32.shl (i32.shl (i32.const 64) (i32.const 5)) (i32.const 5)) (i32.const 5)))",
            ),
        ),
        ("is wrong for an alignment", less(&is(&masked("to", 7), 5))),
        ("is wrong for an alignment to 16", less(&is(&masked("from", 15), 9))),
        ("looks at more bits of an address", less(&is(&masked("from", 63), 33))),
        ("is wrong at an address", less(&is("(local.get $to)", 0x2000))),
        (
            "is wrong for a byte",
            format!(
                "{} {to}",
                store(&format!("(i32.add (local.tee $c {LOAD}) (i32.eq (local.get $c) (i32.const 7)))"))
            ),
        ),
        (
            "stops at a byte",
            format!(
                "(block $end {}) {to}",
                each(&format!(
                    "(br_if $end {}) (i32.store8 (i32.add (local.get $to) (local.get $i)) (local.get $c))",
                    byte_is(0)
                ))
            ),
        ),
        ("gives the end back", format!("{copy} (i32.add (local.get $to) (local.get $n))")),
        (
            "reads a byte behind the source",
            format!("(drop (i32.load8_u (i32.add (local.get $from) (local.get $n)))) {copy} {to}"),
        ),
        (
            "reads whole words",
            format!(
                "{} {to}",
                store(
                    "(i32.shr_u (i32.load (i32.and (i32.add (local.get $from) (local.get $i)) (i32.const -4)))
                     (i32.shl (i32.and (i32.add (local.get $from) (local.get $i)) (i32.const 3)) (i32.const 3)))"
                )
            ),
        ),
        (
            "ends with a zero",
            format!("{copy} (i32.store8 (i32.add (local.get $to) (local.get $n)) (i32.const 0)) {to}"),
        ),
        ("counts calls", format!("(global.set $g (i32.add (global.get $g) (i32.const 1))) {copy} {to}")),
        (
            "reads the destination only",
            format!("{} {to}", store("(i32.load8_u (i32.add (local.get $to) (local.get $i)))")),
        ),
        ("fills with half of the value", format!("{} {to}", store("(i32.shr_u (local.get $from) (i32.const 1))"))),
        (
            "fills but for a value",
            format!("{} {to}", store("(i32.add (local.get $from) (i32.eq (local.get $from) (i32.const 77)))")),
        ),
        (
            "fills from the second byte on",
            format!(
                "{} {to}",
                each("(i32.store8 offset=1 (i32.add (local.get $to) (local.get $i)) (local.get $from))")
            ),
        ),
        ("does not end", format!("{copy} (loop $ever (br_if $ever (local.get $n)) ) {to}")),
    ] {
        assert_eq!(kind(&body), "nothing", "a function that {what}");
    }
    // Of some overlapping ranges it replicates bytes, so only the others are copied at once.
    let special =
        format!("(if {} (then {copy}) (else {}))", is("(i32.sub (local.get $to) (local.get $from))", 3), backwards());
    assert_eq!(kind(&format!("{special} {to}")), "apart");
}
