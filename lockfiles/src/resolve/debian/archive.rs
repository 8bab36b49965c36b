//! Which archives are read, and what they hold.

use futures::future;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use url::Url;

use crate::base::{Context, Network, Platform, RegistryName};
use crate::net::{self, Client, NetError};
use crate::resolve::debian::cache::Cache;
use crate::resolve::debian::error::SECURITY;
use crate::resolve::debian::index::Index;
use crate::resolve::debian::keyring::Keyring;
use crate::resolve::debian::packages;
use crate::resolve::debian::release::Release;
use crate::resolve::debian::signature::{CLOCK_SKEW, signed_text};
use crate::resolve::debian::{DebianError, DebianRequest};

/// Suites that get no security updates of their own: what is uploaded is the update.
const ROLLING: [&str; 3] = ["sid", "unstable", "experimental"];

/// The largest `InRelease` taken. Those of Debian have 150 kB. Finding the end of a clear-signed text
/// costs the OpenPGP library time quadratic in its length, so this is not generous.
pub(super) const INRELEASE_LIMIT: u64 = 1024 * 1024;

/// One suite of one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    /// The registry's name.
    pub registry: RegistryName,
    /// The suite.
    pub suite: String,
}

/// An archive with everything a resolution needs of it.
pub(super) struct Loaded {
    /// The archive.
    pub archive: Archive,
    /// The suite's `Codename`, else the name it was asked by.
    pub codename: String,
    /// The suite's `Date`.
    pub date: Timestamp,
    /// An index for each platform asked for, in that order.
    pub indices: Vec<Index>,
}

/// What is needed to read archives.
pub(super) struct Reader<'a> {
    pub context: &'a Context,
    pub client: &'a Client,
    pub keyring: &'a Keyring,
    pub cache: Cache,
    /// The time as of which archives are read; none for now.
    pub snapshot: Option<Timestamp>,
}

/// Returns the archives that `request` is resolved from; of two with the same package the first counts.
///
/// The suite itself and its security updates, but not its `-updates`: what is there reaches the suite
/// at the next point release anyway, and each further suite is one more thing that moves between two
/// locks of the same manifest.
pub(super) fn archives(request: &DebianRequest<'_>) -> Result<Vec<Archive>, DebianError> {
    let suite = request.suite;
    let valid = suite.starts_with(|c: char| c.is_ascii_alphanumeric())
        && suite
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if !valid {
        return Err(DebianError::InvalidSuite {
            found: suite.to_owned(),
        });
    }
    let archive = |registry: &str, suite: String| Archive {
        registry: registry.parse().expect("a literal that follows the rule"),
        suite,
    };
    let mut archives = vec![archive("debian", suite.to_owned())];
    if request.security && !ROLLING.contains(&suite) {
        archives.push(archive("debian-security", format!("{suite}{SECURITY}")));
    }
    Ok(archives)
}

