//! The background task of a session: it logs in, renews before the end, and judges refusals.
//!
//! Invariants: it alone logs in, one attempt at a time; a good token is replaced only by a good one; a refusal of a token
//! that a refusal brought renews at most once in [`FORCED_EVERY`]; after a failure it waits, with full jitter unless the
//! platform says how long.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    line::{Line, Pause, Trouble},
    login::{self, Granted, Memory, Proof, Revealed},
    session::{Pass, Refusal, Standing, State, refusal},
};
use crate::{clock::SharedClock, config::model::Platform, domain::ComponentId};

/// The first wait after a failure is at most so long, and each further one at most twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure that may mend itself.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// No attempt follows a failure sooner.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
/// The wait after a failure that only a person can mend.
const SELDOM: Duration = Duration::from_mins(1);
/// How often the refusal of a token that a refusal brought may cause a login.
const FORCED_EVERY: Duration = Duration::from_mins(1);
/// How soon a token is held against the config again whose organisation the platform could not tell.
const CHECK_AGAIN: Duration = Duration::from_secs(5);
/// Refusals of a fresh token that nobody accepted, after which it is the platform's state and no single path's.
const STRIKES: u32 = 2;

/// What reaches the keeper.
pub(super) enum Message {
    /// A pass was answered 401 to this component.
    Refused { number: u64, by: ComponentId, reply: Reply },
    /// A pass was let in for the first time.
    Accepted,
    /// A pass was wanted after its end.
    Ended { number: u64 },
}

/// Where the answer to a refusal goes.
pub(super) type Reply = oneshot::Sender<Result<Pass, Refusal>>;

/// Why the next login is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// There is none yet, or the last attempt failed.
    Wanting,
    /// The token will end.
    Due,
    /// The token was refused.
    Refused,
    /// Its secrets were replaced.
    Replaced,
}

pub(super) struct Keeper {
    platform: Arc<Platform>,
    clock: SharedClock,
    line: Arc<Line>,
    state: watch::Sender<State>,
    messages: mpsc::Receiver<Message>,
    /// Somebody asked for the secrets to be fetched again.
    renewal: Arc<Notify>,
    random: fastrand::Rng,
    /// What was fetched from where the config says; dropped when it may have changed there.
    revealed: Option<Arc<Revealed>>,
    memory: Memory,
    pass: Option<Pass>,
    number: u64,
    /// Refusals of the present pass.
    strikes: u32,
    /// The components that it was refused to.
    refused_to: BTreeSet<ComponentId>,
    /// Whether the pass before it was let in by others than those that it was refused to.
    trusted: bool,
    /// Failed attempts in a row.
    failures: u32,
    /// Whether the present pass was asked for by a refusal.
    is_forced: bool,
    forced_at: Option<Instant>,
    /// The platform refused what its login granted: a new pass is told as good only when it was let in.
    on_trial: bool,
    /// Who waits for the login under way.
    waiting: Vec<Reply>,
}

/// Why a refused request gets no other token.
///
/// Where the platform lets the same credentials in elsewhere, the refusal is the component's own answer, and believed.
fn refused(elsewhere_accepted: bool, trusted: bool) -> Refusal {
    let reason = match (elsewhere_accepted, trusted) {
        (true, _) => {
            "refused (401) with credentials that the platform accepts elsewhere, renewed less than a minute ago"
        }
        (false, true) => {
            "refused (401); the credentials were renewed less than a minute ago, and nobody else has used them yet"
        }
        (false, false) => "login failing: the credentials are refused (401); renew them",
    };
    Refusal { reason: reason.to_owned(), believed: elsewhere_accepted }
}

