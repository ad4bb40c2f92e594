//! Random programs: options, modules of `wasm-smith`, and calls with different arguments in each VM.

use crate::case::{Case, Request, STATE, Setup, of_bits};
use arbitrary::Unstructured;
use fastrand::Rng;
use std::fmt::Write;
use std::ops::Range;
use vectorvisor::translate::wasm::Module;
use vectorvisor::{Opt, ValType, Value};
use wasm_smith::{Config, InstructionKind, InstructionKinds, MemoryOffsetChoices};

/// Modules in a linked program.
const LINKED: usize = 24;

/// A program: its options and modules.
#[derive(Debug)]
pub struct Program {
    pub setup: Setup,
    pub cases: Vec<Case>,
}

/// The program of a seed.
pub fn program(seed: u64) -> Result<Program, String> {
    let mut rng = Rng::with_seed(seed);
    let linked = rng.bool();
    let natural = !linked && rng.bool();
    let setup = Setup {
        // Exact traps check each access by itself and ignore alignment hints.
        exact: !natural && rng.bool(),
        capacity: rng.u32(..5) == 0,
        interpret: rng.u32(..4) == 0,
        framed: rng.u32(..4) == 0,
        divide: (rng.u32(..3) == 0).then(|| rng.u32(4..80)),
        lanes: if rng.u32(..5) == 0 { 64 } else { 32 },
        interleave: [0, 4, 8, 16, 32][rng.usize(..5)],
        stack: [4096, 65536, 1 << 20][rng.usize(..3)],
        without: Opt::ALL.iter().filter(|_| rng.u32(..4) == 0).map(|(_, opt)| *opt).collect(),
        with: Opt::ALL.iter().filter(|(_, opt)| !opt.on_by_default() && rng.bool()).map(|(_, opt)| *opt).collect(),
        linked,
        natural,
    };
    let cases: Result<Vec<Case>, String> =
        (0..if linked { LINKED } else { 1 }).map(|_| case(&mut rng, &setup)).collect();
    Ok(Program { setup, cases: cases? })
}

fn case(rng: &mut Rng, setup: &Setup) -> Result<Case, String> {
    // With framed functions each call is a launch.
    let fuel = if setup.framed { 60 } else { rng.i32(20..2000) };
    let smith = smith(rng, setup.linked, fuel as u32)?;
    // Address masks with which all hints hold, some break, or most break.
    let mask = setup.natural.then(|| [0xff8, 0xff8, 0xffc, 0xffe, 0xfff][rng.usize(..5)]);
    let own: Vec<String> = (0..if setup.natural { 4 } else { 0 })
        .map(|number| match rng.u32(..3) {
            0 => strided(rng, number),
            1 => block(rng, number),
            _ => table_lookup(rng, number),
        })
        .collect();
    let wasm = observable(&smith.0, smith.1, fuel, mask, &own)?;
    let module = Module::decode(&wasm, false).map_err(|e| e.to_string())?;
    let head = if setup.natural { ONCE } else { CALL };
    let mut functions: Vec<&(String, u32)> = module.exports.iter().filter(|(name, _)| name.starts_with(head)).collect();
    if setup.natural {
        // Each function needs a fleet of its own.
        rng.shuffle(&mut functions);
        functions.sort_by_cached_key(|(name, _)| !name.contains(OWN) || rng.bool());
        functions.truncate(4);
    }
    let rounds = if setup.natural { 1 } else { rng.usize(2..8) };
    let calls = (0..setup.vms())
        .map(|_| {
            let mut calls: Vec<Request> = (0..rounds)
                .map(|_| {
                    let (export, f) = functions[rng.usize(..functions.len())];
                    let args = module.signature(*f).params.iter().map(|ty| argument(rng, *ty)).collect();
                    Request { export: export.clone(), args }
                })
                .collect();
            if !setup.natural {
                calls.push(Request { export: STATE.into(), args: Vec::new() });
            }
            calls
        })
        .collect();
    Ok(Case { wasm, calls })
}

