//! The host's side: an open device of a plugin as a [`Device`].

use super::abi::Bytes;
use super::heard::{self, Fault, Given, Listener, Places};
use super::host::{Listed, Opened, take_info};
use crate::{BufferId, Device, DeviceInfo, EventId, KernelId, ModuleId, PinnedId, QueueId, Result, Source};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

/// An open device. Its facts never change, so they are asked for once. A handle that the plugin did not give out, or
/// got back, is refused here, and so is one that it should not have given.
pub struct PluginDevice {
    raw: Raw,
    info: DeviceInfo,
    modules: Given<()>,
    /// With their modules.
    kernels: Given<u64>,
    /// With the host's view of those that are shared.
    buffers: Given<Option<usize>>,
    /// With the address.
    pinned: Given<usize>,
    queues: Given<()>,
    events: Given<()>,
    places: Places,
}

/// Closes the device on drop.
struct Raw {
    opened: Opened,
    device: *const c_void,
}

// SAFETY: the interface lets any thread call any entry; the pointer is only passed back.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `open` gave it out, and nobody holds the device any more. A failure changes nothing for us.
        _ = self.opened.call(|why| unsafe { (self.opened.entries.close)(self.device, why) });
    }
}

/// `call!(self, entry, arguments)`: the entry with the device in front and the place for its reason at the end.
macro_rules! call {
    ($self:ident, $entry:ident $(, $argument:expr)*) => {{
        let Opened { entries, .. } = &$self.raw.opened;
        // SAFETY: the device is open, and all pointers are valid during the call (those of copies as the caller promises).
        $self.raw.opened.call(|why| unsafe { (entries.$entry)($self.raw.device $(, $argument)*, why) })
    }};
}

impl PluginDevice {
    /// Takes over what the entry `open` gave.
    pub fn new(opened: Opened, device: *const c_void) -> Result<Self> {
        let raw = Raw { opened, device };
        let mut listed = Listed::new(Vec::new());
        let context = listed.context();
        // SAFETY: the device is open, and the context is of the type that `take_info` expects.
        let ended = opened.call(|why| unsafe { (opened.entries.info)(device, take_info, context, why) });
        let Some(info) = listed.end(opened.name, ended)?.pop() else {
            return Err(heard::error(opened.name, "tells nothing about an open device"));
        };
        Ok(Self {
            raw,
            info,
            modules: Given::new("a module"),
            kernels: Given::new("a kernel"),
            buffers: Given::new("a buffer"),
            pinned: Given::new("a pinned buffer"),
            queues: Given::new("a queue"),
            events: Given::new("an event"),
            places: Places::default(),
        })
    }
    fn name(&self) -> &'static str {
        self.raw.opened.name
    }
    fn believed<T>(&self, told: std::result::Result<T, Fault>) -> Result<T> {
        told.map_err(|fault| heard::error(self.name(), &fault))
    }
    /// The event of work that is under way now. If it cannot be one, the work must have ended before the caller hears
    /// of it, who then gives back what the work uses.
    fn event(&self, queue: QueueId, id: u64) -> Result<EventId> {
        let event = self.believed(self.events.take(id, ()));
        event.map(EventId).inspect_err(|_| _ = call!(self, finish, queue.0))
    }
}

/// What the two callbacks of a compilation work on: whom to tell of progress, and the binary.
type Compilation<'a> = Listener<(&'a mut dyn FnMut(usize, usize), Option<Vec<u8>>)>;

unsafe extern "C" fn progress(context: *mut c_void, done: usize, total: usize) {
    // SAFETY: the context is the one that `compile` passed.
    unsafe {
        Compilation::hear(context, |(progress, _)| {
            progress(done.min(total), total);
            Ok(())
        });
    }
}

unsafe extern "C" fn output(context: *mut c_void, binary: Bytes) {
    // SAFETY: as above; the bytes are valid during the call.
    unsafe {
        Compilation::hear(context, |(_, output)| {
            *output = Some(heard::bytes(binary, "a binary")?.to_vec());
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
        let ended = call!(self, compile, header, units.as_ptr(), units.len(), progress, output, context);
        let (_, binary) = compilation.end(self.name(), ended)?;
        self.believed(binary.ok_or_else(|| "compiled, but gave no binary".into()))
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        let mut id = 0;
        call!(self, load, Bytes::of(binary), &mut id)?;
        self.believed(self.modules.take(id, ())).map(ModuleId)
    }
    fn unload(&self, module: ModuleId) {
        if self.modules.give_back(module.0).is_some() {
            self.kernels.forget(|of| *of == module.0);
            _ = call!(self, unload, module.0);
        }
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        let mut id = 0;
        self.modules.check(module.0, self.name())?;
        call!(self, kernel, module.0, Bytes::of(name.as_bytes()), &mut id)?;
        self.believed(self.kernels.take_again(id, module.0)).map(KernelId)
    }
    fn resident(&self, kernel: KernelId, lanes: u32) -> Result<u32> {
        let mut tiles = 0;
        self.kernels.check(kernel.0, self.name())?;
        call!(self, resident, kernel.0, lanes, &mut tiles)?;
        self.believed(if tiles == 0 { Err("runs no tile of a kernel at a time".into()) } else { Ok(tiles) })
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        let mut id = 0;
        call!(self, alloc, bytes, &mut id)?;
        self.believed(self.buffers.take(id, None)).map(BufferId)
    }
    fn free(&self, buffer: BufferId) {
        if let Some(view) = self.buffers.give_back(buffer.0) {
            view.iter().for_each(|place| self.places.give_back(*place));
            _ = call!(self, free, buffer.0);
        }
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        let (mut id, mut pointer) = (0, null_mut());
        call!(self, alloc_pinned, bytes, &mut id, &mut pointer)?;
        self.believed(self.pinned.take(id, pointer.addr()))?;
        let taken = self.believed(self.places.take(pointer, bytes));
        taken.map(|()| (PinnedId(id), pointer)).inspect_err(|_| {
            self.pinned.give_back(id);
            _ = call!(self, free_pinned, id);
        })
    }
    fn free_pinned(&self, pinned: PinnedId) {
        if let Some(place) = self.pinned.give_back(pinned.0) {
            self.places.give_back(place);
            _ = call!(self, free_pinned, pinned.0);
        }
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let (mut id, mut pointer) = (0, null_mut());
        call!(self, alloc_shared, bytes, &mut id, &mut pointer)?;
        self.believed(self.buffers.take(id, Some(pointer.addr())))?;
        let taken = self.believed(self.places.take(pointer, bytes));
        taken.map(|()| (BufferId(id), pointer)).inspect_err(|_| {
            self.buffers.give_back(id);
            _ = call!(self, free, id);
        })
    }
    fn publish(&self, shared: BufferId) -> Result<()> {
        self.buffers.check(shared.0, self.name())?;
        if self.raw.opened.publish { call!(self, publish, shared.0) } else { Ok(()) }
    }

    fn queue(&self) -> Result<QueueId> {
        let mut id = 0;
        call!(self, queue, &mut id)?;
        self.believed(self.queues.take(id, ())).map(QueueId)
    }
    fn free_queue(&self, queue: QueueId) {
        if self.queues.give_back(queue.0).is_some() {
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
        self.believed(if end < begin { backward() } else { Ok((begin, end)) })
    }
    fn free_event(&self, event: EventId) {
        if self.events.give_back(event.0).is_some() {
            _ = call!(self, free_event, event.0);
        }
    }
}
