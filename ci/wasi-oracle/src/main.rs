//! Runs the cases of `wasi/cases` in Wasmtime, and prints what `wasi/cases/expected` has of them: of each case its name, a
//! hash of what it does with every number, and what it prints with number 1.
//!
//! `wasi-oracle PROG GIVEN [CASE...]`: PROG lists its cases if none is named; GIVEN is the folder that cases may read.

use std::path::Path;
use wasmtime::error::Context as _;
use wasmtime::{Engine, Linker, Module, Result, Store, bail};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

/// Numbers from 0, each of which is an input.
const NUMBERS: u32 = 33;
/// Most bytes of output.
const OUTPUT: usize = 16 << 20;

struct Oracle {
    engine: Engine,
    module: Module,
    given: String,
}

/// What a run did.
#[derive(PartialEq)]
struct Done {
    exit: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [program, given, cases @ ..] = args.as_slice() else { bail!("usage: wasi-oracle PROG GIVEN [CASE...]") };
    let engine = Engine::default();
    let module = Module::from_file(&engine, program)?;
    let oracle = Oracle { engine, module, given: given.clone() };
    let listed;
    let cases = match cases {
        [] => {
            let text = String::from_utf8(oracle.run(&[], 0)?.stdout)?;
            listed = text.lines().map(String::from).collect::<Vec<_>>();
            &listed
        }
        cases => cases,
    };
    for case in cases {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut first = Vec::new();
        for number in 0..NUMBERS {
            let words = [case.as_str(), &number.to_string(), "disk"];
            let done = oracle.run(&words, number)?;
            let [case, number_text, _] = words;
            if oracle.run(&[case, number_text, "memory"], number)? != done {
                bail!("{case} {number} is not the same in another folder");
            }
            // FNV-1a.
            for byte in done.stdout.iter().chain(&done.stderr).copied().chain([done.exit as u8]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
            if number == 1 {
                first = done.stdout;
            }
        }
        println!("== {case} {hash:016x}");
        // What is long is only hashed.
        print!("{}", String::from_utf8_lossy(&first[..first.len().min(4000)]));
        if !first.ends_with(b"\n") || first.len() > 4000 {
            println!();
        }
    }
    Ok(())
}

impl Oracle {
    /// Runs the program with these arguments behind its name, and folders of its own.
    fn run(&self, args: &[&str], number: u32) -> Result<Done> {
        let (disk, memory) = (Folder::new("disk")?, Folder::new("memory")?);
        let (out, err) = (MemoryOutputPipe::new(OUTPUT), MemoryOutputPipe::new(OUTPUT));
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_blocking_current_thread(true)
            .arg("guest")
            .args(args)
            .stdin(MemoryInputPipe::new(format!("input of number {number}\n")))
            .stdout(out.clone())
            .stderr(err.clone())
            .preopened_dir(&self.given, "given", FsPerms::ReadOnly)?
            .preopened_dir(&disk.0, "disk", FsPerms::ReadWrite)?
            .preopened_dir(&memory.0, ".", FsPerms::ReadWrite)?
            .preopened_dir(&memory.0, "/scratch", FsPerms::ReadWrite)?;
        let mut linker: Linker<WasiP1Ctx> = Linker::new(&self.engine);
        p1::add_to_linker_sync(&mut linker, |t| t)?;
        // The older version of the same.
        linker.allow_shadowing(true);
        let mut store = Store::new(&self.engine, wasi.build_p1());
        let instance = linker.instantiate(&mut store, &self.module)?;
        let ended = instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ());
        let exit = match ended {
            Ok(()) => 0,
            Err(error) => error.downcast_ref::<I32Exit>().map(|exit| exit.0).context(error)?,
        };
        drop(store);
        Ok(Done { exit, stdout: out.contents().into(), stderr: err.contents().into() })
    }
}

/// A folder that goes with this.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("wasi-oracle-{}-{name}", std::process::id()));
        if Path::exists(&path) {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only temporary files are left where that fails.
        _ = std::fs::remove_dir_all(&self.0);
    }
}
