//! What is said when: a teller under a script.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod told_once;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    symbols,
    teller::{Effect, Teller},
};
use crate::{
    console::{
        feed::{Drained, Item, Word},
        message::Exit,
    },
    domain::{
        Attached, Command, ComponentCard, ComponentId, Environment, Event, Moment, PathName, Percent, Person,
        Phase, Picture, PlatformCard, Role, Roster, StepCard, Tier, Verdict,
        event::{OutageView, PhaseEvent, Presence, PresenceEvent, ProbeEvent, RosterEvent, ViolationEvent},
        time::Now,
    },
};

fn start() -> DateTime<Utc> {
    "2026-05-15T14:30:00Z".parse().unwrap()
}

fn at(seconds: u64) -> Now {
    let passed = Duration::from_secs(seconds);
    Now { moment: Moment::default() + passed, wall: start() + passed }
}

fn card(id: &str, name: &str) -> ComponentCard {
    ComponentCard {
        id: ComponentId::new(id),
        name: name.into(),
        platform: "web".into(),
        tier: Tier::One,
        target_rto: Duration::from_mins(1),
        kind: "api".to_owned(),
        cadence: Duration::from_secs(5),
        burst: Duration::from_secs(1),
        steps: vec![StepCard {
            name: "page".into(),
            what: "GET /".to_owned(),
            health: true,
            parallel: false,
            cleanup: false,
        }],
        depends_on: Vec::new(),
        shares: Vec::new(),
        owner: None,
        runbook: None,
        protected: false,
        mechanism: None,
        primary: Vec::new(),
        secondary: Vec::new(),
        observable: true,
    }
}

fn roster() -> Arc<Roster> {
    Arc::new(Roster {
        tenant: "test".to_owned(),
        environment: Environment::Sandbox,
        demo: false,
        window: Duration::from_hours(24),
        platforms: vec![PlatformCard { id: "web".into(), kind: "http".to_owned() }],
        components: vec![
            card("ivr", "IVR main flow"),
            card("ivr_shadow", "IVR shadow"),
            card("crm", "CRM lookup"),
        ],
    })
}

fn probe(id: &str, now: Now, verdict: Verdict) -> Event {
    Event::Probe(ProbeEvent {
        at: now.wall,
        component_id: ComponentId::new(id),
        path: PathName::primary(),
        verdict,
        latency_ms: Some(38.0),
        served_by: None,
        reason: (verdict != Verdict::Up).then(|| "page: status == 200 (was 503)".to_owned()),
        burst: false,
        steps: Vec::new(),
    })
}

fn outage(detected: Now) -> OutageView {
    OutageView {
        id: "o1".to_owned(),
        verdict: Verdict::Down,
        t_detect: detected.wall,
        onset_after: None,
        t_failover: None,
        served_by: None,
        restored_since: None,
        last_bad: detected.wall,
        reason: "page: status == 200 (was 503)".to_owned(),
        failed_steps: vec!["page".to_owned()],
        blind_probes: 0,
        gap_seconds: 0.0,
        links: Vec::new(),
    }
}

fn phase(id: &str, now: Now, phase: Phase, outage: Option<OutageView>) -> Event {
    Event::Phase(PhaseEvent {
        at: now.wall,
        component_id: ComponentId::new(id),
        path: PathName::primary(),
        phase,
        t_detect_epoch: None,
        outage,
    })
}

fn console(id: u64, login: &str, role: Role, is_host: bool) -> Attached {
    Attached {
        id,
        who: Person { uid: 1000, login: login.to_owned(), behind: None },
        role,
        since: start(),
        terminal: Some("pts/3".to_owned()),
        from: None,
        is_host,
    }
}

/// A teller that has told its summary, everything being up.
struct Script {
    teller: Teller,
}

