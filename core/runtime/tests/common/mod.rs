//! A device that is the cpu's but says of itself what a test wants, and fails when a test wants.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use vectorvisor::driver::{
    BufferId, Device, DeviceInfo, Driver, Error, EventId, KernelId, ModuleId, PinnedId, QueueId, Quirks, Result, Source,
};
use vectorvisor::{Drivers, Engine};

/// What goes wrong on a device.
pub struct Faults {
    /// Launches until one fails; negative: none does.
    pub launches: AtomicI64,
    /// Programs that are compiled until one fails, likewise.
    pub compiles: AtomicI64,
    /// Allocations of device memory until one fails, likewise.
    pub allocations: AtomicI64,
    /// How many allocations of device memory there were.
    pub allocated: AtomicU64,
    /// The largest allocation of device memory that does not fail.
    pub largest: AtomicU64,
    /// Microseconds that a launch takes longer for each of its VMs.
    pub slow: AtomicU64,
    /// The VMs of a warp take each other's time, as on a GPU where they go different ways.
    pub in_step: AtomicBool,
    /// How long each launch says it took in the kernel, if not the truth.
    pub kernel: Mutex<Option<Box<dyn FnMut() -> u64 + Send>>>,
    /// Launches of all kernels; the other events are transfers'.
    pub launched: Mutex<Vec<EventId>>,
}

/// Whether this is the one to fail.
fn due(left: &AtomicI64) -> bool {
    left.load(Ordering::SeqCst) >= 0 && left.fetch_sub(1, Ordering::SeqCst) == 0
}

/// An engine on the cpu whose device was changed by `change`, and its faults, at first none.
pub fn engine(change: impl Fn(&mut DeviceInfo) + Send + Sync + 'static) -> (Engine, Arc<Faults>) {
    let never = || AtomicI64::new(-1);
    let faults = Arc::new(Faults {
        launches: never(),
        compiles: never(),
        allocations: never(),
        allocated: AtomicU64::new(0),
        largest: AtomicU64::new(u64::MAX),
        slow: AtomicU64::new(0),
        in_step: AtomicBool::new(false),
        kernel: Mutex::default(),
        launched: Mutex::default(),
    });
    let driver = Changed { inner: vectorvisor_cpu::driver(), change: Arc::new(change), faults: faults.clone() };
    let spec = "cpu".parse().expect("cpu names a backend");
    let engine = Engine::open(&Drivers(vec![Box::new(driver)]), &spec, Quirks::default()).expect("the cpu opens");
    (engine, faults)
}

#[allow(dead_code, reason = "not every test autotunes")]
impl Faults {
    /// Makes each launch report this kernel time, in nanoseconds.
    pub fn launches_take(&self, nanoseconds: impl FnMut() -> u64 + Send + 'static) {
        *self.kernel.lock().expect("unlocked") = Some(Box::new(nanoseconds));
    }

    /// Makes each launch report half the kernel time of the one before, so that the last candidate of autotuning wins.
    pub fn ever_faster(&self) {
        let mut nanoseconds = 1 << 60;
        self.launches_take(move || {
            nanoseconds /= 2;
            nanoseconds
        });
    }
}

type Change = Arc<dyn Fn(&mut DeviceInfo) + Send + Sync>;

struct Changed {
    inner: Box<dyn Driver>,
    change: Change,
    faults: Arc<Faults>,
}

impl Driver for Changed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        let mut devices = self.inner.devices()?;
        devices.iter_mut().for_each(|info| (self.change)(info));
        Ok(devices)
    }
    fn open(&self, index: usize, quirks: Quirks) -> Result<Arc<dyn Device>> {
        let inner = self.inner.open(index, quirks)?;
        let mut info = inner.info().clone();
        (self.change)(&mut info);
        Ok(Arc::new(ChangedDevice { inner, info, faults: self.faults.clone() }))
    }
}

/// Lets the time of a warp's VMs begin with its first, in the text of a program: all units but the last have no kernels.
fn in_step(header: &mut String, unit: &str) -> String {
    let changes = [
        ("#define VV_USED(vm) vv_clock(CLOCK_THREAD_CPUTIME_ID)\n", ""),
        ("#define VV_HALT 0u", "static __thread u64 warp_begun;\n#define VV_HALT 0u"),
        ("vm->begun = VV_USED(vm);", "vm->begun = warp_begun;"),
        ("vm->deadline = vm->looked + VV_TICKS_IN(vm->left);", "vm->deadline = warp_begun + vm->left;"),
        ("if (lane >= width) return;", "if (lane >= width) return; if (!lane) warp_begun = vv_timer();"),
    ];
    let mut unit = unit.to_owned();
    for (from, to) in changes {
        *header = header.replace(from, to);
        unit = unit.replace(from, to);
        let changed = to.is_empty() || header.contains(to) || unit.contains(to);
        assert!(changed, "the prelude has no {from}");
    }
    unit
}

