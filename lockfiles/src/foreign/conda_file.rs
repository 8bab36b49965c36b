//! What `pixi.lock` and `conda-lock.yml` have in common.

use std::collections::BTreeSet;

use crate::base::{CondaName, Platform};
use crate::foreign::channels::channel;
use crate::foreign::outline::{Outline, OutlineConda};
use crate::foreign::reading::{Reading, is_default_index};
use crate::foreign::{ForeignError, ForeignLock, Format, LeftOut, LeftOutReason};
use crate::resolve::{CondaPin, PinSource, PinnedFile, Pins, PythonPin, Unkept};

/// A lockfile of conda packages, and of distributions around them, while it is read.
pub(super) struct CondaFile {
    pub(super) name: Option<String>,
    pub(super) channels: Vec<String>,
    pub(super) pins: Pins,
    /// Names that some package depends on.
    pub(super) needed: BTreeSet<String>,
    pub(super) left_out: Vec<LeftOut>,
}

impl CondaFile {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            name: None,
            channels,
            pins: Pins::default(),
            needed: BTreeSet::new(),
            left_out: Vec::new(),
        }
    }

    /// Returns the platform of a subdir, and tells of one that is none of envbox's.
    pub(super) fn platform(&mut self, subdir: &str) -> Option<Platform> {
        let known = Platform::ALL.into_iter();
        let found = known
            .into_iter()
            .find(|platform| platform.conda_subdir() == subdir);
        if found.is_none() {
            self.leave(format!("platform {subdir}"), LeftOutReason::OtherPlatform);
        }
        found
    }

    pub(super) fn leave(&mut self, what: String, reason: LeftOutReason) {
        self.left_out.push(LeftOut { what, reason });
    }

    /// Adds a distribution that pip installs: its URL says which file it is.
    pub(super) fn distribution(
        &mut self,
        reading: Reading<'_>,
        found: Distribution<'_>,
    ) -> Result<(), ForeignError> {
        let entry = format!("package `{}`", found.name);
        let marker = format!("platform_machine == '{}'", found.platform.machine());
        let place = found.place.split(['?', '#']).next().unwrap_or_default();
        let file = place
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace("%2B", "+");
        let has_url = place.contains("://");
        let source = match (found.index, place) {
            _ if place.starts_with("git+") => PinSource::Unkept(Unkept::Repository),
            (_, place) if !place.ends_with(".whl") => match has_url {
                true => PinSource::Unkept(Unkept::SourceOnly),
                false => PinSource::Unkept(Unkept::Directory),
            },
            (index, _) => PinSource::Index(index.map(str::to_owned)),
        };
        let files = match (&source, found.sha256) {
            (PinSource::Index(_), Some(hex)) => vec![PinnedFile {
                file: Some(file),
                size: None,
                digest: reading.sha256(&entry, hex)?,
            }],
            _ => Vec::new(),
        };
        self.pins.python.push(PythonPin {
            name: reading.value(&entry, "a package name", found.name)?,
            version: found.version.to_owned(),
            marker: reading.value(&entry, "a marker", &marker)?,
            source,
            files,
        });
        Ok(())
    }

    /// Returns what was read, with an outline that asks for what nothing else asks for: those that
    /// were asked for by name are not told from the others.
    pub(super) fn finish(self, format: Format) -> ForeignLock {
        let pins = &self.pins;
        let indexes = pins.python.iter().filter_map(|pin| match &pin.source {
            PinSource::Index(Some(url)) if !is_default_index(url) => Some(url.clone()),
            _ => None,
        });
        let indexes: BTreeSet<_> = indexes.collect();
        let platforms: BTreeSet<_> = pins.conda.iter().map(|pin| pin.platform).collect();
        let asked = |name: &CondaName| !self.needed.contains(name.as_str());
        let dependencies = pins.conda.iter().filter(|pin| asked(&pin.name));
        // Builds differ from platform to platform; the pins decide them.
        let dependencies: BTreeSet<_> = dependencies
            .map(|pin| format!("{} =={}", pin.name, pin.version))
            .collect();
        let requirements = pins
            .python
            .iter()
            .filter(|pin| !self.needed.contains(pin.name.as_str()));
        let requirements: BTreeSet<_> = requirements
            .map(|pin| format!("{}=={}", pin.name, pin.version))
            .collect();
        ForeignLock {
            format,
            outline: Outline {
                name: self.name,
                requirements: requirements.into_iter().collect(),
                extra_indexes: indexes.into_iter().collect(),
                platforms: platforms.into_iter().collect(),
                conda: OutlineConda {
                    channels: self.channels.iter().map(|text| channel(text)).collect(),
                    dependencies: dependencies.into_iter().collect(),
                    ..OutlineConda::default()
                },
                ..Outline::default()
            },
            pins: self.pins,
            left_out: self.left_out,
        }
    }
}

/// A distribution as these lockfiles have it.
pub(super) struct Distribution<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) platform: Platform,
    pub(super) place: &'a str,
    pub(super) index: Option<&'a str>,
    pub(super) sha256: Option<&'a str>,
}

/// Returns `subdir/file` of the URL of a conda package.
pub(super) fn subdir_and_file(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let mut parts = path.rsplit('/');
    let (file, subdir) = (parts.next()?, parts.next()?);
    Some(format!("{subdir}/{file}"))
}

/// Returns the name at the beginning of a MatchSpec or a PEP 508 text.
pub(super) fn name_of(text: &str) -> String {
    let text = text.rsplit("::").next().unwrap_or(text).trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    text[..end.unwrap_or(text.len())].to_ascii_lowercase()
}

impl Reading<'_> {
    /// Makes a pin of a conda package.
    pub(super) fn conda_pin(
        self,
        name: &str,
        version: &str,
        build: Option<&str>,
        platform: Platform,
        url: &str,
    ) -> Result<CondaPin, ForeignError> {
        let entry = format!("package `{name}`");
        Ok(CondaPin {
            name: self.value(&entry, "a package name", name)?,
            version: version.to_owned(),
            build: build.map(str::to_owned),
            platform,
            file: subdir_and_file(url).unwrap_or_default(),
            size: None,
            digest: None,
        })
    }
}
