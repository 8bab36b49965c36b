//! Source distributions and commits: their metadata, and the wheels that are built of them.
//!
//! What a source says of itself is taken where it is bound to it (`PKG-INFO` of metadata version 2.2
//! and later without dynamic fields). Else, and for every source of the solution, a wheel is built:
//! its backend's requirements are resolved to wheels, the backend is asked what else it needs, those
//! are resolved with the others, and then it builds.

mod backend;
mod builder;
mod fetch;
mod provider;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use uv_distribution_types::{Requirement, SourceDist};
use uv_pypi_types::ResolutionMetadata;

use crate::base::{Context, Platform, PythonName};
use crate::lock::{Artifact, BuiltFrom, LockedWheel, Lockfile, Origin};
use crate::manifest::Python;
use crate::resolve::python::session::Session;
use crate::resolve::python::solve::resolve_in;
use crate::resolve::python::{Provided, PythonError, PythonRequest, Resolved};

pub use builder::{
    Backend, BuildFailure, BuildTask, Building, BuiltWheel, Checkout, SourceBuilder,
    SourceDocuments, SourceFile,
};
pub(super) use provider::WithSources;

/// The sources that a resolution meets.
pub(super) struct Sources<'a> {
    context: &'a Context,
    session: &'a Session,
    request: PythonRequest<'a>,
    building: &'a Building,
    /// By the source's file and origin.
    fetched: Mutex<BTreeMap<String, Arc<Source>>>,
    products: Mutex<BTreeMap<String, Arc<Product>>>,
    failure: Mutex<Option<PythonError>>,
}

/// A source on this machine.
pub(super) struct Source {
    artifact: Artifact,
    file: SourceFile,
    subdirectory: Option<String>,
    documents: SourceDocuments,
}

