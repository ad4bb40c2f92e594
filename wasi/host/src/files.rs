//! What guests are given: folders of the host, and a folder in memory; and the descriptors of one VM.

use crate::Malformed;
use crate::disk::{self, Folder, Opened};
use crate::errno::{Errno, Result};
use crate::request::Args;
use crate::scratch::{self, Inode, Scratch};
use crate::snapshot::Snapshot;
use crate::stat::{Entry, How, Kind, Stat, Times};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use vectorvisor_translate::host::{Call, FilesAt, HostCall};

/// The folders that all VMs of a fleet are given, in the order of their descriptors, of which the first is 3.
#[derive(Debug)]
pub struct Files {
    folders: Vec<(String, Given)>,
    /// Or why there is none.
    snapshot: std::result::Result<Snapshot, String>,
}

#[derive(Debug, Clone)]
enum Given {
    Disk(Folder),
    /// At most so many bytes.
    Scratch(u64),
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Files {
    /// No folders.
    pub fn new() -> Self {
        Self { folders: Vec::new(), snapshot: Err("no copy was made".into()) }
    }

    /// Also a folder of the host, under the name `guest`, which guests may change if `write`.
    ///
    /// # Errors
    /// It cannot be opened, or is no folder.
    pub fn add_folder(&mut self, host: &Path, guest: &str, write: bool) -> io::Result<()> {
        let dir = cap_primitives::fs::open_ambient_dir(host, cap_primitives::ambient_authority())?;
        self.folders.push((guest.into(), Given::Disk(Folder { dir: Arc::new(dir), write })));
        Ok(())
    }

    /// Also a folder in memory, for each VM its own, of at most so many bytes. Added again, the same folder has one more
    /// name.
    pub fn add_scratch(&mut self, guest: &str, bytes: u64) {
        self.folders.push((guest.into(), Given::Scratch(bytes)));
    }

    /// Makes a copy of the folders, if guests may only read them and their files have at most so many bytes in all. With
    /// it the device answers what guests ask, and they do not see what becomes of the folders from then on. Without it
    /// ([`Self::snapshot`] says why), the host answers.
    pub fn take_snapshot(&mut self, most: u64) {
        self.snapshot = self.copy(most);
    }

    fn copy(&self, most: u64) -> std::result::Result<Snapshot, String> {
        if most == 0 {
            return Err("no copy is wanted".into());
        }
        let folders = self.folders.iter().map(|(name, given)| match given {
            Given::Disk(folder) if folder.write => Err(format!("guests may change {name} (:rw)")),
            Given::Disk(folder) => Ok((name.as_str(), folder)),
            Given::Scratch(_) => Err("each has a folder in memory (--scratch)".into()),
        });
        let folders = folders.collect::<std::result::Result<Vec<_>, String>>()?;
        Snapshot::new(&folders, most)
    }

    /// Where they are: with a copy on the device, else with the host.
    pub fn at(&self) -> FilesAt {
        match self.snapshot {
            Ok(_) => FilesAt::Device,
            Err(_) if self.may_change() => FilesAt::Disk,
            Err(_) => FilesAt::Host,
        }
    }

    /// Whether guests may change a folder of the host.
    pub fn may_change(&self) -> bool {
        self.folders.iter().any(|(_, given)| matches!(given, Given::Disk(Folder { write: true, .. })))
    }

    /// The copy, or why there is none.
    ///
    /// # Errors
    /// Why the host answers what guests ask of their files.
    pub fn snapshot(&self) -> std::result::Result<&Snapshot, &str> {
        self.snapshot.as_ref().map_err(String::as_str)
    }

    /// Whether there is a folder in memory.
    pub fn has_scratch(&self) -> bool {
        self.folders.iter().any(|(_, given)| matches!(given, Given::Scratch(_)))
    }
}

/// The files of one VM: its descriptors, and its folder in memory.
#[derive(Debug)]
pub struct Open {
    used: BTreeMap<u32, Descriptor>,
    /// Descriptors that were closed.
    free: BTreeSet<u32>,
    scratch: Scratch,
    /// The VM may have changed a folder of the host.
    changed: bool,
}

#[derive(Debug)]
struct Descriptor {
    object: Object,
    /// The name of a folder that the VM was given.
    name: Option<String>,
    /// Of a file.
    position: u64,
    read: bool,
    write: bool,
    append: bool,
    nonblock: bool,
    /// The entries of a folder, from when its first was read.
    entries: Option<Vec<Entry>>,
}

#[derive(Debug)]
enum Object {
    Folder(Folder),
    ScratchFolder(Inode),
    /// With whether it may be changed.
    File(File, bool),
    ScratchFile(Inode),
}

impl Object {
    /// On a disk, and the guest may write there.
    fn may_change(&self) -> bool {
        matches!(self, Self::Folder(Folder { write: true, .. }) | Self::File(_, true))
    }

    fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::ScratchFolder(_))
    }
}

/// Flags of descriptors.
const APPEND: u32 = 1;
const NONBLOCK: u32 = 4;
/// `dsync`, `rsync` and `sync`.
const SYNC: u32 = 2 | 8 | 16;
const FLAGS: u32 = 31;

/// Rights, as far as they are told apart.
mod rights {
    pub const READ: u64 = 1 << 1;
    pub const SEEK: u64 = 1 << 2;
    pub const WRITE: u64 = 1 << 6;
    pub const READDIR: u64 = 1 << 14;
    pub const PATH_SET_SIZE: u64 = 1 << 19;
    pub const SET_SIZE: u64 = 1 << 22;
    pub const ALL: u64 = (1 << 30) - 1;
    /// Of a folder that a VM was given: those of paths, from `path_create_directory` to `path_filestat_get`, then
    /// `path_filestat_set_times`, `fd_filestat_get` and `fd_filestat_set_times`, and the last three of paths.
    pub const GIVEN: u64 = 0x7_fe00 | 1 << 20 | 1 << 21 | 1 << 23 | 7 << 24;
    /// Of what is opened in it: those of files, too.
    pub const INHERITED: u64 = GIVEN | 0x1ff | SET_SIZE | 1 << 27;
}

/// The first descriptor of a VM that is no stream.
const FIRST: u32 = 3;

impl Open {
    /// What a VM has at first. `given` are files for its folder in memory.
    ///
    /// # Errors
    /// A message if there is no such folder, no room in it, or a name is none.
    pub fn new(files: &Files, given: &[(String, Arc<[u8]>)], now: u64) -> std::result::Result<Self, String> {
        let bytes = files.folders.iter().find_map(|(_, given)| match given {
            Given::Scratch(bytes) => Some(*bytes),
            Given::Disk(_) => None,
        });
        if bytes.is_none() && !given.is_empty() {
            return Err("it has files, but there is no folder to put them in; add --scratch SIZE".into());
        }
        let mut scratch = Scratch::new(bytes.unwrap_or(0), now);
        for (name, bytes) in given {
            scratch.put(name, bytes).map_err(|why| match why {
                Errno::NOSPC => {
                    format!("its file {name:?} has no room in the folder in memory; give a larger --scratch")
                }
                _ => format!("its file {name:?} has a name that cannot be; it is a path without `.` and `..` in it"),
            })?;
        }
        let open = |(name, given): &(String, Given)| Descriptor {
            name: Some(name.clone()),
            ..Descriptor::new(match given {
                Given::Disk(folder) => Object::Folder(folder.clone()),
                Given::Scratch(_) => Object::ScratchFolder(scratch::ROOT),
            })
        };
        let used = (FIRST..).zip(files.folders.iter().map(open)).collect();
        Ok(Self { used, free: BTreeSet::new(), scratch, changed: false })
    }

    /// Whether the VM may have changed a folder of the host, which is not undone with these files.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The contents of a file in the folder in memory.
    pub fn collect(&self, path: &str) -> Option<Vec<u8>> {
        self.scratch.get(path)
    }

    /// The number of a new descriptor, where these of 0 to 2 are streams: as in Wasmtime the largest that was closed, or
    /// else the next.
    fn number(&mut self, streams: u32) -> u32 {
        let mut low = (0..FIRST).filter(|fd| streams & 1 << fd == 0 && !self.used.contains_key(fd));
        let fd = match self.free.pop_last().or(low.next_back()) {
            Some(fd) => fd,
            None => self.used.last_key_value().map_or(FIRST, |(fd, _)| (fd + 1).max(FIRST)),
        };
        self.free.remove(&fd);
        fd
    }

