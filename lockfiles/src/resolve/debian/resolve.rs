//! A request to a locked base.

use std::collections::{BTreeMap, BTreeSet};

use futures::future;

use crate::base::{Context, DebianName, Event, Platform};
use crate::lock::{Artifact, LockedDebian, LockedPackage, LockedSuite, Origin};
use crate::net::Client;
use crate::resolve::Upgrade;
use crate::resolve::debian::DebianError;
use crate::resolve::debian::archive::{Loaded, Reader, archives, parse_snapshot};
use crate::resolve::debian::cache::Cache;
use crate::resolve::debian::keyring::Keyring;
use crate::resolve::debian::solve::{Chosen, solve};
use crate::resolve::debian::universe::Universe;

/// The stage's name in events.
const STAGE: &str = "resolve debian";

/// What is to be locked.
#[derive(Debug, Clone)]
pub struct DebianRequest<'a> {
    /// The suite: `bookworm`, `stable`.
    pub suite: &'a str,
    /// The time as of which the archives are read, `20261101T000000Z`; none for now.
    pub snapshot: Option<&'a str>,
    /// Whether the suite's security updates are taken.
    pub security: bool,
    /// The platforms, sorted.
    pub platforms: &'a [Platform],
    /// The packages asked for.
    pub roots: &'a [Root],
    /// The lock before.
    pub previous: Option<&'a LockedDebian>,
    /// What may move although the version in the lock before is still there.
    pub upgrade: &'a Upgrade,
}

/// A package that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Root {
    /// The package, or a virtual package that only one package provides.
    pub name: DebianName,
    /// Who asks: `base`, `interpreter` or `manifest`.
    pub required_by: String,
}

/// Locks the packages that `request` needs, from the user's registries `debian` and
/// `debian-security`, or from `debian-snapshot`.
///
/// # Errors
/// Returns [`DebianError`] when the archives cannot be had or believed, or have no set of packages that
/// answers the request.
pub async fn resolve_debian(
    context: &Context,
    client: &Client,
    request: &DebianRequest<'_>,
) -> Result<LockedDebian, DebianError> {
    resolve_debian_with(context, client, &Keyring::shipped(), request).await
}

/// As [`resolve_debian`], trusting the keys of `keyring` instead of Debian's.
///
/// # Errors
/// As [`resolve_debian`].
pub async fn resolve_debian_with(
    context: &Context,
    client: &Client,
    keyring: &Keyring,
    request: &DebianRequest<'_>,
) -> Result<LockedDebian, DebianError> {
    context.report(Event::StageStarted {
        stage: STAGE.to_owned(),
        total: None,
    });
    let reader = Reader {
        context,
        client,
        keyring,
        cache: Cache::new(&context.store),
        snapshot: request.snapshot.map(parse_snapshot).transpose()?,
    };
    let archives = archives(request)?;
    let archives = archives
        .into_iter()
        .map(|archive| reader.load(archive, request.platforms));
    // All of them to their end: which error is told must not depend on who was faster.
    let archives = future::join_all(archives).await;
    let archives: Vec<_> = archives.into_iter().collect::<Result<_, _>>()?;
    let locked = lock(&archives, request)?;
    context.report(Event::StageFinished {
        stage: STAGE.to_owned(),
    });
    Ok(locked)
}

fn lock(archives: &[Loaded], request: &DebianRequest<'_>) -> Result<LockedDebian, DebianError> {
    let mut packages = BTreeMap::new();
    for (at, platform) in request.platforms.iter().enumerate() {
        let indices = archives
            .iter()
            .map(|archive| &archive.indices[at])
            .collect();
        let universe = Universe::new(indices, *platform);
        let preferred = preferred(request, *platform);
        for chosen in solve(&universe, request.roots, &preferred)? {
            add(&mut packages, chosen, *platform, archives);
        }
    }
    let mut suites: Vec<_> = archives
        .iter()
        .map(|loaded| LockedSuite {
            name: loaded.codename.clone(),
            registry: loaded.archive.registry.clone(),
            date: loaded.date,
        })
        .collect();
    suites.sort_by(|left, right| left.name.cmp(&right.name));
    let packages = packages.into_values().map(|entry| LockedPackage {
        required_by: entry.required_by.into_iter().collect(),
        ..entry.package
    });
    Ok(LockedDebian {
        suites,
        packages: packages.collect(),
    })
}

/// Returns the versions that the lock before has for `platform` and that need not move.
fn preferred(request: &DebianRequest<'_>, platform: Platform) -> BTreeMap<String, String> {
    let locked = request.previous.map_or(&[][..], |lock| &lock.packages);
    locked
        .iter()
        .filter(|package| package.platforms.contains(&platform))
        .filter(|package| !request.upgrade.includes(package.name.as_str()))
        .map(|package| (package.name.to_string(), package.version.clone()))
        .collect()
}

/// What makes two packages of two platforms one.
type Identity = (DebianName, String, String, String);

struct Entry {
    package: LockedPackage,
    required_by: BTreeSet<String>,
}

fn add(
    packages: &mut BTreeMap<Identity, Entry>,
    chosen: Chosen,
    platform: Platform,
    archives: &[Loaded],
) {
    let Chosen {
        package,
        required_by,
    } = chosen;
    let version = package.version.to_string();
    let identity = (
        package.name.clone(),
        version.clone(),
        package.architecture.clone(),
        package.digest.hex(),
    );
    let entry = packages.entry(identity).or_insert_with(|| Entry {
        package: LockedPackage {
            name: package.name,
            version,
            architecture: package.architecture,
            platforms: Vec::new(),
            artifact: Artifact {
                origin: Origin::Registry(archives[package.archive].archive.registry.clone()),
                file: package.file,
                size: package.size,
                digest: package.digest,
            },
            required_by: Vec::new(),
        },
        required_by: BTreeSet::new(),
    });
    entry.package.platforms.push(platform);
    entry.required_by.extend(required_by);
}
