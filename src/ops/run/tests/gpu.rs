//! Steps with a GPU, on a host that is made in a directory.

#[path = "../../../../sandbox/tests/it/gpu_host.rs"]
#[expect(dead_code, reason = "each crate uses a part")]
mod gpu_host;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use envbox_sandbox::gpu::{DriverPolicy, HostFs, LibraryPlaces, Match, Pin, Pinned, Required};

use envbox_lockfiles::base::Explain as _;
use envbox_lockfiles::manifest::GpuVendor;

use self::gpu_host::{ADDRESSES, DRIVER, add_glibc};
use super::{World, manifest};
use crate::ops::gpu::cdi;
use crate::ops::run::gpu::RequiredDevice;
use crate::ops::run::{GpuError, GpuHost, GpuNeeds, GpuOptions, Recording, RunError};
use crate::record::{Firmness, Journal};

/// Makes a host with a driver and two GPUs below `root`.
pub(in crate::ops) fn host(root: &Path) -> GpuHost {
    let nodes = gpu_host::add_driver(root);
    GpuHost {
        files: Arc::new(HostFs::below(root).unwrap()),
        nodes: Some(Arc::new(nodes)),
        places: LibraryPlaces::default(),
    }
}

/// A world on such a host, and the options of a step that asks for `selection`.
fn world(selection: &str) -> (World, GpuOptions) {
    let world = World::new();
    add_glibc(&world.path("rootfs"));
    let options = GpuOptions {
        selection: selection.parse().unwrap(),
        host: host(&world.path("host")),
        ..GpuOptions::default()
    };
    (world, options)
}

fn pinned(driver: &str) -> GpuNeeds {
    GpuNeeds {
        pinned: Pinned {
            driver: Some(Pin {
                driver: driver.parse().unwrap(),
                precision: Match::Exact,
            }),
            device: None,
        },
        ..GpuNeeds::default()
    }
}

/// Runs the guest with a GPU and returns what it printed and what is on record of the machine.
fn run(world: &World, gpu: &GpuOptions, words: &str) -> (String, serde_json::Value) {
    use std::io::{Read as _, Seek as _};
    let (mut options, mut output) = world.options(words);
    options.gpu = Some(gpu.clone());
    let journal = world.path("runs");
    options.record = Recording {
        journal: Some(journal.clone()),
        ..Recording::default()
    };
    let report = world.execute(&options).unwrap();
    assert_eq!(report.exit, envbox_sandbox::Exit::Code(0));
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    let record = fs::read_to_string(Journal::at(&journal).file(report.run)).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    (text, record["tower"]["compute"].clone())
}

#[test]
fn a_step_gets_the_gpu_that_it_asks_for() {
    let (mut world, gpu) = world("1");
    world.gpu = pinned(DRIVER);
    let (text, record) = run(
        &world,
        &gpu,
        "list /run/envbox/gpu/lib list /dev environment exit 0",
    );
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "libcuda.so libcuda.so.1 libcuda.so.580.159.04 libnvidia-ml.so.1 \
         libnvidia-ml.so.580.159.04"
    );
    let devices: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let ours: Vec<_> = devices
        .iter()
        .filter(|name| name.starts_with("nvidia"))
        .collect();
    assert_eq!(ours, [&"nvidia-uvm", &"nvidia1", &"nvidiactl"]);
    for set in [
        "(\"CUDA_DEVICE_ORDER\", \"PCI_BUS_ID\")",
        "(\"LD_LIBRARY_PATH\", \"/run/envbox/gpu/lib\")",
        "(\"NCCL_ALGO\", \"Ring\")",
        "(\"XLA_FLAGS\", \"--xla_gpu_deterministic_ops=true\")",
    ] {
        assert!(text.contains(set), "{set}: {text}");
    }
    let names: Vec<&str> = text.lines().skip(2).collect();
    assert!(names.is_sorted(), "{text}");
    let gpu = &record["seen"]["gpu"];
    assert_eq!(gpu["driver"], DRIVER);
    let card = serde_json::json!({
        "name": "Fake ?? GPU",
        "compute_capability": "9.0",
        "multiprocessors": 132,
        "memory": 85_520_809_984_u64,
        "mig": false,
    });
    assert_eq!(gpu["cards"], serde_json::json!([card]));
    let noted = &record["noted"]["gpu"];
    assert_eq!(noted["told"]["1 uuid"], "GPU-1");
    assert_eq!(noted["told"]["cuda"], "13.0");
    assert_eq!(noted["told"]["cuda:0 power-limit"], "700 W");
    assert_eq!(noted["files"].as_object().unwrap().len(), 2);
}

