//! Measures the twelve programs of `guests/paper` as services: natively, in Wasmtime, and in VectorVisor.

use anyhow::{Context, Result, bail, ensure};
use bench::by_hand::ByHand;
use bench::energy::Meter;
use bench::http::{self, Connection};
use bench::load::{Case, Target};
use bench::metrics::Metrics;
use bench::report::Records;
use bench::{prices, report};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use vectorvisor::{BackendList, BackendSpec, Drivers, Engine, Quirks};

const PROGRAMS: [&str; 12] = [
    "strings-assemblyscript",
    "lz4",
    "phash-modified",
    "pbkdf2",
    "histogram",
    "scrypt",
    "phash",
    "strings",
    "blur-bmp",
    "blur-jpeg",
    "bill-pdf",
    "strings-go",
];
/// Most bytes of a batch that is sent.
const BODY: usize = 32 << 20;
/// Most bytes of inputs that are there at the same time.
const MOST_BYTES: usize = 2 << 30;

#[derive(Debug, Parser)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Cli {
    /// Measure, and write the figures as JSON.
    Run(Run),
    /// Make a page of records, and print the newest that has several programs as tables in Markdown. Records of one
    /// commit on one machine count as one.
    Report {
        /// What `run` wrote.
        #[arg(required = true)]
        records: Vec<PathBuf>,
        /// The page.
        #[arg(long, default_value = "twelve.html")]
        out: PathBuf,
        /// Prices for records that have none, as in `bench/prices.json`.
        #[arg(long)]
        prices: Option<PathBuf>,
        /// A file that gets a short table between its lines <!-- twelve --> and <!-- /twelve -->.
        #[arg(long)]
        readme: Option<PathBuf>,
    },
    /// Print records, also those of `bench/real/run`, as tables in Markdown.
    Results {
        /// Records.
        records: Vec<PathBuf>,
        /// A file that gets the tables of the records that it names in lines <!-- record NAME -->, up to <!-- /record -->;
        /// they are in the folder `results` beside it.
        #[arg(long)]
        into: Option<PathBuf>,
    },
}

/// For each program: requests that all differ, with the native server's answers to them; then a load on each system's
/// server, in batches and one by one, in which every answer is compared; and `vectorvisor map`, for the device alone.
/// What is written by hand gets the load in batches too, and is measured without HTTP and on the device alone. Programs
/// are compiled before, all at the same time, so seconds of compiling are upper bounds.
///
/// The file has what is known after each program. The exit code is 1 if anything failed or differed.
#[derive(Debug, Parser)]
struct Run {
    /// VectorVisor's device, or several, as cuda:0,cuda:1.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// Fleets of VectorVisor's server on each device [default: what the server chooses].
    #[arg(long)]
    fleets: Option<u32>,
    /// Do not measure `map`.
    #[arg(long)]
    no_map: bool,
    /// Measure `map` with so many VMs at the same time, too, one number after another.
    #[arg(long, value_delimiter = ',')]
    vms_sweep: Vec<u32>,
    /// Compile each program by itself, with an empty cache instead of that of --cache, and then find it there.
    #[arg(long)]
    compile_alone: bool,
    /// Load another server, with --profile, for the active lanes of a warp.
    #[arg(long)]
    profile: bool,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_value = "native,wasmtime,wasmtime-keep,vectorvisor,by-hand")]
    systems: Vec<System>,
    /// Programs [default: all].
    #[arg(long, value_delimiter = ',', default_values_t = PROGRAMS.map(str::to_owned))]
    programs: Vec<String>,
    /// Seconds of each load.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests that differ.
    #[arg(long, default_value_t = 1024)]
    distinct: usize,
    /// What they are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests under way in a load of batches on VectorVisor [default: 64 a core on cpu, else 32768], as far as they
    /// have no more than 2 GiB.
    #[arg(long)]
    in_flight: Option<usize>,
    /// Connections in a load of single requests on VectorVisor [default: 16 a core on cpu, else 2048].
    #[arg(long)]
    clients: Option<usize>,
    /// Inputs of `map` [default: as --in-flight].
    #[arg(long)]
    inputs: Option<usize>,
    /// Seconds after which a program that does not compile is given up.
    #[arg(long, default_value_t = 300.0)]
    compile_limit: f64,
    /// Seconds after which no other program begins.
    #[arg(long, default_value_t = 3600.0)]
    limit: f64,
    /// Folders in which the programs are, as WebAssembly.
    #[arg(long, value_delimiter = ',', default_value = "target/paper-wasm,bench/guests/paper/wasm")]
    wasm: Vec<PathBuf>,
    /// Folders in which the commands are.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "target/release,target/paper-native,target/real-harness/release"
    )]
    bin: Vec<PathBuf>,
    /// A folder for compiled programs, to be found there by the next call [default: it is removed at the end].
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Prices, as in `bench/prices.json`.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// The file of the figures.
    #[arg(long, default_value = "twelve.json")]
    out: PathBuf,
    /// More options of `vectorvisor serve` and `map`.
    #[arg(last = true)]
    options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    /// The native server, on all cores.
    Native,
    /// Wasmtime, an instance for each request.
    Wasmtime,
    /// Wasmtime, an instance for each core.
    WasmtimeKeep,
    /// VectorVisor.
    Vectorvisor,
    /// Handwritten kernels on VectorVisor's first device: there are some for four of the programs.
    ByHand,
}

