//! Expressions to text. Every subexpression is in parentheses or a call, so precedence never matters.

use crate::ValType;
use crate::ir::{BinOp, Body, Expr, ExprId, LoadOp, StoreOp, TrapOp, UnOp};

/// The C type of a wasm type.
pub fn ctype(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "u32",
        ValType::I64 => "u64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
    }
}

fn constant(ty: ValType, bits: u64) -> String {
    match ty {
        ValType::I32 if bits < 10 => format!("{bits}u"),
        ValType::I32 => format!("{:#x}u", bits as u32),
        ValType::I64 => format!("(u64){bits:#x}u"),
        ValType::F32 => format!("vv_f32({:#x}u)", bits as u32),
        ValType::F64 => format!("vv_f64((u64){bits:#x}u)"),
    }
}

/// A value as the 64 bits of a frame slot.
pub fn to_bits(ty: ValType, text: &str) -> String {
    match ty {
        ValType::I32 => format!("(u64)({text})"),
        ValType::I64 => text.to_string(),
        ValType::F32 => format!("(u64)vv_i32_reinterpret({text})"),
        ValType::F64 => format!("vv_i64_reinterpret({text})"),
    }
}

/// The value in the 64 bits of a frame slot.
pub fn from_bits(ty: ValType, text: &str) -> String {
    match ty {
        ValType::I32 => format!("(u32)({text})"),
        ValType::I64 => text.to_string(),
        ValType::F32 => format!("vv_f32((u32)({text}))"),
        ValType::F64 => format!("vv_f64({text})"),
    }
}

/// An expression.
pub fn expr(body: &Body, id: ExprId) -> String {
    match body.expr(id) {
        Expr::Const(ty, bits) => constant(ty, bits),
        Expr::Var(v) => format!("v{}", v.0),
        Expr::Unary(op, a) => unary(op, &expr(body, a)),
        Expr::Canonical(a) => format!("VV_NAN32({})", expr(body, a)),
        Expr::Binary(op, a, b) => same(body, op, a, b).unwrap_or_else(|| binary(op, &expr(body, a), &expr(body, b))),
        Expr::Select { cond, then, otherwise } => {
            format!("({} ? {} : {})", expr(body, cond), expr(body, then), expr(body, otherwise))
        }
    }
}

/// An expression as a condition: without the 0 or 1 around a comparison.
pub fn condition(body: &Body, id: ExprId) -> String {
    match body.expr(id) {
        Expr::Unary(UnOp::I32Eqz | UnOp::I64Eqz, a) => format!("!{}", expr(body, a)),
        _ => expr(body, id),
    }
}

