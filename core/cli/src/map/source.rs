//! Inputs of `map`: the files of a folder, or the lines of a JSONL file, read one at a time when a VM wants one.

use crate::Usage;
use anyhow::{Context, Result};
use base64::Engine as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// One input.
pub struct Item {
    /// Its number, from 0.
    pub index: usize,
    /// The file's path relative to the folder; `None` for a line.
    pub name: Option<PathBuf>,
    /// The guest's standard input, or why there is none.
    pub stdin: Result<Vec<u8>, String>,
}

/// All inputs, lazily.
pub enum Source {
    /// Files below a folder, in the order of their names.
    Files { root: PathBuf, names: std::iter::Enumerate<std::vec::IntoIter<PathBuf>> },
    /// Lines; the reader is gone after an error. `about` is a guess of how many.
    Lines { reader: Option<Box<dyn BufRead>>, next: usize, about: Option<usize> },
}

impl Source {
    /// Opens `--in`. A folder's files are listed now and read later; what lies below `skip` is left out.
    pub fn open(path: &Path, skip: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Lines { reader: Some(Box::new(BufReader::new(io::stdin()))), next: 0, about: None });
        }
        let kind = fs::metadata(path).with_context(|| format!("cannot read the inputs (--in) {}", path.display()))?;
        if kind.is_dir() {
            let mut names = Vec::new();
            list(path, Path::new(""), fs::canonicalize(skip).ok().as_deref(), &mut names)?;
            names.sort_unstable();
            return Ok(Self::Files { root: path.into(), names: names.into_iter().enumerate() });
        }
        if !is_lines(path) {
            let name = path.display();
            let text = format!(
                "--in {name} is neither a folder nor a .jsonl (or .ndjson) file; if each of its lines is an input, use \
                 `--in - < {name}`, and if it is one, `vectorvisor run PROG < {name}`"
            );
            return Err(Usage(text).into());
        }
        let file = File::open(path).with_context(|| format!("cannot open the inputs (--in) {}", path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        // A pipe may have nothing yet.
        let about = if kind.is_file() { lines_about(&mut reader, kind.len()) } else { None };
        Ok(Self::Lines { reader: Some(Box::new(reader)), next: 0, about })
    }

    /// How many inputs are left, if that is known.
    pub fn total(&self) -> Option<usize> {
        match self {
            Self::Files { names, .. } => Some(names.len()),
            Self::Lines { .. } => None,
        }
    }

    /// An estimate of the number of all inputs.
    pub fn about(&self) -> Option<usize> {
        match self {
            Self::Files { .. } => self.total(),
            Self::Lines { about, .. } => *about,
        }
    }
}

/// How many lines there are if all are as long as those in the buffer.
fn lines_about(reader: &mut dyn BufRead, bytes: u64) -> Option<usize> {
    let seen = reader.fill_buf().ok()?;
    let lines = seen.iter().filter(|b| **b == b'\n').count();
    (lines > 0).then(|| (bytes as f64 / seen.len() as f64 * lines as f64) as usize)
}

/// Whether a path names a file of JSON lines.
pub fn is_lines(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    path == Path::new("-") || !ends_as_folder(path) && matches!(extension.as_deref(), Some("jsonl" | "ndjson"))
}

/// Whether a path ends with a slash.
pub fn ends_as_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Regular files below `root/below`, as paths relative to `root`. Links to folders are not followed, so there are no
/// cycles.
fn list(root: &Path, below: &Path, skip: Option<&Path>, names: &mut Vec<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    let cannot = || format!("cannot list the folder {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type().with_context(cannot)?;
        if kind.is_dir() {
            if skip.is_none() || fs::canonicalize(entry.path()).ok().as_deref() != skip {
                list(root, &name, skip, names)?;
            }
        } else if kind.is_file() || kind.is_symlink() && fs::metadata(entry.path()).map_or(true, |m| m.is_file()) {
            names.push(name);
        }
    }
    Ok(())
}

impl Iterator for Source {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        match self {
            Self::Files { root, names } => {
                let (index, name) = names.next()?;
                let stdin = fs::read(root.join(&name)).map_err(|e| format!("cannot read the input: {e}"));
                Some(Item { index, name: Some(name), stdin })
            }
            Self::Lines { reader, next, .. } => {
                let mut line = Vec::new();
                let stdin = match reader.as_mut()?.read_until(b'\n', &mut line) {
                    Ok(0) => return None,
                    Ok(_) => {
                        if line.last() == Some(&b'\n') {
                            line.pop();
                            if line.last() == Some(&b'\r') {
                                line.pop();
                            }
                        }
                        line_to_stdin(line)
                    }
                    Err(e) => {
                        *reader = None;
                        Err(format!("cannot read this line of the inputs, nor those after it: {e}"))
                    }
                };
                *next += 1;
                Some(Item { index: *next - 1, name: None, stdin })
            }
        }
    }
}

/// An object's `stdin` or `stdin_base64`, or else the line itself.
fn line_to_stdin(line: Vec<u8>) -> Result<Vec<u8>, String> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Ok(line);
    }
    let Ok(serde_json::Value::Object(mut object)) = serde_json::from_slice(&line) else { return Ok(line) };
    if let Some(stdin) = object.remove("stdin") {
        return match stdin {
            serde_json::Value::String(text) => Ok(text.into_bytes()),
            _ => Err("`stdin` of this line is not a string".into()),
        };
    }
    match object.remove("stdin_base64") {
        Some(serde_json::Value::String(text)) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|e| format!("`stdin_base64` of this line is not base64: {e}")),
        Some(_) => Err("`stdin_base64` of this line is not a string".into()),
        None => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = |s: &str| line_to_stdin(s.into());
        assert_eq!(text("plain text"), Ok(b"plain text".to_vec()));
        assert_eq!(text("\"quoted\""), Ok(b"\"quoted\"".to_vec()));
        assert_eq!(text(r#"{"stdin":"a\n"}"#), Ok(b"a\n".to_vec()));
        assert_eq!(text(r#"{"stdin_base64":"/wA="}"#), Ok(vec![0xff, 0]));
        assert_eq!(text(r#"{"other":1}"#), Ok(br#"{"other":1}"#.to_vec()));
        assert_eq!(text("{not json"), Ok(b"{not json".to_vec()));
        assert!(text(r#"{"stdin":1}"#).is_err());
        assert!(text(r#"{"stdin_base64":"?"}"#).is_err());
    }

    #[test]
    fn lines_are_guessed_from_the_first() {
        let mut reader = BufReader::with_capacity(10, &b"1234\n6789\nabcd\n"[..]);
        assert_eq!(lines_about(&mut reader, 5000), Some(1000));
        assert_eq!(reader.lines().count(), 3, "none is taken");
        assert_eq!(lines_about(&mut &b"no end"[..], 6), None);
    }

    #[test]
    fn line_ends_are_not_input_and_blank_lines_are() {
        let reader: Box<dyn BufRead> = Box::new(&b"a\r\n\nlast"[..]);
        let items: Vec<_> =
            Source::Lines { reader: Some(reader), next: 0, about: None }.map(|i| (i.index, i.stdin)).collect();
        assert_eq!(items, [(0, Ok(b"a".to_vec())), (1, Ok(vec![])), (2, Ok(b"last".to_vec()))]);
    }
}
