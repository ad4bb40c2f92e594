//! The OpenCL driver: every device of every installed OpenCL 1.2 platform.
//!
//! A kernel takes buffers only. The local size is the number of lanes of a tile, so a work-group is a tile.

mod probe;
mod program;
mod queue;
mod sys;

use opencl3::device as cl;
use opencl3::platform::platform as cl_platform;
use program::{Kernel, Program};
use queue::{Event, Memory, Queue};
use std::ffi::CString;
use std::sync::Arc;
use sys::{Id, Owned};
use vectorvisor_driver::handles::Handles;
use vectorvisor_driver::identity::variables;
use vectorvisor_driver::memory::{Budget, HostMemory};
use vectorvisor_driver::{
    BufferId, Device, DeviceInfo, DeviceKind, Driver, Error, EventId, KernelId, Language, MAX_LANES, ModuleId,
    PinnedId, QueueId, Quirks, Result, Source,
};

/// The driver of all OpenCL devices. It opens libOpenCL at its first use.
pub struct OpenClDriver;

/// The driver, as the runtime registers it.
pub fn driver() -> Box<dyn Driver> {
    Box::new(OpenClDriver)
}

vectorvisor_driver::export_plugin!(OpenClDriver);

impl Driver for OpenClDriver {
    fn name(&self) -> &'static str {
        "opencl"
    }
    /// In this list `live_shared` is false: opening a device probes it.
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        let devices = sys::devices()?.into_iter().enumerate();
        devices.map(|(index, id)| Ok(Facts::new(id, index, Quirks::default())?.info)).collect()
    }
    fn open(&self, index: usize, quirks: Quirks) -> Result<Arc<dyn Device>> {
        let devices = sys::devices()?;
        let id = devices.get(index).ok_or_else(|| {
            Error::Invalid(format!("there is no OpenCL device {index}, only {} of them, from 0", devices.len()))
        })?;
        Ok(Arc::new(OpenClDevice::open(*id, Facts::new(*id, index, quirks)?)?))
    }
}

/// What is known about a device before it is open.
struct Facts {
    info: DeviceInfo,
    options: CString,
    /// The device is a processor, which uses the host's memory in place.
    in_place: bool,
    /// A "binary" is the text. PoCL compiles a second, slower version of every kernel to return binaries, and its own
    /// cache keeps what it compiles for a launch anyway (24 s against 12 s for a sha256 guest on two Xeon cores).
    text_is_binary: bool,
    /// The device is a simulator that checks kernels (oclgrind).
    simulated: bool,
    /// The most lanes of a tile.
    max_lanes: u64,
}

