//! WebAssembly to kernel text: `bytes -> wasm::Module -> ir::Program -> passes -> text`.
//!
//! Pure: no device, no clock, no file, no global state; the output is the same to the byte for the same input.

pub mod abi;
mod analysis;
mod bytecode;
mod dialect;
pub mod host;
pub mod ir;
mod layout;
pub mod link;
mod lower;
mod pass;
pub mod wasm;

pub use analysis::Colour;

use abi::{Plan, Point};
use host::FilesAt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The kernel language to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// GNU C11 for the system's compiler.
    C,
    /// OpenCL C 1.2.
    OpenCl,
    /// CUDA C++.
    Cuda,
    /// HIP C++.
    Hip,
}

/// Where the time of a guest's clock comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Clock {
    /// The device has a clock in nanoseconds that the prelude of its language knows to read.
    Device,
    /// A running kernel sees a word that the host keeps up to date, [`abi::STOP_TIME`].
    Kept,
    /// Neither: `clock_time_get` suspends, and the host answers it.
    Asked,
}

/// What the device can do, as far as the kernel text depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The language.
    pub language: Language,
    /// One thread can end itself inside a function.
    pub thread_exit: bool,
    /// Where the time of a guest's clock comes from.
    pub clock: Clock,
    /// A branch costs less than the two loads and the shift of an unaligned access: true for CPUs.
    pub cheap_branches: bool,
    /// The kernel compiler walks every path of calls, so its time grows exponentially with the depth of a program (PoCL
    /// 3.1: 16 levels of two calls take 10 s). A direct function then has at most so many paths below it, other
    /// functions are framed, and there are no nested trampolines.
    pub call_paths: Option<u32>,
}

impl Target {
    /// See [`Meta::resets_together`].
    fn resets_together(&self, plan: &abi::Plan) -> bool {
        plan.cell == 0 && plan.lanes > 1 && !self.cheap_branches && self.language != Language::C
    }
}

/// When a bad memory access is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Traps {
    /// At the next back-edge, host call or end, by the sticky flag.
    Sticky,
    /// At the access.
    Exact,
}

/// What an access to growable memory is tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bounds {
    /// The current size, as the spec says.
    Size,
    /// The most that it may grow to: VMs stay isolated, but an access between size and that is not caught.
    Capacity,
    /// Nothing: a bad access writes over other VMs, or faults the device. For measuring what the tests cost.
    None,
}

/// What an access is assumed to be aligned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alignment {
    /// Only what is proven.
    Any,
    /// What its hint says, as compilers of C and Rust ensure. A VM that violates the assumption ends as
    /// [`abi::Status::Violated`], and its input has to run again in a program translated with `Any`. Programs whose VMs
    /// keep their state are always translated with `Any`.
    Natural,
}

/// Optimisations, each of which can be left out to see what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Opt {
    /// One check for neighbouring accesses.
    MergeChecks,
    /// Such a check also covers accesses off the same address that may follow it, behind branches and calls. For linear
    /// memory with [`Alignment::Natural`]: a VM for which only those are out of bounds ends as
    /// [`abi::Status::Violated`], and its input has to run again in a program without natural alignment.
    WideChecks,
    /// A store waits for an earlier load of the same address.
    StoreAfterLoad,
    /// Loads move up over stores.
    LoadsFirst,
    /// Checks of addresses that change by a constant in each iteration of a loop are made in front of the loop.
    HoistChecks,
    /// Functions of the same signature and code become one. Messages name all of them.
    MergeFunctions,
    /// Read-only data is read from one copy for all VMs. A VM that stores there ends as [`abi::Status::Violated`], and
    /// its input has to run again in a program translated without this. Off by default, as it pays for few programs;
    /// autotuning tries it.
    SharedData,
    /// Functions recurse on the thread's own stack, where there is one: see [`Options::native_stack`].
    NativeRecursion,
}

