//! The start function and `_initialize`: run once, to make the image that all VMs begin with, where the result holds
//! for all.

use super::Fleet;
use super::gather::Piece;
use super::job::Job;
use super::key::{key_of, seed};
use super::run::Run;
use super::settle::Fate;
use crate::{Error, Outcome, Result};
use vectorvisor_translate::abi::{Area, SAW_INPUT, Word};
use vectorvisor_translate::{Entry, Image};

/// What runs before the entry of an input.
pub enum Init {
    /// Nothing: there is no start function, or the image holds its result.
    Done,
    /// The start function, at this state; it is not known yet whether one run holds for all inputs.
    Untried(u32),
    /// The start function, at this state, in each VM.
    Each(u32),
    /// Nothing: the start function ends like this without seeing an input, so this is the outcome of every input.
    Ended(Box<Outcome>),
}

impl Fleet {
    /// Runs the start function in one VM, once, before the first input of `entry`. If it saw nothing of an input, its
    /// result holds for all inputs: if it did not return, its end is the outcome of each (so a start function that
    /// never ends costs its time once); if it returned, its memory becomes the image. If it also wrote output, grew the
    /// memory, closed a descriptor or called the host, each VM runs it itself.
    pub(super) fn initialise(&mut self, entry: &Entry) -> Result<()> {
        let Init::Untried(state) = self.init else { return Ok(()) };
        let mut job = Job::new(0, Default::default(), key_of(&seed(self.options.seed)?, 0));
        // It is alone in the fleet already, so a rerun alone would not help.
        job.solo = true;
        let mut ended = None;
        let (mut none, mut sink) = (std::iter::empty(), |outcome| ended = Some(Box::new(outcome)));
        let mut run = Run::new(self, entry, &mut none, &mut sink);
        run.for_image = true;
        job.slice = run.fleet.slice(true);
        run.solo.push_back(job);
        let cancelled = match run.until_all_ended() {
            Ok(summary) => summary.cancelled,
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
        let group = &mut self.groups[g];
        let plan = &self.common.program.meta().plan;
        let same = group.words.get(Word::Out, vm) == 0
            && group.words.get(Word::Stdin, vm) == 0
            && group.words.get(Word::Memory, vm) == plan.memory_initial;
        if !same {
            return Ok(());
        }
        let piece = |offset, length| Piece { vm: vm as u32, area: Area::Region, offset, length };
        let pieces = [piece(0, plan.head), piece(plan.memory_at, plan.memory_initial)];
        let mut fetched = group.fetch(&self.common, &mut self.gather, &pieces)?.into_iter();
        let (head, memory) = (fetched.next().unwrap_or_default(), fetched.next().unwrap_or_default());
        let segments = self.common.program.meta().image.segments.clone();
        let mut image = Image { head, segments, ..Image::default() };
        image.set_memory(0, &memory);
        group.upload_image(&mut self.common, &image)?;
        for group in &mut self.groups {
            group.write_par(&self.common)?;
        }
        self.init = Init::Done;
        Ok(())
    }
}

impl Run<'_> {
    /// In a run for the image: vacates the VM once it is known whether its result holds for all inputs. Returns the
    /// other fates.
    pub fn settle_image(&mut self, g: usize, fates: Vec<(u32, Fate)>) -> Result<Vec<(u32, Fate)>> {
        let mut left = Vec::new();
        for (vm, fate) in fates {
            let saw_input = self.fleet.groups[g].words.get(Word::Stdin, vm as usize) & SAW_INPUT != 0;
            match fate {
                Fate::Call(_) => _ = self.vacate(g, vm as usize),
                _ if saw_input => _ = self.vacate(g, vm as usize),
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
