//! The two kinds of function: direct (a plain function) and framed (states under the trampoline).

use super::{Graph, never_returns};
use crate::host::{CALLS, Place};
use crate::ir::{Callee, Program, Stmt, walk};
use serde::{Deserialize, Serialize};

/// The kind of a function, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colour {
    /// No entry reaches it.
    Unreached,
    /// A plain function.
    Direct,
    /// `--force-framed`.
    Forced,
    /// Makes this remote call.
    Remote(String),
    /// Lies on a cycle of calls with this function.
    Recursive(u32),
    /// Never returns, and lies on a cycle with this function through such calls; its callers abandon their frames.
    AbandonedTo(u32),
    /// Calls this framed function, which returns.
    Calls(u32),
}

impl Colour {
    /// Whether the function is cut into states.
    pub fn framed(&self) -> bool {
        !matches!(self, Self::Unreached | Self::Direct)
    }
}

/// Colours of all functions, with the facts they rest on.
pub struct Colours {
    /// By function index.
    pub of: Vec<Colour>,
    /// By function index: never returns.
    pub never: Vec<bool>,
    /// The call graph.
    pub graph: Graph,
    /// Some reached function makes a remote call.
    pub remote: bool,
    /// By function index: makes a remote call itself.
    remote_calls: Vec<bool>,
}

impl Colours {
    /// Colours the call graph.
    pub fn new(program: &Program, force: bool) -> Self {
        let graph = Graph::new(program);
        let never = never_returns(program);
        let n = program.functions.len();
        let mut of = vec![Colour::Unreached; n];
        let fd_write = CALLS.iter().position(|c| c.name == "fd_write");
        let each = |f: &mut dyn FnMut(usize, &Stmt)| {
            for (i, function) in program.functions.iter().enumerate() {
                if let Some(body) = &function.body {
                    walk(&body.stmts, &mut |s| f(i, s));
                }
            }
        };
        let mut remote_calls = vec![false; n];
        each(&mut |i, s| {
            remote_calls[i] |= matches!(s, Stmt::Host { call, .. } if CALLS[*call].place == Place::Remote)
        });
        let remote = remote_calls.contains(&true);
        for (i, function) in program.functions.iter().enumerate() {
            if function.body.is_some() {
                of[i] = if force { Colour::Forced } else { Colour::Direct };
            }
        }
        each(&mut |i, s| {
            if let Stmt::Host { call, .. } = s
                && (CALLS[*call].place == Place::Remote || remote && Some(*call) == fd_write)
                && of[i] == Colour::Direct
            {
                of[i] = Colour::Remote(CALLS[*call].name.into());
            }
        });
        // Calls of functions that never return need no frame to come back to, so they close no cycle...
        let (component, cyclic) = graph.components(|_, g| !never[g as usize]);
        for f in 0..n {
            if of[f] == Colour::Direct && cyclic[component[f] as usize] {
                let with = graph.calls[f].iter().copied().find(|g| component[*g as usize] == component[f]);
                of[f] = Colour::Recursive(with.unwrap_or(f as u32));
            }
        }
        // ...but natively they would recurse: so such a function on a cycle is framed itself, and entered by abandonment.
        let (component, cyclic) = graph.components(|_, _| true);
        for f in 0..n {
            if of[f] == Colour::Direct && never[f] && cyclic[component[f] as usize] {
                let with = graph.calls[f].iter().copied().find(|g| component[*g as usize] == component[f]);
                of[f] = Colour::AbandonedTo(with.unwrap_or(f as u32));
            }
        }
        loop {
            let mut changed = false;
            for f in 0..n {
                if of[f] == Colour::Direct
                    && let Some(g) = graph.calls[f].iter().find(|g| of[**g as usize].framed() && !never[**g as usize])
                {
                    of[f] = Colour::Calls(*g);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        Self { of, never, graph, remote, remote_calls }
    }

    /// Whether a function is framed.
    pub fn framed(&self, function: u32) -> bool {
        self.of[function as usize].framed()
    }

    /// Whether a call is a split: it may come back through the trampoline.
    pub fn splits(&self, callee: &Callee) -> bool {
        match callee {
            Callee::Function(f) => self.framed(*f) && !self.never[*f as usize],
            Callee::Table { ty, .. } => self
                .graph
                .candidates
                .get(ty)
                .is_some_and(|c| c.iter().any(|f| self.framed(*f) && !self.never[*f as usize])),
        }
    }

    /// Whether a function can make a remote call, itself or through others.
    pub fn reaches_remote(&self, program: &Program, function: u32) -> bool {
        let mut seen = vec![false; program.functions.len()];
        let mut todo = vec![function];
        while let Some(f) = todo.pop() {
            if std::mem::replace(&mut seen[f as usize], true) {
                continue;
            }
            if self.remote_calls[f as usize] {
                return true;
            }
            todo.extend(&self.graph.calls[f as usize]);
        }
        false
    }
}
