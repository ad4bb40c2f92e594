//! Puts several memories and tables into the one memory and the one table that a VM has.
//!
//! Only a linked module ([`crate::link`]) has several memories; any module may have several tables. The tables lie one
//! behind the other in the program's table, the memories one behind the other in the program's memory, each with room
//! to grow. The size of each memory is a global that lowering adds, and each access is tested in the IR; so passes,
//! layout and the writer know of one memory and one table.

use super::module::{MAX_MEMORY, bounds};
use crate::abi::PAGE;
use crate::ir::Global;
use crate::wasm::Module;
use crate::{Error, Options, ValType};
use wasmparser::Operator;

/// The part of the program's memory that one of its memories has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub base: u32,
    /// The most pages that it can have.
    pub pages: u32,
    /// The global that holds its size in pages.
    pub size: u32,
    /// Pages at the start.
    pub initial: u32,
}

/// The parts of all memories and tables.
#[derive(Debug, Default)]
pub struct Spans {
    /// Empty if there are fewer than two: then the memory is the program's own.
    memories: Vec<Span>,
    /// First element and length of each table.
    tables: Vec<(u32, u32)>,
}

impl Spans {
    /// Lays them out one behind the other.
    pub fn new(module: &Module<'_>, options: &Options) -> Result<Self, Error> {
        let mut spans = Self::default();
        let mut begin = 0u32;
        for table in &module.tables {
            // A length that does not fit is refused when the table is made.
            let length = u32::try_from(table.min).unwrap_or(u32::MAX);
            spans.tables.push((begin, length));
            begin = begin.saturating_add(length);
        }
        if module.memories.len() < 2 {
            return Ok(spans);
        }
        let grown = grown(module)?;
        let mut base = 0;
        for (i, limits) in module.memories.iter().enumerate() {
            let (initial, limit) = bounds(limits, options, grown[i])?;
            spans.memories.push(Span {
                base: base as u32,
                pages: (limit / PAGE) as u32,
                size: (module.globals.len() + i) as u32,
                initial: (initial / PAGE) as u32,
            });
            base += limit;
            if base > MAX_MEMORY {
                return Err(Error::Limit(format!(
                    "the program's memories have more than {} pages together; give a smaller --heap",
                    MAX_MEMORY / PAGE
                )));
            }
        }
        Ok(spans)
    }

    /// The span of a memory, if there are several.
    pub fn several(&self, memory: u32) -> Option<Span> {
        self.memories.get(memory as usize).copied()
    }

    /// First byte and initial bytes of a memory, for data segments; `only` is the size if there is only one memory.
    pub fn memory(&self, memory: u32, only: u64) -> (u64, u64) {
        self.several(memory).map_or((0, only), |p| (p.base.into(), u64::from(p.initial) * PAGE))
    }

    /// First element and length of a table.
    pub fn table(&self, table: u32) -> (u32, u32) {
        self.tables.get(table as usize).copied().unwrap_or((0, 0))
    }

    /// First element and length of a table, if there are several.
    pub fn several_tables(&self, table: u32) -> Option<(u32, u32)> {
        if self.tables.len() < 2 { None } else { self.tables.get(table as usize).copied() }
    }

    /// All memories together, if there are several.
    pub fn bytes(&self) -> Option<u64> {
        self.memories.last().map(|p| u64::from(p.base) + u64::from(p.pages) * PAGE)
    }

    /// The globals that hold their sizes.
    pub fn globals(&self) -> impl Iterator<Item = Global> + '_ {
        self.memories.iter().map(|p| Global { ty: ValType::I32, bits: p.initial.into(), mutable: true })
    }
}

/// The memories that some instruction grows.
fn grown(module: &Module<'_>) -> Result<Vec<bool>, Error> {
    let mut grown = vec![false; module.memories.len()];
    for body in &module.bodies {
        for op in body.get_operators_reader()? {
            if let Operator::MemoryGrow { mem } = op? {
                grown[mem as usize] = true;
            }
        }
    }
    Ok(grown)
}
