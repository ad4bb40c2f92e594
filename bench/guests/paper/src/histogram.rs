//! Histogram: how often numbers are in each of 64 equal intervals.

use serde::{Deserialize, Serialize};
use vectorvisor_guest::{Format, Service};

/// 20,480 of them in the evaluation, each 9 bytes in MessagePack.
#[derive(Deserialize, Serialize)]
pub struct Numbers {
    pub numbers: Vec<u64>,
}

#[derive(Deserialize, Serialize)]
pub struct Histogram {
    pub least: u64,
    pub greatest: u64,
    pub mean: u64,
    pub counts: Vec<u32>,
}

pub fn service() -> Service {
    Service::of(Format::MsgPack, |request: Numbers| histogram(&request.numbers)).room(256 << 10)
}

fn histogram(numbers: &[u64]) -> Histogram {
    let least = numbers.iter().copied().min().unwrap_or(0);
    let greatest = numbers.iter().copied().max().unwrap_or(0);
    let width = (greatest - least) / 64 + 1;
    let mut counts = vec![0; 64];
    let mut sum = 0;
    for number in numbers {
        counts[((number - least) / width) as usize] += 1;
        sum += u128::from(*number);
    }
    let mean = (sum / numbers.len().max(1) as u128) as u64;
    Histogram { least, greatest, mean, counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_counts() {
        let made = histogram(&[0, 1, 63, 63, u64::MAX]);
        assert_eq!((made.least, made.greatest, made.counts[0], made.counts[63]), (0, u64::MAX, 4, 1));
        assert_eq!(histogram(&[7]).mean, 7);
        assert_eq!(histogram(&[]).counts.iter().sum::<u32>(), 0);
    }
}
