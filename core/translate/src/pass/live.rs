//! Liveness of variables: into the states of a framed function, and at the statements of one that is not yet cut.

use crate::analysis::post_order;
use crate::ir::{Body, Label, State, Stmt, Var, walk};
use std::collections::{HashMap, HashSet};

/// A set of variables: in [`Live`] by their numbers there, at [points](Points) by their own.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Set(Vec<u64>);

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
    /// Whether a variable is in it.
    pub fn has(&self, v: usize) -> bool {
        self.0.get(v / 64).is_some_and(|word| word >> (v % 64) & 1 != 0)
    }
    /// How many there are.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
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
        ends: &[],
        seen: None,
    };
    let mut open = vec![true; count];
    while open.contains(&true) {
        for state in order.iter().map(|state| *state as usize) {
            if !std::mem::take(&mut open[state]) {
                continue;
            }
            let live = flow.list(&body.states[state], 0, flow.empty.clone());
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

/// A point in a body whose statements are [numbered](number_statements).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Before this statement.
    Before(usize),
    /// Behind this statement, the last of its list.
    End(usize),
}

impl Point {
    /// The statement's number, and which of its two points it is.
    fn place(self) -> (usize, usize) {
        match self {
            Self::Before(number) => (number, 0),
            Self::End(number) => (number, 1),
        }
    }
}

/// Numbers the statements of a list in the order of the text, beginning with that of `ends.len()`; for each comes the
/// number of the statement behind it.
pub fn number_statements(stmts: &[Stmt], ends: &mut Vec<usize>) {
    for stmt in stmts {
        let number = ends.len();
        ends.push(0);
        stmt.children().into_iter().for_each(|child| number_statements(child, ends));
        ends[number] = ends.len();
    }
}

/// The number of the first statement in each list of a statement; of an empty list, of what comes behind it.
pub fn first_numbers(stmt: &Stmt, number: usize, ends: &[usize]) -> Vec<usize> {
    let mut next = number + 1;
    let behind =
        |first: usize, list: &[Stmt]| list.iter().fold(first, |number, _| ends.get(number).copied().unwrap_or(0));
    stmt.children()
        .into_iter()
        .map(|list| {
            let behind = behind(next, list);
            std::mem::replace(&mut next, behind)
        })
        .collect()
}

/// Liveness at the points of a body that is not cut into states, whose statements are numbered by `ends`.
pub struct Points<'a> {
    flow: Flow<'a>,
}

impl<'a> Points<'a> {
    /// Finds out. `numbers` gives each variable its own number.
    ///
    /// # Errors
    /// It would take too much memory or time.
    pub fn new(body: &'a Body, numbers: &'a [Option<usize>], ends: &'a [usize]) -> Result<Self, TooLarge> {
        let (mut sets, mut loops, mut deepest) = (ends.len() / 8, 0, 0);
        depth(&body.stmts, 1, &mut |stmt, depth| {
            sets += usize::from(stmt.ends() || !stmt.children().is_empty());
            loops += usize::from(matches!(stmt, Stmt::Loop { .. }));
            deepest = depth.max(deepest);
        });
        let n = numbers.len();
        if (deepest + loops).saturating_mul(n) > MAX_BITS || sets.saturating_mul(n) > MAX_COPIED {
            return Err(TooLarge);
        }
        let mut flow = Flow {
            body,
            numbers,
            states: Vec::new(),
            loops: HashMap::new(),
            blocks: HashMap::new(),
            empty: Set::new(n),
            again: true,
            ends,
            seen: None,
        };
        while std::mem::take(&mut flow.again) {
            flow.list(&body.stmts, 0, flow.empty.clone());
        }
        Ok(Self { flow })
    }

    fn see(&mut self, seen: Seen) -> Seen {
        self.flow.seen = Some(seen);
        let body = self.flow.body;
        self.flow.list(&body.stmts, 0, self.flow.empty.clone());
        self.flow.seen.take().unwrap_or_default()
    }

    /// How many variables are live at each point.
    pub fn counts(&mut self) -> Counts {
        let counts = vec![[0; 2]; self.flow.ends.len()];
        Counts(self.see(Seen { wanted: None, counts, ..Seen::default() }).counts)
    }

