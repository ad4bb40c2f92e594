//! The host calls: their names, signatures, who answers them, and how a remote one is packed.
//!
//! A request in the VM's slot is one u64 per parameter, then for each [`Param::In`] in order a u64 length and the
//! bytes, padded to 8. An answer is one u64 per result, then for each [`Param::Out`] in order a u64 length and the
//! bytes, padded to 8; the stub copies at most the parameter's capacity.

/// Bytes behind a pointer parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Always so many.
    Bytes(u32),
    /// `parameter[index] * size` bytes.
    Times {
        /// Index of the parameter that counts.
        index: usize,
        /// Bytes of one element.
        size: u32,
    },
}

/// One wasm parameter of a host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param {
    /// A plain i32.
    I32,
    /// A plain i64.
    I64,
    /// A pointer to bytes that the host reads.
    In(Length),
    /// A pointer to bytes that the host writes.
    Out(Length),
}

/// Who answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The device, in the kernel text: never suspends.
    Local,
    /// The host: the VM suspends.
    Remote,
    /// Nobody yet: returns ENOSYS.
    Missing,
}

/// One host call of `wasi_snapshot_preview1` (and, under the same name, `wasi_unstable`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCall {
    /// The import's name.
    pub name: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// Whether it returns an errno (all do but `proc_exit`).
    pub returns: bool,
    /// Who answers.
    pub place: Place,
}

use Length::{Bytes, Times};
use Param::{I32, I64, In, Out};
use Place::{Local, Missing, Remote};

const fn call(name: &'static str, params: &'static [Param], place: Place) -> HostCall {
    HostCall { name, params, returns: true, place }
}

/// Every call of WASI preview 1. The index of a call is its code in [`crate::abi::Status::Call`].
pub const CALLS: &[HostCall] = &[
    call("args_get", &[I32, I32], Local),
    call("args_sizes_get", &[I32, I32], Local),
    call("environ_get", &[I32, I32], Local),
    call("environ_sizes_get", &[I32, I32], Local),
    call("clock_res_get", &[I32, I32], Local),
    call("clock_time_get", &[I32, I64, I32], Local),
    call("fd_advise", &[I32, I64, I64, I32], Missing),
    call("fd_allocate", &[I32, I64, I64], Missing),
    call("fd_close", &[I32], Local),
    call("fd_datasync", &[I32], Missing),
    call("fd_fdstat_get", &[I32, I32], Local),
    call("fd_fdstat_set_flags", &[I32, I32], Local),
    call("fd_fdstat_set_rights", &[I32, I64, I64], Missing),
    call("fd_filestat_get", &[I32, I32], Local),
    call("fd_filestat_set_size", &[I32, I64], Missing),
    call("fd_filestat_set_times", &[I32, I64, I64, I32], Missing),
    call("fd_pread", &[I32, I32, I32, I64, I32], Missing),
    call("fd_prestat_get", &[I32, I32], Local),
    call("fd_prestat_dir_name", &[I32, I32, I32], Local),
    call("fd_pwrite", &[I32, I32, I32, I64, I32], Missing),
    call("fd_read", &[I32, I32, I32, I32], Local),
    call("fd_readdir", &[I32, I32, I32, I64, I32], Missing),
    call("fd_renumber", &[I32, I32], Missing),
    call("fd_seek", &[I32, I64, I32, I32], Local),
    call("fd_sync", &[I32], Missing),
    call("fd_tell", &[I32, I32], Local),
    call("fd_write", &[I32, I32, I32, I32], Local),
    call("path_create_directory", &[I32, I32, I32], Local),
    call("path_filestat_get", &[I32, I32, I32, I32, I32], Local),
    call("path_filestat_set_times", &[I32, I32, I32, I32, I64, I64, I32], Local),
    call("path_link", &[I32, I32, I32, I32, I32, I32, I32], Local),
    call("path_open", &[I32, I32, I32, I32, I32, I64, I64, I32, I32], Local),
    call("path_readlink", &[I32, I32, I32, I32, I32, I32], Local),
    call("path_remove_directory", &[I32, I32, I32], Local),
    call("path_rename", &[I32, I32, I32, I32, I32, I32], Local),
    call("path_symlink", &[I32, I32, I32, I32, I32], Local),
    call("path_unlink_file", &[I32, I32, I32], Local),
    call(
        "poll_oneoff",
        &[In(Times { index: 2, size: 48 }), Out(Times { index: 2, size: 32 }), I32, Out(Bytes(4))],
        Remote,
    ),
    HostCall { name: "proc_exit", params: &[I32], returns: false, place: Local },
    call("proc_raise", &[I32], Missing),
    call("sched_yield", &[], Local),
    call("random_get", &[I32, I32], Local),
    call("sock_accept", &[I32, I32, I32], Missing),
    call("sock_recv", &[I32, I32, I32, I32, I32, I32], Missing),
    call("sock_send", &[I32, I32, I32, I32, I32], Missing),
    call("sock_shutdown", &[I32, I32], Missing),
];

/// Finds a call by import module and name.
pub fn find(module: &str, name: &str) -> Option<usize> {
    if module != "wasi_snapshot_preview1" && module != "wasi_unstable" {
        return None;
    }
    CALLS.iter().position(|c| c.name == name)
}

impl HostCall {
    /// Answered on the device with work whose length the guest chooses, so that the VM may have to stop in it.
    pub fn works(&self) -> bool {
        matches!(self.name, "args_get" | "environ_get" | "fd_read" | "fd_write" | "random_get")
    }

    /// The wasm signature.
    pub fn signature(&self) -> crate::wasm::FuncType {
        let ty = |p: &Param| if *p == I64 { crate::ValType::I64 } else { crate::ValType::I32 };
        crate::wasm::FuncType {
            params: self.params.iter().map(ty).collect(),
            results: if self.returns { vec![crate::ValType::I32] } else { Vec::new() },
        }
    }
}
