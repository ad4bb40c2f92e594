//! Natively: an HTTP server.

use super::Handler;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Does nothing: threads need not go on together.
pub fn barrier() {}

struct App {
    handler: Handler,
    room: usize,
    /// As many requests run at once as there are cores.
    cores: Semaphore,
}

/// Most bytes of a batch.
const BATCH: usize = 64 << 20;

/// Serves until the process is interrupted.
pub fn run(handler: Handler, room: usize) {
    let address = std::env::var("VECTORVISOR_LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".into());
    if let Err(error) = serve(handler, room, &address) {
        eprintln!("cannot serve on {address}: {error}");
        std::process::exit(1);
    }
}

fn serve(handler: Handler, room: usize, address: &str) -> std::io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let app = Arc::new(App { handler, room, cores: Semaphore::new(cores) });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        axum::serve(listener, router(app)).await
    })
}

/// `/batch_submit/` and `/is_active/` are what the clients of the first VectorVisor use.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", post(one))
        .route("/batch", post(many).layer(DefaultBodyLimit::max(BATCH)))
        .route("/batch_submit/", any(one))
        .route("/is_active/", get(|| async { "true" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(app.room))
        .with_state(app)
}

impl App {
    /// The answer, and its status.
    async fn answer(self: Arc<Self>, request: Bytes) -> (StatusCode, Vec<u8>) {
        if request.len() > self.room {
            let text = format!("the request is longer than the {} bytes that the program takes", self.room);
            return (StatusCode::PAYLOAD_TOO_LARGE, text.into());
        }
        let (app, handler) = (&self, self.handler.clone());
        // It is never closed.
        let _core = app.cores.acquire().await.ok();
        // The panic has told about itself, and ends no other request.
        let work = move || catch_unwind(AssertUnwindSafe(|| handler(&request)));
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(answer)) => (StatusCode::OK, answer),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, b"the program panicked".to_vec()),
        }
    }
}

async fn one(State(app): State<Arc<App>>, request: Bytes) -> Response {
    app.answer(request).await.into_response()
}

/// Requests that are each a length, 4 bytes, least significant first, and so many bytes. An answer is its request's
/// number, a status and a length, 4 bytes each, and so many bytes.
async fn many(State(app): State<Arc<App>>, headers: HeaderMap, mut body: Bytes) -> Response {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/octet-stream") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "a batch is application/octet-stream here").into_response();
    }
    let mut answers = Vec::new();
    while !body.is_empty() {
        let length = body.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
        let Some(length) = length.filter(|length| *length <= body.len() - 4) else {
            return (StatusCode::BAD_REQUEST, "the body ended within a request").into_response();
        };
        let mut request = body.split_to(4 + length);
        answers.push(tokio::spawn(app.clone().answer(request.split_off(4))));
    }
    let mut all = Vec::new();
    for (index, answer) in (0_u32..).zip(answers) {
        let (status, answer) = answer.await.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Vec::new()));
        for word in [index, status.as_u16().into(), answer.len() as u32] {
            all.extend(word.to_le_bytes());
        }
        all.extend(answer);
    }
    ([(header::CONTENT_TYPE, "application/octet-stream")], all).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// The status and body of an answer.
    fn post(path: &str, kind: &str, body: &[u8]) -> (String, Vec<u8>) {
        let handler: Handler = Arc::new(|request| match request {
            b"panic" => panic!("as it was told"),
            request => [b"got ", request].concat(),
        });
        let app = Arc::new(App { handler, room: 10, cores: Semaphore::new(2) });
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let mut stream =
            std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        runtime.spawn(async { axum::serve(listener, router(app)).await });
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: {kind}\r\n");
        let head = format!("{head}content-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).expect("it reads");
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).expect("it answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head.split(' ').nth(1).unwrap_or_default().into(), answer[end + 4..].to_vec())
    }

    #[test]
    fn requests_are_answered() {
        for path in ["/", "/batch_submit/"] {
            assert_eq!(post(path, "text/plain", b"this"), ("200".into(), b"got this".to_vec()));
        }
        assert_eq!(post("/", "text/plain", b"panic").0, "500");
        assert_eq!(post("/", "text/plain", b"more than it takes").0, "413");
        let binary = "application/octet-stream";
        let (status, answers) = post("/batch", binary, b"\x02\0\0\0ab\x05\0\0\0panic\x0b\0\0\0more than i");
        assert_eq!(status, "200");
        assert!(answers.starts_with(b"\0\0\0\0\xc8\0\0\0\x06\0\0\0got ab\x01\0\0\0\xf4\x01\0\0"), "{answers:?}");
        assert_eq!(post("/batch", binary, b"\x02\0\0\0a").0, "400");
        assert_eq!(post("/batch", "text/plain", b"").0, "415");
    }
}
