//! What is found, layout by layout.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Host, NULL};
use crate::gpu::{
    Card, DeviceNodes, Flavour, GpuFacts, HostFs, HostNodes, KernelSource, Library, LibraryPlaces,
    MigInstance, NodeState, Numbers, Reading, SearchedAs, Surroundings, discover,
};

const V: &str = "580.159.04";

/// Directories that hosts keep the libraries in, what leads there, and the directory that is told.
pub(super) const LAYOUTS: [(&str, &str, SearchedAs); 15] = [
    (
        "libs /usr/lib/x86_64-linux-gnu V",
        "/usr/lib/x86_64-linux-gnu",
        SearchedAs::Usual,
    ),
    (
        "libs /usr/lib/x86_64-linux-gnu/nvidia/current V",
        "/usr/lib/x86_64-linux-gnu/nvidia/current",
        SearchedAs::Usual,
    ),
    (
        "libs /usr/lib64 V\n link /lib64 usr/lib64",
        "/usr/lib64",
        SearchedAs::Usual,
    ),
    ("libs /usr/lib V", "/usr/lib", SearchedAs::Usual),
    (
        "libs /usr/local/nvidia/lib64 V",
        "/usr/local/nvidia/lib64",
        SearchedAs::Usual,
    ),
    (
        "libs /usr/local/nvidia/lib V",
        "/usr/local/nvidia/lib",
        SearchedAs::Usual,
    ),
    (
        "libs /run/nvidia/driver/usr/lib/x86_64-linux-gnu V",
        "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
        SearchedAs::Usual,
    ),
    (
        "libs /usr/local/glibc/usr/lib V",
        "/usr/local/glibc/usr/lib",
        SearchedAs::Usual,
    ),
    (
        "libs /var/lib/nvidia/lib64 V",
        "/var/lib/nvidia/lib64",
        SearchedAs::Usual,
    ),
    (
        "libs /home/kubernetes/bin/nvidia/lib64 V",
        "/home/kubernetes/bin/nvidia/lib64",
        SearchedAs::Usual,
    ),
    // Debian's alternatives.
    (
        "libs /usr/lib/x86_64-linux-gnu/nvidia/current V
         link /usr/lib/x86_64-linux-gnu/libcuda.so.1 /etc/alternatives/glx--libcuda.so.1
         link /etc/alternatives/glx--libcuda.so.1 /usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.1
         link /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 nvidia/current/libnvidia-ml.so.1",
        "/usr/lib/x86_64-linux-gnu",
        SearchedAs::Usual,
    ),
    // Absolute links stay below the root.
    (
        "libs /nix/store/x/lib V\n link /run/opengl-driver/lib /nix/store/x/lib",
        "/run/opengl-driver/lib",
        SearchedAs::Usual,
    ),
    (
        "libs /opt/odd V\n cache /opt/odd/libcuda.so.1",
        "/opt/odd",
        SearchedAs::LinkerCache,
    ),
    (
        "libs /.singularity.d/libs V\n library-path /.singularity.d/libs",
        "/.singularity.d/libs",
        SearchedAs::LibraryPath,
    ),
    (
        "libs /opt/mine V\n libs /usr/lib64 V\n given /opt/mine",
        "/opt/mine",
        SearchedAs::Given,
    ),
];

fn with_driver(description: &str) -> GpuFacts {
    let description =
        format!("driver V\n gpu 0000:04:00.0 0\n {description}").replace(" V", " 580.159.04");
    Host::new(&description).discover()
}

/// The candidates, as users are told of them.
fn fates(facts: &GpuFacts) -> Vec<String> {
    let candidates = facts.nvidia.libraries.candidates.iter();
    let cuda = candidates.filter(|it| it.library == Library::Cuda);
    cuda.map(|it| it.to_string()).collect()
}

#[test]
fn libraries_are_found_in_every_layout() {
    for (layout, directory, searched_as) in LAYOUTS {
        let found = with_driver(layout).nvidia.libraries;
        for library in [Library::Cuda, Library::Ml] {
            let taken = found.taken(library).expect(layout);
            assert_eq!(taken.directory, Path::new(directory), "{layout}");
            assert_eq!(taken.version.as_ref().unwrap().as_str(), V);
        }
        let mut searched = found.searched.iter();
        let place = searched.find(|it| it.directory == Path::new(directory));
        assert_eq!(place.unwrap().searched_as, searched_as, "{layout}");
        assert_eq!(found.files.len(), 4, "{layout}");
    }
}

