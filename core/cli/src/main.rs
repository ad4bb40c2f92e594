//! The `vectorvisor` command.

mod args;
mod costs;
mod devices;
mod inspect;
mod interrupt;
mod map;
mod report;
mod run;
mod serve;
mod setup;

use args::{Cli, Command};
use clap::Parser as _;
use std::fmt;
use std::io::Write as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mistake in the command line that only shows when the program or the files are known: exit code 2.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn main() {
    let cli = Cli::parse_from(args::with_subcommand(std::env::args_os()));
    let result = interrupt::watch().and_then(|()| match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Map(args) => map::map(args),
        Command::Profile(args) => map::profile::profile(args),
        Command::Serve(args) => serve::serve(args),
        Command::Devices(args) => devices::devices(args),
        Command::Inspect(args) => inspect::inspect(args),
    });
    let code = match result {
        Ok(code) => code,
        Err(error) if closed_output(&error) => 0,
        Err(error) => {
            report::line(&format!("vectorvisor: {}", report::chain(&error)));
            if is_usage(&error) { 2 } else { 1 }
        }
    };
    // Libraries' destructors do not expect threads that still compile, and nothing is left to do. What cannot be
    // written then has no reader.
    _ = std::io::stdout().flush();
    interrupt::leave(code)
}

fn is_usage(error: &anyhow::Error) -> bool {
    use vectorvisor::Error::{BackendSyntax, Option, UnknownBackend};
    let option = |e: &vectorvisor::Error| matches!(e, BackendSyntax(_) | UnknownBackend { .. } | Option(_));
    error.is::<Usage>() || error.downcast_ref().is_some_and(option)
}

/// The reader of standard output has closed it, as `head` does.
fn closed_output(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}
