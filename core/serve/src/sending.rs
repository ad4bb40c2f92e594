//! Tells the trace when an answer has gone out.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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

/// A connection.
pub struct Watched<S> {
    stream: S,
    sending: Option<Sending>,
    /// Something was written since the last flush.
    wrote: bool,
}

impl<S> Watched<S> {
    pub fn new(stream: S, sending: Option<Sending>) -> Self {
        Self { stream, sending, wrote: false }
    }

    fn wrote(&mut self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.wrote |= matches!(written, Poll::Ready(Ok(1..)));
        written
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
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if std::mem::take(&mut self.wrote)
            && let Some(sending) = &self.sending
        {
            sending.end();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
