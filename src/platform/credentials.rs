//! The headers and the bearer token of one platform, as they are sent.
//!
//! Invariant: every value is marked sensitive, so that neither its `Debug` output nor an HTTP/2 header table keeps it.

use std::fmt;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

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
    /// The headers that stand in the config, and the headers and bearer token that were revealed.
    pub fn new(
        plain: Vec<(HeaderName, HeaderValue)>,
        secret: Vec<(HeaderName, HeaderValue)>,
        bearer: Option<&str>,
    ) -> Result<Self, CredentialsError> {
        let bearer = bearer
            .map(|token| HeaderValue::from_str(&format!("Bearer {token}")))
            .transpose()
            .map_err(|_: InvalidHeaderValue| CredentialsError { what: "bearer token" })?
            .map(sensitive);
        let marked = |headers: Vec<(HeaderName, HeaderValue)>| {
            headers.into_iter().map(|(name, value)| (name, sensitive(value))).collect()
        };
        Ok(Self { plain: marked(plain), secret: marked(secret), bearer })
    }

    /// Puts the plain ones into a request's headers; a header that the request has already is replaced.
    pub fn attach_plain(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.plain {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Puts the secret ones into a request's headers; a header that the request has already is replaced.
    pub fn attach_secret(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.secret {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
    }

    /// Whether there is a secret to send.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        !self.secret.is_empty() || self.bearer.is_some()
    }
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
        credentials.attach_secret(&mut headers);
        let shown = format!("{credentials:?} {headers:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        assert_eq!(headers[AUTHORIZATION], "Bearer t0ken");
    }

    /// A token file that ends in two line breaks must be named as such, not show up as a failing login.
    #[test]
    fn a_token_with_a_line_break_is_refused_without_showing_it() {
        let error = Credentials::new(Vec::new(), Vec::new(), Some("abc\n")).unwrap_err().to_string();
        assert!(error.contains("bearer token") && !error.contains("abc"), "{error}");
    }
}
