//! `vectorvisor run`: one program, the same arguments and standard input for every VM.

use crate::args::{self, RunArgs};
use crate::map::profile::usual_targets;
use crate::report::{self, Progress};
use crate::{Usage, interrupt, setup};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use vectorvisor::{Bytes, End, Entry, FilesAt, Fleet, Input, Outcome, Program, ProgramOptions, Stage, ValType, Value};

/// Wasmtime's exit code after a trap, which is a shell's after SIGABRT.
const TRAPPED: i32 = 134;

/// Runs the subcommand; returns the exit code.
pub fn run(args: &RunArgs) -> Result<i32> {
    let (path, guest) = program_and_arguments(args)?;
    // After an explicit `--` there is no note. The parser removes one in front of the guest's arguments, so it is
    // looked for in the process's own arguments.
    let own = std::env::args_os().count().saturating_sub(guest.len());
    let separated = std::env::args_os().take(own).any(|word| word == "--");
    let mut words = guest.iter().take_while(|word| !separated && *word != "--");
    if let Some(word) = words.find(|word| args::is_ours(word)) {
        let why = "stands after the program, so it goes to the guest; vectorvisor's options stand before the program";
        report::note(args.vm_args.quiet, &format!("{word} {why}"));
    }
    let bytes = setup::read(&path)?;
    let mut progress = Progress::new(args.vm_args.quiet, true);
    let engine = setup::engine(&args.device)?;
    let given = setup::files(&args.vm_args.files, [&bytes[..]])?;
    let program = program(args, &engine, &path, &bytes, setup::files_at(given.as_ref()), &mut progress)?;
    let entry = entry(args, &program)?;
    // Arguments of a call are the export's; of a command, the program's.
    let typed = args.invoke.is_some() || entry.name != "_start";
    let (values, guest) = if typed { (arguments(entry, &guest)?, Vec::new()) } else { (Vec::new(), guest) };

    let longest = values.iter().map(Argument::count).max().unwrap_or(1);
    let vms = match args.vms {
        Some(n) => n,
        None => u32::try_from(longest)
            .map_err(|_| Usage(format!("a range of {longest} values is too long; shorten it or give --vms")))?,
    };
    let chosen = args.vm.unwrap_or(0);
    if chosen >= vms {
        return Err(Usage(format!("--vm {chosen}: VMs are numbered from 0 to {}", vms - 1)).into());
    }
    let stdin = stdin_for(program.wasm())?;
    let options = setup::fleet_options(&args.vm_args, &path, &guest, args.vms, given)?;
    let name = entry.name.clone();
    let mut inputs = (0..vms).map(|vm| Input {
        stdin: stdin.clone(),
        args: values.iter().map(|a| a.of(vm)).collect(),
        ..Input::default()
    });
    let mut fleet = Fleet::new(&program, &options, Some(vms as usize))?;
    interrupt::stops(fleet.cancel_handle());

    let mut results = Results {
        all: args.all,
        chosen: chosen as usize,
        vms: vms as usize,
        print_values: typed || args.printreturn,
        ..Results::default()
    };
    progress.begin(Some(vms as usize));
    let progress = RefCell::new(progress);
    let mut outcome = |outcome: Outcome| {
        let mut progress = progress.borrow_mut();
        if results.prints(&outcome) {
            progress.aside(|| results.add(outcome));
        } else {
            results.add(outcome);
        }
        progress.step(results.failures());
    };
    let mut stage = |stage: Stage<'_>| progress.borrow_mut().stage(stage);
    let autotuning = setup::autotuning(&args.translate);
    let ran = fleet.run_autotuned(&name, autotuning, Some(vms as usize), &mut inputs, &mut outcome, &mut stage);
    progress.borrow().end();
    let code = results.finish();
    if code.as_ref().is_ok_and(|code| *code != 0) {
        report::hint_of_files(args.vm_args.quiet, &program, args.vm_args.files.given());
    }
    let summary = ran?;
    if summary.cancelled {
        report::line(&format!("vectorvisor: interrupted; VMs that had ended: {} of {vms}", summary.delivered));
        return code.map(|_| interrupt::INTERRUPTED);
    }
    code
}

