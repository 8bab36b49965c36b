//! CUDA's runtime of real wheels on `libcuda` of real drivers: where the one finds the other too
//! old, the lock of the wheel refuses the driver, and nowhere else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use envbox::lock::Lockfile;
use envbox::ops::run::GpuNeeds;
use envbox_sandbox::gpu::{DriverPolicy, HostFs, LibraryPlaces, Refusal, discover, verdict};

use super::debian::DRIVERS;
use super::gpu_host::{add_module, below};
use crate::downloads;
use crate::support::{User, World};

/// Wheels of the runtime, and the CUDA that the runtime says it is.
const RUNTIMES: [(&str, i64); 4] = [
    ("nvidia-cuda-runtime-cu11==11.8.89", 11_080),
    ("nvidia-cuda-runtime-cu12==12.1.105", 12_010),
    ("nvidia-cuda-runtime-cu12==12.9.79", 12_090),
    ("nvidia-cuda-runtime==13.0.96", 13_000),
];

/// Asks the runtime with the `libcuda` of each directory in turn, in a process of its own.
const STEP: &str = r#"
import glob, json, os, subprocess, sys

ASK = """
import ctypes, sys
runtime = ctypes.CDLL(sys.argv[1])
for name in 'cudaDriverGetVersion', 'cudaGetDeviceCount', 'cudaRuntimeGetVersion':
    number = ctypes.c_int(0)
    print(getattr(runtime, name)(ctypes.byref(number)), number.value)
"""
[runtime] = glob.glob('/opt/env/lib/python3*/site-packages/nvidia/*/lib/libcudart.so.1*')
told = {}
for name in sorted(os.listdir('/drivers')):
    environment = dict(os.environ, LD_LIBRARY_PATH='/drivers/' + name)
    done = subprocess.run([sys.executable, '-c', ASK, runtime], env=environment,
                          capture_output=True, text=True, check=True)
    told[name] = [[int(it) for it in line.split()] for line in done.stdout.splitlines()]
print(json.dumps(told))
"#;

const NO_DEVICE: i64 = 100;
const INSUFFICIENT_DRIVER: i64 = 35;

/// What a runtime told with one driver: an error and a number for each question.
type Told = [[i64; 2]; 3];

#[test]
fn net_a_lock_refuses_the_drivers_that_are_too_old_for_the_real_runtime() {
    let drivers = tempfile::Builder::new()
        .prefix("drivers")
        .tempdir_in("/tmp")
        .unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(drivers.path(), open).unwrap();
    let hosts = tempfile::tempdir().unwrap();
    let mut versions = BTreeMap::new();
    for driver in &DRIVERS {
        let branch = driver.branch.to_string();
        let root = hosts.path().join(&branch);
        let version = driver.unpack(&root);
        lay_open(&root, &drivers.path().join(&branch));
        versions.insert(branch, version);
    }
    let (mut accepted, mut refused) = (0, 0);
    for (requirement, cuda) in RUNTIMES {
        let (lock, told) = asked(requirement, drivers.path());
        assert_eq!(told.len(), DRIVERS.len());
        for (branch, [driver, devices, runtime]) in told {
            let version = &versions[&branch];
            let insufficient = match devices[0] {
                NO_DEVICE => false,
                INSUFFICIENT_DRIVER => true,
                other => panic!("{requirement} on {version}: {other}"),
            };
            assert_eq!(driver[0], 0);
            // That of 11.8 starts the driver in order to tell.
            if runtime[0] == 0 {
                assert_eq!(runtime[1], cuda);
            } else {
                assert_eq!(runtime[0], devices[0]);
            }
            let refusal = judged(&lock, &hosts.path().join(&branch), version);
            assert_eq!(
                refusal.is_some(),
                insufficient,
                "{requirement} on {version}: {refusal:?}"
            );
            *if insufficient {
                &mut refused
            } else {
                &mut accepted
            } += 1;
        }
    }
    // Both happen for the oldest and the newest that has a driver here.
    assert_eq!((accepted, refused), (11, 13));
}

/// Where the packages of a driver put its libraries: each driver has a directory of its own.
const DEBIAN: &str = "/usr/lib/x86_64-linux-gnu/nvidia";

fn directory_of(root: &Path) -> OsString {
    let places = fs::read_dir(below(root, Path::new(DEBIAN))).unwrap();
    let names: Vec<OsString> = places.map(|place| place.unwrap().file_name()).collect();
    let [name] = &names[..] else {
        panic!("{names:?}");
    };
    name.clone()
}

/// Puts the libraries where an unprivileged step finds them under the names that programs open.
fn lay_open(root: &Path, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let place = below(root, Path::new(DEBIAN)).join(directory_of(root));
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        fs::copy(place.join(name), directory.join(name)).unwrap();
    }
}

/// Locks a wheel and asks it.
fn asked(requirement: &str, drivers: &Path) -> (Lockfile, BTreeMap<String, Told>) {
    let world = World::new(User::Unprivileged);
    let manifest = format!(
        "[environment]\nname = \"cudart\"\npython = \"3.11\"\n[python]\n\
         requirements = [\"{requirement}\"]\n[debian]\nsecurity = false\n[gpu]\n"
    );
    world.write("envbox.toml", &manifest);
    world.write("step.py", STEP);
    downloads::share(&world);
    let bind = format!("{}:/drivers", drivers.display());
    let run = world.run(&["run", "--bind", &bind, "--", "python", "step.py"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    downloads::keep(&world);
    let lock = Lockfile::read(&world.project().join("envbox.lock")).unwrap();
    (lock, serde_json::from_str(&run.stdout()).unwrap())
}

/// Returns why a lock refuses a host with the module and the libraries of a driver, if it does. The
/// driver would do otherwise: its own libraries are the real ones.
fn judged(lock: &Lockfile, root: &Path, version: &str) -> Option<Refusal> {
    for name in ["dev", "proc", "sys"] {
        let _ = fs::remove_dir_all(root.join(name));
    }
    let nodes = add_module(root, version);
    let places = LibraryPlaces {
        given: vec![Path::new(DEBIAN).join(directory_of(root))],
        ..LibraryPlaces::default()
    };
    let facts = discover(&HostFs::below(root).unwrap(), &nodes, &places);
    let needs = GpuNeeds::of(lock).unwrap();
    let verdict = verdict(&needs.required, &needs.pinned, &facts);
    match verdict.admit(DriverPolicy::Locked) {
        Ok(_) => None,
        Err(refusal @ Refusal::TooOld { .. }) => Some(refusal),
        Err(other) => panic!("{version}: {other}"),
    }
}
