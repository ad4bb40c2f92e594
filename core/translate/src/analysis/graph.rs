//! The call graph: who calls whom, directly or through the table.

use crate::ir::{Callee, Program, Stmt, walk};
use std::collections::{BTreeMap, BTreeSet};

/// The call graph of the reached functions.
pub struct Graph {
    /// Functions called by each function, by index.
    pub calls: Vec<BTreeSet<u32>>,
    /// Functions of each signature that the table may hold.
    pub candidates: BTreeMap<u32, Vec<u32>>,
}

impl Graph {
    /// Builds it.
    pub fn new(program: &Program) -> Self {
        let mut in_table: BTreeSet<u32> = program.table.elements.iter().filter(|e| **e > 0).map(|e| e - 1).collect();
        in_table.extend(program.elements.iter().flatten().filter(|e| **e > 0).map(|e| e - 1));
        let mut candidates: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for f in in_table {
            let function = &program.functions[f as usize];
            if function.body.is_some() {
                candidates.entry(function.ty).or_default().push(f);
            }
        }
        let calls = program
            .functions
            .iter()
            .map(|function| {
                let mut called = BTreeSet::new();
                if let Some(body) = &function.body {
                    walk(&body.stmts, &mut |s| {
                        if let Stmt::Call { callee, .. } = s {
                            match callee {
                                Callee::Function(f) => {
                                    called.insert(*f);
                                }
                                Callee::Table { ty, .. } => called.extend(candidates.get(ty).into_iter().flatten()),
                            }
                        }
                    });
                }
                called
            })
            .collect();
        Self { calls, candidates }
    }

    /// Strongly connected components over the edges that `keep` accepts: a component number for each function, and
    /// whether each component is a cycle.
    pub fn components(&self, keep: impl Fn(u32, u32) -> bool) -> (Vec<u32>, Vec<bool>) {
        // Tarjan's algorithm with an explicit stack: programs have deep call chains.
        let n = self.calls.len();
        let edges: Vec<Vec<u32>> =
            (0..n).map(|f| self.calls[f].iter().copied().filter(|g| keep(f as u32, *g)).collect()).collect();
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
