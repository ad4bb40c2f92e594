//! Kernels: the C++ compiler makes a shared library of the text, and a launch runs its threads one after another.

use super::BLOCK;
use super::stream::Stream;
use crate::{INVALID_IMAGE, INVALID_VALUE, NOT_FOUND, Object};
use std::ffi::{CStr, c_char, c_uint, c_void};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io, slice};
use vectorvisor_driver::gpu::library::{Library, RTLD_LOCAL, RTLD_NOW};
use vectorvisor_driver::gpu::{Code, SUCCESS};
use vectorvisor_driver::temporary::Temporary;

/// How many pointers every kernel is called with.
const ARGUMENTS: usize = 12;
/// `hip_test_run` of `cpu.h`: kernel, arguments, first group, end of groups, lanes.
type Run = unsafe extern "C" fn(*const c_void, *const u64, c_uint, c_uint, c_uint);

/// Compiles text. A binary is the size of a shared library, followed by the library. The driver's options, without the
/// target, are valid for any C++ compiler.
pub fn compile(text: &str, options: &[String]) -> Result<Vec<u8>, String> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let build = || -> io::Result<Result<Vec<u8>, String>> {
        let folder = Temporary::new()?;
        let library = folder.path().join("program.so");
        let mut child = Command::new(&compiler)
            .env("TMPDIR", folder.path())
            .args(options)
            // -O0 compiles faster, except functions with very many locals, which take minutes.
            .args(["-O1", "-x", "c++", "-fPIC", "-shared", "-Wl,-Bsymbolic", "-fno-math-errno", "-Wno-narrowing", "-o"])
            .arg(&library)
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // If the compiler stops reading early, its own message is the error.
        _ = input.write_all(include_bytes!("cpu.h")).and_then(|()| input.write_all(text.as_bytes()));
        drop(input);
        let ended = child.wait_with_output()?;
        if !ended.status.success() {
            return Ok(Err(String::from_utf8_lossy(&ended.stderr).into_owned()));
        }
        let library = fs::read(&library)?;
        Ok(Ok([library.len().to_le_bytes().to_vec(), library].concat()))
    };
    build().unwrap_or_else(|error| Err(format!("error: {compiler}: {error}")))
}

/// What HIP calls a module.
struct Module {
    library: Library,
    run: Run,
    /// Boxed, since their addresses are HIP's handles.
    #[allow(clippy::vec_box, reason = "addresses must stay")]
    kernels: Mutex<Vec<Box<Kernel>>>,
}

/// What HIP calls a function.
struct Kernel {
    code: *const c_void,
    run: Run,
}

pub unsafe extern "C" fn load(to: *mut Object, image: *const c_void) -> Code {
    // SAFETY: `compile` made the image, so it begins with its size; its code is that of the driver's own text.
    unsafe {
        let bytes = usize::from_le_bytes(*image.cast());
        let image = slice::from_raw_parts(image.cast::<u8>().add(size_of::<usize>()), bytes);
        let open = || -> Option<Module> {
            let folder = Temporary::new().ok()?;
            let file = tempfile::NamedTempFile::new_in(folder.path()).ok()?;
            fs::write(file.path(), image).ok()?;
            let library = Library::open(Some(file.path()), RTLD_NOW | RTLD_LOCAL).ok()?;
            let run = *library.get::<Run>(b"hip_test_run").ok()?;
            Some(Module { library, run, kernels: Mutex::default() })
        };
        let Some(module) = open() else { return INVALID_IMAGE };
        to.write(Box::into_raw(Box::new(module)).cast());
    }
    SUCCESS
}

pub unsafe extern "C" fn unload(module: Object) -> Code {
    // SAFETY: made by `load`, and no kernel of it runs.
    drop(unsafe { Box::from_raw(module.cast::<Module>()) });
    SUCCESS
}

pub unsafe extern "C" fn function(to: *mut Object, module: Object, name: *const c_char) -> Code {
    // SAFETY: a live module, and a text; a symbol that the driver asks for is a kernel.
    unsafe {
        let module = &*module.cast::<Module>();
        let Ok(code) = module.library.get::<unsafe extern "C" fn()>(CStr::from_ptr(name).to_bytes()) else {
            return NOT_FOUND;
        };
        let kernel = Box::new(Kernel { code: *code as *const c_void, run: module.run });
        to.write((&raw const *kernel).cast_mut().cast());
        module.kernels.lock().unwrap_or_else(PoisonError::into_inner).push(kernel);
    }
    SUCCESS
}

#[allow(clippy::too_many_arguments, reason = "HIP's own")]
pub unsafe extern "C" fn launch(
    function: Object,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    _shared_bytes: c_uint,
    stream: Object,
    arguments: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> Code {
    // The driver's grids and blocks have one dimension here.
    if grid_x == 0 || [grid_y, grid_z, block_y, block_z] != [1; 4] || !(1..=BLOCK).contains(&block_x) {
        return INVALID_VALUE;
    }
    // SAFETY: a live kernel and stream; the driver always passes more pointers to arguments than are read here.
    unsafe {
        let (code, run) = ((*function.cast::<Kernel>()).code, (*function.cast::<Kernel>()).run);
        let values: [u64; ARGUMENTS] = std::array::from_fn(|index| **arguments.add(index).cast::<*mut u64>());
        (*stream.cast::<Stream>()).put(move || run(code, values.as_ptr(), 0, grid_x, block_x))
    }
}
