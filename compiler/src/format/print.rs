//! From the tree with its comments to text.

use super::attach::{Collection, Comment, Part, Spacing, Value};
use super::scalar::Written;

/// Blanks that a level is indented by.
const STEP: usize = 2;

/// Blanks before a comment that stands behind something.
const BEFORE_COMMENT: &str = "  ";

/// Prints a rule file.
pub(super) fn print(root: &Collection<'_>) -> String {
    let mut printer = Printer { out: String::new(), keeps: false };
    printer.collection(root, 0, Begin::Line);
    printer.out
}

/// Where a collection begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// On a line of its own.
    Line,
    /// Behind the dash of the item that it is.
    Dash,
}

struct Printer {
    out: String,
    /// Whether an empty line here would belong to the block scalar before it.
    keeps: bool,
}

impl Printer {
    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn space(&mut self) {
        if !self.keeps {
            self.out.push('\n');
        }
    }

    fn comment(&mut self, text: &str, indent: usize) {
        self.indent(indent);
        self.out.push_str(text);
        self.out.push('\n');
        self.keeps = false;
    }

    fn behind(&mut self, comment: Option<&str>) {
        if let Some(comment) = comment {
            self.out.push_str(BEFORE_COMMENT);
            self.out.push_str(comment);
        }
    }

    /// The comments above something, and whether empty lines stand among them.
    fn above(&mut self, comments: &[Comment<'_>], indent: usize, spacing: Spacing, first: bool) {
        for (at, comment) in comments.iter().enumerate() {
            let wanted = match spacing {
                Spacing::Never => false,
                Spacing::Always => comment.spaced || at == 0,
                Spacing::AsWritten => comment.spaced,
            };
            if wanted && !(first && at == 0) {
                self.space();
            }
            self.comment(comment.text, indent);
        }
    }

    fn collection(&mut self, collection: &Collection<'_>, indent: usize, begin: Begin) {
        for (at, part) in collection.parts.iter().enumerate() {
            let first = at == 0;
            self.above(&part.above, indent, collection.spacing, first);
            let wanted = match collection.spacing {
                Spacing::Never => false,
                Spacing::Always => part.spaced || part.above.is_empty(),
                Spacing::AsWritten => part.spaced,
            };
            if wanted && !(first && part.above.is_empty()) {
                self.space();
            }
            if !(first && begin == Begin::Dash) {
                self.indent(indent);
            }
            self.part(part, indent);
        }
        let spacing = if collection.spacing == Spacing::Never { Spacing::Never } else { Spacing::AsWritten };
        self.above(&collection.tail, indent, spacing, false);
    }

    fn part(&mut self, part: &Part<'_>, indent: usize) {
        match &part.key {
            Some(key) => {
                self.out.push_str(key);
                self.out.push(':');
            }
            None => self.out.push('-'),
        }
        match &part.value {
            Value::Written(written) => self.written(written, part.behind, indent + STEP),
            Value::Block(collection) if part.key.is_none() => {
                self.out.push(' ');
                self.collection(collection, indent + STEP, Begin::Dash);
            }
            Value::Block(collection) => {
                self.behind(part.behind);
                self.out.push('\n');
                self.keeps = false;
                self.collection(collection, indent + STEP, Begin::Line);
            }
        }
    }

    fn written(&mut self, written: &Written, behind: Option<&str>, indent: usize) {
        self.keeps = false;
        match written {
            Written::Line(text) => {
                if !text.is_empty() {
                    self.out.push(' ');
                    self.out.push_str(text);
                }
                self.behind(behind);
                self.out.push('\n');
            }
            Written::Lines(lines) => {
                self.out.push(' ');
                self.lines(lines, indent);
                self.behind(behind);
                self.out.push('\n');
            }
            Written::Block { header, lines, keeps } => {
                self.out.push(' ');
                self.out.push_str(header);
                self.behind(behind);
                self.out.push('\n');
                for line in lines {
                    if !line.is_empty() {
                        self.indent(indent);
                        self.out.push_str(line);
                    }
                    self.out.push('\n');
                }
                self.keeps = *keeps;
            }
        }
    }

    fn lines(&mut self, lines: &[String], indent: usize) {
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                self.out.push('\n');
                if !line.is_empty() {
                    self.indent(indent);
                }
            }
            self.out.push_str(line);
        }
    }
}
