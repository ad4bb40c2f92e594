//! The host's side: an open device of a plugin as a [`Device`].

use super::abi::Bytes;
use super::checked::{self, Callback, HostRanges, LiveHandles, Violation};
use super::host::{InfoCallback, Opened, take_info};
use crate::{BufferId, Device, DeviceInfo, EventId, KernelId, ModuleId, PinnedId, QueueId, Result, Source};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

/// An open device. Its facts never change, so they are asked for once. Handles are checked both ways: the plugin is
/// never passed a handle that is not live, and one that it gives out must be new.
pub struct PluginDevice {
    raw: Raw,
    info: DeviceInfo,
    modules: LiveHandles<()>,
    /// Each with its module's handle.
    kernels: LiveHandles<u64>,
    /// Each with the address of the host's view if it is shared or mapped memory.
    buffers: LiveHandles<Option<usize>>,
    /// Each with its address.
    pinned: LiveHandles<usize>,
    queues: LiveHandles<()>,
    events: LiveHandles<()>,
    ranges: HostRanges,
}

/// Closes the device on drop.
struct Raw {
    opened: Opened,
    device: *const c_void,
}

// SAFETY: the contract allows any thread to call any entry; the host only passes the pointer back.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `open` gave it out, and nothing uses the device any more. A failure can be ignored.
        _ = self.opened.call(|why| unsafe { (self.opened.entries.close)(self.device, why) });
    }
}

/// `call!(self, entry, arguments)`: calls an entry with the device as the first argument and `why` as the last.
macro_rules! call {
    ($self:ident, $entry:ident $(, $argument:expr)*) => {{
        let Opened { entries, .. } = &$self.raw.opened;
        // SAFETY: the device is open, and all pointers are valid during the call (those of copies as the caller
        // promises).
        $self.raw.opened.call(|why| unsafe { (entries.$entry)($self.raw.device $(, $argument)*, why) })
    }};
}

impl PluginDevice {
    /// Takes over what the entry `open` gave.
    pub fn new(opened: Opened, device: *const c_void) -> Result<Self> {
        let raw = Raw { opened, device };
        let mut listed = InfoCallback::new(Vec::new());
        let context = listed.context();
        // SAFETY: the device is open, and the context is of the type that `take_info` expects.
        let ended = opened.call(|why| unsafe { (opened.entries.info)(device, take_info, context, why) });
        let Some(info) = listed.end(opened.name, ended)?.pop() else {
            return Err(checked::error(opened.name, "reports nothing about an open device"));
        };
        Ok(Self {
            raw,
            info,
            modules: LiveHandles::new("a module"),
            kernels: LiveHandles::new("a kernel"),
            buffers: LiveHandles::new("a buffer"),
            pinned: LiveHandles::new("a pinned buffer"),
            queues: LiveHandles::new("a queue"),
            events: LiveHandles::new("an event"),
            ranges: HostRanges::default(),
        })
    }
    fn name(&self) -> &'static str {
        self.raw.opened.name
    }
    /// A checked value, or its violation as an error that names the driver.
    fn accept<T>(&self, checked: std::result::Result<T, Violation>) -> Result<T> {
        checked.map_err(|violation| checked::error(self.name(), &violation))
    }
    /// Takes over memory that the host sees, too.
    fn visible(&self, id: u64, pointer: *mut u8, bytes: usize) -> Result<(BufferId, *mut u8)> {
        self.accept(self.buffers.add(id, Some(pointer.addr())))?;
        let taken = self.accept(self.ranges.add(pointer, bytes));
        taken.map(|()| (BufferId(id), pointer)).inspect_err(|_| {
            self.buffers.remove(id);
            _ = call!(self, free, id);
        })
    }
    /// The event of work that was just enqueued. If its handle is refused, this waits for the work first, because after
    /// an error the caller frees the memory that the work uses.
    fn event(&self, queue: QueueId, id: u64) -> Result<EventId> {
        let event = self.accept(self.events.add(id, ()));
        event.map(EventId).inspect_err(|_| _ = call!(self, finish, queue.0))
    }
}

/// What the two callbacks of a compilation use: the function to report progress to, and the binary.
type Compilation<'a> = Callback<(&'a mut dyn FnMut(usize, usize), Option<Vec<u8>>)>;

unsafe extern "C" fn progress(context: *mut c_void, done: usize, total: usize) {
    // SAFETY: the context is the one that `compile` passed.
    unsafe {
        Compilation::receive(context, |(progress, _)| {
            progress(done.min(total), total);
            Ok(())
        });
    }
}

unsafe extern "C" fn output(context: *mut c_void, binary: Bytes) {
    // SAFETY: as above; the bytes are valid during the call.
    unsafe {
        Compilation::receive(context, |(_, output)| {
            *output = Some(checked::bytes(binary, "a binary")?.to_vec());
            Ok(())
        });
    }
}

