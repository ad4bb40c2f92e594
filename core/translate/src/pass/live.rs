//! Liveness of variables over the states of a framed function.

use crate::analysis::post_order;
use crate::ir::{Body, Label, Stmt, Var, walk};
use std::collections::HashMap;

/// A set of variables.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Set(Vec<u64>);

impl Set {
    fn new(vars: usize) -> Self {
        Self(vec![0; vars.div_ceil(64)])
    }
    fn insert(&mut self, v: Var) {
        self.0[v.0 as usize / 64] |= 1 << (v.0 % 64);
    }
    fn remove(&mut self, v: Var) {
        self.0[v.0 as usize / 64] &= !(1 << (v.0 % 64));
    }
    /// Whether it holds a variable.
    pub fn has(&self, v: Var) -> bool {
        self.0[v.0 as usize / 64] >> (v.0 % 64) & 1 != 0
    }
    fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            changed |= *b & !*a != 0;
            *a |= b;
        }
        changed
    }
    /// Adds the members of another.
    pub fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.join(other);
    }
    /// Its members in order.
    pub fn iter(&self) -> impl Iterator<Item = Var> + '_ {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(i, w)| (0..64).filter(move |b| w >> b & 1 != 0).map(move |b| Var(i as u32 * 64 + b)))
    }
}

/// Too many variables for so many states, blocks and branches.
pub struct TooLarge;

/// Bits in all sets: 256 MiB.
const MAX_BITS: usize = 1 << 31;

/// What is live into each state. Sets only grow from one round to the next, so nested loops need no rounds of their own.
pub fn live_in(body: &Body) -> Result<Vec<Set>, TooLarge> {
    let (n, count) = (body.vars.len(), body.states.len());
    let mut sets = count;
    let mut successors = vec![Vec::new(); count];
    for (state, successors) in body.states.iter().zip(&mut successors) {
        walk(state, &mut |s| {
            sets += usize::from(s.ends() || !s.children().is_empty());
            successors.extend(s.next().map(|next| next.0));
        });
    }
    if sets.saturating_mul(n) > MAX_BITS {
        return Err(TooLarge);
    }
    let mut predecessors = vec![Vec::new(); count];
    for (state, successors) in successors.iter().enumerate() {
        successors.iter().for_each(|next| predecessors[*next as usize].push(state));
    }
    let order = post_order(count, |state| successors[state as usize].clone());
    let mut flow = Flow {
        body,
        states: vec![Set::new(n); count],
        loops: HashMap::new(),
        blocks: HashMap::new(),
        empty: Set::new(n),
        again: false,
    };
    let mut open = vec![true; count];
    while open.contains(&true) {
        for state in order.iter().map(|state| *state as usize) {
            if !std::mem::take(&mut open[state]) {
                continue;
            }
            let live = flow.list(&body.states[state], flow.empty.clone());
            open[state] = std::mem::take(&mut flow.again);
            if flow.states[state].join(&live) {
                predecessors[state].iter().for_each(|before| open[*before] = true);
            }
        }
    }
    Ok(flow.states)
}

struct Flow<'a> {
    body: &'a Body,
    states: Vec<Set>,
    loops: HashMap<Label, Set>,
    blocks: HashMap<Label, Set>,
    empty: Set,
    /// More lives into a loop of this state than was thought.
    again: bool,
}

impl Flow<'_> {
    fn list(&mut self, stmts: &[Stmt], after: Set) -> Set {
        stmts.iter().rev().fold(after, |live, s| self.stmt(s, live))
    }

    fn stmt(&mut self, stmt: &Stmt, after: Set) -> Set {
        let mut live = match stmt {
            Stmt::Block { label, body } => {
                self.blocks.insert(*label, after.clone());
                let live = self.list(body, after);
                self.blocks.remove(label);
                live
            }
            Stmt::Loop { label, body, .. } => {
                self.loops.entry(*label).or_insert_with(|| self.empty.clone());
                let live = self.list(body, after);
                let head = self.loops.entry(*label).or_default();
                if head.join(&live) {
                    self.again = true;
                }
                live
            }
            Stmt::Branch { label } => {
                self.blocks.get(label).or_else(|| self.loops.get(label)).unwrap_or(&self.empty).clone()
            }
            Stmt::If { then, otherwise, .. } => {
                let mut live = self.list(then, after.clone());
                live.join(&self.list(otherwise, after));
                live
            }
            Stmt::Switch { cases, default, .. } => {
                let mut live = self.list(default, after.clone());
                for (_, body) in cases {
                    live.join(&self.list(body, after.clone()));
                }
                live
            }
            _ => {
                let mut live = if stmt.ends() { self.empty.clone() } else { after };
                if let Some(next) = stmt.next() {
                    live.join(&self.states[next.0 as usize]);
                }
                live
            }
        };
        for var in stmt.sets() {
            live.remove(var);
        }
        for expr in stmt.operands() {
            self.body.reads(expr, &mut |v| live.insert(v));
        }
        live
    }
}
