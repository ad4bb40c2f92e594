//! One server on several devices, which are the cpu's and fail when a test wants: each request is answered once, and
//! right.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::Faults;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vectorvisor::{CachePolicy, DeviceKind, FleetOptions, Program, ProgramOptions};
use vectorvisor_serve::{Device, Error, Limits, Options, Server};

/// Writes what it reads.
const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 1000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

struct Tested {
    faults: Vec<Arc<Faults>>,
    address: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), Error>>,
    client: reqwest::Client,
}

impl Tested {
    /// Devices with so many VMs each.
    async fn new(vms: &[u32]) -> Self {
        Self::with(vms, Options::default()).await
    }

    async fn with(vms: &[u32], options: Options) -> Self {
        let (mut devices, mut faults) = (Vec::new(), Vec::new());
        for (i, &vms) in vms.iter().enumerate() {
            let (engine, its) = common::engine(|_| ());
            let program =
                ProgramOptions { cache: CachePolicy::Dir(env!("CARGO_TARGET_TMPDIR").into()), ..Default::default() };
            let program = Program::new(&engine, ECHO.as_bytes(), &program, &mut |_| {}).expect("it compiles");
            let fleet = FleetOptions { vms: Some(vms), sharers: 2, ..FleetOptions::default() };
            devices.push(Device { name: format!("test:{i}"), program, fleet });
            faults.push(its);
        }
        Self::of(devices, faults, options).await
    }

    async fn of(devices: Vec<Device>, faults: Vec<Arc<Faults>>, options: Options) -> Self {
        let mut server = Server::new(options).expect("good options");
        server.add("echo", devices).expect("room");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.serve(listener, async { _ = stopped.await }));
        Self { faults, address, stop, server, client: reqwest::Client::new() }
    }

    fn fail(&self, device: usize, after: i64) {
        self.faults[device].launches.store(after, Ordering::SeqCst);
    }

    async fn post(&self, path: &str, body: String) -> (u16, String) {
        let request = self.client.post(format!("http://{}{path}", self.address));
        let response =
            request.header("content-type", "application/x-ndjson").body(body).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a whole answer"))
    }

    async fn singles(&self, count: usize) {
        let one = async |n: usize| assert_eq!(self.post("/echo", format!("{n}")).await, (200, format!("{n}")));
        join_all((0..count).map(one)).await;
    }

    /// A batch, whose answers are all there once and right.
    async fn batch(&self, path: &str, count: usize) {
        let (status, text) = self.post(path, (0..count).map(|n| format!("row {n}\n")).collect()).await;
        let answers: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut numbers: Vec<usize> = Vec::new();
        for answer in &answers {
            let number = answer["index"].as_u64().expect("a number");
            assert_eq!(answer["stdout"], format!("row {number}"), "{answer}");
            numbers.push(number as usize);
        }
        if path.contains("any") {
            numbers.sort_unstable();
        }
        assert_eq!((status, numbers), (200, (0..count).collect()));
    }

    /// A figure of a device.
    async fn figure(&self, name: &str, device: usize) -> f64 {
        let response = self.client.get(format!("http://{}/metrics", self.address)).send().await.expect("an answer");
        let text = response.text().await.expect("a whole answer");
        let begin = format!("vectorvisor_{name}{{device=\"test:{device}\",program=\"echo\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&begin)?.parse().ok());
        value.unwrap_or_else(|| panic!("{begin} is not in {text}"))
    }

    /// Many clients, with batches and without.
    async fn load(&self) {
        tokio::join!(self.batch("/batch", 3000), self.batch("/batch?order=any", 3000), self.singles(300));
    }

    async fn end(self) {
        self.stop.send(()).expect("it runs");
        self.server.await.expect("no panic").expect("a device");
    }
}

fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    runtime.expect("threads").block_on(test);
}

#[test]
fn devices_share_requests() {
    on_threads(async {
        let server = Tested::new(&[64, 32]).await;
        // A launch is three: reset, run and gather.
        server.faults.iter().for_each(|faults| faults.slow.store(20, Ordering::SeqCst));
        server.load().await;
        for device in 0..2 {
            assert!(server.figure("packet_vms_sum", device).await > 1000.0, "device {device} had too few");
            assert_eq!(server.figure("device_ready", device).await, 1.0);
        }
        server.end().await;
    });
}

