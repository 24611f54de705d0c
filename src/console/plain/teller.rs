//! Follows the engine and says what a person wants to hear: what happens, how open outages get on, answers to what was
//! typed.
//!
//! Invariants: no I/O, no clock; the picture is the same fold that the screen follows; what is said once is not said again
//! until it has changed, but for open outages ([`steps`]).

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    commands::{self, Verb},
    detail,
    paper::{Paper, counted, spoken},
    steps, summary,
};
use crate::{
    console::{
        acknowledge::{self, Decision, TakeOver},
        feed::{Drained, Item, Word},
        list,
        message::Exit,
        symbols::Symbols,
        text, words,
    },
    domain::{
        Attached, Command, ComponentCard, ComponentId, Event, Moment, Phase, Picture, Role, Since,
        diagnosis::{Diagnosis, Grade},
        event::{Login, Presence, ProbeEvent},
        picture::ComponentPicture,
        time::Now,
    },
};

/// What the loop must do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Ask the engine.
    Command(Command),
    /// Ask the engine for a picture.
    AskPicture,
    /// End.
    Exit(Exit),
    /// End, because the engine has, and why.
    Stopped(String),
}

/// What was told of an open outage.
#[derive(Debug)]
struct Told {
    outage: String,
    /// The age at which it is told next.
    next: Duration,
}

/// Follows and tells.
#[derive(Debug)]
pub(super) struct Teller {
    picture: Picture,
    paper: Paper,
    me: Option<Attached>,
    since: Option<Since>,
    /// Until when the summary waits for the first probes; `None` once it was told.
    greets_by: Option<Moment>,
    /// Whether the picture is the engine's, and not only the config's.
    known: bool,
    outages: HashMap<ComponentId, Told>,
    /// Since when there is no connection.
    lost: Option<Now>,
    /// Events that were never printed.
    unprinted: u64,
    /// Components whose next probe was asked for here.
    probing: HashSet<ComponentId>,
    /// Whether an examination was asked for here.
    examining: bool,
    /// Whether `quit` was typed and has to be typed again.
    leaving: bool,
    /// Which `ack` was typed and has to be typed again.
    taking_over: Option<TakeOver>,
    /// What was said before the first summary, which does not say it again.
    said_before: Vec<String>,
}

impl Teller {
    /// Begins to tell; the summary waits for the first probes for `patience` at most.
    pub(super) fn new(picture: Picture, symbols: &'static Symbols, patience: Duration, now: Now) -> Self {
        let known = is_known(&picture);
        let mut teller = Self {
            picture,
            paper: Paper::new(symbols),
            me: None,
            since: None,
            greets_by: Some(now.moment + patience),
            known,
            outages: HashMap::new(),
            lost: None,
            unprinted: 0,
            probing: HashSet::new(),
            examining: false,
            leaving: false,
            taking_over: None,
            said_before: Vec::new(),
        };
        if !patience.is_zero() {
            let number = counted(teller.picture.components.len(), "component");
            teller.say(&format!("probing {number} for the first time, the summary follows"), now);
        }
        teller
    }

    /// Takes what was written since the last time.
    pub(super) fn written(&mut self) -> String {
        self.paper.take()
    }

    /// After how long something is to be said though nothing happens.
    pub(super) fn next_change(&self, now: Now) -> Option<Duration> {
        let greeting = self.greets_by.filter(|_| self.known).map(|by| by.since(now.moment));
        let wall = self.picture.corrected(now.wall);
        let outages = list::cards(&self.picture).filter_map(|(card, component)| {
            let told = self.outages.get(&card.id).filter(|_| self.lost.is_none() && is_running(component))?;
            Some(told.next.saturating_sub(list::elapsed(component, wall)?))
        });
        outages.chain(greeting).min()
    }

    /// Says something of warroom itself.
    pub(super) fn say(&mut self, words: &str, now: Now) {
        let wall = self.picture.corrected(now.wall);
        self.paper.event(wall, "warroom", words);
    }

