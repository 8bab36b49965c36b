//! What envbox writes of GPUs for container engines, taken by these, on a host that is made in a
//! directory: the step in the container has the driver's files, its nodes and its variables.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use envbox::base::Context;
use envbox::manifest::GpuVendor;
use envbox::ops::run::{GpuHost, GpuOptions, Locking};
use envbox::ops::{Project, export, gpu};
use envbox_sandbox::gpu::{HostFs, LibraryPlaces};
use serde_json::{Value, json};

use crate::downloads;
use crate::foreign::{succeeded, tool};
use crate::gpu_host::{DRIVER, add_libraries, add_module, below};
use crate::podman_place::podman_options;
use crate::support::{User, World};

const MANIFEST: &str = "[environment]\nname = \"gpu\"\npython = \"3.11\"\n\
                        [debian]\nsecurity = false\n[gpu]\n";

/// Starts the driver, and says which file it is of and which nodes there are.
const PROGRAM: &str = "\
import ctypes, os
cuda, nvml = ctypes.CDLL('libcuda.so.1'), ctypes.CDLL('libnvidia-ml.so.1')
text, number = ctypes.create_string_buffer(80), ctypes.c_int()
print('cuInit', cuda.cuInit(0), cuda.cuDriverGetVersion(ctypes.byref(number)), number.value)
print('nvml', nvml.nvmlSystemGetDriverVersion(text, 80), text.value.decode())
print('nodes', *sorted(name for name in os.listdir('/dev') if 'nvidia' in name))
os.open('/dev/nvidia1', os.O_RDWR)
libraries = {line.split()[-1] for line in open('/proc/self/maps') if 'libcuda' in line}
print('mapped', *libraries)
";

/// A project with its environment, and a host with a driver.
struct Fixture {
    world: World,
    host: GpuHost,
    /// The driver's libraries, which the made host and this one have in the same place.
    libraries: PathBuf,
}

