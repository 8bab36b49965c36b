//! The driver, tried in the step's own sandbox before the step.

use std::collections::BTreeMap;
use std::ffi::OsString;

use envbox_sandbox::gpu::{DeviceCode, Probed, ProbedDevice, try_inside};
use envbox_sandbox::{HostFacts, Policy};

use crate::ops::run::gpu::code::Libraries;
use crate::ops::run::gpu::{GpuError, Granted, RequiredDevice};
use crate::record::{GpuCard, GpuNoted};

impl Granted {
    /// Starts the driver in a sandbox of the step's policy, and notes what it tells of the GPUs.
    /// Other vendors' drivers come with the environment and are not tried.
    ///
    /// # Errors
    /// Returns [`GpuError`] when the driver does not start there, has another GPU than the one that
    /// the lock requires, or one that no library of the environment has code for.
    pub(in crate::ops::run) fn try_inside(
        &mut self,
        policy: &Policy,
        environment: &[(OsString, OsString)],
        facts: &HostFacts,
    ) -> Result<(), GpuError> {
        if self.seen.driver.is_none() {
            return Ok(());
        }
        let probed = try_inside(policy, environment, facts)?;
        if let Some(required) = &self.required {
            check(required, &probed.devices)?;
        }
        for instance in &self.instances {
            identify(instance, &probed.devices)?;
        }
        if probed.devices.len() < self.edits.chosen.len() {
            return Err(GpuError::Fewer {
                chosen: self.edits.chosen.len(),
                seen: probed.devices.len(),
            });
        }
        let code = Libraries::of(&policy.rootfs)?;
        probed.devices.iter().try_for_each(|it| code.check(it))?;
        let without = probed.devices.iter().filter_map(|it| code.without(it));
        self.noted.remarks.extend(without);
        let all = code.all();
        if all != DeviceCode::default() {
            self.noted.told.insert("code".to_owned(), all.to_string());
        }
        self.seen.cards = probed.devices.iter().map(card).collect();
        note(&mut self.noted, &probed);
        Ok(())
    }
}

/// Holds the GPUs against the one that the lock requires.
fn check(required: &RequiredDevice, devices: &[ProbedDevice]) -> Result<(), GpuError> {
    for device in devices {
        let capability = device.capability;
        let multiprocessors = device.multiprocessors;
        let same = required.capability.is_none_or(|it| Some(it) == capability)
            && required
                .multiprocessors
                .is_none_or(|it| Some(it) == multiprocessors);
        if !same {
            return Err(GpuError::OtherDevice {
                required: required.to_string(),
                found: RequiredDevice {
                    capability,
                    multiprocessors,
                }
                .to_string(),
                name: device.name.clone(),
            });
        }
    }
    Ok(())
}

/// Makes sure that an instance that was chosen by its identity is there.
fn identify(instance: &str, devices: &[ProbedDevice]) -> Result<(), GpuError> {
    let is_it = |uuid: &String| uuid.eq_ignore_ascii_case(instance);
    let mut told = devices.iter().filter_map(|device| device.uuid.as_ref());
    match told.any(is_it) {
        true => Ok(()),
        false => Err(GpuError::OtherInstance {
            wanted: instance.to_owned(),
            found: devices.iter().filter_map(|it| it.uuid.clone()).collect(),
        }),
    }
}

fn card(device: &ProbedDevice) -> GpuCard {
    let capability = device.capability;
    GpuCard {
        name: Some(device.name.clone()),
        compute_capability: capability.map(|(major, minor)| format!("{major}.{minor}")),
        multiprocessors: device.multiprocessors,
        memory: device.memory,
        mig: device.mig.unwrap_or_default(),
    }
}

/// Notes what no step computes with.
fn note(noted: &mut GpuNoted, probed: &Probed) {
    let told = &mut noted.told;
    let mut tell = |name: String, value: Option<String>| {
        if let Some(value) = value {
            told.insert(name, value);
        }
    };
    let version = probed.cuda_version;
    let version = version.map(|it| format!("{}.{}", it / 1000, it % 1000 / 10));
    tell("cuda".to_owned(), version);
    tell("nvml driver".to_owned(), probed.driver.clone());
    for (index, device) in probed.devices.iter().enumerate() {
        for (name, value) in facts(device) {
            tell(format!("cuda:{index} {name}"), value);
        }
        for (clock, megahertz) in &device.clocks {
            let value = format!("{megahertz} MHz");
            tell(format!("cuda:{index} clock {clock}"), Some(value));
        }
    }
}

fn facts(device: &ProbedDevice) -> BTreeMap<&'static str, Option<String>> {
    let switch = |on: Option<bool>| on.map(|on| if on { "on" } else { "off" }.to_owned());
    let limit = device.power_limit;
    [
        ("address", device.address.clone()),
        ("uuid", device.uuid.clone()),
        ("video-bios", device.video_bios.clone()),
        ("ecc", switch(device.ecc)),
        ("persistence", switch(device.persistence)),
        ("compute-mode", device.compute_mode.map(|it| it.to_string())),
        ("power-limit", limit.map(|it| format!("{} W", it / 1000))),
    ]
    .into()
}
