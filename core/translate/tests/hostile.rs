//! Modules that are made to cost the translator much time or memory. They are so large that work out of proportion to
//! their size would take minutes.

mod common;

use peak_alloc::PeakAlloc;
use vectorvisor_translate::{LARGE, Options, translate};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Unsigned LEB128.
fn leb(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n > 127 {
        bytes.push(n as u8 | 128);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

fn section(id: u8, count: usize, contents: Vec<u8>) -> Vec<u8> {
    let contents = [leb(count), contents].concat();
    [vec![id], leb(contents.len()), contents].concat()
}

fn repeat(n: usize, bytes: &[u8]) -> Vec<u8> {
    bytes.repeat(n)
}

/// For each function its type, its number of i32 locals, and its instructions without the last `end`. Type 0 is `() ->
/// ()`, type 1 has a thousand i32 parameters and results. Function 0 is an import that suspends, function 1 is
/// exported, all are in the table.
struct Module {
    functions: Vec<(u8, usize, Vec<u8>)>,
}

impl Module {
    fn one(locals: usize, code: Vec<u8>) -> Self {
        Self { functions: vec![(0, locals, code)] }
    }

    fn bytes(&self) -> Vec<u8> {
        let wide = [leb(1000), vec![0x7f; 1000]].concat();
        let n = self.functions.len();
        let mut types = vec![0x60, 0, 0, 0x60];
        types.extend([&wide[..], &wide, &[0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f]].concat());
        let name = |s: &str| [leb(s.len()), s.into()].concat();
        let import = [name("wasi_snapshot_preview1"), name("poll_oneoff"), vec![0, 2]].concat();
        let mut code = Vec::new();
        for (_, locals, body) in &self.functions {
            let body = [vec![1], leb(*locals), vec![0x7f], body.clone(), vec![0x0b]].concat();
            code.extend([leb(body.len()), body].concat());
        }
        [
            b"\0asm\x01\0\0\0".to_vec(),
            section(1, 3, types),
            section(2, 1, import),
            section(3, n, self.functions.iter().map(|f| f.0).collect()),
            section(4, 1, [vec![0x70, 0], leb(n)].concat()),
            section(5, 1, vec![0, 1]),
            section(6, 1, vec![0x7f, 1, 0x41, 0, 0x0b]),
            section(7, 1, [name("f"), vec![0, 1]].concat()),
            section(9, 1, [vec![0, 0x41, 0, 0x0b], leb(n), (1..=n).flat_map(leb).collect()].concat()),
            section(10, n, code),
        ]
        .concat()
    }
}

const GET: [u8; 2] = [0x20, 0];
const SET: [u8; 2] = [0x21, 0];
const DROP: u8 = 0x1a;
const END: u8 = 0x0b;
/// A constant, and `call_indirect` of type 0.
const INDIRECT: [u8; 5] = [0x41, 0, 0x11, 0, 0];
/// A block of type `() -> ()`.
const BLOCK: [u8; 2] = [0x02, 0x40];
/// A conditional branch out of a block.
const BR_IF: [u8; 4] = [0x41, 0, 0x0d, 0];
/// A call that suspends.
const SLEEP: [u8; 11] = [0x41, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0x10, 0, DROP];

fn call(f: usize) -> Vec<u8> {
    [vec![0x10], leb(f)].concat()
}

fn hostile() -> Vec<(&'static str, Module)> {
    const N: usize = 10_000;
    let chain = |last: Vec<u8>| Module {
        functions: (2..N + 2).map(|next| (0, 0, if next <= N { call(next) } else { last.clone() })).collect(),
    };
    let nest = |depth: usize, before: &[u8], inner: Vec<u8>, after: &[u8]| {
        [before.repeat(depth), inner, after.repeat(depth)].concat()
    };
    vec![
        ("a chain of calls", chain(vec![])),
        ("a chain of calls that never returns", chain(vec![0x00])),
        ("a chain of calls that suspends", chain(SLEEP.to_vec())),
        ("a cycle", chain(call(1))),
        (
            "many indirect calls of many functions",
            Module { functions: (0..N).map(|_| (0, 0, repeat(4, &INDIRECT))).collect() },
        ),
        ("calls in one function", Module::one(0, repeat(N, &SLEEP))),
        (
            "blocks with calls in one function",
            Module::one(0, repeat(N, &[&BLOCK[..], &BR_IF, &SLEEP, &[END]].concat())),
        ),
        (
            "a deep stack, then effects",
            Module::one(2, [repeat(N, &GET), repeat(N, &[0x41, 0, 0x21, 1]), repeat(N, &[DROP])].concat()),
        ),
        (
            "a deep stack, then blocks",
            Module::one(
                2,
                [repeat(N, &GET), repeat(N, &[0x02, 0x40, 0x41, 0, 0x0d, 0, 0x0b]), repeat(N, &[DROP])].concat(),
            ),
        ),
        ("deep blocks around much", Module::one(1, nest(4000, &BLOCK, repeat(N, &[0x41, 0, 0x24, 0]), &[END]))),
        (
            "deep conditions around much that suspends",
            Module::one(
                1,
                nest(4000, &[0x20, 0, 0x04, 0x40], [repeat(N, &[0x41, 0, 0x24, 0]), SLEEP.to_vec()].concat(), &[END]),
            ),
        ),
        ("large trees", Module::one(1, [GET.to_vec(), repeat(N, &[0x20, 0, 0x6a]), SET.to_vec()].concat())),
        (
            "functions with many locals",
            Module { functions: (2..202).map(|next| (0, N - 1, call(next))).chain([(0, 0, vec![])]).collect() },
        ),
        (
            "many locals that live across calls",
            Module::one(N - 1, {
                let each = |f: &dyn Fn(usize) -> Vec<u8>| (0..N - 1).flat_map(f).collect::<Vec<u8>>();
                let local = |op: u8, i: usize| [vec![op], leb(i)].concat();
                [
                    each(&|i| [vec![0x41, 0], local(0x21, i)].concat()),
                    repeat(N, &SLEEP),
                    each(&|i| [local(0x20, i), vec![DROP]].concat()),
                ]
                .concat()
            }),
        ),
        (
            "functions with many parameters",
            Module {
                functions: (0..N / 10)
                    .map(|i| match i {
                        0 => (0, 0, [repeat(1000, &[0x41, 0]), vec![0x41, 0, 0x11, 1, 0, 0]].concat()),
                        _ => (1, 0, vec![0]),
                    })
                    .collect(),
            },
        ),
        (
            "branches with many values",
            Module {
                functions: vec![
                    (0, 0, [repeat(1000, &[0x41, 0]), vec![0x10, 2], repeat(1000, &[DROP])].concat()),
                    (
                        1,
                        0,
                        [
                            (0..1000).flat_map(|i| [vec![0x20], leb(i)].concat()).collect(),
                            vec![0x02, 1],
                            repeat(N, &BR_IF),
                            vec![END],
                        ]
                        .concat(),
                    ),
                ],
            },
        ),
        ("no code", Module { functions: (0..N).map(|_| (0, 0, vec![])).collect() }),
        ("calls", Module::one(0, repeat(5 * N, &call(1)))),
        ("effects", Module::one(0, repeat(4 * N, &[0x3f, 0, DROP]))),
        (
            "stores far from each other",
            Module::one(1, {
                let far = |i: usize| [vec![0x20, 0, 0x41, 0, 0x36, 0], leb(i * 300 % 65536)].concat();
                (0..2 * N).flat_map(far).collect()
            }),
        ),
        ("loads", Module::one(0, repeat(2 * N, &[0x41, 0, 0x28, 0, 0, DROP]))),
    ]
}

#[test]
fn hostile_modules_are_translated_in_proportion_or_refused() {
    for (what, module) in hostile() {
        let wasm = module.bytes();
        drop(module);
        for (force_framed, interpret) in [(false, false), (true, false), (false, true)] {
            ALLOCATED.reset_peak_usage();
            let before = ALLOCATED.current_usage();
            let options = Options { force_framed, interpret, divide: Some(LARGE), ..common::options() };
            let refused = translate(&wasm, &options).err();
            let needed = ALLOCATED.peak_usage() - before;
            // Text alone is up to 64 bytes for each byte of the module.
            let most = (32 << 20) + 512 * wasm.len();
            assert!(needed <= most, "{what}: {needed} bytes for a module of {} bytes; {refused:?}", wasm.len());
        }
    }
}

#[test]
fn deep_nesting_is_translated_or_refused() {
    for (depth, fits) in [(4000, true), (6000, false)] {
        let wasm = Module::one(0, [repeat(depth, &BLOCK), repeat(depth, &[END])].concat()).bytes();
        let result = translate(&wasm, &common::options());
        assert_eq!(result.is_ok(), fits, "{depth}: {:?}", result.err());
    }
}
