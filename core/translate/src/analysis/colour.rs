//! The kinds of function.
//!
//! A function that can *suspend* (it makes a remote call, or calls a function that does and returns) exists only as states
//! under the kernel's trampoline. Every other function exists as a plain *direct* function. One that lies on a cycle of calls,
//! or calls into one, exists as states *too*: natively it may run once at a time, and where a call would close the cycle
//! (see [`super::Cuts`]) the direct function enters a nested trampoline, in which the states of the cycle run. Signatures alone
//! put half of a Rust program on cycles through its formatting code; so its loops still run in plain functions.

use super::{Cuts, Graph, never_returns};
use crate::host::{CALLS, Place};
use crate::ir::{Callee, Program, Stmt, walk};
use serde::{Deserialize, Serialize};

/// The kind of a function, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colour {
    /// No entry reaches it.
    Unreached,
    /// Only a plain function.
    Direct,
    /// Suspends: `--force-framed`.
    Forced,
    /// Suspends: makes this remote call.
    Remote(String),
    /// Suspends: calls this function, which suspends and returns.
    Suspends(u32),
    /// Lies on a cycle of calls with this function.
    Recursive(u32),
    /// Never returns, and lies on a cycle with this function through such calls; its callers abandon their frames.
    AbandonedTo(u32),
    /// Calls this function, which lies on a cycle or calls into one, and returns.
    Calls(u32),
    /// More paths of calls below it than the kernel compiler should see in one piece.
    Paths,
}

impl Colour {
    /// Exists as states (also).
    pub fn framed(&self) -> bool {
        !matches!(self, Self::Unreached | Self::Direct)
    }

    /// Exists as states only.
    pub fn suspends(&self) -> bool {
        matches!(self, Self::Forced | Self::Remote(_) | Self::Suspends(_))
    }
}

/// Where the states of a function run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Under the kernel's trampoline: can suspend.
    Upper,
    /// Under a nested trampoline as well: cannot.
    Lower,
}

/// Colours of all functions, with the facts they rest on.
pub struct Colours {
    /// By function index.
    pub of: Vec<Colour>,
    /// By function index: never returns.
    pub never: Vec<bool>,
    /// The call graph.
    pub graph: Graph,
    /// The calls that direct functions do not make natively.
    pub cuts: Cuts,
    /// Some reached function makes a remote call.
    pub remote: bool,
    /// There are no nested trampolines: what is framed at all exists as states only.
    flat: bool,
}

impl Colours {
    /// Colours the call graph.
    pub fn new(program: &Program, force: bool, call_paths: Option<u32>) -> Self {
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
        let mut remote = false;
        each(&mut |_, s| remote |= matches!(s, Stmt::Host { call, .. } if CALLS[*call].place == Place::Remote));
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
        let callers = |of: &mut Vec<Colour>, is: fn(&Colour) -> bool, becomes: fn(u32) -> Colour| {
            let mut changed = true;
            while std::mem::take(&mut changed) {
                for f in 0..n {
                    if of[f] == Colour::Direct
                        && let Some(g) = graph.calls[f].iter().find(|g| is(&of[**g as usize]) && !never[**g as usize])
                    {
                        of[f] = becomes(*g);
                        changed = true;
                    }
                }
            }
        };
        callers(&mut of, Colour::suspends, Colour::Suspends);
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
        callers(&mut of, Colour::framed, Colour::Calls);
        if let Some(most) = call_paths {
            for f in many_paths(&graph, &of, most) {
                of[f as usize] = Colour::Paths;
            }
            callers(&mut of, Colour::framed, Colour::Calls);
        }
        let flat = call_paths.is_some();
        let abandoned = |f: u32| never[f as usize] && of[f as usize].framed();
        let cuts = Cuts::new(program, &graph, |f| {
            let colour = &of[f as usize];
            !(colour.suspends() || abandoned(f) || flat && colour.framed())
        });
        Self { of, never, graph, cuts, remote, flat }
    }

    /// Whether a function exists as states only.
    pub fn suspends(&self, function: u32) -> bool {
        let colour = &self.of[function as usize];
        colour.suspends() || self.flat && colour.framed()
    }

    /// Whether a function exists as states.
    pub fn framed(&self, function: u32) -> bool {
        self.of[function as usize].framed()
    }

    /// Whether callers of a function abandon their frames: it exists as states and never returns.
    pub fn abandoned(&self, function: u32) -> bool {
        self.framed(function) && self.never[function as usize]
    }

    /// Where the states of a function run.
    pub fn world(&self, function: u32) -> World {
        if self.suspends(function) { World::Upper } else { World::Lower }
    }

    /// Whether a call in states of this world enters states and comes back.
    pub fn splits(&self, world: World, callee: &Callee) -> bool {
        self.targets(callee).iter().any(|f| self.in_states(world, *f) && !self.never[*f as usize])
    }

    /// Whether a function that is called in this world is entered as states: in the upper one, all that cannot suspend are direct.
    pub fn in_states(&self, world: World, function: u32) -> bool {
        match world {
            World::Upper => self.suspends(function) || self.abandoned(function),
            World::Lower => self.framed(function),
        }
    }

    /// The functions that a call may enter.
    pub fn targets<'a>(&'a self, callee: &'a Callee) -> &'a [u32] {
        match callee {
            Callee::Function(f) => std::slice::from_ref(f),
            Callee::Table { ty, .. } => self.graph.candidates.get(ty).map_or(&[], Vec::as_slice),
        }
    }

    /// Whether a function can make a remote call, itself or through others.
    pub fn reaches_remote(&self, function: u32) -> bool {
        let mut seen = vec![false; self.of.len()];
        let mut todo = vec![function];
        while let Some(f) = todo.pop() {
            if std::mem::replace(&mut seen[f as usize], true) {
                continue;
            }
            if self.remote && self.of[f as usize].suspends() {
                return true;
            }
            todo.extend(&self.graph.calls[f as usize]);
        }
        false
    }
}

/// The direct functions with more than so many paths of calls below them.
fn many_paths(graph: &Graph, of: &[Colour], most: u32) -> Vec<u32> {
    /// Every function also calls a handful of helpers.
    const HELPERS: u32 = 8;
    let mut paths: Vec<Option<u32>> = of.iter().map(|c| (*c != Colour::Direct).then_some(0)).collect();
    for root in 0..of.len() {
        // What is direct has no cycle, so this ends.
        let mut stack = vec![root];
        while let Some(f) = stack.last().copied() {
            let open = graph.calls[f].iter().map(|g| *g as usize).find(|g| paths[*g].is_none());
            match open {
                Some(g) if paths[f].is_none() => stack.push(g),
                _ => {
                    stack.pop();
                    let below = graph.calls[f].iter().filter_map(|g| paths[*g as usize]);
                    let all = below.fold(HELPERS, u32::saturating_add);
                    paths[f].get_or_insert(all);
                }
            }
        }
    }
    (0..of.len()).filter(|f| paths[*f].is_some_and(|p| p > most)).map(|f| f as u32).collect()
}
