//! Packages indices: downloaded, verified, decompressed, cut down, kept.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use url::Url;

use crate::base::{Digest, Event};
use crate::net::{self, NetError};
use crate::resolve::debian::DebianError;
use crate::resolve::debian::archive::Reader;
use crate::resolve::debian::index::Index;
use crate::resolve::debian::release::{Coding, Listed, Packages, Variant};

/// The largest index taken, compressed or not. Debian's largest has 57 MB. The signed text says the
/// size of each; this is for a signed text that is itself a mistake.
const LIMIT: u64 = 1024 * 1024 * 1024;

/// What the xz decoder may use. The highest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 * 1024 * 1024;

/// Returns the index `wanted` of the suite at `suite`, from the cache where it is there.
pub(super) async fn load(
    reader: &Reader<'_>,
    suite: &Url,
    by_hash: bool,
    wanted: Packages,
) -> Result<Index, DebianError> {
    // The same packages have the same name in the cache however they were compressed.
    let identity = match (wanted.plain, wanted.variants.first()) {
        (Some(plain), _) => plain.digest,
        (None, first) => first.map_or(Digest::of(b""), |variant| variant.listed.digest),
    };
    let cache = reader.cache.clone();
    if let Some(index) = work(move || Ok(cache.index(&identity)?)).await? {
        return Ok(index);
    }
    let (variant, bytes) = download(reader, suite, by_hash, &wanted).await?;
    let file = net::shown(&net::join(suite, &variant.path));
    let cache = reader.cache.clone();
    work(move || {
        check(&file, variant.listed, &bytes)?;
        let plain = decompress(&file, variant.coding, &bytes, wanted.plain)?;
        drop(bytes);
        let index = std::str::from_utf8(&plain)
            .ok()
            .and_then(Index::build)
            .ok_or(DebianError::NotPackages { file })?;
        cache.keep_index(&identity, &index)?;
        Index::load(index).ok_or(DebianError::Aborted)
    })
    .await
}

/// Runs what keeps a processor busy apart from the threads that wait for the network.
async fn work<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, DebianError> + Send + 'static,
) -> Result<T, DebianError> {
    match tokio::task::spawn_blocking(job).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(DebianError::Aborted),
        },
    }
}

/// Downloads the first variant that is there. Its bytes are not verified yet, but not longer than
/// they should be.
pub(super) async fn download(
    reader: &Reader<'_>,
    suite: &Url,
    by_hash: bool,
    wanted: &Packages,
) -> Result<(Variant, Vec<u8>), DebianError> {
    let mut missing = None;
    for variant in &wanted.variants {
        let Listed { digest, size } = variant.listed;
        let plain = net::join(suite, &variant.path);
        let file = net::shown(&plain);
        reader.context.report(Event::DownloadStarted {
            file: file.clone(),
            size,
        });
        // By hash first: the plain path may hold another state already.
        let hashed = variant.path.rsplit_once('/').map(|(directory, _)| {
            net::join(
                suite,
                &format!("{directory}/by-hash/SHA256/{}", digest.hex()),
            )
        });
        for url in hashed.filter(|_| by_hash).iter().chain([&plain]) {
            match reader.client.get(url, size.min(LIMIT)).await {
                Ok(bytes) => {
                    let variant = variant.clone();
                    reader
                        .context
                        .report(Event::DownloadFinished { file, digest });
                    return Ok((variant, bytes));
                }
                Err(error @ NetError::NotFound { .. }) => missing = missing.or(Some(error)),
                Err(NetError::TooLarge { limit, .. }) => {
                    return Err(DebianError::WrongSize {
                        file,
                        expected: size,
                        found: limit + 1,
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    // `Packages` has at least one variant.
    Err(missing.map_or(DebianError::Aborted, DebianError::Net))
}

pub(super) fn check(file: &str, listed: Listed, bytes: &[u8]) -> Result<(), DebianError> {
    let found = bytes.len() as u64;
    if found != listed.size {
        return Err(DebianError::WrongSize {
            file: file.to_owned(),
            expected: listed.size,
            found,
        });
    }
    let found = Digest::of(bytes);
    if found != listed.digest {
        return Err(DebianError::WrongDigest {
            file: file.to_owned(),
            expected: listed.digest,
            found,
        });
    }
    Ok(())
}

/// Returns the text in `bytes`. No more than `plain` says is ever made of it.
fn decompress(
    file: &str,
    coding: Coding,
    bytes: &[u8],
    plain: Option<Listed>,
) -> Result<Vec<u8>, DebianError> {
    let failed = |source| DebianError::Decompress {
        file: file.to_owned(),
        source,
    };
    let limit = plain.map_or(LIMIT, |plain| plain.size.min(LIMIT));
    let decoder: Box<dyn Read + '_> = match coding {
        Coding::Plain => Box::new(bytes),
        Coding::Gzip => Box::new(MultiGzDecoder::new(bytes)),
        Coding::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED);
            let stream = stream.map_err(|error| failed(io::Error::other(error)))?;
            Box::new(XzDecoder::new_stream(bytes, stream))
        }
    };
    let known = plain.map_or(0, |_| usize::try_from(limit).unwrap_or(0) + 1);
    let mut text = Vec::with_capacity(known);
    // One byte more tells "as long as allowed" from "longer".
    decoder
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(failed)?;
    match plain {
        Some(plain) => check(file, plain, &text)?,
        None if text.len() as u64 > LIMIT => {
            return Err(DebianError::WrongSize {
                file: file.to_owned(),
                expected: LIMIT,
                found: text.len() as u64,
            });
        }
        None => {}
    }
    Ok(text)
}
