//! Memory and copies.

use super::{Fixture, Outcome, ensure, noise};
use crate::{Buffer, Error, Pinned};

/// Buffers of odd sizes, some given back and allocated again, keep their own contents.
pub fn apart(fixture: &Fixture) -> Outcome {
    let make = |seed: usize| -> Result<_, super::Failure> {
        let contents = noise(seed as u32, 1 + seed * 37 % 1013);
        let buffer = Buffer::new(&fixture.device, contents.len() as u64)?;
        fixture.queue.write(&buffer, 0, &contents)?;
        Ok((buffer, contents))
    };
    let mut buffers = (0..64).map(make).collect::<Result<Vec<_>, _>>()?;
    for index in (0..64).step_by(3) {
        buffers[index] = make(index + 100)?;
    }
    for (index, (buffer, contents)) in buffers.iter().enumerate() {
        let mut back = vec![0; contents.len()];
        fixture.queue.read(buffer, 0, &mut back)?;
        ensure!(back == *contents, "buffer {index} of 64 was changed");
    }
    Ok(())
}

pub fn copies(fixture: &Fixture) -> Outcome {
    let mut model = noise(1, 70_001);
    let buffer = Buffer::new(&fixture.device, model.len() as u64)?;
    fixture.queue.write(&buffer, 0, &model)?;
    for (seed, (offset, bytes)) in
        [(0, 1), (1, 1), (3, 5), (127, 129), (4095, 2), (4096, 4096), (65_535, 4466), (70_000, 1), (9, 0)]
            .iter()
            .enumerate()
    {
        let part = noise(seed as u32 + 2, *bytes);
        fixture.queue.write(&buffer, *offset as u64, &part)?;
        model[*offset..offset + bytes].copy_from_slice(&part);
        let mut back = vec![0; *bytes];
        fixture.queue.read(&buffer, *offset as u64, &mut back)?;
        ensure!(back == part, "{bytes} bytes at {offset} came back different");
    }
    let mut back = vec![0; model.len()];
    fixture.queue.read(&buffer, 0, &mut back)?;
    let wrong = back.iter().zip(&model).position(|(back, model)| back != model);
    ensure!(wrong.is_none(), "a copy changed the byte at {wrong:?}");
    Ok(())
}

pub fn pinned(fixture: &Fixture) -> Outcome {
    for bytes in [1, 4095, (1 << 20) + 3] {
        let mut source = Pinned::new(&fixture.device, bytes)?;
        let mut back = Pinned::new(&fixture.device, bytes)?;
        ensure!(source.iter().all(|byte| *byte == 0), "pinned memory is not zeroed");
        let buffer = Buffer::new(&fixture.device, bytes as u64 + 5)?;
        for round in 0..3 {
            source.copy_from_slice(&noise(round, bytes));
            // SAFETY: neither pinned buffer is touched until the queue has finished.
            let (write, read) = unsafe {
                let write = fixture.queue.write_async(&buffer, 5, &source, bytes)?;
                (write, fixture.queue.read_async(&buffer, 5, &mut back, bytes)?)
            };
            fixture.queue.finish()?;
            ensure!(write.reached()? && read.reached()?, "events not reached after finish");
            ensure!(source[..] == back[..], "round {round} of {bytes} bytes came back different");
        }
        // SAFETY: nothing is copied.
        unsafe { fixture.queue.write_async(&buffer, 0, &source, 0)? }.wait()?;
    }
    Ok(())
}

pub fn zeroed(fixture: &Fixture) -> Outcome {
    if fixture.device.info().zeroed {
        let old = Buffer::new(&fixture.device, 1 << 16)?;
        fixture.queue.write(&old, 0, &noise(0, 1 << 16))?;
        drop(old);
        let buffer = Buffer::new(&fixture.device, 1 << 16)?;
        ensure!(fixture.read(&buffer)?.iter().all(|word| *word == 0), "device memory is not zeroed");
    }
    let (id, pointer) = fixture.device.alloc_shared(4096)?;
    // SAFETY: the driver gave us 4096 bytes, and no kernel uses them.
    let zero = unsafe { std::slice::from_raw_parts(pointer, 4096) }.iter().all(|byte| *byte == 0);
    fixture.device.free(id);
    ensure!(zero, "shared memory is not zeroed");
    Ok(())
}

/// One request for more memory than there can be.
pub fn beyond(fixture: &Fixture) -> Outcome {
    let wanted = fixture.device.info().memory.saturating_mul(4);
    for wanted in [wanted, u64::MAX] {
        let error = Buffer::new(&fixture.device, wanted).err();
        ensure!(matches!(error, Some(Error::OutOfMemory { .. })), "{wanted} bytes gave {error:?}");
    }
    for wanted in [1 << 60, usize::MAX] {
        let error = Pinned::new(&fixture.device, wanted).err();
        ensure!(matches!(error, Some(Error::OutOfMemory { .. })), "{wanted} pinned bytes gave {error:?}");
    }
    ensure!(Buffer::new(&fixture.device, 4096).is_ok(), "no allocation works after a failed one");
    Ok(())
}

/// Requests that fit one by one, until the memory is used up.
pub fn runs_out(fixture: &Fixture) -> Outcome {
    let info = fixture.device.info();
    // Not all in one request, but in as few as the device allows.
    let each = info.max_alloc.min(info.memory / 2 + 1).max(1);
    for round in 0..2 {
        let mut held = Vec::new();
        let error = loop {
            match Buffer::new(&fixture.device, each) {
                Ok(buffer) => held.push(buffer),
                Err(error) => break error,
            }
            let bytes = held.len() as u64 * each;
            ensure!(bytes <= info.memory, "the device gave {bytes} bytes, and has {}", info.memory);
        };
        ensure!(matches!(error, Error::OutOfMemory { .. }), "after {} x {each} bytes came: {error}", held.len());
        ensure!(!held.is_empty(), "not one buffer of {each} bytes can be had in round {round}");
        // The last one works, to its end.
        if let Some(last) = held.last() {
            fixture.queue.write(last, each - 3, &[1, 2, 3])?;
            let mut back = [0; 3];
            fixture.queue.read(last, each - 3, &mut back)?;
            ensure!(back == [1, 2, 3], "the end of a buffer of {each} bytes came back different");
        }
    }
    Ok(())
}

pub fn ranges(fixture: &Fixture) -> Outcome {
    let buffer = Buffer::new(&fixture.device, 100)?;
    let mut side = [0; 101];
    // `Queue` checks ranges too, so call the device itself.
    let (device, queue) = (&fixture.device, fixture.device.queue(false)?);
    for (offset, bytes) in [(0, 101), (100, 1), (u64::MAX, 2), (1 << 40, 0)] {
        // SAFETY: both calls must be refused; if not, `side` is large enough and the queue is finished below.
        let (write, read) = unsafe {
            let write = device.write(queue, buffer.id(), offset, side.as_ptr(), bytes);
            (write, device.read(queue, buffer.id(), offset, side.as_mut_ptr(), bytes))
        };
        device.finish(queue)?;
        ensure!(matches!(write, Err(Error::Invalid(_))), "writing {bytes} at {offset} of 100: {write:?}");
        ensure!(matches!(read, Err(Error::Invalid(_))), "reading {bytes} at {offset} of 100: {read:?}");
    }
    device.free_queue(queue);
    Ok(())
}
