//! The deepest native stack that direct functions can need between two cut calls: there is no cycle, so it has a bound.

use super::{Colours, post_order};
use crate::ir::{Body, Program, Stmt, walk};
use std::collections::BTreeSet;

/// An upper bound in bytes: each variable counts as if it had a stack slot of its own.
pub fn native_stack(program: &Program, colours: &Colours) -> u64 {
    let native = Native { program, colours };
    let mut depth = vec![0; colours.graph.calls.len()];
    for node in post_order(depth.len(), |node| native.calls(node)) {
        depth[node as usize] = match program.functions.get(node as usize) {
            Some(function) => function.body.as_ref().map_or(0, |body| native.below(Some(node), body, &depth)),
            None => native.calls(node).into_iter().map(|f| depth[f as usize]).max().unwrap_or(0),
        };
    }
    let states = program.functions.iter().filter_map(|f| f.states.as_ref());
    let under_states = states.map(|body| native.below(None, body, &depth)).max().unwrap_or(0);
    depth.into_iter().max().unwrap_or(0).max(under_states)
}

struct Native<'a> {
    program: &'a Program,
    colours: &'a Colours,
}

impl Native<'_> {
    /// The nodes of the call graph that a node calls natively.
    fn calls(&self, node: u32) -> Vec<u32> {
        match self.program.functions.get(node as usize) {
            Some(function) => function.body.as_ref().map_or_else(Vec::new, |body| self.called(Some(node), body)),
            None => {
                let native = |f: &u32| !self.colours.cuts.has(node, *f) && !self.colours.abandoned(*f);
                self.colours.graph.calls[node as usize].iter().copied().filter(native).collect()
            }
        }
    }

    /// What a body calls, which may be that of a direct function.
    fn called(&self, direct: Option<u32>, body: &Body) -> Vec<u32> {
        let mut called = BTreeSet::new();
        for stmts in body.states.iter().chain([&body.stmts]) {
            walk(stmts, &mut |s| {
                if let Stmt::Call { callee, .. } = s {
                    let node = self.colours.graph.node(callee);
                    if direct.is_none_or(|f| !self.colours.cuts.has(f, node)) {
                        called.insert(node);
                    }
                }
            });
        }
        called.into_iter().collect()
    }

    /// Bytes that a body and its callees need.
    fn below(&self, direct: Option<u32>, body: &Body, depth: &[u64]) -> u64 {
        const LINKAGE: u64 = 128;
        let below = self.called(direct, body).into_iter().map(|node| depth[node as usize]).max().unwrap_or(0);
        below + LINKAGE + 8 * body.vars.len() as u64
    }
}
