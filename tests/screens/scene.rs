//! A small world to look at: components, and the events that an engine would send of them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, layout::Size};
use warroom::{
    console::{
        self, Options,
        backend::LeanBackend,
        color::{ColorChoice, Depth},
        feed::{Drained, Item},
        message::{Effect, Message},
        run::draw_once,
        state::State,
        update::update,
    },
    domain::{
        ComponentCard, ComponentId, Environment, Event, Moment, PathName, Percent, Phase, Picture,
        PlatformCard, PlatformId, RecoveryRecord, Roster, Status, StepCard, StepReport, StepState, Tier,
        Timings, Verdict,
        chain::ChainHealth,
        diagnosis::{Area, Diagnosis, Finding},
        event::{
            BudgetEvent, ClockEvent, OutageView, PhaseEvent, PlatformEvent, ProbeEvent, RecoveryEvent,
            Stretched, ViolationEvent,
        },
        record::{ClockState, Mode, RestoredBy},
        time::Now,
    },
};

/// A console under a script.
pub(crate) struct Scene {
    pub(crate) state: State,
    pub(crate) depth: Depth,
    pub(crate) now: Now,
}

pub(crate) fn start() -> DateTime<Utc> {
    "2026-05-15T14:30:00Z".parse().unwrap()
}

fn card(id: &str, name: &str, platform: &str, tier: Tier, target: u64) -> ComponentCard {
    let step = |name: &str, what: &str, health| StepCard {
        name: name.into(),
        what: what.to_owned(),
        health,
        parallel: false,
        cleanup: false,
    };
    ComponentCard {
        id: id.into(),
        name: name.into(),
        platform: platform.into(),
        tier,
        target_rto: Duration::from_secs(target),
        kind: "api".to_owned(),
        cadence: Duration::from_secs(if tier == Tier::One { 5 } else { 60 }),
        burst: Duration::from_millis(500),
        steps: vec![
            step("flow status", "GET /api/v2/flows/status", true),
            step("execute the flow", "POST /api/v2/flows/executions", false),
        ],
        depends_on: Vec::new(),
        shares: Vec::new(),
        owner: Some("ivr-team".to_owned()),
        runbook: Some("https://wiki.example.com/runbooks/ivr".to_owned()),
        protected: false,
        mechanism: Some("multi-region active-active".to_owned()),
        primary: vec!["us-east-1".to_owned()],
        secondary: vec!["us-west-2".to_owned()],
        observable: true,
    }
}

pub(crate) fn roster(components: Vec<ComponentCard>) -> Arc<Roster> {
    Arc::new(Roster {
        tenant: "prod-ccaws-01".to_owned(),
        environment: Environment::Sandbox,
        demo: false,
        window: Duration::from_hours(24),
        platforms: ["genesys", "cxone", "edge"]
            .map(|id| PlatformCard { id: id.into(), kind: "http".to_owned() })
            .to_vec(),
        components,
    })
}

/// The eight components of the drawings.
pub(crate) fn eight() -> Vec<ComponentCard> {
    let mut cards = vec![
        card("ivr", "IVR main flow", "genesys", Tier::One, 60),
        card("crm", "CRM lookup", "edge", Tier::One, 45),
        card("trunk", "SIP trunk us-east", "edge", Tier::One, 30),
        card("wem", "WEM dashboard", "genesys", Tier::One, 60),
        card("cxone", "CXone us-east", "cxone", Tier::Two, 180),
        card("wfm", "WFM scheduling", "cxone", Tier::Two, 300),
        card("archive", "Recording archive", "edge", Tier::Three, 900),
        card("backup", "Config backup", "edge", Tier::Three, 900),
    ];
    cards[0].depends_on = vec!["crm".into()];
    cards[2].protected = true;
    cards
}

pub(crate) fn many(number: usize) -> Vec<ComponentCard> {
    (0..number)
        .map(|place| {
            let tier = Tier::ALL[place % 3];
            let target = [60, 180, 900][place % 3];
            card(&format!("c{place}"), &format!("Component {place:03}"), "edge", tier, target)
        })
        .collect()
}

impl Scene {
    pub(crate) fn new(cards: Vec<ComponentCard>, theme: &str, color: ColorChoice, ascii: bool) -> Self {
        let options = Options { theme: Some(theme.to_owned()), color, ascii, ..Options::default() };
        let (state, depth) = console::prepare(&options, Picture::new(roster(cards))).unwrap();
        let now = Now { moment: Moment::from_millis(1_000_000), wall: start() };
        Self { state, depth, now }
    }

    pub(crate) fn eight() -> Self {
        Self::new(eight(), "default", ColorChoice::Ansi16, false)
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, millis: i64) -> &mut Self {
        self.now.wall += TimeDelta::milliseconds(millis);
        self.now.moment = self.now.moment + Duration::from_millis(millis.unsigned_abs());
        self
    }

