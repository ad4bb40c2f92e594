//! A module, translated and compiled for one device, or taken from the disk cache.

use crate::cache::{Cache, Key, key};
use crate::tier::NextTier;
use crate::{Engine, Error, Measured, ProgramOptions, Result, Tuning};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use vectorvisor_driver::threads;
use vectorvisor_driver::{DeviceInfo, DeviceKind, KernelId, Module, Source};
use vectorvisor_translate::abi::Plan;
use vectorvisor_translate::host::FilesAt;
use vectorvisor_translate::{Alignment, Entry, Meta, Opt, Options, SharedData, Traps, translate};

/// What [`Program::new`] or [`crate::Fleet::run_autotuned`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage<'a> {
    /// Making kernel text of the module.
    Translating,
    /// The device's compiler is at work.
    Compiling {
        /// Units that are done.
        done: usize,
        /// Units there are.
        total: usize,
    },
    /// Loading the binary.
    Loading {
        /// It came from the disk cache.
        cached: bool,
    },
    /// The program is interpreted, and compiles beside ([`Program::tiered`]).
    Interpreting,
    /// Measuring the candidates of autotuning.
    Autotuning {
        /// Candidates that are done.
        done: usize,
        /// All candidates.
        total: usize,
    },
    /// Autotuning has ended.
    Autotuned {
        /// Every candidate, the present tuning first. If it is the only one, these inputs take too little time to tell.
        candidates: &'a [Measured],
        /// What was chosen.
        chosen: Tuning,
        /// The cache holds it for later runs.
        remembered: bool,
    },
    /// Something that does not stop the work but that the user should know.
    Warning(&'a str),
}

/// The binary form of a module given as text or binary.
///
/// # Errors
/// [`Error::Text`] if it is text and that is not valid.
///
/// ```
/// assert_eq!(vectorvisor::to_wasm(b"(module)")?[..4], *b"\0asm");
/// # Ok::<(), vectorvisor::Error>(())
/// ```
pub fn to_wasm(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    wat::parse_bytes(bytes).map_err(|error| Error::Text(error.to_string()))
}

/// Like [`to_wasm`] for the contents of a file, which messages name.
///
/// # Errors
/// As [`to_wasm`].
pub fn to_wasm_of<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    wat::parse_bytes(bytes).map_err(|mut error| {
        error.set_path(path);
        Error::Text(error.to_string())
    })
}

/// What was enough for nearly all inputs of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// Bytes of linear memory.
    pub memory: u64,
    /// Bytes of output, standard output and error together.
    pub output: u64,
}

/// The options with which [`Program::new`] translates a module for a device: the caller's, completed by what earlier
/// runs found out.
#[derive(Debug, Clone)]
pub struct Choice {
    /// For the translator; every option has a value.
    pub translation: Options,
    /// What earlier autotuning chose.
    pub tuning: Option<Tuning>,
    /// What was enough for nearly all inputs of an earlier run.
    pub learnt: Option<Learnt>,
    /// An earlier run violated natural alignment.
    pub unaligned: bool,
    /// An earlier run may have stored into shared data, so that nothing is shared although it is asked for.
    pub unshared: bool,
    /// Many inputs of an earlier run recursed deeper than the device's own stack allows.
    pub deep: bool,
}

