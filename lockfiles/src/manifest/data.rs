//! `[data]`: what a step reads besides the project's code.

use std::path::{Path, PathBuf};

use url::Url;

use crate::base::Digest;
use crate::manifest::error::ManifestError;
use crate::manifest::keys;
use crate::manifest::sandbox::path_inside;
use crate::manifest::schema::{Datum, SandboxPolicy};
use crate::manifest::table::Value;

/// Reads all entries; returns them sorted by path.
pub(super) fn data(value: Value<'_>, sandbox: &SandboxPolicy) -> Result<Vec<Datum>, ManifestError> {
    let mut data: Vec<Datum> = Vec::new();
    for (path, value) in value.free_table()? {
        let datum = datum(path, value)?;
        let overlaps =
            |other: &Path| datum.path.starts_with(other) || other.starts_with(&datum.path);
        if data.iter().any(|other| overlaps(&other.path)) {
            return Err(value.invalid(path, "neither in another entry nor around one"));
        }
        if sandbox.outputs.iter().any(|output| overlaps(output)) {
            return Err(value.invalid(path, "no part of `[sandbox] outputs`, nor around one"));
        }
        data.push(datum);
    }
    data.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(data)
}

fn datum(path: &str, value: Value<'_>) -> Result<Datum, ManifestError> {
    let table = value.table(&keys::DATUM)?;
    let sha256 = table.need("sha256")?;
    let url = table.map("url", url)?;
    let size = table.map("size", |value| value.integer("a number of bytes"))?;
    if url.is_some() {
        // Without it nobody could tell a download that was cut from one that is whole.
        table.need("size")?;
    }
    Ok(Datum {
        path: clean(path_inside(value, path)?),
        sha256: digest(sha256)?,
        size,
        url,
    })
}

/// Returns the path without `.` in it.
fn clean(path: PathBuf) -> PathBuf {
    path.components().collect()
}

fn digest(value: Value<'_>) -> Result<Digest, ManifestError> {
    let text = value.str()?;
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    Digest::from_hex(hex).map_err(|_| value.invalid(text, "64 lower-case hex digits"))
}

fn url(value: Value<'_>) -> Result<String, ManifestError> {
    const EXPECTED: &str = "a URL that begins with `https://`, `http://` or `file://`";
    let text = value.str()?;
    match Url::parse(text) {
        Ok(url) if ["https", "http", "file"].contains(&url.scheme()) => Ok(text.to_owned()),
        _ => Err(value.invalid(text, EXPECTED)),
    }
}
