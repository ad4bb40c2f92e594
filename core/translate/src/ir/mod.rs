//! The kernel IR.
//!
//! A [`Program`] is what one wasm module becomes before it is printed. A function body is a tree of
//! statements ([`Stmt`]) over mutable, typed variables ([`Var`]); its expressions ([`Expr`]) lie in an arena
//! and are **pure**: they read constants and variables and nothing else, cannot trap, and are used once, so
//! a writer may print each of them in place. Everything that has an effect, reads memory or globals, or can trap is a
//! statement, and statements happen in their order. A load is therefore a statement that sets a variable.
//!
//! Control is structured: `Block` is left forwards by `Branch` to its label, `Loop` is repeated by `Branch` to
//! its label and left by falling off its end. There is no other jump, so no irreducible flow can be written.
//!
//! A *direct* function keeps this form and is printed as one plain function. A *framed* function is cut into
//! states by `pass/frame.rs`: each state is again a body whose ends are [`Stmt::Goto`], [`Stmt::CallFramed`], …
//! and whose variables are restored from, and saved to, the VM's frame ([`Stmt::Restore`], [`Stmt::Save`]).
//!
//! `at` in a statement is the byte offset in the wasm module; it is what a trap reports.

mod dump;
mod ops;
pub mod verify;

pub use ops::{BinOp, LoadOp, StoreOp, TrapOp, UnOp};

use crate::ValType;
use crate::abi::TrapKind;
use crate::wasm::FuncType;

/// A variable of a function: first the parameters, then wasm locals, then temporaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

/// An expression in [`Body::exprs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExprId(pub u32);

/// A label of a `Block` or `Loop`, unique in its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub u32);

/// A state of a framed function, numbered within it; state 0 is the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State(pub u32);

/// A pure expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expr {
    /// A constant, as bits.
    Const(ValType, u64),
    /// The value of a variable.
    Var(Var),
    /// One operand.
    Unary(UnOp, ExprId),
    /// Two operands.
    Binary(BinOp, ExprId, ExprId),
    /// Made by `pass::nan`: an f32 whose NaN has the bits that the spec wants, also where those of the device differ.
    Canonical(ExprId),
    /// `cond != 0 ? then : otherwise`.
    Select {
        /// i32.
        cond: ExprId,
        /// Value if nonzero.
        then: ExprId,
        /// Value if zero.
        otherwise: ExprId,
    },
}

/// What a call calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callee {
    /// A function of the program.
    Function(u32),
    /// A function found in the table, with this (canonical) signature.
    Table {
        /// Signature.
        ty: u32,
        /// Index into the table.
        index: ExprId,
    },
}

/// Where a load or store goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// i32.
    pub addr: ExprId,
    /// Bytes above it.
    pub offset: u32,
    /// In bytes. As lowered: the hint of the module, at most the width of the access. Once checked: the alignment that
    /// is known.
    pub align: u32,
    /// In bounds by proof, or by a [`Stmt::Check`] whose result is `addr`.
    pub checked: bool,
    /// Made by `pass::shared`: a load that surely lies in read-only data, or a store that may, until a
    /// [`Stmt::Unshared`] stands in front.
    pub shared: bool,
}

/// What [`Stmt::Check`] requires of an address, for an address to which each iteration of a loop adds `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stride {
    /// i32: the address in the next iteration.
    pub addr: ExprId,
    /// What each iteration adds; a multiple of `align`.
    pub step: i32,
    /// The bytes from `addr` to `addr + end` must lie in the memory; at most its initial size, unless that is less than one
    /// access.
    pub end: Option<u64>,
    /// As in [`Stmt::Check`].
    pub align: u32,
    /// As in [`Stmt::Check`].
    pub residue: u32,
}

