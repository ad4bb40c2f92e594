//! What a request is beside its body, as environment variables of the program: those of CGI (RFC 3875).

use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use axum::http::request::Parts;
use std::sync::Arc;

/// Bytes of a variable beside its own, and of those that each request has.
const EACH: usize = 64;
const USUAL: usize = 512;

/// About as many bytes as the variables of a request have.
pub fn bytes(request: &Parts) -> usize {
    let headers = request.headers.iter().map(|(name, value)| EACH + name.as_str().len() + value.len());
    let uri = request.uri.path_and_query().map_or(0, |path| path.as_str().len());
    USUAL + uri + headers.sum::<usize>()
}

/// The variables of a request to the program of this name, with a body of so many bytes.
pub fn variables(name: &str, request: &Parts, body: usize) -> Arc<[(String, String)]> {
    let mut all = Vec::new();
    let mut add = |name: &str, value: &[u8]| all.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    let path = request.uri.path();
    let script = format!("/{name}");
    add("GATEWAY_INTERFACE", b"CGI/1.1");
    add("SERVER_SOFTWARE", concat!("vectorvisor/", env!("CARGO_PKG_VERSION")).as_bytes());
    add("SERVER_PROTOCOL", format!("{:?}", request.version).as_bytes());
    add("REQUEST_METHOD", request.method.as_str().as_bytes());
    add("SCRIPT_NAME", if path.starts_with(&script) { script.as_bytes() } else { b"" });
    add("QUERY_STRING", request.uri.query().unwrap_or_default().as_bytes());
    if body > 0 {
        add("CONTENT_LENGTH", body.to_string().as_bytes());
    }
    if let Some(kind) = request.headers.get(CONTENT_TYPE) {
        add("CONTENT_TYPE", kind.as_bytes());
    }
    if let Some(host) = request.headers.get(HOST) {
        let host = host.as_bytes();
        let end = host.iter().rposition(|byte| *byte == b':').unwrap_or(host.len());
        add("SERVER_NAME", &host[..end]);
    }
    for name in request.headers.keys() {
        // Those that have a variable, that are of the connection, and that are nobody else's business. A variable
        // HTTP_PROXY would be taken for the program's proxy.
        let apart = [CONTENT_TYPE, CONTENT_LENGTH, CONNECTION, AUTHORIZATION, PROXY_AUTHORIZATION];
        if apart.contains(name) || name == "proxy" {
            continue;
        }
        let values: Vec<&[u8]> = request.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        let name = format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_"));
        add(&name, &values.join(&b", "[..]));
    }
    all.into()
}
