//! The command line: options, their help, and the syntax of their values.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use vectorvisor::Opt;

/// Run thousands of copies of one WebAssembly/WASI program on a GPU.
///
/// Every copy is a small virtual machine (VM) with its own memory, its own input and its own output.
#[derive(Debug, Parser)]
#[command(name = "vectorvisor", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program in one or many VMs, all with the same arguments and standard input.
    Run(RunArgs),
    /// Run a program once for each input file or JSONL line: standard input in, standard output out.
    Map(MapArgs),
    /// Run a program once for each input, and print in which functions that was work, and how many lanes of a warp did it
    /// together.
    Profile(ProfileArgs),
    /// Answer HTTP requests: each is a run of a program, body in, standard output out.
    Serve(ServeArgs),
    /// List the devices of every driver, or why a driver has none.
    Devices(DevicesArgs),
    /// Show what a program is translated to.
    Inspect(InspectArgs),
}

/// Where to run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Device")]
pub struct DeviceArgs {
    /// Driver, and the index of one of its devices: auto|cpu|opencl|cuda|hip[:INDEX]. `auto` takes a GPU if there is
    /// one. `map` and `serve` take several, as cuda:0,cuda:1 or cuda:all,cpu.
    #[arg(long, value_name = "NAME", default_value = "cpu", long_help = BACKEND)]
    pub backend: vectorvisor::BackendList,
    /// Force NVIDIA intrinsics on or off [default: what the device is].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub nvidia: Option<bool>,
    /// Force software versions of math builtins that a vendor never implemented on or off [default: what the device
    /// needs].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub patch: Option<bool>,
    /// A driver's plugin (libvectorvisor_NAME.so), or a folder with plugins; can be repeated.
    #[arg(long, value_name = "PATH", long_help = DRIVER_PATH)]
    pub driver_path: Vec<PathBuf>,
}

const BACKEND: &str = "\
Driver, and the index of one of its devices: auto|cpu|opencl|cuda|hip[:INDEX]. `auto` takes a GPU if there is one.
`map` and `serve` take several devices, with commas between them: cuda:0,cuda:1 or cuda:all,cpu (NAME:all is all devices of a driver). --vms is the \
number of VMs of each. If one fails, the others run what it had. One that is not there is an error. `map`: each takes inputs as fast as it ends them, and \
begins when it is ready. `serve`: all have about as many requests at a time, so they should be of the same speed.";

const DRIVER_PATH: &str = "\
A driver's plugin (libvectorvisor_NAME.so), or a folder with plugins; can be repeated. Plugins are also looked for in what the \
environment variable VECTORVISOR_DRIVER_PATH names, beside the executable, in deps/ there, and in the user's data folder.";

const INTERLEAVE: &str = "\
Bytes of one VM that lie together before the next VM's: 0 (all of them), 4, 8, 16 or 32. Or:
auto: what earlier autotuning found to be fastest for this program, options and device. If there was none, the device's default, on a \
GPU linear memory (0); then, on a GPU with thousands of VMs, if the rest of the run takes longer than compiling, the run autotunes: \
cells of 8 bytes, which are faster where all VMs go the same way, compile beside it, then the inputs of a group of VMs run once more, \
and with cells for at most half as long again, or a second, which together is at most half of what is then left. A run that ends before the compiler does not wait for it. Results are the same in any case.
tune: autotunes now, with the first inputs and all of 8, 16, 32 and 0. It needs tiles of several VMs, on the cpu by --lanes 8.
`serve` tries 0 and 8 on a GPU once some thousands of requests have ended that were about the same work; with auto if the program has \
the device for itself.
default: the device's default, whatever autotuning found, and no autotuning.
";