impl Choice {
    /// Looks into the cache; compiles nothing and needs no device.
    pub fn new(backend: &str, info: &DeviceInfo, wasm: &[u8], asked: &ProgramOptions) -> Self {
        let cache = Cache::quietly(&asked.cache, asked.cache_limit);
        let found = |kind, key: &Key| cache.as_ref()?.get(kind, key);
        let known = tuning_key(backend, info, wasm, asked);
        let learnt = known.and_then(|key| postcard::from_bytes(&found(LEARNT, &key)?).ok());
        let tuning = known
            .filter(|_| Tuning::fixed(asked, asked.for_device(info).lanes).is_none())
            .and_then(|key| postcard::from_bytes::<Tuning>(&found(TUNING, &key)?).ok());
        let mut options = asked.clone();
        if let Some(tuning) = tuning {
            tuning.apply(&mut options);
        }
        let mut translation = options.for_device(info);
        let violated =
            |kind| found(kind, &violated_key(kind, backend, info, wasm)).is_some_and(|mark| is_fresh(&mark, now()));
        let unaligned = translation.alignment == Alignment::Natural && violated(UNALIGNED);
        if unaligned {
            translation.alignment = Alignment::Any;
        }
        // Where the options exclude sharing anyway, the translator says why.
        let may_share = translation.natural(false) && translation.has(Opt::SharedData);
        let unshared = may_share && violated(UNSHARED);
        if unshared {
            translation.with.remove(&Opt::SharedData);
        }
        let may_recurse = translation.native_stack > 0 && translation.recurses(false, FilesAt::Nowhere);
        let deep = may_recurse && known.is_some_and(|key| found(DEEP, &key).is_some());
        if deep {
            translation.without.insert(Opt::NativeRecursion);
        }
        Self { translation, tuning, learnt, unaligned, unshared, deep }
    }

    /// The capacity of linear memory in bytes that a VM of many has at first: what was enough for nearly all inputs of
    /// an earlier run, or else the plan's. Inputs that cannot run again begin with all.
    pub fn first_memory(&self, plan: &Plan) -> u64 {
        first_memory(plan, self.learnt)
    }

    /// If shared data is asked for: what is shared, or why nothing is.
    pub fn shared<'a>(&self, meta: &'a Meta) -> Option<std::result::Result<&'a SharedData, &'a str>> {
        if self.unshared {
            return Some(Err("an earlier input stored into it, which the cache remembers; --no-cache tries again"));
        }
        meta.shared.as_ref().map(|shared| shared.as_ref().map_err(String::as_str))
    }
}

/// The most registers of a thread of a program with this plan ([`Source::registers`]). Where memory is linear VMs go
/// different ways, and many warps hide each other's waits: on an H200, 95% of the inputs of deflate, wordcount and
/// csvsum had ended in 0.5 to 0.8 of the time with 64 instead of the 160 to 190 that compilers like to use; 48 gave no
/// more.
pub fn register_limit(plan: &Plan) -> u32 {
    if plan.cell == 0 && plan.lanes > 1 { 64 } else { 0 }
}

/// The kernels of a loaded program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels {
    pub run: KernelId,
    pub reset: KernelId,
    pub gather: KernelId,
}

struct Inner {
    engine: Engine,
    wasm: Vec<u8>,
    /// As the caller gave them.
    asked: ProgramOptions,
    /// As the program was made, with what earlier runs found out.
    options: ProgramOptions,
    tuning: Option<Tuning>,
    learnt: Option<Learnt>,
    compile_time: Duration,
    meta: Meta,
    kernels: Kernels,
    cached: bool,
    /// It is interpreted until this is there.
    next_tier: Option<NextTier>,
    /// The same without an assumption, once a server's input violated it; `None` if it cannot be made.
    weaker: OnceLock<Option<NextTier>>,
    /// See [`Program::exact`].
    exact: Mutex<Option<Program>>,
    // Keeps the kernels alive.
    _module: Module,
}

/// A translated, compiled and loaded program. Clones share it.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("engine", &self.0.engine)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

/// A `meta` entry of the cache.
#[derive(Serialize, Deserialize)]
struct Known {
    meta: Meta,
    binary: Key,
}

/// A translated and compiled program that is not loaded: some devices load one only when nothing runs.
pub(crate) struct Compiled {
    engine: Engine,
    wasm: Vec<u8>,
    /// As the caller gave them, and with what autotuning tries.
    asked: ProgramOptions,
    options: ProgramOptions,
    choice: Choice,
    meta: Meta,
    binary: Arc<Binary>,
    /// It came from the disk cache.
    cached: bool,
}

