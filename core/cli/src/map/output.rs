//! Outputs of `map`: files that appear complete or not at all, or JSON lines in the order of the inputs.

use super::journal::{self, Header, Journal, OURS, Skip};
use super::lines::{Files, Lines};
use super::queue::{LIMITS, Queue, threads};
use super::source::{ends_as_folder, is_lines};
use crate::Usage;
use anyhow::{Context, Result};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

/// The result of one input.
#[derive(Default)]
pub struct Done {
    /// The input's number.
    pub index: usize,
    /// Files that it left (`--collect`).
    pub files: Vec<(String, Vec<u8>)>,
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

/// Outputs, written by threads.
pub struct Output {
    to: Arc<To>,
    queue: Arc<Queue<Done>>,
    /// How many were put.
    put: usize,
    threads: Vec<JoinHandle<()>>,
    unwritten: mpsc::Receiver<Unwritten>,
}

/// Where outputs go.
enum To {
    /// One file each, in this folder.
    Folder(PathBuf, Option<Journal>),
    /// One line each.
    Lines(Lines, Option<Journal>),
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
    /// by [`Output::finish`]. Where an earlier run is `resumed` the outputs of inputs that it did stay.
    pub fn open(path: &Path, inputs: Option<usize>, header: &Header, resumed: Option<&Arc<Skip>>) -> Result<Self> {
        let cannot = |path: &Path| format!("cannot write the outputs (--out) {}", path.display());
        let for_lines = Self::is_for_lines(path)?;
        if !for_lines {
            fs::create_dir_all(path).with_context(|| format!("cannot create the folder (--out) {}", path.display()))?;
        } else if path == Path::new("-") {
            let lines = Lines::new(Box::new(io::stdout()), "standard output".into(), None);
            return Self::new(To::Lines(lines, None), threads(inputs));
        } else if !journal::can_resume(path) {
            // A pipe or a device is written straight.
            let lines = Lines::new(
                Box::new(File::create(path).with_context(|| cannot(path))?),
                path.display().to_string(),
                None,
            );
            return Self::new(To::Lines(lines, None), threads(inputs));
        }
        let journal = Journal::open(Journal::path(path, for_lines))?;
        if journal.is_none() && (for_lines || resumed.is_some()) {
            return Err(Usage(format!("another vectorvisor writes to --out {}", path.display())).into());
        }
        // Before anything is written: lines of another run must not stand below this one's header.
        if let (Some(journal), None) = (&journal, resumed) {
            journal.clear()?;
        }
        let to = if for_lines {
            let files = Files::of(path);
            let (name, partial) = (path.display().to_string(), cannot(&files.partial));
            let lines = match resumed {
                Some(skip) => {
                    let (file, earlier) = files.go_on().context(partial)?;
                    Lines::going_on(Box::new(file), name, Some(files), earlier, skip.clone())
                }
                None => Lines::new(Box::new(files.begin().context(partial)?), name, Some(files)),
            };
            To::Lines(lines, journal)
        } else {
            if resumed.is_some() {
                remove_left_over(path);
            }
            To::Folder(path.into(), journal)
        };
        if let Some(journal) = to.journal() {
            journal.begin(header)?;
        }
        Self::new(to, threads(inputs))
    }

    /// Removes the journal: there is nothing left that another run could do.
    pub fn forget(&self) {
        if let Some(journal) = self.to.journal() {
            journal.remove();
        }
    }

    fn new(to: To, threads: usize) -> Result<Self> {
        let (failed, unwritten) = mpsc::channel();
        let queue = Arc::new(Queue::new(LIMITS));
        let mut output = Self { to: Arc::new(to), queue, put: 0, threads: Vec::new(), unwritten };
        for number in 0..threads {
            let (to, queue, failed) = (output.to.clone(), output.queue.clone(), failed.clone());
            let write = move || to.write_all(number, &queue, &failed);
            match thread::Builder::new().name("writer".into()).spawn(write) {
                Ok(thread) => output.threads.push(thread),
                Err(e) if output.threads.is_empty() => return Err(e).context("cannot start a thread that writes"),
                Err(_) => break,
            }
        }
        Ok(output)
    }

    /// Takes one result, to be written soon.
    pub fn put(&mut self, done: Done) {
        let files: usize = done.files.iter().map(|(_, bytes)| bytes.len()).sum();
        let bytes = done.stdout.len() + done.stderr.len() + files;
        self.queue.reserve(self.put, bytes);
        self.queue.put(self.put, done, bytes);
        self.put += 1;
    }