/// How to translate.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Translation")]
pub struct TranslateArgs {
    /// VMs in a tile: 1, 8, 32 or 64 [default: the device's lane width].
    #[arg(long, value_name = "N", value_parser = parse_lanes)]
    pub lanes: Option<u32>,
    /// Bytes of one VM that lie together before the next VM's: 0 (all of them), 4, 8, 16, 32; or auto, tune or default.
    #[arg(long, value_name = "BYTES", default_value = "auto", value_parser = parse_interleave, long_help = INTERLEAVE)]
    pub interleave: Interleave,
    /// Most memory that a VM can grow to, as 16MiB, 64k or bytes. Where there is not so much for all VMs they begin
    /// with less, and an input that needs more runs again; with all of it with --state keep [default: its initial memory +
    /// 16 MiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub heap: Option<u64>,
    /// Most call stack of a VM whose program recurses, as 4MiB, 64k or bytes. On other backends than cpu a VM begins
    /// with a small one, and an input that needs more runs again; with all of it with --state keep [default: 1 MiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_stack)]
    pub stack: Option<u32>,
    /// When a bad memory access is noticed: soon after (sticky: fast), or at the access (exact).
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = TrapsArg::Sticky)]
    pub traps: TrapsArg,
    /// What the bounds check of growable memory compares with: its current size, or the most that --heap allows
    /// (faster; isolation is complete, but an access between the two is not noticed).
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = BoundsArg::Size)]
    pub bounds: BoundsArg,
    /// Check no access at all, to measure what the checks cost: an access out of bounds overwrites other VMs or faults
    /// the device.
    #[arg(long, conflicts_with = "bounds")]
    pub unsafe_no_bounds: bool,
    /// The alignment that accesses are assumed to have: what the module says of each (natural), which is tested, or
    /// none (any) [default: natural on GPUs].
    #[arg(long, value_enum, value_name = "WHAT")]
    pub alignment: Option<AlignmentArg>,
    /// What a program that serves requests in a loop finds at each of them: the state in which it first asked for one
    /// (fresh: nothing of one request is seen by another), or that in which the VM's last request left it (keep).
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = StateArg::Fresh)]
    pub state: StateArg,
    /// Optimisations to leave out, separated by commas, to measure their effect.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = opts(true))]
    pub without: Vec<Opt>,
    /// Optimisations to add, separated by commas. shared-data: all VMs read the program's read-only data from one copy,
    /// which pays for some programs with large tables. Where VMs do the same, autotuning tries that by itself.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = opts(false))]
    pub opt: Vec<Opt>,
    /// What `profile -o FILE` counted of the program: indirect calls then test for the functions that they usually call,
    /// three at most, and call those directly. Results are the same. Can be repeated, for the programs of `serve`.
    #[arg(long, value_name = "FILE")]
    pub profile_use: Vec<PathBuf>,
    /// The program was made by the linker of the spec suite's runner, so it may have several memories.
    #[arg(long, hide = true)]
    pub linked: bool,
    /// Divide functions larger than N, in instructions, more or less [default: 20000 on GPUs].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub divide: Option<u32>,
    /// When to interpret the program's code instead of translating it: an interpreter is compiled in a second or two,
    /// however large the program is, but it runs many times as long. auto: while a program that takes long to compile is
    /// compiled for the first time (not for many inputs on a GPU); inputs that run then begin anew. Alone the option says
    /// always.
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_value_t = InterpretArg::Auto, default_missing_value = "always")]
    pub interpret: InterpretArg,
    /// Suspend at every call (a test of suspension; slow).
    #[arg(long)]
    pub force_framed: bool,
    /// Folder for compiled programs. Not used, with a warning, if others can write to it, since programs in it are
    /// executed [default: VECTORVISOR_CACHE_DIR, or vectorvisor in the user's cache folder].
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub cache_dir: Option<PathBuf>,
    /// Most bytes of compiled programs in that folder, as 5GiB; the least recently used is evicted. 0: no limit
    /// [default: 5GiB].
    #[arg(long, value_name = "SIZE", env = "VECTORVISOR_CACHE_SIZE", hide_env_values = true, value_parser = parse_size)]
    pub cache_size: Option<u64>,
    /// Neither look for a compiled program nor keep this one.
    #[arg(long)]
    pub no_cache: bool,
}

/// `--interpret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InterpretArg {
    /// Until a program that takes long to compile is compiled.
    Auto,
    /// Always.
    Always,
    /// Never: wait for the compiler.
    Never,
}

/// `--state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// That of the first request.
    Fresh,
    /// That of the last one.
    Keep,
}

/// How VMs run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "VMs")]
pub struct VmArgs {
    /// An environment variable of the guest; can be repeated. The guest sees no others.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_env)]
    pub env: Vec<(String, String)>,
    /// Seed of the guests' random numbers, which makes a run repeatable [default: from the system].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Loop iterations and calls that a VM may make before it is stopped, where calls of small functions do not count; 16
    /// bytes of bulk memory or output (or one of standard error) count as one more [default: no limit].
    #[arg(long, value_name = "N")]
    pub fuel: Option<u64>,
    /// Time that one VM may take before it is stopped, as 500ms, 1s, 2m or seconds; on cpu it is processor time, so a
    /// busy machine stops none too early [default: no limit].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// VMs that share a warp, the threads of a GPU that run in step; its other threads are idle. 1 to the lanes of a
    /// tile [default: as few as keep the device busy].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub vms_per_warp: Option<u32>,
    /// Print nothing but the guest's output and errors.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub files: FileArgs,
}

/// What files guests have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "VMs")]
pub struct FileArgs {
    /// A folder that guests may read, under the name GUEST, or its own; with :rw they may also change it. Can be
    /// repeated.
    #[arg(long, value_name = "HOST[::GUEST][:rw]", value_parser = parse_folder, long_help = DIR)]
    pub dir: Vec<Folder>,
    /// An empty folder in memory for each VM, of at most SIZE bytes, as 16MiB, which goes with its input; its names are
    /// `.` and `/scratch`, or GUEST.
    #[arg(long, value_name = "SIZE[::GUEST]", value_parser = parse_scratch)]
    pub scratch: Option<Scratch>,
    /// Folders of --dir that guests may only read are copied to the device when the command begins, if their files have
    /// at most SIZE bytes in all; 0: never.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size, long_help = DIR_COPY)]
    pub dir_copy: u64,
}

impl FileArgs {
    /// Whether guests have files.
    pub fn given(&self) -> bool {
        !self.dir.is_empty() || self.scratch.is_some()
    }
}

