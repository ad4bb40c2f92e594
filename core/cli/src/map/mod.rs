//! `vectorvisor map`: a VM for each input, standard input in, standard output out.

mod devices;
mod given;
mod journal;
mod lines;
mod output;
pub mod profile;
mod queue;
mod source;
mod stats;
mod stop;

pub use devices::names;

use crate::args::{MapArgs, ProgressArg};
use crate::report::{self, Failures, Progress};
use crate::{Usage, interrupt, setup};
use anyhow::{Context, Result};
use devices::{Opening, Prepared};
use given::Template;
use journal::{Header, Resumed};
use output::{Done, Output, Unwritten};
use source::Source;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use stop::{Stop, Stops};
use vectorvisor::{End, Fleet, Input, Outcome, ProgramOptions, Stage, Trace};

/// What runs the inputs.
enum Runs {
    One(Box<Fleet>),
    Several(Prepared),
}

/// Runs the subcommand; returns the exit code.
pub fn map(args: &MapArgs) -> Result<i32> {
    let (quiet, begin) = (args.vm_args.quiet, Instant::now());
    if let Some(input) = &args.inputs.input
        && same_place(input, &args.output)
    {
        let text =
            format!("--in and --out are both {}, so outputs would replace inputs; name another --out", input.display());
        return Err(Usage(text).into());
    }
    // Checked before anything takes time.
    let for_lines = Output::is_for_lines(&args.output)?;
    let progress = Arc::new(Mutex::new(match args.progress {
        ProgressArg::Json => Progress::json(quiet)?,
        // Lines on standard output and a bar may share a terminal.
        ProgressArg::Auto => Progress::new(quiet, args.output != Path::new("-")),
    }));
    let _last_line = LastLine(progress.clone());
    let bytes = setup::read(&args.inputs.program)?;
    let (drivers, devices) = setup::devices(&args.device)?;
    // Guests that are told paths of inputs have to be able to open them.
    let (folder, root) = given::root(args.inputs.input.as_deref(), &args.args, &args.vm_args.files);
    let vm_args = given::with_folder(&args.vm_args, folder);
    let given = setup::files(&vm_args.files, [&bytes[..]])?;
    let mut options = setup::fleet_options(&vm_args, &args.inputs.program, &args.args, args.inputs.vms, given)?;
    options.trace = args.trace.as_ref().map(|_| match devices.as_slice() {
        [_] => Trace::default(),
        several => Trace::of_devices(&names(several)),
    });
    let (names, mut opening) = (names(&devices), Opening::all(drivers, &devices, setup::quirks(&args.device))?);
    let mut source = Source::of(&args.inputs, &args.output)?;
    let scratch = vm_args.files.scratch.is_some();
    let template = Template::new(&options.args, &args.collect, scratch, root, &mut source, for_lines)?;
    options.own_arguments = template.own_arguments(&source);
    let header = Header::new(args, &bytes, &source);
    let resumed = resumed(args, &header, &mut source, for_lines)?;
    let (skip, before) = resumed.as_ref().map_or((None, 0), |earlier| (Some(earlier.skip.clone()), earlier.failed));
    let (count, about) = (source.total(), source.about());
    if count == Some(0) || resumed.is_none() && args.end.retry_failed && !args.end.resume {
        if resumed.is_none() {
            let text = match &args.inputs.input {
                Some(input) if count == Some(0) => format!("{} has no files", input.display()),
                _ => format!("no earlier run with failed inputs wrote {}", args.output.display()),
            };
            report::note(quiet, &format!("{text}, so there is nothing to do"));
        }
        if count == Some(0) {
            let mut output = Output::open(&args.output, count, &header, skip.as_ref())?;
            output.finish(false)?;
            if resumed.is_none() {
                output.forget();
            }
        }
        return Ok(i32::from(before > 0));
    }

    let mut phase = begin;
    let mut ended = |name| {
        let began = std::mem::replace(&mut phase, Instant::now());
        if let Some(trace) = &options.trace {
            trace.span(name, began);
        }
    };
    ended("list inputs");
    // Lines come in the order of the inputs, and would have to wait in memory for the last. Random numbers of a seed depend
    // on the order, too.
    let may_sort = !for_lines && args.vm_args.seed.is_none();
    let (mut runs, output) = match opening.pop_if(|_| devices.len() == 1) {
        Some(opening) => {
            let engine = opening.engine()?;
            ended("open device");
            let files = setup::files_at(options.files.as_ref());
            let usual_targets = profile::usual_targets(&args.translate.profile_use, &args.inputs.program, &bytes)?;
            let usual = setup::program_options(&args.translate, &["_start"], files, engine.info())?;
            let program_options = ProgramOptions { usual_targets, ..usual };
            let mut tell = |stage: Stage<'_>| lock(&progress).stage(stage);
            let program = setup::program(
                &engine,
                &args.inputs.program,
                &bytes,
                &args.translate,
                &program_options,
                true,
                &mut tell,
            )?;
            ended("load program");
            let largest_first = may_sort && program.likes_largest_first();
            let (fleet, output) = thread::scope(|scope| -> Result<_> {
                let allocate = || Fleet::new(&program, &options, count);
                let allocating = thread::Builder::new().name("vv-allocate".into()).spawn_scoped(scope, allocate);
                let allocating = allocating.context("cannot start a thread")?;
                source.start(largest_first)?;
                let fleet = allocating.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                // It removes what an earlier run has left, so nothing may fail that can before.
                Ok((fleet, Output::open(&args.output, count, &header, skip.as_ref())?))
            })?;
            ended("allocate VMs and begin reading");
            (Runs::One(Box::new(fleet)), output)
        }
        None => {
            let (options, progress) = (options.clone(), progress.clone());
            let devices = Prepared::prepare(args, names, opening, bytes, options, count, progress)
                .with_context(|| args.inputs.program.display().to_string())?;
            ended("prepare devices");
            let output = Output::open(&args.output, count, &header, skip.as_ref())?;
            // So that devices end at about the same time.
            source.start(may_sort)?;
            ended("begin reading");
            (Runs::Several(devices), output)
        }
    };
    let cancel = match &runs {
        Runs::One(fleet) => fleet.cancel_handle(),
        Runs::Several(all) => all.cancel.clone(),
    };
    interrupt::stops(cancel.clone());
    lock(&progress).begin(count);

    let ((begun, received), ends) = (channel(), Arc::new(AtomicBool::new(false)));
    let batch = Mutex::new(Batch {
        output,
        progress: progress.clone(),
        pending: Pending { begun: received, first: 0, inputs: VecDeque::new(), bytes: 0 },
        done: 0,
        failures: Failures::default(),
        bytes: 0,
        ends: ends.clone(),
        stops: Stops::new(&args.end, cancel),
        collect: args.collect.len(),
        for_lines,
    });
    let mut inputs = Inputs { source, template, begun, ends, batch: &batch };
    let mut sink = |outcome| lock(&batch).outcome(outcome);
    let ran = match &mut runs {
        Runs::One(fleet) => fleet
            .run_autotuned("_start", setup::autotuning(&args.translate), about, &mut inputs, &mut sink, &mut |stage| {
                lock(&progress).stage(stage)
            })
            .map(|summary| (summary, Vec::new())),
        Runs::Several(all) => {
            all.devices(options.seed).run("_start", about, &mut inputs, &mut sink, &mut |device, stage| {
                lock(&progress).stage_of(Some(&all.names[device]), stage)
            })
        }
    };
    ended("run");
    // Ends the threads that read ahead.
    drop(inputs);
    let mut batch = batch.into_inner().unwrap_or_else(PoisonError::into_inner);
    batch.pending.take_begun();
    let cancelled = ran.as_ref().is_ok_and(|(summary, _)| summary.cancelled);
    let stop = batch.stops.stopped.take();
    let found = matches!(stop, Some(Stop::Found { .. }));
    let finished = batch.output.finish(ran.is_err() || (cancelled || stop.is_some()) && !found);
    ended("write last outputs");
    batch.note_unwritten();
    let Batch { output, pending, done, mut failures, bytes, .. } = batch;
    let elapsed = lock(&progress).end();
    if cancelled && stop.is_none() {
        failures.print(done);
        let left = pending.left().count();
        report::line(&format!("vectorvisor: interrupted; inputs that had ended: {done}, that had begun: {left}"));
        finished.unwrap_or_else(|error| report::line(&format!("vectorvisor: {}", report::chain(&error))));
        return Ok(interrupt::INTERRUPTED);
    }
    // Inputs are left only if the run was stopped, or failed as a whole.
    let left = pending.left().count();
    for (index, name) in pending.left().filter(|_| stop.is_none()) {
        failures.add(*index, &label(*index, name.as_deref()), "the run ended before it did", b"");
    }
    lock(&progress).failed(failures.count);
    if let Runs::One(fleet) = &runs
        && failures.count > 0
    {
        report::hint_of_files(quiet, fleet.program(), options.files.is_some());
    }
    failures.print(if stop.is_none() { done + left } else { done });
    if let Some(stop) = &stop {
        stop.report(left);
    }
    let (summary, devices) = ran.context("the run ended early, and further inputs were not taken")?;
    finished?;
    if stop.is_none() && failures.count + before == 0 && !args.end.resume && !args.end.retry_failed {
        output.forget();
    }
    let (ok, seconds) = (done - failures.count, elapsed.as_secs_f64());
    let on = match &runs {
        Runs::One(fleet) => {
            let vms = report::count(fleet.vms() as u64, "VM", "VMs");
            let warp = match summary.vms_per_warp {
                0 | 1 => String::new(),
                most => format!(", {most} a warp"),
            };
            let (kernel, launches) =
                (summary.kernel.as_secs_f64(), report::count(summary.launches, "launch", "launches"));
            let interpreted = match summary.interpreted {
                0 => String::new(),
                count => format!("; {count} inputs were interpreted"),
            };
            format!(" on {vms}{warp} ({kernel:.3} s in {launches}{interpreted})")
        }
        Runs::Several(all) => format!(": {}", devices::text(&all.names, &devices)),
    };
    report::note(quiet, &format!("{ok} of {done} inputs succeeded, in {seconds:.2} s{on}"));
    if let (Some(path), Some(trace)) = (&args.trace, &options.trace) {
        std::fs::write(path, trace.json())
            .with_context(|| format!("cannot write the trace (--trace) {}", path.display()))?;
    }
    if let Some(path) = &args.stats {
        let inputs = stats::Inputs { done, failed: failures.count, bytes: (pending.bytes, bytes) };
        match &runs {
            Runs::One(fleet) => stats::write(path, begin, fleet, &summary, inputs)?,
            Runs::Several(all) => stats::write_several(path, begin, &all.names, &devices, &summary, inputs)?,
        }
    }
    // The process ends, and the system frees all at once what a driver frees one by one.
    std::mem::forget((runs, devices));
    Ok(match &args.end.until {
        Some(_) if found => 0,
        Some(_) => {
            report::line(&format!("vectorvisor: no input was found (--until), of {done}"));
            stop::NOT_FOUND
        }
        None => i32::from(failures.count + before > 0),
    })
}

