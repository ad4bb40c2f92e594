//! The host's side of WASI preview 1: answers the calls for which a VM suspends.
//!
//! A request and an answer are plain bytes in the form that [`vectorvisor_translate::host`] describes. This crate
//! has no clock and never blocks: an answer that belongs to a later time says so, and the caller waits.
//!
//! ```
//! use vectorvisor_translate::host::find;
//! use vectorvisor_wasi::{Answer, answer};
//! let poll = find("wasi_snapshot_preview1", "poll_oneoff").unwrap();
//! // No subscriptions: four parameters, and an empty list.
//! assert!(matches!(answer(poll, &[0; 40], 0), Ok(Answer::Ready(_))));
//! ```

mod errno;
mod message;
mod poll;

pub use message::{Malformed, Reply, Request};
use vectorvisor_translate::host::CALLS;

/// What to give back to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This, now.
    Ready(Vec<u8>),
    /// This, when the VM's clock has reached a time.
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
/// makes; what a guest does wrong gets an errno.
pub fn answer(call: usize, request: &[u8], now: u64) -> Result<Answer, Malformed> {
    let call = CALLS.get(call).ok_or(Malformed("there is no such call"))?;
    let request = Request::parse(call, request)?;
    match call.name {
        "poll_oneoff" => poll::oneoff(&request, now),
        _ => Ok(Answer::Ready(Reply::errno(call, errno::NOSYS).finish())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_calls_are_refused_and_others_not_implemented() {
        assert!(answer(CALLS.len(), &[], 0).is_err());
        let sync = CALLS.iter().position(|c| c.name == "fd_sync").unwrap_or(0);
        let expected = u64::from(errno::NOSYS).to_le_bytes().to_vec();
        assert_eq!(answer(sync, &[0; 8], 0), Ok(Answer::Ready(expected)));
        assert!(answer(sync, &[0; 7], 0).is_err());
    }
}
