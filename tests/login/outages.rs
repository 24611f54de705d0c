//! The whole engine: a login that fails is told once, blinds its platform, opens and closes no outage, and ends.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use warroom::{
    config::model::Config,
    domain::{
        Event, Phase, Verdict,
        event::{Login, PlatformEvent},
    },
    engine::{self, Listener, Mailbox, Setup},
};

use crate::cloud::{Cloud, Mood, SECRET, Secrets, TOKEN, clock, component, read, until, with_components};
use crate::server::{Act, Server, answer, ok};

type Events = Arc<Mutex<Vec<Arc<Event>>>>;

struct Ear(Events);

impl Listener for Ear {
    fn event(&mut self, event: &Arc<Event>) {
        self.0.lock().unwrap().push(Arc::clone(event));
    }
}

/// An engine in this runtime, on its clock.
pub(crate) struct Running {
    pub(crate) events: Events,
    remote: engine::Remote,
    task: tokio::task::JoinHandle<Result<engine::Ended, engine::StartError>>,
}

impl Running {
    pub(crate) fn start(config: Config, folder: &Path) -> Self {
        let (events, mailbox) = (Events::default(), Mailbox::default());
        let setup = Setup {
            config: Arc::new(config),
            clock: clock(),
            seed: 5,
            folder: folder.join("data"),
            listeners: vec![Box::new(Ear(Arc::clone(&events)))],
        };
        std::fs::create_dir_all(&setup.folder).unwrap();
        let remote = mailbox.remote();
        Self { events, remote, task: tokio::spawn(engine::run(setup, mailbox, None)) }
    }

    pub(crate) async fn stop(self) -> Vec<Arc<Event>> {
        self.remote.stop();
        self.task.await.unwrap().unwrap().unsaved.unwrap();
        std::mem::take(&mut self.events.lock().unwrap())
    }

    fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    /// Waits for an event after the first `from`.
    async fn wait(&self, from: usize, what: &str, is_it: impl Fn(&Event) -> bool) {
        until(what, || self.events.lock().unwrap().iter().skip(from).any(|event| is_it(event))).await;
    }

    /// Lets virtual time pass by half seconds, so that nothing looks like a sleeping machine.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds * 2 {
            tokio::time::pause();
            tokio::time::advance(Duration::from_millis(500)).await;
            tokio::time::resume();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn is_verdict(event: &Event, wanted: Verdict) -> bool {
    matches!(event, Event::Probe(probe) if probe.verdict == wanted)
}

fn is_phase(event: &Event, wanted: Phase) -> bool {
    matches!(event, Event::Phase(phase) if phase.phase == wanted)
}

fn logins(events: &[Arc<Event>]) -> Vec<&PlatformEvent> {
    let told = events.iter().filter_map(|event| match &**event {
        Event::Platform(platform) => Some(platform),
        _ => None,
    });
    told.collect()
}

/// Revoked credentials must page nobody about components that may be well, and must end by themselves.
#[tokio::test]
async fn revoked_credentials_are_blind_and_no_outage() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 3);
    let running = Running::start(config, secrets.folder());
    running.wait(0, "a component is up", |event| is_phase(event, Phase::Up)).await;
    cloud.revoke();
    cloud.set(Mood::refuses());
    running
        .wait(
            0,
            "the failing login",
            |event| matches!(event, Event::Platform(platform) if platform.login == Login::Failing),
        )
        .await;
    let from = running.len();
    running.pass(5).await;
    let asked = cloud.asked().len();
    running.wait(from, "a blind probe", |event| is_verdict(event, Verdict::Blind)).await;
    running.pass(20).await;
    assert_eq!(cloud.asked().len(), asked, "nothing is sent without a token");
    cloud.set(Mood::grants());
    running.pass(50).await;
    running.wait(from, "the login is back", |event| matches!(event, Event::Platform(_))).await;
    running.wait(from, "it is up again", |event| is_verdict(event, Verdict::Up)).await;
    let events = running.stop().await;
    assert!(!events.iter().any(|event| is_verdict(event, Verdict::Down)), "{events:?}");
    assert!(!events.iter().any(|event| is_phase(event, Phase::Down)), "{events:?}");
    let blind = events.iter().filter_map(|event| match &**event {
        Event::Probe(probe) if probe.verdict == Verdict::Blind => probe.reason.clone(),
        _ => None,
    });
    let blind: Vec<String> = blind.collect();
    assert!(
        blind.iter().all(|reason| reason.contains("login failing: the credentials are refused")),
        "{blind:?}"
    );
    let told: Vec<_> = logins(&events).iter().map(|event| event.login).collect();
    assert_eq!(told, [Login::Ok, Login::Failing, Login::Ok], "told when it changes, and only then");
}

