//! How SIP messages travel: by datagrams of a connected socket, or on a TCP or TLS connection (RFC 3261 section 18).
//!
//! Invariants: a connected socket hears nobody but its peer; what is kept of a peer has a bounded length; waiting for a
//! message loses none when it is given up.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bytes::{Buf as _, BytesMut};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UdpSocket,
};

use super::message::{Response, body_length, head_end};
use crate::{
    config::sip::{SipAddress, SipTransport},
    probe::{
        client::Client,
        connect::{self, Progress},
        failure::{Failure, Stage, describe},
    },
};

/// The longest message that is read; one that does not fit is none that a probe asked for.
const LONGEST: usize = 64 * 1024;

/// One way to a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Datagrams to this address.
    Datagrams(SocketAddr),
    /// A connection to whichever address answers first.
    Connection,
}

/// An open way to a peer.
pub(crate) struct Link {
    local: SocketAddr,
    channel: Channel,
}

enum Channel {
    Datagrams { socket: UdpSocket, buffer: Vec<u8> },
    Stream { stream: Box<dyn Stream>, held: BytesMut },
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What came.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A response, whosever it is.
    Response(Response),
    /// Something else: a request, or no SIP.
    Noise,
}

/// The ways to an address, in the order in which they are tried.
pub(crate) async fn ways(
    client: &Client,
    address: &SipAddress,
    progress: &mut Progress,
) -> Result<Vec<Way>, Failure> {
    if address.transport != SipTransport::Udp {
        return Ok(vec![Way::Connection]);
    }
    let way = |ip| Way::Datagrams(SocketAddr::new(ip, address.port));
    if let Ok(ip) = address.host.parse::<IpAddr>() {
        return Ok(vec![way(ip)]);
    }
    let begun = client.clock.moment();
    let found = client.resolver.resolve(&address.host, &mut progress.stage).await?;
    progress.timings.dns = Some(client.clock.moment().since(begun));
    Ok(found.iter().copied().map(way).collect())
}

impl Link {
    /// Opens a way.
    pub(crate) async fn open(
        client: &Client,
        address: &SipAddress,
        way: Way,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let to = match way {
            Way::Connection => return Self::connect(client, address, progress).await,
            Way::Datagrams(to) => to,
        };
        let any =
            if to.is_ipv6() { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        let open = async {
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(to).await?;
            let local = socket.local_addr()?;
            Ok((socket, local))
        };
        let (socket, local) = open.await.map_err(|error| Failure::connecting(&error))?;
        Ok(Self { local, channel: Channel::Datagrams { socket, buffer: Vec::new() } })
    }

    async fn connect(
        client: &Client,
        address: &SipAddress,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let stream =
            connect::open(&address.host, address.port, &client.resolver, &*client.clock, progress).await?;
        let local = stream.local_addr().map_err(|error| Failure::connecting(&error))?;
        let held = BytesMut::new();
        if address.transport == SipTransport::Tcp {
            return Ok(Self { local, channel: Channel::Stream { stream: Box::new(stream), held } });
        }
        progress.stage = Stage::Handshaking;
        let name = ServerName::try_from(address.host.clone())
            .map_err(|error| Failure::answer(&format!("`{}` has no certificate: {error}", address.host)))?;
        let connector = client.trust.connector_without_protocols().await?;
        let begun = client.clock.moment();
        let stream = connector.connect(name, stream).await.map_err(|error| Failure::handshake(&error))?;
        progress.is_met = true;
        progress.timings.tls = Some(client.clock.moment().since(begun));
        Ok(Self { local, channel: Channel::Stream { stream: Box::new(stream), held } })
    }

    /// Address and port of our end.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether a message that is lost is for us to send again.
    pub(crate) fn loses(&self) -> bool {
        matches!(self.channel, Channel::Datagrams { .. })
    }

    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        match &mut self.channel {
            Channel::Datagrams { socket, .. } => {
                socket.send(message).await.map(|_| ()).map_err(|error| unreachable(&error))
            }
            Channel::Stream { stream, .. } => {
                let sent = async {
                    stream.write_all(message).await?;
                    stream.flush().await
                };
                sent.await.map_err(|error| Failure::connecting(&error))
            }
        }
    }

