//! Asks a time server by SNTP (RFC 4330, with the client's checks of RFC 5905).
//!
//! Invariants: only an answer to this very question is believed, a forged one is passed over; a server that asks not to be
//! asked is not asked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::SharedClock;
use crate::{
    config::model::TimeServer,
    domain::{Moment, clock::Interval},
};

/// How long an answer is waited for, the look-up of the name included.
const PATIENCE: Duration = Duration::from_secs(2);
/// A request and the part of an answer that is read.
const LENGTH: usize = 48;
/// How long a server that refuses us is left alone.
const REFUSED: Duration = Duration::from_hours(1);
/// The first wait after a server asks to be asked less often; it doubles each time.
const SLOWER: Duration = Duration::from_mins(2);
/// The reference id of a clock that follows only itself: 127.127.1.1.
const ITSELF: [u8; 4] = [127, 127, 1, 1];
/// Codes with which a server asks not to be asked so (RFC 5905 section 7.4); with others it only says how it is.
const KISSES: [&str; 3] = ["DENY", "RSTR", "RATE"];
/// Seconds from 1900, where NTP begins to count, to 1970.
const UNIX_EPOCH: i64 = 2_208_988_800;
/// Seconds after which NTP's count of them begins anew.
const ERA: i64 = 1 << 32;

/// What one answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Monotonic minus true time.
    pub lead: Interval,
    /// When the answer came.
    pub at: Moment,
    /// The server's stratum, 1 to 15.
    pub stratum: u8,
}

/// Why there is no answer, in words that never change with the figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SntpError {
    /// Its name leads nowhere.
    #[error("its name cannot be resolved ({0}); check `[clock] ntp` and the resolver")]
    Name(String),
    /// It cannot be asked.
    #[error("it cannot be asked ({0})")]
    Socket(String),
    /// Nothing came.
    #[error("it does not answer within 2 s; check that UDP port 123 is let through")]
    Silent,
    /// It has no time itself.
    #[error("it is not synchronised itself; choose another one")]
    Unsynchronised,
    /// It is this machine's own, and follows only itself.
    #[error("it is this machine's own clock, which vouches for nothing; name a server elsewhere")]
    Itself,
    /// A kiss-o'-death: it asks to be asked less often, or not at all.
    #[error("it refuses us ({0}) and is left alone for a while; choose another one")]
    Kiss(String),
    /// What it says cannot be.
    #[error("its answer makes no sense ({0})")]
    Nonsense(&'static str),
}

/// One server, and when it may be asked again.
#[derive(Debug)]
pub struct Server {
    address: TimeServer,
    clock: SharedClock,
    random: fastrand::Rng,
    not_before: Option<(Instant, SntpError)>,
    kisses: u32,
}

impl Server {
    /// A server that was not asked yet.
    #[must_use]
    pub fn new(address: TimeServer, clock: SharedClock, seed: u64) -> Self {
        Self { address, clock, random: fastrand::Rng::with_seed(seed), not_before: None, kisses: 0 }
    }

    /// Its name, as readings carry it.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::from(format!("ntp {}", self.address))
    }

    /// Asks it once. One that sent a kiss-o'-death is not asked until its time is over.
    pub async fn ask(&mut self) -> Result<Sample, SntpError> {
        if let Some((until, why)) = &self.not_before
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        self.not_before = None;
        let nonce = self.random.u64(1..);
        let answer = exchange(&self.address, nonce, &self.clock).await.and_then(|exchange| exchange.read());
        match &answer {
            Err(SntpError::Kiss(code)) => {
                let wait = if code == "RATE" { SLOWER * (1 << self.kisses.min(5)) } else { REFUSED };
                self.kisses = self.kisses.saturating_add(1);
                self.not_before = Some((Instant::now() + wait, SntpError::Kiss(code.clone())));
            }
            Ok(_) => self.kisses = 0,
            Err(_) => {}
        }
        answer
    }
}

/// An answer with the instants around it.
#[derive(Debug)]
struct Exchange {
    packet: [u8; LENGTH],
    sent: Moment,
    received: Moment,
    /// Whether the server is this machine.
    is_here: bool,
    /// The runner's own idea of the time, good enough to know which century it is.
    about: DateTime<Utc>,
}

