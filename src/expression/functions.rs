//! The environment that every expression is evaluated in: CEL's standard functions, with a `matches` that compiles
//! each pattern once and refuses oversized ones.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use cel::{
    Env, ExecutionError,
    common::{
        types::{CelBool, CelString, STRING_TYPE},
        value::CowVal,
    },
};
use regex::{Regex, RegexBuilder};

/// The name that a call of `matches` is compiled to.
pub(super) const MATCHES: &str = "@matches";

/// Functions that an expression may call; macros (`has`, `all`, `exists`, `map`, …) are not among them, the parser has
/// expanded them.
pub(super) const NAMES: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "timestamp",
    "duration",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];

/// Longest pattern, in bytes; one that comes from a body must not cost much to compile.
const LONGEST_PATTERN: usize = 1024;
/// Largest compiled pattern, in bytes.
const LARGEST_PATTERN: usize = 256 * 1024;
/// Patterns kept per thread.
const KEPT: usize = 256;

/// The environment, made once.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib();
        let added =
            env.add_overload(MATCHES, "warroom_matches", vec![STRING_TYPE, STRING_TYPE], matches_overload);
        debug_assert!(added.is_ok(), "no other overload bears an @ name");
        Arc::new(env)
    });
    Arc::clone(&ENVIRONMENT)
}

/// Compiles a pattern within the limits.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > LONGEST_PATTERN {
        return Err(format!("the pattern is longer than {LONGEST_PATTERN} bytes"));
    }
    RegexBuilder::new(text).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large once compiled".to_owned(),
            // The last line of a syntax error says what is wrong; those before draw the pattern.
            other => {
                let text = other.to_string();
                text.lines()
                    .last()
                    .unwrap_or("not a regular expression")
                    .trim_start_matches("error: ")
                    .to_owned()
            }
        },
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter's signature of an overload")]
fn matches_overload<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    thread_local! {
        static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
    }
    let [text, wanted] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let (Some(text), Some(wanted)) = (text.downcast_ref::<CelString>(), wanted.downcast_ref::<CelString>())
    else {
        return Err(ExecutionError::no_such_overload("matches", Vec::new()));
    };
    PATTERNS.with_borrow_mut(|patterns| {
        if !patterns.contains_key(wanted.inner()) {
            let regex =
                pattern(wanted.inner()).map_err(|error| ExecutionError::function_error("matches", error))?;
            if patterns.len() >= KEPT {
                patterns.clear();
            }
            patterns.insert(wanted.inner().to_owned(), regex);
        }
        let found = patterns.get(wanted.inner()).is_some_and(|regex| regex.is_match(text.inner()));
        Ok(CowVal::owned(CelBool::from(found)))
    })
}
