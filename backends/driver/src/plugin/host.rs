//! The host's side: a plugin's file as a [`Driver`].

use super::abi::{self, AllocMapped, Bytes, Cost, Entries, Examine, Info, Query, Table, Why};
use super::checked::{self, Callback, Violation};
use super::device::PluginDevice;
use super::info::{from_abi, quirks_to_abi};
use super::{elf, search};
use crate::{Device, DeviceInfo, Driver, Error, FunctionCost, Quirks, Result, Source, UnitCost, costs_unavailable};
use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr::null;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The driver in a plugin's file, which is opened at the driver's first use. If the file cannot be used, every call is
/// [`Error::Unavailable`] with the reason.
pub struct Plugin {
    name: &'static str,
    path: PathBuf,
    /// Why the file is not opened, if other users could have put it there ([`crate::trust`]).
    distrust: Option<String>,
    opened: OnceLock<Result<Opened>>,
}

/// A plugin's table, as the host uses it.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    pub entries: Entries,
    examine: Option<Examine>,
    pub alloc_mapped: Option<AllocMapped>,
    driver: *const c_void,
    /// The entry `publish` does something.
    pub publish: bool,
    pub name: &'static str,
}

// SAFETY: the contract allows any thread to call any entry; the host only passes the driver's pointer back.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl Plugin {
    /// The driver that is, or should be, in this file. Nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        let name = match search::name_of(&path) {
            Some(name) => name,
            None => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        };
        Self { name: intern(&name), path, distrust: None, opened: OnceLock::new() }
    }
    /// As [`Plugin::new`], for a file that was found and not named: `trusted` says why not to open it, if so.
    pub(super) fn found(path: PathBuf, trusted: std::result::Result<(), String>) -> Self {
        Self { distrust: trusted.err(), ..Self::new(path) }
    }
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
    fn opened(&self) -> Result<Opened> {
        let open = || match &self.distrust {
            None => open(&self.path, self.name),
            Some(why) => Err(Error::Unavailable {
                what: format!("{} is not opened, since it could be another user's work: {why}", self.path.display()),
                advice: "or name it with --driver-path".into(),
            }),
        };
        self.opened.get_or_init(open).clone()
    }
}

/// A text that lives as long as the program; equal texts are leaked once.
fn intern(text: &str) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = texts.get(text) {
        return kept;
    }
    let kept: &'static str = Box::leak(text.into());
    texts.insert(kept);
    kept
}

/// Opens a file, asks for its table and checks it.
fn open(path: &Path, name: &'static str) -> Result<Opened> {
    let bad = |why: String, advice: &str| Error::Unavailable {
        what: format!("{} cannot be used: {why}", path.display()),
        advice: advice.into(),
    };
    const AGAIN: &str = "build or install it again";
    const OTHER: &str = "remove it, or build it for this version of vectorvisor";
    if !path.exists() {
        return Err(bad("there is no such file or folder".into(), "name a plugin's file, or a folder with plugins"));
    }
    if search::name_of(path).is_none() {
        let advice = format!("a driver's file is called {}", search::file_name("NAME"));
        return Err(bad("its name is not that of a driver".into(), &advice));
    }
    elf::check(path).map_err(|why| bad(why, AGAIN))?;
    // RTLD_LAZY: a plugin may refer to functions of a vendor's library that it opens itself when asked for devices.
    // SAFETY: the file is one that the user or the installation names as a plugin; its constructors run as ours do.
    let library = unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL) };
    let library = library.map_err(|error| bad(cause(&error), AGAIN))?;
    let symbol = format!("vectorvisor_{name}_query");
    // SAFETY: the interface gives the function of this name this type.
    let query = unsafe { library.get::<Query>(symbol.as_bytes()) }.map(|query| *query);
    // Never closed, even after an error: the module's documentation says why.
    std::mem::forget(library);
    let query = query.map_err(|_| bad(format!("it is no driver plugin: it exports no {symbol}"), AGAIN))?;
    // SAFETY: the type is right.
    let table = unsafe { query(abi::VERSION) };
    if table.is_null() {
        return Err(bad(format!("it needs a newer vectorvisor (interface above {})", abi::VERSION), OTHER));
    }
    // SAFETY: a table that is not null lives for ever and begins with these two fields in every version. It may be
    // shorter than `Table`, so no reference to a `Table` is made before the size is known.
    let (version, size) = unsafe {
        ((&raw const (*table).version).read_unaligned(), (&raw const (*table).size).read_unaligned() as usize)
    };
    // A table of another version may be laid out differently, so read nothing else of it.
    if version != abi::VERSION {
        let why = format!("it follows version {version} of the plugin interface, not {}", abi::VERSION);
        return Err(bad(why, OTHER));
    }
    if size < Table::LEAST {
        let why = format!("its table has {size} bytes, {} are needed", Table::LEAST);
        return Err(bad(why, OTHER));
    }
    // SAFETY: it has `size` bytes, and zeros are valid: a missing entry is `None`.
    let table = unsafe { checked::read_versioned(table, size) };
    // SAFETY: the name lives for ever.
    let own = unsafe { table.name.text() };
    if own != name {
        return Err(bad(format!("it is the driver {own:?}"), &format!("call it {}", search::file_name(&own))));
    }
    let entries = table.entries().map_err(|entry| bad(format!("its table has no {entry}"), OTHER))?;
    Ok(Opened {
        entries,
        examine: table.examine,
        alloc_mapped: table.alloc_mapped,
        driver: table.driver,
        publish: table.features & abi::PUBLISH != 0,
        name,
    })
}

