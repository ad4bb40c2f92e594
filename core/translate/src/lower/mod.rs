//! wasm to IR: a symbolic operand stack whose entries are pure expressions not yet evaluated.
//!
//! An entry stays unevaluated until it is consumed, or until something it reads may change: a local before it is
//! set, and everything that is no constant or temporary before control splits.

mod function;
mod module;
mod several;

pub use module::lower;
