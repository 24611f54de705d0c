//! Several people before one engine: who is here, who looks after what, and what this console may do.

use chrono::TimeDelta;
use crossterm::event::KeyCode;
use warroom::{
    console::{
        Word,
        color::ColorChoice,
        feed::{Drained, Item},
        message::{Copied, Effect, Exit, Message},
        state::State,
    },
    domain::{
        Attached, Behind, Command, Event, Person, Phase, Role, Since, Status, Verdict,
        event::{ActEvent, ConfigEvent, NoticeEvent, Presence, PresenceEvent},
        record::ClockState,
    },
};

use super::scene::{Scene, many};

pub(crate) fn person(login: &str) -> Person {
    Person { uid: 1000, login: login.to_owned(), behind: None }
}

fn behind(login: &str, proven: bool) -> Person {
    let behind = Some(Behind { login: login.to_owned(), proven });
    Person { uid: 0, login: "root".to_owned(), behind }
}

impl Scene {
    pub(crate) fn word(&mut self, word: Word) -> Vec<Effect> {
        let items = vec![Item::Word(word)];
        self.message(Message::Events(Drained { items, ..Drained::default() }))
    }

    /// This console is alice's, and these are here besides.
    pub(crate) fn room(&mut self, role: Role, is_host: bool, others: &[Person]) {
        let console = |id: u64, who: &Person, role, is_host| Attached {
            id,
            who: who.clone(),
            role,
            since: self.now.wall,
            terminal: None,
            from: None,
            is_host,
        };
        let me = console(1, &person("alice"), role, is_host);
        let others = others.iter().zip(2..).map(|(who, id)| console(id, who, Role::Operate, false));
        let present: Vec<Attached> = std::iter::once(me.clone()).chain(others).collect();
        let (at, console) = (self.now.wall, present[present.len() - 1].clone());
        self.word(Word::You(me));
        self.send(Event::Presence(PresenceEvent { at, change: Presence::Attached, console, present }));
    }

    pub(crate) fn down(&mut self, id: &str, reason: &str) {
        self.probe(id, Verdict::Down, 42.0, Some(reason));
        let outage = self.outage(Verdict::Down, reason);
        self.phase(id, Phase::Down, Some(outage));
    }

    /// Somebody acknowledges the open outage of a component.
    pub(crate) fn acknowledged(&mut self, id: &str, who: Person) {
        let place = self.state.picture.position(&id.into()).unwrap();
        let outage_id = self.state.picture.components[place].outage.as_ref().unwrap().id.clone();
        let act = Command::Acknowledge { component_id: id.into(), outage_id };
        self.send(Event::Act(ActEvent { at: self.now.wall, who, act }));
    }

    pub(crate) fn since(&mut self, outages: usize, recoveries: usize, by: &[&str]) {
        let mut since = Since::of(self.now.wall - TimeDelta::hours(12), []);
        (since.outages, since.recoveries) = (outages, recoveries);
        since.acknowledged = by.iter().map(|name| (*name).to_owned()).collect();
        self.word(Word::Since(since));
    }

    fn remark(&self) -> &str {
        self.state.remark.as_ref().map_or("", |(remark, _)| remark)
    }

    fn tick(&mut self, millis: i64) {
        self.pass(millis);
        self.message(Message::Tick);
    }
}

/// The one command among some effects.
fn command(effects: &[Effect]) -> Option<&Command> {
    effects.iter().find_map(|effect| match effect {
        Effect::Command(command) => Some(command),
        _ => None,
    })
}

fn summary(scene: &mut Scene) -> String {
    let effects = scene.key(KeyCode::Char('c'));
    let copied = effects.into_iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text),
        _ => None,
    });
    copied.unwrap()
}

fn acknowledges(scene: &mut Scene) -> Option<(String, String)> {
    match command(&scene.key(KeyCode::Char('a'))) {
        Some(Command::Acknowledge { component_id, outage_id }) => {
            Some((component_id.to_string(), outage_id.clone()))
        }
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

fn header(scene: &Scene, width: u16) -> String {
    scene.text(width, 40).lines().next().unwrap().to_owned()
}

#[test]
fn the_header_says_who_else_is_here() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[person("alice")]);
    assert!(!header(&scene, 120).contains("alice"), "a second console of oneself is nobody else");
    scene.room(
        Role::Operate,
        false,
        &[person("bob"), person("alice"), person("bob"), behind("carol", false)],
    );
    assert!(header(&scene, 120).contains(" bob, carol? as root "), "{}", header(&scene, 120));
    assert!(header(&scene, 80).contains(" bob +1 "), "{}", header(&scene, 80));
    assert!(header(&scene, 80).contains("prod-ccaws-01 · sandbox"), "{}", header(&scene, 80));
    assert!(header(&scene, 80).contains("14:32Z"), "{}", header(&scene, 80));
    scene.room(Role::Operate, false, &[behind("dave", true)]);
    assert!(header(&scene, 200).contains(" dave as root "), "{}", header(&scene, 200));
    // An old picture says nothing of who is here.
    scene.word(Word::Lost("connection refused".to_owned()));
    assert!(!header(&scene, 200).contains("dave"), "{}", header(&scene, 200));
}

