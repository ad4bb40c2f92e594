//! Outputs of `map`: files that appear complete or not at all, or JSON lines in the order of the inputs.

use super::queue::{LIMITS, Queue, threads};
use super::source::{ends_as_folder, is_lines};
use crate::Usage;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

/// The result of one input.
#[derive(Default)]
pub struct Done {
    /// The input's number.
    pub index: usize,
    /// Its name, if it was a file.
    pub name: Option<PathBuf>,
    /// Exit code, if the guest ended by itself.
    pub exit: Option<i32>,
    /// Why there is no output.
    pub error: Option<String>,
    /// A hint beside the guest's own message.
    pub note: Option<String>,
    /// What the guest wrote.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// An input that succeeded, and whose result could not be written.
pub struct Unwritten {
    /// The input's number.
    pub index: usize,
    /// Its name, if it was a file.
    pub name: Option<PathBuf>,
    /// Why, with the name of the output.
    pub why: anyhow::Error,
}

/// Where outputs go.
pub enum Output {
    /// One file each.
    Folder(Folder),
    /// One line each.
    Lines(Lines),
}

impl Output {
    /// Whether `--out` is for lines, rather than a folder: by what is there, or else by its name. Creates nothing yet.
    pub fn is_for_lines(path: &Path) -> Result<bool> {
        let there = fs::metadata(path).ok();
        let folder = there.as_ref().is_some_and(Metadata::is_dir);
        if is_lines(path) || folder {
            return Ok(!folder || path == Path::new("-"));
        }
        let name = path.display();
        let text = if there.is_some() {
            format!("--out {name} is neither a folder nor a .jsonl (or .ndjson) file; name one of these")
        } else if path.extension().is_some() && !ends_as_folder(path) {
            let lines = path.with_extension("jsonl");
            format!(
                "--out {name} could be a file or a folder: for JSON lines write {}, for a folder {name}/",
                lines.display()
            )
        } else {
            return Ok(false);
        };
        Err(Usage(text).into())
    }

    /// Opens `--out` for so many inputs. A folder is created; a file of lines is written beside its place and moved there
    /// by [`Output::finish`].
    pub fn open(path: &Path, inputs: Option<usize>) -> Result<Self> {
        if !Self::is_for_lines(path)? {
            fs::create_dir_all(path).with_context(|| format!("cannot create the folder (--out) {}", path.display()))?;
            return Ok(Self::Folder(Folder::new(path.into(), threads(inputs))?));
        }
        if path == Path::new("-") {
            return Ok(Self::Lines(Lines::new(Box::new(io::stdout()), "standard output".into(), None)));
        }
        // A pipe or a device is written straight.
        let partial = fs::metadata(path).map_or(true, |m| m.is_file()).then(|| with_suffix(path, ".partial"));
        let target = partial.as_deref().unwrap_or(path);
        let file =
            File::create(target).with_context(|| format!("cannot write the outputs (--out) {}", target.display()))?;
        let moved = partial.map(|p| (p, path.to_path_buf()));
        Ok(Self::Lines(Lines::new(Box::new(file), path.display().to_string(), moved)))
    }

    /// Takes one result, to be written soon.
    pub fn put(&mut self, done: Done) {
        match self {
            Self::Folder(folder) => folder.put(done),
            Self::Lines(lines) => lines.put(done),
        }
    }

    /// A result that could not be written; the others may still be unless [`Output::broken`].
    pub fn unwritten(&mut self) -> Option<Unwritten> {
        match self {
            Self::Folder(folder) => folder.unwritten.try_recv().ok(),
            Self::Lines(lines) => lines.unwritten.pop(),
        }
    }

    /// Nothing more can be written, so nothing more need run.
    pub fn broken(&self) -> bool {
        matches!(self, Self::Lines(lines) if lines.broken)
    }

    /// Waits until all is written, and moves a file of lines to its place, unless the run ended early. Asks for
    /// [`Output::unwritten`] once more after it.
    pub fn finish(&mut self, early: bool) -> Result<()> {
        match self {
            Self::Folder(folder) => {
                folder.finish();
                Ok(())
            }
            Self::Lines(lines) => lines.finish(early),
        }
    }
}

/// A folder of files, written by threads.
pub struct Folder {
    queue: Arc<Queue<Done>>,
    /// How many were put.
    put: usize,
    threads: Vec<JoinHandle<()>>,
    unwritten: mpsc::Receiver<Unwritten>,
}

impl Folder {
    fn new(root: PathBuf, threads: usize) -> Result<Self> {
        let (failed, unwritten) = mpsc::channel();
        let mut folder = Self { queue: Arc::new(Queue::new(LIMITS)), put: 0, threads: Vec::new(), unwritten };
        for number in 0..threads {
            let (root, queue, failed) = (root.clone(), folder.queue.clone(), failed.clone());
            let own = root.join(format!(".vectorvisor-{}-{number}", std::process::id()));
            let write = move || {
                while let Some(done) = queue.take() {
                    if let Err(why) = write(&root, &own, &done) {
                        // The receiver lives as long as this thread.
                        _ = failed.send(Unwritten { index: done.index, name: done.name, why });
                    }
                }
                // There is none if nothing was written.
                _ = fs::remove_dir(own);
            };
            match thread::Builder::new().name("writer".into()).spawn(write) {
                Ok(thread) => folder.threads.push(thread),
                Err(e) if folder.threads.is_empty() => {
                    return Err(e).context("cannot start a thread that writes files");
                }
                Err(_) => break,
            }
        }
        Ok(folder)
    }

    fn put(&mut self, done: Done) {
        let bytes = done.stdout.len();
        self.queue.reserve(self.put, bytes);
        self.queue.put(self.put, done, bytes);
        self.put += 1;
    }

