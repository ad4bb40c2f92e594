//! Functions, dispatchers, states and kernels as text.

use super::expr::{Place as Where, condition, ctype, expr, from_bits, load, store, to_bits, trapping};
use super::parts::Parts;
use super::run::Run;
use super::{Dialect, Printer};
use crate::abi::{Par, Status, TrapKind, Word};
use crate::analysis::{Colours, World, may_stop};
use crate::host::{CALLS, Length, Param, Place};
use crate::ir::{Access, Body, Callee, ExprId, Label, Program, Stmt, Stride, Var, walk};
use crate::layout::{FIRST_STATE, Layout, adapter_frame};
use crate::{Bounds, Error, Options, ValType};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

/// States that one switch runs. NVRTC's time grows with the square of a switch's calls: 19 s for one of 4,500 states, 3 s in such
/// pieces, and more than 4 GiB and two minutes for one of 22,000.
const SWITCH: u32 = 256;
/// Elements of a table in constant memory.
const CONSTANT: usize = 1024;
/// Statements of a leaf that is inlined everywhere.
const SMALL: usize = 24;

/// Header and units, of so many bytes at most.
///
/// # Errors
/// They would be larger.
pub fn write(
    program: &Program,
    colours: &Colours,
    layout: &Layout,
    options: &Options,
    most: usize,
) -> Result<(String, Vec<String>), Error> {
    let stops = may_stop(program, &colours.graph, options.traps);
    let w = Writer { p: program, c: colours, l: layout, o: options, stops, most };
    w.all()
}

struct Writer<'a> {
    p: &'a Program,
    c: &'a Colours,
    l: &'a Layout,
    o: &'a Options,
    stops: Vec<bool>,
    most: usize,
}

/// Printing one function or state.
struct Scope<'a> {
    body: &'a Body,
    function: u32,
    /// How to leave after a stop.
    leave: &'static str,
    framed: bool,
    refresh: bool,
    /// The fuel is in a variable.
    fuel: bool,
    out: String,
    depth: usize,
}

macro_rules! line {
    ($s:expr, $($t:tt)*) => {{
        // Deeper nests are not indented further: the text of a hostile program would be quadratic.
        for _ in 0..$s.depth.min(20) { $s.out.push_str("  "); }
        // Writing to a String cannot fail.
        let _ = writeln!($s.out, $($t)*);
    }};
}

fn join(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

impl Scope<'_> {
    /// Before somebody else reads the fuel.
    fn put(&self) -> &'static str {
        if self.fuel { "vm->fuel = fuel; " } else { "" }
    }
}

