//! The server as clients see it, on the cpu.

use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vectorvisor::{BackendSpec, CachePolicy, Drivers, Engine, FleetOptions, Program, ProgramOptions, Quirks};
use vectorvisor_serve::{Device, Limits, Options, Server, Tls};

/// Writes what it reads; then what the first byte says: `l` loops for ever, `u` is unreachable, `x` exits with 7 and a
/// word on standard error.
const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "why")
  (func (export "_start") (local $bytes i32) (local $first i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 65536))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $bytes (i32.load (i32.const 8)))
    (local.set $first (i32.load8_u (i32.const 4096)))
    (i32.store (i32.const 4) (local.get $bytes))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (local.get $first) (i32.const 108)) (then (loop (br 0))))
    (if (i32.eq (local.get $first) (i32.const 117)) (then (unreachable)))
    (if (i32.eq (local.get $first) (i32.const 120)) (then
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const 3))
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $exit (i32.const 7))))))"#;

struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), vectorvisor_serve::Error>>,
    client: reqwest::Client,
}

async fn start(options: Options, fleet: FleetOptions) -> Running {
    start_with(ECHO, options, fleet).await
}

async fn start_with(text: &str, options: Options, fleet: FleetOptions) -> Running {
    start_program(text, options, fleet, false).await
}

async fn start_program(text: &str, options: Options, fleet: FleetOptions, profile: bool) -> Running {
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    let engine = Engine::open(&drivers, &BackendSpec::default(), Quirks::default()).expect("the cpu");
    let program = ProgramOptions { cache: CachePolicy::Off, profile, ..Default::default() };
    let program = Program::new(&engine, text.as_bytes(), &program, &mut |_| {}).expect("a program");
    let mut server = Server::new(options).expect("good options");
    server.add("echo", vec![Device { name: "cpu:0".into(), program, fleet }]).expect("room");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(server.serve(listener, async { _ = stopped.await }));
    Running { address, stop, server, client: reqwest::Client::new() }
}

impl Running {
    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        self.post_as("text/plain", path, body).await
    }

    async fn post_as(&self, kind: &str, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = self.client.post(format!("http://{}{path}", self.address)).header("content-type", kind);
        let response = request.body(body).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a whole answer"))
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("http://{}{path}", self.address)).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a whole answer"))
    }

    async fn end(self) {
        self.stop.send(()).expect("it runs");
        self.server.await.expect("no panic").expect("a device");
    }
}

const MANY_THREADS: usize = 4;

fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(MANY_THREADS).enable_all().build();
    runtime.expect("threads").block_on(test);
}

