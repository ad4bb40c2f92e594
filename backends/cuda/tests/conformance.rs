//! The suite that every driver passes, linked and as a plugin, on every CUDA device that is there.

use vectorvisor_driver::conformance::failures;
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Buffer, Driver, Error, Module, Queue, Quirks, Result, Source};

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
        // A checker (compute-sanitizer) is slow.
        let simple = std::env::var_os("VECTORVISOR_SIMPLE_CASES").is_some();
        let failures = failures(driver, &|case| !simple || !(case.threads || case.long));
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

/// Few units are compiled as one, so the suite of all drivers does not link.
#[test]
fn many_units_are_linked() -> Result<()> {
    let driver = vectorvisor_cuda::CudaDriver;
    if !present(&driver) {
        return Ok(());
    }
    let device = driver.open(0, Quirks::default())?;
    let step = |n: u32| format!("__device__ unsigned step{n}(unsigned x) {{ return step{}(x * 3u + {n}u); }}", n + 1);
    let mut units: Vec<_> = (0..9).map(step).collect();
    units.push(
        "__device__ unsigned step9(unsigned x) { return x; }
        extern \"C\" __global__ void all(unsigned *to) { to[threadIdx.x] = step0(threadIdx.x); }"
            .into(),
    );
    let header: String = (0..10).map(|n| format!("__device__ unsigned step{n}(unsigned x);\n")).collect();
    let binary = Module::compile(&device, Source { header: &header, units: &units }, &mut |_, _| ())?;
    let (module, queue, to) = (Module::load(&device, &binary)?, Queue::new(&device)?, Buffer::new(&device, 128)?);
    queue.launch(module.kernel("all")?, &[Some(to.id())], 1, 32)?.wait()?;
    let mut bytes = [0; 128];
    queue.read(&to, 0, &mut bytes)?;
    let expected = |x: u32| (0..9).fold(x, |x, n| x * 3 + n);
    assert!((0..32).zip(bytes.chunks(4)).all(|(lane, word)| word == expected(lane).to_le_bytes()), "{bytes:?}");
    // What no unit defines is told by the linker.
    let refused = Module::compile(&device, Source { header: &header, units: &units[1..] }, &mut |_, _| ());
    assert!(matches!(&refused, Err(Error::Compile { log }) if log.contains("step0")), "{refused:?}");
    Ok(())
}
