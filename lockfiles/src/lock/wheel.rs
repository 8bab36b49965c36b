//! `[[python]]`: wheels, and what some are built from, as the lock writes and reads them.

use serde::Deserialize;

use crate::base::{Platform, PythonName, RegistryName};
use crate::lock::schema::{BuiltFrom, LockedWheel};
use crate::lock::wire::{ArtifactWire, InvalidEntry, platforms};
use crate::lock::write::{artifact, list, platforms as platforms_field, string};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WheelWire {
    name: PythonName,
    version: String,
    platforms: Option<Vec<Platform>>,
    registry: Option<RegistryName>,
    url: Option<String>,
    file: String,
    size: u64,
    sha256: String,
    required_by: Vec<String>,
    built_from: Option<Box<BuiltFromWire>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltFromWire {
    registry: Option<RegistryName>,
    url: Option<String>,
    file: String,
    size: u64,
    sha256: String,
    #[serde(default)]
    requires: Vec<WheelWire>,
}

impl WheelWire {
    pub(super) fn into_wheel(self, all: &[Platform]) -> Result<LockedWheel, InvalidEntry> {
        let entry = format!("{} {}", self.name, self.version);
        check_wheel_name(&entry, &self.name, &self.version, &self.file)?;
        let artifact = ArtifactWire {
            registry: self.registry,
            url: self.url,
            file: self.file,
            size: self.size,
            sha256: self.sha256,
        };
        let built_from = self.built_from.map(|wire| wire.into_source(&entry, all));
        let built_from = built_from.transpose()?.map(Box::new);
        Ok(LockedWheel {
            artifact: match &built_from {
                Some(_) => artifact.into_built(&entry)?,
                None => artifact.into_artifact(&entry)?,
            },
            built_from,
            name: self.name,
            version: self.version,
            platforms: platforms(&entry, self.platforms, all)?,
            required_by: self.required_by,
        })
    }
}

impl BuiltFromWire {
    fn into_source(self, entry: &str, all: &[Platform]) -> Result<BuiltFrom, InvalidEntry> {
        let source = ArtifactWire {
            registry: self.registry,
            url: self.url,
            file: self.file,
            size: self.size,
            sha256: self.sha256,
        };
        let wheel = |wire: WheelWire| match wire.built_from {
            None => wire.into_wheel(all),
            Some(_) => {
                let problem = "what a wheel is built with is not built itself";
                Err(InvalidEntry::new(entry, problem))
            }
        };
        Ok(BuiltFrom {
            source: source.into_artifact(entry)?,
            requires: self
                .requires
                .into_iter()
                .map(wheel)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A file name that speaks of another project or version is no file of this one.
fn check_wheel_name(
    entry: &str,
    name: &PythonName,
    version: &str,
    file: &str,
) -> Result<(), InvalidEntry> {
    let invalid = |problem: String| InvalidEntry::new(entry, problem);
    let wheel: uv_distribution_filename::WheelFilename = file
        .parse()
        .map_err(|error| invalid(format!("`{file}` is no wheel file name: {error}")))?;
    if wheel.name.as_str() != name.as_str() || wheel.version.to_string() != version {
        return Err(invalid(format!(
            "`{file}` is a file of {} {}",
            wheel.name, wheel.version
        )));
    }
    Ok(())
}

/// Writes the table of a wheel, and those of its source.
pub(super) fn wheel_tables(text: &mut String, wheel: &LockedWheel, all: &[Platform]) {
    wheel_table(text, "[[python]]", wheel, all);
    if let Some(source) = &wheel.built_from {
        source_tables(text, source, all);
    }
}

fn source_tables(text: &mut String, source: &BuiltFrom, all: &[Platform]) {
    text.push_str("\n[python.built-from]\n");
    artifact(text, &source.source);
    for wheel in &source.requires {
        wheel_table(text, "[[python.built-from.requires]]", wheel, all);
    }
}

fn wheel_table(text: &mut String, header: &str, wheel: &LockedWheel, all: &[Platform]) {
    text.push_str(&format!("\n{header}\n"));
    string(text, "name", wheel.name.as_str());
    string(text, "version", &wheel.version);
    platforms_field(text, &wheel.platforms, all);
    artifact(text, &wheel.artifact);
    list(text, "required-by", &wheel.required_by);
}
