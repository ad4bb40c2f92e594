//! Reads read-only data from the image, of which there is one for all VMs: lanes then share cache lines, and a load of
//! a constant address becomes a constant.
//!
//! What the linker calls `.rodata` is not read-only in WebAssembly. So a store that may go there is tested: a VM that
//! stores there ends as `Violated`, and its input runs again in a program that shares nothing. Results are right in
//! any case.

use super::access::WINDOW;
use super::facts::Facts;
use crate::ir::{Access, Body, Expr, ExprId, LoadOp, Program, Stmt, StoreOp, Var};
use crate::wasm::{Mode, Module};
use crate::{Image, SharedData, ValType};
use std::ops::Range;

/// Loads from tables of at most so many bytes are not worth the tests of stores, which take an eighth of the time of
/// scrypt on an H200.
const SMALL: u64 = 64;
/// Statements that are searched for other stores off the same address, which one test can cover.
const AHEAD: usize = 256;

/// The data that is shared.
pub struct Data {
    /// Its addresses.
    pub range: Range<u32>,
    bytes: Vec<u8>,
}

impl Data {
    /// Finds it, or says why there is none. An input that stores there must be able to run again.
    pub fn new(module: &Module<'_>, program: &Program, image: &Image) -> Result<Self, &'static str> {
        if module.memories.len() > 1 {
            return Err("the program has several memories");
        }
        let segments = module.read_only.iter().filter_map(|i| module.data.get(*i as usize));
        let active = segments.filter_map(|(mode, data)| match mode {
            Mode::Active { at, .. } => Some(u64::from(*at)..u64::from(*at) + data.len() as u64),
            Mode::Passive | Mode::Declared => None,
        });
        let all = active.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        let all = all.ok_or(
            "no data of the program is called .rodata; if its names were stripped, link it without -s, --strip-all or, \
             with Cargo, strip = true",
        )?;
        // The image begins and ends with its first and last nonzero line, also after the start function has changed the
        // rest.
        let inside = |at: u64| (at.saturating_sub(image.low) as usize).min(image.memory.len());
        let bytes = image.memory.get(inside(all.start)..inside(all.end)).unwrap_or_default();
        let base = all.start.max(image.low);
        const LINE: u64 = Image::LINE as u64;
        let nonzero = |at: Option<usize>| at.map(|at| (base + at as u64) & !(LINE - 1)).ok_or("its .rodata is empty");
        let start = nonzero(bytes.iter().position(|b| *b != 0))?.max(all.start);
        let end = (nonzero(bytes.iter().rposition(|b| *b != 0))? + LINE).min(all.end);
        let bytes = image.memory[inside(start)..inside(end)].to_vec();
        let data = Self { range: start as u32..end as u32, bytes };
        let pays = program.functions.iter().any(|f| {
            let params = program.types[f.ty as usize].params.len();
            f.bodies().any(|body| data.pays(body, params))
        });
        if pays { Ok(data) } else { Err("no load surely lies in a table of .rodata") }
    }

    /// The addresses that an access may touch, and whether a load of them surely lies in the data.
    fn touched(&self, body: &Body, facts: &Facts, mem: &Access, bytes: u32) -> (Range<u64>, bool) {
        let offset = u64::from(mem.offset);
        let at = offset + facts.least(body, mem.addr)..offset + facts.most(body, mem.addr) + u64::from(bytes);
        let inside = u64::from(self.range.start) <= at.start && at.end <= u64::from(self.range.end);
        (at, inside)
    }

    /// Whether a body has a load that surely lies in a table which is large enough, or, in a loop, at a constant address.
    fn pays(&self, body: &Body, params: usize) -> bool {
        let lists = || body.states.iter().chain([&body.stmts]);
        let facts = Facts::new(body, params, lists());
        lists().any(|list| self.list_pays(body, &facts, list, false))
    }

    fn list_pays(&self, body: &Body, facts: &Facts, list: &[Stmt], looped: bool) -> bool {
        list.iter().any(|stmt| match stmt {
            Stmt::Load { op, mem, .. } => {
                let (at, inside) = self.touched(body, facts, mem, op.bytes());
                inside && (looped || at.end - at.start > SMALL)
            }
            _ => {
                let looped = looped || matches!(stmt, Stmt::Loop { .. });
                stmt.children().into_iter().any(|child| self.list_pays(body, facts, child, looped))
            }
        })
    }

    /// The bits that a load finds.
    fn constant(&self, op: LoadOp, at: u64) -> Option<u64> {
        use LoadOp::*;
        let from = at.checked_sub(u64::from(self.range.start))? as usize;
        let bytes = self.bytes.get(from..from + op.bytes() as usize)?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(word);
        let sign = |width: u32| (((bits << (64 - width)) as i64) >> (64 - width)) as u64;
        Some(match op {
            I32Load8S => sign(8) & 0xffff_ffff,
            I32Load16S => sign(16) & 0xffff_ffff,
            I64Load8S => sign(8),
            I64Load16S => sign(16),
            I64Load32S => sign(32),
            I32Load | I64Load | F32Load | F64Load | I32Load8U | I32Load16U | I64Load8U | I64Load16U | I64Load32U => {
                bits
            }
        })
    }
}

/// Marks the loads that surely lie in the data and the stores that may, and counts them. Must run before
/// `pass::access`.
pub fn mark(body: &mut Body, params: usize, data: &Data, counts: &mut SharedData) {
    let mut lists = body.take_lists();
    let facts = Facts::new(body, params, lists.iter());
    lists.iter_mut().for_each(|list| mark_list(body, &facts, data, counts, list));
    body.put_lists(lists);
}

fn mark_list(body: &mut Body, facts: &Facts, data: &Data, counts: &mut SharedData, list: &mut [Stmt]) {
    for stmt in list {
        match stmt {
            Stmt::Load { var, op, mem, .. } => {
                let (at, inside) = data.touched(body, facts, mem, op.bytes());
                let aligned = facts.zeros(body, mem.addr).min(mem.offset.trailing_zeros()).min(3);
                if !inside {
                    continue;
                }
                if at.end - at.start == u64::from(op.bytes())
                    && let Some(bits) = data.constant(*op, at.start)
                {
                    let value = body.add(Expr::Const(op.ty(), bits));
                    *stmt = Stmt::Set { var: *var, value };
                    counts.constants += 1;
                } else if 1 << aligned >= op.bytes() {
                    (mem.checked, mem.shared, mem.align) = (true, true, op.bytes());
                    counts.loads += 1;
                }
            }
            Stmt::Store { op, mem, .. } => {
                let (at, _) = data.touched(body, facts, mem, op.bytes());
                mem.shared = at.start < data.range.end.into() && at.end > data.range.start.into();
                counts.stores += u32::from(mem.shared);
            }
            _ => stmt.children_mut().into_iter().for_each(|child| mark_list(body, facts, data, counts, child)),
        }
    }
}

/// Puts tests in front of the marked stores, one for neighbours off one address that surely follow each other. Stores
/// far apart have a test each, since nothing is stored to the bytes between them.
pub fn test_stores(body: &mut Body) {
    let mut lists = body.take_lists();
    lists.iter_mut().for_each(|list| test_list(body, list));
    body.put_lists(lists);
}

fn test_list(body: &mut Body, list: &mut Vec<Stmt>) {
    let mut done = Vec::with_capacity(list.len());
    let mut rest = std::mem::take(list).into_iter();
    while let Some(mut stmt) = rest.next() {
        stmt.children_mut().into_iter().for_each(|child| test_list(body, child));
        if let Stmt::Store { op, mem, .. } = &mut stmt
            && std::mem::take(&mut mem.shared)
        {
            let var = variable(body, mem.addr).unwrap_or_else(|| {
                let var = body.var(ValType::I32);
                done.push(Stmt::Set { var, value: mem.addr });
                mem.addr = body.add(Expr::Var(var));
                var
            });
            let ends =
                |mem: &Access, op: StoreOp| (u64::from(mem.offset), u64::from(mem.offset) + u64::from(op.bytes()));
            let (mut low, mut high) = ends(mem, *op);
            let behind = rest.as_mut_slice().iter_mut().take(AHEAD);
            for next in behind.take_while(|s| s.straight() && !s.sets().contains(&var)) {
                if let Stmt::Store { op, mem, .. } = next
                    && variable(body, mem.addr) == Some(var)
                    && mem.shared
                {
                    let (from, to) = ends(mem, *op);
                    let both = (low.min(from), high.max(to));
                    if both.1 - both.0 <= WINDOW {
                        (low, high) = both;
                        mem.shared = false;
                    }
                }
            }
            let addr = body.add(Expr::Var(var));
            done.push(Stmt::Unshared { addr, low: low as u32, bytes: (high - low) as u32 });
        }
        done.push(stmt);
    }
    *list = done;
}

fn variable(body: &Body, e: ExprId) -> Option<Var> {
    if let Expr::Var(v) = body.expr(e) { Some(v) } else { None }
}
