//! Owners of device objects: freed on drop, ranges checked, and no raw pointer in their interface.

use crate::{BufferId, Device, Error, EventId, KernelId, ModuleId, PinnedId, QueueId, Result, Source};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes of a [`HostVisible`].
const PAGE: usize = 4096;

/// Device memory.
pub struct Buffer {
    device: Arc<dyn Device>,
    id: BufferId,
    bytes: u64,
}

impl Buffer {
    /// Allocates `bytes` (at least one) on the device.
    pub fn new(device: &Arc<dyn Device>, bytes: u64) -> Result<Self> {
        let id = device.alloc(bytes.max(1))?;
        Ok(Self { device: device.clone(), id, bytes: bytes.max(1) })
    }
    /// The handle for [`Queue::launch`].
    pub fn id(&self) -> BufferId {
        self.id
    }
    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device.free(self.id);
    }
}

/// Page-locked host memory for transfers.
pub struct Pinned {
    device: Arc<dyn Device>,
    id: PinnedId,
    ptr: *mut u8,
    bytes: usize,
}

// SAFETY: the memory belongs to this value alone; the pointer is only used through `&self`/`&mut self`.
unsafe impl Send for Pinned {}
// SAFETY: shared access only reads.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Allocates `bytes` (at least one) of zeroed page-locked host memory.
    pub fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Self> {
        let bytes = bytes.max(1);
        let (id, ptr) = device.alloc_pinned(bytes)?;
        Ok(Self { device: device.clone(), id, ptr, bytes })
    }
}

impl std::ops::Deref for Pinned {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the driver gave us `bytes` initialised bytes that live until `drop`.
        unsafe { std::slice::from_raw_parts(self.ptr, self.bytes) }
    }
}

impl std::ops::DerefMut for Pinned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.device.free_pinned(self.id);
    }
}

/// 64-bit words of the host that kernels see; all access goes through atomics.
struct Words {
    device: Arc<dyn Device>,
    id: BufferId,
    ptr: *mut u8,
    count: usize,
}

// SAFETY: all access goes through atomics.
unsafe impl Send for Words {}
// SAFETY: all access goes through atomics.
unsafe impl Sync for Words {}

impl Words {
    fn word(&self, n: usize) -> &AtomicU64 {
        assert!(n < self.count, "of {} words there is none of number {n}", self.count);
        // SAFETY: the word lies in the allocation, which is aligned to more than that and lives until `drop`.
        unsafe { &*self.ptr.cast::<AtomicU64>().add(n) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.device.free(self.id);
    }
}

/// A page of words that the host stores and kernels read, as the stop word: shared memory ([`Device::alloc_shared`]).
pub struct HostVisible(Words);

impl HostVisible {
    /// A zeroed page, of which [`Self::store`] sets the first word.
    pub fn new(device: &Arc<dyn Device>) -> Result<Self> {
        let (id, ptr) = device.alloc_shared(PAGE)?;
        Ok(Self(Words { device: device.clone(), id, ptr, count: PAGE / 8 }))
    }
    /// The handle for [`Queue::launch`].
    pub fn id(&self) -> BufferId {
        self.0.id
    }
    /// Stores into the first word and publishes it; a running kernel sees it if [`crate::DeviceInfo::live_shared`].
    pub fn store(&self, value: u32) {
        // SAFETY: the allocation is page aligned, at least four bytes, and lives until `drop`.
        let before = unsafe { &*self.0.ptr.cast::<AtomicU32>() }.swap(value, SeqCst);
        if value != before {
            self.publish();
        }
    }
    /// Stores into the `n`-th 64-bit word, likewise. Word 0 is the one that [`Self::store`] sets, and a page has 512.
    ///
    /// # Panics
    /// There is no such word.
    pub fn store_word(&self, n: usize, value: u64) {
        self.0.word(n).store(value, SeqCst);
        self.publish();
    }
    fn publish(&self) {
        // A device that fails here fails the launch too, and says so there.
        _ = self.0.device.publish(self.0.id);
    }
}

/// Words that the host and kernels both load and store, without a copy: mapped memory ([`Device::alloc_mapped`]).
pub struct Mapped(Words);

impl Mapped {
    /// Zeroed words, of so many `bytes`; `None` on a device without such memory.
    pub fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Option<Self>> {
        let count = bytes.div_ceil(8).max(1);
        let memory = device.alloc_mapped(count * 8)?;
        Ok(memory.map(|(id, ptr)| Self(Words { device: device.clone(), id, ptr, count })))
    }
    /// The handle for [`Queue::launch`].
    pub fn id(&self) -> BufferId {
        self.0.id
    }
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.count * 8
    }
    /// The `n`-th word. What a kernel stored before a fence and this word, the host sees after it has seen this.
    ///
    /// # Panics
    /// There is no such word.
    pub fn load(&self, n: usize) -> u64 {
        self.0.word(n).load(Acquire)
    }
    /// Stores the `n`-th word, for launches that follow.
    ///
    /// # Panics
    /// There is no such word.
    pub fn store(&self, n: usize, value: u64) {
        self.0.word(n).store(value, Relaxed);
    }
    /// Appends bytes `at..at + bytes` to `to`, where `at` is a multiple of 8.
    ///
    /// # Panics
    /// There are no such bytes.
    pub fn read(&self, at: usize, bytes: usize, to: &mut Vec<u8>) {
        assert!(at.is_multiple_of(8), "byte {at} begins no word");
        let end = to.len() + bytes;
        to.reserve(bytes.next_multiple_of(8));
        for n in at / 8..(at + bytes).div_ceil(8) {
            to.extend_from_slice(&self.0.word(n).load(Relaxed).to_ne_bytes());
        }
        to.truncate(end);
    }
}

