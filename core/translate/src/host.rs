//! The host calls of both versions of WASI preview 1, and those of programs that serve requests in a loop: their names,
//! signatures, and who answers them.
//!
//! A call that the device answers is a function `vv_SYMBOL` in the prelude, which returns an errno. For a remote call,
//! which the host answers, the prelude has two functions: `vv_ask_SYMBOL` packs a request into the VM's slot, or sets
//! an errno, and then the host is not asked; `vv_take_SYMBOL` turns the answer into an errno and into what the guest
//! finds in memory. Requests and answers are a few u64.
//!
//! Calls that concern files are answered where the files of guests are ([`crate::Options::files`]). Copies of folders that
//! are only read lie on the device, and a function `vv_files_SYMBOL` of `prelude/files.h` answers. Else the host does: the
//! requests and answers are in one form, which [`HostCall::files`] describes, so they need no functions of their own.
//! Where the call also has a function on the device, its descriptor decides at run time: the streams, which are descriptors
//! 0 to 2 until the guest closes them, stay on the device. Bytes of VM memory are not copied into a request, which only
//! says where they lie: the host fetches them.
//!
//! A program with an event loop calls `serverless_invoke` for its next request, and `serverless_response` to answer it.
//! Both are answered from the VM's packed input and its output buffer, but a VM suspends where it has no request; at
//! `vectorvisor_barrier` it suspends until the other VMs of its tile have come there, too.

use crate::{Clock, Target, ValType};
use serde::{Deserialize, Serialize};

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

/// Where the files of guests are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FilesAt {
    /// There are none: the calls that concern files fail, or are made for the streams.
    #[default]
    Nowhere,
    /// On the device, as a copy that all VMs may only read ([`crate::abi::files`]).
    Device,
    /// With the host, and guests can change none on a disk.
    Host,
    /// With the host, and guests can change some on a disk. What a guest has changed is not undone when its input runs
    /// again, so it must then find what it found before: the clock, too, is asked of the host, which logs its answers.
    Disk,
}

impl FilesAt {
    /// Whether the host is asked.
    pub fn with_host(self) -> bool {
        matches!(self, Self::Host | Self::Disk)
    }
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

/// A part of the request of a call that concerns files. Each stands for the next parameter or two of the call; those
/// behind the last part are not told. The answer is a u64 with the errno in its low half, and the number of bytes that
/// follow in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A number: one word.
    Number,
    /// A pointer and a length, of bytes that the host fetches: one word, the length in its upper half.
    Range,
    /// A pointer and a count of buffers whose bytes the host fetches: a word with their number, at most [`RANGES`] (a
    /// short write is no error), and for each a word like [`Part::Range`]'s.
    From,
    /// A pointer and a count of buffers that the answer fills: one word, their bytes.
    Into,
    /// A pointer and a length, of a buffer that the answer fills: one word, the length.
    Buffer,
    /// A pointer to so many bytes, where the answer goes; behind [`Part::Into`] and [`Part::Buffer`], where the number of
    /// its bytes goes.
    Result(u32),
    /// No parameter: one word, whose bits 0, 1 and 2 say which of these descriptors are streams of the device.
    Streams,
}

/// The most buffers of one request.
pub const RANGES: usize = 16;

/// The calls, those of both versions of WASI as one.
#[expect(missing_docs, reason = "their names are those of the imports")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    PollOneoff,
    ArgsGet,
    ArgsSizesGet,
    EnvironGet,
    EnvironSizesGet,
    ClockResGet,
    ClockTimeGet,
    ProcExit,
    ProcRaise,
    SchedYield,
    RandomGet,
    FdFilestatGet,
    PathFilestatGet,
    FdSeek,
    FdAdvise,
    FdAllocate,
    FdClose,
    FdDatasync,
    FdFdstatGet,
    FdFdstatSetFlags,
    FdFdstatSetRights,
    FdFilestatSetSize,
    FdFilestatSetTimes,
    FdPread,
    FdPrestatGet,
    FdPrestatDirName,
    FdPwrite,
    FdRead,
    FdReaddir,
    FdRenumber,
    FdSync,
    FdTell,
    FdWrite,
    PathCreateDirectory,
    PathFilestatSetTimes,
    PathLink,
    PathOpen,
    PathReadlink,
    PathRemoveDirectory,
    PathRename,
    PathSymlink,
    PathUnlinkFile,
    SockAccept,
    SockRecv,
    SockSend,
    SockShutdown,
    ServerlessInvoke,
    ServerlessResponse,
    VectorvisorBarrier,
}