impl Opt {
    /// All of them, with the names that the options `--without` and `--opt` know.
    pub const ALL: [(&'static str, Self); 8] = [
        ("merge-checks", Self::MergeChecks),
        ("wide-checks", Self::WideChecks),
        ("store-after-load", Self::StoreAfterLoad),
        ("loads-first", Self::LoadsFirst),
        ("hoist-checks", Self::HoistChecks),
        ("merge-functions", Self::MergeFunctions),
        ("shared-data", Self::SharedData),
        ("native-recursion", Self::NativeRecursion),
    ];

    /// Whether it is on unless an option leaves it out.
    pub fn on_by_default(self) -> bool {
        self != Self::SharedData
    }
}

/// The default of [`Options::divide`] where it is on.
pub const LARGE: u32 = 20_000;

/// How to translate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Options {
    /// The device.
    pub target: Target,
    /// VMs in a tile, a power of two.
    pub lanes: u32,
    /// Interleave cell in bytes: 0 (linear), 4, 8, 16 or 32.
    pub cell: u32,
    /// Most bytes of linear memory; `None` is initial + 16 MiB. The declared maximum bounds both.
    pub heap: Option<u64>,
    /// Most bytes of frames in a program that recurses; one that does not gets what it needs.
    pub stack: u32,
    /// Bytes of a thread's own stack on which direct functions may recurse, where it is a small one. A VM that needs
    /// more ends as [`abi::Status::Deep`], and its input has to run again in a program where this is 0. 0: in C the own stack has room for all of `stack`, elsewhere none.
    pub native_stack: u32,
    /// When a bad access is reported.
    pub traps: Traps,
    /// What growable memory is tested against.
    pub bounds: Bounds,
    /// What accesses are taken to be aligned to.
    pub alignment: Alignment,
    /// Optimisations to leave out.
    pub without: BTreeSet<Opt>,
    /// Optimisations to add to the ones that are [on by default](Opt::on_by_default).
    pub with: BTreeSet<Opt>,
    /// The module was made by [`link::Linker`], so it may have several memories.
    pub linked: bool,
    /// Divide functions larger than this, in statements and nodes of expressions, and nests of many loops: see
    /// [`LARGE`].
    pub divide: Option<u32>,
    /// Make code and an interpreter for it, instead of functions.
    pub interpret: bool,
    /// Frame every function, and suspend at every call (tests).
    pub force_framed: bool,
    /// Count how often VMs and warps come to each [`abi::Point`], and loop back-edges by kind of function. An interpreter
    /// counts nothing.
    pub profile: bool,
    /// For `call_indirect` instructions, by their offset in the module: the functions that they usually call, by their indices.
    /// the most usual first. They then test for these and call them directly. All others are called as without.
    pub usual_targets: BTreeMap<u32, Vec<u32>>,
    /// VMs of a program with an event loop keep their state from one request to the next; else each request begins with
    /// the same state.
    pub keep: bool,
    /// Where the files of guests are, if the program uses any.
    pub files: FilesAt,
    /// Exports that can be entered. Empty: all of them. Functions that they do not reach are not translated.
    pub roots: Vec<String>,
}

impl Options {
    /// Whether an optimisation is on.
    pub fn has(&self, opt: Opt) -> bool {
        (opt.on_by_default() || self.with.contains(&opt)) && !self.without.contains(&opt)
    }

    /// Whether direct functions recurse natively, in a program whose VMs keep their state (`keeps`) or do not, and whose
    /// files are there. Elsewhere stacks are small, or compilers need to know their depth; and a VM that changes files
    /// may have to go on where it is.
    pub fn recurses(&self, keeps: bool, files: FilesAt) -> bool {
        let may = match (self.native_stack, self.target.language) {
            (0, Language::C) => self.stack <= MAX_RECURSION,
            (0, _) => false,
            _ => self.traps == Traps::Sticky && !keeps && files != FilesAt::Disk && !self.interpret,
        };
        may && self.has(Opt::NativeRecursion)
    }

