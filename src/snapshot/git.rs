//! What Git says of a project.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::snapshot::walk::is_in_repository;

/// The largest difference that is kept, in bytes: a larger one is data.
const LARGEST: usize = 8 << 20;

/// What Git says of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitState {
    /// The commit that is checked out.
    pub commit: Option<String>,
    /// How the project's files differ from it, as `git diff` writes it; empty when they do not.
    /// Files that Git does not know are not in it.
    pub diff: Option<Vec<u8>>,
}

/// Asks Git. Where there is no repository, or no `git`, nothing is known.
pub fn git_state(project: &Path) -> GitState {
    if !is_in_repository(project) {
        return GitState::default();
    }
    // Side by side: each takes milliseconds.
    let commit = git(project, &["rev-parse", "--verify", "HEAD"]);
    let diff = [
        "diff",
        "--binary",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--relative",
        "HEAD",
    ];
    let diff = git(project, &diff);
    let commit = commit.and_then(output).and_then(|text| {
        let text = String::from_utf8(text).ok()?;
        Some(text.trim().to_owned())
    });
    GitState {
        diff: diff
            .and_then(output)
            .filter(|diff| diff.len() <= LARGEST && commit.is_some()),
        commit,
    }
}

/// Starts `git` so that it runs no program that the repository names.
fn git(project: &Path, arguments: &[&str]) -> Option<Child> {
    let mut git = Command::new("git");
    git.args([
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
    ])
    .args(arguments)
    .current_dir(project)
    // It would write to the repository to look faster next time.
    .env("GIT_OPTIONAL_LOCKS", "0")
    .stdin(Stdio::null())
    .stdout(Stdio::piped())
    .stderr(Stdio::null());
    git.spawn().ok()
}

fn output(child: Child) -> Option<Vec<u8>> {
    let output = child.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}
