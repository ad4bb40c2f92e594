//! The benchmarks' library: guests, their inputs and expected outputs, and handwritten kernels to compare with; loads
//! of requests on servers.

pub mod baseline;
pub mod by_hand;
pub mod energy;
pub mod guests;
pub mod http;
mod inputs;
pub mod load;
pub mod measure;
pub mod metrics;
pub mod native;
pub mod prices;
pub mod report;