#[test]
fn every_candidate_says_why_it_is_not_taken() {
    let facts = with_driver(
        "libs /usr/lib64 V
         libs /usr/lib64 550.163.01
         libs /usr/local/nvidia/lib64 V
         elf32 /usr/lib/libcuda.so.580.159.04
         elf /usr/lib/wsl/lib/libcuda.so.1.1
         empty /var/lib/nvidia/lib64/libcuda.so.580.159.04
         text /home/kubernetes/bin/nvidia/lib64/libcuda.so.580.159.04 INPUT(-lcuda)
         link /run/opengl-driver/lib/libcuda.so.1 /nix/store/gone
         library-path /usr/local/cuda-13.0/compat
         libs /usr/local/cuda-13.0/compat 590.48.01",
    );
    insta::assert_snapshot!(fates(&facts).join("\n"), @r"
    `/usr/local/cuda-13.0/compat/libcuda.so.590.48.01` is not taken: it is of a `cuda-compat` package, for another driver
    `/usr/lib64/libcuda.so.580.159.04` is taken
    `/usr/lib64/libcuda.so.550.163.01` is not taken: the kernel module is of another version
    `/usr/lib/libcuda.so.580.159.04` is not taken: it is for another kind of processor
    `/usr/local/nvidia/lib64/libcuda.so.580.159.04` is not taken: `/usr/lib64/libcuda.so.580.159.04` is of the same version and before it
    `/run/opengl-driver/lib/libcuda.so.1` is not taken: it is a link that leads nowhere
    `/var/lib/nvidia/lib64/libcuda.so.580.159.04` is not taken: it is empty
    `/home/kubernetes/bin/nvidia/lib64/libcuda.so.580.159.04` is not taken: it is no library
    `/usr/lib/wsl/lib/libcuda.so.1.1` is not taken: its name has no driver's version
    ");
}

#[test]
fn a_directory_by_two_names_is_searched_once() {
    let facts = with_driver("libs /usr/lib64 V\n link /lib64 usr/lib64");
    assert_eq!(fates(&facts).len(), 1);
    let mut searched = facts.nvidia.libraries.searched.iter();
    let second = searched.find(|it| it.directory == Path::new("/lib64"));
    let state = serde_json::to_value(&second.unwrap().state).unwrap();
    assert_eq!(state["other"], "/usr/lib64");
}

#[test]
fn the_management_library_comes_from_beside_cuda() {
    let facts = with_driver(
        "elf /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.159.04
         libs /usr/local/nvidia/lib64 V",
    );
    let taken = facts.nvidia.libraries.taken(Library::Ml).unwrap();
    assert_eq!(taken.directory, Path::new("/usr/local/nvidia/lib64"));
}

#[test]
fn the_version_is_asked_of_three_places() {
    let facts = with_driver("");
    let module = &facts.nvidia.module;
    let sources: Vec<KernelSource> = module.readings.iter().map(|it| it.source).collect();
    assert_eq!(
        sources,
        [KernelSource::Ioctl, KernelSource::Sys, KernelSource::Proc]
    );
    for source in sources {
        assert!(
            matches!(module.reading(source), Reading::Version { version } if version.as_str() == V)
        );
    }
    assert_eq!(module.flavour, Some(Flavour::Open));
    assert_eq!(module.uvm_registered, Some(true));
}

/// To open such a node would have the kernel load a module, if there is one for its number.
#[test]
fn a_node_is_not_opened_where_no_driver_is_registered() {
    for (host, asked) in [
        ("node /dev/nvidiactl 195:255\n text /proc/devices 1 mem", 0),
        ("node /dev/nvidiactl 1:3\n text /proc/devices 1 mem", 0),
        (
            "node /dev/nvidiactl 195:255\n text /proc/devices 195 nvidia-frontend",
            1,
        ),
    ] {
        let host = Host::new(host);
        host.discover();
        assert_eq!(host.asked.borrow().len(), asked);
    }
}

#[test]
fn a_card_is_described_by_its_driver_and_the_bus() {
    let facts = with_driver("pci 0000:05:00.0 10de 0300 nouveau");
    let [first, second] = &facts.nvidia.cards[..] else {
        panic!("{:?}", facts.nvidia.cards);
    };
    assert_eq!(first.address, "0000:04:00.0");
    assert_eq!(first.model.as_deref(), Some("NVIDIA H100 80GB HBM3"));
    assert_eq!(first.uuid.as_deref(), Some("GPU-0"));
    assert_eq!(first.video_bios.as_deref(), Some("96.00.99.00.01"));
    assert_eq!(first.firmware.as_deref(), Some(V));
    assert_eq!(first.bound_to.as_deref(), Some("nvidia"));
    let node = first.node.as_ref().unwrap();
    assert!(node.is_present() && node.path == Path::new("/dev/nvidia0"));
    let expected = Card {
        address: "0000:05:00.0".into(),
        bound_to: Some("nouveau".into()),
        ..Card::default()
    };
    assert_eq!(*second, expected);
    assert!(facts.nvidia.unclaimed.is_empty());
}

#[test]
fn instances_have_the_nodes_that_grant_access() {
    let host = "driver 580.159.04
        gpu 0000:04:00.0 1
        text /proc/driver/nvidia/capabilities/gpu1/mig/gi2/access 156
        text /proc/driver/nvidia/capabilities/gpu1/mig/gi2/ci0/access 157
        text /proc/driver/nvidia/capabilities/gpu1/mig/gi10/access 228
        node /dev/nvidia-caps/nvidia-cap156 237:156
        node /dev/nvidia-caps/nvidia-cap157 236:157";
    let host = Host::new(host);
    let minors = b"config 1\nmonitor 2\ngpu1/gi2/access 156\ngpu1/gi2/ci0/access 157\n";
    host.write("/proc/driver/nvidia-caps/mig-minors", minors);
    let card = &host.discover().nvidia.cards[0];
    let mig = card.mig.as_ref().unwrap();
    let numbers: Vec<_> = mig
        .iter()
        .map(|it| (it.gpu_instance, it.compute_instance))
        .collect();
    assert_eq!(numbers, [(2, None), (2, Some(0)), (10, None)]);
    let state = |it: &MigInstance| it.node.as_ref().map(|node| node.state);
    assert!(matches!(state(&mig[0]), Some(NodeState::Present { .. })));
    let found = Numbers {
        major: 236,
        minor: 157,
    };
    assert_eq!(state(&mig[1]), Some(NodeState::OtherNumbers { found }));
    assert_eq!(state(&mig[2]), None);
}

#[test]
fn the_gpus_of_other_vendors_are_found() {
    let host = "pci 0000:03:00.0 1002 1200 amdgpu
        text /sys/bus/pci/devices/0000:03:00.0/drm/card0/dev 226:0
        text /sys/bus/pci/devices/0000:03:00.0/drm/renderD128/dev 226:128
        text /sys/module/amdgpu/version 6.12.12
        text /proc/devices 235 kfd
        node /dev/kfd 235:0
        node /dev/dri/card0 226:0
        node /dev/dri/renderD128 226:129
        pci 0000:00:02.0 8086 0300 i915
        pci 0000:00:0b.0 8086 1200 intel_vpu
        text /sys/bus/pci/devices/0000:00:0b.0/accel/accel0/dev 261:0
        node /dev/accel/accel0 261:0
        pci 0000:00:0c.0 8086 1200 -
        pci 0000:19:00.0 1da3 1200 habanalabs
        text /sys/bus/pci/devices/0000:19:00.0/accel/accel1/dev 261:2
        text /sys/bus/pci/devices/0000:19:00.0/accel/accel_controlD1/dev 261:3
        text /sys/module/habanalabs/version 1.18.0
        pci 0000:00:03.0 1af4 0300 virtio-pci";
    let facts = Host::new(host).discover();
    let amd = facts.amd.unwrap();
    assert_eq!(
        amd.driver_versions,
        BTreeMap::from([("amdgpu".into(), "6.12.12".into())])
    );
    assert!(amd.shared.unwrap().is_present());
    let present: Vec<bool> = amd.gpus[0]
        .nodes
        .iter()
        .map(|node| node.is_present())
        .collect();
    assert_eq!(present, [true, false]);
    let intel = facts.intel.unwrap();
    let addresses: Vec<_> = intel.gpus.iter().map(|gpu| gpu.address.as_str()).collect();
    // Not the one that no driver of accelerators has.
    assert_eq!(addresses, ["0000:00:02.0", "0000:00:0b.0", "0000:19:00.0"]);
    let gaudi = intel.gpus[2].nodes.iter().map(ToString::to_string);
    assert_eq!(
        gaudi.collect::<Vec<_>>(),
        [
            "`/dev/accel/accel1` does not exist",
            "`/dev/accel/accel_controlD1` does not exist"
        ]
    );
    assert!(intel.gpus[1].nodes[0].is_present());
    let versions = BTreeMap::from([("habanalabs".into(), "1.18.0".into())]);
    assert_eq!(intel.driver_versions, versions);
}

#[test]
fn surroundings_are_recognised() {
    for (host, expected) in [
        ("", Surroundings::Linux),
        (
            "text /proc/sys/kernel/osrelease 6.8.0-1020-azure",
            Surroundings::Linux,
        ),
        (
            "text /proc/sys/kernel/osrelease 4.4.0-19041-Microsoft",
            Surroundings::Wsl,
        ),
        ("text /sys/devices/soc0/family Tegra", Surroundings::Tegra),
        (
            "text /proc/version Linux version 4.19.0-gvisor #1",
            Surroundings::Gvisor,
        ),
    ] {
        assert_eq!(Host::new(host).discover().surroundings, expected, "{host}");
    }
}

#[test]
fn the_real_nodes_of_this_host_are_read() {
    let files = HostFs::host();
    let nodes = HostNodes(&files);
    assert_eq!(
        nodes.status(Path::new("/dev/null")).unwrap().numbers,
        Some(NULL)
    );
    let error = nodes.ask_version(Path::new("/dev/null")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    assert_eq!(nodes.status(Path::new("/etc")).unwrap().numbers, None);
}

/// As root NVIDIA's own libraries make nodes when they are asked.
#[test]
fn discovery_changes_nothing() {
    let host = Host::new("driver 580.159.04\n gpu 0000:04:00.0 0\n libs /usr/lib64 580.159.04");
    let before = tree(host.directory.path());
    host.discover();
    assert_eq!(tree(host.directory.path()), before);
    let nodes = || {
        let names = HostFs::host().list("/dev").unwrap().into_iter();
        names
            .filter(|name| name.starts_with("nvidia"))
            .collect::<Vec<_>>()
    };
    let before = nodes();
    let files = HostFs::host();
    discover(&files, &HostNodes(&files), &LibraryPlaces::default());
    assert_eq!(nodes(), before);
}

/// Every path with its size, mode and times.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        if status.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let times = (status.mtime(), status.mtime_nsec());
        found.insert(path, (status.size(), status.mode(), times.0, times.1));
    }
    found
}

