//! Markup that text cannot break out of: what is not a literal of this program is escaped.

use std::fmt::{self, Display, Write as _};

/// A piece of a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Returns text, escaped. Characters that control a terminal or turn the direction of what
    /// follows are shown as their numbers.
    pub(super) fn text(text: impl Display) -> Self {
        let mut out = String::new();
        for character in text.to_string().chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '\n' | '\t' => out.push(character),
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    out.extend(character.escape_unicode());
                }
                // Those that XML and HTML do not have.
                '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
                _ if character.is_control() => out.extend(character.escape_default()),
                _ => out.push(character),
            }
        }
        Self(out)
    }

    /// Returns markup of this program's own.
    pub(super) fn literal(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// Returns an element.
    pub(super) fn element(
        tag: &'static str,
        attributes: &[(&'static str, &str)],
        inner: Self,
    ) -> Self {
        let mut out = format!("<{tag}");
        for (name, value) in attributes {
            // Writing to a string does not fail.
            let _unfailing = write!(out, " {name}=\"{}\"", Self::text(value));
        }
        let _unfailing = write!(out, ">{inner}</{tag}>");
        Self(out)
    }

    /// Returns an element of text.
    pub(super) fn of(tag: &'static str, text: impl Display) -> Self {
        Self::element(tag, &[], Self::text(text))
    }

    /// Returns it with something behind it.
    pub(super) fn then(mut self, next: Self) -> Self {
        self.0.push_str(&next.0);
        self
    }

    /// Says whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<I: IntoIterator<Item = Self>>(pieces: I) -> Self {
        pieces.into_iter().fold(Self::default(), Self::then)
    }
}

impl Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a table with a caption and a row of headings; the first cell of each row is its heading.
pub(super) fn table(caption: &str, headings: &[&str], rows: Vec<Vec<Markup>>) -> Markup {
    if rows.is_empty() {
        return Markup::default();
    }
    let heading = |text: &&str| Markup::element("th", &[("scope", "col")], Markup::text(text));
    let head = Markup::element("tr", &[], headings.iter().map(heading).collect());
    let body = rows.into_iter().map(|cells| {
        let cells = cells
            .into_iter()
            .enumerate()
            .map(|(place, cell)| match place {
                0 => Markup::element("th", &[("scope", "row")], cell),
                _ => Markup::element("td", &[], cell),
            });
        Markup::element("tr", &[], cells.collect())
    });
    let inner = Markup::of("caption", caption)
        .then(Markup::element("thead", &[], head))
        .then(Markup::element("tbody", &[], body.collect()));
    // Wide tables scroll by themselves, with the keyboard too.
    let region = [
        ("class", "scroll"),
        ("role", "region"),
        ("aria-label", caption),
        ("tabindex", "0"),
    ];
    Markup::element("div", &region, Markup::element("table", &[], inner))
}

/// Returns text in the type of code.
pub(super) fn code(text: impl Display) -> Markup {
    Markup::of("code", text)
}

/// Returns a digest, which is not broken into lines.
pub(super) fn digest(text: impl Display) -> Markup {
    Markup::element("code", &[("class", "digest")], Markup::text(text))
}
