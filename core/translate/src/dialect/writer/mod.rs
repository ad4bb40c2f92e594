//! Writes a program as text: the header here; functions and dispatchers, statements, and calls in their own files.

use super::expr::{ctype, from_bits, to_bits};
use super::parts::Parts;
use super::{Dialect, Printer};
use crate::abi::{
    HAS_ANSWERED, HAS_REQUEST, Par, SAW_INPUT, STOP_AT_INVOKE, STOP_TIME, Status, TIME_STEP, TrapKind, Word, files,
};
use crate::analysis::{Changes, Colours, World, changes, may_stop};
use crate::bytecode::Code;
use crate::host::{CALLS, Call, FilesAt, HostCall};
use crate::ir::{Body, Callee, Program, Stmt, walk};
use crate::layout::{GUARD_STEP, Layout};
use crate::{Bounds, Clock, Error, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// States in one switch. NVRTC's time grows with the square of a switch's calls: 19 s for one of 4,500 states, 3 s in
/// such pieces, and more than 4 GiB and two minutes for one of 22,000.
const SWITCH: u32 = 256;
/// The same in C: gcc takes a second for 4,096.
const SWITCH_C: u32 = 4096;
/// Elements of a table in constant memory.
const CONSTANT: usize = 1024;
/// Most statements of a leaf function that is inlined everywhere.
const SMALL: usize = 24;

/// Ifs and loops deeper than this in a function are printed without braces, as jumps to labels: Clang refuses more than
/// 256 nested brackets, and one expression may have 100. The jumps follow the structured control flow, so that a
/// compiler finds the same loops.
const BRACES: usize = 64;

/// Header and units, of so many bytes at most; with `code` those of an interpreter.
///
/// # Errors
/// They would be larger.
pub fn write(
    program: &Program,
    colours: &Colours,
    layout: &Layout,
    options: &Options,
    code: Option<(&Code, u64)>,
    most: usize,
) -> Result<(String, Vec<String>), Error> {
    let stops = may_stop(program, &colours.graph, options.traps);
    let changes = changes(program, &colours.graph, layout.natural || !stray_stops(options));
    let w = Writer { p: program, c: colours, l: layout, o: options, code, stops, changes, most };
    w.all()
}

struct Writer<'a> {
    p: &'a Program,
    c: &'a Colours,
    l: &'a Layout,
    o: &'a Options,
    /// For an interpreter: the program's code, and where it lies behind the data segments.
    code: Option<(&'a Code, u64)>,
    stops: Vec<bool>,
    changes: Changes,
    most: usize,
}

/// A check that fails ends the VM at once, by a branch, instead of leading the access to the guard.
fn stray_stops(options: &Options) -> bool {
    options.target.thread_exit && options.target.cheap_branches
}

/// Printing one function or state.
struct Scope<'a> {
    body: &'a Body,
    function: u32,
    /// The function of the module that traps name.
    reported: u32,
    /// An operation of the interpreter, so both are known only when it runs.
    interpreted: bool,
    /// The statement that leaves the function after the VM has stopped.
    leave: &'static str,
    framed: bool,
    refresh: bool,
    /// The fuel is in a variable.
    fuel: bool,
    out: String,
    /// Open braces, or nearly: some statements open one or two more of their own.
    depth: usize,
    /// How many ifs were printed without braces; numbers their labels.
    flat: u32,
}

macro_rules! line {
    ($s:expr, $($t:tt)*) => {{
        // Deeper nests are not indented further: the text of a hostile program would be of quadratic size.
        for _ in 0..$s.depth.min(20) { $s.out.push_str("  "); }
        // Writing to a String cannot fail.
        let _ = writeln!($s.out, $($t)*);
    }};
}

mod calls;
mod functions;
mod interpreter;
mod stmt;

fn join(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

impl Scope<'_> {
    /// The arguments of a halt that say where: function, and offset in the module.
    fn site(&self, at: u32) -> String {
        if self.interpreted { "vv_function(vm, pc), VV_SITE(pc)".into() } else { format!("{}u, {at}u", self.reported) }
    }

    /// Where checks find the fuel.
    fn at_fuel(&self) -> &'static str {
        if self.fuel { "&fuel" } else { "&vm->fuel" }
    }

    /// Writes the fuel back, before other code reads it.
    fn put(&self) -> &'static str {
        if self.fuel { "vm->fuel = fuel; " } else { "" }
    }
}

