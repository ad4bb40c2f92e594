//! A device's primary context: shared by everything that opens the device, made current for each call, replaced after a
//! fault.

use crate::sys::{CODES, Cuda};
use crate::units;
use cust::sys as cu;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::ptr::{self, null_mut};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use vectorvisor_driver::gpu::{Code, Fault, Functions, SUCCESS, Vendor, compiler::Compiler};
use vectorvisor_driver::{Error, Result, Source};

/// The primary context of a device.
pub struct Context {
    cuda: &'static Cuda,
    device: cu::CUdevice,
    raw: cu::CUcontext,
    /// The fault that made it unusable.
    fault: Fault,
}

// SAFETY: contexts may be current on any number of threads, and libcuda has its own locks.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// The open contexts.
static OPEN: Mutex<BTreeMap<cu::CUdevice, Weak<Context>>> = Mutex::new(BTreeMap::new());
/// The faults of contexts that were not reset since.
static LOST: Mutex<BTreeMap<cu::CUdevice, String>> = Mutex::new(BTreeMap::new());

impl Context {
    /// The shared context of a device, or a new one after a fault.
    pub fn open(cuda: &'static Cuda, device: cu::CUdevice) -> Result<Arc<Self>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = open.get(&device).and_then(Weak::upgrade).filter(|context| !context.fault.happened()) {
            return Ok(context);
        }
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raw = null_mut();
        if let Some(fault) = lost.get(&device) {
            // After an illegal access driver 580 refuses all further work of the process, also in other contexts and
            // after a reset; after other faults, or with other drivers, the reset may help.
            // SAFETY: the old context is unusable, and `Fault::refuse` keeps everything from calling CUDA with it; a
            // local to fill.
            let code = unsafe {
                (cuda.own.cuDevicePrimaryCtxReset_v2)(device);
                (cuda.own.cuDevicePrimaryCtxRetain)(&mut raw, device)
            };
            if code != SUCCESS {
                let advice = "only a new process can use CUDA after that: start the program again";
                return Err(Error::Device(format!("{fault}; {advice}")));
            }
            lost.remove(&device);
        } else {
            // SAFETY: a local to fill.
            cuda.check("cuDevicePrimaryCtxRetain", unsafe { (cuda.own.cuDevicePrimaryCtxRetain)(&mut raw, device) })?;
        }
        let context = Arc::new(Self { cuda, device, raw, fault: Fault::default() });
        open.insert(device, Arc::downgrade(&context));
        Ok(context)
    }
    fn enter(&self) -> Result<()> {
        self.fault.refuse()?;
        // SAFETY: the context lives until it is dropped.
        self.check("cuCtxSetCurrent", unsafe { (self.cuda.own.cuCtxSetCurrent)(self.raw) })
    }
    fn check(&self, what: &str, code: Code) -> Result<()> {
        if CODES.is_sticky(code) {
            let fault = self.cuda.text(what, code);
            if self.fault.note(fault.clone()) {
                LOST.lock().unwrap_or_else(PoisonError::into_inner).insert(self.device, fault);
            }
        }
        self.cuda.check(what, code)
    }
    /// Links several binaries, cubins or PTX, into one.
    fn link(&self, binaries: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>> {
        use cu::{CUjit_option_enum::*, CUjitInputType_enum::*};
        let (mut link, mut output, mut bytes, mut log) = (null_mut(), null_mut(), 0, [0u8; 4096]);
        let mut names = [CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), ptr::without_provenance_mut(log.len() - 1)];
        let cu = &self.cuda.own;
        self.enter()?;
        // SAFETY: locals to fill; the log and each binary outlive the link; the output is copied before the link is
        // destroyed.
        let (code, output) = unsafe {
            self.check("cuLinkCreate", (cu.cuLinkCreate_v2)(2, names.as_mut_ptr(), values.as_mut_ptr(), &mut link))?;
            let (mut code, mut kept) = (SUCCESS, Vec::new());
            for mut binary in binaries {
                let kind = if binary.starts_with(b"\x7fELF") { CU_JIT_INPUT_CUBIN } else { CU_JIT_INPUT_PTX };
                let (data, none, name) = (binary.as_mut_ptr().cast(), null_mut(), c"unit".as_ptr());
                if code == SUCCESS {
                    code = (cu.cuLinkAddData_v2)(link, kind, data, binary.len(), name, 0, none, null_mut());
                }
                kept.push(binary);
            }
            if code == SUCCESS {
                code = (cu.cuLinkComplete)(link, &mut output, &mut bytes);
            }
            let result = match code {
                SUCCESS => std::slice::from_raw_parts(output.cast::<u8>(), bytes).to_vec(),
                _ => Vec::new(),
            };
            (cu.cuLinkDestroy)(link);
            (code, result)
        };
        let log = String::from_utf8_lossy(CStr::from_bytes_until_nul(&log).map_or(&[], CStr::to_bytes)).into_owned();
        // By `cuda.check`: a link error never makes the context unusable, whatever its code.
        match self.cuda.check("linking units", code) {
            Ok(()) => Ok(output),
            Err(Error::Device(text)) => Err(Error::Compile { log: format!("error: {text}\n{log}") }),
            Err(error) => Err(error),
        }
    }
    /// Free bytes of the device's memory.
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
        // After a fault the context was or will be reset, and this would release its successor.
        if !self.fault.happened() {
            // SAFETY: retained once by `open`.
            unsafe { (self.cuda.own.cuDevicePrimaryCtxRelease_v2)(self.device) };
        }
    }
}

/// The most units that are compiled as one text (9 s as one, 5 s by units).
const FEW: usize = 2;
/// The option that makes all units be compiled as one text.
pub const WHOLE: &str = "-DVV_WHOLE=1";
/// The option of a unit that is linked with others.
const SEPARATE: &str = "-DVV_UNITS=1";

