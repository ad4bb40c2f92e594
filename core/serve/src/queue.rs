//! Requests that wait for a VM: bounded, and handed to the fleet in packets.

use crate::metrics::Meters;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use vectorvisor::{Input, Outcome, Polled, Source, Waker};

/// How much may wait, and how long for company.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of each program that wait for a VM, and as many again of its batches.
    pub requests: usize,
    /// Bytes of the bodies of all programs, from when they are read until they are answered (those of batches: until all
    /// their requests are in the queue).
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

/// What became of a request; an error is the server's, not the program's.
pub type Answer = Result<Ended, String>;

/// A request that ended.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    /// How long it waited for a VM.
    pub waited: Duration,
}

/// A request that waits for a VM.
struct Request {
    stdin: Arc<[u8]>,
    env: Env,
    reply: oneshot::Sender<Answer>,
    since: Instant,
    /// Its room in the queue.
    _room: OwnedSemaphorePermit,
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
    /// Room for single requests, and for those of batches: neither takes the other's.
    room: [Arc<Semaphore>; 2],
    pub meters: Meters,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// No more are accepted.
    closed: bool,
    /// Tells the run that there are some; `None` while there is no fleet.
    waker: Option<Waker>,
}

impl Queue {
    pub fn new(limits: Limits, meters: Meters) -> Self {
        let room = [limits.requests; 2].map(|n| Arc::new(Semaphore::new(n)));
        Self { state: Mutex::default(), limits, room, meters }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, if there is room.
    pub fn submit(&self, stdin: &[u8], env: Env) -> Result<oneshot::Receiver<Answer>, Refused> {
        self.push(stdin, env, self.room[0].clone().try_acquire_owned().map_err(|_| Refused::Full)?)
    }

    /// Adds a request of a batch, and waits until there is room. To be awaited without a pause, since room is given to
    /// those that wait.
    pub async fn submit_when_there_is_room(
        &self,
        stdin: &[u8],
        env: Env,
    ) -> Result<oneshot::Receiver<Answer>, Refused> {
        self.push(stdin, env, self.room[1].clone().acquire_owned().await.map_err(|_| Refused::Closed)?)
    }

    fn push(&self, stdin: &[u8], env: Env, room: OwnedSemaphorePermit) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request { stdin: stdin.into(), env, reply, since: Instant::now(), _room: room };
        let mut state = self.state();
        let (false, Some(waker)) = (state.closed, state.waker.clone()) else { return Err(Refused::Closed) };
        state.waiting.push_back(request);
        drop(state);
        waker.wake();
        Ok(answer)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Whether requests are accepted.
    pub fn ready(&self) -> bool {
        let state = self.state();
        !state.closed && state.waker.is_some()
    }

    /// There is a fleet, or none any more: what waits then is refused.
    pub fn set_waker(&self, waker: Option<Waker>) {
        let mut state = self.state();
        if waker.is_none() {
            for request in state.waiting.drain(..) {
                // A client that has gone needs no answer.
                _ = request.reply.send(Err("the device failed before this request began".into()));
            }
        }
        state.waker = waker;
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
    replies: VecDeque<Option<(oneshot::Sender<Answer>, Duration)>>,
    count: usize,
}

impl Running {
    pub fn answer(&mut self, outcome: Outcome) {
        let at = outcome.index.checked_sub(self.first);
        let Some((reply, waited)) = at.and_then(|at| self.replies.get_mut(at)?.take()) else { return };
        self.count -= 1;
        while let Some(None) = self.replies.front() {
            self.replies.pop_front();
            self.first += 1;
        }
        // A client that has gone needs no answer.
        _ = reply.send(Ok(Ended { outcome, waited }));
    }

    /// Answers all that are left.
    pub fn fail(&mut self, why: &str) {
        for (reply, _) in self.replies.drain(..).flatten() {
            _ = reply.send(Err(why.to_owned()));
        }
        self.count = 0;
    }
}

/// The source of a run: takes requests as packets. While nothing runs a request begins at once; else when it has waited
/// for `delay`, or when as many wait as a group has VMs.
pub struct Packets<'a> {
    pub queue: &'a Queue,
    pub running: &'a RefCell<Running>,
    /// Requests that fill a launch.
    pub full: usize,
    /// A packet is being taken: all that wait go with it.
    pub taking: bool,
}

impl Source<Input> for Packets<'_> {
    fn poll(&mut self) -> Polled<Input> {
        let mut running = self.running.borrow_mut();
        let mut state = self.queue.state();
        loop {
            let Some(first) = state.waiting.front() else {
                self.taking = false;
                return if state.closed { Polled::Ended } else { Polled::NotYet(None) };
            };
            // A delay beyond the clock's end never passes.
            let due = first.since.checked_add(self.queue.limits.delay);
            let now = Instant::now();
            self.taking |= running.count == 0
                || state.waiting.len() >= self.full
                || state.closed
                || due.is_some_and(|due| due <= now);
            if !self.taking {
                return Polled::NotYet(due);
            }
            let Some(request) = state.waiting.pop_front() else { continue };
            // Its client has gone.
            if request.reply.is_closed() {
                continue;
            }
            let waited = now.saturating_duration_since(request.since);
            self.queue.meters.waited.observe(waited.as_secs_f64());
            running.replies.push_back(Some((request.reply, waited)));
            running.count += 1;
            let Request { stdin, env, .. } = request;
            return Polled::Ready(Input { stdin, env, ..Input::default() });
        }
    }
}
