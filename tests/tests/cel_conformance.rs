//! The public conformance cases of CEL: what lies in the language agrees, everything else gets a clear refusal.
//!
//! The cases are not part of the repository. They are read from `../shared/cel-conformance` beside it, or from where
//! `OUTCALL_CEL_CONFORMANCE` says.
#![expect(clippy::indexing_slicing, reason = "an absent member of a JSON value reads as null")]

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use outcall_compiler::cel::typed::Type;
use outcall_compiler::cel::{self, CelError, Env};
use outcall_compiler::emit::expr::write_expr;
use outcall_schema::artifact::expr;
use outcall_schema::artifact::writer::Writer;
use outcall_schema::facts::Facts;
use outcall_tests::reference::eval::{Evaluator, Stop};
use outcall_tests::reference::value::{Slot, Value};
use serde_json::Value as Json;

fn directory() -> Option<PathBuf> {
    let named = std::env::var_os("OUTCALL_CEL_CONFORMANCE").map(PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/cel-conformance");
    named.or(Some(root)).filter(|directory| directory.join("cases.jsonl").is_file())
}

/// A value of a case; `None` for one that the language does not have.
fn value(json: &Json) -> Option<Value> {
    let (kind, content) = json.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(content.as_bool()?),
        "int" => Value::Int(content.as_str()?.parse().ok()?),
        "string" => Value::text(content.as_str()?),
        "list" => Value::List(content.as_array()?.iter().map(value).collect::<Option<_>>()?),
        "map" => {
            let entry = |entry: &Json| Some((value(entry.get(0)?)?, value(entry.get(1)?)?));
            Value::Map(content.as_array()?.iter().map(entry).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn from_compiled(value: &expr::Value<'_>) -> Value {
    match value {
        expr::Value::Null => Value::Null,
        expr::Value::Bool(value) => Value::Bool(*value),
        expr::Value::Int(value) => Value::Int(*value),
        expr::Value::Number(value) => Value::Number(*value),
        expr::Value::Str(text) => Value::text(text.as_ref()),
        expr::Value::List(items) => Value::List(items.iter().map(from_compiled).collect()),
        expr::Value::Strings(items) => Value::List(items.iter().map(|item| Value::text(item.as_str())).collect()),
        expr::Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (from_compiled(key), from_compiled(value))).collect())
        }
        expr::Value::Headers(_) | expr::Value::Json(_) => Value::from_json(&expr::to_json(value)),
    }
}

fn from_third(value: &::cel::Value) -> Option<Value> {
    Some(match value {
        ::cel::Value::Null => Value::Null,
        ::cel::Value::Bool(value) => Value::Bool(*value),
        ::cel::Value::Int(value) => Value::Int(*value),
        ::cel::Value::String(text) => Value::text(text.as_str()),
        ::cel::Value::List(items) => Value::List(items.iter().map(from_third).collect::<Option<_>>()?),
        _ => return None,
    })
}

/// What a case expects.
enum Wanted {
    /// This value.
    Value(Value),
    /// An error of evaluation, or none of the values of the language.
    Error,
    /// Only that it is checked.
    Nothing,
}

fn wanted(case: &Json) -> Wanted {
    match (case["expect"]["kind"].as_str(), value(&case["expect"]["value"])) {
        (Some("error"), _) => Wanted::Error,
        (_, Some(value)) => Wanted::Value(value),
        _ => Wanted::Nothing,
    }
}

fn agrees(found: &Result<Value, Stop>, wanted: &Wanted) -> bool {
    match (found, wanted) {
        (Ok(found), Wanted::Value(value)) => found.equals(value),
        (Err(Stop::Error), Wanted::Error) => true,
        (_, Wanted::Nothing) => true,
        _ => false,
    }
}

/// A refusal says what is wrong, by a code of its own, and what to write instead.
fn is_clear(errors: &[CelError], text: &str) -> bool {
    !errors.is_empty()
        && errors.iter().all(|error| {
            let message = !error.message.is_empty() && !error.message.contains('\n');
            let helps = error.help.as_ref().is_some_and(|help| !help.is_empty());
            error.code.starts_with("OC01") && message && helps && error.range.end <= text.len()
        })
}

/// The variables of a case that the language can hold, and their types.
fn variables(case: &Json) -> Option<(HashMap<String, Value>, HashMap<String, Type>)> {
    let mut values = HashMap::new();
    for (name, bound) in case["bindings"].as_object().into_iter().flatten() {
        values.insert(name.clone(), value(bound)?);
    }
    let types = values.iter().map(|(name, value)| (name.clone(), type_of(value))).collect();
    Some((values, types))
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Str(_) => Type::String,
        Value::List(_) => Type::List(Box::new(Type::Dyn)),
        Value::Map(_) => Type::Map(Box::new(Type::Dyn), Box::new(Type::Dyn)),
        Value::Number(_) => Type::Dyn,
    }
}

