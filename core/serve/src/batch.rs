//! Many requests in one body, and their answers.

use crate::http::{LOST, status};
use crate::lines;
use crate::queue::{Answer, Queue, Refused};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::Either;
use futures_util::stream::{self, Stream, StreamExt as _};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use vectorvisor::End;

/// Requests of one batch that are under way: a client that does not read its answers stops its own batch.
const UNDER_WAY: usize = 1 << 16;

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
    stdin: Bytes,
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
    pub fn requests(self, body: Bytes) -> Result<Vec<Item>, String> {
        match self {
            Self::Lines => {
                let body = body.strip_suffix(b"\n").unwrap_or(&body);
                let lines = body.split(|byte| *byte == b'\n').filter(|_| !body.is_empty());
                lines.enumerate().map(|(index, line)| item(index, line)).collect()
            }
            Self::Lengths => {
                let (mut items, mut rest) = (Vec::new(), body);
                while !rest.is_empty() {
                    let index = items.len();
                    let cut = || format!("request {index} is cut: the body ended within it");
                    let length = rest.split_to_checked(4).ok_or_else(cut)?;
                    let length = length.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
                    items.push(Item { index, id: None, stdin: rest.split_to_checked(length).ok_or_else(cut)? });
                }
                Ok(items)
            }
        }
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

fn item(index: usize, line: &[u8]) -> Result<Item, String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let given = lines::given(line.to_vec()).map_err(|why| format!("line {}: {why}", index + 1))?;
    Ok(Item { index, id: given.id, stdin: given.stdin.into() })
}

/// `Bytes::split_to`, where there may be fewer.
trait SplitChecked: Sized {
    fn split_to_checked(&mut self, count: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, count: usize) -> Option<Self> {
        (count <= self.len()).then(|| self.split_to(count))
    }
}

/// Runs the requests, and gives their answers: in their order, or as they end.
pub fn answers(
    queue: Arc<Queue>,
    format: Format,
    items: Vec<Item>,
    any_order: bool,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let each = move |Item { index, id, stdin }| {
        let queue = queue.clone();
        async move {
            let begin = Instant::now();
            let answer = match queue.submit_when_there_is_room(&stdin).await {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(LOST.into())),
                Err(Refused::Full | Refused::Closed) => Err(LOST.into()),
            };
            queue.meters.ended(status(&answer).1);
            queue.meters.seconds.observe(begin.elapsed().as_secs_f64());
            Ok(format.answer(index, id, &answer))
        }
    };
    let answers = stream::iter(items).map(each);
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
        let of = |text: &str| Format::Lines.requests(Bytes::copy_from_slice(text.as_bytes()));
        let item = |index, id: Option<&str>, stdin: &str| Item {
            index,
            id: id.map(Into::into),
            stdin: Bytes::copy_from_slice(stdin.as_bytes()),
        };
        assert_eq!(of(""), Ok(vec![]));
        assert_eq!(of("\n"), Ok(vec![]));
        assert_eq!(of("a\r\n\nb"), Ok(vec![item(0, None, "a"), item(1, None, ""), item(2, None, "b")]));
        assert_eq!(of(r#"{"stdin":"x","id":"7"}"#), Ok(vec![item(0, Some("7"), "x")]));
        assert!(of("a\n{\"stdin\":1}").is_err_and(|why| why.starts_with("line 2: ")));
    }

    #[test]
    fn lengths() {
        let of = |bytes: &'static [u8]| Format::Lengths.requests(Bytes::from_static(bytes));
        let stdins = |items: Vec<Item>| items.into_iter().map(|item| item.stdin.to_vec()).collect::<Vec<_>>();
        assert_eq!(of(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c").map(stdins), Ok(vec![b"ab".into(), b"".into(), b"c".into()]));
        for cut in [&b"\x02\0\0\0a"[..], b"\x02\0\0"] {
            assert!(of(cut).is_err_and(|why| why.contains("cut")));
        }
        assert_eq!(of(b"").map(stdins), Ok(vec![]));
    }
}
