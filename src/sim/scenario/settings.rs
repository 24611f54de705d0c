//! How a simulated platform is from the start: its tokens, its limit, what it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use crate::{
    config::{model::Rate, reading::Section},
    sim::service::Service,
};

/// `client.credentials.token.rate.per.minute` of Genesys Cloud.
const GENESYS_LIMIT: u32 = 300;
/// The organisation of the simulated Genesys Cloud.
const ORGANIZATION: &str = "1f2e3d4c-0000-4000-8000-000000000000";
/// The tenant of the simulated `CXone`.
const TENANT: &str = "11ee0000-0000-4000-8000-0000000c0ffe";
/// The most trunks or edges.
const MOST: u32 = 5_000;

/// How a platform tells its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitHeaders {
    /// Not at all.
    None,
    /// `inin-ratelimit-count`, `-allowed` and `-reset`, as Genesys Cloud does.
    Inin,
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
    Ratelimit,
    /// `RateLimit-Limit`, `-Remaining` and `-Reset` (the same draft up to version 06).
    RatelimitOld,
}

/// How a platform is from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a token is good for.
    pub token_life: Duration,
    /// Ids and secrets that may log in; empty: any that are not empty.
    pub clients: BTreeMap<String, String>,
    /// Requests that one token may make; more are answered with 429.
    pub limit: Option<Rate>,
    /// How the limit is told.
    pub limit_headers: LimitHeaders,
    /// Whether a 429 for the limit says when to come again.
    pub limit_retry_after: bool,
    /// The organisation's or tenant's id.
    pub organization: String,
    /// Scopes of a token; empty: every one.
    pub scopes: Vec<String>,
    /// Permissions that a token lacks.
    pub lacks: BTreeSet<String>,
    /// How many trunks a listing holds, besides those that the scenario names.
    pub trunks: u32,
    /// How many edges a listing holds, besides those that the scenario names.
    pub edges: u32,
}

impl Settings {
    /// What a platform has unless the scenario says otherwise.
    #[must_use]
    pub fn of(platform: &str) -> Self {
        let genesys = platform == "genesys";
        Self {
            token_life: Duration::from_hours(1),
            clients: BTreeMap::new(),
            limit: NonZeroU32::new(GENESYS_LIMIT)
                .filter(|_| genesys)
                .map(|requests| Rate { requests, per: Duration::from_mins(1) }),
            limit_headers: if genesys { LimitHeaders::Inin } else { LimitHeaders::None },
            limit_retry_after: true,
            organization: if genesys { ORGANIZATION } else { TENANT }.to_owned(),
            scopes: Vec::new(),
            lacks: BTreeSet::new(),
            trunks: 3,
            edges: 2,
        }
    }

    /// Whether an id and a secret may log in.
    #[must_use]
    pub fn admits(&self, id: &str, secret: &str) -> bool {
        if self.clients.is_empty() {
            !id.is_empty() && !secret.is_empty()
        } else {
            self.clients.get(id).is_some_and(|known| known == secret)
        }
    }

    /// Reads `[platforms.NAME]`.
    pub(super) fn read(section: Section<'_, '_>, platform: &'static str) -> Self {
        let mut settings = Self::of(platform);
        if let Some(life) = section.get("token_life").and_then(|entry| entry.duration()) {
            settings.token_life = life;
        }
        if let Some(table) = section.get("clients").and_then(|entry| entry.section("the clients")) {
            for client in table.entries() {
                if let Some(secret) = client.line() {
                    settings.clients.insert(client.name.to_owned(), secret.to_owned());
                }
            }
        }
        if let Some(rate) = section.get("limit").and_then(|entry| entry.rate()) {
            settings.limit = Some(rate);
        }
        let styles = ["none", "inin", "ratelimit", "ratelimit-old"];
        match section.get("limit_headers").and_then(|entry| entry.word(&styles)) {
            Some("none") => settings.limit_headers = LimitHeaders::None,
            Some("inin") => settings.limit_headers = LimitHeaders::Inin,
            Some("ratelimit") => settings.limit_headers = LimitHeaders::Ratelimit,
            Some("ratelimit-old") => settings.limit_headers = LimitHeaders::RatelimitOld,
            _ => {}
        }
        if let Some(told) = section.get("limit_retry_after").and_then(|entry| entry.flag()) {
            settings.limit_retry_after = told;
        }
        if let Some(id) = section.get("organization").and_then(|entry| entry.id()) {
            settings.organization = id;
        }
        if let Some(entry) = section.get("scopes") {
            settings.scopes = entry.lines();
        }
        settings.lacks = lacks(&section);
        for (key, count) in [("trunks", &mut settings.trunks), ("edges", &mut settings.edges)] {
            if let Some(told) = section.get(key).and_then(|entry| entry.integer(0..=MOST)) {
                *count = told;
            }
        }
        section.close();
        settings
    }
}

/// The permissions of `lacks`, each of which some service must need: another one would have no effect.
fn lacks(section: &Section<'_, '_>) -> BTreeSet<String> {
    let Some(entry) = section.get("lacks") else { return BTreeSet::new() };
    let known: BTreeSet<&str> =
        Service::ALL.iter().flat_map(|service| service.permissions()).copied().collect();
    let known: Vec<&str> = known.into_iter().collect();
    let named = entry.list().unwrap_or_default();
    named.iter().filter_map(|element| element.word(&known).map(str::to_owned)).collect()
}
