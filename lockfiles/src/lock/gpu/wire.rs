//! `[request.gpu]` and `[gpu]` as a lock writes and reads them.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::base::{DottedVersion, Platform};
use crate::lock::gpu::schema::{
    DriverMatch, GpuReason, GpuRequirements, GpuRule, GpuSource, LockedDevice, LockedDriver,
    LockedGpu,
};
use crate::lock::order::{Disorder, first, words};
use crate::lock::wire::{InvalidEntry, platforms as platforms_of};
use crate::lock::write::{field, optional, platforms, string, word};
use crate::manifest::{DevicePin, DriverPin, Gpu, GpuVendor};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lock) struct GpuRequestWire {
    vendor: GpuVendor,
    cuda: Option<Spanned<String>>,
    driver: DriverPin,
    device: DevicePin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::lock) struct GpuWire {
    vendor: Spanned<GpuVendor>,
    requires: Option<Spanned<BoundsWire>>,
    pin: Option<PinWire>,
    device: Option<DeviceWire>,
    #[serde(default)]
    because: Vec<ReasonWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BoundsWire {
    driver: Spanned<String>,
    cuda_api: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinWire {
    driver: Spanned<String>,
    #[serde(rename = "match")]
    precision: Spanned<DriverMatch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceWire {
    name: Option<String>,
    cc: Option<Spanned<String>>,
    sms: Option<u32>,
    mig: Option<bool>,
    #[serde(rename = "match")]
    policy: Spanned<DevicePin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ReasonWire {
    from: GpuSource,
    package: String,
    version: String,
    platforms: Option<Vec<Platform>>,
    rule: GpuRule,
    driver: Spanned<String>,
    cuda_api: Spanned<String>,
}

impl GpuRequestWire {
    pub(in crate::lock) fn into_request(self) -> Result<Gpu, InvalidEntry> {
        let cuda = self
            .cuda
            .map(|text| version("request.gpu", "cuda", text, 1..=2));
        Ok(Gpu {
            vendor: self.vendor,
            cuda: cuda.transpose()?,
            driver: self.driver,
            device: self.device,
        })
    }
}

impl GpuWire {
    /// Reads the table, which must be as the manifest's `asked` wants it.
    pub(in crate::lock) fn into_gpu(
        self,
        asked: Option<&Gpu>,
        all: &[Platform],
    ) -> Result<LockedGpu, InvalidEntry> {
        let policy = asked.cloned().unwrap_or_default();
        let vendor = self.vendor;
        if *vendor.get_ref() != policy.vendor {
            let problem = format!("the request is for a GPU of `{}`", policy.vendor.name());
            return Err(InvalidEntry::at("gpu", problem, vendor.span()));
        }
        let because = self.because.into_iter();
        let requires = GpuRequirements {
            because: because
                .map(|wire| wire.into_reason(all))
                .collect::<Result<_, _>>()?,
        };
        check_bounds(self.requires, &requires, vendor.span())?;
        let pin = self.pin.map(|wire| wire.into_driver(&policy)).transpose()?;
        let device = self.device.map(|wire| wire.into_device(&policy));
        let gpu = LockedGpu {
            vendor: policy.vendor,
            pin,
            device: device.transpose()?,
            requires,
        };
        let is_asked = asked.is_some() || gpu.pin.is_some() || gpu.device.is_some();
        let is_nvidia = gpu.vendor == GpuVendor::Nvidia;
        let problem = match (is_asked, is_nvidia || gpu.is_bare()) {
            (true, true) => return Ok(gpu),
            (false, _) => "nobody asks for it, and nothing is pinned in it",
            (true, false) => "only of NVIDIA's GPUs is more known than the vendor",
        };
        Err(InvalidEntry::at("gpu", problem, vendor.span()))
    }
}

impl LockedGpu {
    fn is_bare(&self) -> bool {
        self.pin.is_none() && self.device.is_none() && self.requires.because.is_empty()
    }
}

impl PinWire {
    fn into_driver(self, policy: &Gpu) -> Result<LockedDriver, InvalidEntry> {
        const ENTRY: &str = "gpu.pin";
        let precision = *self.precision.get_ref();
        if policy.driver.precision() != Some(precision) {
            let problem = format!("the request has `driver = \"{}\"`", word(policy.driver));
            return Err(InvalidEntry::at(ENTRY, problem, self.precision.span()));
        }
        Ok(LockedDriver {
            driver: version(ENTRY, "driver", self.driver, 2..=3)?,
            precision,
        })
    }
}

impl DeviceWire {
    fn into_device(self, policy: &Gpu) -> Result<LockedDevice, InvalidEntry> {
        const ENTRY: &str = "gpu.device";
        if *self.policy.get_ref() != policy.device {
            let problem = format!("the request has `device = \"{}\"`", word(policy.device));
            return Err(InvalidEntry::at(ENTRY, problem, self.policy.span()));
        }
        let capability = self.cc.map(|text| version(ENTRY, "cc", text, 2..=2));
        Ok(LockedDevice {
            name: self.name,
            compute_capability: capability.transpose()?,
            multiprocessors: self.sms,
            mig: self.mig,
            policy: policy.device,
        })
    }
}

impl ReasonWire {
    fn into_reason(self, all: &[Platform]) -> Result<GpuReason, InvalidEntry> {
        let entry = format!("gpu.because {} {}", self.package, self.version);
        Ok(GpuReason {
            platforms: platforms_of(&entry, self.platforms, all)?,
            source: self.from,
            package: self.package,
            version: self.version,
            rule: self.rule,
            driver: bound(&entry, "driver", self.driver)?,
            cuda_api: bound(&entry, "cuda-api", self.cuda_api)?,
        })
    }
}

/// Checks that the table `requires` is what the reasons come to.
fn check_bounds(
    wire: Option<Spanned<BoundsWire>>,
    requires: &GpuRequirements,
    place: Range<usize>,
) -> Result<(), InvalidEntry> {
    const ENTRY: &str = "gpu.requires";
    let derived = requires.driver().zip(requires.cuda_api());
    let problem = "it is not what `[[gpu.because]]` comes to";
    match (wire, derived) {
        (None, None) => Ok(()),
        (Some(wire), Some((driver, api))) => {
            let BoundsWire {
                driver: one,
                cuda_api: two,
            } = wire.into_inner();
            for (key, found, expected) in [
                ("driver", one, &driver.driver),
                ("cuda-api", two, &api.cuda_api),
            ] {
                let place = found.span();
                if bound(ENTRY, key, found)? != *expected {
                    return Err(InvalidEntry::at(ENTRY, problem, place));
                }
            }
            Ok(())
        }
        (Some(wire), None) => Err(InvalidEntry::at(ENTRY, problem, wire.span())),
        (None, Some(_)) => Err(InvalidEntry::at(ENTRY, problem, place)),
    }
}

/// Reads `>=580`.
fn bound(entry: &str, key: &str, text: Spanned<String>) -> Result<DottedVersion, InvalidEntry> {
    let parsed = text.get_ref().strip_prefix(">=");
    let parsed = parsed.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| {
        let problem = format!("`{key} = \"{}\"` is no bound like `>=580`", text.get_ref());
        InvalidEntry::at(entry, problem, text.span())
    })
}

fn version(
    entry: &str,
    key: &str,
    text: Spanned<String>,
    count: std::ops::RangeInclusive<usize>,
) -> Result<DottedVersion, InvalidEntry> {
    let parsed: Option<DottedVersion> = text.get_ref().parse().ok();
    let parsed = parsed.filter(|version| count.contains(&version.numbers().len()));
    parsed.ok_or_else(|| {
        let (least, most) = (count.start(), count.end());
        let wanted = match least == most {
            true => format!("{least}"),
            false => format!("{least} or {most}"),
        };
        let found = text.get_ref();
        let problem =
            format!("`{key} = \"{found}\"` is not {wanted} numbers with dots between them");
        InvalidEntry::at(entry, problem, text.span())
    })
}

/// Writes what the manifest asks for.
pub(in crate::lock) fn request_table(text: &mut String, gpu: &Gpu) {
    text.push_str("\n[request.gpu]\n");
    string(text, "vendor", gpu.vendor.name());
    optional(text, "cuda", gpu.cuda.as_ref().map(|cuda| cuda.as_str()));
    string(text, "driver", &word(gpu.driver));
    string(text, "device", &word(gpu.device));
}

/// Writes the table and those below it.
pub(in crate::lock) fn gpu_tables(text: &mut String, gpu: &LockedGpu, all: &[Platform]) {
    text.push_str("\n[gpu]\n");
    string(text, "vendor", gpu.vendor.name());
    let bounds = gpu.requires.driver().zip(gpu.requires.cuda_api());
    if let Some((driver, api)) = bounds {
        text.push_str("\n[gpu.requires]\n");
        least(text, &driver.driver, &api.cuda_api);
    }
    if let Some(pin) = &gpu.pin {
        text.push_str("\n[gpu.pin]\n");
        string(text, "driver", pin.driver.as_str());
        string(text, "match", &word(pin.precision));
    }
    if let Some(device) = &gpu.device {
        text.push_str("\n[gpu.device]\n");
        optional(text, "name", device.name.as_deref());
        let capability = device.compute_capability.as_ref();
        optional(text, "cc", capability.map(|version| version.as_str()));
        if let Some(count) = device.multiprocessors {
            field(text, "sms", count);
        }
        if let Some(mig) = device.mig {
            field(text, "mig", mig);
        }
        string(text, "match", &word(device.policy));
    }
    for reason in &gpu.requires.because {
        text.push_str("\n[[gpu.because]]\n");
        string(text, "from", &word(reason.source));
        string(text, "package", &reason.package);
        string(text, "version", &reason.version);
        platforms(text, &reason.platforms, all);
        string(text, "rule", &word(reason.rule));
        least(text, &reason.driver, &reason.cuda_api);
    }
}

fn least(text: &mut String, driver: &DottedVersion, cuda_api: &DottedVersion) {
    string(text, "driver", &format!(">={driver}"));
    string(text, "cuda-api", &format!(">={cuda_api}"));
}

/// Returns the first reason that is out of order.
pub(in crate::lock) fn disorder(gpu: &LockedGpu) -> Option<Disorder> {
    let because = &gpu.requires.because;
    first("[[gpu.because]]", because, |reason| Shown {
        key: reason.key(),
    })
    .or_else(|| {
        let mut because = because.iter();
        because.find_map(|reason| words("`platforms` of `[[gpu.because]]`", &reason.platforms))
    })
}

/// A key to compare by, shown by the name in it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Shown<'a> {
    key: (GpuSource, &'a str, &'a str),
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key.1)
    }
}
