//! Makes inputs for the real programs: `real-inputs PROGRAM FOLDER --count N`. All differ, in size and kind as such
//! inputs do; the same number gives the same input in each run.

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use fastrand::Rng;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[path = "../pictures.rs"]
mod pictures;
#[path = "../texts.rs"]
mod texts;

#[derive(Parser)]
struct Args {
    /// wordcount, deflate, bzip2, brotlify, hashsets, logscan, jsonsort, markdown, csvsum, sqlite or thumbnail.
    program: String,
    /// Input N becomes the file N in one of its folders.
    folder: PathBuf,
    #[arg(long)]
    count: usize,
    /// The first input's number.
    #[arg(long, default_value_t = 0)]
    first: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Files in a folder: creating many in one from all cores takes turns.
const FILES: usize = 1000;

fn main() -> Result<()> {
    let args = Args::parse();
    let make = maker(&args.program)?;
    let end = args.first + args.count;
    for folder in args.first / FILES..end.div_ceil(FILES) {
        let folder = args.folder.join(format!("{folder:04}"));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let (next, bytes) = (AtomicUsize::new(args.first), AtomicU64::new(0));
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return Ok(());
            }
            let input = make(&mut Rng::with_seed((args.seed << 40) + number as u64))?;
            bytes.fetch_add(input.len() as u64, Ordering::Relaxed);
            let path = args.folder.join(format!("{:04}/{number:07}", number / FILES));
            std::fs::write(&path, input).with_context(|| path.display().to_string())?;
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    println!("{}", bytes.into_inner());
    Ok(())
}

type Maker = fn(&mut Rng) -> Result<Vec<u8>>;

fn maker(program: &str) -> Result<Maker> {
    Ok(match program {
        "wordcount" | "deflate" | "bzip2" | "brotlify" => |rng| Ok(any_file(rng)),
        "hashsets" => |rng| Ok(sized(rng, 2000, texts::prose)),
        "logscan" => |rng| Ok(sized(rng, 8000, texts::log)),
        "jsonsort" => |rng| Ok(sized(rng, 4000, texts::json)),
        "markdown" => |rng| Ok(sized(rng, 4000, texts::markdown)),
        "csvsum" => |rng| Ok(sized(rng, 8000, texts::csv)),
        "sqlite" => |rng| Ok(texts::sql(rng).into_bytes()),
        "thumbnail" => pictures::picture,
        _ => bail!("no inputs are known for the program {program:?}"),
    })
}

/// Bytes of a file: half of them are smaller than `median`, a tenth larger than five times that.
fn size(rng: &mut Rng, median: usize) -> usize {
    // The sum of 12 has nearly a normal distribution.
    let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    ((median as f64 * (1.26 * normal).exp()) as usize).clamp(40, 40 * median)
}

fn sized(rng: &mut Rng, median: usize, make: fn(&mut Rng, usize) -> String) -> Vec<u8> {
    let size = size(rng, median);
    make(rng, size).into_bytes()
}

/// What lies about on disks: mostly text of several kinds, and some binary data.
fn any_file(rng: &mut Rng) -> Vec<u8> {
    let size = size(rng, 3000);
    match rng.u32(..20) {
        0..7 => texts::prose(rng, size).into_bytes(),
        7..11 => texts::log(rng, size).into_bytes(),
        11..14 => texts::json(rng, size).into_bytes(),
        14..16 => texts::csv(rng, size).into_bytes(),
        16..18 => texts::markdown(rng, size).into_bytes(),
        18 => records(rng, size),
        _ => (0..size).map(|_| rng.u8(..)).collect(),
    }
}

/// Binary records: a counter, small numbers, a name, zeros.
fn records(rng: &mut Rng, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 64);
    let mut time = rng.u32(..);
    while bytes.len() < size {
        time += rng.u32(..1000);
        bytes.extend(time.to_le_bytes());
        bytes.extend(rng.u16(..300).to_le_bytes());
        bytes.extend(format!("{:<12}", texts::word(rng)).bytes().take(12));
        bytes.extend([0; 6]);
        bytes.extend((rng.f32() * 100.0).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
