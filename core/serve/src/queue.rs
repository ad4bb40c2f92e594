//! Requests that wait for a VM: bounded, and handed to the fleet in packets.

use crate::metrics::{Meters, Reason};
use crate::window::Ticket;
use prometheus::local::LocalHistogram;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use vectorvisor::{Input, Outcome, Polled, Source, Waker};

/// How much may wait, and how long for company.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of each program that wait for a VM, not counting those of batches.
    pub requests: usize,
    /// Bytes of the bodies of all programs, from when they are read until they are answered. The answers of batches that
    /// wait for their clients, and room for those of requests under way, may take as many again.
    pub bytes: usize,
    /// How long a request waits for others to share a launch with, while another launch runs.
    pub delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 65_536, bytes: 1 << 30, delay: Duration::from_millis(2) }
    }
}

/// Environment variables of a request.
pub type Env = Vec<(String, String)>;

/// What became of a request; a failure is the client's or the server's, not the program's.
pub type Answer = Result<Ended, Failure>;

/// A request that ended.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    /// How long it waited for a VM.
    pub waited: Duration,
}

/// Why a request had no run.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    pub why: String,
}

impl Failure {
    /// The thread of the fleet has gone.
    pub fn lost() -> Self {
        Self { reason: Reason::Lost, why: "the server ended before this request did".into() }
    }
}

/// Who waits for an answer.
pub enum Reply {
    One(oneshot::Sender<Answer>),
    OfBatch(Ticket),
}

impl Reply {
    /// Whether the client has gone.
    fn gone(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::OfBatch(ticket) => ticket.gone(),
        }
    }

    /// Whether the client was still there.
    fn send(self, answer: Answer) -> bool {
        match self {
            Self::One(sender) => sender.send(answer).is_ok(),
            Self::OfBatch(ticket) => ticket.answer(answer),
        }
    }
}

/// A request that waits for a VM.
pub struct Request {
    pub stdin: Arc<[u8]>,
    pub env: Env,
    pub reply: Reply,
    pub since: Instant,
}

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    Full,
    /// The server ends, or has no device at present.
    Closed,
}

/// The requests of one program.
pub struct Queue {
    state: Mutex<State>,
    limits: Limits,
    lines: AtomicU64,
    /// Bytes that an answer has of late.
    usual: AtomicUsize,
    pub meters: Meters,
}

/// The line of requests that come alone. Each batch has one of its own, and all lines have their turns.
const ALONE: u64 = 0;
/// Requests of a turn.
const TURN: usize = 64;
/// Bytes that an answer is taken to have before there was one.
const USUAL: usize = 16 << 10;

#[derive(Default)]
struct State {
    /// None of them is empty.
    lines: BTreeMap<u64, VecDeque<Request>>,
    /// The line that had its turn last.
    last: u64,
    /// Requests of all lines.
    waiting: usize,
    /// When there was one, after there was none.
    since: Option<Instant>,
    /// No more are accepted.
    closed: bool,
    /// Tells the run that there are some; `None` while there is no fleet.
    waker: Option<Waker>,
}

impl Queue {
    pub fn new(limits: Limits, meters: Meters) -> Self {
        Self { state: Mutex::default(), limits, lines: AtomicU64::new(ALONE + 1), usual: USUAL.into(), meters }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, if there is room.
    pub fn submit(&self, stdin: &[u8], env: Env) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request { stdin: stdin.into(), env, reply: Reply::One(reply), since: Instant::now() };
        self.push(ALONE, [request])?;
        Ok(answer)
    }

    /// The number of a line for a batch.
    pub fn line(&self) -> u64 {
        self.lines.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds requests to a line. Those that are refused are dropped.
    pub fn push(&self, line: u64, requests: impl IntoIterator<Item = Request>) -> Result<(), Refused> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (false, Some(waker)) = (state.closed, state.waker.clone()) else { return Err(Refused::Closed) };
        let queue = state.lines.entry(line).or_default();
        if line == ALONE && queue.len() >= self.limits.requests {
            return Err(Refused::Full);
        }
        let before = queue.len();
        queue.extend(requests);
        let added = queue.len() - before;
        if state.waiting == 0 {
            state.since = Some(Instant::now());
        }
        state.waiting += added;
        drop(guard);
        waker.wake();
        Ok(())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().waiting
    }

    /// Bytes that an answer has of late.
    pub fn usual(&self) -> usize {
        self.usual.load(Ordering::Relaxed)
    }

    /// An answer has so many bytes. Called by one thread at a time.
    pub fn answered(&self, bytes: usize) {
        let usual = self.usual();
        self.usual.store(usual - usual / 16 + bytes / 16, Ordering::Relaxed);
    }

