//! Fetching pieces of VM memory and output: the device packs them, and one transfer reads the pack. A small pack it makes in
//! mapped memory, where it has that, and no transfer is needed.

use super::spread::spread;
use super::staging::lasted;
use crate::Result;
use std::sync::Arc;
use std::time::Duration;
use vectorvisor_driver::{Buffer, BufferId, Device, DeviceKind, Event, KernelId, Mapped, Pinned, Queue};
use vectorvisor_translate::abi::{ARGS, Area, Arg, Segment};

/// Bytes that one thread copies at most, so that a long piece is shared among threads: where neighbouring VMs lie
/// interleaved, neighbouring threads copy for them, and elsewhere neighbouring bytes. A thread of a GPU waits for what it
/// loads, so what one copies alone takes long.
const SEGMENT: u64 = 4096;
const APART: u64 = 128;
/// The most that is packed at once; more goes in several rounds.
const PACK: u64 = 32 << 20;
/// Most bytes of a small pack, and of its segments.
const SMALL: (usize, usize) = (256 << 10, 128 << 10);
/// What there is room for at first: bytes in all, and bytes and pieces of each VM.
const LEAST: u64 = 64 << 10;
const USUAL_BYTES: u64 = 64 << 10;
const USUAL_PIECES: usize = 3;
/// Each piece begins at a multiple of this in the pack, so that copies may use wide stores.
const ALIGN: u64 = 16;

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub vm: u32,
    pub area: Area,
    pub offset: u64,
    pub length: u64,
}

/// A part of a piece in a round's pack.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    piece: usize,
    at: usize,
    bytes: usize,
}

/// Splits pieces into rounds of segments.
struct Rounds<'a> {
    pieces: &'a [Piece],
    /// The most bytes of a segment.
    most: u64,
    next: usize,
    /// Bytes of the next piece that earlier rounds fetched.
    done: u64,
}

impl Rounds<'_> {
    /// The segments and spans of the next round, and its size in the pack.
    fn round(&mut self, capacity: u64, segments: &mut Vec<Segment>, spans: &mut Vec<Span>) -> u64 {
        segments.clear();
        spans.clear();
        let mut at = 0;
        while let Some(piece) = self.pieces.get(self.next) {
            let bytes = (piece.length - self.done).min(capacity.saturating_sub(at));
            if bytes == 0 && self.done < piece.length {
                break;
            }
            if bytes > 0 {
                spans.push(Span { piece: self.next, at: at as usize, bytes: bytes as usize });
            }
            let mut from = 0;
            while from < bytes {
                let length = (bytes - from).min(self.most);
                let offset = piece.offset + self.done + from;
                segments.push(Segment { vm: piece.vm, area: piece.area, offset, length, to: at + from });
                from += length;
            }
            at = (at + bytes).next_multiple_of(ALIGN);
            self.done += bytes;
            if self.done == piece.length {
                self.next += 1;
                self.done = 0;
            }
        }
        at
    }
}

/// The buffers of `vv_gather`.
pub struct Gather {
    device: Arc<dyn Device>,
    /// Not the group's, behind whose launches those of other groups wait.
    queue: Queue,
    segments: Buffer,
    segments_host: Pinned,
    pack: Buffer,
    pack_host: Pinned,
    /// The same of small packs.
    small: Option<Small>,
    /// Time of transfers that have ended, until it is taken.
    pub transfers: Duration,
}

struct Small {
    segments: Mapped,
    pack: Mapped,
}

impl Small {
    fn new(device: &Arc<dyn Device>) -> Result<Option<Self>> {
        let Some(pack) = Mapped::new(device, SMALL.0)? else { return Ok(None) };
        Ok(Mapped::new(device, SMALL.1)?.map(|segments| Self { segments, pack }))
    }
}

impl Gather {
    /// For launches of so many VMs: allocating more later may wait for launches in flight.
    pub fn new(device: &Arc<dyn Device>, vms: usize) -> Result<Self> {
        let bytes = (vms as u64 * USUAL_BYTES).clamp(LEAST, PACK) as usize;
        let segments = (vms * USUAL_PIECES + bytes / APART as usize).max(1024) * Segment::BYTES;
        Ok(Self {
            device: device.clone(),
            queue: Queue::urgent(device)?,
            segments: Buffer::new(device, segments as u64)?,
            segments_host: Pinned::new(device, segments)?,
            pack: Buffer::new(device, bytes as u64)?,
            pack_host: Pinned::new(device, bytes)?,
            small: Small::new(device)?,
            transfers: Duration::ZERO,
        })
    }

    /// Bytes of page-locked memory.
    pub fn pinned_bytes(&self) -> usize {
        let small = self.small.as_ref().map_or(0, |small| small.segments.bytes() + small.pack.bytes());
        self.segments_host.len() + self.pack_host.len() + small
    }

    /// Reads the first bytes of a buffer, while launches may go on.
    pub fn read(&self, buffer: &Buffer, bytes: &mut [u8]) -> Result<()> {
        Ok(self.queue.read(buffer, 0, bytes)?)
    }

