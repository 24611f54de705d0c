//! One platform's way out: its origins with their idle connections, its session, resolver and trust.
//!
//! Invariant: a platform's headers are sent to the origin of its base URL alone, and the secret ones only by TLS or to
//! this machine.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use rustls::pki_types::ServerName;
use url::Url;

use super::{
    budget::Budget, dates::Dates, failure::Failure, listing::Listings, pool::Pool, resolve::Resolver,
    sip::Line, tls::Trust,
};
use crate::{
    clock::SharedClock,
    config::{
        is_confidential,
        model::{Platform, Text},
    },
    domain::PlatformId,
    platform::{Credentials, Pass, Session},
};

/// Origins whose connections are kept; more can only come from captured host names.
const ROUTES: usize = 64;

/// Everything that the requests of one platform share. Cheap to make: no TLS, no roots, no connection yet.
#[derive(Debug)]
pub struct Client {
    pub(crate) platform: PlatformId,
    pub(crate) session: Arc<Session>,
    /// The headers that stand in the config.
    pub(crate) plain: Credentials,
    /// The names of those that are secret.
    pub(crate) secret_names: Vec<HeaderName>,
    pub(crate) resolver: Resolver,
    pub(crate) trust: Trust,
    pub(crate) clock: SharedClock,
    /// Through which every request goes.
    pub(crate) budget: Arc<Budget>,
    /// Answers that several components look at.
    pub(crate) listings: Listings,
    pub(crate) line: Line,
    /// What its answers say of the time.
    pub(crate) dates: Dates,
    /// Whether the login finds the base URL.
    is_found: bool,
    known: Mutex<Known>,
}

/// What is known of the platform's hosts.
#[derive(Debug, Default)]
struct Known {
    home: Option<Arc<Home>>,
    routes: HashMap<Origin, Arc<Route>>,
}

/// The base URL.
#[derive(Debug)]
struct Home {
    url: Url,
    base: String,
    origin: Origin,
    secrets_allowed: bool,
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

/// An origin and the connections to it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) host_header: HeaderValue,
    pub(crate) server_name: Option<ServerName<'static>>,
    /// Whether it is the origin of the platform's base URL.
    pub(crate) is_home: bool,
    /// Whether the platform's secrets may go there.
    pub(crate) is_trusted: bool,
    pub(crate) pool: Pool,
}

/// Where one request goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) route: Arc<Route>,
    pub(crate) url: Url,
    /// Path and query, as HTTP/1.1 sends it.
    pub(crate) path: Uri,
    /// The whole, as HTTP/2 sends it.
    pub(crate) whole: Uri,
}

impl Client {
    /// Makes the client of a platform, whose requests carry what `session` says.
    #[must_use]
    pub fn new(platform: &Platform, session: impl Into<Arc<Session>>, clock: SharedClock) -> Arc<Self> {
        let budget = Budget::new(platform.rate_limit);
        Self::with_budget(platform, session.into(), clock, budget)
    }

    /// The client of a platform that goes on with the budget of an earlier one.
    #[must_use]
    pub(crate) fn on(
        budget: Arc<Budget>,
        platform: &Platform,
        session: Arc<Session>,
        clock: SharedClock,
    ) -> Arc<Self> {
        Self::with_budget(platform, session, clock, budget)
    }

    fn with_budget(
        platform: &Platform,
        session: Arc<Session>,
        clock: SharedClock,
        budget: Arc<Budget>,
    ) -> Arc<Self> {
        let is_found = platform.login.as_ref().is_some_and(|login| login.discovery.is_some());
        let home = (!is_found).then(|| Arc::new(Home::new(platform.base_url.clone())));
        if home.as_ref().is_some_and(|home| !home.secrets_allowed)
            && session.pass().is_ok_and(|pass| pass.credentials().has_secret())
        {
            tracing::warn!(
                platform = %platform.id,
                "secret headers and bearer token are not sent: `base_url` is neither https nor on this machine"
            );
        }
        Arc::new(Self {
            platform: platform.id.clone(),
            plain: Credentials::plain(platform),
            secret_names: secret_names(platform),
            session,
            resolver: Resolver::new(),
            line: Line::new(&platform.id, &*clock),
            trust: Trust::new(platform.ca_file.clone()),
            clock,
            budget,
            listings: Listings::default(),
            dates: Dates::default(),
            is_found,
            known: Mutex::new(Known { home, routes: HashMap::new() }),
        })
    }

