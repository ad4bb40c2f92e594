//! IR to code for an interpreter.
//!
//! A function becomes rows of 16 bytes. A row is an operation, up to three slots of the function's frame, and an
//! immediate of 8 bytes:
//!
//! | bytes | |
//! |---|---|
//! | 0, 1 | operation, an index into [`Code::ops`] |
//! | 2, 3 | `d`: the slot that gets the result |
//! | 4, 5 | `a`: the slot of the first operand |
//! | 6, 7 | `b`: the slot of the second operand |
//! | 8 to 15 | immediate: a constant, or two halves |
//!
//! Slots are 8 bytes. Slot 0 holds where to return to, then come the parameters. A callee's frame begins behind the
//! caller's variables. So rows are all alike until the operation itself is at its turn, and the lanes of a warp stay
//! together but for that.
//!
//! The operations are those that the program has, so an interpreter is printed for each program
//! (`dialect/writer/interpreter.rs`), from the same text for each operator as in translated functions.

mod fuse;

use crate::abi::TrapKind;
use crate::analysis::Colours;
use crate::host::AnsweredBy;
use crate::ir::{
    BinOp, Body, Callee, Expr, ExprId, Label, LoadOp, Program, Stmt, StoreOp, TrapOp, UnOp, Use, Var, walk,
};
use crate::pass::live::{Point, Points, number_statements};
use crate::{Error, ValType};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

/// What a row does.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `d = op(a)`.
    Unary(UnOp),
    /// `d` = the number, with the bits of a NaN that the spec wants.
    Canonical,
    /// `d = op(a, b)`.
    Binary(BinOp),
    /// `d = op(a, immediate)`.
    BinaryConst(BinOp),
    /// `d` = immediate.
    Const,
    /// `d = a`.
    Move,
    /// `d = slot[low] != 0 ? a : b`.
    Select,
    /// `d = memory[a + low]`; `high` is the end of the access, which is at most the initial size of memory. The address
    /// should be a multiple of so many bytes.
    Load(LoadOp, u32),
    /// `memory[a + low] = b`; likewise.
    Store(StoreOp, u32),
    /// The same beyond the initial size.
    LoadFar(LoadOp),
    /// The same beyond the initial size.
    StoreFar(StoreOp),
    /// `d = op(a, b)`, which can trap.
    Trapping(TrapOp),
    /// `d` = the global at byte `low` of the head.
    GetGlobal,
    /// The global there = `a`.
    SetGlobal,
    /// Goes on at row `low`.
    Jump,
    /// Charges fuel.
    Charge,
    /// Charges fuel, and goes on at row `low`.
    Repeat,
    /// Goes on at row `low` if `a` is not 0.
    JumpIf,
    /// Goes on at row `low` if `a` is 0.
    JumpUnless,
    /// Goes on at row `low` if `op(a, b)`.
    JumpBinary(BinOp),
    /// Goes on at row `low` if `op(a, high)`.
    JumpBinaryConst(BinOp),
    /// Goes on at the row that the table behind this one has for `a`, at most `low`.
    Switch,
    /// Calls function `low`, whose frame begins at slot `high`; its result goes to slot `b`.
    Call,
    /// The same for element `a` of the table, of type `low`.
    CallIndirect,
    /// Returns without a value.
    Return,
    /// Returns `a`; further values are in the slots from 2 on.
    ReturnValue,
    /// Ends the VM.
    Trap(TrapKind),
    /// The entry has returned.
    Finish,
    /// Asks the host; operands are in the slots from `a` on.
    Ask(usize),
    /// `d` = the answer.
    Answer(usize),
    /// A call that writes, where the host can be asked to empty the buffer.
    Write(usize),
    /// Any other statement: its operands, of these types, are in the slots from `a` on, and it sets one variable, of the
    /// last type, or none.
    Other(Box<Stmt>, Vec<ValType>),
    /// A superinstruction: does what this row and those behind it do.
    Fused(Vec<Step>),
}

/// One row's part of a superinstruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What the row does.
    pub op: Op,
    /// For `a`, `b` and the condition of a `Select`: the earlier step that has it as its result, if one has.
    pub from: [Option<u8>; 3],
    /// Whether the result goes to the frame; else only later steps need it.
    pub saved: bool,
    /// The step whose row has to run next, if this one is left to the slow function: all results in front are saved.
    pub restart: u8,
}

impl Step {
    /// A row of its own.
    pub fn alone(op: Op) -> Self {
        let saved = op.sets();
        Self { op, from: [None; 3], saved, restart: 0 }
    }
}

impl Op {
    /// Whether `d` gets a result.
    pub fn sets(&self) -> bool {
        match self {
            Self::Unary(_)
            | Self::Canonical
            | Self::Binary(_)
            | Self::BinaryConst(_)
            | Self::Const
            | Self::Move
            | Self::Select
            | Self::Load(..)
            | Self::LoadFar(_)
            | Self::Trapping(_)
            | Self::GetGlobal
            | Self::ReturnValue
            | Self::Answer(_)
            | Self::Write(_) => true,
            Self::Other(stmt, _) => !stmt.sets().is_empty(),
            _ => false,
        }
    }

