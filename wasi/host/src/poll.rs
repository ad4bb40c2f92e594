//! `poll_oneoff`: sleeping, and waiting for input or output that is always there.

use crate::{Answer, Malformed, Reply, Request, errno};

/// Bytes of a `subscription`.
const SUBSCRIPTION: usize = 48;
/// Bytes of an `event`.
const EVENT: usize = 32;

/// What a subscription waits for.
enum Wait {
    /// Until the clock says this.
    Until(u64),
    /// Not at all; a descriptor is ready or wrong.
    Now(u16),
}

struct Subscription {
    userdata: [u8; 8],
    kind: u8,
    wait: Wait,
}

fn u32_at(bytes: &[u8; SUBSCRIPTION], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8; SUBSCRIPTION], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

impl Subscription {
    /// Offsets as in `witx`: userdata 0, tag 8; a clock's id 16, timeout 24, precision 32, flags 40; a descriptor 16.
    fn parse(bytes: &[u8; SUBSCRIPTION], now: u64) -> Self {
        let kind = bytes[8];
        let wait = match kind {
            // Both clocks run on one time base. The CPU-time clocks cannot be waited for.
            0 if u32_at(bytes, 16) > 1 => Wait::Now(errno::NOTSUP),
            0 => {
                let timeout = u64_at(bytes, 24);
                let absolute = bytes[40] & 1 != 0;
                Wait::Until(if absolute { timeout } else { now.saturating_add(timeout) })
            }
            // Input lies in memory, output always goes on: 0 can be read, 1 and 2 written.
            1 if u32_at(bytes, 16) == 0 => Wait::Now(errno::SUCCESS),
            2 if matches!(u32_at(bytes, 16), 1 | 2) => Wait::Now(errno::SUCCESS),
            1 | 2 => Wait::Now(errno::BADF),
            _ => Wait::Now(errno::INVAL),
        };
        Self { userdata: std::array::from_fn(|i| bytes[i]), kind, wait }
    }

    fn event(&self, error: u16) -> [u8; EVENT] {
        let mut event = [0; EVENT];
        event[..8].copy_from_slice(&self.userdata);
        event[8..10].copy_from_slice(&error.to_le_bytes());
        event[10] = self.kind;
        if self.kind != 0 && error == errno::SUCCESS {
            // At least one byte: callers that ask for none would wait for ever.
            event[16] = 1;
        }
        event
    }
}

