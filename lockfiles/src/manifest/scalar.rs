//! Values that several tables have: times and URLs.

use jiff::Timestamp;
use url::Url;

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::table::Value;

/// Reads a time with its offset, or a date, which means the start of that day in UTC: what it
/// means must not depend on the time zone of who reads it.
pub(super) fn time(value: Value<'_>) -> Result<Timestamp, ManifestError> {
    const EXPECTED: &str = "a date or a time like `2026-11-01T00:00:00Z`";
    let text = value.date_text(EXPECTED)?;
    let whole = match text.len() == "2026-11-01".len() {
        true => format!("{text}T00:00:00Z"),
        false => text.to_string(),
    };
    let error = match whole.parse::<Timestamp>() {
        Ok(time) => return Ok(time),
        Err(error) => error,
    };
    let is_local = whole.parse::<jiff::civil::DateTime>().is_ok();
    Err(value.error(Problem::Invalid {
        found: text.into_owned(),
        expected: EXPECTED,
        source: (!is_local).then(|| error.into()),
        remedy: is_local.then_some("add the offset from UTC: `Z` when it is UTC"),
    }))
}

/// Reads the URL of something that is asked over a protocol envbox has.
pub(super) fn url(value: Value<'_>) -> Result<String, ManifestError> {
    let url: Url = value.parse("a URL")?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url.to_string()),
        _ => Err(value.invalid(url.as_str(), "an `http`, `https` or `file` URL")),
    }
}

/// Reads a URL, or a directory beside the manifest.
pub(super) fn url_or_directory(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    if text.contains("://") {
        return url(value);
    }
    let invalid = || value.invalid(text, "a URL or a directory");
    let directory = value.source.directory().join(text);
    let directory = std::path::absolute(directory).map_err(|_| invalid())?;
    let url = Url::from_directory_path(directory).map_err(|()| invalid())?;
    Ok(url.to_string())
}
