//! The memory layout of a VM (head, slot, linear memory, guard, frames), and the numbers of the states.

use crate::abi::{Counted, PAGE, Plan, Point, Word, files};
use crate::analysis::{Colours, World, post_order};
use crate::host::{FILES_REQUEST, FilesAt, REQUEST};
use crate::ir::{Callee, ExprId, Memory, Program, Stmt, walk};
use crate::pass::{access::WINDOW, versions::Adapters};
use crate::{Bounds, Error, Options};
use std::collections::{BTreeMap, BTreeSet};

/// Room for the request of one remote call, and where the host has files of guests.
const SLOT: u64 = (8 * REQUEST as u64).next_multiple_of(64);
const FILES_SLOT: u64 = (8 * FILES_REQUEST as u64).next_multiple_of(64);
/// Bytes by which memory may grow at first, or a quarter of its initial size if that is more.
const GROWTH: u64 = 256 << 10;
/// Bytes of frames that a program that recurses gets at first: enough for most, and little beside its memory.
const FRAMES: u64 = 64 << 10;
/// The guard is so much longer than what one check covers, so that a bad access at a small constant offset goes to its
/// start, whose address is at hand: it is the size.
pub const GUARD_STEP: u64 = 1024;
/// Most counters of what indirect calls call, in a program that is profiled; each takes 16 bytes of each VM. Calls that may
/// call few functions come first. Rust programs of 1 MB of code have 3,000 to 30,000 pairs of call and function.
const CALL_POINTS: usize = 8192;
/// States 0 (halt), 1 (finish) and 2 (return from a nested trampoline) are fixed.
pub const FIRST_STATE: u32 = 3;

/// Layout and state numbers of a program whose framed functions were cut into states.
pub struct Layout {
    /// For the runtime.
    pub plan: Plan,
    /// Byte offset in the head of each mutable global.
    pub globals: BTreeMap<u32, u32>,
    /// Byte offset in the head of the table, if it is per VM.
    pub table: u32,
    /// Byte offset in the head of the "dropped" flags: data segments, then element segments.
    pub dropped: u32,
    /// Some instruction drops a segment, so the flags are there.
    pub drops: bool,
    /// Byte offset in the head of the descriptors of files, if these are on the device.
    pub descriptors: u32,
    /// First state of each function that exists as states.
    pub states: BTreeMap<u32, u32>,
    /// State that enters a direct function, for the kernel's trampoline.
    pub upper: BTreeMap<u32, u32>,
    /// State that enters a direct function, for any trampoline.
    pub lower: BTreeMap<u32, u32>,
    /// States below this number may run under a nested trampoline.
    pub nested: u32,
    /// Number of states.
    pub count: u32,
    /// Frames nest without bound, so pushing one is checked.
    pub recursive: bool,
    /// For each world and node of the call graph: the largest frame that a call of it can push.
    largest_frames: [Vec<u32>; 2],
    /// Accesses are assumed to be aligned as their hints say, and that is tested.
    pub natural: bool,
    /// Where a program that is profiled counts, in their order.
    pub points: Vec<Point>,
}

/// Frame of a direct function that the trampoline enters: return state, then parameters or results.
pub fn adapter_frame(program: &Program, function: u32) -> u32 {
    let ty = &program.types[program.functions[function as usize].ty as usize];
    8 + 8 * ty.params.len().max(ty.results.len()) as u32
}

/// Frame size of a function that a trampoline of this world enters.
pub fn frame(program: &Program, colours: &Colours, world: World, function: u32) -> u32 {
    match &program.functions[function as usize].states {
        Some(body) if colours.in_states(world, function) => body.frame,
        _ => adapter_frame(program, function),
    }
}

/// Capacity of a memory at first: what a program that allocates little grows to.
fn first(memory: &Memory) -> u64 {
    align(memory.initial + GROWTH.max(memory.initial / 4), PAGE).min(memory.limit)
}

/// Byte offset in the head of each mutable global.
pub fn globals(program: &Program) -> BTreeMap<u32, u32> {
    let mutable = (0..).zip(&program.globals).filter(|(_, global)| global.mutable);
    mutable.zip((0..).step_by(8)).map(|((global, _), at)| (global, at)).collect()
}

fn align(bytes: u64, to: u64) -> u64 {
    bytes.div_ceil(to) * to
}

impl Layout {
    /// Lays a program out.
    pub fn new(
        program: &Program,
        colours: &Colours,
        adapters: &Adapters,
        natural: bool,
        options: &Options,
    ) -> Result<Self, Error> {
        Self::with_frames(program, colours, adapters, natural, None, options)
    }

