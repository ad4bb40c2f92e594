//! Connections: tells the trace when an answer has gone out, and ends those whose clients do not read.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use vectorvisor::Trace;

/// The answer that a connection is about to write: the number of its request, and since when.
#[derive(Clone)]
pub struct Sending {
    trace: Trace,
    answer: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl Sending {
    pub fn new(trace: &Trace) -> Self {
        Self { trace: trace.clone(), answer: Arc::default() }
    }

    pub fn begin(&self, number: u64) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, Instant::now()));
    }

    fn end(&self) {
        let ended = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((number, begin)) = ended {
            self.trace.part("write", number, begin, Instant::now());
        }
    }
}

/// Bytes of an answer that a client has to read in its time: one by one they would keep the answer for ever.
const PACE: usize = 256 << 10;

/// A connection, which ends when its client does not read.
pub struct Watched<S> {
    stream: S,
    sending: Option<Sending>,
    /// Something was written since the last flush.
    wrote: bool,
    patience: Duration,
    /// Bytes that the client took since it was last fast enough; and when it has to be, if it does not take all.
    taken: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub fn new(stream: S, sending: Option<Sending>, patience: Duration) -> Self {
        Self { stream, sending, wrote: false, patience, taken: 0, until: None }
    }

    fn wrote(&mut self, context: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.wrote |= bytes > 0;
            self.taken += bytes;
            if self.taken >= PACE {
                self.in_time();
            }
        }
        self.waits(context, written)
    }

    fn in_time(&mut self) {
        (self.taken, self.until) = (0, None);
    }

    /// An error if the client is late.
    fn waits<T>(&mut self, context: &mut Context<'_>, done: Poll<Result<T>>) -> Poll<Result<T>> {
        if done.is_pending() {
            let patience = self.patience;
            let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            ready!(until.as_mut().poll(context));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        ready!(self.waits(context, flushed))?;
        self.in_time();
        if std::mem::take(&mut self.wrote)
            && let Some(sending) = &self.sending
        {
            sending.end();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.waits(context, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[test]
    fn a_client_that_reads_too_slowly_is_late() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let written = |bytes: usize| {
            runtime.block_on(async move {
                let (server, mut client) = duplex(16 << 10);
                tokio::spawn(async move {
                    let mut some = vec![0; bytes];
                    while client.read(&mut some).await.is_ok_and(|bytes| bytes > 0) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
                let mut server = Watched::new(server, None, Duration::from_secs(1));
                tokio::time::timeout(Duration::from_secs(30), server.write_all(&[0; PACE])).await.expect("it ends")
            })
        };
        assert_eq!(written(100).map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        assert_eq!(written(16 << 10).map_err(|error| error.kind()), Ok(()));
    }
}
