//! A client of HTTP/1.1 that costs little, since it shares the processor with what it measures; and as much of a server
//! as answers it.

use anyhow::{Context, Result, bail, ensure};
use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The kind of a body of requests that each come after their length.
pub const BATCH: &str = "application/octet-stream";
/// How long a server may say nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nothing listens there.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream) })
    }

    /// What a path says: a status and a body.
    ///
    /// # Errors
    /// The connection ends, or what comes is not HTTP.
    pub fn get(&mut self, path: &str) -> Result<(u16, Vec<u8>)> {
        self.stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes())?;
        self.answer()
    }

    /// Sends a body; a status and a body.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&mut self, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {BATCH}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // In one packet where it fits.
        if body.len() < 16 << 10 {
            self.stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
            return self.answer();
        }
        // An answer may begin before the body has been read, and the server waits until it is taken.
        let mut writer = self.stream.get_ref().try_clone()?;
        std::thread::scope(|scope| {
            let wrote = scope.spawn(move || writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body)));
            let answer = self.answer();
            let wrote = wrote.join();
            let answer = answer?;
            // A refusal may come before all was written.
            ensure!(answer.0 != 200 || matches!(wrote, Ok(Ok(()))), "the server closed the connection");
            Ok(answer)
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        let read = self.stream.by_ref().take(length as u64).read_to_end(body)?;
        ensure!(read == length, "the server closed the connection within an answer");
        Ok(())
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("an answer begins with {first:?}"))?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse()?),
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.bytes(length, &mut body)?,
            None if chunked => loop {
                let size = self.line()?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)?;
                self.bytes(size, &mut body)?;
                let end = self.line()?;
                ensure!(end.is_empty(), "a chunk that is longer than it says");
                if size == 0 {
                    break;
                }
            },
            None => bail!("an answer without a length"),
        }
        Ok((status, body))
    }
}

/// Adds a request to a batch.
pub fn push(batch: &mut Vec<u8>, request: &[u8]) {
    batch.extend((request.len() as u32).to_le_bytes());
    batch.extend(request);
}

/// The requests of a batch.
///
/// # Errors
/// It ends within one.
pub fn requests(mut batch: &[u8]) -> Result<Vec<&[u8]>> {
    let mut all = Vec::new();
    while !batch.is_empty() {
        let length = batch.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
        let request = length.and_then(|length| batch[4..].get(..length)).context("a batch ends within a request")?;
        all.push(request);
        batch = &batch[4 + request.len()..];
    }
    Ok(all)
}

/// The answers of a batch: number, status and body of each.
///
/// # Errors
/// It ends within one.
pub fn answers(mut all: &[u8]) -> Result<Vec<(usize, u32, &[u8])>> {
    let mut answers = Vec::new();
    while !all.is_empty() {
        let head: &[u8; 12] = all.first_chunk().context("answers end within one")?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let body = all[12..].get(..word(8) as usize).context("answers end within one")?;
        answers.push((word(0) as usize, word(4), body));
        all = &all[12 + body.len()..];
    }
    Ok(answers)
}

/// Reads the head of a POST, and its body; whether there was one before the connection was closed.
///
/// # Errors
/// The connection ends within it, or it has no length.
pub fn body(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<bool> {
    let (mut length, mut line) = (None, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            ensure!(length.is_none(), "the client closed the connection within a head");
            return Ok(false);
        }
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = Some(value.parse()?),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    body.resize(length.context("a body without a length")?, 0);
    reader.read_exact(body)?;
    Ok(true)
}

/// Writes the answer to a batch: those of all requests, in their order.
///
/// # Errors
/// The connection ends.
pub fn answer(writer: &mut impl Write, answers: &[Cow<'_, [u8]>]) -> Result<()> {
    let length: usize = answers.iter().map(|answer| 12 + answer.len()).sum();
    write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")?;
    for (number, answer) in answers.iter().enumerate() {
        let head = [number as u32, 200, answer.len() as u32];
        writer.write_all(head.map(u32::to_le_bytes).as_flattened())?;
        writer.write_all(answer)?;
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn batches_are_taken_apart() {
        let mut batch = Vec::new();
        push(&mut batch, b"one");
        push(&mut batch, b"");
        assert_eq!(requests(&batch).expect("a batch"), [&b"one"[..], b""]);
        assert!(requests(&batch[..6]).is_err());
        let all = b"\x01\0\0\0\xc8\0\0\0\x02\0\0\0ok\0\0\0\0\xf4\x01\0\0\0\0\0\0";
        assert_eq!(answers(all).expect("answers"), [(1, 200, &b"ok"[..]), (0, 500, b"")]);
        assert!(answers(&all[..13]).is_err());
    }

    #[test]
    fn a_batch_is_answered() {
        let mut request = &b"POST /batch HTTP/1.1\r\nhost: bench\r\ncontent-length: 3\r\n\r\nabc"[..];
        let mut read = Vec::new();
        assert!(body(&mut request, &mut read).expect("a body"));
        assert_eq!(read, b"abc");
        assert!(!body(&mut request, &mut read).expect("an end"));
        let mut written = Vec::new();
        answer(&mut written, &[b"one"[..].into(), b""[..].into()]).expect("room");
        let (head, all) = written.split_at(written.len() - 27);
        assert_eq!(head, b"HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n");
        assert_eq!(answers(all).expect("answers"), [(0, 200, &b"one"[..]), (1, 200, b"")]);
    }

    #[test]
    fn answers_have_a_length_or_chunks() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut seen = [0; 1024];
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            ] {
                let read = stream.read(&mut seen).expect("a request");
                assert!(read > 0);
                stream.write_all(answer.as_bytes()).expect("a client");
            }
        });
        let mut connection = Connection::open(address).expect("a server");
        assert_eq!(connection.post("/", b"x").expect("an answer"), (200, b"abc".to_vec()));
        assert_eq!(connection.get("/").expect("an answer"), (503, b"abc".to_vec()));
        server.join().expect("it ends");
    }
}
