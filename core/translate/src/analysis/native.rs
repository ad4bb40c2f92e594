//! The deepest native stack that plain functions can need: they do not recurse, so it has a bound.

use super::{Colours, Node};
use crate::ir::{Body, Program, Stmt, walk};
use std::collections::BTreeSet;

/// Bytes, estimated from above: each variable has a place of its own.
pub fn native_stack(program: &Program, colours: &Colours) -> u64 {
    let mut native = Native { program, colours, known: vec![None; program.functions.len()] };
    let states = program.functions.iter().filter_map(|f| f.states.as_ref());
    let under_states = states.map(|body| native.body(body)).max().unwrap_or(0);
    (0..program.functions.len() as u32).map(|f| native.function(f)).max().unwrap_or(0).max(under_states)
}

struct Native<'a> {
    program: &'a Program,
    colours: &'a Colours,
    known: Vec<Option<u64>>,
}

impl Native<'_> {
    fn function(&mut self, f: u32) -> u64 {
        if let Some(known) = self.known[f as usize] {
            return known;
        }
        let depth = self.program.functions[f as usize].body.as_ref().map_or(0, |body| self.body(body));
        self.known[f as usize] = Some(depth);
        depth
    }

    fn body(&mut self, body: &Body) -> u64 {
        const LINKAGE: u64 = 128;
        let mut called = BTreeSet::new();
        for stmts in body.states.iter().chain([&body.stmts]) {
            walk(stmts, &mut |s| {
                if let Stmt::Call { callee, .. } = s {
                    let from = Node::from(callee);
                    let native =
                        |f: &&u32| !self.colours.cuts.has(from, Node::Function(**f)) && !self.colours.abandoned(**f);
                    called.extend(self.colours.targets(callee).iter().filter(native));
                }
            });
        }
        let below = called.into_iter().map(|f| self.function(f)).max().unwrap_or(0);
        below + LINKAGE + 8 * body.vars.len() as u64
    }
}
