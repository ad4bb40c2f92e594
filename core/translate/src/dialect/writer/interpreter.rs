//! Writes an interpreter of a program's bytecode.
//!
//! Two functions: one that has all frequent operations in a loop, so small that its variables stay in registers and its
//! text in the instruction caches of a GPU, and one that runs a single row of any other kind, or one that is not as
//! usual: an access that is not aligned or out of bounds, a division by zero, the end of a slice of fuel.

use super::{Scope, Writer, join, trap_name};
use crate::bytecode::{Code, Op, Step};
use crate::dialect::expr::{MemoryOperand, binary, ctype, from_bits, load, store, to_bits, trapping, unary};
use crate::host::CALLS;
use crate::ir::{BinOp, Body, Expr, ExprId, TrapOp, Var};
use crate::{Language, ValType};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The operands.
const A: &str = "x";
const B: &str = "y";

/// Where an immediate is: in the row of a step, or in a variable of the slow function.
#[derive(Clone, Copy)]
enum Immediate {
    Row(usize),
    Variable,
}

impl Immediate {
    fn all(self) -> String {
        match self {
            Self::Row(k) => format!("VV_IMM({k})"),
            Self::Variable => "imm".into(),
        }
    }

    fn low(self) -> String {
        match self {
            Self::Row(k) => format!("VV_LOW({k})"),
            Self::Variable => "(u32)imm".into(),
        }
    }

    fn high(self) -> String {
        match self {
            Self::Row(k) => format!("VV_HIGH({k})"),
            Self::Variable => "(u32)(imm >> 32)".into(),
        }
    }
}

