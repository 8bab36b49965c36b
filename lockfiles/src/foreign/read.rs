//! Which format a file is in.

use std::path::Path;

use crate::base::fs;
use crate::foreign::{Choice, ForeignError, ForeignLock, Format, pylock, requirements, uv_lock};

/// Reads another tool's lockfile. Its name says which it is, as the tools themselves have it; a
/// requirements file may have any name.
///
/// # Errors
/// Returns [`ForeignError`] that names the file.
pub fn read(file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let format = format(file)?;
    if format == Format::Requirements {
        return requirements::read(file);
    }
    let bytes = fs::read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ForeignError::Encoding {
        file: file.to_path_buf(),
    })?;
    match format {
        Format::Pylock => pylock::read(text, file, choice),
        Format::UvLock => uv_lock::read(text, file, choice),
        Format::Requirements => unreachable!("was read above"),
    }
}

fn format(file: &Path) -> Result<Format, ForeignError> {
    let unknown = |instead| {
        Err(ForeignError::Unknown {
            file: file.to_path_buf(),
            instead,
        })
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_pylock = name == "pylock.toml" || name.starts_with("pylock.") && name.ends_with(".toml");
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    match (name.as_ref(), extension.as_ref()) {
        _ if is_pylock => Ok(Format::Pylock),
        // uv puts the lock of `script.py` beside it, as `script.py.lock`.
        ("uv.lock", _) => Ok(Format::UvLock),
        (name, "lock") if name.ends_with(".py.lock") => Ok(Format::UvLock),
        ("envbox.lock", _) => unknown(Some("it is envbox's own: put it beside its manifest")),
        ("poetry.lock" | "pdm.lock" | "Pipfile.lock", _) => unknown(Some(
            "export it first: `poetry export`, `pdm export` and `pipenv requirements` write a \
             requirements file",
        )),
        ("pyproject.toml" | "pixi.toml" | "environment.yml" | "environment.yaml", _)
        | (_, "py") => unknown(Some(
            "it pins nothing: `envbox init --from FILE` makes a manifest of it",
        )),
        (_, "txt" | "in" | "lock" | "") => Ok(Format::Requirements),
        _ => unknown(None),
    }
}
