//! What either side wants of the other, in the other's words.

use std::collections::BTreeMap;

use uv_pep440::{Operator, VersionSpecifier, VersionSpecifiers};

use crate::base::{CondaName, Platform, PythonName};
use crate::lock::LockedConda;
use crate::resolve::conda::Borne;
use crate::resolve::python::{Demand, Provided, ProvidedDistribution, PythonError};
use crate::resolve::{Conflict, ResolveError};

/// Python requirements left what a conda package brings.
pub(super) struct Refused {
    pub(super) platform: Platform,
    pub(super) error: PythonError,
    pub(super) names: Vec<PythonName>,
}

/// Tells a refusal of what is there from other failures.
pub(super) fn refused(error: PythonError, platform: Platform) -> Result<Refused, ResolveError> {
    match &error {
        PythonError::NoSolution { provided, .. } if !provided.is_empty() => {
            let names = provided.clone();
            Ok(Refused {
                platform,
                error,
                names,
            })
        }
        _ => Err(error.into()),
    }
}

/// Returns the distributions that the packages of `platform` bring.
pub(super) fn provided(conda: &LockedConda, platform: Platform) -> Provided {
    let mut provided = Provided::default();
    for package in conda
        .packages
        .iter()
        .filter(|p| p.platforms.contains(&platform))
    {
        for (name, version) in package.distributions() {
            if let Ok(name) = name.parse() {
                let distribution = ProvidedDistribution {
                    version: version.to_owned(),
                    others: Vec::new(),
                    metadata: None,
                };
                provided.insert(name, distribution);
            }
        }
    }
    provided
}

/// Returns the package that brings each distribution, and its version.
pub(super) fn owners(
    conda: &LockedConda,
    platform: Platform,
) -> BTreeMap<PythonName, (CondaName, String)> {
    let packages = conda
        .packages
        .iter()
        .filter(|p| p.platforms.contains(&platform));
    let owners = packages.flat_map(|package| {
        package.distributions().filter_map(|(name, _)| {
            let owner = (package.name.clone(), package.version.clone());
            Some((name.parse().ok()?, owner))
        })
    });
    owners.collect()
}

/// Makes a constraint on `package` of what is required of its distribution.
pub(super) fn borne(demand: &Demand, package: &CondaName, version: &str) -> Option<Borne> {
    let specifiers: VersionSpecifiers = demand.specifiers.parse().ok()?;
    let specifiers = specifiers.iter().map(conda_specifier);
    let versions: Vec<_> = specifiers.collect();
    Some(Borne {
        constraint: format!("{package} {}", versions.join(",")),
        reason: format!(
            "{} requires `{}{}`, and conda brings {package} {version}",
            match demand.by.as_str() {
                "manifest" => "the manifest".to_owned(),
                by => format!("`{by}`"),
            },
            demand.name,
            demand.specifiers
        ),
    })
}

/// Writes a specifier of PEP 440 as conda does.
fn conda_specifier(specifier: &VersionSpecifier) -> String {
    let version = specifier.version().to_string();
    match specifier.operator() {
        Operator::Equal | Operator::ExactEqual => format!("=={version}"),
        Operator::EqualStar => format!("{version}.*"),
        Operator::NotEqual => format!("!={version}"),
        Operator::NotEqualStar => format!("!={version}.*"),
        Operator::TildeEqual => format!("~={version}"),
        // PEP 440 leaves out the pre-releases of what it excludes.
        Operator::LessThan if !specifier.version().any_prerelease() => format!("<{version}a0"),
        Operator::LessThan => format!("<{version}"),
        Operator::LessThanEqual => format!("<={version}"),
        Operator::GreaterThan => format!(">{version}"),
        Operator::GreaterThanEqual => format!(">={version}"),
    }
}

/// Explains why no version of what conda brings suits Python requirements, unless it is not that
/// what they fail of.
pub(super) fn no_version(
    error: PythonError,
    names: &[PythonName],
    owners: &BTreeMap<PythonName, (CondaName, String)>,
    platform: Platform,
) -> ResolveError {
    let PythonError::NoSolution { provided, .. } = &error else {
        return error.into();
    };
    let brought = names.iter().filter(|name| provided.contains(name));
    let demands: Vec<_> = brought
        .filter_map(|name| {
            let (package, version) = owners.get(name)?;
            Some(format!("conda brings {package} {version}"))
        })
        .collect();
    match demands.is_empty() {
        true => error.into(),
        false => ResolveError::Border {
            platform,
            demands,
            conflict: Conflict {
                python: shown(&error),
                conda: "its channels have no other version that suits".to_owned(),
            },
        },
    }
}

pub(super) fn border(refused: &Refused, borne: &[Borne], conda: &str) -> ResolveError {
    ResolveError::Border {
        platform: refused.platform,
        demands: borne.iter().map(|borne| borne.reason.clone()).collect(),
        conflict: Conflict {
            python: shown(&refused.error),
            conda: conda.to_owned(),
        },
    }
}

/// Returns the derivation below an error.
pub(super) fn shown(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Says that no solution suited the other side.
pub(super) fn no_end(platform: Platform, borne: &[Borne], rounds: usize) -> ResolveError {
    ResolveError::Border {
        platform,
        demands: borne.iter().map(|borne| borne.reason.clone()).collect(),
        conflict: Conflict {
            python: "every solution required something else".to_owned(),
            conda: format!("none of {rounds} solutions suited it"),
        },
    }
}
