//! Outputs that differ, kept for people to look at.

use std::fs;
use std::path::Path;

use envbox_lockfiles::base::FsError;

use crate::ops::verify::outcome::Output;
use crate::ops::verify::runner::Ran;
use crate::ops::verify::{Difference, VerifyError};

/// Copies those outputs of a run that differ.
pub(super) fn keep_outputs(
    to: &Path,
    run: &Ran,
    differences: &[Difference],
) -> Result<(), VerifyError> {
    let write = |name: &Path, content: Content<'_>| -> Result<(), FsError> {
        let path = to.join(name);
        let parent = path.parent().unwrap_or(to);
        fs::create_dir_all(parent).map_err(FsError::at("create", parent))?;
        let written = match content {
            Content::Bytes(bytes) => fs::write(&path, bytes),
            Content::File(file) => fs::copy(file, &path).map(drop),
        };
        written.map_err(FsError::at("write", &path))
    };
    for difference in differences {
        match &difference.output {
            Output::Exit => {}
            Output::Stdout => write(Path::new("stdout"), Content::Bytes(&run.stdout.head))?,
            Output::Stderr => write(Path::new("stderr"), Content::Bytes(&run.stderr.head))?,
            Output::File(path) => {
                let file = run.directory.join("project").join(path);
                let is_file = fs::symlink_metadata(&file).is_ok_and(|file| file.is_file());
                if is_file {
                    write(&Path::new("project").join(path), Content::File(&file))?;
                }
            }
        }
    }
    Ok(())
}

enum Content<'a> {
    Bytes(&'a [u8]),
    File(&'a Path),
}