    fn get(&mut self, fd: u32) -> Result<&mut Descriptor> {
        self.used.get_mut(&fd).ok_or(Errno::BADF)
    }

    fn file(&mut self, fd: u32) -> Result<&mut Descriptor> {
        self.get(fd).and_then(|open| if open.object.is_folder() { Err(Errno::BADF) } else { Ok(open) })
    }

    /// A folder, and the files in memory.
    fn folder(&mut self, fd: u32) -> Result<(&Object, &mut Scratch)> {
        let Some(Descriptor { object, .. }) = self.used.get(&fd) else { return Err(Errno::BADF) };
        if object.is_folder() { Ok((object, &mut self.scratch)) } else { Err(Errno::BADF) }
    }

    /// Two folders.
    fn folders(&mut self, from: u32, to: u32) -> Result<(&Object, &Object, &mut Scratch)> {
        self.folder(from)?;
        self.folder(to)?;
        let object = |fd: u32| self.used.get(&fd).map(|open| &open.object).ok_or(Errno::BADF);
        Ok((object(from)?, object(to)?, &mut self.scratch))
    }

    /// Forgets a descriptor.
    fn close(&mut self, fd: u32) -> Result<()> {
        let open = self.used.remove(&fd).ok_or(Errno::BADF)?;
        if let Object::ScratchFile(inode) | Object::ScratchFolder(inode) = open.object
            && open.name.is_none()
        {
            self.scratch.close(inode);
        }
        self.free.insert(fd);
        Ok(())
    }

    fn stat(&mut self, fd: u32) -> Result<Stat> {
        let Some(open) = self.used.get(&fd) else { return Err(Errno::BADF) };
        match &open.object {
            Object::Folder(folder) => disk::stat(&folder.dir),
            Object::File(file, _) => disk::stat(file),
            Object::ScratchFolder(inode) | Object::ScratchFile(inode) => self.scratch.stat(*inode),
        }
    }

    fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Result<u64> {
        let (size, open) = match whence {
            2 => (self.stat(fd)?.size, self.file(fd)?),
            _ => (0, self.file(fd)?),
        };
        let from = match whence {
            0 => 0,
            1 => open.position,
            2 => size,
            _ => return Err(Errno::INVAL),
        };
        open.position = from.checked_add_signed(offset).ok_or(Errno::INVAL)?;
        Ok(open.position)
    }

    /// Reads at a place, or where the descriptor stands.
    fn read(&mut self, fd: u32, bytes: usize, at: Option<u64>) -> Result<Vec<u8>> {
        self.file(fd)?;
        let Some(open) = self.used.get_mut(&fd) else { return Err(Errno::BADF) };
        if !open.read {
            return Err(Errno::BADF);
        }
        let mut buffer = vec![0; bytes];
        let from = at.unwrap_or(open.position);
        let n = match &open.object {
            Object::File(file, _) => disk::read(file, &mut buffer, from)?,
            Object::ScratchFile(inode) => self.scratch.read(*inode, &mut buffer, from)?,
            Object::Folder(_) | Object::ScratchFolder(_) => return Err(Errno::BADF),
        };
        buffer.truncate(n);
        if at.is_none() {
            open.position += n as u64;
        }
        Ok(buffer)
    }

    fn write(&mut self, fd: u32, bytes: &[u8], at: Option<u64>) -> Result<usize> {
        self.file(fd)?;
        let Some(open) = self.used.get_mut(&fd) else { return Err(Errno::BADF) };
        if !open.write {
            return Err(Errno::BADF);
        }
        // As in Linux, the place does not matter where all writes append.
        let to = if open.append { None } else { Some(at.unwrap_or(open.position)) };
        let (n, size) = match &open.object {
            Object::File(file, _) => (disk::write(file, bytes, to)?, disk::stat(file)?.size),
            Object::ScratchFile(inode) => (self.scratch.write(*inode, bytes, to)?, self.scratch.stat(*inode)?.size),
            Object::Folder(_) | Object::ScratchFolder(_) => return Err(Errno::BADF),
        };
        if at.is_none() {
            open.position = if open.append { size } else { open.position.saturating_add(n as u64) };
        }
        Ok(n)
    }

