//! Programs of `guests/paper` written by hand: kernels of `baselines/`, and the host's part, from requests to answers.

use crate::baseline;
use crate::http;
use crate::load::{Case, Measured, Target};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vectorvisor::driver::{Buffer, Device, DeviceKind, Event, KernelId, Language, Module, Pinned, Queue, Source};
use vectorvisor::{Drivers, Engine, Quirks};

const PICTURES: &str = include_str!("../baselines/pictures.cu");
/// Bytes of the header of a BMP with 24 bits a pixel.
const BMP_HEADER: usize = 54;
/// Where the pixels of a blurred picture begin, so that they are aligned. The header ends there.
const ALIGNED: usize = 64;
/// Passwords of a request to Scrypt.
const PASSWORDS: usize = 256;
const SCRYPT_N: u32 = 1024;
const PBKDF2_ROUNDS: u32 = 20_000;
/// Bytes of requests that a stream of a GPU takes at once, unless they are passwords.
const BATCH: usize = 32 << 20;
/// More streams than that have nothing to wait for.
const STREAMS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    BlurBmp,
    PhashModified,
    Pbkdf2,
    Scrypt,
}

/// What a kernel takes and gives for a request.
struct Shape {
    /// Kernels that do the same; the fastest counts.
    kernels: &'static [&'static str],
    text: &'static str,
    /// Bytes in its input, its output and its scratch memory.
    input: usize,
    output: usize,
    scratch: usize,
    /// Threads, in tiles of so many, or of as many as run in lockstep.
    threads: usize,
    lanes: Option<u32>,
    /// How many times as much as the device can do at once its time is measured with.
    waves: usize,
}

impl Program {
    fn named(name: &str) -> Option<Self> {
        match name {
            "blur-bmp" => Some(Self::BlurBmp),
            "phash-modified" => Some(Self::PhashModified),
            "pbkdf2" => Some(Self::Pbkdf2),
            "scrypt" => Some(Self::Scrypt),
            _ => None,
        }
    }

    /// The edge of the pictures, of 24 bits a pixel, that it takes.
    fn edge(self) -> Option<usize> {
        match self {
            Self::BlurBmp => Some(200),
            Self::PhashModified => Some(256),
            Self::Pbkdf2 | Self::Scrypt => None,
        }
    }

    fn shape(self) -> Shape {
        let pixels = self.edge().map_or(0, |edge| 3 * edge * edge);
        let picture = |kernels, output, threads, lanes, waves| Shape {
            kernels,
            text: PICTURES,
            input: pixels,
            output,
            scratch: 0,
            threads,
            lanes: Some(lanes),
            waves,
        };
        let hash = |kernels, threads: usize, key: usize, scratch: usize, waves| Shape {
            kernels,
            text: baseline::TEXT,
            input: threads * 2 * baseline::FIELD,
            output: threads * key,
            scratch: threads * scratch,
            threads,
            lanes: None,
            waves,
        };
        match self {
            Self::BlurBmp => picture(&["blur_bmp"], ALIGNED + pixels, 5 * 128, 128, 64),
            Self::PhashModified => picture(&["phash_modified"], HASH_BYTES, 256, 256, 16),
            Self::Pbkdf2 => hash(&["pbkdf2", "pbkdf2_half", "pbkdf2_all"], 1, 32, 0, 1),
            Self::Scrypt => hash(&["scrypt", "scrypt_half", "scrypt_all"], PASSWORDS, 64, 128 * SCRYPT_N as usize, 2),
        }
    }

