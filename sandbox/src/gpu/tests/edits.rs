//! What is put into a sandbox, layout by layout.

use std::ffi::OsStr;
use std::path::Path;

use super::Host;
use super::discovery::LAYOUTS;
use crate::Policy;
use crate::gpu::{
    Caller, CdiPolicy, DriverPolicy, Edits, Pinned, PlanError, PlanFrom, UngatedVendor, plan,
    plan_other, verdict,
};

/// An ordinary user.
pub(super) fn user() -> Caller {
    Caller::new(1000, 1000, [])
}

pub(super) fn planned(
    host: &Host,
    caller: &Caller,
    selection: &str,
    cdi: CdiPolicy,
) -> Result<Edits, PlanError> {
    let facts = host.discover();
    let admitted = verdict(&[], &Pinned::default(), &facts).admit(DriverPolicy::Locked);
    let from = PlanFrom {
        files: &host.files(),
        nodes: host,
        caller,
        facts: &facts,
    };
    plan(
        from,
        &admitted.unwrap().usable,
        &selection.parse().unwrap(),
        cdi,
    )
}

/// The same for a vendor whose driver has no gate.
fn planned_other(host: &Host, vendor: UngatedVendor, selection: &str) -> Result<Edits, PlanError> {
    let from = PlanFrom {
        files: &host.files(),
        nodes: host,
        caller: &user(),
        facts: &host.discover(),
    };
    plan_other(from, vendor, &selection.parse().unwrap())
}

/// Edits in words, with the fixture's root left out.
pub(super) fn words(host: &Host, edits: &Edits) -> String {
    let root = host.directory.path().canonicalize().unwrap();
    let host = |path: &Path| {
        let inside = path.strip_prefix(&root).unwrap();
        format!("/{}", inside.display())
    };
    let mut lines = Vec::new();
    for it in &edits.devices {
        assert_eq!(host(&it.source), it.target.to_string_lossy());
        lines.push(format!("node {}", it.target.display()));
    }
    for it in &edits.files {
        let how = if it.writable { "socket" } else { "file" };
        lines.push(format!(
            "{how} {} <- {}",
            it.target.display(),
            host(&it.source)
        ));
    }
    for it in &edits.links {
        lines.push(format!(
            "link {} -> {}",
            it.path.display(),
            it.content.display()
        ));
    }
    for it in &edits.covers {
        lines.push(format!("cover {} {:?}", it.target.display(), it.content));
    }
    lines.extend(edits.remarks.iter().map(|it| format!("remark: {it}")));
    lines.join("\n")
}

