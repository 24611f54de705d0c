//! The tasks beside the probes: one that gives the starts of a platform away, and one that looks at the canaries.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::{ProbeOutput, Shared};
use crate::{
    clock::SharedClock,
    probe::{
        budget::{Clerk, Tidings},
        doubt::{Canary, Sights},
    },
};

/// How often the canaries are looked at in peace.
const CANARY_EVERY: Duration = Duration::from_mins(1);

/// Gives the starts of one platform away and tells how its budget stands.
pub(super) async fn serve_budget(was_told: bool, platform: Arc<Shared>, out: mpsc::Sender<ProbeOutput>) {
    let budget = Arc::clone(&platform.budget);
    let clerk = if was_told { Clerk::after_another(budget) } else { Clerk::new(budget) };
    clerk
        .run(|Tidings { throttled, wait, stretched }| {
            let platform = platform.id.clone();
            out.send(ProbeOutput::Budget { platform, throttled, retry_after: wait, stretched })
                .map(|sent| sent.is_ok())
        })
        .await;
}

/// A canary that fails while a platform answers is told of and ignored, until it answers again.
pub(super) async fn watch_canary(
    canary: Arc<Canary>,
    sights: Arc<Sights>,
    clock: SharedClock,
    out: mpsc::Sender<ProbeOutput>,
) {
    loop {
        let changed = canary.review(&sights, || clock.moment()).await;
        let Some(standing) = changed else {
            tokio::select! {
                () = canary.accused() => {}
                () = tokio::time::sleep(CANARY_EVERY) => {}
            }
            continue;
        };
        let names = canary.names();
        let text = if standing {
            format!(
                "no canary answers although a platform does: {names}; it is ignored, mend `[runner] canary`"
            )
        } else {
            format!("the canary answers again: {names}")
        };
        if out.send(ProbeOutput::Notice { about: "canary", standing, text }).await.is_err() {
            return;
        }
    }
}
