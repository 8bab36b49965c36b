//! Documents that a command makes: into a file, or to standard output.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use envbox::base::{Digest, fs};
use envbox::ops;
use serde::Serialize;

use crate::ambient;
use crate::commands::Session;
use crate::render::{self, Failure};

/// A document that was written.
#[derive(Serialize)]
struct WrittenReport {
    file: PathBuf,
    digest: Digest,
    size: usize,
}

/// Writes a document where the user wants it. To standard output it goes as it is, also with
/// `--json`: it is what was asked for, in a format of its own.
pub(super) fn write(
    session: &Session,
    schema: &str,
    bytes: &[u8],
    file: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let Some(file) = file else {
        render::result(&String::from_utf8_lossy(bytes))?;
        return Ok(ExitCode::SUCCESS);
    };
    let file = ambient::absolute(file)?;
    fs::write_atomic(&file, bytes).map_err(ops::Error::from)?;
    let report = WrittenReport {
        file,
        digest: Digest::of(bytes),
        size: bytes.len(),
    };
    session.tell(schema, &report, |report| {
        format!("wrote `{}`\n", report.file.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
