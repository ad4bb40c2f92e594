//! In-order queues, events, and memory.

use crate::program::Kernel;
use crate::sys::{Id, Owned, failed, no_memory};
use opencl3::{command_queue as cl_queue, event as cl_event, memory as cl_memory};
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use vectorvisor_driver::memory::{HostMemory, check_range};
use vectorvisor_driver::{Error, Result};

/// How a buffer relates to the host's memory.
enum Host {
    /// Device memory, which the host does not see.
    Apart,
    /// The device uses the host's memory itself.
    Same(HostMemory),
    /// The vendor's own page-locked memory, mapped as long as the buffer lives.
    Mapped(*mut u8, Arc<Queue>),
    /// Device memory with a copy in host memory, published by copying.
    Mirror(HostMemory),
}

// SAFETY: the mapped pointer belongs to the buffer; the caller orders the accesses.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

/// One buffer.
pub struct Memory {
    // Dropped before `host`, whose memory it may use.
    object: Owned,
    host: Host,
    bytes: u64,
}

impl Memory {
    fn object(context: &Owned, flags: u64, bytes: u64, host: *mut u8) -> Result<Owned> {
        let size = usize::try_from(bytes).map_err(|_| Error::OutOfMemory { wanted: bytes, what: "address space" })?;
        // SAFETY: `host` is null or holds `bytes` bytes that live as long as the buffer.
        let raw = unsafe { cl_memory::create_buffer(context.raw(), flags, size, host.cast()) };
        Ok(Owned::new(raw.map_err(no_memory("clCreateBuffer", bytes))?, cl_memory::release_mem_object))
    }
    /// Device memory.
    pub fn device(context: &Owned, bytes: u64) -> Result<Self> {
        let object = Self::object(context, cl_memory::CL_MEM_READ_WRITE, bytes, null_mut())?;
        Ok(Self { object, host: Host::Apart, bytes })
    }
    /// Device memory that the vendor allocates now: NVIDIA's OpenCL allocates at the first use, and would fail in a
    /// launch.
    pub fn device_now(context: &Owned, queue: &Queue, bytes: u64) -> Result<Self> {
        let memory = Self::device(context, bytes)?;
        // SAFETY: the local outlives the blocking write.
        unsafe { queue.copy_in(&memory, 0, [0u8].as_ptr(), 1, true) }.map_err(no_memory("the first use", bytes))?;
        Ok(memory)
    }
    /// Host memory that the device uses in place, for devices that are processors.
    pub fn same(context: &Owned, bytes: u64) -> Result<Self> {
        let host = HostMemory::new(bytes)?;
        let flags = cl_memory::CL_MEM_READ_WRITE | cl_memory::CL_MEM_USE_HOST_PTR;
        Ok(Self { object: Self::object(context, flags, bytes, host.pointer())?, host: Host::Same(host), bytes })
    }
    /// Zeroed page-locked memory of the host.
    pub fn mapped(context: &Owned, queue: &Arc<Queue>, bytes: u64) -> Result<Self> {
        let flags = cl_memory::CL_MEM_READ_WRITE | cl_memory::CL_MEM_ALLOC_HOST_PTR;
        let object = Self::object(context, flags, bytes, null_mut())?;
        let (mut pointer, how) = (null_mut(), cl_memory::CL_MAP_READ | cl_memory::CL_MAP_WRITE);
        // SAFETY: the whole buffer, blocking; the event is released.
        unsafe {
            let raw = (queue.0.raw(), object.raw());
            let event = cl_queue::enqueue_map_buffer(raw.0, raw.1, 1, how, 0, bytes as usize, &mut pointer, 0, null());
            drop(Event::new(event.map_err(no_memory("clEnqueueMapBuffer", bytes))?));
            std::ptr::write_bytes(pointer.cast::<u8>(), 0, bytes as usize);
        }
        Ok(Self { object, host: Host::Mapped(pointer.cast(), queue.clone()), bytes })
    }
    /// Device memory with a copy in the host's, zeroed; [`Memory::publish`] brings the copy to the device.
    pub fn mirror(context: &Owned, queue: &Queue, bytes: u64) -> Result<Self> {
        let host = HostMemory::new(bytes)?;
        let object = Self::object(context, cl_memory::CL_MEM_READ_WRITE, bytes, null_mut())?;
        let memory = Self { object, host: Host::Mirror(host), bytes };
        memory.publish(queue)?;
        Ok(memory)
    }
    /// Makes the host's stores visible to the device, also to a running kernel. No kernel may run in `queue`: with
    /// NVIDIA's OpenCL a running kernel never sees what the host stores into mapped memory or memory used in place, but
    /// a copy in another queue overlaps with the kernel and is seen 0.1 ms later (H200, driver 580).
    pub fn publish(&self, queue: &Queue) -> Result<()> {
        let Host::Mirror(host) = &self.host else { return Ok(()) };
        // SAFETY: the whole host copy, which outlives the wait.
        unsafe { queue.write(self, 0, host.pointer(), host.bytes() as usize) }?.wait()
    }
    /// The host's view, where there is one.
    pub fn pointer(&self) -> *mut u8 {
        match &self.host {
            Host::Apart => null_mut(),
            Host::Same(host) | Host::Mirror(host) => host.pointer(),
            Host::Mapped(pointer, _) => *pointer,
        }
    }
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Host::Mapped(pointer, queue) = &self.host {
            let (queue, object) = (queue.0.raw(), self.object.raw());
            // SAFETY: mapped once by `mapped`, and the pointer is not used any more. A failure leaks the mapping only.
            if let Ok(event) = unsafe { cl_queue::enqueue_unmap_mem_object(queue, object, pointer.cast(), 0, null()) } {
                _ = Event::new(event).wait();
            }
        }
    }
}

