//! What is true of a variable wherever it is read: how large and how small it can be, and how many low bits are zero.

use crate::ir::{BinOp, Body, Expr, ExprId, LoadOp, Stmt, Var, walk};

/// Longest chain of definitions that is followed.
const DEPTH: u32 = 6;
/// A variable with more definitions is unknown.
const DEFINITIONS: usize = 3;

/// The definitions of each variable.
pub struct Facts {
    of: Vec<Vec<Definition>>,
}

#[derive(Clone, Copy)]
enum Definition {
    Value(ExprId),
    /// At most so much.
    Most(u64),
}

impl Facts {
    /// Reads the statement lists of a body whose first variables are parameters.
    pub fn new<'a>(body: &Body, params: usize, lists: impl Iterator<Item = &'a Vec<Stmt>>) -> Self {
        let mut of = vec![Vec::new(); body.vars.len()];
        of.iter_mut().take(params).for_each(|d| d.push(Definition::Most(u64::MAX)));
        for list in lists {
            walk(list, &mut |s| {
                for Var(v) in s.sets() {
                    let definition = match s {
                        Stmt::Set { value, .. } => Definition::Value(*value),
                        Stmt::Load { op: LoadOp::I32Load8U | LoadOp::I64Load8U, .. } => Definition::Most(0xff),
                        Stmt::Load { op: LoadOp::I32Load16U | LoadOp::I64Load16U, .. } => Definition::Most(0xffff),
                        _ => Definition::Most(u64::MAX),
                    };
                    of[v as usize].push(definition);
                }
            });
        }
        Self { of }
    }

    fn definitions(&self, v: Var) -> Option<&[Definition]> {
        self.of.get(v.0 as usize).map(Vec::as_slice).filter(|d| (1..=DEFINITIONS).contains(&d.len()))
    }

    /// An upper bound of an i32, taken as unsigned.
    pub fn most(&self, body: &Body, e: ExprId) -> u64 {
        self.bound(body, e, DEPTH).min(u64::from(u32::MAX))
    }

    fn bound(&self, body: &Body, e: ExprId, depth: u32) -> u64 {
        let top = u64::from(u32::MAX);
        let Some(depth) = depth.checked_sub(1) else { return top };
        let of = |e| self.bound(body, e, depth);
        let exact = |v: u64| if v <= top { v } else { top };
        match body.expr(e) {
            Expr::Const(_, bits) => exact(bits),
            Expr::Var(v) => self.definitions(v).map_or(top, |all| {
                let one = |d: &Definition| match d {
                    Definition::Value(e) => of(*e),
                    Definition::Most(n) => exact(*n),
                };
                all.iter().map(one).max().unwrap_or(top)
            }),
            Expr::Binary(BinOp::I32And, a, b) => of(a).min(of(b)),
            Expr::Binary(BinOp::I32Add, a, b) => exact(of(a) + of(b)),
            // At most the sum, and no more bits than the longer operand.
            Expr::Binary(BinOp::I32Or | BinOp::I32Xor, a, b) => {
                let (a, b) = (of(a), of(b));
                (a + b).min((a.max(b) + 1).next_power_of_two() - 1)
            }
            Expr::Binary(BinOp::I32Shl, a, b) => self.shift(body, b).map_or(top, |n| exact(of(a) << n)),
            Expr::Binary(BinOp::I32ShrU, a, b) => of(a) >> self.shift(body, b).unwrap_or(0),
            Expr::Binary(BinOp::I32Mul, a, b) => exact(of(a) * of(b)),
            Expr::Select { then, otherwise, .. } => of(then).max(of(otherwise)),
            _ => top,
        }
    }

    /// A lower bound of an i32, taken as unsigned.
    pub fn least(&self, body: &Body, e: ExprId) -> u64 {
        self.floor(body, e, DEPTH)
    }

    fn floor(&self, body: &Body, e: ExprId, depth: u32) -> u64 {
        let Some(less) = depth.checked_sub(1) else { return 0 };
        let of = |e| self.floor(body, e, less);
        // Where the upper bounds do not wrap around, nothing does.
        let exact = |most: u64, least: u64| if most <= u64::from(u32::MAX) { least } else { 0 };
        let most = |e| self.bound(body, e, less);
        match body.expr(e) {
            Expr::Const(_, bits) => u64::from(bits as u32),
            Expr::Var(v) => self.definitions(v).map_or(0, |all| {
                let one = |d: &Definition| if let Definition::Value(e) = d { of(*e) } else { 0 };
                all.iter().map(one).min().unwrap_or(0)
            }),
            Expr::Binary(BinOp::I32Or, a, b) => of(a).max(of(b)),
            Expr::Binary(BinOp::I32Add, a, b) => exact(most(a) + most(b), of(a) + of(b)),
            Expr::Binary(BinOp::I32Shl, a, b) => self.shift(body, b).map_or(0, |n| exact(most(a) << n, of(a) << n)),
            Expr::Binary(BinOp::I32ShrU, a, b) => self.shift(body, b).map_or(0, |n| of(a) >> n),
            Expr::Select { then, otherwise, .. } => of(then).min(of(otherwise)),
            _ => 0,
        }
    }

    /// Low bits of an i32 that are surely zero.
    pub fn zeros(&self, body: &Body, e: ExprId) -> u32 {
        self.low(body, e, DEPTH)
    }

    fn low(&self, body: &Body, e: ExprId, depth: u32) -> u32 {
        let Some(depth) = depth.checked_sub(1) else { return 0 };
        let of = |e| self.low(body, e, depth);
        match body.expr(e) {
            Expr::Const(_, bits) => (bits as u32).trailing_zeros(),
            Expr::Var(v) => self.definitions(v).map_or(0, |all| {
                let one = |d: &Definition| if let Definition::Value(e) = d { of(*e) } else { 0 };
                all.iter().map(one).min().unwrap_or(0)
            }),
            Expr::Binary(BinOp::I32And, a, b) => of(a).max(of(b)),
            Expr::Binary(BinOp::I32Add | BinOp::I32Sub | BinOp::I32Or | BinOp::I32Xor, a, b) => of(a).min(of(b)),
            Expr::Binary(BinOp::I32Shl, a, b) => (of(a) + self.shift(body, b).unwrap_or(0)).min(32),
            Expr::Binary(BinOp::I32Mul, a, b) => (of(a) + of(b)).min(32),
            Expr::Select { then, otherwise, .. } => of(then).min(of(otherwise)),
            _ => 0,
        }
    }

    fn shift(&self, body: &Body, e: ExprId) -> Option<u32> {
        if let Expr::Const(_, n) = body.expr(e) { Some(n as u32 & 31) } else { None }
    }
}
