//! What NVML tells. Signatures and numbers are of `nvml.h`. Nothing here is needed to run a step.

use core::ffi::{CStr, c_void};

use crate::library::Library;
use crate::print::Key;

type Device = *mut c_void;
type Init = unsafe extern "C" fn() -> i32;
type SystemText = unsafe extern "C" fn(*mut u8, u32) -> i32;
type SystemNumber = unsafe extern "C" fn(*mut i32) -> i32;
type Find = unsafe extern "C" fn(*const u8, *mut Device) -> i32;
type DeviceText = unsafe extern "C" fn(Device, *mut u8, u32) -> i32;
type DeviceNumber = unsafe extern "C" fn(Device, *mut u32) -> i32;
type DeviceModes = unsafe extern "C" fn(Device, *mut u32, *mut u32) -> i32;
type DeviceClock = unsafe extern "C" fn(Device, u32, *mut u32) -> i32;

/// `NVML_CLOCK_SM` and `NVML_CLOCK_MEM`.
const CLOCKS: [(u32, &[u8], &[u8]); 2] = [
    (1, b"clock-sm", b"clock-sm-max"),
    (2, b"clock-memory", b"clock-memory-max"),
];

/// NVML, started.
pub struct Nvml(Library);

impl Nvml {
    /// Starts NVML and tells what it knows of the driver.
    pub fn start() -> Option<Nvml> {
        let init = key(None, b"init");
        let Some(library) = Library::open(c"libnvidia-ml.so.1") else {
            init.missing();
            return None;
        };
        // SAFETY: this is the type of this function.
        let Some(start): Option<Init> = (unsafe { library.function(c"nvmlInit_v2") }) else {
            init.missing();
            return None;
        };
        // SAFETY: takes nothing.
        match unsafe { start() } {
            0 => init.number(0),
            error => {
                init.error(error);
                return None;
            }
        }
        let nvml = Nvml(library);
        nvml.system();
        Some(nvml)
    }

    fn system(&self) {
        let mut text = [0_u8; 128];
        // SAFETY: this is the type of this function.
        let version: Option<SystemText> = unsafe { self.0.function(c"nvmlSystemGetDriverVersion") };
        // SAFETY: the place has as many bytes as said; the last stays zero.
        let result = version.map(|call| unsafe { call(text.as_mut_ptr(), 127) });
        told(key(None, b"driver"), result, |key| key.string(&text));
        let mut number = 0;
        // SAFETY: this is the type of this function.
        let version: Option<SystemNumber> =
            unsafe { self.0.function(c"nvmlSystemGetCudaDriverVersion_v2") };
        // SAFETY: takes a place for a number.
        let result = version.map(|call| unsafe { call(&raw mut number) });
        told(key(None, b"cuda-version"), result, |key| {
            key.number(number.into());
        });
    }

    /// Tells of the device at a place on the bus.
    pub fn tell(&self, index: i32, address: &[u8; 64]) {
        let mut device = core::ptr::null_mut();
        // SAFETY: this is the type of this function.
        let find: Option<Find> = unsafe { self.0.function(c"nvmlDeviceGetHandleByPciBusId_v2") };
        // SAFETY: the address is terminated; takes a place for a pointer.
        let result = find.map(|call| unsafe { call(address.as_ptr(), &raw mut device) });
        if result != Some(0) {
            told(key(Some(index), b"device"), result, |_| {});
            return;
        }
        self.text(index, device);
        for (name, function) in [
            (&b"ecc"[..], c"nvmlDeviceGetEccMode"),
            (b"mig", c"nvmlDeviceGetMigMode"),
        ] {
            let (mut now, mut later) = (0, 0);
            // SAFETY: both functions have this type.
            let call: Option<DeviceModes> = unsafe { self.0.function(function) };
            // SAFETY: takes a device that was found and places for two numbers.
            let result = call.map(|call| unsafe { call(device, &raw mut now, &raw mut later) });
            told(key(Some(index), name), result, |key| key.number(now.into()));
        }
        for (name, function) in [
            (&b"compute-mode"[..], c"nvmlDeviceGetComputeMode"),
            (b"persistence", c"nvmlDeviceGetPersistenceMode"),
            (b"power-limit", c"nvmlDeviceGetPowerManagementLimit"),
        ] {
            self.number(index, device, name, function);
        }
        for (clock, now, most) in CLOCKS {
            for (name, function) in [
                (now, c"nvmlDeviceGetApplicationsClock"),
                (most, c"nvmlDeviceGetMaxClockInfo"),
            ] {
                let mut value = 0;
                // SAFETY: both functions have this type.
                let call: Option<DeviceClock> = unsafe { self.0.function(function) };
                // SAFETY: takes a device that was found and a place for a number.
                let result = call.map(|call| unsafe { call(device, clock, &raw mut value) });
                told(key(Some(index), name), result, |key| {
                    key.number(value.into());
                });
            }
        }
    }

    fn text(&self, index: i32, device: Device) {
        let mut text = [0_u8; 128];
        // SAFETY: this is the type of this function.
        let call: Option<DeviceText> = unsafe { self.0.function(c"nvmlDeviceGetVbiosVersion") };
        // SAFETY: takes a device that was found; the place has as many bytes as said.
        let result = call.map(|call| unsafe { call(device, text.as_mut_ptr(), 127) });
        told(key(Some(index), b"vbios"), result, |key| key.string(&text));
    }

    fn number(&self, index: i32, device: Device, name: &[u8], function: &'static CStr) {
        let mut value = 0;
        // SAFETY: the functions that are named here have this type.
        let call: Option<DeviceNumber> = unsafe { self.0.function(function) };
        // SAFETY: takes a device that was found and a place for a number.
        let result = call.map(|call| unsafe { call(device, &raw mut value) });
        told(key(Some(index), name), result, |key| {
            key.number(value.into());
        });
    }
}

fn key(index: Option<i32>, name: &[u8]) -> Key<'_> {
    Key {
        group: b"nvml",
        index,
        name,
    }
}

/// Tells a value, or why there is none.
fn told(key: Key<'_>, result: Option<i32>, tell: impl Fn(Key<'_>)) {
    match result {
        None => key.missing(),
        Some(0) => tell(key),
        Some(error) => key.error(error),
    }
}
