//! Asks every time source once: chrony, the time servers, the platforms.
//!
//! Invariants: one source's silence keeps no other from being heard; a platform's answers count as one source, however
//! many there are.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use hyper::StatusCode;

use crate::{
    clock::{SharedClock, chrony::Chrony, dates, sntp::Server},
    config::model::Config,
    domain::{
        Moment, PlatformId,
        clock::{Interval, Reading, Sharpened, Took},
    },
    platform::dates::{DateEndpoint, endpoint},
    probe::Client,
};

/// A time server above this stratum is warned of.
const STRATUM: u8 = 2;

/// What became of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// Its name: `chrony`, `ntp time.example.com`, `platform genesys`.
    pub source: Arc<str>,
    /// What it says, or why it says nothing, in words.
    pub read: Result<Reading, String>,
    /// Whether the config names it, so that its silence is to be told.
    pub named: bool,
    /// What a person should know of it, though it answers.
    pub warning: Option<String>,
    /// What else it says of itself: what it follows.
    pub detail: Option<String>,
}

/// Every source, and what is remembered of it between two rounds.
pub(super) struct Sources {
    clock: SharedClock,
    chrony: Option<Chrony>,
    servers: Vec<Server>,
    platforms: BTreeMap<PlatformId, PlatformTime>,
    is_platform: bool,
    /// Doubt about a platform's time over this is worth a request.
    doubt: Duration,
    every: Duration,
}

/// What is known of one platform's time.
struct PlatformTime {
    id: PlatformId,
    name: Arc<str>,
    endpoint: Option<DateEndpoint>,
    /// Its answers say that there is no such endpoint.
    is_missing: bool,
    /// By its date endpoint.
    told: Sharpened,
    /// Whether the endpoint has been seen to tell parts of a second.
    is_fine: bool,
    /// By the `Date` of its answers.
    dated: Sharpened,
    round_trip: Option<Duration>,
}

impl Sources {
    pub(super) fn new(config: &Config, clock: &SharedClock, seed: u64) -> Self {
        let settings = &config.clock;
        let servers = settings.ntp.iter().zip(0..);
        let time = |id: &PlatformId| PlatformTime {
            id: id.clone(),
            name: Arc::from(format!("platform {id}")),
            endpoint: endpoint(config, id),
            is_missing: false,
            told: Sharpened::default(),
            is_fine: false,
            dated: Sharpened::default(),
            round_trip: None,
        };
        Self {
            chrony: settings.chrony.then(|| Chrony::of_this_machine(Arc::clone(clock))),
            servers: servers
                .map(|(address, place)| {
                    Server::new(address.clone(), Arc::clone(clock), seed.wrapping_add(place))
                })
                .collect(),
            platforms: config.platforms.keys().map(|id| (id.clone(), time(id))).collect(),
            is_platform: settings.platform,
            doubt: settings.max_drift / 2,
            every: settings.every,
            clock: Arc::clone(clock),
        }
    }

    /// Forgets what was learnt of the time.
    pub(super) fn forget(&mut self) {
        if let Some(chrony) = &mut self.chrony {
            chrony.doubt();
        }
        for platform in self.platforms.values_mut() {
            platform.told.forget();
            platform.dated.forget();
        }
    }

    /// Asks all of them at once, a platform whose time is in doubt up to `polls` times, and waits for the last.
    pub(super) async fn ask(
        &mut self,
        clients: &[Arc<Client>],
        polls: u32,
        from: Moment,
    ) -> Vec<SourceReport> {
        let mut asked: Vec<BoxFuture<'_, SourceReport>> = Vec::new();
        if let Some(chrony) = &mut self.chrony {
            asked.push(ask_chrony(chrony).boxed());
        }
        asked.extend(self.servers.iter_mut().map(|server| ask_server(server).boxed()));
        if self.is_platform {
            let poll = Poll { clock: &self.clock, doubt: self.doubt, every: self.every, polls, from };
            for (id, platform) in &mut self.platforms {
                if let Some(client) = clients.iter().find(|client| client.platform() == id) {
                    asked.push(platform.ask(client, poll).boxed());
                }
            }
        }
        join_all(asked).await
    }
}

async fn ask_chrony(chrony: &mut Chrony) -> SourceReport {
    let answer = chrony.ask().await;
    let source: Arc<str> = Arc::from("chrony");
    let detail = answer.as_ref().ok().map(|sample| format!("it follows {}", sample.follows));
    let read = answer.map_err(|error| error.to_string()).map(|sample| {
        let source = Arc::clone(&source);
        told(source, sample.lead, sample.at, sample.stratum)
    });
    SourceReport { source, read, named: false, warning: None, detail }
}

async fn ask_server(server: &mut Server) -> SourceReport {
    let source = server.name();
    let answer = server.ask().await;
    let warning = answer.as_ref().ok().filter(|sample| sample.stratum > STRATUM).map(|sample| {
        format!(
            "{source} is at stratum {}, far from a reference clock; name one at stratum 1 or 2",
            sample.stratum
        )
    });
    let read = answer.map_err(|error| error.to_string()).map(|sample| {
        let source = Arc::clone(&source);
        told(source, sample.lead, sample.at, sample.stratum)
    });
    SourceReport { source, read, named: true, warning, detail: None }
}

