//! What is said about a manifest: signatures, lists of parts, proofs of origin
//! (distribution-spec, "Listing Referrers").
//!
//! A registry that lists referrers itself says so when one is pushed. In the others the list is an
//! index under the tag `sha256-<hex>`, and whoever pushes a referrer adds it there.

use envbox_lockfiles::base::{Context, Digest};
use envbox_lockfiles::net::{Client, Method, Payload, Request, block_on};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use crate::image::{DOCUMENT_LIMIT, Descriptor, ImageIndex, MediaType};
use crate::registry::session::{Session, Task};
use crate::registry::{Access, ImageName, RegistryError, Tag};

/// The most pages of a list that are read.
const PAGES: usize = 100;

/// How often a list is written that others replace at the same time.
const ATTEMPTS: usize = 8;

/// Held while this process changes a list: registries have no way to replace one only if it is
/// still the old one.
static CHANGING: Mutex<()> = Mutex::const_new(());

/// What a manifest says about another.
pub(super) struct Subject {
    subject: Digest,
    artifact_type: Option<String>,
    annotations: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferrerWire {
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: Value,
}

impl Subject {
    /// Returns what the manifest `bytes` refers to, if anything.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let wire: ReferrerWire = serde_json::from_slice(bytes).ok()?;
        let config = wire.config.map(|config| config.media_type.to_string());
        Some(Self {
            subject: wire.subject?.digest,
            artifact_type: wire.artifact_type.or(config),
            annotations: wire.annotations,
        })
    }
}

/// Returns the manifests that refer to the one that `reference` names by its digest; those of one
/// type if one is given.
///
/// # Errors
/// Returns [`RegistryError`]; that there are none is no error.
pub fn referrers(
    context: &Context,
    reference: &ImageName,
    subject: Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Descriptor>, RegistryError> {
    let client = Client::new(context).map_err(RegistryError::Net)?;
    block_on(referrers_with(
        &client,
        context,
        reference,
        subject,
        artifact_type,
    ))
}

/// Does what [`referrers`] does with a client of the caller's.
pub(super) async fn referrers_with(
    client: &Client,
    context: &Context,
    reference: &ImageName,
    subject: Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Descriptor>, RegistryError> {
    let session = Session::open(context, client, reference, Access::Pull, &[])?;
    let mut found = match ask(&session, subject).await? {
        Some(found) => found,
        None => match read_list(&session, subject).await? {
            Some(bytes) => parse(&list_task(&session, subject), &bytes)?,
            None => Vec::new(),
        },
    };
    // Registries need not filter, and fallback tags cannot.
    found.retain(|referrer| {
        artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
    });
    Ok(found)
}

/// Asks the registry; returns nothing where it keeps no lists.
async fn ask(session: &Session, subject: Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
    let task = session.task("list", &format!("referrers of {subject}"));
    let mut url = session.url(&format!("referrers/{subject}"));
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let request = Request::new(Method::GET, url.clone()).header("accept", MediaType::INDEX);
        let reply = session.exchange(&task, request).await?;
        let typed = reply.header("content-type").unwrap_or_default();
        // Some that know no such path answer with a page of another kind.
        let is_list = reply.status() != 200 || typed.starts_with(MediaType::INDEX);
        if matches!(reply.status(), 400 | 404 | 405) || !is_list {
            return Ok(None);
        }
        let reply = session.expect(&task, reply, &[200]).await?;
        let next = reply.header("link").and_then(|link| next_page(&url, link));
        if next
            .as_ref()
            .is_some_and(|next| next.origin() != url.origin())
        {
            return Err(task.broken("a next page on another host"));
        }
        let body = reply.collect(DOCUMENT_LIMIT).await;
        all.extend(parse(&task, &body.map_err(|error| task.failed(error))?)?);
        match next {
            None => return Ok(Some(all)),
            Some(next) => url = next,
        }
    }
    Err(task.broken("too many pages"))
}

/// Returns what `Link: <…>; rel="next"` names (RFC 8288).
fn next_page(base: &Url, link: &str) -> Option<Url> {
    let mut links = link.split(',').filter_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=next" | "rel=\"next\""));
        next.then_some(target)
    });
    base.join(links.next()?).ok()
}

