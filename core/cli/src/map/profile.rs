//! `vectorvisor profile`: in which functions and loops a program's inputs spend their work, and how many lanes of a warp
//! do that together. The program counts it itself.

use super::given::{self, Template};
use super::label;
use super::source::Source;
use crate::args::ProfileArgs;
use crate::report::{self, Failures, Progress};
use crate::{Usage, interrupt, setup};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use vectorvisor::translate::abi::Counted;
use vectorvisor::{DeviceKind, Edges, Fleet, Input, Meta, Outcome, Stage, Summary, Visits};

/// Functions of less than this part of all work are not in the table.
const LITTLE: f64 = 0.001;

/// A function is a usual target of an indirect call if it is that of this part of its calls,
const USUAL: f64 = 0.15;

/// and there are not so many that are more usual.
const USUAL_TARGETS: usize = 3;

/// Runs the subcommand; returns the exit code.
pub fn profile(args: &ProfileArgs) -> Result<i32> {
    setup::may_profile(&args.translate, true)?;
    if !args.translate.profile_use.is_empty() {
        return Err(Usage("a profile is of a program that was made without one; leave out --profile-use".into()).into());
    }
    let quiet = args.vm_args.quiet;
    let bytes = setup::read(&args.inputs.program)?;
    let (folder, root) = given::root(args.inputs.input.as_deref(), &args.args, &args.vm_args.files);
    let vm_args = given::with_folder(&args.vm_args, folder);
    let files = setup::files(&vm_args.files, [&bytes[..]])?;
    let mut options = setup::fleet_options(&vm_args, &args.inputs.program, &args.args, args.inputs.vms, files)?;
    let mut source = Source::of(&args.inputs, Path::new(""))?;
    let scratch = vm_args.files.scratch.is_some();
    let template = Template::new(&options.args, &[], scratch, root, &mut source, false)?;
    options.own_arguments = template.own_arguments(&source);
    options.output_of_failures = false;
    let engine = setup::engine(&args.device)?;
    let at = setup::files_at(options.files.as_ref());
    let mut program_options = setup::program_options(&args.translate, &["_start"], at, engine.info())?;
    program_options.profile = true;
    let mut progress = Progress::new(quiet, true);
    let mut tell = |stage: Stage<'_>| progress.stage(stage);
    let program =
        setup::program(&engine, &args.inputs.program, &bytes, &args.translate, &program_options, true, &mut tell)?;
    // As `map` has them.
    source.start(program.likes_largest_first() && vm_args.seed.is_none())?;
    let mut fleet = Fleet::new(&program, &options, source.total())?;
    interrupt::stops(fleet.cancel_handle());
    progress.begin(source.total());

    let (failures, edges) = (Failures::default(), Edges::default());
    let ran = RefCell::new(Ran { progress, begun: Vec::new(), done: 0, failures, edges });
    let mut inputs = std::iter::from_fn(|| next(&mut source, &template, &mut ran.borrow_mut()));
    let summary = fleet.run("_start", &mut inputs, &mut |outcome| ran.borrow_mut().outcome(&outcome));
    let ran = ran.into_inner();
    ran.progress.end();
    ran.failures.print(ran.done);
    let summary = summary.context("the run ended early")?;
    if summary.cancelled {
        report::line(&format!("vectorvisor: interrupted; inputs that had ended: {}", ran.done));
        return Ok(interrupt::INTERRUPTED);
    }
    let profile = Profile::new(&fleet, &bytes, &summary, &ran)?;
    let mut out = std::io::stdout().lock();
    out.write_all(profile.table().as_bytes())?;
    out.flush()?;
    if profile.all.visits > 0 && profile.all.warp_visits == 0 {
        let device = &engine.info().name;
        report::note(quiet, &format!("{device} does not tell which lanes are active, so only visits are counted"));
    } else if engine.info().kind == DeviceKind::Cpu {
        report::note(quiet, "a processor runs one lane at a time, so 1 is active; GPUs count how many are");
    }
    if let Some(path) = &args.output {
        let text = serde_json::to_string_pretty(&profile).context("cannot write the profile")?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write the profile (-o) {}", path.display()))?;
    }
    Ok(i32::from(ran.failures.count > 0))
}

/// What is known of the inputs.
struct Ran {
    progress: Progress,
    /// Those that began, by the fleet's numbers: their own, and their names.
    begun: Vec<(usize, Option<PathBuf>)>,
    done: usize,
    failures: Failures,
    edges: Edges,
}

/// The next input that can be read; the others fail.
fn next(source: &mut Source, template: &Template, ran: &mut Ran) -> Option<Input> {
    loop {
        let mut item = source.next()?;
        match template.input(&mut item) {
            Ok(input) => {
                ran.begun.push((item.index, item.name));
                return Some(input);
            }
            Err(why) => ran.ended(item.index, item.name.as_deref(), Some((&why, b""))),
        }
    }
}

