//! The drivers of a program: those it holds, and those found as plugins.

use std::path::PathBuf;
use std::sync::Arc;
use vectorvisor_driver::plugin::{Search, file_name};
use vectorvisor_driver::{Device, DeviceInfo, Driver, Error, Quirks, Result};

/// Drivers that VectorVisor comes with as plugins, and an alternative where one is missing.
const PLUGINS: [(&str, &str); 3] = [
    ("opencl", ""),
    ("cuda", "; NVIDIA GPUs also work with --backend opencl"),
    ("hip", "; AMD GPUs also work with --backend opencl"),
];

/// The drivers that can be named in a [`BackendSpec`](crate::BackendSpec).
///
/// ```
/// let drivers = vectorvisor::Drivers(vec![vectorvisor_cpu::driver()]);
/// ```
#[derive(Default)]
pub struct Drivers(pub Vec<Box<dyn Driver>>);

impl Drivers {
    /// `built_in`, and the plugins that are found: in `paths` (files and folders), in what `VECTORVISOR_DRIVER_PATH`
    /// names, beside the executable, in `deps/` there, and in the user's data folder. A plugin that was named by a path
    /// replaces the built-in driver of its name. No plugin is opened before its driver is used, and one that is broken
    /// or missing is a driver that is unavailable and says why.
    pub fn find_all(built_in: Vec<Box<dyn Driver>>, paths: &[PathBuf]) -> Self {
        let data = directories::ProjectDirs::from("", "", "vectorvisor").map(|dirs| dirs.data_dir().to_path_buf());
        let search = Search::new(paths, data);
        let mut all: Vec<Box<dyn Driver>> = search.named().into_iter().map(|plugin| Box::new(plugin) as _).collect();
        let add = |all: &mut Vec<Box<dyn Driver>>, driver: Box<dyn Driver>| {
            if all.iter().all(|known| known.name() != driver.name()) {
                all.push(driver);
            }
        };
        for driver in built_in {
            add(&mut all, driver);
        }
        for plugin in search.usual() {
            add(&mut all, Box::new(plugin));
        }
        for (name, instead) in PLUGINS {
            let places: Vec<_> = search
                .named
                .iter()
                .chain(&search.usual)
                .chain(&search.own)
                .map(|path| path.display().to_string())
                .collect();
            add(&mut all, Box::new(Missing { name, instead, places: places.join(", ") }));
        }
        let place = |name: &str| match name {
            "cpu" => 0,
            name => PLUGINS.iter().position(|known| known.0 == name).unwrap_or(PLUGINS.len()) + 1,
        };
        all.sort_by_key(|driver| place(driver.name()));
        Self(all)
    }
    /// The driver of this name; [`UnknownBackend`](crate::Error::UnknownBackend) if there is none.
    pub fn find(&self, name: &str) -> crate::Result<&dyn Driver> {
        let known = || self.0.iter().map(|driver| driver.name()).collect::<Vec<_>>().join(", ");
        let unknown = || crate::Error::UnknownBackend { name: name.into(), known: known() };
        self.0.iter().find(|driver| driver.name() == name).map(|driver| &**driver).ok_or_else(unknown)
    }
}

/// Stands for a driver whose plugin was not found.
struct Missing {
    name: &'static str,
    instead: &'static str,
    places: String,
}

impl Missing {
    fn error(&self) -> Error {
        Error::Unavailable {
            what: format!("there is no plugin {} in {}", file_name(self.name), self.places),
            advice: format!(
                "copy it there (cargo leaves it in target/release/deps), or name its folder with --driver-path{}",
                self.instead
            ),
        }
    }
}

impl Driver for Missing {
    fn name(&self) -> &'static str {
        self.name
    }
    fn devices(&self) -> Result<Vec<DeviceInfo>> {
        Err(self.error())
    }
    fn open(&self, _: usize, _: Quirks) -> Result<Arc<dyn Device>> {
        Err(self.error())
    }
}
