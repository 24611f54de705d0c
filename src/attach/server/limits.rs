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
    /// A seat for a console of this user, or why there is none.
    pub(super) fn take(&self, uid: u32) -> Result<Seat, String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= ALL {
            return Err(format!(
                "{ALL} consoles are attached already, which is all there is room for: close some"
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
        let mut taken: Vec<Seat> = (0..OF_ONE).map(|_| seats.take(1000).unwrap()).collect();
        assert!(seats.take(1000).unwrap_err().contains("of this user"));
        taken.extend((OF_ONE..ALL).map(|other| seats.take(2000 + other as u32).unwrap()));
        assert!(seats.take(0).unwrap_err().contains("all there is room for"));
        taken.remove(0);
        taken.push(seats.take(1000).unwrap());
        taken.clear();
        assert!(seats.0.lock().unwrap().is_empty());
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
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 20);
    }
}
