//! Says why an expression does not hold, in a line that can be read at three in the morning.

use cel::{
    Context, ExecutionError, IdedExpr, Value,
    common::{
        ast::{CallExpr, ComprehensionExpr, Expr, operators},
        types::{CelList, CelMap, CelNull, CelString},
        value::Val,
    },
};

use super::scope::{Failure, Scope, is_true, scalar_text};

/// Longest value shown, in characters.
const VALUE: usize = 60;
/// Longest list that is shown by its elements.
const ELEMENTS: usize = 4;
/// Longest error shown, in characters.
const ERROR: usize = 160;

const COMPARISONS: &[&str] = &[
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::IN,
];

/// A foreign text made safe to show: control, bidi and invisible format characters replaced by `·`, line breaks and
/// tabs by a space, cut to so many characters with `…` at the end.
#[must_use]
pub fn clean(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count >= longest {
            shown.push('…');
            break;
        }
        shown.push(match letter {
            '\n' | '\r' | '\t' => ' ',
            letter if is_harmful(letter) => '·',
            letter => letter,
        });
    }
    shown
}

/// Whether a character moves a cursor, reorders a line or shows nothing: control characters, the bidirectional controls of
/// UAX #9, and invisible format characters.
#[must_use]
pub fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The halves of `a && b && …` with their texts, in order. Where text and tree do not pair up (brackets around a
/// half's own `&&`), the whole alone.
pub(super) fn halves<'s, 't>(source: &'s str, tree: &'t IdedExpr) -> Vec<(&'s str, &'t IdedExpr)> {
    let texts = split(source);
    let mut trees = Vec::new();
    flatten(tree, &mut trees);
    if texts.len() == trees.len() {
        texts.into_iter().zip(trees).collect()
    } else {
        vec![(source.trim(), tree)]
    }
}

fn flatten<'t>(tree: &'t IdedExpr, halves: &mut Vec<&'t IdedExpr>) {
    match &tree.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND && call.target.is_none() => {
            call.args.iter().for_each(|half| flatten(half, halves));
        }
        _ => halves.push(tree),
    }
}

/// Cuts a text at every `&&` outside of brackets and strings.
fn split(source: &str) -> Vec<&str> {
    let mut texts = Vec::new();
    let (mut start, mut depth, mut quote, mut escaped) = (0, 0_i32, None, false);
    for (at, letter) in source.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None => match letter {
                '"' | '\'' => quote = Some(letter),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                '&' if depth == 0 && source[at..].starts_with("&&") && at >= start => {
                    texts.push(source[start..at].trim());
                    start = at + 2;
                }
                _ => {}
            },
        }
    }
    texts.push(source.get(start..).unwrap_or_default().trim());
    texts
}

/// Why the conjunction of the halves is not true: the first that is false, else the first that has no value.
pub(super) fn explain(scope: &Scope<'_>, halves: &[(Box<str>, IdedExpr)]) -> String {
    let mut broken = None;
    for (text, half) in halves {
        match scope.evaluate(half, |value| (is_true(value), shown(value))) {
            Ok((true, _)) => {}
            Ok((false, value)) => {
                return match was(scope, half, &value) {
                    Some(was) => format!("{} ({was})", clean(text, ERROR)),
                    None => clean(text, ERROR),
                };
            }
            Err(failure) => {
                broken.get_or_insert_with(|| {
                    format!("{} ({})", clean(text, ERROR), reason(scope, half, &failure))
                });
            }
        }
    }
    broken.unwrap_or_else(|| "not true".to_owned())
}

/// The value that was met, in words.
fn was(scope: &Scope<'_>, half: &IdedExpr, value: &str) -> Option<String> {
    match &half.expr {
        Expr::Call(call) if COMPARISONS.contains(&call.func_name.as_str()) => compared(scope, call),
        Expr::Call(call) if call.target.is_some() => {
            let target = call.target.as_deref()?;
            Some(format!("was {}", scope.evaluate(target, shown).ok()?))
        }
        Expr::Call(call) if call.func_name == super::functions::MATCHES => {
            Some(format!("was {}", scope.evaluate(call.args.first()?, shown).ok()?))
        }
        Expr::Comprehension(each) => element(scope, each),
        _ if value == "false" => None,
        _ => Some(format!("was {value}, neither true nor false")),
    }
}

