//! What a person asks of the engine, and what is asked back first.

use crate::{
    console::{
        acknowledge::{self, Decision, TakeOver},
        action::Action,
        message::{Effect, Exit},
        state::{Overlay, Question, State},
        text,
    },
    domain::{Command, time::Now},
};

/// Leaves; where others watch an engine that ends with this console, only at the second time.
pub(super) fn leave(state: &mut State, now: Now) -> Vec<Effect> {
    if let Some(who) = state.depends_on_me()
        && !state.was_asked(&Question::Leave, now)
    {
        let key = state.keys.ways(Action::Quit);
        // The key first: a long name must not push it off a narrow screen.
        let words = format!("{key} again to quit: {who} here too, and measuring ends with this console");
        state.ask(Question::Leave, words, now);
        return Vec::new();
    }
    vec![Effect::Exit(Exit::Quit)]
}

/// Has the config read again.
pub(super) fn reload(state: &mut State, now: Now) -> Vec<Effect> {
    state.say("the engine reads its config again", now);
    vec![Effect::Command(Command::Reload)]
}

/// Opens what is found, and asks for an examination unless one is under way.
pub(super) fn examine(state: &mut State) -> Vec<Effect> {
    state.scroll.set(0);
    state.overlay = Some(Overlay::Diagnosis);
    if std::mem::replace(&mut state.examining, true) {
        return Vec::new();
    }
    vec![Effect::Command(Command::Diagnose)]
}

/// Probes the component whose detail is open, or on which the cursor stands.
pub(super) fn probe(state: &mut State, now: Now) -> Vec<Effect> {
    let picture = state.shown(now).0;
    let Some(card) = state.concerned().map(|place| &picture.roster.components[place]) else {
        return Vec::new();
    };
    let (id, name, observable) = (card.id.clone(), card.name.clone(), card.observable);
    if !observable {
        state.say(format!("{name} cannot be probed: no step of it is supported by this version"), now);
        return Vec::new();
    }
    state.say(format!("probing {name}"), now);
    vec![Effect::Command(Command::ProbeNow { component_id: id })]
}

/// Acknowledges the outage that is meant; one that somebody else looks after, only at the second time.
pub(super) fn acknowledge(state: &mut State, now: Now) -> Vec<Effect> {
    let place = match outage_meant(state) {
        Ok(place) => place,
        Err(why) => {
            state.say(why, now);
            return Vec::new();
        }
    };
    let (picture, wall) = state.shown(now);
    let (card, component) = (&picture.roster.components[place], &picture.components[place]);
    let Some(outage) = &component.outage else { return Vec::new() };
    let (component_id, outage_id, name) = (card.id.clone(), outage.id.clone(), card.name.clone());
    // A frozen screen may show an outage that is over by now, and not who took it up since.
    let live = state.picture.position(&component_id).map(|place| &state.picture.components[place]);
    let Some(live) = live.filter(|live| live.outage.as_ref().is_some_and(|open| open.id == outage_id)) else {
        state.say(format!("this outage of {name} is over by now"), now);
        return Vec::new();
    };
    let was_asked = |question: &TakeOver| state.was_asked(&Question::TakeOver(question.clone()), now);
    match acknowledge::decide(state.me.as_ref().map(|me| &me.who), live.acknowledged.as_ref(), was_asked) {
        Decision::Acknowledge => {}
        Decision::Own(at) => {
            let when = text::time_short(at, wall);
            state.say(format!("you have acknowledged {name} already, {when}"), now);
            return Vec::new();
        }
        Decision::Ask(question, known) => {
            let (key, when) = (state.keys.ways(Action::Acknowledge), text::time_short(known.at, wall));
            let words = format!("{key} again to take it over: {} acknowledged {name} {when}", known.who);
            state.ask(Question::TakeOver(question), words, now);
            return Vec::new();
        }
    }
    state.say(format!("acknowledging {name}"), now);
    vec![Effect::Command(Command::Acknowledge { component_id, outage_id })]
}

/// The component whose outage is meant: that of the detail or under the cursor; in the list also the only one that is open.
fn outage_meant(state: &State) -> Result<usize, String> {
    let picture = state.shown_picture();
    let is_open = |place: &usize| picture.components[*place].outage.is_some();
    let concerned = state.concerned();
    if let Some(place) = concerned.filter(is_open) {
        return Ok(place);
    }
    let open: Vec<usize> = (0..picture.components.len()).filter(is_open).collect();
    match (&state.detail, open.as_slice()) {
        (_, []) => Err("no outage is open".to_owned()),
        (Some(_), _) => {
            let name = concerned.map(|place| picture.roster.components[place].name.to_string());
            Err(format!("{} has no open outage", name.as_deref().unwrap_or("it")))
        }
        (None, [only]) => Ok(*only),
        (None, several) => Err(format!("{} outages are open: select the one you mean", several.len())),
    }
}
