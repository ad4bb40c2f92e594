//! JSON lines, in the order of the inputs, put by several threads.

use super::journal::Skip;
use super::output::{Done, with_suffix};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vectorvisor_batch::lines::Answer;

/// A file of JSON lines.
pub struct Lines {
    /// For messages.
    name: String,
    /// The finished file is moved.
    moved: Option<Files>,
    broken: AtomicBool,
    file: Mutex<Ordered>,
}

struct Ordered {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// The index of the next line to be written.
    next: usize,
    /// Lines that wait for those of earlier inputs.
    held: BTreeMap<usize, Vec<u8>>,
    /// Lines of an earlier run, of inputs that do not run again.
    earlier: Earlier,
    skip: Arc<Skip>,
}

impl Ordered {
    /// Writes the lines that have no gap before them.
    fn advance(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.held.remove(&self.next).or_else(|| self.earlier.take_at(self.next, &self.skip)) {
            self.next += 1;
            self.writer.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Writes the rest, with gaps.
    fn drain(&mut self) -> io::Result<()> {
        self.advance()?;
        while let Some(next) = self.held.keys().next().copied().into_iter().chain(self.earlier.next()).min() {
            // Those of the earlier run that run again are passed over.
            self.next = next;
            self.advance()?;
            self.earlier.pass(next);
        }
        self.writer.flush()
    }
}

/// A file of lines and its neighbours. It is in its place only when it is whole.
#[derive(Clone)]
pub struct Files {
    out: PathBuf,
    /// The lines of this run.
    pub partial: PathBuf,
    /// Those of runs before it.
    earlier: PathBuf,
}

impl Files {
    /// Those of an output.
    pub fn of(out: &Path) -> Self {
        Self { out: out.into(), partial: with_suffix(out, ".partial"), earlier: with_suffix(out, ".earlier") }
    }

    /// Files that a run left which did not end, the latest first.
    pub fn unfinished(&self) -> Vec<&Path> {
        [&*self.partial, &*self.earlier].into_iter().filter(|path| path.exists()).collect()
    }

    /// Files with lines of earlier runs, the latest first.
    pub fn present(&self) -> Vec<&Path> {
        let unfinished = self.unfinished();
        // A file that is in its place may be older than they.
        if unfinished.is_empty() && self.out.is_file() { vec![&self.out] } else { unfinished }
    }

    /// Begins afresh; `out` stays until another takes its place.
    pub fn begin(&self) -> io::Result<File> {
        match fs::remove_file(&self.earlier) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => File::create(&self.partial),
        }
    }

    /// Gathers the lines there are in `earlier`, from which they are copied. It may be killed at any point, and loses
    /// none.
    pub fn go_on(&self) -> io::Result<(File, Earlier)> {
        match *self.present() {
            [] => {}
            [one] if one == self.earlier => {}
            [one] => fs::rename(one, &self.earlier)?,
            ref several => {
                let merged = with_suffix(&self.out, ".merged");
                let mut lines = Earlier::open(several)?;
                let mut writer = BufWriter::new(File::create(&merged)?);
                while let Some(line) = lines.take() {
                    writer.write_all(&line.bytes)?;
                }
                writer.into_inner().map_err(io::IntoInnerError::into_error)?;
                fs::rename(merged, &self.earlier)?;
            }
        }
        let partial = File::create(&self.partial)?;
        let earlier = if self.earlier.exists() { Earlier::open(&[&self.earlier])? } else { Earlier::default() };
        Ok((partial, earlier))
    }

    /// Moves the whole file to its place.
    fn end(&self) -> io::Result<()> {
        self.forget_earlier()?;
        fs::rename(&self.partial, &self.out)
    }

    /// All its lines are in `partial`.
    fn forget_earlier(&self) -> io::Result<()> {
        if self.earlier.exists() { fs::remove_file(&self.earlier) } else { Ok(()) }
    }
}

/// Lines that earlier runs wrote to one or two files, in the order of the inputs. What a killed process left of a last
/// line is none.
#[derive(Default)]
pub struct Earlier(Vec<Reader>);

struct Reader {
    reader: BufReader<File>,
    next: Option<EarlierLine>,
}

/// A line.
pub struct EarlierLine {
    pub index: usize,
    pub name: Option<String>,
    pub succeeded: bool,
    bytes: Vec<u8>,
}

impl Earlier {
    /// Reads these files; where two have a line, that of the first counts.
    pub fn open(files: &[&Path]) -> io::Result<Self> {
        let reader = |path: &&Path| {
            let mut reader = Reader { reader: BufReader::with_capacity(1 << 16, File::open(path)?), next: None };
            reader.read();
            Ok(reader)
        };
        files.iter().map(reader).collect::<io::Result<_>>().map(Self)
    }

