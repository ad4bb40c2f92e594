//! Loads before stores: a processor that issues in order waits at each load whose value it needs, so loads that stand
//! between stores cost the latency of the memory each, and loads next to each other cost it once.
//!
//! A load moves up over the stores in front of it, in straight-line code. A store off another base may turn out to
//! alias the load: if the bases do not differ by a constant, that is tested once for each pair of them, and then the load
//! is repeated where it stood. Compilers do not do this: they cannot tell the addresses apart, nor know that a
//! speculative load is harmless.

use crate::ValType;
use crate::ir::{BinOp, Body, Expr, ExprId, Stmt, Var, walk};
use std::collections::HashMap;

/// How far a load moves, in statements. Bounds the time of the pass, and the registers that hold loaded values.
const REACH: usize = 96;
/// In deeper nests of loops nothing is known of what they set, so that they are not walked once for each level.
const DEEP: usize = 64;

/// Moves the loads of a body whose accesses were checked.
pub fn run(body: &mut Body) {
    let mut lists = body.take_lists();
    let mut windows = HashMap::new();
    for list in &lists {
        walk(list, &mut |s| {
            if let Stmt::Check { var, bounds: Some((low, high)), residue, .. } = s {
                let above = |bytes: u64| u32::try_from(bytes + u64::from(*residue)).unwrap_or(u32::MAX);
                windows.insert(*var, (above(*low), above(*high)));
            }
        });
    }
    let versions = vec![0; body.vars.len()];
    let mut pass = Pass { body, windows, places: HashMap::new(), versions, epoch: 0, depth: 0 };
    for list in &mut lists {
        pass.list(list);
    }
    body.put_lists(lists);
}

struct Pass<'a> {
    body: &'a mut Body,
    /// What a checked address covers: bytes above it.
    windows: HashMap<Var, (u32, u32)>,
    /// What checked addresses are. They are used in the list of their check only, and in those inside it.
    places: HashMap<Var, Place>,
    /// Numbers of the values that variables have now. In another epoch each has another value.
    versions: Vec<u32>,
    epoch: u32,
    /// Loops around the present statement.
    depth: usize,
}

/// A variable's value plus a constant.
#[derive(Clone, Copy)]
struct Place {
    root: Var,
    /// Of the variable, in an epoch.
    version: (u32, u32),
    plus: u32,
}

/// Two checked addresses, and the variable that is nonzero if what they cover overlaps.
struct Overlap {
    load: Var,
    store: Var,
    flag: Var,
}

