//! How many calls of one step are on their way down.
//!
//! A peer that takes a CANCEL or a BYE and never ends the call keeps a socket and a task of ours for each: at a burst these
//! would grow without end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Calls of one step that may be torn down at a time; a peer that ends its calls leaves none for longer than a way there
/// and back.
pub(crate) const MOST: usize = 32;

/// The calls of one step that its peer knows of and that are being torn down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endings(Arc<AtomicUsize>);

/// One of them; dropped, it has ended.
#[derive(Debug)]
pub(super) struct Ending(Arc<AtomicUsize>);

impl Endings {
    /// Whether so many are on their way down that no other may be placed.
    pub(super) fn are_too_many(&self) -> bool {
        self.0.load(Ordering::Acquire) >= MOST
    }

    pub(super) fn begin(&self) -> Ending {
        self.0.fetch_add(1, Ordering::AcqRel);
        Ending(Arc::clone(&self.0))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
