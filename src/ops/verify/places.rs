//! In what two outputs differ.

use std::fs;
use std::path::{Path, PathBuf};

use envbox_explain::{Limits, explain_as};
use envbox_lockfiles::base::FsError;

use crate::ops::verify::VerifyError;
use crate::ops::verify::compare::Difference;
use crate::ops::verify::outcome::{Output, State};
use crate::ops::verify::runner::Ran;
use crate::store::Store;

/// The files that the first part of what a run printed is in, beside its project.
const STDOUT: &str = "stdout.txt";
const STDERR: &str = "stderr.txt";

/// Says of each difference in what the contents differ.
///
/// # Errors
/// Returns [`VerifyError::File`] when there is no room for what was printed.
pub(super) fn explain(
    differences: &mut [Difference],
    first: &Ran,
    then: &Ran,
    limits: &Limits,
) -> Result<(), VerifyError> {
    for run in [first, then] {
        for (name, captured) in [(STDOUT, &run.stdout), (STDERR, &run.stderr)] {
            let file = run.directory.join(name);
            fs::write(&file, &captured.head).map_err(FsError::at("write", &file))?;
        }
    }
    explain_each(differences, limits, |_, below| {
        let at = |run: &Ran| run.directory.join(below);
        Some((at(first), at(then)))
    });
    Ok(())
}

/// Says the same of a run and one that was recorded before, as far as the store keeps its outputs.
pub(super) fn explain_against(
    differences: &mut [Difference],
    store: &Store,
    ran: &Ran,
    limits: &Limits,
) {
    explain_each(differences, limits, |difference, below| {
        match &difference.first {
            Some(State::File { digest, .. }) => {
                let kept = store.blob(digest)?;
                Some((kept, ran.directory.join(below)))
            }
            _ => None,
        }
    });
}

/// Says of each difference in what the contents differ that lie in the two files of `places`.
fn explain_each(
    differences: &mut [Difference],
    limits: &Limits,
    places: impl Fn(&Difference, &Path) -> Option<(PathBuf, PathBuf)>,
) {
    for difference in differences {
        let Some(below) = below(difference) else {
            continue;
        };
        let Some((first, then)) = places(difference, &below) else {
            continue;
        };
        let name = below.file_name().unwrap_or_default().to_string_lossy();
        // What cannot be read is not explained: that it differs is known already.
        let explanation = explain_as(&name, &first, &then, limits).ok();
        let explanation = explanation.filter(|explanation| !explanation.same);
        difference.metadata_only |= explanation.as_ref().is_some_and(|one| one.metadata_only);
        difference.explanation = explanation;
    }
}

/// Returns where below a run's directory the content is, if there is some in both runs.
fn below(difference: &Difference) -> Option<PathBuf> {
    match (&difference.output, &difference.first, &difference.then) {
        (Output::Stdout, ..) => Some(PathBuf::from(STDOUT)),
        (Output::Stderr, ..) => Some(PathBuf::from(STDERR)),
        (Output::File(path), Some(State::File { .. }), Some(State::File { .. })) => {
            Some(Path::new("project").join(path))
        }
        _ => None,
    }
}
