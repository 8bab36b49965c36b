//! Whether a lock still answers its manifest, and if not, why.

use std::fmt::Display;

use crate::base::{DebianName, Explain, ImageReference, Kind, Platform, RegistryName};
use crate::lock::schema::{Lockfile, Request};
use crate::manifest::{InterpreterSource, Prerelease};

/// Checks whether `lock` answers `request`.
///
/// # Errors
/// Returns every reason why it does not.
pub fn satisfies(lock: &Lockfile, request: &Request) -> Result<(), Stale> {
    let locked = &lock.request;
    let mut reasons = Vec::new();
    environment(locked, request, &mut reasons);
    python(locked, request, &mut reasons);
    debian(locked, request, &mut reasons);
    if reasons.is_empty() {
        return Ok(());
    }
    let affected = reasons
        .iter()
        .map(StaleReason::affects)
        .fold(NEITHER, Affected::or);
    Err(Stale { reasons, affected })
}

/// The lock does not answer the manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("the lockfile does not answer the manifest: {}", phrases(reasons))]
pub struct Stale {
    /// Why: at least one reason.
    pub reasons: Vec<StaleReason>,
    /// Which sections of the lock that concerns.
    #[serde(skip)]
    pub affected: Affected,
}

impl Explain for Stale {
    fn kind(&self) -> Kind {
        Kind::Stale
    }

    fn hints(&self) -> Vec<String> {
        vec!["run `envbox lock` to bring the lockfile up to date".to_owned()]
    }
}

/// Which sections of a lock a change concerns; the others can be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affected {
    /// `[[python]]`.
    pub python: bool,
    /// `[base]`, `[interpreter]` and `[[debian.…]]`, which decide each other.
    pub debian: bool,
}

impl Affected {
    fn or(self, other: Self) -> Self {
        Self {
            python: self.python || other.python,
            debian: self.debian || other.debian,
        }
    }
}

const BOTH: Affected = Affected {
    python: true,
    debian: true,
};
const PYTHON: Affected = Affected {
    python: true,
    debian: false,
};
const DEBIAN: Affected = Affected {
    python: false,
    debian: true,
};
const NEITHER: Affected = Affected {
    python: false,
    debian: false,
};

/// One way in which a manifest asks for something else than the lock answers. `locked` is what the
/// lock was made for, `asked` what the manifest says now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(
    tag = "reason",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is its own message")]
pub enum StaleReason {
    #[error("the environment's name changed from `{locked}` to `{asked}`")]
    NameChanged { locked: String, asked: String },
    #[error("the platform `{platform}` was added")]
    PlatformAdded { platform: Platform },
    #[error("the platform `{platform}` was removed")]
    PlatformRemoved { platform: Platform },
    #[error(
        "the Python version changed from {} to {}",
        value(locked),
        value(asked)
    )]
    PythonChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "the interpreter's source changed from {} to {}",
        word(locked),
        word(asked)
    )]
    PythonSourceChanged {
        locked: Option<InterpreterSource>,
        asked: Option<InterpreterSource>,
    },
    #[error("the requirement `{requirement}` was added")]
    RequirementAdded { requirement: String },
    #[error("the requirement `{requirement}` was removed")]
    RequirementRemoved { requirement: String },
    #[error("the constraint `{constraint}` was added")]
    ConstraintAdded { constraint: String },
    #[error("the constraint `{constraint}` was removed")]
    ConstraintRemoved { constraint: String },
    #[error("the override `{requirement}` was added")]
    OverrideAdded { requirement: String },
    #[error("the override `{requirement}` was removed")]
    OverrideRemoved { requirement: String },
    #[error("`exclude-newer` changed from {} to {}", value(locked), value(asked))]
    ExcludeNewerChanged {
        locked: Option<jiff::Timestamp>,
        asked: Option<jiff::Timestamp>,
    },
    #[error("`prerelease` changed from {} to {}", word(&Some(*locked)), word(&Some(*asked)))]
    PrereleaseChanged {
        locked: Prerelease,
        asked: Prerelease,
    },
    #[error(
        "`extra-index-urls` changed from {} to {}",
        names(locked),
        names(asked)
    )]
    ExtraIndexesChanged {
        locked: Vec<RegistryName>,
        asked: Vec<RegistryName>,
    },
    #[error("`find-links` changed from {} to {}", names(locked), names(asked))]
    FindLinksChanged {
        locked: Vec<RegistryName>,
        asked: Vec<RegistryName>,
    },
    #[error("`no-build` changed from `{locked}` to `{asked}`")]
    NoBuildChanged { locked: bool, asked: bool },
    #[error("the Debian suite changed from {} to {}", value(locked), value(asked))]
    SuiteChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "the Debian snapshot changed from {} to {}",
        value(locked),
        value(asked)
    )]
    SnapshotChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "`[debian] security` changed from {} to {}",
        value(locked),
        value(asked)
    )]
    SecurityChanged {
        locked: Option<bool>,
        asked: Option<bool>,
    },
    #[error("the Debian package `{package}` was added")]
    PackageAdded { package: DebianName },
    #[error("the Debian package `{package}` was removed")]
    PackageRemoved { package: DebianName },
    #[error("`[base] image` changed from {} to {}", value(locked), value(asked))]
    BaseChanged {
        locked: Option<ImageReference>,
        asked: Option<ImageReference>,
    },
}

