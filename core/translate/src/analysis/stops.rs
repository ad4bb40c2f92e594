//! Which direct functions may stop their VM, so that callers must test for it where one thread cannot exit.

use crate::Traps;
use crate::ir::{Callee, Program, Stmt, walk};

/// By function index.
pub fn may_stop(program: &Program, traps: Traps) -> Vec<bool> {
    let mut stops = vec![false; program.functions.len()];
    loop {
        let mut changed = false;
        for (i, function) in program.functions.iter().enumerate() {
            let (false, Some(body)) = (stops[i], &function.body) else { continue };
            let mut found = false;
            walk(&body.stmts, &mut |s| {
                found |= match s {
                    Stmt::Call { callee: Callee::Function(f), .. } => stops[*f as usize],
                    Stmt::Call { callee: Callee::Table { .. }, .. } | Stmt::CallNested { .. } => true,
                    Stmt::Load { .. } | Stmt::Store { .. } => traps == Traps::Exact,
                    Stmt::Trapping { .. }
                    | Stmt::MemoryCopy { .. }
                    | Stmt::MemoryFill { .. }
                    | Stmt::MemoryInit { .. }
                    | Stmt::TableCopy { .. }
                    | Stmt::TableInit { .. }
                    | Stmt::Host { .. }
                    | Stmt::Loop { .. }
                    | Stmt::Edge { .. }
                    | Stmt::Abandon { .. }
                    | Stmt::Trap { .. } => true,
                    _ => false,
                };
            });
            if found {
                stops[i] = true;
                changed = true;
            }
        }
        if !changed {
            return stops;
        }
    }
}