const DIR: &str = "\
A folder that guests may read, under the name GUEST, or its own (--dir data, --dir /srv/maps::maps); with :rw at the end they may also \
change it, all VMs the same. Can be repeated. Nothing outside of it can be reached, by `..`, links or otherwise. A relative name of a guest is looked \
for in the folder called `.`, as --dir data::. gives it.

If guests may change a folder, or have one in memory (--scratch), or folders are too large for --dir-copy, each call that concerns files \
waits for the host. Where guests may change a folder, the clock does, too: an input that has to run again is then told what it was told before, and \
changes nothing twice.";

const DIR_COPY: &str = "\
Folders of --dir that guests may only read are copied to the device when the command begins, if their files have at most SIZE bytes \
in all, and there are at most 65536; so guests open and read files without waiting for the host, and do not see what becomes of them \
meanwhile. 0: never. A VM then has at most 64 descriptors. `inspect --emit plan --dir DIR` says whether it is so, or why not.";

/// `--dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub host: PathBuf,
    /// What guests call it.
    pub guest: String,
    /// They may change it.
    pub write: bool,
}

fn parse_folder(text: &str) -> Result<Folder, String> {
    let (text, write) = match text.strip_suffix(":rw") {
        Some(text) => (text, true),
        None => (text.strip_suffix(":ro").unwrap_or(text), false),
    };
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err(
            "a folder is HOST, or HOST::GUEST with the name that guests have for it, and :rw if they may write".into(),
        );
    }
    Ok(Folder { host: host.into(), guest: guest.into(), write })
}

/// `--scratch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// Most bytes of a VM's files.
    pub bytes: u64,
    /// What guests call it, if not as usual.
    pub guest: Option<String>,
}

fn parse_scratch(text: &str) -> Result<Scratch, String> {
    let (size, guest) = text.split_once("::").map_or((text, None), |(size, guest)| (size, Some(guest)));
    if guest == Some("") {
        return Err("behind :: comes the name that guests have for the folder".into());
    }
    Ok(Scratch { bytes: parse_size(size)?, guest: guest.map(String::from) })
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(override_usage = "vectorvisor run [OPTIONS] PROG [ARGS]...", after_help = RUN_HELP)]
pub struct RunArgs {
    /// VMs to run [default: 1, or as many as a range of arguments has values].
    #[arg(long, alias = "vmcount", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub vms: Option<u32>,
    /// Call this export instead of `_start`, with ARGS as its arguments, and print its results.
    #[arg(long, value_name = "NAME")]
    pub invoke: Option<String>,
    /// Print the output of VM K [default: 0].
    #[arg(long, value_name = "K")]
    pub vm: Option<u32>,
    /// Print the output of all VMs, each line with its VM's number in front.
    #[arg(long, conflicts_with = "vm")]
    pub all: bool,
    /// The program, if it does not stand in front of its arguments.
    #[arg(short = 'i', long = "input", value_name = "PROG")]
    pub input: Option<PathBuf>,
    /// Print the results of the entry even without --invoke.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub printreturn: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub translate: TranslateArgs,
    #[command(flatten)]
    pub vm_args: VmArgs,
    /// The program (.wasm, or .wat text), then its own arguments.
    #[arg(value_name = "PROG [ARGS]", trailing_var_arg = true, help_heading = "Guest")]
    pub program_and_args: Vec<OsString>,
}

const RUN_HELP: &str = "\
Options stand before PROG; everything after it belongs to the guest, options included.

With --invoke, an integer argument can be a range: 0..20 (or 0..=19) gives VM k the k-th value, over again from the
first when there are more VMs than values.

Standard input goes to every VM; if it is a terminal, the guest finds it empty.

Exit code: the guest's own. With several VMs that of the first (by number) that did not end with 0.
134: a trap, or stopped by --fuel or --timeout. 130: interrupted. 1: vectorvisor or the device failed. 2: wrong arguments.";

/// A program and its many inputs.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// The program (.wasm, or .wat text).
    #[arg(value_name = "PROG")]
    pub program: PathBuf,
    /// A folder, each file of which is an input; or a file of JSON lines (.jsonl or .ndjson; `-`: standard input), each
    /// line of which is one.
    #[arg(long = "in", value_name = "DIR|FILE.jsonl", required_unless_present = "range")]
    pub input: Option<PathBuf>,
    /// Instead of --in: the integers from A up to B, without B (A..=B: with it), each of which is an input, in decimal
    /// and without a line's end, and the name of its output.
    #[arg(long, value_name = "A..B", conflicts_with = "input", allow_hyphen_values = true, value_parser = parse_range)]
    pub range: Option<Range>,
    /// VMs that run at the same time [default: what keeps the device busy, if there are so many inputs and so much
    /// memory].
    #[arg(long, alias = "vmcount", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub vms: Option<u32>,
}

