//! Compiles text to a shared library with the system's C compiler, and loads the library into this process.

use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use vectorvisor_driver::temporary::Temporary;
use vectorvisor_driver::{Error, Result, Source, identity, longest_first};

const OPTIMISATION: &str = "-O2";

/// WebAssembly's arithmetic: no fast math (`CC` may ask for it), no contraction, and x * 1.0 still makes a signalling
/// NaN quiet. `math-errno` would only turn square roots into calls. A fortified longjmp aborts at the jump by which a
/// lane ends itself. No warnings, since the text is generated.
const FLAGS: &str = "-fno-fast-math -fno-unsafe-math-optimizations -fno-finite-math-only -std=gnu11 -fPIC \
                     -fno-strict-aliasing -ffp-contract=off -fsignaling-nans -fno-math-errno -fvisibility=hidden \
                     -fno-stack-protector -U_FORTIFY_SOURCE -w";

/// What C compilers and their wrappers read in the environment that can change their code.
const VARIABLES: &[&str] = &[
    "CPATH",
    "C_INCLUDE_PATH",
    "LIBRARY_PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_NO_DEFAULT_CONFIG",
    "NIX_CFLAGS_COMPILE",
    "NIX_HARDENING_ENABLE",
    "SDKROOT",
    "MACOSX_DEPLOYMENT_TARGET",
];

/// `-march=native` is safe, since the device's identity includes the processor's features. On other architectures
/// compilers differ in the flag.
const NATIVE: &[&str] = if cfg!(target_arch = "x86_64") { &["-march=native"] } else { &[] };

/// The compiler's command: `CC`, which may contain a wrapper and arguments as in make, else `cc`; then our options,
/// last so that they win.
fn compiler() -> Command {
    let named = std::env::var("CC").unwrap_or_default();
    let mut words = named.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words).arg(OPTIMISATION).args(FLAGS.split_whitespace()).args(NATIVE);
    command
}

/// The same, with a folder for the compiler's own temporary files, such as assembly.
fn compiler_in(folder: &Path) -> Command {
    let mut command = compiler();
    command.env("TMPDIR", folder);
    command
}

/// Compilers at work (their process groups) and their folders.
struct AtWork {
    groups: BTreeSet<u32>,
    folders: BTreeSet<PathBuf>,
    stopped: bool,
}

static AT_WORK: Mutex<AtWork> =
    Mutex::new(AtWork { groups: BTreeSet::new(), folders: BTreeSet::new(), stopped: false });

fn at_work() -> std::sync::MutexGuard<'static, AtWork> {
    AT_WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the compilers that are at work, and removes their files: for a process that ends and does not wait for them. No
/// other begins.
pub fn stop_compilers() {
    let mut at_work = at_work();
    at_work.stopped = true;
    for group in &at_work.groups {
        // SAFETY: it takes numbers. The group's first process was not waited for, or only just, so no other has its
        // number yet.
        unsafe { libc::kill(-(*group as i32), libc::SIGKILL) };
    }
    for folder in &at_work.folders {
        // What is left is in the folder for temporary files.
        _ = std::fs::remove_dir_all(folder);
    }
}

/// Runs a command in a process group of its own, and notes it.
fn output(command: &mut Command) -> std::io::Result<std::process::Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut noted = at_work();
    if noted.stopped {
        return Err(std::io::Error::other("the process ends"));
    }
    let child = command.spawn()?;
    let group = child.id();
    noted.groups.insert(group);
    drop(noted);
    let output = child.wait_with_output();
    at_work().groups.remove(&group);
    output
}

/// A folder for a compiler's files.
struct Folder(Temporary);

impl Folder {
    fn new() -> Result<Self> {
        let folder = Temporary::new().map_err(file_error("make a folder"))?;
        at_work().folders.insert(folder.path().to_path_buf());
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        at_work().folders.remove(self.0.path());
    }
}

/// Runs a compiler; returns its standard output, or its standard error as [`Error::Compile`].
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output(command).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => Error::Unavailable {
            what: format!("the C compiler `{program}` cannot be run: {error}"),
            advice: "install one (apt-get install gcc), or name one in the environment variable CC".into(),
        },
        _ => Error::Device(format!("cannot run {program}: {error}")),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let log = String::from_utf8_lossy(&output.stderr);
    Err(Error::Compile { log: format!("{program}: {}\n{log}", output.status) })
}

