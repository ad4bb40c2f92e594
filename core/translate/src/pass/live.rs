//! Liveness of variables over the states of a framed function.

use crate::ir::{Body, Label, Stmt, Var};
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
    /// Its members in order.
    pub fn iter(&self) -> impl Iterator<Item = Var> + '_ {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(i, w)| (0..64).filter(move |b| w >> b & 1 != 0).map(move |b| Var(i as u32 * 64 + b)))
    }
}

/// What is live into each state. Sets only grow from one round to the next, so nested loops need no rounds of their own.
pub fn live_in(body: &Body) -> Vec<Set> {
    let n = body.vars.len();
    let mut flow = Flow {
        body,
        states: vec![Set::new(n); body.states.len()],
        loops: HashMap::new(),
        blocks: HashMap::new(),
        empty: Set::new(n),
        changed: true,
    };
    while flow.changed {
        flow.changed = false;
        for (i, state) in body.states.iter().enumerate().rev() {
            let live = flow.list(state, flow.empty.clone());
            flow.changed |= flow.states[i].join(&live);
        }
    }
    flow.states
}

struct Flow<'a> {
    body: &'a Body,
    states: Vec<Set>,
    loops: HashMap<Label, Set>,
    blocks: HashMap<Label, Set>,
    empty: Set,
    changed: bool,
}

impl Flow<'_> {
    fn list(&mut self, stmts: &[Stmt], after: Set) -> Set {
        stmts.iter().rev().fold(after, |live, s| self.stmt(s, live))
    }

    fn stmt(&mut self, stmt: &Stmt, after: Set) -> Set {
        let mut live = match stmt {
            Stmt::Block { label, body } => {
                self.blocks.insert(*label, after.clone());
                self.list(body, after)
            }
            Stmt::Loop { label, body, .. } => {
                self.loops.entry(*label).or_insert_with(|| self.empty.clone());
                let live = self.list(body, after);
                let head = self.loops.entry(*label).or_default();
                if head.join(&live) {
                    self.changed = true;
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
            Stmt::Goto { state } => self.states[state.0 as usize].clone(),
            Stmt::CallFramed { then, .. } | Stmt::Suspend { then, .. } => self.states[then.0 as usize].clone(),
            Stmt::Write { again, .. } => {
                let mut live = after;
                live.join(&self.states[again.0 as usize]);
                live
            }
            _ if stmt.ends() => self.empty.clone(),
            _ => after,
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
