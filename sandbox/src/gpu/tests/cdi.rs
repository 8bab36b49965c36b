//! Specifications, fresh, stale, wrong; and the one that is written.

use std::path::Path;

use serde_json::{Value, json};

use super::Host;
use super::edits::{planned, user, words};
use crate::gpu::cdi::parse;
use crate::gpu::{
    CdiError, CdiPolicy, DriverPolicy, Edits, Origin, Pinned, PlanError, UngatedVendor,
    cdi_document, other_cdi_document, verdict,
};

/// What `nvidia-ctk cdi generate` writes, in short.
const GENERATED: &str = r#"---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      hostPath: /dev/nvidia0
      major: 999
      fileMode: 438
      permissions: rw
    hooks:
    - hookName: createContainer
      path: /usr/bin/nvidia-cdi-hook
      args: [nvidia-cdi-hook, chmod, --mode, "755", --path, /dev/dri]
- name: all
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  - NVIDIA_CTK_LIBCUDA_DIR=/usr/lib64
  - LD_PRELOAD=/tmp/evil.so
  deviceNodes:
  - path: /dev/nvidiactl
  - path: /dev/nvidia-uvm
  mounts:
  - hostPath: /usr/lib64/libcuda.so.580.159.04
    containerPath: /usr/lib64/libcuda.so.580.159.04
    options: [ro, nosuid, nodev, rbind, rprivate]
  - hostPath: /usr/lib64/libnvidia-ml.so.580.159.04
    containerPath: /usr/lib64/libnvidia-ml.so.580.159.04
    options: [ro, nosuid, nodev, rbind, rprivate]
  - hostPath: /usr/bin/nvidia-smi
    containerPath: /usr/bin/nvidia-smi
  - hostPath: /run/nvidia-persistenced/socket
    containerPath: /run/nvidia-persistenced/socket
    options: [nosuid, nodev, rbind, rprivate, noexec]
  - hostPath: /usr/share/nvidia/nvoptix.bin
    containerPath: /usr/share/nvidia/nvoptix.bin
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args:
    - nvidia-cdi-hook
    - create-symlinks
    - --link
    - ../libnvidia-allocator.so.1::/usr/lib64/gbm/nvidia-drm_gbm.so
    - --link
    - libcuda.so.1::/usr/lib64/libcuda.so
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
    args: [nvidia-ctk, hook, update-ldcache, --folder, /usr/lib64]
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args: [nvidia-cdi-hook, enable-cuda-compat, --host-driver-version=580.159.04]
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    args: [nvidia-cdi-hook, disable-device-node-modification]
"#;

fn host(specification: &str) -> Host {
    let host = Host::new(
        "good
         text /usr/bin/nvidia-smi 580.159.04
         text /run/nvidia-persistenced/socket x
         text /usr/share/nvidia/nvoptix.bin x
         text /proc/driver/nvidia/params ModifyDeviceFiles: 1",
    );
    host.write("/etc/cdi/nvidia.yaml", specification.as_bytes());
    host
}

/// The smallest specification that can be used, with something merged into it.
fn small(changes: Value) -> Value {
    let library = |name: &str| {
        let path = format!("/usr/lib64/{name}.so.580.159.04");
        json!({"hostPath": path, "containerPath": path})
    };
    let mut spec = json!({
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}}],
        "containerEdits": {"mounts": [library("libcuda"), library("libnvidia-ml")]},
    });
    merge(&mut spec, changes);
    spec
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(changes)) => into.extend(changes),
        (into, changes) => *into = changes,
    }
}

