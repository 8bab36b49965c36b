//! What `libcuda` tells. Signatures and numbers are of `cuda.h`.

use crate::library::Library;
use crate::print::{Key, Line};
use crate::{NO_ANSWER, NO_COUNT, NO_DEVICE, NO_FUNCTION, NO_INIT, NO_LIBRARY, failed, nvml};

type Init = unsafe extern "C" fn(u32) -> i32;
type GetNumber = unsafe extern "C" fn(*mut i32) -> i32;
type GetDevice = unsafe extern "C" fn(*mut i32, i32) -> i32;
type GetText = unsafe extern "C" fn(*mut u8, i32, i32) -> i32;
type GetAttribute = unsafe extern "C" fn(*mut i32, i32, i32) -> i32;
type GetUuid = unsafe extern "C" fn(*mut u8, i32) -> i32;
type GetMemory = unsafe extern "C" fn(*mut usize, i32) -> i32;

const MULTIPROCESSORS: i32 = 16;
const CAPABILITY_MAJOR: i32 = 75;
const CAPABILITY_MINOR: i32 = 76;

/// What is asked of each device.
struct Calls {
    device: GetDevice,
    name: GetText,
    attribute: GetAttribute,
    memory: Option<GetMemory>,
    address: Option<GetText>,
    uuid: Option<GetUuid>,
}

/// Tells all, or returns the status to end with.
pub fn tell() -> Result<(), i32> {
    let Some(cuda) = Library::open(c"libcuda.so.1") else {
        let mut line = Line::new();
        line.text(b"failed dlopen ").text(Library::error()).print();
        return Err(NO_LIBRARY);
    };
    let missing = |name: &[u8]| failed(name, 0, NO_FUNCTION);
    // SAFETY: these are the types of these functions, here and below.
    let (init, version, count): (Option<Init>, Option<GetNumber>, Option<GetNumber>) = unsafe {
        (
            cuda.function(c"cuInit"),
            cuda.function(c"cuDriverGetVersion"),
            cuda.function(c"cuDeviceGetCount"),
        )
    };
    let init = init.ok_or_else(|| missing(b"cuInit"))?;
    let version = version.ok_or_else(|| missing(b"cuDriverGetVersion"))?;
    let count = count.ok_or_else(|| missing(b"cuDeviceGetCount"))?;
    let calls = Calls::find(cuda).ok_or_else(|| missing(b"cuDeviceGet"))?;
    // Before the rest: it works without a device.
    // SAFETY: takes a place for a number.
    tell_number(key(None, b"version"), |out| unsafe { version(out) });
    // NVML too, for it can tell why CUDA does not start.
    let nvml = nvml::Nvml::start();
    // SAFETY: the flags must be zero.
    match unsafe { init(0) } {
        0 => {}
        error => return Err(failed(b"cuInit", error, NO_INIT)),
    }
    let mut devices = 0;
    // SAFETY: as above.
    match unsafe { count(&raw mut devices) } {
        0 if devices == 0 => return Err(failed(b"cuDeviceGetCount", 0, NO_DEVICE)),
        0 => key(None, b"devices").number(devices.into()),
        error => return Err(failed(b"cuDeviceGetCount", error, NO_COUNT)),
    }
    for index in 0..devices {
        calls.tell(index, nvml.as_ref())?;
    }
    Ok(())
}

fn key(index: Option<i32>, name: &[u8]) -> Key<'_> {
    Key {
        group: b"cuda",
        index,
        name,
    }
}

impl Calls {
    fn find(cuda: Library) -> Option<Calls> {
        // SAFETY: these are the types of these functions.
        unsafe {
            Some(Calls {
                device: cuda.function(c"cuDeviceGet")?,
                name: cuda.function(c"cuDeviceGetName")?,
                attribute: cuda.function(c"cuDeviceGetAttribute")?,
                memory: cuda.function(c"cuDeviceTotalMem_v2"),
                address: cuda.function(c"cuDeviceGetPCIBusId"),
                // The second tells a MIG instance's own.
                uuid: cuda
                    .function(c"cuDeviceGetUuid_v2")
                    .or_else(|| cuda.function(c"cuDeviceGetUuid")),
            })
        }
    }

    fn tell(&self, index: i32, nvml: Option<&nvml::Nvml>) -> Result<(), i32> {
        let mut device = 0;
        // SAFETY: takes a place for a number.
        match unsafe { (self.device)(&raw mut device, index) } {
            0 => {}
            error => return Err(failed(b"cuDeviceGet", error, NO_ANSWER)),
        }
        let mut text = [0_u8; 256];
        // SAFETY: the place has as many bytes as said.
        match unsafe { (self.name)(text.as_mut_ptr(), 256, device) } {
            0 => key(Some(index), b"name").string(&text),
            error => return Err(failed(b"cuDeviceGetName", error, NO_ANSWER)),
        }
        for (attribute, name) in [
            (CAPABILITY_MAJOR, &b"capability-major"[..]),
            (CAPABILITY_MINOR, b"capability-minor"),
            (MULTIPROCESSORS, b"multiprocessors"),
        ] {
            // SAFETY: takes a place for a number.
            tell_number(key(Some(index), name), |out| unsafe {
                (self.attribute)(out, attribute, device)
            });
        }
        self.tell_memory(index, device);
        self.tell_uuid(index, device);
        let mut address = [0_u8; 64];
        match self.address {
            None => key(Some(index), b"address").missing(),
            // SAFETY: the place has as many bytes as said; the last stays zero.
            Some(call) => match unsafe { call(address.as_mut_ptr(), 63, device) } {
                0 => key(Some(index), b"address").string(&address),
                error => key(Some(index), b"address").error(error),
            },
        }
        if let Some(nvml) = nvml {
            nvml.tell(index, &address);
        }
        Ok(())
    }

    fn tell_memory(&self, index: i32, device: i32) {
        let key = key(Some(index), b"memory");
        let mut bytes = 0_usize;
        match self.memory {
            None => key.missing(),
            // SAFETY: takes a place for a size.
            Some(call) => match unsafe { call(&raw mut bytes, device) } {
                0 => key.number(bytes as i64),
                error => key.error(error),
            },
        }
    }

    fn tell_uuid(&self, index: i32, device: i32) {
        let key = key(Some(index), b"uuid");
        let mut bytes = [0_u8; 16];
        match self.uuid {
            None => key.missing(),
            // SAFETY: takes a place for sixteen bytes.
            Some(call) => match unsafe { call(bytes.as_mut_ptr(), device) } {
                0 => {
                    let mut line = key.line(b"");
                    line.text(b" ");
                    for (place, byte) in bytes.iter().enumerate() {
                        if matches!(place, 4 | 6 | 8 | 10) {
                            line.text(b"-");
                        }
                        line.hex(*byte);
                    }
                    line.print();
                }
                error => key.error(error),
            },
        }
    }
}

fn tell_number(key: Key<'_>, call: impl Fn(*mut i32) -> i32) {
    let mut number = 0;
    match call(&raw mut number) {
        0 => key.number(number.into()),
        error => key.error(error),
    }
}
