//! Pieces of compared files, made fit to be shown.

/// What stands for a value that one of the two does not have.
pub(crate) const ABSENT: &str = "(absent)";

/// Characters of a value that are shown.
const SHOWN: usize = 160;

/// Returns the text in one line, without control characters, cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == SHOWN {
            out.push('…');
            break;
        }
        // Those that turn the direction of what follows deceive as well as control characters do.
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Returns bytes as hexadecimal digits, cut where they are many.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const BYTES: usize = 32;
    let mut out: Vec<String> = bytes
        .iter()
        .take(BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if bytes.len() > BYTES {
        out.push("…".to_owned());
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use crate::base::shown;

    #[test]
    fn what_is_shown_has_no_control_characters() {
        assert_eq!(
            shown("a\u{1b}[31m\nb\u{202e}c"),
            "a\\u{1b}[31m\\nb\\u{202e}c"
        );
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 161);
    }
}