impl Script {
    fn begin() -> Self {
        let mut picture = Picture::new(roster());
        picture.apply(&Arc::new(Event::Roster(RosterEvent { at: start(), roster: roster() })));
        for id in ["ivr", "ivr_shadow", "crm"] {
            picture.apply(&Arc::new(phase(id, at(0), Phase::Up, None)));
            picture.apply(&Arc::new(probe(id, at(0), Verdict::Up)));
        }
        let mut script = Self { teller: Teller::new(picture, symbols(true), Duration::ZERO, at(0)) };
        let summary = script.pass(0);
        assert!(
            summary.starts_with("14:30:00 warroom: test, sandbox: 3 components on 1 platform measured."),
            "{summary}"
        );
        assert!(summary.contains("No open outage.\nTier 1: 3 of 3 up."), "{summary}");
        script
    }

    fn items(&mut self, seconds: u64, items: Vec<Item>) -> String {
        let effects = self.teller.follow(Drained { items, ..Drained::default() }, at(seconds));
        assert_eq!(effects, []);
        self.teller.written()
    }

    fn events(&mut self, seconds: u64, events: impl IntoIterator<Item = Event>) -> String {
        self.items(seconds, events.into_iter().map(|event| Item::Event(Arc::new(event))).collect())
    }

    fn word(&mut self, seconds: u64, word: Word) -> String {
        self.items(seconds, vec![Item::Word(word)])
    }

    fn pass(&mut self, seconds: u64) -> String {
        self.teller.pass(at(seconds));
        self.teller.written()
    }

    fn typed(&mut self, seconds: u64, line: &str) -> (String, Vec<Effect>) {
        let effects = self.teller.typed(line, at(seconds));
        (self.teller.written(), effects)
    }

    /// Everything that is said by time alone until a second, waking only when the teller wants to be woken.
    fn passes_until(&mut self, from: u64, until: u64) -> String {
        let mut said = String::new();
        let mut now = at(from);
        let end = at(until).moment;
        while let Some(wait) = self.teller.next_change(now).filter(|wait| now.moment + *wait <= end) {
            now = Now { moment: now.moment + wait, wall: now.wall + wait };
            self.teller.pass(now);
            let written = self.teller.written();
            assert!(!written.is_empty(), "it was woken for nothing at {now:?}");
            said.push_str(&written);
        }
        said
    }
}

#[test]
fn an_outage_is_told_at_once_at_its_steps_and_at_its_end() {
    let mut script = Script::begin();
    let down = script.events(10, [phase("ivr", at(10), Phase::Down, Some(outage(at(10))))]);
    assert_eq!(
        down,
        "14:30:10 IVR main flow: DOWN: page: status == 200 (was 503), it has 1 min to be restored\n"
    );
    assert_eq!(script.events(11, [probe("ivr", at(11), Verdict::Down)]), "", "a probe is no news");
    let burning = script.passes_until(11, 65);
    assert_eq!(
        burning,
        "14:30:40 IVR main flow: still DOWN for 30 s of 1 min, 30 s left, breach 14:31:10\n\
         14:30:55 IVR main flow: still DOWN for 45 s of 1 min, 15 s left, breach 14:31:10\n\
         14:31:04 IVR main flow: still DOWN for 54 s of 1 min, 6 s left, breach 14:31:10\n"
    );
    let violation = Event::Violation(ViolationEvent {
        at: at(71).wall,
        component_id: ComponentId::new("ivr"),
        rto_used_percentage: Percent::new(101.7),
        open: true,
    });
    assert_eq!(
        script.events(71, [violation]),
        "14:31:11 IVR main flow: VIOLATED: 101.7 % of the target used, still open\n"
    );
    let after = script.passes_until(71, 195);
    assert_eq!(after.lines().count(), 2, "every minute, and not the breach a second time: {after}");
    assert!(after.starts_with("14:32:10 IVR main flow: still DOWN for 2 min of 1 min, "), "{after}");
    let up = script.events(200, [phase("ivr", at(200), Phase::Up, None)]);
    assert_eq!(up, "14:33:20 IVR main flow: up again\n");
    assert_eq!(script.passes_until(200, 4_000), "", "nothing is said of an outage that is over");
}