/// An operator on one operand, which is a name, a call or in parentheses.
pub fn unary(op: UnOp, a: &str) -> String {
    use UnOp::*;
    match op {
        I32Clz => format!("vv_clz32({a})"),
        I32Ctz => format!("vv_ctz32({a})"),
        I32Popcnt => format!("vv_popcnt32({a})"),
        I64Clz => format!("vv_clz64({a})"),
        I64Ctz => format!("vv_ctz64({a})"),
        I64Popcnt => format!("vv_popcnt64({a})"),
        I32Eqz | I64Eqz => format!("(u32)({a} == 0)"),
        I32WrapI64 => format!("(u32){a}"),
        I64ExtendI32S => format!("(u64)(s64)(s32){a}"),
        I64ExtendI32U => format!("(u64){a}"),
        I32Extend8S => format!("(u32)(s32)(s8){a}"),
        I32Extend16S => format!("(u32)(s32)(s16){a}"),
        I64Extend8S => format!("(u64)(s64)(s8){a}"),
        I64Extend16S => format!("(u64)(s64)(s16){a}"),
        I64Extend32S => format!("(u64)(s64)(s32){a}"),
        F32Abs => format!("vv_f32_abs({a})"),
        F32Neg => format!("vv_f32_neg({a})"),
        F32Ceil => format!("vv_f32_ceil({a})"),
        F32Floor => format!("vv_f32_floor({a})"),
        F32Trunc => format!("vv_f32_trunc({a})"),
        F32Nearest => format!("vv_f32_nearest({a})"),
        F32Sqrt => format!("vv_f32_sqrt({a})"),
        F64Abs => format!("vv_f64_abs({a})"),
        F64Neg => format!("vv_f64_neg({a})"),
        F64Ceil => format!("vv_f64_ceil({a})"),
        F64Floor => format!("vv_f64_floor({a})"),
        F64Trunc => format!("vv_f64_trunc({a})"),
        F64Nearest => format!("vv_f64_nearest({a})"),
        F64Sqrt => format!("vv_f64_sqrt({a})"),
        F32ConvertI32S => format!("(f32)(s32){a}"),
        F32ConvertI32U => format!("(f32){a}"),
        F32ConvertI64S => format!("(f32)(s64){a}"),
        F32ConvertI64U => format!("(f32){a}"),
        F64ConvertI32S => format!("(f64)(s32){a}"),
        F64ConvertI32U => format!("(f64){a}"),
        F64ConvertI64S => format!("(f64)(s64){a}"),
        F64ConvertI64U => format!("(f64){a}"),
        F32DemoteF64 => format!("vv_f32_demote({a})"),
        F64PromoteF32 => format!("(f64){a}"),
        I32ReinterpretF32 => format!("vv_i32_reinterpret({a})"),
        I64ReinterpretF64 => format!("vv_i64_reinterpret({a})"),
        F32ReinterpretI32 => format!("vv_f32({a})"),
        F64ReinterpretI64 => format!("vv_f64({a})"),
        I32TruncSatF32S => format!("vv_i32_sat_f32_s({a})"),
        I32TruncSatF32U => format!("vv_i32_sat_f32_u({a})"),
        I32TruncSatF64S => format!("vv_i32_sat_f64_s({a})"),
        I32TruncSatF64U => format!("vv_i32_sat_f64_u({a})"),
        I64TruncSatF32S => format!("vv_i64_sat_f32_s({a})"),
        I64TruncSatF32U => format!("vv_i64_sat_f32_u({a})"),
        I64TruncSatF64S => format!("vv_i64_sat_f64_s({a})"),
        I64TruncSatF64U => format!("vv_i64_sat_f64_u({a})"),
    }
}

/// Arithmetic with 0 and 1 that gives the other operand, or its negation. Compilers remove such operations and let a
/// signalling NaN through, which the spec makes quiet.
fn same(body: &Body, op: BinOp, a: ExprId, b: ExprId) -> Option<String> {
    use BinOp::*;
    let constant = |e| match body.expr(e) {
        Expr::Const(ValType::F32, bits) => Some(f64::from(f32::from_bits(bits as u32))),
        Expr::Const(ValType::F64, bits) => Some(f64::from_bits(bits)),
        _ => None,
    };
    let is = |e, value: f64| constant(e).is_some_and(|c| c.to_bits() == value.to_bits());
    let (other, negative) = match op {
        F32Add | F64Add if is(b, -0.0) => (a, false),
        F32Add | F64Add if is(a, -0.0) => (b, false),
        F32Sub | F64Sub if is(b, 0.0) => (a, false),
        F32Sub | F64Sub if is(a, -0.0) => (b, true),
        F32Mul | F64Mul if is(b, 1.0) || is(b, -1.0) => (a, is(b, -1.0)),
        F32Mul | F64Mul if is(a, 1.0) || is(a, -1.0) => (b, is(a, -1.0)),
        F32Div | F64Div if is(b, 1.0) || is(b, -1.0) => (a, is(b, -1.0)),
        _ => return None,
    };
    let ty = if op.result() == ValType::F32 { "f32" } else { "f64" };
    let same = format!("vv_{ty}_same({})", expr(body, other));
    Some(if negative { format!("vv_{ty}_neg({same})") } else { same })
}