impl Pass<'_> {
    fn list(&mut self, stmts: &mut Vec<Stmt>) {
        let mut done: Vec<Stmt> = Vec::with_capacity(stmts.len());
        // Where the present straight-line code begins, and the overlaps that were tested in it.
        let (mut begin, mut known) = (0, Vec::new());
        for mut stmt in std::mem::take(stmts) {
            self.inside(&mut stmt);
            self.passed(&stmt);
            if !stmt.straight() {
                done.push(stmt);
                (begin, known) = (done.len(), Vec::new());
                continue;
            }
            match self.up(&stmt, &done[begin..], &known) {
                Some((steps, stores)) => self.place(stmt, done.len() - steps, stores, &mut done, &mut known),
                None => done.push(stmt),
            }
        }
        *stmts = done;
    }

    /// Rewrites the statements inside a statement.
    fn inside(&mut self, stmt: &mut Stmt) {
        let repeats = matches!(stmt, Stmt::Loop { .. });
        if repeats && self.depth < DEEP {
            // At its head they have those of the iteration before.
            stmt.children().into_iter().for_each(|child| walk(child, &mut |s| self.change(s)));
        } else if repeats {
            self.epoch += 1;
        }
        self.depth += usize::from(repeats);
        stmt.children_mut().into_iter().for_each(|child| self.list(child));
        self.depth -= usize::from(repeats);
    }

    /// A statement gives variables other values.
    fn change(&mut self, stmt: &Stmt) {
        for var in stmt.sets() {
            self.versions.get_mut(var.0 as usize).into_iter().for_each(|version| *version += 1);
        }
    }

    /// A statement is passed: notes what checked addresses are, and what changes.
    fn passed(&mut self, stmt: &Stmt) {
        if let Stmt::Check { var, addr, residue, .. } = stmt {
            let sum = match self.body.expr(*addr) {
                Expr::Binary(BinOp::I32Add, a, b) => match (self.body.expr(a), self.body.expr(b)) {
                    (Expr::Var(root), Expr::Const(_, plus)) => Some((root, plus as u32)),
                    _ => None,
                },
                Expr::Var(root) => Some((root, 0)),
                _ => None,
            };
            if let Some((root, plus)) = sum {
                let version = (self.epoch, self.versions[root.0 as usize]);
                self.places.insert(*var, Place { root, version, plus: plus.wrapping_sub(*residue) });
            }
        }
        self.change(stmt);
    }

    /// How many bytes one checked address lies above another one, modulo 2^32, if that is known.
    fn above(&self, one: Var, other: Var) -> Option<u32> {
        let (one, other) = (self.places.get(&one)?, self.places.get(&other)?);
        let same = one.root == other.root && one.version == other.version;
        same.then(|| one.plus.wrapping_sub(other.plus))
    }

    /// How many statements a load can move up, and the bases of the stores on its way that may alias it. `None`: it has
    /// no reason to move.
    fn up(&self, stmt: &Stmt, before: &[Stmt], known: &[Overlap]) -> Option<(usize, Vec<Var>)> {
        let Stmt::Load { var, op, mem, .. } = stmt else { return None };
        let base = self.base(mem.addr)?;
        self.windows.get(&base)?;
        let (from, to) = (u64::from(mem.offset), u64::from(mem.offset) + u64::from(op.bytes()));
        let (mut stores, mut best) = (Vec::new(), None);
        for (steps, other) in before.iter().rev().take(REACH).enumerate() {
            let mut clash = known.iter().any(|o| o.load == base && other.sets().contains(&o.flag));
            touches(self.body, other, &mut |v, sets| {
                clash |= v == *var || (sets && (v == base || stores.contains(&v)))
            });
            if clash {
                break;
            }
            if let Stmt::Store { op, mem, .. } = other {
                let Some(at) = self.base(mem.addr).filter(|at| self.windows.contains_key(at)) else { break };
                let bytes = u64::from(op.bytes());
                match self.above(at, base).or((at == base).then_some(0)) {
                    // Also where either wraps around.
                    Some(above) => {
                        let begin = above.wrapping_add(mem.offset).wrapping_sub(from as u32);
                        if u64::from(begin) < to - from || u64::from(begin.wrapping_neg()) < bytes {
                            break;
                        }
                    }
                    None if !stores.contains(&at) => stores.push(at),
                    None => {}
                }
                best = Some((steps + 1, stores.clone()));
            } else if let Some((most, _)) = &mut best {
                *most = steps + 1;
            }
        }
        best
    }

    fn base(&self, addr: ExprId) -> Option<Var> {
        if let Expr::Var(v) = self.body.expr(addr) { Some(v) } else { None }
    }

    fn place(&mut self, load: Stmt, mut at: usize, stores: Vec<Var>, done: &mut Vec<Stmt>, known: &mut Vec<Overlap>) {
        let Stmt::Load { mem, .. } = &load else { return };
        let Some(base) = self.base(mem.addr) else { return };
        let mut again = None;
        for store in stores {
            let flag = match known.iter().find(|o| (o.load, o.store) == (base, store)) {
                Some(overlap) => overlap.flag,
                None => {
                    let value = self.overlap(base, store);
                    let flag = self.body.var(ValType::I32);
                    done.insert(at, Stmt::Set { var: flag, value });
                    at += 1;
                    known.push(Overlap { load: base, store, flag });
                    flag
                }
            };
            let flag = self.body.add(Expr::Var(flag));
            again = Some(again.map_or(flag, |all| self.body.add(Expr::Binary(BinOp::I32Or, all, flag))));
        }
        if let Some(cond) = again {
            done.push(Stmt::If { cond, then: vec![load.clone()], otherwise: Vec::new() });
        }
        done.insert(at, load);
    }

    /// `a - b < what b covers || b - a < what a covers`, where `a` and `b` are the first bytes that each covers.
    fn overlap(&mut self, a: Var, b: Var) -> ExprId {
        let begin = |pass: &mut Self, v: Var| {
            let (low, high) = pass.windows.get(&v).copied().unwrap_or_default();
            let address = pass.body.add(Expr::Var(v));
            let low_ = pass.body.add(Expr::Const(ValType::I32, low.into()));
            (pass.body.add(Expr::Binary(BinOp::I32Add, address, low_)), high.saturating_sub(low))
        };
        let within = |pass: &mut Self, x: Var, y: Var| {
            let ((x, _), (y, length)) = (begin(pass, x), begin(pass, y));
            let distance = pass.body.add(Expr::Binary(BinOp::I32Sub, x, y));
            let length = pass.body.add(Expr::Const(ValType::I32, length.into()));
            pass.body.add(Expr::Binary(BinOp::I32LtU, distance, length))
        };
        let (one, other) = (within(self, a, b), within(self, b, a));
        self.body.add(Expr::Binary(BinOp::I32Or, one, other))
    }
}

/// The variables that a statement reads, and those that it sets.
fn touches(body: &Body, stmt: &Stmt, f: &mut impl FnMut(Var, bool)) {
    walk(std::slice::from_ref(stmt), &mut |s| {
        s.operands().into_iter().for_each(|e| body.reads(e, &mut |v| f(v, false)));
        s.sets().into_iter().for_each(|v| f(v, true));
        if let Stmt::Store { after: Some(v), .. } = s {
            f(*v, false);
        }
    });
}