    /// A result that could not be written; the others may still be unless [`Output::broken`].
    pub fn unwritten(&mut self) -> Option<Unwritten> {
        self.unwritten.try_recv().ok()
    }

    /// Nothing more can be written, so nothing more need run.
    pub fn broken(&self) -> bool {
        matches!(&*self.to, To::Lines(lines, _) if lines.broken())
    }

    /// Waits until all is written, and moves a file of lines to its place, unless the run ended early. After that,
    /// [`Output::unwritten`] knows all that was not.
    pub fn finish(&mut self, early: bool) -> Result<()> {
        self.wait();
        match &*self.to {
            To::Folder(..) => Ok(()),
            To::Lines(lines, _) => lines.finish(early),
        }
    }

    fn wait(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // It cannot have panicked, and there would be nobody to tell.
            _ = thread.join();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.wait();
    }
}

impl To {
    fn journal(&self) -> Option<&Journal> {
        let (Self::Folder(_, journal) | Self::Lines(_, journal)) = self;
        journal.as_ref()
    }

    /// What each thread does: writes what comes, until the queue is closed.
    fn write_all(&self, number: usize, queue: &Queue<Done>, failed: &mpsc::Sender<Unwritten>) {
        let each = |write: &dyn Fn(&Done) -> Result<()>| {
            while let Some(done) = queue.take() {
                if let Err(why) = write(&done)
                    && done.error.is_none()
                {
                    // The receiver lives as long as this thread.
                    _ = failed.send(Unwritten { index: done.index, name: done.name, why });
                }
            }
        };
        match self {
            Self::Folder(root, journal) => {
                let own = root.join(format!("{OURS}{}-{number}", std::process::id()));
                each(&|done| {
                    let written = write_file(root, &own, done);
                    if let (Some(journal), true) = (journal, written.is_ok() || done.error.is_some()) {
                        journal.record(&name(done), done.error.is_none());
                    }
                    written
                });
                // There is none if nothing was written.
                _ = fs::remove_dir(own);
            }
            Self::Lines(lines, _) => each(&|done| {
                let put = lines.put(done);
                if queue.idle() {
                    lines.flush();
                }
                put
            }),
        }
    }
}

/// The name of a result's file.
fn name(done: &Done) -> PathBuf {
    done.name.clone().unwrap_or_else(|| done.index.to_string().into())
}

/// Removes the folders of threads of processes that were killed.
fn remove_left_over(root: &Path) {
    let dead = |name: &str| {
        let pid = name.strip_prefix(OURS)?.split_once('-')?.0.parse().ok()?;
        let alive = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH);
        (!alive).then_some(())
    };
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(dead).is_some() {
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Writes a result to its file in the folder, by way of the thread's `own` folder.
fn write_file(root: &Path, own: &Path, done: &Done) -> Result<()> {
    let path = root.join(name(done));
    if done.error.is_some() {
        // A file of an earlier run would be mistaken for this run's.
        return fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()));
    }
    write_whole(&path, own, &done.stdout).with_context(|| format!("cannot write {}", path.display()))
}

/// A path with more at its end.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
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

    #[test]
    fn files_also_go_where_a_link_leads() {
        let (root, memory) = (tempfile::tempdir().expect("a folder"), Path::new("/dev/shm"));
        let elsewhere = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let elsewhere = elsewhere.expect("a folder");
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("link")).expect("a link");
        let mut output = Output::new(To::Folder(root.path().into(), None), 3).expect("threads");
        for index in 0..200 {
            let name = ["", "link/", "new/folder/"][index % 3].to_string() + &index.to_string();
            output.put(Done {
                index,
                name: Some(name.into()),
                exit: Some(0),
                stdout: b"whole".into(),
                ..Done::default()
            });
        }
        output.finish(false).expect("written");
        assert!(output.unwritten().is_none());
        for (path, count) in [("", 67 + 2), ("link", 67), ("new/folder", 66)] {
            let path = root.path().join(path);
            assert_eq!(fs::read_dir(&path).expect("a folder").count(), count, "{}", path.display());
        }
        assert_eq!(fs::read(root.path().join("link/1")).expect("a file"), b"whole");
    }
}
