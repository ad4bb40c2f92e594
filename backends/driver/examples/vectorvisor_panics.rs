//! A plugin for the tests: a driver that panics wherever it can.

use std::sync::Arc;
use vectorvisor_driver::{
    BufferId, Device, DeviceInfo, DeviceKind, Driver, EventId, KernelId, Language, ModuleId, PinnedId, QueueId, Quirks,
    Result, Source,
};

struct Panics;

vectorvisor_driver::export_plugin!(Panics);

impl Driver for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        panic!("no devices today")
    }
    fn open(&self, index: usize, _: Quirks) -> Result<Arc<dyn Device>> {
        // Formatted, so that the payload is a String.
        assert!(index == 0, "no device {index} today");
        Ok(Arc::new(PanickingDevice(DeviceInfo {
            index: 0,
            name: "panics".into(),
            identity: "panics".into(),
            kind: DeviceKind::Accelerator,
            language: Language::C,
            memory: 1,
            max_alloc: 1,
            lane_width: 1,
            parallel_tiles: 1,
            thread_exit: false,
            timer: false,
            live_shared: false,
            zeroed: false,
            nvidia: false,
            patch: false,
            recursion: false,
        })))
    }
}

struct PanickingDevice(DeviceInfo);

impl Drop for PanickingDevice {
    fn drop(&mut self) {
        panic!("no closing");
    }
}

impl Device for PanickingDevice {
    fn info(&self) -> &DeviceInfo {
        &self.0
    }
    fn compile(&self, _: Source<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<u8>> {
        progress(0, 1);
        progress(1, 1);
        panic!("no compiling")
    }
    unsafe fn load(&self, _: &[u8]) -> Result<ModuleId> {
        std::panic::panic_any(7)
    }
    fn unload(&self, _: ModuleId) {
        panic!("no unloading")
    }
    fn kernel(&self, _: ModuleId, _: &str) -> Result<KernelId> {
        panic!("no kernel")
    }
    fn alloc(&self, _: u64) -> Result<BufferId> {
        panic!("no memory")
    }
    fn free(&self, _: BufferId) {
        panic!("no freeing")
    }
    fn alloc_pinned(&self, _: usize) -> Result<(PinnedId, *mut u8)> {
        panic!("no pinned memory")
    }
    fn free_pinned(&self, _: PinnedId) {
        panic!("no freeing pinned memory")
    }
    fn alloc_shared(&self, _: usize) -> Result<(BufferId, *mut u8)> {
        panic!("no shared memory")
    }
    fn publish(&self, _: BufferId) -> Result<()> {
        panic!("no publishing")
    }
    fn queue(&self, _: bool) -> Result<QueueId> {
        Ok(QueueId(1))
    }
    fn free_queue(&self, _: QueueId) {
        panic!("no freeing queues")
    }
    unsafe fn write(&self, _: QueueId, _: BufferId, _: u64, _: *const u8, _: usize) -> Result<EventId> {
        panic!("no writing")
    }
    unsafe fn read(&self, _: QueueId, _: BufferId, _: u64, _: *mut u8, _: usize) -> Result<EventId> {
        panic!("no reading")
    }
    fn launch(&self, _: QueueId, _: KernelId, _: &[Option<BufferId>], _: u32, _: u32) -> Result<EventId> {
        panic!("no launching")
    }
    fn finish(&self, _: QueueId) -> Result<()> {
        panic!("no finishing")
    }
    fn reached(&self, _: EventId) -> Result<bool> {
        panic!("not reached")
    }
    fn wait(&self, _: EventId) -> Result<()> {
        panic!("no waiting")
    }
    fn times(&self, _: EventId) -> Result<(u64, u64)> {
        panic!("no times")
    }
    fn free_event(&self, _: EventId) {
        panic!("no freeing events")
    }
}
