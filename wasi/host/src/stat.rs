//! What is said of files and folders, wherever they are.

use crate::errno::{Errno, Result};

/// What something in a folder is, with WASI's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    File = 4,
    Link = 7,
}

/// A `filestat`. Times in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    pub inode: u64,
    pub kind: Kind,
    pub links: u64,
    pub size: u64,
    pub accessed: u64,
    pub modified: u64,
    pub changed: u64,
}

impl Stat {
    /// As the two versions of WASI lay it out.
    pub fn bytes(&self, unstable: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(1_u64.to_le_bytes()); // the device
        bytes.extend(self.inode.to_le_bytes());
        bytes.extend(u64::from(self.kind as u8).to_le_bytes());
        match unstable {
            true => bytes.splice(20..24, u32::try_from(self.links).unwrap_or(u32::MAX).to_le_bytes()).for_each(drop),
            false => bytes.extend(self.links.to_le_bytes()),
        }
        for word in [self.size, self.accessed, self.modified, self.changed] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }
}

/// An entry of a folder.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub inode: u64,
    pub kind: Kind,
}

impl Entry {
    /// A `dirent` and its name; `next` is the cookie of the entry behind it.
    pub fn write(&self, next: u64, to: &mut Vec<u8>) {
        to.extend(next.to_le_bytes());
        to.extend(self.inode.to_le_bytes());
        to.extend((self.name.len() as u32).to_le_bytes());
        to.extend(u32::from(self.kind as u8).to_le_bytes());
        to.extend(self.name.as_bytes());
    }
}

/// How `path_open` opens.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub create: bool,
    pub directory: bool,
    pub exclusive: bool,
    pub truncate: bool,
    /// By the rights that are asked for.
    pub read: bool,
    pub write: bool,
}

impl How {
    pub fn new(flags: u32, rights: u64) -> Result<Self> {
        let how = Self {
            create: flags & 1 != 0,
            directory: flags & 2 != 0,
            exclusive: flags & 4 != 0,
            truncate: flags & 8 != 0,
            read: rights & 1 << 1 != 0,
            write: rights & 1 << 6 != 0,
        };
        if flags > 15 || how.directory && (how.create || how.exclusive || how.truncate) {
            return Err(Errno::INVAL);
        }
        Ok(how)
    }

    /// The file can be read. What is not opened for writing is opened for reading.
    pub fn reads(self) -> bool {
        self.read || !self.write
    }

    /// It can be written, or is changed by being opened.
    pub fn writes(self) -> bool {
        self.write || self.create || self.truncate
    }
}

/// Times to set: none, a time in nanoseconds since 1970, or (inside) the present.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub accessed: Option<Option<u64>>,
    pub modified: Option<Option<u64>>,
}

impl Times {
    pub fn new(accessed: u64, modified: u64, flags: u32) -> Result<Self> {
        let time = |time, set: bool, now: bool| match (set, now) {
            (true, true) => Err(Errno::INVAL),
            (true, false) => Ok(Some(Some(time))),
            (false, true) => Ok(Some(None)),
            (false, false) => Ok(None),
        };
        if flags > 15 {
            return Err(Errno::INVAL);
        }
        Ok(Self {
            accessed: time(accessed, flags & 1 != 0, flags & 2 != 0)?,
            modified: time(modified, flags & 4 != 0, flags & 8 != 0)?,
        })
    }
}
