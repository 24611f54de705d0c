//! Who somebody is: this process's own person, and the one at the other end of the socket.

use std::time::Duration;

use super::access::Credentials;
use crate::{
    domain::{Behind, Person},
    expression::clean,
};

/// How long the machine's user database, which may be a directory server far away, has to say who somebody is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much of a name is kept, in characters.
const NAME: usize = 64;
/// What the kernel says where nobody has logged in (`audit_login_uid` of proc(5) unset: all bits).
const NOBODY: u32 = u32::MAX;

/// The person of this process.
#[must_use]
pub fn myself() -> Person {
    let uid = rustix::process::getuid().as_raw();
    let claimed = std::env::var("SUDO_USER").ok();
    person(uid, login(uid), behind_self(), claimed.as_deref())
}

/// The login name of a user. Blocks where the machine asks a directory server.
#[must_use]
pub fn login(uid: u32) -> String {
    uzers::get_user_by_uid(uid)
        .map_or_else(|| unnamed(uid), |user| clean(&user.name().to_string_lossy(), NAME))
}

/// Who is at the other end of the socket, by what the kernel says of it. `claimed` is who that process says is behind it.
///
/// A user database that does not answer within a second leaves numbers instead of names, and no groups.
pub(super) async fn identify(
    uid: u32,
    gid: u32,
    pid: Option<i32>,
    claimed: Option<String>,
) -> (Person, Credentials) {
    let unknown = || {
        let login = unnamed(uid);
        let credentials = Credentials { uid, login: login.clone(), groups: Vec::new() };
        (Person { uid, login, behind: None }, credentials)
    };
    let asked = tokio::task::spawn_blocking(move || look_up(uid, gid, pid, claimed.as_deref()));
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            tracing::warn!(uid, %error, "the machine's user database cannot be asked");
            unknown()
        }
        Err(_) => {
            tracing::warn!(
                uid,
                "the machine's user database does not answer; this user is known by number alone"
            );
            unknown()
        }
    }
}

fn look_up(uid: u32, gid: u32, pid: Option<i32>, claimed: Option<&str>) -> (Person, Credentials) {
    let user = uzers::get_user_by_uid(uid);
    let login =
        user.as_ref().map_or_else(|| unnamed(uid), |user| clean(&user.name().to_string_lossy(), NAME));
    let listed = user.and_then(|user| uzers::get_user_groups(user.name(), user.primary_group_id()));
    let of_the_process = uzers::get_group_by_gid(gid);
    let groups = listed.into_iter().flatten().chain(of_the_process);
    let mut groups: Vec<String> = groups.map(|group| group.name().to_string_lossy().into_owned()).collect();
    groups.sort();
    groups.dedup();
    let credentials = Credentials { uid, login: login.clone(), groups };
    (person(uid, login, pid.and_then(|pid| behind(&format!("/proc/{pid}/loginuid"))), claimed), credentials)
}

/// Puts together what is known of somebody: `session` is the user who logged in, by the kernel.
fn person(uid: u32, login: String, session: Option<u32>, claimed: Option<&str>) -> Person {
    let behind = match session {
        // The kernel knows who logged in: whatever else is claimed does not count.
        Some(session) if session == uid => None,
        Some(session) => Some(Behind { login: self::login(session), proven: true }),
        None => claimed
            .map(|name| clean(name.trim(), NAME))
            .filter(|name| !name.is_empty() && *name != login)
            .map(|login| Behind { login, proven: false }),
    };
    Person { uid, login, behind }
}

fn behind_self() -> Option<u32> {
    behind("/proc/self/loginuid")
}

/// Whom the kernel's audit knows to have logged in, whatever they became since; `None` where it does not say.
fn behind(path: &str) -> Option<u32> {
    let uid = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (uid != NOBODY).then_some(uid)
}

fn unnamed(uid: u32) -> String {
    format!("uid {uid}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn only_the_kernel_proves_who_is_behind_a_shared_user() {
        let root = || "root".to_owned();
        let proven = person(0, root(), Some(4_000_000), Some("mallory"));
        assert_eq!(proven.to_string(), "uid 4000000 as root");
        let claimed = person(0, root(), None, Some("alice"));
        assert_eq!(claimed.to_string(), "alice? as root");
        assert_eq!(person(0, root(), Some(0), Some("mallory")).behind, None, "root logged in as root");
        assert_eq!(person(0, root(), None, Some("root")).behind, None);
        assert_eq!(person(0, root(), None, Some("  ")).behind, None);
    }

    #[test]
    fn a_claimed_name_cannot_move_the_cursor() {
        let claimed = person(0, "root".to_owned(), None, Some("a\u{1b}[2J\u{202e}b\nc"));
        assert_eq!(claimed.behind.unwrap().login, "a·[2J·b c");
        let long = "x".repeat(1_000);
        assert!(person(0, "root".to_owned(), None, Some(&long)).behind.unwrap().login.len() < 80);
    }

    #[tokio::test]
    async fn a_user_whom_the_machine_does_not_know_has_a_number() {
        let (person, credentials) = identify(3_999_999_999, 3_999_999_999, None, None).await;
        assert_eq!(person.login, "uid 3999999999");
        assert!(credentials.groups.is_empty());
        let (person, credentials) = identify(0, 0, Some(1), None).await;
        assert_eq!(person.login, "root");
        assert!(credentials.groups.contains(&"root".to_owned()), "{credentials:?}");
    }
}
