//! A platform with a token endpoint, whose mood a test changes; and the config that speaks to it.

use std::{
    fmt::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use warroom::{
    clock::{RuntimeClock, SharedClock},
    config::{self, model::Config},
    platform::{Session, Standing},
    probe::{Client, Journey},
};

use crate::server::{Act, Asked, Server, answer};

/// Stands in every token and in no other text.
pub(crate) const TOKEN: &str = "T0K3N";
/// Stands in every secret.
pub(crate) const SECRET: &str = "S3CR3T";

/// What the token endpoint does.
#[derive(Clone)]
pub(crate) enum Mood {
    /// Grants the next token, good for so many seconds, after a while.
    Grants {
        life: u64,
        after: Duration,
    },
    /// Answers with these bytes.
    Says(Vec<u8>),
    Hangs,
}

impl Mood {
    pub(crate) fn grants() -> Self {
        Self::Grants { life: 3600, after: Duration::ZERO }
    }

    pub(crate) fn refuses() -> Self {
        Self::Says(answer(
            "401 Unauthorized",
            "",
            r#"{"error":"invalid_client","description":"who is that?"}"#,
        ))
    }
}

/// What the test may change.
pub(crate) struct Will {
    pub(crate) mood: Mutex<Mood>,
    /// Tokens with a lower number are refused.
    pub(crate) good_from: AtomicU32,
    /// What the API answers to who is let in.
    pub(crate) api: Mutex<Vec<u8>>,
    pub(crate) organization: Mutex<String>,
    /// What it answers about a token in place of that.
    pub(crate) me: Mutex<Option<Vec<u8>>>,
    granted: AtomicU32,
}

pub(crate) struct Cloud {
    pub(crate) server: Server,
    pub(crate) will: Arc<Will>,
}

impl Cloud {
    pub(crate) fn start() -> Self {
        let will = Arc::new(Will {
            mood: Mutex::new(Mood::grants()),
            good_from: AtomicU32::new(1),
            api: Mutex::new(answer("200 OK", "", "{}")),
            organization: Mutex::new("0rg-1".to_owned()),
            me: Mutex::new(None),
            granted: AtomicU32::new(0),
        });
        let shared = Arc::clone(&will);
        Self { server: Server::start(move |asked| act(&shared, asked)), will }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.will.mood.lock().unwrap() = mood;
    }

    pub(crate) fn answers(&self, status: &str, body: &str) {
        *self.will.api.lock().unwrap() = answer(status, "", body);
    }

    /// Refuses every token granted so far.
    pub(crate) fn revoke(&self) {
        self.will.good_from.store(self.will.granted.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    /// Requests to the token endpoint.
    pub(crate) fn logins(&self) -> usize {
        self.server.asked().iter().filter(|asked| is_login(asked)).count()
    }

    /// Requests to anything else.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.server.asked().into_iter().filter(|asked| !is_login(asked)).collect()
    }

    /// `[platforms.NAME]` of kind `genesys` that logs in here.
    pub(crate) fn platform(&self, name: &str, secrets: &Secrets, more: &str) -> String {
        let (url, id, secret) = (self.server.address, secrets.file("id"), secrets.file("secret"));
        format!(
            r#"
            [platforms.{name}]
            kind = "genesys"
            base_url = "http://{url}"
            login_url = "http://{url}"
            client_id = {{ file = "{id}" }}
            client_secret = {{ file = "{secret}" }}
            {more}
            "#
        )
    }
}

fn is_login(asked: &Asked) -> bool {
    let line = asked.line();
    ["/oauth/token", "/authentication/", "/auth/token", "/public/user/refresh"]
        .iter()
        .any(|path| line.contains(path))
}

fn act(will: &Will, asked: &Asked) -> Act {
    if is_login(asked) {
        return match will.mood.lock().unwrap().clone() {
            Mood::Says(bytes) => Act::SendAndClose(bytes),
            Mood::Hangs => Act::Hang,
            Mood::Grants { life, after } => {
                let number = will.granted.fetch_add(1, Ordering::SeqCst) + 1;
                let body = format!(
                    r#"{{"access_token":"{TOKEN}-{number}","token_type":"bearer","expires_in":{life}}}"#
                );
                Act::Slowly(Vec::new(), after, answer("200 OK", "content-type: application/json\r\n", &body))
            }
        };
    }
    let number = asked.head.lines().find_map(|line| line.split_once(&format!("Bearer {TOKEN}-")));
    let number: u32 = number.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0);
    if number < will.good_from.load(Ordering::SeqCst) || asked.line().contains("/picky") {
        return Act::Send(answer(
            "401 Unauthorized",
            "",
            r#"{"code":"authentication.required","status":401}"#,
        ));
    }
    if asked.line().contains("/tokens/me") {
        if let Some(bytes) = will.me.lock().unwrap().clone() {
            return Act::Send(bytes);
        }
        let id = will.organization.lock().unwrap().clone();
        let body = format!(
            r#"{{"organization":{{"id":"{id}","name":"Acme"}},"authorizedScope":["architect:readonly"],"OAuthClient":{{"name":"warroom"}}}}"#
        );
        return Act::Send(answer("200 OK", "", &body));
    }
    if asked.line().contains("/subjects/me") {
        let body = r#"{"grants":[{"role":{"policies":[{"domain":"architect","entityName":"flow","actions":["view"]}]}}]}"#;
        return Act::Send(answer("200 OK", "", body));
    }
    Act::Send(will.api.lock().unwrap().clone())
}

/// Secrets in files.
pub(crate) struct Secrets(tempfile::TempDir);

impl Secrets {
    pub(crate) fn new() -> Self {
        let secrets = Self(tempfile::tempdir().unwrap());
        secrets.put("id", &format!("{SECRET}-id"));
        secrets.put("secret", &format!("{SECRET}-secret"));
        secrets
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}

/// A component on a platform, asked every second.
pub(crate) fn component(id: &str, platform: &str, path: &str) -> String {
    format!(
        r#"
        [[components]]
        id = "{id}"
        platform = "{platform}"
        tier = 1
        target_rto = "60s"
        kind = "api"
        cadence = "1s"
        burst = "200ms"
        timeout = "1s"
        journey = [{{ name = "ready", get = "{path}", expect = ["status == 200"] }}]
        "#
    )
}

pub(crate) fn read(platforms: &str, components: &str) -> Config {
    let text = format!("tenant = \"login-test\"\nenvironment = \"sandbox\"\n{platforms}\n{components}");
    config::parse(&text, "the test's config").unwrap_or_else(|rejected| panic!("{rejected}")).config
}

/// A config with one platform `cloud` and components `c1` … on it.
pub(crate) fn with_components(platform: &str, number: usize) -> Config {
    let mut components = String::new();
    for place in 1..=number {
        write!(components, "{}", component(&format!("c{place}"), "cloud", &format!("/c{place}"))).unwrap();
    }
    read(platform, &components)
}

pub(crate) fn clock() -> SharedClock {
    Arc::new(RuntimeClock::starting_at(chrono::DateTime::UNIX_EPOCH))
}

/// The session of the platform `cloud`, and the journeys of all of its components.
pub(crate) fn begin(config: &Config, clock: &SharedClock) -> (Arc<Session>, Vec<Arc<Journey>>) {
    let platform = config.platforms.values().find(|platform| platform.id.as_str() == "cloud").unwrap();
    let session = Session::start(platform, clock, 1);
    let client = Client::new(platform, Arc::clone(&session), Arc::clone(clock));
    let components = config.components.iter();
    let journeys = components
        .map(|component| Journey::new(Arc::clone(component), Arc::clone(&client), Arc::clone(clock)))
        .collect();
    (session, journeys)
}

/// Lets so much virtual time pass.
pub(crate) async fn pass_time(length: Duration) {
    tokio::time::pause();
    tokio::time::advance(length).await;
    tokio::time::resume();
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < patience, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a login that fails; says why.
pub(crate) async fn failing(session: &Session) -> String {
    let mut reason = None;
    until("a failing login", || {
        if let Standing::Failing(why) = session.standing() {
            reason = Some(why.to_string());
        }
        reason.is_some()
    })
    .await;
    reason.unwrap()
}