    /// Whether it reads `a`, `b`, and the slot `low`.
    pub fn reads(&self) -> [bool; 3] {
        match self {
            Self::Unary(_)
            | Self::Canonical
            | Self::BinaryConst(_)
            | Self::Move
            | Self::Load(..)
            | Self::LoadFar(_)
            | Self::SetGlobal
            | Self::JumpIf
            | Self::JumpUnless
            | Self::JumpBinaryConst(_)
            | Self::Switch
            | Self::CallIndirect
            | Self::ReturnValue => [true, false, false],
            Self::Binary(_) | Self::Store(..) | Self::StoreFar(_) | Self::JumpBinary(_) => [true, true, false],
            Self::Trapping(op) => [true, op.operands().len() > 1, false],
            Self::Select => [true, true, true],
            _ => [false; 3],
        }
    }

    /// Whether it only sets `d`, so that it may run again.
    fn repeatable(&self) -> bool {
        self.sets() && !matches!(self, Self::ReturnValue | Self::Answer(_) | Self::Write(_) | Self::Other(..))
    }

    /// Whether the loop leaves it to the slow function; `processor`: what runs it has large caches for its text.
    pub fn rare(&self, processor: bool) -> bool {
        use TrapOp::{I32DivS, I32DivU, I32RemS, I32RemU};
        match self {
            Self::Unary(UnOp::F32Sqrt | UnOp::F64Sqrt)
            | Self::Binary(BinOp::F32Div | BinOp::F64Div)
            | Self::BinaryConst(BinOp::F32Div | BinOp::F64Div) => !processor,
            Self::Trapping(I32DivS | I32DivU | I32RemS | I32RemU) => false,
            Self::Trapping(_) => !processor,
            Self::LoadFar(_)
            | Self::StoreFar(_)
            | Self::Trap(_)
            | Self::Finish
            | Self::Ask(_)
            | Self::Answer(_)
            | Self::Write(_)
            | Self::Other(..) => true,
            _ => false,
        }
    }

    /// Whether it always goes on elsewhere than at the row behind it.
    pub fn goes(&self) -> bool {
        matches!(
            self,
            Self::Jump
                | Self::Repeat
                | Self::Switch
                | Self::Call
                | Self::CallIndirect
                | Self::Return
                | Self::ReturnValue
        )
    }
}

/// The code of a program.
pub struct Code {
    /// All rows, functions in their order, then the table of functions, then for each row the offset in the module that a
    /// trap there reports, four in a row.
    pub rows: Vec<[u16; 8]>,
    /// The operations, frequent ones before rare ones, and last those that the loop leaves to the slow function.
    pub ops: Vec<Op>,
    /// How often each runs, as far as loops say.
    pub weights: Vec<u64>,
    /// First row of each function that has code; 0 for others.
    pub entries: Vec<u32>,
    /// The first row of the table of functions: for each its entry, type and slots.
    pub table: u32,
    /// The first row of the offsets.
    pub sites: u32,
    /// Slots of the largest frame.
    pub largest: u32,
}

impl Code {
    /// The rows as they lie in memory.
    pub fn bytes(&self) -> Vec<u8> {
        self.rows.iter().flatten().flat_map(|half| half.to_le_bytes()).collect()
    }
}

/// The row that ends the VM: where an entry returns to.
const FINISH: usize = 1;
/// Bytes of a row: targets are in bytes.
pub const ROW: u64 = 16;
/// A slot for rows that have no result.
const NONE: u32 = 0xffff;
/// The most operations: programs have 100 to 200, and each row looks its own up.
const MOST: usize = 1024;
/// The most statements times variables of a function in which dead zeros are looked for.
const MOST_WORK: usize = 1 << 28;
/// Rows before the first function; the numbers below are those of fixed states.
const FIRST: usize = 3;

