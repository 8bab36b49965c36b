//! What two texts that differ seem to be.

/// Returns what the differing part of two texts seems to be: times, addresses, random names,
/// paths.
pub(crate) fn nature(old: &str, new: &str) -> Option<&'static str> {
    let (left, right) = differing(old, new);
    let both = |is: fn(&str) -> bool| is(left) && is(right);
    if both(is_address) {
        Some("addresses in memory differ")
    } else if both(is_uuid) {
        Some("random names differ")
    } else if both(is_time) {
        Some("times differ")
    } else if both(is_path) {
        Some("paths differ")
    } else {
        None
    }
}

/// Returns the words in which two texts differ, from the first to the last such word.
fn differing<'a>(old: &'a str, new: &'a str) -> (&'a str, &'a str) {
    let (left, right) = (old.as_bytes(), new.as_bytes());
    let prefix = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count();
    let tail = left[prefix..]
        .iter()
        .rev()
        .zip(right[prefix..].iter().rev());
    let suffix = tail.take_while(|(left, right)| left == right).count();
    (word(old, prefix, suffix), word(new, prefix, suffix))
}

fn word(text: &str, prefix: usize, suffix: usize) -> &str {
    let bytes = text.as_bytes();
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_:./+".contains(byte);
    let start = bytes[..prefix]
        .iter()
        .rposition(|byte| !part(byte))
        .map_or(0, |at| at + 1);
    let end = bytes.len() - suffix;
    let more = bytes[end..].iter().position(|byte| !part(byte));
    let end = more.map_or(bytes.len(), |more| end + more);
    // The bytes at both ends are ASCII or the ends of the text.
    text.get(start..end).unwrap_or_default()
}

fn is_address(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns whether a text has `12:34:56` or `2024-01-31` in it.
fn is_time(text: &str) -> bool {
    let shape: Vec<u8> = text
        .bytes()
        .map(|b| if b.is_ascii_digit() { b'0' } else { b })
        .collect();
    let has = |pattern: &[u8]| shape.windows(pattern.len()).any(|window| window == pattern);
    has(b"00:00:00") || has(b"0000-00-00")
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() > 1
}

#[cfg(test)]
mod tests {
    use crate::base::nature;

    #[test]
    fn what_differs_is_named() {
        for (old, new, expected) in [
            (
                "<A at 0x7f0012345678>",
                "<A at 0x7f0012345700>",
                Some("addresses in memory differ"),
            ),
            (
                "run 2024-01-31T12:00:00Z ok",
                "run 2024-01-31T12:00:07Z ok",
                Some("times differ"),
            ),
            ("at 12:01:59", "at 12:02:00", Some("times differ")),
            (
                "id 123e4567-e89b-12d3-a456-426614174000",
                "id 123e4567-e89b-12d3-a456-426614174fff",
                Some("random names differ"),
            ),
            ("file /tmp/a/x", "file /tmp/b/x", Some("paths differ")),
            ("loss 0.5", "loss 0.6", None),
            ("ä", "ö", None),
            ("", "x", None),
        ] {
            assert_eq!(nature(old, new), expected, "{old} {new}");
        }
    }
}
