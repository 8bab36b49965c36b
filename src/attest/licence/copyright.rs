//! Debian's machine-readable `copyright` (DEP-5,
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).

use std::collections::BTreeMap;
use std::fmt;

use crate::attest::licence::Licence;
use crate::attest::licence::fields::{Paragraph, paragraphs};
use crate::attest::licence::names::spdx_name;

/// How a licence is called that the file gives no name.
const UNNAMED: &str = "unnamed";

/// Returns the licence of `package` that a `copyright` file states: what its header says of the
/// whole, or all that it says of files, together. What it says of the packaging alone does not
/// count. Nothing when the file is not machine-readable.
pub(in crate::attest) fn licence(text: &str, package: &str) -> Licence {
    let paragraphs = paragraphs(text);
    let Some((header, rest)) = paragraphs.split_first() else {
        return Licence::default();
    };
    let is_machine_readable = header.get("Format").is_some_and(|format| {
        let format = format.to_ascii_lowercase();
        format.contains("copyright-format") || format.contains("dep5")
    });
    if !is_machine_readable {
        return Licence::default();
    }
    // Some headers have a summary for people there, under no name.
    let whole = header.get("License");
    let whole = whole.filter(|field| !synopsis(field).0.is_empty());
    let stated: Vec<&str> = match whole {
        Some(whole) => vec![whole],
        None => {
            let files = rest.iter().filter(|paragraph| is_of_contents(paragraph));
            files
                .filter_map(|paragraph| paragraph.get("License"))
                .collect()
        }
    };
    let mut names = Names {
        package,
        texts: texts(&paragraphs),
        references: BTreeMap::new(),
    };
    let mut all: Vec<Node> = Vec::new();
    for field in stated {
        let node = names.node(field);
        if !all.contains(&node) {
            all.push(node);
        }
    }
    if all.is_empty() {
        return Licence::default();
    }
    Licence {
        expression: Some(Node::all(all).to_string()),
        words: None,
        references: names.references,
    }
}

/// Says whether a paragraph is about files that come to be in a package.
fn is_of_contents(paragraph: &Paragraph) -> bool {
    let files = paragraph.get("Files").unwrap_or_default();
    let mut patterns = files.split_whitespace().peekable();
    patterns.peek().is_some() && !patterns.all(|pattern| pattern.starts_with("debian/"))
}

/// Returns the texts of licences, by name.
fn texts(paragraphs: &[Paragraph]) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for field in paragraphs.iter().filter_map(|one| one.get("License")) {
        let (name, text) = synopsis(field);
        if !text.is_empty() {
            texts.entry(name.to_owned()).or_insert(text);
        }
    }
    texts
}

/// Returns the first line of a `License` field, which names licences, and the text below.
fn synopsis(field: &str) -> (&str, String) {
    let (name, text) = field.split_once('\n').unwrap_or((field, ""));
    let lines = text.lines().map(|line| match line.trim_end() {
        " ." => "",
        line => line.strip_prefix(' ').unwrap_or(line),
    });
    (name.trim(), lines.collect::<Vec<_>>().join("\n"))
}

/// An SPDX expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Name(String),
    All(Vec<Node>),
    Any(Vec<Node>),
}

impl Node {
    fn all(nodes: Vec<Self>) -> Self {
        let mut flat: Vec<Self> = Vec::new();
        for node in nodes {
            let parts = match node {
                Self::All(parts) => parts,
                other => vec![other],
            };
            for part in parts {
                if !flat.contains(&part) {
                    flat.push(part);
                }
            }
        }
        Self::one_or(flat, Self::All)
    }

    fn any(nodes: Vec<Self>) -> Self {
        Self::one_or(nodes, Self::Any)
    }

    fn one_or(mut nodes: Vec<Self>, many: fn(Vec<Self>) -> Self) -> Self {
        match nodes.len() {
            1 => nodes.remove(0),
            _ => many(nodes),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, operator) = match self {
            Self::Name(name) => return f.write_str(name),
            Self::All(nodes) => (nodes, " AND "),
            Self::Any(nodes) => (nodes, " OR "),
        };
        for (index, node) in nodes.iter().enumerate() {
            if index > 0 {
                f.write_str(operator)?;
            }
            match node {
                Self::Name(name) => f.write_str(name)?,
                other => write!(f, "({other})")?,
            }
        }
        Ok(())
    }
}

/// Turns a package's names for licences into SPDX's.
struct Names<'a> {
    package: &'a str,
    texts: BTreeMap<String, String>,
    references: BTreeMap<String, String>,
}