    /// Takes in what the feed held.
    pub(super) fn follow(&mut self, drained: Drained, now: Now) -> Vec<Effect> {
        self.unprinted += drained.lost;
        for item in drained.items {
            match item {
                Item::Event(event) => self.happened(&event, now),
                Item::Picture(picture) => self.replace(*picture, now),
                Item::Word(word) => self.hear(word, now),
            }
        }
        let mut effects = self.pass(now);
        if drained.lagged {
            effects.push(Effect::AskPicture);
        }
        if let Some(reason) = drained.stopped {
            self.say(&format!("NOT MEASURING: the engine has ended: {reason}"), now);
            effects.push(Effect::Stopped(reason));
        }
        effects
    }

    /// Says what is due by time alone.
    pub(super) fn pass(&mut self, now: Now) -> Vec<Effect> {
        let due =
            self.known && self.greets_by.is_some_and(|by| by <= now.moment || all_probed(&self.picture));
        if due {
            self.greets_by = None;
            self.sum_up(now);
            self.paper.line("`help` says what can be typed.");
        }
        self.look_after_outages(now);
        Vec::new()
    }

    /// When news ended, where they have.
    fn cut_off(&self) -> Option<DateTime<Utc>> {
        self.lost.map(|at| self.picture.corrected(at.wall))
    }

    fn sum_up(&mut self, now: Now) {
        let wall = self.picture.corrected(now.wall);
        let said = std::mem::take(&mut self.said_before);
        let (me, since, cut_off) = (self.me.as_ref(), self.since.as_ref(), self.cut_off());
        summary::write(
            &mut self.paper,
            &self.picture,
            summary::Reader { me, since, cut_off, said: &said },
            wall,
        );
        // Told once: it is about the time before this console came.
        self.since = None;
        self.outages.clear();
    }

    fn replace(&mut self, mut picture: Picture, now: Now) {
        picture.index();
        self.picture = picture;
        self.known = true;
        let unprinted = std::mem::take(&mut self.unprinted);
        let back = self.lost.take().is_some();
        if self.greets_by.is_some() {
            return;
        }
        if back {
            self.say("connected to the engine again", now);
        } else {
            self.say("caught up after too much at once", now);
        }
        if unprinted > 0 {
            self.paper.line(&format!(
                "{} not printed; `events {unprinted}` says them.",
                if unprinted == 1 { "1 event was".to_owned() } else { format!("{unprinted} events were") }
            ));
        }
        self.sum_up(now);
    }

    fn hear(&mut self, word: Word, now: Now) {
        match word {
            Word::You(me) => self.me = Some(me),
            Word::Since(since) if since.is_recent(self.picture.corrected(now.wall)) => {}
            Word::Since(since) if self.greets_by.is_some() => self.since = Some(since),
            Word::Since(since) => {
                let wall = self.picture.corrected(now.wall);
                self.paper.line(&summary::since_words(&since, wall));
            }
            Word::Refused(words) => self.say(&words, now),
            Word::Lost(reason) => {
                if self.lost.is_none() {
                    self.lost = Some(now);
                    self.say(&format!("NOT CONNECTED to the engine, trying again: {reason}"), now);
                }
            }
        }
    }

