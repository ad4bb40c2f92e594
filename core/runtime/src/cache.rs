//! The disk cache: small files named by a hash of what they depend on, each with a checksum.
//!
//! Entries are executed, and only their names identify them. So the folder and its files must belong to this user or
//! root, and nobody else may be able to write to them ([`trust`]); otherwise the cache is not used.
//!
//! `meta-KEY` (KEY = hash of module, options, translator and device) holds what the runtime must know about a program
//! and the key of its binary; `bin-KEY` (KEY = hash of the kernel text and the device) holds the milliseconds that
//! compiling took, and the compiled binary. Three kinds hold what runs found out: `unaligned-KEY` (KEY = hash of the
//! module) says that a program needs [`crate::Alignment::Any`]; `unshared-KEY` (KEY likewise) that it may store into
//! what [`crate::Opt::SharedData`] would share; `tuning-KEY` (KEY as for `meta`, with the default tuning) what
//! autotuning chose ([`crate::Tuning`]). A cache never makes a run fail: a damaged entry counts as missing, and what
//! cannot be written is a warning.
//!
//! A file's modification time is the time of its last use. Each write of an entry is followed by evicting the least
//! recently used entries until the rest is within the limit. There are no locks: a process that finds an entry evicted
//! makes it again.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use vectorvisor_driver::trust;

/// Where compiled programs are kept.
///
/// Cached programs run within this process, so only this user and root may be able to write to the folder. If others
/// could write to it or to one of its parents (except a sticky one such as `/tmp`), the cache is not used, with a
/// warning. A missing folder is created for this user alone.
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

/// Hashes parts with their lengths, so that lists which differ only in where parts end have different keys.
pub fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Marks an entry; its last digit is the version of the format.
const MAGIC: &[u8; 8] = b"VVCACHE2";
const HEAD: usize = MAGIC.len() + 32;

/// Prefix of files that are being written, before they are renamed.
const NEW: &str = ".new-";
/// Age at which such a file is taken to be left over from a killed process.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// An open cache folder.
pub struct Cache {
    dir: PathBuf,
    /// Most bytes of all entries; 0 is no limit.
    limit: u64,
}

impl Cache {
    /// The cache of a policy, or `None` if it is off or the platform has no cache folder; a warning if the folder is
    /// not to be trusted.
    pub fn open(policy: &CachePolicy, limit: u64) -> Result<Option<Self>, String> {
        let Some(dir) = policy.dir() else { return Ok(None) };
        match trust::folder(&dir) {
            Ok(_) => Ok(Some(Self { dir, limit })),
            Err(why) => Err(format!(
                "the cache folder {} is not used, so the program is compiled for this run alone: compiled programs in it \
                 could be another user's work, since {why}. Or choose another folder with --cache-dir or \
                 VECTORVISOR_CACHE_DIR, or none with --no-cache",
                dir.display()
            )),
        }
    }

    /// As [`Cache::open`], without the warning.
    pub fn quietly(policy: &CachePolicy, limit: u64) -> Option<Self> {
        Self::open(policy, limit).ok().flatten()
    }

    fn path(&self, kind: &str, key: &Key) -> PathBuf {
        self.dir.join(format!("{kind}-{}", blake3::Hash::from_bytes(*key).to_hex()))
    }

    /// Whether there is an entry, as far as its file tells.
    pub fn has(&self, kind: &str, key: &Key) -> bool {
        trust::open(&self.path(kind, key)).is_ok()
    }

    /// An entry's bytes; missing, unreadable, another user's and damaged are all `None`. It counts as used now.
    pub fn get(&self, kind: &str, key: &Key) -> Option<Vec<u8>> {
        let mut file = trust::open(&self.path(kind, key)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        if bytes.len() < HEAD || &bytes[..MAGIC.len()] != MAGIC {
            return None;
        }
        let sum = blake3::hash(&bytes[HEAD..]);
        if sum.as_bytes()[..] != bytes[MAGIC.len()..HEAD] {
            return None;
        }
        // Fails in root's cache, which can be read all the same.
        _ = file.set_modified(SystemTime::now());
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
        trust::create(&self.dir)?;
        // For this user alone.
        let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(blake3::hash(bytes).as_bytes())?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|e| e.error)?;
        // Another process may be evicting too, so a missing file is no error.
        _ = self.evict();
        Ok(())
    }

    /// Evicts the least recently used entries until the rest is within the limit. Other files are left alone.
    fn evict(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        let mut total = 0;
        for file in fs::read_dir(&self.dir)?.flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let Ok(about) = file.metadata() else { continue };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if name.starts_with(NEW) && now.duration_since(used).is_ok_and(|age| age > LEFT_BEHIND) {
                _ = fs::remove_file(file.path());
            } else if about.is_file() && is_entry(&name) {
                total += about.len();
                entries.push((used, about.len(), file.path()));
            }
        }
        entries.sort_unstable();
        for (_, bytes, path) in entries {
            if self.limit == 0 || total <= self.limit {
                break;
            }
            _ = fs::remove_file(path);
            total -= bytes;
        }
        Ok(())
    }
}

