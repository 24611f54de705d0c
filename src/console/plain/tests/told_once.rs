//! What is not done or not said twice: an acknowledgement, and what stands at the start.

use std::{sync::Arc, time::Duration};

use super::{
    super::{symbols, teller::Teller},
    Script, at, console, outage, phase, roster, start,
};
use crate::{
    console::{
        feed::{Drained, Item, Word},
        plain::teller::Effect,
    },
    domain::{
        Attached, Command, ComponentId, Event, Phase, Picture, Role,
        event::{ActEvent, NoticeEvent, RosterEvent},
    },
};

fn acknowledge() -> Command {
    Command::Acknowledge { component_id: ComponentId::new("ivr"), outage_id: "o1".to_owned() }
}

fn acknowledged(seconds: u64, who: &Attached) -> Event {
    Event::Act(ActEvent { at: at(seconds).wall, who: who.who.clone(), act: acknowledge() })
}

/// Alice before these lines, and an open outage.
fn alice() -> (Script, Attached) {
    let mut script = Script::begin();
    let me = console(1, "alice", Role::Operate, false);
    script.word(1, Word::You(me.clone()));
    script.events(10, [phase("ivr", at(10), Phase::Down, Some(outage(at(10))))]);
    (script, me)
}

#[test]
fn an_outage_is_taken_from_whoever_looks_after_it_only_at_the_second_time() {
    let (mut script, me) = alice();
    let taken = [Effect::Command(acknowledge())];
    script.events(11, [acknowledged(11, &console(2, "bob", Role::Operate, false))]);
    let (said, effects) = script.typed(12, "ack ivr");
    assert_eq!(effects, [], "{said}");
    assert_eq!(
        said,
        "bob acknowledged IVR main flow, 14:30, and looks after it. `ack ivr` once more takes it over.\n"
    );
    script.typed(13, "status");
    assert_eq!(script.typed(14, "ack ivr").1, [], "something else came between");
    script.events(15, [acknowledged(15, &console(3, "carol", Role::Operate, false))]);
    let (said, effects) = script.typed(16, "ack ivr");
    assert!(effects.is_empty() && said.starts_with("carol "), "it was asked about somebody else: {said}");
    assert_eq!(script.typed(17, "ACK IVR MAIN").1, taken);
    script.events(18, [acknowledged(18, &me)]);
    let (said, effects) = script.typed(19, "ack ivr");
    assert_eq!((said.as_str(), effects), ("You have acknowledged IVR main flow already, 14:30.\n", vec![]));
    assert_eq!(script.typed(20, "ack ivr").1, [], "however often it is typed");
}

#[test]
fn whoever_may_only_watch_is_not_asked_to_type_it_again() {
    let (mut script, _) = alice();
    script.word(11, Word::You(console(1, "alice", Role::Watch, false)));
    script.events(11, [acknowledged(11, &console(2, "bob", Role::Operate, false))]);
    let (said, effects) = script.typed(12, "ack ivr");
    assert!(effects.is_empty() && said.starts_with("Nothing is done: you may watch"), "{said}");
}

#[test]
fn what_was_said_before_the_first_summary_is_not_said_in_it() {
    let mut teller = Teller::new(Picture::new(roster()), symbols(true), Duration::from_secs(9), at(0));
    let notice = |about: &str, text: &str| {
        let (about, text) = (about.to_owned(), text.to_owned());
        Item::Event(Arc::new(Event::Notice(NoticeEvent { at: start(), about, text, standing: true })))
    };
    let mut picture = Picture::new(roster());
    picture.apply(&Arc::new(Event::Roster(RosterEvent { at: start(), roster: roster() })));
    let begins = vec![
        Item::Picture(Box::new(picture)),
        notice("store", "the disk is nearly full"),
        notice("journal", "the journal is short"),
        notice("journal", "the journal is shorter"),
    ];
    teller.follow(Drained { items: begins, ..Drained::default() }, at(1));
    let said = teller.written();
    assert!(said.contains("store: the disk is nearly full\n"), "it does not wait: {said}");
    teller.pass(at(9));
    let summary = teller.written();
    assert!(summary.contains("3 components") && !summary.contains("Notice: "), "{summary}");
    teller.typed("status", at(10));
    let asked = teller.written();
    let notices: Vec<&str> = asked.lines().filter(|line| line.starts_with("Notice: ")).collect();
    assert_eq!(notices, ["Notice: the journal is shorter", "Notice: the disk is nearly full"]);
}
