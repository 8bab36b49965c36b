//! `conda-lock.yml`, version 1: <https://github.com/conda/ceps/blob/main/cep-0037.md>.

use std::path::Path;

use rattler_conda_lock::{Document, ErrorKind, Manager, Package};

use crate::foreign::conda_file::{CondaFile, Distribution};
use crate::foreign::reading::Reading;
use crate::foreign::{Choice, ForeignError, ForeignLock, Format, LeftOutReason};

/// The category of what is installed when nothing else is chosen.
const MAIN: &str = "main";

/// Reads the text of the `conda-lock.yml` at `file`.
pub(super) fn read(text: &str, file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let format = Format::CondaLock;
    let reading = Reading { file, format };
    let document = Document::parse(text).map_err(|error| match error.kind() {
        ErrorKind::UnsupportedVersion => reading.version(written_version(text), "version 1"),
        _ => reading.syntax(error),
    })?;
    let lock = document.lock_file();
    let channels = lock
        .metadata
        .channels
        .iter()
        .map(|channel| channel.url.clone());
    let mut found = CondaFile::new(channels.collect());
    let mut categories = vec![MAIN.to_owned()];
    categories.extend(choice.groups.iter().cloned());
    reading.check(&lock.package, &categories, &mut found)?;
    for subdir in &lock.metadata.platforms {
        let Some(platform) = found.platform(subdir) else {
            continue;
        };
        let packages = lock
            .package
            .iter()
            .filter(|package| package.platform == *subdir);
        for package in packages.filter(|package| categories.contains(&package.category)) {
            found.needed.extend(
                package
                    .dependencies
                    .keys()
                    .map(|name| name.to_ascii_lowercase()),
            );
            let sha256 = package.hash.sha256.as_deref();
            if sha256.is_none() {
                let what = format!("digest of {}", package.name);
                found.leave(what, LeftOutReason::OtherDigest);
            }
            match package.manager {
                Manager::Conda => {
                    let (name, version) = (&package.name, &package.version);
                    let build = package.build.as_deref();
                    let mut pin =
                        reading.conda_pin(name, version, build, platform, &package.url)?;
                    let entry = format!("package `{name}`");
                    pin.digest = sha256.map(|hex| reading.sha256(&entry, hex)).transpose()?;
                    found.pins.conda.push(pin);
                }
                Manager::Pip => found.distribution(
                    reading,
                    Distribution {
                        name: &package.name,
                        version: &package.version,
                        platform,
                        place: &package.url,
                        index: None,
                        sha256,
                    },
                )?,
            }
        }
    }
    Ok(found.finish(format))
}

impl Reading<'_> {
    /// Checks that the chosen categories are there, and tells of the others.
    fn check(
        self,
        packages: &[Package],
        chosen: &[String],
        found: &mut CondaFile,
    ) -> Result<(), ForeignError> {
        let mut known: Vec<&str> = packages.iter().map(|package| &*package.category).collect();
        known.sort_unstable();
        known.dedup();
        let is_known = |name: &&String| *name == MAIN || known.contains(&name.as_str());
        if let Some(unknown) = chosen.iter().find(|name| !is_known(name)) {
            let known = known.into_iter().map(str::to_owned);
            return Err(self.unknown("category", unknown, known));
        }
        for category in known {
            if !chosen.iter().any(|name| name == category) {
                found.leave(format!("category {category}"), LeftOutReason::NotChosen);
            }
        }
        Ok(())
    }
}

/// Returns what stands behind `version:`.
fn written_version(text: &str) -> &str {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("version:"));
    lines.next().unwrap_or_default().trim()
}
