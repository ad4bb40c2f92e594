//! Functions, states, and the dispatchers between them.

use super::{SWITCH, SWITCH_C, Scope, Writer, comment};
use crate::abi::Counted;
use crate::analysis::World;
use crate::dialect::expr::{ctype, from_bits, to_bits};
use crate::dialect::parts::Parts;
use crate::ir::{Access, Body, Callee, ExprId, Stmt, walk};
use crate::layout::{FIRST_STATE, adapter_frame};
use crate::{Language, ValType};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

impl Writer<'_> {
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
            s.fuel |= match stmt {
                // Nothing is charged there, so where a bad one ends the VM no fuel has to be at hand.
                Stmt::Check { .. } => !self.stray_stops(),
                Stmt::Unshared { .. } | Stmt::Loop { .. } | Stmt::Edge { .. } => true,
                _ => false,
            };
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

    /// Whether a node of the call graph looks how deep the stack is when it is called. In C a cut call does.
    fn measures(&self, node: u32) -> bool {
        self.c.native && self.o.target.language != Language::C && self.c.cuts.enter(node)
    }

    pub(super) fn direct(&self, f: u32, body: &Body, head: &str) -> String {
        let function = &self.p.functions[f as usize];
        let mut s = self.scope(f, body, self.leave(function.ty), false);
        let _ = writeln!(s.out, "{head} {{ /* {} */", comment(&function.name()));
        if self.measures(f) {
            line!(s, "VV_DEEP_HERE({})", s.leave);
        }
        self.prologue(&mut s, &body.stmts, self.p.types[function.ty as usize].params.len());
        if function.part_of.is_none() {
            self.visit(&mut s, Counted::Entry);
        }
        self.list(&mut s, &body.stmts);
        if !body.stmts.last().is_some_and(Stmt::ends) {
            line!(s, "{}{};", s.put(), s.leave);
        }
        s.out.push_str("}\n");
        s.out
    }

    pub(super) fn state(&self, f: u32, body: &Body, n: usize, stmts: &[Stmt], head: &str) -> String {
        let mut s = self.scope(f, body, "return VV_HALT", true);
        let _ = writeln!(s.out, "VV_FN {head} {{ /* {} state {n} */", comment(&self.p.functions[f as usize].name()));
        self.prologue(&mut s, stmts, 0);
        self.list(&mut s, stmts);
        if !stmts.last().is_some_and(Stmt::ends) {
            line!(s, "{}{};", s.put(), s.leave);
        }
        s.out.push_str("}\n");
        s.out
    }

    /// The state that enters a direct function: parameters come from the frame, results go there.
    pub(super) fn adapter(&self, f: u32, head: &str) -> String {
        let ty = &self.p.types[self.p.functions[f as usize].ty as usize];
        let mut out = format!("VV_FN {head} {{ /* enters {} */\n", comment(&self.p.functions[f as usize].name()));
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

    pub(super) fn dispatcher_signature(&self, ty: u32) -> String {
        let params: String =
            self.p.types[ty as usize].params.iter().enumerate().map(|(i, t)| format!(", {} v{i}", ctype(*t))).collect();
        format!("{} ci{ty}(VM *vm, u32 i, u32 func, u32 at{params})", self.result_type(ty))
    }

    /// A `call_indirect` in a direct function.
    pub(super) fn dispatcher(&self, ty: u32, head: &str) -> String {
        let leave = self.leave(ty);
        let args: String = (0..self.p.types[ty as usize].params.len()).map(|i| format!(", v{i}")).collect();
        let mut out = format!("VV_FN {head} {{\n");
        if self.measures(self.c.graph.table(ty)) {
            let _ = writeln!(out, "  VV_DEEP_HERE({leave})");
        }
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
            } else if self.c.cuts.has(self.c.graph.table(ty), *f) && !self.c.native {
                let state = self.l.entry(self.c, World::Lower, *f);
                let frame_bytes = crate::layout::frame(self.p, self.c, World::Lower, *f);
                let _ = writeln!(out, "  case {case}u:");
                let _ = writeln!(
                    out,
                    "    if (vm->fp + {frame_bytes}u > vm->frames_end) {{ vv_trap(vm, VV_STACK_EXHAUSTED, func, at); {leave}; }}"
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
                let call = format!("fn{f}(vm{args});");
                let cut = self.c.cuts.has(self.c.graph.table(ty), *f);
                let (deeper, back) =
                    if cut { (format!("VV_DEEPER(func, at, {leave}) "), "VV_BACK ") } else { Default::default() };
                let call = match self.p.types[ty as usize].results.first() {
                    Some(t) if cut => format!("{{ {deeper}{} r = {call} {back}return r; }}", ctype(*t)),
                    Some(_) => format!("return {call}"),
                    None => format!("{deeper}{call} {back}return;"),
                };
                let _ = writeln!(out, "  case {case}u: {call}");
            }
        }
        let _ = writeln!(
            out,
            "  }}\n  vv_trap(vm, id ? VV_INDIRECT_CALL_TYPE : VV_UNINITIALIZED_ELEMENT, func, at);\n  {leave};\n}}"
        );
        out
    }

    /// A `call_indirect` through a trampoline: finds the entry state of the function, or halts after a trap.
    pub(super) fn entry_dispatcher(&self, ty: u32, world: World, head: &str) -> String {
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

    /// Counts a call of a function of this signature, where the counters of all of them begin at `first`.
    pub(super) fn counter(&self, ty: u32, head: &str) -> String {
        let mut out = format!("VV_FN {head} {{\n  if (i >= VV_TABLE_LENGTH) return;\n  switch (VV_TABLE(i)) {{\n");
        for (n, f) in self.c.targets(&table(ty)).iter().enumerate() {
            let _ = writeln!(out, "  case {}u: vm->points[2 * (first + {n}u)]++; return;", f + 1);
        }
        out + "  }\n}\n"
    }

    /// The trampolines: `vv_dispatch_nested` runs one state that cannot suspend, `vv_dispatch` any.
    pub(super) fn trampolines(&self, parts: &mut Parts) -> String {
        let nests = parts.bodies.iter().any(|body| body.contains("vv_nested("));
        let kind = if nests { "VV_HELPER" } else { "VV_INLINE" };
        let mut out = format!("{kind} u32 vv_dispatch_nested(VM *vm, u32 state) {{\n");
        let c = self.o.target.language == Language::C;
        out.push_str(&switch(parts, "nested", FIRST_STATE..self.l.nested, c));
        out.push_str("  vv_halt(vm, VV_EXITED, 0, 0xffffffffu, 0xffffffffu);\n  return VV_HALT;\n}\n");
        out.push_str("VV_INLINE u32 vv_dispatch(VM *vm, u32 state) {\n");
        out.push_str(&switch(parts, "upper", self.l.nested..self.l.count, c));
        out.push_str("  return vv_dispatch_nested(vm, state);\n}\n");
        if nests {
            out.push_str("VV_FN void vv_nested(VM *vm, u32 state) {\n");
            out.push_str("  while (state != VV_NESTED && !vm->stop) state = vv_dispatch_nested(vm, state);\n}\n");
            parts.declare("void vv_nested(VM *vm, u32 state)");
        }
        out
    }
}

