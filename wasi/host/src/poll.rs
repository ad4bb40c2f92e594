//! `poll_oneoff`: how long a VM waits.

use crate::Answer;

/// The request: the shortest timeout, the earliest absolute time (`u64::MAX`: none), and whether a stream is ready. The
/// answer: for how long the VM waited, and its clock.
pub fn oneoff([shortest, earliest, ready]: [u64; 3], now: u64) -> Answer {
    // Both clocks run on one time base.
    let time = if ready != 0 { now } else { now.saturating_add(shortest).min(earliest).max(now) };
    let answer = [time - now, time].map(u64::to_le_bytes).concat();
    if time == now { Answer::Ready(answer) } else { Answer::At { time, answer } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;
    const NONE: u64 = u64::MAX;

    /// For how long the VM waits.
    fn waits(request: [u64; 3]) -> u64 {
        let (time, answer) = match oneoff(request, NOW) {
            Answer::Ready(answer) => (NOW, answer),
            Answer::At { time, answer } => (time, answer),
        };
        assert_eq!(answer, [time - NOW, time].map(u64::to_le_bytes).as_flattened());
        time - NOW
    }

    #[test]
    fn sleeps_until_the_first_clock() {
        assert_eq!(waits([500, NONE, 0]), 500);
        assert_eq!(waits([500, NOW + 300, 0]), 300);
        assert_eq!(waits([NONE, NOW + 9, 0]), 9);
        assert_eq!(waits([NONE - 1, NONE, 0]), NONE - NOW, "never");
    }

    #[test]
    fn times_in_the_past_and_streams_are_ready() {
        assert_eq!(waits([NONE, NOW - 1, 0]), 0);
        assert_eq!(waits([0, NONE, 0]), 0);
        for ready in [1, 2, 3] {
            assert_eq!(waits([500, NONE, ready]), 0);
        }
    }
}
