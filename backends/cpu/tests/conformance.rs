//! The conformance suite, linked and as a plugin.

use vectorvisor_driver::conformance::failures;
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Driver, Error, Result};

#[test]
fn linked() {
    let failures = failures(&vectorvisor_cpu::CpuDriver, &|_| true);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn as_a_plugin() -> Result<()> {
    // Cargo builds the plugin beside the test.
    let plugins = Search::new(&[], None).usual();
    let plugin = plugins.iter().find(|plugin| plugin.name() == "cpu");
    let failures = failures(plugin.ok_or_else(|| Error::Invalid("the plugin was not built".into()))?, &|_| true);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