/// Arguments of `map`.
#[derive(Debug, Args)]
#[command(override_usage = "vectorvisor map [OPTIONS] PROG --in DIR|FILE.jsonl --out DIR|FILE.jsonl [-- ARGS]...\n       vectorvisor map [OPTIONS] PROG --range A..B --out DIR|FILE.jsonl [-- ARGS]...", after_help = MAP_HELP)]
pub struct MapArgs {
    #[command(flatten)]
    pub inputs: InputArgs,
    /// A folder, in which an output has its input's relative name; or a file of JSON lines (.jsonl or .ndjson; `-`:
    /// standard output). A folder that is to be made and whose name has a dot ends with a slash, as v1.2/.
    #[arg(long = "out", value_name = "DIR|FILE.jsonl")]
    pub output: PathBuf,
    /// A file that each guest leaves in its --scratch folder is its output. With --out DIR it is that in place of
    /// standard output; with JSON lines the result has a member `files`, and this can be repeated. Placeholders as in
    /// ARGS.
    #[arg(long, value_name = "NAME", requires = "scratch")]
    pub collect: Vec<String>,
    /// How progress is told on standard error.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressArg::Auto, long_help = PROGRESS)]
    pub progress: ProgressArg,
    /// Write figures of the run to this file, as a JSON object: seconds, inputs, VMs, bytes, launches.
    #[arg(long, value_name = "FILE", long_help = STATS)]
    pub stats: Option<PathBuf>,
    /// Write when the device ran which VMs, and what the host did meanwhile, to this file, in Chrome's trace format,
    /// which https://ui.perfetto.dev shows.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub end: EndArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub translate: TranslateArgs,
    #[command(flatten)]
    pub vm_args: VmArgs,
    /// Arguments of the guest. In them {} is the input: the path of a file, by which the guest can open it, the text of
    /// a line, or a number; standard input is then empty. {.} is that path without its extension, {/} its last name,
    /// {/.} that without extension, {//} its folder, and {#} the input's number, from 1.
    #[arg(last = true, value_name = "ARGS", help_heading = "Guest")]
    pub args: Vec<String>,
}

/// When a `map` ends, and where another goes on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ending and going on")]
pub struct EndArgs {
    /// Stop at the first input that fails: what runs is cancelled, outputs that there are stand. How an input ended is
    /// known when all that were launched with it have.
    #[arg(long)]
    pub fail_fast: bool,
    /// Stop at the first input found that ends with exit code N, or that exits and whose standard output matches a
    /// regular expression, in which ^ and $ are a line's ends; it is named on standard error, and does not count as
    /// failed. With --resume only inputs that run are looked at. Exit code: 0 if one was found, 3 if none was.
    #[arg(long, value_name = "exit=N|REGEX", value_parser = parse_until)]
    pub until: Option<Until>,
    /// Go on where an earlier run was killed or stopped: the same command again runs the inputs that were not done.
    #[arg(long, conflicts_with = "seed", long_help = RESUME)]
    pub resume: bool,
    /// Run the inputs that failed in an earlier run again, and no others; with --resume also those that were not done.
    #[arg(long, conflicts_with = "seed")]
    pub retry_failed: bool,
}

const RESUME: &str = "\
Go on where an earlier run was killed, interrupted or stopped: the same command again, with this option, runs the inputs that were \
not done, and then every input has its output once. If there was no such run all run. Inputs that failed are done, unless --retry-failed is \
given, but the exit code tells of them. Files that were changed since they ran run again, new files in a folder also run \
where outputs go to a folder; other changes of inputs, and another program, guest argument or --env, are refused. Limits and devices \
may be others. A run keeps a journal for this in the output's folder (.vectorvisor-journal) or beside the file (OUT.jsonl.journal), \
which goes when all inputs have succeeded, unless this option is given. It survives the end of the process at any \
moment; the disk is not waited for, so a machine that loses power may lose what it had not written.";

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A bar on a terminal, a line now and then elsewhere.
    Auto,
    /// JSON lines.
    Json,
}

const PROGRESS: &str = "\
How progress is told on standard error. auto: a bar on a terminal, a line now and then elsewhere. json, also with --quiet: a line with \
a JSON object whenever something has changed, at most ten a second and at least one, and a last one. Its members: `done` and `failed` inputs of this run, \
`total` if it is known how many it has, `seconds` since the command began, `per_second`, the inputs done in each since the first began to run, and \
`now`: starting, translating, compiling, loading, running, autotuning or, in the last line, ended. Other lines than these \
do not begin with a brace.";

/// `--range`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first number.
    pub first: i64,
    /// How many there are, at least one.
    pub count: usize,
}

/// `--until`.
#[derive(Debug, Clone)]
pub enum Until {
    /// An exit code.
    Exit(i32),
    /// What standard output matches.
    Output(regex::bytes::Regex),
}

const STATS: &str = "\
Write figures of the run to this file, as a JSON object. Seconds: `seconds` of the whole command, `run_seconds` of running the \
inputs, `kernel_seconds` in the program's kernel (0 where the driver cannot tell), `compile_seconds` of the device's compiler, now or \
when the program was put into the cache (`cached`). Counts: `inputs`, `failed`, those that ran `interpreted` before the program was compiled, `launches`, `reruns`, `vms` at the same time, the most that shared a warp (`vms_per_warp`), `lanes` of a tile. \
Bytes: `bytes_in` and `bytes_out` of standard input and output, `cell` of the interleaving (0: linear), `vm_bytes` of one VM's memory, \
`device_bytes` of all VMs and their buffers. `files`, of a program that opens some, is `device` or `host`, where they are, and `files_why` why they \
are not on the device. And `backend`, `device`, `version`. With several devices the object has what they did \
together, and `devices` a list of objects with each one's figures, and why it failed (`error`).";

