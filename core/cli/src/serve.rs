//! `vectorvisor serve`: programs behind HTTP, each request a VM.

use crate::args::ServeArgs;
use crate::map::names;
use crate::map::profile::usual_targets;
use crate::report::{self, Progress};
use crate::{Usage, interrupt, setup};
use anyhow::{Context, Result};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::Notify;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use vectorvisor::{
    Autotuning, BackendSpec, DeviceKind, Drivers, Engine, FilesAt, Meter, Program, ProgramOptions, Trace,
};
use vectorvisor_serve::{Device, Limits, Options, Server, Tls};

/// Time that a request may compute where `--timeout` does not say: none may occupy the device for ever.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Lets CUDA run as many queues side by side as it can: a server has more groups of VMs than other commands, while some
/// wait for requests that take long, and opens its device only once.
fn many_queues() {
    const VARIABLE: &str = "CUDA_DEVICE_MAX_CONNECTIONS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the only other thread by now waits for signals.
        unsafe { std::env::set_var(VARIABLE, "32") };
    }
}

/// Runs the subcommand; returns the exit code.
pub fn serve(args: &ServeArgs) -> Result<i32> {
    many_queues();
    setup::may_profile(&args.translate, args.profile)?;
    let quiet = args.vm_args.quiet;
    let log = args.log.as_deref().unwrap_or(if quiet { "error" } else { "info" });
    let filter: Targets = log.parse().map_err(|error| Usage(format!("--log {log}: {error}")))?;
    let to_stderr =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(to_stderr.with_filter(filter)).init();
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::new(&pem(cert)?, &pem(key)?)?),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (drivers, devices) = setup::devices(&args.device)?;
    // Bound before anything takes time, and from then on connections wait.
    let listener = std::net::TcpListener::bind(&args.listen)
        .with_context(|| format!("cannot listen on {}; name another --listen ADDRESS:PORT", args.listen))?;
    // The standard library lets 128 wait; each further client would try again only after a second.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXALLOWABLE).context("cannot listen")?;
    listener.set_nonblocking(true).context("cannot use the socket")?;
    let bytes = args.programs.iter().map(|program| {
        let path = name_and_path(program).1;
        setup::read(&path).map(|bytes| (path, bytes))
    });
    let bytes = bytes.collect::<Result<Vec<_>>>()?;
    let given = setup::files(&args.vm_args.files, bytes.iter().map(|(_, bytes)| &bytes[..]))?;
    let ready = prepare(args, &drivers, devices, &bytes, setup::files_at(given.as_ref()))?;
    let specs: Vec<BackendSpec> = ready.iter().map(|(device, _)| device.clone()).collect();
    let each = fleets_of_each(args, &ready);
    let names = names(&fleets(&specs, each));
    let trace = args.trace.as_ref().map(|_| match &names[..] {
        [_] => Trace::default(),
        several => Trace::of_devices(several),
    });
    let mut server = Server::new(Options {
        limits: Limits { requests: args.max_queue, bytes: args.max_queue_bytes as usize, delay: args.max_delay },
        body: args.max_body as usize,
        patience: args.client_timeout,
        content_type: args.content_type.clone(),
        cgi: args.cgi,
        autotune: autotunes(args),
        tls,
        trace: trace.clone(),
    })?;
    for (i, program) in args.programs.iter().enumerate() {
        let (name, path) = name_and_path(program);
        let mut options = setup::fleet_options(&args.vm_args, &path, &[], args.vms, given.clone())?;
        options.timeout.get_or_insert(TIMEOUT);
        options.most_output = Some(args.max_output);
        let mut devices = Vec::new();
        for (spec, programs) in &ready {
            let sharers = specs.iter().filter(|other| *other == spec).count() * each as usize * args.programs.len();
            for _ in 0..each {
                let (number, mut fleet) = (devices.len(), options.clone());
                fleet.meter = Meter::default();
                fleet.trace = trace.as_ref().map(|trace| trace.on(number));
                fleet.sharers = sharers as u32;
                fleet.parts = each;
                devices.push(Device { name: names[number].clone(), program: programs[i].clone(), fleet });
            }
        }
        server.add(&name, devices)?;
    }

    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    interrupt::on_signal(move || stopped.notify_one());
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads(args)).enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the socket")?;
        let address = listener.local_addr().context("cannot use the socket")?;
        let names: Vec<String> = args.programs.iter().map(|program| format!("/{}", name_and_path(program).0)).collect();
        report::note(quiet, &format!("listening on {scheme}://{address}; POST {}", names.join(", ")));
        let ended = server.serve(listener, stop.notified()).await;
        if let (Some(path), Some(trace)) = (&args.trace, &trace) {
            std::fs::write(path, trace.json())
                .with_context(|| format!("cannot write the trace (--trace) {}", path.display()))?;
        }
        Ok(ended.map(|()| 0)?)
    })
}

