//! All artifacts of a lock.

use std::path::PathBuf;
use std::sync::Arc;

use envbox_lockfiles::base::{Context, Digest, Event, Mirror, Network, Platform, PythonName};
use envbox_lockfiles::lock::{Artifact, Lockfile, Origin};
use envbox_lockfiles::net::{Client, block_on};
use envbox_lockfiles::resolve::python::WheelLocator;
use tokio::task::JoinSet;

use crate::fetch::download::Downloader;
use crate::fetch::wanted::{Wanted, wanted};
use crate::fetch::{FetchError, MissingArtifact};
use crate::store::{Object, Store};

/// The name of the stage in events.
const STAGE: &str = "fetch";

/// How many artifacts are downloaded side by side. They wait for the network, not for processors.
const DOWNLOADS: usize = 16;

/// A lock whose every artifact for one platform is in the store, verified and in use.
#[derive(Debug, Clone)]
pub struct Closure {
    lock: Lockfile,
    platform: Platform,
    store: Store,
}

impl Closure {
    /// Returns the lock.
    pub fn lock(&self) -> &Lockfile {
        &self.lock
    }

    /// Returns the platform.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the file with the bytes of `artifact`, which must be one of the platform's.
    pub fn path(&self, artifact: &Artifact) -> PathBuf {
        self.store.place(artifact.digest)
    }
}

/// Brings everything that `lock` has for `platform` into `store`.
///
/// # Errors
/// Returns [`FetchError`] for the first artifact that cannot be had; what was downloaded of the
/// others stays and is used the next time. While the network is off, names all that are missing.
pub fn fetch(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<Closure, FetchError> {
    let client = Client::new(context).map_err(FetchError::Net)?;
    block_on(fetch_with(&client, context, lock, platform, store))
}

/// Brings the source of a wheel of `project` into `store` and returns its file.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_source(
    context: &Context,
    project: &PythonName,
    source: &Artifact,
    store: &Store,
) -> Result<PathBuf, FetchError> {
    store.hold([Object::Blob(source.digest)])?;
    let client = Client::new(context).map_err(FetchError::Net)?;
    let downloader = downloader(context, &client, &client, store);
    block_on(downloader.download(Wanted::of_project(source, project)))
}

/// Brings what the user's mirror has of `artifacts` into `store`, if the mirror is a directory. What it
/// does not give is left for others to get.
///
/// # Errors
/// Returns [`FetchError`] when the mirror has other bytes in its place, or the store cannot be written.
pub fn fetch_mirrored(
    context: &Context,
    artifacts: &[Artifact],
    store: &Store,
) -> Result<(), FetchError> {
    let Some(Mirror::Directory(_)) = &context.mirror else {
        return Ok(());
    };
    let missing = artifacts
        .iter()
        .filter(|artifact| store.blob(&artifact.digest).is_none());
    let missing: Vec<Wanted> = missing.map(Wanted::of_mirror).collect();
    if missing.is_empty() {
        return Ok(());
    }
    store.hold(
        missing
            .iter()
            .map(|wanted| Object::Blob(wanted.artifact.digest)),
    )?;
    let client = Client::new(context).map_err(FetchError::Net)?;
    let downloader = downloader(context, &client, &client, store);
    block_on(async {
        for wanted in missing {
            match downloader.clone().download(wanted).await {
                Ok(_) | Err(FetchError::Download { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}

/// Brings what a URL names into `store` and returns its file. `name` is what messages call it.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_url(
    context: &Context,
    name: &str,
    url: &str,
    (digest, size): (Digest, u64),
    store: &Store,
) -> Result<PathBuf, FetchError> {
    let artifact = Artifact {
        file: name.to_owned(),
        size,
        digest,
        origin: Origin::Url(url.to_owned()),
    };
    store.hold([Object::Blob(digest)])?;
    if let Some(path) = store.blob(&digest) {
        return Ok(path);
    }
    let client = Client::new(context).map_err(FetchError::Net)?;
    let downloader = downloader(context, &client, &client, store);
    block_on(downloader.download(Wanted::at_url(artifact)))
}

fn downloader(context: &Context, client: &Client, channels: &Client, store: &Store) -> Downloader {
    Downloader {
        context: context.clone(),
        client: client.clone(),
        channels: channels.clone(),
        locator: Arc::new(WheelLocator::new(context)),
        mirror_fails: Arc::default(),
        store: store.clone(),
    }
}

/// Does what [`fetch`] does with a client of the caller's.
pub(super) async fn fetch_with(
    client: &Client,
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<Closure, FetchError> {
    let mut missing = wanted(lock, platform)?;
    let objects = missing
        .iter()
        .map(|wanted| Object::Blob(wanted.artifact.digest));
    store.hold(objects)?;
    missing.retain(|wanted| store.blob(&wanted.artifact.digest).is_none());
    if !missing.is_empty() {
        context.report(Event::StageStarted {
            stage: STAGE.to_owned(),
            total: Some(missing.len() as u64),
        });
        // Each of its files would be as absent as one that it never had.
        let mirror = context.mirror.as_ref().and_then(Mirror::path);
        if let Some(mirror) = mirror.filter(|mirror| !mirror.is_dir()) {
            let message = format!("the mirror `{}` is not there", mirror.display());
            context.report(Event::Warning { message });
        }
        // Nobody else's packages fail of a file of theirs that cannot be read.
        let channels = match missing.iter().any(Wanted::is_of_channel) {
            true => client.for_channels(context).map_err(FetchError::Net)?,
            false => client.clone(),
        };
        let downloader = downloader(context, client, &channels, store);
        download_all(downloader, missing).await?;
        context.report(Event::StageFinished {
            stage: STAGE.to_owned(),
        });
    }
    Ok(Closure {
        lock: lock.clone(),
        platform,
        store: store.clone(),
    })
}

async fn download_all(downloader: Downloader, missing: Vec<Wanted>) -> Result<(), FetchError> {
    let offline = downloader.context.network == Network::Offline;
    let mut queue = missing.into_iter();
    let mut absent = Vec::new();
    // Dropping the set ends all that are under way.
    let mut running = JoinSet::new();
    loop {
        while running.len() < DOWNLOADS
            && let Some(wanted) = queue.next()
        {
            let artifact = MissingArtifact::of(&wanted.artifact);
            let download = downloader.clone().download(wanted);
            running.spawn(async { (artifact, download.await) });
        }
        match running.join_next().await {
            None => break,
            Some(Ok((_, Ok(_)))) => {}
            // Files of a local mirror can still be had, and the user wants the whole list.
            Some(Ok((artifact, Err(error)))) if offline && error.is_offline() => {
                absent.push(artifact);
            }
            Some(Ok((_, Err(error)))) => return Err(error),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    absent.sort_by(|a, b| (&a.origin, &a.file).cmp(&(&b.origin, &b.file)));
    Err(FetchError::Offline { missing: absent })
}
