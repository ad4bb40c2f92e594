//! libcuda: its functions, found at run time, and its errors.
//!
//! Types and constants are those of `cust::sys`. Its functions are not used: they would make everything that links this
//! crate depend on libcuda, and they return a Rust enum, so an error code that is newer than the crate is undefined
//! behaviour.

use cust::sys as cu;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::LazyLock;
use vectorvisor_driver::gpu::{Code, Codes, Functions, SUCCESS, library};
use vectorvisor_driver::{Error, Result};

library::functions! {
    /// The functions that HIP does not have in this form: devices, contexts, errors and linking.
    pub struct Own -> Code;
    cuInit(flags: c_uint);
    cuDriverGetVersion(version: *mut c_int);
    cuGetErrorName(code: Code, name: *mut *const c_char);
    cuGetErrorString(code: Code, text: *mut *const c_char);
    cuDeviceGetCount(count: *mut c_int);
    cuDeviceGet(device: *mut cu::CUdevice, ordinal: c_int);
    cuDeviceGetName(name: *mut c_char, bytes: c_int, device: cu::CUdevice);
    cuDeviceTotalMem_v2(bytes: *mut usize, device: cu::CUdevice);
    cuDeviceGetAttribute(value: *mut c_int, attribute: cu::CUdevice_attribute, device: cu::CUdevice);
    cuDevicePrimaryCtxRetain(context: *mut cu::CUcontext, device: cu::CUdevice);
    cuDevicePrimaryCtxRelease_v2(device: cu::CUdevice);
    cuDevicePrimaryCtxReset_v2(device: cu::CUdevice);
    cuCtxSetCurrent(context: cu::CUcontext);
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    cuMemAllocAsync(pointer: *mut u64, bytes: usize, stream: cu::CUstream);
    cuMemFreeAsync(pointer: u64, stream: cu::CUstream);
    cuDeviceGetDefaultMemPool(pool: *mut cu::CUmemoryPool, device: cu::CUdevice);
    cuMemPoolTrimTo(pool: cu::CUmemoryPool, keep: usize);
    cuMemPoolSetAttribute(pool: cu::CUmemoryPool, attribute: cu::CUmemPool_attribute, value: *mut c_void);
    cuLinkCreate_v2(options: c_uint, names: *mut cu::CUjit_option, values: *mut *mut c_void, link: *mut cu::CUlinkState);
    cuLinkAddData_v2(
        link: cu::CUlinkState, kind: cu::CUjitInputType, data: *mut c_void, bytes: usize, name: *const c_char,
        options: c_uint, option_names: *mut cu::CUjit_option, option_values: *mut *mut c_void
    );
    cuLinkComplete(link: cu::CUlinkState, binary: *mut *mut c_void, bytes: *mut usize);
    cuLinkDestroy(link: cu::CUlinkState);
}

/// Symbols that are not `cu` and the field's name.
const OTHER_NAMES: [(&str, &str); 10] = [
    ("MemAlloc", "cuMemAlloc_v2"),
    ("MemFree", "cuMemFree_v2"),
    ("HostAlloc", "cuMemHostAlloc"),
    ("HostFree", "cuMemFreeHost"),
    ("HostGetDevicePointer", "cuMemHostGetDevicePointer_v2"),
    ("MemcpyHtoD", "cuMemcpyHtoD_v2"),
    ("MemcpyHtoDAsync", "cuMemcpyHtoDAsync_v2"),
    ("MemcpyDtoHAsync", "cuMemcpyDtoHAsync_v2"),
    ("StreamDestroy", "cuStreamDestroy_v2"),
    ("EventDestroy", "cuEventDestroy_v2"),
];

/// The driver API.
pub struct Cuda {
    /// CUDA's own functions.
    pub own: Own,
    /// The functions that HIP has too.
    pub common: Functions,
}

/// libcuda, opened and initialised at the first call, or why not.
pub fn cuda() -> Result<&'static Cuda> {
    static CUDA: LazyLock<Result<Cuda>> = LazyLock::new(open);
    CUDA.as_ref().map_err(Error::clone)
}

