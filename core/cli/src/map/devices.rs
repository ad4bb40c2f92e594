//! Several devices: a fleet for each, prepared in a thread of its own, so that the first that is ready begins.

use super::profile::usual_targets;
use crate::args::MapArgs;
use crate::report::{self, Progress};
use crate::setup;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use vectorvisor::{
    Autotuning, BackendSpec, CancelHandle, DeviceRun, Devices, Drivers, Engine, Fleet, FleetOptions, Program,
    ProgramOptions, Quirks, Ready, Stage,
};

/// The devices of a run.
pub struct Prepared {
    /// As messages call them.
    pub names: Vec<String>,
    /// Gives their fleets as they come.
    pub fleets: Receiver<Ready>,
    /// Ends the runs of all.
    pub cancel: CancelHandle,
}

/// A device that opens in a thread, while the inputs are listed.
pub struct Opening(thread::JoinHandle<vectorvisor::Result<Engine>>);

impl Opening {
    /// Opens all devices, at the same time.
    pub fn all(drivers: Drivers, specs: &[BackendSpec], quirks: Quirks) -> Result<Vec<Self>> {
        let drivers = Arc::new(drivers);
        let one = |spec: &BackendSpec| {
            let (drivers, spec) = (drivers.clone(), spec.clone());
            let thread = thread::Builder::new().name("vv-open".into());
            let opening = thread.spawn(move || Engine::open(&drivers, &spec, quirks));
            opening.map(Self).context("cannot start a thread that opens a device")
        };
        specs.iter().map(one).collect()
    }

    /// Waits for it.
    pub fn engine(self) -> vectorvisor::Result<Engine> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// What a device's thread needs.
struct Preparation {
    translate: crate::args::TranslateArgs,
    module: Vec<u8>,
    usual_targets: BTreeMap<u32, Vec<u32>>,
    options: FleetOptions,
    count: Option<usize>,
    cancel: CancelHandle,
    progress: Arc<Mutex<Progress>>,
}

/// What messages call devices. One that is named twice has the number of its turn, too.
pub fn names(specs: &[BackendSpec]) -> Vec<String> {
    let turn = |i: usize| specs[..=i].iter().filter(|spec| **spec == specs[i]).count();
    let name = |(i, spec): (usize, &BackendSpec)| match turn(i) {
        1 => spec.to_string(),
        turn => format!("{spec} (no. {turn})"),
    };
    specs.iter().enumerate().map(name).collect()
}

impl Prepared {
    /// Begins to prepare a fleet on each device, for so many inputs.
    pub fn prepare(
        args: &MapArgs,
        names: Vec<String>,
        opening: Vec<Opening>,
        module: Vec<u8>,
        options: FleetOptions,
        count: Option<usize>,
        progress: Arc<Mutex<Progress>>,
    ) -> Result<Self> {
        let usual_targets = usual_targets(&args.translate.profile_use, &args.inputs.program, &module)?;
        let (translate, cancel) = (args.translate.clone(), CancelHandle::default());
        let preparation =
            Preparation { translate, module, usual_targets, options, count, cancel: cancel.clone(), progress };
        let (preparation, (ready, fleets)) = (Arc::new(preparation), channel());
        for (device, opening) in opening.into_iter().enumerate() {
            let (preparation, ready, name) = (preparation.clone(), ready.clone(), names[device].clone());
            let prepare = move || {
                let fleet = catch_unwind(AssertUnwindSafe(|| preparation.fleet(device, &name, opening)));
                let panicked =
                    |_| Err(vectorvisor::Error::System { what: "preparing it", reason: "its thread panicked".into() });
                let fleet = fleet.unwrap_or_else(panicked);
                // After the end of the run nobody wants it.
                _ = ready.send((device, fleet));
            };
            let thread = thread::Builder::new().name("vv-prepare".into()).spawn(prepare);
            thread.context("cannot start a thread that prepares a device")?;
        }
        Self { names, fleets, cancel }.first(ready)
    }

    /// All of them, for a run.
    pub fn devices(&self, seed: Option<u64>) -> Devices<'_> {
        Devices { names: &self.names, fleets: &self.fleets, cancel: &self.cancel, seed }
    }

    /// Waits until a device is ready, or all failed.
    fn first(self, again: Sender<Ready>) -> Result<Self> {
        let mut came = Vec::new();
        while came.len() < self.names.len() {
            let next = self.fleets.recv().context("the threads that prepare devices ended")?;
            let ready = next.1.is_ok();
            came.push(next);
            if ready {
                for ready in came {
                    _ = again.send(ready);
                }
                return Ok(self);
            }
        }
        for failed in came {
            _ = again.send(failed);
        }
        // With no device left it only says why.
        let ran = self.devices(None).run("_start", None, &mut std::iter::empty(), &mut |_| (), &mut |_, _| ());
        ran.map(|_| self).map_err(Into::into)
    }
}

impl Preparation {
    fn fleet(&self, device: usize, name: &str, opening: Opening) -> vectorvisor::Result<(Fleet, Autotuning)> {
        let options =
            FleetOptions { trace: self.options.trace.as_ref().map(|trace| trace.on(device)), ..self.options.clone() };
        let mut phase = Instant::now();
        let mut ended = |what| {
            let began = std::mem::replace(&mut phase, Instant::now());
            if let Some(trace) = &options.trace {
                trace.span(what, began);
            }
        };
        let mut tell = |stage: Stage<'_>| self.lock().stage_of(Some(name), stage);
        let engine = opening.engine()?;
        ended("open device");
        let files = setup::files_at(self.options.files.as_ref());
        let program_options = ProgramOptions {
            usual_targets: self.usual_targets.clone(),
            ..setup::translation(&self.translate, &["_start"], files, engine.info())
        };
        let mut when = setup::autotuning(&self.translate);
        if let Err(why) = when.check(&program_options, engine.info()) {
            tell(Stage::Warning(&format!("--interleave tune has no effect: {why}")));
            when = Autotuning::Never;
        }
        let program = Program::new(&engine, &self.module, &program_options, &mut tell)?;
        ended("load program");
        let fleet = Fleet::with_cancel(&program, &options, self.count, self.cancel.clone())?;
        ended("allocate VMs");
        Ok((fleet, when))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What each device did, on one line.
pub fn text(names: &[String], devices: &[DeviceRun]) -> String {
    let each = names.iter().zip(devices).map(|(name, device)| {
        let inputs = report::count(device.summary.delivered as u64, "input", "inputs");
        match (&device.failed, &device.fleet) {
            (Some(_), _) => format!("{name} {inputs}, then failed"),
            (None, Some(fleet)) => format!("{name} {inputs} ({})", report::count(fleet.vms() as u64, "VM", "VMs")),
            (None, None) => format!("{name} was not ready in time"),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}
