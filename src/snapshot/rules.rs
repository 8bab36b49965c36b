//! What `.gitignore` and `.envboxignore` say of a path.

use std::io;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::snapshot::walk::SnapshotError;

/// What a project names its own exceptions in, written as `.gitignore` is.
pub(super) const OURS: &str = ".envboxignore";

/// What Git reads.
const GIT: &str = ".gitignore";

/// What makes a directory the top of a repository.
const REPOSITORY: &str = ".git";

/// The rules of a directory and of those above it. What the user's own configuration has Git ignore
/// is no part of them: two users' lists would differ.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules(Option<Arc<Level>>);

#[derive(Debug)]
struct Level {
    above: Rules,
    ours: Gitignore,
    git: Gitignore,
    repository: bool,
}

impl Rules {
    /// Returns what holds in a project because of directories above it: those of the repository that
    /// it is a part of. Above one that is in none, rules are somebody else's.
    pub(super) fn above(project: &Path) -> Result<Self, SnapshotError> {
        let mut rules = Self::default();
        let top = |directory: &Path| directory.join(REPOSITORY).exists();
        if let Some(levels) = project.ancestors().position(top) {
            let between: Vec<&Path> = project.ancestors().take(levels + 1).skip(1).collect();
            for directory in between.into_iter().rev() {
                rules = rules.below(directory, |name| directory.join(name).exists())?;
            }
        }
        Ok(rules)
    }

    /// Returns what holds in `directory`, which is one of those that `self` holds in; `has` says
    /// whether it has something of a name.
    pub(super) fn below(
        &self,
        directory: &Path,
        has: impl Fn(&str) -> bool,
    ) -> Result<Self, SnapshotError> {
        let (ours, git, repository) = (has(OURS), has(GIT), has(REPOSITORY));
        if !ours && !git && !repository {
            return Ok(self.clone());
        }
        let read = |there: bool, name: &str| match there {
            true => read(directory, name),
            false => Ok(Gitignore::empty()),
        };
        Ok(Self(Some(Arc::new(Level {
            above: self.clone(),
            ours: read(ours, OURS)?,
            git: read(git, GIT)?,
            repository,
        }))))
    }

    /// Says whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Says whether a path is to be left out. The nearest rule decides, the project's own before Git's;
    /// Git's do not reach into a repository from outside.
    pub(super) fn ignore(&self, path: &Path, is_directory: bool) -> bool {
        let levels = || iter::successors(self.0.as_deref(), |level| level.above.0.as_deref());
        let ours = levels().map(|level| level.ours.matched(path, is_directory));
        if let Some(verdict) = ours.into_iter().find(|verdict| !verdict.is_none()) {
            return verdict.is_ignore();
        }
        for level in levels() {
            match level.git.matched(path, is_directory) {
                Match::None if level.repository => return false,
                Match::None => {}
                verdict => return verdict.is_ignore(),
            }
        }
        false
    }
}

fn read(directory: &Path, name: &str) -> Result<Gitignore, SnapshotError> {
    let mut builder = GitignoreBuilder::new(directory);
    match builder.add(directory.join(name)) {
        // A link that leads nowhere, or a file that is gone.
        Some(error) if is_missing(&error) => {}
        Some(error) => return Err(SnapshotError::Rules(error)),
        None => {}
    }
    builder.build().map_err(SnapshotError::Rules)
}

fn is_missing(error: &ignore::Error) -> bool {
    let error = error.io_error();
    error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}
