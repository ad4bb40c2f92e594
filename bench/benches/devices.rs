//! Micro-benchmarks of every device that is there: translation, copies by cell size, latencies, guests.

use anyhow::Result;
use bench::guests::{GUESTS, Guest};
use bench::measure::{self, Vms};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::Duration;
use vectorvisor::{
    BackendSpec, DeviceKind, Drivers, Engine, Fleet, FleetOptions, Input, Instances, Program, ProgramOptions, Value,
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

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    for driver in &drivers.0 {
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
            device.guests(&mut criterion);
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
