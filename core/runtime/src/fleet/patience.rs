//! How long the VMs of a server's launch may compute before the others of their group stop waiting for them.

use std::time::Duration;

/// An input has so many times as long as nearly all others took, and at least so long.
const TIMES: u32 = 8;
const LEAST: Duration = Duration::from_micros(200);
/// All but one in so many are nearly all.
const NEARLY: u32 = 64;
/// Of so many inputs it is remembered how long they took, more or less; and before so many have ended nothing is known.
const RECENT: u32 = 4096;
const FEWEST: u32 = 64;

/// How long inputs took of late.
#[derive(Debug)]
pub struct Patience {
    /// How many took less than 2 to the power of their index in nanoseconds, and not less than half of that.
    took: [u32; 64],
    all: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { took: [0; 64], all: 0 }
    }
}

impl Patience {
    /// An input has ended by itself, which took so many nanoseconds.
    pub fn ended(&mut self, nanoseconds: u64) {
        self.took[(u64::BITS - nanoseconds.leading_zeros()).min(63) as usize] += 1;
        self.all += 1;
        if self.all >= RECENT {
            self.took.iter_mut().for_each(|count| *count /= 2);
            self.all = self.took.iter().sum();
        }
    }

    /// How long one may take, if that is known.
    pub fn limit(&self) -> Option<Duration> {
        let mut longer = self.all;
        let nearly = self.took.iter().position(|count| {
            longer -= count;
            longer <= self.all / NEARLY
        })?;
        (self.all >= FEWEST).then(|| (Duration::from_nanos(1 << nearly) * TIMES).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_takes_far_longer_than_nearly_all_others_is_known_by_that() {
        let mut patience = Patience::default();
        assert_eq!(patience.limit(), None);
        for n in 0..1000 {
            // One in a hundred takes a second, the others less than 2^20 ns.
            patience.ended(if n % 100 == 0 { 1_000_000_000 } else { 1_000_000 });
        }
        assert_eq!(patience.limit(), Some(Duration::from_nanos(8 << 20)));
        for _ in 0..20_000 {
            patience.ended(1_000);
        }
        assert_eq!(patience.limit(), Some(LEAST));
        for _ in 0..20_000 {
            patience.ended(1_000_000_000);
        }
        assert_eq!(patience.limit(), Some(Duration::from_nanos(8 << 30)));
    }
}
