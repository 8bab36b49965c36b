//! A first manifest for a project that has none.

use std::path::Path;

use toml::de::DeValue;
use uv_pep440::VersionSpecifiers;

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::parse::{MANIFEST, PYPROJECT, read};
use crate::manifest::python_version::allowed_pythons;
use crate::manifest::schema::{Manifest, PythonVersion};
use crate::manifest::table::Source;

/// The Python of a project that names none.
const DEFAULT: PythonVersion = PythonVersion {
    major: 3,
    minor: 11,
    patch: None,
};

/// Returns the text of an `envbox.toml` for the project in `directory`, which refers to its
/// `pyproject.toml` or `requirements.txt` when there is one.
///
/// # Errors
/// Returns what is wrong with the files it refers to.
pub fn init_text(directory: &Path) -> Result<String, ManifestError> {
    let pyproject = directory.join(PYPROJECT);
    let mut name = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let mut python = DEFAULT;
    let requirements = if pyproject.is_file() {
        let project = read_project(&pyproject)?;
        name = project.name.or(name);
        python = project.python;
        format!("requirements-from = [\"{PYPROJECT}\"]")
    } else if directory.join("requirements.txt").is_file() {
        "requirements-from = [\"requirements.txt\"]".to_owned()
    } else {
        "requirements = []    # such as \"scikit-learn==1.5.2\", \"pandas>=2\"".to_owned()
    };
    let name = environment_name(name.as_deref().unwrap_or_default());
    let text = format!(
        "# What the environment is made of. `envbox lock` pins all of it in `envbox.lock`.\n\
         [environment]\n\
         name = \"{name}\"\n\
         python = \"{python}\"\n\
         \n\
         [python]\n\
         {requirements}\n\
         \n\
         [debian]\n\
         packages = []        # such as \"git\", \"libgl1\"\n\
         \n\
         [sandbox]\n\
         network = \"none\"     # none | loopback | host\n"
    );
    Manifest::parse(&text, &directory.join(MANIFEST))?;
    Ok(text)
}

/// Says whether the `pyproject.toml` at `file` has a project, which has requirements.
///
/// # Errors
/// Returns what keeps it from being read.
pub fn names_project(file: &Path) -> Result<bool, ManifestError> {
    let text = read(file)?;
    let document = Source { file, text: &text }.parse()?;
    Ok(document.get_ref().get("project").is_some())
}

struct Project {
    name: Option<String>,
    python: PythonVersion,
}

fn read_project(file: &Path) -> Result<Project, ManifestError> {
    let text = read(file)?;
    let document_source = Source { file, text: &text };
    let document = document_source.parse()?;
    let project = document
        .get_ref()
        .get("project")
        .and_then(|project| project.get_ref().as_table());
    let string = |key: &str| match project?.get(key)?.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let Some(requires_python) = string("requires-python") else {
        return Ok(Project {
            name: string("name"),
            python: DEFAULT,
        });
    };
    let invalid = |expected, source, remedy| {
        let found = requires_python.clone();
        let problem = Problem::Invalid {
            found,
            expected,
            source,
            remedy,
        };
        let span = project.and_then(|project| project.get("requires-python"));
        document_source.error(span.map_or(0..0, toml::Spanned::span), problem)
    };
    let specifiers: VersionSpecifiers = requires_python
        .parse()
        .map_err(|error| invalid("a PEP 440 version specifier", Some(Box::new(error)), None))?;
    let allowed = allowed_pythons(Some(&specifiers));
    let python = *allowed
        .first()
        .ok_or_else(|| invalid("met by any Python from 3.9 to 3.14", None, None))?;
    Ok(Project {
        name: string("name"),
        python,
    })
}

/// Returns a name for an environment that is as much like `text` as the rules allow.
pub fn environment_name(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    match name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()) {
        "" => "project".to_owned(),
        name => name.to_owned(),
    }
}
