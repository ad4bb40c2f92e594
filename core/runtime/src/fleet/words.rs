//! The host's copy of a group's state words, in page-locked memory for transfers.

use std::sync::Arc;
use vectorvisor_driver::{Device, Pinned, Result};
use vectorvisor_translate::abi::Word;

/// Rows that a kernel may change, all at the front. The rest is only written by the host, except the two of `profile`.
const CHANGED: usize = Word::Time as usize + 1;

/// Word `w` of VM `v` lies at index `w * vms + v`.
pub struct Words {
    vms: usize,
    pub pinned: Pinned,
}

impl Words {
    /// All zero, so all VMs idle.
    pub fn new(device: &Arc<dyn Device>, vms: usize) -> Result<Self> {
        Ok(Self { vms, pinned: Pinned::new(device, Word::COUNT * vms * 8)? })
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
