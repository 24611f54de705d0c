//! How everything stands, in a few lines: what is measured, who is here, what is open, how the tiers do.

use chrono::{DateTime, Utc};

use super::paper::{Paper, counted, spoken};
use crate::{
    console::{
        list,
        status::Status,
        text,
        words::{self, outage, platform},
    },
    domain::{
        Attached, ComponentCard, Environment, Picture, Since, Tier, compliance, event::ClockEvent,
        picture::ComponentPicture, record::ClockState,
    },
};

/// The most people that the summary names; `who` names all.
const NAMED: usize = 5;
/// The most components without an outage that the summary names one by one.
const UNWELL: usize = 10;

/// Whom a summary is for, and whether it is of now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader<'a> {
    /// As whom the engine knows this console.
    pub(super) me: Option<&'a Attached>,
    /// What happened since that person last looked.
    pub(super) since: Option<&'a Since>,
    /// When news ended, where there is no connection now.
    pub(super) cut_off: Option<DateTime<Utc>>,
    /// What has just been said of what stands.
    pub(super) said: &'a [String],
}

/// Says that what follows is not of now.
pub(super) fn as_of(paper: &mut Paper, cut_off: DateTime<Utc>, wall: DateTime<Utc>) {
    let at = text::time(cut_off, wall);
    paper.event(
        wall,
        "warroom",
        &format!("NOT CONNECTED to the engine since {at}, trying again. As of {at}, not known now:"),
    );
}

/// Writes the summary.
pub(super) fn write(paper: &mut Paper, picture: &Picture, reader: Reader<'_>, wall: DateTime<Utc>) {
    let Reader { me, since, cut_off, said } = reader;
    if let Some(at) = cut_off {
        as_of(paper, at, wall);
    }
    // How it went on after the last news, nobody knows.
    let seen = cut_off.map_or(wall, |at| at.min(wall));
    let roster = &picture.roster;
    paper.event(
        wall,
        "warroom",
        &format!(
            "{}, {}: {} on {} measured. It is {}, times are UTC.",
            roster.tenant,
            roster.environment.word(),
            counted(roster.components.len(), "component"),
            counted(roster.platforms.len(), "platform"),
            wall.format("%Y-%m-%d")
        ),
    );
    if roster.demo {
        paper.line("DEMO: the platforms are simulated, nothing here is real.");
    }
    if roster.environment == Environment::Production {
        paper.line("READ ONLY: no drills.");
    }
    if let Some(here) = here(picture, me).filter(|_| cut_off.is_none()) {
        paper.line(&here);
    }
    if let Some(since) = since {
        paper.line(&since_words(since, wall));
    }
    for notice in words::standing(picture).into_iter().filter(|notice| !said.contains(notice)) {
        paper.line(&format!("Notice: {notice}"));
    }
    paper.line(&clock_words(picture.clock.as_ref(), paper.symbols.plus_minus));
    for (card, id) in roster.platforms.iter().map(|card| (card, &card.id)) {
        let Some(known) = picture.platforms.get(id).filter(|known| known.throttled) else { continue };
        let wait = known.throttled_until.and_then(|until| (until - wall).to_std().ok());
        let wait = wait.map_or_else(String::new, |wait| format!(", retry in {}", spoken(wait)));
        paper.line(&format!("Platform {}: throttled{wait}", card.id));
    }
    outages(paper, picture, seen);
    unwell(paper, picture, seen);
    for tier in Tier::ALL {
        if let Some(line) = tier_words(picture, tier, cut_off.is_some(), wall) {
            paper.line(&line);
        }
    }
}

/// `You are alice, who operates. Also here: bob, who watches.`
fn here(picture: &Picture, me: Option<&Attached>) -> Option<String> {
    let you = me.map(|me| format!("You are {}, who {}.", me.who, me.role.word()));
    let others: Vec<&Attached> =
        picture.present.iter().filter(|console| me.is_none_or(|me| me.id != console.id)).collect();
    let mut names: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|console| format!("{}, who {}", console.who, console.role.word()))
        .collect();
    if others.len() > NAMED {
        names.push(format!("{} more", others.len() - NAMED));
    }
    let also = (!names.is_empty()).then(|| {
        let also = if you.is_some() { "Also here" } else { "Here" };
        format!("{also}: {}.", names.join("; "))
    });
    match (you, also) {
        (None, None) => None,
        (you, also) => Some([you, also].into_iter().flatten().collect::<Vec<_>>().join(" ")),
    }
}

/// Everybody who is here, one a line.
pub(super) fn who(paper: &mut Paper, picture: &Picture, me: Option<&Attached>, wall: DateTime<Utc>) {
    if picture.present.is_empty() {
        paper.line("Nobody but you is here.");
    }
    for console in &picture.present {
        let you = if me.is_some_and(|me| me.id == console.id) { " (you)" } else { "" };
        let terminal = console.terminal.as_ref().map_or_else(String::new, |name| format!(", on {name}"));
        let from = console.from.as_ref().map_or_else(String::new, |host| format!(", from {host}"));
        let host = if console.is_host { ", the engine runs in this console" } else { "" };
        paper.line(&format!(
            "{}{you} {} since {}{terminal}{from}{host}",
            console.who,
            console.role.word(),
            text::time(console.since, wall)
        ));
    }
}

/// `Since you last looked, 11-17 14:32: 2 new outages.`
pub(super) fn since_words(since: &Since, wall: DateTime<Utc>) -> String {
    format!("Since you last looked, {}: {}.", text::time(since.last, wall), since.sentence())
}

