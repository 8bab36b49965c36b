//! What can be typed about GPUs.

use std::path::PathBuf;

use envbox::manifest::GpuVendor;
use envbox::ops::run::{GpuHost, GpuOptions};
use envbox_sandbox::gpu::{CdiPolicy, DriverPolicy, Selection};

/// What can be asked about GPUs besides.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum GpuCommand {
    /// Print what steps get of this host's GPUs as a CDI specification, for container engines:
    /// `envbox gpu cdi > /etc/cdi/nvidia.json`, then `podman run --device nvidia.com/gpu=all`.
    ///
    /// It names the files of the driver that runs now: make it again after each update. For AMD's and
    /// Intel's GPUs it names nodes alone, as `amd.com/gpu` and `intel.com/gpu`.
    Cdi {
        /// Whose GPUs.
        #[arg(long, value_name = "VENDOR", value_enum, default_value = "nvidia")]
        vendor: Vendor,
        /// Write to this file instead of standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Who makes GPUs.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Vendor {
    Nvidia,
    Amd,
    Intel,
}

impl From<Vendor> for GpuVendor {
    fn from(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Nvidia => Self::Nvidia,
            Vendor::Amd => Self::Amd,
            Vendor::Intel => Self::Intel,
        }
    }
}

/// Which GPUs a step gets.
#[derive(Debug, clap::Args)]
pub(crate) struct Gpus {
    /// Give the command GPUs: `all`, which is the default, or with commas between them an index,
    /// `GPU-…`, an address on the bus, `0:1` or `MIG-GPU-…/1/0` for a MIG instance, `MIG-…` for one
    /// that a CDI specification names. The driver is
    /// verified first: one that does not work, or that the lockfile does not allow, is refused.
    #[arg(long, value_name = "GPUS", num_args = 0..=1, default_missing_value = "all")]
    pub(crate) gpu: Option<Selection>,
    /// With --gpu: `locked` refuses a driver other than the one that the lockfile is held to;
    /// `compatible` allows each that the packages can use, and records that it was not held
    /// [default: locked].
    #[arg(long, value_name = "POLICY", requires = "gpu", value_parser = ["locked", "compatible"])]
    pub(crate) driver: Option<String>,
    /// With --gpu: whether what the host's CDI specifications say is done, if they fit the driver
    /// [default: auto].
    #[arg(long, value_name = "POLICY", requires = "gpu", value_parser = ["auto", "require", "off"])]
    pub(crate) cdi: Option<String>,
}

impl Gpus {
    /// Returns what the words stand for; none without `--gpu`.
    pub(crate) fn options(&self) -> Option<GpuOptions> {
        Some(GpuOptions {
            selection: self.gpu.clone()?,
            driver: match self.driver.as_deref() {
                Some("compatible") => DriverPolicy::Compatible,
                _ => DriverPolicy::Locked,
            },
            cdi: match self.cdi.as_deref() {
                Some("require") => CdiPolicy::Require,
                Some("off") => CdiPolicy::Off,
                _ => CdiPolicy::Auto,
            },
            host: GpuHost::default(),
        })
    }
}
