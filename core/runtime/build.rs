//! Gives the translator's sources an identity, so that a changed translator never meets its old cache entries.

use std::path::{Path, PathBuf};

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

fn main() {
    // Outside the workspace there are no sources beside us; the version has to do.
    let translate = Path::new("..").join("translate").join("src");
    println!("cargo::rerun-if-changed=build.rs");
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    if translate.is_dir() {
        println!("cargo::rerun-if-changed={}", translate.display());
        let mut paths = Vec::new();
        files(&translate, &mut paths);
        paths.sort();
        for path in paths {
            let text = std::fs::read(&path).unwrap_or_default();
            // FNV-1a: this only has to notice changes, not to resist anyone.
            for byte in path.to_string_lossy().bytes().chain([0]).chain(text).chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
    }
    println!("cargo::rustc-env=VECTORVISOR_TRANSLATOR={}-{hash:016x}", env!("CARGO_PKG_VERSION"));
}
