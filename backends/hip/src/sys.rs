//! libamdhip64: its functions, found at run time, and its errors.
//!
//! Types and constants are those of `hip_sys`. Its functions are not used: they would make everything that links this
//! crate depend on libamdhip64, and they return a Rust enum, so an error code that is newer than the crate is undefined
//! behaviour. `hipDeviceProp_t` is not used either, because its layout changes between releases.

use hip_sys::hiprt as hip;
use std::env;
use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use vectorvisor_driver::gpu::library::{self, Library, matching};
use vectorvisor_driver::gpu::{Code, Codes, Functions, SUCCESS};
use vectorvisor_driver::{Error, Result};

library::functions! {
    /// The functions that CUDA does not have in this form: devices and versions. A device is its index.
    pub struct Own -> Code;
    hipRuntimeGetVersion(version: *mut c_int);
    hipGetDeviceCount(count: *mut c_int);
    hipSetDevice(device: c_int);
    hipDeviceGetName(name: *mut c_char, bytes: c_int, device: c_int);
    hipDeviceTotalMem(bytes: *mut usize, device: c_int);
    hipDeviceGetAttribute(value: *mut c_int, attribute: hip::hipDeviceAttribute_t, device: c_int);
    hipMemGetInfo(free: *mut usize, total: *mut usize);
}

library::functions! {
    /// Names and messages of error codes.
    pub struct Texts -> *const c_char;
    hipGetErrorName(code: Code);
    hipGetErrorString(code: Code);
}

/// Symbols that are not `hip` and the field's name.
const OTHER_NAMES: [(&str, &str); 8] = [
    ("MemAlloc", "hipMalloc"),
    ("MemFree", "hipFree"),
    ("HostAlloc", "hipHostMalloc"),
    ("HostFree", "hipHostFree"),
    ("HostGetDevicePointer", "hipHostGetDevicePointer"),
    ("EventCreate", "hipEventCreateWithFlags"),
    ("LaunchKernel", "hipModuleLaunchKernel"),
    ("OccupancyMaxActiveBlocksPerMultiprocessor", "hipModuleOccupancyMaxActiveBlocksPerMultiprocessor"),
];

/// HIP's runtime.
pub struct Hip {
    pub own: Own,
    pub common: Functions,
    texts: Texts,
    /// The library, which may contain the compiler too, and the name by which it was opened.
    pub library: &'static Library,
    pub path: PathBuf,
}

/// The runtime, opened at the first call, or why not.
pub fn hip() -> Result<&'static Hip> {
    static HIP: LazyLock<Result<Hip>> = LazyLock::new(find);
    HIP.as_ref().map_err(Error::clone)
}

fn find() -> Result<Hip> {
    let mut reason = None;
    for path in candidates() {
        match open(path) {
            Ok(hip) => return Ok(hip),
            Err(error) => _ = reason.get_or_insert(error),
        }
    }
    Err(Error::Unavailable {
        what: format!("there is no HIP, AMD's runtime ({})", reason.unwrap_or_default()),
        advice:
            "install ROCm (hip-runtime-amd; on Debian libamdhip64-5 and rocm-device-libs), or name libamdhip64.so or \
                 its folder in VECTORVISOR_HIP"
                .into(),
    })
}

/// Where the runtime may be, best first. A bare name is searched by the system, and always has a version: cargo puts
/// the test library, `libamdhip64.so`, on the search path.
fn candidates() -> Vec<PathBuf> {
    let named = env::var_os("VECTORVISOR_HIP").map(PathBuf::from);
    let file = named.clone().filter(|path| path.is_file());
    let folders = named.into_iter().chain(rocm_folders());
    let found = folders.flat_map(|folder| matching(&folder, "libamdhip64.so"));
    let names = ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"];
    file.into_iter().chain(found).chain(names.map(PathBuf::from)).collect()
}

/// The folders of ROCm's libraries.
fn rocm_folders() -> impl Iterator<Item = PathBuf> {
    let named = env::var_os("ROCM_PATH").map(PathBuf::from);
    named.into_iter().chain(matching(Path::new("/opt"), "rocm")).map(|rocm| rocm.join("lib"))
}

fn open(path: PathBuf) -> std::result::Result<Hip, String> {
    let library = library::open([path.as_path()], false)?;
    let common = |name: &str| match OTHER_NAMES.iter().find(|(field, _)| *field == name) {
        Some((_, symbol)) => (*symbol).into(),
        None => format!("hip{name}"),
    };
    // SAFETY: the library has AMD's name, and its functions the types of AMD's header. It is never closed.
    unsafe {
        let (own, texts) = (Own::find(library, str::to_owned)?, Texts::find(library, str::to_owned)?);
        Ok(Hip { own, texts, common: Functions::find(library, common)?, library, path })
    }
}

/// The errors that need more than HIP's messages.
const CODES: Codes = {
    use hip::hipError_t as error;
    Codes {
        advice: &[
            (
                error::hipErrorOutOfMemory as Code,
                "use fewer VMs or a smaller --heap, or close other programs that use the GPU",
            ),
            (
                error::hipErrorNoBinaryForGpu as Code,
                "the binary is another device's: remove it from the cache, or correct VECTORVISOR_HIPRTC_OPTIONS",
            ),
        ],
        sticky: &[
            error::hipErrorECCNotCorrectable as Code,
            error::hipErrorIllegalAddress as Code,
            error::hipErrorLaunchTimeOut as Code,
            error::hipErrorContextIsDestroyed as Code,
            error::hipErrorAssert as Code,
            error::hipErrorLaunchFailure as Code,
        ],
    }
};

/// Whether a device is unusable after this error.
pub fn is_sticky(code: Code) -> bool {
    CODES.is_sticky(code)
}

impl Hip {
    /// How many devices there are, at least one.
    pub fn count(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: a local to fill. The first call also starts the runtime.
        let code = unsafe { (self.own.hipGetDeviceCount)(&mut count) };
        let what = match code {
            SUCCESS if count > 0 => return Ok(usize::try_from(count).unwrap_or(0)),
            SUCCESS => "HIP has no device".into(),
            code => self.text("looking for devices", code),
        };
        Err(Error::Unavailable {
            what,
            advice: "look whether rocminfo lists a GPU, whether you may open /dev/kfd (group render), and whether \
                     HIP_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES hides it"
                .into(),
        })
    }
    /// The version: (6, 2) is 6.2.
    pub fn version(&self) -> Result<(i32, i32)> {
        let mut version = 0;
        // SAFETY: a local to fill.
        self.check("hipRuntimeGetVersion", unsafe { (self.own.hipRuntimeGetVersion)(&mut version) })?;
        Ok((version / 10_000_000, version / 100_000 % 100))
    }
    /// What failed, the error's name, and HIP's message.
    pub fn text(&self, what: &str, code: Code) -> String {
        let ask = |function: unsafe extern "C" fn(Code) -> *const c_char| {
            // SAFETY: HIP gives a text that lives for ever, or null.
            unsafe {
                let text = function(code);
                if text.is_null() { None } else { CStr::from_ptr(text).to_str().ok() }
            }
        };
        let name = ask(self.texts.hipGetErrorName).unwrap_or("an error without a name");
        match ask(self.texts.hipGetErrorString).filter(|words| *words != name) {
            Some(words) => format!("{what} failed: {name} ({code}), {words}"),
            None => format!("{what} failed: {name} ({code})"),
        }
    }
    /// Turns a code into an error, with advice where there is some.
    pub fn check(&self, what: &str, code: Code) -> Result<()> {
        CODES.check(code, || self.text(what, code))
    }
}
