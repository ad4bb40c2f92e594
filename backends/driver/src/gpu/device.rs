//! The [`Device`] of a driver for CUDA or HIP.

use super::objects::{Clock, Event, Kernel, Memory, Module, Stream};
use super::{Setup, probe};
use crate::handles::Handles;
use crate::memory::Budget;
use crate::{BufferId, Device, DeviceInfo, Error, EventId, KernelId, ModuleId, PinnedId, QueueId, Result, Source};
use std::sync::Arc;

/// An open device.
pub struct GpuDevice {
    modules: Handles<Arc<Module>>,
    kernels: Handles<Arc<Kernel>>,
    buffers: Handles<Arc<Memory>>,
    pinned: Handles<Arc<Memory>>,
    queues: Handles<Arc<Stream>>,
    events: Handles<Arc<Event>>,
    clock: Clock,
    budget: Budget,
    setup: Setup,
}

impl GpuDevice {
    /// Opens a device, and probes whether shared memory is live.
    pub fn new(mut setup: Setup) -> Result<Self> {
        // If the probe fails to run, so will real work, which reports the error.
        setup.info.live_shared = probe::is_live(&setup.vendor, &setup.probe).unwrap_or(false);
        Ok(Self {
            modules: Handles::new("module"),
            kernels: Handles::new("kernel"),
            buffers: Handles::new("buffer"),
            pinned: Handles::new("pinned buffer"),
            queues: Handles::new("queue"),
            events: Handles::new("event"),
            clock: Clock::new(&setup.vendor)?,
            budget: Budget::new(setup.info.memory),
            setup,
        })
    }
    fn event(&self, event: Event) -> EventId {
        EventId(self.events.insert(Arc::new(event)))
    }
    /// How many tiles go into a block: a power of two, 32 at most, that leaves at least two blocks for each
    /// multiprocessor. As few as let a multiprocessor run as many tiles as it can, since what a block takes is free again
    /// only when all its tiles have ended.
    fn tiles_per_block(&self, kernel: &Kernel, tiles: u32, lanes: u32) -> Result<u32> {
        let fits = |tiles_per_block: &u32| {
            lanes * tiles_per_block <= self.setup.block_threads
                && tiles.is_multiple_of(*tiles_per_block)
                && tiles / tiles_per_block >= self.setup.multiprocessors * 2
        };
        if lanes == 0 || !fits(&2) {
            return Ok(1);
        }
        let (mut best, mut most) = (1, kernel.blocks(lanes)?);
        for tiles_per_block in (1..=5).map(|power| 1 << power).take_while(fits) {
            let at_once = kernel.blocks(tiles_per_block * lanes)? * tiles_per_block;
            if at_once > most {
                (best, most) = (tiles_per_block, at_once);
            }
        }
        Ok(best)
    }
}

