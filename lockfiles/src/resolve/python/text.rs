//! uv's words for a terminal, as plain text about a manifest.

/// What uv's hints call by a command-line option, and what it is called here.
const OPTIONS: [(&str, &str); 5] = [
    (
        "(try: `--prerelease=allow`)",
        "(set `prerelease = \"allow\"`)",
    ),
    (" (i.e., with `--no-build`)", ""),
    ("`--exclude-newer`", "`exclude-newer`"),
    ("`requires-python` value", "`python` version"),
    ("`--python-version` value", "`python` version"),
];

/// Where a hint goes on to advise what is not possible here, and what is said instead.
const ENDINGS: [(&str, &str); 2] = [
    // uv names an option that lets any index serve any package. Here order is how trust is said.
    (
        " If all indexes are equally trusted,",
        " Change the order of `extra-index-urls` if another registry should come first",
    ),
    (" Consider using `exclude-newer-package`", ""),
];

/// Returns `text` without colours: uv's messages carry terminal escapes and leave it to their
/// printer to strip them.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        // A control sequence ends at its first byte from `@` to `~` (ECMA-48 §5.4).
        let end = escape.find(|c| ('@'..='~').contains(&c));
        rest = end.map_or("", |end| &escape[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

/// Returns one of uv's hints in the words of the manifest, without a full stop.
pub(super) fn hint(text: &str) -> String {
    let mut hint = plain(text);
    for (ending, instead) in ENDINGS {
        if let Some(end) = hint.find(ending) {
            hint.replace_range(end.., instead);
        }
    }
    for (option, name) in OPTIONS {
        hint = hint.replace(option, name);
    }
    if hint.ends_with('.') {
        hint.pop();
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_removed() {
        assert_eq!(plain("a \u{1b}[36mb\u{1b}[39m c"), "a b c");
        assert_eq!(plain("cut \u{1b}[3"), "cut ");
        assert_eq!(plain("none"), "none");
    }

    #[test]
    fn hints_speak_of_the_manifest() {
        assert_eq!(
            hint("Pre-releases weren't enabled (try: `\u{1b}[32m--prerelease=allow\u{1b}[39m`)"),
            "Pre-releases weren't enabled (set `prerelease = \"allow\"`)"
        );
        assert_eq!(
            hint("`a` was found on x. If all indexes are equally trusted, use `--index-strategy`."),
            "`a` was found on x. Change the order of `extra-index-urls` if another registry should come first"
        );
    }
}
