//! The interpreter and system that wheels are chosen for, described without running either.

use std::str::FromStr as _;

use uv_distribution_filename::WheelFilename;
use uv_distribution_types::RequiresPython;
use uv_normalize::{ExtraName, GroupName};
use uv_pep440::Version;
use uv_pep508::{MarkerEnvironment, MarkerEnvironmentBuilder, MarkerTree};
use uv_platform_tags::{Arch, Os, Platform as TagPlatform, Tags, TagsOptions};
use uv_resolver::{PythonRequirement, ResolverEnvironment};

use crate::base::Platform;
use crate::resolve::python::PythonError;

/// What decides whether a marker holds and whether a wheel fits.
pub(super) struct Target {
    pub(super) markers: MarkerEnvironment,
    pub(super) tags: Tags,
    pub(super) python: PythonRequirement,
    pub(super) requires_python: RequiresPython,
}

impl Target {
    /// Describes CPython of the whole version `python` on `platform` with the GNU C library
    /// `glibc`.
    ///
    /// # Errors
    /// Returns [`PythonError::Version`] when `python` is no version with at least two numbers.
    pub(super) fn new(
        python: &str,
        platform: Platform,
        glibc: (u16, u16),
    ) -> Result<Self, PythonError> {
        let invalid = || PythonError::Version {
            found: python.to_owned(),
        };
        let version = Version::from_str(python).map_err(|_| invalid())?;
        let &[major, minor, ..] = &*version.release() else {
            return Err(invalid());
        };
        let number = |number: u64| u8::try_from(number).map_err(|_| invalid());
        let short = (number(major)?, number(minor)?);
        let markers = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: python,
            os_name: "posix",
            platform_machine: platform.machine(),
            platform_python_implementation: "CPython",
            // The kernel that steps will run on is not known when locking, so a marker on its
            // release or version must not decide what is locked. uv leaves them empty as well
            // when the target is not the host.
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: python,
            python_version: &format!("{}.{}", short.0, short.1),
            sys_platform: "linux",
        })
        .map_err(|_| invalid())?;
        let tags = Tags::from_env(
            tag_platform(platform, glibc),
            short,
            "cpython",
            short,
            TagsOptions {
                manylinux_compatible: true,
                ..TagsOptions::default()
            },
        )
        .map_err(|_| invalid())?;
        let requires_python = RequiresPython::greater_than_equal_version(&version);
        Ok(Self {
            python: PythonRequirement::from_marker_environment(&markers, requires_python.clone()),
            markers,
            tags,
            requires_python,
        })
    }

    /// Returns the environment to resolve for.
    pub(super) fn environment(&self) -> ResolverEnvironment {
        ResolverEnvironment::specific(self.markers.clone().into())
    }
}

/// Says of wheels by their names whether they fit, and of markers whether they hold.
pub struct WheelTarget(Target);

impl WheelTarget {
    /// Describes CPython of the whole version `python` on `platform` with the GNU C library
    /// `glibc`.
    ///
    /// # Errors
    /// Returns [`PythonError::Version`] when `python` is no version with at least two numbers.
    pub fn new(python: &str, platform: Platform, glibc: (u16, u16)) -> Result<Self, PythonError> {
        Target::new(python, platform, glibc).map(Self)
    }

    /// Says whether `marker` holds there, for a project with these extras and groups (PEP 751).
    pub fn holds(&self, marker: MarkerTree, extras: &[ExtraName], groups: &[GroupName]) -> bool {
        marker.evaluate_pep751(&self.0.markers, extras, groups)
    }

    /// Says whether the wheel `file` runs there; what is no wheel does not.
    pub fn fits(&self, file: &str) -> bool {
        WheelFilename::from_str(file).is_ok_and(|wheel| wheel.is_compatible(&self.0.tags))
    }
}

/// Not uv's ready-made Linux target, which stands for glibc 2.28: the base's own C library decides
/// which manylinux wheels run.
fn tag_platform(platform: Platform, (major, minor): (u16, u16)) -> TagPlatform {
    let arch = match platform {
        Platform::LinuxAmd64 => Arch::X86_64,
        Platform::LinuxArm64 => Arch::Aarch64,
    };
    TagPlatform::new(Os::Manylinux { major, minor }, arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_fit_by_python_platform_and_c_library() {
        let target = Target::new("3.11.2", Platform::LinuxAmd64, (2, 36)).unwrap();
        for (file, fits) in [
            ("a-1-py3-none-any.whl", true),
            ("a-1-cp311-cp311-manylinux_2_36_x86_64.whl", true),
            (
                "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                true,
            ),
            ("a-1-cp39-abi3-manylinux_2_28_x86_64.whl", true),
            ("a-1-cp311-cp311-manylinux_2_38_x86_64.whl", false),
            ("a-1-cp311-cp311-manylinux_2_36_aarch64.whl", false),
            ("a-1-cp312-cp312-manylinux_2_17_x86_64.whl", false),
            ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", false),
            ("a-1-cp311-cp311-win_amd64.whl", false),
        ] {
            let wheel = WheelFilename::from_str(file).unwrap();
            assert_eq!(wheel.is_compatible(&target.tags), fits, "{file}");
        }
    }

    #[test]
    fn a_python_version_needs_two_numbers() {
        for bad in ["", "3", "x", "3.999"] {
            assert!(
                matches!(
                    Target::new(bad, Platform::LinuxAmd64, (2, 36)),
                    Err(PythonError::Version { .. })
                ),
                "{bad}"
            );
        }
    }
}
