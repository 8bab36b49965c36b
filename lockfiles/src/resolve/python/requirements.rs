//! Texts of the manifest to uv's requirements.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use uv_distribution_filename::DistExtension;
use uv_distribution_types::{Requirement, RequirementSource};
use uv_pypi_types::VerbatimParsedUrl;

use crate::manifest::Python;
use crate::resolve::python::{PythonError, Unsupported};

/// What is asked for, parsed.
pub(super) struct Asked {
    pub(super) requirements: Vec<Requirement>,
    pub(super) constraints: Vec<Requirement>,
    pub(super) overrides: Vec<Requirement>,
}

impl Asked {
    /// Parses the requirements, constraints and overrides of `python`.
    ///
    /// # Errors
    /// Returns [`PythonError::Requirement`] for a text that PEP 508 does not allow and
    /// [`PythonError::Unsupported`] for one that no lock can hold.
    pub(super) fn of(python: &Python) -> Result<Self, PythonError> {
        Ok(Self {
            requirements: all("requirements", &python.requirements)?,
            constraints: all("constraints", &python.constraints)?,
            overrides: all("overrides", &python.overrides)?,
        })
    }
}

/// Sorts, because uv looks at earlier requirements first and may find another solution for
/// another order, which a lock's request does not hold.
fn all(list: &'static str, texts: &[String]) -> Result<Vec<Requirement>, PythonError> {
    let texts: BTreeSet<_> = texts.iter().collect();
    texts.into_iter().map(|text| one(list, text)).collect()
}

fn one(list: &'static str, text: &str) -> Result<Requirement, PythonError> {
    let parsed = uv_pep508::Requirement::<VerbatimParsedUrl>::from_str(text);
    let requirement = Requirement::from(parsed.map_err(|source| PythonError::Requirement {
        list,
        text: text.to_owned(),
        source: Box::new(source),
    })?);
    let reason = match &requirement.source {
        RequirementSource::Registry { .. }
        | RequirementSource::Url {
            ext: DistExtension::Wheel,
            ..
        } => return Ok(requirement),
        RequirementSource::Url { .. } => Unsupported::SourceArchive,
        RequirementSource::GitDirectory { .. } | RequirementSource::GitPath { .. } => {
            Unsupported::Git
        }
        RequirementSource::Path { .. } | RequirementSource::Directory { .. } => Unsupported::Path,
    };
    Err(PythonError::Unsupported {
        list,
        text: text.to_owned(),
        reason,
    })
}
