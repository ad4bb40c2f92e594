//! Drivers as files: a driver NAME can live in `libvectorvisor_NAME.so`, a plugin that is opened at run time.
//!
//! A plugin exports one function, `vectorvisor_NAME_query` ([`abi::Query`]; every plugin its own, so that several can
//! also be linked into one program). It takes the highest version of the interface that the host knows and returns an [`abi::Table`],
//! or null if it needs a newer one. [`export_plugin!`](crate::export_plugin) makes one from any [`Driver`](crate::Driver);
//! [`Plugin`] is a file's driver on the host's side. [`Search`] says where files are looked for.
//!
//! Plugins are never closed: threads, thread-local destructors and a vendor's exit handlers may still need their code.

pub mod abi;
mod device;
mod elf;
mod export;
mod heard;
mod host;
mod info;
mod search;

pub use export::Exported;
pub use host::Plugin;
pub use search::{Search, file_name};
