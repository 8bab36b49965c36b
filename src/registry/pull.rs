//! A manifest, the choice of a platform, and blobs into the store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, Event, Platform};
use envbox_lockfiles::net::{Client, Method, Reply, Request, block_on};
use tokio::task::{JoinSet, spawn_blocking};

use crate::image::{DOCUMENT_LIMIT, Descriptor, ImageConfig, ImageManifest};
use crate::registry::manifest::{choose, describe, fetch_manifest};
use crate::registry::session::{Session, Task};
use crate::registry::{Access, ImageName, RegistryError};
use crate::store::{BlobSlot, BlobWriter, Object, Store, StoreError};

/// The name of the stage in events.
const STAGE: &str = "pull";

/// How many blobs are received side by side; skopeo takes six.
const DOWNLOADS: usize = 6;

/// A connection that brought this much was worth making: its loss does not count against the
/// attempts before it.
const PROGRESS: u64 = 1024 * 1024;

/// An image of one platform in the store, where it is in use as long as this lives.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image manifest, by its digest.
    pub reference: ImageName,
    /// The index that lists the image and its bytes, where the reference names one.
    pub index: Option<(Descriptor, Vec<u8>)>,
    /// The image manifest's descriptor.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub manifest_bytes: Vec<u8>,
    /// The image manifest.
    pub manifest: ImageManifest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The layers as the registry has them, lowest first.
    pub layers: Vec<(Descriptor, PathBuf)>,
    /// The store.
    pub store: Store,
}

impl Pulled {
    /// Reads the config.
    ///
    /// # Errors
    /// Returns [`RegistryError::Document`].
    pub fn config(&self) -> Result<ImageConfig, RegistryError> {
        ImageConfig::parse(&self.config_bytes).map_err(|source| RegistryError::Document {
            what: format!("the config of `{}`", self.reference),
            source,
        })
    }
}

/// Brings the image that `reference` names for `platform` into `store`. One that is named by its
/// digest and is there already needs no network.
///
/// # Errors
/// Returns [`RegistryError`]; blobs that came by then, whole or in part, stay for the next time.
pub fn pull(
    context: &Context,
    reference: &ImageName,
    platform: Platform,
    store: &Store,
) -> Result<Pulled, RegistryError> {
    let client = Client::new(context).map_err(RegistryError::Net)?;
    block_on(pull_with(&client, context, reference, platform, store))
}

/// Does what [`pull`] does with a client of the caller's.
pub(super) async fn pull_with(
    client: &Client,
    context: &Context,
    reference: &ImageName,
    platform: Platform,
    store: &Store,
) -> Result<Pulled, RegistryError> {
    let puller = Puller {
        context: context.clone(),
        session: Session::open(context, client, reference, Access::Pull, &[])?,
        store: store.clone(),
    };
    let (mut descriptor, mut bytes) = puller
        .manifest(&reference.manifest(), reference.digest())
        .await?;
    let mut index = None;
    if descriptor.media_type.is_index() {
        let chosen = choose(&puller.task(&descriptor), &bytes, platform)?;
        index = Some((descriptor, bytes));
        (descriptor, bytes) = puller
            .manifest(&chosen.digest.to_string(), Some(chosen.digest))
            .await?;
    }
    let task = puller.task(&descriptor);
    if !descriptor.media_type.is_manifest() {
        return Err(RegistryError::MediaType {
            what: task.what,
            found: descriptor.media_type.to_string(),
        });
    }
    let manifest = ImageManifest::parse(&bytes).map_err(|source| RegistryError::Document {
        what: task.what.clone(),
        source,
    })?;
    if manifest.config.size > DOCUMENT_LIMIT {
        return Err(RegistryError::TooLarge {
            what: puller.session.task("pull", "the config").what,
            size: manifest.config.size,
            limit: DOCUMENT_LIMIT,
        });
    }
    puller.blobs(&manifest).await?;
    let config = store.place(manifest.config.digest);
    Ok(Pulled {
        reference: reference.with_digest(descriptor.digest),
        index,
        config_bytes: envbox_lockfiles::base::fs::read(&config)?,
        layers: manifest
            .layers
            .iter()
            .map(|layer| (layer.clone(), store.place(layer.digest)))
            .collect(),
        descriptor,
        manifest_bytes: bytes,
        manifest,
        store: store.clone(),
    })
}

