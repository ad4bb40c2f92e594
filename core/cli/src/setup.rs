//! From options to an open device, a compiled program and the options of a fleet.

use crate::Usage;
use crate::args::{
    AlignmentArg, BoundsArg, DeviceArgs, FileArgs, Interleave, InterpretArg, StateArg, TranslateArgs, TrapsArg, VmArgs,
};
use crate::report;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vectorvisor::driver::plugin::{Search, file_name};
use vectorvisor::translate::Error as TranslateError;
use vectorvisor::translate::wasm::imports_files;
use vectorvisor::{
    Alignment, Autotuning, BackendSpec, Bounds, CachePolicy, DeviceInfo, DeviceKind, Drivers, Engine, Error, Files,
    FilesAt, FleetOptions, Program, ProgramOptions, Quirks, Stage, Traps,
};

/// Every driver that can be named. `paths` are those of `--driver-path`, and each must name a file or a folder with
/// plugins.
pub fn drivers(paths: &[PathBuf]) -> Result<Drivers> {
    for path in paths {
        let found = Search { named: vec![path.clone()], ..Search::default() }.named();
        let why = if !path.exists() {
            "there is no such file or folder".into()
        } else if found.is_empty() {
            format!(
                "the folder has no plugin, as {}; cargo leaves them in deps/ of target/debug or target/release",
                file_name("NAME")
            )
        } else {
            continue;
        };
        return Err(Usage(format!("--driver-path {}: {why}", path.display())).into());
    }
    Ok(Drivers::find_all(vec![vectorvisor_cpu::driver()], paths))
}

/// Opens the device that `--backend` names.
pub fn engine(args: &DeviceArgs) -> Result<Engine> {
    Ok(Engine::open(&drivers(&args.driver_path)?, one(args)?, quirks(args))?)
}

/// The only device that `--backend` names.
pub fn one(args: &DeviceArgs) -> Result<&BackendSpec> {
    let several =
        || Usage(format!("--backend {}: only `map` and `serve` take several devices; name one", args.backend)).into();
    args.backend.single().ok_or_else(several)
}

/// The devices that `--backend` names, none of them opened. Of several it is known that they are there.
pub fn devices(args: &DeviceArgs) -> Result<(Drivers, Vec<BackendSpec>)> {
    let drivers = drivers(&args.driver_path)?;
    if let Some(one) = args.backend.single() {
        return Ok((drivers, vec![one.clone()]));
    }
    let devices = args.backend.devices(&drivers).map_err(|error| match error {
        Error::Backend { .. } => anyhow::Error::new(error).context(format!(
            "--backend {}: not all are here; to run on the others, leave out what is not",
            args.backend
        )),
        error => error.into(),
    })?;
    Ok((drivers, devices))
}

/// The quirks that the command line forces.
pub fn quirks(args: &DeviceArgs) -> Quirks {
    Quirks { nvidia: args.nvidia, patch: args.patch }
}

/// Reads a program's file, a binary module or text; in binary form.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the program {}", path.display()))?;
    Ok(vectorvisor::to_wasm_of(path, &bytes)?.into_owned())
}

