//! The target "differential": compares the answers of VectorVisor and Wasmtime to the same calls.

use crate::case::{Answer, Case, Setup};
use crate::generate::Program;
use crate::oracle::Oracle;
use crate::{Tally, subject};
use std::time::{Duration, Instant};
use vectorvisor::{Engine, TrapKind};
use wasm_shrink::WasmShrink;

/// Failed attempts in a row after which shrinking ends; each costs a run of the compiler.
const ATTEMPTS: u32 = 150;
/// The time after which shrinking ends.
const SHRINKING: Duration = Duration::from_secs(180);

/// VectorVisor and Wasmtime.
pub struct Differential {
    pub engine: Engine,
    pub oracle: Oracle,
}

/// An answer that is wrong.
#[derive(Debug)]
pub struct Mismatch {
    case: usize,
    vm: usize,
    /// 0 is the instantiation.
    step: usize,
    expected: String,
    found: String,
}

impl Differential {
    /// Runs a program on both sides.
    ///
    /// # Errors
    /// One side does not run it at all.
    pub fn compare(&self, program: &Program, tally: &mut Tally) -> Result<Option<Mismatch>, String> {
        let Program { setup, cases } = program;
        let found = subject::answers(&self.engine, setup, cases)?;
        let mut mismatch = None;
        for (i, case) in cases.iter().enumerate() {
            let expected = self.oracle.answers(case, setup.vms()).map_err(|e| format!("Wasmtime: {e}"))?;
            tally.modules += 1;
            for vm in 0..setup.vms() {
                tally.vms += 1;
                if let Some((step, expected, found)) = compare(setup, &expected[vm], &found[i][vm], tally) {
                    mismatch.get_or_insert(Mismatch { case: i, vm, step, expected, found });
                }
            }
        }
        Ok(mismatch)
    }

    /// Passes to `keep` the text of a file for a program with a mismatch: first the module that has it, then the same
    /// module shrunk.
    pub fn explain(&self, program: &Program, mismatch: Result<Mismatch, String>, keep: &dyn Fn(&str)) {
        let setup = &program.setup;
        let run = |case: &Case| {
            let program = Program { setup: setup.clone(), cases: vec![case.clone()] };
            self.compare(&program, &mut Tally::default())
        };
        // While shrinking, a wrong answer may change into another wrong one, but an error has to stay the same.
        let kind = mismatch.as_ref().err().map(|error| first_words(error));
        let same = |case: &Case| match (run(case), &kind) {
            (Ok(Some(_)), None) => true,
            (Err(error), Some(kind)) => first_words(&error) == *kind,
            _ => false,
        };
        let alone = || {
            let Ok(mismatch) = &mismatch else { return program.cases.iter().find(|case| same(case)).cloned() };
            let case = &program.cases[mismatch.case];
            // First try the calls of the VM with the mismatch, up to the wrong one, in every VM.
            let calls = case.calls(mismatch.vm)[..mismatch.step].to_vec();
            let short = Case { wasm: case.wasm.clone(), calls: vec![calls] };
            [short, case.clone()].into_iter().find(same)
        };
        let Some(mut case) = alone() else {
            let reason = mismatch.map_or_else(|error| error, |mismatch| mismatch.to_string());
            return keep(&format!("{reason}\nonly together with the other modules, or not reproducible\n"));
        };
        let text = |case: &Case| {
            let remark = match run(case) {
                Ok(mismatch) => mismatch.map_or("not reproducible".into(), |mismatch| mismatch.to_string()),
                Err(error) => error,
            };
            case.text(setup, &remark)
        };
        keep(&text(&case));
        let end = Instant::now() + SHRINKING;
        let still = |wasm: &[u8]| Instant::now() < end && case.with(wasm).is_some_and(|case| same(&case));
        let smaller = WasmShrink::default().attempts(ATTEMPTS).run(case.wasm.clone(), |wasm| Ok(still(wasm)));
        if let Ok(info) = smaller {
            case.wasm = info.output;
            keep(&text(&case));
        }
    }
}

/// The beginning of an error, before the first number, since numbers change with the module.
fn first_words(error: &str) -> String {
    error.chars().take_while(|c| !c.is_ascii_digit()).take(40).collect()
}

/// The first wrong answer of a VM. Answers that cannot be compared are counted as skipped:
/// - from a call on that exhausts the call stack on either side, since their limits differ;
/// - after an access out of bounds in `sticky` mode, in which the VM goes on for a while; with `Bounds::Capacity`,
///   which misses some accesses, from that call on;
/// - from a call on that ends on Wasmtime as no generated module should, because shrinking removed its limits.
///
/// An input of a fleet has one end: that of its only call, or of the instantiation before it.
fn compare(setup: &Setup, expected: &[Answer], found: &[Answer], tally: &mut Tally) -> Option<(usize, String, String)> {
    let exhausted = Answer::Trap(TrapKind::StackExhausted);
    let out = Answer::Trap(TrapKind::OutOfBoundsMemory);
    let unseen = if setup.natural { expected.len().saturating_sub(1) } else { 0 };
    for (step, want) in expected.iter().enumerate().skip(unseen) {
        let Some(got) = found.get(step - unseen) else {
            return Some((step, want.to_string(), "nothing: it was not called".into()));
        };
        let endless = matches!(want, Answer::Other(_));
        if endless || *want == exhausted || *got == exhausted || (setup.capacity && *want == out) {
            tally.skipped += expected.len() - step;
            return None;
        }
        if want != got {
            return Some((step, want.to_string(), got.to_string()));
        }
        tally.calls += 1;
        if !setup.exact && *want == out {
            tally.skipped += expected.len() - step - 1;
            return None;
        }
    }
    None
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { case, vm, step, expected, found } = self;
        writeln!(f, "module {case}, VM {vm}, call {step} (0 instantiates)")?;
        writeln!(f, "Wasmtime:    {expected}")?;
        write!(f, "VectorVisor: {found}")
    }
}
