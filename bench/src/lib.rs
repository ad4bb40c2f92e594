//! What VectorVisor is measured with: guests, their inputs, what they must print, and rivals.

pub mod baseline;
pub mod guests;
mod inputs;
pub mod measure;
pub mod native;
