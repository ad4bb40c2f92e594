//! A run that finds out on its way which way to make the program is fastest.

use super::job::{Job, Jobs, Room};
use super::{CancelHandle, Fleet};
use crate::cache::{Key, key};
use crate::tune::{Pace, SHORT, TELLING, Tried, limit, pays};
use crate::{End, Error, FleetOptions, Input, Outcome, Program, Result, Stage, Summary, Trials, Tuning};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant};

/// What is faster by less, as a part or as time, is not faster.
const NOISE: f64 = 0.03;
const JITTER: Duration = Duration::from_micros(100);
/// Between two looks whether the whole run was cancelled.
const LOOK: Duration = Duration::from_millis(20);

type Sink<'a> = &'a mut dyn FnMut(Outcome);
type Progress<'a> = &'a mut dyn FnMut(Stage<'_>);

impl Fleet {
    /// Like [`Fleet::run`], and finds out on its way which way to make the program is fastest, when [`Trials`] say so: the inputs whose
    /// turn it is, as many as there are VMs, run as ever, then the program is compiled in each other way and the same inputs run
    /// through it, and the rest runs in the fastest. Each input's outcome is delivered once. A way whose outcomes differ is out, and
    /// inputs that take less than a millisecond in the kernel leave everything as it is. The choice is remembered in the cache for later
    /// [`Program::new`] with the same module, options and device. `total` is the number of inputs, or a guess of it; only
    /// [`Trials::Auto`] looks at it.
    ///
    /// # Errors
    /// Those of [`Fleet::run`]; with [`Trials::Now`] also if there is nothing to choose. A way that fails is only out.
    pub fn run_with_trial(
        &mut self,
        entry: &str,
        trials: Trials,
        total: Option<usize>,
        inputs: &mut dyn Iterator<Item = Input>,
        sink: Sink<'_>,
        progress: Progress<'_>,
    ) -> Result<Summary> {
        let begin = Instant::now();
        let ways = Tuning::candidates(&self.made);
        trials.check(self.made.asked(), self.made.engine().info())?;
        let mut jobs = self.jobs(inputs)?;
        let mut summary = Summary::default();
        let due = match trials {
            Trials::Never => false,
            Trials::Now => true,
            Trials::Auto if ways.is_empty() || !self.made.may_try(self.vms()) => false,
            Trials::Auto => self.run_until_it_pays(entry, ways.len(), total, &mut jobs, &mut summary, sink)?,
        };
        if due {
            let sample = jobs.sample(self.vms());
            let (first, expected) = self.run_sample(entry, &sample, sink)?;
            summary += first;
            // These may take far longer than those before them, which spoke for a trial.
            let worth = match trials {
                Trials::Auto => {
                    !jobs.ended && pays(ways.len(), self.made.compile_time(), first.elapsed, pace(&summary, total))
                }
                _ => !sample.is_empty(),
            };
            if worth && !first.cancelled {
                summary.cancelled = !self.trial(entry, &ways, &sample, first, &expected, progress)?;
            }
        }
        if !summary.cancelled {
            summary += self.run_jobs(entry, &mut jobs, sink)?;
        }
        summary.elapsed = begin.elapsed();
        Ok(summary)
    }

    /// Runs inputs until a trial pays (`true`), or until there are no more. It looks rarely, since VMs run empty before each look.
    fn run_until_it_pays(
        &mut self,
        entry: &str,
        ways: usize,
        total: Option<usize>,
        jobs: &mut Jobs<'_>,
        summary: &mut Summary,
        sink: Sink<'_>,
    ) -> Result<bool> {
        let sample = self.vms();
        let mut count = sample;
        loop {
            *summary += self.run_jobs(entry, &mut jobs.take(count), sink)?;
            if summary.cancelled || jobs.ended {
                return Ok(false);
            }
            let pace = pace(summary, total);
            if pays(ways, self.made.compile_time(), pace.of(sample), pace) {
                return Ok(true);
            }
            count = count.saturating_mul(2);
        }
    }

    /// Runs a sample, which ran in the present way already, in the others. Goes on in the fastest, unless it was cancelled (`false`).
    fn trial(
        &mut self,
        entry: &str,
        ways: &[Tuning],
        sample: &[Job],
        first: Summary,
        expected: &Prints,
        progress: Progress<'_>,
    ) -> Result<bool> {
        let total = ways.len();
        progress(Stage::Trying { done: 0, total });
        let mut best = self.again(entry, sample, first);
        let mut tried: Vec<Tried> = vec![(ways[0], Ok(time(&best)))];
        if self.cancel.cancelled() {
            return Ok(false);
        }
        if time(&best) < TELLING {
            progress(Stage::Tried { ways: &tried, chosen: ways[0], remembered: false });
            return Ok(true);
        }
        let present = self.common.program.clone();
        let (mut program, mut chosen) = (present.clone(), ways[0]);
        let others = self.others(&ways[1..]);
        let learnt = Learnt::of(self);
        self.release();
        for (done, (way, made)) in others.into_iter().enumerate() {
            progress(Stage::Trying { done: done + 1, total });
            if self.cancel.cancelled() {
                break;
            }
            let limit = limit(best.elapsed);
            let ran = made.and_then(|made| {
                let ran =
                    candidate(&mut learnt.fleet(&made, CancelHandle::default())?, entry, sample, limit, &self.cancel)?;
                Ok((made, ran))
            });
            let why = match ran {
                Err(error) => error.to_string(),
                Ok((_, (ran, _))) if ran.cancelled => format!("more than {:.1} s", limit.as_secs_f64()),
                Ok((_, (_, prints))) if prints != *expected => "other outcomes".into(),
                Ok((made, (ran, _))) => {
                    tried.push((way, Ok(time(&ran))));
                    if time(&ran) < time(&best).mul_f64(1.0 - NOISE).min(time(&best).saturating_sub(JITTER)) {
                        (program, chosen, best) = (made, way, ran);
                    }
                    continue;
                }
            };
            tried.push((way, Err(why)));
        }
        if self.cancel.cancelled() {
            return Ok(false);
        }
        let mut next = learnt.fleet(&program, self.cancel.clone());
        let remembered = match &next {
            // It had the memory a moment ago, and may have it in the next run: that is not remembered.
            Err(error) if chosen != ways[0] => {
                let out = tried.iter_mut().filter(|(way, _)| *way == chosen);
                out.for_each(|(_, time)| *time = Err(error.to_string()));
                chosen = ways[0];
                next = learnt.fleet(&present, self.cancel.clone());
                false
            }
            _ => self.made.remember_tuning(chosen),
        };
        progress(Stage::Tried { ways: &tried, chosen, remembered });
        let mut next = next?;
        next.exact_left = self.exact_left;
        std::mem::swap(&mut next.exact, &mut self.exact);
        *self = next;
        Ok(true)
    }

    /// Runs a sample. All of it counts as taken, also what had no turn before an error or a cancellation.
    fn run_sample(&mut self, entry: &str, sample: &[Job], sink: Sink<'_>) -> Result<(Summary, Prints)> {
        let mut prints = Prints::of(sample);
        let mut print_and_deliver = |outcome: Outcome| {
            prints.add(&outcome);
            sink(outcome);
        };
        match self.run_jobs(entry, &mut sample.iter().map(Job::fresh), &mut print_and_deliver) {
            Ok(summary) => Ok((Summary { inputs: sample.len(), ..summary }, prints)),
            Err(Error::Lost { source, .. }) => Err(Error::Lost { lost: prints.missing().collect(), source }),
            Err(error) => Err(error),
        }
    }

    /// The figures of a second run of a sample, if the first says too little and the second was faster.
    fn again(&mut self, entry: &str, sample: &[Job], first: Summary) -> Summary {
        if first.cancelled || first.elapsed >= SHORT && first.reruns == 0 {
            return first;
        }
        // Nobody asks for the places of these traps.
        let exact_left = std::mem::take(&mut self.exact_left);
        // If it fails, so will what comes next, which has more to say.
        let second = self.run_jobs(entry, &mut sample.iter().map(Job::fresh), &mut |_| ());
        self.exact_left = exact_left;
        second.ok().filter(|second| !second.cancelled && time(second) < time(&first)).unwrap_or(first)
    }

    /// The program made in other ways, all at the same time.
    fn others(&self, ways: &[Tuning]) -> Vec<(Tuning, Result<Program>)> {
        let (made, now) = (&self.made, self.common.program.options());
        thread::scope(|scope| {
            let threads: Vec<_> = ways.iter().map(|way| (*way, spawn(scope, || made.tuned(*way, now)))).collect();
            let end = |thread: Result<thread::ScopedJoinHandle<'_, Result<Program>>>| {
                let panicked =
                    |_| Error::System { what: "compiling for a trial", reason: "its thread panicked".into() };
                thread?.join().map_err(panicked)?
            };
            threads.into_iter().map(|(way, thread)| (way, end(thread))).collect()
        })
    }
}

