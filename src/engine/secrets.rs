//! Fetches the secrets of the platforms, each platform's on a thread of its own.
//!
//! Invariant: a secret that cannot be fetched leaves its platform blind and is tried again; no other platform waits for it.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use crate::{
    config::model::{Config, Platform, Text},
    domain::PlatformId,
    platform::Credentials,
};

/// How long after a failure a secret is fetched again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// A platform's credentials, or why they cannot be had.
pub(super) type Fetched = (PlatformId, Result<Credentials, String>);

/// Secrets that are on their way.
#[derive(Default)]
pub(super) struct Secrets(JoinSet<Fetched>);

impl Secrets {
    /// Begins to fetch those of every platform.
    pub(super) fn of(config: &Config) -> Self {
        let mut secrets = Self::default();
        for platform in config.platforms.values() {
            secrets.fetch(platform, Duration::ZERO);
        }
        secrets
    }

    /// Fetches one platform's once more, after a while.
    pub(super) fn again(&mut self, platform: &std::sync::Arc<Platform>) {
        self.fetch(platform, AGAIN_AFTER);
    }

    fn fetch(&mut self, platform: &std::sync::Arc<Platform>, after: Duration) {
        let platform = std::sync::Arc::clone(platform);
        self.0.spawn(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            let id = platform.id.clone();
            if !has_secrets(&platform) {
                return (id, of_platform(&platform));
            }
            let fetched = tokio::task::spawn_blocking(move || of_platform(&platform)).await;
            (id, fetched.unwrap_or_else(|error| Err(error.to_string())))
        });
    }

    /// The next that has come; waits for ever when none is on its way.
    pub(super) async fn next(&mut self) -> Fetched {
        loop {
            match self.0.join_next().await {
                Some(Ok(fetched)) => return fetched,
                // A task that was cancelled belongs to an engine that ends.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Whether anything must be fetched, which may block.
fn has_secrets(platform: &Platform) -> bool {
    platform.bearer.is_some() || platform.headers.iter().any(|(_, text)| matches!(text, Text::Secret(_)))
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
