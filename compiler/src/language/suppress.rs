//! Where a comment goes that suppresses a finding.

use std::sync::Arc;

use crate::diag::SourceFile;
use crate::source::yaml::{self, Entry, Node, NodeKind};

/// The beginning of the line above which a comment holds for what stands at `offset`, and its indent: the innermost rule, item
/// or key around it that begins a line.
pub fn suppression(file: &Arc<SourceFile>, offset: usize) -> Option<(usize, String)> {
    let (document, _) = yaml::read(file);
    let mut starts = Vec::new();
    around(document.root.as_ref()?, offset, &mut starts);
    starts.into_iter().rev().find_map(|start| {
        let line = file.line_start(file.line(start));
        let before = file.text.get(line..start)?;
        let indent = before.len() - before.trim_start_matches(' ').len();
        before.chars().all(|character| matches!(character, ' ' | '-')).then(|| (line, " ".repeat(indent)))
    })
}

/// Where the items and entries around `offset` begin, the outer first.
fn around(node: &Node<'_>, offset: usize, starts: &mut Vec<usize>) {
    match &node.kind {
        NodeKind::List(items) => {
            if let Some(item) = items.iter().find(|item| (item.span.start..=item.span.end).contains(&offset)) {
                starts.push(item.span.start);
                around(item, offset, starts);
            }
        }
        NodeKind::Mapping(entries) => {
            let holds = |entry: &&Entry<'_>| (entry.span().start..=entry.span().end).contains(&offset);
            if let Some(entry) = entries.iter().find(holds) {
                starts.push(entry.key_span.start);
                around(&entry.value, offset, starts);
            }
        }
        NodeKind::Scalar(_) | NodeKind::Refused => {}
    }
}
