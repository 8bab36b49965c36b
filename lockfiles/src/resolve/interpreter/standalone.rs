//! Interpreters of python-build-standalone, from the list inside uv.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use uv_python::downloads::{
    ManagedPythonDownload, ManagedPythonDownloadList, PythonDownloadRequest,
};

use crate::base::{Context, Digest, Hasher, Platform, RegistryName};
use crate::lock::{Artifact, LockedArchive, LockedInterpreter, Origin};
use crate::manifest::InterpreterSource;
use crate::net::{Client, join, registry_url};
use crate::resolve::interpreter::InterpreterError;

/// A place that is no place: only what comes after it is looked at.
const NOWHERE: &str = "https://mirror.invalid";

/// A version with an archive for each platform asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Major, minor and patch number.
    pub(super) version: (u8, u8, u8),
    archives: Vec<Archive>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Archive {
    platform: Platform,
    /// `release/file name`.
    file: String,
    digest: Digest,
}

impl Release {
    /// Returns the version as text.
    pub fn version_text(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("{major}.{minor}.{patch}")
    }
}

type List = BTreeMap<(u8, u8, u8), BTreeMap<Platform, Archive>>;

/// Parsed once: the list has thousands of entries.
static LIST: LazyLock<Result<List, String>> = LazyLock::new(list);

/// Returns the stable releases that have all of `platforms`, oldest first.
///
/// # Errors
/// Returns [`InterpreterError::List`] when uv's list is not what it is believed to be.
pub(super) fn releases(platforms: &[Platform]) -> Result<Vec<Release>, InterpreterError> {
    let list = LIST.as_ref().map_err(|entry| InterpreterError::List {
        entry: entry.clone(),
    })?;
    let releases = list.iter().filter_map(|(version, archives)| {
        let archives = platforms
            .iter()
            .map(|platform| archives.get(platform).cloned());
        Some(Release {
            version: *version,
            archives: archives.collect::<Option<Vec<_>>>()?,
        })
    });
    Ok(releases.collect())
}

fn list() -> Result<List, String> {
    let downloads = ManagedPythonDownloadList::new_only_embedded();
    let downloads = downloads.map_err(|error| error.to_string())?;
    let every = PythonDownloadRequest::default()
        .with_any_arch()
        .with_prereleases(true);
    let mut list = List::new();
    for download in downloads.iter_matching(&every) {
        let key = download.key().to_string();
        for platform in Platform::ALL {
            let Some(version) = version(&key, platform) else {
                continue;
            };
            let archive = archive(download, platform).ok_or_else(|| key.clone())?;
            list.entry(version).or_default().insert(platform, archive);
        }
    }
    Ok(list)
}

/// Returns the version of a key like `cpython-3.13.5-linux-x86_64-gnu`. Pre-releases and builds
/// without the GIL or with assertions have more in their version, and are left out.
fn version(key: &str, platform: Platform) -> Option<(u8, u8, u8)> {
    let version = key.strip_prefix("cpython-")?;
    let version = version.strip_suffix(&format!("-linux-{}-gnu", platform.machine()))?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(version)
}

fn archive(download: &ManagedPythonDownload, platform: Platform) -> Option<Archive> {
    let url = download.download_urls(Some(NOWHERE), None).ok()?.pop()?;
    // The one character that is escaped in these names.
    let file = url.path().trim_start_matches('/').replace("%2B", "+");
    let plain = file.split('/').count() == 2 && !file.contains('%');
    plain.then_some(())?;
    Some(Archive {
        platform,
        file,
        digest: digest(download)?,
    })
}

/// Reads the digest from the debugging text: uv keeps the field to itself, and has nothing else
/// that shows it. `tests::every_release_has_names_and_digests` finds out if that text changes.
fn digest(download: &ManagedPythonDownload) -> Option<Digest> {
    let text = format!("{download:?}");
    let (_, rest) = text.split_once("sha256: Some(\"")?;
    Digest::from_hex(rest.get(..64)?).ok()
}

/// Returns the locked form of `release`.
///
/// The list has no sizes. A size is taken from `previous` or else found by downloading the
/// archive, which proves at the same time that the mirror serves what the list says.
///
/// # Errors
/// Returns [`InterpreterError::Download`] when the mirror fails, and
/// [`InterpreterError::DigestMismatch`] when it serves something else.
pub async fn lock_standalone(
    context: &Context,
    client: &Client,
    release: &Release,
    previous: Option<&LockedInterpreter>,
) -> Result<LockedInterpreter, InterpreterError> {
    let registry: RegistryName = "python-build-standalone"
        .parse()
        .expect("a literal that follows the rule");
    let mut archives = Vec::new();
    for archive in &release.archives {
        let known = previous
            .into_iter()
            .flat_map(|interpreter| &interpreter.archives)
            .find(|known| known.artifact.digest == archive.digest);
        let size = match known {
            Some(known) => known.artifact.size,
            None => measure(context, client, &registry, archive).await?,
        };
        archives.push(LockedArchive {
            platform: archive.platform,
            artifact: Artifact {
                origin: Origin::Registry(registry.clone()),
                file: archive.file.clone(),
                size,
                digest: archive.digest,
            },
        });
    }
    let (major, minor, _) = release.version;
    Ok(LockedInterpreter {
        from: InterpreterSource::Standalone,
        version: release.version_text(),
        path: format!("/opt/python/bin/python{major}.{minor}"),
        archives,
    })
}

