//! Fuzzes VectorVisor: compares random programs with Wasmtime, and feeds broken modules to the translator.
//!
//! See `ci/README.md` for how to call it.

mod case;
mod decoder;
mod differential;
mod generate;
mod heap;
mod hostile;
mod oracle;
mod subject;
mod wasmtime;

use case::Case;
use differential::Differential;
use generate::Program;
use oracle::Oracle;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vectorvisor::{BackendSpec, Drivers, Engine, Quirks};

const USAGE: &str = "\
usage: ci/fuzz [options] [FILE.wat ...]

  --minutes N        how long (default: 1); may be a fraction
  --programs N       end after N programs of each target
  --backend B        cpu (default), opencl, cuda, ...
  --target T         differential, decoder or all (default)
  --seed S           of the first program; the next have S+1, S+2, ... (default: from the clock)
  --jobs N           programs at a time (default: the cores)
  -v                 a line for each program, before it runs
  FILE.wat           runs only these findings
";

/// Where new findings are written.
const FINDINGS: &str = "target/fuzz/findings";
/// Earlier findings, which are regression tests.
const REGRESSIONS: &str = "ci/fuzz-runner/findings";

struct Options {
    time: Duration,
    programs: u64,
    backend: BackendSpec,
    differential: bool,
    decoder: bool,
    seed: u64,
    jobs: usize,
    verbose: bool,
    files: Vec<String>,
}

/// Counts of what was done.
#[derive(Debug, Default)]
pub struct Tally {
    modules: usize,
    calls: usize,
    vms: usize,
    skipped: usize,
    mismatches: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.modules += other.modules;
        self.calls += other.calls;
        self.vms += other.vms;
        self.skipped += other.skipped;
        self.mismatches += other.mismatches;
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if let (Some(decoder::CHILD), Some(seed)) = (args.next().as_deref(), args.next()) {
        decoder::child(seed.parse().unwrap_or(0));
    }
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match all(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut options = Options {
        time: Duration::from_secs(60),
        programs: u64::MAX,
        backend: BackendSpec { name: "cpu".into(), index: None },
        differential: true,
        decoder: true,
        seed: clock.map_or(0, |time| time.as_secs() << 20),
        jobs: std::thread::available_parallelism().map_or(1, |n| n.get()),
        verbose: false,
        files: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
        match arg.as_str() {
            "--minutes" => {
                let minutes: f64 = value()?.parse().map_err(|_| "--minutes needs a number")?;
                options.time = Duration::try_from_secs_f64(minutes * 60.0).map_err(|e| e.to_string())?;
            }
            "--programs" => options.programs = number(value()?)?,
            "--backend" => options.backend = value()?.parse().map_err(|e: vectorvisor::Error| e.to_string())?,
            "--target" => {
                let target = value()?;
                if !["differential", "decoder", "all"].contains(&target.as_str()) {
                    return Err(format!("there is no target {target:?}"));
                }
                (options.differential, options.decoder) = (target != "decoder", target != "differential");
            }
            "--seed" => options.seed = number(value()?)?,
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "-v" => options.verbose = true,
            other if other.starts_with('-') => return Err(format!("there is no option {other:?}")),
            file => options.files.push(file.into()),
        }
    }
    Ok(options)
}

fn all(options: &Options) -> Result<bool, String> {
    let drivers = Drivers::find_all(
        vec![vectorvisor_cpu::driver(), vectorvisor_opencl::driver(), vectorvisor_cuda::driver()],
        &[],
    );
    let engine = Engine::open(&drivers, &options.backend, Quirks::default()).map_err(|e| e.to_string())?;
    let differential = Differential { engine, oracle: Oracle::new()? };
    let mut files: Vec<String> = options.files.clone();
    if files.is_empty() && options.differential {
        files = regressions(Path::new(REGRESSIONS))?;
    }
    let mut tally = Tally::default();
    for file in &files {
        tally.add(&replay(&differential, file)?);
    }
    if options.decoder && options.files.is_empty() {
        tally.mismatches += fuzz_decoder(options)?;
    }
    if options.differential && options.files.is_empty() {
        let begin = Instant::now();
        tally.add(&fuzz(options, &differential));
        eprintln!("{:.1} s, first seed {}", begin.elapsed().as_secs_f64(), options.seed);
    }
    let Tally { modules, calls, vms, skipped, mismatches } = tally;
    println!(
        "fuzz: {modules} modules, {calls} calls compared in {vms} VMs, {skipped} skipped, {mismatches} mismatches"
    );
    Ok(mismatches == 0)
}

/// The files of earlier findings in a folder.
fn regressions(folder: &Path) -> Result<Vec<String>, String> {
    let Ok(folder) = std::fs::read_dir(folder) else {
        eprintln!("there is no folder {} here, so no earlier findings are tested", folder.display());
        return Ok(Vec::new());
    };
    let mut files: Vec<String> = folder
        .filter_map(|entry| entry.ok()?.path().to_str().map(String::from))
        .filter(|path| path.ends_with(".wat"))
        .collect();
    files.sort();
    Ok(files)
}

/// Runs the case of a finding's file.
fn replay(differential: &Differential, file: &str) -> Result<Tally, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let (setup, case) = Case::parse(&text).map_err(|e| format!("{file}: {e}"))?;
    let mut tally = Tally::default();
    let wrong = match differential.compare(&Program { setup, cases: vec![case] }, &mut tally) {
        Ok(None) => return Ok(tally),
        Ok(Some(mismatch)) => mismatch.to_string(),
        Err(error) => error,
    };
    println!("FAILED {file}: {wrong}");
    tally.mismatches += 1;
    Ok(tally)
}