/// A statement. Fields are named after what they are: `at` is a wasm byte offset.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq)]
pub enum Stmt {
    /// `var = value`.
    Set { var: Var, value: ExprId },
    /// `var = global`.
    GetGlobal { var: Var, global: u32 },
    /// `global = value`.
    SetGlobal { global: u32, value: ExprId },
    /// `var = memory[addr + offset]`.
    Load { var: Var, op: LoadOp, mem: Access, at: u32 },
    /// `memory[addr + offset] = value`, once the load that set `after` has completed.
    Store { op: StoreOp, mem: Access, value: ExprId, after: Option<Var>, at: u32 },
    /// `var = op(a, b)`, which can trap.
    Trapping { var: Var, op: TrapOp, a: ExprId, b: Option<ExprId>, at: u32 },
    /// `var` = memory size in pages.
    MemorySize { var: Var },
    /// `var` = old size in pages, or -1.
    MemoryGrow { var: Var, delta: ExprId, at: u32 },
    /// `memory.copy`.
    MemoryCopy { to: ExprId, from: ExprId, length: ExprId, at: u32 },
    /// `memory.fill`.
    MemoryFill { to: ExprId, value: ExprId, length: ExprId, at: u32 },
    /// `memory.init`.
    MemoryInit { segment: u32, to: ExprId, from: ExprId, length: ExprId, at: u32 },
    /// `data.drop`.
    DataDrop { segment: u32 },
    /// `table.copy`.
    TableCopy { to: ExprId, from: ExprId, length: ExprId, at: u32 },
    /// `table.init`.
    TableInit { segment: u32, to: ExprId, from: ExprId, length: ExprId, at: u32 },
    /// `elem.drop`.
    ElemDrop { segment: u32 },
    /// A call.
    Call { callee: Callee, args: Vec<ExprId>, results: Vec<Var>, at: u32 },
    /// A host call, by index into [`crate::host::CALLS`].
    Ask { call: usize, args: Vec<ExprId>, result: Option<Var>, how: Ask, at: u32 },
    /// Left by `Branch` to its label, or by its end.
    Block { label: Label, body: Vec<Stmt> },
    /// Repeated by `Branch` to its label, left by its end.
    Loop { label: Label, body: Vec<Stmt>, at: u32 },
    /// Two arms.
    If { cond: ExprId, then: Vec<Stmt>, otherwise: Vec<Stmt> },
    /// Leaves a block or repeats a loop.
    Branch { label: Label },
    /// `br_table`: each case ends in a jump.
    Switch { index: ExprId, cases: Vec<(Vec<u32>, Vec<Stmt>)>, default: Vec<Stmt> },
    /// Leaves the function.
    Return { values: Vec<ExprId> },
    /// Ends the VM.
    Trap { kind: TrapKind, at: u32 },

    /// Made by `pass::access`: `var` is `addr - residue` if that is a multiple of `align` and, with `bounds`, the bytes
    /// from `addr + low` up to `addr + high` lie in the memory; else a flag is set, and `var` points into the guard or
    /// is rounded down to a multiple of `align`. With `sure` only so many bytes from `addr + sure.0` are surely accessed:
    /// if those are in memory and others are not, the VM has to run again in a program without such a check.
    Check { var: Var, addr: ExprId, bounds: Option<(u64, u64)>, sure: Option<(u64, u64)>, align: u32, residue: u32 },

    /// Made by `pass::shared`: a flag is set if one of the `bytes` from `addr + low` on is data that all VMs share.
    Unshared { addr: ExprId, low: u32, bytes: u32 },

    /// Made by `pass::stride`, the first statement of a loop without calls: computes for how many iterations the
    /// addresses stay good. If one is bad in the next iteration, a flag is set and the VM ends.
    Strides(Vec<Stride>),

    // The rest is made by `pass::frame` and only occurs in states.
    /// Charges fuel and looks at the sticky flags, as a loop back-edge does; `head`: at the head of a loop that became
    /// a state.
    Edge { head: bool, at: u32 },
    /// Reads variables from the frame.
    Restore { vars: Vec<Var> },
    /// Writes variables to the frame.
    Save { vars: Vec<Var> },
    /// Goes on in another state.
    Goto { state: State },
    /// In a direct function: enters the callee under a nested trampoline.
    CallNested { callee: Callee, args: Vec<ExprId>, results: Vec<Var>, at: u32 },
    /// Pushes the callee's frame; the callee returns to `then`.
    CallFramed { callee: Callee, args: Vec<ExprId>, then: State, at: u32 },
    /// First statement of the state after a framed call: takes the results and pops the callee's frame.
    Results { vars: Vec<Var> },
    /// Returns from a framed function.
    ReturnFramed { values: Vec<ExprId> },
    /// Drops all frames and goes on at a framed function that never returns. Also in direct functions.
    Abandon { function: u32, args: Vec<ExprId>, at: u32 },
}