    /// What is live at these points.
    ///
    /// # Errors
    /// It would take too much memory.
    pub fn sets(&mut self, wanted: HashSet<Point>) -> Result<HashMap<Point, Set>, TooLarge> {
        if wanted.len().saturating_mul(self.flow.numbers.len()) > MAX_BITS {
            return Err(TooLarge);
        }
        Ok(self.see(Seen { wanted: Some(wanted), ..Seen::default() }).sets)
    }
}

/// What is kept of the sets at points.
#[derive(Default)]
struct Seen {
    /// If not all are only counted: the points whose sets are kept.
    wanted: Option<HashSet<Point>>,
    /// Of each statement: before it and at its end.
    counts: Vec<[u32; 2]>,
    sets: HashMap<Point, Set>,
}

/// How many variables are live at each point.
pub struct Counts(Vec<[u32; 2]>);

impl Counts {
    pub fn at(&self, point: Point) -> u32 {
        let (number, which) = point.place();
        self.0.get(number).map_or(0, |counts| counts[which])
    }
    pub fn most(&self) -> u32 {
        self.0.iter().flatten().copied().max().unwrap_or(0)
    }
}

impl Seen {
    fn at(&mut self, point: Point, live: &Set) {
        match &self.wanted {
            None => {
                let (number, which) = point.place();
                self.counts[number][which] = live.len();
            }
            Some(wanted) if wanted.contains(&point) => _ = self.sets.insert(point, live.clone()),
            Some(_) => {}
        }
    }
}

/// Bits that may be copied in one walk over all statements: a gigabyte.
const MAX_COPIED: usize = 1 << 33;

fn depth(stmts: &[Stmt], at: usize, f: &mut impl FnMut(&Stmt, usize)) {
    for stmt in stmts {
        f(stmt, at);
        stmt.children().into_iter().for_each(|child| depth(child, at + 1, f));
    }
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
    /// For each statement the number of the one behind it. Empty for states.
    ends: &'a [usize],
    seen: Option<Seen>,
}

impl Flow<'_> {
    fn list(&mut self, stmts: &[Stmt], first: usize, mut live: Set) -> Set {
        if self.ends.is_empty() {
            return stmts.iter().rev().fold(live, |live, s| self.stmt(s, 0, live));
        }
        let begin = |number: &mut usize, _: &Stmt| Some(std::mem::replace(number, self.ends[*number]));
        let numbers: Vec<usize> = stmts.iter().scan(first, begin).collect();
        if let (Some(seen), Some(last)) = (&mut self.seen, numbers.last()) {
            seen.at(Point::End(*last), &live);
        }
        for (stmt, number) in stmts.iter().zip(numbers).rev() {
            live = self.stmt(stmt, number, live);
            if let Some(seen) = &mut self.seen {
                seen.at(Point::Before(number), &live);
            }
        }
        live
    }

    fn stmt(&mut self, stmt: &Stmt, number: usize, after: Set) -> Set {
        let mut live = match stmt {
            Stmt::Block { label, body } => {
                self.blocks.insert(*label, after.clone());
                let live = self.list(body, number + 1, after);
                self.blocks.remove(label);
                live
            }
            Stmt::Loop { label, body, .. } => {
                self.loops.entry(*label).or_insert_with(|| self.empty.clone());
                let live = self.list(body, number + 1, after);
                let head = self.loops.entry(*label).or_default();
                if head.join(&live) {
                    self.again = true;
                }
                live
            }
            Stmt::Branch { label } => {
                self.blocks.get(label).or_else(|| self.loops.get(label)).unwrap_or(&self.empty).clone()
            }
            Stmt::If { .. } | Stmt::Switch { .. } => {
                let mut live = self.empty.clone();
                for (list, first) in stmt.children().into_iter().zip(first_numbers(stmt, number, self.ends)) {
                    live.join(&self.list(list, first, after.clone()));
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
        let numbered = |var: Var| self.numbers[var.0 as usize];
        for v in stmt.sets().into_iter().filter_map(numbered) {
            live.remove(v);
        }
        for expr in stmt.operands() {
            self.body.reads(expr, &mut |var| {
                if let Some(v) = numbered(var) {
                    live.insert(v);
                }
            });
        }
        live
    }
}
