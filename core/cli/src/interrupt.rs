//! Ctrl-C and SIGTERM end a run early: what was delivered stands and the rest is reported; a second one ends the
//! process at once.
//!
//! One thread waits for the two signals, which are blocked in all others. A handler would not do: libraries set their
//! own, as LLVM does in PoCL when it compiles a kernel at the first launch. Child processes begin with no signal
//! blocked ([`std::process::Command`] sees to that). SIGHUP is as it was: `nohup` ignores it.

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use std::sync::{Mutex, PoisonError};
use vectorvisor::CancelHandle;

/// Exit code after an interrupted run, as a shell's.
pub const INTERRUPTED: i32 = 130;

/// What the first signal does; nothing while a program is still being prepared.
static FIRST: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Begins to wait for signals. To be called before any other thread starts, since threads inherit what is blocked.
pub fn watch() -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().context("cannot block Ctrl-C")?;
    let wait = move || {
        while signals.wait().is_ok() {
            match FIRST.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(first) => first(),
                // Drivers' destructors may wait for running kernels.
                None => leave(INTERRUPTED),
            }
        }
    };
    let thread = std::thread::Builder::new().name("vv-signals".into()).spawn(wait);
    thread.context("cannot start the thread that waits for Ctrl-C")?;
    Ok(())
}

/// From now on a signal ends the runs that this handle ends.
pub fn stops(run: CancelHandle) {
    on_signal(move || run.cancel());
}

/// From now on the first signal does this.
pub fn on_signal(first: impl FnOnce() + Send + 'static) {
    *FIRST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(first));
}

/// Ends the process at once, without the drivers' destructors, and the compilers that it has started.
pub fn leave(code: i32) -> ! {
    vectorvisor_cpu::stop_compilers();
    // SAFETY: it does not return, and runs no code of the process.
    unsafe { nix::libc::_exit(code) }
}
