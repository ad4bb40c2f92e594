//! WebAssembly to IR, with a symbolic operand stack whose entries are pure expressions that are not yet evaluated.
//!
//! An entry stays unevaluated until it is consumed or may change: entries that read a local are evaluated before the
//! local is set, and all but constants and temporaries before control flow splits.

mod function;
mod module;
mod several;

pub use module::lower;
