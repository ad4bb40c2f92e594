//! The conformance suite, linked and as a plugin, on every CUDA device that is there.

use vectorvisor_driver::conformance::failures;
use vectorvisor_driver::plugin::Search;
use vectorvisor_driver::{Buffer, Driver, Error, Module, Queue, Quirks, Result, Source};

/// Whether there is a device. Panics if there is none although `VECTORVISOR_REQUIRE_CUDA` is set.
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
    // Cargo builds the plugin beside the test.
    let plugins = Search::new(&[], None).usual();
    let plugin = plugins.iter().find(|plugin| plugin.name() == "cuda");
    conforms(plugin.ok_or_else(|| Error::Invalid("the plugin was not built".into()))?);
    Ok(())
}

#[test]
fn quirks_are_reported() -> Result<()> {
    let driver = vectorvisor_cuda::CudaDriver;
    if present(&driver) {
        let patched = driver.open(0, Quirks { nvidia: Some(true), patch: Some(true) })?;
        assert!(patched.info().nvidia && patched.info().patch);
        let without = driver.open(0, Quirks { nvidia: Some(false), patch: None }).err();
        assert!(matches!(without, Some(Error::Invalid(_))), "{without:?}");
    }
    Ok(())
}

/// Few units are compiled as one text, so the conformance suite does not test linking.
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
    let module = Module::build(&device, Source { header: &header, units: &units, registers: 0 })?;
    let (queue, to) = (Queue::new(&device)?, Buffer::new(&device, 128)?);
    queue.launch(module.kernel("all")?, &[Some(to.id())], 1, 32)?.wait()?;
    let mut bytes = [0; 128];
    queue.read(&to, 0, &mut bytes)?;
    let expected = |x: u32| (0..9).fold(x, |x, n| x * 3 + n);
    assert!((0..32).zip(bytes.chunks(4)).all(|(lane, word)| word == expected(lane).to_le_bytes()), "{bytes:?}");
    // The linker reports a function that no unit defines.
    let refused =
        Module::compile(&device, Source { header: &header, units: &units[1..], registers: 0 }, &mut |_, _| ());
    assert!(matches!(&refused, Err(Error::Compile { log }) if log.contains("step0")), "{refused:?}");
    Ok(())
}

/// 40 levels of two functions that may both call both of the next: 2^40 paths, each of which the linker would walk.
#[test]
fn many_paths_are_linked() -> Result<()> {
    const LEVELS: u32 = 40;
    let driver = vectorvisor_cuda::CudaDriver;
    if !present(&driver) {
        return Ok(());
    }
    let device = driver.open(0, Quirks::default())?;
    let head = |level: u32, one: char| format!("__device__ __noinline__ unsigned {one}{level}(unsigned x)");
    let header: String = (0..=LEVELS).flat_map(|l| ['a', 'b'].map(|one| head(l, one) + ";\n")).collect();
    let body = |level: u32, one: char| match level {
        LEVELS => format!("{} {{ return x + '{one}'; }}\n", head(level, one)),
        _ => {
            let (choice, next) = (level % 32, level + 1);
            format!(
                "{} {{ return x >> {choice} & 1 ? a{next}(x * 3 + '{one}') : b{next}(x ^ {level}); }}\n",
                head(level, one)
            )
        }
    };
    let mut units: Vec<_> = (0..=LEVELS).map(|level| body(level, 'a') + &body(level, 'b')).collect();
    units.push(
        "extern \"C\" __global__ void all(unsigned *to) { to[threadIdx.x] = a0(threadIdx.x * 0x9e3779b9u); }".into(),
    );
    let module = Module::build(&device, Source { header: &header, units: &units, registers: 0 })?;
    let (queue, to) = (Queue::new(&device)?, Buffer::new(&device, 128)?);
    queue.launch(module.kernel("all")?, &[Some(to.id())], 1, 32)?.wait()?;
    let mut bytes = [0; 128];
    queue.read(&to, 0, &mut bytes)?;
    let step = |(x, one): (u32, u8), level: u32| match x >> (level % 32) & 1 {
        1 => (x.wrapping_mul(3).wrapping_add(one.into()), b'a'),
        _ => (x ^ level, b'b'),
    };
    let expected = |lane: u32| {
        let (x, one) = (0..LEVELS).fold((lane.wrapping_mul(0x9e37_79b9), b'a'), step);
        x.wrapping_add(one.into())
    };
    assert!((0..32).zip(bytes.chunks(4)).all(|(lane, word)| word == expected(lane).to_le_bytes()), "{bytes:?}");
    Ok(())
}
