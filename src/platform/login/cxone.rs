//! NICE CXone: access keys, the back-end app of `OpenID` Connect, and the discovery of a tenant's hosts.
//!
//! - Access key: `POST {login}/authentication/v1/token/access-key` with a JSON body; renewed by
//!   `POST {login}/public/user/refresh`, or by the access key again.
//! - Back-end app: `POST {login}/auth/token`, Basic authentication of the percent-encoded client, and the form
//!   `grant_type=password` with the access key as user and password.
//! - Discovery: `GET {discovery}/.well-known/cxone-configuration?tenantId=`, without any secret.

use hyper::header::{ACCEPT, CONTENT_TYPE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Granted, Keys, Memory, Proof, at, claims, life, token, with_token};
use crate::{
    config::{
        is_confidential,
        model::{Discovery, Login},
    },
    expression::clean,
    platform::{
        Credentials,
        line::{Line, Pause, Trouble, place},
    },
};

/// Domains under which NICE serves CXone.
const DOMAINS: &[&str] = &["niceincontact.com", "nice-incontact.com"];

/// Where a tenant's hosts are.
#[derive(Clone, Debug)]
pub(super) struct Found {
    api: Url,
    login: Url,
}

pub(super) async fn log_in(
    line: &Line,
    login: &Login,
    keys: &Keys,
    fixed: Credentials,
    memory: &mut Memory,
) -> Result<Granted, Trouble> {
    if let Some(discovery) = &login.discovery {
        match discover(line, discovery).await {
            Ok(found) => memory.found = Some(found),
            // Hosts seldom move: those of the last time are better than none.
            Err(trouble) if memory.found.is_some() => {
                tracing::warn!(reason = %trouble.reason, "the tenant's hosts cannot be asked for; the known ones are kept");
            }
            Err(trouble) => return Err(trouble),
        }
    }
    let found = memory.found.as_ref();
    let own = login.discovery.as_ref().is_none_or(|discovery| !discovery.finds_login);
    let url = found.filter(|_| !own).map_or(&login.url, |found| &found.login);
    let answer = match memory.refresh.take() {
        // One that has ended is no trouble as long as the key is good.
        Some(refresh) => match renew(line, url, &refresh).await {
            Ok(answer) => answer,
            Err(trouble) => {
                tracing::info!(reason = %trouble.reason, "the token cannot be refreshed; logging in anew");
                by_key(line, url, keys).await?
            }
        },
        None => by_key(line, url, keys).await?,
    };
    let life = life(&answer, &["expires_in", "tokenExpirationTimeSec"])?;
    let access = token(&answer, &["access_token", "token"])?;
    if let Some(wanted) = &login.tenant_id {
        bind(wanted, &answer, &access)?;
    }
    if keys.app.is_none() {
        memory.refresh = token(&answer, &["refresh_token", "refreshToken"]).ok();
    }
    Ok(Granted {
        credentials: with_token(fixed, &access)?,
        life,
        base: found.map(|found| found.api.clone()),
        proof: Proof::None,
    })
}

async fn by_key(line: &Line, url: &Url, keys: &Keys) -> Result<Value, Trouble> {
    let (id, secret) = (keys.id.expose_secret(), keys.secret.expose_secret());
    let answer = if let Some((client_id, client_secret)) = &keys.app {
        let encoded =
            |text: &SecretString| utf8_percent_encode(text.expose_secret(), NON_ALPHANUMERIC).to_string();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "password")
            .append_pair("username", id)
            .append_pair("password", secret)
            .finish();
        line.ask(at(url, "/auth/token"), |client, url| {
            client
                .post(url)
                .basic_auth(encoded(client_id), Some(encoded(client_secret)))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(ACCEPT, "application/json")
                .body(form)
        })
        .await?
    } else {
        let body = json!({ "accessKeyId": id, "accessKeySecret": secret }).to_string();
        post(line, at(url, "/authentication/v1/token/access-key"), body).await?
    };
    answer.json("login_url")
}