    fn happened(&mut self, event: &std::sync::Arc<Event>, now: Now) {
        let before = event.component_id().and_then(|id| self.picture.position(id));
        let was_open = before.is_some_and(|place| self.picture.components[place].outage.is_some());
        self.picture.apply(event);
        let notable = self.picture.notable.back().is_some_and(|last| std::sync::Arc::ptr_eq(last, event));
        match &**event {
            Event::Probe(probe) => self.probed(probe),
            Event::Diagnosis(diagnosis) => {
                self.tell(event, None);
                if std::mem::take(&mut self.examining) {
                    self.findings(diagnosis);
                }
            }
            Event::Presence(presence) => {
                let own = self.me.as_ref().is_some_and(|me| me.id == presence.console.id);
                let came = presence.change == Presence::Attached;
                if !own && self.greets_by.is_none() {
                    let role = if came { presence.console.role.word() } else { "" };
                    self.tell(event, Some(role).filter(|role| !role.is_empty()));
                }
            }
            // What is open at the start is in the summary, and that logins work then is no news.
            Event::Phase(_) if self.greets_by.is_some() => {}
            Event::Platform(platform) if self.greets_by.is_some() && platform.login == Login::Ok => {}
            Event::Phase(phase) if notable && phase.phase == Phase::Up && was_open => {
                self.paper.event(event.at(), &words::about(event, &self.picture), "up again");
            }
            Event::Phase(phase) if notable && phase.phase == Phase::Down => {
                let target = self
                    .card(&phase.component_id)
                    .map(|card| format!("it has {} to be restored", spoken(card.target_rto)));
                self.tell(event, target.as_deref());
            }
            Event::Violation(violation) if violation.open => {
                self.tell(event, None);
                self.violated(&violation.component_id, now);
            }
            _ if notable => self.tell(event, None),
            _ => {}
        }
    }

    /// One line for an event, and what may follow its sentence.
    fn tell(&mut self, event: &Event, more: Option<&str>) {
        let wall = event.at();
        let mut sentence = words::sentence(event, &self.picture, self.paper.symbols, wall);
        if let Some(more) = more {
            sentence.push_str(", ");
            sentence.push_str(more);
        }
        let about = words::about(event, &self.picture);
        self.paper.event(wall, &about, &sentence);
        if self.greets_by.is_some() {
            self.said_before.extend([format!("{about}: {sentence}"), sentence]);
        }
    }

    fn card(&self, id: &ComponentId) -> Option<&ComponentCard> {
        self.picture.position(id).map(|place| &self.picture.roster.components[place])
    }

    fn probed(&mut self, probe: &ProbeEvent) {
        if !self.probing.remove(&probe.component_id) {
            return;
        }
        let Some(name) = self.card(&probe.component_id).map(|card| card.name.clone()) else { return };
        let latency = probe.latency_ms.map(|latency| format!(", {}", text::latency(latency)));
        let by = probe.served_by.as_ref().map(|by| format!(", served by {by}"));
        let why = probe.reason.as_ref().map(|reason| format!(": {reason}"));
        let parts = [latency, by, why].into_iter().flatten().collect::<String>();
        self.paper.event(probe.at, &name, &format!("probed, {}{parts}", probe.verdict.word()));
    }

    fn findings(&mut self, diagnosis: &Diagnosis) {
        let mut findings: Vec<_> =
            diagnosis.findings.iter().filter(|finding| finding.grade != Grade::Ok).collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
        for finding in findings {
            let cure = finding.cure.as_ref().map_or_else(String::new, |cure| format!(". Do: {cure}"));
            let (grade, area) = (finding.grade.word(), finding.area.word());
            self.paper.line(&format!("{grade}, {area}, {}: {}{cure}", finding.subject, finding.what));
        }
        self.paper
            .line(&format!("{} found to be as it should be.", counted(diagnosis.count(Grade::Ok), "link")));
    }

    /// The breach was told: its own line is not needed any more.
    fn violated(&mut self, id: &ComponentId, now: Now) {
        let wall = self.picture.corrected(now.wall);
        let Some(place) = self.picture.position(id) else { return };
        let (card, component) = (&self.picture.roster.components[place], &self.picture.components[place]);
        let (Some(outage), Some(age)) = (&component.outage, list::elapsed(component, wall)) else { return };
        let next = steps::after_breach(card.target_rto, proof(card), age);
        self.outages.insert(id.clone(), Told { outage: outage.id.clone(), next });
    }

