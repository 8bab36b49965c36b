//! What this host is a guest of, where drivers are not as on a plain Linux.

use serde::Serialize;

use super::fs::HostFs;

/// What is around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surroundings {
    /// A Linux kernel with drivers of its own.
    Linux,
    /// The Windows Subsystem for Linux: the driver is Windows'.
    Wsl,
    /// A Jetson or another Tegra, whose GPU is part of the processor.
    Tegra,
    /// gVisor, which passes on calls to the host's driver and has few of its files.
    Gvisor,
}

/// gVisor's kernel says of itself that it was built at this time, five minutes after Linux 4.4.
const GVISOR_BUILD: &str = "Sun Jan 10 15:06:54 PST 2016";

impl Surroundings {
    pub(super) fn detect(fs: &HostFs) -> Surroundings {
        let file = |path: &str| fs.text(path).unwrap_or_default().to_lowercase();
        let kernel = file("/proc/version");
        if kernel.contains(&GVISOR_BUILD.to_lowercase()) || kernel.contains("gvisor") {
            return Surroundings::Gvisor;
        }
        let release = file("/proc/sys/kernel/osrelease");
        if fs.exists("/dev/dxg") || release.contains("microsoft") {
            return Surroundings::Wsl;
        }
        let family = file("/sys/devices/soc0/family");
        if fs.exists("/etc/nv_tegra_release") || family.starts_with("tegra") {
            return Surroundings::Tegra;
        }
        Surroundings::Linux
    }
}
