//! One input in the fleet (a job), and the VM that it occupies (a slot).

use super::epoch::Epoch;
use super::key::{Stream, StreamKey};
use crate::{Input, Polled, Source};
use std::iter::{Enumerate, Fuse};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vectorvisor_translate::abi::{Plan, Status};

/// How much of each buffer a VM has. An input that needs more runs again with a larger quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of output, standard output and error together.
    pub output: u64,
    /// Bytes of frames.
    pub frames: u64,
    /// Bytes that its linear memory may grow to.
    pub memory: u64,
}

impl Quota {
    /// The smallest quota that covers both.
    pub fn max(self, other: Self) -> Self {
        Self {
            output: self.output.max(other.output),
            frames: self.frames.max(other.frames),
            memory: self.memory.max(other.memory),
        }
    }

    /// Bytes of a VM's region.
    pub fn region(self, plan: &Plan) -> u64 {
        plan.region(self.memory, self.frames)
    }

    /// Whether it is enough for `need`.
    pub fn covers(self, need: Self) -> bool {
        self.max(need) == self
    }
}

/// An input, the state that must be the same each time it runs, and the progress of its present run.
pub struct Job {
    /// Its number in this run.
    pub index: usize,
    pub input: Input,
    /// The arguments and the environment that it does not share with all others.
    pub environment: Vec<u8>,
    /// What random numbers it gets.
    pub random: Stream,
    /// When it was first started, nanoseconds since 1970; `None` before.
    pub clock: Option<u64>,
    /// Output that was taken out of the VM while it ran.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// What the host has told its guest; shared with whoever may run the input again if this device fails.
    pub epoch: Arc<Mutex<Epoch>>,
    /// It must not run again: its log was too long, or its VM keeps its state.
    pub once: bool,
    /// It was stopped once, and now runs alone in its tile.
    pub solo: bool,
    /// Fuel that one launch gives it, where the device cannot be told to stop.
    pub slice: u64,
    /// The least that it needs, as far as is known.
    pub quota: Quota,
    /// Bytes of frames that it has to do with, since the device had no memory for more.
    pub most_frames: Option<u64>,
    /// Fuel used so far.
    pub spent: u64,
    /// Its share of the time of launches so far.
    pub computed: Duration,
    /// Time slept so far.
    pub slept: Duration,
}

impl Job {
    pub fn new(index: usize, input: Input, random: Stream) -> Self {
        Self {
            index,
            input,
            environment: Vec::new(),
            random,
            clock: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            epoch: Arc::default(),
            once: false,
            solo: false,
            slice: u64::MAX,
            quota: Quota::default(),
            most_frames: None,
            spent: 0,
            computed: Duration::ZERO,
            slept: Duration::ZERO,
        }
    }

    /// As it was before its first run.
    pub fn fresh(&self) -> Self {
        let environment = self.environment.clone();
        Self { environment, ..Self::new(self.index, self.input.clone(), self.random) }
    }

    /// As it was before its first run, but for its clock and what the host has told it: it runs again, in another program
    /// or on another device.
    pub fn again(&self) -> Self {
        Self { clock: self.clock, epoch: self.epoch.clone(), slept: self.slept, ..self.fresh() }
    }

    /// What the host has told its guest.
    pub fn epoch(&self) -> MutexGuard<'_, Epoch> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of its standard input, and of its environment.
    pub fn bytes(&self) -> usize {
        self.input.stdin.len() + self.environment.len()
    }

    /// Forgets what an unfinished run did, but for what the host told its guest. Its random stream, clock and what was
    /// learnt about it stay.
    pub fn rewind(&mut self) {
        self.stdout.clear();
        self.stderr.clear();
        self.spent = 0;
        self.computed = Duration::ZERO;
    }
}

/// Inputs with their numbers and their random streams.
pub struct Numbered<'a, I: ?Sized> {
    /// Not asked again once it has ended: several devices may ask.
    inputs: Fuse<Enumerate<&'a mut I>>,
    /// The seed from which their keys are derived.
    seed: StreamKey,
}

