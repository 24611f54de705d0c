//! Who somebody is: this process's own person, and the one at the other end of the socket.

use crate::domain::{Behind, Person};

/// The person of this process.
#[must_use]
pub fn myself() -> Person {
    let uid = rustix::process::getuid().as_raw();
    let login = login(uid);
    let behind = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty() && *name != login);
    Person { uid, behind: behind.map(|login| Behind { login, proven: false }), login }
}

/// The login name of a user. Blocks where the machine asks a directory server.
#[must_use]
pub fn login(uid: u32) -> String {
    uzers::get_user_by_uid(uid)
        .map_or_else(|| format!("uid {uid}"), |user| user.name().to_string_lossy().into_owned())
}
