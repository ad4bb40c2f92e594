//! Wasmtime's C library, opened at run time: building Wasmtime takes longer than all else that the fuzzer needs.
//!
//! The types are those of `wasm.h` and `wasmtime.h`. Only values of the four numeric types cross.

use libloading::Library;
use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use vectorvisor::Value;

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }
        impl Functions {
            /// # Safety
            /// The library is Wasmtime's, and stays open.
            unsafe fn find(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the functions have these types.
                unsafe { Ok(Self { $($name: *library.get(stringify!($name))?,)* }) }
            }
        }
    };
}

/// A handle; what it is a handle of is said where it is made.
type Handle = *mut c_void;

functions! {
    wasm_config_new() -> Handle;
    wasmtime_config_consume_fuel_set(Handle, bool);
    wasm_engine_new_with_config(Handle) -> Handle;
    wasm_engine_delete(Handle);
    wasmtime_module_new(Handle, *const u8, usize, *mut Handle) -> Handle;
    wasmtime_module_delete(Handle);
    wasmtime_store_new(Handle, Handle, *const c_void) -> Handle;
    wasmtime_store_context(Handle) -> Handle;
    wasmtime_store_delete(Handle);
    wasmtime_context_set_fuel(Handle, u64) -> Handle;
    wasmtime_instance_new(Handle, Handle, *const Extern, usize, *mut RawInstance, *mut Handle) -> Handle;
    wasmtime_instance_export_get(Handle, *const RawInstance, *const u8, usize, *mut Extern) -> bool;
    wasmtime_func_type(Handle, *const Function) -> Handle;
    wasm_functype_results(Handle) -> *const Vector;
    wasm_functype_delete(Handle);
    wasmtime_func_call(Handle, *const Function, *const Val, usize, *mut Val, usize, *mut Handle) -> Handle;
    wasmtime_error_message(Handle, *mut Vector);
    wasmtime_error_delete(Handle);
    wasmtime_trap_code(Handle, *mut u8) -> bool;
    wasm_trap_message(Handle, *mut Vector);
    wasm_trap_delete(Handle);
    wasm_byte_vec_delete(*mut Vector);
}

#[repr(C)]
struct Vector {
    size: usize,
    data: *mut u8,
}

#[repr(C)]
struct RawInstance([u64; 2]);

#[repr(C)]
struct Function([u64; 2]);

#[repr(C)]
struct Extern {
    kind: u8,
    of: [u64; 3],
}

/// A value; its bits are the low ones of the first word (no machine of Wasmtime's wheels is big-endian).
#[repr(C)]
#[derive(Clone, Copy)]
struct Val {
    kind: u8,
    of: [u64; 3],
}

const I32: u8 = 0;
const I64: u8 = 1;
const F32: u8 = 2;
const F64: u8 = 3;
const FUNCTION: u8 = 0;

impl From<Value> for Val {
    fn from(value: Value) -> Self {
        let (kind, bits) = match value {
            Value::I32(v) => (I32, v.cast_unsigned().into()),
            Value::I64(v) => (I64, v.cast_unsigned()),
            Value::F32(bits) => (F32, bits.into()),
            Value::F64(bits) => (F64, bits),
        };
        Self { kind, of: [bits, 0, 0] }
    }
}

impl Val {
    fn value(self) -> Option<Value> {
        let bits = self.of[0];
        Some(match self.kind {
            I32 => Value::I32(bits as i32),
            I64 => Value::I64(bits as i64),
            F32 => Value::F32(bits as u32),
            F64 => Value::F64(bits),
            _ => return None,
        })
    }
}

/// Why an instantiation or a call gave no values.
#[derive(Debug)]
pub enum Failure {
    /// A trap with a code of `wasmtime_trap_code_enum`.
    Trap(u8),
    /// Anything else.
    Other(String),
}

/// Wasmtime, with fuel.
pub struct Engine {
    functions: Functions,
    engine: Handle,
    _library: Library,
}

// SAFETY: an engine may be used by several threads; it is all that is shared.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

/// A compiled module.
pub struct Module<'a> {
    engine: &'a Engine,
    module: Handle,
}

/// An instance of a module, in a store of its own.
pub struct Instance<'a> {
    engine: &'a Engine,
    store: Handle,
    instance: RawInstance,
}

