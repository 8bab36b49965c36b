//! The user libraries of real drivers: what envbox finds of them, and what they say in its sandbox
//! where a module of another version answers, or none at all.

mod code;
mod cudart;
mod debian;
#[path = "../../../sandbox/tests/it/gpu_host.rs"]
#[expect(dead_code, reason = "each tier uses a part")]
mod gpu_host;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use envbox_sandbox::gpu::{
    CudaError, DriverPolicy, Edits, HostFs, LibraryPlaces, Pinned, ProbeError, Refusal, Usable,
    discover, try_inside, verdict,
};
use envbox_sandbox::{Bind, Exit, HostFacts, Policy, Sandbox, Step};

use self::debian::{Packaged, WHOLE_DRIVERS};
use self::gpu_host::{Nodes, add_module, compile, planned};

/// Where Debian puts libraries of the driver.
const DEBIAN: &str = "/usr/lib/x86_64-linux-gnu/nvidia/current";
/// A module that none of the libraries is of.
const OTHER: &str = "580.159.04";
/// Errors of NVML's, with which `nvidia-smi` ends too: `NVML_ERROR_DRIVER_NOT_LOADED`,
/// `NVML_ERROR_OPERATING_SYSTEM`, `NVML_ERROR_LIB_RM_VERSION_MISMATCH`.
const NOT_LOADED: i32 = 9;
const BLOCKED: i32 = 17;
const MISMATCH: i32 = 18;

/// A host with the libraries of a driver, and the version of these.
struct Host {
    directory: tempfile::TempDir,
    libraries: String,
}

impl Host {
    fn with(driver: &Packaged) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let libraries = driver.unpack(directory.path());
        // What `update-alternatives` makes when the package is installed.
        let program = directory.path().join("usr/bin/nvidia-smi");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        symlink("/usr/lib/nvidia/current/nvidia-smi", program).unwrap();
        Host {
            directory,
            libraries,
        }
    }

    fn files(&self) -> HostFs {
        HostFs::below(self.directory.path()).unwrap()
    }

    /// Loads a module.
    fn module(&self, version: &str) -> Nodes {
        for name in ["dev", "proc", "sys"] {
            let _ = fs::remove_dir_all(self.directory.path().join(name));
        }
        add_module(self.directory.path(), version)
    }

    fn verdict(&self, nodes: &Nodes) -> Result<Usable, Refusal> {
        let facts = discover(&self.files(), nodes, &LibraryPlaces::default());
        let admitted = verdict(&[], &Pinned::default(), &facts).admit(DriverPolicy::Locked);
        admitted.map(|it| it.usable)
    }
}

#[test]
fn net_real_drivers_are_found_and_judged() {
    for driver in &WHOLE_DRIVERS {
        let host = Host::with(driver);
        let version = &host.libraries;
        let usable = host.verdict(&host.module(version)).unwrap();
        assert_eq!(usable.driver.as_str(), version);
        let libcuda = format!("{DEBIAN}/libcuda.so.{version}");
        assert_eq!(usable.libcuda, Path::new(&libcuda));

        let edits = planned(&host.files(), &host.module(version), "0");
        let names = |it: &Path| it.file_name().unwrap().to_str().unwrap().to_owned();
        let files: Vec<String> = edits.files.iter().map(|it| names(&it.target)).collect();
        for name in ["libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler"] {
            assert!(files.contains(&format!("{name}.so.{version}")), "{files:?}");
            let link = edits
                .links
                .iter()
                .find(|it| it.path.ends_with(format!("{name}.so.1")));
            let target = PathBuf::from(format!("{name}.so.{version}"));
            assert_eq!(link.unwrap().content, target);
        }
        assert!(files.contains(&"nvidia-smi".to_owned()), "{files:?}");

        let refusal = host.verdict(&host.module(OTHER)).unwrap_err();
        let expected = format!(
            "the NVIDIA kernel module is {OTHER}, but the user libraries are {version}: CUDA \
             refuses to start"
        );
        assert_eq!(refusal.to_string(), expected);
    }
}

/// Packages of two drivers, as an upgrade that stopped leaves them: the libraries of the module
/// that is loaded are taken.
#[test]
fn net_of_two_real_drivers_that_of_the_module_is_taken() {
    let [old, new] = &WHOLE_DRIVERS;
    let host = Host::with(old);
    let versions = [host.libraries.clone(), new.unpack(host.directory.path())];
    for (module, other) in [(0, 1), (1, 0)].map(|(one, two)| (&versions[one], &versions[two])) {
        let usable = host.verdict(&host.module(module)).unwrap();
        assert_eq!(usable.driver.as_str(), module);
        let remarks: Vec<String> = usable.remarks.iter().map(ToString::to_string).collect();
        let told = format!("libraries of other drivers are installed as well: {other}");
        assert!(remarks.contains(&told), "{remarks:?}");
    }
}

/// The nodes of this machine that a library of NVIDIA's would make as root.
fn host_nodes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev").unwrap();
    let mut nodes: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    nodes.retain(|it| it.to_string_lossy().contains("nvidia"));
    nodes.sort();
    nodes
}

