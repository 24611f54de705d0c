//! The one table of what a key can do here: footer, help and command palette are all derived from it.
//!
//! Invariant: in one place, one key means one thing; [`crate::console::keys`] refuses anything else.

use tui_logger::TuiWidgetEvent;

use crate::domain::Role;

/// What a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Show all keys.
    Help,
    /// Leave.
    Quit,
    /// Narrow the list.
    Filter,
    /// Type an action's name.
    Palette,
    /// Probe the selected component now.
    ProbeNow,
    /// Examine the whole chain.
    Diagnose,
    /// Say that one looks after an open outage.
    Acknowledge,
    /// Copy a short summary of the incident.
    Copy,
    /// Have the engine read its config again.
    Reload,
    /// Open the selected component.
    Open,
    /// Go back.
    Back,
    /// Stop or follow.
    Freeze,
    /// Give one panel the whole screen.
    Zoom,
    /// Choose a theme.
    Theme,
    /// Go to a view, by its number.
    View(u8),
    /// Go to the next view that is built.
    NextView,
    /// One line down.
    Down,
    /// One line up.
    Up,
    /// To the first line.
    Top,
    /// To the last line.
    Bottom,
    /// One page down.
    PageDown,
    /// One page up.
    PageUp,
    /// Draw every cell again.
    Redraw,
    /// Stop until a shell continues us.
    Suspend,
    /// A key of the log view.
    Log(LogKey),
}

impl Action {
    /// What somebody must be allowed to ask for it; `None` where the console alone is concerned.
    #[must_use]
    pub const fn needs(self) -> Option<Role> {
        match self {
            Self::Acknowledge | Self::ProbeNow | Self::Diagnose | Self::Reload => Some(Role::Operate),
            _ => None,
        }
    }

    /// Whether it only moves in what is shown.
    #[must_use]
    pub const fn is_movement(self) -> bool {
        match self {
            Self::Down | Self::Up | Self::Top | Self::Bottom | Self::PageDown | Self::PageUp => true,
            Self::Log(key) => {
                matches!(key, LogKey::Previous | LogKey::Next | LogKey::OlderPage | LogKey::NewerPage)
            }
            _ => false,
        }
    }
}

/// What the log view's own keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table below describes each")]
pub enum LogKey {
    Previous,
    Next,
    LessShown,
    MoreShown,
    LessKept,
    MoreKept,
    OlderPage,
    NewerPage,
    Follow,
    Focus,
    Targets,
    HideOff,
}

impl LogKey {
    /// The same for tui-logger.
    #[must_use]
    pub const fn event(self) -> TuiWidgetEvent {
        match self {
            Self::Previous => TuiWidgetEvent::UpKey,
            Self::Next => TuiWidgetEvent::DownKey,
            Self::LessShown => TuiWidgetEvent::LeftKey,
            Self::MoreShown => TuiWidgetEvent::RightKey,
            Self::LessKept => TuiWidgetEvent::MinusKey,
            Self::MoreKept => TuiWidgetEvent::PlusKey,
            Self::OlderPage => TuiWidgetEvent::PrevPageKey,
            Self::NewerPage => TuiWidgetEvent::NextPageKey,
            Self::Follow => TuiWidgetEvent::EscapeKey,
            Self::Focus => TuiWidgetEvent::FocusKey,
            Self::Targets => TuiWidgetEvent::HideKey,
            Self::HideOff => TuiWidgetEvent::SpaceKey,
        }
    }
}

/// Where a person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// View 1.
    WarRoom,
    /// A component's detail.
    Detail,
    /// View 8.
    Log,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WarRoom, Self::Detail, Self::Log];

    /// As a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::WarRoom => "war room",
            Self::Detail => "component",
            Self::Log => "log",
        }
    }
}

