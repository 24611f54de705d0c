//! Where a platform says what time it is.

use crate::config::model::PlatformKind;

/// A platform's own word on the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateEndpoint {
    /// Below the base URL.
    pub path: &'static str,
    /// The field of the answer's JSON that holds it, as RFC 3339.
    pub field: &'static str,
}

/// The date endpoint of a kind of platform, if it has one.
///
/// Genesys Cloud: `GET /api/v2/date` of its Platform API, without a permission. CXone: `GET /server-time` of its ACD API.
#[must_use]
pub const fn endpoint(kind: PlatformKind) -> Option<DateEndpoint> {
    match kind {
        PlatformKind::Genesys => Some(DateEndpoint { path: "/api/v2/date", field: "currentDate" }),
        PlatformKind::Cxone => {
            Some(DateEndpoint { path: "/incontactapi/services/v33.0/server-time", field: "ServerTime" })
        }
        PlatformKind::Http => None,
    }
}
