//! Functions are divided at a tiny size, and the IR of the parts is what it must be. That they compute the same is tested
//! where programs run (`ci/spec --divide`, `ci/fuzz`).

mod common;

use vectorvisor_translate::ir::{Callee, Program, Stmt, walk};
use vectorvisor_translate::{LARGE, Options, ValType, lower_module, translate};

fn options(most: u32) -> Options {
    Options { divide: Some(most), ..common::options() }
}

/// A module with one function `f (param i32 i32) (result i32)`, local `$l` and a memory.
fn divided(most: u32, body: &str) -> Program {
    let text = format!(
        "(module (memory 1) (func $g (param i32) (result i32) (local.get 0))
           (func $f (export \"f\") (param $a i32) (param $b i32) (result i32) (local $l i32) (local $m i64) {body}))"
    );
    lower_module(&wat::parse_str(text).unwrap(), &options(most)).unwrap().program
}

/// Signatures of the parts: so many parameters and results.
fn parts(program: &Program) -> Vec<(usize, usize)> {
    let parts = program.functions.iter().filter(|f| f.part_of.is_some());
    parts.map(|f| &program.types[f.ty as usize]).map(|ty| (ty.params.len(), ty.results.len())).collect()
}

/// Calls of parts, and what stands behind each in its list.
fn calls(program: &Program) -> Vec<(u32, Option<Stmt>)> {
    let mut found = Vec::new();
    fn list(program: &Program, stmts: &[Stmt], found: &mut Vec<(u32, Option<Stmt>)>) {
        for (i, stmt) in stmts.iter().enumerate() {
            if let Stmt::Call { callee: Callee::Function(f), .. } = stmt
                && program.functions[*f as usize].part_of.is_some()
            {
                found.push((*f, stmts.get(i + 1).cloned()));
            }
            stmt.children().into_iter().for_each(|child| list(program, child, found));
        }
    }
    for function in &program.functions {
        function.lists().for_each(|stmts| list(program, stmts, &mut found));
    }
    found
}

const STORES: &str = "(i32.store (i32.const 0) (local.get $a)) (i32.store (i32.const 4) (local.get $a))
    (i32.store (i32.const 8) (local.get $a)) (i32.store (i32.const 12) (local.get $a))";

#[test]
fn small_functions_stay_whole() {
    let program = divided(LARGE, &format!("{STORES} (local.get $b)"));
    assert_eq!(parts(&program), []);
    assert_eq!(program, divided(u32::MAX, &format!("{STORES} (local.get $b)")));
}

#[test]
fn what_is_live_goes_in_and_comes_out() {
    // The loop reads $a and counts $b, which is live behind it, and uses $m, which is not.
    let body = format!(
        "(loop $again {STORES} (local.set $m (i64.load (local.get $b)))
           (i64.store (local.get $b) (local.get $m))
           (br_if $again (local.tee $b (i32.sub (local.get $b) (i32.const 1)))))
         (local.get $b)"
    );
    let program = divided(30, &body);
    let [part] =
        program.functions.iter().filter(|f| f.part_of.is_some() && f.lists().any(|l| loops(l))).collect::<Vec<_>>()[..]
    else {
        panic!("{program}")
    };
    let ty = &program.types[part.ty as usize];
    assert_eq!(
        (ty.params.as_slice(), ty.results.as_slice()),
        (&[ValType::I32; 2][..], &[ValType::I32][..]),
        "{program}"
    );
}

fn loops(stmts: &[Stmt]) -> bool {
    let mut loops = false;
    walk(stmts, &mut |stmt| loops |= matches!(stmt, Stmt::Loop { .. }));
    loops
}

#[test]
fn a_part_says_how_it_was_left() {
    // Out of the inner block by its end, to two labels outside, and by a return.
    let body = format!(
        "(block $far (block $near
           (block $inner {STORES} {STORES}
             (br_if $near (i32.eq (local.get $b) (i32.const 1))) (br_if $far (i32.eq (local.get $b) (i32.const 2)))
             (if (i32.eq (local.get $b) (i32.const 3)) (then (return (i32.const 30))))
             (br_if $inner (i32.eq (local.get $b) (i32.const 4))))
           {STORES} (local.set $l (i32.const 1)))
          {STORES} (local.set $l (i32.add (local.get $l) (i32.const 2))))
         {STORES} (local.get $l)"
    );
    let program = divided(50, &body);
    let coded = calls(&program).into_iter().filter_map(|(f, next)| match next {
        Some(Stmt::If { then, otherwise, .. }) if otherwise.is_empty() => match &then[..] {
            [Stmt::Switch { cases, .. }] => Some((f, cases.len())),
            _ => None,
        },
        _ => None,
    });
    let coded: Vec<(u32, usize)> = coded.collect();
    // End, two labels, return: code 0 goes on, two cases, and the default.
    assert!(coded.iter().any(|(_, cases)| *cases == 2), "{program}");
    let (f, _) = coded[0];
    let ty = &program.types[program.functions[f as usize].ty as usize];
    assert_eq!(ty.results[0], ValType::I32);
}

