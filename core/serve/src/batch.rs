//! Many requests in one body, and their answers.

use crate::Server;
use crate::http::reason;
use crate::lines;
use crate::metrics::Reason;
use crate::queue::{Answer, Ended, Env, Failure, Queue, Reply, Request};
use crate::window::{Answered, Done, Tag, Window};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _};
use rmp::Marker;
use rmp::decode::RmpRead as _;
use rmp::encode::ValueWriteError;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use vectorvisor::End;

/// Requests that are submitted together.
const TOGETHER: usize = 512;
/// Bytes of answers that are sent together, about, and the answers that are looked at to know how many they will be.
const PIECE: usize = 256 << 10;
const AT_ONCE: usize = 1024;

/// The form of a batch and of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A request a line: an object with `stdin` or `stdin_base64`, and perhaps an `id`; else the line itself.
    Lines,
    /// For each request its length, 4 bytes, least first, and so many bytes.
    Lengths,
    /// A MessagePack array of binaries or strings; the answers are an array of maps with the members of a line.
    MsgPack,
}

/// A request of a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    index: usize,
    id: Option<serde_json::Value>,
    stdin: Result<Bytes, String>,
}

/// The requests of a batch, read one at a time: they may be many, and short.
#[derive(Debug)]
pub struct Items {
    format: Format,
    body: Bytes,
    /// What follows.
    rest: Bytes,
    next: usize,
}

impl Items {
    /// Lets those that follow count their references apart from those before, which other threads have.
    fn apart(&mut self) {
        self.rest = Bytes::from_owner(self.body.slice_ref(&self.rest));
    }
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.rest.is_empty() {
            return None;
        }
        let index = self.next;
        self.next += 1;
        Some(match self.format {
            Format::Lines => {
                let length = memchr::memchr(b'\n', &self.rest).unwrap_or(self.rest.len());
                let line = self.rest.split_to(length);
                self.rest.advance(self.rest.len().min(1));
                let line = line.slice(..line.strip_suffix(b"\r").map_or(line.len(), <[u8]>::len));
                if line.trim_ascii_start().first() != Some(&b'{') {
                    return Some(Item { index, id: None, stdin: Ok(line) });
                }
                match lines::given(line.to_vec()) {
                    Ok(given) => Item { index, id: given.id, stdin: Ok(given.stdin.into()) },
                    Err(why) => Item { index, id: None, stdin: Err(why) },
                }
            }
            Format::Lengths => Item { index, id: None, stdin: cut(&mut self.rest).ok_or_else(|| CUT.into()) },
            Format::MsgPack => Item { index, id: None, stdin: binary(&mut self.rest) },
        })
    }
}

const CUT: &str = "the body ended within a request";

/// Takes a request off the front.
fn cut(rest: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    (length <= rest.len() - 4).then(|| {
        rest.advance(4);
        rest.split_to(length)
    })
}

/// Takes a binary or a string off the front of MessagePack.
fn binary(rest: &mut Bytes) -> Result<Bytes, String> {
    let mut from = &rest[..];
    let cut = |_| CUT.to_owned();
    let length = match rmp::decode::read_marker(&mut from).map_err(|_| CUT)? {
        Marker::FixStr(length) => length.into(),
        Marker::Bin8 | Marker::Str8 => from.read_data_u8().map_err(cut)?.into(),
        Marker::Bin16 | Marker::Str16 => from.read_data_u16().map_err(cut)?.into(),
        Marker::Bin32 | Marker::Str32 => from.read_data_u32().map_err(cut)? as usize,
        _ => return Err("a request of the array is neither a binary nor a string".into()),
    };
    if length > from.len() {
        return Err(CUT.into());
    }
    rest.advance(rest.len() - from.len());
    Ok(rest.split_to(length))
}

/// The number of elements of the array that is all of `body`, which is left without its head.
fn array(body: &mut Bytes) -> Result<u32, String> {
    let mut from = &body[..];
    let count = rmp::decode::read_array_len(&mut from).map_err(|_| "the body is not a MessagePack array")?;
    body.advance(body.len() - from.len());
    let mut rest = body.clone();
    for _ in 0..count {
        binary(&mut rest)?;
    }
    if rest.is_empty() { Ok(count) } else { Err("there is something behind the array".into()) }
}