    /// Whether accesses are assumed to be aligned as their hints say, in a program whose VMs keep their state (`keeps`),
    /// so that they cannot run again, or do not.
    pub fn natural(&self, keeps: bool) -> bool {
        self.alignment == Alignment::Natural && self.traps == Traps::Sticky && !keeps
    }
}

/// A wasm number type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

/// An exported function that can be entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The export's name.
    pub name: String,
    /// Parameter types.
    pub params: Vec<ValType>,
    /// Result types.
    pub results: Vec<ValType>,
    /// The state to start in ([`abi::Word::State`]).
    pub state: u32,
}

/// What memory holds before the first instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Globals and tables: `plan.head` bytes.
    pub head: Vec<u8>,
    /// Where the bytes of `memory` go; a multiple of 64.
    pub low: u64,
    /// The nonzero span of linear memory, a multiple of 64 bytes (the initial size bounds it).
    pub memory: Vec<u8>,
    /// Passive data segments, one after another.
    pub segments: Vec<u8>,
}

impl Image {
    /// Both ends of `memory` are multiples of it. Bytes.
    pub(crate) const LINE: usize = 64;

    /// Keeps the nonzero span of `bytes`, which begin at address `base`, a multiple of 64, in whole lines of 64 bytes.
    pub fn set_memory(&mut self, base: u64, bytes: &[u8]) {
        let first = bytes.iter().position(|b| *b != 0).map_or(0, |at| at / Self::LINE * Self::LINE);
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        self.low = base + first as u64;
        self.memory = bytes[first..end].to_vec();
        self.memory.resize((end - first).next_multiple_of(Self::LINE), 0);
    }
}

/// What the runtime must know about translated text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Memory layout.
    pub plan: Plan,
    /// Entries, in the order of the exports.
    pub entries: Vec<Entry>,
    /// State that runs the start function and `_initialize`, before anything else, if there is one.
    pub init: Option<u32>,
    /// A name for each function, imports included.
    pub functions: Vec<String>,
    /// If it is profiled: where it counts.
    pub points: Vec<Point>,
    /// The start contents of memory.
    pub image: Image,
    /// VMs wait for the host, and `fd_write` flushes instead of filling up.
    pub remote: bool,
    /// The program serves requests in a loop: it calls `serverless_invoke`.
    pub events: bool,
    /// Its VMs keep their state from one request to the next.
    pub keeps: bool,
    /// Its functions recurse on the device's own stack, so that VMs may end with [`abi::Status::Deep`].
    pub recurses: bool,
    /// It may ask for random numbers.
    pub draws: bool,
    /// It may read its environment.
    pub reads_environment: bool,
    /// The program may use files.
    pub opens_files: bool,
    /// Where these are.
    pub files: FilesAt,
    /// The program reads a time that the host has to keep at [`abi::STOP_TIME`] while it runs.
    pub kept_time: bool,
    /// A tile of `vv_reset`'s threads resets one VM, side by side: a GPU's thread alone stores slowly, and far from what its
    /// neighbours store. Where VMs lie interleaved, a tile's threads do that side by side for a tile's VMs.
    pub resets_together: bool,
    /// If [`Opt::SharedData`] is on: what is shared, or why nothing is.
    pub shared: Option<Result<SharedData, String>>,
}

/// Read-only data that all VMs read from one copy, and counts of the accesses to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedData {
    /// Its address.
    pub at: u32,
    /// Its size.
    pub bytes: u32,
    /// Loads that read this copy.
    pub loads: u32,
    /// Loads that became constants.
    pub constants: u32,
    /// Stores that are tested.
    pub stores: u32,
}

impl fmt::Display for SharedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, bytes, loads, constants, stores } = self;
        write!(f, "{bytes} bytes of .rodata at {at}, read by {loads} loads; {constants} more became constants; ")?;
        write!(f, "{stores} stores are tested")
    }
}

