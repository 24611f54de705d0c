//! What is wrong, doubtful or not built in a config, and where.

use std::{fmt, sync::Arc};

/// One finding in a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line, from 1; `None` where the file as a whole is meant.
    pub line: Option<usize>,
    /// The key that it concerns, with its section: `components.archive.cadence`. Empty for the whole file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do; empty where the message says it all.
    pub cure: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.message)?;
        if self.cure.is_empty() { Ok(()) } else { write!(formatter, "; {}", self.cure) }
    }
}

/// A config that was read and is right.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: super::model::Config,
    /// What is allowed and yet doubtful.
    pub warnings: Vec<Finding>,
    /// What is asked for and not built in this version: checked, and without effect.
    pub not_built: Vec<Finding>,
}

/// A config that cannot be used: all that is wrong with it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(findings))]
pub struct Rejected {
    /// At least one.
    pub findings: Vec<Finding>,
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
