//! A host with NVIDIA's driver, made in a directory: what the kernel tells of two GPUs, and
//! libraries that a C compiler makes of `fake_driver.c`. What stands for its nodes is a device that
//! every host has, for nobody can make nodes of a driver that is not there.
//!
//! Tests of other crates use this file by its path.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use envbox_sandbox::gpu::{
    Answer, Caller, CdiPolicy, DeviceNodes, DriverPolicy, Edits, HostFs, LibraryPlaces, Numbers,
    Pinned, PlanFrom, Status, discover, plan, verdict,
};

/// The version of the driver that `fake_driver.c` says it is.
pub const DRIVER: &str = "580.159.04";

/// Where the GPUs are on the bus.
pub const ADDRESSES: [&str; 2] = ["0000:04:00.0", "0000:05:00.0"];

/// What a node leads to: whoever reads it gets something, and whoever writes to it an error.
const STAND_IN: &str = "/dev/full";

/// What the kernel would say of the nodes of a driver.
pub struct Nodes {
    module: String,
    numbers: BTreeMap<PathBuf, Numbers>,
}

impl DeviceNodes for Nodes {
    fn status(&self, path: &Path) -> io::Result<Status> {
        let numbers = self.numbers.get(path);
        let numbers = numbers.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Status {
            numbers: Some(*numbers),
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
    }

    fn ask_version(&self, _: &Path) -> io::Result<Answer> {
        Ok(Answer::Version(self.module.clone().into()))
    }
}

/// Makes what the kernel module of a version shows of itself below `root`, with two GPUs.
pub fn add_module(root: &Path, version: &str) -> Nodes {
    let nvrm = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64";
    for (path, text) in [
        (
            "proc/devices",
            "Character devices:\n195 nvidia\n238 nvidia-uvm\n\nBlock devices:\n",
        ),
        (
            "proc/driver/nvidia/version",
            &format!("{nvrm}  {version}  Release Build  (me@here)\n"),
        ),
        ("proc/driver/nvidia/params", "ModifyDeviceFiles: 1\n"),
        ("sys/module/nvidia/version", &format!("{version}\n")),
    ] {
        write(&root.join(path), text);
    }
    let mut numbers = BTreeMap::from([
        (PathBuf::from("/dev/nvidiactl"), device(195, 255)),
        (PathBuf::from("/dev/nvidia-uvm"), device(238, 0)),
    ]);
    for (minor, address) in (0..).zip(ADDRESSES) {
        add_card(root, minor, address);
        numbers.insert(format!("/dev/nvidia{minor}").into(), device(195, minor));
    }
    fs::create_dir_all(root.join("dev")).unwrap();
    for path in numbers.keys() {
        symlink(STAND_IN, below(root, path)).unwrap();
    }
    Nodes {
        module: version.to_owned(),
        numbers,
    }
}

fn add_card(root: &Path, minor: u32, address: &str) {
    let information = format!(
        "Model: \t NVIDIA H100 80GB HBM3\nGPU UUID: \t GPU-{minor}\nVideo BIOS: \t 96.00\n\
         Device Minor: \t {minor}\nGPU Excluded:\t No\n"
    );
    let directory = root.join("proc/driver/nvidia/gpus").join(address);
    write(&directory.join("information"), &information);
    let device = format!("devices/pci0000:00/{address}");
    write(&root.join("sys").join(&device).join("numa_node"), "0\n");
    let bus = root.join("sys/bus/pci/devices");
    fs::create_dir_all(&bus).unwrap();
    symlink(format!("../../../{device}"), bus.join(address)).unwrap();
}

/// Divides a GPU into one instance, and returns its name: GPU and instance.
pub fn divide(root: &Path, nodes: &mut Nodes, card: u32) -> String {
    let driver = root.join("proc/driver");
    let [gpu, compute] = [3 + card * 135 + 9, 3 + card * 135 + 10];
    let minors = format!("gpu{card}/gi1/access {gpu}\ngpu{card}/gi1/ci0/access {compute}\n");
    write(&driver.join("nvidia-caps/mig-minors"), &minors);
    let instance = format!("nvidia/capabilities/gpu{card}/mig/gi1");
    for name in ["access", "ci0/access"] {
        write(&driver.join(&instance).join(name), "");
    }
    fs::create_dir_all(root.join("dev/nvidia-caps")).unwrap();
    for minor in [gpu, compute] {
        let path = PathBuf::from(format!("/dev/nvidia-caps/nvidia-cap{minor}"));
        symlink(STAND_IN, below(root, &path)).unwrap();
        nodes.numbers.insert(path, device(237, minor));
    }
    format!("{card}:0")
}

fn device(major: u32, minor: u32) -> Numbers {
    Numbers { major, minor }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Returns where a path of the made host is on the real one.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap())
}

/// Compiles libraries of [`DRIVER`] that tell what the variables `FAKE_*` say.
pub fn add_libraries(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for name in ["libcuda", "libnvidia-ml"] {
        let mut compiler = Command::new("cc");
        compiler.args(["-w", "-shared", "-fPIC", "-o"]);
        compiler.arg(directory.join(format!("{name}.so.{DRIVER}")));
        compiler.arg(format!("-Wl,-soname,{name}.so.1"));
        compile(compiler, include_str!("fake_driver.c"));
    }
}

/// Compiles a text of C.
pub fn compile(mut compiler: Command, source: &str) {
    let compiler = compiler.args(["-x", "c", "-"]).stdin(Stdio::piped());
    let mut running = compiler.spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    assert!(running.wait().unwrap().success());
}

/// Makes a host with [`DRIVER`] below `root`.
pub fn add_driver(root: &Path) -> Nodes {
    let nodes = add_module(root, DRIVER);
    add_libraries(&root.join("usr/lib64"));
    nodes
}

/// Returns what a step gets of a selection of the host's GPUs.
pub fn planned(files: &HostFs, nodes: &Nodes, selection: &str) -> Edits {
    let facts = discover(files, nodes, &LibraryPlaces::default());
    let admitted = verdict(&[], &Pinned::default(), &facts).admit(DriverPolicy::Locked);
    let from = PlanFrom {
        files,
        nodes,
        caller: &Caller::new(54321, 54321, []),
        facts: &facts,
    };
    let selection = selection.parse().unwrap();
    plan(from, &admitted.unwrap().usable, &selection, CdiPolicy::Auto).unwrap()
}

/// Puts this host's glibc into a rootfs, for which drivers are made.
pub fn add_glibc(rootfs: &Path) {
    for (directory, name) in [
        ("lib64", "ld-linux-x86-64.so.2"),
        ("lib", "libc.so.6"),
        ("lib", "libdl.so.2"),
    ] {
        let directory = rootfs.join(directory);
        fs::create_dir_all(&directory).unwrap();
        let mut compiler = Command::new("cc");
        let found = compiler.arg(format!("-print-file-name={name}")).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        fs::copy(found.trim(), directory.join(name)).unwrap();
    }
}
