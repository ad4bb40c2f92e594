//! Requests that wait for a VM: bounded, and handed to the fleet in packets.

use crate::metrics::{Meters, Reason};
use crate::window::{Answered, Ticket};
use prometheus::local::LocalHistogram;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use vectorvisor::{Bytes, Input, Outcome, Polled, Program, Source, Tuner, Waker};

/// How much may wait, and how long for company.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of each program that wait for a VM, not counting those of batches.
    pub requests: usize,
    /// Bytes of the bodies of all programs, from when they arrive until they are answered: half for single requests, half
    /// for batches. The answers of batches that wait for their clients, and room for those of requests under way, may take
    /// as many again; those of single requests half.
    pub bytes: usize,
    /// How long a request waits for others to share a launch with, while another launch runs.
    pub delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 65_536, bytes: 1 << 30, delay: Duration::from_millis(2) }
    }
}

/// Environment variables of a request, if it has any; those of a batch share them.
pub type Env = Option<Arc<[(String, String)]>>;

/// What became of a request; a failure is the client's or the server's, not the program's.
pub type Answer = Result<Ended, Failure>;

/// A request that ended.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    /// When there was a VM for it.
    pub begun: Instant,
}

/// Why a request had no run.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    pub why: String,
}

impl Failure {
    /// The threads of the fleets have gone.
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

    /// Whether no more of its batch begins for now: its client does not read its answers.
    fn held_back(&self) -> bool {
        matches!(self, Self::OfBatch(ticket) if ticket.held_back())
    }

    /// Answers the request, one of a batch with others.
    fn send(self, answer: Answer, answers: &mut Answered) {
        match self {
            Self::One(sender) => answers.gone += usize::from(sender.send(answer).is_err()),
            Self::OfBatch(ticket) => answers.answer(ticket, answer),
        }
    }
}

/// A request that waits for a VM.
pub struct Request {
    pub stdin: Bytes,
    pub env: Env,
    pub reply: Reply,
    pub since: Instant,
    /// How often a device failed that ran it.
    failures: u8,
}

impl Request {
    pub fn new(stdin: Bytes, env: Env, reply: Reply, since: Instant) -> Self {
        Self { stdin, env, reply, since, failures: 0 }
    }
}

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    Full,
    /// The server ends, or has no device at present.
    Closed,
}

/// The requests of one program. Its workers, a fleet each, take from it.
pub struct Queue {
    state: Mutex<State>,
    /// A worker stands aside, or one has tuned.
    aside: Condvar,
    /// The device of each worker.
    devices: Box<[usize]>,
    limits: Limits,
    lines: AtomicU64,
    /// Bytes that an answer has of late.
    usual: AtomicUsize,
    /// Requests that fill a launch of each worker's present fleet, [`WORTH`] at most.
    full: Box<[AtomicUsize]>,
    /// What each worker has. It alone changes its own, and adds requests only with `state` locked.
    held: Box<[Held]>,
    pub meters: Meters,
}

/// What a worker has, in a cache line of its own: it changes for each request.
#[derive(Default)]
#[repr(align(128))]
struct Held {
    requests: AtomicUsize,
    /// Those of them that run again aside.
    aside: AtomicUsize,
}

impl Held {
    fn all(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Those that new ones would share the device with, and wait for. Of the two counts one may be known a moment before
    /// the other.
    fn usual(&self) -> usize {
        self.all().saturating_sub(self.aside.load(Ordering::Relaxed))
    }

    fn add(&self, requests: usize) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }

