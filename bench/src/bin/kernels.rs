//! Kernel times of the guests on a device, every output compared with the native build's.

use anyhow::{Context, Result};
use bench::baseline::Baseline;
use bench::guests::{GUESTS, Guest};
use bench::measure::{self, Compiled, Vms};
use bench::native::{self, Case};
use clap::Parser;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use vectorvisor::{Alignment, BackendSpec, Bounds, CachePolicy, Drivers, Engine, Opt, ProgramOptions, Quirks, Traps};

/// Runs guests in many VMs, compares every output with the native build's, and prints a row for each guest, combination
/// of options and number of VMs.
///
/// If options take lists, every combination is measured.
#[derive(Debug, Parser)]
struct Args {
    /// NAME or NAME:SIZE; SIZE is iterations, N of scrypt, bytes, pixels of an edge, or copies of 32 KiB [default:
    /// all].
    #[arg(value_name = "GUEST", value_parser = Guest::parse)]
    guests: Vec<Guest>,
    /// Where to run.
    #[arg(long, default_value = "auto")]
    backend: BackendSpec,
    /// Numbers of VMs.
    #[arg(long, value_delimiter = ',', default_value = "32768")]
    vms: Vec<u32>,
    /// Number of different inputs: VM k takes input k modulo this.
    #[arg(long, default_value_t = 256)]
    distinct: usize,
    /// Number of runs, of which the fastest counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Lanes of a tile [default: the device's].
    #[arg(long, value_delimiter = ',')]
    lanes: Vec<u32>,
    /// Bytes of a cell: 0, 4, 8, 16 or 32 [default: 8 on a GPU, else the device's].
    #[arg(long, value_delimiter = ',')]
    interleave: Vec<u32>,
    /// The memory limit of a VM in KiB; more than its initial memory lets it grow [default: its initial memory].
    #[arg(long, value_delimiter = ',')]
    heap: Vec<u64>,
    /// What the bounds checks of growable memory compare with: size, capacity or none (unchecked).
    #[arg(long, value_delimiter = ',', default_value = "size", value_parser = parse_bounds)]
    bounds: Vec<Bounds>,
    /// When an access out of bounds ends the VM: sticky or exact.
    #[arg(long, value_delimiter = ',', default_value = "sticky", value_parser = parse_traps)]
    traps: Vec<Traps>,
    /// The alignment that accesses are assumed to have: any or natural [default: the device's].
    #[arg(long, value_delimiter = ',', value_parser = parse_alignment)]
    alignment: Vec<Alignment>,
    /// Optimisations to disable, one at a time: their names, nothing or everything.
    #[arg(long, value_delimiter = ',', value_parser = parse_opts)]
    without: Vec<Opts>,
    /// Optimisations to enable, one at a time: their names, nothing or everything.
    #[arg(long, value_delimiter = ',', value_parser = parse_opts)]
    opt: Vec<Opts>,
    /// Programs that are compiled at the same time [default: the number of cores].
    #[arg(long)]
    jobs: Option<usize>,
    /// Cache compiled programs here [default: no cache, so that compile times are those of the compiler].
    #[arg(long)]
    cache_dir: Option<PathBuf>,
    /// Where the native builds are.
    #[arg(long, default_value = "target/bench-native")]
    native: PathBuf,
    /// A driver's plugin, or a folder with plugins.
    #[arg(long)]
    driver_path: Vec<PathBuf>,
}

fn parse_bounds(text: &str) -> Result<Bounds, String> {
    match text {
        "size" => Ok(Bounds::Size),
        "capacity" => Ok(Bounds::Capacity),
        "none" => Ok(Bounds::None),
        _ => Err("bounds are size, capacity or none".into()),
    }
}

fn parse_traps(text: &str) -> Result<Traps, String> {
    match text {
        "sticky" => Ok(Traps::Sticky),
        "exact" => Ok(Traps::Exact),
        _ => Err("traps are sticky or exact".into()),
    }
}

fn parse_alignment(text: &str) -> Result<Alignment, String> {
    match text {
        "any" => Ok(Alignment::Any),
        "natural" => Ok(Alignment::Natural),
        _ => Err("alignment is any or natural".into()),
    }
}

/// Optimisations to disable or enable.
#[derive(Debug, Clone, Copy)]
enum Opts {
    Nothing,
    One(Opt),
    Everything,
}

