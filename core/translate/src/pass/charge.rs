//! Fuel at the entry of functions that call: without it, a chain of calls could run for ever between two loops.

use crate::ir::{Body, Stmt, walk};

/// Puts an `Edge` in front of a body that calls.
pub fn run(body: &mut Body) {
    let mut at = None;
    walk(&body.stmts, &mut |s| {
        if let Stmt::Call { at: here, .. } = s {
            at.get_or_insert(*here);
        }
    });
    if let Some(at) = at {
        body.stmts.insert(0, Stmt::Edge { head: false, at });
    }
}
