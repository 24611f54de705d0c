//! Looks that are shared: a burst of failures asks once.

use std::{future::Future, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// How long one look is good for.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(1);

/// The last look at something, and what it said.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<Option<Look>>);

/// One look.
#[derive(Clone, Copy, Debug)]
struct Look {
    begun: Instant,
    ended: Instant,
    answer: bool,
}

impl Looks {
    /// What a look says that ended at most a second ago or began after this was asked.
    pub(super) async fn recent(&self, look: impl Future<Output = bool>) -> bool {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(known) = *last
            && (known.begun >= asked || known.ended.elapsed() < FRESH_FOR)
        {
            return known.answer;
        }
        again(&mut last, look).await
    }

    /// What a look says that begins now.
    pub(super) async fn now(&self, look: impl Future<Output = bool>) -> bool {
        let mut last = self.0.lock().await;
        again(&mut last, look).await
    }
}

async fn again(last: &mut Option<Look>, look: impl Future<Output = bool>) -> bool {
    let begun = Instant::now();
    let answer = look.await;
    // A look at something silent takes longer than it is good for: its age counts from its end.
    *last = Some(Look { begun, ended: Instant::now(), answer });
    answer
}
