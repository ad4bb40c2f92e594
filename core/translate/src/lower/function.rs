//! Lowers one function body.

use super::several::{Span, Spans};
use crate::abi::TrapKind;
use crate::ir::{Access, Ask, BinOp, Body, Callee, Expr, ExprId, Label, LoadOp, Stmt, StoreOp, TrapOp, UnOp, Var};
use crate::wasm::{FuncType, Module, REFERENCES, unsupported, val_type};
use crate::{Error, ValType};
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{BlockType, FunctionBody, MemArg, MemArgTarget, Operator};

/// Larger trees are cut into temporaries: C compilers limit the nesting of parentheses (Clang: 256), and setting a
/// local searches all expressions on the operand stack.
const MAX_SIZE: u32 = 40;

/// Most unevaluated entries on the operand stack; those below them are evaluated into temporaries.
const MAX_WAITING: usize = 40;

/// Most nested blocks. Passes and the writer recurse once for each level: see [`crate::STACK`].
const MAX_NESTING: usize = 5000;

/// What lowering a function needs to know about the module.
pub struct Context<'a> {
    pub module: &'a Module<'a>,
    /// Canonical signature of each type index.
    pub canonical: &'a [u32],
    /// Host call of each imported function.
    pub host: &'a [usize],
    /// Where its memories and tables lie in the program's.
    pub spans: &'a Spans,
}

#[derive(Clone, Copy)]
struct Entry {
    expr: ExprId,
    /// Nodes of the tree.
    size: u32,
}

enum Kind {
    Function,
    Block,
    Loop,
    If { cond: ExprId },
    Else { cond: ExprId, then: Vec<Stmt> },
}

struct Frame {
    kind: Kind,
    label: Label,
    used: bool,
    /// Height of the stack below the parameters.
    height: usize,
    /// What the label receives: loop parameters, else results.
    label_vars: Vec<Var>,
    results: Vec<Var>,
    /// Parameters as they were at the start (for `else`).
    params: Vec<Entry>,
    /// Where the statements of the construct, or of its current arm, begin.
    start: usize,
    at: u32,
}

/// Lowers a function body to one that [`weighs`] at most `budget`.
pub fn lower(context: &Context<'_>, function: u32, body: &FunctionBody<'_>, budget: usize) -> Result<Body, Error> {
    let ty = context.module.signature(function);
    let mut l = Lower {
        c: context,
        function,
        body: Body::default(),
        out: Vec::new(),
        stack: Vec::new(),
        settled: 0,
        frames: Vec::new(),
        labels: 0,
        locals: 0,
        dead: None,
        budget,
    };
    for p in &ty.params {
        l.body.var(*p);
    }
    let at = body.range().start;
    for local in body.get_locals_reader()? {
        let (count, ty) = local?;
        let ty = val_type(ty, at)?;
        for _ in 0..count {
            let var = l.body.var(ty);
            let zero = l.body.add(Expr::Const(ty, 0));
            l.out.push(Stmt::Set { var, value: zero });
        }
    }
    l.locals = l.body.vars.len() as u32;
    let label = l.label();
    l.frames.push(Frame {
        kind: Kind::Function,
        label,
        used: false,
        height: 0,
        label_vars: Vec::new(),
        results: ty.results.iter().map(|_| Var(u32::MAX)).collect(),
        params: Vec::new(),
        start: 0,
        at: 0,
    });
    for op in body.get_operators_reader()?.into_iter_with_offsets() {
        let (op, at) = op?;
        l.op(&op, at as u32)?;
        l.within_budget()?;
    }
    let mut out = l.body;
    out.stmts = l.out;
    Ok(out)
}

struct Lower<'a> {
    c: &'a Context<'a>,
    function: u32,
    body: Body,
    out: Vec<Stmt>,
    stack: Vec<Entry>,
    /// So many entries at the bottom of the stack are [stable](Self::stable).
    settled: usize,
    frames: Vec<Frame>,
    labels: u32,
    /// Parameters and wasm locals: variables below this number can change while an entry waits.
    locals: u32,
    /// In code that cannot be reached: number of constructs opened in it.
    dead: Option<u32>,
    budget: usize,
}

/// Memory that a body needs, counted in expressions and variables. Each statement comes with at least one of them, or
/// with a byte of wasm.
pub fn weighs(body: &Body) -> usize {
    body.exprs.len() + body.vars.len()
}

