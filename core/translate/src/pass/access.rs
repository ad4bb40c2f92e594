//! Memory accesses: which are proven to be in bounds, which share one check, and which stores wait for a load.
//!
//! Neighbouring accesses off one address, such as to the fields of a struct or the words of a block, become one
//! [`Stmt::Check`] and accesses at constant offsets from its result, which a kernel compiler folds into the
//! instructions. A check covers the accesses that surely follow it: one behind a branch or a call gets its own.
//! Addresses `a + 4` and `a + 8` are neighbours too: the check begins at the lowest, so if that is in memory, none of
//! the others has wrapped around. A variable that was set to `a + 4` is taken for that, as long as neither changes: what
//! a function has on its stack lies at such addresses, also behind references that it gives to inlined ones. In `exact`
//! mode each access is tested by itself, so this pass is not run.

use super::facts::Facts;
use crate::abi::TrapKind;
use crate::ir::{Access, BinOp, Body, Expr, ExprId, Memory, Stmt, Var, walk};
use crate::{Bounds, Language, Opt, Options, ValType};
use std::collections::BTreeSet;

/// Most bytes that one check covers; the guard behind the memory is longer.
pub const WINDOW: u64 = 256;
/// Checks and loads remembered at a time, so that the pass stays linear.
const REMEMBERED: usize = 32;
/// Variables whose sums are remembered at a time.
const SUMS: usize = 128;
/// Statements that are searched for accesses which a new check can cover, for the same reason.
const AHEAD: usize = 256;
/// Bytes of a word: what is aligned to less may be bytes, of which a program tests whether it can take them by words.
const WORD: u32 = 4;
/// In deeper nests nothing is remembered, so that the statements inside are not walked once for each level.
const DEEP: usize = 256;

/// Rewrites the accesses of a body, direct or in states.
pub fn run(body: &mut Body, params: usize, memory: &Memory, natural: bool, options: &Options) {
    let mut lists = body.take_lists();
    let facts = Facts::new(body, params, lists.iter());
    let mut pass = Pass { body, facts, memory, natural, options, depth: 0, varying: Vec::new() };
    for list in &mut lists {
        pass.list(list, &mut Seen::default());
    }
    body.put_lists(lists);
}

struct Pass<'a> {
    body: &'a mut Body,
    facts: Facts,
    memory: &'a Memory,
    /// Accesses are assumed to be aligned as their hints say, and that is tested.
    natural: bool,
    options: &'a Options,
    /// Levels of blocks around the present statement.
    depth: usize,
    /// Variables that the loops around the present statement set.
    varying: Vec<BTreeSet<Var>>,
}

/// What is known at a point of a list.
#[derive(Clone, Default)]
struct Seen {
    checks: Vec<Checked>,
    loads: Vec<Loaded>,
    sums: Sums,
}

/// Variables that are others plus constants.
#[derive(Clone, Default)]
struct Sums(Vec<(Var, Base)>);

/// An address that was checked: the bytes from `low` to `high` above `var + residue` are in memory.
#[derive(Clone)]
struct Checked {
    base: Base,
    var: Var,
    low: u64,
    high: u64,
    align: Align,
}

/// An address: an expression and a constant, added modulo 2^32.
#[derive(Clone, Copy)]
struct Base {
    root: ExprId,
    plus: u32,
}

/// What a new check covers: the bytes from `low` to `high` above `base`, which is aligned.
#[derive(Clone, Copy)]
struct Window {
    base: Base,
    low: u64,
    high: u64,
    align: Align,
    /// They are proven to be in memory.
    bounded: bool,
}

/// `address % bytes == residue`, for a power of two.
#[derive(Clone, Copy)]
struct Align {
    bytes: u32,
    residue: u32,
}

/// A load whose value no later store depends on yet.
#[derive(Clone)]
struct Loaded {
    place: Base,
    bytes: u32,
    var: Var,
    derived: BTreeSet<Var>,
}

impl Align {
    /// What an access at an offset requires of its address.
    fn of(bytes: u32, offset: u32) -> Self {
        Self { bytes, residue: offset.wrapping_neg() & (bytes - 1) }
    }

