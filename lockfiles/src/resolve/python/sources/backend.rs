//! `[build-system]` of a `pyproject.toml` (PEP 517, PEP 518).

use serde::Deserialize;

use crate::resolve::python::sources::{Backend, SourceDocuments};

/// What PEP 518 says a project without the table needs.
const DEFAULT_REQUIRES: &str = "setuptools>=40.8.0";
/// What PEP 517 says it is built by.
const DEFAULT_BACKEND: &str = "setuptools.build_meta:__legacy__";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PyprojectWire {
    build_system: Option<BuildSystemWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BuildSystemWire {
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl Backend {
    /// Returns the backend that the documents of a source name, or the one that the PEPs give to a
    /// source that names none.
    ///
    /// # Errors
    /// Returns what is wrong with its `pyproject.toml`.
    pub fn of(documents: &SourceDocuments) -> Result<Self, toml::de::Error> {
        let text = documents.pyproject.as_deref().unwrap_or_default();
        let wire: PyprojectWire = toml::from_str(text)?;
        let legacy = || DEFAULT_BACKEND.to_owned();
        Ok(match wire.build_system {
            None => Self {
                requires: vec![DEFAULT_REQUIRES.to_owned()],
                name: legacy(),
                path: Vec::new(),
            },
            Some(system) => Self {
                requires: system.requires,
                name: system.build_backend.unwrap_or_else(legacy),
                path: system.backend_path,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_project_does_not_say_the_peps_do() {
        let backend = |text: &str| {
            let pyproject = Some(text.to_owned());
            let documents = SourceDocuments {
                pyproject,
                pkg_info: None,
            };
            Backend::of(&documents)
        };
        let legacy = backend("[project]\nname = \"a\"\n").unwrap();
        assert_eq!(legacy.requires, ["setuptools>=40.8.0"]);
        assert_eq!(legacy.name, "setuptools.build_meta:__legacy__");
        let requires = backend("[build-system]\nrequires = [\"wheel\"]\n").unwrap();
        assert_eq!(requires.requires, ["wheel"]);
        assert_eq!(requires.name, legacy.name);
        let own = "[build-system]\nrequires = []\nbuild-backend = \"own\"\n\
            backend-path = [\".\"]\nunknown = 1\n";
        let own = backend(own).unwrap();
        assert_eq!((own.name.as_str(), own.path), ("own", vec![".".to_owned()]));
        assert!(backend("[build-system]\n").is_err());
    }
}
