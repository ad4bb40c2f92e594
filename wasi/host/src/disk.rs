//! Folders of the host. Every path is resolved below an open folder by `cap-primitives`: `..`, symbolic links and absolute
//! paths do not lead out of it, whatever others do to the folder meanwhile.

use crate::errno::{Errno, Result};
use crate::stat::{Entry, How, Kind, Stat, Times};
use cap_primitives::fs::{
    self, DirOptions, FileTypeExt, FollowSymlinks, Metadata, MetadataExt, OpenOptions, OpenOptionsExt as _,
};
use cap_primitives::time::SystemTime;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder {
    pub dir: Arc<File>,
    /// Guests may change what is in it.
    pub write: bool,
}

/// What a path named.
pub enum Opened {
    Folder(Folder),
    File(File),
}

fn follows(follow: bool) -> FollowSymlinks {
    if follow { FollowSymlinks::Yes } else { FollowSymlinks::No }
}

impl Folder {
    fn may_write(&self) -> Result<()> {
        if self.write { Ok(()) } else { Err(Errno::PERM) }
    }

    pub fn open(&self, path: &str, follow: bool, how: How) -> Result<Opened> {
        if how.writes() {
            self.may_write()?;
        }
        let mut options = OpenOptions::new();
        options.read(how.reads()).write(how.writes()).truncate(how.truncate);
        match (how.create, how.exclusive) {
            (true, true) => _ = options.create_new(true),
            (create, _) => _ = options.create(create),
        }
        options._cap_fs_ext_follow(follows(follow));
        let file = fs::open(&self.dir, Path::new(path), &options)?;
        if Metadata::from_file(&file)?.is_dir() {
            Ok(Opened::Folder(Self { dir: Arc::new(file), write: self.write }))
        } else if how.directory {
            Err(Errno::NOTDIR)
        } else {
            Ok(Opened::File(file))
        }
    }

    /// Opens a file or folder in it for reading, but no symbolic link. Nothing waits for what is no usual file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true)._cap_fs_ext_follow(FollowSymlinks::No);
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        Ok(fs::open(&self.dir, path.as_ref(), &options)?)
    }

    pub fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        Ok(of(&fs::stat(&self.dir, Path::new(path), follows(follow))?))
    }

    pub fn create_directory(&self, path: &str) -> Result<()> {
        self.may_write()?;
        Ok(fs::create_dir(&self.dir, Path::new(path), &DirOptions::new())?)
    }

    pub fn remove_directory(&self, path: &str) -> Result<()> {
        self.may_write()?;
        Ok(fs::remove_dir(&self.dir, Path::new(path))?)
    }

    pub fn unlink(&self, path: &str) -> Result<()> {
        self.may_write()?;
        Ok(fs::remove_file(&self.dir, Path::new(path))?)
    }

    pub fn read_link(&self, path: &str) -> Result<String> {
        fs::read_link(&self.dir, Path::new(path))?.into_os_string().into_string().map_err(|_| Errno::ILSEQ)
    }

    pub fn symlink(&self, target: &str, path: &str) -> Result<()> {
        self.may_write()?;
        Ok(fs::symlink(Path::new(target), &self.dir, Path::new(path))?)
    }

    pub fn link(&self, path: &str, follow: bool, to: &Self, new: &str) -> Result<()> {
        self.may_write()?;
        to.may_write()?;
        if follow {
            return Err(Errno::INVAL);
        }
        Ok(fs::hard_link(&self.dir, Path::new(path), &to.dir, Path::new(new))?)
    }

    pub fn rename(&self, path: &str, to: &Self, new: &str) -> Result<()> {
        self.may_write()?;
        to.may_write()?;
        Ok(fs::rename(&self.dir, Path::new(path), &to.dir, Path::new(new))?)
    }

    pub fn set_times(&self, path: &str, follow: bool, times: Times) -> Result<()> {
        self.may_write()?;
        let spec = |time: Option<Option<u64>>| {
            time.map(|time| match time {
                Some(time) => fs::SystemTimeSpec::Absolute(SystemTime::from_std(system(time))),
                None => fs::SystemTimeSpec::SymbolicNow,
            })
        };
        let set = if follow { fs::set_times } else { fs::set_times_nofollow };
        Ok(set(&self.dir, Path::new(path), spec(times.accessed), spec(times.modified))?)
    }

    pub fn set_own_times(&self, times: Times) -> Result<()> {
        self.may_write()?;
        set_times(&self.dir, times)
    }

    /// Its entries, by name, so that a guest sees them in the same order everywhere.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_base_dir(&self.dir)? {
            let entry = entry?;
            let stat = of(&entry.metadata()?);
            let name = entry.file_name().into_string().map_err(|_| Errno::ILSEQ)?;
            entries.push(Entry { name, inode: stat.inode, kind: stat.kind });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

fn system(time: u64) -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(time)
}

/// What there is to know of an open file or folder.
pub fn stat(file: &File) -> Result<Stat> {
    Ok(of(&Metadata::from_file(file)?))
}

fn of(about: &Metadata) -> Stat {
    let kind = about.file_type();
    let mut hasher = DefaultHasher::new();
    (about.dev(), about.ino()).hash(&mut hasher);
    let time = |seconds: i64, nanoseconds: i64| {
        u64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)).unwrap_or(0)
    };
    Stat {
        inode: hasher.finish(),
        kind: match kind {
            _ if kind.is_dir() => Kind::Directory,
            _ if kind.is_symlink() => Kind::Link,
            _ if kind.is_file() => Kind::File,
            _ if kind.is_block_device() => Kind::BlockDevice,
            _ if kind.is_char_device() => Kind::CharacterDevice,
            _ => Kind::Unknown,
        },
        links: about.nlink(),
        size: about.len(),
        accessed: time(about.atime(), about.atime_nsec()),
        modified: time(about.mtime(), about.mtime_nsec()),
        changed: time(about.ctime(), about.ctime_nsec()),
    }
}

/// Sets the times of an open file or folder.
pub fn set_times(file: &File, times: Times) -> Result<()> {
    let mut all = std::fs::FileTimes::new();
    let time = |time: Option<u64>| time.map_or_else(std::time::SystemTime::now, system);
    if let Some(accessed) = times.accessed {
        all = all.set_accessed(time(accessed));
    }
    if let Some(modified) = times.modified {
        all = all.set_modified(time(modified));
    }
    Ok(file.set_times(all)?)
}

/// Fills the buffer from a place in a file; less only at its end.
pub fn read(file: &File, mut buffer: &mut [u8], mut at: u64) -> Result<usize> {
    let all = buffer.len();
    while !buffer.is_empty() {
        match file.read_at(buffer, at) {
            Ok(0) => break,
            Ok(n) => {
                buffer = &mut buffer[n..];
                at = at.saturating_add(n as u64);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            // What was read before counts, and the next call fails.
            Err(_) if buffer.len() < all => break,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(all - buffer.len())
}

/// Writes at a place in a file, or at its end.
pub fn write(file: &File, bytes: &[u8], at: Option<u64>) -> Result<usize> {
    let Some(at) = at else {
        // Atomic also where other VMs append to the same file.
        let parts = [std::io::IoSlice::new(bytes)];
        #[cfg(target_os = "linux")]
        match rustix::io::pwritev2(file, &parts, 0, rustix::io::ReadWriteFlags::APPEND) {
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
            result => return Ok(result.map_err(std::io::Error::from)?),
        }
        return Ok(file.write_at(bytes, file.metadata()?.len())?);
    };
    Ok(file.write_at(bytes, at)?)
}