/// A module of wasm-smith, and the index of the global that holds its remaining fuel.
pub fn smith(rng: &mut Rng, small: bool, fuel: u32) -> Result<(Vec<u8>, u32), String> {
    let mut bytes = vec![0; if small { rng.usize(500..4000) } else { rng.usize(8_000..60_000) }];
    rng.fill(&mut bytes);
    let kinds = [
        InstructionKind::Numeric,
        InstructionKind::Parametric,
        InstructionKind::Variable,
        InstructionKind::Table,
        InstructionKind::Memory,
        InstructionKind::Control,
    ];
    let config = Config {
        allowed_instructions: InstructionKinds::new(&kinds),
        allow_floats: rng.u32(..5) != 0,
        canonicalize_nans: true,
        disallow_traps: rng.u32(..3) != 0,
        bulk_memory_enabled: true,
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        compact_imports_enabled: false,
        max_imports: 0,
        max_exports: 2,
        min_types: 1,
        max_types: 12,
        min_funcs: if small { 1 } else { 8 },
        max_funcs: if small { 5 } else { 40 },
        max_instructions: if small { rng.usize(20..120) } else { rng.usize(50..400) },
        max_globals: 8,
        min_memories: u32::from(rng.u32(..5) != 0),
        max_memories: 1,
        max_memory32_bytes: if small { 2 << 16 } else { 8 << 16 },
        memory_max_size_required: true,
        memory_offset_choices: MemoryOffsetChoices(80, 19, 1),
        min_tables: u32::from(rng.u32(..4) != 0),
        max_tables: 1,
        max_table_elements: 24,
        min_element_segments: 1,
        max_element_segments: 6,
        max_elements: 16,
        max_data_segments: 6,
        ..Config::default()
    };
    let mut module =
        wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).map_err(|e| format!("wasm-smith: {e}"))?;
    let counter = module.ensure_termination(fuel).map_err(|e| format!("wasm-smith: {e}"))?;
    Ok((module.to_bytes(), counter))
}

/// The prefix of exports that refill the fuel and call a function.
const CALL: &str = "call.";
/// The prefix of exports that also return what [`STATE`] returns.
const ONCE: &str = "once.";

/// The module with more exports: two that call each function, and [`STATE`], which returns a hash of the memory, its
/// size in pages, and all globals. With a `mask` its accesses are in the first 8 KiB, at addresses under this mask, it
/// has more of them, and it has the functions `accesses`.
fn observable(wasm: &[u8], counter: u32, fuel: i32, mask: Option<u32>, accesses: &[String]) -> Result<Vec<u8>, String> {
    let module = Module::decode(wasm, false).map_err(|e| format!("a module of wasm-smith: {e}"))?;
    let text = wasmprinter::print_bytes(wasm).map_err(|e| e.to_string())?;
    let own = module.functions.len();
    // Promotion and demotion may give a NaN any payload, so these functions canonicalise it.
    let text = text.replace("f32.demote_f64", &format!("call {own}"));
    let text = text.replace("f64.promote_f32", &format!("call {}", own + 1));
    let mut more = "\
(func (param f64) (result f32) (local f32)
  (local.set 1 (f32.demote_f64 (local.get 0)))
  (select (local.get 1) (f32.const nan) (f32.eq (local.get 1) (local.get 1))))
(func (param f32) (result f64) (local f64)
  (local.set 1 (f64.promote_f32 (local.get 0)))
  (select (local.get 1) (f64.const nan) (f64.eq (local.get 1) (local.get 1))))\n"
        .to_string();
    let mut first = own + 2;
    let mut text = text;
    if let (Some(mask), false) = (mask, module.memories.is_empty()) {
        let global = module.globals.len();
        let _ = writeln!(more, "(global (mut i32) (i32.const {mask}))");
        if module.memories[0].min > 0 {
            // Not zeros, which would be the right value at a wrong address too.
            let bytes = |range: Range<u32>| -> String {
                range.map(|i| format!("\\{:02x}", i.wrapping_mul(0x9e37_79b1) >> 24)).collect()
            };
            let _ = writeln!(more, "(data (i32.const 0) \"{}\")", bytes(0..0x2000));
            let _ = writeln!(more, "(data $.rodata (i32.const {READ_ONLY}) \"{}\")", bytes(READ_ONLY..0x2000));
        }
        text = masked(&text, [global, counter as usize], first, &mut more);
        first += STORES.len();
    }
    // After all functions that are called by index.
    let accesses = if module.memories.is_empty() { String::new() } else { accesses.concat() };
    let list = |types: &[ValType]| types.iter().map(|ty| format!(" {}", name(*ty))).collect::<String>();
    let types: Vec<ValType> = module.globals.iter().map(|g| g.ty).collect();
    let globals = list(&types);
    for f in 0..own as u32 {
        let ty = module.signature(f);
        let args: String = (0..ty.params.len()).map(|i| format!(" (local.get {i})")).collect();
        let (params, results) = (list(&ty.params), list(&ty.results));
        let state = first + 2 * own;
        let _ = writeln!(
            more,
            "(func (export \"{CALL}{f}\") (param{params}) (result{results}) \
             (global.set {counter} (i32.const {fuel})) (call {f}{args}))\n\
             (func (export \"{ONCE}{f}\") (param{params}) (result{results} i64 i32{globals}) \
             (global.set {counter} (i32.const {fuel})) (call {f}{args}) (call {state}))"
        );
    }
    let read: String = (0..types.len()).map(|i| format!(" (global.get {i})")).collect();
    let (hash, pages) = if module.memories.is_empty() { ("", "(i32.const 0)") } else { (HASH, "(memory.size)") };
    let _ = writeln!(
        more,
        "(func (export \"{STATE}\") (result i64 i32{globals}) (local $at i32) (local $hash i64)\n{hash}\n\
         (local.get $hash) {pages}{read})"
    );
    let open = text.trim_end().strip_suffix(')').ok_or("a module's text does not end with a parenthesis")?;
    vectorvisor::to_wasm(format!("{open}{more}{accesses})").as_bytes())
        .map(|w| w.into_owned())
        .map_err(|e| e.to_string())
}

