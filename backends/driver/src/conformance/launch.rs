//! Launches and what kernels compute.

use super::{Failure, Fixture, Outcome, ensure, noise};
use crate::{Error, KernelId, MAX_LANES};
use std::time::{Duration, Instant};

pub fn shapes(fixture: &Fixture) -> Outcome {
    let place = fixture.kernel("place")?;
    for (tiles, lanes) in [(1, 1), (1, 32), (3, 8), (7, 64), (1000, 32), (257, 1)] {
        all_ran(fixture, place, tiles, lanes)?;
    }
    Ok(())
}

/// Every thread of a launch writes its tile and lane into its own word, once, and no thread writes elsewhere.
fn all_ran(fixture: &Fixture, place: KernelId, tiles: u32, lanes: u32) -> Outcome {
    let threads = (tiles * lanes) as usize;
    let (seen, none) = (fixture.words(&vec![0; threads + 1])?, fixture.words(&[0])?);
    fixture.queue.launch(place, &[Some(seen.id()), Some(none.id()), None], tiles, lanes)?.wait()?;
    let seen = fixture.read(&seen)?;
    for (index, word) in seen.iter().take(threads).enumerate() {
        let expected = (index as u32 / lanes) << 8 | (index as u32 % lanes) << 1 | 1;
        ensure!(*word == expected, "thread {index} of {tiles} x {lanes} left {word:#x}, not {expected:#x}");
    }
    ensure!(seen[threads] == 0, "more than {tiles} x {lanes} threads ran");
    Ok(())
}

/// More tiles than fit in a 16-bit grid dimension; empty launches; and more lanes than a tile can have.
pub fn limits(fixture: &Fixture) -> Outcome {
    let place = fixture.kernel("place")?;
    for (tiles, lanes) in [(65_536 + 3, 1), (0, 32), (3, 0), (0, 0)] {
        all_ran(fixture, place, tiles, lanes)?;
    }
    let seen = fixture.words(&[0; 4])?;
    for lanes in [MAX_LANES + 1, 1 << 20, u32::MAX] {
        let launch = fixture.queue.launch(place, &[Some(seen.id()), Some(seen.id()), None], 1, lanes).map(drop);
        ensure!(matches!(launch, Err(Error::Invalid(_))), "a tile of {lanes} lanes gave {launch:?}");
    }
    ensure!(fixture.read(&seen)? == [0; 4], "a refused launch ran");
    all_ran(fixture, place, 2, 32)
}

/// Many more tiles than run at a time.
pub fn many_tiles(fixture: &Fixture) -> Outcome {
    let place = fixture.kernel("place")?;
    all_ran(fixture, place, 1 << 20, 1)?;
    all_ran(fixture, place, 100_003, 32)
}

pub fn arguments(fixture: &Fixture) -> Outcome {
    let kernel = fixture.kernel("address")?;
    let (one, two) = (fixture.words(&[9; 4])?, fixture.words(&[0; 3])?);
    fixture.queue.launch(kernel, &[Some(one.id()), Some(two.id()), None], 1, 1)?.wait()?;
    ensure!(fixture.read(&one)? == [0, 0, 1, 9], "low bits of two pointers, and null: {:?}", fixture.read(&one)?);
    fixture.queue.launch(kernel, &[Some(one.id()), Some(two.id()), Some(two.id())], 1, 1)?.wait()?;
    ensure!(fixture.read(&one)? == [0, 0, 0, 9], "an argument stayed null: {:?}", fixture.read(&one)?);
    Ok(())
}

