//! An input and a result as a line of JSON: in batches, and for `vectorvisor map`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

/// What a line gives.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    /// An object's `id`, which its result has, too.
    pub id: Option<Value>,
    /// An object's `stdin` or `stdin_base64`, or else the line itself.
    pub stdin: Vec<u8>,
}

/// Reads a line, without its end.
///
/// # Errors
/// `stdin` is not a string, or `stdin_base64` not base64.
pub fn given(line: Vec<u8>) -> Result<Given, String> {
    let plain = |line| Ok(Given { id: None, stdin: line });
    if line.trim_ascii_start().first() != Some(&b'{') {
        return plain(line);
    }
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&line) else { return plain(line) };
    let stdin = match (object.remove("stdin"), object.remove("stdin_base64")) {
        (Some(Value::String(text)), _) => text.into_bytes(),
        (None, Some(Value::String(text))) => {
            STANDARD.decode(text).map_err(|e| format!("`stdin_base64` of this line is not base64: {e}"))?
        }
        (Some(_), _) => return Err("`stdin` of this line is not a string".into()),
        (None, Some(_)) => return Err("`stdin_base64` of this line is not a string".into()),
        (None, None) => return plain(line),
    };
    Ok(Given { id: object.remove("id"), stdin })
}

/// A result. Members that are empty are left out.
#[derive(Debug, Default)]
pub struct Answer<'a> {
    /// The input's number.
    pub index: usize,
    /// What the input gave as its `id`.
    pub id: Option<&'a Value>,
    /// The input's file.
    pub name: Option<String>,
    /// The exit code, if the guest exited; only then `stdout` counts, and otherwise `error`.
    pub exit: Option<i32>,
    /// What it wrote.
    pub stdout: &'a [u8],
    /// Why it did not exit.
    pub error: Option<String>,
    /// A hint.
    pub note: Option<&'a str>,
    /// What it wrote to standard error.
    pub stderr: &'a [u8],
}

#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<String>,
}

impl Answer<'_> {
    /// The line, with its end.
    pub fn line(self) -> Vec<u8> {
        let text = self.exit.map(|_| std::str::from_utf8(self.stdout));
        let line = Line {
            index: self.index,
            id: self.id,
            name: self.name,
            exit: self.exit,
            stdout: text.and_then(Result::ok),
            stdout_base64: text.is_some_and(|t| t.is_err()).then(|| STANDARD.encode(self.stdout)),
            error: self.error.filter(|_| self.exit.is_none()),
            note: self.note,
            stderr: (!self.stderr.is_empty()).then(|| String::from_utf8_lossy(self.stderr).into_owned()),
        };
        // All of it has a form in JSON: keys are strings, and there are no numbers but those that were read from JSON.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |s: &str| given(s.into()).map(|given| (given.id, given.stdin));
        assert_eq!(of("plain text"), Ok((None, b"plain text".to_vec())));
        assert_eq!(of("\"quoted\""), Ok((None, b"\"quoted\"".to_vec())));
        assert_eq!(of(r#"{"stdin":"a\n","id":"7"}"#), Ok((Some("7".into()), b"a\n".to_vec())));
        assert_eq!(of(r#"{"stdin_base64":"/wA="}"#), Ok((None, vec![0xff, 0])));
        assert_eq!(of(r#"{"other":1}"#), Ok((None, br#"{"other":1}"#.to_vec())));
        assert_eq!(of("{not json"), Ok((None, b"{not json".to_vec())));
        assert!(of(r#"{"stdin":1}"#).is_err());
        assert!(of(r#"{"stdin_base64":"?"}"#).is_err());
    }
}
