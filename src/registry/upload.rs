//! One blob into a registry (distribution-spec, "Pushing blobs").
//!
//! A file goes out as one `PATCH`, as docker sends it. When the connection is lost the registry is
//! asked how much it has, and the rest follows. Docker's own registry cannot answer that (2.8 keeps
//! the beginning, but takes the upload for damaged), so with it a blob begins again. Where a proxy
//! refuses that much at once, it goes in pieces. What fits into one piece goes with the `PUT` that
//! ends every upload.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envbox_lockfiles::base::{Context, Event};
use envbox_lockfiles::net::{Backoff, FilePart, Method, Payload, Reply, Request, Sent};
use url::Url;

use crate::image::Descriptor;
use crate::registry::RegistryError;
use crate::registry::session::{Session, Task, patience};

/// The size of a piece where the whole is refused; some registries take no more.
const PIECE: u64 = 4 * 1024 * 1024;

/// How often an upload may begin again from its first byte.
const RESTARTS: u32 = 3;

/// Where the bytes of a blob are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// In a file.
    File(PathBuf),
    /// Here; for small ones.
    Bytes(Vec<u8>),
}

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was there.
    Present,
    /// It was in another repository of the registry.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// Sends blobs to one repository.
#[derive(Clone)]
pub(super) struct Uploader {
    pub(super) context: Context,
    pub(super) session: Session,
    /// Other repositories that may have a blob.
    pub(super) mount_from: Vec<String>,
    /// The most that is sent with one request.
    pub(super) at_once: u64,
}

/// An upload under way.
struct Upload<'a> {
    uploader: &'a Uploader,
    blob: &'a Descriptor,
    source: &'a BlobSource,
    task: Task,
    /// Where the next request goes.
    location: Url,
    /// How many bytes the registry has.
    offset: u64,
    /// The most that is sent with one request.
    piece: u64,
    /// The least that the registry wants with each but the last.
    least: u64,
    restarts: u32,
    sent: Sent,
}

/// Why a request did not bring an upload forward.
enum Setback {
    /// Another try may.
    Passing(RegistryError),
    /// The registry and we do not agree on where the upload is.
    Lost(RegistryError),
    /// The request was too large.
    TooLarge(RegistryError),
    /// Nothing will.
    Final(RegistryError),
}

impl Uploader {
    /// Brings a blob into the repository unless it is there.
    pub(super) async fn upload(
        &self,
        blob: &Descriptor,
        source: &BlobSource,
    ) -> Result<Outcome, RegistryError> {
        let task = self.session.task("push", &format!("blob {}", blob.digest));
        if self.is_there(&task, blob).await? {
            return Ok(Outcome::Present);
        }
        let begun = match self.mount(&task, blob).await? {
            None => return Ok(Outcome::Mounted),
            Some(begun) => begun,
        };
        check_size(&task, blob, source)?;
        let file = blob.digest.to_string();
        self.context.report(Event::UploadStarted {
            file: file.clone(),
            size: blob.size,
        });
        let location = self.location(&task, &begun)?;
        let least = begun.header("oci-chunk-min-length");
        let mut upload = Upload {
            uploader: self,
            blob,
            source,
            location,
            offset: 0,
            piece: self.at_once,
            least: least.and_then(|text| text.parse().ok()).unwrap_or(0),
            restarts: 0,
            sent: self.progress(&file),
            task,
        };
        upload.run().await?;
        self.context.report(Event::UploadFinished {
            file,
            digest: blob.digest,
        });
        Ok(Outcome::Uploaded)
    }

    async fn is_there(&self, task: &Task, blob: &Descriptor) -> Result<bool, RegistryError> {
        let url = self.session.url(&format!("blobs/{}", blob.digest));
        let reply = self.session.exchange(task, Request::new(Method::HEAD, url));
        let reply = reply.await?;
        if reply.status() == 404 {
            return Ok(false);
        }
        let reply = self.session.expect(task, reply, &[200]).await?;
        self.session.confirm(task, &reply, blob.digest)?;
        Ok(true)
    }