async fn renew(line: &Line, url: &Url, refresh: &SecretString) -> Result<Value, Trouble> {
    let body = json!({ "token": refresh.expose_secret() }).to_string();
    post(line, at(url, "/public/user/refresh"), body).await?.json("login_url")
}

async fn post(line: &Line, url: Url, body: String) -> Result<crate::platform::line::Answer, Trouble> {
    line.ask(url, |client, url| {
        client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(body)
    })
    .await
}

/// Holds the tenant that the token names against the config's.
fn bind(wanted: &str, answer: &Value, access: &SecretString) -> Result<(), Trouble> {
    let id_token = answer.get("id_token").and_then(Value::as_str).unwrap_or_default();
    let tokens = [id_token, access.expose_secret()];
    let theirs = tokens.iter().find_map(|token| claims::claim(token, &["tenantId", "tenant_id"]));
    let wanted = clean(wanted, 80);
    let reason = match theirs {
        Some(theirs) if theirs.eq_ignore_ascii_case(&wanted) => return Ok(()),
        Some(theirs) => format!(
            "the token belongs to tenant {}, not to {wanted} as `tenant_id` says; nothing else is sent",
            clean(&theirs, 80)
        ),
        None => "the token does not say its tenant, so `tenant_id` cannot be held against it; log in through a back-end \
                 app (`client_id`, `client_secret`), or write `base_url` and `login_url` in place of `tenant_id`"
            .to_owned(),
    };
    Err(Trouble::new(Pause::Seldom, reason))
}

async fn discover(line: &Line, discovery: &Discovery) -> Result<Found, Trouble> {
    let mut url = at(&discovery.url, "/.well-known/cxone-configuration");
    url.query_pairs_mut().append_pair("tenantId", &discovery.tenant_id);
    let named = place(&url);
    let answer = line.ask(url, |client, url| client.get(url).header(ACCEPT, "application/json")).await?;
    let wrong = |what: String| Trouble::new(Pause::Seldom, format!("{named}: {what}"));
    if answer.status.is_client_error() && answer.status.as_u16() != 429 {
        let answered = answer.status.as_u16();
        return Err(wrong(format!("answers {answered}; are `tenant_id` and `discovery_url` right?")));
    }
    let answer = answer.json("discovery_url")?;
    let endpoint = |name: &str| {
        let url = answer.get(name).and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
        let url = url.ok_or_else(|| wrong(format!("the answer holds no URL as `{name}`")))?;
        if !trusted(&url, discovery.is_own) {
            return Err(wrong(format!(
                "`{name}` is {}, which is not under {}; nothing is sent there",
                place(&url),
                DOMAINS.join(" or ")
            )));
        }
        Ok(url)
    };
    let api = endpoint("api_endpoint")?;
    let login = if discovery.finds_login { endpoint("auth_endpoint")? } else { api.clone() };
    Ok(Found { api, login })
}

/// Whether a token or a key may go there.
fn trusted(url: &Url, any_host: bool) -> bool {
    let host = url.host_str().unwrap_or_default();
    let under = |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    is_confidential(url)
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && (any_host || DOMAINS.iter().any(under))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    /// A discovery answer that was tampered with must not lead a key to somebody else.
    #[test]
    fn keys_go_to_the_vendors_hosts_by_tls_alone() {
        let goes = |url: &str, any_host| trusted(&Url::parse(url).unwrap(), any_host);
        assert!(goes("https://api-na1.niceincontact.com", false));
        assert!(goes("https://na1.nice-incontact.com/", false));
        for wrong in [
            "http://api-na1.niceincontact.com",
            "https://niceincontact.com.evil.net",
            "https://evilniceincontact.com",
            "https://me:you@api-na1.niceincontact.com",
            "https://api-na1.niceincontact.com/?a",
            "https://127.0.0.1",
        ] {
            assert!(!goes(wrong, false), "{wrong}");
        }
        assert!(goes("http://127.0.0.1:8080", true) && goes("https://proxy.example.com", true));
        assert!(!goes("http://proxy.example.com", true));
    }
}