#[test]
fn a_request_is_a_run() {
    on_threads(async {
        let server = start(Options::default(), FleetOptions::default()).await;
        assert_eq!(server.post("/echo", "hello").await, (200, "hello".into()));
        assert_eq!(server.post("/", "").await, (200, String::new()), "one program needs no name");
        let (status, text) = server.post("/echo", "unreachable").await;
        assert!(status == 500 && text.contains("trap: unreachable"), "{text}");
        let (status, text) = server.post("/echo", "x").await;
        assert_eq!((status, text.trim()), (500, r#"{"error":"exit code 7","stderr":"why"}"#));
        let (status, text) = server.post("/other", "").await;
        assert!(status == 404 && text.contains("/echo"), "{text}");
        assert_eq!(server.get("/healthz").await.0, 200);
        assert_eq!(server.get("/readyz").await.0, 200);
        let metrics = server.get("/metrics").await.1;
        for line in [
            r#"vectorvisor_requests_total{end="ok",program="echo"} 2"#,
            r#"vectorvisor_requests_total{end="trap",program="echo"} 1"#,
            r#"vectorvisor_queue_length{program="echo"} 0"#,
        ] {
            assert!(metrics.contains(line), "{line} is not in {metrics}");
        }
        server.end().await;
    });
}

#[test]
fn answers_have_a_limit() {
    on_threads(async {
        let server = start(Options::default(), FleetOptions { most_output: Some(1000), ..Default::default() }).await;
        let (status, text) = server.post("/echo", "a".repeat(5000)).await;
        assert!(status == 500 && text.contains("longer than the 1024 bytes"), "{text}");
        assert_eq!(server.post("/echo", "a".repeat(1000)).await.0, 200);
        server.end().await;
    });
}

#[test]
fn many_clients_each_get_their_own_answer() {
    on_threads(async {
        let server = start(Options::default(), FleetOptions::default()).await;
        let ask = |n: usize| {
            let server = &server;
            async move { assert_eq!(server.post("/echo", format!("{n} ")).await, (200, format!("{n} "))) }
        };
        futures_util::future::join_all((0..2000).map(ask)).await;
        server.end().await;
    });
}

#[test]
fn a_batch_is_many_runs() {
    on_threads(async {
        let server = start(Options::default(), FleetOptions::default()).await;
        let lines: String = (0..5000).map(|n| format!("row {n}\n")).collect();
        for path in ["/echo/batch", "/batch?order=any"] {
            let (status, text) = server.post_as("application/x-ndjson", path, lines.clone()).await;
            assert_eq!(status, 200);
            let answers: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let mut indexes: Vec<u64> = Vec::new();
            for answer in &answers {
                let index = answer["index"].as_u64().expect("a number");
                assert_eq!(answer["stdout"], format!("row {index}"));
                indexes.push(index);
            }
            if path.contains("any") {
                indexes.sort_unstable();
            }
            assert_eq!(indexes, (0..5000).collect::<Vec<_>>());
        }
        // Of several pieces.
        let line = |n: usize| format!("{n}{}", ".".repeat(1000));
        let lines: String = (0..5000).map(|n| line(n) + "\n").collect();
        let (_, text) = server.post_as("application/x-ndjson", "/batch", lines).await;
        for (n, answer) in text.lines().enumerate() {
            assert!(answer.contains(&line(n)), "{n}: {answer}");
        }
        assert_eq!(text.lines().count(), 5000);
        let (_, text) = server.post_as("application/x-ndjson", "/batch", "{\"stdin\":\"u\",\"id\":9}\nok\n").await;
        let first = text.lines().next().unwrap_or_default();
        assert!(first.contains(r#""id":9"#) && first.contains("unreachable"), "{text}");
        assert!(text.ends_with("{\"index\":1,\"exit\":0,\"stdout\":\"ok\"}\n"), "{text}");
        let (_, text) = server.post_as("application/x-ndjson", "/batch", "{\"args\":[\"7\"],\"id\":9}\n").await;
        assert!(text.contains(r#""id":9"#) && text.contains("are for `map`"), "{text}");
        let (status, text) = server.post_as("application/octet-stream", "/batch", &b"\x02\0\0\0ab"[..]).await;
        // 200 is no character.
        assert_eq!((status, text.as_str()), (200, "\0\0\0\0\u{fffd}\0\0\0\x02\0\0\0ab"));
        assert_eq!(server.post_as("application/octet-stream", "/batch", "abc").await.0, 400);
        let (status, text) = server.post_as("application/msgpack", "/batch", &b"\x92\xc4\x02ab\xa1u"[..]).await;
        assert!(status == 200 && text.contains("stdout\u{fffd}\x02ab") && text.contains("unreachable"), "{text}");
        assert_eq!(server.post_as("application/msgpack", "/batch", "abc").await.0, 400);
        assert_eq!(server.post_as("image/png", "/batch", "abc").await.0, 415);
        assert_eq!(server.post_as("application/x-ndjson", "/batch?order=up", "abc").await.0, 400);
        server.end().await;
    });
}

/// Requests of batches wait for room, and single ones have their turns between them.
#[test]
fn batches_are_bounded_and_leave_room_for_others() {
    on_threads(async {
        let limits = Limits { requests: 2, bytes: 1 << 20, ..Limits::default() };
        let options = Options { limits, body: 1 << 19, ..Options::default() };
        let server = start(options, FleetOptions { vms: Some(64), ..FleetOptions::default() }).await;
        let text: String = (0..3000).map(|n| format!("{n}{}\n", ".".repeat(100))).collect();
        let all = async {
            for path in ["/batch", "/batch?order=any"] {
                let (_, answers) = server.post_as("application/x-ndjson", path, text.clone()).await;
                assert_eq!(answers.matches("\"exit\":0").count(), 3000);
            }
        };
        // One that does not read its answers, and one that goes.
        let mut idle = Vec::new();
        for closes in [false, true] {
            let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
            let head = format!(
                "POST /batch HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
                text.len()
            );
            stream.write_all((head + &text).as_bytes()).await.expect("it reads");
            if !closes {
                idle.push(stream);
            }
        }
        let singles = async {
            for n in 0..50 {
                assert_eq!(server.post("/echo", format!("{n}")).await, (200, format!("{n}")));
            }
        };
        tokio::join!(all, singles);
        drop(idle);
        server.end().await;
    });
}

/// Writes 60,000 bytes.
const LONG: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 100))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 16)) (i32.const 108)) (then
      (i32.store (i32.const 4) (i32.const 60000))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))))"#;

