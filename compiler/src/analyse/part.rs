//! Classes of values in words.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// How many values are named before the rest is counted.
const NAMED: usize = 6;

/// A class of values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// One text.
    Text(String),
    /// Texts that something can be said of: `begins with x`.
    Texts(String),
    /// A range of numbers.
    Numbers(i64, i64),
    /// A range of addresses of one family.
    Addresses(IpAddr, IpAddr),
    /// No value.
    Missing,
    /// What is in none of the other classes.
    Other,
    /// An expression that is no test of one value came out some way.
    Assumed,
}

/// What the classes in `inside` have together, `outside` being all others; `None` when that says nothing.
pub(super) fn words(inside: &[&Part], outside: &[&Part]) -> Option<String> {
    if outside.is_empty() || inside.contains(&&Part::Assumed) {
        return None;
    }
    let (inside, outside) = (joined(inside), joined(outside));
    let ranges = inside.iter().chain(&outside).all(|part| matches!(part, Part::Numbers(..) | Part::Addresses(..)));
    let by_exclusion = inside.contains(&Part::Other) || (ranges && inside.len() > outside.len());
    Some(if by_exclusion {
        if outside.len() <= NAMED {
            none_of(&outside.iter().collect::<Vec<_>>())
        } else {
            "is anything else".to_owned()
        }
    } else {
        let mut text = list(&inside);
        // What lies within the words for the class and is a class of its own.
        let but: Vec<&Part> =
            outside.iter().filter(|part| inside.iter().any(|class| lies_within(part, class))).collect();
        if !but.is_empty() {
            text.push_str(" but ");
            text.push_str(&if but.len() <= NAMED {
                none_of(&but)
            } else {
                "is in none of the other classes".to_owned()
            });
        }
        text
    })
}

/// The single sayings of a class of texts: `begins with x` and `ends with y`.
fn sayings(words: &str) -> Vec<String> {
    let closed = |part: &str| if part.ends_with('`') { part.to_owned() } else { format!("{part}`") };
    words.split("` and ").map(closed).collect()
}

/// What a saying says, and of which text.
fn parts_of(saying: &str) -> Option<(&str, &str)> {
    let (verb, text) = saying.split_once('`')?;
    Some((verb.trim_end(), text.strip_suffix('`')?))
}

/// Whether the words for the class `outer` are true of what is in `part`, as far as that can be told from words.
fn lies_within(part: &Part, outer: &Part) -> bool {
    let Part::Texts(outer) = outer else { return false };
    let outer = sayings(outer);
    match part {
        Part::Text(text) => outer.iter().all(|saying| match parts_of(saying) {
            Some(("begins with", prefix)) => text.starts_with(prefix),
            Some(("ends with", suffix)) => text.ends_with(suffix),
            Some(("contains", piece)) => text.contains(piece),
            Some((_, suffix)) => text.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')),
            None => false,
        }),
        Part::Texts(words) => {
            let inner = sayings(words);
            outer.iter().all(|saying| {
                inner.iter().any(|other| {
                    saying == other
                        || match (parts_of(saying), parts_of(other)) {
                            (Some(("begins with", prefix)), Some(("begins with", longer))) => {
                                longer.starts_with(prefix)
                            }
                            (Some(("ends with", suffix)), Some(("ends with", longer))) => longer.ends_with(suffix),
                            (Some(("contains", piece)), Some((verb, longer))) => {
                                verb != "matches" && longer.contains(piece)
                            }
                            _ => false,
                        }
                })
            })
        }
        _ => false,
    }
}

/// That a value is in none of some classes: first those that are named outright.
fn none_of(parts: &[&Part]) -> String {
    let named: Vec<Part> = parts
        .iter()
        .filter(|part| !matches!(part, Part::Texts(_) | Part::Missing))
        .map(|part| (*part).clone())
        .collect();
    let mut said = Vec::new();
    if !named.is_empty() {
        said.push(format!("is other than {}", joined_by_or(named.iter().map(item).collect())));
    }
    for part in parts {
        match part {
            Part::Texts(words) => said.push(negated(words)),
            Part::Missing => said.push("is not missing".to_owned()),
            _ => {}
        }
    }
    said.join(" and ")
}

