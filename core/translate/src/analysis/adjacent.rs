//! Adjacent words, which one access of 16 bytes can move: a load or store of a word costs a GPU's caches as much as one
//! of 16 bytes. On an H200 scrypt takes 28 to 38 ms by words, depending on what stands between them.

use crate::ir::{Body, Expr, LoadOp, Stmt, StoreOp, Var};
use std::collections::{BTreeMap, BTreeSet};

/// Statements that are searched, so that the time stays linear.
const AHEAD: usize = 256;

/// Consecutive loads, or consecutive stores, of words off one checked address.
pub struct Adjacent<'a> {
    /// The address.
    pub base: Var,
    /// Bytes of a word, 4 or 8.
    pub bytes: u32,
    /// Offsets and statements, by offset.
    pub words: Vec<(u32, &'a Stmt)>,
    /// The computations between them, which are printed behind loads and in front of stores.
    pub between: Vec<&'a Stmt>,
    /// So many words from the first on are adjacent, and a multiple of 16 bytes.
    pub wide: usize,
}

/// The base, the width, and whether it is a load, which all the words must share; and the offset.
fn word(body: &Body, stmt: &Stmt) -> Option<(Var, u32, bool, u32)> {
    let (mem, bytes, load) = match stmt {
        Stmt::Load { op: LoadOp::I32Load, mem, .. } => (mem, 4, true),
        Stmt::Load { op: LoadOp::I64Load, mem, .. } => (mem, 8, true),
        Stmt::Store { op: StoreOp::I32Store, mem, after: None, .. } => (mem, 4, false),
        Stmt::Store { op: StoreOp::I64Store, mem, after: None, .. } => (mem, 8, false),
        _ => return None,
    };
    match body.expr(mem.addr) {
        Expr::Var(base) if mem.checked && !mem.shared && mem.align >= bytes => Some((base, bytes, load, mem.offset)),
        _ => None,
    }
}

impl<'a> Adjacent<'a> {
    /// The adjacent words with which these statements begin, if they are 32 bytes or more.
    pub fn find(body: &Body, stmts: &'a [Stmt]) -> Option<Self> {
        let (base, bytes, load, _) = word(body, stmts.first()?)?;
        let (mut words, mut between) = (BTreeMap::new(), Vec::new());
        // Variables that a later load must not set, since computations move behind the loads; or that a later
        // computation must not set, since it moves in front of the stores.
        let mut used = BTreeSet::from([base]);
        let mut length = 0;
        for stmt in stmts.iter().take(AHEAD) {
            let sets = stmt.sets();
            let clash = sets.iter().any(|var| used.contains(var));
            match word(body, stmt) {
                Some((a, b, c, offset))
                    if (a, b, c) == (base, bytes, load) && !clash && !words.contains_key(&offset) =>
                {
                    words.insert(offset, stmt);
                    length = between.len();
                }
                None if matches!(stmt, Stmt::Set { .. }) && !sets.contains(&base) && (load || !clash) => {
                    between.push(stmt);
                }
                _ => break,
            }
            if load {
                used.extend(sets);
            }
            if load != matches!(stmt, Stmt::Store { .. } | Stmt::Load { .. }) {
                stmt.operands().into_iter().for_each(|e| body.reads(e, &mut |var| _ = used.insert(var)));
            }
        }
        between.truncate(length);
        let words: Vec<(u32, &Stmt)> = words.into_iter().collect();
        let offsets = (words.first()?.0..).step_by(bytes as usize);
        let side_by_side = words.iter().zip(offsets).take_while(|(word, at)| word.0 == *at).count();
        let wide = side_by_side - side_by_side % (16 / bytes) as usize;
        (wide * bytes as usize >= 32).then_some(Self { base, bytes, words, between, wide })
    }
}
