//! Drivers as files: a driver NAME can live in `libvectorvisor_NAME.so`, a plugin that is opened at run time.
//!
//! A plugin exports one function, `vectorvisor_NAME_query` ([`abi::Query`]). The driver's name is in it so that several
//! plugins can also be linked into one program. It takes the highest version of the interface that the host knows and
//! returns an [`abi::Table`], or null if it needs a newer host. [`export_plugin!`](crate::export_plugin) makes a plugin
//! from any [`Driver`](crate::Driver); [`Plugin`] is the host's side. [`Search`] says where plugins are looked for.
//!
//! The host trusts a plugin's code but not its bookkeeping: `checked` looks at all that it gives out.
//!
//! Plugins are never closed: threads, thread-local destructors and a vendor's exit handlers may still need their code.

pub mod abi;
mod checked;
mod device;
mod elf;
mod export;
mod host;
mod info;
mod search;

pub use export::Exported;
pub use host::Plugin;
pub use search::{Search, file_name};
