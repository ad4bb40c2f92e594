//! Wasmtime, the oracle: its answers are the expected ones.

use crate::case::{Answer, Case, Request};
use vectorvisor::{TrapKind, Value};
use wasmtime::{Config, Engine, Error, Instance, Module, Store, Trap, Val};

/// Wasmtime's fuel for a call, in case shrinking removed a module's own limit.
const FUEL: u64 = 50_000_000;

/// Wasmtime.
pub struct Oracle(Engine);

impl Oracle {
    pub fn new() -> Result<Self, String> {
        let mut config = Config::new();
        config.consume_fuel(true);
        Engine::new(&config).map(Self).map_err(|e| e.to_string())
    }

    /// The answers of each VM: to the instantiation and, unless that traps, to each call.
    pub fn answers(&self, case: &Case, vms: usize) -> Result<Vec<Vec<Answer>>, String> {
        let module = Module::new(&self.0, &case.wasm).map_err(|e| e.to_string())?;
        (0..vms).map(|vm| self.vm(&module, case.calls(vm)).map_err(|e| e.to_string())).collect()
    }

    fn vm(&self, module: &Module, calls: &[Request]) -> Result<Vec<Answer>, Error> {
        let mut store = Store::new(&self.0, ());
        store.set_fuel(FUEL)?;
        let instance = match Instance::new(&mut store, module, &[]) {
            Ok(instance) => instance,
            Err(error) => return Ok(vec![trap(&error)]),
        };
        let mut answers = vec![Answer::Values(Vec::new())];
        for Request { export, args } in calls {
            let Some(function) = instance.get_func(&mut store, export) else {
                return Err(Error::msg(format!("there is no function {export:?}")));
            };
            let args: Vec<Val> = args.iter().map(|v| val(*v)).collect();
            let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
            store.set_fuel(FUEL)?;
            answers.push(match function.call(&mut store, &args, &mut results) {
                Ok(()) => Answer::Values(results.iter().filter_map(value).collect()),
                Err(error) => trap(&error),
            });
        }
        Ok(answers)
    }
}

fn val(value: Value) -> Val {
    match value {
        Value::I32(v) => Val::I32(v),
        Value::I64(v) => Val::I64(v),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
    }
}

fn value(val: &Val) -> Option<Value> {
    Some(match *val {
        Val::I32(v) => Value::I32(v),
        Val::I64(v) => Value::I64(v),
        Val::F32(bits) => Value::F32(bits),
        Val::F64(bits) => Value::F64(bits),
        _ => return None,
    })
}

fn trap(error: &Error) -> Answer {
    Answer::Trap(match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => TrapKind::Unreachable,
        Some(Trap::IntegerDivisionByZero) => TrapKind::DivideByZero,
        Some(Trap::IntegerOverflow) => TrapKind::IntegerOverflow,
        Some(Trap::BadConversionToInteger) => TrapKind::InvalidConversion,
        Some(Trap::MemoryOutOfBounds) => TrapKind::OutOfBoundsMemory,
        Some(Trap::TableOutOfBounds) => TrapKind::OutOfBoundsTable,
        Some(Trap::IndirectCallToNull) => TrapKind::UninitializedElement,
        Some(Trap::BadSignature) => TrapKind::IndirectCallType,
        Some(Trap::StackOverflow) => TrapKind::StackExhausted,
        _ => return Answer::Other(format!("{error:#}")),
    })
}
