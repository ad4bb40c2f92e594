//! Where everything of a VM lies: head, frames, slot, linear memory, guard; and the numbers of the states.

use crate::abi::Plan;
use crate::analysis::Colours;
use crate::ir::{Callee, Program, Stmt, walk};
use crate::{Error, Options};
use std::collections::{BTreeMap, BTreeSet};

/// Room for the request of one remote call.
const SLOT: u64 = 4096;
/// States 0 (halt) and 1 (finish) are fixed.
const FIRST_STATE: u32 = 2;

/// Layout and numbering of a program whose framed functions were cut.
pub struct Layout {
    /// For the runtime.
    pub plan: Plan,
    /// Byte offset in the head of each mutable global.
    pub globals: BTreeMap<u32, u32>,
    /// Byte offset in the head of the table, if it is per VM.
    pub table: u32,
    /// Byte offset in the head of the "dropped" flags: data segments, then element segments.
    pub dropped: u32,
    /// Entry state of each function that has one: framed functions, and direct ones that the trampoline enters.
    pub states: BTreeMap<u32, u32>,
    /// Number of states.
    pub count: u32,
    /// Frames nest without bound, so pushing one is checked.
    pub recursive: bool,
}

/// Frame of a direct function that the trampoline enters: return state, then parameters or results.
pub fn adapter_frame(program: &Program, function: u32) -> u32 {
    let ty = &program.types[program.functions[function as usize].ty as usize];
    8 + 8 * ty.params.len().max(ty.results.len()) as u32
}

/// Frame size of a function, cut or not.
pub fn frame(program: &Program, colours: &Colours, function: u32) -> u32 {
    match &program.functions[function as usize].body {
        Some(body) if colours.framed(function) => body.frame,
        _ => adapter_frame(program, function),
    }
}

/// Functions that a framed call may enter.
pub fn targets(colours: &Colours, callee: &Callee) -> Vec<u32> {
    match callee {
        Callee::Function(f) => vec![*f],
        Callee::Table { ty, .. } => colours.graph.candidates.get(ty).cloned().unwrap_or_default(),
    }
}

fn align(bytes: u64, to: u64) -> u64 {
    bytes.div_ceil(to) * to
}

impl Layout {
    /// Lays a program out.
    pub fn new(program: &Program, colours: &Colours, options: &Options) -> Result<Self, Error> {
        let mut head = 0u32;
        let mut globals = BTreeMap::new();
        for (i, global) in program.globals.iter().enumerate() {
            if global.mutable {
                globals.insert(i as u32, head);
                head += 8;
            }
        }
        let table = head;
        if program.table.mutable {
            head += 4 * program.table.elements.len() as u32;
        }
        let dropped = head;
        let mut drops = false;
        let mut adapters: BTreeSet<u32> = program.entries.iter().map(|(_, f)| *f).chain(program.init).collect();
        let mut calls: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut abandoned = BTreeSet::new();
        for (i, function) in program.functions.iter().enumerate() {
            let Some(body) = &function.body else { continue };
            for stmts in body.states.iter().chain([&body.stmts]) {
                walk(stmts, &mut |s| match s {
                    Stmt::DataDrop { .. } | Stmt::ElemDrop { .. } => drops = true,
                    Stmt::CallFramed { callee, .. } => {
                        calls.entry(i as u32).or_default().extend(targets(colours, callee));
                    }
                    Stmt::Abandon { function, .. } => {
                        abandoned.insert(*function);
                    }
                    _ => {}
                });
            }
        }
        if drops {
            head += 4 * (program.segments.len() + program.elements.len()) as u32;
        }
        adapters.extend(calls.values().flatten());
        adapters.extend(&abandoned);

        let mut states = BTreeMap::new();
        let mut count = FIRST_STATE;
        for (i, function) in program.functions.iter().enumerate() {
            let Some(body) = &function.body else { continue };
            if colours.framed(i as u32) {
                states.insert(i as u32, count);
                count += body.states.len() as u32;
            } else if adapters.contains(&(i as u32)) {
                states.insert(i as u32, count);
                count += 1;
            }
        }

        let mut depth = Depth { program, colours, calls: &calls, known: BTreeMap::new(), open: BTreeSet::new() };
        let bounded = states.keys().try_fold(0u64, |most, f| depth.of(*f).map(|d| most.max(d)));
        let recursive = bounded.is_none();
        let frames = align(bounded.unwrap_or_else(|| u64::from(options.stack).max(4096)), 64);

        let frames_at = align(u64::from(head), 64);
        let slot_at = frames_at + frames;
        let slot = if colours.remote { SLOT } else { 0 };
        let memory_at = slot_at + slot;
        let cell = u64::from(options.cell).max(16);
        let guard = align(cell + 16, 64);
        let region = memory_at + program.memory.capacity + guard;
        let plan = Plan {
            lanes: options.lanes,
            cell: options.cell,
            region,
            frames_at,
            frames,
            slot_at,
            slot,
            memory_at,
            memory_initial: program.memory.initial,
            memory_capacity: program.memory.capacity,
            wide: region * u64::from(options.lanes) >= 1 << 32,
        };
        if frames >= 1 << 31 {
            return Err(Error::Limit(format!("{frames} bytes of frames are too many; give a smaller --stack")));
        }
        Ok(Self { plan, globals, table, dropped, states, count, recursive })
    }

    /// The first bytes of every VM.
    pub fn head(&self, program: &Program) -> Vec<u8> {
        let mut head = vec![0u8; self.plan.frames_at as usize];
        for (global, at) in &self.globals {
            let at = *at as usize;
            head[at..at + 8].copy_from_slice(&program.globals[*global as usize].bits.to_le_bytes());
        }
        if program.table.mutable {
            for (i, id) in program.table.elements.iter().enumerate() {
                let at = self.table as usize + 4 * i;
                head[at..at + 4].copy_from_slice(&id.to_le_bytes());
            }
        }
        head
    }
}

/// The deepest nest of frames, unless it has no bound.
struct Depth<'a> {
    program: &'a Program,
    colours: &'a Colours,
    calls: &'a BTreeMap<u32, BTreeSet<u32>>,
    known: BTreeMap<u32, u64>,
    open: BTreeSet<u32>,
}

impl Depth<'_> {
    fn of(&mut self, function: u32) -> Option<u64> {
        if let Some(known) = self.known.get(&function) {
            return Some(*known);
        }
        if !self.open.insert(function) {
            return None;
        }
        let mut below = 0;
        for callee in self.calls.get(&function).into_iter().flatten() {
            below = below.max(self.of(*callee)?);
        }
        self.open.remove(&function);
        let depth = u64::from(frame(self.program, self.colours, function)) + below;
        self.known.insert(function, depth);
        Some(depth)
    }
}
