//! The start function and `_initialize`: run once, to make the image that all VMs begin with, where the result holds
//! for all.

use super::Fleet;
use super::gather::Piece;
use super::image::{Begin, Snapshot, environment};
use super::job::{Job, Quota};
use super::key::{Stream, seed};
use super::run::Run;
use super::settle::Fate;
use crate::{Error, Outcome, Result};
use vectorvisor_translate::abi::{Area, SAW_INPUT, STOP_AT_INVOKE, Word};
use vectorvisor_translate::host::{CALLS, Call};
use vectorvisor_translate::{Entry, Image, Meta};

/// What runs before the entry of an input.
pub enum Init {
    /// Nothing: there is no start function, or the image holds its result.
    Done,
    /// The start function, at this state; it is not known yet whether one run holds for all inputs.
    Untried(Option<u32>),
    /// The start function, at this state, in each VM.
    Each(Option<u32>),
    /// Nothing: the start function ends like this without seeing an input, so this is the outcome of every input.
    Ended(Box<Outcome>),
}

impl Init {
    /// At first.
    pub fn new(meta: &Meta) -> Self {
        match (meta.init, meta.events) {
            (None, false) => Self::Done,
            (init, _) => Self::Untried(init),
        }
    }
}

impl Fleet {
    /// Runs the start function in one VM, once, before the first input of `entry`. If it saw nothing of an input, its
    /// result holds for all inputs: if it did not return, its end is the outcome of each (so a start function that
    /// never ends costs its time once); if it returned, its memory becomes the image. If it also wrote output, grew the
    /// memory, closed a descriptor or called the host, each VM runs it itself.
    pub(super) fn initialise(&mut self, entry: &Entry) -> Result<()> {
        let Init::Untried(state) = self.init else { return Ok(()) };
        let mut job = Job::new(0, Default::default(), Stream::of(seed(self.options.seed)?, 0));
        // It is alone in the fleet already, so a rerun alone would not help.
        job.solo = true;
        // Then the VM tells if the start function reads them.
        if self.options.own_arguments {
            job.environment = environment(&self.options)?;
        }
        let mut ended = None;
        let (mut none, mut sink) = (std::iter::empty(), |outcome| ended = Some(Box::new(outcome)));
        let mut run = Run::new(self, entry, &mut none, &mut sink);
        run.for_image = true;
        job.slice = run.fleet.slice(true);
        run.alone(Box::new(job));
        let cancelled = match run.until_all_ended() {
            Ok((summary, _)) => summary.cancelled,
            Err(Error::Lost { source, .. }) => return Err(Error::Lost { lost: Vec::new(), source }),
            Err(error) => return Err(error),
        };
        match ended {
            Some(outcome) => self.init = Init::Ended(outcome),
            // The image was taken, or the run was cancelled before it was known.
            None if cancelled || matches!(self.init, Init::Done) => {}
            None => self.init = Init::Each(state),
        }
        Ok(())
    }

    /// Makes an image from a VM in which the start function has returned, if its only effects are in memory.
    fn take_image(&mut self, g: usize, vm: usize) -> Result<()> {
        let words = &self.groups[g].words;
        let same = words.get(Word::Out, vm) == 0
            && words.get(Word::Stdin, vm) == 0
            && words.get(Word::Memory, vm) == self.common.program.meta().plan.memory_initial;
        if same { self.replace_image(g, vm, None) } else { Ok(()) }
    }

    /// Makes an image from a VM that has asked for its first request: all others begin there. What it has written by then
    /// belongs to no request.
    fn take_snapshot(&mut self, g: usize, vm: usize) -> Result<()> {
        let words = &self.groups[g].words;
        let begin = Begin {
            state: words.get(Word::State, vm),
            memory: words.get(Word::Memory, vm) & u64::from(u32::MAX),
            frame: words.get(Word::Frame, vm),
            stdin: words.get(Word::Stdin, vm) & !STOP_AT_INVOKE,
        };
        self.replace_image(g, vm, Some(Snapshot { begin, frames: Vec::new() }))
    }

    fn replace_image(&mut self, g: usize, vm: usize, mut snapshot: Option<Snapshot>) -> Result<()> {
        let group = &mut self.groups[g];
        let plan = &self.common.program.meta().plan;
        let size = snapshot.as_ref().map_or(plan.memory_initial, |snapshot| snapshot.begin.memory);
        // The frame in which it suspended is the last.
        let frames =
            snapshot.as_ref().map_or(0, |s| (s.begin.frame + plan.frame).next_multiple_of(64).min(group.quota.frames));
        let piece = |offset, length| Piece { vm: vm as u32, area: Area::Region, offset, length };
        let frames_at = plan.frames_at(group.quota.memory);
        let pieces = [piece(0, plan.head), piece(plan.memory_at, size), piece(frames_at, frames)];
        let mut fetched = group.fetch(&self.common, &mut self.gather, &pieces)?.into_iter();
        let mut next = || fetched.next().unwrap_or_default();
        let (head, memory) = (next(), next());
        if let Some(snapshot) = &mut snapshot {
            snapshot.frames = next();
        }
        let segments = self.common.program.meta().image.segments.clone();
        let mut image = Image { head, segments, ..Image::default() };
        image.set_memory(0, &memory);
        group.upload_image(&mut self.common, &image, snapshot)?;
        for group in &mut self.groups {
            group.write_par(&self.common)?;
        }
        self.quota = self.quota.max(Quota { output: 0, frames, memory: size });
        self.init = Init::Done;
        Ok(())
    }
}

impl Run<'_> {
    /// In a run for the image: vacates the VM once it is known whether its result holds for all inputs. Returns the
    /// other fates.
    pub fn settle_image(&mut self, g: usize, fates: Vec<(u32, Fate)>) -> Result<Vec<(u32, Fate)>> {
        let mut left = Vec::new();
        let events = self.fleet.common.program.meta().events;
        for (vm, fate) in fates {
            let saw_input = self.fleet.groups[g].words.get(Word::Stdin, vm as usize) & SAW_INPUT != 0;
            match fate {
                _ if saw_input => _ = self.vacate(g, vm as usize),
                Fate::Call(call) => {
                    self.vacate(g, vm as usize);
                    if CALLS.get(call).is_some_and(|call| call.call == Call::ServerlessInvoke) {
                        self.fleet.take_snapshot(g, vm as usize)?;
                    }
                }
                Fate::Enter if events => left.push((vm, fate)),
                Fate::Enter => {
                    let slot = self.vacate(g, vm as usize);
                    // Output that was flushed counts as output too.
                    if slot.is_some_and(|slot| slot.job.stdout.is_empty() && slot.job.stderr.is_empty()) {
                        self.fleet.take_image(g, vm as usize)?;
                    }
                }
                fate => left.push((vm, fate)),
            }
        }
        Ok(left)
    }
}
