//! A folder for temporary files that this process executes or gives to a compiler.

use crate::trust;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A new folder, removed when this is dropped. Only this user and root reach what is in it.
pub struct Temporary {
    path: PathBuf,
    /// Open as long as the path leads through it.
    _open: Option<File>,
    _folder: TempDir,
}

impl Temporary {
    /// Makes one in the system's folder for temporary files.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::PermissionDenied`] if other users could put another folder in its place.
    pub fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        let permissions = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("vectorvisor-").permissions(permissions).tempdir_in(parent);
        let folder = folder.map_err(|error| {
            let why = "cannot make a folder for temporary files";
            io::Error::new(error.kind(), format!("{why} in {}, which TMPDIR can change: {error}", parent.display()))
        })?;
        let Err(why) = trust::folder(folder.path()) else {
            return Ok(Self { path: folder.path().to_path_buf(), _open: None, _folder: folder });
        };
        // Others may rename entries of a parent, as in a container's /tmp without the sticky bit. What is in a folder
        // of ours they still cannot change, so a path through the open folder is safe.
        let (open, path) = descriptor(folder.path()).ok_or_else(|| {
            let why = format!("others could exchange the files: {why}; or name another folder in TMPDIR");
            io::Error::new(io::ErrorKind::PermissionDenied, why)
        })?;
        Ok(Self { path, _open: Some(open), _folder: folder })
    }

    /// The folder's path, for this process and those that it starts.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens a folder that is this user's alone and empty, and gives a path through its descriptor; `None` where the system
/// has no such paths.
fn descriptor(folder: &Path) -> Option<(File, PathBuf)> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let open = OpenOptions::new().read(true).custom_flags(flags).open(folder).ok()?;
    // By its number, since a compiler that goes through `self` would look among its own descriptors.
    let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), open.as_raw_fd()));
    let (ours, reached) = (open.metadata().ok()?, fs::metadata(&path).ok()?);
    let private = trust::owned(folder, &ours).is_ok() && ours.mode() & 0o077 == 0;
    let same = (ours.dev(), ours.ino()) == (reached.dev(), reached.ino());
    // Whatever is in it now could be in place of what will be written.
    let empty = fs::read_dir(&path).ok()?.next().is_none();
    (private && same && empty).then_some((open, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(mode: u32) -> io::Result<TempDir> {
        let parent = tempfile::tempdir()?;
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755))?;
        fs::create_dir(parent.path().join("tmp"))?;
        fs::set_permissions(parent.path().join("tmp"), Permissions::from_mode(mode))?;
        Ok(parent)
    }

    #[test]
    fn only_its_user_enters_it() -> io::Result<()> {
        for (mode, plain) in [(0o1777, true), (0o755, true), (0o777, false), (0o775, false)] {
            let parent = parent(mode)?;
            let temporary = Temporary::new_in(&parent.path().join("tmp"))?;
            assert_eq!(temporary.path().starts_with(parent.path()), plain, "{mode:o}: {:?}", temporary.path());
            assert_eq!(fs::metadata(temporary.path())?.mode() & 0o777, 0o700);
            drop(temporary);
            assert_eq!(fs::read_dir(parent.path().join("tmp"))?.count(), 0);
        }
        Ok(())
    }

    #[test]
    fn a_folder_in_its_place_is_not_read() -> io::Result<()> {
        let parent = parent(0o777)?;
        let at = |name: &str| parent.path().join("tmp").join(name);
        let temporary = Temporary::new_in(&at(""))?;
        fs::write(temporary.path().join("file"), "ours")?;
        let name = fs::read_dir(at(""))?.next().ok_or(io::ErrorKind::NotFound)??.file_name();
        let name = name.to_string_lossy();
        fs::rename(at(&name), at("away"))?;
        fs::create_dir(at(&name))?;
        fs::write(at(&name).join("file"), "theirs")?;
        assert_eq!(fs::read_to_string(temporary.path().join("file"))?, "ours");
        Ok(())
    }

    #[test]
    fn what_is_not_empty_or_not_private_is_not_taken() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
        assert!(descriptor(folder.path()).is_some());
        fs::set_permissions(folder.path(), Permissions::from_mode(0o710))?;
        assert!(descriptor(folder.path()).is_none());
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
        fs::write(folder.path().join("file"), "")?;
        assert!(descriptor(folder.path()).is_none());
        Ok(())
    }
}
