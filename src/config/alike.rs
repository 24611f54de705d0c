//! Whether two configs measure the same thing, where they differ in how it is measured.

use std::{path::PathBuf, time::Duration};

use super::model::{Component, Login, Platform, Retry, Secret, Step, Text};

impl Component {
    /// Whether the verdicts of both speak of one thing, so that an outage which one saw begin the other may see end. How
    /// often and how long it is asked says nothing of that, nor do the credentials or the platform's name.
    #[must_use]
    pub fn speaks_of_the_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.health_step == other.health_step
            && self.failover.step == other.failover.step
            && self.failover.served_by == other.failover.served_by
            && self.vars == other.vars
            && untimed(&self.journey) == untimed(&other.journey)
            && nameless(&self.platform) == nameless(&other.platform)
    }
}

/// Steps without what only says how long and how often they are asked.
fn untimed(journey: &[Step]) -> Vec<Step> {
    let untimed = |step: &Step| Step {
        timeout: Duration::ZERO,
        retry: step.retry.map(|_| Retry { every: Duration::ZERO, until: Duration::ZERO }),
        shared: None,
        ..step.clone()
    };
    journey.iter().map(untimed).collect()
}

/// A platform without its name, its ceiling, and where its secrets are to be found.
fn nameless(platform: &Platform) -> Platform {
    let anonymous = || Secret::File(PathBuf::new());
    let header = |(name, value): &(String, Text)| {
        let value = match value {
            Text::Plain(_) => value.clone(),
            Text::Secret(_) => Text::Secret(anonymous()),
        };
        (name.clone(), value)
    };
    Platform {
        id: crate::domain::PlatformId::new(""),
        headers: platform.headers.iter().map(header).collect(),
        bearer: platform.bearer.as_ref().map(|_| anonymous()),
        rate_limit: None,
        login: platform.login.as_ref().map(|login| Login {
            id: anonymous(),
            secret: anonymous(),
            app: login.app.as_ref().map(|_| (anonymous(), anonymous())),
            ..login.clone()
        }),
        ..platform.clone()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    const CONFIG: &str = r#"
tenant = "t"
environment = "sandbox"
[platforms.web]
kind = "http"
base_url = "https://one.example"
bearer = { env = "FIRST" }
headers = { "x-key" = { env = "KEY" }, "x-plain" = "plain" }
rate_limit = "60/min"
[[components]]
id = "a"
platform = "web"
tier = 1
target_rto = "60s"
cadence = "5s"
burst = "1s"
[[components.journey]]
name = "page"
get = "/page"
expect = ['status == 200']
retry = { every = "200ms", until = "3s" }
"#;

    fn is_the_same_with(old: &str, new: &str) -> bool {
        assert!(CONFIG.contains(old), "{old}");
        let component = |text: &str| {
            crate::config::parse(text, "the test's config").unwrap().config.components[0].clone()
        };
        component(CONFIG).speaks_of_the_same(&component(&CONFIG.replace(old, new)))
    }

    /// Who only asks more often, or with other credentials, must not lose what is known of an open outage.
    #[test]
    fn how_it_is_asked_is_not_what_is_asked() {
        for (old, new) in [
            ("cadence = \"5s\"", "cadence = \"3s\""),
            ("burst = \"1s\"", "burst = \"500ms\""),
            ("\"60s\"", "\"45s\""),
            ("get = \"/page\"", "get = \"/page\"\ntimeout = \"2s\""),
            ("until = \"3s\"", "until = \"4s\""),
            ("{ env = \"FIRST\" }", "{ env = \"SECOND\" }"),
            ("{ env = \"KEY\" }", "{ file = \"/run/key\" }"),
            ("60/min", "90/min"),
        ] {
            assert!(is_the_same_with(old, new), "{new}");
        }
        assert!(
            is_the_same_with("[platforms.web]", "[platforms.web]"),
            "a component that is compared with itself"
        );
    }

    /// What another question finds good says nothing of what had failed.
    #[test]
    fn what_is_asked_is_something_else() {
        for (old, new) in [
            ("get = \"/page\"", "get = \"/other\""),
            ("status == 200", "status < 300"),
            ("https://one.example", "https://two.example"),
            ("\"plain\"", "\"other\""),
            ("bearer = { env = \"FIRST\" }\n", ""),
        ] {
            assert!(!is_the_same_with(old, new), "{new}");
        }
    }
}