/// All requests have room in the window as long as their answers are as short as those before.
#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    on_threads(async {
        let limits = Limits { bytes: 4 << 20, ..Limits::default() };
        let options = Options { limits, body: 1 << 20, ..Options::default() };
        let server = start_with(LONG, options, FleetOptions { vms: Some(16), ..FleetOptions::default() }).await;
        let launched = async || {
            let metrics = server.get("/metrics").await.1;
            let value =
                metrics.lines().find_map(|line| line.strip_prefix("vectorvisor_packet_vms_sum{")?.split(' ').nth(1));
            value.and_then(|value| value.parse::<f64>().ok()).expect("a figure")
        };
        server.post_as("application/x-ndjson", "/batch", "short\n".repeat(1000)).await;
        let before = launched().await;
        let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
        let (kind, text) = ("application/octet-stream", "\x01\0\0\0l".repeat(1500));
        let length = text.len();
        let head = format!("POST /batch HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
        stream.write_all((head + "connection: close\r\n\r\n" + &text).as_bytes()).await.expect("it reads");
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What the system's buffers take, and 2 MiB.
        let begun = launched().await - before;
        assert!(begun > 16.0 && begun < 750.0, "{begun}");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        assert!(answer.len() > 1500 * 60_012, "{} bytes", answer.len());
        server.end().await;
    });
}

#[test]
fn people_find_a_page_and_requests_their_ids() {
    on_threads(async {
        let server = start(Options::default(), FleetOptions::default()).await;
        let get = |path: &str, accept: &'static str| {
            server.client.get(format!("http://{}{path}", server.address)).header("accept", accept).send()
        };
        for path in ["/", "/status"] {
            let response = get(path, "text/html,*/*").await.expect("an answer");
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
            let page = response.text().await.expect("a page");
            assert!(!page.contains("src=") && page.matches("href=").count() == 1, "it needs nothing else");
        }
        let request = server.client.post(format!("http://{}/echo", server.address)).header("x-request-id", "mine");
        let response = request.body("u").send().await.expect("an answer");
        assert_eq!(response.headers()["x-request-id"], "mine");
        assert!(get("/healthz", "*/*").await.expect("an answer").headers()["x-request-id"].len() < 20);
        server.post_as("application/x-ndjson", "/batch", "a\nu\n").await;
        let state = get("/status", "application/json").await.expect("an answer").bytes().await.expect("a whole answer");
        let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
        let errors = state["errors"].as_array().expect("a list");
        assert!(errors.len() == 2 && errors[1]["request"] == "mine" && errors[1]["reason"] == "trap", "{state}");
        let program = &state["programs"][0];
        assert_eq!((&program["requests"]["trap"], &program["requests"]["ok"]), (&2.into(), &1.into()));
        let device = &program["devices"][0];
        assert!(device["vms"].as_u64() > Some(0) && device["device_bytes"].as_u64() > Some(0), "{state}");
        let metrics = server.get("/metrics").await.1;
        for name in ["transfer_seconds_total", "host_call_seconds_total", "vms_busy", "pinned_bytes", "packet_vms_sum"]
        {
            let line = format!("vectorvisor_{name}{{device=\"cpu:0\",program=\"echo\"}}");
            assert!(metrics.contains(&line), "{metrics}");
        }
        server.end().await;
    });
}

