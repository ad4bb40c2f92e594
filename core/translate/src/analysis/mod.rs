//! Facts about a program, computed once and read by passes and writers.

mod colour;
mod graph;
mod never;
mod stops;

pub use colour::{Colour, Colours};
pub use graph::Graph;
pub use never::never_returns;
pub use stops::may_stop;
