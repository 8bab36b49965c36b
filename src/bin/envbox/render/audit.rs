//! The report of an audit in words.

use std::collections::BTreeMap;

use envbox::ops::audit::{Draw, Held, Line, SourceReport, UNSEEN};

/// How wide what was drawn may be.
const WIDTH: usize = 34;

/// Who draws, under which heading, and how many draws of a source are shown.
const SECTIONS: [(&[&str], &str, usize); 2] = [
    (&["code", "program"], "drawn by the step", 10),
    (&["import"], "drawn by imports", 3),
];

/// Returns the report: who drew what, what is not held first.
pub(crate) fn text(sources: &[SourceReport]) -> String {
    let mut text = String::new();
    for (origins, heading, shown) in SECTIONS {
        let mut sources: Vec<SourceReport> = sources.to_vec();
        for source in &mut sources {
            source.draws.retain(|draw| origins.contains(&draw.origin));
        }
        sources.retain(|source| !source.draws.is_empty());
        sources.sort_by_key(|source| source.draws[0].held);
        let lines = sources.iter().map(|source| self::source(source, shown));
        let lines: String = lines.collect();
        if !lines.is_empty() {
            text += &format!("{heading}:\n{lines}\n");
        }
    }
    text += &start(sources);
    text += "never seen here:\n";
    for unseen in UNSEEN {
        text += &format!("  {unseen}\n");
    }
    text
}

/// What interpreters and the linker draw on their own, in one line.
fn start(sources: &[SourceReport]) -> String {
    let mut counts = BTreeMap::new();
    for source in sources {
        let draws = source.draws.iter().filter(|draw| draw.origin == "start");
        let count: u64 = draws.map(|draw| draw.count).sum();
        if count > 0 {
            counts.insert(source.source, count);
        }
    }
    if counts.is_empty() {
        return String::new();
    }
    let counts = counts.iter().map(|(name, count)| format!("{name} {count}"));
    let counts: Vec<String> = counts.collect();
    format!(
        "drawn by interpreters when they start and end:\n  {}\n\n",
        counts.join(", ")
    )
}

fn source(source: &SourceReport, shown: usize) -> String {
    let mut text = String::new();
    // Draws that have one verdict stand together.
    for group in source
        .draws
        .chunk_by(|a, b| (a.held, &a.by) == (b.held, &b.by))
    {
        let held = match group[0].held {
            Held::Held => "held",
            Held::NotHeld => "NOT HELD",
        };
        let name = source.source;
        let by = &group[0].by;
        text += &format!("  {name:<16} {held:<9} {by}\n");
        for draw in group.iter().take(shown) {
            text += &line(draw);
        }
        if group.len() > shown {
            let rest: u64 = group[shown..].iter().map(|draw| draw.count).sum();
            let kinds = group.len() - shown;
            text += &format!("  {rest:>8}  of {kinds} more kinds; --json has all\n");
        }
        if let Some(remedy) = group[0].remedy {
            text += &format!("            remedy: {remedy}\n");
        }
    }
    text
}

fn line(draw: &Draw) -> String {
    let what = cut(&printable(&draw.what));
    let count = draw.count;
    let place = match (&draw.first, &draw.through) {
        (Some(first), Some(through)) => format!("{}, through {}", at(first), at(through)),
        (Some(first), None) => at(first),
        (None, _) => printable(&draw.program),
    };
    format!("  {count:>8}  {what:<WIDTH$}  {place}\n")
}

fn at(line: &Line) -> String {
    let Line {
        file,
        line,
        function,
    } = line;
    let file = printable(short(file));
    match function.as_str() {
        "<module>" => format!("{file}:{line}"),
        function => format!("{file}:{line} in {}", printable(function)),
    }
}

/// The part of a library's path that names the library.
fn short(file: &str) -> &str {
    for marker in ["/site-packages/", "/dist-packages/"] {
        if let Some((_, rest)) = file.split_once(marker) {
            return rest;
        }
    }
    let library = file.split_once("/lib/python3").map(|(_, rest)| rest);
    library
        .and_then(|rest| Some(rest.split_once('/')?.1))
        .unwrap_or(file)
}

/// Cuts the middle out of what is too wide: a path begins and ends with what matters.
fn cut(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= WIDTH {
        return text.to_owned();
    }
    let tail = WIDTH * 2 / 3;
    let head: String = characters[..WIDTH - tail - 1].iter().collect();
    let tail: String = characters[characters.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}

/// A step may give its files any name: none must steer the terminal.
fn printable(text: &str) -> String {
    let replace = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::{cut, printable, short};

    #[test]
    fn wide_paths_keep_both_ends() {
        assert_eq!(cut("/project/data"), "/project/data");
        let wide = format!("/project/{}/train.csv", "deep/".repeat(20));
        let cut = cut(&wide);
        assert_eq!(cut.chars().count(), super::WIDTH);
        assert!(
            cut.starts_with("/project/") && cut.ends_with("/train.csv"),
            "{cut}"
        );
    }

    #[test]
    fn libraries_are_named_without_their_place() {
        for (file, expected) in [
            (
                "/opt/env/lib/python3.11/site-packages/numpy/random/a.py",
                "numpy/random/a.py",
            ),
            ("/usr/lib/python3/dist-packages/yaml/x.py", "yaml/x.py"),
            ("/usr/lib/python3.11/random.py", "random.py"),
            ("src/train.py", "src/train.py"),
        ] {
            assert_eq!(short(file), expected);
        }
    }

    #[test]
    fn names_do_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J"), "a\u{fffd}[2J");
    }
}