    fn less(&self, requests: usize) {
        self.requests.fetch_sub(requests, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.requests.store(0, Ordering::Relaxed);
        self.aside.store(0, Ordering::Relaxed);
    }
}

/// The line of requests that failed devices gave back, and that of those that come alone. Each batch has one of its
/// own, and all lines have their turns.
const RETURNED: u64 = 0;
const ALONE: u64 = 1;
/// The packets that fill the VMs: as many as groups of VMs at most.
const PACKETS: usize = 8;
/// Requests of a turn.
const TURN: usize = 64;
/// What an idle worker takes at least, and does not leave to others that are idle.
const LEAST: usize = 64;
/// While a worker has requests, so many that come are worth another one of its device, if they do not wait for too long.
/// Fewer are soon taken by the first: the more threads use a device, the longer its driver takes for each call (110,000
/// requests a second on an H200: half of them had their answers after 0.96 ms with one worker, and after 1.05 with three).
const WORTH: usize = 64;
/// How often a request is given back. Two fleets of one device fail one after the other, so once would be too little.
const BACK: u8 = 2;
/// How long requests that are due are left to a worker that has fewer than others.
const OTHERS: Duration = Duration::from_millis(2);
/// When a batch is looked at again whose client does not read its answers.
const AGAIN: Duration = Duration::from_millis(5);
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
    /// When there was one, after there was none that may begin.
    since: Option<Instant>,
    /// No more are accepted.
    closed: bool,
    workers: Vec<Worker>,
    /// For each device the worker that tunes or is about to: its others stand aside.
    tunes: BTreeMap<usize, usize>,
    /// What those that have tuned run since.
    tuned: BTreeMap<usize, Program>,
}

/// A thread with a fleet.
enum Worker {
    /// It has a fleet, which the waker tells that there are requests. Once it has asked for some, and while it is idle, it
    /// is to be told if so many wait.
    Runs { waker: Waker, asked: Option<usize> },
    /// It has none at present.
    Tries,
    /// It waits until another has tuned, and has a fleet soon.
    Aside,
    /// It will have none.
    Gone,
}

impl State {
    fn add(&mut self, line: u64, requests: impl IntoIterator<Item = Request>) {
        let queue = self.lines.entry(line).or_default();
        let before = queue.len();
        queue.extend(requests);
        let added = queue.len() - before;
        if before + added == 0 {
            self.lines.remove(&line);
        }
        if self.waiting == 0 || self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.waiting += added;
    }

    /// The line that has the next turn.
    fn next_line(&self) -> Option<u64> {
        let after = self.lines.range((Excluded(self.last), Unbounded)).chain(self.lines.range(..=self.last));
        let held_back = |line: &VecDeque<Request>| line.front().is_some_and(|request| request.reply.held_back());
        // Those that were given back may be what a client waits for before it reads on.
        after.into_iter().find(|(number, line)| **number == RETURNED || !held_back(line)).map(|(number, _)| *number)
    }

