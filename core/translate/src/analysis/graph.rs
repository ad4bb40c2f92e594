//! The call graph: who calls whom, directly or through the table.

use crate::ir::{Callee, Program, Stmt, walk};
use std::collections::BTreeSet;

/// The call graph of the reached functions. Its nodes are the functions by their index, and behind them the signatures,
/// each of which stands for all functions of that signature in the table; so the size of the graph is that of the
/// program.
pub struct Graph {
    /// What each node calls, functions first.
    pub calls: Vec<Vec<u32>>,
    callers: Vec<Vec<u32>>,
    functions: u32,
}

impl Graph {
    /// Builds it.
    pub fn new(program: &Program) -> Self {
        let functions = program.functions.len() as u32;
        let mut calls = vec![BTreeSet::new(); program.functions.len() + program.types.len()];
        for e in program.table.elements.iter().chain(program.elements.iter().flatten()).filter(|e| **e > 0) {
            let function = &program.functions[*e as usize - 1];
            if function.body.is_some() {
                calls[(functions + function.ty) as usize].insert(e - 1);
            }
        }
        for (function, called) in program.functions.iter().zip(&mut calls) {
            if let Some(body) = &function.body {
                walk(&body.stmts, &mut |s| {
                    if let Stmt::Call { callee, .. } = s {
                        called.insert(match callee {
                            Callee::Function(f) => *f,
                            Callee::Table { ty, .. } => functions + ty,
                        });
                    }
                });
            }
        }
        let mut callers = vec![Vec::new(); calls.len()];
        for (node, called) in (0..).zip(&calls) {
            for callee in called {
                callers[*callee as usize].push(node);
            }
        }
        Self { calls: calls.into_iter().map(|c| c.into_iter().collect()).collect(), callers, functions }
    }

    /// Whether a node is a function.
    pub fn is_function(&self, node: u32) -> bool {
        node < self.functions
    }

    /// The node of a callee.
    pub fn node(&self, callee: &Callee) -> u32 {
        match callee {
            Callee::Function(f) => *f,
            Callee::Table { ty, .. } => self.table(*ty),
        }
    }

    /// The node of a signature.
    pub fn table(&self, ty: u32) -> u32 {
        self.functions + ty
    }

    /// Calls `spread(caller, callee)` for the functions that call those in `todo`, and then for the callers of those
    /// that it accepts.
    pub fn spread(&self, mut todo: Vec<u32>, mut spread: impl FnMut(u32, u32) -> bool) {
        let mut asked = BTreeSet::new();
        while let Some(callee) = todo.pop() {
            for caller in &self.callers[callee as usize] {
                let callers = if self.is_function(*caller) {
                    std::slice::from_ref(caller)
                } else if asked.insert(*caller) {
                    &self.callers[*caller as usize]
                } else {
                    continue;
                };
                todo.extend(callers.iter().filter(|f| spread(**f, callee)));
            }
        }
    }

    /// Strongly connected components over the edges to nodes that `keep` accepts: a component number for each node, and
    /// whether each component is a cycle.
    pub fn components(&self, keep: impl Fn(u32) -> bool) -> (Vec<u32>, Vec<bool>) {
        // Tarjan's algorithm with an explicit stack: programs have deep call chains.
        let n = self.calls.len();
        let edges: Vec<Vec<u32>> =
            self.calls.iter().map(|called| called.iter().copied().filter(|g| keep(*g)).collect()).collect();
        let mut index = vec![u32::MAX; n];
        let mut low = vec![0u32; n];
        let mut on_stack = vec![false; n];
        let mut stack = Vec::new();
        let mut component = vec![0u32; n];
        let mut cyclic = Vec::new();
        let mut next = 0;
        for root in 0..n {
            if index[root] != u32::MAX {
                continue;
            }
            let mut work = vec![(root, 0usize)];
            while let Some((v, i)) = work.pop() {
                if i == 0 {
                    index[v] = next;
                    low[v] = next;
                    next += 1;
                    stack.push(v);
                    on_stack[v] = true;
                }
                let mut descended = false;
                for (j, w) in edges[v].iter().enumerate().skip(i) {
                    let w = *w as usize;
                    if index[w] == u32::MAX {
                        work.push((v, j + 1));
                        work.push((w, 0));
                        descended = true;
                        break;
                    }
                    if on_stack[w] {
                        low[v] = low[v].min(index[w]);
                    }
                }
                if descended {
                    continue;
                }
                if low[v] == index[v] {
                    let id = cyclic.len() as u32;
                    let mut size = 0;
                    while let Some(w) = stack.pop() {
                        on_stack[w] = false;
                        component[w] = id;
                        size += 1;
                        if w == v {
                            break;
                        }
                    }
                    cyclic.push(size > 1 || edges[v].contains(&(v as u32)));
                }
                if let Some((parent, _)) = work.last() {
                    low[*parent] = low[*parent].min(low[v]);
                }
            }
        }
        (component, cyclic)
    }
}

/// All numbers below `n`, each behind those that `edges` leads to, unless these lead back to it.
pub fn post_order(n: usize, edges: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
    let mut seen = vec![false; n];
    let mut order = Vec::new();
    for root in 0..n as u32 {
        let mut open: Vec<(u32, std::vec::IntoIter<u32>)> = Vec::new();
        let mut next = Some(root);
        loop {
            match next {
                Some(node) if !std::mem::replace(&mut seen[node as usize], true) => {
                    open.push((node, edges(node).into_iter()));
                }
                _ => {}
            }
            let Some((node, rest)) = open.last_mut() else { break };
            next = rest.next();
            if next.is_none() {
                order.push(*node);
                open.pop();
            }
        }
    }
    order
}
