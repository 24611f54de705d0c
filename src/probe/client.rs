//! One platform's way out: its origins with their idle connections, its credentials, resolver and trust.
//!
//! Invariant: a platform's headers are sent to the origin of its base URL alone, and the secret ones only by TLS or to
//! this machine.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::{Uri, header::HeaderValue};
use rustls::pki_types::ServerName;
use url::Url;

use super::{budget::Budget, failure::Failure, pool::Pool, resolve::Resolver, tls::Trust};
use crate::{
    clock::SharedClock,
    config::{is_confidential, model::Platform},
    domain::PlatformId,
    platform::Credentials,
};

/// Origins whose connections are kept; more can only come from captured host names.
const ROUTES: usize = 64;

/// Everything that the requests of one platform share. Cheap to make: no TLS, no roots, no connection yet.
#[derive(Debug)]
pub struct Client {
    pub(crate) platform: PlatformId,
    pub(crate) credentials: Credentials,
    pub(crate) resolver: Resolver,
    pub(crate) trust: Trust,
    pub(crate) clock: SharedClock,
    /// Through which every request goes.
    pub(crate) budget: Arc<Budget>,
    base: String,
    base_origin: Origin,
    secrets_allowed: bool,
    routes: Mutex<HashMap<Origin, Arc<Route>>>,
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
    /// Makes the client of a platform with a budget of its own.
    #[must_use]
    pub fn new(platform: &Platform, credentials: Credentials, clock: SharedClock) -> Arc<Self> {
        Self::within(platform, credentials, clock, Budget::new(platform.rate_limit, 0))
    }

    /// Makes the client of a platform whose budget others use too.
    #[must_use]
    pub fn within(
        platform: &Platform,
        credentials: Credentials,
        clock: SharedClock,
        budget: Arc<Budget>,
    ) -> Arc<Self> {
        let base_origin = Origin::of(&platform.base_url);
        let secrets_allowed = is_confidential(&platform.base_url);
        if !secrets_allowed && credentials.has_secret() {
            tracing::warn!(
                platform = %platform.id,
                "secret headers and bearer token are not sent: `base_url` is neither https nor on this machine"
            );
        }
        Arc::new(Self {
            platform: platform.id.clone(),
            credentials,
            resolver: Resolver::new(),
            trust: Trust::new(platform.ca_file.clone()),
            clock,
            budget,
            base: platform.base_url.as_str().trim_end_matches('/').to_owned(),
            base_origin,
            secrets_allowed,
            routes: Mutex::default(),
        })
    }

    /// Where a rendered `get = "…"` leads: a whole URL as it stands, a path below the base URL.
    pub(crate) fn target(&self, rendered: &str) -> Result<Target, Failure> {
        let whole = rendered.starts_with("http://") || rendered.starts_with("https://");
        let url = if whole {
            Url::parse(rendered)
        } else {
            let slash = if rendered.starts_with('/') { "" } else { "/" };
            Url::parse(&format!("{}{slash}{rendered}", self.base))
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
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(&origin) {
            return Ok(Arc::clone(route));
        }
        let is_home = origin == self.base_origin;
        let route = Arc::new(Route::new(&origin, is_home, is_home && self.secrets_allowed)?);
        if routes.len() < ROUTES {
            routes.insert(origin, Arc::clone(&route));
        }
        Ok(route)
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

    use hyper::header::HeaderName;

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
        let platform = Platform {
            id: PlatformId::new("edge"),
            kind: PlatformKind::Http,
            base_url: Url::parse(base).unwrap(),
            headers: Vec::new(),
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
        let (plain, secret) = (vec![header("x-tenant", "blue")], vec![header("x-key", "k3y")]);
        let credentials = Credentials::new(plain, secret, Some("t0ken")).unwrap();
        let sent = |base: &str, url: &str| {
            let action = HttpAction {
                method: hyper::Method::GET,
                url: Template::parse(url),
                headers: Vec::new(),
                body: None,
            };
            let client = client_with(base, credentials.clone());
            let headers = plan::ask(&client, &action, &BTreeMap::new()).unwrap().headers;
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