impl Opts {
    fn set(self) -> BTreeSet<Opt> {
        let all = Opt::ALL.into_iter().map(|(_, opt)| opt);
        all.filter(|opt| matches!(self, Self::Everything) || matches!(self, Self::One(one) if one == *opt)).collect()
    }
}

fn parse_opts(text: &str) -> Result<Opts, String> {
    match (text, Opt::ALL.iter().find(|(name, _)| *name == text)) {
        ("nothing", _) => Ok(Opts::Nothing),
        ("everything", _) => Ok(Opts::Everything),
        (_, Some((_, opt))) => Ok(Opts::One(*opt)),
        _ => Err(format!("choose nothing, everything, {}", Opt::ALL.map(|(name, _)| name).join(", "))),
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &args.driver_path);
    let engine = Engine::open(&drivers, &args.backend, Quirks::default())?;
    println!("# {} on {}, {}", engine.backend(), engine.info().name, engine.info().identity);
    println!("{}", line(["guest", "options", "VMs", "kernel ms", "per second", "GB/s", "of by hand", "compile s"]));
    let guests = if args.guests.is_empty() { GUESTS.to_vec() } else { args.guests.clone() };
    let most = args.vms.iter().copied().max().context("--vms names no number")? as usize;
    let cases = |guest| native::cases(guest, args.distinct.clamp(1, most.max(1)), &args.native);
    let cases: Vec<_> = guests.iter().map(cases).collect::<Result<_>>()?;
    let variants = variants(&args);
    let jobs: Vec<_> = guests.iter().flat_map(|guest| variants.iter().map(move |options| (guest, options))).collect();
    let mut compiled = compile_all(&engine, &jobs, &args).into_iter();
    let baseline = Baseline::new(&drivers, &engine)?;
    let mut failed = false;
    for (guest, cases) in guests.iter().zip(&cases) {
        let compiled: Vec<_> = compiled.by_ref().take(variants.len()).collect();
        rows(guest, cases, compiled, baseline.as_ref(), &args, &mut |row| {
            failed |= row.is_err();
            println!("{}", row.unwrap_or_else(|error| format!("{:<14} FAILED: {error:#}", label(guest))));
        });
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// The rows of a guest, each for all numbers of VMs: the handwritten kernel, then each variant.
fn rows(
    guest: &Guest,
    cases: &[Case],
    compiled: Vec<Result<Compiled>>,
    baseline: Option<&Baseline>,
    args: &Args,
    print: &mut dyn FnMut(Result<String>),
) {
    let mut by_hand_times = Vec::new();
    for &vms in &args.vms {
        let time = baseline.map_or(Ok(None), |baseline| baseline.run(guest, cases, vms, args.repeat));
        by_hand_times.push(*time.as_ref().unwrap_or(&None));
        if let Some(time) = time.transpose() {
            print(time.map(|time| row(guest, "by hand", vms, time, None, None)));
        }
    }
    for compiled in compiled {
        match compiled {
            Ok(compiled) => {
                for (&vms, by_hand) in args.vms.iter().zip(&by_hand_times) {
                    print(measured(guest, &compiled, cases, vms, args.repeat, *by_hand));
                }
            }
            Err(error) => print(Err(error)),
        }
    }
}

/// Every combination of the options that have lists.
fn variants(args: &Args) -> Vec<ProgramOptions> {
    let cache = args.cache_dir.clone().map_or(CachePolicy::Off, CachePolicy::Dir);
    let all = vec![ProgramOptions { cache, ..Default::default() }];
    let all = expand(all, &args.lanes, |options, lanes| options.lanes = Some(lanes));
    let all = expand(all, &args.interleave, |options, cell| options.interleave = Some(cell));
    let all = expand(all, &args.heap, |options, heap| options.heap = Some(heap << 10));
    let all = expand(all, &args.bounds, |options, bounds| options.bounds = bounds);
    let all = expand(all, &args.traps, |options, traps| options.traps = traps);
    let all = expand(all, &args.alignment, |options, alignment| options.alignment = Some(alignment));
    let all = expand(all, &args.without, |options, without| options.without = without.set());
    expand(all, &args.opt, |options, opt| options.with = opt.set())
}

/// Each of `all` with each of the values, or as it is if there are none.
fn expand<T: Copy>(
    all: Vec<ProgramOptions>,
    values: &[T],
    set: impl Fn(&mut ProgramOptions, T),
) -> Vec<ProgramOptions> {
    if values.is_empty() {
        return all;
    }
    let with = |options: &ProgramOptions, value| {
        let mut options = options.clone();
        set(&mut options, value);
        options
    };
    all.iter().flat_map(|options| values.iter().map(|value| with(options, *value))).collect()
}

/// Compiles on several threads; results are in the order of the jobs.
fn compile_all(engine: &Engine, jobs: &[(&Guest, &ProgramOptions)], args: &Args) -> Vec<Result<Compiled>> {
    let threads = args.jobs.unwrap_or(std::thread::available_parallelism().map_or(1, usize::from));
    let (next, (sender, receiver)) = (AtomicUsize::new(0), channel());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some((guest, options)) = jobs.get(index)
                {
                    let compiled = measure::compile(engine, guest, options);
                    if let Ok(compiled) = &compiled {
                        eprintln!("compiled {} in {:.1} s", label(guest), compiled.took.as_secs_f64());
                    }
                    _ = sender.send((index, compiled)); // the receiver outlives the threads
                }
            });
        }
    });
    let mut done: Vec<_> = receiver.try_iter().collect();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, compiled)| compiled).collect()
}

