//! Where in a rule file a cursor stands, from the lines above it and their indents.

use crate::syntax::keys::{Below, Context};

/// What stands at the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// A key, or where one could begin.
    Key,
    /// The value of a key.
    Value,
}

/// A place in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The mapping of the language that it is in; `None` for one with free keys.
    pub context: Option<Context>,
    /// The keys that lead to it, from the root, without the places in lists.
    pub path: Vec<String>,
    /// A key or a value. For a value the last of `path` is its key.
    pub position: Position,
    /// Where the word or value at the cursor begins.
    pub start: usize,
}

impl Place {
    /// The key whose value this is.
    pub fn key(&self) -> Option<&str> {
        self.path.last().filter(|_| self.position == Position::Value).map(String::as_str)
    }

    /// Whether a condition stands here.
    pub fn is_condition(&self) -> bool {
        let definition = self.path.len() == 2 && self.path.first().is_some_and(|key| key == "definitions");
        self.position == Position::Value
            && (definition || self.context == Some(Context::Rule) && self.key() == Some("condition"))
    }
}

/// A line as far as it says where it belongs.
struct Line<'a> {
    /// Its indent and that of each dash on it, the last being where its content begins.
    columns: Vec<usize>,
    /// How many dashes it begins with.
    dashes: usize,
    /// Its key, if it has one, and what stands behind the colon.
    key: Option<(&'a str, &'a str)>,
    /// Whether anything but white space or a comment is on it.
    shown: bool,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Line<'a> {
        let mut at = line.len() - line.trim_start_matches(' ').len();
        let mut columns = vec![at];
        let mut dashes = 0;
        while let Some(rest) = line.get(at..).and_then(|rest| rest.strip_prefix('-')) {
            if !rest.is_empty() && !rest.starts_with(' ') {
                break;
            }
            at += 1 + (rest.len() - rest.trim_start_matches(' ').len());
            columns.push(at);
            dashes += 1;
        }
        let content = line.get(at..).unwrap_or_default();
        let key = content.split_once(':').filter(|(key, rest)| {
            let plain = |character: char| {
                character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '"' | '\'')
            };
            (rest.is_empty() || rest.starts_with([' ', '\r'])) && !key.is_empty() && key.chars().all(plain)
        });
        let key = key.map(|(key, rest)| (key.trim_matches(['"', '\'']), rest));
        let shown = !content.trim().is_empty() && !content.starts_with('#');
        Line { columns, dashes, key, shown: shown || dashes > 0 }
    }

    /// The column of its first character.
    fn column(&self) -> usize {
        self.columns.first().copied().unwrap_or_default()
    }

    /// The column of its key or value.
    fn content(&self) -> usize {
        self.columns.last().copied().unwrap_or_default()
    }
}

/// The place of the byte at `offset`. Takes time linear in the text before it.
pub fn place(text: &str, offset: usize) -> Place {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let written = before.get(line_start..).unwrap_or_default();
    let whole = text.get(line_start..).unwrap_or_default().split('\n').next().unwrap_or_default();
    let line = Line::read(whole);
    let above = above(before.get(..line_start).unwrap_or_default(), &line);
    if let Some((keys, true)) = &above.block {
        // Inside a block scalar nothing is a key.
        return Place {
            context: context(keys),
            path: keys.clone(),
            position: Position::Value,
            start: word(text, offset),
        };
    }
    let mut path = above.keys;
    if let Some((key, rest)) = line.key {
        let colon = whole.len() - rest.len();
        if written.len() >= colon {
            path.push(key.to_owned());
            let value = line_start + colon + (rest.len() - rest.trim_start_matches(' ').len());
            return within_flow(text, value.min(offset), offset, path);
        }
        let start = (line_start + line.content()).min(offset);
        return Place { context: mapping(&path), path, position: Position::Key, start };
    }
    let start = (line_start + line.content()).min(offset);
    // An item of a list of plain values, or of a mapping that is only begun.
    let free = mapping(&path).is_none();
    if line.dashes > 0 && free || above.continues {
        return within_flow(text, start, offset, path);
    }
    Place { context: mapping(&path), path, position: Position::Key, start }
}

struct Above {
    keys: Vec<String>,
    /// The keys of the block scalar that the line may be in, and whether it is.
    block: Option<(Vec<String>, bool)>,
    /// Whether the line goes on with a value that began above.
    continues: bool,
}