/// Whether programs are autotuned: others that share a device would disturb the measurement, which is worth it only if
/// the caller wants it.
fn autotunes(args: &ServeArgs) -> bool {
    match setup::autotuning(&args.translate) {
        Autotuning::Now => true,
        Autotuning::Auto => args.programs.len() == 1 && !args.profile,
        Autotuning::Never => false,
    }
}

/// Most fleets of a device where none are asked for, and how many cores each needs: for its own thread, and for those
/// that read requests and write answers.
const FLEETS: usize = 5;
const CORES: usize = 3;

/// How many threads read requests and write answers. One for each core would leave those of fleets to wait for a core,
/// with every request that they have, and answer no more requests a second.
fn threads(args: &ServeArgs) -> usize {
    args.threads.map_or_else(|| (cores() / 2).max(2), |threads| threads as usize)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// How many fleets each device has.
fn fleets_of_each(args: &ServeArgs, devices: &[(BackendSpec, Vec<Program>)]) -> u32 {
    let gpu = |program: &Program| program.engine().info().kind != DeviceKind::Cpu;
    let alone = args.programs.len() == 1 && args.vms.is_none();
    match args.fleets {
        Some(each) => each,
        None if alone && devices.iter().flat_map(|(_, programs)| programs).all(gpu) => {
            (cores() / CORES / devices.len().max(1)).clamp(1, FLEETS) as u32
        }
        None => 1,
    }
}

/// The device of each fleet.
fn fleets(devices: &[BackendSpec], each: u32) -> Vec<BackendSpec> {
    devices.iter().flat_map(|device| std::iter::repeat_n(device.clone(), each as usize)).collect()
}

/// Opens the devices, and compiles the programs for each, all at the same time. Of several devices those that fail are
/// left out.
fn prepare(
    args: &ServeArgs,
    drivers: &Drivers,
    devices: Vec<BackendSpec>,
    bytes: &[(PathBuf, Vec<u8>)],
    files: FilesAt,
) -> Result<Vec<(BackendSpec, Vec<Program>)>> {
    let usual_targets = bytes.iter().map(|(path, bytes)| usual_targets(&args.translate.profile_use, path, bytes));
    let usual_targets = usual_targets.collect::<Result<Vec<_>>>()?;
    let progress = Mutex::new(Progress::new(args.vm_args.quiet, false));
    let one = |spec: &BackendSpec, name: Option<&str>| -> Result<(BackendSpec, Vec<Program>)> {
        let engine = Engine::open(drivers, spec, setup::quirks(&args.device))?;
        let options = setup::program_options(&args.translate, &["_start"], files, engine.info())?;
        let options = ProgramOptions { profile: args.profile, ..options };
        let programs = bytes.iter().zip(&usual_targets).map(|((path, bytes), usual_targets)| {
            let mut tell = |stage: vectorvisor::Stage<'_>| {
                progress.lock().unwrap_or_else(PoisonError::into_inner).stage_of(name, stage);
            };
            let options = ProgramOptions { usual_targets: usual_targets.clone(), ..options.clone() };
            setup::program(&engine, path, bytes, &args.translate, &options, false, &mut tell)
        });
        let spec = BackendSpec { name: engine.backend().into(), index: Some(engine.info().index) };
        Ok((spec, programs.collect::<Result<_>>()?))
    };
    let (one, names) = (&one, names(&devices));
    let made: Vec<Result<_>> = thread::scope(|scope| {
        let threads: Vec<_> = devices
            .iter()
            .zip(&names)
            .map(|(spec, name)| {
                let name = Some(name.as_str()).filter(|_| devices.len() > 1);
                thread::Builder::new().name("vv-prepare".into()).spawn_scoped(scope, move || one(spec, name))
            })
            .collect();
        let join = |thread: std::io::Result<thread::ScopedJoinHandle<'_, _>>| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(error).context("cannot start a thread that prepares a device"),
        };
        threads.into_iter().map(join).collect()
    });
    let some = made.iter().any(Result::is_ok);
    let mut ready = Vec::new();
    for (name, made) in names.iter().zip(made) {
        match made {
            Ok(device) => ready.push(device),
            Err(error) if !some => return Err(error),
            Err(error) => tracing::error!("{name} is left out: {}", report::chain(&error)),
        }
    }
    Ok(ready)
}

fn pem(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `NAME=PROG`, or a program whose name is that of its file.
fn name_and_path(program: &str) -> (String, PathBuf) {
    match program.split_once('=') {
        Some((name, path)) if !name.contains('/') => (name.into(), path.into()),
        _ => {
            let path = Path::new(program);
            (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_names() {
        let of = |text| name_and_path(text);
        assert_eq!(of("a/hash.wasm"), ("hash".into(), "a/hash.wasm".into()));
        assert_eq!(of("h=a/hash.wasm"), ("h".into(), "a/hash.wasm".into()));
        assert_eq!(of("a=b/hash.wasm"), ("a".into(), "b/hash.wasm".into()));
        assert_eq!(of("./a=b.wasm"), ("a=b".into(), "./a=b.wasm".into()));
    }
}
