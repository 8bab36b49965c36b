//! What holds for any bytes and any versions.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Host, named_elf};
use crate::gpu::cards::{Card, mig_minors};
use crate::gpu::nodes::Registered;
use crate::gpu::{
    DriverVersion, Minimum, Pinned, Selection, cache, cdi, edits, elf, kernel, pci, supply, verdict,
};

/// All files whose content decides something.
const FILES: [&str; 14] = [
    "/etc/ld.so.cache",
    "/proc/devices",
    "/proc/driver/nvidia-caps/mig-minors",
    "/proc/driver/nvidia/gpus/0000:04:00.0/information",
    "/proc/driver/nvidia/version",
    "/proc/sys/kernel/osrelease",
    "/proc/version",
    "/sys/bus/pci/devices/0000:04:00.0/class",
    "/sys/bus/pci/devices/0000:04:00.0/vendor",
    "/sys/devices/soc0/family",
    "/sys/module/amdgpu/version",
    "/sys/module/nvidia/version",
    "/usr/lib64/libcuda.so.580.159.04",
    "/usr/lib64/libnvidia-ml.so.580.159.04",
];

/// Bytes that look like what is parsed, and any others.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let likely = "(NVRM version: |Character devices:\n|Device Minor: |gpu0/gi[0-9]/access |0x|[0-9]{1,12}[.: \n]?|\u{fffd}| ){0,12}";
    prop_oneof![
        vec(any::<u8>(), 0..200),
        likely.prop_map(String::into_bytes),
        vec(any::<u8>(), 0..200).prop_map(|rest| [b"glibc-ld.so.cache1.1".to_vec(), rest].concat()),
        vec(any::<u8>(), 0..30).prop_map(|rest| [b"\x7fELF".to_vec(), rest].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in content()) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = kernel::parse_proc(&text);
        let _ = Registered::parse(&text);
        let _ = cache::find(&bytes, "libcuda.so.1");
        let _ = mig_minors(&text);
        let _ = Card::default().read(&text);
        let _ = pci::numbers(&text);
        let _ = text.parse::<DriverVersion>();
        let _ = text.parse::<Minimum>();
    }

    #[test]
    fn versions_are_ordered_by_their_numbers(one in vec(0_u32..1000, 2..=3), other in vec(0_u32..1000, 2..=3)) {
        let text = |numbers: &[u32], zeros: usize| {
            let parts = numbers.iter().map(|number| format!("{number:0zeros$}"));
            parts.collect::<Vec<_>>().join(".")
        };
        let version = |numbers: &[u32], zeros| text(numbers, zeros).parse::<DriverVersion>().unwrap();
        let padded = |numbers: &[u32]| [numbers, &[0]].concat()[..3].to_vec();
        let expected = padded(&one).cmp(&padded(&other));
        prop_assert_eq!(version(&one, 1).cmp(&version(&other, 3)), expected);
        let shown = version(&one, 2).to_string();
        prop_assert_eq!(shown, text(&one, 2));
    }
}

proptest! {
    // Each makes a host.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(50) })]

    #[test]
    fn no_bytes_make_discovery_panic(contents in vec(content(), FILES.len()), answer in content()) {
        let mut host = Host::new("node /dev/nvidiactl 195:255");
        for (file, content) in FILES.iter().zip(&contents) {
            host.write(file, content);
        }
        host.answer = Ok(super::Answer::Version(answer));
        let facts = host.discover();
        let judged = verdict(&[], &Pinned::default(), &facts);
        prop_assert!(serde_json::to_string(&(facts, judged)).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_planning_panic(bytes in content(), text in "(all|GPU-|MIG-|[0-9a-f]{0,20}|[:.,/]){0,6}") {
        let written = String::from_utf8_lossy(&bytes);
        let _ = written.parse::<Selection>();
        if let Ok(selection) = text.parse::<Selection>() {
            prop_assert_eq!(selection.to_string().parse::<Selection>(), Ok(selection));
        }
        let _ = edits::covered_params(&written);
        let _ = supply::has_version(&bytes, &text);
        let _ = soname_of(&bytes);
        // Also with most of it in order.
        let mut library = named_elf("libcuda.so.1");
        for (at, byte) in bytes.iter().enumerate() {
            let place = (at * 7 + 20) % library.len();
            library[place] ^= byte;
        }
        let _ = soname_of(&library);
    }
}

fn soname_of(bytes: &[u8]) -> Option<String> {
    elf::soname(&|at, buffer| {
        let rest = bytes
            .get(usize::try_from(at).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    })
}

#[test]
fn a_library_tells_its_name() {
    assert_eq!(
        soname_of(&named_elf("libcuda.so.1")).as_deref(),
        Some("libcuda.so.1")
    );
    for name in ["", "a/b", "..", "."] {
        assert_eq!(soname_of(&named_elf(name)), None);
    }
    assert_eq!(soname_of(&super::elf(2)), None);
}

/// A specification in which some words are others.
fn specification() -> impl Strategy<Value = Vec<u8>> {
    let words = "(cdiVersion|kind|devices|containerEdits|mounts|hooks|deviceNodes|env|name|path|hostPath|nvidia.com/gpu|0.5.0|1.1.0|[:\\[\\]{},&*!|>'\"-]|\n|  | |null|[0-9]{1,30}){0,40}";
    prop_oneof![content(), words.prop_map(String::into_bytes)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_a_specification_panic(bytes in specification(), at in any::<proptest::sample::Index>()) {
        let base = br#"{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "0", "containerEdits": {}}]}"#;
        let mut inside = base.to_vec();
        let place = at.index(inside.len());
        inside.splice(place..place, bytes.iter().copied());
        for name in ["a.json", "a.yaml"] {
            for bytes in [&bytes[..], &inside] {
                if let Err(error) = cdi::parse(std::path::Path::new(name), bytes) {
                    prop_assert!(error.to_string().contains(name));
                }
            }
        }
    }
}