impl Format {
    /// That of a content type.
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Lines),
            "application/octet-stream" => Some(Self::Lengths),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => Some(Self::MsgPack),
            _ => None,
        }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Lengths => "application/octet-stream",
            Self::MsgPack => "application/msgpack",
        }
    }

    /// The requests of a body, and what stands in front of the answers.
    pub fn requests(self, mut body: Bytes) -> Result<(Items, Bytes), String> {
        let mut head = BytesMut::new();
        let mut rest = body.clone();
        while self == Self::Lengths && !rest.is_empty() {
            cut(&mut rest).ok_or(CUT)?;
        }
        if self == Self::MsgPack {
            let count = array(&mut body)?;
            // A buffer that grows takes it all.
            _ = rmp::encode::write_array_len(&mut (&mut head).writer(), count);
        }
        Ok((Items { format: self, body: body.clone(), rest: body, next: 0 }, head.freeze()))
    }

    /// Adds an answer.
    fn answer(self, to: &mut Vec<u8>, index: usize, id: Option<&serde_json::Value>, answer: &Answer) {
        let (outcome, error) = match answer {
            Ok(Ended { outcome, .. }) => {
                (Some(outcome), (outcome.end != End::Exit(0)).then(|| outcome.end.to_string()))
            }
            Err(failure) => (None, Some(failure.why.clone())),
        };
        let exit = outcome.and_then(|o| if let End::Exit(code) = o.end { Some(code) } else { None });
        let (stdout, stderr): (&[u8], &[u8]) = outcome.map_or((&[], &[]), |o| (&o.stdout, &o.stderr));
        match self {
            Self::Lines => lines::Answer { index, id, exit, stdout, error, stderr, ..Default::default() }.write(to),
            // A buffer that grows takes it all.
            Self::MsgPack => _ = packed(to, index, exit, stdout, error.filter(|_| exit.is_none()), stderr),
            Self::Lengths => {
                let body = error.as_ref().map_or(stdout, |text| text.as_bytes());
                to.put_u32_le(index as u32);
                to.put_u32_le(reason(answer).status().as_u16().into());
                to.put_u32_le(body.len() as u32);
                to.put_slice(body);
            }
        }
    }
}

/// Writes an answer as a MessagePack map with the members of a line.
fn packed(
    to: &mut impl std::io::Write,
    index: usize,
    exit: Option<i32>,
    stdout: &[u8],
    error: Option<String>,
    stderr: &[u8],
) -> Result<(), ValueWriteError> {
    use rmp::encode::{write_bin, write_map_len, write_sint, write_str, write_uint};
    write_map_len(to, 2 + u32::from(exit.is_some()) + u32::from(!stderr.is_empty()))?;
    write_str(to, "index")?;
    write_uint(to, index as u64)?;
    if let Some(exit) = exit {
        write_str(to, "exit")?;
        write_sint(to, exit.into())?;
        write_str(to, "stdout")?;
        write_bin(to, stdout)?;
    } else {
        write_str(to, "error")?;
        write_str(to, &error.unwrap_or_default())?;
    }
    if !stderr.is_empty() {
        write_str(to, "stderr")?;
        write_bin(to, stderr)?;
    }
    Ok(())
}

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
            self.format.answer(&mut text, index, id.as_ref(), &done.answer);
        }
        seconds.flush();
        self.window.free(held);
        Some(text.into())
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.window.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |text: &str| -> Vec<Item> {
            Format::Lines.requests(Bytes::copy_from_slice(text.as_bytes())).expect("lines").0.collect()
        };
        let item = |index, id: Option<&str>, stdin: &str| Item {
            index,
            id: id.map(Into::into),
            stdin: Ok(Bytes::copy_from_slice(stdin.as_bytes())),
        };
        assert_eq!(of(""), []);
        assert_eq!(of("\n"), [item(0, None, "")]);
        assert_eq!(of("a\r\n\nb"), [item(0, None, "a"), item(1, None, ""), item(2, None, "b")]);
        assert_eq!(of("a\n"), [item(0, None, "a")]);
        assert_eq!(of(r#"{"stdin":"x","id":"7"}"#), [item(0, Some("7"), "x")]);
        let bad = of("{\"stdin\":1}\nb");
        assert!(bad[0].stdin.is_err() && bad[1] == item(1, None, "b"));
    }

    #[test]
    fn lengths() {
        let of = |bytes: &'static [u8]| {
            let items = Format::Lengths.requests(Bytes::from_static(bytes));
            items.map(|(items, _)| items.map(|item| item.stdin.expect("whole").to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(of(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c"), Ok(vec![b"ab".into(), b"".into(), b"c".into()]));
        for cut in [&b"\x02\0\0\0a"[..], b"\x02\0\0"] {
            assert!(of(cut).is_err_and(|why| why.contains("ended")));
        }
        assert_eq!(of(b""), Ok(vec![]));
    }

    #[test]
    fn arrays() {
        let of = |bytes: &[u8]| {
            let items = Format::MsgPack.requests(Bytes::copy_from_slice(bytes));
            items.map(|(items, _)| items.map(|item| item.stdin.expect("whole").to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(of(b"\x93\xc4\x02ab\xa1c\xda\0\x01d"), Ok(vec![b"ab".into(), b"c".into(), b"d".into()]));
        assert_eq!(of(b"\x90"), Ok(vec![]));
        for bad in
            [&b""[..], b"\x92\xa1a", b"\x91\xc4\x03ab", b"\x91\x01", b"\x91\xa1ab", b"\xdd\xff\xff\xff\xff", b"\x80"]
        {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
