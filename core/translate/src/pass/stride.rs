//! Moves checks out of loops: those of addresses that grow or shrink by a constant in each iteration are made once for
//! many iterations.
//!
//! In front of a loop without calls stands `Stmt::Strides`. It computes for how many iterations all such addresses stay
//! in memory, and tests whether they are aligned; after so many iterations the loop comes back to it. An address that
//! is out of memory in the next iteration then counts as a bad access before the access happens. So a check only moves
//! if each iteration reaches it, past nothing but values and other accesses. Checks of stores stay where they are: on
//! an H200, 32 stores of an iteration that wait for no check crowd the memory system (scrypt with cells of 32 bytes: 28
//! ms become 47).

use crate::ValType;
use crate::ir::{BinOp, Body, Expr, ExprId, Label, Stmt, Stride, Var, walk};
use std::collections::{BTreeSet, HashMap};

/// Longest chain of definitions that is followed.
const DEPTH: u32 = 8;
/// Most strides of a loop: each costs a division, and registers, where the loop is entered.
const MOST: usize = 8;
/// Addresses that are at most so many bytes apart share a stride.
const APART: u32 = 4096;

/// Moves the checks of a body whose accesses were checked.
pub fn run(body: &mut Body, initial: u64) {
    let mut lists = body.take_lists();
    for list in &mut lists {
        loops(body, initial, list);
    }
    body.put_lists(lists);
}

fn loops(body: &mut Body, initial: u64, stmts: &mut [Stmt]) {
    for stmt in stmts {
        if let Stmt::Loop { label, body: stmts, .. } = stmt
            && Stmt::quiet(stmts)
        {
            one_loop(body, initial, *label, stmts);
            continue;
        }
        stmt.children_mut().into_iter().for_each(|child| loops(body, initial, child));
    }
}

/// Where each iteration sets a variable, if it does so exactly once, and to what.
#[derive(Clone, Copy)]
struct Set {
    at: usize,
    value: ExprId,
}

struct Iteration<'a> {
    body: &'a mut Body,
    /// The variables that the loop sets; `None` for one that is not set exactly once in each iteration.
    vars: HashMap<Var, Option<Set>>,
}

/// Moves the checks of one loop.
fn one_loop(body: &mut Body, initial: u64, label: Label, stmts: &mut Vec<Stmt>) {
    let sure = stmts.iter().take_while(|s| s.straight()).count();
    if !stmts[..sure].iter().any(|s| matches!(s, Stmt::Check { .. })) {
        return;
    }
    let mut vars = HashMap::new();
    for (at, stmt) in stmts.iter().enumerate() {
        walk(std::slice::from_ref(stmt), &mut |s| {
            for var in s.sets() {
                let set = match s {
                    Stmt::Set { value, .. } if !vars.contains_key(&var) && std::ptr::eq(s, stmt) => {
                        Some(Set { at, value: *value })
                    }
                    _ => None,
                };
                vars.insert(var, set);
            }
        });
    }
    // What stands behind a jump to the next iteration does not happen in every iteration.
    let starts_next = |s: &Stmt| matches!(s, Stmt::Branch { label: to } if *to == label);
    let early = stmts.iter().position(|s| {
        let mut found = false;
        walk(std::slice::from_ref(s), &mut |s| found |= starts_next(s));
        found
    });
    for set in vars.values_mut() {
        *set = set.filter(|set| early.is_none_or(|early| set.at <= early));
    }
    let mut stored = BTreeSet::new();
    walk(stmts, &mut |s| {
        if let Stmt::Store { mem, .. } = s {
            body.reads(mem.addr, &mut |v| _ = stored.insert(v));
        }
    });
    let mut pass = Iteration { body, vars };
    let mut strides = Vec::new();
    for (at, stmt) in stmts.iter_mut().enumerate().take(sure) {
        let Stmt::Check { var, addr, bounds, sure: None, align, residue } = *stmt else { continue };
        if stored.contains(&var) {
            continue;
        }
        let Some((first, step)) = pass.linear(addr, at, DEPTH) else { continue };
        let Ok(step) = i32::try_from(step) else { continue };
        if step % align as i32 != 0 {
            continue;
        }
        let (base, above) = pass.split(first);
        let new = Wanted { base, above, step, end: bounds.map(|(_, end)| end), align, residue };
        let both = strides.iter_mut().find_map(|old: &mut Wanted| {
            let same = match (old.base, base) {
                (Some(a), Some(b)) => pass.body.same(a, b),
                (a, b) => a == b,
            };
            let both = same.then(|| old.and(new, initial)).flatten()?;
            *old = both;
            Some(())
        });
        if both.is_none() {
            if strides.len() == MOST {
                continue;
            }
            strides.push(new);
        }
        let less = pass.body.add(Expr::Const(ValType::I32, residue.into()));
        let value = if residue == 0 { addr } else { pass.body.add(Expr::Binary(BinOp::I32Sub, addr, less)) };
        *stmt = Stmt::Set { var, value };
    }
    if !strides.is_empty() {
        let strides = strides.into_iter().map(|wanted| wanted.range(pass.body)).collect();
        stmts.insert(0, Stmt::Strides(strides));
    }
}