impl Facts {
    fn new(id: Id, index: usize, quirks: Quirks) -> Result<Self> {
        let vendor =
            format!("{} {}", id.text(cl::CL_DEVICE_VENDOR)?, id.platform_text(cl_platform::CL_PLATFORM_VENDOR)?);
        let is_nvidia = vendor.contains("NVIDIA");
        let is_amd = vendor.contains("AMD") || vendor.contains("Advanced Micro Devices");
        let (nvidia, patch) = (quirks.nvidia.unwrap_or(is_nvidia), quirks.patch.unwrap_or(is_amd));

        let types = id.number(cl::CL_DEVICE_TYPE)?;
        let kind = match types {
            types if types & cl::CL_DEVICE_TYPE_CPU != 0 => DeviceKind::Cpu,
            types if types & cl::CL_DEVICE_TYPE_GPU != 0 => DeviceKind::Gpu,
            _ => DeviceKind::Accelerator,
        };
        // A simulator (oclgrind) reports all kinds at once. It copies buffers, and a probe would only fill its log.
        let kinds = types & (cl::CL_DEVICE_TYPE_CPU | cl::CL_DEVICE_TYPE_GPU | cl::CL_DEVICE_TYPE_ACCELERATOR);
        let in_place = kinds == cl::CL_DEVICE_TYPE_CPU;
        let simulated = kinds.count_ones() > 1;

        let max_lanes = id.number(cl::CL_DEVICE_MAX_WORK_GROUP_SIZE)?.min(MAX_LANES.into());
        let width = match () {
            () if is_nvidia => id.number(cl::CL_DEVICE_WARP_SIZE_NV).unwrap_or(32),
            () if is_amd && kind == DeviceKind::Gpu => id.number(cl::CL_DEVICE_WAVEFRONT_WIDTH_AMD).unwrap_or(64),
            () => 32,
        };
        let lane_width = if width.is_power_of_two() && width <= max_lanes { width as u32 } else { 1 };
        let compute_units = id.number(cl::CL_DEVICE_MAX_COMPUTE_UNITS)?;
        // A GPU's compute unit holds about 2048 threads.
        let tiles_per_unit = if kind == DeviceKind::Cpu { 1 } else { 2048 / u64::from(lane_width) };

        let mut options = sys::OPTIONS.to_owned();
        let single = id.number(cl::CL_DEVICE_SINGLE_FP_CONFIG)?;
        if single & cl::CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT != 0 {
            options.push_str(" -cl-fp32-correctly-rounded-divide-sqrt");
        }
        for (quirk, define) in [(nvidia, " -DVV_NVIDIA=1"), (patch, " -DVV_PATCH=1")] {
            options.push_str(if quirk { define } else { "" });
        }

        let name = id.text(cl::CL_DEVICE_NAME)?;
        let identity = format!(
            "opencl {} {} {vendor} {name} {} {} {options}{}",
            id.platform_text(cl_platform::CL_PLATFORM_NAME)?,
            id.platform_text(cl_platform::CL_PLATFORM_VERSION)?,
            id.text(cl::CL_DEVICE_VERSION)?,
            id.text(cl::CL_DRIVER_VERSION)?,
            variables(sys::VARIABLES),
        );
        let memory = id.number(cl::CL_DEVICE_GLOBAL_MEM_SIZE)? / 4 * 3;
        let info = DeviceInfo {
            index,
            name,
            identity,
            kind,
            language: Language::OpenCl,
            memory,
            max_alloc: id.number(cl::CL_DEVICE_MAX_MEM_ALLOC_SIZE)?.min(memory),
            lane_width,
            parallel_tiles: u32::try_from(compute_units * tiles_per_unit).unwrap_or(u32::MAX).max(1),
            // By inline PTX, `exit`.
            thread_exit: nvidia,
            timer: false,
            live_shared: false,
            zeroed: in_place || (simulated && std::env::var_os("OCLGRIND_UNINITIALIZED").is_none()),
            nvidia,
            patch,
            recursion: false,
        };
        let options = CString::new(options).map_err(|_| Error::Invalid("a build option holds a zero".into()))?;
        let text_is_binary = id.platform_text(cl_platform::CL_PLATFORM_NAME)?.contains("Portable Computing Language");
        Ok(Self { info, options, in_place, text_is_binary, simulated, max_lanes })
    }
}

/// The first bytes of a binary that is text.
const TEXT_MAGIC: &[u8] = b"vectorvisor OpenCL text\n";

struct OpenClDevice {
    id: Id,
    facts: Facts,
    context: Owned,
    /// For the driver's own small copies.
    service: Arc<Queue>,
    budget: Budget,
    modules: Handles<Arc<Program>>,
    kernels: Handles<Arc<Kernel>>,
    buffers: Handles<Arc<Memory>>,
    pinned: Handles<Arc<Pinned>>,
    queues: Handles<Arc<Queue>>,
    events: Handles<Arc<Event>>,
}

/// Host memory for transfers: plain memory if the device is a processor, else page-locked.
enum Pinned {
    Plain(HostMemory),
    Locked(Memory),
}

impl OpenClDevice {
    fn open(id: Id, facts: Facts) -> Result<Self> {
        let context = id.context()?;
        let service = Arc::new(Queue::new(&context, id)?);
        let mut device = Self {
            id,
            budget: Budget::new(facts.info.memory),
            facts,
            context,
            service,
            modules: Handles::new("module"),
            kernels: Handles::new("kernel"),
            buffers: Handles::new("buffer"),
            pinned: Handles::new("pinned buffer"),
            queues: Handles::new("queue"),
            events: Handles::new("event"),
        };
        // If the probe fails to run, so will real work, which reports the error.
        device.facts.info.live_shared = !device.facts.simulated && device.probe().unwrap_or(false);
        Ok(device)
    }
    fn probe(&self) -> Result<bool> {
        // Some 20 ms if the store is never seen: a read takes 160 ns on an H200 and below 1 ns on a processor.
        let max_reads = if self.facts.in_place { 1 << 26 } else { 1 << 17 };
        let page = Arc::new(self.shared(4096)?);
        probe::is_live(&self.context, self.id, &self.service, &page, max_reads)
    }
    fn shared(&self, bytes: u64) -> Result<Memory> {
        match self.facts.in_place {
            true => Memory::same(&self.context, bytes),
            false => Memory::mirror(&self.context, &self.service, bytes),
        }
    }
    fn event(&self, event: Event) -> EventId {
        EventId(self.events.insert(Arc::new(event)))
    }
}

