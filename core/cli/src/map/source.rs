//! Inputs of `map`: the files of a folder, which threads read ahead, or the lines of a JSONL file, read one at a time when
//! a VM wants one.

use super::journal::{OURS, Skip};
use super::queue::{LIMITS, Limits, Queue, threads};
use crate::Usage;
use crate::args::{InputArgs, Range};
use anyhow::{Context, Result};
use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use vectorvisor::Bytes;
use vectorvisor_batch::lines::{self, More};

/// One input.
pub struct Item {
    /// Its number, from 0.
    pub index: usize,
    /// The file's path relative to the folder, or the number itself; `None` for a line.
    pub name: Option<PathBuf>,
    /// The guest's standard input, or why there is none.
    pub stdin: Result<Bytes, String>,
    /// What a line gives besides.
    pub more: More,
}

impl Item {
    fn new(index: usize, name: Option<PathBuf>, stdin: Result<Bytes, String>) -> Self {
        Self { index, name, stdin, more: More::default() }
    }
}

/// All inputs, lazily.
pub enum Source {
    /// Files below a folder, in the order of their names.
    Files(Files),
    /// Lines; the reader is gone after an error.
    Lines(Lines),
    /// Numbers.
    Numbers(Numbers),
}

/// The numbers of a range.
pub struct Numbers {
    range: Range,
    next: usize,
    skip: Arc<Skip>,
}

impl Numbers {
    fn text(&self, index: usize) -> String {
        // Within the range, so it does not wrap.
        self.range.first.wrapping_add_unsigned(index as u64).to_string()
    }

    fn number_of(&self, name: &[u8]) -> Option<usize> {
        let number: i64 = std::str::from_utf8(name).ok()?.parse().ok()?;
        let index = usize::try_from(i128::from(number) - i128::from(self.range.first)).ok()?;
        (index < self.range.count).then_some(index)
    }
}

impl Iterator for Numbers {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let index = (self.next..self.range.count).find(|index| !self.skip.has(*index))?;
        self.next = index + 1;
        let text = self.text(index);
        Some(Item::new(index, Some(text.clone().into()), Ok(text.into_bytes().into())))
    }
}

/// Lines of a file or of standard input.
pub struct Lines {
    reader: Option<Box<dyn BufRead + Send>>,
    /// When the file was last changed, nanoseconds since 1970; 0 for what is no file.
    changed: u64,
    next: usize,
    /// A guess of how many there are.
    about: Option<usize>,
    skip: Arc<Skip>,
}

impl Lines {
    fn new(reader: Box<dyn BufRead + Send>, changed: u64, about: Option<usize>) -> Self {
        Self { reader: Some(reader), changed, next: 0, about, skip: Arc::default() }
    }
}

/// When a file was last changed, or replaced, nanoseconds since 1970.
fn changed(about: &fs::Metadata) -> u64 {
    u64::try_from(i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec())).unwrap_or(0)
}

impl Source {
    /// The numbers of `--range`, or what `--in` names. A folder's files are listed now and read later; what lies below `skip`
    /// is left out.
    pub fn of(inputs: &InputArgs, skip: &Path) -> Result<Self> {
        match inputs.range {
            Some(range) => Ok(Self::Numbers(Numbers { range, next: 0, skip: Arc::default() })),
            None => Self::open(inputs.input.as_deref().unwrap_or(Path::new("-")), skip),
        }
    }

