//! Typed access to a parsed TOML table, with the span of everything.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::InvalidName;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::keys::Keys;

/// The text a value stands in.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

/// A value with its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) source: Source<'a>,
    inner: &'a Spanned<DeValue<'a>>,
}

/// A table whose keys are all known.
pub(super) struct Table<'a> {
    source: Source<'a>,
    name: &'static str,
    span: Range<usize>,
    entries: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Source<'a> {
    pub(super) fn error(self, span: Range<usize>, problem: Problem) -> ManifestError {
        ManifestError::at(self.file, self.text, span, problem)
    }

    pub(super) fn parse(self) -> Result<Spanned<DeTable<'a>>, ManifestError> {
        self.parse_masked(self.text)
    }

    /// Parses `masked`, which has the same places as the text.
    pub(super) fn parse_masked<'m>(
        self,
        masked: &'m str,
    ) -> Result<Spanned<DeTable<'m>>, ManifestError> {
        DeTable::parse(masked).map_err(|error| {
            let message = error.message().to_owned();
            self.error(error.span().unwrap_or(0..0), Problem::Syntax { message })
        })
    }

    /// Returns the directory that paths in the file are relative to.
    pub(super) fn directory(self) -> &'a Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

impl<'a> Table<'a> {
    /// Takes `table`, whose keys must all be among `keys`.
    ///
    /// # Errors
    /// Names the first key, in alphabetical order, that has no meaning.
    pub(super) fn new(
        source: Source<'a>,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        keys: &'static Keys,
    ) -> Result<Self, ManifestError> {
        let mut entries = BTreeMap::new();
        for (key, inner) in table {
            let text: &str = key.get_ref();
            if !keys.known.contains(&text) {
                return Err(source.error(key.span(), unknown(text, inner, keys)));
            }
            entries.insert(text, Value { source, inner });
        }
        let name = keys.table;
        Ok(Self {
            source,
            name,
            span,
            entries,
        })
    }

    /// Returns a table without keys: all its values are their defaults.
    pub(super) fn empty(source: Source<'a>, span: Range<usize>, keys: &'static Keys) -> Self {
        Self {
            source,
            name: keys.table,
            span,
            entries: BTreeMap::new(),
        }
    }

    /// Returns the table at `key`; where there is none, all its values are their defaults.
    pub(super) fn section(&self, key: &str, keys: &'static Keys) -> Result<Self, ManifestError> {
        match self.get(key) {
            Some(value) => value.table(keys),
            None => Ok(Self::empty(self.source, self.span.clone(), keys)),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries.get(key).copied()
    }

    pub(super) fn need(&self, key: &'static str) -> Result<Value<'a>, ManifestError> {
        let table = self.name;
        self.get(key).ok_or_else(|| {
            self.source
                .error(self.span.clone(), Problem::MissingKey { key, table })
        })
    }

    pub(super) fn map<T>(
        &self,
        key: &str,
        convert: impl FnOnce(Value<'a>) -> Result<T, ManifestError>,
    ) -> Result<Option<T>, ManifestError> {
        self.get(key).map(convert).transpose()
    }

    pub(super) fn list<T>(
        &self,
        key: &str,
        convert: impl FnMut(Value<'a>) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        match self.get(key) {
            Some(value) => value.array()?.into_iter().map(convert).collect(),
            None => Ok(Vec::new()),
        }
    }
}

fn unknown(key: &str, value: &Spanned<DeValue<'_>>, keys: &'static Keys) -> Problem {
    if !keys.planned.contains(&key) {
        return Problem::UnknownKey {
            found: key.to_owned(),
            table: keys.table,
            known: keys.known,
        };
    }
    let what = match value.get_ref() {
        DeValue::Table(_) => format!("the table `[{key}]`"),
        _ => format!("`{key}` in {}", keys.table),
    };
    Problem::NotYet { what }
}

impl<'a> Value<'a> {
    pub(super) fn new(source: Source<'a>, inner: &'a Spanned<DeValue<'a>>) -> Self {
        Self { source, inner }
    }

    pub(super) fn span(self) -> Range<usize> {
        self.inner.span()
    }

    pub(super) fn error(self, problem: Problem) -> ManifestError {
        self.source.error(self.span(), problem)
    }

    /// Returns an error at `part` of the string, as far as it stands there as it reads.
    pub(super) fn error_within(self, part: Range<usize>, problem: Problem) -> ManifestError {
        let span = self.inner.span();
        let written = self
            .source
            .text
            .get(span.start + 1..span.end.saturating_sub(1));
        match self.inner.get_ref() {
            DeValue::String(text) if written == Some(text) => {
                let start = span.start + 1;
                self.source
                    .error(start + part.start..start + part.end, problem)
            }
            _ => self.error(problem),
        }
    }

    pub(super) fn wrong_type(self, expected: &'static str) -> ManifestError {
        let found = match self.inner.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(Problem::WrongType {
            expected,
            found,
            instead: None,
        })
    }

    /// As [`Self::wrong_type`]; says how the value should be written, where `wrap` can tell.
    fn wrong_type_of(
        self,
        expected: &'static str,
        wrap: impl FnOnce(&str) -> String,
    ) -> ManifestError {
        let mut error = self.wrong_type(expected);
        let written = self.source.text.get(self.inner.span()).unwrap_or_default();
        let is_scalar = !self.is_table() && !matches!(self.inner.get_ref(), DeValue::Array(_));
        if let Problem::WrongType { instead, .. } = &mut error.problem
            && is_scalar
            && !written.contains('\n')
        {
            *instead = Some(wrap(written));
        }
        error
    }

    pub(super) fn is_table(self) -> bool {
        matches!(self.inner.get_ref(), DeValue::Table(_))
    }

    pub(super) fn str(self) -> Result<&'a str, ManifestError> {
        self.str_of("a string")
    }

    pub(super) fn str_of(self, expected: &'static str) -> Result<&'a str, ManifestError> {
        match self.inner.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type_of(expected, |written| format!("\"{written}\""))),
        }
    }

    /// Returns the text of a string or of a TOML date.
    pub(super) fn date_text(self, expected: &'static str) -> Result<Cow<'a, str>, ManifestError> {
        match self.inner.get_ref() {
            DeValue::String(text) => Ok(Cow::Borrowed(text)),
            DeValue::Datetime(date) => Ok(Cow::Owned(date.to_string())),
            _ => Err(self.wrong_type(expected)),
        }
    }

    pub(super) fn boolean(self) -> Result<bool, ManifestError> {
        match self.inner.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("`true` or `false`")),
        }
    }

