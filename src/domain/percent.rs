//! Percentages that are rounded only when shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A percentage; kept unrounded, written with one decimal, rounded half up.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// The best compliance.
    pub const HUNDRED: Self = Self(100.0);

    /// So many percent.
    #[must_use]
    pub const fn new(value: f64) -> Self {
        Self(value)
    }

    /// The unrounded value, by which statuses are judged.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// Rounded to one decimal, half up.
    #[must_use]
    pub fn rounded(self) -> f64 {
        // The small nudge undoes binary noise such as 96.649999999 for 96.65.
        (self.0 * 10.0 + 0.5 + 1e-9).floor() / 10.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.1}", self.rounded())
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.rounded())
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self)
    }
}
