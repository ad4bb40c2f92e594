//! The CUDA driver: NVIDIA's GPUs through the driver API, with NVRTC as the compiler. What it shares with the HIP
//! driver is in [`vectorvisor_driver::gpu`]. `nvrtc`, `sys` and `OPTIONS` are public for `backends/hip/testlib`.

mod context;
mod examine;
pub mod nvrtc;
pub mod sys;
mod units;

use context::{Context, Nvidia};
use cust::sys as cu;
use nvrtc::nvrtc;
use std::env;
use std::ffi::CStr;
use std::sync::Arc;
use sys::cuda;
use vectorvisor_driver::gpu::{GpuDevice, Setup};
use vectorvisor_driver::identity::{library, variables};
use vectorvisor_driver::{Device, DeviceInfo, DeviceKind, Driver, Error, Language, Quirks, Result, Source, UnitCost};

/// The options of every compilation, which are part of a device's identity. WebAssembly rounds every operation, so
/// there is no contraction and no flush to zero.
pub const OPTIONS: [&str; 7] = [
    "--std=c++17",
    "--device-as-default-execution-space",
    "--fmad=false",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--disable-warnings",
];
/// 1/32 of the memory stays free, for the stacks of kernels and for their code.
const RESERVED: u64 = 32;
/// Two tiles: a multiprocessor holds 32 blocks but 64 warps, so with one tile in a block the occupancy is half at most.
const BLOCK_THREADS: u32 = 64;

/// The driver of all CUDA devices. It opens libcuda and NVRTC at its first use.
pub struct CudaDriver;

/// The driver, as the runtime registers it.
pub fn driver() -> Box<dyn Driver> {
    Box::new(CudaDriver)
}

vectorvisor_driver::export_plugin!(CudaDriver);

impl Driver for CudaDriver {
    fn name(&self) -> &'static str {
        "cuda"
    }
    /// In this list `live_shared` is false and `memory` is the device's total: opening a device finds out both.
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        (0..count()?).map(|index| Ok(Facts::new(index, Quirks::default())?.info)).collect()
    }
    fn open(&self, index: usize, quirks: Quirks) -> Result<Arc<dyn Device>> {
        let count = count()?;
        if index >= count {
            return Err(Error::Invalid(format!("there is no CUDA device {index}, only {count} of them, from 0")));
        }
        if quirks.nvidia == Some(false) {
            let text = "kernels for CUDA always use NVIDIA's intrinsics; --backend opencl does without them";
            return Err(Error::Invalid(text.into()));
        }
        Facts::new(index, quirks)?.open()
    }
    fn examine(&self, architecture: &str, source: Source<'_>, each: &mut dyn FnMut(UnitCost)) -> Result<()> {
        let options = match architecture {
            "native" => Facts::new(0, Quirks::default())?.options,
            named => options(false, format!("--gpu-architecture={named}")),
        };
        examine::examine(&nvrtc()?.compiler, source, &options, each)
    }
}

/// The options of a compilation; `target` is the last of them.
fn options(patch: bool, target: String) -> Vec<String> {
    let (whole, more) = (env::var_os("VECTORVISOR_CUDA_WHOLE").is_some(), env::var("VECTORVISOR_NVRTC_OPTIONS"));
    let defines = [(patch, "-DVV_PATCH=1"), (whole, context::WHOLE)].into_iter().filter(|(on, _)| *on);
    let options = OPTIONS.into_iter().chain(defines.map(|(_, define)| define));
    let options = options.chain(more.iter().flat_map(|more| more.split_whitespace())).map(str::to_owned);
    options.chain([target]).collect()
}

