//! An answer made ready for several expressions.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use cel::{
    Context, ExecutionError, IdedExpr, Value,
    common::{
        types::{CelBool, CelDouble, CelInt, CelMap, CelString, CelUInt},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use chrono::{DateTime, Utc};

use super::{
    Answer, Expression, SipWords, bound, explain, functions,
    json::{self, Boxed},
};

/// What the loops of one evaluation may cost, in units of some tens of nanoseconds.
const BUDGET: u64 = 1_000_000;
/// Units of one turn.
const TURN: u64 = 8;
/// A heavy turn may read the whole body: bytes that one more unit pays for.
const BYTES_PER_UNIT: u64 = 128;

/// An answer made ready for several expressions: the body is parsed at most once, and only if one refers to it.
pub struct Scope<'a> {
    answer: &'a Answer<'a>,
    sip: Option<SipWords<'a>>,
    headers: OnceLock<Boxed<'a>>,
    body: OnceLock<Boxed<'a>>,
    vars: OnceLock<Boxed<'a>>,
    spent: AtomicU64,
}

/// Why an expression has no value.
#[derive(Debug)]
pub(super) enum Failure {
    /// The interpreter's word.
    Error(ExecutionError),
    /// Its loops cost more than an answer of this size may.
    TooCostly,
}

impl<'a> Scope<'a> {
    /// Makes an answer ready.
    #[must_use]
    pub fn new(answer: &'a Answer<'a>) -> Self {
        Self {
            answer,
            sip: None,
            headers: OnceLock::new(),
            body: OnceLock::new(),
            vars: OnceLock::new(),
            spent: AtomicU64::new(0),
        }
    }

    /// Makes the answer of a SIP step ready.
    #[must_use]
    pub fn of_sip(answer: &'a Answer<'a>, sip: SipWords<'a>) -> Self {
        Self { sip: Some(sip), ..Self::new(answer) }
    }

    /// Whether the expression is true of the answer; otherwise why not, with the value that was met:
    /// `status == 200 (was 503)`. An evaluation error is such a reason too. The reason is cleaned of control and bidi
    /// characters, and long values in it are cut.
    pub fn holds(&self, expression: &Expression) -> Result<(), String> {
        let whole = &expression.compiled.whole;
        if let Ok(true) = self.evaluate(whole, |value| is_true(value)) {
            return Ok(());
        }
        Err(explain::explain(self, &expression.compiled.halves))
    }

    /// The expression's value as a text: strings as they are (foreign, uncleaned), numbers and booleans written out;
    /// `None` for null, an error, a list or a map.
    #[must_use]
    pub fn text(&self, expression: &Expression) -> Option<String> {
        self.evaluate(&expression.compiled.whole, scalar_text).ok().flatten()
    }

    /// The expression's value as a time: a CEL timestamp, or an RFC 3339 string.
    #[must_use]
    pub fn time(&self, expression: &Expression) -> Option<DateTime<Utc>> {
        self.evaluate(&expression.compiled.whole, |value| {
            if let Some(text) = value.downcast_ref::<CelString>() {
                return DateTime::parse_from_rfc3339(text.inner().trim()).ok().map(|at| at.to_utc());
            }
            match Value::try_from(value) {
                Ok(Value::Timestamp(at)) => Some(at.to_utc()),
                _ => None,
            }
        })
        .ok()
        .flatten()
    }

    /// Evaluates a part of an expression within the budget and reads its value.
    pub(super) fn evaluate<T>(
        &self,
        tree: &IdedExpr,
        read: impl FnOnce(&dyn Val) -> T,
    ) -> Result<T, Failure> {
        let context = self.context();
        let result = Value::resolve_val(tree, &context);
        if self.is_spent() {
            return Err(Failure::TooCostly);
        }
        result.map(|value| read(value.as_ref())).map_err(Failure::Error)
    }

    /// A fresh context with a full budget.
    pub(super) fn context(&self) -> Context<'_, '_> {
        self.spent.store(0, Ordering::Relaxed);
        let mut context = Context::with_env(functions::environment());
        context.set_variable_resolver(self);
        context
    }

    /// Whether the last evaluation ran out of its budget.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > BUDGET
    }

    /// Whether an expression has asked for the body yet.
    #[cfg(test)]
    pub(super) fn has_parsed_body(&self) -> bool {
        self.body.get().is_some()
    }

    /// Whether the body is there and is no JSON.
    pub(super) fn body_is_text(&self) -> bool {
        json::parse(self.answer.body).is_none()
    }

    /// Pays for a turn of a loop; an exhausted budget makes the price a name that does not exist.
    fn pay(&self, units: u64) -> Option<CowVal<'_, '_>> {
        let spent = self.spent.fetch_add(units, Ordering::Relaxed).saturating_add(units);
        (spent <= BUDGET).then(|| CowVal::owned(CelBool::from(true)))
    }

    fn headers(&self) -> Boxed<'a> {
        let mut map: HashMap<_, Boxed<'a>> = HashMap::with_capacity(self.answer.headers.len());
        for (name, value) in self.answer.headers {
            let key = name.as_str().into();
            let value = match map.get(&key).and_then(|first| first.downcast_ref::<CelString>()) {
                Some(first) => CelString::from(format!("{}, {value}", first.inner())),
                None => CelString::from(value.as_str()),
            };
            map.insert(key, Box::new(value));
        }
        Box::new(CelMap::from(map))
    }

    fn vars(&self) -> Boxed<'a> {
        let entries = self.answer.vars.iter().map(|(name, value)| {
            let value: Boxed<'a> = Box::new(CelString::from(value.as_str()));
            (name.as_str().into(), value)
        });
        Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let kept = match variable {
            "status" => return Some(CowVal::owned(CelInt::from(i64::from(self.answer.status)))),
            "latency_ms" => {
                let millis = i64::try_from(self.answer.latency.as_millis()).unwrap_or(i64::MAX);
                return Some(CowVal::owned(CelInt::from(millis)));
            }
            "reason" => return self.sip.map(|sip| CowVal::owned(CelString::from(sip.reason))),
            "contact_host" => {
                return self.sip.and_then(|sip| Some(CowVal::owned(CelString::from(sip.contact_host?))));
            }
            bound::STEP => return self.pay(TURN),
            bound::HEAVY => return self.pay(TURN + self.answer.body.len() as u64 / BYTES_PER_UNIT),
            "headers" => self.headers.get_or_init(|| self.headers()),
            "body" => self.body.get_or_init(|| {
                json::parse(self.answer.body).unwrap_or_else(|| json::text(self.answer.body))
            }),
            "vars" => self.vars.get_or_init(|| self.vars()),
            _ => return None,
        };
        Some(CowVal::Borrowed(kept.as_ref()))
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scope").field("status", &self.answer.status).finish_non_exhaustive()
    }
}

/// Whether a value is the boolean `true`.
pub(super) fn is_true(value: &dyn Val) -> bool {
    value.downcast_ref::<CelBool>().is_some_and(|flag| *flag.inner())
}

/// Strings as they are, numbers and booleans written out.
pub(super) fn scalar_text(value: &dyn Val) -> Option<String> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        Some(text.inner().to_owned())
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        Some(number.inner().to_string())
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        Some(number.inner().to_string())
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        Some(number.inner().to_string())
    } else {
        value.downcast_ref::<CelBool>().map(|flag| flag.inner().to_string())
    }
}
