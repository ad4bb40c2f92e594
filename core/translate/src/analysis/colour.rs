//! The kinds of function.
//!
//! A function that can *suspend* (it makes a remote call, or calls a function that does and returns) exists only as
//! states under the kernel's trampoline. Every other function exists as a *direct* one, a plain C function. One that
//! lies on a cycle of calls, or calls into one, exists as states *too*: natively each function is active at most once
//! at a time, and where a call would close the cycle (see [`super::Cuts`]) the direct function enters a nested
//! trampoline, in which the states of the cycle run. So loops run in direct functions even though the signatures of
//! indirect calls put half of a Rust program on cycles through its formatting code. Where threads have a stack for it
//! ([`Options::recurses`]) such a call is native too, and only tests how much of the stack is left.

use super::{Cuts, Graph, never_returns, post_order};
use crate::host::{AnsweredBy, CALLS, Call, FilesAt};
use crate::ir::{Callee, Program, Stmt, walk};
use crate::{Clock, Options, Target};
use serde::{Deserialize, Serialize};

/// The kind of a function, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colour {
    /// No entry reaches it.
    Unreached,
    /// Exists as a direct function only.
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
    /// More paths of calls lie below it than the kernel compiler can walk: see [`Target::call_paths`].
    Paths,
}

impl Colour {
    /// Exists as states, perhaps also as a direct function.
    pub fn framed(&self) -> bool {
        !matches!(self, Self::Unreached | Self::Direct)
    }

    /// Exists as states only.
    pub fn suspends(&self) -> bool {
        matches!(self, Self::Forced | Self::Remote(_) | Self::Suspends(_))
    }
}

/// Where the states of a function run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// VMs wait for the host, since some reached function makes a remote call that has a request, or for their next
    /// request with the state that they have. So what writes output asks for a flush where it would fill up.
    pub remote: bool,
    /// VMs keep their state from one request to the next, so they cannot run again.
    pub keeps: bool,
    /// Where the files are, if there are some and a reached function may use them.
    pub files: FilesAt,
    /// What the colours are for.
    pub target: Target,
    /// There are no nested trampolines: every framed function exists as states only.
    flat: bool,
    /// Direct functions recurse natively, and the cut calls test how deep the native stack is.
    pub native: bool,
    /// For each world and node of the call graph: a call of it enters states and comes back.
    splits: [Vec<bool>; 2],
}

impl Colours {
    /// Colours the call graph.
    pub fn new(program: &Program, options: &Options) -> Self {
        let (force, target) = (options.force_framed, options.target);
        let graph = Graph::new(program);
        let never = never_returns(program, &graph);
        let n = program.functions.len();
        let mut of = vec![Colour::Unreached; n];
        let each = |f: &mut dyn FnMut(usize, &Stmt)| {
            for (i, function) in program.functions.iter().enumerate() {
                if let Some(body) = &function.body {
                    walk(&body.stmts, &mut |s| f(i, s));
                }
            }
        };
        let mut opens = false;
        each(&mut |_, s| opens |= matches!(s, Stmt::Ask { call, .. } if CALLS[*call].opens_files()));
        let files = if opens { options.files } else { FilesAt::Nowhere };
        let by_host = |call: usize| CALLS[call].answered_by(&target, files) == AnsweredBy::Host;
        let (mut remote, mut loops) = (false, false);
        each(&mut |_, s| {
            if let Stmt::Ask { call, .. } = s {
                remote |= by_host(*call) && CALLS[*call].has_request();
                loops |= CALLS[*call].call == Call::ServerlessInvoke;
            }
        });
        let keeps = options.keep && loops;
        let remote = remote || keeps;
        let native = options.recurses(keeps, files);
        for (i, function) in program.functions.iter().enumerate() {
            if function.body.is_some() {
                of[i] = if force { Colour::Forced } else { Colour::Direct };
            }
        }
        each(&mut |i, s| {
            if let Stmt::Ask { call, .. } = s
                && (by_host(*call) || flushes(*call, remote, keeps))
                && of[i] == Colour::Direct
            {
                of[i] = Colour::Remote(CALLS[*call].name.into());
            }
        });
        let callers = |of: &mut Vec<Colour>, is: fn(&Colour) -> bool, becomes: fn(u32) -> Colour| {
            let first = (0..n as u32).filter(|f| is(&of[*f as usize]) && !never[*f as usize]).collect();
            graph.spread(first, |f, g| {
                let direct = of[f as usize] == Colour::Direct;
                if direct {
                    of[f as usize] = becomes(g);
                }
                direct && !never[f as usize]
            });
        };
        callers(&mut of, Colour::suspends, Colour::Suspends);
        // Calls of functions that never return need no frame to come back to, so they close no cycle...
        let cycles = Cycles::new(&graph, |g| !graph.is_function(g) || !never[g as usize]);
        for (f, colour) in of.iter_mut().enumerate().filter(|(_, colour)| !native && **colour == Colour::Direct) {
            if let Some(with) = cycles.of(&graph, f) {
                *colour = Colour::Recursive(with);
            }
        }
        // ...but natively they would recurse: so such a function on a cycle is framed itself, and entered by
        // abandonment.
        let cycles = Cycles::new(&graph, |_| true);
        let never_direct = |(f, colour): &(usize, &mut Colour)| never[*f] && **colour == Colour::Direct;
        for (f, colour) in of.iter_mut().enumerate().filter(|both| !native && never_direct(both)) {
            if let Some(with) = cycles.of(&graph, f) {
                *colour = Colour::AbandonedTo(with);
            }
        }
        callers(&mut of, Colour::framed, Colour::Calls);
        if let Some(most) = target.call_paths {
            for f in many_paths(&graph, &of, most) {
                of[f as usize] = Colour::Paths;
            }
            callers(&mut of, Colour::framed, Colour::Calls);
        }
        let flat = target.call_paths.is_some();
        let abandoned = |f: u32| never[f as usize] && of[f as usize].framed();
        let cuts = Cuts::new(program, &graph, |f| {
            let colour = &of[f as usize];
            !(colour.suspends() || abandoned(f) || flat && colour.framed())
        });
        let mut colours =
            Self { of, never, graph, cuts, remote, keeps, files, target, flat, native, splits: Default::default() };
        colours.splits = [World::Upper, World::Lower].map(|world| {
            (0..colours.graph.calls.len() as u32)
                .map(|node| match colours.graph.is_function(node) {
                    true => colours.comes_back(world, node),
                    false => colours.graph.calls[node as usize].iter().any(|f| colours.comes_back(world, *f)),
                })
                .collect()
        });
        colours
    }

