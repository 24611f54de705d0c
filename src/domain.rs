//! The words and formulas of recovery measurement, as types and pure state machines.
//!
//! Invariants: nothing here does I/O, reads a clock, draws a random number or knows a screen. Time enters as a
//! parameter ([`Moment`] for durations, [`chrono::DateTime`] for the wall clock).

pub mod chain;
pub mod clock;
pub mod command;
pub mod compliance;
pub mod diagnosis;
pub mod event;
pub mod history;
pub mod measurement;
pub mod name;
pub mod percent;
pub mod person;
pub mod picture;
pub mod record;
pub mod report;
pub mod roster;
pub mod since;
pub mod tier;
pub mod time;
pub mod tracker;
pub mod verdict;

pub use command::Command;
pub use event::Event;
pub use name::{ComponentId, PathName, PlatformId};
pub use percent::Percent;
pub use person::{Attached, Behind, Person, Role};
pub use picture::Picture;
pub use record::{RecoveryRecord, Status};
pub use report::{ProbeReport, StepReport, StepState, Timings};
pub use roster::{ComponentCard, Environment, PlatformCard, Roster, StepCard};
pub use since::Since;
pub use tier::Tier;
pub use time::{Moment, Span};
pub use verdict::{Phase, Verdict};
