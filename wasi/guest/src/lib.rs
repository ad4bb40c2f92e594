//! Serves requests in a loop.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use vectorvisor_guest::{Format, Service};
//!
//! #[derive(Deserialize)]
//! struct Question {
//!     text: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Answer {
//!     words: usize,
//! }
//!
//! fn main() {
//!     // What is done here is done once: all VMs begin where `run` asks for the first request.
//!     Service::of(Format::Json, |question: Question| Answer { words: question.text.split_whitespace().count() }).run();
//! }
//! ```
//!
//! Compiled to WebAssembly (`wasm32-wasip1`), it is a program for `vectorvisor serve`, `map` and `run`, in which each
//! request runs in a VM. Compiled natively, the same program is an HTTP server on all cores, with the same paths, to
//! compare with: it listens on what the environment variable `VECTORVISOR_LISTEN` says, or on 127.0.0.1:8080.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

#[cfg(target_family = "wasm")]
#[path = "wasm.rs"]
mod host;
#[cfg(not(target_family = "wasm"))]
#[path = "native.rs"]
mod host;

pub use host::barrier;

/// How requests and answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// MessagePack; structures are maps with the names of their fields. Arrays are read as well.
    MsgPack,
}

impl Format {
    /// Reads a value.
    ///
    /// # Errors
    /// Why the bytes are not one.
    pub fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
            Self::MsgPack => rmp_serde::from_slice(bytes).map_err(|error| error.to_string()),
        }
    }

    /// Writes a value.
    ///
    /// # Errors
    /// The format cannot hold it.
    pub fn write<T: Serialize>(self, value: &T) -> Result<Vec<u8>, String> {
        match self {
            Self::Json => serde_json::to_vec(value).map_err(|error| error.to_string()),
            Self::MsgPack => rmp_serde::to_vec_named(value).map_err(|error| error.to_string()),
        }
    }

    /// What the sender of a request gets that cannot be read, or whose answer cannot be written: an object with `error`.
    fn error(self, why: &str) -> Vec<u8> {
        // It is a map of two strings, which each format can hold.
        self.write(&std::collections::BTreeMap::from([("error", why)])).unwrap_or_default()
    }
}

/// What answers requests.
type Handler = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A handler of requests, and how long they may be.
pub struct Service {
    handler: Handler,
    room: usize,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Service {
    /// A handler of bytes. In VectorVisor a request of no bytes is answered with none, without the handler.
    pub fn bytes(handler: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { handler: Arc::new(handler), room: 64 << 10 }
    }

    /// A handler of values. The sender of a request that is not one of its values gets an object with `error`.
    pub fn of<I: DeserializeOwned, O: Serialize>(
        format: Format,
        handler: impl Fn(I) -> O + Send + Sync + 'static,
    ) -> Self {
        Self::bytes(move |request| {
            let answer = format.read(request).and_then(|value| format.write(&handler(value)));
            answer.unwrap_or_else(|why| format.error(&why))
        })
    }

    /// The most bytes of a request, 64 KiB unless said: as much memory of each VM is set apart. A longer one is refused
    /// to its sender.
    pub fn room(self, room: usize) -> Self {
        Self { room, ..self }
    }

    /// Answers requests, for ever.
    pub fn run(self) {
        host::run(self.handler, self.room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Question {
        numbers: Vec<f64>,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Answer {
        mean: f64,
    }

    #[test]
    fn values_go_in_and_out() {
        for format in [Format::Json, Format::MsgPack] {
            let service = Service::of(format, |question: Question| Answer {
                mean: question.numbers.iter().sum::<f64>() / question.numbers.len() as f64,
            });
            let question = std::collections::BTreeMap::from([("numbers", [1.0, 2.0, 6.0])]);
            let answer = (service.handler)(&format.write(&question).expect("a question"));
            assert_eq!(format.read(&answer), Ok(Answer { mean: 3.0 }));
            let answer = (service.handler)(b"\xc1?");
            let error: std::collections::BTreeMap<String, String> = format.read(&answer).expect("an error");
            assert!(!error["error"].is_empty(), "{format:?}");
        }
    }
}