/// Brings those of `blobs` into `store` that the repository of `reference` has, whatever manifests
/// there are. Returns how many it does not have.
///
/// # Errors
/// As [`pull`].
pub fn pull_blobs(
    context: &Context,
    reference: &ImageName,
    blobs: Vec<Descriptor>,
    store: &Store,
) -> Result<usize, RegistryError> {
    let client = Client::new(context).map_err(RegistryError::Net)?;
    block_on(pull_blobs_with(&client, context, reference, blobs, store))
}

/// Does what [`pull_blobs`] does with a client of the caller's.
pub(super) async fn pull_blobs_with(
    client: &Client,
    context: &Context,
    reference: &ImageName,
    blobs: Vec<Descriptor>,
    store: &Store,
) -> Result<usize, RegistryError> {
    let puller = Puller {
        context: context.clone(),
        session: Session::open(context, client, reference, Access::Pull, &[])?,
        store: store.clone(),
    };
    puller.bring(blobs, Absent::Passed).await
}

/// What becomes of a blob that the registry does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// It is an error.
    Refused,
    /// It is passed by.
    Passed,
}

/// Brings things of one repository into a store.
#[derive(Clone)]
struct Puller {
    context: Context,
    session: Session,
    store: Store,
}

impl Puller {
    fn task(&self, manifest: &Descriptor) -> Task {
        let what = format!("manifest {}", manifest.digest);
        self.session.task("pull", &what)
    }

    /// Returns a manifest, from the store where that has it, and keeps it there.
    async fn manifest(
        &self,
        name: &str,
        digest: Option<Digest>,
    ) -> Result<(Descriptor, Vec<u8>), RegistryError> {
        if let Some(digest) = digest {
            self.store.hold([Object::Blob(digest)])?;
            if let Some(path) = self.store.blob(&digest)
                && let Ok(bytes) = std::fs::read(&path)
                && Digest::of(&bytes) == digest
            {
                let task = self.session.task("pull", &format!("manifest {digest}"));
                return Ok((describe(&task, None, &bytes)?, bytes));
            }
        }
        let (descriptor, bytes) = fetch_manifest(&self.session, name, digest).await?;
        let (store, described, kept) = (self.store.clone(), descriptor.clone(), bytes.clone());
        blocking(move || keep(&store, &described, &kept)).await?;
        Ok((descriptor, bytes))
    }

    /// Brings the config and the layers into the store.
    async fn blobs(&self, manifest: &ImageManifest) -> Result<(), RegistryError> {
        let blobs = manifest.layers.iter().chain([&manifest.config]);
        self.bring(blobs.cloned().collect(), Absent::Refused)
            .await
            .map(drop)
    }