    fn wakers(&self) -> Vec<Waker> {
        let waker = |worker: &Worker| if let Worker::Runs { waker, .. } = worker { Some(waker.clone()) } else { None };
        self.workers.iter().filter_map(waker).collect()
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(|waker| waker.wake());
}

impl Queue {
    /// A queue with a worker for each of these devices, of which some may be the same; none has a fleet yet.
    pub fn new(limits: Limits, meters: Meters, devices: Box<[usize]>) -> Self {
        let workers = devices.len();
        let state = State { workers: (0..workers).map(|_| Worker::Tries).collect(), ..State::default() };
        let held = (0..workers).map(|_| Held::default()).collect();
        Self {
            state: state.into(),
            aside: Condvar::new(),
            devices,
            limits,
            lines: AtomicU64::new(ALONE + 1),
            usual: USUAL.into(),
            full: (0..workers).map(|_| WORTH.into()).collect(),
            held,
            meters,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, if there is room.
    pub fn submit(&self, stdin: &[u8], env: Env) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (reply, answer) = oneshot::channel();
        self.push(ALONE, [Request::new(Bytes::copy_from_slice(stdin), env, Reply::One(reply), Instant::now())])?;
        Ok(answer)
    }

    /// The number of a line for a batch.
    pub fn line(&self) -> u64 {
        self.lines.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds requests to a line. Those that are refused are dropped. Those of batches also wait for a device to come
    /// back.
    pub fn push(&self, line: u64, requests: impl IntoIterator<Item = Request>) -> Result<(), Refused> {
        let mut state = self.state();
        let takes = |worker: &Worker| match worker {
            Worker::Runs { .. } | Worker::Aside => true,
            Worker::Tries => line != ALONE,
            Worker::Gone => false,
        };
        if state.closed || !state.workers.iter().any(takes) {
            return Err(Refused::Closed);
        }
        if line == ALONE && state.lines.get(&ALONE).is_some_and(|line| line.len() >= self.limits.requests) {
            return Err(Refused::Full);
        }
        let before = state.waiting;
        state.add(line, requests);
        let wakers = self.who_takes(&state, before);
        drop(state);
        wake(wakers);
        Ok(())
    }

    /// Who is to be told that requests wait, and not only as many as `before`: of those that begin at once, or else of
    /// others that are idle, as many as get a part; if none is, all, but not of each.
    fn who_takes(&self, state: &State, before: usize) -> Vec<Waker> {
        let worth = self.worth();
        let idle = |begins: bool| -> Vec<Waker> {
            let told = state.workers.iter().enumerate().filter_map(|(number, worker)| match worker {
                Worker::Runs { waker, asked: Some(least) } if self.held[number].usual() == 0 => {
                    let told = if begins { self.begins(state, number) } else { state.waiting >= *least };
                    told.then(|| waker.clone())
                }
                _ => None,
            });
            told.take(state.waiting.div_ceil(LEAST)).collect()
        };
        let told = [true, false].into_iter().map(idle).find(|told| !told.is_empty());
        let all = before == 0 || before / worth != state.waiting / worth;
        told.unwrap_or_else(|| if all { state.wakers() } else { Vec::new() })
    }

    /// So many requests are worth another worker of a device, while one has some.
    fn worth(&self) -> usize {
        self.full.iter().map(|full| full.load(Ordering::Relaxed)).min().unwrap_or(WORTH)
    }

    /// Whether a worker takes some of what waits at once: it has none, and they are many or its device has nothing to do.
    fn begins(&self, state: &State, worker: usize) -> bool {
        let idle = |worker: usize| self.held[worker].usual() == 0;
        let mut device = (0..self.held.len()).filter(|other| self.devices[*other] == self.devices[worker]);
        idle(worker) && (state.waiting >= self.worth() || device.all(idle))
    }

    /// How many of those that wait a worker takes, so that all have about as many.
    fn part(&self, state: &State, worker: usize) -> usize {
        let held = |worker: usize| self.held[worker].usual();
        let asks = |i: &usize| matches!(state.workers[*i], Worker::Runs { asked: Some(_), .. });
        let level = level((0..self.held.len()).filter(asks).map(held).collect(), state.waiting);
        let part = level.saturating_sub(held(worker));
        if held(worker) == 0 { part.max(LEAST) } else { part }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().waiting
    }

    /// Bytes that an answer has of late.
    pub fn usual(&self) -> usize {
        self.usual.load(Ordering::Relaxed)
    }

    /// An answer has so many bytes.
    pub fn answered(&self, bytes: usize) {
        // Of two at the same time one may be forgotten.
        let usual = self.usual();
        self.usual.store(usual - usual / 16 + bytes / 16, Ordering::Relaxed);
    }

    /// Whether requests are accepted.
    pub fn ready(&self) -> bool {
        let state = self.state();
        !state.closed && state.workers.iter().any(|worker| matches!(worker, Worker::Runs { .. }))
    }

    /// Whether a worker has a fleet.
    pub fn runs(&self, worker: usize) -> bool {
        matches!(self.state().workers[worker], Worker::Runs { .. })
    }

    /// A worker has a fleet.
    pub fn begin(&self, worker: usize, waker: Waker) {
        self.state().workers[worker] = Worker::Runs { waker, asked: None };
    }

    /// A worker, which has no requests, is about to tune: waits until the others stand aside, as far as they have fleets.
    pub fn tune(&self, worker: usize) -> Tuning<'_> {
        let (mut state, device) = (self.state(), self.devices[worker]);
        state.tunes.insert(device, worker);
        // It is not idle: others are told of requests.
        if let Worker::Runs { asked, .. } = &mut state.workers[worker] {
            *asked = None;
        }
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
        let other = |number: usize| number != worker && self.devices[number] == device;
        let runs = |(number, worker): (usize, &Worker)| other(number) && matches!(worker, Worker::Runs { .. });
        let others_run = |state: &mut State| state.workers.iter().enumerate().any(runs);
        drop(self.aside.wait_while(self.state(), others_run).unwrap_or_else(PoisonError::into_inner));
        self.pause(worker);
        Tuning { queue: self, device }
    }

    /// A worker, which has no requests, stands aside while another of its device tunes. `None` if none does; else what that
    /// one runs since, if it succeeded.
    pub fn stand_aside(&self, worker: usize) -> Option<Option<Program>> {
        let (mut state, device) = (self.state(), self.devices[worker]);
        state.tunes.get(&device)?;
        state.workers[worker] = Worker::Aside;
        self.aside.notify_all();
        // It may have been the only one that was told of requests.
        wake(state.wakers());
        let tunes = |state: &mut State| state.tunes.contains_key(&device);
        let state = self.aside.wait_while(state, tunes).unwrap_or_else(PoisonError::into_inner);
        Some(state.tuned.get(&device).cloned())
    }

    /// A worker, which has no requests, takes none for a while: others need not leave it a part. If there are no
    /// others, requests wait for it.
    pub fn pause(&self, worker: usize) {
        let mut state = self.state();
        let runs = |(number, other): (usize, &Worker)| number != worker && matches!(other, Worker::Runs { .. });
        if state.workers.iter().enumerate().any(runs) {
            state.workers[worker] = Worker::Tries;
        } else if let Worker::Runs { asked, .. } = &mut state.workers[worker] {
            // It is not idle: one that comes back meanwhile is told of requests, too.
            *asked = None;
        }
        let wakers = state.wakers();
        drop(state);
        // Some may have left it requests that wait.
        wake(wakers);
    }

    /// A worker has no fleet any more, and gives back what it had: requests that had `begun`, which run again from
    /// their beginning, and others. Those fail that were given back [`BACK`] times before: it may be their fault.
    /// Returns how many fail.
    pub fn fail(
        &self,
        worker: usize,
        begun: impl Iterator<Item = Request>,
        others: impl IntoIterator<Item = Request>,
        why: &str,
    ) -> usize {
        let (failed, mut again): (Vec<Request>, Vec<Request>) = begun.partition(|request| request.failures == BACK);
        again.iter_mut().for_each(|request| request.failures += 1);
        let count = failed.len();
        let mut state = self.state();
        state.workers[worker] = Worker::Tries;
        self.held[worker].clear();
        state.add(RETURNED, again.into_iter().chain(others));
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
        let mut answers = Answered::of(1);
        for request in failed {
            let why = format!("the device failed each of the {} times that this request ran: {why}", BACK + 1);
            request.reply.send(Err(Failure { reason: Reason::Lost, why }), &mut answers);
        }
        count
    }

    /// A worker ends. Whether it was the last one; then those that wait fail.
    pub fn leave(&self, worker: usize) -> bool {
        let mut state = self.state();
        state.workers[worker] = Worker::Gone;
        self.held[worker].clear();
        let last = state.workers.iter().all(|worker| matches!(worker, Worker::Gone));
        let mut lines = BTreeMap::new();
        if last {
            state.waiting = 0;
            lines = std::mem::take(&mut state.lines);
        }
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
        let mut answers = Answered::of(1);
        for request in lines.into_values().flatten() {
            let why = "the device failed before this request ran to its end".into();
            request.reply.send(Err(Failure { reason: Reason::Lost, why }), &mut answers);
        }
        last
    }

    /// Accepts no more. The runs end when all that were accepted have ended.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
    }

