//! What every driver must do, as cases that a plugin's tests run and `vectorvisor devices --check` can run.
//!
//! No case panics or stops at a device's fault: a [`Failure`] says what was expected and what came.

use crate::{Buffer, Device, Driver, Error, Language, Module, Pinned, Queue, Quirks, Shared, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Why a case failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of one case.
pub type Outcome = std::result::Result<(), Failure>;

macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}

/// One thing that a driver must do.
pub type Case = fn(&Bench) -> Outcome;

/// A device with the suite's kernels loaded.
pub struct Bench {
    device: Arc<dyn Device>,
    queue: Queue,
    module: Module,
}

/// All cases by name.
pub const CASES: &[(&str, Case)] = &[
    ("facts about the device", facts),
    ("copies of odd sizes at odd offsets", copies),
    ("pinned transfers", pinned),
    ("memory starts as promised", zeroed),
    ("a request beyond the device is out of memory", out_of_memory),
    ("requests out of range are refused", ranges),
    ("unknown handles are refused", handles),
    ("every thread runs once and knows its place", shapes),
    ("arguments are aligned, and None is null", arguments),
    ("known answers", known_answers),
    ("a queue keeps its order", order),
    ("events and their times", events),
    ("a compile error carries the log", compile_error),
    ("a missing kernel is refused", missing_kernel),
    ("an unloaded module is gone", unload),
    ("a running kernel sees the host's store", live_shared),
    ("two threads with a queue each", two_threads),
];

/// Lists and opens the driver's devices, each twice at once, and runs all cases on each.
/// `report(device name, case, outcome)` is called after each case.
pub fn check(driver: &dyn Driver, report: &mut dyn FnMut(&str, &str, &Outcome)) -> Outcome {
    let devices = driver.devices()?;
    ensure!(!devices.is_empty(), "a driver without devices must be unavailable");
    let beyond = driver.open(devices.len(), Quirks::default());
    ensure!(matches!(beyond, Err(Error::Invalid(_))), "opening a device that is not there must be invalid");
    for (index, listed) in devices.iter().enumerate() {
        ensure!(listed.index == index, "device {index} is listed as {}", listed.index);
        let (one, two) = (driver.open(index, Quirks::default())?, driver.open(index, Quirks::default())?);
        ensure!(one.info().identity == listed.identity, "the identity of device {index} changes when it is opened");
        let (one, two) = (Bench::new(&one)?, Bench::new(&two)?);
        for (name, case) in CASES {
            report(&listed.name, name, &case(&one));
        }
        report(&listed.name, "the same device opened twice", &known_answers(&two).and_then(|()| known_answers(&one)));
    }
    Ok(())
}

