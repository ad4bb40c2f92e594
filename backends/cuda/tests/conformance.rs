//! The suite that every driver passes, linked and as a plugin, on every CUDA device that is there.

use std::sync::Arc;
use vectorvisor_driver::conformance::failures;
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Buffer, Device, Driver, Error, Module, Queue, Quirks, Result, Source};

/// Whether there is a device; if there must be one, there is.
fn present(driver: &dyn Driver) -> bool {
    if let Err(error @ Error::Unavailable { .. }) = driver.devices() {
        assert!(std::env::var_os("VECTORVISOR_REQUIRE_CUDA").is_none(), "VECTORVISOR_REQUIRE_CUDA is set, but {error}");
        println!("skipped: {error}");
        return false;
    }
    true
}

fn conforms(driver: &dyn Driver) {
    if present(driver) {
        let failures = failures(driver, &|_| true);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
fn linked() {
    conforms(&vectorvisor_cuda::CudaDriver);
}

#[test]
fn as_a_plugin() -> Result<()> {
    // Cargo leaves it beside the test.
    let plugins = Search::new(&[], None).usual();
    let plugin = plugins.iter().find(|plugin| plugin.name() == "cuda");
    conforms(plugin.ok_or_else(|| Error::Invalid("the plugin was not built".into()))?);
    Ok(())
}

/// A stray store ends the context. It is told once, by its name; everything of that device then fails, and so does opening it
/// again, unless the driver recovers: then that device works beside the lost one.
#[test]
fn a_fault_can_be_survived() -> Result<()> {
    let driver = vectorvisor_cuda::CudaDriver;
    if !present(&driver) {
        return Ok(());
    }
    let units = ["extern \"C\" __global__ void store(unsigned *to) { to[threadIdx.x] = 7; }".to_owned()];
    let source = Source { header: "", units: &units };
    let device = driver.open(0, Quirks::default())?;
    let binary = Module::compile(&device, source, &mut |_, _| ())?;
    let stores = |device: &Arc<dyn Device>| -> Result<()> {
        let (module, queue, to) = (Module::load(device, &binary)?, Queue::new(device)?, Buffer::new(device, 128)?);
        queue.launch(module.kernel("store")?, &[Some(to.id())], 1, 32)?.wait()?;
        let mut bytes = [0; 128];
        queue.read(&to, 0, &mut bytes)?;
        assert!(bytes.chunks(4).all(|word| word == [7, 0, 0, 0]), "{bytes:?}");
        Ok(())
    };
    stores(&device)?;
    let (module, queue) = (Module::load(&device, &binary)?, Queue::new(&device)?);
    let told = queue.launch(module.kernel("store")?, &[None], 1, 32).and_then(|event| event.wait());
    assert!(matches!(&told, Err(Error::Device(text)) if text.contains("CUDA_ERROR_ILLEGAL_ADDRESS")), "{told:?}");
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

#[test]
fn quirks_are_told() -> Result<()> {
    let driver = vectorvisor_cuda::CudaDriver;
    if present(&driver) {
        let patched = driver.open(0, Quirks { nvidia: Some(true), patch: Some(true) })?;
        assert!(patched.info().nvidia && patched.info().patch);
        let without = driver.open(0, Quirks { nvidia: Some(false), patch: None }).err();
        assert!(matches!(without, Some(Error::Invalid(_))), "{without:?}");
    }
    Ok(())
}