impl Writer<'_> {
    pub(super) fn interpreter(&self, code: &Code) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "#define VV_TABLE_ROW {}u", code.table);
        let _ = writeln!(out, "#define VV_SITES_ROW {}u", code.sites);
        let _ = writeln!(out, "#define VV_FUNCTIONS {}u", self.p.functions.len());
        out.push_str(include_str!("../prelude/interpret.h"));
        let processor = self.o.target.language == Language::C;
        // What runs in the slow function though the loop could do it.
        let again: Vec<&Op> = code.ops.iter().flat_map(|op| again(op, processor)).collect();
        let mut slow = BTreeMap::new();
        for (n, op) in code.ops.iter().enumerate() {
            let first = if let Op::Fused(steps) = op { &steps[0].op } else { op };
            let alone = || pure(first, Immediate::Variable).filter(|_| again.contains(&first));
            if let Some(text) = self.slow(first).or_else(alone) {
                slow.entry(text).or_insert_with(Vec::new).push(n);
            }
        }
        let case = |(text, cases): (&String, &Vec<usize>)| {
            let cases: String = cases.iter().map(|n| format!("case {n}u: ")).collect();
            format!("  {cases}{{ {text} break; }}\n")
        };
        let slow: String = slow.iter().map(case).collect();
        let fast: Vec<String> = code.ops.iter().map_while(|op| fast_text(op, processor)).collect();
        let fast = if processor {
            let labels =
                (0..code.ops.len()).map(|n| if n < fast.len() { format!("&&op_{n}") } else { "&&slow".into() });
            let _ = writeln!(out, "#define VV_LABELS {}", join(labels));
            fast.iter().enumerate().map(|(n, text)| format!("  op_{n}: {{ {text} }}\n")).collect()
        } else if self.o.target.cheap_branches {
            let cases = fast.iter().enumerate().map(|(n, text)| format!("  case {n}u: {{ {text} }}\n"));
            format!("  switch (op) {{\n{}  default: VV_OTHERS\n  }}\n", cases.collect::<String>())
        } else {
            search(0, &fast, &code.weights)
        };
        let _ = writeln!(out, "VV_SLOW_BEGIN\n{slow}VV_SLOW_END\nVV_FAST_BEGIN\n{fast}VV_FAST_END");
        out
    }

    /// An operation that is rare or needs much, or what the fast one leaves; `None` if the fast one does all.
    fn slow(&self, op: &Op) -> Option<String> {
        let low = Immediate::Variable.low();
        Some(match op {
            Op::Load(op, _) | Op::LoadFar(op) => {
                format!("{} {}", address(op.bytes()), set(op.ty(), &load(*op, MemoryOperand::Address("ea"))))
            }
            Op::Store(op, _) | Op::StoreFar(op) => {
                let text = store(*op, MemoryOperand::Address("ea"), &from_bits(op.ty(), B), None);
                format!("{} {text};", address(op.bytes()))
            }
            Op::Trapping(op) => {
                let (declared, test, value) = division(*op);
                format!("{declared} u32 t = {test}; if (t) {{ VV_TRAP_HERE(t) }} {value}")
            }
            Op::Charge => "VV_CHARGE_HERE".into(),
            Op::Repeat => format!("VV_CHARGE_HERE pc = {low} / 16;"),
            Op::Call => "VV_TRAP_HERE(VV_STACK_EXHAUSTED)".into(),
            Op::CallIndirect => format!(
                "u32 f = (u32)x; if (f >= VV_TABLE_LENGTH) {{ VV_TRAP_HERE(VV_UNDEFINED_ELEMENT) }} f = VV_TABLE(f); \
                 if (!f) {{ VV_TRAP_HERE(VV_UNINITIALIZED_ELEMENT) }} f--; \
                 if (vv_rd32(VV_ROW(f) + 4) != {low}) {{ VV_TRAP_HERE(VV_INDIRECT_CALL_TYPE) }} \
                 VV_TRAP_HERE(VV_STACK_EXHAUSTED)"
            ),
            Op::Trap(kind) => format!("VV_TRAP_HERE(VV_{})", trap_name(*kind)),
            Op::Finish => "vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu); return VV_HALT;".into(),
            Op::Ask(call) => {
                self.on_operands(CALLS[*call].params, None, |s, args, _| self.suspend(s, *call, args, "pc", 0))
            }
            Op::Answer(call) => self.on_operands(CALLS[*call].params, Some(ValType::I32), |s, args, result| {
                self.answer(s, *call, args, Some(result), 0)
            }),
            Op::Write(call) => self.on_operands(CALLS[*call].params, Some(ValType::I32), |s, args, result| {
                self.write_or_flush(s, *call, args, Some(result), "pc - 1", 0)
            }),
            Op::Other(stmt, operands) => {
                let result = stmt.sets().first().and_then(|_| operands.last().copied());
                let operands = &operands[..operands.len() - usize::from(result.is_some())];
                self.on_operands(operands, result, |s, _, _| self.stmt(s, stmt))
            }
            _ => return None,
        })
    }

    /// Something on variables for the operands, which are read from the frame, and for the result, if there is one.
    fn on_operands(
        &self,
        operands: &[ValType],
        result: Option<ValType>,
        print: impl FnOnce(&mut Scope<'_>, &[ExprId], Var),
    ) -> String {
        let vars: Vec<ValType> = operands.iter().copied().chain(result).collect();
        let exprs = (0..vars.len() as u32).map(|v| Expr::Var(Var(v))).collect();
        let body = Body { vars, exprs, ..Body::default() };
        let mut s = Scope { interpreted: true, ..self.scope(0, &body, "return VV_HALT", false) };
        s.out.push('\n');
        for (i, ty) in operands.iter().enumerate() {
            line!(s, "{} v{i} = {};", ctype(*ty), operand(i, *ty));
        }
        let last = operands.len();
        if let Some(ty) = result {
            line!(s, "{} v{last};", ctype(ty));
        }
        let args: Vec<ExprId> = (0..last as u32).map(ExprId).collect();
        print(&mut s, &args, Var(last as u32));
        if let Some(ty) = result {
            line!(s, "r = {};", to_bits(ty, &format!("v{last}")));
        }
        s.out
    }
}

/// Finds the operation by comparisons, of which frequent ones take fewer: `weights` are those of the operations from
/// `first` on, and those without a text are left to the slow function. A compiler would make a balanced tree of a switch.
fn search(first: usize, texts: &[String], weights: &[u64]) -> String {
    if texts.is_empty() {
        return "  VV_OTHERS\n".into();
    }
    if weights.len() == 1 {
        return format!("  {{ {} }}\n", texts[0]);
    }
    // None is so rare that the tree gets deep.
    let least = weights.iter().sum::<u64>() / (4 * weights.len() as u64) + 1;
    let all: u64 = weights.iter().map(|weight| weight + least).sum();
    let mut before = 0;
    let half = weights.iter().position(|weight| {
        before += weight + least;
        2 * before >= all
    });
    let half = half.unwrap_or(0).clamp(1, (weights.len() - 1).min(texts.len()));
    let (near, far) = texts.split_at(half);
    format!(
        "  if (op < {}u) {{\n{}  }} else {{\n{}  }}\n",
        first + half,
        search(first, near, &weights[..half]),
        search(first + half, far, &weights[half..])
    )
}

