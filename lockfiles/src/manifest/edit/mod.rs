//! Changes of a manifest's own text: all that is not changed stays as it was written.

mod array;
mod error;

use std::path::{Path, PathBuf};

use rattler_conda_types::{MatchSpec, Version as CondaVersion};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};
use uv_pep440::{Version, VersionSpecifier};
use uv_pep508::VersionOrUrl;

use crate::base::{CondaName, DebianName, GroupName, PythonName};
use crate::manifest::conda::match_spec_options;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::parse::PYPROJECT;
use crate::manifest::requirement;
use crate::manifest::schema::Datum;

pub use error::EditError;

/// What a list of a manifest has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Python requirements.
    Python,
    /// Debian packages.
    Debian,
    /// MatchSpecs of conda's.
    Conda,
}

impl ListKind {
    const ALL: [Self; 3] = [Self::Python, Self::Debian, Self::Conda];

    /// Returns the option of the command line that chooses it.
    fn option(self) -> Option<&'static str> {
        match self {
            Self::Python => None,
            Self::Debian => Some("--debian"),
            Self::Conda => Some("--conda"),
        }
    }

    /// Returns the entry in its one spelling.
    ///
    /// # Errors
    /// Returns [`EditError::Entry`] when it is none of its kind.
    fn entry(self, text: &str) -> Result<String, EditError> {
        let problem = match self {
            Self::Python => match requirement::parse(text) {
                Ok(requirement) => return Ok(requirement.to_string()),
                Err(slip) => slip.problem,
            },
            Self::Debian => match text.parse::<DebianName>() {
                Ok(name) => return Ok(name.as_str().to_owned()),
                Err(error) => error.into(),
            },
            Self::Conda => match MatchSpec::from_str(text, match_spec_options()) {
                Ok(_) => return Ok(text.trim().to_owned()),
                Err(error) => Problem::Invalid {
                    found: text.to_owned(),
                    expected: "a MatchSpec of conda's",
                    source: Some(Box::new(error)),
                    remedy: None,
                },
            },
        };
        Err(EditError::Entry {
            problem: Box::new(problem),
        })
    }

    /// Returns an entry that asks for the lowest of `versions` or a newer one. One that says which
    /// versions it wants stays as it is.
    pub fn with_lower_bound(self, entry: &str, versions: &[&str]) -> String {
        let bounded = match self {
            Self::Python => with_python_bound(entry, versions),
            Self::Conda => with_conda_bound(entry, versions),
            Self::Debian => None,
        };
        bounded.unwrap_or_else(|| entry.to_owned())
    }

    /// Returns the normalized name that an entry begins with.
    fn name(self, entry: &str) -> Option<String> {
        match self {
            Self::Python => python_name(entry).map(|name| name.as_str().to_owned()),
            Self::Debian => Some(entry.to_owned()),
            Self::Conda => conda_name(entry).map(|name| name.as_str().to_owned()),
        }
    }
}

/// The local part of a version is no part of a bound (PEP 440).
fn with_python_bound(entry: &str, versions: &[&str]) -> Option<String> {
    let versions = versions.iter().map(|text| text.parse::<Version>().ok());
    let lowest = versions.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    let mut requirement = requirement::parse(entry).ok()?;
    if requirement.version_or_url.is_none() {
        let bound = VersionSpecifier::greater_than_equal_version(lowest.without_local());
        requirement.version_or_url = Some(VersionOrUrl::VersionSpecifier(bound.into()));
    }
    Some(requirement.to_string())
}

/// A spec with more than a name says what it wants.
fn with_conda_bound(entry: &str, versions: &[&str]) -> Option<String> {
    let says_more = entry.contains(|c: char| " =<>!~[".contains(c));
    let versions = versions
        .iter()
        .map(|text| text.parse::<CondaVersion>().ok());
    let lowest = versions.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    (!says_more).then(|| format!("{entry} >={lowest}"))
}

/// Returns the name that a PEP 508 text begins with.
pub fn python_name(requirement: &str) -> Option<PythonName> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = requirement.find(|c| !part_of_name(c));
    requirement[..end.unwrap_or(requirement.len())].parse().ok()
}

/// Returns the name that a MatchSpec begins with, after its channel.
pub fn conda_name(spec: &str) -> Option<CondaName> {
    let (_, spec) = spec.rsplit_once("::").unwrap_or(("", spec));
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let spec = spec.trim_start();
    let end = spec.find(|c| !part_of_name(c));
    spec[..end.unwrap_or(spec.len())].parse().ok()
}

/// One of a manifest's lists of what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What it has.
    pub kind: ListKind,
    /// Of which group; nothing for what is always asked for.
    pub group: Option<GroupName>,
}

