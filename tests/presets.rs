//! Presets: what they expand to, what is said of wrong ones, and that they ask the platforms for what there is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "presets/configs.rs"]
mod configs;
#[path = "presets/endpoints.rs"]
mod endpoints;
#[path = "presets/folder.rs"]
mod folder;
#[path = "presets/listing.rs"]
mod listing;
#[path = "presets/prerequisites.rs"]
mod prerequisites;
#[path = "probe/server.rs"]
#[expect(dead_code, reason = "the probe tests use more of it")]
mod server;
#[path = "presets/simulated.rs"]
mod simulated;
