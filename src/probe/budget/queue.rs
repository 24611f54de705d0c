//! The probes that wait for the budget, and who is next.
//!
//! The rule: components in trouble come first, then tier by tier; among equals whoever has waited longest, measured in
//! its own interval. For every three requests that are given away by rank over somebody's head, one goes to whoever has
//! waited longest in its own cadence, so that nobody starves.

use std::time::Duration;

use tokio::{sync::oneshot, time::Instant};

use super::{Family, Purse};
use crate::domain::Tier;

/// Requests given away by rank for each one given away by age.
const BY_RANK: u32 = 3;

/// Who wants to probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applicant {
    /// The component's place among those of the schedule.
    pub(crate) place: usize,
    /// Whether an outage is open, or a bad verdict is not settled.
    pub(crate) troubled: bool,
    /// Its tier.
    pub(crate) tier: Tier,
    /// The interval at which it wants to be probed now.
    pub(crate) interval: Duration,
    /// The interval in peace.
    pub(crate) cadence: Duration,
    /// When its last probe started, or its first one was due.
    pub(crate) last: Instant,
    /// Requests that a probe of it will probably send where nobody else asks what it asks first.
    pub(crate) requests: u32,
    /// Those that ask the same first, where one answer serves all.
    pub(crate) family: Option<Family>,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) applicant: Applicant,
    /// Since when the budget makes it wait; waiting for a throttle is left out.
    pub(super) since: Instant,
    pub(super) grant: oneshot::Sender<Purse>,
}

/// All that wait for one platform.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tickets: Vec<Ticket>,
    /// Requests given away by rank over the head of the one that waited longest.
    skipped: u32,
}

impl Applicant {
    /// Lower is better.
    fn rank(&self) -> (bool, Tier) {
        // A burst's interval is its tier's word already: outages share by it.
        (!self.troubled, if self.troubled { Tier::One } else { self.tier })
    }

    fn waited(&self, interval: Duration, now: Instant) -> f64 {
        now.saturating_duration_since(self.last).as_secs_f64() / interval.as_secs_f64().max(0.001)
    }
}

impl Queue {
    pub(super) fn push(&mut self, ticket: Ticket) {
        self.tickets.push(ticket);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.tickets.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.iter()
    }

    /// Forgets those that wait no longer.
    pub(super) fn prune(&mut self) {
        self.tickets.retain(|ticket| !ticket.grant.is_closed());
        if self.tickets.is_empty() {
            self.skipped = 0;
        }
    }

    /// Makes one that waits better or worse placed.
    pub(super) fn change(&mut self, applicant: &Applicant) {
        if let Some(ticket) = self.tickets.iter_mut().find(|ticket| ticket.applicant.place == applicant.place)
        {
            ticket.applicant = *applicant;
        }
    }

    /// From now on the budget alone makes them wait.
    pub(super) fn wait_anew(&mut self, now: Instant) {
        for ticket in &mut self.tickets {
            ticket.since = now;
        }
    }

    /// Where the next one stands, and whether it is so by age.
    pub(super) fn next(&self, now: Instant) -> Option<usize> {
        let places = || 0..self.tickets.len();
        let applicant = |place: usize| &self.tickets[place].applicant;
        let by_rank = places().min_by(|one, other| {
            let (one, other) = (applicant(*one), applicant(*other));
            let longest = || other.waited(other.interval, now).total_cmp(&one.waited(one.interval, now));
            one.rank().cmp(&other.rank()).then_with(longest)
        })?;
        let oldest = self.oldest(now)?;
        let due = self.skipped >= BY_RANK * applicant(oldest).requests.max(1);
        Some(if due { oldest } else { by_rank })
    }

    /// Takes out the one at a place that [`Queue::next`] named.
    pub(super) fn take(&mut self, place: usize, now: Instant) -> Ticket {
        if self.oldest(now) == Some(place) {
            self.skipped = 0;
        } else {
            self.skipped = self.skipped.saturating_add(self.tickets[place].applicant.requests.max(1));
        }
        self.tickets.swap_remove(place)
    }

    /// What the one at a place wants.
    pub(super) fn applicant(&self, place: usize) -> &Applicant {
        &self.tickets[place].applicant
    }

    fn oldest(&self, now: Instant) -> Option<usize> {
        let waited = |place: &usize| {
            let applicant = &self.tickets[*place].applicant;
            applicant.waited(applicant.cadence, now)
        };
        (0..self.tickets.len()).max_by(|one, other| waited(one).total_cmp(&waited(other)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn applicant(place: usize, tier: Tier, troubled: bool, last: Instant) -> Applicant {
        let (interval, cadence) = (if troubled { seconds(1) } else { seconds(5) }, seconds(5));
        Applicant { place, troubled, tier, interval, cadence, last, requests: 1, family: None }
    }

    fn push(queue: &mut Queue, applicant: Applicant, now: Instant) -> oneshot::Receiver<Purse> {
        let (grant, granted) = oneshot::channel();
        queue.push(Ticket { applicant, since: now, grant });
        granted
    }

    fn serve(queue: &mut Queue, now: Instant) -> usize {
        let place = queue.next(now).unwrap();
        queue.take(place, now).applicant.place
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_comes_first_then_the_tier_then_the_longest_wait() {
        let start = Instant::now();
        let now = start + seconds(10);
        let mut queue = Queue::default();
        let mut open = Vec::new();
        for one in [
            applicant(0, Tier::Three, false, start + seconds(3)),
            applicant(1, Tier::One, false, start + seconds(2)),
            applicant(2, Tier::Three, true, start + seconds(9)),
            applicant(3, Tier::One, false, start + seconds(1)),
            applicant(4, Tier::Two, false, start + seconds(4)),
        ] {
            open.push(push(&mut queue, one, now));
        }
        let order: Vec<usize> = (0..5).map(|_| serve(&mut queue, now)).collect();
        assert_eq!(order, [2, 3, 1, 4, 0]);
    }

    /// With twenty bursts and a small budget the archive must be looked at now and then.
    #[tokio::test(start_paused = true)]
    async fn one_request_in_four_goes_to_whoever_waited_longest() {
        let start = Instant::now();
        let mut queue = Queue::default();
        let mut open = Vec::new();
        let mut last = vec![start; 30];
        let mut served = vec![0_u32; 30];
        for place in 0..30 {
            open.push(push(&mut queue, applicant(place, Tier::Two, place < 20, start), start));
        }
        for second in 1..=400 {
            let now = start + seconds(second);
            let place = serve(&mut queue, now);
            (served[place], last[place]) = (served[place] + 1, now);
            open.push(push(&mut queue, applicant(place, Tier::Two, place < 20, now), now));
        }
        let (troubled, calm) = served.split_at(20);
        assert!(calm.iter().all(|count| (6..=12).contains(count)), "{served:?}");
        assert!(troubled.iter().all(|count| (13..=18).contains(count)), "fair among outages: {served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_no_longer_is_forgotten() {
        let now = Instant::now();
        let mut queue = Queue::default();
        drop(push(&mut queue, applicant(0, Tier::One, false, now), now));
        let _kept = push(&mut queue, applicant(1, Tier::Two, false, now), now);
        queue.change(&applicant(1, Tier::Two, true, now));
        queue.prune();
        assert_eq!(queue.len(), 1);
        assert!(queue.applicant(0).troubled);
    }
}
