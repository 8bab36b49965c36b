//! Text to [`Manifest`].

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::{EnvironmentName, Platform, fs};
use crate::manifest::base::base;
use crate::manifest::conda::conda as conda_of;
use crate::manifest::data::data;
use crate::manifest::debian::debian;
use crate::manifest::environment::{environment, environment_or, requires_python};
use crate::manifest::environment_yml::dependencies;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::gpu::{check_cuda, gpu};
use crate::manifest::groups::groups;
use crate::manifest::init::environment_name;
use crate::manifest::keys::{self, ROOT};
use crate::manifest::python::{Gathered, python as python_of};
use crate::manifest::sandbox::sandbox;
use crate::manifest::schema::{Conda, Environment, InterpreterSource, Manifest, Python};
use crate::manifest::table::{Source, Table, Value};
use crate::manifest::{pyproject, script};

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

    /// Reads the manifest in `file`.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and when the file cannot be read.
    pub fn from_file(file: &Path) -> Result<Self, ManifestError> {
        Self::parse(&read(file)?, file)
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

impl Manifest {
    /// Reads the manifest that the header of the script at `file` is; its name is the script's.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place.
    pub fn from_script(file: &Path) -> Result<Self, ManifestError> {
        let text = read(file)?;
        let source = Source { file, text: &text };
        let masked = script::needed_header(source)?;
        let document = source.parse_masked(&masked)?;
        let mut gathered = Gathered::default();
        let root = match script::own(source, &document, &mut gathered)? {
            Some(table) => table.table(&ROOT)?,
            None => Table::empty(source, 0..0, &ROOT),
        };
        let mut environment = Environment {
            name: script_name(file),
            python: None,
            platforms: vec![Platform::LinuxAmd64],
        };
        let table = root.get("environment");
        if let Some(table) = table {
            environment = environment_or(table, &environment.name)?;
        }
        if environment.python.is_none() {
            environment.python = script::python(&gathered);
        }
        whole(&root, environment, table, gathered)
    }
}

fn script_name(file: &Path) -> EnvironmentName {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    environment_name(&stem)
        .parse()
        .expect("it was made to follow the rule")
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

/// As [`read`], of a file that another one names: that it cannot be read is said at that place.
pub(super) fn read_named(
    file: &Path,
    at_place: impl FnOnce(Problem) -> ManifestError,
) -> Result<String, ManifestError> {
    read(file).map_err(|error| match error.problem {
        problem @ Problem::Fs(_) => at_place(problem),
        _ => error,
    })
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
    whole(root, environment, Some(table), gathered)
}

/// Reads the rest of the manifest in `root`, to whose requirements those already `gathered`
/// belong; `table` is what `environment` was read from.
fn whole<'a>(
    root: &Table<'a>,
    environment: Environment,
    table: Option<Value<'a>>,
    mut gathered: Gathered,
) -> Result<Manifest, ManifestError> {
    let mut python = python_of(&root.section("python", &keys::PYTHON)?, &mut gathered)?;
    let mut conda = root.map("conda", |table| conda_of(table, &python))?;
    let of_files = dependencies(std::mem::take(&mut gathered.conda), conda.as_ref())?;
    if let Some(conda) = &mut conda {
        conda.dependencies.extend(of_files);
    }
    let base = root.map("base", |table| {
        base(table, &environment, root.get("debian"))
    })?;
    let groups = root.map("groups", |table| {
        groups(table, base.as_ref(), conda.as_ref(), &mut gathered)
    })?;
    python.constraints.append(&mut gathered.constraints);
    let gpu = root.map("gpu", gpu)?;
    if let (Some(gpu), Some(conda)) = (root.get("gpu"), root.get("conda")) {
        check_cuda(gpu, conda)?;
    }
    let sandbox = sandbox(&root.section("sandbox", &keys::SANDBOX)?)?;
    let data = root.map("data", |table| data(table, &sandbox))?;
    let manifest = Manifest {
        environment,
        base,
        python,
        groups: groups.unwrap_or_default(),
        conda,
        gpu,
        debian: debian(&root.section("debian", &keys::DEBIAN)?)?,
        sandbox,
        data: data.unwrap_or_default(),
    };
    let Manifest {
        environment, conda, ..
    } = &manifest;
    if let Some(table) = table {
        let whole = manifest.with_all_groups();
        check_interpreter(table, environment, &whole.python, conda.as_ref())?;
        requires_python(table, environment, &gathered.requires_python)?;
    }
    Ok(manifest)
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
