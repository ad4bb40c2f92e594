//! Many requests in one body, and their answers.

use crate::http::{LOST, status};
use crate::lines;
use crate::queue::{Answer, Queue};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::future::Either;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use vectorvisor::End;

/// Requests of one batch that are under way: a client that does not read its answers stops its own batch.
const UNDER_WAY: usize = 1 << 15;
/// Requests of one that were submitted and are not yet among those.
const AHEAD: usize = 1 << 10;

/// The form of a batch and of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A request a line: an object with `stdin` or `stdin_base64`, and perhaps an `id`; else the line itself.
    Lines,
    /// For each request its length, 4 bytes, least first, and so many bytes.
    Lengths,
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
    rest: Bytes,
    next: usize,
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
                let length = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
                let line = self.rest.split_to(length);
                self.rest.advance(self.rest.len().min(1));
                match lines::given(line.strip_suffix(b"\r").unwrap_or(&line).to_vec()) {
                    Ok(given) => Item { index, id: given.id, stdin: Ok(given.stdin.into()) },
                    Err(why) => Item { index, id: None, stdin: Err(why) },
                }
            }
            Format::Lengths => Item { index, id: None, stdin: cut(&mut self.rest).ok_or_else(|| CUT.into()) },
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

impl Format {
    /// That of a content type.
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Lines),
            "application/octet-stream" => Some(Self::Lengths),
            _ => None,
        }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Lengths => "application/octet-stream",
        }
    }

    /// The requests of a body.
    pub fn requests(self, body: Bytes) -> Result<Items, String> {
        let mut rest = body.clone();
        while self == Self::Lengths && !rest.is_empty() {
            cut(&mut rest).ok_or(CUT)?;
        }
        Ok(Items { format: self, rest: body, next: 0 })
    }

    /// An answer.
    fn answer(self, index: usize, id: Option<serde_json::Value>, answer: &Answer) -> Bytes {
        let (code, _) = status(answer);
        let error = match answer {
            Ok(outcome) if outcome.end == End::Exit(0) => None,
            Ok(outcome) => Some(outcome.end.to_string()),
            Err(why) => Some(why.clone()),
        };
        let none = Vec::new();
        let (stdout, stderr) = answer.as_ref().map_or((&none, &none), |outcome| (&outcome.stdout, &outcome.stderr));
        match self {
            Self::Lines => {
                let exit =
                    answer.as_ref().ok().and_then(|o| if let End::Exit(code) = o.end { Some(code) } else { None });
                lines::Answer { index, id: id.as_ref(), exit, stdout, error, stderr, ..Default::default() }
                    .line()
                    .into()
            }
            Self::Lengths => {
                let body = error.as_ref().map_or(&stdout[..], |text| text.as_bytes());
                let mut bytes = BytesMut::with_capacity(12 + body.len());
                bytes.put_u32_le(index as u32);
                bytes.put_u32_le(code.as_u16().into());
                bytes.put_u32_le(body.len() as u32);
                bytes.put_slice(body);
                bytes.freeze()
            }
        }
    }
}

/// A request that was submitted, or why it was not.
type Submitted = (usize, Option<serde_json::Value>, Instant, Result<oneshot::Receiver<Answer>, String>);

/// Runs the requests, and gives their answers: in their order, or as they end. The batch keeps its `room` until all have
/// been submitted.
pub fn answers(
    queue: Arc<Queue>,
    format: Format,
    items: Items,
    any_order: bool,
    room: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let (send, submitted) = mpsc::channel::<Submitted>(AHEAD);
    let submits = queue.clone();
    // Apart from the answers: these are not asked for while the client does not read.
    tokio::spawn(async move {
        for Item { index, id, stdin } in items {
            let begin = Instant::now();
            let answer = match stdin {
                Ok(stdin) => submits.submit_when_there_is_room(&stdin).await.map_err(|_| LOST.into()),
                Err(why) => Err(why),
            };
            // The client has gone.
            if send.send((index, id, begin, answer)).await.is_err() {
                return;
            }
        }
        drop(room);
    });
    let each = move |(index, id, begin, answer): Submitted| {
        let queue = queue.clone();
        async move {
            let answer = match answer {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(LOST.into())),
                Err(why) => Err(why),
            };
            queue.meters.ended(status(&answer).1);
            queue.meters.seconds.observe(begin.elapsed().as_secs_f64());
            Ok(format.answer(index, id, &answer))
        }
    };
    let answers = stream::unfold(submitted, |mut more| async move { Some((more.recv().await?, more)) }).map(each);
    if any_order {
        Either::Left(answers.buffer_unordered(UNDER_WAY))
    } else {
        Either::Right(answers.buffered(UNDER_WAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |text: &str| -> Vec<Item> {
            Format::Lines.requests(Bytes::copy_from_slice(text.as_bytes())).expect("lines").collect()
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
            items.map(|items| items.map(|item| item.stdin.expect("whole").to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(of(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c"), Ok(vec![b"ab".into(), b"".into(), b"c".into()]));
        for cut in [&b"\x02\0\0\0a"[..], b"\x02\0\0"] {
            assert!(of(cut).is_err_and(|why| why.contains("ended")));
        }
        assert_eq!(of(b""), Ok(vec![]));
    }
}
