//! Distributions that are there already: conda packages bring them.
//!
//! A distribution that is there is the only candidate for its name, so that no wheel ever lies over
//! it. What it depends on is its package's affair; only extras that something asks for are looked
//! up in its metadata, and those the packages lack are resolved as wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uv_distribution::{ArchiveMetadata, Metadata, Reporter};
use uv_distribution_filename::WheelFilename;
use uv_distribution_types::{
    BuiltDist, Dist, File, FileLocation, HashComparison, IndexMetadata, IndexUrl, InstalledDist,
    PrioritizedDist, RegistryBuiltWheel, Requirement, RequirementSource, WheelCompatibility,
};
use uv_normalize::PackageName;
use uv_pep440::{Version, VersionSpecifiers};
use uv_pep508::MarkerEnvironment;
use uv_pypi_types::{HashDigests, ResolutionMetadata};
use uv_resolver::{
    DefaultResolverProvider, FlatDistributions, MetadataResponse, PackageVersionsResult,
    ResolverProvider, VersionMap, VersionsResponse, WheelMetadataResult,
};

use crate::base::PythonName;
use crate::resolve::python::builds::NoBuilds;

/// Where uv is told that the distributions lie. No index has a URL of a host named so.
const PLACE: &str = "file:///envbox/conda";

/// The distributions that are there, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provided {
    all: BTreeMap<PythonName, ProvidedDistribution>,
}

/// A distribution that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidedDistribution {
    /// Its version.
    pub version: String,
    /// The versions that could be there instead.
    pub others: Vec<String>,
    /// The text of its metadata (PEP 566), once its extras are asked for.
    pub metadata: Option<Vec<u8>>,
}

/// What something requires of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    /// The distribution.
    pub name: PythonName,
    /// Which versions, as PEP 440 writes it: `<2`.
    pub specifiers: String,
    /// `manifest`, or the distribution that wants it and its version: `pandas 1.5.3`.
    pub by: String,
}

impl Provided {
    /// Adds the distribution `name`.
    pub fn insert(&mut self, name: PythonName, distribution: ProvidedDistribution) {
        self.all.insert(name, distribution);
    }

    /// Returns the distribution `name`.
    pub fn get(&self, name: &PythonName) -> Option<&ProvidedDistribution> {
        self.all.get(name)
    }

    /// Returns the distribution `name` to change it.
    pub fn get_mut(&mut self, name: &PythonName) -> Option<&mut ProvidedDistribution> {
        self.all.get_mut(name)
    }

    /// Says whether `dist` is one of these, and not a file of their name.
    pub(super) fn has(&self, dist: &Dist) -> bool {
        match dist {
            Dist::Built(BuiltDist::Registry(built)) => {
                let wheel = built.best_wheel();
                self.find(&wheel.filename.name).is_some()
                    && wheel.index.url().as_str().starts_with(PLACE)
            }
            _ => false,
        }
    }

    pub(super) fn find(&self, name: &PackageName) -> Option<&ProvidedDistribution> {
        self.all.get(&name.as_str().parse::<PythonName>().ok()?)
    }

    /// Returns the versions of `name`: the one that is there, and those that could be.
    fn versions(&self, name: &PackageName) -> Option<VersionMap> {
        let found = self.find(name)?;
        let texts = found.others.iter().chain([&found.version]);
        let versions = texts.filter_map(|text| candidate(name, text));
        let all: BTreeMap<Version, PrioritizedDist> = versions.collect();
        Some(VersionMap::from(FlatDistributions::from(all)))
    }

    /// Returns the metadata of `dist`, if it is one of these.
    fn metadata(&self, dist: &Dist) -> Option<Metadata> {
        let Dist::Built(BuiltDist::Registry(built)) = dist else {
            return None;
        };
        if !self.has(dist) {
            return None;
        }
        let filename = &built.best_wheel().filename;
        let found = self.find(&filename.name)?;
        let (mut requires_dist, mut provides_extra) = (Vec::new(), Box::default());
        if let Some(text) = &found.metadata
            && let Ok(metadata) = ResolutionMetadata::parse_metadata(text)
        {
            let all = metadata.requires_dist.into_iter().map(Requirement::from);
            // Without extras it holds or does not: that is the package's affair.
            requires_dist.extend(all.filter(|one| !one.marker.only_extras().is_true()));
            provides_extra = metadata.provides_extra;
        }
        Some(Metadata {
            name: filename.name.clone(),
            version: filename.version.clone(),
            requires_dist: requires_dist.into(),
            requires_python: None,
            provides_extra,
            dependency_groups: BTreeMap::new(),
            dynamic: false,
        })
    }
}