    /// Whether requests are accepted.
    pub fn ready(&self) -> bool {
        let state = self.state();
        !state.closed && state.waker.is_some()
    }

    /// There is a fleet, or none any more: what waits then is refused.
    pub fn set_waker(&self, waker: Option<Waker>) {
        let mut state = self.state();
        let lines = match waker {
            Some(_) => BTreeMap::new(),
            None => {
                state.waiting = 0;
                std::mem::take(&mut state.lines)
            }
        };
        state.waker = waker;
        drop(state);
        for request in lines.into_values().flatten() {
            let why = "the device failed before this request began".into();
            request.reply.send(Err(Failure { reason: Reason::Lost, why }));
        }
    }

    /// Accepts no more. The run ends when all that were accepted have ended.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn closed(&self) -> bool {
        self.state().closed
    }
}

/// Requests that VMs have, by the number of their input.
#[derive(Default)]
pub struct Running {
    /// The number of the first.
    first: usize,
    replies: VecDeque<Option<(Reply, Duration)>>,
    count: usize,
}

impl Running {
    /// Whether the client was still there.
    pub fn answer(&mut self, outcome: Outcome) -> bool {
        let at = outcome.index.checked_sub(self.first);
        let Some((reply, waited)) = at.and_then(|at| self.replies.get_mut(at)?.take()) else { return false };
        self.count -= 1;
        while let Some(None) = self.replies.front() {
            self.replies.pop_front();
            self.first += 1;
        }
        reply.send(Ok(Ended { outcome, waited }))
    }

    /// Answers all that are left.
    pub fn fail(&mut self, why: &str) {
        for (reply, _) in self.replies.drain(..).flatten() {
            reply.send(Err(Failure { reason: Reason::Lost, why: why.to_owned() }));
        }
        self.count = 0;
    }
}

/// The source of a run: takes requests as packets. While nothing runs a request begins at once; else when one has waited
/// for `delay`, or when as many wait as a group has VMs.
pub struct Packets<'a> {
    queue: &'a Queue,
    running: &'a RefCell<Running>,
    /// Requests that fill a launch.
    full: usize,
    /// A packet is being taken: all that wait go with it.
    taking: bool,
    /// Those of a turn, taken at this time.
    turn: VecDeque<Request>,
    now: Instant,
    waited: LocalHistogram,
}

impl<'a> Packets<'a> {
    pub fn new(queue: &'a Queue, running: &'a RefCell<Running>, full: usize) -> Self {
        let (turn, waited) = (VecDeque::with_capacity(TURN), queue.meters.waited.local());
        Self { queue, running, full, taking: false, turn, now: Instant::now(), waited }
    }

    /// Takes the next turn, if it is time for one.
    fn take(&mut self) -> Option<Polled<Input>> {
        self.waited.flush();
        let mut guard = self.queue.state();
        let state = &mut *guard;
        if state.waiting == 0 {
            self.taking = false;
            return Some(if state.closed { Polled::Ended } else { Polled::NotYet(None) });
        }
        // A delay beyond the clock's end never passes.
        let due = state.since.and_then(|since| since.checked_add(self.queue.limits.delay));
        self.now = Instant::now();
        self.taking |= self.running.borrow().count == 0
            || state.waiting >= self.full
            || state.closed
            || due.is_some_and(|due| due <= self.now);
        if !self.taking {
            return Some(Polled::NotYet(due));
        }
        let after = state.lines.range((Excluded(state.last), Unbounded)).next().map(|(line, _)| *line);
        let next = after.or_else(|| state.lines.keys().next().copied())?;
        state.last = next;
        if let Some(line) = state.lines.get_mut(&next) {
            self.turn.extend(line.drain(..line.len().min(TURN)));
            if line.is_empty() {
                state.lines.remove(&next);
            }
        }
        state.waiting -= self.turn.len();
        None
    }
}

impl Source<Input> for Packets<'_> {
    fn poll(&mut self) -> Polled<Input> {
        loop {
            let Some(Request { stdin, env, reply, since }) = self.turn.pop_front() else {
                match self.take() {
                    Some(polled) => return polled,
                    None => continue,
                }
            };
            if reply.gone() {
                self.queue.meters.ended(Reason::Gone);
                continue;
            }
            let waited = self.now.saturating_duration_since(since);
            self.waited.observe(waited.as_secs_f64());
            let mut running = self.running.borrow_mut();
            running.replies.push_back(Some((reply, waited)));
            running.count += 1;
            return Polled::Ready(Input { stdin, env, ..Input::default() });
        }
    }
}