    /// The number of the next line.
    fn next(&self) -> Option<usize> {
        self.0.iter().filter_map(|reader| Some(reader.next.as_ref()?.index)).min()
    }

    /// The next line.
    pub fn take(&mut self) -> Option<EarlierLine> {
        let next = self.next()?;
        let of_next = |reader: &&mut Reader| reader.next.as_ref().is_some_and(|line| line.index == next);
        let line = self.0.iter_mut().find(of_next)?.take();
        self.pass(next);
        line
    }

    /// Passes over the lines up to that of this input.
    fn pass(&mut self, index: usize) {
        for reader in &mut self.0 {
            while reader.next.as_ref().is_some_and(|line| line.index <= index) {
                reader.read();
            }
        }
    }

    /// The line of an input, if it does not run again.
    fn take_at(&mut self, index: usize, skip: &Skip) -> Option<Vec<u8>> {
        while self.next()? < index {
            self.take();
        }
        if self.next()? == index && skip.has(index) { self.take().map(|line| line.bytes) } else { None }
    }
}

impl Reader {
    fn take(&mut self) -> Option<EarlierLine> {
        let line = self.next.take();
        self.read();
        line
    }

    /// Reads the next line, if there is a whole one.
    fn read(&mut self) {
        #[derive(Deserialize)]
        struct Fields {
            index: usize,
            name: Option<String>,
            exit: Option<i32>,
            error: Option<IgnoredAny>,
        }
        let mut bytes = Vec::new();
        self.next = None;
        if self.reader.read_until(b'\n', &mut bytes).is_err() || bytes.last() != Some(&b'\n') {
            return;
        }
        if let Ok(Fields { index, name, exit, error }) = serde_json::from_slice(&bytes) {
            self.next = Some(EarlierLine { index, name, succeeded: exit == Some(0) && error.is_none(), bytes });
        }
    }
}

impl Lines {
    /// Lines for `writer`, which is the partial file of those that are moved when it is finished, if any are.
    pub fn new(writer: Box<dyn Write + Send>, name: String, moved: Option<Files>) -> Self {
        Self::going_on(writer, name, moved, Earlier::default(), Arc::default())
    }

    /// The same, with the lines of an earlier run for inputs that are skipped.
    pub fn going_on(
        writer: Box<dyn Write + Send>,
        name: String,
        moved: Option<Files>,
        earlier: Earlier,
        skip: Arc<Skip>,
    ) -> Self {
        let writer = BufWriter::with_capacity(1 << 16, writer);
        let file = Mutex::new(Ordered { writer, next: 0, held: BTreeMap::new(), earlier, skip });
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
        let answer = Answer {
            index: done.index,
            id: None,
            name: done.name.as_ref().map(|n| n.to_string_lossy().into_owned()),
            exit: done.exit,
            stdout: &done.stdout,
            // The exit code reports the failure.
            error: done.error.as_deref().filter(|_| done.exit.is_none()).map(one_line),
            note: done.note.as_deref(),
            stderr: &done.stderr,
            files: &done.files,
        };
        let bytes = answer.line();
        let file = &mut *self.file();
        file.held.insert(done.index, bytes);
        if let Err(e) = file.advance() {
            self.broken.store(true, Ordering::Relaxed);
            return Err(e).with_context(|| format!("cannot write {}", self.name));
        }
        Ok(())
    }

    /// Writes what is buffered, so that it is there if the process is killed. [`Lines::finish`] tells of an error.
    pub fn flush(&self) {
        if !self.broken() && self.file().writer.flush().is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Flushes, and moves the file to its place, unless the run ended early.
    pub fn finish(&self, early: bool) -> Result<()> {
        let file = &mut *self.file();
        if let (true, Some(files)) = (self.broken(), &self.moved) {
            // Lines are written in blocks, so those of the block that failed are missing, too.
            bail!(
                "{} is incomplete: a write failed; up to {} KiB of lines before it are missing, and the last one that \
                 there is in {} may be cut",
                self.name,
                file.writer.capacity() >> 10,
                files.partial.display()
            );
        }
        // Lines still wait only if the run ended early: they are written all the same, with a gap.
        file.drain().with_context(|| format!("cannot write {}", self.name))?;
        match &self.moved {
            Some(files) if early => {
                let name = files.partial.display();
                files.forget_earlier().with_context(|| format!("cannot remove {}", files.earlier.display()))?;
                bail!(
                    "{} is incomplete; the lines that there are lie in {name}, and --resume goes on from there",
                    self.name
                )
            }
            Some(files) => files
                .end()
                .with_context(|| format!("cannot move {} to {}", files.partial.display(), files.out.display())),
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
