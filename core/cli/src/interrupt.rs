//! Ctrl-C, SIGTERM and a terminal that closes (SIGHUP) end a run early: what was delivered stands and the rest is
//! reported; a second one ends the process at once.
//!
//! One thread waits for the signals, which are blocked in all others. A handler would not do: libraries set their
//! own, as LLVM does in PoCL when it compiles a kernel at the first launch. Child processes begin with no signal
//! blocked ([`std::process::Command`] sees to that). Under `nohup` SIGHUP stays ignored.

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
    let mut signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    if !is_ignored(Signal::SIGHUP) {
        signals.add(Signal::SIGHUP);
    }
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

/// Whether whoever started this process had it ignore a signal. One that is blocked would arrive all the same.
fn is_ignored(signal: Signal) -> bool {
    let mut now = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: it only writes what is set now.
    let asked = unsafe { nix::libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: all bytes zero are a value, too.
    asked == 0 && unsafe { now.assume_init() }.sa_sigaction == nix::libc::SIG_IGN
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
