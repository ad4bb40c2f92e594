//! Makes the versions of each function that are entered: direct, as states, or both.

use super::{charge, frame};
use crate::Error;
use crate::analysis::{Colours, World};
use crate::ir::{Body, Callee, Program, Stmt, walk};
use std::collections::BTreeSet;

/// The direct functions that trampolines enter; each needs an adapter state.
#[derive(Default)]
pub struct Adapters {
    /// Entered by the kernel's trampoline only, since they may enter a nested one.
    pub upper: BTreeSet<u32>,
    /// Entered by any trampoline.
    pub lower: BTreeSet<u32>,
}

/// Replaces the lowered bodies by the versions that are entered. `offset` gives the wasm offset of a function.
///
/// # Errors
/// A function is too large to be cut into states.
pub fn run(program: &mut Program, colours: &Colours, offset: impl Fn(u32) -> u32) -> Result<Adapters, Error> {
    let charged = charge::needed(program, colours);
    let mut lowered: Vec<Option<Body>> = program.functions.iter_mut().map(|f| f.body.take()).collect();
    let mut needs = Needs { colours, todo: BTreeSet::new(), seen: BTreeSet::new(), adapters: Adapters::default() };
    for f in program.entries.iter().map(|(_, f)| *f).chain(program.init) {
        needs.entered(World::Upper, f);
    }
    while let Some((f, states)) = needs.todo.pop_first() {
        let function = &mut program.functions[f as usize];
        if (if states { &function.states } else { &function.body }).is_some() {
            continue;
        }
        let both = colours.framed(f) && !colours.suspends(f);
        let lowered = &mut lowered[f as usize];
        let Some(mut body) = (if both { lowered.clone() } else { lowered.take() }) else { continue };
        abandon(&mut body.stmts, colours);
        if states {
            frame::run(&mut body, &program.types[function.ty as usize], colours, colours.world(f), offset(f)).map_err(|_| {
                Error::Limit(format!(
                    "the function {} has too many variables and branches to be cut into states at its calls; compile it \
                     with optimisation, or split it",
                    function.name()
                ))
            })?;
        } else {
            if !colours.native {
                nest(&mut body.stmts, colours, f);
            }
            if charged[f as usize] {
                charge::run(&mut body);
            }
        }
        for stmts in body.states.iter().chain([&body.stmts]) {
            walk(stmts, &mut |s| needs.stmt(s, colours.world(f)));
        }
        *if states { &mut function.states } else { &mut function.body } = Some(body);
    }
    Ok(needs.adapters)
}

struct Needs<'a> {
    colours: &'a Colours,
    /// A function, and whether as states.
    todo: BTreeSet<(u32, bool)>,
    /// Signatures whose functions were visited: as called natively (`None`), or as entered in a world.
    seen: BTreeSet<(u32, Option<World>)>,
    adapters: Adapters,
}

impl<'a> Needs<'a> {
    /// A trampoline of this world enters a function.
    fn entered(&mut self, world: World, f: u32) {
        let states = self.colours.in_states(world, f);
        self.todo.insert((f, states));
        if !states {
            let lower = !self.colours.framed(f);
            if lower { &mut self.adapters.lower } else { &mut self.adapters.upper }.insert(f);
        }
    }

    /// The functions that a call may enter, unless they were visited before.
    fn unseen<'c>(&mut self, callee: &'c Callee, world: Option<World>) -> &'c [u32]
    where
        'a: 'c,
    {
        match callee {
            Callee::Table { ty, .. } if !self.seen.insert((*ty, world)) => &[],
            _ => self.colours.targets(callee),
        }
    }

    fn stmt(&mut self, stmt: &Stmt, world: World) {
        let colours = self.colours;
        match stmt {
            Stmt::Call { callee, .. } => {
                let from = colours.graph.node(callee);
                for f in self.unseen(callee, None) {
                    let cut = matches!(callee, Callee::Table { .. }) && colours.cuts.has(from, *f) && !colours.native;
                    self.todo.insert((*f, cut || colours.abandoned(*f)));
                }
            }
            Stmt::CallNested { callee, .. } => {
                self.unseen(callee, Some(World::Lower)).iter().for_each(|f| self.entered(World::Lower, *f));
            }
            Stmt::CallFramed { callee, .. } => {
                self.unseen(callee, Some(world)).iter().for_each(|f| self.entered(world, *f));
            }
            Stmt::Abandon { function, .. } => {
                self.todo.insert((*function, true));
            }
            _ => {}
        }
    }
}

/// Rewrites calls of functions that never return and exist as states: they abandon the frames of their callers.
fn abandon(stmts: &mut Vec<Stmt>, colours: &Colours) {
    let mut end = None;
    for (i, stmt) in stmts.iter_mut().enumerate() {
        if let Stmt::Call { callee: Callee::Function(f), args, at, .. } = stmt
            && colours.abandoned(*f)
        {
            *stmt = Stmt::Abandon { function: *f, args: std::mem::take(args), at: *at };
            end = Some(i + 1);
            break;
        }
        for child in stmt.children_mut() {
            abandon(child, colours);
        }
    }
    if let Some(end) = end {
        stmts.truncate(end);
    }
}

/// Rewrites the calls of a direct function that are cut.
fn nest(stmts: &mut [Stmt], colours: &Colours, from: u32) {
    for stmt in stmts {
        if let Stmt::Call { callee, args, results, at } = stmt
            && colours.cuts.has(from, colours.graph.node(callee))
        {
            let (args, results) = (std::mem::take(args), std::mem::take(results));
            *stmt = Stmt::CallNested { callee: *callee, args, results, at: *at };
        }
        for child in stmt.children_mut() {
            nest(child, colours, from);
        }
    }
}