/// Returns a version of `name` that is there, in uv's form.
fn candidate(name: &PackageName, version: &str) -> Option<(Version, PrioritizedDist)> {
    let version = Version::from_str(version).ok()?;
    let file = format!("{}-{version}-py3-none-any.whl", name.as_dist_info_name());
    let filename = WheelFilename::from_str(&file).ok()?;
    // Nothing is fetched from there.
    let place = format!("{PLACE}/{file}");
    let wheel = RegistryBuiltWheel {
        filename,
        file: Box::new(File {
            dist_info_metadata: false,
            filename: file.into(),
            hashes: HashDigests::empty(),
            requires_python: None,
            size: None,
            upload_time_utc_ms: None,
            url: FileLocation::new(place.into(), &"".into()),
            yanked: None,
            zstd: None,
        }),
        index: IndexUrl::parse(PLACE, None).ok()?,
        size_is_authoritative: false,
    };
    let fits = WheelCompatibility::Compatible(HashComparison::Matched, None, None);
    Some((
        version,
        PrioritizedDist::from_built(wheel, Vec::new(), fits),
    ))
}

/// What each distribution that was looked at requires.
type Required = BTreeMap<(PackageName, Version), Box<[Requirement]>>;

/// What passed by while resolving.
#[derive(Debug, Default)]
pub(super) struct Seen {
    required: Mutex<Required>,
}

impl Seen {
    fn add(&self, metadata: &Metadata) {
        let key = (metadata.name.clone(), metadata.version.clone());
        let mut all = self.lock();
        all.insert(key, metadata.requires_dist.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Required> {
        self.required.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the names of `provided` whose extras something asked for and nobody knows.
    pub(super) fn extras(
        &self,
        asked: &[Requirement],
        provided: &Provided,
    ) -> BTreeSet<PythonName> {
        let all = self.lock();
        let requirements = asked.iter().chain(all.values().flat_map(|all| all.iter()));
        let with_extras = requirements.filter(|requirement| !requirement.extras.is_empty());
        with_extras
            .filter_map(|requirement| requirement.name.as_str().parse::<PythonName>().ok())
            .filter(|name| {
                let found = provided.get(name);
                found.is_some_and(|found| found.metadata.is_none())
            })
            .collect()
    }

    /// Returns what `asked` and the `chosen` distributions require of those `named`.
    pub(super) fn demands(
        &self,
        asked: &[Requirement],
        chosen: &[(PackageName, Version)],
        named: &[PythonName],
        markers: &MarkerEnvironment,
    ) -> Vec<Demand> {
        let all = self.lock();
        let asked = asked.iter().map(|one| ("manifest".to_owned(), one));
        let theirs = chosen.iter().flat_map(|key| {
            let by = format!("{} {}", key.0, key.1);
            let requirements = all.get(key).into_iter().flat_map(|all| all.iter());
            requirements.map(move |one| (by.clone(), one))
        });
        let demands = asked.chain(theirs).filter_map(|(by, requirement)| {
            let name: PythonName = requirement.name.as_str().parse().ok()?;
            if !named.contains(&name) || !requirement.evaluate_markers(Some(markers), &[]) {
                return None;
            }
            Some(Demand {
                name,
                specifiers: specifiers(requirement)?.to_string(),
                by,
            })
        });
        let demands: BTreeSet<_> = demands.collect();
        demands.into_iter().collect()
    }
}

fn specifiers(requirement: &Requirement) -> Option<&VersionSpecifiers> {
    match &requirement.source {
        RequirementSource::Registry { specifier, .. } if !specifier.is_empty() => Some(specifier),
        _ => None,
    }
}

/// Answers for what is there, and asks the registries for the rest.
pub(super) struct Beside<'a> {
    pub(super) provided: &'a Provided,
    pub(super) seen: &'a Seen,
    pub(super) registries: DefaultResolverProvider<'a, NoBuilds>,
}

impl ResolverProvider for Beside<'_> {
    async fn get_package_versions<'io>(
        &'io self,
        name: &'io PackageName,
        index: Option<&'io IndexMetadata>,
    ) -> PackageVersionsResult {
        match self.provided.versions(name) {
            Some(only) => Ok(VersionsResponse::Found(vec![only])),
            None => self.registries.get_package_versions(name, index).await,
        }
    }

    async fn get_or_build_wheel_metadata<'io>(&'io self, dist: &'io Dist) -> WheelMetadataResult {
        let answer = match self.provided.metadata(dist) {
            Some(metadata) => Ok(MetadataResponse::Found(ArchiveMetadata::from(metadata))),
            None => self.registries.get_or_build_wheel_metadata(dist).await,
        };
        if let Ok(MetadataResponse::Found(found)) = &answer {
            self.seen.add(&found.metadata);
        }
        answer
    }

    async fn get_installed_metadata<'io>(
        &'io self,
        dist: &'io InstalledDist,
    ) -> WheelMetadataResult {
        self.registries.get_installed_metadata(dist).await
    }

    fn with_reporter(self, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            registries: self.registries.with_reporter(reporter),
            ..self
        }
    }
}

impl Provided {
    /// Returns the distributions as `name==version`.
    pub(super) fn pins(&self) -> impl Iterator<Item = String> {
        let all = self.all.iter();
        all.map(|(name, found)| format!("{name}=={}", found.version))
    }
}
