//! What happened since somebody last looked, read from the store beside the engine.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::{
    domain::{Person, Since},
    store::{Store, StoreError, Unreadable},
};

/// How many of the last events are read: what is older is summed up no more.
const EVENTS: usize = 10_000;

/// Sums up what happened since this person last looked at any console of this data folder; `None` for who never did.
///
/// For a console whose process the engine lives in; attached ones are told by the server. Blocks on the disk.
pub fn since(folder: &Path, who: &Person) -> Result<Option<Since>, StoreError> {
    since_look(folder, who, None)
}

/// The same, where it may be known already when they last looked.
pub(super) fn since_look(
    folder: &Path,
    who: &Person,
    known: Option<DateTime<Utc>>,
) -> Result<Option<Since>, StoreError> {
    let reader = Store::read(folder)?;
    let last = match known {
        Some(known) => Some(known),
        None => reader.last_look(who.key(), who.uid)?,
    };
    let Some(last) = last else { return Ok(None) };
    let mut unreadable = Unreadable::default();
    let events: Vec<_> = reader
        .events_since(last - Since::MARGIN, EVENTS)?
        .filter_map(|event| unreadable.sift(event))
        .collect();
    if let Some(words) = unreadable.told("events") {
        tracing::warn!("{words}");
    }
    Ok(Some(Since::of(last, events.iter().map(|event| &**event))))
}
