//! Running the command as a user types it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// How a command ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Starts `vectorvisor` with these words.
pub fn start(words: &[&str]) -> Child {
    start_with(&[], words)
}

/// The same, with more variables in its environment.
pub fn start_with(variables: &[(&str, &str)], words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vectorvisor"))
        .args(words)
        .envs(variables.iter().copied())
        // Not the user's cache.
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vectorvisor starts")
}

/// Waits for its end.
pub fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().expect("vectorvisor ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs `vectorvisor` with these words and this standard input.
pub fn vv_in(stdin: &[u8], words: &[&str]) -> Ran {
    let mut child = start(words);
    // It may well end without reading this.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin);
    ended(child)
}

pub fn vv(words: &[&str]) -> Ran {
    vv_in(b"", words)
}

pub fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).to_str().expect("UTF-8").into()
}

pub fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

pub fn write(path: PathBuf, bytes: impl AsRef<[u8]>) -> String {
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(&path, bytes).expect("a file");
    path.to_str().expect("UTF-8").into()
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Whether a backend other than `cpu` has no device here; an error where it must have one.
pub fn missing(backend: &str) -> bool {
    if backend == "cpu" {
        return false;
    }
    let devices = vv(&["devices", "--backend", backend]).out;
    let none = !devices.contains(&format!("{backend}:0"));
    let required = format!("VECTORVISOR_REQUIRE_{}", backend.to_uppercase());
    assert!(!none || std::env::var_os(&required).is_none(), "{required} is set, but {devices}");
    none
}
