//! However deep a program nests, its text nests no deeper than compilers allow: Clang refuses more than 256 nested
//! brackets.

mod common;

use vectorvisor_translate::{Alignment, Language, Options, Traps, translate};

const DEEP: usize = 400;

/// `before`, `inner` and `after`, with the number of the level for `#`.
fn nest(depth: usize, before: &str, inner: &str, after: &str) -> String {
    let levels = |text: &str, order: &mut dyn Iterator<Item = usize>| -> String {
        order.map(|level| text.replace('#', &level.to_string())).collect()
    };
    levels(before, &mut (0..depth)) + inner + &levels(after, &mut (0..depth).rev())
}

fn deep() -> Vec<(&'static str, String)> {
    let get = "(local.get 0)";
    let targets: String = (0..DEEP).map(|depth| format!(" {depth}")).collect();
    let sleep = "(drop (call $sleep (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let test = "(if (i32.eq (local.get 0) (i32.const #)) (then ";
    let other = "(if (result i32) (i32.eq (local.get 0) (i32.const #)) (then (i32.const #)) (else ";
    let again = "(br_if $l# (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))";
    vec![
        ("else ifs", nest(DEEP, other, get, "))")),
        ("ifs without else", nest(DEEP, test, "(local.set 0 (i32.const 1))", "))") + get),
        ("ifs around a load", nest(DEEP, test, "(local.set 0 (i32.load (local.get 0)))", "))") + get),
        ("ifs around a suspension", nest(DEEP, test, sleep, "))") + get),
        ("loops", nest(DEEP, "(loop $l# ", "", again) + get),
        ("loops around a call", nest(DEEP, "(loop $l# ", "(local.set 0 (call $f (local.get 0)))", again) + get),
        (
            "loops left by a branch",
            nest(DEEP, "(block (loop $l# (br_if 1 (local.get 0)) ", "", &format!("{again})")) + get,
        ),
        ("blocks with br_table", nest(DEEP, "(block ", &format!("(br_table{targets} (local.get 0))"), ")") + get),
        ("loops with br_table", nest(DEEP, "(loop ", &format!("(br_table{targets} (local.get 0))"), ")") + get),
        ("additions", nest(1000, "(i32.add (local.get 0) ", get, ")")),
        ("shifts", nest(1000, "(i32.shl (i32.const 1) ", get, ")")),
        ("tests", nest(1000, "(i32.eqz ", get, ")")),
        ("conversions", nest(DEEP, "(i32.trunc_sat_f32_s (f32.convert_i32_s ", get, "))")),
        ("floats", format!("(i32.trunc_sat_f64_s {})", nest(1000, "(f64.div (f64.const 3) ", "(f64.const 2)", ")"))),
        ("selections", nest(DEEP, "(select (local.get 0) (i32.const #) ", get, ")")),
        ("conditions", nest(DEEP, "(select (i32.const #) (local.get 0) ", get, ")")),
        ("divisions", nest(DEEP, "(i32.div_s (i32.const 9) ", get, ")")),
        ("calls", nest(DEEP, "(call $f ", get, ")")),
        ("indirect calls", nest(DEEP, "(call_indirect (type $t) ", get, " (i32.const 0))")),
        ("loads", nest(DEEP, "(i32.load (i32.add (local.get 0) ", get, "))")),
    ]
}

/// The most nested brackets.
fn brackets(text: &str) -> usize {
    let (mut depth, mut most) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

#[test]
fn text_does_not_nest_as_deep_as_programs() {
    for (what, code) in deep() {
        let wasm = wat::parse_str(format!(
            "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func $sleep (param i32 i32 i32 i32) (result i32)))
               (type $t (func (param i32) (result i32))) (table 1 funcref) (elem (i32.const 0) $f) (memory 1)
               (func $f (param i32) (result i32) (local.get 0))
               (func (export \"f\") (param i32) (result i32) {code}))"
        ))
        .unwrap();
        for (language, traps, alignment, force_framed) in [
            (Language::C, Traps::Sticky, Alignment::Any, false),
            (Language::C, Traps::Exact, Alignment::Any, true),
            (Language::Cuda, Traps::Sticky, Alignment::Natural, false),
            (Language::OpenCl, Traps::Sticky, Alignment::Any, true),
        ] {
            let mut options = Options { traps, alignment, force_framed, ..common::options() };
            options.target.language = language;
            let kernel = translate(&wasm, &options).unwrap();
            // Macros open a few more brackets.
            let most = kernel.units.iter().map(|unit| brackets(unit)).max().unwrap();
            assert!(most < 220, "{what}, {language:?}, {traps:?}, framed {force_framed}: {most} brackets");
        }
    }
}
