//! SIP messages: requests as they are written, responses as they are read (RFC 3261 sections 7 and 20).
//!
//! Invariants: what stands in a request was checked before, by the config or by [`is_token`] and [`target_of`]; a
//! response's texts are foreign and uncleaned. Only here is it known which library takes a response apart.

use std::{fmt::Write as _, time::Duration};

use rsipstack::sip::{HasHeaders as _, SipMessage};

use crate::config::sip::{SipAddress, SipTransport};

/// The longest text of a peer's own that goes into a request of ours.
const ECHO_CAP: usize = 512;
/// Routes of a peer that are followed.
const ROUTE_CAP: usize = 16;

/// Methods that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Options,
    Invite,
    Ack,
    Cancel,
    Bye,
}

impl Method {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Cancel => "CANCEL",
            Self::Bye => "BYE",
        }
    }
}

/// What all requests of one exchange share.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The address that is asked: the Request-URI and the `To`.
    pub(crate) uri: String,
    /// The `From` without its tag: `sip:warroom@192.0.2.1`.
    pub(crate) from: String,
    pub(crate) from_tag: String,
    pub(crate) call_id: String,
    /// Address and port of our end.
    pub(crate) local: std::net::SocketAddr,
    pub(crate) transport: SipTransport,
    /// Whether the address is a `sips:` one.
    pub(crate) secure: bool,
    /// Headers that the step adds, as they are written.
    pub(crate) headers: Vec<(String, String)>,
}

/// What one request has besides.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) uri: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) to_tag: Option<&'a str>,
    pub(crate) sequence: u32,
    pub(crate) routes: &'a [String],
    /// Seconds after which the other side may end the ringing by itself.
    pub(crate) expires: Option<u64>,
    pub(crate) body: Option<String>,
}

impl Envelope {
    /// A request about the address that is asked.
    pub(crate) fn about(&self, method: Method, branch: &str) -> Vec<u8> {
        self.write(&Request {
            method,
            uri: &self.uri,
            branch,
            to_tag: None,
            sequence: 1,
            routes: &[],
            expires: None,
            body: None,
        })
    }

    /// A request as it is sent.
    pub(crate) fn write(&self, request: &Request<'_>) -> Vec<u8> {
        let method = request.method.word();
        let mut text = format!("{method} {} SIP/2.0\r\n", request.uri);
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let written = write!(text, "{name}: {value}\r\n");
            debug_assert!(written.is_ok(), "a String takes every text");
        };
        let via = self.transport.word().to_ascii_uppercase();
        line("Via", &format_args!("SIP/2.0/{via} {};branch={};rport", self.local, request.branch));
        let own_hops = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("max-forwards"));
        line("Max-Forwards", &own_hops.map_or("70", |(_, hops)| hops));
        for route in request.routes {
            line("Route", route);
        }
        line("From", &format_args!("<{}>;tag={}", self.from, self.from_tag));
        match request.to_tag {
            Some(tag) => line("To", &format_args!("<{}>;tag={tag}", self.uri)),
            None => line("To", &format_args!("<{}>", self.uri)),
        }
        line("Call-ID", &self.call_id);
        line("CSeq", &format_args!("{} {method}", request.sequence));
        // A request without a Contact is refused by some, Microsoft Teams for one.
        if matches!(request.method, Method::Options | Method::Invite) {
            line("Contact", &self.contact());
            line("Accept", &"application/sdp");
        }
        line("User-Agent", &concat!("warroom/", env!("CARGO_PKG_VERSION")));
        if request.method == Method::Invite {
            line("Allow", &"INVITE, ACK, CANCEL, BYE, OPTIONS");
        }
        if let Some(seconds) = request.expires {
            line("Expires", &seconds);
        }
        let asks = matches!(request.method, Method::Options | Method::Invite);
        let own = self.headers.iter().filter(|(name, _)| asks && !name.eq_ignore_ascii_case("max-forwards"));
        own.for_each(|(name, value)| line(name, value));
        let body = request.body.as_deref().unwrap_or_default();
        if request.body.is_some() {
            line("Content-Type", &"application/sdp");
        }
        line("Content-Length", &body.len());
        text.push_str("\r\n");
        text.push_str(body);
        text.into_bytes()
    }

    fn contact(&self) -> String {
        let (scheme, parameter) = match (self.secure, self.transport) {
            (true, _) => ("sips", ""),
            (false, SipTransport::Udp) => ("sip", ""),
            (false, SipTransport::Tcp) => ("sip", ";transport=tcp"),
            (false, SipTransport::Tls) => ("sip", ";transport=tls"),
        };
        format!("<{scheme}:warroom@{}{parameter}>", self.local)
    }

    /// The smallest offer that is valid (RFC 4566, RFC 3264): one audio stream in which nobody speaks.
    pub(crate) fn offer(&self, session: u64) -> String {
        let address = self.local.ip();
        let family = if address.is_ipv6() { "IP6" } else { "IP4" };
        format!(
            "v=0\r\no=- {session} 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
             m=audio 9 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=inactive\r\n"
        )
    }
}

