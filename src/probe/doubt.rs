//! Whether a failure may be our own network's: canaries, all platforms failing at one instant, no name that resolves.
//!
//! Invariants: only transport failures are doubted; a canary that fails while a platform answers is ignored.

mod looks;
mod nameservers;
mod witness;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::{Notify, OnceCell};
use url::Url;

use self::looks::{FRESH_FOR, Looks};
#[cfg(test)]
pub(crate) use self::nameservers::Nameservers;
pub(crate) use self::witness::Witness;
use super::tls;
use crate::domain::{Moment, Span};

/// How long a canary may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What the latest probes of a platform, or of one component, say of the way to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// When the latest probe that was answered began.
    pub answered: Option<Moment>,
    /// The first transport failure since then.
    pub failing: Option<Span>,
}

impl Sight {
    /// Something answered a probe that ran in this interval.
    pub fn answer(&mut self, span: Span) {
        self.answered = self.answered.max(Some(span.start));
        self.failing = None;
    }

    /// Nothing answered a probe that ran in this interval.
    pub fn failure(&mut self, span: Span) {
        self.failing.get_or_insert(span);
    }
}

/// Whether all platforms, two at least, fail by transport, and may have begun to at one instant with the component `own`.
///
/// Each began between the start of its last answered probe and the end of the first failure after it; only where all
/// these intervals share an instant can one cause, our own network, have done it. A platform or component that has been
/// down for an hour therefore never hides the fall of another, nor is it hidden by that.
#[must_use]
pub fn all_cut_off(platforms: &[Sight], own: Sight) -> bool {
    if platforms.len() < 2 {
        return false;
    }
    let sights = || platforms.iter().copied().chain([own]);
    let Some(earliest_failure) =
        sights().map(|sight| sight.failing.map(|span| span.end)).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    let latest_answer = sights().filter_map(|sight| sight.answered).max();
    let earliest_failure = earliest_failure.into_iter().min();
    latest_answer < earliest_failure
}

/// The sights of all platforms, by their place.
#[derive(Debug, Default)]
pub(crate) struct Sights(Mutex<Vec<Sight>>);

impl Sights {
    pub(crate) fn new(platforms: usize) -> Self {
        Self(Mutex::new(vec![Sight::default(); platforms]))
    }

    pub(crate) fn answer(&self, platform: usize, span: Span) {
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sights[platform].answer(span);
    }

    /// Notes a failure of the component whose own sight is `own`, and says whether all platforms are cut off. Only its
    /// fall speaks for the platform: one that has been dead for long says nothing of the way there.
    pub(crate) fn failure(&self, platform: usize, own: &mut Sight, span: Span) -> bool {
        let fell = own.failing.is_none();
        own.failure(span);
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fell {
            sights[platform].failure(span);
        }
        all_cut_off(&sights, *own)
    }

    /// Whether any platform answered a probe that began after this moment.
    fn any_answered_since(&self, moment: Moment) -> bool {
        let sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sights.iter().any(|sight| sight.answered > Some(moment))
    }
}

/// Hosts elsewhere whose answer proves that our own network works.
#[derive(Debug)]
pub struct Canary {
    urls: Vec<Url>,
    client: OnceCell<reqwest::Client>,
    looks: Looks,
    ignored: AtomicBool,
    /// Woken when a failure is taken for our own, which a dead canary must not do for long.
    accused: Notify,
}

impl Canary {
    /// Canaries at these addresses; none of them is asked yet.
    #[must_use]
    pub fn new(urls: &[Url]) -> Arc<Self> {
        Arc::new(Self {
            urls: urls.to_vec(),
            client: OnceCell::new(),
            looks: Looks::default(),
            ignored: AtomicBool::new(false),
            accused: Notify::new(),
        })
    }