fn label(guest: &Guest) -> String {
    format!("{}:{}", guest.name, guest.size)
}

fn line(columns: [&str; 8]) -> String {
    let [guest, options, vms, time, rate, copied, ratio, compile] = columns;
    format!("{guest:<14} {options:<50} {vms:>8} {time:>10} {rate:>12} {copied:>8} {ratio:>10} {compile:>9}")
}

/// `by_hand` is the handwritten kernel's time, `compile` the compiler's.
fn row(
    guest: &Guest,
    options: &str,
    vms: u32,
    time: Duration,
    by_hand: Option<Duration>,
    compile: Option<Duration>,
) -> String {
    let rate = f64::from(vms) / time.as_secs_f64();
    line([
        &label(guest),
        options,
        &vms.to_string(),
        &format!("{:.3}", time.as_secs_f64() * 1e3),
        &format!("{rate:.0}"),
        &guest.copied().map(|bytes| format!("{:.0}", bytes as f64 * rate / 1e9)).unwrap_or_default(),
        &by_hand
            .map(|by_hand| format!("{:.0}%", by_hand.as_secs_f64() / time.as_secs_f64() * 100.0))
            .unwrap_or_default(),
        &compile.map(|compile| format!("{:.1}", compile.as_secs_f64())).unwrap_or_default(),
    ])
}

fn measured(
    guest: &Guest,
    compiled: &Compiled,
    cases: &[Case],
    vms: u32,
    repeat: usize,
    by_hand: Option<Duration>,
) -> Result<String> {
    let best = || {
        let mut running = Vms::new(&compiled.program, cases.to_vec(), vms)?;
        let mut best = running.run()?;
        for _ in 1..repeat {
            let times = running.run()?;
            best = if times.kernel < best.kernel { times } else { best };
        }
        Ok::<_, anyhow::Error>(best)
    };
    let times = best().with_context(|| format!("{vms} VMs"))?;
    let (options, plan) = (compiled.program.options(), &compiled.program.meta().plan);
    let launches = if times.launches > 1 { format!(", {} launches", times.launches) } else { String::new() };
    let memory = plan.memory_limit >> 10;
    let names = Opt::ALL.iter().filter(|(_, opt)| options.without.contains(opt)).map(|(name, _)| format!(" -{name}"));
    let without: String = if options.without.len() == Opt::ALL.len() { " -everything".into() } else { names.collect() };
    let with = Opt::ALL.iter().filter(|(_, opt)| options.with.contains(opt)).map(|(name, _)| format!(" +{name}"));
    let with: String = with.collect();
    let alignment = options.alignment.map_or(String::new(), |alignment| format!(" {alignment:?}"));
    let options = format!(
        "{}x{} {memory}K {:?}{alignment} {:?}{without}{with}{launches}",
        plan.lanes, plan.cell, options.bounds, options.traps
    );
    Ok(row(guest, &options, vms, times.kernel, by_hand, Some(compiled.took)))
}
