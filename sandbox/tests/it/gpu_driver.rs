//! A driver in a fixture's root, from discovery to what it tells inside a sandbox.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Output;

use envbox_sandbox::CoverContent;
use envbox_sandbox::gpu::{Edits, HostFs};

use crate::gpu_host::{self, DRIVER, add_glibc};
use crate::harness::{World, as_everyone};

/// Makes a host with a driver and two GPUs, and plans the second.
fn planned(world: &World) -> Edits {
    let root = world.directory("host");
    let nodes = gpu_host::add_driver(&root);
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::write(root.join("usr/bin/nvidia-smi"), DRIVER).unwrap();
    gpu_host::planned(&HostFs::below(&root).unwrap(), &nodes, "1")
}

/// Edits as options of the command.
fn options(edits: &Edits) -> Vec<OsString> {
    let mut options: Vec<OsString> = Vec::new();
    let mut add = |option: &str, one: &Path, other: &Path| {
        let words = [Path::new(option), one, other];
        let words = words.into_iter().filter(|it| !it.as_os_str().is_empty());
        options.extend(words.map(OsString::from));
    };
    for it in &edits.devices {
        add("--device", &it.source, &it.target);
    }
    for it in &edits.files {
        add("--bind-read-only", &it.source, &it.target);
    }
    for it in &edits.links {
        add("--link", &it.path, &it.content);
    }
    for it in &edits.covers {
        match &it.content {
            CoverContent::Text(text) => add("--cover", &it.target, Path::new(text)),
            CoverContent::EmptyDirectory => add("--empty", &it.target, Path::new("")),
        }
    }
    for (name, value) in &edits.environment {
        options.extend(["--env".into(), format!("{name}={value}").into()]);
    }
    let path = edits.library_path_after(None);
    let path = path.into_string().unwrap();
    options.extend(["--env".into(), format!("LD_LIBRARY_PATH={path}").into()]);
    options
}

fn tried(world: &World, edits: &Edits, variables: &[&str]) -> Output {
    let mut all = options(edits);
    for variable in variables {
        all.extend(["--env".into(), variable.into()]);
    }
    let mut command = world.tool(&["--try-gpu"]);
    command
        .args(all)
        .arg(world.path("rootfs"))
        .output()
        .unwrap()
}

