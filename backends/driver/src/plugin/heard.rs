//! What a plugin tells the host, through callbacks and in what its entries fill in, before the host believes it.

use super::abi::Bytes;
use crate::{Error, Result};
use std::any::Any;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is wrong with what a plugin told.
pub type Fault = String;

/// A fault as an error, which names the plugin.
pub fn error(driver: &str, fault: &str) -> Error {
    let whose = "that is a fault of the driver, or it is made for another version of vectorvisor";
    Error::Device(format!("the driver {driver} {fault}; {whose}"))
}

/// The context of callbacks. No panic gets past it into the plugin, and after the first thing that went wrong nobody
/// wants to hear more.
pub struct Listener<T> {
    state: T,
    fault: Option<Fault>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<T> Listener<T> {
    /// Nothing was heard yet.
    pub fn new(state: T) -> Self {
        Self { state, fault: None, panic: None }
    }
    /// For the plugin, which gives it back to [`Listener::hear`].
    pub fn context(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }
    /// The body of a callback.
    ///
    /// # Safety
    /// The context comes from a listener of this type, which lives and which nobody else uses now.
    pub unsafe fn hear(context: *mut c_void, body: impl FnOnce(&mut T) -> std::result::Result<(), Fault>) {
        // SAFETY: the caller's promise.
        let listener = unsafe { &mut *context.cast::<Self>() };
        if listener.fault.is_some() || listener.panic.is_some() {
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| body(&mut listener.state))) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => listener.fault = Some(fault),
            Err(panic) => listener.panic = Some(panic),
        }
    }
    /// What was heard during a call that ended so: a panic goes on here.
    pub fn end(self, driver: &str, ended: Result<()>) -> Result<T> {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
        ended?;
        self.fault.map_or(Ok(self.state), |fault| Err(error(driver, &fault)))
    }
}

/// The first `bytes` of a struct of the other side, which may be older and have fewer, or newer and have more. What it
/// lacks is zero.
///
/// # Safety
/// There are so many bytes, whatever their alignment, and they and the zeros make a `T`.
pub unsafe fn grown<T>(theirs: *const T, bytes: usize) -> T {
    let mut ours = MaybeUninit::<T>::zeroed();
    // A word that it has only a part of is none.
    let bytes = (bytes - bytes % size_of::<usize>()).min(size_of::<T>());
    // SAFETY: the caller's promise; ours has the size of a whole one.
    unsafe {
        theirs.cast::<u8>().copy_to_nonoverlapping(ours.as_mut_ptr().cast(), bytes);
        ours.assume_init()
    }
}

/// An array of the plugin's, if it can be one.
///
/// # Safety
/// If it can, it holds so many items as long as `'a`, which the caller chooses: during the call that passed it.
pub unsafe fn array<'a, T>(items: *const T, count: usize, what: &str) -> std::result::Result<&'a [T], Fault> {
    if count == 0 {
        return Ok(&[]);
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(format!("told of {count} {what}, which is more than memory holds"));
    }
    if items.is_null() || !items.is_aligned() {
        return Err(format!("told of {count} {what} at the address {:#x}", items.addr()));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(items, count) })
}

/// As [`array`].
///
/// # Safety
/// As [`array`].
pub unsafe fn bytes<'a>(bytes: Bytes, what: &str) -> std::result::Result<&'a [u8], Fault> {
    // SAFETY: the caller's promise.
    unsafe { array(bytes.data, bytes.len, &format!("bytes of {what}")) }
}

/// A time in seconds.
pub fn seconds(seconds: f64) -> std::result::Result<f64, Fault> {
    if seconds.is_finite() && seconds >= 0.0 {
        Ok(seconds)
    } else {
        Err(format!("told of a time of {seconds} seconds"))
    }
}

/// The handles of one kind that a plugin gave out and did not get back, each with what the host knows of it.
pub struct Given<T> {
    what: &'static str,
    live: Mutex<HashMap<u64, T>>,
}

impl<T: Clone + PartialEq> Given<T> {
    /// None; `what` names one in errors, as "a buffer".
    pub fn new(what: &'static str) -> Self {
        Self { what, live: Mutex::default() }
    }
    // Every change under the lock is a single map operation, so a panic elsewhere cannot leave it half done.
    fn live(&self) -> MutexGuard<'_, HashMap<u64, T>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Takes notice of a new one. Two live ones of a name would be one thing to the plugin, and two to the host.
    pub fn take(&self, id: u64, known: T) -> std::result::Result<u64, Fault> {
        if id == 0 {
            return Err(format!("gave the handle 0 to {}", self.what));
        }
        match self.live().entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => {
                Err(format!("gave the handle {id} to {} while another has it", self.what))
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(known);
                Ok(id)
            }
        }
    }
    /// As [`Given::take`], for what may be given out again: it is the same thing then.
    pub fn take_again(&self, id: u64, known: T) -> std::result::Result<u64, Fault> {
        if self.live().get(&id).is_some_and(|now| *now == known) { Ok(id) } else { self.take(id, known) }
    }
    /// Whether it was given out; else [`Error::Invalid`], which names the driver.
    pub fn check(&self, id: u64, driver: &str) -> Result<()> {
        let unknown = || Error::Invalid(format!("the driver {driver} has no handle {id} for {}", self.what));
        self.live().contains_key(&id).then_some(()).ok_or_else(unknown)
    }
    /// It goes back now.
    pub fn give_back(&self, id: u64) -> Option<T> {
        self.live().remove(&id)
    }
    /// All of which this is known go with something else.
    pub fn forget(&self, gone: impl Fn(&T) -> bool) {
        self.live().retain(|_, known| !gone(known));
    }
}

