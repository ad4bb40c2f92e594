//! What every driver must do, as cases that a plugin's tests run, and `vectorvisor devices --check` the quick ones of
//! them.
//!
//! No case panics: a [`Failure`] says what was expected and what came, and the other cases still run.

mod launch;
mod memory;
mod objects;
mod order;
mod text;

use crate::{Buffer, Device, Driver, Error, KernelId, Module, Queue, Quirks, Source};
use std::sync::Arc;

/// Why a case failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of one case; [`NoKernels`] if it needs kernels and the device has no compiler.
pub type Outcome = std::result::Result<(), Failure>;

macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}
use ensure;

/// One thing that a driver must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is required, as a sentence.
    pub name: &'static str,
    /// It takes seconds, on purpose.
    pub long: bool,
    /// It calls the driver from two threads at once.
    pub threads: bool,
    run: fn(&Fixture) -> Outcome,
}

impl Case {
    const fn new(name: &'static str, run: fn(&Fixture) -> Outcome) -> Self {
        Self { name, long: false, threads: false, run }
    }
    const fn long(self) -> Self {
        Self { long: true, ..self }
    }
    const fn threads(self) -> Self {
        Self { threads: true, ..self }
    }
}

/// All cases.
pub const CASES: &[Case] = &[
    Case::new("facts about the device", objects::facts),
    Case::new("buffers lie apart", memory::apart),
    Case::new("copies of odd sizes at odd offsets", memory::copies),
    Case::new("pinned transfers", memory::pinned),
    Case::new("memory starts as promised", memory::zeroed),
    Case::new("a request beyond the device is out of memory", memory::beyond),
    Case::new("memory runs out and comes back", memory::runs_out).long(),
    Case::new("requests out of range are refused", memory::ranges),
    Case::new("unknown handles are refused", objects::handles),
    Case::new("every thread runs once and knows its tile and lane", launch::shapes),
    Case::new("limits of a launch", launch::limits),
    Case::new("a launch of very many tiles", launch::many_tiles).long(),
    Case::new("arguments are aligned, and None is null", launch::arguments),
    Case::new("known answers", launch::known_answers),
    Case::new("a kernel that runs long", launch::runs_long).long(),
    Case::new("a queue keeps its order", order::order),
    Case::new("order across queues", order::across_queues),
    Case::new("events and their times", order::events),
    Case::new("a compile error carries the log and the line", objects::compile_error),
    Case::new("a missing kernel is refused", objects::missing_kernel),
    Case::new("an unloaded module is gone", objects::unload),
    Case::new("a running kernel sees the host's store", order::live_shared),
    Case::new("kernels use mapped memory without a copy", order::mapped),
    Case::new("the same device opened twice", order::opened_twice),
    Case::new("two threads with a queue each", order::two_threads).threads(),
    Case::new("two devices and two threads at once", order::two_devices).threads(),
];

/// Runs all cases on each device of the driver. `report(device name, case, outcome)` is called after each case.
pub fn check(driver: &dyn Driver, report: &mut dyn FnMut(&str, &str, &Outcome)) -> Outcome {
    check_all(driver, &|_| true, report)
}

fn check_all(
    driver: &dyn Driver,
    wanted: &dyn Fn(&Case) -> bool,
    report: &mut dyn FnMut(&str, &str, &Outcome),
) -> Outcome {
    let devices = driver.devices()?;
    ensure!(!devices.is_empty(), "a driver without devices must be unavailable");
    for number in [devices.len(), usize::MAX] {
        let beyond = driver.open(number, Quirks::default());
        ensure!(
            matches!(beyond, Err(Error::Invalid(_))),
            "opening device {number}, which is not there, must be invalid"
        );
    }
    for (index, listed) in devices.iter().enumerate() {
        ensure!(listed.index == index, "device {index} is listed as {}", listed.index);
        check_device(driver, index, wanted, &mut |case, outcome| report(&listed.name, case, outcome))?;
    }
    Ok(())
}