#[test]
fn the_driver_is_tried_in_the_sandbox() {
    as_everyone(|world| {
        add_glibc(&world.path("rootfs"));
        let edits = planned(world);
        let output = tried(world, &edits, &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        insta::allow_duplicates! { insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r#"
        {
          "cuda_version": 13000,
          "driver": "580.159.04",
          "devices": [
            {
              "name": "Fake ?? GPU",
              "uuid": "00112233-4455-6677-8899-aabbccddeeff",
              "address": "0000:04:00.0",
              "capability": [
                9,
                0
              ],
              "multiprocessors": 132,
              "memory": 85520809984,
              "video_bios": "96.00.99",
              "ecc": true,
              "mig": null,
              "compute_mode": 0,
              "persistence": null,
              "power_limit": 700000,
              "clocks": {
                "memory-max": 2619,
                "sm-max": 1980
              }
            }
          ],
          "untold": {
            "nvml.0.clock-memory": {
              "reason": "missing"
            },
            "nvml.0.clock-sm": {
              "reason": "missing"
            },
            "nvml.0.mig": {
              "reason": "error",
              "code": 3
            },
            "nvml.0.persistence": {
              "reason": "missing"
            }
          }
        }
        "#); }
    });
}

#[test]
fn a_driver_that_does_not_start_is_told_with_its_remedy() {
    as_everyone(|world| {
        let edits = planned(world);
        let failed = |edits: &Edits, variables: &[&str]| {
            let output = tried(world, edits, variables);
            assert_eq!(output.status.code(), Some(125));
            String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(
            failed(&edits, &[]).lines().next().unwrap(),
            "error: the driver cannot be tried: the environment has no glibc \
             (there is no `/lib64/ld-linux-x86-64.so.2`)"
        );
        add_glibc(&world.path("rootfs"));
        for (variables, error, hint) in [
            (
                &["FAKE_INIT=803"][..],
                "`cuInit` fails in the sandbox with 803 (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)",
                "reboot",
            ),
            (
                &["FAKE_INIT=802"],
                "`cuInit` fails in the sandbox with 802 (CUDA_ERROR_SYSTEM_NOT_READY)",
                "fabric manager",
            ),
            (
                &["FAKE_INIT=999"],
                "`cuInit` fails in the sandbox with 999 (CUDA_ERROR_UNKNOWN)",
                "nvidia_uvm",
            ),
            (
                &["FAKE_INIT=3"],
                "`cuInit` fails in the sandbox with 3 (CUDA_ERROR_NOT_INITIALIZED)",
                "NVRM",
            ),
            (
                &["FAKE_INIT=12345"],
                "`cuInit` fails in the sandbox with 12345",
                "manual",
            ),
            (
                &["FAKE_INIT=999", "FAKE_NVML=18"],
                "`cuInit` fails in the sandbox with 999 (CUDA_ERROR_UNKNOWN); NVML says that kernel module and libraries are of different versions",
                "reboot",
            ),
            (
                &["FAKE_COUNT=0"],
                "CUDA starts in the sandbox, but sees no GPU",
                "CUDA_VISIBLE_DEVICES",
            ),
            (
                &["FAKE_COUNT_ERROR=2"],
                "`cuDeviceGetCount` fails in the sandbox with 2 (CUDA_ERROR_OUT_OF_MEMORY)",
                "memory",
            ),
            (
                &["FAKE_ABORT=1"],
                "the driver's libraries end the process that tries them (Signal(6))",
                "Xid",
            ),
        ] {
            let text = failed(&edits, variables);
            assert!(text.starts_with(&format!("error: {error}")), "{text}");
            assert!(text.contains("\nhint: ") && text.contains(hint), "{text}");
        }
        let without = Edits {
            devices: Vec::new(),
            ..edits.clone()
        };
        let text = failed(&without, &[]);
        assert!(text.contains("100 (CUDA_ERROR_NO_DEVICE)"), "{text}");
        let without = Edits {
            library_path: Vec::new(),
            ..edits.clone()
        };
        let text = failed(&without, &[]);
        assert!(
            text.contains("`libcuda.so.1` does not load in the sandbox: libcuda.so.1: cannot open"),
            "{text}"
        );
        fs::remove_file(world.path("rootfs/lib/libc.so.6")).unwrap();
        let text = failed(&edits, &[]);
        assert!(
            text.contains("has no glibc") && text.contains("libc.so.6"),
            "{text}"
        );
    });
}

#[test]
fn a_step_finds_what_was_planned_and_nothing_else() {
    as_everyone(|world| {
        let edits = planned(world);
        let options = options(&edits);
        let options: Vec<&str> = options.iter().map(|it| it.to_str().unwrap()).collect();
        let look = |guest: &[&str]| world.look(&options, guest);
        insta::allow_duplicates! {
            insta::assert_snapshot!(look(&["list", "/run/envbox/gpu/lib"]), @"
        libcuda.so -> libcuda.so.580.159.04
        libcuda.so.1 -> libcuda.so.580.159.04
        libcuda.so.580.159.04 100755
        libnvidia-ml.so.1 -> libnvidia-ml.so.580.159.04
        libnvidia-ml.so.580.159.04 100755
        ");
            insta::assert_snapshot!(look(&["open-both", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0"]), @"
        /dev/nvidia1: ok
        /dev/nvidiactl: ok
        /dev/nvidia-uvm: ok
        /dev/nvidia0: NotFound
        ");
            insta::assert_snapshot!(look(&["list", "/sys/bus/pci/devices"]), @"0000:05:00.0 -> ../../../devices/pci0000:00/0000:05:00.0");
            insta::assert_snapshot!(look(&["list", "/sys/bus/pci/devices/0000:05:00.0"]), @"numa_node 100644");
            insta::assert_snapshot!(look(&["list", "/sys/module/nvidia"]), @"version 100644");
        }
        let library = format!("/run/envbox/gpu/lib/libcuda.so.{DRIVER}");
        let text = look(&["open-for-writing", &library]);
        assert!(!text.contains(": ok"), "{text}");
        for place in ["/run", "/sys"] {
            assert_eq!(
                world.look(&[], &["list", place]),
                "\n",
                "nothing without the edits"
            );
        }
        assert!(!world.look(&[], &["list", "/dev"]).contains("nvidia"));
    });
}