    pub fn closed(&self) -> bool {
        self.state().closed
    }

    /// Whether it is closed, and all have ended.
    pub fn over(&self) -> bool {
        self.all_ended(&self.state())
    }

    fn all_ended(&self, state: &State) -> bool {
        state.closed && state.waiting == 0 && self.held.iter().all(|held| held.all() == 0)
    }
}

/// A worker tunes until this is dropped.
pub struct Tuning<'a> {
    queue: &'a Queue,
    device: usize,
}

impl Tuning<'_> {
    /// It runs this since.
    pub fn tuned(self, program: &Program) {
        self.queue.state().tuned.insert(self.device, program.clone());
    }
}

impl Drop for Tuning<'_> {
    fn drop(&mut self) {
        self.queue.state().tunes.remove(&self.device);
        self.queue.aside.notify_all();
    }
}

/// The number that each has at least when so many more are given to those that have least.
fn level(mut held: Vec<usize>, more: usize) -> usize {
    held.sort_unstable();
    let mut sum = more;
    for (i, has) in held.iter().enumerate() {
        if i > 0 && sum.div_ceil(i) <= *has {
            return sum.div_ceil(i);
        }
        sum += has;
    }
    sum.div_ceil(held.len().max(1))
}

/// Requests that the VMs of a worker have, by the number of their input.
pub struct Running<'a> {
    queue: &'a Queue,
    worker: usize,
    /// The number of the first.
    first: usize,
    /// Each with when it began.
    requests: VecDeque<Option<(Request, Instant)>>,
    /// Answers that were not handed over yet, and how many.
    answers: Answered,
    answered: usize,
}