    /// Writes request `number` of `count` into the input of all of them.
    fn fill(self, request: &[u8], number: usize, count: usize, input: &mut [u8]) -> Result<()> {
        let bytes = self.shape().input;
        if let Some(edge) = self.edge() {
            let pixels = pixels(request, edge).context("this is not a BMP of the size and kind that is measured")?;
            input[number * bytes..][..bytes].copy_from_slice(pixels);
            return Ok(());
        }
        let mut place = |threads: usize, thread: usize, password: &str, salt: &str| {
            let fields = [password, salt].map(str::as_bytes);
            ensure!(fields.iter().all(|field| field.len() == baseline::FIELD), "a password or salt of other length");
            baseline::place(input, threads, thread, fields);
            Ok(())
        };
        if self == Self::Pbkdf2 {
            #[derive(Deserialize)]
            struct Request<'a> {
                password: &'a str,
                salt: &'a str,
            }
            let Request { password, salt } = serde_json::from_slice(request)?;
            return place(count, number, password, salt);
        }
        #[derive(Deserialize)]
        struct Request<'a> {
            #[serde(borrow)]
            passwords: Vec<&'a str>,
            salt: &'a str,
        }
        let Request { passwords, salt } = rmp_serde::from_slice(request)?;
        ensure!(passwords.len() == PASSWORDS, "{} passwords in a request", passwords.len());
        let place = |(at, password)| place(count * PASSWORDS, number * PASSWORDS + at, password, salt);
        passwords.into_iter().enumerate().try_for_each(place)
    }

    /// Answer `number` of `count`, from the output of all of them.
    fn answer(self, number: usize, count: usize, output: &[u8]) -> Cow<'_, [u8]> {
        let bytes = self.shape().output;
        let own = || &output[number * bytes..][..bytes];
        match self {
            Self::BlurBmp => own()[ALIGNED - BMP_HEADER..].into(),
            Self::PhashModified => own().into(),
            Self::Pbkdf2 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let mut answer = b"{\"key\":\"".to_vec();
                baseline::key(output, count, number, 8, |byte| {
                    answer.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
                });
                answer.extend(b"\"}");
                answer.into()
            }
            Self::Scrypt => {
                // MessagePack: a map of one member, an array with a length of 16 bits, and in it 64 bytes each.
                let mut answer = Vec::with_capacity(9 + PASSWORDS * 66);
                answer.extend(b"\x81\xa4keys\xdc");
                answer.extend((PASSWORDS as u16).to_be_bytes());
                for at in 0..PASSWORDS {
                    answer.extend(b"\xc4\x40");
                    baseline::key(output, count * PASSWORDS, number * PASSWORDS + at, 16, |byte| answer.push(byte));
                }
                answer.into()
            }
        }
    }
}

/// The pixels of a BMP of 24 bits a pixel, uncompressed, whose rows need no padding.
fn pixels(bmp: &[u8], edge: usize) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(*bmp.get(at..)?.first_chunk()?) as usize);
    let fits = bmp.starts_with(b"BM") && (word(18)?, word(22)?, word(28)? & 0xffff, word(30)?) == (edge, edge, 24, 0);
    fits.then_some(())?;
    bmp.get(word(10)?..)?.get(..3 * edge * edge)
}

/// Reduced pixels of a row or column, of 256.
const REDUCED: usize = 129;
/// Bytes of the hash of a picture.
const HASH_BYTES: usize = 2 * REDUCED * (REDUCED - 1) / 8;

/// The table of `phash_modified`: Lanczos' kernel, as in `guests/paper/src/phash.rs`, in windows that begin at a
/// multiple of 4.
fn table() -> Vec<u8> {
    const FULL: usize = 256;
    const TAPS: usize = 12;
    const WINDOW: usize = 16;
    let scale = FULL as f64 / REDUCED as f64;
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    let (mut weights, mut firsts) = (Vec::new(), Vec::new());
    for reduced in 0..REDUCED {
        let centre = (reduced as f64 + 0.5) * scale;
        let first = (centre - TAPS as f64 / 2.0).round().clamp(0.0, (FULL - TAPS) as f64) as usize;
        let window = first.min(FULL - WINDOW) / 4 * 4;
        let weight = |tap: usize| {
            let x = ((first + tap) as f64 + 0.5 - centre) / scale;
            if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
        };
        let sum: f64 = (0..TAPS).map(weight).sum();
        let mut all = [0i16; WINDOW];
        for tap in 0..TAPS {
            all[first - window + tap] = (weight(tap) / sum * f64::from(1 << 14)).round() as i16;
        }
        weights.extend(all.map(i16::to_le_bytes).as_flattened());
        firsts.extend((window as u32 / 4).to_le_bytes());
    }
    [weights, firsts].concat()
}

/// What the device does of a program, without copies.
#[derive(Debug, Clone, Serialize)]
pub struct Alone {
    /// Requests of a launch.
    pub requests: usize,
    /// The best time of three launches of the fastest kernel.
    pub seconds: f64,
    /// The best time of each kernel.
    pub kernels: BTreeMap<&'static str, f64>,
    /// Requests a second.
    pub per_second: f64,
    /// Answers that differ, of all kernels.
    pub wrong: usize,
}

/// A program written by hand, compiled for a device.
pub struct ByHand {
    program: Program,
    shape: Shape,
    device: Arc<dyn Device>,
    module: Module,
    /// The kernel that was the fastest, or the first.
    kernel: &'static str,
    /// What the compiler took.
    pub compiled: Duration,
}