    /// Begins an upload, or makes it unnecessary: then there is no answer to go on from.
    async fn mount(&self, task: &Task, blob: &Descriptor) -> Result<Option<Reply>, RegistryError> {
        let digest = blob.digest.to_string();
        let mut begun = None;
        for from in &self.mount_from {
            let query = [("mount", digest.as_str()), ("from", from.as_str())];
            // What does not have the blob begins an upload instead.
            let superfluous = match self.begin(task, &query).await {
                Ok(reply) if reply.status() == 201 => {
                    self.cancel(task, begun).await;
                    return Ok(None);
                }
                Ok(reply) => begun.replace(reply),
                Err(error @ RegistryError::Exchange { .. }) => return Err(error),
                // A repository that may not be read has nothing for us, no more than that.
                Err(_) => None,
            };
            self.cancel(task, superfluous).await;
        }
        match begun {
            None => self.begin(task, &[]).await.map(Some),
            begun => Ok(begun),
        }
    }

    async fn begin(&self, task: &Task, query: &[(&str, &str)]) -> Result<Reply, RegistryError> {
        let mut url = self.session.url("blobs/uploads/");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let reply = self.session.exchange(task, Request::new(Method::POST, url));
        let expected: &[u16] = if query.is_empty() {
            &[202]
        } else {
            &[201, 202]
        };
        self.session.expect(task, reply.await?, expected).await
    }

    /// Ends an upload that nobody needs. A registry that keeps it sweeps it up later.
    async fn cancel(&self, task: &Task, begun: Option<Reply>) {
        if let Some(url) = begun.and_then(|begun| self.session.location(&begun)) {
            drop(
                self.session
                    .send(task, Request::new(Method::DELETE, url))
                    .await,
            );
        }
    }

    fn location(&self, task: &Task, reply: &Reply) -> Result<Url, RegistryError> {
        let location = self.session.location(reply);
        location.ok_or_else(|| task.broken("no place for the upload"))
    }

    /// Returns what reports bytes, those sent again once.
    fn progress(&self, file: &str) -> Sent {
        let (context, file) = (self.context.clone(), file.to_owned());
        let reported = AtomicU64::new(0);
        Arc::new(move |sent| {
            let before = reported.fetch_max(sent, Ordering::Relaxed);
            if sent > before {
                context.report(Event::UploadProgress {
                    file: file.clone(),
                    bytes: sent - before,
                });
            }
        })
    }
}