    pub(crate) fn message(&mut self, message: Message) -> Vec<Effect> {
        update(&mut self.state, message, self.now)
    }

    pub(crate) fn send(&mut self, event: Event) -> Vec<Effect> {
        let items = vec![Item::Event(Arc::new(event))];
        self.message(Message::Events(Drained { items, ..Drained::default() }))
    }

    pub(crate) fn key(&mut self, code: KeyCode) -> Vec<Effect> {
        self.message(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    pub(crate) fn keys(&mut self, text: &str) {
        for character in text.chars() {
            self.key(KeyCode::Char(character));
        }
    }

    pub(crate) fn probe(
        &mut self,
        id: &str,
        verdict: Verdict,
        latency: f64,
        reason: Option<&str>,
    ) -> Vec<Effect> {
        let event = probe_event(id, verdict, latency, reason, self.now.wall);
        self.send(event)
    }

    pub(crate) fn phase(&mut self, id: &str, phase: Phase, outage: Option<OutageView>) -> Vec<Effect> {
        self.send(Event::Phase(PhaseEvent {
            at: self.now.wall,
            component_id: id.into(),
            path: PathName::primary(),
            phase,
            t_detect_epoch: None,
            outage,
        }))
    }

    /// An outage that is detected now.
    pub(crate) fn outage(&self, verdict: Verdict, reason: &str) -> OutageView {
        OutageView {
            id: format!("outage-{reason}"),
            verdict,
            t_detect: self.now.wall,
            onset_after: Some(self.now.wall - TimeDelta::milliseconds(4_600)),
            t_failover: None,
            served_by: None,
            restored_since: None,
            last_bad: self.now.wall,
            reason: reason.to_owned(),
            failed_steps: vec!["flow status".to_owned()],
            blind_probes: 0,
            gap_seconds: 0.0,
            links: Vec::new(),
        }
    }

    /// Everything is up, and has been for two minutes.
    pub(crate) fn all_up(&mut self) -> &mut Self {
        let ids: Vec<ComponentId> =
            self.state.picture.roster.components.iter().map(|card| card.id.clone()).collect();
        for round in 0..12 {
            for (place, id) in ids.iter().enumerate() {
                let latency = 12.0 + (place * 31 % 90) as f64 + f64::from(round * 7 % 5) * 3.0;
                self.probe(id.as_str(), Verdict::Up, latency, None);
                if round == 0 {
                    self.phase(id.as_str(), Phase::Up, None);
                }
            }
            self.pass(10_000);
        }
        self.clock(ClockState::Ok);
        for id in &ids {
            self.probe(id.as_str(), Verdict::Up, 41.0, None);
        }
        self
    }

    pub(crate) fn clock(&mut self, state: ClockState) {
        self.send(Event::Clock(ClockEvent {
            at: self.now.wall,
            offset_ms: Some(3.1),
            error_ms: Some(8.0),
            stratum: Some(2),
            state,
            correction_ms: 0.0,
            sources: Vec::new(),
        }));
    }

    pub(crate) fn throttle(&mut self, platform: &str, wait: Option<u64>) {
        self.send(Event::Budget(BudgetEvent {
            at: self.now.wall,
            platform: platform.into(),
            throttled: wait.is_some(),
            retry_after_ms: wait,
            stretched: Vec::new(),
        }));
    }

    /// Its platform's rate budget leaves a component a longer interval than it should have.
    pub(crate) fn stretch(&mut self, platform: &str, id: &str, wanted_ms: u64, actual_ms: u64) {
        self.send(Event::Budget(BudgetEvent {
            at: self.now.wall,
            platform: platform.into(),
            throttled: false,
            retry_after_ms: None,
            stretched: vec![Stretched { component_id: id.into(), wanted_ms, actual_ms }],
        }));
    }

    pub(crate) fn login_fails(&mut self, platform: &str, reason: &str) {
        self.send(Event::Platform(PlatformEvent {
            at: self.now.wall,
            platform: PlatformId::new(platform),
            login: warroom::domain::event::Login::Failing,
            reason: Some(reason.to_owned()),
        }));
    }

    pub(crate) fn recover(&mut self, id: &str, target: f64, measured: f64, status: Status) {
        let record = record(id, self.now.wall, target, measured, status);
        self.send(Event::Recovery(RecoveryEvent { at: self.now.wall, record: Arc::new(record) }));
    }

    /// An examination of the whole chain has ended.
    pub(crate) fn examined(&mut self) {
        let findings = vec![
            Finding::ok(Area::Names, "api.mypurecloud.com", "2 addresses in 3.1 ms"),
            Finding::warning(
                Area::Tls,
                "api.mypurecloud.com:443",
                "TLSv1_3, certificate good for 9 days (until 2026-05-24)",
                "have the certificate renewed before it ends",
            ),
            Finding::failed(
                Area::Permissions,
                "genesys",
                "permission architect:flow:view is missing; step `flow` of `ivr` needs it",
                "give a role of the OAuth client architect:flow:view",
            ),
            Finding::ok(Area::Load, "memory", "3.1 of 8.0 GiB available"),
        ];
        self.send(Event::Diagnosis(Diagnosis { at: self.now.wall, findings }));
    }

    /// A recovery in whose chain something held it back.
    pub(crate) fn recover_by(
        &mut self,
        id: &str,
        target: f64,
        measured: f64,
        status: Status,
        chain: ChainHealth,
    ) {
        let record = RecoveryRecord { chain, ..record(id, self.now.wall, target, measured, status) };
        self.send(Event::Recovery(RecoveryEvent { at: self.now.wall, record: Arc::new(record) }));
    }

    pub(crate) fn violate(&mut self, id: &str) {
        self.send(Event::Violation(ViolationEvent {
            at: self.now.wall,
            component_id: id.into(),
            rto_used_percentage: Percent::HUNDRED,
            open: true,
        }));
    }

    /// What a terminal of this size would show, as a parsed screen.
    pub(crate) fn screen(&self, width: u16, height: u16) -> vt100::Parser {
        let mut terminal =
            Terminal::new(LeanBackend::new(Vec::new(), self.depth, Size::new(width, height))).unwrap();
        draw_once(&mut terminal, &self.state, self.now).unwrap();
        let mut parser = vt100::Parser::default();
        parser.screen_mut().set_size(height.try_into().unwrap(), width.try_into().unwrap());
        parser.process(terminal.backend().sink());
        parser
    }

    /// The same as text.
    pub(crate) fn text(&self, width: u16, height: u16) -> String {
        let screen = self.screen(width, height);
        let rows: Vec<String> = screen.screen().rows(0, width).map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n")
    }
}

pub(crate) fn probe_event(
    id: &str,
    verdict: Verdict,
    latency: f64,
    reason: Option<&str>,
    at: DateTime<Utc>,
) -> Event {
    let failed = verdict != Verdict::Up;
    let part = |share: f64| Some(Duration::from_secs_f64(latency * share / 1000.0));
    let timings = Timings {
        dns: part(0.1),
        connect: part(0.2),
        tls: part(0.3),
        first_byte: part(0.3),
        total: Duration::from_secs_f64(latency / 1000.0),
        reused: false,
    };
    let step = |name: &str, state, reason: Option<&str>| StepReport {
        name: name.into(),
        state,
        span: None,
        timings: (state != StepState::NotRun).then_some(timings),
        reason: reason.map(str::to_owned),
        onset_at: None,
        restored_at: None,
    };
    let steps = match verdict {
        Verdict::Up => vec![
            step("flow status", StepState::Passed, None),
            step("execute the flow", StepState::Passed, None),
        ],
        Verdict::Degraded => vec![
            step("flow status", StepState::Passed, None),
            step("execute the flow", StepState::Failed, reason),
        ],
        Verdict::Down => vec![
            step("flow status", StepState::Failed, reason),
            step("execute the flow", StepState::NotRun, None),
        ],
        Verdict::Blind => vec![
            step("flow status", StepState::Blind, reason),
            step("execute the flow", StepState::NotRun, None),
        ],
    };
    Event::Probe(ProbeEvent {
        at,
        component_id: id.into(),
        path: PathName::primary(),
        verdict,
        latency_ms: Some(latency),
        served_by: (!failed).then(|| "us-east-1".to_owned()),
        reason: reason.map(str::to_owned),
        burst: failed,
        steps,
    })
}

pub(crate) fn record(
    id: &str,
    at: DateTime<Utc>,
    target: f64,
    measured: f64,
    status: Status,
) -> RecoveryRecord {
    let restored = at.timestamp_millis() as f64 / 1000.0;
    RecoveryRecord {
        component_id: id.into(),
        tier: Tier::One,
        target_rto_seconds: target,
        t_detect_epoch: restored - measured,
        t_failover_epoch: None,
        t_restore_epoch: restored,
        measured_rto_seconds: measured,
        status,
        t_failover_inferred: false,
        rto_used_percentage: Percent::new(measured / target * 100.0),
        compliance_percentage: Percent::new((target / measured * 100.0).min(100.0)),
        bounds_seconds: (measured - 0.5, Some(measured + 5.1)),
        certain: false,
        path: PathName::primary(),
        failover_mechanism: None,
        served_by: Some("us-west-2".to_owned()),
        mode: Mode::Alerting,
        clock: ClockState::Ok,
        drill_id: None,
        run_id: None,
        restored_by: RestoredBy::Itself,
        blind_probes: 0,
        gap_seconds: 0.0,
        failed_steps: vec!["flow status".to_owned()],
        root_cause: None,
        // One of its own for each, as the engine gives them.
        id: format!("0190-{id}-{measured}"),
        tenant_id: "prod-ccaws-01".to_owned(),
        chain: ChainHealth::default(),
        notes: Vec::new(),
    }
}
