//! What a kernel's fault does to a device. A test binary of its own, because its process may not be able to use CUDA
//! afterwards.

use std::sync::Arc;
use vectorvisor_driver::{Buffer, Device, Driver, Error, Module, Queue, Quirks, Result, Source};

/// An illegal store makes the context unusable. It is reported once, by its name; then every call on that device fails,
/// and so does opening it again, unless NVIDIA's driver recovers: then the new device works beside the old one.
#[test]
fn a_fault_is_reported_once() -> Result<()> {
    let driver = vectorvisor_cuda::CudaDriver;
    if let Err(error @ Error::Unavailable { .. }) = driver.devices() {
        assert!(std::env::var_os("VECTORVISOR_REQUIRE_CUDA").is_none(), "VECTORVISOR_REQUIRE_CUDA is set, but {error}");
        println!("skipped: {error}");
        return Ok(());
    }
    let units = ["extern \"C\" __global__ void store(unsigned *to) { to[threadIdx.x] = 7; }".to_owned()];
    let source = Source { header: "", units: &units, registers: 0 };
    let device = driver.open(0, Quirks::default())?;
    let binary = Module::compile(&device, source, &mut |_, _| ())?;
    // SAFETY: a device of this kind made the binary, just now.
    let load = |device: &Arc<dyn Device>| unsafe { Module::load(device, &binary) };
    let stores = |device: &Arc<dyn Device>| -> Result<()> {
        let (module, queue, to) = (load(device)?, Queue::new(device)?, Buffer::new(device, 128)?);
        queue.launch(module.kernel("store")?, &[Some(to.id())], 1, 32)?.wait()?;
        let mut bytes = [0; 128];
        queue.read(&to, 0, &mut bytes)?;
        assert!(bytes.chunks(4).all(|word| word == [7, 0, 0, 0]), "{bytes:?}");
        Ok(())
    };
    stores(&device)?;
    let (module, queue) = (load(&device)?, Queue::new(&device)?);
    let reported = queue.launch(module.kernel("store")?, &[None], 1, 32).and_then(|event| event.wait());
    assert!(
        matches!(&reported, Err(Error::Device(text)) if text.contains("CUDA_ERROR_ILLEGAL_ADDRESS")),
        "{reported:?}"
    );
    let later = queue.finish();
    assert!(matches!(&later, Err(Error::Device(text)) if text.contains("opened again")), "{later:?}");
    match driver.open(0, Quirks::default()) {
        Ok(again) => stores(&again)?,
        Err(Error::Device(text)) => assert!(text.contains("ILLEGAL_ADDRESS") && text.contains("new process"), "{text}"),
        Err(other) => return Err(other),
    }
    assert!(stores(&device).is_err(), "a lost device came back");
    drop((module, queue, device));
    Ok(())
}
