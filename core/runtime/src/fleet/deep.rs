//! Inputs that recursed deeper than the device's own stack allows, and those of a server that violated an assumption of
//! its program, while it compiles without that: they run beside the others, in a fleet of their own.
//! Its program is interpreted, where every call has a frame in the VM's memory: that compiles in a second or two. If
//! more than a few come to their end there, it is translated, with frames for what recurses.

use super::job::{Job, Quota};
use super::run::{self, Run};
use super::{CancelHandle, Fleet, Waker};
use crate::{End, Error, FleetOptions, Meter, Outcome, Polled, Program, Result, Source};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::Builder;
use vectorvisor_driver::Error as DriverError;

/// So many inputs end by themselves while they are interpreted: those that recurse for ever are not worth a compiler, and
/// for another program everybody waits. And VMs for them at most: most of the device's memory is taken.
const FEW: usize = 1024;
const VMS: usize = 256;
/// Where more than one input in so many does, later programs recurse in frames.
const MANY: usize = 16;
/// Bytes of an input that waits, beside its own.
const EACH: usize = 1 << 10;

/// The way to that fleet, which has a thread of its own. Dropping this ends its run.
pub struct Deep {
    /// The export that it runs.
    entry: String,
    jobs: Sender<Job>,
    outcomes: Receiver<Result<Outcome>>,
    /// The inputs that it has, each with its bytes and whether it recursed too deep, and the bytes of all.
    holds: BTreeMap<usize, (usize, bool)>,
    bytes: usize,
    cancel: CancelHandle,
}

impl Deep {
    /// Begins to make it. `waker` is told of each outcome.
    fn new(program: Program, options: FleetOptions, entry: String, waker: Waker) -> Result<Self> {
        let (jobs, todo) = channel();
        let (ended, outcomes) = channel();
        let cancel = CancelHandle::default();
        let (handle, name) = (cancel.clone(), entry.clone());
        let work = move || {
            // Also after a panic, when the sender has gone.
            let _end = OnDrop(|| waker.wake());
            let ended = ended;
            let left = Cell::new(FEW);
            let mut source = Incoming { jobs: todo, left: &left, ended: false };
            let mut sink = |outcome: Outcome| {
                left.set(left.get().saturating_sub(usize::from(matches!(outcome.end, End::Exit(_)))));
                _ = ended.send(Ok(outcome));
                waker.wake();
            };
            let mut run = |program: Program, source: &mut Incoming<'_>, vms: Option<usize>| {
                let mut fleet = Fleet::with_cancel(&program, &options, vms, handle.clone())?;
                if vms.is_some() {
                    // Few VMs have room for the deepest from the start: some devices wait until nothing runs before they
                    // allocate other frames.
                    let frames = program.meta().plan.frames_limit;
                    fleet.raise_quota(Quota { frames, ..fleet.quota });
                }
                run::run(&mut fleet, program.require(&name)?, source, &mut sink)
            };
            let ran = program.exact().and_then(|program| run(program, &mut source, Some(VMS))).and_then(|_| {
                if source.ended || handle.cancelled() {
                    return Ok(());
                }
                left.set(usize::MAX);
                run(program.framed()?, &mut source, None).map(drop)
            });
            if let Err(error) = ran {
                _ = ended.send(Err(error));
            }
        };
        let thread = Builder::new().name("vv-deep".into()).spawn(work);
        thread
            .map_err(|e| Error::System { what: "cannot start a thread for deep recursion", reason: e.to_string() })?;
        Ok(Self { entry, jobs, outcomes, holds: BTreeMap::new(), bytes: 0, cancel })
    }

    /// Whether it has no input.
    pub fn is_idle(&self) -> bool {
        self.holds.is_empty()
    }

    /// Bytes of the inputs that it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        // The thread frees what it has, and nobody waits for a compiler.
        self.cancel.cancel();
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The inputs, as they come.
struct Incoming<'a> {
    jobs: Receiver<Job>,
    /// How many may end by themselves.
    left: &'a Cell<usize>,
    /// There are no more.
    ended: bool,
}

