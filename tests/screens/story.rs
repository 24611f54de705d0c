//! Events and keys through `update`, and what the screen and the loop make of them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use warroom::{
    console::{
        action::{Action, Place, TABLE},
        feed::{Drained, Item},
        message::{Effect, Exit, Message, Signal, Urgency},
        update::palette,
    },
    domain::{Command, Phase, Picture, Verdict, event::NoticeEvent},
};

use super::scene::{Scene, eight, roster};

#[test]
fn a_new_outage_rings_once_and_stands_first() {
    let mut scene = Scene::eight();
    scene.all_up();
    let outage = scene.outage(Verdict::Degraded, "dataStore is DOWN");
    let effects = scene.phase("backup", Phase::Down, Some(outage.clone()));
    assert_eq!(effects, [Effect::Bell, Effect::Draw(Urgency::News)]);
    let again = scene.phase("backup", Phase::FailedOver, Some(outage));
    assert_eq!(again, [Effect::Draw(Urgency::News)], "the same outage does not ring twice");
    let screen = scene.text(80, 24);
    assert!(screen.lines().nth(1).unwrap().contains("Config backup is DEGRADED"), "{screen}");
    assert_eq!(scene.state.title(), "warroom: 1 outage: Config backup");
}

#[test]
fn a_burn_down_counts_every_second_and_a_quiet_screen_does_not() {
    let mut scene = Scene::eight();
    scene.all_up();
    assert!(scene.text(80, 24).contains("14:32Z"));
    let outage = scene.outage(Verdict::Down, "no answer");
    scene.phase("ivr", Phase::Down, Some(outage));
    scene.pass(12_300);
    let screen = scene.text(80, 24);
    assert!(screen.contains("00:12 of 01:00") && screen.contains("48 s left, breach 14:33:00"), "{screen}");
    assert!(scene.state.next_change(scene.now).unwrap().as_millis() <= 1000);
}

#[test]
fn unseen_time_proves_no_breach() {
    let mut scene = Scene::eight();
    scene.all_up();
    let outage = scene.outage(Verdict::Down, "no answer");
    scene.phase("ivr", Phase::Down, Some(outage));
    scene.pass(90_000);
    let screen = scene.text(80, 24);
    assert!(!screen.contains("VIOLATED"), "nothing bad was seen since the detection\n{screen}");
    assert!(screen.contains("target passed 14:33:00, last seen bad 14:32:00"), "{screen}");
}

#[test]
fn old_values_are_marked() {
    let mut scene = Scene::eight();
    scene.all_up();
    assert!(!scene.text(80, 24).contains("up?"));
    scene.pass(10_500);
    assert!(scene.text(80, 24).contains("up?"), "older than two cadences of 5 s");
}

/// At three in the morning a person must see that the examination is under way, and then the trouble and its cure first.
#[test]
fn an_examination_is_asked_for_once_and_its_troubles_come_first() {
    let mut scene = Scene::eight();
    scene.all_up();
    assert!(scene.key(KeyCode::Char('i')).contains(&Effect::Command(Command::Diagnose)));
    assert!(scene.text(80, 24).contains("examining names"));
    assert!(!scene.key(KeyCode::Char('i')).contains(&Effect::Command(Command::Diagnose)), "one at a time");
    scene.examined();
    let screen = scene.text(80, 24);
    let (failed, cure) = (screen.find("permission architect:flow:view"), screen.find("do: give a role"));
    let fine = screen.find("2 addresses in 3.1 ms");
    assert!(failed.is_some() && failed < cure && cure < fine, "{screen}");
    assert!(
        scene.key(KeyCode::Char('i')).contains(&Effect::Command(Command::Diagnose)),
        "it can be asked for again"
    );
}

#[test]
fn no_data_is_not_a_hundred_percent() {
    let mut scene = Scene::eight();
    scene.all_up();
    let screen = scene.text(80, 24);
    assert!(screen.contains("no data") && !screen.contains("100"), "{screen}");
}

#[test]
fn a_frozen_screen_stands_still_and_catches_up() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.keys(" ");
    let outage = scene.outage(Verdict::Down, "no answer");
    scene.phase("ivr", Phase::Down, Some(outage));
    scene.pass(30_000);
    let screen = scene.text(80, 24);
    assert!(screen.contains("FROZEN 00:30") && !screen.contains("is DOWN"), "{screen}");
    scene.keys(" ");
    let screen = scene.text(80, 24);
    assert!(screen.contains("IVR main flow is DOWN") && !screen.contains("FROZEN"), "{screen}");
}

#[test]
fn after_lost_events_the_console_asks_for_a_picture_and_goes_on_from_it() {
    let mut scene = Scene::eight();
    scene.all_up();
    let lost = Drained { lagged: true, ..Drained::default() };
    assert!(scene.message(Message::Events(lost)).contains(&Effect::AskPicture));
    assert!(scene.text(80, 24).contains("CATCHING UP"));
    let mut fresh = Picture::new(roster(eight()));
    fresh.notices.insert(
        "store".to_owned(),
        NoticeEvent {
            at: scene.now.wall,
            about: "store".to_owned(),
            standing: true,
            text: "the disk is full".to_owned(),
        },
    );
    let items = vec![Item::Picture(Box::new(fresh))];
    scene.message(Message::Events(Drained { items, ..Drained::default() }));
    let screen = scene.text(80, 24);
    assert!(!screen.contains("CATCHING UP") && screen.contains("! the disk is full"), "{screen}");
}

