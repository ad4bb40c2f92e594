//! Priorities of threads.

/// The system's number of this thread, for [`lower_priority`].
pub fn number() -> i32 {
    // SAFETY: it has no arguments and always succeeds.
    #[cfg(target_os = "linux")]
    return unsafe { libc::gettid() };
    #[cfg(not(target_os = "linux"))]
    0
}

/// A thirtieth of a usual thread's share; 64 such threads and two usual ones on two cores share them about equally.
pub const LOW: i32 = 15;
/// A third of it.
pub const BELOW_NORMAL: i32 = 5;

/// Lets other threads of this process go first, [`LOW`] or [`BELOW_NORMAL`], if the system can do that for one thread; it
/// cannot be undone.
pub fn lower_priority(thread: i32, nice: i32) -> bool {
    // SAFETY: it takes numbers, and reports one that is no thread's.
    #[cfg(target_os = "linux")]
    return unsafe { libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, nice) } == 0;
    #[cfg(not(target_os = "linux"))]
    return false;
}
