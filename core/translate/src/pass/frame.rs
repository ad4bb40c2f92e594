//! Cuts a function into states.
//!
//! A *split* is a call that enters states and returns, or a remote call. A label (the end of a block or an `if`, a
//! loop's head) becomes a state exactly when a split lies inside its construct, so no statement is duplicated. Inside a
//! state control stays structured. A variable that lives into a state goes through the frame:
//!
//! ```text
//! word 0            state to return to
//! word 1..          parameters, later the results
//! then              other variables that live across states
//! ```

use super::live::{Live, TooLarge, live_in};
use crate::analysis::{Colours, World};
use crate::host::AnsweredBy;
use crate::ir::{Ask, Body, Expr, ExprId, Label, State, Stmt, Var, walk};
use crate::wasm::FuncType;
use std::collections::{BTreeSet, HashMap};
use std::vec::IntoIter;

/// Cuts `body` into states.
///
/// # Errors
/// Finding out which variables live across its states would need too much memory.
pub fn run(body: &mut Body, ty: &FuncType, colours: &Colours, world: World, at: u32) -> Result<(), TooLarge> {
    let stmts = std::mem::take(&mut body.stmts);
    let (marks, todo) = (Vec::new(), Vec::new());
    let mut cut = Cut { body, colours, world, marks, states: Vec::new(), todo, labels: HashMap::new() };
    cut.mark(&stmts);
    let entry = cut.new_state();
    let begin = vec![Stmt::Edge { head: false, at }];
    cut.todo.push(Part { state: entry, begin, rest: stmts.into_iter(), number: 0, next: None });
    while let Some(Part { state, begin, rest, number, next }) = cut.todo.pop() {
        let mut out = begin;
        cut.flow(rest, number, next, &mut out);
        // A hostile program can have a state for each two of its bytes.
        out.shrink_to_fit();
        cut.states[state.0 as usize] = out;
    }
    body.states = cut.states;
    save_and_restore(body, ty)
}

/// What is known of a statement before its function is cut into states.
struct Mark {
    /// It is a split, or a split lies inside.
    split: bool,
    /// The number of the statement behind it; statements are numbered in the order of the text.
    end: usize,
}

/// The rest of a list, which becomes a state behind `begin`.
struct Part {
    state: State,
    begin: Vec<Stmt>,
    rest: IntoIter<Stmt>,
    /// The number of the first statement in `rest`.
    number: usize,
    /// Where control goes behind the list.
    next: Option<State>,
}

struct Cut<'a> {
    body: &'a mut Body,
    colours: &'a Colours,
    world: World,
    /// By the numbers of the statements.
    marks: Vec<Mark>,
    states: Vec<Vec<Stmt>>,
    /// States to come.
    todo: Vec<Part>,
    labels: HashMap<Label, State>,
}