/// One measures while the others stand aside, and then they run what it chose.
#[test]
fn fleets_of_a_device_are_tuned_together() {
    on_threads(async {
        let (engine, faults) = common::engine(|info| info.kind = DeviceKind::Gpu);
        faults.launches_take(|| 10_000_000);
        let cache = tempfile::tempdir().expect("a folder");
        let options = ProgramOptions {
            lanes: Some(32),
            cache: CachePolicy::Dir(cache.path().into()),
            heap: Some(1 << 17),
            ..Default::default()
        };
        let program = || Program::new(&engine, ECHO.as_bytes(), &options, &mut |_| {}).expect("it compiles");
        let fleet = FleetOptions { vms: Some(64), sharers: 3, parts: 3, ..Default::default() };
        let (first, mut devices) = (program(), Vec::new());
        for i in 0..3 {
            devices.push(Device { name: format!("test:{i}"), program: first.clone(), fleet: fleet.clone() });
        }
        assert_eq!(first.tuning(), None);
        let server = Tested::of(devices, vec![faults], Options { autotune: true, ..Options::default() }).await;
        let begin = Instant::now();
        while program().tuning().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(100), "nothing was chosen");
            server.load().await;
        }
        let launches = async || join_all((0..3).map(|device| server.figure("launches_total", device))).await;
        let before = launches().await;
        server.load().await;
        let (after, mut more) = (launches().await, before.iter());
        assert!(after.iter().all(|after| more.next().is_some_and(|before| after > before)), "{before:?}, {after:?}");
        server.end().await;
    });
}

#[test]
fn two_that_are_idle_share_what_comes_at_once() {
    on_threads(async {
        let limits = Limits { delay: Duration::from_secs(1), ..Limits::default() };
        let server = Tested::with(&[1024, 1024], Options { limits, ..Options::default() }).await;
        server.faults.iter().for_each(|faults| faults.slow.store(200, Ordering::SeqCst));
        // Until both have begun to ask.
        while server.figure("packet_vms_sum", 0).await == 0.0 || server.figure("packet_vms_sum", 1).await == 0.0 {
            server.singles(100).await;
        }
        let before = server.figure("packet_vms_sum", 0).await;
        server.batch("/batch", 500).await;
        let first = server.figure("packet_vms_sum", 0).await - before;
        assert!((200.0..300.0).contains(&first), "{first} of 500");
        server.end().await;
    });
}

#[test]
fn others_run_what_a_device_that_fails_had() {
    on_threads(async {
        for after in [0, 4, 20] {
            let server = Tested::new(&[64, 64]).await;
            server.faults.iter().for_each(|faults| faults.slow.store(20, Ordering::SeqCst));
            server.fail(1, after);
            server.load().await;
            assert_eq!(server.faults[1].launches.load(Ordering::SeqCst), -1, "it has not failed");
            // It comes back.
            let begin = Instant::now();
            while server.figure("device_ready", 1).await == 0.0 {
                assert!(begin.elapsed() < Duration::from_secs(30));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            server.load().await;
            server.end().await;
        }
    });
}

#[test]
fn requests_wait_for_a_device_that_comes_back() {
    on_threads(async {
        let server = Tested::new(&[64]).await;
        server.fail(0, 10);
        tokio::join!(server.batch("/batch", 1000), server.batch("/batch?order=any", 1000));
        assert_eq!(server.faults[0].launches.load(Ordering::SeqCst), -1, "it has not failed");
        server.end().await;
    });
}

#[test]
fn a_request_with_which_three_devices_failed_fails() {
    on_threads(async {
        let server = Tested::new(&[64, 64, 64]).await;
        (0..3).for_each(|device| server.fail(device, 0));
        let (status, text) = server.post("/echo", "bad".into()).await;
        assert!(
            status == 503 && text.contains("failed each of the 3 times that this request ran: the device fell"),
            "{text}"
        );
        let begin = Instant::now();
        while server.post("/echo", "good".into()).await.0 != 200 {
            assert!(begin.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.end().await;
    });
}

#[test]
fn the_server_ends_when_no_device_comes_back() {
    on_threads(async {
        let server = Tested::new(&[64, 64]).await;
        for (device, faults) in server.faults.iter().enumerate() {
            faults.largest.store(0, Ordering::SeqCst);
            server.fail(device, i64::from(device == 1));
        }
        let (status, text) = server.post("/batch", "a\n".repeat(100)).await;
        assert_eq!((status, text.matches("the device failed").count()), (200, 100), "{text}");
        let ended = server.server.await.expect("no panic");
        assert!(matches!(&ended, Err(Error::Device(name)) if name == "echo"), "{ended:?}");
    });
}

#[test]
fn a_device_without_room_is_left_out() {
    let (engine, faults) = common::engine(|_| ());
    faults.largest.store(0, Ordering::SeqCst);
    let (other, _) = common::engine(|_| ());
    let device = |engine: &vectorvisor::Engine| {
        let options =
            ProgramOptions { cache: CachePolicy::Dir(env!("CARGO_TARGET_TMPDIR").into()), ..Default::default() };
        let program = Program::new(engine, ECHO.as_bytes(), &options, &mut |_| {}).expect("it compiles");
        Device { name: "test".into(), program, fleet: FleetOptions::default() }
    };
    let mut server = Server::new(Options::default()).expect("good options");
    server.add("some", vec![device(&engine), device(&other)]).expect("one has room");
    assert!(matches!(server.add("none", vec![device(&engine)]), Err(Error::Fleet(_))));
}