/// A response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// 100 to 699.
    pub(crate) status: u16,
    /// The phrase behind it; the standard one where there is none.
    pub(crate) reason: String,
    /// Names in lower case and in full, in the order of the message.
    pub(crate) headers: Vec<(String, String)>,
}

impl Response {
    /// Reads a response's head: the bytes up to and with the empty line. `None` for a request and for what is no SIP.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        // A byte that is no UTF-8 must cost its own header's beauty, not the headers behind it.
        let text = String::from_utf8_lossy(head);
        if !text.starts_with("SIP/2.0 ") {
            return None;
        }
        let Ok(SipMessage::Response(response)) = SipMessage::try_from(text.as_bytes()) else { return None };
        let status = response.status_code.code();
        if !(100..=699).contains(&status) {
            return None;
        }
        let headers = response.headers().iter();
        let headers =
            headers.map(|header| (header.name().to_ascii_lowercase(), header.value().to_owned())).collect();
        let reason = response.wire_reason.clone().unwrap_or_else(|| response.status_code.text().to_owned());
        Some(Self { status, reason, headers })
    }

    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_final(&self) -> bool {
        self.status >= 200
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The branch of the topmost `Via`: whose answer it is.
    pub(crate) fn branch(&self) -> Option<&str> {
        let topmost = first_of_list(self.header("via")?);
        parameter(topmost, "branch")
    }

    /// Number and method of the request that is answered.
    pub(crate) fn sequence(&self) -> Option<(u32, &str)> {
        let mut words = self.header("cseq")?.split_ascii_whitespace();
        let (number, method) = (words.next()?.parse().ok()?, words.next()?);
        words.next().is_none().then_some((number, method))
    }

    /// The tag that the other side gave the call, if it is one.
    pub(crate) fn to_tag(&self) -> Option<&str> {
        let to = self.header("to")?;
        let behind = to.rsplit_once('>').map_or(to, |(_, behind)| behind);
        parameter(behind, "tag").filter(|tag| is_token(tag))
    }

    /// Where requests within the call go (RFC 3261 section 12.1.2), if it is an address.
    pub(crate) fn target(&self) -> Option<String> {
        target_of(self.header("contact")?)
    }

    /// The way there: the `Record-Route`s, the last first.
    pub(crate) fn routes(&self) -> Vec<String> {
        let named = self.headers.iter().filter(|(name, _)| name == "record-route");
        let mut routes: Vec<String> = named
            .flat_map(|(_, value)| value.split(','))
            .filter_map(target_of)
            .map(|uri| format!("<{uri}>"))
            .take(ROUTE_CAP)
            .collect();
        routes.reverse();
        routes
    }

    /// The host in the first `Contact`.
    pub(crate) fn contact_host(&self) -> Option<String> {
        SipAddress::parse(&self.target()?).ok().map(|address| address.host)
    }

    /// How long it asks us to wait (RFC 3261 section 20.33): seconds, perhaps with a comment and parameters.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim_start();
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).map_or(text, |end| &text[..end]);
        let behind = text[digits.len()..].trim_start();
        if digits.is_empty() || !(behind.is_empty() || behind.starts_with(['(', ';'])) {
            return None;
        }
        Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
    }
}

/// The first entry of a list that commas part.
fn first_of_list(text: &str) -> &str {
    text.split(',').next().unwrap_or(text)
}

/// The value of a parameter behind a `;`.
fn parameter<'t>(text: &'t str, wanted: &str) -> Option<&'t str> {
    text.split(';').skip(1).find_map(|one| {
        let (name, value) = one.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then_some(value.trim())
    })
}

/// Whether a peer's text may be repeated as a tag (RFC 3261 section 25.1, `token`).
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(letter);
    !text.is_empty() && text.len() <= ECHO_CAP && text.chars().all(fits)
}

/// The address in a peer's `Contact` or `Record-Route`, if it can be repeated in a request of ours.
fn target_of(text: &str) -> Option<String> {
    let uri = match text.split_once('<') {
        Some((_, inner)) => inner.split_once('>')?.0,
        // Without brackets, parameters are the header's own (RFC 3261 section 20).
        None => first_of_list(text).split(';').next()?,
    };
    let uri = uri.trim();
    (uri.len() <= ECHO_CAP && SipAddress::parse(uri).is_ok()).then(|| uri.to_owned())
}

/// Where the head at the beginning of these bytes ends, its empty line included.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the body behind a head, as the head says; `None` where it says none or nonsense.
pub(crate) fn body_length(head: &[u8]) -> Option<usize> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        let is_length = name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l");
        is_length.then(|| value.trim().parse().ok())
    })?
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