fn program_and_arguments(args: &RunArgs) -> Result<(PathBuf, Vec<String>)> {
    let mut words = args.program_and_args.iter();
    let path = match (&args.input, words.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [path, ..]) => {
            words.next();
            PathBuf::from(path)
        }
        (None, []) => return Err(Usage("no program is given: vectorvisor run [OPTIONS] PROG [ARGS]...".into()).into()),
    };
    let text = |word: &OsString| match word.to_str() {
        Some(text) => Ok(text.to_string()),
        None => Err(Usage(format!("the argument {} is not UTF-8, which no guest can be given", word.display()))),
    };
    Ok((path, words.map(text).collect::<std::result::Result<_, _>>()?))
}

fn program(
    args: &RunArgs,
    engine: &vectorvisor::Engine,
    path: &Path,
    bytes: &[u8],
    files: FilesAt,
    progress: &mut Progress,
) -> Result<Program> {
    let roots = setup::roots(args.invoke.as_deref(), args.printreturn);
    let options = setup::program_options(&args.translate, &roots, files, engine.info())?;
    let usual_targets = usual_targets(&args.translate.profile_use, path, bytes)?;
    let options = ProgramOptions { usual_targets, ..options };
    let mut tell = |stage: Stage<'_>| progress.stage(stage);
    setup::program(engine, path, bytes, &args.translate, &options, args.vms.is_some_and(|vms| vms > 1), &mut tell)
        .map_err(setup::usage)
}

/// What `--invoke` names, or `_start`; with `--printreturn` also the only export of a program that has no `_start`.
fn entry<'a>(args: &RunArgs, program: &'a Program) -> Result<&'a Entry> {
    let name = args.invoke.as_deref().unwrap_or("_start");
    match (program.entry(name), program.meta().entries.as_slice()) {
        (Some(entry), _) => Ok(entry),
        (None, [only]) if args.invoke.is_none() => Ok(only),
        (None, entries) => {
            let names: Vec<_> = entries.iter().map(|e| e.name.as_str()).collect();
            let text = format!(
                "the program exports no function {name:?}; it exports {}; name one with --invoke",
                names.join(", ")
            );
            Err(Usage(text).into())
        }
    }
}

/// Standard input for every VM. Empty if it is a terminal, or if the program could not read it anyway: then the
/// command must not wait for a pipe that stays open.
fn stdin_for(wasm: &[u8]) -> Result<Bytes> {
    let mut bytes = Vec::new();
    if !io::stdin().is_terminal() && reads(wasm) {
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    }
    Ok(bytes.into())
}

/// Whether a program names a call that gives it its input.
fn reads(wasm: &[u8]) -> bool {
    [&b"fd_read"[..], b"serverless_invoke"].iter().any(|name| wasm.windows(name.len()).any(|w| w == *name))
}

/// An argument of `--invoke`.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    /// The same for every VM.
    Same(Value),
    /// Integers `first .. first + count`, one for each VM, repeated cyclically.
    Range { wide: bool, first: i64, count: u64 },
}

impl Argument {
    fn parse(ty: ValType, text: &str) -> Result<Self> {
        let wrong = |why: &str| Usage(format!("the range {text:?} {why}; write 0..20 (without 20) or 0..=19"));
        let Some((from, to)) = text.split_once("..") else {
            return Ok(Self::Same(Value::parse(ty, text).map_err(|e| Usage(e.to_string()))?));
        };
        let wide = match ty {
            ValType::I32 => false,
            ValType::I64 => true,
            ValType::F32 | ValType::F64 => {
                return Err(wrong("stands for a floating-point parameter, but only integers have ranges").into());
            }
        };
        let (to, inclusive) = to.strip_prefix('=').map_or((to, false), |to| (to, true));
        let bound = |text: &str| match Value::parse(ty, text) {
            Ok(Value::I32(v)) => Ok(i128::from(v)),
            Ok(Value::I64(v)) => Ok(i128::from(v)),
            _ => Err(wrong("does not have two integers that fit the parameter")),
        };
        let (first, end) = (bound(from)?, bound(to)? + i128::from(inclusive));
        if end <= first {
            return Err(wrong("is empty").into());
        }
        let count = u64::try_from(end - first).map_err(|_| wrong("is too long"))?;
        let first = i64::try_from(first).map_err(|_| wrong("does not fit the parameter"))?;
        Ok(Self::Range { wide, first, count })
    }

