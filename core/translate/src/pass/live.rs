//! Liveness of variables over the states of a framed function.

use crate::analysis::post_order;
use crate::ir::{Body, Label, State, Stmt, Var, walk};
use std::collections::HashMap;

/// A set of variables, by their numbers in [`Live`].
#[derive(Clone, PartialEq, Eq, Default)]
struct Set(Vec<u64>);

impl Set {
    fn new(vars: usize) -> Self {
        Self(vec![0; vars.div_ceil(64)])
    }
    fn insert(&mut self, v: usize) {
        self.0[v / 64] |= 1 << (v % 64);
    }
    fn remove(&mut self, v: usize) {
        self.0[v / 64] &= !(1 << (v % 64));
    }
    fn has(&self, v: usize) -> bool {
        self.0[v / 64] >> (v % 64) & 1 != 0
    }
    fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            changed |= *b & !*a != 0;
            *a |= b;
        }
        changed
    }
}

/// What is live into each state.
pub struct Live {
    states: Vec<Set>,
    /// The number of each variable that may live from one state into another.
    numbers: Vec<Option<usize>>,
    /// What is live into any state.
    anywhere: Set,
}

impl Live {
    /// Whether a variable is live into a state.
    pub fn at(&self, state: State, var: Var) -> bool {
        self.numbers[var.0 as usize].is_some_and(|v| self.states[state.0 as usize].has(v))
    }

    /// The variables that are live into any state, in order.
    pub fn anywhere(&self) -> impl Iterator<Item = Var> {
        let numbers = (0..).map(Var).zip(&self.numbers);
        numbers.filter(|(_, number)| number.is_some_and(|v| self.anywhere.has(v))).map(|(var, _)| var)
    }
}

/// The sets would need too much memory: there are too many variables for so many states, blocks and branches.
pub struct TooLarge;

/// Bits in all sets: 128 MiB.
const MAX_BITS: usize = 1 << 30;

/// Numbers the variables that may live from one state into another: the first `params`, and those that occur in two. No
/// other variable is read in its state before it is set there, since locals are set at the start of the function.
fn number(body: &Body, params: usize) -> (usize, Vec<Option<usize>>) {
    let mut count = params;
    let mut only: Vec<Option<usize>> = vec![None; body.vars.len()];
    let mut numbers: Vec<Option<usize>> = (0..body.vars.len()).map(|v| (v < params).then_some(v)).collect();
    for (i, state) in body.states.iter().enumerate() {
        let mut occurs = |var: Var| {
            let var = var.0 as usize;
            if *only[var].get_or_insert(i) != i && numbers[var].is_none() {
                numbers[var] = Some(count);
                count += 1;
            }
        };
        walk(state, &mut |s| {
            s.sets().into_iter().for_each(&mut occurs);
            s.operands().into_iter().for_each(|e| body.reads(e, &mut occurs));
        });
    }
    (count, numbers)
}

/// What is live into each state of a function of `params` parameters. Sets only grow from one round to the next, so a
/// nested loop needs no fixpoint of its own.
pub fn live_in(body: &Body, params: usize) -> Result<Live, TooLarge> {
    let count = body.states.len();
    let (n, numbers) = number(body, params);
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
        numbers: &numbers,
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
    let (states, mut anywhere) = (flow.states, flow.empty);
    states.iter().for_each(|set| _ = anywhere.join(set));
    Ok(Live { states, numbers, anywhere })
}

struct Flow<'a> {
    body: &'a Body,
    numbers: &'a [Option<usize>],
    states: Vec<Set>,
    loops: HashMap<Label, Set>,
    blocks: HashMap<Label, Set>,
    empty: Set,
    /// A set of a loop in this state grew, so the state has to be visited again.
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
        let number = |var: Var| self.numbers[var.0 as usize];
        for v in stmt.sets().into_iter().filter_map(number) {
            live.remove(v);
        }
        for expr in stmt.operands() {
            self.body.reads(expr, &mut |var| {
                if let Some(v) = number(var) {
                    live.insert(v);
                }
            });
        }
        live
    }
}
