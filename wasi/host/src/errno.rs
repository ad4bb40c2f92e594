//! The errors of WASI, and which of them those of the system are.

use std::io;

/// An errno of WASI preview 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u16);

/// What a call gives.
pub type Result<T> = std::result::Result<T, Errno>;

impl Errno {
    pub const ACCES: Self = Self(2);
    pub const BADF: Self = Self(8);
    pub const BUSY: Self = Self(10);
    pub const EXIST: Self = Self(20);
    pub const ILSEQ: Self = Self(25);
    pub const INVAL: Self = Self(28);
    pub const IO: Self = Self(29);
    pub const ISDIR: Self = Self(31);
    pub const LOOP: Self = Self(32);
    pub const NAMETOOLONG: Self = Self(37);
    pub const NOENT: Self = Self(44);
    pub const NOSPC: Self = Self(51);
    pub const NOTDIR: Self = Self(54);
    pub const NOTEMPTY: Self = Self(55);
    pub const NOTSOCK: Self = Self(57);
    pub const NOTSUP: Self = Self(58);
    pub const OVERFLOW: Self = Self(61);
    pub const PERM: Self = Self(63);
    pub const SPIPE: Self = Self(70);
    pub const XDEV: Self = Self(75);
}

impl From<io::Error> for Errno {
    /// As in Wasmtime: a path that leads outside is [`Errno::PERM`], and what WASI has no number for [`Errno::IO`].
    fn from(error: io::Error) -> Self {
        let Some(code) = error.raw_os_error() else {
            return match error.kind() {
                io::ErrorKind::NotFound => Self::NOENT,
                io::ErrorKind::PermissionDenied => Self::PERM,
                io::ErrorKind::AlreadyExists => Self::EXIST,
                io::ErrorKind::InvalidInput => Self::INVAL,
                _ => Self::IO,
            };
        };
        use rustix::io::Errno as Os;
        match Os::from_raw_os_error(code) {
            Os::ACCESS => Self::ACCES,
            Os::BADF => Self::BADF,
            Os::BUSY => Self::BUSY,
            Os::DQUOT => Self(19),
            Os::EXIST => Self::EXIST,
            Os::FBIG => Self(22),
            Os::ILSEQ => Self::ILSEQ,
            Os::INTR => Self(27),
            Os::INVAL => Self::INVAL,
            Os::ISDIR => Self::ISDIR,
            Os::LOOP => Self::LOOP,
            Os::MLINK => Self(34),
            Os::NAMETOOLONG => Self::NAMETOOLONG,
            Os::NOENT => Self::NOENT,
            Os::NOMEM => Self(48),
            Os::NOSPC => Self::NOSPC,
            Os::NOTDIR => Self::NOTDIR,
            Os::NOTEMPTY => Self::NOTEMPTY,
            Os::NOTSUP => Self::NOTSUP,
            Os::OVERFLOW => Self::OVERFLOW,
            Os::PERM => Self::PERM,
            Os::PIPE => Self(64),
            Os::ROFS => Self(69),
            Os::SPIPE => Self::SPIPE,
            Os::TXTBSY => Self(74),
            Os::XDEV => Self::XDEV,
            _ => Self::IO,
        }
    }
}
