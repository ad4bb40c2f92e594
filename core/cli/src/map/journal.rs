//! The journal: what an earlier `map` did, so that another can go on where it was killed.
//!
//! It lies in the output's folder, or beside the file of JSON lines, and begins with what the results depend on. For a
//! folder a record follows for each input, once its file is in its place; a file of JSON lines tells that itself. Nothing
//! is synced: what a killed process wrote stands, and an input whose record is missing runs again.

use super::lines::{Earlier, Files};
use super::source::Source;
use crate::Usage;
use crate::args::{EndArgs, MapArgs};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Names that begin like this are ours, in a folder of outputs.
pub const OURS: &str = ".vectorvisor-";
/// Ends the header and each record: no name contains it.
const END: u8 = 0;
/// What a record begins with.
const SUCCEEDED: u8 = b'+';
const FAILED: u8 = b'-';
/// What begins the time at which a run began that goes on.
const BEGAN: u8 = b'@';

/// What results depend on. How they are computed (device, VMs) may change, and so may limits, such as `--timeout`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the first run began, nanoseconds since 1970.
    began: u64,
    /// Hash of the program.
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// Files that are outputs.
    #[serde(default)]
    collect: Vec<String>,
    /// The kind of input.
    inputs: String,
}

impl Header {
    /// That of a run that begins now.
    pub fn new(args: &MapArgs, program: &[u8], source: &Source) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            began: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            program: blake3::hash(program).to_hex().to_string(),
            args: args.args.clone(),
            env: args.vm_args.env.clone(),
            collect: args.collect.clone(),
            inputs: source.kind(),
        }
    }

    /// What is different now.
    fn difference(&self, now: &Self) -> Option<&'static str> {
        match now {
            _ if self.program != now.program => Some("the program is not that"),
            _ if self.args != now.args => Some("the guest's arguments are not those"),
            _ if self.env != now.env => Some("the guest's environment (--env) is not that"),
            _ if self.collect != now.collect => Some("the files that are outputs (--collect) are not those"),
            _ if self.inputs != now.inputs => Some("the kind of inputs is not that"),
            _ => None,
        }
    }
}

/// An open journal, which no other process has.
pub struct Journal {
    file: File,
    path: PathBuf,
    /// A record may be cut, so none may follow.
    broken: AtomicBool,
}

impl Journal {
    /// Where the journal of an output is.
    pub fn path(output: &Path, for_lines: bool) -> PathBuf {
        if !for_lines {
            return output.join(format!("{OURS}journal"));
        }
        super::output::with_suffix(output, ".journal")
    }

    /// Opens the journal to write to it; `None` if another process has it.
    pub fn open(path: PathBuf) -> Result<Option<Self>> {
        let cannot = || format!("cannot write the journal {}", path.display());
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path).with_context(cannot)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Where files cannot be locked nobody is kept out.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        Ok(Some(Self { file, path, broken: AtomicBool::new(false) }))
    }

    /// Forgets what is there.
    pub fn clear(&self) -> Result<()> {
        self.file.set_len(0).with_context(|| format!("cannot write the journal {}", self.path.display()))
    }

    /// Begins with a header, or goes on after the last whole record.
    pub fn begin(&self, header: &Header) -> Result<()> {
        let cannot = || format!("cannot write the journal {}", self.path.display());
        let bytes = fs::read(&self.path).with_context(cannot)?;
        let whole = bytes.iter().rposition(|b| *b == END).map_or(0, |at| at + 1);
        self.file.set_len(whole as u64).with_context(cannot)?;
        let mut bytes = match whole {
            0 => serde_json::to_vec(header).with_context(cannot)?,
            _ => format!("{}{}", char::from(BEGAN), header.began).into(),
        };
        bytes.push(END);
        (&self.file).write_all(&bytes).with_context(cannot)
    }

    /// Notes that this input is done. An error is none of the input's: at worst it runs again.
    pub fn record(&self, name: &Path, succeeded: bool) {
        let mut bytes = vec![if succeeded { SUCCEEDED } else { FAILED }];
        bytes.extend(name.as_os_str().as_bytes());
        bytes.push(END);
        if !self.broken.load(Ordering::Relaxed) && (&self.file).write_all(&bytes).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Removes it.
    pub fn remove(&self) {
        _ = fs::remove_file(&self.path);
    }
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    succeeded: bool,
    /// When the run began that wrote it.
    began: u64,
}

/// The record of each name.
type Records = HashMap<Vec<u8>, Record>;

/// The header and the records; `None` if there is no whole header.
fn read(path: &Path) -> Result<Option<(Header, Records)>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read the journal {}", path.display())),
    };
    let whole = bytes.iter().rposition(|b| *b == END).unwrap_or(0);
    let mut parts = bytes[..whole].split(|b| *b == END);
    let header = parts.next().filter(|header| !header.is_empty());
    let Some(header) = header else { return Ok(None) };
    let header: Header = serde_json::from_slice(header)
        .map_err(|_| Usage(format!("{} is no journal of this version; remove it", path.display())))?;
    let (mut began, mut records) = (header.began, Records::new());
    for part in parts {
        match part.split_first() {
            Some((&BEGAN, time)) => {
                began = std::str::from_utf8(time).ok().and_then(|t| t.parse().ok()).unwrap_or(began)
            }
            // The last one of a name counts.
            Some((kind, name)) => _ = records.insert(name.to_vec(), Record { succeeded: *kind == SUCCEEDED, began }),
            None => {}
        }
    }
    Ok(Some((header, records)))
}

/// Inputs that do not run, by their number.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skip {
    listed: Vec<bool>,
    /// Those that are not listed.
    others: bool,
}