/// A switch that runs one of these states, in functions of their own if they are many. In `c` those are switches, too:
/// a processor foresees one jump of a thousand targets better than the comparisons of a tree (jsonsort, which recurses,
/// runs 1.26 times as fast), but gcc takes a minute for 65,536.
fn switch(parts: &mut Parts, name: &str, states: Range<u32>, c: bool) -> String {
    let many = if c { SWITCH_C } else { SWITCH };
    let cases = |out: &mut String, states: Range<u32>| {
        states.for_each(|state| _ = writeln!(out, "  case {state}u: return st{state}(vm);"));
    };
    let mut out = String::from("  switch (state) {\n");
    if states.len() <= many as usize {
        cases(&mut out, states);
    } else {
        out = format!("  switch ((state - {}u) / {many}u) {{\n", states.start);
        for (n, first) in states.clone().step_by(many as usize).enumerate() {
            let head = format!("u32 vv_{name}{n}(VM *vm, u32 state)");
            let mut body = format!("VV_FN {head} {{\n");
            let some = first..states.end.min(first + many);
            if c {
                body.push_str("  switch (state) {\n");
                cases(&mut body, some);
                body.push_str("  }\n  return VV_HALT;\n");
            } else {
                tree(&mut body, some);
            }
            parts.add(&head, body + "}\n");
            let _ = writeln!(out, "  case {n}u: return vv_{name}{n}(vm, state);");
        }
    }
    out + "  }\n"
}

/// Finds one of these states by halves. NVIDIA's compiler makes a table in constant memory of each two neighbouring
/// cases of a switch, and a kernel has 64 KiB for them.
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