impl Device for PluginDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn compile(&self, source: Source<'_>, on_progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        let units: Vec<Bytes> = source.units.iter().map(|unit| Bytes::of(unit.as_bytes())).collect();
        let header = Bytes::of(source.header.as_bytes());
        let mut compilation = Compilation::new((on_progress, None));
        let context = compilation.context();
        let ended =
            call!(self, compile, header, units.as_ptr(), units.len(), source.registers, progress, output, context);
        let (_, binary) = compilation.end(self.name(), ended)?;
        self.accept(binary.ok_or_else(|| "compiled, but gave no binary".into()))
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        let mut id = 0;
        call!(self, load, Bytes::of(binary), &mut id)?;
        self.accept(self.modules.add(id, ())).map(ModuleId)
    }
    fn unload(&self, module: ModuleId) {
        if self.modules.remove(module.0).is_some() {
            self.kernels.remove_where(|of| *of == module.0);
            _ = call!(self, unload, module.0);
        }
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        let mut id = 0;
        self.modules.check(module.0, self.name())?;
        call!(self, kernel, module.0, Bytes::of(name.as_bytes()), &mut id)?;
        self.accept(self.kernels.add_or_same(id, module.0)).map(KernelId)
    }
    fn resident(&self, kernel: KernelId, lanes: u32) -> Result<u32> {
        let mut tiles = 0;
        self.kernels.check(kernel.0, self.name())?;
        call!(self, resident, kernel.0, lanes, &mut tiles)?;
        // 0: the plugin does not know.
        Ok(tiles.max(1))
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        let mut id = 0;
        call!(self, alloc, bytes, &mut id)?;
        self.accept(self.buffers.add(id, None)).map(BufferId)
    }
    fn free(&self, buffer: BufferId) {
        if let Some(view) = self.buffers.remove(buffer.0) {
            view.iter().for_each(|address| self.ranges.remove(*address));
            _ = call!(self, free, buffer.0);
        }
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        let (mut id, mut pointer) = (0, null_mut());
        call!(self, alloc_pinned, bytes, &mut id, &mut pointer)?;
        self.accept(self.pinned.add(id, pointer.addr()))?;
        let taken = self.accept(self.ranges.add(pointer, bytes));
        taken.map(|()| (PinnedId(id), pointer)).inspect_err(|_| {
            self.pinned.remove(id);
            _ = call!(self, free_pinned, id);
        })
    }
    fn free_pinned(&self, pinned: PinnedId) {
        if let Some(address) = self.pinned.remove(pinned.0) {
            self.ranges.remove(address);
            _ = call!(self, free_pinned, pinned.0);
        }
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let (mut id, mut pointer) = (0, null_mut());
        call!(self, alloc_shared, bytes, &mut id, &mut pointer)?;
        self.visible(id, pointer, bytes)
    }
    fn alloc_mapped(&self, bytes: usize) -> Result<Option<(BufferId, *mut u8)>> {
        let Some(alloc_mapped) = self.raw.opened.alloc_mapped else { return Ok(None) };
        let (mut id, mut pointer) = (0, null_mut());
        // SAFETY: the device is open, and all pointers are valid during the call.
        self.raw.opened.call(|why| unsafe { alloc_mapped(self.raw.device, bytes, &mut id, &mut pointer, why) })?;
        (id != 0).then(|| self.visible(id, pointer, bytes)).transpose()
    }
    fn publish(&self, shared: BufferId) -> Result<()> {
        self.buffers.check(shared.0, self.name())?;
        if self.raw.opened.publish { call!(self, publish, shared.0) } else { Ok(()) }
    }

    fn queue(&self, urgent: bool) -> Result<QueueId> {
        let mut id = 0;
        call!(self, queue, urgent.into(), &mut id)?;
        self.accept(self.queues.add(id, ())).map(QueueId)
    }
    fn free_queue(&self, queue: QueueId) {
        if self.queues.remove(queue.0).is_some() {
            _ = call!(self, free_queue, queue.0);
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
        let mut id = 0;
        self.queues.check(queue.0, self.name())?;
        self.buffers.check(dst.0, self.name())?;
        call!(self, write, queue.0, dst.0, offset, src, bytes, &mut id)?;
        self.event(queue, id)
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        let mut id = 0;
        self.queues.check(queue.0, self.name())?;
        self.buffers.check(src.0, self.name())?;
        call!(self, read, queue.0, src.0, offset, dst, bytes, &mut id)?;
        self.event(queue, id)
    }
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId> {
        self.queues.check(queue.0, self.name())?;
        self.kernels.check(kernel.0, self.name())?;
        args.iter().flatten().try_for_each(|buffer| self.buffers.check(buffer.0, self.name()))?;
        let args: Vec<u64> = args.iter().map(|arg| arg.map_or(0, |id| id.0)).collect();
        let pointer = if args.is_empty() { null() } else { args.as_ptr() };
        let mut id = 0;
        call!(self, launch, queue.0, kernel.0, pointer, args.len(), tiles, lanes, &mut id)?;
        self.event(queue, id)
    }
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.queues.check(queue.0, self.name())?;
        call!(self, finish, queue.0)
    }

    fn reached(&self, event: EventId) -> Result<bool> {
        let mut reached = 0;
        self.events.check(event.0, self.name())?;
        call!(self, reached, event.0, &mut reached)?;
        Ok(reached != 0)
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.events.check(event.0, self.name())?;
        call!(self, wait, event.0)
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        let (mut begin, mut end) = (0, 0);
        self.events.check(event.0, self.name())?;
        call!(self, times, event.0, &mut begin, &mut end)?;
        let backward = || Err(format!("tells of work that ended at {end} and began at {begin}"));
        self.accept(if end < begin { backward() } else { Ok((begin, end)) })
    }
    fn free_event(&self, event: EventId) {
        if self.events.remove(event.0).is_some() {
            _ = call!(self, free_event, event.0);
        }
    }
}
