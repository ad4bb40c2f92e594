//! WebAssembly numbers as text: arguments of `--invoke`, and results.

use crate::{Error, Result};
use std::fmt;
use vectorvisor_translate::ValType;

/// A WebAssembly number. Floats are kept as their bits, so that every NaN survives.
///
/// ```
/// use vectorvisor::{ValType, Value};
/// let value = Value::parse(ValType::I32, "0xffffffff")?;
/// assert_eq!(value, Value::I32(-1));
/// assert_eq!(Value::parse(ValType::F64, "1.50")?.to_string(), "1.5");
/// # Ok::<(), vectorvisor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// 32-bit integer.
    I32(i32),
    /// 64-bit integer.
    I64(i64),
    /// Bits of a 32-bit float.
    F32(u32),
    /// Bits of a 64-bit float.
    F64(u64),
}

impl Value {
    /// Its type.
    pub fn ty(self) -> ValType {
        match self {
            Self::I32(_) => ValType::I32,
            Self::I64(_) => ValType::I64,
            Self::F32(_) => ValType::F32,
            Self::F64(_) => ValType::F64,
        }
    }

    /// Reads a number of a type. Integers may be signed or unsigned, decimal or `0x`; floats may be `nan` or `inf`.
    ///
    /// # Errors
    /// [`Error::Value`] if the text is no number or does not fit.
    pub fn parse(ty: ValType, text: &str) -> Result<Self> {
        let t = text.trim();
        let (type_name, expected, value) = match ty {
            ValType::I32 => (
                "an i32",
                "give a whole number from -2147483648 to 4294967295, decimal or 0x...",
                integer(t)
                    .filter(|v| (i128::from(i32::MIN)..=i128::from(u32::MAX)).contains(v))
                    .map(|v| Self::I32(v as u32 as i32)),
            ),
            ValType::I64 => (
                "an i64",
                "give a whole number from -2^63 to 2^64-1, decimal or 0x...",
                integer(t)
                    .filter(|v| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(v))
                    .map(|v| Self::I64(v as u64 as i64)),
            ),
            ValType::F32 => {
                ("an f32", "give a number, nan or inf", t.parse::<f32>().ok().map(|v| Self::F32(v.to_bits())))
            }
            ValType::F64 => {
                ("an f64", "give a number, nan or inf", t.parse::<f64>().ok().map(|v| Self::F64(v.to_bits())))
            }
        };
        value.ok_or_else(|| Error::Value { text: text.into(), type_name, expected })
    }

    /// As the kernel takes it: one u64.
    pub(crate) fn word(self) -> u64 {
        match self {
            Self::I32(v) => u64::from(v as u32),
            Self::I64(v) => v as u64,
            Self::F32(v) => u64::from(v),
            Self::F64(v) => v,
        }
    }

    /// A value from a 64-bit word that the kernel returned.
    pub(crate) fn of_word(ty: ValType, word: u64) -> Self {
        match ty {
            ValType::I32 => Self::I32(word as u32 as i32),
            ValType::I64 => Self::I64(word as i64),
            ValType::F32 => Self::F32(word as u32),
            ValType::F64 => Self::F64(word),
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // `from_str_radix` would take a second sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with(['+', '-']) => i128::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::I32(v) => write!(f, "{v}"),
            Self::I64(v) => write!(f, "{v}"),
            Self::F32(v) => write!(f, "{}", f32::from_bits(v)),
            Self::F64(v) => write!(f, "{}", f64::from_bits(v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_signed_or_unsigned() -> Result<()> {
        for (text, value) in [("-1", -1), ("4294967295", -1), ("0xFFFFFFFF", -1), ("-2147483648", i32::MIN), ("+7", 7)]
        {
            assert_eq!(Value::parse(ValType::I32, text)?, Value::I32(value), "{text}");
        }
        for (text, value) in
            [("18446744073709551615", -1), ("-9223372036854775808", i64::MIN), ("0x10", 16), ("1_000", 1000)]
        {
            assert_eq!(Value::parse(ValType::I64, text)?, Value::I64(value), "{text}");
        }
        for text in ["", "-", "4294967296", "-2147483649", "1.5", "0x", "--1", "0x-1", "ten"] {
            assert!(Value::parse(ValType::I32, text).is_err(), "{text:?}");
        }
        Ok(())
    }

    #[test]
    fn floats_print_their_shortest_text() -> Result<()> {
        for (text, printed) in [
            ("0.1", "0.1"),
            ("1", "1"),
            ("-0", "-0"),
            ("inf", "inf"),
            ("-inf", "-inf"),
            ("nan", "NaN"),
            ("1e3", "1000"),
        ] {
            assert_eq!(Value::parse(ValType::F32, text)?.to_string(), printed);
            assert_eq!(Value::parse(ValType::F64, text)?.to_string(), printed);
        }
        assert!(Value::parse(ValType::F64, "one").is_err());
        Ok(())
    }

    #[test]
    fn words_round_trip() {
        for value in [Value::I32(-5), Value::I64(i64::MIN), Value::F32(0x7fc0_0001), Value::F64(0x7ff8_0000_0000_0001)]
        {
            assert_eq!(Value::of_word(value.ty(), value.word()), value);
        }
        assert_eq!(Value::I32(-1).word(), 0xffff_ffff);
    }
}