impl Device for GpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.setup.info
    }

    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        progress(0, source.units.len());
        let binary = self.setup.vendor.compile(source, progress)?;
        progress(source.units.len(), source.units.len());
        Ok([self.setup.magic, &binary].concat())
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        let image = binary.strip_prefix(self.setup.magic).filter(|image| !image.is_empty());
        let image = image.ok_or_else(|| Error::Invalid("these bytes are no binary of this driver".into()))?;
        // SAFETY: the caller promises that a binary with this magic is a whole one of `compile`.
        let module = unsafe { Module::load(&self.setup.vendor, image) }?;
        Ok(ModuleId(self.modules.insert(Arc::new(module))))
    }
    fn unload(&self, module: ModuleId) {
        if let Some(module) = self.modules.remove(module.0) {
            self.kernels.remove_where(|kernel| kernel.belongs_to(&module));
        }
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        let kernel = Kernel::new(&self.modules.get(module.0)?, name)?;
        Ok(KernelId(self.kernels.insert(Arc::new(kernel))))
    }
    fn resident(&self, kernel: KernelId, lanes: u32) -> Result<u32> {
        let lanes = lanes.clamp(1, self.setup.max_lanes);
        let kernel = self.kernels.get(kernel.0)?;
        let tiles_per_block = self.tiles_per_block(&kernel, 1 << 30, lanes)?;
        let blocks = kernel.blocks(tiles_per_block * lanes)?;
        Ok((blocks * tiles_per_block * self.setup.multiprocessors).max(1))
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        let bytes = bytes.max(1);
        let memory = self.budget.take(bytes, || Memory::device(&self.setup.vendor, bytes))?;
        Ok(BufferId(self.buffers.insert(Arc::new(memory))))
    }
    fn free(&self, buffer: BufferId) {
        if let Some(memory) = self.buffers.remove(buffer.0)
            && memory.pointer().is_null()
        {
            self.budget.give(memory.bytes());
        }
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        let memory = Arc::new(Memory::host(&self.setup.vendor, bytes.max(1))?);
        let pointer = memory.pointer();
        Ok((PinnedId(self.pinned.insert(memory)), pointer))
    }
    fn free_pinned(&self, pinned: PinnedId) {
        self.pinned.remove(pinned.0);
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let memory = Memory::mirror(&self.setup.vendor, bytes.max(1))?;
        let pointer = memory.pointer();
        Ok((BufferId(self.buffers.insert(Arc::new(memory))), pointer))
    }
    fn alloc_mapped(&self, bytes: usize) -> Result<Option<(BufferId, *mut u8)>> {
        let memory = Memory::host(&self.setup.vendor, bytes.max(1))?;
        let pointer = memory.pointer();
        Ok(Some((BufferId(self.buffers.insert(Arc::new(memory))), pointer)))
    }
    fn publish(&self, shared: BufferId) -> Result<()> {
        self.buffers.get(shared.0)?.publish()
    }

    fn queue(&self, urgent: bool) -> Result<QueueId> {
        Ok(QueueId(self.queues.insert(Arc::new(Stream::new(&self.setup.vendor, urgent)?))))
    }
    fn free_queue(&self, queue: QueueId) {
        if let Some(queue) = self.queues.remove(queue.0) {
            // A caller that wants its errors calls `finish` first.
            _ = queue.finish();
        }
    }
    unsafe fn write(
        &self,
        queue: QueueId,
        dst: BufferId,
        offset: u64,
        src: *const u8,
        bytes: usize,
    ) -> Result<EventId> {
        let (queue, memory) = (self.queues.get(queue.0)?, self.buffers.get(dst.0)?);
        // SAFETY: the caller's promise is the same.
        Ok(self.event(unsafe { queue.write(&memory, offset, src, bytes) }?))
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        let (queue, memory) = (self.queues.get(queue.0)?, self.buffers.get(src.0)?);
        // SAFETY: the caller's promise is the same.
        Ok(self.event(unsafe { queue.read(&memory, offset, dst, bytes) }?))
    }
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId> {
        let (queue, kernel) = (self.queues.get(queue.0)?, self.kernels.get(kernel.0)?);
        let memory = |arg: &Option<BufferId>| arg.map(|id| self.buffers.get(id.0)).transpose();
        let args = args.iter().map(memory).collect::<Result<Vec<_>>>()?;
        if lanes > self.setup.max_lanes {
            return Err(Error::Invalid(format!("{lanes} lanes on a device that has {} at most", self.setup.max_lanes)));
        }
        let tiles_per_block = self.tiles_per_block(&kernel, tiles, lanes)?;
        Ok(self.event(queue.launch(&kernel, &args, tiles / tiles_per_block, [lanes, tiles_per_block])?))
    }
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.queues.get(queue.0)?.finish()
    }

    fn reached(&self, event: EventId) -> Result<bool> {
        self.events.get(event.0)?.reached()
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.events.get(event.0)?.wait()
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        self.clock.times(&*self.events.get(event.0)?)
    }
    fn free_event(&self, event: EventId) {
        self.events.remove(event.0);
    }
}
