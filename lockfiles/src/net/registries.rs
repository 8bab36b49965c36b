//! Where registries lie. No lock names a host; this is the one place that turns names into URLs.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use url::Url;
use uv_distribution_types::PYPI_URL;
use uv_python::downloads::{ManagedPythonDownloadList, PythonDownloadRequest};

use crate::base::{Context, RegistryName};
use crate::net::{NetError, shown};

/// Debian's name of itself, as its host names spell it.
const DEBIAN: &str = "debian";

/// Returns where the registry `name` lies: as the user configured it, else its default.
///
/// # Errors
/// Returns [`NetError::UnknownRegistry`] for a name that is neither configured nor has a default,
/// and [`NetError::BadRegistry`] when what is configured is neither a URL nor an absolute path.
pub fn registry_url(context: &Context, name: &RegistryName) -> Result<Url, NetError> {
    match configured_url(context, name) {
        Some(url) => url,
        None => default_url(name).ok_or_else(|| NetError::UnknownRegistry { name: name.clone() }),
    }
}

/// Returns where the user says that the registry `name` lies.
pub(super) fn configured_url(
    context: &Context,
    name: &RegistryName,
) -> Option<Result<Url, NetError>> {
    let configured = context.registries.get(name)?;
    Some(parse(name, configured))
}

/// Returns the root that `archive` (a registry of Debian packages) had at `date`, in the archive
/// that keeps every state of it. The registry named `debian-snapshot` is that archive.
///
/// # Errors
/// Returns what [`registry_url`] returns.
pub fn snapshot_url(
    context: &Context,
    archive: &RegistryName,
    date: Timestamp,
) -> Result<Url, NetError> {
    let name = "debian-snapshot"
        .parse()
        .expect("a literal that follows the rule");
    let root = registry_url(context, &name)?;
    Ok(join(&root, &snapshot_path(archive, date)))
}

/// Returns the path of `archive` at `date` in the archive that keeps every state of it.
pub fn snapshot_path(archive: &RegistryName, date: Timestamp) -> String {
    let stamp = date.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
    format!("{archive}/{stamp}")
}

/// Returns the URL of `path`, a relative path as plain text, below `base`, whether or not `base`
/// ends with a slash.
pub fn join(base: &Url, path: &str) -> Url {
    let mut whole = base.path().trim_end_matches('/').to_owned();
    whole.push('/');
    for byte in path.bytes() {
        // `+` too: stores of S3's kind read it as a space, so apt and pip escape it as well.
        let plain = byte.is_ascii_alphanumeric() || b"/-._~!$&'()*,;=:@".contains(&byte);
        if plain {
            whole.push(char::from(byte));
        } else {
            write!(whole, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    let mut url = base.clone();
    url.set_path(&whole);
    url
}

fn parse(name: &RegistryName, configured: &str) -> Result<Url, NetError> {
    if Path::new(configured).is_absolute()
        && let Ok(url) = Url::from_directory_path(configured)
    {
        return Ok(url);
    }
    Url::parse(configured).map_err(|source| NetError::BadRegistry {
        name: name.clone(),
        url: Url::parse(configured).map_or_else(|_| configured.to_owned(), |url| shown(&url)),
        source,
    })
}

fn default_url(name: &RegistryName) -> Option<Url> {
    let url = match name.as_str() {
        "pypi" => return Url::parse(PYPI_URL.as_str()).ok(),
        "python-build-standalone" => return standalone_url(),
        "debian" => format!("http://deb.{DEBIAN}.org/{DEBIAN}"),
        "debian-security" => format!("http://deb.{DEBIAN}.org/{DEBIAN}-security"),
        "debian-snapshot" => format!("http://snapshot.{DEBIAN}.org/archive"),
        _ => return None,
    };
    Url::parse(&url).ok()
}

/// Returns the part that the URLs of all standalone interpreters in uv's list have in common.
fn standalone_url() -> Option<Url> {
    let list = ManagedPythonDownloadList::new_only_embedded().ok()?;
    let request = PythonDownloadRequest::default().with_any_arch();
    let download = list.find(&request).ok()?;
    // The last is the place where they are published; those before are mirrors.
    let file = download.download_urls(None, None).ok()?.pop()?;
    let mut root = Url::parse(file.as_str()).ok()?;
    // `…/RELEASE/FILE`
    root.path_segments_mut().ok()?.pop().pop();
    Some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::new("store".into(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_name_with_a_default_has_a_url() {
        for name in [
            "pypi",
            "python-build-standalone",
            "debian",
            "debian-security",
            "debian-snapshot",
        ] {
            let url = registry_url(&context(), &name.parse().unwrap());
            assert!(url.is_ok(), "{name}: {url:?}");
        }
        let error = registry_url(&context(), &"extra-1".parse().unwrap()).unwrap_err();
        assert!(matches!(error, NetError::UnknownRegistry { .. }));
    }

    #[test]
    fn standalone_interpreters_lie_below_release_and_file() {
        let url = standalone_url().unwrap();
        assert!(url.path().ends_with("/download"), "{url}");
    }

    #[test]
    fn configuration_goes_before_the_default() {
        let mut context = context();
        let name: RegistryName = "pypi".parse().unwrap();
        for (configured, url) in [
            ("http://mirror.test/simple/", "http://mirror.test/simple/"),
            ("/srv/my mirror", "file:///srv/my%20mirror/"),
        ] {
            context
                .registries
                .insert(name.clone(), configured.to_owned());
            assert_eq!(registry_url(&context, &name).unwrap().as_str(), url);
        }
        context.registries.insert(name.clone(), "mirror".to_owned());
        let error = registry_url(&context, &name).unwrap_err();
        assert!(matches!(error, NetError::BadRegistry { .. }));
    }

    #[test]
    fn paths_are_joined_as_plain_text() {
        for (base, path, url) in [
            ("http://h.test", "a/b", "http://h.test/a/b"),
            (
                "http://h.test/x/",
                "a b+%?#",
                "http://h.test/x/a%20b%2B%25%3F%23",
            ),
            ("http://h.test/x?t=1", "a~1", "http://h.test/x/a~1?t=1"),
        ] {
            assert_eq!(join(&Url::parse(base).unwrap(), path).as_str(), url);
        }
    }

    #[test]
    fn snapshots_are_named_by_time() {
        let url = snapshot_url(
            &context(),
            &"debian-security".parse().unwrap(),
            "2026-11-01T02:03:04Z".parse().unwrap(),
        )
        .unwrap();
        assert!(
            url.path()
                .ends_with("/archive/debian-security/20261101T020304Z")
        );
    }
}