const MAP_HELP: &str = "\
A JSON line that is an object with a string `stdin` (or `stdin_base64`) gives that as the input; any line without
these two is the input itself, as it stands. An output line has `index`, `name` (of a file), `exit`, and `stdout` (`stdout_base64` if it is not
UTF-8); `error` says why there is no output, and `stderr` what the guest said. Output lines are in the order of the inputs.

Such an object can also have `args`, a list of arguments behind ARGS, `env`, an object of variables, and, with --scratch, `files`, an object of
files that lie in the guest's folder, each a string or {\"base64\": a string}. With one of these, `stdin` may be missing.

A folder of inputs of which ARGS or --collect has a path ({}, {.} or {//}) is given to the guests as --dir gives it; its name is that of --in, or
that of the --dir it lies in.

Inputs are files at any depth of the folder, symbolic links to files included. A failed input (a trap, an exit code other than 0)
writes no file, and removes one of an earlier run. Files appear whole or not at all. What an input that succeeds writes to standard error is
kept in JSON lines only.

After Ctrl-C the outputs that there are stand, and no further inputs are taken; a second one ends it at once.

Exit code: 0 if every input succeeded, 1 if not, 2 for wrong arguments, 130 if interrupted. With --until 0 if an input was
found and 3 if none was, whatever others did.";

/// Arguments of `profile`.
#[derive(Debug, Args)]
#[command(override_usage = "vectorvisor profile [OPTIONS] PROG --in DIR|FILE.jsonl [-o FILE] [-- ARGS]...\n       vectorvisor profile [OPTIONS] PROG --range A..B [-o FILE] [-- ARGS]...", after_help = PROFILE_HELP)]
pub struct ProfileArgs {
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Also write all that was counted to this file, as a JSON object.
    #[arg(short, value_name = "FILE", long_help = PROFILE)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub translate: TranslateArgs,
    #[command(flatten)]
    pub vm_args: VmArgs,
    /// Arguments of the guest, with placeholders as for `map`.
    #[arg(last = true, value_name = "ARGS", help_heading = "Guest")]
    pub args: Vec<String>,
}

const PROFILE: &str = "\
Also write all that was counted to this file, as a JSON object. `visits` are entries of functions and turns of loops by VMs, and \
`warp_visits` the same by warps; `active_lanes` is their quotient (null where the device does not tell). The object has these of the whole program, \
a list `functions`, most work first, each with its index in the module (`function`), `name`, `share` of all work, these three, those of its `entries`, and \
`loops`: for each its `offset` in the module, and those of its turns; and `calls`: for each indirect call that has counters its `offset`, and how often \
it called which function (`targets`), which --profile-use takes. `module` is the module's BLAKE3 hash. Turns are also counted by the kind of function (`turns_direct`, `turns_in_states`, \
`turns_between_states`). The rest are figures of the run, as of `map --stats`.";

const PROFILE_HELP: &str = "\
The program is compiled once more, so that it counts: each VM, whenever it enters a function or ends a turn of a loop (a visit), and of \
the lanes of a warp that do so together the first counts a visit of the warp. `lanes` is how many did so together, in the mean; `share` is \
the part of all visits of warps, since a warp takes as long for one lane as for all. It runs as `map` would with the same \
options, and outputs are dropped. Counting takes time, the more, the shorter the loops are.

NVIDIA's GPUs (cuda, opencl) and AMD's (hip) count active lanes. A processor runs one lane at a time; other OpenCL devices do not tell, so only \
visits are counted there. Inputs that run again count each time. Those that recurse deeper than a GPU's own stack allows, and so run \
elsewhere, do not count.

Exit code: 0 if every input succeeded, 1 if not, 2 for wrong arguments, 130 if interrupted.";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(override_usage = "vectorvisor serve [OPTIONS] [NAME=]PROG...", after_help = SERVE_HELP)]
pub struct ServeArgs {
    /// Programs (.wasm, or .wat text), each with the name of its path [default: that of its file].
    #[arg(required = true, value_name = "[NAME=]PROG")]
    pub programs: Vec<String>,
    /// Address and port; port 0 is any that is free. Others than this machine reach it only by an address like 0.0.0.0.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// VMs of each program on each device [default: what keeps the device busy, if there is so much memory].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub vms: Option<u32>,
    /// Fleets of VMs that run each program on each device, each in a thread of its own: one thread may be too slow for
    /// many small requests. They share the device's memory [default: up to 5 for a program that is alone on GPUs, one for
    /// every three cores of each, unless --vms says how many VMs it has; else 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub fleets: Option<u32>,
    /// Threads that read requests and write answers, beside those of fleets [default: one for every two cores, and at least
    /// two].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// While all devices are busy, a request waits so long for others that share its launch. While one is idle none
    /// waits.
    #[arg(long, value_name = "DURATION", default_value = "2ms", value_parser = parse_duration)]
    pub max_delay: Duration,
    /// Requests that may wait for a VM; more are answered with 503. Those of batches do not count: they wait for room.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub max_queue: usize,
    /// Most bytes of all bodies that were read and are not answered yet: half for single requests, of which more are
    /// answered with 503, and half for batches, which wait. Answers of batches that are under way may take as much again,
    /// and those of single requests that were not read half, beyond which others are answered with 503.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub max_queue_bytes: u64,
    /// Most bytes of a request's body, or of a batch's; more are answered with 413.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub max_body: u64,
    /// Most bytes that a program may write for a request, about; one that writes more is answered with 500.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub max_output: u64,
    /// How long a client may take to send a request's head, and then its body, and to read each 256 KiB of its answer;
    /// then it is cut off. A connection on which nothing is asked for so long is closed.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub client_timeout: Duration,
    /// The content type of answers.
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    pub content_type: String,
    /// What is logged, on standard error: a level (error, warn, info, debug, trace), or levels of parts, as
    /// `info,vectorvisor_serve=debug`, which also logs each request [default: info; with --quiet: error].
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    pub log: Option<String>,
    /// Write when single requests were read, waited, ran and were answered, when the device ran which VMs, and what the
    /// host did meanwhile, to this file when the server ends, in Chrome's trace format, which https://ui.perfetto.dev
    /// shows; of each the first million.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Programs count how many lanes of a warp are active (see `profile`), for /metrics and the page, which takes time.
    /// They are not autotuned, nor interpreted until they are compiled.
    #[arg(long)]
    pub profile: bool,
    /// Encrypt connections (HTTPS), with this certificate (PEM), behind which stand those of its issuers.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Other methods than POST reach programs, and longer paths (/NAME/REST, with PATH_INFO=/REST), but for /NAME/batch;
    /// and also requests of batches, and programs that serve requests in a loop, find what a request is beside its body in
    /// their environment. Such a program then begins anew for each.
    #[arg(long)]
    pub cgi: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub translate: TranslateArgs,
    #[command(flatten)]
    pub vm_args: VmArgs,
}

const SERVE_HELP: &str = "\
POST /NAME: the body is the program's standard input, and the answer what it writes to standard output, with status 200. Another exit
code or a trap is status 500, a JSON object with `error` and `stderr`; out of time (--timeout, here 30s unless it is given) or fuel 504; no room in
the queue, or no device, 503 with Retry-After. With one program POST / is the same. The program finds the request's query and headers in its
environment, as those of CGI do (QUERY_STRING, REMOTE_ADDR, CONTENT_TYPE, HTTP_...).

A program that serves requests in a loop (it imports serverless_invoke and serverless_response) is served alike: its answer is
what it gives serverless_response. A request that is longer than it takes is answered with 413.

POST /NAME/batch: many requests. application/x-ndjson: one a line, as for `vectorvisor map`, but for `args`, `env` and `files`; an object's `id`
comes back; the answers are lines with `index`, `exit` and `stdout`, as those of map. application/octet-stream: for each request its length, 4 bytes, least significant first, and so
many bytes; an answer is its request's number, a status as above and a length, 4 bytes each, and so many bytes. application/msgpack: an
array of binaries or strings; the answers are an array of maps with the members of a line. Answers come in the order of the
requests, or with ?order=any as they end.

With one program, clients of the first VectorVisor find /batch_submit/ (a request, by any method; figures are in the answer's head) and /is_active/.

GET / is a page for people, which shows the state of the server; /status, too, or that state as JSON. (With --cgi and one program only /status is.)
GET /healthz, /readyz (503 while there is no device), and /metrics for Prometheus. Each answer has the request's X-Request-Id, or a number.

The first Ctrl-C or SIGTERM ends it when what was accepted has been answered; a second one at once.";

/// Arguments of `devices`.
#[derive(Debug, Args)]
#[command(after_help = DEVICES_HELP)]
pub struct DevicesArgs {
    /// Only this driver, or only this of its devices.
    #[arg(long, value_name = "NAME[:INDEX]")]
    pub backend: Option<vectorvisor::BackendSpec>,
    /// Also run known-answer cases on every device, and print which pass.
    #[arg(long)]
    pub check: bool,
    /// A driver's plugin (libvectorvisor_NAME.so), or a folder with plugins; can be repeated.
    #[arg(long, value_name = "PATH", long_help = DRIVER_PATH)]
    pub driver_path: Vec<PathBuf>,
}

const DEVICES_HELP: &str = "\
Exit code: 0, even if a driver is unavailable; with --check, 1 if anything failed, and with --backend, 1 if it is unavailable.";

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_HELP)]
pub struct InspectArgs {
    /// The program (.wasm, or .wat text).
    #[arg(value_name = "PROG")]
    pub program: PathBuf,
    /// What to print.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub emit: Emit,
    /// Only what this export reaches, as `run --invoke` [default: `_start`, or all exports of a program that has none].
    #[arg(long, value_name = "NAME")]
    pub invoke: Option<String>,
    /// With --emit plan: also compile the kernels with --backend's compiler for this architecture, as sm_90, without a
    /// device, and print what units and functions cost; `native` is that of the first device.
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<String>,
    /// Guests have files that the host has, as with --scratch of `run`.
    #[arg(long)]
    pub files: bool,
    #[command(flatten)]
    pub given: FileArgs,
    /// As `profile` compiles it, so that it counts.
    #[arg(long)]
    pub profile: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub translate: TranslateArgs,
}

const INSPECT_HELP: &str = "\
What is printed is what `run` makes of the program with the same options, for --backend's device, including what earlier
runs found out (that the program violates natural alignment or stores into shared data, and what autotuning chose). If the
device is not there, and with --arch, it is for a typical one of its kind; so is text in a language that is not that of --backend.";

/// What `inspect` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The kernel IR.
    Ir,
    /// OpenCL C.
    Opencl,
    /// CUDA C++.
    Cuda,
    /// HIP C++.
    Hip,
    /// C for the system's compiler.
    C,
    /// The memory of a VM, and the entries; with --arch also what compiling costs.
    Plan,
    /// Which functions can suspend (framed) and which cannot (direct), and why; then how many functions and calls there
    /// are.
    Calls,
}

