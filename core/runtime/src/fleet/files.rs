//! Answering the calls that concern files: those of one launch together, by several threads, since each may wait for a
//! disk.

use super::epoch;
use super::gather::Piece;
use super::run::Run;
use super::settle::Told;
use super::spread::share;
use crate::{End, Error, Result};
use std::sync::Arc;
use vectorvisor_translate::abi::{Area, Word};
use vectorvisor_wasi::{Answer, Files, Malformed, Open, of_files, ranges};

/// Bytes that all VMs of a launch read or write in one round, and bounds of what one of them does: more takes several
/// rounds, and each of a group's VMs has to have room for what it reads.
const ROUND: usize = 64 << 20;
const EACH: (usize, usize) = (4 << 10, 1 << 20);
/// Threads, and the calls that are worth one.
const THREADS: usize = 16;
const CALLS: usize = 8;

/// A call of a VM.
pub struct Asked {
    vm: usize,
    call: usize,
    request: Vec<u8>,
    /// The longest read or write.
    most: u32,
    /// Where what it refers to lies in the VM's memory, and what lies there.
    ranges: Vec<(u32, u32)>,
    fetched: Vec<Vec<u8>>,
    hash: u64,
    now: u64,
    open: Option<Box<Open>>,
    answer: std::result::Result<Vec<u8>, Malformed>,
}

impl Asked {
    pub fn new(vm: usize, call: usize, request: Vec<u8>) -> Self {
        let (ranges, fetched) = (Vec::new(), Vec::new());
        Self { vm, call, request, most: 0, ranges, fetched, hash: 0, now: 0, open: None, answer: Ok(Vec::new()) }
    }

    fn work(&mut self) {
        if let (Some(call), Some(open)) = (of_files(self.call), &mut self.open) {
            self.answer = open.answer(call, &self.request, &self.fetched, self.most, self.now);
        }
    }
}

fn corrupt(why: Malformed) -> Error {
    Error::Corrupt(why.to_string())
}

impl Run<'_> {
    /// Answers calls of a group's VMs.
    pub fn answer_of_files(&mut self, g: usize, mut asked: Vec<Asked>) -> Result<()> {
        if asked.is_empty() {
            return Ok(());
        }
        let most = (ROUND / asked.len()).clamp(EACH.0, EACH.1) as u32;
        for asked in &mut asked {
            let slot = self.fleet.groups[g].slots[asked.vm].as_ref();
            asked.most = slot.and_then(|slot| slot.job.epoch().most()).unwrap_or(most);
        }
        self.fetch_ranges(g, &mut asked)?;
        asked.retain_mut(|asked| {
            asked.hash = epoch::hash(asked.call, &asked.request, &asked.fetched);
            match self.told(g, asked.vm, asked.call, asked.hash) {
                Told::Before(answer) => self.give(g, asked.vm, answer),
                Told::New => match self.open(g, asked.vm) {
                    Ok((open, now)) => {
                        (asked.open, asked.now) = (Some(open), now);
                        return true;
                    }
                    Err(why) => self.end(g, asked.vm, End::Failed(why), Vec::new(), Vec::new(), &[]),
                },
                Told::Over => {}
            }
            false
        });
        let threads = (asked.len() / CALLS).min(THREADS);
        let chunk = (asked.len() / (4 * threads.max(1))).clamp(1, 64);
        share(&mut asked, threads, chunk, Asked::work);
        // What was done is logged in any case: another device may run these inputs.
        let mut answers = Vec::with_capacity(asked.len());
        for asked in asked {
            if let Some(slot) = &self.fleet.groups[g].slots[asked.vm] {
                slot.job.epoch().open = asked.open;
            }
            let answer = asked.answer.map(Answer::Ready);
            if let Ok(answer) = &answer {
                self.log(g, asked.vm, asked.call, asked.hash, asked.most, answer);
            }
            answers.push((asked.vm, answer));
        }
        for (vm, answer) in answers {
            let answer = answer.map_err(corrupt)?;
            if self.may_go_on(g, vm)? {
                self.give(g, vm, answer);
            }
        }
        Ok(())
    }

    /// Fetches what requests refer to.
    fn fetch_ranges(&mut self, g: usize, asked: &mut [Asked]) -> Result<()> {
        let fleet = &mut *self.fleet;
        let group = &fleet.groups[g];
        let at = fleet.common.program.meta().plan.memory_at;
        let mut pieces = Vec::new();
        for asked in &mut *asked {
            asked.ranges = ranges(asked.call, &asked.request, asked.most).map_err(corrupt)?;
            let size = group.words.get(Word::Memory, asked.vm) & u64::from(u32::MAX);
            for (address, length) in &asked.ranges {
                let (offset, length) = (u64::from(*address), u64::from(*length));
                if offset + length > size {
                    return Err(Error::Corrupt(format!("a request for {length} bytes at {offset} of {size}")));
                }
                pieces.push(Piece { vm: asked.vm as u32, area: Area::Region, offset: at + offset, length });
            }
        }
        let mut fetched = fleet.groups[g].fetch(&fleet.common, &mut fleet.gather, &pieces)?.into_iter();
        for asked in asked {
            asked.fetched = fetched.by_ref().take(asked.ranges.len()).collect();
        }
        Ok(())
    }

    /// The files of a VM, taken out of its input's epoch, and its clock.
    fn open(&mut self, g: usize, vm: usize) -> std::result::Result<(Box<Open>, u64), String> {
        let group = &mut self.fleet.groups[g];
        group.pass_time(vm);
        let now = group.words.get(Word::Clock, vm);
        let Some(slot) = &group.slots[vm] else { return Err("its VM is gone".into()) };
        if let Some(open) = slot.job.epoch().open.take() {
            return Ok((open, now));
        }
        let none = || Arc::new(Files::new());
        let files = self.fleet.options.files.clone().unwrap_or_else(none);
        Ok((Box::new(Open::new(&files, &slot.job.input.files, now)?), now))
    }
}
