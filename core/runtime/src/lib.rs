//! Runs thousands of copies of one WebAssembly/WASI program as virtual machines (VMs) on a GPU or on the host's cores.
//!
//! Three steps: an [`Engine`] is an open device, a [`Program`] is a module translated and compiled for it, and a
//! [`Fleet`] is memory on the device for many VMs that run it. [`Fleet::run`] takes inputs from an iterator, gives
//! each to a VM, and delivers an [`Outcome`] for each as it ends.
//!
//! ```
//! use vectorvisor::{Drivers, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions};
//!
//! # fn main() -> vectorvisor::Result<()> {
//! // The crate `vectorvisor-cpu`; other drivers are plugins, which are looked for.
//! let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
//! let engine = Engine::open(&drivers, &"cpu".parse()?, Default::default())?;
//! let wasm = std::fs::read("../examples/sha256.wasm").expect("a program");
//! let program = Program::new(&engine, &wasm, &ProgramOptions::default(), &mut |_| {})?;
//! let mut fleet = Fleet::new(&program, &FleetOptions::default(), Some(1000))?;
//! let mut inputs = (0..1000).map(|i| Input::stdin(format!("message {i}").into_bytes()));
//! fleet.run("_start", &mut inputs, &mut |outcome| {
//!     println!("{}: {}", outcome.index, String::from_utf8_lossy(&outcome.stdout));
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Devices`] runs one program on several devices, each with a fleet of its own.

mod cache;
mod drivers;
mod engine;
mod error;
mod fleet;
mod meter;
mod options;
mod outcome;
mod program;
mod source;
mod tier;
mod trace;
mod tune;
mod value;

pub use bytes::Bytes;
pub use cache::CachePolicy;
pub use drivers::Drivers;
pub use engine::{BackendList, BackendSpec, Engine};
pub use error::{Error, Result};
pub use fleet::{Call, CancelHandle, DeviceRun, Devices, Fleet, Instances, Ready, Returned, Tuner, Waker};
pub use meter::{Gauges, Meter};
pub use options::{FleetOptions, Input, ProgramOptions};
pub use outcome::{Edges, End, Outcome, Place, Summary, Trap, Visits};
pub use program::{Choice, Learnt, Program, Stage, register_limit, to_wasm, to_wasm_of};
pub use source::{Polled, Source};
pub use trace::Trace;
pub use tune::{Autotuning, Measured, Tuning};
pub use value::Value;
pub use vectorvisor_driver as driver;
pub use vectorvisor_driver::{DeviceInfo, DeviceKind, Quirks};
pub use vectorvisor_translate as translate;
pub use vectorvisor_translate::abi::TrapKind;
pub use vectorvisor_translate::host::FilesAt;
pub use vectorvisor_translate::{Alignment, Bounds, Entry, Meta, Opt, Traps, ValType};
pub use vectorvisor_wasi::Files;
