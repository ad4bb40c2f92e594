//! `vectorvisor devices`: what every driver finds, or why it finds nothing.

use crate::setup;
use anyhow::Result;
use std::io::Write;
use vectorvisor::DeviceKind;
use vectorvisor::driver::Error;

/// Prints the list; the exit code.
pub fn devices() -> Result<i32> {
    let mut out = std::io::stdout().lock();
    for driver in setup::drivers().0 {
        let name = driver.name();
        match driver.devices() {
            Ok(devices) if devices.is_empty() => writeln!(out, "{name}: no devices")?,
            Ok(devices) => {
                for d in devices {
                    let kind = match d.kind {
                        DeviceKind::Cpu => "cpu",
                        DeviceKind::Gpu => "gpu",
                        DeviceKind::Accelerator => "accelerator",
                    };
                    writeln!(out, "{name}:{}: {}", d.index, d.name)?;
                    writeln!(
                        out,
                        "    {kind}, {} memory ({} at once), {} lanes, {} tiles at a time, {:?}",
                        size(d.memory),
                        size(d.max_alloc),
                        d.lane_width,
                        d.parallel_tiles,
                        d.language,
                    )?;
                    let features = [
                        ("thread exit", d.thread_exit),
                        ("timer", d.timer),
                        ("live shared memory", d.live_shared),
                        ("nvidia", d.nvidia),
                        ("patch", d.patch),
                    ];
                    let has: Vec<_> = features.iter().filter(|f| f.1).map(|f| f.0).collect();
                    writeln!(out, "    has: {}", if has.is_empty() { "-".into() } else { has.join(", ") })?;
                }
            }
            Err(Error::Unavailable { what, advice }) => writeln!(out, "{name}: unavailable, because {what}; {advice}")?,
            Err(error) => writeln!(out, "{name}: unavailable, because {error}")?,
        }
    }
    out.flush()?;
    Ok(0)
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
