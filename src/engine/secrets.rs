//! Fetches the secrets of all platforms before the first probe.
//!
//! Invariant: a secret that cannot be fetched is said aloud and leaves its platform without credentials; no other
//! platform waits for it.

use std::collections::BTreeMap;

use hyper::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::{
    config::model::{Config, Platform, Text},
    domain::PlatformId,
    platform::Credentials,
};

/// What every platform's requests carry, and what could not be had.
pub(super) struct Revealed {
    pub(super) credentials: BTreeMap<PlatformId, Credentials>,
    /// Platform and reason.
    pub(super) failures: Vec<(PlatformId, String)>,
}

/// Fetches them, each platform's on a thread of its own.
pub(super) async fn reveal(config: &Config) -> Revealed {
    let tasks: Vec<_> = config
        .platforms
        .values()
        .cloned()
        .map(|platform| {
            let id = platform.id.clone();
            (id, tokio::task::spawn_blocking(move || of_platform(&platform)))
        })
        .collect();
    let mut revealed = Revealed { credentials: BTreeMap::new(), failures: Vec::new() };
    for (id, task) in tasks {
        match task.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(credentials) => {
                revealed.credentials.insert(id, credentials);
            }
            Err(reason) => revealed.failures.push((id, reason)),
        }
    }
    revealed
}

/// The credentials of one platform, or why they cannot be had. Blocks on files and programs.
pub fn of_platform(platform: &Platform) -> Result<Credentials, String> {
    let (mut plain, mut secret) = (Vec::new(), Vec::new());
    for (name, text) in &platform.headers {
        let broken = || format!("header `{name}` cannot be sent as it is written");
        let (headers, value) = match text {
            Text::Plain(text) => (&mut plain, HeaderValue::from_str(text)),
            Text::Secret(text) => {
                let text = text.reveal().map_err(|error| error.to_string())?;
                (&mut secret, HeaderValue::from_str(text.expose_secret()))
            }
        };
        headers.push((
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken())?,
            value.map_err(|_| broken())?,
        ));
    }
    let bearer = platform
        .bearer
        .as_ref()
        .map(|secret| secret.reveal().map_err(|error| error.to_string()))
        .transpose()?;
    Credentials::new(plain, secret, bearer.as_ref().map(ExposeSecret::expose_secret))
        .map_err(|error| error.to_string())
}
