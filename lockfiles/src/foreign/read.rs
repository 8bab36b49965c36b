//! Which format a file is in.

use std::path::Path;

use crate::base::fs;
use crate::foreign::{
    Choice, ForeignError, ForeignLock, Format, LeftOut, Outline, RequirementsFrom, conda_lock,
    environment_yml, pixi_lock, pixi_toml, pylock, requirements, uv_lock,
};
use crate::manifest::{PYPROJECT, allowed_pythons, described};

const PINS_NOTHING: &str = "it pins nothing: `envbox init --from FILE` makes a manifest of it";

/// Reads another tool's lockfile. Its name says which it is, as the tools themselves have it; a
/// requirements file may have any name.
///
/// # Errors
/// Returns [`ForeignError`] that names the file.
pub fn read(file: &Path, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let lock = match format(file)? {
        Format::Requirements => requirements::read(file)?,
        Format::EnvironmentYml | Format::PixiToml => return Err(pins_nothing(file)),
        format => parsed(file, format, choice)?,
    };
    match lock.format == Format::Requirements && lock.pins.is_empty() {
        true => Err(pins_nothing(file)),
        false => Ok(lock),
    }
}

fn pins_nothing(file: &Path) -> ForeignError {
    ForeignError::Unknown {
        file: file.to_path_buf(),
        instead: Some(PINS_NOTHING),
    }
}

/// Reads what a manifest says that is made of `file`: another tool's lockfile, or a file that says
/// what an environment needs.
///
/// # Errors
/// Returns [`ForeignError`] that names the file.
pub fn outline(file: &Path, choice: &Choice) -> Result<(Outline, Vec<LeftOut>), ForeignError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if name == PYPROJECT || name.ends_with(".py") {
        return Ok((project(file, choice)?, Vec::new()));
    }
    let format = format(file)?;
    let read = match format {
        Format::Requirements => requirements::read(file)?,
        format => parsed(file, format, choice)?,
    };
    Ok((read.outline, read.left_out))
}

/// Reads what a project or a script says of itself; what it requires stays there.
fn project(file: &Path, choice: &Choice) -> Result<Outline, ForeignError> {
    let (name, range) = described(file)?;
    let python = allowed_pythons(range.as_ref())
        .first()
        .map(ToString::to_string);
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Outline {
        name,
        python,
        requirements_from: vec![RequirementsFrom {
            file: file.into_owned(),
            extras: choice.extras.clone(),
            groups: choice.groups.clone(),
        }],
        ..Outline::default()
    })
}

fn parsed(file: &Path, format: Format, choice: &Choice) -> Result<ForeignLock, ForeignError> {
    let bytes = fs::read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ForeignError::Encoding {
        file: file.to_path_buf(),
    })?;
    match format {
        Format::Pylock => pylock::read(text, file, choice),
        Format::UvLock => uv_lock::read(text, file, choice),
        Format::PixiLock => pixi_lock::read(text, file, choice),
        Format::CondaLock => conda_lock::read(text, file, choice),
        Format::EnvironmentYml => environment_yml::read(text, file),
        Format::PixiToml => pixi_toml::read(text, file, choice),
        Format::Requirements => requirements::read(file),
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
        ("pixi.lock", _) => Ok(Format::PixiLock),
        ("pixi.toml", _) => Ok(Format::PixiToml),
        (name, "yml" | "yaml") if name.contains("conda-lock") => Ok(Format::CondaLock),
        (_, "yml" | "yaml") => Ok(Format::EnvironmentYml),
        (PYPROJECT, _) | (_, "py") => unknown(Some(PINS_NOTHING)),
        (_, "txt" | "in" | "lock") => Ok(Format::Requirements),
        _ => unknown(None),
    }
}