#[test]
fn a_server_of_profiled_programs_tells_how_many_lanes_are_active() {
    on_threads(async {
        for profile in [false, true] {
            let server = start_program(ECHO, Options::default(), FleetOptions::default(), profile).await;
            let answers = server.post_as("application/x-ndjson", "/batch", "a\nu\n".repeat(50)).await.1;
            assert_eq!(answers.lines().count(), 100);
            // Those of a launch count a moment after its answers have gone.
            let begin = Instant::now();
            let (metrics, state) = loop {
                let (metrics, state) = (server.get("/metrics").await.1, server.get("/status").await.1);
                let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
                let device = &state["programs"][0]["devices"][0];
                if !profile || device["lane_visits"] == 100 || begin.elapsed() > Duration::from_secs(60) {
                    break (metrics, device.clone());
                }
            };
            let expected = if profile { 100.into() } else { serde_json::Value::Null };
            assert_eq!((&state["lane_visits"], &state["warp_visits"]), (&expected, &expected), "{state}");
            for name in ["lane", "warp"] {
                let line = format!("vectorvisor_{name}_visits_total{{device=\"cpu:0\",program=\"echo\"}} ");
                assert_eq!(metrics.contains(&line), profile, "{metrics}");
            }
            server.end().await;
        }
    });
}

#[test]
fn what_is_too_much_is_refused() {
    on_threads(async {
        let limits = Limits { requests: 2, bytes: 1 << 20, delay: Duration::from_millis(1) };
        let options = Options { limits, body: 1000, ..Options::default() };
        let fleet = FleetOptions { vms: Some(1), timeout: Some(Duration::from_secs(3)), ..FleetOptions::default() };
        let server = start(options, fleet).await;
        assert_eq!(server.post("/echo", vec![b'a'; 1001]).await.0, 413);
        let busy = server.post("/echo", "loop");
        let rest = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let ask = || server.client.post(format!("http://{}/echo", server.address)).body("a").send();
            let more = futures_util::future::join_all((0..10).map(|_| ask())).await;
            let more: Vec<_> = more.into_iter().map(|answer| answer.expect("an answer")).collect();
            let count = |status| more.iter().filter(|answer| answer.status().as_u16() == status).count();
            assert_eq!((count(200), count(503)), (2, 8), "{more:?}");
            let again =
                |answer: &&reqwest::Response| answer.headers().get("retry-after").is_some_and(|when| when == "1");
            assert_eq!(more.iter().filter(again).count(), 8, "{more:?}");
        };
        let ((status, text), ()) = tokio::join!(busy, rest);
        assert!(status == 504 && text.contains("out of time"), "{text}");
        server.end().await;
    });
}

/// More of them than there are groups of VMs.
#[test]
fn requests_without_end_hold_nobody_back() {
    on_threads(async {
        let fleet = FleetOptions { timeout: Some(Duration::from_secs(2)), ..FleetOptions::default() };
        let server = start(Options::default(), fleet).await;
        let loops = (0..6).map(async |n| {
            tokio::time::sleep(Duration::from_millis(50 * n)).await;
            (server.post("/echo", "loop").await.0, Instant::now())
        });
        let others = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            for _ in 0..10 {
                assert_eq!(server.post("/echo", "a").await, (200, "a".into()));
            }
            Instant::now()
        };
        let (loops, others) = tokio::join!(futures_util::future::join_all(loops), others);
        assert!(loops.iter().all(|(status, ended)| *status == 504 && *ended > others), "{loops:?} {others:?}");
        server.end().await;
    });
}