    fn set_size(&mut self, fd: u32, size: u64) -> Result<()> {
        self.file(fd)?;
        let Some(open) = self.used.get(&fd) else { return Err(Errno::BADF) };
        match &open.object {
            Object::File(_, false) => Err(Errno::PERM),
            Object::File(file, true) => Ok(file.set_len(size)?),
            _ if !open.write || size > i64::MAX as u64 => Err(Errno::INVAL),
            Object::ScratchFile(inode) => self.scratch.resize(*inode, size),
            Object::Folder(_) | Object::ScratchFolder(_) => Err(Errno::BADF),
        }
    }

    fn set_times(&mut self, fd: u32, times: Times) -> Result<()> {
        let Some(open) = self.used.get(&fd) else { return Err(Errno::BADF) };
        self.changed |= open.object.may_change();
        match &open.object {
            Object::File(_, false) => Err(Errno::PERM),
            Object::File(file, true) => disk::set_times(file, times),
            Object::Folder(folder) => folder.set_own_times(times),
            Object::ScratchFile(inode) | Object::ScratchFolder(inode) => self.scratch.set_times(*inode, times),
        }
    }

    fn sync(&mut self, fd: u32, data: bool) -> Result<()> {
        match &self.file(fd)?.object {
            Object::File(file, _) if data => Ok(file.sync_data()?),
            Object::File(file, _) => Ok(file.sync_all()?),
            _ => Ok(()),
        }
    }

    /// The kind of a descriptor, its flags and rights.
    fn fdstat(&mut self, fd: u32) -> Result<Vec<u8>> {
        let kind = self.stat(fd)?.kind;
        let open = self.get(fd)?;
        let (own, inherited) = match &open.name {
            Some(_) => (rights::GIVEN, rights::INHERITED),
            None => {
                let mut all = rights::ALL;
                if kind == Kind::Directory {
                    all &= !(rights::SEEK | rights::SET_SIZE | rights::PATH_SET_SIZE);
                }
                if !open.read {
                    all &= !(rights::READ | rights::READDIR);
                }
                if !open.write {
                    all &= !rights::WRITE;
                }
                (all, all)
            }
        };
        let flags = u32::from(open.append) * APPEND + u32::from(open.nonblock) * NONBLOCK;
        let mut bytes = (u64::from(kind as u8) | u64::from(flags) << 16).to_le_bytes().to_vec();
        bytes.extend(own.to_le_bytes());
        bytes.extend(inherited.to_le_bytes());
        Ok(bytes)
    }

    fn set_flags(&mut self, fd: u32, flags: u32) -> Result<()> {
        if flags > FLAGS {
            return Err(Errno::INVAL);
        }
        let open = self.file(fd)?;
        if flags & SYNC != 0 {
            return Err(Errno::INVAL);
        }
        (open.append, open.nonblock) = (flags & APPEND != 0, flags & NONBLOCK != 0);
        Ok(())
    }

    /// As many bytes of entries as there is room for, the last one perhaps in part.
    fn read_entries(&mut self, fd: u32, bytes: usize, cookie: u64) -> Result<Vec<u8>> {
        // What is deleted or made meanwhile must not move the others.
        let known = cookie != 0 && self.used.get(&fd).is_some_and(|open| open.entries.is_some());
        let (folder, scratch) = self.folder(fd)?;
        let entries = match known {
            true => None,
            false => {
                let (own, entries) = match folder {
                    Object::Folder(folder) => (disk::stat(&folder.dir)?, folder.entries()?),
                    Object::ScratchFolder(inode) => (scratch.stat(*inode)?, scratch.list(*inode)?),
                    _ => return Err(Errno::BADF),
                };
                let own = |name: &str| Entry { name: name.into(), inode: own.inode, kind: Kind::Directory };
                Some([own("."), own("..")].into_iter().chain(entries).collect())
            }
        };
        let open = self.get(fd)?;
        let entries: &Vec<Entry> = match entries {
            Some(entries) => open.entries.insert(entries),
            None => open.entries.get_or_insert_default(),
        };
        let mut written = Vec::new();
        for (next, entry) in (1..).zip(entries).skip(usize::try_from(cookie).map_err(|_| Errno::OVERFLOW)?) {
            if written.len() >= bytes {
                break;
            }
            entry.write(next, &mut written);
        }
        written.truncate(bytes);
        Ok(written)
    }

