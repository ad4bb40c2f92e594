//! Makes f32 NaNs canonical where a program can see their bits, and only there.
//!
//! NVIDIA's f32 units give a NaN that the spec does not allow. Between two operations its bits do not matter, so a sum
//! of products is made canonical once, where it is stored, passed on or returned, and not at all if it is only
//! compared.

use crate::ValType;
use crate::ir::{BinOp, Body, Expr, ExprId, Stmt, TrapOp, UnOp, Var, walk};

/// Wraps the f32 operations of a body whose result bits can be seen.
pub fn run(body: &mut Body) {
    if !body.exprs.iter().any(|e| arithmetic(*e)) {
        return;
    }
    let mut uses = Vec::new();
    for list in body.states.iter().chain([&body.stmts]) {
        walk(list, &mut |s| match s {
            Stmt::Set { var, value } => visit(body, *value, Shows::If(*var), &mut uses),
            Stmt::Trapping { op: TrapOp::I32TruncF32S | TrapOp::I32TruncF32U, a, .. }
            | Stmt::Trapping { op: TrapOp::I64TruncF32S | TrapOp::I64TruncF32U, a, .. } => {
                visit(body, *a, Shows::Never, &mut uses)
            }
            _ => s.operands().into_iter().for_each(|e| visit(body, e, Shows::Always, &mut uses)),
        });
    }
    let shown = shown(body, &uses);
    for (e, shows) in uses {
        let expr = body.expr(e);
        let here = match shows {
            Shows::Always => true,
            Shows::If(Var(v)) => shown[v as usize],
            Shows::Never => false,
        };
        if here && arithmetic(expr) {
            let value = body.add(expr);
            body.exprs[e.0 as usize] = Expr::Canonical(value);
        }
    }
}

/// Whether the bits of a value can be seen.
#[derive(Clone, Copy)]
enum Shows {
    Never,
    Always,
    /// If those of this variable can.
    If(Var),
}

/// The variables whose bits can be seen.
fn shown(body: &Body, uses: &[(ExprId, Shows)]) -> Vec<bool> {
    let mut shown = vec![false; body.vars.len()];
    let (mut from, mut work) = (vec![Vec::new(); body.vars.len()], Vec::new());
    for (e, shows) in uses {
        if let Expr::Var(read) = body.expr(*e) {
            match shows {
                Shows::Never => {}
                Shows::Always => work.push(read),
                Shows::If(Var(v)) => from[*v as usize].push(read),
            }
        }
    }
    while let Some(Var(v)) = work.pop() {
        if !std::mem::replace(&mut shown[v as usize], true) {
            work.append(&mut from[v as usize]);
        }
    }
    shown
}

/// An operation whose NaN is the device's own.
fn arithmetic(expr: Expr) -> bool {
    use BinOp::*;
    matches!(expr, Expr::Binary(F32Add | F32Sub | F32Mul | F32Div, ..) | Expr::Unary(UnOp::F32Sqrt, _))
}

/// Lists the f32 operations and variables in an expression, each with whether its bits can be seen.
fn visit(body: &Body, e: ExprId, shows: Shows, uses: &mut Vec<(ExprId, Shows)>) {
    use BinOp::{F32Eq, F32Ge, F32Gt, F32Le, F32Lt, F32Max, F32Min, F32Ne};
    use UnOp::*;
    let expr = body.expr(e);
    let inside = match expr {
        _ if arithmetic(expr) => Shows::Never,
        Expr::Binary(F32Eq | F32Ne | F32Lt | F32Gt | F32Le | F32Ge, ..) => Shows::Never,
        Expr::Unary(I32TruncSatF32S | I32TruncSatF32U | I64TruncSatF32S | I64TruncSatF32U, _) => Shows::Never,
        Expr::Unary(F32Abs | F32Neg | F32Ceil | F32Floor | F32Trunc | F32Nearest, _) => shows,
        Expr::Binary(F32Min | F32Max, ..) | Expr::Select { .. } => shows,
        _ => Shows::Always,
    };
    match expr {
        Expr::Const(..) => {}
        Expr::Var(Var(v)) if body.vars[v as usize] == ValType::F32 => uses.push((e, shows)),
        Expr::Var(_) => {}
        Expr::Unary(_, a) | Expr::Canonical(a) => visit(body, a, inside, uses),
        Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|e| visit(body, e, inside, uses)),
        Expr::Select { cond, then, otherwise } => {
            visit(body, cond, Shows::Always, uses);
            [then, otherwise].into_iter().for_each(|e| visit(body, e, inside, uses));
        }
    }
    if arithmetic(expr) {
        uses.push((e, shows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Access, StoreOp};

    /// `a * a + a` in a body whose variables are f32.
    fn sum(body: &mut Body, a: Var) -> ExprId {
        let [x, y, z] = [0; 3].map(|_| body.add(Expr::Var(a)));
        let product = body.add(Expr::Binary(BinOp::F32Mul, x, y));
        body.add(Expr::Binary(BinOp::F32Add, product, z))
    }

    fn canonical(body: &Body) -> Vec<Expr> {
        let wrapped = |e: &Expr| if let Expr::Canonical(a) = e { Some(body.expr(*a)) } else { None };
        body.exprs.iter().filter_map(wrapped).collect()
    }

    #[test]
    fn a_sum_of_products_is_made_canonical_once_where_it_is_stored() {
        let mut body = Body { vars: vec![ValType::F32; 3], ..Default::default() };
        let (a, b, c) = (Var(0), Var(1), Var(2));
        let first = sum(&mut body, a);
        let copy = body.add(Expr::Var(b));
        let seen = body.add(Expr::Var(c));
        let addr = body.add(Expr::Const(ValType::I32, 0));
        let mem = Access { addr, offset: 0, align: 4, checked: true, shared: false };
        body.stmts = vec![
            Stmt::Set { var: b, value: first },
            Stmt::Set { var: c, value: copy },
            Stmt::Store { op: StoreOp::F32Store, mem, value: seen, after: None, at: 0 },
        ];
        run(&mut body);
        assert!(matches!(canonical(&body)[..], [Expr::Binary(BinOp::F32Add, ..)]), "{body:?}");
    }

    #[test]
    fn what_is_only_compared_stays_as_the_device_has_it() {
        let mut body = Body { vars: vec![ValType::F32; 2], ..Default::default() };
        let value = sum(&mut body, Var(0));
        let [x, y] = [0; 2].map(|_| body.add(Expr::Var(Var(1))));
        let cond = body.add(Expr::Binary(BinOp::F32Lt, x, y));
        body.stmts = vec![Stmt::Set { var: Var(1), value }, Stmt::If { cond, then: vec![], otherwise: vec![] }];
        run(&mut body);
        assert!(canonical(&body).is_empty(), "{body:?}");
    }
}
