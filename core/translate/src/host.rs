//! The host calls of both versions of WASI preview 1, and those of programs that serve requests in a loop: their names,
//! signatures, and who answers them.
//!
//! A call that the device answers is a function `vv_SYMBOL` in the prelude, which returns an errno. For a remote call,
//! which the host answers, the prelude has two functions: `vv_ask_SYMBOL` packs a request into the VM's slot, or sets
//! an errno, and then the host is not asked; `vv_take_SYMBOL` turns the answer into an errno and into what the guest
//! finds in memory. Requests and answers are a few u64: bytes of VM memory are not copied to the host.
//!
//! A program with an event loop calls `serverless_invoke` for its next request, and `serverless_response` to answer it.
//! Both are answered from the VM's packed input and its output buffer, but a VM suspends where it has no request; at
//! `vectorvisor_barrier` it suspends until the other VMs of its tile have come there, too.

use crate::{Clock, Target, ValType};

/// Who answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The device, in the kernel's text: the VM never suspends.
    Device,
    /// The host, a *remote* call: the VM suspends.
    Host,
    /// Nobody has to: with all that a guest can have, which is standard input, output and error, it always fails or
    /// succeeds with this errno.
    Nobody(u16),
}

/// The modules that a call may be imported from. Most calls are the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Both.
    Any,
    /// `wasi_snapshot_preview1`.
    Preview1,
    /// `wasi_unstable`, also known as snapshot 0.
    Unstable,
    /// `env` and `wasi_snapshot_preview1`: not WASI, but VectorVisor's own.
    Events,
}

/// What a call gives to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// An errno.
    Errno,
    /// A number.
    Number,
    /// Nothing.
    Nothing,
    /// It does not return.
    Never,
}

/// One host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCall {
    /// The import's name.
    pub name: &'static str,
    /// Where it is imported from.
    pub version: Version,
    /// Its name in the prelude and in dumps, in which the two versions of a call differ.
    pub symbol: &'static str,
    /// Its parameters.
    pub params: &'static [ValType],
    /// What it returns.
    pub gives: Gives,
    /// Who answers it on a device that can do all that the prelude needs; [`Self::answered_by`] knows the exceptions.
    answered_by: AnsweredBy,
}

/// The most words of a request.
pub const REQUEST: usize = 3;

use AnsweredBy::{Device, Host, Nobody};
use ValType::{I32, I64};

const fn call(name: &'static str, params: &'static [ValType], answered_by: AnsweredBy) -> HostCall {
    HostCall { name, version: Version::Any, symbol: name, params, gives: Gives::Errno, answered_by }
}

const fn only(version: Version, symbol: &'static str, call: HostCall) -> HostCall {
    HostCall { version, symbol, ..call }
}

const fn events(name: &'static str, params: &'static [ValType], gives: Gives, answered_by: AnsweredBy) -> HostCall {
    HostCall { version: Version::Events, gives, ..call(name, params, answered_by) }
}

const SUCCESS: u16 = 0;
const EBADF: u16 = 8;
const ENOTSUP: u16 = 58;

const FILESTAT: HostCall = call("fd_filestat_get", &[I32, I32], Device);
const POLL: HostCall = call("poll_oneoff", &[I32, I32, I32, I32], Host);