#[test]
fn net_real_libraries_tell_in_the_sandbox_what_is_wrong() {
    let before = host_nodes();
    for driver in &WHOLE_DRIVERS {
        let host = Host::with(driver);
        let version = &host.libraries;
        let edits = planned(&host.files(), &host.module(version), "0");
        let inside = Inside::new(edits);
        let cases = [
            (
                None,
                NOT_LOADED,
                "couldn't communicate with the NVIDIA driver",
            ),
            // The stand-in answers nothing but for its version.
            (Some(&**version), BLOCKED, "blocked by the operating system"),
            (Some(OTHER), MISMATCH, "Driver/library version mismatch"),
        ];
        for (module, nvml, told) in cases {
            let error = inside.probe(module).unwrap_err();
            assert!(
                matches!(
                    &error,
                    ProbeError::Failed { call, error: CudaError(100), nvml: Some(code) }
                        if call == "cuInit" && *code == nvml
                ),
                "{error}"
            );
            let (exit, output) = inside.run_smi(module);
            assert_eq!(exit, Exit::Code(nvml as u8), "{output}");
            assert!(output.contains(told), "{output}");
            if let Some(module) = module {
                let asked = format!("library {version}, module {module}\n");
                assert!(output.contains(&asked), "{output}");
            }
        }
        let told = |module| {
            let error = inside.probe(module).unwrap_err();
            format!("{error}\n{}", error.remedy().unwrap())
        };
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(None), @r"
            `cuInit` fails in the sandbox with 100 (CUDA_ERROR_NO_DEVICE); NVML fails with 9 (NVML_ERROR_DRIVER_NOT_LOADED)
            check that `nvidia-smi` lists the GPU on the host, and that `CUDA_VISIBLE_DEVICES` names it
            ");
            insta::assert_snapshot!(told(Some(OTHER)), @r"
            `cuInit` fails in the sandbox with 100 (CUDA_ERROR_NO_DEVICE); NVML says that kernel module and libraries are of different versions
            reboot, or load the kernel module of the version of the libraries; if the environment brings a `libcuda` of its own (`cuda-compat`), remove it
            ");
        }
    }
    assert_eq!(host_nodes(), before);
}

/// A sandbox with this host's libraries and a driver's.
struct Inside {
    rootfs: tempfile::TempDir,
    edits: Edits,
}

/// Where the stand-in for the module lies inside.
const MODULE: &str = "/run/module.so";

impl Inside {
    fn new(edits: Edits) -> Inside {
        let rootfs = tempfile::tempdir().unwrap();
        for name in ["dev", "etc", "home/envbox", "proc", "run", "sys", "tmp"] {
            fs::create_dir_all(rootfs.path().join(name)).unwrap();
        }
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]);
        compiler.arg(rootfs.path().join("etc/module.so"));
        compile(compiler, include_str!("module.c"));
        Inside { rootfs, edits }
    }

    fn policy(&self, module: Option<&str>) -> Policy {
        let bind = |source: &Path, target: &str| Bind {
            source: source.to_owned(),
            target: target.into(),
            writable: false,
        };
        let libraries = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].into_iter();
        let libraries = libraries.filter(|it| Path::new(it).is_dir());
        let mut policy = Policy {
            rootfs: self.rootfs.path().to_owned(),
            binds: libraries.map(|it| bind(Path::new(it), it)).collect(),
            ..Policy::default()
        };
        let stand_in = self.rootfs.path().join("etc/module.so");
        policy.binds.push(bind(&stand_in, MODULE));
        self.edits.apply(&mut policy);
        // Nothing makes nodes where there is no module.
        policy.devices.retain(|_| module.is_some());
        policy
    }

    fn environment(&self, module: Option<&str>) -> Vec<(OsString, OsString)> {
        let mut environment = vec![(
            "LD_LIBRARY_PATH".into(),
            self.edits.library_path_after(None),
        )];
        if let Some(module) = module {
            environment.push(("LD_PRELOAD".into(), MODULE.into()));
            environment.push(("MODULE".into(), module.into()));
        }
        environment
    }

    fn probe(&self, module: Option<&str>) -> Result<(), ProbeError> {
        let environment = self.environment(module);
        try_inside(&self.policy(module), &environment, &HostFacts::minimal()).map(|_| ())
    }

    /// Runs the driver's program, and returns how it ended and what it said.
    fn run_smi(&self, module: Option<&str>) -> (Exit, String) {
        let mut said = tempfile::tempfile().unwrap();
        let copy = |file: &File| file.try_clone().unwrap().into();
        let step = Step {
            argv: vec!["/run/envbox/gpu/bin/nvidia-smi".into()],
            env: self.environment(module),
            stdout: Some(copy(&said)),
            stderr: Some(copy(&said)),
            ..Step::default()
        };
        let sandbox = Sandbox::new(self.policy(module), &HostFacts::minimal()).unwrap();
        let outcome = sandbox.spawn(step).unwrap().wait().unwrap();
        let mut text = String::new();
        said.rewind().unwrap();
        said.read_to_string(&mut text).unwrap();
        (outcome.exit, text)
    }
}