impl Program {
    /// Translates and compiles a module (binary or text) for a device, or takes both from the cache.
    ///
    /// # Errors
    /// The module is invalid or needs something that is not provided; an option makes no sense; the device's
    /// compiler fails.
    ///
    /// ```no_run
    /// # fn f(engine: &vectorvisor::Engine) -> vectorvisor::Result<()> {
    /// use vectorvisor::{Program, ProgramOptions, Stage};
    /// let text = br#"(module (func (export "answer") (result i32) (i32.const 42)))"#;
    /// let program = Program::new(engine, text, &ProgramOptions::default(), &mut |stage| {
    ///     if let Stage::Compiling { done, total } = stage {
    ///         eprintln!("unit {done} of {total}");
    ///     }
    /// })?;
    /// assert!(program.entry("answer").is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(
        engine: &Engine,
        bytes: &[u8],
        options: &ProgramOptions,
        progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Self> {
        Compiled::new(engine, bytes, options, progress)?.load(progress)
    }

    /// Whether the cache has it compiled.
    pub(crate) fn is_cached(engine: &Engine, wasm: &[u8], asked: &ProgramOptions) -> bool {
        let find = || {
            let choice = Choice::new(engine.backend(), engine.info(), wasm, asked);
            let cache = Cache::quietly(&asked.cache, asked.cache_limit)?;
            let key = meta_key(engine.backend(), engine.info(), wasm, &choice.translation)?;
            let known: Known = postcard::from_bytes(&cache.get("meta", &key)?).ok()?;
            cache.has("bin", &known.binary).then_some(())
        };
        find().is_some()
    }

    /// For how many seconds earlier runs interpreted it, which ended before it was compiled.
    pub(crate) fn seconds_interpreted(engine: &Engine, wasm: &[u8], asked: &ProgramOptions) -> f64 {
        let find = || {
            let key = tuning_key(engine.backend(), engine.info(), wasm, asked)?;
            let bytes = Cache::quietly(&asked.cache, asked.cache_limit)?.get(INTERPRETED, &key)?;
            Some(f64::from_le_bytes(bytes.try_into().ok()?))
        };
        find().unwrap_or(0.0)
    }

    /// Adds the seconds of a run to them.
    pub(crate) fn remember_interpreted(&self, seconds: f64) {
        let (engine, wasm) = (&self.0.engine, &self.0.wasm);
        let asked = ProgramOptions { interpret: false, ..self.0.asked.clone() };
        let all = Self::seconds_interpreted(engine, wasm, &asked) + seconds;
        if let Some(key) = tuning_key(engine.backend(), engine.info(), wasm, &asked) {
            self.remember(INTERPRETED, &key, &all.to_le_bytes());
        }
    }

