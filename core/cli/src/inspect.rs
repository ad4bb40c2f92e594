//! `vectorvisor inspect`: what a program is translated to, and which of its functions can suspend.

use crate::args::{DeviceArgs, Emit, InspectArgs, Interleave};
use crate::costs;
use crate::map::profile::usual_targets;
use crate::report::count;
use crate::setup;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use vectorvisor::driver::{Error as DriverError, Language};
use vectorvisor::translate::Colour::Unreached;
use vectorvisor::translate::ir::{Ask, Callee, Stmt, walk};
use vectorvisor::translate::wasm::imports_files;
use vectorvisor::translate::{self, Bounds, Colour, Lowered, Meta, Options, Traps};
use vectorvisor::{BackendSpec, Choice, DeviceInfo, DeviceKind, Error, Files, FilesAt, ProgramOptions};

/// Runs the subcommand; returns the exit code.
pub fn inspect(args: &InspectArgs) -> Result<i32> {
    show(args).map_err(setup::usage)
}

fn show(args: &InspectArgs) -> Result<i32> {
    if args.arch.is_some() && args.emit != Emit::Plan {
        return Err(crate::Usage("--arch only goes with --emit plan".into()).into());
    }
    if args.translate.interleave == Interleave::Tune {
        let why = "--interleave tune measures during a run; auto shows what an earlier run chose";
        return Err(crate::Usage(why.into()).into());
    }
    let wasm = setup::read(&args.program)?;
    let device = device(args)?;
    let module = translate::wasm::Module::decode(&wasm, args.translate.linked)
        .with_context(|| args.program.display().to_string())?;
    let starts = module.exports.iter().any(|(name, _)| name == "_start");
    let roots = setup::roots(args.invoke.as_deref(), !starts);
    let given = setup::files(&args.given, [&wasm[..]])?;
    let files = files_at(args, given.as_ref());
    let options = setup::program_options(&args.translate, &roots, files, &device.info)?;
    let usual_targets = usual_targets(&args.translate.profile_use, &args.program, &wasm)?;
    let options = ProgramOptions { profile: args.profile, usual_targets, ..options };
    let choice = Choice::new(&device.backend, &device.info, &wasm, &options);
    let options = &choice.translation;
    let text = match args.emit {
        Emit::Opencl | Emit::Cuda | Emit::Hip | Emit::C => {
            let kernel = translate::translate(&wasm, options).with_context(|| args.program.display().to_string())?;
            std::iter::once(kernel.header).chain(kernel.units).collect()
        }
        Emit::Plan => {
            let kernel = translate::translate(&wasm, options).with_context(|| args.program.display().to_string())?;
            let costs = args.arch.as_ref().map(|arch| costs::costs(&args.device, arch, &kernel)).transpose()?;
            plan(&kernel.meta, &device, &choice, given.as_deref()) + &costs.unwrap_or_default()
        }
        Emit::Ir => ir(&wasm, options)?,
        Emit::Calls => calls(&wasm, options, given.as_deref())?,
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(0)
}

/// What a program is translated for.
struct Device {
    backend: String,
    info: DeviceInfo,
    /// Its description in the output.
    what: String,
}

/// The device that `run` would open, or a typical one of its kind: see the help.
fn device(args: &InspectArgs) -> Result<Device> {
    let wanted = match args.emit {
        Emit::Opencl => Some(Language::OpenCl),
        Emit::Cuda => Some(Language::Cuda),
        Emit::Hip => Some(Language::Hip),
        Emit::C => Some(Language::C),
        Emit::Ir | Emit::Plan | Emit::Calls => None,
    };
    let spec = setup::one(&args.device)?;
    // Also where no driver is needed, a path that does not exist is an error.
    setup::drivers(&args.device.driver_path)?;
    let its = match spec.name.as_str() {
        "cpu" => Some(Language::C),
        "opencl" => Some(Language::OpenCl),
        "cuda" => Some(Language::Cuda),
        "hip" => Some(Language::Hip),
        _ => None,
    };
    let typical = |language, why: &str| Device {
        backend: spec.name.clone(),
        info: typical(language, &args.device),
        what: format!("a typical one of {}{why}", spec.name),
    };
    match (wanted, its) {
        (Some(wanted), Some(its)) if wanted != its => {
            unnumbered(spec, "the text is in a language that is not that of its devices")?;
            return Ok(typical(wanted, ""));
        }
        (None, Some(its)) if args.arch.is_some() => {
            unnumbered(spec, "--arch opens no device")?;
            return Ok(typical(its, ""));
        }
        _ => {}
    }
    match (setup::engine(&args.device), its) {
        (Ok(engine), _) => Ok(match wanted {
            Some(wanted) if wanted != engine.info().language => {
                unnumbered(spec, "the text is in a language that is not that of its devices")?;
                typical(wanted, "")
            }
            _ => {
                let info = engine.info().clone();
                let what = format!("{}:{}, {}", engine.backend(), info.index, info.name);
                Device { backend: engine.backend().into(), info, what }
            }
        }),
        (Err(error), Some(its)) if unavailable(&error) => {
            Ok(typical(its, ", since none is here (`vectorvisor devices` says why)"))
        }
        (Err(error), _) => Err(error),
    }
}

/// Where no device of the backend is used, its number would be ignored.
fn unnumbered(spec: &BackendSpec, why: &str) -> Result<()> {
    let Some(index) = spec.index else { return Ok(()) };
    let what = format!("--backend {spec}: {why}, so device {index} does not matter; write --backend {}", spec.name);
    Err(crate::Usage(what).into())
}

fn unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Backend { source: DriverError::Unavailable { .. }, .. }))
}