/// Places of the host's memory that a plugin gave out: nobody else may have them.
#[derive(Default)]
pub struct Places(Mutex<Vec<Range<usize>>>);

impl Places {
    /// The strictest that a vendor's allocator keeps for any type.
    const ALIGNMENT: usize = 16;

    fn live(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Takes notice of so many bytes.
    pub fn take(&self, pointer: *mut u8, bytes: usize) -> std::result::Result<(), Fault> {
        let start = pointer.addr();
        let end = start.checked_add(bytes).filter(|_| start != 0 && start.is_multiple_of(Self::ALIGNMENT));
        let Some(end) = end else {
            return Err(match start {
                0 => "gave a null pointer for memory".into(),
                start => format!("gave the address {start:#x} to memory of {bytes} bytes"),
            });
        };
        let mut live = self.live();
        if live.iter().any(|other| start < other.end && other.start < end) {
            return Err(format!("gave the address {start:#x} to memory while another has it"));
        }
        live.push(start..end);
        Ok(())
    }
    /// It goes back now.
    pub fn give_back(&self, pointer: usize) {
        self.live().retain(|place| place.start != pointer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A struct as it was, and as it is after it has grown.
    #[repr(C)]
    struct Then {
        size: u32,
        flags: u32,
        memory: u64,
    }
    #[repr(C)]
    struct Now {
        size: u32,
        flags: u32,
        memory: u64,
        text: Bytes,
        more: u32,
    }

    #[test]
    fn older_and_newer_structs_are_read() {
        let then = Then { size: size_of::<Then>() as u32, flags: 3, memory: 5 };
        // SAFETY: so many bytes as it says, and zeros make numbers and no text.
        let now = unsafe { grown::<Now>((&raw const then).cast(), then.size as usize) };
        assert_eq!((now.size, now.flags, now.memory), (16, 3, 5));
        assert!(now.text.data.is_null() && now.text.len == 0 && now.more == 0, "what an older side lacks is zero");
        let now = Now { size: size_of::<Now>() as u32, memory: 6, more: 7, ..now };
        // SAFETY: as above.
        let then = unsafe { grown::<Then>((&raw const now).cast(), now.size as usize) };
        assert_eq!((then.size, then.flags, then.memory), (40, 3, 6), "what a newer side has beyond is left");
        // SAFETY: as above.
        let cut = unsafe { grown::<Then>((&raw const now).cast(), 12) };
        assert_eq!((cut.flags, cut.memory), (3, 0));
    }

    #[test]
    fn handles_are_live_or_not() {
        let given = Given::new("a thing");
        assert!(given.take(0, 'a').is_err_and(|why| why == "gave the handle 0 to a thing"));
        assert_eq!(given.take(7, 'a'), Ok(7));
        assert!(given.take(7, 'b').is_err_and(|why| why.contains("handle 7 to a thing while another")));
        assert_eq!((given.take_again(7, 'a').is_ok(), given.take_again(7, 'b').is_ok()), (true, false));
        assert!(given.check(7, "x").is_ok());
        assert_eq!((given.give_back(7), given.give_back(7)), (Some('a'), None));
        assert!(matches!(given.check(7, "x"), Err(Error::Invalid(why)) if why.contains("the driver x")));
        assert_eq!(given.take(7, 'c'), Ok(7), "a handle may come again");
        given.forget(|known| *known == 'c');
        assert!(given.check(7, "x").is_err());
    }

    #[test]
    fn places_lie_apart() {
        let places = Places::default();
        let at = std::ptr::without_provenance_mut;
        assert_eq!(places.take(at(4096), 100), Ok(()));
        for (start, bytes) in [(4096, 1), (4080, 17), (4192, 1), (4000, 1000)] {
            assert!(places.take(at(start), bytes).is_err_and(|why| why.contains("while another")), "{start}");
        }
        assert!(places.take(at(0), 1).is_err_and(|why| why.contains("null pointer")));
        assert!(places.take(at(4097), 1).is_err() && places.take(at(usize::MAX - 15), 100).is_err());
        assert_eq!(places.take(at(4080), 16), Ok(()));
        places.give_back(4096);
        assert_eq!(places.take(at(4112), 8), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_a_fault() {
        let one = 7u64;
        // SAFETY: what can be an array is one item.
        unsafe {
            assert_eq!(array(&raw const one, 1, "items"), Ok(&[7][..]));
            assert_eq!(array::<u64>(std::ptr::null(), 0, "items"), Ok(&[][..]));
            assert!(
                array::<u64>(std::ptr::null(), 1, "items").is_err_and(|why| why.contains("1 items at the address 0x0"))
            );
            assert!(
                array(&raw const one, usize::MAX, "items").is_err_and(|why| why.contains("more than memory holds"))
            );
            assert!(array(&raw const one, usize::MAX / 16 + 1, "items").is_err());
        }
        assert_eq!(seconds(0.0), Ok(0.0));
        assert!([f64::NAN, f64::INFINITY, -1.0].into_iter().all(|time| seconds(time).is_err()));
    }
}