impl Engine {
    /// Opens the library that `ci/setup` installed, or that `VECTORVISOR_WASMTIME` names.
    pub fn open() -> Result<Self, String> {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| {
            // Tests run in the folder of their package.
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into()
        });
        let named = std::env::var_os("VECTORVISOR_WASMTIME").map(PathBuf::from);
        let folder = format!("wasmtime/wasmtime/linux-{}", std::env::consts::ARCH);
        let path = named.unwrap_or_else(|| PathBuf::from(target).join(folder).join("_libwasmtime.so"));
        let advice =
            |e| format!("{}: {e}: run ci/setup, or name a libwasmtime.so in VECTORVISOR_WASMTIME", path.display());
        // SAFETY: its initialisers are safe to run, its functions are Wasmtime's, and `Self` keeps it open.
        unsafe {
            let library = Library::new(&path).map_err(advice)?;
            let functions = Functions::find(&library).map_err(advice)?;
            let config = (functions.wasm_config_new)();
            (functions.wasmtime_config_consume_fuel_set)(config, true);
            let engine = (functions.wasm_engine_new_with_config)(config);
            Ok(Self { functions, engine, _library: library })
        }
    }

    /// Compiles a module.
    pub fn module(&self, wasm: &[u8]) -> Result<Module<'_>, String> {
        let mut module = null_mut();
        // SAFETY: the engine lives, and the bytes are as many as said.
        let error =
            unsafe { (self.functions.wasmtime_module_new)(self.engine, wasm.as_ptr(), wasm.len(), &raw mut module) };
        self.message(error).map_or(Ok(Module { engine: self, module }), Err)
    }

    /// The text of an error, which is freed; none if it is null.
    fn message(&self, error: Handle) -> Option<String> {
        if error.is_null() {
            return None;
        }
        // SAFETY: the error lives until it is deleted here.
        unsafe {
            let text = self.text(|text| (self.functions.wasmtime_error_message)(error, text));
            (self.functions.wasmtime_error_delete)(error);
            Some(text)
        }
    }

    /// # Safety
    /// `fill` makes a vector of bytes.
    unsafe fn text(&self, fill: impl FnOnce(*mut Vector)) -> String {
        let mut text = Vector { size: 0, data: null_mut() };
        fill(&raw mut text);
        if text.data.is_null() {
            return String::new();
        }
        // SAFETY: Wasmtime made it, and it is deleted after the last use.
        unsafe {
            let copy = String::from_utf8_lossy(std::slice::from_raw_parts(text.data, text.size)).into_owned();
            (self.functions.wasm_byte_vec_delete)(&raw mut text);
            copy
        }
    }

    /// What an error or a trap says; both are freed.
    fn failure(&self, error: Handle, trap: Handle) -> Option<Failure> {
        if trap.is_null() {
            return self.message(error).map(Failure::Other);
        }
        let mut code = 0;
        // SAFETY: the trap lives until it is deleted here.
        unsafe {
            let failure = match (self.functions.wasmtime_trap_code)(trap, &raw mut code) {
                true => Failure::Trap(code),
                false => Failure::Other(self.text(|text| (self.functions.wasm_trap_message)(trap, text))),
            };
            (self.functions.wasm_trap_delete)(trap);
            Some(failure)
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: modules and instances, which borrow it, are gone.
        unsafe { (self.functions.wasm_engine_delete)(self.engine) }
    }
}

impl<'a> Module<'a> {
    /// Instantiates the module, which has no imports, in a new store with so much fuel.
    pub fn instantiate(&self, fuel: u64) -> Result<Instance<'a>, Failure> {
        let f = &self.engine.functions;
        // SAFETY: there is neither data nor a finaliser of it.
        let store = unsafe { (f.wasmtime_store_new)(self.engine.engine, null_mut(), null()) };
        let mut instance = Instance { engine: self.engine, store, instance: RawInstance([0; 2]) };
        instance.refuel(fuel)?;
        let (context, mut trap) = (instance.context(), null_mut());
        // SAFETY: the module and the store live.
        let error = unsafe {
            (f.wasmtime_instance_new)(context, self.module, null(), 0, &raw mut instance.instance, &raw mut trap)
        };
        self.engine.failure(error, trap).map_or(Ok(instance), Err)
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // SAFETY: it is this value's.
        unsafe { (self.engine.functions.wasmtime_module_delete)(self.module) }
    }
}

impl Instance<'_> {
    fn context(&self) -> Handle {
        // SAFETY: the store lives.
        unsafe { (self.engine.functions.wasmtime_store_context)(self.store) }
    }

    fn refuel(&mut self, fuel: u64) -> Result<(), Failure> {
        // SAFETY: the store lives.
        let error = unsafe { (self.engine.functions.wasmtime_context_set_fuel)(self.context(), fuel) };
        self.engine.message(error).map_or(Ok(()), |error| Err(Failure::Other(error)))
    }

    /// Calls an exported function with so much fuel; none if there is no such function.
    pub fn call(&mut self, export: &str, args: &[Value], fuel: u64) -> Option<Result<Vec<Value>, Failure>> {
        let f = &self.engine.functions;
        let context = self.context();
        let mut item = Extern { kind: FUNCTION, of: [0; 3] };
        // SAFETY: the instance is of this store, and the name has so many bytes.
        let found = unsafe {
            let instance = &raw const self.instance;
            (f.wasmtime_instance_export_get)(context, instance, export.as_ptr(), export.len(), &raw mut item)
        };
        if !found || item.kind != FUNCTION {
            return None;
        }
        let function = Function([item.of[0], item.of[1]]);
        // SAFETY: the function is of this store, and its type is deleted after the last use.
        let results = unsafe {
            let kind = (f.wasmtime_func_type)(context, &raw const function);
            let results = (*(f.wasm_functype_results)(kind)).size;
            (f.wasm_functype_delete)(kind);
            results
        };
        if let Err(failure) = self.refuel(fuel) {
            return Some(Err(failure));
        }
        let args: Vec<Val> = args.iter().map(|value| Val::from(*value)).collect();
        let mut values = vec![Val::from(Value::I64(0)); results];
        let mut trap = null_mut();
        // SAFETY: Wasmtime checks the number and the types of the arguments, and the results are as many as the type has.
        let error = unsafe {
            let function = &raw const function;
            let (arguments, values) = (args.as_ptr(), values.as_mut_ptr());
            (f.wasmtime_func_call)(context, function, arguments, args.len(), values, results, &raw mut trap)
        };
        Some(match self.engine.failure(error, trap) {
            Some(failure) => Err(failure),
            None => Ok(values.into_iter().filter_map(Val::value).collect()),
        })
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        // SAFETY: it is this value's.
        unsafe { (self.engine.functions.wasmtime_store_delete)(self.store) }
    }
}
