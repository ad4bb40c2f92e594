//! The host's side: an open device of a plugin as a [`Device`].

use super::abi::Bytes;
use super::host::{Listed, Opened, take_info};
use crate::{BufferId, Device, DeviceInfo, Error, EventId, KernelId, ModuleId, PinnedId, QueueId, Result, Source};
use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{null, null_mut};

/// An open device. Its facts never change, so they are asked for once.
pub struct PluginDevice {
    raw: Raw,
    info: DeviceInfo,
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

impl PluginDevice {
    /// Takes over what the entry `open` gave.
    pub fn new(opened: Opened, device: *const c_void) -> Result<Self> {
        let raw = Raw { opened, device };
        let mut listed = Listed::default();
        // SAFETY: the device is open, and the context is of the type that `take_info` expects.
        opened.call(|why| unsafe { (opened.entries.info)(device, take_info, (&raw mut listed).cast(), why) })?;
        let nothing = || Err(Error::Device("a driver tells nothing about an open device".into()));
        Ok(Self { raw, info: listed.pop().unwrap_or_else(nothing)? })
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

/// What the two callbacks of a compilation work on.
struct Compilation<'a> {
    progress: &'a mut dyn FnMut(usize, usize),
    panic: Option<Box<dyn Any + Send>>,
    binary: Option<Vec<u8>>,
}

unsafe extern "C" fn progress(context: *mut c_void, done: usize, total: usize) {
    // SAFETY: the context is the one that `compile` passed.
    let compilation = unsafe { &mut *context.cast::<Compilation>() };
    // A panic must not cross the border, and after one nobody wants to hear more.
    if compilation.panic.is_none() {
        compilation.panic = catch_unwind(AssertUnwindSafe(|| (compilation.progress)(done, total))).err();
    }
}

unsafe extern "C" fn output(context: *mut c_void, binary: Bytes) {
    // SAFETY: as above; the bytes are valid during the call.
    unsafe { (*context.cast::<Compilation>()).binary = Some(binary.slice().to_vec()) };
}

/// A pointer that a plugin calls a success must be one.
fn not_null(pointer: *mut u8) -> Result<*mut u8> {
    if pointer.is_null() { Err(Error::Device("a driver gave a null pointer for memory".into())) } else { Ok(pointer) }
}

impl Device for PluginDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn compile(&self, source: Source<'_>, on_progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        let units: Vec<Bytes> = source.units.iter().map(|unit| Bytes::of(unit.as_bytes())).collect();
        let header = Bytes::of(source.header.as_bytes());
        let mut compilation = Compilation { progress: on_progress, panic: None, binary: None };
        let context = (&raw mut compilation).cast();
        let result = call!(self, compile, header, units.as_ptr(), units.len(), progress, output, context);
        if let Some(panic) = compilation.panic {
            resume_unwind(panic);
        }
        result?;
        compilation.binary.ok_or_else(|| Error::Device("a driver compiled, but gave no binary".into()))
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        let mut id = 0;
        call!(self, load, Bytes::of(binary), &mut id)?;
        Ok(ModuleId(id))
    }
    fn unload(&self, module: ModuleId) {
        _ = call!(self, unload, module.0);
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        let mut id = 0;
        call!(self, kernel, module.0, Bytes::of(name.as_bytes()), &mut id)?;
        Ok(KernelId(id))
    }
    fn resident(&self, kernel: KernelId, lanes: u32) -> Result<u32> {
        let mut tiles = 0;
        call!(self, resident, kernel.0, lanes, &mut tiles)?;
        Ok(tiles)
    }

    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        let mut id = 0;
        call!(self, alloc, bytes, &mut id)?;
        Ok(BufferId(id))
    }
    fn free(&self, buffer: BufferId) {
        _ = call!(self, free, buffer.0);
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        let (mut id, mut pointer) = (0, null_mut());
        call!(self, alloc_pinned, bytes, &mut id, &mut pointer)?;
        Ok((PinnedId(id), not_null(pointer)?))
    }
    fn free_pinned(&self, pinned: PinnedId) {
        _ = call!(self, free_pinned, pinned.0);
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        let (mut id, mut pointer) = (0, null_mut());
        call!(self, alloc_shared, bytes, &mut id, &mut pointer)?;
        Ok((BufferId(id), not_null(pointer)?))
    }
    fn publish(&self, shared: BufferId) -> Result<()> {
        if self.raw.opened.publish { call!(self, publish, shared.0) } else { Ok(()) }
    }

    fn queue(&self) -> Result<QueueId> {
        let mut id = 0;
        call!(self, queue, &mut id)?;
        Ok(QueueId(id))
    }
    fn free_queue(&self, queue: QueueId) {
        _ = call!(self, free_queue, queue.0);
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
        call!(self, write, queue.0, dst.0, offset, src, bytes, &mut id)?;
        Ok(EventId(id))
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        let mut id = 0;
        call!(self, read, queue.0, src.0, offset, dst, bytes, &mut id)?;
        Ok(EventId(id))
    }
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId> {
        let args: Vec<u64> = args.iter().map(|arg| arg.map_or(0, |id| id.0)).collect();
        let pointer = if args.is_empty() { null() } else { args.as_ptr() };
        let mut id = 0;
        call!(self, launch, queue.0, kernel.0, pointer, args.len(), tiles, lanes, &mut id)?;
        Ok(EventId(id))
    }
    fn finish(&self, queue: QueueId) -> Result<()> {
        call!(self, finish, queue.0)
    }

    fn reached(&self, event: EventId) -> Result<bool> {
        let mut reached = 0;
        call!(self, reached, event.0, &mut reached)?;
        Ok(reached != 0)
    }
    fn wait(&self, event: EventId) -> Result<()> {
        call!(self, wait, event.0)
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        let (mut begin, mut end) = (0, 0);
        call!(self, times, event.0, &mut begin, &mut end)?;
        Ok((begin, end))
    }
    fn free_event(&self, event: EventId) {
        _ = call!(self, free_event, event.0);
    }
}