#[test]
fn a_acknowledges_the_outage_under_the_cursor() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[]);
    assert_eq!(acknowledges(&mut scene), None);
    assert_eq!(scene.remark(), "no outage is open");
    scene.down("wfm", "no answer");
    assert_eq!(acknowledges(&mut scene), Some(("wfm".into(), "outage-no answer".into())), "the only one");
    scene.down("crm", "refused");
    scene.state.selected = Some("wem".into());
    assert_eq!(acknowledges(&mut scene), None, "which of both is not said");
    assert_eq!(scene.remark(), "2 outages are open: select the one you mean");
    scene.state.selected = Some("crm".into());
    assert_eq!(acknowledges(&mut scene), Some(("crm".into(), "outage-refused".into())));
    scene.state.selected = Some("wem".into());
    scene.key(KeyCode::Enter);
    assert_eq!(acknowledges(&mut scene), None, "the detail of a healthy one means no other");
    assert_eq!(scene.remark(), "WEM dashboard has no open outage");
}

#[test]
fn whoever_looks_after_an_outage_is_seen_and_asked_for_first() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[person("bob")]);
    scene.down("ivr", "no answer");
    scene.pass(20_000);
    scene.acknowledged("ivr", person("bob"));
    assert_eq!(scene.remark(), "bob acknowledged IVR main flow");
    let screen = scene.text(80, 24);
    assert!(screen.lines().nth(3).unwrap().contains("acknowledged by bob 14:32"), "{screen}");
    assert!(screen.lines().any(|line| line.contains("IVR main flow") && line.contains("down ✓")), "{screen}");
    assert!(screen.contains("bob acknowledged the outage"), "{screen}");
    assert_eq!(acknowledges(&mut scene), None);
    assert_eq!(scene.remark(), "a again to take it over: bob acknowledged IVR main flow 14:32");
    scene.keys("j");
    assert_eq!(acknowledges(&mut scene), None, "another key in between takes the question back");
    scene.tick(7_000);
    assert_eq!(acknowledges(&mut scene), None, "an old question is asked again");
    assert!(acknowledges(&mut scene).is_some(), "the second time takes it over");
    scene.acknowledged("ivr", person("alice"));
    assert!(scene.text(80, 24).contains("acknowledged by you 14:32"), "{}", scene.text(80, 24));
    assert_eq!((acknowledges(&mut scene), acknowledges(&mut scene)), (None, None));
    assert!(scene.remark().starts_with("you have acknowledged IVR main flow already"), "{}", scene.remark());
    scene.keys("k");
    scene.key(KeyCode::Enter);
    assert!(scene.text(80, 24).contains("acknowledged by you 14:32"), "{}", scene.text(80, 24));
}

#[test]
fn a_frozen_screen_acknowledges_nothing_that_is_over() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[]);
    scene.down("ivr", "no answer");
    scene.keys(" ");
    scene.phase("ivr", Phase::Up, None);
    assert_eq!(acknowledges(&mut scene), None);
    assert_eq!(scene.remark(), "this outage of IVR main flow is over by now");
}

#[test]
fn a_console_that_only_watches_offers_nothing_else() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Watch, false, &[person("bob")]);
    scene.down("ivr", "no answer");
    let screen = scene.text(120, 40);
    let footer = screen.lines().last().unwrap();
    assert!(screen.lines().next().unwrap().contains("WATCH ONLY"), "{screen}");
    assert!(!footer.contains("ack") && !footer.contains("probe") && footer.contains("c copy"), "{footer}");
    for (key, why) in [
        ('a', "nothing is acknowledged: [agent] operators in the config names who may act"),
        ('p', "nothing is probed: [agent] operators in the config names who may act"),
        ('i', "nothing is examined: [agent] operators in the config names who may act"),
    ] {
        assert_eq!(command(&scene.key(KeyCode::Char(key))), None);
        assert_eq!(scene.remark(), why);
    }
    scene.keys(":reload");
    let screen = scene.text(80, 24);
    assert!(screen.contains("nothing that this console may do has such a name"), "{screen}");
    assert!(screen.contains("[agent] operators in the config names who may act"), "{screen}");
    assert_eq!(command(&scene.key(KeyCode::Enter)), None);
    assert!(summary(&mut scene).contains("IVR main flow"), "who watches may copy");
}