impl Writer<'_> {
    fn all(&self) -> Result<(String, Vec<String>), Error> {
        let mut header = self.defines();
        header.push_str(Printer::of(self.o.target).prelude());
        for part in [
            include_str!("prelude/numeric.h"),
            include_str!("prelude/memory.h"),
            include_str!("prelude/vm.h"),
            include_str!("prelude/host.h"),
        ] {
            header.push('\n');
            header.push_str(part);
        }
        let mut parts = Parts::default();
        self.table(&mut header, &mut parts);

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
                    function.name, self.most
                )));
            }
            for state in self.l.upper.get(&i).into_iter().chain(self.l.lower.get(&i)) {
                let head = format!("u32 st{state}(VM *vm)");
                parts.add(&head, self.adapter(i, &head));
            }
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
        let dear = self.o.target.language != crate::Language::C;
        Ok(parts.units(header, &[&trampolines, include_str!("prelude/kernels.h")], dear))
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
        def("VV_REGION", plan.region, if plan.region >> 32 == 0 { "u" } else { "ul" });
        def("VV_FRAMES_AT", plan.frames_at, "u");
        def("VV_FRAMES", plan.frames, "u");
        def("VV_SLOT_AT", plan.slot_at, "u");
        def("VV_SLOT", plan.slot, "u");
        def("VV_MEMORY_AT", plan.memory_at, "u");
        def("VV_CAPACITY", plan.memory_capacity, "u");
        // What a VM can reach must not show what the one before it left; `memory.grow` clears the rest.
        let reached = match self.o.bounds {
            Bounds::Size => plan.memory_initial,
            Bounds::Capacity | Bounds::None => plan.memory_capacity,
        };
        def("VV_RESET_END", reached, "u");
        def("VV_FIXED", (!self.p.memory.grows || self.o.bounds != Bounds::Size).into(), "");
        def("VV_INITIAL", plan.memory_initial, "u");
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
            ("SEED", Word::Seed),
            ("INPUT_OFFSET", Word::InputOffset),
            ("INPUT_LENGTH", Word::InputLength),
            ("MESSAGE_OFFSET", Word::MessageOffset),
            ("MESSAGE_LENGTH", Word::MessageLength),
            ("RESET", Word::Reset),
            ("EDGES_DIRECT", Word::EdgesDirect),
            ("EDGES_STATE", Word::EdgesState),
            ("EDGES_FRAMED", Word::EdgesFramed),
        ];
        for (name, word) in words {
            def(&format!("VV_WORD_{name}"), word as u64, "");
        }
        let pars = [
            ("VMS", Par::Vms),
            ("OUT", Par::OutCapacity),
            ("LOW", Par::ImageLow),
            ("HIGH", Par::ImageHigh),
            ("SEGMENTS", Par::SegmentsAt),
            ("SEGMENT_COUNT", Par::Segments),
            ("SLICE", Par::FuelSlice),
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
            ("UNALIGNED", Status::Unaligned),
        ];
        for (name, status) in statuses {
            def(&format!("VV_{name}"), status as u64, "u");
        }
        for kind in TrapKind::ALL {
            def(&format!("VV_{}", trap_name(kind)), kind as u64, "u");
        }
        def("VV_EFAULT", 21, "u");
        def("VV_E2BIG", 1, "u");
        let mut flag = |on: bool, name: &str| {
            if on {
                let _ = writeln!(d, "#define {name} 1");
            }
        };
        flag(plan.wide, "VV_WIDE");
        flag(self.o.target.thread_exit, "VV_THREAD_EXIT");
        flag(self.o.target.timer, "VV_TIMER");
        flag(self.o.target.cheap_branches, "VV_BRANCHY");
        flag(self.l.natural, "VV_NATURAL");
        flag(self.o.profile, "VV_PROFILE");
        flag(self.o.force_framed, "VV_FORCE");
        flag(self.c.remote, "VV_REMOTE");
        let used = self.host_calls();
        flag(used.contains("clock_time_get"), "VV_CLOCK");
        for name in used {
            flag(true, &format!("VV_HAS_{name}"));
        }
        // Mutable globals, and the results of multi-value functions, live in the VM's private struct.
        let (mut fields, mut loads, mut saves) = (String::new(), String::new(), String::new());
        for (g, at) in &self.l.globals {
            let ty = self.p.globals[*g as usize].ty;
            let _ = write!(fields, "{} g{g}; ", ctype(ty));
            let _ = write!(loads, "vm->g{g} = {}; ", from_bits(ty, &format!("vv_w64(vm->head, {at}u)")));
            let _ = write!(saves, "vv_sw64(vm->head, {at}u, {}); ", to_bits(ty, &format!("vm->g{g}")));
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

    fn host_calls(&self) -> BTreeSet<&'static str> {
        let mut used = BTreeSet::new();
        for stmts in self.p.functions.iter().flat_map(|f| f.lists()) {
            walk(stmts, &mut |s| match s {
                Stmt::Host { call, .. } => {
                    used.insert(CALLS[*call].name);
                }
                Stmt::Write { .. } => {
                    used.insert("fd_write");
                }
                _ => {}
            });
        }
        used
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
        Scope { body, function, leave, framed, refresh: false, fuel: false, out: String::new(), depth: 1 }
    }

    fn leave(&self, ty: u32) -> &'static str {
        if self.p.types[ty as usize].results.is_empty() { "return" } else { "return 0" }
    }

    /// Variables and cached bases at the top of a function or state.
    fn prologue(&self, s: &mut Scope<'_>, stmts: &[Stmt], params: usize) {
        let mut used = BTreeSet::new();
        let (mut memory, mut shared, mut waits) = (false, false, false);
        let body = s.body;
        walk(stmts, &mut |stmt| {
            used.extend(stmt.sets());
            for e in stmt.operands() {
                body.reads(e, &mut |v| {
                    used.insert(v);
                });
            }
            memory |= matches!(stmt, Stmt::Load { .. } | Stmt::Store { .. } | Stmt::Check { .. } | Stmt::Strides(_));
            shared |= matches!(stmt, Stmt::Load { mem: Access { shared: true, .. }, .. });
            s.fuel |=
                matches!(stmt, Stmt::Check { .. } | Stmt::Unshared { .. } | Stmt::Loop { .. } | Stmt::Edge { .. });
            waits |= matches!(stmt, Stmt::Store { after: Some(_), .. });
        });
        let mut by_type: BTreeMap<ValType, Vec<String>> = BTreeMap::new();
        for v in used.iter().filter(|v| v.0 as usize >= params) {
            by_type.entry(body.vars[v.0 as usize]).or_default().push(format!("v{}", v.0));
        }
        for (ty, vars) in by_type {
            for vars in vars.chunks(16) {
                line!(s, "{} {};", ctype(ty), vars.join(", "));
            }
        }
        if memory {
            line!(s, "VV_PRIVATE(vm);");
            line!(s, "vv_gp const mem = VV_BASE(vm->mem);");
            line!(s, "u32 size = vm->size;");
            s.refresh = self.p.memory.grows;
        }
        if shared {
            line!(s, "vv_gp const shared = VV_BASE(vm->shared);");
        }
        if s.fuel {
            line!(s, "u32 fuel = vm->fuel;");
        }
        if waits {
            line!(s, "u32 const zero = vm->zero;");
        }
    }

    fn direct(&self, f: u32, body: &Body, head: &str) -> String {
        let function = &self.p.functions[f as usize];
        let mut s = self.scope(f, body, self.leave(function.ty), false);
        let _ = writeln!(s.out, "{head} {{ /* {} */", comment(&function.name));
        self.prologue(&mut s, &body.stmts, self.p.types[function.ty as usize].params.len());
        self.list(&mut s, &body.stmts);
        if !body.stmts.last().is_some_and(Stmt::ends) {
            line!(s, "{}{};", s.put(), s.leave);
        }
        s.out.push_str("}\n");
        s.out
    }

    fn state(&self, f: u32, body: &Body, n: usize, stmts: &[Stmt], head: &str) -> String {
        let mut s = self.scope(f, body, "return VV_HALT", true);
        let _ = writeln!(s.out, "VV_FN {head} {{ /* {} state {n} */", comment(&self.p.functions[f as usize].name));
        self.prologue(&mut s, stmts, 0);
        self.list(&mut s, stmts);
        if !stmts.last().is_some_and(Stmt::ends) {
            line!(s, "{}{};", s.put(), s.leave);
        }
        s.out.push_str("}\n");
        s.out
    }

    /// A direct function entered by the trampoline: parameters come from the frame, results go there.
    fn adapter(&self, f: u32, head: &str) -> String {
        let ty = &self.p.types[self.p.functions[f as usize].ty as usize];
        let mut out = format!("VV_FN {head} {{ /* enters {} */\n", comment(&self.p.functions[f as usize].name));
        for (i, t) in ty.params.iter().enumerate() {
            let value = from_bits(*t, &format!("vv_get(vm, {}u)", 8 + 8 * i));
            let _ = writeln!(out, "  {} v{i} = {value};", ctype(*t));
        }
        let args: String = (0..ty.params.len()).map(|i| format!(", v{i}")).collect();
        let result = ty.results.first().map_or(String::new(), |t| format!("{} r = ", ctype(*t)));
        // A direct function may push frames of a nested trampoline above this one.
        let frame = if self.l.upper.contains_key(&f) { adapter_frame(self.p, f) } else { 0 };
        if frame > 0 {
            let _ = writeln!(out, "  vm->fp += {frame}u;");
        }
        let _ = writeln!(out, "  {result}fn{f}(vm{args});");
        let _ = writeln!(out, "  if (VV_STOPPED(vm)) return VV_HALT;");
        if frame > 0 {
            let _ = writeln!(out, "  vm->fp -= {frame}u;");
        }
        for (i, t) in ty.results.iter().enumerate() {
            let value = if i == 0 { to_bits(*t, "r") } else { format!("vm->r{i}") };
            let _ = writeln!(out, "  vv_put(vm, {}u, {value});", 8 + 8 * i);
        }
        out.push_str("  return (u32)vv_get(vm, 0u);\n}\n");
        out
    }

    fn dispatcher_signature(&self, ty: u32) -> String {
        let params: String =
            self.p.types[ty as usize].params.iter().enumerate().map(|(i, t)| format!(", {} v{i}", ctype(*t))).collect();
        format!("{} ci{ty}(VM *vm, u32 i, u32 func, u32 at{params})", self.result_type(ty))
    }

    /// `call_indirect` from a direct function.
    fn dispatcher(&self, ty: u32, head: &str) -> String {
        let leave = self.leave(ty);
        let value = if leave == "return" { "" } else { "return " };
        let args: String = (0..self.p.types[ty as usize].params.len()).map(|i| format!(", v{i}")).collect();
        let mut out = format!("VV_FN {head} {{\n");
        let _ =
            writeln!(out, "  if (i >= VV_TABLE_LENGTH) {{ vv_trap(vm, VV_UNDEFINED_ELEMENT, func, at); {leave}; }}");
        let _ = writeln!(out, "  u32 id = VV_TABLE(i);\n  switch (id) {{");
        let params = &self.p.types[ty as usize].params;
        for f in self.c.targets(&table(ty)) {
            let frame: String = params
                .iter()
                .enumerate()
                .map(|(n, t)| format!("vv_put(vm, {}u, {}); ", 8 + 8 * n, to_bits(*t, &format!("v{n}"))))
                .collect();
            let case = f + 1;
            if self.c.abandoned(*f) {
                let state = self.l.entry(self.c, self.c.world(*f), *f);
                let _ = writeln!(
                    out,
                    "  case {case}u: vm->fp = 0; vv_put(vm, 0u, VV_FINISH); {frame}vv_abandon(vm, {state}u); {leave};"
                );
            } else if self.c.cuts.has(self.c.graph.table(ty), *f) {
                let state = self.l.entry(self.c, World::Lower, *f);
                let room = crate::layout::frame(self.p, self.c, World::Lower, *f);
                let _ = writeln!(out, "  case {case}u:");
                let _ = writeln!(
                    out,
                    "    if (vm->fp + {room}u > VV_FRAMES) {{ vv_trap(vm, VV_STACK_EXHAUSTED, func, at); {leave}; }}"
                );
                let _ = writeln!(out, "    vv_put(vm, 0u, VV_NESTED); {frame}vv_nested(vm, {state}u);");
                let results = &self.p.types[ty as usize].results;
                for (n, _) in results.iter().enumerate().skip(1) {
                    let _ = writeln!(out, "    vm->r{n} = vv_get(vm, {}u);", 8 + 8 * n);
                }
                match results.first() {
                    Some(t) => {
                        let value = from_bits(*t, "vv_get(vm, 8u)");
                        let _ = writeln!(out, "    if (VV_STOPPED(vm)) {leave};\n    return {value};");
                    }
                    None => out.push_str("    return;\n"),
                }
            } else {
                let end = if value.is_empty() { " return;" } else { "" };
                let _ = writeln!(out, "  case {case}u: {value}fn{f}(vm{args});{end}");
            }
        }
        let _ = writeln!(
            out,
            "  }}\n  vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);\n  {leave};\n}}"
        );
        out
    }

    /// `call_indirect` that goes through a trampoline: the entry state of the function, or halt after a trap.
    fn entry_dispatcher(&self, ty: u32, world: World, head: &str) -> String {
        let mut out = format!("VV_FN {head} {{\n");
        let _ = writeln!(
            out,
            "  if (i >= VV_TABLE_LENGTH) {{ vv_trap(vm, VV_UNDEFINED_ELEMENT, func, at); return VV_HALT; }}"
        );
        let _ = writeln!(out, "  u32 id = VV_TABLE(i);\n  switch (id) {{");
        for f in self.c.targets(&table(ty)) {
            let _ = writeln!(out, "  case {}u: return {}u;", f + 1, self.l.entry(self.c, world, *f));
        }
        let _ = writeln!(
            out,
            "  }}\n  vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);\n  return VV_HALT;\n}}"
        );
        out
    }

    /// The trampolines: `vv_dispatch_nested` runs one state that cannot suspend, `vv_dispatch` any.
    fn trampolines(&self, parts: &mut Parts) -> String {
        let nests = parts.bodies.iter().any(|body| body.contains("vv_nested("));
        let kind = if nests { "VV_HELPER" } else { "VV_INLINE" };
        let mut out = format!("{kind} u32 vv_dispatch_nested(VM *vm, u32 state) {{\n");
        out.push_str(&switch(parts, "nested", FIRST_STATE..self.l.nested));
        out.push_str("  vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);\n  return VV_HALT;\n}\n");
        out.push_str("VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {\n");
        out.push_str(&switch(parts, "upper", self.l.nested..self.l.count));
        out.push_str("  return vv_dispatch_nested(vm, state);\n}\n");
        if nests {
            out.push_str("VV_FN void vv_nested(VM *vm, u32 state) {\n");
            out.push_str("  while (state != VV_NESTED && !vm->stop) state = vv_dispatch_nested(vm, state);\n}\n");
            parts.declare("void vv_nested(VM *vm, u32 state)");
        }
        out
    }

    fn list(&self, s: &mut Scope<'_>, stmts: &[Stmt]) {
        let mut from = 0;
        while let Some(stmt) = stmts.get(from) {
            if self.paired()
                && let Some(run) = Run::find(s.body, &stmts[from..])
            {
                from += run.words.len() + run.between.len();
                self.run(s, &run);
                continue;
            }
            from += 1;
            self.stmt(s, stmt);
            if stmt.ends() || s.out.len() > self.most {
                break; // what follows cannot be reached, or will be refused
            }
        }
    }

    /// Whether 16 bytes lie side by side, so that one instruction moves them.
    fn paired(&self) -> bool {
        let plan = &self.l.plan;
        plan.lanes == 1 || plan.cell == 0 || plan.cell >= 16
    }

    /// Words side by side, by 16 bytes where they are aligned so far, which shows when the program runs.
    fn run(&self, s: &mut Scope<'_>, run: &Run<'_>) {
        let Run { base, bytes, words, between, wide } = run;
        let (wide, odd) = words.split_at(*wide);
        let load = matches!(words[0].1, Stmt::Load { .. });
        if !load {
            between.iter().for_each(|stmt| self.stmt(s, stmt));
        }
        line!(s, "if (VV_PAIRED(v{} + {}u)) {{", base.0, words[0].0);
        s.depth += 1;
        for sixteen in wide.chunks((16 / bytes) as usize) {
            let (mut halves, mut loaded) = (Vec::new(), String::new());
            for (half, words) in ["low", "high"].into_iter().zip(sixteen.chunks((8 / bytes) as usize)) {
                let mut whole = Vec::new();
                for (n, (_, stmt)) in words.iter().enumerate() {
                    match stmt {
                        Stmt::Store { value, .. } => {
                            whole.push(format!("((u64)({}) << {})", self.e(s, *value), 32 * n))
                        }
                        Stmt::Load { var, .. } => {
                            let ty = ctype(s.body.vars[var.0 as usize]);
                            let _ = write!(loaded, " v{} = ({ty})({half} >> {});", var.0, 32 * n);
                        }
                        _ => {}
                    }
                }
                halves.push(whole.join(" | "));
            }
            let offset = sixteen[0].0;
            if !load {
                line!(s, "vv_sa128(mem, v{}, {offset}u, {});", base.0, halves.join(", "));
            } else {
                line!(s, "{{ u64 low, high; vv_a128(mem, v{}, {offset}u, &low, &high);{loaded} }}", base.0);
            }
        }
        s.depth -= 1;
        line!(s, "}} else {{");
        s.depth += 1;
        wide.iter().for_each(|(_, stmt)| self.stmt(s, stmt));
        s.depth -= 1;
        line!(s, "}}");
        odd.iter().for_each(|(_, stmt)| self.stmt(s, stmt));
        if load {
            between.iter().for_each(|stmt| self.stmt(s, stmt));
        }
    }

    fn e(&self, s: &Scope<'_>, e: ExprId) -> String {
        expr(s.body, e)
    }

    fn args(&self, s: &Scope<'_>, args: &[ExprId]) -> String {
        args.iter().map(|a| format!(", {}", self.e(s, *a))).collect()
    }

    fn check_stop(&self, s: &mut Scope<'_>, may: bool) {
        if may && !self.o.target.thread_exit {
            line!(s, "if (VV_STOPPED(vm)) {};", s.leave);
        }
    }

    /// After something that stores on the device: it may have met shared data.
    fn stored(&self, s: &mut Scope<'_>) {
        if s.fuel && self.p.shared.is_some() {
            line!(s, "fuel |= vm->fuel & VV_SKEW;");
        }
    }

    /// After a call: it has used fuel, and the memory may have grown.
    fn back(&self, s: &mut Scope<'_>) {
        if s.fuel {
            line!(s, "fuel = vm->fuel;");
        }
        self.refresh(s);
    }

    fn refresh(&self, s: &mut Scope<'_>) {
        if s.refresh {
            line!(s, "size = vm->size;");
        }
    }

    /// Opens a block with the effective address of an access, and a trap in front of it.
    fn exactly(&self, s: &mut Scope<'_>, mem: &Access, bytes: u32, at: u32) {
        let (a, offset) = (self.e(s, mem.addr), mem.offset);
        line!(s, "{{ u32 ea = {a};");
        let high = u64::from(offset) + u64::from(bytes);
        let test = if high > self.l.plan.memory_capacity { "1".into() } else { format!("vv_bad(size, ea, {high}u)") };
        self.trap_if(s, &format!("VV_UNLIKELY({test})"), "VV_OUT_OF_BOUNDS_MEMORY", at);
        if offset > 0 {
            line!(s, "ea += {offset}u;");
        }
    }

    fn edge(&self, s: &mut Scope<'_>, at: u32) {
        line!(s, "VV_EDGE({}u, {at}u, {})", s.function, s.leave);
    }

    /// A test that traps.
    fn trap_if(&self, s: &mut Scope<'_>, test: &str, kind: &str, at: u32) {
        line!(s, "if ({test}) {{ {}vv_trap(vm, {kind}, {}u, {at}u); {}; }}", s.put(), s.function, s.leave);
    }

    fn stmt(&self, s: &mut Scope<'_>, stmt: &Stmt) {
        if s.fuel && stmt.leaves() {
            line!(s, "vm->fuel = fuel;");
        }
        match stmt {
            Stmt::Set { var, value } => {
                let value = self.e(s, *value);
                line!(s, "v{} = {value};", var.0);
            }
            Stmt::GetGlobal { var, global } => line!(s, "v{} = vm->g{global};", var.0),
            Stmt::SetGlobal { global, value } => {
                let value = self.e(s, *value);
                line!(s, "vm->g{global} = {value};");
            }
            Stmt::Check { var, addr, bounds, align, residue } => {
                let a = self.e(s, *addr);
                match bounds {
                    Some((low, high)) => {
                        line!(s, "v{} = vv_check(&fuel, size, {a}, {low}u, {high}u, {align}u, {residue}u);", var.0)
                    }
                    None => line!(s, "v{} = vv_aligned(&fuel, {a}, {align}u, {residue}u);", var.0),
                }
            }
            Stmt::Unshared { addr, low, bytes } => {
                let a = self.e(s, *addr);
                line!(s, "if (VV_UNLIKELY(vv_shares({a} + {low}u, {bytes}u))) fuel |= VV_SKEW;");
            }
            Stmt::Load { var, op, mem, .. } if mem.checked => {
                let a = self.e(s, mem.addr);
                let near = Where::Near(&a, mem.offset, mem.align);
                let place = if mem.shared { Where::Shared(&a, mem.offset) } else { near };
                line!(s, "v{} = {};", var.0, load(*op, place));
            }
            Stmt::Load { var, op, mem, at } => {
                self.exactly(s, mem, op.bytes(), *at);
                line!(s, "v{} = {}; }}", var.0, load(*op, Where::Address("ea")));
            }
            Stmt::Store { op, mem, value, after, at } => {
                let value = self.e(s, *value);
                let after = after.map(|v| format!("v{}", v.0));
                if mem.checked {
                    let a = self.e(s, mem.addr);
                    let near = Where::Near(&a, mem.offset, mem.align);
                    line!(s, "{};", store(*op, near, &value, after.as_deref()));
                } else {
                    self.exactly(s, mem, op.bytes(), *at);
                    line!(s, "{}; }}", store(*op, Where::Address("ea"), &value, None));
                }
            }
            Stmt::Trapping { var, op, a, b, at } => {
                let operands = op.operands();
                line!(s, "{{");
                s.depth += 1;
                let a = self.e(s, *a);
                line!(s, "{} a = {a};", ctype(operands[0]));
                if let Some(b) = b {
                    let b = self.e(s, *b);
                    line!(s, "{} b = {b};", ctype(operands[0]));
                }
                let (test, value) = trapping(*op, "a", "b");
                line!(s, "u32 t = {test};");
                self.trap_if(s, "VV_UNLIKELY(t)", "t", *at);
                line!(s, "v{} = {value};", var.0);
                s.depth -= 1;
                line!(s, "}}");
            }
            Stmt::MemorySize { var } => line!(s, "v{} = vm->size >> 16;", var.0),
            Stmt::MemoryGrow { var, delta } => {
                let delta = self.e(s, *delta);
                line!(s, "v{} = vv_memory_grow(vm, {delta});", var.0);
                self.refresh(s);
            }
            Stmt::MemoryCopy { to, from, length, at } => {
                let test = format!("vv_memory_copy(vm{})", self.args(s, &[*to, *from, *length]));
                self.trap_if(s, &test, "VV_OUT_OF_BOUNDS_MEMORY", *at);
                self.stored(s);
            }
            Stmt::MemoryFill { to, value, length, at } => {
                let test = format!("vv_memory_fill(vm{})", self.args(s, &[*to, *value, *length]));
                self.trap_if(s, &test, "VV_OUT_OF_BOUNDS_MEMORY", *at);
                self.stored(s);
            }
            Stmt::MemoryInit { segment, to, from, length, at } => {
                let (start, bytes) = self.p.segments[*segment as usize];
                let bytes = self.alive(*segment, bytes);
                let test = format!("vv_memory_init(vm, {start}u, {bytes}{})", self.args(s, &[*to, *from, *length]));
                self.trap_if(s, &test, "VV_OUT_OF_BOUNDS_MEMORY", *at);
                self.stored(s);
            }
            Stmt::DataDrop { segment } => line!(s, "vv_sw32(vm->head, {}u, 1u);", self.l.dropped + 4 * segment),
            Stmt::ElemDrop { segment } => {
                line!(s, "vv_sw32(vm->head, {}u, 1u);", self.l.dropped + 4 * (self.p.segments.len() as u32 + segment));
            }
            Stmt::TableCopy { to, from, length, at } => {
                line!(s, "{{");
                s.depth += 1;
                let (to, from, length) = (self.e(s, *to), self.e(s, *from), self.e(s, *length));
                line!(s, "u32 to = {to}, from = {from}, n = {length};");
                self.trap_if(
                    s,
                    "(u64)to + n > VV_TABLE_LENGTH || (u64)from + n > VV_TABLE_LENGTH",
                    "VV_OUT_OF_BOUNDS_TABLE",
                    *at,
                );
                line!(s, "vv_copy(vm->head, {0}u + to * 4, {0}u + from * 4, n * 4);", self.l.table);
                s.depth -= 1;
                line!(s, "}}");
            }
            Stmt::TableInit { segment, to, from, length, at } => {
                line!(s, "{{");
                s.depth += 1;
                let (to, from, length) = (self.e(s, *to), self.e(s, *from), self.e(s, *length));
                line!(s, "u32 to = {to}, from = {from}, n = {length};");
                let items = self.p.elements[*segment as usize].len() as u32;
                let alive = self.alive(self.p.segments.len() as u32 + segment, items);
                self.trap_if(
                    s,
                    &format!("(u64)to + n > VV_TABLE_LENGTH || (u64)from + n > {alive}"),
                    "VV_OUT_OF_BOUNDS_TABLE",
                    *at,
                );
                if items > 0 {
                    // NVRTC 13.0 never ends where it unrolls this loop in a kernel and reads the pointer anew after each store.
                    line!(s, "vv_gp head = vm->head;");
                    line!(
                        s,
                        "for (u32 i = 0; i < n; i++) vv_sw32(head, {}u + (to + i) * 4, vv_elements{segment}[from + i]);",
                        self.l.table
                    );
                }
                s.depth -= 1;
                line!(s, "}}");
            }
            Stmt::Call { callee, args, results, at } => {
                let args = self.args(s, args);
                let (call, may) = match callee {
                    Callee::Function(f) => (format!("fn{f}(vm{args})"), self.stops[*f as usize]),
                    Callee::Table { ty, index } => {
                        (format!("ci{ty}(vm, {}, {}u, {at}u{args})", self.e(s, *index), s.function), true)
                    }
                };
                // A direct function may push frames of a nested trampoline above that of the state which calls it.
                let above = s.framed && self.c.suspends(s.function) && !self.c.cuts.is_empty();
                if above {
                    line!(s, "vm->fp += {}u;", s.body.frame);
                }
                match results.first() {
                    Some(v) => line!(s, "v{} = {call};", v.0),
                    None => line!(s, "{call};"),
                }
                self.check_stop(s, may);
                if above {
                    line!(s, "vm->fp -= {}u;", s.body.frame);
                }
                for (i, v) in results.iter().enumerate().skip(1) {
                    let value = from_bits(s.body.vars[v.0 as usize], &format!("vm->r{i}"));
                    line!(s, "v{} = {value};", v.0);
                }
                self.back(s);
            }
            Stmt::CallNested { callee, args, results, at } => {
                line!(s, "{{");
                s.depth += 1;
                let next = self.push(s, callee, args, 0, "VV_NESTED", World::Lower, *at);
                line!(s, "vv_nested(vm, {next});");
                self.check_stop(s, true);
                self.take(s, results);
                s.depth -= 1;
                line!(s, "}}");
                self.back(s);
            }
            Stmt::Host { call, args, result, at } => self.host(s, *call, args, *result, *at),
            Stmt::Block { label, body } => {
                self.list(s, body);
                // A label must stand before a statement.
                line!(s, "L{}: ;", label.0);
            }
            Stmt::Loop { label, body, at } => self.repeat(s, *label, body, *at),
            Stmt::Strides(_) => {} // by the loop
            Stmt::If { cond, then, otherwise } => {
                let cond = condition(s.body, *cond);
                let (first, second, cond) = if then.is_empty() && !otherwise.is_empty() {
                    (otherwise, then, format!("!({cond})"))
                } else {
                    (then, otherwise, cond)
                };
                line!(s, "if ({cond}) {{");
                s.depth += 1;
                self.list(s, first);
                s.depth -= 1;
                if !second.is_empty() {
                    line!(s, "}} else {{");
                    s.depth += 1;
                    self.list(s, second);
                    s.depth -= 1;
                }
                line!(s, "}}");
            }
            Stmt::Branch { label } => line!(s, "goto L{};", label.0),
            Stmt::Switch { index, cases, default } => {
                let index = self.e(s, *index);
                line!(s, "switch ({index}) {{");
                for (values, body) in cases {
                    for chunk in values.chunks(8) {
                        line!(s, "{}", chunk.iter().map(|v| format!("case {v}u:")).collect::<Vec<_>>().join(" "));
                    }
                    s.depth += 1;
                    self.list(s, body);
                    s.depth -= 1;
                }
                line!(s, "default:");
                s.depth += 1;
                self.list(s, default);
                s.depth -= 1;
                line!(s, "}}");
            }
            Stmt::Return { values } => {
                let values: Vec<(ValType, String)> =
                    values.iter().map(|v| (s.body.type_of(*v), self.e(s, *v))).collect();
                for (i, (ty, value)) in values.iter().enumerate().skip(1) {
                    line!(s, "vm->r{i} = {};", to_bits(*ty, value));
                }
                match values.first() {
                    Some((_, value)) => line!(s, "return {value};"),
                    None => line!(s, "return;"),
                }
            }
            Stmt::Trap { kind, at } => {
                line!(s, "vv_trap(vm, VV_{}, {}u, {at}u);", trap_name(*kind), s.function);
                line!(s, "{};", s.leave);
            }
            Stmt::Edge { head, at } => {
                if *head {
                    line!(s, "VV_COUNT(vm, framed);");
                }
                self.edge(s, *at);
            }
            Stmt::Restore { vars } => {
                for v in vars {
                    let value = from_bits(s.body.vars[v.0 as usize], &format!("vv_get(vm, {}u)", 8 * s.body.slots[v]));
                    line!(s, "v{} = {value};", v.0);
                }
            }
            Stmt::Save { vars } => {
                for v in vars {
                    let value = to_bits(s.body.vars[v.0 as usize], &format!("v{}", v.0));
                    line!(s, "vv_put(vm, {}u, {value});", 8 * s.body.slots[v]);
                }
            }
            Stmt::Goto { state } => line!(s, "return {}u;", self.l.states[&s.function] + state.0),
            Stmt::CallFramed { callee, args, then, at } => {
                self.call_framed(s, callee, args, self.l.states[&s.function] + then.0, *at)
            }
            Stmt::Results { vars } => {
                self.take(s, vars);
                line!(s, "vm->fp -= {}u;", s.body.frame);
            }
            Stmt::ReturnFramed { values } => {
                let values: Vec<String> = values.iter().map(|v| to_bits(s.body.type_of(*v), &self.e(s, *v))).collect();
                for (i, value) in values.iter().enumerate() {
                    line!(s, "vv_put(vm, {}u, {value});", 8 + 8 * i);
                }
                line!(s, "return (u32)vv_get(vm, 0u);");
            }
            Stmt::Abandon { function, args, .. } => {
                line!(s, "{{");
                s.depth += 1;
                let values: Vec<String> = args.iter().map(|a| to_bits(s.body.type_of(*a), &self.e(s, *a))).collect();
                line!(s, "vv_sw64(vm->frames, 0u, VV_FINISH);");
                for (i, value) in values.iter().enumerate() {
                    line!(s, "vv_sw64(vm->frames, {}u, {value});", 8 + 8 * i);
                }
                line!(s, "vv_abandon(vm, {}u);", self.l.entry(self.c, self.c.world(*function), *function));
                line!(s, "{};", s.leave);
                s.depth -= 1;
                line!(s, "}}");
            }
            Stmt::Suspend { call, args, then, at } => {
                self.suspend(s, *call, args, self.l.states[&s.function] + then.0, *at)
            }
            Stmt::Answer { call, args, result } => self.answer(s, *call, args, *result),
            Stmt::Write { args, result, again, at } => {
                line!(
                    s,
                    "if (VV_STRAYED(vm)) {{ vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, {}u, {at}u); {}; }}",
                    s.function,
                    s.leave
                );
                line!(s, "v{} = vv_fd_write(vm{});", result.0, self.args(s, args));
                line!(s, "if (vm->flush) {{");
                s.depth += 1;
                line!(s, "vm->state = {}u;", self.l.states[&s.function] + again.0);
                line!(s, "vv_halt(vm, VV_CALL, 0xffffffffu, {}u, {at}u);", s.function);
                line!(s, "return VV_HALT;");
                s.depth -= 1;
                line!(s, "}}");
            }
        }
    }

    /// A loop. Around one without calls stands another that gets new fuel, so that it stays without calls.
    fn repeat(&self, s: &mut Scope<'_>, label: Label, body: &[Stmt], at: u32) {
        let quiet = Stmt::quiet(body);
        let (strides, body) = match body {
            [Stmt::Strides(strides), rest @ ..] => (strides.as_slice(), rest),
            _ => (&[][..], body),
        };
        if quiet {
            line!(s, "for (;;) {{");
            line!(s, "VV_APART");
        }
        if !strides.is_empty() {
            line!(s, "u32 room = 0xffffffffu;");
            for Stride { addr, step, end, align, residue } in strides {
                let a = self.e(s, *addr);
                match end {
                    Some(end) => {
                        line!(s, "vv_room(&fuel, &room, size, {a}, {step}, {end}u, {align}u, {residue}u);")
                    }
                    None => line!(s, "(void)vv_aligned(&fuel, {a}, {align}u, {residue}u);"),
                }
            }
            line!(s, "if (VV_UNLIKELY((s32)fuel < 0)) {{ VV_REFUEL({}u, {at}u, {}) }}", s.function, s.leave);
        }
        line!(s, "for (;;) {{");
        s.depth += 1;
        self.list(s, body);
        let falls = !body.last().is_some_and(Stmt::ends);
        match quiet {
            true if falls => line!(s, "goto E{};", label.0),
            false if falls => line!(s, "break;"),
            _ => {}
        }
        line!(s, "L{}: ;", label.0);
        line!(s, "VV_COUNT(vm, {});", if s.framed { "state" } else { "direct" });
        if !strides.is_empty() {
            line!(s, "if (VV_SPENT_OR(room-- == 0)) break;");
        } else if quiet {
            line!(s, "if (VV_SPENT) break;");
        } else {
            self.edge(s, at);
        }
        s.depth -= 1;
        line!(s, "}}");
        if quiet {
            let test = if strides.is_empty() { "" } else { "if ((s32)(fuel + 1) <= 0) " };
            line!(s, "{test}{{ VV_REFUEL({}u, {at}u, {}) }}", s.function, s.leave);
            line!(s, "}}");
            if falls {
                line!(s, "E{}: ;", label.0);
            }
        }
    }

    /// The length of a segment, 0 once it was dropped.
    fn alive(&self, flag: u32, length: u32) -> String {
        if self.l.drops {
            format!("(vv_w32(vm->head, {}u) ? 0u : {length}u)", self.l.dropped + 4 * flag)
        } else {
            format!("{length}u")
        }
    }

    fn host(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId], result: Option<Var>, at: u32) {
        let host = &CALLS[call];
        // What a program says after a bad access must not reach anybody.
        line!(
            s,
            "if (VV_UNLIKELY(VV_STRAYED(vm))) {{ vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, {}u, {at}u); {}; }}",
            s.function,
            s.leave
        );
        let text = self.args(s, args);
        let value = match (host.name, host.place) {
            ("proc_exit", _) => {
                line!(s, "vv_halt(vm, VV_EXITED{text}, {}u, {at}u);", s.function);
                line!(s, "{};", s.leave);
                return;
            }
            ("sched_yield", _) => "0u".to_string(),
            (name, Place::Local) if name.starts_with("path_") => "VV_EBADF".to_string(),
            (name, Place::Local) => format!("vv_{name}(vm{text})"),
            (_, Place::Remote | Place::Missing) => "VV_ENOSYS".to_string(),
        };
        match result {
            Some(v) => line!(s, "v{} = {value};", v.0),
            None => line!(s, "(void)({value});"),
        }
        self.stored(s);
        self.check_stop(s, host.name == "fd_write");
    }

    /// Results in the frame of a function that has returned.
    fn take(&self, s: &mut Scope<'_>, vars: &[Var]) {
        for (i, v) in vars.iter().enumerate() {
            let value = from_bits(s.body.vars[v.0 as usize], &format!("vv_get(vm, {}u)", 8 + 8 * i));
            line!(s, "v{} = {value};", v.0);
        }
    }

    /// Writes the callee's frame `above` bytes up: the state to return to, and the arguments. Gives the state to enter.
    #[expect(clippy::too_many_arguments, reason = "one call, described")]
    fn push(
        &self,
        s: &mut Scope<'_>,
        callee: &Callee,
        args: &[ExprId],
        above: u32,
        then: &str,
        world: World,
        at: u32,
    ) -> String {
        let values: Vec<String> = args.iter().map(|a| to_bits(s.body.type_of(*a), &self.e(s, *a))).collect();
        let most = self.l.room(self.c, world, callee);
        let next = match callee {
            Callee::Function(f) => format!("{}u", self.l.entry(self.c, world, *f)),
            Callee::Table { ty, index } => {
                let index = self.e(s, *index);
                line!(s, "u32 next = {}{ty}(vm, {index}, {}u, {at}u);", entry_dispatcher(world), s.function);
                line!(s, "if (next == VV_HALT) {};", s.leave);
                "next".to_string()
            }
        };
        if self.l.recursive {
            self.trap_if(s, &format!("vm->fp + {}u > VV_FRAMES", above + most), "VV_STACK_EXHAUSTED", at);
        }
        line!(s, "vv_put(vm, {above}u, {then});");
        for (i, value) in values.iter().enumerate() {
            line!(s, "vv_put(vm, {}u, {value});", above + 8 + 8 * i as u32);
        }
        next
    }

    fn call_framed(&self, s: &mut Scope<'_>, callee: &Callee, args: &[ExprId], then: u32, at: u32) {
        line!(s, "{{");
        s.depth += 1;
        let own = s.body.frame;
        let next = self.push(s, callee, args, own, &format!("{then}u"), self.c.world(s.function), at);
        line!(s, "vm->fp += {own}u;");
        line!(s, "return {next};");
        s.depth -= 1;
        line!(s, "}}");
    }

    fn length(&self, s: &Scope<'_>, args: &[ExprId], length: Length) -> String {
        match length {
            Length::Bytes(n) => format!("(u64){n}u"),
            Length::Times { index, size } => format!("(u64){} * {size}u", self.e(s, args[index])),
        }
    }

    fn suspend(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId], then: u32, at: u32) {
        line!(
            s,
            "if (VV_UNLIKELY(VV_STRAYED(vm))) {{ vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, {}u, {at}u); {}; }}",
            s.function,
            s.leave
        );
        line!(s, "vm->request = 0; vm->error = 0;");
        for arg in args {
            let value = to_bits(s.body.type_of(*arg), &self.e(s, *arg));
            line!(s, "vv_request_word(vm, {value});");
        }
        for (param, arg) in CALLS[call].params.iter().zip(args) {
            if let Param::In(length) = param {
                let (p, n) = (self.e(s, *arg), self.length(s, args, *length));
                line!(s, "vv_request_bytes(vm, {p}, {n});");
            }
        }
        // A request that cannot be made is answered at once with its errno.
        line!(s, "if (vm->error) return {then}u;");
        line!(s, "vm->state = {then}u;");
        line!(s, "vv_halt(vm, VV_CALL, {call}u, {}u, {at}u);", s.function);
        line!(s, "return VV_HALT;");
    }

    fn answer(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId], result: Option<Var>) {
        line!(s, "{{");
        s.depth += 1;
        line!(s, "u32 errno_ = vm->error;");
        line!(s, "if (!errno_) {{");
        s.depth += 1;
        line!(s, "errno_ = (u32)vv_in64(vm->in + VV_WORD(vm, VV_WORD_MESSAGE_OFFSET));");
        line!(s, "u64 pos = 8;");
        for (param, arg) in CALLS[call].params.iter().zip(args) {
            if let Param::Out(length) = param {
                let (p, n) = (self.e(s, *arg), self.length(s, args, *length));
                line!(s, "pos = vv_answer_bytes(vm, pos, {p}, {n});");
            }
        }
        line!(s, "if (vm->error) errno_ = vm->error;");
        s.depth -= 1;
        line!(s, "}}");
        line!(s, "vm->error = 0;");
        if let Some(v) = result {
            line!(s, "v{} = errno_;", v.0);
        }
        s.depth -= 1;
        line!(s, "}}");
    }
}

