//! Which calls of direct functions would close a cycle: those enter a nested trampoline, the rest are plain calls.

use super::Graph;
use crate::ir::{Callee, Program, Stmt, walk};
use std::collections::BTreeSet;

/// A caller or a callee: a function, or all functions in the table with one signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A function.
    Function(u32),
    /// The dispatcher of a signature.
    Table(u32),
}

impl From<&Callee> for Node {
    fn from(callee: &Callee) -> Self {
        match callee {
            Callee::Function(f) => Self::Function(*f),
            Callee::Table { ty, .. } => Self::Table(*ty),
        }
    }
}

/// The cut calls: what remains has no cycle.
pub struct Cuts(BTreeSet<(Node, Node)>);

impl Cuts {
    /// Searches depth first from the entries, so that what a program does first stays whole, and cuts the edges back to an
    /// open node. `direct` says which functions exist as plain functions.
    pub fn new(program: &Program, graph: &Graph, direct: impl Fn(u32) -> bool) -> Self {
        let mut cuts = BTreeSet::new();
        let edges = |node: Node| -> Vec<Node> {
            match node {
                Node::Table(ty) => {
                    graph.candidates.get(&ty).into_iter().flatten().map(|f| Node::Function(*f)).collect()
                }
                Node::Function(f) => {
                    // Plain calls first: it is the calls through the table that should be cut.
                    let mut called = BTreeSet::new();
                    if let Some(body) = &program.functions[f as usize].body {
                        walk(&body.stmts, &mut |s| {
                            if let Stmt::Call { callee, .. } = s {
                                called.insert(Node::from(callee));
                            }
                        });
                    }
                    called.into_iter().collect()
                }
            }
        };
        let exists = |node: &Node| match node {
            Node::Function(f) => direct(*f) && program.functions[*f as usize].body.is_some(),
            Node::Table(_) => true,
        };
        let (mut open, mut done) = (BTreeSet::new(), BTreeSet::new());
        let entries = program.entries.iter().map(|(_, f)| *f).chain(program.init);
        for root in entries.chain(0..program.functions.len() as u32).map(Node::Function) {
            if !exists(&root) || done.contains(&root) {
                continue;
            }
            open.insert(root);
            let mut stack = vec![(root, edges(root).into_iter())];
            while let Some((node, rest)) = stack.last_mut() {
                let node = *node;
                let Some(next) = rest.next() else {
                    open.remove(&node);
                    done.insert(node);
                    stack.pop();
                    continue;
                };
                if !exists(&next) || done.contains(&next) {
                    continue;
                }
                if open.insert(next) {
                    stack.push((next, edges(next).into_iter()));
                } else {
                    cuts.insert((node, next));
                }
            }
        }
        Self(cuts)
    }

    /// Whether this call is cut.
    pub fn has(&self, from: Node, to: Node) -> bool {
        self.0.contains(&(from, to))
    }

    /// Whether nothing is cut.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