fn compared(scope: &Scope<'_>, call: &CallExpr) -> Option<String> {
    let [left, right] = call.args.as_slice() else { return None };
    let value = |side: &IdedExpr| scope.evaluate(side, shown).ok();
    match (is_constant(left), is_constant(right)) {
        (true, _) => Some(format!("was {}", value(right)?)),
        (false, true) => Some(format!("was {}", value(left)?)),
        (false, false) => Some(format!("was {}, against {}", value(left)?, value(right)?)),
    }
}

fn is_constant(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(is_constant),
        _ => false,
    }
}

/// The first element for which an `all` fails.
fn element(scope: &Scope<'_>, each: &ComprehensionExpr) -> Option<String> {
    let Expr::Call(step) = &each.loop_step.expr else { return None };
    if step.func_name != operators::LOGICAL_AND {
        return None;
    }
    let test = step.args.get(1)?;
    let context = scope.context();
    let range = Value::resolve_val(&each.iter_range, &context).ok()?;
    let mut items = range.as_iterable()?.iter();
    while let Some(item) = items.next() {
        let mut inner: Context<'_, '_> = context.new_inner_scope();
        inner.add_variable_as_val(&each.iter_var, item.clone_as_boxed());
        let holds = Value::resolve_val(test, &inner).is_ok_and(|value| is_true(value.as_ref()));
        if scope.is_spent() {
            return None;
        }
        if !holds {
            return Some(format!("not for {}", shown(item)));
        }
    }
    None
}

fn reason(scope: &Scope<'_>, half: &IdedExpr, failure: &Failure) -> String {
    let error = match failure {
        Failure::TooCostly => return "too much work for a body of this size".to_owned(),
        Failure::Error(error) => error,
    };
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {}", clean(key, VALUE)),
        _ if half.references().has_variable("body") && scope.body_is_text() => {
            "the body is not JSON".to_owned()
        }
        ExecutionError::NoSuchOverload(_) | ExecutionError::ValuesNotComparable(..) => match &half.expr {
            Expr::Call(call) if COMPARISONS.contains(&call.func_name.as_str()) => compared(scope, call),
            _ => None,
        }
        .unwrap_or_else(|| clean(&error.to_string(), ERROR)),
        other => clean(&other.to_string(), ERROR),
    }
}

/// The elements of a short list of texts, numbers and flags.
fn elements(list: &CelList) -> Option<String> {
    let items = list.inner();
    let scalar = |item: &dyn Val| scalar_text(item).map(|_| shown(item));
    let all: Option<Vec<String>> =
        items.iter().take(ELEMENTS + 1).map(|item| scalar(item.as_ref())).collect();
    all.filter(|all| all.len() <= ELEMENTS).map(|all| format!("[{}]", all.join(", ")))
}

/// A value as it is shown: texts in quotes, short lists of texts, numbers and flags by their elements, other lists and
/// maps by their size, cleaned and cut.
fn shown(value: &dyn Val) -> String {
    if let Some(text) = value.downcast_ref::<CelString>() {
        format!("\"{}\"", clean(text.inner(), VALUE))
    } else if let Some(text) = scalar_text(value) {
        text
    } else if value.downcast_ref::<CelNull>().is_some() {
        "null".to_owned()
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        elements(list).unwrap_or_else(|| format!("a list of {}", list.inner().len()))
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        format!("a map of {}", map.inner().len())
    } else {
        match Value::try_from(value) {
            Ok(Value::Timestamp(at)) => at.to_rfc3339(),
            Ok(other) => clean(&format!("{other:?}"), VALUE),
            Err(_) => format!("a {}", clean(value.get_type().name(), VALUE)),
        }
    }
}
