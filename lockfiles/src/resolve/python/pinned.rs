//! Another tool's choices as uv takes them, and whether uv came to them.

use std::str::FromStr as _;
use std::sync::Arc;

use uv_distribution_types::{IndexMetadata, Requirement, RequirementSource, VersionId};
use uv_pypi_types::{HashAlgorithm, HashDigest, VerbatimParsedUrl};
use uv_types::HashStrategy;

use crate::lock::{LockedWheel, Origin};
use crate::manifest::Python;
use crate::resolve::python::error::UnkeptPackage;
use crate::resolve::python::indexes::Indexes;
use crate::resolve::python::solve::package_name;
use crate::resolve::python::target::Target;
use crate::resolve::python::{PythonError, PythonRequest};
use crate::resolve::{PinSource, PythonPin};

/// The pins that hold for a target.
pub(super) struct Pinned<'a> {
    pins: Vec<&'a PythonPin>,
}

impl<'a> Pinned<'a> {
    /// Returns those of the request's pins that hold for `target`.
    ///
    /// # Errors
    /// Returns [`PythonError::OtherEnvironment`] when the pins were chosen for other environments.
    pub(super) fn of(request: PythonRequest<'a>, target: &Target) -> Result<Self, PythonError> {
        let pins = request.pins;
        let markers = &target.markers;
        let environments = &pins.environments;
        if !environments.is_empty() && !environments.iter().any(|at| at.evaluate(markers, &[])) {
            let shown = environments.iter().filter_map(|at| at.try_to_string());
            return Err(PythonError::OtherEnvironment {
                platform: request.platform,
                python: request.python_version.to_owned(),
                environments: shown.collect(),
            });
        }
        let holds = |pin: &&PythonPin| {
            pin.marker
                .evaluate_pep751(markers, &pins.extras, &pins.groups)
        };
        Ok(Self {
            pins: pins.python.iter().filter(holds).collect(),
        })
    }

    /// Returns a constraint for each pin: other than an override it leaves extras as they are asked
    /// for, and a contradiction is explained.
    pub(super) fn constraints(
        &self,
        python: &Python,
        indexes: &Indexes,
    ) -> Result<Vec<Requirement>, PythonError> {
        let mut constraints = Vec::new();
        for pin in &self.pins {
            let (text, index) = match &pin.source {
                PinSource::Index(index) => (format!("{}=={}", pin.name, pin.version), index),
                PinSource::Url(url) => (format!("{} @ {url}", pin.name), &None),
                PinSource::Unkept(_) => continue,
            };
            let parsed = uv_pep508::Requirement::<VerbatimParsedUrl>::from_str(&text);
            let mut constraint =
                Requirement::from(parsed.map_err(|source| PythonError::Requirement {
                    list: "the lock",
                    text: text.clone(),
                    source: Box::new(source),
                })?);
            let index = index.as_deref();
            // The first index that has a project is the only one asked for it, unless it is said.
            if let RequirementSource::Registry { index: at, .. } = &mut constraint.source
                && let Some(url) = index.and_then(|index| indexes.located(python, index))
            {
                *at = Some(IndexMetadata::from(url.clone()));
            }
            constraints.push(constraint);
        }
        Ok(constraints)
    }

    /// Returns what makes uv take the files that are pinned, and no others.
    pub(super) fn hashes(&self) -> HashStrategy {
        let mut hashes = Vec::<(VersionId, Vec<HashDigest>)>::new();
        for pin in &self.pins {
            if let (PinSource::Index(_), Ok(version)) = (&pin.source, pin.version.parse())
                && !pin.files.is_empty()
            {
                let id = VersionId::from_registry(package_name(pin.name.as_str()), version);
                let digests = pin.files.iter().map(|file| HashDigest {
                    algorithm: HashAlgorithm::Sha256,
                    digest: file.digest.hex().into(),
                });
                hashes.push((id, digests.collect()));
            }
        }
        match hashes.is_empty() {
            true => HashStrategy::None,
            false => HashStrategy::Verify(Arc::new(hashes.into_iter().collect())),
        }
    }

    /// Checks that `wheels` are what is pinned, as far as they are pinned at all.
    ///
    /// # Errors
    /// Returns [`PythonError::Unkept`] or [`PythonError::NotPinned`].
    pub(super) fn check(&self, wheels: &[LockedWheel]) -> Result<(), PythonError> {
        let pinned = |wheel: &LockedWheel| self.pins.iter().find(|pin| pin.name == wheel.name);
        let unkept = wheels
            .iter()
            .filter_map(|wheel| match pinned(wheel)?.source {
                PinSource::Unkept(reason) => Some(UnkeptPackage {
                    name: wheel.name.clone(),
                    reason,
                    required_by: wheel.required_by.clone(),
                }),
                _ => None,
            });
        let unkept: Vec<_> = unkept.collect();
        if !unkept.is_empty() {
            return Err(PythonError::Unkept { packages: unkept });
        }
        for wheel in wheels {
            if let Some(pin) = pinned(wheel) {
                check(pin, wheel)?;
            }
        }
        Ok(())
    }

    /// Returns what may be the reason that a resolution failed.
    pub(super) fn suspects(&self) -> Vec<String> {
        if self.pins.is_empty() {
            return Vec::new();
        }
        let unkept = self.pins.iter().filter_map(|pin| match pin.source {
            PinSource::Unkept(reason) => Some(format!(
                "`{}` of the other tool's lockfile cannot be kept: {reason}",
                pin.name
            )),
            _ => None,
        });
        let contradicted = "if a pin of the other tool's lockfile, `==`, contradicts the manifest, loosen \
                            the manifest or lock anew with that tool";
        unkept.chain([contradicted.to_owned()]).collect()
    }
}

fn check(pin: &PythonPin, wheel: &LockedWheel) -> Result<(), PythonError> {
    let mismatch = |pinned: String, found: String| {
        let registry = match &wheel.artifact.origin {
            Origin::Registry(registry) => Some(registry.clone()),
            Origin::Url(_) | Origin::Built => None,
        };
        Err(PythonError::NotPinned {
            registry,
            file: wheel.artifact.file.clone(),
            pinned,
            found,
        })
    };
    // `==1.0` is met by `1.0+local`.
    if !pin.is_version(&wheel.version) {
        return mismatch(pin.version.clone(), wheel.version.clone());
    }
    let artifact = &wheel.artifact;
    let same = pin.files.iter().find(|file| file.digest == artifact.digest);
    match (same, pin.files.first()) {
        (None, None) => Ok(()),
        (None, Some(first)) => {
            let named =
                |file: &&crate::resolve::PinnedFile| file.file.as_ref() == Some(&artifact.file);
            let pinned = pin.files.iter().find(named).unwrap_or(first);
            mismatch(pinned.digest.to_string(), artifact.digest.to_string())
        }
        (Some(file), _) => match file.size {
            Some(size) if size != artifact.size => {
                mismatch(format!("{size} bytes"), format!("{} bytes", artifact.size))
            }
            _ => Ok(()),
        },
    }
}
