//! Running the start function and `_initialize` once, so that all VMs begin after them.

use super::gather::Piece;
use super::group::Start;
use super::job::{Job, State};
use super::key::{key_of, seed};
use super::settle::{decode, place, returned};
use super::{Fleet, now};
use crate::{Error, Result, TrapKind};
use std::time::Instant;
use vectorvisor_translate::Image;
use vectorvisor_translate::abi::{Area, Status, Word};

impl Fleet {
    /// Runs the start function in one VM. If all that it did is in memory, that becomes the image of all VMs; if it
    /// also wrote output, grew the memory or saw something of its input, each VM has to run it for itself.
    pub(super) fn initialise(&mut self) -> Result<()> {
        let Some(state) = self.init else { return Ok(()) };
        let job = Job::new(0, Default::default(), key_of(&seed(self.options.seed)?, 0));
        let start = Start { state, message: Vec::new(), initialising: true };
        self.groups[0].place(&self.common, 0, job, start, now());
        let ended = self.run_start();
        self.groups[0].abandon();
        if !ended? {
            return Ok(());
        }
        let group = &mut self.groups[0];
        let plan = &self.common.program.meta().plan;
        let words = [Word::Out, Word::Stdin, Word::Random].map(|w| group.words.get(w, 0));
        if words != [0; 3] || group.words.get(Word::Memory, 0) != plan.memory_initial {
            return Ok(());
        }
        let piece = |offset, length| Piece { vm: 0, area: Area::Region, offset, length };
        let pieces = [piece(0, plan.head), piece(plan.memory_at, plan.memory_initial)];
        let mut fetched = group.fetch(&self.common, &pieces)?.into_iter();
        let (head, memory) = (fetched.next().unwrap_or_default(), fetched.next().unwrap_or_default());
        let segments = self.common.program.meta().image.segments.clone();
        let mut image = Image { head, segments, ..Image::default() };
        image.set_memory(0, &memory);
        group.upload_image(&mut self.common, &image)?;
        for group in &mut self.groups {
            group.write_par(&self.common)?;
        }
        self.init = None;
        Ok(())
    }

    /// Whether it ended, so that its memory can be the image.
    fn run_start(&mut self) -> Result<bool> {
        loop {
            let group = &mut self.groups[0];
            group.stop.store(0);
            group.launched = vec![0];
            let begun = Instant::now();
            group.submit(&self.common)?;
            if let (Some(watchdog), Some(timeout)) = (&self.watchdog, self.options.timeout)
                && let Some(at) = begun.checked_add(timeout)
            {
                watchdog.arm(0, at, &group.stop);
            }
            let finished = group.finish();
            if let Some(watchdog) = &self.watchdog {
                watchdog.disarm(0);
            }
            finished?;
            let at = place(&self.common.program, group.words.get(Word::Where, 0));
            let (status, code) = decode(group.words.get(Word::Status, 0))?;
            match status {
                Status::Exit if returned(&at) => return Ok(true),
                Status::Exit => return Err(Error::Initialise(format!("it called proc_exit({})", code as i32))),
                Status::Trap => {
                    let text = TrapKind::of(code).map_or("a trap", TrapKind::text);
                    return Err(Error::Initialise(format!("{text} in {at}")));
                }
                Status::Fuel => return Err(Error::Initialise(format!("out of fuel in {at}"))),
                Status::Stopped => return Err(Error::Initialise(format!("out of time in {at}"))),
                Status::Start | Status::Run => {
                    if let Some(slot) = &mut group.slots[0] {
                        slot.state = State::Ready(status);
                    }
                }
                // It wants more than the image can hold: each VM runs it.
                Status::Call | Status::Full => return Ok(false),
                Status::Unaligned => {
                    self.take_less_for_true(0)?;
                    // What it does this time is in the image then.
                    return self.initialise().map(|()| false);
                }
                Status::Idle => return Err(Error::Corrupt("a VM that was started is idle".into())),
            }
        }
    }
}
