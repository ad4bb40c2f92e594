//! Asks a server that runs `load.wat`, checks each answer, and prints figures as JSON: how many requests were answered,
//! and how long it took. Some may be hostile (`--hostile`), or come as batches (`--batch`), or in several sizes one after
//! another (`--sizes`).

use clap::Parser;
use std::collections::BTreeMap;
use std::process::exit;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

/// A load for a server.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// Address and port.
    address: String,
    /// The program's path.
    #[arg(long, default_value = "/load")]
    path: String,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// So many seconds before, which are not in the figures.
    #[arg(long, default_value_t = 0.0)]
    warm: f64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Threads, which share the connections; default: half of the processors, as the server needs some, too.
    #[arg(long)]
    threads: Option<usize>,
    /// Bytes of a request.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Requests of each of these sizes, for `--seconds` each: prints a list. A batch has 10 MiB of them, and 10,000 at
    /// most, without `--batch`.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["bytes", "hostile"])]
    sizes: Vec<usize>,
    /// The guest counts to 4000 times 2 to the power of this for each request.
    #[arg(long, value_parser = clap::value_parser!(u8).range(..10))]
    work: Option<u8>,
    /// Requests a second; without it each connection sends its next when it has its answer.
    #[arg(long)]
    rate: Option<f64>,
    /// So many for a thousand good requests are hostile.
    #[arg(long, default_value_t = 0)]
    hostile: u32,
    /// Only hostile requests of this kind; can be repeated.
    #[arg(long, value_parser = KINDS)]
    kind: Vec<String>,
    /// Bytes of a request that is too long.
    #[arg(long, default_value_t = 2 << 20)]
    too_long: usize,
    /// Requests of a batch; 0 are single requests.
    #[arg(long, default_value_t = 0)]
    batch: usize,
    /// Batches are answered as requests end.
    #[arg(long)]
    any: bool,
}

/// Parts of the time whose latencies are also told apart.
const WINDOWS: usize = 10;

/// When requests are sent that count.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Of the warm-up.
    begin: Instant,
    from: Instant,
    end: Instant,
}

impl Span {
    fn new(args: &Args) -> Self {
        let begin = Instant::now();
        let from = begin + Duration::from_secs_f64(args.warm);
        Self { begin, from, end: from + Duration::from_secs_f64(args.seconds) }
    }

    /// The window of a request that was due then; `None` in the warm-up.
    fn window(self, due: Instant) -> Option<usize> {
        let part = due.checked_duration_since(self.from)?.as_secs_f64() / (self.end - self.from).as_secs_f64();
        Some(((part * WINDOWS as f64) as usize).min(WINDOWS - 1))
    }
}

#[derive(Debug, Default)]
struct Figures {
    right: usize,
    wrong: usize,
    /// No answer.
    lost: usize,
    /// By status, where it is not 200.
    others: BTreeMap<u16, usize>,
    /// Of those that were right, by when they were due.
    microseconds: [Vec<u32>; WINDOWS],
    hostile: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

/// A connection that may be opened again.
struct Client<'a> {
    args: &'a Args,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

type Response = std::io::Result<(u16, Vec<u8>)>;

impl<'a> Client<'a> {
    fn new(args: &'a Args) -> Self {
        Self { args, stream: None, buffer: Vec::new() }
    }

    fn head(&self, path: &str, kind: &str, length: usize) -> Vec<u8> {
        let host = &self.args.address;
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
            .into()
    }

    async fn stream(&mut self) -> std::io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.args.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
            self.buffer.clear();
        }
        self.stream.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    async fn ask(&mut self, path: &str, kind: &str, body: &[u8]) -> Response {
        let mut request = self.head(path, kind, body.len());
        request.extend_from_slice(body);
        self.send(&request).await
    }

    async fn send(&mut self, request: &[u8]) -> Response {
        let sent = self.stream().await?.write_all(request).await;
        // The server may have answered before it read all.
        let answered = self.answer().await;
        if sent.is_err() || answered.is_err() {
            self.stream = None;
        }
        answered
    }

