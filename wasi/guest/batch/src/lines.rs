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

/// What an input gives besides standard input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct More {
    /// `args`: arguments behind those of all.
    pub args: Vec<String>,
    /// `env`: variables besides those of all.
    pub env: Vec<(String, String)>,
    /// `files`: names of files, and what is in them.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Reads a line, without its end, that may also give arguments, an environment and files.
///
/// # Errors
/// A member has another type, or `stdin_base64` is not base64.
pub fn given(line: Vec<u8>) -> Result<(Given, More), String> {
    let plain = |line| Ok((Given { id: None, stdin: line }, More::default()));
    if line.trim_ascii_start().first() != Some(&b'{') {
        return plain(line);
    }
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&line) else { return plain(line) };
    let mut more = More::default();
    let text = |what: &str, value| match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("{what} of this line are not all strings")),
    };
    match object.remove("args") {
        Some(Value::Array(args)) => {
            more.args = args.into_iter().map(|arg| text("`args`", arg)).collect::<Result<_, _>>()?;
        }
        Some(_) => return Err("`args` of this line is not a list of strings".into()),
        None => {}
    }
    match object.remove("env") {
        Some(Value::Object(env)) => {
            let pair = |(name, value)| Ok::<_, String>((name, text("the members of `env`", value)?));
            more.env = env.into_iter().map(pair).collect::<Result<_, _>>()?;
        }
        Some(_) => return Err("`env` of this line is not an object of names and strings".into()),
        None => {}
    }
    match object.remove("files") {
        Some(Value::Object(files)) => {
            more.files =
                files.into_iter().map(|(name, file)| Ok((name, bytes(file)?))).collect::<Result<_, String>>()?;
        }
        Some(_) => return Err("`files` of this line is not an object of names and contents".into()),
        None => {}
    }
    let stdin = match (object.remove("stdin"), object.remove("stdin_base64")) {
        (Some(Value::String(text)), _) => text.into_bytes(),
        (None, Some(Value::String(text))) => {
            STANDARD.decode(text).map_err(|e| format!("`stdin_base64` of this line is not base64: {e}"))?
        }
        (Some(_), _) => return Err("`stdin` of this line is not a string".into()),
        (None, Some(_)) => return Err("`stdin_base64` of this line is not a string".into()),
        (None, None) if more != More::default() => Vec::new(),
        (None, None) => return plain(line),
    };
    Ok((Given { id: object.remove("id"), stdin }, more))
}

/// What is in a file: text, or `{"base64": TEXT}`.
fn bytes(file: Value) -> Result<Vec<u8>, String> {
    let wrong = "a member of `files` of this line is neither a string nor {\"base64\": a string}";
    match file {
        Value::String(text) => Ok(text.into_bytes()),
        Value::Object(object) => match object.get("base64") {
            Some(Value::String(text)) => {
                STANDARD.decode(text).map_err(|e| format!("a file of this line is not base64: {e}"))
            }
            _ => Err(wrong.into()),
        },
        _ => Err(wrong.into()),
    }
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
    /// Files that it wrote, by their names.
    pub files: &'a [(String, Vec<u8>)],
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
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<serde_json::Map<String, Value>>,
}

impl Answer<'_> {
    /// The line, with its end.
    pub fn line(self) -> Vec<u8> {
        let mut line = Vec::new();
        self.write(&mut line);
        line
    }

    /// Adds the line, with its end.
    pub fn write(self, to: &mut Vec<u8>) {
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
            files: (!self.files.is_empty()).then(|| self.files.iter().map(file).collect()),
        };
        // All of it has a form in JSON: keys are strings, and there are no numbers but those that were read from JSON.
        _ = serde_json::to_writer(&mut *to, &line);
        to.push(b'\n');
    }
}

/// A file as [`given`] reads it.
fn file((name, bytes): &(String, Vec<u8>)) -> (String, Value) {
    let content = match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
    };
    (name.clone(), content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |s: &str| given(s.into()).map(|(given, _)| (given.id, given.stdin));
        assert_eq!(of("plain text"), Ok((None, b"plain text".to_vec())));
        assert_eq!(of("\"quoted\""), Ok((None, b"\"quoted\"".to_vec())));
        assert_eq!(of(r#"{"stdin":"a\n","id":"7"}"#), Ok((Some("7".into()), b"a\n".to_vec())));
        assert_eq!(of(r#"{"stdin_base64":"/wA="}"#), Ok((None, vec![0xff, 0])));
        assert_eq!(of(r#"{"other":1}"#), Ok((None, br#"{"other":1}"#.to_vec())));
        assert_eq!(of("{not json"), Ok((None, b"{not json".to_vec())));
        assert!(of(r#"{"stdin":1}"#).is_err());
        assert!(of(r#"{"stdin_base64":"?"}"#).is_err());
    }

    #[test]
    fn lines_with_more() {
        let of = |s: &str| given(s.into()).map(|(given, more)| (given.stdin, more));
        assert_eq!(of("plain"), Ok((b"plain".to_vec(), More::default())));
        assert_eq!(of(r#"{"other":1}"#), Ok((br#"{"other":1}"#.to_vec(), More::default())));
        let text = r#"{"args":["a","b"],"env":{"K":"v"},"files":{"x/y":"text","z":{"base64":"/wA="}},"stdin":"in"}"#;
        let more = More {
            args: vec!["a".into(), "b".into()],
            env: vec![("K".into(), "v".into())],
            files: vec![("x/y".into(), b"text".to_vec()), ("z".into(), vec![0xff, 0])],
        };
        assert_eq!(of(text), Ok((b"in".to_vec(), more)));
        let args = More { args: vec!["7".into()], ..More::default() };
        assert_eq!(of(r#"{"args":["7"]}"#), Ok((Vec::new(), args)));
        for wrong in [
            r#"{"args":"a"}"#,
            r#"{"args":[1]}"#,
            r#"{"env":[]}"#,
            r#"{"env":{"K":1}}"#,
            r#"{"files":1}"#,
            r#"{"files":{"a":1}}"#,
            r#"{"files":{"a":{"base64":"?"}}}"#,
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        let files = [("a".to_string(), b"text".to_vec()), ("b".to_string(), vec![0xff, 0])];
        let line = Answer { index: 3, exit: Some(0), files: &files, ..Answer::default() }.line();
        let expected = r#"{"index":3,"exit":0,"stdout":"","files":{"a":"text","b":{"base64":"/wA="}}}"#;
        assert_eq!(String::from_utf8(line), Ok(format!("{expected}\n")));
    }
}
