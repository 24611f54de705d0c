//! What a console says of itself when it attaches.

use crate::{
    attach::{
        peer,
        wire::{Greeting, PROTOCOL},
    },
    domain::Role,
    expression::clean,
};

/// The longest name that is told, in characters.
const LONGEST: usize = 64;

/// This process's greeting: its terminal, and what its environment says of where the person came from.
#[must_use]
pub fn greeting(wants: Role) -> Greeting {
    let variable = |name| std::env::var(name).ok();
    Greeting {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        wants,
        glance: false,
        terminal: terminal(),
        from: host(variable("SSH_CONNECTION"), variable("SSH_CLIENT")),
        behind: peer::myself().behind.map(|behind| clean(&behind.login, LONGEST)),
    }
}

/// The name of the terminal on standard input, or on standard output: `pts/3`.
fn terminal() -> Option<String> {
    let name = rustix::termios::ttyname(rustix::stdio::stdin(), Vec::new())
        .or_else(|_| rustix::termios::ttyname(rustix::stdio::stdout(), Vec::new()))
        .ok()?;
    let name = name.to_string_lossy();
    Some(clean(name.strip_prefix("/dev/").unwrap_or(&name), LONGEST))
}

/// The client's address: the first word of both variables that sshd sets (sshd(8), ssh(1)).
fn host(connection: Option<String>, client: Option<String>) -> Option<String> {
    [connection, client]
        .into_iter()
        .flatten()
        .find_map(|words| words.split_whitespace().next().map(|host| clean(host, LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_sshd_says() {
        let connection = || Some("192.0.2.7 50022 192.0.2.1 22".to_owned());
        assert_eq!(host(connection(), None).as_deref(), Some("192.0.2.7"));
        assert_eq!(
            host(Some(String::new()), Some("2001:db8::7 1 22".to_owned())).as_deref(),
            Some("2001:db8::7")
        );
        assert_eq!(host(None, None), None);
        let hostile = host(Some(format!("\x1b[2J{}", "x".repeat(999))), None).unwrap_or_default();
        assert!(!hostile.contains('\x1b') && hostile.chars().count() <= LONGEST + 1, "{hostile}");
    }
}
