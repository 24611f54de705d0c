//! `[platforms.NAME]`: one login, one base URL, one rate budget each.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use url::Url;

use super::{
    model::{Discovery, Login, Platform, PlatformKind, Secret, Text},
    reading::{Entry, Section},
    values::{SECRET_CURE, is_confidential, is_id},
};
use crate::{domain::PlatformId, expression::clean};

/// Genesys Cloud's domains by region; its hosts are `login.DOMAIN` and `api.DOMAIN`.
const GENESYS_DOMAINS: &[(&str, &str)] = &[
    ("us-east-1", "mypurecloud.com"),
    ("eu-west-1", "mypurecloud.ie"),
    ("ap-southeast-2", "mypurecloud.com.au"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("eu-central-1", "mypurecloud.de"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
];

/// Keys that platforms of some kind have.
const OF_SOME_KIND: &[&str] = &[
    "base_url",
    "login_url",
    "region",
    "organization_id",
    "drill",
    "client_id",
    "client_secret",
    "access_key_id",
    "access_key_secret",
    "tenant_id",
    "discovery_url",
];

/// Who is asked where a CXone tenant's hosts are, and where its back-end apps log in.
const CXONE: &str = "https://cxone.niceincontact.com";

/// Every platform of the config that could be read, and the names of all, readable or not.
pub(super) struct Platforms {
    /// By name.
    pub(super) read: BTreeMap<PlatformId, Arc<Platform>>,
    /// Names that stand in the file.
    pub(super) named: Vec<String>,
    /// Where each stands.
    pub(super) places: BTreeMap<String, std::ops::Range<usize>>,
}

/// Reads `[platforms]`.
pub(super) fn read(root: &Section<'_, '_>) -> Platforms {
    let mut platforms = Platforms { read: BTreeMap::new(), named: Vec::new(), places: BTreeMap::new() };
    let Some(section) = root
        .require(
            "platforms",
            "say what is measured, for example [platforms.web] with kind = \"http\" and base_url",
        )
        .and_then(|entry| entry.section("[platforms]"))
    else {
        return platforms;
    };
    for entry in section.entries() {
        platforms.named.push(entry.name.to_owned());
        platforms.places.insert(entry.name.to_owned(), entry.place.clone());
        if !is_id(entry.name) {
            entry.error(
                format!("`{}` is no name for a platform", clean(entry.name, 60)),
                "a name is 1 to 64 letters, digits, `_`, `-` or `.`, beginning with a letter or digit",
            );
            continue;
        }
        let Some(section) = entry.section(format!("platform `{}`", entry.name)) else { continue };
        if let Some(platform) = platform(entry.name, section) {
            platforms.read.insert(platform.id.clone(), Arc::new(platform));
        }
    }
    platforms
}

fn platform(name: &str, section: Section<'_, '_>) -> Option<Platform> {
    let kind = section
        .require("kind", "it is \"http\", \"genesys\" or \"cxone\"")
        .and_then(|entry| entry.word(&["http", "genesys", "cxone"]))
        .map(|word| match word {
            "genesys" => PlatformKind::Genesys,
            "cxone" => PlatformKind::Cxone,
            _ => PlatformKind::Http,
        });
    let headers = section.get("headers");
    let bearer_entry = section.get("bearer");
    let headers_read = headers.as_ref().map(read_headers).unwrap_or_default();
    let bearer = bearer_entry.as_ref().and_then(Entry::secret);
    let rate_limit = section.get("rate_limit").and_then(|entry| entry.rate());
    let ca_file = section.get("ca_file").and_then(|entry| entry.line().map(PathBuf::from));
    let discovery = kind.and_then(|kind| discovery(kind, &section));
    let hosts = kind.and_then(|kind| hosts(kind, &section, discovery.as_ref()));
    let login = kind.and_then(|kind| login(kind, &section, hosts.as_ref(), discovery));
    check_confidential(&headers_read, bearer_entry.as_ref(), headers.as_ref(), hosts.as_ref());
    if let (Some(entry), Some(_)) = (&bearer_entry, &login) {
        entry.wrong_secret("stands beside a login, which gives its requests a token", "take one of them out");
    }
    if kind.is_none() {
        // Which of these belong to it depends on its kind; a key that belongs to none is wrong all the same.
        for name in OF_SOME_KIND {
            section.get(name);
        }
    }
    section.close();
    Some(Platform {
        id: PlatformId::new(name),
        kind: kind?,
        base_url: hosts?.0,
        headers: headers_read,
        bearer,
        rate_limit,
        login,
        ca_file,
    })
}

fn read_headers(entry: &Entry<'_, '_>) -> Vec<(String, Text)> {
    let Some(section) = entry.section(entry.what.clone()) else { return Vec::new() };
    let headers = section.entries();
    headers.iter().filter_map(|header| Some((header.header_name()?, header.header_text()?))).collect()
}

/// Whom to ask for a tenant's hosts: where a CXone platform names its tenant and no base URL. The tenant alone is kept
/// where it names both.
fn discovery(kind: PlatformKind, section: &Section<'_, '_>) -> Option<Discovery> {
    if kind != PlatformKind::Cxone {
        return None;
    }
    let url = section.get("discovery_url");
    let tenant = section.get("tenant_id");
    if let (Some(url), None) = (&url, &tenant) {
        url.wrong("it is asked for a tenant's hosts: write `tenant_id` too, or take it out");
    }
    let is_own = url.is_some();
    let url = match url {
        Some(entry) => {
            let url = entry.http_url()?;
            if !is_confidential(&url) {
                entry.wrong("it decides where keys are sent: use https");
            }
            url
        }
        None => Url::parse(CXONE).ok()?,
    };
    let tenant_id = tenant?.line()?.to_owned();
    Some(Discovery { url, tenant_id, is_own, finds_login: section.get("login_url").is_none() })
}

/// Where a known region of Genesys Cloud logs in, whose API this is: the secret is not for the API's host.
fn beside(api: &Url) -> Option<Url> {
    let domain = api.host_str()?.strip_prefix("api.")?;
    let (_, domain) = GENESYS_DOMAINS.iter().find(|(_, known)| *known == domain)?;
    Url::parse(&format!("https://login.{domain}")).ok()
}

/// The base URL, and where tokens come from.
fn hosts(kind: PlatformKind, section: &Section<'_, '_>, discovery: Option<&Discovery>) -> Option<(Url, Url)> {
    let base = section.get("base_url");
    let given = base.is_some();
    let base = base.and_then(|entry| {
        let url = entry.http_url()?;
        if url.query().is_some() || url.fragment().is_some() {
            entry.wrong("a base URL has no `?` or `#`");
            return None;
        }
        Some(url)
    });
    let login = match kind {
        PlatformKind::Http => None,
        PlatformKind::Genesys | PlatformKind::Cxone => {
            section.get("login_url").and_then(|entry| entry.http_url())
        }
    };
    if kind == PlatformKind::Genesys {
        let region = section.get("region");
        let named = region.is_some();
        let domain = region.and_then(|entry| {
            let regions: Vec<_> = GENESYS_DOMAINS.iter().map(|(region, _)| *region).collect();
            let region = entry.word(&regions)?;
            GENESYS_DOMAINS.iter().find(|(known, _)| *known == region).map(|(_, domain)| *domain)
        });
        let url = |host: &str| domain.and_then(|domain| Url::parse(&format!("https://{host}.{domain}")).ok());
        if !given && !named {
            let what = section.what();
            section.error(
                "region",
                format!("{what} has no `region`"),
                "name its AWS region, for example region = \"us-east-1\", or write base_url",
            );
        }
        let base = if given { base } else { url("api") }?;
        let login = login.or_else(|| url("login")).or_else(|| beside(&base)).unwrap_or_else(|| base.clone());
        return Some((base, login));
    }
    if !given && let Some(discovery) = discovery {
        let login = login.unwrap_or_else(|| discovery.url.clone());
        return Some((discovery.url.clone(), login));
    }
    if !given {
        let what = section.what();
        let tenant = if kind == PlatformKind::Cxone { ", or tenant_id to have it looked up" } else { "" };
        section.error(
            "base_url",
            format!("{what} has no `base_url`"),
            format!("write where its API is, for example base_url = \"https://api.example.com\"{tenant}"),
        );
    }
    let base = base?;
    let app = kind == PlatformKind::Cxone && section.get("client_id").is_some();
    let login = login.or_else(|| app.then(|| Url::parse(CXONE).ok()).flatten());
    let login = login.unwrap_or_else(|| base.clone());
    Some((base, login))
}

fn login(
    kind: PlatformKind,
    section: &Section<'_, '_>,
    hosts: Option<&(Url, Url)>,
    discovery: Option<Discovery>,
) -> Option<Login> {
    let (id_key, secret_key) = match kind {
        PlatformKind::Http => return None,
        PlatformKind::Genesys => ("client_id", "client_secret"),
        PlatformKind::Cxone => ("access_key_id", "access_key_secret"),
    };
    let organization = match kind {
        PlatformKind::Genesys => section.get("organization_id"),
        _ => None,
    };
    let organization_id = organization.and_then(|entry| entry.line().map(str::to_owned));
    if let Some(drill) = section.get("drill") {
        let what = format!("the drill login of {}", section.what());
        drill.reading.not_built(
            drill.place.clone(),
            &drill.key,
            format!("{what}: drills are not built in this version; they will not be read"),
        );
        if let Some(drill) = drill.section(what) {
            let _ = credentials(&drill, id_key, secret_key, true);
            drill.close();
        }
    }
    let app = match kind {
        PlatformKind::Cxone => credentials(section, "client_id", "client_secret", false),
        _ => None,
    };
    let needed = app.is_some() || discovery.is_some() || organization_id.is_some();
    let (id, secret) = credentials(section, id_key, secret_key, needed)?;
    let (base, url) = hosts?.clone();
    let mut clear: Vec<(&str, &Url)> = vec![("login_url", &url)];
    if section.get("base_url").is_some() && url != base {
        clear.push(("base_url", &base));
    }
    for (key, url) in clear {
        if !is_confidential(url) {
            section.error(
                key,
                format!(
                    "{} would send its secrets unencrypted to {}",
                    section.what(),
                    clean(url.as_str(), 100)
                ),
                "use https",
            );
        }
    }
    let tenant_id = discovery.as_ref().map(|discovery| discovery.tenant_id.clone());
    let finds_login = app.is_none();
    let discovery = discovery.filter(|_| section.get("base_url").is_none());
    let discovery =
        discovery.map(|found| Discovery { finds_login: found.finds_login && finds_login, ..found });
    Some(Login { url, id, secret, app, organization_id, tenant_id, discovery })
}

fn credentials(
    section: &Section<'_, '_>,
    id_key: &'static str,
    secret_key: &'static str,
    required: bool,
) -> Option<(Secret, Secret)> {
    let id = section.get(id_key);
    let secret = section.get(secret_key);
    let missing = match (&id, &secret) {
        (Some(_), None) => Some(secret_key),
        (None, Some(_)) => Some(id_key),
        (None, None) if required => Some(id_key),
        _ => None,
    };
    if let Some(missing) = missing {
        let what = section.what();
        section.error(missing, format!("{what} has no `{missing}`"), SECRET_CURE);
    }
    let (id, secret) = (id.and_then(|id| id.secret()), secret.and_then(|secret| secret.secret()));
    Some((id?, secret?))
}

/// Secrets travel by TLS except on loopback.
fn check_confidential(
    read: &[(String, Text)],
    bearer: Option<&Entry<'_, '_>>,
    headers: Option<&Entry<'_, '_>>,
    hosts: Option<&(Url, Url)>,
) {
    let Some((base, _)) = hosts else { return };
    if is_confidential(base) {
        return;
    }
    let secret_header = read.iter().any(|(_, text)| matches!(text, Text::Secret(_)));
    for entry in bearer.into_iter().chain(headers.filter(|_| secret_header)) {
        entry.error(
            format!(
                "`{}` of {} would send a secret unencrypted to {}",
                entry.name,
                entry.what,
                clean(base.as_str(), 100)
            ),
            "write https in base_url; plain http may carry secrets only on loopback",
        );
    }
}