    pub(crate) fn with_next_tier(mut self, next: NextTier) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.next_tier = Some(next);
        }
        self
    }

    /// If it is interpreted for now: what it becomes.
    pub(crate) fn next_tier(&self) -> Option<&NextTier> {
        self.0.next_tier.as_ref()
    }

    /// What the translator found out: memory layout, entries, function names.
    pub fn meta(&self) -> &Meta {
        &self.0.meta
    }

    /// The exported function of this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.0.meta.entries.iter().find(|e| e.name == name)
    }

    /// The exported function of this name, or an error that names those there are.
    pub(crate) fn require(&self, name: &str) -> Result<&Entry> {
        self.entry(name).ok_or_else(|| Error::NoEntry {
            name: name.into(),
            available: match self.meta().entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>() {
                names if names.is_empty() => "nothing that can be entered".into(),
                names => names.join(", "),
            },
        })
    }

    /// Whether the compiled binary came from the cache.
    pub fn cached(&self) -> bool {
        self.0.cached
    }

    /// Whether inputs that take longest had better come first. It pays where the VMs of a group end at about the same
    /// time and do not wait for each other within a warp.
    pub fn likes_largest_first(&self) -> bool {
        self.apart()
    }

    /// The VMs go different ways: it is for such programs that memory is linear on a GPU.
    pub(crate) fn apart(&self) -> bool {
        self.0.engine.info().kind == DeviceKind::Gpu && self.0.meta.plan.cell == 0
    }

    /// The device it was compiled for.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The module in binary form.
    pub fn wasm(&self) -> &[u8] {
        &self.0.wasm
    }

    /// The options it was made with, those that the caller left open included.
    pub fn options(&self) -> &ProgramOptions {
        &self.0.options
    }

    /// What earlier autotuning chose for it ([`crate::Fleet::run_autotuned`]), if the cache has that.
    pub fn tuning(&self) -> Option<Tuning> {
        self.0.tuning
    }

    /// How long the device's compiler took, now or when the binary was put into the cache.
    pub fn compile_time(&self) -> Duration {
        self.0.compile_time
    }

    pub(crate) fn asked(&self) -> &ProgramOptions {
        &self.0.asked
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.0.kernels
    }

    /// The same program with another `tuning`, compiled. Assumptions that were dropped, as the options of `now` show, stay
    /// dropped.
    pub(crate) fn tuned(&self, tuning: Tuning, now: &ProgramOptions) -> Result<Compiled> {
        let mut options = ProgramOptions { interpret: false, ..self.0.asked.clone() };
        // An interpreter assumes nothing.
        if self.0.next_tier.is_none() {
            let (alignment, with, without) = (now.alignment, now.with.clone(), now.without.clone());
            options = ProgramOptions { alignment, with, without, ..options };
        }
        if !self.0.asked.with.contains(&Opt::SharedData) {
            options.with.remove(&Opt::SharedData);
        }
        tuning.apply(&mut options);
        let mut compiled = Compiled::new(&self.0.engine, &self.0.wasm, &options, &mut |_| {})?;
        // As the caller asked, so that later autotuning has the same choice.
        compiled.asked = ProgramOptions { interpret: false, ..self.0.asked.clone() };
        (compiled.choice.tuning, compiled.choice.learnt) = (Some(tuning), self.0.learnt);
        Ok(compiled)
    }

    /// The same program for tiles of one VM, stopping at each bad access, and each function under its own name.
    /// Interpreted, since nobody wants to wait for a whole program to be compiled once more for the place of a trap. Clones
    /// share it.
    pub(crate) fn exact(&self) -> Result<Self> {
        let mut exact = self.0.exact.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = &*exact {
            return Ok(program.clone());
        }
        // For one VM: a whole tile would need its memory for nothing.
        let (lanes, interleave, alignment) = (Some(1), Some(0), Some(Alignment::Any));
        let mut options = ProgramOptions {
            traps: Traps::Exact,
            lanes,
            interleave,
            alignment,
            interpret: true,
            profile: false,
            ..self.0.options.clone()
        };
        options.without.insert(Opt::MergeFunctions);
        let program = Self::new(&self.0.engine, &self.0.wasm, &options, &mut |_| {})?;
        Ok(exact.insert(program).clone())
    }

    /// Whether a VM may recurse too deep or violate an assumption, so that its input has to run in another program.
    pub(crate) fn may_go_elsewhere(&self) -> bool {
        !self.0.options.interpret && (self.0.meta.recurses || self.weaker_options().is_some())
    }

    /// The same program for VMs that cannot run again: it makes no assumption that one might violate.
    pub(crate) fn unassuming(&self) -> Result<Self> {
        let framed = self.framed()?;
        if framed.0.options.alignment == Some(Alignment::Natural) { framed.unaligned() } else { Ok(framed) }
    }

    /// The same program, recursing in frames in the VM's memory where the device's own stack is small.
    pub(crate) fn framed(&self) -> Result<Self> {
        let mut options = self.0.options.clone();
        if !self.0.engine.info().recursion || !options.without.insert(Opt::NativeRecursion) {
            return Ok(self.clone());
        }
        Self::new(&self.0.engine, &self.0.wasm, &options, &mut |_| {})
    }

    /// The same program, with the same memory layout and states, for accesses of any alignment.
    fn unaligned(&self) -> Result<Self> {
        let options = ProgramOptions { alignment: Some(Alignment::Any), ..self.0.options.clone() };
        Self::new(&self.0.engine, &self.0.wasm, &options, &mut |_| {})
    }

    /// The same program, with the same memory layout and states, without the assumption that a VM of this one violated;
    /// the cache remembers it for later programs. `None` if this program makes no assumption.
    ///
    /// The assumptions are that nothing stores into shared data and that accesses are aligned. A VM does not say which
    /// one it violated, so shared data is dropped first; the alignment follows if a VM violates an assumption again.
    pub(crate) fn without_assumption(&self) -> Result<Option<Self>> {
        let Some((kind, options)) = self.weaker_options() else { return Ok(None) };
        let next = Self::new(&self.0.engine, &self.0.wasm, &options, &mut |_| {})?;
        self.remember_violated(kind);
        Ok(Some(next))
    }

    /// The options of [`Self::without_assumption`], and what is remembered then.
    fn weaker_options(&self) -> Option<(&'static str, ProgramOptions)> {
        let mut options = self.0.options.clone();
        if matches!(self.0.meta.shared, Some(Ok(_))) {
            options.with.remove(&Opt::SharedData);
            Some((UNSHARED, options))
        } else if options.alignment == Some(Alignment::Natural) {
            options.alignment = Some(Alignment::Any);
            Some((UNALIGNED, options))
        } else {
            None
        }
    }

    /// Begins to compile, beside what runs, what [`Self::without_assumption`] gives; clones share it.
    pub(crate) fn begin_weaker(&self) -> Option<&NextTier> {
        let begin = || {
            let (_, options) = self.weaker_options()?;
            NextTier::begin(&self.0.engine, &self.0.wasm, &options, threads::LOW).ok()
        };
        self.0.weaker.get_or_init(begin).as_ref()
    }

    /// What [`Self::begin_weaker`] began, once it is compiled and loaded; the cache remembers it then. If that failed, there
    /// is none.
    pub(crate) fn take_weaker(&self) -> Option<Self> {
        let next = self.0.weaker.get()?.as_ref()?;
        if next.compiled() != Some(true) {
            return None;
        }
        let program = next.load().ok()??;
        self.remember_violated(self.weaker_options()?.0);
        Some(program)
    }

    /// The same program, with the same memory layout and states, without any assumption; `None` if it makes none.
    pub(crate) fn without_assumptions(&self) -> Result<Option<Self>> {
        let natural = self.0.options.alignment == Some(Alignment::Natural);
        // Nothing is shared without natural alignment, and an interpreter assumes nothing.
        (natural && !self.0.options.interpret).then(|| self.unaligned()).transpose()
    }

    /// Whether both are clones of the same program.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets later programs begin with a choice, if there is a cache (`true`).
    pub(crate) fn remember_tuning(&self, tuning: Tuning) -> bool {
        let engine = &self.0.engine;
        let key = tuning_key(engine.backend(), engine.info(), &self.0.wasm, &self.0.asked);
        let (Some(key), Ok(bytes)) = (key, postcard::to_stdvec(&tuning)) else { return false };
        self.remember(TUNING, &key, &bytes)
    }

    /// Lets later programs recurse in frames, however deep.
    pub(crate) fn remember_deep(&self) {
        let engine = &self.0.engine;
        if let Some(key) = tuning_key(engine.backend(), engine.info(), &self.0.wasm, &self.0.asked) {
            self.remember(DEEP, &key, &[]);
        }
    }

    /// As [`Choice::first_memory`].
    pub(crate) fn first_memory(&self) -> u64 {
        first_memory(&self.0.meta.plan, self.0.learnt)
    }

    /// What was enough for nearly all inputs of an earlier run.
    pub(crate) fn learnt(&self) -> Option<Learnt> {
        self.0.learnt
    }

    /// Lets later programs begin with so much.
    pub(crate) fn remember_learnt(&self, learnt: Learnt) {
        let engine = &self.0.engine;
        let key = tuning_key(engine.backend(), engine.info(), &self.0.wasm, &self.0.asked);
        if self.0.learnt != Some(learnt)
            && let (Some(key), Ok(bytes)) = (key, postcard::to_stdvec(&learnt))
        {
            self.remember(LEARNT, &key, &bytes);
        }
    }

    /// Whether the translator may be asked to share read-only data: a VM that stores there has to run again.
    pub(crate) fn may_share(&self) -> bool {
        let options = &self.0.options;
        options.alignment == Some(Alignment::Natural) && options.traps == Traps::Sticky && !options.interpret
    }

    /// Whether there is a cache to remember choices in.
    pub(crate) fn remembers(&self) -> bool {
        self.cache().is_some()
    }

    fn cache(&self) -> Option<Cache> {
        Cache::quietly(&self.0.asked.cache, self.0.asked.cache_limit)
    }

    /// Writes a finding to the cache; `false` if that is impossible, and later runs find it out again.
    /// Later programs begin without an assumption that was violated, for a while.
    fn remember_violated(&self, kind: &str) {
        let engine = &self.0.engine;
        let key = violated_key(kind, engine.backend(), engine.info(), &self.0.wasm);
        self.remember(kind, &key, &now().to_le_bytes());
    }

    fn remember(&self, kind: &str, key: &Key, bytes: &[u8]) -> bool {
        self.cache().is_some_and(|cache| cache.put(kind, key, bytes).is_ok())
    }
}

