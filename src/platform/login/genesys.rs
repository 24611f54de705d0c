//! Genesys Cloud: OAuth client credentials, and what a token may do.
//!
//! `POST {login}/oauth/token` with Basic authentication and the form `grant_type=client_credentials`; then, where the
//! config names an organisation, `GET {api}/api/v2/tokens/me` before anything else is asked.

use std::{collections::BTreeSet, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{Granted, Keys, Memory, Proof, at, life, token, with_token};
use crate::{
    config::model::{Login, Platform},
    expression::clean,
    platform::{
        Credentials,
        line::{Answer, Line, Pause, Trouble, place},
    },
};

/// The longest text of an answer that is kept.
const LONGEST: usize = 200;

/// What a platform says of the token that its requests carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The organisation's id.
    pub organization_id: Option<String>,
    /// The organisation's name.
    pub organization: Option<String>,
    /// The OAuth client's name.
    pub client: Option<String>,
    /// Scopes that the token carries.
    pub scopes: Vec<String>,
    /// Permissions of its roles as `domain:entity:action`, `*` for all; or why they cannot be told.
    pub permissions: Option<Result<BTreeSet<String>, String>>,
    /// How long the token is good for, from now on.
    pub ends_in: Option<Duration>,
}

pub(super) async fn log_in(
    line: &Line,
    platform: &Platform,
    login: &Login,
    keys: &Keys,
    fixed: Credentials,
    memory: &mut Memory,
) -> Result<Granted, Trouble> {
    let url = at(&login.url, "/oauth/token");
    let answer = line
        .ask(url, |client, url| {
            client
                .post(url)
                .basic_auth(keys.id.expose_secret(), Some(keys.secret.expose_secret()))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(ACCEPT, "application/json")
                .body("grant_type=client_credentials")
        })
        .await?;
    let answer = answer.json("login_url")?;
    let life = life(&answer, &["expires_in"])?;
    let credentials = with_token(fixed, &token(&answer, &["access_token"])?)?;
    let granted = |credentials, proof| Ok(Granted { credentials, life, base: None, proof });
    // Asked once for the same credentials, so that an outage of the API never fails a renewal.
    let Some(wanted) = login.organization_id.as_ref().filter(|_| !memory.bound) else {
        return granted(credentials, Proof::None);
    };
    let told = match about_token(line, platform, &credentials).await {
        Ok(told) => told,
        // The API is in trouble, and its components are to say so; nobody knows yet whose the token is.
        Err(trouble) if trouble.pause != Pause::Seldom => {
            tracing::warn!(platform = %platform.id, reason = %trouble.reason, "`organization_id` cannot be checked yet");
            return granted(credentials, Proof::Unchecked);
        }
        Err(trouble) => return Err(trouble),
    };
    let theirs = text(&told, "/organization/id").ok_or_else(|| {
        Trouble::new(
            Pause::Seldom,
            "the platform does not say which organisation the token belongs to, so `organization_id` cannot be held \
             against it",
        )
    })?;
    if !theirs.eq_ignore_ascii_case(wanted) {
        let wanted = clean(wanted, 80);
        let reason = format!(
            "the token belongs to organisation {theirs}, not to {wanted} as `organization_id` says; nothing else is sent"
        );
        return Err(Trouble::new(Pause::Seldom, reason));
    }
    memory.bound = true;
    granted(credentials, Proof::Accepted)
}

/// Asks the API, which is allowed to see the token, something about it.
async fn get(
    line: &Line,
    platform: &Platform,
    credentials: &Credentials,
    path: &str,
) -> Result<Answer, Trouble> {
    let mut headers = HeaderMap::new();
    credentials.attach_plain(&mut headers);
    credentials.attach_secret(&mut headers);
    let url = at(&platform.base_url, path);
    line.ask(url, |client, url| client.get(url).headers(headers).header(ACCEPT, "application/json")).await
}

