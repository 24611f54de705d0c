//! What a JSON Web Token (RFC 7519) says of itself.
//!
//! Its signature is not checked: it came from the token endpoint itself by TLS, which speaks for it (`OpenID` Connect
//! Core section 3.1.3.7, point 6).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// The first of these claims that is a text; `None` for a token of another form.
pub(super) fn claim(token: &str, names: &[&str]) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    names.iter().find_map(|name| claims.get(*name)?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_and_nonsense_is_none() {
        // {"alg":"none"} and {"tenantId":"t-1","n":5}
        let token = "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRJZCI6InQtMSIsIm4iOjV9.";
        assert_eq!(claim(token, &["tenant_id", "tenantId"]).as_deref(), Some("t-1"));
        assert_eq!(claim(token, &["n"]), None);
        for other in ["", "opaque", "a.b.c", "e30.e30.", "..", "x.eyJ.y"] {
            assert_eq!(claim(other, &["tenantId"]), None, "{other}");
        }
    }
}
