//! Typed expressions in the form of the artifacts.

use outcall_schema::artifact::expr::Op;
use outcall_schema::artifact::writer::{ExprRef, Writer};

use crate::cel::typed::{ArithOp, CompareOp, Expr, ExprKind, Function, MacroKind};
use crate::decide::formula::Test;
use crate::decide::pattern;

/// Writes an expression. The checker has made sure that patterns and networks are literals and valid; what is not becomes
/// an expression without a value.
pub fn write_expr(writer: &mut Writer, expr: &Expr) -> ExprRef {
    let mut write = |expr: &Expr| write_expr(writer, expr);
    let (op, operands) = match &expr.kind {
        ExprKind::Null => (Op::Null, vec![]),
        ExprKind::Bool(true) => (Op::True, vec![]),
        ExprKind::Bool(false) => (Op::False, vec![]),
        ExprKind::Int(value) => return writer.expr_int(*value),
        ExprKind::Str(text) => return writer.expr_text(text),
        ExprKind::Field(field) => return writer.expr_field(*field),
        ExprKind::Bound(index) => return writer.expr_bound(*index),
        ExprKind::Free(_) => return no_value(writer),
        ExprKind::List(items) => (Op::List, items.iter().map(write).collect()),
        ExprKind::Map(entries) => (Op::Map, entries.iter().flat_map(|(key, value)| [key, value]).map(write).collect()),
        ExprKind::Index(container, key) => (Op::Index, vec![write(container), write(key)]),
        ExprKind::Has(container, key) => {
            let container = write(container);
            (Op::Has, vec![container, writer.expr_text(key)])
        }
        ExprKind::Not(operand) => (Op::Not, vec![write(operand)]),
        ExprKind::Negate(operand) => (Op::Negate, vec![write(operand)]),
        ExprKind::And(operands) => (Op::And, operands.iter().map(write).collect()),
        ExprKind::Or(operands) => (Op::Or, operands.iter().map(write).collect()),
        ExprKind::Conditional(condition, then, otherwise) => {
            (Op::Conditional, vec![write(condition), write(then), write(otherwise)])
        }
        ExprKind::Compare(op, left, right) => {
            let op = match op {
                CompareOp::Eq => Op::Eq,
                CompareOp::Ne => Op::Ne,
                CompareOp::Lt => Op::Lt,
                CompareOp::Le => Op::Le,
                CompareOp::Gt => Op::Gt,
                CompareOp::Ge => Op::Ge,
            };
            (op, vec![write(left), write(right)])
        }
        ExprKind::Arith(op, left, right) => {
            let op = match op {
                ArithOp::Add => Op::Add,
                ArithOp::Sub => Op::Sub,
                ArithOp::Mul => Op::Mul,
                ArithOp::Div => Op::Div,
                ArithOp::Rem => Op::Rem,
            };
            (op, vec![write(left), write(right)])
        }
        ExprKind::In(element, container) => (Op::In, vec![write(element), write(container)]),
        ExprKind::Call(function, arguments) => return call(writer, *function, arguments),
        ExprKind::Macro { kind, range, filter, body } => match (kind, filter) {
            (MacroKind::All, _) => (Op::All, vec![write(range), write(body)]),
            (MacroKind::Exists, _) => (Op::Exists, vec![write(range), write(body)]),
            (MacroKind::ExistsOne, _) => (Op::ExistsOne, vec![write(range), write(body)]),
            (MacroKind::Filter, _) => (Op::Filter, vec![write(range), write(body)]),
            (MacroKind::Map, None) => (Op::Transform, vec![write(range), write(body)]),
            (MacroKind::Map, Some(filter)) => (Op::FilterTransform, vec![write(range), write(filter), write(body)]),
        },
    };
    writer.expr(op, &operands)
}

fn call(writer: &mut Writer, function: Function, arguments: &[Expr]) -> ExprRef {
    let op = match (function, arguments) {
        (Function::Matches, [receiver, Expr { kind: ExprKind::Str(pattern), .. }]) => {
            let Some(automaton) = pattern::single(&Test::Matches(pattern.clone())) else { return no_value(writer) };
            let receiver = write_expr(writer, receiver);
            let automaton = writer.automaton(&automaton);
            return writer.expr_matches(receiver, automaton);
        }
        (Function::InCidr, [receiver, Expr { kind: ExprKind::Str(network), .. }]) => {
            let parts = network
                .split_once('/')
                .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
            let Some((address, prefix)) = parts else { return no_value(writer) };
            let receiver = write_expr(writer, receiver);
            return writer.expr_in_cidr(receiver, address, prefix);
        }
        (Function::Matches | Function::InCidr, _) => return no_value(writer),
        (Function::Size, _) => Op::Size,
        (Function::StartsWith, _) => Op::StartsWith,
        (Function::EndsWith, _) => Op::EndsWith,
        (Function::Contains, _) => Op::Contains,
        (Function::LowerAscii, _) => Op::LowerAscii,
        (Function::UpperAscii, _) => Op::UpperAscii,
        (Function::HostMatches, _) => Op::HostMatches,
    };
    let operands: Vec<ExprRef> = arguments.iter().map(|argument| write_expr(writer, argument)).collect();
    writer.expr(op, &operands)
}

/// `null < null`, which is an error.
fn no_value(writer: &mut Writer) -> ExprRef {
    let null = writer.expr(Op::Null, &[]);
    writer.expr(Op::Lt, &[null, null])
}