    /// A client with connections of its own on the same session and budget: who looks besides the probes disturbs none of
    /// theirs. `platform` is this client's own.
    #[must_use]
    pub fn beside(&self, platform: &Platform) -> Arc<Self> {
        let (session, clock) = (Arc::clone(&self.session), Arc::clone(&self.clock));
        Self::with_budget(platform, session, clock, Arc::clone(&self.budget))
    }

    /// Its session.
    #[must_use]
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whose client it is.
    #[must_use]
    pub const fn platform(&self) -> &PlatformId {
        &self.platform
    }

    /// Whether it is known already, and for good, where the platform's API is.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_found
    }

    /// What a request there carries of the platform's secrets, if any.
    pub(crate) fn pass_for(&self, route: &Route) -> Result<Option<Pass>, Failure> {
        if !route.is_trusted {
            return Ok(None);
        }
        let pass = self.session.pass().map_err(|reason| Failure::ours(&reason))?;
        Ok(Some(pass).filter(|pass| pass.credentials().has_secret()))
    }

    fn home(&self) -> Option<Arc<Home>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_found {
            let url = self.session.base()?;
            if known.home.as_ref().is_none_or(|home| home.url != url) {
                // What was another platform's host may be home now, and the other way round.
                known.routes.clear();
                known.home = Some(Arc::new(Home::new(url)));
            }
        }
        known.home.clone()
    }

    /// Where a rendered `get = "…"` leads: a whole URL as it stands, a path below the base URL.
    pub(crate) fn target(&self, rendered: &str) -> Result<Target, Failure> {
        let whole = rendered.starts_with("http://") || rendered.starts_with("https://");
        let url = if whole {
            Url::parse(rendered)
        } else {
            let slash = if rendered.starts_with('/') { "" } else { "/" };
            let home = self.home().ok_or_else(|| Failure::ours("the platform's host is not known yet"))?;
            Url::parse(&format!("{}{slash}{rendered}", home.base))
        };
        let url = url.map_err(|error| Failure::answer(&format!("`{rendered}` is no URL: {error}")))?;
        self.target_of(url)
    }

    pub(crate) fn target_of(&self, mut url: Url) -> Result<Target, Failure> {
        url.set_fragment(None);
        let unfit =
            |error: &dyn std::fmt::Display| Failure::answer(&format!("`{url}` cannot be asked: {error}"));
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unfit(&"its scheme is neither http nor https"));
        }
        let origin = Origin::of(&url);
        let route = self.route(origin).map_err(|error| unfit(&error))?;
        let path = &url[url::Position::BeforePath..];
        let path: Uri = path.parse().map_err(|error: hyper::http::uri::InvalidUri| unfit(&error))?;
        let scheme = if route.origin.tls { "https" } else { "http" };
        let whole = Uri::builder()
            .scheme(scheme)
            .authority(route.host_header.as_bytes())
            .path_and_query(path.path_and_query().map_or("/", |all| all.as_str()))
            .build()
            .map_err(|error| unfit(&error))?;
        Ok(Target { route, url, path, whole })
    }

    fn route(&self, origin: Origin) -> Result<Arc<Route>, String> {
        let home = self.home();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = known.routes.get(&origin) {
            return Ok(Arc::clone(route));
        }
        let home = home.filter(|home| home.origin == origin);
        let is_trusted = home.as_ref().is_some_and(|home| home.secrets_allowed);
        let route = Arc::new(Route::new(&origin, home.is_some(), is_trusted)?);
        if known.routes.len() < ROUTES {
            known.routes.insert(origin, Arc::clone(&route));
        }
        Ok(route)
    }
}

fn secret_names(platform: &Platform) -> Vec<HeaderName> {
    let secret = platform.headers.iter().filter(|(_, text)| matches!(text, Text::Secret(_)));
    secret.filter_map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
}

impl Home {
    fn new(url: Url) -> Self {
        Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
            origin: Origin::of(&url),
            secrets_allowed: is_confidential(&url),
            url,
        }
    }
}

impl Origin {
    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        Self {
            tls: url.scheme() == "https",
            host: Arc::from(host),
            port: url.port_or_known_default().unwrap_or(0),
        }
    }
}

