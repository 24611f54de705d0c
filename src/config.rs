//! The config: TOML text to a validated [`model::Config`].
//!
//! Invariants: every error names file, line, key and the cure, and all of them are found at once; a
//! [`model::Config`] exists only if the whole file was right.

pub mod model;
pub mod template;