    /// Fetches pieces, in order, of VMs whose memory is interleaved or not. `args` are the kernel's arguments except those
    /// that this sets. No launch may write to the pieces.
    pub fn run(
        &mut self,
        kernel: KernelId,
        lanes: u32,
        interleaved: bool,
        mut args: [Option<BufferId>; ARGS],
        pieces: &[Piece],
    ) -> Result<Vec<Vec<u8>>> {
        let mut fetched = vec![Vec::new(); pieces.len()];
        let total: u64 = pieces.iter().map(|p| p.length.next_multiple_of(ALIGN)).sum();
        if total == 0 {
            return Ok(fetched);
        }
        let most = if interleaved || self.device.info().kind == DeviceKind::Cpu { SEGMENT } else { APART };
        let mut rounds = Rounds { pieces, most, next: 0, done: 0 };
        let (mut segments, mut spans) = (Vec::new(), Vec::new());
        let some = total / most + pieces.len() as u64 + u64::from(lanes);
        if let Some(small) = &self.small
            && total <= SMALL.0 as u64
            && some * Segment::BYTES as u64 <= SMALL.1 as u64
        {
            rounds.round(total, &mut segments, &mut spans);
            let tiles = segments.len().div_ceil(lanes as usize);
            segments.resize(tiles * lanes as usize, Segment::NONE);
            for (n, word) in segments.iter().flat_map(Segment::words).enumerate() {
                small.segments.store(n, word);
            }
            args[Arg::Input as usize] = Some(small.segments.id());
            args[Arg::Pack as usize] = Some(small.pack.id());
            self.queue.launch(kernel, &args, tiles as u32, lanes)?;
            self.queue.finish()?;
            for span in spans {
                small.pack.read(span.at, span.bytes, &mut fetched[span.piece]);
            }
            return Ok(fetched);
        }
        let capacity = total.min(PACK).next_power_of_two();
        if self.pack.bytes() < capacity {
            self.pack_host = Pinned::new(&self.device, capacity as usize)?;
            self.pack = Buffer::new(&self.device, capacity)?;
        }
        loop {
            let packed = rounds.round(self.pack.bytes(), &mut segments, &mut spans) as usize;
            if segments.is_empty() {
                return Ok(fetched);
            }
            // What is left of the last tile's threads have nothing to do.
            let tiles = segments.len().div_ceil(lanes as usize);
            segments.resize(tiles * lanes as usize, Segment::NONE);
            let bytes = segments.len() * Segment::BYTES;
            if self.segments_host.len() < bytes {
                self.segments_host = Pinned::new(&self.device, bytes.next_power_of_two())?;
                self.segments = Buffer::new(&self.device, bytes.next_power_of_two() as u64)?;
            }
            let words = segments.iter().flat_map(Segment::words);
            for (to, word) in self.segments_host.as_chunks_mut::<8>().0.iter_mut().zip(words) {
                *to = word.to_le_bytes();
            }
            args[Arg::Input as usize] = Some(self.segments.id());
            args[Arg::Pack as usize] = Some(self.pack.id());
            let ended = self.transfer(kernel, &args, tiles as u32, lanes, bytes, packed);
            // Also after an error: transfers that were begun must not outlive this.
            let transfers = self.queue.finish().map_err(crate::Error::from).and(ended)?;
            self.transfers += transfers.iter().map(lasted).sum::<Duration>();
            let mut pieces_left = fetched.iter_mut().zip(pieces).enumerate();
            let mut piece_of =
                |span: &Span| pieces_left.find(|(number, _)| *number == span.piece).map(|(_, piece)| piece);
            let mut parts: Vec<_> = spans.iter().filter_map(|span| Some((span, piece_of(span)?))).collect();
            spread(&mut parts, packed, |(span, (bytes, piece))| {
                bytes.reserve_exact(piece.length as usize - bytes.len());
                bytes.extend_from_slice(&self.pack_host[span.at..span.at + span.bytes]);
            });
        }
    }

    fn transfer(
        &mut self,
        kernel: KernelId,
        args: &[Option<BufferId>; ARGS],
        tiles: u32,
        lanes: u32,
        segments: usize,
        packed: usize,
    ) -> Result<[Event; 2]> {
        // SAFETY: `run`, the only caller, waits for the queue before any code touches these buffers again.
        unsafe {
            let written = self.queue.write_async(&self.segments, 0, &self.segments_host, segments)?;
            self.queue.launch(kernel, args, tiles, lanes)?;
            Ok([written, self.queue.read_async(&self.pack, 0, &mut self.pack_host, packed)?])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(vm: u32, offset: u64, length: u64) -> Piece {
        Piece { vm, area: Area::Region, offset, length }
    }

    #[test]
    fn short_pieces_share_a_round() {
        let pieces = [piece(1, 8, 5), piece(2, 0, 0), piece(3, 100, 4097)];
        let mut rounds = Rounds { pieces: &pieces, most: SEGMENT, next: 0, done: 0 };
        let (mut segments, mut spans) = (Vec::new(), Vec::new());
        assert_eq!(rounds.round(PACK, &mut segments, &mut spans), 16 + 4112);
        let seen: Vec<_> = segments.iter().map(|s| (s.vm, s.offset, s.length, s.to)).collect();
        assert_eq!(seen, [(1, 8, 5, 0), (3, 100, 4096, 16), (3, 4196, 1, 4112)]);
        assert_eq!(spans, [Span { piece: 0, at: 0, bytes: 5 }, Span { piece: 2, at: 16, bytes: 4097 }]);
        rounds.round(PACK, &mut segments, &mut spans);
        assert!(segments.is_empty());
    }

    #[test]
    fn a_long_piece_takes_several_rounds() {
        let pieces = [piece(0, 0, 10), piece(1, 0, 100)];
        let mut rounds = Rounds { pieces: &pieces, most: SEGMENT, next: 0, done: 0 };
        let (mut segments, mut spans) = (Vec::new(), Vec::new());
        let mut fetched = [0, 0];
        let mut count = 0;
        loop {
            let packed = rounds.round(48, &mut segments, &mut spans);
            if segments.is_empty() {
                break;
            }
            assert!(packed <= 48);
            count += 1;
            for span in &spans {
                fetched[span.piece] += span.bytes;
            }
        }
        assert_eq!((fetched, count), ([10, 100], 3));
    }
}
