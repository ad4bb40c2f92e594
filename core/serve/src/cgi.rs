//! What a request is beside its body, as environment variables of the program: those of CGI (RFC 3875).

use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use std::net::SocketAddr;
use std::sync::Arc;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// It is encrypted.
    pub tls: bool,
}

/// Bytes of a variable beside its own, and of those that each request has.
const EACH: usize = 64;
const USUAL: usize = 512;

/// About as many bytes as the variables of a request have.
pub fn bytes(request: &Parts) -> usize {
    // What is no text has three bytes for each of its own.
    let value_bytes = |value: &HeaderValue| if value.to_str().is_ok() { value.len() } else { 3 * value.len() };
    let headers = request.headers.iter().map(|(name, value)| EACH + name.as_str().len() + value_bytes(value));
    let uri = request.uri.path_and_query().map_or(0, |path| path.as_str().len());
    USUAL + uri + headers.sum::<usize>()
}

/// The variables of a request to the program of this name, with a body of so many bytes.
pub fn variables(name: &str, request: &Parts, body: usize) -> Arc<[(String, String)]> {
    let mut all = Vec::new();
    let mut add = |name: &str, value: &[u8]| all.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    let path = request.uri.path();
    // The script's name and the rest are the path together.
    let script = format!("/{name}");
    let first = path.strip_prefix('/').unwrap_or_default();
    let (first, rest) = first.split_at(first.find('/').unwrap_or(first.len()));
    let (script, rest) = match percent_decode_str(first).eq(name.bytes()) {
        true => (&script[..], rest),
        false => ("", path),
    };
    add("GATEWAY_INTERFACE", b"CGI/1.1");
    add("SERVER_SOFTWARE", concat!("vectorvisor/", env!("CARGO_PKG_VERSION")).as_bytes());
    add("SERVER_PROTOCOL", format!("{:?}", request.version).as_bytes());
    add("REQUEST_METHOD", request.method.as_str().as_bytes());
    add("SCRIPT_NAME", script.as_bytes());
    if !rest.is_empty() {
        add("PATH_INFO", &percent_decode_str(rest).collect::<Vec<u8>>());
    }
    add("QUERY_STRING", request.uri.query().unwrap_or_default().as_bytes());
    if body > 0 {
        add("CONTENT_LENGTH", body.to_string().as_bytes());
    }
    if let Some(kind) = request.headers.get(CONTENT_TYPE) {
        add("CONTENT_TYPE", kind.as_bytes());
    }
    if let Some(Ends { client, server, tls }) = request.extensions.get() {
        add("REMOTE_ADDR", client.ip().to_string().as_bytes());
        add("REMOTE_PORT", client.port().to_string().as_bytes());
        add("SERVER_PORT", server.port().to_string().as_bytes());
        if *tls {
            add("HTTPS", b"on");
        }
        match request.headers.get(HOST).map(|host| host.as_bytes()).filter(|host| !host.is_empty()) {
            Some(host) => add("SERVER_NAME", without_port(host)),
            None => add("SERVER_NAME", server.ip().to_string().as_bytes()),
        }
    }
    for name in request.headers.keys() {
        // Those that have a variable, that are of the connection, and that are nobody else's business. A variable
        // HTTP_PROXY would be taken for the program's proxy, and a name with an underscore has the variable of one with a
        // hyphen, which a proxy before this server may have set.
        let apart = [CONTENT_TYPE, CONTENT_LENGTH, CONNECTION, AUTHORIZATION, PROXY_AUTHORIZATION];
        if apart.contains(name) || name == "proxy" || name.as_str().contains('_') {
            continue;
        }
        let values: Vec<&[u8]> = request.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        let name = format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_"));
        add(&name, &values.join(&b", "[..]));
    }
    all.into()
}

/// A host of a header; an address of IPv6 stands in brackets.
fn without_port(host: &[u8]) -> &[u8] {
    let from = host.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let port = host[from..].iter().position(|byte| *byte == b':');
    port.map_or(host, |at| &host[..from + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, host: Option<&str>) -> Vec<(String, String)> {
        let mut request = axum::http::Request::get(path);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let [client, server] = ["[::1]:7", "[::1]:80"].map(|address| address.parse().expect("an address"));
        let request = request.extension(Ends { client, server, tls: true }).body(()).expect("a request");
        variables("echo", &request.into_parts().0, 0).to_vec()
    }

    #[test]
    fn paths_are_names_and_the_rest() {
        for (path, script, info) in [
            ("/echo", "/echo", None),
            ("/echo/", "/echo", Some("/")),
            ("/ech%6f/x", "/echo", Some("/x")),
            ("/echo/a%20b/c?d=/", "/echo", Some("/a b/c")),
            ("/", "", Some("/")),
            ("/echoes", "", Some("/echoes")),
        ] {
            let all = of(path, None);
            let value = |name: &str| all.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
            assert_eq!((value("SCRIPT_NAME"), value("PATH_INFO")), (Some(script), info), "{path}");
        }
    }

    #[test]
    fn servers_have_names() {
        for (host, name) in [
            (None, "::1"),
            (Some("a:8080"), "a"),
            (Some("a"), "a"),
            (Some("[::2]:80"), "[::2]"),
            (Some("[::2]"), "[::2]"),
        ] {
            assert!(of("/echo", host).contains(&("SERVER_NAME".into(), name.into())), "{host:?}");
        }
        let all = of("/echo", None);
        for (name, value) in [("REMOTE_ADDR", "::1"), ("REMOTE_PORT", "7"), ("SERVER_PORT", "80"), ("HTTPS", "on")] {
            assert!(all.contains(&(name.into(), value.into())), "{name}");
        }
    }
}
