//! One self-contained `.wat` a case in `snapshots/`: options in `;;!` lines, the module, and after it the expected text
//! in `;;=` lines.
//!
//! Only what comes from the module is expected: no prelude, no kernels. `VECTORVISOR_BLESS=1 cargo nextest run -p
//! vectorvisor-translate` writes the text anew; the review is `git diff`.

mod common;

use std::path::Path;
use vectorvisor_translate::abi::PAGE;
use vectorvisor_translate::host::FilesAt;
use vectorvisor_translate::{Alignment, Bounds, Kernel, Language, Opt, Options, Traps, lower_module, translate};

fn options(text: &str) -> Result<(Options, bool), String> {
    let mut options = common::options();
    let mut ir = false;
    for word in text.lines().filter_map(|l| l.strip_prefix(";;!")).flat_map(str::split_whitespace) {
        match word {
            "ir" => ir = true,
            "thread-exit" => options.target.thread_exit = true,
            "cheap-branches" => options.target.cheap_branches = true,
            "c" => options.target.language = Language::C,
            "small-stack" => options.native_stack = 4096,
            "exact" => options.traps = Traps::Exact,
            "cells-of-16" => options.cell = 16,
            "natural" => options.alignment = Alignment::Natural,
            "linear" => options.cell = 0,
            "shared-data" => _ = options.with.insert(Opt::SharedData),
            "files" => options.files = FilesAt::Host,
            "disk" => options.files = FilesAt::Disk,
            "device-files" => options.files = FilesAt::Device,
            "force-framed" => options.force_framed = true,
            "interpret" => options.interpret = true,
            "profile" => options.profile = true,
            other => match other.strip_prefix("usual=").and_then(|usual| usual.split_once(':')) {
                Some((at, function)) => {
                    let number = |text: &str| text.parse().map_err(|_| format!("no number: {text}"));
                    options.usual_targets.entry(number(at)?).or_default().push(number(function)?);
                }
                None => return Err(format!("unknown option {other}")),
            },
        }
    }
    Ok((options, ir))
}

/// A case of shared data in which nothing is shared would test nothing.
fn shares(options: &Options, shares: bool) -> Result<(), String> {
    let asked = options.has(Opt::SharedData);
    if asked == shares { Ok(()) } else { Err(format!("shared data: asked for {asked}, there {shares}")) }
}

fn printed(text: &str) -> Result<String, String> {
    let (options, ir) = options(text)?;
    let wasm = wat::parse_str(text).map_err(|e| e.to_string())?;
    if ir {
        let program = lower_module(&wasm, &options).map_err(|e| e.to_string())?.program;
        shares(&options, program.shared.is_some())?;
        return Ok(program.to_string());
    }
    let kernel = translate(&wasm, &options).map_err(|e| e.to_string())?;
    shares(&options, matches!(kernel.meta.shared, Some(Ok(_))))?;
    if options.interpret {
        return Ok(interpreted(&kernel));
    }
    // Small functions stand in the header, behind everything that is the same for all programs.
    let header = kernel.header.split("#define VV_TABLE_LENGTH").nth(1).unwrap_or_default();
    let units = kernel.units.concat();
    let units = units.split("/* The kernels.").next().unwrap_or_default();
    Ok(format!("#define VV_TABLE_LENGTH{header}{units}"))
}

/// The rows of the code, from the first function's on, and what the operations do.
fn interpreted(kernel: &Kernel) -> String {
    let rows = kernel.meta.image.segments.as_chunks::<16>().0;
    let half = |row: &[u8; 16], n: usize| u16::from_le_bytes([row[2 * n], row[2 * n + 1]]);
    let imm = |row: &[u8; 16], n: usize| u32::from(half(row, n)) | (u32::from(half(row, n + 1)) << 16);
    let line = |(n, row)| {
        let [op, d, a, b] = [0, 1, 2, 3].map(|n| half(row, n));
        format!("row {n}: {op} {d} {a} {b}, {} {}\n", imm(row, 4), imm(row, 6))
    };
    let text = kernel.units.concat();
    let text = text.split("\nVV_SLOW_BEGIN\n").nth(1).and_then(|text| text.split("/* The kernels.").next());
    (0..).zip(rows).skip(3).map(line).collect::<String>() + text.unwrap_or_default()
}

fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let source: String = text.lines().filter(|l| !l.starts_with(";;=")).flat_map(|l| [l, "\n"]).collect();
    let source = source.trim_end();
    let printed = printed(source)?;
    let want: String =
        printed.lines().map(|l| if l.is_empty() { ";;=\n".into() } else { format!(";;= {l}\n") }).collect();
    let got: String = text.lines().filter(|l| l.starts_with(";;=")).flat_map(|l| [l, "\n"]).collect();
    if want == got {
        return Ok(());
    }
    if std::env::var_os("VECTORVISOR_BLESS").is_some() {
        return std::fs::write(path, format!("{source}\n\n{want}")).map_err(|e| e.to_string());
    }
    let line = want.lines().zip(got.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let of = |t: &str| t.lines().nth(line).unwrap_or("nothing").to_string();
    Err(format!("line {}: now {:?}, expected {:?}", line + 1, of(&want), of(&got)))
}

#[test]
fn snapshots_are_as_committed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "the cases are missing");
    let wrong: Vec<String> = paths
        .iter()
        .filter_map(|p| check(p).err().map(|e| format!("{}: {e}", p.file_name().unwrap().to_string_lossy())))
        .collect();
    assert!(wrong.is_empty(), "VECTORVISOR_BLESS=1 writes them anew\n{}", wrong.join("\n"));
}

#[test]
fn output_is_the_same_to_the_byte() {
    let text = include_str!("snapshots/recursion.wat");
    assert_eq!(printed(text), printed(text));
}

#[test]
fn the_first_frame_fits_whatever_the_stack() {
    let params = "i64 ".repeat(1000);
    let text = format!(
        "(module (func $r (export \"r\") (param i32) (if (local.get 0) (then (call $r (i32.const 0)))))
           (func (export \"wide\") (param {params})))"
    );
    let mut options = common::options();
    options.stack = 4096;
    let plan = translate(&wat::parse_str(text).unwrap(), &options).unwrap().meta.plan;
    assert!(plan.frames >= 8 + 8 * 1000, "{} bytes of frames", plan.frames);
}

#[test]
fn memory_begins_small_where_it_grows_and_inputs_may_run_again() {
    let text = |limits: &str, body: &str| {
        let sleep =
            r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $sleep (param i32 i32 i32 i32) (result i32)))"#;
        let nap = "(drop (call $sleep (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)))";
        let body = body.replace("SLEEP", nap).replace("GROW", "(drop (memory.grow (i32.const 1)))");
        format!(r#"(module {sleep} (memory (export "memory") {limits}) (func (export "_start") {body}))"#)
    };
    let pages = |limits: &str, body: &str, bounds: Bounds| {
        let mut options = common::options();
        options.bounds = bounds;
        let plan = translate(&wat::parse_str(text(limits, body)).unwrap(), &options).unwrap().meta.plan;
        [plan.memory_initial, plan.memory_first, plan.memory_limit].map(|bytes| bytes / PAGE)
    };
    assert_eq!(pages("2", "GROW", Bounds::Size), [2, 6, 258]);
    assert_eq!(pages("40", "GROW", Bounds::Size), [40, 50, 296]);
    assert_eq!(pages("2 3", "GROW", Bounds::Size), [2, 3, 3]);
    assert_eq!(pages("2", "GROW", Bounds::Capacity), [2, 258, 258]);
    assert_eq!(pages("2", "GROW SLEEP", Bounds::Size), [2, 6, 258]);
    assert_eq!(pages("2", "", Bounds::Size), [2, 2, 2]);
}

#[test]
fn usual_targets_that_do_not_fit_change_nothing() {
    let text = r#"(module (table funcref (elem $a $a $a $a $a $b)) (type $t (func (param i32) (result i32)))
        (func $a (type $t) (local.get 0)) (func $b (type $t) (i32.const 7)) (func $other) (func $absent (type $t) (i32.const 9))
        (func (export "f") (param i32) (result i32)
          (call $other) (call_indirect (type $t) (i32.const 1) (local.get 0))))"#;
    let wasm = wat::parse_str(text).unwrap();
    let with = |usual: &[(u32, u32)]| {
        let mut options = common::options();
        options.usual_targets = usual.iter().map(|(at, function)| (*at, vec![*function])).collect();
        translate(&wasm, &options).unwrap().units.concat()
    };
    let without = with(&[]);
    let at = (0..wasm.len() as u32).find(|at| with(&[(*at, 1)]) != without).expect("some offset is that of the call");
    // At too many places of the table, of another signature, not in the table, not there.
    for function in [0, 2, 3, 4, 99, u32::MAX] {
        assert_eq!(with(&[(at, function)]), without, "function {function}");
    }
}