/// Part of the names of functions that are not wasm-smith's.
const OWN: &str = "own";

/// A function that loads and stores adjacent words in several orders, with computations in between.
fn block(rng: &mut Rng, number: u32) -> String {
    let (ty, bytes) = [("i32", 4), ("i64", 8)][rng.usize(..2)];
    let widen = |value: String| if bytes == 4 { format!("(i64.extend_i32_u {value})") } else { value };
    let vars = rng.u32(4..14);
    let mut text = String::new();
    let between = |rng: &mut Rng, text: &mut String| {
        let (a, b) = (rng.u32(..vars), rng.u32(..vars));
        *text += &match rng.u32(..24) {
            0..8 => format!(
                "(local.set $s (i64.add (i64.rotl (local.get $s) (i64.const 7)) {}))",
                widen(format!("(local.get $v{a})"))
            ),
            8..11 => format!("(local.set $v{a} ({ty}.add (local.get $v{a}) (local.get $v{b})))"),
            11 => "(local.set $p (i32.add (local.get $p) (i32.const 8)))".into(),
            _ => String::new(),
        };
        *text += "\n";
    };
    let first = [(); 2].map(|()| rng.u32(..20) * [16, 16, 8, 4][rng.usize(..4)]);
    for (op, base) in [("load", "$p"), ("store", "$q"), ("load", "$q"), ("store", "$p"), ("load", "$p")] {
        let first = first[usize::from(base == "$q")];
        // A block of its own, so that the translator does not move loads across.
        text += &format!("(if (i32.or (local.get {base}) (i32.const 1)) (then\n");
        let mut places: Vec<u32> = (0..vars).collect();
        match rng.u32(..4) {
            0 => places.reverse(),
            1 => rng.shuffle(&mut places),
            2 => places[rng.usize(..vars as usize)] = rng.u32(..vars),
            _ => {}
        }
        for (v, place) in (0..vars).zip(places) {
            let at = first + bytes * place;
            let plus = if rng.bool() { 0 } else { rng.u32(..=at) };
            let address = format!("offset={} (i32.add (local.get {base}) (i32.const {plus}))", at - plus);
            text += &match op {
                "load" => format!("(local.set $v{v} ({ty}.load {address}))"),
                _ => format!("({ty}.store {address} ({ty}.xor (local.get $v{v}) (local.get $v{})))", rng.u32(..vars)),
            };
            between(rng, &mut text);
        }
        text += "))\n";
    }
    let align = |var: &str, mask: u32| format!("(local.set {var} (i32.and (local.get {var}) (i32.const {mask})))");
    let mut mask = || [0xff8, 0x1ff0, 0x1ff0, 0xfff0, 0x1_fff8, 0xffc][rng.usize(..6)];
    let (p, q) = (mask(), mask());
    let locals: String = (0..vars).map(|v| format!(" (local $v{v} {ty})")).collect();
    let sum: String = (0..vars)
        .map(|v| {
            format!(
                "(local.set $s (i64.add (i64.rotl (local.get $s) (i64.const 9)) {}))\n",
                widen(format!("(local.get $v{v})"))
            )
        })
        .collect();
    format!(
        "(func (export \"{ONCE}{OWN}{number}\") (param $p i32) (param $q i32) (result i64) (local $s i64){locals}
          {} {} {text} {sum} (local.get $s))\n",
        align("$p", p),
        align("$q", q)
    )
}

