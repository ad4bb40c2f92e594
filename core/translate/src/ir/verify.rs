//! Checks that a body is well formed: types agree; variables, labels, states and segments exist; each expression is
//! used once.

use super::{Ask, Body, Callee, Expr, ExprId, Label, Program, State, Stmt, Var};
use crate::ValType;
use crate::host::CALLS;

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

    fn set_all(&self, vars: &[Var], types: &[ValType]) -> Result<(), String> {
        if vars.len() != types.len() {
            return Err(format!("{} variables for {} results", vars.len(), types.len()));
        }
        vars.iter().zip(types).try_for_each(|(v, ty)| self.set(*v, *ty))
    }

    fn global(&self, global: u32) -> Result<ValType, String> {
        let found = self.program.globals.get(global as usize);
        found.map(|g| g.ty).ok_or_else(|| format!("no global {global}"))
    }

    fn data_segment(&self, segment: u32) -> Result<(), String> {
        match (segment as usize) < self.program.segments.len() {
            true => Ok(()),
            false => Err(format!("no data segment {segment}")),
        }
    }

    fn element_segment(&self, segment: u32) -> Result<(), String> {
        match (segment as usize) < self.program.elements.len() {
            true => Ok(()),
            false => Err(format!("no element segment {segment}")),
        }
    }

    fn state(&self, state: State) -> Result<(), String> {
        match (state.0 as usize) < self.body.states.len() {
            true => Ok(()),
            false => Err(format!("no state {}", state.0)),
        }
    }

    /// What a state does first, apart from moving its variables from and to the frame.
    fn first(&self, state: State) -> Result<Option<&Stmt>, String> {
        self.state(state)?;
        Ok(self.body.states[state.0 as usize].iter().find(|s| !matches!(s, Stmt::Restore { .. } | Stmt::Save { .. })))
    }

    fn host(&mut self, call: usize, args: &[ExprId]) -> Result<(), String> {
        let call = CALLS.get(call).ok_or_else(|| format!("no host call {call}"))?;
        self.want_all(args, &call.signature().params)
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
        let ty = program.types.get(ty as usize).ok_or_else(|| format!("no signature {ty}"))?;
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
            Stmt::GetGlobal { var, global } => self.set(*var, self.global(*global)?),
            Stmt::SetGlobal { global, value } => {
                let ty = self.global(*global)?;
                self.want(*value, ty)
            }
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
            Stmt::MemoryFill { to, value: middle, length, .. } | Stmt::MemoryCopy { to, from: middle, length, .. } => {
                self.want_all(&[*to, *middle, *length], &[I32; 3])
            }
            Stmt::TableCopy { to, from, length, .. } => self.want_all(&[*to, *from, *length], &[I32; 3]),
            Stmt::MemoryInit { segment, to, from, length, .. } => {
                self.data_segment(*segment)?;
                self.want_all(&[*to, *from, *length], &[I32; 3])
            }
            Stmt::TableInit { segment, to, from, length, .. } => {
                self.element_segment(*segment)?;
                self.want_all(&[*to, *from, *length], &[I32; 3])
            }
            Stmt::DataDrop { segment } => self.data_segment(*segment),
            Stmt::ElemDrop { segment } => self.element_segment(*segment),
            Stmt::Ask { call, args, result, how, .. } => {
                self.host(*call, args)?;
                if result.is_some() && CALLS[*call].signature().results.is_empty() {
                    return Err(format!("{} has no result", CALLS[*call].name));
                }
                result.iter().try_for_each(|v| self.set(*v, I32))?;
                let goes_on = |state: State, wanted: fn(&Ask) -> bool| {
                    let there = self.first(state)?;
                    Ok::<_, String>(
                        matches!(there, Some(Stmt::Ask { call: there, how, .. }) if there == call && wanted(how)),
                    )
                };
                match *how {
                    Ask::Suspends(then) if result.is_some() || !goes_on(then, |how| *how == Ask::Takes)? => {
                        Err(format!("state {} does not take the answer of {}", then.0, CALLS[*call].name))
                    }
                    Ask::Repeats(again) if !goes_on(again, |how| matches!(how, Ask::Repeats(_)))? => {
                        Err(format!("state {} does not repeat the write", again.0))
                    }
                    _ => Ok(()),
                }
            }
            Stmt::Call { callee, args, results, .. } | Stmt::CallNested { callee, args, results, .. } => {
                let types = self.call(callee, args)?;
                self.set_all(results, &types)
            }
            Stmt::CallFramed { callee, args, then, .. } => {
                let types = self.call(callee, args)?;
                self.state(*then)?;
                match self.body.states[then.0 as usize].first() {
                    Some(Stmt::Results { vars }) => self.set_all(vars, &types),
                    _ => Err(format!("state {} does not take a call's results", then.0)),
                }
            }
            // Their types are the callee's, which is looked at where it is called.
            Stmt::Results { vars } => vars.iter().try_for_each(|v| self.var(*v).map(drop)),
            Stmt::Abandon { function, args, .. } => self.call(&Callee::Function(*function), args).map(drop),
            Stmt::Block { label, body } | Stmt::Loop { label, body, .. } => self.inside(*label, body),
            Stmt::If { cond, then, otherwise } => {
                self.want(*cond, I32)?;
                self.list(then)?;
                self.list(otherwise)
            }
            Stmt::Branch { label } => match self.labels.contains(label) {
                true => Ok(()),
                false => Err(format!("a branch to label {} from outside", label.0)),
            },
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
            Stmt::Goto { state } => self.state(*state),
            Stmt::Restore { vars } | Stmt::Save { vars } => {
                match vars.iter().find(|v| !self.body.slots.contains_key(v)) {
                    Some(v) => Err(format!("variable {} has no slot", v.0)),
                    None => Ok(()),
                }
            }
            Stmt::Trap { .. } | Stmt::Edge { .. } => Ok(()),
        }
    }
}