/// Makes code of all functions; `globals` says where in the head each lies.
///
/// # Errors
/// A function has too many variables, or the code too many rows or operations.
pub fn compile(
    program: &Program,
    colours: &Colours,
    globals: &BTreeMap<u32, u32>,
    processor: bool,
) -> Result<Code, Error> {
    let mut maker = Maker { rows: Vec::new(), ops: Vec::new(), label: false };
    let finish = maker.op(Op::Finish);
    maker.rows.resize(FIRST, Row::default());
    maker.rows[FINISH].op = finish;
    let (mut entries, mut slots) = (Vec::new(), Vec::new());
    for function in &program.functions {
        let Some(body) = &function.body else {
            entries.push(0);
            slots.push(0);
            continue;
        };
        let entry = maker.rows.len();
        maker.label = true;
        let ty = &program.types[function.ty as usize];
        let used = Coder::new(&mut maker, body, ty.params.len(), globals, program.memory.initial, colours).all();
        let used = used.max(1 + ty.results.len() as u32);
        if used >= NONE {
            let name = function.name();
            return Err(Error::Limit(format!("{name} has too many variables to be interpreted: {used}")));
        }
        entries.push(entry as u32);
        slots.push(used);
    }
    let table = maker.rows.len() as u32;
    if maker.ops.len() > MOST || maker.rows.len() + program.functions.len() > 1 << 28 {
        return Err(Error::Limit("the program is too large to be interpreted".into()));
    }

    let counts = fuse::run(&mut maker.rows, &mut maker.ops, processor);
    let mut order: Vec<usize> = (0..maker.ops.len()).collect();
    order.sort_by_key(|op| (maker.ops[*op].rare(processor), Reverse(counts[*op])));
    let mut number = vec![0; order.len()];
    order.iter().enumerate().for_each(|(new, old)| number[*old] = new as u16);
    let mut rows: Vec<[u16; 8]> = Vec::with_capacity(maker.rows.len() + entries.len());
    for row in &maker.rows {
        let first = if row.data { row.op } else { number[usize::from(row.op)] };
        rows.push(pack([first, row.d, row.a, row.b], row.imm));
    }
    for (f, entry) in entries.iter().enumerate() {
        let (ty, slots) = (program.functions[f].ty, slots[f]);
        rows.push(pack(halves((ROW * u64::from(*entry)) | (u64::from(ty) << 32)), slots.into()));
    }
    let sites = rows.len() as u32;
    for four in maker.rows.chunks(4) {
        let at = |n: usize| four.get(n).map_or(0, |row| u64::from(row.at));
        rows.push(pack(halves(at(0) | (at(1) << 32)), at(2) | (at(3) << 32)));
    }
    let ops: Vec<Op> = order.iter().map(|op| maker.ops[*op].clone()).collect();
    let weights = order.iter().map(|op| counts[*op]).collect();
    Ok(Code { rows, ops, weights, entries, table, sites, largest: slots.into_iter().max().unwrap_or(0) })
}

fn halves(word: u64) -> [u16; 4] {
    [0, 16, 32, 48].map(|shift| (word >> shift) as u16)
}

fn pack(first: [u16; 4], imm: u64) -> [u16; 8] {
    let mut row = [0; 8];
    row[..4].copy_from_slice(&first);
    row[4..].copy_from_slice(&halves(imm));
    row
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    op: u16,
    d: u16,
    a: u16,
    b: u16,
    imm: u64,
    /// What a trap here reports.
    at: u32,
    /// Not an operation, but four targets.
    data: bool,
    /// Something goes here.
    label: bool,
    /// The result is read by one row, the next that reads this slot.
    once: bool,
    /// How many loops are around it.
    depth: u8,
}

struct Maker {
    rows: Vec<Row>,
    ops: Vec<Op>,
    /// The next row has a label.
    label: bool,
}

impl Maker {
    fn op(&mut self, op: Op) -> u16 {
        let ops = &mut self.ops;
        let known = ops.iter().position(|other| *other == op).or((ops.len() > MOST).then_some(MOST));
        let number = known.unwrap_or_else(|| {
            ops.push(op);
            ops.len() - 1
        });
        number as u16
    }
}

/// A label: where it is if that is known, and the rows that go there.
#[derive(Default)]
struct Place {
    row: Option<usize>,
    /// Rows, and the halfword of a table; `None`: the immediate.
    waiting: Vec<(usize, Option<usize>)>,
}

/// Makes the code of one function.
struct Coder<'a> {
    m: &'a mut Maker,
    body: &'a Body,
    globals: &'a BTreeMap<u32, u32>,
    /// Bytes of memory that are always there.
    initial: u64,
    /// How many loops are around the present statement.
    depth: u32,
    colours: &'a Colours,
    /// Slot of each variable.
    slots: Vec<u32>,
    /// Whether a variable is set in one place and read in one.
    single: Vec<bool>,
    /// How many of the first statements only set locals to zero, and which of these nobody reads.
    zeros: (usize, Vec<bool>),
    /// The first slot that no variable has.
    free: u32,
    /// The first slot that no temporary has either, at present and at most.
    top: u32,
    most: u32,
    labels: BTreeMap<Label, Place>,
    /// Loops, whose labels are jumped back to.
    loops: BTreeMap<Label, u32>,
    /// A function's own labels, for the arms of ifs.
    next: u32,
    /// What a trap in this statement reports.
    at: u32,
}

impl<'a> Coder<'a> {
    fn new(
        m: &'a mut Maker,
        body: &'a Body,
        params: usize,
        globals: &'a BTreeMap<u32, u32>,
        initial: u64,
        colours: &'a Colours,
    ) -> Self {
        let (slots, free) = allocate(body, params);
        let zeros = zeros(body);
        Self {
            m,
            body,
            globals,
            initial,
            depth: 0,
            colours,
            slots,
            single: single(body, params, &zeros),
            zeros,
            free,
            top: free,
            most: free,
            labels: BTreeMap::new(),
            loops: BTreeMap::new(),
            next: u32::MAX,
            at: 0,
        }
    }

