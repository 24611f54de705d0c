//! Whether this machine can look up any name at all.
//!
//! Invariant: that a name does not exist is word of it; only where no name of any platform or canary gets any word is name
//! resolution gone, and that is our own trouble.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use url::{Host, Url};

use super::looks::Looks;
use crate::probe::{
    failure::{Kind, Stage},
    resolve::Resolver,
};

/// How long the names may take together.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How many names are asked at most; so many that all fail together are proof enough.
const NAMES: usize = 8;

/// Asks the machine's resolver for every name that it should know.
#[derive(Debug)]
pub(crate) struct Witness {
    names: Vec<String>,
    resolver: Resolver,
    looks: Looks,
}

impl Witness {
    /// A witness that asks for the hosts of these addresses; those that are no names need no resolver.
    pub(crate) fn new<'a>(urls: impl IntoIterator<Item = &'a Url>) -> Self {
        let names = urls.into_iter().filter_map(|url| match url.host() {
            Some(Host::Domain(name)) => Some(name.to_owned()),
            _ => None,
        });
        Self::asking(names, Resolver::new())
    }

    pub(crate) fn asking(names: impl IntoIterator<Item = String>, resolver: Resolver) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        Self { names: names.into_iter().take(NAMES).collect(), resolver, looks: Looks::default() }
    }

    /// Whether no name gets any word, by a look that ended at most a second ago or begins now.
    pub(crate) async fn is_lost(&self) -> bool {
        self.looks.recent(self.look()).await
    }

    async fn look(&self) -> bool {
        let mut asks: FuturesUnordered<_> = self.names.iter().map(|name| self.has_word(name)).collect();
        let any = async {
            while let Some(word) = asks.next().await {
                if word {
                    return true;
                }
            }
            false
        };
        !tokio::time::timeout(TIMEOUT, any).await.unwrap_or(false)
    }

    /// Whether the resolver says anything of a name: its addresses, or that it does not exist.
    async fn has_word(&self, name: &str) -> bool {
        match self.resolver.resolve(name, &mut Stage::default()).await {
            Ok(_) => true,
            Err(failure) => !matches!(failure.kind, Kind::Unresolved | Kind::Ours),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::probe::resolve::{NoAddress, NoName};

    /// A machine whose resolver knows the names that begin with `known`, says of `absent` that there is none, hangs on
    /// `hung`, and gets no word of any other.
    fn ask(host: &str) -> Result<Vec<IpAddr>, NoAddress> {
        match host {
            _ if host.starts_with("known") => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            _ if host.starts_with("absent") => {
                Err(NoAddress { why: NoName::Absent, text: "none".to_owned() })
            }
            _ => {
                if host.starts_with("hung") {
                    std::thread::sleep(Duration::from_secs(3));
                }
                Err(NoAddress { why: NoName::NoWord, text: "temporary".to_owned() })
            }
        }
    }

    async fn is_lost(names: &[&str]) -> bool {
        let names = names.iter().map(|name| (*name).to_owned());
        Witness::asking(names, Resolver::asking(ask)).is_lost().await
    }

    /// One platform's dead zone is its outage, and a dead resolver is not an outage of everybody.
    #[tokio::test]
    async fn resolution_is_gone_only_where_no_name_gets_any_word() {
        assert!(is_lost(&["gone", "gone.too"]).await);
        assert!(is_lost(&["gone"]).await, "a single name has no other to speak for it");
        assert!(is_lost(&[]).await);
        assert!(!is_lost(&["gone", "known"]).await);
        assert!(!is_lost(&["gone", "absent"]).await, "who says that a name does not exist can be asked");
        assert!(is_lost(&["hung", "gone"]).await, "a resolver that hangs says nothing");
    }
}