#[test]
fn without_a_connection_everything_is_old_and_nothing_is_sent() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[]);
    scene.down("ivr", "no answer");
    scene.pass(20_000);
    scene.word(Word::Lost("connection reset".to_owned()));
    let screen = scene.text(120, 40);
    assert!(!screen.contains("● up ") && screen.contains("0 of "), "from the first moment on\n{screen}");
    scene.pass(30_000);
    scene.word(Word::Lost("connection refused".to_owned()));
    scene.pass(1_000);
    let screen = scene.text(120, 40);
    assert!(screen.contains(" NOT CONNECTED 00:31 "), "since the loss, not since the last try\n{screen}");
    assert!(screen.contains("! not connected since 14:32:20, trying again: connection refused"), "{screen}");
    assert!(!screen.contains("NOT MEASURING") && !screen.contains("ALERTING"), "{screen}");
    assert!(
        screen.contains("00:20 of 01:00") && screen.contains("as of 14:32:20, not known now"),
        "{screen}"
    );
    assert!(screen.contains("down?") && screen.contains("00:20?"), "{screen}");
    assert!(screen.contains("up?"), "{screen}");
    assert_eq!(scene.state.title(), "warroom: NOT CONNECTED");
    for key in ['a', 'p', 'i'] {
        assert_eq!(command(&scene.key(KeyCode::Char(key))), None);
        assert!(scene.remark().contains("not connected to the engine"), "{}", scene.remark());
    }
    let text = summary(&mut scene);
    assert!(text.starts_with("! not connected since 14:32:20, trying again: connection refused\n"), "{text}");
    assert!(text.contains("as of 2026-05-15 14:32:20 UTC, not known now\n1 open outage; 0 of "), "{text}");
    assert!(text.contains("as it stood at 2026-05-15 14:32:20 UTC; not known now"), "{text}");
    let picture = Item::Picture(Box::new(scene.state.picture.clone()));
    scene.message(Message::Events(Drained { items: vec![picture], ..Drained::default() }));
    assert_eq!(scene.remark(), "attached again");
    let screen = scene.text(120, 40);
    assert!(!screen.contains("NOT CONNECTED") && screen.contains("ALERTING"), "{screen}");
    assert!(command(&scene.key(KeyCode::Char('p'))).is_some());
}

/// On a narrow screen the cause of a refused config is read to its end, once, and the open outage stays in sight.
#[test]
fn why_a_config_is_refused_can_be_read_on_a_narrow_screen() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.down("ivr", "no answer");
    let at = scene.now.wall;
    let why = "/etc/warroom/warroom.toml:21: 'target' is no length of time; write 30s, 5m or 1h";
    let text = format!("the new config is refused, the old one stays in force: {why}");
    let who = Some(person("root"));
    scene.send(Event::Act(ActEvent { at, who: person("root"), act: Command::Reload }));
    scene.send(Event::Notice(NoticeEvent { at, about: "config".to_owned(), standing: true, text }));
    scene.send(Event::Config(ConfigEvent { at, loaded: false, words: vec![why.to_owned()], who }));
    let read = |screen: &str| screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let screen = scene.text(80, 24);
    assert!(read(&screen).contains(&format!("stays in force: {why}")), "{screen}");
    assert!(screen.contains("IVR main flow is DOWN") && screen.contains("Events"), "{screen}");
    scene.keys("zz");
    let screen = scene.text(80, 24);
    assert!(read(&screen).contains("30s, 5m or 1h"), "{screen}");
    assert_eq!(screen.matches("refused").count(), 2, "the notice and one event\n{screen}");
}