    /// Gives the slots that a frame has.
    fn all(mut self) -> u32 {
        let body = self.body;
        let (zeros, rest) = body.stmts.split_at(self.zeros.0);
        for stmt in zeros {
            if !stmt.sets().iter().any(|var| self.zeros.1[var.0 as usize]) {
                self.stmt(stmt);
            }
        }
        self.list(rest);
        if !body.stmts.last().is_some_and(Stmt::ends) {
            self.emit(Op::Return, 0, 0, 0, 0);
        }
        self.most + 1
    }

    fn emit(&mut self, op: Op, d: u32, a: u32, b: u32, imm: u64) -> usize {
        let d = if op.sets() { d } else { NONE };
        let op = self.m.op(op);
        let (label, depth) = (std::mem::take(&mut self.m.label), self.depth.min(255) as u8);
        // Too large ones are refused by the number of slots.
        let (d, a, b) = (d as u16, a as u16, b as u16);
        self.m.rows.push(Row { op, d, a, b, imm, at: self.at, data: false, label, once: false, depth });
        self.m.rows.len() - 1
    }

    /// The same for a row that sets a variable.
    fn emit_to(&mut self, var: Var, op: Op, a: u32, b: u32, imm: u64) {
        let row = self.emit(op, self.slot(var), a, b, imm);
        self.m.rows[row].once = self.single[var.0 as usize];
    }

    fn temporary(&mut self) -> u32 {
        self.top += 1;
        self.most = self.most.max(self.top);
        self.top - 1
    }

    fn label(&mut self) -> Label {
        self.next -= 1;
        Label(self.next)
    }

    /// The row just made goes to this label.
    fn to(&mut self, label: Label) {
        let row = self.m.rows.len() - 1;
        let target = self.labels.entry(label).or_default();
        match target.row {
            Some(at) => self.m.rows[row].imm |= ROW * at as u64,
            None => target.waiting.push((row, None)),
        }
    }

    /// The label is here.
    fn here(&mut self, label: Label) {
        let at = self.m.rows.len();
        self.m.label = true;
        let target = self.labels.entry(label).or_default();
        target.row = Some(at);
        for (row, part) in std::mem::take(&mut target.waiting) {
            let row = &mut self.m.rows[row];
            match part {
                None => row.imm |= ROW * at as u64,
                Some(part) => put(row, part, ROW as u32 * at as u32),
            }
        }
    }

    fn slot(&self, var: Var) -> u32 {
        self.slots[var.0 as usize]
    }

    /// Evaluates an expression into any slot.
    fn value(&mut self, e: ExprId) -> u32 {
        match self.body.expr(e) {
            Expr::Var(v) => self.slot(v),
            _ => {
                let d = self.temporary();
                self.value_to(e, d);
                if let Some(row) = self.m.rows.last_mut() {
                    row.once = true;
                }
                d
            }
        }
    }

    fn constant(&self, e: ExprId) -> Option<u64> {
        match self.body.expr(e) {
            Expr::Const(_, bits) => Some(bits),
            _ => None,
        }
    }

    /// Evaluates an expression into this slot, which nothing is read from after the first write.
    fn value_to(&mut self, e: ExprId, d: u32) {
        let top = self.top;
        match self.body.expr(e) {
            Expr::Const(_, bits) => {
                self.emit(Op::Const, d, 0, 0, bits);
            }
            Expr::Var(v) => {
                let a = self.slot(v);
                if a != d {
                    self.emit(Op::Move, d, a, 0, 0);
                }
            }
            Expr::Unary(op, a) => {
                let a = self.value(a);
                self.emit(Op::Unary(op), d, a, 0, 0);
            }
            Expr::Canonical(a) => {
                let a = self.value(a);
                self.emit(Op::Canonical, d, a, 0, 0);
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = if self.constant(a).is_some() && commutes(op) { (b, a) } else { (a, b) };
                let first = self.value(a);
                match self.constant(b) {
                    Some(bits) => self.emit(Op::BinaryConst(op), d, first, 0, bits),
                    None => {
                        let second = self.value(b);
                        self.emit(Op::Binary(op), d, first, second, 0)
                    }
                };
            }
            Expr::Select { cond, then, otherwise } => {
                let (cond, then, otherwise) = (self.value(cond), self.value(then), self.value(otherwise));
                self.emit(Op::Select, d, then, otherwise, cond.into());
            }
        }
        self.top = top;
    }

