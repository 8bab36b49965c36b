//! Where in a text something stands.

use std::ops::Range;

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters it covers on that line; at least 1.
    pub width: usize,
    /// The line's text.
    pub text: String,
}

impl Place {
    /// Returns the place of `span`, or of as much of it as stands on its first line.
    pub(super) fn of(text: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |newline| start + newline);
        let end = floor_boundary(text, span.end.clamp(start, line_end));
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }

    /// Returns the line with the place underlined.
    pub(super) fn excerpt(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let line: String = self.text.chars().map(printable).collect();
        let before = self.text.chars().take(self.column - 1);
        // A tab keeps its width only as a tab.
        let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = "^".repeat(self.width);
        format!("{margin} |\n{number} | {line}\n{margin} | {indent}{mark}")
    }
}

/// A foreign file must not steer the terminal.
fn printable(c: char) -> char {
    match c {
        '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_span_has_a_place() {
        let text = "a = 1\r\n\tä = \"x\u{1b}\ny\"";
        for (span, expected) in [
            (0..1, (1, 1, 1)),
            (7..9, (2, 1, 1)),
            (7..10, (2, 1, 2)),
            (8..10, (2, 2, 1)),
            (13..20, (2, 6, 3)),
            (9..9, (2, 2, 1)),
            (99..200, (3, 3, 1)),
        ] {
            let place = Place::of(text, span.clone());
            let found = (place.line, place.column, place.width);
            assert_eq!(found, expected, "{span:?}");
        }
        let shown = Place::of(text, 13..14).excerpt();
        assert_eq!(shown, "  |\n2 | \tä = \"x\u{fffd}\n  | \t    ^");
        assert_eq!(Place::of("", 0..0).excerpt(), "  |\n1 | \n  | ^");
    }
}
