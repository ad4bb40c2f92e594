//! The C library's `memcpy`, `memmove` and `memset`, which programs built without bulk memory bring along as loops over bytes or
//! words: they become `memory.copy` and `memory.fill`, which move whole cells.
//!
//! Their names are reserved: a function that has one, and its signature, does what the C standard says, and compilers take that for
//! granted too. One thing differs: where memory ends within a copy, none of it happens, not the part in front.

use crate::ValType;
use crate::ir::{Body, Expr, Program, Stmt, Var};

/// Replaces the bodies of such functions; `offset` gives a function's place in the module.
pub fn run(program: &mut Program, offset: impl Fn(u32) -> u32) {
    for (i, function) in program.functions.iter_mut().enumerate() {
        let ty = &program.types[function.ty as usize];
        if ty.params != [ValType::I32; 3] || ty.results != [ValType::I32] {
            continue;
        }
        let copies = match function.name.as_str() {
            "memcpy" | "memmove" => true,
            "memset" => false,
            _ => continue,
        };
        let Some(body) = &mut function.body else { continue };
        let mut new = Body { vars: vec![ValType::I32; 3], ..Body::default() };
        let [to, second, length, result] = [0, 1, 2, 0].map(|v| new.add(Expr::Var(Var(v))));
        let at = offset(i as u32);
        new.stmts = vec![
            if copies {
                Stmt::MemoryCopy { to, from: second, length, at }
            } else {
                Stmt::MemoryFill { to, value: second, length, at }
            },
            Stmt::Return { values: vec![result] },
        ];
        *body = new;
    }
}
