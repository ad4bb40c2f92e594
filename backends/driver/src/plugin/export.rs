//! The plugin's side: any [`Driver`] as a table.

use super::abi::{self, Bytes, Cost, Costs, Each, Output, Progress, QuirkBits, Table, Why};
use super::info::{quirks_from_abi, to_abi};
use crate::{
    BufferId, Device, Driver, Error, EventId, FunctionCost, KernelId, ModuleId, PinnedId, QueueId, Result, Source,
};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;
use std::sync::{Arc, Once, OnceLock};

/// Makes the crate a plugin: `vectorvisor_driver::export_plugin!(MyDriver);` where `MyDriver` is an expression of a
/// type that implements [`Driver`](crate::Driver). The crate is called `vectorvisor_NAME` as the driver is called NAME,
/// and has `crate-type = ["cdylib", "rlib"]`.
#[macro_export]
macro_rules! export_plugin {
    ($driver:expr) => {
        const _: () = {
            static EXPORTED: $crate::plugin::Exported =
                $crate::plugin::Exported::new(|| ::std::boxed::Box::new($driver));

            // SAFETY: the crate's own name is in it, so no other plugin in this program has it.
            #[unsafe(export_name = concat!(env!("CARGO_CRATE_NAME"), "_query"))]
            extern "C" fn query(highest: u32) -> *const $crate::plugin::abi::Table {
                EXPORTED.query(highest)
            }
        };
    };
}

/// A driver and its table, made when first asked for.
pub struct Exported {
    make: fn() -> Box<dyn Driver>,
    driver: OnceLock<Box<dyn Driver>>,
    table: OnceLock<StaticTable>,
}

struct StaticTable(Table);

// SAFETY: the table's pointers point to immutable values that live for ever.
unsafe impl Send for StaticTable {}
// SAFETY: as above.
unsafe impl Sync for StaticTable {}

impl Exported {
    /// Makes nothing yet.
    pub const fn new(make: fn() -> Box<dyn Driver>) -> Self {
        Self { make, driver: OnceLock::new(), table: OnceLock::new() }
    }
    /// The plugin's answer to its query.
    pub fn query(&'static self, highest: u32) -> *const Table {
        // An older host does not know this layout.
        if highest < abi::VERSION {
            return null();
        }
        let made = catch_panic(|| {
            install_panic_hook();
            let driver = self.driver.get_or_init(self.make);
            self.table.get_or_init(|| StaticTable(table((&raw const *driver).cast(), driver.name())))
        });
        made.map_or(null(), |made| &raw const made.0)
    }
}

/// `driver` points to a `Box<dyn Driver>`.
fn table(driver: *const c_void, name: &'static str) -> Table {
    Table {
        version: abi::VERSION,
        size: size_of::<Table>() as u32,
        name: Bytes::of(name.as_bytes()),
        features: abi::PUBLISH,
        driver,
        devices: Some(devices),
        open: Some(open),
        close: Some(close),
        info: Some(info),
        compile: Some(compile),
        load: Some(load),
        unload: Some(unload),
        kernel: Some(kernel),
        resident: Some(resident),
        alloc: Some(alloc),
        free: Some(free),
        alloc_pinned: Some(alloc_pinned),
        free_pinned: Some(free_pinned),
        alloc_shared: Some(alloc_shared),
        publish: Some(publish),
        queue: Some(queue),
        free_queue: Some(free_queue),
        write: Some(write),
        read: Some(read),
        launch: Some(launch),
        finish: Some(finish),
        reached: Some(reached),
        wait: Some(wait),
        times: Some(times),
        free_event: Some(free_event),
        examine: Some(examine),
        alloc_mapped: Some(alloc_mapped),
    }
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs a panic hook for panics that become errors: they are not printed, but their location is kept for the error.
/// All others reach the previous hook, and so does every panic if the user asks for backtraces (`RUST_BACKTRACE`).
fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if CATCHING.get() {
                let location = panic.location().map(|location| format!(" at {location}")).unwrap_or_default();
                _ = LOCATION.try_with(|kept| kept.replace(location));
            }
            if !CATCHING.get() || std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
                previous(panic);
            }
        }));
    });
}

