//! The smallest driver: host memory as device memory, copies that are done at once, and no kernels. Copy it to start a
//! driver; every comment that begins with "Yours" says what a real one does instead.
//!
//! These parts can stay, and pass the conformance suite: one [`Handles`] table per kind of object, which refuses stale
//! handles; a [`Budget`], which refuses too large allocations; range checks before copies; errors that say what to do.

use std::sync::Arc;
use std::time::Instant;
use vectorvisor_driver::handles::Handles;
use vectorvisor_driver::memory::{Budget, HostMemory, check_range};
use vectorvisor_driver::{
    BufferId, Device, DeviceInfo, DeviceKind, Driver, Error, EventId, KernelId, Language, ModuleId, PinnedId, QueueId,
    Quirks, Result, Source,
};

/// The driver. Yours: it holds nothing either, and opens the vendor's library (by libloading) when it is first asked
/// for devices, so that the plugin itself can be opened on every machine.
pub struct NullDriver;

// The crate's name, vectorvisor_null, gives those of the file, libvectorvisor_null.so, and of the driver, null.
vectorvisor_driver::export_plugin!(NullDriver);

impl Driver for NullDriver {
    fn name(&self) -> &'static str {
        "null"
    }
    /// Yours: [`Error::Unavailable`] with advice if the library or a device is missing, never an empty list.
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(vec![info()])
    }
    /// Yours: applies the quirks, and says in [`DeviceInfo`] which are on.
    fn open(&self, index: usize, _: Quirks) -> Result<Arc<dyn Device>> {
        if index != 0 {
            return Err(Error::Invalid(format!("the null driver has only device 0, not {index}")));
        }
        Ok(Arc::new(NullDevice {
            info: info(),
            start: Instant::now(),
            budget: Budget::new(MEMORY),
            buffers: Handles::new("buffer"),
            pinned: Handles::new("pinned buffer"),
            queues: Handles::new("queue"),
            events: Handles::new("event"),
        }))
    }
}

/// Yours: what the device has, less a part for kernels and their stacks.
const MEMORY: u64 = 1 << 30;

fn info() -> DeviceInfo {
    DeviceInfo {
        index: 0,
        name: "host memory, which runs nothing".into(),
        // Yours: names everything that a binary depends on, down to the version of the vendor's compiler.
        identity: "null".into(),
        kind: DeviceKind::Accelerator,
        // Yours: the dialect of `core/translate/src/dialect` that the device's compiler takes.
        language: Language::C,
        memory: MEMORY,
        max_alloc: MEMORY,
        lane_width: 1,
        parallel_tiles: 1,
        // Yours: `true` only where it holds. The runtime works without each of them, a little slower.
        thread_exit: false,
        timer: false,
        live_shared: false,
        zeroed: true,
        nvidia: false,
        patch: false,
        recursion: false,
    }
}

/// Yours: also the vendor's context, and tables of modules and kernels.
struct NullDevice {
    info: DeviceInfo,
    start: Instant,
    budget: Budget,
    buffers: Handles<Arc<HostMemory>>,
    pinned: Handles<Arc<HostMemory>>,
    queues: Handles<()>,
    /// When the event's work began and ended. Yours: the vendor's event.
    events: Handles<(u64, u64)>,
}

impl NullDevice {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
    /// Does a copy. Yours: enqueues it and returns.
    ///
    /// # Safety
    /// As [`Device::write`] and [`Device::read`].
    unsafe fn copy(&self, queue: QueueId, from: *const u8, to: *mut u8, bytes: usize) -> Result<EventId> {
        self.queues.get(queue.0)?;
        let begin = self.now();
        // SAFETY: one side is the caller's, the other is inside a buffer, by `address`. They may be the same memory.
        unsafe { std::ptr::copy(from, to, bytes) };
        Ok(EventId(self.events.insert((begin, self.now()))))
    }
    /// A buffer, kept alive, and the address at `offset` in it; an error unless `bytes` fit there.
    fn address(&self, buffer: BufferId, offset: u64, bytes: usize) -> Result<(Arc<HostMemory>, *mut u8)> {
        let memory = self.buffers.get(buffer.0)?;
        check_range(offset, bytes, memory.bytes())?;
        let start = memory.pointer().wrapping_add(offset as usize);
        Ok((memory, start))
    }
}

impl Device for NullDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Yours: [`Error::Compile`] with the compiler's whole log if it refuses the text.
    fn compile(&self, _: Source<'_>, _: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        Err(Error::Unavailable {
            what: "the null driver has no compiler".into(),
            advice: "choose another --backend (vectorvisor devices lists them)".into(),
        })
    }
    unsafe fn load(&self, _: &[u8]) -> Result<ModuleId> {
        Err(Error::Invalid("the null driver has no binaries".into()))
    }
    fn unload(&self, _: ModuleId) {}
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        Err(Error::Invalid(format!("no module has the handle {}, and none a kernel {name}", module.0)))
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        let memory = self.budget.take(bytes.max(1), || HostMemory::new(bytes))?;
        Ok(BufferId(self.buffers.insert(Arc::new(memory))))
    }
    fn free(&self, buffer: BufferId) {
        if let Some(memory) = self.buffers.remove(buffer.0) {
            self.budget.give(memory.bytes());
        }
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        let memory = Arc::new(HostMemory::new(bytes as u64)?);
        let pointer = memory.pointer();
        Ok((PinnedId(self.pinned.insert(memory)), pointer))
    }
    fn free_pinned(&self, pinned: PinnedId) {
        self.pinned.remove(pinned.0);
    }
    /// Yours: memory that host and device both see if the device can, else device memory with a copy on the host, which
    /// `publish` copies to the device.
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let buffer = self.alloc(bytes as u64)?;
        Ok((buffer, self.address(buffer, 0, bytes)?.1))
    }

    /// Yours: the vendor's stream, or a thread that runs its work in order.
    fn queue(&self, _: bool) -> Result<QueueId> {
        Ok(QueueId(self.queues.insert(())))
    }
    fn free_queue(&self, queue: QueueId) {
        self.queues.remove(queue.0);
    }
    unsafe fn write(
        &self,
        queue: QueueId,
        dst: BufferId,
        offset: u64,
        src: *const u8,
        bytes: usize,
    ) -> Result<EventId> {
        let (_kept, dst) = self.address(dst, offset, bytes)?;
        // SAFETY: the caller promises `src`; `address` has checked the other side.
        unsafe { self.copy(queue, src, dst, bytes) }
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        let (_kept, src) = self.address(src, offset, bytes)?;
        // SAFETY: the caller promises `dst`; `address` has checked the other side.
        unsafe { self.copy(queue, src, dst, bytes) }
    }
    /// Yours: refuses more lanes than a tile can have, runs nothing for 0 tiles or 0 lanes, and else enqueues the
    /// launch and returns.
    fn launch(&self, _: QueueId, kernel: KernelId, _: &[Option<BufferId>], _: u32, _: u32) -> Result<EventId> {
        Err(Error::Invalid(format!("no kernel has the handle {}", kernel.0)))
    }
    /// Yours: waits, and reports errors of the queue's work.
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.queues.get(queue.0)
    }

    fn reached(&self, event: EventId) -> Result<bool> {
        self.events.get(event.0).map(|_| true)
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.events.get(event.0).map(|_| ())
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        self.events.get(event.0)
    }
    fn free_event(&self, event: EventId) {
        self.events.remove(event.0);
    }
}
