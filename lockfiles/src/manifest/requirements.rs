//! PEP 508 requirements, and the files that hold them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use uv_normalize::{ExtraName, GroupName};
use uv_pep508::VerbatimUrl;

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::parse::{PYPROJECT, read};
use crate::manifest::schema::Python;
use crate::manifest::table::{Source, Value};

type Requirement = uv_pep508::Requirement<VerbatimUrl>;

/// Reads a PEP 508 text in its one spelling.
pub(super) fn requirement(value: Value<'_>) -> Result<String, ManifestError> {
    let text = value.str()?;
    normalized(text).map_err(|reason| value.invalid(text, "a PEP 508 requirement", Some(reason)))
}

fn normalized(text: &str) -> Result<String, String> {
    let requirement =
        Requirement::from_str(text).map_err(|error| first_line(&error.to_string()))?;
    Ok(requirement.to_string())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Takes in one entry of `requirements-from`: a file name, or `{ file, extras, groups }`.
pub(super) fn from_file(value: Value<'_>, python: &mut Python) -> Result<(), ManifestError> {
    let (file, wanted) = if value.is_table() {
        let table = value.table("requirements-from", &["file", "extras", "groups"], &[])?;
        let extra = |value: Value<'_>| Ok(Part::Extra(value.parse::<ExtraName>("an extra")?));
        let group =
            |value: Value<'_>| Ok(Part::Group(value.parse::<GroupName>("a dependency group")?));
        let mut wanted = table.list("extras", extra)?;
        wanted.extend(table.list("groups", group)?);
        (table.need("file")?.str()?, wanted)
    } else {
        (value.str()?, Vec::new())
    };
    let base = value.source.file.parent().unwrap_or(Path::new(""));
    let path = base.join(file);
    if path.file_name().is_some_and(|name| name == PYPROJECT) {
        return from_pyproject(&path, &wanted, python);
    }
    if !wanted.is_empty() {
        return Err(value.invalid(
            file,
            "a `pyproject.toml`: only there are extras and groups",
            None,
        ));
    }
    from_requirements_file(&path, Role::Requirements, python, &mut Vec::new())
}

/// A part of a `pyproject.toml` beyond `project.dependencies`.
pub(super) enum Part {
    Extra(ExtraName),
    Group(GroupName),
}

/// Takes in `project.dependencies` (PEP 621), and the parts asked for (PEP 621 extras, PEP 735
/// groups).
pub(super) fn from_pyproject(
    file: &Path,
    parts: &[Part],
    python: &mut Python,
) -> Result<(), ManifestError> {
    let text = read(file)?;
    let source = Source { file, text: &text };
    let document = source.parse()?;
    let root = document.get_ref();
    if let Some(dependencies) = lookup(root, &["project", "dependencies"]) {
        add_all(Value::new(source, dependencies), python)?;
    }
    for part in parts {
        let (path, name, known) = match part {
            Part::Extra(extra) => (
                ["project", "optional-dependencies"].as_slice(),
                extra.as_str(),
                "extra",
            ),
            Part::Group(group) => (
                ["dependency-groups"].as_slice(),
                group.as_str(),
                "dependency group",
            ),
        };
        let Some(list) = lookup(root, path).and_then(|table| entry(table, name)) else {
            let expected = if known == "extra" {
                "an extra of this project"
            } else {
                "a dependency group of this project"
            };
            let problem = Problem::Invalid {
                found: name.to_owned(),
                expected,
                reason: None,
            };
            return Err(ManifestError::whole(file, problem));
        };
        add_group(
            root,
            Value::new(source, list),
            python,
            &mut vec![name.to_owned()],
        )?;
    }
    Ok(())
}

fn lookup<'a>(root: &'a DeTable<'a>, path: &[&str]) -> Option<&'a Spanned<DeValue<'a>>> {
    let (first, rest) = path.split_first()?;
    let mut value = root.get(*first)?;
    for key in rest {
        value = value.get_ref().as_table()?.get(*key)?;
    }
    Some(value)
}

/// Finds an extra or group by its normalized name (PEP 685).
fn entry<'a>(table: &'a Spanned<DeValue<'a>>, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
    let table = table.get_ref().as_table()?;
    let found = table.iter().find(|(key, _)| {
        GroupName::from_str(key.get_ref()).is_ok_and(|group| group.as_str() == name)
    });
    found.map(|(_, value)| value)
}

fn add_all(list: Value<'_>, python: &mut Python) -> Result<(), ManifestError> {
    for item in list.array()? {
        python.requirements.push(requirement(item)?);
    }
    Ok(())
}