    fn path_open(&mut self, args: &mut Args<'_>) -> Result<u32> {
        let (fd, look, path) = (args.number(), args.number(), args.path()?);
        let (flags, rights, _, how, streams) = (args.number(), args.long(), args.long(), args.number(), args.number());
        let follow = follows(look)?;
        let opened = How::new(flags, rights)?;
        if how > FLAGS {
            return Err(Errno::INVAL);
        }
        if !self.get(fd)?.object.is_folder() {
            return Err(Errno::NOTDIR);
        }
        if how & SYNC != 0 {
            return Err(Errno::NOTSUP);
        }
        self.changed |= opened.writes() && self.get(fd)?.object.may_change();
        let (folder, scratch) = self.folder(fd)?;
        let object = match folder {
            Object::Folder(folder) => match folder.open(path, follow, opened)? {
                Opened::Folder(below) => Object::Folder(below),
                Opened::File(file) => Object::File(file, folder.write),
            },
            Object::ScratchFolder(inode) => match scratch.open(*inode, path, follow, opened)? {
                (inode, Kind::Directory) => Object::ScratchFolder(inode),
                (inode, _) => Object::ScratchFile(inode),
            },
            _ => return Err(Errno::BADF),
        };
        let number = self.number(streams);
        let open = Descriptor {
            read: opened.reads(),
            write: opened.writes() && !object.is_folder(),
            append: how & APPEND != 0,
            nonblock: how & NONBLOCK != 0,
            ..Descriptor::new(object)
        };
        self.used.insert(number, open);
        Ok(number)
    }

    /// Gives `to` what `from` is. `streams` are those of 0 to 2 that the device has.
    fn renumber(&mut self, from: u32, to: u32, streams: u32) -> Result<()> {
        let stream = |fd: u32| fd < FIRST && streams & 1 << fd != 0;
        if !stream(from) {
            self.get(from)?;
        }
        if !stream(to) {
            self.get(to)?;
        }
        if from == to {
            return Ok(());
        }
        // The device keeps its streams below that.
        if stream(from) {
            return Err(Errno::NOTSUP);
        }
        if !stream(to) {
            self.close(to)?;
        }
        if let Some(open) = self.used.remove(&from) {
            self.free.insert(from);
            self.free.remove(&to);
            self.used.insert(to, open);
        }
        Ok(())
    }

    /// Answers a call; `most` is the largest read. The clock is `now`.
    pub fn answer(
        &mut self,
        call: &HostCall,
        request: &[u8],
        fetched: &[Vec<u8>],
        most: u32,
        now: u64,
    ) -> std::result::Result<Vec<u8>, Malformed> {
        self.scratch.now = now;
        let mut args = Args::new(request, fetched);
        let answer = self.call(call, &mut args, most).ok_or(Malformed("the host does not answer this call"))?;
        let (errno, bytes) = match answer {
            Ok(bytes) => (0, bytes),
            Err(Errno(errno)) => (errno, Vec::new()),
        };
        let head = u64::from(errno) | (bytes.len() as u64) << 32;
        Ok([&head.to_le_bytes()[..], &bytes].concat())
    }

