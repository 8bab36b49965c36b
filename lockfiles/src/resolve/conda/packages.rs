//! Records to locked packages, with size and digest of each.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use rattler_conda_types::RepoDataRecord;
use tokio::io::AsyncReadExt as _;
use url::Url;

use crate::base::{Digest, Hasher, Platform};
use crate::lock::{Artifact, LockedConda, LockedCondaPackage, Origin};
use crate::resolve::conda::CondaError;
use crate::resolve::conda::error::Source;
use crate::resolve::conda::session::CondaSession;
use crate::resolve::conda::solve::{CondaTask, Solution};
use crate::resolve::conda::virtual_packages::{self, VirtualPackage};

/// Who asks for a package when no other does.
pub(super) const BY_MANIFEST: &str = "manifest";
pub(super) const BY_INTERPRETER: &str = "interpreter";

/// How much of a file is read at once.
const CHUNK: usize = 128 * 1024;

/// Returns a locked package for each record of `solution`, sorted by name.
///
/// # Errors
/// Returns [`CondaError`] when a package's size or digest is neither in the channel nor in the old
/// lock and the package cannot be fetched to compute it.
pub(super) async fn locked(
    session: &CondaSession,
    jobs: usize,
    task: CondaTask<'_>,
    solution: &Solution,
) -> Result<Vec<LockedCondaPackage>, CondaError> {
    let mut required_by = required_by(solution);
    let packages = solution.records.iter().map(|record| {
        let asked = required_by.remove(name(record)).unwrap_or_default();
        async move {
            let artifact = artifact(session, task.previous, record).await?;
            Ok(LockedCondaPackage {
                name: parsed_name(record)?,
                version: record.package_record.version.as_str().into_owned(),
                build: record.package_record.build.as_str().to_owned(),
                platforms: vec![task.platform],
                artifact,
                python: Vec::new(),
                required_by: asked.into_iter().collect(),
            })
        }
    });
    let packages: Vec<_> = packages.collect();
    let done = futures::stream::iter(packages).buffered(jobs.max(1));
    let done: Vec<Result<_, CondaError>> = done.collect().await;
    let mut packages = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    packages.sort_by(|a: &LockedCondaPackage, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn name(record: &RepoDataRecord) -> &str {
    record.package_record.name.as_normalized()
}

fn parsed_name(record: &RepoDataRecord) -> Result<crate::base::CondaName, CondaError> {
    name(record).parse().map_err(|_| misnamed(record))
}

/// Returns for each package the names of those that depend on it, and who asks from outside.
fn required_by(solution: &Solution) -> BTreeMap<String, BTreeSet<String>> {
    let mut required_by = BTreeMap::<String, BTreeSet<String>>::new();
    let mut add = |name: &str, by: &str| {
        required_by
            .entry(name.to_owned())
            .or_default()
            .insert(by.to_owned())
    };
    for root in &solution.roots {
        add(&root.name, root.required_by);
    }
    for record in &solution.records {
        for dependency in &record.package_record.depends {
            let needed = dependency_name(dependency);
            if needed != name(record) {
                add(&needed, name(record));
            }
        }
    }
    required_by
}

/// Returns the name that a dependency begins with.
fn dependency_name(dependency: &str) -> String {
    let dependency = dependency
        .rsplit_once("::")
        .map_or(dependency, |(_, rest)| rest);
    let end = dependency.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    dependency[..end.unwrap_or(dependency.len())].to_ascii_lowercase()
}

fn misnamed(record: &RepoDataRecord) -> CondaError {
    let package = &record.package_record;
    CondaError::FileName {
        file: record.identifier.to_file_name(),
        package: format!("{} {} {}", name(record), package.version, package.build),
    }
}

async fn artifact(
    session: &CondaSession,
    previous: &LockedConda,
    record: &RepoDataRecord,
) -> Result<Artifact, CondaError> {
    let (origin, file) = session.channels.place_of(record);
    if let Origin::Url(url) = &origin
        && !matches!(record.url.scheme(), "http" | "https")
    {
        return Err(CondaError::Place { url: url.clone() });
    }
    let package = &record.package_record;
    let stem = format!(
        "{}-{}-{}.",
        name(record),
        package.version.as_str(),
        package.build
    );
    // The lock knows a package by its file, so one name must stand for one package.
    let named = file
        .rsplit_once('/')
        .is_some_and(|(_, file)| file.starts_with(&stem));
    if !named {
        return Err(misnamed(record));
    }
    let size = package.size;
    let digest = package
        .sha256
        .map(|sha256| Digest::from_bytes(sha256.into()));
    let (size, digest) = match (size, digest) {
        (Some(size), Some(digest)) => (size, digest),
        (size, digest) => match known(previous, &origin, &file, size, digest) {
            Some(known) => known,
            None => measure(session, record, &file, size, digest).await?,
        },
    };
    Ok(Artifact {
        origin,
        file,
        size,
        digest,
    })
}

/// Returns what the old lock says of this file: names of files are never used twice, and a channel
/// that breaks that rule is found out when the file is fetched.
fn known(
    previous: &LockedConda,
    origin: &Origin,
    file: &str,
    size: Option<u64>,
    digest: Option<Digest>,
) -> Option<(u64, Digest)> {
    let mut artifacts = previous.packages.iter().map(|package| &package.artifact);
    let artifact = artifacts.find(|artifact| {
        artifact.origin == *origin
            && artifact.file == file
            && digest.is_none_or(|digest| digest == artifact.digest)
            && size.is_none_or(|size| size == artifact.size)
    })?;
    Some((artifact.size, artifact.digest))
}

/// Fetches a package to nowhere.
async fn measure(
    session: &CondaSession,
    record: &RepoDataRecord,
    file: &str,
    size: Option<u64>,
    digest: Option<Digest>,
) -> Result<(u64, Digest), CondaError> {
    let read = read_through(session, &record.url).await;
    let (found, found_size) = read.map_err(|source| CondaError::Package {
        file: file.to_owned(),
        source,
    })?;
    let differs =
        size.is_some_and(|size| size != found_size) || digest.is_some_and(|digest| digest != found);
    match differs {
        true => Err(CondaError::Mismatch {
            file: file.to_owned(),
            size,
            digest,
            found_size,
            found,
        }),
        false => Ok((found_size, found)),
    }
}

async fn read_through(session: &CondaSession, url: &Url) -> Result<(Digest, u64), Source> {
    let mut hasher = Hasher::new();
    if let Ok(path) = url.to_file_path() {
        let mut file = tokio::fs::File::open(path).await?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).await? {
                0 => return Ok(hasher.finish()),
                read => hasher.update(&chunk[..read]),
            }
        }
    }
    // A proxy that compresses would have the size and digest of something else measured.
    let request = session
        .client
        .get(url.clone())
        .header("Accept-Encoding", "identity");
    let mut response = request.send().await?.error_for_status()?;
    while let Some(chunk) = response.chunk().await? {
        hasher.update(&chunk);
    }
    Ok(hasher.finish())
}

/// Makes one entry of those that several platforms share, and tells what they were chosen for.
pub fn merged(
    platforms: Vec<(Platform, Vec<VirtualPackage>, Vec<LockedCondaPackage>)>,
) -> LockedConda {
    let mut conda = LockedConda::default();
    for (platform, declared, packages) in platforms {
        virtual_packages::add(&declared, platform, &mut conda.virtual_packages);
        for package in packages {
            let same = conda
                .packages
                .iter_mut()
                .find(|known| known.name == package.name && known.artifact == package.artifact);
            match same {
                None => conda.packages.push(package),
                Some(known) => {
                    known.platforms.extend(package.platforms);
                    known.python.extend(package.python);
                    known.required_by.extend(package.required_by);
                }
            }
        }
    }
    conda.sort();
    conda
}
