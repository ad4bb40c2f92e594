//! Natively: an HTTP server, with the paths, formats and answers of `vectorvisor serve`.

use super::Handler;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use vectorvisor_batch::{Format, Item, any_order, error, figures, lines};

/// Does nothing: threads need not go on together.
pub fn barrier() {}

struct App {
    /// Of the program: that of its file.
    name: String,
    handler: Handler,
    room: usize,
    /// As many requests run at once as there are cores.
    cores: Semaphore,
    /// Requests by how they ended, in the order of [`End::ALL`].
    ended: [AtomicU64; End::ALL.len()],
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ok,
    /// The program panicked.
    Trap,
    TooLong,
    Bad,
    Large,
}

impl End {
    const ALL: [Self; 5] = [Self::Ok, Self::Trap, Self::TooLong, Self::Bad, Self::Large];

    /// As in the figures.
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Trap => "trap",
            Self::TooLong => "too_long",
            Self::Bad => "bad",
            Self::Large => "large",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Trap => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLong | Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Bad => StatusCode::BAD_REQUEST,
        }
    }
}

/// An answer, or how the request ended otherwise, and why.
type Answer = Result<Vec<u8>, (End, String)>;

/// What a request took.
#[derive(Debug, Default)]
struct Times {
    /// Until there was a core for it.
    waited: Duration,
    /// From then on.
    ran: Duration,
}

/// Most bytes of a body.
const BODY: usize = 64 << 20;
/// Requests of a batch that are under way, and answers that are sent together.
const UNDER_WAY: usize = 256;

/// Serves until the process is interrupted.
pub fn run(handler: Handler, room: usize) {
    let address = std::env::var("VECTORVISOR_LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".into());
    if let Err(error) = serve(handler, room, &address) {
        eprintln!("cannot serve on {address}: {error}");
        std::process::exit(1);
    }
}

fn serve(handler: Handler, room: usize, address: &str) -> std::io::Result<()> {
    let program = std::env::current_exe()?;
    let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let cores = std::thread::available_parallelism()?.get();
    let app = App { name, handler, room, cores: Semaphore::new(cores), ended: Default::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        eprintln!("listening on http://{}; POST /{}", listener.local_addr()?, app.name);
        axum::serve(listener, router(app.into())).await
    })
}

