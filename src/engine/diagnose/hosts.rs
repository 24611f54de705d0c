//! Every host that the config names: whether its name resolves, whether it can be reached, and what its certificate says.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use url::Url;

use super::{PATIENCE, millis};
use crate::{
    clock::SharedClock,
    config::{
        model::{Action, Config, Platform},
        sip::{SipAddress, SipTransport},
        template::{Place, Template},
    },
    domain::diagnosis::{Area, Finding},
    probe::{
        Client,
        survey::{Host, NameTrouble, Secured, Survey, survey},
    },
};

/// Hosts that are looked at together.
const TOGETHER: usize = 8;
/// So many days before a certificate ends, somebody should renew it.
const SOON: i64 = 14;

pub(super) async fn examine(config: &Config, clock: &SharedClock) -> Vec<Finding> {
    look(hosts(config), clock).await
}

/// The hosts of the platforms' APIs that a login had to find.
pub(super) async fn examine_found(
    config: &Config,
    clients: &[Arc<Client>],
    clock: &SharedClock,
) -> Vec<Finding> {
    let mut hosts = BTreeMap::new();
    for client in clients {
        if let (Some(url), Some(platform)) =
            (client.session().base(), config.platforms.get(client.platform()))
        {
            let why = format!("the discovery of [platforms.{}]", platform.id);
            hosts.extend(of_url(&url, platform).map(|host| (host, why)));
        }
    }
    let known = self::hosts(config);
    hosts.retain(|host, _| !known.contains_key(host));
    look(hosts, clock).await
}

async fn look(hosts: BTreeMap<Host, String>, clock: &SharedClock) -> Vec<Finding> {
    let looks = hosts.into_iter().map(|(host, why)| async move {
        let found = survey(&host, PATIENCE, clock).await;
        findings(&host, &why, &found, clock.wall())
    });
    let mut found: Vec<Vec<Finding>> = stream::iter(looks).buffer_unordered(TOGETHER).collect().await;
    found.sort_by(|one, other| subject(one).cmp(subject(other)));
    found.into_iter().flatten().collect()
}

fn subject(findings: &[Finding]) -> &str {
    findings.first().map_or("", |finding| finding.subject.as_str())
}

/// Every host, with where the config names it.
fn hosts(config: &Config) -> BTreeMap<Host, String> {
    let mut hosts = BTreeMap::new();
    let mut add = |host: Option<Host>, why: String| {
        if let Some(host) = host {
            hosts.entry(host).or_insert(why);
        }
    };
    for platform in config.platforms.values() {
        let section = format!("[platforms.{}]", platform.id);
        let login = platform.login.as_ref();
        let discovery = login.and_then(|login| login.discovery.as_ref());
        // What discovery finds is not known before.
        if discovery.is_none() {
            add(of_url(&platform.base_url, platform), format!("`base_url` of {section}"));
        }
        if let Some(login) = login.filter(|_| discovery.is_none_or(|found| !found.finds_login)) {
            add(of_url(&login.url, platform), format!("the login of {section}"));
        }
        if let Some(discovery) = discovery {
            add(of_url(&discovery.url, platform), format!("the discovery of {section}"));
        }
    }
    for url in &config.canary {
        add(of_any(url, None), "`[runner] canary`".to_owned());
    }
    for component in &config.components {
        for step in &component.journey {
            let why = format!("step `{}` of component `{}`", step.name, component.id);
            let rendered = |template: &Template| template.render(&component.vars, Place::Plain).ok();
            match &step.action {
                Action::Http(action) => {
                    let url = rendered(&action.url).filter(|url| url.contains("://"));
                    let url = url.and_then(|url| Url::parse(&url).ok());
                    add(url.and_then(|url| of_url(&url, &component.platform)), why);
                }
                Action::Tcp(target) => add(rendered(target).as_deref().and_then(of_target), why),
                Action::Sip(sip) => {
                    let address = rendered(&sip.address).and_then(|text| SipAddress::parse(&text).ok());
                    add(address.map(|address| of_sip(address, &component.platform)), why);
                }
            }
        }
    }
    hosts
}

fn of_url(url: &Url, platform: &Platform) -> Option<Host> {
    of_any(url, platform.ca_file.clone())
}

fn of_any(url: &Url, ca_file: Option<std::path::PathBuf>) -> Option<Host> {
    let tls = url.scheme() == "https";
    Some(Host {
        name: url.host_str()?.trim_matches(['[', ']']).to_owned(),
        port: url.port_or_known_default()?,
        datagrams: false,
        tls,
        ca_file: ca_file.filter(|_| tls),
    })
}

fn of_sip(address: SipAddress, platform: &Platform) -> Host {
    let tls = address.transport == SipTransport::Tls;
    Host {
        name: address.host,
        port: address.port,
        datagrams: address.transport == SipTransport::Udp,
        tls,
        ca_file: platform.ca_file.clone().filter(|_| tls),
    }
}