/// The same with two.
pub fn binary(op: BinOp, a: &str, b: &str) -> String {
    use BinOp::*;
    let infix = |o: &str| format!("({a} {o} {b})");
    let compare = |o: &str| format!("(u32)({a} {o} {b})");
    match op {
        I32Add | I64Add | F32Add | F64Add => infix("+"),
        I32Sub | I64Sub | F32Sub | F64Sub => infix("-"),
        I32Mul | I64Mul | F32Mul | F64Mul => infix("*"),
        F32Div => format!("vv_f32_div({a}, {b})"),
        F64Div => infix("/"),
        I32And | I64And => infix("&"),
        I32Or | I64Or => infix("|"),
        I32Xor | I64Xor => infix("^"),
        I32Shl => format!("({a} << ({b} & 31))"),
        I64Shl => format!("({a} << ({b} & 63))"),
        I32ShrU => format!("({a} >> ({b} & 31))"),
        I64ShrU => format!("({a} >> ({b} & 63))"),
        I32ShrS => format!("(u32)((s32){a} >> ({b} & 31))"),
        I64ShrS => format!("(u64)((s64){a} >> ({b} & 63))"),
        I32Rotl => format!("vv_rotl32({a}, {b})"),
        I32Rotr => format!("vv_rotr32({a}, {b})"),
        I64Rotl => format!("vv_rotl64({a}, {b})"),
        I64Rotr => format!("vv_rotr64({a}, {b})"),
        I32Eq | I64Eq | F32Eq | F64Eq => compare("=="),
        I32Ne | I64Ne | F32Ne | F64Ne => compare("!="),
        I32LtU | I64LtU | F32Lt | F64Lt => compare("<"),
        I32GtU | I64GtU | F32Gt | F64Gt => compare(">"),
        I32LeU | I64LeU | F32Le | F64Le => compare("<="),
        I32GeU | I64GeU | F32Ge | F64Ge => compare(">="),
        I32LtS => format!("(u32)((s32){a} < (s32){b})"),
        I32GtS => format!("(u32)((s32){a} > (s32){b})"),
        I32LeS => format!("(u32)((s32){a} <= (s32){b})"),
        I32GeS => format!("(u32)((s32){a} >= (s32){b})"),
        I64LtS => format!("(u32)((s64){a} < (s64){b})"),
        I64GtS => format!("(u32)((s64){a} > (s64){b})"),
        I64LeS => format!("(u32)((s64){a} <= (s64){b})"),
        I64GeS => format!("(u32)((s64){a} >= (s64){b})"),
        F32Min => format!("vv_f32_min({a}, {b})"),
        F32Max => format!("vv_f32_max({a}, {b})"),
        F32Copysign => format!("vv_f32_copysign({a}, {b})"),
        F64Min => format!("vv_f64_min({a}, {b})"),
        F64Max => format!("vv_f64_max({a}, {b})"),
        F64Copysign => format!("vv_f64_copysign({a}, {b})"),
    }
}

