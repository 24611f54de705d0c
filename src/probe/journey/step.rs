//! One step: its attempts, and what its answer says.

mod sip;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use tokio::time::timeout;
use url::Url;

use super::{Journey, Signals, Way};
use crate::{
    config::{
        model::{Action, Step},
        template::Place,
    },
    domain::{Moment, Span, StepReport, StepState, Timings},
    expression::{Answer, Scope},
    platform::{self, Pass, retry_after},
    probe::{
        budget::{Refusal, Slot},
        client::Route,
        connect::{self, Progress},
        exchange::{self, Ask, Reply, Toll},
        failure::{Failure, Kind},
        foreign::{LONGEST, clean},
        listing::{Answer as Listed, Key, Lead, Need, Part},
        plan::{self, Planned, Prepared},
    },
};

/// The longest captured value, in bytes; a longer one is no id or token but a mistake.
const CAPTURE_CAP: usize = 8 * 1024;

/// Limits of a step for which it waits for the answer that another component asks for: that one's own, and another where
/// its login is renewed.
const PATIENCE: u32 = 2;

/// The longest name of who serves, in characters.
const SERVED_BY_CAP: usize = 64;

/// What became of a step.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) report: StepReport,
    pub(super) kind: Option<Kind>,
    pub(super) captures: Vec<(String, String)>,
    pub(super) served_by: Option<String>,
    pub(super) signals: Signals,
}

/// How a step comes to its answer.
enum Listing {
    /// It asks for itself alone.
    None,
    /// It shares an answer.
    Part(Part),
    /// Whoever asked for it did not bring it in this time.
    Late(Span),
}

/// What became of one attempt.
#[derive(Debug, Default)]
struct Attempt {
    timings: Timings,
    failure: Option<Failure>,
    captures: Vec<(String, String)>,
    served_by: Option<String>,
    onset_at: Option<DateTime<Utc>>,
    restored_at: Option<DateTime<Utc>>,
    signals: Signals,
    /// The connections that it may have used.
    route: Option<Arc<Route>>,
    /// An answer came that is no error of the server's: polling may only have come too early.
    is_early: bool,
    /// The answer says that it cannot show this component, of which others may see something by it.
    is_unseen: bool,
    /// What was refused with a 401 that the step does not expect.
    refused: Option<Pass>,
    /// When the request was sent that was let in, where an earlier one had to log in anew.
    restarted: Option<Moment>,
    /// The answer says that polling on will change nothing.
    is_final: bool,
    /// What came of the request, where others are to be given it too.
    listed: Option<Result<(Reply, Url), Failure>>,
}

impl Attempt {
    /// The budget did not let the request out: nothing was seen.
    fn not_sent(refusal: Refusal) -> Self {
        Self { failure: Some(Failure::ours(&refusal.to_string())), ..Self::default() }
    }

    fn has_failed(&self) -> bool {
        self.failure.is_some() && !self.is_blind()
    }

    fn is_blind(&self) -> bool {
        self.signals.throttled.is_some()
            || self.failure.as_ref().is_some_and(|failure| failure.kind == Kind::Ours)
    }
}

impl Journey {
    /// Runs one step, polling it where it asks for that.
    pub(super) async fn step(&self, place: usize, way: Way<'_>) -> Outcome {
        let step = &self.component.journey[place];
        let lead = match self.listing(place, way).await {
            Listing::Part(Part::Follow(listed)) => return self.follow(place, &listed, way.vars),
            Listing::Part(Part::Lead(lead)) => Some(lead),
            Listing::Late(span) => {
                let failure = Some(Failure::ours("the shared answer did not come in time"));
                let attempt = Attempt { failure, ..Attempt::default() };
                return self.outcome(place, attempt, span, Signals::default());
            }
            Listing::None => None,
        };
        let mut leave = self.leave(step, way).await;
        let mut start = self.clock.moment();
        let mut waited = Duration::ZERO;
        let mut signals = Signals::default();
        let mut attempt = loop {
            let spent = self.clock.moment().since(start).saturating_sub(waited);
            let limit = match step.retry {
                Some(retry) => step.timeout.min(retry.until.saturating_sub(spent)),
                None => step.timeout,
            };
            let attempt = self.attempt(place, leave, way, limit).await;
            signals.add(attempt.signals);
            // Time spent on a login says nothing of the component, and is no part of its evidence.
            if let Some(restarted) = attempt.restarted {
                (start, waited) = (restarted, Duration::ZERO);
            }
            let again = step.retry.filter(|retry| {
                let spent = self.clock.moment().since(start).saturating_sub(waited);
                attempt.has_failed() && !attempt.is_final && spent + retry.every < retry.until
            });
            if let Some(route) = attempt.route.as_ref().filter(|_| attempt.has_failed())
                && !(again.is_some() && attempt.is_early)
            {
                // After a failover an open connection may still lead to the one that failed.
                route.pool.clear();
            }
            let Some(retry) = again else { break attempt };
            tokio::time::sleep(retry.every).await;
            // Waiting for the budget takes nothing from the time that polling has.
            let asked = self.clock.moment();
            leave = self.leave(step, way).await;
            waited += self.clock.moment().since(asked);
        };
        if attempt.has_failed() {
            way.purse.foil();
        }
        let span = Span::new(start, self.clock.moment());
        if let Some(lead) = lead {
            publish(lead, &mut attempt, span);
        }
        self.outcome(place, attempt, span, signals)
    }

