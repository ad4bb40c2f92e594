//! Runs the body of a function on two ranges of memory, and notes what its behaviour depends on.
//!
//! Only what a loop that copies or fills needs is known; everything else ends the trial, and so does each access
//! outside of the ranges. Values carry what they were computed from. Bytes may only be moved, so that neither the way
//! through the body nor an address depends on them.

use crate::ir::{BinOp, Body, Callee, Expr, ExprId, Label, LoadOp, Program, Stmt, StoreOp, UnOp, walk};
use std::collections::BTreeSet;

/// What a value was computed from.
const POINTER: u8 = 1;
const LENGTH: u8 = 2;
const DATA: u8 = 4;
/// The lowest bits of pointers.
const RESIDUE: u8 = 8;

/// Outcomes of a condition: false, and true.
const NO: u8 = 1;
const YES: u8 = 2;
const BOTH: u8 = NO | YES;

/// A larger constant has no place in a function that copies or fills, except next to data.
const LARGEST: u64 = 128;
/// Nor does a shift by more bits.
const SHIFT: u64 = 5;

/// Bits, and what they were computed from.
#[derive(Clone, Copy, Default)]
struct Value {
    bits: u64,
    from: u8,
}

impl Value {
    /// Computed from pointers only, and not from their lowest bits only.
    fn of_pointers(self) -> bool {
        self.from & POINTER != 0 && self.from & (LENGTH | DATA) == 0
    }
}

/// The arguments of a call, and the memory that it may access.
pub struct Arguments {
    /// Where the bytes go.
    pub to: u32,
    /// The second argument: where the bytes are, or the value to fill with.
    pub second: u32,
    /// How many there are.
    pub length: u32,
    /// The memory that holds both ranges.
    pub bytes: Vec<u8>,
    /// Where the first range begins in it.
    pub to_at: usize,
    /// Where the second range begins in it; `None` if the second argument is a value.
    pub from_at: Option<usize>,
}

impl Arguments {
    /// Where an access lies in the memory.
    fn find(&self, address: u64, bytes: u32, load: bool) -> Option<usize> {
        let within = |begin: u32, at: usize| {
            let above = address.checked_sub(begin.into())?;
            (above + u64::from(bytes) <= self.length.into()).then_some(at + above as usize)
        };
        let source = || within(self.second, self.from_at?);
        within(self.to, self.to_at).or_else(|| if load { source() } else { None })
    }
}

/// Trials of one function.
pub struct Trial<'a> {
    program: &'a Program,
    body: &'a Body,
    /// Functions that may be called.
    callees: &'a BTreeSet<u32>,
    /// The outcomes of each condition and comparison.
    outcomes: Vec<u8>,
    /// How close the operands of each comparison came, in trials of short and of long ranges.
    closest: Vec<[u64; 2]>,
    /// The cases of switches that were entered.
    cases: BTreeSet<(ExprId, usize)>,
    /// In a function that the body calls.
    inside: bool,
    /// The largest constant that is not next to data.
    pub largest: u64,
    /// Pointers that differ by a multiple of this power of two are treated alike.
    pub period: u32,
    /// The present trial is of long ranges.
    pub long: bool,
    /// Statements and operators that may still be evaluated.
    pub steps: u64,
}

/// Where control goes behind a statement.
enum Flow {
    On,
    To(Label),
    Back(Value),
}

impl<'a> Trial<'a> {
    /// For the direct body of a function.
    pub fn new(program: &'a Program, body: &'a Body, callees: &'a BTreeSet<u32>, steps: u64) -> Self {
        let (outcomes, closest) = (vec![0; body.exprs.len()], vec![[u64::MAX; 2]; body.exprs.len()]);
        let (cases, inside, long) = (BTreeSet::new(), false, false);
        Self { program, body, callees, outcomes, closest, cases, inside, largest: 0, period: 1, long, steps }
    }

    /// The function's result, unless it does something else than it may.
    pub fn run(&mut self, arguments: &mut Arguments) -> Option<u32> {
        let second = if arguments.from_at.is_some() { POINTER } else { DATA };
        let parameters = [(arguments.to, POINTER), (arguments.second, second), (arguments.length, LENGTH)];
        let parameters = parameters.map(|(bits, from)| Value { bits: bits.into(), from });
        let result = self.call(self.body, parameters, arguments)?;
        (result.from & DATA == 0).then_some(result.bits as u32)
    }

    /// Whether the trials met both outcomes of each condition and comparison, and each case of each switch.
    pub fn complete(&self) -> bool {
        let mut complete = true;
        walk(&self.body.stmts, &mut |stmt| {
            complete &= stmt.operands().into_iter().all(|e| self.decided(e));
            complete &= match stmt {
                Stmt::If { cond, .. } => self.both(*cond),
                Stmt::Switch { index, cases, .. } => {
                    let entered = |case| self.cases.contains(&(*index, case));
                    self.both(*index) || (0..cases.len()).all(entered)
                }
                _ => true,
            }
        });
        complete
    }