    /// Goes to a label, forwards, if a condition is as wanted.
    fn jump_if(&mut self, cond: ExprId, wanted: bool, label: Label) {
        let top = self.top;
        match self.body.expr(cond) {
            Expr::Unary(UnOp::I32Eqz, a) => return self.jump_if(a, !wanted, label),
            Expr::Binary(op, a, b) => {
                let op = if wanted { Some(op).filter(|op| compares(*op)) } else { opposite(op) };
                if let Some(op) = op {
                    let first = self.value(a);
                    match self.constant(b) {
                        Some(bits) if op.operands()[0] == ValType::I32 => {
                            self.emit(Op::JumpBinaryConst(op), 0, first, 0, bits << 32);
                        }
                        _ => {
                            let second = self.value(b);
                            self.emit(Op::JumpBinary(op), 0, first, second, 0);
                        }
                    }
                    self.to(label);
                    self.top = top;
                    return;
                }
            }
            _ => {}
        }
        let a = self.value(cond);
        self.emit(if wanted { Op::JumpIf } else { Op::JumpUnless }, 0, a, 0, 0);
        self.to(label);
        self.top = top;
    }

    /// The immediate of an access, and whether its offset lies in the initial memory.
    fn reach(&self, offset: u32, bytes: u32) -> (bool, u64) {
        let end = u64::from(offset) + u64::from(bytes);
        (end <= self.initial, u64::from(offset) | (end << 32))
    }

    /// Whether a list only leaves a block, which can be done by a jump to it.
    fn leaves(&self, stmts: &[Stmt]) -> Option<Label> {
        match stmts {
            [Stmt::Branch { label }] if !self.loops.contains_key(label) => Some(*label),
            _ => None,
        }
    }

    fn list(&mut self, stmts: &[Stmt]) {
        let mut rest = stmts;
        while let [stmt, others @ ..] = rest {
            rest = others;
            // What is only moved to a variable goes there at once.
            if let [Stmt::Set { var, value }, others @ ..] = others
                && let Expr::Var(moved) = self.body.expr(*value)
                && self.single[moved.0 as usize]
                && stmt.sets() == [moved]
                && stmt.children().is_empty()
            {
                self.slots[moved.0 as usize] = self.slot(*var);
                self.single[moved.0 as usize] = self.single[var.0 as usize];
                rest = others;
            }
            self.stmt(stmt);
            self.top = self.free;
            if stmt.ends() {
                break; // the rest cannot be reached
            }
        }
    }

    /// Evaluates operands into slots that follow each other.
    fn operands(&mut self, operands: &[ExprId]) -> u32 {
        if let [one] = operands {
            return self.value(*one);
        }
        let first = self.top;
        self.top += operands.len() as u32;
        self.most = self.most.max(self.top);
        for (d, e) in (first..).zip(operands) {
            self.value_to(*e, d);
        }
        if operands.is_empty() { 0 } else { first }
    }

