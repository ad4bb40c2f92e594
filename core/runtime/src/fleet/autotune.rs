//! Autotuning during a run: times the candidate [`Tuning`]s on the first inputs, and runs the rest with the fastest.

use super::job::{Job, Jobs, Quota};
use super::{CancelHandle, Fleet};
use crate::cache::{Key, key};
use crate::program::Compiled;
use crate::tier::NextTier;
use crate::tune::{Measured, Pace, SHORT, TELLING, Work, limit, pays};
use crate::{
    Autotuning, End, Error, FleetOptions, Input, Outcome, Program, ProgramOptions, Result, Stage, Summary, Tuning,
};
use std::cell::Cell;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant};
use vectorvisor_driver::threads::{self, lower_priority};

/// A candidate must be faster by at least this fraction, and by at least this time, to be chosen.
const NOISE: f64 = 0.03;
const JITTER: Duration = Duration::from_micros(100);
/// How often a measurement checks whether the whole run was cancelled.
const LOOK: Duration = Duration::from_millis(20);

type Sink<'a> = &'a mut dyn FnMut(Outcome);
type Total<'a> = &'a dyn Fn() -> Option<usize>;
type Progress<'a> = &'a mut dyn FnMut(Stage<'_>);

impl Fleet {
    /// Like [`Fleet::run`], and autotunes the program during the run when `when` says so: the next inputs, as many as
    /// there are VMs (with [`Autotuning::Auto`] in a group), run with the present tuning; then the program is compiled
    /// with each other candidate and runs the same inputs; the rest of the inputs run with the fastest. Each input's
    /// outcome is delivered once. A candidate whose outcomes differ is rejected, and if the inputs take less than a
    /// millisecond in the kernel, the present tuning stays. The choice is kept in the cache for later [`Program::new`]
    /// with the same module, options and device. `total` is the number of inputs, exact or estimated; only
    /// [`Autotuning::Auto`] uses it.
    ///
    /// # Errors
    /// Those of [`Fleet::run`]; with [`Autotuning::Now`] also if there is nothing to choose. A candidate that fails is
    /// rejected and is no error.
    pub fn run_autotuned(
        &mut self,
        entry: &str,
        when: Autotuning,
        total: Option<usize>,
        inputs: &mut dyn Iterator<Item = Input>,
        sink: Sink<'_>,
        progress: Progress<'_>,
    ) -> Result<Summary> {
        when.check(self.made.asked(), self.made.engine().info())?;
        let mut numbered = self.begin(inputs)?;
        let summary = self.run_share(entry, when, &|| total, &mut Jobs::new(&mut numbered), sink, progress)?;
        self.remember(&summary);
        Ok(summary)
    }

    /// Runs inputs, and autotunes meanwhile as [`Self::run_autotuned`] does; `total` is the present estimate of how
    /// many they are.
    pub(super) fn run_share(
        &mut self,
        entry: &str,
        when: Autotuning,
        total: Total<'_>,
        jobs: &mut Jobs<'_>,
        sink: Sink<'_>,
        progress: Progress<'_>,
    ) -> Result<Summary> {
        let begin = Instant::now();
        // Inputs that change the state of their VMs, or files, cannot be measured several times.
        let when = if self.made.meta().keeps || self.changes_files() { Autotuning::Never } else { when };
        let candidates = Tuning::candidates(&self.made, when);
        let mut summary = Summary::default();
        // A group's share tells linear memory and cells apart, which differ most.
        let sample = if when == Autotuning::Auto { self.vms() / self.groups.len().max(1) } else { self.vms() };
        let others = match when {
            Autotuning::Never => None,
            Autotuning::Now => Some(None),
            Autotuning::Auto if candidates.is_empty() || !self.made.may_autotune(sample) => None,
            Autotuning::Auto => {
                self.run_until_it_pays(entry, &candidates, (sample, total), jobs, &mut summary, sink)?.map(Some)
            }
        };
        if let Some(others) = others {
            // They are for the compiled program, which is then there, or nearly.
            self.await_next_tier()?;
            let sample = jobs.sample(sample);
            let (first, expected) = self.run_sample(entry, &sample, sink)?;
            summary += first;
            // These inputs may take far longer than those before them, on which the decision to autotune was based.
            let worth = match when {
                Autotuning::Auto => {
                    !jobs.ended && pays(candidates.len(), Duration::ZERO, first.elapsed, pace(&summary, total()))
                }
                _ => !sample.is_empty(),
            };
            if worth && !first.cancelled {
                summary.cancelled =
                    !self.autotune(entry, &candidates, others, &sample, (first, &expected), progress)?;
            }
        }
        if !summary.cancelled {
            summary += self.run_jobs(entry, jobs, sink)?;
        }
        if let Some(why) = self.made.next_tier().and_then(NextTier::failure) {
            progress(Stage::Warning(&format!("the program stays interpreted, since it could not be compiled: {why}")));
        }
        summary.elapsed = begin.elapsed();
        Ok(summary)
    }

    /// Runs inputs until autotuning pays, and then until the other candidates are compiled; `None` if the inputs end
    /// before.
    fn run_until_it_pays(
        &mut self,
        entry: &str,
        candidates: &[Tuning],
        (sample, total): (usize, Total<'_>),
        jobs: &mut Jobs<'_>,
        summary: &mut Summary,
        sink: Sink<'_>,
    ) -> Result<Option<Compiling>> {
        let (vms, begin, mut taken) = (self.vms(), Instant::now(), 0);
        let (made, now, compile_time) = (self.made.clone(), self.options_of_now(), self.made.compile_time());
        let mut others: Option<Compiling> = None;
        let work = Cell::new(Work::default());
        let mut count = |outcome: Outcome| {
            work.set(work.get().and(outcome.fuel_used));
            sink(outcome);
        };
        let mut until_compiled = std::iter::from_fn(|| {
            if jobs.ended {
                return jobs.next().inspect(|_| taken += 1);
            }
            // All VMs have one of those that were taken, and as many have ended.
            let pace = || Pace { ran: begin.elapsed(), done: taken - vms, total: total() };
            match &others {
                Some(others) if others.ended() => return None,
                None if taken >= vms + sample
                    && work.get().is_alike()
                    && pays(candidates.len(), compile_time, pace().of(sample), pace()) =>
                {
                    others = Some(Compiling::begin(&made, &now, &candidates[1..]));
                }
                _ => {}
            }
            jobs.next().inspect(|_| taken += 1)
        });
        *summary += self.run_jobs(entry, &mut until_compiled, &mut count)?;
        Ok(others.filter(|_| !summary.cancelled && !jobs.ended))
    }

    /// The options of the program that runs now, in which assumptions may have been dropped.
    fn options_of_now(&self) -> ProgramOptions {
        self.common.program.options().clone()
    }

    /// Runs a sample, which ran with the present tuning already, with each other candidate, and replaces this fleet by
    /// one of the fastest. `false` if it was cancelled.
    fn autotune(
        &mut self,
        entry: &str,
        candidates: &[Tuning],
        others: Option<Compiling>,
        sample: &[Job],
        (first, expected): (Summary, &Checksums),
        progress: Progress<'_>,
    ) -> Result<bool> {
        let total = candidates.len();
        progress(Stage::Autotuning { done: 0, total });
        let mut best = self.again(entry, sample, first);
        let mut measured: Vec<Measured> = vec![(candidates[0], Ok(time(&best)))];
        if self.cancel.cancelled() {
            return Ok(false);
        }
        if time(&best) < TELLING {
            progress(Stage::Autotuned { candidates: &measured, chosen: candidates[0], remembered: false });
            return Ok(true);
        }
        let present = self.common.program.clone();
        let (mut program, mut chosen) = (present.clone(), candidates[0]);
        let others =
            others.unwrap_or_else(|| Compiling::begin(&self.made, &self.options_of_now(), &candidates[1..])).programs();
        let successor = Successor::of(self);
        self.release();
        for (done, (candidate, made)) in others.into_iter().enumerate() {
            progress(Stage::Autotuning { done: done + 1, total });
            if self.cancel.cancelled() {
                break;
            }
            let limit = limit(best.elapsed);
            let ran = made.and_then(|made| {
                let ran = run_candidate(
                    &mut successor.fleet(&made, CancelHandle::default())?,
                    entry,
                    sample,
                    limit,
                    &self.cancel,
                )?;
                Ok((made, ran))
            });
            let why = match ran {
                Err(error) => error.to_string(),
                Ok((_, (ran, _))) if ran.cancelled => format!("more than {:.1} s", limit.as_secs_f64()),
                Ok((_, (_, checksums))) if checksums != *expected => "other outcomes".into(),
                Ok((made, (ran, _))) => {
                    measured.push((candidate, Ok(time(&ran))));
                    if time(&ran) < time(&best).mul_f64(1.0 - NOISE).min(time(&best).saturating_sub(JITTER)) {
                        (program, chosen, best) = (made, candidate, ran);
                    }
                    continue;
                }
            };
            measured.push((candidate, Err(why)));
        }
        if self.cancel.cancelled() {
            return Ok(false);
        }
        let mut next = successor.fleet(&program, self.cancel.clone());
        let remembered = match &next {
            // Its measurement found enough memory, and the next run may too: the fallback is not kept in the cache.
            Err(error) if chosen != candidates[0] => {
                let out = measured.iter_mut().filter(|(candidate, _)| *candidate == chosen);
                out.for_each(|(_, time)| *time = Err(error.to_string()));
                chosen = candidates[0];
                next = successor.fleet(&present, self.cancel.clone());
                false
            }
            _ => self.made.remember_tuning(chosen),
        };
        progress(Stage::Autotuned { candidates: &measured, chosen, remembered });
        self.replace(next?);
        Ok(true)
    }

    /// Runs a sample. All of it counts as taken, also inputs that did not start before an error or a cancellation.
    fn run_sample(&mut self, entry: &str, sample: &[Job], sink: Sink<'_>) -> Result<(Summary, Checksums)> {
        let mut checksums = Checksums::of(sample);
        let mut record_and_deliver = |outcome: Outcome| {
            checksums.add(&outcome);
            sink(outcome);
        };
        match self.run_jobs(entry, &mut sample.iter().map(Job::fresh), &mut record_and_deliver) {
            Ok(summary) => Ok((Summary { inputs: sample.len(), ..summary }, checksums)),
            Err(Error::Lost { source, .. }) => Err(Error::Lost { lost: checksums.missing().collect(), source }),
            Err(error) => Err(error),
        }
    }

    /// Runs a sample a second time if the first measurement is unreliable (short, or with reruns); returns the faster
    /// of the two.
    fn again(&mut self, entry: &str, sample: &[Job], first: Summary) -> Summary {
        if first.cancelled || first.elapsed >= SHORT && first.reruns == 0 {
            return first;
        }
        // The outcomes of this run are discarded, so exact places of traps are not needed.
        let exact_left = std::mem::take(&mut self.exact_left);
        // An error is dropped here: if it persists, the next run reports it.
        let second = self.run_jobs(entry, &mut sample.iter().map(Job::fresh), &mut |_| ());
        self.exact_left = exact_left;
        second.ok().filter(|second| !second.cancelled && time(second) < time(&first)).unwrap_or(first)
    }
}

/// Autotuning for a fleet that serves ([`Fleet::serve`]), as [`Autotuning::Auto`] does it: it collects a sample of the
/// inputs, and if they are about the same work, the other candidates compile beside the run. Then the source ends the
/// run, and [`Fleet::tune`] measures.
///
/// ```no_run
/// # fn f(fleet: &mut vectorvisor::Fleet, mut inputs: impl FnMut() -> Option<vectorvisor::Input>) -> vectorvisor::Result<()> {
/// use std::cell::RefCell;
/// let tuner = RefCell::new(fleet.tuner());
/// let mut source = std::iter::from_fn(|| {
///     let mut tuner = tuner.borrow_mut();
///     let next = if tuner.as_ref().is_some_and(|tuner| tuner.is_ready()) { None } else { inputs() };
///     next.inspect(|input| _ = tuner.as_mut().map(|tuner| tuner.begin(input)))
/// });
/// fleet.serve("_start", &mut source, &mut |outcome| _ = tuner.borrow_mut().as_mut().map(|tuner| tuner.end(&outcome)))?;
/// if let Some(tuner) = tuner.into_inner().filter(|tuner| tuner.is_ready()) {
///     fleet.tune("_start", tuner, &mut |_| ())?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Tuner {
    made: Program,
    now: ProgramOptions,
    candidates: Vec<Tuning>,
    /// How many inputs the sample has when it is complete, and those that it has.
    wanted: usize,
    sample: Vec<Input>,
    bytes: usize,
    work: Work,
    ended: usize,
    begun: Option<Instant>,
    /// When the first input had ended, since then.
    first: Option<Duration>,
    others: Option<Compiling>,
    /// It does not pay.
    over: bool,
}

/// Most bytes of a tuner's sample.
const SAMPLE: usize = 256 << 20;

/// The longest that a sample may take, since whoever asks meanwhile waits: three seconds, or twice as long as the first
/// input took anyway, as far as that is bearable.
fn longest_pause(first: Duration) -> Duration {
    (first * 2).clamp(Duration::from_secs(3), Duration::from_secs(30))
}

impl Tuner {
    /// An input begins.
    pub fn begin(&mut self, input: &Input) {
        if !self.over && self.sample.len() < self.wanted {
            self.begun.get_or_insert_with(Instant::now);
            self.bytes += input.stdin.len();
            self.sample.push(input.clone());
            if self.bytes > SAMPLE {
                self.give_up();
            }
        }
    }

    /// An input has ended.
    pub fn end(&mut self, outcome: &Outcome) {
        if self.over || self.others.is_some() {
            return;
        }
        self.work = self.work.and(outcome.fuel_used);
        self.ended += 1;
        let ran = self.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        let first = *self.first.get_or_insert(ran);
        // The first ones are not alone responsible for what is decided.
        if self.ended >= 2 * self.wanted && self.sample.len() == self.wanted {
            let once = Pace { ran, done: self.ended, total: None }.of(self.wanted);
            if self.work.is_alike() && once <= longest_pause(first) {
                self.others = Some(Compiling::begin(&self.made, &self.now, &self.candidates[1..]));
            } else {
                self.give_up();
            }
        }
    }

    fn give_up(&mut self) {
        (self.over, self.sample) = (true, Vec::new());
    }

    /// Whether the candidates are compiled.
    pub fn is_ready(&self) -> bool {
        self.others.as_ref().is_some_and(Compiling::ended)
    }
}

impl Fleet {
    /// A tuner, unless there is nothing to choose, or something was chosen before.
    pub fn tuner(&self) -> Option<Tuner> {
        let candidates = Tuning::candidates(&self.made, Autotuning::Auto);
        let wanted = self.vms() / self.groups.len().max(1);
        let changes = self.made.meta().keeps || self.changes_files();
        let may = !candidates.is_empty() && self.made.may_autotune(wanted) && !changes;
        may.then(|| Tuner {
            made: self.made.clone(),
            now: self.options_of_now(),
            candidates,
            wanted,
            sample: Vec::new(),
            bytes: 0,
            work: Work::default(),
            ended: 0,
            begun: None,
            first: None,
            others: None,
            over: false,
        })
    }

    /// Runs the sample of a tuner that is ready with each candidate, and goes on with the fastest, which the cache
    /// keeps.
    ///
    /// # Errors
    /// The device failed, or has no memory for the VMs any more. No input of the caller's was running.
    pub fn tune(&mut self, entry: &str, tuner: Tuner, progress: Progress<'_>) -> Result<()> {
        let Tuner { candidates, sample, others, .. } = tuner;
        // Its candidates are for the compiled program, which is then there, or nearly.
        self.await_next_tier()?;
        let jobs: Vec<Job> = self.begin(&mut sample.into_iter())?.collect();
        let (first, expected) = self.run_sample(entry, &jobs, &mut |_| ())?;
        if !first.cancelled {
            self.autotune(entry, &candidates, others, &jobs, (first, &expected), progress)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Tuner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tuner").field("ended", &self.ended).field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

/// Candidates that compile, for a run that may end before. Then nobody waits for them, and a later run tries again.
struct Compiling(Vec<(Tuning, Making)>);

/// A thread that compiles a program.
type Making = Result<thread::JoinHandle<Result<Compiled>>>;

impl Compiling {
    /// Compiles a program with each candidate, all at the same time.
    fn begin(made: &Program, now: &ProgramOptions, candidates: &[Tuning]) -> Self {
        let one = |candidate: &Tuning| {
            let (made, now, tuning) = (made.clone(), now.clone(), *candidate);
            let make = move || {
                // The run reads and writes meanwhile, and some compile on all processors.
                lower_priority(threads::number(), threads::LOW);
                made.tuned(tuning, &now)
            };
            (tuning, thread().spawn(make).map_err(failed))
        };
        Self(candidates.iter().map(one).collect())
    }

    fn ended(&self) -> bool {
        self.0.iter().all(|(_, thread)| !matches!(thread, Ok(thread) if !thread.is_finished()))
    }

    /// Loads them; nothing runs then, which some devices would wait for.
    fn programs(self) -> Vec<(Tuning, Result<Program>)> {
        let made = |thread: Making| {
            let panicked = |_| Error::System { what: "compiling for autotuning", reason: "its thread panicked".into() };
            thread?.join().map_err(panicked)??.load(&mut |_| {})
        };
        self.0.into_iter().map(|(tuning, thread)| (tuning, made(thread))).collect()
    }
}

/// What a fleet learnt about its inputs, for another fleet that runs the same inputs.
pub struct Successor {
    options: FleetOptions,
    vms: usize,
    rate: f64,
    quota: Quota,
}

impl Successor {
    pub fn of(fleet: &Fleet) -> Self {
        let out_capacity = u32::try_from(fleet.quota.output).ok();
        let options = FleetOptions { out_capacity, ..fleet.options.clone() };
        Self { options, vms: fleet.vms(), rate: fleet.rate, quota: fleet.quota }
    }

    /// A fleet with as many VMs; with fewer only if the caller left their number open and memory does not suffice.
    pub fn fleet(&self, program: &Program, cancel: CancelHandle) -> Result<Fleet> {
        let mut fleet = Fleet::with_cancel(program, &self.options, Some(self.vms), cancel)?;
        fleet.rate = self.rate;
        fleet.quota = fleet.quota.max(self.quota);
        Ok(fleet)
    }
}

/// Runs a sample with another candidate; cancels it after `limit`.
fn run_candidate(
    fleet: &mut Fleet,
    entry: &str,
    sample: &[Job],
    limit: Duration,
    cancel: &CancelHandle,
) -> Result<(Summary, Checksums)> {
    let (own, until) = (fleet.cancel_handle(), Instant::now() + limit);
    let (ended, wait) = channel::<()>();
    thread::scope(|scope| {
        spawn(scope, move || {
            while Instant::now() < until && !cancel.cancelled() {
                if wait.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            own.cancel();
        })?;
        let ran = fleet.run_sample(entry, sample, &mut |_| ());
        let ran = ran.map(|(first, checksums)| (fleet.again(entry, sample, first), checksums));
        drop(ended);
        ran
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>> {
    thread().spawn_scoped(scope, work).map_err(failed)
}

fn thread() -> Builder {
    Builder::new().name("vv-autotune".into())
}

fn failed(error: std::io::Error) -> Error {
    Error::System { what: "cannot start a thread for autotuning", reason: error.to_string() }
}

/// The progress of a run.
fn pace(summary: &Summary, total: Option<usize>) -> Pace {
    Pace { ran: time(summary), done: summary.inputs, total }
}

/// Time in the kernel, or the elapsed time where the driver cannot measure that.
fn time(summary: &Summary) -> Duration {
    if summary.kernel.is_zero() { summary.elapsed } else { summary.kernel }
}

/// A checksum of each input's outcome, to compare candidates in little memory.
#[derive(PartialEq)]
struct Checksums {
    first: usize,
    keys: Vec<Key>,
}

impl Checksums {
    fn of(sample: &[Job]) -> Self {
        Self { first: sample.first().map_or(0, |job| job.index), keys: vec![Key::default(); sample.len()] }
    }

    /// Inputs that have no outcome.
    fn missing(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().zip(self.first..).filter(|(checksum, _)| **checksum == Key::default()).map(|(_, index)| index)
    }

    /// Leaves out the places of traps, which need not be exact.
    fn add(&mut self, outcome: &Outcome) {
        let end = match &outcome.end {
            End::Exit(code) => format!("exit {code}"),
            End::Trap(trap) => format!("{:?}", trap.kind),
            End::OutOfFuel(_) => "fuel".into(),
            End::Timeout(_) => "time".into(),
            End::TooLong { .. } => "too long".into(),
            End::Failed(_) => "failed".into(),
        };
        let values = format!("{:?}", outcome.values);
        let index = outcome.index.checked_sub(self.first);
        if let Some(checksum) = index.and_then(|index| self.keys.get_mut(index)) {
            *checksum = key(&[end.as_bytes(), values.as_bytes(), &outcome.stdout, &outcome.stderr]);
        }
    }
}
