//! Sources brought to this machine.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;
use uv_distribution_filename::DistExtension;
use uv_distribution_types::{Requirement, RequirementSource, SourceDist};
use uv_pep508::VerbatimUrl;

use crate::base::{Digest, FsError};
use crate::lock::{Artifact, Origin};
use crate::resolve::python::sources::{
    BuildFailure, Product, Source, SourceFile, Sources, key, name_of,
};
use crate::resolve::python::wheels::{Found, fragment_digest, sha256};
use crate::resolve::python::{PythonError, Unsupported, locate};

impl Sources<'_> {
    /// Returns a source of an index.
    pub(super) async fn fetch(&self, dist: &SourceDist) -> Result<Arc<Source>, PythonError> {
        let SourceDist::Registry(dist) = dist else {
            return Err(PythonError::Unsupported {
                list: "requirements",
                text: dist.to_string(),
                reason: Unsupported::Path,
            });
        };
        let registry = self.session.indexes.name(&dist.index);
        let registry = registry.expect("uv takes sources only from the indexes it was given");
        let url = dist.file.url.to_url();
        let url = url.expect("uv has listed this file");
        let found = Found {
            name: crate::resolve::python::wheels::python_name(&dist.name),
            version: dist.version.to_string(),
            file: dist.file.filename.to_string(),
            origin: Origin::Registry(registry.clone()),
            url: Url::from(url),
            size: dist.file.size,
            digest: dist.file.hashes.iter().find_map(sha256),
        };
        self.open(found, None).await
    }

    /// Returns the source that a direct requirement names, if it names one.
    pub(super) async fn fetch_direct(
        &self,
        requirement: &Requirement,
    ) -> Result<Option<Arc<Source>>, PythonError> {
        match &requirement.source {
            RequirementSource::Url {
                location,
                subdirectory,
                ext: DistExtension::Source(_),
                url,
            } => {
                let path = location.path();
                let file = path.rsplit('/').next().unwrap_or_default().to_owned();
                let mut shown = url.to_url();
                shown.set_fragment(None);
                let subdirectory = subdirectory.as_ref().map(|path| path.display().to_string());
                let found = Found {
                    name: name_of(requirement),
                    version: String::new(),
                    file,
                    origin: Origin::Url(with_subdirectory(shown.as_str(), subdirectory.as_deref())),
                    url: Url::from(location.clone()),
                    size: None,
                    digest: url.fragment().and_then(fragment_digest),
                };
                self.open(found, subdirectory).await.map(Some)
            }
            RequirementSource::GitDirectory {
                git, subdirectory, ..
            } => {
                let subdirectory = subdirectory.as_ref().map(|path| path.display().to_string());
                let url = git.url().to_string();
                let revision = git.reference().as_str().map(str::to_owned);
                let source = self
                    .commit(requirement, url, revision, subdirectory)
                    .await?;
                Ok(Some(source))
            }
            _ => Ok(None),
        }
    }

    async fn commit(
        &self,
        requirement: &Requirement,
        url: String,
        revision: Option<String>,
        subdirectory: Option<String>,
    ) -> Result<Arc<Source>, PythonError> {
        let place = url.clone();
        let checkout = self
            .blocking(move |builder| builder.checkout(&place, revision.as_deref()))
            .await
            .map_err(|failure| build_failed(&url, failure))?;
        let name = name_of(requirement);
        let (commit, file) = (checkout.commit, checkout.source);
        let place = format!("git+{url}@{commit}");
        let artifact = Artifact {
            origin: Origin::Url(with_subdirectory(&place, subdirectory.as_deref())),
            file: format!("{name}-{commit}.tar"),
            size: file.size,
            digest: file.digest,
        };
        self.read(artifact, file, subdirectory).await
    }

    async fn open(
        &self,
        found: Found,
        subdirectory: Option<String>,
    ) -> Result<Arc<Source>, PythonError> {
        let name = format!("{:?} {}", found.origin, found.file);
        if let Some(known) = self.fetched.lock().expect("no holder panics").get(&name) {
            return Ok(Arc::clone(known));
        }
        let path = self.place(&name)?;
        let (digest, size) = found.save(self.session, &path).await?;
        if let Origin::Registry(registry) = &found.origin {
            locate::remember(
                self.context,
                self.session,
                registry,
                &found.file,
                &found.url,
            );
        }
        let file = SourceFile {
            file: found.file.clone(),
            path,
            size,
            digest,
        };
        let artifact = Artifact {
            origin: found.origin,
            file: found.file,
            size,
            digest,
        };
        self.read(artifact, file, subdirectory).await
    }

    async fn read(
        &self,
        artifact: Artifact,
        file: SourceFile,
        subdirectory: Option<String>,
    ) -> Result<Arc<Source>, PythonError> {
        let (opened, below) = (file.clone(), subdirectory.clone());
        let documents = self
            .blocking(move |builder| builder.open(&opened, below.as_deref()))
            .await
            .map_err(|failure| build_failed(&artifact.file, failure))?;
        let source = Arc::new(Source {
            artifact,
            file,
            subdirectory,
            documents,
        });
        let mut fetched = self.fetched.lock().expect("no holder panics");
        fetched.insert(key(&source.artifact), Arc::clone(&source));
        Ok(source)
    }

    /// Returns where a source may be kept.
    fn place(&self, name: &str) -> Result<PathBuf, PythonError> {
        let directory = self.building.builder.directory().join("sources");
        let made = fs::create_dir_all(&directory).map_err(FsError::at("create", &directory));
        made.map_err(PythonError::Fs)?;
        Ok(directory.join(Digest::of(name.as_bytes()).hex()))
    }
}

impl Product {
    /// Returns `requirement` with the wheel in the place of its source.
    pub(super) fn requirement(&self, requirement: Requirement) -> Result<Requirement, PythonError> {
        if self.metadata.name != requirement.name {
            return Err(PythonError::OtherProject {
                source_file: self.built_from.source.file.clone(),
                expected: requirement.name.to_string(),
                found: self.metadata.name.to_string(),
            });
        }
        let path = self.wheel.path.clone();
        let url = VerbatimUrl::from_absolute_path(&path).expect("the builder's paths are absolute");
        Ok(Requirement {
            source: RequirementSource::Path {
                install_path: path.into_boxed_path(),
                ext: DistExtension::Wheel,
                url,
            },
            ..requirement
        })
    }
}

fn build_failed(source: &str, failure: BuildFailure) -> PythonError {
    PythonError::Build {
        source_file: source.to_owned(),
        source: Box::new(failure),
    }
}

fn with_subdirectory(url: &str, subdirectory: Option<&str>) -> String {
    match subdirectory {
        Some(directory) => format!("{url}#subdirectory={directory}"),
        None => url.to_owned(),
    }
}
