//! Which calls of direct functions would close a cycle: those enter a nested trampoline, or test how deep the native
//! stack is; the others are native calls.

use super::Graph;
use crate::ir::Program;
use std::collections::BTreeSet;

/// The cut calls, as edges of the call graph: what remains has no cycle.
pub struct Cuts {
    calls: BTreeSet<(u32, u32)>,
    /// What they call.
    callees: BTreeSet<u32>,
}

impl Cuts {
    /// Searches depth first from the entries, so that the outermost functions of a program are not cut from each other,
    /// and cuts the edges back to an open node. Edges to functions come before those to signatures, so that calls
    /// through the table are cut rather than others. `direct` says which functions exist as direct ones.
    pub fn new(program: &Program, graph: &Graph, direct: impl Fn(u32) -> bool) -> Self {
        let mut cuts = BTreeSet::new();
        let exists = |node: u32| match program.functions.get(node as usize) {
            Some(function) => direct(node) && function.body.is_some(),
            None => true,
        };
        let (mut open, mut done) = (BTreeSet::new(), BTreeSet::new());
        let entries = program.entries.iter().map(|(_, f)| *f).chain(program.init);
        for root in entries.chain(0..program.functions.len() as u32) {
            if !exists(root) || done.contains(&root) {
                continue;
            }
            open.insert(root);
            let mut stack = vec![(root, graph.calls[root as usize].iter())];
            while let Some((node, rest)) = stack.last_mut() {
                let node = *node;
                let Some(next) = rest.next().copied() else {
                    open.remove(&node);
                    done.insert(node);
                    stack.pop();
                    continue;
                };
                if !exists(next) || done.contains(&next) {
                    continue;
                }
                if open.insert(next) {
                    stack.push((next, graph.calls[next as usize].iter()));
                } else {
                    cuts.insert((node, next));
                }
            }
        }
        let callees = cuts.iter().map(|(_, to)| *to).collect();
        Self { calls: cuts, callees }
    }

    /// Whether this call is cut.
    pub fn has(&self, from: u32, to: u32) -> bool {
        self.calls.contains(&(from, to))
    }

    /// Whether some cut call calls this node.
    pub fn enter(&self, node: u32) -> bool {
        self.callees.contains(&node)
    }

    /// Whether nothing is cut.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}
