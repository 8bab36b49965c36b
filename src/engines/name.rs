//! Names that engines take.

use std::fmt;
use std::str::FromStr;

use crate::engines::EngineError;

/// The longest label of a DNS name.
const LIMIT: usize = 63;

/// The name of a step, which is a label of a DNS name (RFC 1123): Kubernetes makes host names and
/// values of labels of it.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepName(String);

impl StepName {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name that is most like `text`, if there is one: in lower case, with `-` for what
    /// must not be in it.
    pub fn like(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let allowed = |c: char| if is_letter(c) { c } else { '-' };
        let text: String = lower.chars().map(allowed).take(LIMIT).collect();
        let text = text.trim_matches('-');
        is_label(text).then(|| Self(text.to_owned()))
    }
}

/// Says whether a character may begin and end a name.
fn is_letter(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Says whether `text` is a label of a DNS name.
pub(super) fn is_label(text: &str) -> bool {
    (1..=LIMIT).contains(&text.len())
        && text.chars().all(|c| is_letter(c) || c == '-')
        && text.starts_with(is_letter)
        && text.ends_with(is_letter)
}

impl FromStr for StepName {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        match is_label(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(EngineError::Name {
                found: text.to_owned(),
                alike: Self::like(text),
            }),
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_dns() {
        let long = "a".repeat(63);
        for right in ["a", "0", "iris-2", &long] {
            assert!(right.parse::<StepName>().is_ok(), "{right}");
        }
        for (wrong, alike) in [
            ("", None),
            ("-", None),
            ("Iris_2", Some("iris-2")),
            ("iris.v1", Some("iris-v1")),
            ("-a-", Some("a")),
            ("ä", None),
        ] {
            assert!(wrong.parse::<StepName>().is_err(), "{wrong}");
            let found = StepName::like(wrong);
            assert_eq!(found.as_ref().map(StepName::as_str), alike);
        }
        assert!(format!("{long}a").parse::<StepName>().is_err());
    }
}
