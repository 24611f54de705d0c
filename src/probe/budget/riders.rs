//! Starts that cost nothing: what they ask first was asked a moment ago by another component, whose answer serves them.
//!
//! Invariant: only a guess is made here. Who is let go for nothing and must ask all the same is admitted by itself, so
//! that the ceiling holds whatever comes of it.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::queue::Applicant;

/// What several components ask first, and are given one answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// Its number among those of the schedule.
    pub(crate) number: usize,
    /// How old an answer may be that serves.
    pub(crate) age: Duration,
}

/// When the request of each family was last paid for.
#[derive(Debug, Default)]
pub(super) struct Riders(HashMap<usize, Fares>);

/// The last starts of a family that paid.
#[derive(Clone, Copy, Debug)]
struct Fares {
    latest: Instant,
    /// Of one in trouble, which asks over a fresh connection.
    fresh: Option<Instant>,
}

impl Riders {
    /// Requests for which a start must find room.
    pub(super) fn fare(&self, applicant: &Applicant, now: Instant) -> u32 {
        applicant.requests - u32::from(self.rides(applicant, now))
    }

    /// Whether the answer to another one's request serves it: asked for after its own last look, over a connection that is
    /// fresh enough, and young.
    fn rides(&self, applicant: &Applicant, now: Instant) -> bool {
        let paid = applicant.family.and_then(|family| {
            let fares = self.0.get(&family.number)?;
            let paid = if applicant.troubled { fares.fresh? } else { fares.latest };
            (now.saturating_duration_since(paid) <= family.age).then_some(paid)
        });
        applicant.requests > 0 && paid.is_some_and(|paid| paid > applicant.last)
    }

    /// A probe starts now.
    pub(super) fn note(&mut self, applicant: &Applicant, now: Instant) {
        let Some(family) = applicant.family.filter(|_| !self.rides(applicant, now)) else { return };
        let fares = self.0.entry(family.number).or_insert(Fares { latest: now, fresh: None });
        fares.latest = now;
        if applicant.troubled {
            fares.fresh = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test may")]

    use super::*;
    use crate::{
        config::model::Rate,
        domain::Tier,
        probe::budget::{Application, Budget, Clerk, Errand, Purse},
    };

    const CADENCE: Duration = Duration::from_secs(5);
    const COMPONENTS: usize = 30;

    fn applicant(place: usize, troubled: bool, last: Instant) -> Applicant {
        let family = Some(Family { number: 0, age: Duration::from_secs(1) });
        Applicant {
            place,
            troubled,
            tier: Tier::One,
            interval: CADENCE,
            cadence: CADENCE,
            last,
            requests: 1,
            family,
        }
    }

    fn budget(requests: u32) -> std::sync::Arc<Budget> {
        let requests = requests.try_into().unwrap_or(std::num::NonZeroU32::MIN);
        Budget::new(Some(Rate { requests, per: Duration::from_mins(1) }))
    }

    fn granted(application: Application) -> Purse {
        match application {
            Application::Granted(purse) => purse,
            Application::Waits(_) => panic!("it waits"),
        }
    }

    async fn ask(purse: &Purse) {
        let Ok(mut slot) = purse.admit(Errand::Step).await else { panic!("it is refused") };
        slot.send();
    }

    /// A listing that many share must not be paid for by each: they would be spread over the whole cadence.
    #[tokio::test(start_paused = true)]
    async fn thirty_components_with_one_listing_go_out_at_once_under_a_tight_ceiling() {
        // At 240 nothing is tight; at 13 there is room for little more than one request at each cadence.
        for ceiling in [240, 13] {
            let budget = budget(ceiling);
            let mut last = [Instant::now(); COMPONENTS];
            for _ in 0..50 {
                tokio::time::advance(CADENCE).await;
                let purses: Vec<Purse> = (0..COMPONENTS)
                    .map(|place| granted(budget.apply(applicant(place, false, last[place]))))
                    .collect();
                last.fill(Instant::now());
                ask(&purses[0]).await;
            }
        }
    }

    /// Those that wait go together: one has room, and the others need none.
    #[tokio::test(start_paused = true)]
    async fn those_that_wait_go_with_the_first_that_has_room() {
        let budget = budget(1);
        let start = Instant::now();
        let stranger = Applicant { family: None, ..applicant(99, false, start) };
        ask(&granted(budget.apply(stranger))).await;
        let waiting: Vec<_> = (0..COMPONENTS)
            .map(|place| match budget.apply(applicant(place, false, start)) {
                Application::Waits(granted) => granted,
                Application::Granted(_) => panic!("there was no room"),
            })
            .collect();
        let clerk = tokio::spawn(Clerk::new(budget).run(|_| std::future::ready(true)));
        for granted in waiting {
            assert!(granted.await.is_ok());
        }
        assert_eq!(start.elapsed(), Duration::from_mins(1));
        clerk.abort();
    }

    /// Its own last answer proves nothing a second time, nor one over an old connection to who is in trouble.
    #[tokio::test(start_paused = true)]
    async fn who_must_ask_anew_pays() {
        let (start, mut riders) = (Instant::now(), Riders::default());
        let other = start + Duration::from_millis(10);
        riders.note(&applicant(0, false, start), other);
        let now = other + Duration::from_millis(500);
        assert_eq!(riders.fare(&applicant(1, false, start), now), 0);
        assert_eq!(riders.fare(&applicant(0, false, other), now), 1, "it asked for this itself");
        assert_eq!(riders.fare(&applicant(1, true, start), now), 1, "it asks over a fresh connection");
        assert_eq!(riders.fare(&applicant(1, false, start), now + Duration::from_secs(1)), 1, "it is old");
        riders.note(&applicant(2, true, start), now);
        assert_eq!(riders.fare(&applicant(1, true, start), now), 0);
    }
}