/// A loaded binary.
pub struct Module {
    device: Arc<dyn Device>,
    id: ModuleId,
}

impl Module {
    /// Compiles text to a binary.
    pub fn compile(
        device: &Arc<dyn Device>,
        source: Source<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<u8>> {
        device.compile(source, progress)
    }
    /// Loads a binary.
    ///
    /// # Safety
    /// As [`Device::load`]: the bytes are what [`Module::compile`] gave for such a device, and no other user could
    /// change them since.
    pub unsafe fn load(device: &Arc<dyn Device>, binary: &[u8]) -> Result<Self> {
        // SAFETY: the caller's promise.
        let id = unsafe { device.load(binary) }?;
        Ok(Self { device: device.clone(), id })
    }
    /// Compiles text and loads the binary.
    pub fn build(device: &Arc<dyn Device>, source: Source<'_>) -> Result<Self> {
        let binary = Self::compile(device, source, &mut |_, _| ())?;
        // SAFETY: the device itself made it, just now.
        unsafe { Self::load(device, &binary) }
    }
    /// Finds a kernel; valid while this module lives.
    pub fn kernel(&self, name: &str) -> Result<KernelId> {
        self.device.kernel(self.id, name)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        self.device.unload(self.id);
    }
}

/// A point in a queue.
pub struct Event {
    device: Arc<dyn Device>,
    id: EventId,
}

impl Event {
    /// Whether it was reached.
    pub fn reached(&self) -> Result<bool> {
        self.device.reached(self.id)
    }
    /// Blocks until it is reached.
    pub fn wait(&self) -> Result<()> {
        self.device.wait(self.id)
    }
    /// Begin and end of its work in nanoseconds of the device's clock.
    pub fn times(&self) -> Result<(u64, u64)> {
        self.device.times(self.id)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.device.free_event(self.id);
    }
}

/// An in-order queue of work.
pub struct Queue {
    device: Arc<dyn Device>,
    id: QueueId,
}

fn check(range: &Range<u64>, bytes: u64, what: &str) -> Result<()> {
    if range.start > range.end || range.end > bytes {
        return Err(Error::Invalid(format!("{what} of bytes {}..{} in a buffer of {bytes}", range.start, range.end)));
    }
    Ok(())
}

impl Queue {
    /// A new queue on the device.
    pub fn new(device: &Arc<dyn Device>) -> Result<Self> {
        Ok(Self { device: device.clone(), id: device.queue(false)? })
    }
    /// A new queue for short work that should not wait behind the long work of others ([`Device::queue`]).
    pub fn urgent(device: &Arc<dyn Device>) -> Result<Self> {
        Ok(Self { device: device.clone(), id: device.queue(true)? })
    }
    /// Writes the first `bytes` of a pinned buffer to the device and returns at once.
    ///
    /// # Safety
    /// Nobody changes `src` until the event is reached or the queue finished.
    pub unsafe fn write_async(&self, dst: &Buffer, offset: u64, src: &Pinned, bytes: usize) -> Result<Event> {
        check(&(offset..offset + bytes as u64), dst.bytes, "write")?;
        check(&(0..bytes as u64), src.bytes as u64, "write from pinned memory")?;
        // SAFETY: the ranges were checked; the caller keeps `src` unchanged.
        let id = unsafe { self.device.write(self.id, dst.id, offset, src.ptr, bytes)? };
        Ok(Event { device: self.device.clone(), id })
    }
    /// Reads into the first `bytes` of a pinned buffer and returns at once.
    ///
    /// # Safety
    /// Nobody looks at `dst` until the event is reached or the queue finished.
    pub unsafe fn read_async(&self, src: &Buffer, offset: u64, dst: &mut Pinned, bytes: usize) -> Result<Event> {
        check(&(offset..offset + bytes as u64), src.bytes, "read")?;
        check(&(0..bytes as u64), dst.bytes as u64, "read into pinned memory")?;
        // SAFETY: the ranges were checked; the caller does not look before the event.
        let id = unsafe { self.device.read(self.id, src.id, offset, dst.ptr, bytes)? };
        Ok(Event { device: self.device.clone(), id })
    }
    /// Writes and waits.
    pub fn write(&self, dst: &Buffer, offset: u64, src: &[u8]) -> Result<()> {
        check(&(offset..offset + src.len() as u64), dst.bytes, "write")?;
        if src.is_empty() {
            return Ok(());
        }
        // SAFETY: `src` is borrowed until the event was reached.
        let id = unsafe { self.device.write(self.id, dst.id, offset, src.as_ptr(), src.len())? };
        Event { device: self.device.clone(), id }.wait()
    }
    /// Reads and waits.
    pub fn read(&self, src: &Buffer, offset: u64, dst: &mut [u8]) -> Result<()> {
        check(&(offset..offset + dst.len() as u64), src.bytes, "read")?;
        if dst.is_empty() {
            return Ok(());
        }
        // SAFETY: `dst` is borrowed exclusively until the event was reached.
        let id = unsafe { self.device.read(self.id, src.id, offset, dst.as_mut_ptr(), dst.len())? };
        Event { device: self.device.clone(), id }.wait()
    }
    /// Launches a kernel on `tiles` blocks of `lanes` threads.
    pub fn launch(&self, kernel: KernelId, args: &[Option<BufferId>], tiles: u32, lanes: u32) -> Result<Event> {
        let id = self.device.launch(self.id, kernel, args, tiles, lanes)?;
        Ok(Event { device: self.device.clone(), id })
    }
    /// Blocks until all work in the queue is done.
    pub fn finish(&self) -> Result<()> {
        self.device.finish(self.id)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.device.free_queue(self.id);
    }
}
