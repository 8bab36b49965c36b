//! uv's resolution to locked wheels, with size and digest of each.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use url::Url;
use uv_distribution_types::{
    BuiltDist, Dist, Name as _, Node, RegistryBuiltWheel, Resolution, ResolvedDist,
};
use uv_normalize::PackageName;
use uv_pypi_types::{HashAlgorithm, HashDigest};

use crate::base::{Context, Digest, Hasher, PythonName};
use crate::lock::{Artifact, LockedWheel, Origin};
use crate::resolve::python::provided::Provided;
use crate::resolve::python::session::Session;
use crate::resolve::python::solve::PythonRequest;
use crate::resolve::python::{PythonError, Unsupported, failure, locate};

/// Who asked for a wheel when no other wheel did.
const MANIFEST: &str = "manifest";

/// Returns a locked wheel for each distribution of `resolution`, sorted by name.
///
/// # Errors
/// Returns [`PythonError`] when a wheel's size or digest is neither in the index nor in the old
/// lock and the wheel cannot be downloaded to compute it.
pub(super) async fn locked(
    context: &Context,
    session: &Session,
    request: PythonRequest<'_>,
    resolution: &Resolution,
) -> Result<Vec<LockedWheel>, PythonError> {
    let mut wheels = Vec::new();
    for (dist, required_by) in distributions(resolution) {
        if is_there(request.provided, dist)? {
            continue;
        }
        let found = found(session, dist)?;
        wheels.push(async move {
            let artifact = found.complete(context, session, request.previous).await?;
            Ok(LockedWheel {
                name: found.name,
                version: found.version,
                platforms: vec![request.platform],
                artifact,
                required_by,
            })
        });
    }
    let done = futures::stream::iter(wheels).buffered(context.jobs.max(1));
    let done: Vec<Result<_, PythonError>> = done.collect().await;
    let mut wheels = done.into_iter().collect::<Result<Vec<LockedWheel>, _>>()?;
    wheels.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(wheels)
}

/// Says whether a conda package brings `dist`.
fn is_there(provided: &Provided, dist: &ResolvedDist) -> Result<bool, PythonError> {
    let ResolvedDist::Installable { dist, .. } = dist else {
        return Ok(false);
    };
    match provided.find(dist.name()) {
        None => Ok(false),
        Some(_) if provided.has(dist) => Ok(true),
        Some(found) => Err(PythonError::Shadows {
            name: python_name(dist.name()),
            version: found.version.clone(),
        }),
    }
}

/// Returns the distributions of `resolution` with the names of those that asked for each.
pub(super) fn distributions(resolution: &Resolution) -> Vec<(&ResolvedDist, Vec<String>)> {
    let graph = resolution.graph();
    let mut required_by = BTreeMap::<usize, BTreeSet<String>>::new();
    for edge in graph.raw_edges() {
        let source = &graph.raw_nodes()[edge.source().index()].weight;
        let source = match source {
            Node::Root => MANIFEST.to_owned(),
            Node::Dist { dist, .. } => dist.name().to_string(),
        };
        required_by
            .entry(edge.target().index())
            .or_default()
            .insert(source);
    }
    let nodes = graph.raw_nodes().iter().enumerate();
    nodes
        .filter_map(|(index, node)| match &node.weight {
            Node::Root => None,
            Node::Dist { dist, .. } => {
                let mut names = required_by.remove(&index).unwrap_or_default();
                // An extra is an edge from the package to itself.
                names.remove(dist.name().as_str());
                Some((dist, names.into_iter().collect()))
            }
        })
        .collect()
}

pub(super) fn python_name(name: &PackageName) -> PythonName {
    name.as_str()
        .parse()
        .expect("uv's names are normalized as PEP 503 says")
}

/// A chosen wheel, before its size and digest are known for sure.
struct Found {
    name: PythonName,
    version: String,
    file: String,
    origin: Origin,
    url: Url,
    size: Option<u64>,
    digest: Option<Digest>,
}

fn found(session: &Session, dist: &ResolvedDist) -> Result<Found, PythonError> {
    if let ResolvedDist::Installable { dist, .. } = dist {
        match dist.as_ref() {
            Dist::Built(BuiltDist::Registry(built)) => {
                return Ok(registry_wheel(session, built.best_wheel()));
            }
            Dist::Built(BuiltDist::DirectUrl(built)) => {
                let url = built.url.to_url();
                let mut location = url.without_credentials().into_owned();
                let digest = location.fragment().and_then(fragment_digest);
                location.set_fragment(None);
                return Ok(Found {
                    name: python_name(&built.filename.name),
                    version: built.filename.version.to_string(),
                    file: built.filename.to_string(),
                    origin: Origin::Url(location.to_string()),
                    url: Url::from(url),
                    size: None,
                    digest,
                });
            }
            _ => {}
        }
    }
    // Anything else was asked for by a wheel that came from a direct URL.
    Err(PythonError::Unsupported {
        list: "requirements",
        text: dist.to_string(),
        reason: Unsupported::Path,
    })
}