    fn count(&self) -> u64 {
        match self {
            Self::Same(_) => 1,
            Self::Range { count, .. } => *count,
        }
    }

    /// The value for one VM.
    fn of(&self, vm: u32) -> Value {
        match *self {
            Self::Same(value) => value,
            Self::Range { wide, first, count } => {
                // Below the range's end, so neither sum nor conversion wraps.
                let value = first.wrapping_add((u64::from(vm) % count) as i64);
                if wide { Value::I64(value) } else { Value::I32(value as i32) }
            }
        }
    }
}

fn arguments(entry: &Entry, texts: &[String]) -> Result<Vec<Argument>> {
    if texts.len() != entry.params.len() {
        let types: Vec<_> = entry.params.iter().map(|t| format!("{t:?}").to_lowercase()).collect();
        let (name, want, got) = (&entry.name, types.len(), texts.len());
        return Err(
            Usage(format!("{name} takes {want} argument(s) ({}), but {got} were given", types.join(", "))).into()
        );
    }
    entry.params.iter().zip(texts).map(|(ty, text)| Argument::parse(*ty, text)).collect()
}

/// Prints outcomes and sums up those of many VMs.
#[derive(Default)]
struct Results {
    all: bool,
    chosen: usize,
    vms: usize,
    print_values: bool,
    /// Result values and failures as text -> first VM, how many VMs.
    values: HashMap<String, (usize, usize)>,
    failed: HashMap<String, (usize, usize)>,
    /// The first VM that did not end with 0, and its exit code.
    worst: Option<(usize, i32)>,
    /// With `all`: outcomes that wait for those of earlier VMs, and the next VM to print.
    held: BTreeMap<usize, Outcome>,
    next: usize,
    /// Our own output failed.
    broken: Option<io::Error>,
}

impl Results {
    fn failures(&self) -> usize {
        self.failed.values().map(|(_, n)| n).sum()
    }

    /// Whether [`Results::add`] writes something at once.
    fn prints(&self, outcome: &Outcome) -> bool {
        self.all || outcome.index == self.chosen
    }

    fn add(&mut self, outcome: Outcome) {
        let code = match &outcome.end {
            End::Exit(code) => *code,
            End::TooLong { .. } | End::Failed(_) => 1,
            End::Trap(_) | End::OutOfFuel(_) | End::Timeout(_) => TRAPPED,
        };
        if code != 0 && self.worst.is_none_or(|(vm, _)| outcome.index < vm) {
            self.worst = Some((outcome.index, code));
        }
        let why = match &outcome.end {
            // The exit code of the only VM becomes ours, as for any command.
            End::Exit(code) if self.vms == 1 && status(*code) == *code => report::advice(&outcome),
            _ => report::failure(&outcome),
        };
        let count = |map: &mut HashMap<String, (usize, usize)>, text| {
            let (first, n) = map.entry(text).or_insert((outcome.index, 0));
            *first = outcome.index.min(*first);
            *n += 1;
        };
        if let Some(why) = why {
            count(&mut self.failed, why);
        }
        if self.print_values && !self.all && !outcome.values.is_empty() {
            let separator = if self.vms == 1 { "\n" } else { ", " };
            count(&mut self.values, text_of(&outcome.values, separator));
        }
        if self.all {
            self.held.insert(outcome.index, outcome);
            while let Some(outcome) = self.held.remove(&self.next) {
                self.next += 1;
                self.print_labelled(&outcome);
            }
        } else if self.prints(&outcome) {
            self.write_out(&outcome.stdout);
            // Standard error may be closed.
            let _ = io::stderr().lock().write_all(&outcome.stderr);
        }
    }