/// What a fleet knows and another one for the same inputs need not find out again.
struct Learnt {
    options: FleetOptions,
    vms: usize,
    rate: f64,
    room: Room,
}

impl Learnt {
    fn of(fleet: &Fleet) -> Self {
        let out_capacity = u32::try_from(fleet.room.output).ok();
        let options = FleetOptions { out_capacity, ..fleet.options.clone() };
        Self { options, vms: fleet.vms(), rate: fleet.rate, room: fleet.room }
    }

    /// As many VMs, unless the caller left their number open and memory does not suffice.
    fn fleet(&self, program: &Program, cancel: CancelHandle) -> Result<Fleet> {
        let mut fleet = Fleet::with_cancel(program, &self.options, Some(self.vms), cancel)?;
        fleet.rate = self.rate;
        fleet.room = fleet.room.max(self.room);
        Ok(fleet)
    }
}

/// Runs a sample in another way, unless that takes longer than `limit`.
fn candidate(
    fleet: &mut Fleet,
    entry: &str,
    sample: &[Job],
    limit: Duration,
    cancel: &CancelHandle,
) -> Result<(Summary, Prints)> {
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
        let ran = ran.map(|(first, prints)| (fleet.again(entry, sample, first), prints));
        drop(ended);
        ran
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>> {
    let failed = |e: std::io::Error| Error::System { what: "cannot start a thread for a trial", reason: e.to_string() };
    Builder::new().name("vv-trial".into()).spawn_scoped(scope, work).map_err(failed)
}

/// How far a run has come.
fn pace(summary: &Summary, total: Option<usize>) -> Pace {
    Pace { ran: time(summary), done: summary.inputs, total }
}

/// Time in the kernel, or all of it where the driver cannot say.
fn time(summary: &Summary) -> Duration {
    if summary.kernel.is_zero() { summary.elapsed } else { summary.kernel }
}

/// What became of each input of a sample, in little memory.
#[derive(PartialEq)]
struct Prints {
    first: usize,
    keys: Vec<Key>,
}

impl Prints {
    fn of(sample: &[Job]) -> Self {
        Self { first: sample.first().map_or(0, |job| job.index), keys: vec![Key::default(); sample.len()] }
    }

    /// Inputs that have no outcome.
    fn missing(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().zip(self.first..).filter(|(print, _)| **print == Key::default()).map(|(_, index)| index)
    }

    /// The places of traps are left out: they need not be exact.
    fn add(&mut self, outcome: &Outcome) {
        let end = match &outcome.end {
            End::Exit(code) => format!("exit {code}"),
            End::Trap(trap) => format!("{:?}", trap.kind),
            End::OutOfFuel(_) => "fuel".into(),
            End::Timeout(_) => "time".into(),
            End::Failed(_) => "failed".into(),
        };
        let values = format!("{:?}", outcome.values);
        let index = outcome.index.checked_sub(self.first);
        if let Some(print) = index.and_then(|index| self.keys.get_mut(index)) {
            *print = key(&[end.as_bytes(), values.as_bytes(), &outcome.stdout, &outcome.stderr]);
        }
    }
}
