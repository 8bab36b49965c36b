//! Requirements files, as pip reads them: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::parse::{read, read_named};
use crate::manifest::python::Gathered;
use crate::manifest::requirement;
use crate::manifest::table::{Source, Value};

/// A requirement of a requirements file, with the digests that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedRequirement {
    /// A PEP 508 text.
    pub requirement: String,
    /// What stands behind `--hash`: `sha256:…`.
    pub hashes: Vec<String>,
}

/// Reads the requirements of a requirements file, and of those that it names; of those, and not
/// the constraints.
///
/// # Errors
/// Returns the first thing that is wrong, with its place.
pub fn read_requirements(file: &Path) -> Result<Vec<HashedRequirement>, ManifestError> {
    let text = read(file)?;
    let mut gathered = Gathered::default();
    let mut reading = Reading {
        gathered: &mut gathered,
        open: vec![identity(file)],
    };
    reading.file(Source { file, text: &text }, Role::Requirements)?;
    Ok(gathered.hashed)
}

/// Takes in the requirements file that `value` names, with the files it names.
pub(super) fn gather(
    value: Value<'_>,
    file: &Path,
    gathered: &mut Gathered,
) -> Result<(), ManifestError> {
    let text = read_named(file, |problem| value.error(problem))?;
    gather_lines(Source { file, text: &text }, gathered)
}

/// Takes in the lines of a requirements file, with the files they name.
pub(super) fn gather_lines(
    source: Source<'_>,
    gathered: &mut Gathered,
) -> Result<(), ManifestError> {
    let mut reading = Reading {
        gathered,
        open: vec![identity(source.file)],
    };
    reading.file(source, Role::Requirements)
}

#[derive(Clone, Copy)]
enum Role {
    Requirements,
    Constraints,
}

struct Reading<'a> {
    gathered: &'a mut Gathered,
    /// The files that are being read, each named by the one before it.
    open: Vec<PathBuf>,
}

impl Reading<'_> {
    fn file(&mut self, source: Source<'_>, role: Role) -> Result<(), ManifestError> {
        for line in logical_lines(source.text) {
            let text = line.text.trim();
            match classify(text) {
                Line::Empty => {}
                Line::File(named, path) => {
                    let role = match role {
                        // All that a file of constraints names are constraints.
                        Role::Constraints => Role::Constraints,
                        Role::Requirements => named,
                    };
                    self.named_file(source, &line, path, role)?;
                }
                Line::Option(remedy) => {
                    let found = text.to_owned();
                    let problem = Problem::RequirementsOption { found, remedy };
                    return Err(source.error(line.span, problem));
                }
                Line::Requirement(text, options) => {
                    let requirement = requirement::parse(text)
                        .map_err(|slip| source.error(line.place(text, slip.part), slip.problem))?;
                    let requirement = requirement.to_string();
                    match role {
                        Role::Requirements => {
                            self.gathered.requirements.push(requirement.clone());
                            let hashes = hashes(options);
                            self.gathered.hashed.push(HashedRequirement {
                                requirement,
                                hashes,
                            });
                        }
                        Role::Constraints => self.gathered.constraints.push(requirement),
                    }
                }
            }
        }
        Ok(())
    }

    fn named_file(
        &mut self,
        source: Source<'_>,
        line: &LogicalLine,
        path: &str,
        role: Role,
    ) -> Result<(), ManifestError> {
        if path.contains("://") {
            let problem = Problem::RequirementsOption {
                found: line.text.trim().to_owned(),
                remedy: "download the file and name it by its path: what a URL serves may change",
            };
            return Err(source.error(line.span.clone(), problem));
        }
        let file = source.directory().join(path);
        let identity = identity(&file);
        if self.open.contains(&identity) {
            let problem = Problem::FileCycle { found: file };
            return Err(source.error(line.span.clone(), problem));
        }
        let text = read_named(&file, |problem| source.error(line.span.clone(), problem))?;
        self.open.push(identity);
        let source = Source {
            file: &file,
            text: &text,
        };
        self.file(source, role)?;
        self.open.pop();
        Ok(())
    }
}

/// Returns one path for each file, however it is named.
fn identity(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_path_buf())
}

/// A line as pip sees it: joined where a backslash continues it, without its comment.
struct LogicalLine {
    text: String,
    /// Where its first physical line stands.
    span: Range<usize>,
    is_joined: bool,
}

impl LogicalLine {
    /// Returns where `part` of `text`, which is in the line, stands in the file.
    fn place(&self, text: &str, part: Range<usize>) -> Range<usize> {
        match self.text.find(text) {
            Some(offset) if !self.is_joined => {
                let start = self.span.start + offset;
                start + part.start..start + part.end
            }
            _ => self.span.clone(),
        }
    }
}

fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines: Vec<LogicalLine> = Vec::new();
    let mut open: Option<LogicalLine> = None;
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let physical = raw.trim_end_matches(['\n', '\r']);
        let span = offset..offset + physical.len();
        offset += raw.len();
        let is_comment = physical.trim_start().starts_with('#');
        let (part, continues) = match physical.strip_suffix('\\') {
            // A backslash in a comment continues nothing.
            Some(part) if !is_comment => (part, true),
            _ => (physical, false),
        };
        match &mut open {
            Some(line) => {
                line.is_joined = true;
                // So that a comment among joined lines is one.
                line.text.push_str(if is_comment { " " } else { "" });
                line.text.push_str(part);
            }
            None => {
                open = Some(LogicalLine {
                    text: part.to_owned(),
                    span,
                    is_joined: false,
                });
            }
        }
        if !continues {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    for line in &mut lines {
        line.text.truncate(comment_start(&line.text));
    }
    lines
}

/// A `#` begins a comment at the start of a line or after a space; a URL may hold one.
fn comment_start(line: &str) -> usize {
    let mut before = ' ';
    for (index, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return index;
        }
        before = c;
    }
    line.len()
}

enum Line<'a> {
    Empty,
    /// A requirement, and the options behind it.
    Requirement(&'a str, &'a str),
    File(Role, &'a str),
    /// An option that cannot be followed, with what to do instead.
    Option(&'static str),
}

const INDEX_REMEDY: &str =
    "name it in the manifest: `index-url`, `extra-index-urls` or `find-links` of [python]";
const BUILD_REMEDY: &str = "remove it: wheels are taken as they are, nothing is built";

fn classify(line: &str) -> Line<'_> {
    if line.is_empty() {
        return Line::Empty;
    }
    if !line.starts_with('-') {
        return requirement_line(line);
    }
    let (option, argument) = split_option(line);
    match option {
        "-r" | "--requirement" | "--requirements" => Line::File(Role::Requirements, argument),
        "-c" | "--constraint" | "--constraints" => Line::File(Role::Constraints, argument),
        "-e" | "--editable" => Line::Option(
            "remove it: the project is at `/project` in the sandbox, so set `PYTHONPATH` in `[sandbox] env`",
        ),
        "-i" | "--index-url" | "--pypi-url" | "--extra-index-url" | "-f" | "--find-links"
        | "--no-index" => Line::Option(INDEX_REMEDY),
        "--pre" => Line::Option("write `prerelease = \"allow\"` in [python] instead"),
        "--no-binary" => Line::Option(BUILD_REMEDY),
        "--trusted-host" => {
            Line::Option("remove it: name the certificate authority with `SSL_CERT_FILE`")
        }
        // They ask for what is done anyway.
        "--only-binary" | "--prefer-binary" | "--require-hashes" => Line::Empty,
        _ => Line::Option("remove it: envbox has no such option"),
    }
}

/// Splits `-r FILE`, `-rFILE`, `--requirement FILE` and `--requirement=FILE`.
fn split_option(line: &str) -> (&str, &str) {
    let is_short = !line.starts_with("--");
    let (option, argument) = match line.char_indices().nth(2) {
        Some((end, _)) if is_short => line.split_at(end),
        _ => {
            let end = line.find(|c: char| c.is_whitespace() || c == '=');
            line.split_at(end.unwrap_or(line.len()))
        }
    };
    let argument = argument.trim_start();
    (
        option,
        argument.strip_prefix('=').unwrap_or(argument).trim(),
    )
}

/// A requirement may have options behind it. Its hashes say nothing about what is asked for: the
/// lock holds one of its own for every file.
fn requirement_line(line: &str) -> Line<'_> {
    let mut options = line.match_indices(" --").chain(line.match_indices("\t--"));
    let start = options.clone().map(|(index, _)| index).min();
    match options.all(|(index, _)| line[index + 1..].starts_with("--hash")) {
        true => {
            let (requirement, options) = line.split_at(start.unwrap_or(line.len()));
            Line::Requirement(requirement.trim(), options)
        }
        false => Line::Option(BUILD_REMEDY),
    }
}

/// Splits `--hash=sha256:… --hash sha256:…`.
fn hashes(options: &str) -> Vec<String> {
    let words = options.split_whitespace().flat_map(|word| word.split('='));
    let hashes = words.filter(|word| !word.is_empty() && *word != "--hash");
    hashes.map(str::to_owned).collect()
}
