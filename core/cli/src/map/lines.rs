//! JSON lines, in the order of the inputs, put by several threads.

use super::output::Done;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file of JSON lines.
pub struct Lines {
    /// For messages.
    name: String,
    /// From where to where the finished file is moved.
    moved: Option<(PathBuf, PathBuf)>,
    broken: AtomicBool,
    file: Mutex<Ordered>,
}

struct Ordered {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// The index of the next line to be written.
    next: usize,
    /// Lines that wait for those of earlier inputs.
    held: BTreeMap<usize, Vec<u8>>,
}

#[derive(Serialize)]
struct Line<'a> {
    index: usize,
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

impl Lines {
    /// Lines for `writer`, which is the file that is moved when it is finished, if any is.
    pub fn new(writer: Box<dyn Write + Send>, name: String, moved: Option<(PathBuf, PathBuf)>) -> Self {
        let writer = BufWriter::with_capacity(1 << 16, writer);
        let file = Mutex::new(Ordered { writer, next: 0, held: BTreeMap::new() });
        Self { name, moved, broken: AtomicBool::new(false), file }
    }

    /// Nothing more can be written.
    pub fn broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn file(&self) -> MutexGuard<'_, Ordered> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a result, and writes the lines that have no gap before them.
    pub fn put(&self, done: &Done) -> Result<()> {
        if self.broken() {
            bail!("not written: {} could not be written before", self.name);
        }
        let text = done.exit.map(|_| std::str::from_utf8(&done.stdout));
        let line = Line {
            index: done.index,
            name: done.name.as_ref().map(|n| n.to_string_lossy().into_owned()),
            exit: done.exit,
            stdout: text.and_then(Result::ok),
            stdout_base64: text
                .is_some_and(|t| t.is_err())
                .then(|| base64::engine::general_purpose::STANDARD.encode(&done.stdout)),
            // The exit code reports the failure.
            error: done.error.as_deref().filter(|_| done.exit.is_none()).map(one_line),
            note: done.note.as_deref(),
            stderr: (!done.stderr.is_empty()).then(|| String::from_utf8_lossy(&done.stderr).into_owned()),
        };
        let mut bytes = serde_json::to_vec(&line).context("cannot write a JSON line")?;
        bytes.push(b'\n');
        let file = &mut *self.file();
        file.held.insert(done.index, bytes);
        while let Some(bytes) = file.held.remove(&file.next) {
            file.next += 1;
            if let Err(e) = file.writer.write_all(&bytes) {
                self.broken.store(true, Ordering::Relaxed);
                return Err(e).with_context(|| format!("cannot write {}", self.name));
            }
        }
        Ok(())
    }

    /// Flushes, and moves the file to its place, unless the run ended early.
    pub fn finish(&self, early: bool) -> Result<()> {
        let file = &mut *self.file();
        if let (true, Some((from, _))) = (self.broken(), &self.moved) {
            // Lines are written in blocks, so those of the block that failed are missing, too.
            bail!(
                "{} is incomplete: a write failed; up to {} KiB of lines before it are missing, and the last one that \
                 there is in {} may be cut",
                self.name,
                file.writer.capacity() >> 10,
                from.display()
            );
        }
        let whole = !early;
        // Lines still wait only if the run ended early: they are written all the same, with a gap.
        let held = std::mem::take(&mut file.held);
        let written =
            held.values().try_for_each(|bytes| file.writer.write_all(bytes)).and_then(|()| file.writer.flush());
        written.with_context(|| format!("cannot write {}", self.name))?;
        match &self.moved {
            Some((from, to)) if whole => {
                fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
            }
            Some((from, _)) => bail!("{} is incomplete; the lines that there are lie in {}", self.name, from.display()),
            None => Ok(()),
        }
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn done(index: usize, stdout: &[u8]) -> Done {
        Done { index, exit: Some(0), stdout: stdout.into(), ..Done::default() }
    }

    #[test]
    fn lines_are_in_the_order_of_the_inputs() {
        let text = Shared::default();
        let lines = Lines::new(Box::new(text.clone()), "test".into(), None);
        lines.put(&done(1, b"\xff\x00")).expect("held");
        let trap = Done { error: Some("trap".into()), exit: None, stderr: b"oh".into(), ..done(2, b"half") };
        lines.put(&trap).expect("held");
        assert!(text.0.lock().expect("a lock").is_empty());
        lines.put(&done(0, b"a\n")).expect("written");
        lines.finish(false).expect("flushed");
        let want = concat!(
            r#"{"index":0,"exit":0,"stdout":"a\n"}"#,
            "\n",
            r#"{"index":1,"exit":0,"stdout_base64":"/wA="}"#,
            "\n",
            r#"{"index":2,"error":"trap","stderr":"oh"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&text.0.lock().expect("a lock")), want);
    }

    #[test]
    fn threads_keep_the_order() {
        let text = Shared::default();
        let lines = Lines::new(Box::new(text.clone()), "test".into(), None);
        std::thread::scope(|scope| {
            for first in 0..4 {
                let lines = &lines;
                scope.spawn(move || (first..1000).step_by(4).try_for_each(|index| lines.put(&done(index, b""))));
            }
        });
        lines.finish(false).expect("flushed");
        let want: String =
            (0..1000).map(|index| format!("{{\"index\":{index},\"exit\":0,\"stdout\":\"\"}}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&text.0.lock().expect("a lock")), want);
    }
}
