//! One binary package of one version.

use deb822_fast::borrowed::{BorrowedParagraph, BorrowedParser};
use debversion::Version;

use crate::base::{DebianName, Digest};
use crate::resolve::debian::relation::{
    Clause, Operator, Qualifier, Relation, parse_clauses, parse_relations,
};

/// A binary package as its paragraph describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub name: DebianName,
    pub version: Version,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Whether it says `Multi-Arch: allowed`.
    pub multi_arch_allowed: bool,
    pub priority: Priority,
    /// `Pre-Depends` and `Depends`.
    pub depends: Vec<Clause>,
    /// `Conflicts` and `Breaks`: the same to who does not upgrade in place.
    pub conflicts: Vec<Relation>,
    pub provides: Vec<Relation>,
    /// The path below the archive's root.
    pub file: String,
    pub size: u64,
    pub digest: Digest,
    /// Which of the archives has it.
    pub archive: usize,
}

/// How much a system wants a package (Policy §2.5), the most wanted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    Required,
    Important,
    Standard,
    Optional,
    Extra,
}

/// A paragraph that describes no package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadParagraph {
    /// The field that is missing or makes no sense.
    pub field: &'static str,
    /// Its value; none when it is missing.
    pub found: Option<String>,
}

impl Package {
    /// Reads one paragraph of the index of the archive `archive`.
    pub(super) fn parse(text: &str, archive: usize) -> Result<Self, BadParagraph> {
        let paragraphs = BorrowedParser::new(text).parse_all();
        let paragraph = paragraphs
            .ok()
            .and_then(|paragraphs| paragraphs.into_iter().next())
            .ok_or_else(|| missing("Package"))?;
        let fields = Fields(paragraph);
        let mut depends = fields.list("Pre-Depends", parse_clauses)?;
        depends.extend(fields.list("Depends", parse_clauses)?);
        let mut conflicts = fields.list("Conflicts", parse_relations)?;
        conflicts.extend(fields.list("Breaks", parse_relations)?);
        Ok(Self {
            name: fields.parse("Package")?,
            version: fields.parse("Version")?,
            architecture: fields.required("Architecture")?.to_owned(),
            multi_arch_allowed: fields.optional("Multi-Arch") == Some("allowed"),
            priority: Priority::of(fields.optional("Priority")),
            depends,
            conflicts,
            provides: fields.list("Provides", parse_relations)?,
            file: fields.pool_path()?,
            size: fields.parse("Size")?,
            digest: fields.digest()?,
            archive,
        })
    }

    /// Says whether the package is what `relation` means, by its name or by what it provides.
    pub(super) fn meets(&self, relation: &Relation) -> bool {
        let bound = relation.bound.as_ref();
        let itself = self.name.as_str() == relation.name
            && bound.is_none_or(|bound| bound.admits(&self.version));
        let admitted = |provided: &Relation| match (bound, &provided.bound) {
            (None, _) => true,
            // A provided name without a version is of no version (Policy §7.5).
            (Some(_), None) => false,
            (Some(bound), Some(exact)) => {
                exact.operator == Operator::Equal && bound.admits(&exact.version)
            }
        };
        let provided = || {
            let mut provides = self.provides.iter();
            provides.any(|provided| provided.name == relation.name && admitted(provided))
        };
        self.qualifies(&relation.qualifier) && (itself || provided())
    }

    fn qualifies(&self, qualifier: &Qualifier) -> bool {
        match qualifier {
            Qualifier::Native => true,
            Qualifier::Any => self.multi_arch_allowed,
            Qualifier::Named(architecture) => *architecture == self.architecture,
        }
    }
}

impl Priority {
    fn of(value: Option<&str>) -> Self {
        match value {
            Some("required") => Self::Required,
            Some("important") => Self::Important,
            Some("standard") => Self::Standard,
            Some("extra") => Self::Extra,
            _ => Self::Optional,
        }
    }
}

struct Fields<'a>(BorrowedParagraph<'a>);