/// Clients that hang up or stall cost no one else anything.
#[test]
fn bad_clients_disturb_nobody() {
    on_threads(async {
        let options = Options { patience: Duration::from_millis(500), ..Options::default() };
        let server = start(options, FleetOptions::default()).await;
        let mut bad = Vec::new();
        for sent in
            ["POST /echo HT", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf", "\0\0\r\n\r\n"]
        {
            for _ in 0..20 {
                let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
                stream.write_all(sent.as_bytes()).await.expect("it reads");
                bad.push(stream);
            }
        }
        let gone = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\ngone";
        for _ in 0..20 {
            let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
            stream.write_all(gone.as_bytes()).await.expect("it reads");
        }
        for n in 0..100 {
            assert_eq!(server.post("/echo", format!("{n}")).await, (200, format!("{n}")));
        }
        // Those that stall are cut off.
        let begin = Instant::now();
        for mut stream in bad {
            let mut answer = Vec::new();
            _ = stream.read_to_end(&mut answer).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(20));
        server.end().await;
    });
}

/// What is only announced takes no room from others.
#[test]
fn bodies_take_room_as_they_come() {
    on_threads(async {
        let limits = Limits { bytes: 1 << 20, ..Limits::default() };
        let options = Options { limits, body: 1 << 19, ..Options::default() };
        let server = start(options, FleetOptions::default()).await;
        let mut announced = Vec::new();
        for path in ["/echo", "/batch"] {
            for length in ["content-length: 500000", "transfer-encoding: chunked"] {
                for _ in 0..10 {
                    let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
                    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{length}\r\n");
                    let head = head + "content-type: application/x-ndjson\r\n\r\n";
                    stream.write_all(head.as_bytes()).await.expect("it reads");
                    announced.push(stream);
                }
            }
        }
        for n in 0..10 {
            let text = format!("{n}{}", ".".repeat(60_000));
            assert_eq!(server.post("/echo", text.clone()).await, (200, text));
            let (_, text) = server.post_as("application/x-ndjson", "/batch", "a\n".repeat(1000)).await;
            assert_eq!(text.matches("\"exit\":0").count(), 1000);
        }
        drop(announced);
        server.end().await;
    });
}

#[test]
fn who_has_asked_when_the_server_ends_is_answered() {
    on_threads(async {
        let server = start(Options::default(), FleetOptions::default()).await;
        let mut asked = Vec::new();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
            let request = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
            stream.write_all(request.as_bytes()).await.expect("it reads");
            asked.push(stream);
        }
        server.end().await;
        for mut stream in asked {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
        }
    });
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    on_threads(async {
        let fleet = FleetOptions { timeout: Some(Duration::from_secs(1)), ..FleetOptions::default() };
        let server = start(Options::default(), fleet).await;
        let (client, url) = (server.client.clone(), format!("http://{}/echo", server.address));
        let asked = tokio::spawn(async move {
            let response = client.post(url).body("loop").send().await.expect("an answer");
            response.status().as_u16()
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.end().await;
        assert_eq!(asked.await.expect("no panic"), 504);
    });
}

/// A program that serves requests in a loop: answers with what it had before the first, and the request.
const LOOP: &str = r#"(module
  (import "env" "serverless_invoke" (func $invoke (param i32 i32) (result i32)))
  (import "env" "serverless_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $length i32)
    (i32.store8 (i32.const 99) (i32.const 62))
    (loop $next
      (local.set $length (call $invoke (i32.const 100) (i32.const 50)))
      (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 117)) (then (unreachable)))
      (if (i32.ne (i32.load8_u (i32.const 100)) (i32.const 110))
        (then (call $response (i32.const 99) (i32.add (local.get $length) (i32.const 1)))))
      (br $next))))"#;

