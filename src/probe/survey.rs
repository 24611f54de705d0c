//! One look at a host: its name, a connection, and the certificate that it shows.
//!
//! Invariant: nothing is sent on the connection but the TLS handshake.

mod certificate;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};

use super::{
    failure::{Failure, Kind, Stage},
    resolve::Resolver,
};
use crate::{clock::SharedClock, platform::tls::Trust};

/// Who is looked at, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Whether it is asked by datagrams, where nothing but the name can be looked at.
    pub datagrams: bool,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// A private authority to trust besides the machine's own.
    pub ca_file: Option<PathBuf>,
}

/// What a look found; what was not reached any more is `None`.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The addresses and how long it took to find them, or why there are none; `None` for an address.
    pub addresses: Option<Result<(Vec<IpAddr>, Duration), NameTrouble>>,
    /// How long the connection took, or why there is none.
    pub connected: Option<Result<Duration, String>>,
    /// What TLS agreed on, or why it did not.
    pub tls: Option<Result<Secured, String>>,
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTrouble {
    /// In words.
    pub reason: String,
    /// Nobody said anything of the name, which is this machine's trouble rather than the name's.
    pub is_ours: bool,
}

/// A TLS connection.
#[derive(Clone, Debug)]
pub struct Secured {
    /// `TLSv1_3`.
    pub version: String,
    /// When the host's certificate ends, where it can be read.
    pub ends: Option<DateTime<Utc>>,
}

/// Looks at a host; `patience` is for each part.
pub async fn survey(host: &Host, patience: Duration, clock: &SharedClock) -> Survey {
    let mut survey = Survey { addresses: None, connected: None, tls: None };
    let addresses: Vec<IpAddr> = if let Ok(address) = host.name.parse() {
        vec![address]
    } else {
        let found = addresses(&host.name, patience, clock).await;
        let addresses = found.as_ref().map(|(addresses, _)| addresses.clone()).unwrap_or_default();
        survey.addresses = Some(found);
        addresses
    };
    if addresses.is_empty() || host.datagrams {
        return survey;
    }
    let begun = clock.moment();
    let stream = match connect(&addresses, host.port, patience).await {
        Ok(stream) => stream,
        Err(failure) => {
            survey.connected = Some(Err(failure.reason));
            return survey;
        }
    };
    survey.connected = Some(Ok(clock.moment().since(begun)));
    if host.tls {
        let secured = timeout(patience, secure(host, stream)).await;
        let secured = secured.unwrap_or_else(|_| Err(Stage::Handshaking.timed_out(patience).reason));
        survey.tls = Some(secured);
    }
    survey
}

async fn addresses(
    name: &str,
    patience: Duration,
    clock: &SharedClock,
) -> Result<(Vec<IpAddr>, Duration), NameTrouble> {
    let (resolver, mut stage) = (Resolver::new(), Stage::default());
    let begun = clock.moment();
    let found = timeout(patience, resolver.resolve(name, &mut stage)).await;
    let found = found.unwrap_or_else(|_| Err(stage.timed_out(patience)));
    match found {
        Ok(found) => Ok((found.to_vec(), clock.moment().since(begun))),
        Err(failure) => {
            let is_ours = matches!(failure.kind, Kind::Unresolved | Kind::Ours);
            Err(NameTrouble { reason: failure.reason, is_ours })
        }
    }
}

/// One address after the other, all within `patience`.
async fn connect(addresses: &[IpAddr], port: u16, patience: Duration) -> Result<TcpStream, Failure> {
    let each = patience / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = Stage::Connecting.timed_out(patience);
    for address in addresses {
        match timeout(each, TcpStream::connect((*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Failure::connecting(&error),
            Err(_) => {}
        }
    }
    Err(last)
}

async fn secure(host: &Host, stream: TcpStream) -> Result<Secured, String> {
    let trust = Arc::new(Trust::new(host.ca_file.clone()));
    let connector = trust.connector().await.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.name.clone()).map_err(|error| error.to_string())?;
    let stream = connector.connect(name, stream).await.map_err(|error| Failure::handshake(&error).reason)?;
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map_or_else(String::new, |version| format!("{version:?}"));
    let first = connection.peer_certificates().and_then(<[_]>::first);
    Ok(Secured { version, ends: first.and_then(|der| certificate::ends(der)) })
}
