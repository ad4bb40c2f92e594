//! Owners of memory, streams, events, modules and kernels.

use super::{Code, Functions, INVALID_VALUE, NOT_FOUND, NOT_READY, OUT_OF_MEMORY, Object, Vendor};
use crate::memory::check_range;
use crate::{Error, Result};
use std::ffi::{CString, c_int, c_uint, c_void};
use std::ptr::{self, null_mut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Page-locked memory for all devices, which kernels see too.
const PORTABLE_MAPPED: c_uint = 3;
/// Does not wait for the device's default stream.
const NON_BLOCKING: c_uint = 1;
/// The priorities of streams, smallest first. Vendors replace a number outside their range by the nearest in it.
const URGENT: c_int = -16;
const USUAL: c_int = 0;
/// How long a thread that waits for an event sleeps before it asks again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(500));
/// The most arguments of a kernel.
const ARGUMENTS: usize = 64;

/// A handle of the vendor's, released on drop.
struct Owned {
    vendor: Arc<dyn Vendor>,
    raw: Object,
    release: fn(&Functions) -> unsafe extern "C" fn(Object) -> Code,
}

// SAFETY: streams, events, modules and kernels may be used from any thread, several at once; host memory is as any.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl Owned {
    /// `make` fills in the handle that `release` frees.
    fn new(
        vendor: &Arc<dyn Vendor>,
        what: &str,
        make: impl FnOnce(&Functions, &mut Object) -> Code,
        release: fn(&Functions) -> unsafe extern "C" fn(Object) -> Code,
    ) -> Result<Self> {
        let mut raw = null_mut();
        vendor.call(what, |functions| make(functions, &mut raw))?;
        Ok(Self { vendor: vendor.clone(), raw, release })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by the matching function, and ours.
        self.vendor.release(|functions| unsafe { (self.release)(functions)(self.raw) });
    }
}

/// One piece of memory that kernels see.
pub struct Memory {
    vendor: Arc<dyn Vendor>,
    address: u64,
    bytes: u64,
    host: Host,
}

/// The host's view of memory.
enum Host {
    /// There is none.
    Apart,
    /// It is page-locked memory of the host.
    Same(Owned),
    /// A copy in page-locked memory, which [`Memory::publish`] copies to the device's.
    Mirror(Owned),
}

fn check_memory(vendor: &dyn Vendor, what: &str, code: Code, memory: &'static str, wanted: u64) -> Result<()> {
    match code {
        // The other arguments are valid, so an invalid value is the size.
        OUT_OF_MEMORY | INVALID_VALUE => Err(Error::OutOfMemory { wanted, what: memory }),
        code => vendor.check(what, code),
    }
}

/// Zeroed page-locked memory of the host.
fn page_locked(vendor: &Arc<dyn Vendor>, bytes: usize) -> Result<Owned> {
    let mut raw = null_mut();
    // SAFETY: a local to fill.
    let code = vendor.code(|functions| unsafe { (functions.HostAlloc)(&mut raw, bytes, PORTABLE_MAPPED) })?;
    check_memory(&**vendor, "allocating page-locked memory", code, "page-locked memory", bytes as u64)?;
    let host = Owned { vendor: vendor.clone(), raw, release: |functions| functions.HostFree };
    // SAFETY: `bytes` bytes, just allocated.
    unsafe { host.raw.cast::<u8>().write_bytes(0, bytes) };
    Ok(host)
}

