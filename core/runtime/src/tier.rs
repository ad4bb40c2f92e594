//! Two tiers of code: a program is interpreted, which compiles in a second or two whatever its size, until its
//! translation is compiled, and then goes on with that.

use crate::program::Compiled;
use crate::{Engine, Error, Program, ProgramOptions, Result, Stage};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, available_parallelism, sleep};
use std::time::Duration;
use vectorvisor_driver::threads::{self, lower_priority};
use vectorvisor_driver::{DeviceInfo, DeviceKind, Language};
use vectorvisor_translate::code_size;

/// What compilers take for a kibibyte of a module's code on one core, in seconds, gcc as NVRTC: of programs of 23 KB to
/// 1 MB of code they took half to twice that.
const SECONDS: f64 = 0.12;
/// Two tiers are for programs that take longer: several times what the interpreter itself takes, in C and elsewhere.
const LONG: (f64, f64) = (1.5, 5.0);

/// About how many seconds a program takes to compile, and how many are long, where the interpreter is much sooner ready.
fn compiling(info: &DeviceInfo, wasm: &[u8]) -> (f64, f64) {
    let c = info.kind == DeviceKind::Cpu && info.language == Language::C;
    let cores = if c { info.parallel_tiles as usize } else { available_parallelism().map_or(1, usize::from) };
    (code_size(wasm) as f64 / 1024.0 * SECONDS / cores.max(1) as f64, if c { LONG.0 } else { LONG.1 })
}

/// The translated program, while it compiles and afterwards.
pub struct NextTier {
    state: Mutex<State>,
    /// Held by who loads it.
    loads: Mutex<()>,
}

enum State {
    Compiles(JoinHandle<Result<Compiled>>),
    Compiled(Box<Compiled>),
    Loading,
    Loaded(Program),
    /// Why, until somebody was told.
    Failed(Option<String>),
}

impl NextTier {
    /// Begins to compile it, at this priority (0 is that of other threads).
    pub(crate) fn begin(engine: &Engine, wasm: &[u8], options: &ProgramOptions, nice: i32) -> Result<Self> {
        let (engine, wasm, options) = (engine.clone(), wasm.to_vec(), options.clone());
        let compile = move || {
            if nice > 0 {
                lower_priority(threads::number(), nice);
            }
            Compiled::new(&engine, &wasm, &options, &mut |_| {})
        };
        let thread = Builder::new().name("vv-compile".into()).spawn(compile);
        let thread =
            thread.map_err(|e| Error::System { what: "cannot start a thread that compiles", reason: e.to_string() })?;
        Ok(Self { state: Mutex::new(State::Compiles(thread)), loads: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is compiled; `None` while it may still be.
    pub fn compiled(&self) -> Option<bool> {
        let mut state = self.state();
        if let State::Compiles(thread) = &*state {
            if !thread.is_finished() {
                return None;
            }
            if let State::Compiles(thread) = std::mem::replace(&mut *state, State::panicked()) {
                match thread.join() {
                    Ok(Ok(compiled)) => *state = State::Compiled(Box::new(compiled)),
                    Ok(Err(error)) => *state = State::Failed(Some(error.to_string())),
                    Err(_) => {}
                }
            }
        }
        Some(!matches!(*state, State::Failed(_)))
    }

    /// Why it will not be compiled, if that is so and nobody was told.
    pub fn failure(&self) -> Option<String> {
        _ = self.compiled();
        if let State::Failed(why) = &mut *self.state() { why.take() } else { None }
    }

    /// The program, if it is compiled. To be called when nothing runs, which some devices wait for when they load it. If
    /// others run it too, they see meanwhile that it is compiled, and stop.
    pub fn load(&self) -> Result<Option<Program>> {
        let _alone = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::panicked()) {
            State::Compiled(compiled) => {
                *state = State::Loading;
                drop(state);
                let loaded = compiled.load(&mut |_| {});
                let mut state = self.state();
                match loaded {
                    Ok(program) => {
                        *state = State::Loaded(program.clone());
                        Ok(Some(program))
                    }
                    Err(error) => {
                        *state = State::Failed(Some(error.to_string()));
                        Err(error)
                    }
                }
            }
            // Whoever loaded it panicked.
            State::Loading => Ok(None),
            other => {
                let program = if let State::Loaded(program) = &other { Some(program.clone()) } else { None };
                *state = other;
                Ok(program)
            }
        }
    }
}

/// How often [`Program::wait_until_compiled`] looks.
const LOOK: Duration = Duration::from_millis(500);

impl State {
    fn panicked() -> Self {
        Self::Failed(Some("its thread panicked".into()))
    }
}

impl Program {
    /// Like [`Program::new`], but if the module would take long to compile, the program that this returns is interpreted
    /// and compiles beside; its fleets go on with the compiled one as soon as there is one (inputs that were running then
    /// begin anew). If it cannot be compiled, it stays interpreted, and [`crate::Fleet::run_autotuned`] warns. Which
    /// inputs an interpreter ran can be told by nothing but the time. A process that ends before the compiler has lost
    /// its work; so if earlier runs were interpreted for about as long as compiling takes, this waits for the compiler,
    /// as [`Program::new`] does.
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
                Ok(program.with_next_tier(NextTier::begin(engine, &wasm, options, 0)?))
            }
        }
    }

    /// Waits until a program that is interpreted for now is compiled; gives the reason if that failed, unless somebody
    /// was told. For who serves: there is no end of a run, at which it would be told.
    pub fn wait_until_compiled(&self) -> Option<String> {
        let next = self.next_tier()?;
        while next.compiled().is_none() {
            sleep(LOOK);
        }
        next.failure()
    }
}
