//! The error numbers of WASI preview 1 that are used here.

/// No error.
pub const SUCCESS: u16 = 0;
/// The file descriptor is not open.
pub const BADF: u16 = 8;
/// An argument makes no sense.
pub const INVAL: u16 = 28;
/// Nobody provides this call.
pub const NOSYS: u16 = 52;
/// The thing is known, this use of it is not provided.
pub const NOTSUP: u16 = 58;