    fn open(path: &Path, skip: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Lines(Lines::new(Box::new(BufReader::new(io::stdin())), 0, None)));
        }
        let kind = fs::metadata(path).with_context(|| format!("cannot read the inputs (--in) {}", path.display()))?;
        if kind.is_dir() {
            let mut names = Vec::new();
            let (root, skip) = (fs::canonicalize(path), fs::canonicalize(skip));
            let skip =
                skip.ok().zip(root.ok()).and_then(|(skip, root)| Some(skip.strip_prefix(root).ok()?.to_path_buf()));
            list(path, Path::new(""), skip.as_deref(), &mut names)?;
            let threads = threads(Some(names.len()));
            return Ok(Self::Files(Files::new(path.into(), names, threads, LIMITS)));
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
        let (about, changed) =
            if kind.is_file() { (lines_about(&mut reader, kind.len()), changed(&kind)) } else { (None, 0) };
        Ok(Self::Lines(Lines::new(Box::new(reader), changed, about)))
    }

    /// Begins to read ahead. Files come in the order of their names, or the largest first: they may take longest, and what
    /// begins last should not.
    pub fn start(&mut self, largest_first: bool) -> Result<()> {
        match self {
            Self::Files(files) => files.start(largest_first),
            Self::Lines(_) | Self::Numbers(_) => Ok(()),
        }
    }

    /// Files are not read: guests open them. To be called before [`Source::start`].
    pub fn by_name(&mut self) {
        if let Self::Files(files) = self {
            files.shared.by_name.store(true, Ordering::Relaxed);
        }
    }

    /// What the inputs are, for the journal.
    pub fn kind(&self) -> String {
        match self {
            Self::Files(_) => "files".into(),
            Self::Lines(_) => "lines".into(),
            Self::Numbers(_) => "numbers".into(),
        }
    }

    /// The number of the input whose output has this name.
    pub fn number_of(&self, name: &[u8]) -> Option<usize> {
        match self {
            Self::Files(files) => {
                let name = Path::new(std::ffi::OsStr::from_bytes(name));
                files.shared.names.binary_search_by(|other| other.as_path().cmp(name)).ok()
            }
            Self::Lines(_) => std::str::from_utf8(name).ok()?.parse().ok(),
            Self::Numbers(numbers) => numbers.number_of(name),
        }
    }

    /// Whether this is the name that a JSON line of this input has.
    pub fn is_called(&self, index: usize, name: &str) -> bool {
        match self {
            Self::Files(files) => files.shared.names.get(index).is_some_and(|other| other.to_string_lossy() == name),
            Self::Lines(_) => false,
            Self::Numbers(numbers) => numbers.number_of(name.as_bytes()) == Some(index),
        }
    }

    /// Whether the file of this input was changed since a time, nanoseconds since 1970.
    pub fn changed_since(&self, index: usize, time: u64) -> bool {
        let Self::Files(files) = self else { return false };
        let about = |name| fs::metadata(files.shared.root.join(name)).ok();
        files.shared.names.get(index).and_then(about).is_none_or(|about| changed(&about) > time)
    }

    /// Whether a file of lines was.
    pub fn lines_changed_since(&self, time: u64) -> bool {
        matches!(self, Self::Lines(lines) if lines.changed > time)
    }

    /// Leaves inputs out. To be called before [`Source::start`].
    pub fn skip(&mut self, skip: Arc<Skip>) {
        match self {
            Self::Files(files) => {
                files.left -= skip.among(files.left);
                files.skip = skip;
            }
            Self::Lines(lines) => lines.skip = skip,
            Self::Numbers(numbers) => numbers.skip = skip,
        }
    }

    /// How many inputs are left, if that is known.
    pub fn total(&self) -> Option<usize> {
        match self {
            Self::Files(files) => Some(files.left),
            Self::Lines(_) => None,
            Self::Numbers(numbers) => Some(numbers.range.count - numbers.skip.among(numbers.range.count)),
        }
    }

    /// An estimate of the number of all inputs.
    pub fn about(&self) -> Option<usize> {
        match self {
            Self::Files(_) | Self::Numbers(_) => self.total(),
            Self::Lines(lines) => lines.about,
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

/// Regular files below `root/below`, as paths relative to `root`, in order, without those below `root/skip`. Links to
/// folders are not followed, so there are no cycles.
fn list(root: &Path, below: &Path, skip: Option<&Path>, names: &mut Vec<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    let cannot = || format!("cannot list the folder {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(&folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        // What a run left that was killed is no input, if this was its output.
        if below == Path::new("") && entry.file_name().as_bytes().starts_with(OURS.as_bytes()) {
            continue;
        }
        let kind = entry.file_type().with_context(cannot)?;
        let file = || kind.is_file() || kind.is_symlink() && fs::metadata(entry.path()).map_or(true, |m| m.is_file());
        if kind.is_dir() || file() {
            entries.push((entry.file_name(), kind.is_dir()));
        }
    }
    // Sorted here, whole paths need not be compared.
    entries.sort_unstable();
    for (name, is_folder) in entries {
        let name = below.join(name);
        if !is_folder {
            names.push(name);
        } else if skip != Some(&name) {
            list(root, &name, skip, names)?;
        }
    }
    Ok(())
}

/// The files of a folder, read ahead by threads, which end when this is dropped.
pub struct Files {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    most_threads: usize,
    /// Files that were not taken.
    left: usize,
    skip: Arc<Skip>,
}

struct Shared {
    root: PathBuf,
    /// In order, which is that of their numbers.
    names: Vec<PathBuf>,
    /// The numbers of the files, in the order in which they are read.
    order: OnceLock<Vec<u32>>,
    /// How many of them threads have begun to read.
    begun: AtomicUsize,
    queue: Queue<Item>,
    /// Guests open the files themselves.
    by_name: AtomicBool,
}

impl Files {
    fn new(root: PathBuf, names: Vec<PathBuf>, most_threads: usize, limits: Limits) -> Self {
        let left = names.len();
        let (order, begun) = (OnceLock::new(), AtomicUsize::new(0));
        let shared =
            Arc::new(Shared { root, names, order, begun, queue: Queue::new(limits), by_name: AtomicBool::new(false) });
        Self { shared, threads: Vec::new(), most_threads, left, skip: Arc::default() }
    }

    /// Starts the threads; before that nothing comes.
    fn start(&mut self, largest_first: bool) -> Result<()> {
        let count = u32::try_from(self.shared.names.len()).context("too many files")?;
        let mut order: Vec<u32> = (0..count).filter(|number| !self.skip.has(*number as usize)).collect();
        if largest_first {
            let sizes = self.sizes();
            order.sort_by_key(|number| Reverse(sizes.get(*number as usize)));
        }
        _ = self.shared.order.set(order);
        for _ in 0..self.most_threads {
            let shared = self.shared.clone();
            match thread::Builder::new().name("reader".into()).spawn(move || shared.read()) {
                Ok(thread) => self.threads.push(thread),
                Err(e) if self.threads.is_empty() => return Err(e).context("cannot start a thread that reads files"),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// The size of each file, 0 where it cannot be asked for.
    fn sizes(&self) -> Vec<u64> {
        let size = |name: &PathBuf| fs::metadata(self.shared.root.join(name)).map_or(0, |about| about.len());
        let parts = self.shared.names.chunks(self.shared.names.len().div_ceil(self.most_threads).max(1));
        thread::scope(|scope| {
            let threads: Vec<_> =
                parts.map(|part| scope.spawn(move || part.iter().map(size).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        })
    }
}

impl Iterator for Files {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        self.left = self.left.checked_sub(1)?;
        self.shared.queue.take()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.shared.queue.close();
        for thread in self.threads.drain(..) {
            // It cannot have panicked, and there would be nobody to tell.
            _ = thread.join();
        }
    }
}

impl Shared {
    /// What each thread does: reads the next file, until there is none or the queue is closed.
    fn read(&self) {
        let mut buffer = Vec::new();
        loop {
            let at = self.begun.fetch_add(1, Ordering::Relaxed);
            let Some(index) = self.order.get().and_then(|order| order.get(at)) else { return };
            let Some(name) = self.names.get(*index as usize) else { return };
            if self.by_name.load(Ordering::Relaxed) {
                if !self.queue.reserve(at, 0) {
                    return;
                }
                self.queue.put(at, Item::new(*index as usize, Some(name.clone()), Ok(Bytes::new())), 0);
                continue;
            }
            let opened = File::open(self.root.join(name)).and_then(|file| Ok((file.metadata()?.len(), file)));
            let bytes = opened.as_ref().map_or(0, |(bytes, _)| usize::try_from(*bytes).unwrap_or(usize::MAX));
            if !self.queue.reserve(at, bytes) {
                return;
            }
            let stdin = opened
                .and_then(|(_, file)| whole(file, bytes, &mut buffer))
                .map_err(|e| format!("cannot read the input: {e}"));
            self.queue.put(at, Item::new(*index as usize, Some(name.clone()), stdin), bytes);
        }
    }
}

/// What a file has, which is probably so many `bytes`. The `buffer` is used again for the next.
fn whole(file: File, bytes: usize, buffer: &mut Vec<u8>) -> io::Result<Bytes> {
    /// The most that a thread keeps.
    const KEPT: usize = 1 << 20;
    buffer.clear();
    buffer.shrink_to(KEPT);
    buffer.try_reserve_exact(bytes)?;
    // Through `take`, or the file's size would be asked for again.
    file.take(u64::MAX).read_to_end(buffer)?;
    Ok(Bytes::copy_from_slice(buffer))
}

impl Iterator for Source {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        match self {
            Self::Files(files) => files.next(),
            Self::Lines(lines) => lines.next(),
            Self::Numbers(numbers) => numbers.next(),
        }
    }
}

impl Iterator for Lines {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            let mut line = Vec::new();
            let read = self.reader.as_mut()?.read_until(b'\n', &mut line);
            let index = self.next;
            self.next += 1;
            let mut more = More::default();
            let stdin = match read {
                Ok(0) => return None,
                Ok(_) if self.skip.has(index) => continue,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                        if line.last() == Some(&b'\r') {
                            line.pop();
                        }
                    }
                    lines::given(line).map(|(given, own)| {
                        more = own;
                        given.stdin
                    })
                }
                Err(e) => {
                    self.reader = None;
                    Err(format!("cannot read this line of the inputs, nor those after it: {e}"))
                }
            };
            return Some(Item { more, ..Item::new(index, None, stdin.map(|bytes| bytes.into_boxed_slice().into())) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_guessed_from_the_first() {
        let mut reader = BufReader::with_capacity(10, &b"1234\n6789\nabcd\n"[..]);
        assert_eq!(lines_about(&mut reader, 5000), Some(1000));
        assert_eq!(reader.lines().count(), 3, "none is taken");
        assert_eq!(lines_about(&mut &b"no end"[..], 6), None);
    }

    #[test]
    fn line_ends_are_not_input_and_blank_lines_are() {
        let reader: Box<dyn BufRead + Send> = Box::new(&b"a\r\n\nlast"[..]);
        let items: Vec<_> = Lines::new(reader, 0, None).map(|i| (i.index, i.stdin)).collect();
        assert_eq!(items, [(0, Ok(b"a"[..].into())), (1, Ok(b""[..].into())), (2, Ok(b"last"[..].into()))]);
    }

    /// Files with these names, each with its own name in it.
    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::TempDir::new().expect("a folder");
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, name).expect("a file");
        }
        root
    }

    fn files(root: &Path, threads: usize, limits: Limits) -> Files {
        let mut names = Vec::new();
        list(root, Path::new(""), None, &mut names).expect("a list");
        let mut files = Files::new(root.into(), names, threads, limits);
        files.start(false).expect("threads");
        files
    }

    #[test]
    fn files_are_listed_in_the_order_of_their_paths() {
        let root = folder_of(&["b", "a.txt", "a/z", "a/b/c", "a0", "a/b.c", "A", "a-/x"]);
        let mut names = Vec::new();
        list(root.path(), Path::new(""), None, &mut names).expect("a list");
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names.len(), 8);
        let mut without = Source::open(root.path(), &root.path().join("a-/../a")).expect("a folder");
        without.start(false).expect("threads");
        let names: Vec<_> = without.filter_map(|item| item.name).collect();
        assert_eq!(names, ["A", "a-/x", "a.txt", "a0", "b"].map(PathBuf::from));
    }

    #[test]
    fn the_largest_files_come_first_and_keep_their_numbers() {
        let root = tempfile::tempdir().expect("a folder");
        for (name, bytes) in [("a", 3), ("b", 70_000), ("c", 0), ("d", 3), ("e", 500)] {
            fs::write(root.path().join(name), vec![b'x'; bytes]).expect("written");
        }
        let mut source = Source::open(root.path(), Path::new("none")).expect("a folder");
        source.start(true).expect("threads");
        let items: Vec<_> = source.map(|item| (item.index, item.stdin.map_or(0, |bytes| bytes.len()))).collect();
        assert_eq!(items, [(1, 70_000), (4, 500), (0, 3), (3, 3), (2, 0)]);
    }

    #[test]
    fn files_that_are_read_ahead_keep_their_order_and_their_errors() {
        let names: Vec<String> = (0..500).map(|i| format!("{}/{i:03}", i / 100)).collect();
        let root = folder_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for bad in [7, 499] {
            let path = root.path().join(&names[bad]);
            fs::remove_file(&path).expect("removed");
            std::os::unix::fs::symlink("nowhere", path).expect("a link");
        }
        // A file has 5 bytes, so each is as large as the first bound.
        for limits in [Limits { bytes: 5, count: 2 }, Limits { bytes: 3, count: 100 }, LIMITS] {
            let mut files = files(root.path(), 4, limits);
            assert_eq!(files.left, 500);
            for (index, name) in names.iter().enumerate() {
                let item = files.next().expect("an item");
                assert_eq!((item.index, item.name.as_deref()), (index, Some(Path::new(name))));
                match item.stdin {
                    Ok(bytes) => assert_eq!(*bytes, *name.as_bytes()),
                    Err(why) => assert!((index == 7 || index == 499) && why.contains("No such file"), "{why}"),
                }
            }
            assert!(files.next().is_none() && files.left == 0);
        }
    }

    #[test]
    fn no_thread_outlives_its_source() {
        let names: Vec<String> = (0..200).map(|i| i.to_string()).collect();
        let root = folder_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut files = files(root.path(), 4, Limits { bytes: 1 << 20, count: 3 });
        assert!(files.by_ref().take(5).all(|item| item.stdin.is_ok()));
        let shared = Arc::downgrade(&files.shared);
        drop(files);
        assert!(shared.upgrade().is_none());
    }
}
