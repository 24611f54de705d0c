//! Journeys against real sockets: what a probe says of servers that fail in all the ways that servers fail.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may")]

#[path = "probe/server.rs"]
mod server;
#[path = "probe/setup.rs"]
mod setup;

#[path = "probe/canary.rs"]
mod canary;
#[path = "probe/certificates.rs"]
mod certificates;
#[path = "probe/connections.rs"]
mod connections;
#[path = "probe/expressions.rs"]
mod expressions;
#[path = "probe/hostile.rs"]
mod hostile;
#[path = "probe/hostile_tls.rs"]
mod hostile_tls;
#[path = "probe/journeys.rs"]
mod journeys;
#[path = "probe/listing.rs"]
mod listing;
#[path = "probe/phone.rs"]
mod phone;
#[path = "probe/schedule.rs"]
mod schedule;
#[path = "probe/sip.rs"]
mod sip;
#[path = "probe/tls.rs"]
mod tls;
