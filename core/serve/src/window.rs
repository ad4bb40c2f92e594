//! The window of a batch: how much of it may be under way. So a client that does not read its answers stops its own
//! batch, and no answers pile up; and launches are full, since new requests come when half of the window is free, and
//! not one for each answer.

use crate::queue::{Answer, Failure, Queue};
use crate::room::Held;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes that a request or an answer takes beside what is in it.
const OVERHEAD: usize = 256;
/// Answers that are sent at once, and how long fewer wait for others: each time takes a system call or two.
const FEW: usize = 64;
const COMPANY: Duration = Duration::from_millis(1);

/// What the windows of all batches share.
#[derive(Debug)]
pub struct Pool {
    /// Bytes in all.
    pub bytes: usize,
    batches: AtomicUsize,
}

impl Pool {
    pub fn new(bytes: usize) -> Self {
        Self { bytes, batches: AtomicUsize::new(0) }
    }

    /// Bytes of one window: one that finds others leaves as much as it takes.
    fn share(&self) -> usize {
        self.bytes / (self.batches.load(Ordering::Relaxed) + 1)
    }
}

/// What identifies a request of a batch.
#[derive(Debug)]
pub struct Tag {
    pub index: usize,
    pub id: Option<serde_json::Value>,
    pub begin: Instant,
}

/// A request that has its answer.
#[derive(Debug)]
pub struct Done {
    pub tag: Tag,
    pub answer: Answer,
    /// Bytes that it takes of the window.
    pub held: usize,
}

/// See the module.
pub struct Window {
    queue: Arc<Queue>,
    pool: Arc<Pool>,
    state: Mutex<State>,
    /// Bytes of answers that the client has not taken.
    done: AtomicUsize,
    /// The client has gone.
    gone: AtomicBool,
    answered: Notify,
    freed: Notify,
    /// The room of the batch's body.
    _body: Held,
}

#[derive(Default)]
struct State {
    /// As they were handed over, and how many they are.
    done: Vec<Vec<Done>>,
    count: usize,
    /// Bytes under way: what is done, and what the others will probably be.
    held: usize,
    /// How many requests there are in all, once it is known.
    total: Option<usize>,
}