/// What became of an entry that was to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New(String),
    /// Another of the same name stood in its place.
    Instead(String),
    /// Only its name was given, and one of the name was there.
    AlreadyThere(String),
}

/// The text of a manifest, to be changed.
#[derive(Debug, Clone)]
pub struct ManifestText {
    file: PathBuf,
    document: DocumentMut,
    has_carriage_returns: bool,
    has_mark: bool,
}

/// The byte order mark that TOML lets pass.
const MARK: char = '\u{feff}';

impl ManifestText {
    /// Takes the text of the manifest `file`.
    ///
    /// # Errors
    /// Returns [`ManifestError`] when it is no TOML.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        let bare = text.strip_prefix(MARK).unwrap_or(text);
        let document = bare.parse().map_err(|error: toml_edit::TomlError| {
            let message = error.message().to_owned();
            let span = error.span().unwrap_or(0..0);
            ManifestError::at(file, bare, span, Problem::Syntax { message })
        })?;
        Ok(Self {
            file: file.to_path_buf(),
            document,
            has_carriage_returns: text.contains("\r\n"),
            has_mark: bare.len() != text.len(),
        })
    }

    /// Adds `entry` to a list, which is made if there is none. One of the same name is replaced,
    /// unless the entry is a mere name.
    ///
    /// # Errors
    /// Returns [`EditError`] when the entry is none of its kind, or its name stands in the list
    /// several times.
    pub fn add(&mut self, list: &List, entry: &str) -> Result<Added, EditError> {
        let entry = list.kind.entry(entry)?;
        let path = self.path(list);
        let array = self.array(&path)?;
        let name = list.kind.name(&entry);
        let is_it = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|text| list.kind.name(text) == name)
        };
        let places: Vec<usize> = array
            .iter()
            .enumerate()
            .filter_map(|(place, value)| is_it(value).then_some(place))
            .collect();
        match places.as_slice() {
            [] => {
                let place = array::place(array, |text| list.kind.name(text), &name);
                array::insert(array, place, &entry);
                Ok(Added::New(entry))
            }
            [place] => {
                let known = array.get(*place).and_then(Value::as_str);
                let known = known.unwrap_or_default().to_owned();
                let says_more = Some(&entry) != name.as_ref();
                if !says_more || known == entry {
                    return Ok(Added::AlreadyThere(known));
                }
                array.replace(*place, entry.as_str());
                Ok(Added::Instead(entry))
            }
            _ => Err(EditError::Several {
                name: name.unwrap_or_default(),
                list: described(&path),
            }),
        }
    }

    /// Removes all entries of the name `name` from a list and returns them.
    ///
    /// # Errors
    /// Returns [`EditError::Absent`] when there is none.
    pub fn remove(&mut self, list: &List, name: &str) -> Result<Vec<String>, EditError> {
        let path = self.path(list);
        let wanted = list.kind.name(name);
        let mut removed = Vec::new();
        if wanted.is_some()
            && let Some(array) = existing(self.document.as_item_mut(), &path)
        {
            for place in (0..array.len()).rev() {
                let text = array.get(place).and_then(Value::as_str);
                if let Some(text) = text.filter(|text| list.kind.name(text) == wanted) {
                    removed.push(text.to_owned());
                    array::remove(array, place);
                }
            }
        }
        removed.reverse();
        match removed.is_empty() {
            false => Ok(removed),
            true => Err(EditError::Absent {
                name: name.to_owned(),
                list: described(&path),
                option: self.option_for(list, name),
            }),
        }
    }

    /// Declares data at `path`, or declares it anew: `[data]`.
    ///
    /// # Errors
    /// Returns [`EditError::NoList`] when `data` is no table.
    pub fn declare(&mut self, datum: &Datum) -> Result<(), EditError> {
        let mut path = self.root();
        path.push("data".to_owned());
        let table = self.table(&path, &path)?;
        let mut entry = InlineTable::new();
        entry.insert("sha256", datum.sha256.hex().into());
        if let Some(size) = datum.size.and_then(|size| i64::try_from(size).ok()) {
            entry.insert("size", size.into());
        }
        if let Some(url) = &datum.url {
            entry.insert("url", url.as_str().into());
        }
        let key = datum.path.to_string_lossy();
        table.insert(&key, Item::Value(Value::InlineTable(entry)));
        Ok(())
    }

    /// Returns the text with the changes in it.
    pub fn text(&self) -> String {
        let mut text = self.document.to_string();
        if self.has_carriage_returns {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        match self.has_mark {
            true => format!("{MARK}{text}"),
            false => text,
        }
    }

    /// Returns the keys that lead to a list. Requirements of a project go where its other tools
    /// read them, unless the manifest has some of its own.
    fn path(&self, list: &List) -> Vec<String> {
        let is_pyproject = self.is_pyproject();
        let root = self.root();
        let mut path: Vec<&str> = root.iter().map(String::as_str).collect();
        match (&list.group, list.kind) {
            (Some(group), kind) => path.extend(["groups", group.as_str(), key_in_group(kind)]),
            (None, ListKind::Debian) => path.extend(["debian", "packages"]),
            (None, ListKind::Conda) => path.extend(["conda", "dependencies"]),
            (None, ListKind::Python) if is_pyproject && self.is_the_projects() => {
                path = vec!["project", "dependencies"];
            }
            (None, ListKind::Python) => path.extend(["python", "requirements"]),
        }
        path.into_iter().map(str::to_owned).collect()
    }

    fn is_pyproject(&self) -> bool {
        self.file.file_name().is_some_and(|name| name == PYPROJECT)
    }

    /// Returns the keys that lead to the manifest's own tables.
    fn root(&self) -> Vec<String> {
        match self.is_pyproject() {
            true => vec!["tool".to_owned(), "envbox".to_owned()],
            false => Vec::new(),
        }
    }

    fn is_the_projects(&self) -> bool {
        let root = self.document.as_item();
        let has = |path: &[&str]| {
            let mut item = Some(root);
            for key in path {
                item = item.and_then(|item| item.get(key));
            }
            item.is_some()
        };
        let own = ["requirements", "requirements-from"];
        let names_some = |key: &&str| has(&["tool", "envbox", "python", key]);
        has(&["project"]) && !own.iter().any(names_some)
    }

    fn array(&mut self, path: &[String]) -> Result<&mut Array, EditError> {
        let odd = || EditError::NoList {
            list: described(path),
        };
        let (key, tables) = path.split_last().ok_or_else(odd)?;
        let table = self.table(tables, path)?;
        if !table.contains_key(key) {
            table.insert(key, Item::Value(Value::Array(Array::new())));
        }
        let item = table.get_mut(key).ok_or_else(odd)?;
        item.as_array_mut().ok_or_else(odd)
    }

    /// Returns a table, which is made if there is none; `whole` is for errors.
    fn table(
        &mut self,
        tables: &[String],
        whole: &[String],
    ) -> Result<&mut dyn TableLike, EditError> {
        let odd = || EditError::NoList {
            list: described(whole),
        };
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for (level, name) in tables.iter().enumerate() {
            if !table.contains_key(name) {
                let mut new = Table::new();
                // `[groups]` alone says nothing: only the tables below have a heading.
                new.set_implicit(level + 1 < tables.len());
                table.insert(name, Item::Table(new));
            }
            let item = table.get_mut(name).ok_or_else(odd)?;
            table = item.as_table_like_mut().ok_or_else(odd)?;
        }
        Ok(table)
    }

    /// Returns the options that choose the list in which `name` does stand.
    fn option_for(&mut self, list: &List, name: &str) -> Option<String> {
        let mut groups: Vec<Option<GroupName>> = vec![None];
        let root = match self.is_pyproject() {
            true => self
                .document
                .get("tool")
                .and_then(|tool| tool.get("envbox")),
            false => Some(self.document.as_item()),
        };
        let table = root.and_then(|root| root.get("groups")?.as_table_like());
        let names = table.into_iter().flat_map(|table| table.iter());
        groups.extend(names.map(|(name, _)| name.parse().ok()));
        let mut others = ListKind::ALL.into_iter().flat_map(|kind| {
            let groups = groups.iter().cloned();
            groups.map(move |group| List { kind, group })
        });
        others.find_map(|other| {
            let path = self.path(&other);
            let wanted = other.kind.name(name)?;
            let array = existing(self.document.as_item_mut(), &path)?;
            let mut texts = array.iter().filter_map(Value::as_str);
            let is_there = texts.any(|text| other.kind.name(text).as_ref() == Some(&wanted));
            (is_there && other != *list).then(|| other.options())
        })
    }
}

impl List {
    /// Returns the options of the command line that choose it.
    fn options(&self) -> String {
        let kind = self.kind.option().map(str::to_owned);
        let group = self.group.as_ref().map(|group| format!("--group {group}"));
        let options: Vec<String> = kind.into_iter().chain(group).collect();
        options.join(" ")
    }
}

fn key_in_group(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Python => "requirements",
        ListKind::Debian => "debian",
        ListKind::Conda => "conda",
    }
}

fn existing<'a>(root: &'a mut Item, path: &[String]) -> Option<&'a mut Array> {
    let mut item = root;
    for key in path {
        // To reach for what is not there would make it.
        item.get(key)?;
        item = item.get_mut(key)?;
    }
    item.as_array_mut()
}

/// Names a list as messages do: `[python] requirements`.
fn described(path: &[String]) -> String {
    match path.split_last() {
        Some((key, tables)) => format!("[{}] {key}", tables.join(".")),
        None => String::new(),
    }
}
