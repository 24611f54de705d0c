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
    /// The numbers of the groups that this process is a member of, by the kernel.
    pub numbers: Vec<u32>,
    /// Whether the user database answered. Where not, the names are unknown.
    pub is_looked_up: bool,
}

/// What somebody may do at most, `wants` lowering it; `None` for who may not even look.
///
/// Root and the engine's own user (`own`) operate, and so do the users and members of the groups in `operators`; the other
/// members of `group` watch. Only the name that belongs to the kernel's number counts, never one that somebody's
/// environment tells.
///
/// `open_to` is the number of `group`, once the socket is open to it: the kernel's own word for a membership, which needs no
/// directory. It let no stranger through the socket, so that one of whom nothing more can be found out is a member.
#[must_use]
pub fn role(
    settings: &AgentSettings,
    own: u32,
    open_to: Option<u32>,
    who: &Credentials,
    wants: Role,
) -> Option<Role> {
    let is_member = |group: &String| who.groups.contains(group);
    let is_let_through = || open_to.is_some_and(|number| who.numbers.contains(&number) || !who.is_looked_up);
    let owns = who.uid == 0 || who.uid == own;
    let may = if owns || settings.operators.iter().any(|name| *name == who.login || is_member(name)) {
        Role::Operate
    } else if settings.group.as_ref().is_some_and(|group| is_member(group) || is_let_through()) {
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
        type Row<'a> = (u32, &'a str, &'a [&'a str], Option<Role>, Option<Role>);
        let settings = AgentSettings {
            group: Some("warroom".to_owned()),
            operators: vec!["oncall".to_owned(), "dora".to_owned()],
            two_person: false,
        };
        let bare = AgentSettings::default();
        let (operate, watch) = (Some(Role::Operate), Some(Role::Watch));
        // uid, login, groups; with the settings; without them.
        let table: [Row<'_>; 9] = [
            (0, "root", &["root"], operate, operate),
            (990, "warroom", &["warroom"], operate, operate),
            (1000, "alice", &["users", "warroom", "oncall"], operate, None),
            (1001, "dora", &["warroom"], operate, None),
            (1002, "bob", &["users", "warroom"], watch, None),
            (1003, "eve", &["users"], None, None),
            // By this table an operator need not be in the group; the socket's mode, which asks for it, is the other lock.
            (1004, "olga", &["oncall"], operate, None),
            // A group's name is not a login, and the other way round.
            (1005, "oncall", &[], operate, None),
            (1006, "uid 1006", &[], None, None),
        ];
        for (uid, login, groups, with, without) in table {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let (login, numbers) = (login.to_owned(), Vec::new());
            let who = Credentials { uid, login, groups, numbers, is_looked_up: true };
            assert_eq!(role(&settings, 990, Some(7), &who, Role::Operate), with, "{who:?}");
            assert_eq!(role(&bare, 990, Some(7), &who, Role::Operate), without, "{who:?}");
            let lowered = with.map(|_| Role::Watch);
            assert_eq!(
                role(&settings, 990, None, &who, Role::Watch),
                lowered,
                "{who:?} who only wants to look"
            );
        }
    }

    /// A directory server that is down must not lock out whom the kernel has just let through the group's socket.
    #[test]
    fn whoever_the_kernel_let_through_may_watch_without_a_directory() {
        let settings = AgentSettings {
            group: Some("warroom".to_owned()),
            operators: vec!["oncall".to_owned()],
            two_person: false,
        };
        let who = |numbers: &[u32], is_looked_up| Credentials {
            uid: 1000,
            login: "uid 1000".to_owned(),
            groups: Vec::new(),
            numbers: numbers.to_vec(),
            is_looked_up,
        };
        let role = |open_to, who: &Credentials| role(&settings, 990, open_to, who, Role::Operate);
        assert_eq!(role(Some(70), &who(&[5, 70], false)), Some(Role::Watch), "nobody acts by a number");
        assert_eq!(role(Some(70), &who(&[5, 70], true)), Some(Role::Watch));
        assert_eq!(role(Some(70), &who(&[], false)), Some(Role::Watch), "the kernel alone let them through");
        assert_eq!(role(Some(70), &who(&[5], true)), None, "the directory says that they are no member");
        assert_eq!(role(None, &who(&[5, 70], false)), None, "the socket is open to nobody");
    }
}