    /// The next message. It may be given up at any time without losing one.
    pub(crate) async fn hear(&mut self) -> Result<Heard, Failure> {
        match &mut self.channel {
            Channel::Datagrams { socket, buffer } => {
                // One byte more than fits, so that one that was cut is known.
                buffer.resize(LONGEST + 1, 0);
                let length = socket.recv(buffer).await.map_err(|error| unreachable(&error))?;
                let datagram = &buffer[..length];
                let head = if length > LONGEST { None } else { head_end(datagram) };
                let response = head.and_then(|end| Response::parse(&datagram[..end]));
                Ok(response.map_or(Heard::Noise, Heard::Response))
            }
            Channel::Stream { stream, held } => loop {
                if let Some(heard) = unframe(held)? {
                    return Ok(heard);
                }
                let read = stream.read_buf(held).await.map_err(|error| Failure::connecting(&error))?;
                if read == 0 {
                    return Err(Failure::transport("connection closed before the answer"));
                }
            },
        }
    }
}

/// The first whole message of a stream, if there is one (section 18.3).
fn unframe(held: &mut BytesMut) -> Result<Option<Heard>, Failure> {
    // Empty lines before a message keep a connection alive (section 7.5).
    while held.starts_with(b"\r\n") {
        held.advance(2);
    }
    let too_long = || Failure::answer("the answer is longer than 64 KiB");
    let Some(end) = head_end(held) else {
        return if held.len() > LONGEST { Err(too_long()) } else { Ok(None) };
    };
    let length = body_length(&held[..end]).ok_or_else(|| {
        Failure::answer("not a SIP answer: on a connection, a message must say its Content-Length")
    })?;
    let whole = end.checked_add(length).filter(|whole| *whole <= LONGEST).ok_or_else(too_long)?;
    if held.len() < whole {
        return Ok(None);
    }
    let message = held.split_to(whole);
    Ok(Some(Response::parse(&message[..end]).map_or(Heard::Noise, Heard::Response)))
}

/// Why a datagram did not arrive: a host answers by ICMP that nobody listens there.
fn unreachable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return Failure::transport(&format!("{}: nobody listens on that port", describe(error)));
    }
    Failure::connecting(error)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    const OK: &str = "SIP/2.0 200 OK\r\nCall-ID: a\r\nContent-Length: 4\r\n\r\nbody";

    /// A peer that answers twice in one segment, or once in many, is understood all the same.
    #[test]
    fn a_stream_is_cut_into_its_messages() {
        let mut held = BytesMut::from(format!("\r\n\r\n{OK}{OK}").as_bytes());
        for _ in 0..2 {
            let Some(Heard::Response(response)) = unframe(&mut held).unwrap() else { unreachable!() };
            assert_eq!(response.status, 200);
        }
        assert!(held.is_empty());
        let mut held = BytesMut::new();
        for byte in &OK.as_bytes()[..OK.len() - 1] {
            held.extend_from_slice(&[*byte]);
            assert!(unframe(&mut held).unwrap().is_none());
        }
        held.extend_from_slice(b"y");
        assert!(matches!(unframe(&mut held).unwrap(), Some(Heard::Response(_))));
    }

    #[test]
    fn a_stream_that_never_ends_is_given_up() {
        let reason = |bytes: &[u8]| unframe(&mut BytesMut::from(bytes)).unwrap_err().reason;
        assert_eq!(reason(&vec![b'x'; LONGEST + 1]), "the answer is longer than 64 KiB");
        let endless = |length: &str| OK.replace(": 4", &format!(": {length}"));
        assert_eq!(reason(endless("99999999").as_bytes()), "the answer is longer than 64 KiB");
        assert_eq!(reason(endless(&usize::MAX.to_string()).as_bytes()), "the answer is longer than 64 KiB");
        assert!(reason(endless("-1").as_bytes()).contains("Content-Length"));
        assert!(reason(b"HTTP/1.1 400 Bad Request\r\n\r\n").starts_with("not a SIP answer"));
    }
}
