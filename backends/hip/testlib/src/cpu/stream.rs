//! Streams, each a thread that runs its work in order, and events.

use super::memory::pointer;
use crate::{INVALID_VALUE, NOT_READY, OUT_OF_MEMORY, Object};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;
use vectorvisor_driver::gpu::{Code, SUCCESS};

/// Bytes of a stream thread's stack, on which a kernel keeps its VM and the guest's calls.
const STACK: usize = 64 << 20;

/// Work for a stream's thread.
pub struct Job(Box<dyn FnOnce()>);

// SAFETY: HIP's caller keeps what the pointers point to until the work is done.
unsafe impl Send for Job {}

/// What HIP calls a stream.
pub struct Stream {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Adds work at the end.
    ///
    /// # Safety
    /// What its pointers point to stays valid until it is done.
    pub unsafe fn put(&self, work: impl FnOnce() + 'static) -> Code {
        match self.jobs.as_ref().map(|jobs| jobs.send(Job(Box::new(work)))) {
            Some(Ok(())) => SUCCESS,
            _ => INVALID_VALUE,
        }
    }
}

impl Drop for Stream {
    /// Waits for its work.
    fn drop(&mut self) {
        self.jobs = None;
        _ = self.thread.take().map(JoinHandle::join);
    }
}

pub unsafe extern "C" fn create(to: *mut Object, _: c_uint, _: c_int) -> Code {
    let (jobs, work) = channel::<Job>();
    let run = move || work.into_iter().for_each(|job| (job.0)());
    let Ok(thread) = Builder::new().name("stream".into()).stack_size(STACK).spawn(run) else { return OUT_OF_MEMORY };
    let stream = Stream { jobs: Some(jobs), thread: Some(thread) };
    // SAFETY: the caller's promise.
    unsafe { to.write(Box::into_raw(Box::new(stream)).cast()) };
    SUCCESS
}

pub unsafe extern "C" fn destroy(stream: Object) -> Code {
    // SAFETY: made by `create`.
    drop(unsafe { Box::from_raw(stream.cast::<Stream>()) });
    SUCCESS
}

pub unsafe extern "C" fn synchronize(stream: Object) -> Code {
    let (sender, done) = channel::<()>();
    // SAFETY: a stream that lives; no pointers.
    let code = unsafe { (*stream.cast::<Stream>()).put(move || drop(sender)) };
    _ = done.recv();
    code
}

pub unsafe extern "C" fn write(dst: u64, src: *const c_void, bytes: usize, stream: Object) -> Code {
    // SAFETY: a stream that lives; the caller keeps both sides, which may be the same memory.
    unsafe { (*stream.cast::<Stream>()).put(move || std::ptr::copy(src.cast(), pointer(dst), bytes)) }
}

pub unsafe extern "C" fn read(dst: *mut c_void, src: u64, bytes: usize, stream: Object) -> Code {
    // SAFETY: as above.
    unsafe { (*stream.cast::<Stream>()).put(move || std::ptr::copy(pointer(src), dst.cast(), bytes)) }
}

/// What HIP calls an event: when it was last reached, and how many records of it are still pending.
#[derive(Default)]
struct Event {
    state: Mutex<(Option<Instant>, usize)>,
}

impl Event {
    fn state(&self) -> MutexGuard<'_, (Option<Instant>, usize)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// # Safety
/// Made by `event_create`, and not destroyed.
unsafe fn event(event: Object) -> Arc<Event> {
    // SAFETY: the caller's promise.
    unsafe { (*event.cast::<Arc<Event>>()).clone() }
}

pub unsafe extern "C" fn event_create(to: *mut Object, _: c_uint) -> Code {
    // SAFETY: the caller's promise.
    unsafe { to.write(Box::into_raw(Box::new(Arc::<Event>::default())).cast()) };
    SUCCESS
}

pub unsafe extern "C" fn event_destroy(event: Object) -> Code {
    // SAFETY: made by `event_create`; pending records have their own reference.
    drop(unsafe { Box::from_raw(event.cast::<Arc<Event>>()) });
    SUCCESS
}

pub unsafe extern "C" fn event_record(raw: Object, stream: Object) -> Code {
    // SAFETY: both live.
    let event = unsafe { event(raw) };
    event.state().1 += 1;
    let reach = move || {
        let mut state = event.state();
        *state = (Some(Instant::now()), state.1 - 1);
    };
    // SAFETY: a stream that lives; no pointers.
    unsafe { (*stream.cast::<Stream>()).put(reach) }
}

pub unsafe extern "C" fn event_query(raw: Object) -> Code {
    // SAFETY: it lives.
    if unsafe { event(raw) }.state().1 == 0 { SUCCESS } else { NOT_READY }
}

pub unsafe extern "C" fn event_elapsed_time(milliseconds: *mut f32, from: Object, to: Object) -> Code {
    // SAFETY: both live.
    let [from, to] = unsafe { [event(from), event(to)] }.map(|event| *event.state());
    let ((Some(from), 0), (Some(to), 0)) = (from, to) else { return NOT_READY };
    let seconds = to.saturating_duration_since(from).as_secs_f64() - from.saturating_duration_since(to).as_secs_f64();
    // SAFETY: the caller's promise.
    unsafe { milliseconds.write((seconds * 1e3) as f32) };
    SUCCESS
}