/// Rows that the loop leaves to the slow function, though each of them is no reason for that.
fn again(op: &Op, processor: bool) -> Vec<&Op> {
    match op {
        Op::Fused(steps) => steps.iter().map(|step| &steps[usize::from(step.restart)].op).collect(),
        op => Some(op).filter(|op| op.rare(processor)).into_iter().collect(),
    }
}

/// An operation in the loop; `None` if its row is always left to the slow function.
fn fast_text(op: &Op, processor: bool) -> Option<String> {
    let alone = [Step::alone(op.clone())];
    let steps = if let Op::Fused(steps) = op { &steps[..] } else { &alone };
    if steps.iter().any(|step| step.op.rare(processor)) {
        return None;
    }
    let mut out = format!("VV_ROWS_{} ", steps.len());
    for (k, step) in steps.iter().enumerate() {
        let reads = step.op.reads();
        let slots = [format!("VV_X({k})"), format!("VV_Y({k})"), format!("VV_REG(VV_LOW({k}))")];
        let names = step.from.map(|from| from.map(|j| format!("r{j}")));
        let operand = |i: usize| names[i].clone().unwrap_or_else(|| slots[i].clone());
        if step.op.sets() {
            let _ = write!(out, "u64 r{k}; ");
        }
        out.push_str("{ ");
        for (i, name) in [A, B, "z"].into_iter().enumerate().filter(|(i, _)| reads[*i]) {
            let _ = write!(out, "u64 const {name} = {}; ", operand(i));
        }
        let text = step_text(&step.op, k, step.restart)?;
        if step.op.sets() && !matches!(step.op, Op::ReturnValue) {
            let _ = write!(out, "u64 r; {text} r{k} = r; ");
            if step.saved {
                let _ = write!(out, "VV_SET(VV_D({k}), r); ");
            }
        } else {
            out.push_str(&text);
        }
        out.push_str("} ");
    }
    let last = steps.last()?;
    if !last.op.goes() {
        let _ = write!(out, "VV_NEXT({})", steps.len());
    }
    Some(out)
}

/// What step `k` does. What it leaves to the slow function goes on at step `restart`.
fn step_text(op: &Op, k: usize, restart: u8) -> Option<String> {
    let go = format!("VV_GO({k})");
    let bail = format!("VV_LEAVE({restart})");
    let imm = Immediate::Row(k);
    let low = imm.low();
    Some(match op {
        Op::Load(op, align) => {
            let text = load(*op, aligned(op.bytes(), *align));
            format!("{} {}", near(op.bytes(), *align, imm, &bail), set(op.ty(), &text))
        }
        Op::Store(op, align) => {
            let text = store(*op, aligned(op.bytes(), *align), &from_bits(op.ty(), B), None);
            format!("{} {text};", near(op.bytes(), *align, imm, &bail))
        }
        Op::Trapping(op) => {
            let (declared, test, value) = division(*op);
            format!("{declared} if (VV_UNLIKELY({test})) {bail} {value}")
        }
        Op::SetGlobal => format!("vv_sw64(head, (u32)vv_pinned({low}), x);"),
        Op::Jump => go,
        Op::Charge => format!("if (VV_SPENT) {{ fuel++; {bail} }}"),
        Op::Repeat => format!("if (VV_SPENT) {{ fuel++; {bail} }} {go}"),
        Op::JumpIf => format!("if (x) {go}"),
        Op::JumpUnless => format!("if (!x) {go}"),
        Op::JumpBinary(op) => format!("if ({}) {go}", two(*op, B)),
        Op::JumpBinaryConst(op) => format!("if ({}) {go}", two(*op, &imm.high())),
        Op::Switch => {
            format!("u32 i = (u32)x < {low} ? (u32)x : {low}; VV_GO_TO(vv_rd32(VV_ROW_AT({k} + 1) + (u64)i * 4))")
        }
        Op::Call => format!("u32 f = {low}; VV_ENTER_FUNCTION(f, {k}, {bail})"),
        Op::CallIndirect => format!(
            "u32 f = (u32)x < VV_TABLE_LENGTH ? VV_TABLE((u32)x) : 0; if (!f) {bail} f--; \
             if (vv_rd32(VV_ROW(f) + 4) != {low}) {bail} VV_ENTER_FUNCTION(f, {k}, {bail})"
        ),
        Op::Return => "VV_LEAVE_FUNCTION".into(),
        Op::ReturnValue => "VV_LEAVE_FUNCTION_WITH(x)".into(),
        Op::LoadFar(_)
        | Op::StoreFar(_)
        | Op::Trap(_)
        | Op::Finish
        | Op::Ask(_)
        | Op::Answer(_)
        | Op::Write(_)
        | Op::Fused(_)
        | Op::Other(..) => return None,
        _ => return pure(op, imm),
    })
}