    fn outcome(&self, place: usize, attempt: Attempt, span: Span, signals: Signals) -> Outcome {
        let step = &self.component.journey[place];
        let state = match &attempt.failure {
            _ if attempt.is_blind() => StepState::Blind,
            None => StepState::Passed,
            Some(_) => StepState::Failed,
        };
        Outcome {
            kind: attempt.failure.as_ref().map(|failure| failure.kind),
            report: StepReport {
                name: Arc::clone(&step.name),
                state,
                span: Some(span),
                timings: Some(attempt.timings),
                reason: attempt.failure.map(|failure| failure.reason),
                onset_at: attempt.onset_at,
                restored_at: attempt.restored_at,
            },
            captures: attempt.captures,
            served_by: attempt.served_by,
            signals,
        }
    }

    /// What a step is to do whose answer may be shared.
    async fn listing(&self, place: usize, way: Way<'_>) -> Listing {
        let (step, plan) = (&self.component.journey[place], &self.plans[place]);
        let Some(age) = step.shared else { return Listing::None };
        let key = match (&plan.listing, &step.action) {
            (Some(key), _) => Some(key.clone()),
            // A request that cannot be made says so when it is tried.
            (None, Action::Http(action)) => {
                plan::ask(&self.client, action, way.vars).ok().map(|ask| Key::of(&ask, step.timeout))
            }
            _ => None,
        };
        let Some(key) = key else { return Listing::None };
        let begun = self.clock.moment();
        let need = Need { after: plan.looked.renew(begun), fresh: way.not_before.is_some(), age };
        let part = self.client.listings.join(&key, need, &*self.clock);
        match timeout(step.timeout.saturating_mul(PATIENCE), part).await {
            Ok(part) => Listing::Part(part),
            Err(_) => Listing::Late(Span::new(begun, self.clock.moment())),
        }
    }

    /// Looks at an answer that another component asked for. It costs no request, and says nothing of the platform that the
    /// one who asked does not say.
    fn follow(&self, place: usize, listed: &Listed, vars: &BTreeMap<String, String>) -> Outcome {
        let mut attempt = match &listed.outcome {
            Ok((reply, url)) => self.weigh(place, reply, url, vars, listed.timings.total),
            Err(failure) => {
                let reached = failure.kind == Kind::Answer;
                let signals = Signals { reached, ..Signals::default() };
                Attempt { failure: Some(failure.clone()), signals, ..Attempt::default() }
            }
        };
        if attempt.refused.take().is_some() {
            attempt.failure = Some(Failure::ours("refused (401)"));
        }
        attempt.timings = listed.timings;
        let signals = Signals { answered: false, ..attempt.signals };
        self.outcome(place, attempt, listed.span, signals)
    }

