//! Typed access to a parsed TOML table, with the span of everything.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::manifest::error::{ManifestError, Problem};

/// A value with its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) source: Source<'a>,
    inner: &'a Spanned<DeValue<'a>>,
}

/// The text a value stands in.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

/// A table and the keys it may have.
pub(super) struct Table<'a> {
    pub(super) source: Source<'a>,
    pub(super) name: &'static str,
    pub(super) span: Range<usize>,
    entries: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Source<'a> {
    pub(super) fn error(self, span: Range<usize>, problem: Problem) -> ManifestError {
        ManifestError::at(self.file, self.text, span, problem)
    }

    pub(super) fn parse(self) -> Result<Spanned<DeTable<'a>>, ManifestError> {
        DeTable::parse(self.text).map_err(|error| {
            let message = error.message().to_owned();
            self.error(error.span().unwrap_or(0..0), Problem::Syntax { message })
        })
    }
}

impl<'a> Table<'a> {
    /// Takes `table`, whose keys must all be among `known`.
    ///
    /// # Errors
    /// Names the first key that is neither `known` nor `planned`, or that is only planned.
    pub(super) fn new(
        source: Source<'a>,
        name: &'static str,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        known: &'static [&'static str],
        planned: &[&str],
    ) -> Result<Self, ManifestError> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let text: &str = key.get_ref();
            if !known.contains(&text) {
                let found = text.to_owned();
                let problem = if planned.contains(&text) {
                    Problem::NotYet {
                        key: found,
                        table: name,
                    }
                } else {
                    Problem::UnknownKey {
                        found,
                        table: name,
                        known,
                    }
                };
                return Err(source.error(key.span(), problem));
            }
            entries.insert(
                text,
                Value {
                    source,
                    inner: value,
                },
            );
        }
        Ok(Self {
            source,
            name,
            span,
            entries,
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries.get(key).copied()
    }

    pub(super) fn need(&self, key: &'static str) -> Result<Value<'a>, ManifestError> {
        let problem = Problem::MissingKey {
            key,
            table: self.name,
        };
        self.get(key)
            .ok_or_else(|| self.source.error(self.span.clone(), problem))
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
        convert: impl Fn(Value<'a>) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        match self.get(key) {
            Some(value) => value.array()?.into_iter().map(convert).collect(),
            None => Ok(Vec::new()),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn new(source: Source<'a>, inner: &'a Spanned<DeValue<'a>>) -> Self {
        Self { source, inner }
    }

    pub(super) fn error(self, problem: Problem) -> ManifestError {
        self.source.error(self.inner.span(), problem)
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
        self.error(Problem::WrongType { expected, found })
    }

    pub(super) fn is_table(self) -> bool {
        matches!(self.inner.get_ref(), DeValue::Table(_))
    }

    pub(super) fn str(self) -> Result<&'a str, ManifestError> {
        match self.inner.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
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
            .ok_or_else(|| self.invalid(number.as_str(), expected, None))
    }

    pub(super) fn array(self) -> Result<Vec<Value<'a>>, ManifestError> {
        match self.inner.get_ref() {
            DeValue::Array(items) => Ok(items
                .iter()
                .map(|inner| Value {
                    source: self.source,
                    inner,
                })
                .collect()),
            _ => Err(self.wrong_type("an array")),
        }
    }

    pub(super) fn table(
        self,
        name: &'static str,
        known: &'static [&'static str],
        planned: &[&str],
    ) -> Result<Table<'a>, ManifestError> {
        match self.inner.get_ref() {
            DeValue::Table(table) => {
                Table::new(self.source, name, table, self.inner.span(), known, planned)
            }
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// Returns the entries of a table whose keys are the user's own.
    pub(super) fn free_table(self) -> Result<Vec<(&'a str, Value<'a>)>, ManifestError> {
        let DeValue::Table(table) = self.inner.get_ref() else {
            return Err(self.wrong_type("a table"));
        };
        let entry = |(key, inner): (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            (
                key.get_ref().as_ref(),
                Value {
                    source: self.source,
                    inner,
                },
            )
        };
        Ok(table.iter().map(entry).collect())
    }

    /// Parses a string by its type's own grammar.
    pub(super) fn parse<T: FromStr>(self, expected: &'static str) -> Result<T, ManifestError>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.str()?;
        text.parse()
            .map_err(|error: T::Err| self.invalid(text, expected, Some(error.to_string())))
    }

    /// Takes a string that is one of `words`, as serde spells the variants of `T`.
    pub(super) fn word<T: serde::de::DeserializeOwned>(
        self,
        known: &'static [&'static str],
    ) -> Result<T, ManifestError> {
        let text = self.str()?;
        serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
            self.error(Problem::UnknownWord {
                found: text.to_owned(),
                known,
            })
        })
    }

    pub(super) fn invalid(
        self,
        found: &str,
        expected: &'static str,
        reason: Option<String>,
    ) -> ManifestError {
        self.error(Problem::Invalid {
            found: found.to_owned(),
            expected,
            reason,
        })
    }
}
