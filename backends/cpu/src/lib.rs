//! The CPU driver: the system's C compiler makes a shared library, and all cores run the tiles of a launch.
//!
//! A kernel is an exported function `void NAME(void *const *args, uint32_t tile, uint32_t lanes)` that
//! runs all lanes of one tile, one after another. Device memory is ordinary memory of this process.

mod compile;
mod host;
mod pool;
mod queue;

pub use compile::stop_compilers;

use libloading::Library;
use pool::{Job, KernelFn, Pool, Stats};
use queue::{Event, Queue, Task};
use std::ffi::c_int;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use vectorvisor_driver::handles::Handles;
use vectorvisor_driver::memory::{Budget, HostMemory, check_range};
use vectorvisor_driver::{
    BufferId, Device, DeviceInfo, DeviceKind, Driver, Error, EventId, KernelId, Language, MAX_LANES, ModuleId,
    PinnedId, QueueId, Quirks, Result, Source,
};

/// The driver of the host's own processors; it has one device.
pub struct CpuDriver;

/// The driver, as the runtime registers it.
pub fn driver() -> Box<dyn Driver> {
    Box::new(CpuDriver)
}

vectorvisor_driver::export_plugin!(CpuDriver);

impl Driver for CpuDriver {
    fn name(&self) -> &'static str {
        "cpu"
    }
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Ok(vec![info()?])
    }
    fn open(&self, index: usize, _: Quirks) -> Result<Arc<dyn Device>> {
        if index != 0 {
            return Err(Error::Invalid(format!("the cpu driver has only device 0, not {index}")));
        }
        let info = info()?;
        Ok(Arc::new(CpuDevice {
            pool: Arc::new(Pool::new(info.parallel_tiles)?),
            budget: Budget::new(info.memory),
            info,
            pagemap: host::pagemap(),
            modules: Handles::new("module"),
            kernels: Handles::new("kernel"),
            buffers: Handles::new("buffer"),
            pinned: Handles::new("pinned buffer"),
            queues: Handles::new("queue"),
            events: Handles::new("event"),
        }))
    }
}

fn info() -> Result<DeviceInfo> {
    let processor = host::processor();
    let memory = host::memory();
    Ok(DeviceInfo {
        index: 0,
        identity: format!("cpu {} {:016x} {}", processor.name, processor.features, compile::identity()?),
        name: processor.name,
        kind: DeviceKind::Cpu,
        language: Language::C,
        memory,
        max_alloc: memory,
        lane_width: 1,
        parallel_tiles: host::cores(),
        thread_exit: true,
        timer: true,
        live_shared: true,
        zeroed: true,
        nvidia: false,
        patch: false,
        recursion: false,
    })
}

#[derive(Clone)]
struct Kernel {
    entry: KernelFn,
    stats: Arc<Stats>,
    /// Keeps the library open while a queued launch needs it, even after the module was unloaded.
    library: Arc<Library>,
}

struct CpuDevice {
    info: DeviceInfo,
    /// Shows kernels which pages of their buffers are still zero.
    pagemap: Option<File>,
    pool: Arc<Pool>,
    budget: Budget,
    modules: Handles<Arc<Library>>,
    kernels: Handles<Kernel>,
    buffers: Handles<Arc<HostMemory>>,
    pinned: Handles<Arc<HostMemory>>,
    queues: Handles<Arc<Queue>>,
    events: Handles<Arc<Event>>,
}