fn required(host: &Host) -> Result<Edits, CdiError> {
    match planned(host, &user(), "0", CdiPolicy::Require) {
        Ok(edits) => Ok(edits),
        Err(PlanError::Cdi(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_fresh_specification_is_used() {
    let host = host(GENERATED);
    let edits = planned(&host, &user(), "0", CdiPolicy::Auto).unwrap();
    let files = vec!["/etc/cdi/nvidia.yaml".into()];
    assert_eq!(edits.origin, Origin::Cdi { files });
    assert_eq!(edits.environment["NVIDIA_CTK_LIBCUDA_DIR"], "/usr/lib64");
    assert_eq!(edits.environment["CUDA_DEVICE_ORDER"], "PCI_BUS_ID");
    insta::assert_snapshot!(words(&host, &edits), @r#"
    node /dev/nvidiactl
    node /dev/nvidia-uvm
    node /dev/nvidia0
    file /run/envbox/gpu/lib/libcuda.so.580.159.04 <- /usr/lib64/libcuda.so.580.159.04
    file /run/envbox/gpu/lib/libnvidia-ml.so.580.159.04 <- /usr/lib64/libnvidia-ml.so.580.159.04
    file /sys/module/nvidia/version <- /sys/module/nvidia/version
    file /run/envbox/gpu/bin/nvidia-smi <- /usr/bin/nvidia-smi
    socket /run/nvidia-persistenced/socket <- /run/nvidia-persistenced/socket
    link /run/envbox/gpu/lib/libcuda.so.1 -> libcuda.so.580.159.04
    link /run/envbox/gpu/lib/libcuda.so -> libcuda.so.580.159.04
    link /run/envbox/gpu/lib/libnvidia-ml.so.1 -> libnvidia-ml.so.580.159.04
    cover /proc/driver/nvidia/params Text("ModifyDeviceFiles: 0\n")
    remark: `/usr/share/nvidia/nvoptix.bin` of the CDI specification has no place in a sandbox and is left out
    remark: the variable `LD_PRELOAD` of the CDI specification is left out
    "#);
    let own = planned(&host, &user(), "0", CdiPolicy::Off).unwrap();
    assert_eq!(own.origin, Origin::Host);
}

#[test]
fn a_later_directory_wins() {
    let host = host(GENERATED);
    host.write(
        "/var/run/cdi/b.json",
        small(json!({})).to_string().as_bytes(),
    );
    let files = vec!["/var/run/cdi/b.json".into()];
    assert_eq!(required(&host).unwrap().origin, Origin::Cdi { files });
    // Other vendors' files and other files are none of ours.
    host.write(
        "/etc/cdi/other.json",
        br#"{"cdiVersion": "9", "kind": "other.com/thing", "x": 1}"#,
    );
    host.write("/etc/cdi/README", b"text");
    assert!(required(&host).is_ok());
}

#[test]
fn a_stale_specification_is_not_used() {
    for (change, expected) in [
        (
            "drop /usr/bin/nvidia-smi",
            "`/usr/bin/nvidia-smi` does not exist",
        ),
        (
            "node /dev/nvidia-uvm 239:0\n text /proc/devices Character devices:\\n195 nvidia\\n239 nvidia-uvm",
            "",
        ),
        ("drop /dev/nvidia-uvm-tools", ""),
    ] {
        let mut host = host(GENERATED);
        host.node("/dev/nvidia-uvm-tools", "238:1");
        for line in change.lines() {
            let (word, rest) = line.trim().split_once(' ').unwrap();
            host.line(word, rest);
        }
        let edits = planned(&host, &user(), "0", CdiPolicy::Auto).unwrap();
        let remark = edits
            .remarks
            .iter()
            .map(ToString::to_string)
            .find(|it| it.contains("no CDI"));
        match expected {
            "" => assert_eq!(remark, None, "{change}"),
            expected => {
                let remark = remark.unwrap();
                assert!(
                    remark.contains("is stale") && remark.contains(expected),
                    "{remark}"
                );
                let error = planned(&host, &user(), "0", CdiPolicy::Require).unwrap_err();
                assert!(!error.remedy().is_empty());
            }
        }
    }
}

#[test]
fn what_is_not_understood_is_not_used() {
    let old = "/usr/lib64/libnvidia-nvvm.so.580.65.06";
    for (changes, expected) in [
        (
            json!({"extra": 1}),
            "is no CDI specification: unknown field `extra`",
        ),
        (
            json!({"containerEdits": {"extra": 1}}),
            "is no CDI specification: unknown field `extra`",
        ),
        (
            json!({"devices": [{"name": "1", "extra": 1}]}),
            "unknown field `extra`",
        ),
        (json!({"devices": 1}), "invalid type"),
        (json!({"cdiVersion": 5}), "invalid type"),
        (
            json!({"cdiVersion": "1.2.0", "new": 1}),
            "is of CDI version `1.2.0`; 0.1.0 to 1.1.0 are known",
        ),
        (json!({"cdiVersion": ""}), "is of CDI version ``"),
        (
            json!({"cdiVersion": "0.4.0"}),
            "has a device whose name begins with a digit, which came with 0.5.0",
        ),
        (
            json!({"annotations": {"a": "b"}}),
            "has annotations, which came with 0.6.0",
        ),
        (
            json!({"containerEdits": {"intelRdt": {"closID": "x"}}}),
            "has `intelRdt`, which came with 0.7.0",
        ),
        (
            json!({"containerEdits": {"additionalGids": [5]}}),
            "has `additionalGids`, which came with 0.7.0",
        ),
        (
            json!({"containerEdits": {"netDevices": []}}),
            "has `netDevices`, which came with 1.1.0",
        ),
        (
            json!({"cdiVersion": "1.0.0", "containerEdits": {"intelRdt": {"schemata": ["x"]}}}),
            "which came with 1.1.0",
        ),
        (
            json!({"cdiVersion": "1.1.0", "containerEdits": {"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}}),
            "has `netDevices`, which a sandbox cannot do",
        ),
        (
            json!({"devices": [{"name": "0", "containerEdits": {}}]}),
            "both name the device `0`",
        ),
        (
            json!({"devices": [{"name": "-a", "containerEdits": {}}]}),
            "`-a` is no name of a device",
        ),
        (json!({"devices": null}), "it names no device"),
        (
            json!({"containerEdits": {"mounts": null}}),
            "it does not name `libcuda.so.580.159.04`",
        ),
        (
            json!({"containerEdits": {"mounts": [{"hostPath": old, "containerPath": old}]}}),
            "`/usr/lib64/libnvidia-nvvm.so.580.65.06` is not of the driver 580.159.04",
        ),
        (
            json!({"containerEdits": {"mounts": [{"hostPath": "/gone", "containerPath": "/gone"}]}}),
            "`/gone` does not exist",
        ),
        (
            json!({"containerEdits": {"deviceNodes": [{"path": "/dev/nvidia-modeset"}]}}),
            "`/dev/nvidia-modeset` does not exist",
        ),
        (
            json!({"containerEdits": {"deviceNodes": [{"path": "/dev/nvidia-uvm", "hostPath": "/dev/wrong"}]}}),
            "`/dev/wrong` is no device",
        ),
        (
            json!({"containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/sh", "args": ["sh", "-c", "x"]}]}}),
            "has a hook that is not known: `/bin/sh sh -c x`",
        ),
        (
            json!({"containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "hook", "new"]}]}}),
            "has a hook that is not known: `/usr/bin/nvidia-ctk nvidia-ctk hook new`",
        ),
        (
            json!({"containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["x", "create-symlinks", "--link", "a"]}]}}),
            "has a hook that is not known",
        ),
    ] {
        let host = host("kind: none");
        host.write("/usr/lib64/libnvidia-nvvm.so.580.65.06", b"");
        host.write("/dev/wrong", b"");
        let text = small(changes.clone()).to_string();
        host.write("/etc/cdi/a.json", text.as_bytes());
        let error = required(&host).unwrap_err();
        assert!(error.to_string().contains(expected), "{changes}: {error}");
        assert!(error.to_string().contains("/etc/cdi/a.json"), "{error}");
        assert!(!error.remedy().is_empty());
        // And without being required it is passed over, and that is said.
        let edits = planned(&host, &user(), "0", CdiPolicy::Auto).unwrap();
        assert_eq!(edits.origin, Origin::Host);
        let remark = edits
            .remarks
            .iter()
            .find(|it| it.to_string().contains(expected));
        assert!(remark.is_some(), "{:?}", edits.remarks);
    }
}

#[test]
fn baked_numbers_are_not_looked_at() {
    let node =
        json!({"path": "/dev/nvidia-uvm", "type": "c", "major": 999, "minor": 9, "fileMode": 438});
    let host = host("kind: none");
    let spec = small(json!({"containerEdits": {"deviceNodes": [node]}}));
    host.write("/etc/cdi/a.json", spec.to_string().as_bytes());
    let edits = required(&host).unwrap();
    assert!(
        edits
            .devices
            .iter()
            .any(|it| it.target == Path::new("/dev/nvidia-uvm"))
    );
}

#[test]
fn files_that_contradict_each_other_are_both_named() {
    let host = host(GENERATED);
    host.write(
        "/etc/cdi/other.json",
        small(json!({})).to_string().as_bytes(),
    );
    assert_eq!(
        required(&host).unwrap_err().to_string(),
        "`/etc/cdi/nvidia.yaml` and `/etc/cdi/other.json` both name the device `nvidia.com/gpu=0`"
    );
}

#[test]
fn a_specification_of_other_gpus_is_not_used() {
    let wrong = json!({"devices": [{"name": "GPU-0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia-uvm"}]}}]});
    let host = host("kind: none");
    host.write("/etc/cdi/a.json", small(wrong).to_string().as_bytes());
    assert_eq!(
        required(&host).unwrap_err().to_string(),
        "the CDI specification `/etc/cdi/a.json` is stale: it does not give the GPU `GPU-0` its node `/dev/nvidia0`"
    );
    let mut renamed = small(json!({}));
    renamed["devices"][0]["name"] = json!("five");
    host.write("/etc/cdi/a.json", renamed.to_string().as_bytes());
    assert_eq!(
        required(&host).unwrap_err().to_string(),
        "no CDI specification names the GPU `0`; there is `five`"
    );
    host.write("/etc/cdi/a.json", b"{}");
    let error = required(&host).unwrap_err();
    assert!(matches!(error, CdiError::Absent { .. }));
    let edits = planned(&host, &user(), "0", CdiPolicy::Auto).unwrap();
    assert!(edits.remarks.is_empty(), "{:?}", edits.remarks);
}

#[test]
fn what_is_wrong_with_a_text_has_its_place() {
    let place = |file: &str, text: &str| {
        parse(Path::new(file), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let json = place(
        "/etc/cdi/a.json",
        "{\n \"kind\": \"nvidia.com/gpu\",\n \"cdiVersion\": \"0.5.0\",\n \"x\": 1}",
    );
    assert!(json.contains("at line 4 column"), "{json}");
    let yaml = place(
        "/etc/cdi/a.yaml",
        "kind: nvidia.com/gpu\ncdiVersion: 0.5.0\nx: 1\n",
    );
    assert!(
        yaml.contains("/etc/cdi/a.yaml") && yaml.contains('3'),
        "{yaml}"
    );
    let broken = place("/etc/cdi/a.yaml", "kind: [nvidia");
    assert!(broken.contains("/etc/cdi/a.yaml"), "{broken}");
}

#[test]
fn what_is_written_is_read_and_fresh() {
    let host = Host::new(
        "good
         gpu 0000:05:00.0 1
         mig 1:1:0
         named /usr/lib64/libnvidia-nvvm.so.580.159.04 libnvidia-nvvm.so.4
         text /usr/bin/nvidia-smi 580.159.04",
    );
    let facts = host.discover();
    let admitted = verdict(&[], &Pinned::default(), &facts)
        .admit(DriverPolicy::Locked)
        .unwrap();
    let document = cdi_document(&host.files(), &facts, &admitted.usable).unwrap();
    let value: Value = serde_json::from_str(&document).unwrap();
    insta::assert_snapshot!(devices(&value), @"
    0 /dev/nvidia0
    1:0 /dev/nvidia1 /dev/nvidia-caps/nvidia-cap147 /dev/nvidia-caps/nvidia-cap148
    GPU-0 /dev/nvidia0
    all /dev/nvidia0 /dev/nvidia1 /dev/nvidia-caps/nvidia-cap147 /dev/nvidia-caps/nvidia-cap148
    ");
    let mounts = value["containerEdits"]["mounts"].as_array().unwrap().iter();
    let mounts: Vec<_> = mounts
        .map(|it| format!("{} {}", it["containerPath"], it["hostPath"]).replace('"', ""))
        .collect();
    let libraries = [
        "libcuda.so.580.159.04 libcuda.so.1 libcuda.so",
        "libnvidia-ml.so.580.159.04 libnvidia-ml.so.1",
        "libnvidia-nvvm.so.580.159.04 libnvidia-nvvm.so.4",
        "libnvidia-ptxjitcompiler.so.580.159.04 libnvidia-ptxjitcompiler.so.1",
    ];
    let expected = libraries.iter().flat_map(|names| {
        let names: Vec<&str> = names.split(' ').collect();
        ["/usr/lib64", "/usr/lib/x86_64-linux-gnu"].map(|place| {
            let lines = names.iter();
            let lines = lines.map(|name| format!("{place}/{name} /usr/lib64/{}\n", names[0]));
            lines.collect::<String>()
        })
    });
    let expected = expected.collect::<String>() + "/usr/bin/nvidia-smi /usr/bin/nvidia-smi";
    assert_eq!(mounts.join("\n"), expected);
    host.write("/var/run/cdi/envbox.json", document.as_bytes());
    for selection in ["0", "1:0", "all"] {
        let edits = planned(&host, &user(), selection, CdiPolicy::Require).unwrap();
        let own = planned(&host, &user(), selection, CdiPolicy::Off).unwrap();
        let sorted = |edits: &Edits| {
            let mut lines: Vec<String> = words(&host, edits).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&edits), sorted(&own), "{selection}");
    }
}

/// The devices of a specification with their nodes.
fn devices(document: &Value) -> String {
    let devices = document["devices"].as_array().unwrap().iter();
    let devices = devices.map(|device| {
        let nodes = device["containerEdits"]["deviceNodes"].as_array().unwrap();
        let nodes: Vec<_> = nodes
            .iter()
            .map(|it| it["path"].as_str().unwrap())
            .collect();
        format!("{} {}", device["name"].as_str().unwrap(), nodes.join(" "))
    });
    devices.collect::<Vec<_>>().join("\n")
}

#[test]
fn other_vendors_are_written_as_nodes() {
    let host = Host::new(
        "pci 0000:03:00.0 1002 0300 amdgpu
         text /sys/bus/pci/devices/0000:03:00.0/drm/card0/dev 226:0
         text /sys/bus/pci/devices/0000:03:00.0/drm/renderD128/dev 226:128
         pci 0000:06:00.0 1002 0300 amdgpu
         text /sys/bus/pci/devices/0000:06:00.0/drm/renderD129/dev 226:129
         pci 0000:09:00.0 1002 0300 vfio-pci
         pci 0000:00:02.0 8086 0300 xe
         text /sys/bus/pci/devices/0000:00:02.0/drm/renderD130/dev 226:130
         pci 0000:00:0b.0 8086 1200 intel_vpu
         text /sys/bus/pci/devices/0000:00:0b.0/accel/accel0/dev 261:0
         node /dev/kfd 235:0
         node /dev/dri/card0 226:0
         node /dev/dri/renderD128 226:128
         node /dev/dri/renderD129 226:129
         node /dev/dri/renderD130 226:130
         node /dev/accel/accel0 261:0",
    );
    let facts = host.discover();
    let written = |vendor| {
        let text = other_cdi_document(&facts, vendor).unwrap();
        assert!(
            parse(Path::new("/etc/cdi/other.json"), text.as_bytes())
                .unwrap()
                .is_some()
        );
        let value: Value = serde_json::from_str(&text).unwrap();
        let shared = value["containerEdits"]["deviceNodes"].to_string();
        format!(
            "{} {shared}\n{}",
            value["kind"].as_str().unwrap(),
            devices(&value)
        )
    };
    // The one that no driver has is not named.
    insta::assert_snapshot!(written(UngatedVendor::Amd), @r#"
    amd.com/gpu [{"path":"/dev/kfd"}]
    0 /dev/dri/card0 /dev/dri/renderD128
    0000:03:00.0 /dev/dri/card0 /dev/dri/renderD128
    0000:06:00.0 /dev/dri/renderD129
    1 /dev/dri/renderD129
    all /dev/dri/card0 /dev/dri/renderD128 /dev/dri/renderD129
    "#);
    insta::assert_snapshot!(written(UngatedVendor::Intel), @"
    intel.com/gpu []
    0 /dev/dri/renderD130
    0000:00:02.0 /dev/dri/renderD130
    0000:00:0b.0 /dev/accel/accel0
    1 /dev/accel/accel0
    all /dev/dri/renderD130 /dev/accel/accel0
    ");
    let nothing = Host::new("good").discover();
    for vendor in [UngatedVendor::Amd, UngatedVendor::Intel] {
        let error = other_cdi_document(&nothing, vendor).unwrap_err();
        assert_eq!(error.to_string(), "no GPU of this host can be passed on");
    }
}

#[test]
fn an_instance_is_chosen_by_the_identity_that_a_specification_has() {
    let host = Host::new("good\n gpu 0000:05:00.0 1\n mig 1:1:0\n mig 1:2:0");
    let spec = json!({
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": [
            { "name": "MIG-aa", "containerEdits": { "deviceNodes": [
                { "path": "/dev/nvidia1" },
                { "path": "/dev/nvidia-caps/nvidia-cap156" },
                { "path": "/dev/nvidia-caps/nvidia-cap157" },
            ] } },
            { "name": "MIG-bb", "containerEdits": { "deviceNodes": [
                { "path": "/dev/nvidia1" },
                { "path": "/dev/nvidia-caps/nvidia-cap999" },
            ] } },
        ],
    });
    host.write("/etc/cdi/nvidia.json", spec.to_string().as_bytes());
    let plan = |name: &str, cdi| planned(&host, &user(), name, cdi);
    // What the specification says besides is not used: it has no libraries.
    assert_eq!(plan("MIG-aa", CdiPolicy::Auto).unwrap().chosen, ["1:1"]);
    for (name, cdi) in [
        ("MIG-aa", CdiPolicy::Off),
        ("MIG-a", CdiPolicy::Auto),
        // The driver has no instance with such a node.
        ("MIG-bb", CdiPolicy::Auto),
    ] {
        let error = plan(name, cdi).unwrap_err();
        let told = format!("which MIG instance `{name}` is cannot be told without running");
        assert!(error.to_string().starts_with(&told), "{error}");
        assert!(error.remedy().contains("`0:1`"), "{}", error.remedy());
    }
}
