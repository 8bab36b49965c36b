//! Text to [`Manifest`].

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::fs;
use crate::manifest::base::base;
use crate::manifest::conda::conda as conda_of;
use crate::manifest::debian::debian;
use crate::manifest::environment::{environment, requires_python};
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys::{self, ROOT};
use crate::manifest::pyproject;
use crate::manifest::python::{Gathered, python as python_of};
use crate::manifest::sandbox::sandbox;
use crate::manifest::schema::{Conda, Environment, InterpreterSource, Manifest, Python};
use crate::manifest::table::{Source, Table, Value};

/// The manifest's own file name.
pub const MANIFEST: &str = "envbox.toml";
/// The file that may hold `[tool.envbox]` instead.
pub const PYPROJECT: &str = "pyproject.toml";

impl Manifest {
    /// Finds and reads the manifest of the project in `directory`; also returns its file.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place.
    pub fn from_project(directory: &Path) -> Result<(Self, PathBuf), ManifestError> {
        let (own, pyproject) = (directory.join(MANIFEST), directory.join(PYPROJECT));
        let own_text = read_if_there(&own)?;
        let pyproject_text = match read_if_there(&pyproject)? {
            Some(text) if has_manifest(&pyproject, &text)? => Some(text),
            _ => None,
        };
        match (own_text, pyproject_text) {
            (Some(text), None) => Ok((Self::parse(&text, &own)?, own)),
            (None, Some(text)) => Ok((Self::parse(&text, &pyproject)?, pyproject)),
            (Some(_), Some(_)) => Err(ManifestError::whole(directory, Problem::Both)),
            (None, None) => Err(ManifestError::whole(directory, Problem::Missing)),
        }
    }

    /// Parses the text of `file`, which is an `envbox.toml`, or a `pyproject.toml` with a
    /// `[tool.envbox]` table. Files that `requirements-from` names are read beside it.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        let source = Source { file, text };
        let document = source.parse()?;
        let root = document.get_ref();
        if file.file_name().is_none_or(|name| name != PYPROJECT) {
            let root = Table::new(source, root, document.span(), &ROOT)?;
            return manifest(source, &root, None);
        }
        match lookup(root, &["tool", "envbox"]) {
            Some(table) => manifest(source, &Value::new(source, table).table(&ROOT)?, Some(root)),
            None => Err(ManifestError::whole(file, Problem::Missing)),
        }
    }
}

/// Reads a whole file.
pub(super) fn read(file: &Path) -> Result<String, ManifestError> {
    let bytes = fs::read(file).map_err(|error| ManifestError::whole(file, error.into()))?;
    match String::from_utf8(bytes) {
        // TOML and pip both let a byte order mark pass.
        Ok(text) => Ok(match text.strip_prefix('\u{feff}') {
            Some(text) => text.to_owned(),
            None => text,
        }),
        Err(_) => Err(ManifestError::whole(file, Problem::Encoding)),
    }
}

/// As [`read`]; none where there is no such file.
pub(super) fn read_if_there(file: &Path) -> Result<Option<String>, ManifestError> {
    match read(file) {
        Ok(text) => Ok(Some(text)),
        Err(ManifestError {
            problem: Problem::Fs(error),
            ..
        }) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says whether a `pyproject.toml` has a `[tool.envbox]` table.
pub(super) fn has_manifest(file: &Path, text: &str) -> Result<bool, ManifestError> {
    let document = Source { file, text }.parse()?;
    Ok(lookup(document.get_ref(), &["tool", "envbox"]).is_some())
}

/// Walks down tables by name.
pub(super) fn lookup<'a>(root: &'a DeTable<'a>, path: &[&str]) -> Option<&'a Spanned<DeValue<'a>>> {
    let (first, rest) = path.split_first()?;
    let mut value = root.get(*first)?;
    for key in rest {
        value = value.get_ref().as_table()?.get(*key)?;
    }
    Some(value)
}

/// Reads the manifest in `root`; `project` is the `pyproject.toml` around it, if it is in one.
fn manifest<'a>(
    source: Source<'a>,
    root: &Table<'a>,
    project: Option<&'a DeTable<'a>>,
) -> Result<Manifest, ManifestError> {
    let Some(table) = root.get("environment") else {
        return Err(ManifestError::whole(source.file, Problem::NoEnvironment));
    };
    let environment = environment(table)?;
    let python = root.section("python", &keys::PYTHON)?;
    let mut gathered = Gathered::default();
    let names_some = ["requirements", "requirements-from"]
        .iter()
        .any(|key| python.get(key).is_some());
    if let Some(project) = project
        && !names_some
    {
        pyproject::own(source, project, &mut gathered)?;
    }
    let python = python_of(&python, &mut gathered)?;
    let conda = root.map("conda", |table| conda_of(table, &python))?;
    check_interpreter(table, &environment, &python, conda.as_ref())?;
    requires_python(table, &environment, &gathered.requires_python)?;
    let base = root.map("base", |table| {
        base(table, &environment, root.get("debian"))
    })?;
    Ok(Manifest {
        environment,
        base,
        python,
        conda,
        debian: debian(&root.section("debian", &keys::DEBIAN)?)?,
        sandbox: sandbox(&root.section("sandbox", &keys::SANDBOX)?)?,
    })
}

/// Checks that there is a Python where one is needed, and who could offer it.
fn check_interpreter(
    table: Value<'_>,
    environment: &Environment,
    python: &Python,
    conda: Option<&Conda>,
) -> Result<(), ManifestError> {
    let from = environment.python.as_ref().and_then(|python| python.from);
    if from == Some(InterpreterSource::Conda) && conda.is_none() {
        return Err(table.error(Problem::NoChannels));
    }
    // A channel's package may bring one unasked.
    let has_none = environment.python.is_none() && conda.is_none();
    match has_none && !python.requirements.is_empty() {
        true => Err(table.error(Problem::NoPython)),
        false => Ok(()),
    }
}