/// The texts to compile, and the options: each of many units by itself, to be linked then; few units as one text.
pub fn texts(source: Source<'_>, options: &[String]) -> (Vec<String>, Vec<String>) {
    let mut options = options.to_vec();
    // The user's own limit counts (VECTORVISOR_NVRTC_OPTIONS).
    let limited = options.iter().any(|option| option.trim_start_matches('-').starts_with("maxrregcount"));
    if source.registers > 0 && !limited {
        options.push(format!("--maxrregcount={}", source.registers));
    }
    // Of what recurses only this driver knows how much stack it takes, and only between units.
    let whole = source.units.len() <= FEW || options.iter().any(|option| option == WHOLE);
    if whole && !recurses(source) {
        return (vec![[source.header, "\n", &source.units.concat()].concat()], options);
    }
    let separate = ["--relocatable-device-code=true", SEPARATE].map(str::to_owned);
    let texts = source.units.iter().map(|unit| [source.header, "\n", unit].concat()).collect();
    options.extend(separate);
    (texts, options)
}

/// Whether functions recurse.
fn recurses(source: Source<'_>) -> bool {
    source.header.contains("#define VV_RECURSES 1\n")
}

/// Device memory in the order of a stream of its own: `cuMemFree` waits until all kernels that run have ended, and
/// launches of other VMs would stand still.
struct Pool {
    context: Arc<Context>,
    raw: cu::CUmemoryPool,
    stream: cu::CUstream,
}

// SAFETY: pools and streams may be used from any thread.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// `None` on a device without pools of memory.
    fn new(context: &Arc<Context>) -> Result<Option<Self>> {
        use cu::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
        use cu::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        const NON_BLOCKING: u32 = 1;
        let (own, device) = (&context.cuda.own, context.device);
        let (mut pools, mut pool, mut raw, mut keep) = (0, null_mut(), null_mut(), u64::MAX);
        context.enter()?;
        // SAFETY: locals to fill, and a value of the attribute's type.
        unsafe {
            let ask = (own.cuDeviceGetAttribute)(&mut pools, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, device);
            context.check("cuDeviceGetAttribute", ask)?;
            if pools == 0 {
                return Ok(None);
            }
            context.check("cuDeviceGetDefaultMemPool", (own.cuDeviceGetDefaultMemPool)(&mut pool, device))?;
            let keep = (&raw mut keep).cast::<c_void>();
            let set = (own.cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, keep);
            context.check("cuMemPoolSetAttribute", set)?;
            let made = (context.cuda.common.StreamCreateWithPriority)(&mut raw, NON_BLOCKING, 0);
            context.check("making a queue", made)?;
        }
        Ok(Some(Self { context: context.clone(), raw: pool, stream: raw.cast() }))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Gives back what was freed: others may keep the context open, and ask how much memory is free.
        if self.context.enter().is_ok() {
            let (own, common) = (&self.context.cuda.own, &self.context.cuda.common);
            // SAFETY: ours.
            unsafe {
                (common.StreamSynchronize)(self.stream.cast());
                (own.cuMemPoolTrimTo)(self.raw, 0);
                (common.StreamDestroy)(self.stream.cast());
            }
        }
    }
}

/// A device with its compiler.
pub struct Nvidia {
    pub context: Arc<Context>,
    pub compiler: &'static Compiler,
    pub options: Vec<String>,
    pool: Option<Pool>,
}

impl Nvidia {
    pub fn new(context: Arc<Context>, compiler: &'static Compiler, options: Vec<String>) -> Result<Self> {
        let pool = Pool::new(&context)?;
        Ok(Self { context, compiler, options, pool })
    }
}

impl Vendor for Nvidia {
    fn functions(&self) -> &Functions {
        &self.context.cuda.common
    }
    fn enter(&self) -> Result<()> {
        self.context.enter()
    }
    fn check(&self, what: &str, code: Code) -> Result<()> {
        self.context.check(what, code)
    }
    fn alloc_memory(&self, address: &mut u64, bytes: usize) -> Code {
        let (own, common) = (&self.context.cuda.own, &self.context.cuda.common);
        // SAFETY: the caller's local to fill; the stream lives. Other streams may use the memory after the wait.
        unsafe {
            match &self.pool {
                Some(pool) => match (own.cuMemAllocAsync)(address, bytes, pool.stream) {
                    SUCCESS => (common.StreamSynchronize)(pool.stream.cast()),
                    code => code,
                },
                None => (common.MemAlloc)(address, bytes),
            }
        }
    }
    fn free_memory(&self, address: u64) -> Code {
        // SAFETY: allocated by the function above, by the same of two ways.
        unsafe {
            match &self.pool {
                Some(pool) => (self.context.cuda.own.cuMemFreeAsync)(address, pool.stream),
                None => (self.context.cuda.common.MemFree)(address),
            }
        }
    }
    /// Many units are compiled on all processors at once, then linked: a guest of 70 KB takes 6 s on 16 processors, and
    /// 95 s as a whole. Without inlining across units, kernels that call much lose a fifth of their speed, so few units
    /// are compiled as one text.
    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        let (texts, options) = texts(source, &self.options);
        let mut binaries = self.compiler.compile(&texts, &options, &|| Ok(()), progress)?;
        let separate = options.iter().any(|option| option == SEPARATE);
        match binaries.pop() {
            Some(whole) if !separate => Ok(whole),
            last => {
                binaries.extend(last);
                units::prepare(&mut binaries)?;
                self.context.link(binaries.into_iter())
            }
        }
    }
}
