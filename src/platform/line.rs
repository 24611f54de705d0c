//! The requests of a login: few, small and not measured.
//!
//! Invariants: no redirect is followed, no proxy asked; an answer is at most [`BODY_CAP`] long and comes within
//! [`TIMEOUT`]; no text of an answer is told, because it may echo the secret that it was sent.

use std::{error::Error, path::PathBuf, time::Duration};

use hyper::{HeaderMap, StatusCode, header::LOCATION};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use super::{retry_after, tls};
use crate::expression::clean;

/// The longest answer that is read.
const BODY_CAP: usize = 64 * 1024;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait that an answer may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The error codes of RFC 6749 section 5.2; no other word of a refusal is told.
const CODES: &[&str] = &[
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Why a login failed, and when the next attempt makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words, cleaned, without any secret.
    pub(super) reason: String,
    /// When to try again.
    pub(super) pause: Pause,
}

/// When a login is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Soon, and later after every further failure.
    Backoff,
    /// When the answer says.
    Asked(Duration),
    /// Only a person can mend it: seldom, with secrets that are fetched anew.
    Seldom,
}

impl Trouble {
    pub(super) fn new(pause: Pause, reason: impl AsRef<str>) -> Self {
        Self { reason: clean(reason.as_ref(), 400), pause }
    }
}

/// One platform's way to its token endpoint.
#[derive(Debug)]
pub(super) struct Line {
    ca_file: Option<PathBuf>,
    client: OnceCell<reqwest::Client>,
}

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    asked: Url,
}

impl Line {
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, client: OnceCell::new() }
    }

    /// Asks once. `build` makes the request.
    pub(super) async fn ask(
        &self,
        url: Url,
        build: impl FnOnce(&reqwest::Client, Url) -> reqwest::RequestBuilder,
    ) -> Result<Answer, Trouble> {
        let backoff = |reason: String| Trouble::new(Pause::Backoff, reason);
        let client = self.client.get_or_try_init(|| client(self.ca_file.clone())).await;
        let client = client.map_err(|error| backoff(error.to_string()))?;
        let named = place(&url);
        let failed = |error: reqwest::Error| backoff(format!("{named}: {}", describe(&error)));
        let mut response = build(client, url.clone()).send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > BODY_CAP {
                return Err(backoff(format!("{named}: the answer is longer than 64 KiB")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: response.headers().clone(), body, asked: url })
    }
}

impl Answer {
    /// The JSON of a good answer; otherwise what is wrong, `key` being the one in the config that may mend it.
    pub(super) fn json(&self, key: &str) -> Result<Value, Trouble> {
        let named = place(&self.asked);
        if !self.status.is_success() {
            return Err(self.refusal(key));
        }
        serde_json::from_slice(&self.body).map_err(|_| {
            let content = self.headers.get(hyper::header::CONTENT_TYPE);
            let content = content.and_then(|value| value.to_str().ok()).unwrap_or("no content type");
            let content = content.split(';').next().unwrap_or_default();
            let reason =
                format!("{named}: the answer is no JSON ({}); is `{key}` right?", clean(content, 40));
            Trouble::new(Pause::Backoff, reason)
        })
    }

    /// What an answer that is no success means.
    pub(super) fn refusal(&self, key: &str) -> Trouble {
        let (named, status) = (place(&self.asked), self.status);
        if status.is_redirection() {
            let leads = self.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let leads = leads.and_then(|text| self.asked.join(text).ok());
            let leads = leads.as_ref().map_or_else(|| "nowhere".to_owned(), place);
            let reason = format!("{named} redirects to {leads}, not followed; correct `{key}`");
            return Trouble::new(Pause::Seldom, reason);
        }
        let wait = retry_after::wait(&self.headers).map(|wait| wait.min(LONGEST_WAIT));
        match status.as_u16() {
            429 | 503 => {
                let asks = wait.map(|wait| format!(", asks for {}", humantime::format_duration(wait)));
                let reason = format!("{named} answers {status}{}", asks.unwrap_or_default());
                Trouble::new(wait.map_or(Pause::Backoff, Pause::Asked), reason)
            }
            400 | 401 | 403 => {
                let code = self.code().map(|code| format!(" {code}")).unwrap_or_default();
                let reason = format!(
                    "the credentials are refused: {named} answers {}{code}; renew them, they are fetched again every \
                     minute",
                    status.as_u16()
                );
                Trouble::new(Pause::Seldom, reason)
            }
            _ => Trouble::new(Pause::Backoff, format!("{named} answers {status}")),
        }
    }

    fn code(&self) -> Option<&'static str> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let said = body.get("error")?.as_str()?;
        CODES.iter().find(|code| **code == said).copied()
    }
}

/// A URL in words: without its query, which may carry anything.
pub(super) fn place(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that cannot have them has none.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    clean(url.as_str(), 120)
}

/// Why no login can be sent at all.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error(transparent)]
    Trust(#[from] tls::TrustError),
    #[error("the login's HTTP client cannot be made: {0}")]
    Build(#[from] reqwest::Error),
}

async fn client(ca_file: Option<PathBuf>) -> Result<reqwest::Client, ClientError> {
    let config = tokio::task::spawn_blocking(move || tls::client_config(ca_file.as_ref(), &[]));
    let config = config.await.map_err(tls::TrustError::from)??;
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .user_agent(concat!("warroom/", env!("CARGO_PKG_VERSION")))
        .timeout(TIMEOUT)
        .build()?)
}

/// A failed request in short words: the innermost cause, which names neither URL nor header.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no complete answer within {} s", TIMEOUT.as_secs());
    }
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if let Some(io) = cause.downcast_ref::<std::io::Error>() {
        return match io.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
            _ => io.to_string(),
        };
    }
    if error.is_request() || error.is_connect() || error.is_body() || error.is_decode() {
        return clean(&cause.to_string(), 200);
    }
    "it cannot be asked".to_owned()
}
