//! Texts with `{name}` in them, and how a value is made safe for the place that it goes to.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986 unreserved characters is encoded.
const URL_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text in which `{name}` stands for a variable. Any other brace is itself: `{` that does not begin a name and a `}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// Where a rendered text goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Values are percent-encoded.
    Url,
    /// Values that carry CR, LF or NUL are refused.
    Header,
    /// Values go in as they are (a JSON string's escaping is the JSON writer's; a host name is checked by its parser).
    Plain,
}

/// Why a template could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No variable of that name.
    #[error("`{{{name}}}` has no value: no earlier step captured it")]
    Missing {
        /// The variable.
        name: String,
    },
    /// A header value would break the request.
    #[error("`{{{name}}}` holds a line break, which a header must not carry")]
    LineBreak {
        /// The variable.
        name: String,
    },
}

impl Template {
    /// Splits a text at its `{name}`s; names are letters, digits and `_`, not beginning with a digit.
    #[must_use]
    pub fn parse(source: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            text.push_str(before);
            match after[1..].split_once('}') {
                Some((name, tail)) if is_name(name) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Name(name.to_owned()));
                    rest = tail;
                }
                _ => {
                    text.push('{');
                    rest = &after[1..];
                }
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { source: source.to_owned(), parts }
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names that it needs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Whether it holds no variable at all, so that it may be rendered once and kept.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.names().next().is_none()
    }

    /// Puts the values in.
    pub fn render(&self, vars: &BTreeMap<String, String>, place: Place) -> Result<String, RenderError> {
        let mut text = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Name(name) => {
                    let value = vars.get(name).ok_or_else(|| RenderError::Missing { name: name.clone() })?;
                    match place {
                        Place::Url => text.extend(utf8_percent_encode(value, URL_VALUE)),
                        Place::Header if value.contains(['\r', '\n', '\0']) => {
                            return Err(RenderError::LineBreak { name: name.clone() });
                        }
                        Place::Header | Place::Plain => text.push_str(value),
                    }
                }
            }
        }
        Ok(text)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
