//! `envbox data`.

use std::path::{Component, PathBuf};
use std::process::ExitCode;

use envbox::ops::data::{DataReport, NewDatum, add, verify};
use url::Url;

use crate::commands::Session;
use crate::render::{self, Failure};
use crate::{ambient, args};

pub(super) fn data(session: &Session, command: &args::DataCommand) -> Result<ExitCode, Failure> {
    let project = session.project()?;
    let report = match command {
        args::DataCommand::Add { data, at } => {
            let directory = ambient::project(&session.global)?;
            let new: Result<Vec<_>, Failure> = data
                .iter()
                .map(|text| new_datum(text, at.as_ref(), &directory))
                .collect();
            add(&session.context, &project, &new?)?
        }
        args::DataCommand::Verify => verify(&session.context, &project)?,
    };
    session.tell("envbox.data/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &DataReport) -> String {
    let line = |datum: &envbox::ops::data::DatumReport| {
        let size = datum.size.map(|size| format!(" ({})", render::size(size)));
        let (path, size) = (datum.path.display(), size.unwrap_or_default());
        format!("{path} {}{size}\n", datum.sha256)
    };
    match report.data.is_empty() {
        true => "the manifest declares no data\n".to_owned(),
        false => report.data.iter().map(line).collect(),
    }
}

/// A word with a scheme is a URL; all else is a path from the current directory.
fn new_datum(
    text: &str,
    at: Option<&PathBuf>,
    project: &std::path::Path,
) -> Result<NewDatum, Failure> {
    let schemes = ["http://", "https://", "file://"];
    let url = Url::parse(text).ok();
    if let Some(url) = url.filter(|_| schemes.iter().any(|scheme| text.starts_with(scheme))) {
        let segments = url
            .path_segments()
            .and_then(|mut all| all.next_back().map(PathBuf::from));
        let path = at.cloned().or(segments).unwrap_or_default();
        let here = below(PathBuf::from("."), project)?;
        let path = match here.is_absolute() {
            // Not in the project: nothing that is to be made can be meant from here.
            true => path,
            false => below(path, project)?,
        };
        return Ok(NewDatum::Url { path, url });
    }
    Ok(NewDatum::Here(below(text.into(), project)?))
}

/// Returns a path that was typed, from the project's directory.
fn below(path: PathBuf, project: &std::path::Path) -> Result<PathBuf, Failure> {
    let whole = ambient::absolute(&path)?;
    let mut clean = PathBuf::new();
    // The last component may be a link to where the data is, so links are not followed.
    for part in whole.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    let project = ambient::absolute(project)?;
    Ok(clean.strip_prefix(&project).unwrap_or(&clean).to_path_buf())
}
