//! The header of a script: inline script metadata
//! (<https://packaging.python.org/en/latest/specifications/inline-script-metadata/>, PEP 723).
//!
//! `dependencies` and `requires-python` are read, and all that a manifest may say below
//! `[tool.envbox]`. What other tools have below `[tool]` is theirs.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;
use uv_pep440::VersionSpecifiers;

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys;
use crate::manifest::parse::{lookup, read, read_named};
use crate::manifest::pyproject::requires_python;
use crate::manifest::python::{Gathered, RequiresPython};
use crate::manifest::python_version::allowed_pythons;
use crate::manifest::requirement::requirement;
use crate::manifest::schema::Interpreter;
use crate::manifest::table::{Source, Table, Value};

const OPEN: &str = "# /// script";
const CLOSE: &str = "# ///";

/// Says whether the script at `file` has a header.
///
/// # Errors
/// Returns what keeps it from being read, and what is wrong with the header's frame.
pub fn has_header(file: &Path) -> Result<bool, ManifestError> {
    let text = read(file)?;
    Ok(header(Source { file, text: &text })?.is_some())
}

/// Returns a text in which the header's TOML stands where it stands in the script, and spaces stand
/// for everything else: what is found in it has its place in the script.
///
/// # Errors
/// Returns [`Problem::OpenHeader`] and [`Problem::SecondHeader`].
pub(super) fn header(source: Source<'_>) -> Result<Option<String>, ManifestError> {
    let mut offset = 0;
    let mut lines = Vec::new();
    for raw in source.text.split_inclusive('\n') {
        lines.push((offset, raw.trim_end_matches(['\n', '\r'])));
        offset += raw.len();
    }
    let mut found = None;
    let mut next = 0;
    while let Some(begin) = (next..lines.len()).find(|line| lines[*line].1 == OPEN) {
        let span = lines[begin].0..lines[begin].0 + OPEN.len();
        if found.is_some() {
            return Err(source.error(span, Problem::SecondHeader));
        }
        let comments = lines[begin + 1..].iter();
        let block = comments.take_while(|(_, line)| *line == "#" || line.starts_with("# "));
        // The last one closes it: TOML has comments, too.
        let close = block
            .enumerate()
            .filter(|(_, (_, line))| *line == CLOSE)
            .last();
        let Some((length, _)) = close else {
            return Err(source.error(span, Problem::OpenHeader));
        };
        next = begin + 1 + length + 1;
        found = Some(masked(source.text, &lines[begin + 1..next - 1]));
    }
    Ok(found)
}

fn masked(text: &str, content: &[(usize, &str)]) -> String {
    let mut masked: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'\n' { byte } else { b' ' })
        .collect();
    for (offset, line) in content {
        let end = offset + line.len();
        masked[*offset..end].copy_from_slice(line.as_bytes());
        masked[*offset] = b' ';
    }
    String::from_utf8(masked).expect("whole lines of a text, and spaces")
}

/// Reads the header's two keys of its own, and returns what is below `[tool.envbox]`.
pub(super) fn own<'a>(
    source: Source<'a>,
    document: &'a Spanned<DeTable<'a>>,
    gathered: &mut Gathered,
) -> Result<Option<Value<'a>>, ManifestError> {
    let table = Table::new(source, document.get_ref(), document.span(), &keys::SCRIPT)?;
    gathered
        .requirements
        .extend(table.list("dependencies", requirement)?);
    let specifiers = table.map("requires-python", |value| {
        let specifiers = value.parse("a PEP 440 version specifier")?;
        match allowed_pythons(Some(&specifiers)).is_empty() {
            true => Err(value.invalid(value.str()?, "met by any Python from 3.9 to 3.14")),
            false => Ok(specifiers),
        }
    })?;
    gathered
        .requires_python
        .extend(specifiers.map(|specifiers| RequiresPython {
            file: source.file.to_path_buf(),
            specifiers,
        }));
    let tools = table.map("tool", Value::free_table)?.unwrap_or_default();
    let mut tools = tools.into_iter();
    Ok(tools
        .find(|(name, _)| *name == "envbox")
        .map(|(_, value)| value))
}

/// As [`header`], of a script that must have one.
pub(super) fn needed_header(source: Source<'_>) -> Result<String, ManifestError> {
    header(source)?.ok_or_else(|| {
        let file = source.file.to_path_buf();
        ManifestError::whole(source.file, Problem::NoHeader { file })
    })
}

/// Returns the Python of a script whose header was gathered.
pub(super) fn python(gathered: &Gathered) -> Option<Interpreter> {
    let range = gathered.requires_python.first();
    let allowed = allowed_pythons(range.map(|range| &range.specifiers));
    allowed.first().map(|version| Interpreter {
        version: *version,
        from: None,
    })
}

/// Returns the name and the range of Pythons of the project or script at `file`; of one that is not
/// named, the name of the file.
///
/// # Errors
/// Returns the first thing that is wrong, with its place.
pub fn described(
    file: &Path,
) -> Result<(Option<String>, Option<VersionSpecifiers>), ManifestError> {
    let text = read(file)?;
    let source = Source { file, text: &text };
    if file.extension().is_some_and(|extension| extension == "py") {
        let masked = needed_header(source)?;
        let document = source.parse_masked(&masked)?;
        let mut gathered = Gathered::default();
        own(source, &document, &mut gathered)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let range = gathered.requires_python.pop();
        return Ok((Some(stem.into_owned()), range.map(|range| range.specifiers)));
    }
    let document = source.parse()?;
    let name = lookup(document.get_ref(), &["project", "name"]);
    let name = name
        .map(|name| Value::new(source, name).str())
        .transpose()?;
    let range = requires_python(source, document.get_ref())?;
    Ok((name.map(str::to_owned), range))
}

/// Takes in what the script at `file`, which `value` names, requires.
pub(super) fn gather(
    value: Value<'_>,
    file: &Path,
    gathered: &mut Gathered,
) -> Result<(), ManifestError> {
    let text = read_named(file, |problem| value.error(problem))?;
    let source = Source { file, text: &text };
    let Some(masked) = header(source)? else {
        let file = file.to_path_buf();
        return Err(value.error(Problem::NoHeader { file }));
    };
    let document = source.parse_masked(&masked)?;
    own(source, &document, gathered).map(drop)
}
