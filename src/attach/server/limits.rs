//! What keeps one person's consoles from taking everybody's room: seats, and a rate.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many consoles may be attached at once.
pub(super) const ALL: usize = 64;
/// How many of them may be one user's; on a bastion host many people share one.
pub(super) const OF_ONE: usize = 32;
/// How many seats are kept for root and the engine's own user, who could not mend anything otherwise.
const KEPT: usize = 8;
/// How many consoles of one user may come at once, and how often another one: each coming and going is stored. After a
/// restart all of them come back at the same moment.
const COMINGS: (u32, Duration) = (2 * OF_ONE as u32, Duration::from_secs(5));
/// How many users' comings are remembered.
const USERS: usize = 256;

/// Who has a seat.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<u32, usize>>>);

/// A place among the consoles; dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    uid: u32,
}

impl Seats {
    /// A seat for a console of this user, or why there is none. Some are kept for users who are `favoured`.
    pub(super) fn take(&self, uid: u32, favoured: bool) -> Result<Seat, String> {
        let room = if favoured { ALL } else { ALL - KEPT };
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= room {
            return Err(format!(
                "{room} consoles are attached already, which is all there is room for: close some"
            ));
        }
        let own = taken.entry(uid).or_default();
        if *own >= OF_ONE {
            return Err(format!("{OF_ONE} consoles of this user are attached already: close some"));
        }
        *own += 1;
        Ok(Seat { seats: self.clone(), uid })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

/// How often each user's consoles come.
#[derive(Debug, Default)]
pub(super) struct Comings(HashMap<u32, Bucket>);

impl Comings {
    /// Takes note of one more; says why it may not come.
    pub(super) fn come(&mut self, uid: u32) -> Result<(), String> {
        if self.0.len() >= USERS {
            self.0.retain(|_, bucket| !bucket.is_full());
        }
        let bucket = self.0.entry(uid).or_insert_with(|| Bucket::new(COMINGS.0, COMINGS.1));
        if bucket.take() {
            return Ok(());
        }
        Err("consoles of this user come and go too often: wait a minute, or use `warroom --once` or `warroom status` in a \
             script, which are not counted"
            .to_owned())
    }
}

/// So many at once, and one more for each interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    burst: u32,
    interval: Duration,
    left: u32,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, left: burst, filled: Instant::now() }
    }

    /// Whether nothing has been taken out for so long that it might as well be a new one.
    fn is_full(&self) -> bool {
        self.filled.elapsed() >= self.interval * self.burst
    }

    /// Takes one out; `false` when none is left.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let passed = now.duration_since(self.filled).as_nanos() / self.interval.as_nanos().max(1);
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed >= self.burst - self.left {
            (self.left, self.filled) = (self.burst, now);
        } else {
            self.left += passed;
            self.filled += self.interval * passed;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn one_user_cannot_take_all_seats_and_all_cannot_take_more() {
        let seats = Seats::default();
        let mut taken: Vec<Seat> = (0..OF_ONE).map(|_| seats.take(1000, false).unwrap()).collect();
        assert!(seats.take(1000, false).unwrap_err().contains("of this user"));
        let others = OF_ONE..ALL - KEPT;
        taken.extend(others.map(|other| seats.take(2000 + other as u32, false).unwrap()));
        assert!(seats.take(1, false).unwrap_err().contains("all there is room for"));
        taken.remove(0);
        taken.push(seats.take(1000, false).unwrap());
        // Who can mend it gets in all the same.
        taken.extend((0..KEPT).map(|_| seats.take(0, true).unwrap()));
        assert!(seats.take(0, true).unwrap_err().contains("all there is room for"));
        taken.clear();
        assert!(seats.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_and_goes_without_end_is_slowed_and_nobody_else() {
        let mut comings = Comings::default();
        let came = |comings: &mut Comings, uid| (0..1_000).filter(|_| comings.come(uid).is_ok()).count();
        assert_eq!(came(&mut comings, 1000), 2 * OF_ONE);
        assert_eq!(came(&mut comings, 1001), 2 * OF_ONE);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(came(&mut comings, 1000), 12);
        tokio::time::advance(Duration::from_hours(1)).await;
        for uid in 0..10_000 {
            comings.come(uid).unwrap();
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert!(comings.0.len() <= USERS, "{}", comings.0.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_slowed_to_its_rate() {
        let mut bucket = Bucket::new(20, Duration::from_millis(50));
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 20);
        let mut taken = 0;
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_millis(10)).await;
            taken += u32::from(bucket.take());
        }
        assert!((195..=201).contains(&taken), "20 a second for ten seconds: {taken}");
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 20);
    }
}
