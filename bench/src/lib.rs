//! What VectorVisor is measured with: guests, their inputs, and what they must print.

pub mod guests;
mod inputs;
pub mod measure;
pub mod native;
