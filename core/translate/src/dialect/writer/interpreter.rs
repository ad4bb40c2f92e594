//! Writes an interpreter of a program's bytecode.
//!
//! Two functions: one that has all frequent operations in a loop, so small that its variables stay in registers and its
//! text in the instruction caches of a GPU, and one that runs a single row of any other kind, or one that is not as
//! usual: an access that is not aligned or out of bounds, a division by zero, the end of a slice of fuel.

use super::{Scope, Writer, trap_name};
use crate::ValType;
use crate::bytecode::{Code, Op};
use crate::dialect::expr::{MemoryOperand, binary, ctype, from_bits, load, store, to_bits, trapping, unary};
use crate::host::CALLS;
use crate::ir::{BinOp, Body, Expr, ExprId, TrapOp, UnOp, Var};
use std::fmt::Write as _;

/// So many operations, the most frequent ones, are found by fewer comparisons.
const FREQUENT: usize = 16;
/// The operands.
const A: &str = "x";
const B: &str = "y";
/// The immediate's halves.
const LOW: &str = "(u32)imm";
const HIGH: &str = "(u32)(imm >> 32)";

impl Writer<'_> {
    pub(super) fn interpreter(&self, code: &Code) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "#define VV_TABLE_ROW {}u", code.table);
        let _ = writeln!(out, "#define VV_SITES_ROW {}u", code.sites);
        let _ = writeln!(out, "#define VV_FUNCTIONS {}u", self.p.functions.len());
        let _ = writeln!(
            out,
            "#define VV_FREQUENT {}u",
            if code.ops.len() > FREQUENT { FREQUENT as u32 } else { u32::MAX }
        );
        out.push_str(include_str!("../prelude/interpret.h"));
        let (mut slow, mut fast) = (String::new(), String::new());
        for (n, op) in code.ops.iter().enumerate() {
            if let Some(text) = self.slow(op) {
                let _ = writeln!(slow, "  case {n}u: {{ {text} break; }}");
            }
            if n == FREQUENT {
                fast.push_str("  default: goto slow;\n  } else switch (op) {\n");
            }
            if let Some(text) = fast_text(op) {
                let _ = writeln!(fast, "  case {n}u: {{ {text} break; }}");
            }
        }
        let _ = writeln!(out, "VV_SLOW_BEGIN\n{slow}VV_SLOW_END\nVV_FAST_BEGIN\n{fast}VV_FAST_END");
        out
    }

    /// An operation that is rare or needs much, or what the fast one leaves; `None` if the fast one does all.
    fn slow(&self, op: &Op) -> Option<String> {
        Some(match op {
            Op::Unary(..) | Op::Binary(_) | Op::BinaryConst(_) if fast_text(op).is_none() => pure(op)?,
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
            Op::Repeat => format!("VV_CHARGE_HERE pc = {LOW} / 16;"),
            Op::Call => "VV_TRAP_HERE(VV_STACK_EXHAUSTED)".into(),
            Op::CallIndirect => format!(
                "u32 f = (u32)x; if (f >= VV_TABLE_LENGTH) {{ VV_TRAP_HERE(VV_UNDEFINED_ELEMENT) }} f = VV_TABLE(f); \
                 if (!f) {{ VV_TRAP_HERE(VV_UNINITIALIZED_ELEMENT) }} f--; \
                 if (vv_rd32(VV_ROW(f) + 4) != {LOW}) {{ VV_TRAP_HERE(VV_INDIRECT_CALL_TYPE) }} \
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
                self.write_or_flush(s, *call, args, result, "pc - 1", 0)
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

/// An operation in the loop, which may leave its row to the slow function; `None` if it always would.
fn fast_text(op: &Op) -> Option<String> {
    let go = format!("at = code + {LOW};");
    Some(match op {
        Op::Unary(UnOp::F32Sqrt | UnOp::F64Sqrt)
        | Op::Binary(BinOp::F32Div | BinOp::F64Div)
        | Op::BinaryConst(BinOp::F32Div | BinOp::F64Div) => return None,
        Op::Load(op, align) => {
            let text = load(*op, aligned(op.bytes(), *align));
            format!("{} {}", near(op.bytes(), *align), set(op.ty(), &text))
        }
        Op::Store(op, align) => {
            let text = store(*op, aligned(op.bytes(), *align), &from_bits(op.ty(), B), None);
            format!("{} {text};", near(op.bytes(), *align))
        }
        Op::Trapping(op @ (TrapOp::I32DivS | TrapOp::I32DivU | TrapOp::I32RemS | TrapOp::I32RemU)) => {
            let (declared, test, value) = division(*op);
            format!("{declared} if ({test}) goto slow; {value}")
        }
        Op::GetGlobal => format!("r = vv_w64(head, {LOW});"),
        Op::SetGlobal => format!("vv_sw64(head, {LOW}, x);"),
        Op::Jump => go,
        Op::Charge => "if (VV_SPENT) { fuel++; goto slow; }".into(),
        Op::Repeat => format!("if (VV_SPENT) {{ fuel++; goto slow; }} {go}"),
        Op::JumpIf => format!("if (x) {go}"),
        Op::JumpUnless => format!("if (!x) {go}"),
        Op::JumpBinary(op) => format!("if ({}) {go}", two(*op, B)),
        Op::JumpBinaryConst(op) => format!("if ({}) {go}", two(*op, HIGH)),
        Op::Switch => {
            format!("u32 i = (u32)x < {LOW} ? (u32)x : {LOW}; at = code + vv_rd32(at + (u64)i * 4);")
        }
        Op::Call => format!("u32 f = {LOW}; VV_ENTER_FUNCTION(f)"),
        Op::CallIndirect => format!(
            "u32 f = (u32)x < VV_TABLE_LENGTH ? VV_TABLE((u32)x) : 0; if (!f) goto slow; f--; \
             if (vv_rd32(VV_ROW(f) + 4) != {LOW}) goto slow; VV_ENTER_FUNCTION(f)"
        ),
        Op::Return => "VV_LEAVE_FUNCTION".into(),
        Op::ReturnValue => "r = x; VV_LEAVE_FUNCTION".into(),
        Op::LoadFar(_)
        | Op::StoreFar(_)
        | Op::Trapping(_)
        | Op::Trap(_)
        | Op::Finish
        | Op::Ask(_)
        | Op::Answer(_)
        | Op::Write(_)
        | Op::Other(..) => {
            return None;
        }
        _ => return pure(op),
    })
}

/// Operations that only compute.
fn pure(op: &Op) -> Option<String> {
    Some(match op {
        Op::Unary(op) => set(op.result(), &unary(*op, &format!("({})", from_bits(op.operands()[0], A)))),
        Op::Canonical => set(ValType::F32, &format!("VV_NAN32({})", from_bits(ValType::F32, A))),
        Op::Binary(op) => set(op.result(), &two(*op, B)),
        Op::BinaryConst(op) => set(op.result(), &two(*op, "imm")),
        Op::Const => "r = imm;".into(),
        Op::Move => "r = x;".into(),
        Op::Select => format!("r = VV_REG({LOW}) ? x : y;"),
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
    format!(
        "u32 ea = (u32)x + {LOW}; if ((u64)(u32)x + {LOW} + {bytes} > size) \
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
fn near(bytes: u32, align: u32) -> String {
    let test = match align.min(bytes) {
        align if align == bytes && align > 1 || align == 4 => format!(" | VV_ODD(ea, {align}u)"),
        _ => String::new(),
    };
    format!("u32 ea = (u32)x + {LOW}; if (VV_UNLIKELY(((u32)x > size - {HIGH}){test})) goto slow;")
}

fn operand(i: usize, ty: ValType) -> String {
    from_bits(ty, &if i == 0 { A.into() } else { format!("VV_REG(a + {i})") })
}
