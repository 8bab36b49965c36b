//! Commits of repositories, by the host's `git`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use envbox_lockfiles::base::{Digest, FsError, Kind};
use envbox_lockfiles::resolve::python::{BuildFailure, Checkout, SourceFile};

use crate::ops::sources::step::host;

/// Gets the commit that `revision` names, else the newest, into `directory`: as an archive, which
/// depends on the commit alone. Submodules are not in it.
pub(super) fn checkout(
    url: &str,
    revision: Option<&str>,
    directory: &Path,
) -> Result<Checkout, BuildFailure> {
    let clone = directory.join("repository");
    git(
        &["clone", "--quiet", "--bare", "--", url],
        Some(&clone),
        None,
    )?;
    let named = format!("{}^{{commit}}", revision.unwrap_or("HEAD"));
    let arguments = ["rev-parse", "--verify", "--end-of-options", &named];
    let commit = git(&arguments, None, Some(&clone))?.trim().to_owned();
    let path = directory.join("source.tar");
    let shown = path.display().to_string();
    let output = format!("--output={shown}");
    let arguments = [
        "archive",
        "--format=tar",
        "--prefix=source/",
        &output,
        &commit,
    ];
    git(&arguments, None, Some(&clone))?;
    let measured = File::open(&path).and_then(Digest::of_reader);
    let (digest, size) = measured.map_err(|error| host(FsError::at("read", &path)(error)))?;
    drop(fs::remove_dir_all(&clone));
    let file = format!("{commit}.tar");
    let source = SourceFile {
        file,
        path,
        size,
        digest,
    };
    Ok(Checkout { commit, source })
}

fn git(
    arguments: &[&str],
    target: Option<&Path>,
    repository: Option<&Path>,
) -> Result<String, BuildFailure> {
    let mut git = Command::new("git");
    if let Some(repository) = repository {
        git.arg("--git-dir").arg(repository);
    }
    git.args(arguments).args(target).stdin(Stdio::null());
    // Nobody can answer.
    git.env("GIT_TERMINAL_PROMPT", "0");
    let failed = |message: String, hint: &str| BuildFailure {
        message,
        kind: Kind::User,
        hints: vec![hint.to_owned()],
        source: None,
    };
    let output = git.output().map_err(|error| {
        let message = format!("`git` did not start: {error}");
        failed(message, "install git: commits are got with it")
    })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let message = format!("`git {}`: {}", arguments[0], said.trim());
            Err(failed(message, "check the URL and what stands after `@`"))
        }
    }
}