/// A function with a loop whose loads have constant strides, some beyond either end of memory: the translator checks
/// such addresses once for many iterations.
fn strided(rng: &mut Rng, number: u32) -> String {
    const LOADS: [(&str, bool); 7] = [
        ("i32.load", true),
        ("i32.load8_u", true),
        ("i32.load16_s", true),
        ("i64.load", false),
        ("i64.load8_s", false),
        ("i64.load16_u", false),
        ("i64.load32_u", false),
    ];
    const STEPS: [i32; 12] = [1, 2, 4, 8, 12, 64, 4096, -1, -2, -4, -8, -3];
    let mut step = |var: &str| {
        let by = STEPS[rng.usize(..STEPS.len())];
        format!("(local.set {var} (i32.add (local.get {var}) (i32.const {by})))")
    };
    let mut body = vec![step("$p"), step("$q")];
    // Near the end of a memory of one to three pages.
    let far = (rng.u32(1..4) << 16) - rng.u32(..1200);
    for _ in 0..rng.usize(1..5) {
        let (op, narrow) = LOADS[rng.usize(..LOADS.len())];
        let near = rng.i32(-40..40) * [1, 4, 8, 32][rng.usize(..4)];
        let address = match rng.u32(..6) {
            0 => "(local.get $p)".into(),
            1 => format!("(i32.sub (local.get $p) (i32.const {near}))"),
            2 => "(i32.add (local.get $p) (local.get $q))".into(),
            3 => format!("(i32.shl (local.get $p) (i32.const {}))", rng.u32(..4)),
            _ => format!("(i32.add (local.get $p) (i32.const {near}))"),
        };
        let offset = [0, rng.u32(..64), rng.u32(..9000), far, far][rng.usize(..5)];
        let load = format!("({op} offset={offset} {address})");
        let load = if narrow { format!("(i64.extend_i32_u {load})") } else { load };
        let add = format!("(local.set $s (i64.add (i64.rotl (local.get $s) (i64.const 7)) {load}))");
        let add = match rng.u32(..8) {
            // Not in each iteration.
            0 => format!("(if (i64.eqz (i64.and (local.get $s) (i64.const 1))) (then {add}))"),
            1 => format!(
                "(if (i32.and (local.get $n) (i32.const 3)) (then (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))) {add}"
            ),
            _ => add,
        };
        body.insert(rng.usize(..=body.len()), add);
    }
    format!(
        "(func (export \"{ONCE}{OWN}{number}\") (param $p i32) (param $n i32) (result i64) (local $s i64) (local $q i32)
          (local.set $n (i32.add (i32.and (local.get $n) (i32.const 1023)) (i32.const 1)))
          (loop $more {}
            (br_if $more (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))))
          (local.get $s))\n",
        body.join("\n")
    )
}

/// A function that loads from the read-only data, and stores near it or into it.
fn table_lookup(rng: &mut Rng, number: u32) -> String {
    let place = format!("(i32.add (i32.and (local.get $p) (i32.const 0x1f8)) (i32.const {}))", READ_ONLY - 0x100);
    let store = match rng.u32(..4) {
        0 => format!("(i32.store8 offset={} {place} (local.get $n))", rng.u32(..8)),
        1 => format!("(i64.store {place} (local.get $s))"),
        2 => format!("(memory.fill {place} (local.get $n) (i32.const {}))", rng.u32(..40)),
        _ => format!("(memory.copy {place} (local.get $n) (i32.const {}))", rng.u32(..40)),
    };
    format!(
        "(func (export \"{ONCE}{OWN}{number}\") (param $p i32) (param $n i32) (result i64) (local $s i64)
          (local.set $n (i32.add (i32.and (local.get $n) (i32.const 255)) (i32.const 1)))
          (loop $more
            (local.set $s (i64.add (i64.rotl (local.get $s) (i64.const 7))
              (i64.load offset={READ_ONLY} (i32.and (i32.add (local.get $p) (i32.shl (local.get $n) (i32.const 3))) (i32.const 0x78)))))
            (if (i32.eq (i32.and (local.get $n) (i32.const 63)) (i32.const {})) (then {store}))
            (br_if $more (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))))
          (local.get $s))\n",
        rng.u32(..64)
    )
}

