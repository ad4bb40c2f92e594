//! The host's copy of a group's state words, in page-locked memory for transfers.
//!
//! A launch of few VMs has its words in mapped memory, where the device can do that: the kernel loads and stores them over
//! the bus. Then neither copy is needed, and the host sees without the driver which VMs have ended.

use std::sync::Arc;
use vectorvisor_driver::{BufferId, Device, Mapped, Pinned, Result};
use vectorvisor_translate::abi::{Status, Word};

/// Rows that a kernel may change, all at the front. The rest is only written by the host, except those of `profile`.
const CHANGED: usize = Word::Time as usize + 1;

/// VMs of a group, at most, whose words a launch may have in mapped memory: more are faster copied than loaded one by one.
const NEAR: usize = 256;

fn take(all: usize, rows: usize, vms: &[u32], from: &[u8], to: &mut [u8]) {
    for row in 0..rows {
        for vm in vms {
            let at = (row * all + *vm as usize) * 8;
            to[at..at + 8].copy_from_slice(&from[at..at + 8]);
        }
    }
}

/// Word `w` of VM `v` lies at index `w * vms + v`.
pub struct Words {
    vms: usize,
    pub pinned: Pinned,
    /// Where the device's words arrive, if they may be looked at before a launch has ended.
    arriving: Option<Pinned>,
    /// Those of so many VMs, the first, in mapped memory.
    near: Option<(usize, Mapped)>,
}

/// Whether a VM with this word of [`Word::Status`] has not ended.
pub fn goes_on(word: u64) -> bool {
    matches!(Status::of(word), Some(Status::Start | Status::Run))
}

impl Words {
    /// All zero, so all VMs idle, in tiles of so many `lanes`. With `early`, those of VMs that have ended are there before the launch has.
    pub fn new(device: &Arc<dyn Device>, vms: usize, lanes: usize, early: bool) -> Result<Self> {
        let bytes = Word::COUNT * vms * 8;
        let arriving = early.then(|| Pinned::new(device, bytes)).transpose()?;
        let near_vms = vms.min(NEAR.next_multiple_of(lanes));
        let near = Mapped::new(device, Word::COUNT * near_vms * 8)?.map(|near| (near_vms, near));
        Ok(Self { vms, pinned: Pinned::new(device, bytes)?, arriving, near })
    }

    /// How many VMs have words in mapped memory, if the device has that.
    pub fn near(&self) -> Option<(usize, BufferId)> {
        self.near.as_ref().map(|(vms, near)| (*vms, near.id()))
    }

    /// Puts the words of these VMs into mapped memory, where no other VM has any.
    pub fn lend(&self, vms: &[u32]) {
        let Some((all, near)) = &self.near else { return };
        for row in [Word::Status, Word::Reset] {
            (0..*all).for_each(|vm| near.store(row as usize * all + vm, 0));
        }
        for row in 0..Word::COUNT {
            for vm in vms {
                near.store(row * all + *vm as usize, self.word(row * self.vms + *vm as usize));
            }
        }
    }

    /// Takes the words of these VMs from mapped memory, of which others may go on.
    pub fn take_near(&mut self, vms: &[u32]) {
        let Some((all, near)) = &self.near else { return };
        for row in 0..CHANGED {
            for vm in vms {
                let at = (row * self.vms + *vm as usize) * 8;
                let word = near.load(row * all + *vm as usize);
                self.pinned[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    /// Those of these VMs that have ended, whose words are in mapped memory.
    pub fn ended_near(&self, vms: &[u32]) -> Vec<u32> {
        let ended =
            |(_, near): &(_, Mapped)| vms.iter().copied().filter(|vm| !goes_on(near.load(*vm as usize))).collect();
        self.near.as_ref().map(ended).unwrap_or_default()
    }

    /// Whether any of these VMs, whose words are in mapped memory, has not ended.
    pub fn any_goes_on(&self, vms: &[u32]) -> bool {
        self.near.as_ref().is_none_or(|(_, near)| vms.iter().any(|vm| goes_on(near.load(*vm as usize))))
    }

    /// Where the device's words go after a launch.
    pub fn arriving(&mut self) -> &mut Pinned {
        self.arriving.as_mut().unwrap_or(&mut self.pinned)
    }

    /// They have arrived: takes those of these VMs.
    pub fn arrived(&mut self, vms: &[u32], profile: bool) {
        let rows = self.changed_bytes(profile) / (self.vms * 8);
        if let Some(arriving) = &self.arriving {
            take(self.vms, rows, vms, arriving, &mut self.pinned);
        }
    }

    /// Takes the words of these VMs from `rows`, of which there may be fewer than all.
    pub fn take(&mut self, vms: &[u32], rows: &[u8]) {
        take(self.vms, rows.len() / (self.vms * 8), vms, rows, &mut self.pinned);
    }

    /// Bytes of page-locked memory.
    pub fn pinned_bytes(&self) -> usize {
        let arriving = self.arriving.as_ref().map_or(0, |arriving| arriving.len());
        self.pinned.len() + arriving + self.near.as_ref().map_or(0, |(_, near)| near.bytes())
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        Word::COUNT * self.vms * 8
    }

    /// Bytes of the rows to read after a launch.
    pub fn changed_bytes(&self, profile: bool) -> usize {
        if profile { self.bytes() } else { CHANGED * self.vms * 8 }
    }

    fn at(&self, word: Word, vm: usize) -> usize {
        (word as usize * self.vms + vm) * 8
    }

    fn word(&self, n: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.pinned[n * 8..n * 8 + 8]);
        u64::from_le_bytes(bytes)
    }

    /// One word.
    pub fn get(&self, word: Word, vm: usize) -> u64 {
        self.word(word as usize * self.vms + vm)
    }

    /// Sets one word.
    pub fn set(&mut self, word: Word, vm: usize, value: u64) {
        let at = self.at(word, vm);
        self.pinned[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets one word of all VMs to 0.
    pub fn clear(&mut self, word: Word) {
        let at = self.at(word, 0);
        let end = at + self.vms * 8;
        self.pinned[at..end].fill(0);
    }
}
