//! What the system offers to conda packages (CEP 30), declared.

use rattler_conda_types::package::BuildString;
use rattler_conda_types::{GenericVirtualPackage, PackageName, Version};

use crate::base::{CondaName, Platform};
use crate::lock::{CondaRequest, LockedVirtualPackage};
use crate::resolve::conda::CondaError;

/// The oldest kernel that steps run on.
const KERNEL: &str = "5.12";

/// The version of a virtual package that has none, and the build string of one that has none.
const NONE: &str = "0";

/// One virtual package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualPackage {
    /// `__glibc`.
    pub name: CondaName,
    /// `2.36`.
    pub version: String,
    /// `0`; of `__archspec` the microarchitecture.
    pub build: String,
}

impl VirtualPackage {
    fn new(name: &str, version: &str, build: &str) -> Self {
        Self {
            name: name.parse().expect("names of this crate are valid"),
            version: version.to_owned(),
            build: build.to_owned(),
        }
    }

    /// Returns rattler's form.
    pub(super) fn generic(&self) -> Result<GenericVirtualPackage, CondaError> {
        let invalid = || CondaError::VirtualPackage {
            found: format!("{}={}", self.name, self.version),
        };
        Ok(GenericVirtualPackage {
            name: PackageName::new_unchecked(self.name.as_str()),
            version: self.version.parse::<Version>().map_err(|_| invalid())?,
            build_string: BuildString::new_unchecked(self.build.clone()),
        })
    }
}

/// Returns the virtual packages of `platform` with the C library `glibc`: the defaults, and over
/// them what `request` declares.
///
/// # Errors
/// Returns [`CondaError::VirtualPackage`] for a declaration without a version.
pub fn declared(
    request: &CondaRequest,
    platform: Platform,
    glibc: (u16, u16),
) -> Result<Vec<VirtualPackage>, CondaError> {
    let glibc = format!("{}.{}", glibc.0, glibc.1);
    let mut all = vec![
        VirtualPackage::new("__archspec", "1", own_architecture(platform)),
        VirtualPackage::new("__glibc", &glibc, NONE),
        VirtualPackage::new("__linux", KERNEL, NONE),
        VirtualPackage::new("__unix", NONE, NONE),
    ];
    for text in &request.virtual_packages {
        let invalid = || CondaError::VirtualPackage {
            found: text.clone(),
        };
        let (name, version) = text.split_once('=').ok_or_else(invalid)?;
        let name: CondaName = name.parse().map_err(|_| invalid())?;
        let package = match name.as_str() {
            "__archspec" if platform_of(version) != platform => continue,
            "__archspec" => VirtualPackage::new("__archspec", "1", version),
            name => VirtualPackage::new(name, version, NONE),
        };
        all.retain(|other| other.name != name);
        all.push(package);
    }
    all.sort();
    Ok(all)
}

/// What every processor of the platform can do.
fn own_architecture(platform: Platform) -> &'static str {
    platform.machine()
}

/// Returns the platform that has the microarchitecture `name`, as archspec calls it: one
/// declaration for all platforms says nothing of the others.
fn platform_of(name: &str) -> Platform {
    const ARM: [&str; 7] = [
        "aarch64", "arm", "neoverse", "cortex", "thunderx", "a64fx", "graviton",
    ];
    match ARM.iter().any(|start| name.starts_with(start)) {
        true => Platform::LinuxArm64,
        false => Platform::LinuxAmd64,
    }
}

/// Adds the virtual packages of `platform` to those of others.
pub(super) fn add(
    packages: &[VirtualPackage],
    platform: Platform,
    all: &mut Vec<LockedVirtualPackage>,
) {
    for package in packages {
        let same = |known: &&mut LockedVirtualPackage| {
            (&known.name, &known.version, &known.build)
                == (&package.name, &package.version, &package.build)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.platforms.push(platform),
            None => all.push(LockedVirtualPackage {
                name: package.name.clone(),
                version: package.version.clone(),
                build: package.build.clone(),
                platforms: vec![platform],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ChannelPriority, CondaBase};

    fn request(declared: &[&str]) -> CondaRequest {
        CondaRequest {
            channels: Vec::new(),
            channel_priority: ChannelPriority::Strict,
            dependencies: Vec::new(),
            constraints: Vec::new(),
            exclude_newer: None,
            virtual_packages: declared.iter().map(|&text| text.to_owned()).collect(),
            python_names: Vec::new(),
            link_scripts: Vec::new(),
            base: CondaBase::Debian,
        }
    }

    fn shown(platform: Platform, texts: &[&str]) -> String {
        let all = declared(&request(texts), platform, (2, 36)).unwrap();
        let texts: Vec<_> = all
            .iter()
            .map(|package| package.generic().unwrap().to_string())
            .collect();
        texts.join(" ")
    }

    #[test]
    fn what_is_declared_goes_over_the_defaults() {
        for (platform, texts, expected) in [
            (
                Platform::LinuxAmd64,
                &["__archspec=x86_64_v3"][..],
                "__archspec=1=x86_64_v3 __glibc=2.36=0 __linux=5.12=0 __unix=0=0",
            ),
            (
                Platform::LinuxArm64,
                &["__archspec=x86_64_v3"],
                "__archspec=1=aarch64 __glibc=2.36=0 __linux=5.12=0 __unix=0=0",
            ),
            (
                Platform::LinuxArm64,
                &["__archspec=neoverse_v1", "__cuda=12.4", "__glibc=2.17"],
                "__archspec=1=neoverse_v1 __cuda=12.4=0 __glibc=2.17=0 __linux=5.12=0 __unix=0=0",
            ),
        ] {
            assert_eq!(shown(platform, texts), expected);
        }
    }
}
