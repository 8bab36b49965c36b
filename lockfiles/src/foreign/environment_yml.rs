//! `environment.yml`, as `conda env create` reads it.

use std::path::Path;
use std::str::FromStr as _;

use rattler_conda_types::{EnvironmentYaml, MatchSpecOrSubSection};
use uv_pep508::{VerbatimUrl, VersionOrUrl};

use crate::foreign::channels::channel;
use crate::foreign::outline::{Outline, OutlineConda, RequirementsFrom};
use crate::foreign::reading::Reading;
use crate::foreign::{ForeignError, ForeignLock, Format, LeftOut, LeftOutReason};
use crate::resolve::Pins;

/// Reads the text of the `environment.yml` at `file`.
pub(super) fn read(text: &str, file: &Path) -> Result<ForeignLock, ForeignError> {
    let format = Format::EnvironmentYml;
    let reading = Reading { file, format };
    let parsed = EnvironmentYaml::from_yaml_str(text).map_err(|error| reading.syntax(error))?;
    let mut outline = Outline {
        name: parsed.name,
        ..Outline::default()
    };
    let mut conda = OutlineConda::default();
    let mut left_out = Vec::new();
    for given in &parsed.channels {
        match given.as_str() {
            // It takes away what the user's own configuration adds, which envbox does not read.
            "nodefaults" => {}
            name => conda.channels.push(channel(name)),
        }
    }
    for dependency in &parsed.dependencies {
        match dependency {
            MatchSpecOrSubSection::MatchSpec(spec) => conda.dependencies.push(spec.to_string()),
            MatchSpecOrSubSection::SubSection(tool, lines) if tool == "pip" => {
                for line in lines {
                    reading.pip(line, &mut outline, &mut left_out)?;
                }
            }
            MatchSpecOrSubSection::SubSection(tool, _) => left_out.push(LeftOut {
                what: format!("section {tool}"),
                reason: LeftOutReason::NoCounterpart,
            }),
        }
    }
    // It is there for what pip would install, which envbox does.
    conda.dependencies.retain(|spec| spec != "pip");
    outline.conda = conda;
    outline.variables = parsed.variables.into_iter().collect();
    Ok(ForeignLock {
        format,
        outline,
        pins: Pins::default(),
        left_out,
    })
}

impl Reading<'_> {
    /// Takes in a line below `pip:`, which is one of a requirements file.
    fn pip(
        self,
        line: &str,
        outline: &mut Outline,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<(), ForeignError> {
        let line = line.split(" #").next().unwrap_or(line).trim();
        let mut leave = |reason| {
            left_out.push(LeftOut {
                what: line.to_owned(),
                reason,
            });
            Ok(())
        };
        let option = line.split_once([' ', '=']).unwrap_or((line, ""));
        match option {
            ("-r" | "--requirement", file) => {
                outline.requirements_from.push(RequirementsFrom {
                    file: file.trim().to_owned(),
                    ..RequirementsFrom::default()
                });
                return Ok(());
            }
            ("-e" | "--editable", _) => return leave(LeftOutReason::Directory),
            ("--extra-index-url", url) => {
                outline.extra_indexes.push(url.trim().to_owned());
                return Ok(());
            }
            (option, _) if option.starts_with('-') => return leave(LeftOutReason::NoCounterpart),
            _ => {}
        }
        // Without a version and without a name: what is there tomorrow is something else.
        if ["git+", "hg+", "svn+", "bzr+"]
            .iter()
            .any(|vcs| line.starts_with(vcs))
        {
            return leave(LeftOutReason::Repository);
        }
        if line.starts_with(['.', '/']) {
            return leave(LeftOutReason::Directory);
        }
        let parsed = uv_pep508::Requirement::<VerbatimUrl>::from_str(line);
        let requirement =
            parsed.map_err(|error| self.invalid("`pip`", "a PEP 508 requirement", line, error))?;
        match &requirement.version_or_url {
            Some(VersionOrUrl::Url(url)) if url.to_string().starts_with("git+") => {
                leave(LeftOutReason::Repository)
            }
            _ => {
                outline.requirements.push(requirement.to_string());
                Ok(())
            }
        }
    }
}