/// Every call. The index of a call is its code in [`crate::abi::Status::Call`].
pub const CALLS: &[HostCall] = &[
    call("args_get", &[I32, I32], Device),
    call("args_sizes_get", &[I32, I32], Device),
    call("environ_get", &[I32, I32], Device),
    call("environ_sizes_get", &[I32, I32], Device),
    call("clock_res_get", &[I32, I32], Device),
    call("clock_time_get", &[I32, I64, I32], Device),
    call("fd_advise", &[I32, I64, I64, I32], Nobody(EBADF)),
    call("fd_allocate", &[I32, I64, I64], Nobody(EBADF)),
    call("fd_close", &[I32], Device),
    call("fd_datasync", &[I32], Nobody(EBADF)),
    call("fd_fdstat_get", &[I32, I32], Device),
    call("fd_fdstat_set_flags", &[I32, I32], Nobody(EBADF)),
    call("fd_fdstat_set_rights", &[I32, I64, I64], Nobody(EBADF)),
    only(Version::Preview1, "fd_filestat_get", FILESTAT),
    only(Version::Unstable, "fd_filestat_get_0", FILESTAT),
    call("fd_filestat_set_size", &[I32, I64], Nobody(EBADF)),
    call("fd_filestat_set_times", &[I32, I64, I64, I32], Device),
    call("fd_pread", &[I32, I32, I32, I64, I32], Device),
    call("fd_prestat_get", &[I32, I32], Nobody(EBADF)),
    call("fd_prestat_dir_name", &[I32, I32, I32], Device),
    call("fd_pwrite", &[I32, I32, I32, I64, I32], Device),
    call("fd_read", &[I32, I32, I32, I32], Device),
    call("fd_readdir", &[I32, I32, I32, I64, I32], Nobody(EBADF)),
    call("fd_renumber", &[I32, I32], Device),
    call("fd_seek", &[I32, I64, I32, I32], Device),
    call("fd_sync", &[I32], Nobody(EBADF)),
    call("fd_tell", &[I32, I32], Device),
    call("fd_write", &[I32, I32, I32, I32], Device),
    call("path_create_directory", &[I32, I32, I32], Nobody(EBADF)),
    call("path_filestat_get", &[I32, I32, I32, I32, I32], Nobody(EBADF)),
    call("path_filestat_set_times", &[I32, I32, I32, I32, I64, I64, I32], Device),
    call("path_link", &[I32, I32, I32, I32, I32, I32, I32], Nobody(EBADF)),
    call("path_open", &[I32, I32, I32, I32, I32, I64, I64, I32, I32], Nobody(EBADF)),
    call("path_readlink", &[I32, I32, I32, I32, I32, I32], Nobody(EBADF)),
    call("path_remove_directory", &[I32, I32, I32], Nobody(EBADF)),
    call("path_rename", &[I32, I32, I32, I32, I32, I32], Nobody(EBADF)),
    call("path_symlink", &[I32, I32, I32, I32, I32], Nobody(EBADF)),
    call("path_unlink_file", &[I32, I32, I32], Nobody(EBADF)),
    only(Version::Preview1, "poll_oneoff", POLL),
    only(Version::Unstable, "poll_oneoff_0", POLL),
    HostCall { gives: Gives::Never, ..call("proc_exit", &[I32], Device) },
    call("proc_raise", &[I32], Nobody(ENOTSUP)),
    call("sched_yield", &[], Nobody(SUCCESS)),
    call("random_get", &[I32, I32], Device),
    only(Version::Preview1, "sock_accept", call("sock_accept", &[I32, I32, I32], Device)),
    call("sock_recv", &[I32, I32, I32, I32, I32, I32], Device),
    call("sock_send", &[I32, I32, I32, I32, I32], Device),
    call("sock_shutdown", &[I32, I32], Device),
    events(INVOKE, &[I32, I32], Gives::Number, Host),
    events("serverless_response", &[I32, I32], Gives::Nothing, Device),
    events(BARRIER, &[], Gives::Nothing, Host),
];

/// Gives the next request.
pub const INVOKE: &str = "serverless_invoke";
/// Waits for the other VMs of the tile.
pub const BARRIER: &str = "vectorvisor_barrier";

/// Finds a call by import module and name.
pub fn find(module: &str, name: &str) -> Option<usize> {
    let from: &[Version] = match module {
        "wasi_snapshot_preview1" => &[Version::Any, Version::Preview1, Version::Events],
        "wasi_unstable" => &[Version::Any, Version::Unstable],
        "env" => &[Version::Events],
        _ => return None,
    };
    CALLS.iter().position(|c| c.name == name && from.contains(&c.version))
}

impl HostCall {
    /// Who answers the call on this target.
    pub fn answered_by(&self, target: &Target) -> AnsweredBy {
        match (self.symbol, target.clock) {
            ("clock_time_get", Clock::Asked) => AnsweredBy::Host,
            _ => self.answered_by,
        }
    }

    /// Whether a VM may suspend in it and run again all the same, since the host gives no answer that could be another
    /// one then.
    pub fn repeatable(&self) -> bool {
        matches!(self.name, INVOKE | BARRIER)
    }

    /// To answer it, the device does work whose length the guest chooses, so the VM may have to stop in the middle.
    pub fn works(&self) -> bool {
        matches!(self.name, "args_get" | "environ_get" | "fd_read" | "fd_write" | "random_get" | "serverless_response")
    }

    /// The wasm signature.
    pub fn signature(&self) -> crate::wasm::FuncType {
        crate::wasm::FuncType {
            params: self.params.to_vec(),
            results: if matches!(self.gives, Gives::Errno | Gives::Number) { vec![I32] } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_share_what_is_the_same() {
        let both = |name| (find("wasi_snapshot_preview1", name), find("wasi_unstable", name));
        for call in CALLS {
            let (now, before) = both(call.name);
            assert!(now.is_some(), "{}", call.name);
            assert_eq!(now == before, call.version == Version::Any, "{}", call.name);
            assert_eq!(find("env", call.name).is_some(), call.version == Version::Events, "{}", call.name);
        }
        assert_eq!(both("sock_accept").1, None);
    }
}
