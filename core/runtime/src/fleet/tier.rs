//! A fleet whose program is interpreted until it is compiled: how it goes on with the compiled one.

use super::Fleet;
use super::autotune::Successor;
use super::job::Job;
use super::run::{self, Run};
use super::start::Init;
use crate::{End, Error, Outcome, Polled, Result, Source, Summary};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a fleet that waits for a compiler looks.
const LOOK: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Ends the run if its program is compiled by now: what runs is stopped, and [`Run::left`] has the inputs that have not
    /// ended. Not while an input cannot run again; then no more inputs are taken.
    pub fn tiers_up(&mut self) -> Result<bool> {
        let Some(compiled) = self.next_tier.as_ref().and_then(|next| next.next_tier()?.compiled()) else {
            return Ok(false);
        };
        if !compiled {
            // It stays as it is. Those that were too slow for it may take their time then.
            self.next_tier = None;
            self.retry.extend(self.left.drain(..).map(Box::new));
            return Ok(false);
        }
        self.closing = true;
        let placed = self.fleet.groups.iter().flat_map(|group| group.slots.iter().flatten().map(|slot| &slot.job));
        if placed.chain(&self.retry).any(|job| job.once) {
            return Ok(false);
        }
        self.stopping = true;
        self.fleet.groups.iter().for_each(|group| group.stop.store(1));
        self.await_flying()?;
        let placed = self.fleet.groups.iter_mut().flat_map(|group| group.take_back());
        let waiting = self.waiting.take().into_iter().chain(self.retry.drain(..)).chain(self.solo.drain(..));
        self.left.extend(placed.chain(waiting).map(|job| job.again()));
        self.summary.inputs -= self.left.len();
        Ok(true)
    }

    /// An input was too slow for the interpreter; it may not be for the compiled program.
    pub fn too_slow(&mut self, job: &Job) {
        self.left.push(job.again());
    }
}

impl Fleet {
    /// Runs a part of a run.
    pub(super) fn run_jobs(
        &mut self,
        entry: &str,
        jobs: &mut dyn Source<Job>,
        sink: &mut dyn FnMut(Outcome),
    ) -> Result<Summary> {
        let program = self.common.program.clone();
        let (mut summary, left) = run::run(self, program.require(entry)?, jobs, sink)?;
        if program.next_tier().is_some() {
            summary.interpreted = summary.delivered;
        }
        let Some(left) = left else { return Ok(summary) };
        let mut rest = Rest { left: left.into(), source: jobs };
        let ran = self.await_next_tier().and_then(|()| self.run_jobs(entry, &mut rest, sink));
        // Those that the run had not taken again by then.
        let left = rest.left.iter().map(|job| job.index);
        match ran {
            Ok(more) => {
                summary += more;
                // It was cancelled.
                summary.inputs += left.len();
            }
            Err(Error::Lost { mut lost, source }) => {
                lost.extend(left);
                lost.sort_unstable();
                return Err(Error::Lost { lost, source });
            }
            Err(error) => return Err(Error::Lost { lost: left.collect(), source: Box::new(error) }),
        }
        Ok(summary)
    }

    /// The start function was too slow for the interpreter, and may not be for the compiled program.
    pub(super) fn began_too_slowly(&self) -> bool {
        let timeout = matches!(&self.init, Init::Ended(outcome) if matches!(outcome.end, End::Timeout(_)));
        let next = self.common.program.next_tier();
        timeout && !self.cancel.cancelled() && next.is_some_and(|next| next.compiled() != Some(false))
    }

    /// Goes on with the compiled program, if there is one.
    fn tier_up(&mut self) -> Result<()> {
        let Some(next) = self.common.program.next_tier() else { return Ok(()) };
        let Some(program) = next.load()? else { return Ok(()) };
        let successor = Successor::of(self);
        // Both may not fit.
        self.release();
        let next = successor.fleet(&program, self.cancel.clone())?;
        self.replace(next);
        Ok(())
    }

    /// Waits for the compiled program, if there will be one, and goes on with it.
    pub(super) fn await_next_tier(&mut self) -> Result<()> {
        let program = self.common.program.clone();
        while program.next_tier().is_some_and(|next| next.compiled().is_none()) && !self.cancel.cancelled() {
            _ = self.cancel.sleep_until(Some(Instant::now() + LOOK));
        }
        self.tier_up()
    }

    /// Goes on as another fleet, which ran nothing yet.
    pub(super) fn replace(&mut self, mut next: Self) {
        next.exact_left = self.exact_left;
        std::mem::swap(&mut next.exact, &mut self.exact);
        std::mem::swap(&mut next.needs, &mut self.needs);
        *self = next;
    }
}

/// Inputs that begin anew, then others.
struct Rest<'a> {
    left: VecDeque<Job>,
    source: &'a mut dyn Source<Job>,
}

impl Source<Job> for Rest<'_> {
    fn poll(&mut self) -> Polled<Job> {
        match self.left.pop_front() {
            Some(job) => Polled::Ready(job),
            None => self.source.poll(),
        }
    }

    fn settled(&mut self) {
        self.source.settled();
    }

    fn aside(&mut self, inputs: usize) {
        self.source.aside(inputs);
    }
}