impl Writer<'_> {
    fn all(&self) -> Result<(String, Vec<String>), Error> {
        let mut header = self.defines();
        header.push_str(Printer::of(self.o.target).prelude());
        for part in [
            include_str!("../prelude/numeric.h"),
            include_str!("../prelude/memory.h"),
            include_str!("../prelude/vm.h"),
            include_str!("../prelude/host.h"),
        ] {
            header.push('\n');
            header.push_str(part);
        }
        if self.c.files == FilesAt::Device {
            header.push('\n');
            header.push_str(include_str!("../prelude/files.h"));
        }
        if self.o.profile {
            header.push('\n');
            header.push_str(Printer::of(self.o.target).leads());
            header.push_str(include_str!("../prelude/profile.h"));
        }
        let mut parts = Parts::default();
        self.table(&mut header, &mut parts);
        if let Some((code, at)) = self.code {
            let _ = writeln!(header, "#define VV_CODE_AT {at}u");
            let last = [&self.interpreter(code)[..], include_str!("../prelude/kernels.h")];
            return Ok(parts.units(header, &last, true));
        }

        let mut bytes = 0;
        let mut dispatched: BTreeSet<u32> = BTreeSet::new();
        let mut entered: BTreeSet<(u32, u8)> = BTreeSet::new();
        for (i, function) in self.p.functions.iter().enumerate() {
            let i = i as u32;
            let before = parts.bodies.len();
            for stmts in function.lists() {
                walk(stmts, &mut |s| match s {
                    Stmt::Call { callee: Callee::Table { ty, .. }, .. } => {
                        dispatched.insert(*ty);
                    }
                    Stmt::CallNested { callee: Callee::Table { ty, .. }, .. } => {
                        entered.insert((*ty, World::Lower as u8));
                    }
                    Stmt::CallFramed { callee: Callee::Table { ty, .. }, .. } => {
                        entered.insert((*ty, self.c.world(i) as u8));
                    }
                    _ => {}
                });
            }
            if let Some(body) = &function.states {
                let first = self.l.states[&i];
                for (n, stmts) in body.states.iter().enumerate() {
                    let head = format!("u32 st{}(VM *vm)", first + n as u32);
                    parts.add(&head, self.state(i, body, n, stmts, &head));
                }
            }
            if let Some(body) = &function.body {
                let head = self.signature(i);
                if function.part_of.is_some() {
                    parts.divided = true;
                }
                if is_small(body) {
                    parts.small.push((format!("fn{i}"), self.direct(i, body, &format!("VV_SMALL {head}"))));
                } else {
                    parts.add(&head, self.direct(i, body, &format!("VV_FN {head}")));
                }
            }
            bytes += parts.bodies[before..].iter().map(String::len).sum::<usize>();
            if bytes > self.most {
                return Err(Error::Limit(format!(
                    "the program is too large: up to function {i} ({}) it becomes more than {} bytes of text",
                    function.name(),
                    self.most
                )));
            }
            for state in self.l.upper.get(&i).into_iter().chain(self.l.lower.get(&i)) {
                let head = format!("u32 st{state}(VM *vm)");
                parts.add(&head, self.adapter(i, &head));
            }
        }
        let types: BTreeSet<u32> = dispatched.iter().copied().chain(entered.iter().map(|(ty, _)| *ty)).collect();
        for ty in types.into_iter().filter(|_| self.o.profile) {
            let head = format!("void ct{ty}(VM *vm, u32 i, u32 first)");
            parts.add(&head, self.counter(ty, &head));
        }
        for ty in dispatched {
            let head = self.dispatcher_signature(ty);
            parts.add(&head, self.dispatcher(ty, &head));
        }
        for (ty, world) in entered {
            let world = if world == World::Lower as u8 { World::Lower } else { World::Upper };
            let head = format!("u32 {}{ty}(VM *vm, u32 i, u32 func, u32 at)", entry_dispatcher(world));
            parts.add(&head, self.entry_dispatcher(ty, world, &head));
        }
        let trampolines = self.trampolines(&mut parts);
        let costly = self.o.target.language != crate::Language::C;
        Ok(parts.units(header, &[&trampolines, include_str!("../prelude/kernels.h")], costly))
    }

    fn defines(&self) -> String {
        let plan = &self.l.plan;
        let mut d = String::new();
        let mut def = |name: &str, value: u64, suffix: &str| {
            let _ = writeln!(d, "#define {name} {value}{suffix}");
        };
        def("VV_LANES", plan.lanes.into(), "u");
        def("VV_LOG_LANES", plan.lanes.trailing_zeros().into(), "");
        def("VV_CELL", plan.cell.into(), "");
        def("VV_LINEAR", (plan.lanes == 1 || plan.cell == 0).into(), "");
        def("VV_PAIRS", self.paired().into(), "");
        def("VV_HEAD", plan.head, "u");
        def("VV_SLOT_AT", plan.slot_at, "u");
        def("VV_SLOT", plan.slot, "u");
        def("VV_MEMORY_AT", plan.memory_at, "u");
        def("VV_LIMIT", plan.memory_limit, "u");
        def("VV_DECLARED_PAGES", self.p.memory.declared >> 16, "u");
        // Memory that a VM can reach must not show what an earlier VM left there; `memory.grow` clears the rest.
        let reached = match self.o.bounds {
            Bounds::Size => plan.memory_initial,
            Bounds::Capacity | Bounds::None => plan.memory_limit,
        };
        def("VV_RESET_END", reached, "u");
        def("VV_FIXED", (!self.p.memory.grows || self.o.bounds != Bounds::Size).into(), "");
        def("VV_INITIAL", plan.memory_initial, "u");
        def("VV_GUARD_STEP", GUARD_STEP, "u");
        let again = self.o.native_stack > 0;
        def("VV_STACK", if again { self.o.native_stack } else { self.o.stack }.into(), "u");
        if self.c.files == FilesAt::Device {
            def("VV_DESCRIPTORS", files::DESCRIPTORS.into(), "u");
            def("VV_DESCRIPTORS_AT", self.l.descriptors.into(), "u");
        }
        if let Some(shared) = &self.p.shared {
            def("VV_SHARED_AT", shared.start.into(), "u");
            def("VV_SHARED_END", shared.end.into(), "u");
        }
        let words = [
            ("STATUS", Word::Status),
            ("WHERE", Word::Where),
            ("STATE", Word::State),
            ("FUEL", Word::Fuel),
            ("OUT", Word::Out),
            ("MEMORY", Word::Memory),
            ("FRAME", Word::Frame),
            ("STDIN", Word::Stdin),
            ("CLOCK", Word::Clock),
            ("RANDOM", Word::Random),
            ("REQUEST", Word::Request),
            ("TIME", Word::Time),
            ("KEY", Word::Key),
            ("INPUT_OFFSET", Word::InputOffset),
            ("INPUT_LENGTH", Word::InputLength),
            ("MESSAGE_OFFSET", Word::MessageOffset),
            ("MESSAGE_LENGTH", Word::MessageLength),
            ("RESET", Word::Reset),
            ("EDGES_DIRECT", Word::EdgesDirect),
            ("EDGES_STATE", Word::EdgesState),
            ("EDGES_FRAMED", Word::EdgesFramed),
            ("ENVIRONMENT", Word::Environment),
        ];
        for (name, word) in words {
            def(&format!("VV_WORD_{name}"), word as u64, "");
        }
        if self.o.profile {
            def("VV_WORD_VISITS", Word::Visits as u64, "");
            def("VV_WORD_WARP_VISITS", Word::WarpVisits as u64, "");
        }
        let pars = [
            ("VMS", Par::Vms),
            ("OUT", Par::OutCapacity),
            ("LOW", Par::ImageLow),
            ("SPANS", Par::ImageSpans),
            ("SPANS_AT", Par::ImageSpansAt),
            ("SEGMENTS", Par::SegmentsAt),
            ("SEGMENT_COUNT", Par::Segments),
            ("SLICE", Par::FuelSlice),
            ("REGION", Par::Region),
            ("FRAMES", Par::Frames),
            ("WIDTH", Par::Width),
            ("FRAMES_AT", Par::FramesAt),
            ("MEMORY", Par::Memory),
            ("IMAGE_SIZE", Par::ImageSize),
            ("IMAGE_FRAMES_AT", Par::ImageFramesAt),
            ("IMAGE_FRAMES", Par::ImageFrames),
            ("LIMIT", Par::Limit),
        ];
        for (name, par) in pars {
            def(&format!("VV_PAR_{name}"), par as u64, "");
        }
        let statuses = [
            ("START", Status::Start),
            ("RUN", Status::Run),
            ("EXITED", Status::Exit),
            ("TRAP", Status::Trap),
            ("CALL", Status::Call),
            ("FULL", Status::Full),
            ("STOP", Status::Stopped),
            ("OUT_OF_FUEL", Status::Fuel),
            ("VIOLATED", Status::Violated),
            ("OUTGROWN", Status::Outgrown),
            ("ANSWERED", Status::Answered),
            ("TOO_LONG", Status::TooLong),
            ("UNANSWERED", Status::Unanswered),
            ("LATE", Status::Late),
            ("DEEP", Status::Deep),
        ];
        for (name, status) in statuses {
            def(&format!("VV_{name}"), status as u64, "u");
        }
        for kind in TrapKind::ALL {
            def(&format!("VV_{}", trap_name(kind)), kind as u64, "u");
        }
        def("VV_SAW_INPUT", SAW_INPUT, "ul");
        def("VV_HAS_REQUEST", HAS_REQUEST, "ul");
        def("VV_HAS_ANSWERED", HAS_ANSWERED, "ul");
        def("VV_STOP_AT_INVOKE", STOP_AT_INVOKE, "ul");
        def("VV_EFAULT", 21, "u");
        def("VV_STOP_TIME", STOP_TIME as u64, "");
        let resolution = if self.o.target.clock == Clock::Kept { TIME_STEP } else { 1 };
        def("VV_CLOCK_RES", resolution, "u");
        let mut flag = |on: bool, name: &str| {
            if on {
                let _ = writeln!(d, "#define {name} 1");
            }
        };
        flag(plan.wide, "VV_WIDE");
        flag(self.o.target.thread_exit, "VV_THREAD_EXIT");
        flag(self.o.target.clock == Clock::Device, "VV_TIMER");
        flag(self.o.target.cheap_branches, "VV_BRANCHY");
        flag(self.o.target.resets_together(plan), "VV_RESET_TOGETHER");
        flag(self.stray_stops(), "VV_STRAY_STOPS");
        flag(self.c.recurse(), "VV_RECURSES");
        flag(self.c.recurse() && again, "VV_DEEP_AGAIN");
        flag(self.l.natural, "VV_NATURAL");
        flag(self.o.profile, "VV_PROFILE");
        flag(self.o.force_framed, "VV_FORCE");
        flag(self.c.remote, "VV_REMOTE");
        flag(self.c.keeps, "VV_KEEPS");
        flag(self.c.files.with_host(), "VV_FILES");
        flag(self.c.files == FilesAt::Device, "VV_FILES_HERE");
        let used = host_calls(self.p);
        let tells_time = used.iter().any(|call| call.call == Call::ClockTimeGet);
        flag(tells_time && !self.c.asks_clock(), "VV_CLOCK");
        for call in used {
            flag(true, &format!("VV_HAS_{}", call.symbol));
        }
        // Mutable globals, and the results of multi-value functions, live in the VM's private struct.
        let (mut fields, mut loads, mut saves) = (String::new(), String::new(), String::new());
        // An interpreter finds them in the head.
        for (g, at) in self.l.globals.iter().filter(|_| self.code.is_none()) {
            let ty = self.p.globals[*g as usize].ty;
            let _ = write!(fields, "{} g{g}; ", ctype(ty));
            let _ = write!(loads, "vm->g{g} = {}; ", from_bits(ty, &format!("vv_w64(vm->head, {at}u)")));
            let _ = write!(saves, "vv_sw64(vm->head, {at}u, {}); ", to_bits(ty, &format!("vm->g{g}")));
        }
        if self.o.profile {
            // A VM's counters lie together: those of others change at the same time, on other cores.
            let (words, all) = (Word::COUNT, 2 * self.l.points.len());
            fields.push_str("u64 visits; u64 warp_visits; vv_gp64 points; ");
            loads.push_str("vm->visits = 0; vm->warp_visits = 0; ");
            let _ = write!(loads, "vm->points = words + {words} * vm->vms + (u64){all} * thread; ");
            saves.push_str("VV_WORD(vm, VV_WORD_VISITS) = vm->visits; ");
            saves.push_str("VV_WORD(vm, VV_WORD_WARP_VISITS) = vm->warp_visits; ");
        }
        let results = self.p.types.iter().map(|t| t.results.len()).max().unwrap_or(0);
        for i in 1..results {
            let _ = write!(fields, "u64 r{i}; ");
        }
        let _ = writeln!(
            d,
            "#define VV_GLOBALS {fields}\n#define VV_LOAD_GLOBALS {loads}\n#define VV_SAVE_GLOBALS {saves}"
        );
        d
    }

    fn table(&self, header: &mut String, parts: &mut Parts) {
        let t = &self.p.table;
        let _ = writeln!(header, "\n#define VV_TABLE_LENGTH {}u", t.elements.len());
        let mut array = |name: String, word: &str, elements: &[u32]| {
            // CUDA has 64 KiB of constant memory for all units; segments are only copied from.
            let place = if elements.len() <= CONSTANT && !t.mutable { "VV_CONSTANT" } else { "VV_CONSTANT_LARGE" };
            let elements = join(elements.iter().map(|e| format!("{e}u")));
            parts.tables.push((word.to_owned(), format!("{place} u32 {name}[] = {{{elements}}};\n")));
        };
        if t.mutable {
            let _ = writeln!(header, "#define VV_TABLE(i) vv_w32(vm->head, {}u + (i) * 4)", self.l.table);
            for (i, segment) in self.p.elements.iter().enumerate().filter(|(_, s)| !s.is_empty()) {
                let name = format!("vv_elements{i}");
                array(name.clone(), &name, segment);
            }
        } else if !t.elements.is_empty() {
            let _ = writeln!(header, "#define VV_TABLE(i) vv_table[i]");
            array("vv_table".into(), "VV_TABLE", &t.elements);
        } else {
            let _ = writeln!(header, "#define VV_TABLE(i) 0u");
        }
    }

    fn result_type(&self, ty: u32) -> &'static str {
        self.p.types[ty as usize].results.first().map_or("void", |t| ctype(*t))
    }

    fn signature(&self, f: u32) -> String {
        let function = &self.p.functions[f as usize];
        let params = &self.p.types[function.ty as usize].params;
        let params: String = params.iter().enumerate().map(|(i, t)| format!(", {} v{i}", ctype(*t))).collect();
        format!("{} fn{f}(VM *vm{params})", self.result_type(function.ty))
    }

    fn scope<'b>(&self, function: u32, body: &'b Body, leave: &'static str, framed: bool) -> Scope<'b> {
        let reported = self.p.functions[function as usize].part_of.unwrap_or(function);
        let out = String::new();
        Scope {
            body,
            function,
            reported,
            interpreted: false,
            leave,
            framed,
            refresh: false,
            fuel: false,
            out,
            depth: 1,
            flat: 0,
        }
    }

    fn stray_stops(&self) -> bool {
        stray_stops(self.o)
    }

    fn leave(&self, ty: u32) -> &'static str {
        if self.p.types[ty as usize].results.is_empty() { "return" } else { "return 0" }
    }
}