impl Upload<'_> {
    async fn run(&mut self) -> Result<(), RegistryError> {
        let mut backoff = self.uploader.session.backoff();
        loop {
            let before = self.offset;
            let ends = self.offset == self.blob.size || self.blob.size <= self.piece.min(PIECE);
            let step = if ends {
                self.end().await
            } else {
                self.send_piece().await
            };
            match step {
                Ok(()) if ends => return Ok(()),
                Ok(()) => backoff.reset(),
                Err(Setback::Passing(error)) => {
                    self.wait(&mut backoff, error).await?;
                    if self.catch_up().await? {
                        return Ok(());
                    }
                    if self.offset > before {
                        backoff.reset();
                    }
                }
                Err(Setback::Lost(error)) => self.restart_after(error).await?,
                Err(Setback::TooLarge(error)) => {
                    let smaller = PIECE.max(self.least);
                    if self.piece <= smaller {
                        return Err(error);
                    }
                    self.piece = smaller;
                    self.restart().await?;
                }
                Err(Setback::Final(error)) => return Err(error),
            }
        }
    }

    /// Sends the next piece.
    async fn send_piece(&mut self) -> Result<(), Setback> {
        let length = (self.blob.size - self.offset).min(self.piece.max(self.least));
        let end = self.offset + length;
        let request = Request::new(Method::PATCH, self.location.clone())
            .header("content-type", "application/octet-stream")
            .header("content-range", format!("{}-{}", self.offset, end - 1));
        let reply = self.put(request, length).await?;
        let reply = self.judge(reply, 202).await?;
        let location = self.uploader.location(&self.task, &reply);
        self.location = location.map_err(Setback::Final)?;
        let has = reply.header("range").map_or(Some(end), range_end);
        match has {
            Some(has) if has > self.offset && has <= end => {
                self.offset = has;
                Ok(())
            }
            _ => Err(Setback::Lost(self.task.broken("a range that was not sent"))),
        }
    }

    /// Says that this was all; sends all where that is little.
    async fn end(&mut self) -> Result<(), Setback> {
        let digest = self.blob.digest;
        let mut url = self.location.clone();
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let mut request = Request::new(Method::PUT, url);
        request.patience = patience(self.blob.size);
        let rest = self.blob.size - self.offset;
        if rest > 0 {
            request = request.header("content-type", "application/octet-stream");
        }
        let reply = self.put(request, rest).await?;
        let reply = self.judge(reply, 201).await?;
        let confirmed = self.uploader.session.confirm(&self.task, &reply, digest);
        confirmed.map_err(Setback::Final)
    }

    /// Sends a request with the next `length` bytes.
    async fn put(&self, request: Request, length: u64) -> Result<Reply, Setback> {
        let payload = match self.source {
            _ if length == 0 => Payload::Empty,
            BlobSource::Bytes(bytes) => {
                let begin = self.offset as usize;
                Payload::Bytes(bytes[begin..begin + length as usize].to_vec())
            }
            BlobSource::File(path) => Payload::File(FilePart {
                path: path.clone(),
                offset: self.offset,
                length,
                sent: Arc::clone(&self.sent),
            }),
        };
        let sent = self
            .uploader
            .session
            .send(&self.task, request.payload(payload));
        let reply = sent.await.map_err(|error| match error {
            error @ RegistryError::Exchange { .. } => Setback::Passing(error),
            error => Setback::Final(error),
        })?;
        (self.sent)(self.offset + length);
        Ok(reply)
    }

    async fn judge(&self, reply: Reply, expected: u16) -> Result<Reply, Setback> {
        let status = reply.status();
        let expected = [expected];
        let judged = self.uploader.session.expect(&self.task, reply, &expected);
        judged.await.map_err(|error| match status {
            // What came before a lost connection may have been kept wrongly.
            400 if self.offset > 0 => Setback::Lost(error),
            404 | 416 => Setback::Lost(error),
            413 => Setback::TooLarge(error),
            _ => Setback::Final(error),
        })
    }

    async fn wait(&self, backoff: &mut Backoff, error: RegistryError) -> Result<(), RegistryError> {
        match error {
            RegistryError::Exchange { source, .. } => backoff
                .pause(source)
                .await
                .map_err(|error| self.task.failed(error)),
            error => Err(error),
        }
    }

    /// Asks the registry where the upload is. Says whether the blob is there: then the answer to
    /// the last request was lost and nothing else.
    async fn catch_up(&mut self) -> Result<bool, RegistryError> {
        let (uploader, task) = (self.uploader, &self.task);
        if uploader.is_there(task, self.blob).await? {
            return Ok(true);
        }
        let request = Request::new(Method::GET, self.location.clone());
        let reply = uploader.session.exchange(task, request).await?;
        let has = reply.header("range").and_then(range_end);
        match has {
            Some(has) if reply.status() == 204 && has <= self.blob.size => {
                self.offset = has;
                if let Some(location) = uploader.session.location(&reply) {
                    self.location = location;
                }
            }
            _ => {
                let error = task.broken("no trace of the upload that broke off");
                self.restart_after(error).await?;
            }
        }
        Ok(false)
    }

    /// Begins again, or gives up with `error` when that happened too often.
    async fn restart_after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        if self.restarts == RESTARTS {
            return Err(error);
        }
        self.restarts += 1;
        self.restart().await
    }

    /// Begins again from the first byte.
    async fn restart(&mut self) -> Result<(), RegistryError> {
        let begun = self.uploader.begin(&self.task, &[]).await?;
        self.location = self.uploader.location(&self.task, &begun)?;
        self.offset = 0;
        Ok(())
    }
}

/// Returns how many bytes a registry has that reports this range: `0-9` are ten.
fn range_end(range: &str) -> Option<u64> {
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    match range.strip_prefix("0-")?.parse().ok()? {
        // Registries write it for nothing at all. An upload of more than a piece that ended after
        // one byte loses it.
        0 => Some(0),
        last => u64::checked_add(last, 1),
    }
}

/// Says so before anything is sent when a file is not the one that was described.
fn check_size(task: &Task, blob: &Descriptor, source: &BlobSource) -> Result<(), RegistryError> {
    let found = match source {
        BlobSource::Bytes(bytes) => bytes.len() as u64,
        BlobSource::File(path) => std::fs::metadata(path)
            .map_err(envbox_lockfiles::base::FsError::at("read", path))?
            .len(),
    };
    if found != blob.size {
        return Err(task.wrong_size(blob.size, found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (range, expected) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("5-9", None),
            ("0-x", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(range_end(range), expected, "{range}");
        }
    }
}