/// `host:port`.
fn of_target(target: &str) -> Option<Host> {
    let (name, port) = target.trim().rsplit_once(':')?;
    let name = name.trim_matches(['[', ']']).to_owned();
    Some(Host { name, port: port.parse().ok()?, datagrams: false, tls: false, ca_file: None })
}

fn findings(host: &Host, why: &str, found: &Survey, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &found.addresses {
        None => {}
        Some(Ok((addresses, took))) => {
            let number = addresses.len();
            let many = if number == 1 { "address" } else { "addresses" };
            findings.push(Finding::ok(
                Area::Names,
                &host.name,
                format!("{number} {many} in {}", millis(*took)),
            ));
        }
        Some(Err(NameTrouble { reason, is_ours: true })) => findings.push(Finding::failed(
            Area::Names,
            &host.name,
            reason,
            "nobody says anything of this name: look at this machine's resolver (/etc/resolv.conf) and at the way to it",
        )),
        Some(Err(NameTrouble { reason, is_ours: false })) => findings.push(Finding::failed(
            Area::Names,
            &host.name,
            reason,
            format!("the name does not exist: correct {why}, or have the name made"),
        )),
    }
    let place = format!("{}:{}", host.name, host.port);
    match &found.connected {
        None => {}
        Some(Err(reason)) => findings.push(Finding::failed(
            Area::Tls,
            place,
            reason,
            format!("check that this machine may open TCP to port {}, and that {why} is right", host.port),
        )),
        Some(Ok(took)) => match &found.tls {
            None => findings.push(Finding::ok(
                Area::Tls,
                place,
                format!("connected in {}, without TLS", millis(*took)),
            )),
            Some(Err(reason)) => {
                let cure = distrusted(host, reason, why);
                findings.push(Finding::failed(Area::Tls, place, reason, cure));
            }
            Some(Ok(secured)) => findings.push(certificate(&place, secured, now)),
        },
    }
    findings
}

/// What to do about a handshake that failed, by the words of rustls.
fn distrusted(host: &Host, reason: &str, why: &str) -> String {
    if reason.contains("UnknownIssuer") || reason.contains("BadSignature") {
        return match &host.ca_file {
            Some(file) => format!(
                "its authority is neither in {} nor among this machine's: put the authority's certificate there",
                file.display()
            ),
            None => {
                "its authority is not among this machine's: name it with `ca_file`, or install it".to_owned()
            }
        };
    }
    if reason.contains("Expired") {
        return "its certificate has ended (or this machine's clock is wrong): have it renewed".to_owned();
    }
    if reason.contains("NotValidForName") {
        return format!("its certificate is for another name: correct {why}");
    }
    if reason.contains("ca_file") || reason.contains("trust roots") {
        return "mend the trust roots as it says".to_owned();
    }
    format!("check that TLS is spoken at port {}, and that {why} is right", host.port)
}

fn certificate(place: &str, secured: &Secured, now: DateTime<Utc>) -> Finding {
    let version = &secured.version;
    let Some(ends) = secured.ends else {
        return Finding::ok(Area::Tls, place, format!("{version}; the certificate's end cannot be read"));
    };
    let days = (ends - now).num_days();
    let what = format!("{version}, certificate good for {days} days (until {})", ends.format("%Y-%m-%d"));
    if days < SOON {
        let cure = "have the certificate renewed before it ends";
        return Finding::warning(Area::Tls, place, what, cure);
    }
    Finding::ok(Area::Tls, place, what)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn sip(text: &str) -> Host {
        let platform = crate::config::model::Platform {
            id: crate::domain::PlatformId::new("edge"),
            kind: crate::config::model::PlatformKind::Http,
            base_url: Url::parse("https://edge.example.com").unwrap(),
            headers: Vec::new(),
            bearer: None,
            rate_limit: None,
            login: None,
            ca_file: Some("ca.pem".into()),
        };
        of_sip(SipAddress::parse(text).unwrap(), &platform)
    }

    /// A trunk's border whose name or certificate is wrong must be found before the night in which it matters.
    #[test]
    fn a_sip_host_is_looked_at_by_its_own_transport() {
        let looked = |text| {
            let host = sip(text);
            (host.name, host.port, host.datagrams, host.tls, host.ca_file.is_some())
        };
        let name = || "sbc.example.com".to_owned();
        assert_eq!(looked("sip:sbc.example.com"), (name(), 5060, true, false, false));
        assert_eq!(looked("sip:7@sbc.example.com:5070;transport=tcp"), (name(), 5070, false, false, false));
        assert_eq!(looked("sips:sbc.example.com"), (name(), 5061, false, true, true));
    }
}
