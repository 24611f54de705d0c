//! SIP steps: OPTIONS, and calls that are placed to be ended, by datagrams, TCP and TLS (RFC 3261).
//!
//! Invariants: every exchange opens a way of its own, so that it shows whether the peer takes a new one; an answer is
//! taken only from the peer itself and by branch, sequence and Call-ID; a call that was placed is torn down whatever
//! becomes of the step, and no step begins one while too many of its earlier ones are on their way down; no more than
//! [`NOISE`] messages of no meaning are read.

mod call;
mod ending;
pub(crate) mod message;
mod names;
mod options;
mod transaction;
mod transport;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

pub(crate) use self::ending::Endings;
use self::{
    call::{Call, TEAR_DOWN},
    message::{Envelope, Response},
    names::Names,
    options::Options,
    transport::{Heard, Link, Way, ways},
};
use super::{
    client::Client,
    connect::Progress,
    failure::{Failure, Kind, Stage},
};
use crate::{
    clock::Clock,
    config::{
        model::{CallEnd, SipAction, SipMethod},
        sip::{SipAddress, is_place, is_user},
        template::Place,
    },
    domain::{Moment, PlatformId, Timings},
};

/// Messages of no meaning that one exchange reads before it gives up.
const NOISE: u32 = 1000;

/// Datagrams of one call's tear-down that may fail; each of them is sent seven to eleven times.
const ERRORS: u32 = 32;

/// How long the end of a probe waits for calls that are being torn down.
const SETTLE: Duration = Duration::from_secs(5);

/// What one platform's SIP steps share.
#[derive(Debug)]
pub(crate) struct Line {
    names: Mutex<Names>,
    calls: TaskTracker,
}

impl Line {
    /// A line whose names differ from those of every other platform and process.
    pub(crate) fn new(platform: &PlatformId, clock: &dyn Clock) -> Self {
        let now = clock.now();
        let mut seed = DefaultHasher::new();
        (platform.as_str(), now.moment, now.wall.timestamp_nanos_opt(), std::process::id()).hash(&mut seed);
        Self { names: Mutex::new(Names::new(seed.finish())), calls: TaskTracker::new() }
    }

    fn names(&self) -> Names {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }

    /// Waits until no call is being torn down, a few seconds at most.
    pub(crate) async fn settle(&self) {
        if self.calls.is_empty() {
            return;
        }
        self.calls.close();
        if timeout(SETTLE, self.calls.wait()).await.is_err() {
            tracing::warn!(
                calls = self.calls.len(),
                "calls were still being torn down; their peers end them by themselves"
            );
        }
    }
}

/// What a step asks, with the values of this run in it.
#[derive(Clone, Debug)]
pub(crate) struct SipAsk {
    address: SipAddress,
    from: Option<String>,
    headers: Vec<(String, String)>,
}

impl SipAsk {
    /// Puts the values in; they may come from a platform.
    pub(crate) fn render(action: &SipAction, vars: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let render = |template: &crate::config::template::Template, place| {
            template.render(vars, place).map_err(|error| Failure::answer(&error.to_string()))
        };
        let text = render(&action.address, Place::Plain)?;
        let mut address = SipAddress::parse(&text)
            .map_err(|error| Failure::answer(&format!("`{text}` cannot be asked: {error}")))?;
        if let Some(to) = &action.to {
            let to = render(to, Place::Plain)?;
            if !is_user(&to) || address.user.is_some() {
                return Err(Failure::answer(&format!("`{to}` cannot be called: it is no user or number")));
            }
            address.user = Some(to);
        }
        let from = action.from.as_ref().map(|from| render(from, Place::Plain)).transpose()?;
        if let Some(from) = &from {
            let (user, host) = from.rsplit_once('@').unwrap_or((from, "localhost"));
            if !is_user(user) || !is_place(host) {
                return Err(Failure::answer(&format!("`{from}` cannot ask: it is no user or number")));
            }
        }
        let headers = action.headers.iter().map(|(name, value)| {
            let value = render(value, Place::Header)?;
            if value.contains(char::is_control) {
                return Err(Failure::answer(&format!("header `{name}` cannot be sent")));
            }
            Ok((name.clone(), value))
        });
        Ok(Self { address, from, headers: headers.collect::<Result<_, Failure>>()? })
    }

    fn envelope(&self, link: &Link, names: &mut Names) -> Envelope {
        let local = link.local();
        let host = if local.is_ipv6() { format!("[{}]", local.ip()) } else { local.ip().to_string() };
        let scheme = self.address.scheme();
        let from = match self.from.as_deref() {
            Some(from) if from.contains('@') => format!("{scheme}:{from}"),
            from => format!("{scheme}:{}@{host}", from.unwrap_or("warroom")),
        };
        Envelope {
            uri: self.address.to_string(),
            from,
            from_tag: names.tag(),
            call_id: names.long(),
            local,
            transport: self.address.transport,
            secure: self.address.secure,
            headers: self.headers.clone(),
        }
    }
}