impl<'a> Running<'a> {
    pub fn new(queue: &'a Queue, worker: usize) -> Self {
        let (requests, answers) = (VecDeque::new(), Answered::of(TURN));
        Self { queue, worker, first: 0, requests, answers, answered: 0 }
    }

    /// Answers a request; what batches get is handed over with [`Self::settled`], if not before.
    pub fn answer(&mut self, outcome: Outcome) {
        let at = outcome.index.checked_sub(self.first);
        let Some((request, begun)) = at.and_then(|at| self.requests.get_mut(at)?.take()) else { return };
        while let Some(None) = self.requests.front() {
            self.requests.pop_front();
            self.first += 1;
        }
        request.reply.send(Ok(Ended { outcome, begun }), &mut self.answers);
        self.answered += 1;
        if self.answered == TURN {
            self.settled();
        }
    }

    /// Hands over what there is.
    pub fn settled(&mut self) {
        if self.answered == 0 {
            return;
        }
        self.answers.hand_over();
        self.queue.held[self.worker].less(std::mem::take(&mut self.answered));
        self.queue.meters.gone(std::mem::take(&mut self.answers.gone));
    }

    /// All that have no answer.
    pub fn left(mut self) -> impl Iterator<Item = Request> {
        self.settled();
        self.requests.into_iter().flatten().map(|(request, _)| request)
    }
}

/// The source of a worker's run: takes requests as packets. While all of its device are idle a request begins at once, and
/// [`WORTH`] while this one is; else when one has waited for `delay`, or when as many wait as fill a launch. What a packet
/// leaves is for workers that have fewer.
pub struct Packets<'a, 'q> {
    queue: &'q Queue,
    worker: usize,
    running: &'a RefCell<Running<'q>>,
    /// When it is ready the run ends, though requests may wait.
    tuner: &'a RefCell<&'a mut Option<Tuner>>,
    vms: usize,
    /// Requests that fill a launch.
    full: usize,
    /// What is left of the packet that is being taken.
    part: usize,
    /// Those of a turn, taken at this time.
    turn: VecDeque<Request>,
    now: Instant,
    waited: LocalHistogram,
}