/// One host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCall {
    /// Which it is.
    pub call: Call,
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
    /// What the host is asked if it has the files of guests; empty for calls that files do not concern.
    pub files: &'static [Part],
}

/// The most words of a request.
pub const REQUEST: usize = 3;
/// The most words of a request where guests have files: of `fd_pwrite`.
pub const FILES_REQUEST: usize = 3 + RANGES;

use AnsweredBy::{Device, Host, Nobody};
use Call::*;
use Part::{Buffer, From, Into, Number, Range, Result, Streams};
use ValType::{I32, I64};

const fn call(call: Call, name: &'static str, params: &'static [ValType], answered_by: AnsweredBy) -> HostCall {
    HostCall { call, name, version: Version::Any, symbol: name, params, gives: Gives::Errno, answered_by, files: &[] }
}

const fn file(
    call: Call,
    name: &'static str,
    params: &'static [ValType],
    answered_by: AnsweredBy,
    files: &'static [Part],
) -> HostCall {
    HostCall { files, ..self::call(call, name, params, answered_by) }
}

const fn only(version: Version, symbol: &'static str, call: HostCall) -> HostCall {
    HostCall { version, symbol, ..call }
}

const fn events(
    call: Call,
    name: &'static str,
    params: &'static [ValType],
    gives: Gives,
    answered_by: AnsweredBy,
) -> HostCall {
    HostCall { version: Version::Events, gives, ..self::call(call, name, params, answered_by) }
}

const SUCCESS: u16 = 0;
const EBADF: u16 = 8;
const ENOTSUP: u16 = 58;

const FILESTAT: HostCall = file(FdFilestatGet, "fd_filestat_get", &[I32, I32], Device, &[Number, Result(64)]);
const FILESTAT_0: HostCall = HostCall { files: &[Number, Result(56)], ..FILESTAT };
const PATH_FILESTAT: HostCall = file(
    PathFilestatGet,
    "path_filestat_get",
    &[I32, I32, I32, I32, I32],
    Nobody(EBADF),
    &[Number, Number, Range, Result(64)],
);
const PATH_FILESTAT_0: HostCall = HostCall { files: &[Number, Number, Range, Result(56)], ..PATH_FILESTAT };
const SEEK: HostCall = file(FdSeek, "fd_seek", &[I32, I64, I32, I32], Device, &[Number, Number, Number, Result(8)]);
const POLL: HostCall = call(PollOneoff, "poll_oneoff", &[I32, I32, I32, I32], Host);

