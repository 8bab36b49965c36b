//! Names of runs.

use std::fmt;
use std::str::FromStr;

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names a run: a UUID of version 7 (RFC 9562), so names sort by the time of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(u128);

impl RunId {
    /// Returns the name of a run at `now`. Its last 74 bits are a digest of `distinction` and of
    /// the time in full, instead of random.
    pub fn new(now: Timestamp, distinction: &[u8]) -> Self {
        let mut text = now.as_nanosecond().to_be_bytes().to_vec();
        text.extend_from_slice(distinction);
        let hex = Digest::of(&text).hex();
        let random = u128::from_str_radix(&hex[..32], 16).expect("a digest is hex digits");
        let milliseconds = now.as_millisecond().max(0).cast_unsigned();
        let time = u128::from(milliseconds) & 0xffff_ffff_ffff;
        Self(
            time << 80
                | 7 << 76
                | (random >> 52 & 0xfff) << 64
                | 0b10 << 62
                | random & 0x3fff_ffff_ffff_ffff,
        )
    }

    /// Returns the last eight digits, which tell runs on one project apart.
    pub fn short(&self) -> String {
        format!("{:08x}", self.0 & 0xffff_ffff)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let (a, b, c, d, e) = (
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        );
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let invalid = || InvalidRunId {
            found: text.to_owned(),
        };
        let digits: String = text.split('-').collect();
        let id = u128::from_str_radix(&digits, 16).map(Self);
        id.ok()
            .filter(|id| id.to_string() == text)
            .ok_or_else(invalid)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text names no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a run's UUID")]
pub struct InvalidRunId {
    /// The text as found.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uuids_that_sort_by_time() {
        let at = |text: &str| RunId::new(text.parse().unwrap(), b"1");
        let (early, late) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00.002Z"));
        assert!(early < late && early.to_string() < late.to_string());
        insta::assert_snapshot!(early, @"019b76da-a800-71ab-9ab4-1e1b1b330b24");
        assert!(early.to_string().ends_with(&early.short()));
        assert_eq!(early.to_string().parse(), Ok(early));
        assert!("019b76da".parse::<RunId>().is_err());
        assert_ne!(
            early,
            RunId::new("2026-01-01T00:00:00Z".parse().unwrap(), b"2")
        );
    }
}