/// The dynamic loader's own message, which libloading's error has as its source.
fn cause(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

impl Driver for Plugin {
    fn name(&self) -> &'static str {
        self.name
    }
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        let opened = self.opened()?;
        let mut listed = InfoCallback::new(Vec::new());
        let context = listed.context();
        // SAFETY: the driver's own pointer, and a context of the type that `take_info` expects.
        let ended = opened.call(|why| unsafe { (opened.entries.devices)(opened.driver, take_info, context, why) });
        listed.end(self.name, ended)
    }
    fn open(&self, index: usize, quirks: Quirks) -> Result<Arc<dyn Device>> {
        let opened = self.opened()?;
        let (mut raw, quirks) = (null(), quirks_to_abi(quirks));
        // SAFETY: the driver's own pointer, and a local for the result.
        opened.call(|why| unsafe { (opened.entries.open)(opened.driver, index as u64, quirks, &mut raw, why) })?;
        if raw.is_null() {
            return Err(checked::error(self.name, "opened a device and gave a null pointer for it"));
        }
        Ok(Arc::new(PluginDevice::new(opened, raw)?))
    }
    fn examine(&self, architecture: &str, source: Source<'_>, each: &mut dyn FnMut(UnitCost)) -> Result<()> {
        let opened = self.opened()?;
        let Some(examine) = opened.examine else {
            return Err(costs_unavailable(self.name));
        };
        let units: Vec<_> = source.units.iter().map(|unit| Bytes::of(unit.as_bytes())).collect();
        let (architecture, header) = (Bytes::of(architecture.as_bytes()), Bytes::of(source.header.as_bytes()));
        let mut costs = CostCallback::new(each);
        let context = costs.context();
        // SAFETY: the driver's own pointer; texts that live during the call; a context of the type that `take_costs`
        // expects.
        let ended = opened.call(|why| unsafe {
            let (first, count, registers) = (units.as_ptr(), units.len(), source.registers);
            examine(opened.driver, architecture, header, first, count, registers, take_costs, context, why)
        });
        costs.end(self.name, ended).map(drop)
    }
    fn origin(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

/// Receives what units cost.
type CostCallback<'a> = Callback<&'a mut dyn FnMut(UnitCost)>;

/// Passes on what a unit cost.
unsafe extern "C" fn take_costs(context: *mut c_void, unit: usize, seconds: f64, functions: *const Cost, count: usize) {
    // SAFETY: the context is ours; the plugin passes `count` functions, which are valid during the call, as their names
    // are.
    unsafe {
        CostCallback::receive(context, |each| {
            let cost = |cost: &Cost| -> std::result::Result<_, Violation> {
                Ok(FunctionCost {
                    name: String::from_utf8_lossy(checked::bytes(cost.name, "a name")?).into_owned(),
                    registers: cost.registers,
                    bytes: cost.bytes,
                    spills: cost.spills,
                    stack: cost.stack,
                    seconds: checked::seconds(cost.seconds)?,
                })
            };
            let functions = checked::array(functions, count, "functions")?.iter().map(cost);
            let functions = functions.collect::<std::result::Result<_, _>>()?;
            each(UnitCost { unit, seconds: checked::seconds(seconds)?, functions });
            Ok(())
        });
    }
}

/// Receives the facts about a plugin's devices.
pub(super) type InfoCallback = Callback<Vec<DeviceInfo>>;

/// Adds to an [`InfoCallback`].
pub(super) unsafe extern "C" fn take_info(context: *mut c_void, info: *const Info) {
    // SAFETY: the context is ours; the plugin's pointer is null or valid during the call, as its texts are, and the
    // struct begins with its size. An `Info` of zeros is valid: no texts, and numbers that are 0.
    unsafe {
        InfoCallback::receive(context, |listed| {
            if info.is_null() {
                return Err("lists a device without facts".into());
            }
            let size = (&raw const (*info).size).read_unaligned() as usize;
            if size < Info::LEAST {
                return Err(format!("lists a device with {size} bytes of facts, {} are needed", Info::LEAST));
            }
            listed.push(from_abi(&checked::read_versioned(info, size))?);
            Ok(())
        });
    }
}

/// What an entry said about its failure.
#[derive(Default)]
struct Reason {
    text: String,
    advice: String,
    wanted: u64,
}

unsafe extern "C" fn tell(context: *mut c_void, text: Bytes, advice: Bytes, wanted: u64) {
    // SAFETY: the context is ours, and both texts are valid during the call.
    unsafe {
        Callback::<Reason>::receive(context, |reason| {
            *reason = Reason { text: text.text(), advice: advice.text(), wanted };
            Ok(())
        });
    }
}

impl Opened {
    /// Calls an entry, and turns its code and the reason that it gave into a result.
    pub fn call(&self, entry: impl FnOnce(*const Why) -> i32) -> Result<()> {
        let mut reason = Callback::new(Reason::default());
        let code = entry(&Why { context: reason.context(), tell });
        let Reason { text, advice, wanted } = reason.end(self.name, Ok(()))?;
        Err(match code {
            abi::OK => return Ok(()),
            abi::UNAVAILABLE => Error::Unavailable { what: text, advice },
            abi::COMPILE => Error::Compile { log: text },
            abi::OUT_OF_MEMORY => Error::OutOfMemory { wanted, what: intern(&text) },
            abi::INVALID => Error::Invalid(text),
            abi::DEVICE => Error::Device(text),
            abi::PANIC => Error::Device(format!("the driver {} {text}; this is a fault of the driver", self.name)),
            code => Error::Device(format!("the driver {} failed with an unknown code {code}: {text}", self.name)),
        })
    }
}
