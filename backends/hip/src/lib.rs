//! The HIP driver: AMD's GPUs, with hipRTC as the compiler. What it shares with the CUDA driver is in
//! [`vectorvisor_driver::gpu`].

mod amd;
mod hiprtc;
mod sys;

use amd::{Amd, OPTIONS};
use hip_sys::hiprt::hipDeviceAttribute_t as attribute;
use hiprtc::rounds_roots;
use std::env;
use std::ffi::{CStr, c_int};
use std::sync::Arc;
use sys::hip;
use vectorvisor_driver::gpu::{GpuDevice, Setup};
use vectorvisor_driver::identity::{library, variables};
use vectorvisor_driver::{Device, DeviceInfo, DeviceKind, Driver, Error, Language, Quirks, Result};

/// 1/32 of the memory stays free, for the stacks of kernels and for their code.
const RESERVED: u64 = 32;

/// The driver of all HIP devices. It opens libamdhip64 and hipRTC at its first use.
pub struct HipDriver;

/// The driver, as the runtime registers it.
pub fn driver() -> Box<dyn Driver> {
    Box::new(HipDriver)
}

vectorvisor_driver::export_plugin!(HipDriver);

impl Driver for HipDriver {
    fn name(&self) -> &'static str {
        "hip"
    }
    /// In this list `live_shared` is false and `memory` is the device's total: opening a device finds out both.
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        (0..hip()?.count()?).map(|index| Ok(Facts::new(index, Quirks::default())?.info)).collect()
    }
    fn open(&self, index: usize, quirks: Quirks) -> Result<Arc<dyn Device>> {
        let count = hip()?.count()?;
        if index >= count {
            return Err(Error::Invalid(format!("there is no HIP device {index}, only {count} of them, from 0")));
        }
        if quirks.nvidia == Some(true) {
            return Err(Error::Invalid("kernels for HIP have no NVIDIA intrinsics; use --backend cuda".into()));
        }
        Facts::new(index, quirks)?.open()
    }
}

/// What is known about a device before it is open.
struct Facts {
    vendor: Amd,
    info: DeviceInfo,
    multiprocessors: u32,
    max_lanes: u32,
    probe: Vec<u8>,
}

impl Facts {
    fn new(index: usize, quirks: Quirks) -> Result<Self> {
        let hip = hip()?;
        let device = c_int::try_from(index).unwrap_or(c_int::MAX);
        let (mut memory, mut name) = (0, [0u8; 256]);
        // SAFETY: locals to fill; the device is one of those that HIP counts.
        unsafe {
            let bytes = name.len() as c_int - 1;
            hip.check("hipDeviceGetName", (hip.own.hipDeviceGetName)(name.as_mut_ptr().cast(), bytes, device))?;
            hip.check("hipDeviceTotalMem", (hip.own.hipDeviceTotalMem)(&mut memory, device))?;
        }
        let ask = |attribute| {
            let mut value = 0;
            // SAFETY: as above.
            let code = unsafe { (hip.own.hipDeviceGetAttribute)(&mut value, attribute, device) };
            hip.check("hipDeviceGetAttribute", code).map(|()| u32::try_from(value).unwrap_or(0))
        };
        let multiprocessors = ask(attribute::hipDeviceAttributeMultiprocessorCount)?;
        let wave = ask(attribute::hipDeviceAttributeWarpSize)?.max(1);
        let threads = ask(attribute::hipDeviceAttributeMaxThreadsPerMultiProcessor)?;
        let (major, minor) = (
            ask(attribute::hipDeviceAttributeComputeCapabilityMajor)?,
            ask(attribute::hipDeviceAttributeComputeCapabilityMinor)?,
        );

        let name = CStr::from_bytes_until_nul(&name).map_or("".into(), CStr::to_string_lossy);
        let name = if name.is_empty() { "AMD GPU".into() } else { name.into_owned() };
        let version = hip.version()?;
        let more = env::var("VECTORVISOR_HIPRTC_OPTIONS").unwrap_or_default();
        let options = OPTIONS.into_iter().chain(more.split_whitespace());
        let (mut vendor, probe) = Amd::new(hip, device, options.map(str::to_owned).collect(), &name)?;
        let patch = quirks.patch.unwrap_or(!rounds_roots(&probe));
        vendor.options.extend(patch.then(|| "-DVV_PATCH=1".into()));
        let identity = format!(
            "hip {name} {major}.{minor} runtime {version:?} ({}) compiler {:?} ({}) {}{}",
            library(hip.own.hipRuntimeGetVersion as *const () as usize),
            vendor.compiler.version,
            vendor.compiler.library(),
            vendor.options.join(" "),
            variables(hiprtc::VARIABLES)
        );
        let memory = memory as u64;
        let info = DeviceInfo {
            index,
            name,
            identity,
            kind: DeviceKind::Gpu,
            language: Language::Hip,
            memory,
            max_alloc: memory,
            lane_width: wave,
            parallel_tiles: (multiprocessors * (threads / wave)).max(1),
            // Threads of a wave end together.
            thread_exit: false,
            // Each generation reads its clock by other instructions, so the host keeps the guests' clock.
            timer: false,
            live_shared: false,
            zeroed: false,
            nvidia: false,
            patch,
            recursion: false,
        };
        Ok(Self {
            vendor,
            info,
            multiprocessors,
            max_lanes: ask(attribute::hipDeviceAttributeMaxThreadsPerBlock)?,
            probe,
        })
    }
    fn open(self) -> Result<Arc<dyn Device>> {
        let Self { vendor, mut info, multiprocessors, max_lanes, probe } = self;
        info.memory = vendor.free_memory()?.saturating_sub(info.memory / RESERVED).max(1);
        info.max_alloc = info.memory;
        // A compute unit holds as many blocks as waves, so a block is one tile.
        let (magic, block_threads) = (b"vectorvisor HIP\n", 1);
        Ok(Arc::new(GpuDevice::new(Setup {
            vendor: Arc::new(vendor),
            info,
            magic,
            max_lanes,
            block_threads,
            multiprocessors,
            probe,
        })?))
    }
}
