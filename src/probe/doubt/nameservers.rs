//! Whether any nameserver of this machine can be asked at all.
//!
//! Each is asked for the servers of the root (RFC 1034 section 3.6, RFC 1035 section 4.1), whatever that comes to: a server
//! elsewhere that answers has been reached. One on this machine (a stub or a cache) always answers, and only what it hands
//! on counts, so that its SERVFAIL says that nothing was reached.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::net::UdpSocket;

/// How long they may take together: one that is heard at all is heard sooner.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Nameservers that are asked, as many as the system's own resolver asks (resolv.conf(5)).
const SERVERS: usize = 3;

const PORT: u16 = 53;

/// Standard query 0x5761 with recursion: the root (an empty name), type NS, class IN.
const QUESTION: [u8; 17] = [0x57, 0x61, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// The response code of a server that could not find out (RFC 1035 section 4.1.1).
const SERVFAIL: u8 = 2;

/// The nameservers of this machine.
#[derive(Debug)]
pub(crate) enum Nameservers {
    /// Those that stand in this file.
    Listed(PathBuf),
    /// These.
    #[cfg(test)]
    At(Vec<SocketAddr>),
}

impl Nameservers {
    /// Those of the system's resolver.
    pub(crate) fn of_this_machine() -> Self {
        Self::Listed(PathBuf::from("/etc/resolv.conf"))
    }

    /// Whether one of them can be reached; also where that cannot be told.
    pub(super) async fn are_reached(&self) -> bool {
        let servers = match self {
            Self::Listed(path) => servers(&tokio::fs::read_to_string(path).await.unwrap_or_default()),
            #[cfg(test)]
            Self::At(servers) => Some(servers.clone()),
        };
        let Some(servers) = servers else { return true };
        let mut asks: FuturesUnordered<_> = servers.into_iter().map(is_reached).collect();
        let any = async {
            while let Some(reached) = asks.next().await {
                if reached {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(TIMEOUT, any).await.unwrap_or(false)
    }
}

/// The servers that a resolv.conf names, this machine itself where it names none; `None` where one of them cannot be asked
/// by its address alone (`fe80::1%eth0`).
fn servers(text: &str) -> Option<Vec<SocketAddr>> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let addresses: Option<Vec<IpAddr>> = named.take(SERVERS).map(|name| name.parse().ok()).collect();
    let mut addresses = addresses?;
    if addresses.is_empty() {
        addresses.push(IpAddr::from([127, 0, 0, 1]));
    }
    Some(addresses.into_iter().map(|address| SocketAddr::new(address, PORT)).collect())
}

async fn is_reached(server: SocketAddr) -> bool {
    let any = if server.is_ipv6() { IpAddr::from([0_u16; 8]) } else { IpAddr::from([0_u8; 4]) };
    let ask = async {
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.send(&QUESTION).await?;
        let mut answer = [0; 512];
        loop {
            let length = socket.recv(&mut answer).await?;
            if let Some(code) = response_code(&answer[..length]) {
                return std::io::Result::Ok(code);
            }
        }
    };
    match ask.await {
        Ok(code) => !server.ip().is_loopback() || code != SERVFAIL,
        Err(error) => {
            tracing::debug!(%server, %error, "a nameserver is not reached");
            false
        }
    }
}

/// What an answer to [`QUESTION`] says; `None` for anything else.
fn response_code(answer: &[u8]) -> Option<u8> {
    let is_ours = answer.len() >= 12 && answer[..2] == QUESTION[..2] && answer[2] & 0x80 != 0;
    is_ours.then(|| answer[3] & 0x0f)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    /// A nameserver on this machine that answers with this code, or not at all.
    async fn server(code: Option<u8>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut asked = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut asked).await {
                let mut answer = asked[..length].to_vec();
                answer[2] |= 0x80;
                let Some(code) = code else { continue };
                answer[3] = code;
                // Something of no meaning comes first.
                socket.send_to(&[0; 3], from).await.unwrap();
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn one_that_answers_is_reached_and_a_stub_that_found_nobody_is_not() {
        let reached = async |servers: Vec<SocketAddr>| Nameservers::At(servers).are_reached().await;
        let (well, refuses) = (server(Some(0)).await, server(Some(5)).await);
        let (lost, silent) = (server(Some(SERVFAIL)).await, server(None).await);
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(reached(vec![silent, closed, lost, well]).await);
        assert!(reached(vec![refuses]).await, "who refuses was reached");
        assert!(!reached(vec![lost]).await);
        assert!(!reached(vec![silent, closed]).await);
        assert!(!reached(Vec::new()).await);
    }

    #[test]
    fn the_servers_of_a_resolv_conf_are_found() {
        let text =
            "# of eth0\nsearch example.com\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 \nnameserver";
        let found = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|text| text.parse().unwrap());
        assert_eq!(servers(text).unwrap(), found);
        assert_eq!(servers("options edns0").unwrap(), ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(servers("nameserver fe80::1%eth0"), None, "it cannot be told");
    }
}
