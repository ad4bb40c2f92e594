//! An HTTP server whose requests run as VMs of a fleet: a program is an ordinary WASI command, a request's body is its
//! standard input, and what it writes to standard output is the answer; or it serves requests in a loop
//! (`serverless_invoke`).
//!
//! ```no_run
//! # async fn f(program: vectorvisor::Program) -> Result<(), Box<dyn std::error::Error>> {
//! use vectorvisor_serve::{Device, Options, Server};
//! let mut server = Server::new(Options::default())?;
//! let device = Device { name: "cuda:0".into(), program, fleet: vectorvisor::FleetOptions::default() };
//! server.add("hash", vec![device])?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! server.serve(listener, std::future::pending()).await?; // curl --data-binary @FILE localhost:8080
//! # Ok(())
//! # }
//! ```

mod batch;
mod cgi;
mod http;
mod metrics;
mod page;
mod queue;
mod room;
mod sending;
mod tls;
mod window;
mod worker;

use metrics::{Metrics, OnDevice};
pub use queue::Limits;
use queue::Queue;
use room::Room;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
pub use tls::Tls;
use tokio::sync::Notify;
use vectorvisor::{Fleet, FleetOptions, Program, Trace};
use worker::Worker;

/// How the server behaves to its clients.
#[derive(Debug, Clone)]
pub struct Options {
    /// What may wait for VMs.
    pub limits: Limits,
    /// Most bytes of a body.
    pub body: usize,
    /// How long a client may take to send a request's head, and then its body, and how long it may read nothing of an
    /// answer.
    pub patience: Duration,
    /// The content type of answers.
    pub content_type: String,
    /// Connections are encrypted.
    pub tls: Option<Tls>,
    /// Programs may be asked by any method, and all find the request's query and headers in their environment, as those of
    /// CGI do. Else only commands do, and not those of batches.
    pub cgi: bool,
    /// Programs are autotuned with their first requests, if those are about the same work ([`vectorvisor::Tuner`]).
    pub autotune: bool,
    /// Where the parts of requests are recorded: reading the body, waiting for a VM, running, writing the answer. Those
    /// of batches are not.
    pub trace: Option<Trace>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            body: 64 << 20,
            patience: Duration::from_secs(30),
            content_type: "application/octet-stream".into(),
            tls: None,
            cgi: false,
            autotune: false,
            trace: None,
        }
    }
}

/// Why a server cannot begin, or ended.
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
    /// A program's devices failed and did not come back: it takes a new process.
    #[error("the device of {0} failed and does not come back; start the server again")]
    Device(String),
    /// The system has no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A device that runs a program. A device may be there twice, with two fleets.
#[derive(Debug)]
pub struct Device {
    /// As figures and messages call it; each of a program has another name.
    pub name: String,
    /// The program, compiled for it.
    pub program: Program,
    /// Its VMs; `sharers` says how many fleets share the device, and `parts` how many of them are this program's.
    pub fleet: FleetOptions,
}

/// Programs, each with its queue and its fleets.
pub struct Server {
    options: Options,
    content_type: axum::http::HeaderValue,
    metrics: Metrics,
    services: BTreeMap<String, Service>,
    room: Room,
    /// Room for what batches have under way.
    windows: Arc<window::Pool>,
    errors: page::Errors,
    begun: Instant,
    /// A program whose devices do not come back.
    broken: Arc<(Mutex<Option<String>>, Notify)>,
}

/// A program that answers requests.
struct Service {
    name: String,
    queue: Arc<Queue>,
    /// It is a command that reads its environment.
    variables: bool,
    /// In the order of the queue's workers.
    devices: Vec<Member>,
}

/// A device of a program.
struct Member {
    name: String,
    /// What its vendor calls it.
    model: String,
    figures: OnDevice,
    thread: Option<JoinHandle<()>>,
}

/// First parts of paths that are the server's own.
const RESERVED: [&str; 7] = ["batch", "batch_submit", "healthz", "is_active", "readyz", "metrics", "status"];

impl Server {
    /// A server without programs.
    ///
    /// # Errors
    /// The content type is not one, or a limit makes no sense.
    pub fn new(options: Options) -> Result<Self, Error> {
        let content_type = options.content_type.parse::<axum::http::HeaderValue>();
        let content_type =
            content_type.map_err(|_| Error::Option(format!("{:?} is not a content type", options.content_type)))?;
        let limits = options.limits;
        if limits.requests == 0 {
            return Err(Error::Option("0 requests cannot wait (--max-queue)".into()));
        }
        if options.body > limits.bytes {
            let (one, all) = (options.body, limits.bytes);
            let text = format!("a body of {one} bytes (--max-body) must fit into the {all} of all (--max-queue-bytes)");
            return Err(Error::Option(text));
        }
        let room = Room::new(limits.bytes, options.body, options.patience);
        let windows = Arc::new(window::Pool::new(limits.bytes));
        let metrics = Metrics::new().map_err(|error| Error::Option(error.to_string()))?;
        Ok(Self {
            options,
            content_type,
            metrics,
            services: BTreeMap::new(),
            room,
            windows,
            errors: page::Errors::default(),
            begun: Instant::now(),
            broken: Arc::default(),
        })
    }