/// Where the read-only data begins; it ends at 8 KiB. Few masked addresses are in it.
const READ_ONLY: u32 = 0xf80;

/// Store instructions, each with the type of its value.
const STORES: [(&str, &str); 9] = [
    ("i32.store", "i32"),
    ("i32.store8", "i32"),
    ("i32.store16", "i32"),
    ("i64.store", "i64"),
    ("i64.store8", "i64"),
    ("i64.store16", "i64"),
    ("i64.store32", "i64"),
    ("f32.store", "f32"),
    ("f64.store", "f64"),
];

/// The text with all addresses masked by a global, whose value the translator cannot know. Loads are masked in place.
/// Stores, whose address is below the value on the stack, become calls of functions from index `first` on. And half of
/// the integer constants become loads from addresses that depend on the counter.
fn masked(text: &str, [mask, counter]: [usize; 2], first: usize, more: &mut String) -> String {
    for (store, ty) in STORES {
        let address = format!("(i32.and (local.get 0) (global.get {mask}))");
        let _ = writeln!(more, "(func (param i32 {ty}) ({store} {address} (local.get 1)))");
    }
    let mut lines = String::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let op = words.next().unwrap_or_default();
        let _ = if let Some(i) = STORES.iter().position(|(store, _)| *store == op) {
            writeln!(lines, "call {}", first + i)
        } else if op.contains(".load") {
            let offset = words.find_map(|word| word.strip_prefix("offset=")?.parse::<u32>().ok()).unwrap_or(0);
            writeln!(lines, "global.get {mask}\ni32.and\n{op} offset={}", offset & 0xff8)
        } else if matches!(op, "i32.const" | "i64.const") && number % 2 == 0 && words.next() != Some("1") {
            // The constant 1 stays: the fuel counter is decremented by it.
            let (address, load) = (number.wrapping_mul(0x9e37) & 0xfff, op.replace("const", "load"));
            // A third is always in the read-only data, where stores go too.
            let (and, offset) = match number % 12 {
                0 => ("i32.const 0".to_string(), READ_ONLY + (address & 0x78) as u32),
                2 => ("i32.const 0x78".to_string(), READ_ONLY),
                _ => (format!("global.get {mask}"), 0),
            };
            writeln!(
                lines,
                "global.get {counter}\ni32.const {address}\ni32.xor\n{and}\ni32.and\n{load} offset={offset}"
            )
        } else {
            writeln!(lines, "{line}")
        };
    }
    lines
}

const HASH: &str = "
(local.set $at (i32.shl (memory.size) (i32.const 16)))
(block (loop
  (br_if 1 (i32.eqz (local.get $at)))
  (local.set $at (i32.sub (local.get $at) (i32.const 8)))
  (local.set $hash (i64.mul (i64.const 0x9e3779b97f4a7c15)
    (i64.rotl (i64.xor (local.get $hash) (i64.load (local.get $at))) (i64.const 23))))
  (br 0)))";

fn name(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
    }
}

/// Edge cases of integers.
const EDGES: [u64; 12] =
    [0, 1, 2, 31, 32, 63, 65535, 65536, 0x7fff_ffff, 0x8000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000];
/// Edge cases of f32, as bits.
const EDGES32: [u32; 10] = [
    0,
    0x8000_0000,
    0x3f80_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x7fa0_0001,
    0x0000_0001,
    0x4f00_0000,
    0xcf00_0000,
];

fn argument(rng: &mut Rng, ty: ValType) -> Value {
    let bits = match (rng.u32(..4), ty) {
        (0, _) => rng.u64(..),
        (1, ValType::F32) => EDGES32[rng.usize(..EDGES32.len())].into(),
        (1, ValType::F64) => f64::from(f32::from_bits(EDGES32[rng.usize(..EDGES32.len())])).to_bits(),
        (1, _) => EDGES[rng.usize(..EDGES.len())].wrapping_neg().wrapping_add(rng.u64(..3)),
        (2, _) => EDGES[rng.usize(..EDGES.len())],
        (_, ValType::F32) => (rng.i32(-300..300) as f32 / 4.0).to_bits().into(),
        (_, ValType::F64) => (f64::from(rng.i32(-300..300)) / 4.0).to_bits(),
        _ => rng.u64(..4096),
    };
    of_bits(ty, bits)
}
