//! Whether other users of the system could change a file or a folder. The process runs code that it loads from there,
//! so only this user and root may change it.
//!
//! The rules are those of ssh and sudo: the owner is this user or root, and group and others may not write. Every
//! folder on the path counts, since a user who may rename entries in one of them can replace the rest of the path. In a
//! folder with the sticky bit (`/tmp`) users may rename only what belongs to them.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// The most symbolic links in a path, as in Linux.
const MAX_LINKS: usize = 40;
/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// Search permission of group and others: to reach what is in a folder.
const OTHERS_SEARCH: u32 = 0o011;
const STICKY: u32 = 0o1000;

/// Checks a folder and every folder and symbolic link on the path to it. Returns whether it exists: a missing folder is
/// trusted if the folder that it would be made in is.
///
/// # Errors
/// One line: which other user could change what is in it, and what to do.
pub fn folder(path: &Path) -> Result<bool, String> {
    let absolute =
        std::path::absolute(path).map_err(|error| format!("{} has no absolute path: {error}", path.display()))?;
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    // The components that are still to be checked, the next one last.
    let mut ahead = components(&absolute);
    // The depth of the folder that others cannot search, if there is one: what is below it is out of their reach.
    let mut private = check(&here, &metadata(&here)?, false)?.then_some(1);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            here.pop();
            private = private.filter(|depth| *depth <= here.components().count());
            continue;
        }
        let next = here.join(&name);
        let metadata = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(format!("{} cannot be looked at: {error}", next.display())),
        };
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(format!("{} has too many symbolic links", path.display()));
            }
            if private.is_none() {
                owned(&next, &metadata)?;
            }
            let target = fs::read_link(&next).map_err(|error| format!("{} cannot be read: {error}", next.display()))?;
            if target.is_absolute() {
                (here, private) = (PathBuf::from("/"), None);
            }
            ahead.extend(components(&target));
        } else if metadata.is_dir() {
            if private.is_none() && check(&next, &metadata, false)? {
                private = Some(next.components().count());
            }
            here = next;
        } else {
            return Err(format!("{} is no folder", next.display()));
        }
    }
    check(&here, &metadata(&here)?, true).map(|_| true)
}

/// The names of a path, the first one last.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    names.collect::<Vec<_>>().into_iter().rev().collect()
}

fn metadata(path: &Path) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()))
}

/// Checks one folder of a path; the `last` one must not be sticky either, since others can make new files in it.
/// Returns whether others cannot search it, so that what is in it is out of their reach.
fn check(path: &Path, metadata: &Metadata, last: bool) -> Result<bool, String> {
    owned(path, metadata)?;
    if metadata.mode() & OTHERS_WRITE != 0 && (last || metadata.mode() & STICKY == 0) {
        return Err(writable(path, metadata));
    }
    Ok(metadata.mode() & OTHERS_SEARCH == 0)
}

/// Checks that a file or folder belongs to this user or root.
pub(crate) fn owned(path: &Path, metadata: &Metadata) -> Result<(), String> {
    match metadata.uid() {
        uid if uid == me() || uid == 0 => Ok(()),
        uid => Err(format!("{} belongs to user {uid}, not to you (user {})", path.display(), me())),
    }
}

/// Who may write to a file or folder, and what to do.
fn writable(path: &Path, metadata: &Metadata) -> String {
    let mode = metadata.mode() & 0o7777;
    let (who, bits) = match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (true, false) => (format!("group {}", metadata.gid()), "g-w"),
        (false, true) => ("every user".into(), "o-w"),
        _ => ("every user".into(), "go-w"),
    };
    let what = format!("{who} may write to {} (mode {mode:04o})", path.display());
    match me() {
        me if me == metadata.uid() || me == 0 => format!("{what}; to change that: chmod {bits} {}", path.display()),
        _ => format!("{what}, which only its owner (user {}) can change", metadata.uid()),
    }
}

fn me() -> u32 {
    // SAFETY: no arguments, and it cannot fail.
    unsafe { libc::geteuid() }
}

/// Checks a file by its metadata: it must be a regular file, of this user or root, that no other user may write to.
///
/// # Errors
/// As [`folder`].
pub fn file(path: &Path, metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    owned(path, metadata)?;
    if metadata.mode() & OTHERS_WRITE != 0 { Err(writable(path, metadata)) } else { Ok(()) }
}

/// Checks a file beside the program, which must be as hard to change as the program itself: not everybody may write to
/// it or to its folder, and it belongs to this user, root, or the program's owner. A group may write: a group that
/// installs programs can change the program too.
///
/// # Errors
/// As [`folder`].
pub fn beside_program(path: &Path) -> Result<(), String> {
    const EVERYBODY_WRITES: u32 = 0o002;
    let metadata =
        |path: &Path| fs::metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()));
    let program = std::env::current_exe().and_then(fs::metadata).map(|metadata| metadata.uid());
    let (parent, file) = (path.parent().unwrap_or(Path::new("/")), metadata(path)?);
    let folder = metadata(parent)?;
    if folder.mode() & EVERYBODY_WRITES != 0 && folder.mode() & STICKY == 0 {
        return Err(writable(parent, &folder));
    }
    if file.mode() & EVERYBODY_WRITES != 0 {
        return Err(writable(path, &file));
    }
    if program.is_ok_and(|owner| owner == file.uid()) { Ok(()) } else { owned(path, &file) }
}