/// Kind of cache entry: the program violates natural alignment.
const UNALIGNED: &str = "unaligned";
/// Kind of cache entry: the program may store into shared data (it violated that assumption or natural alignment).
const UNSHARED: &str = "unshared";
/// Kind of cache entry: many inputs recurse deeper than the device's own stack allows.
const DEEP: &str = "deep";
/// Kind of cache entry: a [`Learnt`].
const LEARNT: &str = "learnt";
/// Kind of cache entry: seconds of runs in which the program was interpreted, and that ended before it was compiled.
const INTERPRETED: &str = "interpreted";
/// Kind of cache entry: a [`Tuning`].
const TUNING: &str = "tuning";

fn first_memory(plan: &Plan, learnt: Option<Learnt>) -> u64 {
    let learnt = learnt.filter(|_| plan.memory_first < plan.memory_limit);
    learnt.map_or(plan.memory_first, |learnt| learnt.memory).clamp(plan.memory_initial, plan.memory_limit)
}

/// What a program violates depends neither on options nor on the device; the export that is entered is left out for
/// simplicity.
fn violated_key(kind: &str, backend: &str, info: &DeviceInfo, wasm: &[u8]) -> Key {
    let translator = env!("VECTORVISOR_TRANSLATOR").as_bytes();
    key(&[kind.as_bytes(), wasm, translator, backend.as_bytes(), info.identity.as_bytes()])
}