/// What is left of an earlier run: the source then leaves out what was done.
fn resumed(args: &MapArgs, header: &Header, source: &mut Source, for_lines: bool) -> Result<Option<Resumed>> {
    let (end, quiet, output) = (&args.end, args.vm_args.quiet, args.output.display());
    if !end.resume && !end.retry_failed {
        return Ok(None);
    }
    let Some(resumed) = Resumed::find(args, header, source, for_lines)? else {
        let there = if for_lines {
            args.output.is_file()
        } else {
            args.output.read_dir().is_ok_and(|mut d| d.next().is_some())
        };
        if there && end.resume {
            report::note(quiet, &format!("{output} has no journal of an unfinished run, so all inputs run"));
        }
        return Ok(None);
    };
    source.skip(resumed.skip.clone());
    let done = report::count(resumed.done as u64, "input was done before", "inputs were done before");
    report::note(
        quiet,
        &match resumed.failed {
            0 => done,
            failed => format!("{done}, {failed} of them failed; --retry-failed runs those again"),
        },
    );
    Ok(Some(resumed))
}

/// Dropped, it ends what `--progress json` tells, though a thread that prepares a device may still have the progress.
struct LastLine(Arc<Mutex<Progress>>);

impl Drop for LastLine {
    fn drop(&mut self) {
        lock(&self.0).close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn same_place(input: &Path, output: &Path) -> bool {
    match (input.canonicalize(), output.canonicalize()) {
        (Ok(input), Ok(output)) => input == output,
        _ => false,
    }
}

/// How messages call an input.
fn label(index: usize, name: Option<&Path>) -> String {
    match name {
        Some(name) => name.display().to_string(),
        None => format!("line {}", index + 1),
    }
}

/// Inputs that have begun and not ended, by the fleet's number, which counts what it was given.
struct Pending {
    /// Those that begin come by a channel: several devices' threads would wait for each other at a lock.
    begun: Receiver<Begun>,
    /// The number of the first.
    first: usize,
    /// Our number, which counts unreadable ones too, and a name.
    inputs: VecDeque<Option<(usize, Option<PathBuf>)>>,
    /// Bytes of standard input of all that have begun.
    bytes: u64,
}

/// An input that begins: our number, a name, and the bytes of its standard input.
type Begun = (usize, Option<PathBuf>, usize);

impl Pending {
    fn take_begun(&mut self) {
        for (index, name, bytes) in self.begun.try_iter() {
            self.inputs.push_back(Some((index, name)));
            self.bytes += bytes as u64;
        }
    }

    fn remove(&mut self, number: usize) -> Option<(usize, Option<PathBuf>)> {
        if number >= self.first + self.inputs.len() {
            self.take_begun();
        }
        let removed = self.inputs.get_mut(number.checked_sub(self.first)?)?.take();
        while let Some(None) = self.inputs.front() {
            self.inputs.pop_front();
            self.first += 1;
        }
        removed
    }

    fn left(&self) -> impl Iterator<Item = &(usize, Option<PathBuf>)> {
        self.inputs.iter().flatten()
    }
}

/// State shared by the inputs' iterator and the outcomes' sink.
struct Batch {
    output: Output,
    progress: Arc<Mutex<Progress>>,
    pending: Pending,
    done: usize,
    failures: Failures,
    /// Of standard output.
    bytes: u64,
    /// No further inputs are wanted.
    ends: Arc<AtomicBool>,
    stops: Stops,
    /// How many files each guest has to leave.
    collect: usize,
    for_lines: bool,
}

impl Batch {
    fn outcome(&mut self, outcome: Outcome) {
        let Some((index, name)) = self.pending.remove(outcome.index) else { return };
        self.bytes += outcome.stdout.len() as u64;
        let found = self.stops.look(&outcome, || label(index, name.as_deref()));
        let mut error = report::failure(&outcome).filter(|_| !found);
        let mut exit = if let End::Exit(code) = outcome.end { Some(code) } else { None };
        let note = report::advice(&outcome).filter(|_| exit.is_some());
        let (mut stdout, mut files) = (outcome.stdout, outcome.files);
        if exit == Some(0) && files.len() < self.collect && error.is_none() {
            error = Some("it left no file of the name that --collect has, in its --scratch folder".into());
            exit = None;
        } else if !self.for_lines && !files.is_empty() {
            stdout = files.swap_remove(0).1;
        }
        self.finish(Done { index, name, exit, error, note, stdout, stderr: outcome.stderr, files });
    }

    fn finish(&mut self, done: Done) {
        if let Some(why) = &done.error {
            self.failures.add(done.index, &label(done.index, done.name.as_deref()), why, &done.stderr);
        }
        self.output.put(done);
        self.note_unwritten();
        if self.failures.count > 0 {
            self.stops.failed();
        }
        self.done += 1;
        if self.output.broken() || self.stops.stopped.is_some() {
            self.ends.store(true, Ordering::Relaxed);
        }
        lock(&self.progress).step(self.failures.count);
    }

    /// Inputs fail whose results could not be written.
    fn note_unwritten(&mut self) {
        while let Some(Unwritten { index, name, why }) = self.output.unwritten() {
            self.failures.add(index, &label(index, name.as_deref()), &report::chain(&why), b"");
        }
    }
}

/// Takes an input when the fleet asks for one. What could not be read fails at once and the next is taken.
struct Inputs<'a> {
    source: Source,
    template: Template,
    begun: Sender<Begun>,
    ends: Arc<AtomicBool>,
    batch: &'a Mutex<Batch>,
}

impl Iterator for Inputs<'_> {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        while !self.ends.load(Ordering::Relaxed) {
            let mut item = self.source.next()?;
            match self.template.input(&mut item) {
                Ok(input) => {
                    // The batch lives longer.
                    _ = self.begun.send((item.index, item.name, input.stdin.len()));
                    return Some(input);
                }
                Err(why) => {
                    let done = Done { index: item.index, name: item.name, error: Some(why), ..Done::default() };
                    lock(self.batch).finish(done);
                }
            }
        }
        None
    }
}
