//! IR to IR, one file a pass.

pub mod access;
pub mod charge;
pub mod divide;
mod facts;
mod frame;
pub mod guard;
pub mod hoist;
pub mod live;
pub mod nan;
pub mod shared;
pub mod stride;
pub mod versions;