/// Indices do not count a card that the driver leaves alone, and neither does the record.
#[test]
fn the_record_is_of_the_card_that_was_chosen() {
    let (world, gpu) = world("0");
    let directory = world.path("host/proc/driver/nvidia/gpus");
    let file = directory.join(ADDRESSES[0]).join("information");
    let text = fs::read_to_string(&file).unwrap();
    let excluded = text.replace("Excluded:\t No", "Excluded:\t Yes");
    assert_ne!(excluded, text);
    fs::write(&file, excluded).unwrap();
    let (text, record) = run(&world, &gpu, "list /dev exit 0");
    assert!(
        text.contains("nvidia1") && !text.contains("nvidia0"),
        "{text}"
    );
    assert_eq!(record["noted"]["gpu"]["told"]["0 uuid"], "GPU-1");
}

#[test]
fn without_being_asked_a_step_gets_none() {
    let world = World::new();
    let (_, text) = world.run("list /dev list /run environment exit 0");
    assert!(
        !text.contains("nvidia") && !text.contains("CUDA_DEVICE_ORDER"),
        "{text}"
    );
}

#[test]
fn what_the_manifest_sets_stays() {
    let (mut world, gpu) = world("0");
    world.manifest = manifest(
        "[sandbox]\nenv = { LD_LIBRARY_PATH = \"/opt/lib\", XLA_FLAGS = \"--mine\", NCCL_ALGO = \"Tree\" }",
    );
    let (text, _) = run(&world, &gpu, "environment exit 0");
    for set in [
        "(\"LD_LIBRARY_PATH\", \"/opt/lib:/run/envbox/gpu/lib\")",
        "(\"XLA_FLAGS\", \"--mine --xla_gpu_deterministic_ops=true\")",
        "(\"NCCL_ALGO\", \"Tree\")",
    ] {
        assert!(text.contains(set), "{set}: {text}");
    }
}

#[test]
fn a_driver_that_is_not_the_pinned_one() {
    let (mut world, mut gpu) = world("0");
    world.gpu = pinned("580.126.09");
    let error = world.refused(|options| options.gpu = Some(gpu.clone()));
    assert!(
        matches!(&error, RunError::Gpu(GpuError::Refused(_))),
        "{error}"
    );
    assert_eq!(error.exit_status(), 125);
    insta::assert_snapshot!(error, @"the lockfile is held to the NVIDIA driver 580.126.09, but this host has 580.159.04");

    gpu.driver = DriverPolicy::Compatible;
    let (_, record) = run(&world, &gpu, "exit 0");
    assert_eq!(record["state"], "not-held");
    let because = record["because"].as_array().unwrap();
    let told = "the lockfile is held to the NVIDIA driver 580.126.09, but this host has 580.159.04";
    assert!(because.iter().any(|why| why == told), "{because:?}");
}

#[test]
fn a_driver_that_nothing_pins_is_recorded() {
    let (world, gpu) = world("0");
    let (_, record) = run(&world, &gpu, "exit 0");
    assert_eq!(
        record["state"],
        serde_json::to_value(Firmness::Recorded).unwrap()
    );
    let because = record["because"].as_array().unwrap();
    assert!(
        because
            .iter()
            .any(|why| why == "the lock pins no GPU driver"),
        "{because:?}"
    );
}

#[test]
fn a_driver_that_does_not_start_runs_no_step() {
    let (mut world, gpu) = world("0");
    let mut fails = |variable: &str, expected: &str| {
        world.manifest = manifest(&format!("[sandbox]\nenv = {{ {variable} }}"));
        let error = world.refused(|options| options.gpu = Some(gpu.clone()));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.hints().is_empty());
        assert_eq!(world.runs(), 0);
    };
    fails("FAKE_INIT = \"803\"", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH");
    fails("FAKE_COUNT = \"0\"", "no GPU");
}

#[test]
fn a_gpu_that_is_not_the_required_one_is_refused() {
    let (mut world, gpu) = world("0");
    world.gpu.device = Some(RequiredDevice {
        capability: Some((9, 0)),
        multiprocessors: Some(114),
    });
    let error = world.refused(|options| options.gpu = Some(gpu.clone()));
    insta::assert_snapshot!(error, @"the lockfile requires a GPU with compute capability 9.0, 114 multiprocessors, but `Fake ?? GPU` has compute capability 9.0, 132 multiprocessors");
}

