//! The C library's `memcpy`, `memmove` and `memset`, which programs built without bulk memory bring along as loops over bytes or
//! words: they become `memory.copy` and `memory.fill`, which move whole cells.
//!
//! Names mean nothing in WebAssembly, so a function of such a name and signature must also look like one: it loops, stores, loads only
//! if it copies, gives its first parameter back, and does nothing else. One thing differs then: where memory ends within a copy,
//! nothing of it happens, not the part in front either.

use crate::ValType;
use crate::ir::{Body, Expr, Program, Stmt, Var, walk};

/// Replaces the bodies of such functions; `offset` gives a function's place in the module.
pub fn run(program: &mut Program, offset: impl Fn(u32) -> u32) {
    for (i, function) in program.functions.iter_mut().enumerate() {
        let ty = &program.types[function.ty as usize];
        if ty.params != [ValType::I32; 3] || ty.results != [ValType::I32] {
            continue;
        }
        let named = |names: &[&str]| function.names.iter().any(|name| names.contains(&name.as_str()));
        let copies = named(&["memcpy", "memmove"]);
        if !copies && !named(&["memset"]) {
            continue;
        }
        if let Some(body) = &mut function.body
            && moves(body, copies)
        {
            *body = replacement(copies, offset(i as u32));
        }
    }
}

/// Whether a body does what such functions do, and nothing else.
fn moves(body: &Body, copies: bool) -> bool {
    let (mut stores, mut loads, mut loops, mut other) = (false, false, false, false);
    walk(&body.stmts, &mut |s| {
        stores |= matches!(s, Stmt::Store { .. });
        loads |= matches!(s, Stmt::Load { .. });
        loops |= matches!(s, Stmt::Loop { .. });
        other |= s.sets().contains(&Var(0));
        other |= match s {
            Stmt::Return { values } => values.iter().any(|value| body.expr(*value) != Expr::Var(Var(0))),
            Stmt::GetGlobal { .. } | Stmt::SetGlobal { .. } | Stmt::Trap { .. } | Stmt::Trapping { .. } => true,
            _ => s.calls(),
        };
    });
    stores && loops && loads == copies && !other
}

/// The whole of it happens at once, and nothing at all, whatever the addresses, if the length is 0.
fn replacement(copies: bool, at: u32) -> Body {
    let mut body = Body { vars: vec![ValType::I32; 3], ..Body::default() };
    let [to, second, length, cond, result] = [0, 1, 2, 2, 0].map(|v| body.add(Expr::Var(Var(v))));
    let whole = if copies {
        Stmt::MemoryCopy { to, from: second, length, at }
    } else {
        Stmt::MemoryFill { to, value: second, length, at }
    };
    body.stmts =
        vec![Stmt::If { cond, then: vec![whole], otherwise: Vec::new() }, Stmt::Return { values: vec![result] }];
    body
}
