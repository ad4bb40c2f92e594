//! IR to IR, one file a pass.

pub mod charge;
pub mod frame;
mod live;
