//! A run-time compiler: NVRTC or hipRTC, which have the same functions under other names.

use super::library::{self, Library};
use crate::{Error, Result, identity, longest_first};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

type Program = *mut c_void;

library::functions! {
    /// The functions by their names after `nvrtc` or `hiprtc`.
    pub struct Functions -> c_int;
    Version(major: *mut c_int, minor: *mut c_int);
    CreateProgram(
        program: *mut Program, text: *const c_char, name: *const c_char,
        headers: c_int, header_texts: *const *const c_char, header_names: *const *const c_char
    );
    CompileProgram(program: Program, options: c_int, texts: *const *const c_char);
    DestroyProgram(program: *mut Program);
    GetProgramLogSize(program: Program, bytes: *mut usize);
    GetProgramLog(program: Program, text: *mut c_char);
}
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// Bytes of a compiler thread's stack: these compilers recurse as deep as the text nests, and large guests nest deeply.
const STACK: usize = 256 << 20;

/// The compiler.
pub struct Compiler {
    functions: Functions,
    /// Functions that give the binary, best first; the first that gives a binary which is not empty counts.
    outputs: Vec<(Size, Get)>,
    /// Its version.
    pub version: (i32, i32),
}

impl Compiler {
    /// Finds its functions. `prefix` is `nvrtc` or `hiprtc`; `outputs` are the kinds of binaries in the names of its
    /// functions (`CUBIN` for `nvrtcGetCUBIN`), best first.
    ///
    /// # Safety
    /// The library is that compiler.
    pub unsafe fn find(library: &'static Library, prefix: &str, outputs: &[&str]) -> std::result::Result<Self, String> {
        // SAFETY: the caller's promise; two locals to fill.
        unsafe {
            let functions = Functions::find(library, |name| format!("{prefix}{name}"))?;
            let output = |name| -> std::result::Result<_, libloading::Error> {
                let size: Size = *library.get(format!("{prefix}Get{name}Size").as_bytes())?;
                Ok((size, *library.get(format!("{prefix}Get{name}").as_bytes())?))
            };
            let outputs = outputs.iter().map(output).collect::<std::result::Result<Vec<_>, _>>();
            let mut version = (0, 0);
            match (functions.Version)(&mut version.0, &mut version.1) {
                0 => Ok(Self { functions, outputs: outputs.map_err(|error| error.to_string())?, version }),
                code => Err(format!("{prefix}Version gave code {code}")),
            }
        }
    }

    /// Its file, for a device's identity: many releases report one version.
    pub fn library(&self) -> String {
        identity::library(self.functions.Version as *const () as usize)
    }

    /// Compiles texts, each to a binary, as [`Compiler::compile_each`] does; `progress(done, total)` is called on this
    /// thread.
    pub fn compile(
        &self,
        texts: &[String],
        options: &[String],
        enter: &(dyn Fn() -> Result<()> + Sync),
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Vec<u8>>> {
        let (mut binaries, mut done) = (vec![Vec::new(); texts.len()], 0);
        self.compile_each(texts, options, enter, &mut |index, compiled| {
            binaries[index] = compiled.binary;
            done += 1;
            progress(done, texts.len());
        })?;
        Ok(binaries)
    }

    /// Compiles texts on as many threads as there are processors. `enter` is called on the compiling thread before each
    /// text, for a compiler whose target is the thread's current device; `each` is called on this thread with the index
    /// of each compiled text.
    pub fn compile_each(
        &self,
        texts: &[String],
        options: &[String],
        enter: &(dyn Fn() -> Result<()> + Sync),
        each: &mut dyn FnMut(usize, Compiled),
    ) -> Result<()> {
        let order = longest_first(texts);
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let work = |sender: mpsc::Sender<_>| {
            while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied()
                // After an error the receiver is gone.
                && sender.send((index, enter().and_then(|()| self.compile_one(&texts[index], options)))).is_ok()
            {
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(texts.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, builder) = (sender.clone(), std::thread::Builder::new().name("compiler".into()));
                let thread = builder.stack_size(STACK).spawn_scoped(scope, move || work(sender));
                thread.map_err(|error| Error::Device(format!("no thread for the compiler: {error}")))?;
            }
            drop(sender);
            let mut done = 0;
            // The first error drops the receiver, which ends the threads.
            for (index, compiled) in receiver {
                each(index, compiled?);
                done += 1;
            }
            match done == texts.len() {
                true => Ok(()),
                false => Err(Error::Device("a thread of the compiler panicked".into())),
            }
        })
    }
    fn compile_one(&self, text: &str, options: &[String]) -> Result<Compiled> {
        let begin = Instant::now();
        let c = |text: &str| CString::new(text).map_err(|_| Error::Invalid("a zero byte in a kernel's text".into()));
        let kept = options.iter().map(|option| c(option)).collect::<Result<Vec<_>>>()?;
        let (options, text): (Vec<_>, _) = (kept.iter().map(|option| option.as_ptr()).collect(), c(text)?);
        let failed = |what: &str, code| Error::Device(format!("the kernel compiler's {what} failed with code {code}"));

        let mut program = OwnedProgram { functions: &self.functions, raw: null_mut() };
        let (create, compile) = (self.functions.CreateProgram, self.functions.CompileProgram);
        // SAFETY: texts and options that live through the calls; no headers; a local to fill.
        let code = unsafe {
            match create(&mut program.raw, text.as_ptr(), c"vectorvisor".as_ptr(), 0, null(), null()) {
                0 => compile(program.raw, options.len() as c_int, options.as_ptr()),
                code => return Err(failed("CreateProgram", code)),
            }
        };
        let seconds = begin.elapsed().as_secs_f64();
        let log = program.output(self.functions.GetProgramLogSize, self.functions.GetProgramLog);
        let log = String::from_utf8_lossy(&log.unwrap_or_default()).trim_end_matches('\0').to_owned();
        if code != 0 {
            return Err(Error::Compile { log: format!("error {code} of the compiler\n{log}") });
        }
        let mut result = Err(failed("binary", 0));
        for (size, get) in &self.outputs {
            match program.output(*size, *get) {
                Ok(binary) if !binary.is_empty() => return Ok(Compiled { binary, log, seconds }),
                Ok(_) => {}
                Err(code) => result = Err(failed("binary", code)),
            }
        }
        result
    }
}

/// A text that was compiled.
pub struct Compiled {
    /// The code.
    pub binary: Vec<u8>,
    /// The compiler's log.
    pub log: String,
    /// How long compiling took.
    pub seconds: f64,
}

/// A program of the compiler, destroyed on drop.
struct OwnedProgram<'a> {
    functions: &'a Functions,
    raw: Program,
}

impl OwnedProgram<'_> {
    /// What a compilation left: its log, or a binary.
    fn output(&self, size: Size, get: Get) -> std::result::Result<Vec<u8>, c_int> {
        let mut bytes = 0;
        // SAFETY: a local to fill, then as many bytes as the compiler asked for.
        unsafe {
            let mut code = size(self.raw, &mut bytes);
            let mut output = vec![0; bytes];
            if code == 0 && bytes > 0 {
                code = get(self.raw, output.as_mut_ptr().cast());
            }
            if code == 0 { Ok(output) } else { Err(code) }
        }
    }
}

impl Drop for OwnedProgram<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: made by CreateProgram, and ours.
            unsafe { (self.functions.DestroyProgram)(&mut self.raw) };
        }
    }
}