    /// Brings blobs into the store. Returns how many the registry does not have.
    async fn bring(&self, blobs: Vec<Descriptor>, absent: Absent) -> Result<usize, RegistryError> {
        let missing = blobs.into_iter().map(|blob| (blob.digest, blob));
        let missing: BTreeMap<Digest, Descriptor> = missing.collect();
        self.store.hold(missing.keys().copied().map(Object::Blob))?;
        let mut missing: Vec<Descriptor> = missing.into_values().collect();
        missing.retain(|blob| self.store.blob(&blob.digest).is_none());
        if missing.is_empty() {
            return Ok(0);
        }
        let mut passed = 0;
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        self.context.report(Event::StageStarted {
            stage: STAGE.to_owned(),
            total: Some(missing.len() as u64),
        });
        let mut queue = missing.into_iter();
        // Dropping the set ends all that are under way.
        let mut running = JoinSet::new();
        loop {
            while running.len() < DOWNLOADS
                && let Some(blob) = queue.next()
            {
                running.spawn(self.clone().blob(blob));
            }
            match running.join_next().await {
                None => break,
                Some(Ok(Err(error))) if absent == Absent::Passed && error.is_absent() => {
                    passed += 1
                }
                Some(Ok(result)) => result?,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        self.context.report(Event::StageFinished {
            stage: STAGE.to_owned(),
        });
        Ok(passed)
    }

    /// Brings one blob into the store.
    async fn blob(self, blob: Descriptor) -> Result<(), RegistryError> {
        let task = self.session.task("pull", &format!("blob {}", blob.digest));
        let (store, digest, size) = (self.store.clone(), blob.digest, blob.size);
        // Waits for other processes that pull the same, so it may take long.
        let slot = blocking(move || store.blob_slot(digest, size)).await?;
        let mut writer = match slot {
            BlobSlot::Present(_) => return Ok(()),
            BlobSlot::Missing(writer) => writer,
        };
        let file = digest.to_string();
        self.context.report(Event::DownloadStarted {
            file: file.clone(),
            size,
        });
        self.progress(&file, writer.written());
        loop {
            let resumed = writer.is_resumed();
            let finished;
            (writer, finished) = match self.fill(&task, &blob, &mut writer).await {
                Err(error) => (writer, Err(error)),
                // Waits for the disk.
                Ok(()) => {
                    blocking(move || {
                        let finished = writer.finish().map_err(RegistryError::Store);
                        (writer, finished.map(|_| ()))
                    })
                    .await
                }
            };
            match finished {
                Ok(()) => break,
                // What an earlier call left may be to blame.
                Err(RegistryError::Store(
                    StoreError::WrongSize { .. } | StoreError::WrongDigest { .. },
                )) if resumed => writer.restart()?,
                Err(RegistryError::Store(
                    source @ (StoreError::WrongSize { .. } | StoreError::WrongDigest { .. }),
                )) => {
                    let what = task.what;
                    return Err(RegistryError::Integrity { what, source });
                }
                Err(error) => return Err(error),
            }
        }
        self.context
            .report(Event::DownloadFinished { file, digest });
        Ok(())
    }

    /// Writes the bytes that are missing. What breaks off is taken up again where it ended.
    async fn fill(
        &self,
        task: &Task,
        blob: &Descriptor,
        writer: &mut BlobWriter,
    ) -> Result<(), RegistryError> {
        let mut backoff = self.session.backoff();
        while writer.written() < blob.size {
            let before = writer.written();
            match self.pour(task, blob, writer).await {
                Ok(()) => return Ok(()),
                Err(RegistryError::Exchange { source, .. }) => {
                    if writer.written() >= before + PROGRESS {
                        backoff.reset();
                    }
                    backoff.pause(source).await.map_err(|e| task.failed(e))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what one connection gives.
    async fn pour(
        &self,
        task: &Task,
        blob: &Descriptor,
        writer: &mut BlobWriter,
    ) -> Result<(), RegistryError> {
        let mut reply = self.request(task, blob, writer.written()).await?;
        if reply.status() == 416 {
            writer.restart()?;
            reply = self.request(task, blob, 0).await?;
        }
        let mut reply = self.session.expect(task, reply, &[200, 206]).await?;
        if reply.offset() != writer.written() {
            if reply.offset() != 0 {
                return Err(task.broken("another part than was asked for"));
            }
            writer.restart()?;
        }
        // Sooner said than after the last of many bytes.
        if let Some(found) = reply.announced()
            && found != blob.size
        {
            writer.restart()?;
            let expected = blob.size;
            return Err(StoreError::WrongSize { expected, found }.into());
        }
        let file = blob.digest.to_string();
        while let Some(bytes) = reply.chunk().await.map_err(|error| task.failed(error))? {
            writer.write(&bytes)?;
            self.progress(&file, bytes.len() as u64);
        }
        Ok(())
    }

    async fn request(
        &self,
        task: &Task,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<Reply, RegistryError> {
        let url = self.session.url(&format!("blobs/{}", blob.digest));
        let mut request = Request::new(Method::GET, url);
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        self.session.send(task, request).await
    }

    fn progress(&self, file: &str, bytes: u64) {
        if bytes > 0 {
            self.context.report(Event::DownloadProgress {
                file: file.to_owned(),
                bytes,
            });
        }
    }
}

/// Puts a manifest into the store.
fn keep(store: &Store, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), StoreError> {
    if let BlobSlot::Missing(mut writer) = store.blob_slot(descriptor.digest, descriptor.size)? {
        writer.restart()?;
        writer.write(bytes)?;
        writer.finish()?;
    }
    Ok(())
}

/// Runs `work` where waiting holds up nobody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
