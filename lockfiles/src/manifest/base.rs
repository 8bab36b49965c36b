//! `[base]`.

use std::path::Path;

use crate::base::{ImageReference, InvalidDigest, InvalidRepository, RegistryName, Repository};
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::python::RESERVED;
use crate::manifest::schema::{BaseImage, Environment, InterpreterSource};
use crate::manifest::table::Value;

/// The registry of images that are not said to be another's.
pub(super) const IMAGES: &str = "images";

/// What an image in a directory begins with, as other tools write it.
const LAYOUT: &str = "oci:";

const EXPECTED: &str =
    "an image like `registry.example/debian@sha256:…` or `oci:DIRECTORY@sha256:…`";

/// Reads the table. `debian` is the one beside it, if there is one.
pub(super) fn base(
    value: Value<'_>,
    environment: &Environment,
    debian: Option<Value<'_>>,
) -> Result<BaseImage, ManifestError> {
    let table = value.table(&keys::BASE)?;
    let registry = table.map("registry", registry)?;
    let registry = registry.unwrap_or_else(|| IMAGES.parse().expect("it is a name"));
    let image = image(table.need("image")?, registry)?;
    if let Some(debian) = debian {
        return Err(debian.error(Problem::TwoBases));
    }
    let python = environment.python.as_ref();
    if python.is_some_and(|python| python.from == Some(InterpreterSource::Debian)) {
        return Err(value.error(Problem::ImagePython));
    }
    Ok(image)
}

fn registry(value: Value<'_>) -> Result<RegistryName, ManifestError> {
    let name: RegistryName = value.name()?;
    match RESERVED.contains(&name.as_str()) && name.as_str() != IMAGES {
        true => Err(value.invalid(name.as_str(), "the name of a registry of images")),
        false => Ok(name),
    }
}

fn image(value: Value<'_>, registry: RegistryName) -> Result<BaseImage, ManifestError> {
    let text = value.str()?;
    let Some((name, digest)) = text.rsplit_once('@') else {
        let found = text.to_owned();
        return Err(value.error(Problem::NoDigest { found }));
    };
    let at_digest = name.len() + 1..text.len();
    let digest = digest.parse().map_err(|error: InvalidDigest| {
        let problem = Problem::Invalid {
            found: text[at_digest.clone()].to_owned(),
            expected: "the digest of an image",
            source: Some(Box::new(error)),
            remedy: None,
        };
        value.error_within(at_digest.clone(), problem)
    })?;
    let (place, repository) = match name.strip_prefix(LAYOUT) {
        Some(directory) => layout(value, directory)?,
        None => in_registry(value, name)?,
    };
    Ok(BaseImage {
        reference: ImageReference {
            registry,
            repository,
            digest,
        },
        place,
    })
}

/// Reads `[HOST/]REPOSITORY[:TAG]`; what comes first is a host when it could be no repository's
/// name alone. Beside a digest, a tag is for people.
fn in_registry(
    value: Value<'_>,
    name: &str,
) -> Result<(Option<String>, Repository), ManifestError> {
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if is_host(host) => (Some(host), path),
        _ => (None, name),
    };
    let path = path.split_once(':').map_or(path, |(path, _)| path);
    let repository = repository(value, path)?;
    let Some(host) = host else {
        return Ok((None, repository));
    };
    let (bare, _) = host.split_once(':').unwrap_or((host, ""));
    let scheme = match bare {
        // As every tool does: nobody has certificates for these.
        "localhost" | "127.0.0.1" => "http",
        _ => "https",
    };
    let place = url::Url::parse(&format!("{scheme}://{host}"));
    let plain = |url: &url::Url| url.path() == "/" && url.username().is_empty();
    match place.ok().filter(plain) {
        Some(place) => Ok((Some(place.to_string()), repository)),
        None => Err(value.invalid(host, "the host of a registry")),
    }
}

/// Reads the directory of an OCI layout, beside the manifest. Its name is that of the repository.
fn layout(
    value: Value<'_>,
    directory: &str,
) -> Result<(Option<String>, Repository), ManifestError> {
    let invalid = || value.invalid(value.str().unwrap_or_default(), EXPECTED);
    let path = Path::new(directory);
    let name = path.file_name().and_then(|name| name.to_str());
    let repository = repository(value, name.ok_or_else(invalid)?)?;
    let absolute = std::path::absolute(value.source.directory().join(path));
    let url = absolute
        .ok()
        .and_then(|path| url::Url::from_directory_path(path).ok());
    Ok((Some(url.ok_or_else(invalid)?.to_string()), repository))
}

fn repository(value: Value<'_>, text: &str) -> Result<Repository, ManifestError> {
    text.parse().map_err(|error: InvalidRepository| {
        value.error(Problem::Invalid {
            found: value.str().unwrap_or_default().to_owned(),
            expected: EXPECTED,
            source: Some(Box::new(error)),
            remedy: None,
        })
    })
}
