//! How a registry says what credentials it wants: `WWW-Authenticate` (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// One way to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// `bearer` or `basic`, in lower case.
    pub(super) scheme: String,
    /// What is said about it, by names in lower case.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads all challenges of one header line. What cannot be read is passed over.
    pub(super) fn parse(line: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = line;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() {
                // A stray `=` ends what can be read.
                return challenges;
            }
            let Some(value) = after.trim_start().strip_prefix('=') else {
                challenges.push(Self {
                    scheme: word.to_ascii_lowercase(),
                    parameters: BTreeMap::new(),
                });
                rest = after;
                continue;
            };
            let (value, after) = value_of(value.trim_start());
            if let Some(challenge) = challenges.last_mut() {
                challenge
                    .parameters
                    .insert(word.to_ascii_lowercase(), value);
            }
            rest = after;
        }
    }
}

/// Splits a value, quoted or not, from what follows.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let read = |line| {
            let challenges = Challenge::parse(line).into_iter();
            let shown = challenges.map(|challenge| {
                let parameters = challenge.parameters.into_iter();
                let parameters = parameters.map(|(name, value)| format!(" {name}={value}"));
                challenge.scheme + &parameters.collect::<String>()
            });
            shown.collect::<Vec<_>>()
        };
        for (line, expected) in [
            (
                "Bearer realm=\"https://a.test/t\",service=\"s\",scope=\"repository:a:pull,push\"",
                vec!["bearer realm=https://a.test/t scope=repository:a:pull,push service=s"],
            ),
            (
                "BASIC Realm = \"a \\\"b\\\", c\" , bearer realm=x, error=\"insufficient_scope\"",
                vec![
                    "basic realm=a \"b\", c",
                    "bearer error=insufficient_scope realm=x",
                ],
            ),
            ("Negotiate", vec!["negotiate"]),
            ("Basic realm=\"unfinished", vec!["basic realm=unfinished"]),
            ("a=b, Basic", vec!["basic"]),
            ("", vec![]),
            ("==", vec![]),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
