//! A vendor's library, found at run time: where it may lie, and tables of its functions.

use crate::identity;
use std::env;
use std::error::Error as _;
use std::path::{Path, PathBuf};

pub use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

/// Declares functions that all return the same type, as a table that is filled from an open library.
#[macro_export]
#[doc(hidden)]
macro_rules! gpu_functions {
    ($(#[$doc:meta])* pub struct $table:ident -> $code:ty; $($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(#[$doc])*
        #[allow(non_snake_case, missing_docs)]
        pub struct $table {
            $(pub $name: unsafe extern "C" fn($($argument: $type),*) -> $code,)*
        }
        impl $table {
            /// Finds all functions; `symbol` gives the names that they have in the library, or the error.
            ///
            /// # Safety
            /// The functions of the library have these types, and it stays open as long as the table is used.
            pub unsafe fn find(
                library: &$crate::gpu::library::Library,
                symbol: impl Fn(&'static str) -> String,
            ) -> std::result::Result<Self, String> {
                // SAFETY: the caller's promise.
                unsafe {
                    Ok(Self { $($name: *library.get(symbol(stringify!($name)).as_bytes()).map_err(|e| e.to_string())?,)* })
                }
            }
        }
    };
}
pub use crate::gpu_functions as functions;

/// Opens the first library that can be opened, and never closes it. The error is the reason of the first one.
pub fn open<'a>(
    names: impl IntoIterator<Item = &'a Path>,
    global: bool,
) -> std::result::Result<&'static Library, String> {
    let flags = RTLD_NOW | if global { RTLD_GLOBAL } else { RTLD_LOCAL };
    let mut reason = None;
    for name in names {
        // SAFETY: these are vendors' libraries, whose initialisers are safe to run.
        match unsafe { Library::open(Some(name), flags) } {
            Ok(library) => return Ok(Box::leak(Box::new(library))),
            Err(error) => _ = reason.get_or_insert(error.source().map_or(error.to_string(), |why| why.to_string())),
        }
    }
    Err(reason.unwrap_or_else(|| "there is none".into()))
}

/// The entries of a folder whose names start with `begin`, in descending order (so that a newer version comes first).
pub fn matching(folder: &Path, begin: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> =
        entries.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(begin))).collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// The folder of this plugin, and that of the program.
pub fn own_folders() -> Vec<PathBuf> {
    let files = identity::origin(own_folders as *const () as usize).into_iter().chain(env::current_exe().ok());
    files.filter_map(|file| Some(file.parent()?.to_owned())).collect()
}

/// The folders of Python's packages: of the environment that is active, of those on the PATH, and of the system.
pub fn python_packages() -> Vec<PathBuf> {
    let active =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(|root| Path::new(&root).join("lib"));
    let user = env::var_os("HOME").map(|home| Path::new(&home).join(".local/lib"));
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).filter_map(|bin| Some(bin.parent()?.join("lib"))).collect::<Vec<_>>();
    let libs = active.chain(user).chain(path).chain(["/usr/local/lib", "/usr/lib"].map(PathBuf::from));
    libs.flat_map(|lib| matching(&lib, "python3"))
        .flat_map(|python| ["site-packages", "dist-packages"].map(|packages| python.join(packages)))
        .collect()
}
