//! Which direct functions may stop their VM, so that callers must test for it where one thread cannot exit.

use super::Graph;
use crate::Traps;
use crate::ir::{Callee, Program, Stmt, walk};

/// By function index.
pub fn may_stop(program: &Program, graph: &Graph, traps: Traps) -> Vec<bool> {
    let stops_itself = |function: &crate::ir::Function| {
        let mut found = false;
        walk(function.body.as_ref().map_or(&[], |body| &body.stmts), &mut |s| {
            found |= match s {
                Stmt::Call { callee: Callee::Table { .. }, .. } | Stmt::CallNested { .. } => true,
                Stmt::Load { .. } | Stmt::Store { .. } => traps == Traps::Exact,
                Stmt::Trapping { .. }
                | Stmt::MemoryGrow { .. }
                | Stmt::MemoryCopy { .. }
                | Stmt::MemoryFill { .. }
                | Stmt::MemoryInit { .. }
                | Stmt::TableCopy { .. }
                | Stmt::TableInit { .. }
                | Stmt::Ask { .. }
                | Stmt::Loop { .. }
                | Stmt::Edge { .. }
                | Stmt::Abandon { .. }
                | Stmt::Trap { .. } => true,
                _ => false,
            };
        });
        found
    };
    let mut stops: Vec<bool> = program.functions.iter().map(stops_itself).collect();
    let first = (0..stops.len() as u32).filter(|f| stops[*f as usize]).collect();
    graph.spread(first, |caller, _| !std::mem::replace(&mut stops[caller as usize], true));
    stops
}
