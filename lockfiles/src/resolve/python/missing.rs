//! Which packages lack a wheel: uv alone would name the first it stumbles over.

use std::sync::Arc;

use uv_distribution::{ArchiveMetadata, Metadata, Reporter};
use uv_distribution_types::{Dist, IndexMetadata, InstalledDist, Name as _, ResolvedDist};
use uv_normalize::PackageName;
use uv_pep440::Version;
use uv_resolver::{
    InMemoryIndex, MetadataResponse, PackageVersionsResult, ResolverProvider, WheelMetadataResult,
};

use crate::resolve::python::builds::{Candidates, NoBuilds};
use crate::resolve::python::provided::{Beside, Seen};
use crate::resolve::python::session::Session;
use crate::resolve::python::solve::Problem;
use crate::resolve::python::{MissingWheel, PythonError, locate, wheels};

/// How many versions that do have a wheel are named.
const NAMED_VERSIONS: usize = 5;

/// Returns [`PythonError::NoWheels`] when `error` comes only from packages without a wheel, else
/// `error`.
///
/// Resolves again as if every source distribution could be built and required nothing. If that
/// succeeds, whatever is a source distribution in the solution is what lacks a wheel, all of it.
pub(super) async fn explain(
    session: &Session,
    problem: &Problem<'_>,
    error: PythonError,
) -> PythonError {
    match solve(session, problem).await {
        Some(packages) if !packages.is_empty() => PythonError::NoWheels {
            platform: problem.request.platform,
            python: problem.request.python_version.to_owned(),
            packages,
        },
        _ => error,
    }
}

async fn solve(session: &Session, problem: &Problem<'_>) -> Option<Vec<MissingWheel>> {
    let locations = &session.indexes.locations;
    let context = NoBuilds::new(&session.cache, locations, Candidates::All);
    let flat = problem.flat_index(session, &context).await.ok()?;
    let index = InMemoryIndex::default();
    let manifest = problem.manifest(session, &context, &index).await.ok()?;
    let options = problem.options(&context);
    let seen = Seen::default();
    let provider = Pretend(Beside {
        provided: problem.request.provided,
        seen: &seen,
        registries: problem.provider(session, &context, &flat, &manifest, &options),
    });
    let resolver = problem.resolver(manifest, options, &context, &index, provider);
    let resolution = Box::pin(resolver.resolve()).await.ok()?.into();
    let mut missing = Vec::new();
    for (dist, required_by) in wheels::distributions(&resolution) {
        if let ResolvedDist::Installable { dist, version } = dist
            && let Dist::Source(source) = dist.as_ref()
        {
            missing.push(MissingWheel {
                name: wheels::python_name(source.name()),
                version: version
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                with_wheel: with_wheel(session, problem, source.name()).await,
                required_by,
            });
        }
    }
    missing.sort_by(|a, b| a.name.cmp(&b.name));
    Some(missing)
}

/// Returns the newest versions that have a wheel for the target. Best effort: it is for a hint.
async fn with_wheel(session: &Session, problem: &Problem<'_>, name: &PackageName) -> Vec<String> {
    let files = locate::files(session, name).await.unwrap_or_default();
    let mut versions: Vec<Version> = files
        .into_iter()
        .filter(|(wheel, _)| wheel.is_compatible(&problem.target.tags))
        .filter(|(wheel, _)| !wheel.version.any_prerelease())
        .map(|(wheel, _)| wheel.version)
        .collect();
    versions.sort();
    versions.dedup();
    let newest = versions.into_iter().rev().take(NAMED_VERSIONS);
    newest.map(|version| version.to_string()).collect()
}

/// Answers for a source distribution without looking at it.
struct Pretend<'a>(Beside<'a>);

impl ResolverProvider for Pretend<'_> {
    async fn get_package_versions<'io>(
        &'io self,
        name: &'io PackageName,
        index: Option<&'io IndexMetadata>,
    ) -> PackageVersionsResult {
        self.0.get_package_versions(name, index).await
    }

    async fn get_or_build_wheel_metadata<'io>(&'io self, dist: &'io Dist) -> WheelMetadataResult {
        match dist {
            Dist::Source(source) if let Some(version) = source.version() => {
                Ok(MetadataResponse::Found(ArchiveMetadata::from(Metadata {
                    name: source.name().clone(),
                    version: version.clone(),
                    requires_dist: Box::new([]),
                    requires_python: None,
                    provides_extra: Box::new([]),
                    dependency_groups: std::collections::BTreeMap::new(),
                    dynamic: false,
                })))
            }
            dist => self.0.get_or_build_wheel_metadata(dist).await,
        }
    }

    async fn get_installed_metadata<'io>(
        &'io self,
        dist: &'io InstalledDist,
    ) -> WheelMetadataResult {
        self.0.get_installed_metadata(dist).await
    }

    fn with_reporter(self, reporter: Arc<dyn Reporter>) -> Self {
        Self(self.0.with_reporter(reporter))
    }
}
