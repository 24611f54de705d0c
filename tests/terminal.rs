//! The built binary in a real terminal: what it leaves behind, what platforms can make it write, what keys do.
//! Guarantees 8 and 9.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "terminal/ends.rs"]
mod ends;
#[path = "terminal/hostile.rs"]
mod hostile;
#[path = "terminal/jobs.rs"]
mod jobs;
#[path = "terminal/keys.rs"]
mod keys;
#[path = "terminal/looks.rs"]
mod looks;
#[path = "terminal/panics.rs"]
mod panics;
#[path = "terminal/plain.rs"]
mod plain;
#[path = "terminal/platform.rs"]
mod platform;
#[path = "terminal/pty.rs"]
mod pty;
#[path = "terminal/stream.rs"]
mod stream;
