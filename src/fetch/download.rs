//! One artifact, from the first place that has it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use envbox_lockfiles::base::{Context, Event};
use envbox_lockfiles::net::{Client, NetError, block_on, shown};
use envbox_lockfiles::resolve::python::{PythonError, WheelLocator};
use tokio::task::spawn_blocking;
use url::Url;

use crate::fetch::wanted::{Source, Wanted};
use crate::fetch::{FetchError, MissingArtifact};
use crate::store::{BlobSlot, BlobWriter, Store, StoreError};

/// What every download needs.
#[derive(Clone)]
pub(super) struct Downloader {
    pub(super) context: Context,
    pub(super) client: Client,
    /// For packages of conda channels.
    pub(super) channels: Client,
    pub(super) locator: Arc<WheelLocator>,
    pub(super) store: Store,
    /// Whether the mirror is known not to answer: then it is not asked again, artifact by artifact.
    pub(super) mirror_fails: Arc<AtomicBool>,
}

/// Why one place did not give the artifact.
enum Refusal {
    Net(NetError),
    /// The wrong bytes, or a store that does not take them.
    Store(StoreError),
}

impl From<NetError> for Refusal {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Downloader {
    /// Brings one artifact into the store.
    pub(super) async fn download(self, wanted: Wanted) -> Result<PathBuf, FetchError> {
        let (store, artifact) = (self.store.clone(), wanted.artifact.clone());
        // Waits for other processes that download the same, so it may take long.
        let slot = blocking(move || store.blob_slot(artifact.digest, artifact.size)).await?;
        let mut writer = match slot {
            BlobSlot::Present(path) => return Ok(path),
            BlobSlot::Missing(writer) => writer,
        };
        self.context.report(Event::DownloadStarted {
            file: wanted.artifact.file.clone(),
            size: wanted.artifact.size,
        });
        self.progress(&wanted, writer.written());
        let mut tried = Vec::new();
        let mut sources = wanted.sources(&self.context)?.into_iter().peekable();
        loop {
            let source = sources
                .next()
                .expect("there is at least one, and we stop at the last");
            if matches!(source, Source::Mirrored(_))
                && sources.peek().is_some()
                && self.mirror_fails.load(Ordering::Relaxed)
            {
                continue;
            }
            let url = self.url_of(&wanted, &source).await?;
            let refusal;
            (writer, refusal) = match self.fill(&wanted, &url, writer).await {
                (_, Ok(path)) => {
                    self.context.report(Event::DownloadFinished {
                        file: wanted.artifact.file.clone(),
                        digest: wanted.artifact.digest,
                    });
                    return Ok(path);
                }
                (writer, Err(refusal)) => (writer, refusal),
            };
            if sources.peek().is_none() || !refusal.leads_on(&source) {
                return Err(refusal.explain(&wanted, &source, &url, tried));
            }
            if let (Source::Mirrored(_), Refusal::Net(error)) = (&source, &refusal) {
                self.note_mirror(error);
            }
            tried.push(shown(&url));
        }
    }

    /// Remembers a mirror that does not answer, and says so once.
    fn note_mirror(&self, error: &NetError) {
        let silent = !matches!(error, NetError::NotFound { .. } | NetError::Offline { .. });
        if silent && !self.mirror_fails.swap(true, Ordering::Relaxed) {
            let message = format!("the mirror is not asked any more: {error}");
            self.context.report(Event::Warning { message });
        }
    }

    async fn url_of(&self, wanted: &Wanted, source: &Source) -> Result<Url, FetchError> {
        let url = match source.clone() {
            Source::At(url) | Source::Mirrored(url) => return Ok(url),
            Source::Noted(registry, project) => {
                self.locate(wanted, async move |locator, file| {
                    locator.locate(&registry, &project, &file).await
                })
                .await
            }
            Source::Listed(registry, project) => {
                self.locate(wanted, async move |locator, file| {
                    locator.locate_afresh(&registry, &project, &file).await
                })
                .await
            }
        };
        url.map_err(|source| FetchError::Locate {
            artifact: Box::new(MissingArtifact::of(&wanted.artifact)),
            source: Box::new(source),
        })
    }

