//! Room for what the server holds for clients, by bytes: bodies until they are answered, and answers until they are read.

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes that are counted together.
const UNIT: usize = 1 << 10;
/// Shorter answers do not count: a connection takes as much.
const SHORT: usize = 16 << 10;
/// Bytes of an answer that go to a connection together.
const PIECE: usize = 256 << 10;

/// Half of it is for single requests, which are refused where there is none, and half for batches, which wait. A body
/// takes room as it arrives: what a client only announces takes nothing.
pub struct Room {
    single: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    /// A batch that has this needs no more room: else some that have a part of their bodies would wait for each other.
    whole: Arc<Semaphore>,
    /// Bytes of single requests' answers that were not read.
    unread: Arc<AtomicUsize>,
    half: usize,
    /// Most bytes of a body.
    most: usize,
    /// How long a body may take, and a batch may wait for room.
    patience: Duration,
}

/// The room of a body. It is free again when this is dropped.
#[derive(Debug, Default)]
pub struct Held {
    units: Option<OwnedSemaphorePermit>,
    whole: Option<OwnedSemaphorePermit>,
}

/// Why there is no body.
pub enum Unread {
    NoRoom,
    Large,
    Slow,
    Ended(String),
}

impl Room {
    /// Of so many bytes in all, for bodies of `most` at most.
    pub fn new(bytes: usize, most: usize, patience: Duration) -> Self {
        let half = (bytes / 2).max(most);
        let units = half.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        let [single, batches, whole] = [units, units, 1].map(|units| Arc::new(Semaphore::new(units)));
        Self { single, batches, whole, unread: Arc::default(), half, most, patience }
    }

    /// Reads the body of a single request or a batch, beside which it holds so many bytes more.
    pub async fn read<B>(&self, mut body: B, beside: usize, batch: bool) -> Result<(Bytes, Held), Unread>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        if body.size_hint().lower() > self.most as u64 {
            return Err(Unread::Large);
        }
        if !batch && self.unread.load(Ordering::Relaxed) > self.half {
            return Err(Unread::NoRoom);
        }
        let (mut held, mut parts, mut bytes) = (Held::default(), Vec::new(), 0);
        let mut until = Instant::now() + self.patience;
        self.grow(&mut held, beside, batch).await?;
        while let Some(frame) = timeout_at(until, body.frame()).await.map_err(|_| Unread::Slow)? {
            let frame = frame.map_err(|why| Unread::Ended(why.into().to_string()))?;
            let Ok(part) = frame.into_data() else { continue };
            bytes += part.len();
            if bytes > self.most {
                return Err(Unread::Large);
            }
            // What it waits for others is not the client's.
            until += self.grow(&mut held, beside + bytes, batch).await?;
            parts.push(part);
        }
        let whole = match parts.len() {
            1 => parts.swap_remove(0),
            _ => {
                let mut whole = BytesMut::with_capacity(bytes);
                parts.iter().for_each(|part| whole.extend_from_slice(part));
                whole.freeze()
            }
        };
        Ok((whole, held))
    }

    /// Takes what is missing for so many bytes. Returns how long it waited.
    async fn grow(&self, held: &mut Held, bytes: usize, batch: bool) -> Result<Duration, Unread> {
        let more =
            bytes.div_ceil(UNIT).saturating_sub(held.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more == 0 || held.whole.is_some() {
            return Ok(Duration::ZERO);
        }
        let from = if batch { &self.batches } else { &self.single };
        let more = u32::try_from(more).map_err(|_| Unread::Large)?;
        let (units, waited) = match from.clone().try_acquire_many_owned(more) {
            Ok(units) => (units, Duration::ZERO),
            Err(_) if !batch => return Err(Unread::NoRoom),
            Err(_) => {
                let begin = Instant::now();
                let either = async {
                    tokio::select! {
                        units = from.clone().acquire_many_owned(more) => units.map(Ok),
                        whole = self.whole.clone().acquire_owned() => whole.map(Err),
                    }
                };
                match timeout(self.patience, either).await {
                    Ok(Ok(Ok(units))) => (units, begin.elapsed()),
                    Ok(Ok(Err(whole))) => {
                        held.whole = Some(whole);
                        return Ok(begin.elapsed());
                    }
                    _ => return Err(Unread::NoRoom),
                }
            }
        };
        match &mut held.units {
            Some(held) => held.merge(units),
            none => *none = Some(units),
        }
        Ok(waited)
    }

    /// An answer, which takes room until its client has read it.
    pub fn answer(&self, bytes: Vec<u8>) -> Body {
        if bytes.len() <= SHORT {
            return bytes.into();
        }
        self.unread.fetch_add(bytes.len(), Ordering::Relaxed);
        Body::new(Answer(Bytes::from_owner(Counted { bytes, unread: self.unread.clone() })))
    }
}

/// Bytes that count until nobody has a part of them.
struct Counted {
    bytes: Vec<u8>,
    unread: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.unread.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// What is left of an answer. In pieces, since a connection that encrypts copies what it is given.
struct Answer(Bytes);

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn room() -> Room {
        Room::new(8 << 10, 3 << 10, Duration::from_secs(30))
    }

    #[test]
    fn single_requests_are_refused_and_batches_do_not_wait_for_each_other() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _inside = runtime.enter();
        let (room, body) = (room(), || Body::from(vec![0; 3 << 10]));
        let read = |batch| room.read(body(), 0, batch).now_or_never();
        let first = read(false);
        assert!(matches!(first, Some(Ok(_))) && matches!(read(false), Some(Err(Unread::NoRoom))));
        let batches = [read(true), read(true)];
        assert!(batches.iter().all(|read| matches!(read, Some(Ok(_)))), "one has units, and one needs none");
        assert!(read(true).is_none(), "it waits");
        drop((first, batches));
        assert!([false, true].into_iter().all(|batch| matches!(read(batch), Some(Ok(_)))));
        assert!(matches!(room.read(Body::from(vec![0; 4 << 10]), 0, false).now_or_never(), Some(Err(Unread::Large))));
    }

    #[test]
    fn answers_that_nobody_reads_leave_no_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _inside = runtime.enter();
        let room = room();
        let answer = room.answer(vec![1; 1 << 20]);
        assert!(matches!(room.read(Body::empty(), 0, false).now_or_never(), Some(Err(Unread::NoRoom))));
        let read = answer.collect().now_or_never().expect("all of it").expect("no error").to_bytes();
        assert_eq!(read.len(), 1 << 20);
        drop(read);
        assert!(matches!(room.read(Body::empty(), 0, false).now_or_never(), Some(Ok(_))));
    }
}