impl StaleReason {
    /// Returns the sections of the lock that this change can alter.
    pub fn affects(&self) -> Affected {
        match self {
            // Only the request says it.
            Self::NameChanged { .. } => NEITHER,
            // The suite decides the interpreter and the C library that wheels are chosen for.
            Self::PlatformAdded { .. }
            | Self::PlatformRemoved { .. }
            | Self::PythonChanged { .. }
            | Self::PythonSourceChanged { .. }
            | Self::SuiteChanged { .. }
            | Self::BaseChanged { .. } => BOTH,
            Self::RequirementAdded { .. }
            | Self::RequirementRemoved { .. }
            | Self::ConstraintAdded { .. }
            | Self::ConstraintRemoved { .. }
            | Self::OverrideAdded { .. }
            | Self::OverrideRemoved { .. }
            | Self::ExcludeNewerChanged { .. }
            | Self::PrereleaseChanged { .. }
            | Self::ExtraIndexesChanged { .. }
            | Self::FindLinksChanged { .. }
            | Self::NoBuildChanged { .. } => PYTHON,
            Self::SnapshotChanged { .. }
            | Self::SecurityChanged { .. }
            | Self::PackageAdded { .. }
            | Self::PackageRemoved { .. } => DEBIAN,
        }
    }
}

fn environment(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    if locked.name != asked.name {
        reasons.push(StaleReason::NameChanged {
            locked: locked.name.to_string(),
            asked: asked.name.to_string(),
        });
    }
    lists(
        (&locked.platforms, &asked.platforms),
        |platform| StaleReason::PlatformAdded { platform },
        |platform| StaleReason::PlatformRemoved { platform },
        reasons,
    );
    values(
        (&locked.python, &asked.python),
        |locked, asked| StaleReason::PythonChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.python_from, &asked.python_from),
        |locked, asked| StaleReason::PythonSourceChanged { locked, asked },
        reasons,
    );
}

fn python(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    lists(
        (&locked.requirements, &asked.requirements),
        |requirement| StaleReason::RequirementAdded { requirement },
        |requirement| StaleReason::RequirementRemoved { requirement },
        reasons,
    );
    lists(
        (&locked.constraints, &asked.constraints),
        |constraint| StaleReason::ConstraintAdded { constraint },
        |constraint| StaleReason::ConstraintRemoved { constraint },
        reasons,
    );
    lists(
        (&locked.overrides, &asked.overrides),
        |requirement| StaleReason::OverrideAdded { requirement },
        |requirement| StaleReason::OverrideRemoved { requirement },
        reasons,
    );
    values(
        (&locked.exclude_newer, &asked.exclude_newer),
        |locked, asked| StaleReason::ExcludeNewerChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.prerelease, &asked.prerelease),
        |locked, asked| StaleReason::PrereleaseChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.extra_indexes, &asked.extra_indexes),
        |locked, asked| StaleReason::ExtraIndexesChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.find_links, &asked.find_links),
        |locked, asked| StaleReason::FindLinksChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.no_build, &asked.no_build),
        |locked, asked| StaleReason::NoBuildChanged { locked, asked },
        reasons,
    );
}

fn debian(locked: &Request, asked: &Request, reasons: &mut Vec<StaleReason>) {
    values(
        (&locked.suite, &asked.suite),
        |locked, asked| StaleReason::SuiteChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.snapshot, &asked.snapshot),
        |locked, asked| StaleReason::SnapshotChanged { locked, asked },
        reasons,
    );
    values(
        (&locked.security, &asked.security),
        |locked, asked| StaleReason::SecurityChanged { locked, asked },
        reasons,
    );
    lists(
        (&locked.packages, &asked.packages),
        |package| StaleReason::PackageAdded { package },
        |package| StaleReason::PackageRemoved { package },
        reasons,
    );
    values(
        (&locked.base, &asked.base),
        |locked, asked| StaleReason::BaseChanged { locked, asked },
        reasons,
    );
}

/// Compares two values: of `locked`, then of `asked`.
fn values<T: PartialEq + Clone>(
    (locked, asked): (&T, &T),
    changed: impl FnOnce(T, T) -> StaleReason,
    reasons: &mut Vec<StaleReason>,
) {
    if locked != asked {
        reasons.push(changed(locked.clone(), asked.clone()));
    }
}

/// Compares two sorted lists: of `locked`, then of `asked`.
fn lists<T: PartialEq + Clone>(
    (locked, asked): (&[T], &[T]),
    added: impl Fn(T) -> StaleReason,
    removed: impl Fn(T) -> StaleReason,
    reasons: &mut Vec<StaleReason>,
) {
    let new = asked.iter().filter(|item| !locked.contains(item));
    reasons.extend(new.cloned().map(added));
    let gone = locked.iter().filter(|item| !asked.contains(item));
    reasons.extend(gone.cloned().map(removed));
}

fn phrases(reasons: &[StaleReason]) -> String {
    let phrases: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    phrases.join("; ")
}

fn value<T: Display>(value: &Option<T>) -> String {
    let quoted = value.as_ref().map(|value| format!("`{value}`"));
    quoted.unwrap_or_else(|| "nothing".to_owned())
}

fn word<T: serde::Serialize>(word: &Option<T>) -> String {
    let word = word.as_ref().map(crate::lock::write::word);
    value(&word)
}

fn names(names: &[RegistryName]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.is_empty() {
        true => "nothing".to_owned(),
        false => quoted.join(", "),
    }
}
