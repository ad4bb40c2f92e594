//! The table behind a driver's handles, written once: a driver keeps one per kind of object.

use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects by handle. Handles are never reused, so a stale one is always refused.
pub struct Handles<T> {
    what: &'static str,
    next: AtomicU64,
    live: Mutex<HashMap<u64, T>>,
}

impl<T: Clone> Handles<T> {
    /// An empty table; `what` names its objects in errors ("buffer").
    pub fn new(what: &'static str) -> Self {
        Self { what, next: AtomicU64::new(1), live: Mutex::default() }
    }
    // Every change under the lock is a single map operation, so a panic elsewhere cannot leave it half done.
    fn live(&self) -> MutexGuard<'_, HashMap<u64, T>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Adds an object; returns its handle.
    pub fn insert(&self, object: T) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.live().insert(id, object);
        id
    }
    /// A clone of the object (usually an `Arc`); [`Error::Invalid`] if the handle is unknown.
    pub fn get(&self, id: u64) -> Result<T> {
        self.live().get(&id).cloned().ok_or_else(|| Error::Invalid(format!("no {} has the handle {id}", self.what)))
    }
    /// Removes an object, which the caller drops, outside the lock.
    pub fn remove(&self, id: u64) -> Option<T> {
        self.live().remove(&id)
    }
    /// Removes all objects that match.
    pub fn remove_where(&self, matches: impl Fn(&T) -> bool) -> Vec<T> {
        self.live().extract_if(|_, object| matches(object)).map(|(_, object)| object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_not_reused() {
        let table = Handles::new("thing");
        let a = table.insert('a');
        assert_eq!(table.get(a).ok(), Some('a'));
        assert_eq!(table.remove(a), Some('a'));
        let b = table.insert('b');
        assert_ne!(a, b);
        assert!(matches!(table.get(a), Err(Error::Invalid(text)) if text.contains("thing")));
        assert_eq!(table.remove_where(|c| *c == 'b'), ['b']);
        assert!(table.get(b).is_err());
    }
}
