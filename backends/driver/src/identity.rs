//! Parts of a [`DeviceInfo::identity`](crate::DeviceInfo::identity) that drivers share: whatever reaches a compiler and
//! changes its code belongs there, for programs are kept by it.

use std::ffi::{CStr, OsStr, c_void};
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The variables of the environment that are set, as ` NAME="value"` each.
pub fn variables(names: &[&str]) -> String {
    let set = names.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    set.fold(String::new(), |mut text, (name, value)| {
        // Escaped, so that no value looks like another variable.
        _ = write!(text, " {name}={value:?}");
        text
    })
}

/// The file that a function's code came from, by its address, after symbolic links, if the dynamic loader knows.
pub fn origin(code: usize) -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for, and a local that dladdr fills with texts that live as long as that code.
    let path = unsafe {
        match libc::dladdr(code as *const c_void, info.as_mut_ptr()) {
            0 => return None,
            _ => CStr::from_ptr(info.assume_init().dli_fname),
        }
    };
    Path::new(OsStr::from_bytes(path.to_bytes())).canonicalize().ok()
}

/// Name, size and time of change of the file that a function's code came from: a vendor's library tells only a part of
/// its version.
pub fn library(code: usize) -> String {
    let facts = origin(code).and_then(|path| {
        let about = path.metadata().ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(format!("{name} {} {}.{}", about.len(), about.mtime(), about.mtime_nsec()))
    });
    facts.unwrap_or_else(|| "unknown".into())
}

/// FNV-1a of a long text: the same in every build of a driver, which the standard library's hasher does not promise.
pub fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_told() {
        let told = variables(&["PATH", "VECTORVISOR_IS_NOT_SET"]);
        assert!(told.starts_with(" PATH=\"") && !told.contains("NOT_SET"), "{told}");
    }

    #[test]
    fn a_library_is_told_by_its_file() {
        let told = library(libc::getpid as *const () as usize);
        assert!(told.starts_with("libc") && told.split(' ').count() == 3, "{told}");
        assert_eq!(library(0), "unknown");
    }
}