/// Runs random programs until the time is over or one has a mismatch.
fn fuzz(options: &Options, differential: &Differential) -> Tally {
    let end = Instant::now() + options.time;
    let (next, found) = (AtomicU64::new(0), AtomicBool::new(false));
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                let mut tally = Tally::default();
                while Instant::now() < end && !found.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.programs {
                        break;
                    }
                    let seed = options.seed.wrapping_add(number);
                    if wrong(options, differential, seed, &mut tally) {
                        found.store(true, Ordering::Relaxed);
                        tally.mismatches += 1;
                    }
                }
                if let Ok(mut total) = total.lock() {
                    total.add(&tally);
                }
            });
        }
    });
    total.into_inner().unwrap_or_default()
}

/// Whether the program of a seed has a mismatch or fails; if so, writes it as a finding.
fn wrong(options: &Options, differential: &Differential, seed: u64, tally: &mut Tally) -> bool {
    let program = match generate::program(seed) {
        Ok(program) => program,
        Err(error) => {
            println!("FAILED seed {seed}: {error}");
            return true;
        }
    };
    if options.verbose {
        // Printed before it runs, so that it is the last line if the program ends the process.
        let bytes: usize = program.cases.iter().map(|case| case.wasm.len()).sum();
        println!("{seed}: {bytes} bytes, {} modules, {}", program.cases.len(), program.setup.text());
    }
    let result = differential.compare(&program, tally);
    let wrong = match result {
        Ok(None) => return false,
        Ok(Some(mismatch)) => Ok(mismatch),
        Err(error) => Err(error),
    };
    match &wrong {
        Ok(mismatch) => println!("FAILED seed {seed}: {mismatch}"),
        Err(error) => println!("FAILED seed {seed}: {error}"),
    }
    differential.explain(&program, wrong, &|text| keep(seed, text));
    true
}

/// Runs broken and hostile modules until the time is over. Returns how many were bad.
fn fuzz_decoder(options: &Options) -> Result<usize, String> {
    let share = if options.differential { options.time / 8 } else { options.time };
    let report = decoder::run(options.seed, options.programs, share)?;
    for (seed, reason) in &report.bad {
        let (name, bytes) = decoder::input(*seed);
        println!("FAILED decoder, seed {seed}, {name}, {} bytes: {reason}", bytes.len());
        let path = Path::new(FINDINGS).join(format!("{seed}.wasm"));
        if let Err(error) = std::fs::create_dir_all(FINDINGS).and_then(|()| std::fs::write(&path, bytes)) {
            println!("not written to {}: {error}", path.display());
        }
    }
    println!("decoder: {} modules, {} bad", report.inputs, report.bad.len());
    Ok(report.bad.len())
}

/// Writes a finding.
fn keep(seed: u64, text: &str) {
    let path = Path::new(FINDINGS).join(format!("{seed}.wat"));
    let written = std::fs::create_dir_all(FINDINGS).and_then(|()| std::fs::write(&path, text));
    match written {
        Ok(()) => println!(
            "{} bytes written to {}; again: ci/fuzz FILE, or --seed {seed} --programs 1",
            text.len(),
            path.display()
        ),
        Err(error) => println!("{text}\nnot written to {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_as_it_was_written() -> Result<(), String> {
        for seed in 0..20 {
            let Program { setup, cases } = generate::program(seed)?;
            let (read, case) = Case::parse(&cases[0].text(&setup, "a remark"))?;
            assert_eq!((read, case.calls), (setup, cases[0].calls.clone()), "seed {seed}");
        }
        Ok(())
    }

    #[test]
    fn hostile_modules_are_valid() {
        for (name, bytes) in hostile::largest() {
            // A malformed module would be refused at once and test nothing.
            assert_eq!(vectorvisor::translate::wasm::validate(&bytes), Ok(()), "{name}");
        }
    }
}