    /// Lays out a program that is interpreted, whose largest frame has so many slots.
    pub fn interpreted(program: &Program, colours: &Colours, slots: u32, options: &Options) -> Result<Self, Error> {
        Self::with_frames(program, colours, &Adapters::default(), false, Some(8 * u64::from(slots)), options)
    }

    /// `interpreted`: every call pushes a frame, at most of so many bytes.
    fn with_frames(
        program: &Program,
        colours: &Colours,
        adapters: &Adapters,
        natural: bool,
        interpreted: Option<u64>,
        options: &Options,
    ) -> Result<Self, Error> {
        let globals = globals(program);
        let mut head = 8 * globals.len() as u32;
        let table = head;
        if program.table.mutable {
            head += 4 * program.table.elements.len() as u32;
        }
        let dropped = head;
        let mut drops = false;
        let mut calls = vec![BTreeSet::new(); colours.graph.calls.len()];
        let mut nests = false;
        for (function, calls) in program.functions.iter().zip(&mut calls) {
            for stmts in function.lists() {
                walk(stmts, &mut |s| match s {
                    Stmt::DataDrop { .. } | Stmt::ElemDrop { .. } => drops = true,
                    Stmt::CallNested { .. } => nests = true,
                    Stmt::CallFramed { callee, .. } => {
                        calls.insert(colours.graph.node(callee));
                    }
                    _ => {}
                });
            }
        }
        if drops {
            head += 4 * (program.segments.len() + program.elements.len()) as u32;
        }
        let descriptors = head.next_multiple_of(8);
        if colours.files == FilesAt::Device {
            head = descriptors + files::TABLE;
        }
        let (mut states, mut upper, mut lower) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut count = FIRST_STATE;
        let mut nested = count;
        for world in [World::Lower, World::Upper] {
            for (i, function) in program.functions.iter().enumerate() {
                let i = i as u32;
                if let Some(body) = &function.states
                    && colours.world(i) == world
                {
                    states.insert(i, count);
                    count += body.states.len() as u32;
                }
            }
            let (from, to) = match world {
                World::Lower => (&adapters.lower, &mut lower),
                World::Upper => (&adapters.upper, &mut upper),
            };
            for f in from {
                to.insert(*f, count);
                count += 1;
            }
            if world == World::Lower {
                nested = count;
            }
        }

        for (called, candidates) in calls.iter_mut().zip(&colours.graph.calls).skip(program.functions.len()) {
            called.extend(candidates);
        }
        let entered: BTreeSet<u32> = states.keys().chain(upper.keys()).chain(lower.keys()).copied().collect();
        let largest = entered.iter().map(|f| own_frame(program, *f)).chain(interpreted).max().unwrap_or(0);
        let bounded = deepest(program, &calls, &entered);
        // A nested trampoline pushes frames above those of its caller.
        let bounded =
            bounded.filter(|_| interpreted.is_none() && !nests && (colours.native || colours.cuts.is_empty()));
        let recursive = bounded.is_none();
        // Only pushes are checked, so the first frame fits whatever `--stack` says.
        let frames_limit = align(bounded.unwrap_or_else(|| u64::from(options.stack).max(4096).max(largest)), 64);
        // A program whose VMs keep their state cannot run again with more frames.
        let frames =
            if recursive && !colours.keeps { align(FRAMES.max(largest), 64).min(frames_limit) } else { frames_limit };

        let head = align(u64::from(head), 64);
        let slot_at = head;
        let slot = match colours.files.with_host() {
            true => FILES_SLOT,
            false => SLOT * u64::from(colours.remote),
        };
        let memory_at = slot_at + slot;
        let cell = u64::from(options.cell).max(16);
        // A failed check leads to the start of the guard, and the accesses that it covers go on from there; funnel
        // loads read beyond them.
        let sized = program.memory.grows && options.bounds == Bounds::Size;
        let step = if sized { GUARD_STEP } else { 16 };
        let guard = align(WINDOW + step + cell + 16, 64);
        let memory = program.memory.limit + guard;
        // Nor with more memory; and other tests of bounds take all of it for granted.
        let memory_first = if sized && !colours.keeps { first(&program.memory) } else { program.memory.limit };
        let points = if options.profile { points(program, colours) } else { Vec::new() };
        let plan = Plan {
            lanes: options.lanes,
            cell: options.cell,
            head,
            slot_at,
            slot,
            memory_at,
            memory_initial: program.memory.initial,
            memory_first,
            memory_limit: program.memory.limit,
            guard,
            frames,
            frames_limit,
            frame: largest,
            wide: head.max(memory).max(frames_limit) * u64::from(options.lanes) >= 1 << 32,
            words: (Word::COUNT + 2 * points.len()) as u32,
        };
        if frames_limit >= 1 << 31 {
            return Err(Error::Limit(format!("{frames_limit} bytes of frames are too many; give a smaller --stack")));
        }
        let largest_frames = [World::Upper, World::Lower].map(|world| largest_frames(program, colours, world));
        Ok(Self {
            plan,
            globals,
            table,
            dropped,
            drops,
            descriptors,
            states,
            upper,
            lower,
            nested,
            count,
            recursive,
            largest_frames,
            natural,
            points,
        })
    }