/// `--interleave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interleave {
    /// What autotuning chose earlier; autotunes where it pays.
    Auto,
    /// Autotunes now.
    Tune,
    /// The device's default.
    Default,
    /// Bytes; 0 is linear.
    Cell(u32),
}

/// `--traps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrapsArg {
    Sticky,
    Exact,
}

/// `--bounds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BoundsArg {
    Size,
    Capacity,
}

/// `--alignment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlignmentArg {
    Any,
    Natural,
}

/// Adds `run` in front of options that stand alone: `vectorvisor -i prog.wasm --printreturn=true`.
pub fn with_subcommand(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let bare = args.get(1).and_then(|a| a.to_str()).is_some_and(|a| {
        a.starts_with('-') && !matches!(a, "-h" | "--help" | "-V" | "--version") && args.iter().any(is_input_option)
    });
    if bare {
        args.insert(1, "run".into());
    }
    args
}

fn is_input_option(arg: &OsString) -> bool {
    arg.to_str().is_some_and(|a| a == "-i" || a == "--input" || a.starts_with("--input="))
}

/// Options that guests have too: not a mistake.
const COMMON: [&str; 7] = ["all", "dir", "env", "input", "quiet", "seed", "vm"];

/// Whether a guest's argument looks like an option of `run` that stands in the wrong place.
pub fn is_ours(word: &str) -> bool {
    let Some(name) = word.strip_prefix("--").and_then(|word| word.split('=').next()) else { return false };
    let is =
        |arg: &clap::Arg| arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name));
    !COMMON.contains(&name) && RunArgs::augment_args(clap::Command::new("run")).get_arguments().any(is)
}

