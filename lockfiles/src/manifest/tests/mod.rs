mod any_input;
mod conda;
mod edit;
mod files;
mod gpu;
mod init;
mod mistakes;
mod values;

use std::fs;
use std::path::Path;

use crate::base::Explain;
use crate::manifest::{Manifest, ManifestError};

const HEAD: &str = "[environment]\nname = \"iris\"\npython = \"3.11\"\n";

/// Parses what stands below [`HEAD`].
fn parse(rest: &str) -> Result<Manifest, ManifestError> {
    parse_all(&format!("{HEAD}{rest}"))
}

fn parse_all(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text, Path::new("envbox.toml"))
}

/// What the command prints of an error.
fn rendered(error: &ManifestError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    if let Some(excerpt) = error.excerpt() {
        text += &format!("\n{excerpt}");
    }
    while let Some(error) = cause {
        text += &format!("\ncaused by: {error}");
        cause = error.source();
    }
    for hint in error.hints() {
        text += &format!("\nhint: {hint}");
    }
    text
}

/// A project's directory, with files in it.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn manifest(&self) -> Result<Manifest, ManifestError> {
        Manifest::from_project(self.0.path()).map(|(manifest, _)| manifest)
    }

    /// What the command prints of the mistake in it, without the directory's own name.
    fn mistake(&self) -> String {
        let error = self.manifest().unwrap_err();
        self.shorten(&rendered(&error))
    }

    fn shorten(&self, text: &str) -> String {
        let directory = self.0.path().to_str().unwrap();
        text.replace(&format!("{directory}/"), "")
            .replace(directory, ".")
    }
}