impl ByHand {
    /// Whether a program of `guests/paper` is written by hand, in any language.
    pub fn exists(name: &str) -> bool {
        Program::named(name).is_some()
    }

    /// Compiles a program of `guests/paper` for the device of an engine; `None` if it is not written by hand in its
    /// language.
    ///
    /// # Errors
    /// The device or its compiler fails.
    pub fn new(drivers: &Drivers, engine: &Engine, name: &str) -> Result<Option<Self>> {
        let Some(program) = Program::named(name) else { return Ok(None) };
        if !matches!(engine.info().language, Language::C | Language::Cuda) {
            return Ok(None);
        }
        let device = drivers.find(engine.backend())?.open(engine.info().index, Quirks::default())?;
        let (shape, begin) = (program.shape(), Instant::now());
        let source = Source { header: "", units: &[shape.text.to_owned()], registers: 0 };
        let module = Module::build(&device, source).with_context(|| format!("{name} by hand"))?;
        Ok(Some(Self { program, device, module, kernel: shape.kernels[0], shape, compiled: begin.elapsed() }))
    }

    fn lanes(&self) -> u32 {
        self.shape.lanes.unwrap_or(self.device.info().lane_width)
    }

    /// `count` requests or some more, so that their threads fill tiles, but no more than a part of the device's memory
    /// takes.
    fn whole(&self, count: usize, parts: usize) -> usize {
        let shape = &self.shape;
        let step = (self.lanes() as usize / shape.threads).max(1);
        let fit = self.device.info().memory as usize / parts / (shape.input + shape.output + shape.scratch);
        count.next_multiple_of(step).min(fit / step * step).max(step)
    }

    /// Requests with so many times the threads that the device can run at the same time.
    fn waves(&self, waves: usize) -> Result<usize> {
        let resident = self.device.resident(self.module.kernel(self.kernel)?, self.lanes())?;
        Ok(((resident * self.lanes()) as usize * waves).div_ceil(self.shape.threads))
    }

    /// Measures the kernels, with inputs that are on the device already, and answers that are compared afterwards; of
    /// so many requests, or of as many as keep the device busy.
    ///
    /// # Errors
    /// The device fails, or a request is not of the kind that is written by hand.
    pub fn alone(&mut self, cases: &[Case], requests: Option<usize>) -> Result<Alone> {
        ensure!(!cases.is_empty(), "there are no requests");
        let count = self.whole(requests.map_or_else(|| self.waves(self.shape.waves), Ok)?, 2);
        let mut stream = Stream::new(self, count)?;
        let mut input = vec![0; count * self.shape.input];
        for (number, case) in (0..count).zip(cases.iter().cycle()) {
            self.program.fill(&case.request, number, count, &mut input)?;
        }
        stream.queue.write(&stream.input, 0, &input)?;
        drop(input);
        let (mut kernels, mut wrong) = (BTreeMap::new(), 0);
        let (mut fastest, mut least) = (self.kernel, f64::INFINITY);
        let mut output = vec![0; count * self.shape.output];
        for name in self.shape.kernels {
            stream.kernel = self.module.kernel(name)?;
            // Else the answers of the one before would count as those of one that writes none.
            output.fill(0);
            stream.queue.write(&stream.output, 0, &output)?;
            let mut best = u64::MAX;
            for _ in 0..3 {
                let event = stream.launch()?;
                event.wait()?;
                let (begin, end) = event.times()?;
                best = best.min(end - begin);
            }
            let seconds = Duration::from_nanos(best).as_secs_f64();
            _ = kernels.insert(*name, seconds);
            if seconds < least {
                (fastest, least) = (*name, seconds);
            }
            stream.queue.read(&stream.output, 0, &mut output)?;
            wrong += self.wrong(cases, 0, count, &output);
        }
        drop(stream);
        self.kernel = fastest;
        Ok(Alone { requests: count, seconds: least, kernels, per_second: count as f64 / least, wrong })
    }

