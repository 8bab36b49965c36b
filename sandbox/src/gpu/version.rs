//! Versions of drivers. Neither PEP 440 nor semver: they have two or three numbers, and leading
//! zeros that mean nothing to the order but something to the driver's own check.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The version of a driver, such as `580.159.04` or `595.97`. Ordered and equal by its numbers:
/// `550.54.2` is `550.54.02`. The kernel module compares texts: see [`DriverVersion::is_exactly`].
#[derive(Clone, Debug, Serialize)]
#[serde(into = "String")]
pub struct DriverVersion {
    numbers: [u32; 3],
    text: String,
}

/// The least driver that will do: one to three numbers, such as `580` or `525.60.13`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Minimum(DriverVersion);

/// The driver that a lockfile holds to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The driver that results were made with.
    pub driver: DriverVersion,
    /// How much of it has to be the same.
    pub precision: Match,
}

/// How much of a driver's version has to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// All of it.
    Exact,
    /// Its first number, which NVIDIA calls the branch.
    Branch,
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no driver version: {wanted} numbers with dots between them are one, as in `{example}`"
)]
pub struct VersionError {
    text: String,
    wanted: &'static str,
    example: &'static str,
}

impl DriverVersion {
    /// Returns the version as it was found.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns its first number.
    pub fn branch(&self) -> u32 {
        self.numbers[0]
    }

    /// Returns whether the texts are the same byte for byte, as the kernel module wants it of the
    /// libraries.
    pub fn is_exactly(&self, other: &DriverVersion) -> bool {
        self.text == other.text
    }

    fn parse(text: &str, least: usize) -> Option<DriverVersion> {
        let mut numbers = [0; 3];
        let mut count = 0;
        for part in text.split('.') {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            *numbers.get_mut(count)? = part.parse().ok().filter(|_| digits)?;
            count += 1;
        }
        (count >= least).then(|| DriverVersion {
            numbers,
            text: text.to_owned(),
        })
    }
}

impl Pin {
    /// Returns whether a driver is the one that is held to.
    pub fn allows(&self, driver: &DriverVersion) -> bool {
        match self.precision {
            Match::Exact => self.driver == *driver,
            Match::Branch => self.driver.branch() == driver.branch(),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.precision {
            Match::Exact => write!(f, "{}", self.driver),
            Match::Branch => write!(f, "{}.*", self.driver.branch()),
        }
    }
}

impl Minimum {
    /// Returns whether a driver is new enough.
    pub fn allows(&self, driver: &DriverVersion) -> bool {
        *driver >= self.0
    }
}

impl FromStr for DriverVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<DriverVersion, VersionError> {
        DriverVersion::parse(text, 2).ok_or_else(|| VersionError {
            text: text.to_owned(),
            wanted: "two or three",
            example: "580.159.04",
        })
    }
}

impl FromStr for Minimum {
    type Err = VersionError;

    /// Parses a bound, with or without `>=` before it.
    fn from_str(text: &str) -> Result<Minimum, VersionError> {
        let number = text.strip_prefix(">=").unwrap_or(text).trim();
        let parsed = DriverVersion::parse(number, 1).map(Minimum);
        parsed.ok_or_else(|| VersionError {
            text: text.to_owned(),
            wanted: "one to three",
            example: ">=580",
        })
    }
}

impl Ord for DriverVersion {
    fn cmp(&self, other: &DriverVersion) -> Ordering {
        self.numbers.cmp(&other.numbers)
    }
}

impl PartialOrd for DriverVersion {
    fn partial_cmp(&self, other: &DriverVersion) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DriverVersion {
    fn eq(&self, other: &DriverVersion) -> bool {
        self.numbers == other.numbers
    }
}

impl Eq for DriverVersion {}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<DriverVersion> for String {
    fn from(version: DriverVersion) -> String {
        version.text
    }
}

impl From<Minimum> for String {
    fn from(minimum: Minimum) -> String {
        format!(">={minimum}")
    }
}
