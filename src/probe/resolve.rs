//! Name resolution by the machine's own resolver, bounded.
//!
//! Invariants: a platform has at most [`LOOKUPS`] lookups under way, hung ones included, and of one name at most
//! [`PER_NAME`], so that neither the threads for blocking work nor another name or platform suffer; probes that ask for one
//! name at one time share a lookup that is young; to have no place for a lookup is our own trouble, not the platform's.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dns_lookup::{LookupErrorKind, lookup_host};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use super::failure::{Failure, Stage};

/// Lookups that may be under way for one platform.
const LOOKUPS: usize = 8;

/// Lookups of one name that may be under way.
const PER_NAME: usize = 2;

/// The age up to which a lookup under way is shared; an older one may hang, and a new one may do better.
const SHARED_FOR: Duration = Duration::from_millis(500);

/// How long a lookup waits for one of the [`LOOKUPS`] places.
const SLOT_WAIT: Duration = Duration::from_secs(2);

/// What asks the machine; a test brings its own.
type Ask = fn(&str) -> Result<Vec<IpAddr>, NoAddress>;

/// Why a name gave no address.
#[derive(Debug)]
pub(crate) struct NoAddress {
    pub(crate) why: NoName,
    /// In the system's words.
    pub(crate) text: String,
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoName {
    /// Somebody who knows says that it does not exist, or has no address.
    Absent,
    /// Nobody said anything of it: no server answers, or one that could not find out (SERVFAIL).
    NoWord,
}

type Addresses = Result<Arc<[IpAddr]>, Failure>;

/// A lookup under way.
#[derive(Clone, Debug)]
struct Lookup {
    begun: Instant,
    /// Ends when it has a place, or needs none any more.
    placed: Shared<oneshot::Receiver<()>>,
    addresses: Shared<BoxFuture<'static, Addresses>>,
}

/// The lookups under way by name, the newest last.
type Table = Arc<Mutex<HashMap<String, Vec<Lookup>>>>;

/// Looks names up for one platform.
#[derive(Debug)]
pub(crate) struct Resolver {
    slots: Arc<Semaphore>,
    under_way: Table,
    ask: Ask,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self::asking(ask_machine)
    }

    pub(crate) fn asking(ask: Ask) -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)), under_way: Arc::default(), ask }
    }

    /// The addresses of a host, in the order in which they should be tried: families alternate, the resolver's first first.
    /// `stage` says how far it has come.
    pub(crate) async fn resolve(&self, host: &str, stage: &mut Stage) -> Addresses {
        let lookup = self.lookup(host);
        *stage = Stage::Queueing;
        // One that ends without a place says so itself.
        let _ = lookup.placed.await;
        *stage = Stage::Resolving;
        lookup.addresses.await
    }

    fn lookup(&self, host: &str) -> Lookup {
        let mut table = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let lookups = table.entry(host.to_owned()).or_default();
        lookups.retain(|lookup| lookup.addresses.peek().is_none());
        if let Some(newest) = lookups.last()
            && (newest.begun.elapsed() < SHARED_FOR || lookups.len() >= PER_NAME)
        {
            return newest.clone();
        }
        let lookup = begin(host.to_owned(), self.ask, Arc::clone(&self.slots), Arc::clone(&self.under_way));
        lookups.push(lookup.clone());
        lookup
    }
}

/// One lookup; it gives its place free when the system's resolver has come back, not when the asker has gone.
fn begin(host: String, ask: Ask, slots: Arc<Semaphore>, under_way: Table) -> Lookup {
    let begun = Instant::now();
    let (place, placed) = oneshot::channel();
    // A task of its own: it ends, and frees its place in the table, also when every asker has given up.
    let lookup = tokio::spawn(async move {
        let slot = tokio::time::timeout(SLOT_WAIT, slots.acquire_owned()).await;
        let found = if let Ok(Ok(slot)) = slot {
            let _ = place.send(());
            let asked = host.clone();
            let found = tokio::task::spawn_blocking(move || {
                let _slot = slot;
                ask(&asked)
            });
            found.await.map_err(|error| Failure::ours(&error.to_string())).and_then(in_order)
        } else {
            Err(Failure::ours("this machine's resolver hangs"))
        };
        let mut table = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookups) = table.get_mut(&host) {
            lookups.retain(|lookup| lookup.begun != begun);
            if lookups.is_empty() {
                table.remove(&host);
            }
        }
        drop(table);
        found
    });
    let addresses =
        async move { lookup.await.unwrap_or_else(|error| Err(Failure::ours(&error.to_string()))) };
    Lookup { begun, placed: placed.shared(), addresses: addresses.boxed().shared() }
}

