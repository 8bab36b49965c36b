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

/// What a direct requirement may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direct {
    /// Wheels alone.
    Wheels,
    /// Sources too: they are built.
    Sources,
}

impl Asked {
    /// Parses the requirements, constraints and overrides of `python`.
    ///
    /// # Errors
    /// Returns [`PythonError::Requirement`] for a text that PEP 508 does not allow and
    /// [`PythonError::Unsupported`] for one that no lock can hold.
    pub(super) fn of(python: &Python, direct: Direct) -> Result<Self, PythonError> {
        Ok(Self {
            requirements: all("requirements", &python.requirements, direct)?,
            constraints: all("constraints", &python.constraints, Direct::Wheels)?,
            overrides: all("overrides", &python.overrides, Direct::Wheels)?,
        })
    }
}

/// Sorts, because uv looks at earlier requirements first and may find another solution for
/// another order, which a lock's request does not hold.
fn all(
    list: &'static str,
    texts: &[String],
    direct: Direct,
) -> Result<Vec<Requirement>, PythonError> {
    let texts: BTreeSet<_> = texts.iter().collect();
    let one = |text: &String| one(list, text, direct);
    texts.into_iter().map(one).collect()
}

fn one(list: &'static str, text: &str, direct: Direct) -> Result<Requirement, PythonError> {
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
        RequirementSource::Url { .. } | RequirementSource::GitDirectory { .. }
            if direct == Direct::Sources =>
        {
            return Ok(requirement);
        }
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