/// The compiler and everything that changes its code: its command with our options, its version, the environment, and
/// the macros that it then predefines, which also reveal what wrappers, configuration files and `-march=native` add.
pub fn identity() -> Result<String> {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let command = format!("{:?}{}", compiler(), identity::variables(VARIABLES));
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(identity) = known.get(&command) {
        return Ok(identity.clone());
    }
    let version = run(compiler().arg("--version")).map_err(|error| match error {
        Error::Compile { log } => Error::Unavailable {
            what: format!("the C compiler does not tell its version: {log}"),
            advice: "name gcc or clang in the environment variable CC".into(),
        },
        error => error,
    })?;
    // Some compilers do not have these options.
    let macros = run(compiler().args(["-dM", "-E", "-x", "c", "/dev/null"])).unwrap_or_default();
    if let Some(fast) = macros.lines().find(|line| FAST_MATH.contains(&line.trim())) {
        return Err(Error::Unavailable {
            what: format!("the C compiler computes with fast math ({fast}), which loses WebAssembly's NaNs and zeros"),
            advice: "take -ffast-math and the like out of the compiler's wrapper or configuration file, or name \
                     another in CC"
                .into(),
        });
    }
    let version = version.lines().next().unwrap_or_default();
    let identity = format!("{command} {version} {:016x}", identity::hash(macros.as_bytes()));
    known.insert(command, identity.clone());
    Ok(identity)
}

/// What compilers predefine with fast math.
const FAST_MATH: [&str; 2] = ["#define __FAST_MATH__ 1", "#define __FINITE_MATH_ONLY__ 1"];

fn file_error(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Device(format!("cannot {what} in {}: {error}", std::env::temp_dir().display()))
}

/// Compiles a program to the bytes of a shared library, `jobs` units at a time.
pub fn compile(source: Source<'_>, jobs: usize, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
    let folder = Folder::new()?;
    let folder = folder.0.path();
    let library = folder.join("program.so");
    let link = ["-shared", "-Wl,-Bsymbolic", "-lm", "-o"];
    if let [unit] = source.units {
        // A single unit's functions can be static (no VV_UNITS), so the optimiser sees all their callers.
        progress(0, 1);
        let text = write_unit(folder, 0, source.header, unit)?;
        run(compiler_in(folder).arg(text).args(link).arg(&library))?;
        progress(1, 1);
    } else {
        let objects = compile_units(folder, source, jobs, progress)?;
        run(compiler_in(folder).args(objects).args(link).arg(&library))?;
    }
    std::fs::read(&library).map_err(file_error("read the library"))
}

fn compile_units(
    folder: &Path,
    source: Source<'_>,
    jobs: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<PathBuf>> {
    let total = source.units.len();
    let order = longest_first(source.units);
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, total.max(1)) {
            let (order, next, sender) = (&order, &next, sender.clone());
            scope.spawn(move || {
                // An error moves `next` past the end, so that no thread begins another unit.
                while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let object = compile_unit(folder, index, source.header, &source.units[index]);
                    if object.is_err() {
                        next.store(total, Ordering::Relaxed);
                    }
                    _ = sender.send(object);
                }
            });
        }
        drop(sender);
        progress(0, total);
        let mut objects = Vec::with_capacity(total);
        for object in results {
            objects.push(object?);
            progress(objects.len(), total);
        }
        // The order of linking must not depend on which unit was ready first.
        objects.sort();
        Ok(objects)
    })
}

fn compile_unit(folder: &Path, index: usize, header: &str, unit: &str) -> Result<PathBuf> {
    let text = write_unit(folder, index, header, unit)?;
    let object = text.with_extension("o");
    run(compiler_in(folder).args(["-DVV_UNITS=1", "-c"]).arg(&text).arg("-o").arg(&object))?;
    Ok(object)
}

fn write_unit(folder: &Path, index: usize, header: &str, unit: &str) -> Result<PathBuf> {
    let path = folder.join(format!("unit{index:06}.c"));
    let text = format!("#line 1 \"header\"\n{header}\n#line 1 \"unit{index}\"\n{unit}\n");
    std::fs::write(&path, text).map_err(file_error("write kernel text"))?;
    Ok(path)
}

/// Opens the bytes of a shared library, by a temporary file that is removed before this returns.
///
/// # Safety
/// The bytes are what [`compile`] gave, or no library.
pub unsafe fn open(binary: &[u8]) -> Result<libloading::Library> {
    let folder = Temporary::new().map_err(file_error("make a folder"))?;
    // The dynamic loader takes a file of a name that it knows for the library that it has open.
    let file = tempfile::Builder::new().prefix("program-").suffix(".so").tempfile_in(folder.path());
    let mut file = file.map_err(file_error("make a file"))?;
    file.write_all(binary).map_err(file_error("write a library"))?;
    // SAFETY: the caller's promise; a library that `compile` made has no constructors.
    let opened = unsafe { Opened::open(Some(file.path()), RTLD_NOW | RTLD_LOCAL) };
    opened.map(Into::into).map_err(|error| {
        let error = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Error::Invalid(format!(
            "this is no binary for the cpu driver: {error} (a folder that forbids execution? set TMPDIR)"
        ))
    })
}
