//! Facts about a program, computed once and read by passes and writers.

mod colour;
mod cuts;
mod graph;
mod native;
mod never;
mod run;
mod stops;

pub use colour::{Colour, Colours, World};
pub use cuts::Cuts;
pub use graph::{Graph, post_order};
pub use native::native_stack;
pub use never::never_returns;
pub use run::Run;
pub use stops::may_stop;