const EVERYWHERE: &[Place] = &Place::ALL;
const WAR_ROOM: &[Place] = &[Place::WarRoom];
const COMPONENTS: &[Place] = &[Place::WarRoom, Place::Detail];
const LOG: &[Place] = &[Place::Log];

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it does.
    pub action: Action,
    /// Its name in `keys.toml`.
    pub name: &'static str,
    /// Its name on screens.
    pub title: &'static str,
    /// The keys that do it unless `keys.toml` says otherwise; none where its name in the palette is enough.
    pub keys: &'static [&'static str],
    /// Where it works.
    pub places: &'static [Place],
    /// The word in the footer; the footer leaves it out where this is empty.
    pub footer: &'static str,
    /// One sentence for the help.
    pub help: &'static str,
}

impl Entry {
    /// Whether this version has built what it leads to.
    #[must_use]
    pub const fn is_built(&self) -> bool {
        !matches!(self.action, Action::View(2..=7))
    }

    /// Whether it works in a place.
    #[must_use]
    pub fn works_in(&self, place: Place) -> bool {
        self.places.contains(&place)
    }
}

/// The line of an action that the table holds.
#[must_use]
pub fn entry(action: Action) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.action == action)
}

macro_rules! table {
    ($($action:expr, $name:literal, $title:literal, [$($key:literal),*], $places:expr, $footer:literal, $help:literal;)*) => {
        &[$(Entry {
            action: $action, name: $name, title: $title, keys: &[$($key),*], places: $places, footer: $footer, help: $help,
        }),*]
    };
}