/// How many devices there are; an error if there is no compiler for them.
fn count() -> Result<usize> {
    let (cuda, mut count) = (cuda()?, 0);
    nvrtc()?;
    // SAFETY: a local to fill.
    cuda.check("cuDeviceGetCount", unsafe { (cuda.own.cuDeviceGetCount)(&mut count) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// What is known about a device before it is open.
struct Facts {
    device: cu::CUdevice,
    info: DeviceInfo,
    options: Vec<String>,
    multiprocessors: u32,
    max_lanes: u32,
}

impl Facts {
    fn new(index: usize, quirks: Quirks) -> Result<Self> {
        use cu::CUdevice_attribute_enum::*;
        let (cuda, nvrtc) = (cuda()?, nvrtc()?);
        let (mut device, mut version, mut memory, mut name) = (0, 0, 0, [0u8; 256]);
        let ordinal = i32::try_from(index).unwrap_or(i32::MAX);
        // SAFETY: locals to fill; the device is the one that CUDA gave us.
        unsafe {
            let cu = &cuda.own;
            cuda.check("cuDeviceGet", (cu.cuDeviceGet)(&mut device, ordinal))?;
            cuda.check("cuDriverGetVersion", (cu.cuDriverGetVersion)(&mut version))?;
            cuda.check("cuDeviceTotalMem", (cu.cuDeviceTotalMem_v2)(&mut memory, device))?;
            let bytes = name.len() as i32 - 1;
            cuda.check("cuDeviceGetName", (cu.cuDeviceGetName)(name.as_mut_ptr().cast(), bytes, device))?;
        }
        let attribute = |attribute| {
            let mut value = 0;
            // SAFETY: as above.
            let code = unsafe { (cuda.own.cuDeviceGetAttribute)(&mut value, attribute, device) };
            cuda.check("cuDeviceGetAttribute", code).map(|()| u32::try_from(value).unwrap_or(0))
        };
        let multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let warp = attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE)?.max(1);
        let threads = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?;
        let major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let capability = major * 10 + attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;

        let patch = quirks.patch.unwrap_or(false);
        let options = options(patch, nvrtc.target(capability as i32)?);
        let name = CStr::from_bytes_until_nul(&name).map_or("NVIDIA GPU".into(), CStr::to_string_lossy).into_owned();
        let (major, minor) = nvrtc.compiler.version;
        let identity = format!(
            "cuda {name} sm_{capability} driver {version} ({}) nvrtc {major}.{minor} ({}) {}{}",
            library(cuda.own.cuDriverGetVersion as *const () as usize),
            nvrtc.compiler.library(),
            options.join(" "),
            variables(nvrtc::VARIABLES)
        );
        let memory = memory as u64;
        let info = DeviceInfo {
            index,
            name,
            identity,
            kind: DeviceKind::Gpu,
            language: Language::Cuda,
            memory,
            max_alloc: memory,
            lane_width: warp,
            parallel_tiles: (multiprocessors * (threads / warp)).max(1),
            thread_exit: true,
            timer: true,
            live_shared: false,
            zeroed: false,
            nvidia: true,
            patch,
            // What becomes of PTX the driver's compiler decides, and only machine code says how large stacks are.
            recursion: options.last().is_some_and(|target| target.contains("=sm_")),
        };
        Ok(Self {
            device,
            info,
            options,
            multiprocessors,
            max_lanes: attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
        })
    }
    fn open(self) -> Result<Arc<dyn Device>> {
        let Self { device, mut info, options, multiprocessors, max_lanes } = self;
        let context = Context::open(cuda()?, device)?;
        info.memory = context.free_memory()?.saturating_sub(info.memory / RESERVED).max(1);
        info.max_alloc = info.memory;
        let vendor = Arc::new(Nvidia::new(context, &nvrtc()?.compiler, options)?);
        // PTX, which NVIDIA's driver compiles in a millisecond.
        let probe = include_bytes!("probe.ptx").to_vec();
        let magic = b"vectorvisor CUDA\n";
        Ok(Arc::new(GpuDevice::new(Setup {
            vendor,
            info,
            magic,
            max_lanes,
            block_threads: BLOCK_THREADS,
            multiprocessors,
            probe,
        })?))
    }
}
