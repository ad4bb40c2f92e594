//! Cuts a function into states.
//!
//! A *split* is a call that enters states and returns, or a remote call. A label (the end of a block or an `if`, a loop's
//! head) becomes a state exactly when a split lies inside its construct, so no statement is duplicated. Inside a state control
//! stays structured. A variable that lives into a state goes through the frame:
//!
//! ```text
//! word 0            state to return to
//! word 1..          parameters, later the results
//! then              other variables that live across states
//! ```

use super::live;
use crate::analysis::{Colours, World};
use crate::host::{CALLS, Place};
use crate::ir::{Body, Expr, ExprId, Label, State, Stmt, Var, walk};
use crate::wasm::FuncType;
use std::collections::{BTreeSet, HashMap};

/// Cuts `body` into states.
pub fn run(body: &mut Body, ty: &FuncType, colours: &Colours, world: World, at: u32) {
    let stmts = std::mem::take(&mut body.stmts);
    let mut cut = Cut { body, colours, world, states: Vec::new(), labels: HashMap::new(), heads: BTreeSet::new() };
    let entry = cut.new_state();
    let mut first = vec![Stmt::Edge { head: false, at }];
    first.extend(cut.flow(stmts, None));
    cut.states[entry.0 as usize] = first;
    let states = std::mem::take(&mut cut.states);
    body.states = states;
    save_and_restore(body, ty);
}

struct Cut<'a> {
    body: &'a mut Body,
    colours: &'a Colours,
    world: World,
    states: Vec<Vec<Stmt>>,
    labels: HashMap<Label, State>,
    /// States that are loop heads.
    heads: BTreeSet<State>,
}

impl Cut<'_> {
    fn new_state(&mut self) -> State {
        self.states.push(Vec::new());
        State(self.states.len() as u32 - 1)
    }

    fn is_split(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Call { callee, .. } => self.colours.splits(self.world, callee),
            Stmt::Host { call, .. } => CALLS[*call].place == Place::Remote || self.flushes(*call),
            _ => false,
        }
    }

    fn flushes(&self, call: usize) -> bool {
        self.colours.remote && CALLS[call].name == "fd_write"
    }

    fn has_split(&self, stmt: &Stmt) -> bool {
        let mut found = self.is_split(stmt);
        for child in stmt.children() {
            walk(child, &mut |s| found |= self.is_split(s));
        }
        found
    }

    /// Operands that must survive a suspension are put into variables.
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

    /// The statements of the current state; every path ends in a jump. `next` is where control goes behind the list.
    fn flow(&mut self, stmts: Vec<Stmt>, next: Option<State>) -> Vec<Stmt> {
        let mut out = Vec::new();
        let mut stmts = stmts.into_iter();
        while let Some(mut stmt) = stmts.next() {
            if !self.has_split(&stmt) {
                self.retarget(&mut stmt);
                let ends = stmt.ends();
                out.push(stmt);
                if ends {
                    return out;
                }
                continue;
            }
            let rest: Vec<Stmt> = stmts.collect();
            let join = |cut: &mut Self, rest: Vec<Stmt>| match next {
                Some(next) if rest.is_empty() => next,
                _ => {
                    let state = cut.new_state();
                    let stmts = cut.flow(rest, next);
                    cut.states[state.0 as usize] = stmts;
                    state
                }
            };
            match stmt {
                Stmt::Call { callee, args, results, at } => {
                    let then = self.new_state();
                    let mut stmts = vec![Stmt::Results { vars: results }];
                    stmts.extend(self.flow(rest, next));
                    self.states[then.0 as usize] = stmts;
                    out.push(Stmt::CallFramed { callee, args, then, at });
                }
                Stmt::Host { call, args, result, at } if self.flushes(call) => {
                    let vars = self.in_vars(args, &mut out);
                    let again = self.new_state();
                    let result = result.unwrap_or_else(|| self.body.var(crate::ValType::I32));
                    let args = self.read(&vars);
                    let mut stmts = vec![Stmt::Write { args, result, again, at }];
                    stmts.extend(self.flow(rest, next));
                    self.states[again.0 as usize] = stmts;
                    out.push(Stmt::Goto { state: again });
                }
                Stmt::Host { call, args, result, at } => {
                    let vars = self.in_vars(args, &mut out);
                    let then = self.new_state();
                    let args = self.read(&vars);
                    let mut stmts = vec![Stmt::Answer { call, args, result }];
                    stmts.extend(self.flow(rest, next));
                    self.states[then.0 as usize] = stmts;
                    let args = self.read(&vars);
                    out.push(Stmt::Suspend { call, args, then, at });
                }
                Stmt::Block { label, body } => {
                    let join = join(self, rest);
                    self.labels.insert(label, join);
                    out.extend(self.flow(body, Some(join)));
                }
                Stmt::Loop { label, body, at } => {
                    let join = join(self, rest);
                    let head = self.new_state();
                    self.labels.insert(label, head);
                    self.heads.insert(head);
                    let mut stmts = vec![Stmt::Edge { head: true, at }];
                    stmts.extend(self.flow(body, Some(join)));
                    self.states[head.0 as usize] = stmts;
                    out.push(Stmt::Goto { state: head });
                }
                Stmt::If { cond, then, otherwise } => {
                    let join = join(self, rest);
                    let then = self.flow(then, Some(join));
                    let otherwise = self.flow(otherwise, Some(join));
                    out.push(Stmt::If { cond, then, otherwise });
                }
                // The arms of a switch only set variables and jump.
                other => out.push(other),
            }
            return out;
        }
        if let Some(state) = next {
            out.push(Stmt::Goto { state });
        }
        out
    }

    /// Branches to labels that became states, and returns, in a statement without splits.
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
fn save_and_restore(body: &mut Body, ty: &FuncType) {
    let live = live::live_in(body);
    let params = ty.params.len() as u32;
    let fixed = ty.params.len().max(ty.results.len()) as u32;
    let mut slot = 1 + fixed;
    for i in 0..body.vars.len() as u32 {
        let var = Var(i);
        if i < params {
            body.slots.insert(var, 1 + i);
        } else if live.iter().any(|l| l.has(var)) {
            body.slots.insert(var, slot);
            slot += 1;
        }
    }
    body.frame = slot * 8;
    let mut states = std::mem::take(&mut body.states);
    for (i, stmts) in states.iter_mut().enumerate() {
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
        let vars: Vec<Var> = live[i].iter().filter(|v| mentioned.contains(v)).collect();
        if !vars.is_empty() {
            // The results of a call lie in the callee's frame, which must be popped before ours is read.
            let first = usize::from(matches!(stmts.first(), Some(Stmt::Results { .. })));
            stmts.insert(first, Stmt::Restore { vars });
        }
    }
    body.states = states;
}

fn save(stmts: &mut Vec<Stmt>, live: &[live::Set], set: &BTreeSet<Var>) {
    let mut i = 0;
    while i < stmts.len() {
        let to = match &stmts[i] {
            Stmt::Goto { state } => Some(*state),
            Stmt::CallFramed { then, .. } | Stmt::Suspend { then, .. } => Some(*then),
            Stmt::Write { again, .. } => Some(*again),
            _ => None,
        };
        if let Some(to) = to {
            let vars: Vec<Var> = live[to.0 as usize].iter().filter(|v| set.contains(v)).collect();
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
