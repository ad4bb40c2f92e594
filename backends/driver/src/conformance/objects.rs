//! Facts, handles, and programs as objects.

use super::{Fixture, Outcome, ensure, launch};
use crate::{Error, Module, Source};

pub fn facts(fixture: &Fixture) -> Outcome {
    let info = fixture.device.info();
    ensure!(!info.name.is_empty() && !info.identity.is_empty(), "name {:?}, identity {:?}", info.name, info.identity);
    ensure!(info.lane_width.is_power_of_two(), "lane width {}", info.lane_width);
    ensure!(info.parallel_tiles > 0, "no parallel tiles");
    ensure!(info.max_alloc > 0 && info.max_alloc <= info.memory, "max_alloc {} of {}", info.max_alloc, info.memory);
    Ok(())
}

pub fn handles(fixture: &Fixture) -> Outcome {
    let device = &fixture.device;
    let (buffer, queue) = (device.alloc(64)?, device.queue(true)?);
    // SAFETY: a local that lives until the wait.
    let event = unsafe { device.write(queue, buffer, 0, [7].as_ptr(), 1)? };
    ensure!(buffer.0 != 0 && queue.0 != 0 && event.0 != 0, "a handle is 0");
    device.wait(event)?;
    device.free(buffer);
    // SAFETY: as above.
    let write = unsafe { device.write(queue, buffer, 0, [7].as_ptr(), 1) };
    ensure!(matches!(write, Err(Error::Invalid(_))), "a freed buffer was written: {write:?}");
    device.free_event(event);
    ensure!(matches!(device.wait(event), Err(Error::Invalid(_))), "a freed event was waited for");
    device.free_queue(queue);
    ensure!(matches!(device.finish(queue), Err(Error::Invalid(_))), "a freed queue was finished");
    // Freeing twice does nothing.
    device.free(buffer);
    device.free_event(event);
    device.free_queue(queue);
    Ok(())
}

pub fn compile_error(fixture: &Fixture) -> Outcome {
    fixture.module()?;
    // In line 471x, whether the compiler obeys `#line` (oclgrind does not) or counts lines, with a driver's own in
    // front.
    let units = [format!("{}#line 4711\nthis is no kernel: marker_in_the_log;\n", "\n".repeat(4710))];
    let error =
        Module::compile(&fixture.device, Source { header: "", units: &units, registers: 0 }, &mut |_, _| ()).err();
    match error {
        Some(Error::Compile { log }) => {
            ensure!(log.contains("error"), "the log does not speak of an error: {log:?}");
            ensure!(log.contains("471"), "the log does not name line 4711: {log:?}");
        }
        other => return Err(format!("text that is no program gave {other:?}").into()),
    }
    for bytes in [b"no binary".as_slice(), b""] {
        // SAFETY: these bytes are no binary.
        let loaded = unsafe { Module::load(&fixture.device, bytes) };
        ensure!(loaded.is_err(), "bytes that are no binary were loaded: {bytes:?}");
    }
    Ok(())
}

pub fn missing_kernel(fixture: &Fixture) -> Outcome {
    for name in ["no_such_kernel", "", "zero\0inside"] {
        let error = fixture.module()?.kernel(name).err();
        ensure!(matches!(error, Some(Error::Invalid(_))), "the missing kernel {name:?} gave {error:?}");
    }
    Ok(())
}

pub fn unload(fixture: &Fixture) -> Outcome {
    let other = Fixture::new(&fixture.device)?;
    let kernel = other.kernel("advance")?;
    let buffer = fixture.words(&[1; 32])?;
    drop(other);
    let launch = fixture.queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], 1, 32);
    ensure!(matches!(launch.as_ref().err(), Some(Error::Invalid(_))), "a kernel of an unloaded module was launched");
    launch::known_answers(fixture)
}
