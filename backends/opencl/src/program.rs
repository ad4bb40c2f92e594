//! Programs and kernels.

use crate::sys::{Id, Owned, failed};
use opencl3::{kernel as cl_kernel, program as cl_program};
use std::ffi::{CStr, CString, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vectorvisor_driver::{Error, Result};

const INVALID_KERNEL_NAME: i32 = -46;

/// A built program.
pub struct Program(Owned);

impl Program {
    /// Builds text.
    pub fn from_text(context: &Owned, id: Id, text: &str, options: &CStr) -> Result<Self> {
        // Always one string: cl3 0.13 mistakes a slice of `&str` for an array of C pointers, which works only with a
        // single one.
        let raw = cl_program::create_program_with_source(context.raw(), &[text]);
        let raw = raw.map_err(failed("clCreateProgramWithSource"))?;
        Self(Owned::new(raw, cl_program::release_program)).built(id, options)
    }
    /// Builds what [`Program::binary`] gave.
    ///
    /// # Safety
    /// The bytes are that, or no binary: vendors do not validate them.
    pub unsafe fn from_binary(context: &Owned, id: Id, binary: &[u8], options: &CStr) -> Result<Self> {
        // SAFETY: one device, one binary, both valid for the call, and the caller's promise.
        let raw = unsafe { cl_program::create_program_with_binary(context.raw(), &[id.device], &[binary]) };
        let raw = raw.map_err(|code| Error::Invalid(failed("loading a binary")(code).to_string()))?;
        Self(Owned::new(raw, cl_program::release_program)).built(id, options)
    }
    fn built(self, id: Id, options: &CStr) -> Result<Self> {
        match cl_program::build_program(self.0.raw(), &[id.device], options, None, null_mut()) {
            Ok(()) => Ok(self),
            Err(code) => {
                let log = cl_program::get_program_build_info(self.0.raw(), id.device, cl_program::CL_PROGRAM_BUILD_LOG);
                let log = String::from(log.map_err(failed("clGetProgramBuildInfo"))?);
                Err(Error::Compile { log: format!("{}\n{log}", failed("clBuildProgram")(code)) })
            }
        }
    }
    /// The program as the vendor stores it.
    pub fn binary(&self) -> Result<Vec<u8>> {
        let binaries = cl_program::get_program_info(self.0.raw(), cl_program::CL_PROGRAM_BINARIES);
        // One device, one binary.
        let binary = Vec::<Vec<u8>>::from(binaries.map_err(failed("clGetProgramInfo"))?).pop();
        binary.ok_or_else(|| Error::Device("clGetProgramInfo gave no binary".into()))
    }
}

/// A kernel of a program.
pub struct Kernel {
    object: Owned,
    args: usize,
    /// Held from setting arguments until the launch is enqueued, because in OpenCL arguments belong to the kernel and
    /// not to the launch.
    setting: Mutex<()>,
    program: Arc<Program>,
}

/// A kernel with its arguments set; no other thread can set them while this lives.
pub struct Ready<'a> {
    raw: *mut c_void,
    _setting: MutexGuard<'a, ()>,
}

impl Ready<'_> {
    pub fn raw(&self) -> *mut c_void {
        self.raw
    }
}

impl Kernel {
    pub fn new(program: &Arc<Program>, name: &str) -> Result<Self> {
        let invalid = || Error::Invalid(format!("no kernel {name} in this module"));
        let text = CString::new(name).map_err(|_| invalid())?;
        let raw = cl_kernel::create_kernel(program.0.raw(), &text).map_err(|code| match code {
            INVALID_KERNEL_NAME => invalid(),
            code => failed("clCreateKernel")(code),
        })?;
        let object = Owned::new(raw, cl_kernel::release_kernel);
        let args = cl_kernel::get_kernel_info(object.raw(), cl_kernel::CL_KERNEL_NUM_ARGS);
        let args = u32::from(args.map_err(failed("clGetKernelInfo"))?) as usize;
        Ok(Self { object, args, setting: Mutex::new(()), program: program.clone() })
    }
    pub fn belongs_to(&self, program: &Arc<Program>) -> bool {
        Arc::ptr_eq(&self.program, program)
    }
    /// Sets all arguments; each is a buffer or null.
    pub fn with_args(&self, args: impl ExactSizeIterator<Item = *mut c_void>) -> Result<Ready<'_>> {
        if args.len() != self.args {
            return Err(Error::Invalid(format!("{} arguments for a kernel that takes {}", args.len(), self.args)));
        }
        // Poison does not matter: all arguments are set anew.
        let setting = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, arg) in args.enumerate() {
            let value = if arg.is_null() { null() } else { (&raw const arg).cast() };
            // SAFETY: the value is null or points to a buffer's handle, as a kernel's buffer arguments demand.
            let set = unsafe { cl_kernel::set_kernel_arg(self.object.raw(), index as u32, size_of_val(&arg), value) };
            set.map_err(failed("clSetKernelArg"))?;
        }
        Ok(Ready { raw: self.object.raw(), _setting: setting })
    }
}
