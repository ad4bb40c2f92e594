//! The cases of the conformance suite that need no kernels, linked and as a plugin.

use vectorvisor_driver::conformance::{NoKernels, Outcome, check};
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Driver, Error, Result};

fn conforms(driver: &dyn Driver) {
    let (mut passed, mut failed) = (0, Vec::new());
    let mut report = |_: &str, case: &str, outcome: &Outcome| match outcome {
        Ok(()) => passed += 1,
        Err(failure) if failure.is::<NoKernels>() => {}
        Err(failure) => failed.push(format!("{case}: {failure}")),
    };
    check(driver, &mut report).expect("listing and opening devices");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(passed, 9, "cases that need no kernels");
}

#[test]
fn linked() {
    conforms(&vectorvisor_null::NullDriver);
}

#[test]
fn as_a_plugin() -> Result<()> {
    // Cargo builds the plugin beside the test.
    let plugins = Search::new(&[], None).usual();
    let plugin = plugins.iter().find(|plugin| plugin.name() == "null");
    conforms(plugin.ok_or_else(|| Error::Invalid("the plugin was not built".into()))?);
    Ok(())
}
