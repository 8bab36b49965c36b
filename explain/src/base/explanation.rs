//! In what two outputs differ.

use serde::Serialize;

/// In what two outputs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What both were read as (`npy`, `parquet`, `text`, `bytes`, …).
    pub kind: &'static str,
    /// Whether they are the same, byte for byte.
    pub same: bool,
    /// Whether they differ only in what no reader of the values sees: times, order of members,
    /// compression, spelling.
    pub metadata_only: bool,
    /// The first differences, in the order of the file.
    pub differences: Vec<Difference>,
    /// Differences beyond those.
    pub more: u64,
}

/// One place where two outputs differ.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Difference {
    /// The place, as somebody would write it (`member a.npy: [3, 17]`, `line 12`); empty for the
    /// whole file.
    pub at: String,
    /// What the old one has there.
    pub old: String,
    /// What the new one has there.
    pub new: String,
    /// How far apart, when the place is an array or a column of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether no reader of the values sees it.
    pub metadata: bool,
}

/// How far apart the elements of two arrays are. Elements are the same when their bits are.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Numbers {
    /// Elements that were compared.
    pub elements: u64,
    /// Those that differ.
    pub differing: u64,
    /// Their share, 0 to 1.
    pub share: f64,
    /// The index of the first that differs.
    pub first: Vec<u64>,
    /// The largest distance between two finite numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_abs: Option<f64>,
    /// The index of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_at: Option<Vec<u64>>,
    /// The largest distance in units in the last place: how many floating point numbers of this
    /// type lie between the two, plus one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ulp: Option<u64>,
    /// Elements of which one is not a finite number.
    pub not_finite: u64,
    /// Elements that are not a number in both, with other bits.
    pub nan_payloads: u64,
    /// Elements that are zero in both, with another sign.
    pub zero_signs: u64,
    /// How many elements lie 1, 2 to 3, 4 to 7, … units in the last place apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulps: Vec<u64>,
    /// How many elements differ in each of equal parts of the array, from its start to its end.
    pub parts: Vec<u64>,
}

impl Difference {
    /// Returns a difference between two values. What leads into a member (`member a: `) without
    /// anything behind it is the member.
    pub(crate) fn new(at: &str, old: impl Into<String>, new: impl Into<String>) -> Self {
        Self {
            at: at.strip_suffix(": ").unwrap_or(at).to_owned(),
            old: old.into(),
            new: new.into(),
            ..Self::default()
        }
    }

    /// Returns it with something more to say.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Returns it as one that no reader of the values sees.
    pub(crate) fn metadata(mut self) -> Self {
        self.metadata = true;
        self
    }
}
