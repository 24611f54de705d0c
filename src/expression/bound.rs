//! Bounds the work of loops: every turn of a macro (`all`, `exists`, `map`, `filter`, …) asks for `@step` or, where a
//! turn may cost as much as the whole body is large, `@heavy`.
//!
//! The scope counts what is asked for and lets an expression fail once its budget is spent.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, operators},
};

use super::functions;

/// Asked for by a turn of constant cost.
pub(super) const STEP: &str = "@step";
/// Asked for by a turn whose cost grows with the body.
pub(super) const HEAVY: &str = "@heavy";

/// Calls whose cost does not grow with their operands, where one of these is a literal or a flag.
const CHEAP: &[&str] = &[
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::CONDITIONAL,
    operators::INDEX,
    operators::NEGATE,
    operators::NOT_STRICTLY_FALSE,
];

const COMPARISONS: &[&str] = &[
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
];

/// The same expression with its loops bounded and `matches` replaced by our own.
pub(super) fn bound(mut tree: IdedExpr) -> IdedExpr {
    walk(&mut tree);
    tree
}

fn walk(node: &mut IdedExpr) {
    match &mut node.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| walk(target));
            call.args.iter_mut().for_each(walk);
            if call.func_name == "matches" {
                functions::MATCHES.clone_into(&mut call.func_name);
                if let Some(target) = call.target.take() {
                    call.args.insert(0, *target);
                }
            }
        }
        Expr::Comprehension(each) => {
            let price = if is_cheap(&each.loop_step) { STEP } else { HEAVY };
            for part in [&mut each.iter_range, &mut each.accu_init, &mut each.loop_step, &mut each.result] {
                walk(part);
            }
            // `map` and `filter` are fast only while their condition is a literal and their step an append, so the
            // price goes into the step's guard there.
            match &mut each.loop_step.expr {
                Expr::Call(call)
                    if call.func_name == operators::CONDITIONAL && is_literal(&each.loop_cond) =>
                {
                    if let Some(guard) = call.args.first_mut() {
                        *guard = and(price, std::mem::take(guard));
                    }
                }
                Expr::Call(call) if call.func_name == operators::ADD && is_literal(&each.loop_cond) => {
                    let step = std::mem::take(&mut each.loop_step);
                    let unchanged = IdedExpr { id: 0, expr: Expr::Ident(each.accu_var.clone()) };
                    each.loop_step = self::call(operators::CONDITIONAL, vec![ident(price), step, unchanged]);
                }
                _ => each.loop_cond = and(price, std::mem::take(&mut each.loop_cond)),
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(walk),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| walk_entry(&mut entry.expr)),
        Expr::Struct(record) => record.entries.iter_mut().for_each(|entry| walk_entry(&mut entry.expr)),
        Expr::Select(select) => walk(&mut select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn walk_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            walk(&mut entry.key);
            walk(&mut entry.value);
        }
        EntryExpr::StructField(field) => walk(&mut field.value),
    }
}

/// Whether a turn's cost is independent of the body's size.
fn is_cheap(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => true,
        Expr::Select(select) => is_cheap(&select.operand),
        Expr::List(list) => list.elements.iter().all(is_cheap),
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            let constant = CHEAP.contains(&name)
                || (COMPARISONS.contains(&name) && call.args.iter().any(is_literal))
                || (name == operators::ADD && call.args.first().is_some_and(is_accumulator));
            constant && call.target.is_none() && call.args.iter().all(is_cheap)
        }
        Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) => false,
    }
}

fn is_literal(node: &IdedExpr) -> bool {
    matches!(node.expr, Expr::Literal(_))
}

fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name.starts_with('@'))
}

fn ident(name: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(name.to_owned()) }
}

fn and(price: &str, condition: IdedExpr) -> IdedExpr {
    call(operators::LOGICAL_AND, vec![ident(price), condition])
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }) }
}