#[test]
fn all_of_a_driver_and_nothing_else_is_passed_on() {
    let host = Host::new(
        "good
         gpu 0000:05:00.0 1
         node /dev/nvidia-uvm-tools 238:1
         node /dev/nvidia-modeset 195:254
         named /usr/lib64/libnvidia-nvvm.so.580.159.04 libnvidia-nvvm.so.4
         named /usr/lib64/libnvidia-gpucomp.so.580.159.04 libnvidia-gpucomp.so.580.159.04
         elf /usr/lib64/libGLdispatch.so.580.159.04
         elf /usr/lib64/libGLX_nvidia.so.535.261.03
         elf /usr/lib64/libdrm.so.2.4.0
         elf /usr/lib64/libstdc++.so.6
         text /usr/bin/nvidia-smi version 580.159.04 of it
         text /run/nvidia-persistenced/socket x
         text /proc/driver/nvidia/params ResmanDebugLevel: 4294967295\\nModifyDeviceFiles: 1\\nDeviceFileMode: 438
         text /sys/devices/pci0000:00/0000:05:00.0/numa_node 0
         text /sys/devices/pci0000:00/0000:05:00.0/resource0 memory
         drop /sys/bus/pci/devices/0000:05:00.0
         link /sys/bus/pci/devices/0000:05:00.0 ../../../devices/pci0000:00/0000:05:00.0
         text /sys/devices/system/node/online 0",
    );
    let edits = planned(&host, &user(), "1", CdiPolicy::Off).unwrap();
    insta::assert_snapshot!(words(&host, &edits), @r#"
    node /dev/nvidiactl
    node /dev/nvidia-uvm
    node /dev/nvidia-uvm-tools
    node /dev/nvidia1
    file /run/envbox/gpu/lib/libcuda.so.580.159.04 <- /usr/lib64/libcuda.so.580.159.04
    file /run/envbox/gpu/lib/libnvidia-gpucomp.so.580.159.04 <- /usr/lib64/libnvidia-gpucomp.so.580.159.04
    file /run/envbox/gpu/lib/libnvidia-ml.so.580.159.04 <- /usr/lib64/libnvidia-ml.so.580.159.04
    file /run/envbox/gpu/lib/libnvidia-nvvm.so.580.159.04 <- /usr/lib64/libnvidia-nvvm.so.580.159.04
    file /run/envbox/gpu/lib/libnvidia-ptxjitcompiler.so.580.159.04 <- /usr/lib64/libnvidia-ptxjitcompiler.so.580.159.04
    file /sys/module/nvidia/version <- /sys/module/nvidia/version
    file /run/envbox/gpu/bin/nvidia-smi <- /usr/bin/nvidia-smi
    socket /run/nvidia-persistenced/socket <- /run/nvidia-persistenced/socket
    file /sys/devices/pci0000:00/0000:05:00.0/numa_node <- /sys/devices/pci0000:00/0000:05:00.0/numa_node
    file /sys/devices/system/node <- /sys/devices/system/node
    link /run/envbox/gpu/lib/libcuda.so.1 -> libcuda.so.580.159.04
    link /run/envbox/gpu/lib/libcuda.so -> libcuda.so.580.159.04
    link /run/envbox/gpu/lib/libnvidia-ml.so.1 -> libnvidia-ml.so.580.159.04
    link /run/envbox/gpu/lib/libnvidia-nvvm.so.4 -> libnvidia-nvvm.so.580.159.04
    link /run/envbox/gpu/lib/libnvidia-ptxjitcompiler.so.1 -> libnvidia-ptxjitcompiler.so.580.159.04
    link /sys/bus/pci/devices/0000:05:00.0 -> ../../../devices/pci0000:00/0000:05:00.0
    cover /proc/driver/nvidia/params Text("ResmanDebugLevel: 4294967295\nDeviceFileMode: 438\nModifyDeviceFiles: 0\n")
    cover /proc/driver/nvidia/gpus/0000:04:00.0 EmptyDirectory
    remark: `/usr/lib64/libGLdispatch.so.580.159.04` is no library of the driver's and is left out
    "#);
    let policy = |machine| {
        let mut policy = Policy {
            machine,
            ..Policy::default()
        };
        edits.apply(&mut policy);
        policy
    };
    let numa = |policy: Policy| {
        let mut targets = policy.binds.into_iter().map(|it| it.target);
        targets.any(|it| it == Path::new("/sys/devices/system/node"))
    };
    assert!(numa(policy(None)));
    assert!(
        !numa(policy(Some(crate::Machine::default()))),
        "the machine is the policy's"
    );
    let variables = edits.environment.iter();
    let variables: Vec<_> = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    insta::assert_snapshot!(variables.join("\n"), @"
    CUDA_CACHE_PATH=/tmp/cuda-cache
    CUDA_DEVICE_ORDER=PCI_BUS_ID
    NVIDIA_VISIBLE_DEVICES=void
    TORCHINDUCTOR_CACHE_DIR=/tmp/inductor-cache
    TRITON_CACHE_DIR=/tmp/triton-cache
    TRITON_LIBCUDA_PATH=/run/envbox/gpu/lib
    ");
}

#[test]
fn every_layout_is_passed_on() {
    for (layout, directory, _) in LAYOUTS {
        let text = format!("driver V\n gpu 0000:04:00.0 0\n {layout}").replace(" V", " 580.159.04");
        let host = Host::new(&text);
        let edits = planned(&host, &user(), "all", CdiPolicy::Auto).unwrap();
        let names: Vec<_> = edits.files.iter().map(|it| it.target.clone()).collect();
        for name in [
            "libcuda",
            "libnvidia-ml",
            "libnvidia-nvvm",
            "libnvidia-ptxjitcompiler",
        ] {
            let file = format!("/run/envbox/gpu/lib/{name}.so.580.159.04");
            assert!(names.contains(&file.into()), "{layout}: {names:?}");
            let link = format!("/run/envbox/gpu/lib/{name}.so.1");
            let link = edits
                .links
                .iter()
                .find(|it| it.path == Path::new(&link))
                .unwrap();
            assert_eq!(
                link.content,
                Path::new(&format!("{name}.so.580.159.04")),
                "{directory}"
            );
        }
        for it in &edits.files {
            assert!(it.source.is_file(), "{layout}: {it:?}");
        }
    }
}

#[test]
fn the_program_is_of_the_drivers_version_or_left_out() {
    for (libraries, program) in [
        ("/usr/lib64", "/usr/bin"),
        ("/usr/lib/x86_64-linux-gnu", "/usr/bin"),
        (
            "/usr/lib/x86_64-linux-gnu/nvidia/current",
            "/usr/lib/nvidia/current",
        ),
        ("/usr/local/nvidia/lib64", "/usr/local/nvidia/bin"),
        ("/run/opengl-driver/lib", "/run/current-system/sw/bin"),
        ("/lib64", "/usr/bin"),
    ] {
        for (text, taken) in [
            ("580.159.04", true),
            ("580.159.041", false),
            ("1580.159.04", false),
            ("580.159.04.1", false),
        ] {
            let host = Host::new(&format!(
                "driver 580.159.04\n gpu 0000:04:00.0 0\n libs {libraries} 580.159.04
                 text {program}/nvidia-smi x{text}y"
            ));
            let edits = planned(&host, &user(), "all", CdiPolicy::Off).unwrap();
            let smi = Path::new("/run/envbox/gpu/bin/nvidia-smi");
            let found = edits.files.iter().any(|it| it.target == smi);
            assert_eq!(found, taken, "{libraries} {text}");
            let told = edits
                .remarks
                .iter()
                .any(|it| it.to_string().contains("nvidia-smi"));
            assert_eq!(told, !taken, "{libraries} {text}");
        }
    }
}

#[test]
fn a_node_that_does_not_open_is_named_with_its_group() {
    let host =
        Host::new("good\n mode /dev/nvidia0 660 0 44\n text /etc/group root:x:0:\\nvideo:x:44:me");
    let refused = |caller: Caller| planned(&host, &caller, "0", CdiPolicy::Off).unwrap_err();
    let error = refused(user());
    assert_eq!(
        error.to_string(),
        "`/dev/nvidia0` (mode 0660, group `video`) does not open for this user"
    );
    assert!(error.remedy().contains("group `video`"));
    let opens = |caller: Caller| planned(&host, &caller, "0", CdiPolicy::Off).is_ok();
    assert!(opens(Caller::new(1000, 1000, [44])));
    assert!(opens(Caller::new(1000, 44, [])));
    assert!(opens(Caller::new(0, 0, [])));
    let host = Host::new("good\n mode /dev/nvidia0 660 7 45");
    let error = planned(&host, &Caller::new(0, 0, []), "0", CdiPolicy::Off).unwrap_err();
    assert!(error.remedy().contains("group 45"), "{}", error.remedy());
    let host = Host::new("good\n mode /dev/nvidia0 600 0 0");
    let error = planned(&host, &user(), "0", CdiPolicy::Off).unwrap_err();
    assert!(error.remedy().contains("mode"), "{}", error.remedy());
}

#[test]
fn the_library_path_is_appended_last() {
    let edits = planned(&Host::new("good"), &user(), "0", CdiPolicy::Off).unwrap();
    let after = |before: Option<&str>| edits.library_path_after(before.map(OsStr::new));
    assert_eq!(after(None), "/run/envbox/gpu/lib");
    assert_eq!(after(Some("")), "/run/envbox/gpu/lib");
    assert_eq!(after(Some("/a:/b")), "/a:/b:/run/envbox/gpu/lib");
}

#[test]
fn other_vendors_get_nodes_and_a_remark() {
    let host = Host::new(
        "pci 0000:03:00.0 1002 0300 amdgpu
         pci 0000:06:00.0 1002 0300 amdgpu
         drop /sys/bus/pci/devices/0000:03:00.0
         link /sys/bus/pci/devices/0000:03:00.0 ../../../devices/pci0000:00/0000:03:00.0
         text /sys/devices/pci0000:00/0000:03:00.0/vendor 0x1002
         text /sys/devices/pci0000:00/0000:03:00.0/class 0x030000
         text /sys/devices/pci0000:00/0000:03:00.0/drm/card1/dev 226:1
         text /sys/devices/pci0000:00/0000:03:00.0/drm/renderD128/dev 226:128
         text /sys/devices/virtual/kfd/kfd/topology/generation_id 1
         text /sys/bus/pci/devices/0000:06:00.0/drm/renderD129/dev 226:129
         node /dev/dri/card1 226:1
         node /dev/dri/renderD128 226:128
         node /dev/dri/renderD129 226:129
         node /dev/kfd 235:0
         text /sys/module/amdgpu/version 6.8.5",
    );
    let edits = planned_other(&host, UngatedVendor::Amd, "0").unwrap();
    insta::assert_snapshot!(words(&host, &edits), @"
    node /dev/kfd
    node /dev/dri/card1
    node /dev/dri/renderD128
    file /sys/devices/pci0000:00/0000:03:00.0/class <- /sys/devices/pci0000:00/0000:03:00.0/class
    file /sys/devices/pci0000:00/0000:03:00.0/vendor <- /sys/devices/pci0000:00/0000:03:00.0/vendor
    file /sys/devices/pci0000:00/0000:03:00.0/drm/card1 <- /sys/devices/pci0000:00/0000:03:00.0/drm/card1
    file /sys/devices/pci0000:00/0000:03:00.0/drm/renderD128 <- /sys/devices/pci0000:00/0000:03:00.0/drm/renderD128
    file /sys/devices/virtual/kfd/kfd/topology <- /sys/devices/virtual/kfd/kfd/topology
    link /sys/bus/pci/devices/0000:03:00.0 -> ../../../devices/pci0000:00/0000:03:00.0
    link /sys/dev/char/226:1 -> ../../devices/pci0000:00/0000:03:00.0/drm/card1
    link /sys/dev/char/226:128 -> ../../devices/pci0000:00/0000:03:00.0/drm/renderD128
    link /sys/devices/pci0000:00/0000:03:00.0/subsystem -> /sys/bus/pci
    remark: the driver of AMD's GPUs is not held to any version; `amdgpu` is 6.8.5
    ");
    let error = planned_other(&host, UngatedVendor::Intel, "all").unwrap_err();
    assert_eq!(error.to_string(), "no GPU of this host can be passed on");
}

#[test]
fn an_accelerator_gets_its_node() {
    let device = "/sys/devices/pci0000:00/0000:00:0b.0";
    let host = Host::new(&format!(
        "text {device}/vendor 0x8086
         text {device}/class 0x120000
         text {device}/accel/accel0/dev 261:0
         link /sys/bus/pci/devices/0000:00:0b.0 ../../../devices/pci0000:00/0000:00:0b.0
         node /dev/accel/accel0 261:0"
    ));
    let edits = planned_other(&host, UngatedVendor::Intel, "0").unwrap();
    insta::assert_snapshot!(words(&host, &edits), @"
    node /dev/accel/accel0
    file /sys/devices/pci0000:00/0000:00:0b.0/class <- /sys/devices/pci0000:00/0000:00:0b.0/class
    file /sys/devices/pci0000:00/0000:00:0b.0/vendor <- /sys/devices/pci0000:00/0000:00:0b.0/vendor
    file /sys/devices/pci0000:00/0000:00:0b.0/accel/accel0 <- /sys/devices/pci0000:00/0000:00:0b.0/accel/accel0
    link /sys/bus/pci/devices/0000:00:0b.0 -> ../../../devices/pci0000:00/0000:00:0b.0
    link /sys/dev/char/261:0 -> ../../devices/pci0000:00/0000:00:0b.0/accel/accel0
    link /sys/devices/pci0000:00/0000:00:0b.0/subsystem -> /sys/bus/pci
    remark: the driver of Intel's GPUs is not held to any version
    ");
}