impl System {
    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Wasmtime => "wasmtime",
            Self::WasmtimeKeep => "wasmtime-keep",
            Self::Vectorvisor => "vectorvisor",
            Self::ByHand => "by-hand",
        }
    }

    /// Whether it runs on VectorVisor's devices.
    fn on_device(self) -> bool {
        matches!(self, Self::Vectorvisor | Self::ByHand)
    }
}

/// A process that ends with what holds it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A server that answers.
struct Server {
    _process: Process,
    address: SocketAddr,
    /// Seconds until it was ready.
    start: f64,
}

impl Server {
    /// Starts one; `listen` tells its command where.
    fn start(mut command: Command, listen: impl FnOnce(&mut Command, String), ready: &str, limit: f64) -> Result<Self> {
        let begin = Instant::now();
        // Free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        listen(&mut command, address.to_string());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut process = Process(process.with_context(|| format!("cannot start {command:?}"))?);
        loop {
            if let Ok((200, _)) = Connection::open(address).and_then(|mut connection| connection.get(ready)) {
                return Ok(Self { _process: process, address, start: begin.elapsed().as_secs_f64() });
            }
            if let Some(status) = process.0.try_wait()? {
                bail!("{command:?} ended: {status}");
            }
            ensure!(begin.elapsed().as_secs_f64() < limit, "{command:?} was not ready in {limit} s");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn main() -> Result<ExitCode> {
    match Cli::parse() {
        Cli::Run(run) => run.run(),
        Cli::Report { records, out, prices, readme } => {
            let prices = prices.as_deref().map_or(Ok(Value::Null), json)?;
            let records = records.iter().map(|path| json(path)).collect::<Result<_>>()?;
            let records = Records::new(records, &prices);
            fs::write(&out, records.page()?).with_context(|| out.display().to_string())?;
            let record = records.newest()?;
            print!("{}", report::table(record));
            let by_hand = report::by_hand(record);
            if !by_hand.is_empty() {
                print!("\n{by_hand}");
            }
            if let Some(readme) = readme {
                let name = || readme.display().to_string();
                let text = fs::read_to_string(&readme).with_context(name)?;
                let text = report::put(&text, &report::summary(record)).with_context(name)?;
                fs::write(&readme, text).with_context(name)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Cli::Results { records, into } => {
            let mut records: Vec<Value> = records.iter().map(|path| json(path)).collect::<Result<_>>()?;
            records.sort_by_key(|record| std::cmp::Reverse(record["date"].as_str().unwrap_or_default().to_owned()));
            let tables: Vec<String> = records.iter().map(report::tables).collect();
            print!("{}", tables.join("\n"));
            if let Some(into) = into {
                let name = || into.display().to_string();
                let text = fs::read_to_string(&into).with_context(name)?;
                let text = report::fill(&text, |record| json(&into.with_file_name("results").join(record)));
                fs::write(&into, text.with_context(name)?).with_context(name)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A program's part of the record.
#[derive(Debug, Default, Serialize)]
struct Record {
    request_bytes: f64,
    answer_bytes: f64,
    systems: BTreeMap<String, Value>,
}

/// What was there before programs are measured.
struct Bench<'a> {
    run: &'a Run,
    folder: PathBuf,
    /// The devices of `--backend`.
    devices: Vec<BackendSpec>,
    prices: Value,
    /// By program: what `map --stats` said when it compiled, or why it did not.
    compiled: BTreeMap<String, Value>,
}

impl Run {
    /// The devices, however they are spelled.
    fn devices(&self) -> Result<Vec<BackendSpec>> {
        let list: BackendList = self.backend.parse()?;
        let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
        match list.single() {
            Some(spec) if spec.name == "auto" => {
                let engine = Engine::open(&drivers, spec, Quirks::default())?;
                Ok(vec![BackendSpec { name: engine.backend().into(), index: Some(engine.info().index) }])
            }
            _ => Ok(list.devices(&drivers)?),
        }
    }

    fn command(&self, name: &str) -> Result<Command> {
        let found = self.bin.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        Ok(Command::new(found.with_context(|| format!("there is no {name} in {:?}", self.bin))?))
    }

    fn run(&self) -> Result<ExitCode> {
        let begin = Instant::now();
        for program in &self.programs {
            ensure!(PROGRAMS.contains(&program.as_str()), "no program is called {program}: {}", PROGRAMS.join(", "));
        }
        let on_device = self.systems.iter().any(|system| system.on_device());
        let devices = if on_device { self.devices()? } else { Vec::new() };
        let prices = self.prices.as_deref().map_or(Ok(Value::Null), json)?;
        let folder = std::env::temp_dir().join(format!("vectorvisor-bench.{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut bench = Bench { run: self, folder, devices, prices, compiled: BTreeMap::new() };
        let done = bench.all(begin);
        fs::remove_dir_all(&bench.folder)?;
        done
    }
}

impl Bench<'_> {
    fn all(&mut self, begin: Instant) -> Result<ExitCode> {
        let run = self.run;
        if run.systems.contains(&System::Vectorvisor) {
            self.compile()?;
        }
        let (date, commit) = (said("date", &["-u", "+%FT%TZ"]), commit());
        let devices: Vec<String> = self.devices.iter().map(ToString::to_string).collect();
        let mut programs = BTreeMap::new();
        let mut failed = false;
        for program in &run.programs {
            if begin.elapsed().as_secs_f64() > run.limit {
                eprintln!("{program}: no time is left");
                failed = true;
                continue;
            }
            match self.program(program) {
                Ok(record) => {
                    failed |= record.systems.values().any(failure);
                    for (system, figures) in &record.systems {
                        eprintln!("{}", line(program, system, figures));
                    }
                    _ = programs.insert(program.clone(), json!(record));
                }
                Err(why) => {
                    eprintln!("{program}: {why:#}");
                    failed = true;
                    _ = programs.insert(program.clone(), or_error(Err(why)));
                }
            }
            let record = json!({
                "date": date,
                "commit": commit,
                "machine": machine(),
                "backend": run.backend,
                "devices": devices,
                "prices": self.prices,
                "fleets": run.fleets,
                "options": run.options,
                "seconds": run.seconds,
                "distinct": run.distinct,
                "seed": run.seed,
                "programs": programs,
            });
            fs::write(&run.out, format!("{record:#}\n")).with_context(|| run.out.display().to_string())?;
        }
        Ok(ExitCode::from(u8::from(failed)))
    }

    fn wasm(&self, program: &str) -> Result<PathBuf> {
        let name = format!("{program}.wasm");
        let found = self.run.wasm.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
        found.with_context(|| format!("there is no {name} in {:?}", self.run.wasm))
    }

    fn gpu(&self) -> bool {
        self.devices.iter().any(|device| device.name != "cpu")
    }

    fn vectorvisor(&self, verb: &str, program: &str) -> Result<Command> {
        let mut command = self.run.command("vectorvisor")?;
        // What is measured is translated.
        _ = command.arg(verb).args(["--interpret=never", "--backend", &self.run.backend, "--cache-dir"]);
        _ = command.arg(match &self.run.cache {
            _ if self.run.compile_alone => self.folder.join(format!("cache-{program}")),
            Some(cache) => cache.clone(),
            None => self.folder.join("cache"),
        });
        _ = command.args(&self.run.options);
        Ok(command)
    }

    /// Runs `map`; its figures.
    fn map(&self, program: &str, inputs: &Path, outputs: &Path, limit: f64, options: &[&str]) -> Result<Value> {
        let begin = Instant::now();
        let stats = self.folder.join(format!("{program}.stats"));
        let mut command = self.vectorvisor("map", program)?;
        _ = command.arg("--in").arg(inputs).arg("--out").arg(outputs).arg("--stats").arg(&stats).args(options);
        _ = command.arg(self.wasm(program)?).stdin(Stdio::null()).stdout(Stdio::null());
        let log = self.folder.join(format!("{program}.log"));
        let mut process = Process(command.stderr(fs::File::create(&log)?).spawn()?);
        let status = loop {
            match process.0.try_wait()? {
                Some(status) => break status,
                None if begin.elapsed().as_secs_f64() > limit => bail!("`map` did not end in {limit} s"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if !status.success() {
            let said = fs::read_to_string(&log)?;
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            bail!("`map` ended with {status}: {}", last.join(" | "));
        }
        Ok(serde_json::from_slice(&fs::read(&stats)?)?)
    }

    /// Compiles all programs: at the same time, or each alone.
    fn compile(&mut self) -> Result<()> {
        let one = |program: &String| -> Result<Value> {
            let (inputs, outputs) =
                (self.folder.join(format!("{program}.one/")), self.folder.join(format!("{program}.out/")));
            self.inputs(program, &inputs, 1)?;
            let stats = self.map(program, &inputs, &outputs, self.run.compile_limit, &[])?;
            let mut told = json!({ "compile_seconds": stats["compile_seconds"], "first_seconds": stats["seconds"] });
            if self.run.compile_alone {
                fs::remove_dir_all(&outputs)?;
                let cached = self.map(program, &inputs, &outputs, self.run.compile_limit, &[])?;
                told["alone"] = true.into();
                told["cached_seconds"] = cached["seconds"].clone();
            }
            Ok(told)
        };
        let one = &one;
        let all: Vec<_> = std::thread::scope(|scope| {
            let start = |program| scope.spawn(move || one(program));
            if self.run.compile_alone {
                return self.run.programs.iter().map(|program| start(program).join()).collect();
            }
            let threads: Vec<_> = self.run.programs.iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        for (program, told) in self.run.programs.iter().zip(all) {
            let told = match told {
                Ok(Ok(told)) => told,
                Ok(Err(why)) => or_error(Err(why)),
                Err(_) => json!({ "error": "a thread panicked" }),
            };
            eprintln!("{program}: {told}");
            _ = self.compiled.insert(program.clone(), told);
        }
        Ok(())
    }

    /// Makes the first requests, as files of a folder or, if its name does not end with a slash, as a file.
    fn inputs(&self, program: &str, output: &Path, count: usize) -> Result<()> {
        let mut command = self.run.command("inputs")?;
        let status =
            command.arg(program).arg(output).args(["0", &count.to_string(), &self.run.seed.to_string()]).status()?;
        ensure!(status.success(), "inputs: {status}");
        Ok(())
    }

    fn native(&self, program: &str) -> Result<Server> {
        let command = match program {
            "strings-go" | "strings-assemblyscript" => self.run.command("strings-go")?,
            _ => {
                let mut command = self.run.command("native")?;
                _ = command.arg(program);
                command
            }
        };
        Server::start(command, environment, "/healthz", 10.0)
    }

    fn program(&self, program: &str) -> Result<Record> {
        let run = self.run;
        let cores = std::thread::available_parallelism()?.get();
        let (file, time) = (self.folder.join("requests"), Duration::from_secs_f64(run.seconds));
        self.inputs(program, &file, run.distinct)?;
        let file = fs::read(&file)?;
        let requests = http::requests(&file)?;
        let mean = |bytes: usize| bytes as f64 / requests.len().max(1) as f64;
        let mut record = Record { request_bytes: mean(file.len()) - 4.0, ..Record::default() };

        let native = self.native(program)?;
        let cases = expected(&native, &requests)?;
        record.answer_bytes = mean(cases.iter().map(|case| case.answer.len()).sum());
        let target = |server: &Server| Target { address: server.address, cases: &cases, compressed: program == "lz4" };
        let on_cores = |server: &Server| -> Result<Value> {
            let target = target(server);
            let check = target.check(cores, 16)?;
            let energy = Meter::start(&self.devices);
            let batch = target.load(2 * cores, Some(16), time)?;
            let joules = energy.stop();
            let single = target.load(4 * cores, None, time)?;
            Ok(json!({ "start_seconds": server.start, "checked": check, "batch": batch, "single": single,
                "gpu_joules": joules }))
        };
        let mut native = Some(native);
        for system in &run.systems {
            let measured = match system {
                // It has no native build: that of Go has the same answers, but other work.
                System::Native if program == "strings-assemblyscript" => continue,
                System::Native => {
                    native.as_ref().map_or_else(|| self.native(program).and_then(|it| on_cores(&it)), on_cores)
                }
                System::Wasmtime => self.wasmtime(program, "fresh").and_then(|server| on_cores(&server)),
                System::WasmtimeKeep => self.wasmtime(program, "keep").and_then(|server| on_cores(&server)),
                System::Vectorvisor => self.on_vectorvisor(program, &cases, target),
                System::ByHand => match self.by_hand(program, &cases).transpose() {
                    Some(measured) => measured,
                    None => continue,
                },
            };
            // Nothing else runs beside a system that is measured.
            native = None;
            let figures = or_error(measured);
            _ = record.systems.insert(system.name().to_owned(), self.priced(figures, *system));
        }
        Ok(record)
    }

    fn wasmtime(&self, program: &str, state: &str) -> Result<Server> {
        let compiled = self.folder.join(format!("{program}.cwasm"));
        if !compiled.exists() {
            let mut command = self.run.command("wasmtime-map")?;
            let status =
                command.arg("compile").arg(self.wasm(program)?).arg(&compiled).stdout(Stdio::null()).status()?;
            ensure!(status.success(), "Wasmtime cannot compile it: {status}");
        }
        let mut command = self.run.command("wasmtime-map")?;
        _ = command.args(["serve", "--state", state]).arg(&compiled);
        Server::start(command, environment, "/healthz", 30.0)
    }

    fn on_vectorvisor<'a>(
        &self,
        program: &str,
        cases: &'a [Case],
        target: impl Fn(&Server) -> Target<'a>,
    ) -> Result<Value> {
        let run = self.run;
        let cores = std::thread::available_parallelism()?.get();
        let time = Duration::from_secs_f64(run.seconds);
        let compiled = self.compiled.get(program).cloned().unwrap_or_default();
        if let Some(why) = compiled.get("error") {
            bail!("it was not compiled: {why}");
        }
        let bytes = cases.iter().map(|case| case.request.len() + 4).max().unwrap_or(1);
        let in_flight = run.in_flight.unwrap_or(if self.gpu() { 32768 } else { 64 * cores });
        let in_flight = in_flight.min(MOST_BYTES / bytes).max(1);
        let batch = (BODY / bytes).clamp(1, in_flight.div_ceil(4));
        let connections = in_flight.div_ceil(batch);
        let clients = run.clients.unwrap_or(if self.gpu() { 2048 } else { 16 * cores });

        // First, since the server begins with the memory layout that this chooses.
        let map = || self.device(program, cases, run.inputs.unwrap_or(in_flight));
        let device = if run.no_map { Ok(Value::Null) } else { map() };

        let sweep = run.vms_sweep.iter().map(|vms| self.with_vms(program, cases, *vms)).collect::<Vec<_>>();

        let server = self.serve(program, &[])?;
        let check = target(&server).check(connections, batch.min(cases.len().div_ceil(connections)))?;
        // So that it has learnt what requests need before it counts.
        let warm = target(&server).load(connections, Some(batch), time.mul_f64(0.5))?;
        let before = Metrics::ask(server.address)?;
        let energy = Meter::start(&self.devices);
        let batches = target(&server).load(connections, Some(batch), time)?;
        let joules = energy.stop();
        let between = Metrics::ask(server.address)?;
        let single = target(&server).load(clients, None, time)?;
        let after = Metrics::ask(server.address)?;
        let start = server.start;
        drop(server);
        let profiled = || -> Result<Value> {
            let server = self.serve(program, &["--profile"])?;
            let before = Metrics::ask(server.address)?;
            let load = target(&server).load(connections, Some(batch), time.mul_f64(0.5))?;
            let active = Metrics::ask(server.address)?.since(&before)["active_lanes"].clone();
            Ok(json!({ "active_lanes": active, "load": load, "wrong": load.wrong }))
        };
        let profiled = if run.profile { or_error(profiled()) } else { Value::Null };

        Ok(json!({
            "ready": after.ready,
            "compiled": compiled,
            "start_seconds": start,
            "checked": check,
            "warm": warm,
            "batch": batches,
            "batch_split": between.since(&before),
            "single": single,
            "single_split": after.since(&between),
            "gpu_joules": joules,
            "device": or_error(device),
            "vms_sweep": sweep,
            "profiled": profiled,
        }))
    }

    /// VectorVisor's server of a program.
    fn serve(&self, program: &str, options: &[&str]) -> Result<Server> {
        let mut command = self.vectorvisor("serve", program)?;
        _ = command.args(["--max-queue-bytes", "8GiB"]).args(options);
        if let Some(fleets) = self.run.fleets {
            _ = command.args(["--fleets", &fleets.to_string()]);
        }
        _ = command.arg(self.wasm(program)?);
        let listen = |command: &mut Command, address: String| _ = command.args(["--listen", &address]);
        Server::start(command, listen, "/readyz", self.run.compile_limit)
    }

    /// What the device does without a server: the second run of `map`, which has learnt what inputs need, and on a GPU
    /// what memory layout is the fastest.
    fn device(&self, program: &str, cases: &[Case], count: usize) -> Result<Value> {
        let chosen = self.run.options.iter().any(|option| option.starts_with("--interleave"));
        let tune: &[&str] = if self.gpu() && !chosen { &["--interleave", "tune"] } else { &[] };
        self.twice(program, cases, count, [tune, &[]])
    }

    /// The same with so many VMs at the same time, which run twice as many inputs, as far as those have no more than
    /// 2 GiB. `vms` is how many there were.
    fn with_vms(&self, program: &str, cases: &[Case], vms: u32) -> Value {
        let bytes = cases.iter().map(|case| case.request.len()).max().unwrap_or(1).max(1);
        let count = (2 * vms as usize).min(MOST_BYTES / bytes);
        let asked = vms.to_string();
        let mut told = or_error(self.twice(program, cases, count, [&["--vms", &asked]; 2]));
        told["asked"] = vms.into();
        told["inputs"] = count.into();
        told["vms"] = told["stats"]["vms"].clone();
        told
    }

    /// Runs `map` twice with the same inputs and compares what the second makes, whose figures count.
    fn twice(&self, program: &str, cases: &[Case], count: usize, options: [&[&str]; 2]) -> Result<Value> {
        let (inputs, outputs) = (self.folder.join("in/"), self.folder.join("out"));
        self.inputs(program, &inputs, count)?;
        let mut told = [Value::Null, Value::Null];
        for (told, options) in told.iter_mut().zip(options) {
            _ = fs::remove_dir_all(&outputs);
            *told = self.map(program, &inputs, &outputs, self.run.compile_limit, options)?;
        }
        let [first, stats] = told;
        let mut wrong = 0;
        for (number, case) in cases.iter().enumerate().take(count) {
            let answer = fs::read(outputs.join(format!("{number:08}")))?;
            wrong += usize::from(!case.right(&answer, program == "lz4"));
        }
        fs::remove_dir_all(&inputs)?;
        fs::remove_dir_all(&outputs)?;
        let kernel = stats["kernel_seconds"].as_f64().unwrap_or(0.0);
        let rate = |seconds: f64| (seconds > 0.0).then(|| count as f64 / seconds);
        let run = stats["run_seconds"].as_f64().unwrap_or(0.0);
        Ok(json!({
            "per_second": rate(kernel),
            "run_per_second": rate(run),
            "wrong": wrong,
            "first_seconds": first["seconds"],
            "stats": stats,
        }))
    }

    /// What handwritten kernels do, behind HTTP, from the host's memory to the host's memory, and on the device alone;
    /// `None` if the program has none, or none for this device.
    fn by_hand(&self, program: &str, cases: &[Case]) -> Result<Option<Value>> {
        if !ByHand::exists(program) {
            return Ok(None);
        }
        let spec = self.devices.first().context("there is no device")?;
        let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
        let engine = Engine::open(&drivers, spec, Quirks::default())?;
        let Some(mut by_hand) = ByHand::new(&drivers, &engine, program)? else { return Ok(None) };
        let device = by_hand.alone(cases, None)?;
        let time = Duration::from_secs_f64(self.run.seconds);
        let (copied, batch) = (by_hand.end_to_end(cases, time)?, by_hand.served(cases, time)?);
        let compiled = json!({ "compile_seconds": by_hand.compiled.as_secs_f64() });
        Ok(Some(json!({ "compiled": compiled, "batch": batch, "copied": copied, "device": device })))
    }

    /// Adds requests per dollar, if there are prices.
    fn priced(&self, mut figures: Value, system: System) -> Value {
        let devices = system.on_device().then_some(self.devices.as_slice());
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let rate = figures["batch"]["per_second"].as_f64();
        if let Some(dollars) = rate.and_then(|rate| prices::per_dollar(&self.prices, devices, cores, rate)) {
            figures["requests_per_dollar"] = json!(dollars);
        }
        figures
    }
}

/// A file of JSON.
fn json(path: &Path) -> Result<Value> {
    let name = || path.display().to_string();
    serde_json::from_slice(&fs::read(path).with_context(name)?).with_context(name)
}

/// A measurement, or why there is none.
fn or_error(measured: Result<Value>) -> Value {
    measured.unwrap_or_else(|why| json!({ "error": format!("{why:#}") }))
}

/// What a command prints, if it succeeds.
fn said(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The commit of what is measured: what `bench/carry` wrote beside the commands, or else that of the folder.
fn commit() -> Option<String> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.parent()?.join("commit")));
    let carried = beside.and_then(|path| fs::read_to_string(path).ok()).map(|text| text.trim().to_owned());
    carried.or_else(|| said("git", &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]))
}

fn environment(command: &mut Command, address: String) {
    _ = command.env("VECTORVISOR_LISTEN", address);
}

/// The server's answers to requests.
fn expected(server: &Server, requests: &[&[u8]]) -> Result<Vec<Case>> {
    let mut connection = Connection::open(server.address)?;
    let mut cases = Vec::new();
    for some in requests.chunks(64) {
        let mut body = Vec::new();
        some.iter().for_each(|request| http::push(&mut body, request));
        let (status, all) = connection.post("/batch", &body)?;
        ensure!(status == 200, "the native program answers {status}");
        let answers = http::answers(&all)?;
        ensure!(answers.len() == some.len(), "the native program answers {} of {}", answers.len(), some.len());
        for (request, (_, status, answer)) in some.iter().zip(answers) {
            ensure!(status == 200, "the native program answers {status}");
            cases.push(Case::new(request.to_vec(), answer.to_vec()));
        }
    }
    Ok(cases)
}

/// Whether a system's figures tell of a failure.
fn failure(figures: &Value) -> bool {
    let wrong =
        |figures: &Value| figures["wrong"].as_u64().is_some_and(|wrong| wrong > 0) || !figures["error"].is_null();
    let any = |figures: &Value| match figures {
        Value::Object(all) => all.values().any(wrong),
        Value::Array(all) => all.iter().any(wrong),
        _ => false,
    };
    wrong(figures) || any(figures) || any(&figures["vms_sweep"])
}

fn line(program: &str, system: &str, figures: &Value) -> String {
    if let Some(why) = figures["error"].as_str() {
        return format!("{program:23} {system:14} {why}");
    }
    let of = |part: &str, figure: &str| figures[part][figure].as_f64().unwrap_or(f64::NAN);
    let wrong: f64 =
        ["checked", "batch", "single", "copied", "device"].iter().map(|part| of(part, "wrong").max(0.0)).sum();
    format!(
        "{program:23} {system:14} {:10.1}/s in batches, {:10.1}/s single (p50 {:.1} ms, p99 {:.1} ms), device {:10.1}/s, wrong {wrong}",
        of("batch", "per_second"),
        of("single", "per_second"),
        of("single", "p50_ms"),
        of("single", "p99_ms"),
        of("device", "per_second"),
    )
}

fn machine() -> Value {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    json!({
        "processor": model,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "gpu": said("nvidia-smi", &query),
    })
}