async fn exchange(address: &TimeServer, nonce: u64, clock: &SharedClock) -> Result<Exchange, SntpError> {
    let patience = Instant::now() + PATIENCE;
    let unasked = |error: std::io::Error| SntpError::Socket(error.to_string());
    let found = timeout_at(patience, tokio::net::lookup_host((&*address.host, address.port)))
        .await
        .map_err(|_| SntpError::Name("no answer from the resolver".to_owned()))?
        .map_err(|error| SntpError::Name(error.to_string()))?
        .next()
        .ok_or_else(|| SntpError::Name("no address".to_owned()))?;
    let here: SocketAddr = if found.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(here).await.map_err(unasked)?;
    // From now on the system passes on only what comes from there.
    socket.connect(found).await.map_err(unasked)?;
    let mut request = [0; LENGTH];
    // No leap warning, version 4, mode 3 (client).
    request[0] = 4 << 3 | 3;
    // The server only sends it back: a random number says less of us than the time, and is harder to guess.
    request[40..].copy_from_slice(&nonce.to_be_bytes());
    let sent = clock.moment();
    socket.send(&request).await.map_err(unasked)?;
    let mut packet = [0; LENGTH];
    loop {
        let length = timeout_at(patience, socket.recv(&mut packet))
            .await
            .map_err(|_| SntpError::Silent)?
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::ConnectionRefused => SntpError::Silent,
                _ => unasked(error),
            })?;
        let received = clock.moment();
        // Whatever answers no question of ours was forged or is late; the answer may still come.
        if length == LENGTH && packet[24..32] == nonce.to_be_bytes() && packet[0] & 7 == 4 {
            let is_here = found.ip().is_loopback();
            return Ok(Exchange { packet, sent, received, is_here, about: clock.wall() });
        }
    }
}

impl Exchange {
    fn read(&self) -> Result<Sample, SntpError> {
        let packet = &self.packet;
        let stratum = packet[1];
        if stratum == 0
            && let Some(code) = KISSES.iter().find(|code| packet[12..16] == *code.as_bytes())
        {
            return Err(SntpError::Kiss((*code).to_owned()));
        }
        // Stratum 16 is sent as 0.
        if packet[0] >> 6 == 3 || stratum == 0 || stratum >= 16 {
            return Err(SntpError::Unsynchronised);
        }
        if self.is_here && packet[12..16] == ITSELF {
            return Err(SntpError::Itself);
        }
        let (arrived, left) = (self.time(32), self.time(40));
        let (Some(arrived), Some(left)) = (arrived, left) else {
            return Err(SntpError::Nonsense("it gives no time"));
        };
        if left < arrived {
            return Err(SntpError::Nonsense("it answered before it was asked"));
        }
        let lead = Interval::of_exchange(self.sent, arrived, self.received, left)
            .ok_or(SntpError::Nonsense("it took longer than its answer was on its way"))?;
        // What lies between the server and the reference clock (RFC 5905 section 11.2: root distance).
        let distance = self.short(4) / 2 + self.short(8);
        Ok(Sample { lead: lead.widened(distance), at: self.received, stratum })
    }

    fn word(&self, at: usize) -> u32 {
        self.packet[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    /// 16 bits of seconds and 16 of their fraction.
    fn short(&self, at: usize) -> Duration {
        Duration::from_nanos((u64::from(self.word(at)) * 1_000_000_000) >> 16)
    }

    /// 32 bits of seconds since 1900 and 32 of their fraction, in the era that is nearest to the runner's own time.
    fn time(&self, at: usize) -> Option<DateTime<Utc>> {
        let (seconds, fraction) = (i64::from(self.word(at)), u64::from(self.word(at + 4)));
        if seconds == 0 && fraction == 0 {
            return None;
        }
        let unix = seconds - UNIX_EPOCH;
        let eras = (self.about.timestamp() - unix + ERA / 2).div_euclid(ERA);
        let nanos = u32::try_from((fraction * 1_000_000_000) >> 32).ok()?;
        DateTime::from_timestamp(unix + eras * ERA, nanos)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests;
