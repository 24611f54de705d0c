//! An engine for tests, which does what it is told and keeps its picture as the real one does.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Listener, Mailbox, Request};
use crate::domain::{
    Command, Event, Moment, Person, Picture, Roster,
    event::{ActEvent, NoticeEvent, Presence, PresenceEvent},
    time::Now,
};

/// Its state; [`Scripted::turn`] does what was asked.
pub(crate) struct Scripted {
    requests: mpsc::UnboundedReceiver<Request>,
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) picture: Picture,
    /// Commands that reached it, and whose they were.
    pub(crate) commands: Vec<(Command, Person)>,
    /// How often a picture was handed over.
    pub(crate) pictures: usize,
}

impl Scripted {
    pub(crate) fn new(mailbox: Mailbox, roster: Arc<Roster>, listener: Box<dyn Listener>) -> Self {
        let picture = Picture::new(roster);
        Self { requests: mailbox.receiver, listener, picture, commands: Vec::new(), pictures: 0 }
    }

    /// Tells an event.
    pub(crate) fn publish(&mut self, event: Event) {
        let event = Arc::new(event);
        self.picture.apply(&event);
        self.listener.event(&event);
    }

    /// Does everything that was asked; says how much that was.
    pub(crate) fn turn(&mut self) -> usize {
        let mut done = 0;
        let moment = Moment::from_nanos(0);
        self.listener.round(&self.picture, Now { moment, wall: chrono::DateTime::UNIX_EPOCH });
        while let Ok(request) = self.requests.try_recv() {
            done += 1;
            let at = chrono::DateTime::UNIX_EPOCH;
            let mut present = self.picture.present.clone();
            match request {
                Request::Command(command, who, refused) => {
                    self.commands.push((command.clone(), who.clone()));
                    match command {
                        Command::Reload => (refused.0)("the script says no".to_owned()),
                        act => self.publish(Event::Act(ActEvent { at, who, act })),
                    }
                }
                Request::Notice { about, standing: false, .. }
                    if !self.picture.notices.contains_key(&about) => {}
                Request::Notice { about, standing, text } => {
                    self.publish(Event::Notice(NoticeEvent { at, about, standing, text }));
                }
                Request::Attached(console) => {
                    present.push(console.clone());
                    let change = Presence::Attached;
                    self.publish(Event::Presence(PresenceEvent { at, change, console, present }));
                }
                Request::Detached(id) => {
                    let Some(place) = present.iter().position(|console| console.id == id) else { continue };
                    let (console, change) = (present.remove(place), Presence::Detached);
                    self.publish(Event::Presence(PresenceEvent { at, change, console, present }));
                }
                Request::Picture if self.listener.wants_picture() => {
                    self.pictures += 1;
                    self.listener.picture(&self.picture);
                }
                _ => {}
            }
        }
        done
    }
}