impl Fixture {
    fn new() -> Fixture {
        let world = World::new(User::Current);
        world.write("envbox.toml", MANIFEST);
        downloads::share(&world);
        let run = world.run(&["build", "--output", "oci:layout:gpu"]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
        downloads::keep(&world);
        let root = world.path().join("host");
        let libraries = world.path().join("driver");
        let nodes = add_module(&root, DRIVER);
        add_libraries(&below(&root, &libraries));
        symlink(below(&root, &libraries), &libraries).unwrap();
        let host = GpuHost {
            files: Arc::new(HostFs::below(&root).unwrap()),
            nodes: Some(Arc::new(nodes)),
            places: LibraryPlaces {
                given: vec![libraries.clone()],
                ..LibraryPlaces::default()
            },
        };
        Fixture {
            world,
            host,
            libraries,
        }
    }

    fn cdi(&self) -> String {
        gpu::cdi(&self.host, GpuVendor::Nvidia).unwrap()
    }

    /// Runs podman where the nodes of the made host are in `/dev` and a specification is in
    /// `/run/cdi`. Both are mounts that nobody else sees.
    fn podman(&self, specification: &str, words: &[&str]) -> std::process::Output {
        let file = self.world.path().join("nvidia.json");
        fs::write(&file, specification).unwrap();
        let dev = self.world.path().join("dev");
        let _ = fs::create_dir(&dev);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.args(["sh", "-euc", WITH_DRIVER, "sh"]);
        command.arg(&dev).arg(&file);
        command.args(podman_options(&self.world.project().join("podman")));
        command.current_dir(self.world.project()).args(words);
        command.output().unwrap()
    }
}

/// What stands for the nodes of a driver is a device that every host has.
const WITH_DRIVER: &str = r#"
dev=$1 specification=$2; shift 2
mount -t tmpfs none "$dev"
for name in full fuse null random tty urandom zero; do
    [ ! -e /dev/$name ] || { touch "$dev/$name"; mount --bind /dev/$name "$dev/$name"; }
done
for name in mqueue pts shm; do
    [ ! -d /dev/$name ] || { mkdir "$dev/$name"; mount --rbind /dev/$name "$dev/$name"; }
done
ln -s /proc/self/fd "$dev/fd"
ln -s pts/ptmx "$dev/ptmx"
for name in nvidiactl nvidia-uvm nvidia0 nvidia1; do
    touch "$dev/$name"; mount --bind /dev/full "$dev/$name"
done
mount --rbind "$dev" /dev
mount -t tmpfs none /run
mkdir /run/cdi
cp "$specification" /run/cdi/nvidia.json
exec podman "$@"
"#;

/// The nodes that are really there.
fn nodes() -> Vec<OsString> {
    let entries = fs::read_dir("/dev").unwrap();
    let mut names: Vec<OsString> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn images_podman_takes_the_cdi_specification_of_a_gpu() {
    let before = nodes();
    let fixture = Fixture::new();
    let specification = fixture.cdi();
    let pulled = fixture.podman(&specification, &["pull", "--quiet", "oci:layout:gpu"]);
    let id = succeeded("podman pull", pulled);
    let run = |device: &str, program: &str| {
        let options = "run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
        let options: Vec<&str> = options.split(' ').collect();
        let step = ["--device", device, id.trim(), "python", "-c", program];
        fixture.podman(&specification, &[&options[..], &step].concat())
    };
    let program = format!("{PROGRAM}print(os.environ['NVIDIA_VISIBLE_DEVICES'])");
    let told = succeeded("podman", run("nvidia.com/gpu=1", &program));
    let mapped = "/usr/lib/x86_64-linux-gnu/libcuda.so.1";
    let expected = format!(
        "cuInit 0 0 13000\nnvml 0 {DRIVER}\nnodes nvidia-uvm nvidia1 nvidiactl\nmapped {mapped}\n\
         void\n"
    );
    assert_eq!(lines(&told), expected);
    // Where the host has them, too: programs that were told of that place find them.
    let place = fixture.libraries.display().to_string();
    let list = format!("import os; print(*sorted(os.listdir('{place}')))");
    let told = succeeded("podman", run("nvidia.com/gpu=all", &list));
    let libraries = format!(
        "libcuda.so libcuda.so.1 libcuda.so.{DRIVER} libnvidia-ml.so.1 libnvidia-ml.so.{DRIVER}\n"
    );
    assert_eq!(told, libraries);
    // A GPU that is not there is podman's error.
    let missing = run("nvidia.com/gpu=7", "");
    assert!(!missing.status.success());
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(told.contains("nvidia.com/gpu=7"), "{told}");
    assert_eq!(nodes(), before);
}

/// What the program says, without what a library says.
fn lines(told: &str) -> String {
    let own = told.lines().filter(|line| !line.contains("library's own"));
    own.map(|line| format!("{line}\n")).collect()
}

#[test]
fn images_a_bundle_with_a_gpu_runs_as_it_is() {
    let before = nodes();
    let fixture = Fixture::new();
    let (world, bundle) = (&fixture.world, fixture.world.path().join("bundle"));
    let context = Context::new(
        world.path().join("home/.cache/envbox"),
        jiff::Timestamp::now(),
    );
    let project = Project::open(&world.project()).unwrap();
    let options = GpuOptions {
        selection: "1".parse().unwrap(),
        host: fixture.host.clone(),
        ..GpuOptions::default()
    };
    let program = format!(
        "{PROGRAM}print(*(os.environ[name] for name in ('CUDA_DEVICE_ORDER', 'ENVBOX_GPU')))"
    );
    let command = ["python", "-c", &program].map(OsString::from);
    let gpu = Some(&options);
    export::bundle(&context, &project, Locking::Frozen, &bundle, &command, gpu).unwrap();
    let config = fs::read(bundle.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    let annotations = &config["annotations"]["cdi.k8s.io/envbox"];
    assert_eq!(annotations, "nvidia.com/gpu=1");
    config["process"]["terminal"] = json!(false);
    fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    let told = run(world, &bundle);
    let mapped = "/run/envbox/gpu/lib/libcuda.so.1";
    let expected = format!(
        "cuInit 0 0 13000\nnvml 0 {DRIVER}\nnodes nvidia-uvm nvidia1 nvidiactl\nmapped {mapped}\n\
         PCI_BUS_ID nvidia\n"
    );
    assert_eq!(lines(&told), expected);
    assert_eq!(nodes(), before);
}

fn run(world: &World, bundle: &Path) -> String {
    let name = format!("envbox-gpu-{}", std::process::id());
    let state = world.path().join("state").display().to_string();
    let bundle = bundle.display().to_string();
    let words = ["--root", &state, "run", "--bundle", &bundle, &name];
    tool(world, "runc", &words)
}
