//! The secret headers and the bearer token that a platform's requests carry.
//!
//! Invariant: every value is marked sensitive, so that neither its `Debug` output nor an HTTP/2 header table keeps it.

use std::{fmt, ops::Range};

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::config::model::{Platform, Text};

/// A secret, or a beginning of one, that is shorter than this many bytes stands in other texts by chance.
const SHORTEST: usize = 6;

/// What a platform's requests carry besides their own headers; sent to the origin of its base URL alone.
#[derive(Clone, Default)]
pub struct Credentials {
    plain: Vec<(HeaderName, HeaderValue)>,
    secret: Vec<(HeaderName, HeaderValue)>,
    bearer: Option<HeaderValue>,
}

/// Why a revealed secret cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {what} holds a byte that an HTTP header must not carry; look for a stray line break in its source"
)]
pub struct CredentialsError {
    what: &'static str,
}

impl Credentials {
    /// Whether the other ones send the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.plain, &self.secret, &self.bearer) == (&other.plain, &other.secret, &other.bearer)
    }

    /// The headers that stand in the config, and the headers and bearer token that were revealed.
    pub fn new(
        plain: Vec<(HeaderName, HeaderValue)>,
        secret: Vec<(HeaderName, HeaderValue)>,
        bearer: Option<&str>,
    ) -> Result<Self, CredentialsError> {
        let marked = |headers: Vec<(HeaderName, HeaderValue)>| {
            headers.into_iter().map(|(name, value)| (name, sensitive(value))).collect()
        };
        let credentials = Self { plain: marked(plain), secret: marked(secret), bearer: None };
        match bearer {
            Some(token) => credentials.with_bearer(token),
            None => Ok(credentials),
        }
    }

    /// Those of a platform as its config says, its login left out. Blocks on files and programs.
    pub fn reveal(platform: &Platform) -> Result<Self, String> {
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
        let bearer = match &platform.bearer {
            Some(secret) => Some(secret.reveal().map_err(|error| error.to_string())?),
            None => None,
        };
        let bearer = bearer.as_ref().map(ExposeSecret::expose_secret);
        Self::new(plain, secret, bearer).map_err(|error| error.to_string())
    }

    /// The headers that stand in a platform's config as they are, without any secret.
    #[must_use]
    pub fn plain(platform: &Platform) -> Self {
        let plain = platform.headers.iter().filter_map(|(name, text)| {
            let Text::Plain(text) = text else { return None };
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, sensitive(HeaderValue::from_str(text).ok()?)))
        });
        Self { plain: plain.collect(), ..Self::default() }
    }

    /// The same with this bearer token.
    pub fn with_bearer(mut self, token: &str) -> Result<Self, CredentialsError> {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let value = value.map_err(|_| CredentialsError { what: "bearer token" })?;
        self.bearer = Some(sensitive(value));
        Ok(self)
    }

    /// Puts the plain ones into a request's headers; a header that the request has already is replaced.
    pub fn attach_plain(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.plain {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Puts the secret ones into a request's headers, except where the request brings its own; says whether it is by
    /// these that the platform will know us: by the bearer where there is one.
    pub fn attach_secret(&self, headers: &mut HeaderMap) -> bool {
        let mut known_by = false;
        for (name, value) in &self.secret {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
                known_by = true;
            }
        }
        let Some(bearer) = &self.bearer else { return known_by };
        let vacant = !headers.contains_key(AUTHORIZATION);
        if vacant {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        vacant
    }

    /// Whether there is a secret to send.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        !self.secret.is_empty() || self.bearer.is_some()
    }

    /// The text with every secret in it blanked: an answer may echo what it was sent.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let bearer = self.bearer.iter().map(|value| (value, "Bearer ".len()));
        let values = self.secret.iter().map(|(_, value)| (value, 0)).chain(bearer);
        let mut text = text.to_owned();
        for (value, prefix) in values {
            let secret = value.to_str().ok().and_then(|value| value.get(prefix..));
            let Some(secret) = secret.filter(|secret| secret.len() >= SHORTEST) else { continue };
            if text.contains(secret) {
                text = text.replace(secret, "(hidden)");
            }
            while let Some(begun) = cut_off(&text, secret) {
                text.replace_range(begun, "(hidden)");
            }
        }
        text
    }
}

/// Where the beginning of a secret stands whose rest was cut off: at the end of the text, or before a `…`.
fn cut_off(text: &str, secret: &str) -> Option<Range<usize>> {
    let mut ends = text.match_indices('…').map(|(at, _)| at).chain([text.len()]);
    ends.find_map(|end| {
        let longest = (SHORTEST..secret.len()).rev().filter(|length| secret.is_char_boundary(*length));
        let length = longest.into_iter().find(|length| text[..end].ends_with(&secret[..*length]))?;
        Some(end - length..end)
    })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.plain.iter().chain(&self.secret).map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Credentials")
            .field("headers", &names)
            .field("bearer", &self.bearer.as_ref().map(|_| "hidden"))
            .finish()
    }
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    /// A token in a log line would be a token for everybody who reads logs.
    #[test]
    fn debug_output_hides_every_value() {
        let header = (HeaderName::from_static("x-key"), HeaderValue::from_static("s3cret"));
        let credentials = Credentials::new(Vec::new(), vec![header], Some("t0ken")).unwrap();
        let mut headers = HeaderMap::new();
        assert!(credentials.attach_secret(&mut headers));
        let shown = format!("{credentials:?} {headers:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        assert_eq!(headers[AUTHORIZATION], "Bearer t0ken");
    }

    /// Reasons and names are cut before they are told; the beginning of a token is half of it all the same.
    #[test]
    fn the_beginning_of_a_secret_that_was_cut_off_is_hidden_too() {
        let credentials = Credentials::new(Vec::new(), Vec::new(), Some("abcdefghijklmnop")).unwrap();
        assert_eq!(credentials.redact("served by abcdefghij"), "served by (hidden)");
        assert_eq!(credentials.redact("was \"abcdefg…\", abcdefghijklmnop"), "was \"(hidden)…\", (hidden)");
        assert_eq!(credentials.redact("abcde… and abcdex"), "abcde… and abcdex");
    }

    /// A token file that ends in two line breaks must be named as such, not show up as a failing login.
    #[test]
    fn a_token_with_a_line_break_is_refused_without_showing_it() {
        let error = Credentials::new(Vec::new(), Vec::new(), Some("abc\n")).unwrap_err().to_string();
        assert!(error.contains("bearer token") && !error.contains("abc"), "{error}");
    }

    /// A step that logs in by itself must not have its own token replaced, nor be taken for one that carries ours.
    #[test]
    fn a_request_keeps_what_it_brings() {
        let credentials = Credentials::new(Vec::new(), Vec::new(), Some("t0ken")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic eA=="));
        assert!(!credentials.attach_secret(&mut headers));
        assert_eq!(headers[AUTHORIZATION], "Basic eA==");
    }

    #[test]
    fn an_echoed_secret_is_blanked() {
        let header = (HeaderName::from_static("x-key"), HeaderValue::from_static("s3cret"));
        let credentials = Credentials::new(Vec::new(), vec![header], Some("t0ken-1")).unwrap();
        let told = credentials.redact("sent Bearer t0ken-1 and s3cret to x");
        assert_eq!(told, "sent Bearer (hidden) and (hidden) to x");
    }
}