/// The host calls of a program, in the order of their symbols.
pub fn host_calls(program: &Program) -> Vec<&'static HostCall> {
    let mut used = BTreeMap::new();
    for stmts in program.functions.iter().flat_map(|f| f.lists()) {
        walk(stmts, &mut |s| {
            if let Stmt::Ask { call, .. } = s {
                used.insert(CALLS[*call].symbol, &CALLS[*call]);
            }
        });
    }
    used.into_values().collect()
}

/// A leaf that is cheaper inlined than called.
fn is_small(body: &Body) -> bool {
    let mut count = 0;
    let mut leaf = true;
    walk(&body.stmts, &mut |s| {
        count += 1;
        // NVRTC takes 35 s for a switch of 12,000 values that is inlined, and 4 s otherwise.
        if let Stmt::Switch { cases, .. } = s {
            count += cases.iter().map(|(values, _)| values.len()).sum::<usize>();
        }
        leaf &= !matches!(
            s,
            Stmt::Call { .. }
                | Stmt::CallNested { .. }
                | Stmt::Loop { .. }
                | Stmt::Abandon { .. }
                | Stmt::Ask { .. }
                | Stmt::TableInit { .. } // every unit that has the leaf would need its segment
        );
    });
    leaf && count <= SMALL
}

/// A name inside a comment: nothing that could end it, continue the line, or look like a call.
fn comment(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_graphic() && !"*\\?([".contains(c) || c == ' ' { c } else { '_' })
        .take(120)
        .collect()
}

fn trap_name(kind: TrapKind) -> &'static str {
    match kind {
        TrapKind::Unreachable => "UNREACHABLE",
        TrapKind::DivideByZero => "DIVIDE_BY_ZERO",
        TrapKind::IntegerOverflow => "INTEGER_OVERFLOW",
        TrapKind::InvalidConversion => "INVALID_CONVERSION",
        TrapKind::OutOfBoundsMemory => "OUT_OF_BOUNDS_MEMORY",
        TrapKind::OutOfBoundsTable => "OUT_OF_BOUNDS_TABLE",
        TrapKind::UndefinedElement => "UNDEFINED_ELEMENT",
        TrapKind::UninitializedElement => "UNINITIALIZED_ELEMENT",
        TrapKind::IndirectCallType => "INDIRECT_CALL_TYPE",
        TrapKind::StackExhausted => "STACK_EXHAUSTED",
    }
}

/// The name of the function that finds the entry state of a `call_indirect`.
fn entry_dispatcher(world: World) -> &'static str {
    match world {
        World::Upper => "cs",
        World::Lower => "cn",
    }
}
