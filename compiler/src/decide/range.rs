//! Sets of numbers as sorted, disjoint, inclusive ranges.

/// A number with neighbours.
pub(crate) trait Step: Copy + Ord {
    /// The next larger number.
    fn after(self) -> Option<Self>;
    /// The next smaller number.
    fn before(self) -> Option<Self>;
}

impl Step for i64 {
    fn after(self) -> Option<i64> {
        self.checked_add(1)
    }

    fn before(self) -> Option<i64> {
        self.checked_sub(1)
    }
}

impl Step for u32 {
    fn after(self) -> Option<u32> {
        self.checked_add(1)
    }

    fn before(self) -> Option<u32> {
        self.checked_sub(1)
    }
}

impl Step for u128 {
    fn after(self) -> Option<u128> {
        self.checked_add(1)
    }

    fn before(self) -> Option<u128> {
        self.checked_sub(1)
    }
}

/// Sorts ranges and joins those that touch.
pub(crate) fn normalise<N: Step>(mut ranges: Vec<(N, N)>) -> Vec<(N, N)> {
    ranges.retain(|(low, high)| low <= high);
    ranges.sort_unstable();
    let mut joined: Vec<(N, N)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match joined.last_mut() {
            Some(last) if last.1.after().is_none_or(|after| low <= after) => last.1 = last.1.max(high),
            _ => joined.push((low, high)),
        }
    }
    joined
}

/// Whether a normalised set has `number`.
pub(crate) fn contains<N: Step>(ranges: &[(N, N)], number: N) -> bool {
    let at = ranges.partition_point(|(low, _)| *low <= number);
    at.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, high)| number <= *high)
}

/// The points where membership of some range changes.
pub(crate) fn bounds<N: Step>(ranges: impl Iterator<Item = (N, N)>, lowest: N) -> Vec<N> {
    let mut bounds: Vec<N> = ranges.flat_map(|(low, high)| [Some(low), high.after()]).flatten().collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds.retain(|bound| *bound != lowest);
    bounds
}