    fn print_labelled(&mut self, outcome: &Outcome) {
        let label = format!("[{}] ", outcome.index);
        let _ = io::stderr().lock().write_all(&labelled(&label, &outcome.stderr));
        self.write_out(&labelled(&label, &outcome.stdout));
        if self.print_values && !outcome.values.is_empty() {
            self.write_out(format!("{label}{}\n", text_of(&outcome.values, ", ")).as_bytes());
        }
    }

    fn write_out(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.broken = io::stdout().lock().write_all(bytes).err();
        }
    }

    /// Prints the results that are only known at the end; returns the exit code.
    fn finish(mut self) -> Result<i32> {
        // Only if the run ended early.
        for outcome in std::mem::take(&mut self.held).into_values() {
            self.print_labelled(&outcome);
        }
        let mut values: Vec<_> = std::mem::take(&mut self.values).into_iter().collect();
        values.sort_unstable_by_key(|(_, (first, _))| *first);
        for (text, (_, count)) in values {
            let line = match (self.vms, count) {
                (1, _) => format!("{text}\n"),
                (_, 1) => format!("{text}  (1 VM)\n"),
                (_, n) => format!("{text}  ({n} VMs)\n"),
            };
            self.write_out(line.as_bytes());
        }
        self.broken = self.broken.or_else(|| io::stdout().flush().err());
        report::failed_vms(self.failed.into_iter().map(|(why, (first, n))| (first, (why, n))).collect(), self.vms);
        let worst = self.worst.map(|(_, code)| status(code));
        match (self.broken, worst) {
            // Whoever reads our output may stop, as `head` does, but that makes no success of a failure.
            (Some(e), Some(code)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(code),
            (Some(e), _) => Err(e).context("cannot write standard output"),
            (None, worst) => Ok(worst.unwrap_or(0)),
        }
    }
}

/// A guest's exit code as the status of a process, which has 8 bits: 1 if they would tell of success and it was none.
fn status(code: i32) -> i32 {
    match code & 0xff {
        0 if code != 0 => 1,
        low => low,
    }
}

fn text_of(values: &[Value], separator: &str) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(separator)
}

/// Every line with the label in front, the last one ended.
fn labelled(label: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(line);
    }
    if out.last().is_some_and(|b| *b != b'\n') {
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(ty: ValType, text: &str) -> Result<(u64, Value, Value)> {
        let argument = Argument::parse(ty, text)?;
        let last = u32::try_from(argument.count() - 1).expect("a short range");
        Ok((argument.count(), argument.of(0), argument.of(last)))
    }

    #[test]
    fn ranges_are_half_open_or_inclusive() -> Result<()> {
        assert_eq!(range(ValType::I32, "0..20")?, (20, Value::I32(0), Value::I32(19)));
        assert_eq!(range(ValType::I64, "-3..=3")?, (7, Value::I64(-3), Value::I64(3)));
        assert_eq!(range(ValType::I64, "7")?, (1, Value::I64(7), Value::I64(7)));
        assert_eq!(Argument::parse(ValType::I32, "5..8")?.of(4), Value::I32(6));
        let top = Argument::parse(ValType::I64, "9223372036854775806..=9223372036854775807")?;
        assert_eq!(top.of(1), Value::I64(i64::MAX));
        Ok(())
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (ty, text) in [
            (ValType::I32, "3..3"),
            (ValType::I32, "4..=3"),
            (ValType::I32, "..3"),
            (ValType::F64, "0..3"),
            (ValType::I32, "x"),
        ] {
            let error = Argument::parse(ty, text).expect_err(text);
            assert!(error.is::<Usage>(), "{error}");
        }
    }

    #[test]
    fn labels_stand_before_every_line() {
        assert_eq!(labelled("[1] ", b"a\nb"), b"[1] a\n[1] b\n");
        assert_eq!(labelled("[1] ", b"a\n\n"), b"[1] a\n[1] \n");
        assert_eq!(labelled("[1] ", b""), b"");
    }
}
