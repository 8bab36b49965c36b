//! Where in an output the difference is.

use std::path::Path;

use crate::ops::verify::compare::Difference;
use crate::ops::verify::outcome::{Output, State};
use crate::ops::verify::runner::Ran;

/// How many characters of a line are shown.
const SHOWN: usize = 60;

/// How much of a file is read.
const LIMIT: u64 = 1 << 20;

/// Says of each difference where it begins.
pub(super) fn find_places(differences: &mut [Difference], first: &Ran, then: &Ran) {
    for difference in differences {
        difference.places = match &difference.output {
            Output::Exit => Vec::new(),
            Output::Stdout => bytes(&first.stdout.head, &then.stdout.head),
            Output::Stderr => bytes(&first.stderr.head, &then.stderr.head),
            Output::File(path) => match (&difference.first, &difference.then) {
                (Some(State::File { .. }), Some(State::File { .. }))
                    if !difference.metadata_only =>
                {
                    let content = |run: &Ran| head(&run.directory.join("project").join(path));
                    bytes(&content(first), &content(then))
                }
                _ => Vec::new(),
            },
        };
    }
}

/// What cannot be read is not shown: that it differs is known already.
fn head(path: &Path) -> Vec<u8> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        drop(file.take(LIMIT).read_to_end(&mut bytes));
    }
    bytes
}

fn bytes(first: &[u8], then: &[u8]) -> Vec<String> {
    let same = first.iter().zip(then).take_while(|(a, b)| a == b).count();
    if same == first.len() && same == then.len() {
        return Vec::new();
    }
    let (Ok(one), Ok(other)) = (std::str::from_utf8(first), std::str::from_utf8(then)) else {
        let at = |bytes: &[u8]| {
            bytes
                .get(same)
                .map_or("the end".to_owned(), |byte| format!("{byte:#04x}"))
        };
        return vec![format!("byte {same}: {}, then {}", at(first), at(then))];
    };
    let number = first[..same].iter().filter(|byte| **byte == b'\n').count();
    let line = |text: &str| {
        let line = text.lines().nth(number);
        line.map_or("the end".to_owned(), |line| format!("`{}`", shown(line)))
    };
    vec![format!(
        "line {}: {}, then {}",
        number + 1,
        line(one),
        line(other)
    )]
}

fn shown(line: &str) -> String {
    let mut characters = line.chars();
    let mut text: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn the_first_place_is_told() {
        for (first, then, place) in [
            (&b"a\nb\nc"[..], &b"a\nx\nc"[..], "line 2: `b`, then `x`"),
            (b"a\n", b"a\nb\n", "line 2: the end, then `b`"),
            (b"\x80\x01", b"\x80\x02", "byte 1: 0x01, then 0x02"),
            (b"\x80", b"\x80\x02", "byte 1: the end, then 0x02"),
        ] {
            assert_eq!(bytes(first, then), [place]);
        }
        assert!(bytes(b"a", b"a").is_empty());
    }
}