impl Source<Job> for Incoming<'_> {
    fn poll(&mut self) -> Polled<Job> {
        if self.left.get() == 0 {
            return Polled::Ended;
        }
        match self.jobs.try_recv() {
            Ok(job) => Polled::Ready(job),
            Err(TryRecvError::Empty) => Polled::NotYet(None),
            Err(TryRecvError::Disconnected) => {
                self.ended = true;
                Polled::Ended
            }
        }
    }
}

impl Run<'_> {
    /// Makes the fleet for deep recursion, if there is none for what this one runs.
    pub fn make_deep(&mut self) -> Result<()> {
        let fleet = &mut *self.fleet;
        // What an earlier run of another export left has no inputs.
        if fleet.deep.as_ref().is_none_or(|deep| deep.entry != self.entry.name) {
            let options = FleetOptions {
                vms: None,
                vms_per_warp: None,
                // Else it would take the memory that is left for inputs which need more.
                sharers: 3 * fleet.options.sharers.max(1),
                exact_reruns: 0,
                meter: Meter::default(),
                trace: None,
                ..fleet.options.clone()
            };
            let (program, entry) = (fleet.made.clone(), self.entry.name.clone());
            fleet.deep = Some(Deep::new(program, options, entry, fleet.waker())?);
        }
        Ok(())
    }

    /// Runs an input there, which recursed too `deep` or violated an assumption.
    pub fn interpret(&mut self, mut job: Box<Job>, deep: bool) {
        if let Err(error) = self.make_deep() {
            return self.fail(job.index, not_there(deep, &error));
        }
        let Some(fleet) = &mut self.fleet.deep else { return };
        // Its frames are others.
        (job.quota.frames, job.most_frames) = (0, None);
        job.solo = false;
        let bytes = EACH + job.bytes();
        fleet.holds.insert(job.index, (bytes, deep));
        fleet.bytes += bytes;
        // If the thread has ended, `take_deep` says why.
        _ = fleet.jobs.send(*job);
        fleet.cancel.waker().wake();
    }

    /// Delivers what has ended there. If the device failed, so does the run: what is there then counts as lost.
    pub fn take_deep(&mut self) -> Result<()> {
        loop {
            let Some(deep) = &mut self.fleet.deep else { return Ok(()) };
            let error = match deep.outcomes.try_recv() {
                Ok(Ok(outcome)) => {
                    let (bytes, recursed) = deep.holds.remove(&outcome.index).unwrap_or_default();
                    deep.bytes -= bytes;
                    self.deep += usize::from(recursed && matches!(outcome.end, End::Exit(_)));
                    self.deliver(outcome);
                    continue;
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Ok(Err(Error::Lost { source, .. })) => *source,
                Ok(Err(error)) => error,
                Err(TryRecvError::Disconnected) if deep.holds.is_empty() => {
                    self.fleet.deep = None;
                    return Ok(());
                }
                Err(TryRecvError::Disconnected) => {
                    Error::System { what: "deep recursion", reason: "its thread panicked".into() }
                }
            };
            if let Error::Driver(DriverError::Device(_)) = error {
                return Err(error);
            }
            let left = std::mem::take(&mut deep.holds);
            self.fleet.deep = None;
            for (index, (_, recursed)) in left {
                self.fail(index, not_there(recursed, &error));
            }
        }
    }

    /// The run ends: gives the inputs that did not.
    pub fn end_deep(&mut self) -> BTreeSet<usize> {
        let idle = self.fleet.deep.as_ref().is_none_or(Deep::is_idle);
        let held = if idle { None } else { self.fleet.deep.take() };
        if self.deep > MANY && self.deep * MANY > self.summary.delivered {
            self.fleet.made.remember_deep();
        }
        held.map(|mut deep| std::mem::take(&mut deep.holds).into_keys().collect()).unwrap_or_default()
    }
}

fn not_there(recursed: bool, error: &Error) -> String {
    let why = match recursed {
        true => "recurses deeper than the device's own stack allows",
        false => "does what the program was compiled not to expect, as accesses that are not aligned",
    };
    format!("it {why}, and elsewhere it could not run: {error}")
}
