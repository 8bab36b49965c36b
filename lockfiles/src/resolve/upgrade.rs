//! What a new resolution may change.

use std::collections::BTreeSet;

/// Which packages a resolution may move although their old version still fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// None: what the old lock has is kept wherever it fits.
    #[default]
    None,
    /// Those named, of any kind: Python projects in any spelling, conda and Debian packages,
    /// `python`.
    Packages(BTreeSet<String>),
    /// All: the old lock is not looked at.
    All,
}

impl Upgrade {
    /// Says whether `name`, in its normalized spelling, may move.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Packages(names) => names.iter().any(|asked| normalized(asked) == name),
            Self::All => true,
        }
    }
}

impl Upgrade {
    /// Says whether the conda package `name` may move: names of conda packages have dots and
    /// underscores that mean something.
    pub fn includes_conda(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Packages(names) => names.iter().any(|asked| asked.to_ascii_lowercase() == name),
            Self::All => true,
        }
    }
}

/// Returns the PEP 503 spelling of a Python name. Names of Debian packages that have one stay as
/// they are, as they have neither upper-case letters nor underscores.
fn normalized(name: &str) -> String {
    name.parse::<crate::base::PythonName>()
        .map_or_else(|_| name.to_owned(), |name| name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_any_spelling() {
        let upgrade = Upgrade::Packages(BTreeSet::from([
            "Scikit_Learn".to_owned(),
            "libstdc++6".to_owned(),
        ]));
        assert!(upgrade.includes("scikit-learn"));
        assert!(upgrade.includes("libstdc++6"));
        assert!(!upgrade.includes("numpy"));
        assert!(upgrade.includes_conda("scikit_learn") && !upgrade.includes_conda("scikit-learn"));
        assert!(Upgrade::All.includes("numpy"));
        assert!(!Upgrade::None.includes("numpy"));
    }
}
