//! Opens connections: addresses in order, each started a moment after the one before, the first to answer wins.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::net::TcpStream;

use super::{
    failure::{Failure, Kind, Stage},
    resolve::Resolver,
};
use crate::{
    clock::Clock,
    domain::{Moment, Timings},
};

/// Time that an address has before the next one is tried beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// How far an attempt has come, kept where a time-out does not lose it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) timings: Timings,
    /// The other side took part in a handshake that nobody on the way can do for it: there is a way out.
    pub(crate) is_met: bool,
    /// Requests that were sent, those that follow a redirect or replace a swallowed one included.
    pub(crate) sent: u32,
    /// When the last request that was answered was sent, and when the head of its answer was there.
    pub(crate) between: Option<(Moment, Moment)>,
}

/// Resolves the host, unless it is an address, and opens a connection to one of its addresses.
pub(crate) async fn open(
    host: &str,
    port: u16,
    resolver: &Resolver,
    clock: &dyn Clock,
    progress: &mut Progress,
) -> Result<TcpStream, Failure> {
    progress.stage = Stage::Resolving;
    let stream = if let Ok(address) = host.parse::<IpAddr>() {
        progress.stage = Stage::Connecting;
        let begun = clock.moment();
        let stream =
            TcpStream::connect((address, port)).await.map_err(|error| Failure::connecting(&error))?;
        progress.timings.connect = Some(clock.moment().since(begun));
        stream
    } else {
        let begun = clock.moment();
        let addresses = resolver.resolve(host, &mut progress.stage).await?;
        let resolved = clock.moment();
        progress.timings.dns = Some(resolved.since(begun));
        progress.stage = Stage::Connecting;
        let stream = first_of(&addresses, port).await?;
        progress.timings.connect = Some(clock.moment().since(resolved));
        stream
    };
    // Without it a small request may wait for the peer's delayed acknowledgement, and the latency would be ours.
    stream.set_nodelay(true).map_err(|error| Failure::connecting(&error))?;
    Ok(stream)
}

async fn first_of(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Failure> {
    let mut untried = addresses.iter().map(|address| SocketAddr::new(*address, port));
    let mut attempts = FuturesUnordered::new();
    let mut last = Failure::transport("no address");
    loop {
        let next = untried.next();
        let was_last = next.is_none();
        if let Some(address) = next {
            attempts.push(TcpStream::connect(address));
        } else if attempts.is_empty() {
            return Err(last);
        }
        let stagger = tokio::time::sleep(STAGGER);
        tokio::pin!(stagger);
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let failure = Failure::connecting(&error);
                    if last.kind != Kind::Ours {
                        last = failure;
                    }
                }
            },
            () = &mut stagger, if !was_last => {}
        }
    }
}