/// A call into another unit, integers, and the float rules of WebAssembly: no contraction, correctly rounded division
/// and square root, denormals kept.
pub fn known_answers(fixture: &Fixture) -> Outcome {
    let threads = 256u32;
    let input: Vec<u32> =
        noise(5, threads as usize * 4).chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (from, to) = (fixture.words(&input)?, fixture.words(&vec![0; input.len() * 6])?);
    let kernel = fixture.kernel("answers")?;
    fixture.queue.launch(kernel, &[Some(to.id()), Some(from.id()), None], threads / 32, 32)?.wait()?;
    let got = fixture.read(&to)?;
    for (index, (x, got)) in input.iter().zip(got.chunks_exact(6)).enumerate() {
        let y = input[(index + 1) % input.len()];
        let wide = u64::from(*x).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let wide = (wide << (y & 63)) ^ (wide >> (x & 63)) ^ u64::from(y);
        // Between 1 and 2, so that every result is a number.
        let float = |bits: u32| f32::from_bits(bits >> 9 | 0x3f80_0000);
        let (f, g) = (float(*x), float(y));
        let tiny = f * f32::from_bits(0x0100_0000) * f32::from_bits(0x3a00_0000);
        let expected = [
            (wide as u32) ^ (wide >> 32) as u32,
            (*x as i32 / ((y >> 16) as i32 | 1)) as u32,
            (f * g - 1.5).to_bits(),
            (f / g).to_bits(),
            (f * 3.0).sqrt().to_bits(),
            tiny.to_bits(),
        ];
        ensure!(got == expected, "inputs {x:#x} and {y:#x} gave {got:#x?}, not {expected:#x?}");
    }
    Ok(())
}

/// What the kernel `steps` gives for a lane after `count` steps, computed in as many steps as `count` has bits.
fn after_steps(lane: u32, count: u32) -> u32 {
    // x -> factor * x + term, squared again and again.
    let (mut factor, mut term) = (1_664_525u32, lane);
    let (mut all_factor, mut all_term) = (1u32, 0u32);
    let mut left = count;
    while left != 0 {
        if left & 1 == 1 {
            all_factor = all_factor.wrapping_mul(factor);
            all_term = all_term.wrapping_mul(factor).wrapping_add(term);
        }
        term = term.wrapping_mul(factor).wrapping_add(term);
        factor = factor.wrapping_mul(factor);
        left >>= 1;
    }
    // From 1.
    all_factor.wrapping_add(all_term)
}

/// A launch returns at once, its event is reached when the kernel has ended and not before, later work waits, and the
/// times are in nanoseconds.
pub fn runs_long(fixture: &Fixture) -> Outcome {
    let (steps, advance) = (fixture.kernel("steps")?, fixture.kernel("advance")?);
    let begin = Instant::now();
    let mut count = 1u32 << 12;
    loop {
        let (out, input) = (fixture.words(&[0; 32])?, fixture.words(&[count, 1])?);
        fixture.queue.finish()?;
        let launched = Instant::now();
        let event = fixture.queue.launch(steps, &[Some(out.id()), Some(input.id()), None], 1, 32)?;
        let after = fixture.queue.launch(advance, &[Some(out.id()), Some(out.id()), None], 1, 32)?;
        let returned = launched.elapsed();
        let (early, early_times) = (event.reached()?, event.times());
        event.wait()?;
        let wall = launched.elapsed();
        after.wait()?;
        let expected: Vec<u32> = (0..32).map(|lane| after_steps(lane, count).wrapping_mul(3).wrapping_add(1)).collect();
        ensure!(fixture.read(&out)? == expected, "{count} steps and one more kernel gave another result");
        let (start, end) = event.times()?;
        ensure!(start <= end && after.times()?.1 >= end, "the later work ended first");
        let device = Duration::from_nanos(end - start);
        // The first launch may still compile.
        if count > 1 << 12 {
            ensure!(device <= wall + Duration::from_millis(50), "the event says {device:?}, the host saw {wall:?}");
        }
        if device > Duration::from_millis(200) {
            ensure!(returned < device / 2, "launching took {returned:?} of the {device:?} that the kernel ran");
            ensure!(!early, "the event of a kernel that runs {device:?} was reached after {returned:?}");
            ensure!(matches!(early_times, Err(Error::Invalid(_))), "before the end, the times were {early_times:?}");
            ensure!(device * 4 > wall, "the event says {device:?}, the host saw {wall:?}");
            return Ok(());
        }
        ensure!(begin.elapsed() < Duration::from_secs(60), "{count} steps take {device:?}: nothing takes long here");
        count = count.checked_mul(2).ok_or_else(|| Failure::from("2^31 steps in no time"))?;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn steps_are_those_of_a_loop() {
        for (lane, count) in [(0, 0), (5, 1), (7, 2), (31, 1000), (3, 4097)] {
            let slow = (0..count).fold(1u32, |x, _| x.wrapping_mul(1_664_525).wrapping_add(lane));
            assert_eq!(super::after_steps(lane, count), slow, "{count} steps of lane {lane}");
        }
    }
}