impl Bench {
    /// Compiles and loads the suite's kernels on a device.
    pub fn new(device: &Arc<dyn Device>) -> Result<Self, Failure> {
        let mut calls = Vec::new();
        let units = [UNIT.to_owned(), KERNELS.to_owned()];
        let header = format!("{}{HEADER}", prelude(device.info().language));
        let source = Source { header: &header, units: &units };
        let binary = Module::compile(device, source, &mut |done, total| calls.push((done, total)))?;
        let last = calls.last();
        ensure!(last.is_some_and(|(done, total)| done == total), "progress ended at {last:?}");
        let (queue, module) = (Queue::new(device)?, Module::load(device, &binary)?);
        Ok(Self { device: device.clone(), queue, module })
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

/// A sequence of bytes that does not repeat soon.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(step).collect()
}

fn facts(bench: &Bench) -> Outcome {
    let info = bench.device.info();
    ensure!(!info.name.is_empty() && !info.identity.is_empty(), "name {:?}, identity {:?}", info.name, info.identity);
    ensure!(info.lane_width.is_power_of_two(), "lane width {}", info.lane_width);
    ensure!(info.parallel_tiles > 0, "no parallel tiles");
    ensure!(info.max_alloc > 0 && info.max_alloc <= info.memory, "max_alloc {} of {}", info.max_alloc, info.memory);
    Ok(())
}

fn copies(bench: &Bench) -> Outcome {
    let mut model = noise(1, 70_001);
    let buffer = Buffer::new(&bench.device, model.len() as u64)?;
    bench.queue.write(&buffer, 0, &model)?;
    for (seed, (offset, bytes)) in
        [(0, 1), (1, 1), (3, 5), (127, 129), (4095, 2), (4096, 4096), (65_535, 4466), (70_000, 1), (9, 0)]
            .iter()
            .enumerate()
    {
        let part = noise(seed as u32 + 2, *bytes);
        bench.queue.write(&buffer, *offset as u64, &part)?;
        model[*offset..offset + bytes].copy_from_slice(&part);
        let mut back = vec![0; *bytes];
        bench.queue.read(&buffer, *offset as u64, &mut back)?;
        ensure!(back == part, "{bytes} bytes at {offset} came back different");
    }
    let mut back = vec![0; model.len()];
    bench.queue.read(&buffer, 0, &mut back)?;
    let wrong = back.iter().zip(&model).position(|(back, model)| back != model);
    ensure!(wrong.is_none(), "a copy changed the byte at {wrong:?}");
    Ok(())
}

fn pinned(bench: &Bench) -> Outcome {
    let bytes = (1 << 20) + 3;
    let mut source = Pinned::new(&bench.device, bytes)?;
    let mut back = Pinned::new(&bench.device, bytes)?;
    ensure!(source.iter().all(|byte| *byte == 0), "pinned memory is not zeroed");
    let buffer = Buffer::new(&bench.device, bytes as u64 + 5)?;
    for round in 0..3 {
        source.copy_from_slice(&noise(round, bytes));
        // SAFETY: neither pinned buffer is touched until the queue has finished.
        let (write, read) = unsafe {
            let write = bench.queue.write_async(&buffer, 5, &source, bytes)?;
            (write, bench.queue.read_async(&buffer, 5, &mut back, bytes)?)
        };
        bench.queue.finish()?;
        ensure!(write.reached()? && read.reached()?, "events not reached after finish");
        ensure!(source[..] == back[..], "round {round} came back different");
    }
    // SAFETY: nothing is copied.
    unsafe { bench.queue.write_async(&buffer, 0, &source, 0)? }.wait()?;
    Ok(())
}

fn zeroed(bench: &Bench) -> Outcome {
    if bench.device.info().zeroed {
        let old = Buffer::new(&bench.device, 1 << 16)?;
        bench.queue.write(&old, 0, &noise(0, 1 << 16))?;
        drop(old);
        let buffer = Buffer::new(&bench.device, 1 << 16)?;
        ensure!(bench.read(&buffer)?.iter().all(|word| *word == 0), "device memory is not zeroed");
    }
    let (id, pointer) = bench.device.alloc_shared(4096)?;
    // SAFETY: the driver gave us 4096 bytes, and no kernel uses them.
    let zero = unsafe { std::slice::from_raw_parts(pointer, 4096) }.iter().all(|byte| *byte == 0);
    bench.device.free(id);
    ensure!(zero, "shared memory is not zeroed");
    Ok(())
}

fn out_of_memory(bench: &Bench) -> Outcome {
    let wanted = bench.device.info().memory.saturating_mul(4);
    let error = Buffer::new(&bench.device, wanted).err();
    ensure!(matches!(error, Some(Error::OutOfMemory { .. })), "{wanted} bytes gave {error:?}");
    ensure!(Buffer::new(&bench.device, 4096).is_ok(), "no allocation works after a failed one");
    Ok(())
}

fn ranges(bench: &Bench) -> Outcome {
    let buffer = Buffer::new(&bench.device, 100)?;
    let mut side = [0; 101];
    // The owners check too, so ask the device itself.
    let (device, queue) = (&bench.device, bench.device.queue()?);
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

fn handles(bench: &Bench) -> Outcome {
    let device = &bench.device;
    let (buffer, queue) = (device.alloc(64)?, device.queue()?);
    // SAFETY: a local that lives until the wait.
    let event = unsafe { device.write(queue, buffer, 0, [7].as_ptr(), 1)? };
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

fn shapes(bench: &Bench) -> Outcome {
    let place = bench.module.kernel("place")?;
    for (tiles, lanes) in [(1, 1), (1, 32), (3, 8), (7, 64), (1000, 32), (257, 1), (0, 32)] {
        let threads = (tiles * lanes) as usize;
        let (seen, none) = (bench.words(&vec![0; threads + 1])?, bench.words(&[0])?);
        bench.queue.launch(place, &[Some(seen.id()), Some(none.id()), None], tiles, lanes)?.wait()?;
        let seen = bench.read(&seen)?;
        for (index, word) in seen.iter().take(threads).enumerate() {
            let expected = (index as u32 / lanes) << 8 | (index as u32 % lanes) << 1 | 1;
            ensure!(*word == expected, "thread {index} of {tiles} x {lanes} left {word:#x}, not {expected:#x}");
        }
        ensure!(seen[threads] == 0, "more than {tiles} x {lanes} threads ran");
    }
    Ok(())
}

fn arguments(bench: &Bench) -> Outcome {
    let kernel = bench.module.kernel("address")?;
    let (one, two) = (bench.words(&[9; 4])?, bench.words(&[0; 3])?);
    bench.queue.launch(kernel, &[Some(one.id()), Some(two.id()), None], 1, 1)?.wait()?;
    ensure!(bench.read(&one)? == [0, 0, 1, 9], "low bits of two pointers, and null: {:?}", bench.read(&one)?);
    bench.queue.launch(kernel, &[Some(one.id()), Some(two.id()), Some(two.id())], 1, 1)?.wait()?;
    ensure!(bench.read(&one)? == [0, 0, 0, 9], "an argument stayed null: {:?}", bench.read(&one)?);
    Ok(())
}

/// Integers across a unit's border, and the float rules that WebAssembly needs: no contraction, correct rounding of division and
/// square root, denormals kept.
fn known_answers(bench: &Bench) -> Outcome {
    let threads = 256u32;
    let input: Vec<u32> =
        noise(5, threads as usize * 4).chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (from, to) = (bench.words(&input)?, bench.words(&vec![0; input.len() * 6])?);
    let kernel = bench.module.kernel("answers")?;
    bench.queue.launch(kernel, &[Some(to.id()), Some(from.id()), None], threads / 32, 32)?.wait()?;
    let got = bench.read(&to)?;
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

fn order(bench: &Bench) -> Outcome {
    let kernel = bench.module.kernel("advance")?;
    let words = 4096;
    let buffer = bench.words(&vec![0; words])?;
    let mut start = Pinned::new(&bench.device, words * 4)?;
    let mut back = Pinned::new(&bench.device, words * 4)?;
    let values: Vec<u32> = (0..words as u32).collect();
    start.copy_from_slice(&to_bytes(&values));
    let mut events = Vec::new();
    // SAFETY: both pinned buffers are left alone until the queue has finished.
    unsafe {
        events.push(bench.queue.write_async(&buffer, 0, &start, words * 4)?);
        for _ in 0..20 {
            events.push(bench.queue.launch(
                kernel,
                &[Some(buffer.id()), Some(buffer.id()), None],
                words as u32 / 32,
                32,
            )?);
        }
        events.push(bench.queue.read_async(&buffer, 0, &mut back, words * 4)?);
    }
    bench.queue.finish()?;
    let expected: Vec<u32> =
        values.iter().map(|value| (0..20).fold(*value, |value, _| value.wrapping_mul(3).wrapping_add(1))).collect();
    ensure!(back[..] == to_bytes(&expected), "twenty steps between a write and a read gave another result");
    Ok(())
}

fn events(bench: &Bench) -> Outcome {
    let kernel = bench.module.kernel("advance")?;
    let buffer = bench.words(&vec![1; 1 << 16])?;
    let mut last = 0;
    for _ in 0..3 {
        let event = bench.queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], (1 << 16) / 32, 32)?;
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
    Ok(())
}

fn compile_error(bench: &Bench) -> Outcome {
    let units = ["this is no kernel: marker_in_the_log;".to_owned()];
    let error = Module::compile(&bench.device, Source { header: "", units: &units }, &mut |_, _| ()).err();
    match error {
        Some(Error::Compile { log }) => ensure!(log.contains("error"), "the log is {log:?}"),
        other => return Err(format!("text that is no program gave {other:?}").into()),
    }
    let loaded = Module::load(&bench.device, b"no binary").err();
    ensure!(loaded.is_some(), "bytes that are no binary were loaded");
    Ok(())
}

fn missing_kernel(bench: &Bench) -> Outcome {
    let error = bench.module.kernel("no_such_kernel").err();
    ensure!(matches!(error, Some(Error::Invalid(_))), "a missing kernel gave {error:?}");
    Ok(())
}

fn unload(bench: &Bench) -> Outcome {
    let other = Bench::new(&bench.device)?;
    let kernel = other.module.kernel("advance")?;
    let buffer = bench.words(&[1; 32])?;
    drop(other);
    let launch = bench.queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], 1, 32);
    ensure!(matches!(launch.as_ref().err(), Some(Error::Invalid(_))), "a kernel of an unloaded module was launched");
    known_answers(bench)
}

fn live_shared(bench: &Bench) -> Outcome {
    let kernel = bench.module.kernel("listen")?;
    let (word, heard) = (Shared::new(&bench.device)?, bench.words(&[7; 8])?);
    let live = bench.device.info().live_shared;
    // Where it is not live, a store before the launch must still be seen.
    if !live {
        word.store(5);
    }
    let event = bench.queue.launch(kernel, &[Some(heard.id()), Some(word.id()), None], 1, 8)?;
    if live {
        std::thread::sleep(Duration::from_millis(5));
        ensure!(!event.reached()?, "launch is not asynchronous, or the kernel gave up early");
        word.store(5);
    }
    event.wait()?;
    let heard = bench.read(&heard)?;
    ensure!(heard == [5; 8], "the kernel heard {heard:?}");
    Ok(())
}

fn two_threads(bench: &Bench) -> Outcome {
    let kernel = bench.module.kernel("advance")?;
    let together = AtomicU32::new(0);
    let work = |seed: u32| -> Outcome {
        let queue = Queue::new(&bench.device)?;
        // Begin at the same time.
        together.fetch_add(1, Ordering::SeqCst);
        while together.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        for round in 0..25 {
            let values: Vec<u32> = (0..512).map(|index| index * 7 + seed + round).collect();
            let buffer = Buffer::new(&bench.device, 2048)?;
            queue.write(&buffer, 0, &to_bytes(&values))?;
            queue.launch(kernel, &[Some(buffer.id()), Some(buffer.id()), None], 16, 32)?;
            let back = read_words(&queue, &buffer)?;
            ensure!(back.iter().zip(&values).all(|(back, value)| *back == value * 3 + 1), "round {round} went wrong");
        }
        Ok(())
    };
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(1000));
        (work(0), other.join().unwrap_or_else(|_| Err("the other thread panicked".into())))
    });
    one.and(two)
}