#[test]
fn nests_of_loops_are_divided_by_their_depth() {
    let nest = |depth: usize| {
        let begin: String =
            (0..depth).map(|i| format!("(loop $l{i} (i32.store (i32.const 0) (local.get $a))")).collect();
        let end: String = (0..depth).rev().map(|i| format!("(br_if $l{i} (i32.load (i32.const {i}))))")).collect();
        divided(LARGE, &format!("{begin}{end}(local.get $b)"))
    };
    assert_eq!(parts(&nest(40)).len(), 0);
    let program = nest(400);
    assert_eq!(parts(&program).len(), 8);
    for function in &program.functions {
        function.lists().for_each(|stmts| assert!(depth(stmts) < 50));
    }
}

fn depth(stmts: &[Stmt]) -> usize {
    let of = |stmt: &Stmt| {
        usize::from(matches!(stmt, Stmt::Loop { .. }))
            + stmt.children().into_iter().map(|list| depth(list)).max().unwrap_or(0)
    };
    stmts.iter().map(of).max().unwrap_or(0)
}

#[test]
fn a_part_that_only_traps_has_no_results() {
    let body = format!(
        "(if (local.get $a) (then {STORES} {STORES} (i32.store (i32.const 0) (local.get $b)) unreachable))
         {STORES} {STORES} (local.get $b)"
    );
    let program = divided(30, &body);
    assert!(parts(&program).contains(&(2, 0)), "{:?} {program}", parts(&program));
    // Traps name the function of the module.
    let wasm = wat::parse_str(format!(
        "(module (memory 1) (func (export \"f\") (param $a i32) (param $b i32) (result i32) {body}))"
    ));
    let kernel = translate(&wasm.unwrap(), &options(30)).unwrap();
    let text = [kernel.header.split("#define VV_TABLE_LENGTH").nth(1).unwrap(), &kernel.units.concat()].concat();
    let traps: Vec<&str> = text.lines().filter(|line| line.contains("vv_trap(vm, VV_UNREACHABLE")).collect();
    assert!(!traps.is_empty() && traps.iter().all(|line| line.contains("VV_UNREACHABLE, 0u")), "{traps:?}");
}

#[test]
fn arms_become_parts_before_the_switch_does() {
    let arms = 40;
    let begin: String = (0..arms).rev().map(|i| format!("(block $b{i} ")).collect();
    let table: String = (0..arms).map(|i| format!("$b{i} ")).collect();
    let arm = |i| {
        format!(
            ") {STORES} {STORES} {STORES} (local.set $b (i32.add (local.get $b) (i32.const {i}))) {STORES} (br $next)"
        )
    };
    let rest: String = (0..arms).map(arm).collect();
    let body = format!("(block $out (loop $next {begin} (br_table {table} $out (local.get $b)) {rest}))(local.get $b)");
    let program = divided(2000, &body);
    assert!(parts(&program).len() > 3);
    let part_has_switch = |f: &vectorvisor_translate::ir::Function| {
        let mut has = false;
        f.lists().for_each(|stmts| walk(stmts, &mut |stmt| has |= matches!(stmt, Stmt::Switch { .. })));
        has && f.part_of.is_some()
    };
    assert!(!program.functions.iter().any(part_has_switch), "{program}");
}

#[test]
fn parts_in_parts_with_many_variables_and_empty_arms_are_well_formed() {
    // The verifier runs after dividing.
    let locals: String = (0..200).map(|i| format!("(local $v{i} i64)")).collect();
    let step = |i: usize| {
        let (a, b) = (i * 7 % 200, i * 13 % 200);
        format!(
            "(if (i64.eqz (local.get $v{a})) (then) (else
               (local.set $v{b} (i64.load (i32.wrap_i64 (local.get $v{a})))) (br_if $out (i64.eqz (local.get $v{b})))
               (if (i32.wrap_i64 (local.get $v{b})) (then (block (br_if 0 (local.get $a)) {STORES})) (else
                  (local.set $v{a} (i64.const {i})) (br_if $again (i64.eqz (local.get $v{a})))))))
             (i64.store (i32.const {i}) (local.get $v{a}))"
        )
    };
    let steps: String = (0..150).map(step).collect();
    let text = format!(
        "(module (memory 1) (func (export \"f\") (param $a i32) (result i64) {locals}
           (block $out (loop $again {steps})) (local.get $v5)))"
    );
    let wasm = wat::parse_str(text).unwrap();
    for most in [4, 10, 30, 100, 300, 1000] {
        for force_framed in [false, true] {
            let program = lower_module(&wasm, &Options { force_framed, ..options(most) }).unwrap().program;
            assert!(parts(&program).len() > 2, "{most}: {:?}", parts(&program));
        }
    }
}