#[test]
fn an_engine_that_is_gone_does_not_look_healthy() {
    let mut scene = Scene::eight();
    scene.all_up();
    let stopped = Some("the disk is full".to_owned());
    scene.message(Message::Events(Drained { stopped, ..Drained::default() }));
    let screen = scene.text(80, 24);
    assert!(screen.contains("NOT MEASURING") && screen.contains("the disk is full"), "{screen}");
    assert_eq!(scene.state.title(), "warroom: NOT MEASURING");
    assert!(!scene.keys_probe(), "nothing is asked of an engine that is gone");
}

impl Scene {
    fn keys_probe(&mut self) -> bool {
        self.key(KeyCode::Char('p')).iter().any(|effect| matches!(effect, Effect::Command(_)))
    }
}

#[test]
fn p_probes_the_selected_component() {
    let mut scene = Scene::eight();
    scene.keys("jj");
    let effects = scene.key(KeyCode::Char('p'));
    let wanted = Effect::Command(Command::ProbeNow { component_id: "trunk".into() });
    assert!(effects.contains(&wanted), "{effects:?}");
}

#[test]
fn the_cursor_stays_on_its_component_when_the_order_changes() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.keys("j");
    let outage = scene.outage(Verdict::Down, "no answer");
    scene.phase("wem", Phase::Down, Some(outage));
    scene.key(KeyCode::Enter);
    assert_eq!(scene.state.detail.as_ref().map(ToString::to_string).as_deref(), Some("crm"));
    scene.key(KeyCode::Esc);
    assert_eq!(scene.state.detail, None);
}

#[test]
fn the_filter_takes_keys_as_text_until_it_is_left() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.keys("/q");
    assert!(scene.state.filtering, "`q` is text here");
    scene.key(KeyCode::Esc);
    scene.keys("/cxone");
    scene.key(KeyCode::Enter);
    let screen = scene.text(80, 24);
    assert!(
        screen.contains("CXone us-east") && screen.contains("WFM") && !screen.contains("CRM"),
        "{screen}"
    );
    scene.key(KeyCode::Esc);
    assert!(scene.text(80, 24).contains("CRM lookup"));
}

#[test]
fn leaving_has_the_exit_code_of_its_cause() {
    let mut scene = Scene::eight();
    let interrupt = Message::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    for (message, code) in [
        (Message::Key(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), 0),
        (interrupt, 130),
        (Message::Signal(Signal::Interrupt), 130),
        (Message::Signal(Signal::Terminate), 143),
        (Message::Signal(Signal::HangUp), 129),
        (Message::Gone, 129),
    ] {
        let exit = scene.message(message).into_iter().find_map(|effect| match effect {
            Effect::Exit(exit) => Some(exit.code()),
            _ => None,
        });
        assert_eq!(exit, Some(code));
    }
    // Also over a text field.
    scene.keys("/");
    let interrupt = Message::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(scene.message(interrupt).contains(&Effect::Exit(Exit::Signal(Signal::Interrupt))));
}

#[test]
fn views_of_later_versions_say_so() {
    let mut scene = Scene::eight();
    scene.keys("3");
    assert!(scene.text(80, 24).contains("view 3 (heatmap) comes with a later version"));
    scene.pass(3_100);
    scene.message(Message::Tick);
    assert!(!scene.text(80, 24).contains("later version"));
}

#[test]
fn footer_help_and_palette_offer_the_same() {
    for (place, keys) in [(Place::WarRoom, ""), (Place::Log, "8")] {
        let mut scene = Scene::eight();
        scene.keys(keys);
        assert_eq!(scene.state.place(), place);
        let footer = scene.text(200, 60).lines().last().unwrap().to_owned();
        let offered: Vec<&str> = palette(&scene.state, "").iter().map(|entry| entry.name).collect();
        scene.keys("?");
        let help = scene.text(200, 60);
        for entry in TABLE.iter().filter(|entry| entry.works_in(place) && entry.is_built()) {
            let beginning: String = entry.help.chars().take(60).collect();
            assert!(help.contains(beginning.trim_end()), "the help lacks `{}`\n{help}", entry.name);
            if entry.action != Action::Palette {
                assert!(offered.contains(&entry.name), "the palette lacks `{}`", entry.name);
            }
            // With no outage open there is nothing to acknowledge.
            if !entry.footer.is_empty() && entry.action != Action::Acknowledge {
                assert!(footer.contains(entry.footer), "the footer lacks `{}`: {footer}", entry.name);
            }
        }
        for entry in TABLE.iter().filter(|entry| !entry.works_in(place)) {
            assert!(!offered.contains(&entry.name), "`{}` does not work here", entry.name);
        }
    }
}

#[test]
fn the_palette_does_what_its_name_says() {
    let mut scene = Scene::eight();
    scene.keys(":quit");
    assert!(scene.key(KeyCode::Enter).contains(&Effect::Exit(Exit::Quit)));
}

#[test]
fn a_theme_is_previewed_and_taken_back() {
    let mut scene = Scene::eight();
    let before = scene.state.theme().name.clone();
    scene.keys("Tj");
    assert_ne!(scene.state.theme().name, before);
    scene.key(KeyCode::Esc);
    assert_eq!(scene.state.theme().name, before);
    scene.keys("Tj");
    scene.key(KeyCode::Enter);
    assert_ne!(scene.state.theme().name, before);
}

#[test]
fn a_blind_row_says_why() {
    let mut scene = Scene::eight();
    scene.all_up();
    scene.throttle("genesys", Some(4_000));
    scene.probe("wem", Verdict::Blind, 9.0, Some("flow status: 429"));
    assert!(scene.text(80, 24).contains("retry in 4 s"), "{}", scene.text(80, 24));
    scene.throttle("genesys", None);
    scene.login_fails("genesys", "invalid_client");
    let screen = scene.text(80, 24);
    assert!(
        screen.contains("login faili") && screen.contains("! genesys: login failing: invalid_client"),
        "{screen}"
    );
}