    fn both(&self, e: ExprId) -> bool {
        // What was not reached cannot be: it lies behind another condition, which has no other outcome.
        if matches!(self.outcomes[e.0 as usize], 0 | BOTH) {
            return true;
        }
        // A comparison has the other outcome for a shorter range, if at all, and all of those were tried.
        let [short, long] = self.closest[e.0 as usize];
        short < u64::MAX && short <= long
    }

    fn decided(&self, e: ExprId) -> bool {
        match self.body.expr(e) {
            Expr::Const(..) | Expr::Var(_) => true,
            Expr::Unary(op, a) => self.decided(a) && (!matches!(op, UnOp::I32Eqz | UnOp::I64Eqz) || self.both(e)),
            Expr::Canonical(a) => self.decided(a),
            Expr::Binary(op, a, b) => {
                let compares = operator(op).is_some_and(|op| op >= Operator::Eq);
                self.decided(a) && self.decided(b) && (!compares || self.both(e))
            }
            Expr::Select { cond, then, otherwise } => {
                self.both(cond) && [cond, then, otherwise].into_iter().all(|e| self.decided(e))
            }
        }
    }

    fn call(&mut self, body: &Body, parameters: [Value; 3], arguments: &mut Arguments) -> Option<Value> {
        let mut vars = vec![Value::default(); body.vars.len()];
        vars[..3].copy_from_slice(&parameters);
        match self.list(body, &mut vars, &body.stmts, arguments)? {
            Flow::Back(value) => Some(value),
            Flow::On | Flow::To(_) => None,
        }
    }

    fn list(&mut self, body: &Body, vars: &mut [Value], stmts: &[Stmt], memory: &mut Arguments) -> Option<Flow> {
        for stmt in stmts {
            match self.stmt(body, vars, stmt, memory)? {
                Flow::On => {}
                other => return Some(other),
            }
        }
        Some(Flow::On)
    }

    fn stmt(&mut self, body: &Body, vars: &mut [Value], stmt: &Stmt, memory: &mut Arguments) -> Option<Flow> {
        self.steps = self.steps.checked_sub(1)?;
        match stmt {
            Stmt::Set { var, value } => vars[var.0 as usize] = self.value(body, vars, *value)?,
            Stmt::Load { var, op, mem, .. } => {
                let bytes = op.bytes();
                let address = self.address(body, vars, mem.addr, mem.offset)?;
                let at = memory.find(address, bytes, true)?;
                let bits = little_endian(&memory.bytes[at..at + bytes as usize]);
                vars[var.0 as usize] = Value { bits: extended(*op, bits)?, from: DATA };
            }
            Stmt::Store { op, mem, value, .. } => {
                if matches!(op, StoreOp::F32Store | StoreOp::F64Store) {
                    return None;
                }
                let bytes = op.bytes() as usize;
                let address = self.address(body, vars, mem.addr, mem.offset)?;
                let at = memory.find(address, op.bytes(), false)?;
                let value = self.value(body, vars, *value)?;
                memory.bytes[at..at + bytes].copy_from_slice(&value.bits.to_le_bytes()[..bytes]);
            }
            Stmt::Call { callee: Callee::Function(f), args, results, .. } if self.callees.contains(f) => {
                let callee = self.program.functions[*f as usize].body.as_ref()?;
                let mut values = [Value::default(); 3];
                for (value, arg) in values.iter_mut().zip(args) {
                    *value = self.value(body, vars, *arg)?;
                }
                let outer = std::mem::replace(&mut self.inside, true);
                let result = self.call(callee, values, memory)?;
                self.inside = outer;
                vars[results.first()?.0 as usize] = result;
            }
            Stmt::Block { label, body: stmts } => {
                return Some(match self.list(body, vars, stmts, memory)? {
                    Flow::To(to) if to == *label => Flow::On,
                    flow => flow,
                });
            }
            Stmt::Loop { label, body: stmts, .. } => loop {
                match self.list(body, vars, stmts, memory)? {
                    Flow::To(to) if to == *label => {}
                    flow => return Some(flow),
                }
            },
            Stmt::If { cond, then, otherwise } => {
                let value = self.value(body, vars, *cond)?;
                let stmts = if self.outcome(*cond, value)? { then } else { otherwise };
                return self.list(body, vars, stmts, memory);
            }
            Stmt::Switch { index, cases, default } => {
                let value = self.value(body, vars, *index)?;
                if value.from & DATA != 0 {
                    return None;
                }
                let case = cases.iter().position(|(values, _)| values.contains(&(value.bits as u32)));
                if !self.inside {
                    self.outcomes[index.0 as usize] |= if value.from == RESIDUE { BOTH } else { NO };
                    self.cases.extend(case.map(|case| (*index, case)));
                }
                return self.list(body, vars, case.map_or(default, |case| &cases[case].1), memory);
            }
            Stmt::Branch { label } => return Some(Flow::To(*label)),
            Stmt::Return { values } => {
                let [value] = values[..] else { return None };
                return Some(Flow::Back(self.value(body, vars, value)?));
            }
            _ => return None,
        }
        Some(Flow::On)
    }

