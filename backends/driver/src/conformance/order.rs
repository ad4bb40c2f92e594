//! Order, events and their times, threads.

use super::{Fixture, Outcome, ensure, launch, read_words, to_bytes};
use crate::{Buffer, Device, HostVisible, KernelId, Mapped, Pinned, Queue};
use std::sync::Arc;
use std::sync::Barrier;
use std::time::{Duration, Instant};

pub fn order(fixture: &Fixture) -> Outcome {
    let kernel = fixture.kernel("advance")?;
    let words = 4096;
    let buffer = fixture.words(&vec![0; words])?;
    let mut start = Pinned::new(&fixture.device, words * 4)?;
    let mut back = Pinned::new(&fixture.device, words * 4)?;
    let values: Vec<u32> = (0..words as u32).collect();
    start.copy_from_slice(&to_bytes(&values));
    let mut events = Vec::new();
    // SAFETY: both pinned buffers are left alone until the queue has finished.
    unsafe {
        events.push(fixture.queue.write_async(&buffer, 0, &start, words * 4)?);
        for _ in 0..20 {
            events.push(fixture.queue.launch(
                kernel,
                &[Some(buffer.id()), Some(buffer.id()), None],
                words as u32 / 32,
                32,
            )?);
        }
        events.push(fixture.queue.read_async(&buffer, 0, &mut back, words * 4)?);
    }
    fixture.queue.finish()?;
    let expected: Vec<u32> =
        values.iter().map(|value| (0..20).fold(*value, |value, _| value.wrapping_mul(3).wrapping_add(1))).collect();
    ensure!(back[..] == to_bytes(&expected), "twenty steps between a write and a read gave another result");
    Ok(())
}

/// One queue sees what another has done once the host has waited for that, by event or by finish; and queues can be
/// waited for in any order.
pub fn across_queues(fixture: &Fixture) -> Outcome {
    let advance = fixture.kernel("advance")?;
    let queues = [Queue::new(&fixture.device)?, Queue::new(&fixture.device)?, Queue::new(&fixture.device)?];
    let buffer = fixture.words(&[5; 320])?;
    let mut expected = 5u32;
    for round in 0..30 {
        let queue = &queues[round % queues.len()];
        let event = queue.launch(advance, &[Some(buffer.id()), Some(buffer.id()), None], 10, 32)?;
        if round % 2 == 0 {
            event.wait()?
        } else {
            queue.finish()?
        }
        expected = expected.wrapping_mul(3).wrapping_add(1);
    }
    let back = fixture.read(&buffer)?;
    ensure!(back == [expected; 320], "thirty steps in turn on three queues gave another result");

    let own = [fixture.words(&[1; 320])?, fixture.words(&[2; 320])?, fixture.words(&[3; 320])?];
    let mut events = Vec::new();
    for _ in 0..10 {
        for (queue, buffer) in queues.iter().zip(&own) {
            events.push(queue.launch(advance, &[Some(buffer.id()), Some(buffer.id()), None], 10, 32)?);
        }
    }
    for event in events.iter().rev() {
        event.wait()?;
    }
    for (first, buffer) in (1..).zip(&own) {
        let expected = (0..10).fold(first, |value: u32, _| value.wrapping_mul(3).wrapping_add(1));
        ensure!(fixture.read(buffer)? == [expected; 320], "ten steps on each of three queues gave another result");
    }
    Ok(())
}

/// Events of launches and copies: reached after a wait, with times of one clock, in the order of the queue.
pub fn events(fixture: &Fixture) -> Outcome {
    let kernel = fixture.kernel("advance")?;
    let buffer = fixture.words(&vec![1; 1 << 16])?;
    let mut last = 0;
    for _ in 0..3 {
        let event = fixture.queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], (1 << 16) / 32, 32)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !event.reached()? {
            ensure!(Instant::now() < deadline, "an event was not reached in ten seconds");
            std::thread::yield_now();
        }
        event.wait()?;
        let (begin, end) = event.times()?;
        ensure!(begin <= end && last <= end, "work from {begin} to {end}, after work that ended at {last}");
        ensure!(end - begin < 10_000_000_000, "a short kernel took {} ns", end - begin);
        last = end;
    }
    let memory = Pinned::new(&fixture.device, 1 << 18)?;
    let mut events = Vec::new();
    for _ in 0..3 {
        // SAFETY: nothing changes the pinned memory.
        events.push(unsafe { fixture.queue.write_async(&buffer, 0, &memory, 1 << 18)? });
        events.push(fixture.queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], (1 << 16) / 32, 32)?);
        // An event that is freed at once.
        drop(fixture.queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], 1, 32)?);
    }
    fixture.queue.finish()?;
    for event in events {
        let (begin, end) = event.times()?;
        ensure!(begin <= end && last <= end, "work from {begin} to {end}, after work that ended at {last}");
        last = end;
    }
    Ok(())
}