#[test]
fn what_happened_meanwhile_is_read_before_anything_else() {
    let mut scene = Scene::eight();
    scene.all_up();
    for about in ["a", "b", "c", "d"] {
        let (at, text) = (scene.now.wall, "a notice that stands".to_owned());
        scene.send(Event::Notice(NoticeEvent { at, about: about.to_owned(), standing: true, text }));
    }
    scene.down("ivr", "no answer");
    scene.since(2, 1, &["bob"]);
    let line = "since 02:32 (12 h ago): 2 new outages, 1 recovery; bob acknowledged";
    let screen = scene.text(80, 24);
    assert!(screen.contains(line), "{screen}");
    assert!(screen.contains("IVR main flow is DOWN") && screen.contains("60 s left"), "{screen}");
    let wide = scene.text(120, 40);
    assert!(wide.contains("since you last looked at 02:32 (12 h ago): 2 new outages, 1 recovery"), "{wide}");
    let small = scene.text(59, 14);
    let small = small.replace('\n', " ");
    assert!(small.contains("2 new outages, 1 recovery; bob acknowledged"), "{small}");
    scene.keys("jk");
    assert!(scene.text(80, 24).contains(line), "looking around is not reading");
    scene.keys(" ");
    assert!(!scene.text(80, 24).contains("2 new outages"));
    // A frozen screen shows it too.
    scene.since(2, 1, &["bob"]);
    assert!(scene.text(80, 24).contains(line) && scene.text(80, 24).contains("FROZEN"));
    scene.key(KeyCode::Esc);
    assert!(scene.state.since.is_none());
    scene.since(2, 1, &[]);
    assert!(scene.state.next_change(scene.now).unwrap().as_secs() <= 120);
    scene.tick(119_000);
    assert!(scene.state.since.is_some());
    scene.tick(1_001);
    assert!(scene.state.since.is_none(), "two minutes are enough");
}

#[test]
fn where_nothing_happened_meanwhile_no_line_stays() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.since(0, 0, &[]);
    assert_eq!(scene.remark(), "nothing new since you last looked at 02:32 (12 h ago)");
    assert!(scene.state.since.is_none());
}

fn quits(scene: &mut Scene) -> bool {
    scene.key(KeyCode::Char('q')).contains(&Effect::Exit(Exit::Quit))
}

#[test]
fn an_engine_that_others_watch_does_not_end_by_one_key() {
    let mut scene = Scene::eight();
    scene.room(Role::Operate, true, &[]);
    assert!(quits(&mut scene), "nobody else is here");
    scene.room(Role::Operate, false, &[person("bob")]);
    assert!(quits(&mut scene), "an agent goes on");
    scene.room(Role::Operate, true, &[person("bob")]);
    assert!(!quits(&mut scene));
    assert_eq!(scene.remark(), "q again to quit: bob watches here too, and measuring ends with this console");
    assert!(scene.text(50, 1).contains("q again to quit: bob watches here too"), "a small screen asks too");
    scene.keys("j");
    assert!(!quits(&mut scene), "another key in between takes the question back");
    scene.tick(7_000);
    assert!(!quits(&mut scene), "an old question is asked again");
    assert!(quits(&mut scene));
    scene.room(Role::Operate, true, &[person("alice")]);
    assert!(!quits(&mut scene));
    assert!(scene.remark().contains("another console of yours watches here too"), "{}", scene.remark());
    scene.room(Role::Operate, true, &[person("bob"), person("carol"), person("dave")]);
    scene.keys(":quit");
    assert!(!scene.key(KeyCode::Enter).contains(&Effect::Exit(Exit::Quit)), "nor by its name");
    assert!(scene.remark().contains("bob and 2 others watch here too"), "{}", scene.remark());
    let stopped = Some("the disk is full".to_owned());
    scene.message(Message::Events(Drained { stopped, ..Drained::default() }));
    assert!(quits(&mut scene), "there is nothing to end any more");
}

#[test]
fn a_config_that_is_read_again_is_told_to_everybody() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[]);
    scene.keys(":reload");
    assert_eq!(command(&scene.key(KeyCode::Enter)), Some(&Command::Reload));
    let config = |loaded, words: &[&str]| {
        Event::Config(ConfigEvent {
            at: super::scene::start(),
            who: Some(person("bob")),
            loaded,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        })
    };
    scene.send(config(false, &["warroom.toml:3: `cadence` is \"x\"", "warroom.toml:9: unknown"]));
    let why = "config refused, the old one stays (bob): warroom.toml:3: `cadence` is \"x\" (+1 more)";
    assert_eq!(scene.remark(), why);
    scene.tick(9_000);
    assert_eq!(scene.remark(), "");
    assert!(scene.text(120, 40).contains(&format!("! {why}")), "it stands\n{}", scene.text(120, 40));
    scene.send(config(true, &["component crm is new"]));
    assert_eq!(scene.remark(), "config read again (bob): component crm is new");
    assert!(!scene.text(120, 40).contains("! config refused"));
}

