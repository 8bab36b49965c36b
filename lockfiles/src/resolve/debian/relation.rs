//! Relations between packages (Debian Policy §7).

use std::cmp::Ordering;
use std::fmt;

use debversion::Version;

/// How a version must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// A bound on versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// The comparison.
    pub operator: Operator,
    /// With which version.
    pub version: Version,
}

/// Which architectures of a package a relation means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Qualifier {
    /// That of the package itself: no qualifier, or `:native`.
    Native,
    /// `:any`: any, of a package that says `Multi-Arch: allowed`.
    Any,
    /// `:amd64`.
    Named(String),
}

/// `libc6:amd64 (>= 2.36)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// The package, or a virtual package.
    pub name: String,
    /// Which architectures of it.
    pub qualifier: Qualifier,
    /// Which versions of it.
    pub bound: Option<Bound>,
}

/// Alternatives, the preferred one first.
pub(super) type Clause = Vec<Relation>;

impl Bound {
    /// Returns the bound on the same version by another comparison.
    pub(super) fn with(&self, operator: Operator) -> Self {
        Self {
            operator,
            version: self.version.clone(),
        }
    }

    /// Says whether `version` is within.
    pub(super) fn admits(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.operator {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        };
        write!(f, "{operator} {}", self.version)
    }
}

impl Operator {
    /// Returns the comparison that is true where this one is not; equality has none.
    pub(super) fn negated(self) -> Option<Self> {
        match self {
            Self::Earlier => Some(Self::LaterOrEqual),
            Self::EarlierOrEqual => Some(Self::Later),
            Self::Equal => None,
            Self::LaterOrEqual => Some(Self::Earlier),
            Self::Later => Some(Self::EarlierOrEqual),
        }
    }
}

impl Relation {
    /// Returns the relation that every version of `name` meets.
    pub(super) fn to(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            qualifier: Qualifier::Native,
            bound: None,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.qualifier {
            Qualifier::Native => {}
            Qualifier::Any => f.write_str(":any")?,
            Qualifier::Named(architecture) => write!(f, ":{architecture}")?,
        }
        match &self.bound {
            None => Ok(()),
            Some(bound) => write!(f, " ({bound})"),
        }
    }
}

/// Reads the value of `Depends` and its like: clauses that all hold.
///
/// # Errors
/// Returns the part that is no relation.
pub(super) fn parse_clauses(value: &str) -> Result<Vec<Clause>, String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|clause| !clause.is_empty())
        .map(|clause| clause.split('|').map(parse_relation).collect())
        .collect()
}

/// Reads the value of `Conflicts`, `Breaks` or `Provides`: relations without alternatives.
///
/// # Errors
/// Returns the part that is no relation.
pub(super) fn parse_relations(value: &str) -> Result<Vec<Relation>, String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|relation| !relation.is_empty())
        .map(parse_relation)
        .collect()
}

fn parse_relation(text: &str) -> Result<Relation, String> {
    let text = text.trim();
    let invalid = || text.to_owned();
    let (name, bound) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let inside = rest.trim_end().strip_suffix(')').ok_or_else(invalid)?;
            (name.trim(), Some(parse_bound(inside).ok_or_else(invalid)?))
        }
    };
    let (name, qualifier) = match name.split_once(':') {
        None => (name, Qualifier::Native),
        Some((name, "any")) => (name, Qualifier::Any),
        Some((name, "native")) => (name, Qualifier::Native),
        Some((name, architecture)) => (name, Qualifier::Named(architecture.to_owned())),
    };
    let valid = !name.is_empty() && name.bytes().all(is_name_byte);
    match valid {
        true => Ok(Relation {
            name: name.to_owned(),
            qualifier,
            bound,
        }),
        false => Err(invalid()),
    }
}

/// More than Policy allows for packages: names of virtual packages have upper case now and then.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)
}

fn parse_bound(inside: &str) -> Option<Bound> {
    let inside = inside.trim();
    let digits = inside.find(|c: char| !"<>=".contains(c))?;
    let operator = match &inside[..digits] {
        "<<" => Operator::Earlier,
        // The single signs are old spellings of `<=` and `>=`.
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return None,
    };
    let version = inside[digits..].trim().parse().ok()?;
    Some(Bound { operator, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_read() {
        let clauses = parse_clauses(
            "libc6 (>= 2.36), perl:any, python3-distutils (<<3.12~)|libfoo:amd64 ( = 1:2.0-1 ) ,",
        )
        .unwrap();
        let shown: Vec<Vec<_>> = clauses
            .iter()
            .map(|clause| {
                clause
                    .iter()
                    .map(|relation| {
                        let bound = relation.bound.as_ref().map(Bound::to_string);
                        (
                            relation.name.as_str(),
                            relation.qualifier.clone(),
                            bound.unwrap_or_default(),
                        )
                    })
                    .collect()
            })
            .collect();
        let named = Qualifier::Named("amd64".to_owned());
        assert_eq!(
            shown,
            [
                vec![("libc6", Qualifier::Native, ">= 2.36".to_owned())],
                vec![("perl", Qualifier::Any, String::new())],
                vec![
                    (
                        "python3-distutils",
                        Qualifier::Native,
                        "<< 3.12~".to_owned()
                    ),
                    ("libfoo", named, "= 1:2.0-1".to_owned()),
                ],
            ]
        );
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for bad in [
            "a b", "a (>= 1", "a (>= )", "a (1)", "a (== 1)", "a | ", "ä",
        ] {
            assert!(parse_clauses(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_compare_as_policy_says() {
        for (bound, admitted, refused) in [
            ("<< 2", "2~rc1", "2"),
            ("<= 2", "2", "2+b1"),
            ("= 1:1", "1:1", "1"),
            (">= 2.36", "2.36-9+deb12u4", "2.36~a"),
            (">> 2", "2.0.1", "2"),
        ] {
            let bound = parse_bound(bound).unwrap();
            assert!(
                bound.admits(&admitted.parse().unwrap()),
                "{admitted} {bound}"
            );
            assert!(
                !bound.admits(&refused.parse().unwrap()),
                "{refused} {bound}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = parse_clauses(&text);
            let _ = parse_relations(&text);
        }

        #[test]
        fn relations_survive_being_shown(
            text in "[a-z][a-z0-9+.-]{1,5}(:any|:amd64)?( \\((<<|<=|=|>=|>>) [0-9]{1,2}(\\.[0-9a-z~]{1,3})?(-[0-9]{1,2})?\\))?",
        ) {
            let relations = parse_relations(&text).unwrap();
            proptest::prop_assert_eq!(relations[0].to_string(), text);
        }
    }
}