impl<'a, I: Iterator<Item = Input> + ?Sized> Numbered<'a, I> {
    pub fn new(inputs: &'a mut I, seed: StreamKey) -> Self {
        Self { inputs: inputs.enumerate().fuse(), seed }
    }
}

impl<I: Iterator<Item = Input> + ?Sized> Iterator for Numbered<'_, I> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        let (index, input) = self.inputs.next()?;
        // Each input has a random stream of its own, whichever VM it runs in.
        Some(Job::new(index, input, Stream::of(self.seed, index)))
    }
}

/// The inputs of a run.
pub struct Jobs<'a> {
    source: &'a mut dyn Iterator<Item = Job>,
    /// After `None` there may be more: several devices share the source.
    shared: bool,
    /// There are no more, or of a shared source none for now.
    pub ended: bool,
}

/// A sample ends with the input that reaches this many bytes of standard input in all.
const SAMPLE: usize = 1 << 30;

impl<'a> Jobs<'a> {
    /// A source that is not asked again once it has ended.
    pub fn new(source: &'a mut dyn Iterator<Item = Job>) -> Self {
        Self { source, shared: false, ended: false }
    }

    /// A source that may have more after `None`.
    pub fn shared(source: &'a mut dyn Iterator<Item = Job>) -> Self {
        Self { source, shared: true, ended: false }
    }

    /// The next `count`, or fewer if they are large.
    pub fn sample(&mut self, count: usize) -> Vec<Job> {
        let (mut sample, mut bytes) = (Vec::new(), 0);
        while sample.len() < count
            && bytes < SAMPLE
            && let Some(job) = self.next()
        {
            bytes += job.bytes();
            sample.push(job);
        }
        sample
    }
}

impl Iterator for Jobs<'_> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        if self.ended && !self.shared {
            return None;
        }
        let next = self.source.next();
        self.ended = next.is_none();
        next
    }
}

/// The inputs of a [`Source`], each with its number and its random stream.
pub struct Served<'a> {
    source: &'a mut dyn Source<Input>,
    seed: StreamKey,
    taken: usize,
}

impl<'a> Served<'a> {
    pub fn new(source: &'a mut dyn Source<Input>, seed: StreamKey) -> Self {
        Self { source, seed, taken: 0 }
    }
}

impl Source<Job> for Served<'_> {
    fn poll(&mut self) -> Polled<Job> {
        match self.source.poll() {
            Polled::Ready(input) => {
                let index = self.taken;
                self.taken += 1;
                Polled::Ready(Job::new(index, input, Stream::of(self.seed, index)))
            }
            Polled::NotYet(until) => Polled::NotYet(until),
            Polled::Ended => Polled::Ended,
        }
    }

    fn settled(&mut self) {
        self.source.settled();
    }

    fn aside(&mut self, inputs: usize) {
        self.source.aside(inputs);
    }
}

/// What an occupied VM waits for.
pub enum Phase {
    /// The next launch, with this status.
    Ready(Status),
    /// The other occupied VMs of its tile.
    Barrier,
    /// A time.
    Asleep {
        wake: Instant,
        /// The least time that its clock must show then.
        clock: u64,
        /// How long it sleeps: counted when it wakes, since it may have to run again before.
        wait: Duration,
        /// It has then used up the time it may sleep.
        over: bool,
    },
}

/// An occupied VM.
pub struct Slot {
    /// Boxed: a slot is moved often, and all of them are looked through.
    pub job: Box<Job>,
    pub phase: Phase,
    /// Entry arguments, or the answer to a call. Kept while the VM may not have begun to read it.
    pub message: Vec<u8>,
    /// Where its standard input lies in the input buffer, once it does.
    pub stdin_at: Option<u64>,
    /// Fuel it was given at the last launch.
    pub given: u64,
    /// It runs the start function, and enters its entry after that.
    pub initialising: bool,
}
