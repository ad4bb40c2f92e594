//! What a vendor's error codes mean, and the fault that makes a device's context unusable.

use super::{Code, SUCCESS};
use crate::{Error, Result};
use std::sync::OnceLock;

/// Error codes that need more than their names.
pub struct Codes {
    /// What to do about an error.
    pub advice: &'static [(Code, &'static str)],
    /// Errors after which a context is unusable: every later call returns the same one.
    pub sticky: &'static [Code],
}

impl Codes {
    /// Turns a code into an error, with advice where there is some. `text` gives what failed and the vendor's message.
    pub fn check(&self, code: Code, text: impl FnOnce() -> String) -> Result<()> {
        if code == SUCCESS {
            return Ok(());
        }
        let advice = self.advice.iter().find(|(of, _)| *of == code);
        Err(Error::Device(text() + &advice.map_or(String::new(), |(_, advice)| format!("; {advice}"))))
    }
    /// Whether a context is unusable after this error.
    pub fn is_sticky(&self, code: Code) -> bool {
        self.sticky.contains(&code)
    }
}

/// The fault that made a device's context unusable, if there was one.
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
    /// Records a fault. Returns whether it is the first one, which is kept for the message.
    pub fn note(&self, text: String) -> bool {
        self.0.set(text).is_ok()
    }
    /// Whether there was one.
    pub fn happened(&self) -> bool {
        self.0.get().is_some()
    }
}
