//! The disk cache: small files named by a hash of what they depend on, each with a checksum.
//!
//! `meta-KEY` (KEY = hash of module, options, translator and device) holds what the runtime must know about a program and
//! the key of its binary; `bin-KEY` (KEY = hash of the kernel text and the device) holds the compiled binary. What runs
//! found out: `unaligned-KEY` (KEY = hash of the module) says that a program needs [`crate::Alignment::Any`], `tuning-KEY` (KEY as for
//! `meta`, of the default) what a trial chose ([`crate::Tuning`]). A cache never makes a run fail: a damaged entry counts as
//! missing, and what cannot be written is a warning.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where compiled programs are kept.
///
/// ```
/// let policy = vectorvisor::CachePolicy::Dir("build/kernels".into());
/// assert_eq!(policy.dir(), Some("build/kernels".into()));
/// assert_eq!(vectorvisor::CachePolicy::Off.dir(), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// In the platform's cache folder.
    #[default]
    Default,
    /// In this folder.
    Dir(PathBuf),
    /// Nowhere.
    Off,
}

impl CachePolicy {
    /// The folder, if there is one.
    pub fn dir(&self) -> Option<PathBuf> {
        match self {
            Self::Default => directories::ProjectDirs::from("", "", "vectorvisor").map(|d| d.cache_dir().to_path_buf()),
            Self::Dir(path) => Some(path.clone()),
            Self::Off => None,
        }
    }
}

/// The name of an entry.
pub type Key = [u8; 32];

/// Hashes parts so that no two lists of parts run together.
pub fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Changes when the form of entries does.
const MAGIC: &[u8; 8] = b"VVCACHE1";
const HEAD: usize = MAGIC.len() + 32;

/// An open cache folder.
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache of a policy, or `None` if it is off or the platform has no cache folder.
    pub fn open(policy: &CachePolicy) -> Option<Self> {
        policy.dir().map(|dir| Self { dir })
    }

    fn path(&self, kind: &str, key: &Key) -> PathBuf {
        self.dir.join(format!("{kind}-{}", blake3::Hash::from_bytes(*key).to_hex()))
    }

    /// An entry's bytes; missing, unreadable and damaged are all `None`.
    pub fn get(&self, kind: &str, key: &Key) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(kind, key)).ok()?;
        if bytes.len() < HEAD || &bytes[..MAGIC.len()] != MAGIC {
            return None;
        }
        let sum = blake3::hash(&bytes[HEAD..]);
        if sum.as_bytes()[..] != bytes[MAGIC.len()..HEAD] {
            return None;
        }
        bytes.drain(..HEAD);
        Some(bytes)
    }

    /// Writes an entry: whole or not at all, also beside other processes. Returns a warning if it could not.
    pub fn put(&self, kind: &str, key: &Key, bytes: &[u8]) -> Result<(), String> {
        self.write(&self.path(kind, key), bytes).map_err(|error| {
            format!("cannot write to the cache folder {}: {error}; the program will be compiled again next time (choose another folder with --cache-dir)", self.dir.display())
        })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(blake3::hash(bytes).as_bytes())?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> io::Result<(tempfile::TempDir, Cache)> {
        let dir = tempfile::tempdir()?;
        let cache = Cache { dir: dir.path().join("a").join("b") };
        Ok((dir, cache))
    }

    #[test]
    fn entries_come_back() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, cache) = cache()?;
        let key = key(&[b"one"]);
        assert_eq!(cache.get("bin", &key), None);
        cache.put("bin", &key, b"hello")?;
        assert_eq!(cache.get("bin", &key).as_deref(), Some(&b"hello"[..]));
        assert_eq!(cache.get("meta", &key), None);
        cache.put("bin", &key, b"")?;
        assert_eq!(cache.get("bin", &key).as_deref(), Some(&b""[..]));
        Ok(())
    }

    #[test]
    fn damage_counts_as_missing() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, cache) = cache()?;
        let key = key(&[b"one"]);
        cache.put("bin", &key, b"hello")?;
        let path = cache.path("bin", &key);
        let whole = fs::read(&path)?;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes)?;
            assert_eq!(cache.get("bin", &key), None, "byte {at} flipped");
            fs::write(&path, &whole[..at])?;
            assert_eq!(cache.get("bin", &key), None, "cut at {at}");
        }
        Ok(())
    }

    #[test]
    fn a_folder_that_cannot_be_is_a_warning() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("file");
        fs::write(&file, b"in the way")?;
        let cache = Cache { dir: file };
        let warning = cache.put("bin", &key(&[]), b"x").err().unwrap_or_default();
        assert!(warning.contains("cannot write"), "{warning}");
        Ok(())
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"a"]), key(&[b"a", b""]));
    }
}