pub fn live_shared(fixture: &Fixture) -> Outcome {
    let kernel = fixture.kernel("listen")?;
    let (word, seen) = (HostVisible::new(&fixture.device)?, fixture.words(&[7; 8])?);
    let live = fixture.device.info().live_shared;
    // Where it is not live, a store before the launch must still be seen.
    if !live {
        word.store(5);
    }
    let event = fixture.queue.launch(kernel, &[Some(seen.id()), Some(word.id()), None], 1, 8)?;
    if live {
        std::thread::sleep(Duration::from_millis(5));
        ensure!(!event.reached()?, "launch is not asynchronous, or the kernel gave up early");
        word.store(5);
    }
    event.wait()?;
    let seen = fixture.read(&seen)?;
    ensure!(seen == [5; 8], "the kernel saw {seen:?}");
    Ok(())
}

/// Launches and the host see what the other stored, between launches that use other memory.
pub fn mapped(fixture: &Fixture) -> Outcome {
    let (kernel, count) = (fixture.kernel("advance")?, 1 << 10);
    let Some(words) = Mapped::new(&fixture.device, count * 8)? else { return Ok(()) };
    let mut bytes = Vec::new();
    words.read(0, count * 8, &mut bytes);
    ensure!(bytes.iter().all(|byte| *byte == 0), "mapped memory is not zeroed");
    let there = fixture.words(&vec![0; count * 2])?;
    for round in 0..20 {
        for n in 0..count {
            words.store(n, (n as u64 + round) << 32 | n as u64);
        }
        let tiles = count as u32 * 2 / 32;
        fixture.queue.launch(kernel, &[Some(there.id()), Some(words.id()), None], tiles, 32)?;
        let event = fixture.queue.launch(kernel, &[Some(words.id()), Some(there.id()), None], tiles, 32)?;
        if round % 2 == 0 {
            event.wait()?
        } else {
            fixture.queue.finish()?
        }
        for n in 0..count {
            let twice = |word: u64| (word * 9 + 4) & u64::from(u32::MAX);
            let expected = twice(n as u64 + round) << 32 | twice(n as u64);
            ensure!(words.load(n) == expected, "word {n} is {:#x} after two steps, not {expected:#x}", words.load(n));
        }
    }
    Ok(())
}

/// A device opened twice works through both.
pub fn opened_twice(fixture: &Fixture) -> Outcome {
    launch::known_answers(&Fixture::new(&fixture.again)?)?;
    launch::known_answers(fixture)
}

/// Twenty-five rounds of write, launch and read on a queue of its own.
fn rounds(device: &Arc<dyn Device>, kernel: KernelId, seed: u32, together: &Barrier) -> Outcome {
    let queue = Queue::new(device);
    // Before an error returns: the other thread waits here.
    together.wait();
    let queue = queue?;
    for round in 0..25 {
        let values: Vec<u32> = (0..512).map(|index| index * 7 + seed + round).collect();
        let buffer = Buffer::new(device, 2048)?;
        queue.write(&buffer, 0, &to_bytes(&values))?;
        queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], 16, 32)?;
        let back = read_words(&queue, &buffer)?;
        ensure!(back.iter().zip(&values).all(|(back, value)| *back == value * 3 + 1), "round {round} went wrong");
    }
    Ok(())
}

fn at_once(one: impl FnOnce() -> Outcome, two: impl FnOnce() -> Outcome + Send) -> Outcome {
    let (one, two) = std::thread::scope(|scope| {
        let two = scope.spawn(two);
        (one(), two.join().unwrap_or_else(|_| Err("the other thread panicked".into())))
    });
    one.and(two)
}

pub fn two_threads(fixture: &Fixture) -> Outcome {
    let (kernel, together) = (fixture.kernel("advance")?, Barrier::new(2));
    let work = |seed| rounds(&fixture.device, kernel, seed, &together);
    at_once(|| work(0), || work(1000))
}

/// Two devices at once, from compiling to reading.
pub fn two_devices(fixture: &Fixture) -> Outcome {
    fixture.module()?;
    let together = Barrier::new(2);
    let work = |device: &Arc<dyn Device>, seed| {
        let ready = Fixture::new(device).and_then(|fixture| Ok((fixture.kernel("advance")?, fixture)));
        match ready {
            Ok((kernel, _fixture)) => rounds(device, kernel, seed, &together),
            Err(failure) => {
                // The other thread must not wait for ever.
                together.wait();
                Err(failure)
            }
        }
    };
    at_once(|| work(&fixture.device, 0), || work(&fixture.other, 1000))
}