impl CpuDevice {
    fn enqueue(&self, queue: QueueId, task: Task) -> Result<EventId> {
        Ok(EventId(self.events.insert(self.queues.get(queue.0)?.push(task)?)))
    }
    fn device_memory(&self, bytes: u64) -> Result<Arc<HostMemory>> {
        // A VM touches little of its memory, and only what was touched has to be cleared for the next input.
        self.budget.take(bytes.max(1), || Ok(Arc::new(HostMemory::in_small_pages(bytes)?)))
    }
    /// A buffer, kept alive, and the address at `offset` in it; an error unless `bytes` fit there.
    fn address(&self, buffer: BufferId, offset: u64, bytes: usize) -> Result<(Arc<HostMemory>, *mut u8)> {
        let memory = self.buffers.get(buffer.0)?;
        check_range(offset, bytes, memory.bytes())?;
        let start = memory.pointer().wrapping_add(offset as usize);
        Ok((memory, start))
    }
}

impl Device for CpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        let _first = self.pool.yield_to_compiler();
        compile::compile(source, self.info.parallel_tiles as usize, progress)
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        // SAFETY: the caller's promise is the same.
        let library = unsafe { compile::open(binary) }?;
        if let Some(pagemap) = &self.pagemap {
            // SAFETY: the variable of this name is an int, and nothing runs yet that could read it.
            unsafe {
                if let Ok(variable) = library.get::<*mut c_int>("vv_pagemap") {
                    variable.write(pagemap.as_raw_fd());
                }
            }
        }
        Ok(ModuleId(self.modules.insert(Arc::new(library))))
    }
    fn unload(&self, module: ModuleId) {
        if let Some(library) = self.modules.remove(module.0) {
            self.kernels.remove_where(|kernel| Arc::ptr_eq(&kernel.library, &library));
        }
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        let library = self.modules.get(module.0)?;
        // SAFETY: exported functions of this dialect are kernels, which have this type.
        let entry = unsafe { library.get::<KernelFn>(name) };
        let entry = *entry.map_err(|error| Error::Invalid(format!("no kernel {name} in this module: {error}")))?;
        Ok(KernelId(self.kernels.insert(Kernel { entry, stats: Arc::default(), library })))
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        Ok(BufferId(self.buffers.insert(self.device_memory(bytes)?)))
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
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let memory = self.device_memory(bytes as u64)?;
        let pointer = memory.pointer();
        Ok((BufferId(self.buffers.insert(memory)), pointer))
    }
    fn alloc_mapped(&self, bytes: usize) -> Result<Option<(BufferId, *mut u8)>> {
        self.alloc_shared(bytes).map(Some)
    }

    fn queue(&self, _: bool) -> Result<QueueId> {
        Ok(QueueId(self.queues.insert(Arc::new(Queue::new(self.pool.clone())?))))
    }
    fn free_queue(&self, queue: QueueId) {
        // Dropping the queue waits for its work.
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
        let (memory, dst) = self.address(dst, offset, bytes)?;
        self.enqueue(queue, Task::Copy { src, dst, bytes, _memory: memory })
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        let (memory, src) = self.address(src, offset, bytes)?;
        self.enqueue(queue, Task::Copy { src, dst, bytes, _memory: memory })
    }
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId> {
        if lanes > MAX_LANES {
            return Err(Error::Invalid(format!("{lanes} lanes in a tile, which has {MAX_LANES} at most")));
        }
        let kernel = self.kernels.get(kernel.0)?;
        let buffers =
            args.iter().map(|arg| arg.map(|id| self.buffers.get(id.0)).transpose()).collect::<Result<Vec<_>>>()?;
        let Kernel { entry, stats, library } = kernel;
        self.enqueue(queue, Task::Launch(Job::new(entry, stats, library, buffers, tiles, lanes)))
    }
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.queues.get(queue.0)?.push(Task::Marker)?.wait();
        Ok(())
    }

    fn reached(&self, event: EventId) -> Result<bool> {
        Ok(self.events.get(event.0)?.times().is_some())
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.events.get(event.0)?.wait();
        Ok(())
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        let times = self.events.get(event.0)?.times();
        times.ok_or_else(|| Error::Invalid("the event has no times yet: wait for it first".into()))
    }
    fn free_event(&self, event: EventId) {
        self.events.remove(event.0);
    }
}