impl<'a, 'q> Packets<'a, 'q> {
    pub fn new(running: &'a RefCell<Running<'q>>, tuner: &'a RefCell<&'a mut Option<Tuner>>, vms: usize) -> Self {
        let Running { queue, worker, .. } = *running.borrow();
        let (turn, waited) = (VecDeque::with_capacity(TURN), queue.meters.waited.local());
        let full = (vms / PACKETS).max(1);
        queue.full[worker].store(full.min(WORTH), Ordering::Relaxed);
        queue.held[worker].aside.store(0, Ordering::Relaxed);
        Self { queue, worker, running, tuner, vms, full, part: 0, turn, now: Instant::now(), waited }
    }

    /// Those that were taken and did not begin.
    pub fn left(self) -> VecDeque<Request> {
        self.turn
    }

    /// Takes the next turn, if it is time for one.
    fn take(&mut self) -> Option<Polled<Input>> {
        self.waited.flush();
        if self.tuner.borrow().as_ref().is_some_and(Tuner::is_ready) {
            return Some(Polled::Ended);
        }
        let (queue, held) = (self.queue, &self.queue.held[self.worker]);
        let mut guard = queue.state();
        let state = &mut *guard;
        let asks = |state: &mut State, least: usize| {
            if let Worker::Runs { asked, .. } = &mut state.workers[self.worker] {
                *asked = Some(least);
            }
        };
        asks(state, 1);
        if !state.tunes.is_empty() && state.tunes.contains_key(&queue.devices[self.worker]) {
            return Some(Polled::Ended);
        }
        if state.waiting == 0 {
            self.part = 0;
            if !queue.all_ended(state) {
                // Others may give some back.
                return Some(Polled::NotYet(None));
            }
            let others = state.wakers();
            drop(guard);
            wake(others);
            return Some(Polled::Ended);
        }
        self.now = Instant::now();
        if self.part == 0 {
            // A delay beyond the clock's end never passes.
            let due = state.since.map_or(Some(self.now), |since| since.checked_add(queue.limits.delay));
            let late = due.and_then(|due| due.checked_add(OTHERS));
            let passed = |time: Option<Instant>| time.is_some_and(|time| time <= self.now);
            let begins = queue.begins(state, self.worker);
            if !(begins || state.waiting >= self.full || state.closed || passed(due)) {
                // One that leaves them to another need not be told of each that comes.
                asks(state, queue.worth());
                return Some(Polled::NotYet(due));
            }
            self.part = if state.closed || passed(late) { usize::MAX } else { queue.part(state, self.worker) };
            if self.part == 0 {
                return Some(Polled::NotYet(late));
            }
        }
        let Some(next) = state.next_line() else {
            (self.part, state.since) = (0, None);
            return Some(Polled::NotYet(self.now.checked_add(AGAIN)));
        };
        state.last = next;
        if let Some(line) = state.lines.get_mut(&next) {
            // No more than there may be VMs for: another worker may have some.
            let free = self.vms.saturating_sub(held.all()).max(1);
            self.turn.extend(line.drain(..line.len().min(TURN).min(self.part).min(free)));
            if line.is_empty() {
                state.lines.remove(&next);
            }
        }
        state.waiting -= self.turn.len();
        self.part -= self.turn.len();
        held.add(self.turn.len());
        None
    }
}

impl Source<Input> for Packets<'_, '_> {
    fn poll(&mut self) -> Polled<Input> {
        loop {
            let Some(request) = self.turn.pop_front() else {
                match self.take() {
                    Some(polled) => return polled,
                    None => continue,
                }
            };
            if request.reply.gone() {
                self.queue.held[self.worker].less(1);
                self.queue.meters.gone(1);
                continue;
            }
            let waited = self.now.saturating_duration_since(request.since);
            self.waited.observe(waited.as_secs_f64());
            let env = request.env.as_ref().map_or(Vec::new(), |env| env.to_vec());
            let input = Input { stdin: request.stdin.clone(), env, ..Input::default() };
            if let Some(tuner) = &mut **self.tuner.borrow_mut() {
                tuner.begin(&input);
            }
            self.running.borrow_mut().requests.push_back(Some((request, self.now)));
            return Polled::Ready(input);
        }
    }

