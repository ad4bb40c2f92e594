//! Parts of a [`DeviceInfo::identity`](crate::DeviceInfo::identity) that drivers share. Whatever changes the code that
//! a compiler makes belongs into the identity, since the cache keeps compiled programs by it.

use std::ffi::{CStr, OsStr, c_void};
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Those of the environment variables `names` that are set, as ` NAME="value"` each.
pub fn variables(names: &[&str]) -> String {
    let set = names.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    set.fold(String::new(), |mut text, (name, value)| {
        // Escaped, so that no value looks like another variable.
        _ = write!(text, " {name}={value:?}");
        text
    })
}

/// The file that the code at this address was loaded from, with symbolic links resolved, if the dynamic loader knows
/// it.
pub fn origin(code: usize) -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr takes any address and fills the local; the name lives as long as the library.
    let path = unsafe {
        match libc::dladdr(code as *const c_void, info.as_mut_ptr()) {
            0 => return None,
            _ => CStr::from_ptr(info.assume_init().dli_fname),
        }
    };
    Path::new(OsStr::from_bytes(path.to_bytes())).canonicalize().ok()
}

/// Name, size and modification time of the file that the code at this address was loaded from: more exact than the
/// version that a vendor's library reports, which many releases share.
pub fn library(code: usize) -> String {
    let file = origin(code).and_then(|path| {
        let metadata = path.metadata().ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(format!("{name} {} {}.{}", metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    });
    file.unwrap_or_else(|| "unknown".into())
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
    fn only_set_variables_are_listed() {
        let text = variables(&["PATH", "VECTORVISOR_IS_NOT_SET"]);
        assert!(text.starts_with(" PATH=\"") && !text.contains("NOT_SET"), "{text}");
    }

    #[test]
    fn a_library_is_named_by_its_file() {
        let text = library(libc::getpid as *const () as usize);
        assert!(text.starts_with("libc") && text.split(' ').count() == 3, "{text}");
        assert_eq!(library(0), "unknown");
    }
}
