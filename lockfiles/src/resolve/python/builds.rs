//! The part of uv that would build source distributions, switched off.

use std::fmt;
use std::path::{Path, PathBuf};

use uv_cache::Cache;
use uv_configuration::{BuildKind, BuildOptions, BuildOutput, NoBinary, NoBuild, NoSources};
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{
    CachedDist, ConfigSettings, DependencyMetadata, ExtraBuildRequires, ExtraBuildVariables,
    IndexCapabilities, IndexLocations, IsBuildBackendError, PackageConfigSettings, Requirement,
    SourceDist,
};
use uv_git::GitResolver;
use uv_python::{Interpreter, PythonEnvironment};
use uv_types::{
    AnyErrorBuild, BuildArena, BuildContext, BuildIsolation, BuildStack, ResolvedRequirements,
    SourceBuildTrait,
};
use uv_workspace::WorkspaceCache;

/// A build context that has everything a resolution over wheels needs, and refuses to build.
pub(super) struct NoBuilds {
    cache: Cache,
    git: GitResolver,
    arena: BuildArena<Never>,
    capabilities: IndexCapabilities,
    dependency_metadata: DependencyMetadata,
    build_options: BuildOptions,
    config_settings: ConfigSettings,
    package_settings: PackageConfigSettings,
    sources: NoSources,
    locations: IndexLocations,
    workspaces: WorkspaceCache,
    build_requires: ExtraBuildRequires,
    build_variables: ExtraBuildVariables,
}

/// Which files of an index are candidates.
#[derive(Debug, Clone, Copy)]
pub(super) enum Candidates {
    /// Wheels: what a lock can hold.
    Wheels,
    /// Source distributions too: to find out which packages lack a wheel.
    All,
}

impl NoBuilds {
    pub(super) fn new(cache: &Cache, locations: &IndexLocations, candidates: Candidates) -> Self {
        let no_build = match candidates {
            Candidates::Wheels => NoBuild::All,
            Candidates::All => NoBuild::None,
        };
        Self {
            cache: cache.clone(),
            git: GitResolver::default(),
            arena: BuildArena::default(),
            capabilities: IndexCapabilities::default(),
            dependency_metadata: DependencyMetadata::default(),
            build_options: BuildOptions::new(NoBinary::None, no_build),
            config_settings: ConfigSettings::default(),
            package_settings: PackageConfigSettings::default(),
            sources: NoSources::All,
            locations: locations.clone(),
            workspaces: WorkspaceCache::default(),
            build_requires: ExtraBuildRequires::default(),
            build_variables: ExtraBuildVariables::default(),
        }
    }
}

/// uv asked for a build.
#[derive(Debug)]
pub(super) struct BuildsDisabled;

impl fmt::Display for BuildsDisabled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("source distributions are not built")
    }
}

impl std::error::Error for BuildsDisabled {}

impl uv_errors::Hint for BuildsDisabled {}

impl IsBuildBackendError for BuildsDisabled {
    fn is_build_backend_error(&self) -> bool {
        false
    }
}

/// A build that was set up: there is none.
pub(super) enum Never {}

impl SourceBuildTrait for Never {
    async fn metadata(&mut self) -> Result<Option<PathBuf>, AnyErrorBuild> {
        match *self {}
    }

    async fn wheel<'a>(&'a self, _: &'a Path) -> Result<String, AnyErrorBuild> {
        match *self {}
    }
}

// `refining_impl_trait`: naming the error type instead of `impl IsBuildBackendError` is what lets
// the futures be written as `async fn`.
#[expect(
    refining_impl_trait,
    reason = "one error type serves every refused build"
)]
impl BuildContext for NoBuilds {
    type SourceDistBuilder = Never;

    async fn interpreter(&self) -> &Interpreter {
        unreachable!("uv asks for the interpreter after it found builds enabled")
    }

    fn cache(&self) -> &Cache {
        &self.cache
    }

    fn git(&self) -> &GitResolver {
        &self.git
    }

    fn build_arena(&self) -> &BuildArena<Never> {
        &self.arena
    }

    fn capabilities(&self) -> &IndexCapabilities {
        &self.capabilities
    }

    fn dependency_metadata(&self) -> &DependencyMetadata {
        &self.dependency_metadata
    }

    fn build_options(&self) -> &BuildOptions {
        &self.build_options
    }

    fn build_isolation(&self) -> BuildIsolation<'_> {
        BuildIsolation::Isolated
    }

    fn config_settings(&self) -> &ConfigSettings {
        &self.config_settings
    }

    fn config_settings_package(&self) -> &PackageConfigSettings {
        &self.package_settings
    }

    fn sources(&self) -> &NoSources {
        &self.sources
    }

    fn locations(&self) -> &IndexLocations {
        &self.locations
    }

    fn workspace_cache(&self) -> &WorkspaceCache {
        &self.workspaces
    }

    fn extra_build_requires(&self) -> &ExtraBuildRequires {
        &self.build_requires
    }

    fn extra_build_variables(&self) -> &ExtraBuildVariables {
        &self.build_variables
    }

    async fn resolve<'a>(
        &'a self,
        _: &'a [Requirement],
        _: &'a BuildStack,
    ) -> Result<ResolvedRequirements, BuildsDisabled> {
        Err(BuildsDisabled)
    }

    async fn install<'a>(
        &'a self,
        _: &'a ResolvedRequirements,
        _: &'a PythonEnvironment,
        _: &'a BuildStack,
    ) -> Result<Vec<CachedDist>, BuildsDisabled> {
        Err(BuildsDisabled)
    }

    async fn setup_build<'a>(
        &'a self,
        _: &'a Path,
        _: Option<&'a Path>,
        _: &'a Path,
        _: Option<&'a Path>,
        _: Option<&'a str>,
        _: Option<&'a SourceDist>,
        _: &'a NoSources,
        _: BuildKind,
        _: BuildOutput,
        _: BuildStack,
    ) -> Result<Never, BuildsDisabled> {
        Err(BuildsDisabled)
    }

    async fn direct_build<'a>(
        &'a self,
        _: &'a Path,
        _: Option<&'a Path>,
        _: &'a Path,
        _: NoSources,
        _: BuildKind,
        _: Option<&'a str>,
    ) -> Result<Option<DistFilename>, BuildsDisabled> {
        Err(BuildsDisabled)
    }
}
