//! `inspect --emit plan --arch`: compiles a program with a driver's compiler, without a device, and shows what each
//! unit and function costs.

use crate::args::DeviceArgs;
use crate::{report, setup};
use anyhow::Result;
use std::collections::HashMap;
use std::fmt::Write as _;
use vectorvisor::driver::Source;
use vectorvisor::register_limit;
use vectorvisor::translate::Kernel;

/// Units and functions that are shown, those that take longest.
const SHOWN_UNITS: usize = 10;
const SHOWN_FUNCTIONS: usize = 20;

/// Compiles a program, with a line for each unit on standard error, and makes tables of what that cost.
pub fn costs(args: &DeviceArgs, arch: &str, kernel: &Kernel) -> Result<String> {
    let drivers = setup::drivers(&args.driver_path)?;
    let driver = drivers.find(&setup::one(args)?.name)?;
    let source = Source { header: &kernel.header, units: &kernel.units, registers: register_limit(&kernel.meta.plan) };
    let (mut units, mut functions) = (Vec::new(), Vec::new());
    let (total, begin) = (kernel.units.len(), std::time::Instant::now());
    driver.examine(arch, source, &mut |unit| {
        let (count, seconds, done) = (unit.functions.len(), unit.seconds, units.len() + 1);
        report::line(&format!("{done:4} of {total}  unit {:4}  {seconds:7.2} s  {count} functions", unit.unit));
        units.push((unit.unit, seconds, count));
        functions.extend(unit.functions.into_iter().map(|function| (unit.unit, function)));
    })?;
    let elapsed = begin.elapsed().as_secs_f64();
    units.sort_by(|a, b| b.1.total_cmp(&a.1));
    functions.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));

    let mut text = String::new();
    let sum: f64 = units.iter().map(|unit| unit.1).sum();
    let longest = units.first().map_or(0.0, |unit| unit.1);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    _ = writeln!(
        text,
        "{:<18}{total} units in {elapsed:.1} s ({sum:.1} s one by one; the longest unit {longest:.1} s; {processors} processors)",
        format!("compiled, {arch}")
    );
    _ = writeln!(text, "\n{:>8}  {:>9}  {:>9}  unit", "seconds", "bytes", "functions");
    for (unit, seconds, count) in units.iter().take(SHOWN_UNITS) {
        let bytes = kernel.units.get(*unit).map_or(0, String::len);
        _ = writeln!(text, "{seconds:8.2}  {bytes:>9}  {count:>9}  {unit}");
    }
    let code: u64 = functions.iter().map(|(_, function)| u64::from(function.bytes)).sum();
    _ = writeln!(text, "\n{:<18}{code} bytes in {} functions", "code", functions.len());
    let names = names(&kernel.units);
    _ = writeln!(
        text,
        "\n{:>8}  {:>9}  {:>9}  {:>9}  {:>9}  {:>5}  function",
        "seconds", "registers", "code", "spills", "stack", "unit"
    );
    for (unit, f) in functions.iter().take(SHOWN_FUNCTIONS) {
        let name = names.get(f.name.as_str()).map(|name| format!(": {name}")).unwrap_or_default();
        let costs = format!("{:8.2}  {:>9}  {:>9}  {:>9}", f.seconds, f.registers, f.bytes, f.spills);
        let costs = format!("{costs}  {:>9}  {unit:>5}", f.stack);
        _ = writeln!(text, "{costs}  {}{name}", f.name);
    }
    text.push_str(
        "(bytes of text, code, spills and stack; a function's seconds are those of the compiler's last stage)\n",
    );
    Ok(text)
}

/// What the program calls the functions of the text, from the comments behind their heads.
fn names(units: &[String]) -> HashMap<&str, &str> {
    units.iter().flat_map(|unit| unit.lines()).filter_map(name).collect()
}

fn name(line: &str) -> Option<(&str, &str)> {
    let (head, rest) = line.strip_prefix("VV_FN ")?.split_once(" { /* ")?;
    Some((head.split_once('(')?.0.split(' ').next_back()?, rest.strip_suffix(" */")?))
}
