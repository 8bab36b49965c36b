//! Which Python distributions a conda package brings: its own files say it (PEP 376), so nobody
//! else is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use rattler_conda_types::package::PathsJson;
use rattler_package_streaming::archive::{
    PackageArchive, RemoteArchiveOptions, Section, SparsePolicy,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::base::{Context, PythonName, fs};
use crate::lock::{LockedCondaPackage, Origin};
use crate::resolve::conda::CondaError;
use crate::resolve::conda::activation::is_of_activation;
use crate::resolve::conda::error::Source;
use crate::resolve::conda::failure::Said;
use crate::resolve::conda::session::CondaSession;

/// The largest file of a package that is looked into: `paths.json` of the largest ones has 10 MB.
const LIMIT: u64 = 64 * 1024 * 1024;

/// A distribution that a conda package brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// Its name.
    pub name: PythonName,
    /// Its version.
    pub version: String,
    /// Its metadata in the package, where it has some.
    metadata: Option<String>,
}

/// What is kept of a package: what its files say, and whether it has modules without saying.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Found {
    distributions: Vec<Brought>,
    has_modules: bool,
    /// The files by which it takes part in activation.
    pub(super) activation: Vec<String>,
}

/// What may be fetched of a package in a channel that is not on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// All of it, where nothing less is to be had.
    Whole,
    /// A part alone.
    Part,
}

/// Returns the distributions of each of `packages`, in their order.
///
/// `named` says it of the packages in it. Of the others those that depend on Python are looked into;
/// one that has modules and no metadata brings a distribution of its own name.
///
/// # Errors
/// Returns [`CondaError::Package`] when a package cannot be read.
pub async fn distributions(
    context: &Context,
    session: &CondaSession,
    packages: &[LockedCondaPackage],
    named: &BTreeMap<crate::base::CondaName, Vec<PythonName>>,
) -> Result<Vec<Vec<Brought>>, CondaError> {
    let python = packages.iter().filter(|package| is_python(package));
    let users: Vec<_> = python.flat_map(|package| &package.required_by).collect();
    let users = &users;
    let one = |package| async move {
        let package: &LockedCondaPackage = package;
        if let Some(names) = named.get(&package.name) {
            return Ok(names
                .iter()
                .map(|name| own(package, name.clone()))
                .collect());
        }
        if !users.iter().any(|user| *user == package.name.as_str()) || is_python(package) {
            return Ok(Vec::new());
        }
        let found = look(context, session, package, Opening::Whole).await?;
        Ok(match package.name.as_str().parse() {
            Ok(name) if found.distributions.is_empty() && found.has_modules => {
                vec![own(package, name)]
            }
            _ => found.distributions,
        })
    };
    let done = futures::stream::iter(packages.iter().map(one)).buffered(context.jobs.max(1));
    let done: Vec<_> = done.collect().await;
    done.into_iter().collect()
}

/// Whether others depend on it when they have modules.
fn is_python(package: &LockedCondaPackage) -> bool {
    matches!(package.name.as_str(), "python" | "python_abi")
}

/// A distribution of the package's version.
fn own(package: &LockedCondaPackage, name: PythonName) -> Brought {
    Brought {
        name,
        version: python_version(&package.version),
        metadata: None,
    }
}

/// Returns the version of PEP 440 that a conda version is, or begins with: `1.1.1w` has none, and
/// only comparing matters.
fn python_version(version: &str) -> String {
    // `2024a` is no alpha of 2024, which its longer spelling would be.
    let is_version = |text: &str| {
        let parsed = text.parse::<uv_pep440::Version>();
        parsed.is_ok_and(|version| version.to_string() == text)
    };
    if is_version(version) {
        return version.to_owned();
    }
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let numbers = version[..end.unwrap_or(version.len())].trim_end_matches('.');
    match is_version(numbers) {
        true => numbers.to_owned(),
        false => "0".to_owned(),
    }
}

/// Returns the metadata (PEP 566) of a distribution that `package` brings, if it has some.
///
/// # Errors
/// As [`distributions`].
pub async fn metadata(
    session: &CondaSession,
    package: &LockedCondaPackage,
    brought: &Brought,
) -> Result<Option<Vec<u8>>, CondaError> {
    let Some(path) = &brought.metadata else {
        return Ok(None);
    };
    let read = async {
        let archive = open(session, &place(session, package)?, Opening::Whole).await?;
        read(&archive, Section::Content, Path::new(path)).await
    };
    read.await.map_err(|source| unreadable(package, source))
}