impl Ran {
    fn outcome(&mut self, outcome: &Outcome) {
        let (index, name) = self.begun.get(outcome.index).cloned().unwrap_or_default();
        let failure = report::failure(outcome);
        self.ended(index, name.as_deref(), failure.as_deref().map(|why| (why, &outcome.stderr[..])));
        if let Some(Edges { direct, state, framed }) = outcome.edges {
            self.edges.direct += direct;
            self.edges.state += state;
            self.edges.framed += framed;
        }
    }

    fn ended(&mut self, index: usize, name: Option<&Path>, failure: Option<(&str, &[u8])>) {
        self.done += 1;
        if let Some((why, stderr)) = failure {
            self.failures.add(index, &label(index, name), why, stderr);
        }
        self.progress.step(self.failures.count);
    }
}

/// The help of `-o` says what each is.
#[derive(Serialize)]
struct Profile<'a> {
    version: &'a str,
    module: String,
    backend: String,
    device: &'a str,
    vms: usize,
    vms_per_warp: u32,
    inputs: usize,
    failed: usize,
    kernel_seconds: f64,
    #[serde(flatten)]
    all: Counts,
    turns_direct: u64,
    turns_in_states: u64,
    turns_between_states: u64,
    functions: Vec<Function<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    function: u32,
    name: &'a str,
    share: f64,
    #[serde(flatten)]
    all: Counts,
    entries: Counts,
    loops: Vec<Loop>,
    calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Loop {
    offset: u32,
    #[serde(flatten)]
    turns: Counts,
}

/// A `call_indirect`.
#[derive(Serialize)]
struct Call<'a> {
    offset: u32,
    targets: Vec<Target<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    function: u32,
    name: &'a str,
    calls: u64,
}

#[derive(Clone, Copy, Serialize)]
struct Counts {
    visits: u64,
    warp_visits: u64,
    active_lanes: Option<f64>,
}

impl Counts {
    fn of(visits: Visits) -> Self {
        Self { visits: visits.lanes, warp_visits: visits.warps, active_lanes: visits.active_lanes() }
    }

    /// What it takes of a device: a warp's visit costs the same whatever the number of lanes.
    fn work(self) -> u64 {
        if self.warp_visits > 0 { self.warp_visits } else { self.visits }
    }

    fn lanes(self) -> String {
        self.active_lanes.map_or("-".into(), |lanes| format!("{lanes:.2}"))
    }
}

fn sum(visits: impl Iterator<Item = Visits>) -> Visits {
    visits.fold(Visits::default(), |mut all, more| {
        all += more;
        all
    })
}

impl<'a> Profile<'a> {
    fn new(fleet: &'a Fleet, module: &[u8], summary: &Summary, ran: &Ran) -> Result<Self> {
        let (engine, visits) = (fleet.program().engine(), fleet.visits()?);
        let work =
            fleet.program().meta().points.iter().zip(&visits).filter(|(p, _)| !matches!(p.what, Counted::Call(..)));
        let all = Counts::of(sum(work.map(|(_, visits)| *visits)));
        let Edges { direct, state, framed } = ran.edges;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            module: hash(module),
            backend: format!("{}:{}", engine.backend(), engine.info().index),
            device: &engine.info().name,
            vms: fleet.vms(),
            vms_per_warp: summary.vms_per_warp,
            inputs: ran.done,
            failed: ran.failures.count,
            kernel_seconds: summary.kernel.as_secs_f64(),
            all,
            turns_direct: direct,
            turns_in_states: state,
            turns_between_states: framed,
            functions: functions(fleet.program().meta(), &visits, all.work()),
        })
    }

    fn table(&self) -> String {
        let mut text = format!("{:>7} {:>7} {:>14} {:>16}  function\n", "share", "lanes", "entries", "loop turns");
        let mut row = |share: f64, lanes: String, entries: u64, turns: u64, name: &str| {
            text += &format!("{:>6.1}% {lanes:>7} {entries:>14} {turns:>16}  {name}\n", 100.0 * share);
        };
        let (shown, rest): (Vec<_>, Vec<_>) = self.functions.iter().partition(|function| function.share >= LITTLE);
        let counts = |function: &Function<'_>| (function.entries.visits, function.all.visits - function.entries.visits);
        for function in shown {
            let (entries, turns) = counts(function);
            row(function.share, function.all.lanes(), entries, turns, function.name);
        }
        let add = |(entries, turns): (u64, u64), more: (u64, u64)| (entries + more.0, turns + more.1);
        if !rest.is_empty() {
            let (entries, turns) = rest.iter().map(|function| counts(function)).fold((0, 0), add);
            let name = report::count(rest.len() as u64, "other function", "other functions");
            row(rest.iter().map(|function| function.share).sum(), "".into(), entries, turns, &name);
        }
        let (entries, turns) = self.functions.iter().map(counts).fold((0, 0), add);
        let warps = match self.vms_per_warp {
            0 | 1 => "all, at most 1 VM a warp".to_string(),
            most => format!("all, at most {most} VMs a warp"),
        };
        row(1.0, self.all.lanes(), entries, turns, &warps);
        let (direct, state, framed) = (self.turns_direct, self.turns_in_states, self.turns_between_states);
        let share = match direct + state + framed {
            0 => 100.0,
            all => 100.0 * direct as f64 / all as f64,
        };
        text + &format!(
            "loop turns: {direct} in direct functions, {state} inside a state of a framed one, {framed} through the \
             trampoline ({share:.2}% direct)\n"
        )
    }
}