    /// `None`: there is no such call here.
    fn call(&mut self, call: &HostCall, args: &mut Args<'_>, most: u32) -> Option<Result<Vec<u8>>> {
        let unstable = call.symbol.ends_with("_0");
        let done = |result: Result<()>| result.map(|()| Vec::new());
        Some(match call.call {
            Call::FdAdvise => {
                let (fd, _, _, advice) = (args.number(), args.long(), args.long(), args.number());
                done(if advice > 5 { Err(Errno::INVAL) } else { self.file(fd).map(drop) })
            }
            Call::FdAllocate => done(self.file(args.number()).and(Err(Errno::NOTSUP))),
            Call::FdClose => done(self.close(args.number())),
            Call::FdDatasync => done(self.sync(args.number(), true)),
            Call::FdSync => done(self.sync(args.number(), false)),
            Call::FdFdstatGet => self.fdstat(args.number()),
            Call::FdFdstatSetFlags => done(self.set_flags(args.number(), args.number())),
            Call::FdFdstatSetRights => done(self.get(args.number()).and(Err(Errno::NOTSUP))),
            Call::FdFilestatGet => self.stat(args.number()).map(|stat| stat.bytes(unstable)),
            Call::FdFilestatSetSize => done(self.set_size(args.number(), args.long())),
            Call::FdFilestatSetTimes => {
                let fd = args.number();
                let times = Times::new(args.long(), args.long(), args.number());
                done(times.and_then(|times| self.set_times(fd, times)))
            }
            Call::FdRead => self.read(args.number(), args.number().min(most) as usize, None),
            Call::FdPread => self.read(args.number(), args.number().min(most) as usize, Some(args.long())),
            Call::FdWrite => self.write(args.number(), &args.from(), None).map(count),
            Call::FdPwrite => {
                let (fd, bytes, at) = (args.number(), args.from(), args.long());
                self.write(fd, &bytes, Some(at)).map(count)
            }
            Call::FdPrestatGet => match self.get(args.number()) {
                Ok(Descriptor { name: Some(name), .. }) => Ok(((name.len() as u64) << 32).to_le_bytes().into()),
                _ => Err(Errno::BADF),
            },
            Call::FdPrestatDirName => {
                let (fd, bytes) = (args.number(), args.number());
                match self.get(fd) {
                    Ok(Descriptor { name: Some(name), .. }) if name.len() > bytes as usize => Err(Errno::NAMETOOLONG),
                    Ok(Descriptor { name: Some(name), .. }) => Ok(name.clone().into_bytes()),
                    Ok(_) => Err(Errno::NOTDIR),
                    Err(why) => Err(why),
                }
            }
            Call::FdReaddir => {
                let (fd, bytes) = (args.number(), args.number());
                self.read_entries(fd, bytes as usize, args.long())
            }
            Call::FdRenumber => done(self.renumber(args.number(), args.number(), args.number())),
            Call::FdSeek => {
                let (fd, offset, whence) = (args.number(), args.long() as i64, args.number());
                // Snapshot 0 counts from the present, from the end, from the start.
                let whence = if unstable { [1, 2, 0].get(whence as usize).copied().unwrap_or(3) } else { whence };
                self.seek(fd, offset, whence).map(|at| at.to_le_bytes().into())
            }
            Call::FdTell => self.file(args.number()).map(|open| open.position.to_le_bytes().into()),
            Call::PathOpen => self.path_open(args).map(|fd| fd.to_le_bytes().into()),
            Call::SockAccept | Call::SockRecv | Call::SockSend | Call::SockShutdown => {
                done(self.get(args.number()).and(Err(Errno::NOTSOCK)))
            }
            with_path => self.path(with_path, args, unstable)?,
        })
    }

