//! When people last looked: remembered for those who come back, and looked up in the store for the others.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::Semaphore, time::timeout};

use super::{attend::told, outbox::Outbox};
use crate::{
    attach::{since::since_look, wire::Told},
    domain::Person,
};

/// How long the store may take to say what happened since somebody last looked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many may read the store at once: a slow disk must leave threads to those who ask who somebody is.
const READERS: usize = 2;
/// How many people's last looks are remembered.
const PEOPLE: usize = 1_024;

/// By whom a look is remembered.
pub(super) type Looker = (String, u32);

/// By whom a look of somebody is remembered.
pub(super) fn looker(who: &Person) -> Looker {
    (who.key().to_owned(), who.uid)
}

/// When people last looked whose consoles have gone: sooner known than the store has it.
#[derive(Debug)]
pub(super) struct Looks {
    last: BTreeMap<Looker, DateTime<Utc>>,
    readers: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { last: BTreeMap::new(), readers: Arc::new(Semaphore::new(READERS)) }
    }
}

impl Looks {
    /// Somebody looks no more.
    pub(super) fn keep(&mut self, who: &Person, at: DateTime<Utc>) {
        self.last.insert(looker(who), at);
        if self.last.len() > PEOPLE {
            // The store knows it as well.
            self.last.pop_first();
        }
    }

    /// Looks up what happened since somebody last looked, and tells their console; one that takes too long is not told.
    pub(super) fn tell(
        &self,
        folder: PathBuf,
        who: Person,
        outbox: Arc<Outbox>,
    ) -> impl Future<Output = ()> + use<> {
        let known = self.last.get(&looker(&who)).copied();
        let readers = Arc::clone(&self.readers);
        let read = async move {
            let place = readers.acquire_owned().await;
            let read = tokio::task::spawn_blocking(move || {
                // Held as long as it reads, not as long as somebody waits for it.
                let _place = place;
                since_look(&folder, &who, known)
            });
            read.await
        };
        async move {
            match timeout(PATIENCE, read).await {
                Ok(Ok(Ok(Some(since)))) => outbox.word(told(&Told::Since(since))),
                Ok(Ok(Ok(None))) => {}
                Ok(Ok(Err(error))) => {
                    tracing::warn!(%error, "what happened since somebody last looked cannot be read");
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what happened since somebody last looked cannot be read");
                }
                Err(_) => tracing::warn!("what happened since somebody last looked takes too long to read"),
            }
        }
    }
}