#[test]
fn an_outage_that_is_being_restored_does_not_burn_on() {
    let mut script = Script::begin();
    script.events(10, [phase("ivr", at(10), Phase::Down, Some(outage(at(10))))]);
    let recovering = OutageView { restored_since: Some(at(30).wall), ..outage(at(10)) };
    script.events(31, [phase("ivr", at(31), Phase::Recovering, Some(recovering))]);
    assert_eq!(script.passes_until(31, 600), "");
}

#[test]
fn the_summary_waits_for_the_first_probes_but_not_for_ever() {
    let mut teller = Teller::new(Picture::new(roster()), symbols(false), Duration::from_secs(9), at(0));
    assert_eq!(
        teller.written(),
        "14:30:00 warroom: probing 3 components for the first time, the summary follows\n"
    );
    let mut picture = Picture::new(roster());
    picture.apply(&Arc::new(Event::Roster(RosterEvent { at: start(), roster: roster() })));
    teller.follow(Drained { items: vec![Item::Picture(Box::new(picture))], ..Drained::default() }, at(1));
    assert_eq!(teller.written(), "");
    let probes = ["ivr", "crm"].map(|id| Item::Event(Arc::new(probe(id, at(2), Verdict::Up))));
    teller.follow(Drained { items: probes.into(), ..Drained::default() }, at(2));
    assert_eq!(teller.written(), "", "one is missing");
    assert_eq!(teller.next_change(at(2)), Some(Duration::from_secs(7)));
    teller.pass(at(9));
    let summary = teller.written();
    assert!(summary.contains("IVR shadow: unobserved: not probed yet\n"), "{summary}");
}

#[test]
fn what_was_not_printed_is_counted_and_everything_told_again() {
    let mut script = Script::begin();
    let drained = Drained { lagged: true, lost: 12, ..Drained::default() };
    assert_eq!(script.teller.follow(drained, at(10)), [Effect::AskPicture]);
    assert_eq!(script.teller.written(), "");
    let said = script.items(11, vec![Item::Picture(Box::new(Picture::new(roster())))]);
    assert!(said.starts_with("14:30:11 warroom: caught up after too much at once\n12 events were not printed; `events 12` says them.\n"), "{said}");
    assert!(said.contains("3 components on 1 platform measured"), "{said}");
}

#[test]
fn a_lost_connection_is_told_once_and_so_is_its_return() {
    let mut script = Script::begin();
    let lost = || Word::Lost("the agent has ended".to_owned());
    assert_eq!(
        script.word(10, lost()),
        "14:30:10 warroom: NOT CONNECTED to the engine, trying again: the agent has ended\n"
    );
    assert_eq!(script.word(11, lost()), "");
    let (said, _) = script.typed(13, "status");
    assert!(
        said.starts_with(
            "14:30:13 warroom: NOT CONNECTED to the engine since 14:30:10, trying again. As of 14:30:10, not known now:\n"
        ),
        "{said}"
    );
    assert!(!said.contains("You are") && !said.contains("here:"), "{said}");
    assert!(said.contains(": 0 of "), "{said}");
    assert!(script.typed(13, "who").0.contains("nobody knows who is here"));
    let (said, effects) = script.typed(12, "probe crm");
    assert_eq!(
        (said.as_str(), effects),
        ("Nothing is done: there is no connection to the engine now.\n", vec![])
    );
    let said = script.items(20, vec![Item::Picture(Box::new(Picture::new(roster())))]);
    assert!(said.starts_with("14:30:20 warroom: connected to the engine again\n"), "{said}");
}

#[test]
fn an_engine_that_ends_ends_the_lines() {
    let mut script = Script::begin();
    let drained = Drained { stopped: Some("the disk is gone".to_owned()), ..Drained::default() };
    assert_eq!(script.teller.follow(drained, at(10)), [Effect::Stopped("the disk is gone".to_owned())]);
    assert!(script.teller.written().contains("NOT MEASURING: the engine has ended: the disk is gone"));
}