    /// Tells open outages again whose step has come, and begins to follow those that are new.
    fn look_after_outages(&mut self, now: Now) {
        // How an outage goes on while there is no connection, nobody knows.
        if self.greets_by.is_some() || self.lost.is_some() {
            return;
        }
        let wall = self.picture.corrected(now.wall);
        let open = list::open_outages(&self.picture, wall);
        let ids: HashSet<&ComponentId> =
            open.iter().map(|place| &self.picture.roster.components[*place].id).collect();
        self.outages.retain(|id, _| ids.contains(id));
        for place in open {
            let (card, component) = (&self.picture.roster.components[place], &self.picture.components[place]);
            let (Some(outage), Some(age)) = (&component.outage, list::elapsed(component, wall)) else {
                continue;
            };
            let next = steps::next(card.target_rto, proof(card), age);
            let told = self.outages.entry(card.id.clone());
            let told = told.or_insert_with(|| Told { outage: outage.id.clone(), next });
            if told.outage != outage.id {
                *told = Told { outage: outage.id.clone(), next };
            } else if age >= told.next && is_running(component) {
                told.next = next;
                let burned = summary::burned(card, component, wall).unwrap_or_default();
                let who = summary::looked_after(component);
                let who = who.map_or_else(String::new, |who| format!(", {who}"));
                self.paper.event(wall, &card.name, &format!("still {burned}{who}"));
            }
        }
    }