/// Translated text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Prelude, small inline functions, declarations.
    pub header: String,
    /// Translation units of bounded size: function bodies, the kernels last.
    pub units: Vec<String>,
    /// For the runtime.
    pub meta: Meta,
}

/// Why a module cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The module uses a proposal that is not supported.
    #[error(
        "at offset {offset:#x} the program uses a WebAssembly proposal that VectorVisor does not support: {proposal}; \
         compile it without"
    )]
    Unsupported {
        /// Byte offset in the module.
        offset: usize,
        /// The proposal's name.
        proposal: &'static str,
    },
    /// The bytes are no valid module.
    #[error("invalid WebAssembly at offset {offset:#x}: {message}")]
    Invalid {
        /// Byte offset in the module.
        offset: usize,
        /// What is wrong.
        message: String,
    },
    /// VectorVisor does not provide an import.
    #[error(
        "unknown import {module:?} {name:?}: VectorVisor provides WASI preview 1, as wasi_snapshot_preview1 and wasi_unstable, \
         and serverless_invoke, serverless_response and vectorvisor_barrier"
    )]
    UnknownImport {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
    },
    /// An export that was asked for is not there.
    #[error("the program exports no function {name:?}; it exports {available}")]
    NoExport {
        /// The name asked for.
        name: String,
        /// The names there are.
        available: String,
    },
    /// A size or count that the options or this version do not allow.
    #[error("{0}")]
    Limit(String),
}

/// A program after all passes, not yet printed; for `inspect` and tests.
pub struct Lowered {
    /// The IR after all passes.
    pub program: ir::Program,
    /// Kind of each function, and why.
    pub colours: Vec<Colour>,
    facts: analysis::Colours,
    layout: layout::Layout,
    image: Image,
    shared: Option<Result<SharedData, String>>,
}

/// Passes descend into nested blocks, 5000 deep at most: a hostile module must not overflow the caller's stack.
const STACK: usize = 256 << 20;

/// The most bytes of text or image that a module of so many bytes may become: a few bytes of a hostile one can ask for
/// many.
fn bound(module: usize) -> usize {
    (16 << 20) + 64 * module
}

/// Most bytes of native stack that direct functions may need without recursion; the `cpu` driver's workers have 64 MiB.
const MAX_NATIVE_STACK: u64 = 48 << 20;
/// The largest call stack of a recursive program that lies on the native one, beside that.
const MAX_RECURSION: u32 = 8 << 20;

fn with_stack<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("translate".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| Error::Limit(format!("no thread to translate in: {e}")))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Decodes, lowers, and runs all passes.
pub fn lower_module(wasm: &[u8], options: &Options) -> Result<Lowered, Error> {
    with_stack(|| lower_here(wasm, options))
}

