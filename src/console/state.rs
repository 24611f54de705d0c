//! Everything that the screen depends on, and when it changes by time alone.
//!
//! Invariant: drawing changes nothing here but scroll offsets, which are the only [`Cell`]s.

mod change;
mod people;
mod standing;

use std::{cell::Cell, time::Duration};

use chrono::{DateTime, Utc};
use tui_input::Input;
use tui_logger::TuiWidgetState;

use super::{
    acknowledge::TakeOver,
    action::Place,
    keys::KeyMap,
    list::{self, ListLine},
    status::Status,
    theme::{Theme, Themes},
};
use crate::domain::{Attached, ComponentId, Moment, Picture, Since, Tier, time::Now};

/// How long a remark stays in the footer.
const REMARK: Duration = Duration::from_secs(3);
/// How long one stays that says more than what a key has just done.
const LONG_REMARK: Duration = Duration::from_secs(8);
/// How long a question waits for the same key once more.
const QUESTION: Duration = Duration::from_secs(6);
/// How long the line about what happened since somebody last looked stays, if no key is pressed.
const SINCE: Duration = Duration::from_mins(2);

/// What the whole screen shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// View 1.
    WarRoom,
    /// View 8.
    Log,
}

/// A panel that has the whole screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zoom {
    /// One tier.
    Tier(Tier),
    /// The events.
    Events,
}

/// What lies over the view.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// All keys.
    Help,
    /// Actions by name.
    Palette {
        /// What was typed.
        input: Input,
        /// Which of the matching ones is chosen.
        chosen: usize,
    },
    /// What the last examination of the whole chain found.
    Diagnosis,
    /// Themes, with a preview.
    Themes {
        /// The one to return to.
        before: usize,
    },
}

/// What a key asks before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Leave, though others watch an engine that ends with this console.
    Leave,
    /// Look after an outage in place of who does.
    TakeOver(TakeOver),
}

/// A screen that does not follow.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// What it shows.
    pub picture: Picture,
    /// Since when.
    pub at: Now,
}

/// Everything that the screen depends on.
#[derive(Debug)]
pub struct State {
    /// What the engine has told.
    pub picture: Picture,
    /// What is shown instead while the screen is frozen.
    pub frozen: Option<Frozen>,
    /// The view.
    pub view: View,
    /// The component whose detail is open.
    pub detail: Option<ComponentId>,
    /// First line of the detail, or of the help, that is shown.
    pub scroll: Cell<usize>,
    /// The component on which the cursor stands; `None` follows the first of the list.
    pub selected: Option<ComponentId>,
    /// First line of the list that is shown.
    pub offset: Cell<usize>,
    /// Height of the list when it was last drawn.
    pub page: Cell<usize>,
    /// The filter's text.
    pub filter: Input,
    /// Whether the filter is being typed.
    pub filtering: bool,
    /// The panel that has the whole screen.
    pub zoom: Option<Zoom>,
    /// What lies over the view.
    pub overlay: Option<Overlay>,
    /// Whether an examination was asked for and has not ended.
    pub examining: bool,
    /// A remark in the footer, and until when.
    pub remark: Option<(String, Moment)>,
    /// What is done when the same key comes once more, and until when.
    pub asked: Option<(Question, Moment)>,
    /// Why there is no engine any longer.
    pub stopped: Option<String>,
    /// Whether events were lost and the new picture has not come yet.
    pub lagging: bool,
    /// Why there is no connection to the engine now; it is tried again.
    pub lost: Option<String>,
    /// When news ended: the engine stopped, or the connection to it was lost.
    pub cut_off: Option<Now>,
    /// As whom the engine knows this console.
    pub me: Option<Attached>,
    /// What happened since this person last looked, until it was read, and until when it is shown at most.
    pub since: Option<(Since, Moment)>,
    /// The themes that can be chosen.
    pub themes: Themes,
    /// Place of the theme in use.
    pub chosen_theme: usize,
    /// Which key does what.
    pub keys: KeyMap,
    /// The log view's own state.
    pub log: LogState,
}

/// tui-logger's state, which it keeps to itself.
pub struct LogState(pub TuiWidgetState);

impl std::fmt::Debug for LogState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LogState")
    }
}

impl State {
    /// The screen before anything was told or pressed.
    #[must_use]
    pub fn new(picture: Picture, themes: Themes, chosen_theme: usize, keys: KeyMap) -> Self {
        Self {
            picture,
            frozen: None,
            view: View::WarRoom,
            detail: None,
            scroll: Cell::new(0),
            selected: None,
            offset: Cell::new(0),
            page: Cell::new(1),
            filter: Input::default(),
            filtering: false,
            zoom: None,
            overlay: None,
            examining: false,
            remark: None,
            asked: None,
            stopped: None,
            lagging: false,
            lost: None,
            cut_off: None,
            me: None,
            since: None,
            themes,
            chosen_theme,
            keys,
            log: LogState(TuiWidgetState::new()),
        }
    }

    /// How everything looks.
    #[must_use]
    pub fn theme(&self) -> &Theme {
        let all = self.themes.all();
        &all[self.chosen_theme.min(all.len() - 1)]
    }