impl Fields<'_> {
    fn optional(&self, field: &str) -> Option<&str> {
        self.0.get_single(field)
    }

    fn required(&self, field: &'static str) -> Result<&str, BadParagraph> {
        self.optional(field).ok_or_else(|| missing(field))
    }

    fn parse<T: std::str::FromStr>(&self, field: &'static str) -> Result<T, BadParagraph> {
        let value = self.required(field)?;
        value.parse().map_err(|_| invalid(field, value))
    }

    fn list<T>(
        &self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, BadParagraph> {
        parse(self.optional(field).unwrap_or_default()).map_err(|found| invalid(field, &found))
    }

    fn digest(&self) -> Result<Digest, BadParagraph> {
        let field = "SHA256";
        let value = self.required(field)?;
        Digest::from_hex(value).map_err(|_| invalid(field, value))
    }

    /// Returns `Filename`. It becomes part of URLs and of names in the lock, so it may not climb.
    fn pool_path(&self) -> Result<String, BadParagraph> {
        let field = "Filename";
        let value = self.required(field)?;
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        let printable = value.bytes().all(|byte| byte.is_ascii_graphic());
        match printable && value.split('/').all(plain) {
            true => Ok(value.to_owned()),
            false => Err(invalid(field, value)),
        }
    }
}

fn missing(field: &'static str) -> BadParagraph {
    BadParagraph { field, found: None }
}

fn invalid(field: &'static str, found: &str) -> BadParagraph {
    BadParagraph {
        field,
        found: Some(found.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        format!(
            "Package: mawk\nVersion: 1.3.4-3\nArchitecture: amd64\nMulti-Arch: allowed\n\
             Priority: required\nProvides: awk, new-awk (= 2)\nPre-Depends: libc6\nDepends: libm\n\
             Conflicts: a\nBreaks: b (<< 1)\nFilename: pool/main/m/mawk/mawk_1.deb\nSize: 3\n\
             SHA256: {}\n",
            Digest::of(b"").hex()
        )
    }

    #[test]
    fn paragraphs_are_read() {
        let package = Package::parse(&text(), 1).unwrap();
        assert_eq!(package.name.as_str(), "mawk");
        assert_eq!(package.version.to_string(), "1.3.4-3");
        assert_eq!(package.priority, Priority::Required);
        assert_eq!((package.depends.len(), package.conflicts.len()), (2, 2));
        assert_eq!((package.size, package.archive), (3, 1));
    }

    #[test]
    fn bad_fields_are_named() {
        for (from, to, field) in [
            ("Version: 1.3.4-3\n", "", "Version"),
            ("Version: 1.3.4-3", "Version: a b", "Version"),
            ("Package: mawk", "Package: Mawk", "Package"),
            ("Size: 3", "Size: -3", "Size"),
            ("SHA256: e3", "SHA256: ", "SHA256"),
            ("Depends: libm", "Depends: lib m", "Depends"),
            ("Filename: pool", "Filename: ..", "Filename"),
            ("Filename: pool", "Filename: /pool", "Filename"),
            ("Filename: pool", "Filename: pool//", "Filename"),
        ] {
            let bad = text().replace(from, to);
            assert_eq!(Package::parse(&bad, 0).unwrap_err().field, field, "{to}");
        }
    }

    #[test]
    fn relations_are_met_as_policy_says() {
        let package = Package::parse(&text(), 0).unwrap();
        let met = |relation: &str| package.meets(&parse_relations(relation).unwrap()[0]);
        for (relation, expected) in [
            ("mawk", true),
            ("mawk (>= 1.3)", true),
            ("mawk (>= 1.4)", false),
            ("mawk:any", true),
            ("mawk:arm64", false),
            ("awk", true),
            ("awk (>= 0)", false),
            ("new-awk (>= 2)", true),
            ("new-awk (<< 2)", false),
            ("gawk", false),
        ] {
            assert_eq!(met(relation), expected, "{relation}");
        }
        let other = Package::parse(&text().replace("Multi-Arch: allowed\n", ""), 0).unwrap();
        assert!(!other.meets(&parse_relations("mawk:any").unwrap()[0]));
    }
}