    async fn more(&mut self) -> std::io::Result<()> {
        let Self { stream: Some(stream), buffer, .. } = self else {
            return Err(std::io::ErrorKind::NotConnected.into());
        };
        match stream.read_buf(buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads an answer.
    async fn answer(&mut self) -> Response {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let (head, status, length, chunked, close) = loop {
            let mut response = httparse::Response::new(&mut headers);
            let bad = |_| std::io::ErrorKind::InvalidData;
            if let httparse::Status::Complete(head) = response.parse(&self.buffer).map_err(bad)? {
                let of = |name: &str| {
                    let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
                    std::str::from_utf8(header.value).ok()
                };
                let length: usize = of("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
                let chunked = of("transfer-encoding") == Some("chunked");
                break (head, response.code.unwrap_or(0), length, chunked, of("connection") == Some("close"));
            }
            headers = [httparse::EMPTY_HEADER; 32];
            self.more().await?;
        };
        self.buffer.drain(..head);
        let mut body = Vec::new();
        if chunked {
            let mut at = 0;
            loop {
                let from = loop {
                    match self.buffer[at..].windows(2).position(|two| two == b"\r\n") {
                        Some(line) => break at + line + 2,
                        None => self.more().await?,
                    }
                };
                let text = std::str::from_utf8(&self.buffer[at..from - 2]).unwrap_or_default();
                let size = usize::from_str_radix(text, 16).map_err(|_| std::io::ErrorKind::InvalidData)?;
                at = from + size + 2;
                while self.buffer.len() < at {
                    self.more().await?;
                }
                body.extend_from_slice(&self.buffer[from..from + size]);
                if size == 0 {
                    break;
                }
            }
            self.buffer.drain(..at);
        } else {
            while self.buffer.len() < length {
                self.more().await?;
            }
            body.extend(self.buffer.drain(..length));
        }
        if close {
            self.stream = None;
        }
        Ok((status, body))
    }
}

/// The body of a good request.
fn body(args: &Args, number: usize) -> Vec<u8> {
    // Its first two bytes tell the guest what to do; and no two bodies are alike.
    let work = args.work.map_or(' ', |work| char::from(b'0' + work));
    let unit = format!("a{work}request {number} ").into_bytes();
    let mut text = Vec::with_capacity(args.bytes.max(unit.len()));
    text.extend_from_slice(&unit);
    while text.len() < args.bytes {
        let more = unit.len().min(args.bytes - text.len());
        text.extend_from_slice(&unit[..more]);
    }
    text
}

/// What a timer of this process is late by, at most, while it is idle.
const TIMER: Duration = Duration::from_millis(2);

/// Sends requests one after another: as they are answered, or as `--rate` says. What the server delays counts from when
/// a request was due, and what the timer delays does not.
async fn singles(args: &Args, worker: usize, next: &AtomicUsize, span: Span) -> Figures {
    let mut client = Client::new(args);
    let mut own = Figures::default();
    let apart = args.rate.map(|rate| args.connections as f64 / rate);
    for turn in 0.. {
        let mut due = Instant::now();
        if let Some(apart) = apart {
            let phase = worker as f64 / args.connections as f64;
            due = span.begin + Duration::from_secs_f64((f64::from(turn) + phase) * apart);
        }
        if due >= span.end {
            break;
        }
        let window = span.window(due);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
            due = Instant::now().min(due + TIMER);
        }
        let text = body(args, next.fetch_add(1, Ordering::Relaxed));
        let answer = client.ask(&args.path, "text/plain", &text).await;
        let Some(window) = window else { continue };
        match answer {
            Ok((200, answer)) if answer == text => {
                own.right += 1;
                own.microseconds[window].push(due.elapsed().as_micros() as u32);
            }
            Ok((200, _)) => own.wrong += 1,
            Ok((status, _)) => *own.others.entry(status).or_default() += 1,
            Err(_) => own.lost += 1,
        }
    }
    own
}

/// Sends batches one after another.
async fn batches(args: &Args, span: Span) -> Figures {
    let (mut client, mut own) = (Client::new(args), Figures::default());
    let mut text = Vec::new();
    let bodies: Vec<Vec<u8>> = (0..args.batch).map(|number| body(args, number)).collect();
    for body in &bodies {
        text.extend((body.len() as u32).to_le_bytes());
        text.extend_from_slice(body);
    }
    let path = format!("{}/batch{}", args.path, if args.any { "?order=any" } else { "" });
    let mut request = client.head(&path, "application/octet-stream", text.len());
    request.append(&mut text);
    loop {
        let due = Instant::now();
        if due >= span.end {
            break;
        }
        let answer = client.send(&request).await;
        let Some(window) = span.window(due) else { continue };
        let answer = match answer {
            Ok((200, answer)) => answer,
            Ok((status, _)) => {
                *own.others.entry(status).or_default() += 1;
                continue;
            }
            Err(_) => {
                own.lost += args.batch;
                continue;
            }
        };
        own.microseconds[window].push(due.elapsed().as_micros() as u32);
        let (mut rest, mut found) = (&answer[..], vec![false; bodies.len()]);
        while let Some((head, after)) = rest.split_first_chunk::<12>() {
            let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
            let (index, status, length) = (word(0), word(4), word(8));
            let right = status == 200 && after.get(..length) == bodies.get(index).map(|body| &body[..]);
            let new = found.get_mut(index).is_some_and(|found| !std::mem::replace(found, true));
            match right && new {
                true => own.right += 1,
                false => own.wrong += 1,
            }
            rest = after.get(length..).unwrap_or_default();
        }
        own.lost += found.iter().filter(|found| !**found).count();
    }
    own
}

const KINDS: [&str; 8] = ["too long", "empty", "slow", "hang up", "trap", "loop", "output", "recursion"];

/// Sends every `threads`th of the hostile requests, each kind in its turn, each by a connection of its own: as `--rate`
/// says, or when so many good ones, of which `next` counts, were sent.
async fn hostile(args: Rc<Args>, thread: usize, threads: usize, next: &AtomicUsize, span: Span) -> Figures {
    let mut tasks = Vec::new();
    let every = 1000.0 / f64::from(args.hostile);
    let kinds: Vec<_> =
        KINDS.iter().filter(|kind| args.kind.is_empty() || args.kind.iter().any(|k| k == *kind)).collect();
    for turn in (thread..).step_by(threads) {
        let good = turn as f64 * every;
        let mut due = Instant::now();
        if let Some(rate) = args.rate {
            due = span.begin + Duration::from_secs_f64(good / rate);
            tokio::time::sleep_until(due.into()).await;
        } else {
            while due < span.end && (next.load(Ordering::Relaxed) as f64) < good {
                tokio::time::sleep(Duration::from_millis(1)).await;
                due = Instant::now();
            }
        }
        if due >= span.end {
            break;
        }
        let (args, kind) = (args.clone(), *kinds[turn % kinds.len()]);
        tasks.push(spawn_local(async move {
            let what = match attack(&args, kind).await {
                Ok(status) => status.to_string(),
                Err(error) => error.kind().to_string(),
            };
            (due >= span.from).then_some((kind, what))
        }));
    }
    let mut own = Figures::default();
    for task in tasks {
        if let Some((kind, what)) = task.await.unwrap_or_default() {
            *own.hostile.entry(kind).or_default().entry(what).or_default() += 1;
        }
    }
    own
}

async fn attack(args: &Args, kind: &str) -> std::io::Result<u16> {
    let mut client = Client::new(args);
    let body: &[u8] = match kind {
        "too long" => {
            let head = client.head(&args.path, "text/plain", args.too_long);
            client.stream().await?.write_all(&head).await?;
            let mut left = args.too_long;
            while left > 0 {
                let piece = &[b'a'; 1 << 16][..left.min(1 << 16)];
                // The server may have answered, and closed, before it read all.
                if client.stream().await?.write_all(piece).await.is_err() {
                    break;
                }
                left -= piece.len();
            }
            return Ok(client.answer().await?.0);
        }
        "empty" => b"",
        "trap" => b"u",
        "loop" => b"l",
        "output" => b"o",
        "recursion" => b"r",
        "slow" => {
            let mut request = client.head(&args.path, "text/plain", 10);
            request.extend_from_slice(b"a123456789");
            let stream = client.stream().await?;
            for byte in request {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return Ok(client.answer().await?.0);
        }
        _ => {
            let mut request = client.head(&args.path, "text/plain", 10);
            request.extend_from_slice(b"a12345");
            client.stream().await?.write_all(&request).await?;
            return Ok(0);
        }
    };
    Ok(client.ask(&args.path, "text/plain", body).await?.0)
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.lost += other.lost;
        for (all, own) in self.microseconds.iter_mut().zip(other.microseconds) {
            all.extend(own);
        }
        for (status, count) in other.others {
            *self.others.entry(status).or_default() += count;
        }
        for (kind, ends) in other.hostile {
            for (end, count) in ends {
                *self.hostile.entry(kind).or_default().entry(end).or_default() += count;
            }
        }
    }
}

/// Of latencies in their order, that below which so large a part of them is.
fn milliseconds(all: &[u32], part: f64) -> f64 {
    all.get((all.len() as f64 * part) as usize).or(all.last()).map_or(0.0, |us| f64::from(*us) / 1000.0)
}

/// What one of the threads sends and gets, and the seconds until its good requests were answered. Each has a runtime of
/// its own, so that they wait neither for each other's timers nor for each other's connections.
fn one(args: Args, thread: usize, threads: usize, next: &Arc<AtomicUsize>, span: Span) -> (Figures, f64) {
    let args = Rc::new(args);
    let own = async {
        let connections = (thread..args.connections).step_by(threads).map(|worker| {
            let (args, next) = (args.clone(), next.clone());
            spawn_local(async move {
                match args.batch {
                    0 => singles(&args, worker, &next, span).await,
                    _ => batches(&args, span).await,
                }
            })
        });
        let connections: Vec<_> = connections.collect();
        let (own, sent) = (args.clone(), next.clone());
        let attackers =
            (args.hostile > 0).then(|| spawn_local(async move { hostile(own, thread, threads, &sent, span).await }));
        let mut figures = Figures::default();
        for connection in connections {
            figures.add(connection.await.expect("a connection's task ended"));
        }
        // The last of the slow clients take longer.
        let elapsed = span.from.elapsed().as_secs_f64();
        if let Some(attackers) = attackers {
            figures.add(attackers.await.expect("the attackers' task ended"));
        }
        (figures, elapsed)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    runtime.block_on(LocalSet::new().run_until(own))
}

/// Sends what `args` say, and gives the figures as JSON, and whether all answers were right.
fn load(args: &Args) -> (serde_json::Value, bool) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(cores / 2).clamp(1, args.connections.max(1));
    let (next, span) = (Arc::new(AtomicUsize::new(0)), Span::new(args));
    let (mut figures, mut elapsed) = (Figures::default(), 0.0_f64);
    thread::scope(|scope| {
        let begin = |thread| {
            let next = &next;
            scope.spawn(move || one(args.clone(), thread, threads, next, span))
        };
        let all: Vec<_> = (0..threads).map(begin).collect();
        for one in all {
            let (own, seconds) = one.join().expect("a thread ended");
            figures.add(own);
            elapsed = elapsed.max(seconds);
        }
    });
    figures.microseconds.iter_mut().for_each(|window| window.sort_unstable());
    let mut all = figures.microseconds.concat();
    all.sort_unstable();
    let at = |part: f64| milliseconds(&all, part);
    let windows = figures.microseconds.iter().enumerate().map(|(number, window)| {
        let at = |part: f64| milliseconds(window, part);
        let length = args.seconds / WINDOWS as f64;
        let right = (window.len() * args.batch.max(1)) as f64 / length;
        let (p50, p99, most) = (at(0.5), at(0.99), at(1.0));
        serde_json::json!({ "seconds": length * number as f64, "per_second": right, "p50": p50, "p99": p99, "most": most })
    });
    let windows: Vec<_> = windows.collect();
    let Figures { right, wrong, lost, others, hostile, .. } = &figures;
    let per_second = *right as f64 / elapsed;
    let json = serde_json::json!({
        "right": right, "wrong": wrong, "lost": lost, "others": others, "hostile": hostile, "seconds": elapsed,
        "bytes": args.bytes, "connections": args.connections, "batch": args.batch,
        "per_second": per_second, "bytes_per_second": per_second * args.bytes as f64,
        "milliseconds": { "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "most": at(1.0) },
        "windows": windows,
    });
    (json, *wrong + *lost == 0 && others.is_empty())
}

fn main() {
    let args = Args::parse();
    let (json, right) = if args.sizes.is_empty() {
        load(&args)
    } else {
        let (mut list, mut all) = (Vec::new(), true);
        for &bytes in &args.sizes {
            let batch = if args.batch == 0 { ((10 << 20) / bytes.max(1)).clamp(1, 10_000) } else { args.batch };
            let (json, right) = load(&Args { bytes, batch, ..args.clone() });
            list.push(json);
            all &= right;
        }
        (list.into(), all)
    };
    println!("{json}");
    exit(i32::from(!right));
}