/// A stride whose address is `base + above`.
#[derive(Clone, Copy)]
struct Wanted {
    base: Option<ExprId>,
    above: i32,
    step: i32,
    end: Option<u64>,
    align: u32,
    residue: u32,
}

impl Wanted {
    /// One stride for two off the same base. It is good exactly if both are: nothing in between wraps around if both
    /// ends are in memory. As any check, it must end within the initial size.
    fn and(self, other: Self, initial: u64) -> Option<Self> {
        let (low, high) = if self.above <= other.above { (self, other) } else { (other, self) };
        let apart = high.above.abs_diff(low.above);
        if apart > APART || low.step != high.step {
            return None;
        }
        let end = match (low.end, high.end) {
            (Some(end), Some(other)) => Some(end.max(other + u64::from(apart))).filter(|end| *end <= initial)?.into(),
            (None, None) => None,
            _ => return None,
        };
        let residue = high.residue.wrapping_sub(apart) & (high.align - 1);
        let ((align, residue), (less, other)) = if low.align >= high.align {
            ((low.align, low.residue), (high.align, residue))
        } else {
            ((high.align, residue), (low.align, low.residue))
        };
        (residue & (less - 1) == other).then_some(Self { end, align, residue, ..low })
    }

    fn range(self, body: &mut Body) -> Stride {
        let above = body.add(Expr::Const(ValType::I32, u64::from(self.above as u32)));
        let addr = match self.base {
            Some(base) if self.above == 0 => base,
            Some(base) => body.add(Expr::Binary(BinOp::I32Add, base, above)),
            None => above,
        };
        Stride { addr, step: self.step, end: self.end, align: self.align, residue: self.residue }
    }
}

impl Iteration<'_> {
    /// The value of an expression at statement `at`, in terms of the variables at the start of the iteration, and what
    /// each iteration adds.
    fn linear(&mut self, e: ExprId, at: usize, depth: u32) -> Option<(ExprId, i64)> {
        let depth = depth.checked_sub(1)?;
        match self.body.expr(e) {
            Expr::Const(..) => Some((self.body.add(self.body.expr(e)), 0)),
            Expr::Var(v) => match self.vars.get(&v).copied() {
                None => Some((self.body.add(Expr::Var(v)), 0)),
                Some(None) => None,
                Some(Some(Set { at: set, value })) => match self.step(v, value) {
                    Some(step) if set >= at => Some((self.body.add(Expr::Var(v)), step)),
                    Some(step) => {
                        let (old, add) = (Expr::Var(v), Expr::Const(ValType::I32, u64::from(step as u32)));
                        let (old, add) = (self.body.add(old), self.body.add(add));
                        Some((self.body.add(Expr::Binary(BinOp::I32Add, old, add)), step))
                    }
                    None if set < at => self.linear(value, set, depth),
                    None => None,
                },
            },
            Expr::Binary(op @ (BinOp::I32Add | BinOp::I32Sub), a, b) => {
                let ((a, first), (b, second)) = (self.linear(a, at, depth)?, self.linear(b, at, depth)?);
                let step = if op == BinOp::I32Add { first.checked_add(second) } else { first.checked_sub(second) };
                Some((self.body.add(Expr::Binary(op, a, b)), step?))
            }
            Expr::Binary(BinOp::I32Shl, a, b) => {
                let Expr::Const(_, n) = self.body.expr(b) else { return None };
                let (a, step) = self.linear(a, at, depth)?;
                let b = self.body.add(self.body.expr(b));
                Some((self.body.add(Expr::Binary(BinOp::I32Shl, a, b)), step.checked_mul(1i64 << (n & 31))?))
            }
            _ => None,
        }
    }

    /// An expression without the constants that are added to it, and their sum.
    fn split(&mut self, e: ExprId) -> (Option<ExprId>, i32) {
        match self.body.expr(e) {
            Expr::Const(_, n) => (None, n as i32),
            Expr::Binary(op @ (BinOp::I32Add | BinOp::I32Sub), a, b) => {
                let ((a, first), (b, second)) = (self.split(a), self.split(b));
                let sum = if op == BinOp::I32Add { first.wrapping_add(second) } else { first.wrapping_sub(second) };
                match (a, b) {
                    (a, None) => (a, sum),
                    (None, Some(b)) if op == BinOp::I32Add => (Some(b), sum),
                    (None, Some(b)) => {
                        let zero = self.body.add(Expr::Const(ValType::I32, 0));
                        (Some(self.body.add(Expr::Binary(op, zero, b))), sum)
                    }
                    (Some(a), Some(b)) => (Some(self.body.add(Expr::Binary(op, a, b))), sum),
                }
            }
            _ => (Some(e), 0),
        }
    }

    /// What `v = value` adds to it.
    fn step(&self, v: Var, value: ExprId) -> Option<i64> {
        let Expr::Binary(op, a, b) = self.body.expr(value) else { return None };
        let constant = |e| if let Expr::Const(_, n) = self.body.expr(e) { Some(i64::from(n as i32)) } else { None };
        match op {
            BinOp::I32Add if self.body.expr(a) == Expr::Var(v) => constant(b),
            BinOp::I32Add if self.body.expr(b) == Expr::Var(v) => constant(a),
            BinOp::I32Sub if self.body.expr(a) == Expr::Var(v) => constant(b).map(|n| -n),
            _ => None,
        }
    }
}