impl Window {
    pub fn new(queue: Arc<Queue>, pool: Arc<Pool>, body: Held) -> Arc<Self> {
        pool.batches.fetch_add(1, Ordering::Relaxed);
        let (answered, freed) = (Notify::new(), Notify::new());
        let (state, done, gone) = (Mutex::default(), 0.into(), false.into());
        Arc::new(Self { queue, pool, state, done, gone, answered, freed, _body: body })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room, and tells for how many bytes; `None` when the client has gone.
    pub async fn room(&self) -> Option<usize> {
        let mut least = 1;
        loop {
            if self.gone.load(Ordering::Relaxed) {
                return None;
            }
            let (held, share) = (self.state().held, self.pool.share());
            // One request may always be under way.
            if held == 0 || held + least <= share {
                return Some(share.saturating_sub(held));
            }
            least = share / 2;
            // A permit is kept if this is notified before it waits.
            self.freed.notified().await;
        }
    }

    /// Bytes that a request holds until it is answered, beside its own.
    pub fn expected(&self) -> usize {
        OVERHEAD + self.queue.usual()
    }

    /// Requests that hold so many bytes more are under way.
    pub fn admit(&self, bytes: usize) {
        self.state().held += bytes;
    }

    /// For the tickets of requests that are submitted together: they count themselves apart from all others of the batch,
    /// which other threads have.
    pub fn part(self: &Arc<Self>) -> Arc<Part> {
        Arc::new(Part(self.clone()))
    }

    /// All requests are under way, so many.
    pub fn complete(&self, total: usize) {
        self.state().total = Some(total);
        self.answered.notify_one();
    }

    /// Waits for answers, and takes all that there are; none if `taken` were all.
    pub async fn answers(&self, taken: usize) -> Vec<Vec<Done>> {
        let mut waited = false;
        loop {
            {
                let mut state = self.state();
                let few = state.count < FEW && state.total != Some(taken + state.count);
                if state.total == Some(taken) || !state.done.is_empty() && (waited || !few) {
                    state.count = 0;
                    return std::mem::take(&mut state.done);
                }
                waited = !state.done.is_empty();
            }
            match waited {
                true => tokio::time::sleep(COMPANY).await,
                false => self.answered.notified().await,
            }
        }
    }

    /// The client has taken answers that held so many bytes.
    pub fn free(&self, bytes: usize) {
        self.state().held -= bytes;
        self.done.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_one();
    }

    /// The client has gone: what waits is not run.
    pub fn abandon(&self) {
        self.gone.store(true, Ordering::Relaxed);
        drop(std::mem::take(&mut self.state().done));
        self.freed.notify_one();
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.pool.batches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Requests of a batch that were submitted together.
pub struct Part(Arc<Window>);

impl Part {
    /// The ticket of a request that was admitted with so many bytes.
    pub fn ticket(self: &Arc<Self>, tag: Tag, expected: usize) -> Ticket {
        Ticket { part: self.clone(), tag: Some(tag), expected }
    }
}

/// A request's place in its batch, which is answered, or dropped.
pub struct Ticket {
    part: Arc<Part>,
    tag: Option<Tag>,
    expected: usize,
}

impl Ticket {
    fn window(&self) -> &Arc<Window> {
        &self.part.0
    }

    /// Whether the client has gone.
    pub fn gone(&self) -> bool {
        self.window().gone.load(Ordering::Relaxed)
    }

    /// Whether answers that the client has not taken are more than the window: they may be longer than usual ones.
    pub fn held_back(&self) -> bool {
        !self.gone() && self.window().done.load(Ordering::Relaxed) > self.window().pool.share()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(tag) = self.tag.take() {
            let mut answers = Answered::of(1);
            answers.add(self.window(), tag, self.expected, Err(Failure::lost()));
        }
    }
}

/// Answers that batches get together: each time takes a lock that their clients' threads take, too.
pub struct Answered {
    /// Those of one batch, and the bytes that they hold and that they were expected to.
    window: Option<Arc<Window>>,
    done: Vec<Done>,
    held: usize,
    expected: usize,
    /// About how many of one batch come together.
    together: usize,
    /// Requests whose client has gone.
    pub gone: usize,
}

impl Answered {
    /// For about so many answers of one batch.
    pub fn of(together: usize) -> Self {
        Self { window: None, done: Vec::new(), held: 0, expected: 0, together, gone: 0 }
    }

    /// Answers a request.
    pub fn answer(&mut self, mut ticket: Ticket, answer: Answer) {
        if let Some(tag) = ticket.tag.take() {
            self.add(ticket.window(), tag, ticket.expected, answer);
        }
    }

    fn add(&mut self, window: &Arc<Window>, tag: Tag, expected: usize, answer: Answer) {
        if self.window.as_ref().is_none_or(|other| !Arc::ptr_eq(other, window)) {
            self.hand_over();
            self.window = Some(window.clone());
        }
        let bytes = answer.as_ref().map_or(0, |ended| ended.outcome.stdout.len() + ended.outcome.stderr.len());
        if answer.is_ok() {
            window.queue.answered(bytes);
        }
        let held = OVERHEAD + bytes;
        if self.done.is_empty() {
            self.done.reserve(self.together);
        }
        self.done.push(Done { tag, answer, held });
        self.held += held;
        self.expected += expected;
    }

    /// Gives the batch what there is for it.
    pub fn hand_over(&mut self) {
        let (held, expected) = (std::mem::take(&mut self.held), std::mem::take(&mut self.expected));
        let (mut done, window) = (std::mem::take(&mut self.done), self.window.take());
        if done.len() * 2 < done.capacity() {
            done.shrink_to_fit();
        }
        let Some(window) = window else { return };
        if window.gone.load(Ordering::Relaxed) {
            self.gone += done.len();
            return;
        }
        window.done.fetch_add(held, Ordering::Relaxed);
        let mut state = window.state();
        state.held = state.held - expected + held;
        let first = state.done.is_empty();
        state.count += done.len();
        state.done.push(done);
        drop(state);
        if first {
            window.answered.notify_one();
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.hand_over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::queue::Limits;
    use futures_util::FutureExt as _;

    fn window(bytes: usize) -> Arc<Window> {
        let meters = Metrics::new().expect("figures").of("p");
        let pool = Arc::new(Pool::new(bytes));
        Window::new(Arc::new(Queue::new(Limits::default(), meters, [0].into())), pool, Held::default())
    }

    #[test]
    fn new_requests_come_when_half_of_the_window_is_free() {
        let window = window(2 << 20);
        let answered = |bytes| {
            window.done.fetch_add(bytes, Ordering::Relaxed);
            window.free(bytes);
        };
        window.admit(1000);
        let room = window.room().now_or_never().flatten().expect("it is nearly empty");
        assert_eq!(room, (1 << 20) - 1000);
        window.admit(room);
        assert!(window.room().now_or_never().is_none(), "it is full");
        answered(2000);
        assert!(window.room().now_or_never().is_some(), "one that asks anew takes what there is");
        window.admit(2000);
        let mut more = std::pin::pin!(window.room());
        assert!((&mut more).now_or_never().is_none());
        answered(4000);
        assert!((&mut more).now_or_never().is_none(), "one that waits waits for half");
        answered(room / 2);
        assert!((&mut more).now_or_never().is_some());
    }

    #[test]
    fn what_is_dropped_is_lost() {
        let window = window(1 << 20);
        window.admit(window.expected());
        drop(window.part().ticket(Tag { index: 0, id: None, begin: Instant::now() }, window.expected()));
        window.complete(1);
        let done: Vec<Done> = window.answers(0).now_or_never().expect("an answer").into_iter().flatten().collect();
        assert!(done[0].answer.as_ref().is_err_and(|failure| failure.why.contains("ended before")));
        window.free(done[0].held);
        assert_eq!(window.state().held, 0);
        assert!(window.answers(1).now_or_never().expect("no more").is_empty());
    }
}
