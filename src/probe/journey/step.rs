//! One step: its attempts, and what its answer says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use tokio::time::timeout;
use url::Url;

use super::{Journey, Signals, Way};
use crate::{
    config::{
        model::{Action, Platform, Step},
        template::Place,
    },
    domain::{Span, StepReport, StepState, Timings},
    expression::{Answer, Scope},
    platform::retry_after,
    probe::{
        budget::{Pass, Refusal},
        client::Route,
        connect::{self, Progress},
        exchange::{self, Ask, Reply, Toll},
        failure::{Failure, Kind},
        foreign::{LONGEST, clean},
        plan::{self, Planned, Prepared},
    },
};

/// The longest captured value, in bytes; a longer one is no id or token but a mistake.
const CAPTURE_CAP: usize = 8 * 1024;

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
}

impl Attempt {
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
        let mut leave = self.leave(step, way).await;
        let start = self.clock.moment();
        let mut waited = Duration::ZERO;
        let mut signals = Signals::default();
        let attempt = loop {
            let spent = self.clock.moment().since(start).saturating_sub(waited);
            let limit = match step.retry {
                Some(retry) => step.timeout.min(retry.until.saturating_sub(spent)),
                None => step.timeout,
            };
            let attempt = self.attempt(place, leave, way, limit).await;
            signals.add(attempt.signals);
            let again = step.retry.filter(|retry| {
                let spent = self.clock.moment().since(start).saturating_sub(waited);
                attempt.has_failed() && spent + retry.every < retry.until
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
                span: Some(Span::new(start, self.clock.moment())),
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

    /// Leave for the request of a step; `None` for one that sends none.
    async fn leave<'a>(&self, step: &Step, way: Way<'a>) -> Option<Result<Pass<'a>, Refusal>> {
        match step.action {
            Action::Http(_) => Some(way.purse.admit(way.errand).await),
            _ => None,
        }
    }

    async fn attempt(
        &self,
        place: usize,
        leave: Option<Result<Pass<'_>, Refusal>>,
        way: Way<'_>,
        limit: Duration,
    ) -> Attempt {
        let step = &self.component.journey[place];
        let plan = &self.plans[place];
        let pass = match leave {
            Some(Ok(pass)) => Some(pass),
            Some(Err(refusal)) => {
                let failure = Some(Failure::ours(&refusal.to_string()));
                return Attempt { failure, ..Attempt::default() };
            }
            None => None,
        };
        match (&plan.action, &step.action, pass) {
            (Planned::Ready(ask), _, Some(pass)) => {
                self.http(place, &Prepared::Kept(ask), pass, way, limit).await
            }
            (Planned::Late, Action::Http(action), Some(pass)) => {
                match plan::ask(&self.client, action, way.vars) {
                    Ok(ask) => self.http(place, &Prepared::Made(Box::new(ask)), pass, way, limit).await,
                    Err(failure) => Attempt { failure: Some(failure), ..Attempt::default() },
                }
            }
            (_, Action::Tcp(target), _) => match target.render(way.vars, Place::Plain) {
                Ok(target) => self.tcp(place, &target, way.vars, limit).await,
                Err(error) => {
                    Attempt { failure: Some(Failure::answer(&error.to_string())), ..Attempt::default() }
                }
            },
            // Left out of every group, so that this is never reached with an answer to give.
            _ => Attempt { failure: Some(Failure::ours("this version cannot run it")), ..Attempt::default() },
        }
    }

    async fn http(&self, place: usize, ask: &Ask, pass: Pass<'_>, way: Way<'_>, limit: Duration) -> Attempt {
        let mut progress = Progress::default();
        let mut toll = Toll::new(way.purse, pass);
        let begun = self.clock.moment();
        let exchange = self.client.exchange(ask, way.not_before, &mut toll, &mut progress);
        let reply = timeout(limit, exchange).await;
        progress.timings.total = self.clock.moment().since(begun);
        let reply = reply.unwrap_or_else(|_| Err(progress.stage.timed_out(limit)));
        let mut attempt = match reply {
            Ok(reply) => self.weigh(place, &reply, &ask.target.url, way.vars, progress.timings.total),
            Err(failure) => {
                let reached = failure.kind == Kind::Answer;
                let signals = Signals { reached, answered: reached, ..Signals::default() };
                Attempt { failure: Some(failure), signals, ..Attempt::default() }
            }
        };
        attempt.timings = progress.timings;
        attempt.signals.requests = progress.sent;
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
                let failure = expectations(&self.component.journey[place], &Scope::new(&answer));
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
        attempt.failure =
            if step.expect.is_empty() { unwell(reply, url) } else { expectations(step, &scope) };
        if attempt.failure.is_some() && reply.status == StatusCode::UNAUTHORIZED {
            attempt.failure = refused_login(&self.component.platform).or(attempt.failure);
        }
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
        attempt
    }
}

/// A 401 where we should be logged in says nothing of the component: we could not see.
fn refused_login(platform: &Platform) -> Option<Failure> {
    if platform.login.is_some() {
        return Some(Failure::ours("not logged in (401): logging in is not built in this version"));
    }
    platform.bearer.as_ref().map(|_| Failure::ours("the bearer token is refused (401): renew it and restart"))
}

/// What is wrong with an answer of which nothing is expected: an error, or a redirect that was not followed.
fn unwell(reply: &Reply, asked: &Url) -> Option<Failure> {
    if reply.status.as_u16() >= 400 {
        return Some(Failure::answer(&format!("status < 400 (was {})", reply.status.as_u16())));
    }
    let mut leads = exchange::location(reply, asked)?;
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