    fn call(&mut self, callee: &Callee, args: &[ExprId], results: &[Var], at: u32) {
        let frame = self.top;
        self.top += 1 + args.len() as u32;
        self.most = self.most.max(self.top + results.len() as u32);
        for (d, e) in (frame + 1..).zip(args) {
            self.value_to(*e, d);
        }
        let result = results.first().map_or(frame + 1, |v| self.slot(*v));
        let imm = u64::from(frame) << 32;
        self.at = at;
        match callee {
            Callee::Function(f) => self.emit(Op::Call, 0, 0, result, imm | u64::from(*f)),
            Callee::Table { ty, index } => {
                let index = self.value(*index);
                self.emit(Op::CallIndirect, 0, index, result, imm | u64::from(*ty))
            }
        };
        for (i, var) in results.iter().enumerate().skip(1) {
            let d = self.slot(*var);
            self.emit(Op::Move, d, frame + 1 + i as u32, 0, 0);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Set { var, value } => {
                let (d, before) = (self.slot(*var), self.m.rows.len());
                self.value_to(*value, d);
                if let Some(row) = self.m.rows[before..].last_mut() {
                    row.once = self.single[var.0 as usize];
                }
            }
            Stmt::GetGlobal { var, global } => self.emit_to(*var, Op::GetGlobal, 0, 0, self.globals[global].into()),
            Stmt::SetGlobal { global, value } => {
                let a = self.value(*value);
                self.emit(Op::SetGlobal, 0, a, 0, self.globals[global].into());
            }
            Stmt::Load { var, op, mem, at } => {
                let a = self.value(mem.addr);
                self.at = *at;
                let (near, imm) = self.reach(mem.offset, op.bytes());
                self.emit_to(*var, if near { Op::Load(*op, mem.align) } else { Op::LoadFar(*op) }, a, 0, imm);
            }
            Stmt::Store { op, mem, value, at, .. } => {
                let (a, b) = (self.value(mem.addr), self.value(*value));
                self.at = *at;
                let (near, imm) = self.reach(mem.offset, op.bytes());
                self.emit(if near { Op::Store(*op, mem.align) } else { Op::StoreFar(*op) }, 0, a, b, imm);
            }
            Stmt::Trapping { var, op, a, b, at } => {
                let first = self.value(*a);
                let second = b.map_or(0, |b| self.value(b));
                self.at = *at;
                self.emit_to(*var, Op::Trapping(*op), first, second, 0);
            }
            Stmt::Call { callee, args, results, at } => self.call(callee, args, results, *at),
            Stmt::Ask { call, args, result, at, .. } => {
                let write = self.colours.flushes(*call);
                let ask = self.colours.answered_by(*call) == AnsweredBy::Host;
                if !ask && !write {
                    return self.other(stmt, *at);
                }
                let a = self.operands(args);
                let d = match result {
                    Some(var) => self.slot(*var),
                    None => self.temporary(),
                };
                self.at = *at;
                if write {
                    self.emit(Op::Write(*call), d, a, 0, 0);
                } else {
                    self.emit(Op::Ask(*call), 0, a, 0, 0);
                    self.emit(Op::Answer(*call), d, a, 0, 0);
                }
            }
            Stmt::Block { label, body } => {
                self.list(body);
                self.here(*label);
            }
            Stmt::Loop { label, body, at } => {
                self.loops.insert(*label, *at);
                self.here(*label);
                self.depth += 1;
                self.list(body);
                self.depth -= 1;
            }
            Stmt::If { cond, then, otherwise } => {
                if let Some(label) = self.leaves(then) {
                    self.jump_if(*cond, true, label);
                    return self.list(otherwise);
                }
                if let Some(label) = self.leaves(otherwise) {
                    self.jump_if(*cond, false, label);
                    return self.list(then);
                }
                let (first, second, wanted) =
                    if then.is_empty() { (otherwise, then, true) } else { (then, otherwise, false) };
                let (skip, end) = (self.label(), self.label());
                self.jump_if(*cond, wanted, skip);
                self.top = self.free;
                self.list(first);
                if !second.is_empty() && !first.last().is_some_and(Stmt::ends) {
                    self.emit(Op::Jump, 0, 0, 0, 0);
                    self.to(end);
                }
                self.here(skip);
                self.list(second);
                self.here(end);
            }
            Stmt::Branch { label } => {
                match self.loops.get(label).copied() {
                    Some(at) => {
                        self.at = at;
                        self.emit(Op::Repeat, 0, 0, 0, 0)
                    }
                    None => self.emit(Op::Jump, 0, 0, 0, 0),
                };
                self.to(*label);
            }
            Stmt::Switch { index, cases, default } => self.switch(*index, cases, default),
            Stmt::Return { values } => {
                let Some(first) = values.first() else {
                    self.emit(Op::Return, 0, 0, 0, 0);
                    return;
                };
                let first = self.value(*first);
                let others: Vec<u32> = values[1..].iter().map(|e| self.value(*e)).collect();
                let spared: Vec<u32> = others.iter().map(|_| self.temporary()).collect();
                // The slots from 2 on may hold variables that are still to be returned.
                let mut from = first;
                if !others.is_empty() {
                    from = self.temporary();
                    self.emit(Op::Move, from, first, 0, 0);
                }
                for (d, a) in spared.iter().zip(&others) {
                    self.emit(Op::Move, *d, *a, 0, 0);
                }
                for (d, a) in (2..).zip(&spared) {
                    self.emit(Op::Move, d, *a, 0, 0);
                }
                self.most = self.most.max(2 + others.len() as u32);
                self.emit(Op::ReturnValue, 0, from, 0, 0);
            }
            Stmt::Trap { kind, at } => {
                self.at = *at;
                self.emit(Op::Trap(*kind), 0, 0, 0, 0);
            }
            Stmt::Edge { at, .. } => {
                self.at = *at;
                self.emit(Op::Charge, 0, 0, 0, 0);
            }
            Stmt::MemoryGrow { at, .. }
            | Stmt::MemoryCopy { at, .. }
            | Stmt::MemoryFill { at, .. }
            | Stmt::MemoryInit { at, .. }
            | Stmt::TableCopy { at, .. }
            | Stmt::TableInit { at, .. } => self.other(stmt, *at),
            Stmt::MemorySize { .. } | Stmt::DataDrop { .. } | Stmt::ElemDrop { .. } => self.other(stmt, 0),
            Stmt::Check { .. }
            | Stmt::Unshared { .. }
            | Stmt::Strides(_)
            | Stmt::Restore { .. }
            | Stmt::Save { .. }
            | Stmt::Goto { .. }
            | Stmt::CallNested { .. }
            | Stmt::CallFramed { .. }
            | Stmt::Results { .. }
            | Stmt::ReturnFramed { .. }
            | Stmt::Abandon { .. } => unreachable!("no pass that makes it ran"),
        }
    }