/// Reads `20261101T000000Z`.
pub(super) fn parse_snapshot(text: &str) -> Result<Timestamp, DebianError> {
    let invalid = || DebianError::InvalidSnapshot {
        found: text.to_owned(),
    };
    // One spelling only: it is part of a path.
    let digits = |byte: (usize, u8)| match byte.0 {
        8 => byte.1 == b'T',
        15 => byte.1 == b'Z',
        _ => byte.1.is_ascii_digit(),
    };
    if text.len() != 16 || !text.bytes().enumerate().all(digits) {
        return Err(invalid());
    }
    DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .ok()
        .and_then(|local| local.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
        .ok_or_else(invalid)
}

impl Reader<'_> {
    /// Reads `archive` for `platforms`.
    pub(super) async fn load(
        &self,
        archive: Archive,
        platforms: &[Platform],
    ) -> Result<Loaded, DebianError> {
        let (root, release) = self.find(&archive).await?;
        let suite_url = net::join(&root, &format!("dists/{}", archive.suite));
        let indices = platforms.iter().map(|platform| {
            let packages = release
                .packages(*platform)
                .ok_or_else(|| DebianError::NoPlatform {
                    suite: archive.suite.clone(),
                    platform: *platform,
                    architectures: release.architectures.clone(),
                });
            async {
                let wanted = packages?;
                packages::load(self, &suite_url, release.by_hash, wanted).await
            }
        });
        let indices = future::join_all(indices).await;
        Ok(Loaded {
            codename: release
                .codename
                .clone()
                .unwrap_or_else(|| archive.suite.clone()),
            date: release.date,
            archive,
            indices: indices.into_iter().collect::<Result<_, _>>()?,
        })
    }

    /// Returns where `archive` is and its `Release`.
    async fn find(&self, archive: &Archive) -> Result<(Url, Release), DebianError> {
        let Some(snapshot) = self.snapshot else {
            let root = net::registry_url(self.context, &archive.registry)?;
            let release = self.release(archive, &root).await?;
            return Ok((root, release));
        };
        let root = net::snapshot_url(self.context, &archive.registry, snapshot)?;
        let first = match self.release(archive, &root).await {
            Ok(release) => return Ok((root, release)),
            Err(error @ (DebianError::Net(_) | DebianError::UnknownSuite { .. })) => error,
            Err(error) => return Err(error),
        };
        let mut asked = vec![format!(
            "`{}` (registry `debian-snapshot`)",
            net::shown(&root)
        )];
        // Somebody without a way to the snapshot archive may have a mirror that stands still.
        if self.context.registries.contains_key(&archive.registry) {
            let root = net::registry_url(self.context, &archive.registry)?;
            match self.release(archive, &root).await {
                Ok(release) if release.date <= snapshot => return Ok((root, release)),
                Err(error) if !is_missing(&error) => return Err(error),
                _ => asked.push(format!(
                    "`{}` (registry `{}`)",
                    net::shown(&root),
                    archive.registry
                )),
            }
        }
        Err(DebianError::NoSnapshot {
            suite: archive.suite.clone(),
            snapshot,
            asked,
            source: Box::new(first),
        })
    }

    /// Returns the `Release` of `archive` below `root`, verified.
    async fn release(&self, archive: &Archive, root: &Url) -> Result<Release, DebianError> {
        let url = net::join(root, &format!("dists/{}/InRelease", archive.suite));
        let cached = self.cache.release(&url)?;
        let etag = cached.as_ref().and_then(|cached| cached.etag.clone());
        let answer = self
            .client
            .get_if_changed(&url, INRELEASE_LIMIT, etag.as_deref())
            .await;
        match (answer, cached) {
            (Ok(net::Conditional::Changed { body, etag }), _) => {
                let release = self.verify(archive, &url, &body)?;
                self.cache.keep_release(&url, &body, etag.as_deref())?;
                Ok(release)
            }
            (Ok(net::Conditional::Unchanged) | Err(NetError::Offline { .. }), Some(cached)) => {
                self.verify(archive, &url, &cached.body)
            }
            (Ok(net::Conditional::Unchanged), None) => Err(NetError::Status {
                url: net::shown(&url),
                status: 304,
                retry_after: None,
            }
            .into()),
            (Err(source @ NetError::NotFound { .. }), _) => Err(DebianError::UnknownSuite {
                suite: archive.suite.clone(),
                registry: archive.registry.to_string(),
                source,
            }),
            (Err(error), _) => Err(error.into()),
        }
    }

    pub(super) fn verify(
        &self,
        archive: &Archive,
        url: &Url,
        bytes: &[u8],
    ) -> Result<Release, DebianError> {
        let now = self.context.now;
        let file = net::shown(url);
        let own = self.context.keyrings.get(&archive.registry);
        let own = own.map(|file| Keyring::read(file)).transpose()?;
        let keyring = own.as_ref().unwrap_or(self.keyring);
        let text = signed_text(&file, bytes, keyring, now)?;
        let release = Release::parse(&text).map_err(|source| DebianError::Malformed {
            file: file.clone(),
            source,
        })?;
        let names = [&release.codename, &release.suite];
        if !names.contains(&&Some(archive.suite.clone())) {
            return Err(DebianError::WrongSuite {
                file,
                suite: archive.suite.clone(),
                found: release.codename.or(release.suite).unwrap_or_default(),
            });
        }
        if release.date > now + CLOCK_SKEW {
            return Err(DebianError::NotYetMade {
                file,
                date: release.date,
                now,
            });
        }
        // What was current at the time of a snapshot is what was asked for. Who works offline asks for
        // what is there; it was judged when it came.
        let judged_by = self.snapshot.map_or(now, |snapshot| snapshot.min(now));
        match release.valid_until {
            Some(valid_until)
                if valid_until < judged_by && self.context.network == Network::Online =>
            {
                Err(DebianError::Outdated {
                    file,
                    valid_until,
                    now: judged_by,
                })
            }
            _ => Ok(release),
        }
    }
}

fn is_missing(error: &DebianError) -> bool {
    matches!(
        error,
        DebianError::Net(_) | DebianError::UnknownSuite { .. }
    )
}