    /// What is shown, and the time at which it was so.
    #[must_use]
    pub fn shown(&self, now: Now) -> (&Picture, DateTime<Utc>) {
        match &self.frozen {
            Some(frozen) => (&frozen.picture, frozen.picture.corrected(frozen.at.wall)),
            None => (&self.picture, self.picture.corrected(now.wall)),
        }
    }

    /// What is shown.
    #[must_use]
    pub fn shown_picture(&self) -> &Picture {
        self.frozen.as_ref().map_or(&self.picture, |frozen| &frozen.picture)
    }

    /// Where a person is.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self.view {
            View::Log => Place::Log,
            View::WarRoom if self.detail.is_some() => Place::Detail,
            View::WarRoom => Place::WarRoom,
        }
    }

    /// Whether the banner of an open outage can be seen.
    #[must_use]
    pub fn shows_banner(&self) -> bool {
        self.view == View::WarRoom
            && self.detail.is_none()
            && self.zoom != Some(Zoom::Events)
            && !matches!(self.overlay, Some(Overlay::Help | Overlay::Diagnosis))
    }

    /// Whether a text field is open, which takes characters as text.
    #[must_use]
    pub const fn is_typing(&self) -> bool {
        self.filtering || matches!(self.overlay, Some(Overlay::Palette { .. }))
    }

    /// The list as it is filtered and zoomed now.
    #[must_use]
    pub fn lines(&self) -> Vec<ListLine> {
        let only = match self.zoom {
            Some(Zoom::Tier(tier)) => Some(tier),
            _ => None,
        };
        list::lines(self.shown_picture(), self.filter.value(), only)
    }

    /// The line on which the cursor stands.
    #[must_use]
    pub fn cursor(&self, lines: &[ListLine]) -> Option<usize> {
        let roster = &self.shown_picture().roster;
        let chosen = self.selected.as_ref().and_then(|id| {
            lines.iter().position(
                |line| matches!(line, ListLine::Component(place) if roster.components[*place].id == *id),
            )
        });
        chosen.or_else(|| lines.iter().position(|line| matches!(line, ListLine::Component(_))))
    }

    /// The component on which the cursor stands.
    #[must_use]
    pub fn selection(&self) -> Option<usize> {
        let lines = self.lines();
        match lines[self.cursor(&lines)?] {
            ListLine::Component(place) => Some(place),
            ListLine::Tier(_) => None,
        }
    }

    /// The component whose detail is open, or on which the cursor stands.
    #[must_use]
    pub fn concerned(&self) -> Option<usize> {
        match &self.detail {
            Some(id) => self.shown_picture().position(id),
            None => self.selection(),
        }
    }

    /// Says something in the footer for a moment.
    pub fn say(&mut self, remark: impl Into<String>, now: Now) {
        self.remark = Some((remark.into(), now.moment + REMARK));
    }

    /// Says something that takes longer to read.
    pub fn say_at_length(&mut self, remark: impl Into<String>, now: Now) {
        self.remark = Some((remark.into(), now.moment + LONG_REMARK));
    }

    /// Asks for the same key once more.
    pub(super) fn ask(&mut self, question: Question, words: String, now: Now) {
        let until = now.moment + QUESTION;
        self.remark = Some((words, until));
        self.asked = Some((question, until));
    }

    /// Whether this was asked a moment ago.
    pub(super) fn was_asked(&self, question: &Question, now: Now) -> bool {
        self.asked.as_ref().is_some_and(|(asked, until)| asked == question && now.moment < *until)
    }

    /// Shows what happened since this person last looked.
    pub(super) fn show_since(&mut self, since: Since, now: Now) {
        self.since = Some((since, now.moment + SINCE));
    }

    /// Forgets what was shown for a time that is over.
    pub(super) fn expire(&mut self, now: Now) {
        self.remark.take_if(|(_, until)| *until <= now.moment);
        self.asked.take_if(|(_, until)| *until <= now.moment);
        self.since.take_if(|(_, until)| *until <= now.moment);
    }

    /// The terminal's title: the worst state and the open outages.
    #[must_use]
    pub fn title(&self) -> String {
        let picture = &self.picture;
        let open: Vec<_> = list::cards(picture)
            .filter(|(_, component)| component.outage.is_some())
            .map(|(card, _)| card)
            .collect();
        let demo = if picture.roster.demo { "DEMO " } else { "" };
        match open.as_slice() {
            _ if self.lost.is_some() => format!("warroom: {demo}NOT CONNECTED"),
            [] if self.stopped.is_some() => format!("warroom: {demo}NOT MEASURING"),
            [] => format!("warroom: {demo}{}", sentence(list::worst(picture))),
            [one] => format!("warroom: {demo}1 outage: {}", one.name),
            several => format!("warroom: {demo}{} outages: {}", several.len(), several[0].name),
        }
    }
}

const fn sentence(worst: Status) -> &'static str {
    match worst {
        Status::Up => "all up",
        other => other.word(),
    }
}
