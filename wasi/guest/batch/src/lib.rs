//! Many requests in one body, and their answers: as `vectorvisor serve` has them, and the native servers of the SDK.

pub mod lines;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use lines::{Given, More};
use rmp::Marker;
use rmp::decode::RmpRead as _;
use rmp::encode::ValueWriteError;
use std::time::Duration;

/// What an HTTP answer has in place of a program's output.
pub fn error(text: &str, stderr: &[u8]) -> String {
    let mut body = serde_json::json!({ "error": text });
    if !stderr.is_empty() {
        body["stderr"] = String::from_utf8_lossy(stderr).into();
    }
    format!("{body}\n")
}

/// The figures that clients of the first VectorVisor look for in the head of an answer, in nanoseconds, of a request that
/// waited and ran so long. Those of launches, which belong to many requests, and of compiling are 0.
pub fn figures(waited: Duration, ran: Duration) -> [(&'static str, u64); 8] {
    let [waited, ran] = [waited, ran].map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    [
        ("on_device_time", ran),
        ("queue_submit_time", 0),
        ("num_queue_submits", 0),
        ("num_unique_fns", 0),
        ("req_queue_time", waited),
        ("device_time", ran),
        ("overhead_time_ns", 0),
        ("compile_time_ns", 0),
    ]
}

/// Whether a batch is answered as requests end, and not in their order: by `order` of its query.
///
/// # Errors
/// It is neither.
pub fn any_order(order: Option<&str>) -> Result<bool, String> {
    match order {
        None | Some("in") => Ok(false),
        Some("any") => Ok(true),
        Some(other) => Err(format!("order={other} is not an order; it is `in`, or `any`")),
    }
}

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
    /// Its number.
    pub index: usize,
    /// What its answer also has.
    pub id: Option<serde_json::Value>,
    /// The request, or why it is none.
    pub stdin: Result<Bytes, String>,
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
    pub fn apart(&mut self) {
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
                    Ok((Given { id, .. }, more)) if more != More::default() => {
                        let why = "a request has `stdin` or `stdin_base64`; `args`, `env` and `files` are for `map`";
                        Item { index, id, stdin: Err(why.into()) }
                    }
                    Ok((given, _)) => Item { index, id: given.id, stdin: Ok(given.stdin.into()) },
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
    ///
    /// # Errors
    /// It is that of no batch.
    pub fn of(content_type: &str) -> Result<Self, String> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &kind[..] {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            "application/octet-stream" => Ok(Self::Lengths),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => Ok(Self::MsgPack),
            _ => Err(format!(
                "a batch is application/x-ndjson, application/msgpack or application/octet-stream, and not {kind:?}"
            )),
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
    ///
    /// # Errors
    /// The body is no batch.
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

    /// Adds an answer, whose HTTP status is this.
    pub fn answer(self, to: &mut Vec<u8>, status: u16, answer: lines::Answer<'_>) {
        match self {
            Self::Lines => answer.write(to),
            // A buffer that grows takes it all.
            Self::MsgPack => _ = packed(to, &answer),
            Self::Lengths => {
                let body = answer.error.as_ref().map_or(answer.stdout, |text| text.as_bytes());
                to.put_u32_le(answer.index as u32);
                to.put_u32_le(status.into());
                to.put_u32_le(body.len() as u32);
                to.put_slice(body);
            }
        }
    }
}

/// Writes an answer as a MessagePack map with the members of a line.
fn packed(to: &mut impl std::io::Write, answer: &lines::Answer<'_>) -> Result<(), ValueWriteError> {
    use rmp::encode::{write_bin, write_map_len, write_sint, write_str, write_uint};
    let lines::Answer { index, exit, stdout, stderr, error, .. } = answer;
    write_map_len(to, 2 + u32::from(exit.is_some()) + u32::from(!stderr.is_empty()))?;
    write_str(to, "index")?;
    write_uint(to, *index as u64)?;
    if let Some(exit) = exit {
        write_str(to, "exit")?;
        write_sint(to, (*exit).into())?;
        write_str(to, "stdout")?;
        write_bin(to, stdout)?;
    } else {
        write_str(to, "error")?;
        write_str(to, error.as_deref().unwrap_or_default())?;
    }
    if !stderr.is_empty() {
        write_str(to, "stderr")?;
        write_bin(to, stderr)?;
    }
    Ok(())
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
