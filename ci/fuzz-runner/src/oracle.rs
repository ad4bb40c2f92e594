//! Wasmtime, the oracle: its answers are the expected ones.

use crate::case::{Answer, Case, Request};
use crate::wasmtime::{Engine, Failure, Module};
use vectorvisor::TrapKind;

/// Wasmtime's fuel for a call, in case shrinking removed a module's own limit.
const FUEL: u64 = 50_000_000;

/// Wasmtime.
pub struct Oracle(Engine);

impl Oracle {
    pub fn new() -> Result<Self, String> {
        Engine::open().map(Self)
    }

    /// The answers of each VM: to the instantiation and, unless that traps, to each call.
    pub fn answers(&self, case: &Case, vms: usize) -> Result<Vec<Vec<Answer>>, String> {
        let module = self.0.module(&case.wasm)?;
        (0..vms).map(|vm| Self::vm(&module, case.calls(vm))).collect()
    }

    fn vm(module: &Module<'_>, calls: &[Request]) -> Result<Vec<Answer>, String> {
        let mut instance = match module.instantiate(FUEL) {
            Ok(instance) => instance,
            Err(failure) => return Ok(vec![failed(failure)]),
        };
        let mut answers = vec![Answer::Values(Vec::new())];
        for Request { export, args } in calls {
            let Some(ended) = instance.call(export, args, FUEL) else {
                return Err(format!("there is no function {export:?}"));
            };
            answers.push(ended.map_or_else(failed, Answer::Values));
        }
        Ok(answers)
    }
}

fn failed(failure: Failure) -> Answer {
    let code = match failure {
        Failure::Trap(code) => code,
        Failure::Other(text) => return Answer::Other(text),
    };
    Answer::Trap(match code {
        0 => TrapKind::StackExhausted,
        1 => TrapKind::OutOfBoundsMemory,
        3 => TrapKind::OutOfBoundsTable,
        4 => TrapKind::UninitializedElement,
        5 => TrapKind::IndirectCallType,
        6 => TrapKind::IntegerOverflow,
        7 => TrapKind::DivideByZero,
        8 => TrapKind::InvalidConversion,
        9 => TrapKind::Unreachable,
        _ => return Answer::Other(format!("Wasmtime's trap {code}")),
    })
}
