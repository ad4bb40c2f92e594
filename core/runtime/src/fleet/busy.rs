//! How long the device was in a program's kernel, where launches overlap.

use std::time::Duration;

/// Intervals that are kept: many more than launches that can overlap.
const MOST: usize = 4096;

/// Intervals of the device's clock, in nanoseconds.
#[derive(Default)]
pub struct Busy {
    latest: Vec<(u64, u64)>,
    /// The length of those before.
    before: u64,
}

impl Busy {
    /// Adds the time from `begin` to `end`.
    pub fn add(&mut self, interval: (u64, u64)) {
        if self.latest.len() >= MOST {
            self.merge();
            let old = self.latest.len().saturating_sub(MOST / 2);
            self.before += self.latest.drain(..old).map(|(begin, end)| end.saturating_sub(begin)).sum::<u64>();
        }
        self.latest.push(interval);
    }

    /// The time in any of the intervals.
    pub fn total(&mut self) -> Duration {
        self.merge();
        let latest: u64 = self.latest.iter().map(|(begin, end)| end.saturating_sub(*begin)).sum();
        Duration::from_nanos(self.before + latest)
    }

    /// Afterwards no two overlap.
    fn merge(&mut self) {
        self.latest.sort_unstable();
        self.latest.dedup_by(|next, last| {
            let overlaps = next.0 <= last.1;
            if overlaps {
                last.1 = last.1.max(next.1);
            }
            overlaps
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_launches_share_counts_once() {
        let mut busy = Busy::default();
        for interval in [(50, 60), (0, 10), (5, 8), (7, 20), (20, 21), (60, 60)] {
            busy.add(interval);
        }
        assert_eq!(busy.total(), Duration::from_nanos(31));
        (10..10_000).for_each(|i| busy.add((i * 10, i * 10 + 1)));
        assert_eq!(busy.total(), Duration::from_nanos(31 + 9990));
    }
}
