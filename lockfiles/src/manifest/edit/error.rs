//! Why a manifest could not be changed.

use crate::base::{Explain, Kind};
use crate::manifest::Problem;

/// A manifest could not be changed as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// What was to be added is none of its kind.
    #[error(transparent)]
    Entry {
        /// What is wrong with it.
        problem: Box<Problem>,
    },
    /// What was to be removed is not there.
    #[error("`{name}` is not in `{list}`")]
    Absent {
        /// The name.
        name: String,
        /// The list.
        list: String,
        /// The options that choose a list that has it.
        option: Option<String>,
    },
    /// Which of them is meant is not known.
    #[error("`{name}` stands in `{list}` several times")]
    Several {
        /// The name.
        name: String,
        /// The list.
        list: String,
    },
    /// Something else stands where the list should.
    #[error("`{list}` is no list")]
    NoList {
        /// The list.
        list: String,
    },
}

impl Explain for EditError {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Entry { problem } => problem.remedy().into_iter().collect(),
            Self::Absent {
                option: Some(option),
                ..
            } if option.is_empty() => {
                vec!["it is in the list that goes without options".to_owned()]
            }
            Self::Absent {
                option: Some(option),
                ..
            } => vec![format!("it is in another list: add `{option}`")],
            Self::Several { .. } => vec!["change the one that is meant in the file".to_owned()],
            Self::Absent { .. } | Self::NoList { .. } => Vec::new(),
        }
    }
}
