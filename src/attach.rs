//! Consoles of other processes: the socket in the data folder through which they attach to the engine.
//!
//! ```text
//!  engine ──events──► server ──lines──► Unix socket ──lines──► client ──► console
//!         ◄─commands─        ◄────────             ◄────────
//! ```
//!
//! Invariants: no console can slow the engine; one that lags or comes back gets a whole picture, so that what it shows
//! is never patched together; nobody acts whom the kernel did not name.

pub mod access;
pub mod client;
pub mod peer;
pub mod server;
mod since;
pub mod socket;
pub mod wire;

pub use since::since;