/// What chrony or a time server says.
fn told(source: Arc<str>, lead: Interval, at: Moment, stratum: u8) -> Reading {
    Reading { source, platform: None, lead, at, stratum: Some(stratum), contradicts_itself: false }
}

/// How a platform is to be asked.
#[derive(Clone, Copy)]
struct Poll<'a> {
    clock: &'a SharedClock,
    doubt: Duration,
    every: Duration,
    polls: u32,
    /// Answers to requests from before this instant say nothing.
    from: Moment,
}

impl PlatformTime {
    async fn ask(&mut self, client: &Client, poll: Poll<'_>) -> SourceReport {
        self.take_dates(client, poll.from);
        let mut failure = None;
        for asked in 0..poll.polls {
            if !self.is_worth_asking(poll, asked == 0) {
                break;
            }
            // Aimed at the instant at which the platform's second is believed to change.
            let there = self.round_trip.unwrap_or_default() / 2;
            let wait =
                if self.is_fine { Duration::ZERO } else { self.best().aim(poll.clock.moment(), there) };
            tokio::time::sleep(wait).await;
            match self.poll(client, poll.from).await {
                Ok(told) => failure = told.err(),
                Err(why) => {
                    failure = Some(why);
                    break;
                }
            }
        }
        self.report(failure)
    }

    /// Whether a request would tell something that is not known yet. A date endpoint is asked in every round.
    fn is_worth_asking(&self, poll: Poll<'_>, is_first: bool) -> bool {
        let now = poll.clock.moment();
        let best = self.best();
        let is_old = best.known().is_none_or(|(_, at)| now.since(at) > poll.every);
        let is_vague = !best.contradicts_itself() && best.doubt(now).is_none_or(|doubt| doubt > poll.doubt);
        is_old || is_vague || (is_first && self.endpoint.is_some())
    }

    /// Why there is no answer at all; or of one, why only its `Date` can be used.
    async fn poll(&mut self, client: &Client, from: Moment) -> Result<Result<(), String>, String> {
        let answer = client.ask_time(self.endpoint.as_ref().map(|endpoint| &*endpoint.path)).await;
        self.take_dates(client, from);
        let answer = answer?;
        let shown = |time| dates::Shown { sent: answer.sent, received: answer.received, time };
        self.round_trip = Some(answer.received.since(answer.sent));
        let Some(endpoint) = &self.endpoint else { return Ok(Ok(())) };
        let is_ok = answer.status == StatusCode::OK;
        self.is_missing = answer.status == StatusCode::NOT_FOUND;
        let told = if is_ok { dates::of_body(&answer.body, endpoint.field) } else { None };
        let Some((time, is_fine)) = told else {
            return Ok(Err(format!("{} tells no time (status {})", endpoint.path, answer.status.as_u16())));
        };
        // As long as it was never seen to tell parts of a second it may be cutting them off.
        self.is_fine |= is_fine;
        let shown = shown(time);
        let told = if self.is_fine { shown.to_the_millisecond() } else { shown.to_the_second() };
        if let Some(told) = told
            && answer.sent >= from
        {
            let took = self.told.take(told, answer.received);
            note(&self.name, took);
        }
        Ok(Ok(()))
    }

    fn take_dates(&mut self, client: &Client, from: Moment) {
        for shown in client.take_dates().into_iter().filter(|shown| shown.sent >= from) {
            if let Some(answer) = shown.to_the_second() {
                let took = self.dated.take(answer, shown.received);
                note(&self.name, took);
            }
        }
    }

    /// Its own word where it gives one, else what its answers are dated.
    fn best(&self) -> &Sharpened {
        if self.told.known().is_some() { &self.told } else { &self.dated }
    }

    fn report(&self, failure: Option<String>) -> SourceReport {
        let contradicts_itself = self.best().contradicts_itself();
        let warning = if contradicts_itself {
            Some(format!(
                "{}: its answers contradict each other, so that several servers with different clocks answer under its name, \
                 or its clock or this machine's was just put right; none of them is believed alone",
                self.name
            ))
        } else {
            let missing = self.endpoint.as_ref().filter(|_| self.is_missing);
            missing.map(|endpoint| {
                format!(
                    "{}: {} {}; until then only the dates of its answers tell its time",
                    self.name, endpoint.path, endpoint.remedy
                )
            })
        };
        let read = match self.best().known() {
            Some((lead, at)) => Ok(Reading {
                source: Arc::clone(&self.name),
                platform: Some(self.id.clone()),
                lead,
                at,
                stratum: None,
                contradicts_itself,
            }),
            None => Err(failure.unwrap_or_else(|| "no answer of it carries a fresh date".to_owned())),
        };
        SourceReport { source: Arc::clone(&self.name), read, named: false, warning, detail: None }
    }
}

fn note(name: &str, took: Took) {
    if took == Took::Contradicts {
        tracing::warn!(source = name, "its time contradicts what it said before; neither is believed alone");
    }
}