impl Device for OpenClDevice {
    fn info(&self) -> &DeviceInfo {
        &self.facts.info
    }

    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        let total = source.units.len();
        progress(0, total);
        let text = [source.header, "\n"].into_iter().chain(source.units.iter().map(String::as_str)).collect::<String>();
        let program = Program::from_text(&self.context, self.id, &text, &self.facts.options)?;
        let binary = match self.facts.text_is_binary {
            true => [TEXT_MAGIC, text.as_bytes()].concat(),
            false => program.binary()?,
        };
        progress(total, total);
        Ok(binary)
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        let (context, options) = (&self.context, &self.facts.options);
        let program = match binary.strip_prefix(TEXT_MAGIC) {
            Some(text) => {
                let text = str::from_utf8(text).map_err(|e| Error::Invalid(format!("a damaged binary: {e}")))?;
                Program::from_text(context, self.id, text, options)?
            }
            // SAFETY: the caller's promise.
            None => unsafe { Program::from_binary(context, self.id, binary, options) }?,
        };
        Ok(ModuleId(self.modules.insert(Arc::new(program))))
    }
    fn unload(&self, module: ModuleId) {
        if let Some(program) = self.modules.remove(module.0) {
            self.kernels.remove_where(|kernel| kernel.belongs_to(&program));
        }
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        let kernel = Kernel::new(&self.modules.get(module.0)?, name)?;
        Ok(KernelId(self.kernels.insert(Arc::new(kernel))))
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        let bytes = bytes.max(1);
        let memory = self.budget.take(bytes, || match (self.facts.in_place, self.facts.simulated) {
            (true, _) => Memory::same(&self.context, bytes),
            // Once the host has written a part of a buffer, oclgrind no longer knows which of it is initialised.
            (_, true) => Memory::device(&self.context, bytes),
            _ => Memory::device_now(&self.context, &self.service, bytes),
        })?;
        Ok(BufferId(self.buffers.insert(Arc::new(memory))))
    }
    fn free(&self, buffer: BufferId) {
        if let Some(memory) = self.buffers.remove(buffer.0) {
            self.budget.give(memory.bytes());
        }
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        let bytes = (bytes as u64).max(1);
        let pinned = match self.facts.in_place {
            true => Pinned::Plain(HostMemory::new(bytes)?),
            false => Pinned::Locked(Memory::mapped(&self.context, &self.service, bytes)?),
        };
        let pointer = match &pinned {
            Pinned::Plain(memory) => memory.pointer(),
            Pinned::Locked(memory) => memory.pointer(),
        };
        Ok((PinnedId(self.pinned.insert(Arc::new(pinned))), pointer))
    }
    fn free_pinned(&self, pinned: PinnedId) {
        self.pinned.remove(pinned.0);
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let bytes = (bytes as u64).max(1);
        let memory = self.budget.take(bytes, || self.shared(bytes))?;
        let pointer = memory.pointer();
        Ok((BufferId(self.buffers.insert(Arc::new(memory))), pointer))
    }
    fn publish(&self, shared: BufferId) -> Result<()> {
        self.buffers.get(shared.0)?.publish(&self.service)
    }

    fn queue(&self, _: bool) -> Result<QueueId> {
        Ok(QueueId(self.queues.insert(Arc::new(Queue::new(&self.context, self.id)?))))
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
        if u64::from(lanes) > self.facts.max_lanes {
            return Err(Error::Invalid(format!("{lanes} lanes on a device that has {} at most", self.facts.max_lanes)));
        }
        Ok(self.event(queue.launch(&kernel, &args, tiles, lanes)?))
    }
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.queues.get(queue.0)?.finish()
    }

    fn reached(&self, event: EventId) -> Result<bool> {
        Ok(self.events.get(event.0)?.status()? == 0)
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.events.get(event.0)?.wait()
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        self.events.get(event.0)?.times()
    }
    fn free_event(&self, event: EventId) {
        self.events.remove(event.0);
    }
}
