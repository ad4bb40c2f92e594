//! The conformance suite, linked and as a plugin, on every HIP device that is there. `VECTORVISOR_HIP` may name the
//! test library in `testlib/`.

use vectorvisor_driver::conformance::failures;
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Driver, Error, Quirks, Result};

/// Whether there is a device. Panics if there is none although `VECTORVISOR_REQUIRE_HIP` is set.
fn present(driver: &dyn Driver) -> bool {
    if let Err(error @ Error::Unavailable { .. }) = driver.devices() {
        assert!(std::env::var_os("VECTORVISOR_REQUIRE_HIP").is_none(), "VECTORVISOR_REQUIRE_HIP is set, but {error}");
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
    conforms(&vectorvisor_hip::HipDriver);
}

#[test]
fn as_a_plugin() -> Result<()> {
    // Cargo builds the plugin beside the test.
    let plugins = Search::new(&[], None).usual();
    let plugin = plugins.iter().find(|plugin| plugin.name() == "hip");
    conforms(plugin.ok_or_else(|| Error::Invalid("the plugin was not built".into()))?);
    Ok(())
}

#[test]
fn quirks_are_reported() -> Result<()> {
    let driver = vectorvisor_hip::HipDriver;
    if present(&driver) {
        for patch in [false, true] {
            let device = driver.open(0, Quirks { nvidia: Some(false), patch: Some(patch) })?;
            assert_eq!((device.info().nvidia, device.info().patch), (false, patch));
        }
        let with = driver.open(0, Quirks { nvidia: Some(true), patch: None }).err();
        assert!(matches!(with, Some(Error::Invalid(_))), "{with:?}");
    }
    Ok(())
}
