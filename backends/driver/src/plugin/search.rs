//! Where plugins are looked for. A plugin that the user named is opened. One that was found in a usual folder is opened
//! only if no other user could have put it there.

use super::Plugin;
use crate::trust;
use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

/// The environment variable that names files and folders, separated as in `PATH`.
const VARIABLE: &str = "VECTORVISOR_DRIVER_PATH";

/// Files and folders to look in, first ones first.
#[derive(Debug, Default)]
pub struct Search {
    /// Files and folders that the user named.
    pub named: Vec<PathBuf>,
    /// The program's folders.
    pub usual: Vec<PathBuf>,
    /// The user's own folder.
    pub own: Option<PathBuf>,
}

/// The file of the driver `name`.
pub fn file_name(name: &str) -> String {
    format!("{DLL_PREFIX}vectorvisor_{name}{DLL_SUFFIX}")
}

/// The name of the driver in a file, by the file's name.
pub(super) fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix(DLL_PREFIX)?.strip_suffix(DLL_SUFFIX)?;
    let name = name.strip_prefix("vectorvisor_")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

impl Search {
    /// `first`, then what `VECTORVISOR_DRIVER_PATH` names; then beside the executable and in `deps/` there, where cargo
    /// leaves a plugin that the executable's crate depends on; then `own`.
    pub fn new(first: &[PathBuf], own: Option<PathBuf>) -> Self {
        let variable = std::env::var_os(VARIABLE).unwrap_or_default();
        let variable = std::env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
        let named = first.iter().cloned().chain(variable).collect();
        let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_path_buf()));
        let beside = beside.into_iter().flat_map(|folder| [folder.clone(), folder.join("deps")]);
        Self { named, usual: beside.collect(), own }
    }
    /// The drivers in what the user named: of each name the first one. A path that does not exist counts as a file, so
    /// that opening it reports that it is missing.
    pub fn named(&self) -> Vec<Plugin> {
        let mut found = BTreeMap::new();
        for path in &self.named {
            match path.is_dir() {
                true => files(path).into_iter().for_each(|(name, path)| _ = found.entry(name).or_insert(path)),
                false => {
                    _ = found.entry(name_of(path).unwrap_or_else(|| path.display().to_string())).or_insert(path.clone())
                }
            }
        }
        found.into_values().map(Plugin::new).collect()
    }
    /// The drivers in the usual folders and the user's own: of each name the first one that nobody else could have put
    /// there, or the first one, with the reason why it is not opened. But of those beside the executable and in `deps/`
    /// the newer one comes first: cargo leaves an old copy beside it after `cargo build --workspace`.
    pub fn usual(&self) -> Vec<Plugin> {
        let mut found: BTreeMap<String, Vec<(PathBuf, Trusts)>> = BTreeMap::new();
        for folder in &self.usual {
            for (name, path) in files(folder) {
                let known = found.entry(name).or_default();
                let below = folder.file_name().is_some_and(|name| name == "deps");
                let older = |(other, _): &(PathBuf, Trusts)| {
                    below && other.parent() == folder.parent() && modified(&path) > modified(other)
                };
                let at = known.iter().position(older).unwrap_or(known.len());
                known.insert(at, (path, trust::beside_program));
            }
        }
        for (name, path) in self.own.iter().flat_map(|folder| files(folder)) {
            found.entry(name).or_default().push((path, users_own));
        }
        found.into_values().filter_map(first_trusted).collect()
    }
}

/// The rule for a file: why it is not opened, if so.
type Trusts = fn(&Path) -> Result<(), String>;

/// The first file that its rule accepts; else the first one, with the reason.
fn first_trusted(files: Vec<(PathBuf, Trusts)>) -> Option<Plugin> {
    let mut refused = None;
    for (path, trusts) in files {
        match trusts(&path) {
            Ok(()) => return Some(Plugin::found(path, Ok(()))),
            Err(why) => _ = refused.get_or_insert((path, why)),
        }
    }
    refused.map(|(path, why)| Plugin::found(path, Err(why)))
}

/// Whether nobody but this user and root could have put a file there, or what it links to.
fn users_own(path: &Path) -> Result<(), String> {
    let unknown = |error: std::io::Error| format!("{} cannot be looked at: {error}", path.display());
    let real = path.canonicalize().map_err(unknown)?;
    for folder in [path.parent(), real.parent()].into_iter().flatten() {
        trust::folder(folder)?;
    }
    trust::file(&real, &real.metadata().map_err(unknown)?)
}

/// Plugins in a folder by name. A folder that is not there has none.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((name_of(&entry.path())?, entry.path()))).collect()
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|facts| facts.modified()).ok()
}