/// What a statement does of a host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// All of it: the host is not asked, or no pass has cut the function into states yet.
    Here,
    /// Packs a request and suspends, without a result; the VM resumes in this state.
    Suspends(State),
    /// First statement of that state: takes the answer.
    Takes,
    /// All of a call that writes output, in a program whose VMs wait for the host: asks for a flush, and does it again,
    /// in the state that it begins, while the buffer is full.
    Repeats(State),
}

/// The variables, expressions and statements of one function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Body {
    /// Type of each variable; the parameters come first.
    pub vars: Vec<ValType>,
    /// The arena.
    pub exprs: Vec<Expr>,
    /// The statements of a direct function.
    pub stmts: Vec<Stmt>,
    /// States, once a framed function was cut; `stmts` is then empty.
    pub states: Vec<Vec<Stmt>>,
    /// Frame slot of each variable that lives across states, in units of 8 bytes from the frame's start.
    pub slots: std::collections::BTreeMap<Var, u32>,
    /// Bytes of the frame.
    pub frame: u32,
}

/// What a statement names.
pub enum Use<'a> {
    /// A variable that it sets, reads or moves.
    Var(&'a mut Var),
    /// An expression that it evaluates.
    Expr(&'a mut ExprId),
}

impl Body {
    /// The expression behind a handle.
    pub fn expr(&self, id: ExprId) -> Expr {
        self.exprs[id.0 as usize]
    }

    /// Takes the statements out, to rewrite them while the arenas grow: those of the states, then those of the direct
    /// function.
    pub fn take_lists(&mut self) -> Vec<Vec<Stmt>> {
        let mut lists = std::mem::take(&mut self.states);
        lists.push(std::mem::take(&mut self.stmts));
        lists
    }

    /// Puts back what [`Self::take_lists`] took.
    pub fn put_lists(&mut self, mut lists: Vec<Vec<Stmt>>) {
        self.stmts = lists.pop().unwrap_or_default();
        self.states = lists;
    }

    /// Adds an expression.
    pub fn add(&mut self, expr: Expr) -> ExprId {
        self.exprs.push(expr);
        ExprId(self.exprs.len() as u32 - 1)
    }

    /// Adds a variable.
    pub fn var(&mut self, ty: ValType) -> Var {
        self.vars.push(ty);
        Var(self.vars.len() as u32 - 1)
    }

    /// The type of an expression.
    pub fn type_of(&self, id: ExprId) -> ValType {
        match self.expr(id) {
            Expr::Const(ty, _) => ty,
            Expr::Var(v) => self.vars[v.0 as usize],
            Expr::Unary(op, _) => op.result(),
            Expr::Canonical(_) => ValType::F32,
            Expr::Binary(op, ..) => op.result(),
            Expr::Select { then, .. } => self.type_of(then),
        }
    }

    /// Whether both are the same computation; their values are equal as long as no variable in them changes.
    pub fn same(&self, a: ExprId, b: ExprId) -> bool {
        let pairs = |p: &[(ExprId, ExprId)]| p.iter().all(|(a, b)| self.same(*a, *b));
        match (self.expr(a), self.expr(b)) {
            (Expr::Unary(p, a), Expr::Unary(q, b)) => p == q && self.same(a, b),
            (Expr::Canonical(a), Expr::Canonical(b)) => self.same(a, b),
            (Expr::Binary(p, a, b), Expr::Binary(q, c, d)) => p == q && pairs(&[(a, c), (b, d)]),
            (Expr::Select { cond: a, then: b, otherwise: c }, Expr::Select { cond: d, then: e, otherwise: f }) => {
                pairs(&[(a, d), (b, e), (c, f)])
            }
            (a, b) => a == b,
        }
    }

    /// Calls `f` for each variable that an expression reads.
    pub fn reads(&self, id: ExprId, f: &mut impl FnMut(Var)) {
        match self.expr(id) {
            Expr::Const(..) => {}
            Expr::Var(v) => f(v),
            Expr::Unary(_, a) | Expr::Canonical(a) => self.reads(a, f),
            Expr::Binary(_, a, b) => {
                self.reads(a, f);
                self.reads(b, f);
            }
            Expr::Select { cond, then, otherwise } => {
                self.reads(cond, f);
                self.reads(then, f);
                self.reads(otherwise, f);
            }
        }
    }
}

impl Stmt {
    /// The expressions that a statement itself evaluates (not those of nested statements).
    pub fn operands(&self) -> Vec<ExprId> {
        match self {
            Self::Set { value, .. } | Self::SetGlobal { value, .. } => vec![*value],
            Self::Load { mem, .. } => vec![mem.addr],
            Self::Store { mem, value, .. } => vec![mem.addr, *value],
            Self::Check { addr, .. } | Self::Unshared { addr, .. } => vec![*addr],
            Self::Strides(ranges) => ranges.iter().map(|r| r.addr).collect(),
            Self::Trapping { a, b, .. } => [Some(*a), *b].into_iter().flatten().collect(),
            Self::MemoryGrow { delta, .. } => vec![*delta],
            Self::MemoryFill { to, value, length, .. } => vec![*to, *value, *length],
            Self::MemoryCopy { to, from, length, .. }
            | Self::MemoryInit { to, from, length, .. }
            | Self::TableCopy { to, from, length, .. }
            | Self::TableInit { to, from, length, .. } => vec![*to, *from, *length],
            Self::Call { callee, args, .. }
            | Self::CallNested { callee, args, .. }
            | Self::CallFramed { callee, args, .. } => {
                let mut all = args.clone();
                if let Callee::Table { index, .. } = callee {
                    all.push(*index);
                }
                all
            }
            Self::Ask { args, .. } | Self::Abandon { args, .. } => args.clone(),
            Self::If { cond, .. } => vec![*cond],
            Self::Switch { index, .. } => vec![*index],
            Self::Return { values } | Self::ReturnFramed { values } => values.clone(),
            Self::GetGlobal { .. }
            | Self::MemorySize { .. }
            | Self::DataDrop { .. }
            | Self::ElemDrop { .. }
            | Self::Block { .. }
            | Self::Loop { .. }
            | Self::Branch { .. }
            | Self::Trap { .. }
            | Self::Edge { .. }
            | Self::Restore { .. }
            | Self::Save { .. }
            | Self::Goto { .. }
            | Self::Results { .. } => Vec::new(),
        }
    }

    /// The variables that a statement itself sets.
    pub fn sets(&self) -> Vec<Var> {
        match self {
            Self::Set { var, .. }
            | Self::GetGlobal { var, .. }
            | Self::Load { var, .. }
            | Self::Trapping { var, .. }
            | Self::Check { var, .. }
            | Self::MemorySize { var }
            | Self::MemoryGrow { var, .. } => vec![*var],
            Self::Call { results, .. } | Self::CallNested { results, .. } => results.clone(),
            Self::Ask { result, .. } => result.iter().copied().collect(),
            Self::Restore { vars } | Self::Results { vars } => vars.clone(),
            _ => Vec::new(),
        }
    }

    /// Calls `f` for each variable and expression that a statement itself names, to change it.
    pub fn each_use(&mut self, f: &mut impl FnMut(Use<'_>)) {
        match self {
            Self::Set { var, value } => {
                f(Use::Expr(value));
                f(Use::Var(var));
            }
            Self::GetGlobal { var, .. } | Self::MemorySize { var } => f(Use::Var(var)),
            Self::SetGlobal { value, .. } => f(Use::Expr(value)),
            Self::Load { var, mem, .. } => {
                f(Use::Expr(&mut mem.addr));
                f(Use::Var(var));
            }
            Self::Store { mem, value, after, .. } => {
                f(Use::Expr(&mut mem.addr));
                f(Use::Expr(value));
                after.iter_mut().for_each(|var| f(Use::Var(var)));
            }
            Self::Check { var, addr, .. } => {
                f(Use::Expr(addr));
                f(Use::Var(var));
            }
            Self::Unshared { addr, .. } => f(Use::Expr(addr)),
            Self::Strides(ranges) => ranges.iter_mut().for_each(|range| f(Use::Expr(&mut range.addr))),
            Self::Trapping { var, a, b, .. } => {
                f(Use::Expr(a));
                b.iter_mut().for_each(|b| f(Use::Expr(b)));
                f(Use::Var(var));
            }
            Self::MemoryGrow { var, delta, .. } => {
                f(Use::Expr(delta));
                f(Use::Var(var));
            }
            Self::MemoryFill { to, value: middle, length, .. }
            | Self::MemoryCopy { to, from: middle, length, .. }
            | Self::MemoryInit { to, from: middle, length, .. }
            | Self::TableCopy { to, from: middle, length, .. }
            | Self::TableInit { to, from: middle, length, .. } => {
                [to, middle, length].into_iter().for_each(|operand| f(Use::Expr(operand)));
            }
            Self::Call { callee, args, results, .. } | Self::CallNested { callee, args, results, .. } => {
                args.iter_mut().for_each(|arg| f(Use::Expr(arg)));
                if let Callee::Table { index, .. } = callee {
                    f(Use::Expr(index));
                }
                results.iter_mut().for_each(|var| f(Use::Var(var)));
            }
            Self::CallFramed { callee, args, .. } => {
                args.iter_mut().for_each(|arg| f(Use::Expr(arg)));
                if let Callee::Table { index, .. } = callee {
                    f(Use::Expr(index));
                }
            }
            Self::Ask { args, result, .. } => {
                args.iter_mut().for_each(|arg| f(Use::Expr(arg)));
                result.iter_mut().for_each(|var| f(Use::Var(var)));
            }
            Self::Abandon { args, .. } => args.iter_mut().for_each(|arg| f(Use::Expr(arg))),
            Self::If { cond, .. } => f(Use::Expr(cond)),
            Self::Switch { index, .. } => f(Use::Expr(index)),
            Self::Return { values } | Self::ReturnFramed { values } => {
                values.iter_mut().for_each(|value| f(Use::Expr(value)));
            }
            Self::Restore { vars } | Self::Save { vars } | Self::Results { vars } => {
                vars.iter_mut().for_each(|var| f(Use::Var(var)));
            }
            Self::DataDrop { .. }
            | Self::ElemDrop { .. }
            | Self::Block { .. }
            | Self::Loop { .. }
            | Self::Branch { .. }
            | Self::Trap { .. }
            | Self::Edge { .. }
            | Self::Goto { .. } => {}
        }
    }

    /// The access of a load or store, and its width in bytes.
    pub fn access(&self) -> Option<(&Access, u32)> {
        match self {
            Self::Load { op, mem, .. } => Some((mem, op.bytes())),
            Self::Store { op, mem, .. } => Some((mem, op.bytes())),
            _ => None,
        }
    }

    /// Belongs to straight-line code: values, checks and checked accesses only.
    pub fn straight(&self) -> bool {
        match self {
            Self::Set { .. }
            | Self::GetGlobal { .. }
            | Self::SetGlobal { .. }
            | Self::Check { .. }
            | Self::Unshared { .. } => true,
            Self::Load { mem, .. } | Self::Store { mem, .. } => mem.checked,
            _ => false,
        }
    }

    /// Control leaves the printed function, for good or for a while, and code that reads or charges `vm->fuel` runs.
    pub fn leaves(&self) -> bool {
        matches!(
            self,
            Self::MemoryGrow { .. }
                | Self::MemoryCopy { .. }
                | Self::MemoryFill { .. }
                | Self::MemoryInit { .. }
                | Self::TableCopy { .. }
                | Self::TableInit { .. }
                | Self::Call { .. }
                | Self::CallNested { .. }
                | Self::Ask { .. }
                | Self::Return { .. }
                | Self::Trap { .. }
                | Self::Goto { .. }
                | Self::CallFramed { .. }
                | Self::ReturnFramed { .. }
                | Self::Abandon { .. }
        )
    }

    /// Control [leaves](Self::leaves) the printed function and comes back.
    pub fn calls(&self) -> bool {
        self.leaves() && !self.ends()
    }

    /// A loop's body in which nothing calls and nothing loops.
    pub fn quiet(body: &[Self]) -> bool {
        let quiet = |s: &Self| !s.calls() && !matches!(s, Self::Loop { .. });
        body.iter().all(|s| quiet(s) && s.children().into_iter().all(|child| Self::quiet(child)))
    }

    /// The statement lists inside a statement.
    pub fn children(&self) -> Vec<&Vec<Stmt>> {
        match self {
            Self::Block { body, .. } | Self::Loop { body, .. } => vec![body],
            Self::If { then, otherwise, .. } => vec![then, otherwise],
            Self::Switch { cases, default, .. } => cases.iter().map(|(_, b)| b).chain([default]).collect(),
            _ => Vec::new(),
        }
    }

    /// The statement lists inside a statement, to change.
    pub fn children_mut(&mut self) -> Vec<&mut Vec<Stmt>> {
        match self {
            Self::Block { body, .. } | Self::Loop { body, .. } => vec![body],
            Self::If { then, otherwise, .. } => vec![then, otherwise],
            Self::Switch { cases, default, .. } => cases.iter_mut().map(|(_, b)| b).chain([default]).collect(),
            _ => Vec::new(),
        }
    }

    /// The state in which the function goes on, or may go on.
    pub fn next(&self) -> Option<State> {
        match self {
            Self::Goto { state } => Some(*state),
            Self::CallFramed { then, .. } => Some(*then),
            Self::Ask { how: Ask::Suspends(state) | Ask::Repeats(state), .. } => Some(*state),
            _ => None,
        }
    }

    /// Control never passes to the statement behind this one.
    pub fn ends(&self) -> bool {
        matches!(
            self,
            Self::Branch { .. }
                | Self::Return { .. }
                | Self::Trap { .. }
                | Self::Goto { .. }
                | Self::CallFramed { .. }
                | Self::ReturnFramed { .. }
                | Self::Abandon { .. }
                | Self::Ask { how: Ask::Suspends(_), .. }
                | Self::Switch { .. }
        )
    }
}

/// Visits every statement of a list, outer before inner.
pub fn walk<'a>(stmts: &'a [Stmt], f: &mut impl FnMut(&'a Stmt)) {
    for stmt in stmts {
        f(stmt);
        for child in stmt.children() {
            walk(child, f);
        }
    }
}

impl Function {
    /// For messages.
    pub fn name(&self) -> String {
        match &self.names[..] {
            [first, second] => format!("{first} or {second}"),
            [first, others @ ..] if !others.is_empty() => {
                format!("{first} or {} others of the same code", others.len())
            }
            names => names.concat(),
        }
    }

    /// The versions of the code that exist.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.body.iter().chain(&self.states)
    }

    /// Every statement list of every version.
    pub fn lists(&self) -> impl Iterator<Item = &Vec<Stmt>> {
        self.bodies().flat_map(|b| b.states.iter().chain([&b.stmts]))
    }
}

/// One function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The names of all functions of the module that have this code, its own first.
    pub names: Vec<String>,
    /// Canonical signature, an index into [`Program::types`].
    pub ty: u32,
    /// The code as a direct function; `None` if no call enters that.
    pub body: Option<Body>,
    /// The code as states; `None` if no trampoline enters it.
    pub states: Option<Body>,
    /// The function of the module that this was cut out of by `pass::divide`.
    pub part_of: Option<u32>,
}

