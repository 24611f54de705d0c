//! What is particular to one platform: the credentials that its requests carry, and how it asks us to wait.
//!
//! Invariant: secrets live in [`Credentials`] alone, whose `Debug` output never shows them.

pub mod credentials;
pub mod rate_headers;
pub mod retry_after;

pub use credentials::Credentials;