#[test]
fn a_loop_is_served_alike() {
    on_threads(async {
        let server = start_with(LOOP, Options::default(), FleetOptions::default()).await;
        let answers = futures_util::future::join_all((0..1000).map(|n| server.post("/echo", format!("{n}")))).await;
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, (200, format!(">{n}")));
        }
        let (status, text) = server.post("/", "u").await;
        assert!(status == 500 && text.contains("unreachable"), "{text}");
        let (status, text) = server.post("/", "n").await;
        assert!(status == 500 && text.contains("had not answered"), "{text}");
        let (status, text) = server.post("/", "x".repeat(51)).await;
        assert!(status == 413 && text.contains("longer than the 50 bytes"), "{text}");
        let (status, text) = server.post_as("application/x-ndjson", "/batch", "a\nu\nb\n").await;
        let last = "{\"index\":2,\"exit\":0,\"stdout\":\">b\"}\n";
        assert!(status == 200 && text.contains("unreachable") && text.ends_with(last), "{text}");
        server.end().await;
    });
}

#[test]
fn clients_of_the_first_vectorvisor_are_served() {
    on_threads(async {
        let server = start_with(LOOP, Options::default(), FleetOptions::default()).await;
        assert_eq!(server.get("/is_active/").await, (200, "true".into()));
        let request = server.client.get(format!("http://{}/batch_submit/", server.address)).body("this");
        let response = request.send().await.expect("an answer");
        let figure = |name: &str| -> Option<u64> { response.headers().get(name)?.to_str().ok()?.parse().ok() };
        for name in [
            "queue_submit_time",
            "num_queue_submits",
            "num_unique_fns",
            "req_queue_time",
            "overhead_time_ns",
            "compile_time_ns",
        ] {
            assert!(figure(name).is_some(), "{name}");
        }
        assert!(figure("device_time") > Some(0) && figure("on_device_time") > Some(0));
        assert_eq!(response.text().await.expect("a whole answer"), ">this");
        server.end().await;
    });
}

#[test]
fn a_trace_has_the_parts_of_each_request() {
    on_threads(async {
        let trace = vectorvisor::Trace::default();
        let options = Options { trace: Some(trace.clone()), ..Options::default() };
        let fleet = FleetOptions { trace: Some(trace.clone()), ..FleetOptions::default() };
        let server = start(options, fleet).await;
        for n in 0..20 {
            // Also one that takes several writes.
            let body = "a".repeat(if n == 7 { 60_000 } else { n });
            assert_eq!(server.post("/echo", body.clone()).await, (200, body));
        }
        assert_eq!(server.post("/echo", "u").await.0, 500);
        server.end().await;
        let events: Vec<serde_json::Value> = serde_json::from_str(&trace.json()).expect("JSON");
        let named = |name: &str| events.iter().filter(|event| event["name"] == name).collect::<Vec<_>>();
        for name in ["fill", "launch", "settle"] {
            assert!(!named(name).is_empty(), "{name}");
        }
        let at = |name: &str, number: u64, phase: &str| {
            let part = |event: &&&serde_json::Value| event["id"] == number && event["ph"] == phase;
            named(name).iter().find(part).and_then(|event| event["ts"].as_f64()).expect("each request has it")
        };
        for number in 1..=21 {
            let times = ["body", "queue", "run", "write"].map(|name| [at(name, number, "b"), at(name, number, "e")]);
            assert!(times.as_flattened().is_sorted(), "{times:?}");
        }
    });
}

