//! The report in formats of others.
//!
//! Comes in: a [`VerifyReport`](crate::ops::verify::VerifyReport), and where the project lies below
//! its repository. Goes out: text.

mod github;
mod junit;
mod sarif;
#[cfg(test)]
mod tests;

pub use github::{annotations, summary};
pub use junit::{junit, junit_of_error};
pub use sarif::sarif;

use std::path::Path;

use crate::ops::verify::{Drawn, Line, VerifyReport};

/// Returns the lines of the project that can be the cause, the likeliest first, each with what was
/// drawn there.
fn lines(report: &VerifyReport) -> Vec<(&Line, &Drawn)> {
    let suspects = report.suspects.iter();
    let lines = suspects.filter_map(|draw| Some((draw.line.as_ref()?, draw)));
    lines.filter(|(line, _)| line.is_in_project()).collect()
}

/// Says of a draw what it is, whether it is held, and what to do.
fn explained(draw: &Drawn) -> String {
    let Drawn {
        source, what, by, ..
    } = draw;
    let remedy = draw.remedy.as_ref();
    let remedy = remedy.map_or(String::new(), |remedy| format!("; {remedy}"));
    format!("{source} ({what}): {by}{remedy}")
}

/// Returns the path of a file of the project below its repository, with `/` between its parts.
fn in_repository(place: &Path, file: &str) -> String {
    place.join(file).to_string_lossy().into_owned()
}

/// Returns the command as one would type it, more or less.
fn command(report: &VerifyReport) -> String {
    let words = report.argv.iter().map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}
