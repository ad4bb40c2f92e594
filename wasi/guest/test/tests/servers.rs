//! A program answers alike as a native server and in `vectorvisor serve`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use tokio::net::TcpListener;
use vectorvisor::{BackendSpec, CachePolicy, Drivers, Engine, FleetOptions, Program, ProgramOptions, Quirks};
use vectorvisor_serve::{Device, Options, Server};

/// The SDK's example, built natively.
struct Native {
    process: Child,
    address: String,
}

impl Native {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_means"));
        let mut process =
            command.env("VECTORVISOR_LISTEN", "127.0.0.1:0").stderr(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stderr.take().expect("a pipe")).read_line(&mut line).expect("it says where");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(';').next()).expect("an address");
        Self { address: address.to_owned(), process }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The same program in VectorVisor.
async fn in_vectorvisor() -> String {
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    let engine = Engine::open(&drivers, &BackendSpec::default(), Quirks::default()).expect("the cpu");
    let options = ProgramOptions { cache: CachePolicy::Off, ..Default::default() };
    let wasm = include_bytes!("../../examples/means.wasm");
    let program = Program::new(&engine, wasm, &options, &mut |_| {}).expect("a program");
    let mut server = Server::new(Options::default()).expect("good options");
    let device = Device { name: "cpu:0".into(), program, fleet: FleetOptions::default() };
    server.add("means", vec![device]).expect("room");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(server.serve(listener, std::future::pending()));
    address
}

/// Status, content type, names of the figures in the head, and body.
type Answer = (u16, String, Vec<String>, Vec<u8>);

async fn ask(address: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
    let request = reqwest::Client::new().post(format!("http://{address}{path}")).header("content-type", kind);
    let answer = request.body(body.to_vec()).send().await.expect("an answer");
    let mut figures: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
    figures.retain(|name| name.contains('_'));
    figures.sort();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
    (answer.status().as_u16(), kind.unwrap_or_default(), figures, answer.bytes().await.expect("all of it").to_vec())
}

/// Requests that are answered, that are no values, that are empty, and that are too long.
fn requests() -> Vec<Vec<u8>> {
    let numbers = (0..400).map(|n| format!("{{\"numbers\": [{n}, {}, 0.5]}}", n * n).into_bytes());
    let others = [&b""[..], b"nonsense", b"{\"numbers\": 1}", b"\xff\xfe"].map(<[u8]>::to_vec);
    numbers.chain(others).chain([vec![b'7'; 70_000]]).collect()
}

/// All of them as a batch of a form.
fn batch(kind: &str) -> Vec<u8> {
    let requests = requests();
    let mut body = Vec::new();
    match kind {
        "application/msgpack" => {
            body.extend([0xdc]);
            body.extend((requests.len() as u16).to_be_bytes());
            for request in requests {
                body.push(0xc6);
                body.extend((request.len() as u32).to_be_bytes());
                body.extend(request);
            }
        }
        "application/octet-stream" => {
            for request in requests {
                body.extend((request.len() as u32).to_le_bytes());
                body.extend(request);
            }
        }
        _ => {
            for request in requests {
                // One that is an object and has no `stdin` is the request itself.
                body.extend(request);
                body.push(b'\n');
            }
            body.extend(b"{\"stdin\":\"{}\",\"id\":[7]}\n{\"stdin\":7}\n{\"stdin_base64\":\"?\"}");
        }
    }
    body
}

#[test]
fn both_servers_answer_alike() {
    let native = Native::start();
    tokio::runtime::Runtime::new().expect("threads").block_on(async {
        let (one, other) = (&native.address, &in_vectorvisor().await);
        let alike = async |path: &str, kind: &str, body: &[u8]| {
            let (one, other) = tokio::join!(ask(one, path, kind, body), ask(other, path, kind, body));
            assert!(one == other, "{path}, {kind}: {one:?} and {other:?}");
            one
        };
        for (number, request) in requests().iter().enumerate().filter(|(number, _)| number % 40 == 0 || *number > 398) {
            let path = ["/", "/means", "/batch_submit/"][number % 3];
            let (status, ..) = alike(path, "text/plain", request).await;
            assert_eq!(status, if request.len() > 1000 { 413 } else { 200 });
        }
        let (.., figures, _) = alike("/batch_submit/", "text/plain", b"{\"numbers\": [1]}").await;
        assert_eq!(figures.len(), 8, "{figures:?}");
        for kind in ["application/octet-stream", "application/x-ndjson; charset=utf-8", "application/msgpack"] {
            let body = batch(kind);
            for path in ["/batch", "/means/batch?order=in"] {
                assert_eq!(alike(path, kind, &body).await.0, 200);
            }
            assert_eq!(alike("/batch", kind, if kind.contains("msgpack") { &[0x90] } else { b"" }).await.0, 200);
        }
        // As they end: the same lines.
        let body = batch("application/jsonl");
        let mut lines = Vec::new();
        for address in [one, other] {
            let (status, _, _, answer) = ask(address, "/means/batch?order=any", "application/jsonl", &body).await;
            assert_eq!(status, 200);
            let mut all: Vec<Vec<u8>> = answer.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            all.sort();
            lines.push(all);
        }
        assert!(lines[0] == lines[1] && lines[0].len() == 409, "{}", lines[0].len());
        for (path, kind, body, status) in [
            ("/other", "text/plain", &b""[..], 404),
            ("/batch", "image/png", b"", 415),
            ("/batch?order=up", "application/x-ndjson", b"", 400),
            ("/batch", "application/msgpack", b"abc", 400),
            ("/batch", "application/octet-stream", b"\x02\0\0\0a", 400),
        ] {
            assert_eq!(alike(path, kind, body).await.0, status, "{path}");
        }
        let mut figures = Vec::new();
        for address in [one, other] {
            for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n"), ("/is_active/", "true")] {
                let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
                assert_eq!(answer.text().await.expect("text"), text);
            }
            let metrics = reqwest::get(format!("http://{address}/metrics")).await.expect("an answer");
            let metrics = metrics.text().await.expect("text");
            let of = |end: &str| {
                let line = format!("vectorvisor_requests_total{{end=\"{end}\",program=\"means\"}} ");
                metrics.lines().find_map(|l| l.strip_prefix(&line).map(str::to_owned))
            };
            figures.push(["ok", "trap", "too_long", "bad"].map(of));
        }
        assert_eq!(figures[0], figures[1]);
    });
}
