//! Logins against real sockets: one token for all probes of a platform; a login that fails is the platform's state, never
//! an outage; no secret and no token in any word.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "login/cloud.rs"]
mod cloud;
#[expect(dead_code, reason = "the probes' tests ask it for more")]
#[path = "probe/server.rs"]
mod server;

#[path = "login/answers.rs"]
mod answers;
#[path = "login/cxone.rs"]
mod cxone;
#[path = "login/outages.rs"]
mod outages;
#[path = "login/renewal.rs"]
mod renewal;
#[path = "login/secrecy.rs"]
mod secrecy;
#[path = "login/sessions.rs"]
mod sessions;
