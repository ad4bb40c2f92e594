//! Opening a device: drivers, backend specifications, and the choice that `auto` makes.

use crate::{Drivers, Error, Result};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use vectorvisor_driver::{Device, DeviceInfo, DeviceKind, Driver, Quirks};

/// The drivers in which `auto` looks for a GPU first; other drivers follow, and the built-in CPU driver comes last.
const PREFERENCE: [&str; 3] = ["cuda", "hip", "opencl"];

/// Which device to use: `auto`, a driver's name, or a name and a device's number.
///
/// ```
/// use vectorvisor::BackendSpec;
/// let spec: BackendSpec = "opencl:1".parse()?;
/// assert_eq!((spec.name.as_str(), spec.index), ("opencl", Some(1)));
/// assert_eq!(spec.to_string(), "opencl:1");
/// assert!("auto:1".parse::<BackendSpec>().is_err());
/// # Ok::<(), vectorvisor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSpec {
    /// `auto` or a driver's name.
    pub name: String,
    /// The device's number within its driver; `None` is its first GPU, or else its first device.
    pub index: Option<usize>,
}

impl Default for BackendSpec {
    fn default() -> Self {
        Self { name: "auto".into(), index: None }
    }
}

impl FromStr for BackendSpec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::BackendSyntax(text.into());
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        if name.is_empty() || (name == "auto" && index.is_some()) {
            return Err(bad());
        }
        Ok(Self { name: name.to_ascii_lowercase(), index })
    }
}

impl fmt::Display for BackendSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.index {
            Some(index) => write!(f, ":{index}"),
            None => Ok(()),
        }
    }
}

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Engine {
    device: Arc<dyn Device>,
    backend: &'static str,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("backend", &self.backend).field("info", self.info()).finish()
    }
}

impl Engine {
    /// Opens a device. `auto` takes a GPU if there is one (CUDA, then HIP, then OpenCL), else the CPU.
    ///
    /// # Errors
    /// Names the backend, why it does not work, and what the others are.
    ///
    /// ```no_run
    /// use vectorvisor::{BackendSpec, Drivers, Engine, Quirks};
    /// let engine = Engine::open(&Drivers::default(), &BackendSpec::default(), Quirks::default())?;
    /// println!("{}", engine.info().name);
    /// # Ok::<(), vectorvisor::Error>(())
    /// ```
    pub fn open(drivers: &Drivers, backend: &BackendSpec, quirks: Quirks) -> Result<Self> {
        if backend.name == "auto" {
            return Self::auto(drivers, quirks);
        }
        let driver = drivers.find(&backend.name)?;
        let failed = |source| Error::Backend { backend: backend.to_string(), source };
        let index = match backend.index {
            Some(index) => index,
            None => {
                let devices = driver.devices().map_err(failed)?;
                let first = devices.iter().find(|d| d.kind == DeviceKind::Gpu).or(devices.first());
                first.map_or(0, |d| d.index)
            }
        };
        Ok(Self { device: driver.open(index, quirks).map_err(failed)?, backend: driver.name() })
    }

    fn auto(drivers: &Drivers, quirks: Quirks) -> Result<Self> {
        let mut reasons = Vec::new();
        let place = |name: &str| match name {
            "cpu" => PREFERENCE.len() + 1,
            name => PREFERENCE.iter().position(|known| *known == name).unwrap_or(PREFERENCE.len()),
        };
        let mut ordered: Vec<&dyn Driver> = drivers.0.iter().map(|driver| &**driver).collect();
        ordered.sort_by_key(|driver| place(driver.name()));
        for driver in ordered {
            let name = driver.name();
            let devices = match driver.devices() {
                Ok(devices) => devices,
                Err(error) => {
                    reasons.push(format!("  {name}: {error}"));
                    continue;
                }
            };
            // An OpenCL device that is the same processors as `cpu` would only be slower.
            let mut usable = devices.iter().filter(|d| d.kind == DeviceKind::Gpu || name == "cpu").peekable();
            if usable.peek().is_none() {
                reasons.push(format!("  {name}: there is no GPU among its {} devices", devices.len()));
            }
            for info in usable {
                match driver.open(info.index, quirks) {
                    Ok(device) => return Ok(Self { device, backend: driver.name() }),
                    Err(error) => reasons.push(format!("  {name}:{}: {error}", info.index)),
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("  no driver is registered".into());
        }
        Err(Error::NoDevice(reasons.join("\n")))
    }

    /// What the device is and can do.
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// The name of its driver.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    pub(crate) fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }
}