fn parse_range(text: &str) -> Result<Range, String> {
    let integers = || "a range is two integers of at most 64 bits, as 0..20 (without 20) or 0..=19".to_string();
    let (from, to) = text.split_once("..").ok_or_else(integers)?;
    let (to, inclusive) = to.strip_prefix('=').map_or((to, false), |to| (to, true));
    let bound = |text: &str| text.parse::<i64>().map(i128::from).map_err(|_| integers());
    let (from, to) = (bound(from)?, bound(to)? + i128::from(inclusive));
    if to <= from {
        return Err("it is empty".into());
    }
    let count = usize::try_from(to - from).map_err(|_| "it is too long")?;
    Ok(Range { first: i64::try_from(from).map_err(|_| integers())?, count })
}

fn parse_until(text: &str) -> Result<Until, String> {
    if let Some(code) = text.strip_prefix("exit=") {
        return code.parse().map(Until::Exit).map_err(|_| {
            "after exit= comes an exit code, as exit=3; a regular expression for that text is (exit=)".into()
        });
    }
    // Its message draws below the expression where the mistake is.
    let regex = regex::bytes::RegexBuilder::new(text).multi_line(true).build();
    regex.map(Until::Output).map_err(|e| e.to_string())
}

fn parse_lanes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(n @ (1 | 8 | 32 | 64)) => Ok(n),
        _ => Err("a tile has 1, 8, 32 or 64 lanes".into()),
    }
}

/// Parses names of optimisations: all of them, or those that are off by default.
fn opts(all: bool) -> impl TypedValueParser<Value = Opt> {
    let ours = Opt::ALL.into_iter().filter(move |(_, opt)| all || !opt.on_by_default());
    let known = |text: String| Opt::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, opt)| opt).ok_or(text);
    PossibleValuesParser::new(ours.map(|(name, _)| name)).try_map(known)
}

fn parse_interleave(text: &str) -> Result<Interleave, String> {
    match text {
        "auto" => Ok(Interleave::Auto),
        // `trial` is its former name.
        "tune" | "trial" => Ok(Interleave::Tune),
        "default" => Ok(Interleave::Default),
        _ => match text.parse() {
            Ok(n @ (0 | 4 | 8 | 16 | 32)) => Ok(Interleave::Cell(n)),
            _ => Err("a cell is auto, tune, default, 0 (linear), 4, 8, 16 or 32 bytes".into()),
        },
    }
}