fn lower_here(wasm: &[u8], options: &Options) -> Result<Lowered, Error> {
    check(options)?;
    let mut module = wasm::Module::decode(wasm, options.linked)?;
    if options.has(Opt::MergeFunctions) {
        module.merge_functions();
    }
    let (mut program, image) = lower::lower(&module, options)?;
    verify("lowering", &program)?;
    pass::guard::run(&mut program, &options.usual_targets);
    verify("guarding calls", &program)?;
    if let Some(most) = options.divide {
        pass::divide::run(&mut program, most);
        verify("dividing", &program)?;
    }
    let facts = analysis::Colours::new(&program, options);
    let adapters = pass::versions::run(&mut program, &facts, |f| module.code_offset(f))?;
    verify("framing", &program)?;
    let native = analysis::native_stack(&program, &facts);
    if native > MAX_NATIVE_STACK {
        return Err(Error::Limit(format!(
            "the program's calls nest so deep that they may need {native} bytes of native stack, more than \
             {MAX_NATIVE_STACK}; --force-framed runs it with frames of its own"
        )));
    }
    let natural = options.natural(facts.keeps);
    let find = || match unrepeatable(options, facts.keeps) {
        Some(why) => Err(why),
        None => pass::shared::Data::new(&module, &program, &image),
    };
    let found = options.has(Opt::SharedData).then(find);
    let mut counts = SharedData::default();
    let data = found.as_ref().and_then(|found| found.as_ref().ok());
    program.shared = data.map(|data| data.range.clone());
    for i in 0..program.functions.len() {
        let params = program.types[program.functions[i].ty as usize].params.len();
        let function = &mut program.functions[i];
        for body in function.body.iter_mut().chain(&mut function.states) {
            pass::nan::run(body);
            if options.traps == Traps::Sticky {
                if let Some(data) = data {
                    pass::shared::mark(body, params, data, &mut counts);
                }
                pass::access::run(body, params, &program.memory, natural, options);
                if data.is_some() {
                    pass::shared::test_stores(body);
                }
                // A processor that runs one VM at a time reorders loads itself.
                if options.has(Opt::LoadsFirst) && options.lanes > 1 {
                    pass::hoist::run(body);
                }
                // A hoisted check fails before the access would, so what a VM leaves in memory when it traps is not
                // exact. That is only right where such memory is discarded.
                if options.has(Opt::HoistChecks) && natural {
                    pass::stride::run(body, program.memory.initial);
                }
            }
        }
    }
    verify("the passes over bodies", &program)?;
    let layout = layout::Layout::new(&program, &facts, &adapters, natural, options)?;
    let shared = found.map(|found| match found {
        Ok(data) => Ok(SharedData { at: data.range.start, bytes: data.range.len() as u32, ..counts }),
        Err(why) => Err(why.to_string()),
    });
    Ok(Lowered { program, colours: facts.of.clone(), facts, layout, image, shared })
}

/// Why a VM that breaks an assumption could not run again, and what would help.
fn unrepeatable(options: &Options, keeps: bool) -> Option<&'static str> {
    if keeps {
        Some("VMs keep their state from one request to the next, and one that changed the data could not run again")
    } else if options.traps == Traps::Exact {
        Some("it needs --traps sticky")
    } else if !options.natural(keeps) {
        Some(
            "it needs --alignment natural (the default on GPUs only) and a program that no earlier run found to break it",
        )
    } else {
        None
    }
}

/// Translates a binary module.
pub fn translate(wasm: &[u8], options: &Options) -> Result<Kernel, Error> {
    with_stack(|| translate_here(wasm, options))
}

fn translate_here(wasm: &[u8], options: &Options) -> Result<Kernel, Error> {
    if options.interpret {
        return interpreted(wasm, &Options { profile: false, ..options.clone() });
    }
    let Lowered { program, facts, layout, image, shared, .. } = lower_here(wasm, options)?;
    let (header, units) = dialect::write(&program, &facts, &layout, options, None, bound(wasm.len()))?;
    let state = |f: u32| layout.entry(&facts, analysis::World::Upper, f);
    Ok(Kernel { header, units, meta: Meta { shared, ..meta(&program, &facts, &layout, image, options, state) } })
}

/// Bytes of a module's code; 0 if it has none, or is no module.
pub fn code_size(wasm: &[u8]) -> usize {
    use wasmparser::{Parser, Payload};
    let code = |payload| match payload {
        Ok(Payload::CodeSectionStart { size, .. }) => Some(size as usize),
        _ => None,
    };
    Parser::new(0).parse_all(wasm).find_map(code).unwrap_or(0)
}

