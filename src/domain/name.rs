//! Identifiers: cheap to clone, never mixed up.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it stands; the config room has checked its form.
            #[must_use]
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

name! {
    /// The `id` of a component in the config.
    ComponentId
}
name! {
    /// The name of a `[platforms.NAME]` section.
    PlatformId
}
name! {
    /// Which series of a component a probe belongs to: `primary`, or a drill's shadow path by the drill's id.
    PathName
}

impl PathName {
    /// The component's own journey, beside which a shadow path is measured.
    #[must_use]
    pub fn primary() -> Self {
        Self::new("primary")
    }
}
