//! The session of one platform: what its requests carry now, shared by all of its probes.
//!
//! Invariants: one login at a time, made by the keeper alone; who asks for a pass never waits for a
//! login longer than told; nothing secret is in `Debug` output.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::AbortHandle,
    time::timeout,
};
use url::Url;

use super::{
    Credentials, Description,
    keeper::{Keeper, Message},
    line::Line,
    login::{self, Proof},
};
use crate::{
    clock::SharedClock,
    config::model::{Platform, Text},
    domain::{ComponentId, Moment},
};

/// Messages that may wait for the keeper: more probes than that ask again with their next run.
const WAITING: usize = 1024;
/// Why there is no pass yet.
const UNDER_WAY: &str = "login still under way";
/// Why there is none any more.
const ENDED: &str = "login failing: the token has ended and is not renewed yet";

/// Whether a platform's login works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first one is under way.
    Pending,
    /// It works, or the platform needs none.
    Ok,
    /// It does not; why. Cleaned, without any secret.
    Failing(Arc<str>),
}

/// Why a refused request gets no other token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words.
    pub reason: String,
    /// Whether the platform lets the same credentials in elsewhere, so that the refusal is the component's own answer.
    pub believed: bool,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, believed: false }
    }
}

/// What requests carry between one login and the next. Cheap to clone.
#[derive(Clone)]
pub struct Pass(Arc<Grant>);

struct Grant {
    number: u64,
    credentials: Credentials,
    base: Option<Url>,
    ends: Option<Moment>,
    proven: AtomicBool,
    unchecked: bool,
}

/// What is known of the login; written by the keeper alone.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) pass: Option<Pass>,
    pub(super) standing: Standing,
    /// Why the pass is not replaced though its secrets were.
    pub(super) complaint: Option<Arc<str>>,
}

/// One platform's session. Dropping it ends its background task.
pub struct Session {
    state: watch::Receiver<State>,
    kept: Option<Kept>,
}

/// What a session with a keeper has besides.
struct Kept {
    platform: Arc<Platform>,
    clock: SharedClock,
    line: Arc<Line>,
    mailbox: mpsc::Sender<Message>,
    /// Asks for the secrets to be fetched again.
    renewal: Arc<Notify>,
    task: AbortHandle,
}

impl Session {
    /// Begins the session of a platform: fetches its secrets and logs in, in the background. Must be called inside a tokio
    /// runtime. A platform without any secret is ready at once.
    #[must_use]
    pub fn start(platform: &Arc<Platform>, clock: &SharedClock, seed: u64) -> Arc<Self> {
        let secret_header = platform.headers.iter().any(|(_, text)| matches!(text, Text::Secret(_)));
        if !secret_header && platform.bearer.is_none() && platform.login.is_none() {
            return Self::fixed(Credentials::plain(platform));
        }
        let (sender, state) =
            watch::channel(State { pass: None, standing: Standing::Pending, complaint: None });
        let (mailbox, messages) = mpsc::channel(WAITING);
        let (line, renewal) = (Arc::new(Line::new(platform.ca_file.clone())), Arc::new(Notify::new()));
        let keeper = Keeper::new(
            Arc::clone(platform),
            Arc::clone(clock),
            Arc::clone(&line),
            sender,
            messages,
            Arc::clone(&renewal),
            fastrand::Rng::with_seed(seed),
        );
        let task = tokio::spawn(keeper.run()).abort_handle();
        let (platform, clock) = (Arc::clone(platform), Arc::clone(clock));
        Arc::new(Self { state, kept: Some(Kept { platform, clock, line, mailbox, renewal, task }) })
    }

    /// A session with these credentials for ever.
    #[must_use]
    pub fn fixed(credentials: Credentials) -> Arc<Self> {
        let pass = Pass::new(0, credentials, None, None, Proof::Accepted);
        let (_, state) = watch::channel(State { pass: Some(pass), standing: Standing::Ok, complaint: None });
        Arc::new(Self { state, kept: None })
    }

    /// What a request sent now carries; or why there is nothing, in words that begin with `login`.
    pub fn pass(&self) -> Result<Pass, String> {
        let (pass, standing) = {
            let state = self.state.borrow();
            (state.pass.clone(), state.standing.clone())
        };
        let Some(pass) = pass else { return Err(refusal(&standing)) };
        if let Some(kept) = self.kept.as_ref().filter(|kept| pass.has_ended(kept.clock.moment())) {
            // A full mailbox holds such a message already.
            let _ = kept.mailbox.try_send(Message::Ended { number: pass.number() });
            return Err(ENDED.to_owned());
        }
        Ok(pass)
    }

    /// Fetches the secrets again, in the background, and logs in with them if they were replaced where they come from. What
    /// there is stays in use until that has gone well. A login that fails is tried again at once, unless its platform asked
    /// for a wait.
    pub fn renew(&self) {
        if let Some(kept) = &self.kept {
            kept.renewal.notify_one();
        }
    }

    /// Waits until the login has been decided, `patience` at the longest; says why requests cannot be sent, if so.
    pub async fn ready(&self, patience: Duration) -> Result<(), String> {
        let Err(reason) = self.pass() else { return Ok(()) };
        if matches!(self.state.borrow().standing, Standing::Failing(_)) {
            return Err(reason);
        }
        let mut state = self.state.clone();
        let decided = async {
            loop {
                if state.changed().await.is_err() {
                    return Err(reason);
                }
                let known = self.pass();
                let failing = matches!(state.borrow_and_update().standing, Standing::Failing(_));
                if known.is_ok() || failing {
                    return known.map(drop);
                }
            }
        };
        match timeout(patience, decided).await {
            Ok(decided) => decided,
            Err(_) => self.pass().map(drop),
        }
    }

