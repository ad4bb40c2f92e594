//! The suite that every driver passes, on every OpenCL device that is there.

use vectorvisor_driver::{Driver, Error, conformance};

#[test]
fn opencl_conforms() {
    let driver = vectorvisor_opencl::OpenClDriver;
    if let Err(error @ Error::Unavailable { .. }) = driver.devices() {
        assert!(
            std::env::var_os("VECTORVISOR_REQUIRE_OPENCL").is_none(),
            "VECTORVISOR_REQUIRE_OPENCL is set, but {error}"
        );
        println!("skipped: {error}");
        return;
    }
    let mut failures = Vec::new();
    let report = &mut |device: &str, case: &str, outcome: &conformance::Outcome| match outcome {
        Ok(()) => println!("{device}: {case}: ok"),
        Err(failure) => failures.push(format!("{device}: {case}: {failure}")),
    };
    conformance::check(&driver, report).expect("listing and opening devices");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