/// What the lines above say: the keys under which a line at this indent stands.
fn above(text: &str, line: &Line<'_>) -> Above {
    let mut open: Vec<(usize, String, bool)> = Vec::new();
    for above in text.split('\n').map(Line::read).filter(|line| line.shown) {
        // Lines of a block scalar are deeper than its key, whatever they look like.
        if open.last().is_some_and(|(column, _, block)| *block && above.column() > *column) {
            continue;
        }
        let at = above.content();
        // A list may stand at the column of its key.
        let keeps =
            |column: usize| if above.dashes > 0 { column <= above.column() && column < at } else { column < at };
        while open.last().is_some_and(|(column, _, _)| {
            !keeps(*column) || above.dashes > 0 && *column == above.column() && above.key.is_none() && *column >= at
        }) {
            open.pop();
        }
        // Of an item before this one nothing stays open.
        if above.dashes > 0 {
            while open.last().is_some_and(|(column, _, _)| *column > above.column()) {
                open.pop();
            }
        }
        if let Some((key, rest)) = above.key {
            let rest = rest.trim();
            open.push((at, key.to_owned(), rest.starts_with(['|', '>'])));
        }
    }
    let blank = !line.shown;
    let block = open.last().filter(|(column, _, block)| *block && (line.column() > *column));
    if block.is_some() {
        let keys = open.iter().map(|(_, key, _)| key.clone()).collect();
        return Above { keys: Vec::new(), block: Some((keys, true)), continues: false };
    }
    let at = line.content();
    while open.last().is_some_and(|(column, _, _)| {
        if line.dashes > 0 { *column > line.column() || *column >= at } else { *column >= at }
    }) {
        open.pop();
    }
    let keys: Vec<String> = open.into_iter().map(|(_, key, _)| key).collect();
    let continues = !blank && line.dashes == 0 && line.key.is_none() && takes_text(&keys);
    Above { keys, block: None, continues }
}

/// Whether the last of these keys takes text, so that a line below it goes on with it.
fn takes_text(keys: &[String]) -> bool {
    let Some((key, outer)) = keys.split_last() else { return false };
    match mapping(outer) {
        Some(context) => {
            context.below(key).is_none()
                && context.key(key).is_some()
                && !matches!(key.as_str(), "definitions" | "request" | "with")
        }
        None => outer.len() == 1 && outer.first().is_some_and(|key| key == "definitions"),
    }
}

/// The mapping of the language that stands under these keys.
pub(super) fn mapping(keys: &[String]) -> Option<Context> {
    let mut at = Context::File;
    for key in keys {
        at = match at.below(key)? {
            Below::One(context) | Below::Each(context) => context,
        };
    }
    Some(at)
}

/// The mapping that the last of these keys is a key of.
fn context(keys: &[String]) -> Option<Context> {
    keys.split_last().and_then(|(_, outer)| mapping(outer))
}

fn word(text: &str, offset: usize) -> usize {
    super::word_at(text, offset).start
}

