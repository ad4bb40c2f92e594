//! Which functions never return: every path ends in a trap, `proc_exit`, or a call of such a function.

use super::{Graph, post_order};
use crate::host;
use crate::ir::{Callee, Label, Program, Stmt};
use std::collections::BTreeSet;

/// Most rounds over all functions. One is enough where calls have no cycle; a hostile program can need as many rounds
/// as it has functions. A function that is not found by then counts as one that may return.
const ROUNDS: u32 = 8;

/// By function index. It is the least fixpoint, so a function that only recurses is none of them: it must exhaust the
/// stack, not run for ever. Compilers put `unreachable` behind a call of a function that never returns, so panic paths
/// are found.
pub fn never_returns(program: &Program, graph: &Graph) -> Vec<bool> {
    let functions = &program.functions;
    let mut never = vec![false; functions.len()];
    let called = |f: u32| graph.calls[f as usize].iter().copied().filter(|g| graph.is_function(*g)).collect();
    let order = post_order(functions.len(), called);
    for _ in 0..ROUNDS {
        let mut changed = false;
        for f in order.iter().map(|f| *f as usize) {
            let (false, Some(body)) = (never[f], &functions[f].body) else { continue };
            let mut flow = Flow { never: &never, branched: BTreeSet::new(), returns: false };
            if !flow.list(&body.stmts) && !flow.returns {
                never[f] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    never
}

struct Flow<'a> {
    never: &'a [bool],
    branched: BTreeSet<Label>,
    returns: bool,
}

impl Flow<'_> {
    /// Whether control can fall off the end of the list.
    fn list(&mut self, stmts: &[Stmt]) -> bool {
        stmts.iter().all(|s| self.stmt(s))
    }

    fn stmt(&mut self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Trap { .. } => false,
            Stmt::Return { .. } => {
                self.returns = true;
                false
            }
            Stmt::Branch { label } => {
                self.branched.insert(*label);
                false
            }
            Stmt::Ask { call, .. } => host::CALLS[*call].gives != host::Gives::Never,
            Stmt::Call { callee: Callee::Function(f), .. } => !self.never[*f as usize],
            Stmt::Block { label, body } => {
                let falls = self.list(body);
                falls | self.branched.remove(label)
            }
            Stmt::Loop { body, .. } => self.list(body),
            Stmt::If { then, otherwise, .. } => {
                let then = self.list(then);
                self.list(otherwise) | then
            }
            Stmt::Switch { cases, default, .. } => {
                let mut falls = self.list(default);
                for (_, body) in cases {
                    falls |= self.list(body);
                }
                falls
            }
            _ => true,
        }
    }
}
