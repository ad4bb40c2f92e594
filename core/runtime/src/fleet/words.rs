//! The host's copy of a group's state words, in page-locked memory for transfers.

use std::sync::Arc;
use vectorvisor_driver::{Device, Pinned, Result};
use vectorvisor_translate::abi::Word;

/// Rows that a kernel may change, all at the front. The rest is only written by the host, except those of `profile`.
const CHANGED: usize = Word::Time as usize + 1;

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
}

impl Words {
    /// All zero, so all VMs idle. With `early`, those of VMs that have ended are there before the launch has.
    pub fn new(device: &Arc<dyn Device>, vms: usize, early: bool) -> Result<Self> {
        let bytes = Word::COUNT * vms * 8;
        let arriving = early.then(|| Pinned::new(device, bytes)).transpose()?;
        Ok(Self { vms, pinned: Pinned::new(device, bytes)?, arriving })
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
        self.pinned.len() + self.arriving.as_ref().map_or(0, |arriving| arriving.len())
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

    /// One word.
    pub fn get(&self, word: Word, vm: usize) -> u64 {
        let at = self.at(word, vm);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.pinned[at..at + 8]);
        u64::from_le_bytes(bytes)
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
