//! `[environment]`.

use crate::base::{EnvironmentName, Platform};
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::python::RequiresPython;
use crate::manifest::schema::{Environment, Interpreter, InterpreterSource, PythonVersion};
use crate::manifest::table::Value;

pub(super) fn environment(value: Value<'_>) -> Result<Environment, ManifestError> {
    let table = value.table(&keys::ENVIRONMENT)?;
    let name = table.need("name")?.name()?;
    environment_or(value, &name)
}

/// As [`environment`]; without a name of its own it is called `name`.
pub(super) fn environment_or(
    value: Value<'_>,
    name: &EnvironmentName,
) -> Result<Environment, ManifestError> {
    let table = value.table(&keys::ENVIRONMENT)?;
    Ok(Environment {
        name: table
            .map("name", Value::name)?
            .unwrap_or_else(|| name.clone()),
        python: table.map("python", interpreter)?,
        platforms: table
            .map("platforms", platforms)?
            .unwrap_or_else(|| vec![Platform::LinuxAmd64]),
    })
}

fn platforms(value: Value<'_>) -> Result<Vec<Platform>, ManifestError> {
    let one = |value: Value<'_>| value.word(&["linux/amd64", "linux/arm64"]);
    let platforms: Result<Vec<Platform>, _> = value.array()?.into_iter().map(one).collect();
    let mut platforms = platforms?;
    platforms.sort();
    platforms.dedup();
    match platforms.is_empty() {
        true => Err(value.invalid("[]", "a list of at least one platform")),
        false => Ok(platforms),
    }
}

fn interpreter(value: Value<'_>) -> Result<Interpreter, ManifestError> {
    if !value.is_table() {
        return Ok(Interpreter {
            version: python_version(value)?,
            from: None,
        });
    }
    let table = value.table(&keys::INTERPRETER)?;
    Ok(Interpreter {
        version: python_version(table.need("version")?)?,
        from: table.map("from", interpreter_source)?,
    })
}

fn interpreter_source(value: Value<'_>) -> Result<InterpreterSource, ManifestError> {
    value.word(&["debian", "standalone", "conda"])
}

fn python_version(value: Value<'_>) -> Result<PythonVersion, ManifestError> {
    const EXPECTED: &str = "a Python version like `3.11` or `3.11.9`";
    let text = value.str_of(EXPECTED)?;
    let parts: Option<Vec<u8>> = text.split('.').map(number).collect();
    let (major, minor, patch) = match parts.as_deref() {
        Some([major, minor]) => (*major, *minor, None),
        Some([major, minor, patch]) => (*major, *minor, Some(*patch)),
        Some([_]) => {
            let remedy = "name the minor version too: another one is another Python";
            return Err(value.invalid_with(text, EXPECTED, remedy));
        }
        _ if text.starts_with(['<', '>', '=', '~', '!', '^']) => {
            let remedy = "name one version: an environment has one interpreter";
            return Err(value.invalid_with(text, EXPECTED, remedy));
        }
        _ => return Err(value.invalid(text, EXPECTED)),
    };
    Ok(PythonVersion {
        major,
        minor,
        patch,
    })
}

/// Reads a number in its one spelling: no sign, no leading zero.
fn number(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Checks that the chosen Python is one that the project's own files allow. Of a Python given
/// without its patch release, some patch release must be.
///
/// # Errors
/// Returns [`Problem::RequiresPython`] at the chosen Python.
pub(super) fn requires_python(
    value: Value<'_>,
    environment: &Environment,
    required: &[RequiresPython],
) -> Result<(), ManifestError> {
    let chosen = value.table(&keys::ENVIRONMENT)?.get("python");
    let (Some(value), Some(python)) = (chosen, &environment.python) else {
        return Ok(());
    };
    match required.iter().find(|range| !range.allows(python.version)) {
        None => Ok(()),
        Some(range) => Err(value.error(Problem::RequiresPython {
            python: python.version,
            requires: range.specifiers.to_string(),
            file: range.file.clone(),
        })),
    }
}
