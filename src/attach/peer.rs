//! Who somebody is: this process's own person, and the one at the other end of the socket.

use std::time::Duration;

use tokio::net::unix::UCred;

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

/// A process at the other end of the socket, told from a later one that has got its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pid: i32,
    uid: u32,
    /// When it began, in ticks since the machine's start.
    started: u64,
}

impl Process {
    /// The process that connected; `None` where the kernel does not say which, or it has ended. To be asked at once.
    pub(super) fn of(peer: &UCred) -> Option<Self> {
        Self::at(peer.pid()?, peer.uid())
    }

    fn at(pid: i32, uid: u32) -> Option<Self> {
        let process = Self { pid, uid, started: started(pid)? };
        process.lives().then_some(process)
    }

    /// Whether the number still belongs to it, and it to its user.
    fn lives(self) -> bool {
        let own = self.status("Uid:").and_then(|uids| uids.split_whitespace().nth(1)?.parse().ok());
        own == Some(self.uid) && started(self.pid) == Some(self.started)
    }

    /// One line of `/proc/PID/status`; see `proc_pid_status(5)`.
    fn status(self, key: &str) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned)
    }

    /// Who logged in, whatever they became since.
    fn session(self) -> Option<u32> {
        let session = behind(&format!("/proc/{}/loginuid", self.pid));
        session.filter(|_| self.lives())
    }

    /// The numbers of its supplementary groups.
    fn groups(self) -> Vec<u32> {
        let groups = self.status("Groups:").filter(|_| self.lives()).unwrap_or_default();
        groups.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    }
}

/// Field 22 of `/proc/PID/stat`, see `proc_pid_stat(5)`, counted after the name, which may hold anything.
fn started(pid: i32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Who is at the other end of the socket, by what the kernel says of it. `claimed` is who that process says is behind it.
///
/// A user database that does not answer within a second leaves numbers instead of names: those that the kernel tells.
pub(super) async fn identify(
    uid: u32,
    gid: u32,
    process: Option<Process>,
    claimed: Option<String>,
) -> (Person, Credentials) {
    // The kernel answers at once, and for itself.
    let session = process.and_then(Process::session);
    let numbers: Vec<u32> =
        process.map(Process::groups).into_iter().flatten().chain(std::iter::once(gid)).collect();
    let unknown = || {
        let login = unnamed(uid);
        let behind = session.filter(|session| *session != uid);
        let behind = behind.map(|session| Behind { login: unnamed(session), proven: true });
        let credentials = Credentials {
            uid,
            login: login.clone(),
            groups: Vec::new(),
            numbers: numbers.clone(),
            is_looked_up: false,
        };
        (Person { uid, login, behind }, credentials)
    };
    let known = numbers.clone();
    let asked = tokio::task::spawn_blocking(move || look_up(uid, known, session, claimed.as_deref()));
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

fn look_up(
    uid: u32,
    numbers: Vec<u32>,
    session: Option<u32>,
    claimed: Option<&str>,
) -> (Person, Credentials) {
    let user = uzers::get_user_by_uid(uid);
    let login =
        user.as_ref().map_or_else(|| unnamed(uid), |user| clean(&user.name().to_string_lossy(), NAME));
    let listed = user.and_then(|user| uzers::get_user_groups(user.name(), user.primary_group_id()));
    // The last one is the process's own.
    let of_the_process = numbers.last().and_then(|gid| uzers::get_group_by_gid(*gid));
    let groups = listed.into_iter().flatten().chain(of_the_process);
    let mut groups: Vec<String> = groups.map(|group| group.name().to_string_lossy().into_owned()).collect();
    groups.sort();
    groups.dedup();
    let credentials = Credentials { uid, login: login.clone(), groups, numbers, is_looked_up: true };
    (person(uid, login, session, claimed), credentials)
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
        assert_eq!(credentials.numbers, [3_999_999_999]);
        let (person, credentials) = identify(0, 0, Process::at(1, 0), None).await;
        assert_eq!(person.login, "root");
        assert!(credentials.groups.contains(&"root".to_owned()), "{credentials:?}");
    }

    /// A number that was given to somebody else's process proves nothing of who connected.
    #[test]
    fn a_process_that_has_ended_or_is_another_one_proves_nothing() {
        let (pid, uid) = (std::process::id().cast_signed(), rustix::process::geteuid().as_raw());
        let process = Process::at(pid, uid).unwrap();
        assert!(process.lives());
        assert_eq!(process.session(), behind_self());
        let own: Vec<u32> =
            rustix::process::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        assert_eq!(process.groups(), own);
        let later = Process { started: process.started + 1, ..process };
        assert!(!later.lives() && later.session().is_none() && later.groups().is_empty());
        assert_eq!(Process::at(pid, uid + 1), None, "its number belongs to another user");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let brief = Process::at(child.id().cast_signed(), uid).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!brief.lives() && brief.session().is_none());
    }
}