    /// Leave for the request of a step; `None` for one that sends none.
    async fn leave<'a>(&self, step: &Step, way: Way<'a>) -> Option<Result<Slot<'a>, Refusal>> {
        match step.action {
            Action::Http(_) => Some(way.purse.admit(way.errand).await),
            _ => None,
        }
    }

    async fn attempt(
        &self,
        place: usize,
        leave: Option<Result<Slot<'_>, Refusal>>,
        way: Way<'_>,
        limit: Duration,
    ) -> Attempt {
        let step = &self.component.journey[place];
        let plan = &self.plans[place];
        let slot = match leave.transpose() {
            Ok(slot) => slot,
            Err(refusal) => return Attempt::not_sent(refusal),
        };
        match (&plan.action, &step.action, slot) {
            (Planned::Ready(ask), _, Some(slot)) => {
                self.http(place, &Prepared::Kept(ask), slot, way, limit).await
            }
            (Planned::Late, Action::Http(action), Some(slot)) => {
                match plan::ask(&self.client, action, way.vars) {
                    Ok(ask) => self.http(place, &Prepared::Made(Box::new(ask)), slot, way, limit).await,
                    Err(failure) => Attempt { failure: Some(failure), ..Attempt::default() },
                }
            }
            (_, Action::Tcp(target), _) => match target.render(way.vars, Place::Plain) {
                Ok(target) => self.tcp(place, &target, way.vars, limit).await,
                Err(error) => {
                    Attempt { failure: Some(Failure::answer(&error.to_string())), ..Attempt::default() }
                }
            },
            (_, Action::Sip(action), _) => self.sip(place, action, way.vars, limit).await,
            // An HTTP step always comes with leave or a refusal, so that this is never reached.
            _ => Attempt { failure: Some(Failure::ours("this version cannot run it")), ..Attempt::default() },
        }
    }

    /// One request; where its token is refused, a second one with another.
    async fn http(&self, place: usize, ask: &Ask, slot: Slot<'_>, way: Way<'_>, limit: Duration) -> Attempt {
        let session = &self.client.session;
        let mut attempt = self.request(place, ask, slot, way, limit).await;
        let Some(refused) = attempt.refused.take() else { return attempt };
        let id = &self.component.id;
        match session.renewed(&refused, id, limit).await {
            Ok(_) => {
                let first = attempt.signals;
                let slot = match way.purse.admit(way.errand).await {
                    Ok(slot) => slot,
                    Err(refusal) => return Attempt { signals: first, ..Attempt::not_sent(refusal) },
                };
                let restarted = self.clock.moment();
                attempt = self.request(place, ask, slot, way, limit).await;
                attempt.signals.add(first);
                attempt.restarted = Some(restarted);
            }
            Err(refusal) => {
                attempt.failure = Some(shut_out(&refusal));
                return attempt;
            }
        }
        if let Some(refused) = attempt.refused.take() {
            attempt.failure = Some(match session.renewed(&refused, id, limit).await {
                Ok(_) => Failure::ours("refused (401) twice, with two sets of credentials"),
                Err(refusal) => shut_out(&refusal),
            });
        }
        attempt
    }

    async fn request(
        &self,
        place: usize,
        ask: &Ask,
        slot: Slot<'_>,
        way: Way<'_>,
        limit: Duration,
    ) -> Attempt {
        let mut progress = Progress::default();
        let mut toll = Toll::new(way.purse, slot);
        let begun = self.clock.moment();
        let exchange = self.client.exchange(ask, way.not_before, &mut toll, &mut progress);
        let reply = timeout(limit, exchange).await;
        progress.timings.total = self.clock.moment().since(begun);
        let reply = reply.unwrap_or_else(|_| Err(progress.stage.timed_out(limit)));
        let mut attempt = match &reply {
            Ok(reply) => self.weigh(place, reply, &ask.target.url, way.vars, progress.timings.total),
            Err(failure) => {
                let answered = failure.kind == Kind::Answer;
                let reached = answered || progress.is_met;
                let signals = Signals { answered, reached, ..Signals::default() };
                Attempt { failure: Some(failure.clone()), signals, ..Attempt::default() }
            }
        };
        if self.component.journey[place].shared.is_some() {
            attempt.listed = Some(reply.map(|reply| (reply, ask.target.url.clone())));
        }
        attempt.timings = progress.timings;
        attempt.signals.requests = progress.sent;
        if !ask.target.route.is_home {
            // Another host's 429 holds back only who met it.
            attempt.signals.slowed = attempt.signals.slowed.or(attempt.signals.throttled.flatten());
        }
        attempt.route = Some(Arc::clone(&ask.target.route));
        attempt
    }

    async fn tcp(
        &self,
        place: usize,
        target: &str,
        vars: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Attempt {
        let Some((host, port)) = host_and_port(target) else {
            let failure = Failure::answer(&format!("`{target}` is no host:port"));
            return Attempt { failure: Some(failure), ..Attempt::default() };
        };
        let mut progress = Progress::default();
        let begun = self.clock.moment();
        let opening = connect::open(host, port, &self.client.resolver, &*self.clock, &mut progress);
        let opened = timeout(limit, opening).await;
        progress.timings.total = self.clock.moment().since(begun);
        let timings = progress.timings;
        match opened.unwrap_or_else(|_| Err(progress.stage.timed_out(limit))) {
            Ok(stream) => {
                drop(stream);
                let answer = Answer { status: 0, headers: &[], body: b"", latency: timings.total, vars };
                let (step, scope) = (&self.component.journey[place], Scope::new(&answer));
                let mut failure = expectations(step, &scope);
                look_away(step, &scope, &mut failure);
                let signals = Signals { reached: true, ..Signals::default() };
                Attempt { timings, failure, signals, ..Attempt::default() }
            }
            Err(failure) => Attempt { timings, failure: Some(failure), ..Attempt::default() },
        }
    }

    /// Holds a complete answer against the step's expressions.
    fn weigh(
        &self,
        place: usize,
        reply: &Reply,
        url: &Url,
        vars: &BTreeMap<String, String>,
        latency: Duration,
    ) -> Attempt {
        let step = &self.component.journey[place];
        let throttled = reply.status == StatusCode::TOO_MANY_REQUESTS;
        let mut attempt = Attempt::default();
        attempt.signals.reached = true;
        attempt.signals.answered = !throttled;
        attempt.is_early = !reply.status.is_server_error();
        if throttled {
            let wait = retry_after::wait(&reply.headers);
            attempt.signals.throttled = Some(wait);
            let wait = wait.map(|wait| format!(", asks for {}", humantime::format_duration(wait)));
            attempt.failure = Some(Failure::answer(&format!("throttled (429{})", wait.unwrap_or_default())));
            return attempt;
        }
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            attempt.signals.slowed = retry_after::wait(&reply.headers);
        }
        let headers: Vec<(String, String)> = if self.plans[place].needs_headers {
            let named = reply.headers.iter();
            named
                .map(|(name, value)| {
                    (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect()
        } else {
            Vec::new()
        };
        let answer =
            Answer { status: reply.status.as_u16(), headers: &headers, body: &reply.body, latency, vars };
        let scope = Scope::new(&answer);
        attempt.failure = if step.expect.is_empty() { unwell(reply, url) } else { None }
            .or_else(|| expectations(step, &scope));
        attempt.is_unseen = look_away(step, &scope, &mut attempt.failure);
        if let Some(pass) = &reply.pass {
            self.heed_the_door(&mut attempt, reply, pass);
        }
        self.read(place, &scope, &mut attempt);
        if let Some(pass) = &reply.pass {
            if pass.is_unchecked() && !reply.status.is_server_error() && attempt.refused.is_none() {
                // It may be another organisation's component that answers.
                let why = "the token cannot be held against `organization_id` yet: the platform does not answer that";
                (attempt.failure, attempt.served_by) = (Some(Failure::ours(why)), None);
            }
            // An answer may echo what it was sent.
            let hide = |text: &mut String| *text = pass.credentials().redact(text);
            attempt.served_by.iter_mut().for_each(hide);
            attempt.failure.iter_mut().for_each(|failure| hide(&mut failure.reason));
        }
        attempt
    }

    /// Reads from an answer what other steps and the outage want to know of it.
    fn read(&self, place: usize, scope: &Scope<'_>, attempt: &mut Attempt) {
        let step = &self.component.journey[place];
        attempt.is_final = attempt.failure.is_some()
            && step.retry_while.as_ref().is_some_and(|pending| scope.holds(pending).is_err());
        let failover = &self.component.failover;
        if failover.step.or(self.component.health_step) == Some(place)
            && let Some(expression) = &failover.served_by
        {
            attempt.served_by = scope.text(expression).map(|text| clean(&text, SERVED_BY_CAP));
        }
        attempt.onset_at = step.onset_at.as_ref().and_then(|expression| scope.time(expression));
        attempt.restored_at = step.restored_at.as_ref().and_then(|expression| scope.time(expression));
        let values = step
            .capture
            .iter()
            .filter_map(|(name, expression)| Some((name.clone(), scope.text(expression)?)));
        attempt.captures = values.filter(|(_, value)| value.len() <= CAPTURE_CAP).collect();
    }

    /// What an answer says of our credentials, which stand before the component.
    ///
    /// A 401 has them renewed, unless the step expects it. A 403 is an answer of the component, and believed, except where
    /// the platform itself says that a permission or scope is missing: that was decided by our rights alone, before the
    /// component was asked, and so says nothing of it.
    fn heed_the_door(&self, attempt: &mut Attempt, reply: &Reply, pass: &Pass) {
        match (reply.status, &mut attempt.failure) {
            (StatusCode::UNAUTHORIZED, None) => {}
            (StatusCode::UNAUTHORIZED, Some(_)) => attempt.refused = Some(pass.clone()),
            (StatusCode::FORBIDDEN, Some(failure)) => {
                if let Some(lacking) = platform::lacking(&reply.headers, &reply.body) {
                    *failure = Failure::ours(&format!("the login lacks {lacking}"));
                } else {
                    failure.reason =
                        clean(&format!("{}; the login may lack a permission", failure.reason), LONGEST);
                }
                self.client.session.accepted(pass);
            }
            (status, _) if !status.is_server_error() => self.client.session.accepted(pass),
            _ => {}
        }
    }
}

/// What a refusal (401) says of the component: nothing, unless the platform lets the same credentials in elsewhere.
fn shut_out(refusal: &platform::Refusal) -> Failure {
    if refusal.believed { Failure::answer(&refusal.reason) } else { Failure::ours(&refusal.reason) }
}

/// Hands on what came of a request. What kept us from sending it or from seeing its answer keeps the others too: each
/// trying in its turn would make the last of them wait for all.
fn publish(lead: Lead, attempt: &mut Attempt, span: Span) {
    let listed = attempt.listed.take();
    let is_unseen = attempt.is_unseen;
    let ours = |failure: &&Failure| listed.is_none() || (failure.kind == Kind::Ours && !is_unseen);
    let outcome = match attempt.failure.as_ref().filter(ours) {
        Some(failure) => Err(failure.clone()),
        None => match listed {
            Some(listed) => listed,
            None => return,
        },
    };
    lead.publish(Listed { span, outcome, timings: attempt.timings });
}

/// What is wrong with an answer of which nothing is expected: an error, or a redirect that was not followed.
fn unwell(reply: &Reply, asked: &Url) -> Option<Failure> {
    if reply.status.as_u16() >= 400 {
        return Some(Failure::answer(&format!("status < 400 (was {})", reply.status.as_u16())));
    }
    if !exchange::is_redirect(reply) {
        return None;
    }
    let Some(mut leads) = exchange::location(reply, asked) else {
        return Some(Failure::answer("redirects to no address that can be read"));
    };
    // They may carry what is nobody's business.
    let _ = (leads.set_username(""), leads.set_password(None));
    leads.set_query(None);
    leads.set_fragment(None);
    Some(Failure::answer(&format!("redirects to {leads}, not followed")))
}

/// The first expectation that does not hold.
fn expectations(step: &Step, scope: &Scope<'_>) -> Option<Failure> {
    let broken = step.expect.iter().find_map(|expression| scope.holds(expression).err())?;
    Some(Failure { kind: Kind::Answer, reason: clean(&broken, LONGEST) })
}

/// Whether the answer cannot show the component, as the step's `blind` tells: then it says nothing of it, good or bad.
fn look_away(step: &Step, scope: &Scope<'_>, failure: &mut Option<Failure>) -> bool {
    let Some(blind) = step.blind.as_ref().filter(|blind| scope.holds(blind).is_ok()) else { return false };
    *failure = Some(Failure::ours(&format!("cannot be seen here: {}", blind.source())));
    true
}

/// Splits `host:port`, with an IPv6 address in brackets.
fn host_and_port(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.trim().rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |inner| inner.strip_suffix(']'))?;
    let fits =
        !host.is_empty() && !host.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    Some((host, port.parse().ok().filter(|port| *port != 0 && fits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_target_is_split_at_its_last_colon() {
        assert_eq!(host_and_port("db.example.com:5432"), Some(("db.example.com", 5432)));
        assert_eq!(host_and_port("[::1]:53"), Some(("::1", 53)));
        for wrong in ["db", "db:", "db:99999", "db:0", ":53", "[::1:53", "a b:53"] {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }
}
