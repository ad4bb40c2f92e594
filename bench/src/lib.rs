//! The benchmarks' library: guests, their inputs and expected outputs, and handwritten kernels to compare with.

pub mod baseline;
pub mod guests;
mod inputs;
pub mod measure;
pub mod native;
