//! The handwritten kernels of `baselines/kernels.cu`, which have the same inputs and outputs as the guests of the same
//! names.

use crate::guests::Guest;
use crate::native::Case;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use vectorvisor::driver::{Buffer, Device, Language, Module, Queue, Source};
use vectorvisor::{Drivers, Engine, Quirks};

pub(crate) const TEXT: &str = include_str!("../baselines/kernels.cu");
/// Bytes of a password, and of a salt.
pub(crate) const FIELD: usize = 16;

/// The kernels, loaded on a device.
pub struct Baseline {
    device: Arc<dyn Device>,
    queue: Queue,
    module: Module,
}

/// A kernel's name, the words of a key, and the bytes of scratch memory for each thread.
fn kernel(guest: &Guest) -> Option<(&'static str, usize, u64)> {
    match guest.name {
        "pbkdf2" => Some(("pbkdf2", 8, 0)),
        "scrypt" => Some(("scrypt", 16, 128 * u64::from(guest.size))),
        _ => None,
    }
}

impl Baseline {
    /// Compiles the kernels for the device of an engine; `None` if they are not written in its language.
    ///
    /// # Errors
    /// The device or its compiler fails.
    pub fn new(drivers: &Drivers, engine: &Engine) -> Result<Option<Self>> {
        if !matches!(engine.info().language, Language::C | Language::Cuda) {
            return Ok(None);
        }
        let device = drivers.find(engine.backend())?.open(engine.info().index, Quirks::default())?;
        let source = Source { header: "", units: &[TEXT.to_owned()], registers: 0 };
        let module = Module::build(&device, source).context("the kernels written by hand")?;
        Ok(Some(Self { queue: Queue::new(&device)?, module, device }))
    }

    /// The best time of `repeat` launches that compute what `threads` VMs of the guest do, if there is such a kernel.
    ///
    /// # Errors
    /// The device does not have enough memory, or a key is wrong.
    pub fn run(&self, guest: &Guest, cases: &[Case], threads: u32, repeat: usize) -> Result<Option<Duration>> {
        let Some((name, words, scratch)) = kernel(guest) else { return Ok(None) };
        let lanes = self.device.info().lane_width;
        let tiles = threads.div_ceil(lanes);
        let threads = (tiles * lanes) as usize;
        let input = interleaved(cases, threads)?;
        let buffer = |bytes: u64| Buffer::new(&self.device, bytes);
        let buffers = [
            buffer((words * threads * 4) as u64)?,
            buffer(input.len() as u64)?,
            buffer(scratch * threads as u64)?,
            buffer(8)?,
        ];
        let [out, to, _, parameters] = &buffers;
        self.queue.write(to, 0, &input)?;
        self.queue.write(parameters, 0, [guest.size, threads as u32].map(u32::to_le_bytes).as_flattened())?;
        let (kernel, args) = (self.module.kernel(name)?, buffers.each_ref().map(|buffer| Some(buffer.id())));
        let mut best = Duration::MAX;
        for _ in 0..repeat.max(1) {
            let event = self.queue.launch(kernel, &args, tiles, lanes)?;
            event.wait()?;
            let (begin, end) = event.times()?;
            best = best.min(Duration::from_nanos(end - begin));
        }
        let mut keys = vec![0; words * threads * 4];
        self.queue.read(out, 0, &mut keys)?;
        for (thread, (_, expected)) in (0..threads).zip(cases.iter().cycle()) {
            let mut text = String::new();
            // Writing to a string does not fail.
            key(&keys, threads, thread, words, |byte| _ = write!(text, "{byte:02x}"));
            ensure!(expected.trim_ascii_end() == text.as_bytes(), "thread {thread} of {name} by hand gives {text}");
        }
        Ok(Some(best))
    }
}

/// Puts a thread's password and salt into the input of `threads` threads: big-endian words, the first of all threads,
/// then the second, and so on.
pub(crate) fn place(input: &mut [u8], threads: usize, thread: usize, fields: [&[u8]; 2]) {
    for (i, word) in fields.iter().flat_map(|field| field.chunks_exact(4)).enumerate() {
        let to = &mut input[(i * threads + thread) * 4..][..4];
        to.copy_from_slice(word);
        to.reverse();
    }
}

/// Calls `each` with the bytes of a thread's key, which has so many words in the output.
pub(crate) fn key(output: &[u8], threads: usize, thread: usize, words: usize, mut each: impl FnMut(u8)) {
    for i in 0..words {
        output[(i * threads + thread) * 4..][..4].iter().rev().for_each(|byte| each(*byte));
    }
}

/// The passwords and salts of cases.
fn interleaved(cases: &[Case], threads: usize) -> Result<Vec<u8>> {
    let mut all = vec![0; threads * 2 * FIELD];
    for (thread, (input, _)) in (0..threads).zip(cases.iter().cycle()) {
        let fields = (input.get(..FIELD), input.get(FIELD + 1..2 * FIELD + 1));
        let (Some(password), Some(salt)) = fields else { anyhow::bail!("an input is shorter than two fields") };
        place(&mut all, threads, thread, [password, salt]);
    }
    Ok(all)
}