impl Skip {
    /// Whether an input does not run.
    pub fn has(&self, index: usize) -> bool {
        self.listed.get(index).copied().unwrap_or(self.others)
    }

    /// How many of the first `count` inputs do not run; none after them is listed.
    pub fn among(&self, count: usize) -> usize {
        let others = if self.others { count - self.listed.len() } else { 0 };
        self.listed.iter().filter(|skipped| **skipped).count() + others
    }

    fn set(&mut self, index: usize, skipped: bool) {
        if self.listed.len() <= index {
            self.listed.resize(index + 1, self.others);
        }
        self.listed[index] = skipped;
    }
}

/// What an earlier run left to do.
#[derive(Default)]
pub struct Resumed {
    pub skip: Arc<Skip>,
    /// Inputs that were done, and those of them that failed and do not run again.
    pub done: usize,
    pub failed: usize,
}

impl Resumed {
    /// Finds out what `--resume` and `--retry-failed` are to run; `None` if there was no earlier run.
    pub fn find(args: &MapArgs, header: &Header, source: &Source, for_lines: bool) -> Result<Option<Self>> {
        let (output, end) = (&args.output, &args.end);
        let refused = |why: String| Err(Usage(why).into());
        let option = if end.resume { "--resume" } else { "--retry-failed" };
        if !can_resume(output) {
            let name = output.display();
            return refused(format!("{option} needs outputs that stay, which those to --out {name} do not"));
        }
        let Some((before, records)) = read(&Journal::path(output, for_lines))? else { return Ok(None) };
        if let Some(what) = before.difference(header) {
            let text = format!(
                "{option}: {what} of the run that wrote {}; begin again without {option}, or name another --out",
                output.display()
            );
            return refused(text);
        }
        if source.lines_changed_since(before.began) {
            let text = format!(
                "{option}: the inputs (--in) were changed since the first run began, so lines may not be those that they \
                 were; begin again without {option}, or name another --out"
            );
            return refused(text);
        }
        let results =
            if for_lines { of_lines(output, end, source, before.began)? } else { of_records(records, output, source) };
        let mut skip = Skip { listed: Vec::new(), others: !end.resume };
        let mut resumed = Self::default();
        for (index, Record { succeeded, began }) in results {
            let again = !succeeded && end.retry_failed || end.resume && source.changed_since(index, began);
            skip.set(index, !again);
            resumed.done += usize::from(!again);
            resumed.failed += usize::from(!again && !succeeded);
        }
        resumed.skip = Arc::new(skip);
        Ok(Some(resumed))
    }
}

/// Whether outputs stay: not where they go to a pipe.
pub fn can_resume(output: &Path) -> bool {
    output != Path::new("-") && fs::metadata(output).map_or(true, |there| there.is_file() || there.is_dir())
}

/// Those whose outputs are still there, by the input's number.
fn of_records(records: Records, output: &Path, source: &Source) -> Vec<(usize, Record)> {
    let there = |name: &[u8]| fs::metadata(output.join(std::ffi::OsStr::from_bytes(name))).is_ok();
    let kept = records.into_iter().filter(|(name, record)| !record.succeeded || there(name));
    kept.filter_map(|(name, record)| Some((source.number_of(&name)?, record))).collect()
}

/// Results of the lines that there are, by the input's number.
fn of_lines(output: &Path, end: &EndArgs, source: &Source, began: u64) -> Result<Vec<(usize, Record)>> {
    let files = Files::of(output);
    if !end.resume && !files.unfinished().is_empty() {
        let text = format!("{} is incomplete, so --retry-failed also needs --resume", output.display());
        return Err(Usage(text).into());
    }
    let mut results = Vec::new();
    let mut earlier = Earlier::open(&files.present())?;
    while let Some(line) = earlier.take() {
        if let Some(name) = &line.name
            && !source.is_called(line.index, name)
        {
            let text = format!(
                "the inputs are not those of the run that wrote {}: its line {} is of {name}; begin again without \
                 --resume and --retry-failed, or name another --out",
                output.display(),
                line.index + 1
            );
            return Err(Usage(text).into());
        }
        results.push((line.index, Record { succeeded: line.succeeded, began }));
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_record_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let (program, inputs) = ("p".into(), "files".into());
        let header = Header { began: 7, program, args: vec![], env: vec![], collect: vec![], inputs };
        let open = || Journal::open(path.clone()).expect("opened").expect("free");
        let journal = open();
        journal.begin(&header).expect("written");
        journal.record(Path::new("a\nb"), true);
        journal.record(Path::new("c"), false);
        assert!(Journal::open(path.clone()).expect("opened").is_none(), "it is locked");
        drop(journal);
        let bytes = fs::read(&path).expect("a journal");
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("cut");
            let records = read(&path).expect("read").map_or(0, |(_, records)| records.len());
            let journal = open();
            journal.begin(&Header { began: 8, ..header.clone() }).expect("written");
            journal.record(Path::new("d"), true);
            let (again, after) = read(&path).expect("read").expect("a header");
            assert_eq!((again.program, after.len()), ("p".into(), records + 1), "{cut}");
            assert_eq!(after[&b"d"[..]], Record { succeeded: true, began: 8 });
            let first = Record { succeeded: true, began: 7 };
            assert!(records < 1 || after[&b"a\nb"[..]] == first);
        }
    }

    #[test]
    fn what_is_not_listed_is_skipped_or_not() {
        for others in [false, true] {
            let mut skip = Skip { listed: Vec::new(), others };
            skip.set(2, !others);
            assert_eq!([0, 1, 2, 3].map(|index| skip.has(index)), [others, others, !others, others]);
            assert_eq!(skip.among(5), if others { 4 } else { 1 });
        }
    }
}