    /// Takes in a typed line.
    pub(super) fn typed(&mut self, line: &str, now: Now) -> Vec<Effect> {
        let (verb, rest) = match commands::parse(line) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Vec::new(),
            Err(why) => {
                self.paper.line(&why);
                return Vec::new();
            }
        };
        let leaving = std::mem::take(&mut self.leaving);
        let taking_over = self.taking_over.take();
        let answer = match verb {
            Verb::Help => {
                let watches = self.me.as_ref().is_some_and(|me| me.role < Role::Operate);
                commands::help(watches).for_each(|line| self.paper.line(&line));
                self.paper.line("A component is named by its id, its name, or how one of them begins.");
                Ok(None)
            }
            Verb::Status => {
                self.sum_up(now);
                Ok(None)
            }
            Verb::Who => {
                let wall = self.picture.corrected(now.wall);
                match self.cut_off() {
                    Some(at) => {
                        let at = text::time(at, wall);
                        self.paper.line(&format!(
                            "Not connected to the engine since {at}: nobody knows who is here."
                        ));
                    }
                    None => summary::who(&mut self.paper, &self.picture, self.me.as_ref(), wall),
                }
                Ok(None)
            }
            Verb::Events => commands::number(rest).map(|number| {
                self.events(number, now);
                None
            }),
            Verb::Show => commands::component(&self.picture, rest).map(|place| {
                let wall = self.picture.corrected(now.wall);
                let cut_off = self.cut_off();
                if let Some(at) = cut_off {
                    summary::as_of(&mut self.paper, at, wall);
                }
                let seen = cut_off.map_or(wall, |at| at.min(wall));
                detail::write(&mut self.paper, &self.picture, place, seen);
                None
            }),
            Verb::Ack => self.acknowledge(rest, taking_over.as_ref(), now),
            Verb::Probe => self.probe(rest),
            Verb::Reload => self.allowed(Command::Reload),
            Verb::Diagnose => self.allowed(Command::Diagnose).inspect(|_| {
                self.examining = true;
                self.paper
                    .line("Examining names, TLS, logins, permissions, each step, clock, disk and load.");
            }),
            Verb::Quit => return self.quit(leaving),
        };
        match answer {
            Ok(command) => command.map(Effect::Command).into_iter().collect(),
            Err(why) => {
                self.paper.line(&why);
                Vec::new()
            }
        }
    }

    /// Leaves; an engine that others look at is not ended by one word.
    pub(super) fn quit(&mut self, sure: bool) -> Vec<Effect> {
        let me = self.me.as_ref().filter(|me| me.is_host);
        let others = me.map_or(0, |me| self.picture.present.iter().filter(|other| other.id != me.id).count());
        if others == 0 || sure {
            return vec![Effect::Exit(Exit::Quit)];
        }
        self.leaving = true;
        self.paper.line(&format!(
            "The engine runs in this console: measuring ends with it, for {} too. `quit` once more does it.",
            counted(others, "other console")
        ));
        Vec::new()
    }

    /// The end of a terminal's input.
    pub(super) fn end_of_input(&mut self) -> Vec<Effect> {
        let sure = std::mem::take(&mut self.leaving);
        self.quit(sure)
    }

    fn events(&mut self, number: usize, now: Now) {
        let wall = self.picture.corrected(now.wall);
        let surplus = self.picture.notable.len().saturating_sub(number);
        if self.picture.notable.is_empty() {
            self.paper.line("Nothing has happened yet.");
        }
        for event in self.picture.notable.iter().skip(surplus) {
            let sentence = words::sentence(event, &self.picture, self.paper.symbols, wall);
            let about = words::about(event, &self.picture);
            self.paper.line(&format!("{} {about}: {sentence}", text::time(event.at(), wall)));
        }
    }

    /// Acknowledges the open outage; one that another looks after, only when it was asked about just before.
    fn acknowledge(
        &mut self,
        rest: &str,
        asked: Option<&TakeOver>,
        now: Now,
    ) -> Result<Option<Command>, String> {
        let place = commands::component(&self.picture, rest)?;
        let (card, component) = (&self.picture.roster.components[place], &self.picture.components[place]);
        let Some(outage) = &component.outage else {
            return Err(format!("{} has no open outage", card.name));
        };
        let (component_id, outage_id) = (card.id.clone(), outage.id.clone());
        let command = self.allowed(Command::Acknowledge { component_id, outage_id })?;
        let me = self.me.as_ref().map(|me| &me.who);
        let known = component.acknowledged.as_ref();
        let wall = self.picture.corrected(now.wall);
        match acknowledge::decide(me, known, |question| asked == Some(question)) {
            Decision::Acknowledge => Ok(command),
            Decision::Own(at) => {
                Err(format!("You have acknowledged {} already, {}.", card.name, text::time_short(at, wall)))
            }
            Decision::Ask(question, known) => {
                let (who, when) = (&known.who, text::time_short(known.at, wall));
                let words = format!(
                    "{who} acknowledged {}, {when}, and looks after it. `ack {}` once more takes it over.",
                    card.name, card.id
                );
                self.taking_over = Some(question);
                Err(words)
            }
        }
    }

    fn probe(&mut self, rest: &str) -> Result<Option<Command>, String> {
        let place = commands::component(&self.picture, rest)?;
        let card = &self.picture.roster.components[place];
        if !card.observable {
            return Err(format!(
                "{} cannot be probed: no step of it is supported by this version",
                card.name
            ));
        }
        let id = card.id.clone();
        let command = self.allowed(Command::ProbeNow { component_id: id.clone() })?;
        self.probing.insert(id);
        Ok(command)
    }

    /// The command, if this person may give it and somebody is there to take it.
    fn allowed(&self, command: Command) -> Result<Option<Command>, String> {
        if self.lost.is_some() {
            return Err("Nothing is done: there is no connection to the engine now.".to_owned());
        }
        match self.me.as_ref().map(|me| me.role) {
            Some(role) if role < command.needs() => Err(format!(
                "Nothing is done: you may watch, and this is for those who may act. {}",
                if role == Role::Watch {
                    "`[agent] operators` in the config names them; --read-only makes anybody watch."
                } else {
                    ""
                }
            )),
            _ => Ok(Some(command)),
        }
    }
}

/// How long after the breach its own line waits for the violation that makes it superfluous: two bad verdicts' time.
fn proof(card: &ComponentCard) -> Duration {
    (card.burst * 2).clamp(Duration::from_secs(1), Duration::from_secs(5))
}

/// Whether an open outage still burns its target: no good verdict has begun to end it.
fn is_running(component: &ComponentPicture) -> bool {
    component.outage.as_ref().is_some_and(|outage| outage.restored_since.is_none())
}

/// Whether a picture is an engine's, and not only what a config says: an engine begins with an event.
pub(super) const fn is_known(picture: &Picture) -> bool {
    picture.last_event_at.is_some()
}

/// Whether every component that can be probed has been.
pub(super) fn all_probed(picture: &Picture) -> bool {
    list::cards(picture).all(|(card, component)| !card.observable || component.probed_at.is_some())
}
