//! Blobs, then manifests, then tags.

use std::collections::{BTreeMap, BTreeSet};

use envbox_lockfiles::base::{Context, Digest, Event};
use envbox_lockfiles::net::{Client, Method, Payload, Reply, Request, block_on};
use serde::Serialize;
use tokio::task::JoinSet;
use url::Url;

use crate::image::{DOCUMENT_LIMIT, Descriptor, ImageManifest, MediaType};
use crate::registry::referrers::{self, Subject};
use crate::registry::session::Session;
use crate::registry::upload::{BlobSource, Outcome, Uploader};
use crate::registry::{Access, ImageName, RegistryError, Tag};

/// The name of the stage in events.
const STAGE: &str = "push";

/// How many blobs are sent side by side; docker sends five.
const UPLOADS: usize = 5;

/// The bytes of the config of a manifest that has none (image-spec, "Guidance for an Empty
/// Descriptor").
const EMPTY: &[u8] = b"{}";

/// Their media type.
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// What is to be in a repository.
#[derive(Debug, Clone, Default)]
pub struct PushImage {
    /// Layers and configs.
    pub blobs: Vec<(Descriptor, BlobSource)>,
    /// Manifests and indexes with their bytes; what an index lists before the index. The last is
    /// what tags are put on.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
    /// Tags to put on the last manifest, besides that of the reference.
    pub tags: Vec<Tag>,
    /// Other repositories of the same registry that may have some of the blobs.
    pub mount_from: Vec<String>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The last manifest, by its digest.
    pub reference: ImageName,
    /// The tags that are on it.
    pub tags: Vec<Tag>,
    /// How many blobs were there.
    pub present: usize,
    /// How many blobs came from other repositories.
    pub mounted: usize,
    /// How many blobs were sent.
    pub uploaded: usize,
    /// How many bytes those have.
    pub uploaded_bytes: u64,
}

/// Brings an image into the repository of `reference`: what is there is not sent again. A manifest
/// with a subject is listed among its referrers.
///
/// # Errors
/// Returns [`RegistryError`]; what was pushed by then stays and is not sent again the next time. No
/// tag has moved unless all that it names is there.
pub fn push(
    context: &Context,
    reference: &ImageName,
    image: &PushImage,
) -> Result<Pushed, RegistryError> {
    let client = Client::new(context).map_err(RegistryError::Net)?;
    block_on(push_with(&client, context, reference, image, u64::MAX))
}

/// Says `kind` about the manifest `subject` in the repository of `reference`: pushes a manifest
/// whose only layer is `document`. Returns its descriptor.
///
/// # Errors
/// As [`push`].
pub fn put_referrer(
    context: &Context,
    reference: &ImageName,
    subject: &Descriptor,
    artifact: Artifact,
) -> Result<Descriptor, RegistryError> {
    let (descriptor, image) = artifact.into_image(subject);
    let reference = reference.with_digest(descriptor.digest);
    push(context, &reference, &image)?;
    Ok(descriptor)
}

/// A document about an image.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What it is, as a media type.
    pub artifact_type: String,
    /// The document's descriptor.
    pub document: Descriptor,
    /// The document.
    pub source: BlobSource,
    /// Words about it, which listings of referrers show.
    pub annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// Returns the manifest that refers to `subject`, and all that is to be pushed for it.
    pub fn into_image(self, subject: &Descriptor) -> (Descriptor, PushImage) {
        let config = Descriptor::of(EMPTY_MEDIA_TYPE, EMPTY);
        let mut manifest = ImageManifest::new(config.clone(), vec![self.document.clone()]);
        manifest.artifact_type = Some(self.artifact_type.clone());
        manifest.annotations = self.annotations;
        // What an index says about the image is no part of what it is.
        manifest.subject = Some(Descriptor::new(
            subject.media_type.as_str(),
            subject.digest,
            subject.size,
        ));
        let bytes = manifest.to_bytes();
        let mut descriptor = Descriptor::of(MediaType::MANIFEST, &bytes);
        descriptor.artifact_type = Some(self.artifact_type);
        let image = PushImage {
            blobs: vec![
                (self.document, self.source),
                (config, BlobSource::Bytes(EMPTY.to_vec())),
            ],
            manifests: vec![(descriptor.clone(), bytes)],
            ..PushImage::default()
        };
        (descriptor, image)
    }
}

/// Does what [`push`] does with a client of the caller's, and at most `at_once` bytes a request.
pub(super) async fn push_with(
    client: &Client,
    context: &Context,
    reference: &ImageName,
    image: &PushImage,
    at_once: u64,
) -> Result<Pushed, RegistryError> {
    let session = Session::open(context, client, reference, Access::Push, &image.mount_from)?;
    let last = check(&session, reference, image)?;
    context.report(Event::StageStarted {
        stage: STAGE.to_owned(),
        total: Some(image.blobs.len() as u64),
    });
    let uploader = Uploader {
        context: context.clone(),
        session: session.clone(),
        mount_from: image.mount_from.clone(),
        at_once,
    };
    let mut pushed = Pushed {
        reference: reference.with_digest(last),
        tags: image.tags.clone(),
        present: 0,
        mounted: 0,
        uploaded: 0,
        uploaded_bytes: 0,
    };
    upload_all(&uploader, image, &mut pushed).await?;
    for (descriptor, bytes) in &image.manifests {
        push_manifest(&session, descriptor, bytes).await?;
    }
    pushed.tags.extend(reference.tag().cloned());
    pushed.tags.sort();
    pushed.tags.dedup();
    if let Some((descriptor, bytes)) = image.manifests.last() {
        for tag in &pushed.tags {
            put_tag(&session, tag, descriptor, bytes).await?;
        }
    }
    context.report(Event::StageFinished {
        stage: STAGE.to_owned(),
    });
    Ok(pushed)
}

