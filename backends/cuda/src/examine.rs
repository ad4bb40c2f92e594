//! What compiling costs, by unit and function, without a device: spills and seconds from NVRTC's log, registers and
//! bytes of code from its binaries.

use crate::context::texts;
use crate::units::{Attribute, attributes};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSymbol, SymbolIndex, SymbolKind};
use std::collections::BTreeMap;
use vectorvisor_driver::gpu::compiler::Compiler;
use vectorvisor_driver::{Error, FunctionCost, Result, Source, UnitCost};

/// Compiles all units with these options.
pub fn examine(
    compiler: &Compiler,
    source: Source<'_>,
    options: &[String],
    each: &mut dyn FnMut(UnitCost),
) -> Result<()> {
    let (texts, mut options) = texts(source, options);
    options.push("--ptxas-options=-v".into());
    let mut bad = None;
    compiler.compile_each(&texts, &options, &|| Ok(()), &mut |unit, compiled| {
        let found = registers(&compiled.binary).and_then(|registers| Ok((registers, sizes(&compiled.binary)?)));
        let (registers, sizes) = found.unwrap_or_else(|error| {
            bad.get_or_insert(error);
            Default::default()
        });
        let mut functions = functions(&compiled.log);
        for function in &mut functions {
            function.registers = registers.get(&function.name).copied().unwrap_or(0);
            function.bytes = sizes.get(&function.name).copied().unwrap_or(0);
            function.name = unmangled(&function.name).to_owned();
        }
        each(UnitCost { unit, seconds: compiled.seconds, functions });
    })?;
    match bad {
        None => Ok(()),
        Some(error) => Err(Error::Device(format!(
            "no registers in what NVRTC made: {error}; name an architecture as sm_90, not as compute_90"
        ))),
    }
}

/// What ptxas logs about each function: a line with its name, one with its stack and spills, and one with its time.
fn functions(log: &str) -> Vec<FunctionCost> {
    let mut functions = Vec::<FunctionCost>::new();
    for line in log.lines() {
        // The number before these words.
        let before = |words: &str| -> Option<f64> { line.split_once(words)?.0.split_whitespace().last()?.parse().ok() };
        if let Some((_, name)) = line.split_once("Function properties for ") {
            let name = name.trim().to_owned();
            functions.push(FunctionCost { name, registers: 0, bytes: 0, spills: 0, stack: 0, seconds: 0.0 });
        } else if let Some(last) = functions.last_mut() {
            if let (Some(stack), Some(spills)) = (before("bytes stack frame"), before("bytes spill stores")) {
                (last.stack, last.spills) = (stack as u32, spills as u32);
            } else if line.contains("Compile time = ") {
                last.seconds = before(" ms").unwrap_or(0.0) / 1000.0;
            }
        }
    }
    functions
}

/// Registers by function.
fn registers(binary: &[u8]) -> object::Result<BTreeMap<String, u32>> {
    const REGISTERS: u8 = 0x2f;
    let file = ElfFile64::<LittleEndian>::parse(binary)?;
    let of_registers = attributes(&file)?.into_iter().filter(|attribute| attribute.kind == REGISTERS);
    let named =
        |Attribute { symbol, value, .. }| Ok((file.symbol_by_index(SymbolIndex(symbol))?.name()?.to_owned(), value));
    of_registers.map(named).collect()
}

/// Bytes of code by function.
fn sizes(binary: &[u8]) -> object::Result<BTreeMap<String, u32>> {
    let file = ElfFile64::<LittleEndian>::parse(binary)?;
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    functions.map(|symbol| Ok((symbol.name()?.to_owned(), u32::try_from(symbol.size()).unwrap_or(u32::MAX)))).collect()
}

/// The function's name in a mangled C++ name: `fn1` in `_Z3fn1P2VM` and in `_ZN8internal3fn1EP2VM`.
fn unmangled(mangled: &str) -> &str {
    let nested = mangled.strip_prefix("_ZN");
    let Some(mut rest) = nested.or(mangled.strip_prefix("_Z")) else { return mangled };
    let mut name = mangled;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(length) = rest[..digits].parse() else { return name };
        let Some((one, after)) = rest[digits..].split_at_checked(length) else { return name };
        (name, rest) = (one, after);
        if nested.is_none() {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unmangled() {
        assert_eq!(unmangled("_Z5fn332P2VMjjjj"), "fn332");
        assert_eq!(unmangled("_ZN31_INTERNAL_00000000_1_k_02d573447vv_copyEPhjjj"), "vv_copy");
        assert_eq!(unmangled("vv_run"), "vv_run");
        assert_eq!(unmangled("_Z99x"), "_Z99x");
    }

    /// Needs NVRTC, but no device.
    #[test]
    fn costs_are_reported_without_a_device() {
        let nvrtc = match crate::nvrtc::nvrtc() {
            Ok(nvrtc) => nvrtc,
            Err(error) => return println!("skipped: {error}"),
        };
        let unit = |n: u32| format!("__device__ __noinline__ float f{n}(float x) {{ return x * x + {n}; }}\n");
        let mut units: Vec<_> = (0..3).map(unit).collect();
        units.push("extern \"C\" __global__ void k(float *x) { x[0] = f0(x[1]) + f1(x[2]) + f2(x[3]); }".into());
        let header = (0..3).map(|n| format!("__device__ float f{n}(float x);\n")).collect::<String>();
        let mut reported = Vec::new();
        let options = crate::options(false, "--gpu-architecture=sm_90".into());
        let source = Source { header: &header, units: &units, registers: 0 };
        examine(&nvrtc.compiler, source, &options, &mut |unit| reported.push(unit)).expect("they compile");
        reported.sort_by_key(|unit| unit.unit);
        assert_eq!(reported.len(), 4);
        for (unit, name) in reported.iter().zip(["f0", "f1", "f2", "k"]) {
            let function = unit.functions.iter().find(|function| function.name == name).expect(name);
            assert!(function.registers > 0 && function.bytes > 0 && unit.seconds > 0.0, "{unit:?}");
        }
    }
}