fn registry_wheel(session: &Session, wheel: &RegistryBuiltWheel) -> Found {
    let registry = session.indexes.name(&wheel.index);
    let registry = registry.expect("uv takes wheels only from the indexes it was given");
    let url = wheel
        .file
        .url
        .to_url()
        .expect("uv has asked for this wheel's metadata");
    Found {
        name: python_name(&wheel.filename.name),
        version: wheel.filename.version.to_string(),
        file: wheel.file.filename.to_string(),
        origin: Origin::Registry(registry.clone()),
        url: Url::from(url),
        size: wheel.file.size,
        digest: wheel.file.hashes.iter().find_map(sha256),
    }
}

fn sha256(hash: &HashDigest) -> Option<Digest> {
    (hash.algorithm == HashAlgorithm::Sha256)
        .then(|| Digest::from_hex(&hash.digest.to_ascii_lowercase()).ok())
        .flatten()
}

fn fragment_digest(fragment: &str) -> Option<Digest> {
    let mut pairs = fragment.split('&').filter_map(|pair| pair.split_once('='));
    let (_, hex) = pairs.find(|(key, _)| *key == "sha256")?;
    Digest::from_hex(&hex.to_ascii_lowercase()).ok()
}

impl Found {
    async fn complete(
        &self,
        context: &Context,
        session: &Session,
        previous: &[LockedWheel],
    ) -> Result<Artifact, PythonError> {
        if let Origin::Registry(registry) = &self.origin {
            locate::remember(context, session, registry, &self.file, &self.url);
        }
        let (digest, size) = match (self.digest, self.size) {
            (Some(digest), Some(size)) => (digest, size),
            (digest, size) => match self.known(previous, digest, size) {
                Some(known) => known,
                None => self.measure(session).await?,
            },
        };
        Ok(Artifact {
            origin: self.origin.clone(),
            file: self.file.clone(),
            size,
            digest,
        })
    }

    /// Returns what the old lock says of this file: names of files are never used twice, and a
    /// registry that breaks that rule is found out when the file is fetched.
    fn known(
        &self,
        previous: &[LockedWheel],
        digest: Option<Digest>,
        size: Option<u64>,
    ) -> Option<(Digest, u64)> {
        let mut artifacts = previous.iter().map(|wheel| &wheel.artifact);
        let artifact = artifacts.find(|artifact| {
            artifact.origin == self.origin
                && artifact.file == self.file
                && digest.is_none_or(|digest| digest == artifact.digest)
                && size.is_none_or(|size| size == artifact.size)
        })?;
        Some((artifact.digest, artifact.size))
    }

    async fn measure(&self, session: &Session) -> Result<(Digest, u64), PythonError> {
        let (digest, size) = if let Ok(path) = self.url.to_file_path() {
            let file = std::fs::File::open(&path);
            let measured = file.and_then(Digest::of_reader);
            measured.map_err(|error| failure::download(&self.url, &error, &session.indexes))?
        } else {
            self.download(session).await?
        };
        match self.digest {
            Some(expected) if expected != digest => Err(PythonError::DigestMismatch {
                file: self.file.clone(),
                expected,
                found: digest,
            }),
            _ => Ok((digest, size)),
        }
    }

    /// Downloads the file to nowhere. uv's client is used because it has the indexes' credentials.
    async fn download(&self, session: &Session) -> Result<(Digest, u64), PythonError> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            failure::download(&self.url, error, &session.indexes)
        };
        let client = session.client.uncached_client(&self.url.clone().into());
        // A proxy that compresses would have the size and digest of something else measured.
        let request = client
            .get(self.url.clone())
            .header("Accept-Encoding", "identity");
        let response = request.send().await.map_err(|error| failed(&error))?;
        let response = response
            .error_for_status()
            .map_err(|error| failed(&error))?;
        // The digest is what decides; with it given, the announced size is enough. A wrong one is
        // found out when the file is fetched.
        if let (Some(digest), Some(size)) = (self.digest, response.content_length()) {
            return Ok((digest, size));
        }
        let mut hasher = Hasher::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            hasher.update(&chunk.map_err(|error| failed(&error))?);
        }
        Ok(hasher.finish())
    }
}