impl Keeper {
    pub(super) fn new(
        platform: Arc<Platform>,
        clock: SharedClock,
        line: Arc<Line>,
        state: watch::Sender<State>,
        messages: mpsc::Receiver<Message>,
        renewal: Arc<Notify>,
        random: fastrand::Rng,
    ) -> Self {
        Self {
            platform,
            clock,
            line,
            state,
            messages,
            renewal,
            random,
            revealed: None,
            memory: Memory::default(),
            pass: None,
            number: 0,
            strikes: 0,
            refused_to: BTreeSet::new(),
            trusted: false,
            failures: 0,
            is_forced: false,
            forced_at: None,
            on_trial: false,
            waiting: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut cause = Cause::Wanting;
        loop {
            let next = match self.log_in(cause).await {
                Ok(granted) => {
                    self.take(granted, cause);
                    self.watch().await
                }
                Err(trouble) => self.fail(&trouble, cause).await,
            };
            // Nobody holds the session any more.
            let Some(next) = next else { return };
            cause = next;
        }
    }

    async fn log_in(&mut self, cause: Cause) -> Result<Granted, Trouble> {
        if cause == Cause::Refused {
            // It may have been replaced where it came from.
            self.revealed = None;
            self.memory.forget();
        }
        let revealed = if let Some(revealed) = &self.revealed {
            Arc::clone(revealed)
        } else {
            let platform = Arc::clone(&self.platform);
            Arc::clone(self.revealed.insert(fetch(platform).await?))
        };
        tracing::debug!(platform = %self.platform.id, ?cause, "logging in");
        login::log_in(&self.line, &self.platform, &revealed, &mut self.memory).await
    }

    fn take(&mut self, granted: Granted, cause: Cause) {
        self.number += 1;
        self.is_forced = cause == Cause::Refused;
        (self.strikes, self.failures) = (0, 0);
        self.refused_to.clear();
        let ends = granted.life.map(|life| self.clock.moment() + life);
        let pass = Pass::new(self.number, granted.credentials, granted.base, ends, granted.proof);
        self.pass = Some(pass.clone());
        self.on_trial &= granted.proof != Proof::Accepted;
        for waiting in self.waiting.drain(..) {
            // A probe that gave up no longer waits.
            let _ = waiting.send(Ok(pass.clone()));
        }
        let on_trial = self.on_trial;
        self.state.send_modify(|state| {
            state.pass = Some(pass);
            state.complaint = None;
            if !on_trial {
                state.standing = Standing::Ok;
            }
        });
        if self.platform.login.is_some() {
            tracing::info!(platform = %self.platform.id, life = ?granted.life, "logged in");
        }
    }

    /// Keeps the pass until another one is needed; says why it is. `None` at the end of the session.
    async fn watch(&mut self) -> Option<Cause> {
        let renewal = self.renewal();
        loop {
            let message = tokio::select! {
                () = until(renewal) => return Some(Cause::Due),
                () = self.renewal.notified() => {
                    match self.look_for_other_secrets().await {
                        Ok(true) => return Some(Cause::Replaced),
                        Ok(false) => {}
                        Err(trouble) => self.complain(&trouble),
                    }
                    continue;
                }
                message = self.messages.recv() => message?,
            };
            match message {
                Message::Ended { number } if number == self.number => return Some(Cause::Due),
                Message::Ended { .. } => {}
                Message::Accepted => self.settle(),
                Message::Refused { number, by, reply } => {
                    if let Some(cause) = self.refuse(number, by, reply).await? {
                        return Some(cause);
                    }
                }
            }
        }
    }

    /// Fetches the secrets again; says whether they are other ones.
    async fn look_for_other_secrets(&mut self) -> Result<bool, Trouble> {
        let fetched = fetch(Arc::clone(&self.platform)).await?;
        if self.revealed.as_ref().is_some_and(|known| known.is_same(&fetched)) {
            self.state.send_modify(|state| state.complaint = None);
            return Ok(false);
        }
        self.revealed = Some(fetched);
        self.memory.forget();
        Ok(true)
    }

    /// Says why there will be no other token, while that which there is stays good.
    fn complain(&self, trouble: &Trouble) {
        tracing::error!(platform = %self.platform.id, reason = %trouble.reason, "the login is not renewed");
        self.state.send_modify(|state| state.complaint = Some(Arc::from(trouble.reason.as_str())));
    }

    /// When the present pass is renewed: well before its end, so that a login that fails for a while is never noticed,
    /// and not at the same instant as other runners do it.
    fn renewal(&mut self) -> Option<Instant> {
        if self.pass.as_ref()?.is_unchecked() {
            return Some(Instant::now() + CHECK_AGAIN + CHECK_AGAIN.mul_f64(self.random.f64()));
        }
        let ends = self.pass.as_ref()?.ends()?;
        let life = ends.since(self.clock.moment());
        let early = life.mul_f64(0.75 + 0.1 * self.random.f64());
        Some(Instant::now() + early.max(Duration::from_secs(1)))
    }

    /// Judges a 401. Says why to log in now, or nothing where the pass is kept; the outer `None` is the session's end.
    async fn refuse(&mut self, number: u64, by: ComponentId, reply: Reply) -> Option<Option<Cause>> {
        if let Some(pass) = self.pass.as_ref().filter(|pass| pass.number() > number) {
            let _ = reply.send(Ok(pass.clone()));
            return Some(None);
        }
        self.strikes += 1;
        self.refused_to.insert(by);
        let now = Instant::now();
        let proven = self.pass.as_ref().is_some_and(Pass::is_proven);
        // A pass that was renewed in its own time may be refused with good reason; one that a refusal brought seldom is.
        let suspect = self.is_forced || self.on_trial;
        if !suspect || self.forced_at.is_none_or(|at| now.duration_since(at) >= FORCED_EVERY) {
            self.forced_at = Some(now);
            self.trusted = proven;
            // Whoever is let in with it from now on shows that it is still good.
            self.pass.iter().for_each(Pass::doubt);
            self.waiting.push(reply);
            return Some(Some(Cause::Refused));
        }
        // One component alone is no judge of credentials that were good for others a moment ago.
        let alone = self.trusted && self.refused_to.len() < 2;
        if proven || alone || self.strikes < STRIKES {
            // A probe that gave up no longer waits.
            let _ = reply.send(Err(refused(proven, self.trusted)));
            return Some(None);
        }
        self.on_trial = true;
        let reason = if self.platform.login.is_some() {
            "the platform refuses the token that its login has just granted (401); a new one is tried every minute"
        } else {
            "the credentials are refused (401); renew them, they are fetched again every minute"
        };
        let trouble = Trouble::new(Pause::Seldom, reason);
        self.waiting.push(reply);
        self.pass = None;
        self.fail(&trouble, Cause::Refused).await.map(Some)
    }

    /// A login that was on trial is good when its pass was let in.
    fn settle(&mut self) {
        if self.on_trial && self.pass.as_ref().is_some_and(Pass::is_proven) {
            self.on_trial = false;
            self.state.send_modify(|state| state.standing = Standing::Ok);
        }
    }

    /// Tells of a failure, unless there is still a good pass, and waits until the next attempt.
    async fn fail(&mut self, trouble: &Trouble, cause: Cause) -> Option<Cause> {
        self.failures = self.failures.saturating_add(1);
        tracing::error!(platform = %self.platform.id, reason = %trouble.reason, "the login fails");
        let now = self.clock.moment();
        let is_bad = |pass: &Pass| (cause == Cause::Refused && !pass.is_proven()) || pass.has_ended(now);
        if self.pass.as_ref().is_some_and(is_bad) {
            self.pass = None;
        }
        if trouble.pause == Pause::Seldom {
            // It may be replaced where it comes from; the token that there is stays good all the same.
            self.revealed = None;
            self.memory.forget();
        }
        if self.pass.is_none() {
            self.tell(trouble);
        } else {
            self.hand_back();
            // Whoever replaced a secret waits for word of it; a renewal in time has time left to succeed.
            if cause == Cause::Replaced {
                self.complain(trouble);
            }
        }
        let over = Instant::now() + self.wait(trouble.pause);
        loop {
            let ends = self.pass.as_ref().and_then(Pass::ends);
            let ends = ends.map(|ends| Instant::now() + ends.since(self.clock.moment()));
            let message = tokio::select! {
                () = sleep_until(over) => return Some(Cause::Wanting),
                () = self.renewal.notified() => {
                    // It is fetched with the next attempt, which a platform may have asked to be later.
                    self.revealed = None;
                    self.memory.forget();
                    if matches!(trouble.pause, Pause::Asked(_)) {
                        continue;
                    }
                    return Some(if self.pass.is_some() { Cause::Replaced } else { Cause::Wanting });
                }
                () = until(ends) => None,
                message = self.messages.recv() => Some(message?),
            };
            match message {
                Some(Message::Accepted) => self.settle(),
                Some(Message::Refused { number, by, reply }) => {
                    let same = self.pass.as_ref().filter(|pass| pass.number() <= number);
                    if let Some(pass) = same {
                        self.refused_to.insert(by);
                        if pass.is_proven() && self.refused_to.len() < 2 {
                            let _ = reply.send(Err(refused(true, true)));
                            continue;
                        }
                        self.pass = None;
                        self.tell(trouble);
                    }
                    let standing = Standing::Failing(Arc::from(trouble.reason.as_str()));
                    // A probe that gave up no longer waits.
                    let _ = reply.send(self.pass.clone().ok_or_else(|| refusal(&standing).into()));
                }
                None | Some(Message::Ended { .. }) => {
                    if self.pass.as_ref().is_some_and(|pass| pass.has_ended(self.clock.moment())) {
                        self.pass = None;
                        self.tell(trouble);
                    }
                }
            }
        }
    }

    /// A login that a refusal asked for failed, and the token is good for others: it is the refused one's own trouble.
    fn hand_back(&mut self) {
        for waiting in self.waiting.drain(..) {
            // A probe that gave up no longer waits.
            let _ = waiting.send(Err(refused(true, true)));
        }
    }

    /// Tells everybody that there is no pass.
    fn tell(&mut self, trouble: &Trouble) {
        let standing = Standing::Failing(Arc::from(trouble.reason.as_str()));
        for waiting in self.waiting.drain(..) {
            // A probe that gave up no longer waits.
            let _ = waiting.send(Err(refusal(&standing).into()));
        }
        self.state.send_modify(|state| {
            state.pass = None;
            state.complaint = None;
            state.standing = standing;
        });
    }

    fn wait(&mut self, pause: Pause) -> Duration {
        let chance = self.random.f64();
        match pause {
            Pause::Backoff => {
                let doubled = FIRST_WAIT.saturating_mul(1 << (self.failures - 1).min(6));
                doubled.min(LONGEST_WAIT).mul_f64(chance).max(SHORTEST_WAIT)
            }
            // Never sooner than asked, and not all runners at one instant.
            Pause::Asked(wait) => wait + Duration::from_millis(100) + Duration::from_secs(1).mul_f64(chance),
            Pause::Seldom => SELDOM + SELDOM.mul_f64(0.1 * chance),
        }
    }
}

/// Fetches all that is secret of a platform, on a thread where it may block.
async fn fetch(platform: Arc<Platform>) -> Result<Arc<Revealed>, Trouble> {
    let fetched = tokio::task::spawn_blocking(move || Revealed::of(&platform)).await;
    let fetched = fetched.map_err(|error| Trouble::new(Pause::Backoff, error.to_string()))?;
    fetched.map(Arc::new)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