#[test]
fn the_summary_says_what_a_ticket_needs() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.room(Role::Operate, false, &[]);
    scene.down("cxone", "dataStore is DOWN");
    scene.down("ivr", "flow status: status == 200 (was 503)");
    scene.pass(37_000);
    scene.acknowledged("ivr", person("bob"));
    let mut outage = scene.state.picture.components[0].outage.clone().unwrap();
    outage.t_failover = Some(outage.t_detect + TimeDelta::milliseconds(2_100));
    outage.served_by = Some("us-west-2".to_owned());
    scene.phase("ivr", Phase::FailedOver, Some(outage));
    scene.clock(ClockState::Unsafe);
    let text = summary(&mut scene);
    let wanted = "\
warroom: prod-ccaws-01, sandbox, 2026-05-15 14:32:37 UTC
2 open outages; 3 of 8 components up, 3 not seen
mode: alerting
! the clock is wrong by 0.0 s: nothing is recorded; `chronyc makestep` sets it

IVR main flow (ivr, tier 1): DOWN for 00:37 of 01:00, 61 % of the target used, breach at 14:33:00 UTC
  detected 2026-05-15 14:32:00.0 UTC, onset at most 4.6 s before
  reason: flow status: status == 200 (was 503)
  failed over to us-west-2 after 2.1 s
  acknowledged by bob at 2026-05-15 14:32:37 UTC

CXone us-east (cxone, tier 2): DOWN for 00:37 of 03:00, 20 % of the target used, breach at 14:35:00 UTC
  detected 2026-05-15 14:32:00.0 UTC, onset at most 4.6 s before
  reason: dataStore is DOWN
  no failover seen
  nobody has acknowledged it
";
    assert_eq!(text, wanted);
    scene.state.selected = Some("cxone".into());
    scene.key(KeyCode::Enter);
    let one = summary(&mut scene);
    assert!(one.contains("dataStore") && !one.contains("503"), "the detail's component alone\n{one}");
}

#[test]
fn where_nothing_is_open_the_summary_says_how_it_recovered() {
    let mut scene = Scene::eight();
    scene.all_up();
    for seconds in [10.0, 72.0, 41.2, 20.0] {
        scene.recover("crm", 45.0, seconds, if seconds > 45.0 { Status::Warning } else { Status::Pass });
    }
    scene.state.selected = Some("crm".into());
    let text = summary(&mut scene);
    assert!(text.contains("no open outage; 8 of 8 components up\n"), "{text}");
    assert!(text.contains("CRM lookup (crm, tier 1): up\n  last recoveries:\n"), "{text}");
    let times: Vec<&str> = text.lines().filter(|line| line.contains(" after ")).collect();
    assert_eq!(times.len(), 3, "{text}");
    assert!(times[0].contains("PASS after 20.0 s (19.5 to 25.1)"), "the newest first\n{text}");
    assert!(times[2].contains("WARNING after 72.0 s"), "{text}");
}

#[test]
fn a_summary_is_short_and_harmless_whatever_the_platforms_say() {
    let mut scene = Scene::new(many(60), "default", ColorChoice::Ansi16, false);
    scene.all_up();
    let hostile = "\u{1b}]52;c;b3duZWQ=\u{7} \u{202e}東京 @channel\n<!here> ".repeat(40);
    for place in 0..60 {
        scene.down(&format!("c{place}"), &hostile);
    }
    let text = summary(&mut scene);
    assert!(text.len() <= warroom::console::summary::LARGEST, "{} bytes", text.len());
    assert!(text.lines().last().unwrap().starts_with("... and "), "{text}");
    let unsafe_one = |c: char| c != '\n' && warroom::console::text::is_unsafe(c);
    assert!(!text.contains(unsafe_one), "{text:?}");
    assert!(!text.contains("@channel") && !text.contains("<!here>"), "{text}");
}

#[test]
fn the_remark_says_where_the_summary_is() {
    let told = |sent, file: Result<&str, &str>| {
        let mut scene = Scene::eight();
        let file = file.map(Into::into).map_err(str::to_owned);
        scene.message(Message::Copied(Copied { sent, of: 612, file }));
        scene.remark().to_owned()
    };
    let path = "/run/user/1000/warroom/summary.txt";
    assert_eq!(told(Some(612), Ok(path)), format!("copied (612 bytes), also in {path}"));
    assert_eq!(told(Some(500), Ok(path)), format!("copied (500 of 612 bytes), also in {path}"));
    assert_eq!(told(None, Ok(path)), format!("this terminal takes no copies; 612 bytes in {path}"));
    assert_eq!(told(Some(612), Err("disk full")), "copied (612 bytes); no file: disk full");
    assert!(told(None, Err("disk full")).starts_with("not copied"));
}

/// Before the engine has named anybody, nothing is guessed.
#[test]
fn whom_the_engine_has_not_named_is_nobody() {
    let mut scene = Scene::eight();
    scene.all_up();
    let state: &State = &scene.state;
    assert!(state.others().is_empty() && !state.only_watches() && state.depends_on_me().is_none());
}
