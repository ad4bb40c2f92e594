//! IR to IR, one file a pass.

mod charge;
mod frame;
mod live;
pub mod versions;
