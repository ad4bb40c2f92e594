//! Fuel at the entry of functions that call: without it, a chain of calls could run for ever between two loops.

use crate::analysis::{Colours, post_order};
use crate::ir::{Body, Program, Stmt, walk};

/// Statements that run between two charges of fuel, about, where functions call each other without loops. A charge takes
/// a processor one or two instructions, and the function a variable that is written back before each call.
const FAR: usize = 200;

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

/// Which direct functions have to charge at their entry, if they call: those that close a cycle, and those that run more
/// than [`FAR`] statements together with what they call and does not charge. So each cycle is charged, and so are calls
/// that lead to ever more calls.
pub fn needed(program: &Program, colours: &Colours) -> Vec<bool> {
    let (graph, cuts) = (&colours.graph, &colours.cuts);
    let nodes = graph.calls.len();
    let natively = |from: u32| graph.calls[from as usize].iter().copied().filter(move |to| !cuts.has(from, *to));
    let mut needed = vec![false; nodes];
    for node in (0..nodes as u32).filter(|node| cuts.enter(*node)) {
        match graph.is_function(node) {
            true => needed[node as usize] = true,
            false => graph.calls[node as usize].iter().for_each(|f| needed[*f as usize] = true),
        }
    }
    // By node: the statements that its callers run with it.
    let mut far = vec![0usize; nodes];
    for node in post_order(nodes, |node| natively(node).collect()) {
        let n = node as usize;
        let Some(function) = program.functions.get(n) else {
            far[n] = natively(node).map(|f| far[f as usize]).max().unwrap_or(0);
            continue;
        };
        let Some(body) = &function.body else { continue };
        let mut run = 0usize;
        walk(&body.stmts, &mut |s| {
            run += 1;
            if let Stmt::Call { callee, .. } = s {
                let to = graph.node(callee);
                // One that never returns is followed by nothing.
                let alone = cuts.has(node, to) || colours.never.get(to as usize).is_some_and(|never| *never);
                run = run.saturating_add(if alone { 0 } else { far[to as usize] });
            }
        });
        needed[n] |= run > FAR;
        far[n] = if needed[n] { 0 } else { run };
    }
    needed
}