/// Runs the cases that are `wanted` on all devices, prints those that pass, and returns a line for each that fails.
pub fn failures(driver: &dyn Driver, wanted: &dyn Fn(&Case) -> bool) -> Vec<String> {
    let mut failures = Vec::new();
    let checked = check_all(driver, wanted, &mut |device, case, outcome| match outcome {
        Ok(()) => println!("{device}: {case}: ok"),
        Err(failure) => failures.push(format!("{device}: {case}: {failure}")),
    });
    failures.extend(checked.err().map(|failure| failure.to_string()));
    failures
}

/// Runs the cases that are `wanted` on one device. `report(case, outcome)` is called after each.
pub fn check_device(
    driver: &dyn Driver,
    index: usize,
    wanted: &dyn Fn(&Case) -> bool,
    report: &mut dyn FnMut(&str, &Outcome),
) -> Outcome {
    let devices = driver.devices()?;
    let open = |index| driver.open(index, Quirks::default());
    let (device, again) = (open(index)?, open(index)?);
    let listed = devices.get(index).map(|info| &info.identity);
    ensure!(Some(&device.info().identity) == listed, "the identity of device {index} changes when it is opened");
    let other = if devices.len() > 1 { open((index + 1) % devices.len())? } else { again.clone() };
    let fixture = Fixture { again, other, ..Fixture::new(&device)? };
    for case in CASES.iter().filter(|case| wanted(case)) {
        report(case.name, &(case.run)(&fixture));
    }
    Ok(())
}

/// A device with the suite's kernels loaded.
struct Fixture {
    device: Arc<dyn Device>,
    /// The same device, opened a second time.
    again: Arc<dyn Device>,
    /// The driver's next device, if it has several.
    other: Arc<dyn Device>,
    queue: Queue,
    module: Result<Module, NoKernels>,
}

/// The device has no compiler.
#[derive(Debug, Clone, thiserror::Error)]
#[error("needs kernels, and the device cannot compile: {0}")]
pub struct NoKernels(String);

impl Fixture {
    /// Compiles and loads the suite's kernels on a device.
    fn new(device: &Arc<dyn Device>) -> Result<Self, Failure> {
        let mut calls = Vec::new();
        let units = [text::UNIT.to_owned(), text::KERNELS.to_owned()];
        let header = format!("{}{}", text::prelude(device.info().language), text::HEADER);
        let source = Source { header: &header, units: &units, registers: 0 };
        let module = match Module::compile(device, source, &mut |done, total| calls.push((done, total))) {
            Ok(binary) => {
                let last = calls.last();
                ensure!(last.is_some_and(|(done, total)| done == total), "progress ended at {last:?}");
                // SAFETY: the device itself made the binary, just now.
                let load = || unsafe { Module::load(device, &binary) };
                // A binary can be loaded more than once.
                drop(load()?);
                Ok(load()?)
            }
            Err(Error::Unavailable { what, .. }) => Err(NoKernels(what)),
            Err(error) => return Err(error.into()),
        };
        let queue = Queue::new(device)?;
        Ok(Self { device: device.clone(), again: device.clone(), other: device.clone(), queue, module })
    }
    fn module(&self) -> Result<&Module, NoKernels> {
        self.module.as_ref().map_err(Clone::clone)
    }
    fn kernel(&self, name: &str) -> Result<KernelId, Failure> {
        Ok(self.module()?.kernel(name)?)
    }
    /// A buffer that holds these words.
    fn words(&self, words: &[u32]) -> Result<Buffer, Failure> {
        let buffer = Buffer::new(&self.device, words.len() as u64 * 4)?;
        self.queue.write(&buffer, 0, &to_bytes(words))?;
        Ok(buffer)
    }
    fn read(&self, buffer: &Buffer) -> Result<Vec<u32>, Failure> {
        read_words(&self.queue, buffer)
    }
}

fn to_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn read_words(queue: &Queue, buffer: &Buffer) -> Result<Vec<u32>, Failure> {
    let mut bytes = vec![0; buffer.bytes() as usize];
    queue.read(buffer, 0, &mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
}

/// Pseudo-random bytes.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(step).collect()
}
