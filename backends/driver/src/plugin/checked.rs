//! Checks of everything that a plugin gives to the host, by callbacks and in the results of its entries, before the
//! host uses it.

use super::abi::Bytes;
use crate::{Error, Result};
use std::any::Any;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a plugin broke the contract, as the end of a sentence that begins with the driver's name.
pub type Violation = String;

/// A violation as an error, which names the plugin.
pub fn error(driver: &str, violation: &str) -> Error {
    let advice = "that is a fault of the driver, or it is made for another version of vectorvisor";
    Error::Device(format!("the driver {driver} {violation}; {advice}"))
}

/// The context of the callbacks of one call. A panic in a callback does not unwind into the plugin: [`Callback::end`]
/// resumes it. After the first violation or panic, further callbacks do nothing.
pub struct Callback<T> {
    /// What the callbacks have received.
    received: T,
    violation: Option<Violation>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<T> Callback<T> {
    /// Starts from what nothing received yet looks like.
    pub fn new(received: T) -> Self {
        Self { received, violation: None, panic: None }
    }
    /// The pointer that the plugin passes to the callback, which passes it to [`Callback::receive`].
    pub fn context(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }
    /// The body of a callback.
    ///
    /// # Safety
    /// `context` comes from [`Callback::context`] of this type, the value is still alive, and nothing else uses it now.
    pub unsafe fn receive(context: *mut c_void, body: impl FnOnce(&mut T) -> std::result::Result<(), Violation>) {
        // SAFETY: the caller's promise.
        let callback = unsafe { &mut *context.cast::<Self>() };
        if callback.violation.is_some() || callback.panic.is_some() {
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| body(&mut callback.received))) {
            Ok(Ok(())) => {}
            Ok(Err(violation)) => callback.violation = Some(violation),
            Err(panic) => callback.panic = Some(panic),
        }
    }
    /// What the callbacks received during a call that returned `ended`; resumes a callback's panic.
    pub fn end(self, driver: &str, ended: Result<()>) -> Result<T> {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
        ended?;
        self.violation.map_or(Ok(self.received), |violation| Err(error(driver, &violation)))
    }
}

/// Reads a struct of `bytes` bytes that the other side says it has: an older version of `T` is shorter, and the missing
/// fields become 0; of a newer, longer one only the fields of `T` are read.
///
/// # Safety
/// `theirs` is readable for `bytes` bytes (any alignment), and these bytes followed by zeros are a valid `T`.
pub unsafe fn read_versioned<T>(theirs: *const T, bytes: usize) -> T {
    let mut ours = MaybeUninit::<T>::zeroed();
    // A word that is only partly there counts as missing.
    let bytes = (bytes - bytes % size_of::<usize>()).min(size_of::<T>());
    // SAFETY: the caller's promise; ours has the size of a whole one.
    unsafe {
        theirs.cast::<u8>().copy_to_nonoverlapping(ours.as_mut_ptr().cast(), bytes);
        ours.assume_init()
    }
}

/// An array of the plugin's, if pointer and count can be one.
///
/// # Safety
/// The pointer, if it is not null and aligned, is valid for `count` items during `'a`. The caller chooses `'a`: the
/// call that passed the array, at most.
pub unsafe fn array<'a, T>(items: *const T, count: usize, what: &str) -> std::result::Result<&'a [T], Violation> {
    if count == 0 {
        return Ok(&[]);
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(format!("reported {count} {what}, which is more than memory holds"));
    }
    if items.is_null() || !items.is_aligned() {
        return Err(format!("reported {count} {what} at the address {:#x}", items.addr()));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(items, count) })
}

/// As [`array`], for bytes.
///
/// # Safety
/// As [`array`].
pub unsafe fn bytes<'a>(bytes: Bytes, what: &str) -> std::result::Result<&'a [u8], Violation> {
    // SAFETY: the caller's promise.
    unsafe { array(bytes.data, bytes.len, &format!("bytes of {what}")) }
}

/// A duration in seconds, if it is finite and not negative.
pub fn seconds(seconds: f64) -> std::result::Result<f64, Violation> {
    if seconds.is_finite() && seconds >= 0.0 {
        Ok(seconds)
    } else {
        Err(format!("reported a time of {seconds} seconds"))
    }
}

/// The live handles of one kind (given out by the plugin and not freed yet), each with what the host knows of it.
pub struct LiveHandles<T> {
    what: &'static str,
    live: Mutex<HashMap<u64, T>>,
}

