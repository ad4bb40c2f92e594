//! Runs the requests of a batch, and gives their answers.

use crate::Server;
use crate::http::reason;
use crate::metrics::Reason;
use crate::queue::{Answer, Ended, Env, Failure, Queue, Reply, Request};
use crate::window::{Answered, Done, Tag, Window};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use vectorvisor::End;
use vectorvisor_batch::{Format, Item, Items, lines};

/// Requests that are submitted together.
const TOGETHER: usize = 512;
/// Bytes of answers that are sent together, about, and the answers that are looked at to know how many they will be.
const PIECE: usize = 256 << 10;
const AT_ONCE: usize = 1024;

/// Runs the requests, and gives their answers: in their order, or as they end.
pub fn answers(
    window: Arc<Window>,
    queue: Arc<Queue>,
    format: Format,
    (items, head): (Items, Bytes),
    any_order: bool,
    env: Env,
    failures: Failures,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    // Apart from the answers: these are not asked for while the client does not read.
    tokio::spawn(submit(window.clone(), queue.clone(), items, env));
    let answers = Answers { window, queue, format, any_order, taken: 0, sent: 0, ready: VecDeque::new(), failures };
    let head = stream::iter((!head.is_empty()).then_some(Ok(head)));
    head.chain(stream::unfold(answers, |mut answers| async move { Some((Ok(answers.next().await?), answers)) }))
}

/// Submits the requests of a batch while there is room.
async fn submit(window: Arc<Window>, queue: Arc<Queue>, mut items: Items, env: Env) {
    let (line, mut next, mut count) = (queue.line(), items.next(), 0);
    while next.is_some() {
        // The client has gone.
        let Some(room) = window.room().await else { return };
        let (expected, begin) = (window.expected(), Instant::now());
        let bytes = |item: &Item| expected + item.stdin.as_ref().map_or(0, Bytes::len);
        let (mut some, mut held) = (Vec::new(), 0);
        items.apart();
        while some.len() < TOGETHER
            && let Some(item) = next.take_if(|item| some.is_empty() || held + bytes(item) <= room)
        {
            held += bytes(&item);
            some.push(item);
            next = items.next();
        }
        count += some.len();
        window.admit(held);
        let (part, mut refused) = (window.part(), Answered::of(1));
        let requests = some.into_iter().filter_map(|item| {
            let bytes = bytes(&item);
            let Item { index, id, stdin } = item;
            let ticket = part.ticket(Tag { index, id, begin }, bytes);
            match stdin {
                Ok(stdin) => Some(Request::new(stdin, env.clone(), Reply::OfBatch(ticket), begin)),
                Err(why) => {
                    refused.answer(ticket, Err(Failure { reason: Reason::Bad, why }));
                    None
                }
            }
        });
        let requests: Vec<Request> = requests.collect();
        refused.hand_over();
        if !requests.is_empty() {
            // If it is closed, their tickets tell that they are lost.
            _ = queue.push(line, requests);
        }
        tokio::task::yield_now().await;
    }
    window.complete(count);
}

/// The answers of a batch.
struct Answers {
    window: Arc<Window>,
    queue: Arc<Queue>,
    format: Format,
    any_order: bool,
    /// How many were taken from the window, and how many were sent.
    taken: usize,
    sent: usize,
    /// Those that were taken and not sent; where order counts, that of number `sent + k` is the `k`th.
    ready: VecDeque<Option<Done>>,
    failures: Failures,
}

/// Where it is told which requests of a batch failed.
pub struct Failures {
    pub server: Arc<Server>,
    pub program: String,
    /// The batch's id.
    pub request: String,
    pub told: usize,
}

/// Failures that are told of one batch.
const TOLD: usize = 3;

impl Failures {
    fn tell(&mut self, index: usize, reason: Reason, answer: &Answer) {
        if reason == Reason::Ok || self.told == TOLD {
            return;
        }
        self.told += 1;
        let request = format!("{} [{index}]", self.request);
        let why = answer.as_ref().map_or_else(|failure| failure.why.clone(), |ended| ended.outcome.end.to_string());
        tracing::info!(id = self.request, program = self.program, index, "failed: {why}");
        self.server.errors.add(&self.program, &request, reason, &why);
    }
}

impl Answers {
    /// Some of them, as they are sent.
    async fn next(&mut self) -> Option<Bytes> {
        while !matches!(self.ready.front(), Some(Some(_))) {
            let done = self.window.answers(self.taken).await;
            if done.is_empty() {
                return None;
            }
            self.taken += done.iter().map(Vec::len).sum::<usize>();
            let done = done.into_iter().flatten();
            if self.any_order {
                self.ready.extend(done.map(Some));
                continue;
            }
            for one in done {
                let at = one.tag.index - self.sent;
                if self.ready.len() <= at {
                    self.ready.resize_with(at + 1, || None);
                }
                self.ready[at] = Some(one);
            }
        }
        let meters = &self.queue.meters;
        let (mut held, seconds, now) = (0, meters.seconds.local(), Instant::now());
        // Not one that grows: each time all would be copied.
        let ready = self.ready.iter().flatten().map(|done| done.held).take(AT_ONCE);
        let mut text = Vec::with_capacity(ready.sum::<usize>().min(PIECE));
        while text.len() < PIECE
            && let Some(Some(done)) = self.ready.pop_front_if(|done| done.is_some())
        {
            let Tag { index, id, begin } = done.tag;
            held += done.held;
            self.sent += 1;
            let reason = reason(&done.answer);
            meters.ended(reason);
            self.failures.tell(index, reason, &done.answer);
            seconds.observe(now.saturating_duration_since(begin).as_secs_f64());
            write(self.format, &mut text, index, id.as_ref(), &done.answer);
        }
        seconds.flush();
        self.window.free(held);
        Some(text.into())
    }
}

/// Adds an answer.
fn write(format: Format, to: &mut Vec<u8>, index: usize, id: Option<&serde_json::Value>, answer: &Answer) {
    let (outcome, error) = match answer {
        Ok(Ended { outcome, .. }) => (Some(outcome), (outcome.end != End::Exit(0)).then(|| outcome.end.to_string())),
        Err(failure) => (None, Some(failure.why.clone())),
    };
    let exit = outcome.and_then(|o| if let End::Exit(code) = o.end { Some(code) } else { None });
    let (stdout, stderr): (&[u8], &[u8]) = outcome.map_or((&[], &[]), |o| (&o.stdout, &o.stderr));
    let status = reason(answer).status().as_u16();
    format.answer(to, status, lines::Answer { index, id, exit, stdout, error, stderr, ..Default::default() });
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.window.abandon();
    }
}