impl Route {
    fn new(origin: &Origin, is_home: bool, is_trusted: bool) -> Result<Self, String> {
        let host =
            if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.to_string() };
        let usual = if origin.tls { 443 } else { 80 };
        let authority = if origin.port == usual { host } else { format!("{host}:{}", origin.port) };
        let server_name = if origin.tls {
            Some(ServerName::try_from(origin.host.to_string()).map_err(|error| error.to_string())?)
        } else {
            None
        };
        let host_header = HeaderValue::try_from(authority).map_err(|error| error.to_string())?;
        let origin = origin.clone();
        Ok(Self { origin, host_header, server_name, is_home, is_trusted, pool: Pool::default() })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        clock::SystemClock,
        config::{
            model::{HttpAction, PlatformKind},
            template::Template,
        },
        probe::plan,
    };

    fn client(base: &str) -> Arc<Client> {
        client_with(base, Credentials::default())
    }

    fn client_with(base: &str, credentials: Credentials) -> Arc<Client> {
        let tenant = Text::Plain("blue".to_owned());
        let platform = Platform {
            id: PlatformId::new("edge"),
            kind: PlatformKind::Http,
            base_url: Url::parse(base).unwrap(),
            headers: vec![("x-tenant".to_owned(), tenant)],
            bearer: None,
            rate_limit: None,
            login: None,
            ca_file: None,
        };
        Client::new(&platform, credentials, Arc::new(SystemClock))
    }

    fn trusted(base: &str, asked: &str) -> bool {
        client(base).target(asked).unwrap().route.is_trusted
    }

    /// A token in clear text on a network is anybody's token.
    #[test]
    fn secrets_travel_by_tls_or_stay_on_this_machine() {
        assert!(trusted("https://edge.example.com", "/ready"));
        assert!(trusted("https://edge.example.com", "https://edge.example.com:443/ready"));
        assert!(trusted("http://127.0.0.1:8080", "/ready"));
        assert!(trusted("http://[::1]:8080", "/ready"));
        assert!(!trusted("http://edge.example.com", "/ready"));
        assert!(!trusted("http://edge.localhost", "/ready"));
        assert!(!trusted("https://edge.example.com", "https://edge.example.com:8443/ready"));
        assert!(!trusted("https://edge.example.com", "http://edge.example.com/ready"));
        assert!(!trusted("https://edge.example.com", "https://edge.example.com.evil.net/ready"));
    }

    /// A platform on a plain network must still get the tenant or the host name that its headers say.
    #[test]
    fn plain_headers_reach_a_platform_without_tls_and_secret_ones_do_not() {
        let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let credentials = Credentials::new(Vec::new(), vec![header("x-key", "k3y")], Some("t0ken")).unwrap();
        let sent = |base: &str, url: &str| {
            let action = HttpAction {
                method: hyper::Method::GET,
                url: Template::parse(url),
                headers: Vec::new(),
                body: None,
            };
            let client = client_with(base, credentials.clone());
            let ask = plan::ask(&client, &action, &BTreeMap::new()).unwrap();
            let mut headers = ask.headers.clone();
            if let Some(pass) = client.pass_for(&ask.target.route).unwrap() {
                pass.credentials().attach_secret(&mut headers);
            }
            ["x-tenant", "x-key", "authorization"].map(|name| headers.contains_key(name))
        };
        assert_eq!(sent("http://edge.example.com", "/ready"), [true, false, false]);
        assert_eq!(sent("https://edge.example.com", "/ready"), [true, true, true]);
        assert_eq!(sent("http://edge.example.com", "http://other.example.com/"), [false, false, false]);
    }

    /// A path cannot lead to another host, however it is written.
    #[test]
    fn a_path_stays_below_the_base_url() {
        for path in ["//evil.net/x", "@evil.net/x", ".evil.net", "/../../x", ":99/x"] {
            let target = client("https://edge.example.com/api").target(path).unwrap();
            assert_eq!(&*target.route.origin.host, "edge.example.com", "{path}");
            assert_eq!(target.route.host_header, "edge.example.com", "{path}");
        }
        let target = client("http://[::1]:8080/").target("/a?b=c").unwrap();
        assert_eq!(target.route.host_header, "[::1]:8080");
        assert_eq!(
            (target.path.to_string(), target.whole.to_string()),
            ("/a?b=c".into(), "http://[::1]:8080/a?b=c".into())
        );
    }
}