impl<T: Clone + PartialEq> LiveHandles<T> {
    /// Starts empty; `what` names one object in errors, as "a buffer".
    pub fn new(what: &'static str) -> Self {
        Self { what, live: Mutex::default() }
    }
    // Every change under the lock is a single map operation, so a panic elsewhere cannot leave it half done.
    fn live(&self) -> MutexGuard<'_, HashMap<u64, T>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Records a new handle. It must be none of the live ones: the host would take one object for two.
    pub fn add(&self, id: u64, known: T) -> std::result::Result<u64, Violation> {
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
    /// As [`LiveHandles::add`], but the same handle may be given out again for the same object (equal `known`).
    pub fn add_or_same(&self, id: u64, known: T) -> std::result::Result<u64, Violation> {
        if self.live().get(&id).is_some_and(|now| *now == known) { Ok(id) } else { self.add(id, known) }
    }
    /// [`Error::Invalid`], which names the driver, unless the handle is live.
    pub fn check(&self, id: u64, driver: &str) -> Result<()> {
        let unknown = || Error::Invalid(format!("the driver {driver} has no handle {id} for {}", self.what));
        self.live().contains_key(&id).then_some(()).ok_or_else(unknown)
    }
    /// Forgets a handle that is about to be freed.
    pub fn remove(&self, id: u64) -> Option<T> {
        self.live().remove(&id)
    }
    /// Forgets the handles whose `known` matches, as a module's kernels when it is unloaded.
    pub fn remove_where(&self, matches: impl Fn(&T) -> bool) {
        self.live().retain(|_, known| !matches(known));
    }
}

/// The address ranges of host memory that a plugin has given out. Live ones never overlap.
#[derive(Default)]
pub struct HostRanges(Mutex<Vec<Range<usize>>>);

impl HostRanges {
    /// What every vendor's allocator keeps: enough for any type (`max_align_t`).
    const ALIGNMENT: usize = 16;

    fn live(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Records a new range: not null, aligned, and apart from all live ones.
    pub fn add(&self, pointer: *mut u8, bytes: usize) -> std::result::Result<(), Violation> {
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
    /// Forgets the range that begins at `pointer`.
    pub fn remove(&self, pointer: usize) {
        self.live().retain(|range| range.start != pointer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An older and a newer version of one struct.
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
        let now = unsafe { read_versioned::<Now>((&raw const then).cast(), then.size as usize) };
        assert_eq!((now.size, now.flags, now.memory), (16, 3, 5));
        assert!(now.text.data.is_null() && now.text.len == 0 && now.more == 0, "what an older side lacks is zero");
        let now = Now { size: size_of::<Now>() as u32, memory: 6, more: 7, ..now };
        // SAFETY: as above.
        let then = unsafe { read_versioned::<Then>((&raw const now).cast(), now.size as usize) };
        assert_eq!((then.size, then.flags, then.memory), (40, 3, 6), "what a newer side has beyond is left");
        // SAFETY: as above.
        let cut = unsafe { read_versioned::<Then>((&raw const now).cast(), 12) };
        assert_eq!((cut.flags, cut.memory), (3, 0));
    }

    #[test]
    fn handles_are_live_or_not() {
        let given = LiveHandles::new("a thing");
        assert!(given.add(0, 'a').is_err_and(|why| why == "gave the handle 0 to a thing"));
        assert_eq!(given.add(7, 'a'), Ok(7));
        assert!(given.add(7, 'b').is_err_and(|why| why.contains("handle 7 to a thing while another")));
        assert_eq!((given.add_or_same(7, 'a').is_ok(), given.add_or_same(7, 'b').is_ok()), (true, false));
        assert!(given.check(7, "x").is_ok());
        assert_eq!((given.remove(7), given.remove(7)), (Some('a'), None));
        assert!(matches!(given.check(7, "x"), Err(Error::Invalid(why)) if why.contains("the driver x")));
        assert_eq!(given.add(7, 'c'), Ok(7), "a handle may come again");
        given.remove_where(|known| *known == 'c');
        assert!(given.check(7, "x").is_err());
    }

    #[test]
    fn ranges_never_overlap() {
        let ranges = HostRanges::default();
        let at = std::ptr::without_provenance_mut;
        assert_eq!(ranges.add(at(4096), 100), Ok(()));
        for (start, bytes) in [(4096, 1), (4080, 17), (4192, 1), (4000, 1000)] {
            assert!(ranges.add(at(start), bytes).is_err_and(|why| why.contains("while another")), "{start}");
        }
        assert!(ranges.add(at(0), 1).is_err_and(|why| why.contains("null pointer")));
        assert!(ranges.add(at(4097), 1).is_err() && ranges.add(at(usize::MAX - 15), 100).is_err());
        assert_eq!(ranges.add(at(4080), 16), Ok(()));
        ranges.remove(4096);
        assert_eq!(ranges.add(at(4112), 8), Ok(()));
    }

    #[test]
    fn impossible_values_are_violations() {
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
