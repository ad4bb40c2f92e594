//! One device with its compiler.

use crate::hiprtc::{architecture, hiprtc};
use crate::sys::{Hip, is_sticky};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};
use vectorvisor_driver::gpu::compiler::Compiler;
use vectorvisor_driver::gpu::{Code, Fault, Functions, Vendor};
use vectorvisor_driver::{Error, Result, Source};

/// The options of every compilation, which are part of a device's identity. WebAssembly rounds every operation, so
/// there is no contraction; and its memory holds values of all types, so there is no strict aliasing.
pub const OPTIONS: [&str; 5] = ["-O2", "-std=c++17", "-ffp-contract=off", "-fno-strict-aliasing", "-w"];

/// A device with its compiler.
pub struct Amd {
    hip: &'static Hip,
    device: c_int,
    pub compiler: &'static Compiler,
    pub options: Vec<String>,
    fault: Fault,
}

impl Amd {
    /// The device, and the probe's binary for it. The binary names the architecture, which no attribute of a device
    /// does.
    pub fn new(hip: &'static Hip, device: c_int, options: Vec<String>, name: &str) -> Result<(Self, Vec<u8>)> {
        let mut amd = Self { hip, device, compiler: hiprtc()?, options, fault: Fault::default() };
        let probe = amd.probe(name)?;
        if let Some(architecture) = architecture(&probe)
            && !amd.options.iter().any(|option| option.starts_with("--offload-arch"))
        {
            amd.options.push(format!("--offload-arch={architecture}"));
        }
        Ok((amd, probe))
    }
    /// The probe's binary, compiled once for each device although listing and opening both need it; quirks do not
    /// change it.
    fn probe(&self, name: &str) -> Result<Vec<u8>> {
        static PROBES: Mutex<BTreeMap<c_int, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = probes.get(&self.device) {
            return Ok(probe.clone());
        }
        let probe = self.binary(include_str!("probe.hip").into()).map_err(|error| match error {
            Error::Compile { log } => Error::Unavailable {
                what: format!("hipRTC {:?} does not compile for {name} ({})", self.compiler.version, log.trim()),
                advice: "update ROCm, or name a target that it knows in VECTORVISOR_HIPRTC_OPTIONS \
                         (--offload-arch=gfx...), or use --backend opencl"
                    .into(),
            },
            other => other,
        })?;
        probes.insert(self.device, probe.clone());
        Ok(probe)
    }
    fn binary(&self, text: String) -> Result<Vec<u8>> {
        let binaries = self.compiler.compile(&[text], &self.options, &|| self.enter(), &mut |_, _| ())?;
        Ok(binaries.concat())
    }
    /// Free bytes of the device's memory.
    pub fn free_memory(&self) -> Result<u64> {
        let (mut free, mut total) = (0, 0);
        self.enter()?;
        // SAFETY: two locals to fill.
        self.check("hipMemGetInfo", unsafe { (self.hip.own.hipMemGetInfo)(&mut free, &mut total) })?;
        Ok(free as u64)
    }
}

impl Vendor for Amd {
    fn functions(&self) -> &Functions {
        &self.hip.common
    }
    fn enter(&self) -> Result<()> {
        self.fault.refuse()?;
        // SAFETY: no pointers.
        self.check("hipSetDevice", unsafe { (self.hip.own.hipSetDevice)(self.device) })
    }
    fn check(&self, what: &str, code: Code) -> Result<()> {
        if is_sticky(code) {
            self.fault.note(self.hip.text(what, code));
        }
        self.hip.check(what, code)
    }
    /// Compiles all units as one text: hipRTC links bitcode, so units would be compiled twice.
    fn compile(&self, source: Source<'_>, _: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        self.binary([source.header, "\n", &source.units.concat()].concat())
    }
}