/// Types, the address space, and how a kernel calls the function that is one lane's work.
fn prelude(language: Language) -> &'static str {
    match language {
        Language::C => concat!(
            "#include <stdint.h>\n#include <math.h>\ntypedef uint32_t u32;\ntypedef uint64_t u64;\n#define GLOBAL\n#define DEVICE\n",
            "static u32 bits_of(float f) { u32 b; __builtin_memcpy(&b, &f, 4); return b; }\n",
            "static float float_of(u32 b) { float f; __builtin_memcpy(&f, &b, 4); return f; }\n",
            "static float root(float f) { return sqrtf(f); }\n",
            "#define KERNEL(N) __attribute__((visibility(\"default\"))) void N(void *const *args, u32 tile, u32 lanes) ",
            "{ for (u32 lane = 0; lane < lanes; lane++) N##_lane(args[0], args[1], args[2], tile, lane, lanes); }\n",
        ),
        Language::OpenCl => concat!(
            "#pragma OPENCL FP_CONTRACT OFF\ntypedef uint u32;\ntypedef ulong u64;\n#define GLOBAL __global\n#define DEVICE\n",
            "u32 bits_of(float f) { return as_uint(f); }\nfloat float_of(u32 b) { return as_float(b); }\n",
            "float root(float f) { return sqrt(f); }\n",
            "#define KERNEL(N) __kernel void N(__global u32 *a, __global u32 *b, __global u32 *c) ",
            "{ N##_lane(a, b, c, (u32)get_group_id(0), (u32)get_local_id(0), (u32)get_local_size(0)); }\n",
        ),
        Language::Cuda | Language::Hip => concat!(
            "typedef unsigned int u32;\ntypedef unsigned long long u64;\n#define GLOBAL\n#define DEVICE __device__\n",
            "static __device__ u32 bits_of(float f) { return __float_as_uint(f); }\n",
            "static __device__ float float_of(u32 b) { return __uint_as_float(b); }\n",
            "static __device__ float root(float f) { return __fsqrt_rn(f); }\n",
            "#define KERNEL(N) extern \"C\" __global__ void N(u32 *a, u32 *b, u32 *c) ",
            "{ N##_lane(a, b, c, blockIdx.x, threadIdx.x, blockDim.x); }\n",
        ),
    }
}