impl Cut<'_> {
    fn new_state(&mut self) -> State {
        self.states.push(Vec::new());
        State(self.states.len() as u32 - 1)
    }

    fn is_split(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Call { callee, .. } => self.colours.splits(self.world, callee),
            Stmt::Ask { call, .. } => self.colours.answered_by(*call) == AnsweredBy::Host || self.flushes(*call),
            _ => false,
        }
    }

    fn flushes(&self, call: usize) -> bool {
        self.colours.flushes(call)
    }

    fn mark(&mut self, stmts: &[Stmt]) -> bool {
        let mut any = false;
        for stmt in stmts {
            let number = self.marks.len();
            self.marks.push(Mark { split: false, end: 0 });
            let mut split = self.is_split(stmt);
            for child in stmt.children() {
                split |= self.mark(child);
            }
            self.marks[number] = Mark { split, end: self.marks.len() };
            any |= split;
        }
        any
    }

    /// Puts operands that must survive a suspension into variables.
    fn in_vars(&mut self, args: Vec<ExprId>, out: &mut Vec<Stmt>) -> Vec<Var> {
        args.into_iter()
            .map(|value| {
                let var = self.body.var(self.body.type_of(value));
                out.push(Stmt::Set { var, value });
                var
            })
            .collect()
    }

    fn read(&mut self, vars: &[Var]) -> Vec<ExprId> {
        vars.iter().map(|v| self.body.add(Expr::Var(*v))).collect()
    }

    /// A new state for the rest of a list.
    fn later(&mut self, begin: Vec<Stmt>, rest: IntoIter<Stmt>, number: usize, next: Option<State>) -> State {
        let state = self.new_state();
        self.todo.push(Part { state, begin, rest, number, next });
        state
    }

    /// Appends statements to the current state; every path ends in a jump. `number` is that of the first, `next` is
    /// where control goes behind the list.
    fn flow(&mut self, mut stmts: IntoIter<Stmt>, mut number: usize, next: Option<State>, out: &mut Vec<Stmt>) {
        while let Some(mut stmt) = stmts.next() {
            let Mark { split, end } = self.marks[number];
            let inside = number + 1;
            number = end;
            if !split {
                self.retarget(&mut stmt);
                let ends = stmt.ends();
                out.push(stmt);
                if ends {
                    return;
                }
                continue;
            }
            let join = |cut: &mut Self, rest: IntoIter<Stmt>| match next {
                Some(next) if rest.len() == 0 => next,
                _ => cut.later(Vec::new(), rest, end, next),
            };
            match stmt {
                Stmt::Call { callee, args, results, at } => {
                    let then = self.later(vec![Stmt::Results { vars: results }], stmts, end, next);
                    out.push(Stmt::CallFramed { callee, args, then, at });
                }
                Stmt::Ask { call, args, result, at, .. } if self.flushes(call) => {
                    let vars = self.in_vars(args, out);
                    let args = self.read(&vars);
                    let again = State(self.states.len() as u32);
                    let write = Stmt::Ask { call, args, result, how: Ask::Repeats(again), at };
                    let state = self.later(vec![write], stmts, end, next);
                    out.push(Stmt::Goto { state });
                }
                Stmt::Ask { call, args, result, at, .. } => {
                    let vars = self.in_vars(args, out);
                    let args = self.read(&vars);
                    let take = Stmt::Ask { call, args, result, how: Ask::Takes, at };
                    let then = self.later(vec![take], stmts, end, next);
                    let args = self.read(&vars);
                    out.push(Stmt::Ask { call, args, result: None, how: Ask::Suspends(then), at });
                }
                Stmt::Block { label, body } => {
                    let join = join(self, stmts);
                    self.labels.insert(label, join);
                    self.flow(body.into_iter(), inside, Some(join), out);
                }
                Stmt::Loop { label, body, at } => {
                    let join = join(self, stmts);
                    let begin = vec![Stmt::Edge { head: true, at }];
                    let head = self.later(begin, body.into_iter(), inside, Some(join));
                    self.labels.insert(label, head);
                    out.push(Stmt::Goto { state: head });
                }
                Stmt::If { cond, then, otherwise } => {
                    let join = join(self, stmts);
                    let behind = then.iter().fold(inside, |number, _| self.marks[number].end);
                    let (mut yes, mut no) = (Vec::new(), Vec::new());
                    self.flow(then.into_iter(), inside, Some(join), &mut yes);
                    self.flow(otherwise.into_iter(), behind, Some(join), &mut no);
                    out.push(Stmt::If { cond, then: yes, otherwise: no });
                }
                // The arms of a switch only set variables and jump.
                other => out.push(other),
            }
            return;
        }
        if let Some(state) = next {
            out.push(Stmt::Goto { state });
        }
    }

    /// Rewrites the branches to labels that became states, and the returns, in a statement without splits.
    fn retarget(&self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Branch { label } => {
                if let Some(state) = self.labels.get(label) {
                    *stmt = Stmt::Goto { state: *state };
                }
            }
            Stmt::Return { values } => *stmt = Stmt::ReturnFramed { values: std::mem::take(values) },
            _ => {
                for child in stmt.children_mut() {
                    for s in child {
                        self.retarget(s);
                    }
                }
            }
        }
    }
}

/// Assigns slots, and puts `Restore` and `Save` where variables enter and leave states.
fn save_and_restore(body: &mut Body, ty: &FuncType) -> Result<(), TooLarge> {
    let live = live_in(body, ty.params.len())?;
    let params = ty.params.len() as u32;
    let fixed = ty.params.len().max(ty.results.len()) as u32;
    let mut slot = 1 + fixed;
    body.slots.extend((0..params).map(|i| (Var(i), 1 + i)));
    for var in live.anywhere().filter(|var| var.0 >= params) {
        body.slots.insert(var, slot);
        slot += 1;
    }
    body.frame = slot * 8;
    let mut states = std::mem::take(&mut body.states);
    for (state, stmts) in (0..).map(State).zip(&mut states) {
        let mut mentioned = BTreeSet::new();
        let mut set = BTreeSet::new();
        walk(stmts, &mut |s| {
            set.extend(s.sets());
            for e in s.operands() {
                body.reads(e, &mut |v| {
                    mentioned.insert(v);
                });
            }
        });
        save(stmts, &live, &set);
        mentioned.extend(&set);
        let vars: Vec<Var> = mentioned.into_iter().filter(|v| live.at(state, *v)).collect();
        if !vars.is_empty() {
            // The results of a call lie in the callee's frame, which must be popped before this function's own is read.
            let first = usize::from(matches!(stmts.first(), Some(Stmt::Results { .. })));
            stmts.insert(first, Stmt::Restore { vars });
        }
    }
    body.states = states;
    Ok(())
}

fn save(stmts: &mut Vec<Stmt>, live: &Live, set: &BTreeSet<Var>) {
    let mut i = 0;
    while i < stmts.len() {
        if let Some(to) = stmts[i].next() {
            let vars: Vec<Var> = set.iter().copied().filter(|v| live.at(to, *v)).collect();
            if !vars.is_empty() {
                stmts.insert(i, Stmt::Save { vars });
                i += 1;
            }
        }
        for child in stmts[i].children_mut() {
            save(child, live, set);
        }
        i += 1;
    }
}