/// What an exchange came to.
#[derive(Debug)]
pub(crate) struct SipReply {
    /// The answer that speaks for it, or why there is none.
    pub(crate) answer: Result<Response, Failure>,
    pub(crate) timings: Timings,
    /// Whether the other side took part in anything at all.
    pub(crate) is_met: bool,
}

/// A conversation as a machine: it says what is to be sent, and is told what came and what time it is.
trait Exchange {
    /// What is to be sent now.
    fn out(&mut self) -> Vec<Vec<u8>>;
    /// Takes a response; whether it belongs here.
    fn take(&mut self, response: Response, now: Instant) -> bool;
    /// When [`Exchange::tick`] has something to do.
    fn due(&self) -> Option<Instant>;
    /// Does what is due.
    fn tick(&mut self, now: Instant);
    /// Whether nothing more is to come.
    fn is_over(&self) -> bool;
}

/// What was met on the way.
#[derive(Debug, Default)]
struct Course {
    progress: Progress,
    /// When the first request went out.
    sent: Option<Moment>,
    /// When the last answer came.
    heard: Option<Moment>,
    noise: u32,
}

impl Course {
    /// Words on what came and meant nothing.
    fn noted(&self) -> String {
        match self.noise {
            0 => String::new(),
            1 => " (1 message was no answer to it)".to_owned(),
            many => format!(" ({many} messages were no answer to it)"),
        }
    }

    fn is_met(&self) -> bool {
        self.progress.is_met || self.heard.is_some()
    }

    fn timed_out(&self, after: Duration) -> Failure {
        let mut failure = if self.heard.is_some() {
            let after = humantime::format_duration(after);
            Failure::answer(&format!("no final answer within {after}, only that it is being worked on"))
        } else {
            self.progress.stage.timed_out(after)
        };
        failure.reason.push_str(&self.noted());
        failure
    }
}

/// Lets an exchange run over a way until it is over.
async fn converse(
    link: &mut Link,
    exchange: &mut impl Exchange,
    clock: &dyn Clock,
    course: &mut Course,
) -> Result<(), Failure> {
    loop {
        for message in exchange.out() {
            link.send(&message).await?;
            course.sent.get_or_insert_with(|| clock.moment());
            course.progress.stage = Stage::Waiting;
        }
        if exchange.is_over() {
            return Ok(());
        }
        let due = exchange.due();
        tokio::select! {
            // A peer that never stops talking must not keep the timers from their turn.
            biased;
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => exchange.tick(Instant::now()),
            heard = link.hear() => {
                let is_ours = match heard? {
                    Heard::Response(response) => exchange.take(response, Instant::now()),
                    Heard::Noise => false,
                };
                if is_ours {
                    let now = clock.moment();
                    course.heard = Some(now);
                    let sent = course.sent.unwrap_or(now);
                    course.progress.timings.first_byte.get_or_insert_with(|| now.since(sent));
                } else {
                    course.noise += 1;
                    if course.noise == NOISE {
                        return Err(Failure::answer(&format!("{NOISE} messages came that were no answer")));
                    }
                }
            }
        }
    }
}

/// Ends a call. On datagrams an error is that of one message (an ICMP of a router that was busy): what is lost is sent again
/// by the call itself.
async fn tear_down(link: &mut Link, call: &mut Call, clock: &dyn Clock) -> Result<(), Failure> {
    call.hang_up(Instant::now());
    let mut errors = 0;
    loop {
        let done = converse(link, call, clock, &mut Course::default()).await;
        errors += 1;
        match done {
            Err(failure) if link.loses() && failure.kind == Kind::Transport && errors < ERRORS => {}
            done => return done,
        }
    }
}

impl SipReply {
    fn unasked(why: &str) -> Self {
        Self { answer: Err(Failure::ours(why)), timings: Timings::default(), is_met: false }
    }
}

impl Client {
    /// Asks, and waits for what comes of it, `limit` at most.
    pub(crate) async fn sip(
        self: &Arc<Self>,
        ask: SipAsk,
        method: SipMethod,
        limit: Duration,
        endings: &Endings,
    ) -> SipReply {
        match method {
            SipMethod::Options => self.options(&ask, limit).await,
            SipMethod::Call(_) if endings.are_too_many() => {
                SipReply::unasked("calls of before are still being torn down")
            }
            SipMethod::Call(end) => {
                let (answer, answered) = oneshot::channel();
                let (client, endings) = (Arc::clone(self), endings.clone());
                // A task of its own: the call is torn down also when nobody waits for the step any more.
                self.line.calls.spawn(async move { client.call(ask, (end, limit), &endings, answer).await });
                answered.await.unwrap_or_else(|_| SipReply::unasked("the call was given up"))
            }
        }
    }

