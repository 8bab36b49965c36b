//! The operating system and processor an environment is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names a target as OCI does: `linux/amd64`, `linux/arm64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Platform {
    /// 64-bit x86.
    #[serde(rename = "linux/amd64")]
    LinuxAmd64,
    /// 64-bit Arm.
    #[serde(rename = "linux/arm64")]
    LinuxArm64,
}

impl Platform {
    /// Every platform that envbox can lock for.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// Returns the platform this program was built for.
    pub fn host() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::LinuxArm64
        } else {
            Self::LinuxAmd64
        }
    }

    /// Returns Debian's name of the architecture.
    pub fn debian(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// Returns the name that `uname -m`, wheel tags and Python use.
    pub fn machine(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64",
            Self::LinuxArm64 => "aarch64",
        }
    }

    /// Returns the GNU triplet as Debian's multiarch directories spell it.
    pub fn multiarch(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-linux-gnu",
            Self::LinuxArm64 => "aarch64-linux-gnu",
        }
    }

    /// Returns conda's subdir.
    pub fn conda_subdir(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "linux-64",
            Self::LinuxArm64 => "linux-aarch64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        })
    }
}

/// The text names no platform that envbox supports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a supported platform (`linux/amd64` or `linux/arm64`)")]
pub struct UnknownPlatform {
    /// The text as found.
    pub found: String,
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.to_string() == text)
            .ok_or_else(|| UnknownPlatform {
                found: text.to_owned(),
            })
    }
}
