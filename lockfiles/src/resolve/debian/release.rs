//! What a suite's `Release` text says.

use std::collections::BTreeMap;

use deb822_fast::borrowed::{BorrowedParagraph, BorrowedParser};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::base::{Digest, Platform};

/// The component that is read. The others hold what Debian does not count as part of itself.
const COMPONENT: &str = "main";

/// The suffixes of indices, in order of preference; all name the same bytes.
const CODINGS: [(&str, Coding); 3] = [
    (".xz", Coding::Xz),
    (".gz", Coding::Gzip),
    ("", Coding::Plain),
];

/// The fields of a `Release` that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// `Suite`: `stable`.
    pub suite: Option<String>,
    /// `Codename`: `bookworm`.
    pub codename: Option<String>,
    /// `Date`.
    pub date: Timestamp,
    /// `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// `Acquire-By-Hash`.
    pub by_hash: bool,
    /// `Architectures`.
    pub architectures: Vec<String>,
    /// The packages indices of [`COMPONENT`], by path below the suite.
    files: BTreeMap<String, Listed>,
}

/// A file as the `Release` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

/// How an index is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// xz.
    Xz,
    /// gzip.
    Gzip,
    /// Not at all.
    Plain,
}

/// A file that holds an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    /// Its path below the suite.
    pub path: String,
    /// Its compression.
    pub coding: Coding,
    /// What it must be.
    pub listed: Listed,
}

/// The index of one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packages {
    /// What is there without compression, when the `Release` says.
    pub plain: Option<Listed>,
    /// Files that hold it, best first; at least one.
    pub variants: Vec<Variant>,
}

/// A `Release` that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedRelease {
    /// It is not one paragraph of fields.
    #[error("it is not one paragraph of fields")]
    Syntax,
    /// A field is not there.
    #[error("the field `{field}` is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field's value makes no sense.
    #[error("the field `{field}` is `{found}`")]
    Invalid {
        /// The field.
        field: &'static str,
        /// Its value, or the line of it.
        found: String,
    },
}

impl Release {
    /// Reads `text`.
    pub(super) fn parse(text: &str) -> Result<Self, MalformedRelease> {
        let paragraphs = BorrowedParser::new(text).parse_all();
        let paragraphs = paragraphs.map_err(|_| MalformedRelease::Syntax)?;
        let [paragraph] = paragraphs.as_slice() else {
            return Err(MalformedRelease::Syntax);
        };
        let text = |field| paragraph.get_single(field).map(str::to_owned);
        let date = |field| {
            let value = paragraph.get_single(field);
            value.map(|value| date(field, value)).transpose()
        };
        Ok(Self {
            suite: text("Suite"),
            codename: text("Codename"),
            date: date("Date")?.ok_or(MalformedRelease::Missing { field: "Date" })?,
            valid_until: date("Valid-Until")?,
            by_hash: paragraph.get_single("Acquire-By-Hash") == Some("yes"),
            architectures: paragraph
                .get_single("Architectures")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            files: files(paragraph)?,
        })
    }

    /// Returns the index for `platform`, which also holds the packages of every architecture.
    pub(super) fn packages(&self, platform: Platform) -> Option<Packages> {
        let stem = format!("{COMPONENT}/binary-{}/Packages", platform.debian());
        let variants: Vec<_> = CODINGS
            .iter()
            .filter_map(|&(suffix, coding)| {
                let path = format!("{stem}{suffix}");
                let listed = *self.files.get(&path)?;
                Some(Variant {
                    path,
                    coding,
                    listed,
                })
            })
            .collect();
        (!variants.is_empty()).then(|| Packages {
            plain: self.files.get(&stem).copied(),
            variants,
        })
    }
}