fn clock_words(clock: Option<&ClockEvent>, plus_minus: &str) -> String {
    let Some(clock) = clock.filter(|clock| clock.state != ClockState::Unknown) else {
        return "Clock: unknown, no time source says how far it can be trusted.".to_owned();
    };
    let state = if clock.state == ClockState::Unsafe { "UNSAFE, nothing is measured" } else { "ok" };
    match (clock.offset_ms, clock.error_ms) {
        (Some(offset), Some(error)) => {
            format!("Clock: {state}, {offset:+.0} ms {plus_minus} {:.0} ms.", error.ceil())
        }
        _ => format!("Clock: {state}."),
    }
}

fn outages(paper: &mut Paper, picture: &Picture, wall: DateTime<Utc>) {
    let open = list::open_outages(picture, wall);
    if open.is_empty() {
        paper.line("No open outage.");
        return;
    }
    paper.line(&format!("{}:", counted(open.len(), "open outage")));
    for place in open {
        let (card, component) = (&picture.roster.components[place], &picture.components[place]);
        if let Some(words) = outage_words(card, component, wall) {
            paper.line(&format!("{}: {words}", card.name));
        }
    }
}

/// An open outage, all that matters of it in one sentence.
pub(super) fn outage_words(
    card: &ComponentCard,
    component: &ComponentPicture,
    wall: DateTime<Utc>,
) -> Option<String> {
    let outage = component.outage.as_ref()?;
    let mut parts = vec![burned(card, component, wall)?];
    parts.extend(Some(outage::served(card, outage)).filter(|served| !served.is_empty()));
    parts.extend(outage::waiting(component, outage, wall));
    parts.extend(looked_after(component));
    Some(format!("{}. {}", parts.join(", "), outage.reason))
}

/// `DOWN for 37 s of 1 min, 23 s left, breach 14:33:04`.
pub(super) fn burned(
    card: &ComponentCard,
    component: &ComponentPicture,
    wall: DateTime<Utc>,
) -> Option<String> {
    let outage = component.outage.as_ref()?;
    let elapsed = list::elapsed(component, wall)?;
    Some(format!(
        "{} for {} of {}, {}",
        Status::of(card, component).word().to_uppercase(),
        spoken(elapsed),
        spoken(card.target_rto),
        outage::verdict_on_target(card, component, outage, wall)
    ))
}

/// `bob looks after it`.
pub(super) fn looked_after(component: &ComponentPicture) -> Option<String> {
    component.acknowledged.as_ref().map(|known| format!("{} looks after it", known.who))
}

/// Components that have no outage and are not well either: nobody sees them, or a bad verdict is not confirmed.
fn unwell(paper: &mut Paper, picture: &Picture, wall: DateTime<Utc>) {
    let unwell: Vec<_> = list::cards(picture)
        .filter(|(card, component)| component.outage.is_none() && !is_well(picture, card, component, wall))
        .collect();
    for (card, component) in unwell.iter().take(UNWELL) {
        paper.line(&format!("{}: {}", card.name, state_words(picture, card, component, wall)));
    }
    if unwell.len() > UNWELL {
        paper.line(&format!("and {} more that are not up.", unwell.len() - UNWELL));
    }
}

fn is_well(
    picture: &Picture,
    card: &ComponentCard,
    component: &ComponentPicture,
    wall: DateTime<Utc>,
) -> bool {
    Status::of(card, component) == Status::Up && !list::is_unseen(picture, card, component, false, wall)
}

/// `blind: throttled, retry in 4 s`, `up, not seen since 14:32:04`.
pub(super) fn state_words(
    picture: &Picture,
    card: &ComponentCard,
    component: &ComponentPicture,
    wall: DateTime<Utc>,
) -> String {
    let status = Status::of(card, component);
    let old = list::is_stale(picture, card, component, wall);
    let seen = component.probed_at.filter(|_| old).map(|at| format!(", last probe {}", text::time(at, wall)));
    let why = match status {
        Status::Unsupported => Some("no step of it can be run by this version".to_owned()),
        _ => platform::blind_reason(picture, card, wall)
            .or_else(|| component.reason.clone())
            .or_else(|| component.probed_at.is_none().then(|| "not probed yet".to_owned())),
    };
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("{}{}{why}", status.word(), seen.unwrap_or_default())
}

/// `Tier 1 (0-60 s): 3 of 4 up. Compliance in 24 h 93.0 %, worst IVR main flow 82.1 %.`
fn tier_words(picture: &Picture, tier: Tier, cut_off: bool, wall: DateTime<Utc>) -> Option<String> {
    let members: Vec<usize> = list::cards(picture)
        .enumerate()
        .filter(|(_, (card, _))| card.tier == tier)
        .map(|(place, _)| place)
        .collect();
    if members.is_empty() {
        return None;
    }
    let (up, unseen) = list::tally(picture, &members, cut_off, wall);
    let unseen = if unseen > 0 { format!(", {unseen} not seen") } else { String::new() };
    let window = text::rough_duration(picture.roster.window);
    let compliance = match compliance::mean(members.iter().map(|place| picture.compliance(*place, wall))) {
        None => "no data".to_owned(),
        Some((percent, worst)) => {
            let place = members[worst];
            let own = picture
                .compliance(place, wall)
                .filter(|_| percent.value() < 100.0)
                .map(|own| format!(", worst {} {own} %", picture.roster.components[place].name));
            format!("{percent} %{}", own.unwrap_or_default())
        }
    };
    Some(format!("Tier {tier}: {up} of {} up{unseen}. Compliance in {window}: {compliance}.", members.len()))
}