/// A link of a fixture, or of a driver container's root, must not lead to this host's files.
#[test]
fn links_stay_below_the_root() {
    let host = Host::new(
        "link /absolute /proc/version
         link /upwards ../../../../../../../../proc/version
         text /proc/version inside
         link /etc/away /etc/passwd",
    );
    for path in ["/absolute", "/upwards"] {
        assert_eq!(
            host.files().text(path).as_deref(),
            Some("inside\n"),
            "{path}"
        );
        let led = host.files().resolve(Path::new(path)).unwrap();
        assert_eq!(led, Path::new("/proc/version"));
    }
    assert_eq!(host.files().text("/etc/away"), None);
}

#[test]
fn a_root_is_a_directory() {
    let host = Host::new("empty /file");
    assert!(HostFs::below(host.path("/file")).is_err());
    assert!(HostFs::below(host.path("/nothing")).is_err());
}

/// A plain open of a FIFO waits until somebody writes.
#[test]
fn only_regular_files_are_read() {
    let host = Host::new("text /proc/devices 195 nvidia");
    let fifo = host.path("/proc/version");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, 0o600.into(), 0).unwrap();
    assert_eq!(host.files().text("/proc/version"), None);
    assert_eq!(host.files().text("/proc"), None);
    assert_eq!(host.discover().surroundings, Surroundings::Linux);
}

#[test]
fn the_facts_are_a_document() {
    let facts = with_driver("libs /usr/lib64 V\n pci 0000:03:00.0 1002 0300 amdgpu");
    let document = serde_json::to_value(&facts).unwrap();
    assert_eq!(document["nvidia"]["module"]["readings"][0]["version"], V);
    assert_eq!(document["nvidia"]["cards"][0]["node"]["state"], "present");
    let candidate = &document["nvidia"]["libraries"]["candidates"][0];
    assert_eq!(candidate["fate"], "taken");
    assert_eq!(document["amd"]["gpus"][0]["driver"], "amdgpu");
}
