//! The IR as text, for people: `inspect --emit ir`.

use super::{Access, Ask, Body, Callee, Expr, ExprId, Program, Stmt, Var};
use std::fmt;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory {}..{} grows={}", self.memory.initial, self.memory.limit, self.memory.grows)?;
        for (i, function) in self.functions.iter().enumerate() {
            for body in function.bodies() {
                let ty = &self.types[function.ty as usize];
                writeln!(
                    f,
                    "\nfunction {i} \"{}\" {:?} -> {:?} frame={}",
                    function.name(),
                    ty.params,
                    ty.results,
                    body.frame
                )?;
                let d = Dump { body };
                d.list(f, &body.stmts, 1)?;
                for (n, state) in body.states.iter().enumerate() {
                    writeln!(f, " state {n}")?;
                    d.list(f, state, 1)?;
                }
            }
        }
        Ok(())
    }
}

struct Dump<'a> {
    body: &'a Body,
}

impl Dump<'_> {
    fn e(&self, id: ExprId) -> String {
        match self.body.expr(id) {
            Expr::Const(ty, bits) => format!("{ty:?}:{bits:#x}"),
            Expr::Var(v) => format!("v{}", v.0),
            Expr::Unary(op, a) => format!("{op:?}({})", self.e(a)),
            Expr::Canonical(a) => format!("canonical({})", self.e(a)),
            Expr::Binary(op, a, b) => format!("{op:?}({}, {})", self.e(a), self.e(b)),
            Expr::Select { cond, then, otherwise } => {
                format!("select({}, {}, {})", self.e(cond), self.e(then), self.e(otherwise))
            }
        }
    }

    fn list(&self, f: &mut fmt::Formatter<'_>, stmts: &[Stmt], depth: usize) -> fmt::Result {
        stmts.iter().try_for_each(|s| self.stmt(f, s, depth))
    }

    fn stmt(&self, f: &mut fmt::Formatter<'_>, stmt: &Stmt, depth: usize) -> fmt::Result {
        let pad = "  ".repeat(depth.min(20));
        let vars = |v: &[Var]| v.iter().map(|v| format!("v{}", v.0)).collect::<Vec<_>>().join(", ");
        match stmt {
            Stmt::Block { label, body } => {
                writeln!(f, "{pad}block L{}", label.0)?;
                self.list(f, body, depth + 1)
            }
            Stmt::Loop { label, body, .. } => {
                writeln!(f, "{pad}loop L{}", label.0)?;
                self.list(f, body, depth + 1)
            }
            Stmt::If { cond, then, otherwise } => {
                writeln!(f, "{pad}if {}", self.e(*cond))?;
                self.list(f, then, depth + 1)?;
                if otherwise.is_empty() {
                    return Ok(());
                }
                writeln!(f, "{pad}else")?;
                self.list(f, otherwise, depth + 1)
            }
            Stmt::Switch { index, cases, default } => {
                writeln!(f, "{pad}switch {}", self.e(*index))?;
                for (values, body) in cases {
                    writeln!(f, "{pad} case {values:?}")?;
                    self.list(f, body, depth + 1)?;
                }
                writeln!(f, "{pad} default")?;
                self.list(f, default, depth + 1)
            }
            Stmt::Branch { label } => writeln!(f, "{pad}branch L{}", label.0),
            Stmt::Goto { state } => writeln!(f, "{pad}goto state {}", state.0),
            Stmt::Restore { vars: v } => writeln!(f, "{pad}restore {}", vars(v)),
            Stmt::Save { vars: v } => writeln!(f, "{pad}save {}", vars(v)),
            other => {
                // Every other statement is `results = name(operands)`.
                let debug = format!("{other:?}");
                let name = debug.split([' ', '{', '(']).next().unwrap_or("");
                let detail = match other {
                    Stmt::Load { op, mem, .. } => format!(" {op:?} {}", access(mem)),
                    Stmt::Store { op, mem, after, .. } => {
                        let after = after.map_or(String::new(), |v| format!(" after v{}", v.0));
                        format!(" {op:?} {}{after}", access(mem))
                    }
                    Stmt::Check { bounds, sure, align, residue, .. } => {
                        let bounds = bounds.map_or(String::new(), |(low, high)| format!(" +{low}..{high}"));
                        let sure = sure.map_or(String::new(), |(low, bytes)| format!(" sure +{low} {bytes} bytes"));
                        format!("{bounds}{sure} align {align}+{residue}")
                    }
                    Stmt::Unshared { low, bytes, .. } => format!(" +{low} {bytes} bytes"),
                    Stmt::Trapping { op, .. } => format!(" {op:?}"),
                    Stmt::GetGlobal { global, .. } | Stmt::SetGlobal { global, .. } => format!(" g{global}"),
                    Stmt::Call { callee, .. } | Stmt::CallNested { callee, .. } | Stmt::CallFramed { callee, .. } => {
                        match callee {
                            Callee::Function(f) => format!(" f{f}"),
                            Callee::Table { ty, .. } => format!(" table type {ty}"),
                        }
                    }
                    Stmt::Abandon { function, .. } => format!(" f{function}"),
                    Stmt::Ask { call, how, .. } => {
                        let how = match how {
                            Ask::Here => "",
                            Ask::Suspends(_) => " suspends",
                            Ask::Takes => " takes",
                            Ask::Repeats(_) => " repeats",
                        };
                        format!(" {}{how}", crate::host::CALLS[*call].symbol)
                    }
                    Stmt::Trap { kind, .. } => format!(" {}", kind.text()),
                    _ => String::new(),
                };
                let sets = match other.sets() {
                    sets if sets.is_empty() => String::new(),
                    sets => format!("{} = ", vars(&sets)),
                };
                let operands: Vec<String> = other.operands().into_iter().map(|e| self.e(e)).collect();
                writeln!(f, "{pad}{sets}{}{detail} ({})", name.to_lowercase(), operands.join(", "))
            }
        }
    }
}

fn access(mem: &Access) -> String {
    let state = if mem.checked { "checked" } else { "hinted" };
    let shared = if mem.shared { " shared" } else { "" };
    format!("+{} align {} {state}{shared}", mem.offset, mem.align)
}
