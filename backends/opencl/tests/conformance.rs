//! The conformance suite, linked and as a plugin, on every OpenCL device that is there.

use vectorvisor_driver::conformance::failures;
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Buffer, Driver, Error, Module, Queue, Quirks, Result, Source};

fn conforms(driver: &dyn Driver) {
    if let Err(error @ Error::Unavailable { .. }) = driver.devices() {
        assert!(
            std::env::var_os("VECTORVISOR_REQUIRE_OPENCL").is_none(),
            "VECTORVISOR_REQUIRE_OPENCL is set, but {error}"
        );
        println!("skipped: {error}");
        return;
    }
    // Oclgrind is slow, and crashes when two threads call it.
    let simple = std::env::var_os("VECTORVISOR_SIMPLE_CASES").is_some();
    for forced in [false, true] {
        let device = driver.open(0, Quirks { nvidia: Some(forced), patch: Some(!forced) }).expect("a device");
        assert_eq!((device.info().nvidia, device.info().patch), (forced, !forced));
    }
    let failures = failures(driver, &|case| !simple || !(case.threads || case.long));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn linked() {
    conforms(&vectorvisor_opencl::OpenClDriver);
}

#[test]
fn as_a_plugin() -> Result<()> {
    // Cargo builds the plugin beside the test.
    let plugins = Search::new(&[], None).usual();
    let plugin = plugins.iter().find(|plugin| plugin.name() == "opencl");
    conforms(plugin.ok_or_else(|| Error::Invalid("the plugin was not built".into()))?);
    Ok(())
}

/// `ci/oclgrind` runs this to see that oclgrind reports faults: it must report all three.
#[test]
#[ignore = "has faults on purpose"]
fn planted_faults() -> Result<()> {
    let device = vectorvisor_opencl::OpenClDriver.open(0, Quirks::default())?;
    let text = "__kernel void faulty(__global uint *a, __global uint *b) {
        uint i = get_global_id(0);
        if (i == 1) a[4] = 1;
        a[0] = i;
        if (b[i] == 7) a[1] = 2;
    }";
    let module = Module::build(&device, Source { header: "", units: &[text.to_owned()], registers: 0 })?;
    let (queue, a, b) = (Queue::new(&device)?, Buffer::new(&device, 16)?, Buffer::new(&device, 16)?);
    queue.launch(module.kernel("faulty")?, &[Some(a.id()), Some(b.id())], 2, 2)?.wait()
}