/// A point in a queue.
pub struct Event(Owned);

impl Event {
    fn new(raw: *mut c_void) -> Self {
        Self(Owned::new(raw, cl_event::release_event))
    }
    /// The command's status: 0 when it is done, positive while it waits or runs. A negative status is the command's
    /// error.
    pub fn status(&self) -> Result<i32> {
        let status = cl_event::get_event_info(self.0.raw(), cl_event::CL_EVENT_COMMAND_EXECUTION_STATUS);
        match i32::from(status.map_err(failed("clGetEventInfo"))?) {
            code if code < 0 => Err(failed("the work of this event")(code)),
            status => Ok(status),
        }
    }
    pub fn wait(&self) -> Result<()> {
        // The event's own error says more than the wait's "a command in the list failed".
        let waited = cl_event::wait_for_events(&[self.0.raw()]);
        self.status()?;
        waited.map_err(failed("clWaitForEvents"))
    }
    pub fn times(&self) -> Result<(u64, u64)> {
        let time = |name| match cl_event::get_event_profiling_info(self.0.raw(), name) {
            Ok(value) => Ok(u64::from(value)),
            Err(-7) => Err(Error::Invalid("the event has no times yet: wait for it first".into())),
            Err(code) => Err(failed("clGetEventProfilingInfo")(code)),
        };
        Ok((time(cl_event::CL_PROFILING_COMMAND_START)?, time(cl_event::CL_PROFILING_COMMAND_END)?))
    }
}

/// An in-order queue with profiling.
pub struct Queue(Owned);

/// An enqueued command's event, or OpenCL's error code.
type Enqueued = std::result::Result<*mut c_void, i32>;

impl Queue {
    pub fn new(context: &Owned, id: Id) -> Result<Self> {
        // SAFETY: the context holds this device.
        let raw =
            unsafe { cl_queue::create_command_queue(context.raw(), id.device, cl_queue::CL_QUEUE_PROFILING_ENABLE) };
        Ok(Self(Owned::new(raw.map_err(failed("clCreateCommandQueue"))?, cl_queue::release_command_queue)))
    }
    /// Flushes the queue, so that polling the event makes progress.
    fn begin(&self, what: &'static str, enqueued: Enqueued) -> Result<Event> {
        let event = Event::new(enqueued.map_err(failed(what))?);
        cl_queue::flush(self.0.raw()).map_err(failed("clFlush"))?;
        Ok(event)
    }
    fn marker(&self) -> Enqueued {
        // SAFETY: no events are waited for.
        unsafe { cl_queue::enqueue_marker_with_wait_list(self.0.raw(), 0, null()) }
    }
    unsafe fn copy_in(&self, memory: &Memory, offset: usize, src: *const u8, bytes: usize, wait: bool) -> Enqueued {
        let (queue, object) = (self.0.raw(), memory.object.raw());
        // SAFETY: the caller's promise.
        unsafe { cl_queue::enqueue_write_buffer(queue, object, wait.into(), offset, bytes, src.cast(), 0, null()) }
    }
    /// # Safety
    /// As [`vectorvisor_driver::Device::write`].
    pub unsafe fn write(&self, memory: &Memory, offset: u64, src: *const u8, bytes: usize) -> Result<Event> {
        check_range(offset, bytes, memory.bytes)?;
        // A copy of nothing is an error in OpenCL.
        if bytes == 0 {
            return self.begin("clEnqueueMarker", self.marker());
        }
        // SAFETY: the range was checked; the caller keeps `src`.
        self.begin("clEnqueueWriteBuffer", unsafe { self.copy_in(memory, offset as usize, src, bytes, false) })
    }
    /// # Safety
    /// As [`vectorvisor_driver::Device::read`].
    pub unsafe fn read(&self, memory: &Memory, offset: u64, dst: *mut u8, bytes: usize) -> Result<Event> {
        check_range(offset, bytes, memory.bytes)?;
        if bytes == 0 {
            return self.begin("clEnqueueMarker", self.marker());
        }
        let (queue, object, offset) = (self.0.raw(), memory.object.raw(), offset as usize);
        // SAFETY: the range was checked; the caller keeps `dst`.
        let event = unsafe { cl_queue::enqueue_read_buffer(queue, object, 0, offset, bytes, dst.cast(), 0, null()) };
        self.begin("clEnqueueReadBuffer", event)
    }
    pub fn launch(&self, kernel: &Kernel, args: &[Option<Arc<Memory>>], tiles: u32, lanes: u32) -> Result<Event> {
        if tiles == 0 || lanes == 0 {
            return self.begin("clEnqueueMarker", self.marker());
        }
        let objects = args.iter().map(|arg| arg.as_ref().map_or(null_mut(), |memory| memory.object.raw()));
        let kernel = kernel.with_args(objects)?;
        let (global, local) = (tiles as usize * lanes as usize, lanes as usize);
        // SAFETY: one dimension; the arguments are set, and OpenCL keeps what it needs of them.
        let event = unsafe {
            cl_queue::enqueue_nd_range_kernel(self.0.raw(), kernel.raw(), 1, null(), &global, &local, 0, null())
        };
        self.begin("clEnqueueNDRangeKernel", event)
    }
    pub fn finish(&self) -> Result<()> {
        cl_queue::finish(self.0.raw()).map_err(failed("clFinish"))
    }
}