    /// The state that enters a function in this world.
    pub fn entry(&self, colours: &Colours, world: World, function: u32) -> u32 {
        let adapter = || match world {
            World::Upper => self.upper.get(&function).or_else(|| self.lower.get(&function)),
            World::Lower => self.lower.get(&function),
        };
        let state = if colours.in_states(world, function) { self.states.get(&function) } else { adapter() };
        let found = state.copied();
        found.unwrap_or_else(|| {
            unreachable!("`pass::versions` made every version that is entered, not that of {function}")
        })
    }

    /// The largest frame that a call can push in this world.
    pub fn largest_frame(&self, colours: &Colours, world: World, callee: &Callee) -> u32 {
        self.largest_frames[world as usize][colours.graph.node(callee) as usize]
    }

    /// The number of a point, if there is one.
    pub fn point(&self, function: u32, what: Counted) -> Option<usize> {
        self.points.binary_search(&Point { function, what }).ok()
    }

    /// The first bytes of every VM.
    pub fn head(&self, program: &Program) -> Vec<u8> {
        let mut head = vec![0u8; self.plan.head as usize];
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

/// The entries and loops of all functions, and what their indirect calls may call. All versions of the code have the same,
/// and so have those that assume more or less.
fn points(program: &Program, colours: &Colours) -> Vec<Point> {
    let mut points = BTreeSet::new();
    let mut calls = BTreeSet::new();
    for (i, function) in program.functions.iter().enumerate() {
        let reported = function.part_of.unwrap_or(i as u32);
        let point = |what| Point { function: reported, what };
        if function.part_of.is_none() && function.bodies().next().is_some() {
            points.insert(point(Counted::Entry));
        }
        for stmts in function.lists() {
            walk(stmts, &mut |stmt| match stmt {
                Stmt::Loop { at, .. } | Stmt::Edge { head: true, at } => _ = points.insert(point(Counted::Turn(*at))),
                Stmt::Call { callee: callee @ Callee::Table { ty, .. }, at, .. }
                | Stmt::CallNested { callee: callee @ Callee::Table { ty, .. }, at, .. }
                | Stmt::CallFramed { callee: callee @ Callee::Table { ty, .. }, at, .. } => {
                    calls.insert((colours.targets(callee).len(), *ty, reported, *at));
                }
                _ => {}
            });
        }
    }
    let mut room = CALL_POINTS;
    for (targets, ty, function, at) in calls {
        let Some(rest) = room.checked_sub(targets) else { break };
        room = rest;
        let callee = Callee::Table { ty, index: ExprId(0) };
        points.extend(colours.targets(&callee).iter().map(|f| Point { function, what: Counted::Call(at, *f) }));
    }
    points.into_iter().collect()
}

/// For each node of the call graph: the largest frame that a trampoline of this world pushes for it.
fn largest_frames(program: &Program, colours: &Colours, world: World) -> Vec<u32> {
    let functions = 0..program.functions.len() as u32;
    let mut largest_frames: Vec<u32> = functions.clone().map(|f| frame(program, colours, world, f)).collect();
    for candidates in &colours.graph.calls[functions.len()..] {
        largest_frames.push(candidates.iter().map(|f| largest_frames[*f as usize]).max().unwrap_or(0));
    }
    largest_frames
}

/// The deepest nest of frames, unless it has no bound. `calls` is what each node of the call graph enters.
fn deepest(program: &Program, calls: &[BTreeSet<u32>], entered: &BTreeSet<u32>) -> Option<u64> {
    let mut known: Vec<Option<u64>> = vec![None; calls.len()];
    for node in post_order(calls.len(), |node| calls[node as usize].iter().copied().collect()) {
        // A callee that is not known yet calls this node: they are on a cycle.
        let below =
            calls[node as usize].iter().try_fold(0, |most, callee| known[*callee as usize].map(|d| most.max(d)))?;
        let own = if entered.contains(&node) { own_frame(program, node) } else { 0 };
        known[node as usize] = Some(own + below);
    }
    Some(known.into_iter().flatten().max().unwrap_or(0))
}

fn own_frame(program: &Program, function: u32) -> u64 {
    let states = program.functions[function as usize].states.as_ref().map_or(0, |b| b.frame);
    states.max(adapter_frame(program, function)).into()
}