/// Returns what the list of a package's files says.
///
/// # Errors
/// As [`distributions`].
pub(super) async fn look(
    context: &Context,
    session: &CondaSession,
    package: &LockedCondaPackage,
    opening: Opening,
) -> Result<Found, CondaError> {
    let file = cache_file(context, package);
    if let Ok(text) = fs::read(&file)
        && let Ok(found) = serde_json::from_slice(&text)
    {
        return Ok(found);
    }
    let list = async {
        let archive = open(session, &place(session, package)?, opening).await?;
        let text = read(&archive, Section::Info, Path::new("info/paths.json")).await?;
        let text = text.ok_or("it has no `info/paths.json`")?;
        Ok(serde_json::from_slice::<PathsJson>(&text)?)
    };
    let list: Result<_, Source> = list.await;
    let list = list.map_err(|source| unreadable(package, source))?;
    let paths = list.paths.iter().map(|entry| entry.relative_path.as_path());
    let found = found(package, paths);
    let text = serde_json::to_vec(&found).expect("names and versions are text");
    let written = std::fs::create_dir_all(file.parent().unwrap_or(Path::new("")));
    written
        .map_err(Source::from)
        .and_then(|()| fs::write_atomic(&file, &text).map_err(Source::from))
        .map_err(|source| CondaError::Cache { path: file, source })?;
    Ok(found)
}

fn cache_file(context: &Context, package: &LockedCondaPackage) -> PathBuf {
    let index = context.store.join("index").join("conda").join("python");
    index.join(format!("{}.json", package.artifact.digest.hex()))
}

fn unreadable(package: &LockedCondaPackage, source: Source) -> CondaError {
    CondaError::Package {
        file: package.artifact.file.clone(),
        source,
    }
}

fn place(session: &CondaSession, package: &LockedCondaPackage) -> Result<Url, Source> {
    match &package.artifact.origin {
        Origin::Registry(name) => {
            let url = session.channels.url(name, &package.artifact.file);
            url.ok_or_else(|| format!("no channel is called `{name}`").into())
        }
        Origin::Url(url) => Ok(Url::parse(url)?),
        Origin::Built => unreachable!("only wheels are built"),
    }
}

async fn open(
    session: &CondaSession,
    url: &Url,
    opening: Opening,
) -> Result<PackageArchive, Source> {
    let options = RemoteArchiveOptions::new().with_sparse_policy(match opening {
        Opening::Whole => SparsePolicy::Prefer,
        Opening::Part => SparsePolicy::Require,
    });
    let opened = match url.to_file_path() {
        Ok(path) => PackageArchive::from_path(path).await,
        Err(()) => {
            let (client, url) = (session.client.clone(), url.clone());
            PackageArchive::from_url_with_options(client, url, options).await
        }
    };
    opened.map_err(|error| Box::new(Said::of(&error)) as Source)
}

/// Reads a file of a package, if it has it.
async fn read(
    archive: &PackageArchive,
    section: Section,
    path: &Path,
) -> Result<Option<Vec<u8>>, Source> {
    let mut entries = archive.stream(section).await?;
    while let Some(mut entry) = entries.next_entry().await? {
        if entry.path() != path {
            continue;
        }
        let size = entry.size()?;
        if size > LIMIT {
            let message = format!("its `{}` has {size} bytes", path.display());
            return Err(message.into());
        }
        return Ok(Some(entry.read().await?));
    }
    Ok(None)
}

/// Reads the names of files.
fn found<'a>(package: &LockedCondaPackage, paths: impl Iterator<Item = &'a Path>) -> Found {
    let mut all = Found::default();
    for path in paths {
        if let Some(text) = path.to_str().filter(|text| is_of_activation(text)) {
            all.activation.push(text.to_owned());
        }
        let Some(inside) = below_site_packages(path) else {
            continue;
        };
        all.has_modules = true;
        if let Some((name, version)) = distribution(&inside) {
            let version = version.unwrap_or_else(|| python_version(&package.version));
            let known = all.distributions.iter().any(|known| known.name == name);
            if !known {
                all.distributions.push(Brought {
                    name,
                    version,
                    metadata: path.to_str().map(str::to_owned),
                });
            }
        }
    }
    all.distributions.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Returns the part of the path below the directory that Python imports from. `site-packages/` of a
/// noarch package, `lib/python3.12/site-packages/` of others.
fn below_site_packages(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let rest = match path.strip_prefix("lib/python") {
        Some(rest) => rest.split_once('/')?.1,
        None => path,
    };
    rest.strip_prefix("site-packages/").map(str::to_owned)
}

/// Returns name and version of the distribution whose metadata the file is: `numpy-1.26.4.dist-info/
/// METADATA`, or an egg's `numpy-1.26.4-py3.12.egg-info/PKG-INFO` or `…egg-info`.
fn distribution(inside: &str) -> Option<(PythonName, Option<String>)> {
    let stem = match inside.split_once('/') {
        Some((directory, "METADATA")) => directory.strip_suffix(".dist-info")?,
        Some((directory, "PKG-INFO")) => directory.strip_suffix(".egg-info")?,
        None => inside.strip_suffix(".egg-info")?,
        Some(_) => return None,
    };
    let mut parts = stem.splitn(3, '-');
    let name = parts.next()?.parse().ok()?;
    // An egg has a tag of the Python after its version.
    let version = parts.next().map(str::to_owned);
    let valid = |version: &String| version.parse::<uv_pep440::Version>().is_ok();
    Some((name, version.filter(valid)))
}
