//! Where the inputs of a run come from.

use std::time::Instant;

/// What a [`Source`] has at present.
#[derive(Debug)]
pub enum Polled<T> {
    /// The next one.
    Ready(T),
    /// None now. The run asks again when a launch has ended, at this time, and when its fleet's
    /// [`crate::Waker`] is woken.
    NotYet(Option<Instant>),
    /// There are no more: the run ends when those that it has have ended.
    Ended,
}

/// Where the inputs of a run come from. An iterator is one that always has its next input; a server's has none now and
/// then.
pub trait Source<T> {
    /// The next input, if there is one now. It must not wait: the launches of other inputs would.
    fn poll(&mut self) -> Polled<T>;

    /// The outcomes of a launch were delivered, and no more may come for a while: who hands them on together does it now.
    fn settled(&mut self) {}

    /// So many of those that have not ended run again aside, or wait for that, while there are VMs for others: new ones
    /// do not wait for them. Told when it changes.
    fn aside(&mut self, _inputs: usize) {}
}

impl<T, I: Iterator<Item = T> + ?Sized> Source<T> for I {
    fn poll(&mut self) -> Polled<T> {
        self.next().map_or(Polled::Ended, Polled::Ready)
    }
}
