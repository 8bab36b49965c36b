//! `environment.yml` among what `requirements-from` names, as `conda env create` reads it.
//!
//! Taken are the dependencies of conda, for which the manifest's own channels are asked, and the section
//! `pip`. The name, the prefix and variables are the environment's that conda makes.

use std::path::{Path, PathBuf};

use rattler_conda_types::{EnvironmentYaml, MatchSpec, MatchSpecOrSubSection};

use crate::manifest::conda::match_spec_options;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::parse::read_named;
use crate::manifest::python::Gathered;
use crate::manifest::requirements_txt;
use crate::manifest::schema::{Conda, CondaChannel};
use crate::manifest::table::{Source, Value};

/// What an environment file asks of conda.
pub(super) struct CondaFile {
    file: PathBuf,
    channels: Vec<String>,
    dependencies: Vec<String>,
}

/// Takes in the file that `value` names.
pub(super) fn gather(
    value: Value<'_>,
    file: &Path,
    gathered: &mut Gathered,
) -> Result<(), ManifestError> {
    let text = read_named(file, |problem| value.error(problem))?;
    let parsed = EnvironmentYaml::from_yaml_str(&text).map_err(|error| {
        let problem = Problem::Invalid {
            found: value.str().unwrap_or_default().to_owned(),
            expected: "a conda environment file",
            source: Some(Box::new(error)),
            remedy: None,
        };
        ManifestError::whole(file, problem)
    })?;
    let mut dependencies = Vec::new();
    let mut lines = Vec::new();
    for dependency in parsed.dependencies {
        match dependency {
            MatchSpecOrSubSection::MatchSpec(spec) => dependencies.push(spec.to_string()),
            MatchSpecOrSubSection::SubSection(tool, of_tool) if tool == "pip" => {
                lines.extend(of_tool);
            }
            MatchSpecOrSubSection::SubSection(tool, _) => {
                let problem = Problem::Invalid {
                    found: tool,
                    expected: "a section that envbox installs: only `pip` is",
                    source: None,
                    remedy: None,
                };
                return Err(ManifestError::whole(file, problem));
            }
        }
    }
    // It is there for what it would install, which envbox does.
    dependencies.retain(|spec| spec != "pip");
    let channels = parsed
        .channels
        .iter()
        .map(|channel| channel.as_str().to_owned());
    gathered.conda.push(CondaFile {
        file: file.to_path_buf(),
        // It takes away what the user's own configuration adds, which envbox does not read.
        channels: channels.filter(|name| name != "nodefaults").collect(),
        dependencies,
    });
    let masked = masked(&text, &lines);
    let source = Source {
        file,
        text: &masked,
    };
    requirements_txt::gather_lines(source, gathered)
}

/// Returns a text in which `lines` stand where they stand in `text`, and spaces stand for everything else:
/// what is found in it has its place in the file. A line that is written in another way than it reads has
/// no place; it stands at the end.
fn masked(text: &str, lines: &[String]) -> String {
    let blank = |text: &str| -> String {
        let blanks = text.chars().map(|c| match c {
            '\n' => "\n".to_owned(),
            other => " ".repeat(other.len_utf8()),
        });
        blanks.collect()
    };
    let mut masked = String::new();
    let mut rest = match text.find("pip:") {
        Some(begin) => {
            masked += &blank(&text[..begin]);
            &text[begin..]
        }
        None => text,
    };
    let mut elsewhere = Vec::new();
    for line in lines {
        match rest.find(line.as_str()).filter(|_| !line.is_empty()) {
            Some(begin) => {
                let end = begin + line.len();
                masked += &blank(&rest[..begin]);
                masked += line;
                rest = &rest[end..];
            }
            None => elsewhere.push(line.as_str()),
        }
    }
    masked += &blank(rest);
    for line in elsewhere {
        masked += &format!("\n{line}");
    }
    masked
}

/// Returns the dependencies of `files`, for which `conda` has the channels.
pub(super) fn dependencies(
    files: Vec<CondaFile>,
    conda: Option<&Conda>,
) -> Result<Vec<String>, ManifestError> {
    let mut all = Vec::new();
    for file in files {
        let at_file = |problem| ManifestError::whole(&file.file, problem);
        if file.dependencies.is_empty() {
            continue;
        }
        let Some(conda) = conda else {
            return Err(at_file(Problem::CondaFile));
        };
        let is_there = |name: &str| {
            let same = |known: &CondaChannel| {
                let url = known.url.as_deref().map(|url| url.trim_end_matches('/'));
                known.name.as_str() == name || url == Some(name.trim_end_matches('/'))
            };
            conda.channels.iter().any(same)
        };
        let of_spec = |text: &str| {
            let spec = MatchSpec::from_str(text, match_spec_options()).ok()?;
            spec.channel.as_ref()?.name.clone()
        };
        let name = file.file.file_name().unwrap_or_default().to_string_lossy();
        let channels = file.channels.iter().cloned();
        let named = channels.map(|channel| (name.to_string(), channel));
        let specs = file.dependencies.iter();
        let specs = specs.filter_map(|text| Some((text.clone(), of_spec(text)?)));
        for (found, channel) in named.chain(specs) {
            if !is_there(&channel) {
                return Err(at_file(Problem::OtherChannel { found, channel }));
            }
        }
        all.extend(file.dependencies);
    }
    Ok(all)
}