impl Memory {
    /// Memory of the device.
    pub fn device(vendor: &Arc<dyn Vendor>, bytes: u64) -> Result<Self> {
        let mut address = 0;
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        let code = vendor.code(|_| vendor.alloc_memory(&mut address, size))?;
        check_memory(&**vendor, "allocating memory", code, "device memory", bytes)?;
        Ok(Self { vendor: vendor.clone(), address, bytes, host: Host::Apart })
    }
    /// Zeroed page-locked memory of the host.
    pub fn host(vendor: &Arc<dyn Vendor>, bytes: usize) -> Result<Self> {
        let (host, mut address) = (page_locked(vendor, bytes)?, 0);
        // SAFETY: a local to fill.
        let ask = |functions: &Functions| unsafe { (functions.HostGetDevicePointer)(&mut address, host.raw, 0) };
        vendor.call("finding the device's address of page-locked memory", ask)?;
        Ok(Self { vendor: vendor.clone(), address, bytes: bytes as u64, host: Host::Same(host) })
    }
    /// Memory of the device with a copy in the host's, both zeroed. Kernels that look at it often do not wait for the bus,
    /// which 130,000 VMs of an H200 that look at memory of the host every 4 ms keep busy.
    pub fn mirror(vendor: &Arc<dyn Vendor>, bytes: usize) -> Result<Self> {
        let mut memory = Self::device(vendor, bytes as u64)?;
        memory.host = Host::Mirror(page_locked(vendor, bytes)?);
        memory.publish()?;
        Ok(memory)
    }
    /// Copies a mirror to the device, whose running kernels see it then.
    pub fn publish(&self) -> Result<()> {
        let Host::Mirror(host) = &self.host else { return Ok(()) };
        // SAFETY: both sides have so many bytes, and the call returns when they are copied.
        let copy =
            |functions: &Functions| unsafe { (functions.MemcpyHtoD)(self.address, host.raw, self.bytes as usize) };
        self.vendor.call("copying to the device", copy)
    }
    /// The host's view, or null.
    pub fn pointer(&self) -> *mut u8 {
        match &self.host {
            Host::Apart => null_mut(),
            Host::Same(host) | Host::Mirror(host) => host.raw.cast(),
        }
    }
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if !matches!(self.host, Host::Same(_)) {
            self.vendor.release(|_| self.vendor.free_memory(self.address));
        }
    }
}

/// A loaded binary.
pub struct Module(Owned);

impl Module {
    /// Loads a binary, or PTX.
    ///
    /// # Safety
    /// `image` is complete: the vendor's loader takes the size from its header.
    pub unsafe fn load(vendor: &Arc<dyn Vendor>, image: &[u8]) -> Result<Self> {
        // Aligned as ELF files are, and with a zero at the end, for PTX.
        let mut words = vec![0u64; image.len().div_ceil(8) + 1];
        // SAFETY: the words have room for the bytes.
        unsafe { words.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(image.as_ptr(), image.len()) };
        // SAFETY: the caller's promise; a local to fill.
        let load =
            |functions: &Functions, raw: &mut _| unsafe { (functions.ModuleLoadData)(raw, words.as_ptr().cast()) };
        Ok(Self(Owned::new(vendor, "loading a binary", load, |functions| functions.ModuleUnload)?))
    }
}

/// A kernel of a module.
pub struct Kernel {
    module: Arc<Module>,
    raw: Object,
}

// SAFETY: kernels may be used from any thread.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

impl Kernel {
    pub fn new(module: &Arc<Module>, name: &str) -> Result<Self> {
        let invalid = || Error::Invalid(format!("no kernel {name:?} in this module"));
        let text = CString::new(name).ok().filter(|text| !text.is_empty()).ok_or_else(invalid)?;
        let (vendor, mut raw) = (&module.0.vendor, null_mut());
        // SAFETY: a local to fill, and a text.
        let find =
            |functions: &Functions| unsafe { (functions.ModuleGetFunction)(&mut raw, module.0.raw, text.as_ptr()) };
        match vendor.code(find)? {
            NOT_FOUND => return Err(invalid()),
            code => vendor.check("finding a kernel", code)?,
        }
        let kernel = Self { module: module.clone(), raw };
        // Makes a vendor that loads kernels when they are first needed do so now: at the first launch it would wait for
        // all kernels that run then. An error comes again there.
        _ = kernel.blocks(32);
        Ok(kernel)
    }
    /// The occupancy: how many blocks of `threads` threads a multiprocessor runs at once.
    pub fn blocks(&self, threads: u32) -> Result<u32> {
        let mut blocks = 0;
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        // SAFETY: a local to fill; the module keeps the kernel.
        let ask = |functions: &Functions| unsafe {
            (functions.OccupancyMaxActiveBlocksPerMultiprocessor)(&mut blocks, self.raw, threads, 0)
        };
        self.module.0.vendor.call("asking for a kernel's occupancy", ask)?;
        Ok(u32::try_from(blocks).unwrap_or(0))
    }
    pub fn belongs_to(&self, module: &Arc<Module>) -> bool {
        Arc::ptr_eq(&self.module, module)
    }
}