/// Checks all that can be checked before anything is sent. Returns the digest of the last manifest.
fn check(
    session: &Session,
    reference: &ImageName,
    image: &PushImage,
) -> Result<Digest, RegistryError> {
    let mut last = None;
    for (descriptor, bytes) in &image.manifests {
        let task = session.task("push", &format!("manifest {}", descriptor.digest));
        let size = bytes.len() as u64;
        if size > DOCUMENT_LIMIT {
            return Err(RegistryError::TooLarge {
                what: task.what,
                size,
                limit: DOCUMENT_LIMIT,
            });
        }
        if size != descriptor.size {
            return Err(task.wrong_size(descriptor.size, size));
        }
        let found = Digest::of(bytes);
        if found != descriptor.digest {
            return Err(task.wrong_digest(descriptor.digest, found));
        }
        last = Some(found);
    }
    match (last, reference.digest()) {
        (Some(last), Some(expected)) if last != expected => Err(session
            .task("push", &format!("manifest {expected}"))
            .wrong_digest(expected, last)),
        (Some(last), _) => Ok(last),
        (None, _) => Err(RegistryError::NotFound {
            what: format!("manifest to push to `{}`", reference.name()),
        }),
    }
}

async fn upload_all(
    uploader: &Uploader,
    image: &PushImage,
    pushed: &mut Pushed,
) -> Result<(), RegistryError> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<_> = image.blobs.iter().collect();
    queue.retain(|(blob, _)| seen.insert(blob.digest));
    // Largest first: then no connection is left alone with a large one at the end.
    queue.sort_by_key(|(blob, _)| std::cmp::Reverse((blob.size, blob.digest)));
    let mut queue = queue.into_iter();
    // Dropping the set ends all that are under way.
    let mut running = JoinSet::new();
    loop {
        while running.len() < UPLOADS
            && let Some((blob, source)) = queue.next()
        {
            let (uploader, blob, source) = (uploader.clone(), blob.clone(), source.clone());
            running.spawn(async move {
                let outcome = uploader.upload(&blob, &source).await;
                (blob, outcome)
            });
        }
        let (blob, outcome) = match running.join_next().await {
            None => return Ok(()),
            Some(Ok((blob, outcome))) => (blob, outcome?),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        };
        match outcome {
            Outcome::Present => pushed.present += 1,
            Outcome::Mounted => pushed.mounted += 1,
            Outcome::Uploaded => {
                pushed.uploaded += 1;
                pushed.uploaded_bytes += blob.size;
            }
        }
        uploader.context.report(Event::ItemFinished {
            stage: STAGE.to_owned(),
            item: blob.digest.to_string(),
        });
    }
}

async fn push_manifest(
    session: &Session,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<(), RegistryError> {
    let task = session.task("push", &format!("manifest {}", descriptor.digest));
    let url = session.url(&format!("manifests/{}", descriptor.digest));
    let subject = Subject::of(bytes);
    // Where there is a subject, the answer to the push says who lists the referrer.
    if subject.is_none() && has(session, &url, descriptor).await? {
        return Ok(());
    }
    let reply = put_manifest(session, url, descriptor, bytes).await?;
    let reply = session.expect(&task, reply, &[201]).await?;
    session.confirm(&task, &reply, descriptor.digest)?;
    match subject {
        Some(subject) if reply.header("oci-subject").is_none() => {
            referrers::add(session, subject, descriptor).await
        }
        _ => Ok(()),
    }
}

async fn put_tag(
    session: &Session,
    tag: &Tag,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<(), RegistryError> {
    let url = session.url(&format!("manifests/{tag}"));
    if has(session, &url, descriptor).await? {
        return Ok(());
    }
    let task = session.task("put", &format!("tag `{tag}`"));
    let reply = put_manifest(session, url, descriptor, bytes).await?;
    let reply = session.expect(&task, reply, &[201]).await?;
    session.confirm(&task, &reply, descriptor.digest)
}

/// Says whether the registry has that manifest there. Only a digest that it names counts: tags move.
async fn has(session: &Session, url: &Url, descriptor: &Descriptor) -> Result<bool, RegistryError> {
    let task = session.task("look for", &format!("manifest {}", descriptor.digest));
    let request =
        Request::new(Method::HEAD, url.clone()).header("accept", descriptor.media_type.as_str());
    let reply = session.exchange(&task, request).await?;
    let found = reply.header("docker-content-digest").map(str::parse);
    Ok(reply.status() == 200 && found == Some(Ok(descriptor.digest)))
}

pub(super) async fn put_manifest(
    session: &Session,
    url: Url,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<Reply, RegistryError> {
    let task = session.task("push", &format!("manifest {}", descriptor.digest));
    let request = Request::new(Method::PUT, url)
        .header("content-type", descriptor.media_type.as_str())
        .payload(Payload::Bytes(bytes.to_vec()));
    session.exchange(&task, request).await
}
