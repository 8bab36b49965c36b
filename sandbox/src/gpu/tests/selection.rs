//! Every form of a selection, and everything that is wrong with one.

use super::Host;
use crate::gpu::{Chosen, Selection, choose, choose_other};

/// Three GPUs, of which the second is divided, and one that is excluded.
const HOST: &str = "driver 580.159.04
    gpu 0000:04:00.0 0
    gpu 0000:05:00.0 1
    gpu 0001:82:00.0 2
    gpu 0000:09:00.0 3
    text /proc/driver/nvidia/gpus/0000:09:00.0/information Device Minor: 3\\nGPU UUID: GPU-9\\nGPU Excluded: Yes
    text /proc/driver/nvidia/gpus/0000:04:00.0/information Device Minor: 0\\nGPU UUID: GPU-aa10-01
    text /proc/driver/nvidia/gpus/0000:05:00.0/information Device Minor: 1\\nGPU UUID: GPU-aa20-02
    text /proc/driver/nvidia/gpus/0001:82:00.0/information Device Minor: 2\\nGPU UUID: GPU-cc30-03
    pci 0000:0a:00.0 10de 0302 vfio-pci
    mig 1:2:0
    mig 1:1:0
    mig 1:1:1
    libs /usr/lib64 580.159.04";

fn chosen(host: &str, selection: &str) -> Result<Vec<Chosen>, String> {
    let selection: Selection = match selection.parse() {
        Ok(selection) => selection,
        Err(error) => return Err(format!("{error}")),
    };
    choose(&Host::new(host).discover().nvidia, &selection).map_err(|error| {
        assert!(!error.remedy().is_empty());
        error.to_string()
    })
}

