//! The context of a device: one for all that open it, current on a thread during each call, renewed after a fault.

use crate::sys::{self, Cuda};
use cust::sys as cu;
use std::collections::BTreeMap;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use vectorvisor_driver::gpu::{Code, Functions, Vendor, compiler::Compiler};
use vectorvisor_driver::{Error, Result};

/// The primary context of a device.
pub struct Context {
    cuda: &'static Cuda,
    device: cu::CUdevice,
    raw: cu::CUcontext,
    /// The fault that ended it.
    lost: OnceLock<String>,
}

// SAFETY: contexts may be current on any number of threads, and libcuda has its own locks.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// The contexts that are open, and the devices whose context was lost and not yet reset.
static OPEN: Mutex<BTreeMap<cu::CUdevice, Weak<Context>>> = Mutex::new(BTreeMap::new());
static LOST: Mutex<Vec<cu::CUdevice>> = Mutex::new(Vec::new());

impl Context {
    /// The context of a device, which all who open it share, or a new one if a fault ended that.
    pub fn open(cuda: &'static Cuda, device: cu::CUdevice) -> Result<Arc<Self>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = open.get(&device).and_then(Weak::upgrade).filter(|context| context.lost.get().is_none())
        {
            return Ok(context);
        }
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.contains(&device) {
            // SAFETY: what was open of it is lost, and nobody calls CUDA with it any more.
            cuda.check("cuDevicePrimaryCtxReset", unsafe { (cuda.own.cuDevicePrimaryCtxReset_v2)(device) })?;
            lost.retain(|lost| *lost != device);
        }
        let mut raw = null_mut();
        // SAFETY: a local to fill.
        cuda.check("cuDevicePrimaryCtxRetain", unsafe { (cuda.own.cuDevicePrimaryCtxRetain)(&mut raw, device) })?;
        let context = Arc::new(Self { cuda, device, raw, lost: OnceLock::new() });
        open.insert(device, Arc::downgrade(&context));
        Ok(context)
    }
    fn enter(&self) -> Result<()> {
        if let Some(fault) = self.lost.get() {
            return Err(Error::Device(format!("the device must be opened again, because earlier {fault}")));
        }
        // SAFETY: the context lives until it is dropped.
        self.check("cuCtxSetCurrent", unsafe { (self.cuda.own.cuCtxSetCurrent)(self.raw) })
    }
    fn check(&self, what: &str, code: Code) -> Result<()> {
        let checked = self.cuda.check(what, code);
        if sys::is_sticky(code) && self.lost.set(self.cuda.text(what, code)).is_ok() {
            LOST.lock().unwrap_or_else(PoisonError::into_inner).push(self.device);
        }
        checked
    }
    /// Bytes of the device that nobody uses.
    pub fn free_memory(&self) -> Result<u64> {
        let (mut free, mut total) = (0, 0);
        self.enter()?;
        // SAFETY: two locals to fill.
        self.check("cuMemGetInfo", unsafe { (self.cuda.own.cuMemGetInfo_v2)(&mut free, &mut total) })?;
        Ok(free as u64)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A lost context was or will be reset, and the one that is retained now may be its successor.
        if self.lost.get().is_none() {
            // SAFETY: retained once by `open`.
            unsafe { (self.cuda.own.cuDevicePrimaryCtxRelease_v2)(self.device) };
        }
    }
}

/// A device with its compiler.
pub struct Nvidia {
    pub context: Arc<Context>,
    pub compiler: &'static Compiler,
    pub options: Vec<String>,
}

impl Vendor for Nvidia {
    fn functions(&self) -> &Functions {
        &self.context.cuda.shared
    }
    fn enter(&self) -> Result<()> {
        self.context.enter()
    }
    fn check(&self, what: &str, code: Code) -> Result<()> {
        self.context.check(what, code)
    }
    fn compile(&self, text: &str) -> Result<Vec<u8>> {
        self.compiler.compile(text, &self.options)
    }
}