impl Names<'_> {
    fn node(&mut self, field: &str) -> Node {
        let (names, _) = synopsis(field);
        let names = if names.is_empty() { UNNAMED } else { names };
        match parse(names) {
            Some(node) => self.named(node),
            // A list that can be read in more than one way: together it is one licence, by its text.
            None => self.name(names),
        }
    }

    fn named(&mut self, node: Node) -> Node {
        match node {
            Node::Name(name) => self.name(&name),
            Node::All(nodes) => Node::all(nodes.into_iter().map(|node| self.named(node)).collect()),
            Node::Any(nodes) => Node::any(nodes.into_iter().map(|node| self.named(node)).collect()),
        }
    }

    fn name(&mut self, name: &str) -> Node {
        if let Some(known) = spdx_name(name) {
            return Node::Name(known);
        }
        let plain = |text: &str| -> String {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            let replaced = text.chars().map(|c| if is_plain(c) { c } else { '-' });
            replaced.collect()
        };
        // With the package: each has its own `permissive`.
        let reference = format!("LicenseRef-{}-{}", plain(self.package), plain(name));
        let text =
            self.texts.get(name).cloned().unwrap_or_else(|| {
                format!("The licence that Debian's copyright file calls `{name}`.")
            });
        let known = self.references.entry(reference.clone()).or_default();
        // Two names may be alike but for what SPDX does not allow in a name.
        if !known.contains(&text) {
            let gap = if known.is_empty() { "" } else { "\n\n" };
            known.push_str(gap);
            known.push_str(&text);
        }
        Node::Name(reference)
    }
}

/// Reads `A or B and C, or D`: `and` binds before `or`, both before either after a comma.
fn parse(names: &str) -> Option<Node> {
    let mut parser = Parser::default();
    for word in names.split_whitespace() {
        let (word, comma) = match word.strip_suffix(',') {
            Some(word) => (word, true),
            None => (word, false),
        };
        match word {
            "and" | "AND" => parser.operator(Operator::And)?,
            "or" | "OR" => parser.operator(Operator::Or)?,
            word => parser.word(word)?,
        }
        parser.comma = comma;
    }
    parser.finish()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

/// Terms joined by operators, of which `and` binds first.
#[derive(Default)]
struct Terms(Vec<Vec<Node>>);

impl Terms {
    fn push(&mut self, operator: Operator, node: Node) {
        match (operator, self.0.last_mut()) {
            (Operator::And, Some(all)) => all.push(node),
            _ => self.0.push(vec![node]),
        }
    }

    fn finish(self) -> Node {
        Node::any(self.0.into_iter().map(Node::all).collect())
    }
}

#[derive(Default)]
struct Parser {
    groups: Terms,
    group: Terms,
    words: Vec<String>,
    /// The operator before the words, and the one before the group.
    pending: Option<Operator>,
    before_group: Option<Operator>,
    comma: bool,
}

impl Parser {
    fn word(&mut self, word: &str) -> Option<()> {
        // A comma that no operator follows is a list of its own rules.
        (!self.comma && !word.is_empty()).then(|| self.words.push(word.to_owned()))
    }

    fn operator(&mut self, operator: Operator) -> Option<()> {
        self.end_term()?;
        if self.comma {
            self.end_group();
            self.before_group = Some(operator);
        } else {
            self.pending = Some(operator);
        }
        Some(())
    }

    fn end_term(&mut self) -> Option<()> {
        let words = std::mem::take(&mut self.words);
        let operator = self.pending.take().unwrap_or(Operator::Or);
        (!words.is_empty()).then(|| self.group.push(operator, Node::Name(words.join(" "))))
    }

    fn end_group(&mut self) {
        let group = std::mem::take(&mut self.group).finish();
        let operator = self.before_group.take().unwrap_or(Operator::Or);
        self.groups.push(operator, group);
    }

    fn finish(mut self) -> Option<Node> {
        self.end_term()?;
        self.end_group();
        Some(self.groups.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_bind_as_the_format_says() {
        for (names, expected) in [
            ("GPL-1+ or Artistic", Some("GPL-1+ OR Artistic")),
            ("A or B and C", Some("A OR (B AND C)")),
            ("A or B, and C", Some("(A OR B) AND C")),
            ("A and B, or C and D", Some("(A AND B) OR (C AND D)")),
            (
                "GPL-3+ with Bison exception",
                Some("GPL-3+ with Bison exception"),
            ),
            ("A, B or C", None),
            ("or A", None),
            ("A and", None),
            ("", None),
        ] {
            let parsed = parse(names).map(|node| node.to_string());
            assert_eq!(parsed.as_deref(), expected, "{names}");
        }
    }
}
