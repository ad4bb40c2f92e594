//! Checks that a body is well formed: types agree, variables and labels exist, nothing stands behind a jump unseen.

use super::{Body, Callee, Expr, ExprId, Label, Program, Stmt, Var};
use crate::ValType;

/// Checks every reached function; the error names the function and what is wrong.
pub fn verify(program: &Program) -> Result<(), String> {
    for (i, function) in program.functions.iter().enumerate() {
        for body in function.bodies() {
            let mut v =
                Verify { program, body, function: i as u32, labels: Vec::new(), uses: vec![0; body.exprs.len()] };
            for stmts in body.states.iter().chain([&body.stmts]) {
                v.list(stmts).map_err(|e| format!("function {i} ({}): {e}", function.name()))?;
            }
        }
    }
    Ok(())
}

struct Verify<'a> {
    program: &'a Program,
    body: &'a Body,
    function: u32,
    labels: Vec<Label>,
    uses: Vec<u8>,
}

impl Verify<'_> {
    fn ty(&mut self, id: ExprId) -> Result<ValType, String> {
        let expr = *self.body.exprs.get(id.0 as usize).ok_or_else(|| format!("no expression {}", id.0))?;
        Ok(match expr {
            Expr::Const(ty, _) => ty,
            Expr::Var(v) => self.var(v)?,
            Expr::Unary(op, a) => {
                self.want(a, op.operands()[0])?;
                op.result()
            }
            Expr::Binary(op, a, b) => {
                self.want(a, op.operands()[0])?;
                self.want(b, op.operands()[1])?;
                op.result()
            }
            Expr::Canonical(a) => {
                self.want(a, ValType::F32)?;
                ValType::F32
            }
            Expr::Select { cond, then, otherwise } => {
                self.want(cond, ValType::I32)?;
                let ty = self.ty(then)?;
                self.want(otherwise, ty)?;
                ty
            }
        })
    }

    fn var(&self, v: Var) -> Result<ValType, String> {
        self.body.vars.get(v.0 as usize).copied().ok_or_else(|| format!("no variable {}", v.0))
    }

    fn want(&mut self, id: ExprId, ty: ValType) -> Result<(), String> {
        let found = self.ty(id)?;
        if found != ty {
            return Err(format!("expression {} is {found:?}, not {ty:?}", id.0));
        }
        if let Some(uses) = self.uses.get_mut(id.0 as usize) {
            *uses = uses.saturating_add(1);
            if *uses > 1 && !matches!(self.body.exprs[id.0 as usize], Expr::Const(..) | Expr::Var(_)) {
                return Err(format!("expression {} is used twice", id.0));
            }
        }
        Ok(())
    }

    fn want_all(&mut self, ids: &[ExprId], types: &[ValType]) -> Result<(), String> {
        if ids.len() != types.len() {
            return Err(format!("{} operands for {}", ids.len(), types.len()));
        }
        ids.iter().zip(types).try_for_each(|(id, ty)| self.want(*id, *ty))
    }

    fn set(&self, v: Var, ty: ValType) -> Result<(), String> {
        if self.var(v)? == ty { Ok(()) } else { Err(format!("variable {} is set to a {ty:?}", v.0)) }
    }

    fn call(&mut self, callee: &Callee, args: &[ExprId]) -> Result<Vec<ValType>, String> {
        let program = self.program;
        let ty = match callee {
            Callee::Function(f) => {
                let f = program.functions.get(*f as usize).filter(|f| f.bodies().next().is_some());
                f.ok_or("a call of a function without a body")?.ty
            }
            Callee::Table { ty, index } => {
                self.want(*index, ValType::I32)?;
                *ty
            }
        };
        let ty = &program.types[ty as usize];
        self.want_all(args, &ty.params)?;
        Ok(ty.results.clone())
    }

    fn list(&mut self, stmts: &[Stmt]) -> Result<(), String> {
        stmts.iter().try_for_each(|s| self.stmt(s))
    }

    fn inside(&mut self, label: Label, body: &[Stmt]) -> Result<(), String> {
        self.labels.push(label);
        let result = self.list(body);
        self.labels.pop();
        result
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), String> {
        use ValType::I32;
        match stmt {
            Stmt::Set { var, value } => {
                let ty = self.var(*var)?;
                self.want(*value, ty)
            }
            Stmt::GetGlobal { var, global } => self.set(*var, self.program.globals[*global as usize].ty),
            Stmt::SetGlobal { global, value } => self.want(*value, self.program.globals[*global as usize].ty),
            Stmt::Load { var, op, mem, .. } => {
                self.want(mem.addr, I32)?;
                // Passes take the address to be the same behind the load.
                let mut own = false;
                self.body.reads(mem.addr, &mut |v| own |= v == *var);
                if own {
                    return Err(format!("variable {} is loaded from an address that it is in", var.0));
                }
                self.set(*var, op.ty())
            }
            Stmt::Check { var, addr, .. } => {
                self.want(*addr, I32)?;
                self.set(*var, I32)
            }
            Stmt::Unshared { addr, .. } => self.want(*addr, I32),
            Stmt::Strides(ranges) => ranges.iter().try_for_each(|r| self.want(r.addr, I32)),
            Stmt::Store { op, mem, value, after, .. } => {
                if let Some(after) = after {
                    self.set(*after, op.ty())?;
                }
                self.want(mem.addr, I32)?;
                self.want(*value, op.ty())
            }
            Stmt::Trapping { var, op, a, b, .. } => {
                let operands: Vec<ExprId> = [Some(*a), *b].into_iter().flatten().collect();
                self.want_all(&operands, op.operands())?;
                self.set(*var, op.result())
            }
            Stmt::MemorySize { var } => self.set(*var, I32),
            Stmt::MemoryGrow { var, delta, .. } => {
                self.want(*delta, I32)?;
                self.set(*var, I32)
            }
            Stmt::Call { callee, args, results, .. } | Stmt::CallNested { callee, args, results, .. } => {
                let types = self.call(callee, args)?;
                if types.len() != results.len() {
                    return Err("a call with another number of results".into());
                }
                results.iter().zip(types).try_for_each(|(v, ty)| self.set(*v, ty))
            }
            Stmt::CallFramed { callee, args, .. } => self.call(callee, args).map(drop),
            Stmt::Abandon { function, args, .. } => self.call(&Callee::Function(*function), args).map(drop),
            Stmt::Block { label, body } | Stmt::Loop { label, body, .. } => self.inside(*label, body),
            Stmt::If { cond, then, otherwise } => {
                self.want(*cond, I32)?;
                self.list(then)?;
                self.list(otherwise)
            }
            Stmt::Branch { label } if !self.labels.contains(label) => {
                Err(format!("a branch to label {} from outside", label.0))
            }
            Stmt::Switch { index, cases, default } => {
                self.want(*index, I32)?;
                cases.iter().try_for_each(|(_, body)| self.list(body))?;
                self.list(default)
            }
            Stmt::Return { values } | Stmt::ReturnFramed { values } => {
                let ty = self.program.functions[self.function as usize].ty;
                let results = self.program.types[ty as usize].results.clone();
                self.want_all(values, &results)
            }
            Stmt::Goto { state } if state.0 as usize >= self.body.states.len() => Err(format!("no state {}", state.0)),
            Stmt::Restore { vars } | Stmt::Save { vars } => {
                match vars.iter().find(|v| !self.body.slots.contains_key(v)) {
                    Some(v) => Err(format!("variable {} has no slot", v.0)),
                    None => Ok(()),
                }
            }
            other => other.operands().into_iter().try_for_each(|e| self.ty(e).map(drop)),
        }
    }
}