/// Writes its environment, a line each, and then its input.
const CGI: &str = r#"(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32)
    (drop (call $sizes (i32.const 8) (i32.const 4)))
    (drop (call $get (i32.const 100) (i32.const 5000)))
    (i32.store (i32.const 0) (i32.const 5000))
    (local.set $at (i32.add (i32.const 5000) (i32.load (i32.const 4))))
    (loop $more
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 10))))
      (br_if $more (i32.gt_u (local.get $at) (i32.const 5000))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[test]
fn programs_find_what_is_beside_the_body() {
    on_threads(async {
        let options = Options { cgi: true, ..Options::default() };
        let server = start_with(CGI, options, FleetOptions::default()).await;
        let asks = (0..100).map(|n| {
            let request = server.client.get(format!("http://{}/echo?n={n}&a=b", server.address));
            let request = request.header("x-own", "one").header("x_own", "no").header("proxy", "no");
            let request = request.header("content-type", "text/x");
            async move { request.body("1234").send().await.expect("an answer").text().await.expect("a whole answer") }
        });
        for (n, text) in futures_util::future::join_all(asks).await.into_iter().enumerate() {
            let query = format!("QUERY_STRING=n={n}&a=b");
            for line in [
                "REQUEST_METHOD=GET",
                &query,
                "CONTENT_TYPE=text/x",
                "CONTENT_LENGTH=4",
                "HTTP_X_OWN=one",
                "SCRIPT_NAME=/echo",
                "SERVER_NAME=127.0.0.1",
                "REMOTE_ADDR=127.0.0.1",
                &format!("SERVER_PORT={}", server.address.split(':').nth(1).expect("a port")),
            ] {
                assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
            }
            assert!(!text.contains("HTTP_PROXY") && !text.contains("PATH_INFO"), "{text}");
            assert_eq!(text.matches("HTTP_X_OWN=").count(), 1, "{text}");
            let port = text.lines().find_map(|line| line.strip_prefix("REMOTE_PORT="));
            assert!(port.and_then(|port| port.parse::<u16>().ok()) > Some(0), "{text}");
        }
        for path in ["/echo/one%20way/2", "/echo/"] {
            let text = server.get(path).await.1;
            let line = format!("PATH_INFO={}\n", path.replacen("/echo", "", 1).replace("%20", " "));
            assert!(text.contains(&line) && text.contains("SCRIPT_NAME=/echo\n"), "{text}");
        }
        assert_eq!(server.get("/echo/a%00b").await.0, 400);
        assert_eq!(server.get("/other/way").await.0, 404);
        server.end().await;
        let server = start_with(CGI, Options::default(), FleetOptions::default()).await;
        assert_eq!(server.get("/echo").await.0, 405);
        assert!(server.post("/echo?a=b", "").await.1.contains("QUERY_STRING=a=b\n"));
        let (_, text) = server.post_as("application/x-ndjson", "/batch?order=any", "1\n").await;
        assert!(text.contains("\"exit\":0") && !text.contains("QUERY_STRING"), "{text}");
        server.end().await;
        // Headers count as bodies do.
        let limits = Limits { bytes: 1 << 16, ..Limits::default() };
        let options = Options { cgi: true, limits, body: 1000, ..Options::default() };
        let fleet = FleetOptions { timeout: Some(Duration::from_secs(1)), ..FleetOptions::default() };
        let server = start_with(ECHO, options, fleet).await;
        let ask = async |wait: u64| {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let request = server.client.post(format!("http://{}/echo", server.address));
            let request = request.header("x-long", "a".repeat(20_000)).body("loop");
            request.send().await.expect("an answer").status().as_u16()
        };
        assert_eq!(tokio::join!(ask(0), ask(300)), (504, 503));
        server.end().await;
    });
}

#[test]
fn connections_may_be_encrypted() {
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let (cert, key) = (include_bytes!("tls/cert.pem"), include_bytes!("tls/key.pem"));
    assert!(Tls::new(key, cert).is_err());
    on_threads(async {
        let options = Options { tls: Some(Tls::new(cert, key).expect("a certificate")), ..Options::default() };
        let server = start(options, FleetOptions::default()).await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(cert).expect("PEM")).expect("a certificate");
        let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(&server.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let mut stream = connector.connect(name, stream).await.expect("it is TLS");
        let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        // One that is not encrypted is cut off.
        let mut plain = TcpStream::connect(&server.address).await.expect("a connection");
        plain.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"));
        // One that says nothing does not hold up the end.
        let _idle = TcpStream::connect(&server.address).await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begin = Instant::now();
        server.end().await;
        assert!(begin.elapsed() < Duration::from_secs(10));
    });
}
