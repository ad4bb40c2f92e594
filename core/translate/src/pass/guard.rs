//! Calls the usual targets of a `call_indirect` directly, where the index into the table is that of one.

use crate::ValType;
use crate::ir::{BinOp, Body, Callee, Expr, ExprId, Program, Stmt, Var};
use std::collections::BTreeMap;

/// A function that stands at more places of the table is called through it.
const MOST_PLACES: usize = 4;

/// `usual` has the functions for the call at an offset of the module, the most usual first. A table that some instruction
/// writes is left alone, since the index then does not tell the function.
pub fn run(program: &mut Program, usual: &BTreeMap<u32, Vec<u32>>) {
    if usual.is_empty() || program.table.mutable {
        return;
    }
    let types: Vec<Option<u32>> = program.functions.iter().map(|f| f.body.as_ref().map(|_| f.ty)).collect();
    let mut places: BTreeMap<u32, Vec<u32>> = usual.values().flatten().map(|f| (*f, Vec::new())).collect();
    for (place, id) in (0..).zip(&program.table.elements) {
        if let Some(places) = id.checked_sub(1).and_then(|function| places.get_mut(&function)) {
            places.push(place);
        }
    }
    places.retain(|_, places| (1..=MOST_PLACES).contains(&places.len()));
    let guards = Guards { usual, types, places };
    for body in program.functions.iter_mut().filter_map(|function| function.body.as_mut()) {
        let mut stmts = std::mem::take(&mut body.stmts);
        guards.list(&mut stmts, body);
        body.stmts = stmts;
    }
}

struct Guards<'a> {
    usual: &'a BTreeMap<u32, Vec<u32>>,
    /// The signature of each function that is reached.
    types: Vec<Option<u32>>,
    /// Where in the table each usual target is.
    places: BTreeMap<u32, Vec<u32>>,
}

impl Guards<'_> {
    /// The functions of this signature that the call at this offset usually calls, and their places in the table.
    fn find(&self, at: u32, ty: u32) -> Vec<(u32, &[u32])> {
        let fits = |f: &&u32| self.types.get(**f as usize) == Some(&Some(ty));
        let usual = self.usual.get(&at).into_iter().flatten().filter(fits);
        usual.filter_map(|f| Some((*f, &self.places.get(f)?[..]))).collect()
    }

    fn list(&self, stmts: &mut Vec<Stmt>, body: &mut Body) {
        for mut stmt in std::mem::take(stmts) {
            for child in stmt.children_mut() {
                self.list(child, body);
            }
            match stmt {
                Stmt::Call { callee: Callee::Table { ty, index }, args, results, at }
                    if let usual @ [_, ..] = &self.find(at, ty)[..] =>
                {
                    // Each expression is used once, so what all calls and tests need is in variables.
                    let mut keep = |value: ExprId| {
                        let var = body.var(body.type_of(value));
                        stmts.push(Stmt::Set { var, value });
                        var
                    };
                    let args: Vec<Var> = args.into_iter().map(&mut keep).collect();
                    let index = keep(index);
                    let call = |callee: Callee, body: &mut Body| {
                        let args = args.iter().map(|var| body.add(Expr::Var(*var))).collect();
                        Stmt::Call { callee, args, results: results.clone(), at }
                    };
                    let table = Callee::Table { ty, index: body.add(Expr::Var(index)) };
                    let mut all = call(table, body);
                    for (function, places) in usual.iter().rev() {
                        let Some(cond) = is_one_of(index, places, body) else { continue };
                        let then = vec![call(Callee::Function(*function), body)];
                        all = Stmt::If { cond, then, otherwise: vec![all] };
                    }
                    stmts.push(all);
                }
                stmt => stmts.push(stmt),
            }
        }
    }
}

fn is_one_of(index: Var, places: &[u32], body: &mut Body) -> Option<ExprId> {
    let mut any = None;
    for place in places {
        let (index, place) = (body.add(Expr::Var(index)), body.add(Expr::Const(ValType::I32, u64::from(*place))));
        let is = body.add(Expr::Binary(BinOp::I32Eq, index, place));
        any = Some(any.map_or(is, |any| body.add(Expr::Binary(BinOp::I32Or, any, is))));
    }
    any
}