    fn address(&mut self, body: &Body, vars: &[Value], address: ExprId, offset: u32) -> Option<u64> {
        let value = self.value(body, vars, address)?;
        self.constant(offset.into());
        (value.from & DATA == 0).then_some(value.bits + u64::from(offset))
    }

    /// Notes a condition or comparison, which must not depend on data.
    fn outcome(&mut self, e: ExprId, value: Value) -> Option<bool> {
        let is = value.bits != 0;
        if !self.inside {
            // All residues are tried, so those of other pointers have no other outcome.
            let outcome = if is { YES } else { NO };
            self.outcomes[e.0 as usize] |= if value.from == RESIDUE { BOTH } else { outcome };
        }
        (value.from & DATA == 0).then_some(is)
    }

    /// Notes how far the operands of a comparison are from each other.
    fn compared(&mut self, e: ExprId, a: u64, b: u64, wide: bool) {
        if !self.inside {
            let closest = &mut self.closest[e.0 as usize][usize::from(self.long)];
            *closest = magnitude(wide, a.wrapping_sub(b)).min(*closest);
        }
    }

    /// Notes a constant by its magnitude.
    fn constant(&mut self, magnitude: u64) {
        self.largest = self.largest.max(magnitude);
    }

    fn value(&mut self, body: &Body, vars: &[Value], e: ExprId) -> Option<Value> {
        self.steps = self.steps.checked_sub(1)?;
        Some(match body.expr(e) {
            Expr::Const(ty, bits) => {
                self.constant(magnitude(ty == crate::ValType::I64, bits));
                Value { bits, from: 0 }
            }
            Expr::Var(v) => vars[v.0 as usize],
            Expr::Unary(op, a) => {
                let a = self.value(body, vars, a)?;
                let bits = match op {
                    UnOp::I32Eqz | UnOp::I64Eqz => {
                        let is = Value { bits: (a.bits == 0).into(), ..a };
                        self.compared(e, a.bits, 0, op == UnOp::I64Eqz);
                        self.outcome(e, is)?.into()
                    }
                    UnOp::I32WrapI64 => u64::from(a.bits as u32),
                    UnOp::I64ExtendI32U => a.bits,
                    UnOp::I64ExtendI32S => a.bits as u32 as i32 as u64,
                    _ => return None,
                };
                Value { bits, ..a }
            }
            Expr::Binary(op, a, b) => {
                let literal = |e| if let Expr::Const(_, bits) = body.expr(e) { Some(bits) } else { None };
                let mut operand = |e| match literal(e) {
                    Some(bits) => Some(Value { bits, from: 0 }),
                    None => self.value(body, vars, e),
                };
                let (x, y) = (operand(a)?, operand(b)?);
                let wide = op.operands()[0] == crate::ValType::I64;
                if (x.from | y.from) & DATA == 0 {
                    for bits in [a, b].into_iter().filter_map(literal) {
                        self.constant(magnitude(wide, bits));
                    }
                }
                let op = operator(op)?;
                self.allowed(op, x, y)?;
                let mut value = Value { bits: op.of(x.bits, y.bits, wide), from: x.from | y.from };
                let mask = if x.from == 0 { x } else { y };
                if op == Operator::And && value.from & POINTER != 0 && value.from & DATA == 0 && mask.bits <= LARGEST {
                    value.from = RESIDUE;
                }
                if op >= Operator::Eq {
                    self.compared(e, x.bits, y.bits, wide);
                    self.outcome(e, value)?;
                }
                value
            }
            Expr::Select { cond, then, otherwise } => {
                let decides = self.value(body, vars, cond)?;
                let chosen = if self.outcome(cond, decides)? { then } else { otherwise };
                let value = self.value(body, vars, chosen)?;
                Value { from: value.from | decides.from, ..value }
            }
            Expr::Canonical(_) => return None,
        })
    }

