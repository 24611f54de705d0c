//! CEL: one expression language for expectations, captures, `served_by` and stamps.
//!
//! Invariants: this room compiles and evaluates; it never knows what an answer means. An expression that compiled
//! refers only to variables and functions that exist, and its loops end after a bounded amount of work whatever the
//! body holds.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use cel::IdedExpr;

mod bound;
mod check;
mod explain;
mod functions;
mod json;
mod scope;

pub use explain::{clean, is_harmful};
pub use scope::Scope;

/// Variables of an HTTP step's answer.
pub const HTTP: &[&str] = &["status", "headers", "body", "latency_ms", "vars"];
/// Variables of a SIP step's answer.
pub const SIP: &[&str] = &["status", "reason", "headers", "contact_host", "latency_ms", "vars"];
/// Variables of a TCP step's answer.
pub const TCP: &[&str] = &["latency_ms", "vars"];
/// Variables of a drill's abort conditions.
pub const ABORT: &[&str] = &["components", "tier1", "tier2", "tier3"];

/// A compiled CEL expression.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    compiled: Arc<Compiled>,
}

/// What compiling makes of the text.
struct Compiled {
    /// The whole, its loops bounded.
    whole: IdedExpr,
    /// Where the text is `a && b && …`, the halves with their own texts; else the whole alone.
    halves: Vec<(Box<str>, IdedExpr)>,
    /// Variables that it refers to, sorted.
    variables: Vec<String>,
}

/// Why a text is no expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct CompileError {
    /// What is wrong.
    pub message: String,
    /// Line in the expression, from 1.
    pub line: usize,
    /// Column in the expression, from 1, in characters.
    pub column: usize,
}

/// What an HTTP step's expressions see.
#[derive(Debug)]
pub struct Answer<'a> {
    /// `status`.
    pub status: u16,
    /// `headers["name"]`, names in lower case; a name that occurs twice is joined with `, `.
    pub headers: &'a [(String, String)],
    /// `body`: parsed JSON where it is JSON, else the text.
    pub body: &'a [u8],
    /// `latency_ms`, whole milliseconds.
    pub latency: Duration,
    /// `vars.name`.
    pub vars: &'a BTreeMap<String, String>,
}

/// What a SIP step's expressions see besides.
#[derive(Clone, Copy, Debug)]
pub struct SipWords<'a> {
    /// `reason`: the phrase behind the status.
    pub reason: &'a str,
    /// `contact_host`: the host in the first `Contact`; without one, the variable has no value.
    pub contact_host: Option<&'a str>,
}

impl Expression {
    /// Compiles a text that speaks of an HTTP answer.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        Self::compile_for(source, HTTP)
    }

    /// Compiles a text that may refer to the given variables and no others.
    pub fn compile_for(source: &str, roots: &[&str]) -> Result<Self, CompileError> {
        let tree = check::parse(source)?;
        let variables = check::check(source, &tree, roots)?;
        let whole = bound::bound(tree.clone());
        let halves = match explain::halves(source, &tree) {
            halves if halves.len() > 1 => {
                halves.into_iter().map(|(text, half)| (Box::from(text), bound::bound(half.clone()))).collect()
            }
            _ => vec![(Box::from(source.trim()), whole.clone())],
        };
        Ok(Self { source: Arc::from(source), compiled: Arc::new(Compiled { whole, halves, variables }) })
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names of the variables that it refers to.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        self.compiled.variables.clone()
    }
}

/// Two are the same when their texts are.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Expression({:?})", self.source)
    }
}

#[cfg(test)]
mod tests;
