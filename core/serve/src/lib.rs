//! An HTTP server whose requests run as VMs of a fleet: a program is an ordinary WASI command, a request's body is its
//! standard input, and what it writes to standard output is the answer.
//!
//! ```no_run
//! # async fn f(program: vectorvisor::Program) -> Result<(), Box<dyn std::error::Error>> {
//! use vectorvisor_serve::{Options, Server};
//! let mut server = Server::new(Options::default())?;
//! server.add("hash", program, vectorvisor::FleetOptions::default())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! server.serve(listener, async { _ = tokio::signal::ctrl_c().await }).await; // curl --data-binary @FILE localhost:8080
//! # Ok(())
//! # }
//! ```

mod batch;
mod http;
pub mod lines;
mod metrics;
mod queue;
mod worker;

use metrics::Metrics;
pub use queue::Limits;
use queue::Queue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use vectorvisor::{Fleet, FleetOptions, Program};

/// How the server behaves to its clients.
#[derive(Debug, Clone)]
pub struct Options {
    /// What may wait for VMs, for each program.
    pub limits: Limits,
    /// Most bytes of a body.
    pub body: usize,
    /// How long a client may take to send a request's head, and then its body.
    pub patience: Duration,
    /// The content type of answers.
    pub content_type: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            body: 64 << 20,
            patience: Duration::from_secs(30),
            content_type: "application/octet-stream".into(),
        }
    }
}

/// What a server cannot begin with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The fleet could not be made.
    #[error(transparent)]
    Fleet(#[from] vectorvisor::Error),
    /// Two programs have one name, or a name is not one of a path.
    #[error("{0}")]
    Name(String),
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
    /// The system has no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Programs, each with its fleet and its queue.
pub struct Server {
    options: Options,
    metrics: Metrics,
    services: BTreeMap<String, Service>,
}

/// A program that answers requests.
struct Service {
    queue: Arc<Queue>,
    meter: vectorvisor::Meter,
    thread: Option<JoinHandle<()>>,
}

/// First parts of paths that are the server's own.
const RESERVED: [&str; 4] = ["batch", "healthz", "readyz", "metrics"];

impl Server {
    /// A server without programs.
    ///
    /// # Errors
    /// The content type is not one.
    pub fn new(options: Options) -> Result<Self, Error> {
        if options.content_type.parse::<axum::http::HeaderValue>().is_err() {
            return Err(Error::Option(format!("{:?} is not a content type", options.content_type)));
        }
        let metrics = Metrics::new().map_err(|error| Error::Option(error.to_string()))?;
        Ok(Self { options, metrics, services: BTreeMap::new() })
    }

    /// Adds a program, which answers `POST /NAME`. Its VMs are allocated now; `fleet.sharers` says how many programs
    /// share the device.
    ///
    /// # Errors
    /// The name is taken, or makes no path; or there is no room on the device for one VM.
    pub fn add(&mut self, name: &str, program: Program, fleet: FleetOptions) -> Result<(), Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(good) || name.starts_with('.') {
            let text =
                format!("{name:?} cannot be part of a path; give the program a name of letters, digits, - and _");
            return Err(Error::Name(text));
        }
        if RESERVED.contains(&name) || self.services.contains_key(name) {
            return Err(Error::Name(format!("{name:?} is taken; give the program another name, as NAME=PROG")));
        }
        let vms = Fleet::new(&program, &fleet, None)?;
        let queue = Arc::new(Queue::new(self.options.limits, self.metrics.of(name)));
        let meter = fleet.meter.clone();
        let thread = worker::start(program, fleet, vms, queue.clone())?;
        self.services.insert(name.to_owned(), Service { queue, meter, thread: Some(thread) });
        Ok(())
    }

    /// Serves until `stop`, and then answers what was accepted.
    pub async fn serve(self, listener: tokio::net::TcpListener, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        http::serve(server.clone(), listener, stop).await;
        // What clients that have gone left behind may run on; then the threads end.
        let ended = tokio::task::spawn_blocking(move || drop(server)).await;
        if let Err(error) = ended {
            tracing::error!(%error, "a thread panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.services.values().for_each(|service| service.queue.close());
        for service in self.services.values_mut() {
            // If it panicked, it has said so.
            _ = service.thread.take().map(JoinHandle::join);
        }
    }
}