/// Every action, in the order of the footer and the help.
pub const TABLE: &[Entry] = table! {
    Action::Help, "help", "help", ["?"], EVERYWHERE, "help", "Show what the keys do here.";
    Action::Quit, "quit", "quit", ["q"], EVERYWHERE, "quit", "Leave; an agent goes on measuring, and a console's own measuring ends with it.";
    Action::Open, "open", "open the component", ["enter"], WAR_ROOM, "open", "Show the journey, dependencies and last recoveries of the selected component.";
    Action::Back, "back", "go back", ["esc"], COMPONENTS, "", "Close what is open; clear the filter; end the zoom.";
    Action::Acknowledge, "acknowledge", "acknowledge the outage", ["a"], COMPONENTS, "ack", "Say that you look after the selected open outage, or after the only one; everybody sees it.";
    Action::Copy, "copy", "copy a summary", ["c"], EVERYWHERE, "copy", "Copy a short summary of what is open to the terminal's clipboard, and write it to a file.";
    Action::ProbeNow, "probe-now", "probe now", ["p"], COMPONENTS, "probe", "Probe the component at once, besides its schedule.";
    Action::Diagnose, "diagnose", "examine the whole chain", ["i"], EVERYWHERE, "", "Examine names, TLS, logins, permissions, each step, clock, disk and load once, and say what to do about each trouble.";
    Action::Filter, "filter", "filter", ["/"], WAR_ROOM, "filter", "Show only components whose name, id, platform or state contains a text.";
    Action::Palette, "palette", "command palette", [":"], EVERYWHERE, "command", "Choose an action by its name.";
    Action::Freeze, "freeze", "freeze the screen", ["space"], COMPONENTS, "freeze", "Stop the screen, or follow again; measuring goes on.";
    Action::Zoom, "zoom", "zoom a panel", ["z"], WAR_ROOM, "zoom", "Show one tier alone, then the events alone, then everything again.";
    Action::Theme, "theme", "choose a theme", ["shift-t"], EVERYWHERE, "theme", "Choose how the screen looks, with a preview.";
    Action::Reload, "reload", "read the config again", [], EVERYWHERE, "", "Have the engine read its config again and go on with it; one with mistakes is refused, and the old one stays.";
    Action::View(1), "view-war-room", "war room", ["1"], EVERYWHERE, "", "Every component by tier, open outages first.";
    Action::View(2), "view-drill", "drill", ["2"], EVERYWHERE, "", "Comes with a later version.";
    Action::View(3), "view-heatmap", "heatmap", ["3"], EVERYWHERE, "", "Comes with a later version.";
    Action::View(4), "view-distribution", "distribution", ["4"], EVERYWHERE, "", "Comes with a later version.";
    Action::View(5), "view-failovers", "failovers", ["5"], EVERYWHERE, "", "Comes with a later version.";
    Action::View(6), "view-trends", "trends", ["6"], EVERYWHERE, "", "Comes with a later version.";
    Action::View(7), "view-incidents", "incidents", ["7"], EVERYWHERE, "", "Comes with a later version.";
    Action::View(8), "view-log", "log", ["8"], EVERYWHERE, "log", "What warroom itself has to say, with a level for each target.";
    Action::NextView, "next-view", "next view", ["tab"], EVERYWHERE, "", "Go to the next view.";
    Action::Down, "down", "down", ["j", "down"], COMPONENTS, "", "One line down.";
    Action::Up, "up", "up", ["k", "up"], COMPONENTS, "", "One line up.";
    Action::Top, "top", "to the first line", ["g", "home"], COMPONENTS, "", "To the first line.";
    Action::Bottom, "bottom", "to the last line", ["shift-g", "end"], COMPONENTS, "", "To the last line.";
    Action::PageDown, "page-down", "one page down", ["pagedown", "ctrl-d"], COMPONENTS, "", "One page down.";
    Action::PageUp, "page-up", "one page up", ["pageup", "ctrl-u"], COMPONENTS, "", "One page up.";
    Action::Log(LogKey::Previous), "log-previous", "previous target", ["up", "k"], LOG, "target", "Select the target above.";
    Action::Log(LogKey::Next), "log-next", "next target", ["down", "j"], LOG, "", "Select the target below.";
    Action::Log(LogKey::LessShown), "log-show-less", "show less", ["left"], LOG, "less", "Show fewer levels of the selected target.";
    Action::Log(LogKey::MoreShown), "log-show-more", "show more", ["right"], LOG, "more", "Show more levels of the selected target.";
    Action::Log(LogKey::LessKept), "log-keep-less", "keep less", ["-"], LOG, "", "Record fewer levels of the selected target.";
    Action::Log(LogKey::MoreKept), "log-keep-more", "keep more", ["+"], LOG, "", "Record more levels of the selected target.";
    Action::Log(LogKey::OlderPage), "log-older", "older lines", ["pageup"], LOG, "older", "Scroll to older lines.";
    Action::Log(LogKey::NewerPage), "log-newer", "newer lines", ["pagedown"], LOG, "", "Scroll to newer lines.";
    Action::Log(LogKey::Follow), "log-follow", "follow", ["esc"], LOG, "follow", "Follow the newest line again.";
    Action::Log(LogKey::Focus), "log-focus", "only this target", ["f"], LOG, "focus", "Show the selected target alone, or all.";
    Action::Log(LogKey::Targets), "log-targets", "hide the targets", ["h"], LOG, "targets", "Hide or show the list of targets.";
    Action::Log(LogKey::HideOff), "log-hide-off", "hide silent targets", ["space"], LOG, "", "Hide or show targets that are off.";
    Action::Redraw, "redraw", "draw again", ["ctrl-l"], EVERYWHERE, "", "Draw every cell again.";
    Action::Suspend, "suspend", "suspend", ["ctrl-z"], EVERYWHERE, "", "Give the terminal back to the shell; `fg` returns.";
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_actions_are_unique() {
        let names: HashSet<_> = TABLE.iter().map(|entry| entry.name).collect();
        let actions: HashSet<_> = TABLE.iter().map(|entry| entry.action).collect();
        assert_eq!((names.len(), actions.len()), (TABLE.len(), TABLE.len()));
    }

    #[test]
    fn later_versions_keys_are_free() {
        for key in ["d", "x", "m"] {
            assert!(TABLE.iter().all(|entry| !entry.keys.contains(&key)), "{key}");
        }
    }
}