/// A place in a value that begins at `start`, which may be a collection in brackets.
fn within_flow(text: &str, start: usize, offset: usize, mut path: Vec<String>) -> Place {
    let value = text.get(start..offset).unwrap_or_default();
    if !value.starts_with(['{', '[']) {
        return Place { context: context(&path), path, position: Position::Value, start };
    }
    // Which brackets are open, and whether a key of the mapping waits for its value.
    let mut open: Vec<(char, bool)> = Vec::new();
    let mut quote = None;
    let mut from = start;
    let mut characters = value.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = start + at + character.len_utf8();
        match (quote, character) {
            (Some('"'), '\\') => drop(characters.next()),
            (Some(closing), _) if closing == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if text.get(from..start + at).is_none_or(|word| word.trim().is_empty()) => {
                quote = Some(character);
            }
            (None, '{' | '[') => {
                open.push((character, false));
                from = next;
            }
            (None, '}' | ']' | ',') => {
                if let Some((_, waits)) = open.last_mut()
                    && std::mem::take(waits)
                {
                    path.pop();
                }
                if character != ',' {
                    open.pop();
                }
                from = next;
            }
            (None, ':')
                if matches!(open.last(), Some(('{', false))) && matches!(characters.peek(), None | Some((_, ' '))) =>
            {
                let key = text.get(from..start + at).unwrap_or_default().trim().trim_matches(['"', '\'']);
                path.push(key.to_owned());
                if let Some((_, waits)) = open.last_mut() {
                    *waits = true;
                }
                from = next;
            }
            (None, _) => {}
        }
    }
    let blanks = text.get(from..offset).map_or(0, |word| word.len() - word.trim_start().len());
    let start = from + blanks;
    match open.last() {
        Some(('{', false)) => Place { context: mapping(&path), path, position: Position::Key, start },
        _ => Place { context: context(&path), path, position: Position::Value, start },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of `^` in a text.
    #[track_caller]
    fn check(text: &str, path: &str, position: Position, context: Option<Context>) {
        let offset = text.find('^').unwrap();
        let found = place(&text.replace('^', ""), offset);
        assert_eq!((found.path.join("/").as_str(), found.position, found.context), (path, position, context), "{text}");
    }

    #[test]
    fn the_place_follows_from_the_lines_above() {
        use Position::{Key, Value};
        check("^", "", Key, Some(Context::File));
        check("vers^", "", Key, Some(Context::File));
        check("version: \"1\"\nru^\n", "", Key, Some(Context::File));
        check("rules:\n  - ^", "rules", Key, Some(Context::Rule));
        check("rules:\n  - id: a\n    ac^\n", "rules", Key, Some(Context::Rule));
        check("rules:\n- id: a\n  ac^\n", "rules", Key, Some(Context::Rule));
        check("rules:\n- id: a\n  action: a^\n", "rules/action", Value, Some(Context::Rule));
        check("rules:\n  - id: a\n  - id: b\n    egress:\n      m^\n", "rules/egress", Key, Some(Context::Egress));
        check("rules:\n  - id: b\n    egress:\n      mode: pr^\n", "rules/egress/mode", Value, Some(Context::Egress));
        check("rules:\n  - id: b\n    egress: { mo^ }\n", "rules/egress", Key, Some(Context::Egress));
        check(
            "rules:\n  - id: b\n    egress: { ports: [4^], x: 1 }\n",
            "rules/egress/ports",
            Value,
            Some(Context::Egress),
        );
        check(
            "rules:\n  - id: b\n    egress: { ports: [4], mode: ^ }\n",
            "rules/egress/mode",
            Value,
            Some(Context::Egress),
        );
        check(
            "rules:\n  - id: a\n    condition: |\n      x: y\n      htt^\n",
            "rules/condition",
            Value,
            Some(Context::Rule),
        );
        check("rules:\n  - id: a\n    condition: |\n      x\n    ac^\n", "rules", Key, Some(Context::Rule));
        check("rules:\n  - id: a\n    condition: http.ho^\n", "rules/condition", Value, Some(Context::Rule));
        check("rules:\n  - id: a\n    condition: a\n      && htt^\n", "rules/condition", Value, Some(Context::Rule));
        check("definitions:\n  a: htt^\n", "definitions/a", Value, None);
        check("rules:\n  - inject:\n      - header: X\n        va^\n", "rules/inject", Key, Some(Context::Inject));
        check("tests:\n  - name: x\n    request:\n      http: { ho^ }\n", "tests/request/http", Key, None);
        check(
            "tests:\n  - name: x\n    expect: { decision: allow, rule: d^ }\n",
            "tests/expect/rule",
            Value,
            Some(Context::Expect),
        );
        check("interception:\n  hosts:\n    - a^\n", "interception/hosts", Value, Some(Context::Interception));
        check("rules:\n  - id: a\ntests:\n  - na^\n", "tests", Key, Some(Context::Test));
        check("presets:\n  - git^\n", "presets", Key, Some(Context::Preset));
    }

    #[test]
    fn any_offset_in_any_text_has_a_place() {
        for text in ["", "\n\n", "- - - -", "a: [{b: \"\\", "é: é\n  é", "a: |\n\n\n b", "\t- :", "a: {b: {c: }}}}]]"]
        {
            for offset in 0..=text.len() + 1 {
                let found = place(text, offset);
                assert!(found.start <= text.len() && text.is_char_boundary(found.start), "{text:?} {offset}");
            }
        }
    }
}
