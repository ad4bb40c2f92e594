//! `libamdhip64.so` for tests: the functions of HIP and hipRTC that the HIP driver calls, without an AMD GPU.
//!
//! `VECTORVISOR_HIP_TEST=cpu` runs kernels on the processor, with waves of 64 lanes; `cuda` forwards to CUDA and NVRTC;
//! without the variable there is no device. The driver finds the library by `VECTORVISOR_HIP`. The library does not
//! check its arguments: its only caller is that driver.

mod cpu;
mod cuda;
mod rtc;

use std::env;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::LazyLock;
use vectorvisor_cuda::sys::Cuda;
use vectorvisor_driver::gpu::{Code, Functions, SUCCESS};

/// Error codes, which are CUDA's too.
const INVALID_VALUE: Code = 1;
const OUT_OF_MEMORY: Code = 2;
const NO_DEVICE: Code = 100;
const INVALID_IMAGE: Code = 200;
const NOT_FOUND: Code = 500;
const NOT_READY: Code = 600;
const NAMES: [(Code, &CStr); 9] = [
    (INVALID_VALUE, c"hipErrorInvalidValue"),
    (OUT_OF_MEMORY, c"hipErrorOutOfMemory"),
    (NO_DEVICE, c"hipErrorNoDevice"),
    (INVALID_IMAGE, c"hipErrorInvalidImage"),
    (209, c"hipErrorNoBinaryForGpu"),
    (NOT_FOUND, c"hipErrorNotFound"),
    (NOT_READY, c"hipErrorNotReady"),
    (700, c"hipErrorIllegalAddress"),
    (719, c"hipErrorLaunchFailure"),
];

/// The version of HIP that it reports.
const VERSION: c_int = 50_400_000;

type Object = *mut c_void;

/// What implements the functions.
enum Runtime {
    Cpu,
    Cuda(&'static Cuda),
}

fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| match env::var("VECTORVISOR_HIP_TEST").as_deref() {
        Ok("cpu") => Some(Runtime::Cpu),
        Ok("cuda") => match vectorvisor_cuda::sys::cuda() {
            Ok(cuda) => Some(Runtime::Cuda(cuda)),
            Err(error) => {
                eprintln!("VECTORVISOR_HIP_TEST is cuda, but {error}");
                None
            }
        },
        _ => None,
    });
    RUNTIME.as_ref()
}

macro_rules! exports {
    ($($name:ident = $field:ident($($argument:ident: $type:ty),*);)*) => {$(
        /// HIP's function of that name.
        ///
        /// # Safety
        /// As HIP's.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> Code {
            let functions: &Functions = match runtime() {
                Some(Runtime::Cpu) => &cpu::FUNCTIONS,
                Some(Runtime::Cuda(cuda)) => &cuda.common,
                None => return NO_DEVICE,
            };
            // SAFETY: the caller's promise is the same.
            unsafe { (functions.$field)($($argument),*) }
        }
    )*};
}

exports! {
    hipMalloc = MemAlloc(pointer: *mut u64, bytes: usize);
    hipFree = MemFree(pointer: u64);
    hipHostMalloc = HostAlloc(pointer: *mut *mut c_void, bytes: usize, flags: c_uint);
    hipHostFree = HostFree(pointer: *mut c_void);
    hipHostGetDevicePointer = HostGetDevicePointer(device: *mut u64, host: *mut c_void, flags: c_uint);
    hipMemcpyHtoD = MemcpyHtoD(dst: u64, src: *const c_void, bytes: usize);
    hipMemcpyHtoDAsync = MemcpyHtoDAsync(dst: u64, src: *const c_void, bytes: usize, stream: Object);
    hipMemcpyDtoHAsync = MemcpyDtoHAsync(dst: *mut c_void, src: u64, bytes: usize, stream: Object);
    hipStreamCreateWithPriority = StreamCreateWithPriority(stream: *mut Object, flags: c_uint, priority: c_int);
    hipStreamDestroy = StreamDestroy(stream: Object);
    hipStreamSynchronize = StreamSynchronize(stream: Object);
    hipEventCreateWithFlags = EventCreate(event: *mut Object, flags: c_uint);
    hipEventDestroy = EventDestroy(event: Object);
    hipEventRecord = EventRecord(event: Object, stream: Object);
    hipEventQuery = EventQuery(event: Object);
    hipEventElapsedTime = EventElapsedTime(milliseconds: *mut f32, from: Object, to: Object);
    hipModuleLoadData = ModuleLoadData(module: *mut Object, image: *const c_void);
    hipModuleUnload = ModuleUnload(module: Object);
    hipModuleGetFunction = ModuleGetFunction(function: *mut Object, module: Object, name: *const c_char);
    hipModuleOccupancyMaxActiveBlocksPerMultiprocessor = OccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int, function: Object, threads: c_int, shared_bytes: usize
    );
    hipModuleLaunchKernel = LaunchKernel(
        function: Object,
        grid_x: c_uint, grid_y: c_uint, grid_z: c_uint,
        block_x: c_uint, block_y: c_uint, block_z: c_uint,
        shared_bytes: c_uint, stream: Object, arguments: *mut *mut c_void, extra: *mut *mut c_void
    );
}

macro_rules! device_exports {
    ($($name:ident = $function:ident($($argument:ident: $type:ty),*);)*) => {$(
        /// HIP's function of that name.
        ///
        /// # Safety
        /// As HIP's.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> Code {
            // SAFETY: the caller's promise is the same.
            unsafe {
                match runtime() {
                    Some(Runtime::Cpu) => cpu::$function($($argument),*),
                    Some(Runtime::Cuda(cuda)) => cuda::$function(cuda, $($argument),*),
                    None => NO_DEVICE,
                }
            }
        }
    )*};
}

device_exports! {
    hipGetDeviceCount = count(count: *mut c_int);
    hipSetDevice = set(device: c_int);
    hipDeviceGetName = name(name: *mut c_char, bytes: c_int, device: c_int);
    hipDeviceTotalMem = total(bytes: *mut usize, device: c_int);
    hipDeviceGetAttribute = attribute(value: *mut c_int, attribute: c_uint, device: c_int);
    hipMemGetInfo = memory(free: *mut usize, total: *mut usize);
}

/// HIP's function of that name.
///
/// # Safety
/// `version` can be written.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn hipRuntimeGetVersion(version: *mut c_int) -> Code {
    // SAFETY: the caller's promise.
    unsafe { version.write(VERSION) };
    SUCCESS
}

/// HIP's function of that name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn hipGetErrorName(code: Code) -> *const c_char {
    NAMES.iter().find(|(of, _)| *of == code).map_or(c"hipErrorUnknown", |(_, name)| name).as_ptr()
}

/// HIP's function of that name. The message is the name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn hipGetErrorString(code: Code) -> *const c_char {
    hipGetErrorName(code)
}
