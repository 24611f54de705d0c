//! SIP addresses as a step names them (RFC 3261 section 19.1).

use std::{fmt, net::Ipv6Addr};

/// Where a SIP request goes, and by which transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipAddress {
    /// Whether it is a `sips:` address, for which TLS is the only way.
    pub secure: bool,
    /// Who is asked for, as it is written.
    pub user: Option<String>,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// The port as it is written, or the transport's own.
    pub port: u16,
    /// How the request travels.
    pub transport: SipTransport,
    /// Host, port and parameters as they are written.
    rest: String,
}

/// How a SIP request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipTransport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
}

impl SipTransport {
    /// The word in an address: `udp`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    const fn usual_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// Why a text is no SIP address; the words say what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SipAddressError {
    /// It looks like none.
    #[error("it must be a SIP address such as \"sip:host:5060;transport=udp\"")]
    Form,
    /// It carries a password.
    #[error("a SIP address must not carry a password")]
    Password,
    /// The port is none.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// The transport is none that can be spoken.
    #[error("`transport` must be udp, tcp or tls")]
    Transport,
    /// `sips:` by datagrams.
    #[error("`sips:` travels by TLS alone; take `transport` away")]
    Unsafe,
}

impl SipAddress {
    /// Reads an address such as `sip:+15551234567@edge.example.com:5060;transport=tcp`.
    pub fn parse(text: &str) -> Result<Self, SipAddressError> {
        let unfit =
            |letter: char| !letter.is_ascii_graphic() || matches!(letter, '<' | '>' | '"' | '{' | '}');
        if text.contains(unfit) {
            return Err(SipAddressError::Form);
        }
        let (scheme, rest) = text.split_once(':').ok_or(SipAddressError::Form)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "sip" => false,
            "sips" => true,
            _ => return Err(SipAddressError::Form),
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(SipAddressError::Password),
            Some((user, _)) if !is_user(user) => return Err(SipAddressError::Form),
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        if rest.contains('?') || (rest.contains(';') && parameters.split(';').any(str::is_empty)) {
            return Err(SipAddressError::Form);
        }
        let (host, port) = split_place(place)?;
        let named = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.eq_ignore_ascii_case("transport").then(|| value.to_ascii_lowercase())
        });
        let transport = match (secure, named.as_deref()) {
            (true, Some("udp")) => return Err(SipAddressError::Unsafe),
            (true, None | Some("tcp" | "tls")) | (false, Some("tls")) => SipTransport::Tls,
            (false, None | Some("udp")) => SipTransport::Udp,
            (false, Some("tcp")) => SipTransport::Tcp,
            _ => return Err(SipAddressError::Transport),
        };
        Ok(Self {
            secure,
            user,
            host: host.to_owned(),
            port: port.unwrap_or(transport.usual_port()),
            transport,
            rest: rest.to_owned(),
        })
    }

    /// The scheme: `sip` or `sips`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "sips" } else { "sip" }
    }
}

/// As it was written, the user included.
impl fmt::Display for SipAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.scheme())?;
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        formatter.write_str(&self.rest)
    }
}

/// Whether a text may stand before the `@` (RFC 3261 section 25.1, `user`).
#[must_use]
pub fn is_user(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/%".contains(letter))
}

/// Whether a text may stand after the `@` of who asks: a name or an address, perhaps with a port.
#[must_use]
pub fn is_place(text: &str) -> bool {
    split_place(text).is_ok()
}

/// Host, without the brackets of IPv6, and port.
fn split_place(place: &str) -> Result<(&str, Option<u16>), SipAddressError> {
    let (host, port) = if let Some(inner) = place.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or(SipAddressError::Form)?;
        host.parse::<Ipv6Addr>().map_err(|_| SipAddressError::Form)?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(SipAddressError::Form),
        }
    } else {
        let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(SipAddressError::Form);
        }
        (host, port)
    };
    let port = port.map(|port| match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(SipAddressError::Port),
    });
    Ok((host, port.transpose()?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn an_address_says_where_and_how() {
        let read = |text| {
            let address = SipAddress::parse(text).unwrap();
            assert_eq!(address.to_string().to_lowercase(), text.to_lowercase());
            (address.user, address.host, address.port, address.transport)
        };
        let udp = SipTransport::Udp;
        assert_eq!(read("sip:edge.example.com"), (None, "edge.example.com".into(), 5060, udp));
        assert_eq!(
            read("sip:edge.example.com:5070;transport=UDP"),
            (None, "edge.example.com".into(), 5070, udp)
        );
        assert_eq!(
            read("sip:+15551234567;tgrp=a;trunk-context=b@[::1]:5080;transport=tcp;user=phone"),
            (Some("+15551234567;tgrp=a;trunk-context=b".into()), "::1".into(), 5080, SipTransport::Tcp)
        );
        assert_eq!(
            read("sips:a@edge.example.com"),
            (Some("a".into()), "edge.example.com".into(), 5061, SipTransport::Tls)
        );
        assert_eq!(read("sip:192.0.2.1;transport=tls"), (None, "192.0.2.1".into(), 5061, SipTransport::Tls));
    }

    #[test]
    fn what_is_no_address_says_what_would_be_right() {
        use SipAddressError::{Form, Password, Port, Transport, Unsafe};
        for (wrong, why) in [
            ("edge.example.com", Form),
            ("http:edge.example.com", Form),
            ("sip:", Form),
            ("sip:a b", Form),
            ("sip:host\r\nX: y", Form),
            ("sip:host>", Form),
            ("sip:@host", Form),
            ("sip:::1", Form),
            ("sip:[::1", Form),
            ("sip:[::1]5060", Form),
            ("sip:host;;lr", Form),
            ("sip:host?subject=x", Form),
            ("sip:a:hunter2@host", Password),
            ("sip:host:0", Port),
            ("sip:host:+5", Port),
            ("sip:host:99999", Port),
            ("sip:host;transport=sctp", Transport),
            ("sips:host;transport=udp", Unsafe),
        ] {
            assert_eq!(SipAddress::parse(wrong), Err(why), "{wrong}");
        }
    }
}