#[test]
fn the_public_cases_agree_or_are_refused_clearly() {
    let Some(directory) = directory() else {
        println!("skipped: no CEL conformance cases in ../shared/cel-conformance or OUTCALL_CEL_CONFORMANCE");
        return;
    };
    let cases = std::fs::read_to_string(directory.join("cases.jsonl")).unwrap();
    let core = std::fs::read_to_string(directory.join("core.txt")).unwrap();
    let core: HashSet<&str> = core.lines().collect();
    let (mut agreed, mut compiled, mut third, mut refused, mut in_core) = (0, 0, 0, 0, 0);
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let part = |key: &str| case[key].as_str().unwrap_or_default();
        let name = format!("{}/{}/{}", part("file"), part("section"), part("name"));
        let text = part("expr");
        let is_core = core.contains(name.as_str());
        let tree = cel::parse(text);
        // Never a panic, and never an unclear refusal, whatever the expression. What is no rule's condition is refused there.
        let rule = cel::parse_and_check(text, &Env::rule());
        if let Err(errors) = &rule
            && is_clear(errors, text)
        {
            refused += u32::from(!is_core);
        } else if let Err(errors) = &rule {
            wrong.push(format!("{name}: `{text}` is not refused clearly: {errors:?}"));
        }
        let variables = variables(&case);
        let checked = match &variables {
            Some((_, types)) => cel::parse_and_check(text, &Env::free(types.clone())),
            None => cel::parse_and_check(text, &Env::free(HashMap::new())),
        };
        let wanted = wanted(&case);
        let outside = variables.is_none()
            || (case["expect"]["kind"] == "value" && matches!(wanted, Wanted::Nothing))
            || matches!(case["container"].as_str(), Some(container) if !container.is_empty());
        match (tree, &variables) {
            (Ok(tree), Some((values, _))) if is_core && case["check_only"] != true => {
                in_core += 1;
                let found = Evaluator::new(&|_| Slot::Unknown, values).value(&tree);
                if agrees(&found, &wanted) {
                    agreed += 1;
                } else {
                    wrong.push(format!("{name}: `{text}` is {found:?} in the reference"));
                }
            }
            _ => {}
        }
        match checked {
            Err(errors) => {
                let unchecked = case["disable_check"] == true || case["check_only"] == true;
                if is_core && !unchecked && matches!(wanted, Wanted::Value(_)) {
                    wrong.push(format!("{name}: `{text}` lies in the language and is refused: {errors:?}"));
                }
                if !is_clear(&errors, text) {
                    wrong.push(format!("{name}: `{text}` is not refused clearly: {errors:?}"));
                }
            }
            // Only expressions without variables can be written into an artifact.
            Ok(typed)
                if variables.as_ref().is_some_and(|(values, _)| values.is_empty()) && case["check_only"] != true =>
            {
                let mut writer = Writer::default();
                let root = write_expr(&mut writer, &typed);
                let found = expr::evaluate(writer, root, &Facts::default(), |value| from_compiled(&value));
                let found = found.map_err(|stop| match stop {
                    expr::Stop::Unknown => Stop::Error,
                    expr::Stop::Pending => Stop::Open,
                });
                if outside && found.is_ok() {
                    wrong.push(format!("{name}: `{text}` lies outside the language and is {found:?}"));
                } else if agrees(&found, &wanted) {
                    compiled += 1;
                } else if is_core || found.is_ok() || rule.is_ok() {
                    wrong.push(format!("{name}: `{text}` is {found:?} when compiled"));
                }
            }
            Ok(_) => {}
        }
        // Another implementation, where its values are ours as well.
        if let (true, Wanted::Value(value)) = (is_core, &wanted)
            && variables.as_ref().is_some_and(|(values, _)| values.is_empty())
            && let Ok(Ok(program)) = std::panic::catch_unwind(|| ::cel::Program::compile(text))
            && let Some(found) = program.execute(&::cel::Context::default()).ok().as_ref().and_then(from_third)
        {
            third += 1;
            if !found.equals(value) {
                wrong.push(format!("{name}: `{text}` is {found:?} in the crate `cel`"));
            }
        }
    }
    println!(
        "{} cases: {in_core} in the core, {agreed} agree in the reference, {compiled} compiled, {third} in the crate `cel`; \
         {refused} refused clearly",
        cases.lines().count()
    );
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agreed > 400 && compiled > 380 && third > 300 && refused > 1_000, "too few cases mean something");
}
