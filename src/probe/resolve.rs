//! Name resolution by the machine's own resolver, bounded.
//!
//! Invariants: a platform has at most [`LOOKUPS`] lookups under way, hung ones included, so that neither the threads for
//! blocking work nor another platform suffer; probes that ask for one name at one time share a lookup that is young.

use std::{
    collections::HashMap,
    net::{IpAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::{sync::Semaphore, time::Instant};

use super::failure::Failure;

/// Lookups that may be under way for one platform.
const LOOKUPS: usize = 8;

/// The age up to which a lookup under way is shared; an older one may hang, and a new one may do better.
const SHARED_FOR: Duration = Duration::from_millis(500);

/// How long a lookup waits for one of the [`LOOKUPS`] places.
const SLOT_WAIT: Duration = Duration::from_secs(2);

type Addresses = Result<Arc<[IpAddr]>, Arc<str>>;
type Lookup = Shared<BoxFuture<'static, Addresses>>;

/// Looks names up for one platform.
#[derive(Debug)]
pub(crate) struct Resolver {
    slots: Arc<Semaphore>,
    under_way: Arc<Mutex<HashMap<String, (Instant, Lookup)>>>,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)), under_way: Arc::default() }
    }

    /// The addresses of a host, in the order in which they should be tried: families alternate, the resolver's first first.
    pub(crate) async fn resolve(&self, host: &str) -> Result<Arc<[IpAddr]>, Failure> {
        let lookup = self.lookup(host);
        lookup.await.map_err(|reason| Failure::transport(&format!("name resolution failed: {reason}")))
    }

    fn lookup(&self, host: &str) -> Lookup {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((begun, lookup)) = under_way.get(host)
            && begun.elapsed() < SHARED_FOR
            && lookup.peek().is_none()
        {
            return lookup.clone();
        }
        let begun = Instant::now();
        let lookup = begin(host.to_owned(), begun, Arc::clone(&self.slots), Arc::clone(&self.under_way));
        under_way.insert(host.to_owned(), (begun, lookup.clone()));
        lookup
    }
}

/// One lookup; it gives its place free when the system's resolver has come back, not when the asker has gone.
fn begin(
    host: String,
    begun: Instant,
    slots: Arc<Semaphore>,
    under_way: Arc<Mutex<HashMap<String, (Instant, Lookup)>>>,
) -> Lookup {
    // A task of its own: it ends, and frees its place in the table, also when every asker has given up.
    let lookup = tokio::spawn(async move {
        let Ok(Ok(slot)) = tokio::time::timeout(SLOT_WAIT, slots.acquire_owned()).await else {
            return Err(Arc::from("the resolver hangs"));
        };
        let asked = host.clone();
        let addresses = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            (asked.as_str(), 0_u16).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
        })
        .await;
        let mut table = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if table.get(&host).is_some_and(|(other, _)| *other == begun) {
            table.remove(&host);
        }
        drop(table);
        match addresses {
            Ok(Ok(found)) => in_order(found),
            Ok(Err(error)) => Err(Arc::from(plain(&error))),
            Err(error) => Err(Arc::from(error.to_string())),
        }
    });
    async move { lookup.await.unwrap_or_else(|error| Err(Arc::from(error.to_string()))) }.boxed().shared()
}

/// The resolver's words without the prefix that every one of its errors has.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

fn in_order(found: Vec<IpAddr>) -> Addresses {
    let Some(first) = found.first() else {
        return Err(Arc::from("no address"));
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

    /// A dead first family must not use up the whole timeout before the other is tried.
    #[test]
    fn families_alternate() {
        let found = ["::1", "::2", "::3", "127.0.0.1"].map(|text| text.parse().unwrap()).to_vec();
        let ordered: Vec<String> = in_order(found).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["::1", "127.0.0.1", "::2", "::3"]);
    }

    #[tokio::test]
    async fn probes_share_a_young_lookup_and_the_table_empties() {
        let resolver = Resolver::new();
        let (one, two) = tokio::join!(resolver.resolve("localhost"), resolver.resolve("localhost"));
        assert!(one.unwrap().iter().all(IpAddr::is_loopback) && two.is_ok());
        assert!(
            resolver.under_way.lock().unwrap().is_empty(),
            "a finished lookup must not serve later probes"
        );
        assert_eq!(resolver.slots.available_permits(), LOOKUPS);
    }
}