/// Whether a file's name is of the form `KIND-KEY`.
fn is_entry(name: &str) -> bool {
    let key = name.rsplit_once('-').map(|(_, key)| key);
    key.is_some_and(|key| key.len() == 2 * size_of::<Key>() && key.bytes().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn cache() -> io::Result<(tempfile::TempDir, Cache)> {
        let dir = tempfile::tempdir()?;
        let cache = Cache { dir: dir.path().join("a").join("b"), limit: 0 };
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
    fn a_folder_that_others_may_write_is_not_used() -> Result<(), Box<dyn std::error::Error>> {
        let temp = tempfile::tempdir()?;
        let dir = temp.path().join("cache");
        let open = || Cache::open(&CachePolicy::Dir(dir.clone()), 0);
        let (cache, key) = (open()?.ok_or("no cache")?, key(&[b"one"]));
        cache.put("bin", &key, b"hello")?;
        let mode = |path: &Path| path.metadata().map(|about| about.mode() & 0o777);
        assert_eq!((mode(&dir)?, mode(&cache.path("bin", &key))?), (0o700, 0o600));
        for (bits, who) in [(0o777, "go-w"), (0o770, "g-w"), (0o702, "o-w")] {
            fs::set_permissions(&dir, Permissions::from_mode(bits))?;
            let warning = open().err().ok_or("no warning")?;
            assert!(warning.contains(&format!("chmod {who} {}. Or", dir.display())), "{warning}");
            assert!(warning.contains("--cache-dir") && warning.contains("--no-cache"), "{warning}");
            assert!(!warning.contains('\n'), "{warning}");
            assert!(cache.put("bin", &key, b"x").is_err(), "changed while it was open");
        }
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        assert_eq!(open()?.and_then(|cache| cache.get("bin", &key)).as_deref(), Some(&b"hello"[..]));
        Ok(())
    }

    #[test]
    fn files_of_others_count_as_missing() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, cache) = cache()?;
        let (one, two) = (key(&[b"one"]), key(&[b"two"]));
        cache.put("bin", &one, b"hello")?;
        symlink(cache.path("bin", &one), cache.path("bin", &two))?;
        assert_eq!(cache.get("bin", &two), None, "a link");
        fs::set_permissions(cache.path("bin", &one), Permissions::from_mode(0o666))?;
        assert_eq!(cache.get("bin", &one), None, "others may write it");
        cache.put("bin", &one, b"again")?;
        assert_eq!(cache.get("bin", &one).as_deref(), Some(&b"again"[..]));
        Ok(())
    }

    #[test]
    fn a_folder_that_cannot_be_is_a_warning() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("file");
        fs::write(&file, b"in the way")?;
        let cache = Cache { dir: file, limit: 0 };
        let warning = cache.put("bin", &key(&[]), b"x").err().unwrap_or_default();
        assert!(warning.contains("cannot write"), "{warning}");
        Ok(())
    }

    /// Sets an entry's last use to `seconds` ago.
    fn age(cache: &Cache, name: &[u8], seconds: u64) -> io::Result<()> {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::open(cache.path("bin", &key(&[name])))?.set_modified(then)
    }

    #[test]
    fn the_least_recently_used_is_evicted() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, mut cache) = cache()?;
        let there = |cache: &Cache, name: &[u8]| cache.path("bin", &key(&[name])).exists();
        for (i, name) in [b"a", b"b", b"c", b"d"].into_iter().enumerate() {
            cache.put("bin", &key(&[name]), &[0; 1000])?;
            age(&cache, name, 1000 - i as u64)?;
        }
        let (mine, old, new) = (cache.dir.join("notes.txt"), cache.dir.join(".new-old"), cache.dir.join(".new-new"));
        for path in [&mine, &old, &new] {
            fs::write(path, [0; 5000])?;
        }
        File::open(&old)?.set_modified(SystemTime::now() - 2 * LEFT_BEHIND)?;
        assert!(cache.get("bin", &key(&[b"a"])).is_some());
        cache.limit = 3500;
        cache.put("bin", &key(&[b"e"]), &[0; 1000])?;
        let kept = [b"a", b"b", b"c", b"d", b"e"].map(|name| there(&cache, name));
        assert_eq!(kept, [true, false, false, true, true], "a was read, and e is new");
        assert_eq!([mine, old, new].map(|path| path.exists()), [true, false, true]);
        cache.put("bin", &key(&[b"f"]), &[0; 4000])?;
        assert!(!there(&cache, b"e") && !there(&cache, b"f"), "the limit holds for one entry too");
        Ok(())
    }

    /// Every reader finds an entry whole or not at all, while several write and remove.
    #[test]
    fn many_at_once_do_no_harm() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, mut cache) = cache()?;
        cache.limit = 5000;
        let cache = &cache;
        std::thread::scope(|scope| {
            let work = |thread: u8| {
                for i in 0..100u8 {
                    let (mine, theirs) = (key(&[&[thread, i % 7]]), key(&[&[1 - thread, i % 7]]));
                    cache.put("bin", &mine, &[thread; 1000]).expect("a warning");
                    let found = cache.get("bin", &theirs);
                    assert!(found.is_none_or(|bytes| bytes == [1 - thread; 1000]));
                }
            };
            scope.spawn(move || work(0));
            scope.spawn(move || work(1));
        });
        let bytes = fs::read_dir(&cache.dir)?.flatten().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>();
        assert!(bytes <= cache.limit, "{bytes}");
        Ok(())
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"a"]), key(&[b"a", b""]));
    }
}