/// The program as code, and an interpreter of its operations.
fn interpreted(wasm: &[u8], options: &Options) -> Result<Kernel, Error> {
    check(options)?;
    let mut module = wasm::Module::decode(wasm, options.linked)?;
    if options.has(Opt::MergeFunctions) {
        module.merge_functions();
    }
    let (mut program, mut image) = lower::lower(&module, options)?;
    // Only a processor's NaNs are canonical by themselves.
    let canonical = options.target.language == Language::C;
    for body in program.functions.iter_mut().filter_map(|function| function.body.as_mut()) {
        pass::charge::run(body);
        if !canonical {
            pass::nan::run(body);
        }
    }
    verify("lowering", &program)?;
    let facts = analysis::Colours::new(&program, options);
    let code = bytecode::compile(&program, &facts, &layout::globals(&program), options.target.language == Language::C)?;
    let layout = layout::Layout::interpreted(&program, &facts, code.largest, options)?;
    image.segments.resize(image.segments.len().next_multiple_of(bytecode::ROW as usize), 0);
    let at = image.segments.len() as u64;
    image.segments.extend(code.bytes());
    let (header, units) = dialect::write(&program, &facts, &layout, options, Some((&code, at)), bound(wasm.len()))?;
    let meta = meta(&program, &facts, &layout, image, options, |f| code.entries[f as usize]);
    Ok(Kernel { header, units, meta })
}

/// What the runtime must know. `state` is where a function is entered.
fn meta(
    program: &ir::Program,
    facts: &analysis::Colours,
    layout: &layout::Layout,
    mut image: Image,
    options: &Options,
    state: impl Fn(u32) -> u32,
) -> Meta {
    image.head = layout.head(program);
    let entry = |(name, f): &(String, u32)| {
        let ty = &program.types[program.functions[*f as usize].ty as usize];
        Entry { name: name.clone(), params: ty.params.clone(), results: ty.results.clone(), state: state(*f) }
    };
    let calls = dialect::host_calls(program);
    let makes = |call| calls.iter().any(|made| made.call == call);
    Meta {
        plan: layout.plan.clone(),
        entries: program.entries.iter().map(entry).collect(),
        init: program.init.map(&state),
        functions: program.functions.iter().map(ir::Function::name).collect(),
        points: layout.points.clone(),
        image,
        remote: facts.remote,
        events: makes(host::Call::ServerlessInvoke),
        keeps: facts.keeps,
        recurses: facts.recurse(),
        draws: makes(host::Call::RandomGet),
        reads_environment: makes(host::Call::EnvironGet),
        opens_files: calls.iter().any(|call| call.opens_files()),
        files: facts.files,
        resets_together: options.target.resets_together(&layout.plan),
        kept_time: options.target.clock == Clock::Kept && !facts.asks_clock() && makes(host::Call::ClockTimeGet),
        shared: None,
    }
}

fn check(options: &Options) -> Result<(), Error> {
    if !options.lanes.is_power_of_two() || options.lanes > 1024 {
        return Err(Error::Limit(format!("{} lanes: a tile has a power of two, at most 1024", options.lanes)));
    }
    if ![0, 4, 8, 16, 32].contains(&options.cell) {
        return Err(Error::Limit(format!(
            "an interleave cell of {} bytes: choose 0 (linear), 4, 8, 16 or 32",
            options.cell
        )));
    }
    Ok(())
}

/// The IR verifier runs after each step in debug builds and tests.
fn verify(step: &str, program: &ir::Program) -> Result<(), Error> {
    if cfg!(debug_assertions) {
        ir::verify::verify(program).map_err(|e| Error::Limit(format!("internal error after {step}: {e}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn an_image_is_cut_to_its_nonzero_span() {
        let mut bytes = vec![0; 1000];
        let mut image = Image::default();
        image.set_memory(64, &bytes);
        assert!(image.memory.is_empty());
        bytes[130] = 1;
        bytes[700] = 2;
        image.set_memory(64, &bytes);
        assert_eq!((image.low, image.memory.len(), image.memory[2]), (64 + 128, 704 - 128, 1));
        bytes[999] = 3;
        image.set_memory(0, &bytes);
        assert_eq!((image.low, image.memory.len()), (128, 1024 - 128));
    }
}
