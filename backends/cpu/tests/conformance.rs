//! The suite that every driver passes.

use vectorvisor_driver::conformance;

#[test]
fn cpu_conforms() {
    let mut failures = Vec::new();
    let report = &mut |device: &str, case: &str, outcome: &conformance::Outcome| match outcome {
        Ok(()) => println!("{device}: {case}: ok"),
        Err(failure) => failures.push(format!("{device}: {case}: {failure}")),
    };
    conformance::check(&vectorvisor_cpu::CpuDriver, report).expect("listing and opening devices");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