fn malformed() -> Error {
    // The validator has passed the module, so this is a mistake of the translator; say so without a panic.
    Error::Limit("internal error: the operand stack does not match the validated module".into())
}

impl Lower<'_> {
    fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// Refuses a body over the budget: a few bytes can ask for many variables, and for jumps with many values.
    fn within_budget(&self) -> Result<(), Error> {
        if weighs(&self.body) <= self.budget {
            return Ok(());
        }
        Err(Error::Limit(format!(
            "up to function {}, the program has more variables, or jumps with more values, than a module of this size may",
            self.c.module.function_name(self.function)
        )))
    }

    fn push(&mut self, expr: Expr, size: u32) {
        let expr = self.body.add(expr);
        self.stack.push(Entry { expr, size });
        if size > MAX_SIZE {
            let top = self.stack.len() - 1;
            self.settle(top);
        }
        if self.stack.len() > self.settled + MAX_WAITING {
            self.settle(self.settled);
            self.settled += 1;
        }
    }

    fn push_var(&mut self, var: Var) {
        self.push(Expr::Var(var), 1);
    }

    fn truncate(&mut self, height: usize) {
        self.stack.truncate(height);
        self.settled = self.settled.min(height);
    }

    fn pop_entry(&mut self) -> Result<Entry, Error> {
        let entry = self.stack.pop().ok_or_else(malformed)?;
        self.settled = self.settled.min(self.stack.len());
        Ok(entry)
    }

    fn pop(&mut self) -> Result<ExprId, Error> {
        Ok(self.pop_entry()?.expr)
    }

    fn pop_many(&mut self, n: usize) -> Result<Vec<ExprId>, Error> {
        let from = self.stack.len().checked_sub(n).ok_or_else(malformed)?;
        let popped = self.stack[from..].iter().map(|e| e.expr).collect();
        self.truncate(from);
        Ok(popped)
    }

    fn temp(&mut self, ty: ValType) -> Var {
        self.body.var(ty)
    }

    /// A constant, or a temporary that is set once: can be evaluated later, and more than once.
    fn stable(&self, expr: ExprId) -> bool {
        match self.body.expr(expr) {
            Expr::Const(..) => true,
            Expr::Var(v) => v.0 >= self.locals,
            _ => false,
        }
    }

    /// Evaluates a stack entry into a temporary now.
    fn settle(&mut self, i: usize) {
        let expr = self.stack[i].expr;
        if self.stable(expr) {
            return;
        }
        let var = self.temp(self.body.type_of(expr));
        self.out.push(Stmt::Set { var, value: expr });
        self.stack[i] = Entry { expr: self.body.add(Expr::Var(var)), size: 1 };
    }

    fn settle_all(&mut self) {
        for i in self.settled..self.stack.len() {
            self.settle(i);
        }
        self.settled = self.stack.len();
    }

    /// Evaluates the entries that read a local which is about to change.
    fn settle_readers(&mut self, local: Var) {
        for i in self.settled..self.stack.len() {
            let mut reads = false;
            self.body.reads(self.stack[i].expr, &mut |v| reads |= v == local);
            if reads {
                self.settle(i);
            }
        }
    }

    /// A new handle for a constant or temporary that is used once more.
    fn again(&mut self, expr: ExprId) -> ExprId {
        let e = self.body.expr(expr);
        self.body.add(e)
    }

    fn block_type(&self, ty: BlockType, at: u32) -> Result<FuncType, Error> {
        Ok(match ty {
            BlockType::Empty => FuncType::default(),
            BlockType::Type(t) => FuncType { params: Vec::new(), results: vec![val_type(t, at.into())?] },
            BlockType::FuncType(i) => self.c.module.types[i as usize].clone(),
        })
    }

    fn enter(&mut self, ty: BlockType, kind: Kind, at: u32) -> Result<(), Error> {
        if self.frames.len() >= MAX_NESTING {
            let message = format!("blocks are nested more than {MAX_NESTING} deep");
            return Err(Error::Invalid { offset: at as usize, message });
        }
        let ty = self.block_type(ty, at)?;
        self.settle_all();
        let height = self.stack.len().checked_sub(ty.params.len()).ok_or_else(malformed)?;
        let results: Vec<Var> = ty.results.iter().map(|t| self.body.var(*t)).collect();
        let mut label_vars = results.clone();
        if matches!(kind, Kind::Loop) {
            label_vars = ty.params.iter().map(|t| self.body.var(*t)).collect();
            let values = self.pop_many(ty.params.len())?;
            for (var, value) in label_vars.iter().zip(values) {
                self.out.push(Stmt::Set { var: *var, value });
            }
            for var in label_vars.clone() {
                self.push_var(var);
            }
            // Loop parameters change on a back-edge, which is a jump: entries never outlive it.
        }
        let params = self.stack[height..].to_vec();
        let label = self.label();
        let start = self.out.len();
        self.frames.push(Frame { kind, label, used: false, height, label_vars, results, params, start, at });
        Ok(())
    }

    /// Sets variables from the top of the stack, without consuming it.
    fn assign(&mut self, vars: &[Var]) -> Result<Vec<Stmt>, Error> {
        self.within_budget()?;
        let from = self.stack.len().checked_sub(vars.len()).ok_or_else(malformed)?;
        let mut values: Vec<ExprId> = self.stack[from..].iter().map(|e| e.expr).collect();
        for value in &mut values {
            if self.stable(*value) {
                *value = self.again(*value);
            }
        }
        let mut sets = Vec::new();
        // A parallel move: loop parameters may be permuted.
        let targets: BTreeSet<Var> = vars.iter().copied().collect();
        let mut hazard = false;
        for value in &values {
            self.body.reads(*value, &mut |v| hazard |= targets.contains(&v));
        }
        if hazard && vars.len() > 1 {
            for value in &mut values {
                let var = self.temp(self.body.type_of(*value));
                sets.push(Stmt::Set { var, value: *value });
                *value = self.read(var);
            }
        }
        sets.extend(vars.iter().zip(values).map(|(var, value)| Stmt::Set { var: *var, value }));
        Ok(sets)
    }

    fn frame(&mut self, depth: u32) -> Result<&mut Frame, Error> {
        let n = self.frames.len();
        n.checked_sub(1 + depth as usize).and_then(|i| self.frames.get_mut(i)).ok_or_else(malformed)
    }

    /// The statements of a jump to the label `depth` constructs out.
    fn jump(&mut self, depth: u32) -> Result<Vec<Stmt>, Error> {
        let frame = self.frame(depth)?;
        if matches!(frame.kind, Kind::Function) {
            let n = frame.results.len();
            let from = self.stack.len().checked_sub(n).ok_or_else(malformed)?;
            let exprs: Vec<ExprId> = self.stack[from..].iter().map(|e| e.expr).collect();
            let values = exprs.into_iter().map(|e| if self.stable(e) { self.again(e) } else { e }).collect();
            return Ok(vec![Stmt::Return { values }]);
        }
        frame.used = true;
        let (label, vars) = (frame.label, frame.label_vars.clone());
        let mut stmts = self.assign(&vars)?;
        stmts.push(Stmt::Branch { label });
        Ok(stmts)
    }

    fn label_arity(&mut self, depth: u32) -> Result<usize, Error> {
        let frame = self.frame(depth)?;
        Ok(if matches!(frame.kind, Kind::Function) { frame.results.len() } else { frame.label_vars.len() })
    }

    fn read(&mut self, var: Var) -> ExprId {
        self.body.add(Expr::Var(var))
    }

    fn i32(&mut self, value: u32) -> ExprId {
        self.body.add(Expr::Const(ValType::I32, value.into()))
    }

    fn binary(&mut self, op: BinOp, a: ExprId, b: ExprId) -> ExprId {
        self.body.add(Expr::Binary(op, a, b))
    }

    /// Evaluates an operand now, so that it can be used more than once.
    fn keep(&mut self, value: ExprId) -> Var {
        let var = self.temp(self.body.type_of(value));
        self.out.push(Stmt::Set { var, value });
        var
    }

    fn trap_if(&mut self, cond: ExprId, kind: TrapKind, at: u32) {
        self.out.push(Stmt::If { cond, then: vec![Stmt::Trap { kind, at }], otherwise: Vec::new() });
    }

    /// Traps if `begin + length > size`, without overflow.
    fn check(&mut self, begin: Var, length: ExprId, size: ExprId, kind: TrapKind, at: u32) {
        let begin = self.read(begin);
        let begin = self.body.add(Expr::Unary(UnOp::I64ExtendI32U, begin));
        let end = self.binary(BinOp::I64Add, begin, length);
        let bad = self.binary(BinOp::I64GtU, end, size);
        self.trap_if(bad, kind, at);
    }

    /// The current size of one of several memories in bytes.
    fn bytes(&mut self, span: Span) -> ExprId {
        let pages = self.temp(ValType::I32);
        self.out.push(Stmt::GetGlobal { var: pages, global: span.size });
        let pages = self.read(pages);
        let pages = self.body.add(Expr::Unary(UnOp::I64ExtendI32U, pages));
        let shift = self.body.add(Expr::Const(ValType::I64, 16));
        self.binary(BinOp::I64Shl, pages, shift)
    }

    /// An access; one of several memories is checked here.
    fn access(&mut self, addr: ExprId, memarg: &MemArg, bytes: u32, at: u32) -> Access {
        let offset = memarg.offset as u32;
        let mem = Access { addr, offset, align: bytes.min(1 << memarg.align.min(3)), checked: false, shared: false };
        let MemArgTarget::Memory(memory) = memarg.target else { return mem };
        let Some(span) = self.c.spans.several(memory) else { return mem };
        let addr = self.keep(addr);
        let length = self.body.add(Expr::Const(ValType::I64, memarg.offset + u64::from(bytes)));
        let size = self.bytes(span);
        self.check(addr, length, size, TrapKind::OutOfBoundsMemory, at);
        let (addr, base) = (self.read(addr), self.i32(span.base.wrapping_add(offset)));
        Access { addr: self.binary(BinOp::I32Add, addr, base), offset: 0, ..mem }
    }

    /// The begin of a range in one of several memories, checked.
    fn range(&mut self, memory: u32, begin: ExprId, length: ExprId, at: u32) -> ExprId {
        let Some(span) = self.c.spans.several(memory) else { return begin };
        let (begin, length) = (self.keep(begin), self.again(length));
        let length = self.body.add(Expr::Unary(UnOp::I64ExtendI32U, length));
        let size = self.bytes(span);
        self.check(begin, length, size, TrapKind::OutOfBoundsMemory, at);
        let (begin, base) = (self.read(begin), self.i32(span.base));
        self.binary(BinOp::I32Add, begin, base)
    }

    /// The begin of a range in one of several tables, checked.
    fn table_range(&mut self, table: u32, begin: ExprId, length: ExprId, at: u32) -> ExprId {
        let Some((base, size)) = self.c.spans.several_tables(table) else { return begin };
        let (begin, length) = (self.keep(begin), self.again(length));
        let length = self.body.add(Expr::Unary(UnOp::I64ExtendI32U, length));
        let size = self.body.add(Expr::Const(ValType::I64, size.into()));
        self.check(begin, length, size, TrapKind::OutOfBoundsTable, at);
        let (begin, base) = (self.read(begin), self.i32(base));
        self.binary(BinOp::I32Add, begin, base)
    }

    /// Operands of a bulk instruction; with several memories or tables each can be used more than once.
    fn bulk(&mut self, several: bool) -> Result<[ExprId; 3], Error> {
        let (c, b, a) = (self.pop()?, self.pop()?, self.pop()?);
        if !several {
            return Ok([a, b, c]);
        }
        Ok([a, b, c].map(|operand| {
            let var = self.keep(operand);
            self.read(var)
        }))
    }

    /// `memory.grow` of one of several memories.
    fn grow(&mut self, span: Span) -> Result<(), Error> {
        let delta = self.pop()?;
        let delta = self.keep(delta);
        let (old, result) = (self.temp(ValType::I32), self.temp(ValType::I32));
        self.out.push(Stmt::GetGlobal { var: old, global: span.size });
        let (most, pages) = (self.i32(span.pages), self.read(old));
        let free = self.binary(BinOp::I32Sub, most, pages);
        let wanted = self.read(delta);
        let cond = self.binary(BinOp::I32GtU, wanted, free);
        let failed = self.i32(u32::MAX);
        let (pages, more) = (self.read(old), self.read(delta));
        let size = self.binary(BinOp::I32Add, pages, more);
        let value = self.read(old);
        let grow = vec![Stmt::SetGlobal { global: span.size, value: size }, Stmt::Set { var: result, value }];
        self.out.push(Stmt::If { cond, then: vec![Stmt::Set { var: result, value: failed }], otherwise: grow });
        self.push_var(result);
        Ok(())
    }

    fn die(&mut self) {
        self.dead = Some(0);
    }

    /// Ends the current arm or body: the results go to their variables.
    fn close(&mut self) -> Result<(), Error> {
        if self.dead.is_none() {
            let results = self.frames.last().ok_or_else(malformed)?.results.clone();
            let sets = self.assign(&results)?;
            self.out.extend(sets);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Some(Frame { kind: Kind::Function, .. }) = self.frames.last() {
            if self.dead.is_none() {
                let stmts = self.jump(0)?;
                self.out.extend(stmts);
            }
            self.frames.pop();
            return Ok(());
        }
        if let Some(Frame { kind: Kind::If { cond }, .. }) = self.frames.last() {
            // An `if` without `else` passes its parameters on as results.
            let cond = *cond;
            self.close()?;
            self.begin_else(cond)?;
        }
        self.close()?;
        self.dead = None;
        let frame = self.frames.pop().ok_or_else(malformed)?;
        match frame.kind {
            Kind::Loop if frame.used => {
                let body = self.out.split_off(frame.start);
                self.out.push(Stmt::Loop { label: frame.label, body, at: frame.at });
            }
            Kind::Loop => {}
            kind => {
                if let Kind::Else { cond, then } = kind {
                    let otherwise = self.out.split_off(frame.start);
                    self.out.push(Stmt::If { cond, then, otherwise });
                }
                if frame.used {
                    let body = self.out.split_off(frame.start);
                    self.out.push(Stmt::Block { label: frame.label, body });
                }
            }
        }
        self.truncate(frame.height);
        for var in frame.results {
            self.push_var(var);
        }
        Ok(())
    }

    fn call(&mut self, callee: Callee, ty: &FuncType, args: Vec<ExprId>, at: u32) {
        let results: Vec<Var> = ty.results.iter().map(|t| self.body.var(*t)).collect();
        self.out.push(Stmt::Call { callee, args, results: results.clone(), at });
        for var in results {
            self.push_var(var);
        }
    }

    fn op(&mut self, op: &Operator<'_>, at: u32) -> Result<(), Error> {
        if let Some(depth) = self.dead {
            match op {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => self.dead = Some(depth + 1),
                Operator::End if depth > 0 => self.dead = Some(depth - 1),
                Operator::End => return self.end(),
                Operator::Else if depth == 0 => return self.otherwise(),
                _ => {}
            }
            return Ok(());
        }
        if let Some(op) = UnOp::from_wasm(op) {
            let a = self.pop_entry()?;
            self.push(Expr::Unary(op, a.expr), a.size + 1);
            return Ok(());
        }
        if let Some(op) = BinOp::from_wasm(op) {
            let b = self.pop_entry()?;
            let a = self.pop_entry()?;
            self.push(Expr::Binary(op, a.expr, b.expr), a.size + b.size + 1);
            return Ok(());
        }
        if let Some(op) = TrapOp::from_wasm(op) {
            let b = if op.operands().len() == 2 { Some(self.pop()?) } else { None };
            let a = self.pop()?;
            let var = self.temp(op.result());
            self.out.push(Stmt::Trapping { var, op, a, b, at });
            self.push_var(var);
            return Ok(());
        }
        if let Some((op, memarg)) = LoadOp::from_wasm(op) {
            let addr = self.pop()?;
            let mem = self.access(addr, &memarg, op.bytes(), at);
            let var = self.temp(op.ty());
            self.out.push(Stmt::Load { var, op, mem, at });
            self.push_var(var);
            return Ok(());
        }
        if let Some((op, memarg)) = StoreOp::from_wasm(op) {
            let value = self.pop()?;
            let addr = self.pop()?;
            let mem = self.access(addr, &memarg, op.bytes(), at);
            self.out.push(Stmt::Store { op, mem, value, after: None, at });
            return Ok(());
        }
        match *op {
            Operator::Nop => {}
            Operator::Unreachable => {
                self.out.push(Stmt::Trap { kind: TrapKind::Unreachable, at });
                self.die();
            }
            Operator::Block { blockty } => self.enter(blockty, Kind::Block, at)?,
            Operator::Loop { blockty } => self.enter(blockty, Kind::Loop, at)?,
            Operator::If { blockty } => {
                let cond = self.pop()?;
                // The condition is evaluated before anything that the arms change.
                self.enter(blockty, Kind::If { cond }, at)?;
            }
            Operator::Else => self.otherwise()?,
            Operator::End => self.end()?,
            Operator::Br { relative_depth } => {
                let stmts = self.jump(relative_depth)?;
                self.out.extend(stmts);
                self.die();
            }
            Operator::BrIf { relative_depth } => {
                let cond = self.pop()?;
                let n = self.label_arity(relative_depth)?;
                // The values stay on the stack when the branch is not taken, so they are used twice.
                for i in self.stack.len().saturating_sub(n)..self.stack.len() {
                    self.settle(i);
                }
                let then = self.jump(relative_depth)?;
                self.out.push(Stmt::If { cond, then, otherwise: Vec::new() });
            }
            Operator::BrTable { ref targets } => {
                let index = self.pop()?;
                let default_depth = targets.default();
                let n = self.label_arity(default_depth)?;
                for i in self.stack.len().saturating_sub(n)..self.stack.len() {
                    self.settle(i);
                }
                let mut cases: Vec<(u32, Vec<u32>)> = Vec::new();
                let mut case_of = BTreeMap::new();
                for (i, depth) in targets.targets().enumerate() {
                    let depth = depth?;
                    if depth == default_depth {
                        continue;
                    }
                    let case = *case_of.entry(depth).or_insert_with(|| {
                        cases.push((depth, Vec::new()));
                        cases.len() - 1
                    });
                    cases[case].1.push(i as u32);
                }
                let mut arms = Vec::new();
                for (depth, values) in cases {
                    arms.push((values, self.jump(depth)?));
                }
                let default = self.jump(default_depth)?;
                self.out.push(Stmt::Switch { index, cases: arms, default });
                self.die();
            }
            Operator::Return => {
                let depth = self.frames.len() as u32 - 1;
                let stmts = self.jump(depth)?;
                self.out.extend(stmts);
                self.die();
            }
            Operator::Drop => {
                self.pop()?;
            }
            // The type is only needed for references, which are refused.
            Operator::Select | Operator::TypedSelect { .. } => {
                let cond = self.pop_entry()?;
                let otherwise = self.pop_entry()?;
                let then = self.pop_entry()?;
                let size = cond.size + otherwise.size + then.size + 1;
                self.push(Expr::Select { cond: cond.expr, then: then.expr, otherwise: otherwise.expr }, size);
            }
            Operator::LocalGet { local_index } => self.push_var(Var(local_index)),
            Operator::LocalSet { local_index } => {
                let value = self.pop()?;
                self.settle_readers(Var(local_index));
                self.out.push(Stmt::Set { var: Var(local_index), value });
            }
            Operator::LocalTee { local_index } => {
                let value = self.pop()?;
                self.settle_readers(Var(local_index));
                self.out.push(Stmt::Set { var: Var(local_index), value });
                self.push_var(Var(local_index));
            }
            Operator::GlobalGet { global_index } => {
                let global = &self.c.module.globals[global_index as usize];
                if global.mutable {
                    let var = self.temp(global.ty);
                    self.out.push(Stmt::GetGlobal { var, global: global_index });
                    self.push_var(var);
                } else {
                    self.push(Expr::Const(global.ty, global.bits), 1);
                }
            }
            Operator::GlobalSet { global_index } => {
                let value = self.pop()?;
                self.out.push(Stmt::SetGlobal { global: global_index, value });
            }
            Operator::I32Const { value } => self.push(Expr::Const(ValType::I32, u64::from(value as u32)), 1),
            Operator::I64Const { value } => self.push(Expr::Const(ValType::I64, value as u64), 1),
            Operator::F32Const { value } => self.push(Expr::Const(ValType::F32, u64::from(value.bits())), 1),
            Operator::F64Const { value } => self.push(Expr::Const(ValType::F64, value.bits()), 1),
            Operator::MemorySize { mem } => {
                let var = self.temp(ValType::I32);
                self.out.push(match self.c.spans.several(mem) {
                    Some(span) => Stmt::GetGlobal { var, global: span.size },
                    None => Stmt::MemorySize { var },
                });
                self.push_var(var);
            }
            Operator::MemoryGrow { mem } => {
                if let Some(span) = self.c.spans.several(mem) {
                    return self.grow(span);
                }
                let delta = self.pop()?;
                let var = self.temp(ValType::I32);
                self.out.push(Stmt::MemoryGrow { var, delta, at });
                self.push_var(var);
            }
            Operator::MemoryCopy { dst_mem, src_mem } => {
                let [to, from, length] = self.bulk(self.c.spans.several(0).is_some())?;
                let to = self.range(dst_mem, to, length, at);
                let from = self.range(src_mem, from, length, at);
                self.out.push(Stmt::MemoryCopy { to, from, length, at });
            }
            Operator::MemoryFill { mem } => {
                let [to, value, length] = self.bulk(self.c.spans.several(0).is_some())?;
                let to = self.range(mem, to, length, at);
                self.out.push(Stmt::MemoryFill { to, value, length, at });
            }
            Operator::MemoryInit { data_index, mem } => {
                let [to, from, length] = self.bulk(self.c.spans.several(0).is_some())?;
                let to = self.range(mem, to, length, at);
                self.out.push(Stmt::MemoryInit { segment: data_index, to, from, length, at });
            }
            Operator::DataDrop { data_index } => self.out.push(Stmt::DataDrop { segment: data_index }),
            Operator::TableCopy { dst_table, src_table } => {
                let [to, from, length] = self.bulk(self.c.spans.several_tables(0).is_some())?;
                let to = self.table_range(dst_table, to, length, at);
                let from = self.table_range(src_table, from, length, at);
                self.out.push(Stmt::TableCopy { to, from, length, at });
            }
            Operator::TableInit { elem_index, table } => {
                let [to, from, length] = self.bulk(self.c.spans.several_tables(0).is_some())?;
                let to = self.table_range(table, to, length, at);
                self.out.push(Stmt::TableInit { segment: elem_index, to, from, length, at });
            }
            Operator::ElemDrop { elem_index } => self.out.push(Stmt::ElemDrop { segment: elem_index }),
            Operator::Call { function_index } => {
                let ty = self.c.module.signature(function_index).clone();
                let args = self.pop_many(ty.params.len())?;
                match self.c.host.get(function_index as usize) {
                    Some(call) => {
                        let result = ty.results.first().map(|t| self.body.var(*t));
                        self.out.push(Stmt::Ask { call: *call, args, result, how: Ask::Here, at });
                        if let Some(var) = result {
                            self.push_var(var);
                        }
                    }
                    None => self.call(Callee::Function(self.c.module.first(function_index)), &ty, args, at),
                }
            }
            Operator::CallIndirect { type_index, table_index } => {
                let ty = self.c.module.types[type_index as usize].clone();
                let mut index = self.pop()?;
                let args = self.pop_many(ty.params.len())?;
                if let Some((base, length)) = self.c.spans.several_tables(table_index) {
                    let kept = self.keep(index);
                    let (i, length) = (self.read(kept), self.i32(length));
                    let beyond = self.binary(BinOp::I32GeU, i, length);
                    self.trap_if(beyond, TrapKind::UndefinedElement, at);
                    let (i, base) = (self.read(kept), self.i32(base));
                    index = self.binary(BinOp::I32Add, i, base);
                }
                self.call(Callee::Table { ty: self.c.canonical[type_index as usize], index }, &ty, args, at);
            }
            // Validation has let no other through.
            _ => return Err(unsupported(at.into(), REFERENCES)),
        }
        Ok(())
    }

    fn otherwise(&mut self) -> Result<(), Error> {
        self.close()?;
        let Some(Frame { kind: Kind::If { cond }, .. }) = self.frames.last() else { return Err(malformed()) };
        self.begin_else(*cond)
    }

    fn begin_else(&mut self, cond: ExprId) -> Result<(), Error> {
        let frame = self.frames.last_mut().ok_or_else(malformed)?;
        let then = self.out.split_off(frame.start);
        frame.kind = Kind::Else { cond, then };
        let (height, params) = (frame.height, frame.params.clone());
        self.truncate(height);
        self.stack.extend(params);
        self.dead = None;
        Ok(())
    }
}
