//! Opening a device: drivers, backend specifications, and the choice that `auto` makes.

use crate::fleet::SLACK;
use crate::{Drivers, Error, Result};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use vectorvisor_driver::{Buffer, Device, DeviceInfo, DeviceKind, Driver, Queue, Quirks, failing};

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

impl BackendSpec {
    /// The number of the device, as [`Engine::open`] chooses it among those of its driver.
    fn choose(&self, devices: &[DeviceInfo]) -> usize {
        let first = || devices.iter().find(|d| d.kind == DeviceKind::Gpu).or(devices.first());
        self.index.unwrap_or_else(|| first().map_or(0, |d| d.index))
    }

    fn failed(&self, source: vectorvisor_driver::Error) -> Error {
        Error::Backend { backend: self.to_string(), source }
    }
}

/// One or several devices: [`BackendSpec`]s with commas between them, in which `NAME:all` stands for all devices of a
/// driver. `auto` only stands alone.
///
/// ```
/// use vectorvisor::BackendList;
/// let list: BackendList = "cuda:all,cpu".parse()?;
/// assert_eq!((list.to_string().as_str(), list.single()), ("cuda:all,cpu", None));
/// assert_eq!("cpu".parse::<BackendList>()?.single().map(ToString::to_string), Some("cpu".into()));
/// assert!("auto,cpu".parse::<BackendList>().is_err());
/// # Ok::<(), vectorvisor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendList(Vec<Named>);

/// What one part of a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    spec: BackendSpec,
    /// All devices of the driver.
    all: bool,
}

impl BackendList {
    /// The device that is named, if the list is no more than that.
    pub fn single(&self) -> Option<&BackendSpec> {
        match self.0.as_slice() {
            [Named { spec, all: false }] => Some(spec),
            _ => None,
        }
    }

    /// The devices, each with its number; one that is named twice is there twice. None is opened.
    ///
    /// # Errors
    /// Names the first that is not there, and why.
    pub fn devices(&self, drivers: &Drivers) -> Result<Vec<BackendSpec>> {
        let mut all = Vec::new();
        for Named { spec, all: whole } in &self.0 {
            let devices = drivers.find(&spec.name)?.devices().map_err(|source| spec.failed(source))?;
            let known: Vec<usize> = devices.iter().map(|device| device.index).collect();
            let numbers = if *whole { known.clone() } else { vec![spec.choose(&devices)] };
            if known.is_empty() || numbers.iter().any(|number| !known.contains(number)) {
                return Err(spec.failed(vectorvisor_driver::Error::Unavailable {
                    what: format!("there is no such device among its {}", known.len()),
                    advice: "`vectorvisor devices` lists what there is".into(),
                }));
            }
            all.extend(numbers.into_iter().map(|number| BackendSpec { name: spec.name.clone(), index: Some(number) }));
        }
        Ok(all)
    }
}

impl FromStr for BackendList {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let one = |part: &str| match part.split_once(':') {
            Some((name, "all")) if name != "auto" => Ok(Named { spec: name.parse()?, all: true }),
            _ => Ok(Named { spec: part.parse()?, all: false }),
        };
        let parts: Vec<Named> = text.split(',').map(one).collect::<Result<_>>()?;
        if parts.len() > 1 && parts.iter().any(|part| part.spec.name == "auto") {
            return Err(Error::BackendSyntax(text.into()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for BackendList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Named { spec, all }) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{spec}{}", if *all { ":all" } else { "" })?;
        }
        Ok(())
    }
}

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Engine {
    device: Arc<dyn Device>,
    backend: &'static str,
    files: Arc<Mutex<OnDevice>>,
}

/// Files that were sent to a device, as long as somebody uses them there.
type OnDevice = Option<(Arc<[u8]>, Weak<Buffer>)>;

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
        let failed = |source| backend.failed(source);
        let index = match backend.index {
            Some(index) => index,
            None => backend.choose(&driver.devices().map_err(failed)?),
        };
        Self::of(driver, index, quirks).map_err(failed)
    }

    fn of(driver: &dyn Driver, index: usize, quirks: Quirks) -> vectorvisor_driver::Result<Self> {
        let backend = driver.name();
        let device = failing::if_wanted(backend, index, driver.open(index, quirks)?);
        Ok(Self { device, backend, files: Arc::default() })
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
                match Self::of(driver, info.index, quirks) {
                    Ok(engine) => return Ok(engine),
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

    /// The device's copy of files, of which all fleets share one.
    pub(crate) fn with_files(&self, bytes: &Arc<[u8]>) -> Result<Arc<Buffer>> {
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, buffer)) = &*known
            && Arc::ptr_eq(same, bytes)
            && let Some(buffer) = buffer.upgrade()
        {
            return Ok(buffer);
        }
        let buffer = Arc::new(Buffer::new(&self.device, bytes.len() as u64 + SLACK)?);
        Queue::new(&self.device)?.write(&buffer, 0, bytes)?;
        *known = Some((bytes.clone(), Arc::downgrade(&buffer)));
        Ok(buffer)
    }
}
