//! Whether this machine can look up any name at all.
//!
//! Invariants: that a name does not exist is word of it; name resolution is gone, and that is our own trouble, only where
//! names of two zones at least get no word, or no nameserver of ours can be reached. A single zone that is dead is dead for
//! all its callers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use url::{Host, Url};

use super::{looks::Looks, nameservers::Nameservers};
use crate::{
    config::{
        model::{Action, Component},
        sip::SipAddress,
        template::Template,
    },
    probe::{
        failure::{Kind, Stage},
        resolve::Resolver,
    },
};

/// How long the names may take together.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How many names are asked at most; so many that all fail together are proof enough.
const NAMES: usize = 8;

/// Asks the machine's resolver for every name that it should know.
#[derive(Debug)]
pub(crate) struct Witness {
    names: Vec<String>,
    /// Whether they lie in more than one zone.
    are_apart: bool,
    resolver: Resolver,
    nameservers: Nameservers,
    looks: Looks,
}

impl Witness {
    /// A witness that asks for the hosts of these components, of their platforms and logins, and of the canaries; those
    /// that are no names need no resolver.
    pub(crate) fn of(components: &[Arc<Component>], canary: &[Url]) -> Self {
        let names = components.iter().flat_map(|component| hosts(component));
        let names = names.chain(canary.iter().filter_map(host));
        Self::asking(names, Resolver::new(), Nameservers::of_this_machine())
    }

    pub(crate) fn asking(
        names: impl IntoIterator<Item = String>,
        resolver: Resolver,
        nameservers: Nameservers,
    ) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, String)> = names
            .into_iter()
            .map(|name| {
                let rank = seen.entry(zone(&name)).or_default();
                *rank += 1;
                (*rank, name)
            })
            .collect();
        // One of each zone before a second one of any.
        ranked.sort();
        let names = ranked.into_iter().take(NAMES).map(|(_, name)| name).collect();
        Self { names, are_apart: seen.len() > 1, resolver, nameservers, looks: Looks::default() }
    }

    /// Whether name resolution is gone, by a look that ended at most a second ago or begins now.
    pub(crate) async fn is_lost(&self) -> bool {
        self.looks.recent(self.look()).await
    }

    async fn look(&self) -> bool {
        if self.any_has_word().await {
            return false;
        }
        self.are_apart || !self.nameservers.are_reached().await
    }

    async fn any_has_word(&self) -> bool {
        let mut asks: FuturesUnordered<_> = self.names.iter().map(|name| self.has_word(name)).collect();
        let any = async {
            while let Some(word) = asks.next().await {
                if word {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(TIMEOUT, any).await.unwrap_or(false)
    }

    /// Whether the resolver says anything of a name: its addresses, or that it does not exist.
    async fn has_word(&self, name: &str) -> bool {
        match self.resolver.resolve(name, &mut Stage::default()).await {
            Ok(_) => true,
            Err(failure) => !matches!(failure.kind, Kind::Unresolved | Kind::Ours),
        }
    }
}

/// The names of everything that a component's probes ask, as far as the config tells.
fn hosts(component: &Component) -> Vec<String> {
    let platform = &component.platform;
    let login = platform.login.iter().flat_map(|login| {
        [&login.url].into_iter().chain(login.discovery.as_ref().map(|discovery| &discovery.url))
    });
    let mut names: Vec<String> = [&platform.base_url].into_iter().chain(login).filter_map(host).collect();
    names.extend(component.journey.iter().filter_map(|step| match &step.action {
        Action::Http(http) => host(&Url::parse(constant(&http.url)?).ok()?),
        Action::Tcp(target) => host(&Url::parse(&format!("tcp://{}", constant(target)?)).ok()?),
        Action::Sip(sip) => name(&SipAddress::parse(constant(&sip.address)?).ok()?.host),
    }));
    names
}

fn constant(template: &Template) -> Option<&str> {
    template.is_constant().then(|| template.source())
}

fn host(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Domain(host) => name(host),
        _ => None,
    }
}

fn name(host: &str) -> Option<String> {
    host.parse::<std::net::IpAddr>().is_err().then(|| host.to_ascii_lowercase())
}

/// What is probably delegated as one: the last two labels of a name, or three below a country's `co`, `com`, `gov`.
fn zone(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').rsplit('.').collect();
    let is_second_level =
        matches!(labels[..], [country, kind, _, ..] if country.len() == 2 && kind.len() <= 3);
    let mut zone: Vec<&str> = labels.into_iter().take(if is_second_level { 3 } else { 2 }).collect();
    zone.reverse();
    zone.join(".")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

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
        // Nobody listens there.
        let nameservers = Nameservers::At(Vec::new());
        Witness::asking(names, Resolver::asking(ask), nameservers).is_lost().await
    }

    /// One platform's dead zone is its outage, and a dead resolver is not an outage of everybody.
    #[tokio::test]
    async fn resolution_is_gone_only_where_no_name_gets_any_word() {
        assert!(is_lost(&["gone", "gone.too"]).await);
        assert!(!is_lost(&["gone", "known"]).await);
        assert!(!is_lost(&["gone", "absent"]).await, "who says that a name does not exist can be asked");
        assert!(is_lost(&["hung", "gone"]).await, "a resolver that hangs says nothing");
        assert!(is_lost(&["gone"]).await, "no nameserver can be reached");
        assert!(is_lost(&[]).await, "no nameserver can be reached");
    }

    /// A zone whose own servers answer SERVFAIL is a real outage for every caller, and must not be hidden as our trouble.
    #[tokio::test]
    async fn one_dead_zone_is_believed_while_a_nameserver_answers() {
        let nameserver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = nameserver.local_addr().unwrap();
        tokio::spawn(async move {
            let mut asked = [0; 64];
            while let Ok((length, from)) = nameserver.recv_from(&mut asked).await {
                asked[2] |= 0x80;
                nameserver.send_to(&asked[..length], from).await.unwrap();
            }
        });
        for (names, lost) in [
            (vec!["api.gone.com", "login.gone.com"], false),
            (vec![], false),
            (vec!["api.gone.com", "gone.org"], true),
            (vec!["api.gone.co.uk", "www.lost.co.uk"], true),
        ] {
            let asked = names.iter().map(|name| (*name).to_owned());
            let witness = Witness::asking(asked, Resolver::asking(ask), Nameservers::At(vec![address]));
            assert_eq!(witness.is_lost().await, lost, "{names:?}");
        }
    }

    /// Of a platform with a dozen hosts and one canary, the canary must be asked.
    #[test]
    fn every_zone_is_asked_before_any_is_asked_twice() {
        let many = (0..12).map(|number| format!("a{number}.example.com"));
        let names = many.chain(["www.example.org".to_owned()]);
        let witness = Witness::asking(names, Resolver::asking(ask), Nameservers::At(Vec::new()));
        assert_eq!((witness.names.len(), witness.are_apart), (NAMES, true));
        assert!(witness.names.iter().any(|name| name == "www.example.org"));
    }
}
