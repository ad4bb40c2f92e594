//! `--fail-fast` and `--until`: what one input does ends the run.

use crate::args::{EndArgs, Until};
use crate::report;
use vectorvisor::{CancelHandle, End, Outcome};

/// Exit code if no input was found.
pub const NOT_FOUND: i32 = 3;

/// Ends the run where the options say so.
pub struct Stops {
    fail_fast: bool,
    until: Option<Until>,
    run: CancelHandle,
    /// Why the run was ended.
    pub stopped: Option<Stop>,
}

/// Why a run was ended.
pub enum Stop {
    /// An input failed.
    Failed,
    /// An input was found: what messages call it, and what it did.
    Found { label: String, did: String },
}

impl Stops {
    /// For a run that `run` cancels.
    pub fn new(args: &EndArgs, run: CancelHandle) -> Self {
        Self { fail_fast: args.fail_fast, until: args.until.clone(), run, stopped: None }
    }

    /// Whether `--until` looks for such an outcome; the first one ends the run.
    pub fn look(&mut self, outcome: &Outcome, label: impl FnOnce() -> String) -> bool {
        let Some(did) = self.until.as_ref().and_then(|until| does(until, &outcome.end, &outcome.stdout)) else {
            return false;
        };
        if self.stopped.is_none() {
            self.stopped = Some(Stop::Found { label: label(), did });
            self.run.cancel();
        }
        true
    }

    /// An input failed.
    pub fn failed(&mut self) {
        if self.fail_fast && self.stopped.is_none() {
            self.stopped = Some(Stop::Failed);
            self.run.cancel();
        }
    }
}

/// What an input did of what is looked for.
fn does(until: &Until, end: &End, stdout: &[u8]) -> Option<String> {
    /// Most of the text that is shown.
    const SHOWN: usize = 200;
    let End::Exit(code) = end else { return None };
    match until {
        Until::Exit(wanted) => (code == wanted).then(|| format!("ended with exit code {code}")),
        Until::Output(regex) => regex.find(stdout).map(|found| {
            let text = String::from_utf8_lossy(found.as_bytes());
            let more = if text.chars().count() > SHOWN { "…" } else { "" };
            format!("printed {:?}{more}", text.chars().take(SHOWN).collect::<String>())
        }),
    }
}

impl Stop {
    /// Says why the run was ended, and how many inputs had begun.
    pub fn report(&self, begun: usize) {
        let cancelled = match begun {
            0 => String::new(),
            n => format!("; cancelled: {}", report::count(n as u64, "input that had begun", "inputs that had begun")),
        };
        report::line(&match self {
            Self::Failed => format!("vectorvisor: stopped at the first failure (--fail-fast){cancelled}"),
            Self::Found { label, did } => format!("vectorvisor: found (--until): {label} {did}{cancelled}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_exits_is_found() {
        let regex = regex::bytes::RegexBuilder::new("^b+$").multi_line(true).build().expect("a regex");
        let output = Until::Output(regex);
        let did = does(&output, &End::Exit(3), b"\xff\nbb\n");
        assert_eq!(did.as_deref(), Some("printed \"bb\""));
        assert_eq!(does(&output, &End::Exit(0), b"abb\n"), None);
        assert_eq!(does(&output, &End::Failed("no".into()), b"bb"), None);
        assert!(does(&Until::Exit(0), &End::Exit(0), b"").is_some());
        assert_eq!(does(&Until::Exit(1), &End::Exit(0), b""), None);
    }
}
