//! Values with a form of their own: durations, rates, addresses, headers, secrets, expressions.

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use hyper::header::{HeaderName, HeaderValue};
use url::Url;

use super::{
    model::{Rate, Secret, Text},
    reading::{Entry, nearest},
    template::Template,
};
use crate::expression::{Expression, clean};

/// The longest duration that makes sense anywhere in a config.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// What to write in a secret's place.
pub(crate) const SECRET_CURE: &str =
    "write { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"program\", \"argument\"] }";

impl Entry<'_, '_> {
    /// A duration over zero: `"500ms"`, `"5s"`, `"24h"`.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let written = self.value.get_ref().as_str();
        let duration = written
            .and_then(|text| humantime::parse_duration(text.trim()).ok())
            .filter(|duration| !duration.is_zero() && *duration <= LONGEST);
        if duration.is_none() {
            self.wrong("it must be a duration over zero such as \"500ms\", \"5s\" or \"24h\"");
        }
        duration
    }

    /// A rate: `"240/min"`.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let rate = self.value.get_ref().as_str().and_then(|text| {
            let (count, unit) = text.split_once('/')?;
            let seconds = match unit.trim() {
                "s" | "sec" => 1,
                "min" | "m" => 60,
                "h" | "hour" => 3600,
                _ => return None,
            };
            Some(Rate {
                requests: count.trim().parse::<NonZeroU32>().ok()?,
                per: Duration::from_secs(seconds),
            })
        });
        if rate.is_none() {
            self.wrong("it must be a rate such as \"240/min\", \"10/s\" or \"5000/h\"");
        }
        rate
    }

    /// A whole `http` or `https` URL without credentials in it.
    pub(crate) fn http_url(&self) -> Option<Url> {
        let text = self.text()?;
        match http_url(text) {
            Ok(url) => Some(url),
            Err(UrlError::Credentials) => {
                self.wrong_secret(
                    "carries a user or password",
                    format!("take it out of the URL: {SECRET_CURE}"),
                );
                None
            }
            Err(UrlError::Form) => {
                self.wrong("it must be a URL such as \"https://api.example.com\"");
                None
            }
        }
    }

    /// A reference to a secret.
    pub(crate) fn secret(&self) -> Option<Secret> {
        if self.value.get_ref().as_table().is_none() {
            self.wrong_secret("is written in the file, where a secret must never stand", SECRET_CURE);
            return None;
        }
        let section = self.section(format!("the secret `{}`", clean(self.name, 60)))?;
        let env = section.get("env");
        let file = section.get("file");
        let command = section.get("command");
        let given = [&env, &file, &command].into_iter().flatten().count();
        let secret = if given == 1 {
            env.and_then(|env| Some(Secret::Env(env.variable()?)))
                .or_else(|| file.and_then(|file| Some(Secret::File(PathBuf::from(file.line()?)))))
                .or_else(|| command.and_then(|command| command.program()))
        } else {
            self.wrong_secret(&format!("names {given} places to find it"), SECRET_CURE);
            None
        };
        section.close();
        secret
    }

    fn variable(&self) -> Option<String> {
        let name = self.line()?;
        if name.contains(['=', ' ']) {
            self.wrong("it must be the name of an environment variable");
            return None;
        }
        Some(name.to_owned())
    }

    fn program(&self) -> Option<Secret> {
        let words = self.lines();
        if words.is_empty() {
            self.wrong(
                "it must name the program and its arguments, for example [\"pass\", \"show\", \"token\"]",
            );
            return None;
        }
        Some(Secret::Command(words))
    }

    /// A header's value: a text, or a reference to a secret.
    pub(crate) fn header_text(&self) -> Option<Text> {
        if self.value.get_ref().is_table() {
            return self.secret().map(Text::Secret);
        }
        if is_secret_header(self.name) {
            self.wrong_secret("is written in the file, where a secret must never stand", SECRET_CURE);
            return None;
        }
        self.header_value().map(|text| Text::Plain(text.to_owned()))
    }

    /// A text that may be sent as a header's value.
    pub(crate) fn header_value(&self) -> Option<&str> {
        let text = self.value.get_ref().as_str();
        match text {
            Some(text) if HeaderValue::from_str(text).is_ok() => Some(text),
            Some(_) => {
                self.wrong("a header's value must not hold line breaks or control characters");
                None
            }
            None => {
                self.wrong("it must be a text in quotes");
                None
            }
        }
    }

    /// The key as a header's name, in lower case.
    pub(crate) fn header_name(&self) -> Option<String> {
        let name = HeaderName::from_bytes(self.name.as_bytes()).ok();
        if name.is_none() {
            self.error(
                format!("`{}` in the headers of {} is no header name", clean(self.name, 60), self.what),
                "a header name is letters, digits and `-`",
            );
        }
        name.map(|name| name.as_str().to_owned())
    }

    /// A CEL expression over the given variables.
    pub(crate) fn expression(&self, roots: &[&str]) -> Option<Expression> {
        let text = self.text()?;
        match Expression::compile_for(text, roots) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let place = if error.line > 1 {
                    format!("line {}, column {}", error.line, error.column)
                } else {
                    format!("column {}", error.column)
                };
                self.error(
                    format!(
                        "`{}` of {} is no expression: {} at {place} of `{}`",
                        clean(self.name, 60),
                        self.what,
                        error.message,
                        clean(text, 100)
                    ),
                    "see https://cel.dev for the language",
                );
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<'w>(&self, words: &[&'w str]) -> Option<&'w str> {
        let text = self.text()?;
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Some(word);
        }
        let all: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let near =
            nearest(text, words).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        self.wrong(format!("it must be one of {}{near}", all.join(", ")));
        None
    }

    /// An id: letters, digits, `_`, `-` and `.`, at most 64 of them.
    pub(crate) fn id(&self) -> Option<String> {
        let text = self.text()?;
        if !is_id(text) {
            self.wrong("an id is 1 to 64 letters, digits, `_`, `-` or `.`, beginning with a letter or digit");
            return None;
        }
        Some(text.to_owned())
    }

    /// `host:port`, where the host may hold `{name}`s.
    pub(crate) fn host_and_port(&self) -> Option<Template> {
        let text = self.line()?;
        let port = text.rsplit_once(':').filter(|(host, port)| {
            !host.is_empty()
                && !host.contains(['/', ' ', '@'])
                && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
                && (port.contains('{') || port.parse::<u16>().is_ok_and(|port| port > 0))
        });
        if port.is_none() {
            self.wrong("it must be a host and a port such as \"db.example.com:5432\" or \"[::1]:5432\"");
            return None;
        }
        Some(Template::parse(text))
    }

    /// `address:port` that something listens on.
    pub(crate) fn listen(&self) -> Option<std::net::SocketAddr> {
        let address = self.value.get_ref().as_str().and_then(|text| text.parse().ok());
        if address.is_none() {
            self.wrong("it must be an address and a port such as \"127.0.0.1:9464\"");
        }
        address
    }
}

/// Why a text is no usable URL.
pub(crate) enum UrlError {
    /// It carries a user or password.
    Credentials,
    /// It is no whole `http` or `https` URL.
    Form,
}

/// A whole `http` or `https` URL.
pub(crate) fn http_url(text: &str) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|_| UrlError::Form)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(UrlError::Form);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    Ok(url)
}

/// Whether a secret may be sent there: by TLS, or to this machine by its very name. A name below `localhost` may be
/// another machine's: not every resolver keeps it here.
pub(crate) fn is_confidential(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(url::Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            None => false,
        }
}

/// Whether a header of that name carries a secret.
pub(crate) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie" | "x-api-key" | "x-auth-token")
        || ["secret", "password", "api-key", "apikey", "token"].iter().any(|part| name.contains(part))
}

/// Whether a text is an id.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

/// A duration as it is written in a config: `"500ms"`.
pub(crate) fn in_words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