/// A typical device for a language, described without opening one.
fn typical(language: Language, args: &DeviceArgs) -> DeviceInfo {
    let nvidia = language == Language::Cuda || args.nvidia == Some(true);
    let gpu = language != Language::C;
    DeviceInfo {
        index: 0,
        name: "typical".into(),
        identity: String::new(),
        kind: if gpu { DeviceKind::Gpu } else { DeviceKind::Cpu },
        language,
        memory: u64::MAX,
        max_alloc: u64::MAX,
        lane_width: if gpu { 32 } else { 1 },
        parallel_tiles: 1,
        thread_exit: matches!(language, Language::C | Language::Cuda) || nvidia,
        timer: matches!(language, Language::C | Language::Cuda),
        live_shared: true,
        zeroed: !gpu,
        nvidia,
        patch: args.patch == Some(true),
        recursion: language == Language::Cuda,
    }
}

fn ir(wasm: &[u8], options: &Options) -> Result<String> {
    Ok(translate::lower_module(wasm, options)?.program.to_string())
}

/// Where the files of guests are.
fn files_at(args: &InspectArgs, given: Option<&Arc<Files>>) -> FilesAt {
    if args.files { FilesAt::Host } else { setup::files_at(given) }
}

/// Where they are in words, if there are some.
fn files(at: FilesAt, given: Option<&Files>) -> Option<String> {
    match (at, given.map(Files::snapshot)) {
        (FilesAt::Nowhere, _) => None,
        (FilesAt::Device, Some(Ok(copy))) => {
            Some(format!("on the device: {} in {} bytes", count(copy.nodes as u64, "file", "files"), copy.bytes.len()))
        }
        (FilesAt::Host | FilesAt::Disk, Some(Err(why))) => Some(format!("with the host: {why}")),
        (FilesAt::Device, _) => Some("on the device".into()),
        (FilesAt::Host | FilesAt::Disk, _) => Some("with the host".into()),
    }
}

/// One line for each function: its kind, and why.
fn calls(wasm: &[u8], options: &Options, given: Option<&Files>) -> Result<String> {
    let lowered = translate::lower_module(wasm, options)?;
    let functions = &lowered.program.functions;
    let name = |f: &u32| functions.get(*f as usize).map_or_else(|| "?".into(), |f| f.name());
    let mut text = match files(options.files, given).filter(|_| imports_files(wasm)) {
        Some(where_) => format!("files\t{where_}\n"),
        None => String::new(),
    };
    for (function, colour) in functions.iter().zip(&lowered.colours) {
        let why = match colour {
            Unreached => continue,
            Colour::Direct => "direct".to_string(),
            Colour::Forced => "framed: --force-framed".to_string(),
            Colour::Remote(call) => format!("framed: makes the remote call {call}"),
            Colour::Suspends(callee) => format!("framed: calls {}, which can suspend", name(callee)),
            Colour::Recursive(with) => {
                format!("direct, framed when re-entered: on a cycle of calls with {}", name(with))
            }
            Colour::AbandonedTo(with) => {
                format!("framed: never returns, and lies on a cycle of calls with {}", name(with))
            }
            Colour::Paths => "framed: too many paths of calls below it for this kernel compiler".to_string(),
            Colour::Calls(callee) => format!("direct, framed when re-entered: calls {}", name(callee)),
        };
        _ = writeln!(text, "{}\t{why}", function.name());
    }
    Ok(text + &totals(&lowered))
}

