//! Whether an open outage is acknowledged at once, or something is said or asked first: one decision for the screen and
//! the line mode.
//!
//! Invariants: pure; who already looks after an outage does not take it up again, and nobody takes it from another
//! without having read who that is.

use chrono::{DateTime, Utc};

use crate::domain::{Person, picture::Acknowledged};

/// What is asked before somebody's outage is taken over; asked anew when it is somebody else's by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOver {
    outage_id: String,
    /// By which name the one who looks after it is known.
    holder: String,
}

/// What is done about the wish to look after an outage.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision<'a> {
    /// It is acknowledged.
    Acknowledge,
    /// Nothing: it is one's own since then.
    Own(DateTime<Utc>),
    /// Another looks after it, which is said; the question is remembered.
    Ask(TakeOver, &'a Acknowledged),
}

/// Decides. `me` is who sits here, where the engine has said so; `known` who looks after the outage now; `was_asked`
/// whether a question has just been asked here.
pub(super) fn decide<'a>(
    me: Option<&Person>,
    known: Option<&'a Acknowledged>,
    was_asked: impl FnOnce(&TakeOver) -> bool,
) -> Decision<'a> {
    let Some(known) = known else { return Decision::Acknowledge };
    if me.is_some_and(|me| me.key() == known.who.key()) {
        return Decision::Own(known.at);
    }
    let question = TakeOver { outage_id: known.outage_id.clone(), holder: known.who.key().to_owned() };
    if was_asked(&question) { Decision::Acknowledge } else { Decision::Ask(question, known) }
}
