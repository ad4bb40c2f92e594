//! Reading the request of a call that concerns files, whose parts [`vectorvisor_translate::host`] describes.

use crate::Malformed;
use crate::errno::{Errno, Result};
use vectorvisor_translate::host::{HostCall, Part, RANGES};

/// Longest path in bytes that is fetched, more than any system takes.
const PATH: u32 = 1 << 14;

const SHORT: Malformed = Malformed("the request has another size");

fn range(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// The pieces of a VM's memory that a request refers to, addresses and lengths; of buffers that are written at most so
/// many bytes in all.
pub fn ranges(call: &HostCall, request: &[u8], most: u32) -> std::result::Result<Vec<(u32, u32)>, Malformed> {
    let mut words = request.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let mut next = || words.next().ok_or(SHORT);
    let mut ranges = Vec::new();
    for part in call.files {
        match part {
            Part::Number | Part::Into | Part::Buffer | Part::Streams => _ = next()?,
            Part::Result(_) => {}
            Part::Range => {
                let (at, length) = range(next()?);
                ranges.push((at, length.min(PATH)));
            }
            Part::From => {
                let (count, mut left) = (next()?, most);
                if count > RANGES as u64 {
                    return Err(Malformed("it has more buffers than a request can have"));
                }
                for _ in 0..count {
                    let (at, length) = range(next()?);
                    ranges.push((at, length.min(left)));
                    left -= length.min(left);
                }
            }
        }
    }
    Ok(ranges)
}

/// Takes the parts of a request one after another.
pub struct Args<'a> {
    words: std::slice::Iter<'a, [u8; 8]>,
    fetched: std::slice::Iter<'a, Vec<u8>>,
}

impl<'a> Args<'a> {
    /// A request, of which [`ranges`] has found nothing wrong, and what it refers to.
    pub fn new(request: &'a [u8], fetched: &'a [Vec<u8>]) -> Self {
        Self { words: request.as_chunks::<8>().0.iter(), fetched: fetched.iter() }
    }

    pub fn long(&mut self) -> u64 {
        self.words.next().map_or(0, |word| u64::from_le_bytes(*word))
    }

    /// A parameter of 32 bits, or a count of bytes.
    pub fn number(&mut self) -> u32 {
        u32::try_from(self.long()).unwrap_or(u32::MAX)
    }

    pub fn path(&mut self) -> Result<&'a str> {
        let (_, length) = range(self.long());
        let bytes = self.fetched.next().map_or(&[][..], Vec::as_slice);
        if bytes.len() < length as usize {
            return Err(Errno::NAMETOOLONG);
        }
        std::str::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
    }

    /// The bytes of the buffers that a call writes.
    pub fn from(&mut self) -> Vec<u8> {
        let count = self.long() as usize;
        self.words.by_ref().take(count).for_each(drop);
        self.fetched.by_ref().take(count).flatten().copied().collect()
    }
}
