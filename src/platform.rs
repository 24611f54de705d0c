//! What is particular to one platform: its login, the credentials that its requests carry, and how it asks us to wait.
//!
//! Invariant: secrets live in [`Credentials`] and what the login fetches, whose `Debug` output never shows them.

pub mod credentials;
pub mod dates;
mod keeper;
mod line;
mod login;
pub mod rate_headers;
pub mod retry_after;
pub mod session;
pub(crate) mod tls;

pub use credentials::Credentials;
pub use login::Description;
pub use session::{Pass, Refusal, Session, Standing};

/// What an answer of 403 says of the login: the permission or scope that it lacks, in words.
///
/// Such an answer comes from the platform's door, before the component is asked: it tells of our rights and nothing of the
/// component. Every other 403 is believed as any HTTP answer is.
pub(crate) fn lacking(headers: &hyper::HeaderMap, body: &[u8]) -> Option<String> {
    login::lacking(headers, body)
}