/// Asks by getaddrinfo; the meaning of its errors is that of RFC 3493 section 6.1.
fn ask_machine(host: &str) -> Result<Vec<IpAddr>, NoAddress> {
    let found = lookup_host(host).map_err(|error| {
        let why = match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => NoName::Absent,
            _ => NoName::NoWord,
        };
        let text = std::io::Error::from(error).to_string();
        // Every one of its errors has this prefix.
        let plain = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
        NoAddress { why, text: plain.to_owned() }
    })?;
    Ok(found.collect())
}

fn in_order(found: Result<Vec<IpAddr>, NoAddress>) -> Addresses {
    let failed = |why: &str| Failure::transport(&format!("name resolution failed: {why}"));
    let found = found.map_err(|error| match error.why {
        NoName::Absent => failed(&error.text),
        NoName::NoWord => Failure::unresolved(&format!("name resolution failed: {}", error.text)),
    })?;
    let Some(first) = found.first() else {
        return Err(failed("no address"));
    };
    let first_is_v6 = first.is_ipv6();
    let (ahead, behind): (Vec<IpAddr>, Vec<IpAddr>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut behind = behind.into_iter();
    let mut ordered = Vec::with_capacity(ahead.len() + behind.len());
    for address in ahead {
        ordered.push(address);
        ordered.extend(behind.next());
    }
    ordered.extend(behind);
    ordered.dedup();
    Ok(ordered.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;
    use crate::probe::failure::Kind;

    /// A dead first family must not use up the whole timeout before the other is tried.
    #[test]
    fn families_alternate() {
        let found = ["::1", "::2", "::3", "127.0.0.1"].map(|text| text.parse().unwrap()).to_vec();
        let ordered: Vec<String> = in_order(Ok(found)).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["::1", "127.0.0.1", "::2", "::3"]);
    }

    #[tokio::test]
    async fn probes_share_a_young_lookup_and_the_table_empties() {
        let resolver = Resolver::new();
        let (mut here, mut there) = (Stage::default(), Stage::default());
        let (one, two) =
            tokio::join!(resolver.resolve("localhost", &mut here), resolver.resolve("localhost", &mut there));
        assert!(one.unwrap().iter().all(IpAddr::is_loopback) && two.is_ok());
        assert!(
            resolver.under_way.lock().unwrap().is_empty(),
            "a finished lookup must not serve later probes"
        );
        assert_eq!(resolver.slots.available_permits(), LOOKUPS);
    }
    /// Asks a machine on which some names hang.
    fn hanging() -> Resolver {
        Resolver::asking(|host| {
            if host.starts_with("hung") {
                std::thread::sleep(Duration::from_secs(3));
            }
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        })
    }

    /// A component whose name hangs, probed at its burst, must not take every place from the platform's other hosts.
    #[tokio::test]
    async fn a_hung_name_leaves_places_for_others() {
        let resolver = hanging();
        let mut stage = Stage::default();
        for _ in 0..4 {
            let asked =
                tokio::time::timeout(Duration::from_millis(550), resolver.resolve("hung", &mut stage));
            assert!(asked.await.is_err());
            assert_eq!(stage, Stage::Resolving);
        }
        assert_eq!(resolver.slots.available_permits(), LOOKUPS - PER_NAME);
        assert!(resolver.resolve("well", &mut stage).await.is_ok());
    }

    /// That this machine cannot even ask is no outage of theirs.
    #[tokio::test]
    async fn no_place_for_a_lookup_is_our_own_trouble() {
        let resolver = hanging();
        let mut stage = Stage::default();
        for number in 0..LOOKUPS {
            drop(resolver.lookup(&format!("hung{number}")));
        }
        let asked = tokio::time::timeout(Duration::from_millis(300), resolver.resolve("well", &mut stage));
        assert!(asked.await.is_err());
        assert_eq!(stage.timed_out(Duration::from_secs(1)).kind, Kind::Ours);
        let failure = resolver.resolve("well", &mut stage).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Ours);
    }
}
