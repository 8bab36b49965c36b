//! An image to a registry, and what is said about it beside it.

use envbox_lockfiles::base::{Context, Digest, Platform};
use envbox_lockfiles::lock::Lockfile;
use jiff::Timestamp;
use serde::Serialize;

use crate::attest::{
    Attachment, Blob, Builder, Licences, PREDICATE_PROVENANCE, PrivateKey, SbomFormat, SbomOptions,
    Signature, SignatureLayer, Subject, provenance, sbom, sign_payload, sign_statement,
    signatures_in,
};
use crate::image::{Descriptor, Image, ImageSet, image_id};
use crate::ops::Error;
use crate::registry::{BlobSource, ImageName, PushImage, Pushed, RegistryError, Tag, pull, push};
use crate::store::Store;

/// Where an image goes, and with what.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The repository, and the tag that the image gets there.
    pub reference: ImageName,
    /// Other repositories of the registry that may have some of its layers: those are mounted
    /// instead of sent.
    pub mount_from: Vec<String>,
    /// Whether a parts list and the provenance go with it.
    pub attest: bool,
    /// What signs the image and its provenance.
    pub key: Option<PrivateKey>,
}

/// What was published.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PublishReport {
    /// The image or index, by its digest.
    pub reference: ImageName,
    /// The tags that lead to it.
    pub tags: Vec<Tag>,
    /// How many blobs the registry had, in this repository or in another.
    pub present: usize,
    /// How many blobs were sent.
    pub uploaded: usize,
    /// How many bytes those have.
    pub uploaded_bytes: u64,
    /// Whether a parts list and the provenance went with it.
    pub attested: bool,
    /// Whether it was signed.
    pub signed: bool,
}

/// What is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published<'a> {
    pub(super) set: &'a ImageSet,
    pub(super) lock: &'a Lockfile,
    pub(super) licences: &'a [(Platform, Licences)],
    pub(super) created: Timestamp,
    pub(super) store: &'a Store,
}

/// The tag under which a machine that has the lock finds the image: by the digest of its config,
/// which the lock holds.
pub(super) fn tag_of_id(id: Digest) -> Tag {
    let tag = format!("envbox-{}", id.hex());
    tag.parse().expect("letters and digits make a tag")
}

pub(super) fn publish(
    context: &Context,
    published: &Published<'_>,
    publication: &Publication,
) -> Result<PublishReport, Error> {
    let reference = &publication.reference;
    let mut sum = (0, 0, 0);
    let mut count = |pushed: &Pushed| {
        sum.0 += pushed.present + pushed.mounted;
        sum.1 += pushed.uploaded;
        sum.2 += pushed.uploaded_bytes;
    };
    for image in published.set.images() {
        let place = reference.with_digest(image.descriptor().digest);
        let whole = PushImage {
            mount_from: publication.mount_from.clone(),
            ..of_image(image)
        };
        count(&push(context, &place, &whole)?);
        attach(context, published, publication, image)?;
    }
    if let Some(index) = published.set.index() {
        let whole = published.set.descriptor();
        sign(context, published, publication, &whole)?;
        let image = PushImage {
            manifests: vec![(whole, index.to_vec())],
            ..PushImage::default()
        };
        count(&push(context, reference, &image)?);
    } else if let Some(image) = published.set.images().first() {
        // The tag moves when everything that is said about the image is there.
        let last = PushImage {
            blobs: Vec::new(),
            ..of_image(image)
        };
        push(context, reference, &last)?;
    }
    Ok(PublishReport {
        reference: reference.with_digest(published.set.descriptor().digest),
        tags: reference.tag().cloned().into_iter().collect(),
        present: sum.0,
        uploaded: sum.1,
        uploaded_bytes: sum.2,
        attested: publication.attest,
        signed: publication.key.is_some(),
    })
}