const HEADER: &str = "DEVICE u64 mix(u32 x, u32 y);\n";

const UNIT: &str = "DEVICE u64 mix(u32 x, u32 y) {
    u64 wide = (u64)x * 0x9e3779b97f4a7c15ul;
    return (wide << (y & 63)) ^ (wide >> (x & 63)) ^ y;
}
";

// A tile's number is shifted by 8: lanes are at most 64, and one bit says that the thread ran.
const KERNELS: &str = "
#define LANE(N) DEVICE void N##_lane(GLOBAL u32 *a, GLOBAL u32 *b, GLOBAL u32 *c, u32 tile, u32 lane, u32 lanes)
LANE(place) { a[tile * lanes + lane] += tile << 8 | lane << 1 | 1; }
KERNEL(place)
LANE(address) { a[0] = (u32)(u64)a & 255; a[1] = (u32)(u64)b & 255; a[2] = c == 0; }
KERNEL(address)
LANE(advance) { u32 i = tile * lanes + lane; a[i] = b[i] * 3 + 1; }
KERNEL(advance)
LANE(answers) {
    u32 i = tile * lanes + lane;
    u32 x = b[i], y = b[(i + 1) & 255];
    u64 wide = mix(x, y);
    float f = float_of(x >> 9 | 0x3f800000u), g = float_of(y >> 9 | 0x3f800000u);
    GLOBAL u32 *to = a + i * 6;
    to[0] = (u32)wide ^ (u32)(wide >> 32);
    to[1] = (u32)((int)x / ((int)(y >> 16) | 1));
    to[2] = bits_of(f * g - 1.5f);
    to[3] = bits_of(f / g);
    to[4] = bits_of(root(f * 3.0f));
    to[5] = bits_of(f * float_of(0x01000000u) * float_of(0x3a000000u));
}
KERNEL(answers)
LANE(listen) {
    volatile GLOBAL u32 *word = (volatile GLOBAL u32 *)b;
    u32 heard = 0;
    for (u32 i = 0; i < 400000000u && heard == 0; i++) heard = *word;
    a[tile * lanes + lane] = heard;
}
KERNEL(listen)
";
