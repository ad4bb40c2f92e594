//! The FFI boundary to OpenCL: owners of its objects, its errors, and queries.
//!
//! opencl3's own owners panic when a release fails, as it does after a device fault, so this module owns the raw
//! objects.

use opencl3::error_codes::{CL_DEVICE_NOT_FOUND, ClError};
use opencl3::platform::platform as cl_platform;
use opencl3::{context::context as cl_context, device as cl_device};
use std::ffi::{CStr, c_void};
use vectorvisor_driver::{Error, Result};

/// The options of every build, which are part of a device's identity.
pub const OPTIONS: &str = "-cl-std=CL1.2";
/// What vendors' compilers read in the environment that can change their code.
pub const VARIABLES: &[&str] = &[
    // PoCL
    "POCL_EXTRA_BUILD_FLAGS",
    "POCL_WORK_GROUP_METHOD",
    "POCL_WORK_GROUP_SPECIALIZATION",
    "POCL_BINARY_SPECIALIZE_WG",
    "POCL_KERNELLIB_NAME",
    "POCL_LLVM_CPU_NAME",
    "POCL_FORCE_PARALLEL_OUTER_LOOP",
    "POCL_FULL_REPLICATION_THRESHOLD",
    "POCL_WILOOPS_MAX_UNROLL_COUNT",
    "POCL_MAX_WORK_GROUP_SIZE",
    // AMD
    "AMD_OCL_BUILD_OPTIONS",
    "AMD_OCL_BUILD_OPTIONS_APPEND",
    "AMD_OCL_LINK_OPTIONS",
    "AMD_OCL_LINK_OPTIONS_APPEND",
    "AMD_OCL_SC_LIB",
    "AMD_OCL_SUBST_OBJFILE",
    "AMD_GPU_FORCE_SINGLE_FP_DENORM",
    "GPU_ENABLE_LC",
    "GPU_ENABLE_WAVE32_MODE",
    "GPU_ENABLE_WGP_MODE",
    // Intel
    "CL_CONFIG_CPU_TARGET_ARCH",
    "CL_CONFIG_CPU_VECTORIZER_MODE",
    "CL_CONFIG_USE_VECTORIZER",
    "CL_CONFIG_USE_FAST_RELAXED_MATH",
    "IGC_EnableFastMath",
    // Mesa
    "RUSTICL_FEATURES",
];
/// Error codes that mean out of memory; which one depends on the call that first notices.
const OUT_OF_MEMORY: [i32; 4] = [-4, -5, -6, -61];
const PLATFORM_NOT_FOUND_KHR: i32 = -1001;

type Release = unsafe fn(*mut c_void) -> std::result::Result<(), i32>;

/// One OpenCL object, released on drop.
pub struct Owned {
    raw: *mut c_void,
    release: Release,
}

// SAFETY: OpenCL objects may be used from any thread, and all calls on them but `clSetKernelArg` at the same time;
// `Kernel` has a lock for that one.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl Owned {
    /// Takes over one reference, which `release` drops.
    pub fn new(raw: *mut c_void, release: Release) -> Self {
        Self { raw, release }
    }
    /// The object, for as long as `self` lives.
    pub fn raw(&self) -> *mut c_void {
        self.raw
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: this owns one reference. A release that fails after a device fault can be ignored.
        _ = unsafe { (self.release)(self.raw) };
    }
}

/// Turns an OpenCL error code into ours; `what` is the failed call.
pub fn failed(what: &'static str) -> impl Fn(i32) -> Error {
    move |code| Error::Device(format!("{what} failed: {} ({code})", ClError(code)))
}

/// As [`failed`], for calls that allocate.
pub fn no_memory(what: &'static str, wanted: u64) -> impl Fn(i32) -> Error {
    move |code| match OUT_OF_MEMORY.contains(&code) {
        true => Error::OutOfMemory { wanted, what: "device memory" },
        false => failed(what)(code),
    }
}

/// A device of some platform.
#[derive(Clone, Copy)]
pub struct Id {
    pub platform: *mut c_void,
    pub device: *mut c_void,
}

// SAFETY: platforms and root devices are immutable and live as long as the library.
unsafe impl Send for Id {}
// SAFETY: as above.
unsafe impl Sync for Id {}

/// All devices of all platforms, in the loader's order, which is stable until something is installed or removed.
pub fn devices() -> Result<Vec<Id>> {
    let unavailable = |what: String, advice: &str| Error::Unavailable { what, advice: advice.into() };
    if !opencl3_available() {
        return Err(unavailable(
            "there is no OpenCL: libOpenCL.so.1 cannot be opened".into(),
            "install the loader and a driver (apt-get install ocl-icd-libopencl1 pocl-opencl-icd, or the GPU vendor's), \
             or name a library in OPENCL_DYLIB_PATH",
        ));
    }
    let advice = "install the OpenCL driver of the GPU's vendor, or pocl-opencl-icd for the processor; \
                  OCL_ICD_VENDORS must be unset or name a folder with its .icd file";
    let platforms = match cl_platform::get_platform_ids() {
        Ok(platforms) => platforms,
        Err(PLATFORM_NOT_FOUND_KHR) => Vec::new(),
        Err(code) => return Err(unavailable(format!("OpenCL lists no platforms: {} ({code})", ClError(code)), advice)),
    };
    let mut devices = Vec::new();
    let mut reason = String::from("no OpenCL device was found");
    for platform in platforms {
        match cl_device::get_device_ids(platform, cl_device::CL_DEVICE_TYPE_ALL) {
            Ok(found) => devices.extend(found.into_iter().map(|device| Id { platform, device })),
            Err(CL_DEVICE_NOT_FOUND) => {}
            // A broken platform must not hide the devices of others.
            Err(code) => reason = format!("an OpenCL platform lists no devices: {} ({code})", ClError(code)),
        }
    }
    if devices.is_empty() { Err(unavailable(reason, advice)) } else { Ok(devices) }
}

/// Whether libOpenCL opens and answers at all.
fn opencl3_available() -> bool {
    !matches!(
        cl_platform::get_platform_ids(),
        Err(opencl3::error_codes::DLOPEN_RUNTIME_LOAD_FAILED | opencl3::error_codes::DLOPEN_FUNCTION_NOT_AVAILABLE)
    )
}

impl Id {
    fn bytes(&self, name: u32) -> Result<Vec<u8>> {
        cl_device::get_device_data(self.device, name).map_err(failed("clGetDeviceInfo"))
    }
    /// A number of four or eight bytes.
    pub fn number(&self, name: u32) -> Result<u64> {
        let bytes = self.bytes(name)?;
        let mut wide = [0; 8];
        if bytes.len() > wide.len() {
            return Err(Error::Device(format!("clGetDeviceInfo({name:#x}) is no number")));
        }
        wide[..bytes.len()].copy_from_slice(&bytes);
        Ok(u64::from_le_bytes(wide))
    }
    /// A text.
    pub fn text(&self, name: u32) -> Result<String> {
        Ok(text(&self.bytes(name)?))
    }
    /// A text about the platform.
    pub fn platform_text(&self, name: u32) -> Result<String> {
        let bytes = cl_platform::get_platform_data(self.platform, name).map_err(failed("clGetPlatformInfo"))?;
        Ok(text(&bytes))
    }
    /// A context with this device.
    pub fn context(&self) -> Result<Owned> {
        let context = cl_context::create_context(&[self.device], std::ptr::null(), None, std::ptr::null_mut());
        Ok(Owned::new(context.map_err(failed("clCreateContext"))?, cl_context::release_context))
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes);
    String::from_utf8_lossy(bytes).trim().to_owned()
}