/// How many functions there are of each kind, and how many calls are in them. What was divided counts as one.
fn totals(lowered: &Lowered) -> String {
    let functions = &lowered.program.functions;
    let part = |f: u32| functions.get(f as usize).is_some_and(|function| function.part_of.is_some());
    let [mut all, mut direct, mut indirect, mut host, mut suspend, mut reentered] = [0; 6];
    for (function, colour) in functions.iter().zip(&lowered.colours).filter(|(_, colour)| **colour != Unreached) {
        // Where there are two versions of the code, both have the same calls.
        for stmts in function.bodies().take(1).flat_map(|body| body.states.iter().chain([&body.stmts])) {
            walk(stmts, &mut |stmt| match stmt {
                Stmt::Call { callee, .. } | Stmt::CallNested { callee, .. } | Stmt::CallFramed { callee, .. } => {
                    match callee {
                        Callee::Function(f) => direct += u64::from(!part(*f)),
                        Callee::Table { .. } => indirect += 1,
                    }
                }
                Stmt::Abandon { .. } => direct += 1,
                // One that suspends has a second statement, which takes the answer.
                Stmt::Ask { how, .. } => host += u64::from(*how != Ask::Takes),
                _ => {}
            });
        }
        if function.part_of.is_none() {
            all += 1;
            suspend += u64::from(colour.suspends());
            reentered += u64::from(colour.framed() && !colour.suspends());
        }
    }
    format!(
        "\nfunctions\t{all}\ndirect calls\t{direct}\nindirect calls\t{indirect}\nhost calls\t{host}\n\
         functions that can suspend (framed)\t{suspend}\nothers that are framed in some calls\t{reentered}\n"
    )
}

fn plan(meta: &Meta, device: &Device, choice: &Choice, given: Option<&Files>) -> String {
    let (p, options) = (&meta.plan, &choice.translation);
    let mut text = String::new();
    let mut row = |name: &str, value: String| _ = writeln!(text, "{name:<18}{value}");
    row("device", device.what.clone());
    row("lanes", p.lanes.to_string());
    let cell = if p.cell == 0 { "linear".into() } else { format!("{} bytes", p.cell) };
    row("cell", cell + if choice.tuning.is_some() { ", by earlier autotuning" } else { "" });
    let memory = choice.first_memory(p);
    let region = p.region(memory, p.frames);
    row("VM", format!("{region} bytes; a tile {}; {} VMs a GiB", region * u64::from(p.lanes), (1 << 30) / region));
    row("globals, tables", format!("0..{}", p.head));
    row("request slot", format!("{}..{}", p.slot_at, p.slot_at + p.slot));
    let first = match (memory < p.memory_limit, choice.learnt) {
        (false, _) => String::new(),
        (true, None) => format!(", of which a VM of many has room for {memory} at first"),
        (true, Some(_)) => format!(", of which {memory} were enough for nearly all inputs of an earlier run"),
    };
    let limit =
        if p.memory_initial < p.memory_limit { format!(", can grow to {}", p.memory_limit) } else { String::new() };
    row("memory", format!("from {}: {} bytes{limit}{first}", p.memory_at, p.memory_initial));
    let frames = format!("{}..{region}", p.frames_at(memory));
    row(
        "frames",
        match p.frames_limit - p.frames {
            0 => frames,
            _ => format!("{frames}, and up to {} bytes for inputs that need them", p.frames_limit),
        },
    );
    row("offsets", if p.wide { "64 bits".into() } else { "32 bits".into() });
    let image = &meta.image;
    let low = image.low;
    row(
        "image",
        format!(
            "head {} bytes, memory {low}..{}, passive segments {} bytes",
            image.head.len(),
            low + image.memory.len() as u64,
            image.segments.len()
        ),
    );
    let suspend = match (meta.remote, meta.events) {
        (_, true) if meta.keeps => "the program serves requests in a loop; a VM suspends until its next",
        (true, _) => "some suspend the VM",
        (false, true) => "the program serves requests in a loop; each begins in the state of its first",
        (false, false) => "none suspends the VM",
    };
    row("host calls", suspend.into());
    if let Some(where_) = files(meta.files, given) {
        row("files", where_);
    }
    match choice.shared(meta) {
        Some(Ok(data)) => row("shared data", data.to_string()),
        Some(Err(why)) => row("shared data", format!("none: {why}")),
        None => {}
    }
    let bounds = match options.bounds {
        Bounds::Size => "size",
        Bounds::Capacity => "capacity",
        Bounds::None => "none",
    };
    row("bounds", bounds.into());
    let alignment = match options.natural(meta.keeps) {
        true => "natural",
        false if choice.unaligned => "any, since an earlier run broke natural alignment",
        false => "any",
    };
    row("alignment", alignment.into());
    let recursion = match options.native_stack {
        0 => None,
        _ if choice.deep => Some("in frames, since many inputs of an earlier run recursed deep".into()),
        bytes if options.recurses(meta.keeps, meta.files) => Some(format!("on {bytes} bytes of a thread's own stack")),
        _ => Some("in frames".into()),
    };
    if let Some(recursion) = recursion {
        row("recursion", recursion);
    }
    row("traps", if options.traps == Traps::Exact { "exact" } else { "sticky" }.into());
    for entry in &meta.entries {
        let types = |types: &[translate::ValType]| {
            types.iter().map(|t| format!("{t:?}").to_lowercase()).collect::<Vec<_>>().join(" ")
        };
        row("entry", format!("{} ({}) -> ({})", entry.name, types(&entry.params), types(&entry.results)));
    }
    text
}
