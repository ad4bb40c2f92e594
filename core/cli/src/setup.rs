//! From options to an open device, a compiled program and the options of a fleet.

use crate::Usage;
use crate::args::{AlignmentArg, BoundsArg, DeviceArgs, Interleave, TranslateArgs, TrapsArg, Tune, VmArgs};
use crate::report::{self, Progress};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use vectorvisor::{
    Alignment, Bounds, CachePolicy, Drivers, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions, Quirks,
    Traps, trial_inputs,
};

/// Every driver that can be named. `paths` are those of `--driver-path`, and must exist.
pub fn drivers(paths: &[PathBuf]) -> Result<Drivers> {
    if let Some(path) = paths.iter().find(|path| !path.exists()) {
        return Err(Usage(format!("--driver-path {}: there is no such file or folder", path.display())).into());
    }
    Ok(Drivers::find_all(vec![vectorvisor_cpu::driver()], paths))
}

/// Opens the device that `--backend` names.
pub fn engine(args: &DeviceArgs) -> Result<Engine> {
    let quirks = Quirks { nvidia: args.nvidia, patch: args.patch };
    Ok(Engine::open(&drivers(&args.driver_path)?, &args.backend, quirks)?)
}

/// Reads a program's file: a binary module or text.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read the program {}", path.display()))
}

/// Translates and compiles `bytes`, the contents of `path`.
pub fn program(
    engine: &Engine,
    path: &Path,
    bytes: &[u8],
    options: &ProgramOptions,
    progress: &mut Progress,
) -> Result<Program> {
    Program::new(engine, bytes, options, &mut |stage| progress.stage(stage)).with_context(|| path.display().to_string())
}

/// The translation options that the command line gives; empty `roots` are all exports.
pub fn program_options(args: &TranslateArgs, roots: &[&str]) -> ProgramOptions {
    let usual = ProgramOptions::default();
    ProgramOptions {
        lanes: args.lanes,
        interleave: match args.interleave {
            Interleave::Auto => None,
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
        force_framed: args.force_framed,
        roots: roots.iter().map(ToString::to_string).collect(),
        cache: match &args.cache_dir {
            Some(folder) => CachePolicy::Dir(folder.clone()),
            None if args.no_cache => CachePolicy::Off,
            None => CachePolicy::Default,
        },
        cache_limit: args.cache_size.unwrap_or(usual.cache_limit),
        ..usual
    }
}

/// The program made the fastest way, if a trial is wanted (`--tune`). `count` is the number of inputs, if it is known; inputs are
/// taken only for a trial.
pub fn tuned(
    program: Program,
    args: &VmArgs,
    options: &FleetOptions,
    entry: &str,
    count: Option<usize>,
    inputs: &mut dyn Iterator<Item = Input>,
    progress: &mut Progress,
) -> Result<Program> {
    let wanted = |inputs| match args.tune {
        Tune::Auto => program.worth_tuning(inputs),
        Tune::Always => true,
        Tune::Never => false,
    };
    if !wanted(count.unwrap_or(usize::MAX)) {
        return Ok(program);
    }
    let inputs = trial_inputs(inputs);
    if !wanted(inputs.len()) {
        return Ok(program);
    }
    let trial = program.tune(options, entry, &inputs, &mut |stage| progress.stage(stage))?;
    progress.aside(|| {
        for (tuning, time) in &trial.tried {
            let time = match time {
                Ok(time) => format!("{:.3} ms", time.as_secs_f64() * 1e3),
                Err(why) => why.clone(),
            };
            report::note(args.quiet || args.tune == Tune::Auto, &format!("tried {tuning}: {time}"));
        }
        report::note(args.quiet, &format!("from now on {}, the fastest of {}", trial.tuning, trial.tried.len()));
    });
    Ok(trial.program)
}

/// The exit code after Ctrl-C, which is a shell's after SIGINT.
pub const INTERRUPTED: i32 = 130;

/// Lets Ctrl-C (and SIGTERM) end the fleet's run early, so that what was delivered stands and the rest is told; a second one ends the
/// process at once.
pub fn stop_on_interrupt(fleet: &Fleet) -> Result<()> {
    let handle = fleet.cancel_handle();
    let stop = move || {
        if handle.cancelled() {
            std::process::exit(INTERRUPTED);
        }
        handle.cancel();
    };
    ctrlc::set_handler(stop).context("cannot take notice of Ctrl-C")
}

/// How the VMs run; `guest` are the guest's arguments without its name.
pub fn fleet_options(args: &VmArgs, path: &Path, guest: &[String], vms: Option<u32>) -> Result<FleetOptions> {
    if let Some(bad) = guest.iter().find(|a| a.contains('\0')) {
        return Err(Usage(format!("the argument {bad:?} contains a NUL byte, which no guest can be given")).into());
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(FleetOptions {
        vms,
        args: std::iter::once(name).chain(guest.iter().cloned()).collect(),
        env: args.env.clone(),
        seed: args.seed,
        fuel: args.fuel,
        timeout: args.timeout,
        ..FleetOptions::default()
    })
}
