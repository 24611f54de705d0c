//! Who is here, who this console belongs to, and what it may do.
//!
//! Invariant: whom the engine has not named is nobody; a picture that is old says nothing of who is here.

use chrono::{DateTime, Utc};

use super::State;
use crate::{
    console::{
        action::{Action, Entry},
        text,
    },
    domain::{Person, Role, picture::Acknowledged},
};

impl State {
    /// Whether this console may only look.
    #[must_use]
    pub fn only_watches(&self) -> bool {
        self.me.as_ref().is_some_and(|me| me.role < Role::Operate)
    }

    /// Whether somebody is who sits before this screen.
    #[must_use]
    pub fn is_me(&self, who: &Person) -> bool {
        self.me.as_ref().is_some_and(|me| me.who.key() == who.key())
    }

    /// `you`, or who it is.
    #[must_use]
    pub fn name_of(&self, who: &Person) -> String {
        if self.is_me(who) { "you".to_owned() } else { who.to_string() }
    }

    /// Who is here besides oneself, everybody once, in the order in which they came.
    #[must_use]
    pub fn others(&self) -> Vec<&Person> {
        let mut others: Vec<&Person> = Vec::new();
        if self.me.is_none() || self.cut_off.is_some() {
            return others;
        }
        for console in &self.picture.present {
            let who = &console.who;
            if !self.is_me(who) && others.iter().all(|known| known.key() != who.key()) {
                others.push(who);
            }
        }
        others
    }

    /// Who would see nothing any more if this console ended: `bob`, `bob and 2 others`; `None` where nobody would.
    #[must_use]
    pub fn depends_on_me(&self) -> Option<String> {
        let me = self.me.as_ref().filter(|me| me.is_host && self.stopped.is_none())?;
        let others = self.others();
        match others.as_slice() {
            [] if self.picture.present.iter().any(|console| console.id != me.id) => {
                Some("another console of yours watches".to_owned())
            }
            [] => None,
            [one] => Some(format!("{one} watches")),
            [first, second] => Some(format!("{first} and {second} watch")),
            [first, rest @ ..] => Some(format!("{first} and {} others watch", rest.len())),
        }
    }

    /// `acknowledged by bob 14:32`.
    #[must_use]
    pub fn acknowledgement(&self, known: &Acknowledged, today: DateTime<Utc>) -> String {
        format!("acknowledged by {} {}", self.name_of(&known.who), text::time_short(known.at, today))
    }

    /// Why an action cannot be done by this console now; `None` where it can.
    #[must_use]
    pub fn barred(&self, action: Action) -> Option<String> {
        action.needs()?;
        let nothing = match action {
            Action::Acknowledge => "nothing is acknowledged",
            Action::Diagnose => "nothing is examined",
            Action::Reload => "no config is read",
            _ => "nothing is probed",
        };
        if self.only_watches() {
            return Some(format!("{nothing}: {}", crate::console::words::WHO_MAY_ACT));
        }
        if self.stopped.is_some() {
            return Some(format!("{nothing}: the engine has stopped"));
        }
        self.lost.as_ref().map(|_| format!("{nothing}: not connected to the engine, which is tried again"))
    }

    /// Whether the footer offers an action: it can be done, and there is something to do it to.
    #[must_use]
    pub fn offers(&self, entry: &Entry) -> bool {
        let picture = self.shown_picture();
        let has_object = match (entry.action, &self.detail) {
            (Action::Acknowledge, Some(id)) => {
                picture.position(id).is_some_and(|place| picture.components[place].outage.is_some())
            }
            (Action::Acknowledge, None) => {
                picture.components.iter().any(|component| component.outage.is_some())
            }
            _ => true,
        };
        has_object && entry.works_in(self.place()) && self.barred(entry.action).is_none()
    }
}