/// A switch that runs one of these states, in functions of their own if they are many.
fn switch(parts: &mut Parts, name: &str, states: Range<u32>) -> String {
    let mut out = String::from("  switch (state) {\n");
    let case = |out: &mut String, state: u32| _ = writeln!(out, "  case {state}u: return st{state}(vm);");
    if states.len() <= SWITCH as usize {
        states.for_each(|state| case(&mut out, state));
    } else {
        out = format!("  switch ((state - {}u) / {SWITCH}u) {{\n", states.start);
        for (n, first) in states.clone().step_by(SWITCH as usize).enumerate() {
            let head = format!("u32 vv_{name}{n}(VM *vm, u32 state)");
            let mut body = format!("VV_FN {head} {{\n");
            tree(&mut body, first..states.end.min(first + SWITCH));
            parts.add(&head, body + "}\n");
            let _ = writeln!(out, "  case {n}u: return vv_{name}{n}(vm, state);");
        }
    }
    out + "  }\n"
}

/// Finds one of these states by halves. NVIDIA's compiler makes a table in constant memory of each two neighbouring cases of a switch, and a
/// kernel has 64 KiB for them.
fn tree(out: &mut String, states: Range<u32>) {
    let half = states.start + states.len() as u32 / 2;
    if half == states.start {
        let _ = writeln!(out, "  return st{half}(vm);");
    } else {
        let _ = writeln!(out, "  if (state < {half}u) {{");
        tree(out, states.start..half);
        out.push_str("  }\n");
        tree(out, half..states.end);
    }
}

