//! `vectorvisor serve`: programs behind HTTP, each request a VM.

use crate::args::ServeArgs;
use crate::report::{self, Progress};
use crate::{Usage, interrupt, setup};
use anyhow::{Context, Result};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use vectorvisor::Trace;
use vectorvisor_serve::{Limits, Options, Server, Tls};

/// Time that a request may compute where `--timeout` does not say: none may occupy the device for ever.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the subcommand; returns the exit code.
pub fn serve(args: &ServeArgs) -> Result<i32> {
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
    let trace = args.trace.as_ref().map(|_| Trace::default());
    let mut server = Server::new(Options {
        limits: Limits { requests: args.max_queue, bytes: args.max_queue_bytes as usize, delay: args.max_delay },
        body: args.max_body as usize,
        content_type: args.content_type.clone(),
        cgi: args.cgi,
        tls,
        trace: trace.clone(),
        ..Options::default()
    })?;
    // Bound before anything takes time, and from then on connections wait.
    let listener = std::net::TcpListener::bind(&args.listen)
        .with_context(|| format!("cannot listen on {}; name another --listen ADDRESS:PORT", args.listen))?;
    // The standard library lets 128 wait; each further client would try again only after a second.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXALLOWABLE).context("cannot listen")?;
    listener.set_nonblocking(true).context("cannot use the socket")?;
    let engine = setup::engine(&args.device)?;
    let options = setup::program_options(&args.translate, &["_start"], args.vm_args.files(), engine.info())?;
    for program in &args.programs {
        let (name, path) = name_and_path(program);
        let bytes = setup::read(&path)?;
        let mut progress = Progress::new(quiet, false);
        let made = setup::program(&engine, &path, &bytes, &options, &mut progress)?;
        let mut fleet = setup::fleet_options(&args.vm_args, &path, &[], args.vms)?;
        fleet.timeout.get_or_insert(TIMEOUT);
        fleet.most_output = Some(args.max_output);
        fleet.trace.clone_from(&trace);
        fleet.sharers = args.programs.len() as u32;
        server.add(&name, made, fleet)?;
    }

    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    interrupt::on_signal(move || stopped.notify_one());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
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