fn nodes(chosen: &[Chosen]) -> String {
    let text = chosen.iter().map(|it| {
        let own = it.node.path.to_string_lossy().replace("/dev/", "");
        let parts = it.instance.iter().flat_map(|it| &it.nodes);
        let parts = parts.map(|node| {
            node.path
                .to_string_lossy()
                .replace("/dev/nvidia-caps/nvidia-", "+")
        });
        format!("{}={own}{}", it.name, parts.collect::<String>())
    });
    text.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_form_chooses() {
    for (selection, expected) in [
        ("0", "0=nvidia0"),
        ("2,0", "2=nvidia2 0=nvidia0"),
        (" 0 , 2 ", "0=nvidia0 2=nvidia2"),
        ("GPU-aa10-01", "0=nvidia0"),
        ("GPU-AA1", "0=nvidia0"),
        ("GPU-c", "2=nvidia2"),
        ("0001:82:00.0", "2=nvidia2"),
        ("00000001:82:00.0", "2=nvidia2"),
        ("04:00.0", "0=nvidia0"),
        ("1:0", "1:0=nvidia1+cap147+cap148"),
        ("1:1", "1:1=nvidia1+cap147+cap149"),
        ("1:2", "1:2=nvidia1+cap156+cap157"),
        ("MIG-GPU-aa20-02/2/0", "1:2=nvidia1+cap156+cap157"),
        ("MIG-GPU-aa2/1/1", "1:1=nvidia1+cap147+cap149"),
        (
            "all",
            "0=nvidia0 1:0=nvidia1+cap147+cap148 1:1=nvidia1+cap147+cap149 1:2=nvidia1+cap156+cap157 2=nvidia2",
        ),
    ] {
        assert_eq!(
            nodes(&chosen(HOST, selection).unwrap()),
            expected,
            "{selection}"
        );
    }
}

#[test]
fn what_names_no_gpu_is_refused() {
    for (selection, expected) in [
        ("", "`` names no GPU"),
        ("alll", "`alll` names no GPU"),
        ("0,", "`` names no GPU"),
        ("-1", "`-1` names no GPU"),
        ("+1", "`+1` names no GPU"),
        ("0:", "`0:` names no GPU"),
        ("0:1:2", "`0:1:2` names no GPU"),
        ("GPU-", "`GPU-` names no GPU"),
        ("GPU-xyz", "`GPU-xyz` names no GPU"),
        ("MIG-GPU-aa/1", "`MIG-GPU-aa/1` names no GPU"),
        ("MIG-GPU-aa/1/2/3", "`MIG-GPU-aa/1/2/3` names no GPU"),
        ("04:20.0", "`04:20.0` names no GPU"),
        (
            "99999999999999999999",
            "`99999999999999999999` names no GPU",
        ),
        (
            "7",
            "there is no GPU `7` on this host; there is `0 (GPU-aa10-01)`, `1:0`, `1:1`, `1:2`, `2 (GPU-cc30-03)`",
        ),
        ("GPU-dd", "there is no GPU `GPU-dd` on this host"),
        (
            "0000:44:00.0",
            "there is no GPU `0000:44:00.0` on this host",
        ),
        ("1:3", "there is no GPU `1:3` on this host"),
        (
            "MIG-GPU-aa2/5/0",
            "there is no GPU `MIG-GPU-aa2/5/0` on this host",
        ),
        (
            "GPU-aa",
            "`GPU-aa` is the beginning of several GPUs: `gpu-aa10-01`, `gpu-aa20-02`",
        ),
        (
            "0000:09:00.0",
            "the GPU `0000:09:00.0` at 0000:09:00.0 is excluded",
        ),
        ("GPU-9", "the GPU `GPU-9` at 0000:09:00.0 is excluded"),
        (
            "0a:00.0",
            "NVIDIA's driver does not have the GPU `0000:0a:00.0` at 0000:0a:00.0",
        ),
        (
            "0:0",
            "`0:0` names a MIG instance, but the GPU `0` is not divided",
        ),
        (
            "1",
            "the GPU `1` is divided by MIG; its instances are `1:0`, `1:1`, `1:2`",
        ),
        (
            "MIG-aa20",
            "which MIG instance `MIG-aa20` is cannot be told without running the driver, and no CDI specification names it; there is `0 (GPU-aa10-01)`, `1:0`",
        ),
        ("0,GPU-aa10-01", "`GPU-aa10-01` and `0` are the same GPU"),
        ("1:1,1:1", "`1:1` and `1:1` are the same GPU"),
    ] {
        let error = chosen(HOST, selection).unwrap_err();
        assert!(error.starts_with(expected), "{selection}: {error}");
    }
}

#[test]
fn a_gpu_without_a_right_node_is_refused() {
    let host = format!("{HOST}\n drop /dev/nvidia0\n node /dev/nvidia2 1:3");
    for (selection, expected) in [
        (
            "0",
            "the GPU `0` has no node that could be passed on: `/dev/nvidia0` does not exist",
        ),
        (
            "2",
            "the GPU `2` has no node that could be passed on: `/dev/nvidia2` is the device 1:3, not 195:2",
        ),
    ] {
        assert_eq!(chosen(&host, selection).unwrap_err(), expected);
    }
    let host = format!("{HOST}\n drop /dev/nvidia-caps/nvidia-cap147");
    let error = chosen(&host, "1:0").unwrap_err();
    assert!(error.contains("nvidia-cap147` does not exist"), "{error}");
    let host = format!("{HOST}\n drop /proc/driver/nvidia/capabilities");
    let error = chosen(&host, "1:0").unwrap_err();
    assert!(error.contains("does not tell which there are"), "{error}");
    // All of them is all that can be used.
    let all = chosen(&format!("{HOST}\n drop /dev/nvidia0"), "all").unwrap();
    assert_eq!(all.last().unwrap().name, "2");
    assert!(all.iter().all(|it| it.name != "0"));
    assert_eq!(
        chosen("driver 580.159.04", "all").unwrap_err(),
        "no GPU of this host can be passed on"
    );
}

#[test]
fn where_the_driver_has_no_files_its_nodes_are_chosen() {
    let host = "driver 580.159.04\n drop /proc/driver/nvidia\n node /dev/nvidia0 195:0\n node /dev/nvidia1 195:1";
    assert_eq!(nodes(&chosen(host, "1").unwrap()), "1=nvidia1");
    assert_eq!(nodes(&chosen(host, "all").unwrap()), "0=nvidia0 1=nvidia1");
}

#[test]
fn a_selection_is_written_as_it_was_read() {
    for text in [
        "all",
        "0",
        "0,1:2,GPU-aa,MIG-aa,MIG-GPU-aa/1/0,0000:04:00.0",
    ] {
        assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
    }
}

#[test]
fn other_vendors_are_chosen_by_index_and_address() {
    let host = "pci 0000:03:00.0 1002 0300 amdgpu\n pci 0000:06:00.0 1002 0300 amdgpu";
    let found = Host::new(host).discover().amd.unwrap();
    let choose = |text: &str| {
        let gpus = choose_other(&found, &text.parse().unwrap());
        gpus.map(|gpus| {
            gpus.iter()
                .map(|gpu| gpu.address.clone())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(choose("1").unwrap(), ["0000:06:00.0"]);
    assert_eq!(choose("03:00.0").unwrap(), ["0000:03:00.0"]);
    assert_eq!(choose("all").unwrap().len(), 2);
    for (text, expected) in [
        (
            "2",
            "there is no GPU `2` on this host; there is `0 (0000:03:00.0)`, `1 (0000:06:00.0)`",
        ),
        (
            "GPU-1",
            "there is no GPU `GPU-1` on this host; there is `0 (0000:03:00.0)`, `1 (0000:06:00.0)`",
        ),
        ("0,03:00.0", "`0000:03:00.0` and `0` are the same GPU"),
    ] {
        assert_eq!(choose(text).unwrap_err().to_string(), expected);
    }
}