/// For so many seconds an assumption is not made again that an input violated: a week, since that may have been one of
/// millions, and the program is slower without it.
const FRESH: u64 = 7 * 24 * 3600;

/// Whether a mark of that kind, which has when it was made, still counts.
fn is_fresh(mark: &[u8], now: u64) -> bool {
    let made = mark.try_into().map(u64::from_le_bytes);
    made.is_ok_and(|made| now.saturating_sub(made) < FRESH)
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Measurements hold for the code that was measured, so this is the key of the program with the default tuning.
fn tuning_key(backend: &str, info: &DeviceInfo, wasm: &[u8], asked: &ProgramOptions) -> Option<Key> {
    meta_key(backend, info, wasm, &Options { profile: false, ..asked.for_device(info) })
}

/// Everything that a translated module depends on.
fn meta_key(backend: &str, info: &DeviceInfo, wasm: &[u8], options: &Options) -> Option<Key> {
    let options = postcard::to_stdvec(options).ok()?;
    let translator = env!("VECTORVISOR_TRANSLATOR").as_bytes();
    Some(key(&[b"meta", wasm, &options, translator, backend.as_bytes(), info.identity.as_bytes()]))
}

/// A binary, and what compiling it took, now or when it was put into the cache.
type Binary = (Vec<u8>, Duration);
/// A binary that a thread compiles or has compiled, while others want it too.
type Compiling = Mutex<Option<Arc<Binary>>>;

/// Compiles a binary, unless another thread does: devices of the same kind want the same one at the same time.
fn once(key: &Key, compile: impl FnOnce() -> Result<Binary>) -> Result<Arc<Binary>> {
    static COMPILING: Mutex<BTreeMap<Key, Weak<Compiling>>> = Mutex::new(BTreeMap::new());
    let all = || COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
    let own = {
        let mut all = all();
        all.retain(|_, compiling| compiling.strong_count() > 0);
        let known = all.get(key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Arc::new(Compiling::default());
            all.insert(*key, Arc::downgrade(&new));
            new
        })
    };
    let mut compiled = own.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = &*compiled {
        return Ok(compiled.clone());
    }
    Ok(compiled.insert(Arc::new(compile()?)).clone())
}