    /// Asks uv's index client, whose futures cannot leave their thread.
    async fn locate(
        &self,
        wanted: &Wanted,
        ask: impl AsyncFnOnce(Arc<WheelLocator>, String) -> Result<Url, PythonError> + Send + 'static,
    ) -> Result<Url, PythonError> {
        let (locator, file) = (Arc::clone(&self.locator), wanted.artifact.file.clone());
        blocking(move || block_on(ask(locator, file))).await
    }

    /// Writes what `url` gives. Where the beginning came from an earlier writer and the whole is
    /// wrong, the beginning may be to blame, so it is fetched again.
    async fn fill(
        &self,
        wanted: &Wanted,
        url: &Url,
        mut writer: BlobWriter,
    ) -> (BlobWriter, Result<PathBuf, Refusal>) {
        loop {
            let resumed = writer.is_resumed();
            if let Err(refusal) = self.pour(wanted, url, &mut writer).await {
                match refusal {
                    Refusal::Store(StoreError::WrongSize { .. }) if resumed => {}
                    refusal => return (writer, Err(refusal)),
                }
            } else {
                let finished;
                // Waits for the disk.
                (writer, finished) = blocking(move || {
                    let finished = writer.finish();
                    (writer, finished)
                })
                .await;
                match finished {
                    Err(StoreError::WrongDigest { .. }) if resumed => {}
                    finished => return (writer, finished.map_err(Refusal::Store)),
                }
            }
            if let Err(error) = writer.restart() {
                return (writer, Err(error.into()));
            }
        }
    }

    async fn pour(
        &self,
        wanted: &Wanted,
        url: &Url,
        writer: &mut BlobWriter,
    ) -> Result<(), Refusal> {
        let size = wanted.artifact.size;
        let client = match wanted.is_of_channel() {
            true => &self.channels,
            false => &self.client,
        };
        if writer.written() == size {
            return Ok(());
        }
        let mut body = match client.open(url, writer.written()).await {
            Err(NetError::Range { .. }) => {
                writer.restart()?;
                client.open(url, 0).await?
            }
            other => other?,
        };
        // Sooner said than after the last of many bytes.
        if let Some(found) = body.announced()
            && found != size
        {
            writer.restart()?;
            return Err(Refusal::Store(StoreError::WrongSize {
                expected: size,
                found,
            }));
        }
        while let Some(bytes) = body.chunk().await? {
            writer.write(&bytes)?;
            self.progress(wanted, bytes.len() as u64);
        }
        Ok(())
    }

    fn progress(&self, wanted: &Wanted, bytes: u64) {
        if bytes > 0 {
            self.context.report(Event::DownloadProgress {
                file: wanted.artifact.file.clone(),
                bytes,
            });
        }
    }
}

impl Refusal {
    /// Says whether the next place is worth a look after `source` refused. A registry that is down
    /// is said to be down; but an old note may be wrong in any way.
    fn leads_on(&self, source: &Source) -> bool {
        match self {
            Self::Net(NetError::NotFound { .. }) => true,
            // The registry is there still.
            Self::Net(_) if matches!(source, Source::Mirrored(_)) => true,
            Self::Net(NetError::Offline { .. }) => false,
            Self::Net(_)
            | Self::Store(StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }) => {
                matches!(source, Source::Noted(..))
            }
            Self::Store(_) => false,
        }
    }

    fn explain(
        self,
        wanted: &Wanted,
        source: &Source,
        url: &Url,
        tried: Vec<String>,
    ) -> FetchError {
        let artifact = Box::new(MissingArtifact::of(&wanted.artifact));
        let mirrored = matches!(source, Source::Mirrored(_));
        match self {
            Self::Store(
                source @ (StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }),
            ) if mirrored => FetchError::Mirrored {
                artifact,
                url: shown(url),
                source,
            },
            Self::Net(source) => FetchError::Download {
                artifact,
                tried,
                source,
            },
            Self::Store(
                source @ (StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }),
            ) => FetchError::Integrity {
                artifact,
                url: shown(url),
                source,
            },
            Self::Store(source) => source.into(),
        }
    }
}

/// Runs `work` where waiting holds up nobody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
