//! Facts about a program, computed once and read by passes and writers.

mod colour;
mod cuts;
mod graph;
mod never;
mod stops;

pub use colour::{Colour, Colours, World};
pub use cuts::{Cuts, Node};
pub use graph::Graph;
pub use never::never_returns;
pub use stops::may_stop;