    /// Whether functions recurse on the device's own stack.
    pub fn recurse(&self) -> bool {
        self.native && !self.cuts.is_empty()
    }

    /// Whether a call asks for a flush where the output buffer is full, so that it suspends.
    pub fn flushes(&self, call: usize) -> bool {
        self.answered_by(call) != AnsweredBy::Host && flushes(call, self.remote, self.keeps)
    }

    /// Whether a function that is called in this world is entered as states and returns.
    fn comes_back(&self, world: World, function: u32) -> bool {
        self.in_states(world, function) && !self.never[function as usize]
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
        self.splits[world as usize][self.graph.node(callee) as usize]
    }

    /// Whether a call from states of this world enters the states of a function. In the upper world, functions that
    /// cannot suspend are called as direct ones.
    pub fn in_states(&self, world: World, function: u32) -> bool {
        match world {
            World::Upper => self.suspends(function) || self.abandoned(function),
            World::Lower => self.framed(function),
        }
    }

    /// Whether the host is asked for the time.
    pub fn asks_clock(&self) -> bool {
        self.target.clock == Clock::Asked || self.files == FilesAt::Disk
    }

    /// Who answers a host call.
    pub fn answered_by(&self, call: usize) -> AnsweredBy {
        CALLS[call].answered_by(&self.target, self.files)
    }

    /// The functions that a call may enter.
    pub fn targets<'a>(&'a self, callee: &'a Callee) -> &'a [u32] {
        match callee {
            Callee::Function(f) => std::slice::from_ref(f),
            Callee::Table { ty, .. } => &self.graph.calls[self.graph.table(*ty) as usize],
        }
    }
}

fn flushes(call: usize, remote: bool, keeps: bool) -> bool {
    remote && CALLS[call].call == Call::FdWrite || keeps && CALLS[call].call == Call::ServerlessResponse
}

/// The cycles of the call graph.
struct Cycles {
    /// By node.
    component: Vec<u32>,
    /// By component, if it is a cycle: one of its functions.
    function: Vec<Option<u32>>,
}

impl Cycles {
    fn new(graph: &Graph, keep: impl Fn(u32) -> bool) -> Self {
        let (component, cyclic) = graph.components(keep);
        let mut function = vec![None; cyclic.len()];
        for (node, component) in (0..).zip(&component).filter(|(node, _)| graph.is_function(*node)) {
            if cyclic[*component as usize] {
                function[*component as usize].get_or_insert(node);
            }
        }
        Self { component, function }
    }

    /// A function that this one lies on a cycle with, if it does: one that it calls, if possible.
    fn of(&self, graph: &Graph, f: usize) -> Option<u32> {
        let some = self.function[self.component[f] as usize]?;
        let near = |g: &&u32| graph.is_function(**g) && self.component[**g as usize] == self.component[f];
        Some(graph.calls[f].iter().find(near).copied().unwrap_or(some))
    }
}

/// The direct functions with more than so many paths of calls below them.
fn many_paths(graph: &Graph, of: &[Colour], most: u32) -> Vec<u32> {
    /// Paths through the helpers that every function calls.
    const HELPERS: u32 = 8;
    let direct = |node: u32| of.get(node as usize).is_none_or(|c| *c == Colour::Direct);
    let called = |node: u32| if direct(node) { graph.calls[node as usize].clone() } else { Vec::new() };
    let mut paths = vec![0u32; graph.calls.len()];
    // What is direct has no cycle.
    for node in post_order(paths.len(), called).into_iter().filter(|node| direct(*node)) {
        let below = graph.calls[node as usize].iter().map(|g| paths[*g as usize]);
        paths[node as usize] = below.fold(HELPERS, u32::saturating_add);
    }
    (0..of.len() as u32).filter(|f| direct(*f) && paths[*f as usize] > most).collect()
}
