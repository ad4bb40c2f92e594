//! The verifier refuses each statement whose operands, results, segments or states are not what they must be.

mod common;

use vectorvisor_translate::ValType::{F32, I64};
use vectorvisor_translate::host::find;
use vectorvisor_translate::ir::verify::verify;
use vectorvisor_translate::ir::{Ask, Body, Callee, Expr, ExprId, Program, State, Stmt, Var};
use vectorvisor_translate::{Alignment, Opt, Options, lower_module};

const PROGRAM: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory 1)
  (data $d "abc")
  (table 4 funcref)
  (global $g (mut i32) (i32.const 0))
  (elem $e func $direct)
  (func $direct (param i32) (result i64)
    (memory.fill (local.get 0) (i32.const 1) (i32.const 2))
    (memory.copy (local.get 0) (i32.const 1) (i32.const 2))
    (memory.init $d (local.get 0) (i32.const 1) (i32.const 2))
    (table.init $e (local.get 0) (i32.const 0) (i32.const 1))
    (table.copy (local.get 0) (i32.const 0) (i32.const 1))
    (data.drop $d) (elem.drop $e)
    (block $b (br_if $b (local.get 0)) (data.drop $d))
    (global.set $g (i32.add (global.get $g) (local.get 0)))
    (drop (memory.grow (i32.add (memory.size) (local.get 0))))
    (drop (call $random (local.get 0) (i32.const 1)))
    (i64.const 1))
  (func $waits (param i32) (result i64)
    (drop (call $poll (local.get 0) (i32.const 1) (i32.const 2) (i32.const 3)))
    (drop (call $write (local.get 0) (i32.const 1) (i32.const 2) (i32.const 3)))
    (call $direct (local.get 0)))
  (func (export "f") (param i32) (result i64) (i64.add (i64.const 1) (call $waits (local.get 0)))))"#;

/// Statements that only some programs have.
const OTHERS: [&str; 5] = [
    include_str!("snapshots/strides.wat"),
    include_str!("snapshots/shared.wat"),
    include_str!("snapshots/recursion.wat"),
    include_str!("snapshots/indirect.wat"),
    include_str!("snapshots/traps.wat"),
];

/// Changes the first statement that `change` takes.
fn first(stmts: &mut [Stmt], change: &mut impl FnMut(&mut Stmt) -> bool) -> bool {
    stmts.iter_mut().any(|stmt| change(stmt) || stmt.children_mut().into_iter().any(|child| first(child, change)))
}

