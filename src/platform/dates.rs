//! Where a platform says what time it is.

use crate::{
    config::model::{Action, Component, Config, PlatformKind},
    domain::PlatformId,
};

/// Below this lie CXone's ACD APIs, each under its version.
const CXONE: &str = "/incontactapi/services/";
/// The version of CXone's API where no step of the config names one.
const CXONE_VERSION: &str = "v33.0";

/// A platform's own word on the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateEndpoint {
    /// Below the base URL.
    pub path: String,
    /// The field of the answer's JSON that holds it, as RFC 3339.
    pub field: &'static str,
    /// What to say, and to do, where there is no such path.
    pub remedy: &'static str,
}

/// The date endpoint of a platform of the config, if it has one.
///
/// Genesys Cloud: `GET /api/v2/date` of its Platform API, without a permission. CXone: `GET /server-time` of its ACD API, in
/// the newest version of it that the platform's own steps speak to, and v33.0 where none does.
#[must_use]
pub fn endpoint(config: &Config, platform: &PlatformId) -> Option<DateEndpoint> {
    match config.platforms.get(platform)?.kind {
        PlatformKind::Genesys => Some(DateEndpoint {
            path: "/api/v2/date".to_owned(),
            field: "currentDate",
            remedy: "is not there (status 404); look whether `base_url` is that of the Platform API",
        }),
        PlatformKind::Cxone => {
            let own = config.components.iter().filter(|component| component.platform.id == *platform);
            let newest = own.flat_map(|component| versions(component)).max_by_key(|version| number(version));
            let version = newest.unwrap_or_else(|| CXONE_VERSION.to_owned());
            Some(DateEndpoint {
                path: format!("{CXONE}{version}/server-time"),
                field: "ServerTime",
                remedy: "is not there (status 404); look at GET /incontactapi/apiversion, and let the steps speak to a version \
                         of the API that is listed",
            })
        }
        PlatformKind::Http => None,
    }
}

/// The versions of CXone's API that a component's steps speak to: `v33.0`.
fn versions(component: &Component) -> Vec<String> {
    let urls = component.journey.iter().filter_map(|step| match &step.action {
        Action::Http(http) => Some(&http.url),
        _ => None,
    });
    // What an earlier step captures is a part of no version; a variable of the component may be.
    let version = |url: &str| {
        let (version, _) = url.split_once(CXONE)?.1.split_once('/')?;
        number(version).map(|_| version.to_owned())
    };
    urls.filter_map(|url| {
        let filled = component
            .vars
            .iter()
            .fold(url.source().to_owned(), |url, (name, value)| url.replace(&format!("{{{name}}}"), value));
        version(&filled)
    })
    .collect()
}

/// `v33.0` as 33 and 0.
fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.strip_prefix('v')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;

    fn path(journey: &str) -> Option<String> {
        let text = format!(
            r#"
            tenant = "t"
            environment = "sandbox"
            [platforms.cx]
            kind = "cxone"
            base_url = "http://127.0.0.1:1"
            [platforms.other]
            kind = "http"
            base_url = "http://127.0.0.1:2"
            [[components]]
            id = "acd"
            platform = "cx"
            tier = 1
            target_rto = "30s"
            kind = "api"
            cadence = "5s"
            burst = "1s"
            vars = {{ own = "v31.0", version = "v32.0" }}
            journey = [{journey}]
            "#
        );
        let config = crate::config::parse(&text, "the test's config").unwrap().config;
        assert_eq!(endpoint(&config, &PlatformId::new("other")), None);
        endpoint(&config, &PlatformId::new("cx")).map(|endpoint| endpoint.path)
    }

    /// A tenant whose API ended or has not begun to have one version is asked for the time in that of its own steps.
    #[test]
    fn cxone_is_asked_in_the_newest_version_that_its_steps_speak_to() {
        let step = |url: &str| format!("{{ name = \"{url}\", get = \"{url}\", expect = ['status == 200'] }}");
        let all = |urls: &[&str]| path(&urls.iter().map(|url| step(url)).collect::<Vec<_>>().join(", "));
        let server_time = |version: &str| Some(format!("/incontactapi/services/{version}/server-time"));
        assert_eq!(all(&["/health", "/incontactapi/apiversion"]), server_time("v33.0"));
        assert_eq!(
            all(&["/incontactapi/services/v9.0/skills", "/incontactapi/services/v27.0/a"]),
            server_time("v27.0")
        );
        assert_eq!(all(&["/incontactapi/services/{own}/skills"]), server_time("v31.0"));
        // The variable that the presets know.
        assert_eq!(path(r#"{ use = "cxone/server-time" }"#), server_time("v32.0"));
    }
}
