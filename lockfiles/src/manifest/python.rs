//! `[python]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use uv_pep440::{Version, VersionSpecifiers};

use crate::base::RegistryName;
use crate::manifest::base::IMAGES;
use crate::manifest::environment_yml::{self, CondaFile};
use crate::manifest::error::ManifestError;
use crate::manifest::keys;
use crate::manifest::parse::PYPROJECT;
use crate::manifest::pyproject::{self, Part};
use crate::manifest::requirement::requirement;
use crate::manifest::requirements_txt::{self, HashedRequirement};
use crate::manifest::scalar::{time, url, url_or_directory};
use crate::manifest::schema::{NamedUrl, Python, PythonVersion};
use crate::manifest::script;
use crate::manifest::table::{Table, Value};

/// What the files that a manifest refers to say.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) requirements: Vec<String>,
    pub(super) constraints: Vec<String>,
    pub(super) requires_python: Vec<RequiresPython>,
    /// The requirements that come from requirements files, with their digests.
    pub(super) hashed: Vec<HashedRequirement>,
    /// What conda environment files ask of conda.
    pub(super) conda: Vec<CondaFile>,
}

/// `requires-python` of a project.
pub(super) struct RequiresPython {
    pub(super) file: PathBuf,
    pub(super) specifiers: VersionSpecifiers,
}

/// More patch releases than a minor version of Python ever had.
const PATCHES: u64 = 100;

impl RequiresPython {
    /// Says whether `python`, or some patch release of it, is in the range.
    pub(super) fn allows(&self, python: PythonVersion) -> bool {
        let patches = match python.patch {
            Some(patch) => patch.into()..u64::from(patch) + 1,
            None => 0..PATCHES,
        };
        let (major, minor) = (python.major.into(), python.minor.into());
        let version = |patch| Version::new([major, minor, patch]);
        patches
            .map(version)
            .any(|version| self.specifiers.contains(&version))
    }
}

/// Reads `[python]`, to whose requirements those already `gathered` belong.
pub(super) fn python(table: &Table<'_>, gathered: &mut Gathered) -> Result<Python, ManifestError> {
    let mut requirements = table.list("requirements", requirement)?;
    let mut constraints = table.list("constraints", requirement)?;
    table.list("requirements-from", |value| from_file(value, gathered))?;
    requirements.append(&mut gathered.requirements);
    constraints.append(&mut gathered.constraints);
    let mut taken = BTreeSet::new();
    Ok(Python {
        requirements,
        constraints,
        overrides: table.list("overrides", requirement)?,
        exclude_newer: table.map("exclude-newer", time)?,
        prerelease: table.map("prerelease", prerelease)?.unwrap_or_default(),
        index_url: table.map("index-url", url)?,
        extra_indexes: registries(table, "extra-index-urls", "extra", &mut taken)?,
        find_links: registries(table, "find-links", "find-links", &mut taken)?,
        no_build: table.map("no-build", Value::boolean)?.unwrap_or(true),
    })
}

fn prerelease<T: serde::de::DeserializeOwned>(value: Value<'_>) -> Result<T, ManifestError> {
    value.word(&[
        "disallow",
        "allow",
        "if-necessary",
        "explicit",
        "if-necessary-or-explicit",
    ])
}

/// Names that mean something else in a lock.
pub(super) const RESERVED: [&str; 6] = [
    "pypi",
    "debian",
    "debian-security",
    "debian-snapshot",
    IMAGES,
    "python-build-standalone",
];

/// Reads an array of places, or of `{ name, url }`; a nameless one is named after its position.
fn registries(
    table: &Table<'_>,
    key: &str,
    prefix: &str,
    taken: &mut BTreeSet<RegistryName>,
) -> Result<Vec<NamedUrl>, ManifestError> {
    let mut position = 0;
    table.list(key, |value| {
        position += 1;
        let registry = if value.is_table() {
            let table = value.table(&keys::REGISTRY)?;
            NamedUrl {
                name: table.need("name")?.name()?,
                url: url_or_directory(table.need("url")?)?,
            }
        } else {
            let name = format!("{prefix}-{position}");
            NamedUrl {
                name: name.parse().expect("a word and a number are a name"),
                url: url_or_directory(value)?,
            }
        };
        let name = registry.name.as_str();
        if RESERVED.contains(&name) || !taken.insert(registry.name.clone()) {
            return Err(value.invalid_with(
                name,
                "a name of its own",
                "give it another `name`: the lockfile tells registries apart by it",
            ));
        }
        Ok(registry)
    })
}

/// Takes in one entry of `requirements-from`: a file name, or `{ file, extras, groups }`.
pub(super) fn from_file(value: Value<'_>, gathered: &mut Gathered) -> Result<(), ManifestError> {
    let mut parts = Vec::new();
    let name = if value.is_table() {
        let table = value.table(&keys::REQUIREMENTS_FROM)?;
        parts.extend(table.list("extras", Part::extra)?);
        parts.extend(table.list("groups", Part::group)?);
        table.need("file")?
    } else {
        value
    };
    let text = name.str()?;
    let path = name.source.directory().join(text);
    if path.file_name().is_some_and(|name| name == PYPROJECT) {
        return pyproject::gather(name, &path, &parts, gathered);
    }
    if let Some(part) = parts.first() {
        let expected = "a `pyproject.toml`: only that has extras and groups";
        return Err(part.value().invalid(text, expected));
    }
    if path.extension().is_some_and(|extension| extension == "py") {
        return script::gather(name, &path, gathered);
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
        && !is_foreign_lock(&path)
    {
        return environment_yml::gather(name, &path, gathered);
    }
    check_kind(name, &path)?;
    requirements_txt::gather(name, &path, gathered)
}

/// Refuses files that are surely no requirements file.
fn check_kind(value: Value<'_>, path: &Path) -> Result<(), ManifestError> {
    const IMPORT: &str = "take over its pins with `envbox import FILE`";
    let extension = path.extension().and_then(|extension| extension.to_str());
    let remedy = match extension {
        // `requirements.lock` is a requirements file.
        Some("lock" | "yml" | "yaml") if is_foreign_lock(path) => Some(IMPORT),
        Some("toml" | "cfg" | "json") => None,
        _ => return Ok(()),
    };
    let text = value.str()?;
    let expected = "a `pyproject.toml`, a requirements file, an `environment.yml` or a script";
    Err(match remedy {
        Some(remedy) => value.invalid_with(text, expected, remedy),
        None => value.invalid(text, expected),
    })
}

fn is_foreign_lock(path: &Path) -> bool {
    const NAMES: [&str; 5] = [
        "Pipfile.lock",
        "pdm.lock",
        "pixi.lock",
        "poetry.lock",
        "uv.lock",
    ];
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    NAMES.contains(&name) || name.ends_with("conda-lock.yml")
}