    /// What this says of the address that lies `bytes` lower.
    fn below(self, bytes: u32) -> Self {
        Self { residue: self.residue.wrapping_sub(bytes) & (self.bytes - 1), ..self }
    }

    /// Both, unless they contradict each other.
    fn and(self, other: Self) -> Option<Self> {
        let (more, less) = if self.bytes >= other.bytes { (self, other) } else { (other, self) };
        (more.residue & (less.bytes - 1) == less.residue).then_some(more)
    }
}

/// Control goes on to the next statement, and the memory has the same size there.
fn plain(stmt: &Stmt) -> bool {
    matches!(
        stmt,
        Stmt::Set { .. } | Stmt::GetGlobal { .. } | Stmt::SetGlobal { .. } | Stmt::Load { .. } | Stmt::Store { .. }
    )
}

fn reads_any(body: &Body, expr: ExprId, vars: &BTreeSet<Var>) -> bool {
    let mut found = false;
    body.reads(expr, &mut |v| found |= vars.contains(&v));
    found
}

impl Pass<'_> {
    fn list(&mut self, stmts: &mut Vec<Stmt>, seen: &mut Seen) {
        let mut done = Vec::with_capacity(stmts.len());
        let mut rest = std::mem::take(stmts).into_iter();
        while let Some(mut stmt) = rest.next() {
            if let Some((mem, bytes)) = stmt.access().filter(|(mem, _)| !mem.checked) {
                let (addr, offset) = (mem.addr, mem.offset);
                let mut place = seen.sums.base(self.body, addr);
                place.plus = place.plus.wrapping_add(offset);
                let end = u64::from(offset) + u64::from(bytes);
                if end > self.memory.limit {
                    if let Stmt::Load { at, .. } | Stmt::Store { at, .. } = stmt {
                        done.push(Stmt::Trap { kind: TrapKind::OutOfBoundsMemory, at });
                    }
                    break;
                }
                if let Stmt::Load { mem, .. } | Stmt::Store { mem, .. } = &mut stmt {
                    if offset > 0 && end > self.memory.initial && self.options.bounds == Bounds::Size {
                        self.add_offset(mem, &mut done);
                    }
                    self.check(mem, bytes, rest.as_slice(), seen, &mut done);
                }
                // On a processor nothing collapses.
                if self.options.has(Opt::StoreAfterLoad) && self.options.target.language != Language::C {
                    self.wait(&mut stmt, place, bytes, seen);
                }
            }
            self.inside(&mut stmt, seen);
            seen.pass(self.body, &stmt);
            done.push(stmt);
        }
        *stmts = done;
    }

    /// Rewrites the statements inside a statement. Facts about variables that they set do not hold behind them, nor at
    /// the head of a loop.
    fn inside(&mut self, stmt: &mut Stmt, seen: &mut Seen) {
        if stmt.children().is_empty() {
            return;
        }
        let mut before = seen.clone();
        let mut set = BTreeSet::new();
        if self.depth < DEEP {
            for child in stmt.children() {
                walk(child, &mut |s| set.extend(s.sets()));
            }
            seen.forget(self.body, &set);
        } else {
            *seen = Seen::default();
        }
        let repeats = matches!(stmt, Stmt::Loop { .. });
        if repeats {
            before = seen.clone();
            self.varying.push(set);
        }
        self.depth += 1;
        for child in stmt.children_mut() {
            self.list(child, &mut before.clone());
        }
        self.depth -= 1;
        if repeats {
            self.varying.pop();
        }
    }

    /// How many bytes an address lies above another one that is known to differ from it by a constant.
    fn above(&self, addr: Base, other: Base) -> Option<i32> {
        self.body.same(addr.root, other.root).then(|| addr.plus.wrapping_sub(other.plus) as i32)
    }

    /// Whether an access is always in memory.
    fn bounded(&self, mem: &Access, bytes: u32) -> bool {
        let high = u64::from(mem.offset) + u64::from(bytes);
        self.options.bounds == Bounds::None || self.facts.most(self.body, mem.addr) + high <= self.memory.initial
    }

    /// Adds the offset of an access to its address. A check leads bad accesses to the end of memory less the offset, and
    /// this offset may be more than there is. The sum is the highest address, where nothing is, if it does not fit.
    fn add_offset(&mut self, mem: &mut Access, done: &mut Vec<Stmt>) {
        let sum = self.body.var(ValType::I32);
        let constant = |n: u32| Expr::Const(ValType::I32, n.into());
        let mut binary = |op, a, b| {
            let (a, b) = (self.body.add(a), self.body.add(b));
            Expr::Binary(op, a, b)
        };
        let over = binary(BinOp::I32LtU, Expr::Var(sum), constant(mem.offset));
        let ones = binary(BinOp::I32Sub, constant(0), over);
        let address = binary(BinOp::I32Or, Expr::Var(sum), ones);
        let offset = self.body.add(constant(mem.offset));
        let value = self.body.add(Expr::Binary(BinOp::I32Add, mem.addr, offset));
        done.push(Stmt::Set { var: sum, value });
        mem.addr = self.body.add(address);
        mem.offset = 0;
    }

    /// Makes an access checked: by proof, by an earlier check, or by a new one in front of it.
    fn check(&mut self, mem: &mut Access, bytes: u32, rest: &[Stmt], seen: &mut Seen, done: &mut Vec<Stmt>) {
        let proven = self.facts.zeros(self.body, mem.addr).min(3);
        let wanted = if self.natural { mem.align } else { 1 };
        let mut align = Align { bytes: 1 << proven, residue: 0 };
        mem.align = mem.align.min(1 << proven).min(1 << mem.offset.trailing_zeros().min(3));
        let mut bounded = self.bounded(mem, bytes);
        if bounded && mem.align >= wanted {
            mem.checked = true;
            return;
        }
        let own = seen.sums.base(self.body, mem.addr);
        let old = seen.checks.iter().rev().find(|c| {
            let low = self.above(own, c.base).and_then(|n| Some(u64::from(mem.offset) + u64::try_from(n).ok()?));
            low.is_some_and(|low| c.low <= low && low + u64::from(bytes) <= c.high) && c.align.bytes >= wanted
        });
        if let Some(old) = old.cloned() {
            return self.through(mem, own, &old, wanted);
        }
        let mut base = own;
        let (mut low, mut high) = (u64::from(mem.offset), u64::from(mem.offset) + u64::from(bytes));
        if wanted > align.bytes {
            align = Align::of(wanted, mem.offset);
        }
        let mut sure = None;
        if self.options.has(Opt::MergeChecks) {
            let mut reads = BTreeSet::new();
            self.body.reads(own.root, &mut |v| _ = reads.insert(v));
            let mut window = Window { base, low, high, align, bounded };
            let mut sums = seen.sums.clone();
            for stmt in rest.iter().take(AHEAD) {
                if let Some((other, bytes)) = stmt.access().filter(|(mem, _)| !mem.checked) {
                    self.widen(&mut window, other, bytes, true, &sums);
                }
                if !plain(stmt) || stmt.sets().iter().any(|v| reads.contains(v)) {
                    break;
                }
                sums.pass(self.body, stmt);
            }
            let surely = window;
            if self.wide() && !window.bounded && !self.varies(&reads) {
                self.may_follow(rest, &reads, &mut window, &mut { AHEAD }, &mut seen.sums.clone());
                let down = u64::from(surely.base.plus.wrapping_sub(window.base.plus));
                let whole = (window.low, window.high) == (surely.low + down, surely.high + down);
                sure = (!whole).then_some((surely.low + down, surely.high - surely.low));
            }
            Window { base, low, high, align, bounded } = window;
        }
        let addr = if base.plus == own.plus && Base::of(self.body, mem.addr).root == own.root {
            mem.addr
        } else {
            let root = if let root @ Expr::Var(_) = self.body.expr(own.root) { self.body.add(root) } else { own.root };
            let plus = self.body.add(Expr::Const(ValType::I32, base.plus.into()));
            self.body.add(Expr::Binary(BinOp::I32Add, root, plus))
        };
        let var = self.body.var(ValType::I32);
        let check = Checked { base, var, low, high, align };
        self.through(mem, own, &check, wanted);
        let bounds = (!bounded).then_some((low, high));
        done.push(Stmt::Check { var, addr, bounds, sure, align: align.bytes, residue: align.residue });
        if seen.checks.len() == REMEMBERED {
            seen.checks.remove(0);
        }
        seen.checks.push(check);
    }

    /// Whether checks may also cover accesses that may follow them. It was not tried where memory is in cells.
    fn wide(&self) -> bool {
        self.natural && self.options.cell == 0 && self.options.has(Opt::WideChecks)
    }

    /// Whether a loop around the present statement sets one of these variables. `pass::stride` may move the check of such
    /// an address out of the loop, if all of it is sure.
    fn varies(&self, vars: &BTreeSet<Var>) -> bool {
        self.varying.iter().any(|set| !set.is_disjoint(vars))
    }

    /// Makes a window cover an access off the same address as well, if it then is not too large. If the access is not
    /// sure, only an address that is one of words already is taken to be aligned for it.
    fn widen(&self, window: &mut Window, mem: &Access, bytes: u32, sure: bool, sums: &Sums) {
        let Some(up) = self.above(sums.base(self.body, mem.addr), window.base) else { return };
        let (down, up) = (up.min(0).unsigned_abs(), up.max(0) as u32);
        let from = u64::from(mem.offset) + u64::from(up);
        let low = (window.low + u64::from(down)).min(from);
        let high = (window.high + u64::from(down)).max(from + u64::from(bytes));
        if high - low > WINDOW || high > self.memory.initial {
            return;
        }
        let below = window.align.below(down);
        let both = if self.natural { below.and(Align::of(mem.align, from as u32)) } else { None };
        let align = both.unwrap_or(below);
        if !sure && (both.is_none() || (align.bytes > below.bytes && below.bytes < WORD)) {
            return;
        }
        let base = Base { plus: window.base.plus.wrapping_sub(down), ..window.base };
        *window = Window { base, low, high, align, bounded: window.bounded && self.bounded(mem, bytes) };
    }

    /// Makes a window cover the accesses that may follow, as long as the address stays the same; looks at so many
    /// statements. Whether it got to the end.
    fn may_follow(
        &self,
        stmts: &[Stmt],
        reads: &BTreeSet<Var>,
        window: &mut Window,
        left: &mut usize,
        sums: &mut Sums,
    ) -> bool {
        stmts.iter().all(|stmt| {
            let Some(less) = left.checked_sub(1) else { return false };
            *left = less;
            if let Some((mem, bytes)) = stmt.access().filter(|(mem, _)| !mem.checked) {
                self.widen(window, mem, bytes, false, sums);
            }
            sums.forget(self.body, &stmt.sets().into_iter().collect());
            stmt.children().into_iter().all(|child| self.may_follow(child, reads, window, left, sums))
                && !stmt.sets().iter().any(|var| reads.contains(var))
        })
    }

    /// Rewrites an access to use a checked address that is not above its own.
    fn through(&mut self, mem: &mut Access, own: Base, check: &Checked, wanted: u32) {
        mem.addr = self.body.add(Expr::Var(check.var));
        mem.offset += own.plus.wrapping_sub(check.base.plus) + check.align.residue;
        if check.align.bytes >= wanted && mem.offset & (wanted - 1) == 0 {
            mem.align = mem.align.max(wanted);
        }
        mem.checked = true;
    }

    /// Makes a store wait for an earlier load of the same address. Without that dependence such a store collapses the
    /// memory throughput of an H200 (LZ4: 7 times slower).
    fn wait(&mut self, stmt: &mut Stmt, place: Base, bytes: u32, seen: &mut Seen) {
        match stmt {
            Stmt::Load { var, .. } if !reads_any(self.body, place.root, &BTreeSet::from([*var])) => {
                if seen.loads.len() == REMEMBERED {
                    seen.loads.remove(0);
                }
                seen.loads.push(Loaded { place, bytes, var: *var, derived: BTreeSet::from([*var]) });
            }
            Stmt::Store { value, after, .. } => {
                let ty = self.body.type_of(*value);
                let same = |l: &Loaded| {
                    l.bytes == bytes && self.body.vars[l.var.0 as usize] == ty && self.above(l.place, place) == Some(0)
                };
                if let Some(load) = seen.loads.iter().rposition(same).map(|i| seen.loads.remove(i))
                    && !reads_any(self.body, *value, &load.derived)
                {
                    *after = Some(load.var);
                }
            }
            _ => {}
        }
    }
}