/// Opens a file of a trusted folder for reading, if [`file()`] trusts it too; a symbolic link is refused.
///
/// # Errors
/// The system's, or [`io::ErrorKind::PermissionDenied`] with the reason.
pub fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: opening a pipe would wait for its other end.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    file(path, &opened.metadata()?).map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))?;
    Ok(opened)
}

/// Makes a folder and its missing parents for this user alone, if it does not exist, and checks it.
///
/// # Errors
/// The system's, or [`io::ErrorKind::PermissionDenied`] if it is not to be trusted.
pub fn create(path: &Path) -> io::Result<()> {
    if !path.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    }
    folder(path).map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// A folder that others can search, as `/tmp` itself, so that what is in it is checked.
    fn open_folder() -> tempfile::TempDir {
        let temp = tempfile::tempdir().expect("a folder");
        mode(temp.path(), 0o755);
        temp
    }

    #[test]
    fn a_folder_is_ours_alone() {
        let temp = open_folder();
        let path = temp.path().join("cache");
        assert_eq!(folder(&path), Ok(false));
        create(&path).expect("made");
        assert_eq!(metadata(&path).expect("metadata").mode() & 0o7777, 0o700);
        for good in [0o700, 0o755, 0o500] {
            mode(&path, good);
            assert_eq!(folder(&path), Ok(true), "{good:o}");
        }
        // Sticky does not help: others could still put files there.
        for bad in [0o777, 0o775, 0o757, 0o720, 0o702, 0o1777] {
            mode(&path, bad);
            let why = folder(&path).expect_err("others may write");
            let bits = match bad & 0o022 {
                0o020 => "g-w",
                0o002 => "o-w",
                _ => "go-w",
            };
            assert!(why.contains(&format!("chmod {bits} {}", path.display())) && !why.contains('\n'), "{why}");
            assert!(why.contains(if bits == "g-w" { "group " } else { "every user" }), "{why}");
            assert!(create(&path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied));
        }
        let file = temp.path().join("file");
        fs::write(&file, b"").expect("a file");
        assert!(folder(&file).is_err_and(|why| why.contains("no folder")));
    }

    #[test]
    fn folders_on_the_way_count() {
        let temp = open_folder();
        let (outer, inner) = (temp.path().join("outer"), temp.path().join("outer/inner"));
        create(&inner).expect("made");
        mode(&outer, 0o777);
        for path in [&inner, &outer.join("missing")] {
            let why = folder(path).expect_err("others may rename");
            assert!(why.contains(&format!("chmod go-w {}", outer.display())), "{why}");
        }
        mode(&outer, 0o1777);
        assert_eq!(folder(&inner), Ok(true), "nobody renames what belongs to others in a sticky folder");
        // Others cannot reach the folder that they could write to.
        mode(&outer, 0o777);
        mode(temp.path(), 0o700);
        assert_eq!(folder(&inner), Ok(true));
        assert_eq!(folder(&outer.join("../outer/./inner")), Ok(true));
        assert!(
            folder(&inner.join("..")).is_err_and(|why| why.contains("chmod")),
            "the folder itself is looked at in any case"
        );
    }

    #[test]
    fn links_are_followed() {
        let temp = open_folder();
        let at = |name: &str| temp.path().join(name);
        for name in ["good", "bad", "bad/inner"] {
            create(&at(name)).expect("made");
        }
        mode(&at("bad"), 0o777);
        symlink(at("good"), at("to-good")).expect("a link");
        symlink("bad/inner", at("to-bad")).expect("a link");
        symlink("loop", at("loop")).expect("a link");
        // Where others may change the link, its present target says nothing.
        symlink(at("good"), at("bad/link")).expect("a link");
        assert_eq!(folder(&at("to-good")), Ok(true));
        assert!(folder(&at("to-bad")).is_err_and(|why| why.contains("chmod go-w")));
        assert!(folder(&at("bad/link")).is_err_and(|why| why.contains("chmod go-w")));
        assert!(folder(&at("loop")).is_err_and(|why| why.contains("symbolic links")));
    }

    #[test]
    fn files_are_ours_and_plain() {
        let temp = tempfile::tempdir().expect("a folder");
        let path = temp.path().join("file");
        fs::write(&path, b"x").expect("a file");
        for (bits, good) in [(0o600, true), (0o644, true), (0o666, false), (0o620, false)] {
            mode(&path, bits);
            assert_eq!(open(&path).is_ok(), good, "{bits:o}");
        }
        mode(&path, 0o600);
        let link = temp.path().join("link");
        symlink(&path, &link).expect("a link");
        assert!(open(&link).is_err(), "a link is no file of ours");
        assert!(open(temp.path()).is_err(), "a folder is no file");
        assert!(open(&temp.path().join("missing")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    }

    /// Only root can give files away.
    #[test]
    fn what_belongs_to_others_is_not_trusted() {
        if me() != 0 {
            return println!("skipped: only root can give files away");
        }
        let temp = open_folder();
        let (path, file) = (temp.path().join("cache"), temp.path().join("cache/file"));
        create(&path).expect("made");
        fs::write(&file, b"x").expect("a file");
        lchown(&file, Some(12345), None).expect("given away");
        assert!(open(&file).is_err_and(|error| error.to_string().contains("belongs to user 12345")));
        lchown(&path, Some(12345), None).expect("given away");
        assert!(folder(&path).is_err_and(|why| why.contains("belongs to user 12345, not to you (user 0)")));
        let link = temp.path().join("link");
        symlink("/", &link).expect("a link");
        lchown(&link, Some(12345), None).expect("given away");
        assert!(folder(&link).is_err_and(|why| why.contains("belongs to user 12345")));
    }
}