/// The functions that ran, those of most work first.
fn functions<'a>(meta: &'a Meta, visits: &[Visits], work: u64) -> Vec<Function<'a>> {
    let name = |function: u32| meta.functions.get(function as usize).map_or("?", String::as_str);
    let mut functions: BTreeMap<u32, Function<'a>> = BTreeMap::new();
    for (point, visits) in meta.points.iter().zip(visits).filter(|(_, visits)| visits.lanes > 0) {
        let none = Counts::of(Visits::default());
        let function = functions.entry(point.function).or_insert_with(|| Function {
            function: point.function,
            name: name(point.function),
            share: 0.0,
            all: none,
            entries: none,
            loops: Vec::new(),
            calls: Vec::new(),
        });
        let counts = Counts::of(*visits);
        match point.what {
            Counted::Entry => function.entries = counts,
            Counted::Turn(offset) => function.loops.push(Loop { offset, turns: counts }),
            Counted::Call(offset, target) => {
                // In the order of the points, which is by their offsets.
                if function.calls.last().is_none_or(|call| call.offset != offset) {
                    function.calls.push(Call { offset, targets: Vec::new() });
                }
                if let Some(call) = function.calls.last_mut() {
                    call.targets.push(Target { function: target, name: name(target), calls: visits.lanes });
                }
            }
        }
    }
    let mut functions: Vec<_> = functions.into_values().collect();
    for function in &mut functions {
        let counts = function.loops.iter().map(|l| l.turns).chain([function.entries]);
        function.all = Counts::of(sum(counts.map(|c| Visits { lanes: c.visits, warps: c.warp_visits })));
        function.share = function.all.work() as f64 / work.max(1) as f64;
        function.loops.sort_by_key(|l| std::cmp::Reverse(l.turns.work()));
        for call in &mut function.calls {
            call.targets.sort_by_key(|target| std::cmp::Reverse(target.calls));
        }
    }
    functions.sort_by_key(|function| std::cmp::Reverse(function.all.work()));
    functions
}

/// By which a profile says of which module it is.
fn hash(module: &[u8]) -> String {
    blake3::hash(module).to_hex().to_string()
}

/// What is read of a profile.
#[derive(Deserialize)]
struct Given {
    module: String,
    functions: Vec<GivenFunction>,
}

#[derive(Deserialize)]
struct GivenFunction {
    calls: Vec<GivenCall>,
}

#[derive(Deserialize)]
struct GivenCall {
    offset: u32,
    targets: Vec<GivenTarget>,
}

#[derive(Deserialize)]
struct GivenTarget {
    function: u32,
    calls: u64,
}

/// Of the profiles that the command line gives, what that of this module says: the functions that each indirect call
/// usually calls.
pub fn usual_targets(paths: &[PathBuf], program: &Path, module: &[u8]) -> Result<BTreeMap<u32, Vec<u32>>> {
    let hash = hash(module);
    for path in paths {
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the profile (--profile-use) {}", path.display()))?;
        let given: Given = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "--profile-use {}: no profile of this version; make one with vectorvisor profile -o",
                path.display()
            )
        })?;
        if given.module == hash {
            return Ok(given.usual_targets());
        }
    }
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (paths, program) = (paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(), program.display());
    Err(Usage(format!(
        "--profile-use {}: not of {program} as it is now; make its profile anew with vectorvisor profile {program} -o FILE, \
         or leave the option out",
        paths.join(", ")
    ))
    .into())
}

impl Given {
    fn usual_targets(&self) -> BTreeMap<u32, Vec<u32>> {
        let calls = || self.functions.iter().flat_map(|function| &function.calls);
        let of = |call: &GivenCall| call.targets.iter().map(|target| target.calls).sum::<u64>();
        let all: u64 = calls().map(of).sum();
        // Where there is little to gain, text stays as it is.
        let matters = calls().filter(|call| of(call) as f64 >= LITTLE * all as f64);
        let usual = matters.map(|call| {
            let mut targets: Vec<_> = call.targets.iter().collect();
            targets.sort_by_key(|target| std::cmp::Reverse(target.calls));
            targets.retain(|target| target.calls as f64 >= USUAL * of(call) as f64);
            (call.offset, targets.iter().take(USUAL_TARGETS).map(|target| target.function).collect::<Vec<_>>())
        });
        usual.filter(|(_, targets)| !targets.is_empty()).collect()
    }
}