    /// A request that carried this pass was answered 401. Waits, `patience` at the longest, for another pass; where there
    /// will be none, says why.
    ///
    /// Whoever comes with a pass that was replaced gets the new one at once; of those who come together one login serves
    /// all; and a pass that is refused although it is fresh is not renewed again and again.
    pub async fn renewed(
        &self,
        refused: &Pass,
        by: &ComponentId,
        patience: Duration,
    ) -> Result<Pass, Refusal> {
        let Some(kept) = &self.kept else {
            return Err("refused (401), and this platform has no credentials".to_owned().into());
        };
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let message = Message::Refused { number: refused.number(), by: by.clone(), reply };
            kept.mailbox.send(message).await.ok()?;
            answer.await.ok()
        };
        match timeout(patience, asked).await {
            Ok(Some(answer)) => answer,
            // The session has ended.
            Ok(None) => Err(UNDER_WAY.to_owned().into()),
            Err(_) => Err(format!(
                "login failing: the token was refused (401), and no new one came within {}",
                humantime::format_duration(patience)
            )
            .into()),
        }
    }

    /// A request that carried this pass was let in.
    pub fn accepted(&self, pass: &Pass) {
        if !pass.0.proven.swap(true, Ordering::Relaxed)
            && let Some(kept) = &self.kept
        {
            // Only a login on trial waits for it, and the next answer tells it again in effect: a pass stays proven.
            let _ = kept.mailbox.try_send(Message::Accepted);
        }
    }

    /// The origin and path of the API where the login had to find it; `None` before that, or where the config says it.
    #[must_use]
    pub fn base(&self) -> Option<Url> {
        self.state.borrow().pass.as_ref().and_then(|pass| pass.0.base.clone())
    }

    /// How the login stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.state.borrow().standing.clone()
    }

    /// Why what there is stays in use though its secrets were to be replaced; cleaned, without any secret.
    #[must_use]
    pub fn complaint(&self) -> Option<Arc<str>> {
        self.state.borrow().complaint.clone()
    }

    /// Follows how the login stands.
    #[must_use]
    pub fn standings(&self) -> Standings {
        Standings { state: self.state.clone(), last: None }
    }

    /// What the platform says of the token: its organisation, scopes and permissions. Waits for the login first, `patience`
    /// at the longest. Only Genesys Cloud has more to tell than how long the token is good for.
    pub async fn describe(&self, patience: Duration) -> Result<Description, String> {
        self.ready(patience).await?;
        let pass = self.pass()?;
        let Some(kept) = &self.kept else { return Ok(Description::default()) };
        let told = match (kept.platform.kind, &kept.platform.login) {
            (crate::config::model::PlatformKind::Genesys, Some(_)) => {
                login::describe(&kept.line, &kept.platform, &pass.0.credentials).await?
            }
            (_, login) => Description {
                // Held against the token at every login.
                organization_id: login.as_ref().and_then(|login| login.tenant_id.clone()),
                ..Description::default()
            },
        };
        let ends_in = pass.0.ends.map(|ends| ends.since(kept.clock.moment()));
        Ok(Description { ends_in, ..told })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(kept) = &self.kept {
            kept.task.abort();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

impl From<Credentials> for Arc<Session> {
    fn from(credentials: Credentials) -> Self {
        Session::fixed(credentials)
    }
}

/// A session's standings, one after the other; those that came too fast to be seen are left out.
#[derive(Debug)]
pub struct Standings {
    state: watch::Receiver<State>,
    last: Option<(Standing, Option<Arc<str>>)>,
}

impl Standings {
    /// The next that differs from the last, the present one first, with what [`Session::complaint`] says then; `None` when
    /// the session has ended.
    pub async fn next(&mut self) -> Option<(Standing, Option<Arc<str>>)> {
        loop {
            let known = {
                let state = self.state.borrow_and_update();
                (state.standing.clone(), state.complaint.clone())
            };
            if self.last.as_ref() != Some(&known) {
                self.last = Some(known.clone());
                return Some(known);
            }
            self.state.changed().await.ok()?;
        }
    }
}

impl Pass {
    pub(super) fn new(
        number: u64,
        credentials: Credentials,
        base: Option<Url>,
        ends: Option<Moment>,
        proof: Proof,
    ) -> Self {
        let proven = AtomicBool::new(proof == Proof::Accepted);
        Self(Arc::new(Grant {
            number,
            credentials,
            base,
            ends,
            proven,
            unchecked: proof == Proof::Unchecked,
        }))
    }

    /// The secret headers and the token.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    pub(super) fn number(&self) -> u64 {
        self.0.number
    }

    pub(super) fn ends(&self) -> Option<Moment> {
        self.0.ends
    }

    pub(super) fn is_proven(&self) -> bool {
        self.0.proven.load(Ordering::Relaxed)
    }

    /// Whether nobody could say yet if it belongs to the organisation that the config names: what answers well may be
    /// another's.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.0.unchecked
    }

    /// It was refused: it is proven again when the next request is let in.
    pub(super) fn doubt(&self) {
        self.0.proven.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self, now: Moment) -> bool {
        self.0.ends.is_some_and(|ends| ends <= now)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pass").field("number", &self.0.number).finish_non_exhaustive()
    }
}

/// Why a login that stands so lets nobody in.
pub(super) fn refusal(standing: &Standing) -> String {
    match standing {
        Standing::Failing(reason) => format!("login failing: {reason}"),
        Standing::Pending | Standing::Ok => UNDER_WAY.to_owned(),
    }
}