    async fn options(&self, ask: &SipAsk, limit: Duration) -> SipReply {
        let begun = self.clock.moment();
        let mut course = Course::default();
        let asked = timeout(limit, self.options_by_any(ask, &mut course)).await;
        let answer = asked.unwrap_or_else(|_| Err(course.timed_out(limit)));
        let mut timings = course.progress.timings;
        timings.total = self.clock.moment().since(begun);
        SipReply { answer, timings, is_met: course.is_met() }
    }

    async fn options_by_any(&self, ask: &SipAsk, course: &mut Course) -> Result<Response, Failure> {
        let mut refused = Failure::transport("no address");
        for way in ways(self, &ask.address, &mut course.progress).await? {
            match self.options_by(ask, way, course).await {
                Err(failure) if failure.kind == Kind::Transport && course.heard.is_none() => {
                    refused = failure;
                }
                other => return other,
            }
        }
        Err(refused)
    }

    async fn options_by(&self, ask: &SipAsk, way: Way, course: &mut Course) -> Result<Response, Failure> {
        let mut link = Link::open(self, &ask.address, way, &mut course.progress).await?;
        let mut names = self.line.names();
        let envelope = ask.envelope(&link, &mut names);
        let mut options = Options::ask(&envelope, names.branch(), link.loses(), Instant::now());
        converse(&mut link, &mut options, &*self.clock, course).await?;
        options.into_answer().ok_or_else(|| course.timed_out(transaction::LONGEST))
    }

    /// Places a call, tells what came of it, and tears down what is left of it.
    async fn call(
        &self,
        ask: SipAsk,
        (end, limit): (CallEnd, Duration),
        endings: &Endings,
        mut answer: oneshot::Sender<SipReply>,
    ) {
        let (begun, deadline) = (self.clock.moment(), Instant::now() + limit);
        let mut course = Course::default();
        let mut placed = None;
        let told = {
            let calling = self.call_by_any(&ask, end, limit, &mut course, &mut placed);
            tokio::select! {
                told = timeout_at(deadline, calling) => Some(told),
                () = answer.closed() => None,
            }
        };
        let over = placed.as_ref().is_none_or(|(_, call)| call.is_over());
        // What failed on the way says nothing of a call that the other side knows of: it stands until it is ended.
        let was_heard = placed.as_ref().is_some_and(|(_, call)| call.was_heard());
        let lost = matches!(&told, Some(Ok(Err(failure))) if failure.kind == Kind::Transport) && !was_heard;
        let mut timings = course.progress.timings;
        timings.total = course.heard.unwrap_or_else(|| self.clock.moment()).since(begun);
        let call = placed.as_ref().map(|(_, call)| call);
        let came_to = match told {
            Some(Ok(Ok(()))) => {
                call.and_then(Call::answer).cloned().ok_or_else(|| course.timed_out(transaction::LONGEST))
            }
            Some(Ok(Err(failure))) => Err(failure),
            Some(Err(_)) | None => Err(call.and_then(Call::standing).map_or_else(
                || course.timed_out(limit),
                |standing| {
                    let within = humantime::format_duration(limit);
                    Failure::answer(&format!("{standing} within {within}{}", course.noted()))
                },
            )),
        };
        // Whether anybody still waits for it makes no difference to what follows.
        let ending = was_heard.then(|| endings.begin());
        let _ = answer.send(SipReply { answer: came_to, timings, is_met: course.is_met() });
        let Some((link, call)) = placed.as_mut().filter(|_| !over && !lost) else { return };
        let torn_down = timeout(TEAR_DOWN, tear_down(link, call, &*self.clock)).await;
        drop(ending);
        if !matches!(torn_down, Ok(Ok(()))) {
            tracing::debug!(platform = %self.platform, "a call was given up before its peer said that it had ended");
        }
    }

    async fn call_by_any(
        &self,
        ask: &SipAsk,
        end: CallEnd,
        limit: Duration,
        course: &mut Course,
        placed: &mut Option<(Link, Call)>,
    ) -> Result<(), Failure> {
        let mut refused = Failure::transport("no address");
        for way in ways(self, &ask.address, &mut course.progress).await? {
            match self.call_by(ask, (end, limit), way, course, placed).await {
                Err(failure) if failure.kind == Kind::Transport && course.heard.is_none() => {
                    refused = failure;
                }
                other => return other,
            }
        }
        Err(refused)
    }

    async fn call_by(
        &self,
        ask: &SipAsk,
        (end, limit): (CallEnd, Duration),
        way: Way,
        course: &mut Course,
        placed: &mut Option<(Link, Call)>,
    ) -> Result<(), Failure> {
        let link = Link::open(self, &ask.address, way, &mut course.progress).await?;
        let mut names = self.line.names();
        let envelope = ask.envelope(&link, &mut names);
        let again = link.loses();
        let call = Call::place(envelope, names, end, again, limit, Instant::now());
        let (link, call) = placed.insert((link, call));
        converse(link, call, &*self.clock, course).await
    }
}