impl Base {
    fn of(body: &Body, addr: ExprId) -> Self {
        let constant = |e| if let Expr::Const(_, n) = body.expr(e) { Some(n as u32) } else { None };
        let (mut root, mut plus) = (addr, 0u32);
        loop {
            let (next, more) = match body.expr(root) {
                Expr::Binary(BinOp::I32Add, a, b) => match (constant(a), constant(b)) {
                    (_, Some(more)) => (a, more),
                    (Some(more), None) => (b, more),
                    (None, None) => break,
                },
                Expr::Binary(BinOp::I32Sub, a, b) => match constant(b) {
                    Some(less) => (a, less.wrapping_neg()),
                    None => break,
                },
                _ => break,
            };
            (root, plus) = (next, plus.wrapping_add(more));
        }
        Self { root, plus }
    }
}

impl Sums {
    /// An address, by what its variable is.
    fn base(&self, body: &Body, addr: ExprId) -> Base {
        let base = Base::of(body, addr);
        let Expr::Var(var) = body.expr(base.root) else { return base };
        let sum = self.0.iter().find(|(v, _)| *v == var);
        sum.map_or(base, |(_, sum)| Base { root: sum.root, plus: sum.plus.wrapping_add(base.plus) })
    }

    /// Variables get new values.
    fn forget(&mut self, body: &Body, vars: &BTreeSet<Var>) {
        if vars.is_empty() {
            return;
        }
        self.0.retain(|(var, sum)| !vars.contains(var) && !reads_any(body, sum.root, vars));
    }

