//! Who may attach, and what they may do: one pure function of the settings and of what the kernel says of somebody.

use crate::{config::model::AgentSettings, domain::Role};

/// What the kernel and the machine's user database say of the process at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user's number, by the kernel.
    pub uid: u32,
    /// The login name of that number.
    pub login: String,
    /// The names of the groups that this user is a member of.
    pub groups: Vec<String>,
}

/// What somebody may do at most, `wants` lowering it; `None` for who may not even look.
///
/// Root and the engine's own user (`own`) operate, and so do the users and members of the groups in `operators`; the other
/// members of `group` watch. Only the name that belongs to the kernel's number counts, never one that somebody's
/// environment tells.
#[must_use]
pub fn role(settings: &AgentSettings, own: u32, who: &Credentials, wants: Role) -> Option<Role> {
    let is_member = |group: &String| who.groups.contains(group);
    let owns = who.uid == 0 || who.uid == own;
    let may = if owns || settings.operators.iter().any(|name| *name == who.login || is_member(name)) {
        Role::Operate
    } else if settings.group.as_ref().is_some_and(is_member) {
        Role::Watch
    } else {
        return None;
    };
    Some(may.min(wants))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever may only look must not be able to act by asking for it, and a stranger sees nothing.
    #[test]
    fn roles_follow_the_table() {
        let settings = AgentSettings {
            group: Some("warroom".to_owned()),
            operators: vec!["oncall".to_owned(), "dora".to_owned()],
            two_person: false,
        };
        let bare = AgentSettings::default();
        let (operate, watch) = (Some(Role::Operate), Some(Role::Watch));
        // uid, login, groups; with the settings; without them.
        let table: [(u32, &str, &[&str], Option<Role>, Option<Role>); 9] = [
            (0, "root", &["root"], operate, operate),
            (990, "warroom", &["warroom"], operate, operate),
            (1000, "alice", &["users", "warroom", "oncall"], operate, None),
            (1001, "dora", &["warroom"], operate, None),
            (1002, "bob", &["users", "warroom"], watch, None),
            (1003, "eve", &["users"], None, None),
            // An operator need not be in the group: the socket's mode is the other lock.
            (1004, "olga", &["oncall"], operate, None),
            // A group's name is not a login, and the other way round.
            (1005, "oncall", &[], operate, None),
            (1006, "uid 1006", &[], None, None),
        ];
        for (uid, login, groups, with, without) in table {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let who = Credentials { uid, login: login.to_owned(), groups };
            assert_eq!(role(&settings, 990, &who, Role::Operate), with, "{who:?}");
            assert_eq!(role(&bare, 990, &who, Role::Operate), without, "{who:?}");
            let lowered = with.map(|_| Role::Watch);
            assert_eq!(role(&settings, 990, &who, Role::Watch), lowered, "{who:?} who only wants to look");
        }
    }
}
