//! Sending inputs to the device through page-locked memory, which all groups share: page-locking takes longer than
//! copying, and a group's inputs may be hundreds of megabytes.

use super::spread::spread;
use crate::Result;
use std::sync::Arc;
use std::time::Duration;
use vectorvisor_driver::{Buffer, Device, Event, Pinned, Queue};

/// Each part begins at a multiple of this, for wide loads.
const ALIGN: usize = 16;
/// Bounds of the bytes of a half, and what it has for each VM.
const HALF: (usize, usize) = (64 << 10, 16 << 20);
const USUAL: usize = 16 << 10;

/// Bytes that a part takes.
pub fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

/// How long what has ended took. A driver may be unable to measure it.
pub fn lasted(event: &Event) -> Duration {
    event.times().map_or(Duration::ZERO, |(begin, end)| Duration::from_nanos(end.saturating_sub(begin)))
}

/// Two buffers by turns: while one's bytes are on their way, the other is filled.
pub struct Staging {
    halves: [Half; 2],
    next: usize,
    /// Time of transfers that have ended, until it is taken.
    pub transfers: Duration,
}

struct Half {
    pinned: Pinned,
    /// The end of the transfer that reads it.
    sent: Option<Event>,
}

impl Staging {
    /// For launches of so many VMs.
    pub fn new(device: &Arc<dyn Device>, vms: usize) -> Result<Self> {
        let bytes = padded((vms * USUAL).clamp(HALF.0, HALF.1));
        let half = || Ok::<_, crate::Error>(Half { pinned: Pinned::new(device, bytes)?, sent: None });
        Ok(Self { halves: [half()?, half()?], next: 0, transfers: Duration::ZERO })
    }

    /// Bytes of page-locked memory.
    pub fn pinned_bytes(&self) -> usize {
        self.halves.iter().map(|half| half.pinned.len()).sum()
    }

    /// Sends parts one after another to a buffer, from byte `at` on, each [`padded`]. The last may still be on their way
    /// when this returns; what follows in the queue comes after them.
    pub fn send<'a>(
        &mut self,
        queue: &Queue,
        to: &Buffer,
        mut at: u64,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Result<()> {
        let (mut round, mut used) = (Vec::new(), 0);
        for mut part in parts {
            while !part.is_empty() {
                let room = self.halves[0].pinned.len() - used;
                let (now, later) = part.split_at(part.len().min(room));
                round.push(now);
                used += padded(now.len());
                part = later;
                if used == self.halves[0].pinned.len() {
                    self.transfer(queue, to, &mut at, &mut round, used)?;
                    used = 0;
                }
            }
        }
        self.transfer(queue, to, &mut at, &mut round, used)
    }

    fn transfer(
        &mut self,
        queue: &Queue,
        to: &Buffer,
        at: &mut u64,
        parts: &mut Vec<&[u8]>,
        bytes: usize,
    ) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let half = &mut self.halves[self.next];
        self.next ^= 1;
        if let Some(sent) = half.sent.take() {
            sent.wait()?;
            self.transfers += lasted(&sent);
        }
        let mut rest = &mut half.pinned[..];
        let place = |from| {
            let (to, after) = std::mem::take(&mut rest).split_at_mut(padded(<[u8]>::len(from)));
            rest = after;
            (to, from)
        };
        let mut copies: Vec<_> = parts.drain(..).map(place).collect();
        spread(&mut copies, bytes, |(to, from)| to[..from.len()].copy_from_slice(from));
        // SAFETY: this half is not touched before `sent` was waited for, also by `drop`.
        half.sent = Some(unsafe { queue.write_async(to, *at, &half.pinned, bytes)? });
        *at += bytes as u64;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for sent in self.halves.iter_mut().filter_map(|half| half.sent.take()) {
            // The pinned buffers must outlive the transfers; an error changes nothing about that.
            _ = sent.wait();
        }
    }
}