#[test]
fn who_comes_and_goes_is_told_but_not_oneself() {
    let mut script = Script::begin();
    let (me, bob) = (console(1, "alice", Role::Operate, false), console(2, "bob", Role::Watch, false));
    script.word(1, Word::You(me.clone()));
    let came = |who: &Attached| {
        let (console, present) = (who.clone(), vec![me.clone(), bob.clone()]);
        Event::Presence(PresenceEvent { at: at(2).wall, change: Presence::Attached, console, present })
    };
    let (own, other) = (came(&me), came(&bob));
    assert_eq!(script.events(2, [own, other]), "14:30:02 warroom: bob is here, watches\n");
    let (said, _) = script.typed(3, "status");
    assert!(said.contains("You are alice, who operates. Also here: bob, who watches.\n"), "{said}");
    let (said, _) = script.typed(3, "who");
    assert_eq!(said.lines().next(), Some("alice (you) operates since 14:30:00, on pts/3"));
}

#[test]
fn whoever_watches_is_told_why_nothing_is_done() {
    let mut script = Script::begin();
    script.word(1, Word::You(console(1, "alice", Role::Watch, false)));
    for line in ["probe crm", "reload", "diagnose"] {
        let (said, effects) = script.typed(2, line);
        assert!(effects.is_empty() && said.starts_with("Nothing is done: you may watch"), "{line}: {said}");
    }
    let (said, effects) = script.typed(2, "show crm");
    assert!(effects.is_empty() && said.contains("CRM lookup: up"), "{said}");
}

#[test]
fn commands_name_a_component_by_id_name_or_beginning() {
    let mut script = Script::begin();
    let probed = |id: &str| vec![Effect::Command(Command::ProbeNow { component_id: ComponentId::new(id) })];
    for (typed, id) in [("ivr", "ivr"), ("IVR MAIN FLOW", "ivr"), ("ivr s", "ivr_shadow"), ("cr", "crm")] {
        assert_eq!(script.typed(1, &format!("probe {typed}")).1, probed(id), "{typed}");
    }
    let (said, effects) = script.typed(1, "probe i");
    assert_eq!(effects, []);
    assert_eq!(said, "`i` could be IVR main flow (ivr), IVR shadow (ivr_shadow)\n");
    assert_eq!(
        script.events(2, [probe("crm", at(2), Verdict::Up), probe("crm", at(2), Verdict::Up)]),
        "14:30:02 CRM lookup: probed, up, 38 ms\n",
        "the probe that was asked for is answered once"
    );
}

#[test]
fn only_an_open_outage_can_be_acknowledged() {
    let mut script = Script::begin();
    assert_eq!(script.typed(1, "ack crm").0, "CRM lookup has no open outage\n");
    script.events(10, [phase("crm", at(10), Phase::Down, Some(outage(at(10))))]);
    let acknowledge =
        Command::Acknowledge { component_id: ComponentId::new("crm"), outage_id: "o1".to_owned() };
    assert_eq!(script.typed(11, "ack crm").1, [Effect::Command(acknowledge)]);
}

#[test]
fn an_engine_that_others_look_at_is_not_ended_by_one_word() {
    let mut script = Script::begin();
    assert_eq!(script.typed(1, "quit").1, [Effect::Exit(Exit::Quit)], "nobody else is here");
    let (host, bob) = (console(1, "alice", Role::Operate, true), console(2, "bob", Role::Watch, false));
    script.word(1, Word::You(host.clone()));
    let (change, present) = (Presence::Attached, vec![host, bob.clone()]);
    script.events(2, [Event::Presence(PresenceEvent { at: at(2).wall, change, console: bob, present })]);
    let (said, effects) = script.typed(3, "quit");
    assert!(effects.is_empty() && said.contains("1 other console"), "{said}");
    script.typed(3, "who");
    assert_eq!(script.typed(3, "quit").1, [], "something else came between");
    assert_eq!(script.teller.end_of_input(), [Effect::Exit(Exit::Quit)]);
}