/// The contrary of what is said of texts.
fn negated(words: &str) -> String {
    let sayings = sayings(words);
    let [saying] = sayings.as_slice() else { return format!("not both {words}") };
    for (verb, contrary) in [
        ("begins with", "does not begin with"),
        ("ends with", "does not end with"),
        ("contains", "does not contain"),
        ("matches", "does not match"),
    ] {
        if let Some(rest) = saying.strip_prefix(verb) {
            return format!("{contrary}{rest}");
        }
    }
    format!("is not {saying}")
}

/// Ranges that touch as one, in order, and what is one label or several under a name as what is under it.
fn joined(parts: &[&Part]) -> Vec<Part> {
    let mut parts: Vec<Part> = parts.iter().map(|part| (*part).clone()).collect();
    parts.sort();
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (joined.last_mut(), &part) {
            (Some(Part::Numbers(_, high)), Part::Numbers(low, end)) if high.checked_add(1) == Some(*low) => {
                *high = *end
            }
            (Some(Part::Addresses(_, high)), Part::Addresses(low, end)) if touch(*high, *low) => *high = *end,
            _ => joined.push(part),
        }
    }
    let under = |part: &Part, labels: &str| match part {
        Part::Texts(words) => words.strip_prefix(labels).filter(|rest| rest.starts_with(" under")).map(str::to_owned),
        _ => None,
    };
    let several: BTreeSet<String> = joined.iter().filter_map(|part| under(part, "several labels")).collect();
    let one: BTreeSet<String> = joined.iter().filter_map(|part| under(part, "one label")).collect();
    joined.retain(|part| under(part, "several labels").is_none_or(|rest| !one.contains(&rest)));
    for part in &mut joined {
        if let Some(rest) = under(part, "one label").filter(|rest| several.contains(rest)) {
            *part = Part::Texts(rest.trim_start().to_owned());
        }
    }
    joined
}

fn touch(high: IpAddr, low: IpAddr) -> bool {
    match (high, low) {
        (IpAddr::V4(high), IpAddr::V4(low)) => high.to_bits().checked_add(1) == Some(low.to_bits()),
        (IpAddr::V6(high), IpAddr::V6(low)) => high.to_bits().checked_add(1) == Some(low.to_bits()),
        _ => false,
    }
}

fn list(parts: &[Part]) -> String {
    let mut items: Vec<String> = parts.iter().take(NAMED).map(item).collect();
    // The verb once for all that are named outright; most others have their own.
    let verbless = |part: &Part| match part {
        Part::Texts(words) => {
            words.starts_with("one label") || words.starts_with("several labels") || words.starts_with("under")
        }
        _ => true,
    };
    if let Some((_, item)) = parts.iter().zip(&mut items).find(|(part, _)| verbless(part)) {
        item.insert_str(0, "is ");
    }
    let more = parts.len().saturating_sub(NAMED);
    if more > 0 {
        return format!("{} or {more} more", items.join(", "));
    }
    joined_by_or(items)
}

fn joined_by_or(items: Vec<String>) -> String {
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

fn item(part: &Part) -> String {
    match part {
        Part::Text(text) => format!("`{text}`"),
        Part::Texts(words) => words.clone(),
        Part::Numbers(low, high) if low == high => low.to_string(),
        Part::Numbers(low, high) => format!("{low} to {high}"),
        Part::Addresses(low, high) => addresses(*low, *high),
        Part::Missing => "missing".to_owned(),
        Part::Other => "anything else".to_owned(),
        Part::Assumed => String::new(),
    }
}

fn addresses(low: IpAddr, high: IpAddr) -> String {
    let (from, to, width) = match (low, high) {
        (IpAddr::V4(low), IpAddr::V4(high)) => (u128::from(low.to_bits()), u128::from(high.to_bits()), 32),
        (IpAddr::V6(low), IpAddr::V6(high)) => (low.to_bits(), high.to_bits(), 128),
        _ => return format!("{low} to {high}"),
    };
    let open = 128 - (from ^ to).leading_zeros();
    let mask = 1_u128.checked_shl(open).map_or(u128::MAX, |bit| bit - 1);
    match () {
        () if low == high => low.to_string(),
        () if open == width => format!("any IPv{} address", if width == 32 { 4 } else { 6 }),
        () if from & mask == 0 && to & mask == mask => format!("{low}/{}", width - open),
        () => format!("{low} to {high}"),
    }
}
