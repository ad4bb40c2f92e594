//! Paths, statuses and connections.

use crate::metrics::Reason;
use crate::page::page;
use crate::queue::{Answer, Ended, Env, Failure, Refused};
use crate::room::{Held, Unread};
use crate::sending::{Sending, Watched};
use crate::window::Window;
use crate::{Server, Service, Tls};
use crate::{batch, cgi};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, any, get, on, post};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Deserialize;
use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tower::ServiceExt as _;
use tracing::Instrument as _;
use vectorvisor::End;
use vectorvisor_batch::Format;

type App = Arc<Server>;

/// How long accepting waits when the system has no more connections, and goes on when the server ends.
const PAUSE: Duration = Duration::from_millis(50);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn router(server: App) -> Router {
    use MethodFilter as M;
    let methods = if server.options.cgi { M::POST.or(M::GET).or(M::PUT).or(M::PATCH).or(M::DELETE) } else { M::POST };
    let root = on(methods, |app, request| one(app, None, request));
    // A program that is alone and answers GET itself has the root for itself.
    let root = match server.options.cgi && server.services.len() == 1 {
        true => root,
        false => root.get(|State(server): State<App>, headers: HeaderMap| async move { page(&server, &headers) }),
    };
    let mut router = Router::new();
    if server.options.cgi {
        router = router
            .route("/{name}/", on(methods, |app, Path(name): Path<String>, request| one(app, Some(name), request)));
        router = router.route("/{name}/{*rest}", on(methods, below));
    }
    router
        .route("/status", get(|State(server): State<App>, headers: HeaderMap| async move { page(&server, &headers) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/is_active/", get(active))
        .route("/batch_submit/", any(submitted))
        .route("/", root)
        .route("/batch", post(|app, order, request| many(app, None, order, request)))
        .route("/{name}", on(methods, |app, Path(name): Path<String>, request| one(app, Some(name), request)))
        .route(
            "/{name}/batch",
            post(|app, Path(name): Path<String>, order, request| many(app, Some(name), order, request)),
        )
        .with_state(server)
}

/// What all connections share.
struct Front {
    server: App,
    router: Router,
}

impl Front {
    /// The program of a path that a single request has, without the router: its way costs a seventh of what these threads
    /// do for a small one.
    fn program(&self, request: &hyper::Request<Incoming>) -> Option<Option<&str>> {
        let (path, services) = (request.uri().path(), &self.server.services);
        match path.strip_prefix('/').filter(|_| request.method() == Method::POST)? {
            "" => (services.len() == 1).then_some(None),
            name => services.get_key_value(name).map(|(name, _)| Some(name.as_str())),
        }
    }

    /// Gives the request its id, in its span, and tells how it ended.
    async fn answer(&self, mut request: hyper::Request<Incoming>) -> Response {
        let (id, begin) = (RequestId::of(&request), Instant::now());
        let (method, path) = (request.method(), request.uri().path());
        let span = tracing::debug_span!("request", id = id.text(), %method, path);
        let answered = async {
            if let Some(name) = self.program(&request) {
                return run(&self.server, name, request).await.0;
            }
            request.extensions_mut().insert(id.clone());
            let Ok(response) = self.router.clone().oneshot(request.map(Body::new)).await;
            response
        };
        let mut response = answered.instrument(span.clone()).await;
        let (_span, status) = (span.enter(), response.status().as_u16());
        if let Some(Failed { program, reason, why }) = response.extensions_mut().remove() {
            self.server.errors.add(&program, id.text(), reason, &why);
            // In an overload there would be a line for each.
            if reason == Reason::Refused {
                tracing::debug!(id = id.text(), program, status, "refused: {why}");
            } else {
                tracing::info!(id = id.text(), program, status, "failed: {why}");
            }
        } else {
            tracing::debug!(status, seconds = begin.elapsed().as_secs_f64(), "answered");
        }
        response.headers_mut().insert(REQUEST_ID, id.0);
        response
    }
}

/// Accepts connections until `stop`, and waits until those that there are have their answers.
pub async fn serve(server: App, listener: tokio::net::TcpListener, stop: impl Future<Output = ()>) {
    let (patience, tls) = (server.options.patience, server.options.tls.as_ref().map(Tls::acceptor));
    let trace = server.options.trace.clone();
    let variables = server.options.cgi || server.services.values().any(|service| service.variables);
    let front = Arc::new(Front { router: router(server.clone()), server });
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience);
    let (stop_sender, stopping) = watch::channel(());
    // What the system has accepted by then is accepted here, too, and read.
    let mut stop = pin!(async {
        stop.await;
        tokio::time::sleep(PAUSE).await;
    });
    loop {
        let (stream, client) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Answers are small and written whole.
        _ = stream.set_nodelay(true);
        let ends = variables.then(|| stream.local_addr()).and_then(Result::ok);
        let ends = ends.map(|own| cgi::Ends { client, server: own, tls: tls.is_some() });
        let sending = trace.as_ref().map(Sending::new);
        let (front, own) = (front.clone(), sending.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            ends.map(|ends| request.extensions_mut().insert(ends));
            own.clone().map(|sending| request.extensions_mut().insert(sending));
            let front = front.clone();
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        });
        let (builder, watcher, tls, mut stopping) =
            (builder.clone(), graceful.watcher(), tls.clone(), stopping.clone());
        tokio::spawn(async move {
            let ended = match tls {
                None => {
                    let stream = TokioIo::new(Watched::new(stream, sending, patience));
                    watcher.watch(builder.serve_connection(stream, service)).await
                }
                Some(tls) => {
                    let begun = tokio::select! {
                        begun = tokio::time::timeout(patience, tls.accept(stream)) => begun,
                        // It has asked nothing yet.
                        _ = stopping.changed() => return,
                    };
                    match begun {
                        Ok(Ok(stream)) => {
                            let stream = TokioIo::new(Watched::new(stream, sending, patience));
                            watcher.watch(builder.serve_connection(stream, service)).await
                        }
                        Ok(Err(error)) => return tracing::debug!(%error, "a connection is not TLS"),
                        Err(_) => return tracing::debug!("a connection did not begin in time"),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop((listener, stop_sender));
    graceful.shutdown().await;
}

/// A request's id, its client's or a number of the server's. It is in the log, in the answer, and on the page of
/// errors.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Bytes of a client's id that is taken.
    const LONGEST: usize = 128;

    fn of<B>(request: &hyper::Request<B>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let given = request.headers().get(REQUEST_ID).filter(|id| id.len() <= Self::LONGEST && id.to_str().is_ok());
        Self(given.cloned().unwrap_or_else(|| HeaderValue::from(NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    pub fn text(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Why a request failed, beside its response.
#[derive(Debug, Clone)]
struct Failed {
    program: String,
    reason: Reason,
    why: String,
}

async fn ready(State(server): State<App>) -> Response {
    let unready: Vec<&str> =
        server.services.iter().filter(|(_, service)| !service.queue.ready()).map(|(name, _)| name.as_str()).collect();
    match unready.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("no device for {}\n", unready.join(", "))).into_response(),
    }
}

/// As clients of the first VectorVisor ask whether it is ready.
async fn active(State(server): State<App>) -> String {
    server.services.values().all(|service| service.queue.ready()).to_string()
}

async fn metrics(State(server): State<App>) -> Response {
    match server.metrics.text(server.services.values()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string(), b""),
    }
}

/// The program of a path; with one program also that of none.
fn service<'a>(server: &'a Server, name: Option<&str>) -> Result<&'a Service, Box<Response>> {
    let found = match name {
        Some(name) => server.services.get(name),
        None => server.services.values().next().filter(|_| server.services.len() == 1),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = server.services.keys().map(String::as_str).collect();
        let text = format!("there is no such program here, but /{}", names.join(", /"));
        Box::new(error(StatusCode::NOT_FOUND, &text, b""))
    })
}

/// A request's whole body, its variables, and the room that it takes.
type Given = (Bytes, Env, Held);

/// Reads a request for a program, or a batch of them.
async fn body<B>(
    server: &Server,
    service: &Service,
    request: hyper::Request<B>,
    batch: bool,
) -> Result<Given, Box<Response>>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let (parts, body) = request.into_parts();
    let variables = server.options.cgi || service.variables && !batch;
    let head = if variables { cgi::bytes(&parts) } else { 0 };
    let (reason, text) = match server.room.read(body, head, batch).await {
        Ok((body, held)) => {
            let env = variables.then(|| cgi::variables(&service.name, &parts, body.len()));
            return Ok((body, env, held));
        }
        Err(Unread::NoRoom) => (Reason::Refused, "too many bytes wait (--max-queue-bytes); try again later".to_owned()),
        Err(Unread::Large) => {
            (Reason::Large, format!("the body is longer than {} bytes (--max-body)", server.options.body))
        }
        Err(Unread::Slow) => (Reason::Slow, "the body did not arrive in time".to_owned()),
        Err(Unread::Ended(why)) => (Reason::Gone, format!("the body ended early: {why}")),
    };
    Err(Box::new(service.failed(reason, &text, b"")))
}

async fn one(State(server): State<App>, name: Option<String>, request: Request) -> Response {
    run(&server, name.as_deref(), request).await.0
}

/// A request whose path goes on behind the program's name.
async fn below(app: State<App>, Path((name, rest)): Path<(String, String)>, request: Request) -> Response {
    match rest.contains('\0') {
        true => error(StatusCode::BAD_REQUEST, "the path has a NUL, which no variable can have", b""),
        false => one(app, Some(name), request).await,
    }
}

/// As clients of the first VectorVisor ask, with the figures that they look for. `/metrics` and `--trace` have those of
/// launches.
async fn submitted(State(server): State<App>, request: Request) -> Response {
    let (mut response, Times { waited, ran }) = run(&server, None, request).await;
    for (name, value) in vectorvisor_batch::figures(waited, ran) {
        response.headers_mut().insert(HeaderName::from_static(name), value.into());
    }
    response
}

/// What a request took.
#[derive(Default)]
struct Times {
    /// Until there was a VM for it.
    waited: Duration,
    /// From then on.
    ran: Duration,
}

async fn run<B>(server: &Server, name: Option<&str>, request: hyper::Request<B>) -> (Response, Times)
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let (came, mut times) = (Instant::now(), Times::default());
    let ended = async {
        let service = service(server, name)?;
        let sending = request.extensions().get::<Sending>().cloned();
        let (stdin, env, _held) = body(server, service, request, false).await?;
        let begin = Instant::now();
        let answer = service.queue.submit(&stdin, env).map_err(|why| Box::new(service.refused(why)))?;
        // The queue has its own: this may be a part of a longer buffer of the connection's.
        drop(stdin);
        let answer = answer.await.unwrap_or_else(|_| Err(Failure::lost()));
        if let Ok(Ended { begun, .. }) = &answer {
            let end = Instant::now();
            times = Times { waited: begun.saturating_duration_since(begin), ran: end - *begun };
            if let (Some(trace), Some(sending)) = (&server.options.trace, sending) {
                static NEXT: AtomicU64 = AtomicU64::new(1);
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                for (part, begin, end) in [("body", came, begin), ("queue", begin, *begun), ("run", *begun, end)] {
                    trace.part(part, number, begin, end);
                }
                sending.begin(number);
            }
        }
        Ok::<_, Box<Response>>(service.respond(answer, begin, server))
    };
    let response = ended.await.unwrap_or_else(|response| *response);
    (response, times)
}

/// The query of a batch.
#[derive(Deserialize)]
struct Order {
    order: Option<String>,
}

async fn many(
    State(server): State<App>,
    name: Option<String>,
    Query(order): Query<Order>,
    request: Request,
) -> Response {
    let ended = async {
        let service = service(&server, name.as_deref())?;
        let bad = |text: String| Box::new(service.failed(Reason::Bad, &text, b""));
        let any = vectorvisor_batch::any_order(order.order.as_deref()).map_err(bad)?;
        let queue = service.queue.clone();
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let format = Format::of(kind.unwrap_or_default());
        let format = format.map_err(|why| Box::new(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why, b"")))?;
        let id = request.extensions().get::<RequestId>().map(|id| id.text().to_owned()).unwrap_or_default();
        let (body, env, held) = body(&server, service, request, true).await?;
        let requests = format.requests(body).map_err(bad)?;
        let window = Window::new(queue.clone(), server.windows.clone(), held);
        let failures = batch::Failures { server: server.clone(), program: service.name.clone(), request: id, told: 0 };
        let answers = Body::from_stream(batch::answers(window, queue, format, requests, any, env, failures));
        Ok(([(header::CONTENT_TYPE, format.content_type())], answers).into_response())
    };
    ended.await.unwrap_or_else(|response: Box<Response>| *response)
}

/// An answer that is not a program's output.
fn error(status: StatusCode, text: &str, stderr: &[u8]) -> Response {
    let body = vectorvisor_batch::error(text, stderr);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl Reason {
    /// The status of an answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Exit | Self::Trap | Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Timeout | Self::Fuel => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLong | Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Lost | Self::Refused => StatusCode::SERVICE_UNAVAILABLE,
            Self::Bad | Self::Gone => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// How a request ended.
pub fn reason(answer: &Answer) -> Reason {
    match answer.as_ref().map(|ended| &ended.outcome.end) {
        Ok(End::Exit(0)) => Reason::Ok,
        Ok(End::Exit(_)) => Reason::Exit,
        Ok(End::Trap(_)) => Reason::Trap,
        Ok(End::OutOfFuel(_)) => Reason::Fuel,
        Ok(End::Timeout(_)) => Reason::Timeout,
        Ok(End::TooLong { .. }) => Reason::TooLong,
        Ok(End::Failed(_)) => Reason::Failed,
        Err(failure) => failure.reason,
    }
}

impl Service {
    /// Counts a request that failed, and answers it.
    fn failed(&self, reason: Reason, why: &str, stderr: &[u8]) -> Response {
        self.queue.meters.ended(reason);
        let mut response = error(reason.status(), why, stderr);
        if reason.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(Failed { program: self.name.clone(), reason, why: why.to_owned() });
        response
    }

    fn refused(&self, why: Refused) -> Response {
        let text = match why {
            Refused::Full => "too many requests wait (--max-queue); try again later",
            Refused::Closed => "the server ends, or its device failed; try again later",
        };
        self.failed(Reason::Refused, text, b"")
    }

    fn respond(&self, answer: Answer, begin: Instant, server: &Server) -> Response {
        self.queue.meters.seconds.observe(begin.elapsed().as_secs_f64());
        let reason = reason(&answer);
        match answer.map(|ended| ended.outcome) {
            Ok(outcome) if reason == Reason::Ok => {
                self.queue.meters.ended(reason);
                ([(header::CONTENT_TYPE, server.content_type.clone())], server.room.answer(outcome.stdout))
                    .into_response()
            }
            Ok(outcome) => self.failed(reason, &outcome.end.to_string(), &outcome.stderr),
            Err(failure) => self.failed(reason, &failure.why, b""),
        }
    }
}