/// A library with machine code for a GPU, and PTX for another if that is not 0.
fn add_code(rootfs: &Path, name: &str, native: u32, ptx: u32) {
    let directory = rootfs.join("opt/env/lib");
    fs::create_dir_all(&directory).unwrap();
    let entry = |kind: u32, gpu: u32| {
        let words = [
            kind | (0x101 << 16),
            64,
            0,
            0,
            0,
            0,
            0,
            gpu,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        words.to_vec()
    };
    let mut entries = entry(2, native);
    if ptx != 0 {
        entries.extend(entry(1, ptx));
    }
    let size = u32::try_from(entries.len() * 4).unwrap();
    let words = [vec![0xBA55_ED50, 1 | (16 << 16), size, 0], entries].concat();
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let section = "__attribute__((section(\".nv_fatbin\"), used)) static const unsigned code[]";
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(directory.join(name));
    gpu_host::compile(compiler, &format!("{section} = {{{}}};", words.join("u, ")));
}

#[test]
fn a_gpu_that_no_library_has_code_for_is_refused() {
    let (world, gpu) = world("0");
    let rootfs = world.path("rootfs");
    add_code(&rootfs, "libone.so.1", 75, 0);
    add_code(&rootfs, "libother.so", 80, 120);
    let error = world.refused(|options| options.gpu = Some(gpu.clone()));
    insta::assert_snapshot!(error, @"no library of the environment has code for `Fake ?? GPU`, which has compute capability 9.0: they have it for 7.5, 8.0, PTX of 12.0");
    assert_eq!(error.exit_status(), 125);
    assert!(error.hints()[0].contains("built for this one"));
    assert_eq!(world.runs(), 0);
    // One that has it is enough; the others are on record.
    add_code(&rootfs, "libthird.so", 75, 80);
    let (_, record) = run(&world, &gpu, "exit 0");
    let noted = &record["noted"]["gpu"];
    assert_eq!(noted["told"]["code"], "7.5, 8.0, PTX of 8.0, PTX of 12.0");
    let remarks = noted["remarks"].as_array().unwrap();
    let told = "these have no code for compute capability 9.0: `/opt/env/lib/libone.so.1`, \
                `/opt/env/lib/libother.so`";
    assert!(remarks.iter().any(|it| it == told), "{remarks:?}");
}

/// Who wrote the specification knew the identity; the driver says whether it is still the one.
#[test]
fn an_instance_that_is_another_by_now_is_refused() {
    let (world, mut gpu) = world("0");
    let root = world.path("divided");
    let mut nodes = gpu_host::add_driver(&root);
    let name = gpu_host::divide(&root, &mut nodes, 1);
    gpu.host = GpuHost {
        files: Arc::new(HostFs::below(&root).unwrap()),
        nodes: Some(Arc::new(nodes)),
        places: LibraryPlaces::default(),
    };
    let written = cdi(&gpu.host, GpuVendor::Nvidia).unwrap();
    fs::create_dir_all(root.join("etc/cdi")).unwrap();
    let mut named = |identity: &str| {
        let name = format!("\"{name}\"");
        assert!(written.contains(&name), "{written}");
        let text = written.replace(&name, &format!("\"MIG-{identity}\""));
        fs::write(root.join("etc/cdi/nvidia.json"), text).unwrap();
        gpu.selection = format!("MIG-{identity}").parse().unwrap();
        gpu.clone()
    };
    let ours = named("00112233-4455-6677-8899-aabbccddeeff");
    let (text, _) = run(&world, &ours, "list /dev list /dev/nvidia-caps exit 0");
    assert!(
        text.contains("nvidia1") && !text.contains("nvidia0"),
        "{text}"
    );
    assert!(text.contains("\nnvidia-cap147 nvidia-cap148\n"), "{text}");
    let before = world.runs();
    let other = named("00112233-4455-6677-8899-aabbccddee00");
    let error = world.refused(|options| options.gpu = Some(other.clone()));
    insta::assert_snapshot!(error, @"CUDA sees the MIG instance `MIG-00112233-4455-6677-8899-aabbccddeeff`, and not `MIG-00112233-4455-6677-8899-aabbccddee00`");
    assert!(error.hints()[0].contains("nvidia-ctk"));
    assert_eq!(world.runs(), before);
}

#[test]
fn a_gpu_that_does_not_start_is_missed() {
    let (world, gpu) = world("all");
    let error = world.refused(|options| options.gpu = Some(gpu.clone()));
    insta::assert_snapshot!(error, @"CUDA sees 1 of the 2 GPUs that were chosen");
}

#[test]
fn packages_that_need_a_newer_driver_are_refused() {
    let (mut world, gpu) = world("all");
    world.gpu.required.push(Required {
        minimum: "590".parse().unwrap(),
        because: "nvidia-cuda-runtime 14.0.1".to_owned(),
    });
    let error = world.refused(|options| {
        options.gpu = Some(GpuOptions {
            driver: DriverPolicy::Compatible,
            ..gpu.clone()
        });
    });
    insta::assert_snapshot!(error, @"nvidia-cuda-runtime 14.0.1 needs the NVIDIA driver 590 or newer, but this host has 580.159.04");
}

#[test]
fn a_host_without_a_gpu_runs_no_step_that_asks_for_one() {
    let (world, mut gpu) = world("all");
    let nothing = world.path("nothing");
    fs::create_dir(&nothing).unwrap();
    gpu.host = GpuHost {
        files: Arc::new(HostFs::below(&nothing).unwrap()),
        ..GpuHost::default()
    };
    let error = world.refused(|options| options.gpu = Some(gpu.clone()));
    insta::assert_snapshot!(error, @"this host has no NVIDIA GPU and no NVIDIA driver");
    assert_eq!(world.runs(), 0);
    let none: [PathBuf; 0] = [];
    let made = fs::read_dir(&nothing)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(made.collect::<Vec<_>>(), none);
}
