//! `vectorvisor devices`: what every driver finds, or why it finds nothing; and with `--check`, whether it works.

use crate::args::DevicesArgs;
use crate::{report, setup};
use anyhow::Result;
use std::io::{StdoutLock, Write};
use vectorvisor::driver::conformance::{self, NoKernels};
use vectorvisor::driver::{Driver, Error, Language};
use vectorvisor::{DeviceInfo, DeviceKind};

/// Runs the subcommand; returns the exit code.
pub fn devices(args: &DevicesArgs) -> Result<i32> {
    let drivers = setup::drivers(&args.driver_path)?;
    let wanted = args.backend.as_ref().filter(|spec| spec.name != "auto");
    if let Some(spec) = wanted {
        drivers.find(&spec.name)?;
    }
    let mut out = std::io::stdout().lock();
    let mut code = 0;
    for driver in drivers.0.iter().filter(|driver| wanted.is_none_or(|spec| spec.name == driver.name())) {
        let name = driver.name();
        let devices = match driver.devices() {
            Ok(devices) => devices,
            Err(error) => {
                let why = match error {
                    Error::Unavailable { what, advice } => format!("{what}; {advice}"),
                    error => error.to_string(),
                };
                writeln!(out, "{name}: unavailable, because {}", report::one_line(&why))?;
                code = code.max(i32::from(wanted.is_some()));
                continue;
            }
        };
        let index = wanted.and_then(|spec| spec.index);
        let chosen: Vec<_> = devices.iter().filter(|device| index.is_none_or(|index| index == device.index)).collect();
        if chosen.is_empty() {
            let which = index.map_or("no devices".into(), |index| format!("no device {index}"));
            writeln!(out, "{name}: {which}")?;
            code = code.max(i32::from(wanted.is_some()));
        }
        for device in chosen {
            print(&mut out, &**driver, device)?;
            if args.check && !check(&mut out, &**driver, device.index)? {
                code = 1;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

fn print(out: &mut StdoutLock, driver: &dyn Driver, d: &DeviceInfo) -> Result<()> {
    let kind = match d.kind {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Gpu => "gpu",
        DeviceKind::Accelerator => "accelerator",
    };
    writeln!(out, "{}:{}: {}", driver.name(), d.index, d.name)?;
    let language = match d.language {
        Language::C => "C",
        Language::OpenCl => "OpenCL C",
        Language::Cuda => "CUDA C++",
        Language::Hip => "HIP C++",
    };
    let (memory, at_once) = (size(d.memory), size(d.max_alloc));
    let lanes = report::count(d.lane_width.into(), "lane", "lanes");
    let tiles = report::count(d.parallel_tiles.into(), "tile", "tiles");
    writeln!(out, "    {kind}, {memory} memory ({at_once} at once), {lanes}, {tiles} at a time, {language}")?;
    let features = [
        ("thread exit", d.thread_exit),
        ("timer", d.timer),
        ("live shared memory", d.live_shared),
        ("nvidia", d.nvidia),
        ("patch", d.patch),
        ("recursion", d.recursion),
    ];
    let has: Vec<_> = features.iter().filter(|f| f.1).map(|f| f.0).collect();
    writeln!(out, "    has: {}", if has.is_empty() { "-".into() } else { has.join(", ") })?;
    match driver.origin() {
        Some(path) => writeln!(out, "    driver: {}", path.display())?,
        None => writeln!(out, "    driver: built in")?,
    }
    Ok(())
}

/// Runs the quick cases of the suite that every driver passes, and prints each; returns whether none failed.
fn check(out: &mut StdoutLock, driver: &dyn Driver, index: usize) -> Result<bool> {
    let (mut broken, mut passed, mut failed, mut skipped) = (Ok(()), 0, 0, None);
    let mut case = |name: &str, outcome: &conformance::Outcome| {
        let line = match outcome {
            Ok(()) => {
                passed += 1;
                format!("pass  {name}")
            }
            Err(failure) if failure.is::<NoKernels>() => {
                skipped = Some(failure.to_string());
                format!("skip  {name}")
            }
            Err(failure) => {
                failed += 1;
                format!("FAIL  {name}: {failure}")
            }
        };
        let written = writeln!(out, "    {}", report::one_line(&line)).and_then(|()| out.flush());
        broken = std::mem::replace(&mut broken, Ok(())).and(written);
    };
    if let Err(failure) = conformance::check_device(driver, index, &|case| !case.long, &mut case) {
        case("opening the device and loading kernels", &Err(failure));
    }
    broken?;
    let skipped = skipped.map(|why| format!("; what is skipped {why}")).unwrap_or_default();
    writeln!(out, "    {}:{index}: {passed} passed, {failed} failed{skipped}", driver.name())?;
    Ok(failed == 0)
}

/// Bytes in the largest unit that gives at least 1, with one digit after the point.
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() / 10).min(4);
    if power == 0 {
        return format!("{bytes} B");
    }
    format!("{:.1} {}", bytes as f64 / (1u64 << (10 * power)) as f64, units[power as usize])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (24 << 30, "24.0 GiB"), (u64::MAX, "16777216.0 TiB")]
        {
            assert_eq!(super::size(bytes), text);
        }
    }
}
