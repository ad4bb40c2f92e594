//! What a call of a direct function may change behind its caller's back: a caller keeps the rest in variables.

use super::Graph;
use crate::ir::{Program, Stmt, walk};

/// By node of the call graph.
pub struct Changes {
    /// The memory may have grown.
    pub grows: Vec<bool>,
    /// The fuel is charged or marked, or the VM may end other than by a bad access.
    pub fuel: Vec<bool>,
}

/// `marks` says whether checks mark the fuel.
pub fn changes(program: &Program, graph: &Graph, marks: bool) -> Changes {
    let of = |is: &dyn Fn(&Stmt) -> bool| {
        let found = |function: &crate::ir::Function| {
            let mut found = false;
            walk(function.body.as_ref().map_or(&[], |body| &body.stmts), &mut |s| found |= is(s));
            found
        };
        let mut nodes: Vec<bool> = program.functions.iter().map(found).collect();
        let first = (0..nodes.len() as u32).filter(|f| nodes[*f as usize]).collect();
        graph.spread(first, |caller, _| !std::mem::replace(&mut nodes[caller as usize], true));
        for signature in nodes.len()..graph.calls.len() {
            let any = graph.calls[signature].iter().any(|f| nodes[*f as usize]);
            nodes.push(any);
        }
        nodes
    };
    let elsewhere = |s: &Stmt| matches!(s, Stmt::CallNested { .. } | Stmt::Abandon { .. });
    Changes {
        grows: of(&|s| matches!(s, Stmt::MemoryGrow { .. }) || elsewhere(s)),
        fuel: of(&|s| {
            let charges = matches!(s, Stmt::Loop { .. } | Stmt::Edge { .. } | Stmt::Unshared { .. });
            let helps = s.leaves() && !matches!(s, Stmt::Call { .. } | Stmt::Return { .. });
            let checks = marks && matches!(s, Stmt::Check { .. } | Stmt::Strides(_));
            // Exact traps.
            let traps =
                matches!(s, Stmt::Trapping { .. }) || marks && matches!(s, Stmt::Load { .. } | Stmt::Store { .. });
            charges || helps || checks || traps
        }),
    }
}
