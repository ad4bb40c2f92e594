//! The host's side of WASI: answers the calls for which a VM suspends.
//!
//! A request and an answer are u64 words, as [`vectorvisor_translate::host`] says; the device finds what a guest does
//! wrong, and then does not ask the host. This crate reads no clock and never waits for one: an answer that is due later
//! says when, and the caller waits.
//!
//! Calls that concern files are answered by a VM's [`Open`] files, which begin as the fleet's [`Files`]. What a request
//! refers to in the VM's memory the caller fetches ([`ranges`]).
//!
//! ```
//! use vectorvisor_translate::host::find;
//! use vectorvisor_wasi::{Answer, answer};
//! let poll = find("wasi_snapshot_preview1", "poll_oneoff").unwrap();
//! // In 5 ns, at no absolute time, and nothing is ready before.
//! let request = [5, u64::MAX, 0].map(u64::to_le_bytes);
//! assert!(matches!(answer(poll, request.as_flattened(), 100), Ok(Answer::At { time: 105, .. })));
//! ```

mod disk;
mod errno;
mod files;
mod poll;
mod request;
mod scratch;
mod snapshot;
mod stat;

pub use files::{Files, Open};
pub use snapshot::Snapshot;

use vectorvisor_translate::host::{CALLS, Call, HostCall};

/// A request that is not in the form agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed host call: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// What to give back to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This answer, now.
    Ready(Vec<u8>),
    /// This answer, when the VM's clock has reached a time.
    At {
        /// Nanoseconds since 1970.
        time: u64,
        /// The answer.
        answer: Vec<u8>,
    },
}

/// Answers a call. `call` is its index in [`CALLS`], `now` the VM's clock in nanoseconds since 1970.
///
/// # Errors
/// [`Malformed`] if the call or its request is not in the form agreed on, which only a faulty translator or device
/// makes.
pub fn answer(call: usize, request: &[u8], now: u64) -> Result<Answer, Malformed> {
    match CALLS.get(call).map(|call| call.call) {
        Some(Call::ClockTimeGet) => words(request).map(|[]: [u64; 0]| Answer::Ready(now.to_le_bytes().to_vec())),
        Some(Call::PollOneoff) => Ok(poll::oneoff(words(request)?, now)),
        _ => Err(Malformed("there is no such call, or the device answers it")),
    }
}

/// The call, if it is one that a VM's [`Open`] files answer.
pub fn of_files(call: usize) -> Option<&'static HostCall> {
    CALLS.get(call).filter(|call| !call.files.is_empty())
}

/// Where in a VM's memory lies what a request refers to: addresses and lengths. Of what the VM writes to a file it is at
/// most so many bytes.
///
/// # Errors
/// As [`answer`].
pub fn ranges(call: usize, request: &[u8], most: u32) -> Result<Vec<(u32, u32)>, Malformed> {
    of_files(call).map_or(Ok(Vec::new()), |call| request::ranges(call, request, most))
}

fn words<const N: usize>(request: &[u8]) -> Result<[u64; N], Malformed> {
    let (words, rest) = request.as_chunks::<8>();
    match <[[u8; 8]; N]>::try_from(words) {
        Ok(words) if rest.is_empty() => Ok(words.map(u64::from_le_bytes)),
        _ => Err(Malformed("the request has another size")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectorvisor_translate::host::find;

    #[test]
    fn what_is_not_agreed_on_is_refused() {
        let poll = find("wasi_unstable", "poll_oneoff").expect("it is in the table");
        let write = find("wasi_unstable", "fd_write").expect("it is in the table");
        assert!(answer(poll, &[0; 24], 0).is_ok());
        let clock = find("wasi_unstable", "clock_time_get").expect("it is in the table");
        assert_eq!(answer(clock, &[], 77), Ok(Answer::Ready(77_u64.to_le_bytes().to_vec())));
        assert!(answer(clock, &[0; 8], 77).is_err());
        for (call, bytes) in [(poll, 23), (poll, 25), (poll, 16), (poll, 0), (write, 24), (CALLS.len(), 24)] {
            assert!(answer(call, &vec![0; bytes], 0).is_err(), "{call} {bytes}");
        }
    }
}
