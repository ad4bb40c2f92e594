//! Sleeps that end in time.

/// While it lives, this thread's sleeps end when they should: Linux lets a thread sleep for 50 microseconds longer than it
/// asked for, so that it can wake several at once, and a launch of a server may take less than that.
pub struct Punctual {
    #[cfg(target_os = "linux")]
    before: Option<std::num::NonZeroU64>,
}

#[cfg(target_os = "linux")]
impl Punctual {
    pub fn new() -> Self {
        use rustix::thread::{current_timer_slack, set_current_timer_slack};
        let before = current_timer_slack().ok().and_then(std::num::NonZeroU64::new);
        // Without it sleeps only take longer.
        _ = set_current_timer_slack(Some(std::num::NonZeroU64::MIN));
        Self { before }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Punctual {
    fn drop(&mut self) {
        _ = rustix::thread::set_current_timer_slack(self.before);
    }
}

#[cfg(not(target_os = "linux"))]
impl Punctual {
    pub fn new() -> Self {
        Self {}
    }
}
