//! Which drivers run which CUDA.

use crate::base::DottedVersion;
use crate::lock::gpu::schema::GpuRule;

/// A CUDA, as a package names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cuda {
    pub(super) major: u32,
    pub(super) minor: Option<u32>,
}

/// What a CUDA needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) rule: GpuRule,
    pub(super) driver: DottedVersion,
    pub(super) cuda_api: DottedVersion,
}

/// The first CUDA whose programs run on drivers of other minor versions.
const COMPATIBLE: u32 = 11;

/// From which driver on programs of all CUDAs with this first number run. A CUDA that comes later
/// needs at least the last.
/// <https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html>
const COMPATIBILITY: [(u32, &str); 3] = [(11, "450.80.02"), (12, "525.60.13"), (13, "580")];

/// CUDA 11.0 is from before the rule.
const ELEVEN: &str = "450.36.06";

/// The driver that came with the first release of each CUDA. One that is not here needs at least
/// that of the one before.
/// <https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html>
const TOOLKITS: [((u32, u32), &str); 28] = [
    // Of its second release, which is the one that packages have.
    ((8, 0), "375.26"),
    ((9, 0), "384.81"),
    ((9, 1), "390.46"),
    ((9, 2), "396.26"),
    ((10, 0), "410.48"),
    ((10, 1), "418.39"),
    ((10, 2), "440.33"),
    ((11, 0), "450.36.06"),
    ((11, 1), "455.23"),
    ((11, 2), "460.27.03"),
    ((11, 3), "465.19.01"),
    ((11, 4), "470.42.01"),
    ((11, 5), "495.29.05"),
    ((11, 6), "510.39.01"),
    ((11, 7), "515.43.04"),
    ((11, 8), "520.61.05"),
    ((12, 0), "525.60.13"),
    ((12, 1), "530.30.02"),
    ((12, 2), "535.54.03"),
    ((12, 3), "545.23.06"),
    ((12, 4), "550.54.14"),
    ((12, 5), "555.42.02"),
    ((12, 6), "560.28.03"),
    ((12, 8), "570.26"),
    ((12, 9), "575.51.03"),
    ((13, 0), "580.65.06"),
    ((13, 1), "590.44.01"),
    ((13, 2), "595.45.04"),
];

impl Cuda {
    /// Reads the first one or two numbers of a version. None where that is no CUDA: names that wait
    /// for their package have the version 0.0.1.
    pub(super) fn of_version(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map_while(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit());
            part[..end.unwrap_or(part.len())].parse().ok()
        });
        let major = numbers.next()?;
        let minor = numbers.next();
        (major >= TOOLKITS[0].0.0).then_some(Self { major, minor })
    }

    /// Reads what follows `cu` in names: `12`, `12x`, `128`, `92`.
    pub(super) fn of_digits(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let digits = &text[..end.unwrap_or(text.len())];
        let number: u32 = digits.parse().ok()?;
        let both = || (number / 10, Some(number % 10));
        let (major, minor) = match (digits.len(), number) {
            (2, 80..) | (3, 100..) => both(),
            (2, 10..) => (number, None),
            _ => return None,
        };
        Some(Self { major, minor })
    }

    /// Returns what a program of this CUDA needs in order to run at all.
    pub(super) fn need(self) -> Need {
        if self.major < COMPATIBLE {
            return self.toolkit();
        }
        let known = COMPATIBILITY.iter().rev();
        let known = known.skip_while(|(major, _)| *major > self.major);
        let (_, driver) = known.copied().next().unwrap_or(COMPATIBILITY[0]);
        let eleven = self.major == COMPATIBLE && self.minor == Some(0);
        Need {
            rule: GpuRule::MinorVersionCompatibility,
            driver: version(if eleven { ELEVEN } else { driver }),
            cuda_api: version(&format!("{}.0", self.major)),
        }
    }

    /// Returns what has all of this CUDA: also what is compiled for it while a step runs.
    pub(super) fn toolkit(self) -> Need {
        let own = (self.major, self.minor.unwrap_or(0));
        let known = TOOLKITS.iter().rev().find(|(toolkit, _)| *toolkit <= own);
        let (_, driver) = known.unwrap_or(&TOOLKITS[0]);
        Need {
            rule: GpuRule::Toolkit,
            driver: version(driver),
            cuda_api: version(&format!("{}.{}", own.0, own.1)),
        }
    }
}

fn version(text: &str) -> DottedVersion {
    text.parse().expect("it is one to three numbers")
}
