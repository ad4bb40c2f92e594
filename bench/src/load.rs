//! Requests to a server of one program, one after another or in batches, with every answer compared.

use crate::http::{self, Connection};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A request and what must be answered.
#[derive(Debug)]
pub struct Case {
    /// The request's bytes.
    pub request: Vec<u8>,
    /// The answer's bytes.
    pub answer: Vec<u8>,
    /// Another answer that is as good.
    other: OnceLock<Vec<u8>>,
}

impl Case {
    /// A request, of which the native program said so.
    pub fn new(request: Vec<u8>, answer: Vec<u8>) -> Self {
        Self { request, answer, other: OnceLock::new() }
    }

    /// Whether an answer is right. Compressed data may be other bytes, if they decompress to the same.
    pub fn right(&self, answer: &[u8], compressed: bool) -> bool {
        let known = |other: &Vec<u8>| other == answer;
        if known(&self.answer) || self.other.get().is_some_and(known) {
            return true;
        }
        let right = compressed && lz4_flex::block::decompress_size_prepended(answer).is_ok_and(|it| it == self.request);
        if right {
            _ = self.other.set(answer.to_vec());
        }
        right
    }
}

/// A server of one program.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is sent.
    pub cases: &'a [Case],
    /// Whether answers are compared after decompression.
    pub compressed: bool,
}

/// What a load was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Requests that were answered.
    pub requests: usize,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Requests a second.
    pub per_second: f64,
    /// Answers that differ, or are refusals.
    pub wrong: usize,
    /// Half of the answers (of batches) came so fast.
    pub p50_ms: f64,
    /// 99 of 100 came so fast.
    pub p99_ms: f64,
    /// Connections at the same time, or streams.
    pub connections: usize,
    /// Requests in each body.
    pub batch: usize,
}

impl Measured {
    /// Figures of bodies of `batch` requests, of which each took a time.
    pub fn new(mut times: Vec<Duration>, wrong: usize, all: Duration, connections: usize, batch: usize) -> Self {
        times.sort_unstable();
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let (requests, seconds) = (times.len() * batch, all.as_secs_f64());
        Self {
            requests,
            seconds,
            per_second: requests as f64 / seconds,
            wrong,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            connections,
            batch,
        }
    }
}

impl Target<'_> {
    /// Sends requests for so long, over so many connections; `batch` in a body, or one without a batch.
    ///
    /// # Errors
    /// A connection fails.
    pub fn load(&self, connections: usize, batch: Option<usize>, time: Duration) -> Result<Measured> {
        let begin = Instant::now();
        self.until(connections, batch, |_| begin.elapsed() < time)
    }

    /// Sends every request once.
    ///
    /// # Errors
    /// A connection fails.
    pub fn check(&self, connections: usize, batch: usize) -> Result<Measured> {
        self.until(connections, Some(batch), |taken| taken < self.cases.len())
    }

    fn until(&self, connections: usize, batch: Option<usize>, more: impl Fn(usize) -> bool + Sync) -> Result<Measured> {
        let (taken, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let times = Mutex::new(Vec::new());
        let size = batch.unwrap_or(1);
        let begin = Instant::now();
        let client = || -> Result<()> {
            let mut connection = Connection::open(self.address)?;
            let mut mine = Vec::new();
            let mut body = Vec::new();
            loop {
                let first = taken.fetch_add(size, Ordering::Relaxed);
                if !more(first) {
                    break;
                }
                let begin = Instant::now();
                let bad = match batch {
                    None => {
                        let case = &self.cases[first % self.cases.len()];
                        let (status, answer) = connection.post("/", &case.request)?;
                        usize::from(status != 200 || !case.right(&answer, self.compressed))
                    }
                    Some(size) => {
                        body.clear();
                        let case = |number: usize| &self.cases[(first + number) % self.cases.len()];
                        (0..size).for_each(|number| http::push(&mut body, &case(number).request));
                        let (status, answers) = connection.post("/batch", &body)?;
                        ensure!(status == 200, "a batch: {status}: {}", String::from_utf8_lossy(&answers));
                        let answers = http::answers(&answers)?;
                        let mut found = vec![false; size];
                        let right = answers.iter().filter(|(number, status, answer)| {
                            let first = found.get_mut(*number).is_some_and(|found| !std::mem::replace(found, true));
                            first && *status == 200 && case(*number).right(answer, self.compressed)
                        });
                        size - right.count().min(size)
                    }
                };
                mine.push(begin.elapsed());
                _ = wrong.fetch_add(bad, Ordering::Relaxed);
            }
            times.lock().map_err(|_| anyhow::anyhow!("a client failed"))?.append(&mut mine);
            Ok(())
        };
        std::thread::scope(|scope| {
            let thread = || std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, client);
            let clients = (0..connections).map(|_| thread()).collect::<std::io::Result<Vec<_>>>()?;
            clients.into_iter().try_for_each(|client| match client.join() {
                Ok(result) => result,
                Err(_) => bail!("a client panicked"),
            })
        })?;
        let seconds = begin.elapsed();
        let times = times.into_inner().ok().context("a client failed")?;
        Ok(Measured::new(times, wrong.into_inner(), seconds, connections, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_answers_may_differ() {
        let request = b"again and again and again and again".to_vec();
        let block = lz4_flex::block::compress_prepend_size(&request);
        let case = Case::new(request.clone(), b"what another compressor makes".to_vec());
        assert!(!case.right(&block, false));
        for _ in 0..2 {
            assert!(case.right(&block, true));
        }
        assert!(!case.right(&request, true));
    }
}
