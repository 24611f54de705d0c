//! The scenarios that are built in: the files of `config/scenarios/`.

/// Name and text of each.
pub(super) const ALL: [(&str, &str); 5] = [
    ("hostile-answers", include_str!("../../../config/scenarios/hostile-answers.toml")),
    ("partial-recovery", include_str!("../../../config/scenarios/partial-recovery.toml")),
    ("regional-failover", include_str!("../../../config/scenarios/regional-failover.toml")),
    ("skewed-clock", include_str!("../../../config/scenarios/skewed-clock.toml")),
    ("throttled", include_str!("../../../config/scenarios/throttled.toml")),
];
