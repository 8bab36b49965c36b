//! `[debian]`.

use crate::manifest::error::ManifestError;
use crate::manifest::scalar::url;
use crate::manifest::schema::Debian;
use crate::manifest::table::{Table, Value};

pub(super) fn debian(table: &Table<'_>) -> Result<Debian, ManifestError> {
    Ok(Debian {
        suite: table.map("suite", suite)?,
        snapshot: table.map("snapshot", snapshot)?,
        packages: table.list("packages", Value::name)?,
        security: table.map("security", Value::boolean)?,
        mirror: table.map("mirror", url)?,
        security_mirror: table.map("security-mirror", url)?,
    })
}

fn suite(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match starts_well && text.bytes().all(valid) {
        true => Ok(text.to_owned()),
        false => Err(value.invalid(text, "the name of a suite like `bookworm`")),
    }
}

fn snapshot(value: Value<'_>) -> Result<String, ManifestError> {
    const EXPECTED: &str = "a time like `20261101T000000Z`";
    let text = value.str_of(EXPECTED)?;
    // The parser would take fewer digits as well; the archive knows only this spelling.
    let is_whole = text.len() == "20261101T000000Z".len();
    match jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text) {
        Ok(_) if is_whole => Ok(text.to_owned()),
        _ => Err(value.invalid(text, EXPECTED)),
    }
}
