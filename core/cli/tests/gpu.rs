//! The command on OpenCL and HIP, with 32 VMs a tile; what the `cpu` backend says is right is tested beside.
//!
//! Skipped where there is no such device, unless `VECTORVISOR_REQUIRE_OPENCL` or `VECTORVISOR_REQUIRE_HIP` is set.

mod common;

use common::{example, folder, missing, text, vv, write};
use std::fs;

macro_rules! test_on {
    ($($backend:ident)*) => {$(
        mod $backend {
            #[test]
            fn each_vm_has_its_own_arguments() {
                super::each_vm_has_its_own_arguments(stringify!($backend));
            }
            #[test]
            fn the_plan_is_for_this_device() {
                super::the_plan_is_for_this_device(stringify!($backend));
            }
            #[test]
            fn map_gives_what_the_cpu_gives() {
                super::map_gives_what_the_cpu_gives(stringify!($backend));
            }
            #[test]
            fn a_vm_that_ends_badly_leaves_the_others_right() {
                super::a_vm_that_ends_badly_leaves_the_others_right(stringify!($backend));
            }
            #[test]
            fn a_profile_counts_what_the_cpu_counts() {
                super::a_profile_counts_what_the_cpu_counts(stringify!($backend));
            }
        }
    )*};
}
test_on! { opencl hip }

fn a_profile_counts_what_the_cpu_counts(backend: &str) {
    if missing(backend) {
        return;
    }
    let temp = folder();
    let text = r#"(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\00\10\00\00")
        (func $next (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func (export "_start") (local $n i32)
          (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          (loop $more
            (local.set $n (call $next (local.get $n)))
            (br_if $more (i32.lt_u (local.get $n) (i32.load8_u (i32.const 16)))))))"#;
    let program = write(temp.path().join("program.wat"), text);
    let words = ["profile", "-q", "--no-cache", "--lanes", "32", "--vms", "64", &program, "--range", "0..100"];
    let cpu = vv(&words);
    let gpu = vv(&[&words[..1], &["--backend", backend], &words[1..]].concat());
    assert_eq!((cpu.code, gpu.code), (Some(0), Some(0)), "{}{}", cpu.err, gpu.err);
    // All but the lanes, and the VMs of a warp.
    let counts = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|l| l.split_whitespace().skip(2).take(3).map(String::from).collect()).collect()
    };
    assert_eq!(counts(&gpu.out), counts(&cpu.out), "{}{}", cpu.out, gpu.out);
}

fn each_vm_has_its_own_arguments(backend: &str) {
    if missing(backend) {
        return;
    }
    let factorial = example("factorial.wat");
    let words = ["run", "-q", "--lanes", "32", "--vms", "64", "--invoke", "factorial", &factorial, "0..20"];
    let cpu = vv(&words);
    assert_eq!(cpu.code, Some(0), "{}", cpu.err);
    for more in [&[][..], &["--force-framed"], &["--traps", "exact"]] {
        let words = [&["run", "--backend", backend], more, &words[1..]].concat();
        let gpu = vv(&words);
        assert_eq!((gpu.code, &gpu.out), (Some(0), &cpu.out), "{words:?}\n{}", gpu.err);
    }
}

fn the_plan_is_for_this_device(backend: &str) {
    if missing(backend) {
        return;
    }
    let name = vv(&["devices", "--backend", backend]).out;
    let name = name.lines().next().and_then(|line| line.split_once(": ")).expect("a device").1;
    let plan = vv(&["inspect", "--emit", "plan", "--backend", backend, &example("factorial.wat")]).out;
    assert!(plan.starts_with(&format!("device            {backend}:0, {name}\n")), "{plan}");
}

fn map_gives_what_the_cpu_gives(backend: &str) {
    if missing(backend) {
        return;
    }
    let inputs = folder();
    for i in 0..100usize {
        // Around the lengths where the hash pads, and far beyond.
        let bytes: Vec<u8> = (0..(i * i * 7) % 9000).map(|b| (b * 31 + i) as u8).collect();
        write(inputs.path().join(format!("{}/{i}", i % 3)), bytes);
    }
    // The one of 20,000 bytes of text is where an input is longer than the rest.
    write(inputs.path().join("long"), "to be or not to be ".repeat(1000));
    let guest = example("sha256.wasm");
    let [cpu, gpu] = ["cpu", backend].map(|backend| {
        let outputs = folder();
        let (from, to) = (text(inputs.path()), text(outputs.path()));
        let words =
            ["map", "-q", "--backend", backend, "--lanes", "32", "--vms", "64", &guest, "--in", from, "--out", to];
        let ran = vv(&words);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        outputs
    });
    let name = |i: usize| if i == 100 { "long".into() } else { format!("{}/{i}", i % 3) };
    for i in 0..=100 {
        let read = |folder: &tempfile::TempDir| fs::read(folder.path().join(name(i))).expect("an output");
        assert_eq!(read(&cpu), read(&gpu), "{}", name(i));
    }
}

fn a_vm_that_ends_badly_leaves_the_others_right(backend: &str) {
    if missing(backend) {
        return;
    }
    let folder = folder();
    let deeds = ["trap", "exit 3", "print 100000", "recurse", "loop", "divzero", "oob"];
    let lines: String = (0..70)
        .map(|i| match deeds.get(i / 7).filter(|_| i % 7 == 3) {
            Some(deed) => format!("{{\"stdin\": \"{deed}\"}}\n"),
            None => format!("{{\"stdin\": \"ok\\nline {i}\"}}\n"),
        })
        .collect();
    let from = write(folder.path().join("in.jsonl"), lines);
    let to = folder.path().join("out.jsonl");
    let guest = example("misbehave.wasm");
    let words = ["map", "-q", "--backend", backend, "--timeout", "2s", &guest, "--in", &from, "--out", text(&to)];
    let ran = vv(&words);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let out = fs::read_to_string(&to).expect("outputs");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 70);
    for (i, line) in lines.iter().enumerate() {
        let says = match (i % 7 == 3).then_some(i / 7) {
            Some(0) => "unreachable".into(),
            Some(1) => "\"exit\":3".into(),
            Some(2) => "\"exit\":0".into(),
            Some(3) => "call stack exhausted".into(),
            Some(4) => "out of time".into(),
            Some(5) => "integer divide by zero".into(),
            Some(6) => "out of bounds memory access".into(),
            _ => format!("line {i}"),
        };
        assert!(line.contains(&says), "{i}: {line}");
    }
}

/// It compiles a probe before it lists a device.
#[test]
fn hip_says_why_its_compiler_refuses() {
    if missing("hip") {
        return;
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vectorvisor"))
        .args(["devices", "--backend", "hip"])
        .env("VECTORVISOR_HIPRTC_OPTIONS", "--no-such-option")
        .output()
        .expect("vectorvisor starts");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), out.lines().count()), (Some(1), 1), "{out}");
    assert!(out.contains("does not compile for ") && out.contains("--no-such-option"), "{out}");
    assert!(out.contains("; update ROCm, or name a target"), "{out}");
}
