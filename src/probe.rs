//! Runs journeys: steps, expectations, captures, timings per part; and keeps the schedule of all probes.
//!
//! Invariants: a failed probe is data, never an `Err`; what a verdict means for an outage is decided elsewhere; foreign
//! text leaves this room cleaned.

pub mod budget;
pub mod client;
mod connect;
pub mod dates;
pub mod doubt;
mod exchange;
mod failure;
pub mod foreign;
pub mod journey;
mod listing;
mod plan;
mod pool;
mod resolve;
pub mod schedule;
mod sip;
pub mod survey;

use crate::platform::tls;
pub use budget::Budget;
pub use client::Client;
pub use journey::{Journey, Order};
pub use schedule::{LatenessSnapshot, ProbeOutput, Schedule, ScheduleHandle};