fn parse(task: &Task, bytes: &[u8]) -> Result<Vec<Descriptor>, RegistryError> {
    let index = ImageIndex::parse(bytes).map_err(|source| RegistryError::Document {
        what: task.what.clone(),
        source,
    })?;
    Ok(index.manifests)
}

fn list_task(session: &Session, subject: Digest) -> Task {
    session.task("read", &format!("tag `{}`", Tag::of_referrers(subject)))
}

fn list_url(session: &Session, subject: Digest) -> Url {
    session.url(&format!("manifests/{}", Tag::of_referrers(subject)))
}

/// Returns the list under the fallback tag, if there is one.
async fn read_list(session: &Session, subject: Digest) -> Result<Option<Vec<u8>>, RegistryError> {
    let task = list_task(session, subject);
    let request =
        Request::new(Method::GET, list_url(session, subject)).header("accept", MediaType::INDEX);
    let reply = session.exchange(&task, request).await?;
    if reply.status() == 404 {
        return Ok(None);
    }
    let reply = session.expect(&task, reply, &[200]).await?;
    let body = reply.collect(DOCUMENT_LIMIT).await;
    body.map(Some).map_err(|error| task.failed(error))
}

/// Adds a referrer to the list under the fallback tag.
pub(super) async fn add(
    session: &Session,
    subject: Subject,
    referrer: &Descriptor,
) -> Result<(), RegistryError> {
    let _changing = CHANGING.lock().await;
    let task = list_task(session, subject.subject);
    for _ in 0..ATTEMPTS {
        let old = read_list(session, subject.subject).await?;
        // Looked at again after it was written: another program may have replaced it meanwhile.
        let Some(new) = with_referrer(&task, old.as_deref(), &subject, referrer)? else {
            return Ok(());
        };
        if new.len() as u64 > DOCUMENT_LIMIT {
            return Err(RegistryError::TooLarge {
                what: task.what,
                size: new.len() as u64,
                limit: DOCUMENT_LIMIT,
            });
        }
        let request = Request::new(Method::PUT, list_url(session, subject.subject))
            .header("content-type", MediaType::INDEX)
            .payload(Payload::Bytes(new));
        let reply = session.exchange(&task, request).await?;
        session.expect(&task, reply, &[201]).await?;
    }
    Err(RegistryError::Contended {
        what: task.what,
        digest: referrer.digest,
    })
}

/// Returns the list with the referrer in it, or nothing if it is there. What others wrote into the
/// list is kept as it is.
fn with_referrer(
    task: &Task,
    old: Option<&[u8]>,
    subject: &Subject,
    referrer: &Descriptor,
) -> Result<Option<Vec<u8>>, RegistryError> {
    let digest = referrer.digest.to_string();
    let mut list: Value = match old {
        None => json!({"schemaVersion": 2, "mediaType": MediaType::INDEX, "manifests": []}),
        Some(bytes) => {
            // Said as of any other index that is none.
            parse(task, bytes)?;
            serde_json::from_slice(bytes).map_err(|_| task.broken("a list that is none"))?
        }
    };
    let Some(manifests) = list.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(task.broken("a list that is none"));
    };
    if manifests.iter().any(|entry| entry["digest"] == digest) {
        return Ok(None);
    }
    let mut entry = json!({
        "mediaType": referrer.media_type,
        "digest": digest,
        "size": referrer.size,
    });
    if let Some(artifact_type) = &subject.artifact_type {
        entry["artifactType"] = json!(artifact_type);
    }
    if subject.annotations.is_object() {
        entry["annotations"] = subject.annotations.clone();
    }
    manifests.push(entry);
    Ok(Some(list.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let base = Url::parse("http://host.test/v2/a/referrers/sha256:0").unwrap();
        for (link, expected) in [
            ("</v2/x?last=1>; rel=\"next\"", Some("/v2/x?last=1")),
            ("<a>; rel=prev, <b>; rel=next", Some("/v2/a/referrers/b")),
            ("<a>; rel=prev", None),
            ("", None),
        ] {
            let next = next_page(&base, link);
            let next = next.map(|url| url.as_str().replace("http://host.test", ""));
            assert_eq!(next.as_deref(), expected, "{link}");
        }
    }
}