/// Translates and compiles `bytes`, the contents of `path`, or interprets it meanwhile if the command line allows that. Not
/// for `many` inputs on a GPU: what is compiled beside an interpreter that keeps it busy was ready too late on an H200.
pub fn program(
    engine: &Engine,
    path: &Path,
    bytes: &[u8],
    args: &TranslateArgs,
    options: &ProgramOptions,
    many: bool,
    progress: &mut dyn FnMut(Stage<'_>),
) -> Result<Program> {
    let waits = many && engine.info().kind == DeviceKind::Gpu;
    // Autotuning measures compiled programs.
    let tiered = args.interpret == InterpretArg::Auto && autotuning(args) != Autotuning::Now && !waits;
    let make = if tiered { Program::tiered } else { Program::new };
    make(engine, bytes, options, progress).with_context(|| path.display().to_string())
}

/// An error if a program is to count (`profiled`) where it cannot.
pub fn may_profile(args: &TranslateArgs, profiled: bool) -> Result<()> {
    let why = match (args.interpret, args.interleave) {
        _ if !profiled => return Ok(()),
        (InterpretArg::Always, _) => "an interpreter counts nothing; leave out --interpret",
        (_, Interleave::Tune) => {
            "--interleave tune measures programs that do not count; auto takes what an earlier run without profile chose"
        }
        _ => return Ok(()),
    };
    Err(Usage(why.into()).into())
}

/// An export that is not there is a mistake on the command line.
pub fn usage(error: anyhow::Error) -> anyhow::Error {
    let translating = |e: &TranslateError| matches!(e, TranslateError::NoExport { .. });
    let missing = match error.downcast_ref() {
        Some(Error::NoEntry { .. }) => true,
        Some(Error::Translate(e)) => translating(e),
        _ => error.downcast_ref().is_some_and(translating),
    };
    if missing { Usage(format!("{}; call an export with --invoke NAME", report::chain(&error))).into() } else { error }
}

/// What may be entered: what `--invoke` names, or `_start`, or (empty) all exports.
pub fn roots(invoke: Option<&str>, all: bool) -> Vec<&str> {
    match invoke {
        Some(name) => vec![name],
        None if all => vec![],
        None => vec!["_start"],
    }
}

/// The translation options that the command line gives, for a device; empty `roots` are all exports, and `files` is where
/// those of guests are. An error if they ask for autotuning that has no choice.
pub fn program_options(
    args: &TranslateArgs,
    roots: &[&str],
    files: FilesAt,
    device: &DeviceInfo,
) -> Result<ProgramOptions> {
    let options = translation(args, roots, files, device);
    autotuning(args).check(&options, device)?;
    Ok(options)
}

/// The translation options that the command line gives, as [`program_options`].
pub fn translation(args: &TranslateArgs, roots: &[&str], files: FilesAt, device: &DeviceInfo) -> ProgramOptions {
    let usual = ProgramOptions { lanes: args.lanes, ..ProgramOptions::default() };
    ProgramOptions {
        interleave: match args.interleave {
            Interleave::Auto | Interleave::Tune => None,
            Interleave::Default => Some(usual.for_device(device).cell),
            Interleave::Cell(bytes) => Some(bytes),
        },
        heap: args.heap,
        stack: args.stack,
        traps: match args.traps {
            TrapsArg::Sticky => Traps::Sticky,
            TrapsArg::Exact => Traps::Exact,
        },
        bounds: match args.bounds {
            _ if args.unsafe_no_bounds => Bounds::None,
            BoundsArg::Size => Bounds::Size,
            BoundsArg::Capacity => Bounds::Capacity,
        },
        alignment: args.alignment.map(|alignment| match alignment {
            AlignmentArg::Any => Alignment::Any,
            AlignmentArg::Natural => Alignment::Natural,
        }),
        without: args.without.iter().copied().collect(),
        with: args.opt.iter().copied().collect(),
        linked: args.linked,
        divide: args.divide,
        keep: args.state == StateArg::Keep,
        interpret: args.interpret == InterpretArg::Always,
        force_framed: args.force_framed,
        files,
        roots: roots.iter().map(ToString::to_string).collect(),
        cache: match named_cache(args) {
            _ if args.no_cache => CachePolicy::Off,
            Some(folder) => CachePolicy::Dir(folder),
            None => CachePolicy::Default,
        },
        cache_limit: args.cache_size.unwrap_or(usual.cache_limit),
        ..usual
    }
}

/// The cache folder that the user named. Clap would take the variable for a conflict with `--no-cache`.
fn named_cache(args: &TranslateArgs) -> Option<PathBuf> {
    let variable = || std::env::var_os("VECTORVISOR_CACHE_DIR").filter(|folder| !folder.is_empty());
    args.cache_dir.clone().or_else(|| variable().map(PathBuf::from))
}

/// When a run autotunes the memory layout.
pub fn autotuning(args: &TranslateArgs) -> Autotuning {
    match args.interleave {
        Interleave::Auto => Autotuning::Auto,
        Interleave::Tune => Autotuning::Now,
        Interleave::Default | Interleave::Cell(_) => Autotuning::Never,
    }
}

/// How the VMs run; `guest` are the guest's arguments without its name, and `given` the files that guests are given.
pub fn fleet_options(
    args: &VmArgs,
    path: &Path,
    guest: &[String],
    vms: Option<u32>,
    given: Option<Arc<Files>>,
) -> Result<FleetOptions> {
    if let Some(bad) = guest.iter().find(|a| a.contains('\0')) {
        return Err(Usage(format!("the argument {bad:?} contains a NUL byte, which no guest can be given")).into());
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(FleetOptions {
        vms,
        vms_per_warp: args.vms_per_warp,
        args: std::iter::once(name).chain(guest.iter().cloned()).collect(),
        env: args.env.clone(),
        seed: args.seed,
        fuel: args.fuel,
        timeout: args.timeout,
        files: given,
        ..FleetOptions::default()
    })
}

/// The folder in memory is the one in which guests look for relative names, and has a name of its own besides.
const SCRATCH: [&str; 2] = [".", "/scratch"];

/// Where the files are that guests are given.
pub fn files_at(given: Option<&Arc<Files>>) -> FilesAt {
    given.map_or(FilesAt::Nowhere, |files| files.at())
}

/// The folders that guests are given. They are copied if one of the programs may open a file.
pub fn files<'a>(args: &FileArgs, programs: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Arc<Files>>> {
    if !args.given() {
        return Ok(None);
    }
    let mut files = Files::new();
    for folder in &args.dir {
        let why = |e| {
            let (host, why) = (folder.host.display(), report::chain(&anyhow::Error::new(e)));
            Usage(format!("--dir {host}: the folder cannot be opened: {why}; name one that is there and may be read"))
        };
        files.add_folder(&folder.host, &folder.guest, folder.write).map_err(why)?;
    }
    if let Some(scratch) = &args.scratch {
        let names = match &scratch.guest {
            Some(name) => vec![name.as_str()],
            None => SCRATCH.to_vec(),
        };
        let others = |name: &&str| args.dir.iter().all(|folder| folder.guest != **name);
        names.into_iter().filter(others).for_each(|name| files.add_scratch(name, scratch.bytes));
    }
    if programs.into_iter().any(imports_files) {
        files.take_snapshot(args.dir_copy);
    }
    Ok(Some(Arc::new(files)))
}