/// A wheel that was built.
pub(super) struct Product {
    wheel: BuiltWheel,
    metadata: ResolutionMetadata,
    built_from: BuiltFrom,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        context: &'a Context,
        session: &'a Session,
        request: PythonRequest<'a>,
        building: &'a Building,
    ) -> Self {
        Self {
            context,
            session,
            request,
            building,
            fetched: Mutex::default(),
            products: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Returns what went wrong with a source, which uv has no words for.
    pub(super) fn failure(&self) -> Option<PythonError> {
        self.failure.lock().expect("no holder panics").take()
    }

    fn fail(&self, error: PythonError) {
        let mut failure = self.failure.lock().expect("no holder panics");
        failure.get_or_insert(error);
    }

    /// Returns the metadata of a source of an index.
    async fn metadata(&self, dist: &SourceDist) -> Result<ResolutionMetadata, PythonError> {
        let source = self.fetch(dist).await?;
        let bound = source.documents.pkg_info.as_deref();
        let bound = bound.and_then(|text| ResolutionMetadata::parse_pkg_info(text).ok());
        match bound {
            Some(metadata) => Ok(metadata),
            None => Ok(self.product(&source).await?.metadata.clone()),
        }
    }

    /// Returns the locked wheel that is built of a source of an index.
    pub(super) async fn locked(
        &self,
        dist: &SourceDist,
        required_by: Vec<String>,
    ) -> Result<LockedWheel, PythonError> {
        let source = self.fetch(dist).await?;
        let product = self.product(&source).await?;
        self.fits(&product)?;
        Ok(product.locked(self.request.platform, required_by))
    }

    /// Returns the locked wheel that was built of a direct requirement.
    pub(super) fn locked_direct(
        &self,
        file: &str,
        required_by: Vec<String>,
    ) -> Result<Option<LockedWheel>, PythonError> {
        let products = self.products.lock().expect("no holder panics");
        let product = products.values().find(|product| product.wheel.file == file);
        let Some(product) = product else {
            return Ok(None);
        };
        self.fits(product)?;
        Ok(Some(product.locked(self.request.platform, required_by)))
    }

    /// Puts wheels in the place of direct requirements that name sources.
    pub(super) async fn built(
        &self,
        requirements: Vec<Requirement>,
    ) -> Result<Vec<Requirement>, PythonError> {
        let mut built = Vec::new();
        for requirement in requirements {
            built.push(match self.fetch_direct(&requirement).await? {
                None => requirement,
                Some(source) => {
                    let product = self.product(&source).await?;
                    product.requirement(requirement)?
                }
            });
        }
        Ok(built)
    }

    /// A wheel that was built here runs on other platforms only if it is for all.
    fn fits(&self, product: &Product) -> Result<(), PythonError> {
        let is_pure = product.wheel.file.ends_with("-none-any.whl");
        match is_pure || self.request.platform == Platform::host() {
            true => Ok(()),
            false => Err(PythonError::ForeignBuild {
                source_file: product.built_from.source.file.clone(),
                platform: self.request.platform,
            }),
        }
    }

    /// Builds the wheel of a source, once.
    async fn product(&self, source: &Arc<Source>) -> Result<Arc<Product>, PythonError> {
        let key = key(&source.artifact);
        if let Some(known) = self.products.lock().expect("no holder panics").get(&key) {
            return Ok(Arc::clone(known));
        }
        let built = match self.before(source) {
            Some(product) => product,
            None => self.build(source).await?,
        };
        let product = Arc::new(built);
        let mut products = self.products.lock().expect("no holder panics");
        products.insert(key, Arc::clone(&product));
        Ok(product)
    }

    /// Returns the wheel that the old lock has of the same source, when it may be kept and is there.
    fn before(&self, source: &Source) -> Option<Product> {
        let mut previous = self.request.previous.iter();
        let (wheel, built_from) = previous.find_map(|wheel| {
            let built_from = wheel.built_from.as_deref()?;
            let is_it = built_from.source.digest == source.artifact.digest;
            is_it.then_some((wheel, built_from))
        })?;
        if self.request.upgrade.includes(wheel.name.as_str()) {
            return None;
        }
        let Artifact { file, digest, .. } = &wheel.artifact;
        let wheel = self.building.builder.built_before(file, digest)?;
        let metadata = ResolutionMetadata::parse_metadata(&wheel.metadata).ok()?;
        Some(Product {
            wheel,
            metadata,
            built_from: built_from.clone(),
        })
    }

    async fn build(&self, source: &Source) -> Result<Product, PythonError> {
        let file = &source.artifact.file;
        let failed = |failure: BuildFailure| PythonError::Build {
            source_file: file.clone(),
            source: Box::new(failure),
        };
        let mut backend = Backend::of(&source.documents).map_err(|error| PythonError::Backend {
            source_file: file.clone(),
            source: Box::new(error),
        })?;
        let mut requires = self.requirements(source, &backend).await?;
        let task = self.task(source, &backend, &requires);
        let more = self
            .blocking(move |builder| builder.requires(&task))
            .await
            .map_err(failed)?;
        if !more.is_empty() {
            backend.requires.extend(more);
            requires = self.requirements(source, &backend).await?;
        }
        let task = self.task(source, &backend, &requires);
        let wheel = self
            .blocking(move |builder| builder.wheel(&task))
            .await
            .map_err(failed)?;
        let metadata = ResolutionMetadata::parse_metadata(&wheel.metadata);
        let metadata = metadata.map_err(|error| PythonError::Backend {
            source_file: file.clone(),
            source: Box::new(error),
        })?;
        Ok(Product {
            wheel,
            metadata,
            built_from: BuiltFrom {
                source: source.artifact.clone(),
                requires,
            },
        })
    }

    /// Resolves what a backend needs, for every platform of the lock: each may build it.
    async fn requirements(
        &self,
        source: &Source,
        backend: &Backend,
    ) -> Result<Vec<LockedWheel>, PythonError> {
        let python = Python {
            requirements: backend.requires.clone(),
            constraints: Vec::new(),
            overrides: Vec::new(),
            no_build: true,
            ..self.request.python.clone()
        };
        let previous = self.previous_of(source);
        let nothing = Provided::default();
        let mut wheels: Vec<LockedWheel> = Vec::new();
        for &(platform, glibc) in &self.building.platforms {
            let request = PythonRequest {
                python: &python,
                platform,
                glibc,
                siblings: &wheels,
                previous: &previous,
                building: None,
                // Builds are apart from what is there.
                provided: &nothing,
                ..self.request
            };
            let found = Box::pin(resolve_in(self.context, self.session, request, None)).await;
            let found = found.map_err(|error| PythonError::BuildRequirements {
                source_file: source.artifact.file.clone(),
                source: Box::new(error),
            })?;
            // Extras of what is there are asked for only where something is.
            if let Resolved::Wheels(found) = found {
                wheels.extend(found);
            }
        }
        Ok(crate::resolve::target::merged(wheels))
    }

    /// Returns what the old lock has of what a source is built with.
    fn previous_of(&self, source: &Source) -> Vec<LockedWheel> {
        let previous = self.request.previous.iter();
        let mut sources = previous.filter_map(|wheel| wheel.built_from.as_deref());
        let same = sources.find(|known| known.source.file == source.artifact.file);
        same.map(|known| known.requires.clone()).unwrap_or_default()
    }

    fn task(&self, source: &Source, backend: &Backend, requires: &[LockedWheel]) -> BuildTask {
        BuildTask {
            source: source.file.clone(),
            subdirectory: source.subdirectory.clone(),
            backend: backend.clone(),
            environment: Lockfile {
                python: requires.to_vec(),
                ..self.building.system.clone()
            },
        }
    }

    /// Runs what takes long, and waits for others on its own, apart from uv's futures.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn SourceBuilder) -> T + Send + 'static,
    ) -> T {
        let builder = Arc::clone(&self.building.builder);
        let done = tokio::task::spawn_blocking(move || work(&*builder)).await;
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

impl Product {
    fn locked(&self, platform: Platform, required_by: Vec<String>) -> LockedWheel {
        let name = crate::resolve::python::wheels::python_name(&self.metadata.name);
        LockedWheel {
            name,
            version: self.metadata.version.to_string(),
            platforms: vec![platform],
            artifact: Artifact {
                origin: Origin::Built,
                file: self.wheel.file.clone(),
                size: self.wheel.size,
                digest: self.wheel.digest,
            },
            required_by,
            built_from: Some(Box::new(self.built_from.clone())),
        }
    }
}

/// Names a source among all.
fn key(source: &Artifact) -> String {
    format!("{:?} {}", source.origin, source.file)
}

/// Returns the name of a project as locks have it.
fn name_of(requirement: &Requirement) -> PythonName {
    crate::resolve::python::wheels::python_name(&requirement.name)
}
