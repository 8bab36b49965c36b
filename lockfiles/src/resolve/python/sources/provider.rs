//! uv's own answers, but for what sources say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use uv_distribution::{ArchiveMetadata, Metadata, Reporter};
use uv_distribution_types::{Dist, IndexMetadata, InstalledDist, Requirement};
use uv_normalize::PackageName;
use uv_pypi_types::ResolutionMetadata;
use uv_resolver::{
    DefaultResolverProvider, MetadataResponse, PackageVersionsResult, ResolverProvider,
    WheelMetadataResult,
};

use crate::resolve::python::builds::NoBuilds;
use crate::resolve::python::sources::Sources;

/// Answers for sources by building them, where nothing else tells.
pub(in crate::resolve::python) struct WithSources<'a> {
    pub(in crate::resolve::python) indexes: DefaultResolverProvider<'a, NoBuilds>,
    pub(in crate::resolve::python) sources: &'a Sources<'a>,
}

/// Returns metadata as an index has it. What `pyproject.toml` says beyond that is for those who work
/// on the project.
fn archive(metadata: ResolutionMetadata) -> ArchiveMetadata {
    let requires_dist = metadata.requires_dist.into_iter();
    ArchiveMetadata::from(Metadata {
        name: metadata.name,
        version: metadata.version,
        requires_dist: requires_dist.map(Requirement::from).collect(),
        requires_python: metadata.requires_python,
        provides_extra: metadata.provides_extra,
        dependency_groups: BTreeMap::new(),
        dynamic: metadata.dynamic,
    })
}

impl ResolverProvider for WithSources<'_> {
    async fn get_package_versions<'io>(
        &'io self,
        name: &'io PackageName,
        index: Option<&'io IndexMetadata>,
    ) -> PackageVersionsResult {
        self.indexes.get_package_versions(name, index).await
    }

    async fn get_or_build_wheel_metadata<'io>(&'io self, dist: &'io Dist) -> WheelMetadataResult {
        let Dist::Source(source) = dist else {
            return self.indexes.get_or_build_wheel_metadata(dist).await;
        };
        match self.sources.metadata(source).await {
            Ok(metadata) => Ok(MetadataResponse::Found(archive(metadata))),
            Err(error) => {
                // uv has no words for it: the caller asks the sources what it was.
                self.sources.fail(error);
                Err(uv_distribution::Error::NoBuild)
            }
        }
    }

    async fn get_installed_metadata<'io>(
        &'io self,
        dist: &'io InstalledDist,
    ) -> WheelMetadataResult {
        self.indexes.get_installed_metadata(dist).await
    }

    fn with_reporter(self, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            indexes: self.indexes.with_reporter(reporter),
            ..self
        }
    }
}
