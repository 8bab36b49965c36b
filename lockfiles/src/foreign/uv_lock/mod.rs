//! `uv.lock`, as uv 0.5 and later write it.
//!
//! Its graph is not taken: the resolution makes it anew from the wheels' own metadata, and the pins
//! decide the versions and files in it.

mod asked;
mod wire;

use std::collections::BTreeSet;
use std::path::Path;

use uv_pep440::VersionSpecifiers;
use uv_pep508::MarkerTree;

use crate::base::PythonName;
use crate::foreign::outline::Outline;
use crate::foreign::reading::{Reading, is_default_index};
use crate::foreign::uv_lock::asked::Asked;
use crate::foreign::uv_lock::wire::{LockWire, PackageWire, SourceWire, VersionWire, WheelWire};
use crate::foreign::{
    Choice, ForeignError, ForeignLock, Format, LeftOut, LeftOutReason, python_choice,
};
use crate::resolve::{PinSource, PinnedFile, Pins, PythonPin, Unkept};

/// uv raises `revision` for what older readers may ignore.
const VERSION: u64 = 1;

/// Reads the text of the `uv.lock` at `file`.
pub(super) fn read(text: &str, file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let format = Format::UvLock;
    let reading = Reading { file, format };
    // First: another version may have another shape.
    let VersionWire { version } = reading.toml(text)?;
    match version {
        VERSION => reading.uv_lock(&reading.toml(text)?, choice),
        other => Err(reading.version(&other.to_string(), "version 1")),
    }
}

impl Reading<'_> {
    fn uv_lock(self, wire: &LockWire, choice: &Choice) -> Result<ForeignLock, ForeignError> {
        let mut left_out = Vec::new();
        let mut pins = Pins::default();
        let mut indexes = BTreeSet::new();
        for package in &wire.packages {
            if package.is_member() {
                continue;
            }
            pins.python.push(self.uv_pin(package, &mut left_out)?);
            indexes.extend(
                package
                    .source
                    .registry()
                    .filter(|url| !is_default_index(url)),
            );
        }
        let requires_python = wire.requires_python.as_deref().map(|text| {
            self.value::<VersionSpecifiers>("`requires-python`", "a version specifier", text)
        });
        let requires_python = requires_python.transpose()?;
        let asked = Asked::of(self, wire, choice, &mut left_out)?;
        Ok(ForeignLock {
            format: Format::UvLock,
            outline: Outline {
                name: asked.name,
                python: python_choice::python(requires_python.as_ref(), &pins),
                requirements: asked.requirements,
                constraints: asked.constraints,
                overrides: asked.overrides,
                extra_indexes: indexes.into_iter().map(str::to_owned).collect(),
                ..Outline::default()
            },
            pins,
            left_out,
        })
    }

    fn uv_pin(
        self,
        package: &PackageWire,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<PythonPin, ForeignError> {
        let entry = format!("package `{}`", package.name);
        let name: PythonName = self.value(&entry, "a package name", &package.name)?;
        let mut marker = MarkerTree::TRUE;
        if !package.resolution_markers.is_empty() {
            marker = MarkerTree::FALSE;
            for text in &package.resolution_markers {
                marker = marker.or(self.value(&entry, "a marker (PEP 508)", text)?);
            }
        }
        let source = match &package.source {
            SourceWire::Registry { .. } if package.wheels.is_empty() => {
                PinSource::Unkept(Unkept::SourceOnly)
            }
            SourceWire::Registry { registry } => PinSource::Index(Some(registry.clone())),
            SourceWire::Url { url } if url.ends_with(".whl") => PinSource::Url(url.clone()),
            SourceWire::Url { .. } => PinSource::Unkept(Unkept::SourceOnly),
            SourceWire::Git { .. } => PinSource::Unkept(Unkept::Repository),
            SourceWire::Path { .. } => PinSource::Unkept(Unkept::File),
            SourceWire::Directory { .. }
            | SourceWire::Editable { .. }
            | SourceWire::Virtual { .. } => PinSource::Unkept(Unkept::Directory),
        };
        let mut files = Vec::new();
        for wheel in &package.wheels {
            match self.uv_file(&entry, wheel)? {
                Some(file) => files.push(file),
                None => left_out.push(LeftOut {
                    what: format!("digest of {}", wheel.name().unwrap_or_default()),
                    reason: LeftOutReason::OtherDigest,
                }),
            }
        }
        Ok(PythonPin {
            name,
            version: package.version.clone().unwrap_or_default(),
            marker,
            source,
            files,
        })
    }

    /// Returns a wheel as it is pinned, unless its digest is not by SHA-256.
    fn uv_file(self, entry: &str, wheel: &WheelWire) -> Result<Option<PinnedFile>, ForeignError> {
        let Some(hex) = wheel
            .hash
            .as_deref()
            .and_then(|hash| hash.strip_prefix("sha256:"))
        else {
            return Ok(None);
        };
        Ok(Some(PinnedFile {
            file: wheel.name(),
            size: wheel.size,
            digest: self.sha256(entry, hex)?,
        }))
    }
}
