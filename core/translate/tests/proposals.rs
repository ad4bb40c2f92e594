//! WebAssembly proposals: what is supported is translated, what is not is refused when the module is loaded.

mod common;

use vectorvisor_translate::{Error, translate};

/// Fields of modules that are translated.
const SUPPORTED: &[(&str, &str)] = &[
    ("mutable globals", "(global (export \"g\") (mut i32) (i32.const 0))"),
    ("sign extension", "(func (export \"f\") (result i32) (i32.extend8_s (i32.const 255)))"),
    ("saturating conversions", "(func (export \"f\") (result i32) (i32.trunc_sat_f32_s (f32.const nan)))"),
    ("multi-value", "(func (export \"f\") (result i32 i32) (i32.const 1) (i32.const 2))"),
    ("bulk memory", "(memory 1) (func (export \"f\") (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))"),
    ("extended constant expressions", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
    (
        "earlier globals in constant expressions",
        "(global $a i32 (i32.const 1)) (global i32 (i32.add (global.get $a) (global.get $a)))",
    ),
    (
        "earlier globals in segments",
        "(memory 1) (table 4 funcref) (func $f) (global $a i32 (i32.const 1)) (data (global.get $a) \"x\")
         (elem (offset (i32.sub (global.get $a) (i32.const 1))) funcref (ref.func $f))",
    ),
    (
        "several tables",
        "(table 1 funcref) (table 1 funcref)
         (func (export \"f\") (table.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 0)))",
    ),
    (
        "segments of references",
        "(func $f) (table 2 funcref) (elem (i32.const 0) funcref (ref.func $f) (ref.null func))",
    ),
];

const REFERENCES: &str = "reference types (references as values)";

/// Proposals by the names that the refusal gives them, and fields of modules that use them.
const REFUSED: &[(&str, &str)] = &[
    (REFERENCES, "(func (export \"f\") (result funcref) (ref.null func))"),
    (REFERENCES, "(func (export \"f\") (local externref))"),
    (REFERENCES, "(global funcref (ref.null func))"),
    (REFERENCES, "(import \"m\" \"g\" (global externref))"),
    (REFERENCES, "(table 1 externref)"),
    (REFERENCES, "(func (export \"f\") (drop (ref.is_null (ref.null func))))"),
    (REFERENCES, "(table 1 funcref) (func (export \"f\") (drop (table.size)))"),
    ("SIMD", "(func (export \"f\") (drop (v128.const i32x4 0 0 0 0)))"),
    ("SIMD", "(func (export \"f\") (param v128))"),
    ("SIMD", "(global v128 (v128.const i32x4 0 0 0 0))"),
    ("relaxed SIMD", "(func (export \"f\") (drop (i8x16.relaxed_swizzle (unreachable))))"),
    ("threads", "(memory 1 1 shared)"),
    ("threads", "(memory 1) (func (export \"f\") (drop (i32.atomic.load (i32.const 0))))"),
    ("tail calls", "(func $f (export \"f\") (return_call $f))"),
    ("exception handling", "(tag $t) (func (export \"f\") (throw $t))"),
    ("exception handling", "(func (export \"f\") (param exnref) (throw_ref (local.get 0)))"),
    ("exception handling", "(func (export \"f\") try catch_all end)"),
    ("multi-memory", "(memory 1) (memory 1)"),
    ("memory64", "(memory i64 1)"),
    ("memory64", "(table i64 1 funcref)"),
    ("function references", "(type $t (func)) (func (export \"f\") (param (ref $t)) (call_ref $t (local.get 0)))"),
    ("function references", "(func $f) (table 1 funcref (ref.func $f))"),
    ("garbage collection", "(type (struct (field i32)))"),
    ("garbage collection", "(func (export \"f\") (drop (ref.i31 (i32.const 0))))"),
    ("garbage collection", "(global (ref null any) (ref.null any))"),
    ("garbage collection", "(global nullfuncref (ref.null nofunc))"),
    ("garbage collection", "(global funcref (ref.null nofunc))"),
    (
        "garbage collection",
        "(global $a i32 (i32.const 1)) (global externref (extern.convert_any (ref.i31 (global.get $a))))",
    ),
    ("garbage collection", "(global $a i32 (i32.const 1)) (global i31ref (ref.i31 (global.get $a)))"),
    ("garbage collection", "(global (import \"m\" \"g\") anyref)"),
    ("garbage collection", "(elem i31ref (ref.i31 (i32.const 1)))"),
    ("garbage collection", "(table 1 funcref) (elem (i32.const 0) funcref (ref.null nofunc))"),
    ("garbage collection", "(table 1 anyref)"),
    ("garbage collection", "(func (export \"f\") (local anyref))"),
    ("garbage collection", "(func (export \"f\") (drop (ref.null any)))"),
    ("garbage collection", "(func (export \"f\") (drop (block (result eqref) (unreachable))))"),
    ("garbage collection", "(rec (type (func)) (type (func)))"),
    ("garbage collection", "(type (sub (func)))"),
    ("function references", "(type $t (func)) (global (ref null $t) (ref.null $t))"),
    ("function references", "(type $t (func)) (global funcref (ref.null $t))"),
    ("function references", "(type $t (func)) (elem (ref null $t) (ref.null $t))"),
    ("custom page sizes", "(memory 1 (pagesize 1))"),
    ("wide arithmetic", "(func (export \"f\") (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2)))"),
    ("memory control", "(memory 1) (func (export \"f\") (memory.discard (i32.const 0) (i32.const 0)))"),
    ("shared-everything threads", "(global (shared mut i32) (i32.const 0))"),
    ("stack switching", "(type $f (func)) (type $c (cont $f))"),
];

fn load(text: &str) -> Result<(), Error> {
    translate(&wat::parse_str(text).unwrap(), &common::options()).map(drop)
}

#[test]
fn supported_proposals_are_translated() {
    for (proposal, fields) in SUPPORTED {
        assert_eq!(load(&format!("(module {fields})")), Ok(()), "{proposal}");
    }
}

/// What constant expressions may not read; Wasmtime refuses these too.
#[test]
fn later_and_mutable_globals_are_no_constants() {
    for fields in [
        "(global i32 (global.get 1)) (global i32 (i32.const 1))",
        "(global i32 (global.get 0))",
        "(global (mut i32) (i32.const 1)) (global i32 (global.get 0))",
        "(memory 1) (global (mut i32) (i32.const 1)) (data (global.get 0) \"x\")",
        "(memory 1) (global i64 (i64.const 1)) (data (global.get 0) \"x\")",
    ] {
        let module = wat::parse_str(format!("(module {fields})")).unwrap();
        let result = translate(&module, &common::options()).map(drop);
        assert!(matches!(result, Err(Error::Invalid { .. })), "{fields}: {result:?}");
    }
}

#[test]
fn a_refusal_names_the_proposal_and_the_offset() {
    let refused = |text: &str, name: &str| match load(text) {
        Err(Error::Unsupported { proposal, offset }) => assert!(proposal == name && offset > 0, "{text}: {proposal}"),
        other => panic!("{text}: {other:?}"),
    };
    for (proposal, fields) in REFUSED {
        refused(&format!("(module {fields})"), proposal);
    }
    refused("(component)", "component model");
    // Nothing that a module says of itself changes that.
    refused("(module (@custom \"vectorvisor.linked\" (before first) \"\") (memory 1) (memory 1))", "multi-memory");
}