    pub(super) fn integer<T: TryFrom<u64>>(
        self,
        expected: &'static str,
    ) -> Result<T, ManifestError> {
        let DeValue::Integer(number) = self.inner.get_ref() else {
            return Err(self.wrong_type(expected));
        };
        u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.invalid(number.as_str(), expected))
    }

    pub(super) fn array(self) -> Result<Vec<Value<'a>>, ManifestError> {
        let source = self.source;
        match self.inner.get_ref() {
            DeValue::Array(items) => {
                Ok(items.iter().map(|inner| Value { source, inner }).collect())
            }
            _ => Err(self.wrong_type_of("an array", |written| format!("[{written}]"))),
        }
    }

    pub(super) fn table(self, keys: &'static Keys) -> Result<Table<'a>, ManifestError> {
        match self.inner.get_ref() {
            DeValue::Table(table) => Table::new(self.source, table, self.inner.span(), keys),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// Returns the entries of a table whose keys are the user's own.
    pub(super) fn free_table(self) -> Result<Vec<(&'a str, Value<'a>)>, ManifestError> {
        let DeValue::Table(table) = self.inner.get_ref() else {
            return Err(self.wrong_type("a table"));
        };
        let source = self.source;
        let entry = |(key, inner): (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            (key.get_ref().as_ref(), Value { source, inner })
        };
        Ok(table.iter().map(entry).collect())
    }

    /// Takes a string that is a name.
    pub(super) fn name<T: FromStr<Err = InvalidName>>(self) -> Result<T, ManifestError> {
        let parsed: Result<T, _> = self.str()?.parse();
        parsed.map_err(|error| self.error(error.into()))
    }

    /// Parses a string by its type's own grammar.
    pub(super) fn parse<T: FromStr>(self, expected: &'static str) -> Result<T, ManifestError>
    where
        T::Err: Error + Send + Sync + 'static,
    {
        let text = self.str()?;
        text.parse().map_err(|error: T::Err| {
            self.error(Problem::Invalid {
                found: text.to_owned(),
                expected,
                source: Some(Box::new(error)),
                remedy: None,
            })
        })
    }

    /// Takes a string that is one of `words`, as serde spells the variants of `T`.
    pub(super) fn word<T: serde::de::DeserializeOwned>(
        self,
        known: &'static [&'static str],
    ) -> Result<T, ManifestError> {
        let text = self.str()?;
        let found = text.to_owned();
        serde_json::from_value(serde_json::Value::String(text.to_owned()))
            .map_err(|_| self.error(Problem::UnknownWord { found, known }))
    }

    pub(super) fn invalid(self, found: &str, expected: &'static str) -> ManifestError {
        self.error(Problem::Invalid {
            found: found.to_owned(),
            expected,
            source: None,
            remedy: None,
        })
    }

    pub(super) fn invalid_with(
        self,
        found: &str,
        expected: &'static str,
        remedy: &'static str,
    ) -> ManifestError {
        self.error(Problem::Invalid {
            found: found.to_owned(),
            expected,
            source: None,
            remedy: Some(remedy),
        })
    }
}
