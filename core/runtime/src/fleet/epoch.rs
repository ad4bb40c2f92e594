//! One run of an input as its guest sees it, however often the input has to run again. What the host answers is logged. A
//! guest that has changed files on a disk, or has slept, is then told the same again, so that it changes them once and
//! does not wait again; any other begins afresh, and nothing is left of its earlier runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use vectorvisor_translate::host::CALLS;
use vectorvisor_wasi::{Answer, Open};

/// Bytes that the logs of all VMs of a fleet may take, about, and bounds of one: many VMs have to leave the host some
/// memory, and what a few may log takes long to answer.
const ALL: usize = 1 << 30;
const ONE: (usize, usize) = (64 << 10, 16 << 20);

/// The most bytes of a log, where there are so many VMs.
pub fn most(vms: usize) -> usize {
    (ALL / vms.max(1)).clamp(ONE.0, ONE.1)
}

/// See the module.
#[derive(Debug, Default)]
pub struct Epoch {
    /// The files of its VM, once it has asked for one: as they are after all answers that are logged.
    pub open: Option<Box<Open>>,
    log: Vec<Logged>,
    /// Bytes of the log.
    bytes: usize,
    /// How many answers of the log the present run was given.
    given: usize,
    /// It has slept.
    slept: bool,
    /// Its log became too long and was dropped, and it is not logged any more.
    dropped: bool,
    /// It only has what is logged: it runs again to see why it ended.
    closed: bool,
}

#[derive(Debug)]
struct Logged {
    call: usize,
    /// Of the request, and of what it refers to.
    hash: u64,
    /// The longest read or write that was allowed, on which it depends what was fetched of the request.
    most: u32,
    answer: Answer,
}

/// What a call is hashed to.
pub fn hash(call: usize, request: &[u8], fetched: &[Vec<u8>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (call, request, fetched).hash(&mut hasher);
    hasher.finish()
}

impl Epoch {
    /// Of a VM that keeps its state, with its files: nothing is logged.
    pub fn kept(open: Option<Box<Open>>) -> Self {
        Self { open, dropped: true, ..Self::default() }
    }

    /// A run begins; gives whether it is told what earlier ones were told.
    pub fn begin(&mut self) -> bool {
        self.given = 0;
        let again = !self.dropped && (self.closed || self.slept || self.changed());
        if !again {
            *self = Self { dropped: self.dropped, ..Self::default() };
        }
        again
    }

    /// Whether the guest may have changed files on a disk.
    pub fn changed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.changed())
    }

    /// Whether it cannot run again, since it has changed files and what it was told is forgotten.
    pub fn spent(&self) -> bool {
        self.dropped && self.changed()
    }

    /// The longest read or write of the next call, if it was allowed before.
    pub fn most(&self) -> Option<u32> {
        self.log.get(self.given).map(|logged| logged.most)
    }

    /// What the guest was told when it made this call before, or `None` if it is further now. If it made another call,
    /// how it fails.
    pub fn tell(&mut self, call: usize, hash: u64) -> Result<Option<Answer>, String> {
        let name = |call: usize| CALLS.get(call).map_or("another call", |call| call.name);
        match self.log.get(self.given) {
            Some(logged) if (logged.call, logged.hash) == (call, hash) => {
                self.given += 1;
                Ok(Some(logged.answer.clone()))
            }
            None if !self.closed => Ok(None),
            logged => Err(format!(
                "not repeatable: the input had to run again after its guest had changed files, and then the guest did \
                 something else: it called {} {}",
                name(call),
                match logged {
                    Some(logged) if logged.call == call => "with other arguments".into(),
                    Some(logged) => format!("instead of {}", name(logged.call)),
                    None => "and had ended before".into(),
                },
            )),
        }
    }

    /// Whether the input may begin afresh, as if its guest had been told nothing.
    pub fn may_begin_afresh(&self) -> bool {
        !self.closed && !self.changed()
    }

    /// Logs what the guest is told.
    pub fn log(&mut self, call: usize, hash: u64, most: u32, answer: &Answer) {
        if self.dropped {
            return;
        }
        let bytes = match answer {
            Answer::Ready(bytes) => bytes.len(),
            Answer::At { answer, .. } => {
                self.slept = true;
                answer.len()
            }
        };
        self.bytes += bytes + size_of::<Logged>();
        self.given += 1;
        self.log.push(Logged { call, hash, most, answer: answer.clone() });
    }

    /// Whether all that the guest was told is logged.
    pub fn is_whole(&self) -> bool {
        !self.dropped
    }

    /// Bytes of the log.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets what the guest was told.
    pub fn drop_log(&mut self) {
        (self.log, self.bytes, self.given, self.dropped) = (Vec::new(), 0, 0, true);
    }

    /// From now on it has only what is logged.
    pub fn close(&mut self) {
        self.closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slept() -> Answer {
        Answer::At { time: 7, answer: vec![1] }
    }

    #[test]
    fn who_has_slept_is_told_the_same_again_and_others_begin_afresh() {
        let mut epoch = Epoch::default();
        assert!(!epoch.begin());
        epoch.log(5, 50, 100, &Answer::Ready(vec![9]));
        assert!(!epoch.begin() && epoch.most().is_none());
        assert_eq!(epoch.tell(5, 50), Ok(None), "the log is gone");
        epoch.log(5, 50, 100, &Answer::Ready(vec![9]));
        epoch.log(6, 60, 0, &slept());
        for _ in 0..2 {
            assert!(epoch.begin());
            assert_eq!((epoch.most(), epoch.tell(5, 50)), (Some(100), Ok(Some(Answer::Ready(vec![9])))));
            assert_eq!(epoch.tell(6, 60), Ok(Some(slept())));
            assert_eq!(epoch.tell(6, 61), Ok(None));
        }
        assert!(epoch.begin() && epoch.tell(5, 51).is_err_and(|why| why.contains("with other arguments")));
        assert!(epoch.tell(6, 60).is_err_and(|why| why.contains("instead of")) && epoch.may_begin_afresh());
        epoch.drop_log();
        assert!(!epoch.begin() && !epoch.spent() && epoch.bytes() == 0);
    }

    #[test]
    fn a_closed_one_has_only_what_is_logged() {
        let mut epoch = Epoch::default();
        epoch.log(5, 50, 100, &Answer::Ready(vec![9]));
        epoch.close();
        assert!(epoch.begin());
        assert_eq!(epoch.tell(5, 50), Ok(Some(Answer::Ready(vec![9]))));
        assert!(epoch.tell(5, 50).is_err() && !epoch.may_begin_afresh());
    }

    #[test]
    fn many_vms_log_less_each() {
        assert_eq!([1, 64, 128, 1 << 20].map(most), [16 << 20, 16 << 20, 8 << 20, 64 << 10]);
    }
}