/// What the verifier says after a change in one of the programs, which is given an f32 and an i64 expression and a
/// variable of each.
fn refusal(programs: &[Program], name: &str, change: impl Fn(&mut Stmt, [ExprId; 2], [Var; 2]) -> bool) -> String {
    for (program, i) in programs.iter().flat_map(|p| (0..p.functions.len()).map(move |i| (p, i))) {
        let mut program = program.clone();
        let function = &mut program.functions[i];
        for body in function.body.iter_mut().chain(&mut function.states) {
            let exprs = [F32, I64].map(|ty| body.add(Expr::Const(ty, 0)));
            let vars = [F32, I64].map(|ty| body.var(ty));
            let mut lists = Body::take_lists(body);
            let changed = lists.iter_mut().any(|list| first(list, &mut |stmt| change(stmt, exprs, vars)));
            body.put_lists(lists);
            if changed {
                return verify(&program).expect_err(name);
            }
        }
    }
    panic!("no statement for {name}");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let natural = Options { alignment: Alignment::Natural, with: [Opt::SharedData].into(), ..common::options() };
    let lower = |text: &str, options| lower_module(&wat::parse_str(text).unwrap(), options).unwrap().program;
    let programs: Vec<Program> =
        [lower(PROGRAM, &common::options())].into_iter().chain(OTHERS.map(|text| lower(text, &natural))).collect();
    programs.iter().for_each(|program| assert_eq!(verify(program), Ok(())));
    macro_rules! refused {
        ($($says:literal: $pattern:pat, |$exprs:pat_param, $vars:pat_param| $change:expr;)*) => {$({
            let text = refusal(&programs, stringify!($pattern => $change), |stmt, $exprs, $vars| match stmt {
                $pattern => { $change; true }
                _ => false,
            });
            assert!(text.contains($says), "{text}");
        })*};
    }
    const NO: State = State(99);
    let yields = find("wasi_snapshot_preview1", "sched_yield").expect("a call without arguments");
    refused! {
        "not I": Stmt::Set { value, .. }, |[f, _], _| *value = f;
        "no variable": Stmt::Set { var, .. }, |_, _| *var = Var(9999);
        "is set to": Stmt::GetGlobal { var, .. }, |_, [f, _]| *var = f;
        "not I32": Stmt::SetGlobal { value, .. }, |[f, _], _| *value = f;
        "not I32": Stmt::Load { mem, .. }, |[f, _], _| mem.addr = f;
        "is set to": Stmt::Load { var, .. }, |_, [f, _]| *var = f;
        "not I32": Stmt::Store { mem, .. }, |[_, l], _| mem.addr = l;
        "not I": Stmt::Store { value, .. }, |[f, _], _| *value = f;
        "is set to": Stmt::Store { after, .. }, |_, [f, _]| *after = Some(f);
        "not I32": Stmt::Check { addr, .. }, |[_, l], _| *addr = l;
        "is set to": Stmt::Check { var, .. }, |_, [_, l]| *var = l;
        "not I32": Stmt::Unshared { addr, .. }, |[_, l], _| *addr = l;
        "not I32": Stmt::Strides(strides), |[_, l], _| strides[0].addr = l;
        "not I32": Stmt::Trapping { a, .. }, |[_, l], _| *a = l;
        "operands for": Stmt::Trapping { b: b @ Some(_), .. }, |_, _| *b = None;
        "is set to": Stmt::Trapping { var, .. }, |_, [f, _]| *var = f;
        "is set to": Stmt::MemorySize { var }, |_, [f, _]| *var = f;
        "not I32": Stmt::MemoryGrow { delta, .. }, |[f, _], _| *delta = f;
        "operands for": Stmt::Call { args, .. }, |_, _| args.clear();
        "variables for": Stmt::Call { results, .. }, |_, _| results.clear();
        "is set to": Stmt::Call { results, .. }, |_, [f, _]| results[0] = f;
        "without a body": Stmt::Call { callee, .. }, |_, _| *callee = Callee::Function(9999);
        "operands for": Stmt::CallNested { args, .. }, |_, _| args.clear();
        "variables for": Stmt::CallNested { results, .. }, |_, _| results.clear();
        "operands for": Stmt::Abandon { args, .. }, |_, _| args.clear();
        "without a body": Stmt::Abandon { function, .. }, |_, _| *function = 9999;
        "not I32": Stmt::If { cond, .. }, |[_, l], _| *cond = l;
        "not I32": Stmt::Switch { index, .. }, |[_, l], _| *index = l;
        "operands for": Stmt::Return { values }, |_, _| values.push(ExprId(0));
        "has no slot": Stmt::Restore { vars }, |_, [f, _]| vars.push(f);
        "no signature": Stmt::Call { callee: Callee::Table { ty, .. }, .. }, |_, _| *ty = 99;
        "not I32": Stmt::MemoryFill { value, .. }, |[f, _], _| *value = f;
        "not I32": Stmt::MemoryFill { length, .. }, |[_, l], _| *length = l;
        "not I32": Stmt::MemoryCopy { from, .. }, |[f, _], _| *from = f;
        "not I32": Stmt::MemoryInit { to, .. }, |[f, _], _| *to = f;
        "no data segment": Stmt::MemoryInit { segment, .. }, |_, _| *segment = 7;
        "no data segment": Stmt::DataDrop { segment }, |_, _| *segment = 7;
        "not I32": Stmt::TableInit { length, .. }, |[f, _], _| *length = f;
        "no element segment": Stmt::TableInit { segment, .. }, |_, _| *segment = 7;
        "no element segment": Stmt::ElemDrop { segment }, |_, _| *segment = 7;
        "not I32": Stmt::TableCopy { to, .. }, |[_, l], _| *to = l;
        "is set to": Stmt::MemoryGrow { var, .. }, |_, [f, _]| *var = f;
        "no global": Stmt::GetGlobal { global, .. }, |_, _| *global = 7;
        "no global": Stmt::SetGlobal { global, .. }, |_, _| *global = 7;
        "not I32": Stmt::Ask { args, how: Ask::Here, .. }, |[f, _], _| args[0] = f;
        "operands for": Stmt::Ask { args, how: Ask::Here, .. }, |_, _| args.truncate(1);
        "no host call": Stmt::Ask { call, how: Ask::Here, .. }, |_, _| *call = 999;
        "is set to": Stmt::Ask { result: Some(result), how: Ask::Here, .. }, |_, [f, _]| *result = f;
        "not I32": Stmt::Ask { args, how: Ask::Suspends(_), .. }, |[f, _], _| args[3] = f;
        "operands for": Stmt::Ask { args, how: Ask::Suspends(_), .. }, |_, _| args.truncate(1);
        "no state": Stmt::Ask { how: Ask::Suspends(then), .. }, |_, _| *then = NO;
        "take the answer of": Stmt::Ask { how: Ask::Suspends(then), .. }, |_, _| *then = State(0);
        "take the answer of": Stmt::Ask { call, args, how: Ask::Takes, .. }, |_, _| (*call, *args) = (yields, Vec::new());
        "operands for": Stmt::Ask { args, how: Ask::Takes, .. }, |_, _| args.truncate(1);
        "is set to": Stmt::Ask { result: Some(result), how: Ask::Takes, .. }, |_, [f, _]| *result = f;
        "operands for": Stmt::Ask { args, how: Ask::Repeats(_), .. }, |_, _| args.truncate(1);
        "is set to": Stmt::Ask { result: Some(result), how: Ask::Repeats(_), .. }, |_, [_, l]| *result = l;
        "no state": Stmt::Ask { how: Ask::Repeats(again), .. }, |_, _| *again = NO;
        "does not repeat": Stmt::Ask { how: Ask::Repeats(again), .. }, |_, _| *again = State(0);
        "no state": Stmt::CallFramed { then, .. }, |_, _| *then = NO;
        "does not take": Stmt::CallFramed { then, .. }, |_, _| *then = State(0);
        "not I32": Stmt::CallFramed { args, .. }, |[f, _], _| args[0] = f;
        "without a body": Stmt::CallFramed { callee, .. }, |_, _| *callee = Callee::Function(0);
        "not I32": Stmt::CallFramed { callee, .. }, |[f, _], _| *callee = Callee::Table { ty: 0, index: f };
        "no variable": Stmt::Results { vars }, |_, _| vars[0] = Var(9999);
        "is set to": Stmt::Results { vars }, |_, [f, _]| vars[0] = f;
        "no state": Stmt::Goto { state }, |_, _| *state = NO;
        "operands for": Stmt::ReturnFramed { values }, |_, _| values.clear();
        "has no slot": Stmt::Save { vars }, |_, [f, _]| vars.push(f);
        "from outside": Stmt::Branch { label }, |_, _| label.0 = 99;
    }
}
