//! Tokens of the simulated platforms: each says by itself when it was issued and by which request, and proves that it
//! is one of this simulation. Nothing has to be remembered of them.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::scenario::Settings;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests.
    Access,
    /// Getting a new one.
    Refresh,
}

/// A token that this simulation issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The number of the request that it was issued to: its identity.
    pub(super) serial: u64,
    /// After the start.
    pub(super) issued: Duration,
}

/// Issues tokens and knows its own again.
#[derive(Debug)]
pub(super) struct Mint {
    pub(super) seed: u64,
}

impl Mint {
    /// A token for a platform, as Genesys Cloud writes them: opaque.
    pub(super) fn opaque(&self, platform: &str, kind: Kind, token: Token) -> String {
        let issued = token.issued.as_millis() as u64;
        let word = if kind == Kind::Access { "token" } else { "refresh" };
        format!("sim-{platform}-{word}-{issued}-{}-{:016x}", token.serial, self.check(platform, kind, token))
    }

    /// A token with claims, as `CXone` writes them: a JWT (RFC 7519), whose signature is this simulation's own.
    pub(super) fn claims(
        &self,
        platform: &str,
        kind: Kind,
        token: Token,
        settings: &Settings,
        issued: i64,
    ) -> String {
        let life = i64::try_from(settings.token_life.as_secs()).unwrap_or(i64::MAX);
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({ "alg": "none", "typ": "JWT" }));
        let payload = part(json!({
            "iss": "https://simulated.invalid",
            "tenantId": settings.organization,
            "iat": issued,
            "exp": issued.saturating_add(life),
        }));
        format!("{header}.{payload}.{}", self.opaque(platform, kind, token))
    }

    /// The token behind a text, if this simulation issued it for that platform and purpose.
    pub(super) fn recognise(&self, platform: &str, kind: Kind, text: &str) -> Option<Token> {
        let opaque = text.rsplit_once('.').map_or(text, |(_, signature)| signature);
        let word = if kind == Kind::Access { "-token-" } else { "-refresh-" };
        let rest = opaque.strip_prefix("sim-")?.strip_prefix(platform)?.strip_prefix(word)?;
        let mut parts = rest.split('-');
        let issued = Duration::from_millis(parts.next()?.parse().ok()?);
        let serial = parts.next()?.parse().ok()?;
        let check = u64::from_str_radix(parts.next()?, 16).ok()?;
        let token = Token { serial, issued };
        (parts.next().is_none() && check == self.check(platform, kind, token)).then_some(token)
    }

    /// What only this simulation can write under a token. Enough for a simulation; no cryptography.
    fn check(&self, platform: &str, kind: Kind, token: Token) -> u64 {
        let mut random = fastrand::Rng::with_seed(self.seed ^ token.serial.rotate_left(17));
        let mut check =
            random.u64(..) ^ (token.issued.as_millis() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in platform.bytes().chain([kind as u8]) {
            check = (check.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        check
    }
}

/// The user and password of a `Basic` authorization (RFC 7617).
pub(super) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    // NICE asks for percent-encoding before base64; Genesys Cloud's ids hold nothing that it would change.
    let plain = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    Some((plain(user), plain(password)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    #[test]
    fn a_token_is_good_for_its_platform_purpose_and_simulation_alone() {
        let mint = Mint { seed: 7 };
        let token = Token { serial: 12, issued: Duration::from_millis(34_567) };
        let text = mint.opaque("genesys", Kind::Access, token);
        assert_eq!(mint.recognise("genesys", Kind::Access, &text), Some(token));
        assert_eq!(mint.recognise("cxone", Kind::Access, &text), None);
        assert_eq!(mint.recognise("genesys", Kind::Refresh, &text), None);
        assert_eq!(Mint { seed: 8 }.recognise("genesys", Kind::Access, &text), None);
        for other in [text.replace("-12-", "-13-"), text.replace("34567", "34568"), format!("{text}-0")] {
            assert_eq!(mint.recognise("genesys", Kind::Access, &other), None, "{other}");
        }
        let claims = mint.claims("cxone", Kind::Access, token, &Settings::of("cxone"), 1_700_000_000);
        assert_eq!(mint.recognise("cxone", Kind::Access, &claims), Some(token));
        let payload = URL_SAFE_NO_PAD.decode(claims.split('.').nth(1).unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap(), 3600);
    }
}
