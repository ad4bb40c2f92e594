//! Micro-benchmarks of every device that is there: translation, copies by cell size, latencies, host calls by size,
//! guests, and some programs of `guests/paper`.

use anyhow::Result;
use bench::guests::{GUESTS, Guest};
use bench::http;
use bench::measure::{self, Vms};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use vectorvisor::{
    BackendSpec, DeviceKind, Drivers, End, Engine, Files, FilesAt, Fleet, FleetOptions, Input, Instances, Program,
    ProgramOptions, Value,
};

/// Does nothing.
const NOTHING: &str = r#"(module (func (export "nothing")))"#;
/// Makes `$times` host calls: it polls whether standard output can be written to, which never waits.
const ASK: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\02")
    (data (i32.const 16) "\01")
    (func (export "ask") (param $times i32)
        loop $again
            (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))
        end))"#;

/// Calls the host `$times` times: writes `$bytes` at the beginning of a file in memory, or reads them there.
const FILE: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 0) "name")
    (func $must (param $errno i32) (if (local.get $errno) (then unreachable)))
    (func $file (result i32)
        ;; In the first folder: made if it is not there; may be read, written and sought.
        (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1)
            (i64.const 70) (i64.const 0) (i32.const 0) (i32.const 8)))
        (i32.load (i32.const 8)))
    (func $all (param $write i32) (param $file i32) (param $bytes i32) (local $done i32)
        ;; A call may take fewer than all.
        loop $more
            (i32.store (i32.const 16) (i32.add (i32.const 1024) (local.get $done)))
            (i32.store (i32.const 20) (i32.sub (local.get $bytes) (local.get $done)))
            (call $must (if (result i32) (local.get $write)
                (then (call $pwrite (local.get $file) (i32.const 16) (i32.const 1)
                    (i64.extend_i32_u (local.get $done)) (i32.const 24)))
                (else (call $pread (local.get $file) (i32.const 16) (i32.const 1)
                    (i64.extend_i32_u (local.get $done)) (i32.const 24)))))
            (if (i32.eqz (i32.load (i32.const 24))) (then unreachable))
            (local.set $done (i32.add (local.get $done) (i32.load (i32.const 24))))
            (br_if $more (i32.lt_u (local.get $done) (local.get $bytes)))
        end)
    (func (export "calls") (param $write i32) (param $times i32) (param $bytes i32) (local $file i32)
        (call $all (i32.const 1) (local.tee $file (call $file)) (local.get $bytes))
        loop $again
            (call $all (local.get $write) (local.get $file) (local.get $bytes))
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))
        end))"#;
/// Those of the twelve programs that compile in seconds.
const PAPER: [&str; 4] = ["lz4", "strings-assemblyscript", "phash-modified", "pbkdf2"];

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    // The null driver runs nothing.
    for driver in drivers.0.iter().filter(|driver| driver.name() != "null") {
        let devices = match driver.devices() {
            Ok(devices) => devices,
            Err(error) => {
                println!("{} is left out: {error}", driver.name());
                continue;
            }
        };
        for info in devices {
            let spec = BackendSpec { name: driver.name().into(), index: Some(info.index) };
            let device = Device { name: spec.to_string(), engine: Engine::open(&drivers, &spec, Default::default())? };
            println!("{} is {}", device.name, info.name);
            device.translation(&mut criterion);
            device.copies(&mut criterion);
            device.latencies(&mut criterion)?;
            device.host_calls(&mut criterion);
            device.guests(&mut criterion);
            device.paper(&mut criterion);
        }
    }
    criterion.final_summary();
    Ok(())
}

struct Device {
    name: String,
    engine: Engine,
}