/// All functions of a signature in the table.
fn table(ty: u32) -> Callee {
    Callee::Table { ty, index: ExprId(0) }
}

/// The name of the function that finds the entry state of a `call_indirect`.
fn entry_dispatcher(world: World) -> &'static str {
    match world {
        World::Upper => "cs",
        World::Lower => "cn",
    }
}

/// A leaf that is cheaper inlined than called.
fn is_small(body: &Body) -> bool {
    let mut count = 0;
    let mut leaf = true;
    walk(&body.stmts, &mut |s| {
        count += 1;
        // NVRTC takes 35 s for a switch of 12,000 values that is inlined, and 4 s else.
        if let Stmt::Switch { cases, .. } = s {
            count += cases.iter().map(|(values, _)| values.len()).sum::<usize>();
        }
        leaf &= !matches!(
            s,
            Stmt::Call { .. }
                | Stmt::CallNested { .. }
                | Stmt::Loop { .. }
                | Stmt::Abandon { .. }
                | Stmt::Host { .. }
                | Stmt::TableInit { .. } // its segment would be needed wherever the leaf is
        );
    });
    leaf && count <= SMALL
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

/// A name inside a comment: nothing that could end it, continue the line, or look like a call.
fn comment(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_graphic() && !"*\\?([".contains(c) || c == ' ' { c } else { '_' })
        .take(120)
        .collect()
}