    /// Measures the same behind HTTP, by the load that other servers get, with two connections for each stream of
    /// [`Self::end_to_end`]: each connection is a stream, and a batch is a body.
    ///
    /// # Errors
    /// As [`Self::alone`].
    pub fn served(&self, cases: &[Case], time: Duration) -> Result<Measured> {
        ensure!(!cases.is_empty(), "there are no requests");
        let connections = 2 * streams()?;
        let batch = self.batch(connections)?;
        let mut all = (0..connections).map(|_| Batch::new(self, batch)).collect::<Result<Vec<_>>>()?;
        for stream in &mut all {
            let wrong = stream.run(cases, 0)?;
            ensure!(wrong == 0, "{wrong} wrong answers");
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let target = Target { address: listener.local_addr()?, cases, compressed: false };
        std::thread::scope(|scope| {
            let serve = move || -> Result<()> {
                std::thread::scope(|scope| {
                    let mut threads = Vec::new();
                    for mut stream in all {
                        let (connection, _) = listener.accept()?;
                        threads.push(scope.spawn(move || stream.serve(connection)));
                    }
                    threads.into_iter().try_for_each(|thread| match thread.join() {
                        Ok(result) => result,
                        Err(_) => bail!("a stream panicked"),
                    })
                })
            };
            let server = scope.spawn(serve);
            let measured = target.load(connections, Some(batch), time);
            if measured.is_err() {
                // So that the server waits for nobody.
                (0..connections).for_each(|_| drop(TcpStream::connect(target.address)));
            }
            match server.join() {
                Ok(result) => result.and(measured),
                Err(_) => bail!("the server panicked"),
            }
        })
    }

    /// Requests that one of so many streams takes at once.
    fn batch(&self, streams: usize) -> Result<usize> {
        let batch = match self.program {
            // So many that all streams together keep the device busy twice.
            Program::Pbkdf2 | Program::Scrypt => self.waves(2)?.div_ceil(streams),
            _ if self.device.info().kind == DeviceKind::Cpu => 8,
            _ => BATCH / self.shape.input,
        };
        Ok(self.whole(batch, 2 * streams))
    }

    fn wrong(&self, cases: &[Case], first: usize, count: usize, output: &[u8]) -> usize {
        let right = |number: &usize| {
            let case = &cases[(first + number) % cases.len()];
            self.program.answer(*number, count, output)[..] == case.answer
        };
        count - (0..count).filter(right).count()
    }

    /// Measures the way from requests in the host's memory to answers there, with the kernel that [`Self::alone`] found
    /// to be the fastest: each stream has a thread, which copies the requests of a batch to page-locked memory and from
    /// there to the device, launches the kernel, copies what it made back, and compares every answer.
    ///
    /// # Errors
    /// As [`Self::alone`].
    pub fn end_to_end(&self, cases: &[Case], time: Duration) -> Result<Measured> {
        ensure!(!cases.is_empty(), "there are no requests");
        let streams = streams()?;
        let batch = self.batch(streams)?;
        let taken = AtomicUsize::new(0);
        let (times, wrong) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let mut all = (0..streams).map(|_| Batch::new(self, batch)).collect::<Result<Vec<_>>>()?;
        // The first batch of each touches its memory for the first time.
        for stream in &mut all {
            _ = wrong.fetch_add(stream.run(cases, taken.fetch_add(batch, Ordering::Relaxed))?, Ordering::Relaxed);
        }
        let begin = Instant::now();
        let work = |mut stream: Batch| -> Result<()> {
            let mut mine = Vec::new();
            loop {
                let start = Instant::now();
                let bad = stream.run(cases, taken.fetch_add(batch, Ordering::Relaxed))?;
                _ = wrong.fetch_add(bad, Ordering::Relaxed);
                mine.push(start.elapsed());
                if begin.elapsed() >= time {
                    break;
                }
            }
            times.lock().map_err(|_| anyhow::anyhow!("a stream failed"))?.append(&mut mine);
            Ok(())
        };
        let work = &work;
        std::thread::scope(|scope| {
            let threads: Vec<_> = all.into_iter().map(|stream| scope.spawn(move || work(stream))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(_) => bail!("a stream panicked"),
            })
        })?;
        let seconds = begin.elapsed();
        let times = times.into_inner().ok().context("a stream failed")?;
        Ok(Measured::new(times, wrong.into_inner(), seconds, streams, batch))
    }
}

fn streams() -> Result<usize> {
    Ok(std::thread::available_parallelism()?.get().clamp(2, STREAMS))
}

/// A queue and the device's memory for `count` requests.
struct Stream<'a> {
    queue: Queue,
    kernel: KernelId,
    input: Buffer,
    output: Buffer,
    /// What else the kernel takes.
    others: [Buffer; 2],
    tiles: u32,
    of: &'a ByHand,
}