    /// Whether an operator may have such operands. What depends on a length or pointer is added, subtracted, compared,
    /// scaled by a small power of two, and masked: so it behaves for all lengths as it does for those that are tried.
    fn allowed(&mut self, op: Operator, a: Value, b: Value) -> Option<()> {
        use Operator::*;
        let from = a.from | b.from;
        let fine = if from & DATA != 0 {
            match op {
                Shl | ShrS | ShrU => b.from & DATA == 0,
                And | Mul => a.from == 0 || b.from == 0,
                Or => true,
                _ => false,
            }
        } else {
            match op {
                And if from != 0 => {
                    // A mask of the lowest bits, or of all but them.
                    let (mask, value) = if a.from == 0 { (a, b) } else { (b, a) };
                    let period = match mask.bits as u32 as i32 {
                        mask @ 0.. => (mask as u32 + 1).checked_next_power_of_two()?,
                        mask => 1 << mask.trailing_zeros(),
                    };
                    self.depends(value, period);
                    mask.from == 0
                }
                Or | Xor if from & LENGTH != 0 => false,
                // Which bits two pointers differ in: a mask follows.
                Xor => from == 0 || a.from != 0 && b.from != 0,
                Or if from != 0 => {
                    let (mask, value) = if a.from == 0 { (a, b) } else { (b, a) };
                    self.depends(value, (mask.bits as u32).checked_add(1)?.checked_next_power_of_two()?);
                    mask.from == 0
                }
                Shl | ShrS | ShrU => {
                    if op != Shl && b.bits <= SHIFT {
                        self.depends(a, 1 << b.bits);
                    }
                    b.from == 0 && b.bits <= SHIFT
                }
                Mul => a.from == 0 || b.from == 0,
                _ => true,
            }
        };
        (fine && self.largest <= LARGEST).then_some(())
    }

    /// Notes that pointers are told apart modulo a power of two. Of what depends on the length too, all residues are
    /// tried anyway.
    fn depends(&mut self, value: Value, period: u32) {
        if value.of_pointers() {
            self.period = self.period.max(period);
        }
    }
}

/// Integer operators; from `Eq` on comparisons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    ShrS,
    ShrU,
    Eq,
    Ne,
    LtS,
    LtU,
    GtS,
    GtU,
    LeS,
    LeU,
    GeS,
    GeU,
}

fn operator(op: BinOp) -> Option<Operator> {
    macro_rules! of {
        ($($narrow:ident $wide:ident $operator:ident,)*) => {
            match op { $(BinOp::$narrow | BinOp::$wide => Some(Operator::$operator),)* _ => None }
        };
    }
    of! {
        I32Add I64Add Add, I32Sub I64Sub Sub, I32Mul I64Mul Mul, I32And I64And And, I32Or I64Or Or, I32Xor I64Xor Xor,
        I32Shl I64Shl Shl, I32ShrS I64ShrS ShrS, I32ShrU I64ShrU ShrU, I32Eq I64Eq Eq, I32Ne I64Ne Ne,
        I32LtS I64LtS LtS, I32LtU I64LtU LtU, I32GtS I64GtS GtS, I32GtU I64GtU GtU,
        I32LeS I64LeS LeS, I32LeU I64LeU LeU, I32GeS I64GeS GeS, I32GeU I64GeU GeU,
    }
}

impl Operator {
    fn of(self, a: u64, b: u64, wide: bool) -> u64 {
        let bits = if wide { 64 } else { 32 };
        let signed = |v: u64| if wide { v as i64 } else { i64::from(v as u32 as i32) };
        let (count, s, t) = (b & (bits - 1), signed(a), signed(b));
        let result = match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            Self::Shl => a << count,
            Self::ShrS => (s >> count) as u64,
            Self::ShrU => a >> count,
            Self::Eq => u64::from(a == b),
            Self::Ne => u64::from(a != b),
            Self::LtS => u64::from(s < t),
            Self::LtU => u64::from(a < b),
            Self::GtS => u64::from(s > t),
            Self::GtU => u64::from(a > b),
            Self::LeS => u64::from(s <= t),
            Self::LeU => u64::from(a <= b),
            Self::GeS => u64::from(s >= t),
            Self::GeU => u64::from(a >= b),
        };
        if wide { result } else { u64::from(result as u32) }
    }
}

fn magnitude(wide: bool, bits: u64) -> u64 {
    if wide { (bits as i64).unsigned_abs() } else { (bits as u32 as i32).unsigned_abs().into() }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

/// What a load of integers makes of the bits in memory.
fn extended(op: LoadOp, bits: u64) -> Option<u64> {
    use LoadOp::*;
    Some(match op {
        I32Load | I32Load8U | I32Load16U | I64Load | I64Load8U | I64Load16U | I64Load32U => bits,
        I32Load8S => u64::from(bits as u8 as i8 as u32),
        I32Load16S => u64::from(bits as u16 as i16 as u32),
        I64Load8S => bits as u8 as i8 as u64,
        I64Load16S => bits as u16 as i16 as u64,
        I64Load32S => bits as u32 as i32 as u64,
        F32Load | F64Load => return None,
    })
}
