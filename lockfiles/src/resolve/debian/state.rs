//! A suite as it was when a lock was made: its signed text and the indices it vouches for.

use futures::future;
use url::Url;

use crate::base::{Context, Digest, Platform};
use crate::lock::LockedSuite;
use crate::net::{self, Client, NetError};
use crate::resolve::debian::DebianError;
use crate::resolve::debian::archive::{Archive, INRELEASE_LIMIT, Reader, parse_snapshot};
use crate::resolve::debian::cache::Cache;
use crate::resolve::debian::keyring::Keyring;
use crate::resolve::debian::packages;
use crate::resolve::debian::release::Release;

/// The files of a suite that say what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteState {
    /// The signed text.
    pub in_release: Vec<u8>,
    /// An index for each platform.
    pub indices: Vec<SuiteIndex>,
}

/// A packages index as the archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteIndex {
    /// Its path below the suite, `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// Its digest, as the signed text has it.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl SuiteIndex {
    /// Returns its path by hash, where archives keep it when another has taken its place.
    pub fn path_by_hash(&self) -> String {
        let directory = self.path.rsplit_once('/').map_or("", |(path, _)| path);
        format!("{directory}/by-hash/SHA256/{}", self.digest.hex())
    }
}

/// Returns the state of `suite` that has the lock's date: from the archive while that is its current
/// one, else from the snapshot archive, as of `snapshot` (`[debian] snapshot`) if there is one. What
/// the store keeps of the resolution is used.
///
/// # Errors
/// Returns why the last place that was asked does not have it, or cannot be believed.
pub async fn suite_state(
    context: &Context,
    client: &Client,
    suite: &LockedSuite,
    platforms: &[Platform],
    snapshot: Option<&str>,
) -> Result<SuiteState, DebianError> {
    let keyring = Keyring::shipped();
    let reader = Reader {
        context,
        client,
        keyring: &keyring,
        cache: Cache::new(&context.store),
        // What was valid then is what is wanted.
        snapshot: Some(suite.date),
    };
    let archive = Archive {
        registry: suite.registry.clone(),
        suite: suite.name.clone(),
    };
    let mut roots = vec![net::registry_url(context, &suite.registry)?];
    for date in snapshot
        .map(parse_snapshot)
        .transpose()?
        .into_iter()
        .chain([suite.date])
    {
        roots.push(net::snapshot_url(context, &suite.registry, date)?);
    }
    let mut failure = None;
    for root in &roots {
        match at(&reader, &archive, root, suite, platforms).await {
            Ok(state) => return Ok(state),
            // The first says most: the others are where nobody looked when the lock was made.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or(DebianError::Aborted))
}

async fn at(
    reader: &Reader<'_>,
    archive: &Archive,
    root: &Url,
    suite: &LockedSuite,
    platforms: &[Platform],
) -> Result<SuiteState, DebianError> {
    let suite_url = net::join(root, &format!("dists/{}", suite.name));
    let url = net::join(&suite_url, "InRelease");
    let (in_release, release) = release(reader, archive, &url, suite).await?;
    let indices = platforms.iter().map(|platform| {
        let packages = release.packages(*platform);
        let packages = packages.ok_or_else(|| DebianError::NoPlatform {
            suite: suite.name.clone(),
            platform: *platform,
            architectures: release.architectures.clone(),
        });
        let suite_url = &suite_url;
        async move {
            let wanted = packages?;
            let downloaded = packages::download(reader, suite_url, release.by_hash, &wanted);
            let (variant, bytes) = downloaded.await?;
            let file = net::shown(&net::join(suite_url, &variant.path));
            packages::check(&file, variant.listed, &bytes)?;
            Ok::<_, DebianError>(SuiteIndex {
                path: variant.path,
                digest: variant.listed.digest,
                bytes,
            })
        }
    });
    Ok(SuiteState {
        indices: future::try_join_all(indices).await?,
        in_release,
    })
}

/// Returns the signed text of the lock's date: the store has it, or `url` still does.
async fn release(
    reader: &Reader<'_>,
    archive: &Archive,
    url: &Url,
    suite: &LockedSuite,
) -> Result<(Vec<u8>, Release), DebianError> {
    if let Some(cached) = reader.cache.release(url)?
        && let Ok(release) = reader.verify(archive, url, &cached.body)
        && release.date == suite.date
    {
        return Ok((cached.body, release));
    }
    let bytes = reader.client.get(url, INRELEASE_LIMIT).await?;
    let release = reader.verify(archive, url, &bytes)?;
    if release.date != suite.date {
        // The archive has moved on: as if it had none.
        return Err(NetError::NotFound {
            url: net::shown(url),
        }
        .into());
    }
    Ok((bytes, release))
}