    fn finish(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // It cannot have panicked, and there would be nobody to tell.
            _ = thread.join();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Writes a result to its file in the folder, by way of the thread's `own` folder.
fn write(root: &Path, own: &Path, done: &Done) -> Result<()> {
    let path = match &done.name {
        Some(name) => root.join(name),
        None => root.join(done.index.to_string()),
    };
    if done.error.is_some() {
        // A file of an earlier run would be mistaken for this run's. That the input failed is known already.
        _ = fs::remove_file(&path);
        return Ok(());
    }
    write_whole(&path, own, &done.stdout).with_context(|| format!("cannot write {}", path.display()))
}

/// A file of JSON lines.
pub struct Lines {
    writer: BufWriter<Box<dyn Write>>,
    /// For messages.
    name: String,
    /// From where to where the finished file is moved.
    moved: Option<(PathBuf, PathBuf)>,
    /// The index of the next line to be written.
    next: usize,
    /// Lines that wait for those of earlier inputs.
    held: BTreeMap<usize, Vec<u8>>,
    broken: bool,
    unwritten: Vec<Unwritten>,
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
    fn new(writer: Box<dyn Write>, name: String, moved: Option<(PathBuf, PathBuf)>) -> Self {
        Self {
            writer: BufWriter::with_capacity(1 << 16, writer),
            name,
            moved,
            next: 0,
            held: BTreeMap::new(),
            broken: false,
            unwritten: Vec::new(),
        }
    }

    fn put(&mut self, done: Done) {
        if let Err(why) = self.write(&done)
            && done.error.is_none()
        {
            self.unwritten.push(Unwritten { index: done.index, name: done.name, why });
        }
    }

    fn write(&mut self, done: &Done) -> Result<()> {
        if self.broken {
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
        self.held.insert(done.index, bytes);
        while let Some(bytes) = self.held.remove(&self.next) {
            self.next += 1;
            if let Err(e) = self.writer.write_all(&bytes) {
                self.broken = true;
                return Err(e).with_context(|| format!("cannot write {}", self.name));
            }
        }
        Ok(())
    }

    fn finish(&mut self, early: bool) -> Result<()> {
        if let (true, Some((from, _))) = (self.broken, &self.moved) {
            // Lines are written in blocks, so those of the block that failed are missing, too.
            bail!(
                "{} is incomplete: a write failed; up to {} KiB of lines before it are missing, and the last one that \
                 there is in {} may be cut",
                self.name,
                self.writer.capacity() >> 10,
                from.display()
            );
        }
        let whole = !early;
        // Lines still wait only if the run ended early: they are written all the same, with a gap.
        let held = std::mem::take(&mut self.held);
        let written =
            held.values().try_for_each(|bytes| self.writer.write_all(bytes)).and_then(|()| self.writer.flush());
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

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

/// Writes a file elsewhere, then moves it to its place, so that no one ever sees half of it. Elsewhere is the thread's
/// `own` folder: threads that create files in one folder wait for each other.
fn write_whole(path: &Path, own: &Path, bytes: &[u8]) -> io::Result<()> {
    const PARTIAL: &str = "partial";
    match write_then_move(&own.join(PARTIAL), path, bytes) {
        // The file's folder is a link, or another file system.
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            let mut beside = path.with_file_name(own.file_name().unwrap_or_default());
            beside.add_extension(PARTIAL);
            write_then_move(&beside, path, bytes)
        }
        result => result,
    }
}

/// Writes the file `partial`, and makes it `path`. Folders that are missing are created.
fn write_then_move(partial: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = in_its_folder(partial, || File::create(partial))
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| in_its_folder(path, || fs::rename(partial, path)));
    if written.is_err() {
        // Reports the first error.
        let _ = fs::remove_file(partial);
    }
    written
}

/// Does something with a path; if its folder is missing creates it, and does it then.
fn in_its_folder<T>(path: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match act() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).and_then(|()| act())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
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
        let mut lines = Lines::new(Box::new(text.clone()), "test".into(), None);
        lines.put(done(1, b"\xff\x00"));
        lines.put(Done { error: Some("trap".into()), exit: None, stderr: b"oh".into(), ..done(2, b"half") });
        assert!(text.0.borrow().is_empty());
        lines.put(done(0, b"a\n"));
        assert!(lines.unwritten.is_empty());
        lines.finish(false).expect("flushed");
        let want = concat!(
            r#"{"index":0,"exit":0,"stdout":"a\n"}"#,
            "\n",
            r#"{"index":1,"exit":0,"stdout_base64":"/wA="}"#,
            "\n",
            r#"{"index":2,"error":"trap","stderr":"oh"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&text.0.borrow()), want);
    }

    #[test]
    fn files_also_go_where_a_link_leads() {
        let (root, memory) = (tempfile::tempdir().expect("a folder"), Path::new("/dev/shm"));
        let elsewhere = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let elsewhere = elsewhere.expect("a folder");
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("link")).expect("a link");
        let mut folder = Folder::new(root.path().into(), 3).expect("threads");
        for index in 0..200 {
            let name = ["", "link/", "new/folder/"][index % 3].to_string() + &index.to_string();
            folder.put(Done { name: Some(name.into()), ..done(index, b"whole") });
        }
        folder.finish();
        assert!(folder.unwritten.try_recv().is_err());
        for (path, count) in [("", 67 + 2), ("link", 67), ("new/folder", 66)] {
            let path = root.path().join(path);
            assert_eq!(fs::read_dir(&path).expect("a folder").count(), count, "{}", path.display());
        }
        assert_eq!(fs::read(root.path().join("link/1")).expect("a file"), b"whole");
    }
}