fn open() -> Result<Cuda> {
    // The name suffices where the driver is installed; containers and WSL have the folders.
    let names = ["libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"];
    let found = library::open(names.map(Path::new), true).and_then(|library| {
        let common = |name: &str| match OTHER_NAMES.iter().find(|(field, _)| *field == name) {
            Some((_, symbol)) => (*symbol).into(),
            None => format!("cu{name}"),
        };
        // SAFETY: the library has NVIDIA's name, and its functions the types of NVIDIA's header. It is never closed.
        unsafe { Ok(Cuda { own: Own::find(library, str::to_owned)?, common: Functions::find(library, common)? }) }
    });
    let cuda = found.map_err(|reason| Error::Unavailable {
        what: format!("there is no CUDA driver ({reason})"),
        advice: "install the driver of the NVIDIA GPU; if it is there, name its folder in LD_LIBRARY_PATH".into(),
    })?;
    // How many streams are independent: of more than that, some wait for the copies of others behind long kernels. CUDA
    // has 8, as many as a fleet has groups, which leaves none for memory and gathering. Each costs 0.02 s, of opening the
    // device and of closing it.
    if std::env::var_os("CUDA_DEVICE_MAX_CONNECTIONS").is_none() {
        // SAFETY: the standard library's functions wait for each other; C's, on another thread at this very moment, would
        // not. Drivers are asked for devices before a fleet or the command starts threads.
        unsafe { std::env::set_var("CUDA_DEVICE_MAX_CONNECTIONS", "16") };
    }
    // SAFETY: no pointers.
    let code = unsafe { (cuda.own.cuInit)(0) };
    let advice = match () {
        () if code == SUCCESS => return Ok(cuda),
        () if code == cu::CUresult::CUDA_ERROR_NO_DEVICE as Code => {
            "look whether nvidia-smi lists a GPU, and whether CUDA_VISIBLE_DEVICES hides it"
        }
        () if code == cu::CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH as Code => {
            "libcuda and the kernel's part of the driver have different versions: restart the machine"
        }
        () => "look whether nvidia-smi works, and install the driver anew if it does not",
    };
    Err(Error::Unavailable { what: cuda.text("cuInit", code), advice: advice.into() })
}

/// The errors that need more than CUDA's messages.
pub const CODES: Codes = {
    use cu::CUresult::*;
    const NEWER: &str =
        "NVRTC may be newer than the driver: update the driver, or name an older NVRTC in VECTORVISOR_NVRTC";
    Codes {
        advice: &[
            (
                CUDA_ERROR_OUT_OF_MEMORY as Code,
                "use fewer VMs or a smaller --heap, or close other programs that use the GPU",
            ),
            (
                CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES as Code,
                "the kernel needs more registers than a block has: use fewer lanes",
            ),
            (CUDA_ERROR_UNSUPPORTED_PTX_VERSION as Code, NEWER),
            (CUDA_ERROR_NO_BINARY_FOR_GPU as Code, NEWER),
            (CUDA_ERROR_INVALID_IMAGE as Code, "the binary is damaged, or another device's: remove it from the cache"),
            (
                CUDA_ERROR_JIT_COMPILER_NOT_FOUND as Code,
                "libnvidia-ptxjitcompiler.so is missing: install the driver anew",
            ),
            (CUDA_ERROR_SYSTEM_NOT_READY as Code, "start nvidia-fabricmanager"),
        ],
        sticky: &[
            CUDA_ERROR_ECC_UNCORRECTABLE as Code,
            CUDA_ERROR_NVLINK_UNCORRECTABLE as Code,
            CUDA_ERROR_ILLEGAL_ADDRESS as Code,
            CUDA_ERROR_LAUNCH_TIMEOUT as Code,
            CUDA_ERROR_CONTEXT_IS_DESTROYED as Code,
            CUDA_ERROR_ASSERT as Code,
            CUDA_ERROR_HARDWARE_STACK_ERROR as Code,
            CUDA_ERROR_ILLEGAL_INSTRUCTION as Code,
            CUDA_ERROR_MISALIGNED_ADDRESS as Code,
            CUDA_ERROR_INVALID_ADDRESS_SPACE as Code,
            CUDA_ERROR_INVALID_PC as Code,
            CUDA_ERROR_LAUNCH_FAILED as Code,
            CUDA_ERROR_UNKNOWN as Code,
        ],
    }
};

impl Cuda {
    /// What failed, the error's name, and CUDA's message.
    pub fn text(&self, what: &str, code: Code) -> String {
        let ask = |function: unsafe extern "C" fn(Code, *mut *const c_char) -> Code| {
            let mut text = std::ptr::null();
            // SAFETY: CUDA sets the pointer to a text that lives for ever, or to null.
            unsafe {
                function(code, &mut text);
                if text.is_null() { None } else { CStr::from_ptr(text).to_str().ok() }
            }
        };
        let name = ask(self.own.cuGetErrorName).unwrap_or("an error without a name");
        let words = ask(self.own.cuGetErrorString).unwrap_or("unknown error");
        format!("{what} failed: {name} ({code}), {words}")
    }
    /// Turns a code into an error, with advice where there is some.
    pub fn check(&self, what: &str, code: Code) -> Result<()> {
        CODES.check(code, || self.text(what, code))
    }
}
