//! Writes statements.

use super::{BRACES, Scope, Writer, trap_name};
use crate::ValType;
use crate::abi::Counted;
use crate::analysis::{Adjacent, World};
use crate::dialect::expr::{MemoryOperand, condition, ctype, expr, from_bits, load, store, to_bits, trapping};
use crate::ir::{Access, Ask, Callee, ExprId, Label, State, Stmt, Stride};
use std::fmt::Write as _;

impl Writer<'_> {
    pub(super) fn list(&self, s: &mut Scope<'_>, stmts: &[Stmt]) {
        let mut from = 0;
        while let Some(stmt) = stmts.get(from) {
            if self.paired()
                && let Some(words) = Adjacent::find(s.body, &stmts[from..])
            {
                from += words.words.len() + words.between.len();
                self.adjacent(s, &words);
                continue;
            }
            from += 1;
            self.stmt(s, stmt);
            if stmt.ends() || s.out.len() > self.most {
                break; // the rest cannot be reached, or the text will be refused
            }
        }
    }

    /// Whether 16 bytes of a VM are contiguous, so that one instruction moves them.
    pub(super) fn paired(&self) -> bool {
        let plan = &self.l.plan;
        plan.lanes == 1 || plan.cell == 0 || plan.cell >= 16
    }

    /// Adjacent words: 16 bytes at a time if a test at run time finds the address aligned to 16.
    fn adjacent(&self, s: &mut Scope<'_>, words: &Adjacent<'_>) {
        let Adjacent { base, bytes, words, between, wide } = words;
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

    pub(super) fn e(&self, s: &Scope<'_>, e: ExprId) -> String {
        expr(s.body, e)
    }

    pub(super) fn args(&self, s: &Scope<'_>, args: &[ExprId]) -> String {
        args.iter().map(|a| format!(", {}", self.e(s, *a))).collect()
    }

    pub(super) fn check_stop(&self, s: &mut Scope<'_>, may: bool) {
        if may && !self.o.target.thread_exit {
            line!(s, "if (VV_STOPPED(vm)) {};", s.leave);
        }
    }

    /// Reads the fuel again, after other code has charged it.
    pub(super) fn refuel(&self, s: &mut Scope<'_>) {
        if s.fuel {
            line!(s, "fuel = vm->fuel;");
        }
    }

    /// Calls a helper that charges for its work, and returns 0 or the status with which the VM ends.
    fn charged(&self, s: &mut Scope<'_>, work: &str, at: u32) {
        line!(s, "{{");
        s.depth += 1;
        line!(s, "u32 end = {work};");
        self.end_if(s, "end", "VV_OUT_OF_BOUNDS_MEMORY", at);
        self.refuel(s);
        s.depth -= 1;
        line!(s, "}}");
    }

    /// Ends the VM with a status, unless that is 0; `trap` is the code, which only counts for a trap.
    pub(super) fn end_if(&self, s: &mut Scope<'_>, status: &str, trap: &str, at: u32) {
        line!(s, "if (VV_UNLIKELY({status})) {{ vv_halt(vm, {status}, {trap}, {}); {}; }}", s.site(at), s.leave);
    }

    /// After a call: it has used fuel, and the memory may have grown.
    fn back(&self, s: &mut Scope<'_>) {
        self.refuel(s);
        self.refresh(s);
    }

    fn refresh(&self, s: &mut Scope<'_>) {
        if s.refresh {
            line!(s, "size = vm->size;");
        }
    }

    /// Whether other code reads the fuel there, or charges it.
    fn takes_fuel(&self, s: &Scope<'_>, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Call { callee: callee @ Callee::Function(f), .. } => {
                self.changes.fuel[*f as usize] || self.c.cuts.has(s.function, self.c.graph.node(callee))
            }
            _ => stmt.leaves(),
        }
    }

    /// Opens a block with the effective address of an access, and a trap in front of it.
    fn exactly(&self, s: &mut Scope<'_>, mem: &Access, bytes: u32, at: u32) {
        let (a, offset) = (self.e(s, mem.addr), mem.offset);
        line!(s, "{{ u32 ea = {a};");
        let high = u64::from(offset) + u64::from(bytes);
        let test = if high > self.l.plan.memory_limit { "1".into() } else { format!("vv_bad(size, ea, {high}u)") };
        self.trap_if(s, &format!("VV_UNLIKELY({test})"), "VV_OUT_OF_BOUNDS_MEMORY", at);
        if offset > 0 {
            line!(s, "ea += {offset}u;");
        }
    }

    fn edge(&self, s: &mut Scope<'_>, at: u32) {
        line!(s, "VV_EDGE({}u, {at}u, {})", s.reported, s.leave);
    }

    /// Counts at a point of a program that is profiled.
    pub(super) fn visit(&self, s: &mut Scope<'_>, what: Counted) {
        if let Some(point) = self.l.point(s.reported, what) {
            line!(s, "vv_visit(vm, {point}u);");
        }
    }

    /// Counts what an indirect call calls, in a program that is profiled.
    pub(super) fn target(&self, s: &mut Scope<'_>, callee: &Callee, at: u32) {
        if let Callee::Table { ty, index } = callee
            && let Some(first) = self.c.targets(callee).first()
            && let Some(point) = self.l.point(s.reported, Counted::Call(at, *first))
        {
            line!(s, "ct{ty}(vm, {}, {point}u);", self.e(s, *index));
        }
    }

    /// A test that traps.
    pub(super) fn trap_if(&self, s: &mut Scope<'_>, test: &str, kind: &str, at: u32) {
        line!(s, "if ({test}) {{ {}vv_trap(vm, {kind}, {}); {}; }}", s.put(), s.site(at), s.leave);
    }

    pub(super) fn stmt(&self, s: &mut Scope<'_>, stmt: &Stmt) {
        if s.fuel && self.takes_fuel(s, stmt) {
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
            Stmt::Check { var, addr, bounds, sure, align, residue } => {
                let (a, fuel) = (self.e(s, *addr), s.at_fuel());
                match bounds {
                    Some((low, high)) => {
                        let (name, sure) = match sure {
                            None => ("vv_check", String::new()),
                            Some((from, bytes)) => ("vv_check_wide", format!(", {from}u, {bytes}u")),
                        };
                        let bounds = format!("{low}u, {high}u, {align}u, {residue}u{sure}");
                        line!(s, "v{} = {name}({fuel}, size, {a}, {bounds});", var.0)
                    }
                    None => line!(s, "v{} = vv_aligned({fuel}, {a}, {align}u, {residue}u);", var.0),
                }
            }
            Stmt::Unshared { addr, low, bytes } => {
                let a = self.e(s, *addr);
                line!(s, "if (VV_UNLIKELY(vv_shares({a} + {low}u, {bytes}u))) fuel |= VV_VIOLATION;");
            }
            Stmt::Load { var, op, mem, .. } if mem.checked => {
                let a = self.e(s, mem.addr);
                let checked = MemoryOperand::Checked(&a, mem.offset, mem.align);
                let from = if mem.shared { MemoryOperand::Shared(&a, mem.offset) } else { checked };
                line!(s, "v{} = {};", var.0, load(*op, from));
            }
            Stmt::Load { var, op, mem, at } => {
                self.exactly(s, mem, op.bytes(), *at);
                line!(s, "v{} = {}; }}", var.0, load(*op, MemoryOperand::Address("ea")));
            }
            Stmt::Store { op, mem, value, after, at } => {
                let value = self.e(s, *value);
                let after = after.map(|v| format!("v{}", v.0));
                if mem.checked {
                    let a = self.e(s, mem.addr);
                    let checked = MemoryOperand::Checked(&a, mem.offset, mem.align);
                    line!(s, "{};", store(*op, checked, &value, after.as_deref()));
                } else {
                    self.exactly(s, mem, op.bytes(), *at);
                    line!(s, "{}; }}", store(*op, MemoryOperand::Address("ea"), &value, None));
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
            Stmt::MemoryGrow { var, delta, at } => {
                let delta = self.e(s, *delta);
                line!(s, "{{");
                s.depth += 1;
                line!(s, "u64 old = vv_memory_grow(vm, {delta});");
                self.end_if(s, "(u32)(old >> 32)", "0u", *at);
                line!(s, "v{} = (u32)old;", var.0);
                s.depth -= 1;
                line!(s, "}}");
                self.back(s);
            }
            Stmt::MemoryCopy { to, from, length, at } => {
                let args = self.args(s, &[*to, *from, *length]);
                self.charged(s, &format!("vv_memory_copy(vm{args})"), *at);
            }
            Stmt::MemoryFill { to, value, length, at } => {
                let args = self.args(s, &[*to, *value, *length]);
                self.charged(s, &format!("vv_memory_fill(vm{args})"), *at);
            }
            Stmt::MemoryInit { segment, to, from, length, at } => {
                let (start, bytes) = self.p.segments[*segment as usize];
                let bytes = self.alive(*segment, bytes);
                let args = self.args(s, &[*to, *from, *length]);
                self.charged(s, &format!("vv_memory_init(vm, {start}u, {bytes}{args})"), *at);
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
                let table = self.l.table;
                self.charged(s, &format!("vv_copy(vm, vm->head, {table}u + to * 4, {table}u + from * 4, n * 4)"), *at);
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
                    // The pointer is copied: NVRTC 13.0 does not terminate if it unrolls this loop in a kernel and
                    // reloads the pointer after each store.
                    line!(s, "vv_gp head = vm->head;");
                    line!(s, "for (u32 i = 0, piece; i < n; i += piece) {{");
                    s.depth += 1;
                    line!(s, "piece = VV_FIRST(n - i);");
                    self.charged(s, "vv_charge(vm, VV_WORK(piece * 4))", *at);
                    line!(
                        s,
                        "for (u32 j = i; j < i + piece; j++) vv_sw32(head, {}u + (to + j) * 4, vv_elements{segment}[from + j]);",
                        self.l.table
                    );
                    s.depth -= 1;
                    line!(s, "}}");
                }
                s.depth -= 1;
                line!(s, "}}");
            }
            Stmt::Call { callee, args, results, at } => {
                self.target(s, callee, *at);
                let args = self.args(s, args);
                let (call, may) = match callee {
                    Callee::Function(f) => (format!("fn{f}(vm{args})"), self.stops[*f as usize]),
                    Callee::Table { ty, index } => {
                        (format!("ci{ty}(vm, {}, {}u, {at}u{args})", self.e(s, *index), s.reported), true)
                    }
                };
                // A direct function may push frames of a nested trampoline above that of the state which calls it.
                let nested = !self.c.native && !self.c.cuts.is_empty();
                let above = s.framed && self.c.suspends(s.function) && nested;
                let deeper = !s.framed && self.c.cuts.has(s.function, self.c.graph.node(callee));
                if deeper {
                    line!(s, "VV_DEEPER({}u, {at}u, {})", s.reported, s.leave);
                }
                if above {
                    line!(s, "vm->fp += {}u;", s.body.frame);
                }
                match results.first() {
                    Some(v) => line!(s, "v{} = {call};", v.0),
                    None => line!(s, "{call};"),
                }
                if deeper {
                    line!(s, "VV_BACK");
                }
                self.check_stop(s, may);
                if above {
                    line!(s, "vm->fp -= {}u;", s.body.frame);
                }
                for (i, v) in results.iter().enumerate().skip(1) {
                    let value = from_bits(s.body.vars[v.0 as usize], &format!("vm->r{i}"));
                    line!(s, "v{} = {value};", v.0);
                }
                if self.takes_fuel(s, stmt) {
                    self.refuel(s);
                }
                if self.changes.grows[self.c.graph.node(callee) as usize] {
                    self.refresh(s);
                }
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
            Stmt::Ask { call, args, result, how, at } => {
                let state = |state: State| format!("{}u", self.l.states[&s.function] + state.0);
                match *how {
                    Ask::Here => self.host(s, *call, args, *result, *at),
                    Ask::Suspends(then) => self.suspend(s, *call, args, &state(then), *at),
                    Ask::Takes => self.answer(s, *call, args, *result, *at),
                    Ask::Repeats(again) => self.write_or_flush(s, *call, args, *result, &state(again), *at),
                }
            }
            Stmt::Block { label, body } => {
                self.list(s, body);
                // A label must stand before a statement.
                line!(s, "L{}: ;", label.0);
            }
            Stmt::Loop { label, body, at } => self.repeat(s, *label, body, *at),
            Stmt::Strides(_) => {} // printed with the loop
            Stmt::If { cond, then, otherwise } => {
                let cond = condition(s.body, *cond);
                let (first, second, cond) = if then.is_empty() && !otherwise.is_empty() {
                    (otherwise, then, format!("!({cond})"))
                } else {
                    (then, otherwise, cond)
                };
                self.either(s, &cond, first, second);
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
                line!(s, "vv_trap(vm, VV_{}, {}u, {at}u);", trap_name(*kind), s.reported);
                line!(s, "{};", s.leave);
            }
            Stmt::Edge { head, at } => {
                if *head {
                    line!(s, "VV_COUNT(vm, framed);");
                }
                self.edge(s, *at);
                // Behind what may end the VM: it may go on here. A direct function has counted at its top.
                if s.framed {
                    self.visit(s, if *head { Counted::Turn(*at) } else { Counted::Entry });
                }
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
        }
    }

    /// An `if` with a first arm and perhaps a second.
    fn either(&self, s: &mut Scope<'_>, cond: &str, first: &[Stmt], second: &[Stmt]) {
        if s.depth > BRACES {
            let n = s.flat;
            s.flat += 1;
            line!(s, "if (!({cond})) goto N{n};");
            self.list(s, first);
            let falls = !second.is_empty() && !first.last().is_some_and(Stmt::ends);
            if falls {
                line!(s, "goto D{n};");
            }
            line!(s, "N{n}: ;");
            self.list(s, second);
            if falls {
                line!(s, "D{n}: ;");
            }
            return;
        }
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

    /// A loop. One without calls stands inside an outer loop that gets new fuel, since that is a call.
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
            line!(s, "u32 iterations = 0xffffffffu;");
            for Stride { addr, step, end, align, residue } in strides {
                let a = self.e(s, *addr);
                match end {
                    Some(end) => {
                        line!(s, "vv_stride(&fuel, &iterations, size, {a}, {step}, {end}u, {align}u, {residue}u);")
                    }
                    None => line!(s, "(void)vv_aligned(&fuel, {a}, {align}u, {residue}u);"),
                }
            }
            line!(s, "if (VV_UNLIKELY((s32)fuel < 0)) {{ VV_REFUEL({}u, {at}u, {}) }}", s.reported, s.leave);
        }
        // A quiet loop has no other in it.
        let flat = s.depth > BRACES && !quiet;
        if flat {
            line!(s, "H{}: ;", label.0);
        } else {
            line!(s, "for (;;) {{");
            s.depth += 1;
        }
        self.list(s, body);
        let falls = !body.last().is_some_and(Stmt::ends);
        match quiet || flat {
            true if falls => line!(s, "goto E{};", label.0),
            false if falls => line!(s, "break;"),
            _ => {}
        }
        line!(s, "L{}: ;", label.0);
        line!(s, "VV_COUNT(vm, {});", if s.framed { "state" } else { "direct" });
        self.visit(s, Counted::Turn(at));
        if !strides.is_empty() {
            line!(s, "if (VV_SPENT_OR(iterations-- == 0)) break;");
        } else if quiet {
            line!(s, "if (VV_SPENT) break;");
        } else {
            self.edge(s, at);
        }
        if flat {
            line!(s, "goto H{};", label.0);
        } else {
            s.depth -= 1;
            line!(s, "}}");
        }
        if quiet {
            let test = if strides.is_empty() { "" } else { "if ((s32)(fuel + 1) <= 0) " };
            line!(s, "{test}{{ VV_REFUEL({}u, {at}u, {}) }}", s.reported, s.leave);
            line!(s, "}}");
        }
        if (quiet || flat) && falls {
            line!(s, "E{}: ;", label.0);
        }
    }

    /// The length of a segment, 0 after it was dropped.
    fn alive(&self, flag: u32, length: u32) -> String {
        if self.l.drops {
            format!("(vv_w32(vm->head, {}u) ? 0u : {length}u)", self.l.dropped + 4 * flag)
        } else {
            format!("{length}u")
        }
    }
}
