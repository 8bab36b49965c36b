//! PEP 508 requirements.

use std::ops::Range;
use std::str::FromStr;

use uv_pep508::{VerbatimUrl, VersionOrUrl};

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::table::Value;

/// A PEP 508 requirement.
pub(super) type Requirement = uv_pep508::Requirement<VerbatimUrl>;

/// What is wrong with a requirement, and with which part of its text.
pub(super) struct Slip {
    pub(super) part: Range<usize>,
    pub(super) problem: Problem,
}

/// Reads a PEP 508 text in its one spelling.
pub(super) fn requirement(value: Value<'_>) -> Result<String, ManifestError> {
    parsed(value).map(|requirement| requirement.to_string())
}

/// Reads a PEP 508 text.
pub(super) fn parsed(value: Value<'_>) -> Result<Requirement, ManifestError> {
    parse(value.str()?).map_err(|slip| value.error_within(slip.part, slip.problem))
}

/// Parses a PEP 508 text that a lockfile can hold.
pub(super) fn parse(text: &str) -> Result<Requirement, Slip> {
    // uv would take the variable from the environment, and two machines would disagree.
    if let Some(start) = text.find("${") {
        let end = text[start..]
            .find('}')
            .map_or(text.len(), |end| start + end + 1);
        return Err(Slip {
            part: start..end,
            problem: Problem::Invalid {
                found: text.to_owned(),
                expected: "a requirement without variables",
                source: None,
                remedy: Some("write its value: the environment is not the same everywhere"),
            },
        });
    }
    let requirement = Requirement::from_str(text).map_err(|error| Slip {
        part: error.start..error.start + error.len,
        problem: Problem::Invalid {
            found: text.to_owned(),
            expected: "a PEP 508 requirement",
            source: Some(Box::new(error.message)),
            remedy: None,
        },
    })?;
    match &requirement.version_or_url {
        Some(VersionOrUrl::Url(url)) if !url.username().is_empty() || url.password().is_some() => {
            Err(Slip {
                part: 0..text.len(),
                problem: Problem::Password {
                    // Its text masks the password.
                    found: requirement.to_string(),
                },
            })
        }
        _ => Ok(requirement),
    }
}