    /// Whether these are its addresses.
    pub(crate) fn is_of(&self, urls: &[Url]) -> bool {
        self.urls == urls
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// Whether a transport failure now is to be taken for our own: canaries there are, and none answers.
    pub async fn accuses_us(&self) -> bool {
        let accused = !self.is_empty() && !self.ignored.load(Ordering::Relaxed) && !self.answers().await;
        if accused {
            self.accused.notify_one();
        }
        accused
    }

    /// Whether any canary answers, by a look that ended at most a second ago or began after this was asked.
    pub async fn answers(&self) -> bool {
        self.looks.recent(self.look()).await
    }

    /// Whether any canary answers, by a look that begins now.
    async fn answers_now(&self) -> bool {
        self.looks.now(self.look()).await
    }

    /// Any HTTP answer counts, whatever its status: something is there.
    async fn look(&self) -> bool {
        let client = match self.client.get_or_try_init(client).await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "no canary can be asked");
                return false;
            }
        };
        let mut asks: FuturesUnordered<_> =
            self.urls.iter().map(|url| async { client.head(url.clone()).send().await.is_ok() }).collect();
        while let Some(answered) = asks.next().await {
            if answered {
                return true;
            }
        }
        false
    }

    /// Looks whether the canaries themselves are at fault: none answers, yet a platform answered a probe that began after
    /// that was known. `Some(true)` when they are ignored from now on, `Some(false)` when they count again, `None` when
    /// nothing changed.
    pub(crate) async fn review(&self, sights: &Sights, now: impl Fn() -> Moment) -> Option<bool> {
        if self.answers_now().await {
            return self.ignored.swap(false, Ordering::Relaxed).then_some(false);
        }
        if self.ignored.load(Ordering::Relaxed) {
            return None;
        }
        let silent = now();
        loop {
            tokio::time::sleep(FRESH_FOR).await;
            let answered = sights.any_answered_since(silent);
            // It may have been a moment's trouble that is over.
            if self.answers_now().await {
                return None;
            }
            if answered {
                self.ignored.store(true, Ordering::Relaxed);
                return Some(true);
            }
        }
    }

    /// Waits until a failure was taken for our own.
    pub(crate) async fn accused(&self) {
        self.accused.notified().await;
    }

    /// The addresses, for a notice.
    pub(crate) fn names(&self) -> String {
        self.urls.iter().map(Url::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Why no canary can be asked.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error(transparent)]
    Trust(#[from] tls::TrustError),
    #[error(transparent)]
    Build(#[from] reqwest::Error),
    #[error(transparent)]
    Join(#[from] tokio::task::JoinError),
}

async fn client() -> Result<reqwest::Client, ClientError> {
    let config = tokio::task::spawn_blocking(|| tls::client_config(None, &[])).await??;
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(TIMEOUT)
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(answered: Option<i64>, failing: Option<(i64, i64)>) -> Sight {
        let at = Moment::from_millis;
        Sight {
            answered: answered.map(at),
            failing: failing.map(|(start, end)| Span::new(at(start), at(end))),
        }
    }

    /// A pulled network cable must not open an outage for everything that is measured.
    #[test]
    fn all_platforms_that_fail_at_one_instant_are_our_own_trouble() {
        let platforms = [sight(Some(1_000), Some((2_000, 2_100))), sight(Some(1_500), Some((1_900, 6_900)))];
        assert!(all_cut_off(&platforms, platforms[0]));
        assert!(all_cut_off(&platforms, sight(None, Some((3_000, 3_100)))));
        let platforms = [sight(None, Some((10, 20))), sight(None, Some((5, 30)))];
        assert!(all_cut_off(&platforms, platforms[1]));
    }

    /// One platform that fell an hour ago must not hide the fall of the last other one.
    #[test]
    fn platforms_that_fell_at_different_times_are_believed() {
        let platforms =
            [sight(Some(0), Some((100, 200))), sight(Some(3_600_000), Some((3_601_000, 3_602_000)))];
        assert!(!all_cut_off(&platforms, platforms[1]));
    }

    #[test]
    fn one_that_answers_or_a_single_one_is_believed() {
        let fallen = sight(Some(0), Some((100, 200)));
        assert!(!all_cut_off(&[fallen, sight(Some(50), None)], fallen));
        assert!(!all_cut_off(&[fallen], fallen));
        assert!(!all_cut_off(&[], fallen));
    }

    /// A component that fell long before all platforms did is down, whatever became of our network since.
    #[test]
    fn a_component_that_fell_before_all_others_is_believed() {
        let platforms = [sight(Some(1_000), Some((2_000, 2_100))), sight(Some(1_500), Some((1_900, 6_900)))];
        assert!(!all_cut_off(&platforms, sight(Some(0), Some((100, 200)))));
    }

    /// A dead component beside a well one must not make its platform seem silent again and again.
    #[test]
    fn only_the_fall_of_a_component_speaks_for_its_platform() {
        let span = |start, end| Span::new(Moment::from_millis(start), Moment::from_millis(end));
        let sights = Sights::new(2);
        let (mut dead, mut dying) = (Sight::default(), Sight::default());
        assert!(!sights.failure(0, &mut dead, span(0, 10)));
        sights.answer(0, span(500, 510));
        sights.answer(1, span(400, 410));
        assert!(!sights.failure(0, &mut dead, span(1_000, 1_010)));
        assert!(!sights.failure(1, &mut dying, span(1_100, 1_110)));
    }

    #[tokio::test]
    async fn without_canaries_nothing_is_doubted() {
        assert!(!Canary::new(&[]).accuses_us().await);
    }
}
