//! Two tiers of code: a program is interpreted, which compiles in a second or two whatever its size, until its
//! translation is compiled, and then goes on with that.

use crate::{Engine, Error, Program, ProgramOptions, Result, Stage};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use vectorvisor_driver::{DeviceInfo, DeviceKind, Language};
use vectorvisor_translate::code_size;

/// What compilers take for a kibibyte of a module's code, in seconds: gcc on one core, and NVRTC and its like on a GPU's
/// host. Of programs of 45 KB to 1.1 MB they took half to twice that.
const C_SECONDS: f64 = 0.15;
const GPU_SECONDS: f64 = 0.05;
/// Two tiers are for programs that take longer: several times what the interpreter itself takes.
const C_LONG: f64 = 2.0;
const GPU_LONG: f64 = 10.0;

/// About how many seconds a program takes to compile, and how many are long, where the interpreter is much sooner ready.
fn compiling(info: &DeviceInfo, wasm: &[u8]) -> (f64, f64) {
    let size = code_size(wasm) as f64 / 1024.0;
    match (info.kind, info.language) {
        (DeviceKind::Cpu, Language::C) => (size * C_SECONDS / f64::from(info.parallel_tiles.max(1)), C_LONG),
        _ => (size * GPU_SECONDS, GPU_LONG),
    }
}

/// The translated program, while it is made and afterwards.
#[derive(Debug)]
pub struct NextTier {
    thread: Mutex<Option<JoinHandle<Result<Program>>>>,
    made: OnceLock<std::result::Result<Program, String>>,
}

impl NextTier {
    /// Begins to make it.
    fn begin(engine: &Engine, wasm: &[u8], options: &ProgramOptions) -> Result<Self> {
        let (engine, wasm, options) = (engine.clone(), wasm.to_vec(), options.clone());
        let make = move || Program::new(&engine, &wasm, &options, &mut |_| {});
        let thread = Builder::new().name("vv-compile".into()).spawn(make);
        let thread =
            thread.map_err(|e| Error::System { what: "cannot start a thread that compiles", reason: e.to_string() })?;
        Ok(Self { thread: Mutex::new(Some(thread)), made: OnceLock::new() })
    }

    /// The program or why there is none, once that is known.
    pub fn look(&self) -> Option<&std::result::Result<Program, String>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = thread.take_if(|thread| thread.is_finished()) {
            let made = match ended.join() {
                Ok(made) => made.map_err(|error| error.to_string()),
                Err(_) => Err("the thread that compiled it panicked".into()),
            };
            _ = self.made.set(made);
        }
        self.made.get()
    }

    /// The program, if it is there.
    pub fn ready(&self) -> Option<&Program> {
        self.look()?.as_ref().ok()
    }
}

impl Program {
    /// Like [`Program::new`], but if the module would take long to compile, the program that this returns is interpreted
    /// and compiles beside; its fleets go on with the compiled one as soon as there is one (inputs that were running then
    /// begin anew). Which inputs an interpreter ran can be told by nothing but the time. A process that ends before the
    /// compiler has lost its work; so if earlier runs were interpreted for about as long as compiling takes, this waits
    /// for the compiler, as [`Program::new`] does.
    ///
    /// # Errors
    /// Those of [`Program::new`].
    pub fn tiered(
        engine: &Engine,
        bytes: &[u8],
        options: &ProgramOptions,
        progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Self> {
        let wasm = crate::to_wasm(bytes)?;
        let (takes, long) = compiling(engine.info(), &wasm);
        // What runs can only be stopped where the device sees the host's stop word, and kept state cannot move.
        let may =
            engine.info().live_shared && !options.interpret && !options.keep && !options.profile && !options.linked;
        if !may
            || takes < long
            || Self::seconds_interpreted(engine, &wasm, options) > takes
            || Self::is_cached(engine, &wasm, options)
        {
            return Self::new(engine, &wasm, options, progress);
        }
        let interpreted = ProgramOptions { interpret: true, ..options.clone() };
        match Self::new(engine, &wasm, &interpreted, progress) {
            // It may be too large for that.
            Err(Error::Translate(_)) => Self::new(engine, &wasm, options, progress),
            Err(error) => Err(error),
            Ok(program) => {
                progress(Stage::Interpreting);
                Ok(program.with_next_tier(NextTier::begin(engine, &wasm, options)?))
            }
        }
    }
}