/// A binary that the cache has.
fn cached(cache: Option<&Cache>, key: &Key) -> Option<Binary> {
    let bytes = cache?.get("bin", key)?;
    let (milliseconds, binary) = bytes.split_first_chunk()?;
    Some((binary.to_vec(), Duration::from_millis(u64::from_le_bytes(*milliseconds))))
}

impl Compiled {
    /// Translates and compiles a module, or takes both from the cache.
    pub(crate) fn new(
        engine: &Engine,
        bytes: &[u8],
        options: &ProgramOptions,
        progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Self> {
        Self::make(engine, to_wasm(bytes)?.into_owned(), options, true, progress)
    }

    /// `may` the binary come from the cache?
    fn make(
        engine: &Engine,
        wasm: Vec<u8>,
        options: &ProgramOptions,
        may: bool,
        progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Self> {
        let choice = Choice::new(engine.backend(), engine.info(), &wasm, options);
        let mut cache = Cache::open(&options.cache, options.cache_limit).unwrap_or_else(|warning| {
            progress(Stage::Warning(&warning));
            None
        });
        let meta_key = meta_key(engine.backend(), engine.info(), &wasm, &choice.translation);
        let find = |key: &Key| cached(cache.as_ref().filter(|_| may), key).map(Arc::new);
        let known =
            || -> Option<Known> { postcard::from_bytes(&cache.as_ref()?.get("meta", meta_key.as_ref()?)?).ok() };
        if let Some(Known { meta, binary }) = known()
            && let Some(binary) = find(&binary)
        {
            let (engine, options) = (engine.clone(), options.clone());
            return Ok(Self { engine, wasm, asked: options.clone(), options, choice, meta, binary, cached: true });
        }
        progress(Stage::Translating);
        let kernel = translate(&wasm, &choice.translation)?;
        let identity = engine.info().identity.as_bytes();
        let registers = register_limit(&kernel.meta.plan);
        let limit = registers.to_le_bytes();
        let mut parts: Vec<&[u8]> =
            vec![b"bin", engine.backend().as_bytes(), identity, &limit, kernel.header.as_bytes()];
        parts.extend(kernel.units.iter().map(|u| u.as_bytes()));
        let key = key(&parts);
        let found = find(&key);
        let cached = found.is_some();
        // Writes an entry. After a failure it warns once and writes no more.
        let mut keep = |kind: &str, key: &Key, bytes: &[u8], progress: &mut dyn FnMut(Stage<'_>)| {
            if let Some(open) = &cache
                && let Err(warning) = open.put(kind, key, bytes)
            {
                progress(Stage::Warning(&warning));
                cache = None;
            }
        };
        let binary = match found {
            Some(binary) => binary,
            None => {
                progress(Stage::Compiling { done: 0, total: kernel.units.len() });
                let source = Source { header: &kernel.header, units: &kernel.units, registers };
                let binary = once(&key, || {
                    let begun = Instant::now();
                    let tell = &mut |done, total| progress(Stage::Compiling { done, total });
                    Ok((Module::compile(engine.device(), source, tell)?, begun.elapsed()))
                })?;
                let milliseconds = u64::try_from(binary.1.as_millis()).unwrap_or(u64::MAX);
                keep("bin", &key, &[&milliseconds.to_le_bytes()[..], &binary.0].concat(), progress);
                binary
            }
        };
        let known = Known { meta: kernel.meta, binary: key };
        if let (Some(key), Ok(bytes)) = (meta_key, postcard::to_stdvec(&known)) {
            keep("meta", &key, &bytes, progress);
        }
        let (engine, options) = (engine.clone(), options.clone());
        Ok(Self { engine, wasm, asked: options.clone(), options, choice, meta: known.meta, binary, cached })
    }

    /// Loads it into the device.
    pub(crate) fn load(self, progress: &mut dyn FnMut(Stage<'_>)) -> Result<Program> {
        progress(Stage::Loading { cached: self.cached });
        // SAFETY: the device itself made it, or another whose binaries it loads: the identities are the same. If it comes
        // from the cache: its key holds the driver's name and the device's identity, `make` keeps only what such a device
        // compiled, and nobody but this user and root can write to the cache, which is checked.
        let module = match unsafe { Module::load(self.engine.device(), &self.binary.0) } {
            Err(_) if self.cached => {
                let Self { engine, wasm, asked, options, .. } = self;
                let again = Self::make(&engine, wasm, &options, false, progress)?;
                return Self { asked, ..again }.load(progress);
            }
            module => module?,
        };
        let Self { engine, wasm, asked, choice, meta, binary, cached, .. } = self;
        match choice.shared(&meta).filter(|_| asked.with.contains(&Opt::SharedData)) {
            Some(Ok(data)) => progress(Stage::Warning(&format!("shared-data: {data}"))),
            Some(Err(why)) => progress(Stage::Warning(&format!("shared-data has no effect: {why}"))),
            None => {}
        }
        let kernels = Kernels {
            run: module.kernel("vv_run")?,
            reset: module.kernel("vv_reset")?,
            gather: module.kernel("vv_gather")?,
        };
        let translation = &choice.translation;
        let options = ProgramOptions {
            interleave: Some(translation.cell),
            alignment: Some(translation.alignment),
            with: translation.with.clone(),
            without: translation.without.clone(),
            ..asked.clone()
        };
        Ok(Program(Arc::new(Inner {
            engine,
            wasm,
            asked,
            options,
            tuning: choice.tuning,
            learnt: choice.learnt,
            compile_time: binary.1,
            meta,
            kernels,
            cached,
            next_tier: None,
            weaker: OnceLock::new(),
            exact: Mutex::default(),
            _module: module,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_for_a_week() {
        let mark = 1_000_000_u64.to_le_bytes();
        assert!(is_fresh(&mark, 1_000_000) && is_fresh(&mark, 999_999) && is_fresh(&mark, 1_000_000 + FRESH - 1));
        assert!(!is_fresh(&mark, 1_000_000 + FRESH) && !is_fresh(&[], 1_000_000));
    }
}