/// Runs `body`; a panic becomes a text: its location and message.
fn catch_panic<T>(body: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let outer = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    CATCHING.set(outer);
    result.map_err(|payload| {
        let message = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast_ref::<&'static str>() {
                Some(text) => (*text).to_owned(),
                None => leak(payload),
            },
        };
        // A thread that ends may have destroyed its thread-local already.
        format!("panicked{}: {message}", LOCATION.try_with(RefCell::take).unwrap_or_default())
    })
}

/// Leaks a payload of unknown type, whose drop could panic again.
fn leak(payload: Box<dyn Any + Send>) -> String {
    std::mem::forget(payload);
    "with no message".into()
}

/// The body of every entry.
fn entry(why: *const Why, body: impl FnOnce() -> Result<()>) -> i32 {
    let (code, text, advice, wanted) = match catch_panic(body) {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(error)) => match error {
            Error::Unavailable { what, advice } => (abi::UNAVAILABLE, what, advice, 0),
            Error::Compile { log } => (abi::COMPILE, log, String::new(), 0),
            Error::OutOfMemory { wanted, what } => (abi::OUT_OF_MEMORY, what.into(), String::new(), wanted),
            Error::Invalid(text) => (abi::INVALID, text, String::new(), 0),
            Error::Device(text) => (abi::DEVICE, text, String::new(), 0),
        },
        Err(panic) => (abi::PANIC, panic, String::new(), 0),
    };
    // SAFETY: the host's pointer is null or valid during the call.
    if let Some(why) = unsafe { why.as_ref() } {
        // SAFETY: the host's function, with its context; both texts live during the call.
        unsafe { (why.tell)(why.context, Bytes::of(text.as_bytes()), Bytes::of(advice.as_bytes()), wanted) };
    }
    code
}

unsafe extern "C" fn devices(driver: *const c_void, each: Each, context: *mut c_void, why: *const Why) -> i32 {
    entry(why, || {
        // SAFETY: the pointer is our own table's.
        let driver = unsafe { &*driver.cast::<Box<dyn Driver>>() };
        for info in driver.devices()? {
            // SAFETY: the host's function, with its context; `info` lives during the call.
            unsafe { each(context, &to_abi(&info)) };
        }
        Ok(())
    })
}

unsafe extern "C" fn examine(
    driver: *const c_void,
    architecture: Bytes,
    header: Bytes,
    units: *const Bytes,
    count: usize,
    registers: u32,
    costs: Costs,
    context: *mut c_void,
    why: *const Why,
) -> i32 {
    entry(why, || {
        // SAFETY: the pointer is our own table's; the host's texts are valid during the call.
        let (driver, architecture, header, units) = unsafe {
            let units: Vec<String> = list(units, count).iter().map(|unit| unit.text()).collect();
            (&*driver.cast::<Box<dyn Driver>>(), architecture.text(), header.text(), units)
        };
        driver.examine(&architecture, Source { header: &header, units: &units, registers }, &mut |unit| {
            let cost = |function: &FunctionCost| Cost {
                name: Bytes::of(function.name.as_bytes()),
                seconds: function.seconds,
                registers: function.registers,
                bytes: function.bytes,
                spills: function.spills,
                stack: function.stack,
            };
            let functions: Vec<Cost> = unit.functions.iter().map(cost).collect();
            // SAFETY: the host's function, with its context; the functions live during the call.
            unsafe { costs(context, unit.unit, unit.seconds, functions.as_ptr(), functions.len()) };
        })
    })
}

unsafe extern "C" fn open(
    driver: *const c_void,
    index: u64,
    quirks: QuirkBits,
    device: *mut *const c_void,
    why: *const Why,
) -> i32 {
    entry(why, || {
        // SAFETY: the pointer is our own table's.
        let driver = unsafe { &*driver.cast::<Box<dyn Driver>>() };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let opened = Box::new(driver.open(index, quirks_from_abi(quirks))?);
        // SAFETY: the host's pointer for the result is writable. `close` takes the box back.
        unsafe { *device = Box::into_raw(opened).cast::<c_void>() };
        Ok(())
    })
}

unsafe extern "C" fn close(device: *const c_void, why: *const Why) -> i32 {
    entry(why, || {
        // SAFETY: `open` gave it out, and the host uses it no more.
        drop(unsafe { Box::from_raw(device.cast_mut().cast::<Arc<dyn Device>>()) });
        Ok(())
    })
}