/// `/batch_submit/` and `/is_active/` are what the clients of the first VectorVisor use.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", post(|app, request| one(app, None, request)))
        .route("/batch", post(|app, order, request| many(app, None, order, request)))
        .route("/{name}", post(|app, Path(name): Path<String>, request| one(app, Some(name), request)))
        .route(
            "/{name}/batch",
            post(|app, Path(name): Path<String>, order, request| many(app, Some(name), order, request)),
        )
        .route("/batch_submit/", any(submitted))
        .route("/is_active/", get(|| async { "true" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ready\n" }))
        .route("/metrics", get(metrics))
        .with_state(app)
}

impl App {
    /// What became of a request, and what it took.
    async fn answer(self: Arc<Self>, request: Bytes) -> (Answer, Times) {
        let mut times = Times::default();
        let answer = if request.is_empty() {
            // As in VectorVisor, where it has no bytes for the program, either.
            Ok(Vec::new())
        } else if request.len() > self.room {
            let text = format!("the request is longer than the {} bytes that the program takes", self.room);
            Err((End::TooLong, text))
        } else {
            let (came, handler) = (Instant::now(), self.handler.clone());
            // It is never closed.
            let _core = self.cores.acquire().await.ok();
            let began = Instant::now();
            // The panic has told about itself, and ends no other request.
            let work = move || catch_unwind(AssertUnwindSafe(|| handler(&request)));
            let ended = tokio::task::spawn_blocking(work).await;
            times = Times { waited: began - came, ran: began.elapsed() };
            match ended {
                Ok(Ok(answer)) => Ok(answer),
                _ => Err((End::Trap, "the program panicked".into())),
            }
        };
        self.count(answer.as_ref().map_or_else(|(end, _)| *end, |_| End::Ok));
        (answer, times)
    }

    /// A request ended so.
    fn count(&self, end: End) {
        self.ended[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that has not run, and answers it.
    fn failed(&self, end: End, why: &str) -> Response {
        self.count(end);
        failure(end.status(), why)
    }

    /// The body of a request to the program of a path; with no name to this one.
    async fn body(&self, name: Option<String>, request: Request) -> Result<Bytes, Response> {
        if name.is_some_and(|name| name != self.name) {
            return Err(failure(StatusCode::NOT_FOUND, &format!("there is no such program here, but /{}", self.name)));
        }
        let body = axum::body::to_bytes(request.into_body(), BODY).await;
        body.map_err(|_| self.failed(End::Large, &format!("the body is longer than {BODY} bytes, or ended early")))
    }
}

/// An answer that is not the program's.
fn failure(status: StatusCode, why: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], error(why, b"")).into_response()
}

async fn one(State(app): State<Arc<App>>, name: Option<String>, request: Request) -> Response {
    run_one(app, name, request).await.0
}

async fn run_one(app: Arc<App>, name: Option<String>, request: Request) -> (Response, Times) {
    match app.body(name, request).await {
        Err(response) => (response, Times::default()),
        Ok(body) => match app.answer(body).await {
            (Ok(answer), times) => (answer.into_response(), times),
            (Err((end, why)), times) => (failure(end.status(), &why), times),
        },
    }
}

/// As clients of the first VectorVisor ask, with the figures that they look for.
async fn submitted(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut response, Times { waited, ran }) = run_one(app, None, request).await;
    for (name, value) in figures(waited, ran) {
        response.headers_mut().insert(HeaderName::from_static(name), value.into());
    }
    response
}

/// The query of a batch.
#[derive(Deserialize)]
struct Order {
    order: Option<String>,
}

/// Answers are sent as they come, and no more requests begin while the client does not read.
async fn many(
    State(app): State<Arc<App>>,
    name: Option<String>,
    Query(Order { order }): Query<Order>,
    request: Request,
) -> Response {
    let any = match any_order(order.as_deref()) {
        Ok(any) => any,
        Err(why) => return app.failed(End::Bad, &why),
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let format = match Format::of(kind.unwrap_or_default()) {
        Ok(format) => format,
        Err(why) => return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why),
    };
    let body = match app.body(name, request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let (items, head) = match format.requests(body) {
        Ok(requests) => requests,
        Err(why) => return app.failed(End::Bad, &why),
    };
    let answers = stream::iter(items).map(move |item| {
        let app = app.clone();
        async move { written(&app, format, item).await }
    });
    let answers = if any { answers.buffer_unordered(UNDER_WAY).boxed() } else { answers.buffered(UNDER_WAY).boxed() };
    let pieces = answers.ready_chunks(UNDER_WAY).map(|some| some.concat());
    let all = stream::iter((!head.is_empty()).then(|| head.to_vec())).chain(pieces);
    let body = Body::from_stream(all.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// The answer to a request of a batch.
async fn written(app: &Arc<App>, format: Format, Item { index, id, stdin }: Item) -> Vec<u8> {
    let answer = match stdin {
        Ok(request) => app.clone().answer(request).await.0,
        Err(why) => {
            app.count(End::Bad);
            Err((End::Bad, why))
        }
    };
    let (end, exit, stdout, error) = match &answer {
        Ok(answer) => (End::Ok, Some(0), &answer[..], None),
        Err((end, why)) => (*end, None, &[][..], Some(why.clone())),
    };
    let mut text = Vec::new();
    let line = lines::Answer { index, id: id.as_ref(), exit, stdout, error, ..Default::default() };
    format.answer(&mut text, end.status().as_u16(), line);
    text
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = "# HELP vectorvisor_requests_total Requests by how they ended.\n".to_owned();
    text += "# TYPE vectorvisor_requests_total counter\n";
    for (end, count) in End::ALL.into_iter().zip(&app.ended) {
        let (end, program, count) = (end.name(), &app.name, count.load(Ordering::Relaxed));
        // A string takes it all. A file's name may have quotes.
        _ = writeln!(text, "vectorvisor_requests_total{{end={end:?},program={program:?}}} {count}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Status and body of an answer.
    fn post(path: &str, body: &[u8]) -> (String, Vec<u8>) {
        let handler: Handler = Arc::new(|request| match request {
            b"panic" => panic!("as it was told"),
            request => [b"got ", request].concat(),
        });
        let app = App { name: "got".into(), handler, room: 10, cores: Semaphore::new(2), ended: Default::default() };
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        runtime.spawn(async { axum::serve(listener, router(app.into())).await });
        let head = format!("POST {path} HTTP/1.0\r\ncontent-type: application/octet-stream\r\n");
        let head = format!("{head}content-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).expect("it reads");
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).expect("it answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head.split(' ').nth(1).unwrap_or_default().into(), answer[end + 4..].to_vec())
    }

    #[test]
    fn a_panic_ends_one_request() {
        assert_eq!(post("/got", b"this"), ("200".into(), b"got this".to_vec()));
        assert_eq!(post("/", b"panic"), ("500".into(), b"{\"error\":\"the program panicked\"}\n".to_vec()));
        let (status, answers) = post("/batch", b"\x02\0\0\0ab\x05\0\0\0panic\x0b\0\0\0more than i");
        assert_eq!(status, "200");
        assert!(answers.starts_with(b"\0\0\0\0\xc8\0\0\0\x06\0\0\0got ab\x01\0\0\0\xf4\x01\0\0"), "{answers:?}");
        assert!(answers.ends_with(b"longer than the 10 bytes that the program takes"), "{answers:?}");
    }
}
