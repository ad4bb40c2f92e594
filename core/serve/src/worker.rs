//! A worker: a thread with a fleet, which runs what the queue of a program holds.

use crate::queue::{Packets, Queue, Running};
use std::cell::RefCell;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use vectorvisor::{Fleet, FleetOptions, Program, Stage, Tuner};

/// How long a device that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a device that failed is tried again: after some faults only a new process helps.
const TRIES: u32 = 5;
/// What requests run.
pub const ENTRY: &str = "_start";

/// What a worker needs.
pub struct Worker {
    pub queue: Arc<Queue>,
    /// Its number among the queue's.
    pub number: usize,
    /// What messages call its device.
    pub device: String,
    pub program: Program,
    pub options: FleetOptions,
    pub autotune: bool,
}

impl Worker {
    /// Starts the thread, which ends when the queue is closed and all requests have ended, or when the device does not
    /// come back; it calls `give_up` if no other is left then.
    pub fn start(mut self, fleet: Fleet, give_up: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
        let (program, device) = (self.program.clone(), self.device.clone());
        let tell = move || {
            if let Some(why) = program.wait_until_compiled() {
                tracing::error!("the program stays interpreted on {device}, since it could not be compiled: {why}");
            }
        };
        thread::Builder::new().name("vv-compiled".into()).spawn(tell)?;
        // The server is ready as soon as it listens.
        self.queue.begin(self.number, fleet.waker());
        thread::Builder::new().name("vv-serve".into()).spawn(move || {
            // Also if this thread panics, nobody waits for an answer, or for a device.
            let (queue, number, device) = (self.queue.clone(), self.number, self.device.clone());
            let _end = OnDrop(Some(|| {
                let last = queue.leave(number);
                if !queue.closed() {
                    tracing::error!("{device} is given up");
                    if last {
                        give_up();
                    }
                }
            }));
            let mut fleet = Some(fleet);
            while let Some(mut ready) = fleet.take().or_else(|| self.again()) {
                self.queue.begin(self.number, ready.waker());
                let mut tuner = if self.autotune { ready.tuner() } else { None };
                while self.run(&mut ready, &mut tuner) {
                    if let Some(tuner) = tuner.take().filter(Tuner::is_ready) {
                        if !self.tune(&mut ready, tuner) {
                            break;
                        }
                    } else if let Some(tuned) = self.queue.stand_aside(self.number) {
                        if let Some(program) = tuned {
                            self.program = program;
                            // Both may not fit.
                            drop(ready);
                            match Fleet::new(&self.program, &self.options, None) {
                                Ok(new) => ready = new,
                                Err(error) => {
                                    self.failed_to_tune(&error);
                                    break;
                                }
                            }
                        }
                        self.queue.begin(self.number, ready.waker());
                    } else if self.queue.over() {
                        return;
                    }
                    // Else the one that tuned has just ended.
                }
            }
        })
    }

    /// A new fleet, as soon as the device has one; `None` when the server ends, or the device does not come back.
    fn again(&self) -> Option<Fleet> {
        for _ in 0..TRIES {
            if self.queue.over() {
                return None;
            }
            thread::sleep(PAUSE);
            match Fleet::new(&self.program, &self.options, None) {
                Ok(fleet) => return Some(fleet),
                Err(error) => tracing::error!(%error, "{} still fails", self.device),
            }
        }
        None
    }

    /// Goes on with the fastest form of the program; requests wait meanwhile. Whether that succeeded.
    fn tune(&mut self, fleet: &mut Fleet, tuner: Tuner) -> bool {
        let queue = self.queue.clone();
        let tuning = queue.tune(self.number);
        let tuned = fleet.tune(ENTRY, tuner, &mut |stage| {
            if let Stage::Autotuned { candidates, chosen, .. } = stage {
                tracing::info!(?candidates, "{} goes on with {chosen}", self.device);
            }
        });
        match &tuned {
            Ok(()) => {
                queue.begin(self.number, fleet.waker());
                // Also for the next fleet, if the device fails.
                self.program = fleet.program().clone();
                tuning.tuned(&self.program);
            }
            Err(error) => self.failed_to_tune(error),
        }
        tuned.is_ok()
    }

    fn failed_to_tune(&self, error: &vectorvisor::Error) {
        tracing::error!(%error, "{} failed in autotuning", self.device);
        self.queue.fail(self.number, std::iter::empty(), [], "");
    }

    /// Runs requests until there will be no more, the tuner is ready, or the device fails. Whether it was not the last.
    fn run(&self, fleet: &mut Fleet, tuner: &mut Option<Tuner>) -> bool {
        let running = RefCell::new(Running::new(&self.queue, self.number));
        let tuner = RefCell::new(tuner);
        let mut packets = Packets::new(&running, &tuner, fleet.vms());
        let ran = fleet.serve(ENTRY, &mut packets, &mut |outcome| {
            if let Some(tuner) = &mut **tuner.borrow_mut() {
                tuner.end(&outcome);
            }
            running.borrow_mut().answer(outcome);
        });
        running.borrow_mut().settled();
        let Err(error) = ran else { return true };
        let why = match &error {
            // Without the numbers of the inputs, which say nothing here.
            vectorvisor::Error::Lost { source, .. } => source.to_string(),
            error => error.to_string(),
        };
        let others = packets.left();
        let lost = self.queue.fail(self.number, running.into_inner().left(), others, &why);
        tracing::error!(error = why, lost, "{} failed; the requests that it had go back to the queue", self.device);
        false
    }
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}