    /// A statement is passed.
    fn pass(&mut self, body: &Body, stmt: &Stmt) {
        let new = match stmt {
            Stmt::Set { var, value } if body.vars[var.0 as usize] == ValType::I32 => {
                let base = self.base(body, *value);
                matches!(body.expr(base.root), Expr::Var(other) if other != *var).then_some((*var, base))
            }
            _ => None,
        };
        self.forget(body, &stmt.sets().into_iter().collect());
        if new.is_some() && self.0.len() == SUMS {
            self.0.remove(0);
        }
        self.0.extend(new);
    }
}

impl Seen {
    /// Forgets what depends on variables that get new values.
    fn forget(&mut self, body: &Body, vars: &BTreeSet<Var>) {
        self.sums.forget(body, vars);
        self.checks.retain(|c| !reads_any(body, c.base.root, vars));
        self.loads.retain(|l| !vars.contains(&l.var) && !reads_any(body, l.place.root, vars));
    }

    /// Updates the facts after a statement.
    fn pass(&mut self, body: &Body, stmt: &Stmt) {
        if !plain(stmt) {
            self.loads.clear();
        }
        self.sums.pass(body, stmt);
        let sets: BTreeSet<Var> = stmt.sets().into_iter().collect();
        if sets.is_empty() {
            return;
        }
        for load in &mut self.loads {
            if stmt.operands().into_iter().any(|e| reads_any(body, e, &load.derived)) {
                load.derived.extend(&sets);
            }
        }
        // The load that has just happened sets its own variable.
        let own = |l: &Loaded| matches!(stmt, Stmt::Load { var, .. } if *var == l.var) && l.derived.len() == 1;
        self.checks.retain(|c| !reads_any(body, c.base.root, &sets));
        self.loads.retain(|l| own(l) || (!sets.contains(&l.var) && !reads_any(body, l.place.root, &sets)));
    }
}
