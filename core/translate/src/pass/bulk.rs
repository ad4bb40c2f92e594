//! Functions that copy or fill memory byte by byte or word by word, which programs built without bulk memory bring
//! along: where their ranges are good, they move whole cells as `memory.copy` and `memory.fill` do.
//!
//! [Proven](crate::analysis::moves) is only what they do if both ranges lie in memory, and for some, do not overlap.
//! That is tested when the program runs; otherwise they do what they did, up to the access that traps.

use crate::ValType::I32;
use crate::analysis::Moves;
use crate::ir::{BinOp, Body, Expr, Stmt, Var};

/// Puts the test and the bulk operation in front of a body.
pub fn run(body: &mut Body, moves: Moves, at: u32) {
    let (to, second, length) = (Var(0), Var(1), Var(2));
    let read = |body: &mut Body, var| body.add(Expr::Var(var));
    let mut stmts = Vec::new();
    let mut good = |body: &mut Body, begin| {
        let var = body.var(I32);
        let (addr, length) = (read(body, begin), read(body, length));
        stmts.push(Stmt::InBounds { var, addr, length });
        read(body, var)
    };
    let mut cond = good(body, to);
    if moves != Moves::Fill {
        let source = good(body, second);
        cond = body.add(Expr::Binary(BinOp::I32And, cond, source));
    }
    if moves == Moves::Apart {
        for (high, low) in [(to, second), (second, to)] {
            let (high, low, length) = (read(body, high), read(body, low), read(body, length));
            let above = body.add(Expr::Binary(BinOp::I32Sub, high, low));
            let apart = body.add(Expr::Binary(BinOp::I32GeU, above, length));
            cond = body.add(Expr::Binary(BinOp::I32And, cond, apart));
        }
    }
    let [result, to, second, length] = [to, to, second, length].map(|var| read(body, var));
    let bulk = match moves {
        Moves::Fill => Stmt::MemoryFill { to, value: second, length, at },
        Moves::Copy | Moves::Apart => Stmt::MemoryCopy { to, from: second, length, at },
    };
    stmts.push(Stmt::If { cond, then: vec![bulk, Stmt::Return { values: vec![result] }], otherwise: Vec::new() });
    body.stmts.splice(0..0, stmts);
}