    /// A statement whose operation is its own, printed as in a translated function.
    fn other(&mut self, stmt: &Stmt, at: u32) {
        let operands = stmt.operands();
        let sets = stmt.sets();
        let mut types: Vec<ValType> = operands.iter().map(|e| self.body.type_of(*e)).collect();
        let a = self.operands(&operands);
        let d = sets.first().map_or(0, |var| self.slot(*var));
        types.extend(sets.iter().map(|var| self.body.vars[var.0 as usize]));
        let mut stmt = stmt.clone();
        let mut next = 0;
        stmt.each_use(&mut |used| match used {
            Use::Expr(e) => {
                *e = ExprId(next);
                next += 1;
            }
            Use::Var(var) => *var = Var(operands.len() as u32),
        });
        match &mut stmt {
            Stmt::Ask { at, .. }
            | Stmt::MemoryGrow { at, .. }
            | Stmt::MemoryCopy { at, .. }
            | Stmt::MemoryFill { at, .. }
            | Stmt::MemoryInit { at, .. }
            | Stmt::TableCopy { at, .. }
            | Stmt::TableInit { at, .. } => *at = 0,
            _ => {}
        }
        self.at = at;
        self.emit(Op::Other(Box::new(stmt), types), d, a, 0, 0);
    }

    fn switch(&mut self, index: ExprId, cases: &[(Vec<u32>, Vec<Stmt>)], default: &[Stmt]) {
        let a = self.value(index);
        self.top = self.free;
        let count = cases.iter().flat_map(|(values, _)| values).max().map_or(0, |most| most + 1);
        self.emit(Op::Switch, 0, a, 0, count.into());
        let first = self.m.rows.len();
        let rows = (count as usize + 1).div_ceil(4);
        self.m.rows.resize(first + rows, Row { data: true, ..Row::default() });
        let otherwise = self.leaves(default).unwrap_or_else(|| self.label());
        let mut targets = vec![otherwise; count as usize + 1];
        let mut arms = Vec::new();
        for (values, body) in cases {
            let label = self.leaves(body).unwrap_or_else(|| self.label());
            values.iter().for_each(|value| targets[*value as usize] = label);
            if self.leaves(body).is_none() {
                arms.push((label, &body[..]));
            }
        }
        if self.leaves(default).is_none() {
            arms.push((otherwise, default));
        }
        for (n, label) in targets.into_iter().enumerate() {
            self.labels.entry(label).or_default().waiting.push((first + n / 4, Some(n % 4)));
        }
        for (label, body) in arms {
            self.here(label);
            self.list(body);
        }
    }
}

/// Puts one of four targets into a row.
fn put(row: &mut Row, part: usize, target: u32) {
    let target = u64::from(target);
    match part {
        0 => (row.op, row.d) = (target as u16, (target >> 16) as u16),
        1 => (row.a, row.b) = (target as u16, (target >> 16) as u16),
        2 => row.imm |= target,
        _ => row.imm |= target << 32,
    }
}

/// The operator on exchanged operands is itself.
fn commutes(op: BinOp) -> bool {
    use BinOp::*;
    matches!(
        op,
        I32Add
            | I32Mul
            | I32And
            | I32Or
            | I32Xor
            | I32Eq
            | I32Ne
            | I64Add
            | I64Mul
            | I64And
            | I64Or
            | I64Xor
            | I64Eq
            | I64Ne
    )
}

fn compares(op: BinOp) -> bool {
    opposite(op).is_some()
        || matches!(
            op,
            BinOp::F32Eq
                | BinOp::F32Ne
                | BinOp::F32Lt
                | BinOp::F32Gt
                | BinOp::F32Le
                | BinOp::F32Ge
                | BinOp::F64Eq
                | BinOp::F64Ne
                | BinOp::F64Lt
                | BinOp::F64Gt
                | BinOp::F64Le
                | BinOp::F64Ge
        )
}

/// The comparison of integers that is true where this one is false.
fn opposite(op: BinOp) -> Option<BinOp> {
    use BinOp::*;
    Some(match op {
        I32Eq => I32Ne,
        I32Ne => I32Eq,
        I32LtS => I32GeS,
        I32GeS => I32LtS,
        I32LtU => I32GeU,
        I32GeU => I32LtU,
        I32GtS => I32LeS,
        I32LeS => I32GtS,
        I32GtU => I32LeU,
        I32LeU => I32GtU,
        I64Eq => I64Ne,
        I64Ne => I64Eq,
        I64LtS => I64GeS,
        I64GeS => I64LtS,
        I64LtU => I64GeU,
        I64GeU => I64LtU,
        I64GtS => I64LeS,
        I64LeS => I64GtS,
        I64GtU => I64LeU,
        I64LeU => I64GtU,
        _ => return None,
    })
}

/// A loop in a function's text.
struct Span {
    from: u32,
    to: u32,
    parent: Option<usize>,
}

/// Where variables occur.
struct Uses<'a> {
    body: &'a Body,
    /// First and last place of each variable.
    places: Vec<Option<(u32, u32)>>,
    place: u32,
    loops: Vec<Span>,
    inside: Option<usize>,
    /// The innermost loop of each place.
    at: Vec<Option<usize>>,
}