fn files(paragraph: &BorrowedParagraph<'_>) -> Result<BTreeMap<String, Listed>, MalformedRelease> {
    let field = "SHA256";
    let lines = paragraph
        .get(field)
        .ok_or(MalformedRelease::Missing { field })?;
    let prefix = format!("{COMPONENT}/binary-");
    let mut files = BTreeMap::new();
    for line in lines.iter().map(|line| line.trim()) {
        let invalid = || MalformedRelease::Invalid {
            field,
            found: line.to_owned(),
        };
        if line.is_empty() {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(hex), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(invalid());
        };
        if path.starts_with(&prefix) {
            let digest = Digest::from_hex(hex).map_err(|_| invalid())?;
            let size = size.parse().map_err(|_| invalid())?;
            files.insert(path.to_owned(), Listed { digest, size });
        }
    }
    Ok(files)
}

/// Reads `Sat, 21 Nov 2026 00:53:02 UTC`.
fn date(field: &'static str, value: &str) -> Result<Timestamp, MalformedRelease> {
    ["UTC", "GMT", "Z", "+0000"]
        .iter()
        .find_map(|zone| value.strip_suffix(zone))
        .and_then(|local| strtime::parse("%a, %d %b %Y %H:%M:%S", local.trim_end()).ok())
        .and_then(|parsed| parsed.to_datetime().ok())
        .and_then(|local| local.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp())
        .ok_or_else(|| MalformedRelease::Invalid {
            field,
            found: value.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text(more: &str) -> String {
        format!(
            "Origin: Debian\nSuite: oldstable\nCodename: bookworm\n\
             Date: Sat, 11 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\n\
             Architectures: all amd64 arm64\n{more}"
        )
    }

    #[test]
    fn fields_are_read() {
        let release = Release::parse(&text(&format!(
            "Valid-Until: Sat, 18 Jul 2026 10:16:37 GMT\nMD5Sum:\n 00 1 main/binary-amd64/Packages\n\
             SHA256:\n {HEX} 0 main/binary-amd64/Packages\n {HEX} 7 main/binary-amd64/Packages.xz\n \
             {HEX}  9 main/binary-arm64/Packages.gz\n {HEX} 1 contrib/binary-amd64/Packages.xz\n"
        )))
        .unwrap();
        assert_eq!(release.codename.as_deref(), Some("bookworm"));
        assert_eq!(release.date.to_string(), "2026-07-11T10:16:37Z");
        assert_eq!(
            release.valid_until.unwrap().to_string(),
            "2026-07-18T10:16:37Z"
        );
        assert!(release.by_hash);
        let amd64 = release.packages(Platform::LinuxAmd64).unwrap();
        assert_eq!(amd64.plain.unwrap().size, 0);
        let paths: Vec<_> = amd64
            .variants
            .iter()
            .map(|variant| (variant.path.as_str(), variant.coding, variant.listed.size))
            .collect();
        assert_eq!(
            paths,
            [
                ("main/binary-amd64/Packages.xz", Coding::Xz, 7),
                ("main/binary-amd64/Packages", Coding::Plain, 0),
            ]
        );
        let arm64 = release.packages(Platform::LinuxArm64).unwrap();
        assert_eq!((arm64.plain, arm64.variants.len()), (None, 1));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let sums = format!("SHA256:\n {HEX} 7 main/binary-amd64/Packages.xz\n");
        for (bad, problem) in [
            (String::new(), MalformedRelease::Syntax),
            ("no field\n".to_owned(), MalformedRelease::Syntax),
            (
                text(&format!("{sums}\nSuite: other\n")),
                MalformedRelease::Syntax,
            ),
            (text(""), MalformedRelease::Missing { field: "SHA256" }),
            (
                text(&sums).replace("Date", "Day"),
                MalformedRelease::Missing { field: "Date" },
            ),
        ] {
            assert_eq!(Release::parse(&bad), Err(problem), "{bad}");
        }
        for bad in [
            text(&sums).replace("UTC", "CET"),
            text(&sums).replace("Jul", "Juli"),
            text(&sums).replace("e3b0", "E3B0"),
            text(&sums).replace(" 7 ", " -7 "),
            text(&sums).replace(" 7 ", " "),
        ] {
            assert!(
                matches!(Release::parse(&bad), Err(MalformedRelease::Invalid { .. })),
                "{bad}"
            );
        }
    }
}
