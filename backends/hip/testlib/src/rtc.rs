//! hipRTC's functions. A program holds its text, and once compiled its binary or its log.

use crate::{Runtime, cpu, cuda, runtime};
use std::ffi::{CStr, c_char, c_int};
use std::ptr;

const SUCCESS: c_int = 0;
const COMPILATION: c_int = 6;

/// What hipRTC calls a program.
#[derive(Default)]
pub struct Program {
    text: String,
    log: Vec<u8>,
    code: Vec<u8>,
}

/// Copies a result to the caller's buffer.
///
/// # Safety
/// `to` has room for it.
unsafe fn copy(from: &[u8], to: *mut c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.cast(), from.len()) };
    SUCCESS
}

macro_rules! exports {
    ($($name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
        /// hipRTC's function of that name.
        ///
        /// # Safety
        /// As hipRTC's.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            // SAFETY: the pointers are valid as hipRTC demands: texts that end with 0, live programs of these
            // functions, and buffers of the size that was reported.
            unsafe { $body }
        }
    )*};
}

exports! {
    hiprtcVersion(major: *mut c_int, minor: *mut c_int) {
        major.write(9);
        minor.write(0);
        SUCCESS
    }
    hiprtcCreateProgram(
        program: *mut *mut Program, text: *const c_char, _name: *const c_char,
        _headers: c_int, _header_texts: *const *const c_char, _header_names: *const *const c_char
    ) {
        let text = CStr::from_ptr(text).to_string_lossy().into_owned();
        program.write(Box::into_raw(Box::new(Program { text, ..Program::default() })));
        SUCCESS
    }
    hiprtcDestroyProgram(program: *mut *mut Program) {
        drop(Box::from_raw(program.replace(ptr::null_mut())));
        SUCCESS
    }
    hiprtcCompileProgram(program: *mut Program, count: c_int, options: *const *const c_char) {
        let program = &mut *program;
        let option = |index| CStr::from_ptr(*options.add(index)).to_string_lossy().into_owned();
        // Neither compiler knows AMD's targets.
        let options: Vec<_> =
            (0..count as usize).map(option).filter(|option| !option.starts_with("--offload-arch")).collect();
        let compiled = match runtime() {
            Some(Runtime::Cuda(cuda)) => cuda::compile(cuda, &program.text, &options),
            _ => cpu::compile(&program.text, &options),
        };
        match compiled {
            Ok(code) => {
                program.code = code;
                SUCCESS
            }
            Err(log) => {
                program.log = (log + "\0").into_bytes();
                COMPILATION
            }
        }
    }
    hiprtcGetProgramLogSize(program: *mut Program, bytes: *mut usize) {
        bytes.write((*program).log.len());
        SUCCESS
    }
    hiprtcGetProgramLog(program: *mut Program, log: *mut c_char) {
        copy(&(*program).log, log)
    }
    hiprtcGetCodeSize(program: *mut Program, bytes: *mut usize) {
        bytes.write((*program).code.len());
        SUCCESS
    }
    hiprtcGetCode(program: *mut Program, code: *mut c_char) {
        copy(&(*program).code, code)
    }
}
