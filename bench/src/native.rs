//! What guests must print, as their native builds say.

use crate::guests::Guest;
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vectorvisor::Bytes;

/// An input and its expected output.
pub type Case = (Bytes, Vec<u8>);

/// The first `count` inputs of a guest, with the outputs of its native build in `folder`.
///
/// # Errors
/// There is no native build, or it fails.
pub fn cases(guest: &Guest, count: usize, folder: &Path) -> Result<Vec<Case>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; count]));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    let input = guest.input(seed as u64);
                    let case = output(guest, &input, folder).map(|output| (input.into(), output));
                    done.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[seed] = Some(case.map_err(Arc::new));
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.into_iter().flatten().collect::<Result<_, _>>().map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn output(guest: &Guest, input: &[u8], folder: &Path) -> Result<Vec<u8>> {
    let program = folder.join(guest.program);
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
        format!("cannot start {}; make it with `bench/guests/build native`, or name --native", program.display())
    })?;
    // The guests read everything before they print anything.
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).with_context(|| format!("{} reads no input", program.display()))?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    Ok(output.stdout)
}