    fn settled(&mut self) {
        self.running.borrow_mut().settled();
    }

    fn aside(&mut self, inputs: usize) {
        self.queue.held[self.worker].aside.store(inputs, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Ordering, Queue, WORTH, Worker};
    use crate::metrics::Metrics;
    use vectorvisor::{CachePolicy, Drivers, Engine, Fleet, FleetOptions, Program, ProgramOptions, Quirks};

    fn fleet() -> Fleet {
        let (drivers, cpu) = (Drivers(vec![vectorvisor_cpu::driver()]), "cpu".parse().expect("a backend"));
        let engine = Engine::open(&drivers, &cpu, Quirks::default()).expect("the cpu opens");
        let options = ProgramOptions { cache: CachePolicy::Off, ..Default::default() };
        let program = Program::new(&engine, b"(module (func (export \"_start\")))", &options, &mut |_| {});
        Fleet::new(&program.expect("it compiles"), &FleetOptions::default(), Some(1)).expect("room")
    }

    fn queue(devices: &[usize]) -> Queue {
        Queue::new(Limits::default(), Metrics::new().expect("figures").of("p"), devices.into())
    }

    #[test]
    fn one_request_is_for_a_device_that_has_none() {
        let (queue, fleet) = (queue(&[0, 0, 1]), fleet());
        (0..3).for_each(|worker| queue.begin(worker, fleet.waker()));
        let begin = |waiting: usize| {
            let mut state = queue.state();
            state.waiting = waiting;
            [0, 1, 2].map(|worker| queue.begins(&state, worker))
        };
        assert_eq!(begin(1), [true; 3]);
        queue.held[0].add(1);
        assert_eq!(begin(1), [false, false, true], "the other of the device leaves it to the first");
        assert_eq!(begin(WORTH), [false, true, true]);
        queue.held[0].aside.store(1, Ordering::Relaxed);
        assert_eq!(begin(1), [true; 3], "nobody waits for what runs again aside");
        queue.held[0].aside.store(0, Ordering::Relaxed);
        queue.held[2].add(1);
        assert_eq!(begin(1), [false; 3]);
    }

    #[test]
    fn a_worker_that_autotunes_does_not_count_as_idle() {
        let (queue, fleet) = (queue(&[0, 1]), fleet());
        let asks = |worker: usize| {
            queue.begin(worker, fleet.waker());
            if let Worker::Runs { asked, .. } = &mut queue.state().workers[worker] {
                *asked = Some(1);
            }
        };
        let told = || {
            let mut state = queue.state();
            state.waiting = 1;
            queue.who_takes(&state, 0).len()
        };
        asks(0);
        asks(1);
        assert_eq!(told(), 1, "one of two that are idle");
        queue.fail(1, std::iter::empty(), [], "");
        queue.pause(0);
        assert!(queue.ready(), "requests wait for the only one");
        queue.begin(1, fleet.waker());
        assert_eq!(told(), 2, "none is idle, and one comes back");
        queue.pause(0);
        assert_eq!(told(), 1, "the other");
    }

    #[test]
    fn those_that_have_least_get_as_many_as_others() {
        let level = |held: &[usize], more| super::level(held.to_vec(), more);
        assert_eq!([level(&[0], 7), level(&[9], 7), level(&[0, 0], 1000), level(&[500, 0], 500)], [7, 16, 500, 500]);
        assert_eq!([level(&[8000, 256], 500), level(&[8000, 256], 8000), level(&[3, 3], 1)], [756, 8128, 4]);
        assert_eq!([level(&[10_000, 0, 0], 1000), level(&[10, 0, 0], 1000)], [500, 337]);
    }
}