struct ChangedDevice {
    inner: Arc<dyn Device>,
    info: DeviceInfo,
    faults: Arc<Faults>,
}

impl Device for ChangedDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }
    fn compile(&self, source: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        if due(&self.faults.compiles) {
            return Err(Error::Compile { log: "the compiler is broken".into() });
        }
        if !self.faults.in_step.load(Ordering::SeqCst) {
            return self.inner.compile(source, progress);
        }
        let mut header = source.header.to_owned();
        let units: Vec<String> = source.units.iter().map(|unit| in_step(&mut header, unit)).collect();
        self.inner.compile(Source { header: &header, units: &units, ..source }, progress)
    }
    unsafe fn load(&self, binary: &[u8]) -> Result<ModuleId> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.inner.load(binary) }
    }
    fn unload(&self, module: ModuleId) {
        self.inner.unload(module);
    }
    fn kernel(&self, module: ModuleId, name: &str) -> Result<KernelId> {
        self.inner.kernel(module, name)
    }
    fn alloc(&self, bytes: u64) -> Result<BufferId> {
        self.faults.allocated.fetch_add(1, Ordering::SeqCst);
        let most = self.info.max_alloc.min(self.faults.largest.load(Ordering::SeqCst));
        if bytes > most || due(&self.faults.allocations) {
            return Err(Error::OutOfMemory { wanted: bytes, what: "one allocation" });
        }
        self.inner.alloc(bytes)
    }
    fn free(&self, buffer: BufferId) {
        self.inner.free(buffer);
    }
    fn alloc_pinned(&self, bytes: usize) -> Result<(PinnedId, *mut u8)> {
        if bytes as u64 > self.info.max_alloc {
            return Err(Error::OutOfMemory { wanted: bytes as u64, what: "page-locked memory" });
        }
        self.inner.alloc_pinned(bytes)
    }
    fn free_pinned(&self, pinned: PinnedId) {
        self.inner.free_pinned(pinned);
    }
    fn alloc_shared(&self, bytes: usize) -> Result<(BufferId, *mut u8)> {
        self.inner.alloc_shared(bytes)
    }
    fn alloc_mapped(&self, bytes: usize) -> Result<Option<(BufferId, *mut u8)>> {
        self.inner.alloc_mapped(bytes)
    }
    fn queue(&self, urgent: bool) -> Result<QueueId> {
        self.inner.queue(urgent)
    }
    fn free_queue(&self, queue: QueueId) {
        self.inner.free_queue(queue);
    }
    unsafe fn write(
        &self,
        queue: QueueId,
        dst: BufferId,
        offset: u64,
        src: *const u8,
        bytes: usize,
    ) -> Result<EventId> {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.inner.write(queue, dst, offset, src, bytes) }
    }
    unsafe fn read(&self, queue: QueueId, src: BufferId, offset: u64, dst: *mut u8, bytes: usize) -> Result<EventId> {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.inner.read(queue, src, offset, dst, bytes) }
    }
    fn launch(
        &self,
        queue: QueueId,
        kernel: KernelId,
        args: &[Option<BufferId>],
        tiles: u32,
        lanes: u32,
    ) -> Result<EventId> {
        if due(&self.faults.launches) {
            return Err(Error::Device("the device fell off the bus".into()));
        }
        let slow = self.faults.slow.load(Ordering::SeqCst) * u64::from(tiles * lanes);
        std::thread::sleep(std::time::Duration::from_micros(slow));
        let event = self.inner.launch(queue, kernel, args, tiles, lanes)?;
        self.faults.launched.lock().expect("unlocked").push(event);
        Ok(event)
    }
    fn finish(&self, queue: QueueId) -> Result<()> {
        self.inner.finish(queue)
    }
    fn reached(&self, event: EventId) -> Result<bool> {
        self.inner.reached(event)
    }
    fn wait(&self, event: EventId) -> Result<()> {
        self.inner.wait(event)
    }
    fn times(&self, event: EventId) -> Result<(u64, u64)> {
        let mut kernel = self.faults.kernel.lock().expect("no test panics in it");
        let launch = self.faults.launched.lock().expect("unlocked").contains(&event);
        let pretend = kernel.as_mut().filter(|_| launch).map(|kernel| kernel());
        pretend.map_or_else(|| self.inner.times(event), |kernel| Ok((0, kernel)))
    }
    fn free_event(&self, event: EventId) {
        self.inner.free_event(event);
    }
}
