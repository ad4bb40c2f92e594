//! A queue between threads, bounded by bytes and by count, whose items come out in the order of their numbers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much a queue holds at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes; the item that comes out next may be larger.
    pub bytes: usize,
    /// Items.
    pub count: usize,
}

/// The limits of files that were read and not taken, and of outputs that were not written.
pub const LIMITS: Limits = Limits { bytes: 256 << 20, count: 1 << 16 };

/// The queue. Items are numbered from 0, and each number is put once, by whichever thread.
pub struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    /// The next item is there, or the queue is closed.
    ready: Condvar,
    /// There is room, or the queue is closed.
    room: Condvar,
}

struct State<T> {
    /// The number of the item that comes out next.
    next: usize,
    /// The items from there on, each with its bytes; `None` is not there yet.
    items: VecDeque<Option<(T, usize)>>,
    /// Bytes that were reserved and have not come out.
    bytes: usize,
    /// Threads that wait for `ready` and for `room`, except those already notified: a notification is a system call,
    /// also if nobody waits.
    waiting: usize,
    blocked: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        let state = State { next: 0, items: VecDeque::new(), bytes: 0, waiting: 0, blocked: 0, closed: false };
        Self { limits, state: Mutex::new(state), ready: Condvar::new(), room: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for so many bytes at this number; `false` if the queue was closed. There always is for
    /// the number that comes out next.
    pub fn reserve(&self, number: usize, bytes: usize) -> bool {
        let mut state = self.lock();
        while !state.closed
            && number != state.next
            && (state.bytes + bytes > self.limits.bytes || number - state.next >= self.limits.count)
        {
            state.blocked += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes;
        !state.closed
    }

    /// Puts an item for which so many bytes were reserved.
    pub fn put(&self, number: usize, item: T, bytes: usize) {
        let mut state = self.lock();
        let at = number - state.next;
        if state.items.len() <= at {
            state.items.resize_with(at + 1, || None);
        }
        state.items[at] = Some((item, bytes));
        // Who takes this one wakes who takes the one after it.
        if at == 0 {
            self.notify_ready(&mut state);
        }
    }

    /// Waits for the next item and takes it; `None` if there are no more and the queue was closed.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some((item, bytes)) = state.items.front_mut().and_then(Option::take) {
                state.items.pop_front();
                state.next += 1;
                state.bytes -= bytes;
                if state.items.front().is_some_and(Option::is_some) {
                    self.notify_ready(&mut state);
                }
                // Not for each item: those that wait then have room for many.
                if state.bytes <= self.limits.bytes / 2 && state.items.len() <= self.limits.count / 2 {
                    self.notify_room(&mut state);
                }
                return Some(item);
            }
            if state.closed {
                return None;
            }
            // The next item may be one that waits for room.
            self.notify_room(&mut state);
            state.waiting += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the next item is not there yet.
    pub fn idle(&self) -> bool {
        !self.lock().items.front().is_some_and(Option::is_some)
    }

    /// Nothing more is put: who waits for room gives up, who takes gets what is there.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
        self.room.notify_all();
    }

    fn notify_ready(&self, state: &mut State<T>) {
        if state.waiting > 0 {
            state.waiting -= 1;
            self.ready.notify_one();
        }
    }

    fn notify_room(&self, state: &mut State<T>) {
        if state.blocked > 0 {
            state.blocked = 0;
            self.room.notify_all();
        }
    }
}

/// How many threads read or write `count` files: no more than pays.
pub fn threads(count: Option<usize>) -> usize {
    /// More are not faster: they wait for each other in the file system.
    const MOST: usize = 16;
    /// Files that are worth another thread.
    const EACH: usize = 16;
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    cores.min(MOST).min(count.unwrap_or(usize::MAX).div_ceil(EACH)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn items_come_in_order_within_the_bounds() {
        let queue = Queue::new(Limits { bytes: 100, count: 8 });
        let (claimed, held, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let number = claimed.fetch_add(1, SeqCst);
                        // One in 100 is larger than the bound.
                        let bytes = if number % 100 == 50 { 1000 } else { number % 40 };
                        if number >= 2000 || !queue.reserve(number, bytes) {
                            return;
                        }
                        if bytes < 1000 {
                            most.fetch_max(held.fetch_add(bytes, SeqCst) + bytes, SeqCst);
                        }
                        queue.put(number, (number, bytes), bytes);
                    }
                });
            }
            for number in 0..2000 {
                let (got, bytes) = queue.take().expect("an item");
                assert_eq!(got, number);
                if bytes < 1000 {
                    held.fetch_sub(bytes, SeqCst);
                }
            }
        });
        // The one that comes out next always has room, and one was taken whose bytes still count here.
        assert!(most.load(SeqCst) <= 100 + 2 * 39, "{most:?}");
    }

    #[test]
    fn every_taker_gets_work_and_the_end() {
        let queue = Queue::new(Limits { bytes: 50, count: 4 });
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while queue.take().is_some() {
                        taken.fetch_add(1, SeqCst);
                    }
                });
            }
            for number in 0..1000 {
                assert!(queue.reserve(number, number % 60));
                queue.put(number, (), number % 60);
            }
            queue.close();
        });
        assert_eq!(taken.into_inner(), 1000);
    }

    #[test]
    fn closing_ends_those_who_wait_for_room() {
        let queue = Queue::<()>::new(Limits { bytes: 1, count: 1 });
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.reserve(1, 1));
            thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished());
            queue.close();
            assert!(!waits.join().expect("no panic"));
        });
        assert!(queue.take().is_none());
    }
}