/// The memory operand of a load or store.
#[derive(Clone, Copy)]
pub enum MemoryOperand<'a> {
    /// An effective address of unknown alignment.
    Address(&'a str),
    /// A checked address, an offset above it, and the alignment of their sum in bytes.
    Checked(&'a str, u32, u32),
    /// An address in data that all VMs share, and an offset above it; their sum is aligned.
    Shared(&'a str, u32),
}

/// The beginning of the call of a helper that loads or stores so many bytes.
fn access(load: bool, bytes: u32, at: MemoryOperand<'_>) -> String {
    let bits = 8 * bytes;
    let (near, any) = if load { ("", "ld") } else { ("s", "st") };
    match at {
        MemoryOperand::Shared(a, offset) => format!("vv_ro{bits}(shared, {a} + {offset}u"),
        MemoryOperand::Checked(a, offset, align) if align >= bytes => format!("vv_{near}a{bits}(mem, {a}, {offset}u"),
        MemoryOperand::Checked(a, offset, 4) if bytes == 8 => format!("vv_{near}h64(mem, {a}, {offset}u"),
        MemoryOperand::Checked(a, 0, _) | MemoryOperand::Address(a) => format!("vv_{any}{bits}(mem, {a}"),
        MemoryOperand::Checked(a, offset, _) => format!("vv_{any}{bits}(mem, {a} + {offset}u"),
    }
}

/// The value of a load.
pub fn load(op: LoadOp, at: MemoryOperand<'_>) -> String {
    use LoadOp::*;
    let bits = access(true, op.bytes(), at) + ")";
    match op {
        I32Load | I64Load | I32Load8U | I32Load16U => bits,
        F32Load => format!("vv_f32({bits})"),
        F64Load => format!("vv_f64({bits})"),
        I32Load8S => format!("(u32)(s32)(s8){bits}"),
        I32Load16S => format!("(u32)(s32)(s16){bits}"),
        I64Load8U | I64Load16U | I64Load32U => format!("(u64){bits}"),
        I64Load8S => format!("(u64)(s64)(s8){bits}"),
        I64Load16S => format!("(u64)(s64)(s16){bits}"),
        I64Load32S => format!("(u64)(s64)(s32){bits}"),
    }
}

/// A store. `after` is a variable of the same type whose load it has to wait for.
pub fn store(op: StoreOp, at: MemoryOperand<'_>, value: &str, after: Option<&str>) -> String {
    use StoreOp::*;
    let cast = match op {
        I32Store | I64Store | I32Store8 | I32Store16 => "",
        F32Store => "vv_i32_reinterpret",
        F64Store => "vv_i64_reinterpret",
        I64Store8 | I64Store16 | I64Store32 => "(u32)",
    };
    let wait = after.map_or(String::new(), |v| format!(" | ({cast}({v}) & zero)"));
    format!("{}, {cast}({value}){wait})", access(false, op.bytes(), at))
}

/// A trapping operation on simple operands: the trap code (0 = none), and the value if there is none.
pub fn trapping(op: TrapOp, a: &str, b: &str) -> (String, String) {
    use TrapOp::*;
    let zero = format!("{b} == 0 ? VV_DIVIDE_BY_ZERO : 0u");
    let signed = |min: &str, minus: &str| {
        format!("{b} == 0 ? VV_DIVIDE_BY_ZERO : {a} == {min} && {b} == {minus} ? VV_INTEGER_OVERFLOW : 0u")
    };
    let range = |f: &str, low: &str, closed: u32, high: &str| {
        let suffix = if f == "32" { "f" } else { "" };
        format!("vv_range{f}({a}, {low}{suffix}, {closed}u, {high}{suffix})")
    };
    const P31: &str = "2147483648.0";
    const P32: &str = "4294967296.0";
    const P63: &str = "9223372036854775808.0";
    const P64: &str = "18446744073709551616.0";
    match op {
        I32DivU | I64DivU => (zero, format!("{a} / {b}")),
        I32RemU | I64RemU => (zero, format!("{a} % {b}")),
        I32DivS => (signed("0x80000000u", "0xffffffffu"), format!("(u32)((s32){a} / (s32){b})")),
        I64DivS => {
            (signed("(u64)0x8000000000000000u", "(u64)0xffffffffffffffffu"), format!("(u64)((s64){a} / (s64){b})"))
        }
        // INT_MIN % -1 is 0 in wasm and undefined in C.
        I32RemS => (zero, format!("{b} == 0xffffffffu ? 0u : (u32)((s32){a} % (s32){b})")),
        I64RemS => (zero, format!("{b} == (u64)0xffffffffffffffffu ? (u64)0u : (u64)((s64){a} % (s64){b})")),
        I32TruncF32S => (range("32", &format!("-{P31}"), 1, P31), format!("(u32)(s32){a}")),
        I32TruncF32U => (range("32", "-1.0", 0, P32), format!("(u32){a}")),
        I32TruncF64S => (range("64", "-2147483649.0", 0, P31), format!("(u32)(s32){a}")),
        I32TruncF64U => (range("64", "-1.0", 0, P32), format!("(u32){a}")),
        I64TruncF32S => (range("32", &format!("-{P63}"), 1, P63), format!("(u64)(s64){a}")),
        I64TruncF32U => (range("32", "-1.0", 0, P64), format!("(u64){a}")),
        I64TruncF64S => (range("64", &format!("-{P63}"), 1, P63), format!("(u64)(s64){a}")),
        I64TruncF64U => (range("64", "-1.0", 0, P64), format!("(u64){a}")),
    }
}