/// Every call. The index of a call is its code in [`crate::abi::Status::Call`].
pub const CALLS: &[HostCall] = &[
    call(ArgsGet, "args_get", &[I32, I32], Device),
    call(ArgsSizesGet, "args_sizes_get", &[I32, I32], Device),
    call(EnvironGet, "environ_get", &[I32, I32], Device),
    call(EnvironSizesGet, "environ_sizes_get", &[I32, I32], Device),
    call(ClockResGet, "clock_res_get", &[I32, I32], Device),
    call(ClockTimeGet, "clock_time_get", &[I32, I64, I32], Device),
    file(FdAdvise, "fd_advise", &[I32, I64, I64, I32], Nobody(EBADF), &[Number, Number, Number, Number]),
    file(FdAllocate, "fd_allocate", &[I32, I64, I64], Nobody(EBADF), &[Number, Number, Number]),
    file(FdClose, "fd_close", &[I32], Device, &[Number]),
    file(FdDatasync, "fd_datasync", &[I32], Nobody(EBADF), &[Number]),
    file(FdFdstatGet, "fd_fdstat_get", &[I32, I32], Device, &[Number, Result(24)]),
    file(FdFdstatSetFlags, "fd_fdstat_set_flags", &[I32, I32], Nobody(EBADF), &[Number, Number]),
    file(FdFdstatSetRights, "fd_fdstat_set_rights", &[I32, I64, I64], Nobody(EBADF), &[Number]),
    only(Version::Preview1, "fd_filestat_get", FILESTAT),
    only(Version::Unstable, "fd_filestat_get_0", FILESTAT_0),
    file(FdFilestatSetSize, "fd_filestat_set_size", &[I32, I64], Nobody(EBADF), &[Number, Number]),
    file(FdFilestatSetTimes, "fd_filestat_set_times", &[I32, I64, I64, I32], Device, &[Number, Number, Number, Number]),
    file(FdPread, "fd_pread", &[I32, I32, I32, I64, I32], Device, &[Number, Into, Number, Result(4)]),
    file(FdPrestatGet, "fd_prestat_get", &[I32, I32], Nobody(EBADF), &[Number, Result(8)]),
    file(FdPrestatDirName, "fd_prestat_dir_name", &[I32, I32, I32], Device, &[Number, Buffer]),
    file(FdPwrite, "fd_pwrite", &[I32, I32, I32, I64, I32], Device, &[Number, From, Number, Result(4)]),
    file(FdRead, "fd_read", &[I32, I32, I32, I32], Device, &[Number, Into, Result(4)]),
    file(FdReaddir, "fd_readdir", &[I32, I32, I32, I64, I32], Nobody(EBADF), &[Number, Buffer, Number, Result(4)]),
    file(FdRenumber, "fd_renumber", &[I32, I32], Device, &[Number, Number, Streams]),
    only(Version::Preview1, "fd_seek", SEEK),
    only(Version::Unstable, "fd_seek_0", SEEK),
    file(FdSync, "fd_sync", &[I32], Nobody(EBADF), &[Number]),
    file(FdTell, "fd_tell", &[I32, I32], Device, &[Number, Result(8)]),
    file(FdWrite, "fd_write", &[I32, I32, I32, I32], Device, &[Number, From, Result(4)]),
    file(PathCreateDirectory, "path_create_directory", &[I32, I32, I32], Nobody(EBADF), &[Number, Range]),
    only(Version::Preview1, "path_filestat_get", PATH_FILESTAT),
    only(Version::Unstable, "path_filestat_get_0", PATH_FILESTAT_0),
    file(
        PathFilestatSetTimes,
        "path_filestat_set_times",
        &[I32, I32, I32, I32, I64, I64, I32],
        Device,
        &[Number, Number, Range, Number, Number, Number],
    ),
    file(
        PathLink,
        "path_link",
        &[I32, I32, I32, I32, I32, I32, I32],
        Nobody(EBADF),
        &[Number, Number, Range, Number, Range],
    ),
    file(
        PathOpen,
        "path_open",
        &[I32, I32, I32, I32, I32, I64, I64, I32, I32],
        Nobody(EBADF),
        &[Number, Number, Range, Number, Number, Number, Number, Streams, Result(4)],
    ),
    file(
        PathReadlink,
        "path_readlink",
        &[I32, I32, I32, I32, I32, I32],
        Nobody(EBADF),
        &[Number, Range, Buffer, Result(4)],
    ),
    file(PathRemoveDirectory, "path_remove_directory", &[I32, I32, I32], Nobody(EBADF), &[Number, Range]),
    file(PathRename, "path_rename", &[I32, I32, I32, I32, I32, I32], Nobody(EBADF), &[Number, Range, Number, Range]),
    file(PathSymlink, "path_symlink", &[I32, I32, I32, I32, I32], Nobody(EBADF), &[Range, Number, Range]),
    file(PathUnlinkFile, "path_unlink_file", &[I32, I32, I32], Nobody(EBADF), &[Number, Range]),
    only(Version::Preview1, "poll_oneoff", POLL),
    only(Version::Unstable, "poll_oneoff_0", POLL),
    HostCall { gives: Gives::Never, ..call(ProcExit, "proc_exit", &[I32], Device) },
    call(ProcRaise, "proc_raise", &[I32], Nobody(ENOTSUP)),
    call(SchedYield, "sched_yield", &[], Nobody(SUCCESS)),
    call(RandomGet, "random_get", &[I32, I32], Device),
    only(Version::Preview1, "sock_accept", file(SockAccept, "sock_accept", &[I32, I32, I32], Device, &[Number])),
    file(SockRecv, "sock_recv", &[I32, I32, I32, I32, I32, I32], Device, &[Number]),
    file(SockSend, "sock_send", &[I32, I32, I32, I32, I32], Device, &[Number]),
    file(SockShutdown, "sock_shutdown", &[I32, I32], Device, &[Number]),
    events(ServerlessInvoke, "serverless_invoke", &[I32, I32], Gives::Number, Host),
    events(ServerlessResponse, "serverless_response", &[I32, I32], Gives::Nothing, Device),
    events(VectorvisorBarrier, "vectorvisor_barrier", &[], Gives::Nothing, Host),
];

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
    /// Who answers the call on this target, in a program whose files are there.
    pub fn answered_by(&self, target: &Target, files: FilesAt) -> AnsweredBy {
        match (self.call, target.clock, files) {
            (ClockTimeGet, Clock::Asked, _) | (ClockTimeGet, _, FilesAt::Disk) => Host,
            (_, _, FilesAt::Host | FilesAt::Disk) if !self.files.is_empty() => Host,
            (_, _, FilesAt::Device) if !self.files.is_empty() => Device,
            _ => self.answered_by,
        }
    }

    /// Whether its request has words, in the VM's slot: where the host answers the others, they have none.
    pub fn has_request(&self) -> bool {
        !matches!(self.call, ServerlessInvoke | VectorvisorBarrier)
    }

    /// Where the host answers it for files: whether the device answers it for its streams.
    pub fn has_streams(&self) -> bool {
        self.answered_by == AnsweredBy::Device
    }

    /// Whether a program that makes the call may use files. Those that only make others are given none, and run as if
    /// there were none: C libraries make these calls for the streams.
    pub fn opens_files(&self) -> bool {
        !self.files.is_empty()
            && !matches!(self.call, SockAccept | SockRecv | SockSend | SockShutdown)
            && !matches!(self.call, FdClose | FdFdstatGet | FdRead | FdSeek | FdTell | FdWrite)
    }

    /// To answer it, the device does work whose length the guest chooses, so the VM may have to stop in the middle.
    pub fn works(&self, files: FilesAt) -> bool {
        let long = matches!(self.call, FdPread | FdReaddir) || self.has_path();
        matches!(self.call, ArgsGet | EnvironGet | FdRead | FdWrite | RandomGet | ServerlessResponse)
            || files == FilesAt::Device && long
    }

    /// Whether it is given a path.
    fn has_path(&self) -> bool {
        self.files.contains(&Range)
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
    fn requests_fit_the_slot_and_stand_for_parameters_in_their_order() {
        for call in CALLS {
            let words = |part: &Part| match part {
                Part::Result(_) => 0,
                Part::From => 1 + RANGES,
                _ => 1,
            };
            assert!(call.files.iter().map(words).sum::<usize>() <= FILES_REQUEST, "{}", call.name);
            let mut params = call.params.iter();
            for part in call.files {
                let (count, ty) = match part {
                    Part::Streams => continue,
                    Part::Number => (1, None),
                    Part::Result(_) => (1, Some(I32)),
                    _ => (2, Some(I32)),
                };
                for _ in 0..count {
                    let param = params.next().expect("a parameter");
                    assert!(ty.is_none_or(|ty| ty == *param), "{}", call.name);
                }
            }
        }
    }

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
