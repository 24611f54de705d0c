//! How each platform grants a token.
//!
//! Invariant: a token goes nowhere but to the platform's own API; what an answer says is believed only after it was held
//! against the config.

mod claims;
mod cxone;
mod genesys;

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

pub use genesys::Description;
pub(super) use genesys::{describe, lacking};

use super::{
    Credentials,
    line::{Line, Pause, Trouble},
};
use crate::config::model::{Login, Platform, PlatformKind};

/// The longest token that is taken.
const LONGEST_TOKEN: usize = 16 * 1024;

/// What a login needs, fetched from where the config says.
pub(super) struct Keys {
    /// `client_id`, or `access_key_id`.
    id: SecretString,
    /// `client_secret`, or `access_key_secret`.
    secret: SecretString,
    /// `client_id` and `client_secret` beside an access key.
    app: Option<(SecretString, SecretString)>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keys(hidden)")
    }
}

/// Everything secret of a platform.
#[derive(Debug)]
pub(super) struct Revealed {
    /// Headers and a fixed bearer.
    pub(super) fixed: Credentials,
    /// Absent for a platform without a login.
    pub(super) keys: Option<Keys>,
}

impl Revealed {
    /// Fetches it. Blocks on files and programs.
    pub(super) fn of(platform: &Platform) -> Result<Self, Trouble> {
        let seldom = |reason: String| Trouble::new(Pause::Seldom, reason);
        let fixed = Credentials::reveal(platform).map_err(seldom)?;
        let reveal = |secret: &crate::config::model::Secret| {
            secret.reveal().map_err(|error| seldom(error.to_string()))
        };
        let keys = match &platform.login {
            None => None,
            Some(Login { id, secret, app, .. }) => {
                let app = match app {
                    Some((id, secret)) => Some((reveal(id)?, reveal(secret)?)),
                    None => None,
                };
                Some(Keys { id: reveal(id)?, secret: reveal(secret)?, app })
            }
        };
        Ok(Self { fixed, keys })
    }

    /// Whether nothing was replaced since the other was fetched.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let keys = match (&self.keys, &other.keys) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_same(other),
            _ => false,
        };
        keys && self.fixed.is_same(&other.fixed)
    }
}

impl Keys {
    fn is_same(&self, other: &Self) -> bool {
        let same = |one: &SecretString, other: &SecretString| one.expose_secret() == other.expose_secret();
        let app = match (&self.app, &other.app) {
            (None, None) => true,
            (Some(one), Some(other)) => same(&one.0, &other.0) && same(&one.1, &other.1),
            _ => false,
        };
        app && same(&self.id, &other.id) && same(&self.secret, &other.secret)
    }
}

/// What a login remembers for the next one.
#[derive(Default)]
pub(super) struct Memory {
    refresh: Option<SecretString>,
    /// These credentials were found to belong to the organisation that the config names.
    bound: bool,
    found: Option<cxone::Found>,
}

impl Memory {
    /// Forgets what only a good session may use.
    pub(super) fn forget(&mut self) {
        self.refresh = None;
        self.bound = false;
    }
}

/// What a login brings.
pub(super) struct Granted {
    /// What the platform's requests carry.
    pub(super) credentials: Credentials,
    /// How long it is good for, as far as the answer says.
    pub(super) life: Option<Duration>,
    /// Where the API is, when that was asked for.
    pub(super) base: Option<Url>,
    /// What is known of it besides.
    pub(super) proof: Proof,
}

/// What is known of a token besides that it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing.
    None,
    /// The API itself has accepted it.
    Accepted,
    /// The API could not be asked whose it is.
    Unchecked,
}

/// Logs in once.
pub(super) async fn log_in(
    line: &Line,
    platform: &Platform,
    revealed: &Revealed,
    memory: &mut Memory,
) -> Result<Granted, Trouble> {
    let fixed = revealed.fixed.clone();
    let (Some(login), Some(keys)) = (&platform.login, &revealed.keys) else {
        return Ok(Granted { credentials: fixed, life: None, base: None, proof: Proof::None });
    };
    match platform.kind {
        PlatformKind::Cxone => cxone::log_in(line, login, keys, fixed, memory).await,
        PlatformKind::Genesys | PlatformKind::Http => {
            genesys::log_in(line, platform, login, keys, fixed, memory).await
        }
    }
}

/// The token of an answer, checked as one that can be sent.
fn token(answer: &Value, names: &[&str]) -> Result<SecretString, Trouble> {
    let wrong = |what: &str| Trouble::new(Pause::Backoff, format!("the login's answer {what}"));
    let token = names.iter().find_map(|name| answer.get(*name)?.as_str()).unwrap_or_default();
    if token.is_empty() {
        return Err(wrong("holds no access token; is `login_url` right?"));
    }
    if token.len() > LONGEST_TOKEN {
        return Err(wrong("holds a token longer than 16 KiB"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong(
            "holds a token that cannot be sent: it has a line break, blank or other character in it",
        ));
    }
    Ok(SecretString::from(token))
}

/// How long a token is good for; `None` where the answer does not say (RFC 6749 section 5.1 only recommends it).
fn life(answer: &Value, names: &[&str]) -> Result<Option<Duration>, Trouble> {
    let Some(said) = names.iter().find_map(|name| answer.get(*name)) else { return Ok(None) };
    let seconds = said.as_f64().or_else(|| said.as_str()?.trim().parse().ok());
    let life = seconds.filter(|seconds| *seconds >= 1.0).map(|seconds| seconds.min(1e8));
    match life {
        Some(seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
        None => Err(Trouble::new(Pause::Backoff, "the login's answer holds a token that has ended already")),
    }
}

fn with_token(fixed: Credentials, token: &SecretString) -> Result<Credentials, Trouble> {
    fixed.with_bearer(token.expose_secret()).map_err(|error| Trouble::new(Pause::Backoff, error.to_string()))
}

/// A URL with this path in place of its own.
fn at(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    let below = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{below}{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}