    /// The other calls with paths.
    fn path(&mut self, call: Call, args: &mut Args<'_>, unstable: bool) -> Option<Result<Vec<u8>>> {
        // Whichever of its folders the call is about.
        if !matches!(call, Call::PathFilestatGet | Call::PathReadlink) {
            self.changed |= self.used.values().any(|open| open.name.is_some() && open.object.may_change());
        }
        let done = |result: Result<()>| result.map(|()| Vec::new());
        Some(match call {
            Call::PathFilestatGet => (|| {
                let (fd, look, path) = (args.number(), args.number(), args.path());
                let follow = follows(look)?;
                let stat = match self.folder(fd)? {
                    (Object::Folder(folder), _) => folder.stat(path?, follow),
                    (Object::ScratchFolder(inode), scratch) => scratch.stat_at(*inode, path?, follow),
                    _ => Err(Errno::BADF),
                };
                Ok(stat?.bytes(unstable))
            })(),
            Call::PathFilestatSetTimes => done((|| {
                let (fd, look, path) = (args.number(), args.number(), args.path());
                let times = Times::new(args.long(), args.long(), args.number())?;
                let follow = follows(look)?;
                match self.folder(fd)? {
                    (Object::Folder(folder), _) => folder.set_times(path?, follow, times),
                    (Object::ScratchFolder(inode), scratch) => scratch.set_times_at(*inode, path?, follow, times),
                    _ => Err(Errno::BADF),
                }
            })()),
            Call::PathReadlink => (|| {
                let (fd, path, bytes) = (args.number(), args.path(), args.number());
                let mut target = match self.folder(fd)? {
                    (Object::Folder(folder), _) => folder.read_link(path?)?,
                    (Object::ScratchFolder(inode), scratch) => scratch.read_link(*inode, path?)?,
                    _ => return Err(Errno::BADF),
                }
                .into_bytes();
                target.truncate(bytes as usize);
                Ok(target)
            })(),
            Call::PathCreateDirectory | Call::PathRemoveDirectory | Call::PathUnlinkFile => done((|| {
                let (fd, path) = (args.number(), args.path());
                match (call, self.folder(fd)?) {
                    (Call::PathCreateDirectory, (Object::Folder(folder), _)) => folder.create_directory(path?),
                    (Call::PathRemoveDirectory, (Object::Folder(folder), _)) => folder.remove_directory(path?),
                    (_, (Object::Folder(folder), _)) => folder.unlink(path?),
                    (Call::PathCreateDirectory, (Object::ScratchFolder(inode), s)) => s.create_directory(*inode, path?),
                    (Call::PathRemoveDirectory, (Object::ScratchFolder(inode), s)) => s.remove_directory(*inode, path?),
                    (_, (Object::ScratchFolder(inode), scratch)) => scratch.unlink(*inode, path?),
                    _ => Err(Errno::BADF),
                }
            })()),
            Call::PathSymlink => done((|| {
                let (target, fd, path) = (args.path(), args.number(), args.path());
                match self.folder(fd)? {
                    (Object::Folder(folder), _) => folder.symlink(target?, path?),
                    (Object::ScratchFolder(inode), scratch) => scratch.symlink(target?, *inode, path?),
                    _ => Err(Errno::BADF),
                }
            })()),
            Call::PathLink => done((|| {
                let (from, look, path, to, new) =
                    (args.number(), args.number(), args.path(), args.number(), args.path());
                let follow = follows(look)?;
                match self.folders(from, to)? {
                    (Object::Folder(from), Object::Folder(to), _) => from.link(path?, follow, to, new?),
                    (Object::ScratchFolder(from), Object::ScratchFolder(to), scratch) => {
                        scratch.link(*from, path?, follow, *to, new?)
                    }
                    (from, to, _) => Err(apart(from, to)),
                }
            })()),
            Call::PathRename => done((|| {
                let (from, path, to, new) = (args.number(), args.path(), args.number(), args.path());
                match self.folders(from, to)? {
                    (Object::Folder(from), Object::Folder(to), _) => from.rename(path?, to, new?),
                    (Object::ScratchFolder(from), Object::ScratchFolder(to), scratch) => {
                        scratch.rename(*from, path?, *to, new?)
                    }
                    (from, to, _) => Err(apart(from, to)),
                }
            })()),
            _ => return None,
        })
    }
}

impl Descriptor {
    fn new(object: Object) -> Self {
        Self {
            object,
            name: None,
            position: 0,
            read: true,
            write: false,
            append: false,
            nonblock: false,
            entries: None,
        }
    }
}

/// Why nothing goes from one folder to the other, of which one is on a disk and one in memory.
fn apart(from: &Object, to: &Object) -> Errno {
    let fixed = |object: &Object| matches!(object, Object::Folder(Folder { write: false, .. }));
    if fixed(from) || fixed(to) { Errno::PERM } else { Errno::XDEV }
}

/// Whether a path's last name may be a symbolic link that is followed.
fn follows(look: u32) -> Result<bool> {
    if look > 1 { Err(Errno::INVAL) } else { Ok(look == 1) }
}

fn count(bytes: usize) -> Vec<u8> {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes().into()
}
