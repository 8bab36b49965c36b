//! What a lock wants, and where to look for it.

use std::collections::BTreeMap;

use envbox_lockfiles::base::{Context, Digest, Mirror, Platform, PythonName, RegistryName};
use envbox_lockfiles::lock::{Artifact, Lockfile, Origin};
use envbox_lockfiles::net::{NetError, channel_url, join, registry_url, snapshot_url};
use jiff::Timestamp;
use url::Url;

use crate::fetch::FetchError;

/// Where an OCI layout and a mirror keep what is named by its SHA-256.
const BLOBS: &str = "blobs/sha256";

/// One artifact to have.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) artifact: Artifact,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Wheel(PythonName),
    /// With the dates of its registry's suites, newest first.
    Package(Vec<Timestamp>),
    Interpreter,
    /// Of a channel.
    Conda,
    /// Of an image.
    Layer,
    /// What the mirror may have, and others than registries have else.
    Mirrored,
}

/// A place to look for an artifact in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The mirror's URL of it.
    Mirrored(Url),
    /// A URL.
    At(Url),
    /// Where the registry listed the wheel of this project when it was last seen.
    Noted(RegistryName, PythonName),
    /// Where the registry lists the wheel of this project now.
    Listed(RegistryName, PythonName),
}

/// Returns the artifacts of `platform`, each once, largest first: then the last ones to come are
/// small, and no connection is left alone with a large one.
pub(super) fn wanted(lock: &Lockfile, platform: Platform) -> Result<Vec<Wanted>, FetchError> {
    if !lock.request.platforms.contains(&platform) {
        return Err(FetchError::Platform {
            platform,
            locked: lock.request.platforms.clone(),
        });
    }
    let mut by_digest: BTreeMap<Digest, Wanted> = BTreeMap::new();
    let mut want = |artifact: &Artifact, what| {
        let artifact = artifact.clone();
        by_digest.insert(artifact.digest, Wanted { artifact, what });
    };
    for archive in lock.interpreter.iter().flat_map(|python| &python.archives) {
        if archive.platform == platform {
            want(&archive.artifact, What::Interpreter);
        }
    }
    let image = lock.base.as_ref().and_then(|base| base.image(platform));
    for layer in image.iter().flat_map(|image| &image.layers) {
        want(&layer.artifact, What::Layer);
    }
    for package in &lock.conda.packages {
        if package.platforms.contains(&platform) {
            want(&package.artifact, What::Conda);
        }
    }
    for wheel in &lock.python {
        if wheel.platforms.contains(&platform) {
            want(&wheel.artifact, What::Wheel(wheel.name.clone()));
        }
    }
    for package in &lock.debian.packages {
        if package.platforms.contains(&platform) {
            let dates = dates(lock, &package.artifact.origin);
            want(&package.artifact, What::Package(dates));
        }
    }
    let mut all: Vec<Wanted> = by_digest.into_values().collect();
    all.sort_by_key(|wanted| std::cmp::Reverse(wanted.artifact.size));
    Ok(all)
}

impl Wanted {
    /// What only a URL names.
    pub(super) fn at_url(artifact: Artifact) -> Self {
        // A URL needs no kind.
        let what = What::Interpreter;
        Self { artifact, what }
    }

    /// One file of a project of Python's.
    pub(super) fn of_project(artifact: &Artifact, project: &PythonName) -> Self {
        Self {
            artifact: artifact.clone(),
            what: What::Wheel(project.clone()),
        }
    }

    /// One file, of the mirror alone.
    pub(super) fn of_mirror(artifact: &Artifact) -> Self {
        Self {
            artifact: artifact.clone(),
            what: What::Mirrored,
        }
    }

    /// Says whether it is a conda package.
    pub(super) fn is_of_channel(&self) -> bool {
        matches!(self.what, What::Conda)
    }
}

/// Returns the artifacts of `platform`, each once, largest first.
///
/// # Errors
/// Returns [`FetchError::Platform`] when the lock is for others.
pub fn artifacts(lock: &Lockfile, platform: Platform) -> Result<Vec<Artifact>, FetchError> {
    let all = wanted(lock, platform)?;
    Ok(all.into_iter().map(|wanted| wanted.artifact).collect())
}

fn dates(lock: &Lockfile, origin: &Origin) -> Vec<Timestamp> {
    let Origin::Registry(registry) = origin else {
        return Vec::new();
    };
    let suites = lock.debian.suites.iter();
    let mut dates: Vec<Timestamp> = suites
        .filter(|suite| suite.registry == *registry)
        .map(|suite| suite.date)
        .collect();
    dates.sort();
    dates.dedup();
    dates.reverse();
    dates
}

impl Wanted {
    /// Returns where to look: in the mirror, then where it comes from, the likeliest first.
    pub(super) fn sources(&self, context: &Context) -> Result<Vec<Source>, FetchError> {
        let Some(Mirror::Directory(root)) = &context.mirror else {
            return self.origins(context);
        };
        let blob = format!("{BLOBS}/{}", self.artifact.digest.hex());
        let mut sources = vec![Source::Mirrored(join(root, &blob))];
        if matches!(self.what, What::Mirrored) {
            return Ok(sources);
        }
        match self.origins(context) {
            Ok(origins) => sources.extend(origins),
            // What the mirror has needs no other place.
            Err(
                FetchError::Image { .. }
                | FetchError::NotBuilt { .. }
                | FetchError::NotInChannel { .. }
                | FetchError::Net(NetError::UnknownRegistry { .. }),
            ) => {}
            Err(error) => return Err(error),
        }
        Ok(sources)
    }

    fn origins(&self, context: &Context) -> Result<Vec<Source>, FetchError> {
        let registry = match &self.artifact.origin {
            Origin::Registry(registry) => registry,
            Origin::Built => {
                return Err(FetchError::NotBuilt {
                    file: self.artifact.file.clone(),
                });
            }
            Origin::Url(text) => {
                let url = Url::parse(text).map_err(|source| FetchError::Url {
                    file: self.artifact.file.clone(),
                    url: text.clone(),
                    source,
                })?;
                return Ok(vec![Source::At(url)]);
            }
        };
        let below = |root: Result<Url, NetError>| {
            let root = root.map_err(FetchError::Net)?;
            Ok::<_, FetchError>(Source::At(join(&root, &self.artifact.file)))
        };
        Ok(match &self.what {
            What::Wheel(project) => vec![
                Source::Noted(registry.clone(), project.clone()),
                Source::Listed(registry.clone(), project.clone()),
            ],
            // Without a mirror there is none to ask.
            What::Mirrored => Vec::new(),
            What::Interpreter => vec![below(registry_url(context, registry))?],
            What::Conda => {
                let root = channel_url(context, registry).map_err(FetchError::Net)?;
                if root.scheme() == "oci" {
                    return Err(FetchError::NotInChannel {
                        file: self.artifact.file.clone(),
                        channel: registry.clone(),
                    });
                }
                vec![Source::At(join(&root, &self.artifact.file))]
            }
            What::Layer => {
                let root = registry_url(context, registry).map_err(FetchError::Net)?;
                if root.scheme() != "file" {
                    return Err(FetchError::Image {
                        file: self.artifact.file.clone(),
                        registry: registry.clone(),
                    });
                }
                let blob = format!("{BLOBS}/{}", self.artifact.digest.hex());
                vec![Source::At(join(&root, &blob))]
            }
            What::Package(dates) => {
                let mut sources = vec![below(registry_url(context, registry))?];
                for date in dates {
                    sources.push(below(snapshot_url(context, registry, *date))?);
                }
                sources
            }
        })
    }
}
