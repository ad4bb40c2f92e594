//! A device that fails when a test wants: all that it is asked after some launches is an error, as of one that is lost.

use crate::{BufferId, Device, DeviceInfo, Error, EventId, KernelId, ModuleId, PinnedId, QueueId, Result, Source};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The variable that names devices and the launches that succeed, as `cuda:1=20,cpu:0=5`.
pub const VARIABLE: &str = "VECTORVISOR_FAIL_AFTER";

/// Names whose launches are counted already: a device that is opened again works.
static OPENED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The device, or if [`VARIABLE`] names it, and it was not opened before, one that fails after so many launches.
pub fn if_wanted(driver: &str, index: usize, device: Arc<dyn Device>) -> Arc<dyn Device> {
    let Ok(wanted) = std::env::var(VARIABLE) else { return device };
    let name = format!("{driver}:{index}");
    let after = wanted.split(',').filter_map(|one| one.split_once('=')).find(|(of, _)| *of == name);
    let Some(left) = after.and_then(|(_, launches)| launches.parse().ok()) else { return device };
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if opened.contains(&name) {
        return device;
    }
    opened.push(name.clone());
    Arc::new(Failing { inner: device, name, left: AtomicI64::new(left) })
}

struct Failing {
    inner: Arc<dyn Device>,
    name: String,
    /// Launches that succeed; negative: it has failed.
    left: AtomicI64,
}

impl Failing {
    /// It may have failed.
    fn alive(&self) -> Result<&dyn Device> {
        match self.left.load(Ordering::SeqCst) {
            0.. => Ok(&*self.inner),
            _ => Err(Error::Device(format!("{} is lost, as {VARIABLE} says", self.name))),
        }
    }
}

impl Device for Failing {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }
    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        self.alive()?.compile(source, progress)
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.alive()?.load(binary) }
    }
    fn unload(&self, module: ModuleId) {
        self.inner.unload(module);
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        self.alive()?.kernel(module, name)
    }
    fn resident(&self, kernel: KernelId, lanes: u32) -> Result<u32> {
        self.alive()?.resident(kernel, lanes)
    }
    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        self.alive()?.alloc(bytes)
    }
    fn free(&self, buffer: BufferId) {
        self.inner.free(buffer);
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        self.alive()?.alloc_pinned(bytes)
    }
    fn free_pinned(&self, pinned: PinnedId) {
        self.inner.free_pinned(pinned);
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        self.alive()?.alloc_shared(bytes)
    }
    fn alloc_mapped(&self, bytes: usize) -> Result<Option<(BufferId, *mut u8)>> {
        self.alive()?.alloc_mapped(bytes)
    }
    fn publish(&self, shared: BufferId) -> Result<()> {
        // A kernel that runs still wants to be told to stop.
        self.inner.publish(shared).and(self.alive().map(drop))
    }
    fn queue(&self, urgent: bool) -> Result<QueueId> {
        self.alive()?.queue(urgent)
    }
    fn free_queue(&self, queue: QueueId) {
        self.inner.free_queue(queue);
    }
    unsafe fn write(
        &self,
        queue: QueueId,
        dst: BufferId,
        offset: u64,
        src: *const u8,
        bytes: usize,
    ) -> Result<EventId> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.alive()?.write(queue, dst, offset, src, bytes) }
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.alive()?.read(queue, src, offset, dst, bytes) }
    }
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId> {
        _ = self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left >= 0).then_some(left - 1));
        self.alive()?.launch(queue, kernel, args, tiles, lanes)
    }
    // What was begun before goes on in truth, and uses memory of the caller's: it must not be said to have ended.
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.inner.finish(queue).and(self.alive().map(drop))
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.inner.wait(event).and(self.alive().map(drop))
    }
    fn reached(&self, event: EventId) -> Result<bool> {
        self.alive()?.reached(event)
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        self.alive()?.times(event)
    }
    fn free_event(&self, event: EventId) {
        self.inner.free_event(event);
    }
}