/// An outage that was seen must stay open while nobody can look, and be measured by what was seen.
#[tokio::test]
async fn an_open_outage_stays_open_while_the_login_fails() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let running = Running::start(config, secrets.folder());
    running.wait(0, "it is up", |event| is_phase(event, Phase::Up)).await;
    cloud.answers("503 Service Unavailable", "{}");
    running.wait(0, "it is down", |event| is_phase(event, Phase::Down)).await;
    cloud.revoke();
    cloud.set(Mood::Says(answer("500 Internal Server Error", "", "")));
    let from = running.len();
    running.wait(from, "a blind probe", |event| is_verdict(event, Verdict::Blind)).await;
    // It recovers unseen.
    cloud.answers("200 OK", "{}");
    running.pass(10).await;
    assert!(!running.events.lock().unwrap().iter().any(|event| matches!(**event, Event::Recovery(_))));
    cloud.set(Mood::grants());
    running.pass(62).await;
    running.wait(from, "the recovery", |event| matches!(event, Event::Recovery(_))).await;
    let events = running.stop().await;
    let recoveries = events.iter().filter_map(|event| match &**event {
        Event::Recovery(recovery) => Some(&recovery.record),
        _ => None,
    });
    let recoveries: Vec<_> = recoveries.collect();
    assert_eq!(recoveries.len(), 1, "one outage: {recoveries:?}");
    assert!(recoveries[0].blind_probes > 0 && recoveries[0].bounds_seconds.0 < 2.0, "{recoveries:?}");
}

/// A login host that is down while the platform itself is up, or a login that hangs, must delay no other platform.
#[tokio::test]
async fn a_hung_login_delays_no_other_platform() {
    let (hung, secrets) = (Cloud::start(), Secrets::new());
    hung.set(Mood::Hangs);
    let well = Server::start(|_| ok());
    let platforms = hung.platform("cloud", &secrets, "")
        + &format!("[platforms.web]\nkind = \"http\"\nbase_url = \"http://{}\"\n", well.address);
    let components = component("c1", "cloud", "/c1") + &component("w", "web", "/w");
    let running = Running::start(read(&platforms, &components), secrets.folder());
    let begun = std::time::Instant::now();
    running.wait(0, "the other one is up", |event| is_phase(event, Phase::Up)).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let from = running.len();
    running
        .wait(from, "the first is blind", |event| {
            matches!(event, Event::Probe(probe) if probe.component_id.as_str() == "c1" && probe.verdict == Verdict::Blind)
        })
        .await;
    running.pass(6).await;
    running
        .wait(0, "the login has failed", |event| {
            matches!(event, Event::Platform(platform) if platform.reason.as_ref().is_some_and(|why| why.contains("within 10 s")))
        })
        .await;
    let events = running.stop().await;
    assert!(hung.asked().is_empty());
    assert!(!events.iter().any(|event| is_phase(event, Phase::Down)));
    assert!(events.iter().filter(|event| is_verdict(event, Verdict::Up)).count() >= 5);
}

/// A platform may echo what it was sent, in every place that is shown.
#[tokio::test]
async fn no_event_holds_a_secret_or_a_token() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let echo = Server::start(|asked| {
        let token = asked
            .head
            .lines()
            .find(|line| line.to_lowercase().starts_with("authorization"))
            .unwrap_or_default();
        let token = token.split_once(' ').map_or("", |(_, value)| value);
        let header = format!("x-served-by: {token}\r\n");
        Act::Send(answer("418 Nope", &header, &format!(r#"{{"status":"{token}"}}"#)))
    });
    let platform = cloud.platform("cloud", &secrets, "").replace(
        &format!("base_url = \"http://{}\"", cloud.server.address),
        &format!("base_url = \"http://{}\"", echo.address),
    );
    let components = component("c1", "cloud", "/c1").replace("status == 200", "body.status == 'ok'")
        + "[components.failover]\nserved_by = 'headers[\"x-served-by\"]'\n";
    let running = Running::start(read(&platform, &components), secrets.folder());
    running.wait(0, "it is down", |event| is_phase(event, Phase::Down)).await;
    cloud.set(Mood::refuses());
    let events = running.stop().await;
    let told = format!("{events:?} {}", serde_json::to_string(&events).unwrap());
    assert!(told.contains("(hidden)"), "the echo was seen: {told}");
    assert!(!told.contains(TOKEN) && !told.contains(SECRET), "{told}");
}

/// `warroom probe` must see what the engine sees: with the platform's token, or with the reason why there is none.
#[tokio::test(flavor = "multi_thread")]
async fn the_probe_command_logs_in() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let text = cloud.platform("cloud", &secrets, "") + &component("c1", "cloud", "/c1");
    secrets.put("warroom.toml", &text);
    let file = secrets.file("warroom.toml");
    let probe = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_warroom"));
        let output = command.args(["probe", "c1", "--config", &file]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = tokio::task::block_in_place(probe);
    assert_eq!(code, Some(0), "{said}");
    assert!(cloud.asked()[0].head.contains(&format!("Bearer {TOKEN}-1")));
    cloud.set(Mood::refuses());
    let (code, said) = tokio::task::block_in_place(probe);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("platform `cloud`: login failing: the credentials are refused"), "{said}");
    assert!(!said.contains(SECRET) && cloud.asked().len() == 1, "{said}");
}