impl<'a> Stream<'a> {
    fn new(of: &'a ByHand, count: usize) -> Result<Self> {
        let shape = &of.shape;
        let queue = Queue::new(&of.device)?;
        let threads = u32::try_from(count * shape.threads)?;
        let parameters = |first: u32| [first, threads].map(u32::to_le_bytes).as_flattened().to_vec();
        // Scratch memory or a table, and parameters.
        let (third, fourth) = match of.program {
            Program::BlurBmp => (Vec::new(), Vec::new()),
            Program::PhashModified => (table(), Vec::new()),
            Program::Pbkdf2 => (Vec::new(), parameters(PBKDF2_ROUNDS)),
            Program::Scrypt => (Vec::new(), parameters(SCRYPT_N)),
        };
        let buffer = |bytes: usize| Buffer::new(&of.device, bytes as u64);
        let others = [buffer(third.len().max(count * shape.scratch))?, buffer(fourth.len())?];
        for (buffer, bytes) in others.iter().zip([third, fourth]) {
            queue.write(buffer, 0, &bytes)?;
        }
        Ok(Self {
            queue,
            kernel: of.module.kernel(of.kernel)?,
            input: buffer(count * shape.input)?,
            output: buffer(count * shape.output)?,
            others,
            tiles: threads.div_ceil(of.lanes()),
            of,
        })
    }

    fn launch(&self) -> Result<Event> {
        let [third, fourth] = &self.others;
        let args = [&self.output, &self.input, third, fourth].map(|buffer| Some(buffer.id()));
        Ok(self.queue.launch(self.kernel, &args, self.tiles, self.of.lanes())?)
    }
}

/// A stream with page-locked memory for a batch.
struct Batch<'a> {
    stream: Stream<'a>,
    input: Pinned,
    output: Pinned,
    count: usize,
}

impl<'a> Batch<'a> {
    fn new(of: &'a ByHand, count: usize) -> Result<Self> {
        let pinned = |bytes: usize| Pinned::new(&of.device, count * bytes);
        let (input, output) = (pinned(of.shape.input)?, pinned(of.shape.output)?);
        Ok(Self { stream: Stream::new(of, count)?, input, output, count })
    }

    /// From as many requests as there is room for to the kernel's output.
    fn compute<'b>(&mut self, requests: impl Iterator<Item = &'b [u8]>) -> Result<()> {
        let Self { stream, input, output, count } = self;
        for (number, request) in requests.enumerate() {
            stream.of.program.fill(request, number, *count, input)?;
        }
        stream.queue.write(&stream.input, 0, input)?;
        _ = stream.launch()?;
        Ok(stream.queue.read(&stream.output, 0, output)?)
    }

    /// From requests to answers; how many of them are wrong.
    fn run(&mut self, cases: &[Case], first: usize) -> Result<usize> {
        self.compute((0..self.count).map(|number| &cases[(first + number) % cases.len()].request[..]))?;
        Ok(self.stream.of.wrong(cases, first, self.count, &self.output))
    }

    /// Answers the batches of a connection, which have as many requests as there is room for, until it is closed.
    fn serve(&mut self, connection: TcpStream) -> Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(64 << 10, connection.try_clone()?);
        let mut writer = BufWriter::with_capacity(64 << 10, connection);
        let mut body = Vec::new();
        while http::body(&mut reader, &mut body)? {
            let requests = http::requests(&body)?;
            ensure!(requests.len() == self.count, "{} requests in a batch of {}", requests.len(), self.count);
            self.compute(requests.into_iter())?;
            let answers: Vec<_> =
                (0..self.count).map(|number| self.stream.of.program.answer(number, self.count, &self.output)).collect();
            http::answer(&mut writer, &answers)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_all_weights() {
        let table = table();
        let (weights, firsts) = table.split_at(REDUCED * 32);
        let sums: Vec<i32> = weights
            .as_chunks::<32>()
            .0
            .iter()
            .map(|all| all.as_chunks().0.iter().map(|two| i32::from(i16::from_le_bytes(*two))).sum())
            .collect();
        assert!(sums.iter().all(|sum| (sum - (1 << 14)).abs() < 12), "{sums:?}");
        assert_eq!(firsts.len(), REDUCED * 4);
        assert!(firsts.as_chunks().0.iter().all(|first| u32::from_le_bytes(*first) <= 60));
    }

    #[test]
    fn other_pictures_and_passwords_are_refused() {
        let mut input = vec![0; Program::BlurBmp.shape().input];
        assert!(Program::BlurBmp.fill(b"BM", 0, 1, &mut input).is_err());
        let short = br#"{"password":"short","salt":"0123456789abcdef"}"#;
        assert!(Program::Pbkdf2.fill(short, 0, 1, &mut input).is_err());
    }
}
