//! Parses a text and finds what could never work: unknown variables, unknown functions, bad patterns.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue},
    parser::PrattParser,
};

use super::{CompileError, clean, functions};

/// Longest expression, in bytes.
const LONGEST: usize = 8 * 1024;
/// Deepest nesting; the interpreter recurses once per level.
const DEEPEST: u16 = 48;
/// Names that are types, usable as in `type(body) == string`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The syntax tree of a text.
pub(super) fn parse(source: &str) -> Result<IdedExpr, CompileError> {
    if source.trim().is_empty() {
        return Err(CompileError { message: "the expression is empty".to_owned(), line: 1, column: 1 });
    }
    if source.len() > LONGEST {
        let message = format!("the expression is longer than {LONGEST} bytes");
        return Err(CompileError { message, line: 1, column: 1 });
    }
    PrattParser::new().max_recursion_depth(DEEPEST).parse(source).map_err(|errors| {
        let Some(first) = errors.errors.first() else {
            return CompileError { message: "not an expression".to_owned(), line: 1, column: 1 };
        };
        CompileError {
            message: in_words(&first.msg),
            line: usize::try_from(first.pos.0).unwrap_or(1).max(1),
            column: usize::try_from(first.pos.1).unwrap_or(1).max(1),
        }
    })
}

/// The parser's word without its jargon.
fn in_words(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default().trim_start_matches("Syntax error: ");
    if message.contains("<EOF>") {
        return "it ends where more must follow".to_owned();
    }
    clean(message, 160)
}

/// Checks names and patterns; returns the variables that are referred to, sorted.
pub(super) fn check(source: &str, tree: &IdedExpr, roots: &[&str]) -> Result<Vec<String>, CompileError> {
    let mut checker = Checker { source, roots, bound: Vec::new(), variables: Vec::new() };
    checker.walk(tree)?;
    checker.variables.sort();
    checker.variables.dedup();
    Ok(checker.variables)
}

struct Checker<'a> {
    source: &'a str,
    roots: &'a [&'a str],
    /// Names that the macros around bind.
    bound: Vec<&'a str>,
    variables: Vec<String>,
}

impl<'a> Checker<'a> {
    fn walk(&mut self, node: &'a IdedExpr) -> Result<(), CompileError> {
        match &node.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Call(call) => {
                self.call(call)?;
                call.target.iter().try_for_each(|target| self.walk(target))?;
                call.args.iter().try_for_each(|arg| self.walk(arg))
            }
            Expr::Comprehension(each) => {
                self.walk(&each.iter_range)?;
                let before = self.bound.len();
                self.bound.push(&each.iter_var);
                self.bound.extend(each.iter_var2.as_deref());
                self.bound.push(&each.accu_var);
                let inside = [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
                    .into_iter()
                    .try_for_each(|part| self.walk(part));
                self.bound.truncate(before);
                inside
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.walk(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(record) => {
                Err(self
                    .at(&record.type_name, format!("there is no type `{}`", clean(&record.type_name, 60))))
            }
            Expr::Select(select) => self.walk(&select.operand),
            Expr::Unspecified => Err(self.at("", "not an expression".to_owned())),
            Expr::Literal(_) => Ok(()),
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr) -> Result<(), CompileError> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.walk(&entry.key)?;
                self.walk(&entry.value)
            }
            EntryExpr::StructField(field) => self.walk(&field.value),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), CompileError> {
        if name.starts_with('@') || self.bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        if self.roots.contains(&name) {
            self.variables.push(name.to_owned());
            return Ok(());
        }
        let known = self.roots.join("`, `");
        Err(self.at(name, format!("there is no variable `{}` here; there is `{known}`", clean(name, 60))))
    }

    fn call(&self, call: &CallExpr) -> Result<(), CompileError> {
        let name = call.func_name.as_str();
        if call.target.is_none() && is_operator(name) {
            return Ok(());
        }
        if !functions::NAMES.contains(&name) {
            return Err(self.at(name, format!("there is no function `{}`", clean(name, 60))));
        }
        if name == "matches"
            && let Some(Expr::Literal(LiteralValue::String(text))) = call.args.last().map(|arg| &arg.expr)
            && let Err(error) = functions::pattern(text.inner())
        {
            return Err(self.at(name, format!("bad pattern in `matches`: {}", clean(&error, 160))));
        }
        Ok(())
    }

    /// An error at the first place where the word stands as a word outside of a string.
    fn at(&self, word: &str, message: String) -> CompileError {
        let (line, column) = place(self.source, find_word(self.source, word).unwrap_or(0));
        CompileError { message, line, column }
    }
}

/// Operators are calls with names that no text can spell: `_==_`, `!_`, `@in`.
fn is_operator(name: &str) -> bool {
    let mut letters = name.chars();
    match letters.next() {
        Some('@' | '!' | '-') => true,
        Some('_') => letters.next().is_some_and(|second| !is_word(second)),
        _ => false,
    }
}

/// Line and column, from 1, of a byte offset.
fn place(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn find_word(source: &str, word: &str) -> Option<usize> {
    if word.is_empty() {
        return None;
    }
    let mut quote = None;
    let mut escaped = false;
    let mut before = ' ';
    for (at, letter) in source.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None => {
                let follows = source[at..].strip_prefix(word).map(|rest| rest.chars().next());
                if follows.is_some_and(|next| !next.is_some_and(is_word)) && !is_word(before) {
                    return Some(at);
                }
            }
        }
        before = letter;
    }
    None
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