/// Entries about an open device. A body may use the arguments as `abi` describes them, and `?`.
macro_rules! entries {
    ($($name:ident($device:ident $(, $argument:ident: $type:ty)*) $body:block)*) => {$(
        unsafe extern "C" fn $name($device: *const c_void, $($argument: $type,)* why: *const Why) -> i32 {
            entry(why, || {
                // SAFETY: `open` gave the device out and it is not closed; all other pointers are the host's and valid
                // during the call, those of `write` and `read` as long as the contract says.
                unsafe {
                    let $device: &dyn Device = &**$device.cast::<Arc<dyn Device>>();
                    $body
                };
                Ok(())
            })
        }
    )*};
}

entries! {
    info(device, each: Each, context: *mut c_void) { each(context, &to_abi(device.info())) }
    compile(
        device, header: Bytes, units: *const Bytes, count: usize, registers: u32,
        progress: Progress, output: Output, context: *mut c_void
    ) {
        let units: Vec<String> = list(units, count).iter().map(|unit| unit.text()).collect();
        let source = Source { header: &header.text(), units: &units, registers };
        let binary = device.compile(source, &mut |done, total| progress(context, done, total))?;
        output(context, Bytes::of(&binary));
    }
    load(device, binary: Bytes, module: *mut u64) { *module = device.load(binary.slice())?.0 }
    unload(device, module: u64) { device.unload(ModuleId(module)) }
    kernel(device, module: u64, name: Bytes, kernel: *mut u64) {
        *kernel = device.kernel(ModuleId(module), &name.text())?.0
    }
    resident(device, kernel: u64, lanes: u32, tiles: *mut u32) { *tiles = device.resident(KernelId(kernel), lanes)? }
    alloc(device, bytes: u64, buffer: *mut u64) { *buffer = device.alloc(bytes)?.0 }
    free(device, buffer: u64) { device.free(BufferId(buffer)) }
    alloc_pinned(device, bytes: usize, pinned: *mut u64, pointer: *mut *mut u8) {
        let (id, memory) = device.alloc_pinned(bytes)?;
        (*pinned, *pointer) = (id.0, memory);
    }
    free_pinned(device, pinned: u64) { device.free_pinned(PinnedId(pinned)) }
    alloc_shared(device, bytes: usize, buffer: *mut u64, pointer: *mut *mut u8) {
        let (id, memory) = device.alloc_shared(bytes)?;
        (*buffer, *pointer) = (id.0, memory);
    }
    alloc_mapped(device, bytes: usize, buffer: *mut u64, pointer: *mut *mut u8) {
        let (id, memory) = device.alloc_mapped(bytes)?.map_or((0, std::ptr::null_mut()), |(id, memory)| (id.0, memory));
        (*buffer, *pointer) = (id, memory);
    }
    publish(device, shared: u64) { device.publish(BufferId(shared))? }
    queue(device, urgent: u32, queue: *mut u64) { *queue = device.queue(urgent != 0)?.0 }
    free_queue(device, queue: u64) { device.free_queue(QueueId(queue)) }
    write(device, queue: u64, dst: u64, offset: u64, src: *const u8, bytes: usize, event: *mut u64) {
        *event = device.write(QueueId(queue), BufferId(dst), offset, src, bytes)?.0
    }
    read(device, queue: u64, src: u64, offset: u64, dst: *mut u8, bytes: usize, event: *mut u64) {
        *event = device.read(QueueId(queue), BufferId(src), offset, dst, bytes)?.0
    }
    launch(
        device, queue: u64, kernel: u64, args: *const u64, count: usize, tiles: u32, lanes: u32, event: *mut u64
    ) {
        let args: Vec<_> = list(args, count).iter().map(|id| (*id != 0).then_some(BufferId(*id))).collect();
        *event = device.launch(QueueId(queue), KernelId(kernel), &args, tiles, lanes)?.0
    }
    finish(device, queue: u64) { device.finish(QueueId(queue))? }
    reached(device, event: u64, reached: *mut u32) { *reached = device.reached(EventId(event))?.into() }
    wait(device, event: u64) { device.wait(EventId(event))? }
    times(device, event: u64, begin: *mut u64, end: *mut u64) { (*begin, *end) = device.times(EventId(event))? }
    free_event(device, event: u64) { device.free_event(EventId(event)) }
}

/// An array of the host's.
///
/// # Safety
/// It holds `count` items during the call.
unsafe fn list<'a, T>(items: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(items, count) }
}
