//! Whether other users of the system could change a file or a folder. Code that is loaded from there is run, so only
//! this user and root may.
//!
//! As ssh and sudo look at their files: an owner, and no right to write for group and others. Every folder on the way
//! counts, since whoever may rename in one of them puts another in its place; in one with the sticky bit (`/tmp`)
//! nobody may rename what belongs to others.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// No path has more symbolic links, as in the kernel.
const LINKS: usize = 40;
/// The right to write of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// The right to pass of group and others.
const OTHERS_PASS: u32 = 0o011;
const STICKY: u32 = 0o1000;

/// Looks at a folder and at all on the way to it, symbolic links included. Returns whether it is there: a missing one
/// is trusted if the folder that it would lie in is.
///
/// # Errors
/// Who could change what is in it, and what to do: one line.
pub fn folder(path: &Path) -> Result<bool, String> {
    let absolute = std::path::absolute(path).map_err(|error| format!("{} has no place: {error}", path.display()))?;
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    // The components that are still to be walked, the next one last.
    let mut ahead = components(&absolute);
    // How deep on the way the folder lies that nobody else can pass: what is below it is out of their reach.
    let mut closed = look(&here, &facts(&here)?, false)?.then_some(1);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            here.pop();
            closed = closed.filter(|depth| *depth <= here.components().count());
            continue;
        }
        let next = here.join(&name);
        let about = match fs::symlink_metadata(&next) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(format!("{} cannot be looked at: {error}", next.display())),
        };
        if about.is_symlink() {
            links += 1;
            if links > LINKS {
                return Err(format!("{} has too many symbolic links", path.display()));
            }
            if closed.is_none() {
                owned(&next, &about)?;
            }
            let target = fs::read_link(&next).map_err(|error| format!("{} cannot be read: {error}", next.display()))?;
            if target.is_absolute() {
                (here, closed) = (PathBuf::from("/"), None);
            }
            ahead.extend(components(&target));
        } else if about.is_dir() {
            if closed.is_none() && look(&next, &about, false)? {
                closed = Some(next.components().count());
            }
            here = next;
        } else {
            return Err(format!("{} is no folder", next.display()));
        }
    }
    look(&here, &facts(&here)?, true).map(|_| true)
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

fn facts(path: &Path) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()))
}

/// Looks at a folder, which is the one that is asked for if it is the `last`. Returns whether nobody else can pass
/// through it, so that what lies in it is out of others' reach.
fn look(path: &Path, about: &Metadata, last: bool) -> Result<bool, String> {
    owned(path, about)?;
    // Others may make new files in a sticky folder.
    if about.mode() & OTHERS_WRITE != 0 && (last || about.mode() & STICKY == 0) {
        return Err(writable(path, about));
    }
    Ok(about.mode() & OTHERS_PASS == 0)
}

fn owned(path: &Path, about: &Metadata) -> Result<(), String> {
    match about.uid() {
        uid if uid == me() || uid == 0 => Ok(()),
        uid => Err(format!("{} belongs to user {uid}, not to you (user {})", path.display(), me())),
    }
}

fn writable(path: &Path, about: &Metadata) -> String {
    let mode = about.mode() & 0o7777;
    format!("others may write to {0} (mode {mode:04o}); to change that: chmod go-w {0}", path.display())
}

fn me() -> u32 {
    // SAFETY: no arguments, and it cannot fail.
    unsafe { libc::geteuid() }
}

/// Looks at a file by its facts: a regular one, of this user or root, that nobody else may write.
///
/// # Errors
/// As [`folder`].
pub fn file(path: &Path, about: &Metadata) -> Result<(), String> {
    if !about.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    owned(path, about)?;
    if about.mode() & OTHERS_WRITE != 0 { Err(writable(path, about)) } else { Ok(()) }
}

/// Looks at a file that is found by its place beside the program, and so should be as hard to change as that: not
/// everybody may write it or put it there, and it belongs to this user, root, or the program's owner. A group may: it
/// may change the program too.
///
/// # Errors
/// As [`folder`].
pub fn beside_program(path: &Path) -> Result<(), String> {
    const EVERYBODY_WRITES: u32 = 0o002;
    let about =
        |path: &Path| fs::metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()));
    let program = std::env::current_exe().and_then(fs::metadata).map(|about| about.uid());
    let (parent, file) = (path.parent().unwrap_or(Path::new("/")), about(path)?);
    let folder = about(parent)?;
    if folder.mode() & EVERYBODY_WRITES != 0 && folder.mode() & STICKY == 0 {
        return Err(writable(parent, &folder));
    }
    if file.mode() & EVERYBODY_WRITES != 0 {
        return Err(writable(path, &file));
    }
    if program.is_ok_and(|owner| owner == file.uid()) { Ok(()) } else { owned(path, &file) }
}

/// Opens a file of a trusted folder to read it, if it is to be trusted too; a symbolic link is not.
///
/// # Errors
/// The system's, or [`io::ErrorKind::PermissionDenied`] with the reason.
pub fn open(path: &Path) -> io::Result<File> {
    // A pipe would wait for its other end.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    file(path, &opened.metadata()?).map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))?;
    Ok(opened)
}

/// Makes a folder, and those that it lies in, for this user alone, if it is not there.
///
/// # Errors
/// The system's, or [`io::ErrorKind::PermissionDenied`] if somebody else was quicker.
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

    /// Reachable for others, as `/tmp` itself is, so that what lies in it is looked at.
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
        assert_eq!(facts(&path).expect("facts").mode() & 0o7777, 0o700);
        for good in [0o700, 0o755, 0o500] {
            mode(&path, good);
            assert_eq!(folder(&path), Ok(true), "{good:o}");
        }
        // Sticky does not help: others could still put files there.
        for bad in [0o777, 0o775, 0o757, 0o720, 0o702, 0o1777] {
            mode(&path, bad);
            let why = folder(&path).expect_err("others may write");
            assert!(why.contains(&format!("chmod go-w {}", path.display())) && !why.contains('\n'), "{why}");
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
        // Nobody else comes as far as the folder that others could write.
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