/// The table of functions.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Function index + 1 for each element; 0 is null.
    pub elements: Vec<u32>,
    /// Some instruction writes it, so each VM has its own.
    pub mutable: bool,
}

/// The linear memory. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// At the start.
    pub initial: u64,
    /// The most it can grow to.
    pub limit: u64,
    /// The most that the module lets it grow to, at least the limit.
    pub declared: u64,
    /// Some reached instruction is a `memory.grow`, and the limit is above initial.
    pub grows: bool,
}

/// A mutable global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Global {
    /// Its type.
    pub ty: ValType,
    /// Its first value, as bits.
    pub bits: u64,
    /// Whether it changes; the value of another one was folded into the code.
    pub mutable: bool,
}

/// A whole program.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Distinct signatures.
    pub types: Vec<FuncType>,
    /// Functions by wasm index, imports included.
    pub functions: Vec<Function>,
    /// Globals by wasm index.
    pub globals: Vec<Global>,
    /// The table, empty if there is none.
    pub table: Table,
    /// The memory.
    pub memory: Memory,
    /// Passive data segments: offset and length in the image's segments.
    pub segments: Vec<(u32, u32)>,
    /// Passive element segments, as function index + 1.
    pub elements: Vec<Vec<u32>>,
    /// Exported functions that can be entered.
    pub entries: Vec<(String, u32)>,
    /// A function of our own that calls the start function and `_initialize`.
    pub init: Option<u32>,
    /// Addresses of read-only data that is read from one copy for all VMs.
    pub shared: Option<std::ops::Range<u32>>,
}
