//! Manifests and indexes as registries give them, and the choice of a platform.

use envbox_lockfiles::base::{Context, Digest, Platform};
use envbox_lockfiles::net::{Client, Method, Request, block_on};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::image::{DOCUMENT_LIMIT, Descriptor, ImageIndex, MediaType};
use crate::registry::session::{Session, Task};
use crate::registry::{Access, ImageName, RegistryError};

/// What tells an image manifest from an index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KindWire {
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
}

/// Returns the descriptor and the bytes of the manifest or index that `reference` names.
///
/// # Errors
/// Returns [`RegistryError`].
pub fn manifest(
    context: &Context,
    reference: &ImageName,
) -> Result<(Descriptor, Vec<u8>), RegistryError> {
    let client = Client::new(context).map_err(RegistryError::Net)?;
    block_on(async {
        let session = Session::open(context, &client, reference, Access::Pull, &[])?;
        fetch_manifest(&session, &reference.manifest(), reference.digest()).await
    })
}

/// Returns the first image of the index that runs on `platform`.
pub(super) fn choose(
    task: &Task,
    bytes: &[u8],
    platform: Platform,
) -> Result<Descriptor, RegistryError> {
    let index = ImageIndex::parse(bytes).map_err(|source| RegistryError::Document {
        what: task.what.clone(),
        source,
    })?;
    let serves = |image: &&Descriptor| {
        let on = image.platform.as_ref();
        image.media_type.is_manifest() && on.is_some_and(|on| on.serves(platform))
    };
    if let Some(image) = index.manifests.iter().find(serves) {
        return Ok(image.clone());
    }
    let platforms = index
        .manifests
        .iter()
        .filter_map(|image| image.platform.as_ref());
    Err(RegistryError::Platform {
        what: task.what.clone(),
        platform,
        available: platforms
            .map(|on| format!("{}/{}", on.os, on.architecture))
            .collect(),
    })
}

/// Gets a manifest by a tag or a digest and checks it.
pub(super) async fn fetch_manifest(
    session: &Session,
    name: &str,
    digest: Option<Digest>,
) -> Result<(Descriptor, Vec<u8>), RegistryError> {
    let task = session.task("pull", &format!("manifest `{name}`"));
    let accepted = [
        MediaType::MANIFEST,
        MediaType::INDEX,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_INDEX,
    ];
    let url = session.url(&format!("manifests/{name}"));
    let request = Request::new(Method::GET, url).header("accept", accepted.join(", "));
    // A body that breaks off is asked for again as a whole.
    let mut backoff = session.backoff();
    let (typed, said, bytes) = loop {
        let reply = session.exchange(&task, request.clone()).await?;
        let reply = session.expect(&task, reply, &[200]).await?;
        let typed = reply.header("content-type").map(str::to_owned);
        let said = reply.header("docker-content-digest");
        let said = said.and_then(|text| text.parse().ok());
        match reply.collect(DOCUMENT_LIMIT).await {
            Ok(bytes) => break (typed, said, bytes),
            Err(error) => backoff.pause(error).await.map_err(|e| task.failed(e))?,
        }
    };
    let found = Digest::of(&bytes);
    for expected in [digest, said].into_iter().flatten() {
        if found != expected {
            return Err(task.wrong_digest(expected, found));
        }
    }
    Ok((describe(&task, typed, &bytes)?, bytes))
}

/// Describes a manifest by what it says it is, else by what the registry says.
pub(super) fn describe(
    task: &Task,
    typed: Option<String>,
    bytes: &[u8],
) -> Result<Descriptor, RegistryError> {
    let wire: Option<KindWire> = serde_json::from_slice(bytes).ok();
    let typed = typed.map(|typed| {
        typed
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    });
    let said = wire.as_ref().and_then(|wire| wire.media_type.clone());
    // `mediaType` is optional, and what lies in the store has no header.
    let shape = wire.and_then(|wire| match (wire.manifests, wire.config) {
        (Some(_), None) => Some(MediaType::INDEX.to_owned()),
        (None, Some(_)) => Some(MediaType::MANIFEST.to_owned()),
        _ => None,
    });
    let known = |text: &String| {
        let media_type = MediaType::from(text.as_str());
        media_type.is_manifest() || media_type.is_index()
    };
    let found = said
        .or_else(|| typed.clone().filter(known))
        .or(shape)
        .or(typed);
    let found = found.unwrap_or_default();
    if !known(&found) {
        return Err(RegistryError::MediaType {
            what: task.what.clone(),
            found,
        });
    }
    Ok(Descriptor::of(&found, bytes))
}