/// Operations that only compute.
fn pure(op: &Op, imm: Immediate) -> Option<String> {
    Some(match op {
        Op::Unary(op) => set(op.result(), &unary(*op, &format!("({})", from_bits(op.operands()[0], A)))),
        Op::Canonical => set(ValType::F32, &format!("VV_NAN32({})", from_bits(ValType::F32, A))),
        Op::Binary(op) => set(op.result(), &two(*op, B)),
        Op::BinaryConst(op) => set(op.result(), &two(*op, &imm.all())),
        Op::Const => format!("r = {};", imm.all()),
        Op::Move => "r = x;".into(),
        Op::GetGlobal => format!("r = vv_w64(head, (u32)vv_pinned({}));", imm.low()),
        Op::Select if matches!(imm, Immediate::Variable) => format!("r = VV_REG({}) ? x : y;", imm.low()),
        Op::Select => "r = z ? x : y;".into(),
        _ => return None,
    })
}

fn set(ty: ValType, text: &str) -> String {
    format!("r = {};", to_bits(ty, text))
}

/// An operator on the first operand and this one.
fn two(op: BinOp, second: &str) -> String {
    let types = op.operands();
    binary(op, &format!("({})", from_bits(types[0], A)), &format!("({})", from_bits(types[1], second)))
}

/// The operands of an operator that can trap, the code of the trap or 0, and what sets the result.
fn division(op: TrapOp) -> (String, String, String) {
    let types = op.operands();
    let ty = ctype(types[0]);
    let second = if types.len() > 1 { from_bits(types[1], B) } else { "0".into() };
    let (test, value) = trapping(op, "p", "q");
    (format!("{ty} p = {}, q = {second};", from_bits(types[0], A)), test, set(op.result(), &format!("({value})")))
}

/// The address of an access, and the test that it is in bounds.
fn address(bytes: u32) -> String {
    let low = Immediate::Variable.low();
    format!(
        "u32 ea = (u32)x + {low}; if ((u64)(u32)x + {low} + {bytes} > size) \
         {{ VV_TRAP_HERE(VV_OUT_OF_BOUNDS_MEMORY) }}"
    )
}

/// The memory operand of an access in the loop.
fn aligned(bytes: u32, align: u32) -> MemoryOperand<'static> {
    match align {
        _ if align >= bytes => MemoryOperand::Checked("ea", 0, bytes),
        4 => MemoryOperand::Checked("ea", 0, 4),
        _ => MemoryOperand::Address("ea"),
    }
}

/// The address in the loop, which only knows accesses in bounds that are aligned as they should be.
fn near(bytes: u32, align: u32, imm: Immediate, bail: &str) -> String {
    let (low, high) = (imm.low(), imm.high());
    let test = match align.min(bytes) {
        align if align == bytes && align > 1 || align == 4 => format!(" | VV_ODD(ea, {align}u)"),
        _ => String::new(),
    };
    format!("u32 ea = (u32)x + {low}; if (VV_UNLIKELY(((u32)x > size - {high}){test})) {bail}")
}

fn operand(i: usize, ty: ValType) -> String {
    from_bits(ty, &if i == 0 { A.into() } else { format!("VV_REG(a + {i})") })
}