impl Device {
    fn group<'a>(&self, criterion: &'a mut Criterion, what: &str) -> BenchmarkGroup<'a, WallTime> {
        criterion.benchmark_group(format!("{}/{what}", self.name))
    }

    /// Enough VMs to keep the device busy.
    fn vms(&self) -> u32 {
        if self.engine.info().kind == DeviceKind::Gpu { 32_768 } else { 64 }
    }

    /// Translation to kernel text: bytes of WebAssembly per second.
    fn translation(&self, criterion: &mut Criterion) {
        let mut group = self.group(criterion, "translation");
        let options = ProgramOptions::default().for_device(self.engine.info());
        for guest in GUESTS.iter().filter(|guest| guest.name == guest.program) {
            group.throughput(Throughput::Bytes(guest.wasm.len() as u64));
            group.bench_function(guest.name, |bencher| {
                bencher.iter(|| vectorvisor::translate::translate(guest.wasm, &options).expect("a kernel"));
            });
        }
        for name in PAPER {
            let Some(wasm) = wasm(name) else { continue };
            group.throughput(Throughput::Bytes(wasm.len() as u64));
            group.bench_function(format!("paper {name}"), |bencher| {
                bencher.iter(|| vectorvisor::translate::translate(&wasm, &options).expect("a kernel"));
            });
        }
    }

    /// Copies: bytes read and written per second, by cell size.
    fn copies(&self, criterion: &mut Criterion) {
        for guest in GUESTS.iter().filter(|guest| guest.copied().is_some()) {
            let guest = guest.of_size(10);
            let mut group = self.group(criterion, guest.name);
            for cell in [0, 4, 8, 16, 32] {
                let options = ProgramOptions { lanes: Some(32), interleave: Some(cell), ..Default::default() };
                self.kernel(&mut group, &format!("cell {cell}"), &guest, &options);
            }
        }
    }

    /// Latencies with one VM: of an empty call, of an empty input, and from one host call to the next.
    fn latencies(&self, criterion: &mut Criterion) -> Result<()> {
        let mut group = self.group(criterion, "latency");
        let compile = |text: &str| Program::new(&self.engine, text.as_bytes(), &Default::default(), &mut |_| {});
        let options = FleetOptions { vms: Some(1), seed: Some(1), ..Default::default() };

        let nothing = compile(NOTHING)?;
        let mut instance = Instances::new(&nothing, 1, &options)?;
        instance.instantiate()?;
        group.bench_function("call", |bencher| {
            bencher.iter(|| instance.invoke("nothing", &[Vec::new()]).expect("a call"));
        });
        let mut fleet = Fleet::new(&nothing, &options, Some(1))?;
        group.bench_function("input", |bencher| {
            bencher.iter(|| {
                fleet.run("nothing", &mut std::iter::once(Input::default()), &mut |_| ()).expect("a run");
            });
        });

        let mut fleet = Fleet::new(&compile(ASK)?, &options, Some(1))?;
        group.bench_function("resume", |bencher| {
            bencher.iter_custom(|times| {
                let input = Input::args(vec![Value::I32(i32::try_from(times).expect("fewer rounds"))]);
                fleet.run("ask", &mut std::iter::once(input), &mut |_| ()).expect("a run").elapsed
            });
        });
        Ok(())
    }

    /// Host calls by the bytes that one writes or reads, of one VM and of many: bytes per second.
    fn host_calls(&self, criterion: &mut Criterion) {
        let mut group = self.group(criterion, "host calls");
        let mut files = Files::default();
        files.add_scratch(".", 1 << 20);
        let files = Some(Arc::new(files));
        let many = self.vms().min(1024);
        let options = ProgramOptions { files: FilesAt::Host, heap: Some(128 << 10), ..Default::default() };
        let prepare = |vms| -> Result<Fleet> {
            let program = Program::new(&self.engine, FILE.as_bytes(), &options, &mut |_| {})?;
            let options = FleetOptions { vms: Some(vms), seed: Some(1), files: files.clone(), ..Default::default() };
            Ok(Fleet::new(&program, &options, Some(vms as usize))?)
        };
        for vms in [1, many] {
            let mut fleet = None;
            for (write, name) in [(1, "write"), (0, "read")] {
                for bytes in [64, 512, 4 << 10, 16 << 10, 64 << 10] {
                    group.throughput(Throughput::Bytes(u64::from(vms) * bytes as u64));
                    group.bench_function(format!("{name} {bytes} bytes, {vms} VMs"), |bencher| {
                        let fleet = fleet.get_or_insert_with(|| prepare(vms).expect("a fleet"));
                        bencher.iter_custom(|times| {
                            let times = i32::try_from(times).expect("fewer rounds");
                            let input = || Input::args([write, times, bytes].map(Value::I32).to_vec());
                            let mut ended = |outcome: vectorvisor::Outcome| {
                                assert_eq!(outcome.end, End::Exit(0), "VM {}", outcome.index);
                            };
                            let mut inputs = std::iter::repeat_with(input).take(vms as usize);
                            fleet.run("calls", &mut inputs, &mut ended).expect("a run").elapsed
                        });
                    });
                }
            }
        }
    }

    /// Programs of `guests/paper`: requests per second of kernel time.
    fn paper(&self, criterion: &mut Criterion) {
        let mut group = self.group(criterion, "paper");
        let vms = self.vms().min(4096);
        let inputs = found(&["target/paper-native/inputs", ".carry/bin/inputs"]);
        if inputs.is_none() {
            println!("no requests: `bench/guests/paper/build native` builds what makes them");
        }
        for name in PAPER {
            let (Some(wasm), Some(inputs)) = (wasm(name), &inputs) else { continue };
            let prepare = || -> Result<Vms> {
                let folder = std::env::temp_dir().join(format!("vectorvisor-devices.{}", std::process::id()));
                let made = Command::new(inputs).arg(name).arg(&folder).args(["0", "64", "1"]).status()?;
                anyhow::ensure!(made.success(), "{}: {made}", inputs.display());
                let file = std::fs::read(&folder)?;
                std::fs::remove_file(&folder)?;
                let requests = http::requests(&file)?;
                let options = ProgramOptions { roots: vec!["_start".into()], ..Default::default() };
                let program = Program::new(&self.engine, &wasm, &options, &mut |_| {})?;
                let cases = measure::outputs_of(&program, requests.into_iter().map(<[u8]>::to_vec))?;
                Vms::new(&program, cases, vms)
            };
            group.throughput(Throughput::Elements(vms.into()));
            let mut prepared = None;
            group.bench_function(name, |bencher| {
                let vms = prepared.get_or_insert_with(|| prepare().expect("VMs"));
                bencher.iter_custom(|times| (0..times).map(|_| vms.run().expect("a run").kernel).sum());
            });
        }
    }

    /// Guests: inputs per second of kernel time.
    fn guests(&self, criterion: &mut Criterion) {
        let mut group = self.group(criterion, "guests");
        for guest in GUESTS.iter().filter(|guest| guest.copied().is_none()) {
            let guest = guest.of_size(guest.small);
            self.kernel(&mut group, guest.name, &guest, &ProgramOptions::default());
        }
    }

    fn kernel(&self, group: &mut BenchmarkGroup<'_, WallTime>, name: &str, guest: &Guest, options: &ProgramOptions) {
        let count = u64::from(self.vms());
        group.throughput(guest.copied().map_or(Throughput::Elements(count), |bytes| Throughput::Bytes(bytes * count)));
        // Compiled at its first run, so not if the command line's filter excludes it.
        let prepare = || {
            let program = measure::compile(&self.engine, guest, options)?.program;
            Vms::new(&program, measure::outputs(&program, guest, 64)?, self.vms())
        };
        let mut vms = None;
        group.bench_function(name, |bencher| {
            let vms = vms.get_or_insert_with(|| prepare().expect("VMs"));
            bencher.iter_custom(|times| (0..times).map(|_| vms.run().expect("a run").kernel).sum());
        });
    }
}

/// The first of these files of the project that is there, or of the folder where this runs.
fn found(names: &[&str]) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let all = names.iter().flat_map(|name| [project.join(name), PathBuf::from(name)]);
    all.into_iter().find(|path| path.is_file())
}

/// A program of `guests/paper`, if it was built or is kept.
fn wasm(name: &str) -> Option<Vec<u8>> {
    let folders = ["target/paper-wasm", "bench/guests/paper/wasm", ".carry/paper"];
    let names = folders.map(|folder| format!("{folder}/{name}.wasm"));
    let wasm = found(&names.each_ref().map(String::as_str)).and_then(|path| std::fs::read(path).ok());
    if wasm.is_none() {
        println!("{name} is left out: `bench/guests/paper/build rust` and `assemblyscript` build it");
    }
    wasm
}