/// Bytes: `4096`, `64k`, `64KiB`, `16M`, `16MiB`, `1g`. Units are powers of 1024, `kB`, `MB` and `GB` included.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(format!("no size has the unit {unit:?}; write bytes, 64k, 16MiB or 1GiB")),
    };
    let number: u64 = number.parse().map_err(|_| "a size is a whole number, as in 65536, 64k or 16MiB".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size is too large".into())
}

fn parse_stack(text: &str) -> Result<u32, String> {
    u32::try_from(parse_size(text)?).map_err(|_| "a stack is smaller than 4 GiB".into())
}

/// `500ms`, `1s`, `1.5s`, `2m`, `1h`, or seconds without a unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a number with ms, s, m or h, as in 500ms, 1.5s or 2m".to_string();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())?;
    if duration.is_zero() { Err("a duration is longer than nothing".into()) } else { Ok(duration) }
}

fn parse_env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => Ok((name.into(), value.into())),
        _ => Err("an environment variable is written NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = std::iter::once("vectorvisor").chain(line.split(' ')).map(OsString::from);
        Cli::try_parse_from(with_subcommand(words))
    }

    fn run(line: &str) -> RunArgs {
        match parse(line).expect(line).command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("65536", 65536), ("64k", 65536), ("64KiB", 65536), ("16MiB", 16 << 20), ("1g", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5M", "12 parsecs", "99999999999g"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in
            [("500ms", 500), ("1s", 1000), ("1.5s", 1500), ("2m", 120_000), ("3", 3000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "0", "1 fortnight", "1e999"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_after_the_program_is_the_guests() {
        let args = run("run --vms 8 --env A=b=c prog.wasm --vms 9 -x -- --help");
        assert_eq!(args.vms, Some(8));
        assert_eq!(args.vm_args.env, [("A".to_string(), "b=c".to_string())]);
        assert_eq!(args.program_and_args, ["prog.wasm", "--vms", "9", "-x", "--", "--help"]);
        assert_eq!(run("run --invoke f p.wat -5").program_and_args, ["p.wat", "-5"]);
    }

    #[test]
    fn options_of_the_original_need_no_subcommand() {
        for line in [
            "-i p.wat --printreturn=true",
            "--input=p.wat --printreturn=true --vmcount=4",
            "run -i p.wat --printreturn",
        ] {
            let args = run(line);
            assert_eq!(args.input.as_deref(), Some("p.wat".as_ref()), "{line}");
            assert!(args.printreturn, "{line}");
        }
        assert!(!run("run -i p.wat --printreturn=false").printreturn);
        assert!(parse("--vms 3 p.wat").is_err());
    }

    #[test]
    fn guest_arguments_of_map_follow_two_dashes() {
        let Command::Map(args) =
            parse("map p.wasm --in a --out b --lanes 32 --interleave 0 -- -x y").expect("map").command
        else {
            panic!("not map")
        };
        assert_eq!(args.args, ["-x", "y"]);
        assert_eq!(args.translate.lanes, Some(32));
        assert_eq!(args.translate.interleave, Interleave::Cell(0));
    }

    #[test]
    fn optimisations_are_named() {
        let args = run("run --without merge-checks,loads-first --opt shared-data p.wat").translate;
        assert_eq!((args.without, args.opt), (vec![Opt::MergeChecks, Opt::LoadsFirst], vec![Opt::SharedData]));
        assert_eq!(run("run --without shared-data p.wat").translate.without, [Opt::SharedData]);
        let help = parse("run --help").expect_err("help").to_string();
        assert!(Opt::ALL.iter().all(|(name, _)| help.contains(name)), "{help}");
    }

    #[test]
    fn options_behind_the_program_are_known() {
        assert!(["--backend", "--vms=3", "--vmcount", "--opt", "--no-cache"].into_iter().all(is_ours));
        assert!(!["backend", "-i", "--", "--help", "--quiet", "--verbose", "5"].into_iter().any(is_ours));
    }

    #[test]
    fn folders_have_a_name_and_a_mode() {
        let args = run("run --dir data --dir /srv/maps::maps:rw --dir C:ro --scratch 16k::tmp p.wat").vm_args.files;
        let folder = |host: &str, guest: &str, write| Folder { host: host.into(), guest: guest.into(), write };
        assert_eq!(
            args.dir,
            [folder("data", "data", false), folder("/srv/maps", "maps", true), folder("C", "C", false)]
        );
        assert_eq!(args.scratch, Some(Scratch { bytes: 16384, guest: Some("tmp".into()) }));
    }

    #[test]
    fn wrong_values_are_refused() {
        for line in [
            "run --lanes 7 p.wat",
            "run --interleave 5 p.wat",
            "run --vms 0 p.wat",
            "run --heap lots p.wat",
            "run --env novalue p.wat",
            "run --bogus p.wat",
            "run --no-cache --cache-dir d p.wat",
            "run --all --vm 3 p.wat",
            "run --nvidia=maybe p.wat",
            "run --opt loads-first p.wat",
            "run --without loads-first,nonsense p.wat",
            "run --dir a:: p.wat",
            "run --scratch 1MiB:: p.wat",
            "map p.wat --in a",
            "map p.wat --in a --out b stray",
            "inspect p.wat",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