/// Parameters: in, out, nsubscriptions, nevents.
pub fn oneoff(request: &Request<'_>, now: u64) -> Result<Answer, Malformed> {
    let (subscriptions, rest) = request.input(0).as_chunks::<SUBSCRIPTION>();
    if subscriptions.is_empty() {
        return Ok(Answer::Ready(Reply::errno(request.call, errno::INVAL).finish()));
    }
    if !rest.is_empty() {
        return Err(Malformed("a list of subscriptions has an odd size"));
    }
    let subscriptions: Vec<_> = subscriptions.iter().map(|bytes| Subscription::parse(bytes, now)).collect();
    // If nothing is ready now, whatever comes first is.
    let ready = |s: &Subscription| match s.wait {
        Wait::Until(time) => time,
        Wait::Now(_) => 0,
    };
    let time = subscriptions.iter().map(ready).min().unwrap_or(now).max(now);
    let mut events = Vec::new();
    for s in subscriptions.iter().filter(|s| ready(s) <= time) {
        events.extend(s.event(match s.wait {
            Wait::Until(_) => errno::SUCCESS,
            Wait::Now(error) => error,
        }));
    }
    let count = (events.len() / EVENT) as u32;
    let answer = Reply::ok(request.call).out(&events).out(&count.to_le_bytes()).finish();
    Ok(if time <= now { Answer::Ready(answer) } else { Answer::At { time, answer } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectorvisor_translate::host::find;

    const NOW: u64 = 1_000_000;

    fn clock(userdata: u64, id: u32, timeout: u64, flags: u16) -> [u8; SUBSCRIPTION] {
        let mut s = [0; SUBSCRIPTION];
        s[..8].copy_from_slice(&userdata.to_le_bytes());
        s[16..20].copy_from_slice(&id.to_le_bytes());
        s[24..32].copy_from_slice(&timeout.to_le_bytes());
        s[40..42].copy_from_slice(&flags.to_le_bytes());
        s
    }

    fn descriptor(userdata: u64, kind: u8, fd: u32) -> [u8; SUBSCRIPTION] {
        let mut s = clock(userdata, fd, 0, 0);
        s[8] = kind;
        s
    }

    /// The answer's time if it is a later one, its errno, and (userdata, error, kind) of its events.
    type Seen = (Option<u64>, u64, Vec<(u64, u16, u8)>);

    fn poll(subscriptions: &[[u8; SUBSCRIPTION]]) -> Seen {
        let mut request = vec![0; 32];
        request[16] = subscriptions.len() as u8;
        request.extend(((subscriptions.len() * SUBSCRIPTION) as u64).to_le_bytes());
        request.extend(subscriptions.concat());
        let call = find("wasi_unstable", "poll_oneoff").expect("it is in the table");
        let (time, bytes) = match crate::answer(call, &request, NOW).expect("the request is well formed") {
            Answer::Ready(bytes) => (None, bytes),
            Answer::At { time, answer } => (Some(time), answer),
        };
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let length = word(8) as usize;
        let events = bytes[16..16 + length]
            .chunks(EVENT)
            .map(|e| (u64::from(e[0]), u16::from(e[8]) | u16::from(e[9]) << 8, e[10]))
            .collect::<Vec<_>>();
        if word(0) == 0 {
            assert_eq!(word(16 + length), 4, "the count is four bytes");
            assert_eq!(word(24 + length), events.len() as u64);
        }
        (time, word(0), events)
    }

    #[test]
    fn sleeps_until_the_first_clock() {
        assert_eq!(poll(&[clock(1, 1, 500, 0), clock(2, 0, 300, 0)]), (Some(NOW + 300), 0, vec![(2, 0, 0)]));
        assert_eq!(poll(&[clock(1, 1, NOW + 9, 1)]), (Some(NOW + 9), 0, vec![(1, 0, 0)]));
        assert_eq!(poll(&[clock(1, 1, 7, 0), clock(2, 1, 7, 0)]), (Some(NOW + 7), 0, vec![(1, 0, 0), (2, 0, 0)]));
    }

    #[test]
    fn times_in_the_past_are_ready() {
        assert_eq!(poll(&[clock(3, 0, NOW - 1, 1)]), (None, 0, vec![(3, 0, 0)]));
        assert_eq!(poll(&[clock(3, 0, 0, 0)]), (None, 0, vec![(3, 0, 0)]));
        assert_eq!(poll(&[clock(3, 0, u64::MAX, 0)]), (Some(u64::MAX), 0, vec![(3, 0, 0)]));
    }

    #[test]
    fn descriptors_are_ready_at_once() {
        let subscriptions =
            [clock(1, 0, 100, 0), descriptor(2, 1, 0), descriptor(3, 2, 1), descriptor(4, 1, 5), descriptor(5, 9, 0)];
        let events = vec![(2, 0, 1), (3, 0, 2), (4, errno::BADF, 1), (5, errno::INVAL, 9)];
        assert_eq!(poll(&subscriptions), (None, 0, events));
    }

    #[test]
    fn nothing_to_wait_for_is_invalid() {
        assert_eq!(poll(&[]), (None, u64::from(errno::INVAL), vec![]));
    }

    #[test]
    fn cpu_clocks_are_not_supported() {
        assert_eq!(poll(&[clock(1, 2, 5, 0)]), (None, 0, vec![(1, errno::NOTSUP, 0)]));
    }
}