/// Events of the vendor that nobody uses at present. Making one takes as long as a command, of which a server gives tens
/// of thousands a second, and all threads that use a device wait for the vendor's lock then.
struct Points {
    vendor: Arc<dyn Vendor>,
    free: Mutex<Vec<Owned>>,
}

impl Points {
    fn free(&self) -> MutexGuard<'_, Vec<Owned>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event of the vendor: a point in a stream that can be waited for and timed.
struct Point {
    points: Arc<Points>,
    /// `None` only while it is dropped.
    event: Option<Owned>,
}

impl Point {
    fn new(points: &Arc<Points>) -> Result<Self> {
        let free = points.free().pop();
        let event = match free {
            Some(event) => event,
            None => {
                // SAFETY: a local to fill.
                let make = |functions: &Functions, raw: &mut _| unsafe { (functions.EventCreate)(raw, 0) };
                Owned::new(&points.vendor, "making an event", make, |functions| functions.EventDestroy)?
            }
        };
        Ok(Self { points: points.clone(), event: Some(event) })
    }
    fn raw(&self) -> Object {
        self.event.as_ref().map_or(null_mut(), |event| event.raw)
    }
    fn record(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both live.
        let record = |functions: &Functions| unsafe { (functions.EventRecord)(self.raw(), stream.owned.raw) };
        self.points.vendor.call("recording an event", record)
    }
    fn reached(&self) -> Result<bool> {
        // SAFETY: the event lives.
        let ask = |functions: &Functions| unsafe { (functions.EventQuery)(self.raw()) };
        match self.points.vendor.code(ask)? {
            NOT_READY => Ok(false),
            code => self.points.vendor.check("the work of an event", code).map(|()| true),
        }
    }
    /// Sleeps until it is reached: VMs run for long, and a spinning thread would keep a processor from the host calls. (An
    /// event that a thread can sleep for in the vendor's function interrupts the processor each time it is reached.)
    fn wait(&self) -> Result<()> {
        let mut pause = PAUSE.0;
        while !self.reached()? {
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
        Ok(())
    }
    /// Nanoseconds from another point to this one.
    fn since(&self, from: &Self) -> Result<f64> {
        let mut milliseconds = 0.0;
        // SAFETY: a local to fill; both events live.
        let ask =
            |functions: &Functions| unsafe { (functions.EventElapsedTime)(&mut milliseconds, from.raw(), self.raw()) };
        match self.points.vendor.code(ask)? {
            NOT_READY => Err(Error::Invalid("the event has no times yet: wait for it first".into())),
            code => self.points.vendor.check("the time of an event", code).map(|()| f64::from(milliseconds) * 1e6),
        }
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        // What was recorded of it is forgotten when it is recorded again.
        self.points.free().extend(self.event.take());
    }
}

/// The points before and after one command.
pub struct Event {
    begin: Point,
    end: Point,
}

impl Event {
    pub fn reached(&self) -> Result<bool> {
        self.end.reached()
    }
    pub fn wait(&self) -> Result<()> {
        self.end.wait()
    }
}

/// Turns the times between events, which the vendor gives as 32-bit floats of milliseconds, into one clock.
pub struct Clock {
    stream: Stream,
    base: Mutex<(Point, f64)>,
}

impl Clock {
    pub fn new(vendor: &Arc<dyn Vendor>) -> Result<Self> {
        let stream = Stream::new(vendor, false)?;
        let point = Point::new(&stream.points)?;
        point.record(&stream)?;
        point.wait()?;
        // Not from 0: an event may be older than the base point.
        Ok(Self { stream, base: Mutex::new((point, 1e12)) })
    }
    /// Begin and end of an event in nanoseconds.
    pub fn times(&self, event: &Event) -> Result<(u64, u64)> {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let length = event.end.since(&event.begin)?;
        let since = event.begin.since(&base.0)?;
        let begin = base.1 + since;
        // Beyond a second a float counts milliseconds in steps of more than 100 nanoseconds.
        if since > 1e9 {
            let next = Point::new(&self.stream.points)?;
            next.record(&self.stream)?;
            next.wait()?;
            let at = base.1 + next.since(&base.0)?;
            *base = (next, at);
        }
        Ok((begin as u64, (begin + length) as u64))
    }
}

/// An in-order stream.
pub struct Stream {
    owned: Owned,
    points: Arc<Points>,
}

impl Stream {
    pub fn new(vendor: &Arc<dyn Vendor>, urgent: bool) -> Result<Self> {
        let priority = if urgent { URGENT } else { USUAL };
        // SAFETY: a local to fill.
        let make = |functions: &Functions, raw: &mut _| unsafe {
            (functions.StreamCreateWithPriority)(raw, NON_BLOCKING, priority)
        };
        let owned = Owned::new(vendor, "making a queue", make, |functions| functions.StreamDestroy)?;
        Ok(Self { owned, points: Arc::new(Points { vendor: vendor.clone(), free: Mutex::default() }) })
    }
    /// Enqueues a command between two points; without a command only the points.
    fn command(&self, what: &str, put: Option<impl FnOnce(&Functions) -> Code>) -> Result<Event> {
        let event = Event { begin: Point::new(&self.points)?, end: Point::new(&self.points)? };
        event.begin.record(self)?;
        put.map_or(Ok(()), |put| self.owned.vendor.call(what, put))?;
        event.end.record(self)?;
        Ok(event)
    }
    /// # Safety
    /// As [`crate::Device::write`].
    pub unsafe fn write(&self, memory: &Memory, offset: u64, src: *const u8, bytes: usize) -> Result<Event> {
        check_range(offset, bytes, memory.bytes)?;
        // SAFETY: the range was checked; the caller keeps `src`.
        let copy = |functions: &Functions| unsafe {
            (functions.MemcpyHtoDAsync)(memory.address + offset, src.cast(), bytes, self.owned.raw)
        };
        self.command("copying to the device", (bytes > 0).then_some(copy))
    }
    /// # Safety
    /// As [`crate::Device::read`].
    pub unsafe fn read(&self, memory: &Memory, offset: u64, dst: *mut u8, bytes: usize) -> Result<Event> {
        check_range(offset, bytes, memory.bytes)?;
        // SAFETY: the range was checked; the caller keeps `dst`.
        let copy = |functions: &Functions| unsafe {
            (functions.MemcpyDtoHAsync)(dst.cast(), memory.address + offset, bytes, self.owned.raw)
        };
        self.command("copying from the device", (bytes > 0).then_some(copy))
    }
    /// Runs a kernel on a grid of blocks, each of `[x, y]` threads; nothing if any of them is 0.
    pub fn launch(&self, kernel: &Kernel, args: &[Option<Arc<Memory>>], grid: u32, block: [u32; 2]) -> Result<Event> {
        // The vendor reads as many arguments as the kernel has, so those that the caller left out are passed as null.
        let mut values = [0; ARGUMENTS];
        let [x, y] = block;
        // CUDA counts blocks in 31 bits, HIP threads in 32.
        let threads = grid.checked_mul(x).and_then(|threads| threads.checked_mul(y));
        if args.len() > ARGUMENTS || grid > i32::MAX as u32 || threads.is_none() {
            let text = format!("{} arguments, or {grid} blocks of {x} x {y} threads, are too many", args.len());
            return Err(Error::Invalid(text));
        }
        for (value, arg) in values.iter_mut().zip(args) {
            *value = arg.as_ref().map_or(0, |memory| memory.address);
        }
        let mut arguments = values.each_mut().map(|value| ptr::from_mut(value).cast::<c_void>());
        // SAFETY: the kernel keeps its module; arguments are copied; the caller owns what they name.
        let launch = |functions: &Functions| unsafe {
            let (arguments, extra) = (arguments.as_mut_ptr(), null_mut());
            (functions.LaunchKernel)(kernel.raw, grid, 1, 1, x, y, 1, 0, self.owned.raw, arguments, extra)
        };
        self.command("launching a kernel", (grid != 0 && x != 0 && y != 0).then_some(launch))
    }
    pub fn finish(&self) -> Result<()> {
        // SAFETY: the stream lives.
        let wait = |functions: &Functions| unsafe { (functions.StreamSynchronize)(self.owned.raw) };
        self.owned.vendor.call("the work of a queue", wait)
    }
}