fn of_image(image: &Image) -> PushImage {
    let layers = image.layers().iter().map(|layer| {
        let file = BlobSource::File(image.layer_path(layer));
        (layer.descriptor.clone(), file)
    });
    let manifest = image.manifest();
    let config = BlobSource::Bytes(image.config().to_bytes());
    PushImage {
        blobs: layers.chain([(manifest.config.clone(), config)]).collect(),
        manifests: vec![(image.descriptor(), manifest.to_bytes())],
        tags: vec![tag_of_id(image_id(image.config()))],
        mount_from: Vec::new(),
    }
}

/// Puts a parts list, the provenance and signatures beside an image.
fn attach(
    context: &Context,
    published: &Published<'_>,
    publication: &Publication,
    image: &Image,
) -> Result<(), Error> {
    let described = image.descriptor();
    sign(context, published, publication, &described)?;
    if !publication.attest {
        return Ok(());
    }
    let (lock, created) = (published.lock, published.created);
    let licences = published.licences.iter();
    let licences = licences.filter(|(platform, _)| *platform == image.platform());
    let none = Licences::default();
    let licences = licences.map(|(_, licences)| licences).next();
    let options = SbomOptions {
        format: SbomFormat::Spdx,
        platform: image.platform(),
        created,
    };
    let list = sbom(lock, licences.unwrap_or(&none), &options)?.to_blob();
    let subject = subject(publication, &described);
    let builder = Builder::default();
    let statement = provenance(lock, image.platform(), &subject, &builder)?;
    let mut attachments = vec![Attachment::referrer(&described, list, None, created)];
    let stated = match &publication.key {
        None => Blob::statement(statement),
        Some(key) => {
            let envelope = sign_statement(key, &statement);
            let blob = Blob::envelope(&envelope);
            let both = [(envelope, PREDICATE_PROVENANCE)];
            attachments.push(Attachment::cosign_attestations(described.digest, &both));
            blob
        }
    };
    let kind = Some(PREDICATE_PROVENANCE);
    attachments.push(Attachment::referrer(&described, stated, kind, created));
    for attachment in attachments {
        put(context, publication, attachment)?;
    }
    Ok(())
}

fn subject(publication: &Publication, described: &Descriptor) -> Subject {
    let (registry, repository) = {
        let reference = &publication.reference;
        (reference.registry(), reference.repository())
    };
    Subject {
        name: format!("{registry}/{repository}"),
        digest: described.digest,
    }
}

fn put(
    context: &Context,
    publication: &Publication,
    attachment: Attachment,
) -> Result<(), RegistryError> {
    let last = attachment.image.manifests.last();
    let (described, _) = last.expect("an attachment has a manifest");
    let place = publication.reference.with_digest(described.digest);
    let image = PushImage {
        tags: attachment.tag.into_iter().collect(),
        ..attachment.image
    };
    push(context, &place, &image).map(drop)
}

/// Adds our signature to those that are there: their tag is replaced as a whole.
fn sign(
    context: &Context,
    published: &Published<'_>,
    publication: &Publication,
    described: &Descriptor,
) -> Result<(), Error> {
    let Some(key) = &publication.key else {
        return Ok(());
    };
    let reference = &publication.reference;
    let mut signed = signatures(context, reference, described.digest, published.store)?;
    let ours = sign_payload(key, &subject(publication, described));
    if !signed.contains(&ours) {
        signed.push(ours);
    }
    let attachment = Attachment::cosign_signatures(described.digest, &signed);
    Ok(put(context, publication, attachment)?)
}

/// Returns the signatures of an image that are beside it, each with its payload.
pub(super) fn signatures(
    context: &Context,
    reference: &ImageName,
    digest: Digest,
    store: &Store,
) -> Result<Vec<(Vec<u8>, Signature)>, Error> {
    let tag = Attachment::cosign_signatures(digest, &[]).tag;
    let place = reference.with_tag(tag.expect("signatures of cosign have a tag"));
    let pulled = match pull(context, &place, Platform::host(), store) {
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        other => other?,
    };
    let mut signed = Vec::new();
    for SignatureLayer { payload, signature } in signatures_in(&pulled.manifest_bytes)? {
        let file = store.place(payload);
        signed.push((envbox_lockfiles::base::fs::read(&file)?, signature));
    }
    Ok(signed)
}
