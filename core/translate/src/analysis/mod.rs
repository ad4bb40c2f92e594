//! Facts about a program, computed once and read by passes and writers.

mod adjacent;
mod changes;
mod colour;
mod cuts;
mod graph;
mod native;
mod never;
mod stops;

pub use adjacent::Adjacent;
pub use changes::{Changes, changes};
pub use colour::{Colour, Colours, World};
pub use cuts::Cuts;
pub use graph::{Graph, post_order};
pub use native::native_stack;
pub use never::never_returns;
pub use stops::may_stop;