impl Uses<'_> {
    fn touch(&mut self, var: Var) {
        let place = self.place;
        let (first, _) = self.places[var.0 as usize].unwrap_or((place, place));
        self.places[var.0 as usize] = Some((first, place));
    }

    fn step(&mut self) {
        self.place += 1;
        self.at.push(self.inside);
    }

    fn list(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.step();
            for e in stmt.operands() {
                let mut read = Vec::new();
                self.body.reads(e, &mut |v| read.push(v));
                read.into_iter().for_each(|v| self.touch(v));
            }
            stmt.sets().into_iter().for_each(|v| self.touch(v));
            let repeated = matches!(stmt, Stmt::Loop { .. });
            if repeated {
                self.loops.push(Span { from: self.place, to: 0, parent: self.inside });
                self.inside = Some(self.loops.len() - 1);
                self.step();
            }
            stmt.children().into_iter().for_each(|child| self.list(child));
            if repeated && let Some(inner) = self.inside {
                self.step();
                self.loops[inner].to = self.place;
                self.inside = self.loops[inner].parent;
            }
            if stmt.ends() {
                break;
            }
        }
    }
}

/// Which variables are set in one place and read in one.
fn single(body: &Body, params: usize, zeros: &(usize, Vec<bool>)) -> Vec<bool> {
    let mut counts = vec![(0, 0); body.vars.len()];
    counts.iter_mut().take(params).for_each(|(set, _)| *set = 1);
    walk(&body.stmts, &mut |stmt| {
        stmt.sets().into_iter().for_each(|var| counts[var.0 as usize].0 += 1);
        stmt.operands().into_iter().for_each(|e| body.reads(e, &mut |var| counts[var.0 as usize].1 += 1));
    });
    let counts = counts.into_iter().zip(&zeros.1);
    counts.map(|((sets, reads), zero)| (sets - u32::from(*zero), reads) == (1, 1)).collect()
}

/// How many of the first statements only set locals to zero, as each function begins, and for each variable whether it is
/// so in vain.
fn zeros(body: &Body) -> (usize, Vec<bool>) {
    let mut vain = vec![false; body.vars.len()];
    let mut numbers = vec![None; body.vars.len()];
    let (mut count, mut locals) = (0, Vec::new());
    for stmt in &body.stmts {
        match stmt {
            Stmt::Edge { .. } if locals.is_empty() => {}
            Stmt::Set { var, value } if matches!(body.expr(*value), Expr::Const(_, 0)) => {
                numbers[var.0 as usize] = Some(locals.len());
                locals.push(*var);
            }
            _ => break,
        }
        count += 1;
    }
    let mut ends = Vec::new();
    number_statements(&body.stmts, &mut ends);
    if count == ends.len() || ends.len().saturating_mul(numbers.len()) > MOST_WORK {
        return (count, vain);
    }
    let point = Point::Before(count);
    let live = Points::new(body, &numbers, &ends).and_then(|mut points| points.sets(HashSet::from([point])));
    if let Some(live) = live.ok().and_then(|mut sets| sets.remove(&point)) {
        (0..).zip(locals).for_each(|(n, var)| vain[var.0 as usize] = !live.has(n));
    }
    (count, vain)
}

/// The slot of each variable, and how many slots there are. Two variables share one if the places where they occur, with
/// all of a loop for what occurs both inside and outside, do not overlap: whatever a loop carries is set in front of it.
fn allocate(body: &Body, params: usize) -> (Vec<u32>, u32) {
    let mut uses =
        Uses { body, places: vec![None; body.vars.len()], place: 0, loops: vec![], inside: None, at: vec![None] };
    (0..params as u32).for_each(|param| uses.touch(Var(param)));
    uses.list(&body.stmts);
    let outermost = |inner: u32, outer: u32| {
        let mut found = None;
        let mut next = uses.at[inner as usize];
        while let Some(at) = next.filter(|at| !(uses.loops[*at].from..=uses.loops[*at].to).contains(&outer)) {
            found = Some(&uses.loops[at]);
            next = uses.loops[at].parent;
        }
        found
    };
    let mut order: Vec<(u32, u32, usize)> = Vec::new();
    for (var, places) in uses.places.iter().enumerate() {
        if let Some((first, last)) = *places {
            let from = outermost(first, last).map_or(first, |span| span.from);
            order.push((from, outermost(last, first).map_or(last, |span| span.to), var));
        }
    }
    order.sort_unstable();
    let mut slots = vec![0; body.vars.len()];
    let (mut free, mut busy) = (BinaryHeap::new(), BinaryHeap::new());
    // The caller puts parameters where they are.
    let mut count = 1 + params as u32;
    for (from, to, var) in order {
        while let Some(Reverse((end, slot))) = busy.peek().copied()
            && end < from
        {
            busy.pop();
            free.push(Reverse(slot));
        }
        slots[var] = if var < params {
            1 + var as u32
        } else if let Some(Reverse(slot)) = free.pop() {
            slot
        } else {
            count += 1;
            count - 1
        };
        busy.push(Reverse((to, slots[var])));
    }
    (slots, count)
}
