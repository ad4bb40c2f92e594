//! What a vendor's codes of errors mean, and the fault that ends what is open of a device.

use super::{Code, SUCCESS};
use crate::{Error, Result};
use std::sync::OnceLock;

/// The codes of which more is known than their names.
pub struct Codes {
    /// What to do about an error.
    pub advice: &'static [(Code, &'static str)],
    /// Errors that end what is open of a device: every later call gives the same one.
    pub sticky: &'static [Code],
}

impl Codes {
    /// Turns a code into an error that also says what to do, where something can be done. `text` has what failed, and the
    /// vendor's words.
    pub fn check(&self, code: Code, text: impl FnOnce() -> String) -> Result<()> {
        if code == SUCCESS {
            return Ok(());
        }
        let advice = self.advice.iter().find(|(of, _)| *of == code);
        Err(Error::Device(text() + &advice.map_or(String::new(), |(_, advice)| format!("; {advice}"))))
    }
    /// Whether an error ends what is open of a device.
    pub fn is_sticky(&self, code: Code) -> bool {
        self.sticky.contains(&code)
    }
}

/// The fault that ended what is open of a device, if one did.
#[derive(Default)]
pub struct Fault(OnceLock<String>);

impl Fault {
    /// Refuses all further work after a fault.
    pub fn refuse(&self) -> Result<()> {
        match self.0.get() {
            Some(fault) => Err(Error::Device(format!("the device must be opened again, because earlier {fault}"))),
            None => Ok(()),
        }
    }
    /// Notes a fault; whether it is the first, which is the one that is told.
    pub fn note(&self, text: String) -> bool {
        self.0.set(text).is_ok()
    }
    /// Whether there was one.
    pub fn happened(&self) -> bool {
        self.0.get().is_some()
    }
}