/// A group may include others: `{ include-group = "name" }`.
fn add_group<'a>(
    root: &'a DeTable<'a>,
    list: Value<'a>,
    python: &mut Python,
    path: &mut Vec<String>,
) -> Result<(), ManifestError> {
    for item in list.array()? {
        if !item.is_table() {
            python.requirements.push(requirement(item)?);
            continue;
        }
        let table = item.table("a dependency group", &["include-group"], &[])?;
        let included = table.need("include-group")?;
        let name: GroupName = included.parse("a dependency group")?;
        let group =
            lookup(root, &["dependency-groups"]).and_then(|groups| entry(groups, name.as_str()));
        match group {
            Some(group) if !path.contains(&name.to_string()) => {
                path.push(name.to_string());
                add_group(root, Value::new(included.source, group), python, path)?;
                path.pop();
            }
            Some(_) => {
                return Err(included.invalid(
                    name.as_str(),
                    "a group that does not include itself",
                    None,
                ));
            }
            None => {
                return Err(included.invalid(
                    name.as_str(),
                    "a dependency group of this project",
                    None,
                ));
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Role {
    Requirements,
    Constraints,
}

/// Takes in a requirements file (pip's format) with its `-r` and `-c` files.
fn from_requirements_file(
    file: &Path,
    role: Role,
    python: &mut Python,
    open: &mut Vec<PathBuf>,
) -> Result<(), ManifestError> {
    let text = read(file)?;
    let source = Source { file, text: &text };
    if open.iter().any(|path| path == file) {
        let expected = "a file that does not include itself";
        let found = file.display().to_string();
        return Err(ManifestError::whole(
            file,
            Problem::Invalid {
                found,
                expected,
                reason: None,
            },
        ));
    }
    open.push(file.to_path_buf());
    for line in logical_lines(&text) {
        let base = file.parent().unwrap_or(Path::new(""));
        match classify(&line.text) {
            Line::Empty => {}
            Line::File(role, path) => from_requirements_file(&base.join(path), role, python, open)?,
            Line::Option(remedy) => {
                let problem = Problem::RequirementsOption {
                    found: line.text.clone(),
                    remedy,
                };
                return Err(source.error(line.span, problem));
            }
            Line::Requirement(text) => {
                let requirement = normalized(text).map_err(|reason| {
                    let expected = "a PEP 508 requirement";
                    let problem = Problem::Invalid {
                        found: text.to_owned(),
                        expected,
                        reason: Some(reason),
                    };
                    source.error(line.span.clone(), problem)
                })?;
                match role {
                    Role::Requirements => python.requirements.push(requirement),
                    Role::Constraints => python.constraints.push(requirement),
                }
            }
        }
    }
    open.pop();
    Ok(())
}

struct LogicalLine {
    text: String,
    span: std::ops::Range<usize>,
}

/// Joins lines that end in a backslash and drops comments.
fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines: Vec<LogicalLine> = Vec::new();
    let mut open: Option<LogicalLine> = None;
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let trimmed = raw.trim_end_matches(['\n', '\r']);
        let (part, continued) = match trimmed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (without_comment(trimmed), false),
        };
        let line = open.get_or_insert_with(|| LogicalLine {
            text: String::new(),
            span: offset..offset + trimmed.len(),
        });
        line.text.push_str(part);
        offset += raw.len();
        if !continued {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines
}

/// A `#` begins a comment at the start of a line or after a space; a URL may hold one.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    match line.find(" #").or_else(|| line.find("\t#")) {
        Some(start) => &line[..start],
        None => line,
    }
}

enum Line<'a> {
    Empty,
    Requirement(&'a str),
    File(Role, &'a str),
    Option(&'static str),
}

const INDEX_REMEDY: &str =
    "name indexes in the manifest: `[python] index-url`, `extra-index-urls`, `find-links`";

fn classify(line: &str) -> Line<'_> {
    let line = line.trim();
    if line.is_empty() {
        return Line::Empty;
    }
    if !line.starts_with('-') {
        // Hashes are the lock's business: it holds one for every file.
        return Line::Requirement(line.split(" --").next().unwrap_or(line).trim());
    }
    let (option, argument) = line.split_once([' ', '=', '\t']).unwrap_or((line, ""));
    match option {
        "-r" | "--requirement" => Line::File(Role::Requirements, argument.trim()),
        "-c" | "--constraint" => Line::File(Role::Constraints, argument.trim()),
        "-e" | "--editable" => Line::Option(
            "the project is at `/project` in the sandbox: set `PYTHONPATH` in `[sandbox] env`",
        ),
        "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--no-index" => {
            Line::Option(INDEX_REMEDY)
        }
        "--pre" => Line::Option("write `prerelease = \"allow\"` in `[python]`"),
        "--only-binary" | "--require-hashes" | "--prefer-binary" => Line::Empty,
        _ => Line::Option("remove the line: envbox has no such option"),
    }
}
