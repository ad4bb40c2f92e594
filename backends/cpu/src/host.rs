//! Facts about this machine.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt;
use vectorvisor_driver::identity::hash;
use vectorvisor_driver::memory::HostMemory;

/// The name of the processor, and a hash of its features: code compiled with `-march=native` runs only where both are
/// the same.
pub struct Processor {
    pub name: String,
    pub features: u64,
}

/// From /proc/cpuinfo; without it the name is the architecture's.
pub fn processor() -> Processor {
    let text = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |names: &[&str]| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
    };
    let name = field(&["model name", "uarch"]).unwrap_or(std::env::consts::ARCH);
    let features = hash(field(&["flags", "Features", "isa"]).unwrap_or_default().as_bytes());
    Processor { name: name.to_owned(), features }
}

/// How many cores this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

/// Bytes that VMs may use: three quarters of what is available in the system and in this process's control group.
pub fn memory() -> u64 {
    let meminfo = read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| {
        let kib = line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?;
        kib.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let bytes = |path: &str| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = bytes("/sys/fs/cgroup/memory.max")
        .and_then(|max| Some(max.saturating_sub(bytes("/sys/fs/cgroup/memory.current")?)));
    // 4 GiB where the system does not say: enough to work with, and likely available.
    let left = available.unwrap_or(4 << 30).min(group.unwrap_or(u64::MAX));
    left / 4 * 3
}

/// This process's page map, if it shows that a page was touched: what it does not show is not cleared.
pub fn pagemap() -> Option<File> {
    let file = File::open("/proc/self/pagemap").ok()?;
    // SAFETY: asks for a constant of the system.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|page| *page > 0)?;
    let memory = HostMemory::in_small_pages(page).ok()?;
    // SAFETY: the mapping has at least one byte.
    unsafe { memory.pointer().write_volatile(1) };
    let mut word = [0; 8];
    file.read_exact_at(&mut word, memory.pointer() as u64 / page * 8).ok()?;
    (u64::from_ne_bytes(word) & PRESENT != 0).then_some(file)
}

/// Bit of a word of the page map: the page is in memory.
const PRESENT: u64 = 1 << 63;

/// CLOCK_MONOTONIC in nanoseconds, the clock that kernels read too.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local of the right type. The call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn linux_shows_what_was_touched() {
        let there = std::path::Path::new("/proc/self/pagemap").exists();
        assert_eq!(super::pagemap().is_some(), there);
    }
}