async fn measure(
    context: &Context,
    client: &Client,
    registry: &RegistryName,
    archive: &Archive,
) -> Result<u64, InterpreterError> {
    let failed = |source| InterpreterError::Download {
        file: archive.file.clone(),
        source,
    };
    let url = join(
        &registry_url(context, registry).map_err(failed)?,
        &archive.file,
    );
    let mut body = client.open(&url, 0).await.map_err(failed)?;
    let mut hasher = Hasher::new();
    while let Some(chunk) = body.chunk().await.map_err(failed)? {
        hasher.update(&chunk);
    }
    let (found, size) = hasher.finish();
    if found == archive.digest {
        Ok(size)
    } else {
        Err(InterpreterError::DigestMismatch {
            file: archive.file.clone(),
            expected: archive.digest,
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::base::Explain as _;
    use crate::net::block_on;
    use crate::net::tests::http::Server;

    #[test]
    fn every_release_has_names_and_digests() {
        let releases = releases(&Platform::ALL).unwrap();
        assert!(releases.len() > 50, "{}", releases.len());
        let newest = |minor| releases.iter().rfind(|release| release.version.1 == minor);
        for minor in 8..=14 {
            assert!(newest(minor).is_some(), "3.{minor}");
        }
        for release in &releases {
            for archive in &release.archives {
                let (folder, file) = archive.file.split_once('/').unwrap();
                assert!(folder.bytes().all(|byte| byte.is_ascii_digit()), "{folder}");
                let start = format!("cpython-{}", release.version_text());
                assert!(
                    file.starts_with(&start) && file.contains("linux-gnu"),
                    "{file}"
                );
            }
        }
    }

    fn context(mirror: &str) -> (tempfile::TempDir, Context) {
        let store = tempfile::tempdir().unwrap();
        let mut context = Context::new(store.path().to_owned(), Timestamp::UNIX_EPOCH);
        let registry = "python-build-standalone".parse().unwrap();
        context.registries.insert(registry, mirror.to_owned());
        (store, context)
    }

    fn release(bytes: &[u8]) -> Release {
        Release {
            version: (3, 12, 3),
            archives: vec![Archive {
                platform: Platform::LinuxAmd64,
                file: "20240415/cpython-3.12.3+20240415.tar.gz".to_owned(),
                digest: Digest::of(bytes),
            }],
        }
    }

    #[test]
    fn a_standalone_interpreter_is_locked_from_a_mirror() {
        let server = Server::start();
        server.file(
            "/mirror/20240415/cpython-3.12.3+20240415.tar.gz",
            b"archive",
        );
        let (_store, context) = context(&format!("{}/mirror", server.url()));
        let client = Client::new(&context).unwrap();
        let release = release(b"archive");
        let lock = |previous: Option<&LockedInterpreter>| {
            block_on(lock_standalone(&context, &client, &release, previous))
        };
        let locked = lock(None).unwrap();
        assert_eq!(locked.path, "/opt/python/bin/python3.12");
        assert_eq!(locked.version, "3.12.3");
        let artifact = &locked.archives[0].artifact;
        assert_eq!(
            (artifact.size, artifact.digest),
            (7, Digest::of(b"archive"))
        );
        assert_eq!(artifact.file, "20240415/cpython-3.12.3+20240415.tar.gz");
        // What is locked already is not downloaded again.
        let asked = server.requests().len();
        assert_eq!(lock(Some(&locked)).unwrap(), locked);
        assert_eq!(server.requests().len(), asked);
    }

    #[test]
    fn a_mirror_that_serves_something_else_is_found_out() {
        let server = Server::start();
        let path = "/20240415/cpython-3.12.3+20240415.tar.gz";
        server.file(path, b"something else");
        let (_store, context) = context(&server.url());
        let client = Client::new(&context).unwrap();
        let error = block_on(lock_standalone(
            &context,
            &client,
            &release(b"archive"),
            None,
        ));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), crate::base::Kind::Integrity);
        assert!(error.to_string().contains("cpython-3.12.3+20240415.tar.gz"));
    }
}