async fn about_token(line: &Line, platform: &Platform, credentials: &Credentials) -> Result<Value, Trouble> {
    let answer = get(line, platform, credentials, "/api/v2/tokens/me").await?;
    if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let reason = format!(
            "{} refuses the token that was just issued ({}); are `region`, `base_url` and `login_url` of one region?",
            place(&platform.base_url),
            answer.status.as_u16()
        );
        return Err(Trouble::new(Pause::Seldom, reason));
    }
    answer.json("base_url")
}

/// What the platform says of the token and of its roles.
pub(in crate::platform) async fn describe(
    line: &Line,
    platform: &Platform,
    credentials: &Credentials,
) -> Result<Description, String> {
    let told = about_token(line, platform, credentials).await.map_err(|trouble| trouble.reason)?;
    let scopes = told.get("authorizedScope").and_then(Value::as_array);
    let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
    let subject = async {
        get(line, platform, credentials, "/api/v2/authorization/subjects/me").await?.json("base_url")
    };
    let permissions = match subject.await {
        Ok(subject) => Ok(permissions(&subject)),
        Err(trouble) => Err(trouble.reason),
    };
    Ok(Description {
        organization_id: text(&told, "/organization/id"),
        organization: text(&told, "/organization/name"),
        client: text(&told, "/OAuthClient/name"),
        scopes: scopes.map(|scope| clean(scope, LONGEST)).collect(),
        permissions: Some(permissions),
        ends_in: None,
    })
}

/// The permissions in the policies of every role that was granted.
fn permissions(subject: &Value) -> BTreeSet<String> {
    let list = |value: &'_ Value, key: &str| -> Vec<Value> {
        value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut found = BTreeSet::new();
    for grant in list(subject, "grants") {
        for policy in grant.get("role").map(|role| list(role, "policies")).unwrap_or_default() {
            let part = |key: &str| policy.get(key).and_then(Value::as_str).unwrap_or("*").to_owned();
            let (domain, entity) = (part("domain"), part("entityName"));
            for action in list(&policy, "actions").iter().filter_map(Value::as_str) {
                found.insert(clean(&format!("{domain}:{entity}:{action}"), LONGEST));
            }
        }
    }
    found
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    Some(clean(value.pointer(pointer)?.as_str()?, LONGEST))
}

/// The platform's word that the login lacks a permission or a scope, in a 403: Genesys Cloud's error codes
/// `missing.permissions`, `missing.any.permissions` and their division forms, or RFC 6750's `insufficient_scope`.
pub(in crate::platform) fn lacking(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let challenge = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if challenge.contains("insufficient_scope") {
        return Some("a scope (403 insufficient_scope)".to_owned());
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = body.get("code")?.as_str()?;
    if !code.starts_with("missing.") || !code.contains("permission") {
        return None;
    }
    let message = body.get("message").and_then(Value::as_str).unwrap_or(code);
    Some(format!("a permission (403): {}", clean(message, LONGEST)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use serde_json::json;

    use super::*;

    /// Without the right list `check --online` would send people to ask for what they have.
    #[test]
    fn the_permissions_of_every_role_are_listed() {
        let policy = |domain, entity, actions: &[&str]| json!({ "domain": domain, "entityName": entity, "actions": actions });
        let told = json!({ "grants": [
            { "role": { "policies": [policy("architect", "flow", &["view", "launch"])] } },
            { "role": { "policies": [policy("telephony", "plugin", &["*"])] } },
            { "role": {} },
        ] });
        let found: Vec<String> = permissions(&told).into_iter().collect();
        assert_eq!(found, ["architect:flow:launch", "architect:flow:view", "telephony:plugin:*"]);
    }

    #[test]
    fn only_the_platforms_own_word_means_a_missing_permission() {
        let said = |body: Value| lacking(&HeaderMap::new(), body.to_string().as_bytes());
        let told = said(json!({ "code": "missing.any.permissions", "message": "You need\u{1b}[2J a:b:c" }));
        assert_eq!(told.unwrap(), "a permission (403): You need·[2J a:b:c");
        assert_eq!(said(json!({ "code": "forbidden" })), None);
        assert_eq!(lacking(&HeaderMap::new(), b"<html>"), None);
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, "Bearer error=\"insufficient_scope\"".parse().unwrap());
        assert!(lacking(&headers, b"").unwrap().contains("scope"));
    }
}
