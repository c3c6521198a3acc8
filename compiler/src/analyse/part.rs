//! Classes of values in words.

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
    Some(if !by_exclusion {
        list(&inside, "is ")
    } else if outside.len() <= NAMED {
        format!("is other than {}", list(&outside, ""))
    } else {
        "is anything else".to_owned()
    })
}

/// Ranges that touch as one, in order.
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
    joined
}

fn touch(high: IpAddr, low: IpAddr) -> bool {
    match (high, low) {
        (IpAddr::V4(high), IpAddr::V4(low)) => high.to_bits().checked_add(1) == Some(low.to_bits()),
        (IpAddr::V6(high), IpAddr::V6(low)) => high.to_bits().checked_add(1) == Some(low.to_bits()),
        _ => false,
    }
}

fn list(parts: &[Part], verb: &str) -> String {
    let mut items: Vec<String> = parts.iter().take(NAMED).map(item).collect();
    // The verb once for all that are named outright; the others have their own.
    if let Some((_, item)) = parts.iter().zip(&mut items).find(|(part, _)| !matches!(part, Part::Texts(_))) {
        item.insert_str(0, verb);
    }
    let more = parts.len().saturating_sub(NAMED);
    if more > 0 {
        return format!("{} or {more} more", items.join(", "));
    }
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