    /// Adds a program, which answers `POST /NAME`, run by these devices together. Their VMs are allocated now.
    ///
    /// # Errors
    /// The name is taken, or makes no path; or none of the devices has room for one VM. If only some have, the others
    /// run the program, and an error is logged.
    pub fn add(&mut self, name: &str, devices: Vec<Device>) -> Result<(), Error> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(good) || name.starts_with('.') {
            let text =
                format!("{name:?} cannot be part of a path; give the program a name of letters, digits, - and _");
            return Err(Error::Name(text));
        }
        if RESERVED.contains(&name) || self.services.contains_key(name) {
            return Err(Error::Name(format!("{name:?} is taken; give the program another name, as NAME=PROG")));
        }
        if devices.iter().any(|device| device.program.entry(worker::ENTRY).is_none()) {
            return Err(Error::Name(format!("{name:?} has no {}: it is not a command", worker::ENTRY)));
        }
        let (mut ready, mut failed) = (Vec::new(), None);
        for (device, fleet) in self.fleets(devices)? {
            match fleet {
                Ok(fleet) => ready.push((device, fleet)),
                Err(error) => {
                    tracing::error!(%error, "{} does not run {name}", device.name);
                    failed.get_or_insert(error);
                }
            }
        }
        if let (true, Some(error)) = (ready.is_empty(), failed) {
            return Err(error.into());
        }
        let same = |one: &Device, other: &Device| {
            let [one, other] = [one, other].map(|device| device.program.engine());
            one.backend() == other.backend() && one.info().index == other.info().index
        };
        // Of several fleets of a device, that which was there first.
        let first = |(device, _): &(Device, Fleet)| ready.iter().position(|(other, _)| same(device, other));
        let devices: Box<[usize]> = ready.iter().map(|device| first(device).unwrap_or(0)).collect();
        let queue = Arc::new(Queue::new(self.options.limits, self.metrics.of(name), devices.clone()));
        let variables = ready.iter().any(|(device, _)| command_with_variables(&device.program));
        let mut service = Service { name: name.to_owned(), queue: queue.clone(), variables, devices: Vec::new() };
        for (number, (Device { name: device, program, fleet: options }, fleet)) in ready.into_iter().enumerate() {
            let profiled = program.options().profile;
            let figures = self.metrics.on_device(name, &device, options.meter.clone(), profiled);
            let model = program.engine().info().name.clone();
            let (broken, owned) = (self.broken.clone(), name.to_owned());
            let give_up = move || {
                *broken.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(owned);
                broken.1.notify_one();
            };
            // One tunes for all of its device.
            let autotune = self.options.autotune && devices[number] == number;
            let worker = Worker { queue: queue.clone(), number, device: device.clone(), program, options, autotune };
            let thread = Some(worker.start(fleet, give_up)?);
            service.devices.push(Member { name: device, model, figures, thread });
        }
        self.services.insert(name.to_owned(), service);
        Ok(())
    }

    /// Makes the fleets of a program, all at the same time.
    fn fleets(&self, devices: Vec<Device>) -> Result<Vec<(Device, vectorvisor::Result<Fleet>)>, Error> {
        let one = |mut device: Device| {
            // The exact place of a bad access is not worth a compilation that all others would wait for.
            device.fleet.exact_reruns = 0;
            device.fleet.output_of_failures = false;
            device.fleet.own_arguments |= self.options.cgi || command_with_variables(&device.program);
            let fleet = Fleet::new(&device.program, &device.fleet, None);
            (device, fleet)
        };
        std::thread::scope(|scope| {
            let begin = |device| std::thread::Builder::new().spawn_scoped(scope, move || one(device));
            let threads = devices.into_iter().map(begin).collect::<std::io::Result<Vec<_>>>()?;
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join();
            Ok(threads.into_iter().map(join).map(|made| made.unwrap_or_else(|panic| resume_unwind(panic))).collect())
        })
    }

    /// Serves until `stop`, and then answers what was accepted, however long that takes.
    ///
    /// # Errors
    /// [`Error::Device`], if a device failed and does not come back.
    pub async fn serve(self, listener: tokio::net::TcpListener, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let (broken, server) = (self.broken.clone(), Arc::new(self));
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = broken.1.notified() => {}
            }
        };
        http::serve(server.clone(), listener, stop).await;
        // What clients that have gone left behind may run on; then the threads end.
        let ended = tokio::task::spawn_blocking(move || drop(server)).await;
        if let Err(error) = ended {
            tracing::error!(%error, "a thread panicked");
        }
        let broken = broken.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        broken.map_or(Ok(()), |name| Err(Error::Device(name)))
    }
}

/// Whether a program is a command that may read its environment.
fn command_with_variables(program: &Program) -> bool {
    program.meta().reads_environment && !program.meta().events
}

impl Drop for Server {
    fn drop(&mut self) {
        self.services.values().for_each(|service| service.queue.close());
        for device in self.services.values_mut().flat_map(|service| &mut service.devices) {
            // If it panicked, it has said so.
            _ = device.thread.take().map(JoinHandle::join);
        }
    }
}
