//! What can go wrong, each with its reason and the next step.

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--backend` names a driver that is not there.
    #[error("there is no backend {name:?}; known are: auto, {known}")]
    UnknownBackend {
        /// The name asked for.
        name: String,
        /// The drivers there are.
        known: String,
    },
    /// The text is no backend specification.
    #[error(
        "{0:?} names no backend: write a driver's name, and a device's number after a colon if need be, as in \"opencl:1\"; \
         `map` also takes several with commas between them, and NAME:all, but not auto"
    )]
    BackendSyntax(String),
    /// A backend could not be opened.
    #[error("backend {backend}: {source}")]
    Backend {
        /// Its name.
        backend: String,
        /// The driver's error.
        source: vectorvisor_driver::Error,
    },
    /// `auto` found no device at all.
    #[error("no device can run VMs:\n{0}")]
    NoDevice(String),
    /// The device or its compiler failed while nothing was running.
    #[error(transparent)]
    Driver(#[from] vectorvisor_driver::Error),
    /// The program is no valid WebAssembly text.
    #[error(
        "not a WebAssembly module (which begins with \\0asm), so it was read as WebAssembly text, and is not valid: {0}"
    )]
    Text(String),
    /// The program cannot be translated.
    #[error(transparent)]
    Translate(#[from] vectorvisor_translate::Error),
    /// An option has a value that makes no sense here.
    #[error("{0}")]
    Option(String),
    /// The entry asked for is not exported.
    #[error("the program exports no function {name:?}; it exports {available}")]
    NoEntry {
        /// The name asked for.
        name: String,
        /// The names there are.
        available: String,
    },
    /// A value's text does not fit its type.
    #[error("{text:?} is not {type_name}: {expected}")]
    Value {
        /// The text.
        text: String,
        /// The type, with its article.
        type_name: &'static str,
        /// What is expected instead.
        expected: &'static str,
    },
    /// The device has too little memory for the VMs, or even for one tile.
    #[error("{0}")]
    Memory(String),
    /// Of several devices all failed; the text has a line for each.
    #[error("all devices failed:\n{0}")]
    AllFailed(String),
    /// The device failed during a run. Outcomes already delivered stand; these inputs have none.
    #[error("{source}; {}", lost_text(lost))]
    Lost {
        /// Indices of the inputs that were taken and not delivered, ascending.
        lost: Vec<usize>,
        /// The device's error.
        source: Box<Error>,
    },
    /// A VM's state as read back from the device makes no sense.
    #[error(
        "the device gave back a state that cannot be ({0}); the device or its driver is faulty, try `vectorvisor devices --check`"
    )]
    Corrupt(String),
    /// The system refused something that a run needs (random bytes, a thread).
    #[error("{what}: {reason}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// The system's error.
        reason: String,
    },
}

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

/// Names at most a dozen ranges; the whole list is in the error itself.
fn lost_text(lost: &[usize]) -> String {
    if lost.is_empty() {
        return "no input was lost".into();
    }
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &index in lost {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let mut text = format!("{} inputs have no outcome: ", lost.len());
    for (i, (first, last)) in ranges.iter().take(12).enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        text.push_str(&if first == last { format!("{first}") } else { format!("{first}-{last}") });
    }
    if ranges.len() > 12 {
        text.push_str(", ...");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn lost_inputs_are_named_by_range() {
        assert_eq!(super::lost_text(&[0, 1, 2, 7, 9, 10]), "6 inputs have no outcome: 0-2, 7, 9-10");
        assert_eq!(super::lost_text(&[]), "no input was lost");
        let many: Vec<usize> = (0..40).map(|i| i * 2).collect();
        assert!(super::lost_text(&many).ends_with("22, ..."));
    }
}
